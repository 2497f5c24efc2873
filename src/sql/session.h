/* SPDX-License-Identifier: BSD-2-Clause
 *
 * session: one client, its at most two server connections, and all that it has set. Used inside sql/ only.
 */
#ifndef NOAH_SQL_SESSION_H
#define NOAH_SQL_SESSION_H

#include "sql/classify.h"
#include "sql/outcome.h"
#include "sql/prepared.h"
#include "sql/sql_private.h"
#include "sql/state.h"

#define SESSION_USER_SIZE       513u  /* 128 characters of UTF-8 */
#define SESSION_SCHEMA_SIZE     257u  /* 64 */
#define SESSION_ATTRIBUTES_MOST 2048u /* connect attributes past this are not passed on */
#define SESSION_PROBLEM_SIZE    700u
/* Clients see ids from here on, which no server gives to a connection: a KILL with one can never hit somebody else's. */
#define SESSION_ID_FIRST 0x80000000u

/* What noah offers to clients. Servers are then asked for exactly what the client took, so that bytes pass through untouched. Not
 * offered: TLS, compression, LOAD DATA LOCAL, and MariaDB's own extensions. */
#define SESSION_CAPABILITIES                                                                                                     \
	(MYSQL_CAN_LONG_PASSWORD | MYSQL_CAN_FOUND_ROWS | MYSQL_CAN_LONG_FLAG | MYSQL_CAN_CONNECT_WITH_DB | MYSQL_CAN_IGNORE_SPACE | \
	 MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_INTERACTIVE | MYSQL_CAN_IGNORE_SIGPIPE | MYSQL_CAN_TRANSACTIONS |                         \
	 MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_MULTI_STATEMENTS | MYSQL_CAN_MULTI_RESULTS | MYSQL_CAN_PS_MULTI_RESULTS |           \
	 MYSQL_CAN_PLUGIN_AUTH | MYSQL_CAN_CONNECT_ATTRS | MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA | MYSQL_CAN_SESSION_TRACK |      \
	 MYSQL_CAN_DEPRECATE_EOF)

/* A session's connection to a server. */
struct server_connection {
	struct stream stream;
	int row;                /* -1: none */
	uint64_t incarnation;   /* new with each login; never 0 once connected */
	uint64_t state_version; /* settings up to this one are in force there */
	uint64_t schema_version;
	int8_t multi_option;    /* COM_SET_OPTION in force there; -1: as logged in */
	bool was_reset;         /* its settings are those after COM_RESET_CONNECTION */
	uint32_t connection_id; /* the server's */
	char name[CLUSTER_NAME_SIZE];
};

struct session {
	uint32_t magic;
	struct list link; /* core->sessions */
	struct sql_core *core;
	struct sql_database *database;
	struct stream client;
	struct address from;
	struct task *task; /* NULL while parked */
	bool is_waiting;   /* for the client's next command: may be ended at once */
	bool counted;      /* among the database's sessions */
	bool logged_in;
	uint32_t id; /* as the client knows it */

	/* who */
	uint8_t scramble[MYSQL_SCRAMBLE_SIZE];
	bool has_password;
	uint8_t password_sha1[MYSQL_SHA1_SIZE];
	uint64_t capabilities;
	uint32_t packet_most;
	uint16_t collation;
	char *user;
	char *attributes;
	size_t attributes_size;

	/* in what state */
	char *schema; /* "" : none */
	uint64_t schema_version;
	uint16_t status;       /* of the newest answer that brought one: in transaction, autocommit, sql_mode bits */
	uint64_t held;         /* bit for each sql_reason that binds the session to the primary */
	bool stays_on_primary; /* its settings cannot be repeated on a replica */
	int8_t multi_option;
	bool was_reset;
	bool charset_is_unsafe;
	struct state state;
	uint64_t context; /* grows when the same text may mean something else: other schema, other settings */
	struct prepared_table prepared;

