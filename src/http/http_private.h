/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of http/ share with one another and with nobody else.
 */
#ifndef NOAH_HTTP_PRIVATE_H
#define NOAH_HTTP_PRIVATE_H

#include "files/files.h"
#include "http/http.h"
#include "http/spool.h"
#include "net/net.h"
#include "proto/http.h"
#include "upstream/upstream.h"

/* ---- bounds and fixed times ------------------------------------------------------------------------------------- */

#define HTTP_INTERIM_MOST     16u   /* 1xx answers before the final one */
#define HTTP_VIA_MOST         16u   /* proxies that a request may have passed: 508 */
#define HTTP_LISTENERS_MOST   1024u /* addresses on which connections were ever accepted */
#define HTTP_LINGER_MS        2000  /* how long a connection that is closed after an error may take to read why */
#define HTTP_FIRST_REQUEST_MS 30000 /* the timeouts of requests and of idling, where no site is known that has one */
#define HTTP_DOWN_SLICE_MS    250   /* how often a request that waits for its first byte looks whether its server has died */
#define HTTP_ROUNDS_AT_ONCE   16u   /* buffers relayed, or requests answered, before other connections have their turn */
#define HTTP_OWN_PAGE_MS      5000  /* for each wait while a page of noah's own is sent */
#define HTTP_DETAIL_SIZE      512u
#define HTTP_REFERENCE_SIZE   9u   /* "7KQ4-M2XN" */
#define HTTP_DRAIN_SILENCE_MS 2000 /* while noah is being stopped, silence ends a tunnel after this time */

/* ---- how a request can end -------------------------------------------------------------------------------------- */

enum http_culprit {
	BY_NOBODY,
	BY_VISITOR,
	BY_SERVER, /* these two are failures: written to noah's log too */
	BY_NOAH,
};

/* name; word in the access log (`end=`); status of noah's own answer when none has begun (0: none is given); whose doing. An
 * answer that has begun and cannot be finished ends with its connection. */
