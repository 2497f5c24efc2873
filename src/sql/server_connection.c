/* SPDX-License-Identifier: BSD-2-Clause
 *
 * server_connection: a session's connections to servers: opened when first needed, logged in as the client, with the client's
 * capabilities, and brought to what the session has set; and what it means to lose one.
 *
 * Called by login.c, command.c, route.c and statement.c, in the session's task.
 */
#include "sql/server_login.h"
#include "sql/session.h"

#include <stdio.h>
#include <stdlib.h>

static void say_goodbye(struct server_connection *connection)
{
	static const char quit[] = {1, 0, 0, 0, MYSQL_COM_QUIT};
	size_t sent;
	if (stream_is_quiet(&connection->stream))
		(void)!stream_write_now(&connection->stream, quit, sizeof quit,
		                        &sent); /* a server logs connections that end without it */
}

void connection_close(struct session *session, enum slot slot)
{
	struct server_connection *connection = &session->connections[slot];
	say_goodbye(connection);
	stream_close(&connection->stream);
	connection->row = -1;
	connection->incarnation = 0;
}

/* Nothing unexpected stands in its input, and it is not closed. */
static bool is_good(struct server_connection *connection)
{
	struct stream *stream = &connection->stream;
	if (stream_is_quiet(stream))
		return true;
	/* The last read may have filled the buffer to its end, so that nobody knows yet whether there is more. */
	return stream_is_open(stream) && !stream->watched.hangup && buffer_filled(&stream->input) == 0 &&
	       stream_fill_now(stream) == NET_TIMEOUT;
}

static enum server_login_result open_connection(struct session *session, enum slot slot, const struct sql_server *server,
                                                struct server_login_answer *answer)
{
	connection_close(session, slot);
	struct server_connection *connection = &session->connections[slot];
	struct sql_database *database = session->database;
	struct sql_server to = *server;
	struct server_identity identity = {
	    .user = span_of_text(session->user),
	    .has_password = session->has_password,
	    .schema = span_of_text(session->schema),
	    .attributes = span_of(session->attributes, session->attributes_size),
	    .capabilities = session->capabilities,
	    .packet_most = session->packet_most,
	    .collation = session->collation,
	};
	memcpy(identity.password_sha1, session->password_sha1, sizeof identity.password_sha1);
	int64_t timeout_ms = database->settings != NULL ? database->settings->connect_timeout_ms : 1000;
	enum server_login_result result = server_login(&connection->stream, &to.address, &identity, timeout_ms, answer);
	if (result == SERVER_LOGIN_REFUSED && answer->code == MYSQL_ERROR_UNKNOWN_DATABASE && session->logged_in &&
	    session_set_schema(session, SPAN(""))) {
		/* Dropped since the session chose it: a server's own session then goes on without one. */
		identity.schema = (struct span){0};
		result = server_login(&connection->stream, &to.address, &identity, timeout_ms, answer);
	}
	if (result == SERVER_LOGIN_UNREACHABLE)
		database_server_failed(database, to.row);
	if (result != SERVER_LOGIN_OK)
		return result;
	database_server_worked(database, to.row);
	database->collation = answer->collation;
	connection->row = to.row;
	connection->incarnation = ++session->incarnations;
	connection->state_version = 0;
	connection->schema_version = session->schema_version;
	connection->multi_option = -1;
	connection->was_reset = false;
	connection->connection_id = answer->connection_id;
	memcpy(connection->name, to.name, sizeof connection->name);
	return SERVER_LOGIN_OK;
}

/* ---- the first one -------------------------------------------------------------------------------------------- */

/* The server's own error, as it gave it. */
static enum outcome pass_refusal(struct session *session, const struct sql_server *server,
                                 const struct server_login_answer *answer)
{
	char out[512], text[sizeof answer->text];
	struct mysql_writer writer;
	memcpy(text, answer->text, sizeof text);
	mysql_writer_init(&writer, out, sizeof out);
	mysql_error_write(&writer, session->reply_sequence, session->capabilities, answer->code, answer->sqlstate,
	                  span_of_text(text));
	session_set_problem(session, "%s: %s", server->name, text);
	if (session_send(session, &writer) != NET_OK)
		return OUTCOME_CLIENT_LOST;
	return OUTCOME_REFUSED_BY_SERVER;
}

