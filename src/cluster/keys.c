/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys: the table. See keys.h. Rows stand in the order in which they are loaded: what others refer to comes first.
 */
#include "cluster/keys.h"

#include <stdio.h>

#define SECOND       1000ull
#define MINUTE       (60 * SECOND)
#define HOUR         (60 * MINUTE)
#define DAY          (24 * HOUR)
#define MEMBER(s, m) ((struct s *)0)->m
/* A single value in struct cluster_S. */
#define IN(s, m) .offset = offsetof(struct s, m), .size = sizeof(MEMBER(s, m))
/* An array of structs or texts with its count; never longer than the array. */
#define MANY(s, m, count)                                                                                             \
	.offset = offsetof(struct s, m), .count_offset = offsetof(struct s, count), .item_size = sizeof(MEMBER(s, m)[0]), \
	.most = COUNT_OF(MEMBER(s, m))
/* An element of a list: it lies at the beginning of its place in the array. */
#define ELEMENT(s, m) .offset = 0, .size = sizeof(MEMBER(s, m)[0])

static const struct key_word balances[] = {
    {"round-robin", BALANCE_ROUND_ROBIN},
    {"least-connections", BALANCE_LEAST_CONNECTIONS},
    {NULL, 0},
};
static const struct key_word stale_words[] = {
    {"allow", STALE_ALLOW},
    {"refuse", STALE_REFUSE},
    {NULL, 0},
};

/* The keys that checks of sites and of databases have in common. */
#define CHECK_TIMING(prefix, s, m, every_default)                                                                  \
	{.path = prefix ".every",                                                                                    \
	 .type = KEY_DURATION,                                                                                       \
	 IN(s, m.every_ms),                                                                                      \
	 .least = 10,                                                                                                \
	 .most = HOUR,                                                                                               \
	 .standard = every_default,                                                                                  \
	 .about = "Time from the beginning of one check to the beginning of the next.",                              \
	 .example = "5s"},                                                                                           \
	    {.path = prefix ".timeout",                                                                              \
	     .type = KEY_DURATION,                                                                                   \
	     IN(s, m.timeout_ms),                                                                                \
	     .least = 10,                                                                                            \
	     .most = HOUR,                                                                                           \
	     .standard = "1s",                                                                                       \
	     .otherwise = "`1s`, or `every` when that is shorter",                                                   \
	     .about = "A check that takes longer has failed; not longer than `every`.",                              \
	     .example = "500ms"},                                                                                    \
	    {.path = prefix ".rise",                                                                                 \
	     .type = KEY_NUMBER,                                                                                     \
	     IN(s, m.rise),                                                                                      \
	     .least = 1,                                                                                             \
	     .most = 100,                                                                                            \
	     .standard = "2",                                                                                        \
	     .about = "So many checks in a row must succeed before a server that was down is used again.",           \
	     .example = "3"},                                                                                        \
	{                                                                                                            \
		.path = prefix ".fall", .type = KEY_NUMBER, IN(s, m.fall), .least = 1, .most = 100, .standard = "3", \
		.about = "So many checks in a row must fail before a server counts as down.", .example = "2"             \
	}

#define DURATION(p, s, m, low, high, usual, words, sample)                                                        \
	{                                                                                                             \
		.path = p, .type = KEY_DURATION, IN(s, m), .least = low, .most = high, .standard = usual, .about = words, \
		.example = sample                                                                                         \
	}

