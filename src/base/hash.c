/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hashes and random numbers. SipHash-1-3 (Aumasson and Bernstein, 2012) for tables that strangers fill; FNV-1a for keys that
 * processes share.
 */
#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

void random_bytes(void *out, size_t size)
{
	char *next = out;

	while (size > 0) {
		ssize_t got = getrandom(next, size, 0);
		if (got < 0) {
			ASSERT(errno == EINTR);
			continue;
		}
		next += got;
		size -= (size_t)got;
	}
}

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

#define SIP_ROUND(a, b, c, d)                                                                                                    \
	do {                                                                                                                         \
		(a) += (b), (b) = rotate_left((b), 13) ^ (a), (a) = rotate_left((a), 32);                                                \
		(c) += (d), (d) = rotate_left((d), 16) ^ (c);                                                                            \
		(a) += (d), (d) = rotate_left((d), 21) ^ (a);                                                                            \
		(c) += (b), (b) = rotate_left((b), 17) ^ (c), (c) = rotate_left((c), 32);                                                \
	} while (0)

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
	random_bytes(hash_key, sizeof(hash_key));
}

uint64_t hash_bytes(const void *bytes, size_t size)
{
	const unsigned char *next = bytes;
	uint64_t last = (uint64_t)size << 56, word;

	pthread_once(&hash_key_once, draw_hash_key);
	uint64_t a = hash_key[0] ^ 0x736f6d6570736575u, b = hash_key[1] ^ 0x646f72616e646f6du;
	uint64_t c = hash_key[0] ^ 0x6c7967656e657261u, d = hash_key[1] ^ 0x7465646279746573u;

	for (; size >= 8; next += 8, size -= 8) {
		memcpy(&word, next, 8);
		d ^= word;
		SIP_ROUND(a, b, c, d);
		a ^= word;
	}
	for (size_t i = 0; i < size; i++)
		last |= (uint64_t)next[i] << (8 * i);
	d ^= last;
	SIP_ROUND(a, b, c, d);
	a ^= last;
	c ^= 0xff;
	for (int i = 0; i < 3; i++)
		SIP_ROUND(a, b, c, d);
	return a ^ b ^ c ^ d;
}

uint64_t hash_stable(const void *bytes, size_t size)
{
	const unsigned char *next = bytes;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ next[i]) * 0x100000001b3u;
	return hash;
}

/* splitmix64 (Steele, Lea and Flood, 2014). */
uint64_t random_quick(void)
{
	static _Thread_local uint64_t state;

	if (state == 0)
		random_bytes(&state, sizeof(state));
	uint64_t value = (state += 0x9e3779b97f4a7c15u);
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}
