/* SPDX-License-Identifier: BSD-2-Clause
 *
 * outcome: every way in which a command or a session can end. One table: the error that the client gets, the log line, and
 * whether the session goes on. Applied in one place, outcome_conclude.
 */
#ifndef NOAH_SQL_OUTCOME_H
#define NOAH_SQL_OUTCOME_H

#include "base/base.h"

struct session;

enum outcome_fate { GOES_ON, ENDS };
enum outcome_log { SILENT, SAID_RARELY, SAID };

/* name, error code (0: none), SQLSTATE, fate of the session, log, words (session->problem follows them) */
#define OUTCOMES(X)                                                                                                              \
	X(OUTCOME_DONE, 0, NULL, GOES_ON, SILENT, "")                                                                                \
	/* the session's ordinary ends */                                                                                            \
	X(OUTCOME_PARKED, 0, NULL, ENDS, SILENT, "")                                                                                 \
	X(OUTCOME_QUIT, 0, NULL, ENDS, SILENT, "")                                                                                   \
	X(OUTCOME_CLIENT_LOST, 0, NULL, ENDS, SILENT, "")                                                                            \
	X(OUTCOME_CANCELLED, 0, NULL, ENDS, SILENT, "")                                                                              \
	X(OUTCOME_IDLE, 4031, "HY000", ENDS, SILENT, "the session was idle for too long")                                            \
	X(OUTCOME_DRAINED, 1053, "08S01", ENDS, SILENT, "noah is being stopped on this server")                                      \
	X(OUTCOME_DATABASE_GONE, 1053, "08S01", ENDS, SAID_RARELY, "this database is no longer in the cluster file")                 \
	/* logging in */                                                                                                             \
	X(OUTCOME_TOO_MANY, 1040, "08004", ENDS, SAID_RARELY, "Too many connections")                                                \
	X(OUTCOME_HANDSHAKE, 1043, "08S01", ENDS, SAID_RARELY, "Bad handshake")                                                      \
	X(OUTCOME_DENIED, 1045, "28000", ENDS, SAID_RARELY, "Access denied for user ")                                               \
	X(OUTCOME_OTHER_PLUGIN, 1251, "08004", ENDS, SAID_RARELY, "")                                                                \
	X(OUTCOME_NOBODY_HOME, 1105, "08004", ENDS, SAID_RARELY, "nobody can log in now: ")                                          \
	X(OUTCOME_LOGIN_SLOW, 0, NULL, ENDS, SAID_RARELY, "no login within 10 s")                                                    \
	X(OUTCOME_REFUSED_BY_SERVER, 0, NULL, ENDS, SAID_RARELY, "the server refused the login: ")                                   \
	/* a command that noah does not run; nothing was sent */                                                                     \
	X(OUTCOME_UNKNOWN_COMMAND, 1047, "08S01", GOES_ON, SILENT, "Unknown command")                                                \
	X(OUTCOME_MALFORMED, 1835, "HY000", GOES_ON, SAID_RARELY, "Malformed communication packet")                                  \
	X(OUTCOME_OUT_OF_ORDER, 1156, "08S01", ENDS, SAID_RARELY, "Got packets out of order")                                        \
	X(OUTCOME_TOO_LARGE, 1153, "08S01", ENDS, SAID_RARELY, "Got a packet bigger than 1 GB")                                      \
	X(OUTCOME_KILL, 1094, "HY000", GOES_ON, SILENT, "Unknown thread id: ")                                                       \
	X(OUTCOME_NO_STATEMENT, 1243, "HY000", GOES_ON, SILENT, "Unknown prepared statement handler ")                               \
	X(OUTCOME_TOO_MANY_STATEMENTS, 1461, "42000", GOES_ON, SAID_RARELY,                                                          \
	  "Can't create more than 16384 prepared statements in one session")                                                         \
	X(OUTCOME_NO_MEMORY, 1041, "HY000", GOES_ON, SAID_RARELY, "out of memory")                                                   \
	/* servers; the statement was certainly not executed */                                                                      \
	X(OUTCOME_NO_PRIMARY, 1290, "HY000", GOES_ON, SAID_RARELY, "not executed: ")                                                 \
	X(OUTCOME_NO_SERVER, 1290, "HY000", GOES_ON, SAID_RARELY, "not executed, no server can answer: ")                            \
	X(OUTCOME_STALE_REFUSED, 1290, "HY000", GOES_ON, SAID_RARELY,                                                                \
	  "not executed, a replica might be behind (stale_reads: refuse): ")                                                         \
	X(OUTCOME_TRANSACTION_LOST, 2013, "40000", GOES_ON, SAID, "the open transaction was lost and is rolled back: ")              \
	X(OUTCOME_STATE_LOST, 2013, "HY000", GOES_ON, SAID, "not executed, what the session had set is lost: ")                      \
	X(OUTCOME_LAST_LOST, 2013, "HY000", GOES_ON, SAID_RARELY, "not executed, it asks about the statement before it: ")           \
	X(OUTCOME_SETTING_REFUSED, 1105, "HY000", GOES_ON, SAID_RARELY, "not executed, a setting cannot be repeated: ")              \
	/* servers; it may have been executed: never sent again */                                                                   \
	X(OUTCOME_UNKNOWN_RESULT, 1105, "08007", GOES_ON, SAID, "the statement may or may not have been executed, no answer came: ") \
	X(OUTCOME_READ_LOST, 2013, "HY000", GOES_ON, SAID, "the server was lost while it read: ")                                    \
	X(OUTCOME_ANSWER_CUT, 0, NULL, ENDS, SAID, "the server was lost in the middle of an answer: ")

enum outcome {
#define X(name, code, sqlstate, fate, log, words) name,
	OUTCOMES(X)
#undef X
};

/* Tells the client and the log what has to be told. True: the session goes on. */
bool outcome_conclude(struct session *session, enum outcome outcome) MUST_CHECK;

#endif
