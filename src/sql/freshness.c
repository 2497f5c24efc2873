/* SPDX-License-Identifier: BSD-2-Clause
 *
 * freshness: see the header for what it promises and why it holds.
 *
 *   a read ──ask──▶ asker ──"SELECT @@gtid_binlog_pos"──▶ primary       one question in flight, shared
 *          ──wait─▶ watcher of the replica ──"SELECT MASTER_GTID_WAIT(…)"──▶ replica    only while a read needs it
 *
 * Load: the asker asks at most once a round trip, and a watcher too; both sleep when no read comes.
 */
#include "sql/freshness.h"

#include "sql/own.h"

#include <stdio.h>
#include <stdlib.h>

#define POSITION_QUESTION SPAN("SELECT @@gtid_binlog_pos")
#define ANSWER_BYTES_MOST 8192u
#define SLICE_MS          100 /* how soon a waiting read notices that the board gave the server up */
#define RETRY_MS          500 /* between attempts to reach a server that could not be reached */
#define WATCH_SECONDS     1   /* one MASTER_GTID_WAIT; repeated as long as the position is wanted */
#define FAR_BEHIND_WAITS \
	5 /* a replica that has been behind for so many times fresh_wait is not waited for until it has caught up */
/* What a replica has applied is believed for so long: its owner may put an older copy of the data there without restarting it. */
#define BELIEVED_US 500000u
#define CHASE_US    10000000u /* a lagging replica is watched for this long after the last read that wanted it */

/* Knows what the replica at `row` has applied. Made with the first read that wants to know, freed with the database. */
struct watcher {
	struct freshness *freshness;
	int row;
	struct task *task;
	struct own_connection own;
	struct wait_queue wake;   /* the watcher's task sleeps here */
	struct list readers;      /* struct reader, in the order in which they came */
	struct position applied;  /* at least this; only while the connection is open */
	uint64_t applied_us;      /* when that was learned */
	struct position chased;   /* what a read wanted that did not wait, or has given up */
	uint64_t chase_until_us;  /* 0: nothing is chased */
	uint64_t behind_since_us; /* since when what is asked for has not been applied; 0: nothing is outstanding */
	uint64_t unreachable_until_us;
};

struct reader {
	struct list link;
	const struct position *needed;
	struct wait_queue queue;
	bool applied, failed;
};

struct freshness {
	struct sql_database *database;
	struct task *asker;
	struct own_connection own;
	uint32_t epoch;                  /* in which own was connected */
	struct wait_queue wake;          /* the asker sleeps here */
	struct wait_queue answers[2];    /* readers of question n wait in answers[n & 1] */
	uint64_t sent, answered, wanted; /* numbers of questions */
	bool known;                      /* the last question brought a position */
	uint32_t answer_epoch;
	struct position position;
	uint64_t unreachable_until_us;
	char problem[512];
	unsigned watcher_count;
	struct watcher *watchers[CLUSTER_SERVERS_MOST];
};

struct freshness *freshness_new(struct sql_database *database)
{
	struct freshness *freshness = calloc(1, sizeof *freshness);
	if (freshness == NULL)
		return NULL;
	freshness->database = database;
	own_init(&freshness->own);
	wait_queue_init(&freshness->wake);
	wait_queue_init(&freshness->answers[0]);
	wait_queue_init(&freshness->answers[1]);
	return freshness;
}

bool freshness_is_idle(const struct freshness *freshness)
{
	for (unsigned i = 0; i < freshness->watcher_count; i++)
		if (freshness->watchers[i]->task != NULL)
			return false;
	return freshness->asker == NULL;
}

void freshness_free(struct freshness *freshness)
{
	if (freshness == NULL)
		return;
	ASSERT(freshness->asker == NULL);
	own_free(&freshness->own);
	for (unsigned i = 0; i < freshness->watcher_count; i++) {
		ASSERT(freshness->watchers[i]->task == NULL);
		own_free(&freshness->watchers[i]->own);
		free(freshness->watchers[i]);
	}
	free(freshness);
}

const char *freshness_problem(const struct freshness *freshness)
{
	return freshness->problem;
}

/* ---- asking the primary --------------------------------------------------------------------------------------- */

/* Another primary may have another history: what replicas have applied of the old one's is asked for again. */
static void forget_applied(struct freshness *freshness)
{
	for (unsigned i = 0; i < freshness->watcher_count; i++)
		freshness->watchers[i]->applied.count = 0;
}

