/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzzes networks and rates: what is read is written so that it reads the same again, and an address is in a network when, bit by
 * bit, its beginning is the network's. The first 17 bytes are an address, the rest is the text.
 */
#include "cluster/values.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_same_bits(const struct cluster_network *network, const uint8_t *ip)
{
	for (unsigned bit = 0; bit < network->prefix; bit++)
		if (((network->bytes[bit / 8] ^ ip[bit / 8]) >> (7 - bit % 8) & 1) != 0)
			return false;
	return true;
}

static void check_network(struct span text, const uint8_t *address_bytes)
{
	char why[VALUE_WHY_SIZE], again[VALUE_TEXT_SIZE];
	struct cluster_network network = {0}, same = {0};
	if (!value_parse_network(text, &network, why)) {
		ASSERT(memchr(why, '\0', sizeof(why)) != NULL);
		return;
	}
	ASSERT((network.family == 4 && network.prefix <= 32) || (network.family == 6 && network.prefix <= 128));
	value_format_network(&network, again);
	ASSERT(value_parse_network(span_of_text(again), &same, why) && memcmp(&network, &same, sizeof(network)) == 0);

	struct cluster_networks networks = {.count = 1, .list = {network}};
	struct address address = {.family = address_bytes[0] % 2 == 0 ? ADDRESS_IPV4 : ADDRESS_IPV6};
	memcpy(address.ip, address_bytes + 1, address.family == ADDRESS_IPV4 ? 4 : 16);
	if (address_bytes[0] % 4 < 2) /* near it: the network's own beginning */
		memcpy(address.ip, network.bytes, address_bytes[0] / 4 % 5);
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool is_mapped = address.family == ADDRESS_IPV6 && memcmp(address.ip, mapped, sizeof(mapped)) == 0;
	bool expected = is_mapped ? network.family == 4 && has_same_bits(&network, address.ip + 12)
	                          : network.family == address.family && has_same_bits(&network, address.ip);
	ASSERT(cluster_networks_contain(&networks, &address) == expected);
}

static void check_rate(struct span text)
{
	char why[VALUE_WHY_SIZE];
	struct cluster_rate rate = {0};
	if (value_parse_rate(text, &rate, why))
		ASSERT(rate.most >= 1 && rate.most <= 1000000 && rate.period_ms >= 1000 && rate.period_ms <= 86400000);
	else
		ASSERT(why[0] != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 18)
		return 0;
	/* as large as the text, so that a sanitizer sees each byte too many */
	char *text = malloc(size - 17);
	ASSERT(text != NULL);
	memcpy(text, data + 17, size - 17);
	check_network(span_of(text, size - 17), data);
	check_rate(span_of(text, size - 17));
	free(text);
	return 0;
}
