/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prepared: the statements that a session has prepared through the binary protocol. Pure memory.
 *
 * The client sees noah's ids. Each statement is prepared at the primary first and at a replica when an execution goes there; the
 * text is kept for that, and for a connection that had to be opened anew.
 */
#ifndef NOAH_SQL_PREPARED_H
#define NOAH_SQL_PREPARED_H

#include "proto/mysql.h"
#include "sql/classify.h"

/* Per session. Past PREPARED_MOST a prepare is refused (error 1461, as servers do at max_prepared_stmt_count); a statement whose
 * text no longer fits is prepared once and stays where it is. */
#define PREPARED_MOST            16384u
#define PREPARED_TEXT_BYTES_MOST (4u << 20)

/* A session's two connections to servers. */
enum slot { SLOT_PRIMARY, SLOT_REPLICA, SLOT_COUNT };

struct prepared {
	uint32_t id; /* as the client knows it */
	uint16_t parameters;
	enum sql_kind kind;
	enum sql_route route;
	enum sql_reason binds;
	bool asks_insert_id;
	uint64_t context; /* the session's, when it was prepared */
	char *text;       /* NULL: not kept */
	uint32_t text_size;
	/* Where it is prepared: the id there, good while the connection's incarnation is still this one (0: never). */
	struct {
		uint64_t incarnation;
		uint32_t id;
		uint32_t types_version; /* of the parameter types bound there */
	} at[SLOT_COUNT];
	uint8_t *types; /* 2 bytes for each parameter, as last sent by the client; NULL: never */
	uint32_t types_version;
	bool has_long_data;             /* the next execution goes to the primary, where the data is, */
	uint64_t long_data_incarnation; /* on this connection; 0: some of it is lost */
	enum slot cursor_slot;          /* where it was executed last: fetches go there */
};

struct prepared_table {
	unsigned count, room;
	uint32_t last_id;
	size_t text_bytes;
	struct prepared **items; /* by rising id */
};

void prepared_free(struct prepared_table *table);
/* Bounds and memory: NULL. `text` is copied when there is room for it. */
struct prepared *prepared_add(struct prepared_table *table, struct span text, const struct sql_class *class) MUST_CHECK;
/* id 0xFFFFFFFF is the one prepared last. NULL: no such. */
struct prepared *prepared_find(struct prepared_table *table, uint32_t id) MUST_CHECK;
void prepared_remove(struct prepared_table *table, struct prepared *item);
/* Keeps the parameter types that an execution has brought. False: memory is out. */
bool prepared_keep_types(struct prepared *item, const uint8_t *types) MUST_CHECK;
/* The client has sent other types, too many to be kept: from now on the statement can only be executed where it has been. */
void prepared_forget_types(struct prepared *item);

/* Where in an execution's payload the parameter types stand. */
struct prepared_parameters {
	size_t flag; /* offset of new_params_bound; 0: the statement has no parameters */
	bool has_types;
	size_t types;   /* offset of 2 * parameters bytes, when has_types */
	bool types_cut; /* they go on past the end of what is there */
};
/* False: the payload is too short to be one. `whole` is false for the beginning of one that is larger than the input buffer. */
bool prepared_find_parameters(const struct prepared *item, struct span payload, bool whole,
                              struct prepared_parameters *out) MUST_CHECK;

#endif