/* False with a problem. */
static bool reach_primary(struct freshness *freshness)
{
	struct sql_database *database = freshness->database;
	struct database_primary primary = database_find_primary(database);
	if (primary.server == NULL) {
		own_close(&freshness->own);
		char why[DATABASE_REASON_SIZE];
		snprintf(freshness->problem, sizeof freshness->problem, "%s", database_why_no_primary(database, why));
		return false;
	}
	if (own_is_quiet(&freshness->own) && freshness->epoch == primary.epoch && freshness->own.row == primary.server->row)
		return true;
	if (loop_now_us(database->core->loop) < freshness->unreachable_until_us && freshness->epoch == primary.epoch)
		return false; /* the problem is still that of the last attempt */
	if (freshness->epoch != primary.epoch)
		forget_applied(freshness);
	freshness->epoch = primary.epoch;
	freshness->unreachable_until_us = 0;
	if (own_connect(&freshness->own, database, primary.server))
		return true;
	snprintf(freshness->problem, sizeof freshness->problem, "the primary cannot be asked for its position: %s",
	         freshness->own.problem);
	freshness->unreachable_until_us = clock_monotonic_us() + RETRY_MS * 1000;
	return false;
}

static bool ask_position(struct freshness *freshness)
{
	struct sql_database *database = freshness->database;
	struct mysql_result result;
	struct span field;
	int64_t timeout_ms = database->settings != NULL ? database->settings->connect_timeout_ms : 1000;
	enum mysql_result_kind kind = own_ask(&freshness->own, POSITION_QUESTION, ANSWER_BYTES_MOST, timeout_ms, &result);
	BOARD_COUNT(database->core->lane, positions_asked, 1);
	if (kind == MYSQL_RESULT_ROWS && mysql_row_next(&result, &field, 1) == MYSQL_ROW && field.start != NULL &&
	    position_parse(field, &freshness->position)) {
		freshness->answer_epoch = freshness->epoch;
		return true;
	}
	if (kind != MYSQL_RESULT_BROKEN && kind != MYSQL_RESULT_ERROR)
		snprintf(freshness->own.problem, sizeof freshness->own.problem, "its position is not one, or has more than %u domains",
		         POSITION_DOMAINS_MOST);
	snprintf(freshness->problem, sizeof freshness->problem, "the primary cannot be asked for its position: %s",
	         freshness->own.problem);
	return false;
}

static void run_asker(void *argument)
{
	struct freshness *freshness = argument;
	enum wait_result wait = WAIT_READY;
	while (wait != WAIT_CANCELLED) {
		if (freshness->wanted <= freshness->sent) {
			wait = task_wait(&freshness->wake, NO_TIMEOUT);
			continue;
		}
		/* Who comes from here on has to take the next question. */
		uint64_t number = ++freshness->sent;
		bool was_open = own_is_quiet(&freshness->own);
		freshness->known = reach_primary(freshness) && ask_position(freshness);
		if (!freshness->known && was_open && !task_is_cancelled()) /* an old connection may just have been closed by the server */
			freshness->known = reach_primary(freshness) && ask_position(freshness);
		freshness->answered = number;
		wait_queue_wake_all(&freshness->answers[number & 1]);
		if (task_is_cancelled())
			wait = WAIT_CANCELLED;
	}
	own_close(&freshness->own);
	freshness->asker = NULL;
	wait_queue_wake_all(&freshness->answers[0]);
	wait_queue_wake_all(&freshness->answers[1]);
}

/* Is it hopeless to go on waiting for the answer? */
static bool primary_is_given_up(struct freshness *freshness)
{
	struct database_primary primary = database_find_primary(freshness->database);
	if (primary.server != NULL && board_target_usable(database_target(freshness->database, primary.server->row),
	                                                  loop_now_us(freshness->database->core->loop)))
		return false;
	char why[DATABASE_REASON_SIZE];
	if (primary.server == NULL)
		snprintf(freshness->problem, sizeof freshness->problem, "%s", database_why_no_primary(freshness->database, why));
	else
		snprintf(freshness->problem, sizeof freshness->problem, "the primary %s does not answer", primary.server->name);
	return true;
}

static enum freshness_answer ask_once(struct freshness *freshness)
{
	uint64_t number = freshness->sent + 1;
	if (freshness->wanted < number) {
		freshness->wanted = number;
		wait_queue_wake_one(&freshness->wake);
	}
	while (freshness->answered < number) {
		enum wait_result wait = task_wait(&freshness->answers[number & 1], SLICE_MS);
		if (wait == WAIT_CANCELLED || freshness->asker == NULL)
			return FRESHNESS_CANCELLED;
		if (wait == WAIT_TIMEOUT && freshness->answered < number && primary_is_given_up(freshness))
			return FRESHNESS_UNKNOWN;
	}
	return freshness->known ? FRESHNESS_KNOWN : FRESHNESS_UNKNOWN; /* of a later question, perhaps: that covers ours */
}

