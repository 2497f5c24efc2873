/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream: which app server a request goes to, on which connection, and how often it may be tried again.
 *
 * Each traffic thread has one upstream_core. It owns pools of idle connections, one for each address, which outlive reloads, and
 * the view that is in force: a snapshot of the cluster as this thread sees it, with each app's row on the board looked up once.
 * Used by http/, always from the thread's own loop. Health is never decided here: it is read from the board.
 */
#ifndef NOAH_UPSTREAM_H
#define NOAH_UPSTREAM_H

#include "board/board.h"
#include "cluster/cluster.h"
#include "cluster/snapshot.h"
#include "net/net.h"

/* ---- bounds --------------------------------------------------------------------------------------------------- */

#define UPSTREAM_IDLE_MOST       64u    /* idle connections kept for each address and thread; what is more is closed */
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
	struct list link;       /* in the pool's list while idle */
	uint64_t idle_since_us; /* loop time */
};

/* ---- what one thread sees ------------------------------------------------------------------------------------- */

/* How many retries a site's recent requests have earned: each request adds a fifth of one, each second adds ten, at most 1,000
 * are saved. So retries stay below 20 % of the requests plus 10 a second: a failing site is not also flooded. */
struct upstream_budget {
	uint64_t updated_us;
	uint32_t fifths;
};

struct upstream_target {
	const struct cluster_app *app;
	struct board_target *health; /* NULL: the board has no row (never usable) */
	int row;
	int32_t current; /* smooth weighted round robin */
	struct upstream_pool *pool;
	char text[CLUSTER_NAME_SIZE + 8]; /* "web1:8080", for logs */
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

struct upstream_core {
	struct loop *loop;
	struct board *board;
	struct board_lane *lane;
	struct list pools;
	unsigned idle_count; /* in all pools */
	struct timer sweep;
	bool draining;
};

void upstream_core_init(struct upstream_core *core, struct loop *loop, struct board *board, struct board_lane *lane);
/* Closes idle connections and keeps none any more. */
void upstream_core_drain(struct upstream_core *core);
/* After the last view and connection are gone. */
void upstream_core_free(struct upstream_core *core);

/* ---- views (view.c) ------------------------------------------------------------------------------------------- */

/* The caller's to free; takes its own reference of the snapshot. NULL when memory is out. */
struct upstream_view *upstream_view_new(struct upstream_core *core, struct snapshot *snapshot) MUST_CHECK;
/* Groups of the same site, route or service go on with the retries that the view before has saved up, so that reloads are no source of them. */
void upstream_view_inherit(struct upstream_view *view, const struct upstream_view *before);
/* And the pools whose addresses no other view has. */
void upstream_view_free(struct upstream_view *view);

/* The group of a route, site or service of view->cluster: a route's own if it has one. NULL: none (a site with a page). */
struct upstream_group *upstream_view_find(const struct upstream_view *view, const struct cluster_site *site,
                                          const struct cluster_route *route, const struct cluster_service *service) MUST_CHECK;

/* ---- choosing (choose.c) -------------------------------------------------------------------------------------- */

/* The group's next server among those that the board calls usable and whose bit (index in targets) is not in `tried`. NULL: none.
 */
struct upstream_target *upstream_choose(struct upstream_core *core, struct upstream_group *group, uint32_t tried) MUST_CHECK;
static inline uint32_t upstream_bit(const struct upstream_group *group, const struct upstream_target *target)
{
	return UINT32_C(1) << (target - group->targets);
}
/* A request on this server begins and ends: what least-connections and `noah status` count. */
void upstream_begin(struct upstream_core *core, const struct upstream_target *target);
void upstream_end(struct upstream_core *core, const struct upstream_target *target);
/* Passive detection: what became of a connection to it. A server whose connections fail `fall` times in a row gets no request for
 * the time between two checks. */
void upstream_worked(const struct upstream_target *target);
void upstream_failed(struct upstream_core *core, const struct upstream_group *group, const struct upstream_target *target);
/* Watch has found it down: what waits for its answer may give up. */
bool upstream_is_down(const struct upstream_target *target);
/* "no server is up: web1:8080 down since 2026-11-20T23:41:03.123Z (connection refused); …"; cut to fit. */
void upstream_describe(struct upstream_core *core, const struct upstream_group *group, char *out, size_t out_size);

/* ---- pools (pool.c) ------------------------------------------------------------------------------------------- */

struct upstream_pool *upstream_pool_ref(struct upstream_core *core,
                                        const struct address *address) MUST_CHECK; /* NULL: no memory */
void upstream_pool_unref(struct upstream_pool *pool);

/* The idle connection that was used last, NULL when there is none that is still good: open, with neither a byte nor an end
 * waiting. `careful`: for a request that must not be sent twice: only one that was used within UPSTREAM_CAREFUL_IDLE_MS (servers
 * close idle ones, and one that is just being closed looks good here), and the socket itself is asked. */
struct upstream_connection *upstream_take_idle(const struct upstream_target *target, bool careful) MUST_CHECK;
/* A new connection. On anything but NET_OK *out is NULL. Waits. */
enum net_result upstream_connect(const struct upstream_target *target, int64_t timeout_ms,
                                 struct upstream_connection **out) MUST_CHECK;
/* After a whole answer, when both sides allow another request: kept, or closed when the pool is full or an unread byte is there:
 * such a byte would be taken for the answer to the next request. */
void upstream_give_back(struct upstream_connection *connection);
void upstream_close(struct upstream_connection *connection);

/* ---- retry budgets (budget.c) --------------------------------------------------------------------------------- */

void upstream_budget_init(struct upstream_budget *budget, uint64_t now_us);
void upstream_budget_earn(struct upstream_budget *budget); /* for each request */
/* True: a retry may be made, and is paid for. */
bool upstream_budget_spend(struct upstream_budget *budget, uint64_t now_us) MUST_CHECK;

#endif
