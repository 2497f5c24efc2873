/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Least latency over two random choices: of two candidates drawn by chance the one that would probably answer first. Two are
 * enough to keep the slow and the busy ones out of the way, and because they are drawn anew each time the threads do not all run
 * to the same server. Called by choose.c; the measurements come from http/attempt.c.
 *
 * The measure of a server is the moving average of its times to the first byte, times the requests that would then be under way,
 * through its weight. What was measured long ago counts for less and less, so that a server that was slow is tried again; if it
 * still is, one answer brings its old average back. All threads share the average on the board; that two of them may write at
 * once and one measurement is lost does no harm.
 */
#include "upstream/upstream_private.h"

#define HALVED_EVERY_US 5000000u /* the average, while nothing is measured */
#define SHARE_OF_NEW    8u       /* a new measurement is an eighth of the average */

/* The average as it counts now; 0: nothing was measured yet, or it is as good as forgotten. */
static uint64_t faded_latency_us(const struct board_target *health, uint64_t now_us)
{
	uint64_t latency_us = atomic_load_explicit(&health->latency_us, memory_order_relaxed);
	uint64_t at_us = atomic_load_explicit(&health->latency_at_us, memory_order_relaxed);
	uint64_t age_us = now_us > at_us ? now_us - at_us : 0, halvings = age_us / HALVED_EVERY_US;

	if (halvings >= 40)
		return 0;
	latency_us >>= halvings;
	/* Between two halvings a straight line is near enough. */
	return latency_us - latency_us * (age_us % HALVED_EVERY_US) / (2 * HALVED_EVERY_US);
}

void upstream_note_latency(struct upstream_core *core, const struct upstream_target *target, uint64_t took_us)
{
	struct board_target *health = target->health;
	uint64_t now_us = loop_now_us(core->loop), before_us = atomic_load_explicit(&health->latency_us, memory_order_relaxed);
	uint64_t base_us = faded_latency_us(health, now_us);

	if (took_us == 0)
		took_us = 1;
	if (before_us == 0)
		base_us = took_us;
	else if (took_us > base_us)
		base_us = took_us < before_us ? took_us : before_us; /* as slow as it was */
	uint64_t next_us = base_us + took_us / SHARE_OF_NEW - base_us / SHARE_OF_NEW;
	atomic_store_explicit(&health->latency_us, next_us > 0 ? next_us : 1, memory_order_relaxed);
	atomic_store_explicit(&health->latency_at_us, now_us, memory_order_relaxed);
}

/* One that was never measured is taken to be as fast as the fastest: with as few requests as it has, it soon is measured. */
static uint64_t least_known_us(const struct upstream_group *group, uint32_t candidates, uint64_t now_us)
{
	uint64_t least_us = 0;

	for (uint32_t left = candidates; left != 0; left &= left - 1) {
		uint64_t latency_us = faded_latency_us(group->targets[__builtin_ctz(left)].health, now_us);
		if (latency_us != 0 && (least_us == 0 || latency_us < least_us))
			least_us = latency_us;
	}
	return least_us != 0 ? least_us : 1;
}

/* The bit of the n-th candidate. */
static uint32_t pick(uint32_t candidates, unsigned n)
{
	while (n-- > 0)
		candidates &= candidates - 1;
	return candidates & -candidates;
}

struct upstream_target *upstream_choose_latency(struct upstream_core *core, struct upstream_group *group, uint32_t candidates)
{
	uint64_t now_us = loop_now_us(core->loop), chance = random_quick(), cost[2], weight[2];
	unsigned count = (unsigned)__builtin_popcount(candidates);
	uint32_t bits[2];

	ASSERT(count >= 2);
	bits[0] = pick(candidates, (unsigned)(chance & 0xffff) % count);
	bits[1] = pick(candidates & ~bits[0], (unsigned)(chance >> 16 & 0xffff) % (count - 1));
	for (unsigned i = 0; i < 2; i++) {
		const struct upstream_target *target = &group->targets[__builtin_ctz(bits[i])];
		int64_t active = board_target_active(core->board, target->row);
		uint64_t latency_us = faded_latency_us(target->health, now_us);
		if (latency_us == 0)
			latency_us = least_known_us(group, candidates, now_us);
		if (latency_us > UINT32_MAX)
			latency_us = UINT32_MAX; /* an hour: no product below overflows */
		cost[i] = latency_us * ((uint64_t)(active > 0 && active < 1000 ? active : active > 0 ? 1000 : 0) + 1);
		weight[i] = upstream_weight(core, group, target);
	}
	return &group->targets[__builtin_ctz(cost[0] * weight[1] <= cost[1] * weight[0] ? bits[0] : bits[1])];
}
