/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto/http2: the head of an HTTP/2 request (RFC 9113 8.2, 8.3), written as the head of an HTTP/1.1 request.
 *
 * Pure, like proto/http.h. Fields come one by one, as the header compression gives them out; what HTTP/2 forbids is refused here,
 * and the text that comes out is then read by http_request_parse, which refuses whatever would have two readings. Nothing else
 * turns HTTP/2 into HTTP/1.1. Frames and compression are nghttp2's.
 */
#ifndef NOAH_PROTO_HTTP2_H
#define NOAH_PROTO_HTTP2_H

#include "proto/http.h"

/* One head while it comes. */
struct http2_head {
	char *memory; /* the caller's: the fields, one behind the other */
	uint32_t room, size;
	uint32_t field_count;
	uint32_t cookie_count, cookie_bytes;
	struct span method, scheme, authority, path; /* .start is NULL: not there */
	bool regular;                                /* a field that is no pseudo-header has come */
	bool has_length, has_host;
	uint64_t decoded_bytes; /* of all names and values, also those that found no room */
	enum http_fault fault;  /* the first one */
};

/* Of names and values, HTTP_HEAD_MOST bytes are enough room: larger heads are refused anyway. */
void http2_head_begin(struct http2_head *head, char *memory, uint32_t room_bytes);
/* The next field. What is wrong with it stands in head->fault; the fields behind it may still be added. */
void http2_head_add(struct http2_head *head, struct span name, struct span value);
/* Room that http2_head_write needs at most, its own end and framing included. */
size_t http2_head_text_bytes(const struct http2_head *head);
/* The request line, Host and the fields; cookies are joined (RFC 9113 8.2.3). Neither Content-Length if none came, nor
 * Transfer-Encoding, nor the empty line: the caller knows them. HTTP_FAULT_NONE, or why not. */
enum http_fault http2_head_write(const struct http2_head *head, struct http_writer *writer) MUST_CHECK;

#endif
