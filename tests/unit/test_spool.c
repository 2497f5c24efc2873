/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes that wait (http/spool.c): what goes in comes out, once or again; the pool's bound and everybody's share of it. And who is
 * too slow (http/pace.c).
 */
#include "unit.h"

#include "http/spool.h"

#include <stdlib.h>

#define MANY 8192u

static char pattern(size_t at)
{
	return (char)(at * 31 + at / 251);
}

static void fill(char *bytes, size_t size, size_t from)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern(from + i);
}

/* Reads `size` bytes in steps, and sees that they are those that went in from `from` on. */
static void read_and_compare(struct http_spool *spool, size_t from, size_t size, size_t step, bool keep)
{
	while (size > 0) {
		struct iovec parts[4];
		size_t left = size < step ? size : step;
		unsigned count = http_spool_parts(spool, parts, COUNT_OF(parts));
		assert_true(count > 0);
		size_t read = 0;
		for (unsigned i = 0; i < count && read < left; i++) {
			const char *bytes = parts[i].iov_base;
			for (size_t k = 0; k < parts[i].iov_len && read < left; k++, read++)
				assert_int_equal(bytes[k], pattern(from + read));
		}
		http_spool_read(spool, read, keep);
		from += read;
		size -= read;
	}
}

static void test_in_and_out(void **state)
{
	static char bytes[100000];
	struct http_spool spool = {0};
	size_t connection = 0, in = 0, out = 0;
	(void)state;

	srand(7);
	while (in < 3000000) {
		size_t size = (size_t)rand() % (rand() % 4 == 0 ? sizeof bytes : 300), room = (1u << 20) - spool.bytes;
		fill(bytes, size, in);
		size_t added = http_spool_add(&spool, &connection, span_of(bytes, size), 1u << 20);
		assert_int_equal(added, size < room ? size : room);
		in += added;
		assert_int_equal(spool.left, in - out);
		assert_int_equal(connection, spool.memory);
		assert_int_equal(http_pool_used(), spool.memory);
		size = spool.left > 0 ? (size_t)rand() % (spool.left + 1) : 0;
		read_and_compare(&spool, out, size, (size_t)rand() % 70000 + 1, false);
		out += size;
	}
	read_and_compare(&spool, out, in - out, 12345, false);
	assert_int_equal(spool.left, 0);
	assert_int_equal(spool.memory, 0); /* what was read is given back */
	assert_int_equal(connection, 0);
	assert_int_equal(http_pool_used(), 0);
}

static void test_read_again(void **state)
{
	static char bytes[50000];
	struct http_spool spool = {0};
	size_t connection = 0;
	(void)state;

	fill(bytes, sizeof bytes, 0);
	for (size_t at = 0; at < sizeof bytes; at += 500)
		assert_int_equal(http_spool_add(&spool, &connection, span_of(bytes + at, 500), 1u << 20), 500);
	for (unsigned round = 0; round < 3; round++) {
		read_and_compare(&spool, 0, round == 1 ? 777 : sizeof bytes, 4096, true);
		assert_int_equal(spool.bytes, sizeof bytes);
		http_spool_rewind(&spool);
		assert_int_equal(spool.left, sizeof bytes);
	}
	/* More may come behind what was read to its end. */
	read_and_compare(&spool, 0, sizeof bytes, 50000, true);
	fill(bytes, 1000, sizeof bytes);
	assert_int_equal(http_spool_add(&spool, &connection, span_of(bytes, 1000), 1u << 20), 1000);
	read_and_compare(&spool, sizeof bytes, 1000, 100, true);
	http_spool_free(&spool);
	assert_int_equal(http_pool_used(), 0);
}

/* A few bytes cost about a kilobyte, not a block. */
static void test_slow_ones_are_small(void **state)
{
	static struct http_spool spools[MANY];
	static size_t connections[MANY];
	(void)state;

	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(http_spool_add(&spools[i], &connections[i], SPAN("slow"), 1u << 20), 4);
	assert_true(http_pool_used() < MANY * 1100u);
	for (unsigned i = 0; i < MANY; i++)
		http_spool_free(&spools[i]);
	assert_int_equal(http_pool_used(), 0);
}

