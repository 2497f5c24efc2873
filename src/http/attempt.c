/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attempts: a request is tried on a server, and on another one when that does no harm. The one rule: what may have been executed
 * and is not idempotent is never sent again. docs/http.md has it in words.
 */
#include "http/http_private.h"

#include <stdio.h>

static struct upstream_core *upstream_of(struct http_exchange *exchange)
{
	return &exchange->core->upstream;
}

bool http_attempt_may_repeat(const struct http_exchange *exchange)
{
	/* Not even the size line of a first chunk: another server would take for framing what the visitor sent as content. */
	return http_method_is_idempotent(exchange->request.method) && !exchange->upload_begun;
}

/* ---- getting a connection ---------------------------------------------------------------------------------------- */

/* The next server; after a reused connection has failed and no other server is left, the same one deserves a new connection. */
static struct upstream_target *choose(struct http_exchange *exchange)
{
	struct upstream_target *target;

	if (exchange->tries > 0 && exchange->target != NULL) {
		uint32_t same = upstream_bit(exchange->group, exchange->target);
		target = upstream_choose(upstream_of(exchange), exchange->group, exchange->tried | same);
		if (target != NULL)
			return target;
	}
	return upstream_choose(upstream_of(exchange), exchange->group, exchange->tried);
}

static enum http_outcome outcome_of_connect(struct http_exchange *exchange, enum net_result result)
{
	if (result == NET_CANCELLED)
		return OUTCOME_STOPPING;
	snprintf(exchange->detail, sizeof(exchange->detail), "%s: cannot connect: %s", exchange->target->text,
	         net_result_text(result));
	if (result == NET_NO_RESOURCES)
		return OUTCOME_NO_RESOURCES;
	exchange->tried |= upstream_bit(exchange->group, exchange->target);
	upstream_failed(upstream_of(exchange), exchange->group, exchange->target);
	return OUTCOME_CONNECT_FAILED;
}

static enum http_outcome get_connection(struct http_exchange *exchange)
{
	exchange->server = NULL;
	exchange->sent = exchange->impatient = false;
	exchange->sent_us = 0;
	if (!exchange->fresh_only)
		exchange->server = upstream_take_idle(exchange->target, !http_attempt_may_repeat(exchange));
	if (exchange->server == NULL) {
		enum net_result result = upstream_connect(exchange->target, exchange->group->group->connect_timeout_ms, &exchange->server);
		if (result != NET_OK)
			return outcome_of_connect(exchange, result);
	}
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
	if (outcome == OUTCOME_OK && exchange->response.keep_alive && exchange->download.done && exchange_is_uploaded(exchange) &&
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
	uint32_t not_these = exchange->tried | upstream_bit(exchange->group, exchange->target);
	for (uint32_t i = 0; i < exchange->group->target_count; i++) {
		const struct upstream_target *target = &exchange->group->targets[i];
		if ((not_these & upstream_bit(exchange->group, target)) == 0 && target->health != NULL &&
		    board_target_usable(target->health, exchange_now_us(exchange)))
			return true;
	}
	return false;
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
			exchange->fresh_only = true;
		} else {
			exchange->tried |= upstream_bit(exchange->group, exchange->target);
			upstream_failed(upstream_of(exchange), exchange->group, exchange->target);
		}
	} else if (outcome == OUTCOME_SERVER_DOWN) {
		exchange->tried |= upstream_bit(exchange->group, exchange->target);
	}
}

static enum http_outcome try_once(struct http_exchange *exchange)
{
	upstream_begin(upstream_of(exchange), exchange->target);
	exchange->tries++;
	enum http_outcome outcome = get_connection(exchange);
	if (outcome == OUTCOME_OK) {
		outcome = http_forward(exchange);
		note_failure(exchange, outcome);
	}
	release_connection(exchange, outcome);
	upstream_end(upstream_of(exchange), exchange->target);
	return outcome;
}

enum http_outcome http_attempt(struct http_exchange *exchange)
{
	enum http_outcome outcome = OUTCOME_NO_SERVER;

	upstream_budget_earn(&exchange->group->budget);
	do { /* at most UPSTREAM_TRIES_MOST times */
		struct upstream_target *target = choose(exchange);
		if (target == NULL && exchange->tries == 0)
			upstream_describe(upstream_of(exchange), exchange->group, exchange->detail, sizeof(exchange->detail));
		if (target == NULL)
			return outcome; /* what the last one ended in */
		if (exchange->tries > 0)
			BOARD_COUNT(exchange->core->lane, retries, 1);
		exchange->target = target;
		outcome = try_once(exchange);
	} while (may_retry(exchange, outcome));
	return outcome;
}
