/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto/http: pure parsers and writers for HTTP/1.1 (RFC 9110, RFC 9112).
 *
 * No I/O, no allocation, no state but what the caller owns: any process and thread may call everything here. http/ uses it for
 * visitors and application servers, watch/ for its checks. What is ambiguous is refused, never repaired: a head that passes has
 * one reading only, here and in every server behind noah.
 *
 * A head is a run of bytes in the caller's buffer. What is found in it is kept as pieces (offset and size from the head's start),
 * so the buffer may move: set head.start to the new place.
 */
#ifndef NOAH_PROTO_HTTP_H
#define NOAH_PROTO_HTTP_H

#include <sys/uio.h>

#include "base/base.h"

/* ---- bounds --------------------------------------------------------------------------------------------------- */

#define HTTP_HEAD_MOST             16384u /* bytes of a head, its final empty line included: 431 (request), bad answer (response) */
#define HTTP_TARGET_MOST           8192u  /* bytes of a request's target: 414 */
#define HTTP_METHOD_MOST           24u    /* bytes of a method: 501 */
#define HTTP_FIELDS_MOST           128u   /* field lines: 431 */
#define HTTP_NOMINATIONS_MOST      16u    /* names in Connection beyond the well-known ones */
#define HTTP_CHUNK_EXTENSION_MOST  256u   /* bytes of extensions of one chunk */
#define HTTP_CHUNK_EXTENSIONS_MOST 16384u /* and of all chunks of one body */
#define HTTP_TRAILERS_MOST         8192u  /* bytes of all trailers of one body */

/* ---- outcomes ------------------------------------------------------------------------------------------------- */

enum http_answer {
	HTTP_DONE,  /* complete and right */
	HTTP_MORE,  /* right so far, more bytes are needed */
	HTTP_WRONG, /* see struct http_error */
};

