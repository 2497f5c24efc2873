/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The access log: one line for each request; docs/http.md describes it. Lines are gathered and written 32 KB at a time or after
 * 100 ms; the line of a failure at once. Written with append, whole lines in each write, so the threads' lines do not mix in a
 * file.
 */
#include "http/http_private.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WRITE_AT    32768u
#define LINE_MOST   18432u
#define DELAY_MS    100
#define TARGET_MOST 2048u /* of each text that a visitor chose, before escaping (fourfold at worst) */
#define TEXT_MOST   512u

struct http_log {
	int descriptor; /* -1: none */
	uint32_t used;
	struct timer timer;
	uint64_t second; /* that `time` stands for */
	char time[48];
	char lines[WRITE_AT + LINE_MOST];
};
_Static_assert(4 * (TARGET_MOST + 3 * TEXT_MOST + HTTP_DETAIL_SIZE) + 1024 <= LINE_MOST, "a line fits");

/* ---- writing out ------------------------------------------------------------------------------------------------ */

static void flush(struct http_log *log)
{
	size_t done = 0;

	timer_clear(&log->timer);
	while (done < log->used) {
		ssize_t written = write(log->descriptor, log->lines + done, log->used - done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			LOG_LIMITED(LOG_ERROR, 10000, "the access log cannot be written, lines are lost: %m");
			break;
		}
		done += (size_t)written;
	}
	log->used = 0;
}

static void on_timer(struct timer *timer)
{
	flush(OWNER_OF(timer, struct http_log, timer));
}

struct http_log *http_log_new(int descriptor)
{
	struct http_log *log = malloc(sizeof(*log));

	if (log == NULL)
		return NULL;
	log->descriptor = descriptor;
	log->used = 0;
	log->second = 0;
	timer_init(&log->timer, on_timer);
	return log;
}

void http_log_free(struct http_log *log)
{
	flush(log);
	free(log);
}

void http_log_reopen(struct http_log *log, int descriptor)
{
	flush(log);
	log->descriptor = descriptor;
}

/* ---- pieces of a line ------------------------------------------------------------------------------------------- */

static char *put(char *out, struct span text)
{
	memcpy(out, text.start, text.size);
	return out + text.size;
}

static char *put_number(char *out, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	return put(out, span_of(digits + at, sizeof(digits) - at));
}

/* What a visitor or a server wrote: neither a line nor a field can be forged with it. */
static char *put_escaped(char *out, struct span text, size_t most)
{
	static const char hex[] = "0123456789abcdef";
	size_t size = text.size < most ? text.size : most;

	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)text.start[i];
		if (LIKELY(byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')) {
			*out++ = (char)byte;
			continue;
		}
		*out++ = '\\';
		*out++ = 'x';
		*out++ = hex[byte >> 4];
		*out++ = hex[byte & 15];
	}
	return size < text.size ? put(out, SPAN("...")) : out;
}

static char *put_quoted(char *out, struct span text, size_t most)
{
	*out++ = '"';
	out = text.start == NULL ? put(out, SPAN("-")) : put_escaped(out, text, most);
	*out++ = '"';
	return out;
}

static char *put_time(struct http_log *log, char *out, uint64_t wall_us)
{
	uint64_t second = wall_us / 1000000u;

	if (second != log->second) {
		time_t when = (time_t)second;
		struct tm parts;
		ASSERT(gmtime_r(&when, &parts) != NULL);
		ASSERT(strftime(log->time, sizeof(log->time), " - - [%d/%b/%Y:%H:%M:%S +0000] ", &parts) > 0);
		log->second = second;
	}
	return put(out, span_of_text(log->time));
}

/* From one moment to another, "-" when one of them was not reached. */
static char *put_phase(char *out, struct span name, uint64_t from_us, uint64_t to_us)
{
	out = put(out, name);
	if (from_us == 0 || to_us < from_us)
		return put(out, SPAN("-"));
	return put_number(out, to_us - from_us);
}

