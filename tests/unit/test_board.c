/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The board: rows and their keys through generations, texts under a writer, what "usable" means, sums.
 */
#include "unit.h"

#include "board/board.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct board *make(int *descriptor)
{
	struct board *board = board_new(2, descriptor);
	assert_non_null(board);
	return board;
}

static void drop(struct board *board, int descriptor)
{
	board_unmap(board);
	close(descriptor);
}

/* A cluster with one site whose apps are 10.0.0.N:80 for N in [first, first + count). */
static struct cluster *make_cluster(uint64_t generation, unsigned first, unsigned count, const char *database)
{
	struct cluster *cluster = calloc(1, sizeof *cluster);
	assert_non_null(cluster);
	cluster->generation = generation;
	cluster->site_count = (count + CLUSTER_APPS_MOST - 1) / CLUSTER_APPS_MOST;
	assert_true(cluster->site_count <= CLUSTER_SITES_MOST);
	for (unsigned i = 0; i < count; i++) {
		struct cluster_site *site = &cluster->sites[i / CLUSTER_APPS_MOST];
		struct cluster_app *app = &site->group.apps[site->group.app_count++];
		unsigned number = first + i;
		site->group.check = (struct cluster_check){.kind = CHECK_TCP, .rise = 2, .fall = 3, .every_ms = 2000, .timeout_ms = 1000};
		app->address.family = ADDRESS_IPV4;
		app->address.port = 80;
		app->address.ip[0] = 10;
		app->address.ip[2] = (uint8_t)(number >> 8);
		app->address.ip[3] = (uint8_t)number;
	}
	if (database != NULL) {
		cluster->database_count = 1;
		snprintf(cluster->databases[0].name, CLUSTER_NAME_SIZE, "%s", database);
	}
	return cluster;
}

static int row_of(const struct board *board, const struct cluster *cluster, unsigned index)
{
	const struct cluster_site *site = &cluster->sites[index / CLUSTER_APPS_MOST];
	return board_target_row(board, &site->group.check, &site->group.apps[index % CLUSTER_APPS_MOST].address);
}

static void test_is_shared_and_checked(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor), *other = board_map(descriptor);
	assert_non_null(other);
	assert_ptr_not_equal(board, other);
	atomic_store(&board->generation, 7);
	assert_int_equal(atomic_load(&other->generation), 7);
	board_unmap(other);
	assert_int_equal(ftruncate(descriptor, 0), -1); /* sealed */

	int stranger = memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_null(board_map(stranger)); /* too short */
	assert_int_equal(ftruncate(stranger, sizeof(struct board)), 0);
	assert_null(board_map(stranger)); /* could be cut */
	assert_int_equal(fcntl(stranger, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_null(board_map(stranger)); /* not a board */
	close(stranger);
	drop(board, descriptor);
}

static void test_row_stays_with_its_key(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 1, 3, NULL), *two = make_cluster(2, 2, 3, NULL);
	assert_int_equal(row_of(board, one, 0), -1);
	assert_true(board_reserve(board, one));
	int second = row_of(board, one, 1);
	atomic_store(&board->targets[second].health, HEALTH_UP);
	assert_true(board_reserve(board, two));
	assert_int_equal(row_of(board, two, 0), second);
	assert_int_equal(atomic_load(&board->targets[second].health), HEALTH_UP);
	assert_int_equal(atomic_load(&board->targets[row_of(board, two, 2)].health), HEALTH_UNKNOWN);
	assert_int_equal(atomic_load(&board->targets[row_of(board, two, 2)].lag_ms), UINT32_MAX);
	free(one);
	free(two);
	drop(board, descriptor);
}

