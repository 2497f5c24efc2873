/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is remembered of the last minute (watch/trends.c) and the warnings that are made of it (process/status_numbers.c).
 */
#include "unit.h"

#include "process/status.h"
#include "watch/watch_private.h"

#include <stdlib.h>
#include <unistd.h>

static struct board *board;
static struct cluster *cluster;
static struct supervisor supervisor;
static struct loop *loop;
static struct trends *trends;

static int set_up(void **state)
{
	int descriptor;
	(void)state;
	board = board_new(2, &descriptor);
	cluster = calloc(1, sizeof *cluster);
	assert_non_null(board);
	assert_non_null(cluster);
	close(descriptor);
	cluster->generation = 1;
	cluster->site_count = 1;
	strcpy(cluster->sites[0].name, "example.com");
	cluster->sites[0].group.app_count = 1;
	struct cluster_app *app = &cluster->sites[0].group.apps[0];
	app->address = (struct address){.family = ADDRESS_IPV4, .port = 80, .ip = {10, 0, 0, 1}};
	app->connections_most = 1;
	cluster->server_count = 1;
	strcpy(cluster->servers[0].name, "web1");
	assert_true(board_reserve(board, cluster));
	atomic_store(&board->generation, 1);
	memset(&supervisor, 0, sizeof supervisor);
	supervisor.board = board;
	supervisor.cluster = cluster;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	board_unmap(board);
	free(cluster);
	return 0;
}

/* The only warning, NULL when there is none. */
static const char *warning(void)
{
	static char text[512];
	json_t *warnings = json_array();
	status_warn_of_numbers(&supervisor, warnings);
	size_t count = json_array_size(warnings);
	assert_in_range(count, 0, 1);
	if (count == 1)
		snprintf(text, sizeof text, "%s", json_string_value(json_array_get(warnings, 0)));
	json_decref(warnings);
	return count == 1 ? text : NULL;
}

static void test_lost_lines(void **state)
{
	(void)state;
	assert_null(warning());
	BOARD_COUNT(&board->lanes[0], log_lines_lost, 3);
	BOARD_COUNT(&board->lanes[1], log_lines_lost, 4);
	assert_non_null(strstr(warning(), "7 lines of the access log were lost"));
}

static void test_errors(void **state)
{
	struct board_site *site = &board->sites[board_site_row(board, "example.com")];
	(void)state;
	atomic_store(&site->recent_ended, 9);
	atomic_store(&site->recent_errors, 9); /* too few to worry */
	assert_null(warning());
	atomic_store(&site->recent_ended, 201);
	atomic_store(&site->recent_errors, 10); /* not quite 5 % */
	assert_null(warning());
	atomic_store(&site->recent_ended, 200);
	assert_string_equal(warning(),
	                    "site example.com: 10 of the last minute's 200 requests were answered with 5xx: see the access log");
}

static void test_full_server(void **state)
{
	uint64_t now = clock_monotonic_us();
	(void)state;
	atomic_store(&board->gates[0].full_since_us, now - 29000000);
	assert_null(warning());
	atomic_store(&board->gates[0].full_since_us, now - 45000000);
	assert_non_null(strstr(warning(), "10.0.0.1:80: all 1 connections have been in use for 45 s, 0 wait for one"));
}

/* ---- what watch notes ------------------------------------------------------------------------------------------------ */

static void end_when_noted(struct timer *timer)
{
	const struct board_site *site = &board->sites[board_site_row(board, "example.com")];
	static unsigned looks;
	if (++looks < 200 && (atomic_load(&site->recent_errors) == 0 || atomic_load(&board->gates[0].full_since_us) == 0))
		timer_set(timer, 50);
	else
		loop_stop(loop);
}

static struct timer end_timer;

static void begin(void *argument)
{
	struct board_lanes lanes = {0};
	uint64_t ticket;
	(void)argument;
	trends_start(trends);
	struct board_site_lane *site = &board->lanes[1].sites[board_site_row(board, "example.com")];
	BOARD_COUNT(site, ended, 30);
	BOARD_COUNT(site, answers_5xx, 20);
	assert_true(board_gate_try(board, &board->gates[0], 0));
	assert_false(board_gate_try(board, &board->gates[0], 1));
	ticket = board_gate_ticket(board);
	assert_true(board_gate_queue(board, &board->gates[0], 1, ticket, 10, &lanes));
	timer_init(&end_timer, end_when_noted);
	timer_set(&end_timer, 50);
}

static void test_what_watch_notes(void **state)
{
	const struct board_site *site = &board->sites[board_site_row(board, "example.com")];
	struct board_site_lane *lane = &board->lanes[0].sites[board_site_row(board, "example.com")];
	(void)state;
	BOARD_COUNT(lane, ended, 1000); /* long ago: not of the last minute */
	BOARD_COUNT(lane, answers_5xx, 1000);
	loop = loop_new("test");
	trends = trends_new(board);
	assert_non_null(loop);
	assert_non_null(trends);
	assert_true(loop_post(loop, begin, NULL));
	loop_run(loop);
	assert_int_equal(atomic_load(&site->recent_ended), 30);
	assert_int_equal(atomic_load(&site->recent_errors), 20);
	assert_true(atomic_load(&board->gates[0].full_since_us) != 0);
	trends_free(trends);
	loop_free(loop);
	assert_non_null(strstr(warning(), "20 of the last minute's 30 requests"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_lost_lines, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_full_server, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_what_watch_notes, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
