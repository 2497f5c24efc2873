/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream: retry budgets, and choosing among servers, on a board made by hand.
 */
#include "unit.h"

#include "upstream/upstream.h"

#include <unistd.h>

static void test_budget_starts_with_a_hundred(void **state)
{
	struct upstream_budget budget;
	unsigned spent = 0;

	(void)state;
	upstream_budget_init(&budget, 1000000);
	while (spent < 1000 && upstream_budget_spend(&budget, 1000000))
		spent++;
	assert_int_equal(spent, 100);
}

static void test_budget_earns_a_fifth(void **state)
{
	struct upstream_budget budget;
	unsigned spent = 0;

	(void)state;
	upstream_budget_init(&budget, 0);
	while (upstream_budget_spend(&budget, 0))
		;
	for (unsigned i = 0; i < 100; i++)
		upstream_budget_earn(&budget);
	while (upstream_budget_spend(&budget, 0))
		spent++;
	assert_int_equal(spent, 20);
}

static void test_budget_earns_ten_a_second(void **state)
{
	struct upstream_budget budget;
	unsigned spent = 0;

	(void)state;
	upstream_budget_init(&budget, 0);
	while (upstream_budget_spend(&budget, 0))
		;
	/* In steps that are no multiple of what one fifth takes: nothing may get lost. */
	for (uint64_t now_us = 0; now_us <= 1000000; now_us += 7001)
		spent += upstream_budget_spend(&budget, now_us);
	assert_in_range(spent, 9, 10);
}

static void test_budget_is_bounded(void **state)
{
	struct upstream_budget budget;
	unsigned spent = 0;

	(void)state;
	upstream_budget_init(&budget, 0);
	for (unsigned i = 0; i < 1000000; i++)
		upstream_budget_earn(&budget);
	while (spent < 5000 && upstream_budget_spend(&budget, UINT64_MAX / 2))
		spent++;
	assert_int_equal(spent, 1000);
}

/* A reload is no source of retries, for the sites that were there before. */
static void test_budget_outlives_a_reload(void **state)
{
	static struct upstream_group before_groups[1], after_groups[2];
	struct upstream_view before = {.group_count = 1, .groups = before_groups};
	struct upstream_view after = {.group_count = 2, .groups = after_groups};

	(void)state;
	before_groups[0].name = "old.example";
	upstream_budget_init(&before_groups[0].budget, 0);
	while (upstream_budget_spend(&before_groups[0].budget, 0))
		;
	after_groups[0].name = "new.example";
	after_groups[1].name = "old.example";
	upstream_budget_init(&after_groups[0].budget, 0);
	upstream_budget_init(&after_groups[1].budget, 0);
	upstream_view_inherit(&after, &before);
	assert_true(upstream_budget_spend(&after_groups[0].budget, 0));
	assert_false(upstream_budget_spend(&after_groups[1].budget, 0));
}

/* ---- choosing ---- */

static struct {
	struct loop *loop;
	struct board_target rows[3];
	struct board_server servers[3];
	struct cluster_group group;
	struct upstream_core core;
	struct upstream_group view;
} world;

static void make_world(const uint16_t weights[3])
{
	memset(world.rows, 0, sizeof(world.rows));
	memset(world.servers, 0, sizeof(world.servers));
	memset(&world.group, 0, sizeof(world.group));
	memset(&world.view, 0, sizeof(world.view));
	world.core.loop = world.loop;
	world.view.group = &world.group;
	world.view.target_count = 3;
	for (unsigned i = 0; i < 3; i++) {
		world.group.apps[i].weight = weights[i];
		world.view.targets[i].app = &world.group.apps[i];
		world.view.targets[i].health = &world.rows[i];
		world.view.targets[i].server = &world.servers[i];
		world.view.targets[i].identity = hash_stable(&"web1:80web2:80web3:80"[7 * (size_t)i], 7);
		world.view.targets[i].row = (int)i;
		memset(world.view.targets[i].sticky, 'a' + (int)i, UPSTREAM_STICKY_SIZE);
		atomic_store(&world.servers[i].weight_percent, BOARD_WEIGHT_FULL);
		atomic_store(&world.rows[i].health, HEALTH_UP);
	}
}

static char letter_of(const struct upstream_target *target)
{
	return target == NULL ? '-' : (char)('a' + (target - world.view.targets));
}

static struct upstream_target *choose(const struct upstream_wish *wish)
{
	return upstream_choose(&world.core, &world.view, wish, upstream_candidates(&world.core, &world.view, wish));
}

