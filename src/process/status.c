/* SPDX-License-Identifier: BSD-2-Clause
 *
 * status: what `noah status` shows, as JSON, read off the board and the snapshot in force. Runs in the supervisor; control.c
 * calls it.
 *
 * Times are RFC 3339 in UTC; null where something is not known. Keys are only ever added.
 */
#include "process/supervisor_private.h"

#include <jansson.h>
#include <unistd.h>

#define SILENT_US 3000000u /* watch and each thread of traffic beat twice a second */

static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);
	return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *time_json(uint64_t wall_us)
{
	char text[CLOCK_TEXT_SIZE];
	return wall_us == 0 ? json_null() : json_string(clock_format(wall_us, text));
}

static json_t *board_text_json(const struct board_text *text)
{
	char copy[BOARD_TEXT_SIZE];
	board_text_read(text, copy);
	return text_json(copy);
}

static json_t *address_json(const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	return text_json(address_format(address, text));
}

/* ---- targets -------------------------------------------------------------------------------------------------- */

/* NULL when the board has no such row any more. */
static json_t *target_json(const struct supervisor *supervisor, const struct cluster_app *app, const struct cluster_check *check)
{
	const struct board *board = supervisor->board;
	int row = board_target_row(board, check, &app->address);
	if (row < 0) /* a child has spoiled the board */
		return NULL;
	const struct board_target *target = &board->targets[row];
	char name[CLUSTER_NAME_SIZE + 8], key[CLUSTER_TARGET_KEY_SIZE];
	snprintf(name, sizeof name, "%s:%u", supervisor->cluster->servers[app->server].name, app->address.port);
	json_t *json = json_object();
	json_object_set_new(json, "name", text_json(name));
	json_object_set_new(json, "server", text_json(supervisor->cluster->servers[app->server].name));
	json_object_set_new(json, "address", address_json(&app->address));
	json_object_set_new(json, "key", text_json(cluster_target_key(check, &app->address, key)));
	json_object_set_new(json, "row", json_integer(row));
	json_object_set_new(json, "health", text_json(board_health_text((enum board_health)atomic_load(&target->health))));
	json_object_set_new(json, "usable", json_boolean(board_target_usable(target, clock_monotonic_us())));
	json_object_set_new(json, "avoided", json_boolean(atomic_load(&target->avoid_until_us) > clock_monotonic_us()));
	json_object_set_new(json, "reason", board_text_json(&target->reason));
	json_object_set_new(json, "since", time_json(atomic_load(&target->changed_wall_us)));
	json_object_set_new(json, "checked", time_json(atomic_load(&target->checked_wall_us)));
	json_object_set_new(json, "check_took_ms", json_real(atomic_load(&target->check_took_us) / 1000.0));
	json_object_set_new(json, "active", json_integer(board_target_active(board, row)));
	json_object_set_new(json, "served", json_integer((json_int_t)board_target_served(board, row)));
	if (check->kind == CHECK_MYSQL) {
		unsigned lag_ms = atomic_load(&target->lag_ms);
		json_object_set_new(json, "role", text_json(board_role_text((enum board_role)atomic_load(&target->role))));
		json_object_set_new(json, "lag_ms", lag_ms == UINT32_MAX ? json_null() : json_integer(lag_ms));
		json_object_set_new(json, "position", board_text_json(&target->position));
		json_object_set_new(json, "version", board_text_json(&target->version));
	} else {
		json_object_set_new(json, "weight", json_integer(app->weight));
	}
	return json;
}

/* Once each, though several sites may name the same target. */
static void add_target(json_t *all, json_t *target)
{
	size_t index;
	json_t *other;
	json_array_foreach(all, index, other) if (json_equal(json_object_get(other, "row"), json_object_get(target, "row"))) return;
	json_array_append(all, target);
}

static json_t *listen_json(const struct address *listen, unsigned count)
{
	json_t *json = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(json, address_json(&listen[i]));
	return json;
}

static json_t *site_listen_json(const struct cluster_site *site)
{
	json_t *json = json_array();
	for (unsigned i = 0; i < site->listen_count; i++)
		json_array_append_new(json, address_json(&site->listen[i].address));
	return json;
}

