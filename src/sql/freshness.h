/* SPDX-License-Identifier: BSD-2-Clause
 *
 * freshness: may this replica answer this read?
 *
 * A read must see every write that was acknowledged before the read came to noah, whoever wrote and through whatever program. So
 * each read that could go to a replica asks the primary for its binary log's GTID position (freshness_ask) and goes to a replica
 * only once that replica is known to have applied at least as much (freshness_wait).
 *
 * Why that is enough: MariaDB writes a transaction into its binary log, and so into @@gtid_binlog_pos, before it acknowledges the
 * commit. The question is sent after the read came, so the position it brings covers every write acknowledged until then.
 * MASTER_GTID_WAIT and @@gtid_slave_pos on the replica count a transaction only once it is committed there, hence visible. No
 * clock, no memory of who wrote what, and no agreement between noahs is part of this. What it does not cover: writes that the
 * primary keeps out of its binary log.
 *
 * One of these for each core and database. One task asks the primary: one question in flight; it serves every read that came
 * before it was sent, and those that come meanwhile share the next. One task for each replica finds out what has been applied
 * there, only as long as some read needs a position that is not known to be applied yet. All of them use noah's own account, and
 * start with the first read that needs them.
 */
#ifndef NOAH_SQL_FRESHNESS_H
#define NOAH_SQL_FRESHNESS_H

#include "sql/position.h"
#include "sql/sql_private.h"

struct freshness *freshness_new(struct sql_database *database) MUST_CHECK;
/* Its tasks have ended (the loop has stopped). */
/* None of its tasks runs; each ends by itself some time after the last session. */
bool freshness_is_idle(const struct freshness *freshness);
void freshness_free(struct freshness *freshness);

#define FRESHNESS_ANSWERS(X)                            \
	X(FRESHNESS_KNOWN, "position known")                \
	X(FRESHNESS_UNKNOWN, "the primary cannot be asked") \
	X(FRESHNESS_CANCELLED, "cancelled")

enum freshness_answer {
#define X(name, text) name,
	FRESHNESS_ANSWERS(X)
#undef X
};

/* Waits for the primary's position as of now or later. FRESHNESS_UNKNOWN: see freshness_problem. */
enum freshness_answer freshness_ask(struct freshness *freshness, struct position *needed) MUST_CHECK;
/* Why the last question failed, in words. */
const char *freshness_problem(const struct freshness *freshness);

/* Has the replica at `row` applied it, as far as is known without waiting? */
bool freshness_has(struct freshness *freshness, int row, const struct position *needed) MUST_CHECK;
/* Waits at most wait_ms for that. Does not wait for a replica that is known to have been behind for much longer than this; its
 * watching goes on until it has caught up. False: it has not, or the wait was cancelled. */
bool freshness_wait(struct freshness *freshness, int row, const struct position *needed, int64_t wait_ms) MUST_CHECK;

#endif
