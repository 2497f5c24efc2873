/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP/2 towards visitors (RFC 9113): what the h2_*.c share with one another, and what connection.c and core.c call. nghttp2
 * knows frames, header compression, stream states and windows; it does no I/O.
 *
 * A connection is one task while a stream is open or output is pending, and a parked record otherwise (h2_connection.c). It reads
 * frames (h2_receive.c), starts a task for each request (h2_stream.c), and writes what all of them have put into its output
 * (h2_output.c) once in a turn of the loop. h2_visitor.c is what an exchange sees. h2_calm.c counts what only an attacker does
 * often.
 */
#ifndef NOAH_HTTP_H2_H
#define NOAH_HTTP_H2_H

#include "http/http_private.h"

#include "proto/http2.h"

#include <nghttp2/nghttp2.h>

/* ---- bounds ------------------------------------------------------------------------------------------------------- */

#define H2_STREAMS_MOST 128u /* at once; more are refused (the visitor may send them again) */
/* Bytes of a request's body that may be on their way to noah. The first ones of each request; when it reads on, more, but only
 * for a few of a connection at a time: what a connection can make noah take is bounded by the sum. The window of the connection
 * itself opens as they come, so that bodies which wait for something do not shut it for the others. */
#define H2_FIRST_WINDOW_BYTES 8192u
#define H2_WINDOW_BYTES       65535u
#define H2_WIDE_MOST          8u /* requests of a connection with the larger window */
#define H2_CONNECTION_WINDOW  (1u << 20)
#define H2_FRAME_MOST         (16384u + 9u)
#define H2_OFFERED_PARTS      32u /* pieces of an answer of which frames are made: always more than one frame's */
#define H2_OUTPUT_BUFFERS     5u  /* of NET_BUFFER_SIZE: what waits for a visitor who does not read */
#define H2_BLOCK_MOST         (4u * HTTP_HEAD_MOST) /* bytes of one head, compressed or not, that are read at all */
#define H2_LAST_FRAMES_MS     1000                  /* how long an ending connection waits for requests under way to it */

/* ---- one connection ----------------------------------------------------------------------------------------------- */

struct h2_output {
	struct buffer buffers[H2_OUTPUT_BUFFERS];
	unsigned first, count;
};

/* Points are paid for what is cheap to send and useful now and then only (h2_calm.c). */
struct h2_calm {
	uint64_t updated_us;
	uint32_t points; /* left */
};

/* The frames that have come, complete, and those of which nghttp2 has said something: the others mean nothing here (h2_calm.c).
 */
struct h2_frames_seen {
	uint32_t skip; /* bytes until the next frame begins */
	uint8_t head[9], head_size;
	uint64_t complete, reported, paid;
};

enum h2_ending { H2_GOES_ON, H2_ANNOUNCED, H2_LAST_STREAM_NAMED };

#define H2_CONNECTION_MAGIC 0x68326363u
struct h2_connection {
	uint32_t magic;
	bool dead;             /* nothing can be read from or written to the visitor any more */
	bool has_task;         /* h2_connection.c's */
	bool block_open;       /* a head has begun and is not complete */
	uint8_t ending;        /* enum h2_ending: GOAWAY */
	uint8_t fate;          /* enum http_fate of the client when it is dead */
	const char *complaint; /* why it was ended with ENHANCE_YOUR_CALM */
	struct http_client *client;
	nghttp2_session *session;
	struct list streams;
	unsigned stream_count;
	struct wait_queue wake; /* its task: there is output, or a stream has ended */
	struct h2_output output;
	struct buffer head_memory; /* while a head comes */
	struct http2_head head;
	uint64_t block_bytes, block_since_us;
	struct h2_calm calm;
	struct h2_frames_seen seen;
	unsigned wide_count; /* streams with the larger window */
	uint64_t idle_since_us, ending_since_us, written_us;
	int64_t idle_ms;
};

/* ---- one stream ---------------------------------------------------------------------------------------------------- */

#define H2_STREAM_MAGIC 0x68327374u
struct h2_stream {
	uint32_t magic;
	int32_t id;
	bool ended;   /* the visitor has sent all of the request */
	bool closed;  /* nghttp2 knows it no more: reset, or over on both sides */
	bool started; /* its task has */
	struct list link;
	struct h2_connection *connection;
	struct wait_queue changed; /* its task: more of the body, room in the output, closed */
	uint64_t bytes_in, bytes_out;

