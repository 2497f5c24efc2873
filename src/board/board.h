/* SPDX-License-Identifier: BSD-2-Clause
 *
 * board: the one shared-memory table of what is true now: which target is healthy, which server is a database's primary, and
 * counters.
 *
 * The supervisor makes it, reserves its rows and hands its memory file to every child; it outlives them all, so neither a crash
 * nor a reload forgets who is down. Each field has one kind of writer, named beside it.
 *
 * An upgrade puts two program versions at one board, so its layout is only ever appended to: every row has a fixed stride with
 * room at its end, a new field takes of that room (0 means "nobody wrote it yet"), a new table goes to the end of struct board,
 * and nothing moves or changes its meaning. tests/unit/test_board_layout.c holds every offset. Only what breaks with this raises
 * BOARD_VERSION, and then an upgrade needs a restart. Room that nobody has written costs no memory: the file has holes there.
 */
#ifndef NOAH_BOARD_H
#define NOAH_BOARD_H

#include "base/base.h"
#include "cluster/cluster.h"

#include <stdatomic.h>

#define BOARD_MAGIC              0x4e424f41u
#define BOARD_VERSION            2u /* of the layout's strides */
#define BOARD_TARGETS_MOST       1024u
#define BOARD_DATABASES_MOST     32u   /* those of two generations */
#define BOARD_SERVERS_MOST       64u   /* those of two generations */
#define BOARD_LANES_MOST         256u  /* traffic threads, of all program generations that still run */
#define BOARD_GATES_MOST         1024u /* addresses with a cap, those of two generations */
#define BOARD_QUEUE_MOST         1024u /* who may wait at one gate */
#define BOARD_COUNTERS_ROOM      256u
#define BOARD_CERTIFICATES_MOST  256u
#define BOARD_SITES_MOST         128u /* those of two generations */
#define BOARD_SITE_COUNTERS_ROOM 32u

#define BOARD_HEALTHS(X)                 \
	X(HEALTH_UNKNOWN, "not checked yet") \
	X(HEALTH_UP, "up")                   \
	X(HEALTH_DOWN, "down")
enum board_health {
#define X(name, text) name,
	BOARD_HEALTHS(X)
#undef X
};
const char *board_health_text(enum board_health health);

#define BOARD_ROLES(X)                \
	X(ROLE_UNKNOWN, "role not known") \
	X(ROLE_PRIMARY, "primary")        \
	X(ROLE_REPLICA, "replica")        \
	X(ROLE_BROKEN, "replica that does not replicate")
enum board_role {
#define X(name, text) name,
	BOARD_ROLES(X)
#undef X
};
const char *board_role_text(enum board_role role);

/* A text that one process writes and others read whole or not at all (a sequence lock). */
#define BOARD_TEXT_SIZE 200u
struct board_text {
	atomic_uint sequence;
	char bytes[BOARD_TEXT_SIZE];
};
/* Cut to fit, between two characters. Control characters and what is not UTF-8 become '?': these are also the words of servers
 * that may be anybody's by now, and an administrator's terminal shows them. */
void board_text_write(struct board_text *text, const char *value);
void board_text_read(const struct board_text *text, char out[BOARD_TEXT_SIZE]);

/* What answers at a target's address, however it is checked. */
enum board_service { SERVICE_APP, SERVICE_DATABASE };

/* The most that was under way to a group of servers lately. It stands with the group's first target; groups that share the first
 * one are told apart by a hash of all their targets' keys. What finds no place is not kept. */
#define BOARD_PEAKS 8u
struct board_peak {
	atomic_uint group; /* board_group.hash; 0: free */
	atomic_uint most;  /* requests and connections, in the last BOARD_PEAK_MINUTES */
};
#define BOARD_PEAK_MINUTES 15u

