/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One request over HTTP/2: its record, its body on the way in, and its task, which runs the same exchange as HTTP/1.1 does.
 * Started by h2_receive.c when the head is complete.
 *
 *    head comes -> task: the head as HTTP/1.1 text is parsed -> exchange (exchange.c) -> END_STREAM or RST_STREAM -> gone
 *
 * A body without Content-Length becomes a chunked one: its buffer has room for a chunk's framing around what it holds. The
 * stream's window opens when a buffer was used up, that is, when it is held (hold.c) or the server has taken it.
 */
#include "http/h2.h"

#include <stdlib.h>

#define FRONT        HTTP_CHUNK_HEADER_SIZE
#define LINGER_BYTES 65536u /* of a body that nobody wants any more */
#define BEHIND       7u     /* "\r\n0\r\n\r\n" */
#define PIECE_MOST   (NET_BUFFER_SIZE - FRONT - BEHIND)

static void stream_run(void *argument);

/* ---- the record ------------------------------------------------------------------------------------------------------ */

struct h2_stream *h2_stream_new(struct h2_connection *connection, int32_t id)
{
	struct h2_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		return NULL;
	stream->magic = H2_STREAM_MAGIC;
	stream->id = id;
	stream->connection = connection;
	stream->body.promised = true;
	wait_queue_init(&stream->changed);
	list_append(&connection->streams, &stream->link);
	connection->stream_count++;
	return stream;
}

void h2_stream_free(struct h2_stream *stream)
{
	struct h2_connection *connection = stream->connection;

	CHECK_MAGIC(stream, H2_STREAM_MAGIC);
	nghttp2_session_set_stream_user_data(connection->session, stream->id, NULL);
	http_spool_free(&stream->body);
	buffer_release(&stream->input);
	connection->wide_count -= stream->wide;
	free(stream->head);
	list_remove(&stream->link);
	stream->magic = 0;
	free(stream);
	h2_connection_unref_stream(connection);
}

void h2_stream_start(struct h2_stream *stream)
{
	struct h2_connection *connection = stream->connection;

	stream->started = true;
	if (!connection->dead && task_start(connection->client->core->loop, "http2", stream_run, stream) != NULL)
		return;
	if (nghttp2_submit_rst_stream(connection->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_REFUSED_STREAM) != 0)
		connection->dead = true;
	h2_stream_free(stream);
}

/* ---- its body -------------------------------------------------------------------------------------------------------- */

bool h2_stream_add_body(struct h2_stream *stream, struct span bytes)
{
	struct http_client *client = stream->connection->client;

	/* The stream's window bounds what is here; that of the connection is for what is on its way. */
	if (nghttp2_session_consume_connection(stream->connection->session, bytes.size) != 0)
		return false;
	if (!stream->overrun && http_spool_add(&stream->body, &client->spool_bytes, bytes, SIZE_MAX) < bytes.size)
		stream->overrun = true; /* he will be told (h2_stream_fill) */
	return true;
}

/* What was in `input` has gone to the server: as much more may come. */
static bool give_window_back(struct h2_stream *stream)
{
	struct h2_connection *connection = stream->connection;
	size_t bytes = stream->taken_bytes;

	buffer_release(&stream->input);
	if (bytes == 0 || connection->dead)
		return true;
	stream->taken_bytes = 0;
	if (!stream->closed && nghttp2_session_consume_stream(connection->session, stream->id, bytes) != 0)
		return false;
	h2_pump(connection); /* a WINDOW_UPDATE, if it is worth one */
	return true;
}

/* It is being read: more may come at once, if not too many others have that already. Looked at each time, because the first
 * window shrinks only when the visitor has acknowledged noah's SETTINGS. */
static bool grow_window(struct h2_stream *stream)
{
	struct h2_connection *connection = stream->connection;

	if (stream->ended || stream->closed || connection->dead || (!stream->wide && connection->wide_count == H2_WIDE_MOST) ||
	    nghttp2_session_get_stream_effective_local_window_size(connection->session, stream->id) >= (int32_t)H2_WINDOW_BYTES)
		return true;
	if (nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, stream->id, H2_WINDOW_BYTES) != 0)
		return false;
	connection->wide_count += !stream->wide;
	stream->wide = true;
	h2_pump(connection);
	return true;
}

