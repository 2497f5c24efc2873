/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests are held until they are whole: while a slow visitor sends his body, no app waits for it. It is read into
 * exchange->held, up to what the site's `buffer` says; only then the request looks for a server (attempt.c calls this first). Of
 * a longer body that much is read ahead, and the rest goes through as it comes (upload.c). In the request's task.
 *
 * Whoever is so slow that he sends less than the least rate is not waited for any longer, here and in forward.c.
 */
#include "http/http_private.h"

#include <stdio.h>

int64_t http_hold_limit_ms(struct http_exchange *exchange)
{
	int64_t silence_ms =
	    (int64_t)exchange->limits->request_timeout_ms - (int64_t)((exchange_now_us(exchange) - exchange->progress_us) / 1000u);
	int64_t pace_ms = http_pace_left_ms(&exchange->upload_pace, exchange->limits->rate_least);

	return pace_ms != NO_TIMEOUT && pace_ms < silence_ms ? pace_ms : silence_ms;
}

enum http_outcome http_hold_waited(struct http_exchange *exchange, uint64_t since_us)
{
	uint32_t rate_least = exchange->limits->rate_least;

	if (!http_pace_waited(&exchange->upload_pace, rate_least, exchange_now_us(exchange) - since_us))
		return OUTCOME_OK;
	uint64_t bytes = exchange->upload.content_bytes - exchange->upload_seen, waited_us = exchange->upload_pace.waited_us;
	exchange->upload_seen = exchange->upload.content_bytes;
	if (http_pace_look(&exchange->upload_pace, rate_least, bytes))
		return OUTCOME_OK;
	snprintf(exchange->detail, sizeof(exchange->detail),
	         "%llu bytes of the body came in %llu s; at least %u in a second must come", (unsigned long long)bytes,
	         (unsigned long long)(waited_us / 1000000u), rate_least);
	return OUTCOME_REQUEST_SLOW;
}

/* Until he may have sent more. */
static enum http_outcome wait_for_more(struct http_exchange *exchange)
{
	uint64_t since_us = exchange_now_us(exchange);
	int64_t limit_ms = http_hold_limit_ms(exchange);

	if (limit_ms <= 0)
		return OUTCOME_REQUEST_TIMEOUT;
	if (task_wait(exchange->changed, limit_ms) == WAIT_CANCELLED)
		return OUTCOME_STOPPING;
	return http_hold_waited(exchange, since_us);
}

/* He waits for a word before he sends it (RFC 9110 10.1.1). What the app would have said he learns with its answer. */
static enum http_outcome invite(struct http_exchange *exchange)
{
	if (!exchange->request.expect_continue)
		return OUTCOME_OK;
	exchange->continued = true;
	return buffer_filled(exchange->input) > 0 ? OUTCOME_OK : exchange->visitor->send_continue(exchange);
}

/* False: no more of it may be held. */
static bool hold_pending(struct http_exchange *exchange, size_t most)
{
	struct buffer *input = exchange->input;
	size_t added = http_spool_add(&exchange->held, &exchange->client->spool_bytes,
	                              span_of(input->memory + input->start, exchange->upload_pending), most);

	buffer_consume(input, added);
	exchange->upload_pending -= added;
	if (exchange->upload_pending > 0)
		return false;
	buffer_consume(input, exchange->upload_drop);
	exchange->upload_drop = 0;
	return !exchange->upload.done && exchange->held.bytes < most;
}

static enum http_outcome hold(struct http_exchange *exchange, size_t most)
{
	for (unsigned round = 1;; round++) {
		bool more;
		if (round % HTTP_ROUNDS_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED)
			return OUTCOME_STOPPING;
		enum http_outcome outcome = http_upload_read(exchange, &more);
		if (outcome == OUTCOME_OK && !more)
			outcome = wait_for_more(exchange);
		else if (outcome == OUTCOME_OK)
			outcome = http_upload_take(exchange);
		if (outcome != OUTCOME_OK || (more && !hold_pending(exchange, most)))
			return outcome;
	}
}

enum http_outcome http_hold(struct http_exchange *exchange)
{
	size_t most = exchange->limits->request_buffer_bytes;

	if (exchange_is_read(exchange) || exchange->hold_over || most == 0)
		return OUTCOME_OK;
	exchange->hold_over = true;
	exchange->progress_us = exchange_now_us(exchange);
	enum http_outcome outcome = invite(exchange);
	if (outcome == OUTCOME_OK)
		outcome = hold(exchange, most);
	exchange->read_us = exchange_now_us(exchange);
	return outcome;
}
