/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A view: one snapshot of the cluster as one traffic thread sees it, with board rows and pools already looked up, so that a
 * request looks up nothing. A reload makes a new view; requests under way keep the old one alive, and addresses that both name
 * share a pool.
 */
#include "upstream/upstream.h"

#include <stdio.h>
#include <stdlib.h>

/* A sticky cookie's word for a server: from names alone, so that it is the same on all servers of the cluster and after a
 * restart, and shows nobody what they are. */
static void name_target(struct upstream_target *target)
{
	char text[sizeof(target->text) + 8];
	int size = snprintf(text, sizeof(text), "sticky %s", target->text);

	target->identity = hash_stable(target->text, strlen(target->text));
	/* The last bytes of FNV-1a hardly reach its upper bits: mixed, so that neighbours do not look alike. */
	uint64_t word = hash_stable(text, (size_t)size);
	word = (word ^ word >> 29) * 0xbf58476d1ce4e5b9u;
	word = (word ^ word >> 32) * 0x94d049bb133111ebu;
	snprintf(target->sticky, sizeof(target->sticky), "%016jx", (uintmax_t)(word ^ word >> 29));
}

static bool fill_target(struct upstream_view *view, const struct cluster_group *group, const struct cluster_app *app,
                        struct upstream_target *target)
{
	struct upstream_core *core = view->core;

	target->app = app;
	target->row = board_target_row(core->board, &group->check, &app->address);
	target->health = target->row < 0 ? NULL : &core->board->targets[target->row];
	snprintf(target->text, sizeof(target->text), "%s:%u", view->cluster->servers[app->server].name, app->address.port);
	target->server = board_find_server(core->board, view->cluster->servers[app->server].name);
	name_target(target);
	target->pool = upstream_pool_ref(core, &app->address);
	return target->pool != NULL;
}

struct upstream_view *upstream_view_new(struct upstream_core *core, struct snapshot *snapshot)
{
	struct upstream_view *view = calloc(1, sizeof(*view));

	if (view == NULL)
		return NULL;
	view->core = core;
	view->snapshot = snapshot_ref(snapshot);
	view->cluster = snapshot_cluster(snapshot);
	struct cluster_walk walk = {0};
	uint32_t count = 0;
	while (cluster_walk_groups(view->cluster, &walk))
		count++;
	view->groups = calloc(count > 0 ? count : 1, sizeof(view->groups[0]));
	if (view->groups == NULL)
		goto out_of_memory;
	walk = (struct cluster_walk){0};
	while (cluster_walk_groups(view->cluster, &walk)) {
		struct upstream_group *group = &view->groups[view->group_count++];
		group->group = walk.group;
		group->name = walk.name;
		upstream_budget_init(&group->budget, clock_monotonic_us());
		for (uint32_t app = 0; app < walk.group->app_count; app++) {
			if (!fill_target(view, walk.group, &walk.group->apps[app], &group->targets[app]))
				goto out_of_memory;
			group->target_count++;
		}
	}
	return view;

out_of_memory:
	upstream_view_free(view);
	return NULL;
}

void upstream_view_inherit(struct upstream_view *view, const struct upstream_view *before)
{
	for (uint32_t i = 0; i < view->group_count; i++) {
		for (uint32_t j = 0; j < before->group_count; j++) {
			if (strcmp(view->groups[i].name, before->groups[j].name) == 0)
				view->groups[i].budget = before->groups[j].budget;
		}
	}
}

struct upstream_group *upstream_view_find(const struct upstream_view *view, const struct cluster_site *site,
                                          const struct cluster_route *route, const struct cluster_service *service)
{
	const struct cluster_group *wanted = service != NULL                               ? &service->group
	                                     : route != NULL && route->group.app_count > 0 ? &route->group
	                                                                                   : &site->group;
	for (uint32_t i = 0; i < view->group_count; i++) {
		if (view->groups[i].group == wanted)
			return &view->groups[i];
	}
	return NULL;
}

struct upstream_group *upstream_view_find_missing(const struct upstream_view *view, const struct cluster_static *files)
{
	for (uint32_t i = 0; i < view->group_count; i++) {
		if (view->groups[i].group == &files->servers)
			return &view->groups[i];
	}
	return NULL;
}

void upstream_view_free(struct upstream_view *view)
{
	for (uint32_t i = 0; view->groups != NULL && i < view->group_count; i++) {
		for (uint32_t target = 0; target < view->groups[i].target_count; target++)
			upstream_pool_unref(view->groups[i].targets[target].pool);
	}
	snapshot_unref(view->snapshot);
	free(view->groups);
	free(view);
}
