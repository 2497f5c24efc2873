/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guard's table: who is over a limit, bans, connections; a million addresses and a flood of more; threads, processes that are
 * killed, years.
 */
#include "unit.h"

#include "guard/guard_private.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000)
#define HOUR   (3600 * SECOND)
#define YEAR   (365 * 24 * HOUR)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FLOOD 1200000u
#else
#define FLOOD 3000000u
#endif

static struct guard *guard;
static uint64_t now_us;

static int make_guard(void **state)
{
	(void)state;
	guard = guard_new();
	assert_non_null(guard);
	guard_begin(guard, 0);
	now_us = clock_monotonic_us();
	return 0;
}

static int drop_guard(void **state)
{
	(void)state;
	guard_free(guard);
	return 0;
}

static uint64_t address_of(const char *text)
{
	struct address address;
	assert_true(address_parse(span_of_text(text), false, &address));
	return guard_address(&address);
}

/* Number `i` of many different addresses. */
static uint64_t stranger(uint32_t i)
{
	return UINT64_C(0x20010db800000000) + ((uint64_t)i << 3);
}

static struct guard_answer ask_of(uint64_t address, uint32_t most, uint32_t period_ms, uint64_t ban_ms)
{
	struct guard_limit limits[2] = {{.most = most, .period_ms = period_ms}, {0}};
	struct guard_answer answer;
	guard_request(guard, 0, address, limits, ban_ms, now_us, &answer);
	return answer;
}

static struct guard_answer ask_site(uint64_t address, uint32_t scope, uint32_t most, uint32_t period_ms, uint64_t ban_ms)
{
	struct guard_limit limits[2] = {{0}, {.scope = scope, .most = most, .period_ms = period_ms}};
	struct guard_answer answer;
	guard_request(guard, 0, address, limits, ban_ms, now_us, &answer);
	return answer;
}

static uint64_t memory_of_table(void)
{
	struct stat status;
	assert_int_equal(fstat(guard_descriptor(guard), &status), 0);
	return (uint64_t)status.st_blocks * 512;
}

/* ---- addresses ------------------------------------------------------------------------------------------------ */

