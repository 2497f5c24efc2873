/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The packets that end things (OK, ERR, EOF), session tracking, and small text result sets: those that noah asks for itself
 * (positions, users, roles) and those that it answers itself. Pure; called by sql/ and watch/.
 */
#include "proto/mysql.h"

#define MESSAGE_MOST 512 /* MYSQL_ERRMSG_SIZE of the servers */

/* ---- OK, ERR, EOF --------------------------------------------------------------------------------------------- */

bool mysql_ok_parse(struct span payload, uint64_t capabilities, struct mysql_ok *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_ok){0};
	uint8_t header = mysql_read_u8(&reader);
	if (header != 0x00 && header != 0xFE)
		return false;
	out->affected_rows = mysql_read_number(&reader);
	out->last_insert_id = mysql_read_number(&reader);
	out->status = mysql_read_u16(&reader);
	out->warnings = mysql_read_u16(&reader);
	if (reader.failed)
		return false;
	if (mysql_reader_left(&reader) == 0)
		return true;
	if (capabilities & MYSQL_CAN_SESSION_TRACK) {
		out->info = mysql_read_text(&reader);
		if ((out->status & MYSQL_STATUS_SESSION_STATE_CHANGED) && mysql_reader_left(&reader) > 0)
			out->track = mysql_read_text(&reader);
		return !reader.failed;
	}
	/* Documented as "the rest"; every server sends a length in front of it. */
	struct mysql_reader again = reader;
	out->info = mysql_read_text(&reader);
	if (reader.failed || mysql_reader_left(&reader) > 0)
		out->info = mysql_read_rest(&again);
	return true;
}

bool mysql_error_parse(struct span payload, struct mysql_failure *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_failure){.sqlstate = "HY000"};
	if (mysql_read_u8(&reader) != 0xFF)
		return false;
	out->code = mysql_read_u16(&reader);
	if (mysql_reader_left(&reader) >= 6 && reader.next[0] == '#') {
		mysql_read_u8(&reader);
		struct span sqlstate = mysql_read_bytes(&reader, 5);
		memcpy(out->sqlstate, sqlstate.start, 5);
	}
	out->message = mysql_read_rest(&reader);
	return !reader.failed;
}

bool mysql_eof_parse(struct span payload, uint16_t *warnings, uint16_t *status)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	if (payload.size >= 9 || mysql_read_u8(&reader) != 0xFE)
		return false;
	*warnings = mysql_read_u16(&reader);
	*status = mysql_read_u16(&reader);
	return !reader.failed;
}

static void write_ok_payload(struct mysql_writer *writer, uint8_t header, uint64_t capabilities, const struct mysql_ok *ok)
{
	bool tracks = (capabilities & MYSQL_CAN_SESSION_TRACK) && ok->track.size > 0;
	uint16_t status = ok->status & (uint16_t)~MYSQL_STATUS_SESSION_STATE_CHANGED;
	if (tracks)
		status |= MYSQL_STATUS_SESSION_STATE_CHANGED;
	mysql_write_u8(writer, header);
	mysql_write_number(writer, ok->affected_rows);
	mysql_write_number(writer, ok->last_insert_id);
	mysql_write_u16(writer, status);
	mysql_write_u16(writer, ok->warnings);
	if (tracks || ok->info.size > 0)
		mysql_write_text(writer, ok->info);
	if (tracks)
		mysql_write_text(writer, ok->track);
}

void mysql_ok_write(struct mysql_writer *writer, uint8_t sequence, uint64_t capabilities, const struct mysql_ok *ok)
{
	mysql_packet_begin(writer, sequence);
	write_ok_payload(writer, 0x00, capabilities, ok);
	mysql_packet_end(writer);
}

void mysql_error_write(struct mysql_writer *writer, uint8_t sequence, uint64_t capabilities, uint16_t code, const char *sqlstate,
                       struct span message)
{
	if (message.size > MESSAGE_MOST)
		message.size = MESSAGE_MOST;
	mysql_packet_begin(writer, sequence);
	mysql_write_u8(writer, 0xFF);
	mysql_write_u16(writer, code);
	if (capabilities & MYSQL_CAN_PROTOCOL_41) {
		mysql_write_u8(writer, '#');
		mysql_write_bytes(writer, span_of(sqlstate != NULL ? sqlstate : mysql_sqlstate(code), 5));
	}
	mysql_write_bytes(writer, message);
	mysql_packet_end(writer);
}

void mysql_end_write(struct mysql_writer *writer, uint8_t sequence, uint64_t capabilities, uint16_t status, uint16_t warnings)
{
	mysql_packet_begin(writer, sequence);
	if (capabilities & MYSQL_CAN_DEPRECATE_EOF) {
		write_ok_payload(writer, 0xFE, capabilities, &(struct mysql_ok){.status = status, .warnings = warnings});
	} else {
		mysql_write_u8(writer, 0xFE);
		mysql_write_u16(writer, warnings);
		mysql_write_u16(writer, status);
	}
	mysql_packet_end(writer);
}

