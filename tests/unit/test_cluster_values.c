/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Single values of the cluster file, and the suggestions for wrong ones.
 */
#include "unit.h"

#include "cluster/suggest.h"
#include "cluster/values.h"

#include <stdio.h>

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
	    {"250ms", 250}, {"2s", 2000}, {"5m", 300000}, {"8h", 28800000}, {"1d", 86400000}, {"0", 0}, {"0s", 0},
	};
	char why[VALUE_WHY_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++) {
		uint64_t ms = 77;
		assert_true(value_parse_duration(span_of_text(good[i].text), &ms, why));
		assert_true(ms == good[i].ms);
	}
}

static void test_wrong_durations(void **state)
{
	static const struct {
		const char *text, *suggestion;
	} wrong[] = {
	    {"2", "did you mean `2s`?"},
	    {"2sec", "did you mean `2s`?"},
	    {"2 s", "did you mean `2s`?"},
	    {"10 Minutes", "did you mean `10m`?"},
	    {"5S", "did you mean `5s`?"},
	    {"1.5s", "did you mean `1500ms`?"},
	    {"0.25m", "did you mean `15s`?"},
	    {"3w", "unknown unit `w`"},
	    {"-2s", "is not a duration"},
	    {"s", "is not a duration"},
	    {"", "is not a duration"},
	    {"1.0005s", "is not a duration"},
	    {"99999999999999999999s", "too large"},
	    {"18446744073709551615s", "too large"},
	};
	char why[VALUE_WHY_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
		uint64_t ms = 77;
		assert_false(value_parse_duration(span_of_text(wrong[i].text), &ms, why));
		assert_true(ms == 77);
		if (strstr(why, wrong[i].suggestion) == NULL)
			fail_msg("%s: %s", wrong[i].text, why);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
	    {"0", 0}, {"1000", 1000}, {"64k", 65536}, {"8m", 8u << 20}, {"8M", 8u << 20}, {"1g", 1u << 30}, {"2T", 2ull << 40},
	};
	char why[VALUE_WHY_SIZE];
	uint64_t bytes;
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++) {
		assert_true(value_parse_size(span_of_text(good[i].text), &bytes, why));
		assert_true(bytes == good[i].bytes);
	}
	assert_false(value_parse_size(SPAN("8MB"), &bytes, why));
	assert_non_null(strstr(why, "did you mean `8m`?"));
	assert_false(value_parse_size(SPAN("1.5g"), &bytes, why));
	assert_non_null(strstr(why, "did you mean `1536m`?"));
	assert_false(value_parse_size(SPAN("16777216t"), &bytes, why)); /* 2^64 */
	assert_true(value_parse_size(SPAN("16777215t"), &bytes, why));
	assert_false(value_parse_size(SPAN("m"), &bytes, why));
}

/* What is printed is read as the same value again. */
static void test_formats(void **state)
{
	static const uint64_t values[] = {0, 1, 999, 1000, 1500, 60000, 61000, 3600000, 86400000, 90000000};
	char text[VALUE_TEXT_SIZE], why[VALUE_WHY_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(values); i++) {
		uint64_t back = 77;
		value_format_duration(values[i], text);
		assert_true(value_parse_duration(span_of_text(text), &back, why) && back == values[i]);
		back = 77;
		value_format_size(values[i], text);
		assert_true(value_parse_size(span_of_text(text), &back, why) && back == values[i]);
	}
	assert_string_equal(value_format_duration(90000, text), "90s");
	assert_string_equal(value_format_duration(7200000, text), "2h");
	assert_string_equal(value_format_size(67108864, text), "64m");
	assert_string_equal(value_format_size(1023, text), "1023");
}

static void test_status(void **state)
{
	static const char *const wrong[] = {"",    "20",      "2000",        "099", "200-",     "-200",
	                                    "600", "200-600", "200-399-400", "2xx", "200 - 399"};
	char why[VALUE_WHY_SIZE];
	uint16_t least, most;
	(void)state;
	assert_true(value_parse_status(SPAN("204"), &least, &most, why));
	assert_int_equal(least, 204);
	assert_int_equal(most, 204);
	assert_true(value_parse_status(SPAN("200-399"), &least, &most, why));
	assert_int_equal(most, 399);
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		assert_false(value_parse_status(span_of_text(wrong[i]), &least, &most, why));
	assert_false(value_parse_status(SPAN("399-200"), &least, &most, why));
	assert_non_null(strstr(why, "did you mean `200-399`?"));
}

static void test_hex(void **state)
{
	uint8_t bytes[16];
	char why[VALUE_WHY_SIZE];
	(void)state;
	assert_true(value_parse_hex(SPAN("d41d8cd98f00b204E9800998ecf8427e"), bytes, 16, why));
	assert_int_equal(bytes[0], 0xd4);
	assert_int_equal(bytes[15], 0x7e);
	assert_false(value_parse_hex(SPAN("d41d8cd98f00b204e9800998ecf8427"), bytes, 16, why));
	assert_non_null(strstr(why, "md5sum"));
	assert_false(value_parse_hex(SPAN("x41d8cd98f00b204e9800998ecf8427e"), bytes, 16, why));
}

