/* SPDX-License-Identifier: BSD-2-Clause
 *
 * MySQL protocol: basic types, greeting, login, change user, mysql_native_password.
 */
#include "unit.h"

#include "edge.h"
#include "proto/mysql.h"

#include <stdlib.h>

/* Payload of the one packet that a writer holds. */
static struct span only_payload(const struct mysql_writer *writer)
{
	struct span bytes = span_of(writer->start, writer->size);
	struct mysql_packet packet;
	assert_false(writer->failed);
	assert_true(mysql_packet_next(&bytes, &packet));
	assert_int_equal(bytes.size, 0);
	return packet.payload;
}

static void assert_text(struct span got, const char *want)
{
	if (!span_equal(got, span_of_text(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", (int)got.size, got.start, want);
}

static void numbers_go_both_ways(void **state)
{
	(void)state;
	static const struct {
		uint64_t value;
		size_t size;
	} table[] = {{0, 1}, {250, 1}, {251, 3}, {0xFFFF, 3}, {0x10000, 4}, {0xFFFFFF, 4}, {0x1000000, 9}, {UINT64_MAX, 9}};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		uint8_t room[16];
		struct mysql_writer writer;
		mysql_writer_init(&writer, room, sizeof(room));
		mysql_write_number(&writer, table[i].value);
		assert_int_equal(writer.size, table[i].size);
		struct mysql_reader reader = mysql_reader_of(span_of(room, writer.size));
		assert_int_equal(mysql_read_number(&reader), table[i].value);
		assert_false(reader.failed);
		for (size_t size = 0; size < writer.size; size++) {
			reader = mysql_reader_of(span_of(room, size));
			assert_int_equal(mysql_read_number(&reader), 0);
			assert_true(reader.failed);
		}
	}
	struct mysql_reader reader = mysql_reader_of(SPAN("\xFB"));
	mysql_read_number(&reader);
	assert_true(reader.failed);
	reader = mysql_reader_of(SPAN("\xFB\x01x"));
	assert_null(mysql_read_nullable(&reader).start);
	assert_text(mysql_read_nullable(&reader), "x");
	assert_false(reader.failed);
	/* A length that would wrap around. */
	reader = mysql_reader_of(SPAN("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFxx"));
	assert_int_equal(mysql_read_text(&reader).size, 0);
	assert_true(reader.failed);
}

static void writers_keep_their_room(void **state)
{
	(void)state;
	uint8_t room[12] = {0};
	struct mysql_writer writer;
	mysql_writer_init(&writer, room, 10);
	mysql_write_command(&writer, MYSQL_COM_QUERY, SPAN("12345"));
	assert_false(writer.failed);
	assert_int_equal(writer.size, 10);
	assert_memory_equal(room,
	                    "\x06\0\0\0\x03"
	                    "12345",
	                    10);
	mysql_write_u8(&writer, 1);
	assert_true(writer.failed);
	assert_int_equal(room[10], 0);
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_write_zero_text(&writer, SPAN("a\0b"));
	assert_true(writer.failed);
	/* A payload of 16 MB would need a second packet. */
	size_t size = MYSQL_PAYLOAD_MOST + 8u;
	char *large = calloc(1, size), *out = malloc(size + 8);
	mysql_writer_init(&writer, out, size + 8);
	mysql_write_command(&writer, MYSQL_COM_QUERY, span_of(large, MYSQL_PAYLOAD_MOST - 1u));
	assert_true(writer.failed);
	free(large);
	free(out);
}

static void greetings(void **state)
{
	(void)state;
	uint8_t room[200];
	struct mysql_writer writer;
	struct mysql_greeting greeting = {
	    .version = SPAN("5.5.5-10.11.6-MariaDB-noah"),
	    .connection_id = 0x01020304,
	    .capabilities =
	        MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_PLUGIN_AUTH | MYSQL_CAN_MARIADB_CACHE_METADATA,
	    .collation = MYSQL_COLLATION_UTF8MB4_GENERAL,
	    .status = MYSQL_STATUS_AUTOCOMMIT,
	    .plugin = SPAN("mysql_native_password"),
	};
	uint8_t random[MYSQL_SCRAMBLE_SIZE] = {0, '$', 0x80, 0xFF, 0xA4};
	mysql_scramble_make(random, greeting.scramble);
	for (size_t i = 0; i < MYSQL_SCRAMBLE_SIZE; i++)
		assert_true(greeting.scramble[i] > 0 && greeting.scramble[i] < 0x80 && greeting.scramble[i] != '$');
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_greeting_write(&writer, &greeting);
	struct span payload = only_payload(&writer);
	struct mysql_greeting back;
	assert_true(mysql_greeting_parse(payload, &back));
	assert_true(span_equal(back.version, greeting.version));
	assert_int_equal(back.version_number, 101106);
	assert_true(back.is_mariadb);
	assert_int_equal(back.connection_id, greeting.connection_id);
	assert_memory_equal(back.scramble, greeting.scramble, MYSQL_SCRAMBLE_SIZE);
	assert_int_equal(back.capabilities, greeting.capabilities);
	assert_int_equal(back.collation, greeting.collation);
	assert_int_equal(back.status, greeting.status);
	assert_text(back.plugin, "mysql_native_password");
	/* The plugin's zero may be missing (MySQL bug 59453); of the rest nothing may. */
	assert_true(mysql_greeting_parse(span_of(payload.start, payload.size - 1), &back));
	for (size_t size = 0; size < payload.size - 22; size++)
		assert_false(mysql_greeting_parse(span_of(payload.start, size), &back));

	greeting.version = SPAN("8.0.36-0ubuntu");
	greeting.capabilities |= MYSQL_CAN_LONG_PASSWORD;
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_greeting_write(&writer, &greeting);
	assert_true(mysql_greeting_parse(only_payload(&writer), &back));
	assert_false(back.is_mariadb);
	assert_int_equal(back.version_number, 80036);
	assert_int_equal(back.capabilities >> 32, 0);
	greeting.version = SPAN("nonsense");
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_greeting_write(&writer, &greeting);
	assert_true(mysql_greeting_parse(only_payload(&writer), &back));
	assert_int_equal(back.version_number, 0);
}

/* Every login that can be written is read back; every cut of it is refused or says less. */
static void check_login(uint64_t capabilities, const char *reply)
{
	uint8_t room[400];
	struct mysql_writer writer;
	struct mysql_login back, login = {
	                             .capabilities = capabilities,
	                             .packet_most = 1 << 24,
	                             .collation = MYSQL_COLLATION_UTF8MB4_GENERAL,
	                             .user = SPAN("wordpress"),
	                             .reply = span_of_text(reply),
	                             .database = SPAN("wp"),
	                             .plugin = SPAN("mysql_native_password"),
	                             .attributes = SPAN("\x04_pid\x02"
	                                                "12\x03"
	                                                "foo\x00"),
	                             .zstd_level = 3,
	                         };
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_login_write(&writer, 1, &login);
	struct span payload = only_payload(&writer);
	assert_true(mysql_login_parse(payload, UINT64_MAX, &back));
	assert_int_equal(back.capabilities, capabilities);
	assert_int_equal(back.packet_most, login.packet_most);
	assert_int_equal(back.collation, login.collation);
	assert_text(back.user, "wordpress");
	assert_text(back.reply, reply);
	assert_text(back.database, capabilities & MYSQL_CAN_CONNECT_WITH_DB ? "wp" : "");
	assert_text(back.plugin, capabilities & MYSQL_CAN_PLUGIN_AUTH ? "mysql_native_password" : "");
	assert_int_equal(back.zstd_level, capabilities & MYSQL_CAN_ZSTD_COMPRESSION ? 3 : 0);
	if (capabilities & MYSQL_CAN_CONNECT_ATTRS) {
		struct span rest = back.attributes, key, value;
		assert_true(mysql_attribute_next(&rest, &key, &value));
		assert_text(key, "_pid");
		assert_text(value, "12");
		assert_true(mysql_attribute_next(&rest, &key, &value));
		assert_text(key, "foo");
		assert_text(value, "");
		assert_false(mysql_attribute_next(&rest, &key, &value));
		assert_int_equal(rest.size, 0);
	}
	assert_false(mysql_is_tls_request(payload));
	for (size_t size = 0; size < 32 + 10 + strlen(reply); size++)
		assert_false(mysql_login_parse(span_of(payload.start, size), UINT64_MAX, &back));
}

static void logins(void **state)
{
	(void)state;
	uint64_t base = MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_LONG_PASSWORD;
	uint64_t all = base | MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_CONNECT_WITH_DB | MYSQL_CAN_PLUGIN_AUTH |
	               MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA | MYSQL_CAN_CONNECT_ATTRS | MYSQL_CAN_ZSTD_COMPRESSION;
	check_login(base, "secret");
	check_login(base | MYSQL_CAN_SECURE_CONNECTION, "12345678901234567890");
	check_login(all, "12345678901234567890");
	check_login(all, "");
	check_login((all & ~MYSQL_CAN_LONG_PASSWORD) | MYSQL_CAN_MARIADB_PROGRESS, "x");

	uint8_t room[400];
	struct mysql_writer writer;
	struct mysql_login back, login = {.capabilities = all,
	                                  .user = SPAN("u"),
	                                  .attributes = SPAN("\x05"
	                                                     "abc")};
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_login_write(&writer, 1, &login);
	assert_true(mysql_login_parse(only_payload(&writer), all & ~MYSQL_CAN_ZSTD_COMPRESSION, &back));
	assert_int_equal(back.capabilities & MYSQL_CAN_ZSTD_COMPRESSION, 0); /* not offered, so not agreed */
	struct span rest = back.attributes, key, value;
	assert_false(mysql_attribute_next(&rest, &key, &value)); /* malformed: something is left */
	assert_true(rest.size > 0);

	/* The short packet that asks for TLS. */
	uint8_t request[32] = {0x00, 0x0A};
	assert_true(mysql_is_tls_request(span_of(request, 32)));
	request[1] = 0x02;
	assert_false(mysql_is_tls_request(span_of(request, 32)));
	/* A client older than 4.1. */
	memset(request, 0, sizeof(request));
	assert_false(mysql_login_parse(span_of(request, 32), UINT64_MAX, &back));
	/* An attribute block that is longer than its packet. */
	static const uint8_t long_attributes[] = {0x01, 0x82, 0x10, 0, [32] = 'u', 0, 0, 200, 1, 'a'};
	assert_false(mysql_login_parse(span_of(long_attributes, sizeof(long_attributes)), UINT64_MAX, &back));
}

static void change_user(void **state)
{
	(void)state;
	uint64_t capabilities = MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_PLUGIN_AUTH |
	                        MYSQL_CAN_PLUGIN_AUTH_LENENC_CLIENT_DATA | MYSQL_CAN_CONNECT_ATTRS;
	uint8_t room[300];
	struct mysql_writer writer;
	struct mysql_login back, login = {
	                             .user = SPAN("bob"),
	                             .reply = SPAN("12345678901234567890"),
	                             .database = SPAN("d"),
	                             .collation = 255,
	                             .plugin = SPAN("p"),
	                             .attributes = SPAN("\x01"
	                                                "a\x01"
	                                                "b"),
	                         };
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_change_user_write(&writer, capabilities, &login);
	struct span payload = only_payload(&writer);
	assert_true(mysql_change_user_parse(payload, capabilities, &back));
	assert_text(back.user, "bob");
	assert_text(back.reply, "12345678901234567890");
	assert_text(back.database, "d");
	assert_text(back.plugin, "p");
	assert_int_equal(back.collation, 255);
	assert_int_equal(back.attributes.size, 4);
	/* Old clients stop behind the database. */
	assert_true(mysql_change_user_parse(span_of(payload.start, 28), capabilities, &back));
	assert_false(back.has_collation);
	assert_false(mysql_change_user_parse(span_of(payload.start, 27), capabilities, &back));
	assert_false(mysql_change_user_parse(SPAN("\x03SELECT"), capabilities, &back));
}

static void auth_switch(void **state)
{
	(void)state;
	uint8_t room[100], scramble[MYSQL_SCRAMBLE_SIZE] = "abcdefghijklmnopqrst";
	struct mysql_writer writer;
	struct mysql_auth_switch back;
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_auth_switch_write(&writer, 2, SPAN("mysql_native_password"), scramble);
	assert_true(mysql_auth_switch_parse(only_payload(&writer), &back));
	assert_text(back.plugin, "mysql_native_password");
	assert_text(back.data, "abcdefghijklmnopqrst");
	assert_false(mysql_auth_switch_parse(SPAN("\xFE"), &back));
	assert_false(mysql_auth_switch_parse(SPAN("\xFE\0abc"), &back));
	struct span data;
	assert_true(mysql_auth_more_parse(SPAN("\x01\x04"), &data));
	assert_text(data, "\x04");
	assert_false(mysql_auth_more_parse(SPAN("\x00"), &data));
	assert_false(mysql_auth_more_parse(SPAN(""), &data));
}

static void native_password(void **state)
{
	(void)state;
	/* SELECT PASSWORD('secret') */
	uint8_t sha1[MYSQL_SHA1_SIZE], stored[MYSQL_SHA1_SIZE], parsed[MYSQL_SHA1_SIZE], recovered[MYSQL_SHA1_SIZE];
	char text[42];
	mysql_native_hash(SPAN("secret"), sha1);
	mysql_native_store(sha1, stored);
	mysql_native_format_stored(stored, text);
	assert_string_equal(text, "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
	assert_true(mysql_native_parse_stored(SPAN("*14e65567abdb5135d0cfd9a70b3032c179a49ee7"), parsed));
	assert_memory_equal(parsed, stored, MYSQL_SHA1_SIZE);
	assert_false(mysql_native_parse_stored(SPAN("14E65567ABDB5135D0CFD9A70B3032C179A49EE7"), parsed));
	assert_false(mysql_native_parse_stored(SPAN("*14E65567ABDB5135D0CFD9A70B3032C179A49EE"), parsed));
	assert_false(mysql_native_parse_stored(SPAN("*14E65567ABDB5135D0CFD9A70B3032C179A49EEG"), parsed));
	assert_false(mysql_native_parse_stored(SPAN(""), parsed));

	uint8_t scramble[MYSQL_SCRAMBLE_SIZE], other[MYSQL_SCRAMBLE_SIZE], reply[MYSQL_SHA1_SIZE];
	random_bytes(scramble, sizeof(scramble));
	random_bytes(other, sizeof(other));
	mysql_native_reply(sha1, scramble, reply);
	struct span sent = span_of(reply, sizeof(reply));
	assert_true(mysql_native_verify(stored, scramble, sent, recovered));
	assert_memory_equal(recovered, sha1, MYSQL_SHA1_SIZE);
	assert_false(mysql_native_verify(stored, other, sent, recovered));
	assert_false(mysql_native_verify(stored, scramble, span_of(reply, 19), recovered));
	reply[7] ^= 1;
	assert_false(mysql_native_verify(stored, scramble, sent, recovered));
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(mysql_command_name(MYSQL_COM_STMT_PREPARE), "COM_STMT_PREPARE");
	assert_string_equal(mysql_command_name(0x77), "COM_?");
	assert_string_equal(mysql_capability_name(24), "DEPRECATE_EOF");
	assert_null(mysql_capability_name(63));
	assert_string_equal(mysql_sqlstate(MYSQL_ERROR_ACCESS_DENIED), "28000");
	assert_string_equal(mysql_sqlstate(9999), "HY000");
}

/* Every parser on every beginning of valid packets, right before a page that cannot be read. */
static void nothing_is_read_past_the_end(void **state)
{
	(void)state;
	uint8_t login[] = {0x05, 0xA2, 0x3A, 0, 0, 0, 0, 1, 45, [32] = 'u', 0, 2, 'a', 'b', 'd', 0, 'p', 0, 4, 1, 'k', 1, 'v'};
	uint8_t greeting[80] = {10, '5', '.', '5', '.', '5', '-', '1', '0', '.', '1', '.', '2', 0, [24] = 0xFF, 0xFF, 45, 2, 0, 0xFF};
	uint8_t change[] = {0x11, 'u', 0, 2, 'a', 'b', 'd', 0, 45, 0, 'p', 0, 4, 1, 'k', 1, 'v'};
	uint8_t change_auth[] = {0xFE, 'p', 0, 'd', 'a', 0};
	struct span inputs[] = {span_of(login, sizeof(login)), span_of(greeting, sizeof(greeting)), span_of(change, sizeof(change)),
	                        span_of(change_auth, sizeof(change_auth))};
	for (size_t i = 0; i < COUNT_OF(inputs); i++) {
		for (size_t size = 0; size <= inputs[i].size; size++) {
			const char *place = edge_copy(inputs[i].start, size);
			struct span text = span_of(place, size), data, bytes = text;
			struct mysql_login as_login;
			struct mysql_greeting as_greeting;
			struct mysql_auth_switch as_switch;
			struct mysql_packet packet;
			if (mysql_login_parse(text, UINT64_MAX, &as_login)) {
				struct span key, value;
				while (mysql_attribute_next(&as_login.attributes, &key, &value))
					assert_true(key.start >= place);
			}
			(void)!mysql_change_user_parse(text, 0x00FFFFFF, &as_login);
			(void)!mysql_greeting_parse(text, &as_greeting);
			(void)!mysql_auth_switch_parse(text, &as_switch);
			(void)!mysql_auth_more_parse(text, &data);
			(void)!mysql_is_tls_request(text);
			while (mysql_packet_next(&bytes, &packet))
				assert_true(packet.payload.start + packet.payload.size <= place + size);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_go_both_ways),
	    cmocka_unit_test(writers_keep_their_room),
	    cmocka_unit_test(greetings),
	    cmocka_unit_test(logins),
	    cmocka_unit_test(change_user),
	    cmocka_unit_test(auth_switch),
	    cmocka_unit_test(native_password),
	    cmocka_unit_test(names),
	    cmocka_unit_test(nothing_is_read_past_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
