/* SPDX-License-Identifier: BSD-2-Clause
 *
 * loop: one epoll loop for each thread, and coroutines ("tasks") on it.
 *
 * A task runs until it waits. There is one way to wait, task_wait(): for a wait queue (or several), with a timeout, and
 * woken by cancellation; all other waits are made of it, and their result must be looked at. A task belongs to the loop
 * that started it and is only touched from that loop's thread; loop_post() is the one function that another thread may call.
 *
 * What waits for long without state on a stack (an idle keep-alive connection) does not hold a task: it is parked
 * (loop_park), costs its own record only, and gets a fresh task when something happens.
 *
 * Bounds: TASK_STACKS_MOST stacks in the process (a guarded stack is two memory mappings and Linux allows 65,530). When they are
 * all in use, task_start() fails with EAGAIN, and parked connections that have become ready wait in line for one.
 */
#ifndef NOAH_LOOP_H
#define NOAH_LOOP_H

#include "base/base.h"

#include <sys/epoll.h>
#include <sys/uio.h>

#define TASK_STACKS_MOST 30000u
#define NO_TIMEOUT (-1)

struct loop;
struct task;

/* ---- what a wait can end in ------------------------------------------------------------------------------------ */

enum wait_result { WAIT_READY, WAIT_TIMEOUT, WAIT_CANCELLED };

/* ---- wait queues: everything that can be waited for (inline record; embed it) --------------------------------- */

struct wait_queue {
	struct list waiters;
};

void wait_queue_init(struct wait_queue *queue);
/* Both may be called with no one waiting. Tasks run later in this turn of the loop, in the order in which they came. */
void wait_queue_wake_one(struct wait_queue *queue);
void wait_queue_wake_all(struct wait_queue *queue);

/* Suspends the running task until the queue is woken, `timeout_ms` has passed (NO_TIMEOUT: never) or the task is
 * cancelled. A queue of NULL sleeps. A cancelled task's every further wait returns WAIT_CANCELLED at once. WAIT_READY means
 * "look again": the caller checks its condition in a loop. */
enum wait_result task_wait(struct wait_queue *queue, int64_t timeout_ms) MUST_CHECK;
/* The same for the first of up to WAIT_ANY_MOST queues. */
#define WAIT_ANY_MOST 4u
enum wait_result task_wait_any(struct wait_queue *const *queues, unsigned count, int64_t timeout_ms) MUST_CHECK;
enum wait_result task_sleep(int64_t duration_ms) MUST_CHECK;
/* Lets everything else that is ready run first, and what the kernel reports meanwhile. */
enum wait_result task_yield(void) MUST_CHECK;
/* Lets the tasks run first that are ready in this turn of the loop. False at once: there are none, or the task is cancelled. */
bool task_pass(void) MUST_CHECK;

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

/* Starts run(argument) on its own stack; it begins in this turn of the loop, after the caller waits or returns. `name` is
 * borrowed for the task's life. NULL with errno EAGAIN (all stacks in use) or ENOMEM. The pointer is valid until run returns. */
struct task *task_start(struct loop *loop, const char *name, void (*run)(void *argument), void *argument) MUST_CHECK;
/* Wakes the task with WAIT_CANCELLED, now and in all its later waits. May be called twice. Not for a task that has ended. */
void task_cancel(struct task *task);
bool task_is_cancelled(void);
struct task *task_current(void); /* NULL outside tasks */
const char *task_name(const struct task *task);

/* The running task's arena (at most TASK_ARENA_MOST bytes), freed when it ends. */
#define TASK_ARENA_MOST (1u << 20)
struct arena *task_arena(void);

/* The undo list: undo(argument) runs when the task ends or rewinds past this point, the newest first. It may not wait. More
 * than TASK_UNDO_MOST entries at once are a programming fault (asserted). */
#define TASK_UNDO_MOST 32u
void task_undo(void (*undo)(void *argument), void *argument);
/* Takes the newest entry with this function and argument off the list without running it (ownership went elsewhere). Asserts
 * that it is there. */
void task_undo_forget(void (*undo)(void *argument), void *argument);

/* A point to which arena and undo list can go back: taken once before the keep-alive loop, rewound after each request. */
struct task_mark {
	struct arena_mark arena;
	unsigned undo_count;
};
struct task_mark task_mark(void);
void task_rewind(struct task_mark mark);

/* ---- loops ------------------------------------------------------------------------------------------------------ */

/* NULL with errno when the kernel gives no descriptors or memory. Owned by the caller; one for each thread. */
struct loop *loop_new(const char *name) MUST_CHECK;
/* Runs in the calling thread until loop_stop. Then every task is cancelled and run to its end, parked records are resumed with
 * WAIT_CANCELLED; returns when none is left. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* from the loop's own thread; from elsewhere: post it */
void loop_free(struct loop *loop); /* after loop_run has returned */
struct loop *loop_current(void);   /* the loop of this thread, NULL if none */
uint64_t loop_now_us(const struct loop *loop); /* the monotonic clock as of this turn: cheap */
unsigned loop_task_count(const struct loop *loop);

/* Runs run(argument) on `loop` soon, not in a task (it may not wait, but may start tasks). From any thread. In order for each
 * sender. The message is allocated; false when memory is out. */
