/* SPDX-License-Identifier: BSD-2-Clause
 *
 * difference: what a reload changes, in words, by a walk over the table of keys with both snapshots in hand.
 *
 * Called by the supervisor (the log of a reload). Entries of maps are matched by name, elements of lists by what they say, so
 * order does not matter.
 */
#include "cluster/words.h"

#include <stdio.h>

struct walk {
	const struct cluster *before, *after;
	FILE *out;
	unsigned lines;
	char path[1024]; /* two names, a route's path and types, and words of the table */
	/* of the route that is compared */
	const struct cluster_site *site_before, *site_after;
};

static void compare(struct walk *walk, const char *parent, const void *before, const void *after);

static size_t enter(struct walk *walk, const char *word)
{
	size_t size = strlen(walk->path);
	snprintf(walk->path + size, sizeof(walk->path) - size, "%s%s", size == 0 ? "" : ".", word);
	return size;
}

static void leave(struct walk *walk, size_t size)
{
	walk->path[size] = '\0';
}

static uint32_t item_count(const struct key *key, const void *base)
{
	return *(const uint32_t *)(const void *)((const char *)base + key->count_offset);
}

/* The item of an array of named structs (the name is their first member); NULL when there is none of this name. */
static const char *find_item(const struct key *key, const void *base, const char *name)
{
	uint32_t count = item_count(key, base);
	const char *items = (const char *)base + key->offset;
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(items + i * key->item_size, name) == 0)
			return items + i * key->item_size;
	return NULL;
}

static void compare_named(struct walk *walk, const struct key *key, const void *before, const void *after)
{
	char inside[KEY_PATH_SIZE];
	const char *old_items = (const char *)before + key->offset, *new_items = (const char *)after + key->offset;
	for (uint32_t i = 0; i < item_count(key, before); i++) {
		const char *name = old_items + i * key->item_size, *item = find_item(key, after, name);
		size_t outside = enter(walk, name);
		if (item != NULL)
			compare(walk, key_inside(key, inside), name, item);
		else
			walk->lines += fprintf(walk->out, "%s: removed\n", walk->path) > 0;
		leave(walk, outside);
	}
	for (uint32_t i = 0; i < item_count(key, after); i++) {
		const char *name = new_items + i * key->item_size;
		if (find_item(key, before, name) == NULL)
			walk->lines += fprintf(walk->out, "%s.%s: added\n", walk->path, name) > 0;
	}
}

static bool has_element(const struct cluster *cluster, const struct key *list, const void *base, const char *wanted)
{
	char text[VALUE_TEXT_SIZE];
	for (uint32_t i = 0; i < words_count_elements(list, base); i++)
		if (strcmp(words_of_element(cluster, list, base, i, text), wanted) == 0)
			return true;
	return false;
}

/* Routes are known by what they match. Their order says which one counts, so it is looked at, too. */
static void compare_routes(struct walk *walk, const struct key *list, const void *before, const void *after)
{
	const struct cluster_site *old_site = walk->site_before = before, *new_site = walk->site_after = after;
	const char *element = key_element(list)->path;
	char name[VALUE_TEXT_SIZE], other[VALUE_TEXT_SIZE];
	uint32_t last = 0;
	bool moved = false;
	for (uint32_t i = 0; i < old_site->route_count; i++) {
		uint32_t j = 0;
		words_of_element(walk->before, list, before, i, name);
		while (j < new_site->route_count && strcmp(words_of_element(walk->after, list, after, j, other), name) != 0)
			j++;
		if (j == new_site->route_count)
			continue;
		size_t outside = enter(walk, name);
		compare(walk, element, &old_site->routes[i], &new_site->routes[j]);
		leave(walk, outside);
		moved |= j < last;
		last = j;
	}
	if (moved)
		walk->lines += fprintf(walk->out, "%s: the order changed\n", walk->path) > 0;
	walk->site_before = walk->site_after = NULL;
}