/* One for each (check, address). Found by key; the row of a key stays the same while any snapshot names it. */
struct board_target {
	char key[CLUSTER_TARGET_KEY_SIZE]; /* supervisor; "" = free */
	_Atomic uint64_t last_generation;  /* supervisor: newest snapshot that names it */
	/* written by watch */
	atomic_uint health;               /* enum board_health */
	atomic_uint streak;               /* checks in a row with the newest outcome */
	_Atomic uint64_t changed_wall_us; /* when health last changed; 0 = never */
	_Atomic uint64_t checked_wall_us; /* end of the last check */
	atomic_uint check_took_us;
	struct board_text reason; /* of the last check: "200 OK", "body differs: MD5 is …", "connection refused" */
	/* database servers only, written by watch */
	atomic_uint role;           /* enum board_role */
	atomic_uint lag_ms;         /* of a replica, UINT_MAX when not known */
	struct board_text position; /* GTID position seen last */
	struct board_text version;  /* as the server greets */
	/* written by traffic */
	atomic_uint failures;            /* connections that failed since the last that worked */
	_Atomic uint64_t avoid_until_us; /* monotonic: passive detection; watch clears it after a check that succeeds */
	/* written by the supervisor with the key */
	uint32_t service; /* enum board_service */
	uint32_t zero;
	struct address address;
	/* written by watch: monotonic; when it came up after it was found down; 0: it never was (slow start) */
	_Atomic uint64_t up_since_us;
	/* written by traffic: time to the first byte, a moving average, and when it was last brought up to date (monotonic; 0: never)
	 */
	_Atomic uint64_t latency_us, latency_at_us;
	struct board_peak peaks[BOARD_PEAKS]; /* written by watch */
	uint8_t room[1040];
};
_Static_assert(sizeof(struct board_target) == 2048, "the stride of targets is fixed");

/* What an administrator has said about a server, by its name. Written by the supervisor; outlives reloads and upgrades. */
#define BOARD_WEIGHT_FULL 100u
#define BOARD_WEIGHT_MOST 1000u
struct board_server {
	char name[CLUSTER_NAME_SIZE];     /* "" = free */
	_Atomic uint64_t last_generation; /* newest snapshot that names it */
	atomic_uint drained;              /* 1: gets nothing new */
	atomic_uint weight_percent;       /* of what the file says; 0: only visitors who belong there (sticky) */
	_Atomic uint64_t changed_wall_us; /* when one of the two was last set; 0: never */
	uint8_t room[168];
};
_Static_assert(sizeof(struct board_server) == 256, "the stride of servers is fixed");

/* Who is primary: the one owner of this truth is watch. */
struct board_database {
	char name[CLUSTER_NAME_SIZE]; /* supervisor; "" = free */
	/* epoch << 32 | (target row + 1); 0 in the low half: no primary. The epoch grows by one with each change. Written by watch.
	 */
	_Atomic uint64_t primary;
	struct board_text reason;          /* why there is none, or since when there is one; watch */
	_Atomic uint64_t accounts_version; /* watch: grows when the users should be read again; 0: never read */
	_Atomic uint64_t last_generation;  /* supervisor: newest snapshot that names it */
	uint8_t room[728];
};
_Static_assert(sizeof(struct board_database) == 1024, "the stride of databases is fixed");

/* Counters of one traffic thread: only it writes them (relaxed adds), everyone reads and sums. A new one goes to the end; one
 * that is not needed any more keeps its line. At most BOARD_COUNTERS_ROOM. */
