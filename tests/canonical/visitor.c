/* SPDX-License-Identifier: BSD-2-Clause
 *
 * visitor: hostile visitors of HTTP/1. Each case is one connection: one to three requests made of parts that are right or wrong
 * in ways that proxies and servers have disagreed about, often followed by the beginnings of another request, then changed at
 * random places, sent in random pieces; then the visitor ends his side and reads until noah has ended its own. One case in eight
 * is a request that is right: it must be answered with 200.
 *
 *   visitor ADDRESS PORT VISITOR-ADDRESS HOST SEED CASES THREADS      prints one line with its counts
 *
 * A case depends on SEED and its number only, so that one that failed can be sent again: CASES is a count or FIRST-LAST.
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

#include "words.h"

#define ROOM         65536u
#define THREADS_MOST 32u
#define PATIENCE_S   20
#define BODY_MOST    3000u
#define COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))

static struct sockaddr_in front = {.sin_family = AF_INET}, mine = {.sin_family = AF_INET};
static const char *host;
static uint64_t seed;
static atomic_ullong next_case, last_case;
static struct {
	atomic_ullong cases, bytes, answered, refused, failed, silent, valid, valid_lost, hung;
} counts;

/* ---- chance ------------------------------------------------------------------------------------------------------ */

struct chance {
	uint64_t state;
	unsigned mildness; /* how much rarer than written what is wrong is in this case */
};

