/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of processes and what its files share. Used only inside process/.
 */
#ifndef NOAH_PROCESS_PRIVATE_H
#define NOAH_PROCESS_PRIVATE_H

#include "process/messages.h"
#include "process/process.h"

#include <sys/types.h>

enum process_row { PROCESS_TRAFFIC, PROCESS_WATCH, PROCESS_ROWS };

/* Every child runs as the unprivileged user, without capabilities and unable to gain any, in "/", with nothing open but what is
 * named here. `run` reads the channel until the supervisor closes it and returns the exit code. */
struct process {
	const char *name;    /* `noah --child NAME` */
	const char *purpose; /* for `noah status` */
	const char *title;   /* for ps */
	int (*run)(int channel);
	bool gets_access_log;
};
extern const struct process process_table[PROCESS_ROWS];

int traffic_run(int channel); /* traffic.c */
int watch_run(int channel);   /* watch.c */

/* The descriptor on which every child finds its channel to the supervisor. */
#define PROCESS_CHANNEL 3

/* Starts a child and returns its pid, or -errno. *channel is the supervisor's end, non-blocking. With `drop` it runs as uid and
 * gid. */
struct process_identity {
	bool drop;
	uid_t uid;
	gid_t gid;
};
pid_t process_start(enum process_row row, const struct process_identity *identity, enum log_level level, int *channel) MUST_CHECK;

/* privileges.c: in the child, before it reads its first message. Ends the process when the kernel refuses. */
void privileges_drop(const struct process_identity *identity);
/* In the supervisor: finds the user; false with a log line that names the mend. Not root: nothing to drop. */
bool privileges_find(const char *user, struct process_identity *identity) MUST_CHECK;
void privileges_raise_descriptor_limit(void);

#endif
