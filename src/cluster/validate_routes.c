/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_routes: what must hold in a site's routes: each matches something, does something, and is reached. Called by
 * validate_site.c.
 */
#include "cluster/load.h"

/* ---- what a route matches ------------------------------------------------------------------------------------- */

static bool is_any_path(const char *path)
{
	return path[0] == '\0' || strcmp(path, "/") == 0;
}

/* Every path that begins as `narrow` says begins as `wide` says. "/api" covers "/api", "/api/" and "/api/x", but not "/apix". */
static bool path_covers(const char *wide, const char *narrow)
{
	size_t size = strlen(wide);
	if (is_any_path(wide))
		return true;
	if (strncmp(wide, narrow, size) != 0)
		return false;
	return wide[size - 1] == '/' || narrow[size] == '\0' || narrow[size] == '/';
}

static bool has_type(const struct cluster_route *route, const char *type)
{
	for (uint32_t i = 0; i < route->type_count; i++)
		if (strcmp(route->types[i], type) == 0)
			return true;
	return false;
}

static bool types_cover(const struct cluster_route *wide, const struct cluster_route *narrow)
{
	if (wide->type_count == 0)
		return true;
	for (uint32_t i = 0; i < narrow->type_count; i++)
		if (!has_type(wide, narrow->types[i]))
			return false;
	return narrow->type_count > 0;
}

static bool covers(const struct cluster_route *wide, const struct cluster_route *narrow)
{
	bool is_unread = wide->path[0] == '\0' && wide->type_count == 0; /* wrong, and reported */
	return !is_unread && path_covers(wide->path, narrow->path) && types_cover(wide, narrow);
}

static void validate_reached(struct load *load, const struct cluster_site *site, const struct cluster_route *route)
{
	struct place place;
	place_of_route(&place, site, route);
	for (const struct cluster_route *before = site->routes; before < route; before++)
		if (covers(before, route)) {
			bool has_path = before->path[0] != '\0', has_types = before->type_count > 0;
			load_report_at(load, place_at(&place, route->path[0] == '\0' ? "types" : "path", NULL),
			               "never counts: route %u of the site (%.100s%s%s) matches all of it already; put this one before it",
			               (unsigned)(before - site->routes) + 1, before->path, has_path && has_types ? ", " : "",
			               has_types ? before->types[0] : "");
			return;
		}
}

/* A percent-encoding that is broken, or stands for a byte that no request that is routed has (http/route_path.c refuses them). */
static bool has_bad_encoding(const char *path)
{
	for (const char *at = strchr(path, '%'); at != NULL; at = strchr(at + 1, '%')) {
		uint64_t byte = 0;
		size_t size = strnlen(at + 1, 2);
		if (size < 2 || !span_to_hex_number(span_of(at + 1, 2), 255, &byte) || byte == 0 || byte == '/' || byte == '\\')
			return true;
	}
	return false;
}

/* A part "." or ".." of the path, or an empty one. */
static bool has_odd_part(const char *path)
{
	for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
		size_t size = strcspn(at + 1, "/");
		bool is_last = at[1 + size] == '\0';
		if ((size == 0 && !is_last) || (size == 1 && at[1] == '.') || (size == 2 && at[1] == '.' && at[2] == '.'))
			return true;
	}
	return false;
}

static void validate_match(struct load *load, const struct cluster_route *route, struct place *place)
{
	const char *const *path = place_at(place, "path", NULL);
	if (strchr(route->path, '\\') != NULL || has_odd_part(route->path) || has_bad_encoding(route->path))
		load_report_at(load, path,
		               "no request has such a path: write it without `//`, `/./`, `/../`, backslashes and their %%XX");
	else if (strchr(route->path, '*') != NULL)
		load_report_at(load, path, "a path is the beginning of what matches, without `*`; did you mean `%.*s`?",
		               (int)strcspn(route->path, "*"), route->path);
	else if (strchr(route->path, '?') != NULL)
		load_report_at(load, path, "what follows `?` is not looked at; did you mean `%.*s`?", (int)strcspn(route->path, "?"),
		               route->path);
	if (!load_has(load, path) && !load_has(load, place_at(place, "types", NULL)))
		load_report_at(load, place_at(place, NULL, NULL),
		               "matches nothing; say for example `path: /api/`, or `types: [jpg, png]`");
	for (uint32_t i = 1; i < route->type_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(route->types[i], route->types[j]) == 0)
				load_report_element(load, place_at(place, "types", NULL), i, "`%s` stands here twice", route->types[i]);
}

/* ---- what it does --------------------------------------------------------------------------------------------- */

