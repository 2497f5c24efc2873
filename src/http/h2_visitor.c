/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A visitor who speaks HTTP/2, as an exchange sees him: its answer becomes HEADERS and DATA frames of its stream. The functions
 * of http2_visitor, called by forward.c, upload.c and answer.c in the stream's task (h2_stream.c).
 *
 * What is offered lies in memory that lasts until it has gone into the connection's output: in what was absorbed of the answer
 * (absorb.c), or in the hands of a function that waits for that.
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

/* What has gone into the output since it was asked for last. */
static size_t settle(struct h2_stream *stream)
{
	size_t bytes = stream->offered_before - stream->offered_bytes;

	stream->offered_before = stream->offered_bytes;
	return bytes;
}

/* From here on frames are made of what is absorbed and of these parts: the same bytes as before, perhaps in another place, and
 * more behind them. */
static void offer(struct http_exchange *exchange, struct h2_stream *stream, const struct iovec *parts, unsigned count, bool last)
{
	unsigned offered = 0;

	if (exchange->absorbed.left > 0)
		offered = http_spool_parts(&exchange->absorbed, stream->offered, H2_OFFERED_PARTS);
	bool all = count <= H2_OFFERED_PARTS - offered;
	for (unsigned i = 0; i < count && offered < H2_OFFERED_PARTS; i++)
		stream->offered[offered++] = parts[i];
	stream->parts = stream->offered;
	stream->part_count = offered;
	stream->offered_bytes = 0;
	for (unsigned i = 0; i < offered; i++)
		stream->offered_bytes += stream->offered[i].iov_len;
	stream->offered_before = stream->offered_bytes;
	stream->end_offered = last && all && (offered < H2_OFFERED_PARTS || count > 0);
}

static enum http_outcome give(struct http_exchange *exchange, struct iovec **parts, unsigned *count, bool last)
{
	struct h2_stream *stream = stream_of(exchange);

	if (is_lost(stream) && (!stream->end_sent || stream->connection->dead))
		return OUTCOME_VISITOR_GONE;
	http_absorb_took(exchange, parts, count, settle(stream));
	if (stream->end_sent)
		return OUTCOME_OK; /* the last of it left by itself, and with it his stream was over */
	offer(exchange, stream, *parts, *count, last);
	(void)nghttp2_session_resume_data(stream->connection->session, stream->id); /* fails when it does not wait for data */
	h2_pump(stream->connection);
	http_absorb_took(exchange, parts, count, settle(stream));
	return OUTCOME_OK; /* when he has it all his stream may be over */
}

static bool is_behind(const struct http_exchange *exchange)
{
	const struct h2_stream *stream = stream_of(exchange);
	return exchange->absorbed.left > 0 || (exchange->end_absorbed && !stream->end_sent);
}

/* His stream waits for its window: what it got. It waits for its turn among others: what his connection takes. */
static uint64_t taken(struct http_exchange *exchange)
{
	struct h2_stream *stream = stream_of(exchange);
	struct h2_connection *connection = stream->connection;
	uint64_t of_connection = h2_bytes_taken(connection), of_stream = stream->bytes_out - stream->bytes_out_seen;

	if (is_lost(stream))
		return 0;
	uint64_t bytes = of_connection > exchange->taken_seen ? of_connection - exchange->taken_seen : 0;
	exchange->taken_seen += bytes;
	stream->bytes_out_seen = stream->bytes_out;
	return nghttp2_session_get_stream_remote_window_size(connection->session, stream->id) <= 0 ? of_stream : bytes;
}

static size_t size_of(const struct iovec *parts, unsigned count)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size;
}

static bool submit(struct h2_stream *stream, const struct fields *fields, bool head_only)
{
	nghttp2_data_provider provider = {.read_callback = h2_data_read};

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
	if (!submit(stream, &fields, last && size_of(parts, count) == 0))
		return OUTCOME_NO_RESOURCES;
	exchange->answer_begun = true;
	return http_absorb(exchange, parts, count, last);
}

static enum http_outcome send_body(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	return http_absorb(exchange, parts, count, last);
}

static bool send_own(struct http_exchange *exchange, struct span page, uint64_t length)
{
	struct h2_stream *stream = stream_of(exchange);
	struct iovec part = {.iov_base = (void *)(uintptr_t)page.start, .iov_len = page.size}, *parts = &part;
	unsigned count = page.size > 0 ? 1 : 0;
	struct fields fields;

	if (is_lost(stream))
		return false;
	begin_fields(&fields, exchange->status);
	add_own(&fields, exchange);
	add_length(&fields, length);
	exchange->delimited = exchange->end_absorbed = true;
	exchange->taken_us = exchange_now_us(exchange);
	if (!submit(stream, &fields, page.size == 0))
		return false;
	for (;;) {
		if (give(exchange, &parts, &count, true) != OUTCOME_OK)
			return false;
		if (count == 0 && !is_behind(exchange))
			return true;
		int64_t left_ms = HTTP_OWN_PAGE_MS - (int64_t)((exchange_now_us(exchange) - exchange->taken_us) / 1000u);
		if (left_ms <= 0 || task_wait(&stream->changed, left_ms) == WAIT_CANCELLED)
			return false;
	}
}

static enum http_outcome send_continue(struct http_exchange *exchange)
{
	struct h2_stream *stream = stream_of(exchange);
	struct fields fields;

	if (is_lost(stream))
		return OUTCOME_VISITOR_GONE;
	begin_fields(&fields, 100);
	if (nghttp2_submit_headers(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, NULL, fields.items, fields.count,
	                           NULL) != 0)
		return OUTCOME_NO_RESOURCES;
	BOARD_COUNT(exchange->core->lane, answers_1xx, 1);
	h2_pump(stream->connection);
	return OUTCOME_OK;
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
    .send_continue = send_continue,
    .give = give,
    .is_behind = is_behind,
    .taken = taken,
    .fill = fill,
    .is_gone = is_gone,
    .count_bytes = count_bytes,
};
