/* SPDX-License-Identifier: BSD-2-Clause
 *
 * route: which server runs a statement, and which one next when that one is lost.
 *
 * Called by command.c and statement.c in the session's task. classify.c says whether a statement is certainly a read; the
 * session's state says whether it may leave the primary; freshness.c which replica may answer. Everything else goes to the
 * primary, and is never sent twice.
 */
#include "sql/freshness.h"
#include "sql/session.h"

#define ATTEMPTS_MOST 4u /* servers that a read is tried on */

/* ---- where to ------------------------------------------------------------------------------------------------- */

static bool is_free(const struct session *session)
{
	return session->held == 0 && !session->stays_on_primary &&
	       (session->status & (MYSQL_STATUS_IN_TRANS | MYSQL_STATUS_AUTOCOMMIT)) == MYSQL_STATUS_AUTOCOMMIT;
}

bool route_may_read_anywhere(const struct session *session, enum sql_route route)
{
	return route == SQL_ROUTE_READ && is_free(session) && !sql_database_is_system(span_of_text(session->schema));
}

/* May run on a replica while there is no primary: it changes nothing but the session, or reads what every server has. */
static bool is_harmless(const struct session *session, const struct sql_class *class)
{
	if (!is_free(session) || class->binds != SQL_REASON_NONE)
		return false;
	if (class->kind == SQL_KIND_SET_SESSION || class->kind == SQL_KIND_USE ||
	    (class->kind == SQL_KIND_SET_AUTOCOMMIT && class->autocommit == 1))
		return true;
	return class->kind == SQL_KIND_READ &&
	       (class->route == SQL_ROUTE_READ || sql_reason_is_harmless(class->reason) || class->reason == SQL_REASON_EXPLAIN);
}

/* ---- reads ---------------------------------------------------------------------------------------------------- */

/* Where a read was tried in vain. */
struct tried {
	bool primary;
	unsigned count;
	int rows[CLUSTER_SERVERS_MOST];
};

static bool was_tried(const struct tried *tried, int row)
{
	for (unsigned i = 0; i < tried->count; i++)
		if (tried->rows[i] == row)
			return true;
	return false;
}

enum choice { CHOICE_PRIMARY, CHOICE_REPLICA, CHOICE_STALE_REPLICA, CHOICE_NONE, CHOICE_REFUSED, CHOICE_CANCELLED };

static unsigned list_replicas(struct session *session, bool stale, const struct tried *tried, int rows[CLUSTER_SERVERS_MOST])
{
	unsigned count = database_list_replicas(session->database, stale, session->connections[SLOT_REPLICA].row, rows);
	unsigned kept = 0;
	for (unsigned i = 0; i < count; i++)
		if (!was_tried(tried, rows[i]))
			rows[kept++] = rows[i];
	return kept;
}

static enum choice choose_without_primary(struct session *session, const struct tried *tried, int *row)
{
	int rows[CLUSTER_SERVERS_MOST];
	const struct cluster_database *settings = session->database->settings;
	if (list_replicas(session, true, tried, rows) == 0)
		return CHOICE_NONE;
	if (settings == NULL || settings->stale_reads != STALE_ALLOW)
		return CHOICE_REFUSED;
	*row = rows[0];
	return CHOICE_STALE_REPLICA;
}

static bool primary_is_usable(const struct sql_database *database)
{
	struct database_primary primary = database_find_primary(database);
	return primary.server != NULL &&
	       board_target_usable(database_target(database, primary.server->row), loop_now_us(database->core->loop));
}

/* A replica that has everything that was acknowledged until now; else the primary; without one, what the cluster file allows. */
static enum choice choose_reader(struct session *session, const struct tried *tried, int *row)
{
	struct sql_database *database = session->database;
	int rows[CLUSTER_SERVERS_MOST];
	unsigned count = list_replicas(session, false, tried, rows);
	bool has_primary = database_find_primary(database).server != NULL && !tried->primary;
	if (has_primary && count == 0)
		return CHOICE_PRIMARY;
	if (!has_primary) {
		if (!tried->primary)
			session_set_problem(session, "%s", database_why_no_primary(database, (char[DATABASE_REASON_SIZE]){0}));
		return choose_without_primary(session, tried, row);
	}
	struct position needed;
	switch (freshness_ask(database->freshness, &needed)) {
	case FRESHNESS_CANCELLED:
		return CHOICE_CANCELLED;
	case FRESHNESS_UNKNOWN:
		session_set_problem(session, "%s", freshness_problem(database->freshness));
		if (!primary_is_usable(database))
			return choose_without_primary(session, tried, row);
		return CHOICE_PRIMARY; /* it may still answer its clients; when it does not, the next attempt knows */
	case FRESHNESS_KNOWN:
		break;
	}
	for (unsigned i = 0; i < count; i++)
		if (freshness_has(database->freshness, rows[i], &needed)) {
			*row = rows[i];
			return CHOICE_REPLICA;
		}
	int64_t wait_ms = database->settings != NULL ? database->settings->fresh_wait_ms : 0;
	BOARD_COUNT(session_lane(session), reads_waited, 1);
	if (wait_ms > 0 && freshness_wait(database->freshness, rows[0], &needed, wait_ms)) {
		*row = rows[0];
		return CHOICE_REPLICA;
	}
	if (task_is_cancelled())
		return CHOICE_CANCELLED;
	BOARD_COUNT(session_lane(session), reads_too_late, 1);
	return CHOICE_PRIMARY;
}

