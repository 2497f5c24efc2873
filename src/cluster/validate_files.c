/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_files: what must hold for files that noah sends itself, of a site and of its routes, and for a site that has no apps.
 * Called by validate_site.c and validate_routes.c.
 */
#include "cluster/load.h"

#include <stdio.h>

/* Directories in which nothing is meant for visitors. Also what lies below those that end in '/'. */
static const char *find_root_fault(const char *root)
{
	static const char *const forbidden[] = {"/etc/", "/proc/", "/sys/", "/dev/", "/root/", "/boot/", "/run/", "/var/lib/mysql/"};
	size_t size = strlen(root);
	char path[CLUSTER_PATH_SIZE + 1];
	if (strspn(root, "/") == size)
		return "everything on this machine would be below it; name the directory of the site's files";
	snprintf(path, sizeof(path), "%s%s", root, root[size - 1] == '/' ? "" : "/");
	if (strstr(path, "//") != NULL || strstr(path, "/./") != NULL || strstr(path, "/../") != NULL)
		return "write it without `//`, `/./` and `/../`";
	for (unsigned i = 0; i < COUNT_OF(forbidden); i++)
		if (strncmp(path, forbidden[i], strlen(forbidden[i])) == 0)
			return "nothing there is meant for visitors; put the site's files elsewhere, such as under /var/www";
	return NULL;
}

static void validate_types(struct load *load, const struct cluster_static *files, struct place *place)
{
	for (uint32_t i = 0; i < files->match_count; i++) {
		const char *type = files->match[i];
		if (cluster_is_private_type(span_of_text(type)))
			load_report_element(
			    load, place_at(place, "static", "match"), i,
			    "`%s`: files that end so are programs, settings or copies of them; noah would show what stands in "
			    "them, so it never sends them",
			    type);
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(type, files->match[j]) == 0)
				load_report_element(load, place_at(place, "static", "match"), i, "`%s` stands here twice", type);
	}
}

static void validate_indexes(struct load *load, const struct cluster_static *files, struct place *place)
{
	bool said = load_has(load, place_at(place, "static", "index"));
	for (uint32_t i = 0; i < files->index_count; i++) {
		const char *name = files->index[i], *dot = strrchr(name, '.');
		if (dot != NULL && cluster_is_private_type(span_of_text(dot + 1)))
			load_report_element(load, place_at(place, "static", "index"), i,
			                    "`%s` is a program, which noah does not run; the apps are asked for a directory without an index",
			                    name);
		else if (said && !cluster_match_has(files, span_of_text(dot != NULL ? dot + 1 : "")))
			load_report_element(load, place_at(place, "static", "index"), i,
			                    "`%s` is never sent: its type is not in `match`; add it there, or take this out", name);
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(name, files->index[j]) == 0)
				load_report_element(load, place_at(place, "static", "index"), i, "`%s` stands here twice", name);
	}
}

void load_validate_types(struct load *load, const struct cluster_route *route, struct place *place)
{
	if (route->type_count == 0 || !load_has_map(load, place_at(place, "static", NULL)))
		return;
	for (uint32_t i = 0; i < route->type_count; i++)
		if (!cluster_is_private_type(span_of_text(route->types[i])) &&
		    cluster_match_has(&route->files, span_of_text(route->types[i])))
			return;
	load_report_at(load, place_at(place, "static", NULL),
	               "sends nothing: none of the files that the route is for (%s%s) may be sent; take it out, or look at %s",
	               route->types[0], route->type_count > 1 ? ", ..." : "",
	               route->files.match_count > 0 ? "`types` and `match`" : "`types`");
}

void load_validate_files(struct load *load, const struct cluster_static *files, bool has_apps, struct place *place)
{
	if (!load_has_map(load, place_at(place, "static", NULL)))
		return;
	const char *fault = files->root[0] != '\0' ? find_root_fault(files->root) : NULL;
	if (fault != NULL)
		load_report_at(load, place_at(place, "static", "root"), "%s: %s", files->root, fault);
	validate_types(load, files, place);
	validate_indexes(load, files, place);
	if (files->missing == MISSING_APPS && !has_apps && load_has(load, place_at(place, "static", "try")))
		load_report_at(load, place_at(place, "static", "try"),
		               "there are no `apps`; write `try: none`, or servers that have the files");
	load_validate_apps(load, files->servers.apps, files->servers.app_count, place_at(place, "static", "try"));
}

/* ---- sites without apps --------------------------------------------------------------------------------------- */

/* Servers that are asked for something: of a route, or for files. */
static bool has_servers(const struct load *load, const struct cluster_site *site)
{
	struct place place;
	if (site->files.servers.app_count > 0)
		return true;
	for (const struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++) {
		place_of_route(&place, site, route);
		if (load_has(load, place_at(&place, "apps", NULL)) || route->files.servers.app_count > 0)
			return true;
	}
	return false;
}

bool load_looks_for_files(const struct cluster_site *site)
{
	if (site->files.root[0] != '\0')
		return true;
	for (const struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++)
		if (route->files.root[0] != '\0')
			return true;
	return false;
}

/* Its page is small, and always asked for anew. */
static void report_no_answers(struct load *load, const struct cluster_site *site)
{
	static const char *const words[] = {"compress", "expires"};
	for (unsigned i = 0; i < COUNT_OF(words); i++)
		if (load_has(load, AT("sites", site->name, words[i])))
			load_report_at(load, AT("sites", site->name, words[i]),
			               "has no effect on a `page`, only on files and on answers of apps; take it out");
}

void load_validate_no_apps(struct load *load, const struct cluster_site *site, const char *instead)
{
	static const char *const of_apps[] = {"balance", "hash", "check", "connections", "queue", "slow_start", "sticky", "buffer"};
	static const char *const timeouts[] = {"connect", "answer"};
	if (has_servers(load, site))
		return; /* for which they hold */
	if (!load_looks_for_files(site))
		report_no_answers(load, site);
	if (load_has(load, AT("sites", site->name, "hide_versions")))
		load_report_at(load, AT("sites", site->name, "hide_versions"),
		               "has no effect with `%s`: there are no apps; take one of them out", instead);
	for (unsigned i = 0; i < COUNT_OF(of_apps); i++)
		if (load_has(load, AT("sites", site->name, of_apps[i])))
			load_report_at(load, AT("sites", site->name, of_apps[i]),
			               "has no effect with `%s`: there are no apps; take one of them out", instead);
	for (unsigned i = 0; i < COUNT_OF(timeouts); i++)
		if (load_has(load, AT("sites", site->name, "timeouts", timeouts[i])))
			load_report_at(load, AT("sites", site->name, "timeouts", timeouts[i]),
			               "has no effect with `%s`: there are no apps; take one of them out", instead);
}
