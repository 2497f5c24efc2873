/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What stands under /metrics: the board and the snapshot in force, for Prometheus. docs/operations.md lists every family; a test
 * holds the two together. Called by admin.c in the watch process; it only reads.
 */
#include "watch/watch_private.h"

#include "watch/exposition.h"

#include <limits.h>
#include <stdlib.h>

#define NAME_SIZE 96u

/* Everything that is written is found from here. */
struct source {
	struct board *board;
	const struct cluster *cluster;
	struct exposition *out;
};

static const char *const no_labels[] = {NULL};

static bool is_here(const struct source *source, uint64_t on)
{
	return cluster_is_on(on, source->cluster->self);
}

/* ---- targets: each row once, though several sites may name it ----------------------------------------------------- */

struct row {
	int number;
	const struct cluster_app *app;
	const struct cluster_check *check;
	char server[CLUSTER_NAME_SIZE + 8];
	char key[CLUSTER_TARGET_KEY_SIZE];
};

struct rows {
	unsigned count;
	struct row list[CLUSTER_TARGETS_MOST];
};

static void add_row(const struct source *source, struct rows *rows, const struct cluster_app *app,
                    const struct cluster_check *check)
{
	int number = board_target_row(source->board, check, &app->address);
	if (number < 0 || rows->count == CLUSTER_TARGETS_MOST)
		return;
	for (unsigned i = 0; i < rows->count; i++)
		if (rows->list[i].number == number)
			return;
	struct row *row = &rows->list[rows->count++];
	*row = (struct row){.number = number, .app = app, .check = check};
	snprintf(row->server, sizeof row->server, "%s:%u", source->cluster->servers[app->server].name, app->address.port);
	cluster_target_key(check, &app->address, row->key);
}

static void find_rows(const struct source *source, struct rows *rows)
{
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(source->cluster, &walk))
		for (unsigned i = 0; i < walk.group->app_count && is_here(source, walk.on); i++)
			add_row(source, rows, &walk.group->apps[i], &walk.group->check);
	for (unsigned i = 0; i < source->cluster->database_count; i++) {
		const struct cluster_database *database = &source->cluster->databases[i];
		for (unsigned j = 0; j < database->server_count && is_here(source, database->on); j++)
			add_row(source, rows, &database->servers[j], &database->check);
	}
}

/* What is said of a target, a number or microseconds. False: nothing. */
typedef bool (*target_value)(const struct source *source, const struct row *row, uint64_t *value);

static const struct board_target *target_of(const struct source *source, const struct row *row)
{
	return &source->board->targets[row->number];
}

static bool target_up(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = atomic_load(&target_of(source, row)->health) == HEALTH_UP;
	return true;
}

static bool target_usable(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = board_target_usable(target_of(source, row), clock_monotonic_us());
	return true;
}

static bool target_active(const struct source *source, const struct row *row, uint64_t *value)
{
	int64_t active = board_target_active(source->board, row->number);
	*value = active > 0 ? (uint64_t)active : 0;
	return true;
}

static bool target_served(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = board_target_served(source->board, row->number);
	return true;
}

static bool target_check_took(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = atomic_load(&target_of(source, row)->check_took_us);
	return atomic_load(&target_of(source, row)->checked_wall_us) != 0;
}

static bool target_checked(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = atomic_load(&target_of(source, row)->checked_wall_us);
	return *value != 0;
}

static bool target_changed(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = atomic_load(&target_of(source, row)->changed_wall_us);
	return *value != 0;
}

static bool target_latency(const struct source *source, const struct row *row, uint64_t *value)
{
	*value = atomic_load(&target_of(source, row)->latency_us);
	return atomic_load(&target_of(source, row)->latency_at_us) != 0;
}

static bool target_lag(const struct source *source, const struct row *row, uint64_t *value)
{
	unsigned lag_ms = atomic_load(&target_of(source, row)->lag_ms);
	*value = (uint64_t)lag_ms * 1000u;
	return row->check->kind == CHECK_MYSQL && lag_ms != UINT32_MAX;
}

/* The cap on connections to an address, of which one row speaks. */
static const struct board_gate *gate_of(const struct source *source, const struct row *row)
{
	unsigned gates = atomic_load(&source->board->gate_rows);
	for (unsigned i = 0; i < gates && i < BOARD_GATES_MOST; i++) {
		const struct board_gate *gate = &source->board->gates[i];
		if (atomic_load(&gate->connections_most) > 0 && address_equal(&gate->address, &row->app->address))
			return gate;
	}
	return NULL;
}