	/* the request: its head as HTTP/1.1 text, with room for framing; or what is wrong with it */
	char *head;
	uint32_t head_size, head_room;
	bool has_length;
	enum http_fault fault;
	/* and its body */
	struct http_spool body; /* what has come and is not in `input` yet */
	bool chunked, last_chunk_given;
	bool overrun;         /* the pool had no room for what came */
	bool wide;            /* it has the larger window */
	uint32_t taken_bytes; /* content of `input`, given back to the window once it is used up */
	struct buffer input;  /* exchange->input, with room in front and behind for the framing of a chunk */

	/* what is offered to the visitor (h2_visitor.c) */
	struct iovec offered[H2_OFFERED_PARTS], *parts;
	unsigned part_count;
	size_t offered_bytes, offered_before;
	uint64_t bytes_out_seen; /* when his pace was looked at */
	bool end_offered, end_sent;
};

/* ---- called from outside ------------------------------------------------------------------------------------------- */

/* The visitor speaks HTTP/2: by ALPN, or because what has come begins like h2_preface. In the client's task; the client is its
 * own from here on, and is parked or closed when this returns. */
void h2_serve(struct http_client *client);
/* The core drains: the visitor is told; what is under way is finished. */
void h2_drain(struct h2_connection *connection);
/* "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" (RFC 9113 3.4). */
extern const struct span h2_preface;

/* ---- between the files --------------------------------------------------------------------------------------------- */

/* h2_connection.c */
void h2_connection_unref_stream(
    struct h2_connection *connection); /* a stream less; frees the connection when it was the last user */

/* h2_receive.c */
bool h2_session_new(struct h2_connection *connection) MUST_CHECK; /* false: no memory */
/* Frames as they come. Sets `dead` when the visitor broke the protocol, after a GOAWAY. */
void h2_receive(struct h2_connection *connection, struct span bytes);

/* h2_stream.c */
struct h2_stream *h2_stream_new(struct h2_connection *connection, int32_t id) MUST_CHECK; /* NULL: no memory */
void h2_stream_start(struct h2_stream *stream); /* the head is complete, or malformed: starts its task, or refuses it */
bool h2_stream_add_body(struct h2_stream *stream,
                        struct span bytes) MUST_CHECK; /* false: the connection is in no state to go on */
void h2_stream_free(struct h2_stream *stream);         /* and gives its window back; the connection is a user less */
/* The next piece of the body becomes stream->input, which is empty. NET_TIMEOUT: nothing is there now. */
enum net_result h2_stream_fill(struct h2_stream *stream) MUST_CHECK;

/* h2_output.c */
/* Has nghttp2 write all frames that there is room for, and has the connection's task send them at the end of this turn. */
void h2_pump(struct h2_connection *connection);
bool h2_output_add(struct h2_output *output, const void *bytes, size_t size) MUST_CHECK; /* false: no memory or no room */
size_t h2_output_room(const struct h2_output *output);
/* Bytes that the visitor has acknowledged, more or less. */
uint64_t h2_bytes_taken(const struct h2_connection *connection);
/* Sends what the socket takes. NET_OK: all; NET_TIMEOUT: some is left. */
enum net_result h2_output_send(struct h2_output *output, struct stream *stream) MUST_CHECK;
void h2_output_free(struct h2_output *output);
/* nghttp2's callbacks for DATA. */
ssize_t h2_data_read(nghttp2_session *session, int32_t id, uint8_t *memory, size_t most, uint32_t *flags,
                     nghttp2_data_source *source, void *argument);
int h2_data_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t size, nghttp2_data_source *source,
                 void *argument);

/* h2_visitor.c */
extern const struct http_visitor http2_visitor;

/* h2_calm.c */
enum h2_nuisance {
	H2_RESET_BY_VISITOR, /* of a request that was under way (CVE-2023-44487) */
	H2_RESET_PROVOKED,   /* he made noah reset a stream (CVE-2025-8671) */
	H2_FRAME_FOR_NOTHING,
};
void h2_calm_init(struct h2_connection *connection);
/* False: he has done it too often; the connection is to be ended with ENHANCE_YOUR_CALM. */
bool h2_calm_pay(struct h2_connection *connection, enum h2_nuisance nuisance, const char *what) MUST_CHECK;
/* Goes through what has come, before nghttp2 reads it. */
void h2_calm_count_frames(struct h2_connection *connection, struct span bytes);
/* After it has: pays for frames that it passed over without a word. False as above. */
bool h2_calm_pay_unreported(struct h2_connection *connection) MUST_CHECK;
/* Says GOAWAY with this error code by itself, whatever state nghttp2 is in, and lets the connection die once that is sent. */
void h2_give_up(struct h2_connection *connection, uint32_t code);

#endif