enum freshness_answer freshness_ask(struct freshness *freshness, struct position *needed)
{
	if (freshness->asker == NULL)
		freshness->asker = task_start(freshness->database->core->loop, "sql asker", run_asker, freshness);
	if (freshness->asker == NULL) {
		snprintf(freshness->problem, sizeof freshness->problem, "no task is left to ask the primary");
		return FRESHNESS_UNKNOWN;
	}
	/* A position of a primary that was replaced meanwhile is worth nothing: ask its successor. */
	for (unsigned tries = 0; tries < 3; tries++) {
		enum freshness_answer answer = ask_once(freshness);
		if (answer != FRESHNESS_KNOWN)
			return answer;
		if (freshness->answer_epoch == database_find_primary(freshness->database).epoch) {
			*needed = freshness->position;
			return FRESHNESS_KNOWN;
		}
	}
	snprintf(freshness->problem, sizeof freshness->problem, "the primary was replaced while it was asked");
	return FRESHNESS_UNKNOWN;
}

/* ---- watching a replica --------------------------------------------------------------------------------------- */

static void wake_readers(struct watcher *watcher, bool failed)
{
	LIST_EACH_SAFE (item, &watcher->readers) {
		struct reader *reader = OWNER_OF(item, struct reader, link);
		reader->applied = position_includes(&watcher->applied, reader->needed);
		reader->failed = failed;
		if (!reader->applied && !failed)
			continue;
		list_remove(&reader->link);
		wait_queue_wake_one(&reader->queue);
	}
}

static void lose_replica(struct watcher *watcher)
{
	own_close(&watcher->own);
	watcher->applied.count = 0; /* it may come back with other data */
	watcher->behind_since_us = 0;
	watcher->chase_until_us = 0;
	wake_readers(watcher, true);
}

static bool reach_replica(struct watcher *watcher)
{
	struct sql_database *database = watcher->freshness->database;
	if (own_is_quiet(&watcher->own))
		return true;
	watcher->applied.count = 0;
	uint64_t now = loop_now_us(database->core->loop);
	const struct sql_server *server = database_find_server(database, watcher->row);
	if (server != NULL && now >= watcher->unreachable_until_us && own_connect(&watcher->own, database, server))
		return true;
	if (server != NULL && now >= watcher->unreachable_until_us) {
		watcher->unreachable_until_us = clock_monotonic_us() + RETRY_MS * 1000;
		LOG_LIMITED(LOG_WARNING, 10000, "database %s: what replica %s has applied cannot be watched: %s", database->name,
		            server->name, watcher->own.problem);
	}
	return false;
}

/* Asks whether `target` has been applied, waiting at the server for up to WATCH_SECONDS. False: the connection was lost. */
static bool watch(struct watcher *watcher, const struct position *target)
{
	char text[POSITION_TEXT_SIZE], question[POSITION_TEXT_SIZE + 80];
	/* The second column comes after the wait and may know more than was asked for. */
	int size = snprintf(question, sizeof question, "SELECT MASTER_GTID_WAIT('%s',%d),@@gtid_slave_pos",
	                    position_format(target, text), WATCH_SECONDS);
	struct mysql_result result;
	struct span fields[2];
	const struct cluster_database *settings = watcher->freshness->database->settings;
	int64_t timeout_ms = WATCH_SECONDS * 1000 + (settings != NULL ? settings->connect_timeout_ms : 1000);
	enum mysql_result_kind kind = own_ask(&watcher->own, span_of(question, (size_t)size), ANSWER_BYTES_MOST, timeout_ms, &result);
	if (kind != MYSQL_RESULT_ROWS || mysql_row_next(&result, fields, 2) != MYSQL_ROW || fields[0].start == NULL)
		return false;
	struct position applied;
	/* In place of what was known before, not beside it. */
	watcher->applied.count = 0;
	watcher->applied_us = clock_monotonic_us();
	if (fields[1].start != NULL && position_parse(fields[1], &applied))
		watcher->applied = applied;
	if (span_equal(fields[0], SPAN("0")))
		position_merge(&watcher->applied, target);
	return true;
}

/* What to ask for next: what the first reader needs (later ones need no less), else what is chased. False: nothing. */
static bool find_target(struct watcher *watcher, struct position *target)
{
	if (!list_is_empty(&watcher->readers)) {
		*target = *OWNER_OF(watcher->readers.next, struct reader, link)->needed;
		return true;
	}
	if (watcher->chase_until_us < loop_now_us(watcher->freshness->database->core->loop) ||
	    position_includes(&watcher->applied, &watcher->chased))
		return false;
	*target = watcher->chased;
	return true;
}