/* ---- a line ----------------------------------------------------------------------------------------------------- */

/* The method and target of a request that could not be parsed are not known for sure: as much as came, up to its first line's
 * end. */
static struct span raw_first_line(const struct http_exchange *exchange)
{
	struct span rest = exchange->raw;
	return rest.size == 0 ? span_of(NULL, 0) : span_cut(&rest, '\r');
}

static char *put_request_line(char *out, const struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;

	if (!exchange->parsed)
		return put_quoted(out, raw_first_line(exchange), TEXT_MOST);
	*out++ = '"';
	out = put(out, http_text(&request->head, request->method_text));
	*out++ = ' ';
	out = put_escaped(out, http_text(&request->head, request->target), TARGET_MOST);
	out = put(out, SPAN(" HTTP/"));
	out = put(out, exchange_version(exchange));
	*out++ = '"';
	return out;
}

static struct span field_of(const struct http_exchange *exchange, enum http_field_name name)
{
	return exchange->parsed ? http_value(&exchange->request.head, name) : span_of(NULL, 0);
}

static char *put_line(struct http_log *log, char *out, struct http_exchange *exchange, enum http_outcome outcome)
{
	uint64_t now_us = exchange_now_us(exchange), in, out_bytes;

	exchange->visitor->count_bytes(exchange, &in, &out_bytes);
	out = put(out, span_of(exchange->client->from, exchange->client->from_size));
	out = put_time(log, out, http_core_wall_us(exchange->core));
	out = put_request_line(out, exchange);
	*out++ = ' ';
	out = put_number(out, (uint64_t)exchange->status);
	*out++ = ' ';
	out = put_number(out, exchange->download.content_bytes);
	*out++ = ' ';
	out = put_quoted(out, field_of(exchange, HTTP_FIELD_REFERER), TEXT_MOST);
	*out++ = ' ';
	out = put_quoted(out, field_of(exchange, HTTP_FIELD_USER_AGENT), TEXT_MOST);
	out = put(out, SPAN(" site="));
	out = put(out, exchange->site != NULL ? span_of_text(exchange->site->name) : SPAN("-"));
	out = put(out, SPAN(" server="));
	out = put(out, exchange->target != NULL ? span_of_text(exchange->target->text) : SPAN("-"));
	out = put(out, SPAN(" retries="));
	out = put_number(out, exchange->tries > 1 ? exchange->tries - 1 : 0);
	out = put_phase(out, SPAN(" read="), exchange->started_us, exchange->read_us);
	out = put_phase(out, SPAN(" connect="), exchange->read_us, exchange->connect_us);
	out = put_phase(out, SPAN(" first="), exchange->sent_us, exchange->first_byte_us);
	out = put_phase(out, SPAN(" total="), exchange->started_us, now_us);
	out = put(out, SPAN(" in="));
	out = put_number(out, in);
	out = put(out, SPAN(" out="));
	out = put_number(out, out_bytes);
	out = put(out, SPAN(" end="));
	out = put(out, span_of_text(http_outcome_text(outcome)));
	if (UNLIKELY(exchange->detail[0] != '\0')) {
		out = put(out, SPAN(" cause="));
		out = put_quoted(out, span_of_text(exchange->detail), HTTP_DETAIL_SIZE);
	}
	*out++ = '\n';
	return out;
}

void http_log_exchange(struct http_log *log, struct http_exchange *exchange, enum http_outcome outcome, bool failure)
{
	if (log->descriptor < 0)
		return;
	if (log->used == 0)
		timer_set(&log->timer, DELAY_MS);
	char *end = put_line(log, log->lines + log->used, exchange, outcome);
	log->used = (uint32_t)(end - log->lines);
	ASSERT(log->used <= sizeof(log->lines));
	if (failure || log->used >= WRITE_AT)
		flush(log);
}
