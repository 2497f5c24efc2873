/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes heads: answers of our own, and requests and answers passed on. Pure; http/ calls it on its core's thread.
 *
 * Kept fields stand one behind the other in what was read, so a forwarded head is a few runs, not a few dozen fields. Runs are
 * copied: for a usual head that costs less than another part in writev(2). Only long ones are pointed to.
 */
#include "proto/http_private.h"

#define STATUS_SIZE     12u   /* "HTTP/1.1 200" */
#define REFERENCE_LEAST 1024u /* bytes from which pointing is cheaper than copying */

void http_writer_init(struct http_writer *writer, char *memory, size_t room, struct iovec *parts, unsigned parts_most)
{
	*writer = (struct http_writer){.memory = memory, .room = room, .parts = parts, .parts_most = parts_most};
}

static void close_part(struct http_writer *writer)
{
	if (writer->parts == NULL || writer->size == writer->part_start)
		return;
	if (writer->part_count == writer->parts_most) {
		writer->failed = true;
		return;
	}
	writer->parts[writer->part_count++] =
	    (struct iovec){.iov_base = writer->memory + writer->part_start, .iov_len = writer->size - writer->part_start};
	writer->part_start = writer->size;
}

bool http_writer_finish(struct http_writer *writer)
{
	close_part(writer);
	return !writer->failed;
}

/* Room for `size` bytes more, or NULL. They count as written. */
static char *extend(struct http_writer *writer, size_t size)
{
	if (UNLIKELY(writer->failed || writer->room - writer->size < size)) {
		writer->failed = true;
		return NULL;
	}
	char *place = writer->memory + writer->size;
	writer->size += size;
	writer->total += size;
	return place;
}

void http_write(struct http_writer *writer, struct span text)
{
	char *place = extend(writer, text.size);
	if (place != NULL && text.size > 0)
		memcpy(place, text.start, text.size);
}

void http_write_reference(struct http_writer *writer, struct span text)
{
	if (writer->parts == NULL) {
		http_write(writer, text);
		return;
	}
	if (text.size == 0)
		return;
	close_part(writer);
	if (writer->failed || writer->part_count == writer->parts_most) {
		writer->failed = true;
		return;
	}
	/* writev(2) does not write through it. */
	writer->parts[writer->part_count++] = (struct iovec){.iov_base = (void *)(uintptr_t)text.start, .iov_len = text.size};
	writer->total += text.size;
}

static void write_run(struct http_writer *writer, struct span run)
{
	if (run.size >= REFERENCE_LEAST)
		http_write_reference(writer, run);
	else
		http_write(writer, run);
}

void http_write_field(struct http_writer *writer, struct span name, struct span value)
{
	char *place = extend(writer, name.size + value.size + 4);
	if (place == NULL)
		return;
	place = mempcpy(place, name.start, name.size);
	*place++ = ':';
	*place++ = ' ';
	if (value.size > 0)
		place = mempcpy(place, value.start, value.size);
	*place++ = '\r';
	*place = '\n';
}

