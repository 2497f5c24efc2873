/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tunnels: two streams tied together, bytes passed on as they come, both ways, until both sides have ended. For TCP services and
 * for connections that changed their protocol (WebSocket). On traffic's loops; http/ and tcp/ call it.
 *
 * Each way is on its own: parked while nothing comes (no stack, no buffer), a short-lived task while bytes move. Only when the
 * tunnel is ending do both ways let go, and the last one tells the owner:
 *
 *    parked -> moving -> parked (nothing more to read now; also after the end of the side that it reads from: it may yet break)
 *         \-------\----> over, once the tunnel is ending
 */
#include "net/net.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TUNNEL_MAGIC      0x74756e6eu
#define PIECES_AT_ONCE    16u /* buffers moved before others have their turn */
#define KEEPALIVE_IDLE_S  60  /* a machine that has gone is found 90 s after its last sign of life */
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_PROBES  3

/* One way through the tunnel. */
struct way {
	struct tunnel *tunnel;
	struct stream *from, *to;
	struct task *task; /* while it runs */
	uint64_t bytes;
	bool ended; /* nothing more goes this way: `from` has said its last word and `to` was told, or `to` takes no more */
	bool over;  /* touches nothing any more */
};

struct tunnel {
	uint32_t magic;
	bool ending;
	bool broken; /* a side was reset, or its machine is gone: the other one must not take what it has for the whole */
	struct way ways[2];
	int64_t idle_ms;
	uint64_t moved_us;           /* loop time of the last byte */
	struct tunnel_result result; /* `how` is the first failure, even before the end */
	void (*ended)(void *argument, const struct tunnel_result *result);
	void *argument;
};

static void way_resume(void *argument, enum wait_result why);

static struct loop *loop_of(const struct tunnel *tunnel)
{
	return tunnel->ways[0].from->watched.loop;
}

static int64_t silent_ms(const struct tunnel *tunnel)
{
	return (int64_t)((loop_now_us(loop_of(tunnel)) - tunnel->moved_us) / 1000u);
}

static void way_park(struct way *way)
{
	int64_t left_ms = way->tunnel->idle_ms - silent_ms(way->tunnel);

	loop_park(&way->from->watched, "tunnel", left_ms > 0 ? left_ms : 0, way_resume, way);
}

/* ---- ending ----------------------------------------------------------------------------------------------------- */

static void tunnel_finish(struct tunnel *tunnel)
{
	struct stream *first = tunnel->ways[0].from, *second = tunnel->ways[1].from;
	struct tunnel_result result = tunnel->result;

	if (tunnel->broken && !result.by_first)
		stream_abort(first);
	else
		stream_close(first);
	if (tunnel->broken && result.by_first)
		stream_abort(second);
	else
		stream_close(second);
	result.first_bytes = tunnel->ways[0].bytes;
	result.second_bytes = tunnel->ways[1].bytes;
	void (*ended)(void *, const struct tunnel_result *) = tunnel->ended;
	void *argument = tunnel->argument;
	tunnel->magic = 0;
	free(tunnel);
	ended(argument, &result);
}

static void note_failure(struct tunnel *tunnel, enum net_result how, bool by_first)
{
	if (tunnel->result.how != NET_OK)
		return;
	tunnel->result.how = how;
	tunnel->result.by_first = by_first;
}

/* The other way lets go as soon as it runs. */
static void tunnel_end(struct tunnel *tunnel)
{
	if (tunnel->ending)
		return;
	tunnel->ending = true;
	for (unsigned i = 0; i < COUNT_OF(tunnel->ways); i++) {
		struct way *way = &tunnel->ways[i];
		if (way->task != NULL && way->task != task_current())
			task_cancel(way->task);
		else if (way->task == NULL)
			loop_unpark(&way->from->watched);
	}
}

/* ---- moving ------------------------------------------------------------------------------------------------------- */

static void way_end(struct way *way)
{
	struct tunnel *tunnel = way->tunnel;

	way->ended = true;
	if (tunnel->ways[0].ended && tunnel->ways[1].ended)
		tunnel_end(tunnel);
}

/* What goes wrong while `way` reads, or waits to, ends the tunnel. */
static void reading_failed(struct way *way, enum net_result how)
{
	struct tunnel *tunnel = way->tunnel;

	tunnel->broken |= tunnel->result.how == NET_OK && how != NET_TIMEOUT && how != NET_CANCELLED;
	note_failure(tunnel, how, way == &tunnel->ways[0]);
	tunnel_end(tunnel);
}

/* A server that turns a visitor away says why and closes, with his words unread: then writing to it fails, and what it said is
 * still to be read. So this way ends alone, and the other one ends with the last byte that there is. */
static void writing_failed(struct way *way, enum net_result how)
{
	note_failure(way->tunnel, how, way != &way->tunnel->ways[0]);
	if (how == NET_TIMEOUT || how == NET_CANCELLED)
		tunnel_end(way->tunnel);
	else
		way_end(way);
}

