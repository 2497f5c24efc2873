/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What `noah status` says of sites, services, databases, servers and certificates. Runs in the supervisor; called by status.c.
 */
#include "process/status.h"

#include "tls/tls.h"

#include <stdlib.h>

json_t *status_text(const char *text)
{
	json_t *value = json_string(text);
	return value != NULL ? value : json_string("(not UTF-8)");
}

json_t *status_time(uint64_t wall_us)
{
	char text[CLOCK_TEXT_SIZE];
	return wall_us == 0 ? json_null() : json_string(clock_format(wall_us, text));
}

static json_t *board_text_json(const struct board_text *text)
{
	char copy[BOARD_TEXT_SIZE];
	board_text_read(text, copy);
	return status_text(copy);
}

static json_t *address_json(const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	return status_text(address_format(address, text));
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
	json_object_set_new(json, "name", status_text(name));
	json_object_set_new(json, "server", status_text(supervisor->cluster->servers[app->server].name));
	json_object_set_new(json, "address", address_json(&app->address));
	json_object_set_new(json, "key", status_text(cluster_target_key(check, &app->address, key)));
	json_object_set_new(json, "row", json_integer(row));
	json_object_set_new(json, "health", status_text(board_health_text((enum board_health)atomic_load(&target->health))));
	json_object_set_new(json, "usable", json_boolean(board_target_usable(target, clock_monotonic_us())));
	json_object_set_new(json, "avoided", json_boolean(atomic_load(&target->avoid_until_us) > clock_monotonic_us()));
	json_object_set_new(json, "reason", board_text_json(&target->reason));
	json_object_set_new(json, "since", status_time(atomic_load(&target->changed_wall_us)));
	json_object_set_new(json, "checked", status_time(atomic_load(&target->checked_wall_us)));
	json_object_set_new(json, "check_took_ms", json_real(atomic_load(&target->check_took_us) / 1000.0));
	json_object_set_new(json, "active", json_integer(board_target_active(board, row)));
	json_object_set_new(json, "served", json_integer((json_int_t)board_target_served(board, row)));
	if (check->kind == CHECK_MYSQL) {
		unsigned lag_ms = atomic_load(&target->lag_ms);
		json_object_set_new(json, "role", status_text(board_role_text((enum board_role)atomic_load(&target->role))));
		json_object_set_new(json, "lag_ms", lag_ms == UINT32_MAX ? json_null() : json_integer(lag_ms));
		json_object_set_new(json, "position", board_text_json(&target->position));
		json_object_set_new(json, "version", board_text_json(&target->version));
	}
	return json;
}

