/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One check of a database server: log in (once; the connection is kept), ask what it is, who it replicates from and how far it
 * is. In a task of the watch process; watch.c calls it. What the answers mean for the cluster is decided in roles.c.
 *
 * For MariaDB 10.11 and newer. The account needs SLAVE MONITOR (its replicas' state) and SELECT on mysql.global_priv (a
 * checksum of the users).
 */
#include "proto/mysql.h"
#include "watch/watch_private.h"

#include <stdio.h>

#define COLUMNS_MOST  96u /* of SHOW ALL SLAVES STATUS; MariaDB 11.4 has 63 */
#define REPLICAS_MOST 64u /* masters of one server */
#define LOGIN_TURNS   4u  /* packets from the server until it is OK */

/* One check under way. */
struct question {
	struct database_client *client;
	const struct cluster_check *check;
	struct check_clock clock;
	struct check_result *result;
	bool broken; /* the connection, not the server's opinion */
};

void database_client_close(struct database_client *client)
{
	stream_close(&client->stream);
}

static bool fail(struct question *question, const char *text, struct span detail)
{
	question->result->good = false;
	snprintf(question->result->reason, sizeof question->result->reason, "%s%.*s", text,
	         (int)(detail.size < 150 ? detail.size : 150), detail.start != NULL ? detail.start : "");
	return false;
}

static bool fail_net(struct question *question, enum net_result net, const char *while_doing)
{
	question->broken = true;
	check_failed_net(question->result, question->check, net, while_doing);
	return false;
}

/* ---- logging in ----------------------------------------------------------------------------------------------- */

/* The next whole packet, eaten from the input at the following call. */
static bool read_packet(struct question *question, struct mysql_packet *packet)
{
	struct stream *stream = &question->client->stream;
	for (;;) { /* at most NET_BUFFER_SIZE bytes fit */
		struct span bytes = buffer_span(&stream->input);
		if (bytes.size > 0 && mysql_packet_next(&bytes, packet))
			return true;
		enum net_result net = stream_fill(stream, check_clock_left_ms(&question->clock));
		if (net != NET_OK)
			return fail_net(question, net, "logging in");
	}
}

static void eat_packet(struct question *question, const struct mysql_packet *packet)
{
	buffer_consume(&question->client->stream.input, MYSQL_HEADER_SIZE + packet->payload.size);
}

static bool send_bytes(struct question *question, const struct mysql_writer *writer, const char *while_doing)
{
	ASSERT(!writer->failed);
	enum net_result net =
	    stream_write_bytes(&question->client->stream, writer->start, writer->size, check_clock_left_ms(&question->clock));
	return net == NET_OK || fail_net(question, net, while_doing);
}

static struct span make_reply(const char *password, const uint8_t scramble[MYSQL_SCRAMBLE_SIZE], uint8_t out[MYSQL_SHA1_SIZE])
{
	uint8_t hash[MYSQL_SHA1_SIZE];
	if (password[0] == '\0')
		return span_of(NULL, 0);
	mysql_native_hash(span_of_text(password), hash);
	mysql_native_reply(hash, scramble, out);
	return span_of(out, MYSQL_SHA1_SIZE);
}

static bool greeted_error(struct question *question, struct span payload)
{
	struct mysql_failure failure;
	if (!mysql_error_parse(payload, &failure))
		return fail(question, "it refuses in words that are not the protocol", span_of(NULL, 0));
	return fail(question, "it refuses: ", failure.message);
}

/* The server's word on the login: asks for another method at most a few times, then OK or an error. */
static bool finish_login(struct question *question, const struct database_login *login)
{
	for (unsigned turn = 0; turn < LOGIN_TURNS; turn++) {
		struct mysql_packet packet;
		struct mysql_auth_switch other;
		if (!read_packet(question, &packet))
			return false;
		if (mysql_is_error(packet.payload))
			return greeted_error(question, packet.payload);
		if (packet.payload.size > 0 && packet.payload.start[0] == 0) {
			eat_packet(question, &packet);
			return true;
		}
		if (!mysql_auth_switch_parse(packet.payload, &other) || !span_equal(other.plugin, SPAN("mysql_native_password")) ||
		    other.data.size < MYSQL_SCRAMBLE_SIZE)
			return fail(question, "the account must log in with mysql_native_password", span_of(NULL, 0));
		uint8_t scramble[MYSQL_SCRAMBLE_SIZE], reply[MYSQL_SHA1_SIZE], out[64];
		memcpy(scramble, other.data.start, sizeof scramble);
		uint8_t sequence = (uint8_t)(packet.sequence + 1);
		eat_packet(question, &packet);
		struct mysql_writer writer;
		mysql_writer_init(&writer, out, sizeof out);
		mysql_packet_begin(&writer, sequence);
		mysql_write_bytes(&writer, make_reply(login->password, scramble, reply));
		mysql_packet_end(&writer);
		if (!send_bytes(question, &writer, "logging in"))
			return false;
	}
	return fail(question, "the login does not come to an end", span_of(NULL, 0));
}