#define HTTP_OUTCOMES(X)                                                                                              \
	X(OUTCOME_OK, "ok", 0, BY_NOBODY)                         /* the visitor has the server's whole answer */         \
	X(OUTCOME_NOTHING, "nothing", 0, BY_NOBODY)               /* no request came: not logged */                       \
	X(OUTCOME_ANSWERED_HERE, "answered-here", 200, BY_NOBODY) /* OPTIONS with Max-Forwards: 0 */                      \
	X(OUTCOME_PAGE, "page", 200, BY_NOBODY)                   /* the site's static page */                            \
	X(OUTCOME_REDIRECTED, "redirected", 301, BY_NOBODY)       /* redirect_status says which */                        \
	X(OUTCOME_BAD_REQUEST, "bad-request", 400, BY_VISITOR)    /* the parser's fault says which status */              \
	X(OUTCOME_REFUSED_METHOD, "refused-method", 405, BY_VISITOR)                                                      \
	X(OUTCOME_UNKNOWN_SITE, "unknown-site", 421, BY_VISITOR)                                                          \
	X(OUTCOME_MISDIRECTED, "misdirected", 421, BY_VISITOR) /* not on this TLS connection */                           \
	X(OUTCOME_BODY_TOO_LARGE, "body-too-large", 413, BY_VISITOR)                                                      \
	X(OUTCOME_BAD_BODY, "bad-body", 400, BY_VISITOR)                                                                  \
	X(OUTCOME_REQUEST_TIMEOUT, "request-timeout", 408, BY_VISITOR)                                                    \
	X(OUTCOME_REQUEST_CUT, "request-cut", 0, BY_VISITOR)         /* the visitor left in the middle of his request */  \
	X(OUTCOME_VISITOR_GONE, "visitor-gone", 0, BY_VISITOR)       /* … before he had his answer */                   \
	X(OUTCOME_VISITOR_STALLED, "visitor-stalled", 0, BY_VISITOR) /* … or took no byte of it for the idle timeout */ \
	X(OUTCOME_LOOP, "loop", 508, BY_NOAH)                        /* too many Via */                                   \
	X(OUTCOME_NO_SERVER, "no-server", 503, BY_SERVER)            /* none is usable */                                 \
	X(OUTCOME_QUEUE_FULL, "queue-full", 503, BY_SERVER)          /* all connections are in use, and too many wait */  \
	X(OUTCOME_QUEUE_TIMEOUT, "queue-timeout", 503, BY_SERVER)    /* … and none became free in time */               \
	X(OUTCOME_CONNECT_FAILED, "connect-failed", 503, BY_SERVER)                                                       \
	X(OUTCOME_SERVER_CLOSED, "server-closed", 502, BY_SERVER) /* without an answer */                                 \
	X(OUTCOME_SERVER_DOWN, "server-down", 504, BY_SERVER)     /* checks found it dead while the request waited */     \
	X(OUTCOME_ANSWER_TIMEOUT, "answer-timeout", 504, BY_SERVER)                                                       \
	X(OUTCOME_BAD_ANSWER, "bad-answer", 502, BY_SERVER)                                                               \
	X(OUTCOME_ANSWER_CUT, "answer-cut", 502, BY_SERVER)            /* the server left in the middle of its answer */  \
	X(OUTCOME_ANSWER_STALLED, "answer-stalled", 504, BY_SERVER)    /* or fell silent */                               \
	X(OUTCOME_NO_RESOURCES, "no-resources", 503, BY_NOAH)          /* memory or descriptors */                        \
	X(OUTCOME_STOPPING, "stopping", 503, BY_NOAH)                  /* noah is being stopped and cannot wait */        \
	X(OUTCOME_TUNNEL, "tunnel", 0, BY_NOBODY)                      /* after 101: both sides have ended in order */    \
	X(OUTCOME_TUNNEL_IDLE, "tunnel-idle", 0, BY_NOBODY)            /* … nothing moved for the idle timeout */       \
	X(OUTCOME_TUNNEL_STOPPED, "tunnel-stopped", 0, BY_NOBODY)      /* … noah was stopped */                         \
	X(OUTCOME_TUNNEL_CUT, "tunnel-cut", 0, BY_SERVER)              /* … the server broke off */                     \
	X(OUTCOME_MAINTENANCE, "maintenance", 503, BY_NOBODY)          /* an administrator has said so */                 \
	X(OUTCOME_REFUSED_ADDRESS, "refused-address", 403, BY_VISITOR) /* not from where he comes */ \
	X(OUTCOME_TOO_MANY, "too-many", 429, BY_VISITOR) /* too many requests from his address in some time */ \
	X(OUTCOME_BANNED, "banned", 403, BY_VISITOR)     /* … some time ago */ \
	X(OUTCOME_FILE, "file", 0, BY_NOBODY) /* the visitor has a file, or was told what he asked about it */ \
	X(OUTCOME_NOT_FOUND, "not-found", 404, BY_VISITOR) /* there is no such file, and nobody else to ask */ \
	X(OUTCOME_FILE_FAILED, "file-failed", 503, BY_NOAH) /* a file could not be read, or was cut while it was sent */ \
	X(OUTCOME_UNAUTHORIZED, "unauthorized", 401, BY_VISITOR) /* no name, no such name, or not its password */ \
	X(OUTCOME_TOO_MANY_PASSWORDS, "too-many-passwords", 429, BY_VISITOR) /* of his address wait to be looked at */ \
	X(OUTCOME_PASSWORDS_BUSY, "passwords-busy", 503, BY_NOAH) /* … of everybody */ \
	X(OUTCOME_REQUEST_SLOW, "request-slow", 408, BY_VISITOR) /* his body came slower than the least rate */ \
	X(OUTCOME_VISITOR_SLOW, "visitor-slow", 0, BY_VISITOR) /* he took his answer slower than that */

enum http_outcome {
#define X(name, text, status, culprit) name,
	HTTP_OUTCOMES(X)
#undef X
};
const char *http_outcome_text(enum http_outcome outcome);

/* ---- the core ------------------------------------------------------------------------------------------------- */

struct http_log;
struct http_routes;

#define HTTP_CORE_MAGIC 0x68636f72u
struct http_core {
	uint32_t magic;
	bool draining; /* answers say "Connection: close", and nothing is pooled */
	bool ending;   /* and who has nothing under way is disconnected */
	struct loop *loop;
	struct board_lane *lane;
	struct upstream_core upstream;
	const struct tls_core *tls; /* NULL: no TLS listener yet */
	struct http_routes *routes; /* in force; NULL before the first http_core_use */
	struct guard *guard;        /* NULL: the file in force limits nothing that addresses do */
	struct guard *guard_table;  /* NULL: there is none */
	unsigned guard_lane;
	unsigned refused_count; /* connections that are being told why */
	struct http_log *log;
	struct list clients;
	struct list upgrades;  /* visitors' connections that have become tunnels */
	unsigned client_count; /* both */
	unsigned listener_count;
	struct address *listeners; /* those that a connection ever came from */
	struct http_date date;
	uint64_t wall_offset_us, wall_offset_second; /* wall clock less loop clock, looked up once a second */
	struct files_core *files;
	struct http_compressors *compressors;        /* compress.h; NULL before the first compressed answer */
	struct http_auth *auth;                      /* auth.h; NULL before the first password */
};

