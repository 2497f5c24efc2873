/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch: which targets are checked, the rhythm of the checks, and what becomes of the results.
 *
 * Each (check, address) that this server's part of the cluster needs is a subject: one task that checks, writes the board and
 * sleeps.
 *
 *   UNKNOWN --first check good--> UP --`fall` bad in a row--> DOWN --`rise` good in a row--> UP
 *   UNKNOWN --first check bad---> DOWN
 *
 * The board keeps the state, so a reload or a crash of this process forgets nothing. A target that traffic avoids (its
 * connections failed `fall` times in a row) is checked at once, and that one bad check makes it DOWN: traffic's failures count as
 * checks.
 *
 * Runs in the watch process, called by process/watch.c.
 */
#include "cluster/snapshot.h"
#include "watch/watch_private.h"

#include <stdio.h>
#include <stdlib.h>

#define WATCH_MAGIC   0x77617463u
#define SUBJECT_MAGIC 0x7375626au
#define LOOK_MS       100 /* how often the board is looked at for targets that traffic avoids; the beat is part of it */

struct subject {
	uint32_t magic;
	struct watch *watch;
	struct list link;
	struct cluster_check check;
	struct address address;
	char name[CLUSTER_NAME_SIZE + 8]; /* "web1:8080" */
	struct board_target *target;
	struct task *task;
	struct wait_queue hurry; /* woken when it should be checked now */
	bool wanted;             /* by the snapshot that is being taken over */
	int last_good;           /* outcome of the last check: 1, 0; -1: none yet */
	uint64_t avoid_seen_us;  /* the avoid_until_us for which it was hurried */
	/* database servers */
	struct database_login login;
	struct database_client client;
	struct database_view view;
	char accounts[64]; /* the checksum for which accounts_version was last counted up */
};

struct watch {
	uint32_t magic;
	struct loop *loop;
	struct board *board;
	struct snapshot *snapshot; /* NULL before the first */
	struct list subjects;      /* at most BOARD_TARGETS_MOST */
	/* the last primary of each database row of the board, also when there is none now: to say who is missed */
	const struct board_target *last_primary[BOARD_DATABASES_MOST];
	struct timer look;
	struct admin *admin;
	struct trends *trends;
	struct peaks *peaks;
};

/* ---- databases ------------------------------------------------------------------------------------------------ */

static struct subject *find_subject(struct watch *watch, const struct board_target *target)
{
	LIST_EACH (link, &watch->subjects) {
		struct subject *subject = OWNER_OF(link, struct subject, link);
		if (subject->target == target)
			return subject;
	}
	return NULL;
}

static unsigned row_of(const struct watch *watch, const struct board_target *target)
{
	return (unsigned)(target - watch->board->targets);
}

static void set_primary(struct watch *watch, const struct cluster_database *database, struct board_database *row,
                        const struct subject *primary, const char *reason)
{
	uint64_t before = atomic_load(&row->primary);
	uint64_t low = primary != NULL ? row_of(watch, primary->target) + 1 : 0;
	if (primary != NULL)
		watch->last_primary[row - watch->board->databases] = primary->target;
	if ((before & UINT32_MAX) != low) {
		uint64_t epoch = (before >> 32) + 1;
		if (primary != NULL) /* before the change is seen: whoever sees the new primary reads its users */
			atomic_fetch_add(&row->accounts_version, 1);
		atomic_store(&row->primary, epoch << 32 | low);
	}
	char said[BOARD_TEXT_SIZE];
	board_text_read(&row->reason, said);
	if (strcmp(said, reason) == 0 && (before & UINT32_MAX) == low)
		return;
	board_text_write(&row->reason, reason);
	log_write(low != 0 ? LOG_NOTICE : LOG_WARNING, "database %s: %s%s%s%s", database->name, low != 0 ? "the primary is " : "",
	          low != 0 ? primary->name : "", low != 0 ? ": " : "", reason);
}

/* The users of the primary were changed: sql reads them again. */
static void compare_accounts(struct board_database *row, struct subject *primary)
{
	if (!primary->view.known || primary->view.accounts[0] == '\0' || strcmp(primary->accounts, primary->view.accounts) == 0)
		return;
	memcpy(primary->accounts, primary->view.accounts, sizeof primary->accounts);
	atomic_fetch_add(&row->accounts_version, 1);
}

