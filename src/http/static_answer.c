/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The answer to a request for a file: its conditions (RFC 9110 13), its ranges (14), and the fields that describe the file.
 * static.c calls it with the open file.
 *
 * An entity tag is made of the time and the size of the file, so that clones that were copied with their times say the same.
 */
#include "http/compress.h"
#include "http/static.h"

#include <stdio.h>

#define US_IN_S        UINT64_C(1000000)
#define NS_IN_S        UINT64_C(1000000000)
#define TAG_SIZE       48u  /* two hexadecimal numbers, quotes, a coding */
#define PART_HEAD_SIZE 320u /* of one range among several */
#define BOUNDARY_SIZE  16u

struct answer {
	struct http_exchange *exchange;
	const struct static_found *found;
	char tag_text[TAG_SIZE], number_text[64];
	char content_type[64 + BOUNDARY_SIZE];
	struct span tag, modified;
	uint64_t modified_s;
	struct http_range ranges[HTTP_RANGES_MOST];
	unsigned range_count;
	char boundary[BOUNDARY_SIZE];
};

static uint64_t now_s(const struct answer *answer)
{
	return http_core_wall_us(answer->exchange->core) / US_IN_S;
}

/* ---- what describes the file ------------------------------------------------------------------------------------------- */

static char *write_hex(char *to, uint64_t number)
{
	unsigned digits = 1;

	while (digits < 16 && number >> (4 * digits) != 0)
		digits++;
	for (unsigned i = digits; i > 0; i--)
		*to++ = "0123456789abcdef"[number >> (4 * (i - 1)) & 15];
	return to;
}

/* Both are written once for each file as it is: the date, then the tag with its quotes. */
static void describe_file(struct files_file *file, uint64_t wall_us)
{
	uint64_t modified_us = file->modified_ns / 1000;
	char *at = file->text + HTTP_DATE_SIZE;

	http_date_format(modified_us < wall_us ? modified_us : wall_us, file->text);
	*at++ = '"';
	at = write_hex(at, file->modified_ns);
	*at++ = '-';
	at = write_hex(at, file->size_bytes);
	*at++ = '"';
	*at = '\0';
}

/* All of `answer` that is needed before ranges are: clearing it as a whole would cost more than a small file. */
static void describe(struct answer *answer, struct http_exchange *exchange, const struct static_found *found)
{
	struct files_file *file = found->file;
	struct span coding = found->coding;
	uint64_t wall_us = http_core_wall_us(exchange->core);
	bool from_the_future = file->modified_ns / NS_IN_S > wall_us / US_IN_S;

	_Static_assert(FILES_TEXT_SIZE >= HTTP_DATE_SIZE + 2 * 16 + 4, "room for both");
	answer->exchange = exchange;
	answer->found = found;
	answer->range_count = 0;
	if (file->text[0] == '\0' || from_the_future)
		describe_file(file, wall_us);
	/* RFC 9110 8.8.2.1: not later than now. */
	answer->modified_s = from_the_future ? wall_us / US_IN_S : file->modified_ns / NS_IN_S;
	answer->modified = span_of(file->text, HTTP_DATE_SIZE);
	answer->tag = span_of_text(file->text + HTTP_DATE_SIZE);
	if (coding.size == 0)
		return;
	char *at = answer->tag_text;
	memcpy(at, answer->tag.start, answer->tag.size - 1);
	at += answer->tag.size - 1;
	*at++ = '-';
	memcpy(at, coding.start, coding.size);
	at += coding.size;
	*at++ = '"';
	answer->tag = span_of(answer->tag_text, (size_t)(at - answer->tag_text));
}

/* ---- conditions ---------------------------------------------------------------------------------------------------------- */

/* One of the lines of a field that holds a list. */
static bool names_tag(const struct answer *answer, enum http_field_name field, bool weakly)
{
	const struct http_head *head = &answer->exchange->request.head;

	for (unsigned i = head->first[field]; i < head->field_count; i++) {
		if (head->fields[i].known == field && http_tags_match(http_text(head, head->fields[i].value), answer->tag, weakly))
			return true;
	}
	return false;
}

static bool has(const struct answer *answer, enum http_field_name field)
{
	return (answer->exchange->request.head.present & HTTP_SET(field)) != 0;
}