static bool log_in(struct question *question, const struct database_login *login)
{
	struct database_client *client = question->client;
	struct mysql_packet packet;
	struct mysql_greeting greeting;
	if (!read_packet(question, &packet))
		return false;
	if (mysql_is_error(packet.payload))
		return greeted_error(question, packet.payload);
	if (!mysql_greeting_parse(packet.payload, &greeting))
		return fail(question, "what answers there is not a database server", span_of(NULL, 0));
	/* MariaDB up to 10.x puts this in front for old replicas. */
	struct span version = greeting.version;
	if (span_starts_with(version, SPAN("5.5.5-")))
		version = span_of(version.start + 6, version.size - 6);
	if (!span_copy(version, client->version, sizeof client->version))
		client->version[0] = '\0';
	if (!greeting.is_mariadb)
		return fail(question, "not a MariaDB: ", span_of_text(client->version));

	uint8_t reply[MYSQL_SHA1_SIZE], out[512];
	client->capabilities = greeting.capabilities & (MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_PLUGIN_AUTH |
	                                                MYSQL_CAN_TRANSACTIONS | MYSQL_CAN_LONG_FLAG | MYSQL_CAN_LONG_PASSWORD);
	struct mysql_login answer = {.capabilities = client->capabilities,
	                             .packet_most = MYSQL_PAYLOAD_MOST,
	                             .collation = MYSQL_COLLATION_UTF8MB4_GENERAL,
	                             .has_collation = true,
	                             .user = span_of_text(login->user),
	                             .reply = make_reply(login->password, greeting.scramble, reply),
	                             .plugin = SPAN("mysql_native_password")};
	uint8_t sequence = (uint8_t)(packet.sequence + 1);
	eat_packet(question, &packet);
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	mysql_login_write(&writer, sequence, &answer);
	return send_bytes(question, &writer, "logging in") && finish_login(question, login);
}

/* ---- asking --------------------------------------------------------------------------------------------------- */

/* Sends a query and waits for the whole answer, which then stands in the input until finish_query. */
static bool query(struct question *question, const char *text, struct mysql_result *result, struct span *names,
                  unsigned names_room)
{
	struct database_client *client = question->client;
	struct stream *stream = &client->stream;
	uint8_t out[512], capture[512];
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	mysql_write_command(&writer, MYSQL_COM_QUERY, span_of_text(text));
	if (!send_bytes(question, &writer, "asking"))
		return false;
	struct mysql_response response;
	mysql_response_start(&response, MYSQL_COM_QUERY, client->capabilities, capture, sizeof capture);
	size_t fed = 0;
	for (;;) { /* at most NET_BUFFER_SIZE bytes fit */
		enum net_result net = stream_fill(stream, check_clock_left_ms(&question->clock));
		if (net != NET_OK)
			return fail_net(question, net,
			                net == NET_NO_RESOURCES ? "reading an answer that is too long" : "waiting for an answer");
		struct span bytes = buffer_span(&stream->input);
		size_t eaten;
		enum mysql_response_event event = mysql_response_feed(&response, span_of(bytes.start + fed, bytes.size - fed), &eaten);
		fed += eaten;
		if (event == MYSQL_RESPONSE_DONE)
			break;
		if (event != MYSQL_RESPONSE_MORE) {
			question->broken = true;
			return fail(question, "its answer is not the protocol", span_of(NULL, 0));
		}
	}
	enum mysql_result_kind kind = mysql_result_open(result, buffer_span(&stream->input), client->capabilities, names, names_room);
	if (kind == MYSQL_RESULT_ROWS)
		return true;
	fail(question, kind == MYSQL_RESULT_ERROR ? "it says: " : "its answer is not a result",
	     kind == MYSQL_RESULT_ERROR ? result->failure.message : span_of(NULL, 0));
	return false;
}

static void finish_query(struct question *question)
{
	struct buffer *input = &question->client->stream.input;
	buffer_consume(input, buffer_filled(input));
}

static void keep_text(struct span text, char *out, size_t size)
{
	if (text.size >= size)
		text.size = size - 1;
	ASSERT(span_copy(text, out, size));
}

/* "1" for on, in whatever way it is written. */
static bool is_on(struct span text)
{
	return span_equal(text, SPAN("1")) || span_equal_nocase(text, SPAN("ON"));
}

static bool ask_itself(struct question *question, struct database_view *view)
{
	struct mysql_result result;
	struct span fields[4];
	uint64_t number;
	bool good =
	    query(question, "SELECT @@global.read_only, @@global.server_id, @@global.gtid_binlog_pos, @@global.gtid_slave_pos",
	          &result, NULL, 0);
	/* Columns that are not there would leave fields unset. */
	if (good && (result.columns != COUNT_OF(fields) || mysql_row_next(&result, fields, COUNT_OF(fields)) != MYSQL_ROW))
		good = fail(question, "its answer is not a result", span_of(NULL, 0));
	if (good) {
		view->read_only = is_on(fields[0]);
		view->server_id = span_to_number(fields[1], UINT32_MAX, &number) ? (uint32_t)number : 0;
		keep_text(fields[2].size > 0 ? fields[2] : fields[3], view->position, sizeof view->position);
	}
	finish_query(question);
	return good;
}

