/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Gates: the cap holds and nobody is overlooked, whoever comes, leaves or dies; with one lane after the other, with threads, and
 * with processes that are killed in the middle.
 */
#include "unit.h"

#include "board/board.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANES 4u

static struct {
	struct board *board;
	int descriptor;
	struct board_gate *gate;
} world;

static int make_world(void **state, unsigned connections)
{
	(void)state;
	world.board = board_new(LANES, &world.descriptor);
	assert_non_null(world.board);
	world.gate = &world.board->gates[0];
	atomic_store(&world.board->gate_rows, 1);
	world.gate->address = (struct address){.family = ADDRESS_IPV4, .port = 80, .ip = {10, 0, 0, 1}};
	atomic_store(&world.gate->connections_most, connections);
	return 0;
}

static int make_two(void **state)
{
	return make_world(state, 2);
}

static int drop_world(void **state)
{
	(void)state;
	board_unmap(world.board);
	close(world.descriptor);
	return 0;
}

static bool try_slot(unsigned lane)
{
	return board_gate_try(world.board, world.gate, lane);
}

static bool stand(unsigned lane, uint64_t ticket)
{
	struct board_lanes told = {{0}};
	return board_gate_queue(world.board, world.gate, lane, ticket, 100, &told);
}

/* Returns the lanes that are told, as bits. */
static uint64_t give_up(unsigned lane)
{
	struct board_lanes told = {{0}};
	board_gate_release(world.board, world.gate, lane, &told);
	return told.bits[0];
}

/* The ticket that was granted to the lane; 0: none. */
static uint64_t collect(unsigned lane)
{
	uint64_t ticket = 0;
	return board_gate_collect(world.board, world.gate, lane, &ticket, 1) == 1 ? ticket : 0;
}

static void test_the_cap_and_the_order(void **state)
{
	uint64_t tickets[4];

	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(1));
	assert_false(try_slot(0));
	for (unsigned i = 0; i < 4; i++)
		tickets[i] = board_gate_ticket(world.board);
	assert_true(stand(0, tickets[1]));
	assert_true(stand(1, tickets[2]));
	assert_true(stand(2, tickets[3]));
	assert_true(stand(3, tickets[0])); /* it comes last, with the oldest ticket */
	assert_int_equal(board_gate_waiting(world.gate), 4);
	assert_int_equal(collect(3), 0);
	assert_int_equal(give_up(0), 1u << 3);
	assert_false(try_slot(0)); /* granted is taken */
	assert_int_equal(collect(0), 0);
	assert_int_equal(collect(3), tickets[0]);
	assert_int_equal(give_up(1), 1u << 0);
	assert_int_equal(collect(0), tickets[1]);
	assert_int_equal(give_up(0), 1u << 1);
	assert_int_equal(give_up(3), 1u << 2);
	assert_int_equal(collect(2), tickets[3]);
	assert_int_equal(collect(1), tickets[2]);
	assert_int_equal(give_up(1), 0);
	assert_true(try_slot(0));
	assert_false(try_slot(0));
}

static void test_who_leaves_leaves_nothing_behind(void **state)
{
	struct board_lanes told = {{0}};

	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(0));
	assert_true(stand(1, 1));
	assert_true(stand(2, 2));
	assert_int_equal(give_up(0), 1u << 1);
	/* It was granted a slot while it left: the next one has it. */
	board_gate_leave(world.board, world.gate, 1, 1, &told);
	assert_int_equal(told.bits[0], 1u << 2);
	assert_int_equal(collect(1), 0);
	board_gate_leave(world.board, world.gate, 3, 99, &told); /* never stood there */
	assert_int_equal(collect(2), 2);
	assert_int_equal(atomic_load(&world.gate->queued), 0);
}

static void test_the_queue_has_an_end(void **state)
{
	struct board_lanes told = {{0}};

	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(0));
	for (unsigned i = 1; i <= 3; i++)
		assert_true(board_gate_queue(world.board, world.gate, 0, i, 3, &told));
	assert_false(board_gate_queue(world.board, world.gate, 0, 4, 3, &told));
	for (unsigned i = 4; i <= BOARD_QUEUE_MOST; i++)
		assert_true(board_gate_queue(world.board, world.gate, 0, i, UINT32_MAX, &told));
	assert_false(board_gate_queue(world.board, world.gate, 0, 5000, UINT32_MAX, &told));
	for (unsigned i = 1; i <= BOARD_QUEUE_MOST; i++) {
		give_up(0);
		assert_int_equal(collect(0), i);
	}
}

