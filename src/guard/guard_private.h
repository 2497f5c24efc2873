/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The layout of the guard's table, and what its files share. table.c tells how it works.
 */
#ifndef NOAH_GUARD_PRIVATE_H
#define NOAH_GUARD_PRIVATE_H

#include "guard/guard.h"

#include <stdatomic.h>

#define GUARD_MAGIC   0x6e677264u
#define GUARD_VERSION 1u /* of the layout: a program with another one begins with an empty table */

#define GUARD_BUCKETS        49152u
#define GUARD_SLOTS          40u /* of one bucket */
#define GUARD_TAG_WORDS      (GUARD_SLOTS / 8u)
#define GUARD_INSTANCES_MOST 256u /* traffic processes, by their first lane */
#define GUARD_HEADER_BYTES   4096u

/* Times in the table: ticks since it was made, compared so that they may wrap (after 4 years). */
#define GUARD_TICKS_A_SECOND 32u
#define GUARD_TICK_US        (1000000u / GUARD_TICKS_A_SECOND)
/* A thread's clock stands in a turn of its loop: so far it may be behind what others have written. */
#define GUARD_LATE_TICKS (4 * (int32_t)GUARD_TICKS_A_SECOND)

/* `mark` is a kind and, above it, a scope (windows), an instance (connections) or the scope of the limit (bans). */
enum guard_kind { KIND_WINDOW, KIND_BAN, KIND_CONNECTIONS };
#define GUARD_KIND_BITS 2u
#define GUARD_KIND_MASK 3u

/* `count` of a window: requests in the window that runs, and how much of the limit was used when one was last counted (255: all).
 */
#define GUARD_COUNT_MOST  0xffffffu
#define GUARD_SHARE_SHIFT 24u
#define GUARD_SHARE_ALL   255u
#define GUARD_SHARE_KEPT  128u /* who has used so much of a limit is not forgotten for another one's sake */

struct guard_entry {
	_Atomic uint64_t address;
	atomic_uint mark;
	atomic_uint until;  /* tick from which on it means nothing: the end of a ban, two periods behind a window's begin */
	atomic_uint count;  /* window: above; ban: requests refused; connections: open ones */
	atomic_uint before; /* window: requests in the one before; ban: tick at which it began */
};
_Static_assert(sizeof(struct guard_entry) == 24, "the table's layout is fixed");

struct guard_bucket {
	atomic_uint lock; /* 0, or 1 + the lane that holds it, perhaps with LOCK_GIVEN_UP */
	uint32_t room[5];
	_Atomic uint64_t tags[GUARD_TAG_WORDS]; /* a byte for each slot, of its entry's hash; 0: free */
	struct guard_entry entries[GUARD_SLOTS];
};
_Static_assert(sizeof(struct guard_bucket) == 1024, "the table's layout is fixed");

struct guard_table {
	uint32_t magic;
	uint32_t version;
	uint64_t size; /* bytes of the whole */
	uint64_t epoch_us;
	uint64_t keys[3];                            /* of the hash: drawn when it was made */
	atomic_uint bans_until;                      /* no ban lasts longer */
	atomic_uint bans_void;                       /* bans that began then or before count no more */
	atomic_uint instances_begun;                 /* processes so far */
	atomic_uint instances[GUARD_INSTANCES_MOST]; /* the one that lives; 0: none */
	uint8_t room[3012];                          /* the buckets begin at a page */
	struct guard_bucket buckets[GUARD_BUCKETS];
};
_Static_assert(offsetof(struct guard_table, buckets) == GUARD_HEADER_BYTES, "the table's layout is fixed");
_Static_assert(GUARD_HEADER_BYTES + GUARD_BUCKETS * 1024u <= 64000000, "a million addresses in 64 MB");

struct guard {
	struct guard_table *table;
	int descriptor;
	uint32_t instance;          /* 0: guard_begin was not called */
	uint64_t epoch_us, keys[3]; /* of the table: copied, so that nobody can change them under our feet */
};

