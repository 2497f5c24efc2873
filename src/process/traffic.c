/* SPDX-License-Identifier: BSD-2-Clause
 *
 * traffic: the process that carries visitors' requests and applications' statements.
 *
 * One thread, loop and board lane for each processor ("core"), and on it an http_core, tcp_core, sql_core and tls_core. The main
 * thread only reads the supervisor's messages and posts what they mean to every core; nothing else crosses threads but a
 * connection that is handed to a less busy core.
 *
 * Started by process.c. Ends when the supervisor says so (MESSAGE_DRAIN), when its last connection has ended after an upgrade
 * (MESSAGE_RETIRE), or when the supervisor is gone.
 */
#include "process/process_private.h"

#include "board/board.h"
#include "cluster/snapshot.h"
#include "guard/guard.h"
#include "http/http.h"
#include "net/net.h"
#include "sql/sql.h"
#include "tcp/tcp.h"
#include "tls/tls.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CORE_MAGIC       0x636f7265u
#define CORE_STACK_BYTES (256u * 1024) /* of the thread itself; tasks have their own */
#define DRAIN_LOOK_MS    20
#define RETIRED_LOOK_MS  1000 /* how often a retired core looks whether it is needed any more */
#define DESCRIPTORS_KEPT 64u  /* or an eighth of the limit, if that is less: for what the supervisor sends */
#define BEAT_MS          500  /* how often a core says that it goes on (board: lane_beat_us) */
/* A connection changes the core when another has this many fewer: moving costs a wake-up, so small differences are left alone. */
#define HAND_OVER_LEAST   2u
#define HAND_OVER_PERCENT 10u

/* A listening socket, accepted from by all cores; closed by the last core that lets go. */
struct listening {
	struct message_listener name;
	int descriptor;
	atomic_uint users;
	struct listening *next; /* in traffic.listening; main thread */
};

/* One core's acceptor on it. */
struct acceptor {
	struct list link;
	struct core *core;
	struct listening *listening;
	struct net_listener *listener;
};

struct core {
	uint32_t magic;
	unsigned lane_index; /* on the board */
	pthread_t thread;
	pthread_mutex_t lock; /* held while others post to the loop, and while it decides to take no more */
	bool ending;          /* under the lock */
	struct loop *loop;
	struct board_lane *lane;
	struct http_core *http;
	struct sql_core *sql;
	struct tcp_core *tcp;
	struct tls_core *tls; /* NULL until there is a keyring */
	struct list acceptors;
	atomic_uint on_the_way; /* connections handed to this core that it has not yet taken */
	struct timer drain_timer;
	struct timer retired_timer;
	bool released; /* retired, and nothing is left but tunnels */
	struct timer beat_timer;
	uint64_t drain_deadline_us;
};

static struct traffic {
	int channel;
	struct board *board;
	struct guard *guard; /* NULL: the supervisor has none */
	unsigned core_count;
	struct core cores[BOARD_LANES_MOST];
	struct listening *listening, *staged; /* staged: opened with the next snapshot */
	sem_t core_ready;
	atomic_uint cores_running;
	atomic_uint cores_retired;
	bool draining, retired;
} traffic;

static _Noreturn void give_up(const char *why)
{
	log_write(LOG_ERROR, "traffic cannot go on: %s", why);
	exit(1);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------- */

/* Visitors may use up all descriptors, and still a reload's must come in: a message without its descriptor would end this
 * process and with it everybody's connection. So the last few are out of reach but while a message is received. */
static rlim_t descriptors_most, descriptors_for_visitors;

static void keep_descriptors_back(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		give_up("the limit of open files cannot be read");
	descriptors_most = limit.rlim_cur;
	descriptors_for_visitors = limit.rlim_cur - (limit.rlim_cur / 8 < DESCRIPTORS_KEPT ? limit.rlim_cur / 8 : DESCRIPTORS_KEPT);
}

static void limit_descriptors(rlim_t most)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = most;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		LOG_LIMITED(LOG_WARNING, 10000, "cannot set the limit of open files to %ju: %m", (uintmax_t)most);
}