/* The wall clock as of this turn of the loop. */
uint64_t http_core_wall_us(struct http_core *core);

/* ---- a visitor's connection (connection.c) ----------------------------------------------------------------------- */

#define HTTP_ADDRESS_TEXT_SIZE 46u /* an IPv6 address and its zero */

/* Where a visitor is. Two are the same when ip and family are; without pointers, to be copied as it is. (origin.c) */
struct http_origin {
	uint8_t ip[16]; /* network order, IPv4 as ::ffff:a.b.c.d; all zero when it has none (a Unix socket) */
	uint8_t family; /* enum address_family */
	uint8_t text_size;
	char text[HTTP_ADDRESS_TEXT_SIZE]; /* without port, zero-terminated */
};
void http_origin_set(struct http_origin *origin, const struct address *address);
/* A Unix socket is in no network. */
bool http_origin_is_in(const struct http_origin *origin, const struct cluster_networks *networks) MUST_CHECK;
/* As it came, without port: family ADDRESS_NONE when it has none that counts. */
void http_origin_address(const struct http_origin *origin, struct address *address);
static inline struct span http_origin_text(const struct http_origin *origin)
{
	return span_of(origin->text, origin->text_size);
}

/* All that an idle connection costs besides the socket. */
#define HTTP_CLIENT_MAGIC 0x68636c69u
struct http_client {
	uint32_t magic;
	uint16_t listener; /* index into core->listeners */
	bool parked;
	bool insecure;             /* the TLS handshake is still to come */
	bool unannounced;          /* a front end's PROXY header is still to come, before anything else */
	bool announced;            /* he comes through a front end that announces its visitors so */
	bool told_secure;          /* and says that he came to it with TLS */
	bool counted;              /* among his address's connections (guard.c) */
	bool refused;              /* he has too many, and is being told so */
	struct http_origin origin; /* his address, or what a front end told in a PROXY header */
	struct http_core *core;
	struct h2_connection *h2; /* h2.h; NULL: he speaks HTTP/1.1 */
	struct list link;         /* core->clients */
	size_t spool_bytes;       /* of memory that waits for him: spools of his requests and answers */
	struct stream stream;
};

/* ---- too much from one address (guard.c) -------------------------------------------------------------------------- */

/* core->routes have changed. */
void http_guard_use_routes(struct http_core *core);
/* A connection was accepted, client->origin and insecure are set: is it let in? If so it may be for http_guard_tell (refused). */
bool http_guard_accepts(struct http_client *client) MUST_CHECK;
/* Instead of waiting for his request: tells him that he has too many connections, and closes. */
void http_guard_tell(struct http_client *client);
/* His connection has ended, or never began. */
void http_guard_left(struct http_client *client);

/* ---- bodies (body.c) -------------------------------------------------------------------------------------------- */

/* One body on its way through. */
enum http_passing {
	PASS_PLAIN,   /* as it comes */
	PASS_CHUNKED, /* chunked to chunked: checked, without extensions and trailers */
	PASS_DECODED, /* chunked to plain: for HTTP/1.0 */
	PASS_WRAPPED, /* plain until close to chunked */
};

struct http_body {
	uint8_t passing;  /* enum http_passing */
	bool until_close; /* no length: its end is the connection's */
	bool done;
	uint64_t left;          /* of a known length */
	uint64_t content_bytes; /* so far */
	struct http_chunked chunked;
};

/* Of the bytes at hand: skip, then forward, then drop. */
struct http_step {
	size_t skip, forward, drop;
};

void http_body_init(struct http_body *body, enum http_passing passing, enum http_framing framing, uint64_t length);
/* The next step through `bytes` (not empty; the body is not done). False: *fault says what is wrong with the body. */
bool http_body_next(struct http_body *body, struct span bytes, struct http_step *step, enum http_fault *fault) MUST_CHECK;

/* ---- what an exchange does towards its visitor ------------------------------------------------------------------- */

struct http_exchange;

/* One table for HTTP/1.1 (visitor_http1.c) and one for HTTP/2 (h2_visitor.c); nothing else in an exchange knows what its visitor
 * speaks. Those that may wait do so for at most the site's idle timeout without progress. OUTCOME_OK, or why it cannot go on. */
