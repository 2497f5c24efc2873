/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The PROXY protocol, versions 1 (a line of text) and 2 (binary): tells a server, before anything else, from where the client
 * came. Pure; session.c calls it.
 */
#include "tcp/tcp_private.h"

#include <stdio.h>

static bool is_told(const struct address *from, const struct address *to)
{
	return from->family == to->family && (from->family == ADDRESS_IPV4 || from->family == ADDRESS_IPV6);
}

static size_t write_text(const struct address *from, const struct address *to, char out[TCP_PROXY_HEADER_MOST])
{
	char source[ADDRESS_TEXT_SIZE], target[ADDRESS_TEXT_SIZE];
	int size;

	if (!is_told(from, to))
		size = snprintf(out, TCP_PROXY_HEADER_MOST, "PROXY UNKNOWN\r\n");
	else
		size = snprintf(out, TCP_PROXY_HEADER_MOST, "PROXY TCP%d %s %s %u %u\r\n", from->family, address_format_ip(from, source),
		                address_format_ip(to, target), from->port, to->port);
	ASSERT(size > 0 && (size_t)size < TCP_PROXY_HEADER_MOST);
	return (size_t)size;
}

static char *put_port(char *out, uint16_t port)
{
	*out++ = (char)(port >> 8);
	*out++ = (char)(port & 0xff);
	return out;
}

static size_t write_binary(const struct address *from, const struct address *to, char out[TCP_PROXY_HEADER_MOST])
{
	static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";
	bool told = is_told(from, to);
	size_t ip_size = from->family == ADDRESS_IPV4 ? 4 : 16;
	char *end = mempcpy(out, signature, sizeof(signature));

	*end++ = told ? 0x21 : 0x20;                                             /* version 2; PROXY or LOCAL */
	*end++ = (char)(!told ? 0 : from->family == ADDRESS_IPV4 ? 0x11 : 0x21); /* family, TCP */
	end = put_port(end, (uint16_t)(told ? 2 * ip_size + 4 : 0));             /* bytes that follow, in the same order */
	if (told) {
		end = mempcpy(end, from->ip, ip_size);
		end = mempcpy(end, to->ip, ip_size);
		end = put_port(end, from->port);
		end = put_port(end, to->port);
	}
	return (size_t)(end - out);
}

size_t tcp_proxy_header(unsigned version, const struct address *from, const struct address *to, char out[TCP_PROXY_HEADER_MOST])
{
	ASSERT(version == 1 || version == 2);
	return version == 1 ? write_text(from, to, out) : write_binary(from, to, out);
}
