/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handover: see handover.h. Runs in the supervisor, and in the short process that says whether a program could take over.
 */
#include "process/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDOVER_MOST_BYTES (1u << 20)

/* ---- writing -------------------------------------------------------------------------------------------------- */

static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);
	return json != NULL ? json : json_string("");
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *child_json(const char *name, const struct child *child)
{
	json_t *json = json_object();
	json_object_set_new(json, "name", json_string(name));
	set_number(json, "pid", (uint64_t)child->pid);
	json_object_set_new(json, "channel", json_integer(child->channel));
	set_number(json, "started_us", child->started_us);
	set_number(json, "crashes", child->crashes);
	set_number(json, "taken_generation", child->taken_generation);
	json_object_set_new(json, "last_end", text_json(child->last_end));
	set_number(json, "last_end_wall_us", child->last_end_wall_us);
	return json;
}

static json_t *listener_json(const struct listener *listener)
{
	char text[ADDRESS_TEXT_SIZE];
	json_t *json = json_object();
	set_number(json, "id", listener->name.id);
	set_number(json, "kind", listener->name.kind);
	json_object_set_new(json, "address", text_json(address_format(&listener->name.address, text)));
	json_object_set_new(json, "descriptor", json_integer(listener->descriptor));
	return json;
}

static json_t *retired_json(const struct retired *retired)
{
	json_t *json = child_json("traffic", &retired->child);
	set_number(json, "first_lane", retired->first_lane);
	set_number(json, "threads", retired->threads);
	set_number(json, "generation", retired->generation);
	set_number(json, "retired_wall_us", retired->retired_wall_us);
	json_object_set_new(json, "version", text_json(retired->version));
	return json;
}

static json_t *client_json(const struct control_client *client)
{
	json_t *json = json_object();
	json_object_set_new(json, "descriptor", json_integer(client->descriptor));
	json_object_set_new(json, "request", json_stringn_nocheck(client->request, client->request_size));
	set_number(json, "waits", client->waits);
	return json;
}

static json_t *handover_json(const struct handover *handover)
{
	json_t *json = json_object(), *children = json_array(), *listeners = json_array(), *retired = json_array(),
	       *clients = json_array();
	set_number(json, "format", HANDOVER_FORMAT);
	json_object_set_new(json, "version", text_json(handover->version));
	json_object_set_new(json, "failure", text_json(handover->failure));
	json_object_set_new(json, "program", text_json(handover->program));
	json_object_set_new(json, "former_program", text_json(handover->former_program));
	json_object_set_new(json, "former_descriptor", json_integer(handover->former_descriptor));
	json_object_set_new(json, "board", json_integer(handover->board));
	json_object_set_new(json, "snapshot", json_integer(handover->snapshot));
	json_object_set_new(json, "control", json_integer(handover->control));
	json_object_set_new(json, "keyring", json_integer(handover->keyring));
	json_object_set_new(json, "guard", json_integer(handover->guard));
	set_number(json, "generation", handover->generation);
	set_number(json, "threads", handover->threads);
	set_number(json, "first_lane", handover->first_lane);
	set_number(json, "next_listener_id", handover->next_listener_id);
	json_object_set_new(json, "announced", json_boolean(handover->announced));
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		json_array_append_new(children, child_json(process_table[row].name, &handover->children[row]));
	for (unsigned i = 0; i < handover->listener_count; i++)
		json_array_append_new(listeners, listener_json(&handover->listeners[i]));
	for (unsigned i = 0; i < handover->retired_count; i++)
		json_array_append_new(retired, retired_json(&handover->retired[i]));
	for (unsigned i = 0; i < handover->client_count; i++)
		json_array_append_new(clients, client_json(&handover->clients[i]));
	json_object_set_new(json, "children", children);
	json_object_set_new(json, "listeners", listeners);
	json_object_set_new(json, "retired", retired);
	json_object_set_new(json, "clients", clients);
	return json;
}