/* ---- work posted to every core -------------------------------------------------------------------------------- */

/* Allocated once for each core; freed by the function that runs on it. */
struct errand {
	struct core *core;
	struct listening *listening;
	struct swap *swap;
	struct keys *keys;
	struct http_log_sink *sink; /* its own reference */
	int descriptor;
	struct address from;
	struct message_listener name;
};

static struct errand *errand_new(struct core *core)
{
	struct errand *errand = calloc(1, sizeof *errand);
	if (errand != NULL)
		errand->core = core;
	return errand;
}

/* False when the core takes no more or memory is out: the errand is still the caller's. */
static bool errand_try_post(struct errand *errand, void (*run)(void *))
{
	struct core *core = errand->core;
	pthread_mutex_lock(&core->lock);
	bool posted = !core->ending && loop_post(core->loop, run, errand);
	pthread_mutex_unlock(&core->lock);
	return posted;
}

/* From the main thread. Nothing is to be told to a core that ends (handle sees to it), but to end. */
static void errand_post(struct errand *errand, void (*run)(void *))
{
	if (errand_try_post(errand, run))
		return;
	if (!traffic.draining && !traffic.retired)
		give_up("out of memory");
	http_log_sink_unref(errand->sink); /* what it would have taken over; NULL for all others */
	free(errand);
}

static struct errand *errand_new_or_end(struct core *core)
{
	struct errand *errand = errand_new(core);
	if (errand == NULL)
		give_up("out of memory");
	return errand;
}

/* ---- connections ---------------------------------------------------------------------------------------------- */

static void take_connection(struct core *core, const struct message_listener *at, int descriptor, const struct address *from)
{
	switch (at->kind) {
	case LISTENER_SQL:
		sql_core_accepted(core->sql, &at->address, descriptor, from);
		return;
	case LISTENER_TCP:
		tcp_core_accepted(core->tcp, &at->address, descriptor, from);
		return;
	case LISTENER_HTTP:
	case LISTENER_HTTPS:
		http_core_accepted(core->http, &at->address, descriptor, from, at->kind == LISTENER_HTTPS);
		return;
	default: /* handle_listener takes no others */
		ASSERT(false);
	}
}

static void take_handed_connection(void *argument)
{
	struct errand *errand = argument;
	atomic_fetch_sub(&errand->core->on_the_way, 1);
	take_connection(errand->core, &errand->name, errand->descriptor, &errand->from);
	free(errand);
}

static uint64_t core_load(const struct core *core)
{
	return atomic_load_explicit(&core->lane->connections_open, memory_order_relaxed) +
	       atomic_load_explicit(&core->lane->sessions_open, memory_order_relaxed) +
	       atomic_load_explicit(&core->lane->services_open, memory_order_relaxed) +
	       atomic_load_explicit(&core->on_the_way, memory_order_relaxed);
}

static struct core *least_loaded(struct core *mine)
{
	struct core *best = mine;
	uint64_t my_load = core_load(mine), best_load = my_load;
	for (unsigned i = 0; i < traffic.core_count; i++) { /* at most BOARD_LANES_MOST */
		uint64_t load = core_load(&traffic.cores[i]);
		if (load < best_load) {
			best = &traffic.cores[i];
			best_load = load;
		}
	}
	return my_load >= best_load + HAND_OVER_LEAST + best_load * HAND_OVER_PERCENT / 100 ? best : mine;
}

static void accepted(void *argument, int descriptor, const struct address *from)
{
	struct acceptor *acceptor = argument;
	struct core *core = least_loaded(acceptor->core);
	struct errand *errand = core == acceptor->core ? NULL : errand_new(core);
	if (errand == NULL) {
		take_connection(acceptor->core, &acceptor->listening->name, descriptor, from);
		return;
	}
	errand->descriptor = descriptor;
	errand->from = *from;
	errand->name = acceptor->listening->name;
	atomic_fetch_add(&core->on_the_way, 1);
	if (!errand_try_post(errand, take_handed_connection)) {
		atomic_fetch_sub(&core->on_the_way, 1);
		free(errand);
		take_connection(acceptor->core, &acceptor->listening->name, descriptor, from);
	}
}

