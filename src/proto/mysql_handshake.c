/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection phase of the MySQL protocol: greeting (Handshake v10), login (HandshakeResponse41), switching the
 * authentication method, COM_CHANGE_USER. Both directions, because noah is a server to clients and a client to servers.
 * Pure; called by sql/ and watch/.
 */
#include "proto/mysql.h"

#define PROTOCOL_VERSION       10
#define LOGIN_FIXED_SIZE       32 /* capabilities, packet size, collation, 23 reserved */
#define EXTENDED_SHIFT         32
#define MARIADB_VERSION_PREFIX "5.5.5-"

/* ---- greeting ------------------------------------------------------------------------------------------------- */

/* "10.11.6-MariaDB" gives 101106; 0 when it does not begin with three numbers that fit. */
static uint32_t version_to_number(struct span version)
{
	uint32_t number = 0;
	size_t at = 0;
	for (unsigned part = 0; part < 3; part++) {
		uint32_t value = 0;
		size_t begin = at;
		while (at < version.size && version.start[at] >= '0' && version.start[at] <= '9' && at - begin < 3)
			value = value * 10 + (uint32_t)(version.start[at++] - '0');
		if (at == begin || value > 99)
			return 0;
		number = number * 100 + value;
		if (part < 2 && (at == version.size || version.start[at++] != '.'))
			return 0;
	}
	return number;
}

static bool contains(struct span text, struct span what)
{
	return text.size >= what.size && memmem(text.start, text.size, what.start, what.size) != NULL;
}

/* What follows the capabilities' low half; a server too old to send it is not supported (before 4.1). */
static void read_greeting_rest(struct mysql_reader *reader, struct mysql_greeting *out)
{
	out->collation = mysql_read_u8(reader);
	out->status = mysql_read_u16(reader);
	out->capabilities |= (uint64_t)mysql_read_u16(reader) << 16;
	uint8_t scramble_size = mysql_read_u8(reader);
	mysql_read_bytes(reader, 6);
	uint64_t extended = mysql_read_u32(reader);
	if (!(out->capabilities & MYSQL_CAN_LONG_PASSWORD))
		out->capabilities |= extended << EXTENDED_SHIFT;

	/* The second part is 13 bytes at least: 12 of scramble and a zero. */
	struct span second = mysql_read_bytes(reader, scramble_size > 21 ? scramble_size - 8u : 13);
	if (reader->failed)
		return;
	memcpy(out->scramble + 8, second.start, 12);
	if (out->capabilities & MYSQL_CAN_PLUGIN_AUTH) {
		struct span rest = mysql_read_rest(reader);
		/* Some old servers forget the zero at the end (MySQL bug 59453). */
		out->plugin = span_cut(&rest, '\0');
	}
}

bool mysql_greeting_parse(struct span payload, struct mysql_greeting *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_greeting){0};
	if (mysql_read_u8(&reader) != PROTOCOL_VERSION)
		return false;
	out->version = mysql_read_zero_text(&reader);
	out->connection_id = mysql_read_u32(&reader);
	struct span first = mysql_read_bytes(&reader, 8);
	mysql_read_u8(&reader);
	out->capabilities = mysql_read_u16(&reader);
	if (reader.failed)
		return false;
	memcpy(out->scramble, first.start, 8);
	read_greeting_rest(&reader, out);
	if (reader.failed || !(out->capabilities & MYSQL_CAN_PROTOCOL_41))
		return false;

	struct span version = out->version;
	bool prefixed = span_starts_with(version, SPAN(MARIADB_VERSION_PREFIX));
	out->is_mariadb = prefixed || !(out->capabilities & MYSQL_CAN_LONG_PASSWORD) || contains(version, SPAN("MariaDB"));
	if (prefixed)
		version = span_of(version.start + strlen(MARIADB_VERSION_PREFIX), version.size - strlen(MARIADB_VERSION_PREFIX));
	out->version_number = version_to_number(version);
	return true;
}

void mysql_greeting_write(struct mysql_writer *writer, const struct mysql_greeting *greeting)
{
	uint64_t capabilities = greeting->capabilities;
	mysql_packet_begin(writer, 0);
	mysql_write_u8(writer, PROTOCOL_VERSION);
	mysql_write_zero_text(writer, greeting->version);
	mysql_write_u32(writer, greeting->connection_id);
	mysql_write_bytes(writer, span_of(greeting->scramble, 8));
	mysql_write_u8(writer, 0);
	mysql_write_u16(writer, (uint16_t)capabilities);
	mysql_write_u8(writer, greeting->collation);
	mysql_write_u16(writer, greeting->status);
	mysql_write_u16(writer, (uint16_t)(capabilities >> 16));
	mysql_write_u8(writer, MYSQL_SCRAMBLE_SIZE + 1);
	mysql_write_zeros(writer, 6);
	mysql_write_u32(writer, capabilities & MYSQL_CAN_LONG_PASSWORD ? 0 : (uint32_t)(capabilities >> EXTENDED_SHIFT));
	mysql_write_bytes(writer, span_of(greeting->scramble + 8, 12));
	mysql_write_u8(writer, 0);
	if (capabilities & MYSQL_CAN_PLUGIN_AUTH)
		mysql_write_zero_text(writer, greeting->plugin);
	mysql_packet_end(writer);
}

