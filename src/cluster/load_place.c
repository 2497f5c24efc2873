/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load_place: where a key stands in the file, for the steps after load_map: what they say is reported there. Called by resolve.c,
 * validate*.c, secret.c and pages.c.
 */
#include "cluster/load.h"

#include <stdio.h>
#include <stdlib.h>

/* The element "[2]" of a list; another thing than a list is its own only element. */
static const struct tree_node *find_element(const struct tree_node *at, const char *part)
{
	unsigned long index = strtoul(part + 1, NULL, 10);
	if (at->kind != TREE_LIST)
		return index == 0 ? at : NULL;
	const struct tree_node *element = at->first;
	for (; index > 0 && element != NULL; index--)
		element = element->next;
	return element;
}

/* The node that the parts lead to; the deepest one there is when the way ends early. */
static const struct tree_node *find_place(const struct load *load, const char *const *parts, bool *whole)
{
	const struct tree_node *at = load->root;
	*whole = true;
	for (unsigned i = 0; parts[i] != NULL; i++) {
		const struct tree_node *next = parts[i][0] == '[' ? find_element(at, parts[i]) : tree_find(at, parts[i]);
		if (next == NULL) {
			*whole = false;
			break;
		}
		at = next;
	}
	return at;
}

static void join_parts(const char *const *parts, char out[REPORT_PATH_SIZE])
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; parts[i] != NULL && used < REPORT_PATH_SIZE; i++)
		if (parts[i][0] != '[')
			used += (size_t)snprintf(out + used, REPORT_PATH_SIZE - used, "%s%s", i == 0 ? "" : ".", parts[i]);
}

void load_report_at(struct load *load, const char *const *parts, const char *format, ...)
{
	bool whole;
	char path[REPORT_PATH_SIZE];
	const struct tree_node *at = find_place(load, parts, &whole);
	join_parts(parts, path);
	if (at->kind != TREE_TEXT && at->key != NULL)
		at = at->key;
	va_list list;
	va_start(list, format);
	report_add_list(load->report, at->line, at->column, path, format, list);
	va_end(list);
}

void load_report_element(struct load *load, const char *const *parts, unsigned index, const char *format, ...)
{
	bool whole;
	char path[REPORT_PATH_SIZE];
	const struct tree_node *at = find_place(load, parts, &whole);
	join_parts(parts, path);
	if (whole && at->kind == TREE_LIST)
		for (at = at->first; index > 0 && at->next != NULL; index--)
			at = at->next;
	else if (at->kind != TREE_TEXT && at->key != NULL)
		at = at->key;
	va_list list;
	va_start(list, format);
	report_add_list(load->report, at->line, at->column, path, format, list);
	va_end(list);
}

bool load_has(const struct load *load, const char *const *parts)
{
	bool whole;
	(void)find_place(load, parts, &whole);
	return whole;
}

bool load_has_map(const struct load *load, const char *const *parts)
{
	bool whole;
	return find_place(load, parts, &whole)->kind == TREE_MAP && whole;
}

/* ---- places of groups ----------------------------------------------------------------------------------------- */

void place_of_site(struct place *place, const struct cluster_site *site)
{
	*place = (struct place){.parts = {"sites", site->name}, .count = 2};
}

void place_of_route(struct place *place, const struct cluster_site *site, const struct cluster_route *route)
{
	*place = (struct place){.parts = {"sites", site->name, "routes"}, .count = 4};
	snprintf(place->index, sizeof(place->index), "[%u]", (unsigned)(route - site->routes));
	place->parts[3] = place->index;
}

void place_of_service(struct place *place, const struct cluster_service *service)
{
	*place = (struct place){.parts = {"services", service->name}, .count = 2};
}

void place_of_walk(struct place *place, const struct cluster_walk *walk)
{
	if (walk->service != NULL)
		place_of_service(place, walk->service);
	else if (walk->route != NULL)
		place_of_route(place, walk->site, walk->route);
	else
		place_of_site(place, walk->site);
	if (walk->files != NULL) {
		place->parts[place->count++] = "static";
		place->is_files = true;
	}
}

const char *const *place_at(struct place *place, const char *key, const char *below)
{
	place->parts[place->count] = key;
	place->parts[place->count + 1] = key == NULL ? NULL : below;
	place->parts[place->count + 2] = NULL;
	return place->parts;
}

const char *place_servers(const struct place *place)
{
	return place->is_files ? "try" : strcmp(place->parts[0], "services") == 0 ? "servers" : "apps";
}