static void test_addresses(void **state)
{
	char text[ADDRESS_TEXT_SIZE];
	(void)state;
	assert_string_equal(guard_address_text(address_of("192.0.2.7"), text), "192.0.2.7");
	assert_string_equal(guard_address_text(address_of("0.0.0.0"), text), "0.0.0.0");
	assert_string_equal(guard_address_text(address_of("2001:db8:1:2:3:4:5:6"), text), "2001:db8:1:2::/64");
	assert_string_equal(guard_address_text(address_of("::1"), text), "::/64");
	assert_int_equal(address_of("2001:db8:1:2::1"), address_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
	assert_int_not_equal(address_of("2001:db8:1:2::1"), address_of("2001:db8:1:3::1"));
	assert_int_equal(address_of("::ffff:192.0.2.7"), address_of("192.0.2.7"));
	assert_int_not_equal(address_of("::1"), 0);
	assert_int_equal(address_of("/run/app.sock"), 0);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void test_limit_ban_and_free_again(void **state)
{
	uint64_t bad = address_of("192.0.2.7"), good = address_of("192.0.2.8");
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(ask_of(bad, 5, 10000, 60000).verdict, GUARD_LET_IN);
	struct guard_answer answer = ask_of(bad, 5, 10000, 60000);
	assert_int_equal(answer.verdict, GUARD_TOO_MANY);
	assert_true(answer.banned_now);
	assert_int_equal(answer.over_limit, 0);
	assert_in_range(answer.wait_ms, 60000, 60100);
	for (unsigned s = 0; s < 59; s++) { /* asking makes it no longer */
		answer = ask_of(bad, 5, 10000, 60000);
		assert_int_equal(answer.verdict, GUARD_BANNED);
		assert_false(answer.banned_now);
		assert_in_range(answer.wait_ms, (59 - s) * 1000, (61 - s) * 1000);
		if (s % 10 == 0)
			for (unsigned i = 0; i < 5; i++)
				assert_int_equal(ask_of(good, 5, 5000, 60000).verdict, GUARD_LET_IN);
		now_us += SECOND;
	}
	now_us += SECOND + SECOND / 10;
	for (unsigned i = 0; i < 5; i++) /* as if nothing had been */
		assert_int_equal(ask_of(bad, 5, 10000, 60000).verdict, GUARD_LET_IN);
	assert_true(ask_of(bad, 5, 10000, 60000).banned_now);
}

/* Who waits as long as he is told is let in, and not much earlier. */
static void test_without_ban(void **state)
{
	static const struct {
		uint32_t most, period_ms;
	} limits[] = {{1, 1000}, {5, 60000}, {100, 10000}, {7, 3000}, {1000, 3600000}};
	(void)state;
	for (unsigned i = 0; i < COUNT_OF(limits); i++) {
		uint32_t most = limits[i].most, period_ms = limits[i].period_ms;
		for (unsigned j = 0; j < most; j++)
			assert_int_equal(ask_of(stranger(i), most, period_ms, 0).verdict, GUARD_LET_IN);
		for (unsigned round = 0; round < 3 * most && round < 200; round++) {
			struct guard_answer answer = ask_of(stranger(i), most, period_ms, 0);
			assert_int_equal(answer.verdict, GUARD_TOO_MANY);
			assert_false(answer.banned_now);
			assert_in_range(answer.wait_ms, 1, 2 * period_ms + 100);
			uint64_t told_us = now_us;
			now_us = told_us + (answer.wait_ms > 100 ? answer.wait_ms - 100 : 0) * 1000;
			if (answer.wait_ms > 100)
				assert_int_equal(ask_of(stranger(i), most, period_ms, 0).verdict, GUARD_TOO_MANY);
			now_us = told_us + answer.wait_ms * 1000;
			assert_int_equal(ask_of(stranger(i), most, period_ms, 0).verdict, GUARD_LET_IN);
			while (ask_of(stranger(i), most, period_ms, 0).verdict == GUARD_LET_IN)
				;
		}
	}
}

/* Who keeps to the rate is never refused; who asks for ten times as much gets the rate. */
static void test_rates_over_time(void **state)
{
	unsigned let_in = 0;
	(void)state;
	for (unsigned i = 0; i < 3000; i++, now_us += SECOND / 9) /* 9 a second, 10 allowed */
		assert_int_equal(ask_of(stranger(1), 100, 10000, 1000).verdict, GUARD_LET_IN);
	for (unsigned i = 0; i < 10000; i++, now_us += SECOND / 100) /* for 100 s */
		let_in += ask_of(stranger(2), 100, 10000, 0).verdict == GUARD_LET_IN;
	assert_in_range(let_in, 950, 1150);
}

static void test_limit_changes_by_reload(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(ask_of(stranger(1), 100, 10000, 0).verdict, GUARD_LET_IN);
	assert_int_equal(ask_of(stranger(1), 50, 10000, 0).verdict, GUARD_TOO_MANY); /* fewer */
	assert_int_equal(ask_of(stranger(1), 200, 10000, 0).verdict, GUARD_LET_IN);  /* more */
	assert_int_equal(ask_of(stranger(1), 1, 1, 0).verdict, GUARD_LET_IN);        /* another period: begins anew */
	assert_int_equal(ask_of(stranger(1), UINT32_MAX, UINT32_MAX, 0).verdict, GUARD_LET_IN);
	assert_int_equal(ask_of(stranger(1), 1, 86400000, 0).verdict, GUARD_TOO_MANY);
}

static void test_sites_count_by_themselves(void **state)
{
	uint32_t one = guard_scope("one.example", "", SPAN("")), two = guard_scope("one.example", "/login", SPAN(""));
	(void)state;
	assert_int_not_equal(one, two);
	assert_int_equal(one, guard_scope("one.example", "", SPAN("")));
	assert_int_not_equal(one, guard_scope("one.example", "", SPAN("jpg")));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(ask_site(stranger(1), one, 5, 60000, 0).verdict, GUARD_LET_IN);
		assert_int_equal(ask_site(stranger(1), two, 5, 60000, 0).verdict, GUARD_LET_IN);
	}
	struct guard_answer answer = ask_site(stranger(1), one, 5, 60000, 2000);
	assert_int_equal(answer.verdict, GUARD_TOO_MANY);
	assert_int_equal(answer.over_limit, 1);
	assert_true(answer.banned_now);
	/* The ban is for all sites; afterwards only the one for which he was banned is forgotten. */
	assert_int_equal(ask_site(stranger(1), two, 5, 60000, 0).verdict, GUARD_BANNED);
	assert_int_equal(ask_of(stranger(1), 5, 60000, 0).verdict, GUARD_BANNED);
	assert_int_equal(ask_site(stranger(2), one, 5, 60000, 0).verdict, GUARD_LET_IN);
	now_us += 2 * SECOND + SECOND / 10;
	assert_int_equal(ask_site(stranger(1), one, 5, 60000, 0).verdict, GUARD_LET_IN);
	assert_int_equal(ask_site(stranger(1), two, 5, 60000, 0).verdict, GUARD_TOO_MANY);
}

/* ---- bans ---------------------------------------------------------------------------------------------------------- */

static void ban(uint64_t address, uint64_t ban_ms)
{
	for (unsigned i = 0; i < 2; i++)
		(void)ask_of(address, 1, 1000, ban_ms);
	assert_int_equal(ask_of(address, 1, 1000, ban_ms).verdict, GUARD_BANNED);
}

static void test_list_and_lift(void **state)
{
	struct guard_ban bans[4];
	struct guard_numbers numbers;
	(void)state;
	uint64_t empty = memory_of_table();
	assert_int_equal(guard_look(guard, now_us, bans, 4, &numbers), 0);
	assert_int_equal(memory_of_table(), empty); /* looking costs no memory */
	assert_int_equal(numbers.banned + numbers.limited + numbers.remembered, 0);
	for (unsigned i = 0; i < 10; i++)
		ban(stranger(i), 60000);
	(void)ask_of(stranger(10), 1, 1000, 0);
	(void)ask_of(stranger(11), 10, 1000, 0);
	now_us += SECOND / 2;
	assert_int_equal(guard_look(guard, now_us, bans, 4, &numbers), 4);
	assert_int_equal(numbers.banned, 10);
	assert_int_equal(numbers.limited, 1);
	assert_int_equal(numbers.remembered, 12);
	for (unsigned i = 0; i < 4; i++) {
		assert_in_range(bans[i].left_ms, 59400, 59600);
		assert_in_range(bans[i].lasted_ms, 400, 600);
		assert_int_equal(bans[i].refused, 1);
		assert_int_equal(bans[i].scope, 0);
	}
	assert_true(guard_unban(guard, GUARD_LANE_SUPERVISOR, stranger(3), now_us));
	assert_false(guard_unban(guard, GUARD_LANE_SUPERVISOR, stranger(3), now_us));
	assert_false(guard_unban(guard, GUARD_LANE_SUPERVISOR, stranger(11), now_us));
	assert_int_equal(ask_of(stranger(3), 1, 1000, 60000).verdict, GUARD_LET_IN);
	guard_unban_all(guard, now_us);
	for (unsigned i = 0; i < 10; i++)
		if (i != 3)
			assert_int_equal(ask_of(stranger(i), 1, 1000, 60000).verdict, GUARD_LET_IN);
	ban(stranger(20), 60000); /* in the very same tick */
	(void)!guard_look(guard, now_us, bans, 0, &numbers);
	assert_int_equal(numbers.banned, 1);
}

/* A thread's clock stands while its loop has much to do in one turn: what it counts and finds late is not of another age. */
static void test_thread_that_is_late(void **state)
{
	(void)state;
	for (uint64_t late_us = SECOND / 32; late_us < SECOND; late_us += SECOND / 8) {
		uint64_t address = stranger((uint32_t)late_us);
		for (unsigned i = 0; i < 10; i++) {
			assert_int_equal(ask_of(address, 10, 60000, 60000).verdict, GUARD_LET_IN);
			now_us -= i == 4 ? late_us : 0;
		}
		now_us += late_us;
		assert_true(ask_of(address, 10, 60000, 60000).banned_now);
		now_us -= late_us;
		assert_int_equal(ask_of(address, 10, 60000, 60000).verdict, GUARD_BANNED);
		now_us += late_us;
		assert_int_equal(ask_of(address, 10, 60000, 60000).verdict, GUARD_BANNED);
	}
}

/* noah runs for years, through upgrades; nothing depends on how long. */
static void test_years(void **state)
{
	(void)state;
	guard_unban_all(guard, now_us);
	for (unsigned i = 0; i < 100; i++) {
		ban(stranger(1), 60000);
		assert_int_equal(ask_of(stranger(2), 2, 60000, 60000).verdict, GUARD_LET_IN);
		now_us += 61 * SECOND;
		assert_int_equal(ask_of(stranger(1), 1, 1000, 60000).verdict, GUARD_LET_IN);
		ban(stranger(1), 10 * YEAR / 1000); /* a year is the most */
		now_us += YEAR - HOUR;
		assert_int_equal(ask_of(stranger(1), 1, 1000, 60000).verdict, GUARD_BANNED);
		now_us += 2 * HOUR;
		assert_int_equal(ask_of(stranger(1), 1, 1000, 60000).verdict, GUARD_LET_IN);
		if (i % 7 == 0)
			guard_unban_all(guard, now_us);
		now_us += i * (YEAR / 16);
	}
}

/* ---- connections -------------------------------------------------------------------------------------------------- */

static enum guard_verdict connect_to(struct guard *at, uint64_t address, unsigned most, bool *counted)
{
	return guard_connect(at, 0, address, most, true, now_us, counted);
}

static void test_connections(void **state)
{
	bool counted;
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(connect_to(guard, stranger(1), 3, &counted), GUARD_LET_IN);
		assert_true(counted);
	}
	assert_int_equal(connect_to(guard, stranger(1), 3, &counted), GUARD_TOO_MANY);
	assert_false(counted);
	assert_int_equal(connect_to(guard, stranger(2), 3, &counted), GUARD_LET_IN);
	assert_int_equal(connect_to(guard, stranger(1), 0, &counted), GUARD_LET_IN); /* no limit: not counted */
	assert_false(counted);
	guard_disconnect(guard, 0, stranger(1));
	assert_int_equal(connect_to(guard, stranger(1), 3, &counted), GUARD_LET_IN);
	assert_int_equal(connect_to(guard, stranger(1), 3, &counted), GUARD_TOO_MANY);
	for (unsigned i = 0; i < 5; i++) /* two too many: harmless */
		guard_disconnect(guard, 0, stranger(1));
	struct guard_numbers numbers;
	(void)!guard_look(guard, now_us, NULL, 0, &numbers);
	assert_int_equal(numbers.remembered, 1);
}

