/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The core: what one traffic thread's HTTP front owns, and the verbs that process/traffic.c calls on it: new snapshot, new
 * connection, drain, end.
 */
#include "http/compress.h"
#include "http/h2.h"

#include <stdlib.h>
#include <unistd.h>

struct http_core *http_core_new(struct loop *loop, struct board *board, struct board_lane *lane, struct http_log_sink *sink)
{
	struct http_core *core = calloc(1, sizeof(*core));

	if (core == NULL)
		return NULL;
	core->magic = HTTP_CORE_MAGIC;
	core->loop = loop;
	core->lane = lane;
	list_init(&core->clients);
	list_init(&core->upgrades);
	upstream_core_init(&core->upstream, loop, board, lane);
	core->log = http_log_new(lane, sink);
	core->files = files_core_new(loop);
	if (core->log == NULL || core->files == NULL) {
		if (core->log != NULL)
			http_log_free(core->log);
		if (core->files != NULL)
			files_core_free(core->files);
		free(core);
		return NULL;
	}
	return core;
}

bool http_core_use(struct http_core *core, struct snapshot *snapshot)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	struct http_routes *routes = http_routes_new(core, snapshot);
	if (routes == NULL)
		return false;
	/* The new ones first: an address that both name keeps its pool. */
	struct http_routes *before = core->routes;
	core->routes = routes;
	http_auth_forget(core);
	http_guard_use_routes(core);
	if (before != NULL) {
		http_routes_inherit(routes, before);
		http_routes_unref(before);
	}
	return true;
}

static bool find_listener(struct http_core *core, const struct address *listener, uint16_t *index)
{
	for (unsigned i = 0; i < core->listener_count; i++) { /* at most HTTP_LISTENERS_MOST, usually one or two */
		if (address_equal(&core->listeners[i], listener)) {
			*index = (uint16_t)i;
			return true;
		}
	}
	if (core->listener_count == HTTP_LISTENERS_MOST)
		return false;
	struct address *more = realloc(core->listeners, (core->listener_count + 1) * sizeof(*more));
	if (more == NULL)
		return false;
	core->listeners = more;
	more[core->listener_count] = *listener;
	core->listener_count++;
	if (!http_routes_add_listener(core, core->routes)) {
		core->listener_count--;
		return false;
	}
	*index = (uint16_t)(core->listener_count - 1);
	return true;
}

void http_core_use_tls(struct http_core *core, const struct tls_core *tls)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	core->tls = tls;
}

void http_core_accepted(struct http_core *core, const struct address *listener, int descriptor, const struct address *from,
                        bool secure)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	ASSERT(core->routes != NULL);
	struct http_client *client = calloc(1, sizeof(*client));
	if (client == NULL || !find_listener(core, listener, &client->listener)) {
		LOG_LIMITED(LOG_ERROR, 1000, "HTTP connection refused: out of memory");
		free(client);
		close(descriptor);
		return;
	}
	client->magic = HTTP_CLIENT_MAGIC;
	client->core = core;
	client->insecure = secure;
	http_origin_set(&client->origin, from);
	BOARD_COUNT(core->lane, connections_accepted, 1);
	if (!http_front_end_accepts(client, secure) || !http_guard_accepts(client)) {
		free(client);
		close(descriptor);
		return;
	}
	http_connection_start(client, descriptor);
}

void http_core_retire(struct http_core *core)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	if (core->draining)
		return;
	core->draining = true;
	upstream_core_drain(&core->upstream);
	/* HTTP/2 can be told beforehand that a connection ends. */
	LIST_EACH (item, &core->clients) {
		struct http_client *client = OWNER_OF(item, struct http_client, link);
		if (client->h2 != NULL && client->parked)
			loop_unpark(&client->stream.watched);
		else if (client->h2 != NULL)
			h2_drain(client->h2);
	}
}

bool http_core_release(struct http_core *core)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	ASSERT(core->draining);
	if (!list_is_empty(&core->clients))
		return false;
	if (core->routes != NULL)
		http_routes_unref(core->routes);
	core->routes = NULL;
	return true;
}

void http_core_drain(struct http_core *core)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	http_core_retire(core);
	core->ending = true;
	http_upgrades_hurry(core);
	LIST_EACH (item, &core->clients) {
		struct http_client *client = OWNER_OF(item, struct http_client, link);
		if (client->parked && client->h2 == NULL)
			loop_unpark(&client->stream.watched);
	}
}

unsigned http_core_open(const struct http_core *core)
{
	return core->client_count;
}

void http_core_log_to(struct http_core *core, struct http_log_sink *sink)
{
	http_log_use(core->log, sink);
}

void http_core_free(struct http_core *core)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	ASSERT(list_is_empty(&core->clients) && list_is_empty(&core->upgrades));
	upstream_core_drain(&core->upstream);
	if (core->routes != NULL)
		http_routes_unref(core->routes);
	upstream_core_free(&core->upstream);
	http_log_free(core->log);
	files_core_free(core->files);
	http_compressors_free(core);
	http_auth_free(core);
	free(core->listeners);
	core->magic = 0;
	free(core);
}

uint64_t http_core_wall_us(struct http_core *core)
{
	uint64_t now_us = loop_now_us(core->loop);

	if (now_us / 1000000u != core->wall_offset_second) {
		core->wall_offset_second = now_us / 1000000u;
		core->wall_offset_us = clock_wall_us() - clock_monotonic_us();
	}
	return now_us + core->wall_offset_us;
}
