/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzzes the SQL lexer and classifier. The first byte is the text's mode. Tokens have to move on and stay inside; a setting that
 * is said to be repeatable has to be one when it is repeated; a blank at the end changes nothing.
 */
#include <stdlib.h>

#include "sql/classify.h"
#include "sql/lexer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_tokens(struct span text, unsigned mode)
{
	struct sql_lexer lexer;
	struct sql_token token;
	sql_lexer_init(&lexer, text, mode);
	const char *end = text.start;
	do {
		sql_lexer_next(&lexer, &token);
		ASSERT(token.text.start >= end && token.text.start + token.text.size <= text.start + text.size);
		ASSERT(token.text.size > 0 || token.kind == SQL_TOKEN_END || token.kind == SQL_TOKEN_BROKEN);
		end = token.text.start + token.text.size;
	} while (token.kind != SQL_TOKEN_END && token.kind != SQL_TOKEN_BROKEN);
}

static void repeat_setting(const struct sql_setting *setting, unsigned mode)
{
	size_t size = setting->text.size + 4;
	char *text = malloc(size);
	struct sql_class again;
	memcpy(text, "SET ", 4);
	memcpy(text + 4, setting->text.start, setting->text.size);
	sql_classify(span_of(text, size), mode, &again);
	ASSERT(again.kind == SQL_KIND_SET_SESSION || again.kind == SQL_KIND_SET_AUTOCOMMIT);
	ASSERT(again.binds == SQL_REASON_NONE);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	unsigned mode = data[0] % 16;
	struct span text = span_of(data + 1, size - 1);
	struct sql_class class, padded;
	walk_tokens(text, mode);
	sql_classify(text, mode, &class);
	ASSERT((class.route == SQL_ROUTE_READ) == (class.reason == SQL_REASON_NONE));
	ASSERT(class.route != SQL_ROUTE_READ || (class.kind == SQL_KIND_READ && class.binds == SQL_REASON_NONE));
	ASSERT((class.kind == SQL_KIND_SET_SESSION || class.kind == SQL_KIND_SET_AUTOCOMMIT) == (class.settings.size > 0));
	ASSERT(strlen(sql_reason_text(class.reason)) > 0 && strlen(sql_kind_name(class.kind)) > 0);

	struct sql_setting_walk walk = sql_settings_of(&class, mode);
	struct sql_setting setting;
	unsigned settings = 0;
	for (; sql_setting_next(&walk, &setting); settings++)
		repeat_setting(&setting, mode);
	ASSERT((settings > 0) == (class.settings.size > 0));

	char *with_blank = malloc(size);
	memcpy(with_blank, data + 1, size - 1);
	with_blank[size - 1] = '\n';
	sql_classify(span_of(with_blank, size), mode, &padded);
	if (class.reason != SQL_REASON_BROKEN)
		ASSERT(padded.kind == class.kind && padded.route == class.route && padded.binds == class.binds);
	free(with_blank);
	return 0;
}