/* A banned address is told so by an answer; who goes on asking is not even let in. */
static void test_connections_of_banned(void **state)
{
	bool counted;
	(void)state;
	ban(stranger(1), 60000);
	for (unsigned i = 1; i < GUARD_ANSWERS_MOST; i++) {
		assert_int_equal(connect_to(guard, stranger(1), 0, &counted), GUARD_LET_IN);
		assert_int_equal(ask_of(stranger(1), 1, 1000, 60000).verdict, GUARD_BANNED);
	}
	assert_int_equal(connect_to(guard, stranger(1), 0, &counted), GUARD_BANNED);
	assert_int_equal(guard_connect(guard, 0, stranger(1), 5, false, now_us, &counted), GUARD_LET_IN);
	assert_true(counted);
	now_us += 61 * SECOND;
	assert_int_equal(connect_to(guard, stranger(1), 0, &counted), GUARD_LET_IN);
}

static struct guard *map_again(unsigned first_lane)
{
	int copy = fcntl(guard_descriptor(guard), F_DUPFD_CLOEXEC, 3);
	assert_true(copy >= 0);
	struct guard *other = guard_map(copy);
	assert_non_null(other);
	guard_begin(other, first_lane);
	return other;
}

static void test_connections_of_processes(void **state)
{
	bool counted;
	struct guard *other = map_again(8);
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(connect_to(guard, stranger(1), 4, &counted), GUARD_LET_IN);
		assert_int_equal(connect_to(other, stranger(1), 4, &counted), GUARD_LET_IN);
	}
	assert_int_equal(connect_to(guard, stranger(1), 4, &counted), GUARD_TOO_MANY);
	assert_int_equal(connect_to(other, stranger(1), 4, &counted), GUARD_TOO_MANY);
	guard_lanes_ended(guard, 8, 2); /* the other was killed */
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(connect_to(guard, stranger(1), 4, &counted), GUARD_LET_IN);
	assert_int_equal(connect_to(guard, stranger(1), 4, &counted), GUARD_TOO_MANY);
	struct guard *next = map_again(8); /* in the same lanes: it has nothing of the former one's */
	guard_disconnect(guard, 0, stranger(1));
	assert_int_equal(connect_to(next, stranger(1), 4, &counted), GUARD_LET_IN);
	assert_int_equal(connect_to(next, stranger(1), 4, &counted), GUARD_TOO_MANY);
	guard_free(other);
	guard_free(next);
}

