/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the counters on the board have done lately, for the warnings of `noah status`, which itself remembers nothing: how many of
 * a site's requests of the last minute were answered with 5xx (but not for maintenance), and since when all connections to a
 * capped address are in use while others wait. Written to the board once a second. Runs in the watch process; watch.c owns it.
 */
#include "watch/watch_private.h"

#include <stdlib.h>

#define LOOK_MS    1000
#define SLOT_LOOKS 5u  /* looks between two marks */
#define SLOTS      12u /* marks kept: a minute */

struct mark {
	uint64_t ended, errors;
};

struct trends {
	struct board *board;
	struct timer look;
	unsigned looks, slot; /* the oldest mark is the one that is overwritten next */
	uint64_t generation;  /* of the snapshot for which the marks were set */
	struct mark marks[BOARD_SITES_MOST][SLOTS];
};

static struct mark now_of(const struct board *board, unsigned row)
{
	struct board_site_lane sum;
	board_site_sum(board, (int)row, &sum);
	uint64_t errors = atomic_load(&sum.answers_5xx), maintenance = atomic_load(&sum.maintenance);
	return (struct mark){.ended = atomic_load(&sum.ended), .errors = errors > maintenance ? errors - maintenance : 0};
}

/* A row may be another site's since the last reload: begin anew. */
static void start_anew(struct trends *trends)
{
	for (unsigned row = 0; row < BOARD_SITES_MOST; row++) {
		if (trends->board->sites[row].name[0] == '\0')
			continue;
		struct mark now = now_of(trends->board, row);
		for (unsigned slot = 0; slot < SLOTS; slot++)
			trends->marks[row][slot] = now;
	}
	trends->generation = atomic_load(&trends->board->generation);
}

static void look_at_site(struct trends *trends, unsigned row)
{
	struct board_site *site = &trends->board->sites[row];
	if (site->name[0] == '\0')
		return;
	struct mark now = now_of(trends->board, row), *oldest = &trends->marks[row][trends->slot];
	atomic_store(&site->recent_ended, (unsigned)(now.ended - oldest->ended));
	/* The two counters of errors are not read in the same moment. */
	atomic_store(&site->recent_errors, now.errors > oldest->errors ? (unsigned)(now.errors - oldest->errors) : 0);
	if (trends->looks % SLOT_LOOKS == 0)
		*oldest = now;
}

static void look_at_gate(const struct board *board, struct board_gate *gate)
{
	unsigned most = atomic_load(&gate->connections_most), held = 0, lanes = atomic_load(&board->lane_count);
	for (unsigned i = 0; i < lanes && i < BOARD_LANES_MOST; i++)
		held += atomic_load(&gate->held[i]);
	if (most == 0 || held < most || board_gate_waiting(gate) == 0)
		atomic_store(&gate->full_since_us, 0);
	else if (atomic_load(&gate->full_since_us) == 0)
		atomic_store(&gate->full_since_us, clock_monotonic_us());
}

static void look(struct timer *timer)
{
	struct trends *trends = OWNER_OF(timer, struct trends, look);
	struct board *board = trends->board;
	unsigned gates = atomic_load(&board->gate_rows);

	if (trends->generation != atomic_load(&board->generation))
		start_anew(trends);
	trends->looks++;
	for (unsigned row = 0; row < BOARD_SITES_MOST; row++)
		look_at_site(trends, row);
	if (trends->looks % SLOT_LOOKS == 0)
		trends->slot = (trends->slot + 1) % SLOTS;
	for (unsigned row = 0; row < gates && row < BOARD_GATES_MOST; row++)
		look_at_gate(board, &board->gates[row]);
	timer_set(&trends->look, LOOK_MS);
}

struct trends *trends_new(struct board *board)
{
	struct trends *trends = calloc(1, sizeof *trends);
	if (trends == NULL)
		return NULL;
	trends->board = board;
	timer_init(&trends->look, look);
	return trends;
}

void trends_start(struct trends *trends)
{
	start_anew(trends);
	timer_set(&trends->look, LOOK_MS);
}

void trends_free(struct trends *trends)
{
	free(trends);
}