/* ---- listeners ------------------------------------------------------------------------------------------------ */

static void acceptor_open(void *argument)
{
	struct errand *errand = argument;
	struct acceptor *acceptor = calloc(1, sizeof *acceptor);
	if (acceptor == NULL)
		give_up("out of memory");
	acceptor->core = errand->core;
	acceptor->listening = errand->listening;
	acceptor->listener = net_listener_new(errand->listening->descriptor, accepted, acceptor);
	if (acceptor->listener == NULL)
		give_up("a listening socket cannot be watched");
	list_append(&errand->core->acceptors, &acceptor->link);
	free(errand);
}

static void acceptor_free(struct acceptor *acceptor)
{
	struct listening *listening = acceptor->listening;
	net_listener_finish(acceptor->listener);
	list_remove(&acceptor->link);
	free(acceptor);
	if (atomic_fetch_sub(&listening->users, 1) == 1) {
		close(listening->descriptor);
		free(listening);
	}
}

static void acceptor_close(void *argument)
{
	struct errand *errand = argument;
	LIST_EACH_SAFE (link, &errand->core->acceptors) {
		struct acceptor *acceptor = OWNER_OF(link, struct acceptor, link);
		if (acceptor->listening->name.id == errand->name.id)
			acceptor_free(acceptor);
	}
	free(errand);
}

static void handle_listener(const struct message *message, int descriptor)
{
	struct listening *listening = calloc(1, sizeof *listening);
	if (listening == NULL)
		give_up("out of memory");
	if (message->listener.kind != LISTENER_HTTP && message->listener.kind != LISTENER_HTTPS &&
	    message->listener.kind != LISTENER_SQL && message->listener.kind != LISTENER_TCP)
		give_up("the supervisor sent a listener of another kind");
	listening->name = message->listener;
	listening->descriptor = descriptor;
	listening->users = traffic.core_count;
	listening->next = traffic.staged;
	traffic.staged = listening;
}

static void handle_listener_gone(const struct message *message)
{
	for (struct listening **place = &traffic.listening; *place != NULL; place = &(*place)->next) {
		if ((*place)->name.id != message->listener.id)
			continue;
		*place = (*place)->next; /* freed by the last core */
		break;
	}
	for (unsigned i = 0; i < traffic.core_count; i++) {
		struct errand *errand = errand_new_or_end(&traffic.cores[i]);
		errand->name = message->listener;
		errand_post(errand, acceptor_close);
	}
}

/* ---- snapshots ------------------------------------------------------------------------------------------------ */

/* One snapshot on its way to all cores; the last to take it tells the supervisor. */
struct swap {
	struct snapshot *snapshot;
	atomic_uint missing;
};

static void swap_taken(struct swap *swap)
{
	if (atomic_fetch_sub(&swap->missing, 1) != 1)
		return;
	struct message taken = {.type = MESSAGE_TAKEN};
	taken.snapshot.generation = snapshot_cluster(swap->snapshot)->generation;
	if (message_send(traffic.channel, &taken, -1) != 0 && !traffic.retired)
		log_write(LOG_WARNING, "the supervisor does not hear that snapshot %ju is in use", (uintmax_t)taken.snapshot.generation);
	snapshot_unref(swap->snapshot);
	free(swap);
}

static void use_snapshot(void *argument)
{
	struct errand *errand = argument;
	struct core *core = errand->core;
	if (!core->released) {
		if (!http_core_use(core->http, errand->swap->snapshot) || !tcp_core_use(core->tcp, errand->swap->snapshot))
			give_up("out of memory for the new snapshot");
		sql_core_use(core->sql, errand->swap->snapshot);
	}
	swap_taken(errand->swap);
	free(errand);
}

