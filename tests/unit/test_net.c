/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams and listeners over real sockets of this machine: connect, accept, refusal, back-pressure, resets, gentle closing, quiet
 * pooled connections, Unix sockets.
 */
#include "unit.h"

#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void (*program_body)(void);

static void program_task(void *unused)
{
	program_body();
	loop_stop(loop_current());
	(void)unused;
}

static void run_in_loop(void (*body)(void))
{
	struct loop *loop = loop_new("test");
	assert_non_null(loop);
	program_body = body;
	assert_non_null(task_start(loop, "program", program_task, NULL));
	loop_run(loop);
	loop_free(loop);
}

/* A listener on a free port of 127.0.0.1 that keeps the last accepted descriptor. */
struct server {
	int descriptor;
	struct address at;
	struct net_listener *listener;
	int accepted;
	struct address from;
	struct wait_queue arrival;
};

static void on_accepted(void *argument, int descriptor, const struct address *from)
{
	struct server *server = argument;
	server->accepted = descriptor;
	server->from = *from;
	wait_queue_wake_all(&server->arrival);
}

static void server_open(struct server *server, const char *at)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	memset(server, 0, sizeof(*server));
	assert_true(address_parse(span_of_text(at), false, &server->at));
	server->descriptor = net_listen(&server->at, 128);
	assert_true(server->descriptor >= 0);
	assert_int_equal(getsockname(server->descriptor, (struct sockaddr *)&name, &size), 0);
	address_from_sockaddr((struct sockaddr *)&name, size, &server->at);
	server->accepted = -1;
	wait_queue_init(&server->arrival);
	server->listener = net_listener_new(server->descriptor, on_accepted, server);
	assert_non_null(server->listener);
}

static void server_close(struct server *server)
{
	net_listener_free(server->listener);
	close(server->descriptor); /* at once: the listener has let go */
	assert_int_equal(task_yield(), WAIT_READY);
}

static void connect_pair(struct server *server, struct stream *client, struct stream *accepted)
{
	server->accepted = -1;
	assert_int_equal(stream_connect(client, &server->at, 5000), NET_OK);
	while (server->accepted < 0)
		assert_int_equal(task_wait(&server->arrival, 5000), WAIT_READY);
	assert_int_equal(stream_adopt(accepted, server->accepted), NET_OK);
}

static void check_exchange(void)
{
	struct server server;
	struct stream client, accepted;

	server_open(&server, "127.0.0.1");
	connect_pair(&server, &client, &accepted);
	assert_int_equal(server.from.family, ADDRESS_IPV4);
	assert_true(server.from.port != 0);

	assert_int_equal(stream_write_bytes(&client, "hello", 5, 1000), NET_OK);
	assert_int_equal(stream_fill(&accepted, 1000), NET_OK);
	assert_true(span_equal(buffer_span(&accepted.input), SPAN("hello")));
	assert_false(accepted.watched.readable); /* a short read has emptied it */
	buffer_consume(&accepted.input, 5);

	struct iovec parts[] = { { (void *)(uintptr_t) "a", 1 }, { NULL, 0 }, { (void *)(uintptr_t) "bc", 2 } };
	assert_int_equal(stream_write(&accepted, parts, 3, 1000), NET_OK);
	assert_int_equal(stream_fill(&client, 1000), NET_OK);
	assert_true(span_equal(buffer_span(&client.input), SPAN("abc")));
	buffer_consume(&client.input, 3);
	assert_true(stream_is_quiet(&client));

	assert_int_equal(stream_fill(&client, 5), NET_TIMEOUT);
	assert_null(client.input.memory); /* nobody waits with a buffer */
	stream_close(&accepted);
	assert_int_equal(stream_fill(&client, 1000), NET_CLOSED);
	assert_false(stream_is_quiet(&client));
	stream_close(&client);
	stream_close(&client);
	server_close(&server);
}

static void test_exchange(void **state)
{
	(void)state;
	run_in_loop(check_exchange);
}

static void check_reset(void)
{
	struct server server;
	struct stream client, accepted;

	server_open(&server, "127.0.0.1");
	connect_pair(&server, &client, &accepted);
	stream_abort(&accepted);
	assert_int_equal(stream_fill(&client, 1000), NET_RESET);
	assert_int_equal(stream_write_bytes(&client, "x", 1, 1000), NET_RESET);
	stream_close(&client);
	server_close(&server);
}

static void test_reset(void **state)
{
	(void)state;
	run_in_loop(check_reset);
}

static void check_refused(void)
{
	struct server server;
	struct stream client;

	server_open(&server, "127.0.0.1");
	server_close(&server); /* the port is free again: nobody listens */
	assert_int_equal(stream_connect(&client, &server.at, 1000), NET_REFUSED);
	assert_false(stream_is_open(&client));
	struct address nowhere;
	assert_true(address_parse(SPAN("/nonexistent/socket"), false, &nowhere));
	assert_int_equal(stream_connect(&client, &nowhere, 1000), NET_REFUSED);
}

static void test_refused(void **state)
{
	(void)state;
	run_in_loop(check_refused);
}