static enum outcome try_first(struct session *session, enum slot slot, const struct sql_server *server)
{
	struct server_login_answer answer;
	struct sql_server to = *server;
	switch (open_connection(session, slot, &to, &answer)) {
	case SERVER_LOGIN_OK:
		session->status = answer.status;
		return OUTCOME_DONE;
	case SERVER_LOGIN_REFUSED:
		return pass_refusal(session, &to, &answer);
	case SERVER_LOGIN_CANCELLED:
		return OUTCOME_CANCELLED;
	case SERVER_LOGIN_UNREACHABLE:
	case SERVER_LOGIN_UNFIT:
		break;
	}
	session_set_problem(session, "%s: %s", to.name, answer.text);
	return OUTCOME_NOBODY_HOME;
}

enum outcome connection_first(struct session *session)
{
	struct sql_database *database = session->database;
	struct database_primary primary = database_find_primary(database);
	enum outcome outcome = OUTCOME_NOBODY_HOME;
	if (primary.server != NULL)
		outcome = try_first(session, SLOT_PRIMARY, primary.server);
	else
		session_set_problem(session, "%s", database_why_no_primary(database, (char[DATABASE_REASON_SIZE]){0}));
	if (outcome != OUTCOME_NOBODY_HOME)
		return outcome;
	/* Without the primary a session can still read, where that is allowed. */
	int rows[CLUSTER_SERVERS_MOST];
	unsigned count = database_list_replicas(database, true, -1, rows);
	for (unsigned i = 0; i < count && outcome == OUTCOME_NOBODY_HOME; i++) {
		const struct sql_server *server = database_find_server(database, rows[i]);
		if (server != NULL)
			outcome = try_first(session, SLOT_REPLICA, server);
	}
	return outcome;
}

/* ---- bringing one to what the session has set ----------------------------------------------------------------- */

static unsigned write_changes(const struct session *session, const struct server_connection *connection,
                              struct mysql_writer *writer)
{
	unsigned commands = 0;
	uint64_t version = connection->state_version;
	if (session->was_reset && !connection->was_reset) {
		mysql_write_command(writer, MYSQL_COM_RESET_CONNECTION, (struct span){0});
		version = 0;
		commands++;
	}
	if (connection->schema_version != session->schema_version && session->schema[0] != '\0') {
		mysql_write_command(writer, MYSQL_COM_INIT_DB, span_of_text(session->schema));
		commands++;
	}
	if (session->multi_option >= 0 && connection->multi_option != session->multi_option) {
		/* 0: on, 1: off (MYSQL_OPTION_MULTI_STATEMENTS_ON and OFF) */
		mysql_write_command(writer, MYSQL_COM_SET_OPTION, span_of((char[2]){session->multi_option, 0}, 2));
		commands++;
	}
	return commands + state_write(&session->state, version, writer);
}

/* True: all that the session has set is in force there. Costs nothing when nothing has changed, else one round trip. */
static bool bring_up_to_date(struct session *session, struct server_connection *connection)
{
	if (LIKELY(connection->state_version == session->state.version && connection->schema_version == session->schema_version &&
	           connection->multi_option == session->multi_option && connection->was_reset == session->was_reset))
		return true;
	size_t room = state_size(&session->state) + SESSION_SCHEMA_SIZE + 64;
	char *memory = malloc(room);
	if (memory == NULL) {
		session_set_problem(session, "out of memory");
		return false;
	}
	struct mysql_writer writer;
	mysql_writer_init(&writer, memory, room);
	unsigned commands = write_changes(session, connection, &writer);
	ASSERT(!writer.failed);
	bool good = commands == 0 ||
	            exchange_quietly(session, connection, span_of(writer.start, writer.size), commands, MYSQL_COM_PING, NULL);
	free(memory);
	if (!good)
		return false;
	connection->state_version = session->state.version;
	connection->schema_version = session->schema_version;
	connection->multi_option = session->multi_option;
	connection->was_reset = session->was_reset;
	return true;
}

