/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sql/classify: what a statement is, where it may run, and what it does to its session.
 *
 * A pure function over the text: no allocation, linear, any thread. What is not certainly a read goes to the primary;
 * transactions and autocommit are the session's business (it knows them from the servers' status flags).
 */
#ifndef NOAH_SQL_CLASSIFY_H
#define NOAH_SQL_CLASSIFY_H

#include "base/base.h"

/* How the session reads text: from sql_mode and the connection's character set. */
enum sql_text_mode {
	SQL_ANSI_QUOTES = 1,          /* "x" is a name (MYSQL_STATUS_ANSI_QUOTES on MariaDB) */
	SQL_NO_BACKSLASH_ESCAPES = 2, /* \ is an ordinary character (MYSQL_STATUS_NO_BACKSLASH_ESCAPES) */
	SQL_IGNORE_SPACE = 4,         /* `count (` calls the built-in function */
	SQL_UNSAFE_CHARSET = 8,       /* character_set_client may have \ or ' as a second byte: see sql_charset_is_unsafe */
};

/* `value` is what a SET gives to names or character_set_client, as written: gbk, 'gbk', 28, gbk COLLATE x. False only for
 * character sets that are known to have neither a quote nor a backslash as a second byte (big5, cp932, gbk, gb18030 and sjis
 * have): with all others bytes above 127 make a statement uncertain. */
bool sql_charset_is_unsafe(struct span value);

enum sql_kind {
	SQL_KIND_EMPTY, /* nothing but blanks and comments: the server answers with an error */
	SQL_KIND_READ,  /* SELECT, WITH ... SELECT, VALUES, TABLE, EXPLAIN, DESCRIBE, SHOW: `route` says where */
	SQL_KIND_WRITE, /* INSERT, UPDATE, DELETE, REPLACE, LOAD DATA from the server's disk, MERGE ... */
	SQL_KIND_BEGIN, /* BEGIN, START TRANSACTION */
	SQL_KIND_COMMIT,
	SQL_KIND_ROLLBACK,        /* also to a savepoint */
	SQL_KIND_SAVEPOINT,       /* also RELEASE SAVEPOINT */
	SQL_KIND_SET_SESSION,     /* only settings that can be replayed: read them with sql_setting_next */
	SQL_KIND_SET_AUTOCOMMIT,  /* SET autocommit = value alone; also a replayable setting */
	SQL_KIND_SET_OTHER,       /* user variables, global values, expressions, SET TRANSACTION, SET ROLE, SET PASSWORD ... */
	SQL_KIND_USE,             /* `database` */
	SQL_KIND_DDL,             /* commits implicitly */
	SQL_KIND_TEMPORARY_TABLE, /* CREATE or DROP TEMPORARY TABLE */
	SQL_KIND_LOCK_TABLES,
	SQL_KIND_UNLOCK_TABLES,
	SQL_KIND_PREPARE, /* PREPARE, EXECUTE, DEALLOCATE as text */
	SQL_KIND_CALL,
	SQL_KIND_DO,
	SQL_KIND_HANDLER,
	SQL_KIND_LOAD_LOCAL, /* LOAD DATA or XML LOCAL: the server will ask the client for a file */
	SQL_KIND_KILL,       /* the number is the client's idea of a connection id: `number` */
	SQL_KIND_XA,
	SQL_KIND_FLUSH,
	SQL_KIND_MANY,  /* several statements in one text */
	SQL_KIND_OTHER, /* anything else, known or not */
};

const char *sql_kind_name(enum sql_kind kind);

enum sql_route {
	SQL_ROUTE_READ, /* any server that is fresh enough */
	SQL_ROUTE_LAST, /* where the session's last statement ran: FOUND_ROWS(), SHOW WARNINGS ... */
	SQL_ROUTE_PRIMARY,
};