	/* where */
	struct server_connection connections[SLOT_COUNT];
	uint64_t incarnations;
	bool has_last;               /* a statement has run: */
	enum slot last_slot;         /* here, */
	uint64_t last_incarnation;   /* on this connection */
	uint64_t insert_incarnation; /* the connection that knows LAST_INSERT_ID(); 0: it is 0 */

	/* the command under way */
	uint8_t reply_sequence; /* of noah's own answer to it */
	bool answer_begun;      /* the client has got bytes of it */
	char *problem;          /* SESSION_PROBLEM_SIZE, while a command runs (on its stack) */
};
#define SESSION_MAGIC 0x53514c53u

/* ---- session.c ---- */
void session_start(struct sql_core *core, struct sql_database *database, int descriptor, const struct address *from);
/* Ends it if it waits for a command; otherwise after the command or transaction (drain, or its database is gone). */
void session_end_soon(struct session *session);
static inline struct board_lane *session_lane(const struct session *session)
{
	return session->core->lane;
}
/* Sends a small packet that noah has written itself. */
enum net_result session_send(struct session *session, const struct mysql_writer *writer) MUST_CHECK;
/* An OK of noah's own with the present status flags. */
enum outcome session_send_ok(struct session *session, uint8_t sequence) MUST_CHECK;
void session_set_problem(struct session *session, const char *format, ...) PRINTF_LIKE(2, 3);
/* 'user'@'host' for messages. */
#define SESSION_WHO_SIZE 200u
const char *session_who(const struct session *session, char out[SESSION_WHO_SIZE]);
bool session_set_schema(struct session *session, struct span schema) MUST_CHECK;
/* Forgets everything that the session has set (reset, change user). */
void session_forget_state(struct session *session);
static inline bool session_in_transaction(const struct session *session)
{
	return (session->status & MYSQL_STATUS_IN_TRANS) != 0;
}

/* ---- login.c ---- */
enum outcome login_client(struct session *session) MUST_CHECK;
/* COM_CHANGE_USER: payload with its command byte. */
enum outcome login_change_user(struct session *session, struct span payload) MUST_CHECK;

bool login_collation_is_unsafe(uint16_t collation);

/* ---- server_connection.c ---- */
/* At the login: a server's verdict on the account and the schema, from the primary while there is one. */
enum outcome connection_first(struct session *session) MUST_CHECK;
/* The connection to the present primary, logged in and with all the session's settings in force. OUTCOME_DONE: *out is set; else
 * nothing was sent. */
enum outcome connection_to_primary(struct session *session, struct server_connection **out) MUST_CHECK;
enum outcome connection_to_replica(struct session *session, int row, struct server_connection **out) MUST_CHECK;
void connection_close(struct session *session, enum slot slot);
/* The connection to the primary broke: what lived on it is gone. Returns OUTCOME_TRANSACTION_LOST or OUTCOME_STATE_LOST when that
 * was something, else OUTCOME_DONE. */
enum outcome connection_primary_lost(struct session *session, const char *why) MUST_CHECK;

/* ---- what can come of sending a command (exchange.c) ---- */
#define EXCHANGES(X)                                                                   \
	X(EXCHANGE_DONE, "answered")                                                       \
	X(EXCHANGE_LOST, "the server was lost and the client has got nothing yet")         \
	X(EXCHANGE_REFUSED, "a replica cannot run it, and the client has got nothing yet") \
	X(EXCHANGE_CUT, "the server was lost in the middle of its answer")                 \
	X(EXCHANGE_CLIENT_LOST, "the client was lost")                                     \
	X(EXCHANGE_BROKEN, "the client's packets are not the protocol")                    \
	X(EXCHANGE_CANCELLED, "cancelled")
enum exchange_result {
#define X(name, text) name,
	EXCHANGES(X)
#undef X
};

