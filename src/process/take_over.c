/* SPDX-License-Identifier: BSD-2-Clause
 *
 * take_over: the other half of an upgrade (upgrade.c): a program that was executed where another one ran takes its board,
 * sockets, children and clients, and starts its own processes beside the former traffic; or it is the former program, executed
 * again because the new one did not come up. And the question beforehand, whether it could.
 *
 * Runs in the supervisor before its first turn, called by supervisor.c; process_upgrade_check runs in a short process of its own,
 * called by command/run.c.
 */
#include "process/handover.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- taking over ---------------------------------------------------------------------------------------------- */

int upgrade_inherited(void)
{
	uint64_t number;
	const char *text = getenv(HANDOVER_VARIABLE);
	if (text == NULL || !span_to_number(span_of_text(text), INT32_MAX, &number))
		return -1;
	return (int)number;
}

/* A program that knew of no table has not said in it whose lanes have ended. */
static void end_lanes_of_nobody(const struct supervisor *supervisor, const struct handover *handover)
{
	struct retired all[RETIRED_MOST + 1];
	memcpy(all, supervisor->retired, sizeof supervisor->retired);
	all[RETIRED_MOST] = (struct retired){
	    .child = handover->children[PROCESS_TRAFFIC], .first_lane = handover->first_lane, .threads = handover->threads};
	for (unsigned lane = 0, count; lane < BOARD_LANES_MOST; lane += count) {
		unsigned next = BOARD_LANES_MOST, behind = lane;
		for (unsigned i = 0; i < COUNT_OF(all); i++) {
			if (all[i].child.pid == 0 || all[i].first_lane + all[i].threads <= lane)
				continue;
			if (all[i].first_lane <= lane)
				behind = all[i].first_lane + all[i].threads;
			else if (all[i].first_lane < next)
				next = all[i].first_lane;
		}
		count = behind > lane ? behind - lane : next - lane;
		if (behind == lane)
			guard_lanes_ended(supervisor->guard, lane, count);
	}
}

static void adopt(struct supervisor *supervisor, const struct handover *handover)
{
	snprintf(supervisor->program, sizeof supervisor->program, "%s", handover->program);
	supervisor->board_descriptor = handover->board;
	supervisor->control = handover->control;
	keyring_adopt(supervisor, handover->keyring);
	bans_begin(supervisor, handover->guard);
	supervisor->next_listener_id = handover->next_listener_id;
	supervisor->announced = handover->announced;
	supervisor->first_lane = handover->first_lane;
	memcpy(supervisor->children, handover->children, sizeof supervisor->children);
	supervisor->listener_count = handover->listener_count;
	memcpy(supervisor->listeners, handover->listeners, sizeof supervisor->listeners);
	memcpy(supervisor->retired, handover->retired, sizeof supervisor->retired);
	if (supervisor->guard != NULL)
		end_lanes_of_nobody(supervisor, handover);
	uint64_t deadline_us = clock_monotonic_us() + CONTROL_CLIENT_MS * 1000;
	for (unsigned i = 0; i < handover->client_count; i++) {
		supervisor->clients[i] = handover->clients[i];
		supervisor->clients[i].deadline_us = deadline_us;
	}
}

/* The former watch ends; ours starts once it has. */
static void end_former_watch(struct supervisor *supervisor)
{
	struct child *watch = &supervisor->children[PROCESS_WATCH];
	supervisor->former_watch = watch->pid;
	if (watch->channel >= 0)
		close(watch->channel); /* it ends when it sees this */
	if (watch->pid != 0)
		kill(watch->pid, SIGKILL); /* what it writes is made to be left half-written; and a frozen one would be waited for */
	watch->pid = 0;
	watch->channel = -1;
	watch->restart_at_us = 0;
	watch->taken_generation = 0;
}

static void begin_beside(struct supervisor *supervisor, const struct handover *handover)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	struct retired *retired;
	snprintf(upgrade->former_program, sizeof upgrade->former_program, "%s", handover->former_program);
	snprintf(upgrade->former_version, sizeof upgrade->former_version, "%s", handover->version);
	upgrade->former_descriptor = handover->former_descriptor;
	upgrade->former_snapshot = handover->snapshot;
	upgrade->former_guard = handover->guard;
	upgrade->former_generation = handover->generation;
	upgrade->former_threads = handover->threads;
	upgrade->former_first_lane = handover->first_lane;
	upgrade->stage = UPGRADE_STARTS;
	upgrade->deadline_us = clock_monotonic_us() + UPGRADE_STARTS_MS * UINT64_C(1000);
	if (supervisor->children[PROCESS_TRAFFIC].pid == 0)
		return; /* it has died just now */
	retired = retired_add(supervisor);
	retired->first_lane = handover->first_lane;
	retired->threads = handover->threads;
	retired->generation = handover->generation;
	snprintf(retired->version, sizeof retired->version, "%s", handover->version);
}

