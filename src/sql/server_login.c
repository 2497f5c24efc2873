/* SPDX-License-Identifier: BSD-2-Clause
 *
 * server_login: see the header. mysql_native_password only; the password's SHA-1 is all that is known of it.
 */
#include "sql/server_login.h"

#include <stdio.h>

#define PLUGIN SPAN("mysql_native_password")

static int64_t time_left_ms(uint64_t deadline_us)
{
	uint64_t now = clock_monotonic_us();
	return now >= deadline_us ? 0 : (int64_t)((deadline_us - now) / 1000);
}

enum net_result server_login_read_packet(struct stream *stream, struct mysql_packet *packet, int64_t timeout_ms)
{
	uint64_t deadline_us = clock_monotonic_us() + (uint64_t)timeout_ms * 1000; /* for all of it, however it drips */
	for (;;) {
		struct span bytes = buffer_span(&stream->input);
		if (mysql_packet_next(&bytes, packet))
			return NET_OK;
		enum net_result result = stream_fill(stream, time_left_ms(deadline_us));
		if (result != NET_OK)
			return result;
	}
}

static void consume_packet(struct stream *stream, const struct mysql_packet *packet)
{
	buffer_consume(&stream->input, packet->payload.size + MYSQL_HEADER_SIZE);
}

static enum server_login_result fail(struct stream *stream, struct server_login_answer *answer, enum server_login_result result,
                                     const char *text)
{
	stream_close(stream);
	snprintf(answer->text, sizeof answer->text, "%s", text);
	return result;
}

static enum server_login_result fail_net(struct stream *stream, struct server_login_answer *answer, enum net_result net,
                                         const char *stage)
{
	stream_close(stream);
	snprintf(answer->text, sizeof answer->text, "%s%s", stage, net_result_text(net));
	if (net == NET_CANCELLED)
		return SERVER_LOGIN_CANCELLED;
	return net == NET_NO_RESOURCES ? SERVER_LOGIN_UNFIT : SERVER_LOGIN_UNREACHABLE;
}

static enum server_login_result fail_refused(struct stream *stream, struct server_login_answer *answer, struct span payload)
{
	struct mysql_failure failure;
	if (!mysql_error_parse(payload, &failure))
		return fail(stream, answer, SERVER_LOGIN_UNFIT, "sent an error that cannot be read");
	answer->code = failure.code;
	memcpy(answer->sqlstate, failure.sqlstate, sizeof answer->sqlstate);
	snprintf(answer->text, sizeof answer->text, "%.*s", (int)failure.message.size, failure.message.start);
	stream_close(stream);
	return SERVER_LOGIN_REFUSED;
}

static enum net_result send_login(struct stream *stream, const struct mysql_greeting *greeting,
                                  const struct server_identity *identity, int64_t timeout_ms)
{
	uint8_t reply[MYSQL_SHA1_SIZE];
	if (identity->has_password)
		mysql_native_reply(identity->password_sha1, greeting->scramble, reply);
	uint64_t capabilities = identity->capabilities & ~(MYSQL_CAN_CONNECT_WITH_DB | MYSQL_CAN_CONNECT_ATTRS);
	if (identity->schema.size > 0)
		capabilities |= MYSQL_CAN_CONNECT_WITH_DB;
	if (identity->attributes.size > 0)
		capabilities |= MYSQL_CAN_CONNECT_ATTRS;
	struct mysql_login login = {
	    .capabilities = capabilities,
	    .packet_most = identity->packet_most,
	    .collation = identity->collation,
	    .has_collation = true,
	    .user = identity->user,
	    .reply = span_of(reply, identity->has_password ? sizeof reply : 0),
	    .database = identity->schema,
	    .plugin = PLUGIN,
	    .attributes = identity->attributes,
	};
	char out[4096];
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	mysql_login_write(&writer, 1, &login);
	if (writer.failed)
		return NET_NO_RESOURCES;
	return stream_write_bytes(stream, writer.start, writer.size, timeout_ms);
}

