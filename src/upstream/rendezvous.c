/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Consistent hashing by weighted rendezvous (Thaler and Ravishankar, 1998; with weights: Schindelhauer and Schomaker, 2005):
 * every server gets a score from the key and its own name, the best score has the key. When a server goes, its keys alone move,
 * and spread over all others; when one comes or gains weight, it takes keys from all others and nothing else moves. No table, no
 * state: every thread, and every server of the cluster, chooses the same. Called by choose.c.
 *
 * With u, a number in (0, 1] drawn from key and name, the score is -log2(u) / weight: the least one wins. In integers, so that it
 * is the same on every machine.
 */
#include "upstream/upstream_private.h"

#define FRACTION_BITS 16u

/* Each bit of the result depends on each of the two (the finalizer of splitmix64). */
static uint64_t mix(uint64_t key, uint64_t identity)
{
	uint64_t value = key ^ identity;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	value ^= value >> 31;
	value = (value + identity) * 0x9e3779b97f4a7c15u;
	return value ^ value >> 32;
}

/* -log2(value / 2^64) in units of 2^-16; value is not 0. By squaring: each square gives one bit more of the logarithm. */
static uint64_t negative_log2(uint64_t value)
{
	unsigned zeros = (unsigned)__builtin_clzll(value);
	uint64_t mantissa = value << zeros >> 32, fraction = 0; /* [1, 2) in units of 2^-31 */

	for (unsigned bit = 0; bit < FRACTION_BITS; bit++) {
		mantissa = mantissa * mantissa >> 31;
		fraction <<= 1;
		if (mantissa >= UINT64_C(1) << 32) {
			mantissa >>= 1;
			fraction |= 1;
		}
	}
	return ((uint64_t)(zeros + 1) << FRACTION_BITS) - fraction;
}

struct upstream_target *upstream_choose_hash(struct upstream_core *core, struct upstream_group *group, uint64_t hash,
                                             uint32_t candidates)
{
	struct upstream_target *best = NULL;
	uint64_t best_score = 0, best_weight = 1;

	for (uint32_t left = candidates; left != 0; left &= left - 1) { /* at most CLUSTER_APPS_MOST */
		struct upstream_target *target = &group->targets[__builtin_ctz(left)];
		uint64_t weight = upstream_weight(core, group, target), value = mix(hash, target->identity);
		uint64_t score = negative_log2(value != 0 ? value : 1); /* at most 2^23, weights 2^20 */
		if (best == NULL || score * best_weight < best_score * weight) {
			best = target;
			best_score = score;
			best_weight = weight;
		}
	}
	return best;
}