/* name, status for a visitor's request (a server's answer with any of these is 502), text for the log */
#define HTTP_FAULTS(X)                                                                             \
	X(HTTP_FAULT_NONE, 0, "nothing wrong")                                                         \
	X(HTTP_FAULT_METHOD, 400, "the method is not a token")                                         \
	X(HTTP_FAULT_METHOD_TOO_LONG, 501, "the method is longer than any known one")                  \
	X(HTTP_FAULT_TARGET, 400, "the request target has a byte that is not allowed")                 \
	X(HTTP_FAULT_TARGET_FORM, 400, "the request target has a form that its method does not allow") \
	X(HTTP_FAULT_TARGET_TOO_LONG, 414, "the request target is too long")                           \
	X(HTTP_FAULT_SCHEME, 400, "the request target's scheme is neither http nor https")             \
	X(HTTP_FAULT_REQUEST_LINE, 400, "the request line is malformed")                               \
	X(HTTP_FAULT_VERSION, 505, "the HTTP version is neither 1.0 nor 1.1")                          \
	X(HTTP_FAULT_STATUS_LINE, 502, "the status line is malformed")                                 \
	X(HTTP_FAULT_LINE_END, 400, "a line does not end in CR LF")                                    \
	X(HTTP_FAULT_HEAD_TOO_LARGE, 431, "the head is too large")                                     \
	X(HTTP_FAULT_TOO_MANY_FIELDS, 431, "the head has too many fields")                             \
	X(HTTP_FAULT_FIELD_NAME, 400, "a field name is empty or has a byte that is not allowed")       \
	X(HTTP_FAULT_FIELD_VALUE, 400, "a field value has a control byte")                             \
	X(HTTP_FAULT_FIELD_FOLDED, 400, "a field is folded or starts with a space")                    \
	X(HTTP_FAULT_HOST_MISSING, 400, "Host is missing")                                             \
	X(HTTP_FAULT_HOST_REPEATED, 400, "more than one Host")                                         \
	X(HTTP_FAULT_HOST, 400, "Host is not a valid host and port")                                   \
	X(HTTP_FAULT_LENGTH, 400, "Content-Length is not a plain number")                              \
	X(HTTP_FAULT_LENGTH_REPEATED, 400, "more than one Content-Length")                             \
	X(HTTP_FAULT_LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")              \
	X(HTTP_FAULT_CODING, 400, "Transfer-Encoding is malformed or does not end in chunked")         \
	X(HTTP_FAULT_CODING_UNKNOWN, 501, "a transfer coding other than chunked")                      \
	X(HTTP_FAULT_CODING_VERSION, 400, "Transfer-Encoding in HTTP/1.0")                             \
	X(HTTP_FAULT_CONNECTION, 400, "Connection is not a list of names or names too many")           \
	X(HTTP_FAULT_EXPECT, 417, "an expectation other than 100-continue")                            \
	X(HTTP_FAULT_MAX_FORWARDS, 400, "Max-Forwards is repeated or not a number")                    \
	X(HTTP_FAULT_TRACE_BODY, 400, "TRACE with a body")                                             \
	X(HTTP_FAULT_CHUNK_SIZE, 400, "a chunk's size is not a hexadecimal number that fits")          \
	X(HTTP_FAULT_CHUNK_EXTENSION, 400, "chunk extensions are malformed or too large")              \
	X(HTTP_FAULT_CHUNK_END, 400, "a chunk does not end in CR LF")                                  \
	X(HTTP_FAULT_TRAILER, 400, "a trailer is malformed")                                           \
	X(HTTP_FAULT_TRAILERS_TOO_LARGE, 431, "the trailers are too large")                            \
	X(HTTP_FAULT_PATH, 400, "the path is malformed (percent-encoding, NUL, or too long)")          \
	X(HTTP_FAULT_PSEUDO, 400, "a pseudo-header is missing, repeated, misplaced or unknown")        \
	X(HTTP_FAULT_HOSTS_DIFFER, 400, "Host and :authority differ")                                  \
	X(HTTP_FAULT_CONNECTION_FIELD, 400, "a field about connections, which HTTP/2 forbids")         \
	X(HTTP_FAULT_LENGTH_DIFFERS, 400, "the body is not as long as Content-Length says")

enum http_fault {
#define X(name, status, text) name,
	HTTP_FAULTS(X)
#undef X
};
const char *http_fault_text(enum http_fault fault);
/* The status with which a visitor's request is refused; 0 for HTTP_FAULT_NONE. */
int http_fault_status(enum http_fault fault);

struct http_error {
	enum http_fault fault;
	size_t offset; /* of the offending byte (or of the field's value), from the first byte given */
};

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Methods are case-sensitive tokens. name, text, safe, idempotent (RFC 9110 9.2; the WebDAV ones RFC 4918) */
#define HTTP_METHODS(X)                             \
	X(HTTP_METHOD_OTHER, "", false, false)          \
	X(HTTP_METHOD_GET, "GET", true, true)           \
	X(HTTP_METHOD_HEAD, "HEAD", true, true)         \
	X(HTTP_METHOD_POST, "POST", false, false)       \
	X(HTTP_METHOD_PUT, "PUT", false, true)          \
	X(HTTP_METHOD_DELETE, "DELETE", false, true)    \
	X(HTTP_METHOD_OPTIONS, "OPTIONS", true, true)   \
	X(HTTP_METHOD_PATCH, "PATCH", false, false)     \
	X(HTTP_METHOD_TRACE, "TRACE", true, true)       \
	X(HTTP_METHOD_CONNECT, "CONNECT", false, false) \
	X(HTTP_METHOD_PROPFIND, "PROPFIND", true, true)

enum http_method {
#define X(name, text, safe, idempotent) name,
	HTTP_METHODS(X)
#undef X
};
struct span http_method_text(enum http_method method);
bool http_method_is_safe(enum http_method method);
bool http_method_is_idempotent(enum http_method method);

/* Known fields, found while parsing. name, text, what it is:
 *   HOP  hop-by-hop: never forwarded (RFC 9110 7.6.1); END  for the far end: Connection cannot remove it (checklist 12);
 *   ANY  forwarded unless Connection names it */
#define HTTP_FIELDS(X)                                            \
	X(HTTP_FIELD_OTHER, "", ANY)                                  \
	X(HTTP_FIELD_TE, "TE", HOP)                                   \
	X(HTTP_FIELD_AGE, "Age", END)                                 \
	X(HTTP_FIELD_VIA, "Via", END)                                 \
	X(HTTP_FIELD_DATE, "Date", END)                               \
	X(HTTP_FIELD_ETAG, "ETag", END)                               \
	X(HTTP_FIELD_HOST, "Host", END)                               \
	X(HTTP_FIELD_VARY, "Vary", END)                               \
	X(HTTP_FIELD_ALLOW, "Allow", END)                             \
	X(HTTP_FIELD_RANGE, "Range", END)                             \
	X(HTTP_FIELD_ACCEPT, "Accept", END)                           \
	X(HTTP_FIELD_COOKIE, "Cookie", END)                           \
	X(HTTP_FIELD_EXPECT, "Expect", END)                           \
	X(HTTP_FIELD_ORIGIN, "Origin", END)                           \
	X(HTTP_FIELD_PRAGMA, "Pragma", END)                           \
	X(HTTP_FIELD_SERVER, "Server", END)                           \
	X(HTTP_FIELD_EXPIRES, "Expires", END)                         \
	X(HTTP_FIELD_REFERER, "Referer", END)                         \
	X(HTTP_FIELD_TRAILER, "Trailer", HOP)                         \
	X(HTTP_FIELD_UPGRADE, "Upgrade", HOP)                         \
	X(HTTP_FIELD_IF_MATCH, "If-Match", END)                       \
	X(HTTP_FIELD_IF_RANGE, "If-Range", END)                       \
	X(HTTP_FIELD_LOCATION, "Location", END)                       \
	X(HTTP_FIELD_FORWARDED, "Forwarded", END)                     \
	X(HTTP_FIELD_X_REAL_IP, "X-Real-IP", END)                     \
	X(HTTP_FIELD_CONNECTION, "Connection", HOP)                   \
	X(HTTP_FIELD_KEEP_ALIVE, "Keep-Alive", HOP)                   \
	X(HTTP_FIELD_SET_COOKIE, "Set-Cookie", END)                   \
	X(HTTP_FIELD_USER_AGENT, "User-Agent", END)                   \
	X(HTTP_FIELD_RETRY_AFTER, "Retry-After", END)                 \
	X(HTTP_FIELD_CONTENT_TYPE, "Content-Type", END)               \
	X(HTTP_FIELD_MAX_FORWARDS, "Max-Forwards", END)               \
	X(HTTP_FIELD_X_POWERED_BY, "X-Powered-By", END)               \
	X(HTTP_FIELD_AUTHORIZATION, "Authorization", END)             \
	X(HTTP_FIELD_CACHE_CONTROL, "Cache-Control", END)             \
	X(HTTP_FIELD_CONTENT_RANGE, "Content-Range", END)             \
	X(HTTP_FIELD_IF_NONE_MATCH, "If-None-Match", END)             \
	X(HTTP_FIELD_LAST_MODIFIED, "Last-Modified", END)             \
	X(HTTP_FIELD_CONTENT_LENGTH, "Content-Length", END)           \
	X(HTTP_FIELD_HTTP2_SETTINGS, "HTTP2-Settings", HOP)           \
	X(HTTP_FIELD_X_FORWARDED_FOR, "X-Forwarded-For", END)         \
	X(HTTP_FIELD_ACCEPT_ENCODING, "Accept-Encoding", END)         \
	X(HTTP_FIELD_X_FORWARDED_HOST, "X-Forwarded-Host", END)       \
	X(HTTP_FIELD_X_FORWARDED_PORT, "X-Forwarded-Port", END)       \
	X(HTTP_FIELD_WWW_AUTHENTICATE, "WWW-Authenticate", END)       \
	X(HTTP_FIELD_PROXY_CONNECTION, "Proxy-Connection", HOP)       \
	X(HTTP_FIELD_CONTENT_ENCODING, "Content-Encoding", END)       \
	X(HTTP_FIELD_X_ASPNET_VERSION, "X-AspNet-Version", END)       \
	X(HTTP_FIELD_X_FORWARDED_PROTO, "X-Forwarded-Proto", END)     \
	X(HTTP_FIELD_TRANSFER_ENCODING, "Transfer-Encoding", HOP)     \
	X(HTTP_FIELD_IF_MODIFIED_SINCE, "If-Modified-Since", END)     \
	X(HTTP_FIELD_PROXY_AUTHENTICATE, "Proxy-Authenticate", HOP)   \
	X(HTTP_FIELD_IF_UNMODIFIED_SINCE, "If-Unmodified-Since", END) \
	X(HTTP_FIELD_X_ASPNETMVC_VERSION, "X-AspNetMvc-Version", END) \
	X(HTTP_FIELD_PROXY_AUTHORIZATION, "Proxy-Authorization", HOP)

enum http_field_name {
#define X(name, text, kind) name,
	HTTP_FIELDS(X)
#undef X
	    HTTP_FIELD_NAMES
};
struct span http_field_text(enum http_field_name name);
/* Without regard to case; HTTP_FIELD_OTHER when not in the table. */
enum http_field_name http_field_find(struct span name);

/* A set of known fields, for example HTTP_SET(HTTP_FIELD_VIA) | HTTP_SET(HTTP_FIELD_X_FORWARDED_FOR). */
#define HTTP_SET(name) (UINT64_C(1) << (name))

/* ---- heads ---------------------------------------------------------------------------------------------------- */

struct http_piece {
	uint16_t at, size; /* bytes, from the head's start */
};

struct http_field {
	struct http_piece name;
	struct http_piece value; /* without blanks around it; may be empty */
	uint8_t known;           /* enum http_field_name */
	bool dropped; /* not forwarded: hop-by-hop, named by Connection, a look-alike of a known name written with '_' (a CGI
	               * program reads X_Real_IP and X-Real-IP as the same variable), or of a request what only a proxy may say */
};

struct http_head {
	const char *start;
	uint16_t size; /* the final empty line included */
	uint16_t field_count;
	uint16_t fields_at;              /* where the first field line starts; the last ends at size - 2 */
	uint8_t minor;                   /* HTTP/1.minor: 0 or 1 */
	uint64_t present;                /* HTTP_SET of the known fields that occur */
	uint64_t repeated;               /* of those that occur more than once */
	uint8_t first[HTTP_FIELD_NAMES]; /* index of the first field with this name; only set for those in `present` */
	struct http_field fields[HTTP_FIELDS_MOST];
};

static inline struct span http_text(const struct http_head *head, struct http_piece piece)
{
	return span_of(head->start + piece.at, piece.size);
}
/* The first field of that name, NULL when there is none. Later ones stand behind it in head->fields. */
static inline const struct http_field *http_first(const struct http_head *head, enum http_field_name name)
{
	return (head->present & HTTP_SET(name)) == 0 ? NULL : &head->fields[head->first[name]];
}
/* Its value; { NULL, 0 } when there is none. */
static inline struct span http_value(const struct http_head *head, enum http_field_name name)
{
	const struct http_field *field = http_first(head, name);
	return field == NULL ? span_of(NULL, 0) : http_text(head, field->value);
}

enum http_framing {
	HTTP_BODY_NONE,        /* no body can follow */
	HTTP_BODY_LENGTH,      /* exactly `length` bytes, may be 0 */
	HTTP_BODY_CHUNKED,     /* struct http_chunked finds the end */
	HTTP_BODY_UNTIL_CLOSE, /* responses only: ends with the connection */
	HTTP_BODY_TUNNEL,      /* after 101, or 2xx to CONNECT: both ways, opaque, until close */
};

/* Zero it before the first byte of each head. Lets a head that comes byte by byte be parsed in linear time. */
struct http_progress {
	uint32_t parsed;  /* bytes that there were when last parsed */
	uint32_t scanned; /* bytes that were searched for the head's end */
};

/* ---- requests ------------------------------------------------------------------------------------------------- */

enum http_target_form {
	HTTP_TARGET_ORIGIN,    /* /path?query */
	HTTP_TARGET_ABSOLUTE,  /* http://host/path?query: overrides Host */
	HTTP_TARGET_AUTHORITY, /* host:port, only with CONNECT */
	HTTP_TARGET_ASTERISK,  /* *, only with OPTIONS */
};

struct http_request {
	struct http_head head;
	struct http_piece method_text;
	struct http_piece target; /* as it came */
	struct http_piece path;   /* up to '?'; empty for absolute-form without a path ("/" is meant), authority and asterisk */
	struct http_piece query;  /* behind '?', without it */
	struct http_piece host;   /* host[:port]: of the target when absolute or authority, else of Host; empty: HTTP/1.0 without */
	struct http_piece host_name; /* without port and without a final dot; IPv6 with its brackets. Case as it came */
	uint64_t length;             /* HTTP_BODY_LENGTH */
	uint32_t max_forwards;       /* OPTIONS and TRACE only */
	uint16_t host_port;          /* 0: none given */
	uint8_t method;              /* enum http_method */
	uint8_t target_form;         /* enum http_target_form */
	uint8_t framing;             /* enum http_framing: NONE, LENGTH or CHUNKED */
	bool has_query;
	bool https;           /* absolute-form with https: */
	bool keep_alive;      /* the client allows another request on this connection */
	bool expect_continue; /* waits for 100 (HTTP/1.1 only) */
	bool upgrade; /* asks for exactly one protocol, not h2c, nominated by Connection, HTTP/1.1: value of HTTP_FIELD_UPGRADE */
	bool takes_trailers; /* TE: trailers */
	bool has_max_forwards;
};

/* Parses one request head at `bytes`. One empty line before it is skipped (RFC 9112 2.2) and counts into *used.
 *   HTTP_DONE   *used bytes were the head; *request is filled; body or the next request follows
 *   HTTP_MORE   read more and call again with the same progress and all bytes from the same start. Never when size_bytes reaches
 *               HTTP_HEAD_MOST: then it is HTTP_WRONG
 *   HTTP_WRONG  *error says what; answer with http_fault_status() and close: where the message ends is not known */
enum http_answer http_request_parse(struct http_progress *progress, const char *bytes, size_t size_bytes,
                                    struct http_request *request, size_t *used, struct http_error *error) MUST_CHECK;

/* ---- responses ------------------------------------------------------------------------------------------------ */

struct http_response {
	struct http_head head;
	struct http_piece reason; /* may be empty */
	uint64_t length;          /* when has_length; of the body that GET would have for HEAD and 304 */
	uint16_t status;          /* 100 to 599 */
	uint8_t framing;          /* enum http_framing */
	bool has_length;          /* a valid Content-Length is there (ignored and false for 1xx, 204, tunnels) */
	bool keep_alive;          /* the server allows another request on this connection (never with UNTIL_CLOSE or TUNNEL) */
};

/* Parses one response head to a request with this method. 1xx other than 101 are heads of their own: the final one follows.
 * Answers as http_request_parse; HTTP_WRONG means 502 and closing the server's connection. */
enum http_answer http_response_parse(struct http_progress *progress, const char *bytes, size_t size_bytes,
                                     enum http_method method, struct http_response *response, size_t *used,
                                     struct http_error *error) MUST_CHECK;

/* ---- chunked bodies (RFC 9112 7.1) ---------------------------------------------------------------------------- */

struct http_chunked {
	uint64_t left;       /* bytes of the chunk that are still to come; while reading a size: the number so far */
	uint64_t data_bytes; /* of the body, so far: for limits and the log */
	uint32_t extension_bytes, extensions_bytes, trailers_bytes;
	uint8_t state, digits;
};

void http_chunked_init(struct http_chunked *chunked);
/* Both take the next bytes of the body and go as far as they can; give them what is left over on the next call.
 *   HTTP_MORE   go on (with the rest of the bytes if there is one, else with new ones)
 *   HTTP_DONE   the body ended with the bytes just counted; what stands behind them is the next message
 *   HTTP_WRONG  *fault says what; the counted bytes before it were right
 *
 * For content: skip *framing bytes, then *data bytes are content. */
enum http_answer http_chunked_decode(struct http_chunked *chunked, struct span bytes, size_t *framing, size_t *data,
                                     enum http_fault *fault) MUST_CHECK;
/* For passing on, still chunked: the first *forward bytes go out as they are, the next *drop bytes do not (extensions, trailers).
 * What goes out is again a valid chunked body. */
enum http_answer http_chunked_pass(struct http_chunked *chunked, struct span bytes, size_t *forward, size_t *drop,
                                   enum http_fault *fault) MUST_CHECK;

#define HTTP_CHUNK_HEADER_SIZE 18u
/* Writes "SIZE\r\n" for a chunk of our own (content and "\r\n" follow it); returns its size in bytes. The last is "0\r\n\r\n". */
size_t http_chunk_header(uint64_t size_bytes, char out[HTTP_CHUNK_HEADER_SIZE]);

/* ---- paths ---------------------------------------------------------------------------------------------------- */

struct http_path {
	size_t size;        /* bytes written */
	bool changed;       /* differs from the path as it came */
	bool encoded_slash; /* has %2F or %5C, which were left encoded: servers disagree on what it means */
	bool empty_segment; /* has "//", which servers may or may not read as "/" */
	bool above_root;    /* ".." tried to leave the root; it was stopped there */
};

/* For matching only (RFC 3986 6.2.2): decodes what need not be encoded, upper-cases the other percent-encodings, removes
 * dot-segments. `path` starts with '/' (or is empty: "/"), without query. HTTP_FAULT_PATH: bad percent-encoding, %00, or out_size
 * is too small (path.size + 1 always suffices). */
enum http_fault http_path_normalise(struct span path, char *out, size_t out_size, struct http_path *result) MUST_CHECK;

/* ---- conditions and preferences (http_condition.c) ------------------------------------------------------------ */

/* A list of entity tags (If-Match, If-None-Match; also the one of If-Range) names this tag, which has its quotes and is strong;
 * "*" names all. `weakly`: W/ makes no difference (RFC 9110 8.8.3.2). What is malformed names nothing. */
bool http_tags_match(struct span list, struct span tag, bool weakly) MUST_CHECK;
/* Seconds since 1970 of a date in one of the three forms (RFC 9110 5.6.7); `now_s` gives a year of two digits its century. */
bool http_date_parse(struct span text, uint64_t now_s, uint64_t *seconds) MUST_CHECK;
/* How much something is preferred (RFC 9110 12.4.2): "0.85" is 850. False: it is no quality, and *thousandths stays as it is. */
#define HTTP_QUALITY_MOST 1000
bool http_quality_parse(struct span text, unsigned *thousandths) MUST_CHECK;

/* ---- ranges (http_range.c) -------------------------------------------------------------------------------------- */

#define HTTP_RANGES_MOST 16u
struct http_range {
	uint64_t first, last; /* both included */
};
enum http_ranges {
	HTTP_RANGES_GOOD,    /* at least one, within the size, in the order of the request */
	HTTP_RANGES_IGNORED, /* malformed, another unit, too many, or they overlap (RFC 9110 14.2, 17.15): the whole is sent */
	HTTP_RANGES_OUTSIDE, /* none begins within the size: 416 */
};
enum http_ranges http_ranges_parse(struct span value, uint64_t size_bytes, struct http_range ranges[HTTP_RANGES_MOST],
                                   unsigned *count) MUST_CHECK;

/* ---- passwords (RFC 7617) -------------------------------------------------------------------------------------- */

/* Reads the value of an Authorization field: "Basic", name and password in base64. Both stand in `memory` then, up to `room`
 * bytes together with the colon between them, and have no control byte; the name has no colon. False: it is none, or does not
 * fit. */
bool http_basic_read(struct span value, char *memory, size_t room, struct span *name, struct span *password) MUST_CHECK;

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* Collects a head in `memory`; with `parts`, long kept runs and references are not copied but pointed to, so the input must stay
 * until it is sent. Without (parts == NULL) everything is copied. When anything does not fit, `failed` is set and stays: look
 * once, at the end. */
struct http_writer {
	char *memory;
	size_t size, room; /* bytes used and there */
	struct iovec *parts;
	unsigned part_count, parts_most;
	size_t part_start; /* where in memory the open part begins */
	size_t total;      /* bytes in all, copied and pointed to */
	bool failed;
};

void http_writer_init(struct http_writer *writer, char *memory, size_t room, struct iovec *parts, unsigned parts_most);
/* Closes the last part. Afterwards: writer->parts[0 .. part_count) (or memory[0 .. size)) is the head. False: did not fit. */
bool http_writer_finish(struct http_writer *writer) MUST_CHECK;

void http_write(struct http_writer *writer, struct span text); /* copies */
void http_write_reference(struct http_writer *writer,
                          struct span text); /* points to it when there are parts (a body behind its head) */
void http_write_field(struct http_writer *writer, struct span name, struct span value); /* "name: value\r\n" */
void http_write_field_number(struct http_writer *writer, struct span name, uint64_t value);
/* Content-Length, Transfer-Encoding: chunked, or nothing. */
void http_write_framing(struct http_writer *writer, enum http_framing framing, uint64_t length);
void http_write_head_end(struct http_writer *writer); /* the empty line */

/* The request line and all fields that are kept, as HTTP/1.1. Left out: dropped fields, Content-Length, Transfer-Encoding, and
 * the known ones in `without`. absolute-form becomes origin-form and its host becomes Host; without any host `host_if_none` does
 * (RFC 9112 3.2). The caller adds his own fields, framing and the end. Not for CONNECT. */
void http_write_request(struct http_writer *writer, const struct http_request *request, uint64_t without,
                        struct span host_if_none);
/* The status line and kept fields, as HTTP/1.1, in the same way. */
void http_write_response(struct http_writer *writer, const struct http_response *response, uint64_t without);
/* "HTTP/1.1 503 Service Unavailable\r\n" for an answer of our own. */
void http_write_status(struct http_writer *writer, int status);
/* The reason of a known status, "Unknown" otherwise. */
struct span http_status_reason(int status);

#define HTTP_DATE_SIZE 29u
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), not zero-terminated. */
void http_date_format(uint64_t wall_us, char out[HTTP_DATE_SIZE]);
/* Keeps the text until the second changes; one for each thread, zeroed at first. */
struct http_date {
	uint64_t second;
	char text[HTTP_DATE_SIZE];
};
struct span http_date_now(struct http_date *date, uint64_t wall_us);

#endif
