/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The PROXY protocol's header, byte by byte, also for addresses that a listening socket here never has.
 */
#include "unit.h"

#include "tcp/tcp_private.h"

static struct address address(const char *text)
{
	struct address address;
	assert_true(address_parse(span_of_text(text), false, &address));
	return address;
}

static void expect(unsigned version, const char *from_text, const char *to_text, const char *bytes, size_t size)
{
	char out[TCP_PROXY_HEADER_MOST];
	struct address from = address(from_text), to = address(to_text);
	assert_int_equal(tcp_proxy_header(version, &from, &to, out), size);
	assert_memory_equal(out, bytes, size);
}

#define EXPECT(version, from, to, bytes) expect(version, from, to, bytes, sizeof(bytes) - 1)
#define SIGNATURE                        "\r\n\r\n\0\r\nQUIT\n"

static void test_version_1(void **state)
{
	EXPECT(1, "192.0.2.1:56324", "198.51.100.7:443", "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
	EXPECT(1, "[2001:db8::1]:1", "[2001:db8::2]:65535", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
	EXPECT(1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	       "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
	EXPECT(1, "/run/a", "/run/b", "PROXY UNKNOWN\r\n");
	EXPECT(1, "192.0.2.1:1", "[2001:db8::2]:2", "PROXY UNKNOWN\r\n");
	(void)state;
}

static void test_version_2(void **state)
{
	EXPECT(2, "192.0.2.1:56324", "198.51.100.7:443",
	       SIGNATURE "\x21\x11\x00\x0c"
	                 "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb");
	EXPECT(2, "[2001:db8::1]:1", "[2001:db8::2]:65535",
	       SIGNATURE "\x21\x21\x00\x24"
	                 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
	                 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x01\xff\xff");
	EXPECT(2, "/run/a", "/run/b", SIGNATURE "\x20\x00\x00\x00");
	EXPECT(2, "[2001:db8::1]:1", "192.0.2.1:1", SIGNATURE "\x20\x00\x00\x00");
	(void)state;
}

static void test_no_address(void **state)
{
	const struct address none = {.family = ADDRESS_NONE};
	char out[TCP_PROXY_HEADER_MOST];
	assert_int_equal(tcp_proxy_header(1, &none, &none, out), 15);
	assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
	assert_int_equal(tcp_proxy_header(2, &none, &none, out), 16);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_1),
	    cmocka_unit_test(test_version_2),
	    cmocka_unit_test(test_no_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
