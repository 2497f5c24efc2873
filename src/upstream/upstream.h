/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream: which app server a request goes to, on which connection, and how often it may be tried again.
 *
 * Each traffic thread has one upstream_core for HTTP and one for TCP services. It owns pools of idle connections, one for each
 * address, which outlive reloads. A view is a snapshot of the cluster as this thread sees it, with each app's rows on the board
 * looked up once. Always used from the thread's own loop. Health is never decided here: it is read from the board.
 *
 * How a request or tunnel gets its connection:
 *
 *     upstream_admit    a server of its group, and permission to connect (waits where connections are capped)
 *     upstream_begin    it is counted as under way there
 *     upstream_open     the idle connection that admit found, or a new one
 *     upstream_give_back or upstream_close
 *     upstream_end
 */
#ifndef NOAH_UPSTREAM_H
#define NOAH_UPSTREAM_H

#include "board/board.h"
#include "cluster/cluster.h"
#include "cluster/snapshot.h"
#include "net/net.h"

/* ---- bounds --------------------------------------------------------------------------------------------------- */

#define UPSTREAM_IDLE_MOST       512u   /* idle connections kept for each address and thread; what is more is closed */
#define UPSTREAM_IDLE_MS         30000u /* how long one is kept */
#define UPSTREAM_CAREFUL_IDLE_MS 1000u  /* and how long at most for a request that must not be sent twice */
#define UPSTREAM_SWEEP_MS        500u   /* how soon one that the server has closed is closed here */
#define UPSTREAM_TRIES_MOST      3u     /* connections on which one request is tried */

/* ---- connections ---------------------------------------------------------------------------------------------- */

struct upstream_pool;

#define UPSTREAM_CONNECTION_MAGIC 0x55434f4eu
struct upstream_connection {
	uint32_t magic;
	bool reused; /* it has carried a request before */
	struct stream stream;
	struct upstream_pool *pool;
	struct board_gate *gate; /* it has a slot there; NULL: its address is not capped */
	struct list link;        /* in the pool's list while idle */
	uint64_t idle_since_us;  /* loop time */
};

/* ---- what one thread sees ------------------------------------------------------------------------------------- */

/* How many retries a site's recent requests have earned: each request adds a fifth of one, each second adds ten, at most 1,000
 * are saved. So retries stay below 20 % of the requests plus 10 a second: a failing site is not also flooded. */
struct upstream_budget {
	uint64_t updated_us;
	uint32_t fifths;
};

#define UPSTREAM_STICKY_SIZE 16u
struct upstream_target {
	const struct cluster_app *app;
	struct board_target *health; /* NULL: the board has no row (never usable) */
	struct board_server *server; /* what an administrator has said of it; NULL: nothing */
	int row;
	uint64_t identity; /* from its server's name and its port: the same in every process, on every server of the cluster */
	char sticky[UPSTREAM_STICKY_SIZE + 1]; /* what a sticky cookie calls it */
	int32_t current;                       /* smooth weighted round robin */
	struct upstream_pool *pool;
	char text[CLUSTER_NAME_SIZE + 8]; /* "web1:8080", for logs */
};

/* What a request or tunnel brings to the choice, and what it has learned so far. Begin with zeroes; kept over its retries. */
struct upstream_wish {
	uint32_t tried;       /* bits of servers that failed it: not these again */
	uint32_t avoid;       /* and not these, as long as there are others */
	uint32_t sticky;      /* bit of the server to which the visitor belongs; 0: none */
	uint64_t hash;        /* BALANCE_HASH: of its key */
	bool has_hash;        /* false: round robin */
	bool careful;         /* it must not be sent twice: no connection that was idle for long */
	bool fresh;           /* no idle connection at all: one of them has failed it */
	uint64_t ticket;      /* its place in the order of those that wait; 0: it never had to */
	uint64_t deadline_us; /* private: until when it waits */
};

/* Somebody may leave while he waits. */
struct upstream_patience {
	struct wait_queue *changed; /* woken when is_gone may say something new; NULL: he cannot leave */
	bool (*is_gone)(void *argument);
	void *argument;
};

