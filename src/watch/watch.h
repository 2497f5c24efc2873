/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch: the observing half: is each target healthy, which server of a database is the primary, how far behind are the others.
 *
 * Runs in the watch process, on its one loop; process/watch.c is the only caller. Everything it finds out goes to the board; a
 * change of state is one line in the log. It decides nothing that would need another server's agreement.
 *
 * Reading order: watch.c (which targets, and the rhythm of a check), check_http.c, check_mysql.c, roles.c;
 * then what it tells others: trends.c, metrics.c, admin.c.
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
/* Answers at this listening socket with metrics (admin.c). The descriptor is watch's from here on. False: out of memory, the
 * descriptor is still the caller's. Only in a task on the loop's thread. */
bool watch_listen(struct watch *watch, uint32_t id, int descriptor) MUST_CHECK;
void watch_listener_gone(struct watch *watch, uint32_t id);
/* What the rows of board->restarts are called. Borrowed for ever. */
void watch_name_processes(struct watch *watch, const char *const *names, unsigned count);
/* After loop_run has returned. */
void watch_free(struct watch *watch);

#endif