#define BOARD_COUNTERS(X)                                                                \
	X(connections_accepted, "HTTP connections accepted")                                 \
	X(connections_open, "HTTP connections open now")                                     \
	X(requests, "HTTP requests answered")                                                \
	X(answers_1xx, "interim answers")                                                    \
	X(answers_2xx, "answers 2xx")                                                        \
	X(answers_3xx, "answers 3xx")                                                        \
	X(answers_4xx, "answers 4xx")                                                        \
	X(answers_5xx, "answers 5xx")                                                        \
	X(requests_failed, "requests that ended without a whole answer")                     \
	X(retries, "requests tried again on another connection or server")                   \
	X(server_connections_opened, "connections opened to apps")                           \
	X(server_connections_reused, "requests sent on a pooled connection")                 \
	X(sessions_accepted, "SQL sessions accepted")                                        \
	X(sessions_open, "SQL sessions open now")                                            \
	X(sessions_refused, "SQL logins refused")                                            \
	X(statements, "SQL statements")                                                      \
	X(statements_read, "statements that only read")                                      \
	X(reads_replica, "reads answered by a replica")                                      \
	X(reads_waited, "reads that waited for a replica to catch up")                       \
	X(reads_too_late, "reads sent to the primary because no replica caught up in time")  \
	X(reads_stale, "reads answered while the primary could not be asked")                \
	X(positions_asked, "questions for the primary's position")                           \
	X(statements_rerun, "reads run again elsewhere after a server was lost")             \
	X(statements_failed, "statements refused or lost, with an error from noah")          \
	X(log_lines_lost, "lines of the access log that could not be written")               \
	X(queue_waited, "requests and tunnels that had to wait for a connection to an app")  \
	X(queue_refused, "those that found its queue full")                                  \
	X(queue_timeouts, "those that waited for too long")                                  \
	X(tunnels_open, "HTTP connections that have become tunnels, open now")               \
	X(services_accepted, "connections of TCP services accepted")                         \
	X(services_open, "connections of TCP services open now")                             \
	X(services_failed, "connections of TCP services that failed")                        \
	X(services_bytes_in, "bytes from clients of TCP services, of ended connections")     \
	X(services_bytes_out, "bytes to clients of TCP services, of ended connections")      \
	X(tls_handshakes, "TLS handshakes")                                                  \
	X(tls_resumed, "those of them that went on with an earlier session")                 \
	X(tls_failed, "TLS handshakes that failed")                                          \
	X(requests_limited, "requests answered with 429: too many from one address")         \
	X(requests_banned, "requests answered with 403: their address is banned")            \
	X(bans, "addresses that were banned for a while")                                    \
	X(connections_limited, "connections refused: too many from one address")             \
	X(visitors_uncounted, "requests let in without counting: no room for their address") \
	X(answers_compressed, "answers compressed on their way out")                         \
	X(compressors_exhausted, "answers sent as they were: all compressors were in use")

/* Upper limits of how long requests took, in microseconds, for BOARD_SITE_COUNTERS: each request counts in the first one that it
 * does not exceed, or in none. Fixed for ever: a counter's meaning does not change. */
#define BOARD_SITE_BUCKET_LIMITS(X) \
	X(took_5ms, 5000)               \
	X(took_10ms, 10000)             \
	X(took_25ms, 25000)             \
	X(took_50ms, 50000)             \
	X(took_100ms, 100000)           \
	X(took_250ms, 250000)           \
	X(took_500ms, 500000)           \
	X(took_1s, 1000000)             \
	X(took_2500ms, 2500000)         \
	X(took_5s, 5000000)             \
	X(took_10s, 10000000)
#define BOARD_SITE_BUCKETS 11u
extern const uint64_t board_site_bucket_us[BOARD_SITE_BUCKETS];

/* Counters of one site in one traffic thread, as BOARD_COUNTERS. At most BOARD_SITE_COUNTERS_ROOM. */
#define BOARD_SITE_COUNTERS(X)                                                 \
	X(ended, "requests that ended, however")                                   \
	X(failed, "requests that ended without a whole answer")                    \
	X(answers_1xx, "tunnels: requests answered with 101")                      \
	X(answers_2xx, "requests answered with 2xx")                               \
	X(answers_3xx, "requests answered with 3xx")                               \
	X(answers_4xx, "requests answered with 4xx")                               \
	X(answers_5xx, "requests answered with 5xx")                               \
	X(bytes_in, "bytes from visitors")                                         \
	X(bytes_out, "bytes to visitors")                                          \
	X(took_us, "microseconds from requests' first byte to their answers' end") \
	BOARD_SITE_BUCKET_LIMITS(X)                                                \
	X(maintenance, "those answered with 503 because the site is in maintenance")

struct board_site_lane {
	union {
		struct {
#define X(name, text) _Atomic uint64_t name;
			BOARD_SITE_COUNTERS(X)
#undef X
		};
		_Atomic uint64_t counters[BOARD_SITE_COUNTERS_ROOM];
	};
};

struct board_lane {
	union {
		struct {
#define X(name, text) _Atomic uint64_t name;
			BOARD_COUNTERS(X)
#undef X
		};
		_Atomic uint64_t counters[BOARD_COUNTERS_ROOM];
	};
	/* for each target row: requests or statements under way now, and in all; what least-connections sums and what
	 * status shows ("where requests go") */
	atomic_int active[BOARD_TARGETS_MOST];
	_Atomic uint64_t served[BOARD_TARGETS_MOST];
	struct board_site_lane sites[BOARD_SITES_MOST];
	uint8_t room[18432];
};
_Static_assert(sizeof(struct board_lane) == 65536, "the stride of lanes is fixed");
extern const struct board_counter_name {
	const char *name, *text;
	size_t offset; /* in struct board_lane */
} board_counter_names[];
extern const unsigned board_counter_count;