static void handle_snapshot(const struct message *message, int descriptor)
{
	const struct cluster *cluster = cluster_map(descriptor);
	close(descriptor);
	if (cluster == NULL && traffic.retired)
		return; /* of a newer program: what is left here goes on by the one that it has */
	if (cluster == NULL || cluster->generation != message->snapshot.generation)
		give_up("the supervisor's snapshot is not one");
	struct swap *swap = calloc(1, sizeof *swap);
	if (swap == NULL || (swap->snapshot = snapshot_new(cluster)) == NULL)
		give_up("out of memory");
	ASSERT(traffic.core_count > 0);
	swap->missing = traffic.core_count + 1; /* this thread counts until it has told all */
	for (unsigned i = 0; i < traffic.core_count; i++) {
		struct errand *errand = errand_new_or_end(&traffic.cores[i]);
		errand->swap = swap;
		if (errand_try_post(errand, use_snapshot))
			continue;
		if (!traffic.retired)
			give_up("out of memory");
		free(errand); /* a retired core that has ended */
		atomic_fetch_sub(&swap->missing, 1);
	}
	swap_taken(swap);
	/* Posts arrive in order: each core knows the snapshot before it accepts for it. */
	while (traffic.staged != NULL) {
		struct listening *listening = traffic.staged;
		traffic.staged = listening->next;
		listening->next = traffic.listening;
		traffic.listening = listening;
		for (unsigned i = 0; i < traffic.core_count; i++) {
			struct errand *errand = errand_new_or_end(&traffic.cores[i]);
			errand->listening = listening;
			errand_post(errand, acceptor_open);
		}
	}
}

/* ---- certificates --------------------------------------------------------------------------------------------- */

/* One keyring on its way to all cores. */
struct keys {
	const struct keyring *keyring;
	atomic_uint missing;
};

static void use_keyring(void *argument)
{
	struct errand *errand = argument;
	struct core *core = errand->core;
	struct keys *keys = errand->keys;
	free(errand);
	if (core->tls == NULL) {
		core->tls = tls_core_new();
		if (core->tls == NULL)
			give_up("out of memory for certificates");
		http_core_use_tls(core->http, core->tls);
	}
	if (!tls_core_use(core->tls, keys->keyring))
		log_write(LOG_ERROR, "the new certificates cannot be used: those before stay in use");
	if (atomic_fetch_sub(&keys->missing, 1) != 1)
		return;
	keyring_unmap(keys->keyring);
	free(keys);
}

static void handle_keyring(int descriptor)
{
	struct keys *keys = calloc(1, sizeof *keys);
	if (keys == NULL)
		give_up("out of memory");
	keys->keyring = keyring_map(descriptor);
	close(descriptor);
	if (keys->keyring == NULL)
		give_up("the supervisor's keyring is not one");
	ASSERT(traffic.core_count > 0);
	keys->missing = traffic.core_count;
	for (unsigned i = 0; i < traffic.core_count; i++) {
		struct errand *errand = errand_new_or_end(&traffic.cores[i]);
		errand->keys = keys;
		errand_post(errand, use_keyring);
	}
}

/* ---- the access log ------------------------------------------------------------------------------------------- */

static void use_access_log(void *argument)
{
	struct errand *errand = argument;
	http_core_log_to(errand->core->http, errand->sink);
	http_log_sink_unref(errand->sink);
	free(errand);
}

/* On any core. */
static void access_log_is_gone(void)
{
	int result = message_send(traffic.channel, &(struct message){.type = MESSAGE_ACCESS_LOG_GONE}, -1);
	if (result != 0)
		LOG_LIMITED(LOG_WARNING, 10000, "the supervisor does not hear that nobody takes the access log: %s", strerror(-result));
}

