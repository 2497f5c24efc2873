/* SPDX-License-Identifier: BSD-2-Clause
 *
 * process: the table of all processes, how the supervisor starts one, and where it begins.
 *
 * A child is this program executed again, so that it has an address space of its own and inherits nothing: process_start (in the
 * supervisor) forks and executes `noah --child NAME`; process_child (in the child) drops privileges and calls the row's function.
 */
#include "process/process_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off */
const struct process process_table[PROCESS_ROWS] = {
	/* The supervisor is not in the table: it is root, reads the file, opens sockets and logs, and parses nothing that came
	 * from the network. */
	[PROCESS_TRAFFIC] = { .name = "traffic", .purpose = "HTTP and SQL for visitors and apps", .title = "noah-traffic",
	                      .run = traffic_run, .gets_access_log = true },
	[PROCESS_WATCH]   = { .name = "watch", .purpose = "health checks and database roles", .title = "noah-watch",
	                      .run = watch_run },
};
/* clang-format on */

/* ---- in the supervisor ---------------------------------------------------------------------------------------- */

/* Between fork and exec: only calls that are safe there. Descriptors: 0 and 1 nothing, 2 the log, 3 the channel, no others. */
static _Noreturn void become_child(int channel, char *const arguments[])
{
	int nothing = open("/dev/null", O_RDWR);
	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(channel, PROCESS_CHANNEL) < 0)
		_exit(126);
	if (channel == PROCESS_CHANNEL && fcntl(channel, F_SETFD, 0) != 0)
		_exit(126);
	if (close_range(PROCESS_CHANNEL + 1, ~0u, 0) != 0)
		_exit(126);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", arguments);
	_exit(127);
}

pid_t process_start(enum process_row row, const struct process_identity *identity, enum log_level level, int *channel)
{
	const struct process *process = &process_table[row];
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	char title[32], name[32], drop[8], uid[16], gid[16], level_number[8], option[] = "--child";
	snprintf(title, sizeof title, "%s", process->title);
	snprintf(name, sizeof name, "%s", process->name);
	snprintf(drop, sizeof drop, "%d", identity->drop);
	snprintf(uid, sizeof uid, "%u", (unsigned)identity->uid);
	snprintf(gid, sizeof gid, "%u", (unsigned)identity->gid);
	snprintf(level_number, sizeof level_number, "%d", (int)level);
	char *const arguments[] = {title, option, name, drop, uid, gid, level_number, NULL};
	pid_t pid = fork();
	if (pid == 0)
		become_child(pair[1], arguments);
	int error = errno;
	close(pair[1]);
	if (pid < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) {
		close(pair[0]);
		return -error;
	}
	*channel = pair[0];
	return pid;
}

/* ---- in the child --------------------------------------------------------------------------------------------- */

static bool is_number(const char *text, uint64_t most, uint64_t *value)
{
	return span_to_number(span_of_text(text), most, value);
}

int process_child(int argc, char **argv)
{
	int type = 0;
	socklen_t size = sizeof type;
	uint64_t drop, uid, gid, level;
	const struct process *process = NULL;
	for (unsigned i = 0; argc == 6 && i < PROCESS_ROWS; i++)
		if (strcmp(process_table[i].name, argv[1]) == 0)
			process = &process_table[i];
	if (process == NULL || !is_number(argv[2], 1, &drop) || !is_number(argv[3], UINT32_MAX - 1, &uid) ||
	    !is_number(argv[4], UINT32_MAX - 1, &gid) || !is_number(argv[5], LOG_DEBUG, &level) ||
	    getsockopt(PROCESS_CHANNEL, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
		fputs("noah: --child is for noah's own use: \"noah run\" starts its processes\n", stderr);
		return 2;
	}
	log_set_process(process->name);
	log_set_level((enum log_level)level);
	prctl(PR_SET_NAME, process->title);
	if (fcntl(PROCESS_CHANNEL, F_SETFD, FD_CLOEXEC) != 0)
		return 1;
	/* The supervisor says when to end. A terminal's Ctrl-C and systemd signal the whole group: those are not for us. */
	static const int not_ours[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
	for (unsigned i = 0; i < COUNT_OF(not_ours); i++)
		signal(not_ours[i], SIG_IGN);
	privileges_drop(&(struct process_identity){.drop = drop != 0, .uid = (uid_t)uid, .gid = (gid_t)gid});
	return process->run(PROCESS_CHANNEL);
}
