/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch: the process that looks after everybody's health. One thread, one loop; what it checks and decides is in the folder
 * watch/. This file only reads the supervisor's messages.
 *
 * Started by process.c. Ends when the supervisor closes the channel: by stopping noah, or by being gone.
 */
#include "process/process_private.h"

#include "board/board.h"
#include "cluster/snapshot.h"
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	struct watched channel;
	struct loop *loop;
	struct board *board;
	struct watch *watch;
	const char *process_names[PROCESS_ROWS];
	int exit_code;
} self;

static void use_snapshot(const struct message *message, int descriptor)
{
	const struct cluster *cluster = cluster_map(descriptor);
	close(descriptor);
	struct snapshot *snapshot = cluster != NULL ? snapshot_new(cluster) : NULL;
	if (snapshot == NULL || cluster->generation != message->snapshot.generation) {
		log_write(LOG_ERROR, "watch cannot go on: the supervisor's snapshot is not one, or memory is out");
		exit(1);
	}
	watch_use(self.watch, snapshot);
	snapshot_unref(snapshot);
	struct message taken = {.type = MESSAGE_TAKEN};
	taken.snapshot.generation = message->snapshot.generation;
	if (message_send(self.channel.descriptor, &taken, -1) != 0)
		log_write(LOG_WARNING, "the supervisor does not hear that snapshot %ju is in use", (uintmax_t)taken.snapshot.generation);
}

static bool handle(const struct message *message, int descriptor)
{
	if (message->type == MESSAGE_LOG) {
		bool good = dup2(descriptor, STDERR_FILENO) >= 0;
		close(descriptor);
		return good;
	}
	if (message->type == MESSAGE_START && self.board == NULL) {
		self.board = board_map(descriptor);
		close(descriptor);
		self.watch = self.board != NULL ? watch_new(self.loop, self.board) : NULL;
		if (self.watch == NULL)
			return false;
		for (unsigned row = 0; row < PROCESS_ROWS; row++)
			self.process_names[row] = process_table[row].name;
		watch_name_processes(self.watch, self.process_names, PROCESS_ROWS);
		return true;
	}
	if (message->type == MESSAGE_LISTENER && self.watch != NULL && message->listener.kind == LISTENER_ADMIN) {
		if (watch_listen(self.watch, message->listener.id, descriptor))
			return true;
		close(descriptor);
		return false;
	}
	if (message->type == MESSAGE_LISTENER_GONE && self.watch != NULL) {
		watch_listener_gone(self.watch, message->listener.id);
		return true;
	}
	if (message->type == MESSAGE_SNAPSHOT && self.watch != NULL) {
		use_snapshot(message, descriptor);
		return true;
	}
	log_write(LOG_ERROR, "watch cannot go on: it got %s", message_type_text(message->type));
	if (descriptor >= 0)
		close(descriptor);
	return false;
}

static void read_channel(void *argument)
{
	(void)argument;
	for (;;) { /* until the channel ends */
		struct message message;
		int descriptor;
		int result = message_receive(self.channel.descriptor, &message, &descriptor);
		if (result == -EAGAIN) {
			self.channel.readable = false;
			if (watched_wait_readable(&self.channel, NO_TIMEOUT) != WAIT_READY)
				break;
			continue;
		}
		if (result == 0)
			break;
		if (result < 0 || !handle(&message, descriptor)) {
			self.exit_code = 1;
			break;
		}
	}
	loop_stop(self.loop);
}

static void start(void *argument)
{
	(void)argument;
	if (watched_add(&self.channel, PROCESS_CHANNEL) != 0 || task_start(self.loop, "channel", read_channel, NULL) == NULL) {
		log_write(LOG_ERROR, "watch cannot start: out of memory");
		exit(1);
	}
}

int watch_run(int channel)
{
	self.loop = loop_new("watch");
	if (self.loop == NULL || fcntl(channel, F_SETFL, O_NONBLOCK) != 0 || !loop_post(self.loop, start, NULL)) {
		log_write(LOG_ERROR, "watch cannot start: %m");
		return 1;
	}
	loop_run(self.loop);
	if (self.watch != NULL)
		watch_free(self.watch);
	watched_close(&self.channel);
	loop_free(self.loop);
	return self.exit_code;
}
