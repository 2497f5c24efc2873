/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto/mysql: the client/server protocol of MariaDB and MySQL, as pure functions over bytes.
 *
 * Nothing here waits, allocates or touches a socket; everything is bounded by the bytes it is given. sql/ uses it for
 * clients and servers, watch/ for its checks. Names of fields follow the MariaDB and MySQL protocol documents
 * ("Client/Server Protocol", packets as of MariaDB 10.11 and MySQL 8.0). Integers are little endian on the wire.
 *
 *   mysql_wire.c       readers and writers of the basic types, packet framing
 *   mysql_handshake.c  greeting, login, authentication switch, change user
 *   mysql_result.c     OK, ERR, EOF, session tracking, small result sets: parse and write
 *   mysql_response.c   following a server's answer, and a client's command, byte by byte
 *   mysql_native.c     mysql_native_password
 *   mysql_names.c      names of commands, capabilities, errors
 */
#ifndef NOAH_PROTO_MYSQL_H
#define NOAH_PROTO_MYSQL_H

#include "base/base.h"

/* ---- packets (mysql_wire.c) ----------------------------------------------------------------------------------- */

#define MYSQL_HEADER_SIZE   4
#define MYSQL_PAYLOAD_MOST  0xFFFFFFu /* a payload of exactly this size is continued by the next packet */
#define MYSQL_SCRAMBLE_SIZE 20
#define MYSQL_SHA1_SIZE     20

/* One packet as it stands in a buffer. */
struct mysql_packet {
	struct span payload;
	uint8_t sequence;
};

/* Payload size of the packet whose header stands at `header` (4 readable bytes). */
static inline uint32_t mysql_header_size(const void *header)
{
	const uint8_t *b = header;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
}

static inline uint8_t mysql_header_sequence(const void *header)
{
	return ((const uint8_t *)header)[3];
}

/* Takes one whole packet from the front of `*bytes` and moves `*bytes` past it. False (nothing moved) when it is not
 * there wholly; the caller can look at mysql_header_size then. Continued packets are not joined. */
bool mysql_packet_next(struct span *bytes, struct mysql_packet *out) MUST_CHECK;

/* A reader over one payload. Every read past the end sets `failed`, moves nothing and gives zero or an empty span, so a
 * parser reads all its fields and looks at `failed` once. */
struct mysql_reader {
	const uint8_t *next;
	const uint8_t *end;
	bool failed;
};

struct mysql_reader mysql_reader_of(struct span payload);
static inline size_t mysql_reader_left(const struct mysql_reader *reader)
{
	return (size_t)(reader->end - reader->next);
}
uint8_t mysql_read_u8(struct mysql_reader *reader);
uint16_t mysql_read_u16(struct mysql_reader *reader);
uint32_t mysql_read_u32(struct mysql_reader *reader);
/* Length-encoded integer. The NULL mark 0xFB and 0xFF are failures here. */
uint64_t mysql_read_number(struct mysql_reader *reader);
/* Length-encoded string; mysql_read_nullable gives { NULL, 0 } for the NULL mark (a present empty text has a start). */
struct span mysql_read_text(struct mysql_reader *reader);
struct span mysql_read_nullable(struct mysql_reader *reader);
/* Up to the next zero byte, which is eaten; failure when there is none. */
struct span mysql_read_zero_text(struct mysql_reader *reader);
struct span mysql_read_bytes(struct mysql_reader *reader, size_t size);
struct span mysql_read_rest(struct mysql_reader *reader);

/* A writer into the caller's memory. Writing past the room sets `failed` and writes nothing more: look once, at the end.
 * A payload that would reach MYSQL_PAYLOAD_MOST is a failure too (noah's own packets are small). */
struct mysql_writer {
	uint8_t *start;
	size_t size; /* bytes written */
	size_t room;
	size_t packet; /* where the header of the open packet stands */
	bool failed;
};

void mysql_writer_init(struct mysql_writer *writer, void *out, size_t room);
void mysql_packet_begin(struct mysql_writer *writer, uint8_t sequence);
void mysql_packet_end(struct mysql_writer *writer);
void mysql_write_u8(struct mysql_writer *writer, uint8_t value);
void mysql_write_u16(struct mysql_writer *writer, uint16_t value);
void mysql_write_u32(struct mysql_writer *writer, uint32_t value);
void mysql_write_number(struct mysql_writer *writer, uint64_t value); /* length-encoded */
void mysql_write_text(struct mysql_writer *writer, struct span text); /* length-encoded */
void mysql_write_bytes(struct mysql_writer *writer, struct span bytes);
void mysql_write_zero_text(struct mysql_writer *writer, struct span text); /* zero bytes inside are a failure */
void mysql_write_zeros(struct mysql_writer *writer, size_t count);

