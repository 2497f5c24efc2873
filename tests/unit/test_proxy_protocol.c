/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What front ends say in a PROXY header, whole and cut at every byte, in front of a page that cannot be read.
 */
#include "unit.h"

#include "edge.h"
#include "proto/proxy_protocol.h"

#include <stdio.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BEHIND    "GET / HTTP/1.1\r\n"

static enum proxy_answer parse(const char *bytes, size_t size, struct proxy_told *told, size_t *used, const char **why)
{
	*why = NULL;
	return proxy_protocol_parse(edge_copy(bytes, size), size, told, used, why);
}

/* Every beginning of it asks for more; then it is done, whatever follows. */
static void expect_told(const char *bytes, size_t size, struct proxy_told *told)
{
	char more[8192];
	const char *why;
	size_t used = 0;

	for (size_t cut = 0; cut < size; cut++) {
		assert_int_equal(parse(bytes, cut, told, &used, &why), PROXY_MORE);
		assert_false(told->known || told->secure);
	}
	memcpy(more, bytes, size);
	memcpy(more + size, BEHIND, sizeof(BEHIND) - 1);
	for (size_t end = size; end < size + sizeof(BEHIND); end++) {
		assert_int_equal(parse(more, end, told, &used, &why), PROXY_DONE);
		assert_int_equal(used, size);
		assert_null(why);
	}
}

static void expect_addresses(const char *bytes, size_t size, const char *from, const char *to, bool secure)
{
	char text[ADDRESS_TEXT_SIZE];
	struct proxy_told told;

	expect_told(bytes, size, &told);
	assert_true(told.known);
	assert_int_equal(told.secure, secure);
	assert_string_equal(address_format(&told.from, text), from);
	assert_string_equal(address_format(&told.to, text), to);
}

static void expect_nothing(const char *bytes, size_t size)
{
	struct proxy_told told;

	expect_told(bytes, size, &told);
	assert_false(told.known || told.secure);
	assert_int_equal(told.from.family, ADDRESS_NONE);
}

/* Wrong as a whole, and before that at no length right. */
static void expect_wrong(const char *bytes, size_t size)
{
	struct proxy_told told;
	const char *why;
	size_t used;

	for (size_t cut = 0; cut < size; cut++)
		assert_int_not_equal(parse(bytes, cut, &told, &used, &why), PROXY_DONE);
	assert_int_equal(parse(bytes, size, &told, &used, &why), PROXY_WRONG);
	assert_non_null(why);
	assert_false(told.known || told.secure);
}

#define ADDRESSES(bytes, from, to) expect_addresses(bytes, sizeof(bytes) - 1, from, to, false)
#define SECURE(bytes, from, to)    expect_addresses(bytes, sizeof(bytes) - 1, from, to, true)
#define NOTHING(bytes)             expect_nothing(bytes, sizeof(bytes) - 1)
#define WRONG(bytes)               expect_wrong(bytes, sizeof(bytes) - 1)

