/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Choosing a server: which ones may get a request at all, and the one that the group's balance picks among them. Runs in the
 * traffic threads, for every request; no lock: health and the other threads' counts are read from the board as they are.
 */
#include "upstream/upstream_private.h"

/* ---- who may get it ------------------------------------------------------------------------------------------- */

static bool is_drained(const struct upstream_target *target)
{
	return target->server != NULL && atomic_load_explicit(&target->server->drained, memory_order_relaxed) != 0;
}

static bool is_usable(const struct upstream_core *core, const struct upstream_target *target)
{
	return target->health != NULL && board_target_usable(target->health, loop_now_us(core->loop)) && !is_drained(target);
}

/* Of those that came up a moment ago: it grows in a line from a hundredth to the whole. */
static uint32_t while_it_starts(const struct upstream_core *core, const struct upstream_group *group,
                                const struct upstream_target *target, uint32_t weight)
{
	uint64_t up_since_us = atomic_load_explicit(&target->health->up_since_us, memory_order_relaxed);
	uint64_t now_us = loop_now_us(core->loop), whole_us = (uint64_t)group->group->slow_start_ms * 1000u;

	if (up_since_us == 0 || now_us >= up_since_us + whole_us)
		return weight;
	uint64_t age_us = now_us > up_since_us ? now_us - up_since_us : 0;
	uint64_t part = (uint64_t)weight * age_us / whole_us;
	return (uint32_t)(part > weight / 100u + 1 ? part : weight / 100u + 1);
}

uint32_t upstream_weight(const struct upstream_core *core, const struct upstream_group *group,
                         const struct upstream_target *target)
{
	uint32_t percent =
	    target->server != NULL ? atomic_load_explicit(&target->server->weight_percent, memory_order_relaxed) : BOARD_WEIGHT_FULL;
	uint32_t weight = target->app->weight * (percent < BOARD_WEIGHT_MOST ? percent : BOARD_WEIGHT_MOST); /* at most a million */

	if (UNLIKELY(group->group->slow_start_ms > 0) && weight > 0)
		return while_it_starts(core, group, target, weight);
	return weight;
}

static uint32_t usable_ones(const struct upstream_core *core, const struct upstream_group *group, uint32_t not_these)
{
	uint32_t usable = 0, backups = 0;

	for (uint32_t i = 0; i < group->target_count; i++) { /* at most CLUSTER_APPS_MOST */
		const struct upstream_target *target = &group->targets[i];
		if ((not_these >> i & 1) != 0 || !is_usable(core, target) || upstream_weight(core, group, target) == 0)
			continue;
		if (target->app->backup)
			backups |= UINT32_C(1) << i;
		else
			usable |= UINT32_C(1) << i;
	}
	return usable != 0 ? usable : backups;
}

uint32_t upstream_candidates(const struct upstream_core *core, const struct upstream_group *group,
                             const struct upstream_wish *wish)
{
	uint32_t candidates = 0;

	if ((wish->sticky & ~wish->tried) != 0 && is_usable(core, &group->targets[__builtin_ctz(wish->sticky)]))
		return wish->sticky;
	if (wish->avoid != 0)
		candidates = usable_ones(core, group, wish->tried | wish->avoid);
	return candidates != 0 ? candidates : usable_ones(core, group, wish->tried);
}

struct upstream_target *upstream_find_sticky(struct upstream_group *group, struct span value)
{
	for (uint32_t i = 0; i < group->target_count && value.size == UPSTREAM_STICKY_SIZE; i++)
		if (memcmp(group->targets[i].sticky, value.start, UPSTREAM_STICKY_SIZE) == 0)
			return &group->targets[i];
	return NULL;
}

/* ---- which of them -------------------------------------------------------------------------------------------- */

/* Every candidate gains its weight, the richest is chosen and pays what all have gained: with weights 5, 1, 1 the order is a a b
 * a c a a, never a a a a a b c. */
