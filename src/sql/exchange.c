/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exchange: one command to one server, and its answer back to the client. The hot path: in the ordinary case one write, one wait,
 * one read, one write, and no byte is copied between the two reads' buffers and the sockets.
 *
 * Called by route.c, command.c and statement.c in the session's task, and by server_connection.c for noah's own commands. Knows
 * nothing of routing: it reports what happened and who has got what.
 */
#include "sql/server_login.h"
#include "sql/session.h"

#include <stdio.h>

#define WRITE_TIMEOUT_MS 600000
#define SEND_TIMEOUT_MS  60000 /* a server that takes no byte of a command for this long is lost */
#define MORE_TIMEOUT_MS  60000 /* a client that stops in the middle of a command is lost */
#define READ_SLICE_MS    200   /* how soon a waiting read notices that its server is down */
#define PRIMARY_SLICE_MS 1000
#define PRIMARY_SLICES \
	3 /* for so many in a row the board must have given the primary up before an answer is not waited for any more */
#define CAPTURE_BYTES     2048
#define FIRST_PACKET_MOST 4096u /* first packets up to this size are looked at before the client gets them */

static bool is_replica(const struct session *session, const struct server_connection *connection)
{
	return connection == &session->connections[SLOT_REPLICA];
}

static void drop_connection(struct session *session, struct server_connection *connection)
{
	stream_close(&connection->stream); /* no goodbye: it may be in the middle of something */
	connection_close(session, is_replica(session, connection) ? SLOT_REPLICA : SLOT_PRIMARY);
}

/* ---- waiting for a server ------------------------------------------------------------------------------------- */

static bool is_given_up(const struct session *session, const struct server_connection *connection, bool impatient,
                        unsigned *slices)
{
	const struct board_target *target = database_target(session->database, connection->row);
	if (atomic_load_explicit(&target->health, memory_order_relaxed) != HEALTH_DOWN) {
		*slices = 0;
		return false;
	}
	return impatient || ++*slices >= PRIMARY_SLICES;
}

/* Reads more from the server. Long statements may take their time; a server that the board calls down is not waited for, nor is
 * one whose client has gone. */
static enum exchange_result fill_from_server(struct session *session, struct server_connection *connection, bool may_run_again)
{
	unsigned slices = 0;
	bool impatient = may_run_again || is_replica(session, connection);
	int64_t slice_ms = impatient ? READ_SLICE_MS : PRIMARY_SLICE_MS;
	for (;;) {
		enum net_result net = stream_fill(&connection->stream, slice_ms);
		if (LIKELY(net == NET_OK))
			return EXCHANGE_DONE;
		if (net == NET_CANCELLED)
			return EXCHANGE_CANCELLED;
		if (net != NET_TIMEOUT) {
			session_set_problem(session, "%s: %s", connection->name, net_result_text(net));
			return EXCHANGE_LOST;
		}
		if (session->client.watched.hangup)
			return EXCHANGE_CLIENT_LOST;
		if (is_given_up(session, connection, impatient, &slices)) {
			char why[BOARD_TEXT_SIZE];
			board_text_read(&database_target(session->database, connection->row)->reason, why);
			session_set_problem(session, "%s does not answer and is down (%s)", connection->name, why);
			return EXCHANGE_LOST;
		}
	}
}

/* ---- sending -------------------------------------------------------------------------------------------------- */

static enum exchange_result send_bytes(struct session *session, struct server_connection *connection, struct span bytes)
{
	enum net_result net = stream_write_bytes(&connection->stream, bytes.start, bytes.size, SEND_TIMEOUT_MS);
	if (LIKELY(net == NET_OK))
		return EXCHANGE_DONE;
	if (net == NET_CANCELLED)
		return EXCHANGE_CANCELLED;
	session_set_problem(session, "%s: %s", connection->name, net_result_text(net));
	return EXCHANGE_LOST;
}