/* ---- back-pressure: the writer waits for the reader and nothing is lost ---- */

#define MUCH (8u * 1024u * 1024u)
static struct stream big_writer;
static enum net_result big_result;

static void write_much(void *unused)
{
	char *bytes = malloc(MUCH);
	assert_non_null(bytes);
	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	big_result = stream_write_bytes(&big_writer, bytes, MUCH, 10000);
	free(bytes);
	stream_close(&big_writer);
	(void)unused;
}

static void check_back_pressure(void)
{
	struct server server;
	struct stream client;
	size_t received = 0;
	enum net_result result;

	server_open(&server, "127.0.0.1");
	connect_pair(&server, &client, &big_writer);
	assert_non_null(task_start(loop_current(), "writer", write_much, NULL));
	while ((result = stream_fill(&client, 10000)) == NET_OK) {
		struct span got = buffer_span(&client.input);
		for (size_t i = 0; i < got.size; i++, received++)
			assert_int_equal(got.start[i], (char)(received * 7 + received / 251));
		buffer_consume(&client.input, got.size);
	}
	assert_int_equal(result, NET_CLOSED);
	assert_int_equal(received, MUCH);
	assert_int_equal(big_result, NET_OK);
	stream_close(&client);

	connect_pair(&server, &client, &big_writer); /* nobody reads: the write times out instead of growing */
	char *bytes = calloc(1, MUCH);
	assert_int_equal(stream_write_bytes(&big_writer, bytes, MUCH, 20), NET_TIMEOUT);
	free(bytes);
	stream_close(&client);
	stream_close(&big_writer);
	server_close(&server);
}

static void test_back_pressure(void **state)
{
	(void)state;
	run_in_loop(check_back_pressure);
}

static void check_full_buffer(void)
{
	struct server server;
	struct stream client, accepted;
	char *bytes = calloc(1, NET_BUFFER_SIZE * 2);

	server_open(&server, "127.0.0.1");
	connect_pair(&server, &client, &accepted);
	assert_int_equal(stream_write_bytes(&client, bytes, NET_BUFFER_SIZE * 2, 1000), NET_OK);
	free(bytes);
	while (buffer_filled(&accepted.input) < NET_BUFFER_SIZE)
		assert_int_equal(stream_fill(&accepted, 1000), NET_OK);
	assert_int_equal(stream_fill(&accepted, 1000), NET_NO_RESOURCES);
	buffer_consume(&accepted.input, 100);
	assert_int_equal(stream_fill(&accepted, 1000), NET_OK); /* compacted to make room */
	stream_close_gently(&accepted, 50);
	stream_close(&client);
	server_close(&server);
}

static void test_full_buffer(void **state)
{
	(void)state;
	run_in_loop(check_full_buffer);
}

static void check_gentle_close(void)
{
	struct server server;
	struct stream client;

	server_open(&server, "127.0.0.1");
	connect_pair(&server, &client, &big_writer);
	/* The client still sends when the answer is final: it must be able to read it. */
	assert_int_equal(stream_write_bytes(&client, "unread request", 14, 1000), NET_OK);
	assert_int_equal(stream_write_bytes(&big_writer, "answer", 6, 1000), NET_OK);
	stream_close_gently(&big_writer, 30);
	assert_false(stream_is_open(&big_writer));
	assert_int_equal(stream_fill(&client, 1000), NET_OK);
	assert_true(span_equal(buffer_span(&client.input), SPAN("answer")));
	buffer_consume(&client.input, 6);
	assert_int_equal(stream_fill(&client, 1000), NET_CLOSED);
	stream_close(&client);
	server_close(&server);
}

static void test_gentle_close(void **state)
{
	(void)state;
	run_in_loop(check_gentle_close);
}

static char socket_path[128];

static void check_unix(void)
{
	struct server server;
	struct stream client, accepted;

	server_open(&server, socket_path);
	assert_true(address_parse(span_of_text(socket_path), false, &server.at));
	assert_int_equal(net_listen(&server.at, 1), -EADDRINUSE); /* somebody answers there */
	connect_pair(&server, &client, &accepted);
	assert_int_equal(stream_write_bytes(&client, "x", 1, 1000), NET_OK);
	assert_int_equal(stream_fill(&accepted, 1000), NET_OK);
	stream_close(&client);
	stream_close(&accepted);
	server_close(&server);
	server_open(&server, socket_path); /* the dead file is replaced */
	server_close(&server);
}

static void test_unix(void **state)
{
	char folder[] = "/tmp/noah-unit-XXXXXX";
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
	run_in_loop(check_unix);
	unlink(socket_path);
	assert_int_equal(rmdir(folder), 0);
}

static void test_dual_stack(void **state)
{
	struct address at = { .family = ADDRESS_IPV6 };
	(void)state;
	int descriptor = net_listen(&at, 1);
	assert_true(descriptor >= 0);
	close(descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exchange),   cmocka_unit_test(test_reset),        cmocka_unit_test(test_refused),
		cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_full_buffer), cmocka_unit_test(test_gentle_close),
		cmocka_unit_test(test_unix),       cmocka_unit_test(test_dual_stack),
	};
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
