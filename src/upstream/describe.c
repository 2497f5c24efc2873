/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Why a request did not get in, in words: for the access log, the log and the visitor's page.
 */
#include "upstream/upstream_private.h"

#include <stdarg.h>
#include <stdio.h>

static void append(char *out, size_t out_size, const char *format, ...) PRINTF_LIKE(3, 4);
static void append(char *out, size_t out_size, const char *format, ...)
{
	size_t used = strlen(out);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out + used, out_size - used, format, arguments);
	va_end(arguments);
}

static void describe_target(struct upstream_core *core, const struct upstream_group *group, const struct upstream_target *target,
                            char *out, size_t out_size)
{
	const struct board_target *health = target->health;
	char since[CLOCK_TEXT_SIZE], reason[BOARD_TEXT_SIZE];

	append(out, out_size, "%s ", target->text);
	if (health == NULL) {
		append(out, out_size, "not on the board");
		return;
	}
	board_text_read(&health->reason, reason);
	switch ((enum board_health)atomic_load(&health->health)) {
	case HEALTH_UNKNOWN:
		append(out, out_size, "%s", board_health_text(HEALTH_UNKNOWN));
		break;
	case HEALTH_DOWN:
		append(out, out_size, "down since %s (%s)", clock_format(atomic_load(&health->changed_wall_us), since), reason);
		break;
	case HEALTH_UP:
		if (target->server != NULL && atomic_load(&target->server->drained) != 0)
			append(out, out_size, "drained");
		else if (upstream_weight(core, group, target) == 0)
			append(out, out_size, "up, with no weight");
		else if (board_target_usable(health, loop_now_us(core->loop)))
			append(out, out_size, "up"); /* it was tried in vain */
		else
			append(out, out_size, "up, but its last %u connections failed", atomic_load(&health->failures));
		break;
	}
}

static void describe_gate(const struct upstream_target *target, char *out, size_t out_size)
{
	const struct board_gate *gate = target->pool->gate;

	append(out, out_size, "%s ", target->text);
	if (gate == NULL)
		append(out, out_size, "has no cap");
	else
		append(out, out_size, "has %u connections at most, %u requests wait", atomic_load(&gate->connections_most),
		       board_gate_waiting(gate));
}

void upstream_describe(struct upstream_core *core, const struct upstream_group *group, enum upstream_admission admission,
                       char *out, size_t out_size)
{
	ASSERT(out_size > 0);
	out[0] = '\0';
	switch (admission) {
	case UPSTREAM_QUEUE_FULL:
		append(out, out_size, "all connections are in use, and the queue is full: ");
		break;
	case UPSTREAM_QUEUE_TIMEOUT:
		append(out, out_size, "no connection became free within %u ms: ", group->group->queue_timeout_ms);
		break;
	default:
		append(out, out_size, "no server is up: ");
		break;
	}
	for (uint32_t i = 0; i < group->target_count; i++) {
		if (i > 0)
			append(out, out_size, "; ");
		if (admission == UPSTREAM_NO_SERVER)
			describe_target(core, group, &group->targets[i], out, out_size);
		else
			describe_gate(&group->targets[i], out, out_size);
	}
}