/* A server that does not want the rest of a command (too large) says why and closes. */
static void read_last_words(struct session *session, struct server_connection *connection)
{
	struct mysql_packet packet;
	struct mysql_failure failure;
	if (server_login_read_packet(&connection->stream, &packet, PRIMARY_SLICE_MS) == NET_OK &&
	    mysql_error_parse(packet.payload, &failure))
		session_set_problem(session, "%s: error %u: %.*s", connection->name, failure.code, (int)failure.message.size,
		                    failure.message.start);
}

/* The beginning of a long execution, up to and with the parameter types, which the client did not send again but this server
 * never got. */
static enum exchange_result send_types(struct session *session, struct server_connection *connection, struct command *command)
{
	const struct prepared *item = command->prepared;
	size_t types_size = (size_t)item->parameters * 2, size = mysql_header_size(command->packet.start) + types_size;
	char header[MYSQL_HEADER_SIZE] = {(char)size, (char)(size >> 8), (char)(size >> 16), 0}, flag = 1;
	struct iovec parts[] = {
	    {header, sizeof header},
	    {(char *)(uintptr_t)command->packet.start + MYSQL_HEADER_SIZE, command->types_at - MYSQL_HEADER_SIZE},
	    {&flag, 1},
	    {item->types, types_size},
	};
	size_t eaten;
	(void)!mysql_request_feed(&command->request, span_of(command->packet.start, command->types_at + 1),
	                          &eaten); /* never all of it */
	buffer_consume(&session->client.input, command->types_at + 1);
	enum net_result net = stream_write(&connection->stream, parts, COUNT_OF(parts), SEND_TIMEOUT_MS);
	if (net == NET_OK)
		return EXCHANGE_DONE;
	session_set_problem(session, "%s: %s", connection->name, net_result_text(net));
	return net == NET_CANCELLED ? EXCHANGE_CANCELLED : EXCHANGE_LOST;
}

/* A command larger than what is kept: passes through in pieces, each only once the server has taken the one before. */
static enum exchange_result send_pieces(struct session *session, struct server_connection *connection, struct command *command)
{
	if (command->types_at != 0) {
		enum exchange_result result = send_types(session, connection, command);
		if (result != EXCHANGE_DONE)
			return result;
	}
	for (;;) {
		struct span bytes = buffer_span(&session->client.input);
		size_t eaten;
		enum mysql_request_event event = mysql_request_feed(&command->request, bytes, &eaten);
		command->request_done = event == MYSQL_REQUEST_DONE;
		session->reply_sequence = (uint8_t)(command->request.sequence + 1);
		if (event == MYSQL_REQUEST_BROKEN)
			return EXCHANGE_BROKEN;
		enum exchange_result result = send_bytes(session, connection, span_of(bytes.start, eaten));
		buffer_consume(&session->client.input, eaten);
		if (result == EXCHANGE_LOST)
			read_last_words(session, connection);
		if (result != EXCHANGE_DONE || command->request_done)
			return result;
		enum net_result net = stream_fill(&session->client, MORE_TIMEOUT_MS);
		if (net != NET_OK)
			return net == NET_CANCELLED ? EXCHANGE_CANCELLED : EXCHANGE_CLIENT_LOST;
	}
}

/* ---- relaying ------------------------------------------------------------------------------------------------- */

/* Errors with which a replica says that it is the wrong one, or on its way out; the statement did nothing there. */
static bool is_for_another_server(uint16_t code)
{
	return code == MYSQL_ERROR_OPTION_PREVENTS_STATEMENT || code == MYSQL_ERROR_READ_ONLY_MODE ||
	       code == MYSQL_ERROR_READ_ONLY_TRANSACTION || code == MYSQL_ERROR_SERVER_SHUTDOWN ||
	       code == MYSQL_ERROR_CONNECTION_KILLED;
}

