/* SPDX-License-Identifier: BSD-2-Clause
 *
 * command: one command of a client: read it, understand it, choose the server, have it answered, remember what it changed.
 *
 * Called by session.c in the session's task. What kind of statement it is: classify.c; where it goes then: route.c.
 */
#include "sql/session.h"

#include <stdio.h>
#include <stdlib.h>

#define MORE_TIMEOUT_MS     60000
#define ASSEMBLE_MOST_BYTES (256u * 1024u)  /* a longer statement passes through unread: see take_long */
#define ASSEMBLED_MOST      64u             /* such statements held in memory at once, on one core */
#define LONG_BEGINNING      NET_BUFFER_SIZE /* bytes of a long command that are there before it is looked at */
#define COMMAND_MOST_BYTES  (1u << 30)      /* the largest max_allowed_packet of a server */

static _Thread_local unsigned assembled;

/* ---- reading it ----------------------------------------------------------------------------------------------- */

static enum outcome fill(struct session *session)
{
	enum net_result net = stream_fill(&session->client, MORE_TIMEOUT_MS);
	if (net == NET_OK)
		return OUTCOME_DONE;
	return net == NET_CANCELLED ? OUTCOME_CANCELLED : OUTCOME_CLIENT_LOST;
}

/* Larger than the input buffer: into memory of its own. */
static enum outcome assemble(struct session *session, struct command *command, size_t size)
{
	command->memory = malloc(size);
	if (command->memory == NULL)
		return OUTCOME_DONE; /* it passes through unread instead */
	assembled++;
	size_t have = 0;
	for (;;) {
		struct span bytes = buffer_span(&session->client.input);
		size_t wanted = bytes.size < size - have ? bytes.size : size - have;
		memcpy(command->memory + have, bytes.start, wanted);
		buffer_consume(&session->client.input, wanted);
		have += wanted;
		if (have == size)
			break;
		enum outcome outcome = fill(session);
		if (outcome != OUTCOME_DONE)
			return outcome;
	}
	command->packet = span_of(command->memory, size);
	command->whole = true;
	return OUTCOME_DONE;
}

/* Too large to be held: what comes first is looked at, exchange.c passes it on in pieces. */
static enum outcome begin_long(struct session *session, struct command *command)
{
	enum outcome outcome = OUTCOME_DONE;
	while (buffer_filled(&session->client.input) < LONG_BEGINNING && outcome == OUTCOME_DONE)
		outcome = fill(session);
	mysql_request_start(&command->request, COMMAND_MOST_BYTES);
	command->packet = buffer_span(&session->client.input);
	return outcome;
}

/* Reads what is left of a command that was not sent, so that the next one is found. */
static enum outcome skip_rest(struct session *session, struct command *command, enum outcome outcome)
{
	while (!command->request_done) {
		size_t eaten;
		if (buffer_filled(&session->client.input) == 0) {
			enum outcome filled = fill(session);
			if (filled != OUTCOME_DONE)
				return filled;
		}
		enum mysql_request_event event = mysql_request_feed(&command->request, buffer_span(&session->client.input), &eaten);
		buffer_consume(&session->client.input, eaten);
		command->request_done = event == MYSQL_REQUEST_DONE;
		if (event == MYSQL_REQUEST_BROKEN)
			return OUTCOME_OUT_OF_ORDER;
	}
	session->reply_sequence = (uint8_t)(command->request.sequence + 1);
	return outcome;
}

