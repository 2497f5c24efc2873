/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guard's table: making and mapping it, finding an address's place, and who has to go when there is no room.
 *
 * An address has one bucket, chosen by a hash whose keys were drawn when the table was made: nobody can choose addresses that
 * meet. There, in any slots, stand its window (how much it asked of all sites together), its ban, and its open connections, a
 * count for each traffic process; what it asked of a site with a limit of its own stands in the bucket of (address, site).
 * Looking at a bucket costs two cache lines: its lock with a byte of each slot's hash, and the entry.
 *
 *   address ──► bucket: lock, 40 tags │ entry │ entry │ … 40        49,152 buckets of 1 KB
 *
 * With a million addresses a bucket has 20 on average, and more than 40 in hardly any. When a bucket is full, first goes what
 * means nothing any more (a window of long ago, a ban that is over, connections of a process that has ended); then the window
 * that has used the least of its limit, of several the oldest, if it has used less than half of it. Never forgotten are bans,
 * open connections and who is on the way to his limit; then the newcomer is let in without being counted. So a flood of addresses
 * drives out other strangers who came once; to drive out more, each of its addresses would have to ask as much as those.
 *
 * The lock is held for some hundred nanoseconds and never two at once. A process that is killed just then leaves entries whole,
 * because an entry is invisible while it is made; the supervisor takes its locks away (guard_lanes_ended). Who meets a lock that
 * is not given back for LOCK_PATIENCE_US says so on the lock, and until it is free all others pass it by at once: its addresses
 * are not counted as long.
 */
#include "guard/guard_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_SPINS            64u
#define LOCK_PATIENCE_US      5000u
#define LOCK_PATIENCE_MOST_US 200000u
#define LOCK_GIVEN_UP         0x80000000u

#define EACH_BYTE UINT64_C(0x0101010101010101)
#define LOW_BITS  UINT64_C(0x7f7f7f7f7f7f7f7f)

/* ---- addresses ------------------------------------------------------------------------------------------------ */

/* The networks 0:1::/32 and 0:2::/64 are nobody's (RFC 4291 2.5.5: all below ::/8 is reserved). */
#define IPV4_ABOVE UINT64_C(0x100000000)
#define LOOPBACK   UINT64_C(0x200000000) /* ::/64, whose bits are the 0 that means none */

uint64_t guard_address(const struct address *address)
{
	uint64_t bits = 0;
	if (address->family != ADDRESS_IPV4 && address->family != ADDRESS_IPV6)
		return 0;
	for (unsigned i = 0; i < (address->family == ADDRESS_IPV4 ? 4u : 8u); i++)
		bits = bits << 8 | address->ip[i];
	if (address->family == ADDRESS_IPV4)
		return IPV4_ABOVE | bits;
	return bits != 0 ? bits : LOOPBACK;
}

const char *guard_address_text(uint64_t address, char out[ADDRESS_TEXT_SIZE])
{
	struct address whole = {.family = ADDRESS_IPV6};
	uint64_t bits = address == LOOPBACK ? 0 : address;
	if (address >> 32 == 1) {
		whole.family = ADDRESS_IPV4;
		for (unsigned i = 0; i < 4; i++)
			whole.ip[i] = (uint8_t)(address >> (24 - 8 * i));
		return address_format_ip(&whole, out);
	}
	for (unsigned i = 0; i < 8; i++)
		whole.ip[i] = (uint8_t)(bits >> (56 - 8 * i));
	address_format_ip(&whole, out);
	memcpy(out + strlen(out), "/64", sizeof "/64");
	return out;
}

/* ---- making and mapping --------------------------------------------------------------------------------------- */

