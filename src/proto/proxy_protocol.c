/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads the PROXY protocol's header, versions 1 and 2. Pure; http/front_end.c calls it for each connection of a front end that
 * speaks it, tests/fuzz/fuzz_proxy_protocol.c with everything else.
 */
#include "proto/proxy_protocol.h"

#define LINE_MOST  107u /* of version 1, CR LF included */
#define FIXED_SIZE 16u  /* of version 2: signature, version and command, family, length */

static const struct span line_start = {"PROXY ", 6};
static const struct span signature = {"\r\n\r\n\0\r\nQUIT\n", 12};

static enum proxy_answer wrong(const char **why, const char *what)
{
	*why = what;
	return PROXY_WRONG;
}

/* ---- version 1 ---------------------------------------------------------------------------------------------------- */

/* As the text of one family only: neither brackets nor a port. */
static bool read_address(struct span text, bool ipv6, struct address *out)
{
	if (text.size == 0 || text.start[0] == '[' || text.start[0] == '/')
		return false;
	return (memchr(text.start, ':', text.size) != NULL) == ipv6 && address_parse(text, false, out) && out->port == 0;
}

/* 0 is possible too; a zero in front is not. */
static bool read_port(struct span text, uint16_t *port)
{
	uint64_t number;

	if (!span_to_number(text, 65535, &number) || (text.start[0] == '0' && text.size > 1))
		return false;
	*port = (uint16_t)number;
	return true;
}

static enum proxy_answer read_line(struct span line, struct proxy_told *told, const char **why)
{
	struct span rest = span_of(line.start + line_start.size, line.size - line_start.size);
	struct span family = span_cut(&rest, ' ');
	uint16_t from_port, to_port;

	if (span_equal(family, SPAN("UNKNOWN")))
		return PROXY_DONE; /* whatever follows */
	bool ipv6 = span_equal(family, SPAN("TCP6"));
	if (!ipv6 && !span_equal(family, SPAN("TCP4")))
		return wrong(why, "the PROXY line names an unknown family");
	struct span from = span_cut(&rest, ' '), to = span_cut(&rest, ' '), first = span_cut(&rest, ' ');
	if (rest.start == NULL || !read_address(from, ipv6, &told->from) || !read_address(to, ipv6, &told->to))
		return wrong(why, "the PROXY line has no two addresses of its family");
	if (!read_port(first, &from_port) || !read_port(rest, &to_port))
		return wrong(why, "the PROXY line does not end in two ports");
	told->from.port = from_port;
	told->to.port = to_port;
	told->known = true;
	return PROXY_DONE;
}

static enum proxy_answer parse_text(struct span bytes, struct proxy_told *told, size_t *used, const char **why)
{
	size_t most = bytes.size < LINE_MOST ? bytes.size : LINE_MOST, end = line_start.size;

	while (end < most && bytes.start[end] != '\r' && bytes.start[end] != '\n')
		end++;
	if (end < most && bytes.start[end] == '\n')
		return wrong(why, "the PROXY line does not end in CR LF");
	if (end + 1 < most) {
		if (bytes.start[end + 1] != '\n')
			return wrong(why, "the PROXY line does not end in CR LF");
		*used = end + 2;
		return read_line(span_of(bytes.start, end), told, why);
	}
	return most < LINE_MOST ? PROXY_MORE : wrong(why, "the PROXY line is too long");
}

/* ---- version 2 ---------------------------------------------------------------------------------------------------- */

enum { FAMILY_UNKNOWN, FAMILY_IPV4, FAMILY_IPV6, FAMILY_UNIX, FAMILIES };
enum { TRANSPORT_UNKNOWN, TRANSPORT_STREAM, TRANSPORT_DATAGRAM, TRANSPORTS };
enum { TLV_CRC32C = 0x03, TLV_SSL = 0x20 };
#define SSL_CLIENT 0x01u /* he came with TLS */

static unsigned byte_at(struct span bytes, size_t at)
{
	return (unsigned char)bytes.start[at];
}