static void handle_access_log(const struct message *message, int descriptor)
{
	struct http_log_sink *sink = NULL;
	if (descriptor >= 0) {
		sink = http_log_sink_new(descriptor, (enum cluster_log_to)message->access_log.to,
		                         (enum cluster_log_format)message->access_log.format, access_log_is_gone);
		if (sink == NULL)
			give_up("out of memory");
	}
	for (unsigned i = 0; i < traffic.core_count; i++) {
		struct errand *errand = errand_new_or_end(&traffic.cores[i]);
		errand->sink = sink != NULL ? http_log_sink_ref(sink) : NULL;
		errand_post(errand, use_access_log);
	}
	http_log_sink_unref(sink);
}

/* ---- ending --------------------------------------------------------------------------------------------------- */

static void stop_loop(void *argument)
{
	struct core *core = argument;
	loop_stop(core->loop);
}

/* On the core's thread. Its last message is its own, so that all that others have posted before is done and nothing is lost. */
static void core_end(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	if (!core->ending && !loop_post(core->loop, stop_loop, core))
		give_up("out of memory");
	core->ending = true;
	pthread_mutex_unlock(&core->lock);
}

/* Connections of clients. */
static unsigned core_open(const struct core *core)
{
	return http_core_open(core->http) + sql_core_open(core->sql) + tcp_core_open(core->tcp) + atomic_load(&core->on_the_way);
}

static void look_whether_drained(struct timer *timer)
{
	struct core *core = OWNER_OF(timer, struct core, drain_timer);
	unsigned open = core_open(core);
	if (open > 0 && clock_monotonic_us() < core->drain_deadline_us) {
		timer_set(timer, DRAIN_LOOK_MS);
		return;
	}
	if (open > 0)
		log_write(LOG_WARNING, "%u connections are still busy after %d s; they end now", open, PROCESS_DRAIN_MS / 1000);
	core_end(core);
}

static void drain(void *argument)
{
	struct errand *errand = argument;
	struct core *core = errand->core;
	free(errand);
	LIST_EACH_SAFE (link, &core->acceptors)
		acceptor_free(OWNER_OF(link, struct acceptor, link));
	timer_clear(&core->retired_timer);
	http_core_drain(core->http);
	sql_core_drain(core->sql);
	tcp_core_drain(core->tcp);
	core->drain_deadline_us = clock_monotonic_us() + (uint64_t)PROCESS_DRAIN_MS * 1000;
	look_whether_drained(&core->drain_timer);
}

static void stop_now(void *argument)
{
	struct errand *errand = argument;
	struct core *core = errand->core;
	free(errand);
	core_end(core);
}

static void handle_drain(void)
{
	bool now = traffic.draining; /* asked for the second time */
	traffic.draining = true;
	for (unsigned i = 0; i < traffic.core_count; i++)
		errand_post(errand_new_or_end(&traffic.cores[i]), now ? stop_now : drain);
}

/* ---- retired: another traffic process has taken over, this one carries on with the connections that it has ----- */

/* A core that has no more than tunnels needs neither the snapshot nor what it kept for speed. No other core hands connections
 * over any more: all are retired. */
static void release_what_tunnels_need_not(struct core *core)
{
	if (core->released || atomic_load(&traffic.cores_retired) < traffic.core_count || atomic_load(&core->on_the_way) > 0 ||
	    !sql_core_release(core->sql) || !tcp_core_release(core->tcp) || !http_core_release(core->http))
		return;
	core->released = true;
	loop_trim(core->loop);
	malloc_trim(0);
}

static void look_whether_needed(struct timer *timer)
{
	struct core *core = OWNER_OF(timer, struct core, retired_timer);
	if (core_open(core) == 0) {
		core_end(core);
		return;
	}
	release_what_tunnels_need_not(core);
	timer_set(timer, RETIRED_LOOK_MS);
}

