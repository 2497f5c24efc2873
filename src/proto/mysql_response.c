/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Following a server's answer and a client's command through any split of the stream, to know where each ends and how.
 * Pure, and on the hot path: rows and column definitions are stepped over packet by packet without being looked at. Called by
 * sql/ for every statement, in the session's coroutine; by watch/ for its questions.
 *
 *   FIRST ──OK──────────────────────────────────────────────→ end of a result
 *     │ ├──0xFB→ INFILE, then FIRST again                          │ more results → FIRST
 *     │ └──ERR (anywhere)→ done                                    └ else done
 *     └─count→ DEFINITIONS ─→ DEFINITIONS_END (old EOF) ─→ ROWS ─EOF/OK─→ end of a result
 *   PREPARED → DEFINITIONS (parameters) → … → DEFINITIONS (columns) → … → done
 *   FIELDS, SIMPLE, TEXT, LOGIN → done
 */
#include "proto/mysql.h"

enum phase {
	PHASE_DONE,
	PHASE_FIRST,
	PHASE_DEFINITIONS,
	PHASE_DEFINITIONS_END,
	PHASE_ROWS,
	PHASE_PREPARED,
	PHASE_FIELDS,
	PHASE_SIMPLE,
	PHASE_TEXT,
	PHASE_LOGIN,
};

/* What to do with a packet, known from its first byte. */
enum treatment {
	TREAT_SKIP,  /* step over it */
	TREAT_WHOLE, /* it has to be read */
	TREAT_BROKEN,
};

#define PROGRESS_CODE 0xFFFF /* ERR with this code is MariaDB's progress report, not an error */

static enum phase first_phase(enum mysql_answer answer)
{
	switch (answer) {
	case MYSQL_ANSWER_SIMPLE:
		return PHASE_SIMPLE;
	case MYSQL_ANSWER_RESULT:
		return PHASE_FIRST;
	case MYSQL_ANSWER_PREPARED:
		return PHASE_PREPARED;
	case MYSQL_ANSWER_ROWS:
		return PHASE_ROWS;
	case MYSQL_ANSWER_FIELDS:
		return PHASE_FIELDS;
	case MYSQL_ANSWER_TEXT:
		return PHASE_TEXT;
	case MYSQL_ANSWER_LOGIN:
		return PHASE_LOGIN;
	case MYSQL_ANSWER_NONE:
	case MYSQL_ANSWER_STREAM:
		break;
	}
	return PHASE_DONE;
}

void mysql_response_start(struct mysql_response *response, uint8_t command, uint64_t capabilities, void *capture,
                          size_t capture_room)
{
	ASSERT(capture_room >= MYSQL_CAPTURE_LEAST && capture_room <= UINT32_MAX);
	enum mysql_answer answer = mysql_command_answer(command);
	ASSERT(answer != MYSQL_ANSWER_STREAM);
	*response = (struct mysql_response){
	    .phase = (uint8_t)first_phase(answer),
	    .answer = (uint8_t)answer,
	    .any_sequence = true,
	    .capabilities = capabilities,
	    .capture = capture,
	    .capture_room = (uint32_t)capture_room,
	};
}

/* ---- what ends a result --------------------------------------------------------------------------------------- */

static enum mysql_response_event end_result(struct mysql_response *response)
{
	response->has_status = true;
	response->results++;
	if (response->answer == MYSQL_ANSWER_RESULT && (response->ok.status & MYSQL_STATUS_MORE_RESULTS)) {
		response->phase = PHASE_FIRST;
		return MYSQL_RESPONSE_RESULT;
	}
	response->phase = PHASE_DONE;
	return MYSQL_RESPONSE_DONE;
}

