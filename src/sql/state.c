/* SPDX-License-Identifier: BSD-2-Clause
 *
 * state: see the header. Called by command.c (record) and server_connection.c (write).
 */
#include "sql/state.h"

#include <stdlib.h>

void state_free(struct state *state)
{
	for (unsigned i = 0; i < state->count; i++)
		free(state->settings[i].bytes);
	free(state->settings);
	*state = (struct state){.version = state->version};
}

static struct span name_of(const struct state_setting *setting)
{
	return span_of(setting->bytes, setting->name_size);
}

static struct span text_of(const struct state_setting *setting)
{
	return span_of(setting->bytes + setting->name_size, setting->text_size);
}

static void forget(struct state *state, struct span name)
{
	for (unsigned i = 0; i < state->count; i++) {
		if (!span_equal_nocase(name_of(&state->settings[i]), name))
			continue;
		state->bytes -= state->settings[i].name_size + state->settings[i].text_size;
		free(state->settings[i].bytes);
		state->count--;
		memmove(&state->settings[i], &state->settings[i + 1], (state->count - i) * sizeof *state->settings);
		return;
	}
}

bool state_record(struct state *state, struct span name, struct span text, bool alone)
{
	forget(state, name);
	size_t size = name.size + text.size;
	if (state->count == STATE_SETTINGS_MOST || state->bytes + size > STATE_BYTES_MOST)
		return false;
	if (state->count == state->room) {
		struct state_setting *grown = realloc(state->settings, (state->room + 8) * sizeof *grown);
		if (grown == NULL)
			return false;
		state->settings = grown;
		state->room += 8;
	}
	char *bytes = malloc(size);
	if (bytes == NULL)
		return false;
	memcpy(bytes, name.start, name.size);
	memcpy(bytes + name.size, text.start, text.size);
	state->settings[state->count++] = (struct state_setting){
	    .version = ++state->version,
	    .name_size = (uint32_t)name.size,
	    .text_size = (uint32_t)text.size,
	    .alone = alone,
	    .bytes = bytes,
	};
	state->bytes += size;
	return true;
}

size_t state_size(const struct state *state)
{
	return state->bytes + (size_t)state->count * 16; /* header, command, "SET ", comma */
}

unsigned state_write(const struct state *state, uint64_t version, struct mysql_writer *writer)
{
	unsigned commands = 0;
	bool open = false;
	for (unsigned i = 0; i < state->count; i++) {
		const struct state_setting *setting = &state->settings[i];
		if (setting->version <= version)
			continue;
		if (open && setting->alone) {
			mysql_packet_end(writer);
			open = false;
		}
		if (!open) {
			mysql_packet_begin(writer, 0);
			mysql_write_u8(writer, MYSQL_COM_QUERY);
			mysql_write_bytes(writer, SPAN("SET "));
			commands++;
		} else {
			mysql_write_bytes(writer, SPAN(","));
		}
		mysql_write_bytes(writer, text_of(setting));
		open = !setting->alone;
		if (setting->alone)
			mysql_packet_end(writer);
	}
	if (open)
		mysql_packet_end(writer);
	return commands;
}

struct span state_find(const struct state *state, struct span name)
{
	for (unsigned i = 0; i < state->count; i++)
		if (span_equal_nocase(name_of(&state->settings[i]), name))
			return text_of(&state->settings[i]);
	return (struct span){0};
}
