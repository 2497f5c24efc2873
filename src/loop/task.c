/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tasks: starting, waiting, waking, ending; the undo list. All on the thread of their loop.
 *
 *   started ──> READY ──> RUNNING ──> (run returned: undone, stack given back)
 *                 ^          │ task_wait
 *                 └─ WAITING <┘
 *        woken, timed out, cancelled
 */
#include "loop/loop_private.h"

#include <errno.h>

/* One for each queue that a wait names; lives on the waiting task's stack. */
struct waiter {
	struct list link;
	struct task *task;
};

/* ---- starting and ending ---- */

static void run_undo_down_to(struct task *task, unsigned count)
{
	while (task->undo_count > count) {
		struct undo_entry entry = task->undo[--task->undo_count];
		entry.undo(entry.argument);
	}
}

/* The bottom function of every task's stack. */
static void task_begin(void)
{
	struct loop *loop = loop_current();
	struct task *task = loop->current;

	context_entered(&task->context, &loop->thread_context);
	task->run(task->argument);
	run_undo_down_to(task, 0);
	task->run = NULL; /* tells task_run that it has ended */
	context_switch(&task->context, &loop->thread_context, true);
	ASSERT(!"an ended task went on");
}

static void on_task_timer(struct timer *timer)
{
	task_make_ready(OWNER_OF(timer, struct task, timer), WAIT_TIMEOUT);
}

struct task *task_start(struct loop *loop, const char *name, void (*run)(void *argument), void *argument)
{
	CHECK_MAGIC(loop, LOOP_MAGIC);
	ASSERT(loop_current() == NULL || loop_current() == loop);
	struct task *task = stack_take(loop);
	if (task == NULL)
		return NULL;
	task->loop = loop;
	task->name = name;
	task->run = run;
	task->argument = argument;
	task->cancelled = loop->stopping;
	task->undo_count = 0;
	timer_init(&task->timer, on_task_timer);
	size_t stack_size = (size_t)((char *)task - (task->mapping + 4096));
	context_prepare(&task->context, task->mapping + 4096, stack_size, task_begin);
	list_append(&loop->tasks, &task->all_link);
	loop->task_count++;
	task->state = TASK_READY;
	list_append(&loop->ready, &task->ready_link);
	return task;
}

void task_run(struct task *task)
{
	struct loop *loop = task->loop;

	CHECK_MAGIC(task, TASK_MAGIC);
	ASSERT(task->state == TASK_READY);
	task->state = TASK_RUNNING;
	loop->current = task;
	context_switch(&loop->thread_context, &task->context, false);
	loop->current = NULL;
	if (task->run != NULL)
		return;
	arena_rewind(&task->arena, (struct arena_mark){ NULL, NULL });
	if (task->arena.held > 64u * 1024u)
		arena_free(&task->arena);
	list_remove(&task->all_link);
	loop->task_count--;
	stack_give_back(loop, task);
	watched_serve_line(loop);
}

/* ---- waiting and waking ---- */

void wait_queue_init(struct wait_queue *queue)
{
	list_init(&queue->waiters);
}

void task_make_ready(struct task *task, enum wait_result result)
{
	CHECK_MAGIC(task, TASK_MAGIC);
	if (task->state != TASK_WAITING)
		return; /* something else came first; its result stands */
	task->state = TASK_READY;
	task->result = result;
	list_append(&task->loop->ready, &task->ready_link);
}

void wait_queue_wake_one(struct wait_queue *queue)
{
	LIST_EACH_SAFE (link, &queue->waiters) {
		struct waiter *waiter = OWNER_OF(link, struct waiter, link);
		list_remove(link);
		/* One that has been woken by something else does not use this one up. */
		if (waiter->task->state == TASK_WAITING) {
			task_make_ready(waiter->task, WAIT_READY);
			return;
		}
	}
}

void wait_queue_wake_all(struct wait_queue *queue)
{
	struct list *link;

	while ((link = list_take_first(&queue->waiters)) != NULL)
		task_make_ready(OWNER_OF(link, struct waiter, link)->task, WAIT_READY);
}

