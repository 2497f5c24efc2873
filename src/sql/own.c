/* SPDX-License-Identifier: BSD-2-Clause
 *
 * own: see the header.
 */
#include "sql/own.h"

#include <stdio.h>
#include <stdlib.h>

#define OWN_CAPABILITIES                                                                              \
	(MYSQL_CAN_LONG_PASSWORD | MYSQL_CAN_LONG_FLAG | MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_TRANSACTIONS | \
	 MYSQL_CAN_SECURE_CONNECTION | MYSQL_CAN_PLUGIN_AUTH | MYSQL_CAN_MULTI_RESULTS | MYSQL_CAN_DEPRECATE_EOF)

void own_init(struct own_connection *own)
{
	*own = (struct own_connection){.row = -1};
	stream_init(&own->stream);
}

void own_close(struct own_connection *own)
{
	stream_close(&own->stream);
	own->row = -1;
}

void own_free(struct own_connection *own)
{
	own_close(own);
	free(own->memory);
	own->memory = NULL;
	own->size = own->room = 0;
}

bool own_is_quiet(const struct own_connection *own)
{
	return own->row >= 0 && stream_is_quiet(&own->stream);
}

bool own_connect(struct own_connection *own, struct sql_database *database, const struct sql_server *server)
{
	own_close(own);
	const struct cluster_database *settings = database->settings;
	if (settings == NULL) {
		snprintf(own->problem, sizeof own->problem, "database %s is no longer in the cluster file", database->name);
		return false;
	}
	/* Both may change while we wait. */
	struct sql_server to = *server;
	char user[sizeof settings->user];
	memcpy(user, settings->user, sizeof user);
	struct server_identity identity = {
	    .user = span_of_text(user),
	    .has_password = settings->password[0] != '\0',
	    .capabilities = OWN_CAPABILITIES,
	    .packet_most = 1u << 24,
	    .collation = MYSQL_COLLATION_UTF8MB4_GENERAL,
	};
	if (identity.has_password)
		mysql_native_hash(span_of_text(settings->password), identity.password_sha1);
	struct server_login_answer answer;
	enum server_login_result result = server_login(&own->stream, &to.address, &identity, settings->connect_timeout_ms, &answer);
	if (result == SERVER_LOGIN_OK) {
		own->row = to.row;
		database->collation = answer.collation;
		database_server_worked(database, to.row);
		return true;
	}
	if (result == SERVER_LOGIN_UNREACHABLE)
		database_server_failed(database, to.row);
	if (result == SERVER_LOGIN_REFUSED)
		snprintf(own->problem, sizeof own->problem, "%s refuses noah's account %s: %s", to.name, user, answer.text);
	else
		snprintf(own->problem, sizeof own->problem, "%s: %s", to.name, answer.text);
	return false;
}

static enum mysql_result_kind lose(struct own_connection *own, const char *why)
{
	snprintf(own->problem, sizeof own->problem, "asking: %s", why);
	own_close(own);
	return MYSQL_RESULT_BROKEN;
}

/* Adds what the stream has read to the answer's memory. */
static bool keep(struct own_connection *own, size_t size, size_t most)
{
	if (own->size + size > most)
		return false;
	if (own->size + size > own->room) {
		size_t room = own->room == 0 ? 1024 : own->room;
		while (room < own->size + size)
			room *= 2;
		char *grown = realloc(own->memory, room);
		if (grown == NULL)
			return false;
		own->memory = grown;
		own->room = room;
	}
	memcpy(own->memory + own->size, buffer_span(&own->stream.input).start, size);
	own->size += size;
	buffer_consume(&own->stream.input, size);
	return true;
}

enum mysql_result_kind own_ask(struct own_connection *own, struct span question, size_t most, int64_t timeout_ms,
                               struct mysql_result *result)
{
	char out[1024], capture[256];
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	mysql_write_command(&writer, MYSQL_COM_QUERY, question);
	ASSERT(!writer.failed);
	enum net_result net = stream_write_bytes(&own->stream, writer.start, writer.size, timeout_ms);
	if (net != NET_OK)
		return lose(own, net_result_text(net));

	struct mysql_response response;
	mysql_response_start(&response, MYSQL_COM_QUERY, OWN_CAPABILITIES, capture, sizeof capture);
	own->size = 0;
	enum mysql_response_event event = MYSQL_RESPONSE_MORE;
	while (event == MYSQL_RESPONSE_MORE || event == MYSQL_RESPONSE_RESULT) {
		if (buffer_filled(&own->stream.input) == 0) {
			net = stream_fill(&own->stream, timeout_ms);
			if (net != NET_OK)
				return lose(own, net_result_text(net));
		}
		size_t eaten;
		event = mysql_response_feed(&response, buffer_span(&own->stream.input), &eaten);
		if (!keep(own, eaten, most))
			return lose(own, "the answer is larger than it can be");
	}
	if (event != MYSQL_RESPONSE_DONE)
		return lose(own, "the answer cannot be read");
	buffer_release_if_empty(&own->stream.input);
	enum mysql_result_kind kind = mysql_result_open(result, span_of(own->memory, own->size), OWN_CAPABILITIES, NULL, 0);
	if (kind == MYSQL_RESULT_BROKEN)
		return lose(own, "the answer cannot be read");
	if (kind == MYSQL_RESULT_ERROR)
		snprintf(own->problem, sizeof own->problem, "error %u: %.*s", result->failure.code, (int)result->failure.message.size,
		         result->failure.message.start);
	return kind;
}
