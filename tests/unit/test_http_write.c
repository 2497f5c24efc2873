/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Heads that are passed on or our own, dates, and paths for matching.
 */
#include "unit.h"

#include "edge.h"
#include "proto/http.h"

#include <stdio.h>
#include <time.h>

static struct http_request request;
static struct http_response response;

static void parse_request(const char *text)
{
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;
	assert_int_equal(http_request_parse(&progress, text, strlen(text), &request, &used, &error), HTTP_DONE);
}

static void expect_request(const char *text, uint64_t without, const char *expected)
{
	char memory[1024];
	struct http_writer writer;
	parse_request(text);
	http_writer_init(&writer, memory, sizeof(memory), NULL, 0);
	http_write_request(&writer, &request, without, SPAN("fallback.example"));
	assert_true(http_writer_finish(&writer));
	assert_int_equal(writer.total, writer.size);
	if (!span_equal(span_of(memory, writer.size), span_of_text(expected)))
		fail_msg("%.*s", (int)writer.size, memory);
}

static void test_requests(void **state)
{
	(void)state;
	expect_request("GET /a?b HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n", 0, "GET /a?b HTTP/1.1\r\nHost: a\r\nA: b\r\n");
	expect_request("\r\nGET / HTTP/1.1\r\nConnection: X-B\r\nHost: a\r\nX-B: 1\r\nX-C:2\r\nKeep-Alive: x\r\n\r\n", 0,
	               "GET / HTTP/1.1\r\nHost: a\r\nX-C:2\r\n");
	expect_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nVia: x\r\nA: b\r\nVIA: y\r\n\r\n",
	               HTTP_SET(HTTP_FIELD_VIA), "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\n");
	expect_request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_SET(HTTP_FIELD_OTHER),
	               "POST / HTTP/1.1\r\nHost: a\r\n");
	/* Unknown fields are never meant by `without`. */
	expect_request("GET / HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n", HTTP_SET(HTTP_FIELD_OTHER),
	               "GET / HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n");
	/* HTTP/1.0 becomes 1.1, which needs a Host. */
	expect_request("GET /a?b HTTP/1.0\r\nA: b\r\n\r\n", 0, "GET /a?b HTTP/1.1\r\nHost: fallback.example\r\nA: b\r\n");
	expect_request("GET /? HTTP/1.0\r\nHost: x\r\n\r\n", 0, "GET /? HTTP/1.1\r\nHost: x\r\n");
	/* An expectation that HTTP/1.0 ignores must not come to life (found by the fuzzer). */
	expect_request("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nA: b\r\n\r\n", 0,
	               "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\n");
	/* absolute-form becomes origin-form; its host wins. */
	expect_request("GET http://b.example:8/p?q HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n", 0,
	               "GET /p?q HTTP/1.1\r\nHost: b.example:8\r\nA: b\r\n");
	expect_request("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", 0, "GET / HTTP/1.1\r\nHost: b\r\n");
	expect_request("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", 0, "GET /?q HTTP/1.1\r\nHost: b\r\n");
	expect_request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", 0, "OPTIONS * HTTP/1.1\r\nHost: b\r\n");
	expect_request("OPTIONS * HTTP/1.0\r\nHost: a\r\n\r\n", 0, "OPTIONS * HTTP/1.1\r\nHost: a\r\n");
	expect_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, "OPTIONS * HTTP/1.1\r\nHost: a\r\n");
	expect_request("GET / HTTP/1.0\r\nHost: a\r\n\r\n", HTTP_SET(HTTP_FIELD_HOST), "GET / HTTP/1.1\r\n");
}

static void expect_response(const char *text, const char *expected)
{
	char memory[1024];
	struct http_writer writer;
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;
	assert_int_equal(http_response_parse(&progress, text, strlen(text), HTTP_METHOD_GET, &response, &used, &error), HTTP_DONE);
	http_writer_init(&writer, memory, sizeof(memory), NULL, 0);
	http_write_response(&writer, &response, HTTP_SET(HTTP_FIELD_SERVER));
	http_write_framing(&writer, response.framing, response.length);
	http_write_head_end(&writer);
	assert_true(http_writer_finish(&writer));
	if (!span_equal(span_of(memory, writer.size), span_of_text(expected)))
		fail_msg("%.*s", (int)writer.size, memory);
}

