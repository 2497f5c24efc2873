/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Response heads: what is accepted, how long the body is for each method and status, what is refused. Parsed against the edge of
 * an unreadable page.
 */
#include "unit.h"

#include "edge.h"
#include "proto/http.h"

#include <stdio.h>

static struct http_response response;
static struct http_error error;
static size_t used;

static enum http_answer parse(const char *text, enum http_method method)
{
	struct http_progress progress = {0};
	size_t size = strlen(text);
	return http_response_parse(&progress, edge_copy(text, size), size, method, &response, &used, &error);
}

static void accept_text(const char *text, enum http_method method, enum http_framing framing, bool keep_alive)
{
	error.fault = HTTP_FAULT_NONE;
	if (parse(text, method) != HTTP_DONE)
		fail_msg("%s: %s", http_fault_text(error.fault), text);
	assert_int_equal(used, strlen(text));
	if (response.framing != framing || response.keep_alive != keep_alive)
		fail_msg("framing %d, keep alive %d: %s", response.framing, response.keep_alive, text);
}

static void refuse(const char *text, enum http_fault fault)
{
	if (parse(text, HTTP_METHOD_GET) != HTTP_WRONG)
		fail_msg("not refused: %s", text);
	if (error.fault != fault)
		fail_msg("refused because %s, expected %s: %s", http_fault_text(error.fault), http_fault_text(fault), text);
}

static const char apache[] = "HTTP/1.1 200 OK\r\n"
                             "Date: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
                             "Server: Apache\r\n"
                             "Set-Cookie: a=1\r\n"
                             "Set-Cookie: b=2\r\n"
                             "Keep-Alive: timeout=5, max=100\r\n"
                             "Connection: Keep-Alive\r\n"
                             "Content-Length: 12\r\n"
                             "\r\n";

static void test_plain(void **state)
{
	(void)state;
	accept_text(apache, HTTP_METHOD_GET, HTTP_BODY_LENGTH, true);
	assert_int_equal(response.status, 200);
	assert_int_equal(response.length, 12);
	assert_true(response.has_length);
	assert_true(span_equal(http_text(&response.head, response.reason), SPAN("OK")));
	assert_true(span_equal(http_value(&response.head, HTTP_FIELD_SET_COOKIE), SPAN("a=1")));
	assert_true((response.head.repeated & HTTP_SET(HTTP_FIELD_SET_COOKIE)) != 0);
	assert_true(response.head.fields[4].dropped && response.head.fields[5].dropped);
	assert_false(response.head.fields[3].dropped);
	for (size_t part = 0; part < sizeof(apache) - 1; part++) {
		struct http_progress progress = {0};
		assert_int_equal(http_response_parse(&progress, edge_copy(apache, part), part, HTTP_METHOD_GET, &response, &used, &error),
		                 HTTP_MORE);
	}
}

