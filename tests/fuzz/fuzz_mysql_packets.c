/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzzes every parser of single MySQL packets. The first byte chooses capabilities; a login that is accepted has to survive
 * being written and read again.
 */
#include <stdlib.h>

#include "proto/mysql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t variants[] = {
    MYSQL_CAN_PROTOCOL_41,
    MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_PLUGIN_AUTH | MYSQL_CAN_CONNECT_ATTRS,
    MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SESSION_TRACK | MYSQL_CAN_DEPRECATE_EOF,
    UINT64_MAX,
};

static void inside(struct span part, struct span whole)
{
	ASSERT(part.size == 0 || (part.start >= whole.start && part.start + part.size <= whole.start + whole.size));
}

static void write_login_again(const struct mysql_login *login)
{
	static uint8_t room[1 << 20];
	struct mysql_writer writer;
	struct mysql_packet packet;
	struct mysql_login back;
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_login_write(&writer, 1, login);
	if (writer.failed)
		return;
	struct span bytes = span_of(room, writer.size);
	ASSERT(mysql_packet_next(&bytes, &packet) && bytes.size == 0);
	ASSERT(mysql_login_parse(packet.payload, UINT64_MAX, &back));
	ASSERT(span_equal(back.user, login->user) && span_equal(back.reply, login->reply));
	ASSERT(span_equal(back.attributes, login->attributes) && back.capabilities == login->capabilities);
	if (login->capabilities & MYSQL_CAN_PLUGIN_AUTH)
		ASSERT(span_equal(back.plugin, login->plugin));
}

static void fuzz_login_phase(struct span payload, uint64_t capabilities)
{
	struct mysql_greeting greeting;
	struct mysql_login login;
	struct mysql_auth_switch auth_switch;
	struct span data, key, value;
	if (mysql_greeting_parse(payload, &greeting)) {
		inside(greeting.version, payload);
		inside(greeting.plugin, payload);
	}
	if (mysql_login_parse(payload, capabilities, &login)) {
		ASSERT(!mysql_is_tls_request(payload) || login.user.size == 0);
		inside(login.reply, payload);
		write_login_again(&login);
		while (mysql_attribute_next(&login.attributes, &key, &value))
			inside(value, payload);
	}
	if (mysql_change_user_parse(payload, capabilities, &login))
		inside(login.plugin, payload);
	if (mysql_auth_switch_parse(payload, &auth_switch))
		inside(auth_switch.data, payload);
	if (mysql_auth_more_parse(payload, &data))
		inside(data, payload);
}

static void fuzz_results(struct span payload, uint64_t capabilities)
{
	struct mysql_ok ok;
	struct mysql_failure failure;
	struct mysql_column column;
	struct mysql_prepared prepared;
	struct mysql_result result;
	struct mysql_track track;
	struct span fields[4];
	if (mysql_ok_parse(payload, capabilities, &ok)) {
		inside(ok.info, payload);
		inside(ok.track, payload);
		struct mysql_track_walk walk = {.rest = ok.track};
		while (mysql_track_next(&walk, &track)) {
			inside(track.name, payload);
			inside(track.value, payload);
		}
	}
	if (mysql_error_parse(payload, &failure))
		inside(failure.message, payload);
	if (mysql_column_parse(payload, capabilities, &column))
		inside(column.original_name, payload);
	(void)!mysql_prepared_parse(payload, &prepared);
	if (mysql_result_open(&result, payload, capabilities, fields, 4) == MYSQL_RESULT_ROWS)
		while (mysql_row_next(&result, fields, 4) == MYSQL_ROW)
			inside(fields[0], result.columns > 0 ? payload : fields[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	uint64_t capabilities = variants[data[0] % COUNT_OF(variants)];
	struct span payload = span_of(data + 1, size - 1);
	fuzz_login_phase(payload, capabilities);
	fuzz_results(payload, capabilities);
	uint8_t stored[MYSQL_SHA1_SIZE];
	(void)!mysql_native_parse_stored(payload, stored);
	return 0;
}
