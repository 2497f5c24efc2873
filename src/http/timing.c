/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Server-Timing (W3C): how long the request has been where, for the visitor's browser, on sites that ask for it. The app's own
 * Server-Timing goes on beside it. Called by answer.c for each answer's head.
 *
 *    noah-queue;dur=0.000, noah-connect;dur=0.231, noah-app;dur=12.907, noah;dur=13.402        (milliseconds)
 */
#include "http/http_private.h"

#include <stdio.h>

#define VALUE_MOST 192u /* four phases, each a name and at most 24 digits */

struct timing {
	char text[VALUE_MOST];
	size_t size;
};

static void add(struct timing *timing, const char *name, uint64_t us)
{
	size_t room = sizeof timing->text - timing->size;
	int size = snprintf(timing->text + timing->size, room, "%s%s;dur=%llu.%03llu", timing->size > 0 ? ", " : "", name,
	                    (unsigned long long)(us / 1000u), (unsigned long long)(us % 1000u));
	ASSERT(size > 0 && (size_t)size < room);
	timing->size += (size_t)size;
}

static void add_timing(struct http_exchange *exchange)
{
	struct timing timing = {.size = 0};

	if (exchange->connect_us != 0) {
		uint64_t both_us = exchange->connect_us - exchange->read_us, queued_us = exchange->queued_us;
		add(&timing, "noah-queue", queued_us < both_us ? queued_us : both_us);
		add(&timing, "noah-connect", queued_us < both_us ? both_us - queued_us : 0);
	}
	if (exchange->sent_us != 0 && exchange->first_byte_us >= exchange->sent_us)
		add(&timing, "noah-app", exchange->first_byte_us - exchange->sent_us);
	add(&timing, "noah", exchange_now_us(exchange) - exchange->started_us);
	char *value = arena_copy_text(task_arena(), span_of(timing.text, timing.size));
	if (value != NULL)
		exchange_add_field(exchange, SPAN("Server-Timing"), span_of(value, timing.size));
}

void http_timing_fields(struct http_exchange *exchange)
{
	if (exchange->site != NULL && exchange->site->server_timing)
		add_timing(exchange);
}
