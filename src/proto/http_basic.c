/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Basic authentication as a visitor sends it (RFC 7617): "Basic", and a name and a password in base64. Pure; http/auth.c calls
 * it, on whatever thread it runs.
 */
#include "proto/http.h"

/* 0 to 63, or -1. */
static int base64_digit(char byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return byte - 'A';
	if (byte >= 'a' && byte <= 'z')
		return byte - 'a' + 26;
	if (byte >= '0' && byte <= '9')
		return byte - '0' + 52;
	return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

/* RFC 4648 4, with its padding and without bits left over: no two texts mean the same. False too when it does not fit. */
static bool base64_decode(struct span text, char *out, size_t room, size_t *size)
{
	size_t padding = 0;

	while (padding < 2 && padding < text.size && text.start[text.size - 1 - padding] == '=')
		padding++;
	if (text.size % 4 != 0 || text.size / 4 * 3 - padding > room)
		return false;
	uint32_t bits = 0;
	unsigned bit_count = 0;
	*size = 0;
	for (size_t i = 0; i < text.size - padding; i++) {
		int digit = base64_digit(text.start[i]);
		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		bit_count += 6;
		if (bit_count >= 8) {
			bit_count -= 8;
			out[(*size)++] = (char)(bits >> bit_count & 0xff);
		}
	}
	return (bits & ((1u << bit_count) - 1)) == 0;
}

bool http_basic_read(struct span value, char *memory, size_t room, struct span *name, struct span *password)
{
	const struct span scheme = SPAN("Basic ");
	size_t size;

	if (!span_starts_with_nocase(value, scheme))
		return false;
	if (!base64_decode(span_trim(span_of(value.start + scheme.size, value.size - scheme.size)), memory, room, &size))
		return false;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)memory[i] < 0x20 || memory[i] == 0x7f) /* RFC 7617 2 */
			return false;
	struct span rest = span_of(memory, size);
	*name = span_cut(&rest, ':');
	*password = rest;
	return rest.start != NULL;
}
