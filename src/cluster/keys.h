/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys: the one table of everything that may stand in a cluster file.
 *
 * The rows are in keys_table.c (those that sites, routes and services have in common in keys_group.h). From them come the parser
 * (load.c), the defaults, the JSON Schema (schema.c), the reference in docs/cluster-file.md (reference.c) and the words of a
 * difference (difference.c). A new key is a new row; nothing else needs to know its name. Private to cluster/.
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
	KEY_FILE,            /* char[size], an absolute path; "" for a word of `words` */
	KEY_URL_PATH,        /* char[size] */
	KEY_HOST,            /* char[size], made lower case */
	KEY_HOST_PATTERN,    /* the same; also `*` and `*.example.com` */
	KEY_FILE_TYPE,       /* char[size], made lower case: "jpg" */
	KEY_TOKEN,           /* char[size]: the name of a header or cookie */
	KEY_REDIRECT,        /* char[size]: an URL or a path */
	KEY_IP,              /* struct address without a port */
	KEY_LISTEN_HTTP,     /* struct cluster_listen */
	KEY_LISTEN_DATABASE, /* struct address */
	KEY_LISTEN_TCP,      /* struct address */
	KEY_LISTEN_ADMIN,    /* struct address; a port alone is on 127.0.0.1 */
	KEY_ON,              /* uint64_t: one bit for each server */
	KEY_APP,             /* struct cluster_app: text SERVER:PORT, or a map of the keys PATH[].… */
	KEY_APP_SERVER,      /* struct cluster_app: text SERVER:PORT */
	KEY_CERTIFICATE,     /* struct cluster_certificate: text, or a map of the keys PATH[].… */
	KEY_ROUTE,           /* struct cluster_route: a map of the keys PATH[].…; what it does not say is as its site says */
	KEY_BOOL,            /* uint8_t */
	KEY_DURATION,        /* unsigned milliseconds of `size` bytes; seconds where unit_ms is 1000 */
	KEY_SIZE,            /* unsigned bytes of `size` bytes */
	KEY_NUMBER,          /* unsigned of `size` bytes */
	KEY_CHOICE,          /* unsigned of `size` bytes: one of `words` */
	KEY_HASH,            /* struct cluster_group: one of `words`, with a name behind those that end in NAME */
	KEY_LOG_TARGET,      /* struct cluster_log: one of `words`, or the path of a file */
	KEY_STATUS,          /* two uint16_t: least and most */
	KEY_CHECK_GET,       /* struct cluster_check: the path; makes it a check by HTTP */
	KEY_CHECK_TCP,       /* struct cluster_check: only `true` */
	KEY_CHECK_DIGEST,    /* struct cluster_check: hex; least = enum cluster_digest, most = bytes */
	KEY_FILE_NAME,       /* char[size]: the name of a file in its directory */
	KEY_REALM,           /* char[size]: what stands in the quotes of WWW-Authenticate */
	KEY_RATE,            /* struct cluster_rate: COUNT/DURATION, or a word */
	KEY_NETWORK,         /* element of struct cluster_networks: NETWORK, ADDRESS, or a server (both its addresses) */
	KEY_TRY,             /* struct cluster_static: one of `words`, a SERVER:PORT, or a list of them */
};

struct key_word {
	const char *word;
	uint32_t value;
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
	const struct key_word *words; /* KEY_CHOICE and others, also instead of a number or a file; ends with a NULL word */
	size_t count_offset;          /* containers of structs: uint32_t in the struct around */
	size_t item_size;
	uint16_t port;    /* KEY_APP, KEY_APP_SERVER: the port when none is written; 0: it must be */
	uint16_t unit_ms; /* KEY_DURATION: what is stored counts so many milliseconds; 0: one */
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
#define KEY_PATH_SIZE 64u /* of a path of the table */
const char *key_inside(const struct key *key, char out[KEY_PATH_SIZE]);
/* The row of the elements of a list. */
const struct key *key_element(const struct key *list);

#endif
