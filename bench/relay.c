/* SPDX-License-Identifier: BSD-2-Clause
 *
 * relay: the floor. A TCP relay on noah's own loop that parses nothing, chooses nothing and logs nothing: what a proxied request
 * costs when all that is done is to carry its bytes. One server connection for each client, two tasks for each pair.
 *
 *   relay ADDRESS SERVER-ADDRESS:PORT        prints the port that it listens on
 */
#include "net/net.h"

#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000

/* A client's connection and the server's. Ends when both directions have. */
struct pair {
	struct stream client, server;
	unsigned directions; /* that still run: at most 2 */
	int descriptor;      /* the client's, until it is adopted */
};

static struct address server_address;

static void end_direction(struct pair *pair)
{
	/* The other direction sees the end of both connections and stops too. */
	if (stream_is_open(&pair->client))
		(void)shutdown(pair->client.watched.descriptor, SHUT_RDWR);
	if (stream_is_open(&pair->server))
		(void)shutdown(pair->server.watched.descriptor, SHUT_RDWR);
	if (--pair->directions > 0)
		return;
	stream_close(&pair->client);
	stream_close(&pair->server);
	free(pair);
}

static void carry(struct stream *from, struct stream *to)
{
	while (stream_fill(from, NO_TIMEOUT) == NET_OK) {
		size_t size = buffer_filled(&from->input);
		if (stream_write_bytes(to, from->input.memory + from->input.start, size, NO_TIMEOUT) != NET_OK)
			return;
		buffer_consume(&from->input, size);
	}
}

static void run_answers(void *argument)
{
	struct pair *pair = argument;
	carry(&pair->server, &pair->client);
	end_direction(pair);
}

static void run_client(void *argument)
{
	struct pair *pair = argument;
	if (stream_adopt(&pair->client, pair->descriptor) == NET_OK &&
	    stream_connect(&pair->server, &server_address, CONNECT_TIMEOUT_MS) == NET_OK) {
		pair->directions = 2;
		if (task_start(loop_current(), "answers", run_answers, pair) != NULL)
			carry(&pair->client, &pair->server);
		else
			pair->directions = 1;
	}
	end_direction(pair);
}

static void accepted(void *argument, int descriptor, const struct address *from)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	(void)argument;
	(void)from;
	if (pair == NULL) {
		close(descriptor);
		return;
	}
	stream_init(&pair->client);
	stream_init(&pair->server);
	pair->directions = 1;
	pair->descriptor = descriptor;
	if (task_start(loop_current(), "client", run_client, pair) == NULL) {
		close(descriptor);
		free(pair);
	}
}

static struct address address_or_end(const char *text, bool need_port)
{
	struct address address;
	if (!address_parse(span_of_text(text), need_port, &address))
		errx(2, "%s is not an address", text);
	return address;
}

static void begin(void *argument)
{
	const int *descriptor = argument;
	if (net_listener_new(*descriptor, accepted, NULL) == NULL)
		err(1, "listening");
}

int main(int argc, char **argv)
{
	struct rlimit limit = {65536, 65536};
	struct sockaddr_in6 bound; /* large enough for IPv4 and IPv6 */
	socklen_t size = sizeof(bound);

	if (argc != 3)
		errx(2, "relay ADDRESS SERVER-ADDRESS:PORT");
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	struct address at = address_or_end(argv[1], false);
	server_address = address_or_end(argv[2], true);
	int descriptor = net_listen(&at, 4096);
	if (descriptor < 0 || getsockname(descriptor, (struct sockaddr *)&bound, &size) != 0)
		err(1, "%s", argv[1]);
	printf("%u\n", ntohs(bound.sin6_port)); /* at the same place in sockaddr_in */
	fflush(stdout);
	struct loop *loop = loop_new("relay");
	if (loop == NULL || !loop_post(loop, begin, &descriptor))
		err(1, "loop");
	loop_run(loop);
	return 0;
}
