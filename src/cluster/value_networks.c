/* SPDX-License-Identifier: BSD-2-Clause
 *
 * value_networks: networks and rates, from text and back. See values.h. Pure functions.
 */
#include "cluster/values.h"

#include <ctype.h>
#include <stdio.h>

#define QUOTED(text) (int)((text).size < 60 ? (text).size : 60), (text).start

#define RATE_MOST      1000000u
#define RATE_LEAST_MS  1000u
#define RATE_PERIOD_MS (24u * 3600 * 1000)

/* ---- networks ------------------------------------------------------------------------------------------------- */

struct cluster_network value_network_of(const struct address *address)
{
	struct cluster_network network = {.family = address->family, .prefix = address->family == ADDRESS_IPV4 ? 32 : 128};
	memcpy(network.bytes, address->ip, network.prefix / 8);
	return network;
}

/* Sets the bits behind the prefix to 0. False when some were not. */
static bool clear_rest(struct cluster_network *network)
{
	bool clean = true;
	for (unsigned bit = network->prefix; bit < 8 * sizeof(network->bytes); bit++) {
		uint8_t mask = (uint8_t)(0x80u >> bit % 8);
		clean &= (network->bytes[bit / 8] & mask) == 0;
		network->bytes[bit / 8] = (uint8_t)(network->bytes[bit / 8] & ~mask);
	}
	return clean;
}

const char *value_format_network(const struct cluster_network *network, char out[VALUE_TEXT_SIZE])
{
	struct address address = {.family = network->family};
	char text[ADDRESS_TEXT_SIZE];
	memcpy(address.ip, network->bytes, network->family == ADDRESS_IPV4 ? 4 : 16);
	address_format_ip(&address, text);
	if (network->prefix == (network->family == ADDRESS_IPV4 ? 32 : 128))
		snprintf(out, VALUE_TEXT_SIZE, "%s", text);
	else
		snprintf(out, VALUE_TEXT_SIZE, "%s/%u", text, network->prefix);
	return out;
}

/* What people write for everybody, and networks that end in `*` or in a mask. */
static void explain_network(struct span text, struct span ip, struct span prefix, bool good_ip, char why[VALUE_WHY_SIZE])
{
	static const char *const everybody[] = {"any", "all", "*", "everybody", "everyone", "0/0"};
	struct address mask;
	why[0] = '\0';
	for (unsigned i = 0; i < COUNT_OF(everybody); i++)
		if (span_equal_nocase(text, span_of_text(everybody[i]))) {
			snprintf(why, VALUE_WHY_SIZE, "`%.*s`: everybody is `[0.0.0.0/0, '::/0']`", QUOTED(text));
			return;
		}
	if (span_equal_nocase(text, SPAN("localhost")))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `127.0.0.1`?", QUOTED(text));
	else if (good_ip && prefix.start != NULL && address_parse(prefix, false, &mask) && mask.family == ADDRESS_IPV4)
		snprintf(why, VALUE_WHY_SIZE,
		         "`%.*s`: write how many bits of the network are fixed, such as `%.*s/24`, instead of a mask", QUOTED(text),
		         QUOTED(ip));
	else if (good_ip && prefix.start != NULL)
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: after `/` stands how many bits are fixed, 0 to %u", QUOTED(text),
		         memchr(ip.start, ':', ip.size) != NULL ? 128u : 32u);
	else if (good_ip)
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: an address of a visitor has no port and no brackets", QUOTED(text));
	else if (prefix.start != NULL || (text.size > 0 && isdigit((unsigned char)text.start[0])) ||
	         memchr(text.start, ':', text.size) != NULL)
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a network; write for example `10.0.0.0/8`, `'2001:db8::/32'` or `192.0.2.7`",
		         QUOTED(text));
}

