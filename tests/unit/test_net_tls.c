/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams over TLS against OpenSSL's own client in another thread: bytes of any size both ways, through small socket buffers,
 * whole and in pieces; what is left over counts as readable; close_notify; what is no TLS; a handshake that does not go on.
 */
#include "unit.h"

#include "tls/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG   3000000u
#define SMALL 4096 /* of socket buffers */

static struct tls_core *core;
static SSL_CTX *server_context;

struct play {
	void (*client)(SSL *ssl, int descriptor); /* in its thread; with an SSL that is connected, or NULL */
	void (*server)(struct stream *stream);
	bool shake; /* the client does */
	int most;   /* version */
	int ends[2];
};
static struct play play;

static unsigned char byte_at(size_t at)
{
	return (unsigned char)(at * 7 + at / 251);
}

static void *client_main(void *unused)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	if (play.shake) {
		SSL_CTX_set_max_proto_version(context, play.most);
		ssl = SSL_new(context);
		SSL_set_fd(ssl, play.ends[1]);
		assert_int_equal(SSL_connect(ssl), 1);
	}
	play.client(ssl, play.ends[1]);
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(play.ends[1]);
	(void)unused;
	return NULL;
}

static void server_task(void *unused)
{
	struct stream stream;
	assert_int_equal(stream_adopt(&stream, play.ends[0]), NET_OK);
	play.server(&stream);
	stream_close(&stream);
	loop_stop(loop_current());
	(void)unused;
}

static void run(void (*client)(SSL *, int), void (*server)(struct stream *), bool shake, int most)
{
	const int small = SMALL;
	pthread_t thread;
	struct loop *loop = loop_new("test");
	assert_non_null(loop);
	play = (struct play){.client = client, .server = server, .shake = shake, .most = most};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, play.ends), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(setsockopt(play.ends[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	assert_int_equal(fcntl(play.ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pthread_create(&thread, NULL, client_main, NULL), 0);
	assert_non_null(task_start(loop, "server", server_task, NULL));
	loop_run(loop);
	loop_free(loop);
	pthread_join(thread, NULL);
}

static void run_both(void (*client)(SSL *, int), void (*server)(struct stream *))
{
	run(client, server, true, TLS1_3_VERSION);
	run(client, server, true, TLS1_2_VERSION);
}

/* ---- both ways --------------------------------------------------------------------------------------------------------- */

static void read_all(SSL *ssl, size_t size)
{
	char piece[5000];
	size_t at = 0, got;
	while (at < size && SSL_read_ex(ssl, piece, sizeof piece, &got) == 1)
		for (size_t i = 0; i < got; i++)
			assert_int_equal((unsigned char)piece[i], byte_at(at++));
	assert_int_equal(at, size);
}

static void client_of_big_bodies(SSL *ssl, int descriptor)
{
	unsigned char *bytes = malloc(BIG);
	size_t sent = 0, some;
	for (size_t i = 0; i < BIG; i++)
		bytes[i] = byte_at(i);
	while (sent < BIG) {
		size_t size = 1 + sent % 20000;
		assert_int_equal(SSL_write_ex(ssl, bytes + sent, size < BIG - sent ? size : BIG - sent, &some), 1);
		sent += some;
	}
	read_all(ssl, BIG);
	char byte;
	assert_int_equal(SSL_read(ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN); /* in order */
	free(bytes);
	(void)descriptor;
}

static void server_of_big_bodies(struct stream *stream)
{
	char *bytes = malloc(BIG);
	size_t size = 0;
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_OK);
	assert_true(stream_is_secure(stream));
	while (size < BIG) {
		assert_int_equal(stream_fill(stream, 20000), NET_OK);
		size_t filled = buffer_filled(&stream->input);
		/* A part only, now and then: what TLS holds back must not be forgotten. */
		size_t taken = size % 3 == 0 && filled > 1000 ? 1000 : filled;
		memcpy(bytes + size, stream->input.memory + stream->input.start, taken);
		buffer_consume(&stream->input, taken);
		size += taken;
		while (buffer_filled(&stream->input) > 0) {
			filled = buffer_filled(&stream->input);
			memcpy(bytes + size, stream->input.memory + stream->input.start, filled);
			buffer_consume(&stream->input, filled);
			size += filled;
		}
	}
	assert_int_equal(size, BIG);
	assert_int_equal(stream->bytes_read, BIG);
	for (size_t i = 0; i < BIG; i++)
		assert_int_equal((unsigned char)bytes[i], byte_at(i));
	/* Parts of all sizes, then piece by piece as the socket takes it. */
	struct iovec parts[4] = {{bytes, 100}, {bytes + 100, 0}, {bytes + 100, 40000}, {bytes + 40100, 7}};
	assert_int_equal(stream_write(stream, parts, 4, 20000), NET_OK);
	for (size_t at = 40107, sent; at < BIG; at += sent) {
		enum net_result result = stream_write_now(stream, bytes + at, BIG - at < 30000 ? BIG - at : 30000, &sent);
		if (result == NET_TIMEOUT)
			assert_int_equal(watched_wait_writable(&stream->watched, 20000), WAIT_READY);
		else
			assert_int_equal(result, NET_OK);
	}
	assert_int_equal(stream->bytes_written, BIG);
	free(bytes);
}

static void bodies_of_any_size(void **state)
{
	run_both(client_of_big_bodies, server_of_big_bodies);
	(void)state;
}

/* ---- ends ----------------------------------------------------------------------------------------------------------------- */

static void client_that_says_goodbye(SSL *ssl, int descriptor)
{
	assert_int_equal(SSL_write(ssl, "hello", 5), 5);
	assert_true(SSL_shutdown(ssl) >= 0);
	read_all(ssl, 3); /* the answer comes all the same */
	(void)descriptor;
}

static void server_that_answers_late(struct stream *stream)
{
	unsigned char answer[3] = {byte_at(0), byte_at(1), byte_at(2)};
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_OK);
	while (buffer_filled(&stream->input) < 5)
		assert_int_equal(stream_fill(stream, 20000), NET_OK);
	assert_int_equal(stream_fill(stream, 20000), NET_CLOSED);
	assert_int_equal(stream_fill(stream, 20000), NET_CLOSED); /* again */
	assert_int_equal(stream_write_bytes(stream, answer, 3, 20000), NET_OK);
}

static void half_closed_connections_are_answered(void **state)
{
	run_both(client_that_says_goodbye, server_that_answers_late);
	(void)state;
}

static void client_that_breaks_off(SSL *ssl, int descriptor)
{
	assert_int_equal(SSL_write(ssl, "hello", 5), 5);
	shutdown(descriptor, SHUT_WR); /* no close_notify */
	char rest[64];
	while (read(descriptor, rest, sizeof rest) > 0)
		;
}

static void server_that_sees_the_end(struct stream *stream)
{
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_OK);
	while (buffer_filled(&stream->input) < 5)
		assert_int_equal(stream_fill(stream, 20000), NET_OK);
	assert_int_equal(stream_fill(stream, 20000), NET_CLOSED);
}

static void an_end_without_a_word_is_an_end(void **state)
{
	run_both(client_that_breaks_off, server_that_sees_the_end);
	(void)state;
}

#define UPDATES 8000
#define MUCH    100000 /* bytes of them, that wait to be read */

/* New keys and nothing else, more than can be taken at once. */
static void client_that_keeps_the_server_busy(SSL *ssl, int descriptor)
{
	const int large = 4 * MUCH;
	char byte, *bytes;
	BIO *aside = BIO_new(BIO_s_mem());
	assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &large, sizeof large), 0);
	SSL_set0_wbio(ssl, aside);
	for (unsigned i = 0; i < UPDATES; i++)
		assert_true(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1);
	long size = BIO_get_mem_data(aside, &bytes);
	assert_true(size > 2 * MUCH);
	(void)!write(descriptor, bytes, (size_t)size); /* perhaps not to the end: he is put out */
	assert_true(read(descriptor, &byte, 1) <= 0);
}

