/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Routes by path and file type, in the traffic threads; route.c calls it, only for sites that have routes.
 *
 * A request is forwarded as it came, but matched by the one spelling of its path. What servers read in different ways has no such
 * spelling: it is refused, so that it cannot take one route here and mean another one there.
 */
#include "http/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- making ------------------------------------------------------------------------------------------------------- */

static void compile_one(struct route_entry *entry, const struct cluster_site *site, const struct cluster_route *route,
                        const struct upstream_view *view)
{
	struct http_path path;
	struct span text = span_of_text(route->path);

	entry->route = route;
	if (route->redirect[0] == '\0')
		entry->group = upstream_view_find(view, site, route, NULL);
	if (text.size > 0) {
		/* One that cannot be normalised matches as it is written: the file's reader lets none through. */
		if (http_path_normalise(text, entry->path, sizeof(entry->path), &path) != HTTP_FAULT_NONE) {
			memcpy(entry->path, text.start, text.size);
			path.size = text.size;
		}
		entry->path_size = (uint16_t)path.size;
	}
	for (uint32_t i = 0; i < route->type_count; i++)
		entry->type_sizes[i] = (uint8_t)strnlen(route->types[i], CLUSTER_TYPE_SIZE);
}

bool route_compile(struct site_entry *entry, const struct upstream_view *view)
{
	const struct cluster_site *site = entry->site;

	if (site->route_count == 0)
		return true;
	entry->routes = calloc(site->route_count, sizeof(entry->routes[0]));
	if (entry->routes == NULL)
		return false;
	entry->route_count = site->route_count;
	for (uint32_t i = 0; i < site->route_count; i++)
		compile_one(&entry->routes[i], site, &site->routes[i], view);
	return true;
}

void route_free(struct site_entry *entry)
{
	free(entry->routes);
}

/* ---- reading a path ----------------------------------------------------------------------------------------------- */

/* Nothing in it that could be written in another way. Nearly every path. */
static bool is_plain(struct span path)
{
	for (size_t i = 0; i < path.size; i++) {
		char c = path.start[i];
		if (c == '%' || c == '\\' || (c == '/' && i + 1 < path.size && (path.start[i + 1] == '/' || path.start[i + 1] == '.')))
			return false;
	}
	return true;
}

/* Bytes that stand for one '.': "." or "%2e"; 0 for anything else. */
static size_t dot_size(struct span text)
{
	if (text.size >= 1 && text.start[0] == '.')
		return 1;
	return text.size >= 3 && strncasecmp(text.start, "%2e", 3) == 0 ? 3 : 0;
}

/* A segment "." or "..", however written, also with a parameter ("..;x"), which some servers cut off first. Visitors' programs
 * resolve them before they ask; who sends one wants to know how it is read. */
static bool has_dot_segment(struct span path)
{
	for (size_t i = 0; i < path.size; i++) {
		if (path.start[i] != '/')
			continue;
		size_t at = i + 1, dots = 0, size;
		while (dots < 3 && (size = dot_size(span_of(path.start + at, path.size - at))) > 0) {
			at += size;
			dots++;
		}
		if (dots >= 1 && dots <= 2 && (at == path.size || path.start[at] == '/' || path.start[at] == ';'))
			return true;
	}
	return false;
}

static enum http_outcome refuse(struct http_exchange *exchange, const char *what)
{
	snprintf(exchange->detail, sizeof(exchange->detail),
	         "the path has %s: servers read that in different ways, and this site has routes", what);
	return OUTCOME_BAD_REQUEST;
}

static struct span merge_slashes(struct span path, char *out)
{
	size_t size = 0;

	for (size_t i = 0; i < path.size; i++) {
		if (path.start[i] != '/' || size == 0 || out[size - 1] != '/')
			out[size++] = path.start[i];
	}
	return span_of(out, size);
}

enum http_outcome route_read_path(struct http_exchange *exchange, struct route_path *path)
{
	struct span text = http_text(&exchange->request.head, exchange->request.path);
	struct http_path found;

