/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of a visitor's connection that speaks HTTP/1.1, top to bottom: read a request, have it answered (exchange.c); then the
 * next one, or park until more comes. One task runs it while a request is under way; parked it is a record without stack or
 * buffers. Started by core.c.
 *
 *    accepted -> parked (-> PROXY header: front_end.c) (-> TLS: secure.c)
 *             -> read -> exchange.c: route, let in, a file or a server -> conclude (own page, counters, log)
 *             -> parked, or closed
 */
#include "http/h2.h"

#include <stdlib.h>

static void client_park(struct http_client *client, int64_t timeout_ms);
static void client_serve(struct http_client *client);

/* ---- parked and not -------------------------------------------------------------------------------------------- */

void http_connection_start(struct http_client *client, int descriptor)
{
	struct http_core *core = client->core;

	if (stream_adopt(&client->stream, descriptor) != NET_OK) {
		LOG_LIMITED(LOG_ERROR, 1000, "HTTP connection refused: the loop cannot watch it: %m");
		http_guard_left(client);
		free(client);
		return;
	}
	list_append(&core->clients, &client->link);
	core->client_count++;
	BOARD_COUNT(core->lane, connections_open, 1);
	if (UNLIKELY(client->refused))
		http_guard_tell(client);
	else
		client_park(client, http_routes_request_timeout_ms(core->routes, client->listener));
}

static void client_resume(void *argument, enum wait_result why)
{
	struct http_client *client = argument;

	CHECK_MAGIC(client, HTTP_CLIENT_MAGIC);
	client->parked = false;
	if (client->unannounced && why == WAIT_READY) {
		if (http_front_end_hear(client) != NET_OK) {
			http_client_close(client, FATE_CLOSE);
			return;
		}
		if (!client->stream.watched.readable) {
			client_park(client, http_routes_request_timeout_ms(client->core->routes, client->listener));
			return;
		}
	}
	if (client->insecure && why == WAIT_READY) {
		enum net_result result = http_secure(client);
		if (result != NET_OK) {
			http_client_close(client, result == NET_FAILED ? FATE_GENTLE : FATE_CLOSE);
			return;
		}
		if (!client->stream.watched.readable) {
			client_park(client, http_routes_request_timeout_ms(client->core->routes, client->listener));
			return;
		}
	}
	/* Draining: a request that has already come is still answered. */
	if (!client->insecure && !client->unannounced && (why == WAIT_READY || client->stream.watched.readable))
		client_serve(client);
	else
		http_client_close(client, FATE_CLOSE);
}

static void client_park(struct http_client *client, int64_t timeout_ms)
{
	buffer_release(&client->stream.input);
	client->parked = true;
	loop_park(&client->stream.watched, "http", timeout_ms, client_resume, client);
	if (client->core->ending && client->parked)
		loop_unpark(&client->stream.watched);
}

void http_connection_free(struct http_client *client)
{
	struct http_core *core = client->core;

	list_remove(&client->link);
	core->client_count--;
	BOARD_COUNT(core->lane, connections_open, -1);
	http_guard_left(client);
	client->magic = 0;
	free(client);
}

void http_client_close(struct http_client *client, enum http_fate fate)
{
	switch (fate) {
	case FATE_GENTLE:
		stream_close_gently(&client->stream, HTTP_LINGER_MS);
		break;
	case FATE_ABORT:
		stream_abort(&client->stream);
		break;
	case FATE_KEEP:
	case FATE_CLOSE:
	case FATE_TUNNEL:
		stream_close(&client->stream);
		break;
	}
	http_connection_free(client);
}

/* ---- reading a request ------------------------------------------------------------------------------------------ */

/* Nothing has come but an empty line, or half of one: some visitors send it behind the body of a POST (RFC 9112 2.2). */
static bool is_empty_line(const struct buffer *input)
{
	size_t size = buffer_filled(input);
	return size <= 2 && memcmp(input->memory + input->start, "\r\n", size) == 0;
}