static void test_a_connection_is_handed_over_within_a_lane(void **state)
{
	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(1));
	assert_int_equal(board_gate_hand_over(world.board, world.gate, 0), 0);
	assert_true(stand(1, 1));
	assert_true(stand(0, 2));
	assert_int_equal(board_gate_hand_over(world.board, world.gate, 0), 0); /* the other lane is first */
	assert_int_equal(board_gate_hand_over(world.board, world.gate, 1), 1);
	assert_int_equal(board_gate_hand_over(world.board, world.gate, 0), 2);
	assert_int_equal(atomic_load(&world.gate->held[0]), 1);
	assert_int_equal(atomic_load(&world.gate->held[1]), 1);
	/* The cap was lowered: one slot goes. */
	atomic_store(&world.gate->connections_most, 1);
	assert_true(stand(0, 3));
	assert_int_equal(board_gate_hand_over(world.board, world.gate, 0), 0);
	assert_int_equal(give_up(0), 0);
	assert_int_equal(collect(0), 0);
	assert_int_equal(give_up(1), 1u << 0);
	assert_int_equal(collect(0), 3);
}

static void test_idle_connections_are_asked_for(void **state)
{
	struct board_lanes told = {{0}};

	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(3));
	board_gate_note_idle(world.gate, 3, 1);
	assert_true(board_gate_queue(world.board, world.gate, 1, 1, 100, &told));
	assert_int_equal(told.bits[0], 1u << 3);
}

static void test_a_cap_that_is_raised_or_lifted(void **state)
{
	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(0));
	assert_true(stand(1, 1));
	assert_true(stand(1, 2));
	assert_int_equal(collect(1), 0);
	atomic_store(&world.gate->connections_most, 3);
	assert_int_equal(collect(1), 1);
	assert_int_equal(collect(1), 0);
	atomic_store(&world.gate->connections_most, 0);
	assert_int_equal(collect(1), 2);
	assert_true(try_slot(2));
}

static void test_a_dead_lane_gives_all_back(void **state)
{
	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(1));
	assert_true(stand(1, 1));
	assert_true(stand(2, 2));
	assert_true(stand(1, 3));
	assert_true(stand(3, 4));
	give_up(0);                             /* lane 1 is granted a slot that it will not collect */
	atomic_store(&world.gate->lock, 1 + 1); /* and dies with the lock in its hand */
	board_lane_ended(world.board, 1);
	assert_int_equal(atomic_load(&world.gate->lock), 0);
	assert_int_equal(collect(2), 2);
	assert_int_equal(collect(3), 4);
	assert_int_equal(atomic_load(&world.gate->queued), 0);
	assert_int_equal(atomic_load(&world.gate->held[1]), 0);
}

/* A word that stands there twice (its lane died while it moved it) makes no slot and costs none. */
static void test_a_word_left_twice(void **state)
{
	(void)state;
	assert_true(try_slot(0));
	assert_true(try_slot(0));
	assert_true(stand(1, 1));
	atomic_store(&world.gate->queue[1], atomic_load(&world.gate->queue[0]));
	atomic_store(&world.gate->queued, 2);
	give_up(0);
	give_up(0);
	assert_int_equal(collect(1), 1);
	assert_int_equal(collect(1), 1); /* the lane does not know it any more, and gives it back */
	give_up(1);
	assert_int_equal(atomic_load(&world.gate->queued), 0);
	assert_true(try_slot(0));
	assert_false(try_slot(0));
}

/* The supervisor is root: nothing that stands in a spoiled gate may lead it astray. */
static void test_a_spoiled_gate_is_survived(void **state)
{
	(void)state;
	memset((char *)world.gate + offsetof(struct board_gate, lock), 0xff, sizeof *world.gate - offsetof(struct board_gate, lock));
	atomic_store(&world.board->gate_rows, UINT32_MAX);
	board_lane_ended(world.board, 0);
	board_lane_ended(world.board, BOARD_LANES_MOST - 1);
	assert_true(board_gate_waiting(world.gate) <= BOARD_QUEUE_MOST);
}

/* ---- many at once --------------------------------------------------------------------------------------------- */

#define TURNS       20000u
#define CAP_OF_MANY 3u

/* In memory that processes share too. */
struct many {
	atomic_uint in_use, most_in_use, turns;
	atomic_bool overlooked;
};

static void use_slot(struct many *many)
{
	unsigned now = atomic_fetch_add(&many->in_use, 1) + 1, most = atomic_load(&many->most_in_use);
	while (now > most && !atomic_compare_exchange_weak(&many->most_in_use, &most, now))
		;
	atomic_fetch_add(&many->turns, 1);
}