static bool target_cap(const struct source *source, const struct row *row, uint64_t *value)
{
	const struct board_gate *gate = gate_of(source, row);
	*value = gate != NULL ? atomic_load(&gate->connections_most) : 0;
	return gate != NULL;
}

static bool target_held(const struct source *source, const struct row *row, uint64_t *value)
{
	const struct board_gate *gate = gate_of(source, row);
	unsigned lanes = atomic_load(&source->board->lane_count);
	*value = 0;
	for (unsigned i = 0; gate != NULL && i < lanes && i < BOARD_LANES_MOST; i++)
		*value += atomic_load(&gate->held[i]);
	return gate != NULL;
}

static bool target_waiting(const struct source *source, const struct row *row, uint64_t *value)
{
	const struct board_gate *gate = gate_of(source, row);
	*value = gate != NULL ? board_gate_waiting(gate) : 0;
	return gate != NULL;
}

static const struct target_family {
	const char *name, *type, *help;
	bool in_seconds;
	target_value value;
} target_families[] = {
    {"noah_target_up", "gauge", "1: checks find it up", false, target_up},
    {"noah_target_usable", "gauge", "1: up, and its connections do not fail", false, target_usable},
    {"noah_target_active", "gauge", "requests, tunnels or statements under way", false, target_active},
    {"noah_target_served_total", "counter", "requests, tunnels or statements it was given", false, target_served},
    {"noah_target_check_seconds", "gauge", "how long the last check took", true, target_check_took},
    {"noah_target_checked_timestamp_seconds", "gauge", "when the last check ended", true, target_checked},
    {"noah_target_changed_timestamp_seconds", "gauge", "when it last went up or down", true, target_changed},
    {"noah_target_latency_seconds", "gauge", "time to the first byte of its answers, a moving average", true, target_latency},
    {"noah_target_lag_seconds", "gauge", "how far a replica is behind, by its own account", true, target_lag},
    {"noah_target_connections_most", "gauge", "cap on the connections to its address", false, target_cap},
    {"noah_target_connections", "gauge", "connections to its address, where there is a cap", false, target_held},
    {"noah_target_queue", "gauge", "who waits for a connection to its address, where there is a cap", false, target_waiting},
};

static void put_targets(const struct source *source, const struct rows *rows)
{
	for (unsigned i = 0; i < COUNT_OF(target_families); i++) {
		const struct target_family *family = &target_families[i];
		exposition_family(source->out, family->name, family->type, family->help);
		for (unsigned j = 0; j < rows->count; j++) {
			const struct row *row = &rows->list[j];
			const char *const labels[] = {"server", row->server, "check", row->key, NULL};
			uint64_t value;
			if (!family->value(source, row, &value))
				continue;
			if (family->in_seconds)
				exposition_seconds(source->out, "", labels, value);
			else
				exposition_number(source->out, "", labels, value);
		}
	}
	exposition_family(source->out, "noah_target_role", "gauge", "1 for the role that a database server has");
	for (unsigned j = 0; j < rows->count; j++) {
		const struct row *row = &rows->list[j];
		if (row->check->kind != CHECK_MYSQL)
			continue;
		const char *role = board_role_text((enum board_role)atomic_load(&target_of(source, row)->role));
		exposition_number(source->out, "", (const char *const[]){"server", row->server, "check", row->key, "role", role, NULL},
		                  1);
	}
}

/* ---- servers, as an administrator has set them ----------------------------------------------------------------------- */

static void put_servers(const struct source *source)
{
	exposition_family(source->out, "noah_server_drained", "gauge", "1: gets nothing new (noah drain)");
	for (unsigned i = 0; i < BOARD_SERVERS_MOST; i++) {
		const struct board_server *server = &source->board->servers[i];
		if (server->name[0] != '\0' && atomic_load(&server->last_generation) >= source->cluster->generation)
			exposition_number(source->out, "", (const char *const[]){"server", server->name, NULL},
			                  atomic_load(&server->drained));
	}
	exposition_family(source->out, "noah_server_weight_percent", "gauge", "of the weight that the file says (noah weight)");
	for (unsigned i = 0; i < BOARD_SERVERS_MOST; i++) {
		const struct board_server *server = &source->board->servers[i];
		if (server->name[0] != '\0' && atomic_load(&server->last_generation) >= source->cluster->generation)
			exposition_number(source->out, "", (const char *const[]){"server", server->name, NULL},
			                  atomic_load(&server->weight_percent));
	}
}

