/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sql: noah as a MySQL/MariaDB server towards applications: sessions, logins, routing, fresh reads.
 *
 * Runs in the traffic process, one sql_core for each thread and its loop; process/traffic.c is the only caller. A session is one
 * task (session.c); each database of the cluster has one record for each core, which knows how fresh its replicas are (freshness.c)
 * and who may log in (users.c). docs/sql.md says what an application can expect.
 */
#ifndef NOAH_SQL_H
#define NOAH_SQL_H

#include "board/board.h"
#include "cluster/cluster.h"
#include "loop/loop.h"

struct snapshot; /* cluster/snapshot.h */
struct sql_core;

/* On the core's thread. Board and lane are borrowed for the core's life. NULL when memory is out. */
struct sql_core *sql_core_new(struct loop *loop, struct board *board, struct board_lane *lane) MUST_CHECK;
/* A new snapshot: sessions follow it from their next statement. Takes its own reference. Sessions of a database that is no longer
 * in the snapshot end after their statement. */
void sql_core_use(struct sql_core *core, struct snapshot *snapshot);
/* A connection came in on a database's listener. Owns the descriptor. On the core's loop, outside a task. */
void sql_core_accepted(struct sql_core *core, const struct address *listener, int descriptor, const struct address *from);
/* Idle sessions end now, busy ones after their statement or transaction; new ones are refused. */
void sql_core_drain(struct sql_core *core);
/* Lets the snapshot and all that was kept for sessions go; none will come any more. False: there are still some, or what worked for
 * them has not ended yet. */
bool sql_core_release(struct sql_core *core) MUST_CHECK;
unsigned sql_core_open(const struct sql_core *core); /* sessions of clients */
/* After its loop has ended: every session and task is gone. */
void sql_core_free(struct sql_core *core);

#endif
