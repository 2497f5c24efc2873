/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The line: all those of one traffic thread that wait for a connection to a capped address, and what this thread has to do for
 * those of others. The order of service is the board's (board/gate.c); here it is only found out whose turn it is.
 *
 * A thread that changes something at a gate (frees a slot, asks for one that another thread keeps idle) is told by the gate which
 * lanes have something to look at. Lanes of this process get a message on their loop; those of other processes (another program
 * generation) look by themselves every BOARD_GATE_LOOK_MS, as long as they wait or keep idle connections to a capped address.
 * That look also finds servers that went down or came up while somebody waits.
 */
#include "upstream/upstream_private.h"

#include <pthread.h>
#include <stdlib.h>

#define COLLECT_AT_ONCE 32u

struct upstream_line {
	struct loop *loop;
	struct board *board;
	unsigned lane;
	unsigned capped_idle; /* idle connections to capped addresses */
	struct list cores;    /* struct upstream_core: those of HTTP and of TCP services */
	struct list waiters;  /* struct upstream_waiter; at most BOARD_QUEUE_MOST at each gate */
	struct timer look_timer;
	struct loop_message message;
	atomic_bool told; /* the message is on its way */
};

static _Thread_local struct upstream_line *this_threads_line;

/* Those of this process, by lane. */
static struct {
	pthread_mutex_t lock;
	struct upstream_line *lines[BOARD_LANES_MOST];
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void look(struct upstream_line *line);
static void look_again_later(struct upstream_line *line);

/* ---- telling lanes -------------------------------------------------------------------------------------------- */

static void be_told(void *argument)
{
	struct upstream_line *line = argument;
	atomic_store(&line->told, false);
	look(line);
}

static void tell_lane(unsigned lane)
{
	pthread_mutex_lock(&registry.lock);
	struct upstream_line *line = registry.lines[lane];
	if (line != NULL && !atomic_exchange(&line->told, true))
		loop_post_message(line->loop, &line->message);
	pthread_mutex_unlock(&registry.lock);
}

static void tell(const struct board_lanes *lanes)
{
	for (unsigned word = 0; word < COUNT_OF(lanes->bits); word++)
		for (uint64_t bits = lanes->bits[word]; bits != 0; bits &= bits - 1)
			tell_lane(word * 64 + (unsigned)__builtin_ctzll(bits));
}

/* ---- joining and parting -------------------------------------------------------------------------------------- */

static void tick(struct timer *timer);

static void line_free(void *argument)
{
	struct upstream_line *line = argument;
	ASSERT(list_is_empty(&line->cores) && list_is_empty(&line->waiters));
	if (this_threads_line == line)
		this_threads_line = NULL;
	free(line);
}

/* NULL when memory is out. */
static struct upstream_line *line_new(struct upstream_core *core)
{
	struct upstream_line *line = calloc(1, sizeof(*line));
	if (line == NULL)
		return NULL;
	line->loop = core->loop;
	line->board = core->board;
	line->lane = (unsigned)(core->lane - core->board->lanes);
	list_init(&line->cores);
	list_init(&line->waiters);
	timer_init(&line->look_timer, tick);
	line->message = (struct loop_message){.run = be_told, .argument = line};
	/* Not before: a message to it may still be on the loop's list. */
	loop_on_free(core->loop, line_free, line);
	this_threads_line = line;
	return line;
}

static void set_registered(unsigned lane, struct upstream_line *line)
{
	pthread_mutex_lock(&registry.lock);
	registry.lines[lane] = line;
	pthread_mutex_unlock(&registry.lock);
}

struct upstream_line *upstream_line_join(struct upstream_core *core)
{
	struct upstream_line *line = this_threads_line;
	if (line == NULL || line->loop != core->loop)
		line = line_new(core);
	ASSERT(line != NULL); /* while the thread is set up */
	if (list_is_empty(&line->cores))
		set_registered(line->lane, line);
	list_append(&line->cores, &core->line_link);
	return line;
}

void upstream_line_part(struct upstream_core *core)
{
	struct upstream_line *line = core->line;
	list_remove(&core->line_link);
	if (!list_is_empty(&line->cores))
		return;
	set_registered(line->lane, NULL);
	timer_clear(&line->look_timer);
}

unsigned upstream_line_lane(const struct upstream_line *line)
{
	return line->lane;
}

/* ---- standing and leaving ------------------------------------------------------------------------------------- */

static void enlist(struct upstream_line *line, struct upstream_waiter *waiter)
{
	struct list *behind = line->waiters.previous;
	while (behind != &line->waiters &&
	       OWNER_OF(behind, struct upstream_waiter, link)->wish->ticket > waiter->wish->ticket) /* nearly always at the end */
		behind = behind->previous;
	list_prepend(behind, &waiter->link);
}

bool upstream_line_stand(struct upstream_line *line, struct upstream_waiter *waiter)
{
	const struct cluster_group *group = waiter->group->group;
	struct board_lanes told = {{0}};
	bool stands = false;

	for (uint32_t i = 0; i < waiter->group->target_count; i++) { /* at most CLUSTER_APPS_MOST */
		struct board_gate *gate = waiter->group->targets[i].pool->gate;
		if ((waiter->candidates >> i & 1) == 0 || gate == NULL ||
		    !board_gate_queue(line->board, gate, line->lane, waiter->wish->ticket, group->queue_most, &told))
			continue;
		waiter->gates[i] = gate;
		stands = true;
	}
	if (stands)
		enlist(line, waiter);
	tell(&told);
	look_again_later(line);
	return stands;
}

static void leave_gates(struct upstream_line *line, struct upstream_waiter *waiter)
{
	struct board_lanes told = {{0}};

	for (uint32_t i = 0; i < waiter->group->target_count; i++) {
		if (waiter->gates[i] == NULL)
			continue;
		board_gate_leave(line->board, waiter->gates[i], line->lane, waiter->wish->ticket, &told);
		waiter->gates[i] = NULL;
	}
	tell(&told);
}

void upstream_line_leave(struct upstream_line *line, struct upstream_waiter *waiter)
{
	leave_gates(line, waiter);
	list_remove(&waiter->link);
}

/* ---- whose turn it is ----------------------------------------------------------------------------------------- */

static struct upstream_waiter *find_waiter(const struct upstream_line *line, uint64_t ticket)
{
	LIST_EACH (item, &line->waiters) { /* those who are served stand in front */
		struct upstream_waiter *waiter = OWNER_OF(item, struct upstream_waiter, link);
		if (waiter->wish->ticket == ticket)
			return waiter->place.target == NULL ? waiter : NULL;
	}
	return NULL;
}

/* Of another core, or used too long ago for this request: its slot is passed on without it. */
static bool may_use(const struct upstream_waiter *waiter, const struct upstream_connection *connection)
{
	return connection->pool->core == waiter->core && !waiter->wish->fresh &&
	       (!waiter->wish->careful || upstream_is_silent(connection));
}

/* Gives the waiter a slot that is this lane's, perhaps with its connection. False: he does not stand there. */
static bool settle(struct upstream_line *line, struct upstream_waiter *waiter, struct board_gate *gate,
                   struct upstream_connection *connection)
{
	uint32_t index = 0;
	while (index < waiter->group->target_count && waiter->gates[index] != gate)
		index++;
	if (index == waiter->group->target_count)
		return false;
	waiter->gates[index] = NULL; /* this place in the queue is used up */
	waiter->place = (struct upstream_place){.target = &waiter->group->targets[index], .gate = gate};
	if (connection != NULL && may_use(waiter, connection)) {
		waiter->place.gate = NULL; /* the connection has it */
		waiter->place.connection = connection;
		connection->reused = true;
		BOARD_COUNT(waiter->core->lane, server_connections_reused, 1);
	} else if (connection != NULL) {
		connection->gate = NULL;
		upstream_close(connection);
	}
	leave_gates(line, waiter);
	wait_queue_wake_all(&waiter->turn);
	return true;
}

static void collect(struct upstream_line *line, struct board_gate *gate)
{
	uint64_t tickets[COLLECT_AT_ONCE];
	unsigned count;

	do {
		count = board_gate_collect(line->board, gate, line->lane, tickets, COLLECT_AT_ONCE);
		for (unsigned i = 0; i < count; i++) {
			struct upstream_waiter *waiter = find_waiter(line, tickets[i]);
			/* He has left just now, or got a place elsewhere: the slot goes on. */
			if (waiter == NULL || !settle(line, waiter, gate, NULL))
				upstream_line_release(line, gate);
		}
	} while (count == COLLECT_AT_ONCE);
}

static void collect_all(struct upstream_line *line)
{
	uint64_t seen[BOARD_GATES_MOST / 64] = {0};

	LIST_EACH (item, &line->waiters) {
		struct upstream_waiter *waiter = OWNER_OF(item, struct upstream_waiter, link);
		for (uint32_t i = 0; i < waiter->group->target_count; i++) {
			struct board_gate *gate = waiter->gates[i];
			if (gate == NULL)
				continue;
			size_t row = (size_t)(gate - line->board->gates);
			if ((seen[row / 64] >> row % 64 & 1) != 0)
				continue;
			seen[row / 64] |= UINT64_C(1) << row % 64;
			collect(line, gate);
		}
	}
}

static void look(struct upstream_line *line)
{
	collect_all(line);
	LIST_EACH (item, &line->cores) {
		struct upstream_core *core = OWNER_OF(item, struct upstream_core, line_link);
		LIST_EACH (pool_item, &core->pools)
			upstream_pool_serve(OWNER_OF(pool_item, struct upstream_pool, link));
	}
}

/* Servers come and go while somebody waits: he chooses anew, with his old ticket. */
static void look_at_servers(struct upstream_line *line)
{
	LIST_EACH (item, &line->waiters) {
		struct upstream_waiter *waiter = OWNER_OF(item, struct upstream_waiter, link);
		if (waiter->place.target == NULL && !waiter->look_again &&
		    upstream_candidates(waiter->core, waiter->group, waiter->wish) != waiter->candidates) {
			waiter->look_again = true;
			wait_queue_wake_all(&waiter->turn);
		}
	}
}

static void tick(struct timer *timer)
{
	struct upstream_line *line = OWNER_OF(timer, struct upstream_line, look_timer);
	look(line);
	look_at_servers(line);
	look_again_later(line);
}

static void look_again_later(struct upstream_line *line)
{
	if (!line->look_timer.armed && (line->capped_idle > 0 || !list_is_empty(&line->waiters)))
		timer_set(&line->look_timer, BOARD_GATE_LOOK_MS);
}

/* ---- slots that become free ----------------------------------------------------------------------------------- */

void upstream_line_release(struct upstream_line *line, struct board_gate *gate)
{
	struct board_lanes told = {{0}};
	board_gate_release(line->board, gate, line->lane, &told);
	tell(&told);
}

bool upstream_line_pass(struct upstream_line *line, struct upstream_connection *connection)
{
	uint64_t ticket;
	while ((ticket = board_gate_hand_over(line->board, connection->gate, line->lane)) != 0) { /* at most BOARD_QUEUE_MOST times */
		struct upstream_waiter *waiter = find_waiter(line, ticket);
		if (waiter != NULL && settle(line, waiter, connection->gate, connection))
			return true;
	}
	return false;
}

void upstream_line_note_idle(struct upstream_line *line, struct board_gate *gate, unsigned before, unsigned now)
{
	/* HTTP and TCP services may have a pool each of one address. */
	unsigned noted = atomic_load_explicit(&gate->idle[line->lane], memory_order_relaxed);
	board_gate_note_idle(gate, line->lane, noted + now - before);
	line->capped_idle += now - before;
	look_again_later(line);
}
