/* SPDX-License-Identifier: BSD-2-Clause
 *
 * users: see the header.
 *
 * MariaDB keeps accounts in mysql.global_priv, one JSON document each. All rows of a name are candidates: which of them applies
 * depends on the address from which *noah* comes to the server, and the server decides that when noah logs in there with what the
 * client proved. One rule is noah's own: an account for localhost only is not for clients that come over the network, although
 * noah itself may come from there.
 */
#include "sql/users.h"

#include "sql/own.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define QUESTION                SPAN("SELECT User, Host, Priv FROM mysql.global_priv WHERE User <> ''")
#define REREAD_AT_MOST_EVERY_US 1000000u

struct user {
	struct span name; /* these are in the set's arena */
	struct span host;
	struct span plugin; /* "" with has_native: none besides */
	bool has_native;
	bool has_password;
	uint8_t stored[MYSQL_SHA1_SIZE];
};

struct users {
	struct sql_database *database;
	struct arena arena; /* of the set in force */
	struct user *set;   /* sorted by name; NULL: never read */
	unsigned count;
	uint64_t version;  /* of the board, when they were read */
	uint64_t began_us; /* of the last attempt that has ended */
	uint64_t read_us;  /* and its end */
	bool reading;
	struct wait_queue done;
	char problem[512]; /* of the last attempt; "" = it worked */
};

struct users *users_new(struct sql_database *database)
{
	struct users *users = calloc(1, sizeof *users);
	if (users == NULL)
		return NULL;
	users->database = database;
	arena_init(&users->arena, USERS_BYTES_MOST);
	wait_queue_init(&users->done);
	return users;
}

void users_free(struct users *users)
{
	if (users == NULL)
		return;
	arena_free(&users->arena);
	free(users);
}

/* ---- reading them --------------------------------------------------------------------------------------------- */

static const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text != NULL ? text : "";
}

/* One way to log in of an account: {"plugin": ..., "authentication_string": ...}. Takes it when it is the native one. */
static void take_method(struct user *user, const json_t *method)
{
	const char *plugin = json_text(method, "plugin");
	const char *stored = json_text(method, "authentication_string");
	if (user->has_native || (strcmp(plugin, "") != 0 && strcmp(plugin, "mysql_native_password") != 0))
		return;
	if (stored[0] == '\0') {
		user->has_native = true;
	} else if (mysql_native_parse_stored(span_of_text(stored), user->stored)) {
		user->has_native = true;
		user->has_password = true;
	} /* else "invalid", with which MariaDB closes this way */
}

static bool take_user(struct arena *arena, const struct span fields[3], struct user *user)
{
	*user = (struct user){0};
	const char *name = arena_copy_text(arena, fields[0]);
	const char *host = arena_copy_text(arena, fields[1]);
	json_t *document = json_loadb(fields[2].start, fields[2].size, JSON_DECODE_INT_AS_REAL, NULL);
	if (name == NULL || host == NULL || !json_is_object(document) || json_is_true(json_object_get(document, "is_role"))) {
		json_decref(document);
		return false;
	}
	user->name = span_of(name, fields[0].size);
	user->host = span_of(host, fields[1].size);
	/* Several ways: in "auth_or" an empty object stands for the outer one. */
	json_t *ways = json_object_get(document, "auth_or");
	take_method(user, document);
	for (size_t i = 0; i < json_array_size(ways); i++) {
		json_t *way = json_array_get(ways, i);
		if (json_object_size(way) > 0)
			take_method(user, way);
	}
	const char *plugin = arena_copy_text(arena, span_of_text(json_text(document, "plugin")));
	user->plugin = span_of_text(plugin != NULL ? plugin : "");
	json_decref(document);
	return true;
}

static int compare_users(const void *a, const void *b)
{
	const struct user *first = a, *second = b;
	size_t size = first->name.size < second->name.size ? first->name.size : second->name.size;
	int order = memcmp(first->name.start, second->name.start, size);
	return order != 0 ? order : (first->name.size > second->name.size) - (first->name.size < second->name.size);
}

static bool take_answer(struct users *users, struct mysql_result *result)
{
	struct arena arena;
	arena_init(&arena, USERS_BYTES_MOST);
	struct user *set = arena_allocate(&arena, sizeof *set * USERS_MOST);
	unsigned count = 0;
	struct span fields[3];
	enum mysql_row_kind kind = MYSQL_ROW_END;
	while (set != NULL && (kind = mysql_row_next(result, fields, 3)) == MYSQL_ROW && count < USERS_MOST)
		count += take_user(&arena, fields, &set[count]);
	if (set == NULL || kind != MYSQL_ROW_END) {
		arena_free(&arena);
		snprintf(users->problem, sizeof users->problem, "the accounts cannot be read: %s",
		         kind == MYSQL_ROW ? "there are more than 20,000" : "broken answer, or out of memory");
		return false;
	}
	qsort(set, count, sizeof *set, compare_users);
	arena_free(&users->arena);
	users->arena = arena;
	users->set = set;
	users->count = count;
	return true;
}

static bool read_from(struct users *users, struct own_connection *own, const struct sql_server *server)
{
	struct mysql_result result;
	if (!own_connect(own, users->database, server)) {
		snprintf(users->problem, sizeof users->problem, "%s", own->problem);
		return false;
	}
	enum mysql_result_kind kind = own_ask(own, QUESTION, USERS_BYTES_MOST, 5000, &result);
	if (kind != MYSQL_RESULT_ROWS) {
		snprintf(users->problem, sizeof users->problem, "the accounts cannot be read: %s", own->problem);
		return false;
	}
	return take_answer(users, &result);
}