struct http_visitor {
	struct span version; /* "1.1", "2.0": for Via (RFC 9110 7.6.3) and the log */
	/* A 1xx answer, which stands in exchange->response. Waits. */
	enum http_outcome (*send_interim)(struct http_exchange *exchange);
	/* Decides how the body of exchange->response goes on: sets download, delimited and keep. Does not wait. */
	void (*choose_framing)(struct http_exchange *exchange);
	/* The head of exchange->response with the fields of noah's own, and what has come of the body. `last`: that is all of it.
	 * `parts` may be modified. Waits until nothing of it is needed any more. */
	enum http_outcome (*send_head)(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last);
	/* More of the body; count may be 0 when it is the last. Waits in the same way. */
	enum http_outcome (*send_body)(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last);
	/* `size` bytes of a file, more of the body, sent by the kernel; *sent tells how many went. OUTCOME_FILE_FAILED: it has fewer.
	 * Not when he came with TLS. NULL: he cannot be sent to in this way. Waits. */
	enum http_outcome (*send_file)(struct http_exchange *exchange, int descriptor, uint64_t offset, size_t size, size_t *sent);
	/* An answer of noah's own: exchange->status, the fields of noah's own, the page (empty to HEAD). False: it could not be sent.
	 * Waits. */
	bool (*send_own)(struct http_exchange *exchange, struct span page, uint64_t length);
	/* 100 Continue, of noah's own. Waits. */
	enum http_outcome (*send_continue)(struct http_exchange *exchange);
	/* What was absorbed (absorb.c) and then these parts, which may be modified, go on as far as he takes them. What is left of the
	 * parts stands in *parts and *count; they must last until the next call, which begins with them or has them absorbed. `last`: the
	 * body ends behind them. Does not wait. */
	enum http_outcome (*give)(struct http_exchange *exchange, struct iovec **parts, unsigned *count, bool last);
	/* Some of what was absorbed, or the end behind it, has not gone to him yet. */
	bool (*is_behind)(const struct http_exchange *exchange);
	/* Bytes that he has taken since he was last asked about, of this answer or, when that waits for others on his connection, of
	 * all of it. */
	uint64_t (*taken)(struct http_exchange *exchange);
	/* Reads more of the request's body into exchange->input, which is empty, without waiting; NET_TIMEOUT: nothing is there now.
	 */
	enum net_result (*fill)(struct http_exchange *exchange);
	/* He has left without waiting for his answer. */
	bool (*is_gone)(struct http_exchange *exchange);
	/* Bytes of this request and its answer on his connection, so far. */
	void (*count_bytes)(const struct http_exchange *exchange, uint64_t *in, uint64_t *out);
};
extern const struct http_visitor http1_visitor;
/* What it means for an exchange that a write to its visitor's HTTP/1 connection ended so. (visitor_http1.c) */
enum http_outcome http1_outcome_of_write(enum net_result result) MUST_CHECK;

/* A field that noah adds to an answer's head, whoever made the answer. */
#define HTTP_OWN_FIELDS_MOST 16u
struct http_own_field {
	struct span name, value;
};

#define HTTP_BODY_PARTS 16u /* pieces of a body that are sent at once */

/* ---- one request and its answer ---------------------------------------------------------------------------------- */

struct http_exchange {
	struct http_core *core;
	struct http_client *client; /* his connection */
	const struct http_visitor *visitor;
	struct buffer *input;             /* what comes of the request's body; HTTP/1: the client's own input buffer */
	struct wait_queue *changed;       /* woken when `fill` or `is_gone` may say something new */
	struct wait_queue *room;    /* woken when `give` may get on */
	struct http_routes *routes;       /* its own reference */
	const struct http_origin *origin; /* the visitor's address: his connection's, or what a trusted front end says */
	struct span from;                 /* the same as text */
	bool secure;                      /* he came with TLS: to noah, or to a trusted front end */
	bool told;                        /* `origin` stood in X-Forwarded-For: in this field of the head, behind this text */
	unsigned told_field;
	struct span told_before;
	struct span user; /* whose password he has shown; empty: nobody's */
	struct span path; /* normalised (task's arena) where a route or a file is looked for; otherwise empty */

	/* NULL until routed */
	const struct cluster_site *site;
	const struct cluster_route *route; /* and when none of the site's matches */
	const struct site_entry *entry;    /* of the site (route.h) */
	const struct cluster_limits *limits;
	const struct cluster_access *access;
	const struct cluster_answers *answers;
	const struct cluster_static *files; /* NULL: none are served here */
	struct span rest;                   /* of the path, behind the route's prefix */
	bool by_exact_name;                 /* the Host is one of the site's names, not matched by a wildcard */
	struct upstream_group *group;       /* NULL too when no server is needed */
	struct span hsts;                   /* Strict-Transport-Security of every answer; empty: none */
	struct span location;               /* of OUTCOME_REDIRECTED */
	int redirect_status;
	const struct cluster_page *page; /* of OUTCOME_PAGE */

