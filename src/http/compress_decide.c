/* SPDX-License-Identifier: BSD-2-Clause
 *
 * May this answer be compressed, and is it? Asked once for each answer before its head goes out: by answer_fields.c for those of
 * apps, by static*.c for files. docs/http.md has the rules in words.
 *
 * Most answers fail the first looks, which are at what the parser has found already; names are compared only when an answer could
 * be compressed otherwise.
 */
#include "http/compress.h"

/* ---- what gets smaller ------------------------------------------------------------------------------------------------- */

/* Beside all that begins with "text/", or ends in "+json" or "+xml". */
static const struct span types[] = {
    SPAN("application/json"),
    SPAN("application/javascript"),
    SPAN("application/xml"),
    SPAN("application/x-javascript"),
    SPAN("application/ecmascript"),
    SPAN("application/wasm"),
    SPAN("application/x-ndjson"),
    SPAN("application/jsonlines"),
    SPAN("application/yaml"),
    SPAN("application/toml"),
    SPAN("application/rtf"),
    SPAN("application/sql"),
    SPAN("application/graphql"),
    SPAN("application/x-httpd-php-source"),
    SPAN("application/vnd.ms-fontobject"),
    SPAN("application/x-font-ttf"),
    SPAN("font/ttf"),
    SPAN("font/otf"),
    SPAN("font/sfnt"),
    SPAN("font/collection"),
    SPAN("image/bmp"),
    SPAN("image/x-icon"),
    SPAN("image/vnd.microsoft.icon"),
    SPAN("image/x-portable-graymap"),
    SPAN("image/x-portable-pixmap"),
};

bool http_media_type_is_compressible(struct span type)
{
	struct span name = span_trim(span_cut(&type, ';'));

	if (span_starts_with_nocase(name, SPAN("text/")))
		return !span_equal_nocase(name, SPAN("text/event-stream")); /* hours of single lines would hold a compressor */
	if (span_ends_with_nocase(name, SPAN("+json")) || span_ends_with_nocase(name, SPAN("+xml")))
		return true;
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		if (span_equal_nocase(name, types[i]))
			return true;
	}
	return false;
}

/* ---- fields ------------------------------------------------------------------------------------------------------------- */

/* One of the field's values (lists in any of its lines) is this word. */
static bool field_says(const struct http_head *head, enum http_field_name name, struct span word)
{
	if ((head->present & HTTP_SET(name)) == 0)
		return false;
	for (unsigned i = head->first[name]; i < head->field_count; i++) {
		if (head->fields[i].known != name)
			continue;
		struct span list = http_text(head, head->fields[i].value);
		while (list.start != NULL) {
			if (span_equal_nocase(span_trim(span_cut(&list, ',')), word))
				return true;
		}
	}
	return false;
}

void http_drop_known(struct http_head *head, enum http_field_name name)
{
	if ((head->present & HTTP_SET(name)) == 0)
		return;
	head->fields[head->first[name]].dropped = true;
	if ((head->repeated & HTTP_SET(name)) == 0)
		return;
	for (unsigned i = head->first[name]; i < head->field_count; i++)
		head->fields[i].dropped |= head->fields[i].known == name;
}

static struct http_field *find_other(struct http_head *head, struct span name)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (head->fields[i].known == HTTP_FIELD_OTHER && span_equal_nocase(http_text(head, head->fields[i].name), name))
			return &head->fields[i];
	}
	return NULL;
}

/* What is said about the bytes as the app made them (RFC 9530, RFC 3230, RFC 1864) would be wrong of others. */
static bool has_digest(struct http_head *head)
{
	static const struct span names[] = {SPAN("Repr-Digest"), SPAN("Content-Digest"), SPAN("Digest"), SPAN("Content-MD5")};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (find_other(head, names[i]) != NULL)
			return true;
	}
	return false;
}

/* Caches must not give this answer to visitors who take other codings (RFC 9110 12.5.5). */
static void add_vary(struct http_exchange *exchange)
{
	exchange_add_field(exchange, SPAN("Vary"), SPAN("Accept-Encoding"));
}

struct span http_weak_tag(struct span tag)
{
	if (span_starts_with(tag, SPAN("W/\"")))
		return tag;
	if (tag.size < 2 || tag.start[0] != '"' || tag.start[tag.size - 1] != '"')
		return SPAN("");
	const char *weak = arena_printf(task_arena(), "W/%.*s", (int)tag.size, tag.start);
	return weak != NULL ? span_of(weak, tag.size + 2) : SPAN("");
}

/* Compressed and not, the bytes differ, and again with the next version of a compressor: only a weak tag is true of all of them
 * (RFC 9110 8.8.1). */
static void weaken_tag(struct http_exchange *exchange)
{
	struct http_head *head = &exchange->response.head;
	struct span weak = http_weak_tag(http_value(head, HTTP_FIELD_ETAG));

	if ((head->present & HTTP_SET(HTTP_FIELD_ETAG)) == 0)
		return;
	http_drop_known(head, HTTP_FIELD_ETAG);
	if (weak.size > 0)
		exchange_add_field(exchange, SPAN("ETag"), weak);
}

/* ---- the decision --------------------------------------------------------------------------------------------------------- */

