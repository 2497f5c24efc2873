/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The classifier: one pass over the tokens of a statement. The first words say what it is; then every token of the rest is
 * looked at for what would keep it from running on a replica, or tie the session to the primary. Pure; called by the session
 * for every text statement and every prepared text, in traffic threads.
 */
#include "sql/classify_private.h"

/* ---- the tables ----------------------------------------------------------------------------------------------- */

const char *sql_reason_text(enum sql_reason reason)
{
	static const char *const texts[] = {
#define X(name, text) text,
	    SQL_REASONS(X)
#undef X
	};
	return (unsigned)reason < COUNT_OF(texts) ? texts[reason] : "has no reason";
}

bool sql_reason_is_harmless(enum sql_reason reason)
{
	return reason == SQL_REASON_SYSTEM_VARIABLE || reason == SQL_REASON_SERVER_FUNCTION || reason == SQL_REASON_SYSTEM_TABLE ||
	       reason == SQL_REASON_SHOW_SERVER;
}

const char *sql_kind_name(enum sql_kind kind)
{
	static const char *const names[] = {
	    [SQL_KIND_EMPTY] = "empty",
	    [SQL_KIND_READ] = "read",
	    [SQL_KIND_WRITE] = "write",
	    [SQL_KIND_BEGIN] = "begin",
	    [SQL_KIND_COMMIT] = "commit",
	    [SQL_KIND_ROLLBACK] = "rollback",
	    [SQL_KIND_SAVEPOINT] = "savepoint",
	    [SQL_KIND_SET_SESSION] = "set session",
	    [SQL_KIND_SET_AUTOCOMMIT] = "set autocommit",
	    [SQL_KIND_SET_OTHER] = "set other",
	    [SQL_KIND_USE] = "use",
	    [SQL_KIND_DDL] = "definition",
	    [SQL_KIND_TEMPORARY_TABLE] = "temporary table",
	    [SQL_KIND_LOCK_TABLES] = "lock tables",
	    [SQL_KIND_UNLOCK_TABLES] = "unlock tables",
	    [SQL_KIND_PREPARE] = "prepare",
	    [SQL_KIND_CALL] = "call",
	    [SQL_KIND_DO] = "do",
	    [SQL_KIND_HANDLER] = "handler",
	    [SQL_KIND_LOAD_LOCAL] = "load local",
	    [SQL_KIND_KILL] = "kill",
	    [SQL_KIND_XA] = "xa",
	    [SQL_KIND_FLUSH] = "flush",
	    [SQL_KIND_MANY] = "many",
	    [SQL_KIND_OTHER] = "other",
	};
	return names[kind];
}

/* ---- statements, by their first words ------------------------------------------------------------------------- */

static void set_kind(struct sql_scan *scan, enum sql_kind kind, enum sql_reason reason)
{
	scan->class->kind = kind;
	sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, reason);
}

static void classify_kind(struct sql_scan *scan, enum sql_kind kind, enum sql_reason reason)
{
	set_kind(scan, kind, reason);
	sql_look_at_all(scan);
}

static void classify_binding(struct sql_scan *scan, enum sql_kind kind, enum sql_reason reason)
{
	sql_class_bind(scan->class, reason);
	classify_kind(scan, kind, reason);
}

/* What has statements inside, with semicolons of its own: everything belongs to it. */
static void classify_compound(struct sql_scan *scan, enum sql_kind kind, enum sql_reason reason)
{
	set_kind(scan, kind, reason);
	while (scan->token.kind != SQL_TOKEN_END && scan->token.kind != SQL_TOKEN_BROKEN)
		sql_scan_next(scan);
}

static void classify_with(struct sql_scan *scan)
{
	struct sql_walk walk = {.in_with_list = true};
	scan->class->kind = SQL_KIND_READ;
	sql_look_at_rest(scan, &walk);
}

static void classify_read(struct sql_scan *scan)
{
	scan->class->kind = SQL_KIND_READ;
	sql_look_at_all(scan);
}

