/* SPDX-License-Identifier: BSD-2-Clause
 *
 * noah's own answers: for each status with which noah itself ends a request, a page (pages.c) and the fields that belong to it.
 * exchange.c calls it.
 */
#include "http/pages.h"

#include <stdio.h>

#define ALLOWED "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

/* By then the checks may have found a server up again. */
static uint64_t retry_after_s(const struct http_exchange *exchange)
{
	if (exchange->retry_after_s > 0)
		return exchange->retry_after_s;
	if (exchange->group == NULL)
		return 1;
	const struct cluster_check *check = &exchange->group->group->check;
	return ((uint64_t)check->every_ms * check->rise + 999) / 1000;
}

void http_answer_fields(struct http_exchange *exchange)
{
	if (exchange->fields_added)
		return;
	exchange->fields_added = true;
	http_sticky_fields(exchange);
	http_timing_fields(exchange);
	if (exchange->hsts.size > 0)
		exchange_add_field(exchange, SPAN("Strict-Transport-Security"), exchange->hsts);
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

void http_answer_with(struct http_exchange *exchange, int status, struct span page)
{
	bool head_only = exchange->parsed && exchange->request.method == HTTP_METHOD_HEAD;

	exchange_add_field(exchange, SPAN("Date"), http_date_now(&exchange->core->date, http_core_wall_us(exchange->core)));
	http_answer_fields(exchange);
	exchange->status = status;
	exchange->answer_begun = true;
	exchange->download.content_bytes = head_only ? 0 : page.size;
	exchange->answer_whole = exchange->visitor->send_own(exchange, head_only ? span_of(NULL, 0) : page, page.size);
}

void http_answer(struct http_exchange *exchange, int status)
{
	char buffer[HTTP_PAGE_MOST], seconds[24];
	struct http_own_page page = {.text = span_of(NULL, 0)};

	exchange_add_field(exchange, SPAN("Cache-Control"), SPAN("no-store"));
	if (status >= 400) {
		http_page_choose(exchange, status, buffer, &page);
		exchange_add_field(exchange, SPAN("Content-Type"), page.content_type);
	}
	if (status == 405 && exchange->site != NULL && exchange->group == NULL)
		exchange_add_field(exchange, SPAN("Allow"), SPAN("GET, HEAD")); /* it has a page only */
	else if (status == 405 || status == 200)
		exchange_add_field(exchange, SPAN("Allow"), SPAN(ALLOWED));
	if (status == 503 || exchange->retry_after_s > 0) {
		int size = snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)retry_after_s(exchange));
		exchange_add_field(exchange, SPAN("Retry-After"), span_of(seconds, (size_t)size));
	}
	http_answer_with(exchange, status, page.text);
}
