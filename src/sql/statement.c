/* SPDX-License-Identifier: BSD-2-Clause
 *
 * statement: prepared statements of the binary protocol.
 *
 * Prepared at the primary, whose definitions are never behind; while there is none, at a replica. An execution that only reads
 * may go to a replica: it is prepared there then, once. The client's ids are noah's; the server's id is put into each command in
 * place.
 */
#include "sql/session.h"

#include <stdlib.h>

#define ID_OFFSET (MYSQL_HEADER_SIZE + 1)

static uint32_t read_id(const struct command *command)
{
	struct mysql_reader reader = mysql_reader_of(span_of(command->packet.start + ID_OFFSET, 4));
	return mysql_read_u32(&reader);
}

/* Finds the statement that the command is about. */
static enum outcome find_statement(struct session *session, struct command *command, size_t payload_least)
{
	if (command_payload(command).size < payload_least)
		return OUTCOME_MALFORMED;
	uint32_t id = read_id(command);
	command->prepared = prepared_find(&session->prepared, id);
	if (command->prepared != NULL)
		return OUTCOME_DONE;
	session_set_problem(session, "(%u) given to %s", id, mysql_command_name(command->number));
	return OUTCOME_NO_STATEMENT;
}

/* ---- COM_STMT_PREPARE ----------------------------------------------------------------------------------------- */

enum outcome statement_prepare(struct session *session, struct command *command)
{
	struct span text = {0};
	command->class = (struct sql_class){.kind = SQL_KIND_OTHER,
	                                    .route = SQL_ROUTE_PRIMARY,
	                                    .reason = SQL_REASON_UNKNOWN,
	                                    .binds = SQL_REASON_UNKNOWN,
	                                    .autocommit = -1};
	if (command->whole) {
		text = span_of(command_payload(command).start + 1, command_payload(command).size - 1);
		sql_classify(text, session_text_mode(session), &command->class);
	}
	struct prepared *item = prepared_add(&session->prepared, text, &command->class);
	if (item == NULL)
		return OUTCOME_TOO_MANY_STATEMENTS;
	command->give_id = item->id;
	item->context = session->context;
	/* Preparing executes nothing: it binds nothing, and may be done again elsewhere. */
	command->class.kind = command->class.route == SQL_ROUTE_READ ? SQL_KIND_READ : SQL_KIND_OTHER;
	command->class.binds = SQL_REASON_NONE;
	command->class.asks_insert_id = false;
	/* FOUND_ROWS() goes on to be about the statement before: that may be just what is prepared here. */
	bool has_last = session->has_last;
	enum slot last_slot = session->last_slot;
	uint64_t last_incarnation = session->last_incarnation;
	session->has_last = false;
	enum outcome outcome = route_to_primary(session, command);
	if (outcome != OUTCOME_DONE || command->failed || !session->has_last) {
		prepared_remove(&session->prepared, item);
	} else {
		item->parameters = command->answer.parameters;
		item->at[session->last_slot].incarnation = session->last_incarnation;
		item->at[session->last_slot].id = command->answer.statement_id;
	}
	session->has_last = has_last;
	session->last_slot = last_slot;
	session->last_incarnation = last_incarnation;
	return outcome;
}

/* ---- making a command fit a connection ------------------------------------------------------------------------ */

static bool is_prepared_at(const struct prepared *item, const struct server_connection *connection, enum slot slot)
{
	return item->at[slot].incarnation == connection->incarnation && connection->incarnation != 0;
}

static enum outcome prepare_at(struct session *session, struct server_connection *connection, enum slot slot,
                               struct prepared *item)
{
	if (item->text == NULL) {
		session_set_problem(session, "a prepared statement too long to be kept was lost with its connection");
		return OUTCOME_STATE_LOST;
	}
	if (item->context != session->context) {
		session_set_problem(session,
		                    "a statement prepared for another database or under other settings was lost with its connection");
		return OUTCOME_STATE_LOST;
	}
	size_t size = (size_t)item->text_size + MYSQL_HEADER_SIZE + 1;
	char *memory = malloc(size);
	if (memory == NULL)
		return OUTCOME_NO_MEMORY;
	struct mysql_writer writer;
	struct mysql_prepared prepared = {0};
	mysql_writer_init(&writer, memory, size);
	mysql_write_command(&writer, MYSQL_COM_STMT_PREPARE, span_of(item->text, item->text_size));
	ASSERT(!writer.failed);
	bool good = exchange_quietly(session, connection, span_of(writer.start, writer.size), 1, MYSQL_COM_STMT_PREPARE, &prepared);
	free(memory);
	if (!good)
		return OUTCOME_SETTING_REFUSED;
	item->at[slot].incarnation = connection->incarnation;
	item->at[slot].id = prepared.statement_id;
	item->at[slot].types_version = 0;
	if (prepared.parameters != item->parameters) {
		session_set_problem(session, "%s understands a prepared statement differently", connection->name);
		return OUTCOME_SETTING_REFUSED;
	}
	return OUTCOME_DONE;
}

