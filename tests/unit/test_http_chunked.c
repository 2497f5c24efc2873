/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Chunked bodies, in every way of cutting them into pieces: content, what is passed on, where they end, what is refused.
 */
#include "unit.h"

#include "edge.h"
#include "proto/http.h"

#include <stdio.h>

struct outcome {
	enum http_answer answer;
	enum http_fault fault;
	size_t used;
	char content[1024], passed[1024];
	size_t content_size, passed_size;
	uint64_t data_bytes;
};

/* Gives `text` in pieces of piece_size bytes to both functions, which must agree. */
static void run(const char *text, size_t size, size_t piece_size, struct outcome *outcome)
{
	struct http_chunked decoder, passer;
	enum http_fault fault;
	enum http_answer answer = HTTP_MORE;
	memset(outcome, 0, sizeof(*outcome));
	http_chunked_init(&decoder);
	http_chunked_init(&passer);
	size_t stop = 0, at = 0;
	while (answer == HTTP_MORE && at < size) {
		if (at == stop)
			stop = stop + piece_size < size ? stop + piece_size : size;
		size_t framing, data;
		char *piece = edge_copy(text + at, stop - at);
		answer = http_chunked_decode(&decoder, span_of(piece, stop - at), &framing, &data, &outcome->fault);
		assert_true(framing + data <= stop - at && (answer != HTTP_MORE || framing + data > 0));
		memcpy(outcome->content + outcome->content_size, piece + framing, data);
		outcome->content_size += data;
		at += framing + data;
	}
	outcome->answer = answer;
	outcome->used = at;
	outcome->data_bytes = decoder.data_bytes;

	enum http_answer other = HTTP_MORE;
	size_t other_at = 0;
	stop = 0;
	while (other == HTTP_MORE && other_at < size) {
		if (other_at == stop)
			stop = stop + piece_size < size ? stop + piece_size : size;
		size_t forward, drop;
		char *piece = edge_copy(text + other_at, stop - other_at);
		other = http_chunked_pass(&passer, span_of(piece, stop - other_at), &forward, &drop, &fault);
		assert_true(forward + drop <= stop - other_at && (other != HTTP_MORE || forward + drop > 0));
		memcpy(outcome->passed + outcome->passed_size, piece, forward);
		outcome->passed_size += forward;
		other_at += forward + drop;
	}
	assert_int_equal(other, answer);
	assert_int_equal(other_at, at);
	if (answer == HTTP_WRONG)
		assert_int_equal(fault, outcome->fault);
}

static void accept_text(const char *text, const char *content, const char *passed, const char *rest)
{
	struct outcome outcome;
	size_t size = strlen(text);
	for (size_t piece = 1; piece <= size; piece++) {
		run(text, size, piece, &outcome);
		if (outcome.answer != HTTP_DONE)
			fail_msg("answer %d in pieces of %zu: %s", outcome.answer, piece, text);
		assert_true(span_equal(span_of(outcome.content, outcome.content_size), span_of_text(content)));
		assert_true(span_equal(span_of(outcome.passed, outcome.passed_size), span_of_text(passed)));
		assert_int_equal(outcome.data_bytes, strlen(content));
		assert_string_equal(text + outcome.used, rest);
	}
	/* Every prefix needs more. */
	for (size_t part = 0; part < size - strlen(rest); part++) {
		run(text, part, part + 1, &outcome);
		assert_int_equal(outcome.answer, HTTP_MORE);
		assert_int_equal(outcome.used, part);
	}
}

static void refuse_bytes(const char *text, size_t size, enum http_fault fault)
{
	struct outcome outcome;
	for (size_t piece = 1; piece <= size; piece++) {
		run(text, size, piece, &outcome);
		if (outcome.answer != HTTP_WRONG || outcome.fault != fault)
			fail_msg("answer %d, %s: %s", outcome.answer, http_fault_text(outcome.fault), text);
	}
}

static void refuse(const char *text, enum http_fault fault)
{
	refuse_bytes(text, strlen(text), fault);
}

static void test_right(void **state)
{
	(void)state;
	accept_text("0\r\n\r\n", "", "0\r\n\r\n", "");
	accept_text("3\r\nabc\r\n0\r\n\r\nGET /", "abc", "3\r\nabc\r\n0\r\n\r\n", "GET /");
	static const char tricky[] = "3\r\n\r\n0\r\nA\r\n0\r\n\r\n01234\r\n000\r\n\r\n"; /* content that looks like an end */
	accept_text(tricky, "\r\n00\r\n\r\n01234", tricky, "");
	/* Extensions and trailers are not passed on (checklist 10, 11). */
	accept_text("1;a=b;c=\"d;e\"\r\nx\r\n0;last\r\n\r\n", "x", "1\r\nx\r\n0\r\n\r\n", "");
	accept_text("1 \t;a\r\nx\r\n0\r\nA: b\r\nContent-Length: 5\r\nC:\r\n\r\nrest", "x", "1\r\nx\r\n0\r\n\r\n", "rest");
	accept_text("0000000000000001\r\nx\r\n0\r\n\r\n", "x", "0000000000000001\r\nx\r\n0\r\n\r\n", "");
}

