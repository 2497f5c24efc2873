/* SPDX-License-Identifier: BSD-2-Clause
 *
 * children: the supervisor's half of each child: starting, telling it what is in force, restarting it when it died.
 *
 *   (due) --child_start--> running --MESSAGE_TAKEN--> ready
 *     ^                       |
 *     +---- children_reap ----+     at once, or after a growing delay when it keeps dying
 *
 * Runs in the supervisor; called by supervisor.c.
 */
#include "process/supervisor_private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_kill(struct child *child, const char *name, const char *why)
{
	if (child->pid == 0)
		return;
	log_write(LOG_ERROR, "%s (process %d) is ended: %s", name, (int)child->pid, why);
	kill(child->pid, SIGKILL);
	close(child->channel);
	child->channel = -1;
}

void child_send(struct supervisor *supervisor, enum process_row row, const struct message *message, int descriptor)
{
	struct child *child = &supervisor->children[row];
	if (child->channel < 0)
		return; /* it will be told everything when it starts */
	int result = message_send(child->channel, message, descriptor);
	if (result == -EPIPE || result == -ECONNRESET)
		return; /* it has just ended: children_reap comes to it */
	if (result != 0)
		child_kill(child, process_table[row].name, result == -ETIMEDOUT ? "it does not read its messages" : strerror(-result));
}

static struct message snapshot_message(const struct supervisor *supervisor)
{
	struct message message = {.type = MESSAGE_SNAPSHOT};
	message.snapshot.generation = supervisor->cluster->generation;
	return message;
}

void children_send_snapshot(struct supervisor *supervisor)
{
	struct message message = snapshot_message(supervisor);
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		child_send(supervisor, row, &message, supervisor->snapshot);
	retired_send(supervisor, &message, supervisor->snapshot);
}

void child_start(struct supervisor *supervisor, enum process_row row)
{
	struct child *child = &supervisor->children[row];
	const struct process *process = &process_table[row];
	ASSERT(child->pid == 0 && child->channel < 0);
	pid_t pid = process_start(row, &supervisor->identity, supervisor->options->log_level, &child->channel);
	if (pid < 0) {
		log_write(LOG_ERROR, "cannot start %s: %s; trying again in %d ms", process->name, strerror((int)-pid),
		          CHILD_RESTART_DELAY_MOST_MS);
		child->restart_at_us = clock_monotonic_us() + CHILD_RESTART_DELAY_MOST_MS * 1000;
		return;
	}
	child->pid = pid;
	child->started_us = clock_monotonic_us();
	child->taken_generation = 0;

	struct message message = {.type = MESSAGE_START};
	message.start.threads = supervisor->threads;
	message.start.first_lane = supervisor->first_lane;
	child_send(supervisor, row, &message, supervisor->board_descriptor);
	if (row == PROCESS_TRAFFIC)
		bans_tell(supervisor);
	if (process->gets_access_log)
		access_log_tell(supervisor, row);
	if (row == PROCESS_TRAFFIC)
		keyring_tell(supervisor);
	listeners_tell(supervisor, row, 0);
	message = snapshot_message(supervisor);
	child_send(supervisor, row, &message, supervisor->snapshot);
}

static int64_t restart_delay_ms(const struct child *child)
{
	if (child->crashes <= CHILD_CRASHES_AT_ONCE)
		return 0;
	unsigned doublings = child->crashes - CHILD_CRASHES_AT_ONCE - 1;
	int64_t delay = doublings < 8 ? (int64_t)CHILD_RESTART_DELAY_MS << doublings : CHILD_RESTART_DELAY_MOST_MS;
	return delay < CHILD_RESTART_DELAY_MOST_MS ? delay : CHILD_RESTART_DELAY_MOST_MS;
}

