/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Accept-Encoding: the first byte says what is available, the rest is the field's value; LF in it begins another line of the
 * field. Whatever it is, only what is available and named (or meant by a "*") is chosen, never what is refused once more behind
 * it, and what was chosen among several is chosen alone too.
 */
#include "http/compress.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUE_MOST 8000u

static char text[HTTP_HEAD_MOST];
static struct http_request request;

/* False: the parser refuses such a request anyway. */
static bool parse(const char *value, size_t size, const char *more)
{
	static const char name[] = "Accept-Encoding: ";
	struct http_progress progress = {0};
	struct http_error error;
	size_t used, at;

	at = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n%s", name);
	for (size_t i = 0; i < size; i++) {
		if (value[i] == '\n' && at + sizeof(name) + size - i < sizeof(text) - 200u)
			at += (size_t)sprintf(text + at, "\r\n%s", name);
		else
			text[at++] = value[i];
	}
	at += (size_t)sprintf(text + at, "\r\n%s\r\n", more);
	return http_request_parse(&progress, text, at, &request, &used, &error) == HTTP_DONE && used == at;
}

static bool contains(const char *value, size_t size, const char *word)
{
	size_t length = strlen(word);

	for (size_t at = 0; at + length <= size; at++) {
		if (strncasecmp(value + at, word, length) == 0)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > VALUE_MOST)
		return 0;
	unsigned available = data[0] & CODING_ALL;
	const char *value = (const char *)data + 1;
	size_t value_size = size - 1;

	if (!parse(value, value_size, ""))
		return 0;
	enum http_coding chosen = http_coding_choose(&request.head, available);
	ASSERT(chosen < CODING_COUNT);
	ASSERT(chosen == http_coding_choose(&request.head, available));
	if (chosen == CODING_NONE)
		return 0;
	char more[64];
	const char *token = http_coding_token(chosen).start;
	ASSERT((CODING_SET(chosen) & available) != 0);
	ASSERT(contains(value, value_size, token) || contains(value, value_size, "*"));
	snprintf(more, sizeof(more), "Accept-Encoding: %s;q=0\r\n", token);
	if (parse(value, value_size, more)) { /* there may be too many fields by now */
		enum http_coding second = http_coding_choose(&request.head, available);
		ASSERT(second != chosen);
		if (second != CODING_NONE && parse(value, value_size, "Accept-Encoding: identity;q=0\r\n"))
			ASSERT(http_coding_choose(&request.head, CODING_SET(second)) == second);
	}
	/* Without him nothing else becomes better: among fewer, he stays the best. */
	if (parse(value, value_size, ""))
		ASSERT(http_coding_choose(&request.head, CODING_SET(chosen)) == chosen);
	return 0;
}