/* ---- session tracking ----------------------------------------------------------------------------------------- */

/* The next entry's outer shell: kind, length, data. False at the end or when it is malformed. */
static bool track_open(struct mysql_track_walk *walk, uint8_t *kind, struct span *data)
{
	struct mysql_reader reader = mysql_reader_of(walk->rest);
	if (mysql_reader_left(&reader) == 0)
		return false;
	*kind = mysql_read_u8(&reader);
	*data = mysql_read_text(&reader);
	walk->broken = reader.failed;
	if (reader.failed)
		return false;
	walk->rest = mysql_read_rest(&reader);
	return true;
}

bool mysql_track_next(struct mysql_track_walk *walk, struct mysql_track *out)
{
	struct span data = walk->inner;
	uint8_t kind = MYSQL_TRACK_SYSTEM_VARIABLE;
	walk->inner = (struct span){0};
	if (walk->broken || (data.size == 0 && !track_open(walk, &kind, &data)))
		return false;

	struct mysql_reader reader = mysql_reader_of(data);
	*out = (struct mysql_track){.kind = kind};
	switch (kind) {
	case MYSQL_TRACK_SYSTEM_VARIABLE:
		out->name = mysql_read_text(&reader);
		out->value = mysql_read_text(&reader);
		/* Several variables may share one entry. */
		walk->inner = mysql_read_rest(&reader);
		break;
	case MYSQL_TRACK_GTIDS:
		mysql_read_u8(&reader); /* how they are encoded: 0, text */
		out->value = mysql_read_text(&reader);
		break;
	case MYSQL_TRACK_SCHEMA:
	case MYSQL_TRACK_STATE_CHANGE:
	case MYSQL_TRACK_TRANSACTION_CHARACTERISTICS:
	case MYSQL_TRACK_TRANSACTION_STATE:
		out->value = mysql_read_text(&reader);
		break;
	default:
		out->value = data;
	}
	walk->broken = reader.failed;
	return !reader.failed;
}

/* ---- reading a small result ----------------------------------------------------------------------------------- */

bool mysql_column_parse(struct span payload, uint64_t capabilities, struct mysql_column *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_column){0};
	mysql_read_text(&reader); /* the catalogue: "def" */
	out->schema = mysql_read_text(&reader);
	out->table = mysql_read_text(&reader);
	out->original_table = mysql_read_text(&reader);
	out->name = mysql_read_text(&reader);
	out->original_name = mysql_read_text(&reader);
	if (capabilities & MYSQL_CAN_MARIADB_EXTENDED_METADATA)
		mysql_read_text(&reader);
	uint64_t fixed = mysql_read_number(&reader);
	out->collation = mysql_read_u16(&reader);
	out->length = mysql_read_u32(&reader);
	out->type = mysql_read_u8(&reader);
	out->flags = mysql_read_u16(&reader);
	out->decimals = mysql_read_u8(&reader);
	return !reader.failed && fixed == 12;
}

bool mysql_prepared_parse(struct span payload, struct mysql_prepared *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_prepared){0};
	if (mysql_read_u8(&reader) != 0x00)
		return false;
	out->statement_id = mysql_read_u32(&reader);
	out->columns = mysql_read_u16(&reader);
	out->parameters = mysql_read_u16(&reader);
	mysql_read_u8(&reader);
	out->warnings = mysql_read_u16(&reader);
	return !reader.failed;
}

/* The column definitions behind the count, and the EOF of old clients behind them. */
static bool read_columns(struct mysql_result *result, bool follow, struct span *names, unsigned names_room)
{
	struct mysql_packet packet;
	for (unsigned i = 0; i < result->columns; i++) {
		struct mysql_column column = {0};
		if (follow &&
		    (!mysql_packet_next(&result->rest, &packet) || !mysql_column_parse(packet.payload, result->capabilities, &column)))
			return false;
		if (i < names_room)
			names[i] = column.name;
	}
	if (result->capabilities & MYSQL_CAN_DEPRECATE_EOF)
		return true;
	uint16_t warnings, status;
	return mysql_packet_next(&result->rest, &packet) && mysql_eof_parse(packet.payload, &warnings, &status);
}

