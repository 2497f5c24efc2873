/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tunnels over real sockets: both ways, half-closed, under back-pressure, broken, silent, stopped; and what an idle one holds.
 */
#include "unit.h"

#include "net/net.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUCH (3u << 20)

static void (*program_body)(void);

static void program_task(void *unused)
{
	program_body();
	loop_stop(loop_current());
	(void)unused;
}

/* A tunnel between two socket pairs; the test holds the outer ends. */
static struct {
	struct stream outer[2], inner[2];
	struct tunnel *tunnel;
	unsigned ended;
	struct tunnel_result result;
	struct wait_queue end;
} t;

static void run_in_loop(void (*body)(void))
{
	struct loop *loop = loop_new("test");
	assert_non_null(loop);
	program_body = body;
	t.ended = 0;
	assert_non_null(task_start(loop, "program", program_task, NULL));
	loop_run(loop);
	loop_free(loop);
}

static void on_ended(void *argument, const struct tunnel_result *result)
{
	assert_ptr_equal(argument, &t);
	assert_false(stream_is_open(&t.inner[0]));
	assert_false(stream_is_open(&t.inner[1]));
	t.ended++;
	t.result = *result;
	wait_queue_wake_all(&t.end);
}

static void open_sockets(int family)
{
	wait_queue_init(&t.end);
	for (unsigned i = 0; i < 2; i++) {
		int pair[2];
		if (family == AF_UNIX) {
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
		} else {
			struct address at;
			struct sockaddr_storage name;
			socklen_t size = sizeof(name);
			assert_true(address_parse(span_of_text("127.0.0.1"), false, &at));
			int listener = net_listen(&at, 8);
			assert_true(listener >= 0);
			assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &size), 0);
			address_from_sockaddr((struct sockaddr *)&name, size, &at);
			assert_int_equal(stream_connect(&t.outer[i], &at, 5000), NET_OK);
			pair[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			assert_true(pair[1] >= 0);
			close(listener);
		}
		if (family == AF_UNIX)
			assert_int_equal(stream_adopt(&t.outer[i], pair[0]), NET_OK);
		assert_int_equal(stream_adopt(&t.inner[i], pair[1]), NET_OK);
	}
}

static void open_tunnel(int family, int64_t idle_ms)
{
	open_sockets(family);
	t.tunnel = tunnel_start(&t.inner[0], &t.inner[1], idle_ms, on_ended, &t);
	assert_non_null(t.tunnel);
}

static void send_text(unsigned end, const char *text)
{
	assert_int_equal(stream_write_bytes(&t.outer[end], text, strlen(text), 5000), NET_OK);
}

static void expect_text(unsigned end, const char *text)
{
	struct buffer *input = &t.outer[end].input;
	while (buffer_filled(input) < strlen(text))
		assert_int_equal(stream_fill(&t.outer[end], 5000), NET_OK);
	assert_true(span_equal(buffer_span(input), span_of_text(text)));
	buffer_consume(input, buffer_filled(input));
}

static void wait_ended(void)
{
	while (t.ended == 0)
		assert_int_equal(task_wait(&t.end, 10000), WAIT_READY);
	assert_int_equal(t.ended, 1);
	stream_close(&t.outer[0]);
	stream_close(&t.outer[1]);
}

static void wait_idle(void)
{
	uint64_t until_us = clock_monotonic_us() + 5000000;
	while (loop_task_count(loop_current()) != 1) {
		assert_true(clock_monotonic_us() < until_us);
		assert_int_equal(task_yield(), WAIT_READY);
	}
}

/* ---- in order ----------------------------------------------------------------------------------------------------- */

static void both_ways(void)
{
	open_tunnel(AF_UNIX, 60000);
	wait_idle();
	send_text(0, "hello");
	expect_text(1, "hello");
	send_text(1, "good day");
	expect_text(0, "good day");
	wait_idle();
	assert_null(t.inner[0].input.memory);
	assert_null(t.inner[1].input.memory);
	/* One half after the other. */
	stream_end_writing(&t.outer[0]);
	assert_int_equal(stream_fill(&t.outer[1], 5000), NET_CLOSED);
	send_text(1, "and more");
	expect_text(0, "and more");
	wait_idle();
	assert_int_equal(t.ended, 0);
	stream_end_writing(&t.outer[1]);
	assert_int_equal(stream_fill(&t.outer[0], 5000), NET_CLOSED);
	wait_ended();
	assert_int_equal(t.result.how, NET_OK);
	assert_int_equal(t.result.first_bytes, 5);
	assert_int_equal(t.result.second_bytes, 16);
}

static void test_both_ways(void **state)
{
	run_in_loop(both_ways);
	(void)state;
}

static void early_bytes(void)
{
	open_sockets(AF_UNIX);
	send_text(0, "early");
	send_text(1, "bird");
	assert_int_equal(stream_fill(&t.inner[0], 5000), NET_OK);
	assert_int_equal(stream_fill(&t.inner[1], 5000), NET_OK);
	t.tunnel = tunnel_start(&t.inner[0], &t.inner[1], 60000, on_ended, &t);
	assert_non_null(t.tunnel);
	expect_text(1, "early");
	expect_text(0, "bird");
	stream_close(&t.outer[0]);
	stream_close(&t.outer[1]);
	wait_ended();
	assert_int_equal(t.result.first_bytes, 5);
	assert_int_equal(t.result.second_bytes, 4);
}

static void test_early_bytes(void **state)
{
	run_in_loop(early_bytes);
	(void)state;
}

/* ---- much, and readers that are slow ---------------------------------------------------------------------------- */

static char *much;

