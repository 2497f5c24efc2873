/* SPDX-License-Identifier: BSD-2-Clause
 *
 * warn: what is allowed in a good file, and yet is hardly meant, or does not work on this machine. Called by `noah check`.
 */
#include "cluster/report.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* The first directory on the way that only its owner and his group may enter, in `way`; false: there is none. Traffic is another
 * user's. */
static bool find_closed_door(const char *root, char way[CLUSTER_PATH_SIZE])
{
	struct stat status;
	size_t size = strlen(root);
	for (size_t i = 1; i <= size; i++) {
		if (root[i] != '/' && i != size)
			continue;
		memcpy(way, root, i);
		way[i] = '\0';
		if (stat(way, &status) == 0 && (status.st_mode & S_IXOTH) == 0)
			return true;
	}
	return false;
}

static void warn_of_root(struct report *report, const char *path, const struct cluster_static *files)
{
	struct stat status;
	char way[CLUSTER_PATH_SIZE];
	if (files->root[0] == '\0')
		return;
	if (stat(files->root, &status) != 0)
		report_add(report, 0, 0, path, "%s: %s", files->root, strerror(errno));
	else if (!S_ISDIR(status.st_mode))
		report_add(report, 0, 0, path, "%s is not a directory", files->root);
	else if (find_closed_door(files->root, way))
		report_add(
		    report, 0, 0, path,
		    "%s is closed to others than its owner and group; noah sends files as the user noah, who must be allowed to enter "
		    "(`chmod o+x %s`)",
		    way, way);
}

/* ---- who is let in -------------------------------------------------------------------------------------------- */

/* A password that is asked for on a listener without TLS can be read on its way. */
static bool asks_in_the_open(const struct cluster *cluster, const struct cluster_site *site, const struct cluster_access *access)
{
	bool is_front = cluster->front_ends.from.count == 0; /* otherwise the front ends may have TLS */
	for (uint32_t i = 0; i < site->listen_count && access->users_file[0] != '\0'; i++)
		if (!site->listen[i].tls && !site->redirect_to_https && is_front)
			return true;
	return false;
}

static bool is_restricted(const struct cluster_access *access)
{
	return access->allow.count > 0 || access->deny.count > 0 || access->users_file[0] != '\0';
}

static bool is_same_access(const struct cluster_access *a, const struct cluster_access *b)
{
	return strcmp(a->users_file, b->users_file) == 0 && memcmp(&a->allow, &b->allow, sizeof(a->allow)) == 0 &&
	       memcmp(&a->deny, &b->deny, sizeof(a->deny)) == 0;
}

/* "/admin" begins as "/" and "/admin" say. */
static bool lies_below(const char *path, const char *above)
{
	size_t size = strlen(above);
	if (size == 0 || strcmp(above, "/") == 0)
		return true;
	return strncmp(path, above, size) == 0 && (above[size - 1] == '/' || path[size] == '\0' || path[size] == '/');
}

/* The first route that matches counts: one by type before a closed path opens it for files of that type. */
static void warn_of_open_types(struct report *report, const char *path, const struct cluster_site *site,
                               const struct cluster_route *closed)
{
	for (const struct cluster_route *before = site->routes; before < closed; before++)
		if (before->type_count > 0 && before->redirect[0] == '\0' && lies_below(closed->path, before->path) &&
		    !is_same_access(&before->access, &closed->access)) {
			report_add(
			    report, 0, 0, path,
			    "%s is not for everybody, but its files *.%s are taken by route %u before, which lets others in; put this one "
			    "before it",
			    closed->path[0] == '\0' ? "a route" : closed->path, before->types[0], (unsigned)(before - site->routes) + 1);
			return;
		}
}

/* ---- too much from one address ---------------------------------------------------------------------------------- */

static bool is_counted(const struct cluster *cluster, uint32_t server)
{
	const struct address *address = &cluster->servers[server].address;
	return !cluster_networks_contain(&cluster->visitors.exempt, address) &&
	       !cluster_networks_contain(&cluster->front_ends.from, address);
}

/* A server that has the same site counts who asks it for missing files like any visitor, and bans him. */
static void warn_of_counted_servers(struct report *report, const struct cluster *cluster, const struct cluster_site *site,
                                    const struct cluster_static *files)
{
	char path[REPORT_PATH_SIZE];
	bool limited = cluster->visitors.connections_most != 0 || cluster_limits_requests(cluster);
	snprintf(path, sizeof(path), "sites.%s.static.try", site->name);
	for (uint32_t i = 0; i < files->servers.app_count && limited; i++) {
		uint32_t asked = files->servers.apps[i].server;
		for (uint32_t asks = 0; asks < cluster->server_count && cluster_is_on(site->on, asked); asks++) {
			if (asks == asked || !cluster_is_on(site->on, asks) || !is_counted(cluster, asks))
				continue;
			report_add(
			    report, 0, 0, path,
			    "%s asks %s for missing files and is counted there like a visitor, and banned if it is too often; put it into "
			    "`visitors.exempt`",
			    cluster->servers[asks].name, cluster->servers[asked].name);
			return;
		}
	}
}

/* ---- sites ---------------------------------------------------------------------------------------------------- */

static void warn_of_site(struct report *report, const struct cluster *cluster, const struct cluster_site *site)
{
	char path[REPORT_PATH_SIZE];
	bool is_here = cluster_is_on(site->on, cluster->self);
	bool open = asks_in_the_open(cluster, site, &site->access);
	snprintf(path, sizeof(path), "sites.%s.static.root", site->name);
	if (is_here)
		warn_of_root(report, path, &site->files);
	warn_of_counted_servers(report, cluster, site, &site->files);
	snprintf(path, sizeof(path), "sites.%s.routes", site->name);
	for (const struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++) {
		open |= asks_in_the_open(cluster, site, &route->access);
		if (is_here && strcmp(route->files.root, site->files.root) != 0)
			warn_of_root(report, path, &route->files);
		if (is_restricted(&route->access) && !is_same_access(&route->access, &site->access))
			warn_of_open_types(report, path, site, route);
	}
	snprintf(path, sizeof(path), "sites.%s", site->name);
	if (open)
		report_add(report, 0, 0, path,
		           "passwords are asked for without TLS, and can be read on their way; give the site a `certificate`");
}

void cluster_warn(const struct cluster *cluster, struct cluster_messages *warnings)
{
	CHECK_MAGIC(cluster, CLUSTER_MAGIC);
	struct report report;
	report_init(&report, "warning", warnings);
	for (uint32_t i = 0; i < cluster->site_count; i++)
		warn_of_site(&report, cluster, &cluster->sites[i]);
}