enum wait_result task_wait_any(struct wait_queue *const *queues, unsigned count, int64_t timeout_ms)
{
	struct waiter waiters[WAIT_ANY_MOST];
	struct task *task = task_current();

	CHECK_MAGIC(task, TASK_MAGIC);
	ASSERT(count <= WAIT_ANY_MOST);
	if (task->cancelled)
		return WAIT_CANCELLED;
	for (unsigned i = 0; i < count; i++) {
		waiters[i].task = task;
		list_append(&queues[i]->waiters, &waiters[i].link);
	}
	if (timeout_ms >= 0)
		timer_set(&task->timer, timeout_ms);
	task->state = TASK_WAITING;
	context_switch(&task->context, &task->loop->thread_context, false);
	timer_clear(&task->timer);
	for (unsigned i = 0; i < count; i++)
		list_remove(&waiters[i].link);
	return task->result;
}

enum wait_result task_wait(struct wait_queue *queue, int64_t timeout_ms)
{
	return task_wait_any(&queue, queue != NULL ? 1 : 0, timeout_ms);
}

enum wait_result task_sleep(int64_t duration_ms)
{
	enum wait_result result = task_wait(NULL, duration_ms);
	return result == WAIT_TIMEOUT ? WAIT_READY : result;
}

enum wait_result task_yield(void)
{
	struct task *task = task_current();

	CHECK_MAGIC(task, TASK_MAGIC);
	if (task->cancelled)
		return WAIT_CANCELLED;
	task->state = TASK_READY;
	task->result = WAIT_READY;
	list_append(&task->loop->yielded, &task->ready_link);
	context_switch(&task->context, &task->loop->thread_context, false);
	return task->result;
}

bool task_pass(void)
{
	struct task *task = task_current();

	CHECK_MAGIC(task, TASK_MAGIC);
	if (task->cancelled || list_is_empty(&task->loop->ready))
		return false;
	task->state = TASK_READY;
	task->result = WAIT_READY;
	list_append(&task->loop->ready, &task->ready_link);
	context_switch(&task->context, &task->loop->thread_context, false);
	return true;
}

void task_cancel(struct task *task)
{
	CHECK_MAGIC(task, TASK_MAGIC);
	ASSERT(task->state != TASK_CACHED);
	task->cancelled = true;
	task_make_ready(task, WAIT_CANCELLED);
}

bool task_is_cancelled(void)
{
	struct task *task = task_current();
	return task != NULL && task->cancelled;
}

/* ---- what belongs to the running task ---- */

struct task *task_current(void)
{
	struct loop *loop = loop_current();
	return loop != NULL ? loop->current : NULL;
}

const char *task_name(const struct task *task)
{
	return task->name;
}

struct arena *task_arena(void)
{
	struct task *task = task_current();
	CHECK_MAGIC(task, TASK_MAGIC);
	return &task->arena;
}

void task_undo(void (*undo)(void *argument), void *argument)
{
	struct task *task = task_current();

	CHECK_MAGIC(task, TASK_MAGIC);
	ASSERT(task->undo_count < TASK_UNDO_MOST);
	task->undo[task->undo_count++] = (struct undo_entry){ undo, argument };
}

void task_undo_forget(void (*undo)(void *argument), void *argument)
{
	struct task *task = task_current();

	CHECK_MAGIC(task, TASK_MAGIC);
	for (unsigned i = task->undo_count; i-- > 0;) {
		if (task->undo[i].undo != undo || task->undo[i].argument != argument)
			continue;
		memmove(&task->undo[i], &task->undo[i + 1], (task->undo_count - i - 1) * sizeof(task->undo[0]));
		task->undo_count--;
		return;
	}
	ASSERT(!"the undo entry to forget is not there");
}

struct task_mark task_mark(void)
{
	struct task *task = task_current();
	CHECK_MAGIC(task, TASK_MAGIC);
	return (struct task_mark){ .arena = arena_mark(&task->arena), .undo_count = task->undo_count };
}

void task_rewind(struct task_mark mark)
{
	struct task *task = task_current();

	CHECK_MAGIC(task, TASK_MAGIC);
	run_undo_down_to(task, mark.undo_count);
	arena_rewind(&task->arena, mark.arena);
}