static enum outcome read_command(struct session *session, struct command *command)
{
	struct buffer *input = &session->client.input;
	enum outcome outcome = OUTCOME_DONE;
	while (buffer_filled(input) < MYSQL_HEADER_SIZE + 1 && outcome == OUTCOME_DONE) {
		if (buffer_filled(input) == MYSQL_HEADER_SIZE && mysql_header_size(buffer_span(input).start) == 0)
			return OUTCOME_OUT_OF_ORDER; /* an empty packet is no command */
		outcome = fill(session);
	}
	if (outcome != OUTCOME_DONE)
		return outcome;
	const char *header = buffer_span(input).start;
	if (mysql_header_sequence(header) != 0 || mysql_header_size(header) == 0)
		return OUTCOME_OUT_OF_ORDER;
	command->number = (uint8_t)header[MYSQL_HEADER_SIZE];
	size_t size = MYSQL_HEADER_SIZE + (size_t)mysql_header_size(header);
	if (size > NET_BUFFER_SIZE) {
		if (size <= ASSEMBLE_MOST_BYTES && assembled < ASSEMBLED_MOST)
			return assemble(session, command, size);
		return begin_long(session, command);
	}
	while (buffer_filled(input) < size && outcome == OUTCOME_DONE)
		outcome = fill(session);
	if (outcome != OUTCOME_DONE)
		return outcome;
	command->packet = span_of(buffer_span(input).start, size);
	command->in_input = size;
	command->whole = true;
	return OUTCOME_DONE;
}

/* The command is answered: its bytes are no longer needed. */
static void release_command(struct session *session, struct command *command)
{
	if (command->memory != NULL) {
		free(command->memory);
		assembled--;
	}
	buffer_consume(&session->client.input, command->in_input);
}

void command_replace(struct command *command, char *memory, size_t size)
{
	if (command->memory != NULL)
		free(command->memory);
	else
		assembled++;
	command->memory = memory;
	command->packet = span_of(memory, size);
}

/* ---- what it changed ------------------------------------------------------------------------------------------ */

unsigned session_text_mode(const struct session *session)
{
	return ((session->status & MYSQL_STATUS_ANSI_QUOTES) != 0 ? SQL_ANSI_QUOTES : 0u) |
	       ((session->status & MYSQL_STATUS_NO_BACKSLASH_ESCAPES) != 0 ? SQL_NO_BACKSLASH_ESCAPES : 0u) |
	       ((session->capabilities & MYSQL_CAN_IGNORE_SPACE) != 0 ? SQL_IGNORE_SPACE : 0u) |
	       (session->charset_is_unsafe ? SQL_UNSAFE_CHARSET : 0u);
}

static void bind_session(struct session *session, enum sql_reason reason)
{
	session->held |= 1ull << reason;
}

/* May a statement that was prepared before mean something else when it is prepared again? What drivers set all the time does not
 * do that. */
static bool changes_meaning(struct span name)
{
	static const char *const plain[] = {
	    "autocommit",   "foreign_key_checks", "max_statement_time",    "net_read_timeout",      "net_write_timeout",
	    "transaction",  "transaction access", "transaction isolation", "transaction_isolation", "transaction_read_only",
	    "tx_isolation", "tx_read_only",       "unique_checks",         "wait_timeout"};
	for (size_t i = 0; i < COUNT_OF(plain); i++)
		if (span_equal_nocase(name, span_of_text(plain[i])))
			return false;
	return true;
}

static void record_settings(struct session *session, const struct sql_class *class)
{
	struct sql_setting_walk walk = sql_settings_of(class, session_text_mode(session));
	struct sql_setting setting;
	struct server_connection *connection = &session->connections[session->last_slot];
	bool was_current = connection->state_version == session->state.version;
	while (sql_setting_next(&walk, &setting)) {
		if (!state_record(&session->state, setting.name, setting.text, setting.alone))
			bind_session(session, SQL_REASON_SET_SPECIAL);
		if (span_equal_nocase(setting.name, SPAN("names")) || span_equal_nocase(setting.name, SPAN("character set")) ||
		    span_equal_nocase(setting.name, SPAN("character_set_client")))
			session->charset_is_unsafe = sql_charset_is_unsafe(setting.value);
		if (changes_meaning(setting.name))
			session->context++;
	}
	if (was_current)
		connection->state_version = session->state.version;
}

static void record_schema(struct session *session, struct span name)
{
	struct server_connection *connection = &session->connections[session->last_slot];
	if (name.size >= SESSION_SCHEMA_SIZE || !session_set_schema(session, name))
		bind_session(session, SQL_REASON_USE_DATABASE);
	connection->schema_version = session->schema_version;
}

