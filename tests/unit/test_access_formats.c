/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The access log's formats: what a strict reader makes of them when visitors send any bytes whatever.
 */
#include "unit.h"

#include "http/access_log.h"

#include <jansson.h>
#include <stdlib.h>

static char out[LOG_RECORD_MOST];
static struct log_clock second;

/* 21/Nov/2026 00:29:20.123 UTC */
#define WALL_US UINT64_C(1795220960123456)

static struct log_entry usual(void)
{
	return (struct log_entry){
	    .wall_us = WALL_US,
	    .client = SPAN("192.0.2.7"),
	    .method = SPAN("GET"),
	    .target = SPAN("/a"),
	    .version = SPAN("1.1"),
	    .host = SPAN("example.com"),
	    .agent = SPAN("curl/7.88.1"),
	    .site = SPAN("example.com"),
	    .server = SPAN("web1:8080"),
	    .end = SPAN("ok"),
	    .status = 200,
	    .bytes = 42,
	    .in = 79,
	    .out = 181,
	    .read_us = 0,
	    .queue_us = 0,
	    .connect_us = 120,
	    .first_us = 146,
	    .total_us = 266,
	};
}

static struct log_entry unparsed(struct span line)
{
	return (struct log_entry){
	    .wall_us = WALL_US,
	    .client = SPAN("::1"),
	    .line = line,
	    .end = SPAN("bad-request"),
	    .cause = SPAN("a \"cause\""),
	    .status = 400,
	    .read_us = LOG_NO_PHASE,
	    .queue_us = LOG_NO_PHASE,
	    .connect_us = LOG_NO_PHASE,
	    .first_us = LOG_NO_PHASE,
	    .total_us = 9,
	};
}

static const char *combined(const struct log_entry *entry)
{
	log_clock_set(&second, entry->wall_us);
	*log_put_combined(out, entry, &second) = '\0';
	return out;
}

static json_t *json(const struct log_entry *entry)
{
	json_error_t error;
	log_clock_set(&second, entry->wall_us);
	char *end = log_put_json(out, entry, &second);
	assert_true(end < out + sizeof out);
	json_t *value = json_loadb(out, (size_t)(end - out), JSON_REJECT_DUPLICATES, &error);
	if (value == NULL)
		fail_msg("%s in %.*s", error.text, (int)(end - out), out);
	return value;
}

static const char *member(const json_t *value, const char *name)
{
	const json_t *text = json_object_get(value, name);
	assert_non_null(text);
	return json_is_null(text) ? NULL : json_string_value(text);
}

static void test_combined(void **state)
{
	struct log_entry entry = usual();
	(void)state;
	assert_string_equal(combined(&entry),
	                    "192.0.2.7 - - [21/Nov/2026:00:29:20 +0000] \"GET /a HTTP/1.1\" 200 42 \"-\" \"curl/7.88.1\""
	                    " site=example.com server=web1:8080 retries=0 read=0 connect=120 first=146 total=266 in=79 out=181"
	                    " queue=0 tls=- ref=- end=ok");
	entry = unparsed(SPAN("GET\x01 \"/"));
	assert_string_equal(
	    combined(&entry),
	    "::1 - - [21/Nov/2026:00:29:20 +0000] \"GET\\x01 \\x22/\" 400 0 \"-\" \"-\""
	    " site=- server=- retries=0 read=- connect=- first=- total=9 in=0 out=0 queue=- tls=- ref=- end=bad-request"
	    " cause=\"a \\x22cause\\x22\"");
	entry = unparsed(span_of(NULL, 0));
	entry.status = 0;
	assert_non_null(strstr(combined(&entry), "] \"-\" 000 0 \"-\" \"-\" site=- "));
}

/* One word, whatever he is called. */
static void test_user(void **state)
{
	static char longest[LOG_SHORT_MOST + 1];
	struct log_entry entry = usual();
	(void)state;
	entry.user = SPAN("anna");
	assert_non_null(strstr(combined(&entry), "192.0.2.7 - anna [21/Nov/"));
	entry.user = SPAN("a b  \"[c]\\ \xc3\xbc\n");
	assert_non_null(strstr(combined(&entry), "192.0.2.7 - a\\x20b\\x20\\x20\\x22[c]\\x5c\\x20\\xc3\\xbc\\x0a [21/Nov/"));
	json_t *value = json(&entry);
	assert_string_equal(member(value, "user"), "a b  \"[c]\\ \xc3\xbc\n");
	json_decref(value);
	memset(longest, ' ', sizeof(longest));
	entry.user = span_of(longest, sizeof(longest));
	assert_non_null(strstr(combined(&entry), "\\x20\\x20... [21/Nov/"));
}

