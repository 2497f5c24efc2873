/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Chunked bodies: the first byte chooses the size of the pieces. Decoding and passing on agree, in pieces and at once; what is
 * passed on is again a chunked body with the same content, and has nothing left to drop.
 */
#include <stdlib.h>

#include "proto/http.h"

#define BODY_MOST 65536u

struct outcome {
	enum http_answer answer;
	size_t used, content_size;
	char content[BODY_MOST];
};

static struct outcome at_once, in_pieces, of_passed;

static void decode(const char *bytes, size_t size, size_t piece, struct outcome *outcome)
{
	struct http_chunked chunked;
	enum http_fault fault = HTTP_FAULT_NONE;
	http_chunked_init(&chunked);
	outcome->answer = HTTP_MORE;
	outcome->used = outcome->content_size = 0;
	while (outcome->answer == HTTP_MORE && outcome->used < size) {
		size_t framing, data, there = size - outcome->used < piece ? size - outcome->used : piece;
		char *copy = malloc(there);
		ASSERT(copy != NULL);
		memcpy(copy, bytes + outcome->used, there);
		outcome->answer = http_chunked_decode(&chunked, span_of(copy, there), &framing, &data, &fault);
		ASSERT(framing + data <= there && (framing + data > 0 || outcome->answer == HTTP_WRONG));
		memcpy(outcome->content + outcome->content_size, copy + framing, data);
		outcome->content_size += data;
		outcome->used += framing + data;
		free(copy);
	}
	ASSERT(outcome->answer != HTTP_WRONG || http_fault_status(fault) >= 400);
	ASSERT(chunked.data_bytes == outcome->content_size);
}

static enum http_answer pass(const char *bytes, size_t size, size_t piece, char *out, size_t *out_size, size_t *used,
                             size_t *dropped)
{
	struct http_chunked chunked;
	enum http_fault fault;
	enum http_answer answer = HTTP_MORE;
	http_chunked_init(&chunked);
	*out_size = *used = *dropped = 0;
	while (answer == HTTP_MORE && *used < size) {
		size_t forward, drop, there = size - *used < piece ? size - *used : piece;
		answer = http_chunked_pass(&chunked, span_of(bytes + *used, there), &forward, &drop, &fault);
		ASSERT(forward + drop <= there && (forward + drop > 0 || answer == HTTP_WRONG));
		memcpy(out + *out_size, bytes + *used, forward);
		*out_size += forward;
		*dropped += drop;
		*used += forward + drop;
	}
	return answer;
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
	ASSERT(a->answer == b->answer && span_equal(span_of(a->content, a->content_size), span_of(b->content, b->content_size)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char passed[BODY_MOST], passed_again[BODY_MOST];
	if (size < 2 || size > BODY_MOST)
		return 0;
	size_t piece = 1 + data[0] % 32;
	const char *bytes = (const char *)data + 1;
	size--;
	decode(bytes, size, size, &at_once);
	decode(bytes, size, piece, &in_pieces);
	expect_same(&at_once, &in_pieces);
	ASSERT(at_once.used == in_pieces.used);

	size_t passed_size, used, dropped;
	ASSERT(pass(bytes, size, piece, passed, &passed_size, &used, &dropped) == at_once.answer && used == at_once.used);
	if (at_once.answer == HTTP_WRONG || passed_size == 0)
		return 0;
	decode(passed, passed_size, passed_size, &of_passed);
	expect_same(&at_once, &of_passed);
	ASSERT(of_passed.used == passed_size);
	ASSERT(pass(passed, passed_size, passed_size, passed_again, &used, &used, &dropped) == at_once.answer && dropped == 0);
	return 0;
}
