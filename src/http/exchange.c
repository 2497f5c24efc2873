/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of one request and its answer, the same for every visitor, whatever he speaks: for which site, is he let in, can it be
 * answered at once, by which server; and how it ended.
 * connection.c calls it for HTTP/1.1, h2_stream.c for HTTP/2, each in its own task.
 */
#include "http/compress.h"

#include <stdio.h>

static const struct {
	const char *text;
	int status;
	enum http_culprit culprit;
} outcomes[] = {
#define X(name, text, status, culprit) [name] = {text, status, culprit},
    HTTP_OUTCOMES(X)
#undef X
};

const char *http_outcome_text(enum http_outcome outcome)
{
	ASSERT((unsigned)outcome < COUNT_OF(outcomes));
	return outcomes[outcome].text;
}

void http_exchange_begin(struct http_exchange *exchange, struct http_client *client)
{
	memset(exchange, 0, offsetof(struct http_exchange, detail) + 1);
	exchange->core = client->core;
	exchange->client = client;
	exchange->origin = &client->origin;
	exchange->from = http_origin_text(exchange->origin);
	exchange->secure = stream_is_secure(&client->stream) || client->told_secure;
	exchange->routes = http_routes_ref(client->core->routes);
	exchange->started_us = exchange_now_us(exchange);
}

void http_exchange_end(struct http_exchange *exchange)
{
	http_coded_drop(exchange);
	http_spool_free(&exchange->held);
	http_spool_free(&exchange->absorbed);
	http_routes_unref(exchange->routes);
}

enum http_outcome http_exchange_run(struct http_exchange *exchange)
{
	enum http_outcome outcome = http_front_end_told(exchange);
	if (outcome == OUTCOME_OK)
		outcome = http_route(exchange);
	enum http_outcome guarded = http_guard_admit(exchange); /* also who asks for what is not here */
	if (guarded != OUTCOME_OK)
		outcome = guarded;
	if (outcome == OUTCOME_OK)
		outcome = http_admit(exchange);
	if (outcome == OUTCOME_OK)
		outcome = http_direct(exchange);
	if (outcome == OUTCOME_OK && exchange->files != NULL)
		outcome = http_static(exchange);
	if (outcome == OUTCOME_OK)
		outcome = exchange->group != NULL ? http_attempt(exchange) : http_page(exchange);
	return outcome;
}

/* ---- how it ended, in one place --------------------------------------------------------------------------------- */

static void say_failure(struct http_exchange *exchange, enum http_outcome outcome)
{
	LOG_LIMITED(LOG_WARNING, 1000, "site %s: a visitor's request failed (%s): %s",
	            exchange->site != NULL ? exchange->site->name : "-", http_outcome_text(outcome),
	            exchange->detail[0] != '\0' ? exchange->detail : "see the access log");
}

static void answer(struct http_exchange *exchange, enum http_outcome outcome, int status)
{
	if (outcome == OUTCOME_REDIRECTED)
		http_answer_redirect(exchange);
	else if (outcome == OUTCOME_PAGE)
		http_answer_page(exchange);
	else
		http_answer(exchange, status);
}

/* What is no valid request has not come to http_exchange_run. It counts like one: else it could be sent without end. */
static enum http_outcome count_invalid(struct http_exchange *exchange, enum http_outcome outcome)
{
	enum http_outcome guarded = OUTCOME_OK;

	if (UNLIKELY(outcome == OUTCOME_BAD_REQUEST && !exchange->parsed))
		guarded = http_guard_admit(exchange);
	return guarded != OUTCOME_OK ? guarded : outcome;
}

void http_exchange_conclude(struct http_exchange *exchange, enum http_outcome outcome)
{
	outcome = count_invalid(exchange, outcome);
	bool failure = outcomes[outcome].culprit == BY_SERVER || outcomes[outcome].culprit == BY_NOAH;
	int status = outcomes[outcome].status;

	ASSERT(outcome != OUTCOME_NOTHING);
	if (exchange->fault != HTTP_FAULT_NONE && (outcome == OUTCOME_BAD_REQUEST || outcome == OUTCOME_BAD_BODY)) {
		status = http_fault_status(exchange->fault);
		snprintf(exchange->detail, sizeof(exchange->detail), "%s", http_fault_text(exchange->fault));
	}
	if (status == 503 && exchange->sent_ever)
		status = 502; /* 503 says that it was not carried out, and invites to send it again */
	if (status != 0 && !exchange->answer_begun) {
		/* What follows a CONNECT, or an Upgrade, was meant for the far end of a tunnel, and may be of somebody else's making. */
		exchange->keep = exchange->parsed && exchange->request.keep_alive && exchange_is_read(exchange) &&
		                 exchange->request.method != HTTP_METHOD_CONNECT && !exchange->request.upgrade &&
		                 !exchange->core->draining && outcome != OUTCOME_STOPPING;
		answer(exchange, outcome, status);
	}
	http_count_exchange(exchange);
	if (failure)
		say_failure(exchange, outcome);
	if (outcome != OUTCOME_TUNNEL) /* when it ends */
		http_log_exchange(exchange->core->log, exchange, outcome, failure);
}
