/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The answer's way from its server to its visitor: the head with what has come of the body in one write, then piece by piece.
 * What becomes of it on the way (fields of noah's own, framing) is decided once, before the head goes out. forward.c calls it
 * when the head is in exchange->response.
 */
#include "http/http_private.h"

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

/* One field of this name only, and it is noah's (RFC 6797 8.1: a browser reads the first). */
static void drop_hsts_of_server(struct http_head *head)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (span_equal_nocase(http_text(head, head->fields[i].name), SPAN("Strict-Transport-Security")))
			head->fields[i].dropped = true;
	}
}

/* The head, and with it what has already come of the body: one write. */
static enum http_outcome relay_head(struct http_exchange *exchange)
{
	struct gathering gathering = {.used = exchange->kept_answer_head};

	exchange->status = exchange->response.status;
	exchange->visitor->choose_framing(exchange);
	if (!gather_body(exchange, &gathering))
		return bad_body(exchange);
	if (exchange->hsts.size > 0)
		drop_hsts_of_server(&exchange->response.head);
	http_answer_fields(exchange);
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

enum http_outcome http_relay(struct http_exchange *exchange)
{
	enum http_outcome outcome = relay_head(exchange);

	for (unsigned round = 1; outcome == OUTCOME_OK && !exchange->download.done; round++) {
		if (round % HTTP_ROUNDS_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED)
			return OUTCOME_STOPPING;
		outcome = relay_body_piece(exchange);
	}
	exchange->answer_whole = outcome == OUTCOME_OK;
	return outcome;
}
