/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attempts: a request is tried on a server, and on another one when that does no harm. The one rule: what may have been executed
 * and is not idempotent is never sent again. docs/http.md has it in words.
 */
#include "http/http_private.h"

#include <stdio.h>

#define ERROR_LATENCY_US      UINT64_C(100000) /* what an error counts as while nothing else is known */
#define ERROR_LATENCY_MOST_US UINT64_C(10000000)

static struct upstream_core *upstream_of(struct http_exchange *exchange)
{
	return &exchange->core->upstream;
}

bool http_attempt_may_repeat(const struct http_exchange *exchange)
{
	/* Not even after the size line of a first chunk: another server would take for framing what the visitor sent as content. */
	return http_method_is_idempotent(exchange->request.method) && !exchange->upload_begun;
}

/* ---- getting a connection ---------------------------------------------------------------------------------------- */

/* A visitor who ends his side while he waits in a queue has left: few who close only half of their connection wait for long, and
 * many who go away do no more than that. */
static bool has_left(void *argument)
{
	struct http_exchange *exchange = argument;
	return exchange->client->stream.watched.hangup || exchange->visitor->is_gone(exchange);
}

static enum http_outcome outcome_of_admission(struct http_exchange *exchange, enum upstream_admission admission)
{
	switch (admission) {
	case UPSTREAM_ADMITTED:
		return OUTCOME_OK;
	case UPSTREAM_GONE:
		return OUTCOME_VISITOR_GONE;
	case UPSTREAM_CANCELLED:
		return OUTCOME_STOPPING;
	case UPSTREAM_NO_SERVER:
	case UPSTREAM_QUEUE_FULL:
	case UPSTREAM_QUEUE_TIMEOUT:
		break;
	}
	upstream_describe(upstream_of(exchange), exchange->group, admission, exchange->detail, sizeof(exchange->detail));
	return admission == UPSTREAM_QUEUE_FULL      ? OUTCOME_QUEUE_FULL
	       : admission == UPSTREAM_QUEUE_TIMEOUT ? OUTCOME_QUEUE_TIMEOUT
	                                             : OUTCOME_NO_SERVER;
}

/* The next server and a place on it. After a reused connection has failed and no other server is left, the same one deserves a
 * new connection. */
static enum http_outcome get_in(struct http_exchange *exchange, enum http_outcome before, struct upstream_place *place)
{
	struct upstream_wish *wish = &exchange->wish;
	const struct upstream_patience patience = {.changed = exchange->changed, .is_gone = has_left, .argument = exchange};
	uint64_t began_us = exchange_now_us(exchange);

	wish->careful = !http_attempt_may_repeat(exchange);
	wish->avoid = exchange->tries > 0 ? upstream_bit(exchange->group, exchange->target) : 0;
	enum upstream_admission admission = upstream_admit(upstream_of(exchange), exchange->group, wish, &patience, place);
	if (wish->ticket != 0)
		exchange->queued_us += exchange_now_us(exchange) - began_us;
	if (admission == UPSTREAM_NO_SERVER && exchange->tries > 0)
		return before; /* what the last try ended in */
	return outcome_of_admission(exchange, admission);
}

static enum http_outcome outcome_of_connect(struct http_exchange *exchange, enum net_result result)
{
	if (result == NET_CANCELLED)
		return OUTCOME_STOPPING;
	snprintf(exchange->detail, sizeof(exchange->detail), "%s: cannot connect: %s", exchange->target->text,
	         net_result_text(result));
	if (result == NET_NO_RESOURCES)
		return OUTCOME_NO_RESOURCES;
	exchange->wish.tried |= upstream_bit(exchange->group, exchange->target);
	upstream_failed(upstream_of(exchange), exchange->group, exchange->target);
	return OUTCOME_CONNECT_FAILED;
}

static enum http_outcome get_connection(struct http_exchange *exchange, struct upstream_place *place)
{
	exchange->sent = exchange->impatient = exchange->upload_broken = false;
	exchange->sent_us = 0;
	enum net_result result =
	    upstream_open(upstream_of(exchange), place, exchange->group->group->connect_timeout_ms, &exchange->server);
	if (result != NET_OK)
		return outcome_of_connect(exchange, result);
	exchange->connect_us = exchange_now_us(exchange);
	return OUTCOME_OK;
}

/* The connection goes back to its pool only when both messages are over, so that nothing on it can be taken for something else.
 */
static void release_connection(struct http_exchange *exchange, enum http_outcome outcome)
{
	struct upstream_connection *server = exchange->server;

	exchange->server = NULL;
	if (server == NULL)
		return;
	bool answered = outcome == OUTCOME_OK || (outcome == OUTCOME_NOT_FOUND && exchange->trying);
	if (answered && exchange->response.keep_alive && exchange->download.done && exchange_is_uploaded(exchange) &&
	    !exchange->upload_broken && !exchange->impatient)
		upstream_give_back(server);
	else
		upstream_close(server);
}

/* ---- retries ----------------------------------------------------------------------------------------------------- */

static bool is_harmless(const struct http_exchange *exchange, enum http_outcome outcome)
{
	if (exchange->answer_begun)
		return false;
	switch (outcome) {
	case OUTCOME_CONNECT_FAILED:
		return true;
	case OUTCOME_SERVER_CLOSED:
		return !exchange->sent || http_attempt_may_repeat(exchange);
	case OUTCOME_SERVER_DOWN:
		return exchange->retry_paid; /* http_attempt_may_move has looked */
	default:
		return false;
	}
}

