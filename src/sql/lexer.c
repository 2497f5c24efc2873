/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The SQL lexer: where strings, comments and words begin and end, exactly as the servers' own lexers see it (MariaDB 10.11
 * sql_lex.cc, MySQL 8.0 sql_lex.cc). Runs in traffic threads for every statement; called by classify.c and settings.c.
 */
#include "sql/lexer.h"

#include "sql/classify.h"

/* What a byte can begin. */
enum byte_class {
	BYTE_BAD,
	BYTE_BLANK,
	BYTE_LETTER,
	BYTE_DIGIT,
	BYTE_QUOTE,
	BYTE_BACKTICK,
	BYTE_AT,
	BYTE_COLON,
	BYTE_PLACEHOLDER,
	BYTE_OPERATOR,
	BYTE_DASH,
	BYTE_HASH,
	BYTE_SLASH,
	BYTE_STAR,
};

static const uint8_t byte_classes[256] = {
    ['\t' ... '\r'] = BYTE_BLANK,
    [' '] = BYTE_BLANK,
    ['a' ... 'z'] = BYTE_LETTER,
    ['A' ... 'Z'] = BYTE_LETTER,
    ['_'] = BYTE_LETTER,
    ['$'] = BYTE_LETTER,
    [0x80 ... 0xFF] = BYTE_LETTER,
    ['0' ... '9'] = BYTE_DIGIT,
    ['\''] = BYTE_QUOTE,
    ['"'] = BYTE_QUOTE,
    ['`'] = BYTE_BACKTICK,
    ['@'] = BYTE_AT,
    [':'] = BYTE_COLON,
    ['?'] = BYTE_PLACEHOLDER,
    ['-'] = BYTE_DASH,
    ['#'] = BYTE_HASH,
    ['/'] = BYTE_SLASH,
    ['*'] = BYTE_STAR,
    ['!'] = BYTE_OPERATOR,
    ['%'] = BYTE_OPERATOR,
    ['&'] = BYTE_OPERATOR,
    ['('] = BYTE_OPERATOR,
    [')'] = BYTE_OPERATOR,
    ['+'] = BYTE_OPERATOR,
    [','] = BYTE_OPERATOR,
    ['.'] = BYTE_OPERATOR,
    [';'] = BYTE_OPERATOR,
    ['<'] = BYTE_OPERATOR,
    ['='] = BYTE_OPERATOR,
    ['>'] = BYTE_OPERATOR,
    ['['] = BYTE_OPERATOR,
    ['\\'] = BYTE_OPERATOR,
    [']'] = BYTE_OPERATOR,
    ['^'] = BYTE_OPERATOR,
    ['{'] = BYTE_OPERATOR,
    ['|'] = BYTE_OPERATOR,
    ['}'] = BYTE_OPERATOR,
    ['~'] = BYTE_OPERATOR,
};

/* Every supported server (MySQL 8.0 and later, MariaDB 10.11 and later) executes comments up to this version. MariaDB
 * skips 50700 to 50999 as MySQL's alone, and what is larger depends on the server. */
#define VERSION_CERTAIN 50699

void sql_lexer_init(struct sql_lexer *lexer, struct span text, unsigned mode)
{
	const uint8_t *start = (const uint8_t *)(text.start != NULL ? text.start : "");
	*lexer = (struct sql_lexer){.next = start, .end = start + text.size, .mode = mode};
}

static void finish(struct sql_lexer *lexer, struct sql_token *token, enum sql_token_kind kind, const uint8_t *start,
                   const uint8_t *end)
{
	token->kind = kind;
	token->text = span_of(start, (size_t)(end - start));
	lexer->next = end;
}

/* Nothing after this place can be trusted; the place is kept, so that the next call says the same. */
static void break_off(struct sql_lexer *lexer, struct sql_token *token, const uint8_t *start)
{
	token->kind = SQL_TOKEN_BROKEN;
	token->text = span_of(start, (size_t)(lexer->end - start));
	lexer->next = start;
}

/* ---- comments ------------------------------------------------------------------------------------------------- */

static const uint8_t *skip_line(const uint8_t *next, const uint8_t *end)
{
	const uint8_t *newline = memchr(next, '\n', (size_t)(end - next));
	return newline != NULL ? newline + 1 : end;
}

/* `next` stands at "/" of "/" "*". Returns behind the comment, or behind the opening of an executable one; NULL when it
 * does not end. */
