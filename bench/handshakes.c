/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handshakes: full TLS 1.3 handshakes, one connection after the other in some threads, for the time given. No session is ever
 * offered again, so each handshake has its signature and its key exchange. Nothing is asked; a connection counts once the server
 * has taken the client's last message and ended its side.
 *
 *   handshakes ADDRESS PORT SERVER-NAME THREADS SECONDS       prints "COUNT handshakes, p50 MS, p99 MS"
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MOST 64u
#define SAMPLES_MOST 1000000u /* for each thread; what comes later is counted without a time */
#define REPLY_S      10

static struct sockaddr_in server = {.sin_family = AF_INET};
static char *server_name; /* OpenSSL wants it so */
static double until_s;

struct client {
	pthread_t thread;
	unsigned number;
	size_t count, sample_count;
	float *samples_ms;
	SSL_CTX *context;
};
static struct client clients[THREADS_MOST];

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "handshakes: %s: ", what);
	ERR_print_errors_fp(stderr);
	fprintf(stderr, "%m\n");
	exit(1);
}

/* Each thread has an address of its own: ports in TIME_WAIT do not run out. */
static int connect_from(unsigned number)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000100u + number + 1)};
	const int on = 1;
	const struct timeval patience = {.tv_sec = REPLY_S};
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0 || setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
	    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
	    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
	    bind(descriptor, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    connect(descriptor, (struct sockaddr *)&server, sizeof(server)) != 0)
		fail("connect");
	return descriptor;
}

static void shake_hands(struct client *client)
{
	char byte;
	int descriptor = connect_from(client->number);
	SSL *tls = SSL_new(client->context);
	if (tls == NULL || SSL_set_fd(tls, descriptor) != 1 || SSL_set_tlsext_host_name(tls, server_name) != 1)
		fail("setting up");
	if (SSL_connect(tls) != 1)
		fail("handshake");
	if (SSL_version(tls) != TLS1_3_VERSION || SSL_session_reused(tls) != 0)
		fail("not a full handshake of TLS 1.3");
	SSL_shutdown(tls);
	shutdown(descriptor, SHUT_WR);
	/* The tickets, and the server's end. */
	while (read(descriptor, &byte, 1) > 0)
		;
	SSL_free(tls);
	close(descriptor);
}

static void *run(void *argument)
{
	struct client *client = argument;
	for (double began_s = now_s(); began_s < until_s;) {
		shake_hands(client);
		double ended_s = now_s();
		client->count++;
		if (client->sample_count < SAMPLES_MOST)
			client->samples_ms[client->sample_count++] = (float)((ended_s - began_s) * 1000);
		began_s = ended_s;
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	const float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

int main(int count, char **words)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	size_t total = 0, samples = 0;

	unsigned threads = count == 6 ? (unsigned)atoi(words[4]) : 0;
	if (threads == 0 || threads > THREADS_MOST || inet_pton(AF_INET, words[1], &server.sin_addr) != 1)
		errx(2, "handshakes ADDRESS PORT SERVER-NAME THREADS SECONDS");
	server.sin_port = htons((unsigned short)atoi(words[2]));
	server_name = words[3];
	until_s = now_s() + atof(words[5]);
	for (unsigned i = 0; i < threads; i++) {
		struct client *client = &clients[i];
		client->number = i;
		client->samples_ms = malloc(SAMPLES_MOST * sizeof(float));
		client->context = SSL_CTX_new(TLS_client_method());
		if (client->samples_ms == NULL || client->context == NULL ||
		    SSL_CTX_set_min_proto_version(client->context, TLS1_3_VERSION) != 1 ||
		    SSL_CTX_set_alpn_protos(client->context, protocols, sizeof(protocols) - 1) != 0)
			fail("setting up");
		SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_OFF);
		if (pthread_create(&client->thread, NULL, run, client) != 0)
			fail("no thread");
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(clients[i].thread, NULL);
		total += clients[i].count;
		samples += clients[i].sample_count;
	}
	float *all = malloc((samples + 1) * sizeof(float)), *next = all;
	if (all == NULL || samples == 0)
		fail("no handshake");
	for (unsigned i = 0; i < threads; i++)
		for (size_t j = 0; j < clients[i].sample_count; j++)
			*next++ = clients[i].samples_ms[j];
	qsort(all, samples, sizeof(float), by_size);
	printf("%zu handshakes, p50 %.3f, p99 %.3f\n", total, (double)all[samples / 2], (double)all[samples * 99 / 100]);
	return 0;
}
