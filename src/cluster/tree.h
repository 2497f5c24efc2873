/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tree: the YAML text as a tree of maps, lists and texts, each with its line and column. Knows nothing of the keys.
 *
 * Private to cluster/. The part of YAML that is read is small on purpose: one document, no anchors, aliases or tags (so nothing
 * can grow beyond the size of the file), no key twice in a map.
 */
#ifndef NOAH_CLUSTER_TREE_H
#define NOAH_CLUSTER_TREE_H

#include "cluster/report.h"

#define TREE_FILE_SIZE_MOST (1024u * 1024u)
#define TREE_DEPTH_MOST     16u
#define TREE_NODES_MOST     20000u
#define TREE_ENTRIES_MOST   1000u /* of one map or list */

enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };

struct tree_node {
	enum tree_kind kind;
	unsigned line, column;   /* from 1 */
	bool plain;              /* TREE_TEXT: written without quotes */
	struct span text;        /* TREE_TEXT; in the arena, followed by a zero byte */
	struct tree_node *key;   /* entry of a map: its key, a TREE_TEXT; NULL elsewhere */
	struct tree_node *first; /* of a map or list */
	struct tree_node *last;
	struct tree_node *next; /* the next entry of the same map or list */
	unsigned count;
};

/* Parses into `arena`. NULL with a message when it is not the YAML described above. Stops at the first error: what follows a
 * broken line means nothing. */
struct tree_node *tree_parse(struct arena *arena, struct span text, struct report *report) MUST_CHECK;

/* The entry of a map under this key; NULL when there is none, or `map` is no map. */
struct tree_node *tree_find(const struct tree_node *map, const char *key);

/* Nothing was written, or `null` or `~`. */
bool tree_is_empty(const struct tree_node *node);

#endif
