/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Spans: comparing, cutting and reading exact numbers from borrowed bytes. Pure functions.
 */
#include "base/base.h"

static inline unsigned char lower(char byte)
{
	unsigned char value = (unsigned char)byte;
	return value >= 'A' && value <= 'Z' ? (unsigned char)(value | 0x20) : value;
}

bool span_equal_nocase(struct span a, struct span b)
{
	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++) {
		if (lower(a.start[i]) != lower(b.start[i]))
			return false;
	}
	return true;
}

bool span_starts_with(struct span text, struct span prefix)
{
	return text.size >= prefix.size && (prefix.size == 0 || memcmp(text.start, prefix.start, prefix.size) == 0);
}

bool span_starts_with_nocase(struct span text, struct span prefix)
{
	return text.size >= prefix.size && span_equal_nocase(span_of(text.start, prefix.size), prefix);
}

bool span_ends_with_nocase(struct span text, struct span end)
{
	return text.size >= end.size && span_equal_nocase(span_of(text.start + text.size - end.size, end.size), end);
}

static inline bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

struct span span_trim(struct span text)
{
	while (text.size > 0 && is_blank(text.start[0])) {
		text.start++;
		text.size--;
	}
	while (text.size > 0 && is_blank(text.start[text.size - 1]))
		text.size--;
	return text;
}

struct span span_cut(struct span *rest, char separator)
{
	struct span whole = *rest;
	const char *at = whole.size > 0 ? memchr(whole.start, separator, whole.size) : NULL;

	if (at == NULL) {
		*rest = (struct span){NULL, 0};
		return whole;
	}
	size_t before = (size_t)(at - whole.start);
	*rest = span_of(at + 1, whole.size - before - 1);
	return span_of(whole.start, before);
}

bool span_copy(struct span text, char *out, size_t out_size)
{
	ASSERT(out_size > 0);
	if (text.size >= out_size) {
		out[0] = '\0';
		return false;
	}
	if (text.size > 0)
		memcpy(out, text.start, text.size);
	out[text.size] = '\0';
	return true;
}

static int digit_value(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return 16;
}

static bool to_number(struct span text, unsigned base, uint64_t most, uint64_t *value)
{
	uint64_t sum = 0;

	if (text.size == 0)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		uint64_t digit = (uint64_t)digit_value(text.start[i]);
		if (digit >= base || sum > (UINT64_MAX - digit) / base)
			return false;
		sum = sum * base + digit;
		if (sum > most)
			return false;
	}
	*value = sum;
	return true;
}

bool span_to_number(struct span text, uint64_t most, uint64_t *value)
{
	return to_number(text, 10, most, value);
}

bool span_to_hex_number(struct span text, uint64_t most, uint64_t *value)
{
	return to_number(text, 16, most, value);
}