static struct guard *view_new(int descriptor)
{
	struct guard *guard = calloc(1, sizeof *guard);
	if (guard == NULL)
		return NULL;
	guard->descriptor = descriptor;
	guard->table = mmap(NULL, sizeof *guard->table, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	if (guard->table == MAP_FAILED) {
		int error = errno;
		free(guard);
		errno = error;
		return NULL;
	}
	guard->epoch_us = guard->table->epoch_us;
	memcpy(guard->keys, guard->table->keys, sizeof guard->keys);
	return guard;
}

struct guard *guard_new(void)
{
	struct guard *guard = NULL;
	int file = memfd_create("noah-guard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0)
		return NULL;
	if (ftruncate(file, sizeof(struct guard_table)) == 0 &&
	    fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		guard = view_new(file);
	if (guard == NULL) {
		int error = errno;
		close(file);
		errno = error;
		return NULL;
	}
	/* The rest is zero, and stays a hole in the file until an address comes there. */
	struct guard_table *table = guard->table;
	table->magic = GUARD_MAGIC;
	table->version = GUARD_VERSION;
	table->size = sizeof *table;
	table->epoch_us = guard->epoch_us = clock_monotonic_us() - 1000000; /* so that no tick is 0 */
	random_bytes(table->keys, sizeof table->keys);
	memcpy(guard->keys, table->keys, sizeof guard->keys);
	return guard;
}

struct guard *guard_map(int descriptor)
{
	struct stat status;
	if (fstat(descriptor, &status) != 0 || status.st_size != (off_t)sizeof(struct guard_table))
		return NULL;
	int seals = fcntl(descriptor, F_GET_SEALS);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		return NULL; /* it could be cut under our feet */
	struct guard *guard = view_new(descriptor);
	if (guard == NULL)
		return NULL;
	if (guard->table->magic != GUARD_MAGIC || guard->table->version != GUARD_VERSION ||
	    guard->table->size != sizeof *guard->table || guard->epoch_us > clock_monotonic_us()) {
		guard->descriptor = -1; /* still the caller's */
		guard_free(guard);
		return NULL;
	}
	return guard;
}

void guard_free(struct guard *guard)
{
	if (guard == NULL)
		return;
	ASSERT(munmap(guard->table, sizeof *guard->table) == 0);
	if (guard->descriptor >= 0)
		close(guard->descriptor);
	free(guard);
}

int guard_descriptor(const struct guard *guard)
{
	return guard->descriptor;
}

void guard_close_descriptor(struct guard *guard)
{
	close(guard->descriptor);
	guard->descriptor = -1;
}

unsigned guard_next_buckets(const struct guard *guard, unsigned *index)
{
	off_t at = (off_t)(GUARD_HEADER_BYTES + (uint64_t)*index * sizeof(struct guard_bucket));
	off_t first = lseek(guard->descriptor, at, SEEK_DATA);
	off_t end = first < 0 ? -1 : lseek(guard->descriptor, first, SEEK_HOLE);
	if (first < at || end <= first || end > (off_t)sizeof(struct guard_table))
		return 0;
	*index = (unsigned)((uint64_t)(first - (off_t)GUARD_HEADER_BYTES) / sizeof(struct guard_bucket));
	return (unsigned)((uint64_t)(end - first) / sizeof(struct guard_bucket)); /* pages are whole buckets */
}

/* ---- the processes that use it -------------------------------------------------------------------------------- */

#define INSTANCE_LANE_BITS 8u
#define INSTANCE_MASK      0x3fffffffu /* what a mark has room for */

void guard_begin(struct guard *guard, unsigned first_lane)
{
	struct guard_table *table = guard->table;
	ASSERT(first_lane < GUARD_INSTANCES_MOST);
	unsigned number = atomic_fetch_add(&table->instances_begun, 1) + 1;
	guard->instance = (number << INSTANCE_LANE_BITS | first_lane) & INSTANCE_MASK;
	atomic_store(&table->instances[first_lane], guard->instance);
}

static bool instance_lives(const struct guard_table *table, uint32_t instance)
{
	unsigned lane = instance & ((1u << INSTANCE_LANE_BITS) - 1);
	return instance != 0 && guard_load(&table->instances[lane]) == instance;
}

void guard_lanes_ended(struct guard *guard, unsigned first_lane, unsigned count)
{
	struct guard_table *table = guard->table;
	unsigned index = 0, buckets;
	for (unsigned lane = first_lane; lane < first_lane + count && lane < GUARD_INSTANCES_MOST; lane++)
		atomic_store(&table->instances[lane], 0);
	while ((buckets = guard_next_buckets(guard, &index)) > 0) { /* ends at the last bucket */
		for (unsigned end = index + buckets; index < end; index++) {
			atomic_uint *lock = &table->buckets[index].lock;
			unsigned seen = guard_load(lock), holder = seen & ~LOCK_GIVEN_UP;
			if (holder > first_lane && holder <= first_lane + count)
				atomic_compare_exchange_strong(lock, &seen, 0);
		}
	}
}

/* ---- the lock ------------------------------------------------------------------------------------------------- */

bool guard_lock(struct guard_bucket *bucket, unsigned lane)
{
	uint64_t since_us = 0;
	for (unsigned tries = 1;; tries++) { /* ends after LOCK_PATIENCE_US */
		unsigned seen = 0;
		if (atomic_compare_exchange_weak_explicit(&bucket->lock, &seen, lane + 1, memory_order_acquire, memory_order_relaxed))
			return true;
		if ((seen & LOCK_GIVEN_UP) != 0)
			return false;
		if (tries % LOCK_SPINS != 0)
			continue;
		uint64_t now_us = clock_monotonic_us();
		if (since_us == 0)
			since_us = now_us;
		if (now_us - since_us > LOCK_PATIENCE_US && seen != 0) {
			atomic_compare_exchange_strong_explicit(&bucket->lock, &seen, seen | LOCK_GIVEN_UP, memory_order_relaxed,
			                                        memory_order_relaxed);
			return false;
		}
		sched_yield();
	}
}

bool guard_lock_patiently(struct guard_bucket *bucket, unsigned lane)
{
	uint64_t until_us = 0;
	for (unsigned tries = 1;; tries++) { /* ends after LOCK_PATIENCE_MOST_US */
		unsigned seen = 0;
		if (atomic_compare_exchange_weak_explicit(&bucket->lock, &seen, lane + 1, memory_order_acquire, memory_order_relaxed))
			return true;
		if (tries % LOCK_SPINS != 0)
			continue;
		uint64_t now_us = clock_monotonic_us();
		if (until_us == 0)
			until_us = now_us + LOCK_PATIENCE_MOST_US;
		if (now_us > until_us)
			return false;
		sched_yield();
	}
}

void guard_unlock(struct guard_bucket *bucket)
{
	atomic_store_explicit(&bucket->lock, 0, memory_order_release);
}

/* ---- places ----------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

struct guard_place guard_place(const struct guard *guard, uint64_t address, uint32_t scope)
{
	uint64_t hash = mix(mix(address ^ guard->keys[0], guard->keys[1] | 1) ^ scope, guard->keys[2] | 1);
	uint64_t tag = hash & 0xff;
	return (struct guard_place){
	    .bucket = &guard->table->buckets[(hash >> 32) * GUARD_BUCKETS >> 32],
	    .address = address,
	    .tags = (tag != 0 ? tag : 1) * EACH_BYTE,
	};
}

static uint64_t load_tags(const struct guard_bucket *bucket, unsigned word)
{
	return atomic_load_explicit(&bucket->tags[word], memory_order_relaxed);
}

/* The highest bit of each byte that is the same in both. */
static uint64_t equal_bytes(uint64_t a, uint64_t b)
{
	uint64_t different = a ^ b;
	return ~(((different & LOW_BITS) + LOW_BITS) | different | LOW_BITS);
}

struct guard_entry *guard_find(const struct guard_place *place, unsigned mark, unsigned mask)
{
	for (unsigned word = 0; word < GUARD_TAG_WORDS; word++) {
		uint64_t same = equal_bytes(load_tags(place->bucket, word), place->tags);
		for (; same != 0; same &= same - 1) {
			struct guard_entry *entry = &place->bucket->entries[word * 8 + (unsigned)__builtin_ctzll(same) / 8];
			if (atomic_load_explicit(&entry->address, memory_order_relaxed) == place->address &&
			    ((guard_load(&entry->mark) ^ mark) & mask) == 0)
				return entry;
		}
	}
	return NULL;
}

/* Release: an entry's members are never seen newer than its tag says, also not by who finds what a killed process has left. */
static void set_tag(struct guard_bucket *bucket, const struct guard_entry *entry, uint64_t tag)
{
	unsigned slot = (unsigned)(entry - bucket->entries), shift = slot % 8 * 8;
	uint64_t tags = load_tags(bucket, slot / 8) & ~(UINT64_C(0xff) << shift);
	atomic_store_explicit(&bucket->tags[slot / 8], tags | tag << shift, memory_order_release);
}

void guard_publish(const struct guard_place *place, const struct guard_entry *entry)
{
	set_tag(place->bucket, entry, place->tags & 0xff);
}

void guard_remove(struct guard_bucket *bucket, const struct guard_entry *entry)
{
	set_tag(bucket, entry, 0);
}

/* ---- room --------------------------------------------------------------------------------------------------------- */

bool guard_is_alive(const struct guard_table *table, const struct guard_entry *entry, uint32_t tick)
{
	unsigned mark = guard_load(&entry->mark);
	switch (guard_kind_of(mark)) {
	case KIND_WINDOW:
		return guard_ahead(guard_load(&entry->until), tick) > 0;
	case KIND_BAN:
		/* The second: one that nobody has looked at since the ticks were as far the last time. */
		return guard_ahead(guard_load(&entry->until), tick) > 0 &&
		       guard_ahead(tick, guard_load(&entry->before)) >= -GUARD_LATE_TICKS - 1 &&
		       guard_ahead(guard_load(&entry->before), guard_load(&table->bans_void)) > 0;
	case KIND_CONNECTIONS:
		return guard_load(&entry->count) > 0 && instance_lives(table, mark >> GUARD_KIND_BITS);
	}
	return false;
}

static struct guard_entry *find_free(struct guard_bucket *bucket)
{
	for (unsigned word = 0; word < GUARD_TAG_WORDS; word++) {
		uint64_t is_free = equal_bytes(load_tags(bucket, word), 0);
		if (is_free != 0)
			return &bucket->entries[word * 8 + (unsigned)__builtin_ctzll(is_free) / 8];
	}
	return NULL;
}

/* NULL: nothing may go. */
static struct guard_entry *find_least(const struct guard *guard, struct guard_bucket *bucket, uint32_t tick, bool important)
{
	struct guard_entry *least = NULL;
	unsigned least_share = important ? GUARD_SHARE_ALL + 1 : GUARD_SHARE_KEPT;
	for (unsigned i = 0; i < GUARD_SLOTS; i++) {
		struct guard_entry *entry = &bucket->entries[i];
		if (!guard_is_alive(guard->table, entry, tick))
			return entry;
		if (guard_kind_of(guard_load(&entry->mark)) != KIND_WINDOW)
			continue;
		unsigned share = guard_load(&entry->count) >> GUARD_SHARE_SHIFT;
		if (share < least_share ||
		    (least != NULL && share == least_share && guard_ahead(guard_load(&least->until), guard_load(&entry->until)) > 0)) {
			least = entry;
			least_share = share;
		}
	}
	return least;
}

struct guard_entry *guard_take_slot(const struct guard *guard, const struct guard_place *place, uint32_t tick, bool important)
{
	struct guard_entry *entry = find_free(place->bucket);
	if (entry == NULL)
		entry = find_least(guard, place->bucket, tick, important);
	if (entry != NULL) {
		guard_remove(place->bucket, entry);
		atomic_store_explicit(&entry->address, place->address, memory_order_release);
	}
	return entry;
}