void command_record(struct session *session, const struct sql_class *class, bool failed)
{
	/* Even a statement that failed may have set a user variable before it did. */
	if (UNLIKELY(class->binds != SQL_REASON_NONE))
		bind_session(session, class->binds);
	if (LIKELY(class->kind == SQL_KIND_READ || class->kind == SQL_KIND_WRITE) || failed)
		return;
	if (class->releases == SQL_REASON_LOCK_TABLES)
		session->held &= ~(1ull << SQL_REASON_LOCK_TABLES | 1ull << SQL_REASON_GLOBAL_READ_LOCK);
	if (class->kind == SQL_KIND_SET_SESSION || class->kind == SQL_KIND_SET_AUTOCOMMIT)
		record_settings(session, class);
	if (class->kind == SQL_KIND_USE && class->database.size > 0) {
		char name[SESSION_SCHEMA_SIZE];
		if (sql_name_copy(class->database, name, sizeof name))
			record_schema(session, span_of_text(name));
		else
			bind_session(session, SQL_REASON_USE_DATABASE);
	}
}

/* ---- the commands --------------------------------------------------------------------------------------------- */

/* Too long to be read: it goes to the primary, and as it may have set anything, so does all that follows. */
static enum outcome take_long(struct session *session, struct command *command)
{
	command->class = (struct sql_class){.kind = SQL_KIND_OTHER,
	                                    .route = SQL_ROUTE_PRIMARY,
	                                    .reason = SQL_REASON_UNKNOWN,
	                                    .binds = SQL_REASON_UNKNOWN,
	                                    .autocommit = -1};
	return route_to_primary(session, command);
}

static enum outcome run_on_primary(struct session *session, struct command *command)
{
	command->class = (struct sql_class){.kind = SQL_KIND_OTHER, .route = SQL_ROUTE_PRIMARY, .autocommit = -1};
	return route_to_primary(session, command);
}

/* An id from noah's greeting means nothing to a server. */
static enum outcome refuse_kill(struct session *session, uint64_t id)
{
	session_set_problem(session,
	                    "%lu is noah's id of a session; KILL takes the server's, which SELECT CONNECTION_ID() gives there",
	                    (unsigned long)id);
	return OUTCOME_KILL;
}

static enum outcome run_process_kill(struct session *session, struct command *command)
{
	if (!command->whole || command_payload(command).size != 5)
		return OUTCOME_MALFORMED;
	struct mysql_reader reader = mysql_reader_of(span_of(command_payload(command).start + 1, 4));
	uint32_t id = mysql_read_u32(&reader);
	return id >= SESSION_ID_FIRST ? refuse_kill(session, id) : run_on_primary(session, command);
}

static enum outcome run_query(struct session *session, struct command *command)
{
	BOARD_COUNT(session_lane(session), statements, 1);
	if (UNLIKELY(!command->whole))
		return take_long(session, command);
	struct span payload = command_payload(command);
	sql_classify(span_of(payload.start + 1, payload.size - 1), session_text_mode(session), &command->class);
	if (UNLIKELY(command->class.kind == SQL_KIND_KILL && command->class.number >= SESSION_ID_FIRST))
		return refuse_kill(session, command->class.number);
	if (command->class.route == SQL_ROUTE_LAST)
		return route_to_last(session, command);
	if (command->class.route == SQL_ROUTE_READ)
		BOARD_COUNT(session_lane(session), statements_read, 1);
	if (route_may_read_anywhere(session, command->class.route))
		return route_to_reader(session, command);
	return route_to_primary(session, command);
}

static enum outcome run_init_db(struct session *session, struct command *command)
{
	struct span payload = command_payload(command);
	if (!command->whole || payload.size > SESSION_SCHEMA_SIZE) {
		session_set_problem(session, ": the database's name is too long");
		return OUTCOME_MALFORMED;
	}
	command->class = (struct sql_class){.kind = SQL_KIND_USE, .route = SQL_ROUTE_PRIMARY, .autocommit = -1};
	enum outcome outcome = route_to_primary(session, command);
	if (outcome == OUTCOME_DONE && !command->failed)
		record_schema(session, span_of(payload.start + 1, payload.size - 1));
	return outcome;
}

