/* SPDX-License-Identifier: BSD-2-Clause
 *
 * networks: is an address in a list of networks? Asked for each request that is let in or not; any thread.
 */
#include "cluster/cluster.h"

static bool has_prefix(const struct cluster_network *network, const uint8_t *ip)
{
	unsigned bytes = network->prefix / 8, bits = network->prefix % 8;
	if (memcmp(network->bytes, ip, bytes) != 0)
		return false;
	return bits == 0 || ((network->bytes[bytes] ^ ip[bytes]) & (0xff00u >> bits) & 0xffu) == 0;
}

bool cluster_networks_contain(const struct cluster_networks *networks, const struct address *address)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	uint8_t family = address->family;
	const uint8_t *ip = address->ip;
	if (family == ADDRESS_IPV6 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
		family = ADDRESS_IPV4;
		ip += sizeof(mapped);
	}
	if (family != ADDRESS_IPV4 && family != ADDRESS_IPV6)
		return false;
	for (uint32_t i = 0; i < networks->count; i++) /* CLUSTER_NETWORKS_MOST */
		if (networks->list[i].family == family && has_prefix(&networks->list[i], ip))
			return true;
	return false;
}
