/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the supervisor's files share: supervisor.c (life, signals, reload), children.c, listeners.c, control.c, status.c.
 * One process, one thread, one poll(2); nothing here is seen by another process.
 */
#ifndef NOAH_SUPERVISOR_PRIVATE_H
#define NOAH_SUPERVISOR_PRIVATE_H

#include "board/board.h"
#include "process/process_private.h"

#include <stdio.h>

#define SUPERVISOR_MAGIC     0x73757072u
#define LISTENERS_MOST       256u /* different addresses on one server */
#define CONTROL_CLIENTS_MOST 8u
#define CONTROL_CLIENT_MS    10000 /* an answer must be fetched within this time */
#define CONTROL_REQUEST_MOST 64u
#define RELOAD_TAKEN_MS      5000 /* the children must work by a new snapshot within this time */

/* ---- children (children.c) ------------------------------------------------------------------------------------ */

/* A crashed child comes back at once. One that crashed CRASHES_AT_ONCE times in a row, each time within LIFE_MS, waits: 100 ms,
 * then twice as long each time, at most RESTART_DELAY_MOST_MS. */
#define CHILD_CRASHES_AT_ONCE       3u
#define CHILD_LIFE_MS               10000
#define CHILD_RESTART_DELAY_MS      100
#define CHILD_RESTART_DELAY_MOST_MS 1000
#define CHILD_MESSAGES_A_TURN       16u

struct child {
	pid_t pid;   /* 0: not running */
	int channel; /* -1: none */
	uint64_t started_us;
	uint64_t restart_at_us; /* while not running */
	unsigned crashes;       /* short lives in a row */
	uint64_t taken_generation;
	char last_end[96]; /* why the one before ended; "" = never did */
	uint64_t last_end_wall_us;
};

struct listener {
	struct message_listener name;
	int descriptor;
	bool wanted; /* by the snapshot that is being looked at */
};

struct control_client {
	int descriptor; /* -1: free */
	uint64_t deadline_us;
	char request[CONTROL_REQUEST_MOST];
	size_t request_size;
	char *answer; /* NULL until there is one */
	size_t answer_size, sent;
	bool waits_for_reload;
};

struct supervisor {
	uint32_t magic;
	const struct process_options *options;
	struct process_identity identity;
	unsigned threads;    /* of traffic */
	unsigned first_lane; /* of traffic, on the board */
	struct board *board;
	int board_descriptor;
	struct cluster *cluster; /* in force */
	int snapshot;            /* the same, sealed */
	struct child children[PROCESS_ROWS];
	struct listener listeners[LISTENERS_MOST];
	unsigned listener_count;
	uint32_t next_listener_id;
	int access_log; /* -1: none */
	int signals;
	int control;
	struct control_client clients[CONTROL_CLIENTS_MOST];
	uint64_t reload_deadline_us; /* 0: no reload is under way */
	char *reload_words;          /* what the reload changed, for who asked */
	bool reload_again;           /* SIGHUP came meanwhile: perhaps the file was changed once more */
	bool announced;              /* "noah serves ..." was said */
	bool stopping;
	uint64_t stop_deadline_us;
};

/* Starts a child and tells it everything that is in force. A failure is logged and tried again later. */
void child_start(struct supervisor *supervisor, enum process_row row);
/* Takes in the ends of children; starts those that are due. */
void children_reap(struct supervisor *supervisor);
void children_start_due(struct supervisor *supervisor);
/* Reads what a child says; a fault kills it. */
void child_receive(struct supervisor *supervisor, enum process_row row);
/* To all children or those whose row allows it; one that does not take it is killed (and comes back with everything). */
void child_send(struct supervisor *supervisor, enum process_row row, const struct message *message, int descriptor);
void children_send_snapshot(struct supervisor *supervisor);
/* All run and work by the snapshot in force. */
bool children_are_ready(const struct supervisor *supervisor);
bool children_are_gone(const struct supervisor *supervisor);
uint64_t children_next_us(const struct supervisor *supervisor); /* when one is due; UINT64_MAX: none */

/* ---- the access log (log_access.c) ---------------------------------------------------------------------------- */

/* Opens what `cluster` says. *descriptor is -1 when it wants none. False: `why` says what is wrong. */
bool access_log_open(const struct cluster *cluster, int *descriptor, char *why, size_t why_size) MUST_CHECK;
/* From now on the access log of the cluster in force goes there; takes the descriptor over and tells traffic. */
void access_log_use(struct supervisor *supervisor, int descriptor);
/* Tells a child that has just started. */
void access_log_tell(struct supervisor *supervisor, enum process_row row);
/* Traffic says that nobody takes the lines any more: connects again if there is somebody. */
void access_log_gone(struct supervisor *supervisor);

/* ---- listening sockets (listeners.c) -------------------------------------------------------------------------- */

/* Opens what `cluster` wants on this server and is not open yet. On failure nothing has changed and `why` says what is wrong. */
bool listeners_open(struct supervisor *supervisor, const struct cluster *cluster, char *why, size_t why_size) MUST_CHECK;
/* Tells a child of those with this id and newer ones that it accepts from; a new child is told of all with first_id 0. */
void listeners_tell(struct supervisor *supervisor, enum process_row row, uint32_t first_id);
/* After the snapshot: tells of those that the last listeners_open did not want any more, and closes them. */
void listeners_close_unwanted(struct supervisor *supervisor);
void listeners_close_all(struct supervisor *supervisor);

/* ---- the control socket (control.c) --------------------------------------------------------------------------- */

bool control_open(struct supervisor *supervisor) MUST_CHECK; /* false: logged */
void control_close(struct supervisor *supervisor);
void control_accept(struct supervisor *supervisor);
void control_handle(struct supervisor *supervisor, struct control_client *client);
void control_expire(struct supervisor *supervisor);
/* "ok" or "failed", then `text`; the connection closes when it is sent. */
void control_answer(struct control_client *client, bool done, const char *text);

/* ---- what the control socket asks for (supervisor.c, status.c) ------------------------------------------------ */

/* Loads the file again. On success returns true: who asked is answered by supervisor_reload_finished. Otherwise false and *why
 * (to be freed) tells what is wrong; nothing has changed. */
bool supervisor_reload(struct supervisor *supervisor, char **why) MUST_CHECK;
void supervisor_stop(struct supervisor *supervisor, const char *why);
char *status_make(const struct supervisor *supervisor) MUST_CHECK; /* JSON, to be freed; NULL: out of memory */

/* systemd's readiness protocol: one datagram to $NOTIFY_SOCKET, nothing when that is not set (notify.c). */
void notify_send(const char *text);

#endif
