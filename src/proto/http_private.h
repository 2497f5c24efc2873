/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the http_*.c files share and nobody else sees: classes of bytes, and the parsing of field lines and lists.
 */
#ifndef NOAH_PROTO_HTTP_PRIVATE_H
#define NOAH_PROTO_HTTP_PRIVATE_H

#include "proto/http.h"

enum byte_class {
	BYTE_TOKEN = 1,       /* tchar, RFC 9110 5.6.2 */
	BYTE_VALUE = 2,       /* field-content and blanks: HTAB, SP, VCHAR, obs-text, RFC 9110 5.5 */
	BYTE_PATH = 4,        /* what may stand in a target before '?': VCHAR without  " # < > ? \  */
	BYTE_QUERY = 8,       /* and behind it: VCHAR without  " # < > */
	BYTE_HOST = 16,       /* letters, digits and  - . _ ~  */
	BYTE_UNDERSCORE = 32, /* '_', which CGI takes for '-' */
	BYTE_UNRESERVED = 16, /* RFC 3986 2.3: the same bytes as in a host */
};
extern const uint8_t http_byte_class[256];

static inline bool http_byte_is(char byte, unsigned classes)
{
	return (http_byte_class[(unsigned char)byte] & classes) != 0;
}
/* 0 to 15, or -1. */
int http_hex_digit(char byte);

/* Known fields that are hop-by-hop. */
extern const uint64_t http_hop_fields;

/* Sets *error and returns HTTP_WRONG. */
enum http_answer http_wrong(struct http_error *error, enum http_fault fault, size_t offset);
/* False while the bytes that came since the last try cannot change the answer HTTP_MORE: the head's end is not among them, and
 * they have not doubled (so that faults are found early, and the work in all stays linear). */
bool http_progress_is_worth_parsing(struct http_progress *progress, const char *bytes, size_t size);
/* The answer when the bytes ran out: HTTP_MORE unless the head has reached its bound. */
enum http_answer http_head_ran_out(size_t size_bytes, struct http_error *error);
/* Parses field lines from head->fields_at to the empty line; fills the fields and head->size. `base` is what stands before
 * head->start and counts in *error. HTTP_MORE: ran out. */
enum http_answer http_head_parse_fields(struct http_head *head, const char *end, size_t base, struct http_error *error);

/* Of a request: marks the fields as dropped that only a proxy may set, but for the known ones. (http_proxy_fields.c) */
void http_head_drop_proxy_fields(struct http_head *head);

struct http_connection {
	bool close, keep_alive, upgrade;
};
/* Reads all Connection fields and marks what they name as dropped. */
enum http_answer http_head_parse_connection(struct http_head *head, size_t base, struct http_connection *connection,
                                            struct http_error *error);
/* Content-Length and Transfer-Encoding, strictly: NONE when neither is there, LENGTH with *length, or CHUNKED. */
enum http_answer http_head_parse_framing(const struct http_head *head, size_t base, enum http_framing *framing, uint64_t *length,
                                         struct http_error *error);

/* Cuts the next element off a comma-separated list, without blanks around it; it may be empty. False at the end. */
bool http_list_next(struct span *rest, struct span *element);

#endif