/* ---- command.c ---- */
struct command {
	uint8_t number;
	bool whole;                   /* all of it is at `packet`; otherwise its beginning, and the rest is still to be read */
	size_t in_input;              /* bytes of it that stay in the client's input until it is answered */
	char *memory;                 /* holds it, when it is larger than the input buffer or was changed */
	struct span packet;           /* with header */
	struct mysql_request request; /* follows one that is not whole */
	bool request_done;
	size_t types_at; /* not 0: where in one that is not whole the parameter types are to be put in */
	struct sql_class class;
	struct prepared *prepared; /* the statement that it is about */
	uint32_t give_id;          /* COM_STMT_PREPARE: what the client shall see */
	/* what came of it */
	bool failed; /* the server answered with an error */
	struct mysql_prepared answer;
};
static inline struct span command_payload(const struct command *command)
{
	return span_of(command->packet.start + MYSQL_HEADER_SIZE, command->packet.size - MYSQL_HEADER_SIZE);
}
/* Another packet in its place; takes `memory` over. */
void command_replace(struct command *command, char *memory, size_t size);
/* How this session's statements are to be read: a set of enum sql_text_mode. */
unsigned session_text_mode(const struct session *session);
/* Runs one command whose header stands at the front of the client's input. */
enum outcome command_execute(struct session *session) MUST_CHECK;
/* Records what a statement that has run did to the session. */
void command_record(struct session *session, const struct sql_class *class, bool failed);

/* ---- route.c ---- */
/* Runs a statement that has to go to the primary, to where the last one ran, or to any server that is fresh enough. */
enum outcome route_to_primary(struct session *session, struct command *command) MUST_CHECK;
enum outcome route_to_last(struct session *session, struct command *command) MUST_CHECK;
enum outcome route_to_reader(struct session *session, struct command *command) MUST_CHECK;
/* Is the session free to read elsewhere than from the primary? */
bool route_may_read_anywhere(const struct session *session, enum sql_route route);
enum outcome route_outcome(enum exchange_result result) MUST_CHECK;

/* ---- statement.c: prepared statements ---- */
enum outcome statement_prepare(struct session *session, struct command *command) MUST_CHECK;
enum outcome statement_execute(struct session *session, struct command *command) MUST_CHECK;
enum outcome statement_long_data(struct session *session, struct command *command) MUST_CHECK;
enum outcome statement_close(struct session *session, struct command *command) MUST_CHECK;
enum outcome statement_reset(struct session *session, struct command *command) MUST_CHECK;
enum outcome statement_fetch(struct session *session, struct command *command) MUST_CHECK;
/* Makes the packet of a command on a prepared statement fit this connection: prepares it there when it is not yet, puts the
 * server's id in place, adds parameter types that were bound elsewhere. OUTCOME_DONE; otherwise nothing was sent of the command
 * itself. */
enum outcome statement_fit(struct session *session, struct server_connection *connection, struct command *command) MUST_CHECK;

/* ---- exchange.c ---- */
struct exchange {
	bool failed;        /* the answer ended in an error of the server */
	bool sent;          /* all of the command was handed to the server's socket: it may be executed */
	bool may_run_again; /* a server that is down is not waited for */
	bool has_status;
	uint16_t status;
	uint64_t insert_id; /* that its last OK told */
	bool has_prepared;
	struct mysql_prepared prepared;
	uint32_t give_id; /* COM_STMT_PREPARE: the id that the client shall see */
};
/* Sends the command and relays the answer. On anything but DONE and REFUSED the server connection is closed. */
enum exchange_result exchange_run(struct session *session, struct server_connection *connection, struct command *command,
                                  struct exchange *exchange) MUST_CHECK;
/* Sends noah's own command and reads its answer away. True: it was not an error. Otherwise session->problem says why; lost
 * connections are closed. */
bool exchange_quietly(struct session *session, struct server_connection *connection, struct span packets, unsigned commands,
                      uint8_t command, struct mysql_prepared *prepared) MUST_CHECK;

#endif