static void test_rows_are_used_again_when_room_is_needed(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 0, 600, NULL), *two = make_cluster(2, 600, 424, NULL);
	struct cluster *three = make_cluster(3, 2000, 10, NULL);
	assert_true(board_reserve(board, one));
	int row = row_of(board, one, 0);
	atomic_store(&board->targets[row].health, HEALTH_UP);
	atomic_store(&board->lanes[1].served[row], 5);
	assert_true(board_reserve(board, two)); /* exactly full */
	struct cluster *also_two = make_cluster(2, 3000, 1, NULL);
	assert_false(board_reserve(board, also_two)); /* both generations are in use */
	assert_true(board_reserve(board, three));     /* the first one is not any more */
	assert_int_equal(row_of(board, one, 0), -1);
	assert_int_equal(row_of(board, three, 0), row);
	assert_int_equal(atomic_load(&board->targets[row].health), HEALTH_UNKNOWN);
	assert_int_equal(board_target_served(board, row), 0);
	assert_int_not_equal(row_of(board, two, 423), -1);
	free(one);
	free(two);
	free(also_two);
	free(three);
	drop(board, descriptor);
}

/* Tunnels and long requests outlive the generations that named their server: they count for it until they end. */
static void test_row_with_something_under_way_is_nobody_elses(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 0, 600, NULL), *two = make_cluster(2, 600, 424, NULL);
	struct cluster *three = make_cluster(3, 2000, 599, NULL), *four = make_cluster(3, 3000, 600, NULL);
	assert_true(board_reserve(board, one));
	int row = row_of(board, one, 0);
	assert_true(board_reserve(board, two)); /* exactly full */
	atomic_store(&board->lanes[1].active[row], 1);
	assert_false(board_reserve(board, four)); /* one row too few */
	board_reserve_undo(board, two);
	assert_true(board_reserve(board, three));
	assert_int_equal(row_of(board, one, 0), row);
	assert_int_equal(board_target_active(board, row), 1);
	atomic_store(&board->lanes[1].active[row], 0);
	struct cluster *later = make_cluster(4, 5000, 1, NULL);
	assert_true(board_reserve(board, later));
	assert_int_equal(row_of(board, later, 0), row);
	free(one);
	free(two);
	free(three);
	free(four);
	free(later);
	drop(board, descriptor);
}

static void test_database_row_and_epoch(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *cluster = make_cluster(1, 1, 1, "main");
	assert_null(board_find_database(board, "main"));
	assert_true(board_reserve(board, cluster));
	struct board_database *row = board_find_database(board, "main");
	assert_non_null(row);
	assert_int_equal(atomic_load(&row->primary) & UINT32_MAX, 0);
	atomic_store(&row->primary, UINT64_C(9) << 32 | 1);
	/* The same name keeps it; another name, two generations later, takes the row over with a later epoch and no primary. */
	assert_true(board_reserve(board, cluster));
	assert_int_equal(atomic_load(&row->primary), UINT64_C(9) << 32 | 1);
	for (unsigned i = 0; i < BOARD_DATABASES_MOST + 3; i++) {
		cluster->generation++;
		snprintf(cluster->databases[0].name, CLUSTER_NAME_SIZE, "other%u", i);
		assert_true(board_reserve(board, cluster));
	}
	assert_null(board_find_database(board, "main"));
	assert_int_equal(atomic_load(&row->primary) & UINT32_MAX, 0);
	assert_true(atomic_load(&row->primary) >> 32 > 9);
	free(cluster);
	drop(board, descriptor);
}

static void set_check(struct cluster *cluster, const char *path)
{
	cluster->sites[0].group.check.kind = CHECK_HTTP;
	snprintf(cluster->sites[0].group.check.path, CLUSTER_PATH_SIZE, "%s", path);
}

static enum board_health health_of(const struct board *board, const struct cluster *cluster, unsigned index)
{
	int row = row_of(board, cluster, index);
	assert_true(row >= 0);
	return (enum board_health)atomic_load(&board->targets[row].health);
}

