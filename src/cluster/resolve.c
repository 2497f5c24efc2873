/* SPDX-License-Identifier: BSD-2-Clause
 *
 * resolve: the defaults that depend on other keys. The table describes each in words (`otherwise`). Called by load.c only.
 */
#include "cluster/load.h"

#include <stdio.h>

static uint64_t all_servers(const struct cluster *cluster)
{
	return (1ull << cluster->server_count) - 1; /* CLUSTER_SERVERS_MOST < 64 */
}

static uint64_t public_servers(const struct cluster *cluster)
{
	uint64_t on = 0;
	for (uint32_t i = 0; i < cluster->server_count; i++)
		if (cluster->servers[i].public_address.family != ADDRESS_NONE)
			on |= 1ull << i;
	return on;
}

/* The programs that use a database are where the sites' apps are. */
static uint64_t app_servers(const struct cluster *cluster)
{
	uint64_t on = 0;
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(cluster, &walk))
		for (uint32_t i = 0; walk.service == NULL && walk.files == NULL && i < walk.group->app_count; i++)
			on |= 1ull << walk.group->apps[i].server;
	return on;
}

static void shorten_timeout(const struct load *load, struct cluster_check *check, const char *const *timeout)
{
	if (check->timeout_ms > check->every_ms && !load_has(load, timeout))
		check->timeout_ms = check->every_ms;
}

/* `host` is that of the site's checks; NULL for a service, which has none by HTTP. */
static void resolve_group(const struct load *load, struct cluster_group *group, struct place *place, const char *host)
{
	/* `hash` alone says how it is balanced, unless `balance` says something else beside it (refused in validate_group.c) */
	if (load_has(load, place_at(place, "hash", NULL)) && !load_has(load, place_at(place, "balance", NULL)))
		group->balance = BALANCE_HASH;
	if (group->balance != BALANCE_HASH) {
		group->hash = HASH_ADDRESS;
		memset(group->hash_name, 0, sizeof(group->hash_name));
	}
	if (group->check.kind == CHECK_HTTP && group->check.host[0] == '\0')
		snprintf(group->check.host, sizeof(group->check.host), "%s", host);
	shorten_timeout(load, &group->check, place_at(place, "check", "timeout"));
	for (struct cluster_app *app = group->apps; app < group->apps + group->app_count; app++)
		if (app->connections_most == 0) {
			app->connections_most = group->connections_most;
			app->cap_of_group = true;
		}
}

static bool has_tls(const struct cluster_site *site)
{
	for (uint32_t i = 0; i < site->listen_count; i++)
		if (site->listen[i].tls)
			return true;
	return false;
}

static void resolve_listen(const struct load *load, struct cluster_site *site)
{
	if (!load_has(load, AT("sites", site->name, "listen"))) {
		site->listen[0].address = (struct address){.family = ADDRESS_IPV6, .port = 80};
		site->listen_count = 1;
		if (load_has(load, AT("sites", site->name, "certificate")))
			site->listen[site->listen_count++] =
			    (struct cluster_listen){.address = {.family = ADDRESS_IPV6, .port = 443}, .tls = true};
	}
	if (!load_has(load, AT("sites", site->name, "https", "redirect")))
		site->redirect_to_https = has_tls(site);
}

/* A server that is tried for files, and is an app, too, has the app's limit: one address has one. */
static void take_cap(const struct cluster_group *group, struct cluster_app *app)
{
	app->connections_most = group->connections_most;
	app->cap_of_group = true;
	for (uint32_t i = 0; i < group->app_count; i++)
		if (address_equal(&group->apps[i].address, &app->address)) {
			app->connections_most = group->apps[i].connections_most;
			app->cap_of_group = group->apps[i].cap_of_group;
		}
}

/* Files: what is not said, and how the servers that are tried are used: as the apps, of which they may be some. Where `group`,
 * which is resolved, has none, those of `of_site` are asked. */
