/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What requests and responses have in common: field lines, Connection, and how long the body is. Pure; called by http_request.c
 * and http_response.c, on whatever thread they run.
 */
#include "proto/http_scan.h"

_Static_assert(HTTP_HEAD_MOST + 2 <= UINT16_MAX, "places in a head fit struct http_piece");
_Static_assert(HTTP_FIELDS_MOST <= UINT8_MAX, "a field's index fits http_head.first");

enum http_answer http_wrong(struct http_error *error, enum http_fault fault, size_t offset)
{
	error->fault = fault;
	error->offset = offset;
	return HTTP_WRONG;
}

/* ---- heads that come in pieces --------------------------------------------------------------------------------- */

bool http_progress_is_worth_parsing(struct http_progress *progress, const char *bytes, size_t size)
{
	bool worth = progress->parsed == 0 || size / 2 >= progress->parsed || size >= HTTP_HEAD_MOST;
	/* An end may have begun in the last three bytes: LF, or LF CR. */
	const char *at = bytes + (progress->scanned > 3 ? progress->scanned - 3 : 0);
	const char *end = bytes + size;
	/* A bare LF ends lines here too: the parser shall see, and refuse, it at once. */
	while (!worth && at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		worth = end - at >= 1 && (*at == '\n' || (end - at >= 2 && at[0] == '\r' && at[1] == '\n'));
	}
	progress->scanned = (uint32_t)size;
	if (worth)
		progress->parsed = (uint32_t)size;
	return worth;
}

enum http_answer http_head_ran_out(size_t size_bytes, struct http_error *error)
{
	return size_bytes < HTTP_HEAD_MOST ? HTTP_MORE : http_wrong(error, HTTP_FAULT_HEAD_TOO_LARGE, HTTP_HEAD_MOST);
}

/* ---- field lines (RFC 9112 5) ---------------------------------------------------------------------------------- */

static inline bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* Why a name does not end in a colon. */
static enum http_fault fault_of_name_end(const char *line, const char *at)
{
	if (*at == '\n')
		return HTTP_FAULT_LINE_END;
	return at == line && is_blank(*at) ? HTTP_FAULT_FIELD_FOLDED : HTTP_FAULT_FIELD_NAME;
}

/* True for a name that is a known one but for '_' instead of '-'. */
static bool is_look_alike(struct span name)
{
	char text[32];
	if (name.size > sizeof(text))
		return false;
	for (size_t at = 0; at < name.size; at++)
		text[at] = name.start[at] == '_' ? '-' : name.start[at];
	return http_field_find(span_of(text, name.size)) != HTTP_FIELD_OTHER;
}

enum http_answer http_head_parse_fields(struct http_head *head, const char *end, size_t base, struct http_error *error)
{
	const char *start = head->start, *at = start + head->fields_at;
	uint64_t present = 0, repeated = 0;
	unsigned count = 0;

