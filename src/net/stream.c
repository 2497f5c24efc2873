/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Stream sockets for tasks, and their pooled buffers. On traffic's and watch's loops.
 *
 * System calls are what a small request costs, so none is made that cannot succeed: the loop's edge-triggered events say when a socket may be
 * read; a read that returns less than was asked for has emptied it (epoll(7), question 9), so the next one waits for an event first.
 */
#include "net/net_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFERS_KEPT     64u /* free ones for each thread */
#define GENTLE_MOST_BYTES 65536u
#define WRITE_PARTS_MOST 64u

const char *net_result_text(enum net_result result)
{
	static const char *const texts[] = {
#define X(name, text) [name] = text,
		NET_RESULTS(X)
#undef X
	};
	return texts[result];
}

enum net_result net_result_of_errno(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ENOENT: /* a Unix socket that is not there */
		return NET_REFUSED;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return NET_RESET;
	case ETIMEDOUT:
		return NET_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
		return NET_UNREACHABLE;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
	case EAGAIN: /* connect(2): no local port, or a Unix socket's backlog is full */
	case ENOSPC:
		return NET_NO_RESOURCES;
	default:
		return NET_FAILED;
	}
}

enum net_result net_result_of_wait(enum wait_result result)
{
	return result == WAIT_READY ? NET_OK : result == WAIT_TIMEOUT ? NET_TIMEOUT : NET_CANCELLED;
}

/* ---- buffers ---- */

struct free_buffer {
	struct free_buffer *next;
};
static _Thread_local struct free_buffer *free_buffers;
static _Thread_local unsigned free_buffer_count;
static _Thread_local struct loop *buffers_loop; /* whose end empties this thread's list */

static void free_kept_buffers(void *unused)
{
	while (free_buffers != NULL) {
		struct free_buffer *next = free_buffers->next;
		free(free_buffers);
		free_buffers = next;
	}
	free_buffer_count = 0;
	buffers_loop = NULL;
	(void)unused;
}