/* ---- a million, and more ------------------------------------------------------------------------------------------ */

/* What the kernel says is resident of the mapping. */
static uint64_t resident_bytes(void)
{
	char line[512];
	uint64_t kilobytes = 0, sum = 0;
	bool inside = false;
	FILE *file = fopen("/proc/self/smaps", "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL) {
		if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) /* the next mapping */
			inside = strstr(line, "noah-guard") != NULL;
		else if (inside && sscanf(line, "Rss: %ju kB", (uintmax_t *)&kilobytes) == 1)
			sum += kilobytes * 1024;
	}
	assert_int_equal(fclose(file), 0);
	return sum;
}

static void test_a_million_addresses(void **state)
{
	const uint32_t million = 1000000;
	struct guard_numbers numbers;
	uint64_t uncounted = 0, right = 0;
	(void)state;
	for (uint32_t i = 0; i < million; i++)
		uncounted += ask_of(stranger(i), 100, 600000, 60000).uncounted;
	(void)!guard_look(guard, now_us, NULL, 0, &numbers);
	printf("a million addresses: %ju bytes in the file, %ju resident, %ju remembered, %ju not counted\n",
	       (uintmax_t)memory_of_table(), (uintmax_t)resident_bytes(), (uintmax_t)numbers.remembered, (uintmax_t)uncounted);
	assert_in_range(numbers.remembered, million / 1000 * 999, million);
	assert_in_range(resident_bytes(), 1000000, 64000000);
	assert_in_range(memory_of_table(), 1000000, 64000000);
	/* What is remembered is right: each has one request, so one more is the second of two. */
	for (uint32_t i = 0; i < million; i++)
		right += ask_of(stranger(i), 1, 600000, 0).verdict == GUARD_TOO_MANY;
	assert_in_range(right, million / 1000 * 999, million);
	/* And all of them can be banned. */
	for (uint32_t i = 0; i < million; i++)
		(void)ask_of(stranger(i), 1, 600000, 3600000);
	(void)!guard_look(guard, now_us, NULL, 0, &numbers);
	assert_in_range(numbers.banned, million / 1000 * 999, million);
	assert_in_range(memory_of_table(), 1000000, 64000000);
}

