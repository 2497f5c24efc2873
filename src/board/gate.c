/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Gates: a cap on the connections to one address, true over all traffic threads and program generations, and the one queue of
 * those that wait for a connection to it. Used by upstream/ on traffic's threads (each by its lane), and by the supervisor when a
 * traffic process has ended. An address without a cap has no gate and costs nothing here.
 *
 * A *slot* is one connection: being opened, in use, or idle in some thread's pool (an app process is busy with a kept connection
 * too). A waiter draws a *ticket* once; its order is the order of service, also when the waiter moves to another gate. A waiter
 * may stand at the gates of all servers that could serve it; where it is granted a slot first, it goes, and leaves the others.
 *
 *                   board_gate_try                        board_gate_release
 *      (nobody waits and a slot is free) ────────► held ────────────────────────► free ──┐ the next waiter's
 *                                                   ▲ │ board_gate_hand_over             │
 *      board_gate_queue          grant              │ │ (to a waiter of the same lane)   │
 *      ───────────────► waiting ───────► granted ───┘ ▼                                  │
 *                          │     ▲          │    board_gate_collect                      │
 *                          │     └──────────┼─────────────────────────────────────────────┘
 *                          └───────► gone ◄─┘ board_gate_leave (a granted slot goes on to the next)
 *
 * The queue is an array in the order of tickets; one word is one waiter: its ticket, whether it is granted, its lane. Slots in
 * use are the sum of all lanes' `held` and the granted words; that sum is made anew each time, so no count can go wrong when a
 * process is killed in the middle: `held` of a lane is written by its own thread alone, and words are moved in such an order that
 * one may stand there twice for a moment, but is never lost. A lane that is granted a slot for a ticket it does not know (any
 * more) gives it back.
 *
 * The lock is held for less than a microsecond, and never two at once. A holder that is killed has its lock taken away by
 * board_gate_forget; one that does not come back for LOCK_PATIENCE_US (its process was stopped just there) loses it too.
 */
#include "board/board.h"

#include <sched.h>

#define LOCK_SPINS       64u
#define LOCK_PATIENCE_US 200000u
#define SUPERVISOR_LANE  BOARD_LANES_MOST

#define TICKET_SHIFT 16u
#define GRANTED      (UINT64_C(1) << 15)
#define LANE_MASK    (BOARD_LANES_MOST - 1u)

static uint64_t ticket_of(uint64_t word)
{
	return word >> TICKET_SHIFT;
}

static unsigned lane_of(uint64_t word)
{
	return (unsigned)(word & LANE_MASK);
}

/* ---- the lock ------------------------------------------------------------------------------------------------- */

static void gate_lock(struct board_gate *gate, unsigned lane)
{
	uint64_t since_us = 0;
	for (unsigned tries = 1;; tries++) { /* ends after LOCK_PATIENCE_US */
		unsigned expected = 0;
		if (atomic_compare_exchange_weak_explicit(&gate->lock, &expected, lane + 1, memory_order_acquire, memory_order_relaxed))
			return;
		if (tries % LOCK_SPINS != 0)
			continue;
		uint64_t now_us = clock_monotonic_us();
		if (since_us == 0)
			since_us = now_us;
		if (now_us - since_us > LOCK_PATIENCE_US) {
			LOG_LIMITED(LOG_WARNING, 1000, "the gate of an app was locked for too long by lane %u; taken over", expected - 1);
			atomic_exchange_explicit(&gate->lock, lane + 1, memory_order_acquire);
			return;
		}
		sched_yield();
	}
}

static void gate_unlock(struct board_gate *gate, unsigned lane)
{
	unsigned expected = lane + 1; /* or it was taken away */
	atomic_compare_exchange_strong_explicit(&gate->lock, &expected, 0, memory_order_release, memory_order_relaxed);
}

/* ---- the queue, under the lock -------------------------------------------------------------------------------- */

static unsigned queue_count(const struct board_gate *gate)
{
	unsigned count = atomic_load_explicit(&gate->queued, memory_order_relaxed);
	return count < BOARD_QUEUE_MOST ? count : BOARD_QUEUE_MOST;
}

static uint64_t queue_word(const struct board_gate *gate, unsigned index)
{
	return atomic_load_explicit(&gate->queue[index], memory_order_relaxed);
}