enum outcome route_outcome(enum exchange_result result)
{
	switch (result) {
	case EXCHANGE_DONE:
		return OUTCOME_DONE;
	case EXCHANGE_CUT:
		return OUTCOME_ANSWER_CUT;
	case EXCHANGE_BROKEN:
		return OUTCOME_OUT_OF_ORDER;
	case EXCHANGE_CANCELLED:
		return OUTCOME_CANCELLED;
	case EXCHANGE_LOST:
	case EXCHANGE_REFUSED:
		return OUTCOME_READ_LOST;
	case EXCHANGE_CLIENT_LOST:
		break;
	}
	return OUTCOME_CLIENT_LOST;
}

static void note_stale(struct session *session, const struct server_connection *connection)
{
	BOARD_COUNT(session_lane(session), reads_stale, 1);
	LOG_LIMITED(LOG_WARNING, 10000,
	            "database %s: %s answers reads although it may be behind, because the primary cannot be asked: %s",
	            session->database->name, connection->name, session->problem);
}

static void count_answered_by(struct session *session, const struct server_connection *connection, const struct command *command,
                              const struct exchange *exchange)
{
	bool by_replica = connection == &session->connections[SLOT_REPLICA];
	if (by_replica && command->class.kind == SQL_KIND_READ)
		BOARD_COUNT(session_lane(session), reads_replica, 1);
	if (exchange->has_status && (!by_replica || command->class.kind == SQL_KIND_SET_SESSION))
		session->status = exchange->status;
}

static void note_tried(struct tried *tried, enum choice choice, int row)
{
	if (choice == CHOICE_PRIMARY)
		tried->primary = true;
	else if (tried->count < CLUSTER_SERVERS_MOST)
		tried->rows[tried->count++] = row;
}

/* Runs it where it may run; when that server is lost before the client has got a byte, again elsewhere. */
enum outcome route_to_reader(struct session *session, struct command *command)
{
	struct tried tried = {0};
	enum outcome outcome = OUTCOME_NO_SERVER;
	for (unsigned attempt = 0; attempt < ATTEMPTS_MOST; attempt++) {
		int row = -1;
		struct server_connection *connection = NULL;
		enum choice choice = choose_reader(session, &tried, &row);
		if (choice == CHOICE_CANCELLED)
			return OUTCOME_CANCELLED;
		if (choice == CHOICE_REFUSED)
			return OUTCOME_STALE_REFUSED;
		if (choice == CHOICE_NONE)
			return outcome;
		bool to_primary = choice == CHOICE_PRIMARY;
		enum outcome reached =
		    to_primary ? connection_to_primary(session, &connection) : connection_to_replica(session, row, &connection);
		if (reached == OUTCOME_DONE && command->prepared != NULL)
			reached = statement_fit(session, connection, command);
		if (reached == OUTCOME_CANCELLED || reached == OUTCOME_NO_MEMORY || (to_primary && reached == OUTCOME_STATE_LOST))
			return reached;
		if (reached != OUTCOME_DONE) {
			if (!to_primary && reached == OUTCOME_SETTING_REFUSED && connection->row >= 0) /* not because it was lost */
				session->stays_on_primary = true;                                          /* its settings work there only */
			note_tried(&tried, choice, row);
			continue;
		}
		if (choice == CHOICE_STALE_REPLICA)
			note_stale(session, connection);
		if (attempt > 0)
			BOARD_COUNT(session_lane(session), statements_rerun, 1);
		struct exchange exchange = {.may_run_again = true, .give_id = command->give_id};
		enum exchange_result result = exchange_run(session, connection, command, &exchange);
		if (LIKELY(result == EXCHANGE_DONE)) {
			count_answered_by(session, connection, command, &exchange);
			command->failed = exchange.failed;
			command->answer = exchange.prepared;
			command_record(session, &command->class, exchange.failed);
			return OUTCOME_DONE;
		}
		if ((result != EXCHANGE_LOST && result != EXCHANGE_REFUSED) || !command->whole)
			return route_outcome(result);
		note_tried(&tried, choice, row);
	}
	return outcome;
}