/* After an end in order recv(2) tells of nothing more, not even of a reset. */
static bool is_broken(const struct stream *stream)
{
	int error = 0;
	socklen_t size = sizeof(error);

	return getsockopt(stream->watched.descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
}

/* Takes what there is; false when nothing more is there now. */
static bool way_read(struct way *way)
{
	struct stream *from = way->from;

	if (way->ended && is_broken(from)) {
		reading_failed(way, NET_RESET);
		return false;
	}
	switch (stream_fill_now(from)) {
	case NET_OK:
		return true;
	case NET_TIMEOUT:
		if (from->watched.readable && from->tls == NULL)
			reading_failed(way, NET_UNREACHABLE); /* the kernel has given up on its machine (ETIMEDOUT) */
		return false;
	case NET_CLOSED:
		from->watched.readable = false; /* until something more happens: a reset */
		if (!way->ended)
			stream_end_writing(way->to);
		way_end(way);
		return false;
	case NET_NO_RESOURCES:
		reading_failed(way, NET_NO_RESOURCES);
		return false;
	default:
		reading_failed(way, NET_RESET);
		return false;
	}
}

static void way_write(struct way *way)
{
	struct buffer *input = &way->from->input;
	size_t size = buffer_filled(input);
	enum net_result result = NET_OK;

	if (!way->ended)
		result = stream_write_bytes(way->to, input->memory + input->start, size, way->tunnel->idle_ms);
	buffer_consume(input, size);
	if (result != NET_OK)
		writing_failed(way, result);
	else if (!way->ended)
		way->bytes += size;
	way->tunnel->moved_us = loop_now_us(loop_of(way->tunnel));
}

static void way_move(struct way *way)
{
	struct tunnel *tunnel = way->tunnel;

	for (unsigned round = 1; !tunnel->ending; round++) {
		if (buffer_filled(&way->from->input) == 0 && !way_read(way))
			return;
		way_write(way);
		if (round % PIECES_AT_ONCE == 0 && task_yield() == WAIT_CANCELLED && !tunnel->ending)
			reading_failed(way, NET_CANCELLED);
	}
}

static void way_resume(void *argument, enum wait_result why)
{
	struct way *way = argument;
	struct tunnel *tunnel = way->tunnel;

	CHECK_MAGIC(tunnel, TUNNEL_MAGIC);
	way->task = task_current();
	if (task_is_cancelled() && !tunnel->ending)
		reading_failed(way, NET_CANCELLED);
	else if (way->from->watched.readable)
		way_move(way);
	else if (silent_ms(tunnel) >= tunnel->idle_ms && !tunnel->ending)
		reading_failed(way, NET_TIMEOUT);
	buffer_release_if_empty(&way->from->input);
	way->task = NULL;
	if (!tunnel->ending) {
		way_park(way);
		return;
	}
	way->over = true;
	if (tunnel->ways[0].over && tunnel->ways[1].over)
		tunnel_finish(tunnel);
	(void)why; /* what it would say is looked at above: a record may be ready and out of time at once */
}

/* ---- the verbs of net.h -------------------------------------------------------------------------------------------- */

/* An idle tunnel whose other end has lost its power would stand until the idle timeout, which is an hour. */
static void keep_alive(const struct stream *stream)
{
	int on = 1, idle_s = KEEPALIVE_IDLE_S, every_s = KEEPALIVE_EVERY_S, probes = KEEPALIVE_PROBES;
	int descriptor = stream->watched.descriptor, already = 0;
	socklen_t size = sizeof(already);

	if (getsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &already, &size) == 0 && already != 0)
		return; /* who opened it knows better how patient to be */
	/* A Unix socket has no such options, and needs none. */
	(void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

struct tunnel *tunnel_start(struct stream *first, struct stream *second, int64_t idle_ms,
                            void (*ended)(void *argument, const struct tunnel_result *result), void *argument)
{
	struct tunnel *tunnel = calloc(1, sizeof(*tunnel));

	if (tunnel == NULL)
		return NULL;
	ASSERT(first->watched.loop == second->watched.loop && idle_ms > 0);
	tunnel->magic = TUNNEL_MAGIC;
	tunnel->idle_ms = idle_ms;
	tunnel->ended = ended;
	tunnel->argument = argument;
	tunnel->ways[0] = (struct way){.tunnel = tunnel, .from = first, .to = second};
	tunnel->ways[1] = (struct way){.tunnel = tunnel, .from = second, .to = first};
	tunnel->moved_us = loop_now_us(loop_of(tunnel));
	for (unsigned i = 0; i < COUNT_OF(tunnel->ways); i++) {
		struct stream *from = tunnel->ways[i].from;
		keep_alive(from);
		if (buffer_filled(&from->input) > 0)
			from->watched.readable = true; /* what came early goes on first */
		else
			buffer_release(&from->input);
	}
	for (unsigned i = 0; i < COUNT_OF(tunnel->ways); i++)
		way_park(&tunnel->ways[i]);
	return tunnel;
}

void tunnel_hurry(struct tunnel *tunnel, int64_t idle_ms)
{
	CHECK_MAGIC(tunnel, TUNNEL_MAGIC);
	if (tunnel->ending || idle_ms >= tunnel->idle_ms)
		return;
	tunnel->idle_ms = idle_ms;
	for (unsigned i = 0; i < COUNT_OF(tunnel->ways); i++)
		if (tunnel->ways[i].task == NULL)
			loop_unpark(&tunnel->ways[i].from->watched);
}
