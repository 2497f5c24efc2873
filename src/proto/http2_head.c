/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP/2 request heads become HTTP/1.1 ones (RFC 9113 8.2, 8.3). Pure; http/h2_receive.c calls it for visitors,
 * tests/fuzz/fuzz_h2.c for everything else.
 *
 * A field is kept as "name: value\r\n" right away, so that writing the head is copying; cookies are kept apart from one another
 * and joined at the end. Pseudo-headers stand in front of them, without name.
 */
#include "proto/http2.h"

#include "proto/http_scan.h"

#define PART_OVERHEAD 4u /* ": " and "\r\n" */

void http2_head_begin(struct http2_head *head, char *memory, uint32_t room_bytes)
{
	*head = (struct http2_head){.memory = memory, .room = room_bytes};
}

static void refuse(struct http2_head *head, enum http_fault fault)
{
	if (head->fault == HTTP_FAULT_NONE)
		head->fault = fault;
}

/* ---- what a field may be ------------------------------------------------------------------------------------------- */

/* A token in lower case (RFC 9113 8.2.1). */
static bool is_name(struct span name)
{
	for (size_t i = 0; i < name.size; i++) {
		if (!http_byte_is(name.start[i], BYTE_TOKEN) || (name.start[i] >= 'A' && name.start[i] <= 'Z'))
			return false;
	}
	return name.size > 0;
}

/* Neither CR, LF, NUL nor another control byte: the value ends where HTTP/1.1 sees its end. */
static bool is_value(struct span value)
{
	for (size_t i = 0; i < value.size; i++) {
		unsigned char byte = (unsigned char)value.start[i];
		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return false;
	}
	/* RFC 9113 8.2.1: no blanks around it. */
	return value.size == 0 || ((unsigned char)value.start[0] > ' ' && (unsigned char)value.start[value.size - 1] > ' ');
}

/* RFC 9113 8.2.2. */
static bool is_about_connection(struct span name, struct span value)
{
	static const struct span forbidden[] = {
	    {"connection", 10}, {"keep-alive", 10}, {"proxy-connection", 16}, {"transfer-encoding", 17}, {"upgrade", 7},
	};

	for (size_t i = 0; i < COUNT_OF(forbidden); i++) {
		if (span_equal(name, forbidden[i]))
			return true;
	}
	return span_equal(name, SPAN("te")) && !span_equal(value, SPAN("trailers"));
}

/* ---- adding -------------------------------------------------------------------------------------------------------- */

/* Room for `size` bytes more, or NULL. */
static char *extend(struct http2_head *head, size_t size)
{
	if (head->fault != HTTP_FAULT_NONE)
		return NULL;
	if (head->room - head->size < size) {
		refuse(head, HTTP_FAULT_HEAD_TOO_LARGE);
		return NULL;
	}
	char *place = head->memory + head->size;
	head->size += (uint32_t)size;
	return place;
}

static void add_pseudo(struct http2_head *head, struct span name, struct span value)
{
	struct span *part = span_equal(name, SPAN(":method"))      ? &head->method
	                    : span_equal(name, SPAN(":scheme"))    ? &head->scheme
	                    : span_equal(name, SPAN(":authority")) ? &head->authority
	                    : span_equal(name, SPAN(":path"))      ? &head->path
	                                                           : NULL;

	if (part == NULL || part->start != NULL || head->regular) {
		refuse(head, HTTP_FAULT_PSEUDO);
		return;
	}
	char *place = extend(head, value.size + PART_OVERHEAD);
	if (place == NULL)
		return;
	*part = span_of(place, value.size);
	if (value.size > 0)
		memcpy(place, value.start, value.size);
	memset(place + value.size, '\n', PART_OVERHEAD); /* keeps what follows apart when a person looks at it */
}

static void add_regular(struct http2_head *head, struct span name, struct span value)
{
	head->regular = true;
	if (!is_name(name)) {
		refuse(head, HTTP_FAULT_FIELD_NAME);
		return;
	}
	if (is_about_connection(name, value)) {
		refuse(head, HTTP_FAULT_CONNECTION_FIELD);
		return;
	}
	if (++head->field_count > HTTP_FIELDS_MOST) {
		refuse(head, HTTP_FAULT_TOO_MANY_FIELDS);
		return;
	}
	bool cookie = span_equal(name, SPAN("cookie"));
	if (cookie) {
		head->cookie_count++;
		head->cookie_bytes += (uint32_t)value.size;
		head->field_count -= head->cookie_count > 1; /* they become one */
	}
	head->has_length |= span_equal(name, SPAN("content-length"));
	head->has_host |= span_equal(name, SPAN("host"));
	char *place = extend(head, name.size + value.size + PART_OVERHEAD);
	if (place == NULL)
		return;
	place = mempcpy(place, name.start, name.size);
	*place++ = ':';
	*place++ = ' ';
	if (value.size > 0)
		place = mempcpy(place, value.start, value.size);
	*place++ = '\r';
	*place = '\n';
}