static const uint8_t *open_comment(struct sql_lexer *lexer, const uint8_t *next)
{
	const uint8_t *end = lexer->end;
	bool mariadb = end - next >= 4 && next[2] == 'M' && next[3] == '!';
	if (!mariadb && !(end - next >= 3 && next[2] == '!')) {
		const uint8_t *close = next + 2 <= end ? memmem(next + 2, (size_t)(end - next) - 2, "*/", 2) : NULL;
		return close != NULL ? close + 2 : NULL;
	}
	if (lexer->in_version)
		return NULL; /* servers disagree about these */
	next += mariadb ? 4 : 3;
	const uint8_t *digits = next;
	uint32_t version = 0;
	while (next < end && *next >= '0' && *next <= '9' && next - digits < 7)
		version = version * 10 + (uint32_t)(*next++ - '0');
	/* Fewer than five digits are no version but part of the text; MySQL reads five or six, and so does MariaDB. */
	if (next - digits < 5) {
		next = digits;
		version = 0;
	} else if (next - digits > 5) {
		version = UINT32_MAX;
	}
	if (mariadb || version > VERSION_CERTAIN)
		lexer->uncertain = true;
	lexer->in_version = true;
	lexer->version_marks++;
	return next;
}

/* ---- quotes --------------------------------------------------------------------------------------------------- */

#define ONES           UINT64_C(0x0101010101010101)
#define HIGHS          UINT64_C(0x8080808080808080)
#define HAS_ZERO(word) (((word)-ONES) & ~(word)&HIGHS)

/* The first `quote` or backslash at or after `next`, or `end`: eight bytes at a time, because texts can be megabytes. */
static const uint8_t *find_quote_or_backslash(const uint8_t *next, const uint8_t *end, uint8_t quote)
{
	while (end - next >= 8) {
		uint64_t word;
		memcpy(&word, next, 8);
		if (HAS_ZERO(word ^ (ONES * quote)) | HAS_ZERO(word ^ (ONES * '\\')))
			break;
		next += 8;
	}
	while (next < end && *next != quote && *next != '\\')
		next++;
	return next;
}

/* `next` stands behind the opening quote. Returns behind the closing one, or NULL. */
static const uint8_t *skip_quoted(const uint8_t *next, const uint8_t *end, uint8_t quote, bool escapes)
{
	while (true) {
		next = find_quote_or_backslash(next, end, quote);
		if (next == end)
			return NULL;
		if (*next == '\\') {
			next += escapes ? 2 : 1;
			if (next > end)
				return NULL;
		} else if (end - next >= 2 && next[1] == quote) {
			next += 2;
		} else {
			return next + 1;
		}
	}
}

static void read_quoted(struct sql_lexer *lexer, struct sql_token *token, const uint8_t *start, const uint8_t *opening)
{
	uint8_t quote = *opening;
	bool is_name = quote == '`' || (quote == '"' && (lexer->mode & SQL_ANSI_QUOTES));
	bool escapes = !is_name && !(lexer->mode & SQL_NO_BACKSLASH_ESCAPES);
	const uint8_t *after = skip_quoted(opening + 1, lexer->end, quote, escapes);
	if (after == NULL) {
		break_off(lexer, token, start);
		return;
	}
	finish(lexer, token, is_name ? SQL_TOKEN_QUOTED_NAME : SQL_TOKEN_STRING, start, after);
}

/* ---- words, numbers, variables -------------------------------------------------------------------------------- */

static void read_word(struct sql_lexer *lexer, struct sql_token *token, const uint8_t *start)
{
	const uint8_t *next = start, *end = lexer->end;
	uint32_t hash = SQL_WORD_HASH_START;
	bool high = false;
	for (; next < end; next++) {
		uint8_t folded = sql_word_fold[*next];
		if (folded == 0)
			break;
		hash = sql_word_hash(hash, folded);
		high |= folded >= 0x80;
	}
	size_t size = (size_t)(next - start);
	if (size == 1 && next < end && *next == '\'' && strchr("nNxXbB", *start) != NULL) {
		read_quoted(lexer, token, start, next);
		return;
	}
	/* MySQL 9 quotes with $$. And a lone 0xA0 is no UTF-8, but in latin1 it is a blank. */
	bool doubtful = size >= 2 && start[0] == '$' && start[1] == '$';
	for (const uint8_t *at = start; high && at < next; at++)
		doubtful |= *at == 0xA0 && (at == start || at[-1] < 0x80);
	if (doubtful) {
		break_off(lexer, token, start);
		return;
	}
	finish(lexer, token, SQL_TOKEN_WORD, start, next);
	token->word = sql_word_find(token->text, hash);
}

static bool is_plain_number(const uint8_t *start, const uint8_t *end)
{
	if (end - start > 2 && start[0] == '0' && (start[1] == 'x' || start[1] == 'b'))
		return true;
	while (start < end && *start >= '0' && *start <= '9')
		start++;
	if (start < end && (*start | 0x20) == 'e')
		start++;
	while (start < end && *start >= '0' && *start <= '9')
		start++;
	return start == end;
}

