/* SPDX-License-Identifier: BSD-2-Clause
 *
 * session: a client's whole life: greet and log in, then one command after the other, then the end.
 *
 * Runs in traffic, one task for each session; core.c starts it. Between commands a session gives back its buffers at once, and
 * its stack after PARK_AFTER_MS: it then waits on the loop as this record only.
 */
#include "sql/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PARK_AFTER_MS    2000
#define WRITE_TIMEOUT_MS 600000 /* an application that takes no byte of its answer for this long is gone */

/* Sessions of each database in this process, for the bound of the cluster file; by row of the board. */
static atomic_uint sessions_open[BOARD_DATABASES_MOST];
static atomic_uint last_session_id;

static void live(void *argument);

void session_start(struct sql_core *core, struct sql_database *database, int descriptor, const struct address *from)
{
	struct session *session = calloc(1, sizeof *session);
	if (session == NULL) {
		close(descriptor);
		return;
	}
	session->magic = SESSION_MAGIC;
	session->core = core;
	session->database = database;
	session->from = *from;
	session->id = SESSION_ID_FIRST | (atomic_fetch_add(&last_session_id, 1) + 1);
	session->status = MYSQL_STATUS_AUTOCOMMIT;
	session->multi_option = -1;
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		stream_init(&session->connections[slot].stream);
		session->connections[slot].row = -1;
	}
	stream_init(&session->client);
	if (stream_adopt(&session->client, descriptor) != NET_OK) {
		free(session);
		return;
	}
	session->task = task_start(core->loop, "sql session", live, session);
	if (session->task == NULL) {
		LOG_LIMITED(LOG_WARNING, 5000, "database %s: a client was turned away: no task is left", database->name);
		stream_close(&session->client);
		free(session);
		return;
	}
	list_append(&core->sessions, &session->link);
	core->open++;
	BOARD_COUNT(core->lane, sessions_accepted, 1);
	BOARD_COUNT(core->lane, sessions_open, 1);
}

static void free_session(struct session *session)
{
	CHECK_MAGIC(session, SESSION_MAGIC);
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
		connection_close(session, (enum slot)slot);
	stream_close(&session->client);
	if (session->counted)
		atomic_fetch_sub(&sessions_open[session->database->board_index], 1);
	session->core->open--;
	BOARD_COUNT(session->core->lane, sessions_open, -1);
	list_remove(&session->link);
	state_free(&session->state);
	prepared_free(&session->prepared);
	free(session->user);
	free(session->attributes);
	free(session->schema);
	session->magic = 0;
	free(session);
}

/* ---- the life ------------------------------------------------------------------------------------------------- */

static enum outcome enter(struct session *session)
{
	const struct cluster_database *settings = session->database->settings;
	if (settings == NULL)
		return OUTCOME_DATABASE_GONE;
	if (session->core->draining)
		return OUTCOME_DRAINED;
	session->counted = true;
	if (atomic_fetch_add(&sessions_open[session->database->board_index], 1) >= settings->sessions_most)
		return OUTCOME_TOO_MANY;
	return login_client(session);
}

/* Waits until something stands in the client's input. */
static enum outcome wait_for_command(struct session *session)
{
	session->reply_sequence = 1; /* a client reads what we say unasked as the answer to its next command */
	session->answer_begun = false;
	session->problem[0] = '\0';
	for (;;) {
		if (buffer_filled(&session->client.input) > 0)
			return OUTCOME_DONE;
		if (session->database->settings == NULL && !session_in_transaction(session))
			return OUTCOME_DATABASE_GONE;
		if (session->core->draining && !session_in_transaction(session))
			return OUTCOME_DRAINED;
		buffer_release(&session->client.input);
		session->is_waiting = true;
		enum wait_result wait = watched_wait_readable(&session->client.watched, PARK_AFTER_MS);
		session->is_waiting = false;
		if (wait == WAIT_CANCELLED)
			return OUTCOME_CANCELLED;
		if (wait == WAIT_TIMEOUT)
			return OUTCOME_PARKED;
		enum net_result net = stream_fill_now(&session->client);
		if (net == NET_NO_RESOURCES)
			return OUTCOME_NO_MEMORY;
		if (net != NET_OK && net != NET_TIMEOUT)
			return OUTCOME_QUIT;
	}
}

