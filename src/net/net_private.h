/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What stream.c and tls.c share: how a stream reads and writes when TLS lies between it and its socket.
 */
#ifndef NOAH_NET_PRIVATE_H
#define NOAH_NET_PRIVATE_H

#include "net/net.h"

/* By pointers, so that stream.c and what is linked with it alone need no OpenSSL. */
struct tls_calls {
	enum net_result (*fill_now)(struct stream *stream);
	/* As much of the parts as fits one record. Like send_parts of stream.c. */
	enum net_result (*send_parts)(struct stream *stream, struct iovec *parts, unsigned count, size_t *sent);
	/* Tells the peer that nothing more comes (close_notify, RFC 8446 6.1), if the socket takes it now; reading goes on. */
	void (*end_writing)(struct stream *stream);
	/* Frees the layer and clears stream->tls; when `orderly`, after end_writing, unless the peer is gone. */
	void (*end)(struct stream *stream, bool orderly);
};

/* The first member of what tls.c keeps for each connection. */
struct tls {
	const struct tls_calls *calls;
};

/* Room for a read behind what is filled; 0: none, or no memory. */
size_t stream_input_room(struct stream *stream) MUST_CHECK;
enum net_result net_result_of_wait(enum wait_result result) MUST_CHECK;

#endif
