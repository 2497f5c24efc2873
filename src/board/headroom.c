/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Headroom: how much is under way to a group of servers, the most that was lately, and whether the rest could carry it if one
 * server were lost. Watch measures (watch/peaks.c); the status and the metrics compare.
 *
 * A group is as strong as the caps (`connections`) of its servers that are up, not drained and not weighed down to 0. Other
 * weights do not matter here: who finds a server full gets another one. Backup servers count when none of the others is left.
 */
#include "board/board.h"

#include <limits.h>

/* ---- where a group stands ------------------------------------------------------------------------------------------ */

void board_group_find(struct board *board, const struct cluster_group *group, struct board_group *found)
{
	char key[CLUSTER_TARGET_KEY_SIZE];
	uint64_t hash = 0;
	*found = (struct board_group){.count = group->app_count};
	for (uint32_t i = 0; i < group->app_count; i++) {
		const struct address *address = &group->apps[i].address;
		cluster_target_key(&group->check, address, key);
		hash = hash * 31 + hash_stable(key, strlen(key));
		found->rows[i] = board_target_row(board, &group->check, address);
		found->gates[i] = group->apps[i].connections_most > 0 ? board_find_gate(board, address) : NULL;
	}
	found->hash = (uint32_t)(hash ^ hash >> 32);
	found->hash += found->hash == 0;
}

static unsigned in_use_at(const struct board *board, const struct board_gate *gate)
{
	unsigned sum = 0, lanes = atomic_load_explicit(&board->lane_count, memory_order_relaxed);
	for (unsigned lane = 0; lane < lanes && lane < BOARD_LANES_MOST; lane++) {
		unsigned held = atomic_load_explicit(&gate->held[lane], memory_order_relaxed);
		unsigned idle = atomic_load_explicit(&gate->idle[lane], memory_order_relaxed); /* read a moment later: may be more */
		sum += held > idle ? held - idle : 0;
	}
	return sum;
}

unsigned board_group_under_way(const struct board *board, const struct board_group *group)
{
	unsigned sum = 0, most_waiting = 0;
	for (uint32_t i = 0; i < group->count; i++) {
		int64_t active = group->rows[i] >= 0 ? board_target_active(board, group->rows[i]) : 0;
		if (group->gates[i] != NULL) {
			/* Who waits stands in the lines of all servers that may serve him. */
			unsigned waiting = board_gate_waiting(group->gates[i]);
			most_waiting = waiting > most_waiting ? waiting : most_waiting;
			sum += in_use_at(board, group->gates[i]);
		} else if (active > 0) {
			sum += (unsigned)active;
		}
	}
	return sum + most_waiting;
}

struct board_peak *board_group_peak(struct board *board, const struct board_group *group, bool claim)
{
	if (group->count == 0 || group->rows[0] < 0)
		return NULL;
	struct board_peak *peaks = board->targets[group->rows[0]].peaks;
	for (unsigned i = 0; i < BOARD_PEAKS; i++)
		if (atomic_load(&peaks[i].group) == group->hash)
			return &peaks[i];
	for (unsigned i = 0; i < BOARD_PEAKS && claim; i++) {
		if (atomic_load(&peaks[i].group) != 0)
			continue;
		atomic_store(&peaks[i].most, 0);
		atomic_store(&peaks[i].group, group->hash);
		return &peaks[i];
	}
	return NULL;
}

/* ---- if one were lost ---------------------------------------------------------------------------------------------- */

static uint32_t find_in_use(struct board *board, const struct cluster *cluster, const struct cluster_group *group,
                            const struct board_group *found)
{
	uint32_t in_use = 0;
	uint64_t now_us = clock_monotonic_us();
	for (uint32_t i = 0; i < group->app_count; i++) {
		const struct board_server *server = board_find_server(board, cluster->servers[group->apps[i].server].name);
		bool wanted = server == NULL || (atomic_load(&server->drained) == 0 && atomic_load(&server->weight_percent) > 0);
		if (wanted && found->rows[i] >= 0 && board_target_usable(&board->targets[found->rows[i]], now_us))
			in_use |= UINT32_C(1) << i;
	}
	return in_use;
}

/* Those of these apps that serve while all of them are up: backups only where there is nobody else. */
static uint32_t serving(const struct cluster_group *group, uint32_t apps)
{
	uint32_t regular = 0;
	for (uint32_t i = 0; i < group->app_count; i++)
		if (!group->apps[i].backup)
			regular |= apps & UINT32_C(1) << i;
	return regular != 0 ? regular : apps;
}

/* What they may have together. UINT_MAX: one of them has no cap. */
static unsigned capacity_of(const struct cluster_group *group, uint32_t apps)
{
	uint32_t these = serving(group, apps);
	unsigned sum = 0;
	for (uint32_t i = 0; i < group->app_count; i++) {
		if ((these >> i & 1) == 0)
			continue;
		if (group->apps[i].connections_most == 0)
			return UINT_MAX;
		sum += group->apps[i].connections_most; /* at most 32 times 100,000 */
	}
	return sum;
}

static uint32_t apps_of_others(const struct cluster_group *group, uint32_t apps, uint32_t server)
{
	for (uint32_t i = 0; i < group->app_count; i++)
		if (group->apps[i].server == server)
			apps &= ~(UINT32_C(1) << i);
	return apps;
}

bool board_headroom_look(struct board *board, const struct cluster *cluster, const struct cluster_group *group,
                         struct board_headroom *headroom)
{
	struct board_group found;
	board_group_find(board, group, &found);
	const struct board_peak *peak = board_group_peak(board, &found, false);
	uint32_t in_use = find_in_use(board, cluster, group, &found);
	*headroom = (struct board_headroom){.peak = peak != NULL ? atomic_load(&peak->most) : 0, .loss = CLUSTER_NO_SERVER};
	headroom->capacity = capacity_of(group, in_use);
	headroom->known = in_use != 0 && headroom->capacity != UINT_MAX;
	headroom->without_one = headroom->capacity;
	for (uint32_t i = 0; i < group->app_count && headroom->known; i++) {
		uint32_t server = group->apps[i].server, all = (uint32_t)((UINT64_C(1) << group->app_count) - 1);
		unsigned rest = capacity_of(group, apps_of_others(group, in_use, server));
		if ((serving(group, in_use) >> i & 1) == 0 || apps_of_others(group, all, server) == 0)
			continue; /* it serves nobody, or is the only one that there is */
		if (headroom->loss != CLUSTER_NO_SERVER && rest >= headroom->without_one)
			continue;
		headroom->loss = server;
		headroom->without_one = rest;
	}
	return headroom->known && headroom->loss != CLUSTER_NO_SERVER && headroom->peak > headroom->without_one;
}
