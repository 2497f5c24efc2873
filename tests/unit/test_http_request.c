/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Request heads: what is accepted and what is made of it, what is refused and with which status. Everything is parsed against the
 * edge of an unreadable page.
 */
#include "unit.h"

#include "edge.h"
#include "proto/http.h"

#include <stdio.h>

static struct http_request request;
static struct http_error error;
static size_t used;

static enum http_answer parse_bytes(const char *text, size_t size)
{
	struct http_progress progress = {0};
	return http_request_parse(&progress, edge_copy(text, size), size, &request, &used, &error);
}

static void accept_text(const char *text)
{
	error.fault = HTTP_FAULT_NONE;
	enum http_answer answer = parse_bytes(text, strlen(text));
	if (answer != HTTP_DONE)
		fail_msg("%s: %s", http_fault_text(error.fault), text);
	assert_int_equal(used, strlen(text));
}

static void refuse_bytes(const char *text, size_t size, enum http_fault fault)
{
	enum http_answer answer = parse_bytes(text, size);
	if (answer != HTTP_WRONG)
		fail_msg("not refused: %s", text);
	if (error.fault != fault)
		fail_msg("refused because %s, expected %s: %s", http_fault_text(error.fault), http_fault_text(fault), text);
	assert_true(error.offset <= size);
}

static void refuse(const char *text, enum http_fault fault)
{
	refuse_bytes(text, strlen(text), fault);
}

static void expect_piece(struct http_piece piece, const char *expected)
{
	struct span text = http_text(&request.head, piece);
	if (!span_equal(text, span_of_text(expected)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)text.size, text.start, expected);
}

static bool is_dropped(const char *name)
{
	for (unsigned i = 0; i < request.head.field_count; i++)
		if (span_equal_nocase(http_text(&request.head, request.head.fields[i].name), span_of_text(name)))
			return request.head.fields[i].dropped;
	fail_msg("no field %s", name);
	return false;
}

#define HOST "Host: example.com\r\n"

static const char browser[] = "GET /a/b.php?x=1&y[]=%C3%A4 HTTP/1.1\r\n"
                              "Host: www.Example.com:8080\r\n"
                              "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
                              "Accept:text/html\r\n"
                              "Cookie: \t a=1; b=\"2\" \t\r\n"
                              "Connection: keep-alive\r\n"
                              "X-Empty:\r\n"
                              "X-Latin: \xe4\tb\r\n"
                              "\r\n";

static void test_plain(void **state)
{
	(void)state;
	accept_text(browser);
	assert_int_equal(request.method, HTTP_METHOD_GET);
	assert_int_equal(request.target_form, HTTP_TARGET_ORIGIN);
	assert_int_equal(request.head.minor, 1);
	expect_piece(request.target, "/a/b.php?x=1&y[]=%C3%A4");
	expect_piece(request.path, "/a/b.php");
	expect_piece(request.query, "x=1&y[]=%C3%A4");
	expect_piece(request.host, "www.Example.com:8080");
	expect_piece(request.host_name, "www.Example.com");
	assert_int_equal(request.host_port, 8080);
	assert_int_equal(request.head.field_count, 7);
	assert_int_equal(request.framing, HTTP_BODY_NONE);
	assert_true(request.keep_alive);
	assert_false(request.expect_continue || request.upgrade || request.takes_trailers || request.https);
	assert_true(span_equal(http_value(&request.head, HTTP_FIELD_COOKIE), SPAN("a=1; b=\"2\"")));
	assert_true(span_equal(http_value(&request.head, HTTP_FIELD_ACCEPT), SPAN("text/html")));
	assert_null(http_first(&request.head, HTTP_FIELD_REFERER));
	expect_piece(request.head.fields[5].value, "");
	expect_piece(request.head.fields[6].value, "\xe4\tb");
	assert_true(is_dropped("connection"));
	assert_false(is_dropped("x-empty"));
}