static void retire(void *argument)
{
	struct errand *errand = argument;
	struct core *core = errand->core;
	free(errand);
	LIST_EACH_SAFE (link, &core->acceptors)
		acceptor_free(OWNER_OF(link, struct acceptor, link));
	http_core_retire(core->http);
	timer_clear(&core->beat_timer); /* nobody looks any more whether it beats */
	if (atomic_fetch_add(&traffic.cores_retired, 1) + 1 == traffic.core_count &&
	    message_send(traffic.channel, &(struct message){.type = MESSAGE_RETIRED}, -1) != 0)
		log_write(LOG_WARNING, "the supervisor does not hear that nothing is accepted here any more");
	look_whether_needed(&core->retired_timer);
}

static void handle_retire(void)
{
	if (traffic.retired)
		return;
	traffic.retired = true;
	for (unsigned i = 0; i < traffic.core_count; i++)
		errand_post(errand_new_or_end(&traffic.cores[i]), retire);
}

/* ---- the cores ------------------------------------------------------------------------------------------------ */

static void beat(struct timer *timer)
{
	const struct core *core = OWNER_OF(timer, struct core, beat_timer);
	atomic_store_explicit(&traffic.board->lane_beat_us[core->lane_index], clock_monotonic_us(), memory_order_relaxed);
	timer_set(timer, BEAT_MS);
}

static void begin_beating(void *argument)
{
	struct core *core = argument;
	beat(&core->beat_timer);
}

static void *core_main(void *argument)
{
	struct core *core = argument;
	CHECK_MAGIC(core, CORE_MAGIC);
	core->loop = loop_new("traffic");
	if (core->loop == NULL)
		give_up("no loop");
	core->http = http_core_new(core->loop, traffic.board, core->lane, NULL);
	core->sql = sql_core_new(core->loop, traffic.board, core->lane);
	core->tcp = tcp_core_new(core->loop, traffic.board, core->lane);
	if (core->http == NULL || core->sql == NULL || core->tcp == NULL || !loop_post(core->loop, begin_beating, core))
		give_up("out of memory");
	sem_post(&traffic.core_ready);
	loop_run(core->loop);
	http_core_free(core->http);
	sql_core_free(core->sql);
	tcp_core_free(core->tcp);
	tls_core_free(core->tls);
	loop_free(core->loop);
	/* The last core wakes the main thread out of its wait for a message. */
	if (atomic_fetch_sub(&traffic.cores_running, 1) == 1)
		shutdown(traffic.channel, SHUT_RDWR);
	return NULL;
}

static void start_cores(unsigned first_lane, unsigned count)
{
	ASSERT(traffic.core_count == 0 && count > 0);
	traffic.core_count = count;
	traffic.cores_running = count;
	pthread_attr_t attributes;
	if (sem_init(&traffic.core_ready, 0, 0) != 0 || pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setstacksize(&attributes, CORE_STACK_BYTES) != 0)
		give_up("no threads");
	for (unsigned i = 0; i < count; i++) {
		struct core *core = &traffic.cores[i];
		core->magic = CORE_MAGIC;
		core->lane_index = first_lane + i;
		core->lane = &traffic.board->lanes[core->lane_index];
		board_lane_restart(traffic.board, core->lane);
		list_init(&core->acceptors);
		pthread_mutex_init(&core->lock, NULL);
		timer_init(&core->drain_timer, look_whether_drained);
		timer_init(&core->retired_timer, look_whether_needed);
		timer_init(&core->beat_timer, beat);
		if (pthread_create(&core->thread, &attributes, core_main, core) != 0)
			give_up("no threads");
	}
	pthread_attr_destroy(&attributes);
	for (unsigned i = 0; i < count; i++)
		while (sem_wait(&traffic.core_ready) != 0)
			ASSERT(errno == EINTR);
}

static void handle_start(const struct message *message, int descriptor)
{
	traffic.board = board_map(descriptor);
	close(descriptor);
	uint32_t lanes = traffic.board != NULL ? traffic.board->lane_count : 0;
	if (message->start.first_lane >= lanes || message->start.threads == 0 ||
	    message->start.threads > lanes - message->start.first_lane)
		give_up("the supervisor's board is not one");
	start_cores(message->start.first_lane, message->start.threads);
}

