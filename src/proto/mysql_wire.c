/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Basic types of the MySQL protocol: packet framing, integers, length-encoded values, read and written with bounds.
 * Pure; called by the other mysql_*.c files, by sql/ and by watch/, in any thread.
 */
#include "proto/mysql.h"

bool mysql_packet_next(struct span *bytes, struct mysql_packet *out)
{
	if (bytes->size < MYSQL_HEADER_SIZE)
		return false;
	uint32_t size = mysql_header_size(bytes->start);
	if (bytes->size - MYSQL_HEADER_SIZE < size)
		return false;
	out->sequence = mysql_header_sequence(bytes->start);
	out->payload = span_of(bytes->start + MYSQL_HEADER_SIZE, size);
	bytes->start += MYSQL_HEADER_SIZE + size;
	bytes->size -= MYSQL_HEADER_SIZE + size;
	return true;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

struct mysql_reader mysql_reader_of(struct span payload)
{
	const uint8_t *start = (const uint8_t *)(payload.size ? payload.start : "");
	return (struct mysql_reader){.next = start, .end = start + payload.size};
}

static uint64_t read_little(struct mysql_reader *reader, unsigned size)
{
	if (UNLIKELY(reader->failed || mysql_reader_left(reader) < size)) {
		reader->failed = true;
		return 0;
	}
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)reader->next[i] << (8 * i);
	reader->next += size;
	return value;
}

uint8_t mysql_read_u8(struct mysql_reader *reader)
{
	return (uint8_t)read_little(reader, 1);
}

uint16_t mysql_read_u16(struct mysql_reader *reader)
{
	return (uint16_t)read_little(reader, 2);
}

uint32_t mysql_read_u32(struct mysql_reader *reader)
{
	return (uint32_t)read_little(reader, 4);
}

uint64_t mysql_read_number(struct mysql_reader *reader)
{
	const uint8_t *before = reader->next;
	uint8_t first = mysql_read_u8(reader);
	uint64_t value = first;
	if (first == 0xFC)
		value = read_little(reader, 2);
	else if (first == 0xFD)
		value = read_little(reader, 3);
	else if (first == 0xFE)
		value = read_little(reader, 8);
	else if (first > 0xFA)
		reader->failed = true;
	if (reader->failed) {
		reader->next = before;
		return 0;
	}
	return value;
}

struct span mysql_read_bytes(struct mysql_reader *reader, size_t size)
{
	if (reader->failed || mysql_reader_left(reader) < size) {
		reader->failed = true;
		return (struct span){0};
	}
	struct span bytes = span_of(reader->next, size);
	reader->next += size;
	return bytes;
}

struct span mysql_read_text(struct mysql_reader *reader)
{
	const uint8_t *before = reader->next;
	uint64_t size = mysql_read_number(reader);
	if (reader->failed || mysql_reader_left(reader) < size) {
		reader->failed = true;
		reader->next = before;
		return (struct span){0};
	}
	return mysql_read_bytes(reader, (size_t)size);
}

struct span mysql_read_nullable(struct mysql_reader *reader)
{
	if (!reader->failed && mysql_reader_left(reader) > 0 && reader->next[0] == 0xFB) {
		reader->next++;
		return (struct span){0};
	}
	return mysql_read_text(reader);
}

struct span mysql_read_zero_text(struct mysql_reader *reader)
{
	size_t left = mysql_reader_left(reader);
	const uint8_t *zero = reader->failed || left == 0 ? NULL : memchr(reader->next, 0, left);
	if (zero == NULL) {
		reader->failed = true;
		return (struct span){0};
	}
	struct span text = span_of(reader->next, (size_t)(zero - reader->next));
	reader->next = zero + 1;
	return text;
}

struct span mysql_read_rest(struct mysql_reader *reader)
{
	return mysql_read_bytes(reader, mysql_reader_left(reader));
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

void mysql_writer_init(struct mysql_writer *writer, void *out, size_t room)
{
	*writer = (struct mysql_writer){.start = out, .room = room};
}

/* Room for `size` more bytes, or NULL after setting `failed`. */
static uint8_t *writer_extend(struct mysql_writer *writer, size_t size)
{
	if (writer->failed || writer->room - writer->size < size) {
		writer->failed = true;
		return NULL;
	}
	uint8_t *place = writer->start + writer->size;
	writer->size += size;
	return place;
}

static void write_little(struct mysql_writer *writer, uint64_t value, unsigned size)
{
	uint8_t *place = writer_extend(writer, size);
	for (unsigned i = 0; place != NULL && i < size; i++)
		place[i] = (uint8_t)(value >> (8 * i));
}

void mysql_packet_begin(struct mysql_writer *writer, uint8_t sequence)
{
	writer->packet = writer->size;
	write_little(writer, (uint64_t)sequence << 24, MYSQL_HEADER_SIZE);
}

void mysql_packet_end(struct mysql_writer *writer)
{
	if (writer->failed)
		return;
	size_t size = writer->size - writer->packet - MYSQL_HEADER_SIZE;
	if (size >= MYSQL_PAYLOAD_MOST) {
		writer->failed = true;
		return;
	}
	uint8_t *header = writer->start + writer->packet;
	header[0] = (uint8_t)size;
	header[1] = (uint8_t)(size >> 8);
	header[2] = (uint8_t)(size >> 16);
}

void mysql_write_u8(struct mysql_writer *writer, uint8_t value)
{
	write_little(writer, value, 1);
}

void mysql_write_u16(struct mysql_writer *writer, uint16_t value)
{
	write_little(writer, value, 2);
}

void mysql_write_u32(struct mysql_writer *writer, uint32_t value)
{
	write_little(writer, value, 4);
}

void mysql_write_number(struct mysql_writer *writer, uint64_t value)
{
	if (value <= 0xFA) {
		write_little(writer, value, 1);
	} else if (value <= 0xFFFF) {
		write_little(writer, 0xFC, 1);
		write_little(writer, value, 2);
	} else if (value <= 0xFFFFFF) {
		write_little(writer, 0xFD, 1);
		write_little(writer, value, 3);
	} else {
		write_little(writer, 0xFE, 1);
		write_little(writer, value, 8);
	}
}

void mysql_write_bytes(struct mysql_writer *writer, struct span bytes)
{
	uint8_t *place = writer_extend(writer, bytes.size);
	if (place != NULL && bytes.size > 0)
		memcpy(place, bytes.start, bytes.size);
}

void mysql_write_text(struct mysql_writer *writer, struct span text)
{
	mysql_write_number(writer, text.size);
	mysql_write_bytes(writer, text);
}

void mysql_write_zero_text(struct mysql_writer *writer, struct span text)
{
	if (text.size > 0 && memchr(text.start, 0, text.size) != NULL)
		writer->failed = true;
	mysql_write_bytes(writer, text);
	mysql_write_u8(writer, 0);
}

void mysql_write_zeros(struct mysql_writer *writer, size_t count)
{
	uint8_t *place = writer_extend(writer, count);
	if (place != NULL && count > 0)
		memset(place, 0, count);
}

void mysql_write_command(struct mysql_writer *writer, uint8_t command, struct span argument)
{
	mysql_packet_begin(writer, 0);
	mysql_write_u8(writer, command);
	mysql_write_bytes(writer, argument);
	mysql_packet_end(writer);
}