enum mysql_result_kind mysql_result_open(struct mysql_result *result, struct span answer, uint64_t capabilities,
                                         struct span *names, unsigned names_room)
{
	*result = (struct mysql_result){.rest = answer, .capabilities = capabilities};
	struct mysql_packet packet;
	if (!mysql_packet_next(&result->rest, &packet) || packet.payload.size == 0)
		return MYSQL_RESULT_BROKEN;
	switch ((uint8_t)packet.payload.start[0]) {
	case 0x00:
		result->ended = true;
		return mysql_ok_parse(packet.payload, capabilities, &result->ok) ? MYSQL_RESULT_OK : MYSQL_RESULT_BROKEN;
	case 0xFF:
		result->ended = true;
		return mysql_error_parse(packet.payload, &result->failure) ? MYSQL_RESULT_ERROR : MYSQL_RESULT_BROKEN;
	default:
		break;
	}
	struct mysql_reader reader = mysql_reader_of(packet.payload);
	uint64_t columns = mysql_read_number(&reader);
	bool follow = !(capabilities & MYSQL_CAN_MARIADB_CACHE_METADATA) || mysql_read_u8(&reader) != 0;
	if (reader.failed || mysql_reader_left(&reader) > 0 || columns > 0xFFFF)
		return MYSQL_RESULT_BROKEN;
	result->columns = (unsigned)columns;
	return read_columns(result, follow, names, names_room) ? MYSQL_RESULT_ROWS : MYSQL_RESULT_BROKEN;
}

/* The packet behind the last row. */
static enum mysql_row_kind end_rows(struct mysql_result *result, struct span payload)
{
	result->ended = true;
	if (mysql_is_error(payload))
		return mysql_error_parse(payload, &result->failure) ? MYSQL_ROW_ERROR : MYSQL_ROW_BROKEN;
	bool good = result->capabilities & MYSQL_CAN_DEPRECATE_EOF
	                ? mysql_ok_parse(payload, result->capabilities, &result->ok)
	                : mysql_eof_parse(payload, &result->ok.warnings, &result->ok.status);
	return good ? MYSQL_ROW_END : MYSQL_ROW_BROKEN;
}

enum mysql_row_kind mysql_row_next(struct mysql_result *result, struct span *fields, unsigned room)
{
	struct mysql_packet packet;
	if (result->ended)
		return MYSQL_ROW_END;
	if (!mysql_packet_next(&result->rest, &packet) || packet.payload.size == 0 || packet.payload.size == MYSQL_PAYLOAD_MOST)
		return MYSQL_ROW_BROKEN;
	/* A row that begins with 0xFE has a field of 16 MB: not in a packet of this size. */
	if ((uint8_t)packet.payload.start[0] >= 0xFE)
		return end_rows(result, packet.payload);
	struct mysql_reader reader = mysql_reader_of(packet.payload);
	for (unsigned i = 0; i < result->columns; i++) {
		struct span field = mysql_read_nullable(&reader);
		if (i < room)
			fields[i] = field;
	}
	return reader.failed || mysql_reader_left(&reader) > 0 ? MYSQL_ROW_BROKEN : MYSQL_ROW;
}

/* ---- writing a small result ----------------------------------------------------------------------------------- */

static void write_column(struct mysql_writer *writer, uint64_t capabilities, struct span name)
{
	mysql_write_text(writer, SPAN("def"));
	mysql_write_text(writer, SPAN("")); /* schema */
	mysql_write_text(writer, SPAN("")); /* table */
	mysql_write_text(writer, SPAN("")); /* original table */
	mysql_write_text(writer, name);
	mysql_write_text(writer, SPAN("")); /* original name */
	if (capabilities & MYSQL_CAN_MARIADB_EXTENDED_METADATA)
		mysql_write_text(writer, SPAN(""));
	mysql_write_number(writer, 12);
	mysql_write_u16(writer, MYSQL_COLLATION_UTF8MB3_GENERAL);
	mysql_write_u32(writer, 1024);
	mysql_write_u8(writer, 0xFD); /* MYSQL_TYPE_VAR_STRING */
	mysql_write_u16(writer, 0);
	mysql_write_u8(writer, 0x1F); /* decimals: not fixed */
	mysql_write_zeros(writer, 2);
}

void mysql_columns_write(struct mysql_writer *writer, uint8_t *sequence, uint64_t capabilities, const struct span *names,
                         unsigned count)
{
	mysql_packet_begin(writer, (*sequence)++);
	mysql_write_number(writer, count);
	if (capabilities & MYSQL_CAN_MARIADB_CACHE_METADATA)
		mysql_write_u8(writer, 1);
	mysql_packet_end(writer);
	for (unsigned i = 0; i < count; i++) {
		mysql_packet_begin(writer, (*sequence)++);
		write_column(writer, capabilities, names[i]);
		mysql_packet_end(writer);
	}
	if (!(capabilities & MYSQL_CAN_DEPRECATE_EOF))
		mysql_end_write(writer, (*sequence)++, capabilities, MYSQL_STATUS_AUTOCOMMIT, 0);
}

void mysql_row_write(struct mysql_writer *writer, uint8_t *sequence, const struct span *fields, unsigned count)
{
	mysql_packet_begin(writer, (*sequence)++);
	for (unsigned i = 0; i < count; i++) {
		if (fields[i].start == NULL)
			mysql_write_u8(writer, 0xFB);
		else
			mysql_write_text(writer, fields[i]);
	}
	mysql_packet_end(writer);
}
