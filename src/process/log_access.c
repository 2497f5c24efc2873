/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log_access: opens the place where the lines of the access log go and hands it to traffic, which never touches the file system:
 * a file, syslog's socket or the journal's.
 *
 * A syslog or journal that does not run is no reason not to serve: traffic gets a socket that is not connected, counts what it
 * cannot say, and asks (MESSAGE_ACCESS_LOG_GONE, at most once a second) for one that is. So does it after a restart of theirs.
 *
 * Runs in the supervisor; called by supervisor.c (start, reload, SIGUSR1) and children.c (a new traffic process).
 */
#include "process/supervisor_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSLOG_SOCKET  "/dev/log"
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A datagram socket that never waits; *connected tells whether somebody takes what is sent there. -errno: no socket. */
static int open_datagrams(const char *path, bool *connected)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (descriptor < 0)
		return -errno;
	ASSERT(strlen(path) < sizeof where.sun_path);
	memcpy(where.sun_path, path, strlen(path));
	*connected = connect(descriptor, (struct sockaddr *)&where, sizeof where) == 0;
	return descriptor;
}

static const char *path_of(const struct cluster_log *log)
{
	return log->access_to == LOG_TO_FILE ? log->access_file : log->access_to == LOG_TO_SYSLOG ? SYSLOG_SOCKET : JOURNAL_SOCKET;
}

/* The descriptor or -errno. */
static int open_destination(const struct cluster_log *log, bool *connected)
{
	*connected = true;
	if (log->access_to != LOG_TO_FILE)
		return open_datagrams(path_of(log), connected);
	/* O_NONBLOCK: a pipe under that name whose reader is gone or sleeps must hold neither us nor the traffic */
	int descriptor = open(log->access_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	return descriptor < 0 ? -errno : descriptor;
}

bool access_log_open(const struct cluster *cluster, int *descriptor, char *why, size_t why_size)
{
	bool connected;
	*descriptor = -1;
	if (cluster->log.access_to == LOG_TO_NOTHING)
		return true;
	int result = open_destination(&cluster->log, &connected);
	if (result < 0) {
		snprintf(why, why_size, "cannot open the access log %s: %s; make its directory, or change log.access",
		         path_of(&cluster->log), strerror(-result));
		return false;
	}
	if (!connected)
		log_write(LOG_WARNING, "nobody takes the access log at %s (%m): its lines are lost until somebody does",
		          path_of(&cluster->log));
	*descriptor = result;
	return true;
}

static struct message message_of(const struct supervisor *supervisor)
{
	struct message message = {.type = MESSAGE_ACCESS_LOG_NONE};
	if (supervisor->access_log >= 0) {
		message.type = MESSAGE_ACCESS_LOG;
		message.access_log.to = supervisor->cluster->log.access_to;
		message.access_log.format = supervisor->cluster->log.format;
	}
	return message;
}

void access_log_tell(struct supervisor *supervisor, enum process_row row)
{
	struct message message = message_of(supervisor);
	child_send(supervisor, row, &message, supervisor->access_log);
}

void access_log_use(struct supervisor *supervisor, int descriptor)
{
	if (supervisor->access_log >= 0)
		close(supervisor->access_log);
	supervisor->access_log = descriptor;
	struct message message = message_of(supervisor);
	child_send(supervisor, PROCESS_TRAFFIC, &message, descriptor);
	retired_send(supervisor, &message, descriptor);
}

void access_log_gone(struct supervisor *supervisor)
{
	const struct cluster_log *log = &supervisor->cluster->log;
	bool connected;
	if (supervisor->access_log < 0 || log->access_to == LOG_TO_FILE)
		return; /* a reload has changed it meanwhile */
	int descriptor = open_destination(log, &connected);
	if (descriptor < 0 || !connected) { /* it asks again */
		LOG_LIMITED(LOG_WARNING, 60000, "nobody takes the access log at %s (%s): lines are lost", path_of(log),
		            strerror(descriptor < 0 ? -descriptor : errno));
		if (descriptor >= 0)
			close(descriptor);
		return;
	}
	log_write(LOG_NOTICE, "the access log goes to %s again", path_of(log));
	access_log_use(supervisor, descriptor);
}
