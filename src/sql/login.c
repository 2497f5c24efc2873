/* SPDX-License-Identifier: BSD-2-Clause
 *
 * login: the client's side of the login: greeting, password, and the first server's verdict; and COM_CHANGE_USER.
 *
 * noah greets before any server is asked. The password is checked against the accounts that users.c has; mysql_native_password's
 * reply gives its SHA-1 away, with which noah logs in to servers as that user. The session's first server connection is made
 * right here, to the primary while there is one: locked or expired accounts, host rules and the named database are the server's
 * to judge.
 */
#include "sql/server_login.h"
#include "sql/session.h"
#include "sql/users.h"

#include <stdio.h>
#include <stdlib.h>

#define LOGIN_TIMEOUT_MS 10000 /* as connect_timeout of a server */
#define PLUGIN           SPAN("mysql_native_password")

static enum outcome outcome_of_net(enum net_result net)
{
	if (net == NET_TIMEOUT)
		return OUTCOME_LOGIN_SLOW;
	if (net == NET_NO_RESOURCES)
		return OUTCOME_HANDSHAKE;
	return net == NET_CANCELLED ? OUTCOME_CANCELLED : OUTCOME_CLIENT_LOST;
}

static void make_scramble(struct session *session)
{
	uint8_t random[MYSQL_SCRAMBLE_SIZE];
	random_bytes(random, sizeof random);
	mysql_scramble_make(random, session->scramble);
}

static enum outcome greet(struct session *session)
{
	char version[BOARD_TEXT_SIZE], out[512];
	database_version(session->database, version);
	make_scramble(session);
	struct mysql_greeting greeting = {
	    .version = span_of_text(version),
	    .connection_id = session->id,
	    .capabilities = SESSION_CAPABILITIES,
	    .collation = session->database->collation,
	    .status = MYSQL_STATUS_AUTOCOMMIT,
	    .plugin = PLUGIN,
	};
	memcpy(greeting.scramble, session->scramble, sizeof greeting.scramble);
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	mysql_greeting_write(&writer, &greeting);
	ASSERT(!writer.failed);
	enum net_result net = session_send(session, &writer);
	return net == NET_OK ? OUTCOME_DONE : outcome_of_net(net);
}

/* The next packet of the login stands whole at the front of the input; its successor is what we answer with. */
static enum outcome read_packet(struct session *session, uint8_t sequence, struct mysql_packet *packet)
{
	enum net_result net = server_login_read_packet(&session->client, packet, LOGIN_TIMEOUT_MS);
	if (net != NET_OK)
		return outcome_of_net(net);
	session->reply_sequence = (uint8_t)(packet->sequence + 1);
	if (packet->sequence == sequence)
		return OUTCOME_DONE;
	session_set_problem(session, ": packets out of order");
	return OUTCOME_HANDSHAKE;
}

static void consume(struct session *session, const struct mysql_packet *packet)
{
	buffer_consume(&session->client.input, packet->payload.size + MYSQL_HEADER_SIZE);
}

/* What the client proposes instead cannot be checked: ask for mysql_native_password, with a new scramble. The reply stays in the
 * input. */
static enum outcome switch_plugin(struct session *session, struct mysql_packet *packet)
{
	char out[128];
	struct mysql_writer writer;
	make_scramble(session);
	mysql_writer_init(&writer, out, sizeof out);
	mysql_auth_switch_write(&writer, session->reply_sequence, PLUGIN, session->scramble);
	ASSERT(!writer.failed);
	enum net_result net = session_send(session, &writer);
	if (net != NET_OK)
		return outcome_of_net(net);
	return read_packet(session, (uint8_t)(session->reply_sequence + 1), packet);
}

/* Who the client says it is, into the session. The spans of `login` are only good until the input moves on. */
static bool take_identity(struct session *session, const struct mysql_login *login)
{
	if (login->user.size >= SESSION_USER_SIZE || login->database.size >= SESSION_SCHEMA_SIZE)
		return false;
	char *user = strndup(login->user.start != NULL ? login->user.start : "", login->user.size);
	if (user == NULL || !session_set_schema(session, login->database.size > 0 ? login->database : SPAN(""))) {
		free(user);
		return false;
	}
	free(session->user);
	free(session->attributes);
	session->user = user;
	session->attributes = NULL;
	session->attributes_size = 0;
	if (login->attributes.size > 0 && login->attributes.size <= SESSION_ATTRIBUTES_MOST &&
	    (session->attributes = malloc(login->attributes.size)) != NULL) {
		memcpy(session->attributes, login->attributes.start, login->attributes.size);
		session->attributes_size = login->attributes.size;
	}
	return true;
}

static bool client_is_local(const struct session *session)
{
	if (session->from.family == ADDRESS_IPV4)
		return session->from.ip[0] == 127;
	static const uint8_t loopback[16] = {[15] = 1};
	return session->from.family == ADDRESS_IPV6 ? memcmp(session->from.ip, loopback, 16) == 0 : true;
}

