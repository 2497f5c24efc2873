/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SET statements: which of them only change settings that can be repeated on another connection, and what they set.
 * Pure; called by classify.c, and by command.c to record what was set, in traffic threads.
 */
#include "sql/classify_private.h"

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Settings that have no meaning on another connection, that differ between servers on purpose, or that noah uses itself.
 * A star at the end stands for anything. */
static const char *const special_names[] = {
    "binlog_*",
    "debug*",
    "default_master_connection",
    "error_count",
    "gtid_*",
    "identity",
    "insert_id",
    "last_gtid",
    "last_insert_id",
    "password",
    "pseudo_*",
    "proxy_*",
    "rand_seed*",
    "server_id",
    "session_track_*",
    "skip_parallel_replication",
    "skip_replication",
    "sql_log_bin",
    "sql_log_off",
    "timestamp",
    "warning_count",
    "wsrep_*",
};

/* With @@ but without a scope these are for the next transaction only. */
static const char *const transaction_names[] = {
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
};

static bool name_is_among(struct span name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct span known = span_of_text(names[i]);
		if (known.start[known.size - 1] == '*') {
			known.size--;
			if (name.size > known.size && span_equal_nocase(span_of(name.start, known.size), known))
				return true;
		} else if (span_equal_nocase(name, known)) {
			return true;
		}
	}
	return false;
}

/* ---- one assignment ------------------------------------------------------------------------------------------- */

enum scope {
	SCOPE_NONE, /* as if SESSION, but not quite: see transaction_names */
	SCOPE_SESSION,
	SCOPE_GLOBAL,
};

enum piece_kind {
	PIECE_BROKEN, /* not understood */
	PIECE_REPLAYABLE,
	PIECE_USER_VARIABLE,
	PIECE_GLOBAL,
	PIECE_SPECIAL,
	PIECE_EXPRESSION,
	PIECE_NEXT_TRANSACTION,
};

struct piece {
	enum piece_kind kind;
	struct sql_setting setting;
};

static struct span span_between(struct span first, struct span last)
{
	return span_of(first.start, (size_t)(last.start + last.size - first.start));
}

static bool at_piece_end(const struct sql_scan *scan)
{
	return sql_scan_at_end(scan) || sql_token_is_symbol(&scan->token, ',');
}

/* Eats up to the comma or end that closes the piece; parentheses may hold commas. */
static void skip_piece(struct sql_scan *scan)
{
	unsigned depth = 0;
	while (!sql_scan_at_end(scan) && (depth > 0 || !sql_token_is_symbol(&scan->token, ','))) {
		if (sql_token_is_symbol(&scan->token, '('))
			depth++;
		else if (sql_token_is_symbol(&scan->token, ')') && depth > 0)
			depth--;
		sql_scan_next(scan);
	}
}

/* A literal: a number with or without a sign, one text, or one word (ON, utf8mb4, DEFAULT). Gives its text. */
static bool read_literal(struct sql_scan *scan, struct span *value)
{
	struct span first = scan->token.text;
	bool has_sign = sql_token_is_symbol(&scan->token, '-') || sql_token_is_symbol(&scan->token, '+');
	if (has_sign)
		sql_scan_next(scan);
	bool good = scan->token.kind == SQL_TOKEN_NUMBER ||
	            (!has_sign && (scan->token.kind == SQL_TOKEN_STRING || scan->token.kind == SQL_TOKEN_WORD));
	if (!good)
		return false;
	*value = span_between(first, scan->token.text);
	sql_scan_next(scan);
	return at_piece_end(scan);
}

/* NAMES x COLLATE y, CHARACTER SET x: the scan stands behind these words. */
static void read_charset(struct sql_scan *scan, struct piece *piece, struct span first, struct span name)
{
	struct span begin = scan->token.text, last = begin;
	unsigned words = 0;
	piece->kind = PIECE_REPLAYABLE;
	for (; !at_piece_end(scan); words++) {
		bool is_collate = words == 1 && sql_token_is(&scan->token, SQL_WORD_COLLATE);
		bool is_name = words % 2 == 0 && (scan->token.kind == SQL_TOKEN_WORD || scan->token.kind == SQL_TOKEN_STRING);
		if (!is_collate && !is_name)
			piece->kind = PIECE_EXPRESSION;
		last = scan->token.text;
		sql_scan_next(scan);
	}
	if (words != 1 && words != 3 && piece->kind == PIECE_REPLAYABLE)
		piece->kind = PIECE_BROKEN;
	piece->setting = (struct sql_setting){.name = name, .value = span_between(begin, last), .text = span_between(first, last)};
}

