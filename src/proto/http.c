/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The vocabularies of HTTP: faults, methods, known fields, statuses, classes of bytes. Tables and look-ups only; pure, any
 * thread.
 */
#include "proto/http_private.h"

#define LETTER_OR_DIGIT (BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY | BYTE_HOST)

const uint8_t http_byte_class[256] = {
    ['\t'] = BYTE_VALUE,
    [' '] = BYTE_VALUE,
    ['!'] = BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['"'] = BYTE_VALUE,
    ['#'] = BYTE_TOKEN | BYTE_VALUE,
    ['$' ... '\''] = BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['(' ... ')'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['*' ... '+'] = BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    [','] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['-' ... '.'] = LETTER_OR_DIGIT,
    ['/'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['0' ... '9'] = LETTER_OR_DIGIT,
    [':' ... ';'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['<'] = BYTE_VALUE,
    ['='] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['>'] = BYTE_VALUE,
    ['?'] = BYTE_VALUE | BYTE_QUERY,
    ['@'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['A' ... 'Z'] = LETTER_OR_DIGIT,
    ['['] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['\\'] = BYTE_VALUE | BYTE_QUERY,
    [']'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['^'] = BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['_'] = LETTER_OR_DIGIT | BYTE_UNDERSCORE,
    ['`'] = BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['a' ... 'z'] = LETTER_OR_DIGIT,
    ['{'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['|'] = BYTE_TOKEN | BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['}'] = BYTE_VALUE | BYTE_PATH | BYTE_QUERY,
    ['~'] = LETTER_OR_DIGIT,
    [0x80 ... 0xff] = BYTE_VALUE,
};

int http_hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

/* ---- faults and methods --------------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int status;
} faults[] = {
#define X(name, status, text) [name] = {text, status},
    HTTP_FAULTS(X)
#undef X
};

const char *http_fault_text(enum http_fault fault)
{
	ASSERT((size_t)fault < COUNT_OF(faults));
	return faults[fault].text;
}

int http_fault_status(enum http_fault fault)
{
	ASSERT((size_t)fault < COUNT_OF(faults));
	return faults[fault].status;
}

static const struct {
	struct span text;
	bool safe, idempotent;
} methods[] = {
#define X(name, text, safe, idempotent) [name] = {{text, sizeof(text) - 1}, safe, idempotent},
    HTTP_METHODS(X)
#undef X
};

struct span http_method_text(enum http_method method)
{
	ASSERT((size_t)method < COUNT_OF(methods));
	return methods[method].text;
}

bool http_method_is_safe(enum http_method method)
{
	ASSERT((size_t)method < COUNT_OF(methods));
	return methods[method].safe;
}

bool http_method_is_idempotent(enum http_method method)
{
	ASSERT((size_t)method < COUNT_OF(methods));
	return methods[method].idempotent;
}

/* ---- known fields --------------------------------------------------------------------------------------------- */

#define FIELD_TEXT_MOST 19 /* "If-Unmodified-Since" */

/* Padded, so that comparing can read eight bytes at a time. */
static const struct {
	char text[24];
	size_t size;
} fields[HTTP_FIELD_NAMES] = {
#define X(name, text, kind) [name] = {text, sizeof(text) - 1},
    HTTP_FIELDS(X)
#undef X
};

#define HOP(name) HTTP_SET(name)
#define END(name) 0
#define ANY(name) 0
const uint64_t http_hop_fields = 0
#define X(name, text, kind) | kind(name)
    HTTP_FIELDS(X)
#undef X
    ;

_Static_assert(HTTP_FIELD_NAMES <= 64, "known fields fit a set of 64 bits");

/* Size, first letter and last letter but one name one slot for each known field: one look, one comparison. The factors were found
 * by trying; two fields in one slot do not compile, and the unit test finds every name. */
#define SLOT(size, first, last_but_one) ((uint8_t)((size) + 16 * (first) + 91 * (last_but_one)))

static const uint8_t slots[256] = {
    [SLOT(2, 't', 't')] = HTTP_FIELD_TE,
    [SLOT(3, 'a', 'g')] = HTTP_FIELD_AGE,
    [SLOT(3, 'v', 'i')] = HTTP_FIELD_VIA,
    [SLOT(4, 'd', 't')] = HTTP_FIELD_DATE,
    [SLOT(4, 'e', 'a')] = HTTP_FIELD_ETAG,
    [SLOT(4, 'h', 's')] = HTTP_FIELD_HOST,
    [SLOT(4, 'v', 'r')] = HTTP_FIELD_VARY,
    [SLOT(5, 'a', 'o')] = HTTP_FIELD_ALLOW,
    [SLOT(5, 'r', 'g')] = HTTP_FIELD_RANGE,
    [SLOT(6, 'a', 'p')] = HTTP_FIELD_ACCEPT,
    [SLOT(6, 'c', 'i')] = HTTP_FIELD_COOKIE,
    [SLOT(6, 'e', 'c')] = HTTP_FIELD_EXPECT,
    [SLOT(6, 'o', 'i')] = HTTP_FIELD_ORIGIN,
    [SLOT(6, 'p', 'm')] = HTTP_FIELD_PRAGMA,
    [SLOT(6, 's', 'e')] = HTTP_FIELD_SERVER,
    [SLOT(7, 'e', 'e')] = HTTP_FIELD_EXPIRES,
    [SLOT(7, 'r', 'e')] = HTTP_FIELD_REFERER,
    [SLOT(7, 't', 'e')] = HTTP_FIELD_TRAILER,
    [SLOT(7, 'u', 'd')] = HTTP_FIELD_UPGRADE,
    [SLOT(8, 'i', 'c')] = HTTP_FIELD_IF_MATCH,
    [SLOT(8, 'i', 'g')] = HTTP_FIELD_IF_RANGE,
    [SLOT(8, 'l', 'o')] = HTTP_FIELD_LOCATION,
    [SLOT(9, 'f', 'e')] = HTTP_FIELD_FORWARDED,
    [SLOT(9, 'x', 'i')] = HTTP_FIELD_X_REAL_IP,
    [SLOT(10, 'c', 'o')] = HTTP_FIELD_CONNECTION,
    [SLOT(10, 'k', 'v')] = HTTP_FIELD_KEEP_ALIVE,
    [SLOT(10, 's', 'i')] = HTTP_FIELD_SET_COOKIE,
    [SLOT(10, 'u', 'n')] = HTTP_FIELD_USER_AGENT,
    [SLOT(11, 'r', 'e')] = HTTP_FIELD_RETRY_AFTER,
    [SLOT(12, 'c', 'p')] = HTTP_FIELD_CONTENT_TYPE,
    [SLOT(12, 'm', 'd')] = HTTP_FIELD_MAX_FORWARDS,
    [SLOT(12, 'x', 'b')] = HTTP_FIELD_X_POWERED_BY,
    [SLOT(13, 'a', 'o')] = HTTP_FIELD_AUTHORIZATION,
    [SLOT(13, 'c', 'o')] = HTTP_FIELD_CACHE_CONTROL,
    [SLOT(13, 'c', 'g')] = HTTP_FIELD_CONTENT_RANGE,
    [SLOT(13, 'i', 'c')] = HTTP_FIELD_IF_NONE_MATCH,
    [SLOT(13, 'l', 'e')] = HTTP_FIELD_LAST_MODIFIED,
    [SLOT(14, 'c', 't')] = HTTP_FIELD_CONTENT_LENGTH,
    [SLOT(14, 'h', 'g')] = HTTP_FIELD_HTTP2_SETTINGS,
    [SLOT(15, 'x', 'o')] = HTTP_FIELD_X_FORWARDED_FOR,
    [SLOT(15, 'a', 'n')] = HTTP_FIELD_ACCEPT_ENCODING,
    [SLOT(16, 'x', 's')] = HTTP_FIELD_X_FORWARDED_HOST,
    [SLOT(16, 'x', 'r')] = HTTP_FIELD_X_FORWARDED_PORT,
    [SLOT(16, 'w', 't')] = HTTP_FIELD_WWW_AUTHENTICATE,
    [SLOT(16, 'p', 'o')] = HTTP_FIELD_PROXY_CONNECTION,
    [SLOT(16, 'c', 'n')] = HTTP_FIELD_CONTENT_ENCODING,
    [SLOT(16, 'x', 'o')] = HTTP_FIELD_X_ASPNET_VERSION,
    [SLOT(17, 'x', 't')] = HTTP_FIELD_X_FORWARDED_PROTO,
    [SLOT(17, 't', 'n')] = HTTP_FIELD_TRANSFER_ENCODING,
    [SLOT(17, 'i', 'c')] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [SLOT(18, 'p', 't')] = HTTP_FIELD_PROXY_AUTHENTICATE,
    [SLOT(19, 'i', 'c')] = HTTP_FIELD_IF_UNMODIFIED_SINCE,
    [SLOT(19, 'x', 'o')] = HTTP_FIELD_X_ASPNETMVC_VERSION,
    [SLOT(19, 'p', 'o')] = HTTP_FIELD_PROXY_AUTHORIZATION,
};

struct span http_field_text(enum http_field_name name)
{
	ASSERT((size_t)name < HTTP_FIELD_NAMES);
	return span_of(fields[name].text, fields[name].size);
}

static inline uint64_t load_64(const char *from)
{
	uint64_t word;
	memcpy(&word, from, sizeof(word));
	return word;
}

static inline uint32_t load_32(const char *from)
{
	uint32_t word;
	memcpy(&word, from, sizeof(word));
	return word;
}

/* Bits in which `name` differs from `known` (from the table: letters, digits and '-'), but for the case of letters, which alone
 * have bit 6. */
static inline uint64_t differ_64(const char *known, const char *name)
{
	uint64_t word = load_64(known);
	return (word ^ load_64(name)) & ~((word & UINT64_C(0x4040404040404040)) >> 1);
}

static inline uint32_t differ_32(const char *known, const char *name)
{
	uint32_t word = load_32(known);
	return (word ^ load_32(name)) & ~((word & 0x40404040u) >> 1);
}

static inline bool equal_folded(const char *known, const char *name, size_t size)
{
	if (size >= 8) {
		size_t middle = size < 16 ? 0 : 8;
		return (differ_64(known, name) | differ_64(known + middle, name + middle) |
		        differ_64(known + size - 8, name + size - 8)) == 0;
	}
	if (size >= 4)
		return (differ_32(known, name) | differ_32(known + size - 4, name + size - 4)) == 0;
	for (size_t at = 0; at < size; at++)
		if ((known[at] ^ name[at]) & ~((known[at] & 0x40) >> 1))
			return false;
	return true;
}

enum http_field_name http_field_find(struct span name)
{
	if (name.size < 2 || name.size > FIELD_TEXT_MOST)
		return HTTP_FIELD_OTHER;
	enum http_field_name known = slots[SLOT(name.size, name.start[0] | 0x20, name.start[name.size - 2] | 0x20)];
	if (fields[known].size != name.size || !equal_folded(fields[known].text, name.start, name.size))
		return HTTP_FIELD_OTHER;
	return known;
}

/* ---- statuses (the IANA registry, without what only WebDAV or nobody sends) ------------------------------------ */

#define STATUSES(X)                           \
	X(100, "Continue")                        \
	X(101, "Switching Protocols")             \
	X(103, "Early Hints")                     \
	X(200, "OK")                              \
	X(201, "Created")                         \
	X(202, "Accepted")                        \
	X(203, "Non-Authoritative Information")   \
	X(204, "No Content")                      \
	X(205, "Reset Content")                   \
	X(206, "Partial Content")                 \
	X(300, "Multiple Choices")                \
	X(301, "Moved Permanently")               \
	X(302, "Found")                           \
	X(303, "See Other")                       \
	X(304, "Not Modified")                    \
	X(307, "Temporary Redirect")              \
	X(308, "Permanent Redirect")              \
	X(400, "Bad Request")                     \
	X(401, "Unauthorized")                    \
	X(403, "Forbidden")                       \
	X(404, "Not Found")                       \
	X(405, "Method Not Allowed")              \
	X(406, "Not Acceptable")                  \
	X(408, "Request Timeout")                 \
	X(409, "Conflict")                        \
	X(410, "Gone")                            \
	X(411, "Length Required")                 \
	X(412, "Precondition Failed")             \
	X(413, "Content Too Large")               \
	X(414, "URI Too Long")                    \
	X(415, "Unsupported Media Type")          \
	X(416, "Range Not Satisfiable")           \
	X(417, "Expectation Failed")              \
	X(421, "Misdirected Request")             \
	X(422, "Unprocessable Content")           \
	X(426, "Upgrade Required")                \
	X(428, "Precondition Required")           \
	X(429, "Too Many Requests")               \
	X(431, "Request Header Fields Too Large") \
	X(451, "Unavailable For Legal Reasons")   \
	X(500, "Internal Server Error")           \
	X(501, "Not Implemented")                 \
	X(502, "Bad Gateway")                     \
	X(503, "Service Unavailable")             \
	X(504, "Gateway Timeout")                 \
	X(505, "HTTP Version Not Supported")      \
	X(508, "Loop Detected")                   \
	X(511, "Network Authentication Required")

struct span http_status_reason(int status)
{
	switch (status) {
#define X(number, text) \
	case number:        \
		return SPAN(text);
		STATUSES(X)
#undef X
	default:
		return SPAN("Unknown");
	}
}
