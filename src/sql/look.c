/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The second half of the classifier: what each token of a statement says about where it may run and what it leaves behind,
 * wherever it stands. And the names that matter here. Pure; called by classify.c, in traffic threads.
 */
#include "sql/classify_private.h"

/* Session variables that noah keeps alike on all connections of a session, so any of them can tell. */
static const char *const alike_variables[] = {
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "sql_mode",
    "time_zone",
    "transaction_isolation",
    "tx_isolation",
};

/* Views of information_schema that say the same on every copy of the data. TABLES is not one: its sizes, times and
 * AUTO_INCREMENT are each server's own. */
static const char *const alike_views[] = {
    "character_sets",          "check_constraints", "collations", "columns",           "key_column_usage", "parameters",
    "referential_constraints", "routines",          "schemata",   "table_constraints", "triggers",         "views",
};

static bool is_among(struct span name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal_nocase(name, span_of_text(names[i])))
			return true;
	return false;
}

bool sql_charset_is_unsafe(struct span value)
{
	static const char *const safe[] = {"ascii",   "binary", "cp1250", "cp1251", "cp1252", "cp1256",  "cp1257",
	                                   "eucjpms", "euckr",  "gb2312", "koi8r",  "koi8u",  "latin1",  "latin2",
	                                   "latin5",  "latin7", "tis620", "ujis",   "utf8",   "utf8mb3", "utf8mb4"};
	if (value.size > 0 && (value.start[0] == '\'' || value.start[0] == '"'))
		value = span_of(value.start + 1, value.size - 1);
	size_t size = 0;
	while (size < value.size && sql_word_fold[(uint8_t)value.start[size]] != 0)
		size++;
	return !is_among(span_of(value.start, size), safe, COUNT_OF(safe));
}

static struct span without_quotes(struct span name)
{
	return name.size >= 2 && (name.start[0] == '`' || name.start[0] == '"') ? span_of(name.start + 1, name.size - 2) : name;
}

bool sql_database_is_system(struct span name)
{
	static const char *const system[] = {"information_schema", "mysql", "performance_schema", "sys"};
	return is_among(without_quotes(name), system, COUNT_OF(system));
}

bool sql_name_copy(struct span name, char *out, size_t out_size)
{
	ASSERT(out_size > 0);
	out[0] = '\0';
	char quote = name.size >= 2 && (name.start[0] == '`' || name.start[0] == '"') ? name.start[0] : '\0';
	struct span inside = without_quotes(name);
	size_t size = 0;
	for (size_t i = 0; i < inside.size; i++) {
		if (size + 1 >= out_size || inside.start[i] == '\0') {
			out[0] = '\0';
			return false;
		}
		out[size++] = inside.start[i];
		if (quote != '\0' && inside.start[i] == quote)
			i++; /* doubled */
	}
	out[size] = '\0';
	return true;
}

/* The scan stands at an opening parenthesis: does the closing one follow? */
static bool is_empty_call(const struct sql_scan *scan)
{
	struct sql_lexer ahead = scan->lexer;
	struct sql_token token;
	sql_lexer_next(&ahead, &token);
	return sql_token_is_symbol(&token, ')');
}

/* `before` is a name or word and an opening parenthesis follows: what is called? */
static void look_at_call(struct sql_scan *scan, const struct sql_walk *walk, bool with_column_list)
{
	struct sql_class *class = scan->class;
	const struct sql_token *name = &walk->before;
	enum sql_call call = name->word != NULL && !walk->before_after_dot ? (enum sql_call)name->word->call : SQL_CALL_UNKNOWN;
	switch (call) {
	case SQL_CALL_UNKNOWN:
		if (!with_column_list)
			sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_UNKNOWN_FUNCTION);
		break;
	case SQL_CALL_NONE:
	case SQL_CALL_READ:
		break;
	case SQL_CALL_READ_TIGHT:
		if (scan->token.blank_before && !(scan->lexer.mode & SQL_IGNORE_SPACE))
			sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_UNKNOWN_FUNCTION);
		break;
	case SQL_CALL_LAST_STATEMENT:
		sql_class_restrict(class, SQL_ROUTE_LAST, SQL_REASON_LAST_STATEMENT);
		break;
	case SQL_CALL_LAST_INSERT_ID:
		class->asks_insert_id |= is_empty_call(scan);
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_LAST_INSERT_ID);
		break;
	case SQL_CALL_SEQUENCE:
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_SEQUENCE);
		break;
	case SQL_CALL_SERVER:
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_SERVER_FUNCTION);
		break;
	case SQL_CALL_LOCK:
		sql_class_bind(class, SQL_REASON_USER_LOCK);
		__attribute__((fallthrough));
	case SQL_CALL_LOCK_INFO:
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_USER_LOCK);
		break;
	}
}

static void look_at_word(struct sql_scan *scan, struct sql_walk *walk)
{
	struct sql_class *class = scan->class;
	switch (scan->token.word->number) {
	case SQL_WORD_INTO:
		walk->into |= class->kind == SQL_KIND_READ;
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_INTO);
		break;
	case SQL_WORD_UPDATE:
	case SQL_WORD_SHARE:
		walk->locks = sql_token_is(&walk->before, SQL_WORD_FOR);
		if (walk->locks)
			sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_LOCKING_READ);
		break;
	case SQL_WORD_IN:
		if (sql_token_is(&walk->before, SQL_WORD_LOCK))
			sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_LOCKING_READ);
		break;
	case SQL_WORD_VALUE:
		if (sql_token_is(&walk->before, SQL_WORD_NEXT) || sql_token_is(&walk->before, SQL_WORD_PREVIOUS))
			sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_SEQUENCE);
		break;
	case SQL_WORD_SQL_CALC_FOUND_ROWS:
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_CALC_FOUND_ROWS);
		break;
	case SQL_WORD_SELECT:
	case SQL_WORD_TABLE:
	case SQL_WORD_VALUES:
		if (walk->depth == 0)
			walk->in_with_list = false;
		break;
	default:
		break;
	}
}