static void test_line(void **state)
{
	ADDRESSES("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "192.0.2.1:56324", "198.51.100.7:443");
	ADDRESSES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", "255.255.255.255:65535");
	ADDRESSES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", "0.0.0.0");
	ADDRESSES("PROXY TCP6 2001:db8::1 2001:DB8::2 1 80\r\n", "[2001:db8::1]:1", "[2001:db8::2]:80");
	ADDRESSES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	          "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	ADDRESSES("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 80\r\n", "192.0.2.1:1", "[::1]:80");
	NOTHING("PROXY UNKNOWN\r\n");
	NOTHING("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
	NOTHING("PROXY UNKNOWN what ever \x01\xff it says\r\n");
	(void)state;
}

static void test_wrong_lines(void **state)
{
	WRONG("GET / HTTP/1.1\r\n");
	WRONG("PROXIES ");
	WRONG("proxy TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
	WRONG("PROXY  TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
	WRONG("PROXY TCP5 192.0.2.1 198.51.100.7 56324 443\r\n");
	WRONG("PROXY UNKNOWNS\r\n");
	WRONG("PROXY \r\n");
	WRONG("PROXY TCP4\r\n");
	WRONG("PROXY TCP4 192.0.2.1\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 056 443\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7  443\r\n");
	WRONG("PROXY TCP4 192.0.2.01 198.51.100.7 1 443\r\n");
	WRONG("PROXY TCP4 192.0.2 198.51.100.7 1 443\r\n");
	WRONG("PROXY TCP4 192.0.2.1:5 198.51.100.7 1 443\r\n");
	WRONG("PROXY TCP4 ::1 ::1 1 443\r\n");
	WRONG("PROXY TCP6 192.0.2.1 198.51.100.7 1 443\r\n");
	WRONG("PROXY TCP6 192.0.2.1:80 ::1 1 443\r\n");
	WRONG("PROXY TCP6 [::1] ::1 1 443\r\n");
	WRONG("PROXY TCP6 [::1]:80 ::1 1 443\r\n");
	WRONG("PROXY TCP4 /run/a /run/b 1 443\r\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n");
	WRONG("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\rGET");
	/* One byte more than a line may have. */
	WRONG("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n");
	(void)state;
}

#define IPV4 "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
#define IPV6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x01\xff\xff"

static void test_header(void **state)
{
	ADDRESSES(SIGNATURE "\x21\x11\x00\x0c" IPV4, "192.0.2.1:56324", "198.51.100.7:443");
	ADDRESSES(SIGNATURE "\x21\x21\x00\x24" IPV6, "[2001:db8::1]:1", "[2001:db8::2]:65535");
	NOTHING(SIGNATURE "\x20\x00\x00\x00");
	NOTHING(SIGNATURE "\x20\x11\x00\x0c" IPV4);        /* LOCAL: what is said is not for us */
	NOTHING(SIGNATURE "\x20\xff\x00\x03\xff\xff\xff"); /* … whatever it is */
	NOTHING(SIGNATURE "\x21\x00\x00\x00");
	NOTHING(SIGNATURE "\x21\x00\x00\x03\xff\xff\xff");
	NOTHING(SIGNATURE "\x21\x10\x00\x00");
	NOTHING(SIGNATURE "\x21\x12\x00\x0c" IPV4); /* datagrams: not what came here */
	(void)state;
}

static void test_unix_header(void **state)
{
	char bytes[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/a";
	expect_nothing(bytes, sizeof(bytes));
	(void)state;
}

static void test_extensions(void **state)
{
	ADDRESSES(SIGNATURE "\x21\x11\x00\x14" IPV4 "\x04\x00\x02zz"
	                    "\x01\x00\x00",
	          "192.0.2.1:56324", "198.51.100.7:443");
	SECURE(SIGNATURE "\x21\x11\x00\x14" IPV4 "\x20\x00\x05\x01\0\0\0\0", "192.0.2.1:56324", "198.51.100.7:443");
	/* As HAProxy sends it: flags, result of the check, and the version as an extension of the extension. */
	SECURE(SIGNATURE "\x21\x11\x00\x1e" IPV4 "\x20\x00\x0f\x07\0\0\0\0\x21\x00\x07TLSv1.3", "192.0.2.1:56324",
	       "198.51.100.7:443");
	ADDRESSES(SIGNATURE "\x21\x11\x00\x14" IPV4 "\x20\x00\x05\x00\0\0\0\0", "192.0.2.1:56324", "198.51.100.7:443");
	NOTHING(SIGNATURE "\x20\x11\x00\x14" IPV4 "\x20\x00\x05\x01\0\0\0\0");
	WRONG(SIGNATURE "\x21\x11\x00\x13" IPV4 "\x20\x00\x04\x01\0\0\0");
	WRONG(SIGNATURE "\x21\x11\x00\x0d" IPV4 "\x04");
	WRONG(SIGNATURE "\x21\x11\x00\x0f" IPV4 "\x04\x00\x01");
	WRONG(SIGNATURE "\x21\x11\x00\x10" IPV4 "\x04\xff\xff"
	                "z");
	(void)state;
}

static void test_checksum(void **state)
{
	/* The value was reckoned with the table of RFC 3720's appendix, elsewhere. */
	ADDRESSES(SIGNATURE "\x21\x11\x00\x13" IPV4 "\x03\x00\x04\xd4\x5a\x11\xb9", "192.0.2.1:56324", "198.51.100.7:443");
	WRONG(SIGNATURE "\x21\x11\x00\x13" IPV4 "\x03\x00\x04\xd4\x5a\x11\xb8");
	WRONG(SIGNATURE "\x21\x11\x00\x12" IPV4 "\x03\x00\x03\xd4\x5a\x11");
	(void)state;
}

static void test_wrong_headers(void **state)
{
	WRONG(SIGNATURE "\x11\x11\x00\x0c" IPV4);
	WRONG(SIGNATURE "\x22\x11\x00\x0c" IPV4);
	WRONG(SIGNATURE "\x21\x41\x00\x0c" IPV4);
	WRONG(SIGNATURE "\x21\x13\x00\x0c" IPV4);
	WRONG(SIGNATURE "\x21\x11\x00\x0b\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01");
	WRONG(SIGNATURE "\x21\x21\x00\x0c" IPV4);
	WRONG(SIGNATURE "\x21\x31\x00\x0c" IPV4);
	WRONG(SIGNATURE "\x21\x11\xff\xff");
	WRONG("\r\n\r\n\0\r\nQUIT\r");
	WRONG("\r\n\r\nG");
	(void)state;
}

/* As long as a header may be, and one byte more. */
static void test_longest_header(void **state)
{
	static const char longest[PROXY_PROTOCOL_MOST + 1] = SIGNATURE "\x21\x11\x0f\xf0" IPV4 "\x04\x0f\xe1";
	static const char too_long[PROXY_PROTOCOL_MOST + 1] = SIGNATURE "\x21\x11\x0f\xf1" IPV4 "\x04\x0f\xe2";
	struct proxy_told told;
	const char *why;
	size_t used;

	expect_addresses(longest, PROXY_PROTOCOL_MOST, "192.0.2.1:56324", "198.51.100.7:443", false);
	assert_int_equal(parse(too_long, 15, &told, &used, &why), PROXY_MORE);
	assert_int_equal(parse(too_long, 16, &told, &used, &why), PROXY_WRONG);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),          cmocka_unit_test(test_wrong_lines),    cmocka_unit_test(test_header),
	    cmocka_unit_test(test_unix_header),   cmocka_unit_test(test_extensions),     cmocka_unit_test(test_checksum),
	    cmocka_unit_test(test_wrong_headers), cmocka_unit_test(test_longest_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
