/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Following answers and commands of the MySQL protocol, whole and in pieces; OK, ERR, tracking; small results. The answers in
 * data/mysql_answers.h come from a real server.
 */
#include "unit.h"

#include "edge.h"
#include "proto/mysql.h"

#include <stdlib.h>

struct answer {
	const char *name;
	uint64_t capabilities;
	uint8_t command;
	int rows;
	uint32_t results;
	uint16_t error;
	const char *hex;
};

static const struct answer answers[] = {
#include "data/mysql_answers.h"
};

#define NEW (MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SESSION_TRACK | MYSQL_CAN_DEPRECATE_EOF)
#define OLD MYSQL_CAN_PROTOCOL_41

static size_t bytes_of(const char *hex, uint8_t *out, size_t room)
{
	size_t size = 0;
	for (; hex[0] != '\0'; hex += 2) {
		uint64_t byte;
		assert_true(span_to_hex_number(span_of(hex, 2), 0xFF, &byte));
		assert_true(size < room);
		out[size++] = (uint8_t)byte;
	}
	return size;
}

/* Feeds `bytes` in pieces that end at `cuts` and every `step` bytes, until the answer is over. All of it must be eaten. */
static enum mysql_response_event feed_in_pieces(struct mysql_response *response, const uint8_t *bytes, size_t size, size_t first,
                                                size_t step)
{
	enum mysql_response_event event = MYSQL_RESPONSE_MORE;
	size_t at = 0, next = first;
	while (at < size) {
		if (next > size)
			next = size;
		/* A copy of exactly this piece, so that the sanitizer sees a look beyond it. */
		uint8_t *piece = malloc(next - at + 1);
		memcpy(piece, bytes + at, next - at);
		size_t eaten, piece_size = next - at;
		event = mysql_response_feed(response, span_of(piece, piece_size), &eaten);
		free(piece);
		at += eaten;
		if (event == MYSQL_RESPONSE_DONE || event == MYSQL_RESPONSE_BROKEN)
			break;
		if (event == MYSQL_RESPONSE_MORE) {
			assert_int_equal(eaten, piece_size);
			next = at + step;
		}
	}
	if (event == MYSQL_RESPONSE_DONE)
		assert_int_equal(at, size);
	return event;
}

static void check_answer(const struct answer *answer, const uint8_t *bytes, size_t size, size_t first, size_t step)
{
	uint8_t capture[MYSQL_CAPTURE_LEAST];
	struct mysql_response response;
	mysql_response_start(&response, answer->command, answer->capabilities, capture, sizeof(capture));
	enum mysql_response_event event = feed_in_pieces(&response, bytes, size, first, step);
	if (event != MYSQL_RESPONSE_DONE || response.results != answer->results || response.bytes != size ||
	    (answer->rows >= 0 && response.rows != (uint64_t)answer->rows) || response.is_error != (answer->error != 0) ||
	    (answer->error != 0 && response.failure.code != answer->error))
		fail_msg("%s, cut at %zu and every %zu: event %d, rows %d, results %u, error %u", answer->name, first, step, (int)event,
		         (int)response.rows, response.results, response.failure.code);
	assert_int_equal(response.has_status, answer->results > 0);
}

static void real_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		static uint8_t bytes[8192];
		size_t size = bytes_of(answers[i].hex, bytes, sizeof(bytes));
		check_answer(&answers[i], bytes, size, size, size);
		check_answer(&answers[i], bytes, size, 1, 1);
		for (size_t cut = 1; cut < size; cut++)
			check_answer(&answers[i], bytes, size, cut, size);
		/* Without its last byte it is never over. */
		uint8_t capture[4096];
		struct mysql_response response;
		mysql_response_start(&response, answers[i].command, answers[i].capabilities, capture, sizeof(capture));
		assert_int_equal(feed_in_pieces(&response, bytes, size - 1, size - 1, 1), MYSQL_RESPONSE_MORE);
	}
}

