/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parses response heads (RFC 9112 4) with the strictness of requests: an answer that could end in two places would let a server
 * poison the connection's next visitor. Pure; http/ calls it for application servers, watch/ for its checks.
 */
#include "proto/http_private.h"

static enum http_answer parse_line(struct http_response *response, const char *end, struct http_error *error);
static enum http_answer derive_framing(struct http_response *response, enum http_method method, struct http_error *error);

enum http_answer http_response_parse(struct http_progress *progress, const char *bytes, size_t size_bytes,
                                     enum http_method method, struct http_response *response, size_t *used,
                                     struct http_error *error)
{
	if (!http_progress_is_worth_parsing(progress, bytes, size_bytes))
		return HTTP_MORE;
	struct http_head *head = &response->head;
	const char *end = bytes + (size_bytes < HTTP_HEAD_MOST ? size_bytes : HTTP_HEAD_MOST);
	head->start = bytes;

	enum http_answer answer = parse_line(response, end, error);
	if (answer == HTTP_DONE)
		answer = http_head_parse_fields(head, end, 0, error);
	if (answer == HTTP_MORE)
		return http_head_ran_out(size_bytes, error);
	if (answer == HTTP_WRONG)
		return HTTP_WRONG;

	struct http_connection connection;
	if (http_head_parse_connection(head, 0, &connection, error) != HTTP_DONE)
		return HTTP_WRONG;
	response->keep_alive = !connection.close && (head->minor == 1 || connection.keep_alive);
	if (derive_framing(response, method, error) != HTTP_DONE)
		return HTTP_WRONG;
	*used = head->size;
	return HTTP_DONE;
}

/* "HTTP/1.1 200 OK\r\n". The space before an empty reason may be missing: servers do leave it out, and it changes nothing. */
static enum http_answer parse_line(struct http_response *response, const char *end, struct http_error *error)
{
	static const char pattern[] = "HTTP/d.d ddd";
	struct http_head *head = &response->head;
	const char *at = head->start;
	size_t there = (size_t)(end - at);

	for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
		if (i == there)
			return HTTP_MORE;
		bool right = pattern[i] == 'd' ? at[i] >= '0' && at[i] <= '9' : at[i] == pattern[i];
		if (!right)
			return http_wrong(error, HTTP_FAULT_STATUS_LINE, i);
	}
	if (at[5] != '1' || at[7] > '1')
		return http_wrong(error, HTTP_FAULT_VERSION, 5);
	head->minor = (uint8_t)(at[7] - '0');
	response->status = (uint16_t)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
	if (response->status < 100 || response->status > 599)
		return http_wrong(error, HTTP_FAULT_STATUS_LINE, 9);

	at += sizeof(pattern) - 1;
	if (at == end)
		return HTTP_MORE;
	if (*at != ' ' && *at != '\r')
		return http_wrong(error, *at == '\n' ? HTTP_FAULT_LINE_END : HTTP_FAULT_STATUS_LINE, (size_t)(at - head->start));
	const char *reason = *at == ' ' ? ++at : at;
	while (at < end && http_byte_is(*at, BYTE_VALUE))
		at++;
	if (at == end || (*at == '\r' && end - at < 2))
		return HTTP_MORE;
	if (*at != '\r' || at[1] != '\n')
		return http_wrong(error, *at == '\r' || *at == '\n' ? HTTP_FAULT_LINE_END : HTTP_FAULT_STATUS_LINE,
		                  (size_t)(at - head->start));
	response->reason = (struct http_piece){(uint16_t)(reason - head->start), (uint16_t)(at - reason)};
	head->fields_at = (uint16_t)(at + 2 - head->start);
	return HTTP_DONE;
}

/* RFC 9112 6.3. What is malformed is refused even where it would not count. */
static enum http_answer derive_framing(struct http_response *response, enum http_method method, struct http_error *error)
{
	struct http_head *head = &response->head;
	enum http_framing stated;
	unsigned status = response->status;
	if (http_head_parse_framing(head, 0, &stated, &response->length, error) != HTTP_DONE)
		return HTTP_WRONG;
	response->has_length = stated == HTTP_BODY_LENGTH;

	if (status == 101 || (method == HTTP_METHOD_CONNECT && status >= 200 && status < 300)) {
		response->framing = HTTP_BODY_TUNNEL;
		response->has_length = response->keep_alive = false;
	} else if (status < 200 || status == 204) {
		/* They have no body and must not claim one (RFC 9110 8.6, RFC 9112 6.1). A server that does may send it all the same:
		 * nothing that follows on this connection could be trusted. */
		response->framing = HTTP_BODY_NONE;
		if (stated == HTTP_BODY_CHUNKED || response->length > 0) {
			if (status < 200)
				return http_wrong(error, HTTP_FAULT_STATUS_LINE, 9);
			response->keep_alive = false;
		}
		response->has_length = false;
	} else if (method == HTTP_METHOD_HEAD || status == 304) {
		response->framing = HTTP_BODY_NONE;
	} else if (stated == HTTP_BODY_NONE) {
		response->framing = HTTP_BODY_UNTIL_CLOSE;
		response->keep_alive = false;
	} else {
		response->framing = (uint8_t)stated;
	}
	if (!response->has_length)
		response->length = 0;
	return HTTP_DONE;
}
