/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cases of HTTP/2 (prior knowledge): streams whose header lists say what HTTP/1 could take for something else, and frames that
 * come in the wrong place, order or size. The header compression is nghttp2's; it carries any bytes. Everything else is written
 * here, since a library for clients refuses to send what is wrong.
 *
 * A stream counts as asked once its last frame has gone out with END_STREAM: noah must answer or refuse it, or end the
 * connection.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "visitor.h"
#include "words.h"

#define FIELDS_MOST 40u
#define TEXT_ROOM   16384u
#define FRAME_HEAD  9u
#define FRAME_MOST  16384u

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
#define END_STREAM  0x1u
#define ACK         0x1u
#define END_HEADERS 0x4u
#define PADDED      0x8u

/* One header list; its texts are kept beside it. */
struct list {
	nghttp2_nv fields[FIELDS_MOST];
	size_t count, used;
	uint8_t texts[TEXT_ROOM];
};

static void add(struct list *list, const void *name, size_t name_size, const void *value, size_t value_size)
{
	if (list->count == FIELDS_MOST || list->used + name_size + value_size > TEXT_ROOM)
		return;
	nghttp2_nv *field = &list->fields[list->count++];
	field->name = memcpy(list->texts + list->used, name, name_size);
	field->namelen = name_size;
	list->used += name_size;
	field->value = memcpy(list->texts + list->used, value, value_size);
	field->valuelen = value_size;
	list->used += value_size;
	field->flags = NGHTTP2_NV_FLAG_NONE;
}

static void add_text(struct list *list, const char *name, const char *value)
{
	add(list, name, strlen(name), value, strlen(value));
}

static const struct word *one_of(struct chance *chance, const struct word *words, size_t count)
{
	return &words[below(chance, (unsigned)count)];
}
#define ONE_OF(chance, words) one_of(chance, words, COUNT_OF(words))

static void add_word(struct list *list, const char *name, const struct word *value)
{
	add(list, name, strlen(name), value->start, value->size);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static void put_frame(struct message *message, unsigned type, unsigned flags, uint32_t stream, const void *bytes, size_t size)
{
	const unsigned char head[FRAME_HEAD] = {
	    (unsigned char)(size >> 16),   (unsigned char)(size >> 8),   (unsigned char)size,
	    (unsigned char)type,           (unsigned char)flags,         (unsigned char)(stream >> 24),
	    (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream};
	put(message, (const char *)head, sizeof(head));
	put(message, bytes, size);
}

static void put_number_frame(struct message *message, unsigned type, uint32_t stream, uint32_t number)
{
	const unsigned char bytes[4] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16), (unsigned char)(number >> 8),
	                                (unsigned char)number};
	put_frame(message, type, 0, stream, bytes, sizeof(bytes));
}

/* HEADERS, and what does not fit the first piece in CONTINUATION. */
static void put_headers(struct message *message, struct chance *chance, nghttp2_hd_deflater *deflater, uint32_t stream,
                        const struct list *list, unsigned flags)
{
	uint8_t block[TEXT_ROOM + FIELDS_MOST * 32];
	ssize_t size = nghttp2_hd_deflate_hd(deflater, block, sizeof(block), list->fields, list->count);
	if (size < 0)
		return;
	unsigned type = HEADERS;
	for (size_t at = 0, left = (size_t)size;; type = CONTINUATION, flags = 0) {
		size_t piece = once_in(chance, 4) && left > 0 ? 1 + below(chance, (unsigned)left) : left;
		piece = piece < FRAME_MOST ? piece : FRAME_MOST;
		bool last = piece == left;
		put_frame(message, type, flags | (last && !wrong_in(chance, 40) ? END_HEADERS : 0), stream, block + at, piece);
		if (last)
			return;
		if (wrong_in(chance, 20)) /* nothing may come between */
			put_frame(message, PING, 0, 0, "between!", 8);
		at += piece;
		left -= piece;
	}
}