static uint16_t number_at(struct span bytes, size_t at)
{
	return (uint16_t)(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

/* RFC 3720, appendix B.4: bit by bit, as it is short and seldom. */
static uint32_t crc32c_step(uint32_t crc, unsigned byte)
{
	crc ^= byte;
	for (unsigned bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (UINT32_C(0x82f63b78) & -(crc & 1));
	return crc;
}

/* Of the whole header, with zeros where its own value stands. */
static bool checksum_is_right(struct span header, size_t at)
{
	uint32_t crc = UINT32_MAX, said = (uint32_t)number_at(header, at) << 16 | number_at(header, at + 2);

	for (size_t i = 0; i < header.size; i++)
		crc = crc32c_step(crc, i >= at && i < at + 4 ? 0 : byte_at(header, i));
	return ~crc == said;
}

/* What stands behind the addresses: type, length, value, and again. */
static enum proxy_answer read_extras(struct span header, size_t at, struct proxy_told *told, const char **why)
{
	while (at < header.size) {
		if (header.size - at < 3 || number_at(header, at + 1) > header.size - at - 3)
			return wrong(why, "an extension of the PROXY header is longer than the header");
		unsigned type = byte_at(header, at);
		size_t size = number_at(header, at + 1);
		at += 3;
		if (type == TLV_CRC32C && (size != 4 || !checksum_is_right(header, at)))
			return wrong(why, "the PROXY header's checksum is not right");
		if (type == TLV_SSL && size < 5)
			return wrong(why, "the PROXY header's words about TLS are too short");
		if (type == TLV_SSL)
			told->secure = (byte_at(header, at) & SSL_CLIENT) != 0;
		at += size;
	}
	return PROXY_DONE;
}

/* An IPv4 address in an IPv6 one is IPv4, as everywhere. */
static void set_address(struct address *out, struct span bytes, size_t at, size_t ip_size, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(in6.sin6_addr.s6_addr + 16 - ip_size, bytes.start + at, ip_size);
	address_from_sockaddr((struct sockaddr *)(void *)&in6, sizeof(in6), out);
	out->port = port;
}

static enum proxy_answer read_header(struct span header, struct proxy_told *told, const char **why)
{
	static const size_t block_sizes[FAMILIES] = {[FAMILY_IPV4] = 12, [FAMILY_IPV6] = 36, [FAMILY_UNIX] = 216};
	unsigned family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;
	size_t at = FIXED_SIZE;

	if ((byte_at(header, 12) & 15) == 0)
		return PROXY_DONE; /* LOCAL: whatever follows */
	if (family >= FAMILIES || transport >= TRANSPORTS)
		return wrong(why, "the PROXY header names an unknown family");
	if (family == FAMILY_UNKNOWN || transport == TRANSPORT_UNKNOWN)
		return PROXY_DONE; /* where its addresses would end is not said */
	if (header.size - at < block_sizes[family])
		return wrong(why, "the PROXY header is shorter than its addresses");
	if (transport == TRANSPORT_STREAM && family != FAMILY_UNIX) {
		size_t ip_size = family == FAMILY_IPV4 ? 4 : 16;
		set_address(&told->from, header, at, ip_size, number_at(header, at + 2 * ip_size));
		set_address(&told->to, header, at + ip_size, ip_size, number_at(header, at + 2 * ip_size + 2));
		told->known = true;
	}
	return read_extras(header, at + block_sizes[family], told, why);
}

static enum proxy_answer parse_binary(struct span bytes, struct proxy_told *told, size_t *used, const char **why)
{
	if (bytes.size > 12 && byte_at(bytes, 12) != 0x20 && byte_at(bytes, 12) != 0x21)
		return wrong(why, "the PROXY header has an unknown version or command");
	if (bytes.size < FIXED_SIZE)
		return PROXY_MORE;
	size_t size = FIXED_SIZE + number_at(bytes, 14);
	if (size > PROXY_PROTOCOL_MOST)
		return wrong(why, "the PROXY header is too long");
	if (bytes.size < size)
		return PROXY_MORE;
	*used = size;
	return read_header(span_of(bytes.start, size), told, why);
}

/* ---- which of the two --------------------------------------------------------------------------------------------- */

static bool may_begin_with(struct span bytes, struct span start)
{
	return bytes.size < start.size ? span_starts_with(start, bytes) : span_starts_with(bytes, start);
}

enum proxy_answer proxy_protocol_parse(const char *bytes, size_t size_bytes, struct proxy_told *told, size_t *used,
                                       const char **why)
{
	struct span all = span_of(bytes, size_bytes);
	enum proxy_answer answer;

	memset(told, 0, sizeof(*told));
	if (may_begin_with(all, line_start))
		answer = size_bytes < line_start.size ? PROXY_MORE : parse_text(all, told, used, why);
	else if (may_begin_with(all, signature))
		answer = size_bytes < signature.size ? PROXY_MORE : parse_binary(all, told, used, why);
	else
		answer = wrong(why, "no PROXY header");
	if (answer != PROXY_DONE || !told->known)
		memset(told, 0, sizeof(*told)); /* nothing half-read */
	return answer;
}