static enum outcome serve(struct session *session)
{
	enum outcome outcome;
	do {
		outcome = wait_for_command(session);
		if (LIKELY(outcome == OUTCOME_DONE))
			outcome = command_execute(session);
	} while (outcome_conclude(session, outcome));
	return outcome;
}

static void resume(void *argument, enum wait_result why);

static void park(struct session *session)
{
	session->task = NULL;
	session->problem = NULL;
	int64_t idle_ms = session->database->settings != NULL ? session->database->settings->idle_timeout_ms : 1;
	loop_park(&session->client.watched, "sql session", idle_ms > PARK_AFTER_MS ? idle_ms - PARK_AFTER_MS : 1, resume, session);
}

static void live(void *argument)
{
	struct session *session = argument;
	CHECK_MAGIC(session, SESSION_MAGIC);
	char problem[SESSION_PROBLEM_SIZE] = "";
	session->problem = problem;
	session->task = task_current();
	enum outcome outcome = OUTCOME_DONE;
	if (!session->logged_in) {
		outcome = enter(session);
		session->logged_in = outcome_conclude(session, outcome);
		if (!session->logged_in && outcome != OUTCOME_CLIENT_LOST && outcome != OUTCOME_CANCELLED)
			BOARD_COUNT(session_lane(session), sessions_refused, 1);
	}
	if (session->logged_in)
		outcome = serve(session);
	if (outcome == OUTCOME_PARKED)
		park(session);
	else
		free_session(session);
}

/* A parked session's next task: there are bytes, or it was idle for too long, or has to end. */
static void resume(void *argument, enum wait_result why)
{
	struct session *session = argument;
	if (why == WAIT_READY) {
		live(session);
		return;
	}
	char problem[SESSION_PROBLEM_SIZE] = "";
	session->problem = problem;
	if (why == WAIT_TIMEOUT)
		(void)!outcome_conclude(session, OUTCOME_IDLE);
	free_session(session);
}

void session_end_soon(struct session *session)
{
	CHECK_MAGIC(session, SESSION_MAGIC);
	if (session_in_transaction(session))
		return;
	if (session->task == NULL)
		loop_unpark(&session->client.watched);
	else if (session->is_waiting)
		task_cancel(session->task);
}

/* ---- small things that the stages share ----------------------------------------------------------------------- */

enum net_result session_send(struct session *session, const struct mysql_writer *writer)
{
	return stream_write_bytes(&session->client, writer->start, writer->size, WRITE_TIMEOUT_MS);
}

enum outcome session_send_ok(struct session *session, uint8_t sequence)
{
	char out[64];
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	struct mysql_ok ok = {.status =
	                          session->status & (uint16_t) ~(MYSQL_STATUS_MORE_RESULTS | MYSQL_STATUS_SESSION_STATE_CHANGED |
	                                                         MYSQL_STATUS_CURSOR_EXISTS | MYSQL_STATUS_LAST_ROW_SENT)};
	mysql_ok_write(&writer, sequence, session->capabilities, &ok);
	ASSERT(!writer.failed);
	return session_send(session, &writer) == NET_OK ? OUTCOME_DONE : OUTCOME_CLIENT_LOST;
}

void session_set_problem(struct session *session, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(session->problem, SESSION_PROBLEM_SIZE, format, arguments);
	va_end(arguments);
}

const char *session_who(const struct session *session, char out[SESSION_WHO_SIZE])
{
	char host[ADDRESS_TEXT_SIZE] = "localhost";
	if (session->from.family == ADDRESS_IPV4 || session->from.family == ADDRESS_IPV6)
		address_format_ip(&session->from, host);
	snprintf(out, SESSION_WHO_SIZE, "'%.64s'@'%s'", session->user != NULL ? session->user : "", host);
	return out;
}

bool session_set_schema(struct session *session, struct span schema)
{
	char *copy = malloc(schema.size + 1);
	if (copy == NULL)
		return false;
	memcpy(copy, schema.start, schema.size);
	copy[schema.size] = '\0';
	session->context += session->schema == NULL || strcmp(session->schema, copy) != 0;
	free(session->schema);
	session->schema = copy;
	session->schema_version++;
	return true;
}

void session_forget_state(struct session *session)
{
	state_free(&session->state);
	prepared_free(&session->prepared);
	session->held = 0;
	session->stays_on_primary = false;
	session->multi_option = -1;
	session->charset_is_unsafe = login_collation_is_unsafe(session->collation);
	session->has_last = false;
	session->insert_incarnation = 0;
}
