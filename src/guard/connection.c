/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counting open connections. Called by http/ on traffic's threads, when a connection is accepted and when it has ended.
 *
 * Each traffic process has an entry of its own for an address, so that the connections of one that is killed are not counted any
 * more from the moment on in which the supervisor says that it has ended; what is held against the limit is the sum.
 */
#include "guard/guard_private.h"

/* The entry of this process; *others: what all other living ones have open. */
static struct guard_entry *look(const struct guard *guard, const struct guard_place *place, uint32_t tick, uint64_t *others)
{
	struct guard_entry *mine = guard_find(place, guard_mark(KIND_CONNECTIONS, guard->instance), ~0u);
	*others = 0;
	for (unsigned i = 0; i < GUARD_INSTANCES_MOST; i++) { /* nearly always only one of them is alive */
		unsigned instance = guard_load(&guard->table->instances[i]);
		if (instance == 0 || instance == guard->instance)
			continue;
		const struct guard_entry *entry = guard_find(place, guard_mark(KIND_CONNECTIONS, instance), ~0u);
		if (entry != NULL && guard_is_alive(guard->table, entry, tick))
			*others += guard_load(&entry->count);
	}
	return mine;
}

static bool count_one(const struct guard *guard, const struct guard_place *place, struct guard_entry *mine, uint32_t tick)
{
	if (mine != NULL) {
		guard_store(&mine->count, guard_load(&mine->count) + 1);
		return true;
	}
	mine = guard_take_slot(guard, place, tick, true);
	if (mine == NULL)
		return false;
	guard_store(&mine->mark, guard_mark(KIND_CONNECTIONS, guard->instance));
	guard_store(&mine->until, tick);
	guard_store(&mine->before, 0);
	guard_store(&mine->count, 1);
	guard_publish(place, mine);
	return true;
}

enum guard_verdict guard_connect(struct guard *guard, unsigned lane, uint64_t address, unsigned most, bool is_dear,
                                 uint64_t now_us, bool *counted)
{
	uint32_t tick = guard_tick(guard, now_us);
	struct guard_place place = guard_place(guard, address, 0);
	enum guard_verdict verdict = GUARD_LET_IN;
	uint64_t others;
	*counted = false;
	ASSERT(address != 0 && guard->instance != 0);
	is_dear = is_dear && guard_ahead(guard_load(&guard->table->bans_until), tick) > 0; /* there are bans */
	if (most == 0 && !is_dear)
		return GUARD_LET_IN;
	if (!guard_lock(place.bucket, lane))
		return GUARD_LET_IN;
	const struct guard_entry *ban = is_dear ? guard_find_ban(guard, &place, tick) : NULL;
	if (ban != NULL && guard_load(&ban->count) >= GUARD_ANSWERS_MOST) {
		verdict = GUARD_BANNED;
	} else if (most != 0) {
		struct guard_entry *mine = look(guard, &place, tick, &others);
		if (others + (mine != NULL ? guard_load(&mine->count) : 0) >= most)
			verdict = GUARD_TOO_MANY;
		else
			*counted = count_one(guard, &place, mine, tick);
	}
	guard_unlock(place.bucket);
	return verdict;
}

void guard_disconnect(struct guard *guard, unsigned lane, uint64_t address)
{
	struct guard_place place = guard_place(guard, address, 0);
	/* What is not counted down here stays counted until this process ends. */
	if (!guard_lock_patiently(place.bucket, lane))
		return;
	struct guard_entry *mine = guard_find(&place, guard_mark(KIND_CONNECTIONS, guard->instance), ~0u);
	if (mine != NULL && guard_load(&mine->count) > 1)
		guard_store(&mine->count, guard_load(&mine->count) - 1);
	else if (mine != NULL)
		guard_remove(place.bucket, mine);
	guard_unlock(place.bucket);
}
