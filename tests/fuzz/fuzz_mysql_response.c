/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzzes the following of answers and commands. Input: capabilities, command, a size for pieces, then the stream. Whole and in
 * pieces it has to give the same events at the same places.
 */
#include <stdlib.h>

#include "proto/mysql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t variants[] = {
    MYSQL_CAN_PROTOCOL_41,
    MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SESSION_TRACK,
    MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SESSION_TRACK | MYSQL_CAN_DEPRECATE_EOF,
    MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SESSION_TRACK | MYSQL_CAN_DEPRECATE_EOF | MYSQL_CAN_MARIADB_CACHE_METADATA |
        MYSQL_CAN_MARIADB_PROGRESS,
};

struct outcome {
	enum mysql_response_event event;
	size_t eaten;
	uint64_t rows;
	uint32_t results;
	uint32_t questions;
	uint16_t status;
	uint16_t error;
};

/* So that the compiler keeps the looks. */
static volatile uint8_t sink;

/* Looks at every byte that the response points to. */
static uint8_t sum_of(struct span bytes)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < bytes.size; i++)
		sum ^= (uint8_t)bytes.start[i];
	return sum;
}

static struct outcome follow(uint8_t command, uint64_t capabilities, struct span stream, size_t piece, size_t capture_room)
{
	struct outcome outcome = {0};
	struct mysql_response response;
	uint8_t *capture = malloc(capture_room);
	mysql_response_start(&response, command, capabilities, capture, capture_room);
	do {
		size_t here = stream.size - outcome.eaten < piece ? stream.size - outcome.eaten : piece, eaten;
		uint8_t *copy = malloc(here + 1);
		if (here > 0)
			memcpy(copy, stream.start + outcome.eaten, here);
		outcome.event = mysql_response_feed(&response, span_of(copy, here), &eaten);
		ASSERT(eaten <= here && (outcome.event != MYSQL_RESPONSE_MORE || eaten == here));
		outcome.eaten += eaten;
		if (outcome.event != MYSQL_RESPONSE_MORE && outcome.event != MYSQL_RESPONSE_BROKEN)
			sink = sum_of(response.is_error ? response.failure.message : response.ok.track);
		if (outcome.event == MYSQL_RESPONSE_AUTH || outcome.event == MYSQL_RESPONSE_INFILE) {
			sink = sum_of(response.request);
			outcome.questions++;
		}
		free(copy);
	} while (outcome.event != MYSQL_RESPONSE_DONE && outcome.event != MYSQL_RESPONSE_BROKEN && outcome.eaten < stream.size);
	outcome.rows = response.rows;
	outcome.results = response.results;
	outcome.status = response.ok.status;
	outcome.error = response.failure.code;
	ASSERT(response.bytes == outcome.eaten);
	free(capture);
	return outcome;
}

static void follow_command(struct span stream, size_t piece)
{
	struct mysql_request request;
	enum mysql_request_event event = MYSQL_REQUEST_MORE;
	mysql_request_start(&request, 64 << 20);
	for (size_t at = 0; at < stream.size && event == MYSQL_REQUEST_MORE;) {
		size_t here = stream.size - at < piece ? stream.size - at : piece, eaten;
		event = mysql_request_feed(&request, span_of(stream.start + at, here), &eaten);
		ASSERT(eaten <= here && (event != MYSQL_REQUEST_MORE || eaten == here));
		at += eaten;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	uint64_t capabilities = variants[data[0] % COUNT_OF(variants)];
	uint8_t command = data[1];
	size_t piece = (size_t)data[2] + 1;
	struct span stream = span_of(data + 3, size - 3);
	follow_command(stream, piece);
	if (mysql_command_answer(command) == MYSQL_ANSWER_STREAM)
		return 0;
	struct outcome whole = follow(command, capabilities, stream, SIZE_MAX, 1 << 16);
	struct outcome pieces = follow(command, capabilities, stream, piece, 1 << 16);
	follow(command, capabilities, stream, piece, MYSQL_CAPTURE_LEAST);
	if (whole.event == MYSQL_RESPONSE_BROKEN || pieces.event == MYSQL_RESPONSE_BROKEN) {
		/* Where exactly it is noticed may differ by what is known of the packet then, the verdict not. */
		ASSERT(whole.event == pieces.event);
		return 0;
	}
	ASSERT(whole.event == pieces.event && whole.eaten == pieces.eaten && whole.results == pieces.results);
	ASSERT(whole.status == pieces.status && whole.error == pieces.error && whole.questions == pieces.questions);
	if (whole.event == MYSQL_RESPONSE_DONE)
		ASSERT(whole.rows == pieces.rows);
	return 0;
}