/* Release: in the order of the program, also for who finds what a killed process has left. */
static void queue_store(struct board_gate *gate, unsigned index, uint64_t word)
{
	atomic_store_explicit(&gate->queue[index], word, memory_order_release);
}

static void queue_insert(struct board_gate *gate, uint64_t word)
{
	unsigned count = queue_count(gate), at = count;
	if (count == BOARD_QUEUE_MOST) /* as in queue_remove; he waits in vain, as long as he would at a full queue's end */
		return;
	while (at > 0 && ticket_of(queue_word(gate, at - 1)) > ticket_of(word)) /* nearly always it is the newest */
		at--;
	queue_store(gate, count, at == count ? word : queue_word(gate, count - 1));
	atomic_store_explicit(&gate->queued, count + 1, memory_order_release);
	for (unsigned i = count; i > at; i--)
		queue_store(gate, i, queue_word(gate, i - 1));
	queue_store(gate, at, word);
}

static void queue_remove(struct board_gate *gate, unsigned at)
{
	unsigned count = queue_count(gate);
	if (count == 0) /* this thread was stopped in here, its lock was taken away, and others have emptied the queue meanwhile */
		return;
	for (unsigned i = at; i + 1 < count; i++)
		queue_store(gate, i, queue_word(gate, i + 1));
	atomic_store_explicit(&gate->queued, count - 1, memory_order_release);
}

/* ---- slots, under the lock ------------------------------------------------------------------------------------ */

static unsigned lanes_used(const struct board *board)
{
	unsigned lanes = atomic_load_explicit(&board->lane_count, memory_order_relaxed);
	return lanes < BOARD_LANES_MOST ? lanes : BOARD_LANES_MOST;
}

static void tell(struct board_lanes *lanes, unsigned lane)
{
	lanes->bits[lane / 64] |= UINT64_C(1) << lane % 64;
}

static uint64_t slots_held(const struct board *board, const struct board_gate *gate)
{
	uint64_t sum = 0;
	for (unsigned lane = 0; lane < lanes_used(board); lane++)
		sum += atomic_load_explicit(&gate->held[lane], memory_order_relaxed);
	return sum;
}

/* Free slots go to those that wait longest. Returns how many slots are used. */
static uint64_t grant(const struct board *board, struct board_gate *gate, struct board_lanes *lanes)
{
	uint64_t used = slots_held(board, gate), most = atomic_load_explicit(&gate->connections_most, memory_order_relaxed);
	unsigned count = queue_count(gate);
	for (unsigned i = 0; i < count; i++)
		used += (queue_word(gate, i) & GRANTED) != 0;
	for (unsigned i = 0; i < count && (most == 0 || used < most); i++) {
		uint64_t word = queue_word(gate, i);
		if ((word & GRANTED) != 0)
			continue;
		queue_store(gate, i, word | GRANTED);
		tell(lanes, lane_of(word));
		used++;
	}
	return used;
}

static void add_held(struct board_gate *gate, unsigned lane, int amount)
{
	unsigned held = atomic_load_explicit(&gate->held[lane], memory_order_relaxed);
	ASSERT(amount > 0 || held > 0);
	atomic_store_explicit(&gate->held[lane], held + (unsigned)amount, memory_order_relaxed);
}

/* ---- what a lane does ----------------------------------------------------------------------------------------- */

uint64_t board_gate_ticket(struct board *board)
{
	return atomic_fetch_add_explicit(&board->tickets, 1, memory_order_relaxed) + 1;
}

bool board_gate_try(const struct board *board, struct board_gate *gate, unsigned lane)
{
	struct board_lanes told = {{0}}; /* nobody, unless the cap was raised: they look by themselves soon */
	gate_lock(gate, lane);
	uint64_t most = atomic_load_explicit(&gate->connections_most, memory_order_relaxed), used = grant(board, gate, &told);
	bool is_free = (most == 0 || used < most) && board_gate_waiting(gate) == 0;
	if (is_free)
		add_held(gate, lane, 1);
	gate_unlock(gate, lane);
	return is_free;
}