static void frame_chunk(struct h2_stream *stream, struct buffer *piece)
{
	char header[HTTP_CHUNK_HEADER_SIZE];
	size_t content = buffer_filled(piece);

	if (content > 0) {
		size_t size = http_chunk_header(content, header);
		piece->start -= (uint32_t)size;
		memcpy(piece->memory + piece->start, header, size);
		memcpy(piece->memory + piece->end, "\r\n", 2);
		piece->end += 2;
	}
	if (stream->ended && stream->body.left == 0) {
		memcpy(piece->memory + piece->end, "0\r\n\r\n", 5);
		piece->end += 5;
		stream->last_chunk_given = true;
	}
}

/* As much of the body as fits becomes `input`, which is empty. False: no memory. */
static bool take_piece(struct h2_stream *stream)
{
	struct buffer *input = &stream->input;
	size_t size = stream->body.left < PIECE_MOST ? stream->body.left : PIECE_MOST, copied = 0;

	if (!buffer_hold(input))
		return false;
	input->start = FRONT;
	while (copied < size) {
		struct iovec part;
		ASSERT(http_spool_parts(&stream->body, &part, 1) == 1);
		size_t some = part.iov_len < size - copied ? part.iov_len : size - copied;
		memcpy(input->memory + FRONT + copied, part.iov_base, some);
		http_spool_read(&stream->body, some, false);
		copied += some;
	}
	input->end = (uint32_t)(FRONT + size);
	stream->taken_bytes = (uint32_t)size;
	return true;
}

/* The next piece becomes exchange->input, which is empty. */
enum net_result h2_stream_fill(struct h2_stream *stream)
{
	if (!give_window_back(stream) || !grow_window(stream))
		return NET_NO_RESOURCES;
	if (stream->overrun)
		return NET_NO_RESOURCES;
	bool end_is_due = stream->chunked && stream->ended && !stream->last_chunk_given;
	if (stream->body.left == 0 && (!end_is_due || stream->connection->dead))
		return stream->closed || stream->connection->dead || stream->ended ? NET_RESET : NET_TIMEOUT;
	if (!take_piece(stream))
		return NET_NO_RESOURCES;
	if (stream->chunked)
		frame_chunk(stream, &stream->input);
	return NET_OK;
}

/* ---- its head -------------------------------------------------------------------------------------------------------- */

static void append(struct h2_stream *stream, struct span text)
{
	ASSERT(stream->head_room - stream->head_size >= text.size); /* http2_head_text_bytes counts it in */
	memcpy(stream->head + stream->head_size, text.start, text.size);
	stream->head_size += (uint32_t)text.size;
}

/* A body whose length neither the visitor nor noah knows is chunked; one that is here already has a length. */
static void append_framing(struct h2_stream *stream)
{
	struct span head = span_of(stream->head, stream->head_size);
	struct http_writer writer;

	/* Methods that are about content say that there is none (RFC 9110 8.6). */
	bool without = !stream->has_length && stream->ended && stream->body.left == 0 && !span_starts_with(head, SPAN("POST ")) &&
	               !span_starts_with(head, SPAN("PUT ")) && !span_starts_with(head, SPAN("PATCH "));
	if (stream->has_length || without) {
		append(stream, SPAN("\r\n"));
		return;
	}
	stream->chunked = !stream->ended || stream->body.left > PIECE_MOST; /* else it can be sent again */
	if (stream->chunked) {
		append(stream, SPAN("transfer-encoding: chunked\r\n\r\n"));
		return;
	}
	http_writer_init(&writer, stream->head + stream->head_size, stream->head_room - stream->head_size, NULL, 0);
	http_write_field_number(&writer, SPAN("content-length"), stream->body.left);
	http_write_head_end(&writer);
	ASSERT(http_writer_finish(&writer));
	stream->head_size += (uint32_t)writer.size;
}

/* A body that is here as a whole and fits into one buffer stays there, so that it can be sent again. False: no memory. */
static bool take_body(struct http_exchange *exchange, struct h2_stream *stream)
{
	const struct http_request *request = &exchange->request;

	if (stream->ended && stream->body.left <= PIECE_MOST && !stream->overrun) {
		http_body_init(&exchange->upload, PASS_PLAIN, HTTP_BODY_NONE, 0);
		if (stream->body.left > 0 && !take_piece(stream))
			return false;
		if (stream->taken_bytes > 0)
			exchange->kept_body = buffer_span(&stream->input);
		return true;
	}
	http_body_init(&exchange->upload, request->framing == HTTP_BODY_CHUNKED ? PASS_CHUNKED : PASS_PLAIN,
	               (enum http_framing)request->framing, request->length);
	return true;
}