/* EXPLAIN and its other names: the word is eaten. `runs`: ANALYZE really executes what it explains. */
static void classify_explain(struct sql_scan *scan, bool runs)
{
	scan->class->kind = SQL_KIND_READ;
	while (sql_scan_take(scan, SQL_WORD_EXTENDED) || sql_scan_take(scan, SQL_WORD_PARTITIONS) ||
	       sql_scan_take(scan, SQL_WORD_ANALYZE))
		;
	if (sql_scan_take(scan, SQL_WORD_FORMAT)) {
		if (sql_token_is_symbol(&scan->token, '='))
			sql_scan_next(scan);
		sql_scan_next(scan);
	}
	switch (scan->token.word != NULL ? (enum sql_word_number)scan->token.word->number : SQL_WORD_NONE) {
	case SQL_WORD_WITH:
		classify_with(scan);
		return;
	case SQL_WORD_SELECT:
	case SQL_WORD_VALUES:
	case SQL_WORD_TABLE:
		classify_read(scan);
		return;
	case SQL_WORD_NONE:
		/* DESCRIBE table [column], or a query in parentheses. */
		if (!runs || sql_token_is_symbol(&scan->token, '(')) {
			classify_read(scan);
			return;
		}
		break;
	default:
		break;
	}
	classify_kind(scan, runs ? SQL_KIND_WRITE : SQL_KIND_READ, SQL_REASON_EXPLAIN);
}

static void classify_analyze(struct sql_scan *scan)
{
	struct sql_token token = scan->token;
	bool explains =
	    sql_token_is(&token, SQL_WORD_FORMAT) || sql_token_is(&token, SQL_WORD_SELECT) || sql_token_is(&token, SQL_WORD_WITH) ||
	    sql_token_is(&token, SQL_WORD_VALUES) || sql_token_is(&token, SQL_WORD_UPDATE) || sql_token_is(&token, SQL_WORD_DELETE) ||
	    sql_token_is(&token, SQL_WORD_INSERT) || sql_token_is(&token, SQL_WORD_REPLACE) || sql_token_is_symbol(&token, '(');
	if (explains)
		classify_explain(scan, true);
	else
		classify_kind(scan, SQL_KIND_DDL, SQL_REASON_ADMINISTRATION);
}

static void classify_show(struct sql_scan *scan)
{
	struct sql_class *class = scan->class;
	class->kind = SQL_KIND_READ;
	while (sql_scan_take(scan, SQL_WORD_FULL) || sql_scan_take(scan, SQL_WORD_EXTENDED))
		;
	switch (scan->token.word != NULL ? (enum sql_word_number)scan->token.word->number : SQL_WORD_NONE) {
	case SQL_WORD_COLLATION:
	case SQL_WORD_COLUMNS:
	case SQL_WORD_DATABASES:
	case SQL_WORD_FIELDS:
	case SQL_WORD_INDEX:
	case SQL_WORD_INDEXES:
	case SQL_WORD_KEYS:
	case SQL_WORD_SCHEMAS:
	case SQL_WORD_TABLES:
	case SQL_WORD_TRIGGERS:
	case SQL_WORD_CHARSET:
	case SQL_WORD_CHARACTER:
		break;
	case SQL_WORD_CREATE:
		sql_scan_next(scan);
		/* Of the things that can be shown so, accounts are told differently by different versions. */
		if (sql_token_is(&scan->token, SQL_WORD_USER))
			sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_SYSTEM_TABLE);
		break;
	case SQL_WORD_WARNINGS:
	case SQL_WORD_ERRORS:
	case SQL_WORD_COUNT:
		sql_class_restrict(class, SQL_ROUTE_LAST, SQL_REASON_LAST_STATEMENT);
		break;
	default:
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_SHOW_SERVER);
		break;
	}
	if (sql_token_is(&scan->token, SQL_WORD_COUNT))
		sql_scan_next(scan); /* SHOW COUNT (*) WARNINGS calls nothing */
	sql_look_at_all(scan);
}

static void classify_begin(struct sql_scan *scan)
{
	sql_scan_take(scan, SQL_WORD_WORK);
	if (sql_scan_at_end(scan)) {
		set_kind(scan, SQL_KIND_BEGIN, SQL_REASON_TRANSACTION);
		return;
	}
	/* BEGIN NOT ATOMIC ... END. */
	sql_class_bind(scan->class, SQL_REASON_COMPOUND);
	classify_compound(scan, SQL_KIND_OTHER, SQL_REASON_COMPOUND);
}

static void classify_start(struct sql_scan *scan)
{
	if (!sql_scan_take(scan, SQL_WORD_TRANSACTION)) {
		classify_kind(scan, SQL_KIND_OTHER, SQL_REASON_ADMINISTRATION);
		return;
	}
	set_kind(scan, SQL_KIND_BEGIN, SQL_REASON_TRANSACTION);
	for (bool after_read = false; !sql_scan_at_end(scan); sql_scan_next(scan)) {
		if (after_read && sql_token_is(&scan->token, SQL_WORD_ONLY))
			scan->class->read_only = true;
		after_read = sql_token_is(&scan->token, SQL_WORD_READ);
	}
}

