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

/* The table is sorted by size: fields of `size` bytes are those from first_of_size[size] to before first_of_size[size + 1]. The
 * unit test finds every name through it. */
static const uint8_t first_of_size[FIELD_TEXT_MOST + 2] = {
    HTTP_FIELD_TE,
    HTTP_FIELD_TE,
    HTTP_FIELD_TE,
    HTTP_FIELD_AGE,
    HTTP_FIELD_DATE,
    HTTP_FIELD_ALLOW,
    HTTP_FIELD_ACCEPT,
    HTTP_FIELD_EXPIRES,
    HTTP_FIELD_IF_MATCH,
    HTTP_FIELD_FORWARDED,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_RETRY_AFTER,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_X_FORWARDED_FOR,
    HTTP_FIELD_X_FORWARDED_HOST,
    HTTP_FIELD_X_FORWARDED_PROTO,
    HTTP_FIELD_PROXY_AUTHENTICATE,
    HTTP_FIELD_IF_UNMODIFIED_SINCE,
    HTTP_FIELD_NAMES,
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

/* Both have `size` bytes; `known` comes from the table and `name` is a token. Leaving out bit 5 folds letters; the other bytes
 * that it makes equal to a letter, a digit or '-' are controls, which no token has. */
static inline bool equal_folded(const char *known, const char *name, size_t size)
{
	const uint64_t all_but_case = ~UINT64_C(0x2020202020202020);
	uint64_t different = 0;
	if (size >= 8) {
		different = load_64(known + size - 8) ^ load_64(name + size - 8);
		for (size_t at = 0; at + 8 < size; at += 8)
			different |= load_64(known + at) ^ load_64(name + at);
	} else if (size >= 4) {
		different = (load_32(known) ^ load_32(name)) | (load_32(known + size - 4) ^ load_32(name + size - 4));
	} else {
		for (size_t at = 0; at < size; at++)
			different |= (unsigned char)(known[at] ^ name[at]);
	}
	return (different & all_but_case) == 0;
}

enum http_field_name http_field_find(struct span name)
{
	if (name.size > FIELD_TEXT_MOST)
		return HTTP_FIELD_OTHER;
	for (unsigned known = first_of_size[name.size]; known < first_of_size[name.size + 1]; known++)
		if (equal_folded(fields[known].text, name.start, name.size))
			return known;
	return HTTP_FIELD_OTHER;
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
