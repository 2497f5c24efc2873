/* SPDX-License-Identifier: BSD-2-Clause
 *
 * suggest: what was probably meant by a word that is not one of the known ones. Used by cluster/ and command/.
 */
#ifndef NOAH_CLUSTER_SUGGEST_H
#define NOAH_CLUSTER_SUGGEST_H

#include "base/base.h"

#define SUGGEST_WORD_SIZE 64u /* longer words are never near anything */

/* Letters to insert, remove, replace or swap with their neighbour to make `b` of `a`, without regard to case.
 * SUGGEST_WORD_SIZE when one of them is longer than that. */
unsigned suggest_distance(const char *a, const char *b);

/* Keeps the nearest candidate seen so far. Start with { 0 }. */
struct suggestion {
	const char *word; /* borrowed; NULL: nothing is near enough */
	unsigned distance;
};
void suggest_consider(struct suggestion *suggestion, const char *wrong, const char *candidate);

#endif
