/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counting requests, and bans. Called by http/ on traffic's threads, once for each request while the cluster file limits
 * something.
 *
 * A *window* begins with an address's first request and lasts the limit's period; the next one begins where it ended. What is
 * held against the limit is what came in the window that runs, and of the one before it the part that is still less than a period
 * ago, as if it had come evenly. So a limit of 5 in a minute lets five pass at once, and about five in any minute.
 */
#include "guard/guard_private.h"

#define SCOPE_MASK 0x3fffffffu /* what a mark has room for */

uint32_t guard_scope(const char *site, const char *path, struct span types)
{
	uint64_t hash = hash_stable(site, strlen(site));
	hash = hash * 31 + hash_stable(path, strlen(path));
	hash = hash * 31 + hash_stable(types.start, types.size);
	uint32_t scope = (uint32_t)(hash ^ hash >> 32) & SCOPE_MASK;
	return scope != 0 ? scope : 1;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

struct window {
	uint32_t period, most; /* of the limit; ticks */
	uint32_t elapsed;      /* ticks since it began */
	uint64_t now, before;
};

static uint64_t weighed(const struct window *window)
{
	return window->before * (window->period - window->elapsed) / window->period;
}

static void window_read(const struct guard_entry *entry, const struct guard_limit *limit, uint32_t tick, struct window *window)
{
	uint32_t ms = limit->period_ms < GUARD_PERIOD_MOST_MS ? limit->period_ms : GUARD_PERIOD_MOST_MS;
	*window = (struct window){.period = guard_ticks_of_ms(ms)};
	window->most = limit->most < GUARD_COUNT_MOST ? limit->most : GUARD_COUNT_MOST;
	if (entry == NULL)
		return;
	/* After a reload that has changed the period this may lie anywhere: then it begins anew. */
	int32_t elapsed = guard_ahead(tick, guard_load(&entry->until) - 2 * window->period);
	if (elapsed < 0 && elapsed >= -GUARD_LATE_TICKS)
		elapsed = 0;
	if (elapsed < 0 || (uint32_t)elapsed >= 2 * window->period)
		return;
	window->elapsed = (uint32_t)elapsed;
	window->now = guard_load(&entry->count) & GUARD_COUNT_MOST;
	window->before = guard_load(&entry->before);
	if (window->elapsed >= window->period) {
		window->elapsed -= window->period;
		window->before = window->now;
		window->now = 0;
	}
}

static void window_write(struct guard_entry *entry, const struct window *window, uint32_t tick)
{
	uint64_t share = (window->now + weighed(window)) * GUARD_SHARE_ALL / window->most;
	if (share > GUARD_SHARE_ALL)
		share = GUARD_SHARE_ALL;
	guard_store(&entry->until, tick - window->elapsed + 2 * window->period);
	guard_store(&entry->before, (unsigned)window->before);
	guard_store(&entry->count, (unsigned)(share << GUARD_SHARE_SHIFT | window->now));
}

/* Ticks until one request more is let in. */
static uint32_t window_wait(const struct window *window)
{
	uint64_t period = window->period;
	if (window->now >= window->most) /* it has to end, and from the next tick on it counts for less */
		return (uint32_t)(period - window->elapsed + 1);
	uint64_t left = ((window->most - window->now) * period - 1) / window->before; /* what may be left of the period then */
	return left < period - window->elapsed ? (uint32_t)(period - window->elapsed - left) : 1;
}

/* Counts a request at its place, which is locked. False: it is one too many. */
static bool window_count(const struct guard *guard, const struct guard_place *place, const struct guard_limit *limit,
                         uint32_t tick, struct guard_answer *answer)
{
	unsigned mark = guard_mark(KIND_WINDOW, limit->scope);
	struct guard_entry *entry = guard_find(place, mark, ~0u);
	struct window window;
	window_read(entry, limit, tick, &window);
	if (window.now + weighed(&window) >= window.most) {
		answer->verdict = GUARD_TOO_MANY;
		answer->wait_ms = guard_ms_of_ticks(window_wait(&window));
		if (entry != NULL)
			window_write(entry, &window, tick);
		return false;
	}
	window.now++;
	if (entry != NULL) {
		window_write(entry, &window, tick);
		return true;
	}
	entry = guard_take_slot(guard, place, tick, false);
	if (entry == NULL) {
		answer->uncounted = true;
		return true;
	}
	guard_store(&entry->mark, mark);
	window_write(entry, &window, tick);
	guard_publish(place, entry);
	return true;
}

static void window_forget(const struct guard_place *place, const struct guard_limit *limit)
{
	const struct guard_entry *entry = guard_find(place, guard_mark(KIND_WINDOW, limit->scope), ~0u);
	if (entry != NULL)
		guard_remove(place->bucket, entry);
}

/* ---- bans ------------------------------------------------------------------------------------------------------- */

struct guard_entry *guard_find_ban(const struct guard *guard, const struct guard_place *place, uint32_t tick)
{
	struct guard_entry *ban = guard_find(place, KIND_BAN, GUARD_KIND_MASK);
	if (ban == NULL || guard_is_alive(guard->table, ban, tick))
		return ban;
	guard_remove(place->bucket, ban);
	return NULL;
}

static void answer_ban(struct guard_entry *ban, uint32_t tick, struct guard_answer *answer)
{
	unsigned count = guard_load(&ban->count);
	answer->verdict = GUARD_BANNED;
	answer->wait_ms = guard_ms_of_ticks((uint32_t)guard_ahead(guard_load(&ban->until), tick));
	if (count < UINT32_MAX)
		guard_store(&ban->count, count + 1);
}

/* When a ban begins: after the last time that all were lifted, be it in this very tick. That time follows at a distance of a bit
 * more than the longest ban, so that the two can always be compared. */
#define VOID_DISTANCE (1 << 30)
static uint32_t ban_tick(struct guard_table *table, uint32_t tick)
{
	uint32_t none = guard_load(&table->bans_void);
	int32_t ahead = guard_ahead(tick, none);
	if (ahead > 0 && ahead <= VOID_DISTANCE)
		return tick;
	if (ahead <= 0 && ahead >= -GUARD_LATE_TICKS)
		return none + 1;
	atomic_compare_exchange_strong(&table->bans_void, &none, tick - VOID_DISTANCE);
	return tick;
}

/* At the address's own place, which is locked. The window makes room for the ban. */
static void ban_begin(const struct guard *guard, const struct guard_place *place, uint32_t scope, uint64_t ban_ms, uint32_t tick,
                      struct guard_answer *answer)
{
	struct guard_table *table = guard->table;
	uint32_t until = tick + guard_ticks_of_ms(ban_ms), began = ban_tick(table, tick);
	if (guard_find_ban(guard, place, tick) != NULL)
		return; /* another thread was faster */
	window_forget(place, &(struct guard_limit){.scope = 0});
	struct guard_entry *ban = guard_take_slot(guard, place, tick, true);
	if (ban == NULL) {
		answer->uncounted = true;
		return;
	}
	guard_store(&ban->mark, guard_mark(KIND_BAN, scope));
	guard_store(&ban->until, until);
	guard_store(&ban->count, 0);
	guard_store(&ban->before, began);
	guard_publish(place, ban);
	unsigned latest = guard_load(&table->bans_until);
	while (guard_ahead(until, latest) > 0 && !atomic_compare_exchange_weak(&table->bans_until, &latest, until))
		; /* another thread has just set it */
	answer->banned_now = true;
	answer->wait_ms = guard_ms_of_ticks(until - tick);
}

/* ---- a request ---------------------------------------------------------------------------------------------------- */

/* The ban, and the limit for all sites together. */
static void look_at_address(const struct guard *guard, unsigned lane, const struct guard_place *place,
                            const struct guard_limit *limit, uint64_t ban_ms, uint32_t tick, struct guard_answer *answer)
{
	if (!guard_lock(place->bucket, lane)) {
		answer->uncounted = true;
		return;
	}
	struct guard_entry *ban = guard_find_ban(guard, place, tick);
	if (ban != NULL)
		answer_ban(ban, tick, answer);
	else if (limit->most != 0 && !window_count(guard, place, limit, tick, answer) && ban_ms != 0)
		ban_begin(guard, place, 0, ban_ms, tick, answer);
	guard_unlock(place->bucket);
}

/* What was counted at a site's own limit is forgotten after the ban stands: nobody slips through in between. */
static void ban_for_site(const struct guard *guard, unsigned lane, const struct guard_place *place,
                         const struct guard_place *at_site, const struct guard_limit *limit, uint64_t ban_ms, uint32_t tick,
                         struct guard_answer *answer)
{
	if (!guard_lock(place->bucket, lane))
		return;
	ban_begin(guard, place, limit->scope, ban_ms, tick, answer);
	guard_unlock(place->bucket);
	if (!answer->banned_now || !guard_lock(at_site->bucket, lane))
		return;
	window_forget(at_site, limit);
	guard_unlock(at_site->bucket);
}

static void look_at_site(const struct guard *guard, unsigned lane, const struct guard_place *place,
                         const struct guard_limit *limit, uint64_t ban_ms, uint32_t tick, struct guard_answer *answer)
{
	struct guard_place at_site = guard_place(guard, place->address, limit->scope);
	if (!guard_lock(at_site.bucket, lane)) {
		answer->uncounted = true;
		return;
	}
	bool fits = window_count(guard, &at_site, limit, tick, answer);
	guard_unlock(at_site.bucket);
	if (fits)
		return;
	answer->over_limit = 1;
	if (ban_ms != 0)
		ban_for_site(guard, lane, place, &at_site, limit, ban_ms, tick, answer);
}

void guard_request(struct guard *guard, unsigned lane, uint64_t address, const struct guard_limit limits[2], uint64_t ban_ms,
                   uint64_t now_us, struct guard_answer *answer)
{
	uint32_t tick = guard_tick(guard, now_us);
	struct guard_place place = guard_place(guard, address, 0);
	*answer = (struct guard_answer){.verdict = GUARD_LET_IN};
	ASSERT(address != 0 && limits[0].scope == 0 && (limits[1].most == 0 || limits[1].scope != 0));
	if (limits[0].most != 0 || guard_ahead(guard_load(&guard->table->bans_until), tick) > 0)
		look_at_address(guard, lane, &place, &limits[0], ban_ms, tick, answer);
	if (answer->verdict == GUARD_LET_IN && limits[1].most != 0)
		look_at_site(guard, lane, &place, &limits[1], ban_ms, tick, answer);
}
