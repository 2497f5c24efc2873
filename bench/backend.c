/* SPDX-License-Identifier: BSD-2-Clause
 *
 * backend: the cheapest HTTP server there can be, so that the proxy in front of it is what limits. One thread; answers every
 * request head (a run of bytes that ends in an empty line) with the same 200 and keeps the connection open. It reads nothing of
 * what the head says: only the bench's own GET requests may come here.
 *
 *   backend ADDRESS BODY-BYTES [FILE]  prints the port that it listens on; FILE: the body is its beginning, as text/html
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MOST      256
#define DESCRIPTORS_MOST 65536u
#define BODY_MOST        1000000ul
#define HEAD_ROOM        256u
#define READ_ROOM        16384u

/* How much of "\r\n\r\n" the bytes that came last on each connection were. */
static unsigned char matched[DESCRIPTORS_MOST];
/* What of its answers each connection has not taken yet, and whether we wait until it takes more. */
static size_t owed[DESCRIPTORS_MOST];
static bool waits[DESCRIPTORS_MOST];
static char *answer;
static size_t answer_size;

static void read_body(const char *path, char *body, size_t body_bytes)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL || fread(body, 1, body_bytes, file) != body_bytes)
		err(1, "%s", path);
	fclose(file);
}

/* `path` NULL: letters that say nothing. */
static void make_answer(size_t body_bytes, const char *path)
{
	answer = malloc(HEAD_ROOM + body_bytes);
	if (answer == NULL)
		err(1, "memory");
	int head =
	    snprintf(answer, HEAD_ROOM, "HTTP/1.1 200 OK\r\nServer: backend\r\nContent-Type: text/%s\r\nContent-Length: %zu\r\n\r\n",
	             path != NULL ? "html" : "plain", body_bytes);
	memset(answer + head, 'x', body_bytes);
	if (path != NULL)
		read_body(path, answer + head, body_bytes);
	answer_size = (size_t)head + body_bytes;
}

static int listen_at(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	const int on = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
		errx(2, "%s is not an IPv4 address", address);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 4096) != 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &size) != 0)
		err(1, "%s", address);
	printf("%u\n", ntohs(at.sin_port));
	fflush(stdout);
	return listener;
}

static void watch(int poller, int descriptor)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) != 0)
		err(1, "epoll");
}

static void accept_all(int poller, int listener)
{
	const int on = 1;
	int descriptor;
	while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if ((unsigned)descriptor >= DESCRIPTORS_MOST) {
			close(descriptor);
			continue;
		}
		matched[descriptor] = 0;
		owed[descriptor] = 0;
		waits[descriptor] = false;
		(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(poller, descriptor);
	}
}

/* Counts the heads that end within these bytes. */
static unsigned count_heads(unsigned char *state, const char *bytes, size_t size)
{
	static const char end[4] = "\r\n\r\n";
	unsigned heads = 0;
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == end[*state]) {
			if (++*state == sizeof(end)) {
				*state = 0;
				heads++;
			}
		} else {
			*state = bytes[i] == '\r';
		}
	}
	return heads;
}

/* Sends as much of what is owed as the socket takes. False: the connection is no more. */
static bool pay(int poller, int descriptor)
{
	while (owed[descriptor] > 0) {
		size_t left = (owed[descriptor] - 1) % answer_size + 1;
		ssize_t sent = send(descriptor, answer + answer_size - left, left, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < 0)
			break;
		owed[descriptor] -= (size_t)sent;
	}
	if (waits[descriptor] != (owed[descriptor] > 0)) {
		waits[descriptor] = owed[descriptor] > 0;
		struct epoll_event event = {.events = waits[descriptor] ? EPOLLOUT : EPOLLIN, .data.fd = descriptor};
		if (epoll_ctl(poller, EPOLL_CTL_MOD, descriptor, &event) != 0)
			err(1, "epoll");
	}
	return true;
}

/* Heads that have come are answered; a connection that does not take its answers is not read from. */
static bool serve(int poller, int descriptor)
{
	static char bytes[READ_ROOM];
	if (!waits[descriptor]) {
		ssize_t got = read(descriptor, bytes, sizeof(bytes));
		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0)
			return false;
		owed[descriptor] += count_heads(&matched[descriptor], bytes, (size_t)got) * answer_size;
	}
	return pay(poller, descriptor);
}

int main(int argc, char **argv)
{
	struct rlimit limit = {DESCRIPTORS_MOST, DESCRIPTORS_MOST};
	struct epoll_event events[EVENTS_MOST];

	if (argc < 3 || argc > 4 || strtoul(argv[2], NULL, 10) > BODY_MOST)
		errx(2, "backend ADDRESS BODY-BYTES [FILE]");
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	make_answer(strtoul(argv[2], NULL, 10), argv[3]);
	int listener = listen_at(argv[1]);
	int poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		err(1, "epoll");
	watch(poller, listener);
	for (;;) {
		int count = epoll_wait(poller, events, EVENTS_MOST, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener)
				accept_all(poller, listener);
			else if (!serve(poller, events[i].data.fd))
				close(events[i].data.fd);
		}
	}
}
