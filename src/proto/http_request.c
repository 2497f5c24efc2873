/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parses request heads (RFC 9112 3) and derives, once and strictly, what a proxy must know: target, host, framing, whether the
 * connection goes on. Pure; http/ calls it for visitors, the fuzzer for everything else.
 */
#include <arpa/inet.h>

#include "proto/http_scan.h"

static enum http_answer parse_line(struct http_request *request, const char *end, size_t base, struct http_error *error);
static enum http_answer parse_target(struct http_request *request, size_t base, struct http_error *error);
static enum http_answer parse_host(struct http_request *request, size_t base, struct http_error *error);
static enum http_answer parse_expectations(struct http_request *request, size_t base, struct http_error *error);

enum http_answer http_request_parse(struct http_progress *progress, const char *bytes, size_t size_bytes,
                                    struct http_request *request, size_t *used, struct http_error *error)
{
	if (!http_progress_is_worth_parsing(progress, bytes, size_bytes))
		return HTTP_MORE;
	const char *start = bytes, *end = bytes + (size_bytes < HTTP_HEAD_MOST ? size_bytes : HTTP_HEAD_MOST);

	/* RFC 9112 2.2: one empty line may follow an earlier body. */
	if (start < end && *start == '\r') {
		if (end - start < 2)
			return HTTP_MORE;
		if (start[1] != '\n')
			return http_wrong(error, HTTP_FAULT_LINE_END, 0);
		start += 2;
	}
	size_t base = (size_t)(start - bytes);
	struct http_head *head = &request->head;
	head->start = start;

	enum http_answer answer = parse_line(request, end, base, error);
	if (answer == HTTP_DONE)
		answer = http_head_parse_fields(head, end, base, error);
	if (answer == HTTP_MORE)
		return http_head_ran_out(size_bytes, error);
	if (answer == HTTP_WRONG)
		return HTTP_WRONG;
	http_head_drop_proxy_fields(head);

	struct http_connection connection;
	enum http_framing framing;
	if (parse_target(request, base, error) != HTTP_DONE || parse_host(request, base, error) != HTTP_DONE ||
	    http_head_parse_connection(head, base, &connection, error) != HTTP_DONE ||
	    http_head_parse_framing(head, base, &framing, &request->length, error) != HTTP_DONE)
		return HTTP_WRONG;
	request->framing = (uint8_t)framing;
	request->keep_alive = !connection.close && (head->minor == 1 || connection.keep_alive);
	request->upgrade = connection.upgrade && head->minor == 1;
	if (parse_expectations(request, base, error) != HTTP_DONE)
		return HTTP_WRONG;
	*used = base + head->size;
	return HTTP_DONE;
}

/* ---- request line ----------------------------------------------------------------------------------------------- */

static enum http_method find_method(struct span text)
{
	for (enum http_method method = HTTP_METHOD_GET; method <= HTTP_METHOD_PROPFIND; method++)
		if (span_equal(text, http_method_text(method)))
			return method;
	return HTTP_METHOD_OTHER;
}

/* "HTTP/1.1\r\n" at `at`. Refuses as soon as one byte is wrong. */
static enum http_answer parse_version(struct http_head *head, const char *at, const char *end, size_t base,
                                      struct http_error *error)
{
	static const char pattern[] = "HTTP/d.d\r\n";
	size_t there = (size_t)(end - at);
	for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
		if (i == there)
			return HTTP_MORE;
		bool right = pattern[i] == 'd' ? at[i] >= '0' && at[i] <= '9' : at[i] == pattern[i];
		if (!right)
			return http_wrong(error, i >= 8 ? HTTP_FAULT_LINE_END : HTTP_FAULT_REQUEST_LINE,
			                  base + (size_t)(at + i - head->start));
	}
	if (at[5] != '1' || at[7] > '1')
		return http_wrong(error, HTTP_FAULT_VERSION, base + (size_t)(at - head->start));
	head->minor = (uint8_t)(at[7] - '0');
	head->fields_at = (uint16_t)(at + sizeof(pattern) - 1 - head->start);
	return HTTP_DONE;
}

static enum http_answer parse_line(struct http_request *request, const char *end, size_t base, struct http_error *error)
{
	const char *start = request->head.start, *at = start;

	while (at < end && http_byte_is(*at, BYTE_TOKEN))
		at++;
	if (at - start > (ptrdiff_t)HTTP_METHOD_MOST)
		return http_wrong(error, HTTP_FAULT_METHOD_TOO_LONG, base + HTTP_METHOD_MOST);
	if (at == end)
		return HTTP_MORE;
	if (*at != ' ' || at == start)
		return http_wrong(error, HTTP_FAULT_METHOD, base + (size_t)(at - start));
	request->method_text = (struct http_piece){0, (uint16_t)(at - start)};
	request->method = (uint8_t)find_method(span_of(start, (size_t)(at - start)));