/* ---- the two of them ------------------------------------------------------------------------------------------ */

enum outcome connection_primary_lost(struct session *session, const char *why)
{
	enum outcome outcome = OUTCOME_DONE;
	char lost[160] = "";
	if (session_in_transaction(session)) {
		outcome = OUTCOME_TRANSACTION_LOST;
	} else if (session->held != 0) {
		outcome = OUTCOME_STATE_LOST;
		snprintf(lost, sizeof lost, "something it did before (it %s) lived on the connection to ",
		         sql_reason_text((enum sql_reason)__builtin_ctzll(session->held)));
	}
	if (outcome != OUTCOME_DONE)
		session_set_problem(session, "%s%s: %s", lost, session->connections[SLOT_PRIMARY].name, why);
	session->status &= (uint16_t) ~(MYSQL_STATUS_IN_TRANS | MYSQL_STATUS_IN_TRANS_READONLY);
	session->held = 0;
	connection_close(session, SLOT_PRIMARY);
	return outcome;
}

enum outcome connection_to_primary(struct session *session, struct server_connection **out)
{
	struct server_connection *connection = &session->connections[SLOT_PRIMARY];
	struct sql_database *database = session->database;
	struct database_primary primary = database_find_primary(database);
	*out = connection;
	if (primary.server == NULL) {
		char why[DATABASE_REASON_SIZE];
		session_set_problem(session, "%s", database_why_no_primary(database, why));
		if (connection->row < 0 || is_good(connection))
			return OUTCOME_NO_PRIMARY; /* the connection is kept: it may be primary again */
		enum outcome lost = connection_primary_lost(session, why);
		return lost != OUTCOME_DONE ? lost : OUTCOME_NO_PRIMARY;
	}
	if (connection->row >= 0 || session_in_transaction(session) || session->held != 0) {
		const char *why = connection->row < 0                      ? "the connection broke"
		                  : connection->row != primary.server->row ? "it is no longer the primary"
		                  : !is_good(connection)                   ? "the server closed the connection"
		                                                           : NULL;
		if (LIKELY(why == NULL))
			return bring_up_to_date(session, connection) ? OUTCOME_DONE : OUTCOME_SETTING_REFUSED;
		enum outcome lost = connection_primary_lost(session, why);
		if (lost != OUTCOME_DONE)
			return lost;
	}
	struct server_login_answer answer;
	char name[CLUSTER_NAME_SIZE];
	memcpy(name, primary.server->name, sizeof name);
	enum server_login_result result = open_connection(session, SLOT_PRIMARY, primary.server, &answer);
	if (result == SERVER_LOGIN_CANCELLED)
		return OUTCOME_CANCELLED;
	if (result != SERVER_LOGIN_OK) {
		session_set_problem(session, "the primary %s of database %s: %s", name, database->name, answer.text);
		return OUTCOME_NO_PRIMARY;
	}
	if (!bring_up_to_date(session, connection))
		return OUTCOME_SETTING_REFUSED;
	return OUTCOME_DONE;
}

enum outcome connection_to_replica(struct session *session, int row, struct server_connection **out)
{
	struct server_connection *connection = &session->connections[SLOT_REPLICA];
	*out = connection;
	if (connection->row != row || !is_good(connection)) {
		const struct sql_server *server = database_find_server(session->database, row);
		struct server_login_answer answer;
		if (server == NULL) {
			session_set_problem(session, "the replica is no longer in the cluster file");
			return OUTCOME_NO_SERVER;
		}
		struct sql_server to = *server;
		enum server_login_result result = open_connection(session, SLOT_REPLICA, &to, &answer);
		if (result == SERVER_LOGIN_CANCELLED)
			return OUTCOME_CANCELLED;
		if (result != SERVER_LOGIN_OK) {
			session_set_problem(session, "replica %s: %s", to.name, answer.text);
			return OUTCOME_NO_SERVER;
		}
	}
	return bring_up_to_date(session, connection) ? OUTCOME_DONE : OUTCOME_SETTING_REFUSED;
}
