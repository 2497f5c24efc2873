/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the supervisor's files share: supervisor.c (life, signals, reload), children.c, retired.c, listeners.c, keyring.c,
 * log_access.c, bans.c, control.c, servers.c, maintenance.c, status.c, upgrade.c, take_over.c. One process, one thread, one
 * poll(2); nothing here is seen by another process.
 */
#ifndef NOAH_SUPERVISOR_PRIVATE_H
#define NOAH_SUPERVISOR_PRIVATE_H

#include "board/board.h"
#include "guard/guard.h"
#include "process/process_private.h"

#include <stdio.h>

#define SUPERVISOR_MAGIC      0x73757072u
#define LISTENERS_MOST        256u /* different addresses on one server */
#define CONTROL_CLIENTS_MOST  8u
#define CONTROL_CLIENT_MS     10000 /* an answer must be fetched within this time */
#define CONTROL_REQUEST_MOST  1280u /* a path, or a name, and a word before it */
#define RELOAD_TAKEN_MS       5000  /* the children must work by a new snapshot within this time */
#define RETIRED_MOST          16u   /* earlier program generations whose connections go on */
#define UPGRADE_CHECK_MS      20000 /* the new program must have said within this time whether it can take over */
#define UPGRADE_STARTS_MS     20000 /* and its processes must work within this time */
#define UPGRADE_ENDS_MS       2000  /* frozen traffic does not hear that it is retired: nobody waits for it longer than this */
#define UPGRADE_CRASHES_MOST  3u    /* or it is given up when one of them has died so often */
#define PROGRAM_PATH_SIZE     1024u
#define PROGRAM_VERSION_SIZE  32u
#define UPGRADE_WORDS_SIZE    2048u
#define HANDOVER_FAILURE_SIZE UPGRADE_WORDS_SIZE

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

/* Traffic of before an upgrade (retired.c): it accepts no more, and ends when its last connection does. */
struct retired {
	struct child child; /* pid 0: this place is free */
	unsigned first_lane, threads;
	char version[PROGRAM_VERSION_SIZE];
	uint64_t generation;      /* of the snapshot that it began with */
	uint64_t retired_wall_us; /* 0: not yet, it still accepts beside the new one, which is starting */
	bool accepts;             /* it has been told, and may not have heard it yet */
};

struct listener {
	struct message_listener name;
	int descriptor;
	bool wanted; /* by the snapshot that is being looked at */
};

/* What has to happen before a request is answered. */
enum client_waits { CLIENT_WAITS_NOT, CLIENT_WAITS_RELOAD, CLIENT_WAITS_UPGRADE, CLIENT_WAITS_END };

struct control_client {
	int descriptor; /* -1: free */
	uint64_t deadline_us;
	char request[CONTROL_REQUEST_MOST];
	size_t request_size;
	char *answer; /* NULL until there is one */
	size_t answer_size, sent;
	enum client_waits waits;
};

/* An upgrade, from the request to the answer. The program is replaced between the stages (upgrade.c). */
enum upgrade_stage {
	UPGRADE_NONE,
	UPGRADE_CHECKS, /* the new program looks whether it could take over */
	UPGRADE_READY,  /* it can: handed over as soon as every answer has been sent */
	UPGRADE_STARTS, /* it has taken over and starts its processes beside the former traffic */
	UPGRADE_ENDS,   /* they work; the former traffic hears that it accepts no more */
};

struct upgrade {
	enum upgrade_stage stage;
	uint64_t deadline_us;
	char program[PROGRAM_PATH_SIZE]; /* the new one */
	/* UPGRADE_CHECKS */
	pid_t checker;
	int output; /* what it says; -1: it has said all */
	int state;  /* the memory file that it was shown */
	size_t words_size;
	char words[UPGRADE_WORDS_SIZE];
	/* UPGRADE_STARTS: what is needed to give back */
	char former_program[PROGRAM_PATH_SIZE];
	char former_version[PROGRAM_VERSION_SIZE];
	int former_descriptor, former_snapshot, former_guard;
	uint64_t former_generation;
	unsigned former_threads, former_first_lane;
	unsigned crashes;
};

/* Certificates, and the keyring that traffic has of them. */
struct keyring_preparation {
	struct tls_set *set; /* NULL: none */
	int descriptor;      /* -1: no site has a certificate */
};