/* The servers of a site, of a route with its own, or of a TCP service. */
struct upstream_group {
	const struct cluster_group *group;
	const char *name; /* of the site or service */
	struct upstream_budget budget;
	uint32_t target_count;
	struct upstream_target targets[CLUSTER_APPS_MOST];
};

struct upstream_view {
	struct upstream_core *core;
	struct snapshot *snapshot;
	const struct cluster *cluster;
	uint32_t group_count; /* of all sites and services, also those that other servers front, as cluster_walk_groups has them */
	struct upstream_group *groups;
};

/* Permission to connect to a server, and perhaps a connection already. */
struct upstream_place {
	struct upstream_target *target;
	struct upstream_connection *connection; /* an idle one, with its slot if it needs one; NULL: open one */
	struct board_gate *gate;                /* NULL, or the slot for the one that will be opened is of this gate */
};

enum upstream_admission {
	UPSTREAM_ADMITTED,
	UPSTREAM_NO_SERVER,     /* none is usable */
	UPSTREAM_QUEUE_FULL,    /* too many wait already */
	UPSTREAM_QUEUE_TIMEOUT, /* no connection became free in time */
	UPSTREAM_GONE,          /* he left while he waited */
	UPSTREAM_CANCELLED,
};

struct upstream_line; /* those of one thread that wait, of all its cores (line.c) */

struct upstream_core {
	struct loop *loop;
	struct board *board;
	struct board_lane *lane;
	struct upstream_line *line;
	struct list line_link;
	struct list pools;
	unsigned idle_count; /* in all pools */
	struct timer sweep;
	bool draining;
};

/* On the thread that runs the loop. */
void upstream_core_init(struct upstream_core *core, struct loop *loop, struct board *board, struct board_lane *lane);
/* Closes idle connections and keeps none any more. */
void upstream_core_drain(struct upstream_core *core);
/* After the last view and connection are gone. */
void upstream_core_free(struct upstream_core *core);

/* ---- views (view.c) ------------------------------------------------------------------------------------------- */

/* The caller's to free; takes its own reference of the snapshot. NULL when memory is out. */
struct upstream_view *upstream_view_new(struct upstream_core *core, struct snapshot *snapshot) MUST_CHECK;
/* Groups of the same site, route or service go on with the retries that the view before has saved up, so that reloads are no
 * source of them. */
void upstream_view_inherit(struct upstream_view *view, const struct upstream_view *before);
/* And the pools whose addresses no other view has. */
void upstream_view_free(struct upstream_view *view);

/* The group of a route, site or service of view->cluster: a route's own if it has one. NULL: none (a site with a page). */
struct upstream_group *upstream_view_find(const struct upstream_view *view, const struct cluster_site *site,
                                          const struct cluster_route *route, const struct cluster_service *service) MUST_CHECK;
/* The servers that are tried for what is missing among these files. NULL: none. */
struct upstream_group *upstream_view_find_missing(const struct upstream_view *view,
                                                  const struct cluster_static *files) MUST_CHECK;

/* ---- getting in (admit.c) ------------------------------------------------------------------------------------- */

/* Chooses a server for the wish and gets permission to connect to it. Where all that could serve it have a cap and no slot, it
 * waits in the queue of each of them (a sticky one: of that one) for the first slot, in the order in which they came, all
 * threads and program generations together. `patience` may be NULL. UPSTREAM_ADMITTED: *place is filled, to be used up by
 * upstream_open or upstream_place_return. Waits only there. */
enum upstream_admission upstream_admit(struct upstream_core *core, struct upstream_group *group, struct upstream_wish *wish,
                                       const struct upstream_patience *patience, struct upstream_place *place) MUST_CHECK;
/* The place is not needed after all. Harmless when it is used up. */
void upstream_place_return(struct upstream_core *core, struct upstream_place *place);
/* Why admit said no, in words; for NO_SERVER, QUEUE_FULL, QUEUE_TIMEOUT. Cut to fit. */
void upstream_describe(struct upstream_core *core, const struct upstream_group *group, enum upstream_admission admission,
                       char *out, size_t out_size);

