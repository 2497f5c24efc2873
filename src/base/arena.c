/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Arenas: chunks from malloc, handed out from front to back, given back all together or down to a mark. Each task has one
 * (loop/), and the loaders of files use their own.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BYTES 4096u
#define ALIGNMENT   16u

struct arena_chunk {
	struct arena_chunk *older;
	size_t size; /* of the whole chunk, this header included */
};

static inline char *chunk_data(struct arena_chunk *chunk)
{
	return (char *)chunk + ((sizeof(*chunk) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
}

void arena_init(struct arena *arena, size_t limit_bytes)
{
	*arena = (struct arena){ .limit = limit_bytes };
}

static bool add_chunk(struct arena *arena, size_t payload)
{
	size_t size = payload + 2 * ALIGNMENT;

	if (size < CHUNK_BYTES)
		size = CHUNK_BYTES;
	if (size > arena->limit - arena->held)
		size = payload + 2 * ALIGNMENT; /* near the limit: only what is needed */
	if (size > arena->limit - arena->held)
		return false;
	struct arena_chunk *chunk = malloc(size);
	if (chunk == NULL)
		return false;
	chunk->older = arena->newest;
	chunk->size = size;
	arena->newest = chunk;
	arena->next = chunk_data(chunk);
	arena->end = (char *)chunk + size;
	arena->held += size;
	return true;
}

void *arena_allocate(struct arena *arena, size_t size)
{
	if (size > arena->limit)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (arena->newest == NULL || size > (size_t)(arena->end - arena->next)) {
		if (!add_chunk(arena, size))
			return NULL;
	}
	void *result = arena->next;
	arena->next += size;
	return result;
}

void *arena_allocate_zeroed(struct arena *arena, size_t size)
{
	void *result = arena_allocate(arena, size);
	if (result != NULL)
		memset(result, 0, size);
	return result;
}

char *arena_copy_text(struct arena *arena, struct span text)
{
	char *result = arena_allocate(arena, text.size + 1);
	if (result != NULL) {
		if (text.size > 0)
			memcpy(result, text.start, text.size);
		result[text.size] = '\0';
	}
	return result;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments, again;

	va_start(arguments, format);
	va_copy(again, arguments);
	int size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	ASSERT(size >= 0);
	char *result = arena_allocate(arena, (size_t)size + 1);
	if (result != NULL)
		vsnprintf(result, (size_t)size + 1, format, again);
	va_end(again);
	return result;
}

struct arena_mark arena_mark(const struct arena *arena)
{
	return (struct arena_mark){ .chunk = arena->newest, .next = arena->next };
}

/* Frees the newest chunks until `chunk` is the newest. */
static void free_down_to(struct arena *arena, struct arena_chunk *chunk)
{
	while (arena->newest != chunk) {
		struct arena_chunk *freed = arena->newest;
		ASSERT(freed != NULL);
		arena->newest = freed->older;
		arena->held -= freed->size;
		free(freed);
	}
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
	if (mark.chunk == NULL && arena->newest != NULL) {
		/* The mark was taken while empty: the oldest chunk stays for reuse. */
		mark.chunk = arena->newest;
		while (mark.chunk->older != NULL)
			mark.chunk = mark.chunk->older;
		mark.next = chunk_data(mark.chunk);
	}
	free_down_to(arena, mark.chunk);
	arena->next = mark.next;
	arena->end = mark.chunk != NULL ? (char *)mark.chunk + mark.chunk->size : NULL;
}

void arena_free(struct arena *arena)
{
	free_down_to(arena, NULL);
	arena->next = arena->end = NULL;
}