	for (;; count++) {
		const char *line = at;
		if (at == end)
			return HTTP_MORE;
		if (*at == '\r') {
			if (end - at < 2)
				return HTTP_MORE;
			if (at[1] != '\n')
				return http_wrong(error, HTTP_FAULT_LINE_END, base + (size_t)(at - start));
			break;
		}
		if (count == HTTP_FIELDS_MOST)
			return http_wrong(error, HTTP_FAULT_TOO_MANY_FIELDS, base + (size_t)(at - start));

		bool look_alike = false;
		at = http_scan_name(at, end);
		if (UNLIKELY(at < end && *at != ':')) {
			while (at < end && http_byte_is(*at, BYTE_TOKEN))
				at++;
			look_alike = is_look_alike(span_of(line, (size_t)(at - line)));
		}
		if (at == end)
			return HTTP_MORE;
		if (*at != ':' || at == line)
			return http_wrong(error, fault_of_name_end(line, at), base + (size_t)(at - start));
		struct span name = span_of(line, (size_t)(at - line));
		enum http_field_name known = http_field_find(name);
		uint64_t bit = HTTP_SET(known);

		for (at++; at < end && is_blank(*at);)
			at++;
		const char *value = at;
		at = http_scan_value(at, end);
		if (at == end || (*at == '\r' && end - at < 2))
			return HTTP_MORE;
		if (*at != '\r' || at[1] != '\n')
			return http_wrong(error, *at == '\r' || *at == '\n' ? HTTP_FAULT_LINE_END : HTTP_FAULT_FIELD_VALUE,
			                  base + (size_t)(at - start));
		const char *value_end = at;
		while (value_end > value && is_blank(value_end[-1]))
			value_end--;
		at += 2;

		repeated |= present & bit;
		if ((present & bit) == 0)
			head->first[known] = (uint8_t)count;
		present |= bit;
		struct http_field *field = &head->fields[count];
		field->name = (struct http_piece){(uint16_t)(line - start), (uint16_t)name.size};
		field->value = (struct http_piece){(uint16_t)(value - start), (uint16_t)(value_end - value)};
		field->known = (uint8_t)known;
		field->dropped = look_alike || (http_hop_fields & bit) != 0;
	}
	head->present = present;
	head->repeated = repeated;
	head->field_count = (uint16_t)count;
	head->size = (uint16_t)(at + 2 - start);
	return HTTP_DONE;
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

bool http_list_next(struct span *rest, struct span *element)
{
	if (rest->start == NULL)
		return false;
	const char *comma = rest->size == 0 ? NULL : memchr(rest->start, ',', rest->size);
	const char *end = rest->start + rest->size, *stop = comma == NULL ? end : comma;
	const char *at = rest->start;
	while (at < stop && is_blank(*at))
		at++;
	while (stop > at && is_blank(stop[-1]))
		stop--;
	*element = span_of(at, (size_t)(stop - at));
	*rest = comma == NULL ? span_of(NULL, 0) : span_of(comma + 1, (size_t)(end - comma - 1));
	return true;
}

static bool is_token(struct span text)
{
	for (size_t at = 0; at < text.size; at++)
		if (!http_byte_is(text.start[at], BYTE_TOKEN))
			return false;
	return text.size > 0;
}

/* ---- Connection (RFC 9110 7.6.1) -------------------------------------------------------------------------------- */

static void drop_named(struct http_head *head, struct span name)
{
	for (unsigned i = 0; i < head->field_count; i++)
		if (head->fields[i].known == HTTP_FIELD_OTHER && span_equal_nocase(http_text(head, head->fields[i].name), name))
			head->fields[i].dropped = true;
}

enum http_answer http_head_parse_connection(struct http_head *head, size_t base, struct http_connection *connection,
                                            struct http_error *error)
{
	unsigned nominations = 0;
	*connection = (struct http_connection){0};
	if ((head->present & HTTP_SET(HTTP_FIELD_CONNECTION)) == 0)
		return HTTP_DONE;
	for (unsigned i = head->first[HTTP_FIELD_CONNECTION]; i < head->field_count; i++) {
		if (head->fields[i].known != HTTP_FIELD_CONNECTION)
			continue;
		struct span rest = http_text(head, head->fields[i].value), name;
		while (http_list_next(&rest, &name)) {
			if (name.size == 0)
				continue; /* RFC 9110 5.6.1.2; bounded by the head's size */
			if (!is_token(name))
				return http_wrong(error, HTTP_FAULT_CONNECTION, base + (size_t)(name.start - head->start));
			if (span_equal_nocase(name, SPAN("close"))) {
				connection->close = true;
				continue;
			}
			enum http_field_name known = http_field_find(name);
			connection->keep_alive |= known == HTTP_FIELD_KEEP_ALIVE;
			connection->upgrade |= known == HTTP_FIELD_UPGRADE;
			if (known != HTTP_FIELD_OTHER)
				continue; /* hop-by-hop anyway, or meant for the far end and not to be removed (checklist 12) */
			if (nominations++ == HTTP_NOMINATIONS_MOST)
				return http_wrong(error, HTTP_FAULT_CONNECTION, base + (size_t)(name.start - head->start));
			drop_named(head, name);
		}
	}
	return HTTP_DONE;
}

/* ---- framing (RFC 9112 6) --------------------------------------------------------------------------------------- */

static enum http_answer parse_coding(const struct http_head *head, size_t base, struct http_error *error)
{
	const struct http_field *field = http_first(head, HTTP_FIELD_TRANSFER_ENCODING);
	struct span rest = http_text(head, field->value), coding = {NULL, 0};
	size_t offset = base + field->value.at;
	bool others = false, last_is_chunked = false;

	if (head->present & HTTP_SET(HTTP_FIELD_CONTENT_LENGTH))
		return http_wrong(error, HTTP_FAULT_LENGTH_AND_CODING, offset);
	if (head->minor == 0)
		return http_wrong(error, HTTP_FAULT_CODING_VERSION, offset);
	if (head->repeated & HTTP_SET(HTTP_FIELD_TRANSFER_ENCODING))
		return http_wrong(error, HTTP_FAULT_CODING, offset);
	while (http_list_next(&rest, &coding)) {
		/* Not a token, an empty element, or anything behind chunked: others may read something else into it. */
		if (!is_token(coding) || last_is_chunked)
			return http_wrong(error, HTTP_FAULT_CODING, offset);
		last_is_chunked = span_equal_nocase(coding, SPAN("chunked"));
		others |= !last_is_chunked;
	}
	return others ? http_wrong(error, HTTP_FAULT_CODING_UNKNOWN, offset) : HTTP_DONE;
}

enum http_answer http_head_parse_framing(const struct http_head *head, size_t base, enum http_framing *framing, uint64_t *length,
                                         struct http_error *error)
{
	*framing = HTTP_BODY_NONE;
	*length = 0;
	if (head->present & HTTP_SET(HTTP_FIELD_TRANSFER_ENCODING)) {
		*framing = HTTP_BODY_CHUNKED;
		return parse_coding(head, base, error);
	}
	const struct http_field *field = http_first(head, HTTP_FIELD_CONTENT_LENGTH);
	if (field == NULL)
		return HTTP_DONE;
	/* RFC 9110 8.6 would allow to merge equal ones; nobody honest sends them. */
	if (head->repeated & HTTP_SET(HTTP_FIELD_CONTENT_LENGTH))
		return http_wrong(error, HTTP_FAULT_LENGTH_REPEATED, base + field->value.at);
	struct span value = http_text(head, field->value);
	for (size_t at = 0; at < value.size; at++) {
		unsigned digit = (unsigned)(value.start[at] - '0');
		if (digit > 9 || *length > ((uint64_t)INT64_MAX - digit) / 10)
			return http_wrong(error, HTTP_FAULT_LENGTH, base + field->value.at + at);
		*length = *length * 10 + digit;
	}
	if (value.size == 0)
		return http_wrong(error, HTTP_FAULT_LENGTH, base + field->value.at);
	*framing = HTTP_BODY_LENGTH;
	return HTTP_DONE;
}