static bool begin(struct http_exchange *exchange, bool has_length, uint64_t length)
{
	const struct http_head *request = &exchange->request.head;
	/* HTTP/1.0 has no chunks: the answer would lose its length, and with it the connection its next request. */
	enum http_coding coding = request->minor == 0 ? CODING_NONE : http_coding_choose(request, CODING_ALL);
	struct http_coded *coded;

	if (coding == CODING_NONE || field_says(request, HTTP_FIELD_CACHE_CONTROL, SPAN("no-transform")) ||
	    (coded = arena_allocate_zeroed(task_arena(), sizeof(*coded))) == NULL)
		return false;
	if (exchange->request.method != HTTP_METHOD_HEAD) {
		coded->compressor = http_compressor_take(exchange->core, coding, has_length, length);
		if (coded->compressor == NULL) {
			BOARD_COUNT(exchange->core->lane, compressors_exhausted, 1);
			return false;
		}
		BOARD_COUNT(exchange->core->lane, answers_compressed, 1);
	}
	exchange->coded = coded;
	exchange_add_field(exchange, SPAN("Content-Encoding"), http_coding_token(coding));
	return true;
}

bool http_compress_decide(struct http_exchange *exchange, struct span type, bool has_length, uint64_t length)
{
	if (exchange->answers->compress == COMPRESS_NONE || (has_length && length < COMPRESS_LEAST_BYTES) ||
	    !http_media_type_is_compressible(type))
		return false;
	add_vary(exchange);
	return begin(exchange, has_length, length);
}

bool http_holds_weakened(const struct http_head *request, struct span tag)
{
	if ((request->present & HTTP_SET(HTTP_FIELD_IF_NONE_MATCH)) == 0 || tag.size == 0 || tag.start[0] != '"')
		return false;
	for (unsigned i = request->first[HTTP_FIELD_IF_NONE_MATCH]; i < request->field_count; i++) {
		struct span his = http_text(request, request->fields[i].value);
		const char *at = request->fields[i].known == HTTP_FIELD_IF_NONE_MATCH && his.size > 0
		                     ? memmem(his.start, his.size, tag.start, tag.size)
		                     : NULL;
		if (at != NULL && at - his.start >= 2 && at[-1] == '/' && at[-2] == 'W')
			return true;
	}
	return false;
}

/* His copy was compressed: then its tag was weakened, and he must find it again (RFC 9111 4.3.4). */
static void answer_not_modified(struct http_exchange *exchange)
{
	struct http_head *head = &exchange->response.head;

	if (!http_holds_weakened(&exchange->request.head, http_value(head, HTTP_FIELD_ETAG)))
		return;
	weaken_tag(exchange);
	if (!field_says(head, HTTP_FIELD_VARY, SPAN("Accept-Encoding")))
		add_vary(exchange);
}

/* Whoever asks, with whatever Accept-Encoding. */
static bool is_candidate(struct http_exchange *exchange)
{
	struct http_response *response = &exchange->response;
	struct http_head *head = &response->head;
	uint64_t not_these = HTTP_SET(HTTP_FIELD_CONTENT_ENCODING) | HTTP_SET(HTTP_FIELD_CONTENT_RANGE);

	if (exchange->answers->compress == COMPRESS_SAFE)
		not_these |= HTTP_SET(HTTP_FIELD_SET_COOKIE);
	if ((head->present & not_these) != 0 || (head->present & HTTP_SET(HTTP_FIELD_CONTENT_TYPE)) == 0 ||
	    (head->repeated & HTTP_SET(HTTP_FIELD_CONTENT_TYPE)) != 0)
		return false;
	if (response->status < 200 || response->status == 204 || response->status == 206 || response->status == 304 ||
	    (response->framing == HTTP_BODY_NONE && exchange->request.method != HTTP_METHOD_HEAD))
		return false;
	if (response->has_length && response->length < COMPRESS_LEAST_BYTES)
		return false;
	return http_media_type_is_compressible(http_value(head, HTTP_FIELD_CONTENT_TYPE)) &&
	       !field_says(head, HTTP_FIELD_CACHE_CONTROL, SPAN("no-transform")) && !has_digest(head);
}

bool http_compress_decide_response(struct http_exchange *exchange)
{
	struct http_response *response = &exchange->response;

	if (exchange->answers->compress == COMPRESS_NONE)
		return false;
	if (response->status == 304)
		answer_not_modified(exchange);
	if (!is_candidate(exchange))
		return false;
	if (!field_says(&response->head, HTTP_FIELD_VARY, SPAN("Accept-Encoding")) &&
	    !field_says(&response->head, HTTP_FIELD_VARY, SPAN("*")))
		add_vary(exchange);
	if (!begin(exchange, response->has_length, response->length))
		return false;
	weaken_tag(exchange);
	struct http_field *ranges = find_other(&response->head, SPAN("Accept-Ranges"));
	if (ranges != NULL)
		ranges->dropped = true; /* a part of the compressed answer is nothing that the app could give */
	response->has_length = false;
	response->length = 0;
	if (response->framing != HTTP_BODY_NONE)
		response->framing = HTTP_BODY_UNTIL_CLOSE;
	return true;
}
