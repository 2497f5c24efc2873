/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cluster: the cluster file and what it becomes: one flat, validated, immutable snapshot.
 *
 * The snapshot is plain data without pointers, so that it can be handed between processes as a sealed memory file and mapped
 * where it lies. The supervisor and the commands load files; the other processes only map. One table of keys (keys_table.c) makes
 * the parser, the schema, the reference in docs/ and the words of a difference.
 */
#ifndef NOAH_CLUSTER_H
#define NOAH_CLUSTER_H

#include "base/base.h"

#include <stdio.h>

#define CLUSTER_MAGIC   0x4e4f4148u
#define CLUSTER_VERSION 4u /* layout; a process refuses a snapshot of another one */

/* Bounds of the grammar; going past one is an error that names it. */
#define CLUSTER_NAME_SIZE         64u
#define CLUSTER_HOST_SIZE         256u
#define CLUSTER_PATH_SIZE         256u
#define CLUSTER_SERVERS_MOST      32u
#define CLUSTER_SITES_MOST        64u
#define CLUSTER_SITE_NAMES_MOST   32u
#define CLUSTER_LISTEN_MOST       16u
#define CLUSTER_APPS_MOST         32u
#define CLUSTER_DATABASES_MOST    16u
#define CLUSTER_ROUTES_MOST       32u /* of one site */
#define CLUSTER_ROUTE_TYPES_MOST  32u
#define CLUSTER_TYPE_SIZE         16u
#define CLUSTER_CERTIFICATES_MOST 4u /* of one site */
#define CLUSTER_SERVICES_MOST     32u
#define CLUSTER_URL_SIZE          512u
#define CLUSTER_PAGES_MOST        64u
#define CLUSTER_PAGE_MOST_BYTES   65536u
#define CLUSTER_NETWORKS_MOST     64u /* of one list */
#define CLUSTER_INDEXES_MOST      4u
#define CLUSTER_USER_NAME_MOST    255u  /* bytes, in a file of users */
#define CLUSTER_QUEUE_MOST        1024u /* requests that may wait for one server */
#define CLUSTER_TARGETS_MOST      512u  /* different checked addresses; the board has room for those of two generations */

enum cluster_check_kind { CHECK_TCP, CHECK_HTTP, CHECK_MYSQL };
enum cluster_digest { DIGEST_NONE, DIGEST_MD5, DIGEST_SHA256 };

/* How one thing is found healthy. Two targets with equal checks and equal addresses share one state on the board. */
struct cluster_check {
	uint8_t kind;   /* enum cluster_check_kind */
	uint8_t digest; /* enum cluster_digest: of the whole body */
	uint8_t digest_bytes[32];
	uint16_t status_least, status_most; /* HTTP: accepted answer codes, 200 to 399 by default */
	uint16_t rise, fall;
	uint32_t every_ms, timeout_ms;
	char path[CLUSTER_PATH_SIZE]; /* HTTP GET */
	char host[CLUSTER_HOST_SIZE]; /* HTTP Host */
};

struct cluster_server {
	char name[CLUSTER_NAME_SIZE];
	struct address address;
	struct address public_address; /* family ADDRESS_NONE when it has none */
};

struct cluster_app {
	uint16_t server;           /* index into servers */
	uint16_t weight;           /* 1 to 1000 */
	uint8_t backup;            /* used only while none of the others is usable */
	uint8_t cap_of_group;      /* connections_most is what its group says for all */
	uint32_t connections_most; /* to this address, all cores and program generations together; 0: no cap */
	struct address address;    /* with port */
};

enum cluster_balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONNECTIONS, BALANCE_LEAST_LATENCY, BALANCE_HASH };
enum cluster_hash { HASH_ADDRESS, HASH_PATH, HASH_HEADER, HASH_COOKIE };

/* Servers that do the same work, how it is found out whether they work, and how one is chosen. A site has one, a route and a TCP
 * service may have their own. */
struct cluster_group {
	uint32_t app_count;
	struct cluster_app apps[CLUSTER_APPS_MOST];
	uint8_t balance;                   /* enum cluster_balance */
	uint8_t hash;                      /* enum cluster_hash, of BALANCE_HASH */
	char hash_name[CLUSTER_NAME_SIZE]; /* of the header or cookie */
	char sticky[CLUSTER_NAME_SIZE];    /* name of the cookie that keeps a visitor on his server; "": none */
	struct cluster_check check;
	uint32_t connect_timeout_ms;
	uint32_t connections_most; /* the apps' own ones count; this one is theirs where they have none (cap_of_group) */
	uint32_t slow_start_ms;    /* a server that came up gets its full share only after this time; 0: at once */
	uint32_t queue_most;       /* how many may wait for a server whose connections are all in use */
	uint32_t queue_timeout_ms; /* and how long */
};