static void server_that_loses_patience(struct stream *stream)
{
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_OK);
	/* So much that he never has to wait for more. */
	for (int size = 0; size < MUCH;) {
		assert_int_equal(watched_wait_readable(&stream->watched, 20000), WAIT_READY);
		assert_int_equal(ioctl(stream->watched.descriptor, FIONREAD, &size), 0);
		assert_int_equal(task_yield(), WAIT_READY);
	}
	assert_int_equal(stream_fill_now(stream), NET_FAILED);
	assert_int_equal(stream_fill_now(stream), NET_FAILED);
}

static void who_sends_no_content_is_put_out(void **state)
{
	run(client_that_keeps_the_server_busy, server_that_loses_patience, true, TLS1_3_VERSION);
	(void)state;
}

/* The kernel gives up on the other machine (ETIMEDOUT): it says so once, to whoever asks first, and then that the stream has
 * ended. Only noah's own calls come here, OpenSSL's client reads and writes. */
static enum { THERE, LOST, LOST_AND_TOLD } machine;

static ssize_t lost(int then)
{
	errno = machine == LOST ? ETIMEDOUT : then;
	machine = LOST_AND_TOLD;
	return errno == 0 ? 0 : -1;
}

ssize_t recv(int descriptor, void *out, size_t size, int flags)
{
	return machine != THERE ? lost(0) : recvfrom(descriptor, out, size, flags, NULL, NULL);
}

ssize_t send(int descriptor, const void *bytes, size_t size, int flags)
{
	return machine != THERE ? lost(EPIPE) : sendto(descriptor, bytes, size, flags, NULL, 0);
}