static void test_json(void **state)
{
	struct log_entry entry = usual();
	entry.tls = SPAN("TLSv1.3");
	json_t *value = json(&entry);
	(void)state;
	assert_string_equal(member(value, "time"), "2026-11-21T00:29:20.123Z");
	assert_string_equal(member(value, "protocol"), "HTTP/1.1");
	assert_string_equal(member(value, "tls"), "TLSv1.3");
	assert_null(member(value, "referrer"));
	assert_null(member(value, "line"));
	assert_int_equal(json_integer_value(json_object_get(value, "status")), 200);
	assert_int_equal(json_integer_value(json_object_get(value, "total_us")), 266);
	size_t members = json_object_size(value);
	json_decref(value);

	entry = unparsed(SPAN("x"));
	entry.status = 0;
	value = json(&entry);
	assert_int_equal(json_object_size(value), members); /* all of them, always */
	assert_true(json_is_null(json_object_get(value, "status")));
	assert_true(json_is_null(json_object_get(value, "method")));
	assert_true(json_is_null(json_object_get(value, "protocol")));
	assert_true(json_is_null(json_object_get(value, "connect_us")));
	assert_string_equal(member(value, "cause"), "a \"cause\"");
	json_decref(value);
}

static void test_text_that_is_no_utf8(void **state)
{
	static const struct {
		const char *bytes, *reads;
	} cases[] = {
	    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98"},
	    {"\xe9t\xe9", "\xef\xbf\xbdt\xef\xbf\xbd"},               /* Latin-1 */
	    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* too long for a '/' */
	    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half of a surrogate pair */
	    {"\xf4\x90\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
	    {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
	    {"\x01\x1f\x7f\t\"\\", "\x01\x1f\x7f\t\"\\"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct log_entry entry = usual();
		entry.agent = span_of_text(cases[i].bytes);
		json_t *value = json(&entry);
		assert_string_equal(member(value, "agent"), cases[i].reads);
		json_decref(value);
	}
}

/* Quotes, blanks and line feeds stand only where noah has put them. */
static void check_combined_is_one_line(const char *line, size_t size)
{
	unsigned quotes = 0;
	for (size_t i = 0; i < size; i++) {
		assert_true(line[i] >= 0x20 && line[i] < 0x7f);
		quotes += line[i] == '"';
	}
	assert_in_range(quotes, 6, 8);
	assert_int_equal(quotes % 2, 0);
}

static void test_any_bytes(void **state)
{
	static char noise[6][4096];
	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		struct log_entry entry = round % 2 == 0 ? usual() : unparsed(span_of(noise[0], random_quick() % 4096));
		for (unsigned i = 0; i < 6; i++) {
			random_bytes(noise[i], sizeof noise[i]);
			for (unsigned j = 0; round % 3 == 0 && j < sizeof noise[i]; j++) /* mostly such as are escaped */
				noise[i][j] = "\n\"\\\x01\xff\x80\xc3\xe2"[noise[i][j] & 7];
		}
		entry.agent = span_of(noise[1], random_quick() % 4096);
		entry.referrer = span_of(noise[2], random_quick() % 4096);
		entry.host = span_of(noise[3], random_quick() % 4096);
		entry.cause = span_of(noise[4], random_quick() % 4096);
		if (round % 2 == 0)
			entry.target = span_of(noise[5], random_quick() % 4096);
		json_decref(json(&entry));
		size_t size = (size_t)(log_put_combined(out, &entry, &second) - out);
		check_combined_is_one_line(out, size);
	}
}

/* Eight bytes are looked at together: each byte at each place among plain ones. */
static void test_every_byte_at_every_place(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		for (unsigned place = 0; place < 20; place++) {
			char text[21] = " ~!#[]^}zA0 ~!#[]^}z", wanted[64];
			bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
			text[place] = (char)byte;
			snprintf(wanted, sizeof wanted, plain ? "%.*s%c%s\" site=" : "%.*s\\x%02x%s\" site=", (int)place, text, byte,
			         text + place + 1);
			struct log_entry entry = usual();
			entry.agent = span_of(text, 20);
			if (strstr(combined(&entry), wanted) == NULL)
				fail_msg("%s does not stand in %s", wanted, out);
			json_decref(json(&entry));
		}
	}
}

/* As https://systemd.io/JOURNAL_NATIVE_PROTOCOL reads it: lines NAME=VALUE, names of capitals, digits and '_'. */
static void test_journal(void **state)
{
	static const char forged[] = "x\nMESSAGE=forged\n_UID=0";
	struct log_entry entry = usual();
	unsigned lines = 0, messages = 0;
	(void)state;
	entry.failure = true;
	entry.agent = entry.cause = entry.target = span_of(forged, sizeof forged - 1);
	log_clock_set(&second, entry.wall_us);
	for (unsigned as_json = 0; as_json < 2; as_json++) {
		char *end = log_put_journal(out, &entry, &second, as_json == 1);
		assert_int_equal(end[-1], '\n');
		struct span rest = span_of(out, (size_t)(end - out) - 1);
		while (rest.start != NULL) {
			struct span line = span_cut(&rest, '\n');
			size_t name = 0;
			while (name < line.size && line.start[name] != '=') {
				char byte = line.start[name++];
				assert_true((byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9' && name > 1) ||
				            (byte == '_' && name > 1));
			}
			assert_true(name > 0 && name < line.size);
			messages += span_starts_with(line, SPAN("MESSAGE="));
			lines++;
		}
		assert_non_null(memmem(out, (size_t)(end - out), "\nPRIORITY=4\n", 12));
		assert_non_null(memmem(out, (size_t)(end - out), "\nNOAH_STATUS=200\n", 17));
	}
	assert_int_equal(messages, 2);
	assert_in_range(lines, 24, 60);
}

/* Everything at its longest, and every byte one that grows most: fits. */
static void test_longest(void **state)
{
	static char longest[8192];
	struct log_entry entry = usual();
	struct span text = span_of(longest, sizeof longest);
	(void)state;
	memset(longest, 1, sizeof longest);
	entry.client = entry.user = entry.method = entry.target = entry.host = entry.referrer = entry.agent = text;
	entry.line = entry.site = entry.server = entry.tls = entry.reference = entry.end = entry.cause = text;
	entry.bytes = entry.in = entry.out = INT64_MAX;
	entry.read_us = entry.queue_us = entry.connect_us = entry.first_us = entry.total_us = INT64_MAX;
	entry.status = entry.retries = UINT32_MAX;
	log_clock_set(&second, entry.wall_us);
	assert_in_range(log_put_journal(out, &entry, &second, true) - out, 30000, LOG_RECORD_MOST);
	assert_in_range(log_put_journal(out, &entry, &second, false) - out, 20000, LOG_RECORD_MOST);
	json_decref(json(&entry));
}

static void test_syslog_prefix(void **state)
{
	struct log_entry entry = usual();
	int pid = 0, priority = 0, end = 0;
	char month[4];
	(void)state;
	log_clock_set(&second, entry.wall_us);
	*log_put_syslog_prefix(out, &entry, &second) = '\0';
	assert_int_equal(sscanf(out, "<%d>%3s 2%*d %*d:%*d:%*d noah[%d]: %n", &priority, month, &pid, &end), 3);
	assert_int_equal(priority, 16 * 8 + 6);
	assert_int_equal(end, (int)strlen(out));
	entry.failure = true;
	*log_put_syslog_prefix(out, &entry, &second) = '\0';
	assert_int_equal(strncmp(out, "<132>", 5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_combined),      cmocka_unit_test(test_user),
	    cmocka_unit_test(test_json),          cmocka_unit_test(test_text_that_is_no_utf8),
	    cmocka_unit_test(test_any_bytes),     cmocka_unit_test(test_every_byte_at_every_place),
	    cmocka_unit_test(test_journal),       cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_syslog_prefix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
