/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers that are compressed on their way out (RFC 9110 8.4, 12.5.3): what the visitor takes (compress_choose.c), what may be
 * compressed (compress_decide.c), the compressors of a core (compressor.c), and their way to the visitor (compress_send.c).
 * relay.c uses it for the answers of apps, static*.c for files.
 *
 * An answer's compressor exists from the decision until its last byte is made. A core has at most COMPRESSORS_MOST of them, which
 * together hold at most COMPRESSORS_MOST_BYTES; an answer for which none is left goes out as it is.
 */
#ifndef NOAH_HTTP_COMPRESS_H
#define NOAH_HTTP_COMPRESS_H

#include "http/http_private.h"

/* ---- bounds ------------------------------------------------------------------------------------------------------- */

#define COMPRESS_LEAST_BYTES   1024u       /* shorter answers gain nothing */
#define COMPRESS_TURN_BYTES    65536u      /* of content, in one turn of a core's loop; then everybody else has his turn */
#define COMPRESS_SILENT_BYTES  262144u     /* of content, after which something is sent however small it has become */
#define COMPRESSORS_MOST       64u         /* of a core, in use */
#define COMPRESSORS_MOST_BYTES (64u << 20) /* and their memory */
#define COMPRESSORS_KEPT       2u          /* of each kind, for the next answers */
#define COMPRESS_LEAST_ROOM    64u         /* bytes of output that a step begins with at least */

/* ---- what the visitor takes (compress_choose.c) ------------------------------------------------------------------- */

/* name, its token, level, memory that one needs at most (measured, tests/unit/test_compress.c), window; the better ones come
 * later */
#define HTTP_CODINGS(X)                        \
	X(CODING_NONE, "identity", 0, 0, 0)        \
	X(CODING_GZIP, "gzip", 4, 300u << 10, 15)  \
	X(CODING_BROTLI, "br", 4, 1900u << 10, 16) \
	X(CODING_ZSTD, "zstd", 3, 1300u << 10, 16)

enum http_coding {
#define X(name, token, level, memory, window) name,
	HTTP_CODINGS(X)
#undef X
	    CODING_COUNT
};
#define CODING_SET(coding) (1u << (coding))
#define CODING_ALL         (CODING_SET(CODING_GZIP) | CODING_SET(CODING_BROTLI) | CODING_SET(CODING_ZSTD))

struct span http_coding_token(enum http_coding coding);
/* The one of `available` (CODING_SET…) that the visitor likes best by his Accept-Encoding; among equals the better one.
 * CODING_NONE: none, or he prefers the answer as it is. `*` does not tell what he knows: of what he does not name, gzip. What
 * cannot be read counts as refused. Pure. */
enum http_coding http_coding_choose(const struct http_head *request, unsigned available);

/* ---- what may be compressed (compress_decide.c) ---------------------------------------------------------------------- */

/* Gets smaller when compressed. `type` as in Content-Type, with or without parameters. */
bool http_media_type_is_compressible(struct span type);

/* For an answer with content that is to go out whole: 200, or the like, to GET, HEAD or others. Not asked here, because the
 * caller knows: whether it is coded already or a part, whether it sets cookies, says no-transform or has a digest. Adds the
 * fields Vary (when its visitor could have had it compressed) and Content-Encoding to the answer. True: it is compressed. The
 * caller then sends no Content-Length, only a weak ETag and no Accept-Ranges, and, but to HEAD, gives all content to
 * http_coded_put. `length` is of the content, when has_length. */
bool http_compress_decide(struct http_exchange *exchange, struct span type, bool has_length, uint64_t length) MUST_CHECK;
/* The same for exchange->response: all rules; its head and framing are changed accordingly. Before visitor->choose_framing. */
bool http_compress_decide_response(struct http_exchange *exchange) MUST_CHECK;
/* All fields of this name are left out of what goes on. */
void http_drop_known(struct http_head *head, enum http_field_name name);
/* W/"…" in the task's arena of an entity tag; what is weak already as it is; empty: it is malformed, or memory is out. */
struct span http_weak_tag(struct span tag);
/* The visitor asks by If-None-Match for the weak form of this strong tag: what he has was compressed on its way. */
bool http_holds_weakened(const struct http_head *request, struct span tag);

/* ---- the whole of an answer's head (answer_fields.c) -------------------------------------------------------------------- */

/* Cache-Control: max-age, where the site or route says `expires` and the answer (its fields: `present`) does not say it itself.
 */
void http_expiry_field(struct http_exchange *exchange, int status, uint64_t present);
/* All that noah changes of exchange->response before it goes out. True: it is compressed. */
bool http_answer_of_server(struct http_exchange *exchange) MUST_CHECK;

/* ---- their way to the visitor (compress_send.c) ----------------------------------------------------------------------- */

struct http_compressor;
/* exchange->coded of an answer that is compressed; in the task's arena. */
struct http_coded {
	struct http_compressor *compressor; /* NULL: its last byte is made, or the answer is to HEAD */
	struct buffer out;                  /* compressed, still to be sent */
	bool wrapped;                       /* it goes out in chunks */
	bool holds_back;                    /* the compressor has content of which nothing was sent */
	size_t silent_bytes;                /* of content, since anything was sent */
	uint64_t bytes;                     /* that were sent */
};

/* After visitor->choose_framing: how the coded bytes are framed. */
void http_coded_begin(struct http_exchange *exchange);
/* Each sends what has become full, the answer's head (exchange->response) before it, and waits for that; put also waits for its
 * turn. OUTCOME_OK, or why it cannot go on. */
enum http_outcome http_coded_put(struct http_exchange *exchange, struct span content) MUST_CHECK;
/* Nothing more comes for now: sends all that was put so far, and the head. */
enum http_outcome http_coded_flush(struct http_exchange *exchange) MUST_CHECK;
/* That was all. Also to HEAD: the head alone. */
enum http_outcome http_coded_end(struct http_exchange *exchange) MUST_CHECK;
/* Gives back what is held; harmless when there is nothing. For http_exchange_end, and an answer that is given up. */
void http_coded_drop(struct http_exchange *exchange);

/* ---- compressors (compressor.c) ------------------------------------------------------------------------------------- */

enum http_compress_step {
	COMPRESS_MORE,  /* take the content */
	COMPRESS_FLUSH, /* and give out all of it; no new content before that is complete */
	COMPRESS_END,   /* the same, and this was the last */
};

/* All of one core. */
struct http_compressors {
	unsigned count; /* in use */
	size_t bytes;
	struct http_compressor *kept[CODING_COUNT][COMPRESSORS_KEPT];
	unsigned kept_count[CODING_COUNT];
	uint64_t turn_us;    /* which turn of the loop */
	unsigned turn_bytes; /* content in it */
	struct list line;    /* answers that wait for their turn: struct list on their stacks */
};

/* NULL: the bounds are reached or memory is out. */
struct http_compressor *http_compressor_take(struct http_core *core, enum http_coding coding, bool has_length,
                                             uint64_t length) MUST_CHECK;
void http_compressor_give_back(struct http_core *core, struct http_compressor *compressor);
/* Takes from *content (advanced) and makes at most `room` bytes (COMPRESS_LEAST_ROOM or more) at `out`; *made says how many.
 * *complete: the step is done, nothing of it is held back (COMPRESS_MORE: all content was taken). Otherwise call again with the
 * same step and more room. False: memory is out. */
bool http_compressor_run(struct http_compressor *compressor, enum http_compress_step step, struct span *content, char *out,
                         size_t room, size_t *made, bool *complete) MUST_CHECK;
void http_compressors_free(struct http_core *core);

#endif
