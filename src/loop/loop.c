/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The loop of one thread. One turn: run what is ready, sleep in epoll_wait until something happens or a timer is due,
 * note what happened, run the timers and the messages of other threads.
 */
#include "loop/loop_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_A_TURN   256
#define RUNS_A_TURN     1024u /* tasks that wake one another must not keep the loop from the kernel's news */
#define LINE_LOOK_MS    20    /* while connections wait in line: another loop may have given its stacks back */

static _Thread_local struct loop *this_threads_loop;

struct loop *loop_current(void)
{
	return this_threads_loop;
}

uint64_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

unsigned loop_task_count(const struct loop *loop)
{
	return loop->task_count;
}

struct loop *loop_new(const char *name)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	loop->magic = LOOP_MAGIC;
	loop->name = name;
	loop->now_us = clock_monotonic_us();
	list_init(&loop->ready);
	list_init(&loop->yielded);
	list_init(&loop->tasks);
	list_init(&loop->parked);
	list_init(&loop->line);
	list_init(&loop->cached_stacks);
	list_init(&loop->posted);
	pthread_mutex_init(&loop->posted_lock, NULL);
	timer_wheel_init(&loop->wheel, loop->now_us / 1000u);
	loop->wake.descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &loop->wake };
	if (loop->wake.descriptor < 0 || loop->epoll_descriptor < 0 ||
	    epoll_ctl(loop->epoll_descriptor, EPOLL_CTL_ADD, loop->wake.descriptor, &event) != 0) {
		int saved_errno = errno;
		loop_free(loop);
		errno = saved_errno;
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	CHECK_MAGIC(loop, LOOP_MAGIC);
	ASSERT(loop->task_count == 0 && this_threads_loop == NULL);
	for (unsigned i = loop->free_hook_count; i-- > 0;)
		loop->free_hooks[i].run(loop->free_hooks[i].argument);
	stack_free_cached(loop);
	if (loop->wake.descriptor >= 0)
		close(loop->wake.descriptor);
	if (loop->epoll_descriptor >= 0)
		close(loop->epoll_descriptor);
	pthread_mutex_destroy(&loop->posted_lock);
	loop->magic = 0;
	free(loop);
}

void loop_trim(struct loop *loop)
{
	CHECK_MAGIC(loop, LOOP_MAGIC);
	stack_free_cached(loop);
}

void loop_on_free(struct loop *loop, void (*run)(void *argument), void *argument)
{
	ASSERT(loop->free_hook_count < LOOP_HOOKS_MOST);
	loop->free_hooks[loop->free_hook_count++] = (struct loop_hook){ run, argument };
}

/* ---- messages from other threads ---- */

void loop_post_message(struct loop *loop, struct loop_message *message)
{
	const uint64_t one = 1;

	CHECK_MAGIC(loop, LOOP_MAGIC);
	pthread_mutex_lock(&loop->posted_lock);
	list_append(&loop->posted, &message->link);
	/* Under the lock: after its release the loop may take the message, stop and be freed. */
	if (!atomic_exchange(&loop->wake_sent, true)) {
		ssize_t written = write(loop->wake.descriptor, &one, sizeof(one));
		ASSERT(written == (ssize_t)sizeof(one) || errno == EAGAIN);
	}
	pthread_mutex_unlock(&loop->posted_lock);
}

bool loop_post(struct loop *loop, void (*run)(void *argument), void *argument)
{
	struct loop_message *message = malloc(sizeof(*message));

	if (message == NULL)
		return false;
	*message = (struct loop_message){ .run = run, .argument = argument, .allocated = true };
	loop_post_message(loop, message);
	return true;
}

static void run_posted(struct loop *loop)
{
	struct list taken;
	struct list *link;
	uint64_t drained;

	list_init(&taken);
	ssize_t ignored = read(loop->wake.descriptor, &drained, sizeof(drained));
	(void)ignored;
	pthread_mutex_lock(&loop->posted_lock);
	atomic_store(&loop->wake_sent, false);
	while ((link = list_take_first(&loop->posted)) != NULL)
		list_append(&taken, link);
	pthread_mutex_unlock(&loop->posted_lock);
	while ((link = list_take_first(&taken)) != NULL) {
		struct loop_message message = *OWNER_OF(link, struct loop_message, link);
		if (message.allocated)
			free(OWNER_OF(link, struct loop_message, link));
		message.run(message.argument);
	}
}

/* ---- running ---- */

void loop_stop(struct loop *loop)
{
	CHECK_MAGIC(loop, LOOP_MAGIC);
	ASSERT(this_threads_loop == loop);
	if (loop->stopping)
		return;
	loop->stopping = true;
	LIST_EACH (link, &loop->tasks)
		task_cancel(OWNER_OF(link, struct task, all_link));
	while (!list_is_empty(&loop->parked))
		loop_unpark(OWNER_OF(loop->parked.next, struct watched, park_link));
	LIST_EACH (link, &loop->line)
		loop_unpark(OWNER_OF(link, struct watched, park_link));
}

static bool has_work_left(const struct loop *loop)
{
	return !loop->stopping || loop->task_count > 0 || !list_is_empty(&loop->line) || loop->offloads > 0;
}

static void run_ready(struct loop *loop)
{
	struct list *link;

	for (unsigned runs = 0; runs < RUNS_A_TURN && (link = list_take_first(&loop->ready)) != NULL; runs++)
		task_run(OWNER_OF(link, struct task, ready_link));
	while ((link = list_take_first(&loop->yielded)) != NULL) /* at most all tasks */
		list_append(&loop->ready, link);
}

static void wait_for_events(struct loop *loop)
{
	struct epoll_event events[EVENTS_A_TURN];
	int timeout_ms = !list_is_empty(&loop->ready) ? 0 : timer_wheel_next_ms(&loop->wheel, loop->now_us / 1000u);
	bool woken = false;

	if (!list_is_empty(&loop->line) && (timeout_ms < 0 || timeout_ms > LINE_LOOK_MS))
		timeout_ms = LINE_LOOK_MS;
	int count = epoll_wait(loop->epoll_descriptor, events, EVENTS_A_TURN, timeout_ms);
	ASSERT(count >= 0 || errno == EINTR);
	loop->now_us = clock_monotonic_us();
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == &loop->wake)
			woken = true;
		else
			watched_dispatch(events[i].data.ptr, events[i].events);
	}
	timer_wheel_run(&loop->wheel, loop->now_us / 1000u);
	if (woken)
		run_posted(loop);
	watched_serve_line(loop);
}

void loop_run(struct loop *loop)
{
	CHECK_MAGIC(loop, LOOP_MAGIC);
	ASSERT(this_threads_loop == NULL);
	this_threads_loop = loop;
	stack_catch_overflows(loop);
	loop->now_us = clock_monotonic_us();
	while (has_work_left(loop)) {
		run_ready(loop);
		if (has_work_left(loop))
			wait_for_events(loop);
	}
	run_posted(loop); /* what came too late to matter still owns memory */
	timer_clear(&loop->trim_timer);
	stack_stop_catching(loop);
	this_threads_loop = NULL;
}
