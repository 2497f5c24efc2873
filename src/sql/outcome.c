/* SPDX-License-Identifier: BSD-2-Clause
 *
 * outcome: see the header. Called by session.c after each command and once at the end of the login.
 */
#include "sql/outcome.h"

#include "sql/session.h"

#include <stdio.h>

static const struct outcome_row {
	uint16_t code;
	const char *sqlstate;
	enum outcome_fate fate;
	enum outcome_log log;
	const char *words;
} rows[] = {
#define X(name, code, sqlstate, fate, log, words) [name] = {code, sqlstate, fate, log, words},
    OUTCOMES(X)
#undef X
};

/* Errors that a server has too are worded as it words them; the others say who speaks. */
static bool is_noahs_own(enum outcome outcome)
{
	return outcome >= OUTCOME_NO_PRIMARY || outcome == OUTCOME_NOBODY_HOME || outcome == OUTCOME_OTHER_PLUGIN ||
	       outcome == OUTCOME_DRAINED || outcome == OUTCOME_DATABASE_GONE;
}

static void tell_log(const struct session *session, const struct outcome_row *row)
{
	char who[SESSION_WHO_SIZE];
	session_who(session, who);
	if (row->log == SAID)
		LOG_LIMITED(LOG_WARNING, 100, "database %s: session %u of %s: %s%s", session->database->name, session->id, who,
		            row->words, session->problem);
	else if (row->log == SAID_RARELY)
		LOG_LIMITED(LOG_NOTICE, 5000, "database %s: session %u of %s: %s%s", session->database->name, session->id, who,
		            row->words, session->problem);
}

bool outcome_conclude(struct session *session, enum outcome outcome)
{
	if (LIKELY(outcome == OUTCOME_DONE))
		return true;
	ASSERT((unsigned)outcome < COUNT_OF(rows));
	const struct outcome_row *row = &rows[outcome];
	tell_log(session, row);
	if (outcome >= OUTCOME_NO_PRIMARY)
		BOARD_COUNT(session_lane(session), statements_failed, 1);
	if (row->code == 0 || session->answer_begun)
		return row->fate == GOES_ON && !session->answer_begun;
	char text[SESSION_PROBLEM_SIZE + 160], out[1024];
	int size = snprintf(text, sizeof text, "%s%s%s", is_noahs_own(outcome) ? "noah: " : "", row->words, session->problem);
	struct mysql_writer writer;
	mysql_writer_init(&writer, out, sizeof out);
	/* Before the login the client's capabilities are not known: servers then write the old form, which every client reads. */
	mysql_error_write(&writer, session->reply_sequence, session->capabilities, row->code, row->sqlstate,
	                  span_of(text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1));
	ASSERT(!writer.failed);
	return session_send(session, &writer) == NET_OK && row->fate == GOES_ON;
}
