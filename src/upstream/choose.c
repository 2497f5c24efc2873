/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Choosing a server for a request: smooth weighted round robin or least connections, among those that the board calls usable.
 * Runs in the traffic threads, for every request; no lock: health and the other threads' counts are read from the board as they
 * are.
 */
#include "upstream/upstream.h"

#include <stdarg.h>
#include <stdio.h>

static bool is_candidate(const struct upstream_core *core, const struct upstream_group *group,
                         const struct upstream_target *target, uint32_t tried)
{
	return target->health != NULL && (tried & upstream_bit(group, target)) == 0 &&
	       board_target_usable(target->health, loop_now_us(core->loop));
}

/* Every candidate gains its weight, the richest is chosen and pays what all have gained: with weights 5, 1, 1 the order is a a b
 * a c a a, never a a a a a b c. */
static struct upstream_target *choose_round_robin(struct upstream_core *core, struct upstream_group *group, uint32_t tried)
{
	struct upstream_target *best = NULL;
	int32_t total = 0;

	for (uint32_t i = 0; i < group->target_count; i++) { /* at most CLUSTER_APPS_MOST */
		struct upstream_target *target = &group->targets[i];
		if (!is_candidate(core, group, target, tried))
			continue;
		target->current += target->app->weight;
		total += target->app->weight;
		if (best == NULL || target->current > best->current)
			best = target;
	}
	if (best != NULL)
		best->current -= total;
	return best;
}

/* The fewest requests under way for each unit of weight, all threads together; equal ones take turns. */
static struct upstream_target *choose_least_connections(struct upstream_core *core, struct upstream_group *group, uint32_t tried)
{
	struct upstream_target *best = NULL;
	uint64_t best_load = 0;
	uint64_t start = random_quick();

	for (uint32_t i = 0; i < group->target_count; i++) {
		struct upstream_target *target = &group->targets[(start + i) % group->target_count];
		if (!is_candidate(core, group, target, tried))
			continue;
		int64_t active = board_target_active(core->board, target->row);
		uint64_t load = ((uint64_t)(active > 0 ? active : 0) + 1) * 1000000u / target->app->weight;
		if (best == NULL || load < best_load) {
			best = target;
			best_load = load;
		}
	}
	return best;
}

struct upstream_target *upstream_choose(struct upstream_core *core, struct upstream_group *group, uint32_t tried)
{
	if (group->group->balance == BALANCE_LEAST_CONNECTIONS)
		return choose_least_connections(core, group, tried);
	return choose_round_robin(core, group, tried);
}

/* Only this thread writes its lane, so a load and a store make an addition. */
void upstream_begin(struct upstream_core *core, const struct upstream_target *target)
{
	atomic_int *active = &core->lane->active[target->row];
	atomic_store_explicit(active, atomic_load_explicit(active, memory_order_relaxed) + 1, memory_order_relaxed);
	BOARD_COUNT(core->lane, served[target->row], 1);
}

void upstream_end(struct upstream_core *core, const struct upstream_target *target)
{
	atomic_int *active = &core->lane->active[target->row];
	int count = atomic_load_explicit(active, memory_order_relaxed);
	/* 0: the supervisor has given the row to another server since (no snapshot in force names this one). */
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

/* ---- words ---------------------------------------------------------------------------------------------------- */

static void append(char *out, size_t out_size, const char *format, ...) PRINTF_LIKE(3, 4);
static void append(char *out, size_t out_size, const char *format, ...)
{
	size_t used = strlen(out);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out + used, out_size - used, format, arguments);
	va_end(arguments);
}

static void describe_target(const struct upstream_target *target, char *out, size_t out_size)
{
	const struct board_target *health = target->health;
	char since[CLOCK_TEXT_SIZE], reason[BOARD_TEXT_SIZE];

	if (health == NULL) {
		append(out, out_size, "%s not on the board", target->text);
		return;
	}
	board_text_read(&health->reason, reason);
	switch ((enum board_health)atomic_load(&health->health)) {
	case HEALTH_UNKNOWN:
		append(out, out_size, "%s %s", target->text, board_health_text(HEALTH_UNKNOWN));
		break;
	case HEALTH_DOWN:
		append(out, out_size, "%s down since %s (%s)", target->text, clock_format(atomic_load(&health->changed_wall_us), since),
		       reason);
		break;
	case HEALTH_UP:
		append(out, out_size, "%s up, but its last %u connections failed", target->text, atomic_load(&health->failures));
		break;
	}
}

void upstream_describe(struct upstream_core *core, const struct upstream_group *group, char *out, size_t out_size)
{
	ASSERT(out_size > 0);
	out[0] = '\0';
	append(out, out_size, "no server is up: ");
	for (uint32_t i = 0; i < group->target_count; i++) {
		const struct upstream_target *target = &group->targets[i];
		if (target->health != NULL && board_target_usable(target->health, loop_now_us(core->loop)))
			append(out, out_size, "%s up", target->text); /* it was tried in vain */
		else
			describe_target(target, out, out_size);
		if (i + 1 < group->target_count)
			append(out, out_size, "; ");
	}
}