static void end_reading(void *argument)
{
	struct users *users = argument;
	users->reading = false;
	users->read_us = clock_monotonic_us();
	wait_queue_wake_all(&users->done);
}

static void free_own(void *argument)
{
	own_free(argument);
}

/* From the primary; while there is none, from any server that answers. */
static void read_users(struct users *users)
{
	struct sql_database *database = users->database;
	struct own_connection own;
	own_init(&own);
	uint64_t began_us = clock_monotonic_us();
	users->reading = true;
	task_undo(end_reading, users);
	task_undo(free_own, &own);
	uint64_t version = atomic_load(&database->board_row->accounts_version);
	snprintf(users->problem, sizeof users->problem, "database %s has no server", database->name);
	struct database_primary primary = database_find_primary(database);
	bool good = primary.server != NULL && read_from(users, &own, primary.server);
	int tried = good || primary.server == NULL ? -1 : primary.server->row;
	for (unsigned i = 0; !good && i < database->server_count && !task_is_cancelled(); i++)
		if (database->servers[i].row != tried &&
		    atomic_load(&database_target(database, database->servers[i].row)->health) != HEALTH_DOWN)
			good = read_from(users, &own, &database->servers[i]);
	if (good) {
		users->problem[0] = '\0';
		users->version = version;
	} else if (!task_is_cancelled()) {
		LOG_LIMITED(LOG_WARNING, 10000, "database %s: %s%s", database->name, users->problem,
		            users->set != NULL ? "; going on with the accounts read before" : "");
	}
	task_undo_forget(free_own, &own);
	task_undo_forget(end_reading, users);
	own_free(&own);
	users->began_us = began_us;
	end_reading(users);
}

/* Reads, or waits for who is reading. */
static enum wait_result wait_for_users(struct users *users)
{
	if (!users->reading) {
		read_users(users);
		return task_is_cancelled() ? WAIT_CANCELLED : WAIT_READY;
	}
	enum wait_result result = WAIT_READY;
	while (users->reading && result == WAIT_READY)
		result = task_wait(&users->done, 15000);
	return result;
}

/* ---- judging -------------------------------------------------------------------------------------------------- */

static const struct user *find_first(const struct users *users, struct span name)
{
	struct user wanted = {.name = name};
	unsigned low = 0, high = users->count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (compare_users(&users->set[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return users->set + low;
}

static bool is_for_local_only(struct span host)
{
	return span_equal_nocase(host, SPAN("localhost")) || span_starts_with(host, SPAN("127.")) || span_equal(host, SPAN("::1"));
}

static enum users_verdict judge_now(const struct users *users, const struct users_claim *claim,
                                    uint8_t password_sha1[MYSQL_SHA1_SIZE], char *problem, size_t problem_size)
{
	enum users_verdict verdict = USERS_DENIED;
	const struct user *end = users->set + users->count;
	for (const struct user *user = find_first(users, claim->user); user < end && span_equal(user->name, claim->user); user++) {
		if (is_for_local_only(user->host) && !claim->is_local)
			continue;
		if (!user->has_native) {
			snprintf(problem, problem_size,
			         "account '%.*s'@'%.*s' logs in with %.*s, which noah does not have; it has mysql_native_password",
			         (int)user->name.size, user->name.start, (int)user->host.size, user->host.start, (int)user->plugin.size,
			         user->plugin.start);
			verdict = USERS_OTHER_PLUGIN;
			continue;
		}
		if (!user->has_password && claim->reply.size == 0)
			return USERS_GOOD;
		if (user->has_password && mysql_native_verify(user->stored, claim->scramble, claim->reply, password_sha1))
			return USERS_GOOD;
	}
	return verdict;
}

/* Before a client is refused the accounts are read once more, after it came: perhaps its own was made a moment ago. Readings are
 * at least a second apart, so this may take as long; whoever waits shares one. */
static enum wait_result wait_for_newer(struct users *users, uint64_t than_us)
{
	enum wait_result result = WAIT_READY;
	while (users->began_us < than_us && result == WAIT_READY) {
		uint64_t since_us = clock_monotonic_us() - users->read_us;
		if (users->reading || users->read_us == 0 || since_us >= REREAD_AT_MOST_EVERY_US)
			result = wait_for_users(users);
		else if (task_sleep((int64_t)((REREAD_AT_MOST_EVERY_US - since_us) / 1000 + 1)) == WAIT_CANCELLED)
			result = WAIT_CANCELLED;
	}
	return result;
}

enum users_verdict users_judge(struct users *users, const struct users_claim *claim, uint8_t password_sha1[MYSQL_SHA1_SIZE],
                               char *problem, size_t problem_size)
{
	uint64_t came_us = clock_monotonic_us();
	bool due = users->read_us == 0 || came_us - users->read_us >= REREAD_AT_MOST_EVERY_US;
	bool changed = atomic_load(&users->database->board_row->accounts_version) != users->version;
	if (users->set == NULL ? users->reading || due : changed && due && !users->reading)
		if (wait_for_users(users) == WAIT_CANCELLED)
			return USERS_CANCELLED;
	enum users_verdict verdict = USERS_NONE;
	if (users->set != NULL)
		verdict = judge_now(users, claim, password_sha1, problem, problem_size);
	if (verdict != USERS_GOOD && users->began_us < came_us) {
		if (wait_for_newer(users, came_us) == WAIT_CANCELLED)
			return USERS_CANCELLED;
		if (users->set != NULL)
			verdict = judge_now(users, claim, password_sha1, problem, problem_size);
	}
	if (verdict == USERS_NONE)
		snprintf(problem, problem_size, "the accounts of database %s were never read: %s", users->database->name, users->problem);
	return verdict;
}