static void put_data(struct message *message, struct chance *chance, uint32_t stream, const char *bytes, size_t size, bool end)
{
	do {
		size_t piece = once_in(chance, 2) && size > 0 ? 1 + below(chance, (unsigned)size) : size;
		bool last = piece == size;
		unsigned flags = last && end ? END_STREAM : 0;
		if (once_in(chance, 6)) {
			char padded[BODY_MOST + 300];
			unsigned padding = below(chance, 200);
			padded[0] = (char)padding;
			memcpy(padded + 1, bytes, piece);
			memset(padded + 1 + piece, 0, padding);
			put_frame(message, DATA, flags | PADDED, stream, padded, 1 + piece + padding);
		} else {
			put_frame(message, DATA, flags, stream, bytes, piece);
		}
		bytes += piece;
		size -= piece;
		if (last)
			return;
	} while (true);
}

/* ---- header lists ------------------------------------------------------------------------------------------------ */

static void add_pseudo(struct list *list, struct chance *chance, unsigned long long number)
{
	char path[64];
	snprintf(path, sizeof(path), "/fuzz/%llu", number);
	if (!wrong_in(chance, 30)) {
		if (wrong_in(chance, 12))
			add_word(list, ":method", ONE_OF(chance, bad_methods_of_2));
		else
			add_word(list, ":method", ONE_OF(chance, good_methods));
	}
	if (wrong_in(chance, 12))
		add_word(list, ":scheme", ONE_OF(chance, schemes));
	else if (!wrong_in(chance, 40))
		add_text(list, ":scheme", "http");
	if (wrong_in(chance, 10))
		add_word(list, ":path", ONE_OF(chance, bad_paths));
	else if (!wrong_in(chance, 40))
		add_text(list, ":path", path);
	if (wrong_in(chance, 10))
		add_word(list, ":authority", ONE_OF(chance, hosts));
	else if (!once_in(chance, 10))
		add_text(list, ":authority", host);
	else
		add_text(list, "host", host);
}

