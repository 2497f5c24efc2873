/* SPDX-License-Identifier: BSD-2-Clause
 *
 * messages: what the supervisor and a child say to each other over a SOCK_SEQPACKET pair.
 *
 * Fixed structs, each of exactly the size of its type, with at most one descriptor. What is large (board, snapshot) travels as a
 * memory file. A message of an unknown type, another size, or with a descriptor missing or too many is a fault of the other side:
 * the receiver does not try to go on (a child ends; the supervisor kills and restarts the child).
 */
#ifndef NOAH_MESSAGES_H
#define NOAH_MESSAGES_H

#include "base/base.h"

/* Lines are only ever added at the end, and no struct ever changes its size: after an upgrade the supervisor is a newer program
 * than the traffic that it retires.
 *  name, struct, carries a descriptor, meaning */
#define MESSAGES(X)                                                                                                 \
	X(MESSAGE_START, message_start, true, "to a child, first of all; with the board")                               \
	X(MESSAGE_LOG, message_empty, true, "to a child: this is standard error now")                                   \
	X(MESSAGE_ACCESS_LOG, message_access_log, true, "to traffic: where the lines of the access log go")             \
	X(MESSAGE_ACCESS_LOG_NONE, message_empty, false, "to traffic: no access log")                                   \
	X(MESSAGE_LISTENER, message_listener, true, "to a child: a listening socket, used from the next snapshot on")   \
	X(MESSAGE_LISTENER_GONE, message_listener, false, "to a child: stop accepting there")                           \
	X(MESSAGE_SNAPSHOT, message_snapshot, true, "to a child: the cluster, sealed")                                  \
	X(MESSAGE_DRAIN, message_empty, false, "to traffic: finish what is under way within a deadline, then end")      \
	X(MESSAGE_TAKEN, message_snapshot, false, "to the supervisor: works by this snapshot now")                      \
	X(MESSAGE_RETIRE, message_empty, false, "to traffic: accept no more, finish without a deadline, then end")      \
	X(MESSAGE_KEYRING, message_empty, true,                                                                         \
	  "to traffic: certificates and ticket keys, sealed; before a snapshot that needs them")                        \
	X(MESSAGE_ACCESS_LOG_GONE, message_empty, false,                                                                \
	  "to the supervisor: who took the access log's lines has gone: connect again")                                 \
	X(MESSAGE_RETIRED, message_empty, false, "to the supervisor: after MESSAGE_RETIRE, no thread accepts any more") \
	X(MESSAGE_GUARD, message_empty, true, "to traffic, after MESSAGE_START: where addresses are counted and banned")

enum message_type {
	MESSAGE_TYPE_NONE,
#define X(name, payload, descriptor, meaning) name,
	MESSAGES(X)
#undef X
	    MESSAGE_TYPES_END
};

struct message_empty {
	uint32_t zero;
};

struct message_start {
	uint32_t threads;    /* of traffic */
	uint32_t first_lane; /* of traffic: its threads have the board's lanes from here on */
};

struct message_access_log {
	uint32_t to;     /* enum cluster_log_to */
	uint32_t format; /* enum cluster_log_format */
};

enum listener_kind {
	LISTENER_HTTP = 1,
	LISTENER_SQL,
	LISTENER_HTTPS,
	LISTENER_TCP,   /* of a TCP service */
	LISTENER_ADMIN, /* metrics: accepted from by watch, all others by traffic */
};

struct message_listener {
	uint32_t id; /* never used twice by one supervisor */
	uint32_t kind;
	struct address address;
};

struct message_snapshot {
	uint64_t generation;
};

#define MESSAGE_MAGIC 0x6e6f6168u
struct message {
	uint32_t magic;
	uint32_t type; /* enum message_type */
	union {
		struct message_empty empty;
		struct message_start start;
		struct message_access_log access_log;
		struct message_listener listener;
		struct message_snapshot snapshot;
	};
};

const char *message_type_text(uint32_t type); /* "MESSAGE_START"; "unknown" for what is none */

/* Sends one; `descriptor` is -1 for types that carry none and stays the caller's. Waits up to MESSAGE_SEND_MS when the channel is
 * full. 0 or -errno (-EPIPE, -ECONNRESET: the other side has ended; -ETIMEDOUT: it does not read). */
#define MESSAGE_SEND_MS 2000
int message_send(int channel, const struct message *message, int descriptor) MUST_CHECK;

/* Receives one into *message and *descriptor (-1 when the type carries none; otherwise the caller's). 1: there is one; 0: the
 * other side closed; -EAGAIN on a non-blocking channel; -EPROTO: a fault of the other side, logged; other -errno. */
int message_receive(int channel, struct message *message, int *descriptor) MUST_CHECK;

#endif
