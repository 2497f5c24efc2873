/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cases of HTTP/1: one to three requests made of parts that are right or wrong in ways that proxies and servers have disagreed
 * about (words.h), often followed by the beginning of another one, then changed at random places.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "visitor.h"
#include "words.h"

static void put_one_of(struct message *message, struct chance *chance, const struct word *words, size_t count)
{
	const struct word *word = &words[below(chance, (unsigned)count)];
	put(message, word->start, word->size);
}
#define PUT_ONE_OF(message, chance, words) put_one_of(message, chance, words, COUNT_OF(words))

/* ---- parts, right and wrong -------------------------------------------------------------------------------------- */

static void put_line_end(struct message *message, struct chance *chance)
{
	if (wrong_in(chance, 60))
		PUT_ONE_OF(message, chance, line_ends);
	else
		put(message, "\r\n", 2);
}

static void put_field(struct message *message, struct chance *chance, const char *name, const struct word *words, size_t count,
                      const char *right)
{
	put_text(message, name);
	if (wrong_in(chance, 40))
		PUT_ONE_OF(message, chance, field_separators);
	else
		put(message, ": ", 2);
	if (right == NULL || wrong_in(chance, 4))
		put_one_of(message, chance, words, count);
	else
		put_text(message, right);
	put_line_end(message, chance);
}

static void put_request_line(struct message *message, struct chance *chance, unsigned long long number)
{
	if (wrong_in(chance, 20))
		PUT_ONE_OF(message, chance, bad_methods);
	else
		PUT_ONE_OF(message, chance, good_methods);
	put_text(message, wrong_in(chance, 60) ? "\t" : wrong_in(chance, 60) ? "  " : " ");
	switch (below(chance, 12 * chance->mildness)) {
	case 0:
		PUT_ONE_OF(message, chance, bad_targets);
		break;
	case 1:
		put_format(message, "http://%s/fuzz/%llu", host, number);
		break;
	case 2:
		put_format(message, "/fuzz/%llu?a=b&c=%%41", number);
		break;
	default:
		put_format(message, "/fuzz/%llu", number);
	}
	put_text(message, wrong_in(chance, 60) ? "  " : " ");
	if (wrong_in(chance, 10))
		PUT_ONE_OF(message, chance, versions);
	else
		put_text(message, "HTTP/1.1");
	put_line_end(message, chance);
}

static void put_some_field(struct message *message, struct chance *chance)
{
	PUT_ONE_OF(message, chance, names);
	put_text(message, wrong_in(chance, 20) ? "" : ": ");
	if (once_in(chance, 200)) {
		for (unsigned i = below(chance, 20000); i > 0; i--)
			put(message, "y", 1);
	}
	PUT_ONE_OF(message, chance, values);
	put_line_end(message, chance);
}

