/* SPDX-License-Identifier: BSD-2-Clause
 *
 * words: a value of the snapshot as it would be written in the file. For differences and plans; private to cluster/.
 */
#ifndef NOAH_CLUSTER_WORDS_H
#define NOAH_CLUSTER_WORDS_H

#include "cluster/keys.h"
#include "cluster/values.h"

/* The value of a row that is no container, of the struct at `base`; "" when there is none. Returns out. */
const char *words_of_value(const struct cluster *cluster, const struct key *key, const void *base, char out[VALUE_TEXT_SIZE]);
/* The elements of a list: how many, and each. */
uint32_t words_count_elements(const struct key *list, const void *base);
const char *words_of_element(const struct cluster *cluster, const struct key *list, const void *base, uint32_t index,
                             char out[VALUE_TEXT_SIZE]);
/* "http", "8080", "192.168.0.10:8080" or a path. */
const char *words_of_listen(const struct address *address, char out[VALUE_TEXT_SIZE]);

#endif
