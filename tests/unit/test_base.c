/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Spans, numbers, lists, arenas, addresses, hashes, the log.
 */
#include "unit.h"

#include "base/base.h"

#include <stdio.h>
#include <unistd.h>

static void test_spans(void **state)
{
	char copy[4];
	(void)state;
	assert_true(span_equal_nocase(SPAN("Content-Length"), SPAN("content-LENGTH")));
	assert_false(span_equal_nocase(SPAN("a"), SPAN("b")));
	assert_false(span_equal_nocase(SPAN("@"), SPAN("`"))); /* differ in the same bit as letters do */
	assert_true(span_equal(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
	assert_int_equal(span_trim(SPAN(" \t ")).size, 0);
	assert_true(span_starts_with_nocase(SPAN("Basic x"), SPAN("bASIC ")) && span_ends_with_nocase(SPAN("a.JSON"), SPAN(".json")));
	assert_true(span_starts_with_nocase(SPAN("ab"), SPAN("")) && span_ends_with_nocase(SPAN("ab"), SPAN("AB")));
	assert_false(span_starts_with_nocase(SPAN("Basi"), SPAN("Basic")) || span_ends_with_nocase(SPAN("json"), SPAN(".json")));
	struct span rest = SPAN("a,,b");
	assert_true(span_equal(span_cut(&rest, ','), SPAN("a")));
	assert_true(span_equal(span_cut(&rest, ','), SPAN("")));
	assert_true(span_equal(span_cut(&rest, ','), SPAN("b")));
	assert_null(rest.start);
	assert_true(span_copy(SPAN("abc"), copy, sizeof(copy)));
	assert_false(span_copy(SPAN("abcd"), copy, sizeof(copy)));
	assert_string_equal(copy, "");
}

static void test_numbers(void **state)
{
	uint64_t value = 7;
	(void)state;
	assert_true(span_to_number(SPAN("0"), 10, &value));
	assert_int_equal(value, 0);
	assert_true(span_to_number(SPAN("18446744073709551615"), UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	value = 7;
	const char *wrong[] = { "", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "99999999999999999999999", "1a" };
	for (unsigned i = 0; i < COUNT_OF(wrong); i++)
		assert_false(span_to_number(span_of_text(wrong[i]), UINT64_MAX, &value));
	assert_false(span_to_number(SPAN("11"), 10, &value));
	assert_int_equal(value, 7);
	assert_true(span_to_hex_number(SPAN("fFfFffffffffFFFF"), UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	assert_false(span_to_hex_number(SPAN("10000000000000000"), UINT64_MAX, &value));
	assert_false(span_to_hex_number(SPAN("g"), UINT64_MAX, &value));
}

struct item {
	int value;
	struct list link;
};

static void test_lists(void **state)
{
	struct list head;
	struct item items[3] = { { .value = 0 }, { .value = 1 }, { .value = 2 } };
	int expected = 0;
	(void)state;
	list_init(&head);
	list_append(&head, &items[1].link);
	list_append(&head, &items[2].link);
	list_prepend(&head, &items[0].link);
	LIST_EACH (link, &head)
		assert_int_equal(OWNER_OF(link, struct item, link)->value, expected++);
	LIST_EACH_SAFE (link, &head)
		list_remove(link);
	assert_true(list_is_empty(&head));
	list_remove(&items[0].link); /* again: harmless */
	assert_null(list_take_first(&head));
}

static void test_arenas(void **state)
{
	struct arena arena;
	(void)state;
	arena_init(&arena, 64 * 1024);
	struct arena_mark empty = arena_mark(&arena);
	char *first = arena_allocate(&arena, 10);
	assert_non_null(first);
	assert_int_equal((uintptr_t)first % 16, 0);
	struct arena_mark mark = arena_mark(&arena);
	assert_non_null(arena_allocate(&arena, 30000));
	assert_string_equal(arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
	assert_null(arena_allocate(&arena, 60000)); /* the limit */
	arena_rewind(&arena, mark);
	assert_true(arena.held <= 4096);
	char *again = arena_allocate(&arena, 10);
	assert_ptr_equal(again, first + 16);
	arena_rewind(&arena, empty);
	assert_ptr_equal(arena_allocate(&arena, 10), first); /* the first chunk is kept */
	arena_free(&arena);
	assert_int_equal(arena.held, 0);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *printed;
	} good[] = {
		{ "192.168.0.11", "192.168.0.11" },
		{ "192.168.0.11:80", "192.168.0.11:80" },
		{ "::1", "::1" },
		{ "[::1]:3306", "[::1]:3306" },
		{ "[2001:db8:0:0::5]", "2001:db8::5" },
		{ "[::ffff:10.0.0.1]:80", "10.0.0.1:80" },
		{ "/run/noah/main.sock", "/run/noah/main.sock" },
	};
	static const char *const bad[] = { "", ":", "1.2.3", "1.2.3.4.5", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4: 80",
		                               "[::1", "[::1]80", "[::1]:", "host", "host:80", "[1.2.3.4]:80", "01.2.3.4", "::1%eth0" };
	struct address address, back;
	struct sockaddr_storage raw;
	char text[ADDRESS_TEXT_SIZE];
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(good); i++) {
		assert_true(address_parse(span_of_text(good[i].text), false, &address));
		assert_string_equal(address_format(&address, text), good[i].printed);
		socklen_t size = address_to_sockaddr(&address, &raw);
		address_from_sockaddr((struct sockaddr *)&raw, size, &back);
		assert_true(address_equal(&address, &back));
	}
	for (unsigned i = 0; i < COUNT_OF(bad); i++)
		assert_false(address_parse(span_of_text(bad[i]), false, &address));
	assert_false(address_parse(SPAN("1.2.3.4"), true, &address));
	char long_path[200];
	memset(long_path, 'a', sizeof(long_path));
	long_path[0] = '/';
	assert_false(address_parse(span_of(long_path, sizeof(long_path)), false, &address));
	assert_false(address_parse(span_of("/a\0b", 4), false, &address));
	assert_string_equal(address_format(&(struct address){ 0 }, text), "unknown");
}

static void test_hashes(void **state)
{
	(void)state;
	assert_true(hash_bytes("abc", 3) == hash_bytes("abc", 3));
	assert_true(hash_bytes("abc", 3) != hash_bytes("abd", 3));
	assert_true(hash_bytes("", 0) != hash_bytes("\0", 1));
	assert_true(hash_stable("a", 1) == 0xaf63dc4c8601ec8cu); /* published test vector */
	assert_true(random_quick() != random_quick());
}

static void test_log(void **state)
{
	int ends[2];
	char line[4096] = "";
	(void)state;
	assert_int_equal(pipe(ends), 0);
	log_to(ends[1]);
	log_set_process("unit");
	log_write(LOG_WARNING, "a %s", "forged\nline\x1b[0m");
	log_write(LOG_DEBUG, "not shown");
	for (int i = 0; i < 3; i++)
		LOG_LIMITED(LOG_ERROR, 60000, "limited %d", i);
	log_to(STDERR_FILENO);
	close(ends[1]);
	assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
	close(ends[0]);
	assert_non_null(strstr(line, "Z unit warning: a forged\\x0aline\\x1b[0m\n"));
	assert_null(strstr(line, "not shown"));
	assert_non_null(strstr(line, "limited 0\n"));
	assert_null(strstr(line, "limited 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans),     cmocka_unit_test(test_numbers), cmocka_unit_test(test_lists), cmocka_unit_test(test_arenas),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_hashes),  cmocka_unit_test(test_log),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