static void test_another_check_carries_health_over(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 1, 3, NULL), *two = make_cluster(2, 1, 4, NULL);
	set_check(two, "/other");
	assert_true(board_reserve(board, one));
	atomic_store(&board->targets[row_of(board, one, 0)].health, HEALTH_UP);
	atomic_store(&board->targets[row_of(board, one, 0)].checked_wall_us, 5);
	atomic_store(&board->targets[row_of(board, one, 1)].health, HEALTH_DOWN);
	assert_true(board_reserve(board, two));
	struct board_target *target = &board->targets[row_of(board, two, 0)];
	char reason[BOARD_TEXT_SIZE];
	board_text_read(&target->reason, reason);
	assert_int_not_equal(row_of(board, one, 0), row_of(board, two, 0));
	assert_int_equal(atomic_load(&target->health), HEALTH_UP);
	assert_int_equal(atomic_load(&target->checked_wall_us), 0);
	assert_non_null(strstr(reason, "carried over"));
	assert_int_equal(health_of(board, two, 1), HEALTH_UNKNOWN); /* was down */
	assert_int_equal(health_of(board, two, 2), HEALTH_UNKNOWN); /* was not known */
	assert_int_equal(health_of(board, two, 3), HEALTH_UNKNOWN); /* a new server */
	free(one);
	free(two);
	drop(board, descriptor);
}

static void test_health_of_long_ago_does_not_count(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 1, 1, "main"), *two = make_cluster(2, 9, 1, NULL),
	               *three = make_cluster(3, 1, 1, "main");
	struct cluster *four = make_cluster(3, 1, 1, NULL);
	set_check(four, "/other");
	assert_true(board_reserve(board, one));
	atomic_store(&board->targets[row_of(board, one, 0)].health, HEALTH_UP);
	atomic_store(&board_find_database(board, "main")->primary, UINT64_C(4) << 32 | 1);
	assert_true(board_reserve(board, two));
	assert_true(board_reserve(board, four));
	assert_int_equal(health_of(board, four, 0), HEALTH_UNKNOWN);
	assert_true(board_reserve(board, three)); /* the server comes back into the file: nobody looked at it meanwhile */
	assert_int_equal(health_of(board, three, 0), HEALTH_UNKNOWN);
	assert_int_equal(atomic_load(&board_find_database(board, "main")->primary), UINT64_C(5) << 32);
	free(one);
	free(two);
	free(three);
	free(four);
	drop(board, descriptor);
}

static void test_refused_snapshot_leaves_the_one_in_force_alone(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 0, 500, "main"), *next = make_cluster(2, 1000, 500, "other");
	assert_true(board_reserve(board, one));
	atomic_store(&board->targets[row_of(board, one, 0)].health, HEALTH_UP);
	atomic_store(&board_find_database(board, "main")->primary, UINT64_C(4) << 32 | 1);
	for (unsigned i = 0; i < 5; i++) { /* each with other addresses, refused later for another reason */
		next->sites[0].group.apps[0].address.port = (uint16_t)(1000 + i);
		for (unsigned j = 0; j < next->site_count; j++)
			snprintf(next->sites[j].group.check.path, CLUSTER_PATH_SIZE, "/%u", i), next->sites[j].group.check.kind = CHECK_HTTP;
		assert_true(board_reserve(board, next));
		assert_non_null(board_find_database(board, "main"));
		assert_int_equal(atomic_load(&board_find_database(board, "main")->primary), UINT64_C(4) << 32 | 1);
		board_reserve_undo(board, one);
		assert_int_equal(health_of(board, one, 0), HEALTH_UP);
	}
	free(one);
	free(next);
	drop(board, descriptor);
}

static void test_usable_and_avoided(void **state)
{
	(void)state;
	static struct board_target target;
	struct cluster_check check = {.fall = 3, .every_ms = 2000};
	memset(&target, 0, sizeof target);
	assert_false(board_target_usable(&target, 1000)); /* not checked yet */
	atomic_store(&target.health, HEALTH_UP);
	assert_true(board_target_usable(&target, 1000));
	board_target_failed(&target, &check, 1000);
	board_target_failed(&target, &check, 1000);
	board_target_worked(&target); /* not in a row */
	board_target_failed(&target, &check, 1000);
	board_target_failed(&target, &check, 1000);
	assert_true(board_target_usable(&target, 1000));
	board_target_failed(&target, &check, 1000);
	assert_false(board_target_usable(&target, 1001));
	assert_false(board_target_usable(&target, 2000999));
	assert_true(board_target_usable(&target, 2001000));
	board_target_failed(&target, &check, 3000000); /* and again with the first failure after it */
	assert_false(board_target_usable(&target, 3000001));
	atomic_store(&target.health, HEALTH_DOWN);
	assert_false(board_target_usable(&target, 9000000));
}