struct supervisor {
	uint32_t magic;
	const struct process_options *options;
	struct process_identity identity;
	unsigned threads;    /* of traffic */
	unsigned first_lane; /* of traffic, on the board */
	struct board *board;
	int board_descriptor;
	struct guard *guard;           /* NULL: it could not be made, and no address is counted or banned */
	const struct cluster *cluster; /* in force */
	int snapshot;                  /* the same, sealed */
	struct child children[PROCESS_ROWS];
	struct retired retired[RETIRED_MOST];
	pid_t former_watch; /* of before an upgrade, about to end; 0: none. Two would write the same fields of the board */
	struct upgrade upgrade;
	char program[PROGRAM_PATH_SIZE]; /* the file that was started: what stands there now may be newer */
	struct listener listeners[LISTENERS_MOST];
	unsigned listener_count;
	uint32_t next_listener_id;
	int access_log;                     /* -1: none */
	struct tls_keeper *keeper;          /* NULL before the first file */
	struct keyring_preparation keyring; /* in force */
	uint64_t keyring_looked_us;
	int signals;
	int control;
	uint64_t control_rests_until_us; /* no descriptor was left for who connects there; 0: it does not */
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

/* ---- certificates (keyring.c) --------------------------------------------------------------------------------- */

/* Reads what `cluster` names. On failure nothing has changed and `why` says what is wrong. Warnings are logged. */
bool keyring_prepare(struct supervisor *supervisor, const struct cluster *cluster, struct keyring_preparation *preparation,
                     char *why, size_t why_size) MUST_CHECK;
void keyring_forget(struct keyring_preparation *preparation);
/* Puts it in force and tells traffic: before the listeners and the snapshot that need it. */
void keyring_use(struct supervisor *supervisor, const struct keyring_preparation *preparation);
void keyring_tell(struct supervisor *supervisor); /* traffic has just started */
/* When it is time: looks at the files, and tells traffic if something has changed. */
void keyring_look(struct supervisor *supervisor);
uint64_t keyring_next_us(const struct supervisor *supervisor); /* when it is time; UINT64_MAX: never */
/* After an upgrade: ticket keys and self-signed certificates go on. `descriptor` (-1: none) is taken over. */
void keyring_adopt(struct supervisor *supervisor, int descriptor);
/* After an upgrade that was given back: the certificates of the cluster in force. */
void keyring_go_on(struct supervisor *supervisor);
/* Whether the certificates of a cluster could be loaded. */
bool keyring_could_be(const struct cluster *cluster, char *why, size_t why_size) MUST_CHECK;
void keyring_end(struct supervisor *supervisor);

/* ---- too much from one address (bans.c) ----------------------------------------------------------------------- */

/* The table in which traffic counts. After an upgrade it goes on: `descriptor` (-1: the former program had none) is taken over,
 * and where it cannot be read a new one is made. */
void bans_begin(struct supervisor *supervisor, int descriptor);
void bans_tell(struct supervisor *supervisor); /* traffic has just started */
/* JSON for `noah bans`, to be freed; NULL: out of memory. */
char *bans_list(const struct supervisor *supervisor) MUST_CHECK;
/* Lifts the ban of an address (as text), or all with "--all". *done is false when nothing was lifted, and the text says why; to
 * be freed. NULL: out of memory. */
char *bans_lift(struct supervisor *supervisor, const char *address, bool *done) MUST_CHECK;

/* ---- the access log (log_access.c) ---------------------------------------------------------------------------- */

/* Opens what `cluster` says. *descriptor is -1 when it wants none. False: `why` says what is wrong. */
bool access_log_open(const struct cluster *cluster, int *descriptor, char *why, size_t why_size) MUST_CHECK;
/* From now on the access log of the cluster in force goes there; takes the descriptor over and tells traffic. */
void access_log_use(struct supervisor *supervisor, int descriptor);
/* Tells a child that has just started. */
void access_log_tell(struct supervisor *supervisor, enum process_row row);
/* Traffic says that nobody takes the lines any more: connects again if there is somebody. */
void access_log_gone(struct supervisor *supervisor);

/* ---- earlier generations of traffic (retired.c) --------------------------------------------------------------- */

/* The traffic that runs becomes a retired one that still accepts. ASSERTs that there is room. */
struct retired *retired_add(struct supervisor *supervisor);
/* Tells those that still accept to accept no more. */
void retired_begin(struct supervisor *supervisor);
bool retired_accept_no_more(const struct supervisor *supervisor); /* all have heard it */
void retired_receive(struct supervisor *supervisor, struct retired *retired);
void retired_reap(struct supervisor *supervisor);
void retired_send(struct supervisor *supervisor, const struct message *message, int descriptor);
/* Ends it with all its connections. */
void retired_end(struct retired *retired);
void retired_signal(const struct supervisor *supervisor, int signal_number);
unsigned retired_count(const struct supervisor *supervisor);
struct retired *retired_oldest(struct supervisor *supervisor); /* NULL: none */
/* Connections and sessions that it still carries. */
uint64_t retired_open(const struct supervisor *supervisor, const struct retired *retired);
/* Those of them that are tunnels, of HTTP or of TCP services: they may last for days. */
uint64_t retired_tunnels(const struct supervisor *supervisor, const struct retired *retired);
/* `threads` lanes of the board in a row that no living process has; false: there are none. */
bool lanes_find(const struct retired *retired, unsigned retired_count, unsigned threads, unsigned *first_lane) MUST_CHECK;
void lanes_ended(struct supervisor *supervisor, unsigned first_lane, unsigned threads);

/* ---- upgrade (upgrade.c, take_over.c) ------------------------------------------------------------------------- */

/* Begins one to the program at `path` (NULL: the file that was started). False: *why (to be freed) tells why not. Who asked is
 * answered at its end, by this program or the new one. */
bool upgrade_begin(struct supervisor *supervisor, const char *path, char **why) MUST_CHECK;
/* Looks whether the next stage can begin; after each turn. */
void upgrade_advance(struct supervisor *supervisor);
/* noah stops: what has been begun is not finished, and who asked hears it. */
void upgrade_stop(struct supervisor *supervisor);
void upgrade_read(struct supervisor *supervisor); /* what the new program says about itself */
/* The new program does not come up: executes the former one again. Comes back only when that is not possible. */
void upgrade_give_up(struct supervisor *supervisor, const char *why);
/* In a program that took another's place: goes on from where it was. False: nothing can be done, it has been logged. */
bool upgrade_take_over(struct supervisor *supervisor, int state) MUST_CHECK;
/* The descriptor of what a former program left, -1 when this one was started afresh. */
int upgrade_inherited(void);

/* ---- listening sockets (listeners.c) -------------------------------------------------------------------------- */

/* Opens what `cluster` wants on this server and is not open yet. On failure nothing has changed and `why` says what is wrong. */
bool listeners_open(struct supervisor *supervisor, const struct cluster *cluster, char *why, size_t why_size) MUST_CHECK;
/* Tells a child of those with this id and newer ones that it accepts from; a new child is told of all with first_id 0. */
void listeners_tell(struct supervisor *supervisor, enum process_row row, uint32_t first_id);
/* After the snapshot: tells of those that the last listeners_open did not want any more, and closes them. */
void listeners_close_unwanted(struct supervisor *supervisor);
/* Makes traffic look at every listening socket anew: an arrival that woke another process, which has been killed since, waits
 * there and nobody knows. */
void listeners_renew(struct supervisor *supervisor);
void listeners_close_all(struct supervisor *supervisor);

/* ---- the control socket (control.c) --------------------------------------------------------------------------- */

bool control_open(struct supervisor *supervisor) MUST_CHECK; /* false: logged */
void control_close(struct supervisor *supervisor);
void control_accept(struct supervisor *supervisor);
void control_handle(struct supervisor *supervisor, struct control_client *client);
void control_expire(struct supervisor *supervisor);
/* "ok" or "failed", then `text`; the connection closes when it is sent. */
void control_answer(struct control_client *client, bool done, const char *text);
/* The same for all who wait for that. */
void control_answer_waiting(struct supervisor *supervisor, enum client_waits waits, bool done, const char *text);

/* ---- what the control socket asks for (supervisor.c, status.c) ------------------------------------------------ */

/* Loads the file again. On success returns true: who asked is answered by supervisor_reload_finished. Otherwise false and *why
 * (to be freed) tells what is wrong; nothing has changed. */
bool supervisor_reload(struct supervisor *supervisor, char **why) MUST_CHECK;
/* The file as it is now, as the generation after the present one. NULL with *why (to be freed; NULL: out of memory). */
struct cluster *supervisor_load(const struct process_options *options, uint64_t generation, char **why) MUST_CHECK;
/* How many threads of traffic there shall be. */
unsigned supervisor_threads(const struct process_options *options);
/* Puts a file in force that has been loaded: all that can fail comes before anything has changed. False with `why`: the cluster
 * is still the caller's. */
bool supervisor_use(struct supervisor *supervisor, struct cluster *cluster, char *why, size_t why_size) MUST_CHECK;
void supervisor_stop(struct supervisor *supervisor, const char *why);
char *status_make(const struct supervisor *supervisor) MUST_CHECK; /* JSON, to be freed; NULL: out of memory */

/* ---- what an administrator says about servers (servers.c) ------------------------------------------------------ */

enum servers_verb { SERVERS_LOOK, SERVERS_DRAIN, SERVERS_UNDRAIN, SERVERS_WEIGH };
/* JSON about the server as it is then, or *done is false and the text says why not; to be freed. NULL: out of memory. */
char *servers_say(struct supervisor *supervisor, enum servers_verb verb, const char *name, unsigned percent,
                  bool *done) MUST_CHECK;

/* ---- which sites are in maintenance (maintenance.c) ------------------------------------------------------------- */

#define MAINTENANCE_FOR_EVER_MS UINT64_MAX
#define MAINTENANCE_MOST_MS     (UINT64_C(366) * 86400 * 1000) /* of an end that is known */
/* JSON: all sites that are in maintenance. To be freed; NULL: out of memory. */
char *maintenance_list(const struct supervisor *supervisor) MUST_CHECK;
/* For so long from now on; 0: not any more. JSON about the site as it is then, or *done is false and the text says why not; to be
 * freed. NULL: out of memory. */
char *maintenance_say(struct supervisor *supervisor, const char *name, uint64_t for_ms, bool *done) MUST_CHECK;

/* systemd's readiness protocol: one datagram to $NOTIFY_SOCKET, nothing when that is not set (notify.c). */
void notify_send(const char *text);

#endif
