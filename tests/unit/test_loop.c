/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The loop and its tasks: every way a wait can end, parking, messages, undo, many timers, overflow, running out of stacks.
 */
#include "unit.h"

#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs body(argument) as a task on a fresh loop, and stops the loop when it returns. */
struct program {
	void (*body)(void *argument);
	void *argument;
	bool ended;
};

static void program_task(void *argument)
{
	struct program *program = argument;
	program->body(program->argument);
	program->ended = true;
	loop_stop(loop_current());
}

static void run_in_loop(void (*body)(void *argument), void *argument)
{
	struct program program = { body, argument, false };
	struct loop *loop = loop_new("test");

	assert_non_null(loop);
	assert_non_null(task_start(loop, "program", program_task, &program));
	loop_run(loop);
	assert_true(program.ended);
	assert_int_equal(loop_task_count(loop), 0);
	loop_free(loop);
}

/* ---- waiting ---- */

struct waits {
	struct wait_queue queue, other;
	struct task *task;
	enum wait_result result[4];
	int count;
	int64_t timeout_ms;
};

static void wait_once(void *argument)
{
	struct waits *waits = argument;
	enum wait_result result = task_wait(&waits->queue, waits->timeout_ms);
	waits->result[waits->count++] = result;
}

static void check_wake(void *unused)
{
	struct waits waits = { .timeout_ms = NO_TIMEOUT };
	wait_queue_init(&waits.queue);
	for (int i = 0; i < 3; i++)
		assert_non_null(task_start(loop_current(), "waiter", wait_once, &waits));
	assert_int_equal(task_yield(), WAIT_READY);
	assert_int_equal(waits.count, 0);
	wait_queue_wake_one(&waits.queue);
	assert_int_equal(task_yield(), WAIT_READY);
	assert_int_equal(waits.count, 1);
	wait_queue_wake_all(&waits.queue);
	assert_int_equal(task_yield(), WAIT_READY);
	assert_int_equal(waits.count, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(waits.result[i], WAIT_READY);
	wait_queue_wake_one(&waits.queue); /* no one there */
	(void)unused;
}

static void test_wake(void **state)
{
	(void)state;
	run_in_loop(check_wake, NULL);
}

static void check_timeout(void *unused)
{
	struct waits waits = { 0 };
	uint64_t before_us = clock_monotonic_us();
	wait_queue_init(&waits.queue);
	assert_int_equal(task_wait(&waits.queue, 30), WAIT_TIMEOUT);
	assert_true(clock_monotonic_us() - before_us >= 29000);
	assert_int_equal(task_wait(&waits.queue, 0), WAIT_TIMEOUT);
	assert_true(list_is_empty(&waits.queue.waiters));
	assert_int_equal(task_sleep(5), WAIT_READY);
	(void)unused;
}

static void test_timeout(void **state)
{
	(void)state;
	run_in_loop(check_timeout, NULL);
}

static void check_wait_any(void *unused)
{
	struct waits waits = { .timeout_ms = NO_TIMEOUT };
	struct wait_queue *const queues[] = { &waits.queue, &waits.other };
	wait_queue_init(&waits.queue);
	wait_queue_init(&waits.other);
	struct wait_queue *gone = &waits.other;
	assert_non_null(task_start(loop_current(), "waker", (void (*)(void *))(void (*)(void))wait_queue_wake_one, gone));
	assert_int_equal(task_wait_any(queues, 2, 10000), WAIT_READY);
	assert_true(list_is_empty(&waits.queue.waiters));
	assert_int_equal(task_wait_any(queues, 2, 5), WAIT_TIMEOUT);
	(void)unused;
}

static void test_wait_any(void **state)
{
	(void)state;
	run_in_loop(check_wait_any, NULL);
}

/* wake_one must not be lost on a task that timed out in the same turn. */
static void check_wake_skips_ready(void *unused)
{
	struct waits waits = { .timeout_ms = NO_TIMEOUT };
	wait_queue_init(&waits.queue);
	struct task *first = task_start(loop_current(), "first", wait_once, &waits);
	assert_non_null(first);
	assert_non_null(task_start(loop_current(), "second", wait_once, &waits));
	assert_int_equal(task_yield(), WAIT_READY);
	task_cancel(first);
	wait_queue_wake_one(&waits.queue);
	assert_int_equal(task_yield(), WAIT_READY);
	assert_int_equal(waits.count, 2);
	assert_int_equal(waits.result[0], WAIT_CANCELLED);
	assert_int_equal(waits.result[1], WAIT_READY);
	(void)unused;
}

static void test_wake_skips_ready(void **state)
{
	(void)state;
	run_in_loop(check_wake_skips_ready, NULL);
}

/* ---- cancellation, in every kind of wait ---- */

struct cancelled {
	int kind;
	struct watched watched;
	struct wait_queue queue;
	enum wait_result result, again;
	bool done;
};

struct slow_work {
	struct offload offload;
	int *released;
	int value;
	useconds_t takes_us;
};

static void do_slow_work(struct offload *offload)
{
	struct slow_work *work = (struct slow_work *)(void *)offload;
	usleep(work->takes_us);
	work->value = 42;
}

static void release_slow_work(struct offload *offload)
{
	struct slow_work *work = (struct slow_work *)(void *)offload;
	++*work->released;
	free(work);
}

static struct slow_work *slow_work_new(int *released, useconds_t takes_us)
{
	struct slow_work *work = calloc(1, sizeof(*work));
	assert_non_null(work);
	work->offload.work = do_slow_work;
	work->offload.release = release_slow_work;
	work->released = released;
	work->takes_us = takes_us;
	return work;
}

static int released_by_cancel;

static void wait_in_kind(void *argument)
{
	struct cancelled *cancelled = argument;
	struct wait_queue *queues[] = { &cancelled->queue, &cancelled->watched.readers };

	switch (cancelled->kind) {
	case 0:
		cancelled->result = task_wait(&cancelled->queue, NO_TIMEOUT);
		break;
	case 1:
		cancelled->result = task_sleep(100000);
		break;
	case 2:
		cancelled->result = watched_wait_readable(&cancelled->watched, NO_TIMEOUT);
		break;
	case 3:
		cancelled->watched.writable = false;
		cancelled->result = watched_wait_writable(&cancelled->watched, NO_TIMEOUT);
		break;
	case 4:
		cancelled->result = task_wait_any(queues, 2, 100000);
		break;
	default:
		cancelled->result = offload_run(&slow_work_new(&released_by_cancel, 20000)->offload, NO_TIMEOUT);
	}
	cancelled->again = task_yield();
	cancelled->done = true;
}

static void check_cancel(void *unused)
{
	for (int kind = 0; kind < 6; kind++) {
		struct cancelled cancelled = { .kind = kind };
		int pair[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		assert_int_equal(watched_add(&cancelled.watched, pair[0]), 0);
		assert_int_equal(task_sleep(1), WAIT_READY); /* its first event (writable) is past */
		wait_queue_init(&cancelled.queue);
		struct task *task = task_start(loop_current(), "cancelled", wait_in_kind, &cancelled);
		assert_non_null(task);
		assert_int_equal(task_yield(), WAIT_READY);
		assert_false(cancelled.done);
		task_cancel(task);
		task_cancel(task);
		assert_int_equal(task_yield(), WAIT_READY);
		assert_true(cancelled.done);
		assert_int_equal(cancelled.result, WAIT_CANCELLED);
		assert_int_equal(cancelled.again, WAIT_CANCELLED);
		watched_close(&cancelled.watched);
		close(pair[1]);
	}
	(void)unused;
}

static void test_cancel(void **state)
{
	(void)state;
	released_by_cancel = 0;
	run_in_loop(check_cancel, NULL);
	assert_int_equal(released_by_cancel, 1); /* abandoned work is released before the loop ends */
}

static void read_once(void *argument)
{
	struct watched *watched = argument;
	assert_int_equal(watched_wait_readable(watched, NO_TIMEOUT), WAIT_READY);
	*(bool *)watched->argument = true;
}

/* Who always has more to do and yields now and then lets the kernel's news in each time. */
static void check_yield_lets_events_in(void *unused)
{
	struct watched watched;
	bool was_read = false;
	int pair[2], yields = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(watched_add(&watched, pair[0]), 0);
	watched.argument = &was_read;
	assert_non_null(task_start(loop_current(), "reader", read_once, &watched));
	assert_int_equal(task_sleep(1), WAIT_READY); /* its first event (writable) is past */
	assert_int_equal(write(pair[1], "x", 1), 1);
	while (!was_read && ++yields < 100)
		assert_int_equal(task_yield(), WAIT_READY);
	assert_in_range(yields, 1, 3);
	watched_close(&watched);
	close(pair[1]);
	(void)unused;
}

static void test_yield_lets_events_in(void **state)
{
	(void)state;
	run_in_loop(check_yield_lets_events_in, NULL);
}

static void never_ends_by_itself(void *argument)
{
	struct wait_queue queue;
	wait_queue_init(&queue);
	assert_int_equal(task_wait(&queue, NO_TIMEOUT), WAIT_CANCELLED);
	++*(int *)argument;
}

static void start_and_leave(void *argument)
{
	for (int i = 0; i < 10; i++)
		assert_non_null(task_start(loop_current(), "left", never_ends_by_itself, argument));
	assert_int_equal(task_yield(), WAIT_READY);
}

static void test_stop_cancels_all(void **state)
{
	int ended = 0;
	(void)state;
	run_in_loop(start_and_leave, &ended);
	assert_int_equal(ended, 10);
}

/* ---- undo and arena ---- */

static char undo_order[16];

static void note_undo(void *argument)
{
	strcat(undo_order, argument);
}

static void check_undo(void *unused)
{
	static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
	task_undo(note_undo, a);
	struct task_mark mark = task_mark();
	for (int i = 0; i < 100; i++) {
		undo_order[0] = '\0';
		assert_non_null(arena_allocate(task_arena(), 5000));
		task_undo(note_undo, b);
		task_undo(note_undo, d);
		task_undo(note_undo, c);
		task_undo_forget(note_undo, d);
		task_rewind(mark);
		assert_string_equal(undo_order, "cb");
	}
	assert_true(task_arena()->held < 20000);
	assert_null(arena_allocate(task_arena(), TASK_ARENA_MOST + 1));
	undo_order[0] = '\0';
	(void)unused;
}

static void test_undo(void **state)
{
	(void)state;
	run_in_loop(check_undo, NULL);
	assert_string_equal(undo_order, "a");
}

/* ---- timers ---- */

#define MANY_TIMERS 100000
struct counted_timer {
	struct timer timer;
	uint64_t expected_ms, fired_ms;
};
static struct counted_timer *many_timers;
static int timers_fired;

static void note_timer(struct timer *timer)
{
	struct counted_timer *counted = OWNER_OF(timer, struct counted_timer, timer);
	counted->fired_ms = loop_now_us(loop_current()) / 1000;
	timers_fired++;
}

static void check_many_timers(void *unused)
{
	int set = 0;
	uint64_t start_ms = loop_now_us(loop_current()) / 1000;
	for (int i = 0; i < MANY_TIMERS; i++) {
		timer_init(&many_timers[i].timer, note_timer);
		int64_t after_ms = (int64_t)(random_quick() % 400);
		many_timers[i].expected_ms = start_ms + (uint64_t)after_ms;
		timer_set(&many_timers[i].timer, after_ms);
	}
	for (int i = 0; i < MANY_TIMERS; i += 3)
		timer_clear(&many_timers[i].timer);
	for (int i = 1; i < MANY_TIMERS; i += 3) /* moved far away and back: once down the levels */
		timer_set(&many_timers[i].timer, 1000000000);
	for (int i = 1; i < MANY_TIMERS; i += 3)
		timer_set(&many_timers[i].timer, (int64_t)(many_timers[i].expected_ms - start_ms));
	for (int i = 0; i < MANY_TIMERS; i++)
		set += many_timers[i].timer.armed;
	while (timers_fired < set)
		assert_int_equal(task_sleep(10), WAIT_READY);
	for (int i = 0; i < MANY_TIMERS; i++) {
		if (i % 3 == 0)
			assert_int_equal(many_timers[i].fired_ms, 0);
		else
			assert_true(many_timers[i].fired_ms >= many_timers[i].expected_ms);
	}
	(void)unused;
}

static void test_many_timers(void **state)
{
	(void)state;
	many_timers = calloc(MANY_TIMERS, sizeof(*many_timers));
	timers_fired = 0;
	run_in_loop(check_many_timers, NULL);
	free(many_timers);
}

/* ---- messages from other threads ---- */

#define MESSAGES 20000
struct mailbox {
	struct loop *loop;
	int received;
	bool in_order;
};

static struct mailbox mailbox;

static void receive(void *argument)
{
	if ((intptr_t)argument != mailbox.received)
		mailbox.in_order = false;
	mailbox.received++;
}

static void *send_messages(void *unused)
{
	for (intptr_t i = 0; i < MESSAGES; i++)
		assert_true(loop_post(mailbox.loop, receive, (void *)i));
	return unused;
}

static void check_messages(void *unused)
{
	pthread_t thread;
	mailbox = (struct mailbox){ .loop = loop_current(), .in_order = true };
	assert_int_equal(pthread_create(&thread, NULL, send_messages, NULL), 0);
	while (mailbox.received < MESSAGES)
		assert_int_equal(task_sleep(1), WAIT_READY);
	assert_true(mailbox.in_order);
	pthread_join(thread, NULL);
	(void)unused;
}

static void test_messages(void **state)
{
	(void)state;
	run_in_loop(check_messages, NULL);
}

/* ---- parking ---- */

struct parked {
	struct watched watched;
	int other_end;
	int resumed;
	enum wait_result why;
	struct wait_queue noted;
};

static void note_resume(void *argument, enum wait_result why)
{
	struct parked *parked = argument;
	parked->resumed++;
	parked->why = why;
	wait_queue_wake_all(&parked->noted);
}

static void parked_open(struct parked *parked)
{
	int pair[2];
	memset(parked, 0, sizeof(*parked));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(watched_add(&parked->watched, pair[0]), 0);
	parked->other_end = pair[1];
	wait_queue_init(&parked->noted);
}

static void parked_close(struct parked *parked)
{
	watched_close(&parked->watched);
	if (parked->other_end >= 0)
		close(parked->other_end);
}

static void expect_resumed(struct parked *parked, enum wait_result why)
{
	while (parked->resumed == 0)
		assert_int_equal(task_wait(&parked->noted, 10000), WAIT_READY);
	assert_int_equal(parked->resumed, 1);
	assert_int_equal(parked->why, why);
	parked->resumed = 0;
}

static void check_parking(void *unused)
{
	struct parked parked;
	unsigned tasks = loop_task_count(loop_current());

	parked_open(&parked);
	loop_park(&parked.watched, "parked", NO_TIMEOUT, note_resume, &parked);
	assert_int_equal(task_sleep(2), WAIT_READY);
	assert_int_equal(loop_task_count(loop_current()), tasks); /* no task while parked */
	assert_int_equal(write(parked.other_end, "x", 1), 1);
	expect_resumed(&parked, WAIT_READY);

	loop_park(&parked.watched, "parked", NO_TIMEOUT, note_resume, &parked); /* still readable: at once */
	expect_resumed(&parked, WAIT_READY);

	char byte;
	assert_int_equal(read(parked.watched.descriptor, &byte, 1), 1);
	parked.watched.readable = false;
	loop_park(&parked.watched, "parked", 5, note_resume, &parked);
	expect_resumed(&parked, WAIT_TIMEOUT);

	loop_park(&parked.watched, "parked", NO_TIMEOUT, note_resume, &parked);
	loop_unpark(&parked.watched);
	loop_unpark(&parked.watched);
	expect_resumed(&parked, WAIT_CANCELLED);

	loop_park(&parked.watched, "parked", NO_TIMEOUT, note_resume, &parked);
	close(parked.other_end);
	parked.other_end = -1;
	expect_resumed(&parked, WAIT_READY);
	assert_true(parked.watched.hangup);
	parked_close(&parked);
	(void)unused;
}

static void test_parking(void **state)
{
	(void)state;
	run_in_loop(check_parking, NULL);
}

static struct parked left_parked;

static void park_and_leave(void *unused)
{
	parked_open(&left_parked);
	loop_park(&left_parked.watched, "parked", NO_TIMEOUT, note_resume, &left_parked);
	(void)unused;
}

static void test_stop_resumes_parked(void **state)
{
	(void)state;
	run_in_loop(park_and_leave, NULL);
	assert_int_equal(left_parked.resumed, 1);
	assert_int_equal(left_parked.why, WAIT_CANCELLED);
	close(left_parked.watched.descriptor);
	close(left_parked.other_end);
}

/* ---- offload ---- */

static void check_offload(void *argument)
{
	int *released = argument;
	struct slow_work *work = slow_work_new(released, 1000);

	assert_int_equal(offload_run(&work->offload, NO_TIMEOUT), WAIT_READY);
	assert_int_equal(work->value, 42);
	assert_int_equal(*released, 0);
	release_slow_work(&work->offload);
	assert_int_equal(*released, 1);
	assert_int_equal(offload_run(&slow_work_new(released, 50000)->offload, 1), WAIT_TIMEOUT);
	while (*released < 2)
		assert_int_equal(task_sleep(1), WAIT_READY);
}

static void test_offload(void **state)
{
	int released = 0;
	(void)state;
	run_in_loop(check_offload, &released);
	assert_int_equal(released, 2);
}

static void wait_for_work(void *argument)
{
	struct slow_work *work = slow_work_new(argument, 3000);
	if (offload_run(&work->offload, NO_TIMEOUT) == WAIT_READY)
		release_slow_work(&work->offload);
}

static void check_offload_many(void *argument)
{
	struct task *tasks[40];
	for (unsigned i = 0; i < COUNT_OF(tasks); i++)
		assert_non_null(tasks[i] = task_start(loop_current(), "work", wait_for_work, argument));
	assert_int_equal(task_sleep(5), WAIT_READY);
	for (unsigned i = 30; i < COUNT_OF(tasks); i++) /* still queued: taken back */
		task_cancel(tasks[i]);
	while (*(int *)argument < (int)COUNT_OF(tasks))
		assert_int_equal(task_sleep(1), WAIT_READY);
}

static void test_offload_many(void **state)
{
	int released = 0;
	(void)state;
	run_in_loop(check_offload_many, &released);
	assert_int_equal(released, 40);
}

/* ---- stacks ---- */

static unsigned overflow(unsigned depth)
{
	volatile char frame[512];
	memset((char *)(uintptr_t)frame, (int)depth, sizeof(frame));
	return depth > 1000000 ? 0 : overflow(depth + 1) + (unsigned)frame[depth % sizeof(frame)];
}

static void overflow_task(void *argument)
{
	*(volatile unsigned *)argument = overflow(1);
}

static void test_stack_overflow(void **state)
{
	int output[2], status = 0;
	char text[4096] = "";
	size_t used = 0;
	ssize_t got;

	(void)state;
	assert_int_equal(pipe(output), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		static volatile unsigned sink;
		dup2(output[1], STDERR_FILENO);
		signal(SIGSEGV, SIG_DFL);
		struct loop *loop = loop_new("overflow");
		if (loop == NULL || task_start(loop, "too deep", overflow_task, (void *)(uintptr_t)&sink) == NULL)
			_exit(1);
		loop_run(loop);
		_exit(0);
	}
	close(output[1]);
	while (used < sizeof(text) - 1 && (got = read(output[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	close(output[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	assert_non_null(strstr(text, "stack overflow in task \"too deep\""));
}

struct crowd {
	struct wait_queue queue;
	unsigned started, ended;
};

static void crowd_member(void *argument)
{
	struct crowd *crowd = argument;
	if (task_wait(&crowd->queue, NO_TIMEOUT) == WAIT_READY)
		crowd->ended++;
}

/* All stacks in use: task_start says so, a parked connection waits in line and goes on when one is free. */
static void check_out_of_stacks(void *unused)
{
	struct crowd crowd = { .started = 0 };
	struct parked parked;

	wait_queue_init(&crowd.queue);
	parked_open(&parked);
	loop_park(&parked.watched, "parked", NO_TIMEOUT, note_resume, &parked);
	while (task_start(loop_current(), "crowd", crowd_member, &crowd) != NULL)
		crowd.started++;
	int error = errno;
	assert_int_equal(error, EAGAIN);
	assert_int_equal(crowd.started, TASK_STACKS_MOST - 1);
	assert_int_equal(write(parked.other_end, "x", 1), 1);
	assert_int_equal(task_sleep(20), WAIT_READY);
	assert_int_equal(parked.resumed, 0);
	wait_queue_wake_one(&crowd.queue);
	expect_resumed(&parked, WAIT_READY);
	wait_queue_wake_all(&crowd.queue);
	while (crowd.ended < crowd.started)
		assert_int_equal(task_sleep(1), WAIT_READY);
	parked_close(&parked);
	(void)unused;
}

static void test_out_of_stacks(void **state)
{
	(void)state;
#if defined(__SANITIZE_THREAD__)
	skip(); /* the thread sanitizer cannot make 30,000 fibers */
#endif
	run_in_loop(check_out_of_stacks, NULL);
}

/* The same when it is another loop that has all the stacks: nothing ends on this one, and yet it gets one when one is free. */
static atomic_bool crowd_is_full, crowd_may_go;

static void crowd_of_another_loop(void *unused)
{
	struct crowd crowd = { .started = 0 };
	wait_queue_init(&crowd.queue);
	while (task_start(loop_current(), "crowd", crowd_member, &crowd) != NULL)
		crowd.started++;
	atomic_store(&crowd_is_full, true);
	while (!atomic_load(&crowd_may_go))
		assert_int_equal(task_sleep(1), WAIT_READY);
	wait_queue_wake_all(&crowd.queue);
	while (crowd.ended < crowd.started)
		assert_int_equal(task_sleep(1), WAIT_READY);
	(void)unused;
}

static void *run_crowd(void *unused)
{
	run_in_loop(crowd_of_another_loop, NULL);
	return unused;
}

static struct parked lonely;
static struct timer lonely_timer;

static void look_whether_resumed(struct timer *timer)
{
	lonely.resumed > 0 ? loop_stop(loop_current()) : timer_set(timer, 1);
}

static void let_crowd_go(struct timer *timer)
{
	assert_int_equal(lonely.resumed, 0); /* it stands in line */
	atomic_store(&crowd_may_go, true);
	timer_init(timer, look_whether_resumed);
	timer_set(timer, 1);
}

static void make_lonely_ready(struct timer *timer)
{
	if (!atomic_load(&crowd_is_full)) {
		timer_set(timer, 1);
		return;
	}
	assert_int_equal(write(lonely.other_end, "x", 1), 1);
	timer_init(timer, let_crowd_go);
	timer_set(timer, 50);
}

static void park_alone(void *unused)
{
	parked_open(&lonely);
	loop_park(&lonely.watched, "parked", NO_TIMEOUT, note_resume, &lonely);
	timer_init(&lonely_timer, make_lonely_ready);
	timer_set(&lonely_timer, 1);
	(void)unused;
}

static void test_stacks_of_another_loop(void **state)
{
	(void)state;
#if defined(__SANITIZE_THREAD__)
	skip();
#endif
	pthread_t thread;
	struct loop *loop = loop_new("alone");
	assert_non_null(loop);
	assert_int_equal(pthread_create(&thread, NULL, run_crowd, NULL), 0);
	alarm(60);
	assert_true(loop_post(loop, park_alone, NULL));
	loop_run(loop);
	alarm(0);
	close(lonely.watched.descriptor);
	close(lonely.other_end);
	assert_int_equal(lonely.resumed, 1);
	loop_free(loop);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_yield_lets_events_in),
		cmocka_unit_test(test_wait_any),
		cmocka_unit_test(test_wake_skips_ready),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_stop_cancels_all),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_many_timers),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_parking),
		cmocka_unit_test(test_stop_resumes_parked),
		cmocka_unit_test(test_offload),
		cmocka_unit_test(test_offload_many),
		cmocka_unit_test(test_stack_overflow),
		cmocka_unit_test(test_out_of_stacks),
		cmocka_unit_test(test_stacks_of_another_loop),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