static void resolve_files(const struct load *load, struct cluster_static *files, const struct cluster_group *group,
                          const struct cluster_group *of_site, const char *const *try)
{
	if (files->root[0] == '\0')
		return;
	if (files->index_count == 0)
		snprintf(files->index[files->index_count++], sizeof(files->index[0]), "index.html");
	if (!load_has(load, try))
		files->missing = group->app_count > 0 || of_site->app_count > 0 ? MISSING_APPS : MISSING_NOT_FOUND;
	if (files->servers.app_count == 0)
		return;
	struct cluster_group servers = *group;
	memcpy(servers.apps, files->servers.apps, sizeof(servers.apps));
	servers.app_count = files->servers.app_count;
	for (struct cluster_app *app = servers.apps; app < servers.apps + servers.app_count; app++)
		take_cap(group->app_count > 0 ? group : of_site, app);
	files->servers = servers;
}

/* ---- routes --------------------------------------------------------------------------------------------------- */

/* Lists and files are taken over as a whole, where the route does not say them. */
static void resolve_access(const struct load *load, struct cluster_access *access, const struct cluster_access *of_site,
                           struct place *place)
{
	if (!load_has(load, place_at(place, "allow", NULL)))
		access->allow = of_site->allow;
	if (!load_has(load, place_at(place, "deny", NULL)))
		access->deny = of_site->deny;
	if (!load_has(load, place_at(place, "users", NULL)))
		memcpy(access->users_file, of_site->users_file, sizeof(access->users_file));
	if (!load_has(load, place_at(place, "realm", NULL)))
		memcpy(access->realm, of_site->realm, sizeof(access->realm));
}

/* The site's, which are resolved by now. */
static void take_files(struct cluster_static *files, const struct cluster_static *of_site)
{
	*files = *of_site;
	memset(&files->servers, 0, sizeof(files->servers)); /* those of the site are asked */
}

static void resolve_route(const struct load *load, const struct cluster_site *site, struct cluster_route *route)
{
	struct place place;
	place_of_route(&place, site, route);
	resolve_group(load, &route->group, &place, site->names[0]);
	if (route->redirect[0] != '\0' && route->redirect_status == 0)
		route->redirect_status = 301;
	route->limits.requests_own = load_has(load, place_at(&place, "requests", NULL));
	resolve_access(load, &route->access, &site->access, &place);
	if (load_has(load, place_at(&place, "static", NULL)))
		resolve_files(load, &route->files, &route->group, &site->group, place_at(&place, "static", "try"));
	else if (route->files.root[0] != '\0')
		take_files(&route->files, &site->files);
}

static void resolve_site(const struct load *load, struct cluster_site *site, uint64_t on)
{
	struct place place;
	if (site->on == 0)
		site->on = on;
	resolve_listen(load, site);
	place_of_site(&place, site);
	resolve_group(load, &site->group, &place, site->names[0]);
	if (site->access.realm[0] == '\0')
		memcpy(site->access.realm, site->name, sizeof(site->access.realm)); /* both have CLUSTER_NAME_SIZE */
	resolve_files(load, &site->files, &site->group, &site->group, AT("sites", site->name, "static", "try"));
	for (struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++)
		resolve_route(load, site, route);
}

static void resolve_service(const struct load *load, struct cluster_service *service, uint64_t on)
{
	struct place place;
	place_of_service(&place, service);
	if (service->on == 0)
		service->on = on;
	resolve_group(load, &service->group, &place, NULL);
}

static void resolve_database(const struct load *load, struct cluster_database *database, uint64_t on)
{
	if (database->on == 0)
		database->on = on;
	database->check.kind = CHECK_MYSQL;
	shorten_timeout(load, &database->check, AT("databases", database->name, "check", "timeout"));
}

void load_resolve(struct load *load)
{
	struct cluster *cluster = load->cluster;
	uint64_t visitors = public_servers(cluster), programs = app_servers(cluster);
	if (visitors == 0)
		visitors = all_servers(cluster);
	for (uint32_t i = 0; i < cluster->site_count; i++)
		resolve_site(load, &cluster->sites[i], visitors);
	for (uint32_t i = 0; i < cluster->service_count; i++)
		resolve_service(load, &cluster->services[i], visitors);
	for (uint32_t i = 0; i < cluster->database_count; i++)
		resolve_database(load, &cluster->databases[i], programs != 0 ? programs : all_servers(cluster));
}