/* One whole command packet with sequence 0: the command byte and its argument (COM_QUERY and its text). */
void mysql_write_command(struct mysql_writer *writer, uint8_t command, struct span argument);

/* ---- commands, capabilities, status, errors (mysql_names.c) --------------------------------------------------- */

#define MYSQL_COMMANDS(X)        \
	X(SLEEP, 0x00)               \
	X(QUIT, 0x01)                \
	X(INIT_DB, 0x02)             \
	X(QUERY, 0x03)               \
	X(FIELD_LIST, 0x04)          \
	X(CREATE_DB, 0x05)           \
	X(DROP_DB, 0x06)             \
	X(REFRESH, 0x07)             \
	X(SHUTDOWN, 0x08)            \
	X(STATISTICS, 0x09)          \
	X(PROCESS_INFO, 0x0A)        \
	X(CONNECT, 0x0B)             \
	X(PROCESS_KILL, 0x0C)        \
	X(DEBUG, 0x0D)               \
	X(PING, 0x0E)                \
	X(TIME, 0x0F)                \
	X(DELAYED_INSERT, 0x10)      \
	X(CHANGE_USER, 0x11)         \
	X(BINLOG_DUMP, 0x12)         \
	X(TABLE_DUMP, 0x13)          \
	X(CONNECT_OUT, 0x14)         \
	X(REGISTER_SLAVE, 0x15)      \
	X(STMT_PREPARE, 0x16)        \
	X(STMT_EXECUTE, 0x17)        \
	X(STMT_SEND_LONG_DATA, 0x18) \
	X(STMT_CLOSE, 0x19)          \
	X(STMT_RESET, 0x1A)          \
	X(SET_OPTION, 0x1B)          \
	X(STMT_FETCH, 0x1C)          \
	X(DAEMON, 0x1D)              \
	X(BINLOG_DUMP_GTID, 0x1E)    \
	X(RESET_CONNECTION, 0x1F)    \
	X(CLONE, 0x20)               \
	X(STMT_BULK_EXECUTE, 0xFA) /* MariaDB */

enum mysql_command {
#define X(name, number) MYSQL_COM_##name = number,
	MYSQL_COMMANDS(X)
#undef X
};

/* "COM_QUERY", or "COM_?" for a number that has no name. */
const char *mysql_command_name(uint8_t command);

/* Bits 0-31 are what both families share; bits 32-63 are MariaDB's extended capabilities (MARIADB_CLIENT_*). */
#define MYSQL_CAPABILITIES(X)                                                \
	X(LONG_PASSWORD, 0) /* cleared in a greeting: the server is a MariaDB */ \
	X(FOUND_ROWS, 1)                                                         \
	X(LONG_FLAG, 2)                                                          \
	X(CONNECT_WITH_DB, 3)                                                    \
	X(NO_SCHEMA, 4)                                                          \
	X(COMPRESS, 5)                                                           \
	X(ODBC, 6)                                                               \
	X(LOCAL_FILES, 7)                                                        \
	X(IGNORE_SPACE, 8)                                                       \
	X(PROTOCOL_41, 9)                                                        \
	X(INTERACTIVE, 10)                                                       \
	X(SSL, 11)                                                               \
	X(IGNORE_SIGPIPE, 12)                                                    \
	X(TRANSACTIONS, 13)                                                      \
	X(RESERVED, 14)                                                          \
	X(SECURE_CONNECTION, 15)                                                 \
	X(MULTI_STATEMENTS, 16)                                                  \
	X(MULTI_RESULTS, 17)                                                     \
	X(PS_MULTI_RESULTS, 18)                                                  \
	X(PLUGIN_AUTH, 19)                                                       \
	X(CONNECT_ATTRS, 20)                                                     \
	X(PLUGIN_AUTH_LENENC_CLIENT_DATA, 21)                                    \
	X(CAN_HANDLE_EXPIRED_PASSWORDS, 22)                                      \
	X(SESSION_TRACK, 23)                                                     \
	X(DEPRECATE_EOF, 24)                                                     \
	X(OPTIONAL_RESULTSET_METADATA, 25) /* MySQL only */                      \
	X(ZSTD_COMPRESSION, 26)            /* MySQL only */                      \
	X(QUERY_ATTRIBUTES, 27)            /* MySQL only */                      \
	X(MULTI_FACTOR_AUTHENTICATION, 28) /* MySQL only */                      \
	X(CAPABILITY_EXTENSION, 29)                                              \
	X(SSL_VERIFY_SERVER_CERT, 30)                                            \
	X(REMEMBER_OPTIONS, 31)                                                  \
	X(MARIADB_PROGRESS, 32)                                                  \
	X(MARIADB_COM_MULTI, 33)                                                 \
	X(MARIADB_STMT_BULK_OPERATIONS, 34)                                      \
	X(MARIADB_EXTENDED_METADATA, 35)                                         \
	X(MARIADB_CACHE_METADATA, 36)                                            \
	X(MARIADB_BULK_UNIT_RESULTS, 37)