/* What is said of the servers of sites and services only. */
static void add_share(const struct supervisor *supervisor, const struct cluster_group *group, const struct cluster_app *app,
                      json_t *json)
{
	struct board *board = supervisor->board;
	const struct board_server *server = board_find_server(board, supervisor->cluster->servers[app->server].name);
	const struct board_gate *gate = app->connections_most > 0 ? board_find_gate(board, &app->address) : NULL;
	json_int_t row = json_integer_value(json_object_get(json, "row"));
	uint64_t up_since_us = atomic_load(&board->targets[row].up_since_us), now_us = clock_monotonic_us(),
	         whole_us = (uint64_t)group->slow_start_ms * 1000;
	bool starts = up_since_us > 0 && now_us > up_since_us && now_us - up_since_us < whole_us;
	json_object_set_new(json, "weight", json_integer(app->weight));
	json_object_set_new(json, "weight_percent",
	                    json_integer(server != NULL ? atomic_load(&server->weight_percent) : BOARD_WEIGHT_FULL));
	json_object_set_new(json, "drained", json_boolean(server != NULL && atomic_load(&server->drained) != 0));
	json_object_set_new(json, "backup", json_boolean(app->backup));
	json_object_set_new(json, "slow_start_percent",
	                    starts ? json_integer((json_int_t)((now_us - up_since_us) * 100 / whole_us)) : json_null());
	if (gate == NULL)
		return;
	unsigned held = 0, lanes = atomic_load(&board->lane_count);
	for (unsigned lane = 0; lane < lanes && lane < BOARD_LANES_MOST; lane++)
		held += atomic_load(&gate->held[lane]);
	json_object_set_new(json, "connections_most", json_integer(app->connections_most));
	json_object_set_new(json, "connections", json_integer(held));
	json_object_set_new(json, "waiting", json_integer(board_gate_waiting(gate)));
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

/* The servers of a site, route or service; warns when none of them can be used. */
static json_t *group_json(const struct supervisor *supervisor, const struct cluster_group *group, const char *what,
                          json_t *targets, json_t *warnings)
{
	json_t *apps = json_array();
	unsigned usable = 0;
	for (unsigned i = 0; i < group->app_count; i++) {
		json_t *target = target_json(supervisor, &group->apps[i], &group->check);
		if (target == NULL)
			continue;
		add_share(supervisor, group, &group->apps[i], target);
		usable += json_is_true(json_object_get(target, "usable")) && !json_is_true(json_object_get(target, "drained"));
		add_target(targets, target);
		json_array_append_new(apps, target);
	}
	if (usable == 0 && group->app_count > 0 && supervisor->announced) {
		char text[CLUSTER_NAME_SIZE + CLUSTER_PATH_SIZE + 64];
		snprintf(text, sizeof text, "%s: no server is up and in use, its visitors are refused", what);
		json_array_append_new(warnings, status_text(text));
	}
	return apps;
}

static json_t *site_listen_json(const struct cluster_site *site)
{
	char text[ADDRESS_TEXT_SIZE], whole[ADDRESS_TEXT_SIZE + 8];
	json_t *json = json_array();
	for (unsigned i = 0; i < site->listen_count; i++) {
		snprintf(whole, sizeof whole, "%s%s", site->listen[i].tls ? "https:" : "",
		         address_format(&site->listen[i].address, text));
		json_array_append_new(json, status_text(whole));
	}
	return json;
}

static json_t *routes_json(const struct supervisor *supervisor, const struct cluster_site *site, json_t *targets,
                           json_t *warnings)
{
	char what[CLUSTER_NAME_SIZE + CLUSTER_PATH_SIZE + 8], type[CLUSTER_TYPE_SIZE + 2];
	json_t *routes = json_array();
	for (unsigned i = 0; i < site->route_count; i++) {
		const struct cluster_route *route = &site->routes[i];
		if (route->group.app_count == 0)
			continue;
		json_t *json = json_object(), *types = json_array();
		for (unsigned j = 0; j < route->type_count; j++) {
			snprintf(type, sizeof type, ".%s", route->types[j]);
			json_array_append_new(types, status_text(type));
		}
		snprintf(what, sizeof what, "site %s %s", site->name,
		         route->path[0] != '\0' ? route->path : json_string_value(json_array_get(types, 0)));
		json_object_set_new(json, "path", status_text(route->path));
		json_object_set_new(json, "types", types);
		json_object_set_new(json, "apps", group_json(supervisor, &route->group, what, targets, warnings));
		json_object_set_new(json, "headroom", status_headroom(supervisor, &route->group, what, warnings));
		json_array_append_new(routes, json);
	}
	return routes;
}

static void add_tried(const struct supervisor *supervisor, const struct cluster_group *group, json_t *tried, json_t *targets)
{
	for (unsigned i = 0; i < group->app_count; i++) {
		json_t *target = target_json(supervisor, &group->apps[i], &group->check);
		if (target == NULL)
			continue;
		add_share(supervisor, group, &group->apps[i], target);
		add_target(targets, target);
		add_target(tried, target);
		json_decref(target);
	}
}

/* The servers that are asked for files which are not here. No warning when none of them is up: what is here is sent all the
 * same. */
static json_t *tried_json(const struct supervisor *supervisor, const struct cluster_site *site, json_t *targets)
{
	json_t *tried = json_array();
	add_tried(supervisor, &site->files.servers, tried, targets);
	for (unsigned i = 0; i < site->route_count; i++)
		add_tried(supervisor, &site->routes[i].files.servers, tried, targets);
	return tried;
}

json_t *status_sites(const struct supervisor *supervisor, json_t *targets, json_t *warnings)
{
	json_t *sites = json_array();
	for (unsigned i = 0; i < supervisor->cluster->site_count; i++) {
		char what[CLUSTER_NAME_SIZE + 8];
		const struct cluster_site *site = &supervisor->cluster->sites[i];
		if (!cluster_is_on(site->on, supervisor->cluster->self))
			continue;
		json_t *json = json_object();
		snprintf(what, sizeof what, "site %s", site->name);
		json_object_set_new(json, "name", status_text(site->name));
		json_object_set_new(json, "listen", site_listen_json(site));
		json_object_set_new(json, "apps", group_json(supervisor, &site->group, what, targets, warnings));
		json_object_set_new(json, "headroom", status_headroom(supervisor, &site->group, what, warnings));
		json_object_set_new(json, "routes", routes_json(supervisor, site, targets, warnings));
		json_object_set_new(json, "tried", tried_json(supervisor, site, targets));
		json_object_set_new(json, "page", site->page != 0 ? status_text(site->page_file) : json_null());
		json_object_set_new(json, "maintenance", status_maintenance(supervisor, site->name));
		json_array_append_new(sites, json);
	}
	return sites;
}

json_t *status_services(const struct supervisor *supervisor, json_t *targets, json_t *warnings)
{
	json_t *services = json_array();
	for (unsigned i = 0; i < supervisor->cluster->service_count; i++) {
		char what[CLUSTER_NAME_SIZE + 8];
		const struct cluster_service *service = &supervisor->cluster->services[i];
		if (!cluster_is_on(service->on, supervisor->cluster->self))
			continue;
		json_t *json = json_object();
		snprintf(what, sizeof what, "service %s", service->name);
		json_object_set_new(json, "name", status_text(service->name));
		json_object_set_new(json, "listen", listen_json(service->listen, service->listen_count));
		json_object_set_new(json, "servers", group_json(supervisor, &service->group, what, targets, warnings));
		json_object_set_new(json, "headroom", status_headroom(supervisor, &service->group, what, warnings));
		json_array_append_new(services, json);
	}
	return services;
}

json_t *status_databases(const struct supervisor *supervisor, json_t *targets, json_t *warnings)
{
	json_t *databases = json_array();
	for (unsigned i = 0; i < supervisor->cluster->database_count; i++) {
		const struct cluster_database *database = &supervisor->cluster->databases[i];
		const struct board_database *row = board_find_database(supervisor->board, database->name);
		if (!cluster_is_on(database->on, supervisor->cluster->self) || row == NULL)
			continue;
		uint64_t primary = atomic_load(&row->primary);
		json_t *json = json_object(), *servers = json_array(), *primary_name = json_null();
		json_object_set_new(json, "name", status_text(database->name));
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
			snprintf(text, sizeof text, "database %s: writes are refused: %s", database->name, reason);
			json_array_append_new(warnings, status_text(text));
		}
	}
	return databases;
}

