/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sql/words: the words that classify.c knows: keywords, and functions with what they may do. Used inside sql/ only. The table
 * is constant; its index is made once, by whichever thread asks first.
 */
#ifndef NOAH_SQL_WORDS_H
#define NOAH_SQL_WORDS_H

#include "base/base.h"

/* Keywords that steer the classification. Functions and plain words need no number. */
/* clang-format off */
enum sql_word_number {
	SQL_WORD_NONE, SQL_WORD_ALTER, SQL_WORD_ANALYZE, SQL_WORD_AND, SQL_WORD_AS, SQL_WORD_BACKUP, SQL_WORD_BEGIN,
	SQL_WORD_BINLOG, SQL_WORD_CACHE, SQL_WORD_CALL, SQL_WORD_CASE, SQL_WORD_CHANGE, SQL_WORD_CHARACTER, SQL_WORD_CHARSET,
	SQL_WORD_CHECK, SQL_WORD_CHECKSUM, SQL_WORD_CLONE, SQL_WORD_COLLATE, SQL_WORD_COLLATION, SQL_WORD_COLUMNS,
	SQL_WORD_COMMIT, SQL_WORD_CONNECTION, SQL_WORD_COUNT, SQL_WORD_CREATE, SQL_WORD_CURRVAL, SQL_WORD_DATA, SQL_WORD_DATABASE,
	SQL_WORD_DATABASES, SQL_WORD_DEALLOCATE, SQL_WORD_DECLARE, SQL_WORD_DEFAULT, SQL_WORD_DELETE, SQL_WORD_DESC,
	SQL_WORD_DESCRIBE, SQL_WORD_DO, SQL_WORD_DROP, SQL_WORD_ERRORS, SQL_WORD_EVENT, SQL_WORD_EXECUTE, SQL_WORD_EXPLAIN,
	SQL_WORD_EXPORT, SQL_WORD_EXTENDED, SQL_WORD_FALSE, SQL_WORD_FIELDS, SQL_WORD_FLUSH, SQL_WORD_FOR, SQL_WORD_FORMAT,
	SQL_WORD_FROM, SQL_WORD_FULL, SQL_WORD_FUNCTION, SQL_WORD_GET, SQL_WORD_GLOBAL, SQL_WORD_GRANT, SQL_WORD_HANDLER,
	SQL_WORD_HARD, SQL_WORD_HELP, SQL_WORD_ID, SQL_WORD_IF, SQL_WORD_IMPORT, SQL_WORD_IN, SQL_WORD_INDEX, SQL_WORD_INDEXES,
	SQL_WORD_INFORMATION_SCHEMA, SQL_WORD_INSERT, SQL_WORD_INSTALL, SQL_WORD_INSTANCE, SQL_WORD_INTO, SQL_WORD_KEYS,
	SQL_WORD_KILL, SQL_WORD_LASTVAL, SQL_WORD_LOAD, SQL_WORD_LOCAL, SQL_WORD_LOCK, SQL_WORD_LOOP, SQL_WORD_MERGE,
	SQL_WORD_MYSQL, SQL_WORD_NAMES, SQL_WORD_NEXT, SQL_WORD_NEXTVAL, SQL_WORD_OFF, SQL_WORD_ON, SQL_WORD_ONLY,
	SQL_WORD_OPTIMIZE, SQL_WORD_PACKAGE, SQL_WORD_PARTITIONS, SQL_WORD_PASSWORD, SQL_WORD_PERFORMANCE_SCHEMA,
	SQL_WORD_PERSIST, SQL_WORD_PERSIST_ONLY, SQL_WORD_PREPARE, SQL_WORD_PREVIOUS, SQL_WORD_PROCEDURE, SQL_WORD_PURGE,
	SQL_WORD_QUERY, SQL_WORD_READ, SQL_WORD_RECOVER, SQL_WORD_RECURSIVE, SQL_WORD_RELEASE, SQL_WORD_RENAME, SQL_WORD_REPAIR,
	SQL_WORD_REPEAT, SQL_WORD_REPLACE, SQL_WORD_RESET, SQL_WORD_RESIGNAL, SQL_WORD_RESOURCE, SQL_WORD_RESTART,
	SQL_WORD_REVOKE, SQL_WORD_ROLE, SQL_WORD_ROLLBACK, SQL_WORD_SAVEPOINT, SQL_WORD_SCHEMA, SQL_WORD_SCHEMAS, SQL_WORD_SELECT,
	SQL_WORD_SEQUENCE, SQL_WORD_SESSION, SQL_WORD_SET, SQL_WORD_SETVAL, SQL_WORD_SHARE, SQL_WORD_SHOW, SQL_WORD_SHUTDOWN,
	SQL_WORD_SIGNAL, SQL_WORD_SOFT, SQL_WORD_SQL_CALC_FOUND_ROWS, SQL_WORD_START, SQL_WORD_STATEMENT, SQL_WORD_STOP,
	SQL_WORD_SYS, SQL_WORD_TABLE, SQL_WORD_TABLES, SQL_WORD_TEMPORARY, SQL_WORD_TRANSACTION, SQL_WORD_TRIGGER,
	SQL_WORD_TRIGGERS, SQL_WORD_TRUE, SQL_WORD_TRUNCATE, SQL_WORD_UNINSTALL, SQL_WORD_UNLOCK, SQL_WORD_UPDATE, SQL_WORD_USE,
	SQL_WORD_USER, SQL_WORD_VALUE, SQL_WORD_VALUES, SQL_WORD_VIEW, SQL_WORD_WARNINGS, SQL_WORD_WHILE, SQL_WORD_WITH,
	SQL_WORD_WORK, SQL_WORD_XA, SQL_WORD_XML,
};
/* clang-format on */

/* What `word(` means. */
enum sql_call {
	SQL_CALL_UNKNOWN,        /* a stored function, or one that this table does not have */
	SQL_CALL_NONE,           /* a keyword before parentheses: IN (, AND (, types, index hints */
	SQL_CALL_READ,           /* known to change nothing, and to answer the same everywhere */
	SQL_CALL_READ_TIGHT,     /* the same, but with a blank before the parenthesis it may be a stored function */
	SQL_CALL_LAST_STATEMENT, /* FOUND_ROWS(), ROW_COUNT() */
	SQL_CALL_LAST_INSERT_ID,
	SQL_CALL_SEQUENCE,
	SQL_CALL_SERVER,    /* another server would answer otherwise */
	SQL_CALL_LOCK,      /* GET_LOCK */
	SQL_CALL_LOCK_INFO, /* RELEASE_LOCK, IS_FREE_LOCK ... */
};

#define SQL_WORD_MOST 27

struct sql_word {
	char text[SQL_WORD_MOST + 1]; /* lower case, zero-terminated */
	uint8_t size;
	uint8_t number; /* enum sql_word_number */
	uint8_t call;   /* enum sql_call */
};

/* Lower-case letters for letters, the byte itself for the other bytes of words, 0 for what ends a word. */
extern const uint8_t sql_word_fold[256];

#define SQL_WORD_HASH_START 0u
static inline uint32_t sql_word_hash(uint32_t hash, uint8_t folded)
{
	return (hash ^ folded) * 0x9E3779B1u;
}

/* `hash` over the folded bytes of `text`. NULL when the table does not have the word. */
const struct sql_word *sql_word_find(struct span text, uint32_t hash);
/* The same when there is no hash yet. */
const struct sql_word *sql_word_look_up(struct span text);

#endif
