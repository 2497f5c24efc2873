/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of a visitor's connection that speaks HTTP/2. One task reads frames and sends what has been gathered, as long as a
 * stream is open or output is pending; then the connection is parked, without stack and buffers. Started by connection.c.
 *
 *    served -> [ read frames -> (tasks of the streams) -> send ]* -> parked -> ... -> GOAWAY -> closed
 *
 * The record lives until its task and all its streams have ended: who is last frees it.
 */
#include "http/h2.h"

#include <stdlib.h>

#define GATHER_TURNS_MOST 8u

const struct span h2_preface = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24};

static void serve(struct h2_connection *connection);

/* ---- beginning and end ------------------------------------------------------------------------------------------------ */

static uint64_t now_us(const struct h2_connection *connection)
{
	return loop_now_us(connection->client->core->loop);
}

static int64_t left_ms(const struct h2_connection *connection, uint64_t since_us, int64_t limit_ms)
{
	int64_t left = limit_ms - (int64_t)((now_us(connection) - since_us) / 1000u);
	return left > 0 ? left : 0;
}

void h2_serve(struct http_client *client)
{
	struct h2_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL) {
		http_client_close(client, FATE_CLOSE);
		return;
	}
	connection->magic = H2_CONNECTION_MAGIC;
	connection->has_task = true;
	connection->client = client;
	connection->fate = FATE_GENTLE;
	connection->idle_ms = HTTP_FIRST_REQUEST_MS;
	list_init(&connection->streams);
	wait_queue_init(&connection->wake);
	connection->idle_since_us = connection->written_us = now_us(connection);
	h2_calm_init(connection);
	connection->seen.skip = (uint32_t)h2_preface.size; /* no frame, and counted as the end of one */
	connection->seen.paid = 1;
	if (!h2_session_new(connection)) {
		nghttp2_session_del(connection->session);
		free(connection);
		http_client_close(client, FATE_CLOSE);
		return;
	}
	client->h2 = connection;
	if (client->core->draining)
		h2_drain(connection);
	serve(connection);
}

static void free_connection(struct h2_connection *connection)
{
	struct http_client *client = connection->client;
	enum http_fate fate = connection->fate;

	ASSERT(list_is_empty(&connection->streams) && connection->stream_count == 0);
	nghttp2_session_del(connection->session);
	h2_output_free(&connection->output);
	buffer_release(&connection->head_memory);
	connection->magic = 0;
	free(connection);
	client->h2 = NULL;
	http_client_close(client, fate);
}

void h2_connection_unref_stream(struct h2_connection *connection)
{
	CHECK_MAGIC(connection, H2_CONNECTION_MAGIC);
	ASSERT(connection->stream_count > 0);
	if (--connection->stream_count > 0)
		return;
	connection->idle_since_us = now_us(connection);
	if (connection->has_task)
		wait_queue_wake_one(&connection->wake);
	else
		free_connection(connection);
}

/* The task's end. What is gathered goes out as far as the socket takes it. */
static void end(struct h2_connection *connection)
{
	connection->dead = true;
	if (h2_output_send(&connection->output, &connection->client->stream) != NET_OK)
		connection->fate = FATE_CLOSE;
	LIST_EACH_SAFE (item, &connection->streams) {
		struct h2_stream *stream = OWNER_OF(item, struct h2_stream, link);
		if (stream->started)
			wait_queue_wake_all(&stream->changed);
		else
			h2_stream_free(stream); /* its head has not come */
	}
	connection->has_task = false;
	if (connection->stream_count == 0)
		free_connection(connection);
}

/* ---- parked ------------------------------------------------------------------------------------------------------------ */

/* No new streams; the visitor learns which was the last one that counts. */
static void name_last_stream(struct h2_connection *connection)
{
	nghttp2_session *session = connection->session;

	connection->ending = H2_LAST_STREAM_NAMED;
	if (nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR,
	                          NULL, 0) != 0)
		connection->dead = true;
	h2_pump(connection);
}