static void test_responses(void **state)
{
	(void)state;
	expect_response("HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 0012\r\nA: b\r\nConnection: close\r\n\r\n",
	                "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\n");
	expect_response("HTTP/1.0 200 Fine\r\nA: b\r\n\r\n", "HTTP/1.1 200 Fine\r\nA: b\r\n\r\n");
	expect_response("HTTP/1.0 404\r\nA: b\r\n\r\n", "HTTP/1.1 404 \r\nA: b\r\n\r\n");
	expect_response("HTTP/1.1 404\r\n\r\n", "HTTP/1.1 404 \r\n\r\n");
	expect_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n",
	                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void test_own_answer(void **state)
{
	(void)state;
	char memory[256];
	struct http_writer writer;
	http_writer_init(&writer, memory, sizeof(memory), NULL, 0);
	http_write_status(&writer, 503);
	http_write_field(&writer, SPAN("Retry-After"), SPAN("2"));
	http_write_field(&writer, SPAN("X"), span_of(NULL, 0));
	http_write_field_number(&writer, SPAN("N"), UINT64_MAX);
	http_write_framing(&writer, HTTP_BODY_LENGTH, 0);
	http_write_framing(&writer, HTTP_BODY_NONE, 7);
	http_write_framing(&writer, HTTP_BODY_UNTIL_CLOSE, 7);
	http_write_head_end(&writer);
	assert_true(http_writer_finish(&writer));
	assert_true(span_equal(span_of(memory, writer.size), SPAN("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nX: \r\nN: "
	                                                          "18446744073709551615\r\nContent-Length: 0\r\n\r\n")));
	assert_true(span_equal(http_status_reason(299), SPAN("Unknown")));
}

/* Whatever the room, what fits is right and what does not is reported, with parts and without. */
static void test_room(void **state)
{
	(void)state;
	static char text[8000], memory[8000], joined[8000], whole[8000];
	int size =
	    sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: %01500d\r\nVia: a\r\nX: %01500d\r\n\r\n", 0, 0);
	parse_request(text);
	struct http_writer writer;
	http_writer_init(&writer, whole, sizeof(whole), NULL, 0);
	http_write_request(&writer, &request, HTTP_SET(HTTP_FIELD_VIA), SPAN(""));
	http_write_head_end(&writer);
	assert_true(http_writer_finish(&writer));
	size_t whole_size = writer.size;
	assert_int_equal(whole_size, (size_t)size - strlen("Connection: close\r\nVia: a\r\n"));

	for (size_t room = 0; room <= whole_size; room++) {
		http_writer_init(&writer, edge_copy(text, room), room, NULL, 0);
		http_write_request(&writer, &request, HTTP_SET(HTTP_FIELD_VIA), SPAN(""));
		http_write_head_end(&writer);
		assert_int_equal(http_writer_finish(&writer), room == whole_size);
	}
	for (unsigned most = 0; most < 8; most++) {
		struct iovec parts[8];
		http_writer_init(&writer, memory, sizeof(memory), parts, most);
		http_write_request(&writer, &request, HTTP_SET(HTTP_FIELD_VIA), SPAN(""));
		http_write_head_end(&writer);
		http_write_reference(&writer, SPAN(""));
		http_write_reference(&writer, SPAN("body"));
		bool done = http_writer_finish(&writer);
		assert_int_equal(done, most >= 5);
		if (!done)
			continue;
		size_t joined_size = 0;
		for (unsigned i = 0; i < writer.part_count; i++) {
			memcpy(joined + joined_size, parts[i].iov_base, parts[i].iov_len);
			joined_size += parts[i].iov_len;
		}
		assert_int_equal(joined_size, writer.total);
		assert_true(writer.size < 100); /* the long runs were pointed to */
		memcpy(whole + whole_size, "body", 4);
		assert_true(span_equal(span_of(joined, joined_size), span_of(whole, whole_size + 4)));
	}
}

static void test_dates(void **state)
{
	(void)state;
	char out[HTTP_DATE_SIZE];
	http_date_format(784111777000000, out);
	assert_memory_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_SIZE);
	/* The same as the C library, over four centuries. */
	for (time_t second = 0; second < (time_t)400 * 366 * 86400; second += 86400 * 3 + 12347) {
		char expected[64];
		struct tm broken;
		gmtime_r(&second, &broken);
		strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &broken);
		http_date_format((uint64_t)second * 1000000, out);
		if (memcmp(out, expected, HTTP_DATE_SIZE) != 0)
			fail_msg("%.29s, expected %s", out, expected);
	}
	struct http_date date = {0};
	assert_true(span_equal(http_date_now(&date, 0), SPAN("Thu, 01 Jan 1970 00:00:00 GMT")));
	assert_true(span_equal(http_date_now(&date, 999999), SPAN("Thu, 01 Jan 1970 00:00:00 GMT")));
	assert_true(span_equal(http_date_now(&date, 1000000), SPAN("Thu, 01 Jan 1970 00:00:01 GMT")));
}