/* False: the field says no date. */
static bool date_of(const struct answer *answer, enum http_field_name field, uint64_t *seconds)
{
	return http_date_parse(http_value(&answer->exchange->request.head, field), now_s(answer), seconds);
}

/* RFC 9110 13.2.2, in its order. 200, 304 or 412. */
static int check_conditions(const struct answer *answer)
{
	uint64_t seconds;

	if (has(answer, HTTP_FIELD_IF_MATCH)) {
		if (!names_tag(answer, HTTP_FIELD_IF_MATCH, false))
			return 412;
	} else if (has(answer, HTTP_FIELD_IF_UNMODIFIED_SINCE) && date_of(answer, HTTP_FIELD_IF_UNMODIFIED_SINCE, &seconds) &&
	           answer->modified_s > seconds) {
		return 412;
	}
	if (has(answer, HTTP_FIELD_IF_NONE_MATCH))
		return names_tag(answer, HTTP_FIELD_IF_NONE_MATCH, true) ? 304 : 200;
	if (has(answer, HTTP_FIELD_IF_MODIFIED_SINCE) && date_of(answer, HTTP_FIELD_IF_MODIFIED_SINCE, &seconds) &&
	    answer->modified_s <= seconds)
		return 304;
	return 200;
}

/* The visitor has a part of just this file (RFC 9110 13.1.5). A date is good only once the file can no longer change within its
 * second. */
static bool may_add_to(const struct answer *answer)
{
	uint64_t seconds;

	if (!has(answer, HTTP_FIELD_IF_RANGE))
		return true;
	struct span value = http_value(&answer->exchange->request.head, HTTP_FIELD_IF_RANGE);
	if (value.size > 0 && value.start[0] == '"')
		return span_equal(value, answer->tag);
	return date_of(answer, HTTP_FIELD_IF_RANGE, &seconds) && seconds == answer->modified_s && now_s(answer) > seconds + 1;
}

/* 200, 206 or 416. */
static int find_ranges(struct answer *answer)
{
	const struct http_head *head = &answer->exchange->request.head;

	if (answer->exchange->request.method != HTTP_METHOD_GET || !has(answer, HTTP_FIELD_RANGE) ||
	    (head->repeated & HTTP_SET(HTTP_FIELD_RANGE)) != 0 || !may_add_to(answer))
		return 200;
	switch (http_ranges_parse(http_value(head, HTTP_FIELD_RANGE), answer->found->file->size_bytes, answer->ranges,
	                          &answer->range_count)) {
	case HTTP_RANGES_GOOD:
		return 206;
	case HTTP_RANGES_OUTSIDE:
		return 416;
	case HTTP_RANGES_IGNORED:
		break;
	}
	answer->range_count = 0;
	return 200;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

/* As if a server had said it: the rest of its way is the same. `length` counts when has_length. */
static void begin(struct http_exchange *exchange, int status, enum http_framing framing, bool has_length, uint64_t length)
{
	static const struct {
		int status;
		struct span line;
	} lines[] = {
	    {200, SPAN("HTTP/1.1 200 OK\r\n\r\n")},
	    {206, SPAN("HTTP/1.1 206 Partial Content\r\n\r\n")},
	    {304, SPAN("HTTP/1.1 304 Not Modified\r\n\r\n")},
	    {412, SPAN("HTTP/1.1 412 Precondition Failed\r\n\r\n")},
	    {416, SPAN("HTTP/1.1 416 Range Not Satisfiable\r\n\r\n")},
	};
	struct http_response *response = &exchange->response;

	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		if (lines[i].status != status)
			continue;
		response->head.start = lines[i].line.start;
		response->head.size = (uint16_t)lines[i].line.size;
		response->head.fields_at = (uint16_t)(lines[i].line.size - 2);
	}
	response->head.minor = 1;
	response->head.field_count = 0;
	response->head.present = response->head.repeated = 0;
	response->reason = (struct http_piece){.at = 13, .size = (uint16_t)(response->head.size - 17)};
	response->status = (uint16_t)status;
	response->framing = (uint8_t)framing;
	response->has_length = has_length;
	response->length = length;
	response->keep_alive = true;
	exchange->status = status;
	exchange->served_here = true;
}