static void use_guard(void *argument)
{
	struct errand *errand = argument;
	http_core_use_guard(errand->core->http, traffic.guard, errand->core->lane_index);
	free(errand);
}

static void handle_guard(int descriptor)
{
	if (traffic.guard != NULL || (traffic.guard = guard_map(descriptor)) == NULL)
		give_up("the supervisor's table of addresses is not one");
	guard_close_descriptor(traffic.guard);
	guard_begin(traffic.guard, traffic.cores[0].lane_index);
	for (unsigned i = 0; i < traffic.core_count; i++)
		errand_post(errand_new_or_end(&traffic.cores[i]), use_guard);
}

static void end_cores(void)
{
	for (unsigned i = 0; i < traffic.core_count; i++)
		pthread_join(traffic.cores[i].thread, NULL);
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

/* What a retired process still takes. */
static bool is_for_retired(uint32_t type)
{
	return type == MESSAGE_DRAIN || type == MESSAGE_LOG || type == MESSAGE_ACCESS_LOG || type == MESSAGE_ACCESS_LOG_NONE ||
	       type == MESSAGE_SNAPSHOT;
}

static void handle(const struct message *message, int descriptor)
{
	if (traffic.board == NULL && message->type != MESSAGE_START && message->type != MESSAGE_LOG)
		give_up("a message came before the board");
	if ((traffic.draining && message->type != MESSAGE_DRAIN && message->type != MESSAGE_LOG) ||
	    (traffic.retired && !is_for_retired(message->type))) {
		if (descriptor >= 0) /* sent before the supervisor knew: too late to matter */
			close(descriptor);
		return;
	}
	switch (message->type) {
	case MESSAGE_START:
		handle_start(message, descriptor);
		return;
	case MESSAGE_LOG:
		if (dup2(descriptor, STDERR_FILENO) < 0)
			give_up("the log cannot be replaced");
		close(descriptor);
		return;
	case MESSAGE_ACCESS_LOG:
	case MESSAGE_ACCESS_LOG_NONE:
		handle_access_log(message, descriptor);
		return;
	case MESSAGE_LISTENER:
		handle_listener(message, descriptor);
		return;
	case MESSAGE_LISTENER_GONE:
		handle_listener_gone(message);
		return;
	case MESSAGE_SNAPSHOT:
		handle_snapshot(message, descriptor);
		return;
	case MESSAGE_KEYRING:
		handle_keyring(descriptor);
		return;
	case MESSAGE_GUARD:
		handle_guard(descriptor);
		return;
	case MESSAGE_DRAIN:
		handle_drain();
		return;
	case MESSAGE_RETIRE:
		handle_retire();
		return;
	default:
		give_up(message_type_text(message->type));
	}
}

static int receive(struct message *message, int *descriptor)
{
	struct pollfd readable = {.fd = traffic.channel, .events = POLLIN};
	while (poll(&readable, 1, -1) < 0)
		ASSERT(errno == EINTR || errno == ENOMEM);
	limit_descriptors(descriptors_most);
	int result = message_receive(traffic.channel, message, descriptor);
	limit_descriptors(descriptors_for_visitors);
	return result;
}

int traffic_run(int channel)
{
	traffic.channel = channel;
	keep_descriptors_back();
	net_keep_tls_memory();
	for (;;) { /* until the channel ends */
		struct message message;
		int descriptor;
		int result = receive(&message, &descriptor);
		if (result < 0)
			return 1;
		if (result == 0)
			break;
		handle(&message, descriptor);
	}
	/* The supervisor is gone: nobody would restart, reload or stop us. Or the last core has ended. */
	if (!traffic.draining && atomic_load(&traffic.cores_running) > 0)
		_exit(1);
	end_cores();
	return 0;
}