static void report_role(struct subject *subject, const struct role_member *member)
{
	struct board_target *target = subject->target;
	if (atomic_exchange(&target->role, member->role) != member->role && member->role != ROLE_UNKNOWN)
		log_write(member->role == ROLE_BROKEN ? LOG_WARNING : LOG_NOTICE, "%s is a %s%s%s", subject->name,
		          board_role_text(member->role), member->reason[0] != '\0' ? ": " : "", member->reason);
	atomic_store(&target->lag_ms, member->role == ROLE_REPLICA ? subject->view.lag_ms : UINT32_MAX);
	if (member->reason[0] != '\0' && subject->last_good == 1)
		board_text_write(&target->reason, member->reason);
}

static void decide_database(struct watch *watch, const struct cluster_database *database)
{
	struct board_database *row = board_find_database(watch->board, database->name);
	struct role_member *members = calloc(database->server_count, sizeof *members);
	struct subject *subjects[CLUSTER_SERVERS_MOST];
	if (row == NULL || members == NULL)
		goto out;
	uint64_t present = atomic_load(&row->primary) & UINT32_MAX;
	for (unsigned i = 0; i < database->server_count; i++) {
		int target = board_target_row(watch->board, &database->check, &database->servers[i].address);
		subjects[i] = target < 0 ? NULL : find_subject(watch, &watch->board->targets[target]);
		/* Before everyone has had his say, a second writable server might still be to come. */
		if (subjects[i] == NULL || subjects[i]->last_good < 0)
			goto out;
		members[i] = (struct role_member){.name = subjects[i]->name,
		                                  .address = subjects[i]->address,
		                                  .health = (enum board_health)atomic_load(&subjects[i]->target->health),
		                                  .present_primary = present == (uint64_t)target + 1,
		                                  .was_primary = present == 0 && watch->last_primary[row - watch->board->databases] ==
		                                                                     subjects[i]->target,
		                                  .view = subjects[i]->view};
	}
	char reason[BOARD_TEXT_SIZE];
	int primary = roles_decide(members, database->server_count, reason);
	for (unsigned i = 0; i < database->server_count; i++)
		report_role(subjects[i], &members[i]);
	set_primary(watch, database, row, primary >= 0 ? subjects[primary] : NULL, reason);
	if (primary >= 0)
		compare_accounts(row, subjects[primary]);
out:
	free(members);
}

static void decide_databases_of(struct subject *subject)
{
	const struct cluster *cluster = snapshot_cluster(subject->watch->snapshot);
	for (unsigned i = 0; i < cluster->database_count; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		bool has = false;
		for (unsigned j = 0; j < database->server_count; j++)
			has = has || address_equal(&database->servers[j].address, &subject->address);
		if (has && cluster_is_on(database->on, cluster->self))
			decide_database(subject->watch, database);
	}
}

/* ---- what a result means -------------------------------------------------------------------------------------- */

static enum board_health judge(struct subject *subject, bool good, unsigned streak)
{
	const struct board_target *target = subject->target;
	enum board_health health = (enum board_health)atomic_load(&target->health);
	bool never_checked = atomic_load(&target->checked_wall_us) == 0; /* it may be up by another check's word (board_reserve) */
	if (health == HEALTH_UNKNOWN || never_checked)
		return good ? HEALTH_UP : HEALTH_DOWN;
	if (health == HEALTH_DOWN)
		return good && streak >= subject->check.rise ? HEALTH_UP : HEALTH_DOWN;
	bool traffic_agrees = atomic_load(&target->failures) >= subject->check.fall;
	return !good && (streak >= subject->check.fall || traffic_agrees) ? HEALTH_DOWN : HEALTH_UP;
}

static void record(struct subject *subject, const struct check_result *result, uint64_t took_us)
{
	struct board_target *target = subject->target;
	bool first = subject->last_good < 0, same = subject->last_good == (result->good ? 1 : 0);
	unsigned streak = same ? atomic_load(&target->streak) + 1 : 1;
	enum board_health before = (enum board_health)atomic_load(&target->health), health = judge(subject, result->good, streak);
	subject->last_good = result->good ? 1 : 0;
	atomic_store(&target->streak, streak);
	atomic_store(&target->check_took_us, (unsigned)(took_us < UINT32_MAX ? took_us : UINT32_MAX));
	atomic_store(&target->checked_wall_us, clock_wall_us());
	board_text_write(&target->reason, result->reason);
	if (result->good) {
		atomic_store(&target->failures, 0);
		atomic_store(&target->avoid_until_us, 0);
	}
	if (health != before) {
		atomic_store(&target->changed_wall_us, clock_wall_us());
		if (before == HEALTH_DOWN)
			atomic_store(&target->up_since_us, clock_monotonic_us()); /* its share grows from here (slow_start) */
		atomic_store(&target->health, health);
		log_write(health == HEALTH_UP ? LOG_NOTICE : LOG_WARNING, "%s is %s: %s", subject->name, board_health_text(health),
		          result->reason);
	} else if (!same && !first) {
		log_write(LOG_INFO, "%s %s: %s (still %s)", subject->name, result->good ? "answers again" : "failed a check",
		          result->reason, board_health_text(health));
	}
}

