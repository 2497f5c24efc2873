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
	assert_string_equal(cluster_duration_format(UINT64_MAX, text), "18446744073709551615ms"); /* the longest fits */
	uint64_t ms = 0;
	assert_true(cluster_duration_parse(SPAN("30m"), &ms) && ms == 1800000);
	assert_false(cluster_duration_parse(SPAN("30"), &ms));
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
	static const char *const good[] = {"example.com", "a", "10.0.0.1", "[::1]", "xn--mller-kva.example", "my_host"};
	static const char *const patterns[] = {"*", "*.example.com", "*.a"};
	static const char *const wrong[] = {"",    "http://a", "a:80", "a.", "a..b", ".a",    "-a",  "a b", "m\xc3\xbcller.de",
	                                    "::1", "a*",       "a.*",  "*a", "*.",   "*.*.a", "*..a"};
	char why[VALUE_WHY_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++)
		if (!value_check_host(span_of_text(good[i]), false, why) || !value_check_host(span_of_text(good[i]), true, why))
			fail_msg("%s", why);
	for (unsigned i = 0; i < COUNT_OF(patterns); i++)
		if (!value_check_host(span_of_text(patterns[i]), true, why) || value_check_host(span_of_text(patterns[i]), false, why))
			fail_msg("%s is a pattern, not a name", patterns[i]);
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		if (value_check_host(span_of_text(wrong[i]), false, why) || value_check_host(span_of_text(wrong[i]), true, why))
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
		enum value_listen kind;
		bool tls;
		const char *address;
	} good[] = {
	    {"http", VALUE_LISTEN_SITE, false, "[::]:80"},
	    {"https", VALUE_LISTEN_SITE, true, "[::]:443"},
	    {"http:8080", VALUE_LISTEN_SITE, false, "[::]:8080"},
	    {"https:8443", VALUE_LISTEN_SITE, true, "[::]:8443"},
	    {"https:192.0.2.1:8443", VALUE_LISTEN_SITE, true, "192.0.2.1:8443"},
	    {"https:[fd00::1]:443", VALUE_LISTEN_SITE, true, "[fd00::1]:443"},
	    {"[fd00::1]:80", VALUE_LISTEN_SITE, false, "[fd00::1]:80"},
	    {"8080", VALUE_LISTEN_DATABASE, false, "[::]:8080"},
	    {"/run/noah/main.sock", VALUE_LISTEN_DATABASE, false, "/run/noah/main.sock"},
	    {"22", VALUE_LISTEN_TCP, false, "[::]:22"},
	    {"9180", VALUE_LISTEN_ADMIN, false, "127.0.0.1:9180"},
	    {"192.0.2.1:9180", VALUE_LISTEN_ADMIN, false, "192.0.2.1:9180"},
	};
	struct address address;
	char why[VALUE_WHY_SIZE], text[ADDRESS_TEXT_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++) {
		bool tls = false;
		if (!value_parse_listen(span_of_text(good[i].text), good[i].kind, &address, &tls, why))
			fail_msg("%s", why);
		assert_string_equal(address_format(&address, text), good[i].address);
		assert_int_equal(tls, good[i].tls);
	}
}

static void test_wrong_listen(void **state)
{
	static const struct {
		const char *text;
		enum value_listen kind;
		const char *suggestion;
	} wrong[] = {
	    {"0", VALUE_LISTEN_SITE, "out of range"},
	    {"65536", VALUE_LISTEN_DATABASE, "out of range"},
	    {"https:65536", VALUE_LISTEN_SITE, "`https:65536`: the port is out of range"},
	    {"127.0.0.1", VALUE_LISTEN_DATABASE, "did you mean `127.0.0.1:3306`?"},
	    {"::1", VALUE_LISTEN_SITE, "did you mean `[::1]:80`?"},
	    {"https:192.0.2.1", VALUE_LISTEN_SITE, "did you mean `https:192.0.2.1:443`?"},
	    {"*:80", VALUE_LISTEN_SITE, "did you mean `80`"},
	    {"https:*:8443", VALUE_LISTEN_SITE, "did you mean `https:8443`"},
	    {":80", VALUE_LISTEN_SITE, "did you mean `80`"},
	    {"localhost:3306", VALUE_LISTEN_DATABASE, "did you mean `127.0.0.1:3306`?"},
	    {"/run/x", VALUE_LISTEN_SITE, "not on a Unix socket"},
	    {"/run/x", VALUE_LISTEN_TCP, "not on a Unix socket"},
	    {"http", VALUE_LISTEN_DATABASE, "`http` is for sites; write `3306`"},
	    {"https", VALUE_LISTEN_TCP, "`https` is for sites; write `2222`"},
	    {"https://example.com", VALUE_LISTEN_SITE, "is an URL"},
	    {"https:", VALUE_LISTEN_SITE, "nothing to listen on"},
	    {"httpx", VALUE_LISTEN_SITE, "nothing to listen on"},
	    {"10.0.0.1:99999", VALUE_LISTEN_SITE, "out of range"},
	};
	struct address address;
	char why[VALUE_WHY_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
		bool tls;
		assert_false(value_parse_listen(span_of_text(wrong[i].text), wrong[i].kind, &address, &tls, why));
		if (strstr(why, wrong[i].suggestion) == NULL)
			fail_msg("%s: %s", wrong[i].text, why);
	}
}

static void test_words_of_http(void **state)
{
	static const char *const good_targets[] = {"/", "/new/", "https://a.example", "http://a.example:8080/x?y=z", "/a%20b#c"};
	static const char *const wrong_targets[] = {"",     "a.example", "//a.example/", "https://", "https:///x", "https:/x",
	                                            "/a b", "/a\"b",     "/m\xc3\xbc",   "ftp://a/", "https://?x"};
	static const char *const wrong_tokens[] = {"", "a b", "a;b", "a=b", "a,b", "\"a\"", "m\xc3\xbc"};
	char why[VALUE_WHY_SIZE];
	bool value = false;
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good_targets); i++)
		if (!value_check_redirect(span_of_text(good_targets[i]), why))
			fail_msg("%s", why);
	for (unsigned i = 0; i < COUNT_OF(wrong_targets); i++)
		if (value_check_redirect(span_of_text(wrong_targets[i]), why))
			fail_msg("%s was taken for a target", wrong_targets[i]);
	assert_true(value_check_token(SPAN("X-User_1"), "header", why));
	for (unsigned i = 0; i < COUNT_OF(wrong_tokens); i++)
		if (value_check_token(span_of_text(wrong_tokens[i]), "header", why))
			fail_msg("%s was taken for a name", wrong_tokens[i]);
	assert_true(value_check_file_type(SPAN("JPG"), why));
	assert_false(value_check_file_type(SPAN("*.jpg"), why));
	assert_non_null(strstr(why, "did you mean `jpg`?"));
	assert_false(value_check_file_type(SPAN("image/jpeg"), why));
	assert_false(value_check_file_type(SPAN("."), why));
	assert_true(value_parse_bool(SPAN("true"), &value, why) && value);
	assert_true(value_parse_bool(SPAN("false"), &value, why) && !value);
	assert_false(value_parse_bool(SPAN("Yes"), &value, why));
	assert_non_null(strstr(why, "did you mean `true`?"));
	assert_false(value_parse_bool(SPAN("off"), &value, why));
	assert_non_null(strstr(why, "did you mean `false`?"));
	assert_false(value_parse_bool(SPAN("maybe"), &value, why));
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
	    cmocka_unit_test(test_suggestions), cmocka_unit_test(test_wrong_listen),    cmocka_unit_test(test_words_of_http),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