static void classify_use(struct sql_scan *scan)
{
	set_kind(scan, SQL_KIND_USE, SQL_REASON_USE_DATABASE);
	if (sql_token_is_name(&scan->token)) {
		scan->class->database = scan->token.text;
		sql_scan_next(scan);
	}
	sql_look_at_all(scan);
}

/* CREATE and ALTER: routines and events have bodies; temporary tables belong to the connection. */
static void classify_create(struct sql_scan *scan)
{
	for (; !sql_scan_at_end(scan); sql_scan_next(scan)) {
		switch (scan->token.word != NULL ? (enum sql_word_number)scan->token.word->number : SQL_WORD_NONE) {
		case SQL_WORD_TEMPORARY:
			classify_binding(scan, SQL_KIND_TEMPORARY_TABLE, SQL_REASON_TEMPORARY_TABLE);
			return;
		case SQL_WORD_PROCEDURE:
		case SQL_WORD_FUNCTION:
		case SQL_WORD_TRIGGER:
		case SQL_WORD_EVENT:
		case SQL_WORD_PACKAGE:
			set_kind(scan, SQL_KIND_DDL, SQL_REASON_DDL);
			while (!sql_scan_at_end(scan))
				sql_scan_next(scan);
			/* A semicolon of the body, or the next statement: who can tell without parsing it all? */
			if (sql_token_is_symbol(&scan->token, ';')) {
				sql_scan_next(scan);
				if (scan->token.kind != SQL_TOKEN_END)
					sql_class_bind(scan->class, SQL_REASON_COMPOUND);
				classify_compound(scan, SQL_KIND_DDL, SQL_REASON_DDL);
			}
			return;
		case SQL_WORD_DATABASE:
		case SQL_WORD_INDEX:
		case SQL_WORD_ROLE:
		case SQL_WORD_SCHEMA:
		case SQL_WORD_SEQUENCE:
		case SQL_WORD_TABLE:
		case SQL_WORD_USER:
		case SQL_WORD_VIEW:
			classify_kind(scan, SQL_KIND_DDL, SQL_REASON_DDL);
			return;
		default:
			break;
		}
	}
	set_kind(scan, SQL_KIND_DDL, SQL_REASON_DDL);
}

static void classify_drop(struct sql_scan *scan)
{
	if (sql_token_is(&scan->token, SQL_WORD_TEMPORARY))
		classify_kind(scan, SQL_KIND_TEMPORARY_TABLE, SQL_REASON_TEMPORARY_TABLE);
	else if (sql_token_is(&scan->token, SQL_WORD_PREPARE))
		classify_kind(scan, SQL_KIND_PREPARE, SQL_REASON_TEXT_PREPARE);
	else
		classify_kind(scan, SQL_KIND_DDL, SQL_REASON_DDL);
}

static void classify_lock(struct sql_scan *scan)
{
	if (sql_token_is(&scan->token, SQL_WORD_INSTANCE))
		classify_binding(scan, SQL_KIND_OTHER, SQL_REASON_GLOBAL_READ_LOCK);
	else
		classify_binding(scan, SQL_KIND_LOCK_TABLES, SQL_REASON_LOCK_TABLES);
}

static void classify_unlock(struct sql_scan *scan)
{
	if (!sql_token_is(&scan->token, SQL_WORD_TABLES) && !sql_token_is(&scan->token, SQL_WORD_TABLE)) {
		classify_kind(scan, SQL_KIND_OTHER, SQL_REASON_GLOBAL_READ_LOCK);
		return;
	}
	scan->class->releases = SQL_REASON_LOCK_TABLES;
	classify_kind(scan, SQL_KIND_UNLOCK_TABLES, SQL_REASON_LOCK_TABLES);
}

