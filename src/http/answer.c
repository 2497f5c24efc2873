/* SPDX-License-Identifier: BSD-2-Clause
 *
 * noah's own answers: a small page in plain words for each status with which noah itself ends a request. A visitor learns what he
 * can do; which server is down and why stands in the log.
 */
#include "http/http_private.h"

#include <stdio.h>

#define PAGE_MOST 1536u
#define HEAD_MOST 512u
#define ALLOWED   "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
#define WRITE_MS  5000

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
    {421, "There is no site of this name here."},
    {431, "Your request's header fields are too large. If you use a browser, deleting this site's cookies may help."},
    {501, "Your request uses a method or a transfer coding that is not known here."},
    {502, "The server behind this site gave no usable answer. Your request may or may not have been carried out."},
    {503, "This site cannot answer right now: none of its servers is available. Your request was not carried out. "
          "Please try again in a moment."},
    {504, "The server behind this site did not answer in time. Your request may or may not have been carried out."},
    {505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."},
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

static void write_head(struct http_writer *writer, struct http_exchange *exchange, int status, size_t page_size)
{
	http_write_status(writer, status);
	http_write_field(writer, SPAN("Date"), http_date_now(&exchange->core->date, http_core_wall_us(exchange->core)));
	http_write(writer, SPAN("Cache-Control: no-store\r\n"));
	if (page_size > 0)
		http_write(writer, SPAN("Content-Type: text/html; charset=utf-8\r\n"));
	if (status == 405 || status == 200)
		http_write(writer, SPAN("Allow: " ALLOWED "\r\n"));
	if (status == 503)
		http_write_field_number(writer, SPAN("Retry-After"), retry_after_s(exchange));
	if (!exchange->keep)
		http_write(writer, SPAN("Connection: close\r\n"));
	else if (exchange->request.head.minor == 0)
		http_write(writer, SPAN("Connection: keep-alive\r\n"));
	http_write_framing(writer, HTTP_BODY_LENGTH, page_size);
	http_write_head_end(writer);
}

void http_answer(struct http_exchange *exchange, int status)
{
	char page[PAGE_MOST], head[HEAD_MOST];
	struct http_writer writer;
	size_t page_size = status == 200 ? 0 : make_page(status, page);

	http_writer_init(&writer, head, sizeof(head), NULL, 0);
	write_head(&writer, exchange, status, page_size);
	ASSERT(http_writer_finish(&writer));
	struct iovec parts[2] = {{.iov_base = head, .iov_len = writer.size}, {.iov_base = page, .iov_len = page_size}};
	bool head_only = exchange->parsed && exchange->request.method == HTTP_METHOD_HEAD;
	exchange->status = status;
	exchange->answer_begun = true;
	exchange->delimited = true;
	exchange->download.content_bytes = head_only ? 0 : page_size;
	exchange->answer_whole = stream_write(&exchange->client->stream, parts, head_only ? 1 : 2, WRITE_MS) == NET_OK;
}