int handover_write(const struct handover *handover)
{
	json_t *json = handover_json(handover);
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (text == NULL)
		return -ENOMEM;
	size_t size = strlen(text);
	int result = -EFBIG, file = memfd_create("noah-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0)
		result = -errno;
	else if (size <= HANDOVER_MOST_BYTES && write(file, text, size) == (ssize_t)size &&
	         fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		result = file;
	if (result < 0 && file >= 0)
		close(file);
	free(text);
	return result;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Each takes one member; the first that is missing or impossible is remembered, and all later ones are passed over. */
struct reader {
	const char *wrong; /* its key; NULL: all is well */
};

static uint64_t take_number(struct reader *reader, const json_t *object, const char *key, uint64_t most)
{
	const json_t *value = json_object_get(object, key);
	if (reader->wrong == NULL && json_is_integer(value) && json_integer_value(value) >= 0 &&
	    (uint64_t)json_integer_value(value) <= most)
		return (uint64_t)json_integer_value(value);
	if (reader->wrong == NULL)
		reader->wrong = key;
	return 0;
}

/* -1 means none, where that is allowed. */
static int take_descriptor(struct reader *reader, const json_t *object, const char *key, bool may_be_none)
{
	const json_t *value = json_object_get(object, key);
	if (may_be_none && json_is_integer(value) && json_integer_value(value) == -1)
		return -1;
	return (int)take_number(reader, object, key, INT32_MAX);
}

static void take_text(struct reader *reader, const json_t *object, const char *key, char *out, size_t out_size)
{
	const char *text = json_string_value(json_object_get(object, key));
	if ((text == NULL || !span_copy(span_of_text(text), out, out_size)) && reader->wrong == NULL)
		reader->wrong = key;
}

static const json_t *take_list(struct reader *reader, const json_t *object, const char *key, size_t most)
{
	const json_t *list = json_object_get(object, key);
	if (reader->wrong == NULL && (!json_is_array(list) || json_array_size(list) > most))
		reader->wrong = key;
	return list;
}

static void take_child(struct reader *reader, const json_t *json, struct child *child)
{
	child->pid = (pid_t)take_number(reader, json, "pid", INT32_MAX);
	child->channel = take_descriptor(reader, json, "channel", true);
	child->started_us = take_number(reader, json, "started_us", INT64_MAX);
	child->crashes = (unsigned)take_number(reader, json, "crashes", INT32_MAX);
	child->taken_generation = take_number(reader, json, "taken_generation", INT64_MAX);
	take_text(reader, json, "last_end", child->last_end, sizeof child->last_end);
	child->last_end_wall_us = take_number(reader, json, "last_end_wall_us", INT64_MAX);
}

static void take_children(struct reader *reader, const json_t *json, struct handover *handover)
{
	size_t index;
	const json_t *value;
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		handover->children[row].channel = -1;
	json_array_foreach(take_list(reader, json, "children", 64), index, value)
	{
		char name[32];
		take_text(reader, value, "name", name, sizeof name);
		for (unsigned row = 0; row < PROCESS_ROWS && reader->wrong == NULL; row++)
			if (strcmp(name, process_table[row].name) == 0)
				take_child(reader, value, &handover->children[row]);
	}
}

static void take_listeners(struct reader *reader, const json_t *json, struct handover *handover)
{
	size_t index;
	const json_t *value;
	json_array_foreach(take_list(reader, json, "listeners", LISTENERS_MOST), index, value)
	{
		char text[ADDRESS_TEXT_SIZE];
		struct listener *listener = &handover->listeners[handover->listener_count];
		listener->name.id = (uint32_t)take_number(reader, value, "id", UINT32_MAX);
		listener->name.kind = (uint32_t)take_number(reader, value, "kind", UINT32_MAX);
		listener->descriptor = take_descriptor(reader, value, "descriptor", false);
		take_text(reader, value, "address", text, sizeof text);
		if (reader->wrong == NULL && !address_parse(span_of_text(text), false, &listener->name.address))
			reader->wrong = "address";
		if (reader->wrong != NULL)
			return;
		handover->listener_count++;
	}
}

static void take_retired(struct reader *reader, const json_t *json, struct handover *handover)
{
	size_t index;
	const json_t *value;
	json_array_foreach(take_list(reader, json, "retired", RETIRED_MOST), index, value)
	{
		struct retired *retired = &handover->retired[handover->retired_count];
		take_child(reader, value, &retired->child);
		retired->first_lane = (unsigned)take_number(reader, value, "first_lane", BOARD_LANES_MOST);
		retired->threads = (unsigned)take_number(reader, value, "threads", BOARD_LANES_MOST - retired->first_lane);
		retired->generation = take_number(reader, value, "generation", INT64_MAX);
		retired->retired_wall_us = take_number(reader, value, "retired_wall_us", INT64_MAX);
		take_text(reader, value, "version", retired->version, sizeof retired->version);
		if (reader->wrong != NULL)
			return;
		handover->retired_count++;
	}
}

static void take_clients(struct reader *reader, const json_t *json, struct handover *handover)
{
	size_t index;
	const json_t *value;
	json_array_foreach(take_list(reader, json, "clients", CONTROL_CLIENTS_MOST), index, value)
	{
		struct control_client *client = &handover->clients[handover->client_count];
		client->descriptor = take_descriptor(reader, value, "descriptor", false);
		client->waits = (enum client_waits)take_number(reader, value, "waits", CLIENT_WAITS_END - 1);
		take_text(reader, value, "request", client->request, sizeof client->request);
		if (reader->wrong != NULL)
			return;
		client->request_size = strlen(client->request);
		handover->client_count++;
	}
}

/* The table of a program before the one that hands over, which knew of none (before 0.3). */
static int guard_of_before(void)
{
	uint64_t number;
	const char *text = getenv(HANDOVER_GUARD_VARIABLE);
	if (text == NULL || !span_to_number(span_of_text(text), INT32_MAX, &number) || fcntl((int)number, F_GETFD) < 0)
		return -1;
	return (int)number;
}

static void take_all(struct reader *reader, const json_t *json, struct handover *handover)
{
	take_text(reader, json, "failure", handover->failure, sizeof handover->failure);
	take_text(reader, json, "program", handover->program, sizeof handover->program);
	take_text(reader, json, "former_program", handover->former_program, sizeof handover->former_program);
	handover->former_descriptor = take_descriptor(reader, json, "former_descriptor", true);
	handover->board = take_descriptor(reader, json, "board", false);
	handover->snapshot = take_descriptor(reader, json, "snapshot", false);
	handover->control = take_descriptor(reader, json, "control", false);
	handover->keyring = take_descriptor(reader, json, "keyring", true);
	handover->guard = json_object_get(json, "guard") != NULL ? take_descriptor(reader, json, "guard", true) : guard_of_before();
	handover->generation = take_number(reader, json, "generation", INT64_MAX);
	handover->first_lane = (unsigned)take_number(reader, json, "first_lane", BOARD_LANES_MOST);
	handover->threads = (unsigned)take_number(reader, json, "threads", BOARD_LANES_MOST - handover->first_lane);
	handover->next_listener_id = (uint32_t)take_number(reader, json, "next_listener_id", UINT32_MAX);
	handover->announced = json_is_true(json_object_get(json, "announced"));
	take_children(reader, json, handover);
	take_listeners(reader, json, handover);
	take_retired(reader, json, handover);
	take_clients(reader, json, handover);
}

static json_t *load(int descriptor)
{
	struct stat status;
	json_t *json = NULL;
	if (fstat(descriptor, &status) != 0 || status.st_size <= 0 || status.st_size > (off_t)HANDOVER_MOST_BYTES)
		return NULL;
	void *text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
	if (text == MAP_FAILED)
		return NULL;
	json = json_loadb(text, (size_t)status.st_size, 0, NULL);
	munmap(text, (size_t)status.st_size);
	return json;
}

struct handover *handover_read(int descriptor, char *why, size_t why_size)
{
	struct reader reader = {0};
	struct handover *handover = calloc(1, sizeof *handover);
	json_t *json = load(descriptor);
	uint64_t format = json != NULL ? take_number(&reader, json, "format", INT32_MAX) : 0;
	if (handover == NULL || json == NULL) {
		snprintf(why, why_size, "the running noah's state cannot be read");
		goto failed;
	}
	take_text(&reader, json, "version", handover->version, sizeof handover->version);
	if (reader.wrong == NULL && format < HANDOVER_LEAST) {
		snprintf(why, why_size, "noah %s cannot hand over to noah %s, it is too old for that: restart it", handover->version,
		         NOAH_VERSION);
		goto failed;
	}
	take_all(&reader, json, handover);
	if (reader.wrong != NULL) {
		snprintf(why, why_size, "the running noah's state lacks what noah %s needs (%s): restart it", NOAH_VERSION, reader.wrong);
		goto failed;
	}
	json_decref(json);
	return handover;

failed:
	json_decref(json);
	free(handover);
	return NULL;
}

/* ---- descriptors ---------------------------------------------------------------------------------------------- */

static bool keep_one(int descriptor, bool keep)
{
	return descriptor < 0 || fcntl(descriptor, F_SETFD, keep ? 0 : FD_CLOEXEC) == 0;
}

bool handover_keep_descriptors(const struct handover *handover, bool keep)
{
	bool good = keep_one(handover->former_descriptor, keep);
	good = keep_one(handover->board, keep) && good;
	good = keep_one(handover->snapshot, keep) && good;
	good = keep_one(handover->control, keep) && good;
	good = keep_one(handover->keyring, keep) && good;
	good = keep_one(handover->guard, keep) && good;
	for (unsigned row = 0; row < PROCESS_ROWS; row++)
		good = keep_one(handover->children[row].channel, keep) && good;
	for (unsigned i = 0; i < handover->listener_count; i++)
		good = keep_one(handover->listeners[i].descriptor, keep) && good;
	for (unsigned i = 0; i < handover->retired_count; i++)
		good = keep_one(handover->retired[i].child.channel, keep) && good;
	for (unsigned i = 0; i < handover->client_count; i++)
		good = keep_one(handover->clients[i].descriptor, keep) && good;
	return good;
}