/* Names may begin with digits too. */
static void read_number(struct sql_lexer *lexer, struct sql_token *token, const uint8_t *start)
{
	const uint8_t *next = start;
	while (next < lexer->end && sql_word_fold[*next] != 0)
		next++;
	finish(lexer, token, is_plain_number(start, next) ? SQL_TOKEN_NUMBER : SQL_TOKEN_WORD, start, next);
}

/* `start` stands at "@". */
static void read_variable(struct sql_lexer *lexer, struct sql_token *token, const uint8_t *start)
{
	const uint8_t *next = start + 1, *end = lexer->end;
	bool is_system = next < end && *next == '@';
	if (!is_system && next < end && (*next == '\'' || *next == '"' || *next == '`')) {
		read_quoted(lexer, token, start, next);
		if (token->kind != SQL_TOKEN_BROKEN)
			token->kind = SQL_TOKEN_USER_VARIABLE;
		return;
	}
	next += is_system;
	while (next < end) {
		if (sql_word_fold[*next] != 0 || *next == '.') {
			next++;
		} else if (is_system && *next == '`') {
			next = skip_quoted(next + 1, end, '`', false);
			if (next == NULL) {
				break_off(lexer, token, start);
				return;
			}
		} else {
			break;
		}
	}
	if (next == start + 1) {
		token->symbol = '@';
		finish(lexer, token, SQL_TOKEN_OPERATOR, start, next);
		return;
	}
	finish(lexer, token, is_system ? SQL_TOKEN_SYSTEM_VARIABLE : SQL_TOKEN_USER_VARIABLE, start, next);
}

/* ---- tokens --------------------------------------------------------------------------------------------------- */

/* "-- " needs a blank, a control character or the end behind it. */
static bool is_dash_comment(const uint8_t *next, const uint8_t *end)
{
	return end - next >= 2 && next[1] == '-' && (end - next == 2 || next[2] <= ' ' || next[2] == 0x7F);
}

/* Steps over blanks and comments. Returns false when a comment does not end. */
static bool skip_between(struct sql_lexer *lexer, struct sql_token *token)
{
	const uint8_t *next = lexer->next, *end = lexer->end;
	while (next < end) {
		uint8_t class = byte_classes[*next];
		const uint8_t *before = next;
		if (LIKELY(class == BYTE_BLANK)) {
			next++;
		} else if (class == BYTE_HASH || (class == BYTE_DASH && is_dash_comment(next, end))) {
			next = skip_line(next, end);
		} else if (class == BYTE_SLASH && end - next >= 2 && next[1] == '*') {
			next = open_comment(lexer, next);
			if (next == NULL) {
				break_off(lexer, token, before);
				return false;
			}
		} else if (class == BYTE_STAR && lexer->in_version && end - next >= 2 && next[1] == '/') {
			lexer->in_version = false;
			lexer->version_marks++;
			next += 2;
		} else {
			break;
		}
		token->blank_before = true;
	}
	lexer->next = next;
	return true;
}

void sql_lexer_next(struct sql_lexer *lexer, struct sql_token *token)
{
	token->word = NULL;
	token->symbol = 0;
	token->blank_before = false;
	if (!skip_between(lexer, token))
		return;
	const uint8_t *start = lexer->next;
	if (start == lexer->end) {
		/* An executable comment that was not closed is an error at the server. */
		finish(lexer, token, lexer->in_version ? SQL_TOKEN_BROKEN : SQL_TOKEN_END, start, start);
		return;
	}
	switch ((enum byte_class)byte_classes[*start]) {
	case BYTE_LETTER:
		read_word(lexer, token, start);
		return;
	case BYTE_DIGIT:
		read_number(lexer, token, start);
		return;
	case BYTE_QUOTE:
	case BYTE_BACKTICK:
		read_quoted(lexer, token, start, start);
		return;
	case BYTE_AT:
		read_variable(lexer, token, start);
		return;
	case BYTE_PLACEHOLDER:
		finish(lexer, token, SQL_TOKEN_PLACEHOLDER, start, start + 1);
		return;
	case BYTE_COLON:
		if (lexer->end - start >= 2 && start[1] == '=') {
			token->symbol = SQL_SYMBOL_ASSIGN;
			finish(lexer, token, SQL_TOKEN_OPERATOR, start, start + 2);
			return;
		}
		break;
	case BYTE_BAD:
		break_off(lexer, token, start);
		return;
	default:
		break;
	}
	token->symbol = *start;
	finish(lexer, token, SQL_TOKEN_OPERATOR, start, start + 1);
}
