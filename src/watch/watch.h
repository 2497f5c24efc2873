/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch: the observing half: is each target healthy, which server of a database is the primary, how far behind are the others.
 *
 * Runs in the watch process, on its one loop; process/watch.c is the only caller. Everything it finds out goes to the board; a
 * change of state is one line in the log. It decides nothing that would need another server's agreement.
 *
 * Reading order: watch.c (which targets, and the rhythm of a check), check_http.c, check_mysql.c, roles.c.
 */
#ifndef NOAH_WATCH_H
#define NOAH_WATCH_H

#include "board/board.h"
#include "loop/loop.h"

struct watch;
struct snapshot; /* cluster/snapshot.h */

/* Starts beating (board->watch_beat_us). NULL when memory is out. Board and loop are borrowed. */
struct watch *watch_new(struct loop *loop, struct board *board) MUST_CHECK;
/* From now on it checks what this snapshot needs on this server. Targets that stay keep their state and rhythm. Takes its own
 * reference. Only on the loop's thread. */
void watch_use(struct watch *watch, struct snapshot *snapshot);
/* After loop_run has returned. */
void watch_free(struct watch *watch);

#endif
