/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys: ways through the table. See keys.h.
 */
#include "cluster/keys.h"

#include <stdio.h>

const struct key *key_find(const char *path)
{
	for (unsigned i = 0; i < key_count; i++)
		if (strcmp(keys[i].path, path) == 0)
			return &keys[i];
	return NULL;
}

const struct key *key_next_child(const char *parent, const struct key *previous)
{
	size_t size = strlen(parent);
	for (const struct key *key = previous == NULL ? keys : previous + 1; key < keys + key_count; key++) {
		const char *rest = key->path;
		if (size > 0) {
			if (strncmp(rest, parent, size) != 0 || rest[size] != '.')
				continue;
			rest += size + 1;
		}
		if (strpbrk(rest, ".[") == NULL)
			return key;
	}
	return NULL;
}

const char *key_word_of(const struct key *key)
{
	const char *dot = strrchr(key->path, '.');
	return dot == NULL ? key->path : dot + 1;
}

const char *key_inside(const struct key *key, char out[KEY_PATH_SIZE])
{
	bool is_map = key->type == KEY_NAMED_MAP || key->type == KEY_HOST_MAP;
	snprintf(out, KEY_PATH_SIZE, "%s%s", key->path, is_map ? ".*" : key->type == KEY_LIST ? "[]" : "");
	return out;
}

const struct key *key_element(const struct key *list)
{
	char path[KEY_PATH_SIZE];
	const struct key *element = key_find(key_inside(list, path));
	ASSERT(element != NULL);
	return element;
}
