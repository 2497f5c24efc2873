/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What comes from a visitor over HTTP/2: nghttp2 reads the frames and calls back here. Heads are gathered and become HTTP/1.1
 * text (proto/http2.h), bodies go to their streams, resets end them; whatever an attacker could do for ever is paid for
 * (h2_calm.c). In the connection's task; the callbacks of sending also in those of its streams.
 */
#include "http/h2.h"

#include <stdlib.h>

#define ACKNOWLEDGED        "too many PING or SETTINGS frames"
#define SMALL_WINDOW_UPDATE 256 /* bytes: a window that opens in smaller steps is no help, but work */

static struct h2_stream *find(nghttp2_session *session, int32_t id)
{
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
	ASSERT(stream == NULL || stream->magic == H2_STREAM_MAGIC);
	return stream;
}

/* For callbacks: nghttp2 stops at once, and h2_receive says GOAWAY. */
static int pay(struct h2_connection *connection, enum h2_nuisance nuisance, const char *what)
{
	return h2_calm_pay(connection, nuisance, what) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- heads ---------------------------------------------------------------------------------------------------------- */

static bool is_request(const nghttp2_frame *frame)
{
	return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct h2_connection *connection = argument;

	/* Trailers are read for the compression's sake, and dropped as those of HTTP/1.1 are. */
	if (is_request(frame)) {
		struct h2_stream *stream = h2_stream_new(connection, frame->hd.stream_id);
		if (stream == NULL)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
	}
	if (!buffer_hold(&connection->head_memory))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	http2_head_begin(&connection->head, connection->head_memory.memory, NET_BUFFER_SIZE);
	connection->block_open = true;
	connection->block_since_us = loop_now_us(connection->client->core->loop);
	connection->block_bytes = 0;
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags, void *argument)
{
	struct h2_connection *connection = argument;

	(void)session;
	(void)frame;
	(void)flags;
	http2_head_add(&connection->head, span_of(name, name_size), span_of(value, value_size));
	if (connection->head.decoded_bytes <= H2_BLOCK_MOST)
		return 0;
	connection->complaint = "a head that unpacks to far more than is allowed";
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 would leave such a field out and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                             const uint8_t *value, size_t value_size, uint8_t flags, void *argument)
{
	struct h2_connection *connection = argument;
	int result = on_header(session, frame, name, name_size, value, value_size, flags, argument);

	if (connection->head.fault == HTTP_FAULT_NONE)
		connection->head.fault = HTTP_FAULT_FIELD_NAME;
	return result;
}

/* For the log: what is known of a request that is refused. */
static void keep_first_line(const struct http2_head *head, struct h2_stream *stream)
{
	size_t size = head->method.size + 1 + head->path.size;

	free(stream->head);
	stream->head = size > 1 ? malloc(size) : NULL;
	stream->head_size = 0;
	if (stream->head == NULL)
		return;
	struct http_writer writer;
	http_writer_init(&writer, stream->head, size, NULL, 0);
	http_write(&writer, head->method);
	http_write(&writer, SPAN(" "));
	http_write(&writer, head->path);
	stream->head_size = (uint32_t)writer.size;
}

/* The text of the head, with room for framing behind it; a head that is wrong becomes a stream with a fault. */
static int finish_head(struct h2_connection *connection, struct h2_stream *stream, bool ended)
{
	const struct http2_head *head = &connection->head;
	struct http_writer writer;

	stream->ended = ended;
	stream->has_length = head->has_length;
	stream->fault = head->fault;
	if (stream->fault == HTTP_FAULT_NONE) {
		stream->head_room = (uint32_t)http2_head_text_bytes(head);
		stream->head = malloc(stream->head_room);
		if (stream->head == NULL)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		http_writer_init(&writer, stream->head, stream->head_room, NULL, 0);
		stream->fault = http2_head_write(head, &writer);
		stream->head_size = (uint32_t)writer.size;
	}
	if (stream->fault != HTTP_FAULT_NONE)
		keep_first_line(head, stream);
	h2_stream_start(stream);
	return 0;
}

static void block_ends(struct h2_connection *connection)
{
	connection->block_open = false;
	buffer_release(&connection->head_memory);
}

/* ---- frames that are complete ---------------------------------------------------------------------------------------- */

static int got_headers(nghttp2_session *session, const nghttp2_frame *frame, struct h2_connection *connection)
{
	struct h2_stream *stream = find(session, frame->hd.stream_id);
	bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	int result = 0;

	if (stream != NULL) {
		stream->bytes_in += frame->hd.length + 9;
		if (is_request(frame)) {
			result = finish_head(connection, stream, ended);
		} else if (ended) {
			stream->ended = true;
			wait_queue_wake_all(&stream->changed);
		}
	}
	block_ends(connection);
	return result;
}

static int got_data(nghttp2_session *session, const nghttp2_frame *frame, struct h2_connection *connection)
{
	struct h2_stream *stream = find(session, frame->hd.stream_id);
	bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (stream != NULL) {
		stream->bytes_in += frame->hd.length + 9;
		stream->ended |= ended;
		wait_queue_wake_all(&stream->changed);
	}
	bool empty = frame->hd.length == frame->data.padlen; /* the length of the padding is counted in */
	return empty && !ended ? pay(connection, H2_FRAME_FOR_NOTHING, "too many empty DATA frames") : 0;
}

static int got_reset(nghttp2_session *session, const nghttp2_frame *frame, struct h2_connection *connection)
{
	struct h2_stream *stream = find(session, frame->hd.stream_id);

	if (stream == NULL || stream->end_sent)
		return pay(connection, H2_FRAME_FOR_NOTHING, "too many resets of streams that are over");
	return pay(connection, H2_RESET_BY_VISITOR, "too many requests were cancelled");
}

static int got_window(nghttp2_session *session, const nghttp2_frame *frame, struct h2_connection *connection)
{
	(void)session;
	if (frame->window_update.window_size_increment >= SMALL_WINDOW_UPDATE)
		return 0;
	return pay(connection, H2_FRAME_FOR_NOTHING, "windows were opened in too small steps too often");
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct h2_connection *connection = argument;
	bool acknowledges = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;

	connection->seen.reported++;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		return got_headers(session, frame, connection);
	case NGHTTP2_DATA:
		return got_data(session, frame, connection);
	case NGHTTP2_RST_STREAM:
		return got_reset(session, frame, connection);
	case NGHTTP2_WINDOW_UPDATE:
		return got_window(session, frame, connection);
	case NGHTTP2_PING:
		return acknowledges ? 0 : pay(connection, H2_FRAME_FOR_NOTHING, ACKNOWLEDGED);
	case NGHTTP2_SETTINGS:
		return acknowledges ? 0 : pay(connection, H2_FRAME_FOR_NOTHING, ACKNOWLEDGED);
	default:
		return pay(connection, H2_FRAME_FOR_NOTHING, "too many frames that mean nothing here");
	}
}

