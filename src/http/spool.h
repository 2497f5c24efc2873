/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What noah keeps so that slow visitors are slow here and not at the app: bytes that wait (spool.c), and how long somebody may
 * take (pace.c). Part of exchange.h.
 *
 * A spool is a queue of bytes in blocks. All spools of the process, and what HTTP/2 has taken of bodies that nobody has read yet,
 * share one bounded pool; the fuller it is, the less each may have of it, so that something is left for whoever comes next.
 */
#ifndef NOAH_HTTP_SPOOL_H
#define NOAH_HTTP_SPOOL_H

#include "base/base.h"

#include <sys/uio.h>

/* ---- bounds ------------------------------------------------------------------------------------------------------- */

#define HTTP_POOL_BYTES        (64u << 20) /* of the process */
#define HTTP_POOL_SPOOL_BYTES  (56u << 20) /* and of that for spools: the rest is for bodies on their way into one */
#define HTTP_POOL_LARGE_BYTES  (40u << 20) /* and of that for spools that are larger than this: the rest is for small ones */
#define HTTP_SPOOL_SMALL_BYTES 16384u
#define HTTP_POOL_SHARE        8u         /* a large spool may have an eighth of what is free */
#define HTTP_HELD_MOST         (1u << 20) /* of all requests of one connection; more only if a single one may */
#define HTTP_SPOOL_BLOCK_LEAST 1024u
#define HTTP_SPOOL_BLOCK_MOST  32768u

/* ---- the pool (spool.c) --------------------------------------------------------------------------------------------- */

/* For spool.c, and for tests that fill it. From any thread. False: there is no room; nothing was taken. */
bool http_pool_take(size_t bytes) MUST_CHECK;
void http_pool_return(size_t bytes);
size_t http_pool_used(void);

/* ---- spools ----------------------------------------------------------------------------------------------------------- */

struct http_spool_block;
struct http_spool {
	struct http_spool_block *first, *last;
	struct http_spool_block *at; /* the next byte that was not read is in this block, */
	uint32_t at_offset;          /* here */
	size_t bytes;                /* in its blocks, read or not */
	size_t left;                 /* not read yet */
	size_t memory;               /* taken from the pool */
	size_t *of_connection;       /* memory of all spools of the connection */
	bool promised;               /* set before it is used: room for what comes was promised, only the pool's own bound counts */
};

/* Adds as many of the bytes as there is room for, `most` being the bound for what is in it. Returns how many. */
size_t http_spool_add(struct http_spool *spool, size_t *of_connection, struct span bytes, size_t most) MUST_CHECK;
/* What comes next, in at most `most` parts. Returns their number. Good until the spool is changed. */
unsigned http_spool_parts(const struct http_spool *spool, struct iovec *parts, unsigned most) MUST_CHECK;
/* So much of it has been used. `keep`: it stays there, for http_spool_rewind. */
void http_spool_read(struct http_spool *spool, size_t bytes, bool keep);
/* From the beginning again: everything was kept. */
void http_spool_rewind(struct http_spool *spool);
/* Harmless when it is empty. */
void http_spool_free(struct http_spool *spool);

/* ---- paces (pace.c) ----------------------------------------------------------------------------------------------------- */

#define HTTP_PACE_GRACE_MS 10000 /* somebody who is waited for is first looked at after this time */
#define HTTP_PACE_MOST_MS  60000 /* and then at least so often, however fast he was before */

/* How long noah has waited for a visitor, in one direction of one request. Begin with zeroes. */
struct http_pace {
	uint64_t granted_us; /* of waiting until the next look */
	uint64_t waited_us;  /* since the last one */
};

/* How long may be waited for him now; NO_TIMEOUT: for ever, no rate is demanded. */
int64_t http_pace_left_ms(struct http_pace *pace, uint32_t rate_least) MUST_CHECK;
/* He was waited for. True: it is time to look how much he has moved since the last look. */
bool http_pace_waited(struct http_pace *pace, uint32_t rate_least, uint64_t waited_us) MUST_CHECK;
/* He has moved so much since the last look. False: that is too slow. */
bool http_pace_look(struct http_pace *pace, uint32_t rate_least, uint64_t bytes) MUST_CHECK;

#endif
