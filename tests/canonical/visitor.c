/* SPDX-License-Identifier: BSD-2-Clause
 *
 * visitor: hostile visitors. Each case is one connection, whose bytes depend on SEED and the case's number only, so that one that
 * failed can be sent again. One case in eight is right in all: it must be answered with 200.
 *
 *   visitor http1|http2 ADDRESS PORT VISITOR-ADDRESS HOST SEED CASES THREADS      prints one line with its counts
 *
 * CASES is a count or FIRST-LAST.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "visitor.h"

#define THREADS_MOST 32u
#define PATIENCE_S   20

const char *host;
static bool (*make_case)(unsigned long long number, struct chance *chance, bool valid, int descriptor, struct message *message,
                         struct answers *answers);
static struct sockaddr_in front = {.sin_family = AF_INET}, mine = {.sin_family = AF_INET};
static uint64_t seed;
static atomic_ullong next_case, last_case;
static struct {
	atomic_ullong cases, bytes, answered, refused, failed, silent, valid, valid_lost, hung, named;
} counts;

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void put(struct message *message, const char *bytes, size_t size)
{
	if (size > MESSAGE_ROOM - message->size)
		size = MESSAGE_ROOM - message->size;
	memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

void put_text(struct message *message, const char *text)
{
	put(message, text, strlen(text));
}

void put_format(struct message *message, const char *format, ...)
{
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	put_text(message, line);
}

uint32_t make_body(char *body, unsigned size, struct chance *chance)
{
	uint32_t sum = 2166136261u;
	for (unsigned i = 0; i < size; i++) {
		body[i] = once_in(chance, 8) ? "\r\n: 0;"[below(chance, 6)] : (char)draw(chance);
		sum = (sum ^ (unsigned char)body[i]) * 16777619u;
	}
	return sum;
}

bool send_in_pieces(int descriptor, const struct message *message, struct chance *chance)
{
	unsigned pieces = 1 + (once_in(chance, 3) ? below(chance, 5) : 0);
	for (size_t at = 0; at < message->size;) {
		size_t size = pieces > 1 ? 1 + below(chance, (unsigned)(message->size - at)) : message->size - at;
		ssize_t sent = send(descriptor, message->bytes + at, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		at += (size_t)sent;
		if (pieces > 1)
			pieces--;
	}
	return true;
}

void count_answer(struct answers *answers, const char first[3])
{
	bool refused = first[0] == '4' || memcmp(first, "501", 3) == 0 || memcmp(first, "505", 3) == 0;
	answers->good += first[0] == '2';
	answers->refused += refused;
	answers->failed += first[0] == '5' && !refused;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static int connect_front(void)
{
	const int on = 1;
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0 || setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
	    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
	    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
	    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
	    bind(descriptor, (struct sockaddr *)&mine, sizeof(mine)) != 0 ||
	    connect(descriptor, (struct sockaddr *)&front, sizeof(front)) != 0)
		err(1, "connect");
	return descriptor;
}

static void run_case(unsigned long long number, struct message *message)
{
	struct chance chance = {seed * 0x9e3779b97f4a7c15u + number, 1};
	struct answers answers = {0};
	bool valid = number % 8 == 0;
	draw(&chance);
	chance.mildness = 1u << (2 * below(&chance, 3)); /* 1, 4 or 16 */
	message->size = 0;
	int descriptor = connect_front();
	bool ended = make_case(number, &chance, valid, descriptor, message, &answers);
	close(descriptor);
	counts.cases++;
	counts.bytes += message->size;
	counts.answered += answers.good > 0;
	counts.refused += answers.refused > 0;
	counts.failed += answers.failed > 0;
	counts.silent += answers.good + answers.refused + answers.failed == 0;
	counts.valid += answers.wanted;
	counts.named += answers.named;
	if (valid && (answers.good != answers.wanted || answers.refused + answers.failed > 0)) {
		counts.valid_lost++;
		fprintf(stderr, "case %llu is right, and had %u answers 200 instead of %u, and %u others\n", number, answers.good,
		        answers.wanted, answers.refused + answers.failed);
	}
	if (!ended) {
		counts.hung++;
		fprintf(stderr, "case %llu: noah had not ended after %d s\n", number, PATIENCE_S);
	}
}

static void *run(void *argument)
{
	struct message *message = argument;
	for (;;) {
		unsigned long long number = next_case++;
		if (number >= last_case)
			return NULL;
		run_case(number, message);
	}
}

int main(int count, char **words)
{
	pthread_t threads[THREADS_MOST];
	struct message *messages;
	unsigned thread_count = count == 9 ? (unsigned)atoi(words[8]) : 0;
	if (thread_count == 0 || thread_count > THREADS_MOST || inet_pton(AF_INET, words[2], &front.sin_addr) != 1 ||
	    inet_pton(AF_INET, words[4], &mine.sin_addr) != 1)
		errx(2, "visitor http1|http2 ADDRESS PORT VISITOR-ADDRESS HOST SEED CASES THREADS");
	make_case = strcmp(words[1], "http2") == 0 ? http2_case : http1_case;
	front.sin_port = htons((uint16_t)atoi(words[3]));
	host = words[5];
	seed = strtoull(words[6], NULL, 10);
	const char *dash = strchr(words[7], '-');
	next_case = dash == NULL ? 0 : strtoull(words[7], NULL, 10);
	last_case = dash == NULL ? strtoull(words[7], NULL, 10) : strtoull(dash + 1, NULL, 10);
	messages = malloc(thread_count * sizeof(*messages));
	if (messages == NULL)
		err(1, "memory");
	for (unsigned i = 0; i < thread_count; i++)
		if (pthread_create(&threads[i], NULL, run, &messages[i]) != 0)
			err(1, "thread");
	for (unsigned i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	printf("{\"cases\": %llu, \"bytes\": %llu, \"answered\": %llu, \"refused\": %llu, \"failed\": %llu, \"silent\": %llu, "
	       "\"valid\": %llu, "
	       "\"valid_lost\": %llu, \"hung\": %llu, \"named\": %llu}\n",
	       counts.cases, counts.bytes, counts.answered, counts.refused, counts.failed, counts.silent, counts.valid,
	       counts.valid_lost, counts.hung, counts.named);
	free(messages);
	return 0;
}
