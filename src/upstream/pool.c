/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pools of idle connections to app servers: one for each address and traffic thread, last in first out, so that a quiet hour lets
 * the surplus grow old. An idle connection holds no buffer and no task; the loop notes on its record when the server says
 * anything, and a sweep closes it then. Where connections to an address are capped, an idle one keeps its slot until somebody
 * waits for it (line.c).
 */
#include "upstream/upstream_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

static void sweep(struct timer *timer);

void upstream_core_init(struct upstream_core *core, struct loop *loop, struct board *board, struct board_lane *lane)
{
	*core = (struct upstream_core){.loop = loop, .board = board, .lane = lane};
	list_init(&core->pools);
	timer_init(&core->sweep, sweep);
	core->line = upstream_line_join(core);
}

/* ---- pools ------------------------------------------------------------------------------------------------------ */

static void close_all_idle(struct upstream_pool *pool);

/* Connections opened without a cap, or under a cap that is gone, are not kept. */
static void set_gate(struct upstream_pool *pool, struct board_gate *gate)
{
	if (pool->gate == gate)
		return;
	close_all_idle(pool);
	pool->gate = gate;
}

struct upstream_pool *upstream_pool_ref(struct upstream_core *core, const struct address *address)
{
	struct board_gate *gate = board_find_gate(core->board, address);

	if (gate != NULL && atomic_load(&gate->connections_most) == 0)
		gate = NULL;
	LIST_EACH (item, &core->pools) { /* at most the addresses of the snapshots in use */
		struct upstream_pool *pool = OWNER_OF(item, struct upstream_pool, link);
		if (address_equal(&pool->address, address)) {
			pool->references++;
			set_gate(pool, gate);
			return pool;
		}
	}
	struct upstream_pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return NULL;
	pool->core = core;
	pool->address = *address;
	pool->references = 1;
	pool->gate = gate;
	list_init(&pool->idle);
	list_append(&core->pools, &pool->link);
	return pool;
}

static void connection_free(struct upstream_connection *connection)
{
	struct board_gate *gate = connection->gate;
	struct upstream_line *line = connection->pool->core->line;

	stream_close(&connection->stream); /* before somebody else opens one in its place */
	connection->magic = 0;
	free(connection);
	if (gate != NULL)
		upstream_line_release(line, gate);
}

/* How many the pool keeps, and whether others may ask for them. */
static void count_idle(struct upstream_pool *pool, const struct upstream_connection *connection, int change)
{
	unsigned before = pool->idle_count;

	pool->idle_count += (unsigned)change;
	pool->core->idle_count += (unsigned)change;
	if (connection->gate != NULL)
		upstream_line_note_idle(pool->core->line, connection->gate, before, pool->idle_count);
}

static void take_off_list(struct upstream_connection *connection)
{
	list_remove(&connection->link);
	count_idle(connection->pool, connection, -1);
}

/* Somebody else still holds the pool: a view, or a connection in use. */
static void close_idle(struct upstream_connection *connection)
{
	struct upstream_pool *pool = connection->pool;

	CHECK_MAGIC(connection, UPSTREAM_CONNECTION_MAGIC);
	take_off_list(connection);
	ASSERT(pool->references > 1);
	connection_free(connection);
	pool->references--;
}

static void close_all_idle(struct upstream_pool *pool)
{
	LIST_EACH_SAFE (item, &pool->idle)
		close_idle(OWNER_OF(item, struct upstream_connection, link));
}

void upstream_pool_unref(struct upstream_pool *pool)
{
	ASSERT(pool->references > 0);
	/* Only idle connections hold it any more: nobody can take them. */
	if (pool->references - 1 == pool->idle_count && pool->idle_count > 0)
		close_all_idle(pool);
	if (--pool->references > 0)
		return;
	list_remove(&pool->link);
	free(pool);
}

void upstream_core_drain(struct upstream_core *core)
{
	core->draining = true;
	LIST_EACH (item, &core->pools)
		close_all_idle(OWNER_OF(item, struct upstream_pool, link));
}

