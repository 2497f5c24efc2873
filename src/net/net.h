/* SPDX-License-Identifier: BSD-2-Clause
 *
 * net: stream sockets for tasks: connect, listen, accept, read, write, and pooled buffers.
 *
 * Every function that may wait runs in a task and takes a timeout in milliseconds (NO_TIMEOUT: none). Used by upstream, http, sql
 * and watch.
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
struct stream {
	struct watched watched;
	struct buffer input;
	uint64_t bytes_read, bytes_written;
};

void stream_init(struct stream *stream); /* closed, descriptor -1 */
/* Takes over a connected descriptor (accepted elsewhere); sets it non-blocking and without delay. On failure it is closed. */
enum net_result stream_adopt(struct stream *stream, int descriptor) MUST_CHECK;
/* TCP or Unix. On anything but NET_OK the stream is closed. `from` may be NULL. */
enum net_result stream_connect(struct stream *stream, const struct address *to, int64_t timeout_ms) MUST_CHECK;
bool stream_is_open(const struct stream *stream);
/* Closes and gives the buffer back. Harmless when closed. */
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
/* Writes all, waiting as needed; timeout_ms is for each wait. `parts` is modified. On failure some may have been sent. */
enum net_result stream_write(struct stream *stream, struct iovec *parts, unsigned count, int64_t timeout_ms) MUST_CHECK;
enum net_result stream_write_bytes(struct stream *stream, const void *bytes, size_t size, int64_t timeout_ms) MUST_CHECK;
/* Writes what the socket takes now; *sent tells how much. NET_TIMEOUT: it takes nothing. */
enum net_result stream_write_now(struct stream *stream, const void *bytes, size_t size, size_t *sent) MUST_CHECK;

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
/* Stops accepting; the descriptor stays open. */
void net_listener_free(struct net_listener *listener);

#endif