	/* the request */
	bool parsed;        /* `request` is filled */
	bool upload_begun;  /* something of a body that is not in hand any more went to a server: cannot be sent again */
	bool upload_broken; /* the server takes no more of the body; it may still answer */
	bool upload_more;   /* it could go on at once, but others had their turn */
	size_t kept_bytes;  /* head and body that stay in `input` until the exchange ends, for retries and the log */
	enum http_fault fault;
	struct span kept_body;
	struct http_body upload;            /* what was not in hand with the head, still to be read from the visitor */
	size_t upload_pending, upload_drop; /* at the front of `input`: to be sent, then to be dropped */
	struct http_spool held;             /* and what comes before that: read before a server got the request (hold.c) */
	bool hold_over;                     /* http_hold has been here */
	bool continued;                     /* noah has said 100 Continue, or need not: the server is not asked for it */
	struct http_pace upload_pace;       /* of waiting for the body */
	uint64_t upload_seen;               /* bytes of it at the last look */
	struct span raw;                    /* what came of a request that could not be parsed, for the log */

	/* the server */
	struct upstream_target *target; /* the last one, for the log */
	struct upstream_connection *server;
	struct upstream_wish wish; /* which servers may get it, and which may not any more */
	uint64_t queued_us;        /* it waited so long for one that is capped */
	unsigned tries;            /* connections on which it was tried */
	bool sent;                 /* a byte of it went out on the present connection */
	bool sent_ever;            /* or on an earlier one: it may have been carried out */
	bool retry_paid;
	bool impatient; /* the kernel was told not to wait long for a sign of life */
	bool trying;    /* servers are asked for a file that is missing here: 404 is no answer yet */

	/* the answer */
	bool answer_begun, answer_whole; /* a byte of it has gone to the visitor; all of it */
	bool keep;                       /* his connection can be used again */
	bool delimited;                  /* he can tell a whole answer from a cut one */
	bool served_here;  /* it has passed no server: a file */
	bool file_follows; /* the head goes out with the first bytes of a file, which come at once */
	int status;
	size_t kept_answer_head; /* bytes of its head at the front of the server's input */
	struct http_body download;
	struct http_spool absorbed;       /* what the visitor has not taken yet (absorb.c) */
	bool end_absorbed;                /* and then the answer ends */
	struct http_pace download_pace;   /* of waiting for him to take it */
	uint64_t taken_us;                /* when he last took some while more was waiting */
	uint64_t taken_bytes;             /* so much since the last look */
	uint64_t taken_seen;              /* his connection's bytes when `taken` was called: private to the visitor */
	bool fields_added;                       /* http_answer_fields has been here */
	bool maintenance;                        /* the site is in maintenance, and he is told so */
	uint32_t retry_after_s;                  /* of a refusal of noah's own: when to come again; 0: as the status has it */
	char reference[HTTP_REFERENCE_SIZE + 1]; /* what a page of noah's own calls this request, for the log; "": none */
	unsigned own_field_count;
	struct http_coded *coded; /* compress.h; NULL: it goes out as it is */

	/* microseconds of loop time; 0: not reached */
	uint64_t started_us, read_us, connect_us, sent_us, first_byte_us;
	uint64_t progress_us;                 /* last time a byte moved */
	uint64_t read_before, written_before; /* counters of the client's stream */

	char detail[HTTP_DETAIL_SIZE]; /* the cause in words; "" when there is none */
	/* large: not cleared */
	struct http_own_field own_fields[HTTP_OWN_FIELDS_MOST];
	struct http_request request;
	struct http_response response;
};

static inline uint64_t exchange_now_us(const struct http_exchange *exchange)
{
	return loop_now_us(exchange->core->loop);
}

/* Of the request. */
static inline struct span exchange_version(const struct http_exchange *exchange)
{
	return exchange->parsed && exchange->request.head.minor == 0 ? SPAN("1.0") : exchange->visitor->version;
}

/* Adds a field to the answer's head, of the server's answer or of noah's own. Name and value must last as long as the exchange
 * (task_arena). Call it from http_answer_fields or right before http_answer. */
static inline void exchange_add_field(struct http_exchange *exchange, struct span name, struct span value)
{
	ASSERT(exchange->own_field_count < HTTP_OWN_FIELDS_MOST);
	exchange->own_fields[exchange->own_field_count++] = (struct http_own_field){.name = name, .value = value};
}