/* A network: all addresses whose first `prefix` bits are these. */
struct cluster_network {
	uint8_t family;    /* ADDRESS_IPV4 or ADDRESS_IPV6; an IPv4 address in an IPv6 one (::ffff:0:0/96) counts as IPv4 */
	uint8_t prefix;    /* 0 to 32 or 128 */
	uint8_t bytes[16]; /* of IPv4 the first four; bits behind the prefix are 0 */
};
struct cluster_networks {
	uint32_t count;
	struct cluster_network list[CLUSTER_NETWORKS_MOST];
};

/* So many in so long; most 0: no limit. */
struct cluster_rate {
	uint32_t most;
	uint32_t period_ms;
};

/* What one request may cost. */
struct cluster_limits {
	uint32_t answer_timeout_ms;    /* between two pieces of an app's answer */
	uint32_t request_timeout_ms;   /* between two pieces of a visitor's request */
	uint64_t body_most_bytes;      /* of a request; 0: no limit */
	uint32_t rate_least;           /* bytes a second that a visitor must send of his request, or take of his answer; 0: none */
	uint32_t request_buffer_bytes; /* so much of a body is awaited before a server gets the request; 0: none */
	uint32_t answer_buffer_bytes;  /* so much of an answer is taken from its server while its visitor is slow; 0: none */
	struct cluster_rate requests;  /* from one address; counted by itself for each site and route that says it */
	uint8_t requests_own;          /* of a route: it says `requests` itself; otherwise they count with those of its site */
};

/* Who is let in. */
struct cluster_access {
	struct cluster_networks allow;      /* when there are some, only they */
	struct cluster_networks deny;       /* not they */
	char users_file[CLUSTER_PATH_SIZE]; /* names and hashed passwords (htpasswd); "": nobody is asked */
	uint32_t users;                     /* 1 + index into pages: what was in the file; 0: nobody is asked */
	char realm[CLUSTER_NAME_SIZE];      /* what the browser shows when it asks */
};

enum cluster_compress { COMPRESS_NONE, COMPRESS_SAFE, COMPRESS_ALL };
#define CLUSTER_NO_EXPIRY UINT32_MAX

/* What becomes of answers on their way out. */
struct cluster_answers {
	uint8_t compress;      /* enum cluster_compress: SAFE leaves those alone that set cookies */
	uint8_t hide_versions; /* a server's Server and X-Powered-By are left out */
	uint32_t expires_s;    /* for GET's answers that do not say it themselves; CLUSTER_NO_EXPIRY: nothing is said */
};

/* Files that noah serves itself. */
enum cluster_missing { MISSING_APPS, MISSING_NOT_FOUND, MISSING_TRY };
struct cluster_static {
	char root[CLUSTER_PATH_SIZE];                            /* absolute; "": no files */
	uint32_t match_count;                                    /* 0: every type that noah knows */
	char match[CLUSTER_ROUTE_TYPES_MOST][CLUSTER_TYPE_SIZE]; /* as types of a route */
	uint32_t index_count;                                    /* at least one, if there is a root */
	char index[CLUSTER_INDEXES_MOST][CLUSTER_NAME_SIZE];     /* names of files that stand for their directory */
	uint8_t missing;                                         /* enum cluster_missing: who is asked for what is not here */
	struct cluster_group servers;                            /* of MISSING_TRY: one after another until one has it */
};

struct cluster_listen {
	struct address address; /* wildcard [::] when only a port or a word was given */
	uint8_t tls;
};

/* One certificate of a site: a chain and its key in PEM files (the same file when `key` is ""). */
struct cluster_certificate {
	char chain[CLUSTER_PATH_SIZE];
	char key[CLUSTER_PATH_SIZE];
	char ocsp[CLUSTER_PATH_SIZE]; /* DER response to staple, if the file is there; "": none */
	uint8_t self_signed;          /* noah makes one; the paths are "" */
};

