/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load: a cluster file becomes a snapshot. Runs in the supervisor and the commands, single-threaded.
 *
 * One walk over the tree with the table of keys in hand (load_map), then resolve, validate, secrets. All of them go on after
 * an error, so that one run shows everything that is wrong; a field that could not be read keeps its default meanwhile.
 */
#include "cluster/load.h"

#include "cluster/suggest.h"
#include "cluster/values.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Room for TREE_NODES_MOST nodes and all texts of the largest file. */
#define LOAD_ARENA_SIZE_MOST (16u * 1024 * 1024)

static struct cluster *load_tree(struct load *load, enum cluster_depth depth);
static void load_entry(struct load *load, const struct key *key, const struct tree_node *node, void *base);

struct cluster *cluster_load_text(const char *file, struct span text, enum cluster_depth depth, struct cluster_messages *messages)
{
	struct report report;
	struct arena arena;
	struct cluster *cluster = NULL;
	report_init(&report, file, messages);
	arena_init(&arena, LOAD_ARENA_SIZE_MOST);
	struct load load = {.report = &report};
	load.root = tree_parse(&arena, text, &report);
	if (load.root != NULL)
		cluster = load_tree(&load, depth);
	arena_free(&arena);
	return cluster;
}

/* `noah check <(...)` reads a pipe; but one under the file's name must not hold the supervisor up. */
#define READ_MOST_MS 5000

static bool wait_for_more(int descriptor, uint64_t deadline_us)
{
	struct pollfd readable = {.fd = descriptor, .events = POLLIN};
	uint64_t now_us = clock_monotonic_us();
	if (now_us < deadline_us && poll(&readable, 1, (int)((deadline_us - now_us) / 1000 + 1)) != 0)
		return true; /* a signal, too: it is read again */
	errno = ETIMEDOUT;
	return false;
}

/* The whole file, or one byte more than may be there; -1 with errno. */
static ssize_t read_file(const char *file, char *out, size_t most)
{
	uint64_t deadline_us = clock_monotonic_us() + READ_MOST_MS * UINT64_C(1000);
	int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (descriptor < 0)
		return -1;
	size_t size = 0;
	ssize_t got = 1;
	while (size < most && got > 0) {
		got = read(descriptor, out + size, most - size);
		if (got < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_more(descriptor, deadline_us))))
			got = 1;
		else if (got > 0)
			size += (size_t)got;
	}
	int error = errno;
	close(descriptor);
	errno = error;
	return got < 0 ? -1 : (ssize_t)size;
}

struct cluster *cluster_load(const char *file, enum cluster_depth depth, struct cluster_messages *messages)
{
	struct report report;
	report_init(&report, file, messages);
	char *text = malloc(TREE_FILE_SIZE_MOST + 1);
	if (text == NULL) {
		report_add(&report, 0, 0, "", "out of memory");
		return NULL;
	}
	struct cluster *cluster = NULL;
	ssize_t size = read_file(file, text, TREE_FILE_SIZE_MOST + 1);
	if (size < 0)
		report_add(&report, 0, 0, "", "cannot be read: %s%s", strerror(errno),
		           errno == ENOENT ? "; name the cluster file, or put it there" : "");
	else if ((size_t)size > TREE_FILE_SIZE_MOST)
		report_add(&report, 0, 0, "", "the file is larger than 1 MiB (%u bytes)", TREE_FILE_SIZE_MOST);
	else
		cluster = cluster_load_text(file, span_of(text, (size_t)size), depth, messages);
	free(text);
	return cluster;
}