void http_write_field_number(struct http_writer *writer, struct span name, uint64_t value)
{
	char text[20], *start = text + sizeof(text);
	do {
		*--start = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	http_write_field(writer, name, span_of(start, (size_t)(text + sizeof(text) - start)));
}

void http_write_framing(struct http_writer *writer, enum http_framing framing, uint64_t length)
{
	if (framing == HTTP_BODY_LENGTH)
		http_write_field_number(writer, SPAN("Content-Length"), length);
	else if (framing == HTTP_BODY_CHUNKED)
		http_write(writer, SPAN("Transfer-Encoding: chunked\r\n"));
}

void http_write_head_end(struct http_writer *writer)
{
	http_write(writer, SPAN("\r\n"));
}

/* ---- passing heads on ------------------------------------------------------------------------------------------- */

/* The bytes from `run` up to the first field that is left out, then the kept runs behind it. */
static void write_kept(struct http_writer *writer, const struct http_head *head, size_t run, uint64_t without)
{
	without |= HTTP_SET(HTTP_FIELD_CONTENT_LENGTH) | HTTP_SET(HTTP_FIELD_TRANSFER_ENCODING);
	for (unsigned i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		if (LIKELY(!field->dropped && (without & HTTP_SET(field->known)) == 0))
			continue;
		write_run(writer, span_of(head->start + run, field->name.at - run));
		run = i + 1 < head->field_count ? field[1].name.at : head->size - 2u;
	}
	write_run(writer, span_of(head->start + run, head->size - 2u - run));
}

void http_write_request(struct http_writer *writer, const struct http_request *request, uint64_t without,
                        struct span host_if_none)
{
	const struct http_head *head = &request->head;
	ASSERT(request->method != HTTP_METHOD_CONNECT);
	without &= ~HTTP_SET(HTTP_FIELD_OTHER);
	if (LIKELY(head->minor == 1 && request->target_form != HTTP_TARGET_ABSOLUTE)) {
		write_kept(writer, head, 0, without); /* the request line is the beginning of the first run */
		return;
	}
	http_write(writer, http_text(head, request->method_text));
	http_write(writer, SPAN(" "));
	if (request->target_form == HTTP_TARGET_ABSOLUTE && request->path.size == 0) /* RFC 9112 3.2.1, 3.2.4 */
		http_write(writer, request->method == HTTP_METHOD_OPTIONS && !request->has_query ? SPAN("*") : SPAN("/"));
	if (request->target_form == HTTP_TARGET_ASTERISK)
		http_write(writer, SPAN("*"));
	write_run(writer, http_text(head, request->path));
	if (request->has_query) {
		http_write(writer, SPAN("?"));
		write_run(writer, http_text(head, request->query));
	}
	http_write(writer, SPAN(" HTTP/1.1\r\n"));
	if (head->minor == 0) /* meant nothing there, and would mean something now (RFC 9110 10.1.1) */
		without |= HTTP_SET(HTTP_FIELD_EXPECT);
	bool own_host = request->target_form == HTTP_TARGET_ABSOLUTE || (head->present & HTTP_SET(HTTP_FIELD_HOST)) == 0;
	if (own_host && (without & HTTP_SET(HTTP_FIELD_HOST)) == 0) {
		http_write_field(writer, SPAN("Host"), request->host.size > 0 ? http_text(head, request->host) : host_if_none);
		without |= HTTP_SET(HTTP_FIELD_HOST);
	}
	write_kept(writer, head, head->fields_at, without);
}

void http_write_response(struct http_writer *writer, const struct http_response *response, uint64_t without)
{
	const struct http_head *head = &response->head;
	without &= ~HTTP_SET(HTTP_FIELD_OTHER);
	if (LIKELY(head->minor == 1 && head->start[STATUS_SIZE] == ' ')) {
		write_kept(writer, head, 0, without);
		return;
	}
	http_write(writer, SPAN("HTTP/1.1"));
	http_write(writer, span_of(head->start + 8, STATUS_SIZE - 8));
	http_write(writer, SPAN(" ")); /* also when the server left it out */
	write_kept(writer, head, response->reason.at, without);
}

/* ---- answers of our own ------------------------------------------------------------------------------------------ */

void http_write_status(struct http_writer *writer, int status)
{
	ASSERT(status >= 100 && status <= 599);
	char line[] = "HTTP/1.1 000 ";
	line[9] = (char)('0' + status / 100);
	line[10] = (char)('0' + status / 10 % 10);
	line[11] = (char)('0' + status % 10);
	http_write(writer, span_of(line, sizeof(line) - 1));
	http_write(writer, http_status_reason(status));
	http_write(writer, SPAN("\r\n"));
}

static void put_two(char *out, unsigned number)
{
	out[0] = (char)('0' + number / 10 % 10);
	out[1] = (char)('0' + number % 10);
}

void http_date_format(uint64_t wall_us, char out[HTTP_DATE_SIZE])
{
	static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint64_t seconds = wall_us / 1000000, day = seconds / 86400;
	unsigned second = (unsigned)(seconds % 86400);

	/* Counting years from 1 March puts the leap day last: a year is then 365.25 days but for the centuries. */
	uint64_t shifted = day + 719468; /* days since 1 March of the year 0 */
	uint64_t era = shifted / 146097;
	unsigned of_era = (unsigned)(shifted % 146097);
	unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
	unsigned of_month = of_year - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 2 : month - 10; /* 0 is January */
	unsigned year = (unsigned)(era * 400) + year_of_era + (month < 2);

	struct span form = SPAN("Thu, 01 Jan 1970 00:00:00 GMT");
	memcpy(out, form.start, form.size);
	memcpy(out, days + day % 7 * 3, 3);
	put_two(out + 5, of_month);
	memcpy(out + 8, months + (size_t)month * 3, 3);
	put_two(out + 12, year / 100);
	put_two(out + 14, year);
	put_two(out + 17, second / 3600);
	put_two(out + 20, second / 60 % 60);
	put_two(out + 23, second % 60);
}

struct span http_date_now(struct http_date *date, uint64_t wall_us)
{
	uint64_t second = wall_us / 1000000 + 1; /* 0 means never set */
	if (date->second != second) {
		date->second = second;
		http_date_format(wall_us, date->text);
	}
	return span_of(date->text, HTTP_DATE_SIZE);
}