static const struct answer *answer_named(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(answers); i++)
		if (strcmp(answers[i].name, name) == 0)
			return &answers[i];
	fail_msg("no answer is called %s", name);
	return NULL;
}

static void start(struct mysql_response *response, uint8_t command, uint64_t capabilities)
{
	static uint8_t capture[4096];
	mysql_response_start(response, command, capabilities, capture, sizeof(capture));
}

static enum mysql_response_event feed(struct mysql_response *response, const void *bytes, size_t size)
{
	size_t eaten;
	return mysql_response_feed(response, span_of(bytes, size), &eaten);
}

#define FEED(response, literal) feed((response), (literal), sizeof(literal) - 1)

static void tracking_is_told(void **state)
{
	(void)state;
	uint8_t bytes[8192];
	const struct answer *answer = answer_named("new, set");
	size_t size = bytes_of(answer->hex, bytes, sizeof(bytes));
	struct mysql_response response;
	start(&response, answer->command, answer->capabilities);
	assert_int_equal(feed(&response, bytes, size), MYSQL_RESPONSE_DONE);
	struct mysql_track_walk walk = {.rest = response.ok.track};
	struct mysql_track track;
	bool has_mode = false, has_zone = false;
	while (mysql_track_next(&walk, &track)) {
		if (track.kind != MYSQL_TRACK_SYSTEM_VARIABLE)
			continue;
		has_mode |= span_equal(track.name, SPAN("sql_mode")) && track.value.size == 0;
		has_zone |= span_equal(track.name, SPAN("time_zone")) && span_equal(track.value, SPAN("+01:00"));
	}
	assert_false(walk.broken);
	assert_true(has_mode && has_zone);
	assert_true(response.ok.status & MYSQL_STATUS_SESSION_STATE_CHANGED);

	answer = answer_named("new, use");
	size = bytes_of(answer->hex, bytes, sizeof(bytes));
	start(&response, answer->command, answer->capabilities);
	assert_int_equal(feed(&response, bytes, size), MYSQL_RESPONSE_DONE);
	walk = (struct mysql_track_walk){.rest = response.ok.track};
	assert_true(mysql_track_next(&walk, &track));
	assert_int_equal(track.kind, MYSQL_TRACK_SCHEMA);
	assert_true(span_equal(track.value, SPAN("capture")));

	/* Several variables in one entry, what is unknown, and what is cut off. */
	walk = (struct mysql_track_walk){.rest = SPAN("\0\x08\x01"
	                                              "a\x01"
	                                              "1\x01"
	                                              "b\x01"
	                                              "2"
	                                              "\x09\x01x"
	                                              "\x03\x03\0\x01g")};
	assert_true(mysql_track_next(&walk, &track));
	assert_true(span_equal(track.name, SPAN("a")) && span_equal(track.value, SPAN("1")));
	assert_true(mysql_track_next(&walk, &track));
	assert_true(span_equal(track.name, SPAN("b")) && span_equal(track.value, SPAN("2")));
	assert_true(mysql_track_next(&walk, &track));
	assert_int_equal(track.kind, 9);
	assert_true(mysql_track_next(&walk, &track));
	assert_int_equal(track.kind, MYSQL_TRACK_GTIDS);
	assert_true(span_equal(track.value, SPAN("g")));
	assert_false(mysql_track_next(&walk, &track));
	assert_false(walk.broken);
	walk = (struct mysql_track_walk){.rest = SPAN("\0\x04\x01"
	                                              "a\x05"
	                                              "1")};
	assert_false(mysql_track_next(&walk, &track));
	assert_true(walk.broken);

	/* An OK that is larger than the capture and comes in pieces: the status is known, the tracking is lost. */
	answer = answer_named("new, set");
	size = bytes_of(answer->hex, bytes, sizeof(bytes));
	assert_true(size < 100);
	uint8_t large[200] = {140, 0, 0, 1, 0, 3, 0, 2, 0x40, 0, 0, 0, 132, 0, 130, 128};
	uint8_t capture[MYSQL_CAPTURE_LEAST];
	mysql_response_start(&response, MYSQL_COM_QUERY, NEW, capture, sizeof(capture));
	assert_int_equal(feed(&response, large, 70), MYSQL_RESPONSE_MORE);
	assert_int_equal(feed(&response, large + 70, 74), MYSQL_RESPONSE_DONE);
	assert_true(response.track_lost);
	assert_int_equal(response.ok.affected_rows, 3);
	assert_int_equal(response.ok.status, 0x4002);
}

