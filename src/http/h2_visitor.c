/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A visitor who speaks HTTP/2, as an exchange sees him: its answer becomes HEADERS and DATA frames of its stream. The functions
 * of http2_visitor, called by forward.c, upload.c and answer.c in the stream's task (h2_stream.c).
 *
 * Nothing is kept for later: a function returns when its bytes are in the connection's output, or the visitor will never take
 * them.
 */
#include "http/h2.h"

#define FIELDS_MOST (HTTP_FIELDS_MOST + HTTP_OWN_FIELDS_MOST + 4u)

static struct h2_stream *stream_of(const struct http_exchange *exchange)
{
	struct h2_stream *stream = OWNER_OF(exchange->input, struct h2_stream, input);
	CHECK_MAGIC(stream, H2_STREAM_MAGIC);
	return stream;
}

static bool is_lost(const struct h2_stream *stream)
{
	return stream->closed || stream->connection->dead;
}

/* ---- heads ----------------------------------------------------------------------------------------------------------- */

/* Names in lower case (RFC 9113 8.2.1): nghttp2 copies and lowers them. */
struct fields {
	nghttp2_nv items[FIELDS_MOST];
	unsigned count;
	char status[4], length[24];
};

static void add(struct fields *fields, struct span name, struct span value)
{
	ASSERT(fields->count < FIELDS_MOST);
	fields->items[fields->count++] = (nghttp2_nv){
	    .name = (uint8_t *)(uintptr_t)name.start,
	    .namelen = name.size,
	    .value = (uint8_t *)(uintptr_t)(value.size > 0 ? value.start : ""),
	    .valuelen = value.size,
	};
}

static void begin_fields(struct fields *fields, int status)
{
	fields->count = 0;
	fields->status[0] = (char)('0' + status / 100);
	fields->status[1] = (char)('0' + status / 10 % 10);
	fields->status[2] = (char)('0' + status % 10);
	add(fields, SPAN(":status"), span_of(fields->status, 3));
}

static void add_length(struct fields *fields, uint64_t length)
{
	char *start = fields->length + sizeof(fields->length);
	do
		*--start = (char)('0' + length % 10);
	while ((length /= 10) != 0);
	add(fields, SPAN("content-length"), span_of(start, (size_t)(fields->length + sizeof(fields->length) - start)));
}

/* Those of the server's answer that HTTP/1.1 would pass on too. */
static void add_passed(struct fields *fields, const struct http_head *head)
{
	const uint64_t without = HTTP_SET(HTTP_FIELD_CONTENT_LENGTH) | HTTP_SET(HTTP_FIELD_TRANSFER_ENCODING);

	for (unsigned i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		if (!field->dropped && (without & HTTP_SET(field->known)) == 0)
			add(fields, http_text(head, field->name), http_text(head, field->value));
	}
}

static void add_own(struct fields *fields, const struct http_exchange *exchange)
{
	for (unsigned i = 0; i < exchange->own_field_count; i++)
		add(fields, exchange->own_fields[i].name, exchange->own_fields[i].value);
}

static enum http_outcome send_interim(struct http_exchange *exchange)
{
	struct h2_stream *stream = stream_of(exchange);
	struct fields fields;

	if (is_lost(stream))
		return OUTCOME_VISITOR_GONE;
	begin_fields(&fields, exchange->response.status);
	add_passed(&fields, &exchange->response.head);
	if (nghttp2_submit_headers(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, NULL, fields.items, fields.count,
	                           NULL) != 0)
		return OUTCOME_NO_RESOURCES;
	BOARD_COUNT(exchange->core->lane, answers_1xx, 1);
	h2_pump(stream->connection);
	return OUTCOME_OK;
}