/* TRANSACTION ...: everything up to the end belongs to it. */
static void read_transaction(struct sql_scan *scan, struct piece *piece, struct span first, enum scope scope)
{
	struct span begin = scan->token.text, last = begin;
	bool plain = !sql_scan_at_end(scan), isolation = false, access = false;
	for (; !sql_scan_at_end(scan); sql_scan_next(scan)) {
		isolation |= span_equal_nocase(scan->token.text, SPAN("isolation"));
		access |= span_equal_nocase(scan->token.text, SPAN("only")) || span_equal_nocase(scan->token.text, SPAN("write"));
		plain &= scan->token.kind == SQL_TOKEN_WORD || sql_token_is_symbol(&scan->token, ',');
		last = scan->token.text;
	}
	piece->kind = scope == SCOPE_GLOBAL    ? PIECE_GLOBAL
	              : !plain                 ? PIECE_BROKEN
	              : scope == SCOPE_SESSION ? PIECE_REPLAYABLE
	                                       : PIECE_NEXT_TRANSACTION;
	piece->setting = (struct sql_setting){
	    /* Two settings: one does not undo the other. */
	    .name = isolation == access ? SPAN("transaction")
	            : isolation         ? SPAN("transaction isolation")
	                                : SPAN("transaction access"),
	    .value = span_between(begin, last),
	    .text = span_between(first, last),
	    .alone = true,
	};
}

/* Takes the scope off "@@session.x"; `@@x` has none. */
static enum scope cut_scope(struct span *name)
{
	*name = span_of(name->start + 2, name->size - 2);
	struct span rest = *name;
	struct span first = span_cut(&rest, '.');
	if (rest.start == NULL)
		return SCOPE_NONE;
	if (span_equal_nocase(first, SPAN("session")) || span_equal_nocase(first, SPAN("local"))) {
		*name = rest;
		return SCOPE_SESSION;
	}
	return SCOPE_GLOBAL; /* global, persist, or the parts of a structured variable, which are all global */
}

static void unquote_plainly(struct span *name)
{
	if (name->size >= 2 && (name->start[0] == '`' || name->start[0] == '"'))
		*name = span_of(name->start + 1, name->size - 2);
}

/* name = literal; the scan stands at the name. */
static void read_assignment(struct sql_scan *scan, struct piece *piece, enum scope scope)
{
	struct span first = scan->token.text, name = first;
	bool with_at = scan->token.kind == SQL_TOKEN_SYSTEM_VARIABLE;
	if (with_at)
		scope = cut_scope(&name);
	unquote_plainly(&name);
	sql_scan_next(scan);
	if (!sql_token_is_symbol(&scan->token, '=') && !sql_token_is_symbol(&scan->token, SQL_SYMBOL_ASSIGN)) {
		piece->kind = PIECE_BROKEN;
		return;
	}
	sql_scan_next(scan);
	struct span value;
	if (scope == SCOPE_GLOBAL)
		piece->kind = PIECE_GLOBAL;
	else if (name_is_among(name, special_names, COUNT_OF(special_names)))
		piece->kind = PIECE_SPECIAL;
	else if (with_at && scope == SCOPE_NONE && name_is_among(name, transaction_names, COUNT_OF(transaction_names)))
		piece->kind = PIECE_NEXT_TRANSACTION;
	else if (read_literal(scan, &value))
		piece->kind = PIECE_REPLAYABLE;
	else
		piece->kind = PIECE_EXPRESSION;
	if (piece->kind == PIECE_REPLAYABLE)
		piece->setting = (struct sql_setting){.name = name, .value = value, .text = span_between(first, value)};
}

/* One piece of a SET up to its comma, which is not eaten. `scope` is what a keyword said for this and later pieces. */
static void read_piece(struct sql_scan *scan, struct piece *piece, enum scope *scope, bool is_first)
{
	*piece = (struct piece){.kind = PIECE_BROKEN};
	struct span first = scan->token.text;
	if (sql_scan_take(scan, SQL_WORD_GLOBAL) || sql_scan_take(scan, SQL_WORD_PERSIST) ||
	    sql_scan_take(scan, SQL_WORD_PERSIST_ONLY))
		*scope = SCOPE_GLOBAL;
	else if (sql_scan_take(scan, SQL_WORD_SESSION) || sql_scan_take(scan, SQL_WORD_LOCAL))
		*scope = SCOPE_SESSION;

	if (scan->token.kind == SQL_TOKEN_USER_VARIABLE) {
		piece->kind = PIECE_USER_VARIABLE;
	} else if (is_first && sql_scan_take(scan, SQL_WORD_TRANSACTION)) {
		read_transaction(scan, piece, first, *scope);
	} else if (sql_scan_take(scan, SQL_WORD_NAMES)) {
		read_charset(scan, piece, first, SPAN("names"));
	} else if (sql_scan_take(scan, SQL_WORD_CHARSET)) {
		read_charset(scan, piece, first, SPAN("character set"));
	} else if (sql_scan_take(scan, SQL_WORD_CHARACTER)) {
		if (sql_scan_take(scan, SQL_WORD_SET))
			read_charset(scan, piece, first, SPAN("character set"));
	} else if (scan->token.kind == SQL_TOKEN_WORD || scan->token.kind == SQL_TOKEN_QUOTED_NAME ||
	           scan->token.kind == SQL_TOKEN_SYSTEM_VARIABLE) {
		read_assignment(scan, piece, *scope);
	}
	if (!at_piece_end(scan)) {
		/* PASSWORD, ROLE, STATEMENT ... FOR, NEW.x, and what later versions may bring. */
		if (piece->kind == PIECE_REPLAYABLE)
			piece->kind = PIECE_BROKEN;
		skip_piece(scan);
	}
}