/* The server wants another plugin than we proposed, or the same one with a new scramble. */
static enum net_result answer_switch(struct stream *stream, const struct mysql_packet *packet,
                                     const struct server_identity *identity, int64_t timeout_ms, bool *known)
{
	struct mysql_auth_switch change;
	*known = mysql_auth_switch_parse(packet->payload, &change) && span_equal(change.plugin, PLUGIN) &&
	         change.data.size == MYSQL_SCRAMBLE_SIZE;
	if (!*known)
		return NET_OK;
	uint8_t scramble[MYSQL_SCRAMBLE_SIZE], reply[MYSQL_SHA1_SIZE];
	memcpy(scramble, change.data.start, sizeof scramble);
	if (identity->has_password)
		mysql_native_reply(identity->password_sha1, scramble, reply);
	char out[MYSQL_HEADER_SIZE + MYSQL_SHA1_SIZE];
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	mysql_packet_begin(&writer, (uint8_t)(packet->sequence + 1));
	mysql_write_bytes(&writer, span_of(reply, identity->has_password ? sizeof reply : 0));
	mysql_packet_end(&writer);
	ASSERT(!writer.failed);
	return stream_write_bytes(stream, writer.start, writer.size, timeout_ms);
}

enum server_login_result server_login(struct stream *stream, const struct address *to, const struct server_identity *identity,
                                      int64_t timeout_ms, struct server_login_answer *answer)
{
	*answer = (struct server_login_answer){0};
	uint64_t deadline = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
	enum net_result net = stream_connect(stream, to, timeout_ms);
	if (net != NET_OK)
		return fail_net(stream, answer, net, "connecting: ");

	struct mysql_packet packet;
	net = server_login_read_packet(stream, &packet, time_left_ms(deadline));
	if (net != NET_OK)
		return fail_net(stream, answer, net, "waiting for the greeting: ");
	if (mysql_is_error(packet.payload))
		return fail_refused(stream, answer, packet.payload);
	struct mysql_greeting greeting;
	if (!mysql_greeting_parse(packet.payload, &greeting))
		return fail(stream, answer, SERVER_LOGIN_UNFIT, "sent a greeting that cannot be read");
	/* LONG_PASSWORD is how a MariaDB says that it is one; CONNECT_WITH_DB and the like may always be left out. */
	uint64_t missing = identity->capabilities & ~(greeting.capabilities | MYSQL_CAN_LONG_PASSWORD) & UINT32_MAX;
	if (missing != 0) {
		char text[128];
		unsigned bit = (unsigned)__builtin_ctzll(missing);
		snprintf(text, sizeof text, "cannot do what was agreed with the client: %s", mysql_capability_name(bit));
		return fail(stream, answer, SERVER_LOGIN_UNFIT, text);
	}
	answer->connection_id = greeting.connection_id;
	answer->collation = greeting.collation;
	net = send_login(stream, &greeting, identity, time_left_ms(deadline));
	if (net != NET_OK)
		return fail_net(stream, answer, net, "logging in: ");
	consume_packet(stream, &packet);

	for (unsigned switches = 0; switches < 3; switches++) {
		net = server_login_read_packet(stream, &packet, time_left_ms(deadline));
		if (net != NET_OK)
			return fail_net(stream, answer, net, "logging in: ");
		if (mysql_is_error(packet.payload))
			return fail_refused(stream, answer, packet.payload);
		struct mysql_ok ok;
		if (packet.payload.size > 0 && packet.payload.start[0] == 0 &&
		    mysql_ok_parse(packet.payload, identity->capabilities, &ok)) {
			answer->status = ok.status;
			consume_packet(stream, &packet);
			buffer_release_if_empty(&stream->input);
			return SERVER_LOGIN_OK;
		}
		bool known;
		net = answer_switch(stream, &packet, identity, time_left_ms(deadline), &known);
		if (!known)
			return fail(stream, answer, SERVER_LOGIN_UNFIT,
			            "asks for a login method that noah does not have (it has mysql_native_password)");
		if (net != NET_OK)
			return fail_net(stream, answer, net, "logging in: ");
		consume_packet(stream, &packet);
	}
	return fail(stream, answer, SERVER_LOGIN_UNFIT, "keeps asking for other login methods");
}