void mysql_scramble_make(const uint8_t random[MYSQL_SCRAMBLE_SIZE], uint8_t out[MYSQL_SCRAMBLE_SIZE])
{
	for (size_t i = 0; i < MYSQL_SCRAMBLE_SIZE; i++) {
		uint8_t byte = random[i] & 0x7F;
		out[i] = byte == 0 || byte == '$' ? byte + 1 : byte;
	}
}

/* ---- login ---------------------------------------------------------------------------------------------------- */

bool mysql_is_tls_request(struct span payload)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	uint32_t capabilities = mysql_read_u32(&reader);
	return payload.size == LOGIN_FIXED_SIZE && (capabilities & MYSQL_CAN_SSL);
}

/* The authentication response comes in one of three encodings, as the capabilities say. */
static struct span read_login_reply(struct mysql_reader *reader, uint64_t capabilities)
{
	if (capabilities & MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA)
		return mysql_read_text(reader);
	if (capabilities & MYSQL_CAN_SECURE_CONNECTION)
		return mysql_read_bytes(reader, mysql_read_u8(reader));
	return mysql_read_zero_text(reader);
}

/* Connect attributes have one length in front of them all; clients that end the packet before it sent none. */
static struct span read_attributes(struct mysql_reader *reader)
{
	return mysql_reader_left(reader) == 0 ? (struct span){0} : mysql_read_text(reader);
}

bool mysql_login_parse(struct span payload, uint64_t greeted, struct mysql_login *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_login){0};
	uint64_t capabilities = mysql_read_u32(&reader);
	out->packet_most = mysql_read_u32(&reader);
	out->collation = mysql_read_u8(&reader);
	out->has_collation = true;
	mysql_read_bytes(&reader, 19);
	uint64_t extended = mysql_read_u32(&reader);
	if (!(capabilities & MYSQL_CAN_LONG_PASSWORD))
		capabilities |= extended << EXTENDED_SHIFT;
	/* What we did not offer is not agreed, and both sides read the rest without it. */
	capabilities &= greeted | MYSQL_CAN_LONG_PASSWORD;
	out->capabilities = capabilities;
	if (reader.failed || !(capabilities & MYSQL_CAN_PROTOCOL_41))
		return false;

	out->user = mysql_read_zero_text(&reader);
	out->reply = read_login_reply(&reader, capabilities);
	if ((capabilities & MYSQL_CAN_CONNECT_WITH_DB) && mysql_reader_left(&reader) > 0)
		out->database = mysql_read_zero_text(&reader);
	if ((capabilities & MYSQL_CAN_PLUGIN_AUTH) && mysql_reader_left(&reader) > 0)
		out->plugin = mysql_read_zero_text(&reader);
	if (capabilities & MYSQL_CAN_CONNECT_ATTRS)
		out->attributes = read_attributes(&reader);
	if ((capabilities & MYSQL_CAN_ZSTD_COMPRESSION) && mysql_reader_left(&reader) > 0)
		out->zstd_level = mysql_read_u8(&reader);
	return !reader.failed;
}

void mysql_login_write(struct mysql_writer *writer, uint8_t sequence, const struct mysql_login *login)
{
	uint64_t capabilities = login->capabilities;
	mysql_packet_begin(writer, sequence);
	mysql_write_u32(writer, (uint32_t)capabilities);
	mysql_write_u32(writer, login->packet_most);
	mysql_write_u8(writer, (uint8_t)login->collation);
	mysql_write_zeros(writer, 19);
	mysql_write_u32(writer, capabilities & MYSQL_CAN_LONG_PASSWORD ? 0 : (uint32_t)(capabilities >> EXTENDED_SHIFT));
	mysql_write_zero_text(writer, login->user);
	if (capabilities & MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
		mysql_write_text(writer, login->reply);
	} else if (capabilities & MYSQL_CAN_SECURE_CONNECTION) {
		if (login->reply.size > 0xFF)
			writer->failed = true;
		mysql_write_u8(writer, (uint8_t)login->reply.size);
		mysql_write_bytes(writer, login->reply);
	} else {
		mysql_write_zero_text(writer, login->reply);
	}
	if (capabilities & MYSQL_CAN_CONNECT_WITH_DB)
		mysql_write_zero_text(writer, login->database);
	if (capabilities & MYSQL_CAN_PLUGIN_AUTH)
		mysql_write_zero_text(writer, login->plugin);
	if (capabilities & MYSQL_CAN_CONNECT_ATTRS)
		mysql_write_text(writer, login->attributes);
	if (capabilities & MYSQL_CAN_ZSTD_COMPRESSION)
		mysql_write_u8(writer, login->zstd_level);
	mysql_packet_end(writer);
}