/* MYSQL_CAN_PROTOCOL_41 and so on: 64-bit masks (constants, so that they may stand in expressions of any kind). */
#define MYSQL_CAN(bit)                           (UINT64_C(1) << (bit))
#define MYSQL_CAN_LONG_PASSWORD                  MYSQL_CAN(0)
#define MYSQL_CAN_FOUND_ROWS                     MYSQL_CAN(1)
#define MYSQL_CAN_LONG_FLAG                      MYSQL_CAN(2)
#define MYSQL_CAN_CONNECT_WITH_DB                MYSQL_CAN(3)
#define MYSQL_CAN_COMPRESS                       MYSQL_CAN(5)
#define MYSQL_CAN_LOCAL_FILES                    MYSQL_CAN(7)
#define MYSQL_CAN_IGNORE_SPACE                   MYSQL_CAN(8)
#define MYSQL_CAN_PROTOCOL_41                    MYSQL_CAN(9)
#define MYSQL_CAN_INTERACTIVE                    MYSQL_CAN(10)
#define MYSQL_CAN_SSL                            MYSQL_CAN(11)
#define MYSQL_CAN_IGNORE_SIGPIPE                 MYSQL_CAN(12)
#define MYSQL_CAN_TRANSACTIONS                   MYSQL_CAN(13)
#define MYSQL_CAN_SECURE_CONNECTION              MYSQL_CAN(15)
#define MYSQL_CAN_MULTI_STATEMENTS               MYSQL_CAN(16)
#define MYSQL_CAN_MULTI_RESULTS                  MYSQL_CAN(17)
#define MYSQL_CAN_PS_MULTI_RESULTS               MYSQL_CAN(18)
#define MYSQL_CAN_PLUGIN_AUTH                    MYSQL_CAN(19)
#define MYSQL_CAN_CONNECT_ATTRS                  MYSQL_CAN(20)
#define MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA MYSQL_CAN(21)
#define MYSQL_CAN_HANDLE_EXPIRED_PASSWORDS       MYSQL_CAN(22)
#define MYSQL_CAN_SESSION_TRACK                  MYSQL_CAN(23)
#define MYSQL_CAN_DEPRECATE_EOF                  MYSQL_CAN(24)
#define MYSQL_CAN_OPTIONAL_RESULTSET_METADATA    MYSQL_CAN(25)
#define MYSQL_CAN_ZSTD_COMPRESSION               MYSQL_CAN(26)
#define MYSQL_CAN_QUERY_ATTRIBUTES               MYSQL_CAN(27)
#define MYSQL_CAN_MARIADB_PROGRESS               MYSQL_CAN(32)
#define MYSQL_CAN_MARIADB_STMT_BULK_OPERATIONS   MYSQL_CAN(34)
#define MYSQL_CAN_MARIADB_EXTENDED_METADATA      MYSQL_CAN(35)
#define MYSQL_CAN_MARIADB_CACHE_METADATA         MYSQL_CAN(36)
#define MYSQL_CAN_MARIADB_BULK_UNIT_RESULTS      MYSQL_CAN(37)

/* Name of capability bit 0..63 ("DEPRECATE_EOF"), or NULL. */
const char *mysql_capability_name(unsigned bit);

