/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is banned, how many are limited, and lifting bans: for `noah bans`, `noah unban` and `noah status`. Called in the
 * supervisor, which trusts nothing that stands in the table: a child that was taken over can write anything there, and all this
 * does with it is to show it.
 */
#include "guard/guard_private.h"

static bool is_used(const struct guard_bucket *bucket, unsigned slot)
{
	return (atomic_load_explicit(&bucket->tags[slot / 8], memory_order_acquire) >> slot % 8 * 8 & 0xff) != 0;
}

static void note_ban(const struct guard_entry *entry, uint32_t tick, struct guard_ban *ban)
{
	int32_t left = guard_ahead(guard_load(&entry->until), tick), lasted = guard_ahead(tick, guard_load(&entry->before));
	*ban = (struct guard_ban){
	    .address = atomic_load_explicit(&entry->address, memory_order_relaxed),
	    .left_ms = guard_ms_of_ticks(left > 0 ? (uint32_t)left : 0),
	    .lasted_ms = guard_ms_of_ticks(lasted > 0 ? (uint32_t)lasted : 0),
	    .refused = guard_load(&entry->count),
	    .scope = guard_load(&entry->mark) >> GUARD_KIND_BITS,
	};
}

unsigned guard_look(const struct guard *guard, uint64_t now_us, struct guard_ban *out, unsigned most,
                    struct guard_numbers *numbers)
{
	const struct guard_table *table = guard->table;
	uint32_t tick = guard_tick(guard, now_us);
	unsigned listed = 0, index = 0, buckets;
	*numbers = (struct guard_numbers){0};
	while ((buckets = guard_next_buckets(guard, &index)) > 0) { /* ends at the last bucket */
		for (unsigned end = index + buckets; index < end; index++) {
			for (unsigned slot = 0; slot < GUARD_SLOTS; slot++) {
				const struct guard_entry *entry = &table->buckets[index].entries[slot];
				if (!is_used(&table->buckets[index], slot) || !guard_is_alive(table, entry, tick))
					continue;
				enum guard_kind kind = guard_kind_of(guard_load(&entry->mark));
				numbers->remembered++;
				numbers->limited += kind == KIND_WINDOW && guard_load(&entry->count) >> GUARD_SHARE_SHIFT == GUARD_SHARE_ALL;
				numbers->banned += kind == KIND_BAN;
				if (kind == KIND_BAN && listed < most)
					note_ban(entry, tick, &out[listed++]);
			}
		}
	}
	return listed;
}

bool guard_unban(struct guard *guard, unsigned lane, uint64_t address, uint64_t now_us)
{
	struct guard_place place = guard_place(guard, address, 0);
	if (!guard_lock_patiently(place.bucket, lane))
		return false;
	const struct guard_entry *ban = guard_find_ban(guard, &place, guard_tick(guard, now_us));
	if (ban != NULL)
		guard_remove(place.bucket, ban);
	guard_unlock(place.bucket);
	return ban != NULL;
}

void guard_unban_all(struct guard *guard, uint64_t now_us)
{
	atomic_store(&guard->table->bans_void, guard_tick(guard, now_us));
}
