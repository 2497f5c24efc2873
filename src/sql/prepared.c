/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prepared: see the header. Called by statement.c.
 */
#include "sql/prepared.h"

#include <stdlib.h>

static void free_item(struct prepared_table *table, struct prepared *item)
{
	if (item->text != NULL)
		table->text_bytes -= item->text_size;
	free(item->text);
	free(item->types);
	free(item);
}

void prepared_free(struct prepared_table *table)
{
	for (unsigned i = 0; i < table->count; i++)
		free_item(table, table->items[i]);
	free(table->items);
	*table = (struct prepared_table){.last_id = table->last_id};
}

struct prepared *prepared_add(struct prepared_table *table, struct span text, const struct sql_class *class)
{
	if (table->count == PREPARED_MOST || table->last_id == UINT32_MAX - 1)
		return NULL;
	if (table->count == table->room) {
		unsigned room = table->room == 0 ? 8 : table->room * 2;
		struct prepared **grown = realloc(table->items, room * sizeof(struct prepared *));
		if (grown == NULL)
			return NULL;
		table->items = grown;
		table->room = room;
	}
	struct prepared *item = calloc(1, sizeof *item);
	if (item == NULL)
		return NULL;
	item->id = ++table->last_id;
	item->kind = class->kind;
	item->route = class->route;
	item->binds = class->binds;
	item->asks_insert_id = class->asks_insert_id;
	if (text.size > 0 && table->text_bytes + text.size <= PREPARED_TEXT_BYTES_MOST && (item->text = malloc(text.size)) != NULL) {
		memcpy(item->text, text.start, text.size);
		item->text_size = (uint32_t)text.size;
		table->text_bytes += text.size;
	}
	table->items[table->count++] = item;
	return item;
}

static unsigned find_place(const struct prepared_table *table, uint32_t id)
{
	unsigned low = 0, high = table->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (table->items[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct prepared *prepared_find(struct prepared_table *table, uint32_t id)
{
	if (id == UINT32_MAX)
		id = table->last_id;
	unsigned place = find_place(table, id);
	return place < table->count && table->items[place]->id == id ? table->items[place] : NULL;
}

void prepared_remove(struct prepared_table *table, struct prepared *item)
{
	unsigned place = find_place(table, item->id);
	ASSERT(place < table->count && table->items[place] == item);
	free_item(table, item);
	table->count--;
	memmove(&table->items[place], &table->items[place + 1], (table->count - place) * sizeof(struct prepared *));
}

bool prepared_keep_types(struct prepared *item, const uint8_t *types)
{
	size_t size = (size_t)item->parameters * 2;
	if (item->types == NULL)
		item->types = malloc(size);
	else if (memcmp(item->types, types, size) == 0)
		return true; /* as before: what other connections have bound stays good */
	if (item->types == NULL)
		return false;
	memcpy(item->types, types, size);
	item->types_version++;
	return true;
}

void prepared_forget_types(struct prepared *item)
{
	free(item->types);
	item->types = NULL;
	item->types_version++;
}

/* COM_STMT_EXECUTE: command, id (4), flags (1), iterations (4), NULL bitmap, new_params_bound (1), types, values. */
bool prepared_find_parameters(const struct prepared *item, struct span payload, bool whole, struct prepared_parameters *out)
{
	*out = (struct prepared_parameters){0};
	if (payload.size < 10)
		return false;
	if (item->parameters == 0)
		return true;
	out->flag = 10 + ((size_t)item->parameters + 7) / 8;
	if (payload.size <= out->flag)
		return false;
	out->has_types = payload.start[out->flag] == 1;
	out->types = out->flag + 1;
	out->types_cut = out->has_types && payload.size < out->types + (size_t)item->parameters * 2;
	return !out->types_cut || !whole;
}