static void prepared_is_told(void **state)
{
	(void)state;
	uint8_t bytes[8192];
	const struct answer *answer = answer_named("old, prepare both");
	size_t size = bytes_of(answer->hex, bytes, sizeof(bytes));
	struct mysql_response response;
	start(&response, answer->command, answer->capabilities);
	assert_int_equal(feed(&response, bytes, size), MYSQL_RESPONSE_DONE);
	assert_true(response.has_prepared);
	assert_memory_equal(&response.prepared.statement_id, bytes + 5, 4);
	assert_int_equal(response.prepared.columns, 2);
	assert_int_equal(response.prepared.parameters, 1);
}

static void made_up_answers(void **state)
{
	(void)state;
	struct mysql_response response;
	size_t eaten;
	/* More than belongs to the answer: the rest is not eaten. */
	start(&response, MYSQL_COM_PING, OLD);
	assert_int_equal(mysql_response_feed(&response,
	                                     SPAN("\x07\0\0\x01\0\0\0\x02\0\0\0"
	                                          "next"),
	                                     &eaten),
	                 MYSQL_RESPONSE_DONE);
	assert_int_equal(eaten, 11);
	/* Nothing is answered. */
	start(&response, MYSQL_COM_STMT_CLOSE, OLD);
	assert_int_equal(mysql_response_feed(&response, SPAN(""), &eaten), MYSQL_RESPONSE_DONE);
	assert_int_equal(eaten, 0);
	/* LOAD DATA LOCAL: a question, then the outcome, with the sequence that the file's packets left. */
	start(&response, MYSQL_COM_QUERY, NEW);
	assert_int_equal(FEED(&response, "\x05\0\0\x01\xFB"
	                                 "/a/b"),
	                 MYSQL_RESPONSE_INFILE);
	assert_true(span_equal(response.request, SPAN("\xFB/a/b")));
	assert_int_equal(FEED(&response, "\x07\0\0\x09\0\x05\0\x02\0\0\0"), MYSQL_RESPONSE_DONE);
	assert_int_equal(response.ok.affected_rows, 5);
	/* A login that asks twice. */
	start(&response, MYSQL_COM_CHANGE_USER, NEW);
	assert_int_equal(FEED(&response, "\x04\0\0\x01\xFE"
	                                 "p\0s"),
	                 MYSQL_RESPONSE_AUTH);
	assert_int_equal(FEED(&response, "\x02\0\0\x03\x01\x03"), MYSQL_RESPONSE_AUTH);
	assert_int_equal(FEED(&response, "\x07\0\0\x04\0\0\0\x02\0\0\0"), MYSQL_RESPONSE_DONE);
	/* Progress reports are not errors; without the capability they are. */
	start(&response, MYSQL_COM_QUERY, NEW | MYSQL_CAN_MARIADB_PROGRESS);
	assert_int_equal(FEED(&response, "\x06\0\0\x01\xFF\xFF\xFF\x01\x01\x02"), MYSQL_RESPONSE_MORE);
	assert_int_equal(FEED(&response, "\x07\0\0\x02\0\0\0\x02\0\0\0"), MYSQL_RESPONSE_DONE);
	assert_false(response.is_error);
	start(&response, MYSQL_COM_QUERY, NEW);
	assert_int_equal(FEED(&response, "\x06\0\0\x01\xFF\xFF\xFF\x01\x01\x02"), MYSQL_RESPONSE_DONE);
	assert_true(response.is_error);
	/* Error with and without SQLSTATE. */
	start(&response, MYSQL_COM_QUERY, OLD);
	assert_int_equal(FEED(&response, "\x0D\0\0\x01\xFF\x28\x04#42000oops"), MYSQL_RESPONSE_DONE);
	assert_int_equal(response.failure.code, 1064);
	assert_string_equal(response.failure.sqlstate, "42000");
	assert_true(span_equal(response.failure.message, SPAN("oops")));
	assert_false(response.has_status);
	start(&response, MYSQL_COM_QUERY, OLD);
	assert_int_equal(FEED(&response, "\x07\0\0\x01\xFF\x10\x04oops"), MYSQL_RESPONSE_DONE);
	assert_string_equal(response.failure.sqlstate, "HY000");
	/* A killed connection says so out of turn. */
	start(&response, MYSQL_COM_QUERY, NEW);
	assert_int_equal(FEED(&response, "\x01\0\0\x01\x01"), MYSQL_RESPONSE_MORE);
	assert_int_equal(FEED(&response, "\x07\0\0\x00\xFF\x87\x07"
	                                 "bye!"),
	                 MYSQL_RESPONSE_DONE);
}

