/* SPDX-License-Identifier: BSD-2-Clause
 *
 * maintenance: an administrator says that a site's visitors shall come later, and until when. It stands on the board, so that it
 * outlives reloads and upgrades; traffic looks there for each request (http/maintenance.c).
 *
 * Runs in the supervisor; called by control.c. The answers are JSON, which command/maintenance.c puts into words.
 */
#include "process/status.h"

#include "cluster/suggest.h"

static const struct cluster_site *find_site(const struct cluster *cluster, const char *name)
{
	for (uint32_t i = 0; i < cluster->site_count; i++)
		if (strcmp(cluster->sites[i].name, name) == 0)
			return &cluster->sites[i];
	return NULL;
}

/* Text to be freed; NULL: out of memory. */
static char *refuse(const struct cluster *cluster, const char *name)
{
	char *text = NULL;
	int size = -1;
	struct suggestion suggestion = {0};
	for (uint32_t i = 0; i < cluster->site_count; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		for (uint32_t j = 0; j < site->name_count; j++)
			if (strcmp(site->names[j], name) == 0) {
				size = asprintf(&text, "%s is a name of the site %s, which is in maintenance as a whole or not: name it %s\n",
				                name, site->name, site->name);
				return size < 0 ? NULL : text;
			}
		suggest_consider(&suggestion, name, site->name);
	}
	if (suggestion.word != NULL)
		size = asprintf(&text, "the cluster file has no site %s; did you mean %s?\n", name, suggestion.word);
	else
		size = asprintf(&text, "the cluster file has no site %s; \"noah plan\" lists them\n", name);
	return size < 0 ? NULL : text;
}

json_t *status_maintenance(const struct supervisor *supervisor, const char *site)
{
	int row = board_site_row(supervisor->board, site);
	uint64_t now_us = clock_monotonic_us(), until_us;
	if (row < 0 || !board_site_is_in_maintenance(&supervisor->board->sites[row], now_us))
		return json_null();
	until_us = atomic_load(&supervisor->board->sites[row].maintenance_until_us);
	bool for_ever = until_us == BOARD_FOR_EVER;
	uint64_t left_us = until_us > now_us ? until_us - now_us : 0;
	struct board_site_lane sum;
	board_site_sum(supervisor->board, row, &sum);
	json_t *json = json_object();
	json_object_set_new(json, "since", status_time(atomic_load(&supervisor->board->sites[row].maintenance_since_us)));
	json_object_set_new(json, "until", for_ever ? json_null() : status_time(clock_wall_us() + left_us));
	json_object_set_new(json, "left_s", for_ever ? json_null() : json_integer((json_int_t)((left_us + 999999) / 1000000)));
	json_object_set_new(json, "answered", json_integer((json_int_t)atomic_load(&sum.maintenance)));
	return json;
}

static json_t *describe(const struct supervisor *supervisor, const struct cluster_site *site)
{
	json_t *json = json_object();
	bool here = cluster_is_on(site->on, supervisor->cluster->self);
	json_object_set_new(json, "site", status_text(site->name));
	json_object_set_new(json, "here", json_boolean(here));
	json_object_set_new(json, "maintenance", status_maintenance(supervisor, site->name));
	json_object_set_new(json, "own_page", json_boolean(site->error_pages[ERROR_PAGE_MAINTENANCE] != 0));
	return json;
}

static char *dump(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

char *maintenance_list(const struct supervisor *supervisor)
{
	json_t *json = json_object(), *sites = json_array();
	for (uint32_t i = 0; i < supervisor->cluster->site_count; i++) {
		json_t *site = describe(supervisor, &supervisor->cluster->sites[i]);
		if (!json_is_null(json_object_get(site, "maintenance")))
			json_array_append(sites, site);
		json_decref(site);
	}
	json_object_set_new(json, "sites", sites);
	return dump(json);
}

char *maintenance_say(struct supervisor *supervisor, const char *name, uint64_t for_ms, bool *done)
{
	const struct cluster_site *site = find_site(supervisor->cluster, name);
	uint64_t until_us = for_ms == 0                         ? 0
	                    : for_ms == MAINTENANCE_FOR_EVER_MS ? BOARD_FOR_EVER
	                                                        : clock_monotonic_us() + for_ms * 1000;
	*done = false;
	if (site == NULL)
		return refuse(supervisor->cluster, name);
	if (!board_site_maintain(supervisor->board, name, until_us))
		return strdup("the board has no row for this site\n");
	if (until_us == 0)
		log_write(LOG_NOTICE, "site %s: not in maintenance any more", name);
	else if (until_us == BOARD_FOR_EVER)
		log_write(LOG_NOTICE, "site %s: in maintenance, for ever", name);
	else
		log_write(LOG_NOTICE, "site %s: in maintenance for %ju s", name, (uintmax_t)((for_ms + 999) / 1000));
	char *text = dump(describe(supervisor, site));
	*done = text != NULL;
	return text;
}
