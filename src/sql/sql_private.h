/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sql_private: what one core knows of a database, shared by the files of this folder.
 *
 *   core.c               the five verbs of sql.h
 *   database.c           a database as the board shows it now: its primary, its replicas
 *   session.c            a client's life: greet, log in, serve, end
 *   login.c              the client's side of the login, change user
 *   command.c            one command after the other: what it is, and what it changes
 *   route.c              which server runs it, and which one next when that one is lost
 *   exchange.c           one command to one server and its answer back
 *   server_connection.c  a session's connection to a server: login, state, loss
 *   state.c              what a session has set, so that another connection can be brought to the same
 *   statement.c          commands on prepared statements; prepared.c: the table of them
 *   outcome.c            every way in which a statement or a session can end, and what follows from it
 *   users.c              accounts and their hashes, from the primary
 *   freshness.c          has this replica applied what was acknowledged before this read (position.c: the arithmetic)
 *   own.c                noah's own connections, with its one account
 *   server_login.c       greeting to OK with a server
 *   classify.c           is this text certainly a read, and what does it leave behind
 *   look.c, settings.c   its halves: each token; SET
 *   lexer.c, words.c     tokens, and the words that matter
 */
#ifndef NOAH_SQL_PRIVATE_H
#define NOAH_SQL_PRIVATE_H

#include "board/board.h"
#include "cluster/cluster.h"
#include "cluster/snapshot.h"
#include "loop/loop.h"
#include "net/net.h"
#include "proto/mysql.h"
#include "sql/sql.h"

struct freshness;
struct users;

struct sql_core {
	uint32_t magic;
	struct loop *loop;
	struct board *board;
	struct board_lane *lane;
	struct snapshot *snapshot;
	struct list databases; /* struct sql_database; at most one for each name ever seen */
	struct list sessions;  /* struct session */
	unsigned open;
	bool draining;
};
#define SQL_CORE_MAGIC 0x5351434fu

/* One server of a database, as the newest snapshot has it. Plain data: sessions copy what they hold across waits. */
struct sql_server {
	int row; /* on the board */
	struct address address;
	char name[CLUSTER_NAME_SIZE];
};

/* A database on one core. Lives as long as the core. `settings` and `servers` change with a new snapshot, in any wait: read them
 * anew after each. */
struct sql_database {
	uint32_t magic;
	struct list link;
	struct sql_core *core;
	char name[CLUSTER_NAME_SIZE];
	unsigned board_index;
	struct board_database *board_row;
	struct snapshot *snapshot;
	const struct cluster_database *settings; /* NULL: no longer in the snapshot */
	unsigned server_count;
	struct sql_server servers[CLUSTER_SERVERS_MOST];
	uint8_t collation; /* that its servers greet with: some clients take it for theirs */
	struct users *users;
	struct freshness *freshness;
};
#define SQL_DATABASE_MAGIC 0x53514442u

/* ---- database.c ---- */

/* NULL when memory or board rows are out (logged). */
struct sql_database *database_new(struct sql_core *core, const char *name) MUST_CHECK;
void database_use(struct sql_database *database, struct snapshot *snapshot, const struct cluster_database *settings);
void database_free(struct sql_database *database);

struct database_primary {
	uint32_t epoch;
	const struct sql_server *server; /* NULL: there is none. Borrowed until the next wait. */
};
struct database_primary database_find_primary(const struct sql_database *database);
/* True while the board still says so. */
bool database_is_primary(const struct sql_database *database, int row);
const struct sql_server *database_find_server(const struct sql_database *database, int row);
const struct board_target *database_target(const struct sql_database *database, int row);
/* May reads be sent there: up, not avoided, and a replica; `stale` also takes one that does not replicate any more. */
bool database_is_replica(const struct sql_database *database, int row, bool stale);
/* Puts the rows of all such replicas into rows[], the session's present one first, then by fewest statements under way. */
unsigned database_list_replicas(const struct sql_database *database, bool stale, int present_row, int rows[CLUSTER_SERVERS_MOST]);
/* "database main has no primary: db1 is down since 12:03:04Z (connection refused)". Returns out. */
#define DATABASE_REASON_SIZE 512u
const char *database_why_no_primary(const struct sql_database *database, char out[DATABASE_REASON_SIZE]);
/* The version text that the primary, or else any server, greets with. */
void database_version(const struct sql_database *database, char out[BOARD_TEXT_SIZE]);
/* A connection to a server worked, or failed: passive detection. */
void database_server_worked(const struct sql_database *database, int row);
void database_server_failed(const struct sql_database *database, int row);

#endif