/* ---- everything else ------------------------------------------------------------------------------------------ */

/* The primary was lost while it ran something. */
static enum outcome lost_at_primary(struct session *session, const struct command *command, const struct exchange *exchange)
{
	char why[SESSION_PROBLEM_SIZE];
	memcpy(why, session->problem, sizeof why);
	enum sql_kind kind = command->class.kind;
	bool only_read = kind == SQL_KIND_READ || kind == SQL_KIND_SET_SESSION || kind == SQL_KIND_USE;
	bool in_transaction = session_in_transaction(session);
	enum outcome lost = connection_primary_lost(session, why);
	/* Inside a transaction a plain read or write is undone with it; what ends one may have ended it. */
	if (in_transaction &&
	    (!exchange->sent || only_read || kind == SQL_KIND_WRITE || kind == SQL_KIND_ROLLBACK || kind == SQL_KIND_SAVEPOINT))
		return lost;
	session_set_problem(session, "%s", why);
	if (!exchange->sent)
		return OUTCOME_NO_PRIMARY;
	return only_read ? OUTCOME_READ_LOST : OUTCOME_UNKNOWN_RESULT;
}

enum outcome route_to_primary(struct session *session, struct command *command)
{
	struct server_connection *connection = NULL;
	enum outcome outcome = connection_to_primary(session, &connection);
	if (outcome == OUTCOME_DONE && command->prepared != NULL)
		outcome = statement_fit(session, connection, command);
	if (outcome == OUTCOME_NO_PRIMARY && command->whole && is_harmless(session, &command->class))
		return route_to_reader(session, command);
	if (outcome == OUTCOME_DONE && command->class.asks_insert_id && session->insert_incarnation != 0 &&
	    session->insert_incarnation != connection->incarnation) {
		session->insert_incarnation = 0; /* said once */
		session_set_problem(session, "the connection that knew LAST_INSERT_ID() is gone");
		outcome = OUTCOME_LAST_LOST;
	}
	if (outcome != OUTCOME_DONE)
		return outcome;
	bool may_run_again = command->whole && is_harmless(session, &command->class);
	struct exchange exchange = {.may_run_again = may_run_again, .give_id = command->give_id};
	enum exchange_result result = exchange_run(session, connection, command, &exchange);
	if (UNLIKELY(result == EXCHANGE_LOST))
		return may_run_again ? route_to_reader(session, command) : lost_at_primary(session, command, &exchange);
	if (result != EXCHANGE_DONE)
		return route_outcome(result);
	if (exchange.has_status)
		session->status = exchange.status;
	if (exchange.insert_id != 0 || command->class.kind == SQL_KIND_MANY)
		session->insert_incarnation = session->last_incarnation;
	command->failed = exchange.failed;
	command->answer = exchange.prepared;
	command_record(session, &command->class, exchange.failed);
	return OUTCOME_DONE;
}

/* FOUND_ROWS(), SHOW WARNINGS: only the server that ran the last statement knows. */
enum outcome route_to_last(struct session *session, struct command *command)
{
	struct server_connection *connection = &session->connections[session->last_slot];
	bool is_there = connection->incarnation == session->last_incarnation && stream_is_quiet(&connection->stream);
	if (!session->has_last || (is_there && session->last_slot == SLOT_PRIMARY))
		return route_to_primary(session, command);
	enum outcome outcome = OUTCOME_DONE;
	if (!is_there) {
		if (session->last_slot == SLOT_PRIMARY)
			outcome = connection_primary_lost(session, "the server closed the connection");
		if (outcome == OUTCOME_DONE)
			session_set_problem(session, "the connection to %s that ran it is gone", connection->name);
		session->has_last = false;
		return outcome != OUTCOME_DONE ? outcome : OUTCOME_LAST_LOST;
	}
	if (command->prepared != NULL)
		outcome = statement_fit(session, connection, command);
	if (outcome != OUTCOME_DONE)
		return outcome;
	struct exchange exchange = {0};
	enum exchange_result result = exchange_run(session, connection, command, &exchange);
	command->failed = exchange.failed;
	if (result == EXCHANGE_LOST || result == EXCHANGE_REFUSED)
		return OUTCOME_LAST_LOST;
	return route_outcome(result);
}