static enum outcome judge(struct session *session, struct span reply)
{
	struct users_claim claim = {.user = span_of_text(session->user), .is_local = client_is_local(session)};
	char kept[MYSQL_SHA1_SIZE]; /* the input may move on while we wait */
	claim.reply = span_of(kept, reply.size <= sizeof kept ? reply.size : 1);
	memcpy(kept, reply.size > 0 ? reply.start : "", claim.reply.size);
	memcpy(claim.scramble, session->scramble, sizeof claim.scramble);
	session->has_password = claim.reply.size > 0;
	char problem[400], who[SESSION_WHO_SIZE];
	switch (users_judge(session->database->users, &claim, session->password_sha1, problem, sizeof problem)) {
	case USERS_GOOD:
		return OUTCOME_DONE;
	case USERS_DENIED:
		session_set_problem(session, "%s (using password: %s)", session_who(session, who), session->has_password ? "YES" : "NO");
		return OUTCOME_DENIED;
	case USERS_OTHER_PLUGIN:
		session_set_problem(session, "%s", problem);
		return OUTCOME_OTHER_PLUGIN;
	case USERS_NONE:
		session_set_problem(session, "%s", problem);
		return OUTCOME_NOBODY_HOME;
	case USERS_CANCELLED:
		break;
	}
	return OUTCOME_CANCELLED;
}

enum outcome login_client(struct session *session)
{
	struct mysql_packet packet;
	struct mysql_login login;
	session->reply_sequence = 0;
	enum outcome outcome = greet(session);
	if (outcome == OUTCOME_DONE)
		outcome = read_packet(session, 1, &packet);
	if (outcome != OUTCOME_DONE)
		return outcome;
	uint64_t least = MYSQL_CAN_PROTOCOL_41 | MYSQL_CAN_SECURE_CONNECTION;
	if (mysql_is_tls_request(packet.payload) || !mysql_login_parse(packet.payload, SESSION_CAPABILITIES, &login) ||
	    (login.capabilities & least) != least) {
		session_set_problem(session, mysql_is_tls_request(packet.payload) ? ": TLS was not offered" : "");
		return OUTCOME_HANDSHAKE;
	}
	session->capabilities = login.capabilities;
	session->packet_most = login.packet_most;
	session->collation = login.collation;
	session->charset_is_unsafe = login_collation_is_unsafe(login.collation);
	if (!take_identity(session, &login)) {
		session_set_problem(session, ": a name is too long");
		return OUTCOME_HANDSHAKE;
	}
	struct span reply = login.reply;
	if ((login.capabilities & MYSQL_CAN_PLUGIN_AUTH) != 0 && !span_equal(login.plugin, PLUGIN)) {
		consume(session, &packet);
		outcome = switch_plugin(session, &packet);
		if (outcome != OUTCOME_DONE)
			return outcome;
		reply = packet.payload;
	}
	outcome = judge(session, reply);
	if (outcome == OUTCOME_DONE) {
		consume(session, &packet);
		outcome = connection_first(session);
	}
	return outcome == OUTCOME_DONE ? session_send_ok(session, session->reply_sequence) : outcome;
}

/* The new user is judged like at a login; what the old one had is gone whatever the verdict: a failure ends the session, as a
 * server does it. */
enum outcome login_change_user(struct session *session, struct span payload)
{
	struct mysql_login login;
	session->reply_sequence = 1;
	if (!mysql_change_user_parse(payload, session->capabilities, &login) || !take_identity(session, &login))
		return OUTCOME_HANDSHAKE;
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
		connection_close(session, (enum slot)slot);
	session_forget_state(session);
	session->was_reset = false;
	if (login.has_collation) {
		session->collation = login.collation;
		session->charset_is_unsafe = login_collation_is_unsafe(login.collation);
	}
	struct mysql_packet packet;
	struct span reply = login.reply;
	bool switched = (session->capabilities & MYSQL_CAN_PLUGIN_AUTH) != 0 && !span_equal(login.plugin, PLUGIN);
	buffer_consume(&session->client.input, payload.size + MYSQL_HEADER_SIZE); /* its bytes stay readable until the next fill */
	if (switched) {
		enum outcome outcome = switch_plugin(session, &packet);
		if (outcome != OUTCOME_DONE)
			return outcome;
		reply = packet.payload;
	}
	enum outcome outcome = judge(session, reply);
	if (switched)
		consume(session, &packet);
	if (outcome == OUTCOME_DONE)
		outcome = connection_first(session);
	return outcome == OUTCOME_DONE ? session_send_ok(session, session->reply_sequence) : outcome;
}

/* Collations of big5, sjis, gbk, cp932 and gb18030, in which a quote or backslash may be half of a character. */
bool login_collation_is_unsafe(uint16_t collation)
{
	static const uint16_t unsafe[] = {1, 13, 28, 84, 87, 88, 95, 96, 248, 249, 250};
	for (unsigned i = 0; i < COUNT_OF(unsafe); i++)
		if (unsafe[i] == collation)
			return true;
	return collation >= 1024; /* MariaDB's NOPAD ids: rather careful than clever */
}
