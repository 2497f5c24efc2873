/* SPDX-License-Identifier: BSD-2-Clause
 *
 * OpenSSL's memory in the traffic process: blocks of more than 1 KB, which it takes and gives back for each record (17 KB) and
 * each handshake, are kept by each thread for the next one. The C library would split and join them every time.
 */
#include "net/net.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define STEP_BYTES  256u
#define STEPS_LEAST 5u  /* the C library is quick with smaller ones */
#define STEPS_MOST  80u /* 20 KB; larger ones are rare */
#define KEPT_MOST   4u  /* of each size and thread */

struct block {
	struct block *next;
};

/* Number n has blocks of at least n steps. */
static _Thread_local struct kept {
	struct block *first;
	unsigned count;
} kept[STEPS_MOST + 1];

static void *take(size_t size, const char *file, int line)
{
	size_t steps = (size + STEP_BYTES - 1) / STEP_BYTES;
	(void)file;
	(void)line;
	if (steps < STEPS_LEAST || steps > STEPS_MOST)
		return size == 0 ? NULL : malloc(size);
	struct block *block = kept[steps].first;
	if (block == NULL)
		return malloc(steps * STEP_BYTES);
	kept[steps].first = block->next;
	kept[steps].count--;
	return block;
}

static void give_back(void *memory, const char *file, int line)
{
	size_t steps = memory == NULL ? 0 : malloc_usable_size(memory) / STEP_BYTES;
	(void)file;
	(void)line;
	if (steps < STEPS_LEAST || steps > STEPS_MOST || kept[steps].count == KEPT_MOST) {
		free(memory);
		return;
	}
	struct block *block = memory;
	block->next = kept[steps].first;
	kept[steps].first = block;
	kept[steps].count++;
}

static void *change(void *memory, size_t size, const char *file, int line)
{
	if (memory == NULL)
		return take(size, file, line);
	if (size == 0) {
		give_back(memory, file, line);
		return NULL;
	}
	return realloc(memory, size);
}

void net_keep_tls_memory(void)
{
	if (!SANITIZED)                                              /* a sanitizer shall see each block's end */
		(void)CRYPTO_set_mem_functions(take, change, give_back); /* refused when OpenSSL is in use already: it works without */
}
