/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys_group: the rows that sites, routes and TCP services have in common (struct cluster_group, cluster_limits, cluster_access,
 * cluster_answers, cluster_static), written once.
 *
 * `prefix` is the path of what has the group, `s` its struct, `m` the member; `whose` says whose defaults hold where a key is
 * not written: OWN (those that stand here), or OF_SITE: a route takes them from its site (load_value.c copies them before the
 * route is read). Included by keys_table.c only.
 */
#ifndef NOAH_CLUSTER_KEYS_GROUP_H
#define NOAH_CLUSTER_KEYS_GROUP_H

#include "cluster/keys.h"

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

/* The default as it would be written; the same with words for the reference; words alone. */
#define OWN_STANDARD(text)            .standard = text
#define OWN_STANDARD_SAID(text, say)  .standard = text, .otherwise = say
#define OWN_OTHERWISE(say)            .otherwise = say
#define OF_SITE_STANDARD(text)        .otherwise = "as its site says"
#define OF_SITE_STANDARD_SAID(t, say) .otherwise = "as its site says"
#define OF_SITE_OTHERWISE(say)        .otherwise = "as its site says"

#define DURATION_ROW(p, s, m, low, high, default_, words, sample)                                                          \
	{                                                                                                                      \
		.path = p, .type = KEY_DURATION, IN(s, m), .least = low, .most = high, default_, .about = words, .example = sample \
	}
#define NUMBER_ROW(p, s, m, low, high, default_, words, sample)                                                          \
	{                                                                                                                    \
		.path = p, .type = KEY_NUMBER, IN(s, m), .least = low, .most = high, default_, .about = words, .example = sample \
	}
#define SECTION_ROW(p, default_, words, sample)                                     \
	{                                                                               \
		.path = p, .type = KEY_SECTION, default_, .about = words, .example = sample \
	}

/* Servers as SERVER:PORT, or as a map with a weight and so on. */
#define APP_ROWS(list, s, m, usual_port)                                               \
	{.path = list "[]", .type = KEY_APP, ELEMENT(s, m), .port = usual_port},           \
	    {.path = list "[].server",                                                     \
	     .type = KEY_APP_SERVER,                                                       \
	     .required = true,                                                             \
	     .offset = 0,                                                                  \
	     .size = sizeof(struct cluster_app),                                           \
	     .port = usual_port,                                                           \
	     .about = "SERVER:PORT.",                                                      \
	     .example = "web2:8080"},                                                      \
	    NUMBER_ROW(list "[].weight", cluster_app, weight, 1, 1000, OWN_STANDARD("1"),  \
	               "One with weight 2 gets twice as much as one with weight 1.", "2"), \
	    {.path = list "[].backup",                                                     \
	     .type = KEY_BOOL,                                                             \
	     IN(cluster_app, backup),                                                      \
	     .standard = "false",                                                          \
	     .about = "`true`: used only while none of the others is usable.",             \
	     .example = "true"},                                                           \
	    NUMBER_ROW(list "[].connections", cluster_app, connections_most, 1, 100000,    \
	               OWN_OTHERWISE("`connections` beside the list"), "The most connections to this one at the same time.", "10")

#define BALANCE_ROWS(prefix, s, m, whose, hashes, hash_about, hash_sample)                                                 \
	{.path = prefix ".balance",                                                                                            \
	 .type = KEY_CHOICE,                                                                                                   \
	 IN(s, m.balance),                                                                                                     \
	 .words = balances,                                                                                                    \
	 whose##_STANDARD("round-robin"),                                                                                      \
	 .about = "How one is chosen: each in turn, the one with the fewest under way for its weight, the quicker one of two " \
	          "drawn by lot, or always the same for the same visitor or thing (`hash`).",                                  \
	 .example = "least-connections"},                                                                                      \
	{                                                                                                                      \
		.path = prefix ".hash", .type = KEY_HASH, .offset = offsetof(struct s, m), .size = sizeof(MEMBER(s, m)),           \
		.words = hashes, whose##_OTHERWISE("`address` with `balance: hash`"), .about = hash_about, .example = hash_sample  \
	}