	if (exchange->request.target_form == HTTP_TARGET_ASTERISK)
		text = SPAN(""); /* OPTIONS *: no path, so only a route without one could match, and none is without both */
	else if (text.size == 0)
		text = SPAN("/"); /* http://example.com */
	path->path = path->merged = text;
	if (is_plain(text))
		return OUTCOME_OK;
	if (memchr(text.start, '\\', text.size) != NULL)
		return refuse(exchange, "a backslash");
	if (has_dot_segment(text))
		return refuse(exchange, "a \".\" or \"..\" in it");
	char *memory = arena_allocate(task_arena(), 2 * (text.size + 1));
	if (memory == NULL)
		return OUTCOME_NO_RESOURCES;
	if (http_path_normalise(text, memory, text.size + 1, &found) != HTTP_FAULT_NONE)
		return refuse(exchange, "a malformed percent-encoding or a NUL");
	if (found.encoded_slash)
		return refuse(exchange, "an encoded slash or backslash");
	path->path = path->merged = span_of(memory, found.size);
	if (found.empty_segment)
		path->merged = merge_slashes(path->path, memory + text.size + 1);
	return OUTCOME_OK;
}

/* ---- matching ----------------------------------------------------------------------------------------------------- */

static bool matches_prefix(const struct route_entry *entry, struct span path)
{
	size_t size = entry->path_size;

	if (size == 0)
		return true;
	if (path.size < size || memcmp(path.start, entry->path, size) != 0)
		return false;
	return entry->path[size - 1] == '/' || path.size == size || path.start[size] == '/';
}

static bool matches_type(const struct route_entry *entry, struct span path)
{
	for (uint32_t i = 0; i < entry->route->type_count; i++) {
		size_t size = entry->type_sizes[i];
		if (path.size <= size + 1)
			continue;
		const char *dot = path.start + path.size - size - 1;
		/* A type has no '/', so a match lies within the last part. */
		if (*dot == '.' && strncasecmp(dot + 1, entry->route->types[i], size) == 0)
			return true;
	}
	return entry->route->type_count == 0;
}

static struct span rest_of(const struct route_entry *entry, struct span path)
{
	struct span rest = span_of(path.start + entry->path_size, path.size - entry->path_size);

	/* Also so that "/old//elsewhere.example/" cannot become "//elsewhere.example/", an address of another site. */
	while (rest.size > 0 && rest.start[0] == '/') {
		rest.start++;
		rest.size--;
	}
	return rest;
}

const struct route_entry *route_find(const struct site_entry *entry, const struct route_path *path, struct span *rest)
{
	for (uint32_t i = 0; i < entry->route_count; i++) { /* at most CLUSTER_ROUTES_MOST */
		const struct route_entry *route = &entry->routes[i];
		if (path->path.size == 0 || !matches_type(route, path->path))
			continue;
		if (matches_prefix(route, path->path))
			*rest = rest_of(route, path->path);
		else if (path->merged.size != path->path.size && matches_prefix(route, path->merged))
			*rest = rest_of(route, path->merged);
		else
			continue;
		return route;
	}
	return NULL;
}

/* ---- parameters --------------------------------------------------------------------------------------------------- */

/* "/admin;x//;y/z" as servers of Java read it: "/admin/z". What the parameters of a segment mean is theirs to say (RFC 3986 3.3).
 */
static struct span without_parameters(struct span path, char *out)
{
	bool within = false;
	size_t size = 0;

	for (size_t i = 0; i < path.size; i++) {
		within = path.start[i] != '/' && (within || path.start[i] == ';');
		if (!within)
			out[size++] = path.start[i];
	}
	return merge_slashes(span_of(out, size), out);
}

static bool lets_in_the_same(const struct site_entry *entry, const struct route_entry *a, const struct route_entry *b)
{
	const struct cluster_site *site = entry->site;
	const struct cluster_access *access[2] = {a != NULL ? &a->route->access : &site->access,
	                                          b != NULL ? &b->route->access : &site->access};
	const struct cluster_limits *limits[2] = {a != NULL ? &a->route->limits : &site->limits,
	                                          b != NULL ? &b->route->limits : &site->limits};

	return a == b || (memcmp(access[0], access[1], sizeof(*access[0])) == 0 &&
	                  memcmp(&limits[0]->requests, &limits[1]->requests, sizeof(limits[0]->requests)) == 0);
}

enum http_outcome route_check_parameters(struct http_exchange *exchange, const struct route_path *path,
                                         const struct route_entry *route)
{
	struct route_path bare;
	struct span rest;

	if (LIKELY(path->path.size == 0 || memchr(path->path.start, ';', path->path.size) == NULL))
		return OUTCOME_OK;
	char *memory = arena_allocate(task_arena(), path->path.size);
	if (memory == NULL)
		return OUTCOME_NO_RESOURCES;
	bare.path = bare.merged = without_parameters(path->path, memory);
	if (lets_in_the_same(exchange->entry, route, route_find(exchange->entry, &bare, &rest)))
		return OUTCOME_OK;
	return refuse(exchange, "a \";\" that changes who is let in");
}
