/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys: the one table of everything that may stand in a cluster file.
 *
 * From it come the parser (load.c), the defaults, the JSON Schema (schema.c), the reference in docs/cluster-file.md (reference.c)
 * and the words of a difference (difference.c). A new key is a new row here; nothing else needs to know its name. Private to
 * cluster/.
 */
#ifndef NOAH_CLUSTER_KEYS_H
#define NOAH_CLUSTER_KEYS_H

#include "cluster/cluster.h"

enum key_type {
	/* containers */
	KEY_SECTION,   /* a map of keys named in this table */
	KEY_NAMED_MAP, /* a map of chosen names; each entry is a struct that begins with its name */
	KEY_HOST_MAP,  /* the same, and the names are host names */
	KEY_LIST,      /* a list; one element alone may stand without brackets. The row PATH[] describes an element */
	/* values: what they are stored as */
	KEY_NAME,            /* char[size] */
	KEY_TEXT,            /* char[size] */
	KEY_FILE,            /* char[size], an absolute path */
	KEY_URL_PATH,        /* char[size] */
	KEY_HOST,            /* char[size], made lower case */
	KEY_IP,              /* struct address without a port */
	KEY_LISTEN_HTTP,     /* struct address */
	KEY_LISTEN_DATABASE, /* struct address */
	KEY_ON,              /* uint64_t: one bit for each server */
	KEY_APP,             /* struct cluster_app: text SERVER:PORT, or a map of the keys PATH[].… */
	KEY_APP_SERVER,      /* struct cluster_app: text SERVER:PORT */
	KEY_DURATION,        /* unsigned milliseconds of `size` bytes */
	KEY_SIZE,            /* unsigned bytes of `size` bytes */
	KEY_NUMBER,          /* unsigned of `size` bytes */
	KEY_CHOICE,          /* uint8_t: one of `words` */
	KEY_STATUS,          /* two uint16_t: least and most */
	KEY_CHECK_GET,       /* struct cluster_check: the path; makes it a check by HTTP */
	KEY_CHECK_TCP,       /* struct cluster_check: only `true` */
	KEY_CHECK_DIGEST,    /* struct cluster_check: hex; least = enum cluster_digest, most = bytes */
};

struct key_word {
	const char *word;
	uint8_t value;
};

struct key {
	const char *path; /* "sites.*.check.every"; `*` stands for a chosen name, `[]` for an element */
	enum key_type type;
	bool required;
	size_t offset;         /* in the struct of the nearest map of names or list element around it */
	size_t size;           /* bytes there */
	uint64_t least, most;  /* of numbers; of a container, entries */
	const char *standard;  /* the default as it would be written in the file; NULL: none */
	const char *otherwise; /* what holds without a default: words for the reference */
	const char *about;     /* one sentence for the schema and the reference */
	const char *example;
	const struct key_word *words; /* KEY_CHOICE; ends with a NULL word */
	size_t count_offset;          /* containers of structs: uint32_t in the struct around */
	size_t item_size;
	uint16_t port; /* KEY_APP, KEY_APP_SERVER: the port when none is written */
};

extern const struct key keys[];
extern const unsigned key_count;

/* The row of `path`; NULL when there is none. */
const struct key *key_find(const char *path);
/* Goes through the rows right under `parent` ("" = the top) in the order of the table. Start with previous == NULL. */
const struct key *key_next_child(const char *parent, const struct key *previous);
/* The last part of the row's path: "every". */
const char *key_word_of(const struct key *key);
/* What stands under a row: "servers" -> "servers.*", "sites.*.check" -> itself, "sites.*.apps" -> "sites.*.apps[]". Returns out.
 */
#define KEY_PATH_SIZE 64u
const char *key_inside(const struct key *key, char out[KEY_PATH_SIZE]);
/* The row of the elements of a list. */
const struct key *key_element(const struct key *list);

#endif
