/* SPDX-License-Identifier: BSD-2-Clause
 *
 * database: a database as the board shows it at this moment: who is primary, which replicas may answer, and why not.
 *
 * Runs in traffic on the core's thread; called by most files of sql/. Nothing here waits or decides who
 * is primary: that is on the board, written by watch.
 */
#include "sql/freshness.h"
#include "sql/sql_private.h"
#include "sql/users.h"

#include <stdio.h>
#include <stdlib.h>

struct sql_database *database_new(struct sql_core *core, const char *name)
{
	struct board_database *row = board_find_database(core->board, name);
	if (row == NULL) {
		log_write(LOG_ERROR, "database %s has no row on the board: its sessions are refused", name);
		return NULL;
	}
	struct sql_database *database = calloc(1, sizeof *database);
	if (database == NULL)
		return NULL;
	database->magic = SQL_DATABASE_MAGIC;
	database->core = core;
	ASSERT(span_copy(span_of_text(name), database->name, sizeof database->name));
	database->board_row = row;
	database->board_index = (unsigned)(row - core->board->databases);
	database->collation = MYSQL_COLLATION_UTF8MB4_GENERAL;
	database->users = users_new(database);
	database->freshness = freshness_new(database);
	if (database->users == NULL || database->freshness == NULL) {
		database_free(database);
		return NULL;
	}
	list_append(&core->databases, &database->link);
	return database;
}

void database_free(struct sql_database *database)
{
	CHECK_MAGIC(database, SQL_DATABASE_MAGIC);
	if (database->link.next != NULL)
		list_remove(&database->link);
	users_free(database->users);
	freshness_free(database->freshness);
	snapshot_unref(database->snapshot);
	database->magic = 0;
	free(database);
}

void database_use(struct sql_database *database, struct snapshot *snapshot, const struct cluster_database *settings)
{
	struct snapshot *before = database->snapshot;
	database->snapshot = settings != NULL ? snapshot_ref(snapshot) : NULL;
	database->settings = settings;
	database->server_count = 0;
	const struct cluster *cluster = settings != NULL ? snapshot_cluster(snapshot) : NULL;
	for (unsigned i = 0; settings != NULL && i < settings->server_count; i++) {
		const struct cluster_app *from = &settings->servers[i];
		struct sql_server *server = &database->servers[database->server_count];
		server->row = board_target_row(database->core->board, &settings->check, &from->address);
		if (server->row < 0)
			continue; /* the supervisor reserves before it hands out: cannot be, and is not worth dying for */
		server->address = from->address;
		memcpy(server->name, cluster->servers[from->server].name, sizeof server->name);
		database->server_count++;
	}
	snapshot_unref(before);
}

const struct sql_server *database_find_server(const struct sql_database *database, int row)
{
	for (unsigned i = 0; i < database->server_count; i++)
		if (database->servers[i].row == row)
			return &database->servers[i];
	return NULL;
}

const struct board_target *database_target(const struct sql_database *database, int row)
{
	ASSERT(row >= 0 && row < (int)BOARD_TARGETS_MOST);
	return &database->core->board->targets[row];
}

struct database_primary database_find_primary(const struct sql_database *database)
{
	uint64_t primary = atomic_load_explicit(&database->board_row->primary, memory_order_acquire);
	struct database_primary found = {.epoch = (uint32_t)(primary >> 32)};
	uint32_t low = (uint32_t)primary;
	if (low != 0)
		found.server = database_find_server(database, (int)low - 1);
	return found;
}

bool database_is_primary(const struct sql_database *database, int row)
{
	return (uint32_t)atomic_load_explicit(&database->board_row->primary, memory_order_acquire) == (uint32_t)row + 1;
}

bool database_is_replica(const struct sql_database *database, int row, bool stale)
{
	const struct board_target *target = database_target(database, row);
	if (database_find_server(database, row) == NULL || database_is_primary(database, row) ||
	    !board_target_usable(target, loop_now_us(database->core->loop)))
		return false;
	unsigned role = atomic_load_explicit(&target->role, memory_order_relaxed);
	return role == ROLE_REPLICA || (stale && role == ROLE_BROKEN);
}

unsigned database_list_replicas(const struct sql_database *database, bool stale, int present_row, int rows[CLUSTER_SERVERS_MOST])
{
	int64_t active[CLUSTER_SERVERS_MOST];
	unsigned count = 0;
	for (unsigned i = 0; i < database->server_count; i++) {
		int row = database->servers[i].row;
		if (!database_is_replica(database, row, stale))
			continue;
		int64_t busy = row == present_row ? -1 : board_target_active(database->core->board, row);
		unsigned place = count++;
		for (; place > 0 && active[place - 1] > busy; place--) { /* insertion sort of at most 32 */
			active[place] = active[place - 1];
			rows[place] = rows[place - 1];
		}
		active[place] = busy;
		rows[place] = row;
	}
	return count;
}

const char *database_why_no_primary(const struct sql_database *database, char out[DATABASE_REASON_SIZE])
{
	char reason[BOARD_TEXT_SIZE];
	board_text_read(&database->board_row->reason, reason);
	int used = snprintf(out, DATABASE_REASON_SIZE, "database %s has no primary: %s", database->name, reason);
	for (unsigned i = 0; i < database->server_count && used > 0 && used < (int)DATABASE_REASON_SIZE; i++) {
		const struct board_target *target = database_target(database, database->servers[i].row);
		unsigned health = atomic_load_explicit(&target->health, memory_order_relaxed);
		if (health == HEALTH_UP)
			continue;
		char since[CLOCK_TEXT_SIZE], why[BOARD_TEXT_SIZE];
		board_text_read(&target->reason, why);
		if (strstr(reason, database->servers[i].name) != NULL && why[0] != '\0' && strstr(reason, why) != NULL)
			continue; /* already said */
		clock_format(atomic_load_explicit(&target->changed_wall_us, memory_order_relaxed), since);
		used += snprintf(out + used, DATABASE_REASON_SIZE - (size_t)used, "; %s is %s since %s (%s)", database->servers[i].name,
		                 board_health_text(health), since, why);
	}
	return out;
}

void database_version(const struct sql_database *database, char out[BOARD_TEXT_SIZE])
{
	out[0] = '\0';
	struct database_primary primary = database_find_primary(database);
	if (primary.server != NULL)
		board_text_read(&database_target(database, primary.server->row)->version, out);
	for (unsigned i = 0; i < database->server_count && out[0] == '\0'; i++)
		board_text_read(&database_target(database, database->servers[i].row)->version, out);
	if (out[0] == '\0')
		snprintf(out, BOARD_TEXT_SIZE, "10.11.0-MariaDB"); /* none was ever seen: the least that is supported */
	/* The board has it without the prefix with which MariaDB 10 hides from old replicas, and which clients expect. */
	if (strncmp(out, "10.", 3) == 0) {
		memmove(out + 6, out, BOARD_TEXT_SIZE - 6);
		memcpy(out, "5.5.5-", 6);
		out[BOARD_TEXT_SIZE - 1] = '\0';
	}
}

void database_server_worked(const struct sql_database *database, int row)
{
	board_target_worked(&database->core->board->targets[row]);
}

void database_server_failed(const struct sql_database *database, int row)
{
	if (database->settings != NULL)
		board_target_failed(&database->core->board->targets[row], &database->settings->check, loop_now_us(database->core->loop));
}