/* ---- servers and certificates ---------------------------------------------------------------------------------- */

json_t *status_servers(const struct supervisor *supervisor)
{
	json_t *servers = json_array();
	for (unsigned i = 0; i < supervisor->cluster->server_count; i++) {
		const struct cluster_server *server = &supervisor->cluster->servers[i];
		const struct board_server *row = board_find_server(supervisor->board, server->name);
		json_t *json = json_object();
		json_object_set_new(json, "name", status_text(server->name));
		json_object_set_new(json, "address", address_json(&server->address));
		json_object_set_new(json, "drained", json_boolean(row != NULL && atomic_load(&row->drained) != 0));
		json_object_set_new(json, "weight", json_integer(row != NULL ? atomic_load(&row->weight_percent) : BOARD_WEIGHT_FULL));
		json_object_set_new(json, "set", status_time(row != NULL ? atomic_load(&row->changed_wall_us) : 0));
		json_array_append_new(servers, json);
	}
	return servers;
}

static json_t *certificate_json(const struct tls_description *description, json_t *warnings)
{
	json_t *json = json_object();
	json_object_set_new(json, "site", status_text(description->site));
	json_object_set_new(json, "file", description->file[0] != '\0' ? status_text(description->file) : json_null());
	json_object_set_new(json, "names", status_text(description->names));
	json_object_set_new(json, "issuer", status_text(description->issuer));
	json_object_set_new(json, "key", status_text(description->key));
	json_object_set_new(json, "not_after", status_time(description->not_after_s * 1000000));
	json_object_set_new(json, "self_signed", json_boolean(description->self_signed));
	json_object_set_new(json, "stapled", json_boolean(description->stapled));
	if (description->warning[0] != '\0') {
		char text[CLUSTER_NAME_SIZE + sizeof description->warning + 64];
		snprintf(text, sizeof text, "site %s: certificate: %s", description->site, description->warning);
		json_array_append_new(warnings, status_text(text));
	}
	return json;
}

json_t *status_certificates(const struct supervisor *supervisor, json_t *warnings)
{
	json_t *certificates = json_array();
	struct tls_description *description = malloc(sizeof *description);
	uint64_t now_s = clock_wall_us() / 1000000;
	for (unsigned i = 0; description != NULL && supervisor->keyring.set != NULL &&
	                     tls_set_describe(supervisor->keyring.set, i, now_s, description);
	     i++) /* as many as the file has */
		json_array_append_new(certificates, certificate_json(description, warnings));
	free(description);
	return certificates;
}
