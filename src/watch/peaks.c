/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The most that was under way to each group of servers in the last quarter of an hour, measured four times a second and kept on
 * the board, for the warning that the rest could not carry the loss of one server (board/headroom.c). Runs in the watch process;
 * watch.c owns it.
 *
 * A peak is forgotten by the minute. What stood on the board when this process began counts as measured just now, so a crash, a
 * reload or an upgrade forgets nothing.
 */
#include "watch/watch_private.h"

#include <stdlib.h>

#define MEASURE_MS      250
#define MEASURES_A_SLOT (60u * 1000u / MEASURE_MS)

struct measured {
	struct board_group group;
	unsigned most[BOARD_PEAK_MINUTES]; /* of each minute */
};

struct peaks {
	struct board *board;
	struct timer measure;
	unsigned measures, slot; /* the minute that is being measured */
	unsigned count;
	struct measured *groups; /* of the sites, routes and services of this server, at most as many as the file can have */
};

static unsigned most_of(const struct measured *measured)
{
	unsigned most = 0;
	for (unsigned i = 0; i < BOARD_PEAK_MINUTES; i++)
		most = measured->most[i] > most ? measured->most[i] : most;
	return most;
}

static void measure_group(struct peaks *peaks, struct measured *measured)
{
	struct board_peak *peak = board_group_peak(peaks->board, &measured->group, true);
	unsigned now = board_group_under_way(peaks->board, &measured->group);
	if (now > measured->most[peaks->slot])
		measured->most[peaks->slot] = now;
	if (peak != NULL)
		atomic_store(&peak->most, most_of(measured));
}

static void measure(struct timer *timer)
{
	struct peaks *peaks = OWNER_OF(timer, struct peaks, measure);
	bool next_minute = ++peaks->measures % MEASURES_A_SLOT == 0;
	if (next_minute)
		peaks->slot = (peaks->slot + 1) % BOARD_PEAK_MINUTES;
	for (unsigned i = 0; i < peaks->count; i++) {
		if (next_minute)
			peaks->groups[i].most[peaks->slot] = 0;
		measure_group(peaks, &peaks->groups[i]);
	}
	timer_set(&peaks->measure, MEASURE_MS);
}

/* ---- a new snapshot ------------------------------------------------------------------------------------------------ */

static const struct measured *find(const struct measured *groups, unsigned count, uint32_t hash)
{
	for (unsigned i = 0; i < count; i++)
		if (groups[i].group.hash == hash)
			return &groups[i];
	return NULL;
}

/* What is known of it: from before the reload, or from the board. */
static void recall(const struct peaks *peaks, struct measured *measured)
{
	const struct measured *before = find(peaks->groups, peaks->count, measured->group.hash);
	const struct board_peak *peak = board_group_peak(peaks->board, &measured->group, false);
	if (before != NULL)
		memcpy(measured->most, before->most, sizeof measured->most);
	else if (peak != NULL)
		measured->most[peaks->slot] = atomic_load(&peak->most);
}

/* Places of groups that the file does not have any more are free for others. */
static void free_places(struct peaks *peaks)
{
	unsigned rows = atomic_load(&peaks->board->target_rows);
	for (unsigned row = 0; row < rows && row < BOARD_TARGETS_MOST; row++) {
		for (unsigned i = 0; i < BOARD_PEAKS; i++) {
			struct board_peak *peak = &peaks->board->targets[row].peaks[i];
			uint32_t hash = atomic_load(&peak->group);
			if (hash != 0 && find(peaks->groups, peaks->count, hash) == NULL)
				atomic_store(&peak->group, 0);
		}
	}
}

void peaks_use(struct peaks *peaks, const struct cluster *cluster)
{
	unsigned count = 0, most = 0;
	struct cluster_walk walk = {0}, again = {0};
	while (cluster_walk_groups(cluster, &walk))
		most++;
	struct measured *groups = calloc(most > 0 ? most : 1, sizeof *groups);
	if (groups == NULL) {
		log_write(LOG_ERROR, "out of memory: what is under way is not measured any more");
	} else {
		while (cluster_walk_groups(cluster, &again)) {
			if (!cluster_is_on(again.on, cluster->self))
				continue;
			board_group_find(peaks->board, again.group, &groups[count].group);
			if (find(groups, count, groups[count].group.hash) != NULL)
				continue; /* two sites with the same servers */
			recall(peaks, &groups[count++]);
		}
	}
	free(peaks->groups);
	peaks->groups = groups;
	peaks->count = count;
	free_places(peaks);
}

struct peaks *peaks_new(struct board *board)
{
	struct peaks *peaks = calloc(1, sizeof *peaks);
	if (peaks == NULL)
		return NULL;
	peaks->board = board;
	timer_init(&peaks->measure, measure);
	return peaks;
}

void peaks_start(struct peaks *peaks)
{
	timer_set(&peaks->measure, MEASURE_MS);
}

void peaks_free(struct peaks *peaks)
{
	if (peaks != NULL)
		free(peaks->groups);
	free(peaks);
}