static void add_some(struct list *list, struct chance *chance)
{
	static const char *const plain[] = {"accept", "user-agent", "cookie", "x-any", "range", "referer"};
	for (unsigned i = below(chance, 5); i > 0; i--) {
		if (wrong_in(chance, 6)) {
			const struct word *name = ONE_OF(chance, bad_names), *value = ONE_OF(chance, bad_values);
			add(list, name->start, name->size, value->start, value->size);
		} else if (wrong_in(chance, 10)) {
			add_word(list, plain[below(chance, COUNT_OF(plain))], ONE_OF(chance, bad_values));
		} else {
			add_text(list, plain[below(chance, COUNT_OF(plain))], "a=b");
		}
	}
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* Frames in wrong places, or merely unusual. */
static void put_stray(struct message *message, struct chance *chance, uint32_t stream)
{
	static const unsigned char bad_setting[] = {0, 4, 0xff, 0xff, 0xff, 0xff}, good_setting[] = {0, 4, 0, 1, 0, 0};
	switch (below(chance, 14)) {
	case 0:
		put_frame(message, PRIORITY, 0, stream, "\0\0\0\1\20", 5);
		break;
	case 1:
		put_number_frame(message, WINDOW_UPDATE, stream, 0);
		break;
	case 2:
		put_number_frame(message, WINDOW_UPDATE, 0, 0x7fffffffu);
		break;
	case 3:
		put_number_frame(message, RST_STREAM, stream + 20, 8);
		break;
	case 4:
		put_frame(message, SETTINGS, 0, 0, bad_setting, sizeof(bad_setting));
		break;
	case 5:
		put_frame(message, SETTINGS, 0, 0, good_setting, sizeof(good_setting));
		break;
	case 6:
		put_frame(message, PUSH_PROMISE, END_HEADERS, stream, "\0\0\0\2", 4);
		break;
	case 7:
		put_frame(message, CONTINUATION, END_HEADERS, stream, "", 0);
		break;
	case 8:
		put_frame(message, DATA, 0, stream + 2, "GET /smuggled HTTP/1.1\r\n\r\n", 26);
		break;
	case 9:
		put_frame(message, DATA, 0, 0, "x", 1);
		break;
	case 10:
		put_frame(message, 0xbe, 0xff, stream, "unknown", 7);
		break;
	case 11:
		put_frame(message, PING, 0, 0, "seven b", 7);
		break;
	case 12:
		put_frame(message, SETTINGS, 0, stream, "", 0);
		break;
	case 13:
		put_frame(message, PRIORITY, 0, stream, "\0\0\0\0\0", 5);
		break;
	}
}

static void put_hostile_stream(struct message *message, struct chance *chance, nghttp2_hd_deflater *deflater, uint32_t stream,
                               unsigned long long number)
{
	static const char body[] = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\nPOST /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
	struct list list = {.count = 0}, trailers = {.count = 0};
	bool has_body = once_in(chance, 2), has_trailers = has_body && once_in(chance, 6);
	unsigned size = has_body ? below(chance, sizeof(body)) : 0;
	char length[16];
	snprintf(length, sizeof(length), "%u", wrong_in(chance, 10) ? size + 1 - below(chance, 3) : size);
	if (wrong_in(chance, 20))
		add_some(&list, chance);
	add_pseudo(&list, chance, number);
	add_some(&list, chance);
	if (once_in(chance, 3) || wrong_in(chance, 20))
		add_text(&list, "content-length", length);
	if (wrong_in(chance, 30))
		add_word(&list, "content-length", ONE_OF(chance, lengths));
	if (wrong_in(chance, 10))
		put_stray(message, chance, stream);
	put_headers(message, chance, deflater, stream, &list, has_body ? 0 : END_STREAM);
	if (wrong_in(chance, 10))
		put_stray(message, chance, stream);
	if (has_body)
		put_data(message, chance, stream, body, size, !has_trailers);
	if (has_trailers) {
		if (wrong_in(chance, 3))
			add_pseudo(&trailers, chance, number);
		add_some(&trailers, chance);
		put_headers(message, chance, deflater, stream, &trailers, END_STREAM);
	}
}

static void put_valid_stream(struct message *message, struct chance *chance, nghttp2_hd_deflater *deflater, uint32_t stream)
{
	char body[BODY_MOST], path[64], length[16];
	struct list list = {.count = 0};
	unsigned size = once_in(chance, 3) ? 0 : below(chance, BODY_MOST);
	uint32_t sum = make_body(body, size, chance);
	snprintf(path, sizeof(path), "/valid/%u/%u", size, sum);
	snprintf(length, sizeof(length), "%u", size);
	add_text(&list, ":method", size == 0 ? "GET" : "POST");
	add_text(&list, ":scheme", "http");
	add_text(&list, ":path", path);
	add_text(&list, ":authority", host);
	add_text(&list, "cookie", "a=b");
	add_text(&list, "cookie", "c=d");
	add_text(&list, "te", "trailers");
	if (once_in(chance, 2))
		add_text(&list, "accept-encoding", once_in(chance, 2) ? "gzip, br, zstd" : "*;q=0.5, gzip;q=0");
	if (size > 0 && once_in(chance, 2))
		add_text(&list, "content-length", length);
	chance->mildness = 1u << 20; /* nothing is wrong in these */
	put_headers(message, chance, deflater, stream, &list, size == 0 ? END_STREAM : 0);
	if (size > 0)
		put_data(message, chance, stream, body, size, true);
}

/* ---- what comes back --------------------------------------------------------------------------------------------- */

struct reader {
	unsigned char bytes[65536];
	size_t filled;
	nghttp2_hd_inflater *inflater;
	uint64_t streams_over; /* a bit for each that was answered wholly, or reset */
	bool ended;            /* GOAWAY with an error */
	bool acknowledged;     /* our PING */
};

static void read_block(struct reader *reader, const uint8_t *bytes, size_t size, struct answers *answers)
{
	nghttp2_nv field;
	int flags = 0;
	for (;;) {
		ssize_t used = nghttp2_hd_inflate_hd2(reader->inflater, &field, &flags, bytes, size, 1);
		if (used < 0)
			return;
		bytes += used;
		size -= (size_t)used;
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && field.namelen == 7 && memcmp(field.name, ":status", 7) == 0 &&
		    field.valuelen == 3)
			count_answer(answers, (const char *)field.value);
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && memmem(field.value, field.valuelen, "checker/", 8) != NULL)
			answers->named++;
		if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
			nghttp2_hd_inflate_end_headers(reader->inflater);
			return;
		}
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && size == 0)
			return;
	}
}

