/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Giving way to others within a turn of the loop.
 */
#include "loop/loop.h"
#include "unit.h"

static void count(void *argument)
{
	unsigned *ran = argument;
	*ran += 1;
}

/* Those that are ready run first; without any it does not give way at all. */
static void check_pass(void *argument)
{
	unsigned *ran = argument;

	assert_false(task_pass());
	assert_non_null(task_start(loop_current(), "other", count, ran));
	assert_non_null(task_start(loop_current(), "other", count, ran));
	assert_true(task_pass());
	assert_int_equal(*ran, 2);
	assert_false(task_pass());
	assert_non_null(task_start(loop_current(), "other", count, ran));
	task_cancel(task_current());
	assert_false(task_pass());
	loop_stop(loop_current());
}

static void test_pass(void **state)
{
	unsigned ran = 0;
	struct loop *loop = loop_new("test");

	(void)state;
	assert_non_null(loop);
	assert_non_null(task_start(loop, "passes", check_pass, &ran));
	loop_run(loop);
	loop_free(loop);
	assert_int_equal(ran, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pass)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