static struct cluster *load_tree(struct load *load, enum cluster_depth depth)
{
	/* Mapped, so that cluster_free is the same for all. The grammar's bounds make it many megabytes, of which a file fills a few
	 * pages: only those may cost memory. Private, so that reading an empty page takes none; and no huge pages, which would fill
	 * two megabytes for each site. */
	struct cluster *cluster =
	    mmap(NULL, sizeof(*cluster), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (cluster == MAP_FAILED) {
		report_add(load->report, 0, 0, "", "out of memory");
		return NULL;
	}
	(void)madvise(cluster, sizeof(*cluster), MADV_NOHUGEPAGE); /* refused by kernels that have none */
	cluster->magic = CLUSTER_MAGIC;
	cluster->version = CLUSTER_VERSION;
	cluster->self = CLUSTER_NO_SERVER;
	load->cluster = cluster;
	load_defaults(load, "", cluster);
	load_map(load, load->root, "", cluster);
	load_resolve(load);
	load_validate(load);
	load_validate_listeners(load);
	if (depth == CLUSTER_WHOLE)
		load_secrets(load);
	load_pages(load, depth);
	if (load->report->total == 0)
		return cluster;
	cluster_free(cluster);
	return NULL;
}

void load_report(struct load *load, const struct tree_node *at, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	report_add_list(load->report, at->line, at->column, load->path, format, list);
	va_end(list);
}

/* Goes one key deeper; returns what load_leave needs. */
static size_t load_enter(struct load *load, const char *word)
{
	size_t size = strlen(load->path);
	snprintf(load->path + size, sizeof(load->path) - size, "%s%s", size == 0 ? "" : ".", word);
	return size;
}

static void load_leave(struct load *load, size_t size)
{
	load->path[size] = '\0';
}

/* ---- maps ----------------------------------------------------------------------------------------------------- */

static bool expect_map(struct load *load, const struct tree_node *node, const char *example)
{
	if (node->kind == TREE_MAP)
		return true;
	if (tree_is_empty(node))
		load_report(load, node, "there is nothing here; write for example `%s`, or take the key out", example);
	else
		load_report(load, node, "keys with values are expected here, for example `%s`", example);
	return false;
}

/* "known here are `get`, `tcp`"; a site has more than there is room for in a line. */
static void list_children(const char *parent, char *out, size_t size)
{
	static const char more[] = " and more (`noah schema --reference`)";
	size_t used = 0, room = size - sizeof(more);
	for (const struct key *key = key_next_child(parent, NULL); key != NULL; key = key_next_child(parent, key)) {
		size_t needed = strlen(key_word_of(key)) + strlen(", ``");
		if (needed > room - used) {
			memcpy(out + used, more, sizeof(more));
			return;
		}
		used += (size_t)snprintf(out + used, size - used, "%s`%s`", used == 0 ? "" : ", ", key_word_of(key));
	}
}

/* A key of this name that stands elsewhere in the same part of the file ("get" under "check"), or at the top. */
static const struct key *find_misplaced(const char *parent, const char *word)
{
	size_t part = strcspn(parent, ".[");
	for (unsigned i = 0; i < key_count; i++) {
		bool same_part = part == 0 || strncmp(keys[i].path, parent, part) == 0;
		if (strcmp(key_word_of(&keys[i]), word) == 0 && (same_part || keys[i].path == key_word_of(&keys[i])))
			return &keys[i];
	}
	return NULL;
}

/* The path of the table with NAME for the `*`, without its last word. */
static void report_misplaced_key(struct load *load, const struct tree_node *key_node, const struct key *elsewhere)
{
	const char *word = key_word_of(elsewhere);
	char place[KEY_PATH_SIZE * 2] = "";
	size_t used = 0;
	for (const char *at = elsewhere->path; at + 1 < word; at++)
		used += (size_t)snprintf(place + used, sizeof(place) - used, *at == '*' ? "NAME" : "%c", *at);
	load_report(load, key_node, "unknown key; `%s` belongs %s%s", word, used == 0 ? "at the top of the file" : "under ", place);
}

static void report_unknown_key(struct load *load, const struct tree_node *key_node, const char *parent)
{
	const char *word = key_node->text.start;
	struct suggestion suggestion = {0};
	for (const struct key *key = key_next_child(parent, NULL); key != NULL; key = key_next_child(parent, key))
		suggest_consider(&suggestion, word, key_word_of(key));
	size_t outside = load_enter(load, word);
	const struct key *elsewhere = find_misplaced(parent, word);
	char known[288] = "";
	list_children(parent, known, sizeof(known));
	if (elsewhere != NULL && (suggestion.word == NULL || suggestion.distance > 0))
		report_misplaced_key(load, key_node, elsewhere);
	else if (suggestion.word != NULL)
		load_report(load, key_node, "unknown key; did you mean `%s`?", suggestion.word);
	else
		load_report(load, key_node, "unknown key; known here are %s", known);
	load_leave(load, outside);
}

void load_map(struct load *load, const struct tree_node *node, const char *parent, void *base)
{
	for (const struct tree_node *entry = node->kind == TREE_MAP ? node->first : NULL; entry != NULL; entry = entry->next) {
		const struct key *known = NULL;
		for (const struct key *key = key_next_child(parent, NULL); key != NULL && known == NULL;
		     key = key_next_child(parent, key))
			if (strcmp(key_word_of(key), entry->key->text.start) == 0)
				known = key;
		if (known == NULL)
			report_unknown_key(load, entry->key, parent);
	}
	if (!expect_map(load, node, parent[0] == '\0' ? "cluster: example.com" : "key: value"))
		return;
	/* in the order of the table, not of the file: servers are known before others refer to them */
	for (const struct key *key = key_next_child(parent, NULL); key != NULL; key = key_next_child(parent, key)) {
		const struct tree_node *entry = tree_find(node, key_word_of(key));
		size_t outside = load_enter(load, key_word_of(key));
		if (entry != NULL)
			load_entry(load, key, entry, base);
		else if (key->required)
			load_report(load, node->key != NULL ? node->key : node, "is missing; for example `%s: %s`", key_word_of(key),
			            key->example);
		load_leave(load, outside);
	}
}

/* ---- maps of names -------------------------------------------------------------------------------------------- */

static bool check_entry_name(struct load *load, const struct key *key, const struct tree_node *name)
{
	char why[VALUE_WHY_SIZE];
	bool good = key->type == KEY_HOST_MAP ? value_check_host(name->text, true, why) : value_check_name(name->text, why);
	if (good && name->text.start[0] == '*') {
		snprintf(why, sizeof(why), "a site needs a name of its own; write `names: ['%.100s']` in it%s", name->text.start,
		         name->text.size == 1 ? " to make it the default site" : "");
		good = false;
	}
	if (good && name->text.size >= CLUSTER_NAME_SIZE) {
		snprintf(why, sizeof(why), "the name has more than %u letters; put a short one here and the long one under `names`",
		         CLUSTER_NAME_SIZE - 1);
		good = false;
	}
	if (!good)
		load_report(load, name, "%s", why);
	return good;
}

static void load_named(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char inside[KEY_PATH_SIZE];
	uint32_t *count = (uint32_t *)(void *)((char *)base + key->count_offset);
	if (!expect_map(load, node, key->example))
		return;
	if (node->count < key->least)
		load_report(load, node, "there is nothing here; write for example `%s`, or take the key out", key->example);
	for (const struct tree_node *entry = node->first; entry != NULL; entry = entry->next) {
		if (*count == key->most) {
			load_report(load, entry->key, "more than %llu entries; that is the most", (unsigned long long)key->most);
			return;
		}
		if (!check_entry_name(load, key, entry->key))
			continue;
		char *item = (char *)base + key->offset + *count * key->item_size;
		(*count)++;
		memcpy(item, entry->key->text.start, entry->key->text.size + 1);
		if (key->type == KEY_HOST_MAP) {
			/* the site's name is also the first of its host names */
			struct cluster_site *site = (struct cluster_site *)(void *)item;
			for (size_t i = 0; i < entry->key->text.size; i++)
				site->names[0][i] = (char)tolower((unsigned char)entry->key->text.start[i]);
			site->name_count = 1;
		}
		size_t outside = load_enter(load, entry->key->text.start);
		load_defaults(load, key_inside(key, inside), item);
		load_map(load, entry, inside, item);
		load_leave(load, outside);
	}
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static void load_element(struct load *load, const struct key *list, const struct tree_node *node, void *base)
{
	const struct key *element = key_element(list);
	if (element->type == KEY_ON) {
		(void)!load_value(load, element, node, (char *)base + list->offset);
		return;
	}
	uint32_t *count = (uint32_t *)(void *)((char *)base + list->count_offset);
	if (element->type == KEY_NETWORK) {
		(void)!load_network(load, node, (struct cluster_networks *)(void *)count);
		return;
	}
	if (*count == list->most) {
		load_report(load, node, "more than %llu entries; that is the most", (unsigned long long)list->most);
		return;
	}
	char *item = (char *)base + list->offset + *count * list->item_size;
	load_inherit(element, item, base);
	if (load_value(load, element, node, item) || element->type == KEY_ROUTE) /* its place among the others is its number */
		(*count)++;
	else
		memset(item, 0, list->item_size);
}

static void load_list(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	if (tree_is_empty(node) || (node->kind == TREE_LIST && node->count < key->least)) {
		load_report(load, node, "the list is empty; write for example `%s`%s", key->example,
		            key->required ? "" : ", or take the key out");
		return;
	}
	/* what is written takes the place of the default; a site keeps its own name */
	if (key->standard != NULL)
		*(uint32_t *)(void *)((char *)base + key->count_offset) = 0;
	if (node->kind != TREE_LIST) {
		load_element(load, key, node, base);
		return;
	}
	unsigned left = (unsigned)key->most + 1; /* one too many is reported, not hundreds */
	for (const struct tree_node *entry = node->first; entry != NULL && left > 0; entry = entry->next, left--)
		load_element(load, key, entry, base);
}

static void load_entry(struct load *load, const struct key *key, const struct tree_node *node, void *base)
{
	char inside[KEY_PATH_SIZE];
	switch (key->type) {
	case KEY_SECTION:
		if (expect_map(load, node, key->example))
			load_map(load, node, key_inside(key, inside), base);
		break;
	case KEY_NAMED_MAP:
	case KEY_HOST_MAP:
		load_named(load, key, node, base);
		break;
	case KEY_LIST:
		load_list(load, key, node, base);
		break;
	default:
		if (tree_is_empty(node))
			load_report(load, node, "there is no value; write for example `%s: %s`, or take the key out", key_word_of(key),
			            key->example);
		else
			(void)!load_value(load, key, node, base);
	}
}

/* ---- defaults ------------------------------------------------------------------------------------------------- */

void load_defaults(struct load *load, const char *parent, void *base)
{
	char inside[KEY_PATH_SIZE];
	for (const struct key *key = key_next_child(parent, NULL); key != NULL; key = key_next_child(parent, key)) {
		if (key->type == KEY_SECTION)
			load_defaults(load, key_inside(key, inside), base);
		if (key->standard == NULL)
			continue;
		struct tree_node node = {.kind = TREE_TEXT, .plain = true, .text = span_of_text(key->standard)};
		if (key->type == KEY_LIST) {
			load_element(load, key, &node, base);
		} else {
			bool good = load_value(load, key, &node, base);
			ASSERT(good); /* the table's own text */
		}
	}
}
