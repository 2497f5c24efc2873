/* SPDX-License-Identifier: BSD-2-Clause
 *
 * noah's own answers: a small page in plain words for each status with which noah itself ends a request. A visitor learns what he
 * can do; which server is down and why stands in the log.
 */
#include "http/http_private.h"

#include <stdio.h>

#define PAGE_MOST 1536u
#define ALLOWED   "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

static const struct {
	int status;
	const char *words;
} pages[] = {
    {400, "This request is not valid HTTP, so it was not passed on."},
    {405, "This method is not allowed here."},
    {408, "Your request did not arrive completely in time. Please try again."},
    {413, "What you sent is larger than this site accepts."},
    {414, "The address you asked for is too long."},
    {417, "Your request expects something that this site cannot promise."},
    {421, "There is no site of this name here, or not on this connection."},
    {431, "Your request's header fields are too large. If you use a browser, deleting this site's cookies may help."},
    {501, "Your request uses a method or a transfer coding that is not known here."},
    {502, "The server behind this site gave no usable answer. Your request may or may not have been carried out."},
    {503, "This site cannot answer right now: none of its servers is available. Your request was not carried out. "
          "Please try again in a moment."},
    {504, "The server behind this site did not answer in time. Your request may or may not have been carried out."},
    {505, "This version of HTTP is not spoken here."},
    {508, "This request goes in a circle between proxies."},
};

static const char *words_of(int status)
{
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		if (pages[i].status == status)
			return pages[i].words;
	}
	return "";
}

static size_t make_page(int status, char page[PAGE_MOST])
{
	struct span reason = http_status_reason(status);
	int size = snprintf(page, PAGE_MOST,
	                    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>%d %.*s</title></head>\n"
	                    "<body>\n<h1>%.*s</h1>\n<p>%s</p>\n<p>%d, noah</p>\n</body>\n</html>\n",
	                    status, (int)reason.size, reason.start, (int)reason.size, reason.start, words_of(status), status);
	ASSERT(size > 0 && size < (int)PAGE_MOST);
	return (size_t)size;
}

/* By then the checks may have found a server up again. */
static uint64_t retry_after_s(const struct http_exchange *exchange)
{
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
	char page[PAGE_MOST], seconds[24];
	size_t page_size = status == 200 ? 0 : make_page(status, page);

	exchange_add_field(exchange, SPAN("Cache-Control"), SPAN("no-store"));
	if (page_size > 0)
		exchange_add_field(exchange, SPAN("Content-Type"), SPAN("text/html; charset=utf-8"));
	if (status == 405 && exchange->site != NULL && exchange->group == NULL)
		exchange_add_field(exchange, SPAN("Allow"), SPAN("GET, HEAD")); /* it has a page only */
	else if (status == 405 || status == 200)
		exchange_add_field(exchange, SPAN("Allow"), SPAN(ALLOWED));
	if (status == 503) {
		int size = snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)retry_after_s(exchange));
		exchange_add_field(exchange, SPAN("Retry-After"), span_of(seconds, (size_t)size));
	}
	http_answer_with(exchange, status, span_of(page, page_size));
}