static void client_that_just_reads(SSL *ssl, int descriptor)
{
	char rest[64];
	while (read(descriptor, rest, sizeof rest) > 0)
		;
	(void)ssl;
}

/* NET_TIMEOUT would say that nothing has happened: whoever reads on would turn round and round. */
static void server_that_reads_from_a_lost_machine(struct stream *stream)
{
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_OK);
	machine = LOST;
	stream->watched.readable = true;
	assert_int_equal(stream_fill_now(stream), NET_UNREACHABLE);
	assert_int_equal(stream_fill_now(stream), NET_UNREACHABLE);
	machine = THERE;
}

static void server_that_writes_to_a_lost_machine(struct stream *stream)
{
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_OK);
	assert_int_equal(stream_write_bytes(stream, "hello", 5, 20000), NET_OK); /* and session tickets, with sendmsg */
	machine = LOST;
	assert_int_equal(stream_write_bytes(stream, "hello", 5, 20000), NET_UNREACHABLE);
	stream->watched.readable = true;
	assert_int_equal(stream_fill_now(stream), NET_UNREACHABLE);
	machine = THERE;
}

static void a_lost_machine_is_an_end(void **state)
{
	run_both(client_that_just_reads, server_that_reads_from_a_lost_machine);
	run_both(client_that_just_reads, server_that_writes_to_a_lost_machine);
	(void)state;
}

/* ---- no handshake ------------------------------------------------------------------------------------------------------- */

static void client_in_plain_text(SSL *ssl, int descriptor)
{
	char answer[8];
	assert_int_equal(write(descriptor, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_int_equal(read(descriptor, answer, sizeof answer), 5);
	assert_memory_equal(answer, "plain", 5);
	(void)ssl;
}

static void server_that_answers_in_plain_text(struct stream *stream)
{
	bool plain_text;
	assert_int_equal(stream_secure(stream, server_context, 20000), NET_FAILED);
	assert_string_equal(stream_secure_failure(&plain_text), "not TLS but plain text came");
	assert_true(plain_text);
	assert_false(stream_is_secure(stream));
	assert_int_equal(stream_write_bytes(stream, "plain", 5, 20000), NET_OK);
}

static void plain_text_is_told_apart(void **state)
{
	run(client_in_plain_text, server_that_answers_in_plain_text, false, 0);
	(void)state;
}

static void client_that_falls_silent(SSL *ssl, int descriptor)
{
	char byte;
	assert_int_equal(write(descriptor, "\x16\x03\x01\x00\xff", 5), 5);
	assert_int_equal(read(descriptor, &byte, 1), 0);
	(void)ssl;
}

static void server_that_waits(struct stream *stream)
{
	assert_int_equal(stream_secure(stream, server_context, 50), NET_TIMEOUT);
	assert_false(stream_is_secure(stream));
}

static void half_a_handshake_times_out(void **state)
{
	run(client_that_falls_silent, server_that_waits, false, 0);
	(void)state;
}

/* ---- the program ----------------------------------------------------------------------------------------------------------- */

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bodies_of_any_size),
	    cmocka_unit_test(half_closed_connections_are_answered),
	    cmocka_unit_test(an_end_without_a_word_is_an_end),
	    cmocka_unit_test(who_sends_no_content_is_put_out),
	    cmocka_unit_test(a_lost_machine_is_an_end),
	    cmocka_unit_test(plain_text_is_told_apart),
	    cmocka_unit_test(half_a_handshake_times_out),
	};
	uint64_t now_s = clock_wall_us() / 1000000;
	struct tls_messages *messages = calloc(1, sizeof *messages);
	struct cluster *cluster = calloc(1, sizeof *cluster);
	struct tls_keeper *keeper = tls_keeper_new(now_s);
	struct cluster_site *site = &cluster->sites[0];
	*site = (struct cluster_site){.name = "a.test",
	                              .names = {"a.test"},
	                              .name_count = 1,
	                              .listen_count = 1,
	                              .on = 1,
	                              .tls_least = 12,
	                              .certificate_count = 1,
	                              .certificates = {{.self_signed = 1}}};
	site->listen[0] = (struct cluster_listen){.address = {.family = ADDRESS_IPV4, .port = 443}, .tls = 1};
	cluster->site_count = cluster->server_count = 1;
	struct tls_set *set = tls_set_load(keeper, cluster, now_s, messages);
	int descriptor = set == NULL ? -1 : tls_set_seal(set);
	const struct keyring *keyring = descriptor < 0 ? NULL : keyring_map(descriptor);
	core = tls_core_new();
	if (keyring == NULL || core == NULL || !tls_core_use(core, keyring))
		return 1;
	server_context = tls_core_context(core, &site->listen[0].address);
	signal(SIGPIPE, SIG_IGN);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_core_free(core);
	keyring_unmap(keyring);
	close(descriptor);
	tls_set_free(set);
	tls_keeper_free(keeper);
	free(cluster);
	free(messages);
	return failed;
}