/* The keys that all checks have in common. */
#define CHECK_TIMING(prefix, s, m, whose, every_default)                                                      \
	DURATION_ROW(prefix ".every", s, m.every_ms, 10, HOUR, whose##_STANDARD(every_default),                   \
	             "Time from the beginning of one check to the beginning of the next.", "5s"),                 \
	    DURATION_ROW(prefix ".timeout", s, m.timeout_ms, 10, HOUR,                                            \
	                 whose##_STANDARD_SAID("1s", "`1s`, or `every` when that is shorter"),                    \
	                 "A check that takes longer has failed; not longer than `every`.", "500ms"),              \
	    NUMBER_ROW(prefix ".rise", s, m.rise, 1, 100, whose##_STANDARD("2"),                                  \
	               "So many checks in a row must succeed before a server that was down is used again.", "3"), \
	    NUMBER_ROW(prefix ".fall", s, m.fall, 1, 100, whose##_STANDARD("3"),                                  \
	               "So many checks in a row must fail before a server counts as down.", "2")

#define CHECK_TCP_ROW(prefix, s, m, whose, default_)                                         \
	{                                                                                        \
		.path = prefix ".tcp", .type = KEY_CHECK_TCP, IN(s, m), whose##_OTHERWISE(default_), \
		.about = "The check only opens a connection and closes it.", .example = "true"       \
	}

/* A check of a web server. */
#define CHECK_HTTP_ROWS(prefix, s, m, whose)                                                                \
	SECTION_ROW(prefix, whose##_OTHERWISE("`{ tcp: true }`"), "How noah finds out whether an app works.",   \
	            "{ get: /servercheck.txt, every: 2s }"),                                                    \
	    {.path = prefix ".get",                                                                             \
	     .type = KEY_CHECK_GET,                                                                             \
	     IN(s, m),                                                                                          \
	     whose##_OTHERWISE("none: the check only connects"),                                                \
	     .about = "The check is a GET request for this path.",                                              \
	     .example = "/servercheck.txt"},                                                                    \
	    CHECK_TCP_ROW(prefix, s, m, whose, "`true` without `get`"),                                         \
	    {.path = prefix ".status",                                                                          \
	     .type = KEY_STATUS,                                                                                \
	     .offset = offsetof(struct s, m.status_least),                                                      \
	     .size = 2 * sizeof(uint16_t),                                                                      \
	     whose##_STANDARD("200-399"),                                                                       \
	     .about = "The answer codes with which the check succeeds, one code or a range; needs `get`.",      \
	     .example = "200"},                                                                                 \
	    {.path = prefix ".md5",                                                                             \
	     .type = KEY_CHECK_DIGEST,                                                                          \
	     IN(s, m),                                                                                          \
	     .least = DIGEST_MD5,                                                                               \
	     .most = 16,                                                                                        \
	     .otherwise = "the body is not looked at",                                                          \
	     .about = "The check succeeds only when the whole body has this MD5 (`md5sum FILE`); needs `get`.", \
	     .example = "d41d8cd98f00b204e9800998ecf8427e"},                                                    \
	    {.path = prefix ".sha256",                                                                          \
	     .type = KEY_CHECK_DIGEST,                                                                          \
	     IN(s, m),                                                                                          \
	     .least = DIGEST_SHA256,                                                                            \
	     .most = 32,                                                                                        \
	     .otherwise = "the body is not looked at",                                                          \
	     .about = "The same with SHA-256 (`sha256sum FILE`); one of the two.",                              \
	     .example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},                    \
	    {.path = prefix ".host",                                                                            \
	     .type = KEY_HOST,                                                                                  \
	     IN(s, m.host),                                                                                     \
	     whose##_OTHERWISE("the site's own name"),                                                          \
	     .about = "The Host header of the check's request; needs `get`.",                                   \
	     .example = "www.example.com"},                                                                     \
	    CHECK_TIMING(prefix, s, m, whose, "2s")