static void broken_answers(void **state)
{
	(void)state;
	static const struct {
		uint8_t command;
		uint64_t capabilities;
		struct span bytes;
	} table[] = {
	    {MYSQL_COM_QUERY, NEW, {"\0\0\0\x01", 4}},                                        /* empty packet */
	    {MYSQL_COM_QUERY, NEW, {"\x02\0\0\x01\x01\x01", 6}},                              /* something behind the count */
	    {MYSQL_COM_QUERY, NEW, {"\x01\0\0\x01\x01\x01\0\0\x03\x03", 10}},                 /* sequence number jumps */
	    {MYSQL_COM_QUERY, NEW, {"\x04\0\0\x01\xFD\0\0\x01", 8}},                          /* 65,536 columns */
	    {MYSQL_COM_QUERY, NEW, {"\x02\0\0\x01\0\0", 6}},                                  /* OK cut short */
	    {MYSQL_COM_QUERY, NEW, {"\xFF\xFF\xFF\x01\0", 5}},                                /* OK of 16 MB */
	    {MYSQL_COM_QUERY, NEW, {"\x01\0\0\x01\x01\x01\0\0\x02\xFE", 10}},                 /* EOF instead of a definition */
	    {MYSQL_COM_QUERY, OLD, {"\x01\0\0\x01\x01\x01\0\0\x02\x03\x01\0\0\x03\x03", 15}}, /* no EOF behind definitions */
	    {MYSQL_COM_STMT_PREPARE, NEW, {"\x01\0\0\x01\x01", 5}},
	    {MYSQL_COM_STMT_FETCH, OLD, {"\x0A\0\0\x01\xFE\0\0\0\0\0\0\0\0\0", 14}}, /* neither row nor EOF */
	    {MYSQL_COM_PING, NEW, {"\x01\0\0\x01\x05", 5}},
	    {MYSQL_COM_CHANGE_USER, NEW, {"\x01\0\0\x01\x05", 5}},
	    {MYSQL_COM_PING, NEW, {"\x02\0\0\x01\xFF\x01", 6}}, /* ERR without a code */
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct mysql_response response;
		size_t eaten;
		start(&response, table[i].command, table[i].capabilities);
		if (mysql_response_feed(&response, table[i].bytes, &eaten) != MYSQL_RESPONSE_BROKEN)
			fail_msg("broken answer %zu was accepted", i);
		start(&response, table[i].command, table[i].capabilities);
		assert_int_equal(feed_in_pieces(&response, (const uint8_t *)table[i].bytes.start, table[i].bytes.size, 1, 1),
		                 MYSQL_RESPONSE_BROKEN);
	}
}

