/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Conditions and ranges: entity tags, the three forms of dates, which bytes a visitor wants.
 */
#include "unit.h"

#include "edge.h"
#include "proto/http.h"

#include <stdio.h>

static const uint64_t now_s = 1795000000; /* in 2026 */

static void test_tags(void **unused)
{
	static const struct {
		const char *list;
		bool strong, weak;
	} cases[] = {
	    {"\"a\"", true, true},
	    {"W/\"a\"", false, true},
	    {"*", true, true},
	    {" * ", true, true},
	    {"\"b\", \"a\"", true, true},
	    {"\"b\" ,, W/\"a\" , \"c\"", false, true},
	    {"\"b\",\"c\"", false, false},
	    {"\"a", false, false},
	    {"a", false, false},
	    {"", false, false},
	    {"\"b\" \"a\"", false, false},
	    {"\"b\";\"a\"", false, false},
	    {"w/\"a\"", false, false},
	    {"\"A\"", false, false},
	    {"W/", false, false},
	    {"\"", false, false},
	    {"\"b,\"a\"", false, false},
	};

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct span list = span_of_text(cases[i].list);
		if (http_tags_match(list, SPAN("\"a\""), false) != cases[i].strong ||
		    http_tags_match(list, SPAN("\"a\""), true) != cases[i].weak)
			fail_msg("%s", cases[i].list);
	}
}

