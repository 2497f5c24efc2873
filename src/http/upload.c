/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request's body on its way to the server, when it was not already there with the head: first what is held (hold.c), then
 * what goes through exchange->input. It never waits by itself (the server may answer before it has everything), and stops reading
 * when the server stops.
 */
#include "http/http_private.h"

#include <stdio.h>

#define PARTS_AT_ONCE 16u

static void note_progress(struct http_exchange *exchange)
{
	exchange->progress_us = exchange_now_us(exchange);
	exchange->sent_us = exchange->progress_us;
}

void http_upload_sent_held(struct http_exchange *exchange, size_t bytes)
{
	bool whole = exchange_is_read(exchange);

	http_spool_read(&exchange->held, bytes, whole);
	exchange->upload_begun |= !whole;
}

/* False: the server takes nothing now, or any more. */
static bool send_held(struct http_exchange *exchange)
{
	struct iovec parts[PARTS_AT_ONCE];

	while (exchange->held.left > 0) {
		size_t sent;
		unsigned count = http_spool_parts(&exchange->held, parts, PARTS_AT_ONCE);
		enum net_result result = stream_write_parts_now(&exchange->server->stream, parts, count, &sent);
		if (result != NET_OK) {
			exchange->upload_broken = result != NET_TIMEOUT;
			return false;
		}
		http_upload_sent_held(exchange, sent);
		note_progress(exchange);
	}
	return true;
}

/* Sends what is pending; false when the server takes nothing now or any more. */
static bool send_pending(struct http_exchange *exchange)
{
	struct buffer *input = exchange->input;

	if (!send_held(exchange))
		return false;
	while (exchange->upload_pending > 0) {
		size_t sent;
		enum net_result result =
		    stream_write_now(&exchange->server->stream, input->memory + input->start, exchange->upload_pending, &sent);
		if (result != NET_OK) {
			exchange->upload_broken = result != NET_TIMEOUT;
			return false;
		}
		buffer_consume(input, sent);
		exchange->upload_pending -= sent;
		exchange->upload_begun = true;
		note_progress(exchange);
	}
	buffer_consume(input, exchange->upload_drop);
	exchange->upload_drop = 0;
	return true;
}

enum http_outcome http_upload_take(struct http_exchange *exchange)
{
	struct http_step step;

	if (!http_body_next(&exchange->upload, buffer_span(exchange->input), &step, &exchange->fault))
		return OUTCOME_BAD_BODY;
	ASSERT(step.forward + step.drop > 0);
	exchange->upload_pending = step.forward;
	exchange->upload_drop = step.drop;
	uint64_t most = exchange->limits->body_most_bytes;
	/* The chunk that has begun counts in full: its size line has said so. */
	if (most > 0 && exchange->upload.content_bytes + exchange->upload.chunked.left > most) {
		snprintf(exchange->detail, sizeof(exchange->detail), "the body is longer than the site's limit of %llu bytes",
		         (unsigned long long)most);
		return OUTCOME_BODY_TOO_LARGE;
	}
	return OUTCOME_OK;
}

static enum http_outcome outcome_of_read(enum net_result result)
{
	switch (result) {
	case NET_OK:
	case NET_TIMEOUT: /* nothing there now */
		return OUTCOME_OK;
	case NET_CLOSED:
	case NET_RESET:
	case NET_UNREACHABLE:
	case NET_REFUSED:
	case NET_FAILED:
		return OUTCOME_REQUEST_CUT;
	case NET_CANCELLED:
		return OUTCOME_STOPPING;
	case NET_NO_RESOURCES:
		return OUTCOME_NO_RESOURCES;
	}
	return OUTCOME_REQUEST_CUT;
}

enum http_outcome http_upload_read(struct http_exchange *exchange, bool *more)
{
	enum net_result result = NET_OK;

	*more = true;
	if (buffer_filled(exchange->input) > 0)
		return OUTCOME_OK;
	result = exchange->visitor->fill(exchange);
	*more = result == NET_OK;
	if (result == NET_OK)
		exchange->progress_us = exchange_now_us(exchange);
	return outcome_of_read(result);
}

enum http_outcome http_upload_step(struct http_exchange *exchange)
{
	exchange->upload_more = false;
	for (unsigned round = 0; round < HTTP_ROUNDS_AT_ONCE; round++) {
		bool more;
		if (!send_pending(exchange) || exchange->upload.done)
			return OUTCOME_OK;
		enum http_outcome outcome = http_upload_read(exchange, &more);
		if (outcome != OUTCOME_OK || !more)
			return outcome;
		outcome = http_upload_take(exchange);
		exchange->upload_begun = true; /* the parser's state has moved on */
		if (outcome != OUTCOME_OK)
			return outcome;
	}
	exchange->upload_more = true;
	return task_yield() == WAIT_CANCELLED ? OUTCOME_STOPPING : OUTCOME_OK;
}