/* A cap on the connections to one address, true over all threads and program generations, and the queue of those that wait for
 * one. How it works is at the top of gate.c. */
struct board_gate {
	struct address address;           /* supervisor; ADDRESS_NONE: free */
	_Atomic uint64_t last_generation; /* supervisor: newest snapshot that caps it */
	atomic_uint connections_most;     /* supervisor; 0: no cap any more */
	atomic_uint lock;                 /* 0, or 1 + the lane that holds it */
	atomic_uint queued;               /* under the lock: words of the queue in use */
	uint32_t zero;
	_Atomic uint64_t full_since_us; /* watch: monotonic; all slots are in use and somebody waits; 0: not now */
	uint8_t room[880];
	/* each written by its lane alone: slots it has (connections in use, idle, being opened), and idle ones among them */
	atomic_uint held[BOARD_LANES_MOST], idle[BOARD_LANES_MOST];
	uint8_t more_room[1024];
	_Atomic uint64_t queue[BOARD_QUEUE_MOST]; /* under the lock, in the order of tickets: gate.c */
	uint8_t last_room[4096];
};
_Static_assert(sizeof(struct board_gate) == 16384, "the stride of gates is fixed");

/* A site, by its name: what its visitors did stands in the lanes, in the row of the same number. Written by the supervisor. */
struct board_site {
	char name[CLUSTER_NAME_SIZE];            /* "" = free */
	_Atomic uint64_t last_generation;        /* newest snapshot that names it */
	atomic_uint recent_ended, recent_errors; /* watch: requests of the last minute; those answered with 5xx */
	/* noah maintenance: until then (monotonic) visitors get 503; 0, or past: they do not. Since: wall clock */
	_Atomic uint64_t maintenance_until_us, maintenance_since_us;
	uint8_t room[160];
};
_Static_assert(sizeof(struct board_site) == 256, "the stride of sites is fixed");

/* A certificate that visitors are shown now. Written by the supervisor. */
struct board_certificate {
	struct board_text what; /* "www.example.com, example.org" */
	uint32_t zero;
	_Atomic uint64_t not_after_s; /* since 1970 */
	uint8_t room[40];
};
_Static_assert(sizeof(struct board_certificate) == 256, "the stride of certificates is fixed");

struct board {
	uint32_t magic;
	uint32_t version;
	uint32_t size;               /* bytes of the whole, as made: a newer program may have made it longer */
	atomic_uint lane_count;      /* supervisor: lanes from here on were never used; reading them would cost memory */
	_Atomic uint64_t generation; /* supervisor: snapshot in force */
	_Atomic uint64_t started_wall_us;
	_Atomic uint64_t watch_beat_us; /* monotonic: watch, twice a second; old = watch is not looking */
	atomic_uint restarts[16];       /* supervisor: by row of the process table, deaths that nobody asked for */
	atomic_uint target_rows;        /* supervisor: rows of targets from here on were never used; reading them would cost memory */
	atomic_uint gate_rows;          /* the same for gates */
	atomic_uint certificate_count;  /* supervisor */
	uint8_t room[76];
	_Atomic uint64_t tickets; /* traffic: the last one that was drawn by someone who had to wait at a gate */
	uint8_t more_room[1848];
	_Atomic uint64_t lane_beat_us[BOARD_LANES_MOST]; /* monotonic: its traffic thread, twice a second; old = it stands still */
	struct board_database databases[BOARD_DATABASES_MOST];
	struct board_server servers[BOARD_SERVERS_MOST];
	struct board_target targets[BOARD_TARGETS_MOST];
	struct board_lane lanes[BOARD_LANES_MOST];
	struct board_gate gates[BOARD_GATES_MOST];
	struct board_site sites[BOARD_SITES_MOST];
	struct board_certificate certificates[BOARD_CERTIFICATES_MOST];
};