/* What is different for some of a site's paths. The first route that matches counts. */
struct cluster_route {
	char path[CLUSTER_PATH_SIZE]; /* prefix, "" = any; "/api" matches /api and /api/…, "/api/" only the latter */
	uint32_t type_count;          /* 0 = any */
	char types[CLUSTER_ROUTE_TYPES_MOST][CLUSTER_TYPE_SIZE]; /* "jpg": the path's last part ends in ".jpg", in any case */
	char redirect[CLUSTER_URL_SIZE]; /* "" = none; an URL or a path; ends in '/': what followed the prefix is appended */
	uint16_t redirect_status;        /* 301, 302, 307, 308 */
	struct cluster_group group;      /* app_count 0: the site's; what it does not say is as the site says */
	struct cluster_limits limits;    /* as the site says, where it does not */
	struct cluster_access access;    /* the same; allow, deny and users each as a whole */
	struct cluster_answers answers;  /* the same */
	struct cluster_static files;     /* the site's, as a whole, where it says neither `static` nor `apps` */
};

/* Pages of a site's own for answers of noah's own. */
#define CLUSTER_ERROR_PAGES(X)                       \
	X(ERROR_PAGE_403, "403", "refused")              \
	X(ERROR_PAGE_404, "404", "not found")            \
	X(ERROR_PAGE_429, "429", "too many requests")    \
	X(ERROR_PAGE_50X, "50x", "no server can answer") \
	X(ERROR_PAGE_MAINTENANCE, "maintenance", "an administrator has said so")
enum cluster_error_page {
#define X(name, key, when) name,
	CLUSTER_ERROR_PAGES(X)
#undef X
	    ERROR_PAGE_COUNT
};

struct cluster_site {
	char name[CLUSTER_NAME_SIZE]; /* the key under `sites`; also its first name */
	uint32_t name_count;
	char names[CLUSTER_SITE_NAMES_MOST][CLUSTER_HOST_SIZE]; /* lower case, with `name` first; "*.example.com"; "*" */
	uint32_t listen_count;
	struct cluster_listen listen[CLUSTER_LISTEN_MOST];
	uint64_t on; /* bit for each server that runs the front of this site */
	struct cluster_group group;
	struct cluster_limits limits;
	struct cluster_access access;
	struct cluster_answers answers;
	struct cluster_static files;
	uint32_t error_pages[ERROR_PAGE_COUNT]; /* 1 + index into pages; 0: noah's own */
	char error_page_files[ERROR_PAGE_COUNT][CLUSTER_PATH_SIZE];
	uint32_t idle_timeout_ms; /* keep-alive between requests; tunnels */
	uint32_t certificate_count;
	struct cluster_certificate certificates[CLUSTER_CERTIFICATES_MOST];
	uint8_t redirect_to_https;         /* plain listeners only redirect */
	uint8_t tls_least;                 /* 12 or 13: TLS 1.2 or 1.3 */
	uint32_t hsts_s;                   /* 0: none */
	char canonical[CLUSTER_HOST_SIZE]; /* the name to which its other names redirect; "": none */
	uint8_t server_timing;
	uint32_t page; /* 1 + index into pages: what no route takes is answered with it, there are no apps; 0: none */
	char page_file[CLUSTER_PATH_SIZE];
	uint32_t route_count;
	struct cluster_route routes[CLUSTER_ROUTES_MOST];
};

/* A TCP service: connections are passed on as they are. */
struct cluster_service {
	char name[CLUSTER_NAME_SIZE];
	uint32_t listen_count;
	struct address listen[CLUSTER_LISTEN_MOST];
	uint64_t on;
	struct cluster_group group;
	uint8_t proxy_protocol; /* sent to the servers: 0 none, 1, 2 */
	uint32_t idle_timeout_ms;
	uint32_t connections_most; /* on each server that listens */
};

/* A small file that was read with the cluster file. */
struct cluster_page {
	uint32_t size;
	char bytes[CLUSTER_PAGE_MOST_BYTES];
};

enum cluster_stale { STALE_REFUSE, STALE_ALLOW };

struct cluster_database {
	char name[CLUSTER_NAME_SIZE];
	uint32_t server_count;
	struct cluster_app servers[CLUSTER_SERVERS_MOST]; /* with port, 3306 by default */
	uint32_t listen_count;
	struct address listen[CLUSTER_LISTEN_MOST]; /* TCP and Unix sockets */
	uint64_t on;                                /* bit for each server that listens */
	char user[CLUSTER_NAME_SIZE * 2];
	char password[256]; /* read from password_file by the supervisor; never printed */
	char password_file[CLUSTER_PATH_SIZE];
	struct cluster_check check; /* CHECK_MYSQL */
	uint32_t connect_timeout_ms;
	uint32_t idle_timeout_ms; /* a session without a statement */
	uint32_t fresh_wait_ms;   /* how long a read waits for a replica to catch up before the primary answers it */
	uint8_t stale_reads;      /* enum cluster_stale: reads while the primary cannot be asked */
	uint32_t sessions_most;   /* on each server that listens */
};