#define KEPT 500u
static void test_flood(void **state)
{
	uint64_t banned = UINT64_C(0x2a00000000000000), near = UINT64_C(0x2a01000000000000), open = UINT64_C(0x2a02000000000000);
	bool counted;
	(void)state;
	for (uint32_t i = 0; i < KEPT; i++) {
		ban(banned + i, 3600000);
		for (unsigned j = 0; j < 6; j++)
			assert_int_equal(ask_of(near + i, 10, 600000, 0).verdict, GUARD_LET_IN);
		assert_int_equal(connect_to(guard, open + i, 1, &counted), GUARD_LET_IN);
	}
	for (uint32_t i = 0; i < FLOOD; i++)
		assert_int_equal(ask_of(stranger(i), 10, 600000, 0).verdict, GUARD_LET_IN);
	assert_in_range(memory_of_table(), 1000000, 64000000);
	for (uint32_t i = 0; i < KEPT; i++) {
		assert_int_equal(ask_of(banned + i, 10, 600000, 0).verdict, GUARD_BANNED);
		for (unsigned j = 0; j < 4; j++)
			assert_int_equal(ask_of(near + i, 10, 600000, 0).verdict, GUARD_LET_IN);
		assert_int_equal(ask_of(near + i, 10, 600000, 0).verdict, GUARD_TOO_MANY);
		assert_int_equal(connect_to(guard, open + i, 1, &counted), GUARD_TOO_MANY);
	}
	/* In the full table a newcomer who asks too much is found out. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(ask_of(stranger(FLOOD), 10, 600000, 3600000).verdict, GUARD_LET_IN);
	assert_true(ask_of(stranger(FLOOD), 10, 600000, 3600000).banned_now);
	/* Nothing goes on for ever: what was a flood is no hindrance an hour later. */
	now_us += HOUR;
	assert_false(ask_of(stranger(FLOOD + 1), 10, 600000, 0).uncounted);
}

