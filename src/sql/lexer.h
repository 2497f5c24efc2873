/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sql/lexer: SQL text as MariaDB and MySQL read it, one token after the other. Used inside sql/ only (classify.c,
 * settings.c). Pure, allocates nothing, looks at every byte once; any thread.
 */
#ifndef NOAH_SQL_LEXER_H
#define NOAH_SQL_LEXER_H

#include "base/base.h"
#include "sql/words.h"

enum sql_token_kind {
	SQL_TOKEN_END,
	SQL_TOKEN_WORD,            /* keyword, name or function, not quoted: `word` when the table knows it */
	SQL_TOKEN_QUOTED_NAME,     /* `x`, or "x" with ANSI_QUOTES; text has the quotes */
	SQL_TOKEN_STRING,          /* '...', "...", N'...', x'...', b'...' */
	SQL_TOKEN_NUMBER,          /* 12, 0x1F, 1e5; signs and points are operators */
	SQL_TOKEN_USER_VARIABLE,   /* @x, @'x', @`x` */
	SQL_TOKEN_SYSTEM_VARIABLE, /* @@x, @@session.x */
	SQL_TOKEN_PLACEHOLDER,     /* ? */
	SQL_TOKEN_OPERATOR,        /* one character: `symbol`; := is SQL_SYMBOL_ASSIGN */
	SQL_TOKEN_BROKEN,          /* unfinished string or comment, or a character that is not SQL: nothing follows */
};

#define SQL_SYMBOL_ASSIGN 0x80

struct sql_token {
	enum sql_token_kind kind;
	uint8_t symbol;
	bool blank_before; /* blanks or a comment stand directly before it */
	const struct sql_word *word;
	struct span text;
};

struct sql_lexer {
	const uint8_t *next;
	const uint8_t *end;
	unsigned mode;          /* enum sql_text_mode */
	bool in_version;        /* inside an executable comment, whose text counts */
	bool uncertain;         /* there was one that not every supported server executes */
	uint32_t version_marks; /* beginnings and ends of executable comments so far */
};

void sql_lexer_init(struct sql_lexer *lexer, struct span text, unsigned mode);
/* After END or BROKEN it gives the same again. */
void sql_lexer_next(struct sql_lexer *lexer, struct sql_token *token);

static inline bool sql_token_is(const struct sql_token *token, enum sql_word_number word)
{
	return token->word != NULL && token->word->number == word;
}

static inline bool sql_token_is_symbol(const struct sql_token *token, uint8_t symbol)
{
	return token->kind == SQL_TOKEN_OPERATOR && token->symbol == symbol;
}

#endif