/* ---- the statement -------------------------------------------------------------------------------------------- */

/* ON, 'on', 1, TRUE and their opposites; -1 for anything else. */
static int8_t autocommit_value(struct span value)
{
	static const char *const on[] = {"1", "on", "true", "'on'", "\"on\"", "'1'", "\"1\""};
	static const char *const off[] = {"0", "off", "false", "'off'", "\"off\"", "'0'", "\"0\""};
	for (size_t i = 0; i < COUNT_OF(on); i++) {
		if (span_equal_nocase(value, span_of_text(on[i])))
			return 1;
		if (span_equal_nocase(value, span_of_text(off[i])))
			return 0;
	}
	return -1;
}

/* What the pieces seen so far make of the statement. */
struct summary {
	unsigned pieces;
	unsigned autocommits;
	unsigned globals;
	enum sql_reason obstacle; /* the first thing that cannot be replayed */
};

static enum sql_reason obstacle_of(const struct piece *piece)
{
	switch (piece->kind) {
	case PIECE_USER_VARIABLE:
		return SQL_REASON_USER_VARIABLE_SET;
	case PIECE_EXPRESSION:
		return SQL_REASON_SET_EXPRESSION;
	case PIECE_NEXT_TRANSACTION:
		return SQL_REASON_SET_NEXT_TRANSACTION;
	case PIECE_SPECIAL:
	case PIECE_BROKEN:
		return SQL_REASON_SET_SPECIAL;
	case PIECE_REPLAYABLE:
	case PIECE_GLOBAL:
		break;
	}
	return SQL_REASON_NONE;
}

static void add_piece(struct summary *summary, struct sql_class *class, const struct piece *piece)
{
	enum sql_reason obstacle = obstacle_of(piece);
	summary->pieces++;
	summary->globals += piece->kind == PIECE_GLOBAL;
	if (piece->kind == PIECE_REPLAYABLE && span_equal_nocase(piece->setting.name, SPAN("autocommit"))) {
		summary->autocommits++;
		class->autocommit = autocommit_value(piece->setting.value);
		if (class->autocommit < 0)
			obstacle = SQL_REASON_SET_EXPRESSION;
	}
	if (summary->obstacle == SQL_REASON_NONE)
		summary->obstacle = obstacle;
}

static void conclude(struct summary *summary, struct sql_class *class, struct span settings)
{
	class->kind = SQL_KIND_SET_OTHER;
	if (summary->globals == summary->pieces) {
		class->reason = SQL_REASON_SET_GLOBAL;
		return;
	}
	if (summary->obstacle == SQL_REASON_NONE && summary->globals > 0)
		summary->obstacle = SQL_REASON_SET_SPECIAL; /* the session's part would have to be cut out */
	if (summary->obstacle != SQL_REASON_NONE) {
		class->reason = summary->obstacle;
		sql_class_bind(class, summary->obstacle);
		return;
	}
	class->kind = summary->autocommits == summary->pieces ? SQL_KIND_SET_AUTOCOMMIT : SQL_KIND_SET_SESSION;
	class->reason = SQL_REASON_SESSION_SETTING;
	class->settings = settings;
}

void sql_classify_set(struct sql_scan *scan)
{
	struct sql_class *class = scan->class;
	class->route = SQL_ROUTE_PRIMARY;
	struct summary summary = {0};
	enum scope scope = SCOPE_NONE;
	const char *begin = scan->token.text.start;
	uint32_t marks = scan->lexer.version_marks;
	while (true) {
		struct piece piece;
		read_piece(scan, &piece, &scope, summary.pieces == 0);
		add_piece(&summary, class, &piece);
		if (!sql_token_is_symbol(&scan->token, ','))
			break;
		sql_scan_next(scan);
	}
	/* An executable comment begins or ends among the pieces: they cannot be taken apart again. */
	if (scan->marks_before != marks && summary.obstacle == SQL_REASON_NONE)
		summary.obstacle = SQL_REASON_SET_SPECIAL;
	conclude(&summary, class, span_of(begin, (size_t)(scan->eaten - begin)));
}

bool sql_setting_next(struct sql_setting_walk *walk, struct sql_setting *out)
{
	struct sql_class unused = {0};
	struct sql_scan scan;
	sql_scan_begin(&scan, &unused, walk->rest, walk->mode);
	if (sql_scan_at_end(&scan))
		return false;
	struct piece piece;
	enum scope scope = SCOPE_NONE;
	read_piece(&scan, &piece, &scope, true);
	if (piece.kind != PIECE_REPLAYABLE)
		return false;
	*out = piece.setting;
	if (sql_token_is_symbol(&scan.token, ','))
		sql_scan_next(&scan);
	const char *end = walk->rest.start + walk->rest.size;
	walk->rest = span_of(scan.token.text.start, (size_t)(end - scan.token.text.start));
	return true;
}
