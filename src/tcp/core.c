/* SPDX-License-Identifier: BSD-2-Clause
 *
 * core: the verbs of tcp.h: what process/traffic.c does with this folder, on each of its threads.
 */
#include "tcp/tcp_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- views ------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t counts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tcp_count *counts;

/* NULL: no memory. */
static struct tcp_count *find_count(const char *name)
{
	pthread_mutex_lock(&counts_lock);
	struct tcp_count *count = counts;
	while (count != NULL && strcmp(count->name, name) != 0)
		count = count->next;
	if (count == NULL && (count = calloc(1, sizeof(*count))) != NULL) {
		ASSERT(span_copy(span_of_text(name), count->name, sizeof(count->name)));
		count->next = counts;
		counts = count;
	}
	pthread_mutex_unlock(&counts_lock);
	return count;
}

static struct tcp_view *view_new(struct tcp_core *core, struct snapshot *snapshot)
{
	struct tcp_view *view = calloc(1, sizeof(*view));

	if (view == NULL)
		return NULL;
	view->references = 1;
	view->upstream = upstream_view_new(&core->upstream, snapshot);
	if (view->upstream == NULL)
		goto out_of_memory;
	const struct cluster *cluster = view->upstream->cluster;
	for (uint32_t i = 0; i < cluster->service_count; i++) {
		const struct cluster_service *service = &cluster->services[i];
		if (cluster->self != CLUSTER_NO_SERVER && !cluster_is_on(service->on, cluster->self))
			continue;
		struct tcp_service *entry = &view->services[view->service_count++];
		*entry = (struct tcp_service){.service = service,
		                              .group = upstream_view_find(view->upstream, NULL, NULL, service),
		                              .count = find_count(service->name)};
		ASSERT(entry->group != NULL); /* a service has servers */
		if (entry->count == NULL)
			goto out_of_memory;
	}
	return view;

out_of_memory:
	tcp_view_unref(view);
	return NULL;
}

struct tcp_view *tcp_view_ref(struct tcp_view *view)
{
	view->references++;
	return view;
}

void tcp_view_unref(struct tcp_view *view)
{
	ASSERT(view->references > 0);
	if (--view->references > 0)
		return;
	if (view->upstream != NULL)
		upstream_view_free(view->upstream);
	free(view);
}

/* ---- the verbs --------------------------------------------------------------------------------------------------- */

struct tcp_core *tcp_core_new(struct loop *loop, struct board *board, struct board_lane *lane)
{
	struct tcp_core *core = calloc(1, sizeof(*core));

	if (core == NULL)
		return NULL;
	core->magic = TCP_CORE_MAGIC;
	core->loop = loop;
	core->lane = lane;
	list_init(&core->sessions);
	upstream_core_init(&core->upstream, loop, board, lane);
	return core;
}

bool tcp_core_use(struct tcp_core *core, struct snapshot *snapshot)
{
	CHECK_MAGIC(core, TCP_CORE_MAGIC);
	struct tcp_view *view = view_new(core, snapshot);
	if (view == NULL)
		return false;
	struct tcp_view *before = core->view;
	core->view = view;
	if (before != NULL) {
		upstream_view_inherit(view->upstream, before->upstream);
		tcp_view_unref(before);
	}
	return true;
}

static const struct tcp_service *find_service(const struct tcp_core *core, const struct address *listener)
{
	for (uint32_t i = 0; core->view != NULL && i < core->view->service_count; i++) {
		const struct cluster_service *service = core->view->services[i].service;
		for (uint32_t j = 0; j < service->listen_count; j++) {
			if (address_equal(&service->listen[j], listener))
				return &core->view->services[i];
		}
	}
	return NULL;
}

void tcp_core_accepted(struct tcp_core *core, const struct address *listener, int descriptor, const struct address *from)
{
	CHECK_MAGIC(core, TCP_CORE_MAGIC);
	const struct tcp_service *service = core->draining ? NULL : find_service(core, listener);
	if (service != NULL) {
		tcp_session_start(core, service, descriptor, from);
		return;
	}
	if (!core->draining && core->view != NULL) {
		char text[ADDRESS_TEXT_SIZE];
		LOG_LIMITED(LOG_WARNING, 5000, "a client came to %s, where no service listens any more", address_format(listener, text));
	}
	close(descriptor);
}

void tcp_core_drain(struct tcp_core *core)
{
	CHECK_MAGIC(core, TCP_CORE_MAGIC);
	core->draining = true;
	upstream_core_drain(&core->upstream);
	LIST_EACH (item, &core->sessions)
		tcp_session_hurry(item);
}

bool tcp_core_release(struct tcp_core *core)
{
	CHECK_MAGIC(core, TCP_CORE_MAGIC);
	if (core->connecting_count > 0)
		return false;
	if (core->view != NULL)
		tcp_view_unref(core->view);
	core->view = NULL;
	return true;
}

unsigned tcp_core_open(const struct tcp_core *core)
{
	CHECK_MAGIC(core, TCP_CORE_MAGIC);
	return core->session_count;
}

void tcp_core_free(struct tcp_core *core)
{
	CHECK_MAGIC(core, TCP_CORE_MAGIC);
	ASSERT(list_is_empty(&core->sessions) && tcp_core_release(core));
	upstream_core_free(&core->upstream);
	core->magic = 0;
	free(core);
}
