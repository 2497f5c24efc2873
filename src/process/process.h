/* SPDX-License-Identifier: BSD-2-Clause
 *
 * process: the supervisor and its children, and how a command talks to a running noah.
 *
 * Used by command/. One file for each process: supervisor.c, traffic.c, watch.c; process.c has the table that says which there
 * are and what each may do.
 */
#ifndef NOAH_PROCESS_H
#define NOAH_PROCESS_H

#include "base/base.h"

#define PROCESS_DEFAULT_CONTROL "/run/noah/noah.sock"
#define PROCESS_DEFAULT_USER    "noah"
#define PROCESS_DRAIN_MS        30000 /* a stop waits this long for requests and statements under way */

struct process_options {
	const char *file;     /* the cluster file */
	const char *server;   /* which server this is; NULL: found by address */
	const char *user;     /* whom traffic and watch run as, when started as root */
	const char *control;  /* path of the control socket */
	const char *log_file; /* NULL: standard error */
	unsigned threads;     /* of traffic; 0: one for each processor this process may use */
	enum log_level log_level;
	char *const *arguments; /* of the command, its name first: an upgrade executes the new program with them */
};

/* Runs the supervisor until SIGTERM, SIGINT or `noah stop`. Returns the exit code (command/command.h): 0 after an orderly stop, 1
 * when it could not start, 2 when the cluster file is bad. What is wrong has been logged. */
int process_supervise(const struct process_options *options) MUST_CHECK;

/* `noah --child NAME ...`: what the supervisor executes; refuses to run otherwise. The signature of a command. */
int process_child(int argc, char **argv);

/* `noah --upgrade-check run ...`, executed by a running noah that wants to be replaced by this program: tells on standard output
 * whether it could take over what the environment names, and changes nothing. Returns the exit code. */
int process_upgrade_check(const struct process_options *options) MUST_CHECK;

/* Asks the noah that listens at `control`: "status", "reload", "stop", "upgrade [PROGRAM]", ... (control.c). Returns 0 and the
 * answer (zero-terminated, to be freed), with *done telling whether it was done; or -errno when nobody answers there (*answer is
 * NULL). */
int process_ask(const char *control, const char *request, bool *done, char **answer) MUST_CHECK;

#endif