const struct key keys[] = {
    {.path = "cluster",
     .type = KEY_NAME,
     .required = true,
     IN(cluster, name),
     .about = "The name of the whole, used in logs and messages.",
     .example = "example.com"},

    {.path = "servers",
     .type = KEY_NAMED_MAP,
     .required = true,
     .least = 1,
     MANY(cluster, servers, server_count),
     .about = "Every machine of the cluster under a name of your choice; the other keys refer to these names.",
     .example = "{ web1: { address: 192.168.0.11 } }"},
    {.path = "servers.*.address",
     .type = KEY_IP,
     .required = true,
     IN(cluster_server, address),
     .about = "The address at which the other servers reach it; noah also recognizes by it which server it runs on.",
     .example = "192.168.0.11"},
    {.path = "servers.*.public",
     .type = KEY_IP,
     IN(cluster_server, public_address),
     .otherwise = "none: visitors do not come to this server",
     .about =
         "The address at which visitors reach it; sites are served by the servers that have one. May be the same as `address`.",
     .example = "172.16.0.11"},

    {.path = "sites",
     .type = KEY_HOST_MAP,
     .least = 1,
     MANY(cluster, sites, site_count),
     .otherwise = "none: then there must be `databases`",
     .about = "The web sites, each under its host name.",
     .example = "{ example.com: { apps: [web1:8080, web2:8080] } }"},
    {.path = "sites.*.names",
     .type = KEY_LIST,
     .least = 1,
     MANY(cluster_site, names, name_count),
     .otherwise = "only the site's own name",
     .about =
         "Further host names of the site; `'*'` (in quotes) makes it the default site for every name that no other site has.",
     .example = "[www.example.com, '*']"},
    {.path = "sites.*.names[]", .type = KEY_HOST, ELEMENT(cluster_site, names)},
    {.path = "sites.*.on",
     .type = KEY_LIST,
     .least = 1,
     .most = CLUSTER_SERVERS_MOST,
     IN(cluster_site, on),
     .otherwise = "the servers with a `public` address; if none has one, all servers",
     .about = "The servers on which noah listens for visitors of this site.",
     .example = "[web1, web2]"},
    {.path = "sites.*.on[]", .type = KEY_ON, .size = sizeof(uint64_t)},
    {.path = "sites.*.listen",
     .type = KEY_LIST,
     .least = 1,
     MANY(cluster_site, listen, listen_count),
     .standard = "http",
     .about = "Where noah listens: `http` (port 80) or PORT on every address of the server, IPv4 and IPv6, or ADDRESS:PORT.",
     .example = "[http, 192.168.0.10:8080]"},
    {.path = "sites.*.listen[]", .type = KEY_LISTEN_HTTP, ELEMENT(cluster_site, listen)},
    {.path = "sites.*.apps",
     .type = KEY_LIST,
     .required = true,
     .least = 1,
     MANY(cluster_site, group.apps, group.app_count),
     .about = "The web servers that run the site, each as SERVER:PORT (port 80 when left out) or as a map with a weight.",
     .example = "[web1:8080, { server: web2:8080, weight: 2 }]"},
    {.path = "sites.*.apps[]", .type = KEY_APP, ELEMENT(cluster_site, group.apps), .port = 80},
    {.path = "sites.*.apps[].server",
     .type = KEY_APP_SERVER,
     .required = true,
     .offset = 0,
     .size = sizeof(struct cluster_app),
     .port = 80,
     .about = "SERVER:PORT of the app.",
     .example = "web2:8080"},
    {.path = "sites.*.apps[].weight",
     .type = KEY_NUMBER,
     IN(cluster_app, weight),
     .least = 1,
     .most = 1000,
     .standard = "1",
     .about = "An app with weight 2 gets twice as many requests as one with weight 1.",
     .example = "2"},
    {.path = "sites.*.balance",
     .type = KEY_CHOICE,
     IN(cluster_site, group.balance),
     .words = balances,
     .standard = "round-robin",
     .about = "How an app is chosen for a request: each in turn, or the one with the fewest requests under way for its weight.",
     .example = "least-connections"},
    {.path = "sites.*.check",
     .type = KEY_SECTION,
     .otherwise = "`{ tcp: true }`",
     .about = "How noah finds out whether an app works.",
     .example = "{ get: /servercheck.txt, every: 2s }"},
    {.path = "sites.*.check.get",
     .type = KEY_CHECK_GET,
     IN(cluster_site, group.check),
     .otherwise = "none: the check only connects",
     .about = "The check is a GET request for this path.",
     .example = "/servercheck.txt"},
    {.path = "sites.*.check.tcp",
     .type = KEY_CHECK_TCP,
     IN(cluster_site, group.check),
     .otherwise = "`true` without `get`",
     .about = "The check only opens a connection and closes it; not together with `get`.",
     .example = "true"},
    {.path = "sites.*.check.status",
     .type = KEY_STATUS,
     .offset = offsetof(struct cluster_site, group.check.status_least),
     .size = 2 * sizeof(uint16_t),
     .standard = "200-399",
     .about = "The answer codes with which the check succeeds, one code or a range; needs `get`.",
     .example = "200"},
    {.path = "sites.*.check.md5",
     .type = KEY_CHECK_DIGEST,
     IN(cluster_site, group.check),
     .least = DIGEST_MD5,
     .most = 16,
     .otherwise = "the body is not looked at",
     .about = "The check succeeds only when the whole body has this MD5 (`md5sum FILE`); needs `get`.",
     .example = "d41d8cd98f00b204e9800998ecf8427e"},
    {.path = "sites.*.check.sha256",
     .type = KEY_CHECK_DIGEST,
     IN(cluster_site, group.check),
     .least = DIGEST_SHA256,
     .most = 32,
     .otherwise = "the body is not looked at",
     .about = "The same with SHA-256 (`sha256sum FILE`); one of the two.",
     .example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {.path = "sites.*.check.host",
     .type = KEY_HOST,
     IN(cluster_site, group.check.host),
     .otherwise = "the site's own name",
     .about = "The Host header of the check's request; needs `get`.",
     .example = "www.example.com"},
    CHECK_TIMING("sites.*.check", cluster_site, group.check, "2s"),
    {.path = "sites.*.timeouts",
     .type = KEY_SECTION,
     .otherwise = "as below",
     .about = "How long noah waits before it gives up.",
     .example = "{ connect: 1s, answer: 5m }"},
    DURATION("sites.*.timeouts.connect", cluster_site, group.connect_timeout_ms, 10, MINUTE, "2s",
             "For the connection to an app; another one is tried then.", "1s"),
    DURATION("sites.*.timeouts.answer", cluster_site, limits.answer_timeout_ms, 100, DAY, "60s",
             "For the beginning of an app's answer, and between two pieces of it.", "5m"),
    DURATION("sites.*.timeouts.request", cluster_site, limits.request_timeout_ms, 100, HOUR, "30s",
             "Between two pieces of a visitor's request.", "10s"),
    DURATION("sites.*.timeouts.idle", cluster_site, idle_timeout_ms, 100, DAY, "75s",
             "For the next request on a visitor's connection that is kept open.", "15s"),
    {.path = "sites.*.body",
     .type = KEY_SIZE,
     IN(cluster_site, limits.body_most_bytes),
     .most = 1ull << 50,
     .standard = "64m",
     .about = "The largest body of a request (an upload); a larger one is answered with 413. `0`: no limit.",
     .example = "1g"},

    {.path = "databases",
     .type = KEY_NAMED_MAP,
     .least = 1,
     MANY(cluster, databases, database_count),
     .otherwise = "none: then there must be `sites`",
     .about = "The groups of database servers that replicate from each other, each under a name of your choice.",
     .example = "{ main: { servers: [db1, db2], account: { user: noah, password_file: /etc/noah/main.password } } }"},
    {.path = "databases.*.servers",
     .type = KEY_LIST,
     .required = true,
     .least = 1,
     MANY(cluster_database, servers, server_count),
     .about = "The database servers as SERVER or SERVER:PORT (3306 when left out), in any order: who is primary is discovered.",
     .example = "[db1, db2:3307]"},
    {.path = "databases.*.servers[]", .type = KEY_APP_SERVER, ELEMENT(cluster_database, servers), .port = 3306},
    {.path = "databases.*.on",
     .type = KEY_LIST,
     .least = 1,
     .most = CLUSTER_SERVERS_MOST,
     IN(cluster_database, on),
     .otherwise = "the servers that run an app of a site; without sites, all servers",
     .about = "The servers on which noah listens for programs that use this database.",
     .example = "[web1, web2]"},
    {.path = "databases.*.on[]", .type = KEY_ON, .size = sizeof(uint64_t)},
    {.path = "databases.*.listen",
     .type = KEY_LIST,
     .least = 1,
     MANY(cluster_database, listen, listen_count),
     .standard = "127.0.0.1:3306",
     .about = "Where noah listens: ADDRESS:PORT, PORT on every address of the server, or the path of a Unix socket.",
     .example = "[127.0.0.1:3306, /run/noah/main.sock]"},
    {.path = "databases.*.listen[]", .type = KEY_LISTEN_DATABASE, ELEMENT(cluster_database, listen)},
    {.path = "databases.*.account",
     .type = KEY_SECTION,
     .required = true,
     .about = "noah's own account on the database servers; what it must be granted stands below.",
     .example = "{ user: noah, password_file: /etc/noah/main.password }"},
    {.path = "databases.*.account.user",
     .type = KEY_TEXT,
     .required = true,
     IN(cluster_database, user),
     .about = "Its name.",
     .example = "noah"},
    {.path = "databases.*.account.password_file",
     .type = KEY_FILE,
     .required = true,
     IN(cluster_database, password_file),
     .about = "The file that holds its password and nothing else; readable by root, not by everybody (`chmod 640`).",
     .example = "/etc/noah/main.password"},
    {.path = "databases.*.check",
     .type = KEY_SECTION,
     .otherwise = "as below",
     .about = "How often noah logs in to each database server and asks whether it is primary or replica, and how far it is.",
     .example = "{ every: 500ms, timeout: 500ms }"},
    CHECK_TIMING("databases.*.check", cluster_database, check, "1s"),
    {.path = "databases.*.timeouts",
     .type = KEY_SECTION,
     .otherwise = "as below",
     .about = "How long noah waits before it gives up.",
     .example = "{ connect: 1s, idle: 1h }"},
    DURATION("databases.*.timeouts.connect", cluster_database, connect_timeout_ms, 10, MINUTE, "2s",
             "For the connection and login to a database server.", "1s"),
    DURATION("databases.*.timeouts.idle", cluster_database, idle_timeout_ms, SECOND, 7 * DAY, "8h",
             "For the next statement of a session; it is closed then.", "1h"),
    DURATION("databases.*.fresh_wait", cluster_database, fresh_wait_ms, 0, 10 * SECOND, "20ms",
             "How long a read waits for a replica that has not yet all acknowledged writes; the primary answers it then.",
             "100ms"),
    {.path = "databases.*.stale_reads",
     .type = KEY_CHOICE,
     IN(cluster_database, stale_reads),
     .words = stale_words,
     .standard = "allow",
     .about =
         "Reads while the primary cannot be asked what was written: a replica answers them as far as it is, or they are refused.",
     .example = "refuse"},
    {.path = "databases.*.sessions",
     .type = KEY_NUMBER,
     IN(cluster_database, sessions_most),
     .least = 1,
     .most = 100000,
     .standard = "10000",
     .about = "The most sessions of programs at the same time, on each server where noah listens.",
     .example = "500"},

    {.path = "log",
     .type = KEY_SECTION,
     .otherwise = "as below",
     .about = "What noah writes down.",
     .example = "{ access: /var/log/noah/access.log }"},
    {.path = "log.access",
     .type = KEY_FILE,
     IN(cluster, log.access_file),
     .otherwise = "no access log",
     .about = "The file for one line about each request of a visitor.",
     .example = "/var/log/noah/access.log"},
};
const unsigned key_count = COUNT_OF(keys);

const struct key *key_find(const char *path)
{
	for (unsigned i = 0; i < key_count; i++)
		if (strcmp(keys[i].path, path) == 0)
			return &keys[i];
	return NULL;
}

const struct key *key_next_child(const char *parent, const struct key *previous)
{
	size_t size = strlen(parent);
	for (const struct key *key = previous == NULL ? keys : previous + 1; key < keys + key_count; key++) {
		const char *rest = key->path;
		if (size > 0) {
			if (strncmp(rest, parent, size) != 0 || rest[size] != '.')
				continue;
			rest += size + 1;
		}
		if (strpbrk(rest, ".[") == NULL)
			return key;
	}
	return NULL;
}

const char *key_word_of(const struct key *key)
{
	const char *dot = strrchr(key->path, '.');
	return dot == NULL ? key->path : dot + 1;
}

const char *key_inside(const struct key *key, char out[KEY_PATH_SIZE])
{
	bool is_map = key->type == KEY_NAMED_MAP || key->type == KEY_HOST_MAP;
	snprintf(out, KEY_PATH_SIZE, "%s%s", key->path, is_map ? ".*" : key->type == KEY_LIST ? "[]" : "");
	return out;
}

const struct key *key_element(const struct key *list)
{
	char path[KEY_PATH_SIZE];
	const struct key *element = key_find(key_inside(list, path));
	ASSERT(element != NULL);
	return element;
}