static void test_paths(void **state)
{
	(void)state;
	static const struct {
		const char *path, *expected;
		bool encoded_slash, empty_segment, above_root;
	} cases[] = {
	    {"", "/", false, false, false},
	    {"/", "/", false, false, false},
	    {"/a/b", "/a/b", false, false, false},
	    {"/a/", "/a/", false, false, false},
	    {"/.", "/", false, false, false},
	    {"/..", "/", false, false, true},
	    {"/a/..", "/", false, false, false},
	    {"/a/../", "/", false, false, false},
	    {"/a/./b", "/a/b", false, false, false},
	    {"/a/b/../c", "/a/c", false, false, false},
	    {"/a/b/../../../c", "/c", false, false, true},
	    {"/a/b/c/./../../g", "/a/g", false, false, false}, /* RFC 3986 5.2.4 */
	    {"/%2e%2E/a", "/a", false, false, true},
	    {"/a/.%2e/b", "/b", false, false, false},
	    {"/...", "/...", false, false, false},
	    {"/.a/..b", "/.a/..b", false, false, false},
	    {"/%61%7e%2D", "/a~-", false, false, false},
	    {"/%c3%a4", "/%C3%A4", false, false, false},
	    {"/a%2fb", "/a%2Fb", true, false, false},
	    {"/a%5Cb", "/a%5Cb", true, false, false},
	    {"/..%2f..%2fetc", "/..%2F..%2Fetc", true, false, false},
	    {"/%252e%252e/a", "/%252e%252e/a", false, false, false}, /* decoded once, never twice */
	    {"//a", "//a", false, true, false},
	    {"/a//../b", "/a/b", false, true, false},
	    {"/a//", "/a//", false, true, false},
	};
	static const char *const bad[] = {"/%", "/%1", "/%g0", "/%0g", "/%00", "/a%", "/a%2", "/%-1", "a", "*"};
	char out[64];
	struct http_path result;
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		size_t size = strlen(cases[i].path);
		struct span path = span_of(edge_copy(cases[i].path, size), size);
		assert_int_equal(http_path_normalise(path, out, size + 1, &result), HTTP_FAULT_NONE);
		if (!span_equal(span_of(out, result.size), span_of_text(cases[i].expected)))
			fail_msg("%s became %.*s", cases[i].path, (int)result.size, out);
		assert_int_equal(result.encoded_slash, cases[i].encoded_slash);
		assert_int_equal(result.empty_segment, cases[i].empty_segment);
		assert_int_equal(result.above_root, cases[i].above_root);
		assert_int_equal(result.changed, strcmp(cases[i].path, cases[i].expected) != 0);
	}
	for (unsigned i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(http_path_normalise(span_of_text(bad[i]), out, sizeof(out), &result), HTTP_FAULT_PATH);
	assert_int_equal(http_path_normalise(SPAN("/abc"), out, 3, &result), HTTP_FAULT_PATH);
	assert_int_equal(http_path_normalise(SPAN("/a/"), out, 2, &result), HTTP_FAULT_PATH);
	assert_int_equal(http_path_normalise(SPAN(""), out, 0, &result), HTTP_FAULT_PATH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests), cmocka_unit_test(test_responses), cmocka_unit_test(test_own_answer),
	    cmocka_unit_test(test_room),     cmocka_unit_test(test_dates),     cmocka_unit_test(test_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