/* A row of more than 16 MB whose first field begins with 0xFE, and whose continuation begins like an ERR. */
static void rows_above_16_mb(void **state)
{
	(void)state;
	size_t tail = 100, size = 5 + 5 + 4 + MYSQL_PAYLOAD_MOST + 4 + tail + 11;
	uint8_t *bytes = calloc(1, size), *next = bytes;
	static const uint8_t head[] = {1, 0, 0, 1, 1, 1, 0, 0, 2, 3, 0xFF, 0xFF, 0xFF, 3, 0xFE};
	memcpy(next, head, sizeof(head));
	next += 14 + MYSQL_PAYLOAD_MOST;
	*next++ = (uint8_t)tail;
	next += 2;
	*next++ = 4;
	*next = 0xFF;
	next += tail;
	memcpy(next, "\x07\0\0\x05\xFE\0\0\x02\0\0\0", 11);
	static const size_t steps[] = {1u << 30, 65536, 16777215, 16777233};
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		struct mysql_response response;
		start(&response, MYSQL_COM_QUERY, NEW);
		assert_int_equal(feed_in_pieces(&response, bytes, size, steps[i] < size ? steps[i] : size, steps[i]),
		                 MYSQL_RESPONSE_DONE);
		assert_int_equal(response.rows, 1);
		assert_false(response.is_error);
	}
	free(bytes);
}

static void commands_of_clients(void **state)
{
	(void)state;
	struct mysql_request request;
	size_t eaten;
	mysql_request_start(&request, 1 << 20);
	assert_int_equal(mysql_request_feed(&request,
	                                    SPAN("\x05\0\0\0\x03"
	                                         "SELE\x01\0\0\0\x0E"),
	                                    &eaten),
	                 MYSQL_REQUEST_DONE);
	assert_int_equal(eaten, 9);
	assert_int_equal(request.command, MYSQL_COM_QUERY);
	assert_int_equal(request.size, 5);
	mysql_request_start(&request, 1 << 20);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(mysql_request_feed(&request,
		                                    span_of(&"\x05\0\0\0\x03"
		                                             "SELE"[i],
		                                            1),
		                                    &eaten),
		                 MYSQL_REQUEST_MORE);
		assert_int_equal(request.has_command, i >= 4);
	}
	assert_int_equal(mysql_request_feed(&request, SPAN("E"), &eaten), MYSQL_REQUEST_DONE);
	mysql_request_start(&request, 1 << 20);
	assert_int_equal(mysql_request_feed(&request, SPAN("\x05\0\0\x01\x03"), &eaten), MYSQL_REQUEST_BROKEN);
	mysql_request_start(&request, 1 << 20);
	assert_int_equal(mysql_request_feed(&request, SPAN("\0\0\0\0"), &eaten), MYSQL_REQUEST_BROKEN);
	mysql_request_start(&request, 100);
	assert_int_equal(mysql_request_feed(&request, SPAN("\x65\0\0\0"), &eaten), MYSQL_REQUEST_BROKEN);

	/* Exactly 16 MB less one byte: an empty packet follows. */
	uint8_t *large = calloc(1, 4 + MYSQL_PAYLOAD_MOST);
	memcpy(large, "\xFF\xFF\xFF\0\x03", 5);
	mysql_request_start(&request, 64 << 20);
	assert_int_equal(mysql_request_feed(&request, span_of(large, 4 + MYSQL_PAYLOAD_MOST), &eaten), MYSQL_REQUEST_MORE);
	assert_int_equal(mysql_request_feed(&request, SPAN("\0\0\0\x01"), &eaten), MYSQL_REQUEST_DONE);
	assert_int_equal(request.packets, 2);
	assert_int_equal(request.sequence, 1);
	free(large);

	/* A file for LOAD DATA LOCAL ends with an empty packet. */
	mysql_request_start_file(&request, 2);
	assert_int_equal(mysql_request_feed(&request,
	                                    SPAN("\x02\0\0\x02"
	                                         "ab\x01\0\0\x03"
	                                         "c"),
	                                    &eaten),
	                 MYSQL_REQUEST_MORE);
	assert_int_equal(mysql_request_feed(&request,
	                                    SPAN("\0\0\0\x04"
	                                         "x"),
	                                    &eaten),
	                 MYSQL_REQUEST_DONE);
	assert_int_equal(eaten, 4);
	assert_int_equal(request.sequence, 4);
}

