/* SPDX-License-Identifier: BSD-2-Clause
 *
 * As much of cmocka's interface as the unit tests use, in a header that needs nothing but libc: cmocka for another architecture
 * would mean a second architecture's packages on the machine that tests. Prints TAP, as cmocka does with
 * CMOCKA_MESSAGE_OUTPUT=TAP, for tests/run.
 */
#ifndef NOAH_TEST_CMOCKA_H
#define NOAH_TEST_CMOCKA_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*run)(void **state);
	int (*setup)(void **state);
	int (*teardown)(void **state);
	void *initial_state;
};

enum { TEST_FAILED = 1, TEST_SKIPPED = 2 };
static jmp_buf test_end;

__attribute__((unused, noreturn)) static void test_leave(int how, const char *file, int line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("# %s:%d: ", file, line);
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	fflush(stdout);
	longjmp(test_end, how);
}

#define TEST_REQUIRE(condition, ...)                                                                                   \
	do {                                                                                                               \
		if (!(condition))                                                                                              \
			test_leave(TEST_FAILED, __FILE__, __LINE__, __VA_ARGS__);                                                  \
	} while (0)
#define TEST_NUMBER(value) ((uintmax_t)(value))

__attribute__((unused)) static void test_compare(uintmax_t left, uintmax_t right, int want_equal, const char *file, int line)
{
	if ((left == right) != want_equal)
		test_leave(TEST_FAILED, file, line, "%#" PRIxMAX " %s %#" PRIxMAX, left, want_equal ? "!=" : "==", right);
}

#define assert_true(value)                assert_int_not_equal(value, 0)
#define assert_false(value)               assert_int_equal(value, 0)
#define assert_non_null(value)            TEST_REQUIRE((value) != NULL, "%s is NULL", #value)
#define assert_null(value)                TEST_REQUIRE((value) == NULL, "%s is not NULL", #value)
#define assert_ptr_equal(left, right)     TEST_REQUIRE((const void *)(left) == (const void *)(right), "%s is not %s", #left, #right)
#define assert_ptr_not_equal(left, right) TEST_REQUIRE((const void *)(left) != (const void *)(right), "%s is %s", #left, #right)
#define assert_int_equal(left, right)     test_compare(TEST_NUMBER(left), TEST_NUMBER(right), 1, __FILE__, __LINE__)
#define assert_int_not_equal(left, right) test_compare(TEST_NUMBER(left), TEST_NUMBER(right), 0, __FILE__, __LINE__)
#define assert_in_range(value, least, most)                                                                            \
	TEST_REQUIRE(TEST_NUMBER(value) >= TEST_NUMBER(least) && TEST_NUMBER(value) <= TEST_NUMBER(most), "%s is out of range", #value)
#define assert_string_equal(left, right)     TEST_REQUIRE(strcmp(left, right) == 0, "\"%s\" is not \"%s\"", left, right)
#define assert_string_not_equal(left, right) TEST_REQUIRE(strcmp(left, right) != 0, "both are \"%s\"", left)
#define assert_memory_equal(left, right, size)                                                                         \
	TEST_REQUIRE(memcmp(left, right, size) == 0, "%s and %s are not the same bytes", #left, #right)
#define fail()        test_leave(TEST_FAILED, __FILE__, __LINE__, "failed")
#define fail_msg(...) test_leave(TEST_FAILED, __FILE__, __LINE__, __VA_ARGS__)
#define skip()        test_leave(TEST_SKIPPED, __FILE__, __LINE__, "skipped")

#define cmocka_unit_test(function) { #function, function, NULL, NULL, NULL }
#define cmocka_unit_test_setup_teardown(function, setup, teardown) { #function, function, setup, teardown, NULL }
#define cmocka_unit_test_setup(function, setup) { #function, function, setup, NULL, NULL }
#define cmocka_unit_test_teardown(function, teardown) { #function, function, NULL, teardown, NULL }

__attribute__((unused)) static int test_run_one(const struct CMUnitTest *test, size_t number, void *group_state)
{
	void *state = test->initial_state != NULL ? test->initial_state : group_state;
	int how = setjmp(test_end);

	if (how == 0) {
		if (test->setup != NULL && test->setup(&state) != 0)
			test_leave(TEST_FAILED, __FILE__, __LINE__, "the setup failed");
		test->run(&state);
	}
	if (test->teardown != NULL && test->teardown(&state) != 0)
		how = TEST_FAILED;
	if (how == TEST_SKIPPED)
		printf("not ok %zu # SKIP %s\n", number, test->name);
	else
		printf("%sok %zu - %s\n", how == TEST_FAILED ? "not " : "", number, test->name);
	fflush(stdout);
	return how == TEST_FAILED;
}

__attribute__((unused)) static int test_run_group(const struct CMUnitTest *tests, size_t count, int (*setup)(void **state),
                                                  int (*teardown)(void **state))
{
	void *state = NULL;
	int failed = 0;

	printf("1..%zu\n", count);
	fflush(stdout);
	if (setup != NULL && setup(&state) != 0)
		return 1;
	for (size_t i = 0; i < count; i++)
		failed += test_run_one(&tests[i], i + 1, state);
	if (teardown != NULL && teardown(&state) != 0)
		failed++;
	return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
	test_run_group(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) ((void)(name), cmocka_run_group_tests(tests, setup, teardown))

#endif
