/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream: retry budgets, and choosing among servers, on a board made by hand.
 */
#include "unit.h"

#include "upstream/upstream.h"

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
	struct cluster_group group;
	struct upstream_core core;
	struct upstream_group view;
} world;

static void make_world(const uint16_t weights[3])
{
	memset(world.rows, 0, sizeof(world.rows));
	memset(&world.view, 0, sizeof(world.view));
	world.core.loop = world.loop;
	world.view.group = &world.group;
	world.view.target_count = 3;
	for (unsigned i = 0; i < 3; i++) {
		world.group.apps[i].weight = weights[i];
		world.view.targets[i].app = &world.group.apps[i];
		world.view.targets[i].health = &world.rows[i];
		world.view.targets[i].row = (int)i;
		atomic_store(&world.rows[i].health, HEALTH_UP);
	}
}

static char letter_of(const struct upstream_target *target)
{
	return target == NULL ? '-' : (char)('a' + (target - world.view.targets));
}

static void choose_some(char *out, unsigned count, uint32_t tried)
{
	for (unsigned i = 0; i < count; i++)
		out[i] = letter_of(upstream_choose(&world.core, &world.view, tried));
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
	};
	world.loop = loop_new("test");
	if (world.loop == NULL)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	loop_free(world.loop);
	return failed;
}