bool board_gate_queue(const struct board *board, struct board_gate *gate, unsigned lane, uint64_t ticket, unsigned queue_most,
                      struct board_lanes *lanes)
{
	gate_lock(gate, lane);
	bool has_room = board_gate_waiting(gate) < queue_most && queue_count(gate) < BOARD_QUEUE_MOST;
	if (has_room) {
		queue_insert(gate, ticket << TICKET_SHIFT | lane);
		grant(board, gate, lanes);
		/* Whoever keeps an idle connection gives it up. Either it is seen here, or its lane sees the queue afterwards. */
		atomic_thread_fence(memory_order_seq_cst);
		for (unsigned other = 0; other < lanes_used(board); other++)
			if (atomic_load_explicit(&gate->idle[other], memory_order_relaxed) != 0)
				tell(lanes, other);
	}
	gate_unlock(gate, lane);
	return has_room;
}

void board_gate_leave(const struct board *board, struct board_gate *gate, unsigned lane, uint64_t ticket,
                      struct board_lanes *lanes)
{
	gate_lock(gate, lane);
	for (unsigned i = queue_count(gate); i-- > 0;) /* twice, if a process was killed in the middle of moving it */
		if (ticket_of(queue_word(gate, i)) == ticket)
			queue_remove(gate, i);
	grant(board, gate, lanes);
	gate_unlock(gate, lane);
}

unsigned board_gate_collect(const struct board *board, struct board_gate *gate, unsigned lane, uint64_t *tickets, unsigned most)
{
	struct board_lanes told = {{0}}; /* nobody, unless the cap was raised: they look by themselves soon */
	unsigned count = 0;
	if (atomic_load_explicit(&gate->queued, memory_order_acquire) == 0)
		return 0;
	gate_lock(gate, lane);
	grant(board, gate, &told);
	for (unsigned i = 0; i < queue_count(gate) && count < most;) {
		uint64_t word = queue_word(gate, i);
		if (lane_of(word) != lane || (word & GRANTED) == 0) {
			i++;
			continue;
		}
		add_held(gate, lane, 1); /* first: a slot may be counted twice, never not at all */
		queue_remove(gate, i);
		tickets[count++] = ticket_of(word);
	}
	gate_unlock(gate, lane);
	return count;
}

void board_gate_release(const struct board *board, struct board_gate *gate, unsigned lane, struct board_lanes *lanes)
{
	gate_lock(gate, lane);
	add_held(gate, lane, -1);
	if (queue_count(gate) > 0)
		grant(board, gate, lanes);
	gate_unlock(gate, lane);
}

uint64_t board_gate_hand_over(const struct board *board, struct board_gate *gate, unsigned lane)
{
	struct board_lanes told = {{0}};
	uint64_t ticket = 0;
	gate_lock(gate, lane);
	uint64_t most = atomic_load_explicit(&gate->connections_most, memory_order_relaxed);
	bool too_many = most != 0 && grant(board, gate, &told) > most; /* the cap was lowered */
	for (unsigned i = 0; i < queue_count(gate) && !too_many; i++) {
		uint64_t word = queue_word(gate, i);
		if ((word & GRANTED) != 0)
			continue;
		if (lane_of(word) == lane) {
			ticket = ticket_of(word);
			queue_remove(gate, i);
		}
		break;
	}
	gate_unlock(gate, lane);
	return ticket;
}

unsigned board_gate_waiting(const struct board_gate *gate)
{
	unsigned count = queue_count(gate), waiting = 0;
	for (unsigned i = 0; i < count; i++)
		waiting += (queue_word(gate, i) & GRANTED) == 0;
	return waiting;
}

void board_gate_note_idle(struct board_gate *gate, unsigned lane, unsigned count)
{
	atomic_store_explicit(&gate->idle[lane], count, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* see board_gate_queue */
}

/* ---- what the supervisor does --------------------------------------------------------------------------------- */

void board_gate_forget(const struct board *board, struct board_gate *gate, unsigned lane)
{
	struct board_lanes told = {{0}}; /* they look by themselves soon */
	unsigned dead = lane + 1;
	bool had = atomic_load(&gate->held[lane]) != 0 || atomic_load(&gate->idle[lane]) != 0;
	had |= atomic_compare_exchange_strong(&gate->lock, &dead, 0);
	if (!had && atomic_load(&gate->queued) == 0)
		return;
	gate_lock(gate, SUPERVISOR_LANE);
	atomic_store(&gate->held[lane], 0);
	atomic_store(&gate->idle[lane], 0);
	for (unsigned i = queue_count(gate); i-- > 0;)
		if (lane_of(queue_word(gate, i)) == lane)
			queue_remove(gate, i);
	grant(board, gate, &told);
	gate_unlock(gate, SUPERVISOR_LANE);
}