/* ---- SHOW ALL SLAVES STATUS ----------------------------------------------------------------------------------- */

static struct span column(const struct span *names, const struct span *fields, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (span_equal_nocase(names[i], span_of_text(name)))
			return fields[i];
	return span_of(NULL, 0);
}

static void read_source(const struct span *names, const struct span *fields, unsigned count, struct database_view *view)
{
	uint64_t number;
	struct span io = column(names, fields, count, "Slave_IO_Running");
	view->replicates = true;
	view->receives = !span_equal_nocase(io, SPAN("No"));
	view->connected = span_equal_nocase(io, SPAN("Yes"));
	view->applies = span_equal_nocase(column(names, fields, count, "Slave_SQL_Running"), SPAN("Yes"));
	if (span_to_number(column(names, fields, count, "Master_Server_Id"), UINT32_MAX, &number))
		view->source_id = (uint32_t)number;
	if (span_to_number(column(names, fields, count, "Master_Port"), UINT16_MAX, &number))
		view->source_port = (uint16_t)number;
	if (span_to_number(column(names, fields, count, "Seconds_Behind_Master"), UINT32_MAX / 1000 - 1, &number))
		view->lag_ms = (uint32_t)number * 1000;
	keep_text(column(names, fields, count, "Master_Host"), view->source_host, sizeof view->source_host);
	struct span trouble = column(names, fields, count, "Last_SQL_Error");
	if (trouble.size == 0)
		trouble = column(names, fields, count, "Last_IO_Error");
	keep_text(trouble, view->trouble, sizeof view->trouble);
}

/* With several masters the first that runs counts: a second one is another data set's. */
static bool ask_replication(struct question *question, struct database_view *view)
{
	struct mysql_result result;
	struct span names[COLUMNS_MOST], fields[COLUMNS_MOST];
	if (!query(question, "SHOW ALL SLAVES STATUS", &result, names, COLUMNS_MOST)) {
		finish_query(question);
		return false;
	}
	unsigned count = result.columns < COLUMNS_MOST ? result.columns : COLUMNS_MOST;
	for (unsigned row = 0; row < REPLICAS_MOST && mysql_row_next(&result, fields, count) == MYSQL_ROW; row++)
		if (!view->replicates || !view->connected)
			read_source(names, fields, count, view);
	finish_query(question);
	return true;
}

/* Users and passwords as one number: when it differs, they are read again. Not being allowed is not the server's illness. */
static bool ask_accounts(struct question *question, struct database_view *view)
{
	struct mysql_result result;
	struct span fields[2];
	struct check_result before = *question->result;
	bool good = query(question, "CHECKSUM TABLE mysql.global_priv", &result, NULL, 0);
	if (good && result.columns == COUNT_OF(fields) && mysql_row_next(&result, fields, COUNT_OF(fields)) == MYSQL_ROW)
		keep_text(fields[1], view->accounts, sizeof view->accounts);
	finish_query(question);
	if (!good && !question->broken)
		*question->result = before;
	return !question->broken;
}

static bool ask_all(struct question *question, bool accounts, struct database_view *view)
{
	if (!ask_itself(question, view) || !ask_replication(question, view) || (accounts && !ask_accounts(question, view)))
		return false;
	view->known = true;
	question->result->good = true;
	snprintf(question->result->reason, sizeof question->result->reason, "answers in %.0f ms",
	         check_clock_took_ms(&question->clock));
	return true;
}

static bool connect_and_log_in(struct question *question, const struct address *address, const struct database_login *login)
{
	enum net_result net = stream_connect(&question->client->stream, address, check_clock_left_ms(&question->clock));
	if (net != NET_OK)
		return fail_net(question, net, "connecting");
	return log_in(question, login);
}

void check_mysql(struct database_client *client, const struct database_login *login, const struct cluster_check *check,
                 const struct address *address, bool accounts, struct database_view *view, struct check_result *result)
{
	struct question question = {.client = client, .check = check, .clock = check_clock_start(check), .result = result};
	bool kept = stream_is_open(&client->stream), good = true;
	for (unsigned tries = 0; tries < 2;
	     tries++) { /* a kept connection may have been closed by a restart: once more on a new one */
		*view = (struct database_view){.lag_ms = UINT32_MAX};
		*result = (struct check_result){0};
		question.broken = false;
		good = (stream_is_open(&client->stream) || connect_and_log_in(&question, address, login)) &&
		       ask_all(&question, accounts, view);
		if (good || !kept || !question.broken || check_clock_left_ms(&question.clock) == 0)
			break;
		database_client_close(client);
		kept = false;
	}
	buffer_release_if_empty(&client->stream.input);
	if (!good) {
		view->known = false;
		result->good = false;
		database_client_close(client);
	}
}