static void send_much(void *argument)
{
	struct stream *stream = argument;
	assert_int_equal(stream_write_bytes(stream, much, MUCH, 10000), NET_OK);
	stream_end_writing(stream);
}

static void expect_much(unsigned end)
{
	struct stream *stream = &t.outer[end];
	size_t size = 0;
	enum net_result result;
	while ((result = stream_fill(stream, 10000)) == NET_OK) {
		struct span got = buffer_span(&stream->input);
		assert_true(size + got.size <= MUCH);
		assert_memory_equal(got.start, much + size, got.size);
		size += got.size;
		buffer_consume(&stream->input, got.size);
	}
	assert_int_equal(result, NET_CLOSED);
	assert_int_equal(size, MUCH);
}

static void much_both_ways(void)
{
	much = malloc(MUCH);
	assert_non_null(much);
	random_bytes(much, MUCH);
	open_tunnel(AF_UNIX, 60000);
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(task_start(loop_current(), "sender", send_much, &t.outer[i]));
	for (unsigned i = 0; i < 100; i++) /* nobody reads: the senders wait */
		assert_int_equal(task_yield(), WAIT_READY);
	expect_much(1);
	expect_much(0);
	wait_ended();
	assert_int_equal(t.result.how, NET_OK);
	assert_int_equal(t.result.first_bytes, MUCH);
	assert_int_equal(t.result.second_bytes, MUCH);
	free(much);
}

static void test_much_both_ways(void **state)
{
	run_in_loop(much_both_ways);
	(void)state;
}

/* ---- what ends it otherwise --------------------------------------------------------------------------------------- */

static void reset_by_first(void)
{
	open_tunnel(AF_INET, 60000);
	send_text(0, "x");
	expect_text(1, "x");
	stream_abort(&t.outer[0]);
	assert_int_equal(stream_fill(&t.outer[1], 5000), NET_RESET);
	wait_ended();
	assert_int_equal(t.result.how, NET_RESET);
	assert_true(t.result.by_first);
}

static void test_reset(void **state)
{
	run_in_loop(reset_by_first);
	(void)state;
}

/* The second side says why and leaves with bytes unread: the first still learns why. */
static void last_words(void)
{
	open_tunnel(AF_INET, 60000);
	send_text(0, "unread");
	while (!t.outer[1].watched.readable)
		assert_int_equal(task_yield(), WAIT_READY);
	send_text(1, "too many");
	stream_close(&t.outer[1]); /* a reset, as it has not read */
	send_text(0, "more");
	expect_text(0, "too many");
	wait_ended();
	assert_int_not_equal(t.result.how, NET_TIMEOUT);
	assert_int_equal(t.result.second_bytes, 8);
}

static void test_last_words(void **state)
{
	run_in_loop(last_words);
	(void)state;
}

/* One side has ended in order, and is then gone altogether. */
static void reset_after_half_close(void)
{
	open_tunnel(AF_INET, 60000);
	stream_end_writing(&t.outer[0]);
	assert_int_equal(stream_fill(&t.outer[1], 5000), NET_CLOSED);
	wait_idle();
	send_text(1, "x");
	while (!t.outer[0].watched.readable)
		assert_int_equal(task_yield(), WAIT_READY);
	stream_close(&t.outer[0]); /* "x" was not read: a reset */
	wait_ended();
	assert_int_equal(t.result.how, NET_RESET);
	assert_true(t.result.by_first);
}

static void test_reset_after_half_close(void **state)
{
	run_in_loop(reset_after_half_close);
	(void)state;
}

static void silence(void)
{
	open_tunnel(AF_UNIX, 50);
	wait_ended();
	assert_int_equal(t.result.how, NET_TIMEOUT);
	assert_int_equal(t.result.first_bytes, 0);
}

static void test_silence(void **state)
{
	run_in_loop(silence);
	(void)state;
}

static void a_reader_that_does_not_read(void)
{
	much = calloc(1, MUCH);
	assert_non_null(much);
	open_tunnel(AF_UNIX, 50);
	assert_int_not_equal(stream_write_bytes(&t.outer[0], much, MUCH, 10000), NET_OK);
	wait_ended();
	assert_int_equal(t.result.how, NET_TIMEOUT);
	free(much);
}

static void test_a_reader_that_does_not_read(void **state)
{
	run_in_loop(a_reader_that_does_not_read);
	(void)state;
}

static void hurried(void)
{
	open_tunnel(AF_UNIX, 3600000);
	send_text(0, "x");
	expect_text(1, "x");
	wait_idle();
	tunnel_hurry(t.tunnel, 40);
	send_text(0, "y");
	expect_text(1, "y");
	wait_ended();
	assert_int_equal(t.result.how, NET_TIMEOUT);
	assert_int_equal(t.result.first_bytes, 2);
}

static void test_hurried(void **state)
{
	run_in_loop(hurried);
	(void)state;
}

static void left_to_the_stop(void)
{
	open_tunnel(AF_UNIX, 3600000);
	wait_idle();
	assert_int_equal(t.ended, 0);
}

static void test_stop(void **state)
{
	run_in_loop(left_to_the_stop);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.result.how, NET_CANCELLED);
	close(t.outer[0].watched.descriptor);
	close(t.outer[1].watched.descriptor);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),      cmocka_unit_test(test_early_bytes),
	    cmocka_unit_test(test_much_both_ways), cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_last_words),     cmocka_unit_test(test_reset_after_half_close),
	    cmocka_unit_test(test_silence),        cmocka_unit_test(test_a_reader_that_does_not_read),
	    cmocka_unit_test(test_hurried),        cmocka_unit_test(test_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