static void choose_some(char *out, unsigned count, uint32_t tried)
{
	const struct upstream_wish wish = {.tried = tried};

	for (unsigned i = 0; i < count; i++)
		out[i] = letter_of(choose(&wish));
	out[count] = '\0';
}

static void test_round_robin_is_smooth(void **state)
{
	char got[16];

	(void)state;
	make_world((const uint16_t[]){5, 1, 1});
	choose_some(got, 14, 0);
	assert_string_equal(got, "aabacaaaabacaa");
}

/* The board gives a row that no snapshot names any more to another server, and starts its count at 0: a request that is still
 * under way on the one before must not leave the count below what is true for ever. */
static void test_a_row_given_away_keeps_its_count(void **state)
{
	static struct board_lane lane;
	struct upstream_core core = {.lane = &lane};
	struct upstream_target target = {.row = 1};

	(void)state;
	upstream_begin(&core, &target);
	atomic_store(&lane.active[1], 0);
	upstream_end(&core, &target);
	assert_int_equal(atomic_load(&lane.active[1]), 0);
	upstream_begin(&core, &target);
	assert_int_equal(atomic_load(&lane.active[1]), 1);
	upstream_end(&core, &target);
	assert_int_equal(atomic_load(&lane.active[1]), 0);
}

static void test_only_usable_ones_are_chosen(void **state)
{
	char got[8];

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	atomic_store(&world.rows[0].health, HEALTH_DOWN);
	choose_some(got, 4, 0);
	assert_string_equal(got, "bcbc");
	choose_some(got, 2, 1u << 1); /* b was tried */
	assert_string_equal(got, "cc");
	atomic_store(&world.rows[2].avoid_until_us, UINT64_MAX);
	choose_some(got, 2, 1u << 1);
	assert_string_equal(got, "--");
	atomic_store(&world.rows[1].health, HEALTH_UNKNOWN);
	choose_some(got, 1, 0);
	assert_string_equal(got, "-");
}

static void test_backups_wait_for_the_others_to_fail(void **state)
{
	char got[8];

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	world.group.apps[2].backup = true;
	choose_some(got, 4, 0);
	assert_string_equal(got, "abab");
	choose_some(got, 2, 1u << 0);
	assert_string_equal(got, "bb");
	atomic_store(&world.rows[1].health, HEALTH_DOWN);
	choose_some(got, 2, 1u << 0); /* the last one of the others has failed this request */
	assert_string_equal(got, "cc");
	choose_some(got, 2, 0);
	assert_string_equal(got, "aa");
}

static void test_what_an_administrator_says(void **state)
{
	char got[16];
	const struct upstream_wish of_b = {.sticky = 1u << 1};

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	atomic_store(&world.servers[0].weight_percent, 300);
	choose_some(got, 10, 0);
	assert_string_equal(got, "abacaabaca");
	atomic_store(&world.servers[0].weight_percent, 0);
	choose_some(got, 4, 0);
	assert_null(memchr(got, 'a', 4));
	assert_int_equal(letter_of(choose(&of_b)), 'b');
	atomic_store(&world.servers[1].weight_percent, 0); /* those who belong there still come */
	assert_int_equal(letter_of(choose(&of_b)), 'b');
	atomic_store(&world.servers[1].drained, 1);
	assert_int_equal(letter_of(choose(&of_b)), 'c');
	atomic_store(&world.servers[2].drained, 1);
	choose_some(got, 1, 0);
	assert_string_equal(got, "-");
}

static void test_sticky(void **state)
{
	const struct upstream_wish of_b = {.sticky = 1u << 1}, of_b_in_vain = {.sticky = 1u << 1, .tried = 1u << 1};

	(void)state;
	make_world((const uint16_t[]){1000, 1, 1});
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(letter_of(choose(&of_b)), 'b');
	assert_int_not_equal(letter_of(choose(&of_b_in_vain)), 'b');
	atomic_store(&world.rows[1].health, HEALTH_DOWN);
	assert_int_equal(letter_of(choose(&of_b)), 'a');
	assert_int_equal(letter_of(upstream_find_sticky(&world.view, SPAN("cccccccccccccccc"))), 'c');
	assert_null(upstream_find_sticky(&world.view, SPAN("ccccccccccccccc")));
	assert_null(upstream_find_sticky(&world.view, SPAN("dddddddddddddddd")));
	assert_null(upstream_find_sticky(&world.view, SPAN("")));
}

/* ---- hashing ---- */

#define KEYS 30000u