/* Counts for a traffic thread. */
#define BOARD_COUNT(lane, counter, amount)                                                                                     \
	atomic_store_explicit(&(lane)->counter, atomic_load_explicit(&(lane)->counter, memory_order_relaxed) + (uint64_t)(amount), \
	                      memory_order_relaxed)

/* A new board in a memory file (sealed against resizing): *descriptor is the caller's, to hand to children. NULL with errno. */
struct board *board_new(unsigned lane_count, int *descriptor) MUST_CHECK;
/* Maps one that was handed over, perhaps by another program version. NULL when it is not a board, has another BOARD_VERSION, or
 * is shorter than this program needs. */
struct board *board_map(int descriptor) MUST_CHECK;
void board_unmap(struct board *board);

/* Supervisor: lanes up to this one (not included) are given to traffic threads. They are only ever more. */
void board_lanes_use(struct board *board, unsigned lane_count);
/* The traffic thread of this lane is gone, or a new one begins there: what its predecessor had open is not open any more, and its
 * slots and places in the queues of gates go to others. Totals go on. Called by the supervisor when a traffic process has ended
 * (at once: others wait for its slots) and by a traffic thread that starts. */
void board_lane_ended(struct board *board, unsigned index);
void board_lane_restart(struct board *board, const struct board_lane *lane);

/* Supervisor: gives each check and database of the snapshot its row before the snapshot is handed out; rows that no snapshot of
 * the two newest generations names are free again when room is needed. A row that the generation before did not name starts as
 * HEALTH_UNKNOWN, whatever was known of it long ago. But when that generation named the same address and service with another
 * check, and it was up, the row starts as HEALTH_UP, never checked yet (checked_wall_us is 0): a reload that changes what is
 * checked does not empty a site; the first check decides. False: more rows than the board has. */
bool board_reserve(struct board *board, const struct cluster *cluster) MUST_CHECK;
/* Supervisor: what was reserved does not come into force (or not all could be): only the rows that `in_force` names stay. */
void board_reserve_undo(struct board *board, const struct cluster *in_force);

/* The row of a target or database; NULL / -1 when the board has none (a snapshot that was not reserved). */
int board_target_row(const struct board *board, const struct cluster_check *check, const struct address *address) MUST_CHECK;
struct board_database *board_find_database(struct board *board, const char *name) MUST_CHECK;
struct board_server *board_find_server(struct board *board, const char *name) MUST_CHECK;
struct board_gate *board_find_gate(struct board *board, const struct address *address) MUST_CHECK; /* NULL: it has no cap */

/* The row of a site; -1: none. */
int board_site_row(const struct board *board, const char *name) MUST_CHECK;
/* For board_reserve (site.c). False: no room. */
bool board_site_reserve(struct board *board, const char *name, uint64_t generation) MUST_CHECK;

/* Supervisor: visitors of this site are told until then (monotonic; BOARD_FOR_EVER; 0: not any more) that it is in maintenance.
 * False when the board has no row of this name. */
#define BOARD_FOR_EVER UINT64_MAX
bool board_site_maintain(struct board *board, const char *name, uint64_t until_us) MUST_CHECK;
bool board_site_is_in_maintenance(const struct board_site *site, uint64_t now_us);

/* Supervisor: certificate number `index`; then how many there are. What is beyond BOARD_CERTIFICATES_MOST is left out. */
void board_certificate_write(struct board *board, unsigned index, const char *what, uint64_t not_after_s);
void board_certificates_end(struct board *board, unsigned count);

/* Supervisor: what an administrator says of a server; false when the board has no row of this name. */
bool board_server_drain(struct board *board, const char *name, bool drained) MUST_CHECK;
bool board_server_weigh(struct board *board, const char *name, unsigned percent) MUST_CHECK; /* at most BOARD_WEIGHT_MOST */

/* May traffic be sent there now: up, and not avoided. */
bool board_target_usable(const struct board_target *target, uint64_t now_us);
/* Traffic: a connection to it worked / failed. After `fall` failures in a row the target is avoided for `every_ms`. */
void board_target_worked(struct board_target *target);
void board_target_failed(struct board_target *target, const struct cluster_check *check, uint64_t now_us);
/* Sums over the lanes. */
uint64_t board_sum(const struct board *board, unsigned counter_index);
void board_site_sum(const struct board *board, int row, struct board_site_lane *sum);
int64_t board_target_active(const struct board *board, int row);
uint64_t board_target_served(const struct board *board, int row);