/* Frames carry the body: chunks are undone, an end of the server's connection becomes an end of the stream. */
static void choose_framing(struct http_exchange *exchange)
{
	const struct http_response *response = &exchange->response;

	http_body_init(&exchange->download, response->framing == HTTP_BODY_CHUNKED ? PASS_DECODED : PASS_PLAIN,
	               (enum http_framing)response->framing, response->length);
	exchange->delimited = exchange->keep = true;
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

static bool all_sent(const struct h2_stream *stream)
{
	return stream->offered_bytes == 0 && (!stream->end_offered || stream->end_sent);
}

/* Until what is offered has gone into the output; a visitor who takes none of it for timeout_ms has stalled. */
static enum http_outcome wait_until_sent(struct h2_stream *stream, int64_t timeout_ms)
{
	const struct loop *loop = stream->connection->client->core->loop;
	uint64_t since_us = loop_now_us(loop);
	size_t left = stream->offered_bytes;

	while (!all_sent(stream)) {
		if (is_lost(stream))
			return OUTCOME_VISITOR_GONE;
		if (stream->offered_bytes != left) {
			left = stream->offered_bytes;
			since_us = loop_now_us(loop);
		}
		int64_t left_ms = timeout_ms - (int64_t)((loop_now_us(loop) - since_us) / 1000u);
		switch (left_ms > 0 ? task_wait(&stream->changed, left_ms) : WAIT_TIMEOUT) {
		case WAIT_READY:
			break;
		case WAIT_TIMEOUT:
			return OUTCOME_VISITOR_STALLED;
		case WAIT_CANCELLED:
			return OUTCOME_STOPPING;
		}
	}
	return OUTCOME_OK;
}

static enum http_outcome send_offered(struct h2_stream *stream, int64_t timeout_ms)
{
	h2_pump(stream->connection);
	enum http_outcome outcome = wait_until_sent(stream, timeout_ms);
	stream->offered_bytes = 0; /* what is left lies in memory that goes away */
	stream->end_offered = false;
	return outcome;
}

static void offer(struct h2_stream *stream, struct iovec *parts, unsigned count, bool last)
{
	stream->parts = parts;
	stream->part_count = count;
	stream->end_offered = last;
	stream->offered_bytes = 0;
	for (unsigned i = 0; i < count; i++)
		stream->offered_bytes += parts[i].iov_len;
}

static bool submit(struct h2_stream *stream, const struct fields *fields)
{
	nghttp2_data_provider provider = {.read_callback = h2_data_read};
	bool head_only = stream->offered_bytes == 0 && stream->end_offered;

	return nghttp2_submit_response(stream->connection->session, stream->id, fields->items, fields->count,
	                               head_only ? NULL : &provider) == 0;
}

static enum http_outcome send_head(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	struct h2_stream *stream = stream_of(exchange);
	const struct http_response *response = &exchange->response;
	struct fields fields;

	if (is_lost(stream))
		return OUTCOME_VISITOR_GONE;
	begin_fields(&fields, response->status);
	add_passed(&fields, &response->head);
	if (!exchange->served_here)
		add(&fields, SPAN("via"), response->head.minor == 0 ? SPAN("1.0 noah") : SPAN("1.1 noah"));
	if ((response->head.present & HTTP_SET(HTTP_FIELD_DATE)) == 0)
		add(&fields, SPAN("date"), http_date_now(&exchange->core->date, http_core_wall_us(exchange->core)));
	add_own(&fields, exchange);
	if (response->has_length)
		add_length(&fields, response->length);
	offer(stream, parts, count, last);
	if (!submit(stream, &fields))
		return OUTCOME_NO_RESOURCES;
	exchange->answer_begun = true;
	return send_offered(stream, exchange->site->idle_timeout_ms);
}

static enum http_outcome send_body(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	struct h2_stream *stream = stream_of(exchange);

	if (is_lost(stream))
		return OUTCOME_VISITOR_GONE;
	offer(stream, parts, count, last);
	(void)nghttp2_session_resume_data(stream->connection->session, stream->id); /* fails when it does not wait for data */
	return send_offered(stream, exchange->site->idle_timeout_ms);
}

static bool send_own(struct http_exchange *exchange, struct span page, uint64_t length)
{
	struct h2_stream *stream = stream_of(exchange);
	struct iovec part = {.iov_base = (void *)(uintptr_t)page.start, .iov_len = page.size};
	struct fields fields;

	if (is_lost(stream))
		return false;
	begin_fields(&fields, exchange->status);
	add_own(&fields, exchange);
	add_length(&fields, length);
	offer(stream, &part, page.size > 0 ? 1 : 0, true);
	exchange->delimited = true;
	return submit(stream, &fields) && send_offered(stream, HTTP_OWN_PAGE_MS) == OUTCOME_OK;
}

/* ---- the rest --------------------------------------------------------------------------------------------------------- */

static enum net_result fill(struct http_exchange *exchange)
{
	return h2_stream_fill(stream_of(exchange));
}

static bool is_gone(struct http_exchange *exchange)
{
	return is_lost(stream_of(exchange));
}

static void count_bytes(const struct http_exchange *exchange, uint64_t *in, uint64_t *out)
{
	const struct h2_stream *stream = stream_of(exchange);

	*in = stream->bytes_in;
	*out = stream->bytes_out;
}

const struct http_visitor http2_visitor = {
    .version = {.start = "2.0", .size = 3},
    .send_interim = send_interim,
    .choose_framing = choose_framing,
    .send_head = send_head,
    .send_body = send_body,
    .send_own = send_own,
    .fill = fill,
    .is_gone = is_gone,
    .count_bytes = count_bytes,
};