/* The first packet of an answer stands whole in the input (unless it is large: then it is data). */
static enum exchange_result wait_for_first_packet(struct session *session, struct server_connection *connection,
                                                  bool may_run_again)
{
	for (;;) {
		struct span bytes = buffer_span(&connection->stream.input);
		if (bytes.size >= MYSQL_HEADER_SIZE) {
			uint32_t size = mysql_header_size(bytes.start);
			if (bytes.size >= MYSQL_HEADER_SIZE + (size_t)size || size > FIRST_PACKET_MOST)
				return EXCHANGE_DONE;
		}
		enum exchange_result result = fill_from_server(session, connection, may_run_again);
		if (result != EXCHANGE_DONE)
			return result;
	}
}

/* What has to be seen or changed before the client gets the first byte. */
static enum exchange_result look_at_first_packet(struct session *session, struct server_connection *connection,
                                                 const struct command *command, struct exchange *exchange)
{
	char *bytes = connection->stream.input.memory + connection->stream.input.start;
	struct span rest = buffer_span(&connection->stream.input);
	struct mysql_packet packet;
	if (!mysql_packet_next(&rest, &packet))
		return EXCHANGE_DONE;
	struct mysql_failure failure;
	if (mysql_is_error(packet.payload) && is_replica(session, connection) && mysql_error_parse(packet.payload, &failure) &&
	    is_for_another_server(failure.code)) {
		session_set_problem(session, "%s: error %u: %.*s", connection->name, failure.code, (int)failure.message.size,
		                    failure.message.start);
		bool is_leaving = failure.code == MYSQL_ERROR_SERVER_SHUTDOWN || failure.code == MYSQL_ERROR_CONNECTION_KILLED;
		buffer_consume(&connection->stream.input, packet.payload.size + MYSQL_HEADER_SIZE);
		return is_leaving ? EXCHANGE_LOST : EXCHANGE_REFUSED;
	}
	if (command->number == MYSQL_COM_STMT_PREPARE && mysql_prepared_parse(packet.payload, &exchange->prepared)) {
		exchange->has_prepared = true;
		for (unsigned i = 0; i < 4; i++)
			bytes[MYSQL_HEADER_SIZE + 1 + i] = (char)(exchange->give_id >> (8 * i));
	}
	return EXCHANGE_DONE;
}

static enum exchange_result relay(struct session *session, struct server_connection *connection, const struct command *command,
                                  struct exchange *exchange)
{
	char capture[CAPTURE_BYTES];
	struct mysql_response response;
	mysql_response_start(&response, command->number, session->capabilities, capture, sizeof capture);
	enum exchange_result result = wait_for_first_packet(session, connection, exchange->may_run_again);
	if (LIKELY(result == EXCHANGE_DONE))
		result = look_at_first_packet(session, connection, command, exchange);
	struct buffer *input = &connection->stream.input;
	while (result == EXCHANGE_DONE) {
		struct span bytes = buffer_span(input);
		size_t eaten;
		enum mysql_response_event event = mysql_response_feed(&response, bytes, &eaten);
		if (event == MYSQL_RESPONSE_DONE) {
			exchange->failed = response.is_error;
			exchange->has_status = response.has_status;
			exchange->status = response.ok.status;
			exchange->insert_id = response.has_status && !response.is_error ? response.ok.last_insert_id : 0;
		} else if (event != MYSQL_RESPONSE_MORE && event != MYSQL_RESPONSE_RESULT) {
			session_set_problem(session, "%s: its answer is not the protocol", connection->name);
			return session->answer_begun ? EXCHANGE_CUT : EXCHANGE_LOST;
		}
		session->answer_begun = true;
		enum net_result net = stream_write_bytes(&session->client, bytes.start, eaten, WRITE_TIMEOUT_MS);
		buffer_consume(input, eaten);
		if (UNLIKELY(net != NET_OK))
			return net == NET_CANCELLED ? EXCHANGE_CANCELLED : EXCHANGE_CLIENT_LOST;
		if (event == MYSQL_RESPONSE_DONE) {
			if (UNLIKELY(buffer_filled(input) > 0))
				drop_connection(session, connection); /* it says more than it was asked: never guess what that belongs to */
			else
				buffer_release(input);
			return EXCHANGE_DONE;
		}
		if (buffer_filled(input) == 0)
			result = fill_from_server(session, connection, exchange->may_run_again);
	}
	if (result == EXCHANGE_LOST && session->answer_begun)
		return EXCHANGE_CUT;
	return result;
}