/* One whole frame; returns its size, 0 when more must come. Answers of ours are small: a block is always in one frame. */
static size_t take_frame(struct reader *reader, const unsigned char *at, size_t there, struct answers *answers, bool *settings)
{
	if (there < FRAME_HEAD)
		return 0;
	size_t size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
	unsigned type = at[3], flags = at[4];
	if (there < FRAME_HEAD + size)
		return 0;
	if (type == HEADERS)
		read_block(reader, at + FRAME_HEAD, size, answers);
	if (((type == HEADERS || type == DATA) && (flags & END_STREAM) != 0) || type == RST_STREAM)
		reader->streams_over |= UINT64_C(1) << (at[8] & 63);
	if (type == GOAWAY && size >= 8 && memcmp(at + FRAME_HEAD + 4, "\0\0\0\0", 4) != 0)
		reader->ended = true;
	if (type == PING && (flags & ACK) != 0)
		reader->acknowledged = true;
	*settings |= type == SETTINGS && (flags & ACK) == 0;
	return FRAME_HEAD + size;
}

/* Until noah ends, or until `streams` streams are over and the PING has come back. False: not in time. */
static bool read_until_over(int descriptor, struct reader *reader, unsigned streams, struct answers *answers)
{
	static const unsigned char acknowledgement[FRAME_HEAD] = {0, 0, 0, SETTINGS, ACK};
	bool told = false;
	for (;;) {
		ssize_t got = recv(descriptor, reader->bytes + reader->filled, sizeof(reader->bytes) - reader->filled, 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (got <= 0)
			return true;
		reader->filled += (size_t)got;
		size_t at = 0, used;
		bool settings = false;
		while ((used = take_frame(reader, reader->bytes + at, reader->filled - at, answers, &settings)) > 0)
			at += used;
		memmove(reader->bytes, reader->bytes + at, reader->filled - at);
		reader->filled -= at;
		if (settings)
			(void)!send(descriptor, acknowledgement, sizeof(acknowledgement), MSG_NOSIGNAL);
		if (!told &&
		    (reader->ended || (reader->acknowledged && (unsigned)__builtin_popcountll(reader->streams_over) >= streams))) {
			shutdown(descriptor, SHUT_WR);
			told = true;
		}
	}
}

/* Some bytes become others, behind the preface. */
static void spoil(struct message *message, struct chance *chance, size_t from)
{
	for (unsigned i = 1 + below(chance, 4); i > 0; i--)
		message->bytes[from + below(chance, (unsigned)(message->size - from))] = (char)draw(chance);
	if (once_in(chance, 3))
		message->size = from + below(chance, (unsigned)(message->size - from));
}

bool http2_case(unsigned long long number, struct chance *chance, bool valid, int descriptor, struct message *message,
                struct answers *answers)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	nghttp2_hd_deflater *deflater = NULL;
	struct reader *reader = calloc(1, sizeof(*reader));
	unsigned streams = 1 + below(chance, valid ? 6 : 3);
	bool spoilt = !valid && wrong_in(chance, 4), in_time = false;
	if (reader == NULL || nghttp2_hd_deflate_new(&deflater, 4096) != 0 || nghttp2_hd_inflate_new(&reader->inflater) != 0)
		goto out;
	put(message, preface, sizeof(preface) - 1);
	put_frame(message, SETTINGS, 0, 0, "", 0);
	size_t from = message->size;
	for (unsigned i = 0; i < streams; i++) {
		uint32_t stream = 2 * i + 1 + (!valid && wrong_in(chance, 40) ? below(chance, 3) - 1 : 0);
		if (valid)
			put_valid_stream(message, chance, deflater, stream);
		else
			put_hostile_stream(message, chance, deflater, stream, number);
	}
	put_frame(message, PING, 0, 0, "the end!", 8);
	if (spoilt)
		spoil(message, chance, from);
	answers->wanted = valid ? streams : 0;
	bool sent = send_in_pieces(descriptor, message, chance);
	if (sent && spoilt) /* noah may be waiting for the rest of a frame */
		shutdown(descriptor, SHUT_WR);
	in_time = read_until_over(descriptor, reader, streams, answers);
out:
	if (deflater != NULL)
		nghttp2_hd_deflate_del(deflater);
	if (reader != NULL && reader->inflater != NULL)
		nghttp2_hd_inflate_del(reader->inflater);
	free(reader);
	return in_time;
}