enum mysql_status {
	MYSQL_STATUS_IN_TRANS = 0x0001,
	MYSQL_STATUS_AUTOCOMMIT = 0x0002,
	MYSQL_STATUS_MORE_RESULTS = 0x0008,
	MYSQL_STATUS_NO_GOOD_INDEX_USED = 0x0010,
	MYSQL_STATUS_NO_INDEX_USED = 0x0020,
	MYSQL_STATUS_CURSOR_EXISTS = 0x0040,
	MYSQL_STATUS_LAST_ROW_SENT = 0x0080,
	MYSQL_STATUS_DB_DROPPED = 0x0100,
	MYSQL_STATUS_NO_BACKSLASH_ESCAPES = 0x0200,
	MYSQL_STATUS_METADATA_CHANGED = 0x0400,
	MYSQL_STATUS_QUERY_WAS_SLOW = 0x0800,
	MYSQL_STATUS_PS_OUT_PARAMS = 0x1000,
	MYSQL_STATUS_IN_TRANS_READONLY = 0x2000,
	MYSQL_STATUS_SESSION_STATE_CHANGED = 0x4000,
	MYSQL_STATUS_ANSI_QUOTES = 0x8000, /* MariaDB */
};

/* Errors that noah raises or looks for, with the SQLSTATE that servers give them. */
#define MYSQL_ERRORS(X)                                                        \
	X(TOO_MANY_CONNECTIONS, 1040, "08004")                                     \
	X(OUT_OF_RESOURCES, 1041, "HY000")                                         \
	X(HANDSHAKE, 1043, "08S01")                                                \
	X(DATABASE_ACCESS_DENIED, 1044, "42000")                                   \
	X(ACCESS_DENIED, 1045, "28000")                                            \
	X(NO_DATABASE_SELECTED, 1046, "3D000")                                     \
	X(UNKNOWN_COMMAND, 1047, "08S01")                                          \
	X(UNKNOWN_DATABASE, 1049, "42000")                                         \
	X(SERVER_SHUTDOWN, 1053, "08S01")                                          \
	X(SYNTAX, 1064, "42000")                                                   \
	X(EMPTY_QUERY, 1065, "42000")                                              \
	X(NO_SUCH_THREAD, 1094, "HY000")                                           \
	X(UNKNOWN_ERROR, 1105, "HY000")                                            \
	X(HOST_NOT_PRIVILEGED, 1130, "HY000")                                      \
	X(NO_SUCH_TABLE, 1146, "42S02")                                            \
	X(NOT_ALLOWED, 1148, "42000")                                              \
	X(PACKET_TOO_LARGE, 1153, "08S01")                                         \
	X(PACKETS_OUT_OF_ORDER, 1156, "08S01")                                     \
	X(NET_READ, 1158, "08S01")                                                 \
	X(NET_READ_TIMEOUT, 1159, "08S01")                                         \
	X(LOCK_WAIT_TIMEOUT, 1205, "HY000")                                        \
	X(DEADLOCK, 1213, "40001")                                                 \
	X(SPECIFIC_ACCESS_DENIED, 1227, "42000")                                   \
	X(NOT_SUPPORTED_YET, 1235, "42000")                                        \
	X(UNKNOWN_STATEMENT, 1243, "HY000")                                        \
	X(AUTH_MODE_NOT_SUPPORTED, 1251, "08004")                                  \
	X(OPTION_PREVENTS_STATEMENT, 1290, "HY000") /* --read-only among others */ \
	X(QUERY_INTERRUPTED, 1317, "70100")                                        \
	X(TOO_MANY_PREPARED_STATEMENTS, 1461, "42000")                             \
	X(SECURE_TRANSPORT_REQUIRED, 1524, "HY000")                                \
	X(READ_ONLY_TRANSACTION, 1792, "25006")                                    \
	X(MALFORMED_PACKET, 1835, "HY000")                                         \
	X(READ_ONLY_MODE, 1836, "HY000")                                           \
	X(CONNECTION_KILLED, 1927, "70100") /* MariaDB */                          \
	X(STATEMENT_TIMEOUT, 1969, "70100") /* MariaDB */                          \
	X(SERVER_GONE, 2006, "HY000")                                              \
	X(SERVER_LOST, 2013, "HY000")                                              \
	X(MYSQL_STATEMENT_TIMEOUT, 3024, "HY000")                                  \
	X(CLIENT_INTERACTION_TIMEOUT, 4031, "HY000")

enum mysql_error {
#define X(name, code, sqlstate) MYSQL_ERROR_##name = code,
	MYSQL_ERRORS(X)
#undef X
};

/* Five characters; "HY000" for a code that is not in the table. */
const char *mysql_sqlstate(uint16_t code);