static json_t *sites_json(const struct supervisor *supervisor, json_t *targets)
{
	json_t *sites = json_array();
	for (unsigned i = 0; i < supervisor->cluster->site_count; i++) {
		const struct cluster_site *site = &supervisor->cluster->sites[i];
		if (!cluster_is_on(site->on, supervisor->cluster->self))
			continue;
		json_t *json = json_object(), *apps = json_array();
		json_object_set_new(json, "name", text_json(site->name));
		json_object_set_new(json, "listen", site_listen_json(site));
		for (unsigned j = 0; j < site->group.app_count; j++) {
			json_t *target = target_json(supervisor, &site->group.apps[j], &site->group.check);
			if (target == NULL)
				continue;
			add_target(targets, target);
			json_array_append_new(apps, target);
		}
		json_object_set_new(json, "apps", apps);
		json_array_append_new(sites, json);
	}
	return sites;
}

static json_t *databases_json(const struct supervisor *supervisor, json_t *targets, json_t *warnings)
{
	json_t *databases = json_array();
	for (unsigned i = 0; i < supervisor->cluster->database_count; i++) {
		const struct cluster_database *database = &supervisor->cluster->databases[i];
		const struct board_database *row = board_find_database(supervisor->board, database->name);
		if (!cluster_is_on(database->on, supervisor->cluster->self) || row == NULL)
			continue;
		uint64_t primary = atomic_load(&row->primary);
		json_t *json = json_object(), *servers = json_array(), *primary_name = json_null();
		json_object_set_new(json, "name", text_json(database->name));
		json_object_set_new(json, "listen", listen_json(database->listen, database->listen_count));
		for (unsigned j = 0; j < database->server_count; j++) {
			json_t *target = target_json(supervisor, &database->servers[j], &database->check);
			if (target == NULL)
				continue;
			if ((uint64_t)json_integer_value(json_object_get(target, "row")) + 1 == (primary & UINT32_MAX))
				primary_name = json_incref(json_object_get(target, "name"));
			add_target(targets, target);
			json_array_append_new(servers, target);
		}
		json_object_set_new(json, "primary", primary_name);
		json_object_set_new(json, "epoch", json_integer((json_int_t)(primary >> 32)));
		json_object_set_new(json, "reason", board_text_json(&row->reason));
		json_object_set_new(json, "accounts_version", json_integer((json_int_t)atomic_load(&row->accounts_version)));
		json_object_set_new(json, "servers", servers);
		json_array_append_new(databases, json);
		if ((primary & UINT32_MAX) == 0) {
			char reason[BOARD_TEXT_SIZE], text[BOARD_TEXT_SIZE + 128];
			board_text_read(&row->reason, reason);
			snprintf(text, sizeof text, "database %s has no primary, writes are refused: %s", database->name, reason);
			json_array_append_new(warnings, text_json(text));
		}
	}
	return databases;
}

/* ---- processes ------------------------------------------------------------------------------------------------ */

static json_t *processes_json(const struct supervisor *supervisor, json_t *warnings)
{
	json_t *processes = json_array();
	for (unsigned row = 0; row < PROCESS_ROWS; row++) {
		const struct child *child = &supervisor->children[row];
		const struct process *process = &process_table[row];
		unsigned restarts = atomic_load(&supervisor->board->restarts[row]);
		json_t *json = json_object();
		json_object_set_new(json, "name", text_json(process->name));
		json_object_set_new(json, "purpose", text_json(process->purpose));
		json_object_set_new(json, "pid", child->pid == 0 ? json_null() : json_integer(child->pid));
		json_object_set_new(json, "ready", json_boolean(child->taken_generation == supervisor->cluster->generation));
		json_object_set_new(json, "restarts", json_integer(restarts));
		json_object_set_new(json, "last_end", child->last_end[0] == '\0' ? json_null() : text_json(child->last_end));
		json_object_set_new(json, "last_end_at", time_json(child->last_end_wall_us));
		json_array_append_new(processes, json);
		if (restarts > 0) {
			char text[256], when[CLOCK_TEXT_SIZE];
			snprintf(text, sizeof text, "%s died and was started again, %u times; last at %s: %s", process->name, restarts,
			         clock_format(child->last_end_wall_us, when), child->last_end);
			json_array_append_new(warnings, text_json(text));
		}
	}
	return processes;
}