/* When all that a bucket holds is bans, these stay, and who comes then is let in. */
static void test_bucket_full_of_bans(void **state)
{
	struct guard_place home = guard_place(guard, stranger(0), 0);
	uint64_t there[GUARD_SLOTS + 2];
	unsigned count = 0;
	(void)state;
	for (uint32_t i = 0; count < COUNT_OF(there); i++)
		if (guard_place(guard, stranger(i), 0).bucket == home.bucket)
			there[count++] = stranger(i);
	for (unsigned i = 0; i < GUARD_SLOTS; i++)
		ban(there[i], 60000);
	for (unsigned i = 0; i < 5; i++) {
		struct guard_answer answer = ask_of(there[GUARD_SLOTS], 1, 1000, 60000);
		assert_int_equal(answer.verdict, GUARD_LET_IN);
		assert_true(answer.uncounted);
	}
	/* Over a site's limit, which is counted elsewhere: 429, without a ban. */
	uint32_t scope = guard_scope("a", "", SPAN(""));
	assert_int_equal(ask_site(there[GUARD_SLOTS], scope, 1, 60000, 60000).verdict, GUARD_LET_IN);
	for (unsigned i = 0; i < 3; i++) {
		struct guard_answer answer = ask_site(there[GUARD_SLOTS], scope, 1, 60000, 60000);
		assert_int_equal(answer.verdict, GUARD_TOO_MANY);
		assert_false(answer.banned_now);
	}
	for (unsigned i = 0; i < GUARD_SLOTS; i++)
		assert_int_equal(ask_of(there[i], 1, 1000, 60000).verdict, GUARD_BANNED);
	now_us += 61 * SECOND;
	assert_false(ask_of(there[GUARD_SLOTS + 1], 1, 1000, 60000).uncounted);
}

/* ---- several at once ------------------------------------------------------------------------------------------------ */

#define THREADS 4u
#define ROUNDS  20000u
#define MOST    5000u

struct worker {
	pthread_t thread;
	unsigned lane;
	uint64_t let_in, uncounted, bans, left_open;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct guard_limit limits[2] = {{.most = MOST, .period_ms = 86400000}, {.scope = 7, .most = MOST, .period_ms = 86400000}};
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct guard_answer answer;
		guard_request(guard, worker->lane, stranger(1), limits, 3600000, now_us, &answer);
		worker->let_in += answer.verdict == GUARD_LET_IN;
		worker->uncounted += answer.uncounted;
		worker->bans += answer.banned_now;
		bool counted;
		if (guard_connect(guard, worker->lane, stranger(2 + i % 3), 2, true, now_us, &counted) == GUARD_LET_IN && counted)
			guard_disconnect(guard, worker->lane, stranger(2 + i % 3));
		guard_request(guard, worker->lane, stranger(i), limits, 3600000, now_us, &answer);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct worker workers[THREADS] = {{0}};
	uint64_t let_in = 0, uncounted = 0, bans = 0;
	struct guard_numbers numbers;
	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].lane = i;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		let_in += workers[i].let_in;
		uncounted += workers[i].uncounted;
		bans += workers[i].bans;
	}
	assert_in_range(let_in, MOST - 8, MOST + uncounted); /* stranger(1) is also asked for once by each in the last line */
	assert_int_equal(bans, 1);
	(void)!guard_look(guard, now_us, NULL, 0, &numbers);
	assert_int_equal(numbers.banned, 1);
	/* Two windows of each, of stranger(1) one is the ban. No connection, unless a thread slept for long while it had a lock. */
	assert_in_range(numbers.remembered, 2 * (ROUNDS - 1) + 2, 2 * (ROUNDS - 1) + 5);
}

