/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the hostile visitors share: chance, which depends on a case's number only, and the shape of a case. visitor.c runs cases;
 * visitor_http1.c and visitor_http2.c make them.
 */
#ifndef NOAH_TESTS_CANONICAL_VISITOR_H
#define NOAH_TESTS_CANONICAL_VISITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_ROOM 65536u
#define BODY_MOST    3000u
#define COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))

struct chance {
	uint64_t state;
	unsigned mildness; /* how much rarer than written what is wrong is in this case */
};

static inline uint64_t draw(struct chance *chance)
{
	uint64_t x = chance->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline unsigned below(struct chance *chance, unsigned most)
{
	return (unsigned)(draw(chance) % most);
}

/* True once in `count` times. */
static inline bool once_in(struct chance *chance, unsigned count)
{
	return below(chance, count) == 0;
}

/* The same for what is wrong. */
static inline bool wrong_in(struct chance *chance, unsigned count)
{
	return once_in(chance, count * chance->mildness);
}

/* ---- one case ---------------------------------------------------------------------------------------------------- */

struct message {
	char bytes[MESSAGE_ROOM];
	size_t size;
};

void put(struct message *message, const char *bytes, size_t size);
void put_text(struct message *message, const char *text);
__attribute__((format(printf, 2, 3))) void put_format(struct message *message, const char *format, ...);

/* A body that is right, and what it sums up to (FNV-1a). */
uint32_t make_body(char *body, unsigned size, struct chance *chance);

/* Sends in random pieces; noah may refuse and end before it has everything. False: he has. */
bool send_in_pieces(int descriptor, const struct message *message, struct chance *chance);

struct answers {
	unsigned wanted; /* how many 200 a case that is right must have, and no others */
	unsigned good, refused, failed;
	unsigned named; /* answers that tell the server's software */
};

/* `first` is the status's first three digits. */
void count_answer(struct answers *answers, const char first[3]);

/* Each makes case `number` in `message`, sends it on `descriptor` and reads until noah has answered what it must and has ended
 * its side. `valid`: it is right in all. False: noah did not end in time. */
bool http1_case(unsigned long long number, struct chance *chance, bool valid, int descriptor, struct message *message,
                struct answers *answers);
bool http2_case(unsigned long long number, struct chance *chance, bool valid, int descriptor, struct message *message,
                struct answers *answers);

extern const char *host;

#endif