/* Reads an OK or EOF. When the capture was too small, the tail (information, tracking) is missing. */
static bool read_end(struct mysql_response *response, struct span payload, bool cut)
{
	struct mysql_ok *ok = &response->ok;
	/* An OK has seven bytes at least, so a shorter one is an EOF even where EOF should be no more. */
	bool deprecated = response->capabilities & MYSQL_CAN_DEPRECATE_EOF;
	if ((uint8_t)payload.start[0] == 0xFE && (!deprecated || payload.size < 7)) {
		*ok = (struct mysql_ok){0};
		return mysql_eof_parse(payload, &ok->warnings, &ok->status);
	}
	if (!cut)
		return mysql_ok_parse(payload, response->capabilities, ok);
	struct mysql_reader reader = mysql_reader_of(payload);
	*ok = (struct mysql_ok){0};
	mysql_read_u8(&reader);
	ok->affected_rows = mysql_read_number(&reader);
	ok->last_insert_id = mysql_read_number(&reader);
	ok->status = mysql_read_u16(&reader);
	ok->warnings = mysql_read_u16(&reader);
	if (ok->status & MYSQL_STATUS_SESSION_STATE_CHANGED)
		response->track_lost = true;
	return !reader.failed;
}

static enum mysql_response_event take_error(struct mysql_response *response, struct span payload)
{
	if (!mysql_error_parse(payload, &response->failure))
		return MYSQL_RESPONSE_BROKEN;
	if (response->failure.code == PROGRESS_CODE && (response->capabilities & MYSQL_CAN_MARIADB_PROGRESS)) {
		response->failure = (struct mysql_failure){0};
		return MYSQL_RESPONSE_MORE;
	}
	response->is_error = true;
	response->phase = PHASE_DONE;
	return MYSQL_RESPONSE_DONE;
}

/* ---- packets, one function for each phase that reads them wholly ------------------------------------------------ */

/* A group of definitions is over, or there was none: on to what follows it. */
static enum mysql_response_event after_definitions(struct mysql_response *response)
{
	if (response->answer == MYSQL_ANSWER_RESULT) {
		response->phase = PHASE_ROWS;
		return MYSQL_RESPONSE_MORE;
	}
	response->definitions = response->definitions_next;
	response->definitions_next = 0;
	response->phase = response->definitions > 0 ? PHASE_DEFINITIONS : PHASE_DONE;
	return response->definitions > 0 ? MYSQL_RESPONSE_MORE : MYSQL_RESPONSE_DONE;
}

static enum mysql_response_event last_definition(struct mysql_response *response)
{
	if (response->capabilities & MYSQL_CAN_DEPRECATE_EOF)
		return after_definitions(response);
	response->phase = PHASE_DEFINITIONS_END;
	return MYSQL_RESPONSE_MORE;
}

static enum mysql_response_event take_count(struct mysql_response *response, struct span payload)
{
	struct mysql_reader reader = mysql_reader_of(payload);
	uint64_t columns = mysql_read_number(&reader);
	bool follow = !(response->capabilities & MYSQL_CAN_MARIADB_CACHE_METADATA) || mysql_read_u8(&reader) != 0;
	if (reader.failed || mysql_reader_left(&reader) > 0 || columns == 0 || columns > 0xFFFF)
		return MYSQL_RESPONSE_BROKEN;
	response->columns = (uint32_t)columns;
	response->definitions = follow ? response->columns : 0;
	response->phase = PHASE_DEFINITIONS;
	return follow ? MYSQL_RESPONSE_MORE : last_definition(response);
}

static enum mysql_response_event take_first(struct mysql_response *response, struct span payload, bool cut)
{
	switch ((uint8_t)payload.start[0]) {
	case 0x00:
		return read_end(response, payload, cut) ? end_result(response) : MYSQL_RESPONSE_BROKEN;
	case 0xFB:
		response->request = payload;
		response->any_sequence = true;
		return MYSQL_RESPONSE_INFILE;
	default:
		return cut ? MYSQL_RESPONSE_BROKEN : take_count(response, payload);
	}
}