/* Which server each key has. */
static void choose_keys(char *out)
{
	for (unsigned i = 0; i < KEYS; i++) {
		const struct upstream_wish wish = {.has_hash = true, .hash = hash_stable(&i, sizeof(i))};
		out[i] = letter_of(choose(&wish));
	}
}

static unsigned count_of(const char *keys, char letter)
{
	unsigned count = 0;

	for (unsigned i = 0; i < KEYS; i++)
		count += keys[i] == letter;
	return count;
}

static void test_hash_follows_the_weights(void **state)
{
	static char keys[KEYS];

	(void)state;
	make_world((const uint16_t[]){3, 2, 1});
	world.group.balance = BALANCE_HASH;
	choose_keys(keys);
	assert_in_range(count_of(keys, 'a'), KEYS / 2 * 97 / 100, KEYS / 2 * 103 / 100);
	assert_in_range(count_of(keys, 'b'), KEYS / 3 * 97 / 100, KEYS / 3 * 103 / 100);
	assert_in_range(count_of(keys, 'c'), KEYS / 6 * 95 / 100, KEYS / 6 * 105 / 100);
}

/* Only the keys of the server that goes move, to all that are left; and only those move back. */
static void test_hash_moves_little(void **state)
{
	static char before[KEYS], without[KEYS], heavier[KEYS], after[KEYS];
	unsigned moved = 0;

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	world.group.balance = BALANCE_HASH;
	choose_keys(before);
	atomic_store(&world.rows[1].health, HEALTH_DOWN);
	choose_keys(without);
	for (unsigned i = 0; i < KEYS; i++) {
		if (before[i] != 'b')
			assert_int_equal(without[i], before[i]);
		else
			moved += without[i] == 'a';
	}
	assert_in_range(moved, KEYS / 6 * 95 / 100, KEYS / 6 * 105 / 100);
	atomic_store(&world.rows[1].health, HEALTH_UP);
	choose_keys(after);
	assert_memory_equal(before, after, KEYS);
	/* A server that gains weight takes keys from the others, and nothing else moves. */
	atomic_store(&world.servers[2].weight_percent, 200);
	choose_keys(heavier);
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(heavier[i] == before[i] || heavier[i] == 'c');
	assert_in_range(count_of(heavier, 'c'), KEYS / 2 * 97 / 100, KEYS / 2 * 103 / 100);
}

/* What a key is mapped to never changes from one version to the next: caches would start anew. */
static void test_hash_is_stable(void **state)
{
	static const char *const keys[] = {"192.168.0.1", "192.168.0.2", "/index.html", "/a", "/b", "/c", "", "x"};
	char got[COUNT_OF(keys) + 1] = "";

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	world.group.balance = BALANCE_HASH;
	for (unsigned i = 0; i < COUNT_OF(keys); i++) {
		const struct upstream_wish wish = {.has_hash = true, .hash = hash_stable(keys[i], strlen(keys[i]))};
		got[i] = letter_of(choose(&wish));
	}
	assert_string_equal(got, "ccbbbaab");
}

static void test_without_a_key_it_goes_round(void **state)
{
	char got[8];

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	world.group.balance = BALANCE_HASH;
	choose_some(got, 6, 0);
	assert_string_equal(got, "abcabc");
}

/* ---- slow start ---- */

static void test_slow_start_grows(void **state)
{
	uint64_t now_us;

	(void)state;
	make_world((const uint16_t[]){10, 10, 10});
	world.group.slow_start_ms = 10000;
	now_us = loop_now_us(world.loop);
	assert_int_equal(upstream_weight(&world.core, &world.view, &world.view.targets[0]), 1000); /* it never went down */
	atomic_store(&world.rows[0].up_since_us, now_us);
	assert_int_equal(upstream_weight(&world.core, &world.view, &world.view.targets[0]), 11);
	atomic_store(&world.rows[0].up_since_us, now_us - 2500000);
	assert_int_equal(upstream_weight(&world.core, &world.view, &world.view.targets[0]), 250);
	atomic_store(&world.rows[0].up_since_us, now_us - 7500000);
	assert_int_equal(upstream_weight(&world.core, &world.view, &world.view.targets[0]), 750);
	atomic_store(&world.rows[0].up_since_us, now_us - 10000000);
	assert_int_equal(upstream_weight(&world.core, &world.view, &world.view.targets[0]), 1000);
	atomic_store(&world.rows[0].up_since_us, now_us + 5000000); /* noted on another core, a moment ahead */
	assert_int_equal(upstream_weight(&world.core, &world.view, &world.view.targets[0]), 11);
}

/* ---- latency ---- */

