/* SPDX-License-Identifier: BSD-2-Clause
 *
 * core: the five verbs of sql.h: what process/traffic.c does with this folder, on each of its threads.
 */
#include "sql/freshness.h"
#include "sql/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sql_core *sql_core_new(struct loop *loop, struct board *board, struct board_lane *lane)
{
	struct sql_core *core = calloc(1, sizeof *core);
	if (core == NULL)
		return NULL;
	core->magic = SQL_CORE_MAGIC;
	core->loop = loop;
	core->board = board;
	core->lane = lane;
	list_init(&core->databases);
	list_init(&core->sessions);
	return core;
}

static void let_go(struct sql_core *core)
{
	LIST_EACH_SAFE (item, &core->databases)
		database_free(OWNER_OF(item, struct sql_database, link));
	snapshot_unref(core->snapshot);
	core->snapshot = NULL;
}

bool sql_core_release(struct sql_core *core)
{
	CHECK_MAGIC(core, SQL_CORE_MAGIC);
	if (core->open > 0 || !list_is_empty(&core->sessions))
		return false;
	LIST_EACH (item, &core->databases)
		if (!freshness_is_idle(OWNER_OF(item, struct sql_database, link)->freshness))
			return false;
	let_go(core);
	return true;
}

void sql_core_free(struct sql_core *core)
{
	CHECK_MAGIC(core, SQL_CORE_MAGIC);
	ASSERT(list_is_empty(&core->sessions));
	let_go(core);
	core->magic = 0;
	free(core);
}

static struct sql_database *find_database(struct sql_core *core, const char *name)
{
	LIST_EACH (item, &core->databases) {
		struct sql_database *database = OWNER_OF(item, struct sql_database, link);
		if (strcmp(database->name, name) == 0)
			return database;
	}
	return NULL;
}

static const struct cluster_database *find_settings(const struct cluster *cluster, const char *name)
{
	for (unsigned i = 0; i < cluster->database_count; i++)
		if (strcmp(cluster->databases[i].name, name) == 0)
			return &cluster->databases[i];
	return NULL;
}

void sql_core_use(struct sql_core *core, struct snapshot *snapshot)
{
	CHECK_MAGIC(core, SQL_CORE_MAGIC);
	const struct cluster *cluster = snapshot_cluster(snapshot);
	struct snapshot *before = core->snapshot;
	core->snapshot = snapshot_ref(snapshot);
	for (unsigned i = 0; i < cluster->database_count; i++)
		if (find_database(core, cluster->databases[i].name) == NULL && database_new(core, cluster->databases[i].name) == NULL)
			log_write(LOG_ERROR, "database %s cannot be served: out of memory", cluster->databases[i].name);
	LIST_EACH (item, &core->databases) {
		struct sql_database *database = OWNER_OF(item, struct sql_database, link);
		database_use(database, snapshot, find_settings(cluster, database->name));
	}
	LIST_EACH (item, &core->sessions) {
		struct session *session = OWNER_OF(item, struct session, link);
		if (session->database->settings == NULL)
			session_end_soon(session);
	}
	snapshot_unref(before);
}

/* The database that listens there on this server. */
static struct sql_database *find_listener(struct sql_core *core, const struct address *listener)
{
	const struct cluster *cluster = core->snapshot != NULL ? snapshot_cluster(core->snapshot) : NULL;
	for (unsigned i = 0; cluster != NULL && i < cluster->database_count; i++)
		for (unsigned j = 0; j < cluster->databases[i].listen_count; j++)
			if (address_equal(&cluster->databases[i].listen[j], listener))
				return find_database(core, cluster->databases[i].name);
	return NULL;
}

void sql_core_accepted(struct sql_core *core, const struct address *listener, int descriptor, const struct address *from)
{
	CHECK_MAGIC(core, SQL_CORE_MAGIC);
	struct sql_database *database = find_listener(core, listener);
	if (database == NULL) {
		char text[ADDRESS_TEXT_SIZE];
		LOG_LIMITED(LOG_WARNING, 5000, "a client came to %s, where no database listens any more", address_format(listener, text));
		close(descriptor);
		return;
	}
	session_start(core, database, descriptor, from);
}

void sql_core_drain(struct sql_core *core)
{
	CHECK_MAGIC(core, SQL_CORE_MAGIC);
	core->draining = true;
	LIST_EACH (item, &core->sessions)
		session_end_soon(OWNER_OF(item, struct session, link));
}

unsigned sql_core_open(const struct sql_core *core)
{
	CHECK_MAGIC(core, SQL_CORE_MAGIC);
	return core->open;
}
