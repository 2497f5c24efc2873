/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of watch/ share. One thread, one loop; nothing here is locked.
 */
#ifndef NOAH_WATCH_PRIVATE_H
#define NOAH_WATCH_PRIVATE_H

#include "net/net.h"
#include "watch/watch.h"

#define WATCH_REASON_SIZE BOARD_TEXT_SIZE

/* ---- one check ------------------------------------------------------------------------------------------------ */

struct check_result {
	bool good;
	char reason[WATCH_REASON_SIZE]; /* in words, either way */
};

/* Each waits at most check->timeout_ms in all, in the running task. */
void check_tcp(const struct cluster_check *check, const struct address *address, struct check_result *result);
void check_http(const struct cluster_check *check, const struct address *address, struct check_result *result);

/* What is left of a check's time; 0: none. */
struct check_clock {
	uint64_t start_us, deadline_us;
};
struct check_clock check_clock_start(const struct cluster_check *check);
int64_t check_clock_left_ms(const struct check_clock *clock);
double check_clock_took_ms(const struct check_clock *clock);
/* "timed out after 1 s (while reading the answer)", "connection refused (while connecting)". */
void check_failed_net(struct check_result *result, const struct cluster_check *check, enum net_result net,
                      const char *while_doing);

/* ---- a database server's check (check_mysql.c) ---------------------------------------------------------------- */

/* What a server last said about itself. */
struct database_view {
	bool known;
	bool read_only;
	uint32_t server_id;
	bool replicates;    /* has a master set; with several the first that is one of ours counts */
	bool receives;      /* the receiving thread runs or tries to connect */
	bool connected;     /* and is connected */
	bool applies;       /* the applying thread runs */
	uint32_t source_id; /* server_id of its master, 0 until it was connected once */
	char source_host[256];
	uint16_t source_port;
	uint32_t lag_ms; /* UINT32_MAX: not known */
	char position[BOARD_TEXT_SIZE];
	char trouble[BOARD_TEXT_SIZE]; /* its own words on why it does not replicate */
	char accounts[64];             /* a checksum of the users; "" when not asked for */
};

/* The connection that is kept from check to check. */
struct database_client {
	struct stream stream;
	uint64_t capabilities;
	char version[64];
};
void database_client_close(struct database_client *client);
struct database_login {
	char user[CLUSTER_NAME_SIZE * 2];
	char password[256];
};
/* Logs in if need be, asks, fills *view. On failure view->known is false. With `accounts`, asks for the users' checksum too. */
void check_mysql(struct database_client *client, const struct database_login *login, const struct cluster_check *check,
                 const struct address *address, bool accounts, struct database_view *view, struct check_result *result);

/* ---- the admin listener (admin.c, metrics.c) ---------------------------------------------------------------------- */

struct admin;
struct admin *admin_new(struct loop *loop, struct board *board) MUST_CHECK; /* NULL: out of memory */
/* The snapshot of which it speaks: borrowed, until the next call. */
void admin_use(struct admin *admin, struct snapshot *snapshot);
void admin_name_processes(struct admin *admin, const char *const *names, unsigned count);
bool admin_listen(struct admin *admin, uint32_t id, int descriptor) MUST_CHECK;
void admin_listener_gone(struct admin *admin, uint32_t id);
void admin_free(struct admin *admin); /* after loop_run has returned */

/* The whole of /metrics, to be freed; NULL: out of memory. */
char *metrics_make(struct board *board, const struct cluster *cluster, const char *const *processes, unsigned process_count,
                   size_t *size) MUST_CHECK;

/* ---- what happened lately (trends.c) ------------------------------------------------------------------------------- */

struct trends;
struct trends *trends_new(struct board *board) MUST_CHECK; /* NULL: out of memory */
void trends_start(struct trends *trends);                  /* on the loop's thread */
void trends_free(struct trends *trends);                   /* after loop_run has returned */

/* ---- the most that was under way (peaks.c) ------------------------------------------------------------------------- */

struct peaks;
struct peaks *peaks_new(struct board *board) MUST_CHECK;            /* NULL: out of memory */
void peaks_start(struct peaks *peaks);                              /* on the loop's thread */
void peaks_use(struct peaks *peaks, const struct cluster *cluster); /* a new snapshot: its groups are measured from now on */
void peaks_free(struct peaks *peaks);                               /* after loop_run has returned; harmless with NULL */

/* ---- who is primary (roles.c) --------------------------------------------------------------------------------- */

struct role_member {
	const char *name; /* "db1:3306" */
	struct address address;
	enum board_health health;
	bool present_primary;
	bool was_primary;          /* the last that there was, if there is none now */
	struct database_view view; /* what it said last, perhaps a few checks ago; counts while it is up */
	/* decided */
	enum board_role role;
	char reason[BOARD_TEXT_SIZE]; /* why that role, "" when there is nothing to add */
};

#define ROLE_NO_PRIMARY (-1)
/* Decides all roles from the views, without looking at anything else. Returns the primary's index or ROLE_NO_PRIMARY, and in
 * `reason` one sentence on why. The rules stand above the function. */
int roles_decide(struct role_member *members, unsigned count, char reason[BOARD_TEXT_SIZE]);

#endif