bool loop_post(struct loop *loop, void (*run)(void *argument), void *argument) MUST_CHECK;

/* The same without an allocation: the caller's record, untouched by him until it has run. */
struct loop_message {
	struct list link;
	void (*run)(void *argument);
	void *argument;
	bool allocated; /* private: loop_post's own */
};
void loop_post_message(struct loop *loop, struct loop_message *message);

/* Gives back the memory of stacks that no task has now. On the running loop. */
void loop_trim(struct loop *loop);

/* Runs when the loop is freed, on the thread that frees it: for what a folder keeps for each loop. At most 4 of them. */
void loop_on_free(struct loop *loop, void (*run)(void *argument), void *argument);

/* ---- timers: callbacks without a task (inline record; embed it) ----------------------------------------------- */

struct timer {
	struct list link;
	uint64_t due_ms;
	void (*run)(struct timer *timer); /* may not wait; may set the timer again */
	uint8_t level, slot;
	bool armed;
};

void timer_init(struct timer *timer, void (*run)(struct timer *timer));
/* Within a millisecond; setting again moves it. O(1), made for 100,000. On the running loop. */
void timer_set(struct timer *timer, int64_t after_ms);
void timer_clear(struct timer *timer); /* harmless when not set */

/* ---- descriptors (inline record; embed it) -------------------------------------------------------------------- */

/* A non-blocking descriptor that the loop watches, edge-triggered, registered once for both directions. `readable` and
 * `writable` say what is known: a reader that got EAGAIN or a short read clears `readable` itself and waits. */
struct watched {
	int descriptor; /* -1: none */
	bool readable, writable;
	bool hangup; /* the other side has closed its half or the whole (EPOLLRDHUP, EPOLLHUP, EPOLLERR) */
	uint8_t parking;  /* private: enum parking of watched.c */
	struct wait_queue readers, writers;
	struct loop *loop;
	/* while parked */
	void (*resume)(void *argument, enum wait_result why);
	void *argument;
	const char *task_name;
	enum wait_result why;
	struct list park_link;
	struct timer timer;
};

/* Registers with the running loop. 0 or -errno (ENOSPC, ENOMEM: epoll's limits). The record must stay where it is. */
int watched_add(struct watched *watched, int descriptor) MUST_CHECK;
/* The same for a listening socket that several loops (and the supervisor) share: one of them is woken for each arrival
 * (EPOLLEXCLUSIVE, Linux 4.5). End it with watched_release, since others keep the socket open. */
int watched_add_shared(struct watched *watched, int descriptor) MUST_CHECK;
/* Unregisters and closes; wakes no one (no task may be waiting). Harmless when descriptor is -1. */
void watched_close(struct watched *watched);
/* Unregisters without closing and returns the descriptor, to hand it to another loop. Who waits for it is woken and finds
 * `descriptor` to be -1. */
int watched_release(struct watched *watched) MUST_CHECK;
/* Return at once when the flag is set. */
enum wait_result watched_wait_readable(struct watched *watched, int64_t timeout_ms) MUST_CHECK;
enum wait_result watched_wait_writable(struct watched *watched, int64_t timeout_ms) MUST_CHECK;

/* Parks: the running task (or the callback) must not touch the record after this and should end. When the descriptor becomes
 * readable (or is already) a new task `name` runs resume(argument, WAIT_READY); after `timeout_ms` with WAIT_TIMEOUT; when the loop stops or
 * loop_unpark is called with WAIT_CANCELLED. Exactly one of them, once. */
void loop_park(struct watched *watched, const char *name, int64_t timeout_ms,
               void (*resume)(void *argument, enum wait_result why), void *argument);
/* Resumes it with WAIT_CANCELLED soon. Harmless when it is not parked. */
void loop_unpark(struct watched *watched);

/* ---- work that blocks (offload.c) ----------------------------------------------------------------------------- */

/* Runs on one of OFFLOAD_THREADS threads shared by all loops of the process, in the order of arrival, at most OFFLOAD_QUEUE_MOST
 * waiting. Embed it as the first member of what the work needs, allocated on the heap. */
#define OFFLOAD_THREADS 4u
#define OFFLOAD_QUEUE_MOST 4096u
struct offload {
	void (*work)(struct offload *offload);    /* on a pool thread: touches nothing but its own record */
	void (*release)(struct offload *offload); /* frees it; on the loop's thread */
	/* private */
	struct list link;
	struct loop *loop;
	struct wait_queue done_queue;
	struct loop_message finished;
	uint8_t state; /* under the pool's lock */
	bool done;     /* the loop's own */
	bool unattended;
};
/* Waits for the work. WAIT_READY: it has run; the caller reads its result and calls release. Otherwise the work is abandoned: release
 * is called on this loop once no pool thread uses it; the caller must not touch it again. WAIT_TIMEOUT at once when the queue is full. */
enum wait_result offload_run(struct offload *offload, int64_t timeout_ms) MUST_CHECK;
/* Nobody waits: release is called on this loop when it has run. Callable outside tasks, on the loop's thread. False: the queue is
 * full, and it is still the caller's. */
bool offload_begin(struct loop *loop, struct offload *offload) MUST_CHECK;

#endif