static void check_result_both_ways(uint64_t capabilities)
{
	uint8_t room[1000], sequence = 1;
	struct mysql_writer writer;
	struct span names[] = {SPAN("one"), SPAN("two")}, row[] = {SPAN(""), {NULL, 0}}, fields[2];
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_columns_write(&writer, &sequence, capabilities, names, 2);
	mysql_row_write(&writer, &sequence, row, 2);
	row[1] = SPAN("value");
	mysql_row_write(&writer, &sequence, row, 2);
	mysql_end_write(&writer, sequence, capabilities, MYSQL_STATUS_AUTOCOMMIT, 7);
	assert_false(writer.failed);
	struct answer as_answer = {"written", capabilities, MYSQL_COM_QUERY, 2, 1, 0, NULL};
	check_answer(&as_answer, room, writer.size, 1, 1);

	struct mysql_result result;
	struct span answer = span_of(room, writer.size), got[2];
	assert_int_equal(mysql_result_open(&result, answer, capabilities, got, 2), MYSQL_RESULT_ROWS);
	assert_int_equal(result.columns, 2);
	assert_true(span_equal(got[0], names[0]) && span_equal(got[1], names[1]));
	assert_int_equal(mysql_row_next(&result, fields, 2), MYSQL_ROW);
	assert_true(fields[0].start != NULL && fields[0].size == 0 && fields[1].start == NULL);
	assert_int_equal(mysql_row_next(&result, fields, 2), MYSQL_ROW);
	assert_true(span_equal(fields[1], SPAN("value")));
	assert_int_equal(mysql_row_next(&result, fields, 2), MYSQL_ROW_END);
	assert_int_equal(result.ok.status, MYSQL_STATUS_AUTOCOMMIT);
	assert_int_equal(result.ok.warnings, 7);
	assert_int_equal(mysql_row_next(&result, fields, 2), MYSQL_ROW_END);
	/* Cut anywhere, it is broken at some point and never more than that. */
	for (size_t size = 0; size < writer.size; size++) {
		enum mysql_row_kind kind = MYSQL_ROW;
		if (mysql_result_open(&result, span_of(room, size), capabilities, NULL, 0) == MYSQL_RESULT_ROWS)
			while ((kind = mysql_row_next(&result, fields, 2)) == MYSQL_ROW)
				;
		assert_true(kind == MYSQL_ROW || kind == MYSQL_ROW_BROKEN);
	}
}

static void small_results(void **state)
{
	(void)state;
	check_result_both_ways(OLD);
	check_result_both_ways(NEW);
	check_result_both_ways(NEW | MYSQL_CAN_MARIADB_CACHE_METADATA | MYSQL_CAN_MARIADB_EXTENDED_METADATA);
	uint8_t bytes[8192];
	struct mysql_result result;
	struct span names[3], fields[3];
	const struct answer *answer = answer_named("mariadb, five rows");
	size_t size = bytes_of(answer->hex, bytes, sizeof(bytes)), rows = 0;
	assert_int_equal(mysql_result_open(&result, span_of(bytes, size), answer->capabilities, names, 3), MYSQL_RESULT_ROWS);
	assert_true(span_equal(names[1], SPAN("b")));
	while (mysql_row_next(&result, fields, 3) == MYSQL_ROW)
		if (rows++ == 1)
			assert_true(span_equal(fields[1], SPAN("two")) && fields[2].start == NULL);
	assert_int_equal(rows, 5);
	answer = answer_named("old, error among rows");
	size = bytes_of(answer->hex, bytes, sizeof(bytes));
	assert_int_equal(mysql_result_open(&result, span_of(bytes, size), answer->capabilities, names, 3), MYSQL_RESULT_ROWS);
	enum mysql_row_kind kind;
	while ((kind = mysql_row_next(&result, fields, 3)) == MYSQL_ROW)
		;
	assert_int_equal(kind, MYSQL_ROW_ERROR);
	assert_int_equal(result.failure.code, 1242);
	answer = answer_named("new, no table");
	size = bytes_of(answer->hex, bytes, sizeof(bytes));
	assert_int_equal(mysql_result_open(&result, span_of(bytes, size), answer->capabilities, NULL, 0), MYSQL_RESULT_ERROR);
	assert_string_equal(result.failure.sqlstate, "42S02");
}