enum cluster_log_to { LOG_TO_NOTHING, LOG_TO_FILE, LOG_TO_SYSLOG, LOG_TO_JOURNAL };
enum cluster_log_format { LOG_FORMAT_COMBINED, LOG_FORMAT_JSON };
struct cluster_log {
	uint8_t access_to;                   /* enum cluster_log_to */
	uint8_t format;                      /* enum cluster_log_format */
	char access_file[CLUSTER_PATH_SIZE]; /* of LOG_TO_FILE */
};

/* Metrics for Prometheus. */
struct cluster_admin {
	uint32_t listen_count;
	struct address listen[CLUSTER_LISTEN_MOST];
};

/* What one address may ask of all sites together, on each server that noah runs on. */
struct cluster_visitors {
	struct cluster_rate requests;
	uint32_t connections_most;      /* at the same time; 0: no limit */
	uint32_t ban_ms;                /* who asks too often gets 403 for so long; 0: only 429 while it is too often */
	struct cluster_networks exempt; /* never limited */
};

/* Proxies in front of noah, whose word about the visitor is taken. */
enum cluster_told_by { TOLD_BY_FORWARDED_FOR, TOLD_BY_PROXY_PROTOCOL };
struct cluster_front_ends {
	struct cluster_networks from; /* none: there are none */
	uint8_t told_by;              /* enum cluster_told_by */
	uint8_t only;                 /* nobody else is answered */
};

struct cluster {
	uint32_t magic;
	uint32_t version;
	uint64_t generation; /* set by the supervisor; 0 until then */
	char name[CLUSTER_NAME_SIZE];
	uint32_t self; /* index of this machine's server, CLUSTER_NO_SERVER until cluster_find_self */
	uint32_t server_count;
	struct cluster_server servers[CLUSTER_SERVERS_MOST];
	uint32_t site_count;
	struct cluster_site sites[CLUSTER_SITES_MOST];
	uint32_t database_count;
	struct cluster_database databases[CLUSTER_DATABASES_MOST];
	uint32_t service_count;
	struct cluster_service services[CLUSTER_SERVICES_MOST];
	struct cluster_log log;
	struct cluster_admin admin;
	struct cluster_visitors visitors;
	struct cluster_front_ends front_ends;
	uint32_t page_count;
	struct cluster_page pages[CLUSTER_PAGES_MOST];
};
#define CLUSTER_NO_SERVER UINT32_MAX

static inline bool cluster_is_on(uint64_t on, uint32_t server)
{
	return server < CLUSTER_SERVERS_MOST && (on >> server & 1) != 0;
}

/* Goes through every group that has servers of its own: of the sites, then of their routes, of the services. Begin with a walk of
 * zeroes; false at the end. */
struct cluster_walk {
	const struct cluster_group *group;
	const char *name;                  /* of the site or service */
	uint64_t on;                       /* servers that send requests to the group */
	const struct cluster_site *site;   /* NULL: a service's */
	const struct cluster_route *route; /* NULL: the site's own */
	const struct cluster_service *service;
	const struct cluster_static *files; /* the servers that are tried for what is missing among these; NULL: another group */
	uint32_t next;                      /* private */
};
bool cluster_walk_groups(const struct cluster *cluster, struct cluster_walk *walk) MUST_CHECK;

/* Requests from one address are limited: of all sites together, of a site, or of one of its routes. */
bool cluster_limits_requests(const struct cluster *cluster) MUST_CHECK;

/* Whether server number `server` opens this listener of a site or database with this `on`. Not when the address belongs to
 * another server: `listen: [10.0.0.11:80, 10.0.0.12:80]` on two servers means each its own. */
bool cluster_listens_on(const struct cluster *cluster, uint64_t on, const struct address *listen, uint32_t server);

/* ---- loading -------------------------------------------------------------------------------------------------- */

/* One line each: "FILE:LINE:COLUMN: key.path: what is wrong; what was probably meant". Bounded; owned by the caller, no memory
 * behind it. */
#define CLUSTER_MESSAGES_MOST 20u
struct cluster_messages {
	unsigned count; /* kept */
	unsigned left_out;
	char text[CLUSTER_MESSAGES_MOST][512];
	unsigned line[CLUSTER_MESSAGES_MOST], column[CLUSTER_MESSAGES_MOST]; /* of each; 0: the whole file */
};