	const char *target = ++at, *query = NULL;
	at = http_scan_path(at, end);
	const char *path_end = at;
	if (at < end && *at == '?') {
		query = at + 1;
		at = http_scan_query(query, end);
	}
	if (at - target > (ptrdiff_t)HTTP_TARGET_MOST)
		return http_wrong(error, HTTP_FAULT_TARGET_TOO_LONG, base + (size_t)(target - start) + HTTP_TARGET_MOST);
	if (at == end)
		return HTTP_MORE;
	if (*at != ' ' || at == target)
		return http_wrong(error, *at == '\r' || *at == '\n' || at == target ? HTTP_FAULT_REQUEST_LINE : HTTP_FAULT_TARGET,
		                  base + (size_t)(at - start));
	request->target = (struct http_piece){(uint16_t)(target - start), (uint16_t)(at - target)};
	request->path = (struct http_piece){(uint16_t)(target - start), (uint16_t)(path_end - target)};
	request->has_query = query != NULL;
	request->query =
	    query == NULL ? (struct http_piece){0, 0} : (struct http_piece){(uint16_t)(query - start), (uint16_t)(at - query)};
	return parse_version(&request->head, at + 1, end, base, error);
}

/* ---- target and host (RFC 9112 3.2) ------------------------------------------------------------------------------ */

static bool is_ipv6(struct span text)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr ignored;
	return span_copy(text, copy, sizeof(copy)) && memchr(text.start, 0, text.size) == NULL &&
	       inet_pton(AF_INET6, copy, &ignored) == 1;
}

/* uri-host [":" port]: a name or IPv4 address of letters, digits and "-._~", or an IPv6 address in brackets; a port from 1 to
 * 65535. Narrower than RFC 3986, which also has percent-encodings, sub-delimiters and an empty port, that no name on the web
 * uses. */
static bool parse_authority(struct http_request *request, struct http_piece authority)
{
	struct span text = http_text(&request->head, authority);
	size_t at = 0;
	if (text.size > 0 && text.start[0] == '[') {
		const char *close = memchr(text.start, ']', text.size);
		if (close == NULL || !is_ipv6(span_of(text.start + 1, (size_t)(close - text.start - 1))))
			return false;
		at = (size_t)(close + 1 - text.start);
	} else {
		while (at < text.size && http_byte_is(text.start[at], BYTE_HOST))
			at++;
	}
	if (at == 0 || at > 255)
		return false;
	size_t name_size = text.start[at - 1] == '.' ? at - 1 : at;
	if (name_size == 0)
		return false;
	uint64_t port = 0;
	if (at < text.size) {
		if (text.start[at] != ':' || !span_to_number(span_of(text.start + at + 1, text.size - at - 1), UINT16_MAX, &port) ||
		    port == 0)
			return false;
	}
	request->host = authority;
	request->host_name = (struct http_piece){authority.at, (uint16_t)name_size};
	request->host_port = (uint16_t)port;
	return true;
}

/* Splits "http://authority/path": request->path is everything before '?'. */
static enum http_answer parse_absolute(struct http_request *request, size_t base, struct http_error *error)
{
	struct span text = http_text(&request->head, request->path);
	size_t scheme = 0;
	if (text.size >= 7 && span_equal_nocase(span_of(text.start, 7), SPAN("http://")))
		scheme = 7;
	else if (text.size >= 8 && span_equal_nocase(span_of(text.start, 8), SPAN("https://")))
		scheme = 8;
	if (scheme == 0)
		return http_wrong(error, memmem(text.start, text.size, "://", 3) != NULL ? HTTP_FAULT_SCHEME : HTTP_FAULT_TARGET_FORM,
		                  base + request->path.at);
	const char *slash = memchr(text.start + scheme, '/', text.size - scheme);
	size_t authority_size = (slash == NULL ? text.size : (size_t)(slash - text.start)) - scheme;
	struct http_piece authority = {(uint16_t)(request->path.at + scheme), (uint16_t)authority_size};
	request->https = scheme == 8;
	request->target_form = HTTP_TARGET_ABSOLUTE;
	request->path.at = (uint16_t)(authority.at + authority.size);
	request->path.size = (uint16_t)(text.size - scheme - authority_size);
	if (!parse_authority(request, authority))
		return http_wrong(error, HTTP_FAULT_HOST, base + authority.at);
	return HTTP_DONE;
}