static void run_watcher(void *argument)
{
	struct watcher *watcher = argument;
	struct loop *loop = watcher->freshness->database->core->loop;
	struct position target;
	enum wait_result wait = WAIT_READY;
	while (wait != WAIT_CANCELLED) {
		if (!find_target(watcher, &target)) {
			watcher->behind_since_us = 0;
			watcher->chase_until_us = 0;
			wait = task_wait(&watcher->wake, NO_TIMEOUT);
			continue;
		}
		if (watcher->behind_since_us == 0)
			watcher->behind_since_us = loop_now_us(loop);
		if (!reach_replica(watcher) || !watch(watcher, &target))
			lose_replica(watcher);
		else if (position_includes(&watcher->applied, &target))
			watcher->behind_since_us = 0;
		wake_readers(watcher, false);
		if (task_is_cancelled())
			wait = WAIT_CANCELLED;
	}
	lose_replica(watcher);
	watcher->task = NULL;
}

static struct watcher *find_watcher(struct freshness *freshness, int row)
{
	for (unsigned i = 0; i < freshness->watcher_count; i++)
		if (freshness->watchers[i]->row == row)
			return freshness->watchers[i];
	return NULL;
}

/* NULL when memory or tasks are out. Places of servers that are no longer in the file are used again. */
static struct watcher *get_watcher(struct freshness *freshness, int row)
{
	struct watcher *watcher = find_watcher(freshness, row);
	for (unsigned i = 0; watcher == NULL && i < freshness->watcher_count; i++)
		if (database_find_server(freshness->database, freshness->watchers[i]->row) == NULL &&
		    list_is_empty(&freshness->watchers[i]->readers) && freshness->watchers[i]->behind_since_us == 0) {
			watcher = freshness->watchers[i];
			own_close(&watcher->own);
			watcher->applied.count = 0;
			watcher->row = row;
		}
	if (watcher == NULL && freshness->watcher_count < CLUSTER_SERVERS_MOST) {
		watcher = calloc(1, sizeof *watcher);
		if (watcher == NULL)
			return NULL;
		watcher->freshness = freshness;
		watcher->row = row;
		own_init(&watcher->own);
		wait_queue_init(&watcher->wake);
		list_init(&watcher->readers);
		freshness->watchers[freshness->watcher_count++] = watcher;
	}
	if (watcher != NULL && watcher->task == NULL)
		watcher->task = task_start(freshness->database->core->loop, "sql watcher", run_watcher, watcher);
	return watcher != NULL && watcher->task != NULL ? watcher : NULL;
}

bool freshness_has(struct freshness *freshness, int row, const struct position *needed)
{
	if (needed->count == 0)
		return true; /* nothing was ever written */
	struct watcher *watcher = find_watcher(freshness, row);
	return watcher != NULL && own_is_quiet(&watcher->own) &&
	       loop_now_us(freshness->database->core->loop) < watcher->applied_us + BELIEVED_US &&
	       position_includes(&watcher->applied, needed);
}

static void forget_reader(void *argument)
{
	struct reader *reader = argument;
	list_remove(&reader->link);
}

bool freshness_wait(struct freshness *freshness, int row, const struct position *needed, int64_t wait_ms)
{
	struct watcher *watcher = get_watcher(freshness, row);
	if (watcher == NULL)
		return false;
	uint64_t now = loop_now_us(freshness->database->core->loop);
	if (watcher->behind_since_us != 0 && now - watcher->behind_since_us > (uint64_t)wait_ms * 1000 * FAR_BEHIND_WAITS) {
		watcher->chased = *needed;
		watcher->chase_until_us = now + CHASE_US;
		return false;
	}
	struct reader reader = {.needed = needed};
	wait_queue_init(&reader.queue);
	list_append(&watcher->readers, &reader.link);
	task_undo(forget_reader, &reader);
	wait_queue_wake_one(&watcher->wake);
	uint64_t deadline = now + (uint64_t)wait_ms * 1000;
	enum wait_result wait = WAIT_READY;
	while (!reader.applied && !reader.failed && wait == WAIT_READY) {
		now = clock_monotonic_us();
		wait = now >= deadline ? WAIT_TIMEOUT : task_wait(&reader.queue, (int64_t)((deadline - now + 999) / 1000));
	}
	task_undo_forget(forget_reader, &reader);
	list_remove(&reader.link);
	if (!reader.applied && !reader.failed && wait == WAIT_TIMEOUT) {
		watcher->chased = *needed;
		watcher->chase_until_us = loop_now_us(freshness->database->core->loop) + CHASE_US;
	}
	return reader.applied;
}