/* A word that changes data, unless it is the function of that name: INSERT(...), REPLACE(...). */
static bool changes_data(const struct sql_walk *walk)
{
	if (walk->before.word == NULL || walk->before_after_dot || walk->locks)
		return false;
	switch (walk->before.word->number) {
	case SQL_WORD_INSERT:
	case SQL_WORD_UPDATE:
	case SQL_WORD_DELETE:
	case SQL_WORD_REPLACE:
		return true;
	default:
		return false;
	}
}

static void look_at_system_variable(struct sql_class *class, struct span name)
{
	struct span rest = name = span_of(name.start + 2, name.size - 2);
	struct span scope = span_cut(&rest, '.');
	bool has_scope = rest.start != NULL;
	if (has_scope)
		name = rest;
	name = without_quotes(name);
	if (span_equal_nocase(name, SPAN("warning_count")) || span_equal_nocase(name, SPAN("error_count")))
		sql_class_restrict(class, SQL_ROUTE_LAST, SQL_REASON_LAST_STATEMENT);
	else if (span_equal_nocase(name, SPAN("last_insert_id")) || span_equal_nocase(name, SPAN("identity"))) {
		class->asks_insert_id = true;
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_LAST_INSERT_ID);
	} else if ((has_scope && !span_equal_nocase(scope, SPAN("session")) && !span_equal_nocase(scope, SPAN("local"))) ||
	           !is_among(name, alike_variables, COUNT_OF(alike_variables)))
		sql_class_restrict(class, SQL_ROUTE_PRIMARY, SQL_REASON_SYSTEM_VARIABLE);
}

/* A dot follows `before`: is that a system database? */
static void look_at_dot(struct sql_scan *scan, struct sql_walk *walk)
{
	if (!sql_token_is_name(&walk->before) || walk->before_after_dot)
		return;
	if (walk->before.kind == SQL_TOKEN_WORD && walk->before.word == NULL)
		return; /* the names of system databases are in the table of words */
	struct span name = without_quotes(walk->before.text);
	if (span_equal_nocase(name, SPAN("information_schema")))
		walk->system_dot = true;
	else if (sql_database_is_system(name))
		sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_SYSTEM_TABLE);
}

/* The second part of a name. */
static void look_at_dotted(struct sql_scan *scan, struct sql_walk *walk)
{
	const struct sql_token *token = &scan->token;
	if (walk->system_dot && !is_among(without_quotes(token->text), alike_views, COUNT_OF(alike_views)))
		sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_SYSTEM_TABLE);
	walk->system_dot = false;
	/* Oracle's way: sequence.NEXTVAL */
	if (token->word != NULL && token->word->call == SQL_CALL_SEQUENCE)
		sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_SEQUENCE);
}

static void look_at_operator(struct sql_scan *scan, struct sql_walk *walk)
{
	switch (scan->token.symbol) {
	case '(':
		if (sql_token_is_name(&walk->before) || walk->before.kind == SQL_TOKEN_NUMBER)
			look_at_call(scan, walk, walk->in_with_list && walk->depth == 0);
		walk->depth++;
		break;
	case ')':
		walk->depth -= walk->depth > 0;
		break;
	case '.':
		look_at_dot(scan, walk);
		break;
	case SQL_SYMBOL_ASSIGN:
		sql_class_bind(scan->class, SQL_REASON_USER_VARIABLE_SET);
		sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_USER_VARIABLE_SET);
		break;
	default:
		break;
	}
}

void sql_look_at_token(struct sql_scan *scan, struct sql_walk *walk)
{
	bool after_dot = sql_token_is_symbol(&walk->before, '.');
	if (changes_data(walk) && !sql_token_is_symbol(&scan->token, '(')) {
		if (scan->class->kind == SQL_KIND_READ)
			scan->class->kind = SQL_KIND_WRITE;
		sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_WRITES);
	}
	walk->locks = false;
	switch (scan->token.kind) {
	case SQL_TOKEN_WORD:
	case SQL_TOKEN_QUOTED_NAME:
		if (after_dot)
			look_at_dotted(scan, walk);
		else if (scan->token.word != NULL && scan->token.word->number != SQL_WORD_NONE)
			look_at_word(scan, walk);
		break;
	case SQL_TOKEN_USER_VARIABLE:
		if (walk->into)
			sql_class_bind(scan->class, SQL_REASON_USER_VARIABLE_SET);
		sql_class_restrict(scan->class, SQL_ROUTE_PRIMARY, SQL_REASON_USER_VARIABLE_READ);
		break;
	case SQL_TOKEN_SYSTEM_VARIABLE:
		look_at_system_variable(scan->class, scan->token.text);
		break;
	case SQL_TOKEN_OPERATOR:
		look_at_operator(scan, walk);
		break;
	default:
		break;
	}
	walk->before_after_dot = after_dot;
	walk->before = scan->token;
}

/* Looks at all tokens up to the end of the statement, the one that stands now included. */
void sql_look_at_rest(struct sql_scan *scan, struct sql_walk *walk)
{
	for (; !sql_scan_at_end(scan); sql_scan_next(scan))
		sql_look_at_token(scan, walk);
	if (changes_data(walk))
		sql_look_at_token(scan, walk); /* the last word was INSERT or the like */
}

void sql_look_at_all(struct sql_scan *scan)
{
	struct sql_walk walk = {0};
	sql_look_at_rest(scan, &walk);
}