/* The packet again, with the types of its parameters in it: they were bound on another connection. */
static enum outcome add_types(struct command *command, const struct prepared *item, const struct prepared_parameters *parameters)
{
	struct span payload = command_payload(command);
	size_t types_size = (size_t)item->parameters * 2;
	size_t size = payload.size + types_size;
	char *memory = malloc(MYSQL_HEADER_SIZE + size);
	if (memory == NULL)
		return OUTCOME_NO_MEMORY;
	char *next = memory;
	char header[MYSQL_HEADER_SIZE] = {(char)size, (char)(size >> 8), (char)(size >> 16), 0};
	next = mempcpy(next, header, sizeof header);
	next = mempcpy(next, payload.start, parameters->flag);
	*next++ = 1;
	next = mempcpy(next, item->types, types_size);
	memcpy(next, payload.start + parameters->types, payload.size - parameters->types);
	command_replace(command, memory, MYSQL_HEADER_SIZE + size);
	return OUTCOME_DONE;
}

static enum outcome fit_types(struct session *session, enum slot slot, struct command *command)
{
	struct prepared *item = command->prepared;
	struct prepared_parameters parameters;
	if (!prepared_find_parameters(item, command_payload(command), command->whole, &parameters))
		return OUTCOME_MALFORMED;
	if (item->parameters == 0 || item->at[slot].types_version == item->types_version)
		return OUTCOME_DONE; /* none, or bound there already */
	if (!parameters.has_types) {
		size_t size = mysql_header_size(command->packet.start) + (size_t)item->parameters * 2;
		if (item->types == NULL || size >= MYSQL_PAYLOAD_MOST) {
			session_set_problem(session, "the types of a prepared statement's parameters were lost with its connection");
			return OUTCOME_STATE_LOST;
		}
		if (!command->whole)
			command->types_at = MYSQL_HEADER_SIZE + parameters.flag; /* exchange.c puts them in on the way */
		else if (add_types(command, item, &parameters) != OUTCOME_DONE)
			return OUTCOME_NO_MEMORY;
	}
	item->at[slot].types_version = item->types_version;
	return OUTCOME_DONE;
}

enum outcome statement_fit(struct session *session, struct server_connection *connection, struct command *command)
{
	struct prepared *item = command->prepared;
	enum slot slot = connection == &session->connections[SLOT_REPLICA] ? SLOT_REPLICA : SLOT_PRIMARY;
	enum outcome outcome = OUTCOME_DONE;
	if (UNLIKELY(!is_prepared_at(item, connection, slot)))
		outcome = prepare_at(session, connection, slot, item);
	if (outcome == OUTCOME_DONE && command->number == MYSQL_COM_STMT_EXECUTE && item->has_long_data &&
	    item->long_data_incarnation != connection->incarnation) {
		session_set_problem(session, "the long data that was sent for it was lost with its connection");
		return OUTCOME_STATE_LOST;
	}
	if (outcome == OUTCOME_DONE && command->number == MYSQL_COM_STMT_EXECUTE)
		outcome = fit_types(session, slot, command);
	if (outcome != OUTCOME_DONE)
		return outcome;
	/* The packet lies in the client's input buffer or in memory of ours; both may be written to. */
	char *id = (char *)(uintptr_t)(command->packet.start + ID_OFFSET);
	for (unsigned i = 0; i < 4; i++)
		id[i] = (char)(item->at[slot].id >> (8 * i));
	return OUTCOME_DONE;
}

/* ---- COM_STMT_EXECUTE ----------------------------------------------------------------------------------------- */

enum outcome statement_execute(struct session *session, struct command *command)
{
	BOARD_COUNT(session_lane(session), statements, 1);
	enum outcome outcome = find_statement(session, command, 10);
	if (outcome != OUTCOME_DONE)
		return outcome;
	struct prepared *item = command->prepared;
	struct prepared_parameters parameters;
	if (!prepared_find_parameters(item, command_payload(command), command->whole, &parameters))
		return OUTCOME_MALFORMED;
	if (parameters.types_cut)
		prepared_forget_types(item);
	else if (parameters.has_types &&
	         !prepared_keep_types(item, (const uint8_t *)command_payload(command).start + parameters.types))
		return OUTCOME_NO_MEMORY;
	command->class = (struct sql_class){
	    .kind = item->kind, .route = item->route, .binds = item->binds, .autocommit = -1, .asks_insert_id = item->asks_insert_id};
	bool is_plain = item->kind == SQL_KIND_READ || item->kind == SQL_KIND_WRITE;
	if (item->text == NULL && !is_plain) /* nobody can tell any more what it sets */
		command->class.binds = SQL_REASON_UNKNOWN;
	if (item->text != NULL && !is_plain) /* what it sets has to be known again */
		sql_classify(span_of(item->text, item->text_size), session_text_mode(session), &command->class);
	if (item->route == SQL_ROUTE_READ)
		BOARD_COUNT(session_lane(session), statements_read, 1);
	bool has_all = item->text != NULL && (item->parameters == 0 || item->types != NULL);
	/* Where it is not prepared yet it would become something else in another schema. */
	has_all =
	    has_all && (item->context == session->context || is_prepared_at(item, &session->connections[SLOT_REPLICA], SLOT_REPLICA));
	bool anywhere = route_may_read_anywhere(session, item->route) && !item->has_long_data && command->whole && has_all;
	if (anywhere)
		outcome = route_to_reader(session, command);
	else if (item->route == SQL_ROUTE_LAST && !item->has_long_data)
		outcome = route_to_last(session, command);
	else
		outcome = route_to_primary(session, command);
	item->has_long_data = false;
	item->cursor_slot = session->last_slot;
	return outcome;
}