/* Settings, variables, temporary tables, prepared statements: all gone, on both sides. The schema stays. */
static enum outcome run_reset(struct session *session, struct command *command)
{
	connection_close(session, SLOT_REPLICA);
	struct server_connection *connection = &session->connections[SLOT_PRIMARY];
	struct exchange exchange = {0};
	enum exchange_result result = EXCHANGE_LOST;
	if (connection->row >= 0 && stream_is_quiet(&connection->stream))
		result = exchange_run(session, connection, command, &exchange);
	if (result != EXCHANGE_DONE && result != EXCHANGE_LOST)
		return route_outcome(result);
	if (result == EXCHANGE_DONE && exchange.failed)
		return OUTCOME_DONE;
	session_forget_state(session);
	session->was_reset = true;
	session->status = exchange.has_status ? exchange.status : MYSQL_STATUS_AUTOCOMMIT;
	if (result == EXCHANGE_LOST) { /* no connection, no state: it is reset when it is opened */
		connection_close(session, SLOT_PRIMARY);
		return session_send_ok(session, 1);
	}
	connection->was_reset = true;
	connection->state_version = session->state.version;
	connection->multi_option = -1;
	return OUTCOME_DONE;
}

static enum outcome run_set_option(struct session *session, struct command *command)
{
	struct span payload = command_payload(command);
	if (!command->whole || payload.size != 3 || (uint8_t)payload.start[1] > 1 || payload.start[2] != 0)
		return OUTCOME_MALFORMED;
	struct server_connection *connection = NULL;
	struct exchange exchange = {0};
	int8_t option = payload.start[1];
	enum outcome outcome = connection_to_primary(session, &connection);
	if (outcome != OUTCOME_DONE)
		return outcome;
	enum exchange_result result = exchange_run(session, connection, command, &exchange);
	if (result != EXCHANGE_DONE)
		return route_outcome(result);
	if (!exchange.failed)
		session->multi_option = connection->multi_option = option;
	return OUTCOME_DONE;
}

static enum outcome dispatch(struct session *session, struct command *command)
{
	switch (command->number) {
	case MYSQL_COM_QUERY:
		return run_query(session, command);
	case MYSQL_COM_STMT_EXECUTE:
		return statement_execute(session, command);
	case MYSQL_COM_STMT_PREPARE:
		return statement_prepare(session, command);
	case MYSQL_COM_STMT_CLOSE:
		return statement_close(session, command);
	case MYSQL_COM_STMT_RESET:
		return statement_reset(session, command);
	case MYSQL_COM_STMT_FETCH:
		return statement_fetch(session, command);
	case MYSQL_COM_STMT_SEND_LONG_DATA:
		return statement_long_data(session, command);
	case MYSQL_COM_QUIT:
		return OUTCOME_QUIT;
	case MYSQL_COM_PING:
		return session_send_ok(session, 1);
	case MYSQL_COM_INIT_DB:
		return run_init_db(session, command);
	case MYSQL_COM_RESET_CONNECTION:
		return run_reset(session, command);
	case MYSQL_COM_PROCESS_KILL:
		return run_process_kill(session, command);
	case MYSQL_COM_SET_OPTION:
		return run_set_option(session, command);
	case MYSQL_COM_FIELD_LIST:
	case MYSQL_COM_STATISTICS:
	case MYSQL_COM_PROCESS_INFO:
	case MYSQL_COM_CREATE_DB:
	case MYSQL_COM_DROP_DB:
	case MYSQL_COM_DEBUG:
		return run_on_primary(session, command);
	default:
		session_set_problem(session, " %s", mysql_command_name(command->number));
		return OUTCOME_UNKNOWN_COMMAND;
	}
}

enum outcome command_execute(struct session *session)
{
	struct command command = {0};
	session->reply_sequence = 1;
	session->answer_begun = false;
	session->problem[0] = '\0';
	enum outcome outcome = read_command(session, &command);
	if (LIKELY(outcome == OUTCOME_DONE)) {
		if (command.number == MYSQL_COM_CHANGE_USER && command.whole && command.memory == NULL)
			return login_change_user(session, command_payload(&command)); /* it eats the packet itself */
		outcome = dispatch(session, &command);
		if (UNLIKELY(!command.whole && !command.request_done && !session->answer_begun))
			outcome = skip_rest(session, &command, outcome);
	}
	release_command(session, &command);
	return outcome;
}