static void choose_many(unsigned counts[3], unsigned count)
{
	const struct upstream_wish wish = {0};

	memset(counts, 0, 3 * sizeof(counts[0]));
	for (unsigned i = 0; i < count; i++)
		counts[letter_of(choose(&wish)) - 'a']++;
}

static void test_least_latency(void **state)
{
	unsigned counts[3];

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	world.group.balance = BALANCE_LEAST_LATENCY;
	/* Nothing is known: all alike. */
	choose_many(counts, 3000);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(counts[i], 800, 1200);
	/* The slowest is never the better one of two, the fastest always: the middle one is when it meets the slowest. */
	upstream_note_latency(&world.core, &world.view.targets[0], 2000);
	upstream_note_latency(&world.core, &world.view.targets[1], 1000);
	upstream_note_latency(&world.core, &world.view.targets[2], 9000);
	choose_many(counts, 3000);
	assert_in_range(counts[0], 800, 1200);
	assert_in_range(counts[1], 1800, 2200);
	assert_int_equal(counts[2], 0);
	/* Requests under way count, and so do weights. */
	atomic_store(&world.core.lane->active[1], 9);
	atomic_store(&world.servers[0].weight_percent, 10);
	choose_many(counts, 3000); /* 20000, 10000, 9000 */
	assert_int_equal(counts[0], 0);
	assert_in_range(counts[2], 1800, 2200);
	atomic_store(&world.core.lane->active[1], 0);
}

static uint64_t latency_of(unsigned row)
{
	return atomic_load(&world.rows[row].latency_us);
}

static void test_latency_fades_and_is_measured_again(void **state)
{
	uint64_t now_us = loop_now_us(world.loop);
	unsigned counts[3];

	(void)state;
	make_world((const uint16_t[]){1, 1, 1});
	world.group.balance = BALANCE_LEAST_LATENCY;
	for (unsigned i = 0; i < 3; i++)
		upstream_note_latency(&world.core, &world.view.targets[i], i == 2 ? 64000 : 1000);
	choose_many(counts, 300);
	assert_int_equal(counts[2], 0);
	/* Half a minute without a measurement: 64 times less. */
	atomic_store(&world.rows[2].latency_at_us, now_us - 31000000);
	choose_many(counts, 300);
	assert_true(counts[2] > 0);
	/* Still as slow: all that was forgotten is back. */
	upstream_note_latency(&world.core, &world.view.targets[2], 64000);
	assert_int_equal(latency_of(2), 64000);
	/* Fast now: what has faded stays so. */
	atomic_store(&world.rows[2].latency_at_us, now_us - 31000000);
	upstream_note_latency(&world.core, &world.view.targets[2], 1000);
	assert_in_range(latency_of(2), 900, 1100);
	/* One slow answer is an eighth. */
	upstream_note_latency(&world.core, &world.view.targets[0], 9000);
	assert_in_range(latency_of(0), 1900, 2100);
	/* One that was never measured is drawn like the fastest. */
	atomic_store(&world.rows[2].latency_us, 0);
	choose_many(counts, 3000);
	assert_true(counts[2] > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_budget_starts_with_a_hundred),
	    cmocka_unit_test(test_budget_earns_a_fifth),
	    cmocka_unit_test(test_budget_outlives_a_reload),
	    cmocka_unit_test(test_budget_earns_ten_a_second),
	    cmocka_unit_test(test_budget_is_bounded),
	    cmocka_unit_test(test_round_robin_is_smooth),
	    cmocka_unit_test(test_only_usable_ones_are_chosen),
	    cmocka_unit_test(test_a_row_given_away_keeps_its_count),
	    cmocka_unit_test(test_backups_wait_for_the_others_to_fail),
	    cmocka_unit_test(test_what_an_administrator_says),
	    cmocka_unit_test(test_sticky),
	    cmocka_unit_test(test_hash_follows_the_weights),
	    cmocka_unit_test(test_hash_moves_little),
	    cmocka_unit_test(test_hash_is_stable),
	    cmocka_unit_test(test_without_a_key_it_goes_round),
	    cmocka_unit_test(test_slow_start_grows),
	    cmocka_unit_test(test_least_latency),
	    cmocka_unit_test(test_latency_fades_and_is_measured_again),
	};
	int descriptor;
	world.loop = loop_new("test");
	world.core.board = board_new(1, &descriptor);
	if (world.loop == NULL || world.core.board == NULL)
		return 1;
	world.core.lane = &world.core.board->lanes[0];
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	loop_free(world.loop);
	board_unmap(world.core.board);
	close(descriptor);
	return failed;
}
