/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses as plain data: text to address and back, address to sockaddr and back. No names are looked up.
 */
#include "base/base.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void set_ipv6(struct address *address, const uint8_t ip[16])
{
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		address->family = ADDRESS_IPV4;
		memcpy(address->ip, ip + sizeof(mapped_prefix), 4);
	} else {
		address->family = ADDRESS_IPV6;
		memcpy(address->ip, ip, 16);
	}
}

static bool parse_ip(struct span text, bool only_ipv6, struct address *out)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (!span_copy(text, copy, sizeof(copy)) || strlen(copy) != text.size)
		return false;
	if (!only_ipv6 && inet_pton(AF_INET, copy, ip) == 1) {
		out->family = ADDRESS_IPV4;
		memcpy(out->ip, ip, 4);
		return true;
	}
	if (inet_pton(AF_INET6, copy, ip) == 1) {
		set_ipv6(out, ip);
		return true;
	}
	return false;
}

static bool parse_port(struct span text, struct address *out)
{
	uint64_t port;

	if (!span_to_number(text, 65535, &port) || port == 0)
		return false;
	out->port = (uint16_t)port;
	return true;
}

static bool parse_unix(struct span text, struct address *out)
{
	out->family = ADDRESS_UNIX;
	/* sun_path holds 108 bytes with its zero byte */
	return span_copy(text, out->path, sizeof(out->path)) && strlen(out->path) == text.size;
}

bool address_parse(struct span text, bool need_port, struct address *out)
{
	struct address result;

	memset(&result, 0, sizeof(result));
	if (text.size > 0 && text.start[0] == '/') {
		if (!parse_unix(text, &result))
			return false;
		*out = result;
		return true;
	}
	if (text.size > 0 && text.start[0] == '[') {
		struct span rest = span_of(text.start + 1, text.size - 1);
		struct span ip = span_cut(&rest, ']');
		if (rest.start == NULL || !parse_ip(ip, true, &result))
			return false;
		if (rest.size > 0 && (rest.start[0] != ':' || !parse_port(span_of(rest.start + 1, rest.size - 1), &result)))
			return false;
	} else {
		struct span rest = text;
		struct span ip = span_cut(&rest, ':');
		bool one_colon = rest.start != NULL && memchr(rest.start, ':', rest.size) == NULL;
		if (one_colon) {
			if (!parse_ip(ip, false, &result) || result.family != ADDRESS_IPV4 || !parse_port(rest, &result))
				return false;
		} else if (!parse_ip(text, false, &result)) {
			return false;
		}
	}
	if (need_port && result.port == 0)
		return false;
	*out = result;
	return true;
}

const char *address_format_ip(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
	switch (address->family) {
	case ADDRESS_IPV4:
		ASSERT(inet_ntop(AF_INET, address->ip, out, ADDRESS_TEXT_SIZE) != NULL);
		break;
	case ADDRESS_IPV6:
		ASSERT(inet_ntop(AF_INET6, address->ip, out, ADDRESS_TEXT_SIZE) != NULL);
		break;
	case ADDRESS_UNIX:
		snprintf(out, ADDRESS_TEXT_SIZE, "%s", address->path);
		break;
	default:
		snprintf(out, ADDRESS_TEXT_SIZE, "unknown");
	}
	return out;
}

const char *address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
	char ip[ADDRESS_TEXT_SIZE];

	address_format_ip(address, ip);
	if (address->port == 0 || address->family == ADDRESS_UNIX || address->family == ADDRESS_NONE)
		memcpy(out, ip, strlen(ip) + 1);
	else
		snprintf(out, ADDRESS_TEXT_SIZE, address->family == ADDRESS_IPV6 ? "[%.60s]:%u" : "%.60s:%u", ip, (unsigned)address->port);
	return out;
}

bool address_equal(const struct address *a, const struct address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	switch (address->family) {
	case ADDRESS_IPV4: {
		struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(address->port);
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof(*in);
	}
	case ADDRESS_IPV6: {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(address->port);
		memcpy(&in6->sin6_addr, address->ip, 16);
		return sizeof(*in6);
	}
	case ADDRESS_UNIX: {
		struct sockaddr_un *un = (struct sockaddr_un *)(void *)out;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, address->path, sizeof(un->sun_path));
		return sizeof(*un);
	}
	default:
		ASSERT(!"an address without a family has no sockaddr");
	}
	return 0;
}

void address_from_sockaddr(const struct sockaddr *from, socklen_t size, struct address *out)
{
	memset(out, 0, sizeof(*out));
	if (size >= sizeof(struct sockaddr_in) && from->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
		out->family = ADDRESS_IPV4;
		out->port = ntohs(in->sin_port);
		memcpy(out->ip, &in->sin_addr, 4);
	} else if (size >= sizeof(struct sockaddr_in6) && from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
		set_ipv6(out, in6->sin6_addr.s6_addr);
		out->port = ntohs(in6->sin6_port);
	} else if (size >= sizeof(sa_family_t) && from->sa_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)from;
		size_t path_size = size - offsetof(struct sockaddr_un, sun_path);
		out->family = ADDRESS_UNIX;
		if (size > offsetof(struct sockaddr_un, sun_path) && path_size <= sizeof(out->path) && un->sun_path[0] != '\0') {
			memcpy(out->path, un->sun_path, path_size);
			out->path[sizeof(out->path) - 1] = '\0';
		}
	}
}
