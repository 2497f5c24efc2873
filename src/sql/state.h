/* SPDX-License-Identifier: BSD-2-Clause
 *
 * state: the settings that a session has made, kept as text, so that another connection can be brought to the same. Pure memory.
 */
#ifndef NOAH_SQL_STATE_H
#define NOAH_SQL_STATE_H

#include "proto/mysql.h"

/* Past either a session stays on the primary, where its settings are. */
#define STATE_SETTINGS_MOST 64u
#define STATE_BYTES_MOST    16384u

struct state {
	unsigned count, room;
	size_t bytes;
	uint64_t version; /* grows with each setting */
	struct state_setting {
		uint64_t version;
		uint32_t name_size, text_size;
		bool alone;  /* needs a SET of its own */
		char *bytes; /* name, then text */
	} * settings;    /* in the order in which they were made last */
};

/* Zeroed memory is an empty state. */
void state_free(struct state *state);
/* `SET <text>` worked; a later one of the same name replaces it. False when the bounds or memory are reached: not kept. */
bool state_record(struct state *state, struct span name, struct span text, bool alone) MUST_CHECK;
/* How many bytes state_write may need. */
size_t state_size(const struct state *state);
/* Writes the statements that bring a connection from `version` to the present, joined where they may be. Returns their number. */
unsigned state_write(const struct state *state, uint64_t version, struct mysql_writer *writer);
/* The value of a setting, e.g. "names"; empty when it was not made. */
struct span state_find(const struct state *state, struct span name);

#endif
