/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The pure parts of sql/: GTID positions, a session's settings, its table of prepared statements.
 */
#include "sql/position.h"
#include "sql/prepared.h"
#include "sql/state.h"

#include "unit.h"

#include <stdio.h>

/* ---- positions ---- */

static struct position position_of(const char *text)
{
	struct position position;
	assert_true(position_parse(span_of_text(text), &position));
	return position;
}

static void test_positions_are_read_and_written(void **state)
{
	(void)state;
	char text[POSITION_TEXT_SIZE];
	struct position position = position_of("0-1-42,7-3-18446744073709551615");
	assert_int_equal(position.count, 2);
	assert_int_equal(position.domains[1].domain, 7);
	assert_string_equal(position_format(&position, text), "0-1-42,7-3-18446744073709551615");
	position = position_of("");
	assert_int_equal(position.count, 0);
	assert_string_equal(position_format(&position, text), "");
	static const char *const wrong[] = {
	    "0",       "0-1",   "0-1-", "-1-2", "0-1-2-3", "0-1-x", "0--2", "4294967296-1-1", "0-1-18446744073709551616",
	    "a'b-1-2", "0 -1-2"};
	for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
		assert_false(position_parse(span_of_text(wrong[i]), &position));
		assert_int_equal(position.count, 0);
	}
	char many[1024] = "";
	for (unsigned i = 0; i <= POSITION_DOMAINS_MOST; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "%s%u-1-1", i > 0 ? "," : "", i);
	assert_false(position_parse(span_of_text(many), &position));
}

static void test_longest_position_fits(void **state)
{
	(void)state;
	char text[POSITION_TEXT_SIZE];
	struct position position = {.count = POSITION_DOMAINS_MOST};
	for (unsigned i = 0; i < POSITION_DOMAINS_MOST; i++)
		position.domains[i] = (struct position_domain){UINT32_MAX - i, UINT32_MAX, UINT64_MAX};
	struct position again = position_of(position_format(&position, text));
	assert_true(position_includes(&again, &position) && position_includes(&position, &again));
	assert_int_equal(again.domains[POSITION_DOMAINS_MOST - 1].server, UINT32_MAX);
}

static void test_positions_include_each_other(void **state)
{
	(void)state;
	struct position known = position_of("0-1-10,1-5-3");
	struct position needed = position_of("0-2-10");
	assert_true(position_includes(&known, &needed));
	needed = position_of("0-1-11");
	assert_false(position_includes(&known, &needed));
	needed = position_of("0-1-9,2-1-1");
	assert_false(position_includes(&known, &needed));
	needed = position_of("");
	assert_true(position_includes(&known, &needed));
	struct position news = position_of("0-1-12,1-5-2,2-9-1");
	position_merge(&known, &news);
	char text[POSITION_TEXT_SIZE];
	assert_string_equal(position_format(&known, text), "0-1-12,1-5-3,2-9-1");
}

/* ---- settings ---- */

static unsigned write_to(const struct state *settings, uint64_t version, char *out, size_t room, size_t *size)
{
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, room);
	unsigned commands = state_write(settings, version, &writer);
	assert_false(writer.failed);
	*size = writer.size;
	return commands;
}

static void test_settings_are_joined_and_later_ones_win(void **state)
{
	(void)state;
	struct state settings = {0};
	char out[4096];
	size_t size;
	assert_int_equal(write_to(&settings, 0, out, sizeof out, &size), 0);
	assert_true(state_record(&settings, SPAN("sql_mode"), SPAN("sql_mode = 'ANSI'"), false));
	assert_true(state_record(&settings, SPAN("names"), SPAN("NAMES utf8mb4"), false));
	uint64_t version = settings.version;
	assert_true(state_record(&settings, SPAN("SQL_MODE"), SPAN("SQL_MODE = ''"), false));
	assert_int_equal(write_to(&settings, 0, out, sizeof out, &size), 1);
	assert_memory_equal(out + 4, "\x03SET NAMES utf8mb4,SQL_MODE = ''", size - 4);
	assert_int_equal(size, 4 + 1 + 31);
	assert_int_equal(write_to(&settings, version, out, sizeof out, &size), 1);
	assert_memory_equal(out + 4, "\x03SET SQL_MODE = ''", size - 4);
	assert_int_equal(write_to(&settings, settings.version, out, sizeof out, &size), 0);
	assert_true(state_record(&settings, SPAN("transaction"), SPAN("SESSION TRANSACTION READ ONLY"), true));
	assert_true(state_record(&settings, SPAN("a"), SPAN("a=1"), false));
	assert_int_equal(write_to(&settings, 0, out, sizeof out, &size), 3);
	assert_true(size <= state_size(&settings));
	assert_true(span_equal(state_find(&settings, SPAN("A")), SPAN("a=1")));
	state_free(&settings);
	assert_int_equal(settings.count, 0);
}