/* Why a statement is not routed as a read, or holds the session. One table, so that logs can say it. */
#define SQL_REASONS(X)                                                                          \
	X(NONE, "reads only")                                                                       \
	X(EMPTY, "is empty")                                                                        \
	X(WRITES, "writes")                                                                         \
	X(DDL, "changes definitions")                                                               \
	X(TRANSACTION, "begins or ends a transaction")                                              \
	X(SESSION_SETTING, "changes a session setting")                                             \
	X(SET_EXPRESSION, "sets something to an expression, which cannot be repeated elsewhere")    \
	X(SET_SPECIAL, "sets something that cannot be repeated elsewhere")                          \
	X(SET_GLOBAL, "sets a global variable")                                                     \
	X(SET_NEXT_TRANSACTION, "sets properties of the next transaction")                          \
	X(USE_DATABASE, "changes the database")                                                     \
	X(USER_VARIABLE_READ, "reads a user variable")                                              \
	X(USER_VARIABLE_SET, "sets a user variable")                                                \
	X(SYSTEM_VARIABLE, "reads a system variable that differs between servers")                  \
	X(LOCKING_READ, "locks the rows that it reads")                                             \
	X(INTO, "selects into a file or variables")                                                 \
	X(LAST_STATEMENT, "depends on the statement before it")                                     \
	X(LAST_INSERT_ID, "depends on the last generated id")                                       \
	X(CALC_FOUND_ROWS, "counts rows for FOUND_ROWS()")                                          \
	X(SEQUENCE, "uses a sequence")                                                              \
	X(UNKNOWN_FUNCTION, "calls a function that is not known to be read-only")                   \
	X(SERVER_FUNCTION, "calls a function whose answer differs between servers")                 \
	X(USER_LOCK, "takes or looks at a user-level lock")                                         \
	X(SYSTEM_TABLE, "reads a system table")                                                     \
	X(SHOW_SERVER, "shows the state of a server")                                               \
	X(EXPLAIN, "explains something that is not a plain read")                                   \
	X(TEMPORARY_TABLE, "creates or drops a temporary table")                                    \
	X(LOCK_TABLES, "locks tables")                                                              \
	X(GLOBAL_READ_LOCK, "takes a global lock")                                                  \
	X(HANDLER, "uses HANDLER")                                                                  \
	X(TEXT_PREPARE, "prepares or executes by name")                                             \
	X(CALL, "calls a procedure")                                                                \
	X(COMPOUND, "is a compound statement")                                                      \
	X(DO, "is a DO")                                                                            \
	X(LOAD_LOCAL, "loads a file from the client")                                               \
	X(KILL, "kills a connection or statement")                                                  \
	X(XA, "is part of an XA transaction")                                                       \
	X(FLUSH, "flushes or resets")                                                               \
	X(ADMINISTRATION, "administers the server")                                                 \
	X(MANY, "is several statements in one")                                                     \
	X(MANY_WITH_STATE, "is several statements in one, among them one that changes the session") \
	X(VERSION_COMMENT, "has a comment that only some versions execute")                         \
	X(CHARSET, "has characters that cannot be told from quotes in its character set")           \
	X(BROKEN, "has an unfinished string or comment, or characters that are not SQL")            \
	X(UNKNOWN, "is not a statement that noah knows")

enum sql_reason {
#define X(name, text) SQL_REASON_##name,
	SQL_REASONS(X)
#undef X
	    SQL_REASON_COUNT
};

/* True for reasons that only say that servers may answer differently: a statement with nothing worse may run anywhere, or again.
 */
bool sql_reason_is_harmless(enum sql_reason reason);
/* Fits behind "the statement ". */
const char *sql_reason_text(enum sql_reason reason);

struct sql_class {
	enum sql_kind kind;
	enum sql_route route;
	enum sql_reason reason; /* why route is not SQL_ROUTE_READ; NONE when it is. Of several one that is not harmless. */
	/* Not NONE: from this statement on the session holds state that lives on the primary's connection only, so that
	 * everything has to go there (until `releases`, a reset, or the end). Also set when such a thing stands in a
	 * statement of another kind: INSERT ... VALUES (GET_LOCK('a', 1)). */
	enum sql_reason binds;
	enum sql_reason releases; /* LOCK_TABLES: this ends a LOCK TABLES and a global read lock; else NONE */
	int8_t autocommit;        /* SET autocommit: 0 or 1 (also among other settings); -1: not set here */
	bool read_only;           /* START TRANSACTION READ ONLY */
	bool in_version_comment;  /* the text has an executable comment that every supported server executes */
	bool asks_insert_id;      /* LAST_INSERT_ID() stands in it somewhere */
	struct span database;     /* USE: the name, still quoted if it was (sql_name_copy undoes that) */
	uint64_t number;          /* KILL: the id; 0 when it is not a plain number */
	struct span settings;     /* SET_SESSION and SET_AUTOCOMMIT: what sql_setting_next walks through */
};

/* `mode` is a set of enum sql_text_mode. Works on any bytes. */
void sql_classify(struct span text, unsigned mode, struct sql_class *out);

/* ---- settings that can be replayed ---------------------------------------------------------------------------- */

struct sql_setting {
	struct span name;  /* "sql_mode", without scope or quotes; "names", "character set", "transaction" (with a
	                    * second word when only one of its two is set) for those forms */
	struct span value; /* the literal as written ('...', 5, ON); for names and transaction all that follows */
	struct span text;  /* `SET <text>` repeats it: "sql_mode = ''", "NAMES utf8mb4", "SESSION TRANSACTION ..." */
	bool alone;        /* may not be joined with others by commas in one SET */
};

struct sql_setting_walk {
	struct span rest;
	unsigned mode;
};

static inline struct sql_setting_walk sql_settings_of(const struct sql_class *class, unsigned mode)
{
	return (struct sql_setting_walk){.rest = class->settings, .mode = mode};
}

/* False at the end. Names come in the order of the text; a later one wins. Only for settings from sql_classify. */
bool sql_setting_next(struct sql_setting_walk *walk, struct sql_setting *out);

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Takes quotes off a name as written (`x`, "x", x) and adds a zero byte. False when it does not fit (out is ""). */
bool sql_name_copy(struct span name, char *out, size_t out_size) MUST_CHECK;
/* mysql, information_schema, performance_schema, sys: while one of them is the session's database, reads go to the
 * primary, because statements do not name it. */
bool sql_database_is_system(struct span name);

#endif