static enum mysql_response_event take_definitions_end(struct mysql_response *response, struct span payload)
{
	struct mysql_ok end = {0};
	if (!mysql_eof_parse(payload, &end.warnings, &end.status))
		return MYSQL_RESPONSE_BROKEN;
	/* A cursor was opened: the rows will be fetched. New clients are told by the OK behind the (no) rows. */
	if (response->answer == MYSQL_ANSWER_RESULT && (end.status & MYSQL_STATUS_CURSOR_EXISTS)) {
		response->ok = end;
		return end_result(response);
	}
	return after_definitions(response);
}

static enum mysql_response_event take_prepared(struct mysql_response *response, struct span payload)
{
	if (!mysql_prepared_parse(payload, &response->prepared))
		return MYSQL_RESPONSE_BROKEN;
	response->has_prepared = true;
	response->columns = response->prepared.columns;
	response->definitions = response->prepared.parameters;
	response->definitions_next = response->prepared.columns;
	response->phase = PHASE_DEFINITIONS;
	return response->definitions > 0 ? MYSQL_RESPONSE_MORE : after_definitions(response);
}

static enum mysql_response_event take_login(struct mysql_response *response, struct span payload, bool cut)
{
	uint8_t first = (uint8_t)payload.start[0];
	if (first == 0x00)
		return read_end(response, payload, cut) ? end_result(response) : MYSQL_RESPONSE_BROKEN;
	if (first != 0xFE && first != 0x01)
		return MYSQL_RESPONSE_BROKEN;
	response->request = payload;
	response->any_sequence = true;
	return MYSQL_RESPONSE_AUTH;
}

static enum mysql_response_event take_whole(struct mysql_response *response, struct span payload, bool cut)
{
	if ((uint8_t)payload.start[0] == 0xFF)
		return take_error(response, payload);
	switch ((enum phase)response->phase) {
	case PHASE_FIRST:
		return take_first(response, payload, cut);
	case PHASE_DEFINITIONS_END:
		return take_definitions_end(response, payload);
	case PHASE_PREPARED:
		return take_prepared(response, payload);
	case PHASE_LOGIN:
		return take_login(response, payload, cut);
	case PHASE_SIMPLE:
	case PHASE_ROWS:
	case PHASE_FIELDS:
		return read_end(response, payload, cut) ? end_result(response) : MYSQL_RESPONSE_BROKEN;
	default:
		return MYSQL_RESPONSE_BROKEN;
	}
}

static enum mysql_response_event take_skipped(struct mysql_response *response)
{
	if (response->phase == PHASE_DEFINITIONS && --response->definitions == 0)
		return last_definition(response);
	if (response->phase == PHASE_TEXT) {
		response->phase = PHASE_DONE;
		return MYSQL_RESPONSE_DONE;
	}
	return MYSQL_RESPONSE_MORE;
}

/* ---- framing -------------------------------------------------------------------------------------------------- */

/* Decides by the first byte, which is there unless the packet is empty. */
static enum treatment decide(struct mysql_response *response, int first, uint32_t size)
{
	if (response->continued)
		return TREAT_SKIP;
	if (first < 0)
		return response->phase == PHASE_TEXT ? TREAT_SKIP : TREAT_BROKEN;
	if (size == MYSQL_PAYLOAD_MOST) {
		/* Only rows are ever this large. The first field of one may be too (0xFE). */
		if (response->phase != PHASE_ROWS || first == 0xFF)
			return TREAT_BROKEN;
		response->rows++;
		return TREAT_SKIP;
	}
	if (first == 0xFF)
		return TREAT_WHOLE;
	switch ((enum phase)response->phase) {
	case PHASE_TEXT:
	case PHASE_DEFINITIONS:
		return first == 0xFE && response->phase == PHASE_DEFINITIONS ? TREAT_BROKEN : TREAT_SKIP;
	case PHASE_FIELDS:
		return first == 0xFE ? TREAT_WHOLE : TREAT_SKIP;
	case PHASE_ROWS:
		if (first == 0xFE)
			return TREAT_WHOLE;
		response->rows++;
		return TREAT_SKIP;
	default:
		return TREAT_WHOLE;
	}
}