/* Whoever wants much leaves enough for those who come later, and the bound holds. */
static void test_shares(void **state)
{
	static struct http_spool spools[MANY];
	static size_t connections[MANY];
	static char bytes[65536];
	size_t last = HTTP_POOL_BYTES;
	(void)state;

	for (unsigned i = 0; i < 200; i++) {
		size_t got = 0, added;
		while ((added = http_spool_add(&spools[i], &connections[i], span_of(bytes, sizeof bytes), 64u << 20)) > 0)
			got += added;
		assert_true(got > 0);
		assert_true(got <= HTTP_POOL_LARGE_BYTES / HTTP_POOL_SHARE);
		assert_true(got <= last + HTTP_SPOOL_BLOCK_MOST); /* ever less */
		last = got;
	}
	assert_true(http_pool_used() <= HTTP_POOL_SPOOL_BYTES);
	unsigned small = 0;
	for (unsigned i = 200; i < MANY; i++)
		small += http_spool_add(&spools[i], &connections[i], SPAN("x"), 64u << 20) == 1;
	assert_true(small > 7000); /* all of them */
	assert_true(http_pool_used() <= HTTP_POOL_SPOOL_BYTES);
	for (unsigned i = 0; i < MANY; i++)
		http_spool_free(&spools[i]);
	assert_int_equal(http_pool_used(), 0);
}

/* All of a connection together. */
static void test_one_connection(void **state)
{
	static struct http_spool spools[128];
	static char bytes[32768];
	size_t connection = 0;
	(void)state;

	for (unsigned i = 0; i < COUNT_OF(spools); i++)
		for (unsigned k = 0; k < 32; k++)
			(void)!http_spool_add(&spools[i], &connection, span_of(bytes, sizeof bytes), 1u << 20);
	assert_true(connection > HTTP_HELD_MOST / 2);
	assert_true(connection <= HTTP_HELD_MOST + 2 * HTTP_SPOOL_BLOCK_MOST);
	for (unsigned i = 0; i < COUNT_OF(spools); i++)
		http_spool_free(&spools[i]);
	assert_int_equal(connection, 0);
}

static void test_pool(void **state)
{
	(void)state;
	assert_true(http_pool_take(HTTP_POOL_BYTES));
	assert_false(http_pool_take(1));
	struct http_spool spool = {0};
	size_t connection = 0;
	assert_int_equal(http_spool_add(&spool, &connection, SPAN("x"), 100), 0);
	http_pool_return(HTTP_POOL_BYTES);
	assert_int_equal(http_spool_add(&spool, &connection, SPAN("xyz"), 2), 2); /* and its own bound */
	http_spool_free(&spool);
	assert_int_equal(http_pool_used(), 0);
}

static void test_no_rate(void **state)
{
	struct http_pace pace = {0};
	(void)state;
	assert_int_equal(http_pace_left_ms(&pace, 0), -1);
	assert_false(http_pace_waited(&pace, 0, UINT64_C(3600000000)));
}

static void test_grace_and_rate(void **state)
{
	struct http_pace pace = {0};
	(void)state;

	assert_int_equal(http_pace_left_ms(&pace, 500), 10000);
	for (unsigned i = 0; i < 99; i++)
		assert_false(http_pace_waited(&pace, 500, 100000));
	assert_int_equal(http_pace_left_ms(&pace, 500), 100);
	assert_true(http_pace_waited(&pace, 500, 100000));
	assert_int_equal(http_pace_left_ms(&pace, 500), 0);
	struct http_pace same = pace;
	assert_false(http_pace_look(&same, 500, 4999));
	assert_true(http_pace_look(&pace, 500, 5000));
	assert_int_equal(http_pace_left_ms(&pace, 500), 10000);
}

static void test_a_burst_is_worth_a_minute_at_most(void **state)
{
	struct http_pace pace = {0};
	(void)state;

	assert_true(http_pace_waited(&pace, 500, 10000000));
	assert_true(http_pace_look(&pace, 500, UINT64_C(1) << 40));
	assert_int_equal(http_pace_left_ms(&pace, 500), 60000);
	assert_false(http_pace_waited(&pace, 500, 59999000));
	assert_true(http_pace_waited(&pace, 500, 1000));
	assert_false(http_pace_look(&pace, 500, 29999));
	assert_true(http_pace_waited(&pace, 500, UINT64_C(600000000))); /* the machine slept */
	assert_true(http_pace_look(&pace, 500, 30000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_and_out),
	    cmocka_unit_test(test_read_again),
	    cmocka_unit_test(test_slow_ones_are_small),
	    cmocka_unit_test(test_shares),
	    cmocka_unit_test(test_one_connection),
	    cmocka_unit_test(test_pool),
	    cmocka_unit_test(test_no_rate),
	    cmocka_unit_test(test_grace_and_rate),
	    cmocka_unit_test(test_a_burst_is_worth_a_minute_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