bool mysql_attribute_next(struct span *rest, struct span *key, struct span *value)
{
	if (rest->size == 0)
		return false;
	struct mysql_reader reader = mysql_reader_of(*rest);
	*key = mysql_read_text(&reader);
	*value = mysql_read_text(&reader);
	if (reader.failed)
		return false;
	*rest = mysql_read_rest(&reader);
	return true;
}

/* ---- COM_CHANGE_USER ------------------------------------------------------------------------------------------ */

bool mysql_change_user_parse(struct span payload, uint64_t capabilities, struct mysql_login *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_login){.capabilities = capabilities};
	if (mysql_read_u8(&reader) != MYSQL_COM_CHANGE_USER)
		return false;
	out->user = mysql_read_zero_text(&reader);
	/* Here the length is always one byte, whatever PLUGIN_AUTH_LENENC_CLIENT_DATA says. */
	out->reply = read_login_reply(&reader, capabilities & ~MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA);
	out->database = mysql_read_zero_text(&reader);
	if (!reader.failed && mysql_reader_left(&reader) > 0) {
		out->collation = mysql_read_u16(&reader);
		out->has_collation = true;
		if ((capabilities & MYSQL_CAN_PLUGIN_AUTH) && mysql_reader_left(&reader) > 0)
			out->plugin = mysql_read_zero_text(&reader);
		if (capabilities & MYSQL_CAN_CONNECT_ATTRS)
			out->attributes = read_attributes(&reader);
	}
	return !reader.failed;
}

void mysql_change_user_write(struct mysql_writer *writer, uint64_t capabilities, const struct mysql_login *login)
{
	mysql_packet_begin(writer, 0);
	mysql_write_u8(writer, MYSQL_COM_CHANGE_USER);
	mysql_write_zero_text(writer, login->user);
	if (capabilities & MYSQL_CAN_SECURE_CONNECTION) {
		if (login->reply.size > 0xFF)
			writer->failed = true;
		mysql_write_u8(writer, (uint8_t)login->reply.size);
		mysql_write_bytes(writer, login->reply);
	} else {
		mysql_write_zero_text(writer, login->reply);
	}
	mysql_write_zero_text(writer, login->database);
	mysql_write_u16(writer, login->collation);
	if (capabilities & MYSQL_CAN_PLUGIN_AUTH)
		mysql_write_zero_text(writer, login->plugin);
	if (capabilities & MYSQL_CAN_CONNECT_ATTRS)
		mysql_write_text(writer, login->attributes);
	mysql_packet_end(writer);
}

/* ---- switching the method ------------------------------------------------------------------------------------- */

bool mysql_auth_switch_parse(struct span payload, struct mysql_auth_switch *out)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	*out = (struct mysql_auth_switch){0};
	if (mysql_read_u8(&reader) != 0xFE)
		return false;
	out->plugin = mysql_read_zero_text(&reader);
	out->data = mysql_read_rest(&reader);
	if (reader.failed || out->plugin.size == 0)
		return false;
	if (out->data.size == MYSQL_SCRAMBLE_SIZE + 1 && out->data.start[MYSQL_SCRAMBLE_SIZE] == '\0')
		out->data.size--;
	return true;
}

void mysql_auth_switch_write(struct mysql_writer *writer, uint8_t sequence, struct span plugin,
                             const uint8_t scramble[MYSQL_SCRAMBLE_SIZE])
{
	mysql_packet_begin(writer, sequence);
	mysql_write_u8(writer, 0xFE);
	mysql_write_zero_text(writer, plugin);
	mysql_write_bytes(writer, span_of(scramble, MYSQL_SCRAMBLE_SIZE));
	mysql_write_u8(writer, 0);
	mysql_packet_end(writer);
}

bool mysql_auth_more_parse(struct span payload, struct span *data)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	if (mysql_read_u8(&reader) != 0x01 || reader.failed)
		return false;
	*data = mysql_read_rest(&reader);
	return true;
}