/* The whole packet is over; `payload` is only looked at when it is to be read. */
static enum mysql_response_event packet_over(struct mysql_response *response, enum treatment treatment, struct span payload,
                                             bool cut)
{
	bool continued = response->continued;
	response->continued = response->packet_size == MYSQL_PAYLOAD_MOST;
	if (treatment == TREAT_WHOLE)
		return take_whole(response, payload, cut);
	return continued || response->continued ? MYSQL_RESPONSE_MORE : take_skipped(response);
}

/* An ERR may come out of turn (a connection killed by the server); anything else out of turn is not for us. */
static bool sequence_fits(struct mysql_response *response, uint8_t sequence, int first)
{
	bool fits = response->any_sequence || sequence == (uint8_t)(response->sequence + 1) || first == 0xFF;
	response->any_sequence = false;
	response->sequence = sequence;
	return fits;
}

/* Steps over whole rows and definitions as fast as memory gives their headers. */
static const uint8_t *skip_fast(struct mysql_response *response, const uint8_t *next, const uint8_t *end)
{
	bool rows = response->phase == PHASE_ROWS;
	uint32_t bound = rows ? UINT32_MAX : response->definitions - 1; /* the last definition changes the phase */
	uint32_t skipped = 0;
	uint8_t sequence = response->sequence;
	while (skipped < bound && end - next > MYSQL_HEADER_SIZE) {
		uint32_t size = mysql_header_size(next);
		if (size == 0 || size == MYSQL_PAYLOAD_MOST || (size_t)(end - next) < MYSQL_HEADER_SIZE + size ||
		    next[MYSQL_HEADER_SIZE] >= 0xFE || next[3] != (uint8_t)(sequence + 1))
			break;
		sequence = next[3];
		next += MYSQL_HEADER_SIZE + size;
		skipped++;
	}
	response->sequence = sequence;
	if (rows)
		response->rows += skipped;
	else
		response->definitions -= skipped;
	return next;
}

/* A header is complete: the packet begins at `next`. When all of it is there it is dealt with at once. */
static enum mysql_response_event begin_packet(struct mysql_response *response, const uint8_t *header, const uint8_t **next,
                                              const uint8_t *end)
{
	uint32_t size = mysql_header_size(header);
	uint8_t sequence = mysql_header_sequence(header);
	response->begun = true;
	response->header_size = 0;
	response->packet_size = size;
	if ((size_t)(end - *next) < size) {
		response->left = size;
		response->has_first = false;
		response->header[3] = sequence;
		return MYSQL_RESPONSE_MORE;
	}
	int first = size > 0 ? **next : -1;
	enum treatment treatment = decide(response, first, size);
	if (treatment == TREAT_BROKEN || !sequence_fits(response, sequence, first))
		return MYSQL_RESPONSE_BROKEN;
	struct span payload = span_of(*next, size);
	*next += size;
	return packet_over(response, treatment, payload, false);
}

/* More of a packet that came in pieces. */
static enum mysql_response_event continue_packet(struct mysql_response *response, const uint8_t **next, const uint8_t *end)
{
	if (!response->has_first) {
		enum treatment treatment = decide(response, **next, response->packet_size);
		if (treatment == TREAT_BROKEN || !sequence_fits(response, response->header[3], **next))
			return MYSQL_RESPONSE_BROKEN;
		response->has_first = true;
		response->capturing = treatment == TREAT_WHOLE;
		response->capture_size = 0;
	}
	uint32_t here = (size_t)(end - *next) < response->left ? (uint32_t)(end - *next) : response->left;
	if (response->capturing) {
		uint32_t room = response->capture_room - response->capture_size;
		uint32_t kept = here < room ? here : room;
		memcpy(response->capture + response->capture_size, *next, kept);
		response->capture_size += kept;
	}
	*next += here;
	response->left -= here;
	if (response->left > 0)
		return MYSQL_RESPONSE_MORE;
	enum treatment treatment = response->capturing ? TREAT_WHOLE : TREAT_SKIP;
	response->capturing = false;
	return packet_over(response, treatment, span_of(response->capture, response->capture_size),
	                   response->packet_size > response->capture_room);
}

