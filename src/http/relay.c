/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The answer's way from its server to its visitor: the head with what has come of the body in one write, then piece by piece.
 * What becomes of it on the way (fields of noah's own, framing) is decided once, before the head goes out. forward.c calls it
 * when the head is in exchange->response.
 */
#include "http/compress.h"

#include <poll.h>
#include <stdio.h>

/* What of the server's input goes on to the visitor. */
struct gathering {
	struct iovec parts[HTTP_BODY_PARTS];
	unsigned count;
	size_t used; /* bytes of the input that are dealt with once the parts are sent */
	char chunk_header[HTTP_CHUNK_HEADER_SIZE];
};

static void gather(struct gathering *gathering, const char *start, size_t size)
{
	if (size > 0)
		gathering->parts[gathering->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)start, .iov_len = size};
}

/* False: the server's body is malformed. */
static bool gather_body(struct http_exchange *exchange, struct gathering *gathering)
{
	const struct buffer *input = &exchange->server->stream.input;
	struct http_body *body = &exchange->download;
	struct http_step step;

	while (!body->done && gathering->used < buffer_filled(input) && gathering->count + 3 <= HTTP_BODY_PARTS) {
		struct span bytes = buffer_span(input);
		bytes.start += gathering->used;
		bytes.size -= gathering->used;
		if (!http_body_next(body, bytes, &step, &exchange->fault))
			return false;
		ASSERT(step.skip + step.forward + step.drop > 0);
		if (body->passing == PASS_WRAPPED)
			gather(gathering, gathering->chunk_header, http_chunk_header(step.forward, gathering->chunk_header));
		gather(gathering, bytes.start + step.skip, step.forward);
		if (body->passing == PASS_WRAPPED)
			gather(gathering, "\r\n", 2);
		gathering->used += step.skip + step.forward + step.drop;
	}
	return true;
}

static enum http_outcome bad_body(struct http_exchange *exchange)
{
	return http_bad_answer(exchange, http_fault_text(exchange->fault));
}

/* The head or more of the body has gone to the visitor. */
static enum http_outcome sent(struct http_exchange *exchange, const struct gathering *gathering, enum http_outcome outcome)
{
	if (outcome != OUTCOME_OK)
		return outcome;
	buffer_consume(&exchange->server->stream.input, gathering->used);
	exchange->progress_us = exchange_now_us(exchange);
	return OUTCOME_OK;
}

/* The head, and with it what has already come of the body: one write. */
static enum http_outcome relay_head(struct http_exchange *exchange)
{
	struct gathering gathering = {.used = exchange->kept_answer_head};

	exchange->visitor->choose_framing(exchange);
	if (!gather_body(exchange, &gathering))
		return bad_body(exchange);
	return sent(exchange, &gathering,
	            exchange->visitor->send_head(exchange, gathering.parts, gathering.count, exchange->download.done));
}

/* The server's side has ended: in order, or not. */
static enum http_outcome body_ended(struct http_exchange *exchange, enum http_outcome outcome)
{
	struct http_body *body = &exchange->download;

	if (outcome == OUTCOME_SERVER_CLOSED && body->until_close) {
		body->done = true;
		return exchange->visitor->send_body(exchange, NULL, 0, true);
	}
	if (outcome == OUTCOME_SERVER_CLOSED || outcome == OUTCOME_ANSWER_CUT) {
		snprintf(exchange->detail, sizeof(exchange->detail), "%s closed the connection in the middle of its answer",
		         exchange->target->text);
		return OUTCOME_ANSWER_CUT;
	}
	return outcome;
}

static enum http_outcome relay_body_piece(struct http_exchange *exchange)
{
	struct gathering gathering = {.count = 0};

	if (buffer_filled(&exchange->server->stream.input) == 0) {
		enum http_outcome outcome = http_fill_from_server(exchange);
		if (outcome != OUTCOME_OK)
			return body_ended(exchange, outcome);
	}
	if (!gather_body(exchange, &gathering))
		return bad_body(exchange);
	enum http_outcome outcome = OUTCOME_OK;
	if (gathering.count > 0 || exchange->download.done)
		outcome = exchange->visitor->send_body(exchange, gathering.parts, gathering.count, exchange->download.done);
	return sent(exchange, &gathering, outcome);
}

static enum http_outcome relay_plain(struct http_exchange *exchange)
{
	enum http_outcome outcome = relay_head(exchange);