/* What a traffic thread does, with one waiter at a time; every seventh one loses patience. */
static void run_lane(struct many *many, unsigned lane, unsigned turns)
{
	for (unsigned turn = 0; turn < turns; turn++) {
		uint64_t ticket = 0, since_us = clock_monotonic_us();
		bool has = try_slot(lane);
		if (!has) {
			struct board_lanes told = {{0}};
			ticket = board_gate_ticket(world.board);
			assert_true(board_gate_queue(world.board, world.gate, lane, ticket, 100, &told));
			if (turn % 7 == 0) {
				board_gate_leave(world.board, world.gate, lane, ticket, &told);
				continue;
			}
		}
		while (!has) {
			has = collect(lane) == ticket;
			if (!has && clock_monotonic_us() - since_us > 20000000) {
				atomic_store(&many->overlooked, true);
				return;
			}
			if (!has)
				sched_yield();
		}
		use_slot(many);
		if (turn % 16 == 0)
			sched_yield();
		atomic_fetch_sub(&many->in_use, 1);
		give_up(lane);
	}
}

static void check_nothing_is_left(void)
{
	assert_int_equal(atomic_load(&world.gate->queued), 0);
	for (unsigned lane = 0; lane < LANES; lane++)
		assert_int_equal(atomic_load(&world.gate->held[lane]), 0);
	for (unsigned i = 0; i < CAP_OF_MANY; i++)
		assert_true(try_slot(0));
	assert_false(try_slot(0));
}

static struct many threads_many;

static void *run_thread(void *argument)
{
	run_lane(&threads_many, (unsigned)(uintptr_t)argument, TURNS);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[LANES];

	(void)state;
	atomic_store(&world.gate->connections_most, CAP_OF_MANY);
	for (uintptr_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_thread, (void *)i), 0);
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(threads[i], NULL);
	assert_false(atomic_load(&threads_many.overlooked));
	assert_in_range(atomic_load(&threads_many.most_in_use), 1, CAP_OF_MANY);
	assert_true(atomic_load(&threads_many.turns) > LANES * TURNS * 6 / 7);
	check_nothing_is_left();
}

static pid_t start_process(struct many *many, unsigned lane, unsigned turns)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0)
		return child;
	run_lane(many, lane, turns);
	_exit(0);
}

/* Lanes 0 and 1 go on to their end; lanes 2 and 3 are processes that are killed wherever they are, again and again. How many
 * slots are in use cannot be told any more (the dead do not count down), but what the gate says must hold, and all must come
 * back. */
static void test_processes_that_are_killed(void **state)
{
	struct many *many = mmap(NULL, sizeof *many, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t steady[2], mortal[2];

	(void)state;
	assert_ptr_not_equal(many, MAP_FAILED);
	atomic_store(&world.gate->connections_most, CAP_OF_MANY);
	for (unsigned i = 0; i < 2; i++)
		steady[i] = start_process(many, i, TURNS);
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 2; i++)
			mortal[i] = start_process(many, 2 + i, UINT32_MAX);
		unsigned seen = atomic_load(&many->turns);
		uint64_t since_us = clock_monotonic_us();
		while (atomic_load(&many->turns) < seen + 20 && clock_monotonic_us() - since_us < 20000000)
			sched_yield();
		for (unsigned i = 0; i < 2; i++) {
			kill(mortal[i], SIGKILL);
			assert_int_equal(waitpid(mortal[i], NULL, 0), mortal[i]);
			board_lane_ended(world.board, 2 + i);
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		int status;
		assert_int_equal(waitpid(steady[i], &status, 0), steady[i]);
		assert_int_equal(status, 0);
	}
	assert_false(atomic_load(&many->overlooked));
	check_nothing_is_left();
	munmap(many, sizeof *many);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_two, drop_world)
	const struct CMUnitTest tests[] = {
	    TEST(test_the_cap_and_the_order),          TEST(test_who_leaves_leaves_nothing_behind),
	    TEST(test_the_queue_has_an_end),           TEST(test_a_connection_is_handed_over_within_a_lane),
	    TEST(test_idle_connections_are_asked_for), TEST(test_a_cap_that_is_raised_or_lifted),
	    TEST(test_a_dead_lane_gives_all_back),     TEST(test_a_word_left_twice),
	    TEST(test_a_spoiled_gate_is_survived),     TEST(test_threads),
	    TEST(test_processes_that_are_killed),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
