/* SPDX-License-Identifier: BSD-2-Clause
 *
 * server_login: connect to a MariaDB server and log in: greeting, login, perhaps an authentication switch, OK.
 *
 * Called by own.c (noah's own account) and server_connection.c (a client's). Runs in a task and waits.
 */
#ifndef NOAH_SQL_SERVER_LOGIN_H
#define NOAH_SQL_SERVER_LOGIN_H

#include "net/net.h"
#include "proto/mysql.h"

#define SERVER_LOGINS(X)                                    \
	X(SERVER_LOGIN_OK, "logged in")                         \
	X(SERVER_LOGIN_UNREACHABLE, "could not be reached")     \
	X(SERVER_LOGIN_REFUSED, "refused the login")            \
	X(SERVER_LOGIN_UNFIT, "does not speak what noah needs") \
	X(SERVER_LOGIN_CANCELLED, "was not waited for")

enum server_login_result {
#define X(name, text) name,
	SERVER_LOGINS(X)
#undef X
};

struct server_identity {
	struct span user;
	bool has_password;
	uint8_t password_sha1[MYSQL_SHA1_SIZE];
	struct span schema;     /* empty: none */
	struct span attributes; /* as mysql_login has them; empty: none */
	uint64_t capabilities;  /* exactly these are agreed */
	uint32_t packet_most;
	uint16_t collation;
};

struct server_login_answer {
	uint16_t status;        /* OK */
	uint32_t connection_id; /* of the server */
	uint8_t collation;      /* that it greets with */
	uint16_t code;          /* REFUSED: the server's error */
	char sqlstate[6];
	char text[320]; /* anything but OK: why, in words */
};

/* On anything but OK the stream is closed. `timeout_ms` bounds the whole. Afterwards the stream's input is empty and given back.
 */
enum server_login_result server_login(struct stream *stream, const struct address *to, const struct server_identity *identity,
                                      int64_t timeout_ms, struct server_login_answer *answer) MUST_CHECK;

/* Waits until one whole packet stands at the front of the stream's input; it stays there. NET_NO_RESOURCES: larger than the
 * buffer. */
enum net_result server_login_read_packet(struct stream *stream, struct mysql_packet *packet, int64_t timeout_ms) MUST_CHECK;

#endif
