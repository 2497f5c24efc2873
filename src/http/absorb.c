/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers are absorbed: what a slow visitor does not take at once waits here, up to what the site's `buffer` says, so that its
 * app has done its work and is free for the next request. Nothing is ever delayed: as long as he takes what comes it goes
 * straight on, and what waits goes out as soon as he takes it, while the server's next bytes are awaited (forward.c) and after it
 * has ended (attempt.c). Called by the visitors (visitor_http1.c, h2_visitor.c) for all that they send of an answer, in the
 * request's task.
 *
 *    server ──► visitor takes it ─────────────────────────────────────► gone
 *                  │ not at once                                  ▲
 *                  └─► absorbed, up to `buffer` ── he takes more ──┤
 *                         │ full, or not from a server             │
 *                         └─► the server waits ── he takes more ───┘
 *                                │ nothing for the idle timeout, or less than the least rate
 *                                └─► cut off
 */
#include "http/http_private.h"

#include <stdio.h>

/* ---- taking and giving ------------------------------------------------------------------------------------------------ */

static void skip_parts(struct iovec **parts, unsigned *count, size_t bytes)
{
	while (*count > 0 && bytes >= (*parts)->iov_len) {
		bytes -= (*parts)->iov_len;
		++*parts;
		--*count;
	}
	if (bytes > 0) {
		ASSERT(*count > 0);
		(*parts)->iov_base = (char *)(*parts)->iov_base + bytes;
		(*parts)->iov_len -= bytes;
	}
}

void http_absorb_took(struct http_exchange *exchange, struct iovec **parts, unsigned *count, size_t bytes)
{
	size_t of_absorbed = bytes < exchange->absorbed.left ? bytes : exchange->absorbed.left;

	if (of_absorbed > 0)
		http_spool_read(&exchange->absorbed, of_absorbed, false);
	skip_parts(parts, count, bytes - of_absorbed);
	if (bytes > 0)
		exchange->taken_us = exchange_now_us(exchange);
}

/* A server's answer, of which he has got the head: an interim answer, a page or a file can wait where it is. */
static bool may_absorb(const struct http_exchange *exchange)
{
	return exchange->server != NULL && exchange->answer_begun && exchange->limits->answer_buffer_bytes > 0;
}

/* As much as there is room for. True: all. */
static bool absorb(struct http_exchange *exchange, struct iovec **parts, unsigned *count)
{
	while (*count > 0) {
		size_t added = http_spool_add(&exchange->absorbed, &exchange->client->spool_bytes,
		                              span_of((*parts)->iov_base, (*parts)->iov_len), exchange->limits->answer_buffer_bytes);
		bool whole = added == (*parts)->iov_len;
		skip_parts(parts, count, added);
		if (!whole)
			return false;
	}
	return true;
}

enum http_outcome http_absorb_wait(struct http_exchange *exchange)
{
	uint64_t since_us = exchange_now_us(exchange);

	if (task_wait(exchange->room, http_absorb_limit_ms(exchange)) == WAIT_CANCELLED)
		return OUTCOME_STOPPING;
	return http_absorb_waited(exchange, since_us);
}

enum http_outcome http_absorb(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	if (exchange->absorbed.left == 0)
		exchange->taken_us = exchange_now_us(exchange);
	exchange->end_absorbed = last;
	for (;;) {
		enum http_outcome outcome = exchange->visitor->give(exchange, &parts, &count, last);
		if (outcome != OUTCOME_OK || (count == 0 && !exchange->visitor->is_behind(exchange)))
			return outcome;
		if (may_absorb(exchange)) {
			bool more = count > 0;
			if (exchange->held.left == 0)
				http_spool_free(&exchange->held); /* nobody will be sent it again */
			if (absorb(exchange, &parts, &count))
				return more ? http_absorb_push(exchange) : OUTCOME_OK; /* from its new place */
		}
		outcome = http_absorb_wait(exchange);
		if (outcome != OUTCOME_OK)
			return outcome;
	}
}

enum http_outcome http_absorb_push(struct http_exchange *exchange)
{
	struct iovec *parts = NULL;
	unsigned count = 0;

	return exchange->visitor->give(exchange, &parts, &count, exchange->end_absorbed);
}

enum http_outcome http_absorb_finish(struct http_exchange *exchange)
{
	while (exchange->visitor->is_behind(exchange)) {
		enum http_outcome outcome = http_absorb_push(exchange);
		if (outcome == OUTCOME_OK && exchange->visitor->is_behind(exchange))
			outcome = http_absorb_wait(exchange);
		if (outcome != OUTCOME_OK)
			return outcome;
	}
	return OUTCOME_OK;
}

/* ---- how long ------------------------------------------------------------------------------------------------------------- */

static int64_t idle_left_ms(const struct http_exchange *exchange)
{
	return (int64_t)exchange->site->idle_timeout_ms - (int64_t)((exchange_now_us(exchange) - exchange->taken_us) / 1000u);
}

int64_t http_absorb_limit_ms(struct http_exchange *exchange)
{
	int64_t idle_ms = idle_left_ms(exchange), pace_ms = http_pace_left_ms(&exchange->download_pace, exchange->limits->rate_least);

	idle_ms = idle_ms > 0 ? idle_ms : 0;
	return pace_ms != NO_TIMEOUT && pace_ms < idle_ms ? pace_ms : idle_ms;
}

/* The kernel takes megabytes for him at once, and then nothing until he has read a third of it: only it knows what he really
 * took. */
static void ask_what_he_took(struct http_exchange *exchange)
{
	uint64_t bytes = exchange->visitor->taken(exchange);

	exchange->taken_bytes += bytes;
	if (bytes > 0)
		exchange->taken_us = exchange_now_us(exchange);
}

enum http_outcome http_absorb_waited(struct http_exchange *exchange, uint64_t since_us)
{
	uint32_t rate_least = exchange->limits->rate_least;
	struct http_pace *pace = &exchange->download_pace;
	bool look = http_pace_waited(pace, rate_least, exchange_now_us(exchange) - since_us);

	if (!look && idle_left_ms(exchange) > 0)
		return OUTCOME_OK;
	ask_what_he_took(exchange);
	if (idle_left_ms(exchange) <= 0)
		return OUTCOME_VISITOR_STALLED;
	if (!look)
		return OUTCOME_OK;
	uint64_t bytes = exchange->taken_bytes, waited_us = pace->waited_us;
	exchange->taken_bytes = 0;
	if (http_pace_look(pace, rate_least, bytes))
		return OUTCOME_OK;
	snprintf(exchange->detail, sizeof(exchange->detail), "he took %llu bytes in %llu s; at least %u in a second must be taken",
	         (unsigned long long)bytes, (unsigned long long)(waited_us / 1000000u), rate_least);
	return OUTCOME_VISITOR_SLOW;
}
