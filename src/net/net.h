/* SPDX-License-Identifier: BSD-2-Clause
 *
 * net: stream sockets for tasks: connect, listen, accept, read, write, and pooled buffers.
 *
 * Every function that may wait runs in a task and takes a timeout in milliseconds (NO_TIMEOUT: none). Used by tls, upstream, http,
 * tcp, sql, watch and process.
 */
#ifndef NOAH_NET_H
#define NOAH_NET_H

#include "loop/loop.h"

/* ---- outcomes ------------------------------------------------------------------------------------------------- */

#define NET_RESULTS(X)                                                                                                 \
	X(NET_OK, "ok")                                                                                                    \
	X(NET_CLOSED, "the other side closed the connection")                                                              \
	X(NET_TIMEOUT, "timed out")                                                                                        \
	X(NET_CANCELLED, "cancelled")                                                                                      \
	X(NET_REFUSED, "connection refused")                                                                               \
	X(NET_RESET, "connection reset by the other side")                                                                 \
	X(NET_UNREACHABLE, "no route to the other side")                                                                   \
	X(NET_NO_RESOURCES, "out of descriptors, ports or memory")                                                         \
	X(NET_FAILED, "system call failed")

enum net_result {
#define X(name, text) name,
	NET_RESULTS(X)
#undef X
};
const char *net_result_text(enum net_result result);
/* The result that stands for an errno value of connect, read or write. */
enum net_result net_result_of_errno(int error);

/* ---- buffers -------------------------------------------------------------------------------------------------- */

/* NET_BUFFER_SIZE bytes from the loop's free list, given back whenever empty: a connection holds none while idle. */
#define NET_BUFFER_SIZE 16384u
struct buffer {
	char *memory; /* NULL while given back */
	uint32_t start, end; /* bytes [start, end) are filled */
};

static inline size_t buffer_filled(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}
static inline struct span buffer_span(const struct buffer *buffer)
{
	return span_of(buffer->memory + buffer->start, buffer->end - buffer->start);
}
/* Gets memory if there is none. False when memory is out. */
bool buffer_hold(struct buffer *buffer) MUST_CHECK;
/* Marks `size` bytes as used. When nothing is left, start and end go back to 0; the memory stays. */
void buffer_consume(struct buffer *buffer, size_t size);
/* Moves what is filled to the front, so that all free room is behind it. */
void buffer_compact(struct buffer *buffer);
/* Gives the memory back; what it held is dropped. */
void buffer_release(struct buffer *buffer);
/* Releases only when nothing is filled. */
void buffer_release_if_empty(struct buffer *buffer);

/* ---- streams -------------------------------------------------------------------------------------------------- */

/* A connected socket with an input buffer. Embed it; it must not move while open. */
struct tls;
struct stream {
	struct watched watched;
	struct buffer input;
	struct tls *tls; /* NULL: plain */
	uint64_t bytes_read, bytes_written; /* of the plain text */
	bool more_follows; /* at once: what is written waits for it, so that both leave together. Plain streams only */
};

void stream_init(struct stream *stream); /* closed, descriptor -1 */
/* Takes over a connected descriptor (accepted elsewhere); sets it non-blocking and without delay. On failure it is closed. */
enum net_result stream_adopt(struct stream *stream, int descriptor) MUST_CHECK;
/* TCP or Unix. On anything but NET_OK the stream is closed. `from` may be NULL. */
enum net_result stream_connect(struct stream *stream, const struct address *to, int64_t timeout_ms) MUST_CHECK;
bool stream_is_open(const struct stream *stream);
/* Closes and gives the buffer back; over TLS the peer is told that this is the end (close_notify). Harmless when closed. */
void stream_close(struct stream *stream);
/* Close with a reset (RST) instead of an orderly end: tells the peer that the message was cut short. */
void stream_abort(struct stream *stream);
/* Sends FIN, then reads and drops at most 64 KB for at most timeout_ms so that the peer sees our last answer (RFC 9112 9.6), then closes. */
void stream_close_gently(struct stream *stream, int64_t timeout_ms);
/* True when a pooled, idle connection is still good: open, no byte and no FIN waiting. Makes no system call unless the loop
 * has seen an event. */
bool stream_is_quiet(const struct stream *stream);

/* Reads more into the input buffer behind what is filled (compacting first when the room is short). NET_OK: at least one byte more.
 * NET_NO_RESOURCES when the buffer is full or memory is out. */
enum net_result stream_fill(struct stream *stream, int64_t timeout_ms) MUST_CHECK;
/* Reads what is there now without waiting; NET_TIMEOUT when nothing is. */
enum net_result stream_fill_now(struct stream *stream) MUST_CHECK;
/* Copies what has come to `out` without taking it, once it is more than *size bytes, and sets *size. Only before anything else was
 * read, and before TLS: for what stands in front of it. NET_CLOSED: no more will come. */
enum net_result stream_peek(struct stream *stream, char *out, size_t room, size_t *size, int64_t timeout_ms) MUST_CHECK;
/* Takes the first `size` of `peeked` bytes away that stream_peek has just shown. */
enum net_result stream_drop(struct stream *stream, size_t size, size_t peeked) MUST_CHECK;
/* Writes all, waiting as needed; timeout_ms is for each wait. `parts` is modified. On failure some may have been sent. */
enum net_result stream_write(struct stream *stream, struct iovec *parts, unsigned count, int64_t timeout_ms) MUST_CHECK;
enum net_result stream_write_bytes(struct stream *stream, const void *bytes, size_t size, int64_t timeout_ms) MUST_CHECK;
/* Writes what the socket takes now; *sent tells how much. NET_TIMEOUT: it takes nothing. Over TLS at most a record (16 KB), and after
 * NET_TIMEOUT the next write must begin with the same bytes and be no shorter: the record stands. */
