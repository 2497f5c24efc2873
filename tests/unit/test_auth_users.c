/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names in a file of users, and whose hash stands for those whom nobody knows; what is remembered of right passwords.
 */
#include "unit.h"

#include "edge.h"
#include "http/auth.h"

#include <stdlib.h>

static struct span setting;

static bool find(const char *file, const char *name)
{
	char *copy = edge_copy(file, strlen(file));
	return auth_users_find(span_of(copy, strlen(file)), span_of_text(name), &setting);
}

static void expect(const char *file, const char *name, const char *hash)
{
	assert_true(find(file, name));
	assert_true(span_equal(setting, span_of_text(hash)));
}

static void test_names(void **state)
{
	static const char file[] = "# users\n\nanna:$2y$A\r\nbert:$6$x$B\n\r\n a:$5$:C\nno colon\nlast:$y$D";

	expect(file, "anna", "$2y$A");
	expect(file, "bert", "$6$x$B");
	expect(file, " a", "$5$:C");
	expect(file, "last", "$y$D");
	expect("one:x\n", "one", "x");
	(void)state;
}

static void test_nobody(void **state)
{
	static const char file[] = "# c:d\nanna:A\nbert:B\n\ncarl:C\n";
	static const char *const strangers[] = {"",  "Anna", "ann", "anna ", "# c", "dora", "anna:A",
	                                        "A", "a",    "b",   "c",     "d",   "e",    "f"};
	bool seen[3] = {false};

	for (unsigned i = 0; i < COUNT_OF(strangers); i++) {
		assert_false(find(file, strangers[i]));
		assert_int_equal(setting.size, 1); /* somebody's */
		char first = *setting.start;
		assert_in_range(first, 'A', 'C');
		seen[first - 'A'] = true;
		assert_false(find(file, strangers[i]));
		assert_int_equal(*setting.start, first); /* and always his */
	}
	assert_true(seen[0] + seen[1] + seen[2] >= 2); /* not all the same one's: three to the power of 13 against it */
	assert_false(find("", "anna"));
	assert_int_equal(setting.size, 0);
	assert_false(find("#\n\n", "anna"));
	assert_int_equal(setting.size, 0);
	(void)state;
}

static void test_what_is_kept(void **state)
{
	struct http_core core = {0};
	struct http_auth *auth = auth_of(&core);
	unsigned kept = 0;

	assert_non_null(auth);
	assert_ptr_equal(auth_of(&core), auth);
	const struct auth_key zero = {{0, 0}}, one = {{7, 8}}, other = {{7, 9}};
	assert_false(auth_is_kept(auth, &zero, 0)); /* a free place is no password */
	assert_false(auth_is_kept(auth, &zero, 1));
	auth_keep(auth, &one, 1000);
	assert_true(auth_is_kept(auth, &one, 1000));
	assert_false(auth_is_kept(auth, &other, 1000));
	assert_true(auth_is_kept(auth, &one, 1000 + AUTH_KEPT_MS * UINT64_C(1000) - 1));
	assert_false(auth_is_kept(auth, &one, 1000 + AUTH_KEPT_MS * UINT64_C(1000)));
	auth_keep(auth, &one, 5000);
	http_auth_forget(&core);
	assert_false(auth_is_kept(auth, &one, 5001));
	/* Ten times as many as there is room for: the newest are there, the oldest are not. */
	for (uint64_t i = 0; i < 10 * AUTH_KEPT_MOST; i++) {
		struct auth_key key = {{i, i}};
		auth_keep(auth, &key, i);
		assert_true(auth_is_kept(auth, &key, i));
	}
	for (uint64_t i = 0; i < 10 * AUTH_KEPT_MOST; i++) {
		struct auth_key key = {{i, i}};
		bool is = auth_is_kept(auth, &key, 10 * AUTH_KEPT_MOST);
		assert_int_equal(is, i >= 9 * AUTH_KEPT_MOST);
		kept += is;
	}
	assert_int_equal(kept, AUTH_KEPT_MOST);
	http_auth_free(&core);
	assert_null(core.auth);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_nobody),
	    cmocka_unit_test(test_what_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
