/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Descriptors on the loop: registered once, edge-triggered, for both directions; tasks that wait for them; and parking, where
 * no task waits but one is started when something happens.
 *
 * A parked record is on loop->parked. Once it is ready it gets a task, or, when all stacks are in use, stands in loop->line
 * until one is free (in the order of arrival; bounded by the number of descriptors).
 */
#include "loop/loop_private.h"

#include <errno.h>
#include <unistd.h>

enum parking { NOT_PARKED, PARKED, IN_LINE };

static void on_park_timer(struct timer *timer);

static int add(struct watched *watched, int descriptor, uint32_t events)
{
	struct loop *loop = loop_current();

	CHECK_MAGIC(loop, LOOP_MAGIC);
	*watched = (struct watched){ .descriptor = descriptor, .writable = true, .loop = loop };
	wait_queue_init(&watched->readers);
	wait_queue_init(&watched->writers);
	list_init(&watched->park_link);
	timer_init(&watched->timer, on_park_timer);
	struct epoll_event event = { .events = events, .data.ptr = watched };
	if (epoll_ctl(loop->epoll_descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0) {
		watched->descriptor = -1;
		return -errno;
	}
	return 0;
}

int watched_add(struct watched *watched, int descriptor)
{
	return add(watched, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

int watched_add_shared(struct watched *watched, int descriptor)
{
	return add(watched, descriptor, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE);
}

static void forget(struct watched *watched)
{
	ASSERT(list_is_empty(&watched->readers.waiters) && list_is_empty(&watched->writers.waiters));
	timer_clear(&watched->timer);
	list_remove(&watched->park_link);
	watched->parking = NOT_PARKED;
	watched->descriptor = -1;
}

void watched_close(struct watched *watched)
{
	int descriptor = watched->descriptor;

	if (descriptor < 0)
		return;
	forget(watched);
	close(descriptor); /* which also takes it off the epoll set: it is never duplicated */
}

int watched_release(struct watched *watched)
{
	int descriptor = watched->descriptor;

	ASSERT(descriptor >= 0);
	ASSERT(epoll_ctl(watched->loop->epoll_descriptor, EPOLL_CTL_DEL, descriptor, NULL) == 0);
	wait_queue_wake_all(&watched->readers);
	wait_queue_wake_all(&watched->writers);
	forget(watched);
	return descriptor;
}

enum wait_result watched_wait_readable(struct watched *watched, int64_t timeout_ms)
{
	if (watched->readable)
		return WAIT_READY;
	return task_wait(&watched->readers, timeout_ms);
}

enum wait_result watched_wait_writable(struct watched *watched, int64_t timeout_ms)
{
	if (watched->writable)
		return WAIT_READY;
	return task_wait(&watched->writers, timeout_ms);
}

/* ---- parking ---- */

static void resumed_task(void *argument)
{
	struct watched *watched = argument;
	watched->resume(watched->argument, watched->why);
}

/* False when there is no stack. */
static bool start_resumed(struct watched *watched)
{
	if (task_start(watched->loop, watched->task_name, resumed_task, watched) == NULL)
		return false;
	watched->parking = NOT_PARKED;
	return true;
}

static void resume(struct watched *watched, enum wait_result why)
{
	timer_clear(&watched->timer);
	list_remove(&watched->park_link);
	watched->why = why;
	if (!start_resumed(watched)) {
		LOG_LIMITED(LOG_WARNING, 10000, "no stack for task \"%s\": all %u are in use; connections wait in line", watched->task_name,
		            TASK_STACKS_MOST);
		watched->parking = IN_LINE;
		list_append(&watched->loop->line, &watched->park_link);
	}
}

void watched_serve_line(struct loop *loop)
{
	while (!list_is_empty(&loop->line)) {
		struct watched *watched = OWNER_OF(loop->line.next, struct watched, park_link);
		if (!start_resumed(watched))
			return;
		list_remove(&watched->park_link);
	}
}

static void on_park_timer(struct timer *timer)
{
	resume(OWNER_OF(timer, struct watched, timer), WAIT_TIMEOUT);
}

void loop_park(struct watched *watched, const char *name, int64_t timeout_ms,
               void (*resume_with)(void *argument, enum wait_result why), void *argument)
{
	struct loop *loop = watched->loop;

	CHECK_MAGIC(loop, LOOP_MAGIC);
	ASSERT(loop == loop_current() && watched->descriptor >= 0 && watched->parking == NOT_PARKED);
	watched->resume = resume_with;
	watched->argument = argument;
	watched->task_name = name;
	watched->parking = PARKED;
	list_append(&loop->parked, &watched->park_link);
	if (loop->stopping)
		resume(watched, WAIT_CANCELLED);
	else if (watched->readable)
		resume(watched, WAIT_READY);
	else if (timeout_ms >= 0)
		timer_set(&watched->timer, timeout_ms);
}

void loop_unpark(struct watched *watched)
{
	if (watched->parking == PARKED)
		resume(watched, WAIT_CANCELLED);
	else if (watched->parking == IN_LINE)
		watched->why = WAIT_CANCELLED; /* it keeps its place */
}

/* What epoll_wait reported. Runs no task, so no record goes away while other events of the same turn still point to it. */
void watched_dispatch(struct watched *watched, uint32_t events)
{
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		watched->hangup = true;
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
		watched->readable = true;
		wait_queue_wake_all(&watched->readers);
		if (watched->parking == PARKED)
			resume(watched, WAIT_READY);
	}
	if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
		watched->writable = true;
		wait_queue_wake_all(&watched->writers);
	}
}