static void classify_load(struct sql_scan *scan)
{
	bool data = sql_token_is(&scan->token, SQL_WORD_DATA) || sql_token_is(&scan->token, SQL_WORD_XML);
	set_kind(scan, data ? SQL_KIND_WRITE : SQL_KIND_OTHER, data ? SQL_REASON_WRITES : SQL_REASON_ADMINISTRATION);
	struct sql_walk walk = {0};
	for (; !sql_scan_at_end(scan); sql_scan_next(scan)) {
		if (data && !walk.into && sql_token_is(&scan->token, SQL_WORD_LOCAL)) {
			scan->class->kind = SQL_KIND_LOAD_LOCAL;
			scan->class->reason = SQL_REASON_LOAD_LOCAL;
		}
		/* Behind INTO TABLE t (a, @b) a variable is set. */
		walk.into |= sql_token_is(&scan->token, SQL_WORD_INTO);
		sql_look_at_token(scan, &walk);
	}
}

static void classify_kill(struct sql_scan *scan)
{
	set_kind(scan, SQL_KIND_KILL, SQL_REASON_KILL);
	while (sql_scan_take(scan, SQL_WORD_HARD) || sql_scan_take(scan, SQL_WORD_SOFT) || sql_scan_take(scan, SQL_WORD_CONNECTION) ||
	       sql_scan_take(scan, SQL_WORD_QUERY))
		;
	uint64_t number;
	if (scan->token.kind == SQL_TOKEN_NUMBER && span_to_number(scan->token.text, UINT64_MAX, &number)) {
		sql_scan_next(scan);
		if (sql_scan_at_end(scan))
			scan->class->number = number;
	}
	sql_look_at_all(scan);
}

static void classify_flush(struct sql_scan *scan)
{
	set_kind(scan, SQL_KIND_FLUSH, SQL_REASON_FLUSH);
	struct sql_walk walk = {0};
	for (; !sql_scan_at_end(scan); sql_scan_next(scan)) {
		bool locks = (sql_token_is(&walk.before, SQL_WORD_READ) && sql_token_is(&scan->token, SQL_WORD_LOCK)) ||
		             (sql_token_is(&walk.before, SQL_WORD_FOR) && sql_token_is(&scan->token, SQL_WORD_EXPORT));
		if (locks)
			sql_class_bind(scan->class, SQL_REASON_GLOBAL_READ_LOCK);
		sql_look_at_token(scan, &walk);
	}
}

static void classify_xa(struct sql_scan *scan)
{
	if (sql_token_is(&scan->token, SQL_WORD_RECOVER))
		classify_kind(scan, SQL_KIND_XA, SQL_REASON_XA);
	else
		classify_binding(scan, SQL_KIND_XA, SQL_REASON_XA);
}

static void classify_by_word(struct sql_scan *scan, enum sql_word_number word);

/* SET STATEMENT a = 1 FOR SELECT ...: what stands behind FOR, with settings that only the primary is given. */
static void classify_set_statement(struct sql_scan *scan)
{
	struct sql_walk walk = {0};
	sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_SET_SPECIAL);
	for (; !sql_scan_at_end(scan) && !sql_token_is(&scan->token, SQL_WORD_FOR); sql_scan_next(scan))
		sql_look_at_token(scan, &walk);
	sql_scan_take(scan, SQL_WORD_FOR);
	enum sql_word_number word = scan->token.word != NULL ? (enum sql_word_number)scan->token.word->number : SQL_WORD_NONE;
	if (word != SQL_WORD_NONE && word != SQL_WORD_SET)
		sql_scan_next(scan);
	classify_by_word(scan, word == SQL_WORD_SET ? SQL_WORD_NONE : word);
}

