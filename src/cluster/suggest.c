/* SPDX-License-Identifier: BSD-2-Clause
 *
 * suggest: see suggest.h. Pure functions.
 */
#include "cluster/suggest.h"

#include <ctype.h>

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The optimal string alignment distance, three rows of the table at a time. */
unsigned suggest_distance(const char *a, const char *b)
{
	size_t a_size = strlen(a), b_size = strlen(b);
	if (a_size >= SUGGEST_WORD_SIZE || b_size >= SUGGEST_WORD_SIZE)
		return SUGGEST_WORD_SIZE;
	unsigned rows[3][SUGGEST_WORD_SIZE + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];
	for (unsigned j = 0; j <= b_size; j++)
		above[j] = before[j] = j;
	for (unsigned i = 1; i <= a_size; i++) {
		row[0] = i;
		for (unsigned j = 1; j <= b_size; j++) {
			bool same = same_letter(a[i - 1], b[j - 1]);
			row[j] = least_of(least_of(above[j] + 1, row[j - 1] + 1), above[j - 1] + (same ? 0 : 1));
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
				row[j] = least_of(row[j], before[j - 2] + 1);
		}
		unsigned *oldest = before;
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_size];
}

static size_t common_beginning(const char *a, const char *b)
{
	size_t size = 0;
	while (a[size] != '\0' && same_letter(a[size], b[size]))
		size++;
	return size;
}

void suggest_consider(struct suggestion *suggestion, const char *wrong, const char *candidate)
{
	unsigned distance = suggest_distance(wrong, candidate);
	size_t size = strlen(wrong);
	unsigned near_enough = size < 3 ? 1 : size < 8 ? 2 : 3;
	if (size == 1 && distance == 1 && strlen(candidate) == 1)
		return; /* any letter is near any other */
	if (distance > near_enough) {
		/* "leastconn" for "least-connections", "time" for "timeouts" */
		if (common_beginning(wrong, candidate) < 4)
			return;
		distance = near_enough + 1;
	}
	if (suggestion->word == NULL || distance < suggestion->distance) {
		suggestion->word = candidate;
		suggestion->distance = distance;
	}
}