static void test_hosts(void **state)
{
	static const char *const good[] = {"*", "example.com", "a", "10.0.0.1", "[::1]", "xn--mller-kva.example", "my_host"};
	static const char *const wrong[] = {"",   "*.example.com", "http://a",         "a:80", "a.", "a..b", ".a",
	                                    "-a", "a b",           "m\xc3\xbcller.de", "::1"};
	char why[VALUE_WHY_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++)
		if (!value_check_host(span_of_text(good[i]), why))
			fail_msg("%s", why);
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		if (value_check_host(span_of_text(wrong[i]), why))
			fail_msg("%s was taken for a host", wrong[i]);
}

static void test_addresses(void **state)
{
	static const char *const wrong[] = {"",   "web1",      "10.0.0.1/24", "10.0.0.1:80", "[::1]", "0.0.0.0",
	                                    "::", "224.0.0.1", "fe80::1",     "ff02::1",     "/run/x"};
	struct address address;
	char why[VALUE_WHY_SIZE];
	(void)state;
	assert_true(value_parse_ip(SPAN("192.168.0.11"), &address, why));
	assert_int_equal(address.family, ADDRESS_IPV4);
	assert_true(value_parse_ip(SPAN("fd00::11"), &address, why));
	assert_int_equal(address.port, 0);
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		if (value_parse_ip(span_of_text(wrong[i]), &address, why))
			fail_msg("%s was taken for the address of a server", wrong[i]);
	assert_false(value_parse_ip(SPAN("10.0.0.1/24"), &address, why));
	assert_non_null(strstr(why, "did you mean `10.0.0.1`?"));
}

static void test_listen(void **state)
{
	static const struct {
		const char *text;
		bool for_http;
		const char *suggestion;
	} wrong[] = {
	    {"https", true, "not known to this version"},
	    {"0", true, "out of range"},
	    {"65536", false, "out of range"},
	    {"127.0.0.1", false, "did you mean `127.0.0.1:3306`?"},
	    {"::1", true, "did you mean `[::1]:80`?"},
	    {"*:80", true, "did you mean `80`"},
	    {":80", true, "did you mean `80`"},
	    {"localhost:3306", false, "did you mean `127.0.0.1:3306`?"},
	    {"/run/x", true, "not on a Unix socket"},
	    {"http", false, "nothing to listen on"},
	    {"10.0.0.1:99999", true, "out of range"},
	};
	struct address address;
	char why[VALUE_WHY_SIZE], text[ADDRESS_TEXT_SIZE];
	(void)state;
	assert_true(value_parse_listen(SPAN("http"), true, &address, why));
	assert_string_equal(address_format(&address, text), "[::]:80");
	assert_true(value_parse_listen(SPAN("8080"), false, &address, why));
	assert_string_equal(address_format(&address, text), "[::]:8080");
	assert_true(value_parse_listen(SPAN("[fd00::1]:80"), true, &address, why));
	assert_true(value_parse_listen(SPAN("/run/noah/main.sock"), false, &address, why));
	assert_int_equal(address.family, ADDRESS_UNIX);
	for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(value_parse_listen(span_of_text(wrong[i].text), wrong[i].for_http, &address, why));
		if (strstr(why, wrong[i].suggestion) == NULL)
			fail_msg("%s: %s", wrong[i].text, why);
	}
}

static const char *nearest(const char *wrong, const char *const *candidates)
{
	struct suggestion suggestion = {0};
	for (; *candidates != NULL; candidates++)
		suggest_consider(&suggestion, wrong, *candidates);
	return suggestion.word;
}

static void test_suggestions(void **state)
{
	static const char *const keys[] = {"check", "timeouts", "least-connections", "on", "apps", NULL};
	char endless[300];
	(void)state;
	assert_int_equal(suggest_distance("check", "check"), 0);
	assert_int_equal(suggest_distance("chekc", "check"), 1); /* two letters swapped */
	assert_int_equal(suggest_distance("", "abc"), 3);
	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
	assert_string_equal(nearest("chekc", keys), "check");
	assert_string_equal(nearest("CHECK", keys), "check");
	assert_string_equal(nearest("timeout", keys), "timeouts");
	assert_string_equal(nearest("leastconn", keys), "least-connections");
	assert_null(nearest("floating", keys));
	memset(endless, 'a', sizeof(endless));
	endless[sizeof(endless) - 1] = '\0';
	assert_null(nearest(endless, keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_durations),   cmocka_unit_test(test_wrong_durations), cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_formats),     cmocka_unit_test(test_status),          cmocka_unit_test(test_hex),
	    cmocka_unit_test(test_hosts),       cmocka_unit_test(test_addresses),       cmocka_unit_test(test_listen),
	    cmocka_unit_test(test_suggestions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
