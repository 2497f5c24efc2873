/* SPDX-License-Identifier: BSD-2-Clause
 *
 * retired: traffic of before an upgrade. It carries on with the connections that it has, as long as they last, and then ends;
 * meanwhile it keeps its lanes of the board, where its numbers and its share of every cap stand.
 *
 *   serving --retired_add--> accepts beside the new one --retired_begin--> accepts no more --last connection--> gone
 *
 * Runs in the supervisor; called by upgrade.c and supervisor.c.
 */
#include "process/supervisor_private.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct retired *retired_add(struct supervisor *supervisor)
{
	for (unsigned i = 0; i < RETIRED_MOST; i++) {
		struct retired *retired = &supervisor->retired[i];
		if (retired->child.pid != 0)
			continue;
		*retired = (struct retired){.child = supervisor->children[PROCESS_TRAFFIC]};
		supervisor->children[PROCESS_TRAFFIC] = (struct child){.channel = -1};
		return retired;
	}
	ASSERT(false); /* upgrade_begin has looked */
}

static void kill_it(struct retired *retired, const char *why)
{
	log_write(LOG_ERROR, "retired traffic (process %d) is ended: %s", (int)retired->child.pid, why);
	kill(retired->child.pid, SIGKILL);
	close(retired->child.channel);
	retired->child.channel = -1;
}

static void tell(struct retired *retired, const struct message *message, int descriptor)
{
	if (retired->child.pid == 0 || retired->child.channel < 0)
		return;
	int result = message_send(retired->child.channel, message, descriptor);
	if (result != 0 && result != -EPIPE && result != -ECONNRESET)
		kill_it(retired, "it does not read its messages");
}

void retired_begin(struct supervisor *supervisor)
{
	for (unsigned i = 0; i < RETIRED_MOST; i++) {
		struct retired *retired = &supervisor->retired[i];
		if (retired->child.pid == 0 || retired->retired_wall_us != 0)
			continue;
		retired->retired_wall_us = clock_wall_us();
		retired->accepts = true;
		tell(retired, &(struct message){.type = MESSAGE_RETIRE}, -1);
		struct message message = {.type = MESSAGE_SNAPSHOT};
		message.snapshot.generation = supervisor->cluster->generation;
		tell(retired, &message, supervisor->snapshot);
	}
}

void retired_send(struct supervisor *supervisor, const struct message *message, int descriptor)
{
	for (unsigned i = 0; i < RETIRED_MOST; i++) {
		/* What still serves beside a new program that may not come up goes on by its own snapshot; and it would end at one that
		 * it cannot read, while a retired one passes over it. */
		if (message->type == MESSAGE_SNAPSHOT && supervisor->retired[i].retired_wall_us == 0)
			continue;
		tell(&supervisor->retired[i], message, descriptor);
	}
}

void retired_end(struct retired *retired)
{
	/* The first asks it to end soon, the second at once. */
	tell(retired, &(struct message){.type = MESSAGE_DRAIN}, -1);
	tell(retired, &(struct message){.type = MESSAGE_DRAIN}, -1);
}

void retired_signal(const struct supervisor *supervisor, int signal_number)
{
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		if (supervisor->retired[i].child.pid != 0)
			kill(supervisor->retired[i].child.pid, signal_number);
}

bool retired_accept_no_more(const struct supervisor *supervisor)
{
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		if (supervisor->retired[i].child.pid != 0 && supervisor->retired[i].accepts)
			return false;
	return true;
}

/* What it says is of no interest any more, but that nobody takes its log lines; it has to be taken in. */
void retired_receive(struct supervisor *supervisor, struct retired *retired)
{
	for (unsigned i = 0; i < CHILD_MESSAGES_A_TURN && retired->child.channel >= 0; i++) {
		struct message message;
		int descriptor, result = message_receive(retired->child.channel, &message, &descriptor);
		if (result == -EAGAIN)
			return;
		if (descriptor >= 0)
			close(descriptor);
		if (result == 0) { /* it ends; SIGCHLD follows */
			close(retired->child.channel);
			retired->child.channel = -1;
		} else if (result < 0) {
			kill_it(retired, "it said something that is not in the protocol");
		} else if (message.type == MESSAGE_RETIRED) {
			retired->accepts = false;
		} else if (message.type == MESSAGE_ACCESS_LOG_GONE) {
			access_log_gone(supervisor);
		}
	}
}

