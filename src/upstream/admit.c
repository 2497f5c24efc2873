/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Getting in: a server and a place on it, for a request or a tunnel. Where no address of the group is capped this is a choice and
 * nothing more: no lock, no wait. Called by http/attempt.c and by tcp/, in their tasks.
 *
 *      ┌────────► choose among the candidates ──── none is usable ──► NO_SERVER
 *      │           │ one has a slot, or no cap ─────────────────────► ADMITTED
 *      │           ▼ all are full
 *      │          stand in their queues ──────── these are full too ► QUEUE_FULL
 *      │           │ it is its turn at one of them (line.c) ────────► ADMITTED
 *      └───────────┤ servers have gone down or come up
 *                  └ he left; too late; the loop stops ─────────────► GONE, QUEUE_TIMEOUT, CANCELLED
 */
#include "upstream/upstream_private.h"

/* Without waiting. False: there is no slot, or others have waited for one. */
static bool enter(struct upstream_core *core, struct upstream_target *target, const struct upstream_wish *wish,
                  struct upstream_place *place)
{
	struct upstream_pool *pool = target->pool;
	struct board_gate *gate = pool->gate;

	*place = (struct upstream_place){.target = target};
	if (gate != NULL && board_gate_waiting(gate) > 0)
		return false;
	if (!wish->fresh)
		place->connection = upstream_take_idle(pool, wish->careful);
	if (gate == NULL || place->connection != NULL)
		return true;
	if (!board_gate_try(core->board, gate, upstream_line_lane(core->line)) && !upstream_trade_idle(pool))
		return false;
	place->gate = gate;
	return true;
}

/* Whose turn has come while he was on his way out gets it all the same. */
static enum upstream_admission wait_for_turn(struct upstream_core *core, struct upstream_waiter *waiter,
                                             const struct upstream_wish *wish, const struct upstream_patience *patience)
{
	struct wait_queue *queues[2] = {&waiter->turn, patience != NULL ? patience->changed : NULL};
	unsigned count = queues[1] != NULL ? 2 : 1;

	while (waiter->place.target == NULL && !waiter->look_again) { /* until the deadline */
		uint64_t now_us = loop_now_us(core->loop);
		if (now_us >= wish->deadline_us)
			return UPSTREAM_QUEUE_TIMEOUT;
		if (count == 2 && patience->is_gone(patience->argument))
			return UPSTREAM_GONE;
		if (task_wait_any(queues, count, (int64_t)((wish->deadline_us - now_us + 999) / 1000)) == WAIT_CANCELLED)
			return UPSTREAM_CANCELLED;
	}
	return UPSTREAM_ADMITTED;
}

/* UPSTREAM_ADMITTED with a place that has no target: look again. */
static enum upstream_admission queue_up(struct upstream_core *core, struct upstream_group *group, struct upstream_wish *wish,
                                        uint32_t candidates, const struct upstream_patience *patience,
                                        struct upstream_place *place)
{
	struct upstream_waiter waiter = {.group = group, .wish = wish, .core = core, .candidates = candidates};

	list_init(&waiter.link);
	wait_queue_init(&waiter.turn);
	if (wish->deadline_us == 0) {
		wish->deadline_us = loop_now_us(core->loop) + (uint64_t)group->group->queue_timeout_ms * 1000u;
		BOARD_COUNT(core->lane, queue_waited, 1);
	}
	if (wish->ticket == 0) /* after a retry it stands where it stood */
		wish->ticket = board_gate_ticket(core->board);
	if (!upstream_line_stand(core->line, &waiter)) {
		BOARD_COUNT(core->lane, queue_refused, 1);
		return UPSTREAM_QUEUE_FULL;
	}
	enum upstream_admission result = wait_for_turn(core, &waiter, wish, patience);
	upstream_line_leave(core->line, &waiter);
	*place = waiter.place;
	if (result != UPSTREAM_ADMITTED)
		upstream_place_return(core, place);
	if (result == UPSTREAM_QUEUE_TIMEOUT)
		BOARD_COUNT(core->lane, queue_timeouts, 1);
	return result;
}

enum upstream_admission upstream_admit(struct upstream_core *core, struct upstream_group *group, struct upstream_wish *wish,
                                       const struct upstream_patience *patience, struct upstream_place *place)
{
	*place = (struct upstream_place){0};
	wish->deadline_us = 0;
	for (;;) { /* until the queue's deadline */
		uint32_t candidates = upstream_candidates(core, group, wish), left = candidates;
		struct upstream_target *target;
		if (candidates == 0)
			return UPSTREAM_NO_SERVER;
		while ((target = upstream_choose(core, group, wish, left)) != NULL) { /* each once */
			if (enter(core, target, wish, place))
				return UPSTREAM_ADMITTED;
			left &= ~upstream_bit(group, target);
		}
		*place = (struct upstream_place){0};
		enum upstream_admission result = queue_up(core, group, wish, candidates, patience, place);
		if (result != UPSTREAM_ADMITTED || place->target != NULL)
			return result;
	}
}

void upstream_place_return(struct upstream_core *core, struct upstream_place *place)
{
	if (place->connection != NULL)
		upstream_give_back(place->connection);
	else if (place->gate != NULL)
		upstream_line_release(core->line, place->gate);
	*place = (struct upstream_place){0};
}
