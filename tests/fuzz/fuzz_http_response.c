/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Response heads: the first byte chooses the request's method, the rest is what the server sent. What is accepted has one
 * reading, and what is written from it is strict and says the same.
 */
#include <stdlib.h>

#include "http_oracle.h"

static struct http_response whole, pieces, again;
static char written[HTTP_HEAD_MOST * 2], rewritten[HTTP_HEAD_MOST * 2];

static enum http_answer parse(const char *bytes, size_t size, enum http_method method, struct http_response *response,
                              size_t *used)
{
	struct http_progress progress = {0};
	struct http_error error = {0};
	enum http_answer answer = http_response_parse(&progress, bytes, size, method, response, used, &error);
	if (answer == HTTP_WRONG)
		ASSERT(error.fault != HTTP_FAULT_NONE && error.offset <= size);
	if (answer == HTTP_MORE)
		ASSERT(size < HTTP_HEAD_MOST);
	return answer;
}

static void check_pieces(const char *bytes, size_t size, enum http_method method, enum http_answer answer, size_t used)
{
	struct http_progress progress = {0};
	struct http_error error;
	size_t step = 1 + size / 64, used_now = 0;
	for (size_t part = step < size ? step : size;; part = part + step < size ? part + step : size) {
		char *copy = malloc(part + (part == 0));
		ASSERT(copy != NULL);
		memcpy(copy, bytes, part);
		enum http_answer now = http_response_parse(&progress, copy, part, method, &pieces, &used_now, &error);
		free(copy);
		if (answer == HTTP_DONE) {
			ASSERT(now == (part < used ? HTTP_MORE : HTTP_DONE));
		} else {
			ASSERT(now != HTTP_DONE && (answer == HTTP_WRONG || now == HTTP_MORE));
		}
		if (now == HTTP_DONE)
			ASSERT(used_now == used && pieces.framing == whole.framing && pieces.length == whole.length);
		if (now != HTTP_MORE || part == size)
			return;
	}
}

static size_t write_head(struct http_response *response, char *memory, size_t room)
{
	struct http_writer writer;
	http_writer_init(&writer, memory, room, NULL, 0);
	http_write_response(&writer, response, 0);
	http_write_framing(&writer, response->has_length ? HTTP_BODY_LENGTH : (enum http_framing)response->framing, response->length);
	http_write_head_end(&writer);
	ASSERT(http_writer_finish(&writer));
	return writer.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	enum http_method method = data[0] % (HTTP_METHOD_PROPFIND + 1);
	const char *bytes = (const char *)data + 1;
	size_t used = 0;
	size--;
	enum http_answer answer = parse(bytes, size, method, &whole, &used);
	if (size < 4096 || size > HTTP_HEAD_MOST - 64)
		check_pieces(bytes, size, method, answer, used);
	if (answer != HTTP_DONE)
		return 0;
	const struct http_head *head = &whole.head;
	ASSERT(used == head->size && used <= size && head->start == bytes);
	ASSERT(whole.status >= 100 && whole.status <= 599);
	oracle_check_head(head);
	oracle_check_piece(head, whole.reason);
	struct oracle oracle = oracle_read(head->start, head->size);
	ASSERT(oracle.fields == head->field_count && oracle.lengths + oracle.codings <= 1);
	ASSERT(whole.framing != HTTP_BODY_LENGTH || (oracle.lengths == 1 && whole.has_length));
	ASSERT(whole.framing != HTTP_BODY_CHUNKED || oracle.codings == 1);
	ASSERT(!whole.keep_alive || (whole.framing != HTTP_BODY_UNTIL_CLOSE && whole.framing != HTTP_BODY_TUNNEL));

	size_t written_size = write_head(&whole, written, sizeof(written));
	oracle = oracle_read(written, written_size);
	ASSERT(oracle.hops == 0 && oracle.lengths + oracle.codings <= 1);
	if (written_size > HTTP_HEAD_MOST || oracle.fields > HTTP_FIELDS_MOST)
		return 0;
	ASSERT(parse(written, written_size, method, &again, &used) == HTTP_DONE && used == written_size);
	ASSERT(again.status == whole.status && again.framing == whole.framing && again.has_length == whole.has_length &&
	       again.length == whole.length);
	ASSERT(span_equal(http_text(&again.head, again.reason), http_text(head, whole.reason)));
	ASSERT(write_head(&again, rewritten, sizeof(rewritten)) == written_size && memcmp(written, rewritten, written_size) == 0);
	return 0;
}