#define MYSQL_COLLATION_LATIN1_SWEDISH  8
#define MYSQL_COLLATION_UTF8MB3_GENERAL 33
#define MYSQL_COLLATION_UTF8MB4_GENERAL 45
#define MYSQL_COLLATION_BINARY          63

/* ---- connection phase (mysql_handshake.c) ---------------------------------------------------------------------
 * Parsers take the payload of one packet, keep spans into it and return false when it is not what it must be. */

struct mysql_greeting {
	struct span version;     /* as sent: "5.5.5-10.11.6-MariaDB-..." (MariaDB up to 10.x) or "8.0.36" */
	uint32_t version_number; /* 101106, 80036; without the 5.5.5- prefix; 0 when it makes no sense */
	bool is_mariadb;
	uint32_t connection_id;
	uint8_t scramble[MYSQL_SCRAMBLE_SIZE];
	uint64_t capabilities; /* bits 32-63 only from a MariaDB */
	uint8_t collation;
	uint16_t status;
	struct span plugin; /* empty when the server names none */
};

/* A server that refuses at once (too many connections, host blocked) sends ERR instead: look for it with
 * mysql_is_error(payload) first. */
bool mysql_greeting_parse(struct span payload, struct mysql_greeting *out) MUST_CHECK;
/* One whole packet, sequence 0. The extended capabilities are written when LONG_PASSWORD is not among them (MariaDB's
 * sign). `plugin` must be set. The scramble may not contain zero bytes (mysql_scramble_make). */
void mysql_greeting_write(struct mysql_writer *writer, const struct mysql_greeting *greeting);
/* Turns 20 random bytes into a scramble: 1..127, no '$' either, as servers do. */
void mysql_scramble_make(const uint8_t random[MYSQL_SCRAMBLE_SIZE], uint8_t out[MYSQL_SCRAMBLE_SIZE]);

/* HandshakeResponse41, and COM_CHANGE_USER (which has no capabilities or packet_most of its own). */
struct mysql_login {
	uint64_t capabilities; /* bits 32-63 are only taken from the packet when bit 0 is clear (a MariaDB client) */
	uint32_t packet_most;
	uint16_t collation; /* 8 bits in a login, 16 in a change user */
	bool has_collation; /* COM_CHANGE_USER may end before it */
	struct span user;
	struct span reply;      /* the authentication response, raw */
	struct span database;   /* empty: none */
	struct span plugin;     /* empty: not named */
	struct span attributes; /* key and value texts, without the length in front: read with mysql_attribute_next */
	uint8_t zstd_level;
};

/* True for the 32-byte packet that asks for TLS before the login (CLIENT_SSL set and nothing behind the fixed part). */
bool mysql_is_tls_request(struct span payload);
/* `greeted` is what our greeting offered: capabilities that were not offered are removed from the result. */
bool mysql_login_parse(struct span payload, uint64_t greeted, struct mysql_login *out) MUST_CHECK;
void mysql_login_write(struct mysql_writer *writer, uint8_t sequence, const struct mysql_login *login);
/* `payload` begins with the command byte. `capabilities` are those of the connection's login. */
bool mysql_change_user_parse(struct span payload, uint64_t capabilities, struct mysql_login *out) MUST_CHECK;
void mysql_change_user_write(struct mysql_writer *writer, uint64_t capabilities, const struct mysql_login *login);
/* Walks through connect attributes; false at the end (*rest is empty then) or when they are malformed (*rest is not). */
bool mysql_attribute_next(struct span *rest, struct span *key, struct span *value);

/* Server to client: "use this plugin instead". An old bare 0xFE (no name) is not accepted. */
struct mysql_auth_switch {
	struct span plugin;
	struct span data; /* without the zero byte that servers append to a 20-byte scramble */
};

bool mysql_auth_switch_parse(struct span payload, struct mysql_auth_switch *out) MUST_CHECK;
void mysql_auth_switch_write(struct mysql_writer *writer, uint8_t sequence, struct span plugin,
                             const uint8_t scramble[MYSQL_SCRAMBLE_SIZE]);
/* AuthMoreData: 0x01 and bytes that belong to the plugin (caching_sha2_password: 03 known, 04 full login wanted). */
bool mysql_auth_more_parse(struct span payload, struct span *data) MUST_CHECK;

/* ---- mysql_native_password (mysql_native.c) -------------------------------------------------------------------
 * stored = SHA1(SHA1(password)); reply = SHA1(password) XOR SHA1(scramble + stored). So a client's reply together with
 * the stored hash gives SHA1(password), which is enough to log in elsewhere as the same user. */