static void ended(struct supervisor *supervisor, struct retired *retired, int status)
{
	char when[CLOCK_TEXT_SIZE];
	if (WIFSIGNALED(status))
		log_write(LOG_ERROR, "retired traffic (noah %s, process %d) died: signal %d (%s); %ju connections are lost",
		          retired->version, (int)retired->child.pid, WTERMSIG(status), strsignal(WTERMSIG(status)),
		          (uintmax_t)retired_open(supervisor, retired));
	else if (WEXITSTATUS(status) != 0)
		log_write(LOG_ERROR, "retired traffic (noah %s, process %d) ended with exit code %d; %ju connections are lost",
		          retired->version, (int)retired->child.pid, WEXITSTATUS(status), (uintmax_t)retired_open(supervisor, retired));
	else
		log_write(LOG_NOTICE, "retired traffic (noah %s, process %d, retired at %s) has ended", retired->version,
		          (int)retired->child.pid, clock_format(retired->retired_wall_us, when));
	if (retired->child.channel >= 0)
		close(retired->child.channel);
	lanes_ended(supervisor, retired->first_lane, retired->threads);
	*retired = (struct retired){.child.channel = -1};
}

void retired_reap(struct supervisor *supervisor)
{
	for (unsigned i = 0; i < RETIRED_MOST; i++) {
		struct retired *retired = &supervisor->retired[i];
		int status;
		if (retired->child.pid != 0 && waitpid(retired->child.pid, &status, WNOHANG) == retired->child.pid)
			ended(supervisor, retired, status);
	}
}

unsigned retired_count(const struct supervisor *supervisor)
{
	unsigned count = 0;
	for (unsigned i = 0; i < RETIRED_MOST; i++)
		count += supervisor->retired[i].child.pid != 0;
	return count;
}

struct retired *retired_oldest(struct supervisor *supervisor)
{
	struct retired *oldest = NULL;
	for (unsigned i = 0; i < RETIRED_MOST; i++) {
		struct retired *retired = &supervisor->retired[i];
		if (retired->child.pid != 0 && retired->retired_wall_us != 0 &&
		    (oldest == NULL || retired->retired_wall_us < oldest->retired_wall_us))
			oldest = retired;
	}
	return oldest;
}

uint64_t retired_open(const struct supervisor *supervisor, const struct retired *retired)
{
	uint64_t open = 0;
	for (unsigned i = 0; i < retired->threads; i++) {
		const struct board_lane *lane = &supervisor->board->lanes[retired->first_lane + i];
		open += atomic_load(&lane->connections_open) + atomic_load(&lane->sessions_open) + atomic_load(&lane->services_open);
	}
	return open;
}

uint64_t retired_tunnels(const struct supervisor *supervisor, const struct retired *retired)
{
	uint64_t open = 0;
	for (unsigned i = 0; i < retired->threads; i++) {
		const struct board_lane *lane = &supervisor->board->lanes[retired->first_lane + i];
		open += atomic_load(&lane->tunnels_open) + atomic_load(&lane->services_open);
	}
	return open;
}

/* ---- lanes ---------------------------------------------------------------------------------------------------- */

bool lanes_find(const struct retired *retired, unsigned count, unsigned threads, unsigned *first_lane)
{
	unsigned first = 0;
	for (unsigned lane = 0; lane < BOARD_LANES_MOST && lane - first < threads; lane++)
		for (unsigned i = 0; i < count; i++)
			if (retired[i].child.pid != 0 && lane >= retired[i].first_lane && lane - retired[i].first_lane < retired[i].threads)
				first = lane + 1;
	*first_lane = first;
	return threads <= BOARD_LANES_MOST && first <= BOARD_LANES_MOST - threads;
}

void lanes_ended(struct supervisor *supervisor, unsigned first_lane, unsigned threads)
{
	for (unsigned lane = first_lane; lane < first_lane + threads; lane++)
		board_lane_ended(supervisor->board, lane);
	if (supervisor->guard != NULL)
		guard_lanes_ended(supervisor->guard, first_lane, threads);
}
