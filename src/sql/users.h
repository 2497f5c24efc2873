/* SPDX-License-Identifier: BSD-2-Clause
 *
 * users: the database's accounts and their password hashes, as its primary has them; so that noah can log clients in.
 *
 * One for each core and database; sessions call it from their tasks. Read again when watch says that they changed, and, at most
 * once a second, when a login would otherwise be refused. While no server answers the last ones stay in force: whether an account
 * may do something is in the end always the server's verdict, because every server connection is logged in as the client's own
 * account.
 */
#ifndef NOAH_SQL_USERS_H
#define NOAH_SQL_USERS_H

#include "sql/sql_private.h"

/* More accounts than this, or more bytes, are refused (logged); the last good ones stay. */
#define USERS_MOST       20000u
#define USERS_BYTES_MOST (16u << 20)

struct users *users_new(struct sql_database *database) MUST_CHECK;
void users_free(struct users *users);

#define USERS_VERDICTS(X)                                                        \
	X(USERS_GOOD, "password is right")                                           \
	X(USERS_DENIED, "unknown user or wrong password")                            \
	X(USERS_OTHER_PLUGIN, "account uses a login method that noah does not have") \
	X(USERS_NONE, "accounts could not be read")                                  \
	X(USERS_CANCELLED, "cancelled")

enum users_verdict {
#define X(name, text) name,
	USERS_VERDICTS(X)
#undef X
};

/* What a client claims. `reply` is empty for no password. */
struct users_claim {
	struct span user;
	struct span reply;
	uint8_t scramble[MYSQL_SCRAMBLE_SIZE];
	bool is_local; /* it came over a Unix socket or from the loopback address */
};

/* May wait while the accounts are read. USERS_GOOD sets password_sha1 when there is a password; OTHER_PLUGIN and NONE set
 * problem. */
enum users_verdict users_judge(struct users *users, const struct users_claim *claim, uint8_t password_sha1[MYSQL_SHA1_SIZE],
                               char *problem, size_t problem_size) MUST_CHECK;

#endif