static enum mysql_response_event feed_some(struct mysql_response *response, const uint8_t **next, const uint8_t *end)
{
	if (response->left > 0)
		return continue_packet(response, next, end);
	if (response->header_size == 0) {
		if ((response->phase == PHASE_ROWS || response->phase == PHASE_DEFINITIONS) && !response->continued &&
		    !response->any_sequence) {
			*next = skip_fast(response, *next, end);
			if (*next == end)
				return MYSQL_RESPONSE_MORE;
		}
		if (end - *next >= MYSQL_HEADER_SIZE) {
			const uint8_t *header = *next;
			*next += MYSQL_HEADER_SIZE;
			return begin_packet(response, header, next, end);
		}
	}
	response->header[response->header_size++] = *(*next)++;
	if (response->header_size < MYSQL_HEADER_SIZE)
		return MYSQL_RESPONSE_MORE;
	return begin_packet(response, response->header, next, end);
}

enum mysql_response_event mysql_response_feed(struct mysql_response *response, struct span bytes, size_t *eaten)
{
	*eaten = 0;
	if (response->answer == MYSQL_ANSWER_NONE)
		return MYSQL_RESPONSE_DONE;
	ASSERT(response->phase != PHASE_DONE);
	/* What an earlier event pointed to is gone by now: an empty span is safer than a stale one. */
	response->ok.info = response->ok.track = response->request = (struct span){0};
	const uint8_t *start = (const uint8_t *)bytes.start, *next = start, *end = start + bytes.size;
	enum mysql_response_event event = MYSQL_RESPONSE_MORE;
	while (next < end && event == MYSQL_RESPONSE_MORE)
		event = feed_some(response, &next, end);
	if (event == MYSQL_RESPONSE_BROKEN)
		response->phase = PHASE_DONE;
	response->rows_begun = response->rows > 0;
	*eaten = (size_t)(next - start);
	response->bytes += *eaten;
	return event;
}

/* ---- the client's side ---------------------------------------------------------------------------------------- */

void mysql_request_start(struct mysql_request *request, uint64_t most)
{
	*request = (struct mysql_request){.most = most};
}

void mysql_request_start_file(struct mysql_request *request, uint8_t sequence)
{
	*request = (struct mysql_request){.is_file = true, .next_sequence = sequence, .most = UINT64_MAX};
}

/* True when the packet whose header is complete may stand here. */
static bool request_packet_fits(struct mysql_request *request)
{
	uint32_t size = mysql_header_size(request->header);
	if (mysql_header_sequence(request->header) != request->next_sequence)
		return false;
	if (!request->is_file && request->packets == 0 && size == 0)
		return false;
	if (request->size + size > request->most)
		return false;
	request->sequence = request->next_sequence++;
	request->packets++;
	request->left = size;
	request->size += size;
	request->last = request->is_file ? size == 0 : size != MYSQL_PAYLOAD_MOST;
	request->header_size = 0;
	return true;
}

enum mysql_request_event mysql_request_feed(struct mysql_request *request, struct span bytes, size_t *eaten)
{
	const uint8_t *start = (const uint8_t *)bytes.start, *next = start, *end = start + bytes.size;
	enum mysql_request_event event = MYSQL_REQUEST_MORE;
	while (next < end && event == MYSQL_REQUEST_MORE) {
		if (request->left == 0) {
			request->header[request->header_size++] = *next++;
			if (request->header_size < MYSQL_HEADER_SIZE)
				continue;
			if (!request_packet_fits(request)) {
				event = MYSQL_REQUEST_BROKEN;
				break;
			}
		} else {
			if (!request->has_command) {
				request->has_command = true;
				request->command = *next;
			}
			uint32_t here = (size_t)(end - next) < request->left ? (uint32_t)(end - next) : request->left;
			next += here;
			request->left -= here;
		}
		if (request->left == 0 && request->last)
			event = MYSQL_REQUEST_DONE;
	}
	*eaten = (size_t)(next - start);
	return event;
}