static void add_fields(struct answer *answer, int status, struct span content_type)
{
	struct http_exchange *exchange = answer->exchange;

	http_answer_fields(exchange);
	http_expiry_field(exchange, status, 0);
	if (content_type.size > 0)
		exchange_add_field(exchange, SPAN("Content-Type"), content_type);
	exchange_add_field(exchange, SPAN("Last-Modified"), answer->modified);
	if (answer->found->coding.size > 0 && status != 304)
		exchange_add_field(exchange, SPAN("Content-Encoding"), answer->found->coding);
	/* As 200 would say (RFC 9110 15.3.7, 15.4.5), where http_compress_decide is not asked. */
	bool could_vary = (status == 206 || status == 304) && answer->found->compressible &&
	                  exchange->answers->compress != COMPRESS_NONE && answer->found->file->size_bytes >= COMPRESS_LEAST_BYTES;
	if (answer->found->varies || could_vary)
		exchange_add_field(exchange, SPAN("Vary"), SPAN("Accept-Encoding"));
}

/* An answer without content. */
static enum http_outcome answer_empty(struct answer *answer, int status)
{
	struct http_exchange *exchange = answer->exchange;
	bool unchanged = status == 304;

	begin(exchange, status, unchanged ? HTTP_BODY_NONE : HTTP_BODY_LENGTH, !unchanged, 0);
	add_fields(answer, status, span_of(NULL, 0));
	bool weakened = unchanged && http_holds_weakened(&exchange->request.head, answer->tag);
	exchange_add_field(exchange, SPAN("ETag"), weakened ? http_weak_tag(answer->tag) : answer->tag);
	if (status == 416) {
		int size = snprintf(answer->number_text, sizeof(answer->number_text), "bytes */%llu",
		                    (unsigned long long)answer->found->file->size_bytes);
		exchange_add_field(exchange, SPAN("Content-Range"), span_of(answer->number_text, (size_t)size));
	}
	exchange->visitor->choose_framing(exchange);
	return static_send_text(exchange, span_of(NULL, 0), true);
}

/* ---- with content ------------------------------------------------------------------------------------------------ */

/* All of it, or one range. */
static enum http_outcome answer_bytes(struct answer *answer, int status, uint64_t first, uint64_t size)
{
	struct http_exchange *exchange = answer->exchange;
	struct files_file *file = answer->found->file;
	bool head_only = exchange->request.method == HTTP_METHOD_HEAD;

	begin(exchange, status, head_only ? HTTP_BODY_NONE : HTTP_BODY_LENGTH, true, size);
	add_fields(answer, status, span_of_text(answer->found->media));
	exchange_add_field(exchange, SPAN("ETag"), answer->tag);
	exchange_add_field(exchange, SPAN("Accept-Ranges"), SPAN("bytes"));
	if (status == 206) {
		int length = snprintf(answer->number_text, sizeof(answer->number_text), "bytes %llu-%llu/%llu", (unsigned long long)first,
		                      (unsigned long long)(first + size - 1), (unsigned long long)file->size_bytes);
		exchange_add_field(exchange, SPAN("Content-Range"), span_of(answer->number_text, (size_t)length));
	}
	exchange->visitor->choose_framing(exchange);
	if (head_only || size == 0)
		return static_send_text(exchange, span_of(NULL, 0), true);
	return static_send_file(exchange, file, first, size, true);
}

/* Compressed on the way. http_compress_decide has added its fields. */
static enum http_outcome answer_coded(struct answer *answer)
{
	struct http_exchange *exchange = answer->exchange;
	bool head_only = exchange->request.method == HTTP_METHOD_HEAD;

	begin(exchange, 200, head_only ? HTTP_BODY_NONE : HTTP_BODY_UNTIL_CLOSE, false, 0);
	add_fields(answer, 200, span_of_text(answer->found->media));
	exchange_add_field(exchange, SPAN("ETag"), http_weak_tag(answer->tag));
	exchange->visitor->choose_framing(exchange);
	http_coded_begin(exchange);
	return head_only ? http_coded_end(exchange) : static_send_coded(exchange, answer->found->file);
}

/* ---- several ranges (RFC 9110 14.6) ------------------------------------------------------------------------------ */