static void test_sizes(void **state)
{
	(void)state;
	static const char *const bad[] = {"\r\n",
	                                  "\n",
	                                  " 1\r\n",
	                                  "-1\r\n",
	                                  "+1\r\n",
	                                  "0x1\r\n",
	                                  "g\r\n",
	                                  "1g\r\n",
	                                  "1\n",
	                                  "1\rx",
	                                  "1\r\r\n",
	                                  "00000000000000001\r\n",
	                                  ";a\r\n",
	                                  "1_0\r\n",
	                                  "8000000000000000\r\n",
	                                  "FFFFFFFFFFFFFFFF\r\n",
	                                  "10000000000000000\r\n",
	                                  "1,1\r\n",
	                                  "\xb2\r\n"};
	for (unsigned i = 0; i < COUNT_OF(bad); i++)
		refuse(bad[i], HTTP_FAULT_CHUNK_SIZE);
	refuse_bytes("1\0\r\n", 4, HTTP_FAULT_CHUNK_SIZE);
	struct http_chunked chunked;
	enum http_fault fault;
	size_t framing, data;
	http_chunked_init(&chunked);
	assert_int_equal(http_chunked_decode(&chunked, SPAN("7fffFFFFffffffff\r\nabc"), &framing, &data, &fault), HTTP_MORE);
	assert_int_equal(framing, 18);
	assert_int_equal(data, 3);
	assert_true(chunked.left == INT64_MAX - 3);
}

static void test_ends(void **state)
{
	(void)state;
	/* Exactly CR LF behind content: what VSV00016 was about. */
	refuse("1\r\nxy\r\n0\r\n\r\n", HTTP_FAULT_CHUNK_END);
	refuse("1\r\nx\n0\r\n\r\n", HTTP_FAULT_CHUNK_END);
	refuse("1\r\nx\r0\r\n\r\n", HTTP_FAULT_CHUNK_END);
	refuse("1\r\nx0\r\n\r\n", HTTP_FAULT_CHUNK_END);
	refuse("0\r\n\n", HTTP_FAULT_TRAILER);
	refuse("0\r\n\rx", HTTP_FAULT_CHUNK_END);
}

static void test_extensions(void **state)
{
	(void)state;
	refuse("1;a\nx\r\n0\r\n\r\n", HTTP_FAULT_CHUNK_EXTENSION);
	refuse("1;a\x01\r\nx", HTTP_FAULT_CHUNK_EXTENSION);
	refuse("1;a\rb\r\nx", HTTP_FAULT_CHUNK_SIZE);
	refuse("1 \r\nx", HTTP_FAULT_CHUNK_EXTENSION);
	refuse("1 2\r\nx", HTTP_FAULT_CHUNK_EXTENSION);

	/* Bounded for each chunk and in all (checklist 10): the byte that is too much is refused. */
	struct http_chunked chunked;
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t forward, drop, total = 0;
	http_chunked_init(&chunked);
	assert_int_equal(http_chunked_pass(&chunked, SPAN("1;"), &forward, &drop, &fault), HTTP_MORE);
	while (http_chunked_pass(&chunked, SPAN("a"), &forward, &drop, &fault) == HTTP_MORE)
		total++;
	assert_int_equal(total, HTTP_CHUNK_EXTENSION_MOST);
	assert_int_equal(fault, HTTP_FAULT_CHUNK_EXTENSION);
	http_chunked_init(&chunked);
	static const char chunk[] =
	    "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"; /* 64 bytes of it */
	for (total = 0;; total++) {
		struct span rest = span_of(chunk, sizeof(chunk) - 1);
		enum http_answer answer = HTTP_MORE;
		while (rest.size > 0 && answer == HTTP_MORE) {
			answer = http_chunked_pass(&chunked, rest, &forward, &drop, &fault);
			rest = span_of(rest.start + forward + drop, rest.size - forward - drop);
		}
		if (answer == HTTP_WRONG)
			break;
		assert_true(total <= HTTP_CHUNK_EXTENSIONS_MOST / 64);
	}
	assert_int_equal(total, HTTP_CHUNK_EXTENSIONS_MOST / 64);
}

static void test_trailers(void **state)
{
	(void)state;
	refuse("0\r\nA : b\r\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\n: b\r\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\n A: b\r\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\nA: b\r\n c\r\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\nA: b\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\nA: b\r\r\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\nA\r\n\r\n", HTTP_FAULT_TRAILER);
	refuse("0\r\nGET / HTTP/1.1\r\n\r\n", HTTP_FAULT_TRAILER);
	struct http_chunked chunked;
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t framing, data, total = 0;
	http_chunked_init(&chunked);
	assert_int_equal(http_chunked_decode(&chunked, SPAN("0\r\nA:"), &framing, &data, &fault), HTTP_MORE);
	while (http_chunked_decode(&chunked, SPAN("a"), &framing, &data, &fault) == HTTP_MORE)
		total++;
	assert_int_equal(total, HTTP_TRAILERS_MOST - 2);
	assert_int_equal(fault, HTTP_FAULT_TRAILERS_TOO_LARGE);
}

static void test_own_chunks(void **state)
{
	(void)state;
	static const struct {
		uint64_t size;
		const char *text;
	} cases[] = {{0, "0\r\n"},
	             {1, "1\r\n"},
	             {15, "f\r\n"},
	             {16, "10\r\n"},
	             {16384, "4000\r\n"},
	             {0x0fffffff, "fffffff\r\n"},
	             {0x10000000, "10000000\r\n"},
	             {UINT64_MAX, "ffffffffffffffff\r\n"}};
	char out[HTTP_CHUNK_HEADER_SIZE];
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		size_t size = http_chunk_header(cases[i].size, out);
		assert_true(span_equal(span_of(out, size), span_of_text(cases[i].text)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_right),      cmocka_unit_test(test_sizes),    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_extensions), cmocka_unit_test(test_trailers), cmocka_unit_test(test_own_chunks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
