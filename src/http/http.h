/* SPDX-License-Identifier: BSD-2-Clause
 *
 * http: the HTTP front, for visitors who speak HTTP/1.1 or HTTP/2: reads requests, chooses a site and a server, relays both ways,
 * logs.
 *
 * Runs in the traffic process, one core for each thread; process/traffic.c makes the cores and hands them connections and
 * snapshots. Reading order: connection.c (the life of a connection; h2.h for HTTP/2), exchange.c (the life of a request),
 * route.c, attempt.c, ../upstream/, forward.c with the two visitors (visitor_http1.c, h2_visitor.c), answer.c, access_log.c.
 */
#ifndef NOAH_HTTP_H
#define NOAH_HTTP_H

#include "board/board.h"
#include "cluster/cluster.h"
#include "loop/loop.h"

struct http_core; /* one for each traffic thread; all calls come from its loop's thread */
struct snapshot;  /* cluster/snapshot.h */
struct tls_core;  /* tls/tls.h */
struct guard;     /* guard/guard.h */
struct cluster_site;
struct cluster_route;

/* Where the lines of the access log go. Shared by the cores of all threads, each of which has its own reference; the last one
 * that lets go closes the descriptor. `gone` is called, on any of their threads and at most once a second, when nobody takes what
 * is sent there any more (syslog was restarted). NULL: no memory, the descriptor is still the caller's. */
struct http_log_sink;
struct http_log_sink *http_log_sink_new(int descriptor, enum cluster_log_to to, enum cluster_log_format format,
                                        void (*gone)(void)) MUST_CHECK;
struct http_log_sink *http_log_sink_ref(struct http_log_sink *sink);
void http_log_sink_unref(struct http_log_sink *sink); /* harmless with NULL */

/* NULL when memory is out. `sink` may be NULL: no access log. */
struct http_core *http_core_new(struct loop *loop, struct board *board, struct board_lane *lane,
                                struct http_log_sink *sink) MUST_CHECK;
/* From now on new requests follow this snapshot; those under way keep theirs. Takes its own reference. Must come before the
 * first connection. False when memory is out: the snapshot before stays in force. */
bool http_core_use(struct http_core *core, struct snapshot *snapshot) MUST_CHECK;
/* The same thread's certificates, borrowed; before the first connection that is `secure`. */
void http_core_use_tls(struct http_core *core, const struct tls_core *tls);
/* Where addresses are counted and banned, borrowed; `lane`: the number of this thread's. Without it none is. */
void http_core_use_guard(struct http_core *core, struct guard *guard, unsigned lane);
/* What is counted together at the limit (`requests`) of a site (route NULL) or of one of its routes: a scope of guard/. Pure, any
 * process. */
uint32_t http_guard_scope(const struct cluster_site *site, const struct cluster_route *route) MUST_CHECK;
/* A connection accepted at `listener` (one of the addresses of a site's `listen`); `secure`: it begins with a TLS handshake. Owns
 * the descriptor from here on. */
void http_core_accepted(struct http_core *core, const struct address *listener, int descriptor, const struct address *from,
                        bool secure);
/* Closes idle connections, lets requests under way finish (their answers say "Connection: close") and pools nothing any more.
 * What is accepted afterwards is answered once and closed. */
void http_core_drain(struct http_core *core);
/* After an upgrade: requests are answered as they come, each answer says that it is the last on its connection, and nothing is
 * pooled any more. Nobody is disconnected: an idle connection stays until its next request or its timeout, because a visitor who
 * uses it just then would lose his request. */
void http_core_retire(struct http_core *core);
/* After http_core_retire: lets the snapshot go, if no connection is left but tunnels; false: one is. No connection may be
 * accepted afterwards. */
bool http_core_release(struct http_core *core) MUST_CHECK;
unsigned http_core_open(const struct http_core *core); /* client connections */
/* The access log goes there now (after rotation, or because the cluster file changed); what was gathered goes to the old one. */
void http_core_log_to(struct http_core *core, struct http_log_sink *sink);
/* Writes out the log and frees everything. After loop_run has returned, before loop_free. */
void http_core_free(struct http_core *core);

#endif
