/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a visitor is: his connection's address, or what a trusted front end says of it. In the traffic threads; core.c sets it
 * when a connection is accepted, and everything that counts, lets in or names visitors reads it.
 */
#include "http/http_private.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

void http_origin_set(struct http_origin *origin, const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];

	*origin = (struct http_origin){.family = address->family};
	if (address->family == ADDRESS_IPV6) {
		memcpy(origin->ip, address->ip, sizeof(origin->ip));
	} else if (address->family == ADDRESS_IPV4) {
		memcpy(origin->ip, mapped, sizeof(mapped));
		memcpy(origin->ip + sizeof(mapped), address->ip, 4);
	}
	address_format_ip(address, text);
	origin->text_size = (uint8_t)strnlen(text, HTTP_ADDRESS_TEXT_SIZE - 1); /* a Unix socket's path may be cut */
	memcpy(origin->text, text, origin->text_size);
}

void http_origin_address(const struct http_origin *origin, struct address *address)
{
	*address = (struct address){.family = ADDRESS_NONE};
	if (origin->family != ADDRESS_IPV4 && origin->family != ADDRESS_IPV6)
		return;
	address->family = origin->family;
	if (origin->family == ADDRESS_IPV4)
		memcpy(address->ip, origin->ip + sizeof(mapped), 4);
	else
		memcpy(address->ip, origin->ip, sizeof(origin->ip));
}

bool http_origin_is_in(const struct http_origin *origin, const struct cluster_networks *networks)
{
	struct address address;

	if (networks->count == 0)
		return false;
	http_origin_address(origin, &address);
	return address.family != ADDRESS_NONE && cluster_networks_contain(networks, &address);
}
