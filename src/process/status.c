/* SPDX-License-Identifier: BSD-2-Clause
 *
 * status: what `noah status` shows, as JSON, read off the board and the snapshot in force. Runs in the supervisor; control.c
 * calls it. What it says of sites and servers is in status_targets.c.
 *
 * Times are RFC 3339 in UTC; null where something is not known. Keys are only ever added.
 */
#include "process/status.h"

#include <unistd.h>

#define SILENT_US 3000000u /* watch and each thread of traffic beat twice a second */

/* ---- processes ------------------------------------------------------------------------------------------------ */

static json_t *processes_json(const struct supervisor *supervisor, json_t *warnings)
{
	json_t *processes = json_array();
	for (unsigned row = 0; row < PROCESS_ROWS; row++) {
		const struct child *child = &supervisor->children[row];
		const struct process *process = &process_table[row];
		unsigned restarts = atomic_load(&supervisor->board->restarts[row]);
		json_t *json = json_object();
		json_object_set_new(json, "name", status_text(process->name));
		json_object_set_new(json, "purpose", status_text(process->purpose));
		json_object_set_new(json, "pid", child->pid == 0 ? json_null() : json_integer(child->pid));
		json_object_set_new(json, "ready", json_boolean(child->taken_generation == supervisor->cluster->generation));
		json_object_set_new(json, "restarts", json_integer(restarts));
		json_object_set_new(json, "last_end", child->last_end[0] == '\0' ? json_null() : status_text(child->last_end));
		json_object_set_new(json, "last_end_at", status_time(child->last_end_wall_us));
		json_array_append_new(processes, json);
		if (restarts > 0) {
			char text[256], when[CLOCK_TEXT_SIZE];
			snprintf(text, sizeof text, "%s died and was started again, %u times; last at %s: %s", process->name, restarts,
			         clock_format(child->last_end_wall_us, when), child->last_end);
			json_array_append_new(warnings, status_text(text));
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
		json_array_append_new(warnings, status_text(text));
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
		json_array_append_new(warnings, status_text(text));
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
		json_object_set_new(json, "version", status_text(retired->version));
		json_object_set_new(json, "pid", json_integer(retired->child.pid));
		json_object_set_new(json, "generation", json_integer((json_int_t)retired->generation));
		json_object_set_new(json, "retired", status_time(retired->retired_wall_us));
		json_object_set_new(json, "threads", json_integer(retired->threads));
		json_object_set_new(json, "open", json_integer((json_int_t)retired_open(supervisor, retired)));
		json_object_set_new(json, "tunnels", json_integer((json_int_t)retired_tunnels(supervisor, retired)));
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
	json_object_set_new(json, "version", status_text(NOAH_VERSION));
	json_object_set_new(json, "cluster", status_text(cluster->name));
	json_object_set_new(json, "server", status_text(cluster->servers[cluster->self].name));
	json_object_set_new(json, "pid", json_integer(getpid()));
	json_object_set_new(json, "generation", json_integer((json_int_t)cluster->generation));
	json_object_set_new(json, "ready", json_boolean(children_are_ready(supervisor)));
	json_object_set_new(json, "stopping", json_boolean(supervisor->stopping));
	json_object_set_new(json, "started", status_time(atomic_load(&supervisor->board->started_wall_us)));
	json_object_set_new(json, "threads", json_integer(supervisor->threads));
	json_object_set_new(json, "sites", status_sites(supervisor, targets, warnings));
	json_object_set_new(json, "services", status_services(supervisor, targets, warnings));
	json_object_set_new(json, "databases", status_databases(supervisor, targets, warnings));
	json_object_set_new(json, "servers", status_servers(supervisor));
	json_object_set_new(json, "certificates", status_certificates(supervisor, warnings));
	json_object_set_new(json, "visitors", status_visitors(supervisor));
	json_object_set_new(json, "targets", targets);
	json_object_set_new(json, "processes", processes_json(supervisor, warnings));
	json_object_set_new(json, "retired", retired_json(supervisor));
	warn_of_silence(supervisor, warnings);
	status_warn_of_numbers(supervisor, warnings);
	json_object_set_new(json, "counters", counters_json(supervisor));
	json_object_set_new(json, "lanes", lanes_json(supervisor));
	json_object_set_new(json, "warnings", warnings);
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}