static const char *const group_keys[] = {"balance", "hash", "check", "connections", "queue", "slow_start", "sticky"};

/* What may be different for a path without servers of its own: of requests that go to servers or are answered with files, and of
 * all. */
static const char *const request_keys[] = {"body", "timeouts", "minimum_rate", "buffer"};
static const char *const answer_keys[] = {"compress", "hide_versions", "expires"};
static const char *const visitor_keys[] = {"allow", "deny", "users", "realm", "requests"};

/* The first of these keys that the route says; NULL when it says none. */
static const char *find_key(const struct load *load, struct place *place, const char *const *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (load_has(load, place_at(place, words[i], NULL)))
			return words[i];
	return NULL;
}
#define FIND_KEY(load, place, words) find_key(load, place, words, COUNT_OF(words))

/* A path that the route itself matches: the visitor would be sent there again and again. */
static bool leads_to_itself(const struct cluster_route *route)
{
	return route->redirect[0] == '/' && route->type_count == 0 && path_covers(route->path, route->redirect);
}

static void validate_redirect(struct load *load, const struct cluster_route *route, struct place *place)
{
	static const char *const own[] = {"apps", "static"};
	const char *beside = FIND_KEY(load, place, own);
	if (beside == NULL)
		beside = FIND_KEY(load, place, request_keys);
	if (beside == NULL)
		beside = FIND_KEY(load, place, answer_keys);
	if (beside == NULL)
		beside = FIND_KEY(load, place, group_keys);
	if (beside != NULL)
		load_report_at(load, place_at(place, beside, NULL), "has no effect beside `redirect`; take one of them out");
	if (leads_to_itself(route))
		load_report_at(load, place_at(place, "redirect", NULL),
		               "leads to a path that this route matches again, without end; give the route a narrower `path`");
}

static void validate_action(struct load *load, const struct cluster_route *route, bool has_page, struct place *place)
{
	if (load_has(load, place_at(place, "redirect", NULL))) {
		validate_redirect(load, route, place);
		return;
	}
	if (load_has(load, place_at(place, "status", NULL)))
		load_report_at(load, place_at(place, "status", NULL), "is the code of a `redirect`; say where it leads, or take it out");
	if (load_has(load, place_at(place, "apps", NULL))) {
		load_validate_group(load, &route->group, place);
		return;
	}
	bool has_files = load_has(load, place_at(place, "static", NULL));
	const char *of_answers = FIND_KEY(load, place, answer_keys);
	if (has_page && !has_files && of_answers != NULL) {
		load_report_at(load, place_at(place, of_answers, NULL),
		               "has no effect on a `page`, only on files and on answers of apps; take it out");
		return;
	}
	bool has_own = has_files || of_answers != NULL || FIND_KEY(load, place, visitor_keys) != NULL;
	if (has_page && !has_own) {
		load_report_at(load, place_at(place, NULL, NULL),
		               "does nothing: the site has a `page`; say `redirect`, `apps` or `static`");
		return;
	}
	bool has_group_key = load_has(load, place_at(place, "timeouts", "connect"));
	if (has_group_key)
		load_report_at(load, place_at(place, "timeouts", "connect"), "needs `apps` in this route; those of the site have theirs");
	for (unsigned i = 0; i < COUNT_OF(group_keys); i++)
		if (load_has(load, place_at(place, group_keys[i], NULL))) {
			load_report_at(load, place_at(place, group_keys[i], NULL),
			               "needs `apps` in this route; those of the site have theirs");
			has_group_key = true;
		}
	if (FIND_KEY(load, place, request_keys) == NULL && !has_own && !has_group_key)
		load_report_at(
		    load, place_at(place, NULL, NULL),
		    "does nothing; say for example `redirect`, `apps`, `static`, `body`, `expires` or `allow`, or take the route "
		    "out");
}

void load_validate_routes(struct load *load, const struct cluster_site *site)
{
	struct place place;
	for (const struct cluster_route *route = site->routes; route < site->routes + site->route_count; route++) {
		place_of_route(&place, site, route);
		if (!load_has_map(load, place_at(&place, NULL, NULL)))
			continue; /* said already */
		unsigned before = load->report->total;
		validate_match(load, route, &place);
		validate_action(load, route, load_has(load, AT("sites", site->name, "page")), &place);
		load_validate_files(load, &route->files,
		                    load_has(load, place_at(&place, "apps", NULL)) || load_has(load, AT("sites", site->name, "apps")),
		                    &place);
		load_validate_types(load, route, &place);
		load_validate_access(load, &route->access, &site->access, &place);
		if (load->report->total == before)
			validate_reached(load, site, route);
	}
}