enum exchange_result exchange_run(struct session *session, struct server_connection *connection, struct command *command,
                                  struct exchange *exchange)
{
	struct board_lane *lane = session_lane(session);
	int row = connection->row;
	uint64_t incarnation = connection->incarnation;
	atomic_store_explicit(&lane->active[row], atomic_load_explicit(&lane->active[row], memory_order_relaxed) + 1,
	                      memory_order_relaxed);
	enum exchange_result result;
	if (LIKELY(command->whole))
		result = send_bytes(session, connection, command->packet);
	else
		result = send_pieces(session, connection, command);
	exchange->sent = result == EXCHANGE_DONE;
	if (LIKELY(result == EXCHANGE_DONE) && mysql_command_answer(command->number) != MYSQL_ANSWER_NONE)
		result = relay(session, connection, command, exchange);
	atomic_store_explicit(&lane->active[row], atomic_load_explicit(&lane->active[row], memory_order_relaxed) - 1,
	                      memory_order_relaxed);
	if (LIKELY(result == EXCHANGE_DONE)) {
		BOARD_COUNT(lane, served[row], 1);
		session->has_last = true;
		session->last_slot = is_replica(session, connection) ? SLOT_REPLICA : SLOT_PRIMARY;
		session->last_incarnation = incarnation;
	} else if (result != EXCHANGE_REFUSED) {
		if (result == EXCHANGE_LOST)
			database_server_failed(session->database, row);
		drop_connection(session, connection);
	}
	return result;
}

/* ---- noah's own commands on a session's connection ------------------------------------------------------------ */

static bool read_away(struct session *session, struct server_connection *connection, uint8_t command,
                      struct mysql_prepared *prepared)
{
	char capture[512];
	struct mysql_response response;
	mysql_response_start(&response, command, session->capabilities, capture, sizeof capture);
	struct buffer *input = &connection->stream.input;
	for (;;) {
		if (buffer_filled(input) == 0 && fill_from_server(session, connection, false) != EXCHANGE_DONE)
			break;
		size_t eaten;
		enum mysql_response_event event = mysql_response_feed(&response, buffer_span(input), &eaten);
		if (event == MYSQL_RESPONSE_DONE && response.is_error)
			session_set_problem(session, "%s: error %u: %.*s", connection->name, response.failure.code,
			                    (int)response.failure.message.size, response.failure.message.start);
		if (event == MYSQL_RESPONSE_DONE && prepared != NULL)
			*prepared = response.prepared;
		buffer_consume(input, eaten);
		if (event == MYSQL_RESPONSE_DONE)
			return !response.is_error;
		if (event != MYSQL_RESPONSE_MORE && event != MYSQL_RESPONSE_RESULT) {
			session_set_problem(session, "%s: its answer is not the protocol", connection->name);
			break;
		}
	}
	drop_connection(session, connection);
	return false;
}

bool exchange_quietly(struct session *session, struct server_connection *connection, struct span packets, unsigned commands,
                      uint8_t command, struct mysql_prepared *prepared)
{
	if (send_bytes(session, connection, packets) != EXCHANGE_DONE) {
		drop_connection(session, connection);
		return false;
	}
	bool good = true;
	for (unsigned i = 0; i < commands && stream_is_open(&connection->stream); i++)
		good = read_away(session, connection, command, prepared) && good;
	buffer_release_if_empty(&connection->stream.input);
	return good && stream_is_open(&connection->stream);
}