static struct span part_head(const struct answer *answer, unsigned number, char text[PART_HEAD_SIZE])
{
	const struct http_range *range = &answer->ranges[number];
	int size = snprintf(text, PART_HEAD_SIZE, "%s--%.*s\r\nContent-Type: %s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
	                    number > 0 ? "\r\n" : "", (int)BOUNDARY_SIZE, answer->boundary, answer->found->media,
	                    (unsigned long long)range->first, (unsigned long long)range->last,
	                    (unsigned long long)answer->found->file->size_bytes);
	ASSERT(size > 0 && size < (int)PART_HEAD_SIZE);
	return span_of(text, (size_t)size);
}

static struct span parts_end(const struct answer *answer, char text[PART_HEAD_SIZE])
{
	return span_of(text, (size_t)snprintf(text, PART_HEAD_SIZE, "\r\n--%.*s--\r\n", (int)BOUNDARY_SIZE, answer->boundary));
}

static uint64_t parts_size(const struct answer *answer)
{
	char text[PART_HEAD_SIZE];
	uint64_t size = parts_end(answer, text).size;

	for (unsigned i = 0; i < answer->range_count; i++)
		size += part_head(answer, i, text).size + answer->ranges[i].last - answer->ranges[i].first + 1;
	return size;
}

static enum http_outcome answer_parts(struct answer *answer)
{
	struct http_exchange *exchange = answer->exchange;
	char text[PART_HEAD_SIZE];
	enum http_outcome outcome = OUTCOME_OK;

	for (unsigned i = 0; i < BOUNDARY_SIZE; i += 8) {
		uint64_t random = random_quick();
		for (unsigned digit = 0; digit < 8; digit++)
			answer->boundary[i + digit] = "0123456789abcdef"[random >> (4 * digit) & 15];
	}
	begin(exchange, 206, HTTP_BODY_LENGTH, true, parts_size(answer));
	int size = snprintf(answer->content_type, sizeof(answer->content_type), "multipart/byteranges; boundary=%.*s",
	                    (int)BOUNDARY_SIZE, answer->boundary);
	add_fields(answer, 206, span_of(answer->content_type, (size_t)size));
	exchange_add_field(exchange, SPAN("ETag"), answer->tag);
	exchange->visitor->choose_framing(exchange);
	for (unsigned i = 0; i < answer->range_count && outcome == OUTCOME_OK; i++) {
		const struct http_range *range = &answer->ranges[i];
		outcome = static_send_text(exchange, part_head(answer, i, text), false);
		if (outcome == OUTCOME_OK)
			outcome = static_send_file(exchange, answer->found->file, range->first, range->last - range->first + 1, false);
	}
	return outcome == OUTCOME_OK ? static_send_text(exchange, parts_end(answer, text), true) : outcome;
}

/* ---- what is called ---------------------------------------------------------------------------------------------- */

static enum http_outcome give(struct answer *answer)
{
	struct http_exchange *exchange = answer->exchange;
	const struct static_found *found = answer->found;
	uint64_t size = found->file->size_bytes;
	int status = check_conditions(answer);

	if (status == 200)
		status = find_ranges(answer);
	if (status == 200 && found->compressible && found->coding.size == 0 && !found->varies &&
	    http_compress_decide(exchange, span_of_text(found->media), true, size))
		return answer_coded(answer);
	if (status == 200)
		return answer_bytes(answer, 200, 0, size);
	if (status == 206 && answer->range_count > 1)
		return answer_parts(answer);
	if (status == 206)
		return answer_bytes(answer, 206, answer->ranges[0].first, answer->ranges[0].last - answer->ranges[0].first + 1);
	return answer_empty(answer, status);
}

enum http_outcome static_answer(struct http_exchange *exchange, const struct static_found *found)
{
	struct answer answer;
	unsigned fields_before = exchange->own_field_count;

	describe(&answer, exchange, found);
	enum http_outcome outcome = give(&answer);
	exchange->answer_whole = outcome == OUTCOME_OK;
	if (outcome == OUTCOME_OK)
		return OUTCOME_FILE;
	if (!exchange->answer_begun) { /* what is answered instead is not this file */
		exchange->own_field_count = fields_before;
		exchange->fields_added = exchange->served_here = false;
		http_coded_drop(exchange);
	}
	return outcome;
}