/* "*" and 40 hexadecimal digits, as in mysql.user. */
bool mysql_native_parse_stored(struct span text, uint8_t stored[MYSQL_SHA1_SIZE]) MUST_CHECK;
void mysql_native_format_stored(const uint8_t stored[MYSQL_SHA1_SIZE], char out[42]);
/* SHA1(password), and the stored form of it. */
void mysql_native_hash(struct span password, uint8_t password_sha1[MYSQL_SHA1_SIZE]);
void mysql_native_store(const uint8_t password_sha1[MYSQL_SHA1_SIZE], uint8_t stored[MYSQL_SHA1_SIZE]);
/* True when the reply (20 bytes; any other size is wrong) proves the password; `password_sha1` is set then. Constant
 * time. An account without password has no stored hash: the caller checks that the reply is empty. */
bool mysql_native_verify(const uint8_t stored[MYSQL_SHA1_SIZE], const uint8_t scramble[MYSQL_SCRAMBLE_SIZE], struct span reply,
                         uint8_t password_sha1[MYSQL_SHA1_SIZE]) MUST_CHECK;
/* The reply for a server's scramble. */
void mysql_native_reply(const uint8_t password_sha1[MYSQL_SHA1_SIZE], const uint8_t scramble[MYSQL_SCRAMBLE_SIZE],
                        uint8_t reply[MYSQL_SHA1_SIZE]);

/* ---- OK, ERR, EOF (mysql_result.c) ---------------------------------------------------------------------------- */

struct mysql_ok {
	uint64_t affected_rows;
	uint64_t last_insert_id;
	uint16_t status;
	uint16_t warnings;
	struct span info;
	struct span track; /* session state changes: walk with mysql_track_next; empty: none */
};

struct mysql_failure {
	uint16_t code;
	char sqlstate[6]; /* "HY000" when the packet carries none */
	struct span message;
};

static inline bool mysql_is_error(struct span payload)
{
	return payload.size >= 3 && (uint8_t)payload.start[0] == 0xFF;
}

/* Accepts the header 0x00, and 0xFE (an OK that ends a result when DEPRECATE_EOF was agreed). */
bool mysql_ok_parse(struct span payload, uint64_t capabilities, struct mysql_ok *out) MUST_CHECK;
bool mysql_error_parse(struct span payload, struct mysql_failure *out) MUST_CHECK;
bool mysql_eof_parse(struct span payload, uint16_t *warnings, uint16_t *status) MUST_CHECK;

void mysql_ok_write(struct mysql_writer *writer, uint8_t sequence, uint64_t capabilities, const struct mysql_ok *ok);
/* The message is cut at 512 bytes, as servers do. The SQLSTATE comes from the table; `sqlstate` NULL means that. During
 * the handshake, before the client's capabilities are known, servers leave the SQLSTATE out: capabilities 0 does that. */
void mysql_error_write(struct mysql_writer *writer, uint8_t sequence, uint64_t capabilities, uint16_t code, const char *sqlstate,
                       struct span message);
/* What ends a result: EOF, or OK with header 0xFE when DEPRECATE_EOF was agreed. */
void mysql_end_write(struct mysql_writer *writer, uint8_t sequence, uint64_t capabilities, uint16_t status, uint16_t warnings);

enum mysql_track_kind {
	MYSQL_TRACK_SYSTEM_VARIABLE = 0,
	MYSQL_TRACK_SCHEMA = 1,
	MYSQL_TRACK_STATE_CHANGE = 2, /* value "1" or "0" */
	MYSQL_TRACK_GTIDS = 3,        /* MySQL; MariaDB reports the variable last_gtid instead */
	MYSQL_TRACK_TRANSACTION_CHARACTERISTICS = 4,
	MYSQL_TRACK_TRANSACTION_STATE = 5, /* eight characters, "T_R_W_S_" */
};

struct mysql_track {
	uint8_t kind;     /* enum mysql_track_kind, or one that is unknown: then name is empty and value raw */
	struct span name; /* of the system variable */
	struct span value;
};

/* A walk through ok.track: start with { .rest = ok.track }. Next gives false at the end, and when the data is malformed
 * (then `broken` is set). */
struct mysql_track_walk {
	struct span rest;
	struct span inner; /* further variables of one entry */
	bool broken;
};

bool mysql_track_next(struct mysql_track_walk *walk, struct mysql_track *out);

/* ---- small text result sets: noah's own questions, and its own answers (mysql_result.c) ----------------------- */