static enum http_outcome outcome_of_read(struct http_exchange *exchange, enum net_result result)
{
	const struct buffer *input = &exchange->client->stream.input;
	bool begun = buffer_filled(input) > 0 && !is_empty_line(input);

	if (begun)
		exchange->raw = buffer_span(input);
	switch (result) {
	case NET_CANCELLED:
		return OUTCOME_NOTHING;
	case NET_TIMEOUT:
		return begun ? OUTCOME_REQUEST_TIMEOUT : OUTCOME_NOTHING;
	case NET_NO_RESOURCES:
		return OUTCOME_NO_RESOURCES;
	default:
		return begun ? OUTCOME_REQUEST_CUT : OUTCOME_NOTHING;
	}
}

/* The whole head must have come within the request timeout: a byte now and then does not hold a task for ever. */
static enum http_outcome read_request(struct http_exchange *exchange)
{
	struct stream *stream = &exchange->client->stream;
	struct http_progress progress = {0};
	struct http_error error;
	int64_t timeout_ms = http_routes_request_timeout_ms(exchange->routes, exchange->client->listener);

	for (;;) {
		if (buffer_filled(&stream->input) > 0) {
			struct span bytes = buffer_span(&stream->input);
			switch (http_request_parse(&progress, bytes.start, bytes.size, &exchange->request, &exchange->kept_bytes, &error)) {
			case HTTP_DONE:
				exchange->parsed = true;
				exchange->read_us = exchange_now_us(exchange);
				return OUTCOME_OK;
			case HTTP_WRONG:
				exchange->kept_bytes = 0;
				exchange->fault = error.fault;
				exchange->raw = bytes;
				return OUTCOME_BAD_REQUEST;
			case HTTP_MORE:
				exchange->kept_bytes = 0;
				if (bytes.size == 2 && is_empty_line(&stream->input)) {
					buffer_consume(&stream->input, 2);
					exchange->keep = true; /* as if nothing had come: parked again */
					return OUTCOME_NOTHING;
				}
				break;
			}
		}
		int64_t left_ms = timeout_ms - (int64_t)((exchange_now_us(exchange) - exchange->started_us) / 1000u);
		enum net_result result = left_ms > 0 ? stream_fill(stream, left_ms) : NET_TIMEOUT;
		if (result != NET_OK)
			return outcome_of_read(exchange, result);
	}
}

/* A body that came with its head stays beside it in the input buffer, so that both can be sent again. Any other will go through
 * that buffer, so the head moves out. */
static bool take_body(struct http_exchange *exchange)
{
	struct http_request *request = &exchange->request;
	struct buffer *input = &exchange->client->stream.input;
	size_t here = buffer_filled(input) - exchange->kept_bytes;

	if (request->framing == HTTP_BODY_NONE || (request->framing == HTTP_BODY_LENGTH && request->length <= here)) {
		http_body_init(&exchange->upload, PASS_PLAIN, HTTP_BODY_NONE, 0);
		if (request->framing == HTTP_BODY_LENGTH) {
			exchange->kept_body = span_of(input->memory + input->start + exchange->kept_bytes, (size_t)request->length);
			exchange->kept_bytes += (size_t)request->length;
		}
		return true;
	}
	char *head = arena_allocate(task_arena(), request->head.size);
	if (head == NULL)
		return false;
	memcpy(head, request->head.start, request->head.size);
	request->head.start = head;
	buffer_consume(input, exchange->kept_bytes);
	exchange->kept_bytes = 0;
	http_body_init(&exchange->upload, request->framing == HTTP_BODY_CHUNKED ? PASS_CHUNKED : PASS_PLAIN, request->framing,
	               request->length);
	return true;
}

/* ---- request after request -------------------------------------------------------------------------------------- */

