/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How a request can end: the one list, from which come the enum, the access log's word, the status of noah's own answer and who
 * is to blame. Part of exchange.h.
 */
#ifndef NOAH_HTTP_OUTCOME_H
#define NOAH_HTTP_OUTCOME_H

enum http_culprit {
	BY_NOBODY,
	BY_VISITOR,
	BY_SERVER, /* these two are failures: written to noah's log too */
	BY_NOAH,
};

/* name; word in the access log (`end=`); status of noah's own answer when none has begun (0: none is given); whose doing. An
 * answer that has begun and cannot be finished ends with its connection. */
#define HTTP_OUTCOMES(X)                                                                                                      \
	X(OUTCOME_OK, "ok", 0, BY_NOBODY)                         /* the visitor has the server's whole answer */                 \
	X(OUTCOME_NOTHING, "nothing", 0, BY_NOBODY)               /* no request came: not logged */                               \
	X(OUTCOME_ANSWERED_HERE, "answered-here", 200, BY_NOBODY) /* OPTIONS with Max-Forwards: 0 */                              \
	X(OUTCOME_PAGE, "page", 200, BY_NOBODY)                   /* the site's static page */                                    \
	X(OUTCOME_REDIRECTED, "redirected", 301, BY_NOBODY)       /* redirect_status says which */                                \
	X(OUTCOME_BAD_REQUEST, "bad-request", 400, BY_VISITOR)    /* the parser's fault says which status */                      \
	X(OUTCOME_REFUSED_METHOD, "refused-method", 405, BY_VISITOR)                                                              \
	X(OUTCOME_UNKNOWN_SITE, "unknown-site", 421, BY_VISITOR)                                                                  \
	X(OUTCOME_MISDIRECTED, "misdirected", 421, BY_VISITOR) /* not on this TLS connection */                                   \
	X(OUTCOME_BODY_TOO_LARGE, "body-too-large", 413, BY_VISITOR)                                                              \
	X(OUTCOME_BAD_BODY, "bad-body", 400, BY_VISITOR)                                                                          \
	X(OUTCOME_REQUEST_TIMEOUT, "request-timeout", 408, BY_VISITOR)                                                            \
	X(OUTCOME_REQUEST_CUT, "request-cut", 0, BY_VISITOR)         /* the visitor left in the middle of his request */          \
	X(OUTCOME_VISITOR_GONE, "visitor-gone", 0, BY_VISITOR)       /* … before he had his answer */                           \
	X(OUTCOME_VISITOR_STALLED, "visitor-stalled", 0, BY_VISITOR) /* … or took no byte of it for the idle timeout */         \
	X(OUTCOME_LOOP, "loop", 508, BY_NOAH)                        /* too many Via */                                           \
	X(OUTCOME_NO_SERVER, "no-server", 503, BY_SERVER)            /* none is usable */                                         \
	X(OUTCOME_QUEUE_FULL, "queue-full", 503, BY_SERVER)          /* all connections are in use, and too many wait */          \
	X(OUTCOME_QUEUE_TIMEOUT, "queue-timeout", 503, BY_SERVER)    /* … and none became free in time */                       \
	X(OUTCOME_CONNECT_FAILED, "connect-failed", 503, BY_SERVER)                                                               \
	X(OUTCOME_SERVER_CLOSED, "server-closed", 502, BY_SERVER) /* without an answer */                                         \
	X(OUTCOME_SERVER_DOWN, "server-down", 504, BY_SERVER)     /* checks found it dead while the request waited */             \
	X(OUTCOME_ANSWER_TIMEOUT, "answer-timeout", 504, BY_SERVER)                                                               \
	X(OUTCOME_BAD_ANSWER, "bad-answer", 502, BY_SERVER)                                                                       \
	X(OUTCOME_ANSWER_CUT, "answer-cut", 502, BY_SERVER)            /* the server left in the middle of its answer */          \
	X(OUTCOME_ANSWER_STALLED, "answer-stalled", 504, BY_SERVER)    /* or fell silent */                                       \
	X(OUTCOME_NO_RESOURCES, "no-resources", 503, BY_NOAH)          /* memory or descriptors */                                \
	X(OUTCOME_STOPPING, "stopping", 503, BY_NOAH)                  /* noah is being stopped and cannot wait */                \
	X(OUTCOME_TUNNEL, "tunnel", 0, BY_NOBODY)                      /* after 101: both sides have ended in order */            \
	X(OUTCOME_TUNNEL_IDLE, "tunnel-idle", 0, BY_NOBODY)            /* … nothing moved for the idle timeout */               \
	X(OUTCOME_TUNNEL_STOPPED, "tunnel-stopped", 0, BY_NOBODY)      /* … noah was stopped */                                 \
	X(OUTCOME_TUNNEL_CUT, "tunnel-cut", 0, BY_SERVER)              /* … the server broke off */                             \
	X(OUTCOME_MAINTENANCE, "maintenance", 503, BY_NOBODY)          /* an administrator has said so */                         \
	X(OUTCOME_REFUSED_ADDRESS, "refused-address", 403, BY_VISITOR) /* not from where he comes */                              \
	X(OUTCOME_TOO_MANY, "too-many", 429, BY_VISITOR)               /* too many requests from his address in some time */      \
	X(OUTCOME_BANNED, "banned", 403, BY_VISITOR)                   /* … some time ago */                                    \
	X(OUTCOME_FILE, "file", 0, BY_NOBODY)                    /* the visitor has a file, or was told what he asked about it */ \
	X(OUTCOME_NOT_FOUND, "not-found", 404, BY_VISITOR)       /* there is no such file, and nobody else to ask */              \
	X(OUTCOME_FILE_FAILED, "file-failed", 503, BY_NOAH)      /* a file could not be read, or was cut while it was sent */     \
	X(OUTCOME_UNAUTHORIZED, "unauthorized", 401, BY_VISITOR) /* no name, no such name, or not its password */                 \
	X(OUTCOME_TOO_MANY_PASSWORDS, "too-many-passwords", 429, BY_VISITOR) /* of his address wait to be looked at */            \
	X(OUTCOME_PASSWORDS_BUSY, "passwords-busy", 503, BY_NOAH)            /* … of everybody */                               \
	X(OUTCOME_REQUEST_SLOW, "request-slow", 408, BY_VISITOR)             /* his body came slower than the least rate */       \
	X(OUTCOME_VISITOR_SLOW, "visitor-slow", 0, BY_VISITOR)               /* he took his answer slower than that */

enum http_outcome {
#define X(name, text, status, culprit) name,
	HTTP_OUTCOMES(X)
#undef X
};
const char *http_outcome_text(enum http_outcome outcome);

#endif