/* Wherever a process is killed, others go on after its lanes have been given back. */
static void test_killed(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			guard_begin(guard, 16);
			for (uint32_t i = 0;; i++) { /* until killed */
				struct guard_limit limits[2] = {{.most = UINT32_MAX, .period_ms = 1000}, {0}};
				struct guard_answer answer;
				bool counted;
				guard_request(guard, 17, stranger(1), limits, 0, now_us, &answer);
				(void)!guard_connect(guard, 17, stranger(2), 1000000, true, now_us, &counted);
				if (i % 2 == 0)
					guard_disconnect(guard, 17, stranger(2));
			}
		}
		struct guard_numbers numbers = {0};
		for (unsigned i = 0; i < 1000000 && numbers.remembered < 2; i++) /* it has begun */
			(void)!guard_look(guard, now_us, NULL, 0, &numbers);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		guard_lanes_ended(guard, 16, 2);
		bool counted;
		assert_int_equal(guard_load(&guard_place(guard, stranger(1), 0).bucket->lock), 0);
		assert_int_equal(guard_load(&guard_place(guard, stranger(2), 0).bucket->lock), 0);
		assert_int_equal(connect_to(guard, stranger(2), 1, &counted), GUARD_LET_IN);
		assert_true(counted);
		guard_disconnect(guard, 0, stranger(2));
		assert_false(ask_of(stranger(1), 1000, 1000, 0).uncounted);
		now_us += 2 * SECOND;
	}
}

/* A lock that does not come back (its process was stopped) holds up one, once, and then nobody. */
static void test_lock_that_stays(void **state)
{
	struct guard_place place = guard_place(guard, stranger(1), 0);
	(void)state;
	atomic_store(&place.bucket->lock, 6);
	for (unsigned i = 0; i < 1000; i++) {
		struct guard_answer answer = ask_of(stranger(1), 1, 60000, 60000);
		assert_int_equal(answer.verdict, GUARD_LET_IN);
		assert_true(answer.uncounted);
	}
	assert_false(guard_unban(guard, GUARD_LANE_SUPERVISOR, stranger(1), now_us));
	guard_lanes_ended(guard, 0, 5); /* others */
	assert_true(ask_of(stranger(1), 1, 60000, 60000).uncounted);
	guard_lanes_ended(guard, 5, 1);
	assert_false(ask_of(stranger(1), 1, 60000, 60000).uncounted);
}

/* ---- handing over --------------------------------------------------------------------------------------------------- */

static void test_map(void **state)
{
	(void)state;
	ban(stranger(1), 60000);
	struct guard *mine = guard, *other = map_again(8);
	guard = other; /* bans go on in another process */
	guard_close_descriptor(guard);
	assert_int_equal(ask_of(stranger(1), 1, 1000, 60000).verdict, GUARD_BANNED);
	guard = mine;
	guard_free(other);

	int file = memfd_create("no-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(file >= 0);
	assert_null(guard_map(file));
	assert_int_equal(ftruncate(file, sizeof(struct guard_table)), 0);
	assert_null(guard_map(file)); /* it could be cut */
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_null(guard_map(file)); /* empty */
	uint32_t words[2] = {GUARD_MAGIC, GUARD_VERSION + 1};
	assert_int_equal(pwrite(file, words, sizeof words, 0), (ssize_t)sizeof words);
	assert_null(guard_map(file)); /* of another layout */
	assert_int_equal(close(file), 0);
	assert_null(guard_map(file));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_guard, drop_guard)
	const struct CMUnitTest tests[] = {
	    TEST(test_addresses),
	    TEST(test_limit_ban_and_free_again),
	    TEST(test_without_ban),
	    TEST(test_rates_over_time),
	    TEST(test_limit_changes_by_reload),
	    TEST(test_sites_count_by_themselves),
	    TEST(test_list_and_lift),
	    TEST(test_thread_that_is_late),
	    TEST(test_years),
	    TEST(test_connections),
	    TEST(test_connections_of_banned),
	    TEST(test_connections_of_processes),
	    TEST(test_a_million_addresses),
	    TEST(test_flood),
	    TEST(test_bucket_full_of_bans),
	    TEST(test_threads),
	    TEST(test_killed),
	    TEST(test_lock_that_stays),
	    TEST(test_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