static enum http_answer parse_target(struct http_request *request, size_t base, struct http_error *error)
{
	struct span target = http_text(&request->head, request->target);
	request->https = false;
	request->host = request->host_name = (struct http_piece){0, 0};
	request->host_port = 0;
	if (request->method == HTTP_METHOD_CONNECT) {
		request->target_form = HTTP_TARGET_AUTHORITY;
		request->path = (struct http_piece){request->target.at, 0};
		if (!parse_authority(request, request->target) || request->host_port == 0)
			return http_wrong(error, HTTP_FAULT_TARGET_FORM, base + request->target.at);
		return HTTP_DONE;
	}
	if (target.start[0] == '/') {
		request->target_form = HTTP_TARGET_ORIGIN;
		return HTTP_DONE;
	}
	if (span_equal(target, SPAN("*"))) {
		request->target_form = HTTP_TARGET_ASTERISK;
		request->path.size = 0;
		if (request->method != HTTP_METHOD_OPTIONS)
			return http_wrong(error, HTTP_FAULT_TARGET_FORM, base + request->target.at);
		return HTTP_DONE;
	}
	return parse_absolute(request, base, error);
}

static enum http_answer parse_host(struct http_request *request, size_t base, struct http_error *error)
{
	const struct http_field *field = http_first(&request->head, HTTP_FIELD_HOST);
	if (field == NULL)
		return request->head.minor == 0 ? HTTP_DONE : http_wrong(error, HTTP_FAULT_HOST_MISSING, base + request->head.size);
	if (request->head.repeated & HTTP_SET(HTTP_FIELD_HOST))
		return http_wrong(error, HTTP_FAULT_HOST_REPEATED, base + field->value.at);
	struct http_piece host = request->host, host_name = request->host_name;
	uint16_t port = request->host_port;
	if (!parse_authority(request, field->value))
		return http_wrong(error, HTTP_FAULT_HOST, base + field->value.at);
	if (request->target_form == HTTP_TARGET_ABSOLUTE || request->target_form == HTTP_TARGET_AUTHORITY) {
		request->host = host; /* the target wins, but a bad Host is refused all the same */
		request->host_name = host_name;
		request->host_port = port;
	}
	return HTTP_DONE;
}

/* ---- what else the client asks for -------------------------------------------------------------------------------- */

static bool list_has(const struct http_head *head, enum http_field_name name, struct span wanted)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		struct span rest = http_text(head, head->fields[i].value), element;
		while (head->fields[i].known == name && http_list_next(&rest, &element))
			if (span_equal_nocase(element, wanted))
				return true;
	}
	return false;
}

/* One protocol, well-formed, and not HTTP/2 in the clear, whose request noah could not vouch for (checklist 22). */
static bool upgrade_is_possible(const struct http_head *head)
{
	struct span value = http_value(head, HTTP_FIELD_UPGRADE);
	if (value.size == 0 || (head->repeated & HTTP_SET(HTTP_FIELD_UPGRADE)) != 0)
		return false;
	for (size_t at = 0; at < value.size; at++)
		if (!http_byte_is(value.start[at], BYTE_TOKEN) && value.start[at] != '/')
			return false;
	return !span_equal_nocase(value, SPAN("h2c"));
}

static enum http_answer parse_expectations(struct http_request *request, size_t base, struct http_error *error)
{
	const struct http_head *head = &request->head;
	request->upgrade = request->upgrade && upgrade_is_possible(head);
	request->takes_trailers = http_first(head, HTTP_FIELD_TE) != NULL && list_has(head, HTTP_FIELD_TE, SPAN("trailers"));
	request->expect_continue = false;
	request->has_max_forwards = false;
	request->max_forwards = 0;

	const struct http_field *expect = http_first(head, HTTP_FIELD_EXPECT);
	if (expect != NULL && head->minor == 1) { /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
		if ((head->repeated & HTTP_SET(HTTP_FIELD_EXPECT)) != 0 ||
		    !span_equal_nocase(http_text(head, expect->value), SPAN("100-continue")))
			return http_wrong(error, HTTP_FAULT_EXPECT, base + expect->value.at);
		request->expect_continue = request->framing != HTTP_BODY_NONE;
	}
	if (request->method != HTTP_METHOD_TRACE && request->method != HTTP_METHOD_OPTIONS)
		return HTTP_DONE;
	if (request->method == HTTP_METHOD_TRACE && request->framing != HTTP_BODY_NONE) /* RFC 9110 9.3.8 */
		return http_wrong(error, HTTP_FAULT_TRACE_BODY, base);
	const struct http_field *forwards = http_first(head, HTTP_FIELD_MAX_FORWARDS);
	uint64_t number;
	if (forwards == NULL)
		return HTTP_DONE;
	if ((head->repeated & HTTP_SET(HTTP_FIELD_MAX_FORWARDS)) != 0 ||
	    !span_to_number(http_text(head, forwards->value), UINT32_MAX, &number))
		return http_wrong(error, HTTP_FAULT_MAX_FORWARDS, base + forwards->value.at);
	request->has_max_forwards = true;
	request->max_forwards = (uint32_t)number;
	return HTTP_DONE;
}