void upstream_core_free(struct upstream_core *core)
{
	timer_clear(&core->sweep);
	ASSERT(list_is_empty(&core->pools));
	upstream_line_part(core);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

bool upstream_is_silent(const struct upstream_connection *connection)
{
	char byte;
	ssize_t size = recv(connection->stream.watched.descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return size < 0 && (errno == EAGAIN || errno == EINTR);
}

struct upstream_connection *upstream_take_idle(struct upstream_pool *pool, bool careful)
{
	uint64_t now_us = loop_now_us(pool->core->loop);

	while (!list_is_empty(&pool->idle)) { /* at most UPSTREAM_IDLE_MOST */
		struct upstream_connection *connection = OWNER_OF(pool->idle.next, struct upstream_connection, link);
		if (careful && now_us - connection->idle_since_us > UPSTREAM_CAREFUL_IDLE_MS * 1000u)
			return NULL; /* those behind it are older still */
		if (stream_is_quiet(&connection->stream) && (!careful || upstream_is_silent(connection))) {
			take_off_list(connection);
			connection->reused = true;
			BOARD_COUNT(pool->core->lane, server_connections_reused, 1);
			return connection;
		}
		close_idle(connection);
	}
	return NULL;
}

bool upstream_trade_idle(struct upstream_pool *pool)
{
	if (list_is_empty(&pool->idle))
		return false;
	struct upstream_connection *connection = OWNER_OF(pool->idle.previous, struct upstream_connection, link);
	take_off_list(connection);
	ASSERT(connection->gate == pool->gate); /* set_gate has closed all others */
	connection->gate = NULL;
	upstream_close(connection);
	return true;
}

void upstream_pool_serve(struct upstream_pool *pool)
{
	if (pool->gate == NULL)
		return;
	LIST_EACH_SAFE (item, &pool->idle) {
		struct upstream_connection *connection = OWNER_OF(item, struct upstream_connection, link);
		if (board_gate_waiting(pool->gate) == 0)
			return;
		take_off_list(connection);
		if (!stream_is_quiet(&connection->stream) || !upstream_line_pass(pool->core->line, connection))
			upstream_close(connection);
	}
}

/* A server whose machine has gone while it works on a request sends nothing, not even an end: the kernel asks after 10 s of
 * silence and gives up 9 s later. */
static void keep_alive(int descriptor)
{
	int on = 1, idle_s = 10, every_s = 3, probes = 3;
	if (setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0 ||
	    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s)) != 0 ||
	    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s)) != 0 ||
	    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) != 0)
		LOG_LIMITED(LOG_WARNING, 60000, "cannot set keep-alive on a connection to a server: %m");
}

static enum net_result open_new(struct upstream_place *place, int64_t timeout_ms, struct upstream_connection **out)
{
	struct upstream_pool *pool = place->target->pool;
	struct upstream_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL) {
		upstream_place_return(pool->core, place);
		return NET_NO_RESOURCES;
	}
	connection->magic = UPSTREAM_CONNECTION_MAGIC;
	connection->pool = pool;
	connection->gate = place->gate;
	pool->references++;
	list_init(&connection->link);
	stream_init(&connection->stream);
	*place = (struct upstream_place){0};
	enum net_result result = stream_connect(&connection->stream, &pool->address, timeout_ms);
	if (result != NET_OK) {
		upstream_close(connection);
		return result;
	}
	if (pool->address.family != ADDRESS_UNIX)
		keep_alive(connection->stream.watched.descriptor);
	BOARD_COUNT(pool->core->lane, server_connections_opened, 1);
	*out = connection;
	return NET_OK;
}

enum net_result upstream_open(struct upstream_core *core, struct upstream_place *place, int64_t timeout_ms,
                              struct upstream_connection **out)
{
	*out = place->connection;
	if (place->connection == NULL)
		return open_new(place, timeout_ms, out);
	ASSERT(place->connection->pool->core == core);
	*place = (struct upstream_place){0};
	return NET_OK;
}

void upstream_give_back(struct upstream_connection *connection)
{
	struct upstream_pool *pool = connection->pool;
	struct upstream_core *core = pool->core;

	CHECK_MAGIC(connection, UPSTREAM_CONNECTION_MAGIC);
	/* What the server said after its answer would be taken for the answer to the next request. */
	if (buffer_filled(&connection->stream.input) > 0 || !stream_is_quiet(&connection->stream) || connection->gate != pool->gate) {
		upstream_close(connection);
		return;
	}
	connection->idle_since_us = loop_now_us(core->loop);
	if (connection->gate != NULL && board_gate_waiting(connection->gate) > 0) {
		if (!upstream_line_pass(core->line, connection))
			upstream_close(connection); /* the slot goes to another thread */
		return;
	}
	if (core->draining || pool->references == pool->idle_count + 1 || pool->idle_count >= UPSTREAM_IDLE_MOST) {
		upstream_close(connection);
		return;
	}
	buffer_release(&connection->stream.input);
	list_prepend(&pool->idle, &connection->link);
	count_idle(pool, connection, 1);
	if (!core->sweep.armed)
		timer_set(&core->sweep, UPSTREAM_SWEEP_MS);
	if (connection->gate != NULL)
		upstream_pool_serve(pool); /* somebody came to wait after we had looked, and saw no idle connection */
}

void upstream_close(struct upstream_connection *connection)
{
	struct upstream_pool *pool = connection->pool;

	CHECK_MAGIC(connection, UPSTREAM_CONNECTION_MAGIC);
	ASSERT(list_is_empty(&connection->link));
	connection_free(connection);
	upstream_pool_unref(pool);
}

static void sweep_pool(struct upstream_pool *pool, uint64_t now_us)
{
	LIST_EACH_SAFE (item, &pool->idle) {
		struct upstream_connection *connection = OWNER_OF(item, struct upstream_connection, link);
		if (now_us - connection->idle_since_us > UPSTREAM_IDLE_MS * 1000u || !stream_is_quiet(&connection->stream))
			close_idle(connection);
	}
}

/* Only while there are idle connections: an idle noah sleeps. */
static void sweep(struct timer *timer)
{
	struct upstream_core *core = OWNER_OF(timer, struct upstream_core, sweep);

	LIST_EACH (item, &core->pools)
		sweep_pool(OWNER_OF(item, struct upstream_pool, link), loop_now_us(core->loop));
	if (core->idle_count > 0)
		timer_set(&core->sweep, UPSTREAM_SWEEP_MS);
}
