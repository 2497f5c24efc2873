/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp: services whose connections are passed on as they are (SSH, SMTP, git): choose a server, connect, tunnel.
 *
 * Runs in the traffic process, one core for each thread; process/traffic.c makes the cores and hands them connections and
 * snapshots. Reading order: core.c, session.c (the life of a connection), proxy_header.c, ../net/tunnel.c. docs/tcp.md says what
 * a user can expect.
 */
#ifndef NOAH_TCP_H
#define NOAH_TCP_H

#include "board/board.h"
#include "cluster/cluster.h"
#include "loop/loop.h"

struct tcp_core; /* one for each traffic thread; all calls come from its loop's thread */
struct snapshot; /* cluster/snapshot.h */

/* NULL when memory is out. Loop, board and lane are borrowed for the core's life. */
struct tcp_core *tcp_core_new(struct loop *loop, struct board *board, struct board_lane *lane) MUST_CHECK;
/* From now on new connections follow this snapshot; those that stand are not touched. Takes its own reference. Must come before
 * the first connection. False when memory is out: the snapshot before stays in force. */
bool tcp_core_use(struct tcp_core *core, struct snapshot *snapshot) MUST_CHECK;
/* A connection accepted at `listener` (one of the addresses of a service's `listen`). Owns the descriptor from here on. */
void tcp_core_accepted(struct tcp_core *core, const struct address *listener, int descriptor, const struct address *from);
/* Connections on which nothing moves end within seconds, others may go on until the loop stops. What is accepted afterwards is
 * closed. */
void tcp_core_drain(struct tcp_core *core);
/* Another process accepts from now on, and connections go on for as long as they like. True, and the snapshot is let go: nothing
 * but tunnels is left. What is accepted afterwards is closed. */
bool tcp_core_release(struct tcp_core *core) MUST_CHECK;
unsigned tcp_core_open(const struct tcp_core *core); /* connections of clients */
/* After loop_run has returned, before loop_free. */
void tcp_core_free(struct tcp_core *core);

#endif