void http2_head_add(struct http2_head *head, struct span name, struct span value)
{
	head->decoded_bytes += name.size + value.size;
	if (head->fault != HTTP_FAULT_NONE)
		return;
	if (!is_value(value))
		refuse(head, HTTP_FAULT_FIELD_VALUE);
	else if (name.size > 0 && name.start[0] == ':')
		add_pseudo(head, name, value);
	else
		add_regular(head, name, value);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

/* The lines of the kept fields, one after the other; *at goes from 0 to head->size. */
static struct span next_line(const struct http2_head *head, uint32_t *at)
{
	const char *start = head->memory + *at;
	const char *end = memchr(start, '\n', head->size - *at); /* values have none */

	ASSERT(end != NULL);
	*at += (uint32_t)(end + 1 - start);
	return span_of(start, (size_t)(end + 1 - start));
}

static uint32_t fields_at(const struct http2_head *head)
{
	const struct span parts[] = {head->method, head->scheme, head->authority, head->path};
	uint32_t at = 0;

	for (size_t i = 0; i < COUNT_OF(parts); i++)
		at += parts[i].start != NULL ? (uint32_t)parts[i].size + PART_OVERHEAD : 0;
	return at;
}

static bool is_field(struct span line, struct span name)
{
	return line.size > name.size && line.start[name.size] == ':' && memcmp(line.start, name.start, name.size) == 0;
}

static struct span value_of(struct span line, struct span name)
{
	return span_of(line.start + name.size + 2, line.size - name.size - PART_OVERHEAD);
}

/* What Host and :authority say must be the same (RFC 9113 8.3.1): HTTP/1.1 has one of them only. */
static enum http_fault check_hosts(const struct http2_head *head)
{
	if (head->authority.start == NULL || !head->has_host)
		return HTTP_FAULT_NONE;
	for (uint32_t at = fields_at(head); at < head->size;) {
		struct span line = next_line(head, &at);
		if (is_field(line, SPAN("host")) && !span_equal_nocase(value_of(line, SPAN("host")), head->authority))
			return HTTP_FAULT_HOSTS_DIFFER;
	}
	return HTTP_FAULT_NONE;
}

/* RFC 9113 8.3.1, 8.5. In absolute form a path would name another host. */
static enum http_fault check_target(const struct http2_head *head)
{
	if (head->method.start == NULL)
		return HTTP_FAULT_PSEUDO;
	if (span_equal(head->method, SPAN("CONNECT")))
		return head->authority.start == NULL || head->path.start != NULL || head->scheme.start != NULL ? HTTP_FAULT_PSEUDO
		                                                                                               : HTTP_FAULT_NONE;
	if (head->path.start == NULL || head->scheme.start == NULL)
		return HTTP_FAULT_PSEUDO;
	if (!span_equal_nocase(head->scheme, SPAN("http")) && !span_equal_nocase(head->scheme, SPAN("https")))
		return HTTP_FAULT_SCHEME;
	if (span_starts_with(head->path, SPAN("/")) ||
	    (span_equal(head->path, SPAN("*")) && span_equal(head->method, SPAN("OPTIONS"))))
		return HTTP_FAULT_NONE;
	return HTTP_FAULT_TARGET_FORM;
}

static void write_cookies(const struct http2_head *head, struct http_writer *writer)
{
	bool first = true;

	http_write(writer, SPAN("cookie: "));
	for (uint32_t at = fields_at(head); at < head->size;) {
		struct span line = next_line(head, &at);
		if (!is_field(line, SPAN("cookie")))
			continue;
		if (!first)
			http_write(writer, SPAN("; "));
		http_write(writer, value_of(line, SPAN("cookie")));
		first = false;
	}
	http_write(writer, SPAN("\r\n"));
}

size_t http2_head_text_bytes(const struct http2_head *head)
{
	/* The target of CONNECT stands there twice; "Content-Length: 18446744073709551615" and the empty line. */
	return head->size + head->authority.size + 128u;
}

enum http_fault http2_head_write(const struct http2_head *head, struct http_writer *writer)
{
	enum http_fault fault = head->fault;

	if (fault == HTTP_FAULT_NONE)
		fault = check_target(head);
	if (fault == HTTP_FAULT_NONE)
		fault = check_hosts(head);
	if (fault != HTTP_FAULT_NONE)
		return fault;
	http_write(writer, head->method);
	http_write(writer, SPAN(" "));
	http_write(writer, head->path.start != NULL ? head->path : head->authority);
	http_write(writer, SPAN(" HTTP/1.1\r\n"));
	if (head->authority.start != NULL)
		http_write_field(writer, SPAN("host"), head->authority);
	for (uint32_t at = fields_at(head); at < head->size;) {
		struct span line = next_line(head, &at);
		bool joined = head->cookie_count > 1 && is_field(line, SPAN("cookie"));
		if (!joined && !(head->authority.start != NULL && is_field(line, SPAN("host"))))
			http_write(writer, line);
	}
	if (head->cookie_count > 1)
		write_cookies(head, writer);
	ASSERT(!writer->failed); /* http2_head_text_bytes has said how much it is */
	return HTTP_FAULT_NONE;
}
