/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Heads of HTTP/2 requests as HTTP/1.1 text: what comes out, and what is refused and why.
 */
#include "proto/http2.h"
#include "unit.h"

static char memory[HTTP_HEAD_MOST], text[HTTP_HEAD_MOST * 2];
static struct http2_head head;

static void begin(void)
{
	http2_head_begin(&head, memory, sizeof(memory));
}

static void add(const char *name, const char *value)
{
	http2_head_add(&head, span_of_text(name), span_of_text(value));
}

static void begin_get(void)
{
	begin();
	add(":method", "GET");
	add(":scheme", "https");
	add(":authority", "example.com");
	add(":path", "/a?b");
}

static enum http_fault write_text(void)
{
	struct http_writer writer;
	size_t room = http2_head_text_bytes(&head);
	assert_true(room < sizeof(text));
	http_writer_init(&writer, text, room, NULL, 0);
	enum http_fault fault = http2_head_write(&head, &writer);
	text[writer.size] = '\0';
	return fault;
}

static void test_plain(void **state)
{
	(void)state;
	begin_get();
	add("accept", "*/*");
	add("empty", "");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
	assert_string_equal(text, "GET /a?b HTTP/1.1\r\nhost: example.com\r\naccept: */*\r\nempty: \r\n");
	assert_false(head.has_length);
}

static void test_cookies(void **state)
{
	(void)state;
	begin_get();
	add("cookie", "a=1");
	add("x", "y");
	add("cookie", "b=2");
	add("cookie", "");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
	assert_string_equal(text, "GET /a?b HTTP/1.1\r\nhost: example.com\r\nx: y\r\ncookie: a=1; b=2; \r\n");
	begin_get();
	add("cookie", "a=1");
	add("x", "y");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
	assert_string_equal(text, "GET /a?b HTTP/1.1\r\nhost: example.com\r\ncookie: a=1\r\nx: y\r\n");
}

static void test_hosts(void **state)
{
	(void)state;
	begin_get();
	add("host", "EXAMPLE.com");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
	assert_string_equal(text, "GET /a?b HTTP/1.1\r\nhost: example.com\r\n");
	begin_get();
	add("host", "example.org");
	assert_int_equal(write_text(), HTTP_FAULT_HOSTS_DIFFER);
	begin();
	add(":method", "GET");
	add(":scheme", "https");
	add(":path", "/");
	add("host", "example.com");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
	assert_string_equal(text, "GET / HTTP/1.1\r\nhost: example.com\r\n");
}

static void test_connect(void **state)
{
	(void)state;
	begin();
	add(":method", "CONNECT");
	add(":authority", "example.com:443");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
	assert_string_equal(text, "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n");
}

static void refuse(const char *name, const char *value, enum http_fault fault)
{
	begin_get();
	add(name, value);
	assert_int_equal(head.fault, fault);
	add("good", "behind it");
	assert_int_equal(write_text(), fault);
}

static void test_refused_fields(void **state)
{
	(void)state;
	refuse("x", "a\r\nb: c", HTTP_FAULT_FIELD_VALUE);
	refuse("x", "a\nb", HTTP_FAULT_FIELD_VALUE);
	refuse("x", "\x7f", HTTP_FAULT_FIELD_VALUE);
	refuse("x", " a", HTTP_FAULT_FIELD_VALUE);
	refuse("x", "a\t", HTTP_FAULT_FIELD_VALUE);
	refuse("", "a", HTTP_FAULT_FIELD_NAME);
	refuse("X", "a", HTTP_FAULT_FIELD_NAME);
	refuse("x:y", "a", HTTP_FAULT_FIELD_NAME);
	refuse("x y", "a", HTTP_FAULT_FIELD_NAME);
	refuse("transfer-encoding", "chunked", HTTP_FAULT_CONNECTION_FIELD);
	refuse("connection", "x", HTTP_FAULT_CONNECTION_FIELD);
	refuse("upgrade", "websocket", HTTP_FAULT_CONNECTION_FIELD);
	refuse("te", "trailers, deflate", HTTP_FAULT_CONNECTION_FIELD);
	refuse(":method", "POST", HTTP_FAULT_PSEUDO);
	refuse(":protocol", "websocket", HTTP_FAULT_PSEUDO);
	begin_get();
	http2_head_add(&head, SPAN("x"), SPAN("a\0b"));
	assert_int_equal(write_text(), HTTP_FAULT_FIELD_VALUE);
	begin_get();
	add("te", "trailers");
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
}

static void refuse_target(const char *method, const char *scheme, const char *path, enum http_fault fault)
{
	begin();
	add(":method", method);
	if (scheme != NULL)
		add(":scheme", scheme);
	add(":authority", "example.com");
	if (path != NULL)
		add(":path", path);
	assert_int_equal(write_text(), fault);
}

static void test_targets(void **state)
{
	(void)state;
	refuse_target("GET", "http", "http://evil/", HTTP_FAULT_TARGET_FORM);
	refuse_target("GET", "http", "*", HTTP_FAULT_TARGET_FORM);
	refuse_target("GET", "http", "", HTTP_FAULT_TARGET_FORM);
	refuse_target("OPTIONS", "http", "*", HTTP_FAULT_NONE);
	refuse_target("GET", "ftp", "/", HTTP_FAULT_SCHEME);
	refuse_target("GET", NULL, "/", HTTP_FAULT_PSEUDO);
	refuse_target("GET", "http", NULL, HTTP_FAULT_PSEUDO);
	refuse_target("CONNECT", "http", "/", HTTP_FAULT_PSEUDO);
}

static void test_bounds(void **state)
{
	static char large[HTTP_HEAD_MOST];
	(void)state;
	memset(large, 'a', sizeof(large) - 1);
	refuse("x", large, HTTP_FAULT_HEAD_TOO_LARGE);
	assert_true(head.decoded_bytes > HTTP_HEAD_MOST); /* counted all the same */
	begin_get();
	for (unsigned i = 0; i < HTTP_FIELDS_MOST; i++)
		add("x", "y");
	assert_int_equal(head.fault, HTTP_FAULT_NONE);
	add("x", "y");
	assert_int_equal(head.fault, HTTP_FAULT_TOO_MANY_FIELDS);
	begin_get();
	for (unsigned i = 0; i < 2 * HTTP_FIELDS_MOST; i++)
		add("cookie", "a=b"); /* all one field */
	assert_int_equal(write_text(), HTTP_FAULT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),   cmocka_unit_test(test_cookies),        cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_connect), cmocka_unit_test(test_refused_fields), cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