static bool has_same_elements(const struct cluster *cluster, const struct key *a, const void *base_a, const struct key *b,
                              const void *base_b)
{
	char one[VALUE_TEXT_SIZE], other[VALUE_TEXT_SIZE];
	uint32_t count = words_count_elements(a, base_a);
	if (count != words_count_elements(b, base_b))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(words_of_element(cluster, a, base_a, i, one), words_of_element(cluster, b, base_b, i, other)) != 0)
			return false;
	return true;
}

/* The site's key of the same name as a route's; NULL: it has none, or no route is being compared. */
static const struct key *find_key_of_site(const struct walk *walk, const struct key *key)
{
	static const char prefix[] = "sites.*.routes[].";
	char path[KEY_PATH_SIZE];
	if (walk->site_before == NULL || strncmp(key->path, prefix, strlen(prefix)) != 0)
		return NULL;
	snprintf(path, sizeof(path), "sites.*.%.40s", key->path + strlen(prefix));
	return key_find(path);
}

/* A route's list that is that of its site, before and after. */
static bool list_follows_site(const struct walk *walk, const struct key *list, const void *before, const void *after)
{
	const struct key *of_site = find_key_of_site(walk, list);
	return of_site != NULL && has_same_elements(walk->before, list, before, of_site, walk->site_before) &&
	       has_same_elements(walk->after, list, after, of_site, walk->site_after);
}

static void compare_list(struct walk *walk, const struct key *list, const void *before, const void *after)
{
	char text[VALUE_TEXT_SIZE];
	if (list_follows_site(walk, list, before, after))
		return;
	for (uint32_t i = 0; i < words_count_elements(list, before); i++)
		if (!has_element(walk->after, list, after, words_of_element(walk->before, list, before, i, text)))
			walk->lines += fprintf(walk->out, "%s: %s removed\n", walk->path, text) > 0;
	for (uint32_t i = 0; i < words_count_elements(list, after); i++)
		if (!has_element(walk->before, list, before, words_of_element(walk->after, list, after, i, text)))
			walk->lines += fprintf(walk->out, "%s: %s added\n", walk->path, text) > 0;
	if (key_element(list)->type == KEY_ROUTE)
		compare_routes(walk, list, before, after);
}

/* A route has no servers of its own to try where it has its site's files. */
static bool tries_as_site(const struct cluster_site *site, const void *base)
{
	const struct cluster_route *route = base;
	return strcmp(route->files.root, site->files.root) == 0 && route->files.servers.app_count == 0;
}

/* A route says what its site says where it has nothing of its own: a change there is one line, not one for each route. */
static bool follows_site(const struct walk *walk, const struct key *key, const void *before, const void *after)
{
	char was[VALUE_TEXT_SIZE], is[VALUE_TEXT_SIZE], site_was[VALUE_TEXT_SIZE], site_is[VALUE_TEXT_SIZE];
	const struct key *of_site = find_key_of_site(walk, key);
	if (of_site == NULL)
		return false;
	if (key->type == KEY_TRY)
		return tries_as_site(walk->site_before, before) && tries_as_site(walk->site_after, after);
	words_of_value(walk->before, key, before, was);
	words_of_value(walk->after, key, after, is);
	return strcmp(words_of_value(walk->before, of_site, walk->site_before, site_was), was) == 0 &&
	       strcmp(words_of_value(walk->after, of_site, walk->site_after, site_is), is) == 0;
}

static void compare_value(struct walk *walk, const struct key *key, const void *before, const void *after)
{
	char was[VALUE_TEXT_SIZE], is[VALUE_TEXT_SIZE];
	words_of_value(walk->before, key, before, was);
	words_of_value(walk->after, key, after, is);
	if (strcmp(was, is) != 0 && !follows_site(walk, key, before, after))
		walk->lines += fprintf(walk->out, "%s: was %s, is %s\n", walk->path, was[0] == '\0' ? "not set" : was,
		                       is[0] == '\0' ? "not set" : is) > 0;
}

static void compare(struct walk *walk, const char *parent, const void *before, const void *after)
{
	char inside[KEY_PATH_SIZE];
	for (const struct key *key = key_next_child(parent, NULL); key != NULL; key = key_next_child(parent, key)) {
		size_t outside = enter(walk, key_word_of(key));
		if (key->type == KEY_SECTION)
			compare(walk, key_inside(key, inside), before, after);
		else if (key->type == KEY_NAMED_MAP || key->type == KEY_HOST_MAP)
			compare_named(walk, key, before, after);
		else if (key->type == KEY_LIST)
			compare_list(walk, key, before, after);
		else
			compare_value(walk, key, before, after);
		leave(walk, outside);
	}
}