bool value_parse_network(struct span text, struct cluster_network *out, char why[VALUE_WHY_SIZE])
{
	struct span prefix = text, ip = span_cut(&prefix, '/');
	struct address address;
	uint64_t bits = 0;
	bool good_ip = address_parse(ip, false, &address) && address.family != ADDRESS_UNIX;
	if (!good_ip || address.port != 0 || ip.start[0] == '[') {
		explain_network(text, ip, prefix, good_ip, why);
		return false;
	}
	/* an IPv4 address in an IPv6 one was stored as IPv4 */
	unsigned mapped = address.family == ADDRESS_IPV4 && memchr(ip.start, ':', ip.size) != NULL ? 96 : 0;
	struct cluster_network network = value_network_of(&address);
	if (prefix.start != NULL) {
		if (!span_to_number(prefix, network.prefix + mapped, &bits) || bits < mapped) {
			explain_network(text, ip, prefix, true, why);
			return false;
		}
		network.prefix = (uint8_t)(bits - mapped);
	}
	if (!clear_rest(&network)) {
		char mend[VALUE_TEXT_SIZE];
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is an address in a network; did you mean `%.60s`, or only `%.*s`?", QUOTED(text),
		         value_format_network(&network, mend), QUOTED(ip));
		return false;
	}
	*out = network;
	return true;
}

/* ---- rates ---------------------------------------------------------------------------------------------------- */

/* "10r/s", "10/s", "10/10", "10": what was probably meant. */
static void explain_rate(struct span text, struct span count, struct span period, char why[VALUE_WHY_SIZE])
{
	static const char *const units[][2] = {{"s", "1s"},      {"sec", "1s"}, {"second", "1s"}, {"m", "1m"}, {"min", "1m"},
	                                       {"minute", "1m"}, {"h", "1h"},   {"hour", "1h"},   {"d", "1d"}, {"day", "1d"}};
	uint64_t number;
	if (count.size > 1 && tolower((unsigned char)count.start[count.size - 1]) == 'r')
		count.size--;
	if (!span_to_number(count, UINT64_MAX, &number)) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a rate; write how many in which time, such as `100/10s`", QUOTED(text));
		return;
	}
	for (unsigned i = 0; i < COUNT_OF(units); i++)
		if (period.start != NULL && span_equal_nocase(period, span_of_text(units[i][0]))) {
			snprintf(why, VALUE_WHY_SIZE, "`%.*s`: did you mean `%.*s/%s`?", QUOTED(text), QUOTED(count), units[i][1]);
			return;
		}
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` does not say in which time; write for example `%.*s/10s`", QUOTED(text), QUOTED(count));
}

bool value_parse_rate(struct span text, struct cluster_rate *out, char why[VALUE_WHY_SIZE])
{
	struct span period = text, count = span_cut(&period, '/');
	uint64_t most = 0, ms = 0;
	char said[VALUE_WHY_SIZE];
	bool good_count = span_to_number(count, UINT64_MAX, &most);
	if (!good_count || period.start == NULL || !value_parse_duration(period, &ms, said)) {
		explain_rate(text, count, period, why);
		return false;
	}
	if (most == 0 || most > RATE_MOST) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: from 1 to %u requests are good%s", QUOTED(text), RATE_MOST,
		         most == 0 ? "; `deny` lets nobody in" : "");
		return false;
	}
	if (ms < RATE_LEAST_MS || ms > RATE_PERIOD_MS) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: the time is from 1s to 1d", QUOTED(text));
		return false;
	}
	*out = (struct cluster_rate){.most = (uint32_t)most, .period_ms = (uint32_t)ms};
	return true;
}

/* ---- names of files, and what stands in quotes ---------------------------------------------------------------- */

bool value_check_file_name(struct span text, char why[VALUE_WHY_SIZE])
{
	const char *fault = NULL;
	if (text.size == 0 || text.size >= CLUSTER_NAME_SIZE)
		fault = "it has 1 to 63 letters";
	else if (memchr(text.start, '/', text.size) != NULL)
		fault = "write only the name, without a directory";
	else if (text.start[0] == '.')
		fault = "files whose names begin with a dot are never sent";
	if (fault == NULL)
		return true;
	snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not the name of a file here; %s", QUOTED(text), fault);
	return false;
}

bool value_check_realm(struct span text, char why[VALUE_WHY_SIZE])
{
	for (size_t i = 0; i < text.size; i++)
		if (text.start[i] == '"' || text.start[i] == '\\' || (unsigned char)text.start[i] >= 0x7f) {
			snprintf(why, VALUE_WHY_SIZE, "`%.*s`: only letters of ASCII, without quotes and backslashes, may stand here",
			         QUOTED(text));
			return false;
		}
	return true;
}