static bool may_retry(struct http_exchange *exchange, enum http_outcome outcome)
{
	if (!is_harmless(exchange, outcome))
		return false;
	if (exchange->retry_paid) {
		exchange->retry_paid = false;
		return true;
	}
	return exchange->tries < UPSTREAM_TRIES_MOST && upstream_budget_spend(&exchange->group->budget, exchange_now_us(exchange));
}

static bool has_other_server(struct http_exchange *exchange)
{
	uint32_t not_these = exchange->wish.tried | upstream_bit(exchange->group, exchange->target);
	const struct upstream_wish other = {.tried = not_these};
	return upstream_candidates(upstream_of(exchange), exchange->group, &other) != 0;
}

bool http_attempt_may_move(struct http_exchange *exchange)
{
	if (!upstream_is_down(exchange->target) || !http_attempt_may_repeat(exchange) || exchange->answer_begun ||
	    exchange->tries >= UPSTREAM_TRIES_MOST || !has_other_server(exchange))
		return false;
	exchange->retry_paid = upstream_budget_spend(&exchange->group->budget, exchange_now_us(exchange));
	if (exchange->retry_paid)
		snprintf(exchange->detail, sizeof(exchange->detail), "%s was found down while the request waited for its answer",
		         exchange->target->text);
	return exchange->retry_paid;
}

/* One connection that was closed before it answered: an idle one that was used again says nothing about its server, a new one
 * does. */
static void note_failure(struct http_exchange *exchange, enum http_outcome outcome)
{
	if (outcome == OUTCOME_SERVER_CLOSED) {
		if (exchange->server->reused) {
			/* Servers close idle connections when they like: this once it costs nothing, however often they do. */
			exchange->retry_paid = !exchange->wish.fresh;
			exchange->wish.fresh = true;
		} else {
			exchange->wish.tried |= upstream_bit(exchange->group, exchange->target);
			upstream_failed(upstream_of(exchange), exchange->group, exchange->target);
		}
	} else if (outcome == OUTCOME_SERVER_DOWN) {
		exchange->wish.tried |= upstream_bit(exchange->group, exchange->target);
	}
}

/* A server that is broken often says so at once: it must not seem to be the fastest, and draw everybody. */
static uint64_t latency_of_error(const struct http_exchange *exchange, uint64_t took_us)
{
	uint64_t before_us = atomic_load_explicit(&exchange->target->health->latency_us, memory_order_relaxed);
	uint64_t slow_us = before_us == 0                          ? ERROR_LATENCY_US
	                   : before_us < ERROR_LATENCY_MOST_US / 2 ? 2 * before_us
	                                                           : ERROR_LATENCY_MOST_US;
	return took_us > slow_us ? took_us : slow_us;
}

/* What least-latency measures: only requests whose whole body was in hand, so that a slow visitor does not count. */
static void note_latency(struct http_exchange *exchange)
{
	if (exchange->group->group->balance != BALANCE_LEAST_LATENCY || exchange->upload_begun || exchange->sent_us == 0 ||
	    exchange->first_byte_us < exchange->sent_us)
		return;
	uint64_t took_us = exchange->first_byte_us - exchange->sent_us;
	if (exchange->status >= 500)
		took_us = latency_of_error(exchange, took_us);
	upstream_note_latency(upstream_of(exchange), exchange->target, took_us);
}

static enum http_outcome try_once(struct http_exchange *exchange, struct upstream_place *place)
{
	exchange->target = place->target;
	upstream_begin(upstream_of(exchange), exchange->target);
	exchange->tries++;
	enum http_outcome outcome = get_connection(exchange, place);
	if (outcome == OUTCOME_OK) {
		outcome = http_forward(exchange);
		note_latency(exchange);
		note_failure(exchange, outcome);
	}
	if (outcome == OUTCOME_TUNNEL)
		return outcome; /* it keeps its connection, and goes on counting as under way (upgrade.c) */
	release_connection(exchange, outcome);
	upstream_end(upstream_of(exchange), exchange->target);
	return outcome;
}

/* The server has done its part, and its connection serves others already. */
static enum http_outcome let_visitor_take_it(struct http_exchange *exchange)
{
	enum http_outcome outcome = http_absorb_finish(exchange);

	exchange->answer_whole = outcome == OUTCOME_OK;
	return outcome;
}

enum http_outcome http_attempt(struct http_exchange *exchange)
{
	enum http_outcome outcome = http_hold(exchange);

	if (outcome != OUTCOME_OK)
		return outcome;
	outcome = OUTCOME_NO_SERVER;
	upstream_budget_earn(&exchange->group->budget);
	http_make_wish(exchange);
	do { /* at most UPSTREAM_TRIES_MOST times */
		struct upstream_place place;
		outcome = get_in(exchange, outcome, &place);
		if (place.target == NULL)
			return outcome;
		if (exchange->tries > 0)
			BOARD_COUNT(exchange->core->lane, retries, 1);
		outcome = try_once(exchange, &place);
	} while (may_retry(exchange, outcome));
	return outcome == OUTCOME_OK ? let_visitor_take_it(exchange) : outcome;
}