/* Malformed in nghttp2's eyes: it resets the stream by itself. A request whose task has not begun is logged by one all the same.
 */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *argument)
{
	struct h2_connection *connection = argument;
	struct h2_stream *stream = find(session, frame->hd.stream_id);

	(void)error;
	connection->seen.reported++;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (stream != NULL && !stream->started) {
		stream->fault = connection->head.fault;
		if (stream->fault == HTTP_FAULT_NONE)
			stream->fault = connection->head.has_length ? HTTP_FAULT_LENGTH_DIFFERS : HTTP_FAULT_PSEUDO;
		if (connection->block_open)
			keep_first_line(&connection->head, stream);
		h2_stream_start(stream);
	}
	if (connection->block_open)
		block_ends(connection);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size, void *argument)
{
	struct h2_stream *stream = find(session, id);

	(void)flags;
	(void)argument;
	if (stream == NULL) /* its task has ended and the reset is on its way: nobody takes it */
		return nghttp2_session_consume(session, id, size) == NGHTTP2_ERR_NOMEM ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
	return h2_stream_add_body(stream, span_of(bytes, size)) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *argument)
{
	struct h2_connection *connection = argument;
	struct h2_stream *stream = find(session, id);

	(void)error;
	if (stream == NULL)
		return 0;
	stream->closed = true;
	if (stream->started) {
		wait_queue_wake_all(&stream->changed);
		return 0;
	}
	if (connection->block_open)
		block_ends(connection);
	h2_stream_free(stream);
	return 0;
}

/* ---- frames that were sent ------------------------------------------------------------------------------------------- */

static bool is_provoked(uint32_t error)
{
	return error != NGHTTP2_NO_ERROR && error != NGHTTP2_CANCEL && error != NGHTTP2_INTERNAL_ERROR;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct h2_stream *stream = frame->hd.stream_id != 0 ? find(session, frame->hd.stream_id) : NULL;

	if (stream != NULL)
		stream->bytes_out += frame->hd.length + 9;
	if (stream != NULL && frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
		stream->end_sent = true;
		wait_queue_wake_all(&stream->changed);
	}
	if (frame->hd.type == NGHTTP2_RST_STREAM && is_provoked(frame->rst_stream.error_code))
		return pay(argument, H2_RESET_PROVOKED, "too many requests had to be reset");
	return 0;
}

/* ---- the session ----------------------------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_data_send);
	return callbacks;
}

static bool submit_settings(nghttp2_session *session)
{
	const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MOST},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_FIRST_WINDOW_BYTES},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MOST},
	    {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};

	return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) == 0 &&
	       nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, H2_CONNECTION_WINDOW) == 0;
}

bool h2_session_new(struct h2_connection *connection)
{
	nghttp2_session_callbacks *callbacks = make_callbacks();
	nghttp2_option *option = NULL;
	bool made = callbacks != NULL && nghttp2_option_new(&option) == 0;

	if (made) {
		nghttp2_option_set_no_auto_window_update(option, 1); /* windows open as servers take bodies */
		nghttp2_option_set_no_closed_streams(option, 1);     /* priorities are ignored */
		made = nghttp2_session_server_new2(&connection->session, callbacks, connection, option) == 0;
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	if (!made) {
		connection->session = NULL;
		return false;
	}
	return submit_settings(connection->session);
}

void h2_receive(struct h2_connection *connection, struct span bytes)
{
	bool block_open = connection->block_open;

	h2_calm_count_frames(connection, bytes);
	ssize_t used = nghttp2_session_mem_recv(connection->session, (const uint8_t *)bytes.start, bytes.size);

	if (used == NGHTTP2_ERR_CALLBACK_FAILURE || used == NGHTTP2_ERR_FLOODED) {
		if (used == NGHTTP2_ERR_FLOODED)
			connection->complaint = ACKNOWLEDGED; /* it counts those that he does not take */
		h2_give_up(connection, NGHTTP2_ENHANCE_YOUR_CALM);
	} else if (used < 0) {
		h2_give_up(connection, used == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
	}
	if (!connection->dead && !h2_calm_pay_unreported(connection))
		h2_give_up(connection, NGHTTP2_ENHANCE_YOUR_CALM);
	connection->block_bytes += block_open ? bytes.size : 0;
	if (connection->block_open && connection->block_bytes > H2_BLOCK_MOST) { /* CONTINUATION without end */
		connection->complaint = "a head that does not end";
		h2_give_up(connection, NGHTTP2_ENHANCE_YOUR_CALM);
	}
}
