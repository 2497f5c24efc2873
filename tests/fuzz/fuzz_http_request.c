/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Request heads: what is accepted has one reading, comes out the same in whatever pieces it arrives, and what is written from it
 * is strict, says the same, and is written a second time without any change. Paths: normalising twice is normalising once.
 */
#include <stdlib.h>

#include "http_oracle.h"

static struct http_request whole, pieces, again;
static char written[HTTP_HEAD_MOST * 2], rewritten[HTTP_HEAD_MOST * 2];

static bool same_text(const struct http_head *a, struct http_piece in_a, const struct http_head *b, struct http_piece in_b)
{
	return span_equal(http_text(a, in_a), http_text(b, in_b));
}

static enum http_answer parse(const char *bytes, size_t size, struct http_request *request, size_t *used)
{
	struct http_progress progress = {0};
	struct http_error error = {0};
	enum http_answer answer = http_request_parse(&progress, bytes, size, request, used, &error);
	if (answer == HTTP_WRONG)
		ASSERT(http_fault_status(error.fault) >= 400 && error.offset <= size);
	if (answer == HTTP_MORE)
		ASSERT(size < HTTP_HEAD_MOST);
	return answer;
}

static void check_pieces(const char *bytes, size_t size, enum http_answer answer, size_t used)
{
	struct http_progress progress = {0};
	struct http_error error;
	size_t step = 1 + size / 64, used_now = 0;
	for (size_t part = step < size ? step : size;; part = part + step < size ? part + step : size) {
		/* A copy of exactly this size: reading further is seen. */
		char *copy = malloc(part + (part == 0));
		ASSERT(copy != NULL);
		memcpy(copy, bytes, part);
		enum http_answer now = http_request_parse(&progress, copy, part, &pieces, &used_now, &error);
		if (answer == HTTP_DONE) {
			ASSERT(now == (part < used ? HTTP_MORE : HTTP_DONE));
		} else {
			ASSERT(now != HTTP_DONE && (answer == HTTP_WRONG || now == HTTP_MORE));
		}
		if (now == HTTP_DONE)
			ASSERT(used_now == used && pieces.framing == whole.framing && pieces.length == whole.length &&
			       pieces.head.field_count == whole.head.field_count);
		free(copy);
		if (now != HTTP_MORE || part == size)
			return;
	}
}

static size_t write_head(struct http_request *request, char *memory, size_t room)
{
	struct http_writer writer;
	http_writer_init(&writer, memory, room, NULL, 0);
	http_write_request(&writer, request, 0, SPAN("fallback"));
	http_write_framing(&writer, request->framing, request->length);
	http_write_head_end(&writer);
	ASSERT(http_writer_finish(&writer));
	return writer.size;
}

static void check_written(void)
{
	size_t used, size = write_head(&whole, written, sizeof(written));
	struct oracle oracle = oracle_read(written, size);
	ASSERT(oracle.hosts == 1 && oracle.hops == 0);
	ASSERT(oracle.lengths == (whole.framing == HTTP_BODY_LENGTH) && oracle.codings == (whole.framing == HTTP_BODY_CHUNKED));
	/* Our own fields may push a head that was just small enough over a bound; only then may it be refused. */
	if (size > HTTP_HEAD_MOST || oracle.fields > HTTP_FIELDS_MOST)
		return;
	ASSERT(parse(written, size, &again, &used) == HTTP_DONE && used == size);
	ASSERT(again.head.minor == 1 && again.method == whole.method && again.framing == whole.framing &&
	       again.length == whole.length);
	ASSERT(same_text(&again.head, again.method_text, &whole.head, whole.method_text));
	ASSERT(whole.path.size == 0 || same_text(&again.head, again.path, &whole.head, whole.path));
	ASSERT(again.has_query == whole.has_query && same_text(&again.head, again.query, &whole.head, whole.query));
	ASSERT(whole.host.size == 0 ||
	       (same_text(&again.head, again.host, &whole.head, whole.host) && again.host_port == whole.host_port));
	ASSERT(write_head(&again, rewritten, sizeof(rewritten)) == size && memcmp(written, rewritten, size) == 0);
}

static void check_path(struct span path)
{
	static char once[HTTP_HEAD_MOST], twice[HTTP_HEAD_MOST];
	struct http_path first, second;
	if (http_path_normalise(path, once, path.size + 1, &first) != HTTP_FAULT_NONE)
		return;
	ASSERT(first.size >= 1 && first.size <= path.size + 1 && once[0] == '/');
	ASSERT(memmem(once, first.size, "/../", 4) == NULL && memmem(once, first.size, "/./", 3) == NULL);
	ASSERT(http_path_normalise(span_of(once, first.size), twice, first.size + 1, &second) == HTTP_FAULT_NONE);
	ASSERT(!second.changed && !second.above_root && second.encoded_slash <= first.encoded_slash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	size_t used = 0;
	enum http_answer answer = parse(bytes, size, &whole, &used);
	if (size < 4096 || size > HTTP_HEAD_MOST - 64)
		check_pieces(bytes, size, answer, used);
	if (size > 0 && data[0] == '/')
		check_path(span_of(bytes, size < HTTP_TARGET_MOST ? size : HTTP_TARGET_MOST));
	if (answer != HTTP_DONE)
		return 0;
	const struct http_head *head = &whole.head;
	ASSERT(used <= size && head->start + head->size == bytes + used);
	oracle_check_head(head);
	oracle_check_piece(head, whole.target);
	oracle_check_piece(head, whole.path);
	oracle_check_piece(head, whole.query);
	oracle_check_piece(head, whole.host);
	oracle_check_piece(head, whole.host_name);
	struct oracle oracle = oracle_read(head->start, head->size);
	ASSERT(oracle.fields == head->field_count && oracle.lengths + oracle.codings <= 1 && oracle.hosts <= 1);
	ASSERT(oracle.hosts == 1 || head->minor == 0);
	ASSERT((whole.framing == HTTP_BODY_LENGTH) == (oracle.lengths == 1));
	ASSERT((whole.framing == HTTP_BODY_CHUNKED) == (oracle.codings == 1));
	if (whole.method != HTTP_METHOD_CONNECT)
		check_written();
	if (whole.target_form == HTTP_TARGET_ORIGIN)
		check_path(http_text(head, whole.path));
	return 0;
}
