/* SPDX-License-Identifier: BSD-2-Clause
 *
 * servers: what an administrator says about a server while noah runs: drain, undrain, weight. It stands on the board, so that it
 * outlives reloads and upgrades; traffic looks there whenever it chooses a server.
 *
 * Runs in the supervisor; called by control.c. The answers are JSON, which command/drain.c puts into words.
 */
#include "process/supervisor_private.h"

#include "cluster/suggest.h"

#include <jansson.h>

static const struct cluster_server *find_server(const struct cluster *cluster, const char *name)
{
	for (uint32_t i = 0; i < cluster->server_count; i++)
		if (strcmp(cluster->servers[i].name, name) == 0)
			return &cluster->servers[i];
	return NULL;
}

/* Text to be freed; NULL: out of memory. */
static char *refuse(const struct cluster *cluster, const char *name)
{
	char *text = NULL, server[CLUSTER_NAME_SIZE];
	struct suggestion suggestion = {0};
	struct span rest = span_of_text(name), before = span_cut(&rest, ':');
	if (rest.start != NULL && span_copy(before, server, sizeof server) && find_server(cluster, server) != NULL)
		return asprintf(&text, "%s: a server is drained or weighed as a whole, with all its ports: name it %s\n", name, server) <
		               0
		           ? NULL
		           : text;
	for (uint32_t i = 0; i < cluster->server_count; i++)
		suggest_consider(&suggestion, name, cluster->servers[i].name);
	int size = suggestion.word != NULL
	               ? asprintf(&text, "the cluster file has no server %s; did you mean %s?\n", name, suggestion.word)
	               : asprintf(&text, "the cluster file has no server %s; \"noah plan\" lists them\n", name);
	return size < 0 ? NULL : text;
}

/* ---- what it means now ---------------------------------------------------------------------------------------- */

static const struct board_target *target_of(const struct board *board, const struct cluster_group *group, uint32_t app, int *row)
{
	*row = board_target_row(board, &group->check, &group->apps[app].address);
	return *row >= 0 ? &board->targets[*row] : NULL;
}

static bool is_in_use(struct board *board, const char *server)
{
	const struct board_server *row = board_find_server(board, server);
	return row == NULL || (atomic_load(&row->drained) == 0 && atomic_load(&row->weight_percent) > 0);
}

/* Another server of the group could take what this one no longer gets. */
static bool others_serve(const struct supervisor *supervisor, const struct cluster_group *group, uint32_t server)
{
	uint64_t now_us = clock_monotonic_us();
	for (uint32_t i = 0; i < group->app_count; i++) {
		int row;
		const struct board_target *target = target_of(supervisor->board, group, i, &row);
		if (group->apps[i].server != server && target != NULL && board_target_usable(target, now_us) &&
		    is_in_use(supervisor->board, supervisor->cluster->servers[group->apps[i].server].name))
			return true;
	}
	return false;
}

static void look_at_group(const struct supervisor *supervisor, const struct cluster_walk *walk, uint32_t server, json_t *sites,
                          json_t *warnings)
{
	char group[CLUSTER_NAME_SIZE + CLUSTER_PATH_SIZE + 16], text[sizeof group + 80];
	bool has_it = false;
	for (uint32_t i = 0; i < walk->group->app_count; i++)
		has_it = has_it || walk->group->apps[i].server == server;
	if (!has_it || !cluster_is_on(walk->on, supervisor->cluster->self))
		return;
	const char *what = walk->service != NULL ? "service" : "site";
	if (walk->files != NULL) { /* what it has is 404 without it, or comes from another one: nobody is refused */
		snprintf(group, sizeof group, "files of site %s", walk->name);
		json_array_append_new(sites, json_string(group));
		return;
	}
	if (walk->route == NULL)
		snprintf(group, sizeof group, "%s %s", what, walk->name);
	else if (walk->route->path[0] != '\0')
		snprintf(group, sizeof group, "%s %s %s", what, walk->name, walk->route->path);
	else
		snprintf(group, sizeof group, "%s %s .%s", what, walk->name, walk->route->types[0]);
	json_array_append_new(sites, json_string(group));
	if (others_serve(supervisor, walk->group, server) || is_in_use(supervisor->board, supervisor->cluster->servers[server].name))
		return;
	snprintf(text, sizeof text, "%s has no other server that is up and in use, new visitors are refused", group);
	json_array_append_new(warnings, json_string(text));
}

/* Requests and connections under way to the server, in all generations of traffic. */
static int64_t under_way(const struct supervisor *supervisor, uint32_t server)
{
	bool counted[BOARD_TARGETS_MOST] = {false};
	int64_t sum = 0;
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(supervisor->cluster, &walk)) {
		for (uint32_t i = 0; i < walk.group->app_count; i++) {
			int row;
			if (walk.group->apps[i].server != server || target_of(supervisor->board, walk.group, i, &row) == NULL || counted[row])
				continue;
			counted[row] = true;
			int64_t active = board_target_active(supervisor->board, row);
			sum += active > 0 ? active : 0;
		}
	}
	return sum;
}

static char *describe(const struct supervisor *supervisor, const struct cluster_server *server)
{
	uint32_t index = (uint32_t)(server - supervisor->cluster->servers);
	const struct board_server *row = board_find_server(supervisor->board, server->name);
	json_t *json = json_object(), *sites = json_array(), *warnings = json_array();
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(supervisor->cluster, &walk))
		look_at_group(supervisor, &walk, index, sites, warnings);
	json_object_set_new(json, "server", json_string(server->name));
	json_object_set_new(json, "drained", json_boolean(row != NULL && atomic_load(&row->drained) != 0));
	json_object_set_new(json, "weight", json_integer(row != NULL ? atomic_load(&row->weight_percent) : BOARD_WEIGHT_FULL));
	json_object_set_new(json, "under_way", json_integer(under_way(supervisor, index)));
	json_object_set_new(json, "serves", sites);
	json_object_set_new(json, "warnings", warnings);
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

char *servers_say(struct supervisor *supervisor, enum servers_verb verb, const char *name, unsigned percent, bool *done)
{
	const struct cluster_server *server = find_server(supervisor->cluster, name);
	*done = false;
	if (server == NULL)
		return refuse(supervisor->cluster, name);
	bool good = verb == SERVERS_LOOK;
	if (verb == SERVERS_WEIGH)
		good = board_server_weigh(supervisor->board, name, percent);
	else if (verb != SERVERS_LOOK)
		good = board_server_drain(supervisor->board, name, verb == SERVERS_DRAIN);
	if (!good)
		return strdup("the board has no row for this server\n");
	if (verb == SERVERS_WEIGH)
		log_write(LOG_NOTICE, "server %s: weight %u %%", name, percent);
	else if (verb != SERVERS_LOOK)
		log_write(LOG_NOTICE, "server %s: %s", name, verb == SERVERS_DRAIN ? "drained" : "not drained any more");
	char *text = describe(supervisor, server);
	*done = text != NULL;
	return text;
}