static void put_chunked(struct message *message, struct chance *chance)
{
	for (unsigned i = below(chance, 4); i > 0; i--) {
		unsigned size = 1 + below(chance, 60);
		if (wrong_in(chance, 8))
			PUT_ONE_OF(message, chance, chunk_sizes);
		else
			put_format(message, once_in(chance, 2) ? "%x" : "%X", size);
		put_line_end(message, chance);
		put_format(message, "%.*s", (int)size, "GET /smuggled HTTP/1.1\r\nHost: x\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
		if (wrong_in(chance, 12))
			PUT_ONE_OF(message, chance, chunk_ends);
		else
			put(message, "\r\n", 2);
	}
	if (wrong_in(chance, 12))
		PUT_ONE_OF(message, chance, chunk_sizes);
	else
		put(message, "0", 1);
	put_line_end(message, chance);
	if (wrong_in(chance, 4))
		PUT_ONE_OF(message, chance, trailer_lines);
	put_line_end(message, chance);
}

/* As long as was said, if anything was. */
static void put_body(struct message *message, struct chance *chance, unsigned length)
{
	static const char body[] =
	    "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nPOST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	    "GET /smuggled HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n";
	bool right = !wrong_in(chance, 8);
	if (right == (length == 0))
		put_chunked(message, chance);
	else
		put(message, body, right ? length : below(chance, sizeof(body)));
}

static void put_hostile(struct message *message, struct chance *chance, unsigned long long number)
{
	char length[16];
	snprintf(length, sizeof(length), "%u", once_in(chance, 2) ? 35 : 1 + below(chance, 160));
	put_request_line(message, chance, number);
	if (!wrong_in(chance, 30))
		put_field(message, chance, once_in(chance, 10) ? "host" : "Host", hosts, COUNT_OF(hosts),
		          wrong_in(chance, 10) ? NULL : host);
	for (unsigned i = below(chance, once_in(chance, 100) ? 140 : 4); i > 0; i--)
		put_some_field(message, chance);
	bool has_body = once_in(chance, 2), has_length = has_body && once_in(chance, 2);
	if (has_length)
		put_field(message, chance, "Content-Length", lengths, COUNT_OF(lengths), length);
	if (has_body && (!has_length || wrong_in(chance, 8)))
		put_field(message, chance, "Transfer-Encoding", codings, COUNT_OF(codings), "chunked");
	if (has_body && wrong_in(chance, 12))
		put_field(message, chance, "Content-Length", lengths, COUNT_OF(lengths), length);
	if (once_in(chance, 4))
		put_field(message, chance, "Connection", connections, COUNT_OF(connections), NULL);
	if (once_in(chance, 4))
		put_field(message, chance, "Accept-Encoding", odd_codings, COUNT_OF(odd_codings),
		          wrong_in(chance, 3) ? NULL : "gzip, br");
	put_line_end(message, chance);
	if (has_body)
		put_body(message, chance, has_length ? (unsigned)atoi(length) : 0);
}

/* Changes a few places behind `from`. */
static void spoil(struct message *message, struct chance *chance, size_t from)
{
	for (unsigned i = 1 + below(chance, 3); i > 0 && message->size > from; i--) {
		size_t at = from + below(chance, (unsigned)(message->size - from));
		size_t length = 1 + below(chance, 12), rest = message->size - at;
		const struct word *splice = &splices[below(chance, COUNT_OF(splices))];
		switch (below(chance, 5)) {
		case 0:
			message->bytes[at] = (char)draw(chance);
			break;
		case 1: /* some bytes go */
			length = length < rest ? length : rest;
			memmove(message->bytes + at, message->bytes + at + length, rest - length);
			message->size -= length;
			break;
		case 2: /* the rest goes */
			message->size = once_in(chance, 4) ? at : message->size;
			break;
		default: /* something comes */
			if (splice->size > MESSAGE_ROOM - message->size)
				break;
			memmove(message->bytes + at + splice->size, message->bytes + at, rest);
			memcpy(message->bytes + at, splice->start, splice->size);
			message->size += splice->size;
		}
	}
}

/* ---- requests that are right --------------------------------------------------------------------------------------- */

static void put_valid(struct message *message, struct chance *chance)
{
	char body[BODY_MOST];
	unsigned size = once_in(chance, 3) ? 0 : below(chance, BODY_MOST);
	uint32_t sum = make_body(body, size, chance);
	put_format(message, "%s /valid/%u/%u HTTP/1.1\r\nHost: %s\r\nCookie: a=b\r\n", size == 0 ? "GET" : "POST", size, sum, host);
	if (once_in(chance, 2)) {
		put_text(message, "Accept-Encoding: ");
		PUT_ONE_OF(message, chance, accepted_codings);
		put_text(message, "\r\n");
	}
	if (size == 0) {
		put_text(message, once_in(chance, 2) ? "\r\n" : "Content-Length: 0\r\n\r\n");
	} else if (once_in(chance, 2)) {
		put_format(message, "Content-Length: %u\r\n\r\n", size);
		put(message, body, size);
	} else {
		put_text(message, "Transfer-Encoding: chunked\r\n\r\n");
		for (unsigned at = 0; at < size;) {
			unsigned piece = 1 + below(chance, 700);
			piece = piece < size - at ? piece : size - at;
			put_format(message, once_in(chance, 3) ? "%04X;name=\"va;lue\"\r\n" : "%x\r\n", piece);
			put(message, body + at, piece);
			put_text(message, "\r\n");
			at += piece;
		}
		put_text(message, once_in(chance, 3) ? "0\r\nX-Trailer: x\r\n\r\n" : "0\r\n\r\n");
	}
}

/* ---- a case ------------------------------------------------------------------------------------------------------ */

/* Every status line; bodies hold none. False: noah did not end in time. */
static bool read_answers(int descriptor, struct answers *answers)
{
	static const char mark[] = "HTTP/1.1 ", name[] = "checker/";
	const size_t mark_size = sizeof(mark) - 1, name_size = sizeof(name) - 1;
	char bytes[16384], code[3];
	size_t matched = 0, digits = 0; /* of the mark, and of the status behind it */
	size_t named = 0;               /* of the name */
	for (;;) {
		ssize_t got = recv(descriptor, bytes, sizeof(bytes), 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (got <= 0)
			return true;
		for (ssize_t at = 0; at < got; at++) {
			named = bytes[at] == name[named] ? named + 1 : bytes[at] == name[0];
			if (named == name_size) {
				answers->named++;
				named = 0;
			}
			if (matched < mark_size) {
				matched = bytes[at] == mark[matched] ? matched + 1 : bytes[at] == mark[0];
				continue;
			}
			code[digits++] = bytes[at];
			if (digits < sizeof(code))
				continue;
			count_answer(answers, code);
			matched = digits = 0;
		}
	}
}

bool http1_case(unsigned long long number, struct chance *chance, bool valid, int descriptor, struct message *message,
                struct answers *answers)
{
	if (valid) {
		put_valid(message, chance);
		answers->wanted = 1;
	} else {
		for (unsigned i = 1 + below(chance, once_in(chance, 3) ? 3 : 1); i > 0; i--)
			put_hostile(message, chance, number);
		if (once_in(chance, 4))
			put_text(message, "GET /smuggled HTTP/1.1\r\nHost: x\r\nX: y");
		if (wrong_in(chance, 2))
			spoil(message, chance, 0);
	}
	if (send_in_pieces(descriptor, message, chance))
		shutdown(descriptor, SHUT_WR);
	return read_answers(descriptor, answers);
}
