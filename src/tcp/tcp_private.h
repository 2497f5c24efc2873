/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of tcp/ share with one another and with nobody else.
 */
#ifndef NOAH_TCP_PRIVATE_H
#define NOAH_TCP_PRIVATE_H

#include "net/net.h"
#include "tcp/tcp.h"
#include "upstream/upstream.h"

#define TCP_WRITE_MS         5000 /* for the PROXY header: a new connection takes it at once */
#define TCP_DRAIN_SILENCE_MS 2000 /* while noah is being stopped, silence ends a connection after this time */

/* ---- how a connection can end ----------------------------------------------------------------------------------- */

/* name; word in the log; it is a failure of servers or of noah: counted and logged */
#define TCP_OUTCOMES(X)                           \
	X(TCP_OK, "ok", false)                        \
	X(TCP_CLIENT_BROKE, "client-broke", false)    \
	X(TCP_IDLE, "idle-timeout", false)            \
	X(TCP_CLIENT_GONE, "client-gone", false)      \
	X(TCP_STOPPED, "stopped", false)              \
	X(TCP_TOO_MANY, "too-many", true)             \
	X(TCP_NO_SERVER, "no-server", true)           \
	X(TCP_QUEUE_FULL, "queue-full", true)         \
	X(TCP_QUEUE_TIMEOUT, "queue-timeout", true)   \
	X(TCP_CONNECT_FAILED, "connect-failed", true) \
	X(TCP_SERVER_BROKE, "server-broke", true)     \
	X(TCP_NO_RESOURCES, "no-resources", true)

enum tcp_outcome {
#define X(name, text, failure) name,
	TCP_OUTCOMES(X)
#undef X
};

/* ---- the core (core.c) ------------------------------------------------------------------------------------------- */

/* How many connections of a service are open, all threads of this process together. One for each name that was ever served; never
 * freed. */
struct tcp_count {
	struct tcp_count *next;
	atomic_uint open;
	char name[CLUSTER_NAME_SIZE];
};

struct tcp_service {
	const struct cluster_service *service; /* in the snapshot */
	struct upstream_group *group;
	struct tcp_count *count;
};

/* A snapshot's services as one thread sees them; held by the core and by connections that do not stand yet. */
struct tcp_view {
	unsigned references;
	struct upstream_view *upstream;
	uint32_t service_count;
	struct tcp_service services[CLUSTER_SERVICES_MOST];
};

#define TCP_CORE_MAGIC 0x74637063u
struct tcp_core {
	uint32_t magic;
	bool draining;
	struct loop *loop;
	struct board_lane *lane;
	struct upstream_core upstream;
	struct tcp_view *view; /* in force; NULL before the first snapshot and after tcp_core_release */
	struct list sessions;
	unsigned session_count;
	unsigned connecting_count; /* of them, those that hold a view */
};

struct tcp_view *tcp_view_ref(struct tcp_view *view);
void tcp_view_unref(struct tcp_view *view);

/* ---- one connection (session.c) ---------------------------------------------------------------------------------- */

/* Takes the descriptor over, as tcp_core_accepted. `service` is of core->view. */
void tcp_session_start(struct tcp_core *core, const struct tcp_service *service, int descriptor, const struct address *from);
/* noah is being stopped. */
void tcp_session_hurry(struct list *item);

/* ---- the PROXY protocol (proxy_header.c) -------------------------------------------------------------------------- */

#define TCP_PROXY_HEADER_MOST 108u /* of version 1, as its text says */
/* What the server is told of a connection that came from `from` to `to`
 * (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). Version 1 or 2. An address that is no IP address, or two of
 * different families: UNKNOWN (version 1) or LOCAL (version 2). Returns the size in bytes. */
size_t tcp_proxy_header(unsigned version, const struct address *from, const struct address *to, char out[TCP_PROXY_HEADER_MOST]);

#endif