static enum http_fate choose_fate(const struct http_exchange *exchange, enum http_outcome outcome)
{
	/* The kernel would keep offering him what it holds for minutes. */
	if (outcome == OUTCOME_VISITOR_STALLED || outcome == OUTCOME_VISITOR_SLOW)
		return FATE_ABORT;
	if (exchange->answer_begun && !exchange->answer_whole)
		return exchange->delimited ? FATE_CLOSE : FATE_ABORT;
	if (!exchange->answer_whole)
		return FATE_CLOSE; /* he has left, or is owed nothing */
	if (exchange->keep)
		return FATE_KEEP;
	return exchange->upload.done && exchange->parsed && !exchange->client->stream.watched.readable ? FATE_CLOSE : FATE_GENTLE;
}

/* He knows that HTTP/2 is spoken here, or hopes so: a preface that no request of HTTP/1.1 begins like (RFC 9113 3.3). It may come
 * in pieces. */
static bool begins_http2(struct http_client *client)
{
	struct stream *stream = &client->stream;
	int64_t timeout_ms = http_routes_request_timeout_ms(client->core->routes, client->listener); /* for all pieces together */
	uint64_t until_us = loop_now_us(client->core->loop) + (uint64_t)timeout_ms * 1000u;
	enum net_result result = buffer_filled(&stream->input) > 0 ? NET_OK : stream_fill_now(stream);

	if (strcmp(stream_protocol(stream), "h2") == 0)
		return true; /* agreed on by ALPN */
	while (result == NET_OK) {
		struct span bytes = buffer_span(&stream->input);
		if (bytes.size >= h2_preface.size)
			return span_starts_with(bytes, h2_preface);
		if (!span_starts_with(h2_preface, bytes))
			return false;
		uint64_t now_us = loop_now_us(client->core->loop);
		result = now_us < until_us ? stream_fill(stream, (int64_t)((until_us - now_us) / 1000u + 1)) : NET_TIMEOUT;
	}
	return false;
}

/* Request, answer, and what becomes of the connection. */
static enum http_fate serve_one(struct http_client *client, struct http_exchange *exchange)
{
	http_exchange_begin(exchange, client);
	exchange->visitor = &http1_visitor;
	exchange->input = &client->stream.input;
	exchange->changed = &client->stream.watched.readers;
	exchange->room = &client->stream.watched.writers;
	exchange->read_before = client->stream.bytes_read - buffer_filled(&client->stream.input);
	exchange->written_before = exchange->taken_seen = client->stream.bytes_written;
	enum http_outcome outcome = read_request(exchange);
	if (outcome == OUTCOME_NOTHING)
		return exchange->keep ? FATE_KEEP : FATE_CLOSE;
	if (outcome == OUTCOME_OK)
		outcome = take_body(exchange) ? http_exchange_run(exchange) : OUTCOME_NO_RESOURCES;
	http_exchange_conclude(exchange, outcome);
	return outcome == OUTCOME_TUNNEL ? FATE_TUNNEL : choose_fate(exchange, outcome);
}

static void client_serve(struct http_client *client)
{
	struct task_mark mark = task_mark();
	int64_t idle_ms = HTTP_FIRST_REQUEST_MS;
	struct http_exchange exchange;
	enum http_fate fate;
	unsigned round = 0;

	if (client->stream.bytes_read == 0 && begins_http2(client)) {
		h2_serve(client);
		return;
	}
	do { /* requests that came together are answered in their order (RFC 9112 9.3.2) */
		if (++round % HTTP_ROUNDS_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED) {
			fate = FATE_CLOSE;
			break;
		}
		fate = serve_one(client, &exchange);
		if (exchange.site != NULL)
			idle_ms = exchange.site->idle_timeout_ms;
		if (fate == FATE_TUNNEL && !http_upgrade_start(&exchange))
			fate = FATE_CLOSE;
		buffer_consume(&client->stream.input, exchange.kept_bytes);
		http_exchange_end(&exchange);
		task_rewind(mark);
	} while (fate == FATE_KEEP && buffer_filled(&client->stream.input) > 0);
	if (fate == FATE_KEEP)
		client_park(client, idle_ms);
	else if (fate != FATE_TUNNEL)
		http_client_close(client, fate);
}
