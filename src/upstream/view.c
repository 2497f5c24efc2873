/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A view: one snapshot of the cluster as one traffic thread sees it, with board rows and pools already looked up, so that a
 * request looks up nothing. A reload makes a new view; requests under way keep the old one alive, and addresses that both name
 * share a pool.
 */
#include "upstream/upstream.h"

#include <stdio.h>
#include <stdlib.h>

static bool fill_target(struct upstream_view *view, const struct cluster_site *site, const struct cluster_app *app,
                        struct upstream_target *target)
{
	struct upstream_core *core = view->core;

	target->app = app;
	target->row = board_target_row(core->board, &site->check, &app->address);
	target->health = target->row < 0 ? NULL : &core->board->targets[target->row];
	snprintf(target->text, sizeof(target->text), "%s:%u", view->cluster->servers[app->server].name, app->address.port);
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
	view->site_count = view->cluster->site_count;
	view->sites = calloc(view->site_count > 0 ? view->site_count : 1, sizeof(view->sites[0]));
	if (view->sites == NULL)
		goto out_of_memory;
	for (uint32_t i = 0; i < view->site_count; i++) { /* at most CLUSTER_SITES_MOST */
		struct upstream_site *site = &view->sites[i];
		site->site = &view->cluster->sites[i];
		upstream_budget_init(&site->budget, clock_monotonic_us());
		for (uint32_t app = 0; app < site->site->app_count; app++) {
			if (!fill_target(view, site->site, &site->site->apps[app], &site->targets[app]))
				goto out_of_memory;
			site->target_count++;
		}
	}
	return view;

out_of_memory:
	upstream_view_free(view);
	return NULL;
}

void upstream_view_inherit(struct upstream_view *view, const struct upstream_view *before)
{
	for (uint32_t i = 0; i < view->site_count; i++) { /* at most CLUSTER_SITES_MOST, each */
		for (uint32_t j = 0; j < before->site_count; j++) {
			if (strcmp(view->sites[i].site->name, before->sites[j].site->name) == 0)
				view->sites[i].budget = before->sites[j].budget;
		}
	}
}

void upstream_view_free(struct upstream_view *view)
{
	for (uint32_t i = 0; view->sites != NULL && i < view->site_count; i++) {
		for (uint32_t target = 0; target < view->sites[i].target_count; target++)
			upstream_pool_unref(view->sites[i].targets[target].pool);
	}
	snapshot_unref(view->snapshot);
	free(view->sites);
	free(view);
}