static void test_dates(void **unused)
{
	static const struct {
		const char *text;
		uint64_t seconds; /* 0: refused */
	} cases[] = {
	    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
	    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
	    {"Sun Nov  6 08:49:37 1994", 784111777},
	    {"Wednesday, 18-Nov-26 23:46:40 GMT", 1795045600},
	    {"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800},
	    {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
	    {"Wed, 01 Mar 2023 00:00:00 GMT", 1677628800},
	    {"Thu, 01 Jan 2105 00:00:00 GMT", 4260211200},
	    {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
	    {"Tue Nov 16 23:59:60 2027", 1826409600},
	    {"Sun, 06 Nov 1994 08:49:37 UTC", 0},
	    {"Sun, 06 Nov 1994 08:49:37", 0},
	    {"Sun, 06 Nov 1994 24:49:37 GMT", 0},
	    {"Sun, 00 Nov 1994 08:49:37 GMT", 0},
	    {"Sun, 32 Nov 1994 08:49:37 GMT", 0},
	    {"Sun, 06 nov 1994 08:49:37 GMT", 0},
	    {"Sun, 06 Nov 1969 08:49:37 GMT", 0},
	    {"Sun, 06 Nov -994 08:49:37 GMT", 0},
	    {"Sun, 06 Nov 1994 08:49:3x GMT", 0},
	    {"Su1, 06 Nov 1994 08:49:37 GMT", 0},
	    {"784111777", 0},
	    {"", 0},
	    {"Thirteenthday, 06-Nov-94 08:49:37 GMT", 0},
	};
	uint64_t seconds;

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool good = http_date_parse(span_of_text(cases[i].text), now_s, &seconds);
		if (good != (cases[i].seconds != 0) || (good && seconds != cases[i].seconds))
			fail_msg("%s: %llu", cases[i].text, good ? (unsigned long long)seconds : 0);
	}
	/* What http_date_format writes comes back. */
	for (uint64_t day = 0; day < 60000; day++) {
		char text[HTTP_DATE_SIZE];
		uint64_t wanted = day * 86400 + day % 86400;
		http_date_format(wanted * 1000000, text);
		assert_true(http_date_parse(span_of(text, HTTP_DATE_SIZE), now_s, &seconds));
		assert_true(seconds == wanted);
	}
}

/* "0-4,6-9" for what is found, "ignored", "outside". */
static const char *ranges_of(const char *value, uint64_t size)
{
	static char text[1024];
	struct http_range ranges[HTTP_RANGES_MOST];
	unsigned count;

	switch (http_ranges_parse(span_of_text(value), size, ranges, &count)) {
	case HTTP_RANGES_IGNORED:
		return "ignored";
	case HTTP_RANGES_OUTSIDE:
		return "outside";
	case HTTP_RANGES_GOOD:
		break;
	}
	size_t used = 0;
	for (unsigned i = 0; i < count; i++) {
		assert_true(ranges[i].first <= ranges[i].last && ranges[i].last < size);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%llu-%llu", i > 0 ? "," : "",
		                         (unsigned long long)ranges[i].first, (unsigned long long)ranges[i].last);
	}
	return text;
}

static void test_ranges(void **unused)
{
	(void)unused;
	assert_string_equal(ranges_of("bytes=0-4", 10), "0-4");
	assert_string_equal(ranges_of("Bytes=0-0", 10), "0-0");
	assert_string_equal(ranges_of("bytes=5-", 10), "5-9");
	assert_string_equal(ranges_of("bytes=-3", 10), "7-9");
	assert_string_equal(ranges_of("bytes=-30", 10), "0-9");
	assert_string_equal(ranges_of("bytes=8-99999999999999999999999", 10), "8-9");
	assert_string_equal(ranges_of("bytes=9-9", 10), "9-9");
	assert_string_equal(ranges_of("bytes= 0-1 , , 4-5,-1", 10), "0-1,4-5,9-9");
	assert_string_equal(ranges_of("bytes=4-5,0-1", 10), "4-5,0-1");
	assert_string_equal(ranges_of("bytes=0-1,20-30", 10), "0-1");

	assert_string_equal(ranges_of("bytes=10-", 10), "outside");
	assert_string_equal(ranges_of("bytes=-0", 10), "outside");
	assert_string_equal(ranges_of("bytes=99999999999999999999999-", 10), "outside");
	assert_string_equal(ranges_of("bytes=0-", 0), "outside");
	assert_string_equal(ranges_of("bytes=-5", 0), "outside");

	assert_string_equal(ranges_of("bytes=", 10), "ignored");
	assert_string_equal(ranges_of("bytes=,", 10), "ignored");
	assert_string_equal(ranges_of("bytes", 10), "ignored");
	assert_string_equal(ranges_of("lines=0-4", 10), "ignored");
	assert_string_equal(ranges_of("bytes=4-2", 10), "ignored");
	assert_string_equal(ranges_of("bytes=--2", 10), "ignored");
	assert_string_equal(ranges_of("bytes=a-2", 10), "ignored");
	assert_string_equal(ranges_of("bytes=1-2-3", 10), "ignored");
	assert_string_equal(ranges_of("bytes=+1-2", 10), "ignored");
	assert_string_equal(ranges_of("bytes=5", 10), "ignored");
	assert_string_equal(ranges_of("bytes=0-4,4-6", 10), "ignored"); /* CVE-2011-3192 */
	assert_string_equal(ranges_of("bytes=0-,0-", 10), "ignored");
	assert_string_equal(
	    ranges_of("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30", 99),
	    "0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30");
	assert_string_equal(
	    ranges_of("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32", 99),
	    "ignored");
}

/* None of them reads behind its bytes. */
static void test_edges(void **unused)
{
	static const char *const texts[] = {"W/\"a\", \"b\"", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
	                                    "Sun Nov  6 08:49:37 1994", "bytes=0-4, 5-, -7"};

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		for (size_t size = 0; size <= strlen(texts[i]); size++) {
			struct span text = span_of(edge_copy(texts[i], size), size);
			struct http_range ranges[HTTP_RANGES_MOST];
			unsigned count;
			uint64_t seconds;
			(void)!http_tags_match(text, SPAN("\"z\""), true);
			(void)!http_date_parse(text, now_s, &seconds);
			(void)!http_ranges_parse(text, 100, ranges, &count);
			unsigned quality;
			(void)!http_quality_parse(text, &quality);
		}
	}
}

static void test_qualities(void **state)
{
	static const struct {
		const char *text;
		unsigned thousandths;
	} good[] = {{"0", 0}, {"0.", 0}, {"0.8", 800}, {"0.85", 850}, {"0.001", 1}, {"1", 1000}, {"1.000", 1000}};
	static const char *const wrong[] = {"", "2", "1.001", "0.1234", "-0.5", ".5", "05", "0,5", "0.5x", "1.0001"};
	unsigned quality;
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++) {
		assert_true(http_quality_parse(span_of_text(good[i].text), &quality));
		assert_int_equal(quality, good[i].thousandths);
	}
	quality = 7;
	for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(http_quality_parse(span_of_text(wrong[i]), &quality));
		assert_int_equal(quality, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tags),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_qualities),
	    cmocka_unit_test(test_edges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