enum mysql_result_kind {
	MYSQL_RESULT_BROKEN, /* not an answer to a text query, or not wholly there */
	MYSQL_RESULT_OK,     /* .ok */
	MYSQL_RESULT_ERROR,  /* .failure */
	MYSQL_RESULT_ROWS,   /* .columns; read on with mysql_row_next */
};

struct mysql_result {
	struct span rest;
	uint64_t capabilities;
	unsigned columns;
	bool ended;
	struct mysql_ok ok; /* also set when mysql_row_next came to the end */
	struct mysql_failure failure;
};

/* `answer` is one whole answer to one COM_QUERY (as struct mysql_response below delimits it), as packets. The first
 * `names_room` column names are put into `names` (may be NULL with 0). */
enum mysql_result_kind mysql_result_open(struct mysql_result *result, struct span answer, uint64_t capabilities,
                                         struct span *names, unsigned names_room) MUST_CHECK;
enum mysql_row_kind {
	MYSQL_ROW_BROKEN = -1,
	MYSQL_ROW_END = 0, /* result->ok has status and warnings */
	MYSQL_ROW = 1,
	MYSQL_ROW_ERROR = 2, /* the server broke off: result->failure */
};

/* Fills the first `room` fields of the next row; NULL is { NULL, 0 }. Rows continued over 16 MB are MYSQL_ROW_BROKEN. */
enum mysql_row_kind mysql_row_next(struct mysql_result *result, struct span *fields, unsigned room) MUST_CHECK;

/* Writing: columns (all text), then rows, then mysql_end_write. `*sequence` is moved on with every packet. */
void mysql_columns_write(struct mysql_writer *writer, uint8_t *sequence, uint64_t capabilities, const struct span *names,
                         unsigned count);
void mysql_row_write(struct mysql_writer *writer, uint8_t *sequence, const struct span *fields, unsigned count);

/* Answer to COM_STMT_PREPARE, first packet. */
struct mysql_prepared {
	uint32_t statement_id;
	uint16_t columns;
	uint16_t parameters;
	uint16_t warnings;
};

bool mysql_prepared_parse(struct span payload, struct mysql_prepared *out) MUST_CHECK;

/* One column definition (text protocol 4.1): the parts a proxy looks at. */
struct mysql_column {
	struct span schema;
	struct span table;
	struct span original_table;
	struct span name;
	struct span original_name;
	uint16_t collation;
	uint32_t length;
	uint8_t type;
	uint16_t flags;
	uint8_t decimals;
};

/* With MARIADB_EXTENDED_METADATA among the capabilities the extended part is stepped over. */
bool mysql_column_parse(struct span payload, uint64_t capabilities, struct mysql_column *out) MUST_CHECK;

/* ---- following an answer (mysql_response.c) -------------------------------------------------------------------
 * Feed it what the server sends after one command, in pieces of any size. It steps over rows without looking at them
 * and keeps only a packet that ends something and arrived in pieces (in `capture`). A login is followed like a
 * COM_CHANGE_USER. */

/* What a command is answered with. */
enum mysql_answer {
	MYSQL_ANSWER_NONE,     /* QUIT, STMT_CLOSE, STMT_SEND_LONG_DATA */
	MYSQL_ANSWER_SIMPLE,   /* OK, ERR or EOF: PING, INIT_DB, SET_OPTION, RESET_CONNECTION, unknown commands ... */
	MYSQL_ANSWER_RESULT,   /* QUERY, STMT_EXECUTE, STMT_BULK_EXECUTE, PROCESS_INFO: one or several results */
	MYSQL_ANSWER_PREPARED, /* STMT_PREPARE */
	MYSQL_ANSWER_ROWS,     /* STMT_FETCH: rows and an end */
	MYSQL_ANSWER_FIELDS,   /* FIELD_LIST: column definitions and an end */
	MYSQL_ANSWER_TEXT,     /* STATISTICS: one packet of any content */
	MYSQL_ANSWER_LOGIN,    /* CHANGE_USER, and the login itself: OK, ERR, or a question to the client */
	MYSQL_ANSWER_STREAM,   /* BINLOG_DUMP and the like: without an end; not for mysql_response */
};

enum mysql_answer mysql_command_answer(uint8_t command);