/* How many connections each gets, who waits how long for one, and how a server that comes up begins. */
#define LOAD_ROWS(prefix, s, m, whose)                                                                                          \
	NUMBER_ROW(prefix ".connections", s, m.connections_most, 0, 100000, whose##_STANDARD_SAID("0", "`0`: no limit"),            \
	           "The most connections to each of them at the same time, from all threads of this noah; the rest waits in line.", \
	           "10"),                                                                                                           \
	    SECTION_ROW(prefix ".queue", whose##_OTHERWISE("as below"), "The line in which they wait; only with `connections`.",    \
	                "{ length: 500, timeout: 10s }"),                                                                           \
	    NUMBER_ROW(prefix ".queue.length", s, m.queue_most, 0, CLUSTER_QUEUE_MOST, whose##_STANDARD("1024"),                    \
	               "So many may wait for one server; who comes then is refused at once (503).", "500"),                         \
	    DURATION_ROW(prefix ".queue.timeout", s, m.queue_timeout_ms, 10, HOUR, whose##_STANDARD("30s"),                         \
	                 "Who has waited so long is refused (503).", "10s"),                                                        \
	    DURATION_ROW(prefix ".slow_start", s, m.slow_start_ms, 0, HOUR, whose##_STANDARD_SAID("0", "`0`: at once"),             \
	                 "A server that came up again gets little at first, and its full share after this time.", "30s")

#define STICKY_ROW(prefix, s, m, whose)                                                                                      \
	{                                                                                                                        \
		.path = prefix ".sticky", .type = KEY_TOKEN, IN(s, m.sticky), whose##_OTHERWISE("none"),                             \
		.about = "The name of a cookie by which noah keeps a visitor on the same app while it is up.", .example = "noah_app" \
	}

