/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto/proxy_protocol: what a proxy in front says, before anything else, about the connection that it passes on (haproxy's
 * doc/proxy-protocol.txt), in text (version 1) or binary (version 2).
 *
 * Pure: no I/O, no allocation; any process and thread may call it. http/ uses it for connections of trusted front ends.
 */
#ifndef NOAH_PROTO_PROXY_PROTOCOL_H
#define NOAH_PROTO_PROXY_PROTOCOL_H

#include "base/base.h"

#define PROXY_PROTOCOL_MOST 4096u /* bytes of a header, whatever else stands in it; version 1 never has more than 107 */

enum proxy_answer {
	PROXY_DONE,  /* complete and right */
	PROXY_MORE,  /* right so far, more bytes are needed */
	PROXY_WRONG, /* not this protocol, or not as it says: such a connection must end */
};

struct proxy_told {
	bool known;  /* false: the front end's own connection (LOCAL), or one that it cannot describe; the rest says nothing */
	bool secure; /* the visitor came to the front end with TLS (PP2_TYPE_SSL) */
	struct address from; /* of the visitor, with port */
	struct address to;   /* where he connected to */
};

/* Reads the header that `bytes` begins with. PROXY_DONE: *told is filled, *used bytes belong to the header. PROXY_WRONG: *why
 * says what is wrong. With PROXY_MORE at PROXY_PROTOCOL_MOST bytes it never asks for more. */
enum proxy_answer proxy_protocol_parse(const char *bytes, size_t size_bytes, struct proxy_told *told, size_t *used,
                                       const char **why) MUST_CHECK;

#endif