enum mysql_response_event {
	MYSQL_RESPONSE_MORE,   /* all bytes eaten; the answer goes on */
	MYSQL_RESPONSE_RESULT, /* one result has ended and another follows: look at `ok`, then feed on */
	MYSQL_RESPONSE_INFILE, /* the server waits for a file from the client (LOAD DATA LOCAL); feed on after that */
	MYSQL_RESPONSE_AUTH,   /* the server waits for an authentication packet (AuthSwitchRequest or AuthMoreData) */
	MYSQL_RESPONSE_DONE,   /* the answer is complete: `ok`, or `is_error` and `failure` */
	MYSQL_RESPONSE_BROKEN, /* not the protocol: the connection cannot be used any more */
};

struct mysql_response {
	/* What is known so far. Spans point into the bytes of the last feed or into the capture buffer: use them before the
	 * next feed and before either is overwritten. */
	bool begun;         /* at least one whole packet header was seen */
	bool rows_begun;    /* a row was seen: nothing can be taken back any more */
	bool is_error;      /* an ERR ended the answer (perhaps behind rows) */
	bool has_status;    /* ok.status is from this answer (an ERR carries none) */
	bool track_lost;    /* an OK was larger than the capture: some or all session tracking of it was not seen */
	bool has_prepared;  /* `prepared` is set */
	uint8_t sequence;   /* of the last packet */
	uint32_t columns;   /* of the current result */
	uint32_t results;   /* results that have ended */
	uint64_t rows;      /* rows seen in all results */
	uint64_t bytes;     /* eaten so far */
	struct mysql_ok ok; /* of the last OK or EOF that ended a result; EOF gives status and warnings only */
	struct mysql_failure failure;
	struct mysql_prepared prepared;
	struct span request; /* payload of the packet that asks (AUTH, INFILE) */

	/* Inner state. */
	uint8_t phase;
	uint8_t answer;
	uint8_t header_size;
	uint8_t header[MYSQL_HEADER_SIZE];
	uint8_t first; /* first payload byte of the packet under way */
	bool has_first;
	bool continued; /* the packet under way continues a 16 MB one */
	bool capturing;
	bool any_sequence;
	uint32_t packet_size;
	uint32_t left;        /* payload bytes of the packet under way that were not fed yet */
	uint32_t definitions; /* column definitions still to come */
	uint32_t definitions_next;
	uint64_t capabilities;
	uint8_t *capture;
	uint32_t capture_room;
	uint32_t capture_size;
};

#define MYSQL_CAPTURE_LEAST 64

/* `capture` is borrowed until the answer is complete: at least MYSQL_CAPTURE_LEAST bytes; 4 KB hold the tracking of any
 * ordinary statement and every error message. */
void mysql_response_start(struct mysql_response *response, uint8_t command, uint64_t capabilities, void *capture,
                          size_t capture_room);
/* Eats bytes up to the next event and puts their number into *eaten (always all of them with MORE). After DONE or BROKEN
 * it must not be fed again before the next start. MYSQL_ANSWER_NONE is DONE at once with nothing eaten. */
enum mysql_response_event mysql_response_feed(struct mysql_response *response, struct span bytes, size_t *eaten) MUST_CHECK;

/* ---- following what a client sends ----------------------------------------------------------------------------
 * One command is one packet, or several when it is 16 MB and more. */

enum mysql_request_event {
	MYSQL_REQUEST_MORE, /* all bytes eaten, the command goes on; `command` is valid once has_command */
	MYSQL_REQUEST_DONE,
	MYSQL_REQUEST_BROKEN, /* wrong sequence number, an empty first packet, or larger than `most` */
};

struct mysql_request {
	bool has_command;
	bool is_file;     /* following a LOAD DATA LOCAL file: ends with an empty packet */
	uint8_t command;  /* first byte of the payload */
	uint8_t sequence; /* of the last packet; a server's answer begins with the next */
	uint8_t next_sequence;
	uint8_t header_size;
	uint8_t header[MYSQL_HEADER_SIZE];
	bool last; /* the packet under way is the command's last */
	uint32_t left;
	uint32_t packets;
	uint64_t size; /* payload bytes so far, with the command byte, without headers */
	uint64_t most;
};

/* `most` bounds the whole payload (max_allowed_packet). */
void mysql_request_start(struct mysql_request *request, uint64_t most);
/* For the client's file after MYSQL_RESPONSE_INFILE: `sequence` is that of the server's request plus one. */
void mysql_request_start_file(struct mysql_request *request, uint8_t sequence);
enum mysql_request_event mysql_request_feed(struct mysql_request *request, struct span bytes, size_t *eaten) MUST_CHECK;

#endif