static void test_settings_are_bounded(void **state)
{
	(void)state;
	struct state settings = {0};
	char name[16], big[STATE_BYTES_MOST] = {0};
	memset(big, 'x', sizeof big);
	for (unsigned i = 0; i < STATE_SETTINGS_MOST; i++) {
		snprintf(name, sizeof name, "v%u", i);
		assert_true(state_record(&settings, span_of_text(name), SPAN("1"), false));
	}
	assert_false(state_record(&settings, SPAN("one_more"), SPAN("1"), false));
	assert_true(state_record(&settings, SPAN("v3"), SPAN("2"), false));
	assert_false(state_record(&settings, SPAN("v4"), span_of(big, sizeof big), false));
	assert_true(state_find(&settings, SPAN("v4")).start == NULL);
	state_free(&settings);
}

/* ---- prepared statements ---- */

static void test_prepared_table(void **state)
{
	(void)state;
	struct prepared_table table = {0};
	struct sql_class class = {.kind = SQL_KIND_READ, .route = SQL_ROUTE_READ};
	assert_null(prepared_find(&table, 1));
	assert_null(prepared_find(&table, UINT32_MAX));
	struct prepared *items[100];
	for (unsigned i = 0; i < 100; i++)
		assert_non_null(items[i] = prepared_add(&table, SPAN("SELECT 1"), &class));
	for (unsigned i = 0; i < 100; i++)
		assert_ptr_equal(prepared_find(&table, items[i]->id), items[i]);
	assert_ptr_equal(prepared_find(&table, UINT32_MAX), items[99]);
	for (unsigned i = 0; i < 100; i += 2)
		prepared_remove(&table, items[i]);
	assert_int_equal(table.count, 50);
	assert_int_equal(table.text_bytes, 50 * 8);
	assert_null(prepared_find(&table, 1));
	assert_ptr_equal(prepared_find(&table, 2), items[1]);
	prepared_free(&table);
	assert_int_equal(table.text_bytes, 0);
}

static void test_prepared_bounds(void **state)
{
	(void)state;
	struct prepared_table table = {0};
	struct sql_class class = {.kind = SQL_KIND_READ, .route = SQL_ROUTE_READ};
	for (unsigned i = 0; i < PREPARED_MOST; i++)
		assert_non_null(prepared_add(&table, (struct span){0}, &class));
	assert_null(prepared_add(&table, (struct span){0}, &class));
	prepared_free(&table);
	static char text[PREPARED_TEXT_BYTES_MOST];
	assert_non_null(prepared_add(&table, span_of(text, sizeof text), &class)->text);
	assert_null(prepared_add(&table, SPAN("x"), &class)->text);
	prepared_free(&table);
}

static void test_execution_parameters(void **state)
{
	(void)state;
	struct prepared item = {.parameters = 9};
	struct prepared_parameters parameters;
	char payload[64] = {23};
	/* 10 bytes, two of NULL bitmap, the flag, 18 of types */
	assert_false(prepared_find_parameters(&item, span_of(payload, 12), true, &parameters));
	assert_true(prepared_find_parameters(&item, span_of(payload, 13), true, &parameters));
	assert_false(parameters.has_types);
	payload[12] = 1;
	assert_false(prepared_find_parameters(&item, span_of(payload, 30), true, &parameters));
	assert_true(prepared_find_parameters(&item, span_of(payload, 31), true, &parameters));
	assert_true(parameters.has_types && !parameters.types_cut && parameters.types == 13);
	assert_true(prepared_find_parameters(&item, span_of(payload, 30), false, &parameters));
	assert_true(parameters.types_cut);
	item.parameters = 0;
	assert_true(prepared_find_parameters(&item, span_of(payload, 10), true, &parameters));
	assert_false(prepared_find_parameters(&item, span_of(payload, 9), true, &parameters));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_positions_are_read_and_written),
	    cmocka_unit_test(test_longest_position_fits),
	    cmocka_unit_test(test_positions_include_each_other),
	    cmocka_unit_test(test_settings_are_joined_and_later_ones_win),
	    cmocka_unit_test(test_settings_are_bounded),
	    cmocka_unit_test(test_prepared_table),
	    cmocka_unit_test(test_prepared_bounds),
	    cmocka_unit_test(test_execution_parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