static void resume(void *argument, enum wait_result why)
{
	struct h2_connection *connection = argument;

	CHECK_MAGIC(connection, H2_CONNECTION_MAGIC);
	connection->client->parked = false;
	connection->has_task = true;
	bool to_be_told = connection->client->core->draining && connection->ending == H2_GOES_ON && !task_is_cancelled();
	if (why != WAIT_READY && !connection->client->stream.watched.readable && !(why == WAIT_CANCELLED && to_be_told)) {
		name_last_stream(connection); /* idle for too long, or at its end */
		connection->fate = why == WAIT_TIMEOUT ? FATE_CLOSE : FATE_GENTLE;
		end(connection);
		return;
	}
	if (connection->client->core->draining)
		h2_drain(connection);
	serve(connection);
}

static void park(struct h2_connection *connection)
{
	struct http_client *client = connection->client;
	bool ending = connection->ending == H2_ANNOUNCED;
	int64_t limit_ms = ending ? left_ms(connection, connection->ending_since_us, H2_LAST_FRAMES_MS)
	                          : left_ms(connection, connection->idle_since_us, connection->idle_ms);

	buffer_release(&client->stream.input);
	connection->has_task = false;
	client->parked = true;
	loop_park(&client->stream.watched, "http2", limit_ms, resume, connection);
	if (client->core->draining && !ending && client->parked)
		loop_unpark(&client->stream.watched);
}

/* ---- at work ------------------------------------------------------------------------------------------------------------ */

void h2_drain(struct h2_connection *connection)
{
	CHECK_MAGIC(connection, H2_CONNECTION_MAGIC);
	if (connection->ending != H2_GOES_ON || connection->dead)
		return;
	/* First that an end is near: requests that are on their way when he reads it are still answered (RFC 9113 6.8). */
	connection->ending = H2_ANNOUNCED;
	connection->ending_since_us = now_us(connection);
	if (nghttp2_submit_shutdown_notice(connection->session) != 0)
		connection->dead = true;
	h2_pump(connection);
}

/* Who does not take what noah sends is not listened to either. */
static bool is_listening(const struct h2_connection *connection)
{
	return h2_output_room(&connection->output) >= 2 * H2_FRAME_MOST;
}

/* Takes what has come. False: others should have their turn. */
static bool read_frames(struct h2_connection *connection)
{
	struct stream *stream = &connection->client->stream;

	for (unsigned round = 0; !connection->dead && is_listening(connection); round++) {
		if (round == HTTP_ROUNDS_AT_ONCE)
			return false;
		if (buffer_filled(&stream->input) > 0) {
			h2_receive(connection, buffer_span(&stream->input));
			buffer_consume(&stream->input, buffer_filled(&stream->input));
			continue;
		}
		enum net_result result = stream_fill_now(stream);
		if (result == NET_TIMEOUT)
			break;
		if (result != NET_OK) { /* HTTP/2 knows no half-closed connections: he has left */
			connection->dead = true;
			connection->fate = FATE_CLOSE;
		}
	}
	buffer_release_if_empty(&stream->input);
	return true;
}

/* While other requests are under way, what their servers say in the next turns of the loop goes out with what there is: an answer
 * waits a few microseconds, and a send, over TLS a record, serves several. It ends when a turn brings nothing. */
static void gather(struct h2_connection *connection)
{
	for (unsigned turn = 0; turn < GATHER_TURNS_MOST && connection->stream_count > 0 && connection->output.count == 1; turn++) {
		uint32_t before = connection->output.buffers[connection->output.first].end;
		if (task_yield() == WAIT_CANCELLED || !task_pass() || connection->dead)
			return;
		if (connection->output.count == 1 && connection->output.buffers[connection->output.first].end == before)
			return;
	}
}