/* An upgrade: this is the new program. False when neither it nor the former one can go on. */
static bool take_over_new(struct supervisor *supervisor, const struct handover *handover)
{
	char *words = NULL, why[512] = "out of memory";
	begin_beside(supervisor, handover);
	struct cluster *cluster = supervisor_load(supervisor->options, handover->generation + 1, &words);
	if (cluster == NULL) {
		upgrade_give_up(supervisor, words != NULL ? words : why);
	} else if (!lanes_find(supervisor->retired, RETIRED_MOST, supervisor->threads, &supervisor->first_lane)) {
		upgrade_give_up(supervisor, "earlier generations have all lanes of the board");
	} else {
		board_lanes_use(supervisor->board, supervisor->first_lane + supervisor->threads);
		if (!supervisor_use(supervisor, cluster, why, sizeof why))
			upgrade_give_up(supervisor, why);
	}
	free(words);
	return supervisor->cluster != NULL;
}

/* A newer program could not come up: this is the former one again, with its traffic as it was. */
static bool take_over_again(struct supervisor *supervisor, const struct handover *handover)
{
	char why[UPGRADE_WORDS_SIZE + 128];
	supervisor->threads = handover->threads;
	supervisor->snapshot = handover->snapshot;
	supervisor->cluster = cluster_map(handover->snapshot);
	if (supervisor->cluster == NULL) {
		log_write(LOG_ERROR, "upgrade: the snapshot that was in force cannot be read any more");
		return false;
	}
	board_reserve_undo(supervisor->board, supervisor->cluster);
	atomic_store(&supervisor->board->generation, supervisor->cluster->generation);
	if (!access_log_open(supervisor->cluster, &supervisor->access_log, why, sizeof why))
		log_write(LOG_WARNING, "%s", why);
	keyring_go_on(supervisor);
	if (!listeners_open(supervisor, supervisor->cluster, why, sizeof why))
		log_write(LOG_WARNING, "%s", why);
	listeners_close_unwanted(supervisor);
	listeners_renew(supervisor);
	snprintf(why, sizeof why, "the new program has not come up, noah %s goes on: %s\n", NOAH_VERSION, handover->failure);
	notify_send("READY=1");
	control_answer_waiting(supervisor, CLIENT_WAITS_UPGRADE, false, why);
	return true;
}

bool upgrade_take_over(struct supervisor *supervisor, int state)
{
	char why[256];
	unsetenv(HANDOVER_VARIABLE);
	struct handover *handover = handover_read(state, why, sizeof why);
	unsetenv(HANDOVER_GUARD_VARIABLE);
	close(state);
	if (handover == NULL || !handover_keep_descriptors(handover, false)) {
		log_write(LOG_ERROR, "cannot go on where the former program was: %s",
		          handover == NULL ? why : "a descriptor is not open");
		free(handover);
		return false;
	}
	adopt(supervisor, handover);
	end_former_watch(supervisor);
	supervisor->board = board_map(supervisor->board_descriptor);
	bool good = supervisor->board != NULL;
	if (!good)
		log_write(LOG_ERROR, "cannot go on where the former program was: its board is of another layout");
	else if (handover->failure[0] != '\0')
		good = take_over_again(supervisor, handover);
	else
		good = take_over_new(supervisor, handover);
	free(handover);
	return good;
}

/* ---- the question beforehand ---------------------------------------------------------------------------------- */

static bool could_take_over(const struct process_options *options, const struct handover *handover)
{
	char *words = NULL;
	struct retired all[RETIRED_MOST + 1];
	unsigned first_lane, count = handover->retired_count, threads = supervisor_threads(options);
	memcpy(all, handover->retired, sizeof handover->retired);
	all[count++] = (struct retired){
	    .child = handover->children[PROCESS_TRAFFIC], .first_lane = handover->first_lane, .threads = handover->threads};
	struct board *board = board_map(handover->board);
	if (board == NULL) {
		printf("noah %s and noah %s cannot read the same board: restart it instead\n", NOAH_VERSION, handover->version);
		return false;
	}
	board_unmap(board);
	if (!lanes_find(all, count, threads, &first_lane)) {
		printf(
		    "earlier generations have %u lanes of the board, too many for %u threads more: wait until one has ended, or cut the "
		    "oldest with \"noah upgrade --end-oldest\"\n",
		    BOARD_LANES_MOST, threads);
		return false;
	}
	struct cluster *cluster = supervisor_load(options, handover->generation + 1, &words);
	if (cluster == NULL)
		printf("%s", words != NULL ? words : "out of memory\n");
	free(words);
	if (cluster == NULL)
		return false;
	char why[512];
	bool good = keyring_could_be(cluster, why, sizeof why);
	if (!good)
		puts(why);
	cluster_free(cluster);
	return good;
}

int process_upgrade_check(const struct process_options *options)
{
	char why[256] = "--upgrade-check is for noah's own use: \"noah upgrade\" asks a running noah to begin";
	int state = upgrade_inherited();
	struct handover *handover = state >= 0 ? handover_read(state, why, sizeof why) : NULL;
	if (handover == NULL) {
		puts(why);
		return 1;
	}
	bool good = could_take_over(options, handover);
	free(handover);
	if (good)
		puts("noah " NOAH_VERSION);
	return good ? 0 : 1;
}