/* What one request may take. */
#define LIMIT_ROWS(prefix, s, group, limits, whose, sample)                                                                      \
	SECTION_ROW(prefix ".timeouts", whose##_OTHERWISE("as below"), "How long noah waits before it gives up.", sample),           \
	    DURATION_ROW(prefix ".timeouts.connect", s, group.connect_timeout_ms, 10, 2 * MINUTE, whose##_STANDARD("2s"),            \
	                 "For the connection to an app; another one is tried then.", "1s"),                                          \
	    DURATION_ROW(prefix ".timeouts.answer", s, limits.answer_timeout_ms, 100, DAY, whose##_STANDARD("60s"),                  \
	                 "For the beginning of an app's answer, and between two pieces of it.", "5m"),                               \
	    DURATION_ROW(prefix ".timeouts.request", s, limits.request_timeout_ms, 100, HOUR, whose##_STANDARD("30s"),               \
	                 "Between two pieces of a visitor's request.", "10s"),                                                       \
	    {.path = prefix ".body",                                                                                                 \
	     .type = KEY_SIZE,                                                                                                       \
	     IN(s, limits.body_most_bytes),                                                                                          \
	     .most = 1ull << 50,                                                                                                     \
	     whose##_STANDARD("64m"),                                                                                                \
	     .about = "The largest body of a request (an upload); a larger one is answered with 413. `0`: no limit.",                \
	     .example = "1g"},                                                                                                       \
	    {.path = prefix ".minimum_rate",                                                                                         \
	     .type = KEY_SIZE,                                                                                                       \
	     IN(s, limits.rate_least),                                                                                               \
	     .most = 1u << 30,                                                                                                       \
	     whose##_STANDARD("500"),                                                                                                \
	     .about = "Bytes a second: a visitor who sends his request, or takes his answer, more slowly for longer than 10 "        \
	              "seconds is cut "                                                                                              \
	              "off. Only the time counts in which noah waits for him. `0`: none.",                                           \
	     .example = "2k"},                                                                                                       \
	    SECTION_ROW(prefix ".buffer", whose##_OTHERWISE("as below"),                                                             \
	                "How much noah holds for a slow visitor, so that no app waits for him.", "{ request: 8m, answer: 2m }"),     \
	    {.path = prefix ".buffer.request",                                                                                       \
	     .type = KEY_SIZE,                                                                                                       \
	     IN(s, limits.request_buffer_bytes),                                                                                     \
	     .most = 64u << 20,                                                                                                      \
	     whose##_STANDARD("1m"),                                                                                                 \
	     .about =                                                                                                                \
	         "So much of a request's body is awaited before an app gets the request; what is longer flows through. `0`: none.",  \
	     .example = "8m"},                                                                                                       \
	    {.path = prefix ".buffer.answer",                                                                                        \
	     .type = KEY_SIZE,                                                                                                       \
	     IN(s, limits.answer_buffer_bytes),                                                                                      \
	     .most = 64u << 20,                                                                                                      \
	     whose##_STANDARD("1m"),                                                                                                 \
	     .about = "So much of an answer is taken from its app while its visitor is slow. `0`: none.",                            \
	     .example = "2m"},                                                                                                       \
	{                                                                                                                            \
		.path = prefix ".requests", .type = KEY_RATE, IN(s, limits.requests), .words = rates, whose##_STANDARD("none"),          \
		.about =                                                                                                                 \
		    "The most requests from one address (IPv6: from one /64) in a time; more are answered with 429, and the address is " \
		    "banned as `visitors.ban` says. Counted for itself wherever it is written. `none`: no limit.",                       \
		.example = "5/1m"                                                                                                        \
	}

/* Who is let in. */
#define ACCESS_ROWS(prefix, s, m, whose)                                                                                       \
	{.path = prefix ".allow",                                                                                                  \
	 .type = KEY_LIST,                                                                                                         \
	 .least = 1,                                                                                                               \
	 MANY(s, m.allow.list, m.allow.count),                                                                                     \
	 whose##_OTHERWISE("everybody"),                                                                                           \
	 .about = "Only these visitors are let in; others get 403. Networks, addresses, or servers of the file.",                  \
	 .example = "[10.0.0.0/8, '2001:db8::/32', web1]"},                                                                        \
	    {.path = prefix ".allow[]", .type = KEY_NETWORK, ELEMENT(s, m.allow.list)},                                            \
	    {.path = prefix ".deny",                                                                                               \
	     .type = KEY_LIST,                                                                                                     \
	     .least = 1,                                                                                                           \
	     MANY(s, m.deny.list, m.deny.count),                                                                                   \
	     whose##_OTHERWISE("nobody"),                                                                                          \
	     .about = "These visitors are not let in, even if `allow` has them; they get 403.",                                    \
	     .example = "[192.0.2.7, 198.51.100.0/24]"},                                                                           \
	    {.path = prefix ".deny[]", .type = KEY_NETWORK, ELEMENT(s, m.deny.list)},                                              \
	    {.path = prefix ".users",                                                                                              \
	     .type = KEY_FILE,                                                                                                     \
	     IN(s, m.users_file),                                                                                                  \
	     .words = no_users,                                                                                                    \
	     whose##_OTHERWISE("none: nobody is asked"),                                                                           \
	     .about =                                                                                                              \
	         "Visitors must give a name and password (Basic authentication) that is in this file, as `htpasswd -B FILE NAME` " \
	         "writes it; at most 64 KB, read when noah starts and at each reload.",                                            \
	     .example = "/etc/noah/staging.users"},                                                                                \
	{                                                                                                                          \
		.path = prefix ".realm", .type = KEY_REALM, IN(s, m.realm), whose##_OTHERWISE("the site's name"),                      \
		.about = "What the password is for; browsers may show it when they ask.", .example = "Staging"                         \
	}

/* What becomes of answers on their way out. */
#define ANSWER_ROWS(prefix, s, m, whose)                                                                                         \
	{.path = prefix ".compress",                                                                                                 \
	 .type = KEY_CHOICE,                                                                                                         \
	 IN(s, m.compress),                                                                                                          \
	 .words = compressions,                                                                                                      \
	 whose##_STANDARD("safe"),                                                                                                   \
	 .about = "Whether texts are compressed for visitors who can read that (zstd, brotli, gzip). `safe` leaves answers alone "   \
	          "that set "                                                                                                        \
	          "cookies, because the length of a compressed answer may betray what is secret in it; `all` does not.",             \
	 .example = "all"},                                                                                                          \
	    {.path = prefix ".hide_versions",                                                                                        \
	     .type = KEY_BOOL,                                                                                                       \
	     IN(s, m.hide_versions),                                                                                                 \
	     whose##_STANDARD("true"),                                                                                               \
	     .about = "`true`: what the apps say about themselves (Server, X-Powered-By, X-AspNet-Version, X-AspNetMvc-Version) is " \
	              "left out.",                                                                                                   \
	     .example = "false"},                                                                                                    \
	{                                                                                                                            \
		.path = prefix ".expires", .type = KEY_DURATION, IN(s, m.expires_s), .most = 3650 * DAY, .unit_ms = 1000,                \
		.words = expiries, whose##_STANDARD("none"),                                                                             \
		.about =                                                                                                                 \
		    "Browsers may keep answers to GET for this time, where the answer does not say itself how long (Cache-Control: "     \
		    "max-age). By type: in a route with `types`.",                                                                       \
		.example = "30d"                                                                                                         \
	}

/* Files that noah serves itself. */
#define STATIC_ROWS(prefix, s, m, without)                                                                                       \
	SECTION_ROW(prefix, .otherwise = without, "Files that noah sends itself; what is not among them is asked of the apps.",      \
	            "{ root: /var/www/example.com }"),                                                                               \
	    {.path = prefix ".root",                                                                                                 \
	     .type = KEY_FILE,                                                                                                       \
	     .required = true,                                                                                                       \
	     IN(s, m.root),                                                                                                          \
	     .about = "The directory of the files. A request's whole path is looked up below it, and nothing outside it is ever "    \
	              "sent; nor "                                                                                                   \
	              "are files whose names begin with a dot.",                                                                     \
	     .example = "/var/www/example.com"},                                                                                     \
	    {.path = prefix ".match",                                                                                                \
	     .type = KEY_LIST,                                                                                                       \
	     .least = 1,                                                                                                             \
	     MANY(s, m.match, m.match_count),                                                                                        \
	     .otherwise = "every type that noah knows",                                                                              \
	     .about = "The endings of the files that are sent, without the dot. Programs and settings (php, cgi, py, sql, conf, "    \
	              "bak, …) are "                                                                                               \
	              "never sent.",                                                                                                 \
	     .example = "[jpg, png, css, js]"},                                                                                      \
	    {.path = prefix ".match[]", .type = KEY_FILE_TYPE, ELEMENT(s, m.match)},                                                 \
	    {.path = prefix ".index",                                                                                                \
	     .type = KEY_LIST,                                                                                                       \
	     .least = 1,                                                                                                             \
	     MANY(s, m.index, m.index_count),                                                                                        \
	     .otherwise = "`index.html`",                                                                                            \
	     .about = "The file that stands for its directory; the first one that is there.",                                        \
	     .example = "[index.html, index.htm]"},                                                                                  \
	    {.path = prefix ".index[]", .type = KEY_FILE_NAME, ELEMENT(s, m.index)},                                                 \
	{                                                                                                                            \
		.path = prefix ".try", .type = KEY_TRY, .offset = offsetof(struct s, m), .size = sizeof(struct cluster_static),          \
		.most = CLUSTER_APPS_MOST, .words = tries, .port = 80, .otherwise = "`apps` if there are some, otherwise `none`",        \
		.about = "Who is asked for what is not here: the apps, nobody (404), or these web servers, one after another until one " \
		         "has it.",                                                                                                      \
		.example = "[web1:8080, web2:8080]"                                                                                      \
	}

#endif