/* ---- groups: how many servers a site, a route or a service has left ---------------------------------------------------- */

/* Up, and not drained: `noah status` warns when a group has none. */
static unsigned count_usable(const struct source *source, const struct cluster_group *group)
{
	unsigned usable = 0;
	uint64_t now = clock_monotonic_us();
	for (unsigned i = 0; i < group->app_count; i++) {
		const struct cluster_app *app = &group->apps[i];
		const struct board_server *server = board_find_server(source->board, source->cluster->servers[app->server].name);
		int row = board_target_row(source->board, &group->check, &app->address);
		usable += row >= 0 && board_target_usable(&source->board->targets[row], now) &&
		          (server == NULL || atomic_load(&server->drained) == 0);
	}
	return usable;
}

/* A group, and what can be said of it: found out once, for all families. */
struct group_numbers {
	struct cluster_walk place;
	unsigned usable;
	struct board_headroom headroom;
};

/* What is said of a group. False: nothing. */
typedef bool (*group_value)(const struct group_numbers *group, uint64_t *value);

static bool group_servers(const struct group_numbers *group, uint64_t *value)
{
	*value = group->place.group->app_count;
	return true;
}

static bool group_usable(const struct group_numbers *group, uint64_t *value)
{
	*value = group->usable;
	return true;
}

static bool group_peak(const struct group_numbers *group, uint64_t *value)
{
	*value = group->headroom.peak;
	return true;
}

static bool group_capacity(const struct group_numbers *group, uint64_t *value)
{
	*value = group->headroom.capacity;
	return group->headroom.known;
}

static bool group_without_one(const struct group_numbers *group, uint64_t *value)
{
	*value = group->headroom.without_one;
	return group->headroom.known && group->headroom.loss != CLUSTER_NO_SERVER && group->headroom.without_one != UINT_MAX;
}

static const struct {
	const char *name, *help;
	group_value value;
} group_families[] = {
    {"noah_group_servers", "servers of a site, a route (by its number) or a TCP service", group_servers},
    {"noah_group_servers_usable", "those that are usable now and not drained", group_usable},
    {"noah_group_peak", "the most requests and connections under way or in line in the last 15 minutes", group_peak},
    {"noah_group_capacity", "what its servers in use may have together, where all have caps", group_capacity},
    {"noah_group_capacity_without_one", "the same after the loss of the server that costs most", group_without_one},
};

/* To be freed; NULL: no memory. */
static struct group_numbers *find_groups(const struct source *source, unsigned *count)
{
	struct cluster_walk walk = {0}, again = {0};
	unsigned most = 0;
	while (cluster_walk_groups(source->cluster, &walk))
		most++;
	struct group_numbers *groups = calloc(most + 1, sizeof *groups);
	*count = 0;
	while (groups != NULL && cluster_walk_groups(source->cluster, &again)) {
		struct group_numbers *group = &groups[*count];
		if (!is_here(source, again.on))
			continue;
		group->place = again;
		group->usable = count_usable(source, again.group);
		(void)board_headroom_look(source->board, source->cluster, again.group, &group->headroom);
		++*count;
	}
	return groups;
}

static void put_group(const struct source *source, const struct cluster_walk *place, uint64_t value)
{
	char route[8] = "";
	const char *kind = place->service != NULL ? "service" : place->files != NULL ? "files" : "site";
	if (place->route != NULL) /* by its number: two routes may have the same path */
		snprintf(route, sizeof route, "%u", (unsigned)(place->route - place->site->routes) + 1);
	exposition_number(source->out, "", (const char *const[]){"kind", kind, "name", place->name, "route", route, NULL}, value);
}

static void put_groups(const struct source *source)
{
	unsigned count;
	uint64_t value;
	struct group_numbers *groups = find_groups(source, &count);
	for (unsigned i = 0; i < COUNT_OF(group_families); i++) {
		exposition_family(source->out, group_families[i].name, "gauge", group_families[i].help);
		for (unsigned j = 0; j < count; j++)
			if (group_families[i].value(&groups[j], &value))
				put_group(source, &groups[j].place, value);
	}
	free(groups);
}

/* ---- sites --------------------------------------------------------------------------------------------------------------- */