static struct upstream_target *choose_round_robin(struct upstream_core *core, struct upstream_group *group, uint32_t candidates)
{
	struct upstream_target *best = NULL;
	int32_t total = 0; /* at most 32 million */

	for (uint32_t left = candidates; left != 0; left &= left - 1) {
		struct upstream_target *target = &group->targets[__builtin_ctz(left)];
		int32_t weight = (int32_t)upstream_weight(core, group, target);
		target->current += weight;
		total += weight;
		if (best == NULL || target->current > best->current)
			best = target;
	}
	if (best != NULL)
		best->current -= total;
	return best;
}

/* The fewest requests under way for each unit of weight, all threads together; equal ones take turns. */
static struct upstream_target *choose_least_connections(struct upstream_core *core, struct upstream_group *group,
                                                        uint32_t candidates)
{
	struct upstream_target *best = NULL;
	uint64_t best_load = 0, best_weight = 1;
	uint64_t start = random_quick();

	for (uint32_t i = 0; i < group->target_count; i++) {
		struct upstream_target *target = &group->targets[(start + i) % group->target_count];
		if ((candidates & upstream_bit(group, target)) == 0)
			continue;
		int64_t active = board_target_active(core->board, target->row);
		uint64_t load = (uint64_t)(active > 0 ? active : 0) + 1, weight = upstream_weight(core, group, target);
		if (best == NULL || load * best_weight < best_load * weight) {
			best = target;
			best_load = load;
			best_weight = weight;
		}
	}
	return best;
}

struct upstream_target *upstream_choose(struct upstream_core *core, struct upstream_group *group,
                                        const struct upstream_wish *wish, uint32_t candidates)
{
	if (candidates == 0)
		return NULL;
	if ((candidates & (candidates - 1)) == 0)
		return &group->targets[__builtin_ctz(candidates)];
	switch ((enum cluster_balance)group->group->balance) {
	case BALANCE_LEAST_CONNECTIONS:
		return choose_least_connections(core, group, candidates);
	case BALANCE_LEAST_LATENCY:
		return upstream_choose_latency(core, group, candidates);
	case BALANCE_HASH:
		if (wish->has_hash)
			return upstream_choose_hash(core, group, wish->hash, candidates);
		break;
	case BALANCE_ROUND_ROBIN:
		break;
	}
	return choose_round_robin(core, group, candidates);
}

/* ---- what becomes of it --------------------------------------------------------------------------------------- */

/* Only this thread writes its lane, so a load and a store make an addition. */
void upstream_begin(struct upstream_core *core, const struct upstream_target *target)
{
	atomic_int *active = &core->lane->active[target->row];
	atomic_store_explicit(active, atomic_load_explicit(active, memory_order_relaxed) + 1, memory_order_relaxed);
	BOARD_COUNT(core->lane, served[target->row], 1);
}

void upstream_end(struct upstream_core *core, const struct upstream_target *target)
{
	upstream_end_row(core, target->row);
}

void upstream_end_row(struct upstream_core *core, int row)
{
	atomic_int *active = &core->lane->active[row];
	int count = atomic_load_explicit(active, memory_order_relaxed);
	/* 0: a supervisor of before an upgrade has given the row away; this one does not while anything is under way. */
	if (count > 0)
		atomic_store_explicit(active, count - 1, memory_order_relaxed);
}

void upstream_worked(const struct upstream_target *target)
{
	if (UNLIKELY(atomic_load_explicit(&target->health->failures, memory_order_relaxed) != 0))
		board_target_worked(target->health);
}

void upstream_failed(struct upstream_core *core, const struct upstream_group *group, const struct upstream_target *target)
{
	board_target_failed(target->health, &group->group->check, loop_now_us(core->loop));
}

bool upstream_is_down(const struct upstream_target *target)
{
	return atomic_load_explicit(&target->health->health, memory_order_relaxed) == HEALTH_DOWN;
}
