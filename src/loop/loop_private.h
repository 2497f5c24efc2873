/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of loop/ share with one another and with nobody else.
 */
#ifndef NOAH_LOOP_PRIVATE_H
#define NOAH_LOOP_PRIVATE_H

#include "loop/loop.h"

#include <pthread.h>
#include <stdatomic.h>

#if defined(__SANITIZE_ADDRESS__)
#define LOOP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOOP_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define LOOP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOOP_TSAN 1
#endif
#endif
#ifndef LOOP_ASAN
#define LOOP_ASAN 0
#endif
#ifndef LOOP_TSAN
#define LOOP_TSAN 0
#endif

/* ---- switching stacks (switch.c) ---- */

/* Where a stack of execution stands while another one runs. */
struct context {
	void *stack_pointer; /* or, in the portable form, its ucontext_t */
	char *stack_low;     /* lowest usable address and size: for the sanitizers; the thread's own stack has NULL, 0 */
	size_t stack_size;
	void *fake_stack;   /* address sanitizer */
	void *thread_fiber; /* thread sanitizer */
};

/* Makes `context` start at entry(), which must never return, on the given stack. */
void context_prepare(struct context *context, char *stack_low, size_t stack_size, void (*entry)(void));
/* Leaves `from` and goes on in `to`; returns when somebody switches back. `from_ends`: it never will be. */
void context_switch(struct context *from, struct context *to, bool from_ends);
/* The first thing that entry() calls. */
void context_entered(struct context *context, struct context *from);
void context_discard(struct context *context);

/* ---- stacks (stack.c) ---- */

#if LOOP_ASAN || LOOP_TSAN
#define STACK_BYTES (512u * 1024u)
#else
#define STACK_BYTES (64u * 1024u)
#endif

/* A task lives at the top of its own stack's mapping, so a cached stack brings its record and its arena's first chunk along. */
struct undo_entry {
	void (*undo)(void *argument);
	void *argument;
};

enum task_state { TASK_CACHED, TASK_READY, TASK_RUNNING, TASK_WAITING };

#define TASK_MAGIC 0x7461736bu
struct task {
	uint32_t magic;
	uint8_t state; /* enum task_state */
	bool cancelled;
	enum wait_result result; /* of the wait that has just ended */
	struct list ready_link;  /* loop->ready or ->yielded while TASK_READY, loop->cached_stacks while TASK_CACHED */
	struct list all_link;    /* loop->tasks */
	struct loop *loop;
	const char *name;
	void (*run)(void *argument);
	void *argument;
	struct context context;
	struct timer timer;
	struct arena arena;
	unsigned undo_count;
	struct undo_entry undo[TASK_UNDO_MOST];
	char *mapping; /* guard page first */
};

/* A task record with a stack, from the loop's cache or new. NULL with errno EAGAIN or ENOMEM. */
struct task *stack_take(struct loop *loop) MUST_CHECK;
void stack_give_back(struct loop *loop, struct task *task);
void stack_free_cached(struct loop *loop);
void stack_catch_overflows(struct loop *loop); /* for the running thread */
void stack_stop_catching(struct loop *loop);

/* ---- timers (timer.c) ---- */

#define WHEEL_LEVELS 6u
#define WHEEL_SLOTS  64u
struct timer_wheel {
	uint64_t elapsed_ms;
	uint64_t occupied[WHEEL_LEVELS]; /* bit for each slot that is not empty */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms);
/* Milliseconds until the wheel wants to run, -1 when it is empty; at most INT_MAX. */
int timer_wheel_next_ms(const struct timer_wheel *wheel, uint64_t now_ms);

/* ---- the loop ---- */

#define LOOP_HOOKS_MOST 4u
struct loop_hook {
	void (*run)(void *argument);
	void *argument;
};

#define LOOP_MAGIC 0x6c6f6f70u
struct loop {
	uint32_t magic;
	const char *name;
	int epoll_descriptor;
	struct watched wake; /* eventfd */
	uint64_t now_us;
	bool stopping;
	struct task *current;
	struct context thread_context;
	struct list ready;   /* tasks that can go on */
	struct list yielded; /* and those that do so in the next turn only */
	struct list tasks; /* all */
	unsigned task_count;
	struct list parked;       /* watched records */
	struct list line;         /* parked ones that are ready but found no stack */
	struct list cached_stacks;
	unsigned cached_count, cached_least; /* least: since the last trim */
	struct timer trim_timer;
	struct timer_wheel wheel;
	unsigned offloads; /* under way or abandoned */
	pthread_mutex_t posted_lock;
	struct list posted;
	atomic_bool wake_sent;
	struct loop_hook free_hooks[LOOP_HOOKS_MOST];
	unsigned free_hook_count;
	void *signal_stack;
};

void task_make_ready(struct task *task, enum wait_result result);
void task_run(struct task *task);
/* A stack became free: whoever waits in line for one gets it. */
void watched_serve_line(struct loop *loop);
void watched_dispatch(struct watched *watched, uint32_t events);

#endif
