/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of upstream/ share with one another and with nobody else.
 */
#ifndef NOAH_UPSTREAM_PRIVATE_H
#define NOAH_UPSTREAM_PRIVATE_H

#include "upstream/upstream.h"

/* Connections to one address that are idle, and the gate that caps them. */
struct upstream_pool {
	struct upstream_core *core;
	struct list link; /* core->pools */
	struct address address;
	unsigned references; /* views and connections */
	unsigned idle_count;
	struct list idle;        /* struct upstream_connection, the one used last in front */
	struct board_gate *gate; /* NULL: no cap */
};

/* ---- pools (pool.c) ------------------------------------------------------------------------------------------- */

/* The idle connection that was used last, NULL when there is none that is still good: open, with neither a byte nor an end
 * waiting. `careful`: for a request that must not be sent twice: only one that was used within UPSTREAM_CAREFUL_IDLE_MS (servers
 * close idle ones, and one that is just being closed looks good here), and the socket itself is asked. */
struct upstream_connection *upstream_take_idle(struct upstream_pool *pool, bool careful) MUST_CHECK;
/* Closes the idle connection that was used longest ago, but keeps its slot of the pool's gate. False: there is none. */
bool upstream_trade_idle(struct upstream_pool *pool) MUST_CHECK;
/* Others wait at the gate: gives them the pool's idle connections, or their slots. */
void upstream_pool_serve(struct upstream_pool *pool);
/* Good for a request that must not be sent twice, as far as the kernel knows. */
bool upstream_is_silent(const struct upstream_connection *connection) MUST_CHECK;

/* ---- those that wait (line.c) --------------------------------------------------------------------------------- */

/* One that waits; on the stack of its task. Its place is filled when it is its turn. */
struct upstream_waiter {
	struct list link; /* the line's, in the order of tickets */
	struct upstream_group *group;
	const struct upstream_wish *wish;
	struct upstream_core *core;
	uint32_t candidates;                         /* the servers as they were when it came here */
	struct board_gate *gates[CLUSTER_APPS_MOST]; /* of each server in whose queue it stands, by index */
	struct upstream_place place;
	struct wait_queue turn; /* woken when the place is filled, or the candidates have changed */
	bool look_again;        /* they have changed */
};

struct upstream_line *upstream_line_join(struct upstream_core *core);
void upstream_line_part(struct upstream_core *core);
unsigned upstream_line_lane(const struct upstream_line *line);

/* Stands in the queues of the candidates' gates. False: all are full (it stands nowhere). */
bool upstream_line_stand(struct upstream_line *line, struct upstream_waiter *waiter) MUST_CHECK;
/* Stands nowhere any more; a filled place stays its. */
void upstream_line_leave(struct upstream_line *line, struct upstream_waiter *waiter);
/* A slot of the gate becomes free; another lane may have to hear of it. */
void upstream_line_release(struct upstream_line *line, struct board_gate *gate);
/* A connection with a slot of the gate is not needed any more. True: the next waiter of this thread has got it. False: he is not
 * of this thread, or nobody waits. */
bool upstream_line_pass(struct upstream_line *line, struct upstream_connection *connection) MUST_CHECK;
/* The pool keeps this many idle connections of the gate's now (before: that many). */
void upstream_line_note_idle(struct upstream_line *line, struct board_gate *gate, unsigned before, unsigned now);

#endif
