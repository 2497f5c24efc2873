/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listening sockets: opened by the supervisor, accepted from by one task on each of traffic's loops. An arrival wakes
 * one loop, not all of them (watched_add_shared).
 */
#include "net/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCEPTS_A_TURN   64u
#define WAITING_MOST     65536u /* as long as a socket's queue can be */
#define OUT_OF_DESCRIPTORS_PAUSE_MS 100

struct net_listener {
	struct watched watched;
	struct task *task; /* NULL once it has ended */
	bool freed;
	void (*accepted)(void *argument, int descriptor, const struct address *from);
	void *argument;
};

/* ---- opening ---- */

/* A socket file that nobody listens behind is left over from a program that was killed. */
static bool unix_socket_is_dead(const struct sockaddr_storage *where, socklen_t size)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return false;
	bool dead = connect(probe, (const struct sockaddr *)where, size) != 0 && errno == ECONNREFUSED;
	close(probe);
	return dead;
}

static int bind_unix(int descriptor, const struct address *at, const struct sockaddr_storage *where, socklen_t size)
{
	struct stat status;

	if (lstat(at->path, &status) == 0) {
		if (!S_ISSOCK(status.st_mode) || !unix_socket_is_dead(where, size))
			return -EADDRINUSE;
		if (unlink(at->path) != 0)
			return -errno;
	}
	if (bind(descriptor, (const struct sockaddr *)where, size) != 0)
		return -errno;
	if (chmod(at->path, 0666) != 0) /* the database's own socket is open to all users too: the login decides */
		return -errno;
	return 0;
}

static int bind_tcp(int descriptor, const struct address *at, const struct sockaddr_storage *where, socklen_t size)
{
	const int on = 1, off = 0;

	if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return -errno;
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it: a call saved for each */
	if (at->family == ADDRESS_IPV6 && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0)
		return -errno;
	return bind(descriptor, (const struct sockaddr *)where, size) == 0 ? 0 : -errno;
}

int net_listen(const struct address *at, int backlog)
{
	struct sockaddr_storage where;
	socklen_t size = address_to_sockaddr(at, &where);
	int descriptor = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* A machine without IPv6 listens on all its IPv4 addresses when asked for [::]. */
	if (descriptor < 0 && errno == EAFNOSUPPORT && at->family == ADDRESS_IPV6 && IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)at->ip)) {
		struct address any = { .family = ADDRESS_IPV4, .port = at->port };
		return net_listen(&any, backlog);
	}
	if (descriptor < 0)
		return -errno;
	int result = at->family == ADDRESS_UNIX ? bind_unix(descriptor, at, &where, size) : bind_tcp(descriptor, at, &where, size);
	if (result == 0 && listen(descriptor, backlog) != 0)
		result = -errno;
	if (result != 0) {
		close(descriptor);
		return result;
	}
	return descriptor;
}

/* ---- accepting ---- */

/* False when the listener should pause. */
static bool accept_some(struct net_listener *listener)
{
	for (unsigned i = 0; i < ACCEPTS_A_TURN && !listener->freed; i++) {
		struct sockaddr_storage from_raw;
		socklen_t size = sizeof(from_raw);
		int descriptor = accept4(listener->watched.descriptor, (struct sockaddr *)&from_raw, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (descriptor >= 0) {
			struct address from;
			address_from_sockaddr((struct sockaddr *)&from_raw, size, &from);
			listener->accepted(listener->argument, descriptor, &from);
			continue;
		}
		if (errno == EAGAIN) {
			listener->watched.readable = false;
			return true;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			LOG_LIMITED(LOG_ERROR, 10000, "cannot accept a connection: %m; raise the limit of open files (LimitNOFILE) or lower the load");
			return false;
		}
		if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK) {
			listener->watched.readable = false;
			return true;
		}
		/* accept(2): errors of the new connection itself (ECONNABORTED, EPROTO, ENETDOWN …) are passed over */
	}
	return true;
}

static void accept_task(void *argument)
{
	struct net_listener *listener = argument;

	for (;;) {
		if (watched_wait_readable(&listener->watched, NO_TIMEOUT) != WAIT_READY || listener->freed)
			break;
		if (!accept_some(listener)) {
			if (task_sleep(OUT_OF_DESCRIPTORS_PAUSE_MS) != WAIT_READY)
				break;
		} else if (listener->watched.readable && task_yield() != WAIT_READY) {
			break;
		}
	}
	listener->task = NULL;
	if (listener->freed)
		free(listener);
	else
		(void)!watched_release(&listener->watched); /* the loop ends; others go on with the socket */
}

struct net_listener *net_listener_new(int descriptor,
                                      void (*accepted)(void *argument, int descriptor, const struct address *from),
                                      void *argument)
{
	struct net_listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		return NULL;
	listener->accepted = accepted;
	listener->argument = argument;
	if (watched_add_shared(&listener->watched, descriptor) != 0) {
		free(listener);
		return NULL;
	}
	listener->watched.readable = true; /* who came before us is waiting already */
	listener->task = task_start(loop_current(), "accept", accept_task, listener);
	if (listener->task == NULL) {
		(void)!watched_release(&listener->watched);
		free(listener);
		return NULL;
	}
	return listener;
}

void net_listener_finish(struct net_listener *listener)
{
	if (listener == NULL)
		return;
	int descriptor = listener->task != NULL ? watched_release(&listener->watched) : -1;
	for (unsigned i = 0; descriptor >= 0 && i < WAITING_MOST; i++) {
		struct sockaddr_storage from_raw;
		struct address from;
		socklen_t size = sizeof(from_raw);
		int connection = accept4(descriptor, (struct sockaddr *)&from_raw, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (connection < 0 && errno != ECONNABORTED && errno != EPROTO)
			break;
		if (connection < 0)
			continue;
		address_from_sockaddr((struct sockaddr *)&from_raw, size, &from);
		listener->accepted(listener->argument, connection, &from);
	}
	net_listener_free(listener);
}

void net_listener_free(struct net_listener *listener)
{
	if (listener == NULL)
		return;
	if (listener->task == NULL) {
		free(listener);
		return;
	}
	if (listener->watched.descriptor >= 0)
		(void)!watched_release(&listener->watched); /* now: the caller may close the socket next */
	listener->freed = true;                         /* its task frees it */
	task_cancel(listener->task);
}