/* The visitor has sent the whole request, and what follows on his connection is another one. */
static inline bool exchange_is_read(const struct http_exchange *exchange)
{
	return exchange->upload.done && exchange->upload_pending == 0;
}

/* The server has the whole request. */
static inline bool exchange_is_uploaded(const struct http_exchange *exchange)
{
	return exchange_is_read(exchange) && exchange->held.left == 0;
}

/* What becomes of it. */
enum http_fate {
	FATE_KEEP,
	FATE_CLOSE,  /* he expects it */
	FATE_GENTLE, /* he may still be sending: let him read why first (RFC 9112 9.6) */
	FATE_ABORT,  /* with a reset: he must not take what he has for the whole */
	FATE_TUNNEL, /* it is somebody else's from now on (upgrade.c) */
};

/* A connection was accepted, its record is filled but for the stream. (connection.c) */
void http_connection_start(struct http_client *client, int descriptor);
/* Ends it and frees the record. Waits when it is FATE_GENTLE. (connection.c) */
void http_client_close(struct http_client *client, enum http_fate fate);
/* It has ended and its stream is closed. (connection.c) */
void http_connection_free(struct http_client *client);

/* ---- the life of an exchange, the same for every visitor (exchange.c) ---------------------------------------------- */

/* Clears it but for `request` and `response`. The caller sets visitor, input and changed. */
void http_exchange_begin(struct http_exchange *exchange, struct http_client *client);
/* exchange->request is parsed and its body, as far as it is in hand, taken: routes it and has it answered. */
enum http_outcome http_exchange_run(struct http_exchange *exchange) MUST_CHECK;
/* noah's own answer if none has begun, counters, log lines, all from the outcome. Not for OUTCOME_NOTHING. */
void http_exchange_conclude(struct http_exchange *exchange, enum http_outcome outcome);
void http_exchange_end(struct http_exchange *exchange);

/* The TLS handshake. NET_OK; NET_FAILED: he was told why, and may still read it. (secure.c) */
enum net_result http_secure(struct http_client *client) MUST_CHECK;

/* ---- front ends that stand before noah (front_end.c) -------------------------------------------------------------- */

/* A connection was accepted, client->origin says from where: is it answered at all? Finds out whether a PROXY header must come.
 * `secure`: TLS is to come. */
bool http_front_end_accepts(struct http_client *client, bool secure) MUST_CHECK;
/* Reads the PROXY header and nothing behind it: client->origin is the visitor then. Waits; anything but NET_OK ends the
 * connection. */
enum net_result http_front_end_hear(struct http_client *client) MUST_CHECK;
/* Takes from the request what a trusted front end says of its visitor: exchange->origin, from, secure. Before http_route. */
enum http_outcome http_front_end_told(struct http_exchange *exchange) MUST_CHECK;

/* ---- routes (route.c) -------------------------------------------------------------------------------------------- */

struct http_routes *http_routes_new(struct http_core *core, struct snapshot *snapshot) MUST_CHECK; /* NULL: no memory */
/* What the routes before have learned of sites that both have. */
void http_routes_inherit(struct http_routes *routes, const struct http_routes *before);
struct http_routes *http_routes_ref(struct http_routes *routes);
void http_routes_unref(struct http_routes *routes);
/* The core knows one listener more: finds out which sites answer there. False: no memory. */
bool http_routes_add_listener(struct http_core *core, struct http_routes *routes) MUST_CHECK;
/* Timeouts for a connection whose site is not known yet. */
int64_t http_routes_request_timeout_ms(const struct http_routes *routes, unsigned listener);
/* Finds exchange->site and route and what holds there; refuses what is for nobody here. */
enum http_outcome http_route(struct http_exchange *exchange) MUST_CHECK;
/* Refuses or answers what needs neither a file nor a server: redirects, what is too large. */
enum http_outcome http_direct(struct http_exchange *exchange) MUST_CHECK;
/* For a site without apps: its page. */
enum http_outcome http_page(struct http_exchange *exchange) MUST_CHECK;

/* ---- who is let in (admit.c) ------------------------------------------------------------------------------------- */

/* After http_route, before anything is done for him. */
enum http_outcome http_admit(struct http_exchange *exchange) MUST_CHECK;
/* OUTCOME_TOO_MANY, OUTCOME_BANNED. Also when http_route has found nothing for him. (guard.c) */
enum http_outcome http_guard_admit(struct http_exchange *exchange) MUST_CHECK;
/* OUTCOME_REFUSED_ADDRESS: not from where he comes. (access.c) */
enum http_outcome http_access_admit(struct http_exchange *exchange) MUST_CHECK;
/* OUTCOME_UNAUTHORIZED: he must show a password, and has not; what asks for it is among the answer's fields. Waits while one is
 * hashed. (auth.c) */