bool buffer_hold(struct buffer *buffer)
{
	if (buffer->memory != NULL)
		return true;
	if (free_buffers != NULL) {
		buffer->memory = (char *)free_buffers;
		free_buffers = free_buffers->next;
		free_buffer_count--;
	} else {
		buffer->memory = malloc(NET_BUFFER_SIZE);
	}
	buffer->start = buffer->end = 0;
	return buffer->memory != NULL;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	ASSERT(size <= buffer_filled(buffer));
	buffer->start += (uint32_t)size;
	if (buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
}

void buffer_compact(struct buffer *buffer)
{
	if (buffer->start == 0)
		return;
	memmove(buffer->memory, buffer->memory + buffer->start, buffer_filled(buffer));
	buffer->end -= buffer->start;
	buffer->start = 0;
}

void buffer_release(struct buffer *buffer)
{
	struct loop *loop = loop_current();

	if (buffer->memory == NULL)
		return;
	if (free_buffer_count < BUFFERS_KEPT && loop != NULL) {
		if (buffers_loop != loop) {
			buffers_loop = loop;
			loop_on_free(loop, free_kept_buffers, NULL);
		}
		struct free_buffer *kept = (struct free_buffer *)(void *)buffer->memory;
		kept->next = free_buffers;
		free_buffers = kept;
		free_buffer_count++;
	} else {
		free(buffer->memory);
	}
	*buffer = (struct buffer){ 0 };
}

void buffer_release_if_empty(struct buffer *buffer)
{
	if (buffer->start == buffer->end)
		buffer_release(buffer);
}

/* ---- opening and closing ---- */

void stream_init(struct stream *stream)
{
	*stream = (struct stream){ .watched.descriptor = -1 };
}

bool stream_is_open(const struct stream *stream)
{
	return stream->watched.descriptor >= 0;
}

void stream_close(struct stream *stream)
{
	if (stream->tls != NULL)
		stream->tls->calls->end(stream, true);
	buffer_release(&stream->input);
	watched_close(&stream->watched);
}

void stream_abort(struct stream *stream)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (stream->tls != NULL)
		stream->tls->calls->end(stream, false);
	if (stream_is_open(stream))
		(void)setsockopt(stream->watched.descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* fails harmlessly on Unix sockets */
	stream_close(stream);
}

static void set_no_delay(int descriptor)
{
	const int on = 1;
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* not a TCP socket: nothing to set */
}

enum net_result stream_adopt(struct stream *stream, int descriptor)
{
	stream_init(stream);
	int failed = watched_add(&stream->watched, descriptor);
	if (failed != 0) {
		close(descriptor);
		return net_result_of_errno(-failed);
	}
	return NET_OK;
}

/* Waits for the outcome of a connect that was begun. */
static enum net_result finish_connect(struct stream *stream, int64_t timeout_ms)
{
	int error = 0;
	socklen_t size = sizeof(error);

	stream->watched.writable = false;
	enum net_result result = net_result_of_wait(watched_wait_writable(&stream->watched, timeout_ms));
	if (result != NET_OK)
		return result;
	ASSERT(getsockopt(stream->watched.descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
	return error == 0 ? NET_OK : net_result_of_errno(error);
}

enum net_result stream_connect(struct stream *stream, const struct address *to, int64_t timeout_ms)
{
	struct sockaddr_storage where;
	socklen_t size = address_to_sockaddr(to, &where);
	enum net_result result = NET_OK;

	stream_init(stream);
	int descriptor = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return net_result_of_errno(errno);
	if (to->family != ADDRESS_UNIX)
		set_no_delay(descriptor);
	/* Connected before it is watched: else the first event would say "hung up", as any socket that is not connected. */
	if (connect(descriptor, (struct sockaddr *)&where, size) != 0 && errno != EINPROGRESS) {
		result = net_result_of_errno(errno);
		close(descriptor);
		return result;
	}
	bool in_progress = to->family != ADDRESS_UNIX;
	result = stream_adopt(stream, descriptor);
	if (result == NET_OK && in_progress)
		result = finish_connect(stream, timeout_ms);
	if (result != NET_OK)
		stream_close(stream);
	return result;
}

void stream_close_gently(struct stream *stream, int64_t timeout_ms)
{
	size_t dropped = 0;
	uint64_t until_us;

	if (!stream_is_open(stream))
		return;
	until_us = loop_now_us(stream->watched.loop) + (uint64_t)timeout_ms * 1000;
	if (stream->tls != NULL)
		stream->tls->calls->end(stream, true); /* what still comes is dropped without being deciphered */
	if (shutdown(stream->watched.descriptor, SHUT_WR) == 0) {
		while (dropped < GENTLE_MOST_BYTES) {
			buffer_consume(&stream->input, buffer_filled(&stream->input));
			/* In all, not for each piece: a byte now and then must not hold a stack. */
			uint64_t now_us = loop_now_us(stream->watched.loop);
			if (now_us >= until_us || stream_fill(stream, (int64_t)((until_us - now_us) / 1000 + 1)) != NET_OK)
				break;
			dropped += buffer_filled(&stream->input);
		}
	}
	stream_close(stream);
}

void stream_end_writing(struct stream *stream)
{
	if (stream->tls != NULL)
		stream->tls->calls->end_writing(stream);
	(void)shutdown(stream->watched.descriptor, SHUT_WR); /* fails when it is broken: reading tells */
}

bool stream_is_quiet(const struct stream *stream)
{
	return stream_is_open(stream) && !stream->watched.readable && !stream->watched.hangup && buffer_filled(&stream->input) == 0;
}

/* recv(3) and send(3) allow a thread to be cancelled in them, for which each call pays; no thread of ours ever is. */
static ssize_t receive(int descriptor, void *bytes, size_t size)
{
	return syscall(SYS_recvfrom, descriptor, bytes, size, 0, NULL, NULL);
}

static ssize_t send_bytes(int descriptor, const void *bytes, size_t size, int flags)
{
	return syscall(SYS_sendto, descriptor, bytes, size, flags, NULL, 0);
}

static ssize_t send_message(int descriptor, const struct msghdr *message, int flags)
{
	return syscall(SYS_sendmsg, descriptor, message, flags);
}

/* ---- reading ---- */

size_t stream_input_room(struct stream *stream)
{
	struct buffer *input = &stream->input;

	if (!buffer_hold(input))
		return 0;
	if (input->end == NET_BUFFER_SIZE)
		buffer_compact(input);
	return NET_BUFFER_SIZE - input->end;
}

enum net_result stream_fill_now(struct stream *stream)
{
	struct watched *watched = &stream->watched;
	struct buffer *input = &stream->input;

	if (!watched->readable)
		return NET_TIMEOUT;
	if (stream->tls != NULL)
		return stream->tls->calls->fill_now(stream);
	size_t room = stream_input_room(stream);
	if (room == 0)
		return NET_NO_RESOURCES;
	for (;;) {
		ssize_t got = receive(watched->descriptor, input->memory + input->end, room);
		if (got > 0) {
			if ((size_t)got < room && !watched->hangup)
				watched->readable = false;
			input->end += (uint32_t)got;
			stream->bytes_read += (uint64_t)got;
			return NET_OK;
		}
		if (got == 0)
			return NET_CLOSED;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return net_result_of_errno(errno);
		watched->readable = false;
		return NET_TIMEOUT;
	}
}

enum net_result stream_fill(struct stream *stream, int64_t timeout_ms)
{
	for (;;) {
		enum net_result result = stream_fill_now(stream);
		if (result != NET_TIMEOUT)
			return result;
		/* Nobody holds 16 KB while he waits for a first byte. */
		buffer_release_if_empty(&stream->input);
		result = net_result_of_wait(watched_wait_readable(&stream->watched, timeout_ms));
		if (result != NET_OK)
			return result;
	}
}

/* NET_TIMEOUT: nothing has come behind the first *size bytes. */
static enum net_result peek_now(struct stream *stream, char *out, size_t room, size_t *size)
{
	struct watched *watched = &stream->watched;
	ssize_t got;

	if (!watched->readable)
		return NET_TIMEOUT;
	do
		got = recv(watched->descriptor, out, room, MSG_PEEK);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno != EAGAIN)
		return net_result_of_errno(errno);
	if (got > 0 && (size_t)got > *size) {
		*size = (size_t)got;
		return NET_OK;
	}
	if (got == 0 || watched->hangup)
		return NET_CLOSED;
	watched->readable = false;
	return NET_TIMEOUT;
}

enum net_result stream_peek(struct stream *stream, char *out, size_t room, size_t *size, int64_t timeout_ms)
{
	ASSERT(stream->tls == NULL && buffer_filled(&stream->input) == 0 && *size < room);
	for (;;) {
		enum net_result result = peek_now(stream, out, room, size);
		if (result != NET_TIMEOUT)
			return result;
		result = net_result_of_wait(watched_wait_readable(&stream->watched, timeout_ms));
		if (result != NET_OK)
			return result;
	}
}

enum net_result stream_drop(struct stream *stream, size_t size, size_t peeked)
{
	char unused[256];
	struct watched *watched = &stream->watched;

	for (size_t left = size; left > 0;) {
		ssize_t got = recv(watched->descriptor, unused, left < sizeof(unused) ? left : sizeof(unused), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? NET_CLOSED : net_result_of_errno(errno);
		left -= (size_t)got;
	}
	/* As after a short read: what comes later is an event of its own. */
	watched->readable = peeked > size || watched->hangup;
	return NET_OK;
}

/* ---- writing ---- */

/* One sendmsg. NET_TIMEOUT: the socket takes nothing now. */
static enum net_result send_parts(struct stream *stream, struct iovec *parts, unsigned count, size_t *sent)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
	const int flags = MSG_NOSIGNAL | (stream->more_follows ? MSG_MORE : 0);

	if (stream->tls != NULL)
		return stream->tls->calls->send_parts(stream, parts, count, sent);
	*sent = 0;
	for (;;) {
		ssize_t written = count == 1 ? send_bytes(stream->watched.descriptor, parts->iov_base, parts->iov_len, flags)
		                             : send_message(stream->watched.descriptor, &message, flags);
		if (written >= 0) {
			*sent = (size_t)written;
			stream->bytes_written += (uint64_t)written;
			return NET_OK;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return net_result_of_errno(errno);
		stream->watched.writable = false;
		return NET_TIMEOUT;
	}
}

enum net_result stream_write(struct stream *stream, struct iovec *parts, unsigned count, int64_t timeout_ms)
{
	while (count > 0) {
		size_t sent;
		if (parts->iov_len == 0) {
			parts++;
			count--;
			continue;
		}
		enum net_result result = stream->watched.writable
		                             ? send_parts(stream, parts, count < WRITE_PARTS_MOST ? count : WRITE_PARTS_MOST, &sent)
		                             : NET_TIMEOUT;
		if (result == NET_TIMEOUT) {
			result = net_result_of_wait(watched_wait_writable(&stream->watched, timeout_ms));
			if (result != NET_OK)
				return result;
			continue;
		}
		if (result != NET_OK)
			return result;
		while (count > 0 && sent >= parts->iov_len) {
			sent -= parts->iov_len;
			parts++;
			count--;
		}
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + sent;
			parts->iov_len -= sent;
		}
	}
	return NET_OK;
}

enum net_result stream_write_bytes(struct stream *stream, const void *bytes, size_t size, int64_t timeout_ms)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	return stream_write(stream, &part, 1, timeout_ms);
}

enum net_result stream_write_now(struct stream *stream, const void *bytes, size_t size, size_t *sent)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };

	*sent = 0;
	if (!stream->watched.writable)
		return NET_TIMEOUT;
	return send_parts(stream, &part, 1, sent);
}

enum net_result stream_write_parts_now(struct stream *stream, struct iovec *parts, unsigned count, size_t *sent)
{
	*sent = 0;
	if (!stream->watched.writable)
		return NET_TIMEOUT;
	return send_parts(stream, parts, count < WRITE_PARTS_MOST ? count : WRITE_PARTS_MOST, sent);
}
