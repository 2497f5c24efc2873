/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of http/ do for one another, and for nobody else: their functions, in the order in which a request meets them.
 * What they work on is in exchange.h.
 */
#ifndef NOAH_HTTP_PRIVATE_H
#define NOAH_HTTP_PRIVATE_H

#include "http/exchange.h"

/* ---- bounds and fixed times ------------------------------------------------------------------------------------- */

#define HTTP_INTERIM_MOST     16u   /* 1xx answers before the final one */
#define HTTP_VIA_MOST         16u   /* proxies that a request may have passed: 508 */
#define HTTP_LISTENERS_MOST   1024u /* addresses on which connections were ever accepted */
#define HTTP_LINGER_MS        2000  /* how long a connection that is closed after an error may take to read why */
#define HTTP_FIRST_REQUEST_MS 30000 /* the timeouts of requests and of idling, where no site is known that has one */
#define HTTP_DOWN_SLICE_MS    250   /* how often a request that waits for its first byte looks whether its server has died */
#define HTTP_ROUNDS_AT_ONCE   16u   /* buffers relayed, or requests answered, before other connections have their turn */
#define HTTP_OWN_PAGE_MS      5000  /* for each wait while a page of noah's own is sent */
#define HTTP_ACME_PATH        "/.well-known/acme-challenge/" /* RFC 8555 8.3: where an authority looks before it signs */
#define HTTP_DRAIN_SILENCE_MS 2000 /* while noah is being stopped, silence ends a tunnel after this time */

/* ---- a visitor's connection (connection.c, secure.c) ------------------------------------------------------------------- */

/* What becomes of it when a request has ended. */
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
/* The TLS handshake. NET_OK; NET_FAILED: he was told why, and may still read it. (secure.c) */
enum net_result http_secure(struct http_client *client) MUST_CHECK;

/* ---- too much from one address (guard.c) -------------------------------------------------------------------------- */

/* core->routes have changed. */
void http_guard_use_routes(struct http_core *core);
/* A connection was accepted, client->origin and insecure are set: is it let in? If so it may be for http_guard_tell (refused). */
bool http_guard_accepts(struct http_client *client) MUST_CHECK;
/* Instead of waiting for his request: tells him that he has too many connections, and closes. */
void http_guard_tell(struct http_client *client);
/* His connection has ended, or never began. */
void http_guard_left(struct http_client *client);

/* ---- the life of an exchange, the same for every visitor (exchange.c) ---------------------------------------------- */

/* Clears it but for `request` and `response`. The caller sets visitor, input and changed. */
void http_exchange_begin(struct http_exchange *exchange, struct http_client *client);
/* exchange->request is parsed and its body, as far as it is in hand, taken: routes it and has it answered. */
enum http_outcome http_exchange_run(struct http_exchange *exchange) MUST_CHECK;
/* noah's own answer if none has begun, counters, log lines, all from the outcome. Not for OUTCOME_NOTHING. */
void http_exchange_conclude(struct http_exchange *exchange, enum http_outcome outcome);
void http_exchange_end(struct http_exchange *exchange);

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
/* Waits until he may take more, for as long as he may take nothing. (absorb.c) */
enum http_outcome http_absorb_wait(struct http_exchange *exchange) MUST_CHECK;
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