/* Processes that run but do nothing: stopped, or stuck. */
static void warn_of_silence(const struct supervisor *supervisor, json_t *warnings)
{
	char text[128];
	uint64_t now = clock_monotonic_us(), beat = atomic_load(&supervisor->board->watch_beat_us);
	if (!supervisor->announced)
		return;
	if (beat + SILENT_US < now) {
		snprintf(text, sizeof text, "watch has been silent for %ju s: health may be out of date",
		         (uintmax_t)((now - beat) / 1000000));
		json_array_append_new(warnings, text_json(text));
	}
	unsigned silent = 0;
	uint64_t longest_us = 0;
	for (unsigned i = 0; i < supervisor->threads; i++) {
		beat = atomic_load(&supervisor->board->lane_beat_us[supervisor->first_lane + i]);
		if (beat + SILENT_US >= now)
			continue;
		silent++;
		longest_us = now - beat > longest_us ? now - beat : longest_us;
	}
	/* While it drains, a thread that has finished may have ended. */
	if (silent > 0 && !supervisor->stopping) {
		snprintf(text, sizeof text, "traffic has been silent for %ju s on %u of %u threads: their visitors wait",
		         (uintmax_t)(longest_us / 1000000), silent, supervisor->threads);
		json_array_append_new(warnings, text_json(text));
	}
}

/* Traffic of before an upgrade that still has connections. */
static json_t *retired_json(const struct supervisor *supervisor)
{
	json_t *all = json_array();
	for (unsigned i = 0; i < RETIRED_MOST; i++) {
		const struct retired *retired = &supervisor->retired[i];
		if (retired->child.pid == 0)
			continue;
		json_t *json = json_object();
		json_object_set_new(json, "version", text_json(retired->version));
		json_object_set_new(json, "pid", json_integer(retired->child.pid));
		json_object_set_new(json, "generation", json_integer((json_int_t)retired->generation));
		json_object_set_new(json, "retired", time_json(retired->retired_wall_us));
		json_object_set_new(json, "threads", json_integer(retired->threads));
		json_object_set_new(json, "open", json_integer((json_int_t)retired_open(supervisor, retired)));
		json_array_append_new(all, json);
	}
	return all;
}

static json_t *counters_json(const struct supervisor *supervisor)
{
	json_t *counters = json_object();
	for (unsigned i = 0; i < board_counter_count; i++)
		json_object_set_new(counters, board_counter_names[i].name, json_integer((json_int_t)board_sum(supervisor->board, i)));
	return counters;
}

/* How evenly the threads of traffic are used. */
static json_t *lanes_json(const struct supervisor *supervisor)
{
	json_t *lanes = json_array();
	for (unsigned i = 0; i < supervisor->threads; i++) {
		const struct board_lane *lane = &supervisor->board->lanes[supervisor->first_lane + i];
		json_t *json = json_object();
		json_object_set_new(json, "connections_open", json_integer((json_int_t)atomic_load(&lane->connections_open)));
		json_object_set_new(json, "sessions_open", json_integer((json_int_t)atomic_load(&lane->sessions_open)));
		json_array_append_new(lanes, json);
	}
	return lanes;
}

char *status_make(const struct supervisor *supervisor)
{
	const struct cluster *cluster = supervisor->cluster;
	json_t *json = json_object(), *targets = json_array(), *warnings = json_array();
	json_object_set_new(json, "version", text_json(NOAH_VERSION));
	json_object_set_new(json, "cluster", text_json(cluster->name));
	json_object_set_new(json, "server", text_json(cluster->servers[cluster->self].name));
	json_object_set_new(json, "pid", json_integer(getpid()));
	json_object_set_new(json, "generation", json_integer((json_int_t)cluster->generation));
	json_object_set_new(json, "ready", json_boolean(children_are_ready(supervisor)));
	json_object_set_new(json, "stopping", json_boolean(supervisor->stopping));
	json_object_set_new(json, "started", time_json(atomic_load(&supervisor->board->started_wall_us)));
	json_object_set_new(json, "threads", json_integer(supervisor->threads));
	json_object_set_new(json, "sites", sites_json(supervisor, targets));
	json_object_set_new(json, "databases", databases_json(supervisor, targets, warnings));
	json_object_set_new(json, "targets", targets);
	json_object_set_new(json, "processes", processes_json(supervisor, warnings));
	json_object_set_new(json, "retired", retired_json(supervisor));
	warn_of_silence(supervisor, warnings);
	json_object_set_new(json, "counters", counters_json(supervisor));
	json_object_set_new(json, "lanes", lanes_json(supervisor));
	json_object_set_new(json, "warnings", warnings);
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}