static uint64_t draw(struct chance *chance)
{
	uint64_t x = chance->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static unsigned below(struct chance *chance, unsigned most)
{
	return (unsigned)(draw(chance) % most);
}

/* True once in `count` times. */
static bool once_in(struct chance *chance, unsigned count)
{
	return below(chance, count) == 0;
}

/* The same for what is wrong. */
static bool wrong_in(struct chance *chance, unsigned count)
{
	return once_in(chance, count * chance->mildness);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct message {
	char bytes[ROOM];
	size_t size;
};

static void put(struct message *message, const char *bytes, size_t size)
{
	if (size > ROOM - message->size)
		size = ROOM - message->size;
	memcpy(message->bytes + message->size, bytes, size);
	message->size += size;
}

static void put_text(struct message *message, const char *text)
{
	put(message, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct message *message, const char *format, ...)
{
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	put_text(message, line);
}

static void put_one_of(struct message *message, struct chance *chance, const struct word *words, size_t count)
{
	const struct word *word = &words[below(chance, (unsigned)count)];
	put(message, word->start, word->size);
}
#define PUT_ONE_OF(message, chance, words) put_one_of(message, chance, words, COUNT_OF(words))

/* ---- parts, right and wrong -------------------------------------------------------------------------------------- */

static void put_line_end(struct message *message, struct chance *chance)
{
	if (wrong_in(chance, 60))
		PUT_ONE_OF(message, chance, line_ends);
	else
		put(message, "\r\n", 2);
}

static void put_field(struct message *message, struct chance *chance, const char *name, const struct word *words, size_t count,
                      const char *right)
{
	put_text(message, name);
	if (wrong_in(chance, 40))
		PUT_ONE_OF(message, chance, field_separators);
	else
		put(message, ": ", 2);
	if (right == NULL || wrong_in(chance, 4))
		put_one_of(message, chance, words, count);
	else
		put_text(message, right);
	put_line_end(message, chance);
}

static void put_request_line(struct message *message, struct chance *chance, unsigned long long number)
{
	if (wrong_in(chance, 20))
		PUT_ONE_OF(message, chance, bad_methods);
	else
		PUT_ONE_OF(message, chance, good_methods);
	put_text(message, wrong_in(chance, 60) ? "\t" : wrong_in(chance, 60) ? "  " : " ");
	switch (below(chance, 12 * chance->mildness)) {
	case 0:
		PUT_ONE_OF(message, chance, bad_targets);
		break;
	case 1:
		put_format(message, "http://%s/fuzz/%llu", host, number);
		break;
	case 2:
		put_format(message, "/fuzz/%llu?a=b&c=%%41", number);
		break;
	default:
		put_format(message, "/fuzz/%llu", number);
	}
	put_text(message, wrong_in(chance, 60) ? "  " : " ");
	if (wrong_in(chance, 10))
		PUT_ONE_OF(message, chance, versions);
	else
		put_text(message, "HTTP/1.1");
	put_line_end(message, chance);
}

static void put_some_field(struct message *message, struct chance *chance)
{
	PUT_ONE_OF(message, chance, names);
	put_text(message, wrong_in(chance, 20) ? "" : ": ");
	if (once_in(chance, 200)) {
		for (unsigned i = below(chance, 20000); i > 0; i--)
			put(message, "y", 1);
	}
	PUT_ONE_OF(message, chance, values);
	put_line_end(message, chance);
}

static void put_chunked(struct message *message, struct chance *chance)
{
	for (unsigned i = below(chance, 4); i > 0; i--) {
		unsigned size = 1 + below(chance, 60);
		if (wrong_in(chance, 8))
			PUT_ONE_OF(message, chance, chunk_sizes);
		else
			put_format(message, once_in(chance, 2) ? "%x" : "%X", size);
		put_line_end(message, chance);
		put_format(message, "%.*s", (int)size, "GET /smuggled HTTP/1.1\r\nHost: x\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
		if (wrong_in(chance, 12))
			PUT_ONE_OF(message, chance, chunk_ends);
		else
			put(message, "\r\n", 2);
	}
	if (wrong_in(chance, 12))
		PUT_ONE_OF(message, chance, chunk_sizes);
	else
		put(message, "0", 1);
	put_line_end(message, chance);
	if (wrong_in(chance, 4))
		PUT_ONE_OF(message, chance, trailers);
	put_line_end(message, chance);
}

/* As long as was said, if anything was. */
static void put_body(struct message *message, struct chance *chance, unsigned length)
{
	static const char body[] =
	    "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nPOST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	    "GET /smuggled HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n";
	bool right = !wrong_in(chance, 8);
	if (right == (length == 0))
		put_chunked(message, chance);
	else
		put(message, body, right ? length : below(chance, sizeof(body)));
}

static void put_hostile(struct message *message, struct chance *chance, unsigned long long number)
{
	char length[16];
	snprintf(length, sizeof(length), "%u", once_in(chance, 2) ? 35 : 1 + below(chance, 160));
	put_request_line(message, chance, number);
	if (!wrong_in(chance, 30))
		put_field(message, chance, once_in(chance, 10) ? "host" : "Host", hosts, COUNT_OF(hosts),
		          wrong_in(chance, 10) ? NULL : host);
	for (unsigned i = below(chance, once_in(chance, 100) ? 140 : 4); i > 0; i--)
		put_some_field(message, chance);
	bool has_body = once_in(chance, 2), has_length = has_body && once_in(chance, 2);
	if (has_length)
		put_field(message, chance, "Content-Length", lengths, COUNT_OF(lengths), length);
	if (has_body && (!has_length || wrong_in(chance, 8)))
		put_field(message, chance, "Transfer-Encoding", codings, COUNT_OF(codings), "chunked");
	if (has_body && wrong_in(chance, 12))
		put_field(message, chance, "Content-Length", lengths, COUNT_OF(lengths), length);
	if (once_in(chance, 4))
		put_field(message, chance, "Connection", connections, COUNT_OF(connections), NULL);
	put_line_end(message, chance);
	if (has_body)
		put_body(message, chance, has_length ? (unsigned)atoi(length) : 0);
}

/* Changes a few places behind `from`. */
static void spoil(struct message *message, struct chance *chance, size_t from)
{
	for (unsigned i = 1 + below(chance, 3); i > 0 && message->size > from; i--) {
		size_t at = from + below(chance, (unsigned)(message->size - from));
		size_t length = 1 + below(chance, 12), rest = message->size - at;
		const struct word *splice = &splices[below(chance, COUNT_OF(splices))];
		switch (below(chance, 5)) {
		case 0:
			message->bytes[at] = (char)draw(chance);
			break;
		case 1: /* some bytes go */
			length = length < rest ? length : rest;
			memmove(message->bytes + at, message->bytes + at + length, rest - length);
			message->size -= length;
			break;
		case 2: /* the rest goes */
			message->size = once_in(chance, 4) ? at : message->size;
			break;
		default: /* something comes */
			if (splice->size > ROOM - message->size)
				break;
			memmove(message->bytes + at + splice->size, message->bytes + at, rest);
			memcpy(message->bytes + at, splice->start, splice->size);
			message->size += splice->size;
		}
	}
}

/* ---- requests that are right --------------------------------------------------------------------------------------- */

static void put_valid(struct message *message, struct chance *chance)
{
	char body[BODY_MOST];
	unsigned size = once_in(chance, 3) ? 0 : below(chance, BODY_MOST);
	uint32_t sum = 2166136261u;
	for (unsigned i = 0; i < size; i++) {
		body[i] = once_in(chance, 8) ? "\r\n: 0;"[below(chance, 6)] : (char)draw(chance);
		sum = (sum ^ (unsigned char)body[i]) * 16777619u;
	}
	put_format(message, "%s /valid/%u/%u HTTP/1.1\r\nHost: %s\r\nCookie: a=b\r\n", size == 0 ? "GET" : "POST", size, sum, host);
	if (size == 0) {
		put_text(message, once_in(chance, 2) ? "\r\n" : "Content-Length: 0\r\n\r\n");
	} else if (once_in(chance, 2)) {
		put_format(message, "Content-Length: %u\r\n\r\n", size);
		put(message, body, size);
	} else {
		put_text(message, "Transfer-Encoding: chunked\r\n\r\n");
		for (unsigned at = 0; at < size;) {
			unsigned piece = 1 + below(chance, 700);
			piece = piece < size - at ? piece : size - at;
			put_format(message, once_in(chance, 3) ? "%04X;name=\"va;lue\"\r\n" : "%x\r\n", piece);
			put(message, body + at, piece);
			put_text(message, "\r\n");
			at += piece;
		}
		put_text(message, once_in(chance, 3) ? "0\r\nX-Trailer: x\r\n\r\n" : "0\r\n\r\n");
	}
}

/* ---- one case ---------------------------------------------------------------------------------------------------- */

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

/* noah may refuse and end before it has everything. */
static void send_in_pieces(int descriptor, const struct message *message, struct chance *chance)
{
	unsigned pieces = 1 + (once_in(chance, 3) ? below(chance, 5) : 0);
	for (size_t at = 0; at < message->size;) {
		size_t size = pieces > 1 ? 1 + below(chance, (unsigned)(message->size - at)) : message->size - at;
		ssize_t sent = send(descriptor, message->bytes + at, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return;
		at += (size_t)sent;
		if (pieces > 1)
			pieces--;
	}
	shutdown(descriptor, SHUT_WR);
}

struct answers {
	unsigned good, refused, failed;
};

/* Every status line; bodies hold none. False: noah did not end in time. */
static bool read_answers(int descriptor, struct answers *answers)
{
	static const char mark[] = "HTTP/1.1 ";
	const size_t mark_size = sizeof(mark) - 1;
	char bytes[16384], code[3];
	size_t matched = 0, digits = 0; /* of the mark, and of the status behind it */
	for (;;) {
		ssize_t got = recv(descriptor, bytes, sizeof(bytes), 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (got <= 0)
			return true;
		for (ssize_t at = 0; at < got; at++) {
			if (matched < mark_size) {
				matched = bytes[at] == mark[matched] ? matched + 1 : bytes[at] == mark[0];
				continue;
			}
			code[digits++] = bytes[at];
			if (digits < sizeof(code))
				continue;
			bool refused = code[0] == '4' || memcmp(code, "501", 3) == 0 || memcmp(code, "505", 3) == 0;
			answers->good += code[0] == '2';
			answers->refused += refused;
			answers->failed += code[0] == '5' && !refused;
			matched = digits = 0;
		}
	}
}

static void run_case(unsigned long long number, struct message *message)
{
	struct chance chance = {seed * 0x9e3779b97f4a7c15u + number, 1};
	bool valid = number % 8 == 0;
	draw(&chance);
	chance.mildness = 1u << (2 * below(&chance, 3)); /* 1, 4 or 16 */
	message->size = 0;
	if (valid) {
		put_valid(message, &chance);
	} else {
		for (unsigned i = 1 + below(&chance, once_in(&chance, 3) ? 3 : 1); i > 0; i--)
			put_hostile(message, &chance, number);
		if (once_in(&chance, 4))
			put_text(message, "GET /smuggled HTTP/1.1\r\nHost: x\r\nX: y");
		if (wrong_in(&chance, 2))
			spoil(message, &chance, 0);
	}
	int descriptor = connect_front();
	struct answers answers = {0};
	send_in_pieces(descriptor, message, &chance);
	bool ended = read_answers(descriptor, &answers);
	close(descriptor);
	counts.cases++;
	counts.bytes += message->size;
	counts.answered += answers.good > 0;
	counts.refused += answers.refused > 0;
	counts.failed += answers.failed > 0;
	counts.silent += answers.good + answers.refused + answers.failed == 0;
	counts.valid += valid;
	if (valid && (answers.good != 1 || answers.refused + answers.failed > 0)) {
		counts.valid_lost++;
		fprintf(stderr, "case %llu is right, and had %u answers 200 and %u others\n", number, answers.good,
		        answers.refused + answers.failed);
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
	unsigned thread_count = count == 8 ? (unsigned)atoi(words[7]) : 0;
	if (thread_count == 0 || thread_count > THREADS_MOST || inet_pton(AF_INET, words[1], &front.sin_addr) != 1 ||
	    inet_pton(AF_INET, words[3], &mine.sin_addr) != 1)
		errx(2, "visitor ADDRESS PORT VISITOR-ADDRESS HOST SEED CASES THREADS");
	front.sin_port = htons((uint16_t)atoi(words[2]));
	host = words[4];
	seed = strtoull(words[5], NULL, 10);
	const char *dash = strchr(words[6], '-');
	next_case = dash == NULL ? 0 : strtoull(words[6], NULL, 10);
	last_case = dash == NULL ? strtoull(words[6], NULL, 10) : strtoull(dash + 1, NULL, 10);
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
	       "\"valid_lost\": %llu, \"hung\": %llu}\n",
	       counts.cases, counts.bytes, counts.answered, counts.refused, counts.failed, counts.silent, counts.valid,
	       counts.valid_lost, counts.hung);
	free(messages);
	return 0;
}