/* One counter of a site: the name of its family, labels besides the site's name, and where it stands. */
static const struct site_family {
	const char *name, *help;
	const char *label, *value; /* NULL: none */
	size_t offset;
} site_families[] = {
#define COUNTER(member) offsetof(struct board_site_lane, member)
    {"noah_site_requests_total", "requests that ended, however", NULL, NULL, COUNTER(ended)},
    {"noah_site_failed_total", "requests that ended without a whole answer", NULL, NULL, COUNTER(failed)},
    {"noah_site_answers_total", "answers by the first digit of their status", "class", "1xx", COUNTER(answers_1xx)},
    {"noah_site_answers_total", NULL, "class", "2xx", COUNTER(answers_2xx)},
    {"noah_site_answers_total", NULL, "class", "3xx", COUNTER(answers_3xx)},
    {"noah_site_answers_total", NULL, "class", "4xx", COUNTER(answers_4xx)},
    {"noah_site_answers_total", NULL, "class", "5xx", COUNTER(answers_5xx)},
    {"noah_site_bytes_total", "bytes from and to visitors", "direction", "in", COUNTER(bytes_in)},
    {"noah_site_bytes_total", NULL, "direction", "out", COUNTER(bytes_out)},
    {"noah_site_maintenance_total", "requests answered with 503 because of maintenance", NULL, NULL, COUNTER(maintenance)},
#undef COUNTER
};

/* What the sites of this server have counted, by their place in the snapshot. */
struct site_sums {
	int row[CLUSTER_SITES_MOST]; /* -1: none */
	struct board_site_lane sum[CLUSTER_SITES_MOST];
};

static void sum_sites(const struct source *source, struct site_sums *sums)
{
	for (unsigned i = 0; i < source->cluster->site_count; i++) {
		const struct cluster_site *site = &source->cluster->sites[i];
		sums->row[i] = is_here(source, site->on) ? board_site_row(source->board, site->name) : -1;
		if (sums->row[i] >= 0)
			board_site_sum(source->board, sums->row[i], &sums->sum[i]);
	}
}

static uint64_t counter_at(const struct board_site_lane *sum, size_t offset)
{
	return atomic_load(&sum->counters[offset / sizeof sum->counters[0]]);
}

/* A histogram's buckets count all that took no longer, so each holds those before it. */
static void put_histogram(const struct source *source, const char *site, const struct board_site_lane *sum)
{
	uint64_t count = 0, first = offsetof(struct board_site_lane, took_5ms);
	char limit[16];
	for (unsigned i = 0; i < BOARD_SITE_BUCKETS; i++) {
		count += counter_at(sum, first + i * sizeof sum->counters[0]);
		snprintf(limit, sizeof limit, "%g", (double)board_site_bucket_us[i] / 1e6);
		exposition_number(source->out, "_bucket", (const char *const[]){"site", site, "le", limit, NULL}, count);
	}
	/* Read one after the other while they grow: the whole is never less than its part. */
	uint64_t ended = atomic_load(&sum->ended) - atomic_load(&sum->answers_1xx);
	ended = ended < count ? count : ended;
	exposition_number(source->out, "_bucket", (const char *const[]){"site", site, "le", "+Inf", NULL}, ended);
	exposition_seconds(source->out, "_sum", (const char *const[]){"site", site, NULL}, atomic_load(&sum->took_us));
	exposition_number(source->out, "_count", (const char *const[]){"site", site, NULL}, ended);
}

static void put_sites(const struct source *source, const struct site_sums *sums)
{
	for (unsigned i = 0; i < COUNT_OF(site_families); i++) {
		const struct site_family *family = &site_families[i];
		if (family->help != NULL)
			exposition_family(source->out, family->name, "counter", family->help);
		for (unsigned j = 0; j < source->cluster->site_count; j++) {
			const char *const labels[] = {"site", source->cluster->sites[j].name, family->label, family->value, NULL};
			if (sums->row[j] >= 0)
				exposition_number(source->out, "", labels, counter_at(&sums->sum[j], family->offset));
		}
	}
	exposition_family(source->out, "noah_site_maintenance", "gauge", "1: its visitors are told to come later (noah maintenance)");
	for (unsigned j = 0; j < source->cluster->site_count; j++)
		if (sums->row[j] >= 0)
			exposition_number(source->out, "", (const char *const[]){"site", source->cluster->sites[j].name, NULL},
			                  board_site_is_in_maintenance(&source->board->sites[sums->row[j]], clock_monotonic_us()));
	exposition_family(source->out, "noah_site_request_seconds", "histogram",
	                  "from a request's first byte to the end of its answer; tunnels are not in it");
	for (unsigned j = 0; j < source->cluster->site_count; j++)
		if (sums->row[j] >= 0)
			put_histogram(source, source->cluster->sites[j].name, &sums->sum[j]);
}