/* ---- one subject ---------------------------------------------------------------------------------------------- */

static bool is_present_primary(const struct subject *subject)
{
	const struct board *board = subject->watch->board;
	for (unsigned i = 0; i < BOARD_DATABASES_MOST; i++)
		if ((atomic_load(&board->databases[i].primary) & UINT32_MAX) == row_of(subject->watch, subject->target) + 1)
			return true;
	return false;
}

static void check_once(struct subject *subject)
{
	struct check_result result = {0};
	struct database_view view = {0};
	uint64_t start_us = clock_monotonic_us();
	if (subject->check.kind == CHECK_HTTP)
		check_http(&subject->check, &subject->address, &result);
	else if (subject->check.kind == CHECK_TCP)
		check_tcp(&subject->check, &subject->address, &result);
	else
		check_mysql(&subject->client, &subject->login, &subject->check, &subject->address, is_present_primary(subject), &view,
		            &result);
	if (task_is_cancelled())
		return;
	if (view.known) /* a single failed check does not make it forgotten */
		subject->view = view;
	record(subject, &result, clock_monotonic_us() - start_us);
	if (subject->check.kind != CHECK_MYSQL)
		return;
	if (view.known) {
		board_text_write(&subject->target->position, subject->view.position);
		board_text_write(&subject->target->version, subject->client.version);
	}
	decide_databases_of(subject);
}

static void subject_end(void *argument)
{
	struct subject *subject = argument;
	database_client_close(&subject->client);
	list_remove(&subject->link);
	memset(&subject->login, 0, sizeof subject->login);
	subject->magic = 0;
	free(subject);
}

static void subject_run(void *argument)
{
	struct subject *subject = argument;
	CHECK_MAGIC(subject, SUBJECT_MAGIC);
	task_undo(subject_end, subject);
	/* The first pause is cut by chance, so that the checks of many targets do not stay in step. */
	uint64_t every_us = (uint64_t)subject->check.every_ms * 1000;
	uint64_t due_us = clock_monotonic_us() - (every_us > 0 ? random_quick() % (every_us / 2 + 1) : 0);
	for (;;) { /* until the subject is no longer wanted */
		check_once(subject);
		uint64_t now = clock_monotonic_us();
		due_us += (uint64_t)subject->check.every_ms * 1000;
		if (due_us < now)
			due_us = now;
		enum wait_result result = task_wait(&subject->hurry, (int64_t)((due_us - now) / 1000) + 1);
		if (result == WAIT_CANCELLED)
			return;
		if (result == WAIT_READY)
			due_us = clock_monotonic_us();
	}
}

/* ---- which subjects there are --------------------------------------------------------------------------------- */

static void want(struct watch *watch, const struct cluster *cluster, const struct cluster_app *app,
                 const struct cluster_check *check, const struct cluster_database *database)
{
	int row = board_target_row(watch->board, check, &app->address);
	ASSERT(row >= 0); /* the supervisor reserved it before it handed the snapshot out */
	struct subject *subject = find_subject(watch, &watch->board->targets[row]);
	bool is_new = subject == NULL;
	if (is_new) {
		subject = calloc(1, sizeof *subject);
		if (subject == NULL) {
			log_write(LOG_ERROR, "out of memory: not every target is checked");
			return;
		}
		subject->magic = SUBJECT_MAGIC;
		subject->watch = watch;
		subject->target = &watch->board->targets[row];
		subject->last_good = -1;
		stream_init(&subject->client.stream);
		wait_queue_init(&subject->hurry);
		list_append(&watch->subjects, &subject->link);
	} else if (subject->wanted) {
		return; /* two sites name the same target */
	}
	subject->wanted = true;
	subject->check = *check;
	subject->address = app->address;
	snprintf(subject->name, sizeof subject->name, "%s:%u", cluster->servers[app->server].name, app->address.port);
	if (database != NULL) {
		memcpy(subject->login.user, database->user, sizeof subject->login.user);
		memcpy(subject->login.password, database->password, sizeof subject->login.password);
	}
	if (!is_new)
		return;
	subject->task = task_start(watch->loop, "check", subject_run, subject);
	if (subject->task == NULL) {
		log_write(LOG_ERROR, "cannot check %s: %m", subject->name);
		list_remove(&subject->link);
		free(subject);
	}
}