static void send_frames(struct h2_connection *connection)
{
	bool full = true;

	while (full && !connection->dead) {
		h2_pump(connection);
		gather(connection);
		full = h2_output_room(&connection->output) < H2_FRAME_MOST * 2;
		if (connection->output.count == 0)
			return;
		uint64_t written_before = connection->client->stream.bytes_written;
		enum net_result result = h2_output_send(&connection->output, &connection->client->stream);
		if (connection->client->stream.bytes_written != written_before)
			connection->written_us = now_us(connection);
		if (result == NET_TIMEOUT)
			return;
		if (result != NET_OK) {
			connection->dead = true;
			connection->fate = FATE_CLOSE;
		}
	}
}

/* How long it may wait, and which of its limits that is. */
enum limit { NO_LIMIT, LIMIT_HEAD, LIMIT_OUTPUT, LIMIT_ENDING };

static int64_t nearest_limit_ms(const struct h2_connection *connection, enum limit *which)
{
	const struct http_client *client = connection->client;
	int64_t nearest = NO_TIMEOUT;

	*which = NO_LIMIT;
	if (connection->block_open) {
		*which = LIMIT_HEAD;
		nearest = left_ms(connection, connection->block_since_us,
		                  http_routes_request_timeout_ms(client->core->routes, client->listener));
	}
	if (connection->output.count > 0) {
		int64_t left = left_ms(connection, connection->written_us, connection->idle_ms);
		if (*which == NO_LIMIT || left < nearest) {
			*which = LIMIT_OUTPUT;
			nearest = left;
		}
	}
	if (connection->ending == H2_ANNOUNCED) {
		int64_t left = left_ms(connection, connection->ending_since_us, H2_LAST_FRAMES_MS);
		if (*which == NO_LIMIT || left < nearest) {
			*which = LIMIT_ENDING;
			nearest = left;
		}
	}
	return nearest;
}

static void limit_reached(struct h2_connection *connection, enum limit which)
{
	switch (which) {
	case LIMIT_HEAD:
		connection->complaint = "a head did not come within the request timeout";
		h2_give_up(connection, NGHTTP2_ENHANCE_YOUR_CALM);
		break;
	case LIMIT_OUTPUT:
		connection->dead = true; /* he reads nothing at all */
		connection->fate = FATE_ABORT;
		break;
	case LIMIT_ENDING:
		name_last_stream(connection);
		break;
	case NO_LIMIT:
		break;
	}
}

/* Until there is something to read, to send, or to end. */
static void wait_for_any(struct h2_connection *connection)
{
	struct watched *watched = &connection->client->stream.watched;
	struct wait_queue *queues[] = {&connection->wake, &watched->readers, &watched->writers};
	enum limit which;
	int64_t limit_ms = nearest_limit_ms(connection, &which);

	switch (task_wait_any(queues, connection->output.count > 0 ? 3 : 2, limit_ms)) {
	case WAIT_READY:
		break;
	case WAIT_TIMEOUT:
		limit_reached(connection, which);
		break;
	case WAIT_CANCELLED:
		connection->dead = true;
		connection->fate = FATE_CLOSE;
		break;
	}
}

static bool is_over(const struct h2_connection *connection)
{
	if (connection->dead)
		return true;
	if (connection->output.count > 0)
		return false;
	/* After an error of the whole connection nghttp2 wants nothing more, whatever streams there are (RFC 9113 5.4.1). */
	return (connection->stream_count == 0 && connection->ending == H2_LAST_STREAM_NAMED) ||
	       (!nghttp2_session_want_read(connection->session) && !nghttp2_session_want_write(connection->session));
}

static void serve(struct h2_connection *connection)
{
	for (;;) {
		bool all_read = read_frames(connection);
		send_frames(connection);
		if (is_over(connection))
			break;
		if (!all_read) {
			if (task_yield() == WAIT_CANCELLED)
				break;
			continue;
		}
		bool idle = connection->stream_count == 0 && connection->output.count == 0 && !connection->block_open;
		if (idle) {
			park(connection);
			return;
		}
		/* More may have come while it gathered. */
		if (!connection->client->stream.watched.readable || !is_listening(connection))
			wait_for_any(connection);
	}
	end(connection);
}