static void test_text_is_cut(void **state)
{
	(void)state;
	static struct board_text text;
	char in[BOARD_TEXT_SIZE + 50], out[BOARD_TEXT_SIZE];
	memset(in, 'x', sizeof in - 1);
	in[sizeof in - 1] = '\0';
	board_text_read(&text, out);
	assert_string_equal(out, "");
	board_text_write(&text, in);
	board_text_read(&text, out);
	assert_int_equal(strlen(out), BOARD_TEXT_SIZE - 1);
	board_text_write(&text, "short");
	board_text_read(&text, out);
	assert_string_equal(out, "short");
	/* A writer died in the middle: nobody waits for it, and the next one mends it. */
	atomic_fetch_add(&text.sequence, 1);
	board_text_read(&text, out);
	assert_string_equal(out, "");
	board_text_write(&text, "again");
	board_text_read(&text, out);
	assert_string_equal(out, "again");
}

static void expect_text(const char *in, const char *expected)
{
	static struct board_text text;
	char out[BOARD_TEXT_SIZE];
	board_text_write(&text, in);
	board_text_read(&text, out);
	assert_string_equal(out, expected);
}

static void test_text_is_printable(void **state)
{
	(void)state;
	expect_text("plain, caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "plain, caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	expect_text("\x1b[2J\x07\n\x7f", "?[2J???");
	expect_text("\xc2\x9b"
	            "2J\xc2\xa0",
	            "??2J\xc2\xa0");    /* CSI in one character */
	expect_text("caf\xe9", "caf?"); /* Latin 1, and nothing after it */
	expect_text("\xc0\xaf \xe0\x80\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xff", "?? ??? ??? ???? ?"); /* forms that are none */
	char in[BOARD_TEXT_SIZE + 2], cut[BOARD_TEXT_SIZE + 2];
	memset(in, 'x', sizeof in);
	memcpy(in + BOARD_TEXT_SIZE - 2, "\xe2\x82\xac", 4); /* the character that does not fit is left out as a whole */
	memcpy(cut, in, sizeof cut);
	cut[BOARD_TEXT_SIZE - 2] = '\0';
	expect_text(in, cut);
}

#define ROUNDS 200000u
static struct board_text shared_text;
static atomic_bool writer_done;

static void *write_texts(void *argument)
{
	char text[BOARD_TEXT_SIZE];
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t size = 1 + i % (BOARD_TEXT_SIZE - 2);
		memset(text, 'a' + (int)(i % 26), size);
		text[size] = '\0';
		board_text_write(&shared_text, text);
	}
	atomic_store(&writer_done, true);
	return argument;
}

static void test_text_is_read_whole_or_not_at_all(void **state)
{
	(void)state;
	pthread_t writer;
	char out[BOARD_TEXT_SIZE];
	assert_int_equal(pthread_create(&writer, NULL, write_texts, NULL), 0);
	while (!atomic_load(&writer_done)) {
		board_text_read(&shared_text, out);
		assert_int_equal(strspn(out, (char[]){out[0], '\0'}), strlen(out)); /* one letter only */
	}
	pthread_join(writer, NULL);
	board_text_read(&shared_text, out);
	assert_int_equal(strlen(out), 1 + (ROUNDS - 1) % (BOARD_TEXT_SIZE - 2));
}

static void test_sums_over_lanes(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	BOARD_COUNT(&board->lanes[0], requests, 3);
	BOARD_COUNT(&board->lanes[1], requests, 4);
	BOARD_COUNT(&board->lanes[1], connections_open, 2);
	BOARD_COUNT(&board->lanes[1], connections_open, -1);
	bool found = false;
	for (unsigned i = 0; i < board_counter_count; i++) {
		if (strcmp(board_counter_names[i].name, "requests") == 0)
			assert_int_equal(board_sum(board, i), 7), found = true;
		if (strcmp(board_counter_names[i].name, "connections_open") == 0)
			assert_int_equal(board_sum(board, i), 1);
	}
	assert_true(found);
	atomic_fetch_add(&board->lanes[0].active[3], 2);
	atomic_fetch_add(&board->lanes[1].active[3], 5);
	assert_int_equal(board_target_active(board, 3), 7);
	drop(board, descriptor);
}