void watch_use(struct watch *watch, struct snapshot *snapshot)
{
	CHECK_MAGIC(watch, WATCH_MAGIC);
	const struct cluster *cluster = snapshot_cluster(snapshot);
	snapshot_ref(snapshot);
	snapshot_unref(watch->snapshot);
	watch->snapshot = snapshot;
	admin_use(watch->admin, snapshot);
	peaks_use(watch->peaks, cluster);
	LIST_EACH (link, &watch->subjects)
		OWNER_OF(link, struct subject, link)->wanted = false;
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(cluster, &walk))
		for (unsigned i = 0; i < walk.group->app_count && cluster_is_on(walk.on, cluster->self); i++)
			want(watch, cluster, &walk.group->apps[i], &walk.group->check, NULL);
	for (unsigned i = 0; i < cluster->database_count; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		for (unsigned j = 0; j < database->server_count && cluster_is_on(database->on, cluster->self); j++)
			want(watch, cluster, &database->servers[j], &database->check, database);
	}
	LIST_EACH_SAFE (link, &watch->subjects) {
		struct subject *subject = OWNER_OF(link, struct subject, link);
		if (!subject->wanted) {
			list_remove(&subject->link); /* its task frees it */
			task_cancel(subject->task);
		} else {
			wait_queue_wake_all(&subject->hurry); /* with what may be a new password; its answer also decides the roles anew */
		}
	}
}

/* ---- the beat ------------------------------------------------------------------------------------------------- */

static void look(struct timer *timer)
{
	struct watch *watch = OWNER_OF(timer, struct watch, look);
	uint64_t now = clock_monotonic_us();
	atomic_store(&watch->board->watch_beat_us, now);
	LIST_EACH (link, &watch->subjects) {
		struct subject *subject = OWNER_OF(link, struct subject, link);
		uint64_t avoid = atomic_load(&subject->target->avoid_until_us);
		if (avoid <= now || avoid == subject->avoid_seen_us)
			continue;
		subject->avoid_seen_us = avoid;
		wait_queue_wake_all(&subject->hurry);
	}
	timer_set(&watch->look, LOOK_MS);
}

static void start_looking(void *argument)
{
	struct watch *watch = argument;
	look(&watch->look);
	trends_start(watch->trends);
	peaks_start(watch->peaks);
}

struct watch *watch_new(struct loop *loop, struct board *board)
{
	struct watch *watch = calloc(1, sizeof *watch);
	if (watch == NULL)
		return NULL;
	watch->magic = WATCH_MAGIC;
	watch->loop = loop;
	watch->board = board;
	list_init(&watch->subjects);
	timer_init(&watch->look, look);
	watch->admin = admin_new(loop, board);
	watch->trends = trends_new(board);
	watch->peaks = peaks_new(board);
	if (watch->admin == NULL || watch->trends == NULL || watch->peaks == NULL || !loop_post(loop, start_looking, watch)) {
		if (watch->admin != NULL)
			admin_free(watch->admin);
		trends_free(watch->trends);
		peaks_free(watch->peaks);
		free(watch);
		return NULL;
	}
	return watch;
}

bool watch_listen(struct watch *watch, uint32_t id, int descriptor)
{
	CHECK_MAGIC(watch, WATCH_MAGIC);
	return admin_listen(watch->admin, id, descriptor);
}

void watch_listener_gone(struct watch *watch, uint32_t id)
{
	CHECK_MAGIC(watch, WATCH_MAGIC);
	admin_listener_gone(watch->admin, id);
}

void watch_name_processes(struct watch *watch, const char *const *names, unsigned count)
{
	CHECK_MAGIC(watch, WATCH_MAGIC);
	admin_name_processes(watch->admin, names, count);
}

void watch_free(struct watch *watch)
{
	CHECK_MAGIC(watch, WATCH_MAGIC);
	ASSERT(list_is_empty(&watch->subjects)); /* their tasks ended with the loop */
	admin_free(watch->admin);
	trends_free(watch->trends);
	peaks_free(watch->peaks);
	snapshot_unref(watch->snapshot);
	watch->magic = 0;
	free(watch);
}
