/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Work that blocks (hashing a password, reading a cold file) on a few threads, while a task waits for it. The threads start with
 * the first piece of work and live as long as the process.
 *
 * QUEUED ──thread──> RUNNING ──thread──> finished message ──loop──> done (the task takes it) or released (it was abandoned)
 * A task that gives up while QUEUED takes the work back; while RUNNING it marks it ABANDONED and goes away.
 */
#include "loop/loop_private.h"

#include <signal.h>

enum offload_state { OFFLOAD_QUEUED, OFFLOAD_RUNNING, OFFLOAD_ABANDONED };

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_work = PTHREAD_COND_INITIALIZER;
static struct list pool_queue = { &pool_queue, &pool_queue };
static unsigned pool_queued, pool_threads;

/* On the loop that asked. */
static void finished(void *argument)
{
	struct offload *offload = argument;

	offload->loop->offloads--;
	if (offload->unattended || offload->state == OFFLOAD_ABANDONED) {
		offload->release(offload);
		return;
	}
	offload->done = true;
	wait_queue_wake_all(&offload->done_queue);
}

static void *pool_thread(void *unused)
{
	for (;;) {
		pthread_mutex_lock(&pool_lock);
		while (list_is_empty(&pool_queue))
			pthread_cond_wait(&pool_work, &pool_lock);
		struct offload *offload = OWNER_OF(list_take_first(&pool_queue), struct offload, link);
		pool_queued--;
		offload->state = OFFLOAD_RUNNING;
		pthread_mutex_unlock(&pool_lock);
		offload->work(offload);
		loop_post_message(offload->loop, &offload->finished);
	}
	return unused;
}

/* Under the lock. False when there is no thread at all and none can be made. */
static bool start_threads(void)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that minds the process */
	while (pool_threads < OFFLOAD_THREADS) {
		pthread_t thread;
		pthread_attr_t attributes;
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, 256u * 1024u);
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		int failed = pthread_create(&thread, &attributes, pool_thread, NULL);
		pthread_attr_destroy(&attributes);
		if (failed != 0)
			break;
		pool_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pool_threads > 0;
}

static bool enqueue(struct offload *offload)
{
	bool queued = false;

	pthread_mutex_lock(&pool_lock);
	if (pool_queued < OFFLOAD_QUEUE_MOST && start_threads()) {
		offload->state = OFFLOAD_QUEUED;
		list_append(&pool_queue, &offload->link);
		pool_queued++;
		queued = true;
		pthread_cond_signal(&pool_work);
	}
	pthread_mutex_unlock(&pool_lock);
	return queued;
}

/* The waiting task gives up. */
static void abandon(struct offload *offload)
{
	bool taken_back = false;

	pthread_mutex_lock(&pool_lock);
	if (offload->state == OFFLOAD_QUEUED) {
		list_remove(&offload->link);
		pool_queued--;
		taken_back = true;
	} else if (offload->state == OFFLOAD_RUNNING) {
		offload->state = OFFLOAD_ABANDONED; /* only the loop's thread reads this later, in finished() */
	}
	pthread_mutex_unlock(&pool_lock);
	if (taken_back) {
		offload->loop->offloads--;
		offload->release(offload);
	}
}

static void prepare(struct offload *offload, struct loop *loop, bool unattended)
{
	CHECK_MAGIC(loop, LOOP_MAGIC);
	offload->loop = loop;
	offload->unattended = unattended;
	offload->done = false;
	wait_queue_init(&offload->done_queue);
	offload->finished = (struct loop_message){ .run = finished, .argument = offload };
}

bool offload_begin(struct loop *loop, struct offload *offload)
{
	prepare(offload, loop, true);
	if (!enqueue(offload))
		return false;
	loop->offloads++;
	return true;
}

enum wait_result offload_run(struct offload *offload, int64_t timeout_ms)
{
	struct loop *loop = loop_current();

	prepare(offload, loop, false);
	if (task_is_cancelled()) {
		offload->release(offload);
		return WAIT_CANCELLED;
	}
	if (!enqueue(offload)) {
		offload->release(offload);
		return WAIT_TIMEOUT;
	}
	loop->offloads++;
	enum wait_result result = task_wait(&offload->done_queue, timeout_ms);
	if (offload->done)
		return WAIT_READY; /* also when it was ready in the same turn as the timeout */
	abandon(offload);
	return result;
}