/* The first word is eaten. */
static void classify_by_word(struct sql_scan *scan, enum sql_word_number word)
{
	switch (word) {
	case SQL_WORD_SELECT:
	case SQL_WORD_VALUES:
	case SQL_WORD_TABLE:
		classify_read(scan);
		break;
	case SQL_WORD_WITH:
		classify_with(scan);
		break;
	case SQL_WORD_INSERT:
	case SQL_WORD_UPDATE:
	case SQL_WORD_DELETE:
	case SQL_WORD_REPLACE:
	case SQL_WORD_MERGE:
		classify_kind(scan, SQL_KIND_WRITE, SQL_REASON_WRITES);
		break;
	case SQL_WORD_SHOW:
		classify_show(scan);
		break;
	case SQL_WORD_SET:
		if (sql_token_is(&scan->token, SQL_WORD_STATEMENT))
			classify_set_statement(scan);
		else
			sql_classify_set(scan);
		break;
	case SQL_WORD_USE:
		classify_use(scan);
		break;
	case SQL_WORD_EXPLAIN:
	case SQL_WORD_DESCRIBE:
	case SQL_WORD_DESC:
		classify_explain(scan, sql_token_is(&scan->token, SQL_WORD_ANALYZE));
		break;
	case SQL_WORD_ANALYZE:
		classify_analyze(scan);
		break;
	case SQL_WORD_BEGIN:
		classify_begin(scan);
		break;
	case SQL_WORD_START:
		classify_start(scan);
		break;
	case SQL_WORD_COMMIT:
		classify_kind(scan, SQL_KIND_COMMIT, SQL_REASON_TRANSACTION);
		break;
	case SQL_WORD_ROLLBACK:
		classify_kind(scan, SQL_KIND_ROLLBACK, SQL_REASON_TRANSACTION);
		break;
	case SQL_WORD_SAVEPOINT:
	case SQL_WORD_RELEASE:
		classify_kind(scan, SQL_KIND_SAVEPOINT, SQL_REASON_TRANSACTION);
		break;
	case SQL_WORD_CREATE:
		classify_create(scan);
		break;
	case SQL_WORD_ALTER:
		if (sql_token_is(&scan->token, SQL_WORD_EVENT) || sql_token_is(&scan->token, SQL_WORD_DEFAULT))
			classify_create(scan);
		else
			classify_kind(scan, SQL_KIND_DDL, SQL_REASON_DDL);
		break;
	case SQL_WORD_DROP:
		classify_drop(scan);
		break;
	case SQL_WORD_GRANT:
	case SQL_WORD_RENAME:
	case SQL_WORD_REVOKE:
	case SQL_WORD_TRUNCATE:
		classify_kind(scan, SQL_KIND_DDL, SQL_REASON_DDL);
		break;
	case SQL_WORD_LOCK:
		classify_lock(scan);
		break;
	case SQL_WORD_UNLOCK:
		classify_unlock(scan);
		break;
	case SQL_WORD_PREPARE:
	case SQL_WORD_EXECUTE:
		classify_binding(scan, SQL_KIND_PREPARE, SQL_REASON_TEXT_PREPARE);
		break;
	case SQL_WORD_DEALLOCATE:
		classify_kind(scan, SQL_KIND_PREPARE, SQL_REASON_TEXT_PREPARE);
		break;
	case SQL_WORD_CALL:
		classify_binding(scan, SQL_KIND_CALL, SQL_REASON_CALL);
		break;
	case SQL_WORD_DO:
		classify_kind(scan, SQL_KIND_DO, SQL_REASON_DO);
		break;
	case SQL_WORD_HANDLER:
		classify_binding(scan, SQL_KIND_HANDLER, SQL_REASON_HANDLER);
		break;
	case SQL_WORD_LOAD:
		classify_load(scan);
		break;
	case SQL_WORD_KILL:
		classify_kill(scan);
		break;
	case SQL_WORD_XA:
		classify_xa(scan);
		break;
	case SQL_WORD_FLUSH:
	case SQL_WORD_RESET:
		classify_flush(scan);
		break;
	case SQL_WORD_BACKUP:
		classify_binding(scan, SQL_KIND_OTHER, SQL_REASON_GLOBAL_READ_LOCK);
		break;
	case SQL_WORD_BINLOG:
		classify_binding(scan, SQL_KIND_OTHER, SQL_REASON_SET_SPECIAL);
		break;
	case SQL_WORD_GET:
		/* GET DIAGNOSTICS @x = ...: depends on what went before, and sets variables. */
		classify_binding(scan, SQL_KIND_OTHER, SQL_REASON_USER_VARIABLE_SET);
		break;
	case SQL_WORD_CASE:
	case SQL_WORD_DECLARE:
	case SQL_WORD_FOR:
	case SQL_WORD_IF:
	case SQL_WORD_LOOP:
	case SQL_WORD_REPEAT:
	case SQL_WORD_WHILE:
		sql_class_bind(scan->class, SQL_REASON_COMPOUND);
		classify_compound(scan, SQL_KIND_OTHER, SQL_REASON_COMPOUND);
		break;
	case SQL_WORD_CACHE:
	case SQL_WORD_CHANGE:
	case SQL_WORD_CHECK:
	case SQL_WORD_CHECKSUM:
	case SQL_WORD_CLONE:
	case SQL_WORD_HELP:
	case SQL_WORD_IMPORT:
	case SQL_WORD_INSTALL:
	case SQL_WORD_OPTIMIZE:
	case SQL_WORD_PURGE:
	case SQL_WORD_REPAIR:
	case SQL_WORD_RESIGNAL:
	case SQL_WORD_RESTART:
	case SQL_WORD_SHUTDOWN:
	case SQL_WORD_SIGNAL:
	case SQL_WORD_STOP:
	case SQL_WORD_UNINSTALL:
		classify_kind(scan, SQL_KIND_OTHER, SQL_REASON_ADMINISTRATION);
		break;
	default:
		classify_binding(scan, SQL_KIND_OTHER, SQL_REASON_UNKNOWN);
		break;
	}
}