	for (unsigned round = 1; outcome == OUTCOME_OK && !exchange->download.done; round++) {
		if (round % HTTP_ROUNDS_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED)
			return OUTCOME_STOPPING;
		outcome = relay_body_piece(exchange);
	}
	return outcome;
}

/* ---- compressed ------------------------------------------------------------------------------------------------------- */

/* Its head moves out of the server's buffer, through which the body goes before the head does. */
static bool begin_coded(struct http_exchange *exchange, enum http_framing framing, uint64_t length)
{
	struct http_head *head = &exchange->response.head;
	char *copy = arena_allocate(task_arena(), head->size);

	if (copy == NULL)
		return false;
	memcpy(copy, head->start, head->size);
	head->start = copy;
	buffer_consume(&exchange->server->stream.input, exchange->kept_answer_head);
	exchange->kept_answer_head = 0;
	exchange->visitor->choose_framing(exchange); /* as one without a length */
	http_coded_begin(exchange);
	http_body_init(&exchange->download, framing == HTTP_BODY_CHUNKED ? PASS_DECODED : PASS_PLAIN, framing, length);
	return true;
}

/* Nothing more has come. The kernel is asked only when it is not known: after a read that filled the whole buffer. */
static bool server_pauses(struct http_exchange *exchange)
{
	struct watched *watched = &exchange->server->stream.watched;
	struct pollfd ask = {.fd = watched->descriptor, .events = POLLIN};

	return !watched->readable || poll(&ask, 1, 0) == 0;
}

/* What a server sends in pieces reaches the visitor in pieces. First others have their turn: more may have come by then, and
 * each flush makes the answer a little larger. */
static enum http_outcome refill_coded(struct http_exchange *exchange)
{
	if (server_pauses(exchange)) {
		if (task_yield() == WAIT_CANCELLED)
			return OUTCOME_STOPPING;
		enum http_outcome outcome = server_pauses(exchange) ? http_coded_flush(exchange) : OUTCOME_OK;
		if (outcome != OUTCOME_OK)
			return outcome;
	}
	enum http_outcome outcome = http_fill_from_server(exchange);
	if (outcome == OUTCOME_SERVER_CLOSED && exchange->download.until_close) {
		exchange->download.done = true;
		return OUTCOME_OK;
	}
	return outcome == OUTCOME_OK ? OUTCOME_OK : body_ended(exchange, outcome);
}

/* All of the content that is in hand. */
static enum http_outcome put_coded(struct http_exchange *exchange)
{
	struct buffer *input = &exchange->server->stream.input;
	enum http_outcome outcome = OUTCOME_OK;
	struct http_step step;

	while (outcome == OUTCOME_OK && !exchange->download.done && buffer_filled(input) > 0) {
		if (!http_body_next(&exchange->download, buffer_span(input), &step, &exchange->fault))
			return bad_body(exchange);
		buffer_consume(input, step.skip);
		if (step.forward > 0)
			outcome = http_coded_put(exchange, span_of(input->memory + input->start, step.forward));
		buffer_consume(input, step.forward + step.drop);
	}
	return outcome;
}

static enum http_outcome relay_coded(struct http_exchange *exchange, enum http_framing framing, uint64_t length)
{
	if (!begin_coded(exchange, framing, length))
		return OUTCOME_NO_RESOURCES;
	enum http_outcome outcome = put_coded(exchange);
	while (outcome == OUTCOME_OK && !exchange->download.done) {
		outcome = refill_coded(exchange);
		if (outcome == OUTCOME_OK)
			outcome = put_coded(exchange);
	}
	return outcome == OUTCOME_OK ? http_coded_end(exchange) : outcome;
}

enum http_outcome http_relay(struct http_exchange *exchange)
{
	enum http_framing framing = (enum http_framing)exchange->response.framing;
	uint64_t length = exchange->response.length;

	exchange->status = exchange->response.status;
	http_answer_fields(exchange);
	unsigned own_field_count = exchange->own_field_count;
	bool coded = http_answer_of_server(exchange);
	enum http_outcome outcome = coded ? relay_coded(exchange, framing, length) : relay_plain(exchange);
	exchange->answer_whole = outcome == OUTCOME_OK;
	if (!exchange->answer_begun) { /* what is answered instead is not this answer */
		exchange->own_field_count = own_field_count;
		http_coded_drop(exchange);
	}
	return outcome;
}