/* How much of the world outside the file is looked at. */
enum cluster_depth {
	CLUSTER_FILE_ONLY, /* the files that it names are not opened: no passwords, empty pages */
	CLUSTER_WHOLE,
};

/* Reads, parses and validates. Returns a snapshot (anonymous shared memory, free with cluster_free) or NULL with at least one
 * message; all errors of the file are gathered, not only the first. */
struct cluster *cluster_load(const char *file, enum cluster_depth depth, struct cluster_messages *messages) MUST_CHECK;
/* The same from memory; `file` is what the messages call it. For tests and fuzzing. */
struct cluster *cluster_load_text(const char *file, struct span text, enum cluster_depth depth,
                                  struct cluster_messages *messages) MUST_CHECK;
void cluster_free(const struct cluster *cluster);

/* What is allowed in a good file, and is hardly meant, or does not work on this machine (cluster->self, if it is known): each
 * begins with "warning: ". Looks at the directories that the file names. */
void cluster_warn(const struct cluster *cluster, struct cluster_messages *warnings);

/* Finds which server this machine is: `wanted` when given, otherwise the one whose address or public address is on an interface.
 * Sets cluster->self. False with a message: unknown name, none found, more than one found. */
bool cluster_find_self(struct cluster *cluster, const char *wanted, struct cluster_messages *messages) MUST_CHECK;

/* ---- handing between processes -------------------------------------------------------------------------------- */

/* A sealed memory file (F_SEAL_WRITE, GROW, SHRINK, SEAL) with the snapshot; the caller owns the descriptor. -errno when the
 * kernel refuses. */
int cluster_seal(const struct cluster *cluster) MUST_CHECK;
/* Maps one read-only and checks seals, size, magic and version. The descriptor may be closed afterwards. NULL when it is not a
 * snapshot of this version. cluster_free unmaps. */
const struct cluster *cluster_map(int descriptor) MUST_CHECK;

/* ---- words ---------------------------------------------------------------------------------------------------- */

/* What changed from one snapshot to the other, a line each ("sites.example.com.apps: web3:8080 added"), to `out`. Returns the
 * number of lines. */
unsigned cluster_print_difference(const struct cluster *before, const struct cluster *after, FILE *out);
/* What each server would do, in sentences (`noah plan`). */
void cluster_print_plan(const struct cluster *cluster, FILE *out);
/* The JSON Schema (2020-12) of the file; the reference table of docs/cluster-file.md in Markdown. */
void cluster_print_schema(FILE *out);
void cluster_print_reference(FILE *out);

/* ---- durations ------------------------------------------------------------------------------------------------ */

/* "1500ms", "90s", "30m", "1d", as everywhere in the file: milliseconds. False: it is none. */
bool cluster_duration_parse(struct span text, uint64_t *ms) MUST_CHECK;
/* The same back, in the largest unit that leaves a whole number. Returns out. */
#define CLUSTER_DURATION_SIZE 24u
const char *cluster_duration_format(uint64_t ms, char out[CLUSTER_DURATION_SIZE]);

/* ---- networks ------------------------------------------------------------------------------------------------- */

/* Whether one of the networks has the address. An IPv4 address in an IPv6 one (::ffff:a.b.c.d) counts as IPv4; a Unix socket is
 * in no network. Cheap: compares at most 16 bytes for each network. Any thread. */
bool cluster_networks_contain(const struct cluster_networks *networks, const struct address *address) MUST_CHECK;

/* ---- types of files ------------------------------------------------------------------------------------------- */

/* Whether files that end so ("php", without the dot, in any case) are programs, settings or leftovers of them, which nobody wants
 * to show to the world: never sent, whatever the file says. */
bool cluster_is_private_type(struct span type) MUST_CHECK;
/* Whether `match` names files that end so; without `match` it names all of them. */
bool cluster_match_has(const struct cluster_static *files, struct span type) MUST_CHECK;

/* ---- identity ------------------------------------------------------------------------------------------------- */

/* The key under which a checked address stands on the board: same check and same address, same key, in every generation.
 * "http:GET example.com/servercheck.txt [200-399] 192.168.0.11:8080". Always fits; longer ones end in a stable hash. */
#define CLUSTER_TARGET_KEY_SIZE 128u
const char *cluster_target_key(const struct cluster_check *check, const struct address *address,
                               char out[CLUSTER_TARGET_KEY_SIZE]);

#endif