static void test_status_lines(void **state)
{
	(void)state;
	accept_text("HTTP/1.1 404 Not Found \xe4\r\nContent-Length: 0\r\n\r\n", HTTP_METHOD_GET, HTTP_BODY_LENGTH, true);
	accept_text("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", HTTP_METHOD_GET, HTTP_BODY_LENGTH, true);
	assert_int_equal(response.reason.size, 0);
	accept_text("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HTTP_METHOD_GET, HTTP_BODY_LENGTH, true);
	assert_int_equal(response.reason.size, 0);
	refuse("HTTP/1.1 099 X\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 600 X\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 20 OK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 2000 OK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1  200 OK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1\t200 OK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 200\tOK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 200 O\x01K\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 200 OK\n\r\n", HTTP_FAULT_LINE_END);
	refuse("HTTP/1.1 200\n\r\n", HTTP_FAULT_LINE_END);
	refuse("HTTP/1.1 200 OK\rA: b\r\n\r\n", HTTP_FAULT_LINE_END);
	refuse("http/1.1 200 OK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/2.0 200 OK\r\n\r\n", HTTP_FAULT_VERSION);
	refuse("HTTP/1.2 200 OK\r\n\r\n", HTTP_FAULT_VERSION);
	refuse("\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("<html>", HTTP_FAULT_STATUS_LINE);
}

static void test_framing(void **state)
{
	(void)state;
	const enum http_method get = HTTP_METHOD_GET, head = HTTP_METHOD_HEAD, tunnel = HTTP_METHOD_CONNECT;
	accept_text("HTTP/1.1 200 OK\r\n\r\n", get, HTTP_BODY_UNTIL_CLOSE, false);
	accept_text("HTTP/1.0 200 OK\r\n\r\n", get, HTTP_BODY_UNTIL_CLOSE, false);
	accept_text("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", get, HTTP_BODY_LENGTH, true);
	accept_text("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", get, HTTP_BODY_LENGTH, false);
	accept_text("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", get, HTTP_BODY_LENGTH, false);
	accept_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", get, HTTP_BODY_CHUNKED, true);

	accept_text("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head, HTTP_BODY_NONE, true);
	assert_true(response.has_length);
	assert_int_equal(response.length, 5);
	accept_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head, HTTP_BODY_NONE, true);
	assert_false(response.has_length);
	accept_text("HTTP/1.1 200 OK\r\n\r\n", head, HTTP_BODY_NONE, true);
	accept_text("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", get, HTTP_BODY_NONE, true);
	assert_int_equal(response.length, 5);
	accept_text("HTTP/1.1 204 No Content\r\n\r\n", get, HTTP_BODY_NONE, true);
	accept_text("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", get, HTTP_BODY_NONE, true);
	assert_false(response.has_length);
	/* A server that announces a body where none may be may send it: its connection is not used again. */
	accept_text("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", get, HTTP_BODY_NONE, false);
	assert_false(response.has_length);
	assert_int_equal(response.length, 0);
	accept_text("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", get, HTTP_BODY_NONE, false);

	accept_text("HTTP/1.1 100 Continue\r\n\r\n", get, HTTP_BODY_NONE, true);
	accept_text("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", get, HTTP_BODY_NONE, true);
	refuse("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	refuse("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_STATUS_LINE);
	accept_text("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", get, HTTP_BODY_TUNNEL,
	            false);
	accept_text("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", tunnel, HTTP_BODY_TUNNEL, false);
	assert_false(response.has_length);
	accept_text("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", tunnel, HTTP_BODY_LENGTH, true);

	refuse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", HTTP_FAULT_LENGTH_REPEATED);
	refuse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", HTTP_FAULT_LENGTH_REPEATED);
	refuse("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", HTTP_FAULT_LENGTH);
	refuse("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", HTTP_FAULT_LENGTH);
	refuse("HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n", HTTP_FAULT_LENGTH);
	refuse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_LENGTH_AND_CODING);
	refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HTTP_FAULT_CODING_UNKNOWN);
	refuse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_CODING_VERSION);
}

static void test_fields(void **state)
{
	(void)state;
	static char text[HTTP_HEAD_MOST + 100];
	refuse("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", HTTP_FAULT_FIELD_FOLDED);
	refuse("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	refuse("HTTP/1.1 200 OK\r\n: b\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	refuse("HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", HTTP_FAULT_LINE_END);
	refuse("HTTP/1.1 200 OK\r\nA: b\x1b\r\n\r\n", HTTP_FAULT_FIELD_VALUE);
	refuse("HTTP/1.1 200 OK\r\nConnection: \"\r\n\r\n", HTTP_FAULT_CONNECTION);
	accept_text(
	    "HTTP/1.1 200 OK\r\nConnection: X-Internal, Set-Cookie\r\nX-Internal: 1\r\nSet-Cookie: a\r\nContent-Length: 1\r\n\r\n",
	    HTTP_METHOD_GET, HTTP_BODY_LENGTH, true);
	assert_true(response.head.fields[1].dropped);
	assert_false(response.head.fields[2].dropped);
	memset(text, 'a', sizeof(text));
	memcpy(text, "HTTP/1.1 200 ", 13);
	text[HTTP_HEAD_MOST] = 0;
	refuse(text, HTTP_FAULT_HEAD_TOO_LARGE);
	text[HTTP_HEAD_MOST - 1] = 0;
	assert_int_equal(parse(text, HTTP_METHOD_GET), HTTP_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_status_lines),
	    cmocka_unit_test(test_framing),
	    cmocka_unit_test(test_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