enum http_outcome http_auth_admit(struct http_exchange *exchange) MUST_CHECK;
/* Every password must be shown to be right once more: there are other files of users. (auth_line.c) */
void http_auth_forget(struct http_core *core);
void http_auth_free(struct http_core *core);
/* OUTCOME_MAINTENANCE: an administrator has said that the site's visitors shall come later. (maintenance.c) */
enum http_outcome http_maintenance_admit(struct http_exchange *exchange) MUST_CHECK;

/* The answers to OUTCOME_REDIRECTED and OUTCOME_PAGE. (redirect.c) */
void http_answer_redirect(struct http_exchange *exchange);
void http_answer_page(struct http_exchange *exchange);

/* ---- files (static.c) --------------------------------------------------------------------------------------------- */

/* For exchange->files: sends the file that is meant (OUTCOME_FILE). OUTCOME_OK: there is none, and it is for the apps or the page
 * of the site. */
enum http_outcome http_static(struct http_exchange *exchange) MUST_CHECK;

/* ---- which server (sticky.c) --------------------------------------------------------------------------------------- */

/* Fills exchange->wish from the request: the key of its hash, its sticky cookie. */
void http_make_wish(struct http_exchange *exchange);
/* The sticky cookie of the answer, when the visitor has none or another. For http_answer_fields. */
void http_sticky_fields(struct http_exchange *exchange);

/* ---- forwarding -------------------------------------------------------------------------------------------------- */

/* Sends the request to a server of its site and relays the answer, with retries. (attempt.c) */
enum http_outcome http_attempt(struct http_exchange *exchange) MUST_CHECK;
/* True: the request that waits on a server found down may move to another one; the retry is paid for. (attempt.c) */
bool http_attempt_may_move(struct http_exchange *exchange) MUST_CHECK;
/* Idempotent, with its body still in hand: sending it again does no harm. (attempt.c) */
bool http_attempt_may_repeat(const struct http_exchange *exchange);
/* One try on exchange->server. (forward.c) */
enum http_outcome http_forward(struct http_exchange *exchange) MUST_CHECK;
/* Gets at least one byte more from the server, while the rest of the request goes out. OUTCOME_SERVER_CLOSED: it has ended its
 * side in order; OUTCOME_ANSWER_CUT: it broke off. (forward.c) */
enum http_outcome http_fill_from_server(struct http_exchange *exchange) MUST_CHECK;
/* The answer cannot be relayed: says why in exchange->detail. OUTCOME_BAD_ANSWER. (forward.c) */
enum http_outcome http_bad_answer(struct http_exchange *exchange, const char *what) MUST_CHECK;
/* Passes the answer on whose head is in exchange->response, and all of its body. (relay.c) */
enum http_outcome http_relay(struct http_exchange *exchange) MUST_CHECK;
/* Moves the request's body on as far as it goes without waiting. OUTCOME_OK also when it waits. (upload.c) */
enum http_outcome http_upload_step(struct http_exchange *exchange) MUST_CHECK;
/* So much of what is held went out. A body that is held as a whole stays, so that it can be sent again. (upload.c) */
void http_upload_sent_held(struct http_exchange *exchange, size_t bytes);
/* More of the body from the visitor, if none is in `input`: OUTCOME_OK with *more telling whether there is. (upload.c) */
enum http_outcome http_upload_read(struct http_exchange *exchange, bool *more) MUST_CHECK;
/* What of `input` is next: upload_pending and upload_drop. Checks body and limit. (upload.c) */
enum http_outcome http_upload_take(struct http_exchange *exchange) MUST_CHECK;

/* ---- slow visitors ----------------------------------------------------------------------------------------------- */

/* Reads the body before a server gets the request, as far as the site wants it: it is whole then, or as much of it is in
 * exchange->held as may be. Waits. Harmless when there is nothing to read. (hold.c) */
enum http_outcome http_hold(struct http_exchange *exchange) MUST_CHECK;
/* How long the visitor may go on sending nothing of his body: 0 or less means OUTCOME_REQUEST_TIMEOUT. (hold.c) */
int64_t http_hold_limit_ms(struct http_exchange *exchange) MUST_CHECK;
/* He was waited for since then. OUTCOME_REQUEST_SLOW: he is too slow. (hold.c) */
enum http_outcome http_hold_waited(struct http_exchange *exchange, uint64_t since_us) MUST_CHECK;