/* The password is not in the file, and never printed. */
static void compare_passwords(struct walk *walk)
{
	for (uint32_t i = 0; i < walk->after->database_count; i++) {
		const struct cluster_database *after = &walk->after->databases[i];
		for (uint32_t j = 0; j < walk->before->database_count; j++) {
			const struct cluster_database *before = &walk->before->databases[j];
			if (strcmp(before->name, after->name) == 0 && strcmp(before->password, after->password) != 0)
				walk->lines +=
				    fprintf(walk->out, "databases.%s.account.password_file: the password in it changed\n", after->name) > 0;
		}
	}
}

/* ---- files that were read with it ----------------------------------------------------------------------------- */

/* A file of a name that is the same, and what was in it. */
struct page_of {
	const char *file;
	uint32_t page;
};

static void PRINTF_LIKE(4, 5)
    compare_page(struct walk *walk, struct page_of before, struct page_of after, const char *format, ...)
{
	if (before.page == 0 || after.page == 0 || strcmp(before.file, after.file) != 0)
		return;
	const struct cluster_page *was = &walk->before->pages[before.page - 1], *is = &walk->after->pages[after.page - 1];
	if (was->size == is->size && memcmp(was->bytes, is->bytes, is->size) == 0)
		return;
	va_list list;
	va_start(list, format);
	vfprintf(walk->out, format, list);
	va_end(list);
	walk->lines += fputs(": the file changed\n", walk->out) >= 0;
}

static void compare_pages_of(struct walk *walk, const struct cluster_site *before, const struct cluster_site *after)
{
	static const char *const words[] = {
#define X(name, key, when) [name] = key,
	    CLUSTER_ERROR_PAGES(X)
#undef X
	};
	const struct cluster_access *was = &before->access, *is = &after->access;
	compare_page(walk, (struct page_of){before->page_file, before->page}, (struct page_of){after->page_file, after->page},
	             "sites.%s.page", after->name);
	for (unsigned i = 0; i < ERROR_PAGE_COUNT; i++)
		compare_page(walk, (struct page_of){before->error_page_files[i], before->error_pages[i]},
		             (struct page_of){after->error_page_files[i], after->error_pages[i]}, "sites.%s.errors.%s", after->name,
		             words[i]);
	compare_page(walk, (struct page_of){was->users_file, was->users}, (struct page_of){is->users_file, is->users},
	             "sites.%s.users", after->name);
	/* by place: the file is the same, so it is the same route, or one that asks the same people */
	for (uint32_t i = 0; i < before->route_count && i < after->route_count; i++) {
		const struct cluster_access *route_was = &before->routes[i].access, *route_is = &after->routes[i].access;
		if (strcmp(route_is->users_file, is->users_file) != 0)
			compare_page(walk, (struct page_of){route_was->users_file, route_was->users},
			             (struct page_of){route_is->users_file, route_is->users}, "sites.%s.routes.%s.users", after->name,
			             after->routes[i].path);
	}
}

static void compare_pages(struct walk *walk)
{
	for (uint32_t i = 0; i < walk->after->site_count; i++)
		for (uint32_t j = 0; j < walk->before->site_count; j++)
			if (strcmp(walk->before->sites[j].name, walk->after->sites[i].name) == 0)
				compare_pages_of(walk, &walk->before->sites[j], &walk->after->sites[i]);
}

unsigned cluster_print_difference(const struct cluster *before, const struct cluster *after, FILE *out)
{
	CHECK_MAGIC(before, CLUSTER_MAGIC);
	CHECK_MAGIC(after, CLUSTER_MAGIC);
	struct walk walk = {.before = before, .after = after, .out = out};
	compare(&walk, "", before, after);
	compare_passwords(&walk);
	compare_pages(&walk);
	return walk.lines;
}
