/* SPDX-License-Identifier: BSD-2-Clause
 *
 * own: noah's own connections to database servers, with the one account of the cluster file: a question, a small answer.
 *
 * Called by users.c and freshness.c, in their tasks. Small and reused: asking allocates nothing once its answer's memory has
 * grown.
 */
#ifndef NOAH_SQL_OWN_H
#define NOAH_SQL_OWN_H

#include "sql/server_login.h"
#include "sql/sql_private.h"

struct own_connection {
	struct stream stream;
	int row;           /* the server it leads to */
	char *memory;      /* of the last answer */
	size_t size, room; /* bytes */
	char problem[448]; /* in words, after anything but success */
};

void own_init(struct own_connection *own);
/* Closes and frees the memory. */
void own_free(struct own_connection *own);
void own_close(struct own_connection *own);
/* Connects and logs in as noah's account. False: see problem. */
bool own_connect(struct own_connection *own, struct sql_database *database, const struct sql_server *server) MUST_CHECK;
/* Open, and nothing unexpected has happened to it. */
bool own_is_quiet(const struct own_connection *own);

/* Asks and reads the whole answer, at most `most` bytes, with `timeout_ms` for each wait. MYSQL_RESULT_BROKEN: the connection was
 * lost (closed now); MYSQL_RESULT_ERROR: the server's error; in both cases see problem. What *result points to is good until the
 * next question. */
enum mysql_result_kind own_ask(struct own_connection *own, struct span question, size_t most, int64_t timeout_ms,
                               struct mysql_result *result) MUST_CHECK;

#endif