/* ---- how much a group of servers can carry (headroom.c) ---------------------------------------------------------- */

/* Where a group's servers stand on the board: good as long as the snapshot is in force for which it was found. */
struct board_group {
	uint32_t hash; /* of its targets' keys, never 0 */
	uint32_t count;
	int rows[CLUSTER_APPS_MOST];                       /* of targets, as group->apps; -1: none */
	const struct board_gate *gates[CLUSTER_APPS_MOST]; /* NULL: no cap */
};
void board_group_find(struct board *board, const struct cluster_group *group, struct board_group *found);
/* Requests and connections under way to its servers now, or in line; where servers are capped, those of other groups that share
 * their addresses too. */
unsigned board_group_under_way(const struct board *board, const struct board_group *group);
/* Where its peak is kept; NULL: nowhere. With `claim` (watch) a free place is taken. */
struct board_peak *board_group_peak(struct board *board, const struct board_group *group, bool claim);

struct board_headroom {
	bool known;           /* all of its servers in use have a cap; otherwise only `peak` is set */
	unsigned peak;        /* the most under way in the last BOARD_PEAK_MINUTES */
	unsigned capacity;    /* what its servers that are up and in use may have together */
	unsigned without_one; /* and the rest of them if `loss` were lost; UINT_MAX: without a cap */
	uint32_t loss;        /* the server whose loss costs most, index into servers; CLUSTER_NO_SERVER: the file has only one */
};
/* The loss of one server would overload the rest: peak > without_one, with a known loss. */
bool board_headroom_look(struct board *board, const struct cluster *cluster, const struct cluster_group *group,
                         struct board_headroom *headroom);

/* ---- gates (gate.c) ------------------------------------------------------------------------------------------- */

/* Lanes that have something to look at: they were granted a slot, or should give up an idle connection. The caller tells those of
 * its own process; those of another one look by themselves every BOARD_GATE_LOOK_MS while they wait or keep idle connections. */
#define BOARD_GATE_LOOK_MS 50
struct board_lanes {
	uint64_t bits[BOARD_LANES_MOST / 64];
};

/* `lane` is the caller's own in all of these. */

/* The next number; never 0. */
uint64_t board_gate_ticket(struct board *board);
/* A slot, if one is free and nobody waits. */
bool board_gate_try(const struct board *board, struct board_gate *gate, unsigned lane) MUST_CHECK;
/* Stands in the queue where the ticket belongs. False: queue_most wait already. */
bool board_gate_queue(const struct board *board, struct board_gate *gate, unsigned lane, uint64_t ticket, unsigned queue_most,
                      struct board_lanes *lanes) MUST_CHECK;
/* Leaves the queue; a slot that was granted meanwhile goes to the next. Harmless when it does not stand there. */
void board_gate_leave(const struct board *board, struct board_gate *gate, unsigned lane, uint64_t ticket,
                      struct board_lanes *lanes);
/* The tickets of this lane that were granted a slot, at most `most`: they are off the queue, and the slots are the lane's. */
unsigned board_gate_collect(const struct board *board, struct board_gate *gate, unsigned lane, uint64_t *tickets,
                            unsigned most) MUST_CHECK;
/* One slot of the lane becomes free. */
void board_gate_release(const struct board *board, struct board_gate *gate, unsigned lane, struct board_lanes *lanes);
/* A slot of the lane, connection and all, goes to the next waiter if that one is of the same lane: its ticket, off the queue.
 * 0: it is not, or nobody waits, or there are more slots in use than may be. */
uint64_t board_gate_hand_over(const struct board *board, struct board_gate *gate, unsigned lane) MUST_CHECK;
/* How many wait and have no slot yet, as of now (no lock is taken). */
unsigned board_gate_waiting(const struct board_gate *gate);
/* How many idle connections the lane keeps. Look afterwards whether somebody waits (board_gate_waiting). */
void board_gate_note_idle(struct board_gate *gate, unsigned lane, unsigned count);
/* Supervisor, or a traffic thread that begins in this lane: what its predecessor had is free. */
void board_gate_forget(const struct board *board, struct board_gate *gate, unsigned lane);

#endif
