/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes that wait: bodies of requests until they are whole, answers until their visitors take them. The blocks grow with what is
 * in them, from 1 KB to 32 KB, so that thousands of visitors who send a byte now and then cost little; all blocks of the process
 * come out of one bounded pool. Used by hold.c, upload.c and absorb.c in the task of the request; only the pool is shared between
 * threads.
 */
#include "http/spool.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TRIM_FROM_BYTES (8u << 20) /* a pool that was fuller than this, and is nearly empty, gives its memory back */
#define TRIM_AT_BYTES   (1u << 20)

struct http_spool_block {
	struct http_spool_block *next;
	uint32_t size, end; /* bytes [0, end) are filled */
	char bytes[];
};

/* ---- the pool ----------------------------------------------------------------------------------------------------- */

static atomic_size_t pool_used, pool_highest;

static bool take(size_t bytes, size_t most)
{
	size_t before = atomic_fetch_add_explicit(&pool_used, bytes, memory_order_relaxed);

	if (before + bytes > most) {
		atomic_fetch_sub_explicit(&pool_used, bytes, memory_order_relaxed);
		return false;
	}
	if (before + bytes > atomic_load_explicit(&pool_highest, memory_order_relaxed))
		atomic_store_explicit(&pool_highest, before + bytes, memory_order_relaxed); /* about */
	return true;
}

bool http_pool_take(size_t bytes)
{
	return take(bytes, HTTP_POOL_BYTES);
}

void http_pool_return(size_t bytes)
{
	size_t before = atomic_fetch_sub_explicit(&pool_used, bytes, memory_order_relaxed);

	ASSERT(before >= bytes);
	if (before - bytes < TRIM_AT_BYTES && atomic_load_explicit(&pool_highest, memory_order_relaxed) > TRIM_FROM_BYTES &&
	    atomic_exchange_explicit(&pool_highest, 0, memory_order_relaxed) > TRIM_FROM_BYTES)
		malloc_trim(TRIM_AT_BYTES);
}

size_t http_pool_used(void)
{
	return atomic_load_explicit(&pool_used, memory_order_relaxed);
}

/* ---- filling ------------------------------------------------------------------------------------------------------ */

/* How much memory a spool may have now, all in all. */
static size_t share_now(void)
{
	size_t used = http_pool_used(), share = used < HTTP_POOL_LARGE_BYTES ? (HTTP_POOL_LARGE_BYTES - used) / HTTP_POOL_SHARE : 0;

	return share > HTTP_SPOOL_SMALL_BYTES ? share : HTTP_SPOOL_SMALL_BYTES;
}

/* How large the next block may be for `wanted` bytes: it doubles what is there. 0: there is no room. */
static size_t next_block_size(const struct http_spool *spool, const size_t *of_connection, size_t wanted, size_t most)
{
	size_t size = spool->memory > wanted ? spool->memory : wanted, share = share_now();
	size_t of_all = most > HTTP_HELD_MOST ? most : HTTP_HELD_MOST;

	if (size > HTTP_SPOOL_BLOCK_MOST)
		size = HTTP_SPOOL_BLOCK_MOST;
	if (size < HTTP_SPOOL_BLOCK_LEAST)
		size = HTTP_SPOOL_BLOCK_LEAST;
	if (spool->promised)
		return size;
	if (spool->memory + size > share)
		size = spool->memory < share ? share - spool->memory : 0;
	if (size < HTTP_SPOOL_BLOCK_LEAST || *of_connection + size > of_all + HTTP_SPOOL_BLOCK_MOST)
		return 0; /* what the last block has too much is not counted against the connection */
	return size;
}

static bool add_block(struct http_spool *spool, size_t *of_connection, size_t wanted, size_t most)
{
	size_t size = next_block_size(spool, of_connection, wanted, most), memory = sizeof(struct http_spool_block) + size;

	if (size == 0 || !take(memory, spool->promised ? HTTP_POOL_BYTES : HTTP_POOL_SPOOL_BYTES))
		return false;
	struct http_spool_block *block = malloc(memory);
	if (block == NULL) {
		http_pool_return(memory);
		return false;
	}
	*block = (struct http_spool_block){.size = (uint32_t)size};
	spool->memory += memory;
	spool->of_connection = of_connection;
	*of_connection += memory;
	if (spool->last != NULL)
		spool->last->next = block;
	else
		spool->first = block;
	spool->last = block;
	if (spool->at == NULL) {
		spool->at = block;
		spool->at_offset = 0;
	}
	return true;
}

size_t http_spool_add(struct http_spool *spool, size_t *of_connection, struct span bytes, size_t most)
{
	size_t room = spool->bytes < most ? most - spool->bytes : 0, added = 0;
	size_t wanted = bytes.size < room ? bytes.size : room;

	while (added < wanted) {
		struct http_spool_block *last = spool->last;
		if ((last == NULL || last->end == last->size) && !add_block(spool, of_connection, wanted - added, most))
			break;
		last = spool->last;
		size_t part = wanted - added < last->size - last->end ? wanted - added : last->size - last->end;
		memcpy(last->bytes + last->end, bytes.start + added, part);
		last->end += (uint32_t)part;
		added += part;
	}
	spool->bytes += added;
	spool->left += added;
	return added;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

unsigned http_spool_parts(const struct http_spool *spool, struct iovec *parts, unsigned most)
{
	uint32_t offset = spool->at_offset;
	unsigned count = 0;

	for (struct http_spool_block *block = spool->at; block != NULL && count < most; block = block->next) {
		if (block->end > offset)
			parts[count++] = (struct iovec){.iov_base = block->bytes + offset, .iov_len = block->end - offset};
		offset = 0;
	}
	return count;
}

static void free_first(struct http_spool *spool)
{
	struct http_spool_block *block = spool->first;
	size_t memory = sizeof(*block) + block->size;

	spool->first = block->next;
	if (spool->first == NULL)
		spool->last = NULL;
	spool->bytes -= block->end;
	spool->memory -= memory;
	*spool->of_connection -= memory;
	free(block);
	http_pool_return(memory);
}

void http_spool_read(struct http_spool *spool, size_t bytes, bool keep)
{
	ASSERT(bytes <= spool->left);
	spool->left -= bytes;
	while (bytes > 0) {
		uint32_t here = spool->at->end - spool->at_offset;
		if (bytes < here) {
			spool->at_offset += (uint32_t)bytes;
			return;
		}
		bytes -= here;
		spool->at_offset += here;
		if (spool->at->end < spool->at->size)
			break; /* the last one, with room for more */
		spool->at = spool->at->next;
		spool->at_offset = 0;
		if (!keep)
			free_first(spool);
	}
	if (!keep && spool->left == 0)
		http_spool_free(spool);
}

void http_spool_rewind(struct http_spool *spool)
{
	spool->at = spool->first;
	spool->at_offset = 0;
	spool->left = spool->bytes;
}

void http_spool_free(struct http_spool *spool)
{
	while (spool->first != NULL)
		free_first(spool);
	*spool = (struct http_spool){.promised = spool->promised};
}