/* ---- the others ----------------------------------------------------------------------------------------------- */

/* No answer, not even an error: what goes wrong shows when it is executed. The data goes to the primary, and the execution after
 * it. */
enum outcome statement_long_data(struct session *session, struct command *command)
{
	if (find_statement(session, command, 7) != OUTCOME_DONE)
		return OUTCOME_DONE;
	struct prepared *item = command->prepared;
	struct server_connection *connection = NULL;
	uint16_t status = session->status;
	uint64_t held = session->held;
	enum outcome outcome = connection_to_primary(session, &connection);
	if (outcome == OUTCOME_TRANSACTION_LOST || outcome == OUTCOME_STATE_LOST) {
		session->status = status; /* nobody can be told here: the next statement finds it again */
		session->held = held;
	}
	if (outcome == OUTCOME_DONE)
		outcome = statement_fit(session, connection, command);
	uint64_t incarnation = connection->incarnation;
	bool follows = !item->has_long_data || item->long_data_incarnation == incarnation;
	item->has_long_data = true;
	item->long_data_incarnation = 0;
	if (outcome != OUTCOME_DONE)
		return outcome == OUTCOME_CANCELLED ? outcome : OUTCOME_DONE;
	struct exchange exchange = {0};
	/* A connection that is lost here is found lost by the next statement. */
	enum exchange_result result = exchange_run(session, connection, command, &exchange);
	if (result == EXCHANGE_DONE && follows)
		item->long_data_incarnation = incarnation;
	return result == EXCHANGE_CLIENT_LOST ? OUTCOME_CLIENT_LOST : OUTCOME_DONE;
}

/* No answer either. */
enum outcome statement_close(struct session *session, struct command *command)
{
	if (find_statement(session, command, 5) != OUTCOME_DONE)
		return OUTCOME_DONE;
	struct prepared *item = command->prepared;
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		struct server_connection *connection = &session->connections[slot];
		if (!is_prepared_at(item, connection, (enum slot)slot))
			continue;
		char out[16];
		struct mysql_writer writer;
		mysql_writer_init(&writer, out, sizeof out);
		uint32_t id = item->at[slot].id;
		const uint8_t argument[4] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};
		mysql_write_command(&writer, MYSQL_COM_STMT_CLOSE, span_of(argument, sizeof argument));
		/* A connection that does not take it, or half of it, is found broken by the next statement. */
		if (stream_write_bytes(&connection->stream, writer.start, writer.size, 1000) != NET_OK)
			stream_close(&connection->stream);
	}
	prepared_remove(&session->prepared, item);
	return OUTCOME_DONE;
}

/* Where it was executed last is where its cursor is. */
static enum outcome run_at_cursor(struct session *session, struct command *command)
{
	struct prepared *item = command->prepared;
	struct server_connection *connection = &session->connections[item->cursor_slot];
	if (!is_prepared_at(item, connection, item->cursor_slot) || !stream_is_quiet(&connection->stream)) {
		session_set_problem(session, "the connection to %s that had its cursor is gone", connection->name);
		return OUTCOME_LAST_LOST;
	}
	enum outcome outcome = statement_fit(session, connection, command);
	if (outcome != OUTCOME_DONE)
		return outcome;
	struct exchange exchange = {0};
	enum exchange_result result = exchange_run(session, connection, command, &exchange);
	if (result == EXCHANGE_LOST || result == EXCHANGE_REFUSED)
		return OUTCOME_LAST_LOST;
	if (result == EXCHANGE_DONE && item->cursor_slot == SLOT_PRIMARY && exchange.has_status)
		session->status = exchange.status;
	return route_outcome(result);
}

/* Long data is at the primary, a cursor where the statement ran. */
enum outcome statement_reset(struct session *session, struct command *command)
{
	enum outcome outcome = find_statement(session, command, 5);
	if (outcome != OUTCOME_DONE)
		return outcome;
	struct prepared *item = command->prepared;
	if (item->has_long_data)
		item->cursor_slot = SLOT_PRIMARY;
	item->has_long_data = false;
	if (!is_prepared_at(item, &session->connections[item->cursor_slot], item->cursor_slot))
		return session_send_ok(session, 1); /* nothing is open anywhere */
	return run_at_cursor(session, command);
}

enum outcome statement_fetch(struct session *session, struct command *command)
{
	enum outcome outcome = find_statement(session, command, 9);
	return outcome == OUTCOME_DONE ? run_at_cursor(session, command) : outcome;
}