/* ---- the text ------------------------------------------------------------------------------------------------- */

/* One statement, up to its semicolon or end. */
static void classify_one(struct sql_scan *scan)
{
	struct sql_class *class = scan->class;
	*class = (struct sql_class){.kind = SQL_KIND_OTHER, .route = SQL_ROUTE_READ, .autocommit = -1};
	if (sql_token_is_symbol(&scan->token, '(')) {
		/* A query in parentheses; anything else in them is an error. */
		classify_read(scan);
		return;
	}
	enum sql_word_number word = scan->token.word != NULL ? (enum sql_word_number)scan->token.word->number : SQL_WORD_NONE;
	if (word != SQL_WORD_NONE)
		sql_scan_next(scan);
	classify_by_word(scan, word);
}

/* What one of several statements leaves behind. */
static enum sql_reason state_left(const struct sql_class *class)
{
	if (class->binds != SQL_REASON_NONE)
		return class->binds;
	switch (class->kind) {
	case SQL_KIND_SET_SESSION:
	case SQL_KIND_SET_AUTOCOMMIT:
	case SQL_KIND_USE:
		return SQL_REASON_MANY_WITH_STATE;
	default:
		return SQL_REASON_NONE;
	}
}

/* A semicolon was met and something follows it: `first` is what went before. */
static void classify_many(struct sql_scan *scan, struct sql_class *first)
{
	struct sql_class part, sum = {
	                           .kind = SQL_KIND_MANY,
	                           .route = SQL_ROUTE_PRIMARY,
	                           .reason = SQL_REASON_MANY,
	                           .binds = state_left(first),
	                           .autocommit = -1,
	                       };
	scan->class = &part;
	while (scan->token.kind != SQL_TOKEN_END && scan->token.kind != SQL_TOKEN_BROKEN) {
		classify_one(scan);
		sql_class_bind(&sum, state_left(&part));
		while (sql_token_is_symbol(&scan->token, ';'))
			sql_scan_next(scan);
	}
	*first = sum;
	scan->class = first;
}

/* The text cannot be trusted to be what it seems: to the primary, and the session stays there, because what it set is
 * not known. */
static void distrust(struct sql_class *class, enum sql_reason reason)
{
	if (class->kind != SQL_KIND_MANY)
		class->kind = SQL_KIND_OTHER;
	class->route = SQL_ROUTE_PRIMARY;
	class->reason = reason;
	class->settings = class->database = (struct span){0};
	class->autocommit = -1;
	class->read_only = false;
	class->releases = SQL_REASON_NONE;
	sql_class_bind(class, reason);
}

static bool has_high_bytes(struct span text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((uint8_t)text.start[i] >= 0x80)
			return true;
	return false;
}

void sql_classify(struct span text, unsigned mode, struct sql_class *out)
{
	struct sql_scan scan;
	sql_scan_begin(&scan, out, text, mode);
	if (scan.token.kind == SQL_TOKEN_END) {
		*out = (struct sql_class){
		    .kind = SQL_KIND_EMPTY,
		    .route = SQL_ROUTE_PRIMARY,
		    .reason = SQL_REASON_EMPTY,
		    .autocommit = -1,
		};
		return;
	}
	classify_one(&scan);
	while (sql_token_is_symbol(&scan.token, ';'))
		sql_scan_next(&scan);
	if (UNLIKELY(scan.token.kind != SQL_TOKEN_END && scan.token.kind != SQL_TOKEN_BROKEN))
		classify_many(&scan, out);
	out->in_version_comment = scan.lexer.version_marks > 0 && !scan.lexer.uncertain;
	if (UNLIKELY(scan.token.kind == SQL_TOKEN_BROKEN))
		distrust(out, SQL_REASON_BROKEN);
	else if (UNLIKELY(scan.lexer.uncertain))
		distrust(out, SQL_REASON_VERSION_COMMENT);
	else if (UNLIKELY((mode & SQL_UNSAFE_CHARSET) && has_high_bytes(text)))
		distrust(out, SQL_REASON_CHARSET);
}