static void test_lane_starts_again_without_what_was_open(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *cluster = make_cluster(1, 1, 2, NULL);
	assert_true(board_reserve(board, cluster));
	struct board_lane *lane = &board->lanes[0];
	BOARD_COUNT(lane, requests, 9);
	BOARD_COUNT(lane, connections_open, 5);
	BOARD_COUNT(lane, sessions_open, 6);
	atomic_store(&lane->active[1], 4);
	atomic_store(&lane->served[1], 44);
	atomic_store(&board->lanes[1].active[1], 1);
	board_lane_restart(board, lane);
	assert_int_equal(atomic_load(&lane->connections_open) + atomic_load(&lane->sessions_open), 0);
	assert_int_equal(board_target_active(board, 1), 1); /* the other lane's */
	assert_int_equal(board_target_served(board, 1), 44);
	assert_int_equal(atomic_load(&lane->requests), 9);
	free(cluster);
	drop(board, descriptor);
}

/* A child that was taken over writes what it likes: the supervisor goes on. */
static void test_spoiled_board_is_survived(void **state)
{
	(void)state;
	int descriptor;
	struct board *board = make(&descriptor);
	struct cluster *one = make_cluster(1, 1, 3, "main"), *two = make_cluster(2, 2000, 2, "other");
	assert_true(board_reserve(board, one));
	memset(board->targets, 'x', sizeof board->targets);
	memset(board->databases, 'x', sizeof board->databases);
	atomic_store(&board->target_rows, UINT32_MAX);
	board->lane_count = UINT32_MAX;
	assert_int_equal(row_of(board, one, 0), -1);
	assert_null(board_find_database(board, "main"));
	assert_false(board_reserve(board, two)); /* no row is free: said, not crashed */
	for (unsigned i = 0; i < BOARD_TARGETS_MOST; i++)
		atomic_store(&board->targets[i].last_generation, 0);
	for (unsigned i = 0; i < BOARD_DATABASES_MOST; i++)
		atomic_store(&board->databases[i].last_generation, 0);
	assert_true(board_reserve(board, two));
	assert_int_equal(health_of(board, two, 0), HEALTH_UNKNOWN);
	board_reserve_undo(board, one);
	assert_int_equal(board_sum(board, 0), 0);
	assert_int_equal(board_target_active(board, 0), 0);
	char reason[BOARD_TEXT_SIZE];
	board_text_read(&board->targets[9].reason, reason);
	assert_true(strlen(reason) < sizeof reason);
	assert_string_equal(board_health_text((enum board_health)atomic_load(&board->targets[9].health)), "(not valid)");
	assert_string_equal(board_role_text((enum board_role)atomic_load(&board->targets[9].role)), "(not valid)");
	free(one);
	free(two);
	drop(board, descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_is_shared_and_checked),
	    cmocka_unit_test(test_row_stays_with_its_key),
	    cmocka_unit_test(test_rows_are_used_again_when_room_is_needed),
	    cmocka_unit_test(test_row_with_something_under_way_is_nobody_elses),
	    cmocka_unit_test(test_database_row_and_epoch),
	    cmocka_unit_test(test_another_check_carries_health_over),
	    cmocka_unit_test(test_health_of_long_ago_does_not_count),
	    cmocka_unit_test(test_refused_snapshot_leaves_the_one_in_force_alone),
	    cmocka_unit_test(test_usable_and_avoided),
	    cmocka_unit_test(test_text_is_cut),
	    cmocka_unit_test(test_text_is_printable),
	    cmocka_unit_test(test_text_is_read_whole_or_not_at_all),
	    cmocka_unit_test(test_sums_over_lanes),
	    cmocka_unit_test(test_spoiled_board_is_survived),
	    cmocka_unit_test(test_lane_starts_again_without_what_was_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
