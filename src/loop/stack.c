/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Stacks for tasks: an unreadable page below each one, a cache for each loop (the last one given back is the next one taken: its
 * pages are warm), and a message when one overflows. The task's record stands at the top of the mapping.
 *
 * A stack is two memory mappings, and Linux allows a process 65,530: hence TASK_STACKS_MOST, counted over all loops. A loop keeps up to
 * STACKS_KEPT free ones; what it held beyond that and did not touch for a second goes back to the kernel.
 */
#include "loop/loop_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_BYTES     4096u
#define STACKS_KEPT     16u
#define TRIM_EVERY_MS   1000
#define SIGNAL_STACK_BYTES (64u * 1024u)

static atomic_uint stacks_in_process;

static struct task *stack_new(void)
{
	if (atomic_fetch_add(&stacks_in_process, 1) >= TASK_STACKS_MOST) {
		atomic_fetch_sub(&stacks_in_process, 1);
		errno = EAGAIN;
		return NULL;
	}
	size_t size = GUARD_BYTES + STACK_BYTES;
	char *mapping = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (mapping == MAP_FAILED || mprotect(mapping + GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE) != 0) {
		if (mapping != MAP_FAILED)
			munmap(mapping, size);
		atomic_fetch_sub(&stacks_in_process, 1);
		errno = ENOMEM;
		return NULL;
	}
	struct task *task = (struct task *)(void *)(mapping + size - ((sizeof(*task) + 63) & ~(size_t)63));
	task->mapping = mapping;
	task->magic = TASK_MAGIC;
	task->state = TASK_CACHED;
	list_init(&task->ready_link);
	list_init(&task->all_link);
	arena_init(&task->arena, TASK_ARENA_MOST);
	return task;
}

static void stack_free(struct task *task)
{
	arena_free(&task->arena);
	context_discard(&task->context);
	munmap(task->mapping, GUARD_BYTES + STACK_BYTES);
	atomic_fetch_sub(&stacks_in_process, 1);
}

struct task *stack_take(struct loop *loop)
{
	struct list *link = list_take_first(&loop->cached_stacks);

	if (link == NULL)
		return stack_new();
	loop->cached_count--;
	if (loop->cached_count < loop->cached_least)
		loop->cached_least = loop->cached_count;
	return OWNER_OF(link, struct task, ready_link);
}

static void free_some_cached(struct loop *loop, unsigned count)
{
	for (; count > 0 && !list_is_empty(&loop->cached_stacks); count--) {
		struct list *coldest = loop->cached_stacks.previous;
		list_remove(coldest);
		loop->cached_count--;
		stack_free(OWNER_OF(coldest, struct task, ready_link));
	}
}

/* Of the free stacks that nobody touched since the last time, half goes. */
static void trim(struct timer *timer)
{
	struct loop *loop = OWNER_OF(timer, struct loop, trim_timer);

	if (loop->cached_least > STACKS_KEPT)
		free_some_cached(loop, (loop->cached_least - STACKS_KEPT + 1) / 2);
	loop->cached_least = loop->cached_count;
	if (loop->cached_count > STACKS_KEPT)
		timer_set(timer, TRIM_EVERY_MS);
}

void stack_give_back(struct loop *loop, struct task *task)
{
	task->state = TASK_CACHED;
	list_prepend(&loop->cached_stacks, &task->ready_link);
	loop->cached_count++;
	if (loop->cached_count > STACKS_KEPT && !loop->trim_timer.armed) {
		loop->cached_least = loop->cached_count;
		timer_init(&loop->trim_timer, trim);
		timer_set(&loop->trim_timer, TRIM_EVERY_MS);
	}
}

void stack_free_cached(struct loop *loop)
{
	free_some_cached(loop, loop->cached_count);
}

/* ---- overflow: the fault lands in a guard page; the handler runs on its own stack and says whose it was ---- */

static struct sigaction previous_action;

static void on_fault(int number, siginfo_t *info, void *context)
{
	struct loop *loop = loop_current();
	struct task *task = loop != NULL ? loop->current : NULL;
	const char *at = info->si_addr;

	if (task != NULL && at >= task->mapping && at < task->mapping + GUARD_BYTES) {
		char text[256];
		int size = snprintf(text, sizeof(text), "noah: stack overflow in task \"%s\": it used all of its %u bytes\n", task->name,
		                    STACK_BYTES);
		ssize_t ignored = write(STDERR_FILENO, text, (size_t)size);
		(void)ignored;
		signal(number, SIG_DFL); /* the instruction runs again and ends the process with this signal */
		return;
	}
	if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != NULL) {
		previous_action.sa_sigaction(number, info, context);
		return;
	}
	signal(number, SIG_DFL);
}

/* For the process; every loop asks, the first one installs it. */
static void install_handler(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK }, present;

	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&lock);
	ASSERT(sigaction(SIGSEGV, NULL, &present) == 0);
	if ((present.sa_flags & SA_SIGINFO) == 0 || present.sa_sigaction != on_fault) {
		previous_action = present;
		ASSERT(sigaction(SIGSEGV, &action, NULL) == 0);
	}
	pthread_mutex_unlock(&lock);
}

void stack_catch_overflows(struct loop *loop)
{
	stack_t stack = { .ss_size = SIGNAL_STACK_BYTES };

	install_handler();
	loop->signal_stack = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (loop->signal_stack == MAP_FAILED) {
		loop->signal_stack = NULL; /* an overflow then ends the process without a message */
		return;
	}
	stack.ss_sp = loop->signal_stack;
	ASSERT(sigaltstack(&stack, NULL) == 0);
}

void stack_stop_catching(struct loop *loop)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	if (loop->signal_stack == NULL)
		return;
	ASSERT(sigaltstack(&off, NULL) == 0);
	munmap(loop->signal_stack, SIGNAL_STACK_BYTES);
	loop->signal_stack = NULL;
}