static void ends_are_written(void **state)
{
	(void)state;
	uint8_t room[700];
	struct mysql_writer writer;
	struct mysql_ok back, ok = {.affected_rows = 300,
	                            .last_insert_id = 7,
	                            .status = MYSQL_STATUS_AUTOCOMMIT,
	                            .info = SPAN("hi"),
	                            .track = SPAN("\x01\x02\x01"
	                                          "d")};
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_ok_write(&writer, 1, NEW, &ok);
	assert_true(mysql_ok_parse(span_of(room + 4, writer.size - 4), NEW, &back));
	assert_int_equal(back.affected_rows, 300);
	assert_int_equal(back.last_insert_id, 7);
	assert_int_equal(back.status, MYSQL_STATUS_AUTOCOMMIT | MYSQL_STATUS_SESSION_STATE_CHANGED);
	assert_true(span_equal(back.info, ok.info) && span_equal(back.track, ok.track));
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_ok_write(&writer, 1, OLD, &ok);
	assert_true(mysql_ok_parse(span_of(room + 4, writer.size - 4), OLD, &back));
	assert_int_equal(back.status, MYSQL_STATUS_AUTOCOMMIT);
	assert_true(span_equal(back.info, ok.info) && back.track.size == 0);

	struct mysql_failure failure;
	char message[600];
	memset(message, 'm', sizeof(message));
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_error_write(&writer, 1, NEW, MYSQL_ERROR_ACCESS_DENIED, NULL, span_of(message, sizeof(message)));
	assert_true(mysql_error_parse(span_of(room + 4, writer.size - 4), &failure));
	assert_int_equal(failure.code, 1045);
	assert_string_equal(failure.sqlstate, "28000");
	assert_int_equal(failure.message.size, 512);
	mysql_writer_init(&writer, room, sizeof(room));
	mysql_error_write(&writer, 0, 0, MYSQL_ERROR_TOO_MANY_CONNECTIONS, NULL, SPAN("full"));
	assert_int_equal(writer.size, 4 + 3 + 4);
}

static void nothing_is_read_past_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		static uint8_t bytes[8192];
		size_t whole = bytes_of(answers[i].hex, bytes, sizeof(bytes));
		for (size_t size = 0; size <= whole && size < 600; size++) {
			const char *place = edge_copy(bytes, size);
			struct mysql_response response;
			struct mysql_result result;
			struct span fields[2];
			size_t eaten;
			start(&response, answers[i].command, answers[i].capabilities);
			(void)!mysql_response_feed(&response, span_of(place, size), &eaten);
			assert_true(eaten <= size);
			if (mysql_result_open(&result, span_of(place, size), answers[i].capabilities, fields, 2) == MYSQL_RESULT_ROWS)
				while (mysql_row_next(&result, fields, 2) == MYSQL_ROW)
					;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(real_answers),        cmocka_unit_test(tracking_is_told),
	    cmocka_unit_test(prepared_is_told),    cmocka_unit_test(made_up_answers),
	    cmocka_unit_test(broken_answers),      cmocka_unit_test(rows_above_16_mb),
	    cmocka_unit_test(commands_of_clients), cmocka_unit_test(small_results),
	    cmocka_unit_test(ends_are_written),    cmocka_unit_test(nothing_is_read_past_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