enum net_result stream_write_now(struct stream *stream, const void *bytes, size_t size, size_t *sent) MUST_CHECK;

/* The same for several parts: what the socket takes of them in one call. They are not modified. */
enum net_result stream_write_parts_now(struct stream *stream, struct iovec *parts, unsigned count, size_t *sent) MUST_CHECK;
/* `size` bytes of a file, beginning at `offset`, to a plain stream, as far as the socket takes them now. *sent tells how many went.
 * NET_TIMEOUT: it takes no more; NET_CLOSED: the file has fewer. (send_file.c) */
enum net_result stream_send_file_now(struct stream *stream, int file, uint64_t offset, size_t size, size_t *sent) MUST_CHECK;

/* Says that nothing more will come from here (FIN); reading goes on. */
void stream_end_writing(struct stream *stream);

/* ---- tunnels (tunnel.c) ---------------------------------------------------------------------------------------- */

struct tunnel;

struct tunnel_result {
	enum net_result how; /* NET_OK: both sides have ended in order; NET_TIMEOUT: silence for too long, or a side that took nothing for so
	                      * long; NET_CANCELLED: the loop stopped; else what broke */
	bool by_first;       /* it was the first stream that broke */
	uint64_t first_bytes, second_bytes; /* that came from the first and went to the second, and the other way */
};

/* Ties two open streams of the running loop together. What is in their input buffers goes on first. Both must stay where they are, untouched,
 * until ended(argument, result) is called, once, in a task that may be cancelled: by then both are closed. While nothing moves it costs
 * its record: no stack, no buffer. NULL when memory is out: both are still the caller's. */
struct tunnel *tunnel_start(struct stream *first, struct stream *second, int64_t idle_ms,
                            void (*ended)(void *argument, const struct tunnel_result *result), void *argument) MUST_CHECK;
/* From now on silence may last only this long (no longer than before). Not after `ended`. */
void tunnel_hurry(struct tunnel *tunnel, int64_t idle_ms);

/* ---- TLS on a stream (tls.c) ---------------------------------------------------------------------------------- */

/* All functions above work over TLS too. What the TLS layer holds back of undelivered bytes keeps `watched.readable` true. An idle
 * connection holds no buffers. */

struct ssl_ctx_st;
struct ssl_st;

/* The server's handshake; timeout_ms is for all of it. The first bytes should have come: a stack waits for the rest. On anything but
 * NET_OK the stream is plain again and open; NET_FAILED: the peer was told why (an alert), stream_secure_failure says it. Bytes that
 * were read are gone. */
enum net_result stream_secure(struct stream *stream, struct ssl_ctx_st *context, int64_t timeout_ms) MUST_CHECK;
/* Why the last stream_secure of this thread failed, good until the next wait. *plain_text: the visitor did not speak TLS but, by
 * the look of it, HTTP: he can read an answer in plain text. */
const char *stream_secure_failure(bool *plain_text);
static inline bool stream_is_secure(const struct stream *stream)
{
	return stream->tls != NULL;
}
/* What the two sides agreed on by ALPN: "h2", "http/1.1", or "" (nothing, or plain). */
const char *stream_protocol(const struct stream *stream);
/* The name that the visitor asked for (SNI), in lower case; "" when he named none, or plain. Good while the stream is open. */
const char *stream_server_name(const struct stream *stream);
/* The handshake went on with an earlier session: it showed no certificate. */
bool stream_is_resumed(const struct stream *stream);
/* "TLSv1.3"; "" when plain. */
const char *stream_tls_version(const struct stream *stream);
/* Once, in a process of many TLS connections, before OpenSSL is used: its larger blocks are kept by each thread. (tls_memory.c) */
void net_keep_tls_memory(void);
/* OpenSSL's record of the connection, for src/tls; NULL when plain. */
struct ssl_st *stream_ssl(const struct stream *stream);

/* ---- listeners ------------------------------------------------------------------------------------------------ */

/* Opens a listening socket (TCP: SO_REUSEADDR, dual-stack for [::]; Unix: replaces a dead socket file, mode 0666). Returns the
 * descriptor (non-blocking, close-on-exec) or -errno. Not in a task: the supervisor calls it. */
int net_listen(const struct address *at, int backlog) MUST_CHECK;

struct net_listener;
/* Accepts on `descriptor` in the running loop; for each connection calls accepted(argument, descriptor, from) in the listener's task; the callee
 * owns the descriptor and may not wait. Out of descriptors: accepting pauses 100 ms and says so in the log. NULL when memory or epoll is out. */
struct net_listener *net_listener_new(int descriptor,
                                      void (*accepted)(void *argument, int descriptor, const struct address *from),
                                      void *argument) MUST_CHECK;
/* Accepts all that wait in the socket's queue, then stops; the descriptor stays open. Where others go on with the socket: an arrival
 * wakes only one of them, and if that was this one, nobody else would come for it. On the loop. */
void net_listener_finish(struct net_listener *listener);
/* Stops accepting; the descriptor stays open. */
void net_listener_free(struct net_listener *listener);

#endif
