/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A second, slow reading of heads for the HTTP fuzzers: byte by byte and by nothing of src/proto's means. What the parsers accept
 * and what the writers write must pass it.
 */
#ifndef NOAH_TESTS_FUZZ_HTTP_ORACLE_H
#define NOAH_TESTS_FUZZ_HTTP_ORACLE_H

#include "proto/http.h"

struct oracle {
	unsigned hosts, lengths, codings, hops, fields;
};

static inline bool oracle_is_token(struct span text)
{
	for (size_t at = 0; at < text.size; at++)
		if (text.start[at] <= ' ' || text.start[at] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", text.start[at]) != NULL)
			return false;
	return text.size > 0;
}

static inline bool oracle_is(struct span name, const char *expected)
{
	size_t size = strlen(expected);
	if (name.size != size)
		return false;
	for (size_t at = 0; at < size; at++) {
		char byte = name.start[at];
		if ((byte >= 'A' && byte <= 'Z' ? byte + 32 : byte) != expected[at])
			return false;
	}
	return true;
}

/* Asserts that [text, text + size) is a whole head and nothing else: lines that end in CR LF, the first of them free, each other
 * one a token, a colon and a value without controls, then the empty line. Counts the fields that decide where a message ends. */
static inline struct oracle oracle_read(const char *text, size_t size)
{
	static const char *const hops[] = {
	    "connection",     "keep-alive",     "proxy-connection",   "te", "trailer", "upgrade", "transfer_encoding",
	    "content_length", "http2-settings", "proxy-authorization"};
	struct oracle oracle = {0};
	size_t line = 0;
	for (bool first = true;; first = false) {
		size_t end = line;
		while (end < size && text[end] != '\n')
			end++;
		ASSERT(end < size && end > line && text[end - 1] == '\r');
		size_t length = end - 1 - line;
		if (length == 0) {
			ASSERT(!first && end + 1 == size);
			return oracle;
		}
		for (size_t at = line; at < end - 1; at++)
			ASSERT((unsigned char)text[at] >= ' ' || text[at] == '\t');
		if (!first) {
			const char *colon = memchr(text + line, ':', length);
			ASSERT(colon != NULL);
			struct span name = span_of(text + line, (size_t)(colon - text) - line);
			ASSERT(oracle_is_token(name));
			oracle.fields++;
			oracle.hosts += oracle_is(name, "host");
			oracle.lengths += oracle_is(name, "content-length");
			oracle.codings += oracle_is(name, "transfer-encoding");
			for (unsigned i = 0; i < COUNT_OF(hops); i++)
				oracle.hops += oracle_is(name, hops[i]);
		}
		line = end + 1;
	}
}

static inline void oracle_check_piece(const struct http_head *head, struct http_piece piece)
{
	ASSERT((size_t)piece.at + piece.size <= head->size);
	for (size_t at = 0; at < piece.size; at++) {
		char byte = head->start[piece.at + at];
		ASSERT(byte != '\r' && byte != '\n' && byte != 0);
	}
}

static inline void oracle_check_head(const struct http_head *head)
{
	uint64_t present = 0;
	size_t at = head->fields_at;
	ASSERT(head->field_count <= HTTP_FIELDS_MOST && head->size <= HTTP_HEAD_MOST);
	for (unsigned i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		struct span name = http_text(head, field->name), value = http_text(head, field->value);
		ASSERT(field->name.at == at && oracle_is_token(name));
		oracle_check_piece(head, field->value);
		ASSERT(value.size == 0 || (strchr(" \t", value.start[0]) == NULL && strchr(" \t", value.start[value.size - 1]) == NULL));
		at =
		    (size_t)((const char *)memchr(value.start, '\n', (size_t)(head->start + head->size - value.start)) + 1 - head->start);
		ASSERT(field->known == http_field_find(name));
		if ((present & HTTP_SET(field->known)) == 0)
			ASSERT(http_first(head, field->known) == field);
		present |= HTTP_SET(field->known);
	}
	ASSERT(at + 2 == head->size && present == head->present);
}

#endif