/* ---- ticks -------------------------------------------------------------------------------------------------------- */

static inline uint32_t guard_tick(const struct guard *guard, uint64_t now_us)
{
	return (uint32_t)((now_us - guard->epoch_us) / GUARD_TICK_US);
}

/* Rounded up, at least one, at most half of what can be compared. */
static inline uint32_t guard_ticks_of_ms(uint64_t ms)
{
	if (ms > GUARD_BAN_MOST_MS)
		ms = GUARD_BAN_MOST_MS;
	uint64_t ticks = (ms * GUARD_TICKS_A_SECOND + 999) / 1000;
	return ticks > 0 ? (uint32_t)ticks : 1;
}

static inline uint64_t guard_ms_of_ticks(uint32_t ticks)
{
	return ((uint64_t)ticks * 1000 + GUARD_TICKS_A_SECOND - 1) / GUARD_TICKS_A_SECOND;
}

/* How far `later` is ahead. */
static inline int32_t guard_ahead(uint32_t later, uint32_t tick)
{
	return (int32_t)(later - tick);
}

/* ---- entries: the bucket is locked but for reading ---------------------------------------------------------------- */

static inline unsigned guard_load(const atomic_uint *field)
{
	return atomic_load_explicit(field, memory_order_relaxed);
}

/* Release: not before the entry has become invisible, also for who finds what a killed process has left. */
static inline void guard_store(atomic_uint *field, unsigned value)
{
	atomic_store_explicit(field, value, memory_order_release);
}

static inline enum guard_kind guard_kind_of(unsigned mark)
{
	return (enum guard_kind)(mark & GUARD_KIND_MASK);
}

static inline unsigned guard_mark(enum guard_kind kind, uint32_t above)
{
	return above << GUARD_KIND_BITS | (unsigned)kind;
}

/* Where all that is known of one address stands (scope 0), or what it asked of one site. */
struct guard_place {
	struct guard_bucket *bucket;
	uint64_t address;
	uint64_t tags; /* the tag, eight times */
};
struct guard_place guard_place(const struct guard *guard, uint64_t address, uint32_t scope);

/* False: somebody holds it who does not come back. Nothing is done then, and the caller lets everybody in. */
bool guard_lock(struct guard_bucket *bucket, unsigned lane) MUST_CHECK;
/* Waits longer, also when others have given up. */
bool guard_lock_patiently(struct guard_bucket *bucket, unsigned lane) MUST_CHECK;
void guard_unlock(struct guard_bucket *bucket);

/* The entry of the address whose mark is `mark` in the bits of `mask`; NULL: none. */
struct guard_entry *guard_find(const struct guard_place *place, unsigned mark, unsigned mask) MUST_CHECK;
/* A slot whose entry is free to be filled: it is not seen by guard_find until guard_publish. Unless one is free or means nothing
 * any more, the least important window goes: if `important` any, otherwise only one that is far from its limit. NULL: all are
 * more important. */
struct guard_entry *guard_take_slot(const struct guard *guard, const struct guard_place *place, uint32_t tick,
                                    bool important) MUST_CHECK;
void guard_publish(const struct guard_place *place, const struct guard_entry *entry);
void guard_remove(struct guard_bucket *bucket, const struct guard_entry *entry);

/* Is it worth something at this tick. */
bool guard_is_alive(const struct guard_table *table, const struct guard_entry *entry, uint32_t tick);
/* Tells the size of the memory that holds something from bucket *index on, and moves *index there; 0: nothing more. */
unsigned guard_next_buckets(const struct guard *guard, unsigned *index) MUST_CHECK;

/* The ban of the place's address (scope 0), if it lasts; one that does not is removed. (request.c) */
struct guard_entry *guard_find_ban(const struct guard *guard, const struct guard_place *place, uint32_t tick) MUST_CHECK;

#endif
