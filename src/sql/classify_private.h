/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What classify.c, look.c and settings.c share: the state of one classification.
 */
#ifndef NOAH_SQL_CLASSIFY_PRIVATE_H
#define NOAH_SQL_CLASSIFY_PRIVATE_H

#include "sql/classify.h"
#include "sql/lexer.h"

/* One statement under way: `token` is the first that was not dealt with yet. */
struct sql_scan {
	struct sql_lexer lexer;
	struct sql_token token;
	struct sql_class *class;
	const char *eaten;     /* end of the token before */
	uint32_t marks_before; /* lexer.version_marks when that was read */
};

static inline void sql_scan_next(struct sql_scan *scan)
{
	scan->eaten = scan->token.text.start + scan->token.text.size;
	scan->marks_before = scan->lexer.version_marks;
	sql_lexer_next(&scan->lexer, &scan->token);
}

/* At the first token of the text. */
static inline void sql_scan_begin(struct sql_scan *scan, struct sql_class *class, struct span text, unsigned mode)
{
	*scan = (struct sql_scan){ .class = class };
	sql_lexer_init(&scan->lexer, text, mode);
	scan->token.text = span_of(scan->lexer.next, 0);
	sql_scan_next(scan);
}

/* True at the end of a statement: end of text, semicolon, or nothing more that can be understood. */
static inline bool sql_scan_at_end(const struct sql_scan *scan)
{
	return scan->token.kind == SQL_TOKEN_END || scan->token.kind == SQL_TOKEN_BROKEN || sql_token_is_symbol(&scan->token, ';');
}

/* Eats the word if it stands here. */
static inline bool sql_scan_take(struct sql_scan *scan, enum sql_word_number word)
{
	if (!sql_token_is(&scan->token, word))
		return false;
	sql_scan_next(scan);
	return true;
}

/* The statement may not run just anywhere. The widest route wins; of equal ones the first reason, unless that is harmless. */
static inline void sql_class_restrict(struct sql_class *class, enum sql_route route, enum sql_reason reason)
{
	if (route > class->route ||
	    (route == class->route && sql_reason_is_harmless(class->reason) && !sql_reason_is_harmless(reason))) {
		class->route = route;
		class->reason = reason;
	}
}

static inline void sql_class_bind(struct sql_class *class, enum sql_reason reason)
{
	if (class->binds == SQL_REASON_NONE)
		class->binds = reason;
}

/* ---- look.c ---------------------------------------------------------------------------------------------------- */

/* What has to be remembered between the tokens of one statement. */
struct sql_walk {
	struct sql_token before; /* the token before this one */
	bool before_after_dot;   /* and a dot stood before that: it is the second part of a name */
	bool in_with_list;       /* in WITH a AS (...), b AS (...), before the statement proper */
	bool into;               /* behind the INTO of a query or of LOAD DATA: variables are set */
	bool locks;              /* the token before was the UPDATE of FOR UPDATE */
	bool system_dot;         /* behind "information_schema." */
	unsigned depth;          /* of parentheses */
};

static inline bool sql_token_is_name(const struct sql_token *token)
{
	return token->kind == SQL_TOKEN_WORD || token->kind == SQL_TOKEN_QUOTED_NAME;
}

/* Looks at the token that stands now; the caller moves on. */
void sql_look_at_token(struct sql_scan *scan, struct sql_walk *walk);
/* Looks at all tokens up to the end of the statement, the one that stands now included. */
void sql_look_at_rest(struct sql_scan *scan, struct sql_walk *walk);
/* The same with a fresh walk. */
void sql_look_at_all(struct sql_scan *scan);

/* ---- settings.c ------------------------------------------------------------------------------------------------ */

/* The statement after the word SET, up to its end. */
void sql_classify_set(struct sql_scan *scan);

#endif
