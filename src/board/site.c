/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Rows of sites on the board: what each site's visitors did, counted by every traffic thread in its own lane, summed by whoever
 * reads; and which sites are in maintenance. board.c reserves them for a snapshot; http/ counts; the metrics read.
 */
#include "board/board.h"

enum site_counter {
#define X(name, text) COUNTER_##name,
	BOARD_SITE_COUNTERS(X)
#undef X
	    COUNTERS
};
_Static_assert(COUNTERS <= BOARD_SITE_COUNTERS_ROOM, "the room of a site's counters");

const uint64_t board_site_bucket_us[BOARD_SITE_BUCKETS] = {
#define X(name, limit_us) limit_us,
    BOARD_SITE_BUCKET_LIMITS(X)
#undef X
};

static void site_begin(struct board *board, unsigned row, const char *name)
{
	struct board_site *site = &board->sites[row];
	unsigned lanes = atomic_load(&board->lane_count);
	memset(site, 0, sizeof *site);
	for (unsigned i = 0; i < lanes && i < BOARD_LANES_MOST; i++)
		for (unsigned counter = 0; counter < BOARD_SITE_COUNTERS_ROOM; counter++)
			if (atomic_load(&board->lanes[i].sites[row].counters[counter]) != 0) /* a row that was never used costs no memory */
				atomic_store(&board->lanes[i].sites[row].counters[counter], 0);
	memcpy(site->name, name, strnlen(name, sizeof site->name - 1));
}

bool board_site_reserve(struct board *board, const char *name, uint64_t generation)
{
	int row = board_site_row(board, name);
	/* A row of the generation in force is not touched: this one may yet be refused. */
	for (unsigned i = 0; i < BOARD_SITES_MOST && row < 0; i++)
		if (board->sites[i].name[0] == '\0')
			row = (int)i;
	for (unsigned i = 0; i < BOARD_SITES_MOST && row < 0; i++)
		if (atomic_load(&board->sites[i].last_generation) + 1 < generation)
			row = (int)i;
	if (row < 0)
		return false;
	if (strncmp(board->sites[row].name, name, CLUSTER_NAME_SIZE) != 0)
		site_begin(board, (unsigned)row, name);
	atomic_store(&board->sites[row].last_generation, generation);
	return true;
}

int board_site_row(const struct board *board, const char *name)
{
	for (unsigned i = 0; i < BOARD_SITES_MOST; i++)
		if (strncmp(board->sites[i].name, name, CLUSTER_NAME_SIZE) == 0 && name[0] != '\0')
			return (int)i;
	return -1;
}

void board_site_sum(const struct board *board, int row, struct board_site_lane *sum)
{
	ASSERT(row >= 0 && row < (int)BOARD_SITES_MOST);
	unsigned lanes = atomic_load(&board->lane_count);
	memset(sum, 0, sizeof *sum);
	for (unsigned i = 0; i < lanes && i < BOARD_LANES_MOST; i++)
		for (unsigned counter = 0; counter < COUNTERS; counter++)
			sum->counters[counter] += atomic_load_explicit(&board->lanes[i].sites[row].counters[counter], memory_order_relaxed);
}

bool board_site_maintain(struct board *board, const char *name, uint64_t until_us)
{
	int row = board_site_row(board, name);
	if (row < 0)
		return false;
	/* Who sees the end sees this beginning, or a later one. */
	if (until_us != 0 && !board_site_is_in_maintenance(&board->sites[row], clock_monotonic_us()))
		atomic_store(&board->sites[row].maintenance_since_us, clock_wall_us());
	atomic_store(&board->sites[row].maintenance_until_us, until_us);
	return true;
}

bool board_site_is_in_maintenance(const struct board_site *site, uint64_t now_us)
{
	return atomic_load_explicit(&site->maintenance_until_us, memory_order_relaxed) > now_us;
}