static enum http_outcome refuse(struct http_exchange *exchange, struct h2_stream *stream, enum http_fault fault)
{
	exchange->fault = fault;
	if (stream->head != NULL)
		exchange->raw = span_of(stream->head, stream->head_size);
	return OUTCOME_BAD_REQUEST;
}

static enum http_outcome read_request(struct http_exchange *exchange, struct h2_stream *stream)
{
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;

	if (stream->fault != HTTP_FAULT_NONE)
		return refuse(exchange, stream, stream->fault);
	append_framing(stream);
	switch (http_request_parse(&progress, stream->head, stream->head_size, &exchange->request, &used, &error)) {
	case HTTP_WRONG:
		return refuse(exchange, stream, error.fault);
	case HTTP_MORE:
		return refuse(exchange, stream, HTTP_FAULT_LINE_END);
	case HTTP_DONE:
		break;
	}
	if (used != stream->head_size) /* an end before the end */
		return refuse(exchange, stream, HTTP_FAULT_LINE_END);
	if (stream->ended && exchange->request.framing != HTTP_BODY_CHUNKED && exchange->request.length != stream->body.left &&
	    !stream->overrun && (exchange->request.framing == HTTP_BODY_LENGTH || stream->body.left > 0))
		return refuse(exchange, stream, HTTP_FAULT_LENGTH_DIFFERS);
	exchange->parsed = true;
	exchange->read_us = exchange_now_us(exchange);
	return take_body(exchange, stream) ? OUTCOME_OK : OUTCOME_NO_RESOURCES;
}

/* ---- its task -------------------------------------------------------------------------------------------------------- */

/* Who is still sending when he has his whole answer may be confused by a reset before he has sent all (curl reports a failure),
 * so what is on its way is taken and dropped, within the bounds that HTTP/1 has for it. */
static void let_him_finish(struct h2_stream *stream)
{
	const struct h2_connection *connection = stream->connection;
	const struct loop *loop = connection->client->core->loop;
	uint64_t until_us = loop_now_us(loop) + HTTP_LINGER_MS * 1000u;
	size_t dropped = 0;

	while (!stream->ended && !stream->closed && !connection->dead && dropped < LINGER_BYTES) {
		buffer_consume(&stream->input, buffer_filled(&stream->input));
		enum net_result result = h2_stream_fill(stream);
		dropped += result == NET_OK ? buffer_filled(&stream->input) : 0;
		uint64_t now_us = loop_now_us(loop);
		if (result == NET_TIMEOUT && now_us < until_us &&
		    task_wait(&stream->changed, (int64_t)((until_us - now_us) / 1000u + 1)) == WAIT_READY)
			continue;
		if (result != NET_OK)
			break;
	}
	buffer_consume(&stream->input, buffer_filled(&stream->input));
}

/* What has not ended in order is reset; also when the visitor still sends a body that nobody wants (RFC 9113 8.1). */
static void finish(struct h2_stream *stream, const struct http_exchange *exchange)
{
	struct h2_connection *connection = stream->connection;
	uint32_t code = NGHTTP2_INTERNAL_ERROR;

	stream->offered_bytes = stream->offered_before = 0;
	stream->end_offered = false;
	if (exchange->answer_whole)
		let_him_finish(stream);
	if (stream->closed || connection->dead)
		return;
	if (exchange->answer_whole)
		code = NGHTTP2_NO_ERROR;
	else if (!exchange->answer_begun)
		code = NGHTTP2_CANCEL;
	if (nghttp2_submit_rst_stream(connection->session, NGHTTP2_FLAG_NONE, stream->id, code) != 0)
		connection->dead = true;
	h2_pump(connection);
}

static void stream_run(void *argument)
{
	struct h2_stream *stream = argument;
	struct h2_connection *connection = stream->connection;
	struct http_exchange exchange;

	CHECK_MAGIC(stream, H2_STREAM_MAGIC);
	http_exchange_begin(&exchange, connection->client);
	exchange.visitor = &http2_visitor;
	exchange.input = &stream->input;
	exchange.changed = exchange.room = &stream->changed;
	exchange.taken_seen = connection->client->stream.bytes_written;
	enum http_outcome outcome = read_request(&exchange, stream);
	if (outcome == OUTCOME_OK)
		outcome = stream->closed || connection->dead ? OUTCOME_VISITOR_GONE : http_exchange_run(&exchange);
	http_exchange_conclude(&exchange, outcome);
	if (exchange.site != NULL)
		connection->idle_ms = exchange.site->idle_timeout_ms;
	finish(stream, &exchange);
	http_exchange_end(&exchange);
	h2_stream_free(stream);
}