/* ---- choosing (choose.c) -------------------------------------------------------------------------------------- */

/* Bits of the group's servers that may get the wish: up, not avoided, not drained, with some weight, not tried. Backups only when
 * none of the others is among them. A sticky one alone while it is up and not drained. */
uint32_t upstream_candidates(const struct upstream_core *core, const struct upstream_group *group,
                             const struct upstream_wish *wish) MUST_CHECK;
/* One of them, as the group balances. NULL when there is none. */
struct upstream_target *upstream_choose(struct upstream_core *core, struct upstream_group *group,
                                        const struct upstream_wish *wish, uint32_t candidates) MUST_CHECK;
static inline uint32_t upstream_bit(const struct upstream_group *group, const struct upstream_target *target)
{
	return UINT32_C(1) << (target - group->targets);
}
/* The server that a sticky cookie names; NULL: none of these. */
struct upstream_target *upstream_find_sticky(struct upstream_group *group, struct span value) MUST_CHECK;
/* How much of all requests a server gets, compared with the others: its weight, what an administrator made of it, and how long
 * it has been up. 0: none. */
uint32_t upstream_weight(const struct upstream_core *core, const struct upstream_group *group,
                         const struct upstream_target *target);
/* Rendezvous hashing: the candidate with the best score for the key. (rendezvous.c) */
struct upstream_target *upstream_choose_hash(struct upstream_core *core, struct upstream_group *group, uint64_t hash,
                                             uint32_t candidates) MUST_CHECK;
/* The better one of two drawn by chance. (latency.c) */
struct upstream_target *upstream_choose_latency(struct upstream_core *core, struct upstream_group *group,
                                                uint32_t candidates) MUST_CHECK;
/* A request that was sent whole had the first byte of its answer after this time. Only BALANCE_LEAST_LATENCY looks at it. */
void upstream_note_latency(struct upstream_core *core, const struct upstream_target *target, uint64_t took_us);
/* A request on this server begins and ends: what least-connections and `noah status` count. */
void upstream_begin(struct upstream_core *core, const struct upstream_target *target);
void upstream_end(struct upstream_core *core, const struct upstream_target *target);
void upstream_end_row(struct upstream_core *core, int row); /* for what outlives its view (tunnels): target->row */
/* Passive detection: what became of a connection to it. A server whose connections fail `fall` times in a row gets no request for
 * the time between two checks. */
void upstream_worked(const struct upstream_target *target);
void upstream_failed(struct upstream_core *core, const struct upstream_group *group, const struct upstream_target *target);
/* Watch has found it down: what waits for its answer may give up. */
bool upstream_is_down(const struct upstream_target *target);

/* ---- pools (pool.c) ------------------------------------------------------------------------------------------- */

/* The newest snapshot decides whether the address is capped. NULL: no memory. */
struct upstream_pool *upstream_pool_ref(struct upstream_core *core, const struct address *address) MUST_CHECK;
void upstream_pool_unref(struct upstream_pool *pool);

/* The place's idle connection, or a new one. On anything but NET_OK *out is NULL. The place is used up in any case. Waits. */
enum net_result upstream_open(struct upstream_core *core, struct upstream_place *place, int64_t timeout_ms,
                              struct upstream_connection **out) MUST_CHECK;
/* After a whole answer, when both sides allow another request: kept, or closed when the pool is full or an unread byte is there:
 * such a byte would be taken for the answer to the next request. Where others wait for a connection, the next one gets it. */
void upstream_give_back(struct upstream_connection *connection);
void upstream_close(struct upstream_connection *connection);

/* ---- retry budgets (budget.c) --------------------------------------------------------------------------------- */

void upstream_budget_init(struct upstream_budget *budget, uint64_t now_us);
void upstream_budget_earn(struct upstream_budget *budget); /* for each request */
/* True: a retry may be made, and is paid for. */
bool upstream_budget_spend(struct upstream_budget *budget, uint64_t now_us) MUST_CHECK;

#endif