static void test_what_follows_is_left(void **state)
{
	(void)state;
	static const char two[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n";
	assert_int_equal(parse_bytes(two, sizeof(two) - 1), HTTP_DONE);
	assert_int_equal(used, strstr(two, "abc") - two);
	assert_int_equal(request.framing, HTTP_BODY_LENGTH);
	assert_int_equal(request.length, 3);
	/* One empty line before is forgiven (RFC 9112 2.2), and counted. */
	accept_text("\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	expect_piece(request.path, "/");
	refuse("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_METHOD);
	refuse("\rGET / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_LINE_END);
	refuse("\nGET / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_METHOD);
	refuse(" GET / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_METHOD);
}

static const char *const right[] = {
    browser,
    "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n" HOST "Max-Forwards: 3\r\n\r\n",
    "CONNECT example.com:443 HTTP/1.1\r\n" HOST "\r\n",
    "POST http://[::1]:80?q HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, X-A\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n",
};

/* Every prefix needs more, whether it is looked at for the first time or grew byte by byte. */
static void test_prefixes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(right); i++) {
		struct http_progress progress = {0};
		size_t size = strlen(right[i]);
		for (size_t part = 0; part < size; part++) {
			if (parse_bytes(right[i], part) != HTTP_MORE)
				fail_msg("%zu bytes of %s", part, right[i]);
			assert_int_equal(http_request_parse(&progress, edge_copy(right[i], part), part, &request, &used, &error), HTTP_MORE);
		}
		assert_int_equal(http_request_parse(&progress, edge_copy(right[i], size), size, &request, &used, &error), HTTP_DONE);
		assert_int_equal(used, size);
	}
}

static void test_targets(void **state)
{
	(void)state;
	accept_text("GET http://User.example:81/p/q?r HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(request.target_form, HTTP_TARGET_ABSOLUTE);
	expect_piece(request.host, "User.example:81"); /* overrides Host */
	expect_piece(request.path, "/p/q");
	expect_piece(request.query, "r");
	accept_text("GET HTTPS://a HTTP/1.1\r\n" HOST "\r\n");
	assert_true(request.https);
	expect_piece(request.path, "");
	assert_false(request.has_query);
	accept_text("GET http://a?/b HTTP/1.1\r\n" HOST "\r\n");
	expect_piece(request.host, "a");
	expect_piece(request.query, "/b");
	accept_text("GET /? HTTP/1.1\r\n" HOST "\r\n");
	assert_true(request.has_query);
	expect_piece(request.query, "");
	accept_text("GET //evil.example/ HTTP/1.1\r\n" HOST "\r\n");
	expect_piece(request.host, "example.com");
	accept_text("CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(request.target_form, HTTP_TARGET_AUTHORITY);
	expect_piece(request.host, "a.example:443");
	accept_text("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(request.target_form, HTTP_TARGET_ASTERISK);

	refuse("GET * HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET_FORM);
	refuse("GET example.com:80 HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET_FORM);
	refuse("GET index.html HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET_FORM);
	refuse("CONNECT / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET_FORM);
	refuse("CONNECT a.example HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET_FORM);
	refuse("CONNECT http://a:80/ HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET_FORM);
	refuse("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_SCHEME);
	refuse("GET http:///p HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_HOST);
	refuse("GET http://user@a/p HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_HOST);
	refuse("GET http://a:99999/ HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_HOST);
	refuse("GET http://a/ HTTP/1.1\r\n\r\n", HTTP_FAULT_HOST_MISSING);
	refuse("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", HTTP_FAULT_HOST);
	refuse("GET /a#b HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET);
	refuse("GET /a\\b HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET);
	refuse("GET /\x80 HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET);
	refuse("GET /?a\x7f HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET);
	refuse("GET /a\tb HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_TARGET);
	refuse_bytes("GET /a\0b HTTP/1.1\r\n" HOST "\r\n", 18 + 2 + 19 + 2, HTTP_FAULT_TARGET);
}

/* Each byte, in each place of a sixteen-byte lane, is judged as the table of RFC 3986 and 9110 says. */
static void test_every_byte(void **state)
{
	(void)state;
	static const char bad_in_path[] = " \"#<>\\", tokens[] = "!#$%&'*+-.^_`|~";
	for (unsigned byte = 0; byte < 256; byte++) {
		for (unsigned place = 0; place < 40; place++) {
			char text[160];
			bool letter = (byte | 0x20) - 'a' < 26u || byte - '0' < 10u;
			bool printable = byte > 0x20 && byte < 0x7f;

			unsigned size = (unsigned)sprintf(text, "GET /%040d HTTP/1.0\r\n\r\n", 0);
			text[5 + place] = (char)byte;
			bool right_path = printable && strchr(bad_in_path, (int)byte) == NULL;
			assert_int_equal(parse_bytes(text, size) == HTTP_DONE, right_path);

			size = (unsigned)sprintf(text, "GET /?%040d HTTP/1.0\r\n\r\n", 0);
			text[6 + place] = (char)byte;
			bool right_query = printable && (right_path || byte == '\\');
			assert_int_equal(parse_bytes(text, size) == HTTP_DONE, right_query);

			size = (unsigned)sprintf(text, "GET / HTTP/1.0\r\nA: %040d\r\n\r\n", 0);
			text[19 + place] = (char)byte;
			bool right_value = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
			assert_int_equal(parse_bytes(text, size) == HTTP_DONE, right_value);

			size = (unsigned)sprintf(text, "GET / HTTP/1.0\r\n%040d: v\r\n\r\n", 0);
			text[16 + place] = (char)byte;
			bool right_name = letter || (byte != 0 && strchr(tokens, (int)byte) != NULL) || (byte == ':' && place > 0);
			assert_int_equal(parse_bytes(text, size) == HTTP_DONE, right_name);
		}
	}
}

static void test_request_lines(void **state)
{
	(void)state;
	accept_text("PROPFIND / HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(request.method, HTTP_METHOD_PROPFIND);
	accept_text("get / HTTP/1.1\r\n" HOST "\r\n"); /* methods are case-sensitive */
	assert_int_equal(request.method, HTTP_METHOD_OTHER);
	expect_piece(request.method_text, "get");
	refuse("G@T / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_METHOD);
	refuse("GET  / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_REQUEST_LINE);
	refuse("GET / HTTP/1.1 \r\n" HOST "\r\n", HTTP_FAULT_LINE_END);
	refuse("GET /  HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_REQUEST_LINE);
	refuse("GET\t/ HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_METHOD);
	refuse("GET /\r\n", HTTP_FAULT_REQUEST_LINE); /* HTTP/0.9 */
	refuse("GET / http/1.1\r\n" HOST "\r\n", HTTP_FAULT_REQUEST_LINE);
	refuse("GET / HTTP/1.10\r\n" HOST "\r\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.1\n" HOST "\r\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.1\r" HOST "\r\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.2\r\n" HOST "\r\n", HTTP_FAULT_VERSION);
	refuse("GET / HTTP/2.0\r\n" HOST "\r\n", HTTP_FAULT_VERSION);
	refuse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_FAULT_VERSION);
	refuse_bytes("\x16\x03\x01\x02", 4, HTTP_FAULT_METHOD); /* TLS on the wrong port is seen at the first byte */
	assert_int_equal(http_fault_status(HTTP_FAULT_VERSION), 505);
	assert_int_equal(error.offset, 0);
}

static void test_field_lines(void **state)
{
	(void)state;
	refuse("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	assert_int_equal(error.offset, 36);
	refuse("GET / HTTP/1.1\r\nHost : example.com\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	refuse("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", HTTP_FAULT_FIELD_NAME); /* CVE-2023-25725 */
	refuse("GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	refuse("GET / HTTP/1.1\r\n" HOST "nocolon\r\nA: b\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	refuse("GET / HTTP/1.1\r\n" HOST "\xe4: b\r\n\r\n", HTTP_FAULT_FIELD_NAME);
	refuse("GET / HTTP/1.1\r\n" HOST "Content\rLength: 5\r\n\r\n", HTTP_FAULT_FIELD_NAME); /* CR is '-' but for one bit */
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", HTTP_FAULT_FIELD_FOLDED);
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n", HTTP_FAULT_FIELD_FOLDED);
	refuse("GET / HTTP/1.1\r\n " HOST "\r\n", HTTP_FAULT_FIELD_FOLDED);
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.1\r\n" HOST "\n", HTTP_FAULT_LINE_END);
	refuse("GET / HTTP/1.1\r\n" HOST "\rX", HTTP_FAULT_LINE_END);
	refuse_bytes("GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n", 16 + 19 + 8 + 2, HTTP_FAULT_FIELD_VALUE);
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n", HTTP_FAULT_FIELD_VALUE);
	refuse("GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n", HTTP_FAULT_FIELD_VALUE);
}

static void test_hosts(void **state)
{
	(void)state;
	static const char *const good[] = {"a",     "a.b-c_d~1",           "127.0.0.1",   "127.0.0.1:1",
	                                   "[::1]", "[2001:db8::1]:65535", "EXAMPLE.com."};
	static const char *const bad[] = {
	    "",       " ",    "a b",  "a,b",      "a@b",          "user:pw@b", "a:",   "a:0",     "a:65536", "a:+1",
	    "a:80:",  ":80",  ".",    "[::1",     "[]",           "[::g]",     "::1",  "a/b",     "a?b",     "a%41",
	    "[::1]a", "a\tb", "a\"b", "http://a", "[::1%25eth0]", "[1.2.3.4]", "\xe4", "a:80 ,b", "a;b"};
	char text[200];
	for (unsigned i = 0; i < COUNT_OF(good); i++) {
		sprintf(text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
		accept_text(text);
		expect_piece(request.host, good[i]);
	}
	expect_piece(request.host_name, "EXAMPLE.com");
	for (unsigned i = 0; i < COUNT_OF(bad); i++) {
		sprintf(text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
		refuse(text, HTTP_FAULT_HOST);
		sprintf(text, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", bad[i]);
		refuse(text, HTTP_FAULT_HOST);
	}
	char name[300];
	memset(name, 'a', sizeof(name));
	name[256] = 0;
	char long_text[400];
	sprintf(long_text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name);
	refuse(long_text, HTTP_FAULT_HOST);
	refuse("GET / HTTP/1.1\r\n\r\n", HTTP_FAULT_HOST_MISSING);
	refuse("GET / HTTP/1.1\r\n" HOST HOST "\r\n", HTTP_FAULT_HOST_REPEATED);
	refuse("GET / HTTP/1.0\r\n" HOST "host: b\r\n\r\n", HTTP_FAULT_HOST_REPEATED);
	accept_text("GET / HTTP/1.0\r\n\r\n");
	assert_int_equal(request.host.size, 0);
}

static void test_framing(void **state)
{
	(void)state;
	static const char *const bad_lengths[] = {"",
	                                          "-1",
	                                          "+1",
	                                          "1 2",
	                                          "0x10",
	                                          "1,1",
	                                          "1, 1",
	                                          "1;",
	                                          "9223372036854775808",
	                                          "18446744073709551621",
	                                          "1.0",
	                                          "a",
	                                          "\xd9\xa1",
	                                          "1e3",
	                                          "99999999999999999999999999999999"};
	static const struct {
		const char *value;
		enum http_fault fault;
	} bad_codings[] = {
	    {"", HTTP_FAULT_CODING},
	    {"gzip", HTTP_FAULT_CODING_UNKNOWN},
	    {"identity", HTTP_FAULT_CODING_UNKNOWN},
	    {"gzip, chunked", HTTP_FAULT_CODING_UNKNOWN},
	    {"chunked, gzip", HTTP_FAULT_CODING},
	    {"chunked, chunked", HTTP_FAULT_CODING},
	    {"chunked,", HTTP_FAULT_CODING},
	    {",chunked", HTTP_FAULT_CODING},
	    {"chunked;q=1", HTTP_FAULT_CODING},
	    {"\"chunked\"", HTTP_FAULT_CODING},
	    {"xchunked", HTTP_FAULT_CODING_UNKNOWN},
	    {"chunked chunked", HTTP_FAULT_CODING},
	};
	char text[400];
	for (unsigned i = 0; i < COUNT_OF(bad_lengths); i++) {
		sprintf(text, "POST / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", bad_lengths[i]);
		refuse(text, HTTP_FAULT_LENGTH); /* CVE-2023-40225: the empty one */
	}
	for (unsigned i = 0; i < COUNT_OF(bad_codings); i++) {
		sprintf(text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: %s\r\n\r\n", bad_codings[i].value);
		refuse(text, bad_codings[i].fault);
	}
	accept_text("POST / HTTP/1.1\r\n" HOST "content-length: 009223372036854775807\r\n\r\n");
	assert_true(request.length == INT64_MAX);
	accept_text("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
	assert_int_equal(request.framing, HTTP_BODY_LENGTH);
	accept_text("POST / HTTP/1.1\r\n" HOST "TRANSFER-ENCODING: ChunKed \r\n\r\n");
	assert_int_equal(request.framing, HTTP_BODY_CHUNKED);
	refuse("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", HTTP_FAULT_LENGTH_REPEATED);
	refuse("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nA: b\r\ncontent-length: 2\r\n\r\n", HTTP_FAULT_LENGTH_REPEATED);
	refuse("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_LENGTH_AND_CODING);
	refuse("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", HTTP_FAULT_LENGTH_AND_CODING);
	refuse("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_CODING);
	refuse("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_CODING_VERSION);
	assert_int_equal(http_fault_status(HTTP_FAULT_CODING_UNKNOWN), 501);
	/* CVE-2021-40346: a name so long that its size would wrap in a byte is neither Content-Length nor cut off. */
	char *name = text;
	memset(name, 'a', 270);
	memcpy(name, "Content-Length", 14);
	char long_text[600];
	sprintf(long_text, "POST / HTTP/1.1\r\n" HOST "%.270s: 5\r\nContent-Length: 1\r\n\r\n", name);
	accept_text(long_text);
	assert_int_equal(request.length, 1);
	assert_int_equal(request.head.fields[1].name.size, 270);
	/* Look-alikes count for nothing and are not passed on. */
	accept_text("POST / HTTP/1.1\r\n" HOST "Content_Length: 5\r\nX_Real_IP: 1\r\nMy_Own: 2\r\n\r\n");
	assert_int_equal(request.framing, HTTP_BODY_NONE);
	assert_true(is_dropped("content_length") && is_dropped("X_Real_IP"));
	assert_false(is_dropped("My_Own"));
}

/* What only a proxy may say, in any spelling that a gateway reads as the same; the known ones are the caller's. */
static void test_proxy_fields(void **state)
{
	static const char *const dropped[] = {
	    "X-Forwarded-Ssl", "x-forwarded-user", "X-FORWARDED-",       "X_Forwarded_For", "X.Forwarded~Proto",
	    "X-Forwarded",     "Forwarded-For-Ip", "X-Original-URL",     "X-Rewrite-Url",   "x_client_ip",
	    "Client-IP",       "True-Client-IP",   "CF-Connecting-IPv6", "Front-End-Https", "Fastly-SSL",
	    "Remote-User",     "SSL-Client-Cert",  "X-SSL-Verify",       "Proxy",           "X-Real.IP",
	};
	static const char *const kept[] = {
	    "X-Forwarded-For",  "X-Forwarded-Proto", "X-Real-IP", "Forwarded",  "X-Forward",
	    "X-Forwardeds",     "Proxy-Kind",        "X-Proxy",   "Client-IPs", "Xclient-IP",
	    "X-Requested-With", "Sec-Fetch-Mode",    "DNT",       "X",          "Priority",
	};
	char text[256];

	for (unsigned i = 0; i < COUNT_OF(dropped) + COUNT_OF(kept); i++) {
		bool drop = i < COUNT_OF(dropped);
		const char *name = drop ? dropped[i] : kept[i - COUNT_OF(dropped)];
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s: x\r\n\r\n", name);
		accept_text(text);
		assert_int_equal(is_dropped(name), drop);
	}
	(void)state;
}

static void test_connection(void **state)
{
	(void)state;
	accept_text("GET / HTTP/1.1\r\n" HOST "Connection: X-Secret,, close ,\tTE\r\nX-Secret: 1\r\nX-SECRET: 2\r\nX-Secrets: 3\r\n"
	            "TE: gzip, trailers\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTrailer: a\r\nUpgrade: x\r\n"
	            "Proxy-Authorization: a\r\nHTTP2-Settings: b\r\n\r\n");
	assert_false(request.keep_alive);
	assert_true(request.takes_trailers);
	assert_false(request.upgrade);
	static const char *const dropped[] = {"Connection",       "X-Secret", "TE",      "Keep-Alive",
	                                      "Proxy-Connection", "Trailer",  "Upgrade", "Proxy-Authorization",
	                                      "HTTP2-Settings"};
	for (unsigned i = 0; i < COUNT_OF(dropped); i++)
		assert_true(is_dropped(dropped[i]));
	assert_true(request.head.fields[3].dropped);  /* both X-Secret, */
	assert_false(request.head.fields[4].dropped); /* but not X-Secrets */

	/* Nominations cannot remove what the far end relies on (CVE-2022-45059, CVE-2026-6338). */
	accept_text(
	    "POST / HTTP/1.1\r\nConnection: Host, Content-Length, Authorization, Cookie, X-Forwarded-For, X-Real-IP, Via\r\n" HOST
	    "Content-Length: 2\r\nAuthorization: a\r\nCookie: b\r\nX-Forwarded-For: c\r\nX-Real-IP: d\r\nVia: e\r\n\r\n");
	for (unsigned i = 1; i < request.head.field_count; i++)
		assert_false(request.head.fields[i].dropped);
	assert_int_equal(request.length, 2);

	accept_text("GET / HTTP/1.0\r\n" HOST "\r\n");
	assert_false(request.keep_alive);
	accept_text("GET / HTTP/1.0\r\n" HOST "Connection: Keep-Alive\r\n\r\n");
	assert_true(request.keep_alive);
	accept_text("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\nconnection: Close\r\n\r\n");
	assert_false(request.keep_alive);
	refuse("GET / HTTP/1.1\r\n" HOST "Connection: a b\r\n\r\n", HTTP_FAULT_CONNECTION);
	refuse("GET / HTTP/1.1\r\n" HOST "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n", HTTP_FAULT_CONNECTION);
	accept_text("GET / HTTP/1.1\r\n" HOST "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\r\n\r\n");
}

static void test_expectations(void **state)
{
	(void)state;
	accept_text("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n");
	assert_true(request.expect_continue);
	accept_text("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"); /* nothing to wait for */
	assert_false(request.expect_continue);
	accept_text("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: whatever\r\n\r\n");
	assert_false(request.expect_continue);
	refuse("POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n", HTTP_FAULT_EXPECT);
	refuse("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", HTTP_FAULT_EXPECT);
	assert_int_equal(http_fault_status(error.fault), 417);

	accept_text("GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	assert_true(request.upgrade);
	static const char *const none[] = {"Upgrade: websocket\r\n",
	                                   "Connection: upgrade\r\n",
	                                   "Connection: upgrade\r\nUpgrade: h2c\r\n",
	                                   "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n",
	                                   "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
	                                   "Connection: upgrade\r\nUpgrade:\r\n"};
	char text[200];
	for (unsigned i = 0; i < COUNT_OF(none); i++) {
		sprintf(text, "GET / HTTP/1.1\r\n" HOST "%s\r\n", none[i]);
		accept_text(text);
		assert_false(request.upgrade);
	}
	accept_text("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	assert_false(request.upgrade);

	accept_text("OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: 0\r\n\r\n");
	assert_true(request.has_max_forwards);
	assert_int_equal(request.max_forwards, 0);
	accept_text("GET / HTTP/1.1\r\n" HOST "Max-Forwards: x\r\n\r\n"); /* means nothing here */
	assert_false(request.has_max_forwards);
	refuse("TRACE / HTTP/1.1\r\n" HOST "Max-Forwards: -1\r\n\r\n", HTTP_FAULT_MAX_FORWARDS);
	refuse("TRACE / HTTP/1.1\r\n" HOST "Max-Forwards: 4294967296\r\n\r\n", HTTP_FAULT_MAX_FORWARDS);
	refuse("TRACE / HTTP/1.1\r\n" HOST "Max-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n", HTTP_FAULT_MAX_FORWARDS);
	refuse("TRACE / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", HTTP_FAULT_TRACE_BODY);
}

static void test_bounds(void **state)
{
	(void)state;
	static char text[HTTP_HEAD_MOST * 2];
	char *at = text;
	/* Fields: the most, and one more. */
	at += sprintf(at, "GET / HTTP/1.1\r\n" HOST);
	for (unsigned i = 1; i < HTTP_FIELDS_MOST; i++)
		at += sprintf(at, "a: %u\r\n", i);
	strcpy(at, "\r\n");
	accept_text(text);
	assert_int_equal(request.head.field_count, HTTP_FIELDS_MOST);
	strcpy(at, "a: b\r\n\r\n");
	refuse(text, HTTP_FAULT_TOO_MANY_FIELDS);

	/* The target. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	strcpy(text + 4 + HTTP_TARGET_MOST, " HTTP/1.1\r\n" HOST "\r\n");
	accept_text(text);
	strcpy(text + 4 + HTTP_TARGET_MOST, "a HTTP/1.1\r\n" HOST "\r\n");
	refuse(text, HTTP_FAULT_TARGET_TOO_LONG);
	assert_int_equal(parse_bytes(text, 4 + HTTP_TARGET_MOST), HTTP_MORE);
	assert_int_equal(parse_bytes(text, 5 + HTTP_TARGET_MOST), HTTP_WRONG); /* at once, not at the end of the head */

	/* The method. */
	refuse("AAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_METHOD_TOO_LONG);
	refuse("AAAAAAAAAAAAAAAAAAAAAAAAA", HTTP_FAULT_METHOD_TOO_LONG);
	accept_text("AAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n");

	/* The head. */
	static const char start[] = "GET / HTTP/1.1\r\n" HOST "A: ";
	memset(text, 'a', sizeof(text));
	memcpy(text, start, sizeof(start) - 1);
	strcpy(text + HTTP_HEAD_MOST - 4, "\r\n\r\n");
	accept_text(text);
	assert_int_equal(parse_bytes(text, HTTP_HEAD_MOST - 1), HTTP_MORE);
	text[HTTP_HEAD_MOST - 4] = 'a';
	strcpy(text + HTTP_HEAD_MOST - 3, "\r\n\r\n");
	refuse(text, HTTP_FAULT_HEAD_TOO_LARGE);
	assert_int_equal(parse_bytes(text, HTTP_HEAD_MOST), HTTP_WRONG);
	assert_int_equal(error.fault, HTTP_FAULT_HEAD_TOO_LARGE);
}

/* Bad heads that come byte by byte are refused early, not only when they end: at the latest when twice as much has come. */
static void test_early_refusal(void **state)
{
	(void)state;
	static const char bad[] = "GET / HTTP/1.1\r\nA b: c\r\nD: eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
	struct http_progress progress = {0};
	size_t size = 1;
	while (http_request_parse(&progress, edge_copy(bad, size), size, &request, &used, &error) == HTTP_MORE)
		assert_in_range(++size, 2, 2 * 18);
	assert_int_equal(error.fault, HTTP_FAULT_FIELD_NAME);
	/* And one that ends its lines with bare LF as soon as its empty line is there. */
	static const char lines[] = "GET / HTTP/1.1\nHost: a\n\n";
	struct http_progress other = {0};
	for (size = 1; size < sizeof(lines) - 1; size++)
		if (http_request_parse(&other, edge_copy(lines, size), size, &request, &used, &error) == HTTP_WRONG)
			break;
	assert_in_range(size, 15, sizeof(lines) - 2);
}

static void test_tables(void **state)
{
	(void)state;
	char upper[40], lower[40];
	for (enum http_field_name name = 1; name < HTTP_FIELD_NAMES; name++) {
		struct span text = http_field_text(name);
		for (size_t at = 0; at < text.size; at++) {
			upper[at] = (char)(text.start[at] >= 'a' && text.start[at] <= 'z' ? text.start[at] - 32 : text.start[at]);
			lower[at] = (char)(text.start[at] >= 'A' && text.start[at] <= 'Z' ? text.start[at] + 32 : text.start[at]);
		}
		assert_int_equal(http_field_find(text), name);
		assert_int_equal(http_field_find(span_of(edge_copy(upper, text.size), text.size)), name);
		assert_int_equal(http_field_find(span_of(edge_copy(lower, text.size), text.size)), name);
		assert_int_equal(http_field_find(span_of(text.start, text.size - 1)), HTTP_FIELD_OTHER);
		/* One flipped bit, other than the case of a letter, makes another name. */
		for (size_t bit = 0; bit < text.size * 8; bit++) {
			memcpy(upper, text.start, text.size);
			upper[bit / 8] = (char)(upper[bit / 8] ^ (1 << bit % 8));
			bool only_case = bit % 8 == 5 && (text.start[bit / 8] & 0x40) != 0;
			bool same = http_field_find(span_of(upper, text.size)) == name;
			assert_int_equal(same, only_case);
		}
	}
	assert_int_equal(http_field_find(SPAN("")), HTTP_FIELD_OTHER);
	assert_int_equal(http_field_find(SPAN("X")), HTTP_FIELD_OTHER);
	assert_true(http_method_is_idempotent(HTTP_METHOD_PUT) && !http_method_is_safe(HTTP_METHOD_PUT));
	assert_false(http_method_is_idempotent(HTTP_METHOD_POST) || http_method_is_idempotent(HTTP_METHOD_OTHER));
	for (enum http_fault fault = HTTP_FAULT_METHOD; fault <= HTTP_FAULT_PATH; fault++)
		assert_true(http_fault_status(fault) >= 400 && strlen(http_fault_text(fault)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),         cmocka_unit_test(test_what_follows_is_left),
	    cmocka_unit_test(test_prefixes),      cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_request_lines),
	    cmocka_unit_test(test_field_lines),   cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_framing),       cmocka_unit_test(test_connection),
	    cmocka_unit_test(test_expectations),  cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_early_refusal), cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_proxy_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