/* ---- databases ------------------------------------------------------------------------------------------------------------ */

static void put_database_family(const struct source *source, const char *name, const char *type, const char *help, bool epoch)
{
	exposition_family(source->out, name, type, help);
	for (unsigned i = 0; i < BOARD_DATABASES_MOST; i++) {
		const struct board_database *database = &source->board->databases[i];
		if (database->name[0] == '\0' || atomic_load(&database->last_generation) < source->cluster->generation)
			continue;
		uint64_t primary = atomic_load(&database->primary);
		exposition_number(source->out, "", (const char *const[]){"database", database->name, NULL},
		                  epoch ? primary >> 32 : (primary & UINT32_MAX) != 0);
	}
}

/* ---- certificates ---------------------------------------------------------------------------------------------------------- */

static void put_certificates(const struct source *source)
{
	char text[BOARD_TEXT_SIZE];
	unsigned count = atomic_load(&source->board->certificate_count);
	exposition_family(source->out, "noah_certificate_not_after_timestamp_seconds", "gauge", "when a certificate runs out");
	for (unsigned i = 0; i < count && i < BOARD_CERTIFICATES_MOST; i++) {
		const struct board_certificate *certificate = &source->board->certificates[i];
		board_text_read(&certificate->what, text);
		/* The place tells apart what has the same words. */
		char place[8];
		snprintf(place, sizeof place, "%u", i + 1);
		exposition_number(source->out, "", (const char *const[]){"certificate", text, "number", place, NULL},
		                  atomic_load(&certificate->not_after_s));
	}
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* What the lanes count: numbers that only grow, but for those that say how many there are now. */
static void put_counters(const struct source *source)
{
	for (unsigned i = 0; i < board_counter_count; i++) {
		char name[NAME_SIZE];
		bool now = ends_with(board_counter_names[i].name, "_open");
		snprintf(name, sizeof name, "noah_%s%s", board_counter_names[i].name, now ? "" : "_total");
		exposition_family(source->out, name, now ? "gauge" : "counter", board_counter_names[i].text);
		exposition_number(source->out, "", no_labels, board_sum(source->board, i));
	}
}

static void put_program(const struct source *source, const char *const *processes, unsigned process_count)
{
	exposition_family(source->out, "noah_build_info", "gauge", "1; the version is a label");
	exposition_number(source->out, "", (const char *const[]){"version", NOAH_VERSION, NULL}, 1);
	exposition_family(source->out, "noah_start_time_seconds", "gauge", "when the supervisor started");
	exposition_seconds(source->out, "", no_labels, atomic_load(&source->board->started_wall_us));
	exposition_family(source->out, "noah_snapshot_generation", "gauge",
	                  "number of the cluster file that is in force: grows by one with each reload");
	exposition_number(source->out, "", no_labels, atomic_load(&source->board->generation));
	exposition_family(source->out, "noah_process_restarts_total", "counter", "deaths of a process that nobody asked for");
	for (unsigned i = 0; i < process_count; i++)
		exposition_number(source->out, "", (const char *const[]){"process", processes[i], NULL},
		                  atomic_load(&source->board->restarts[i]));
}

char *metrics_make(struct board *board, const struct cluster *cluster, const char *const *processes, unsigned process_count,
                   size_t *size)
{
	char *text = NULL;
	struct rows *rows = calloc(1, sizeof *rows);
	struct site_sums *sums = calloc(1, sizeof *sums);
	FILE *out = open_memstream(&text, size);
	bool good = rows != NULL && sums != NULL && out != NULL;
	if (good) {
		struct exposition exposition = {.out = out};
		struct source source = {.board = board, .cluster = cluster, .out = &exposition};
		find_rows(&source, rows);
		sum_sites(&source, sums);
		put_program(&source, processes, process_count);
		put_counters(&source);
		put_sites(&source, sums);
		put_groups(&source);
		put_targets(&source, rows);
		put_servers(&source);
		put_database_family(&source, "noah_database_has_primary", "gauge", "1: there is a primary; 0: writes are refused", false);
		put_database_family(&source, "noah_database_epoch", "gauge", "grows by one whenever the primary changes", true);
		put_certificates(&source);
	}
	free(rows);
	free(sums);
	if (out != NULL && fclose(out) == 0 && good)
		return text;
	free(text);
	return NULL;
}