/* For visitors' functions: hands these parts over. OUTCOME_OK: they are not needed any more; they have gone out, or wait in
 * exchange->absorbed until they do, if they come from a server that noah wants to be rid of. Otherwise it waits. (absorb.c) */
enum http_outcome http_absorb(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last) MUST_CHECK;
/* For http_visitor.give: he has taken so many bytes; what was absorbed went first. (absorb.c) */
void http_absorb_took(struct http_exchange *exchange, struct iovec **parts, unsigned *count, size_t bytes);
/* More of what was absorbed, without waiting. (absorb.c) */
enum http_outcome http_absorb_push(struct http_exchange *exchange) MUST_CHECK;
/* While he is behind: how long he may go on taking nothing until http_absorb_waited is to be called. (absorb.c) */
int64_t http_absorb_limit_ms(struct http_exchange *exchange) MUST_CHECK;
/* He was waited for since then. OUTCOME_VISITOR_SLOW, OUTCOME_VISITOR_STALLED: for too long. (absorb.c) */
enum http_outcome http_absorb_waited(struct http_exchange *exchange, uint64_t since_us) MUST_CHECK;
/* Waits until he has everything. (absorb.c) */
enum http_outcome http_absorb_finish(struct http_exchange *exchange) MUST_CHECK;

/* ---- heads (forward.c) -------------------------------------------------------------------------------------------- */

#define HTTP_HEAD_OWN_BYTES 2048u /* of a head, written by noah itself; when more is needed the whole is copied to the arena */
#define HTTP_HEAD_PARTS     32u

/* Starts the writer again with room for a head that HTTP_HEAD_OWN_BYTES and HTTP_HEAD_PARTS cannot hold: everything is copied. */
bool http_head_room(struct http_writer *writer, size_t head_size) MUST_CHECK;

/* ---- upgrades (upgrade.c) --------------------------------------------------------------------------------------- */

/* The visitor asks for another protocol, and it is one that may be asked for (WebSocket). */
bool http_upgrade_is_asked(const struct http_exchange *exchange);
/* exchange->response, with status 101, agrees to what was asked for. */
bool http_upgrade_is_granted(const struct http_exchange *exchange);
/* Connection and Upgrade. */
void http_upgrade_write(struct http_writer *writer, struct span protocol);
/* Passes the 101 on; its head is the first head_size bytes of the server's input. OUTCOME_TUNNEL, or why not. Waits. */
enum http_outcome http_upgrade_answer(struct http_exchange *exchange, size_t head_size) MUST_CHECK;
/* After OUTCOME_TUNNEL: takes the exchange's client, server and what upstream_begin has begun over until the tunnel ends, which
 * is logged then. False: no memory, and the client is still the caller's. */
bool http_upgrade_start(struct http_exchange *exchange) MUST_CHECK;
/* noah is being stopped: tunnels on which nothing moves end soon. */
void http_upgrades_hurry(struct http_core *core);

/* ---- noah's own answers (answer.c) -------------------------------------------------------------------------------- */

/* Sends a page in plain words with this status; sets status, answer_begun and answer_whole. */
void http_answer(struct http_exchange *exchange, int status);
/* The same with a page of the caller's (empty: none). Content-Type and whatever else belongs to it he has added as own fields. */
void http_answer_with(struct http_exchange *exchange, int status, struct span page);
/* Adds what noah adds to every answer's head, a server's and its own: for sticky cookies, HSTS, Server-Timing. Once for each. */
void http_answer_fields(struct http_exchange *exchange);

/* ---- Server-Timing (timing.c) -------------------------------------------------------------------------------------- */

/* Adds the field where the site wants it. For http_answer_fields. */
void http_timing_fields(struct http_exchange *exchange);

/* ---- counters (count.c) ------------------------------------------------------------------------------------------- */

/* Once for each request, when it has ended. */
void http_count_exchange(const struct http_exchange *exchange);

/* ---- the access log (access_log.c) -------------------------------------------------------------------------------- */

/* `sink` may be NULL: no access log. Both take their own reference. */
struct http_log *http_log_new(struct board_lane *lane, struct http_log_sink *sink) MUST_CHECK;
void http_log_use(struct http_log *log, struct http_log_sink *sink);
void http_log_free(struct http_log *log);
struct log_entry; /* access_log.h */
/* What is known of an exchange by now; the texts are borrowed from it. */
void http_log_fill(struct log_entry *entry, const struct http_exchange *exchange, enum http_outcome outcome, bool failure);
/* One line. Failures are written out at once. */
void http_log_put(struct http_log *log, const struct log_entry *entry);
void http_log_exchange(struct http_log *log, const struct http_exchange *exchange, enum http_outcome outcome, bool failure);

#endif