static void child_ended(struct supervisor *supervisor, enum process_row row, int status)
{
	struct child *child = &supervisor->children[row];
	const char *name = process_table[row].name;
	if (WIFSIGNALED(status))
		snprintf(child->last_end, sizeof child->last_end, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(child->last_end, sizeof child->last_end, "exit code %d", WEXITSTATUS(status));
	child->last_end_wall_us = clock_wall_us();
	pid_t pid = child->pid;
	child->pid = 0;
	child->taken_generation = 0;
	if (child->channel >= 0)
		close(child->channel);
	child->channel = -1;
	if (row == PROCESS_TRAFFIC)
		lanes_ended(supervisor, supervisor->first_lane, supervisor->threads);
	if (supervisor->stopping) {
		log_write(LOG_INFO, "%s (process %d) has ended: %s", name, (int)pid, child->last_end);
		return;
	}
	uint64_t now = clock_monotonic_us();
	supervisor->upgrade.crashes++;
	child->crashes = now - child->started_us < CHILD_LIFE_MS * 1000 ? child->crashes + 1 : 1;
	if (supervisor->upgrade.stage != UPGRADE_STARTS)
		atomic_fetch_add(&supervisor->board->restarts[row], 1);
	int64_t delay_ms = restart_delay_ms(child);
	child->restart_at_us = now + (uint64_t)delay_ms * 1000;
	log_write(LOG_ERROR, "%s (process %d) died: %s; it is started again %s", name, (int)pid, child->last_end,
	          delay_ms == 0 ? "at once" : "after a pause because it keeps dying");
}

void children_reap(struct supervisor *supervisor)
{
	for (unsigned row = 0; row < PROCESS_ROWS; row++) {
		struct child *child = &supervisor->children[row];
		int status;
		if (child->pid != 0 && waitpid(child->pid, &status, WNOHANG) == child->pid)
			child_ended(supervisor, row, status);
	}
	if (supervisor->former_watch != 0 && waitpid(supervisor->former_watch, NULL, WNOHANG) == supervisor->former_watch)
		supervisor->former_watch = 0;
}

void children_start_due(struct supervisor *supervisor)
{
	uint64_t now = clock_monotonic_us();
	for (unsigned row = 0; row < PROCESS_ROWS && !supervisor->stopping; row++)
		if (supervisor->children[row].pid == 0 && supervisor->children[row].restart_at_us <= now &&
		    (row != PROCESS_WATCH || supervisor->former_watch == 0))
			child_start(supervisor, row);
}

uint64_t children_next_us(const struct supervisor *supervisor)
{
	uint64_t next = UINT64_MAX;
	for (unsigned row = 0; row < PROCESS_ROWS && !supervisor->stopping; row++)
		if (supervisor->children[row].pid == 0 && supervisor->children[row].restart_at_us < next &&
		    (row != PROCESS_WATCH || supervisor->former_watch == 0)) /* whose end is a signal */
			next = supervisor->children[row].restart_at_us;
	return next;
}

void child_receive(struct supervisor *supervisor, enum process_row row)
{
	struct child *child = &supervisor->children[row];
	/* A child that floods us must not keep us from everything else: poll comes back to what is left. */
	for (unsigned i = 0; i < CHILD_MESSAGES_A_TURN && child->channel >= 0; i++) {
		struct message message;
		int descriptor;
		int result = message_receive(child->channel, &message, &descriptor);
		if (result == -EAGAIN)
			return;
		if (result == 0) { /* it ends; SIGCHLD follows */
			close(child->channel);
			child->channel = -1;
		} else if (result < 0) {
			child_kill(child, process_table[row].name, "it said something that is not in the protocol");
		} else if (message.type == MESSAGE_ACCESS_LOG_GONE && process_table[row].gets_access_log) {
			access_log_gone(supervisor);
		} else if (message.type != MESSAGE_TAKEN) {
			if (descriptor >= 0)
				close(descriptor);
			child_kill(child, process_table[row].name, "it said something that only the supervisor may say");
		} else {
			child->taken_generation = message.snapshot.generation;
		}
	}
}

bool children_are_ready(const struct supervisor *supervisor)
{
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		if (supervisor->children[row].taken_generation != supervisor->cluster->generation)
			return false;
	return true;
}

bool children_are_gone(const struct supervisor *supervisor)
{
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		if (supervisor->children[row].pid != 0)
			return false;
	return true;
}
