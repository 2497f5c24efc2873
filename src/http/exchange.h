/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One request and its answer (http_exchange), which every file between accept and access log works on: its bodies, its visitor,
 * itself. Part of http_private.h, which says what those files do with it.
 */
#ifndef NOAH_HTTP_EXCHANGE_H
#define NOAH_HTTP_EXCHANGE_H

#include "http/core.h"
#include "http/outcome.h"
#include "http/spool.h"

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
	/* What was absorbed (absorb.c) and then these parts, which may be modified, go on as far as he takes them. What is left of
	 * the parts stands in *parts and *count; they must last until the next call, which begins with them or has them absorbed.
	 * `last`: the body ends behind them. Does not wait. */
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

#define HTTP_DETAIL_SIZE    512u
#define HTTP_REFERENCE_SIZE 9u /* "7KQ4-M2XN" */

struct http_exchange {
	struct http_core *core;
	struct http_client *client; /* his connection */
	const struct http_visitor *visitor;
	struct buffer *input;             /* what comes of the request's body; HTTP/1: the client's own input buffer */
	struct wait_queue *changed;       /* woken when `fill` or `is_gone` may say something new */
	struct wait_queue *room;          /* woken when `give` may get on */
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
	bool served_here;                /* it has passed no server: a file */
	bool file_follows;               /* the head goes out with the first bytes of a file, which come at once */
	int status;
	size_t kept_answer_head; /* bytes of its head at the front of the server's input */
	struct http_body download;
	struct http_spool absorbed;              /* what the visitor has not taken yet (absorb.c) */
	bool end_absorbed;                       /* and then the answer ends */
	struct http_pace download_pace;          /* of waiting for him to take it */
	uint64_t taken_us;                       /* when he last took some while more was waiting */
	uint64_t taken_bytes;                    /* so much since the last look */
	uint64_t taken_seen;                     /* his connection's bytes when `taken` was called: private to the visitor */
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

#endif
