/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS under a stream: the server's handshake, and records instead of plain bytes, with OpenSSL between the stream and its
 * edge-triggered descriptor. On traffic's loops; which certificate is shown is decided in src/tls, by the context that
 * stream_secure gets.
 *
 * OpenSSL reads and writes through a BIO of ours, which makes no system call that cannot succeed: it reads as much as there is at
 * once and then knows from the loop's events, as a plain stream does, whether the socket may have more. What a handshake has to
 * say leaves in one piece; session tickets (TLS 1.3), which nobody waits for, leave with the first answer.
 */
#include "net/net_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RECORD_MOST 16384u
#define HELD_MOST   131072u /* what a handshake says: certificates, mostly */
#define ROUNDS_MOST 64u     /* records read at once; small ones are for the next call, and none but empty ones are refused */
#define CONTENT_AT_ONCE \
	24576u /* bytes from the socket in one call, as long as there is content in them; padding may be most of it */
#define FETCHED_MOST      65536u /* bytes from the socket in one call: a record of any size is complete by then */
#define HANDSHAKES_A_TURN 4u     /* each computes for some 200 µs, and others wait */
#define FAILURE_SIZE      192u

struct secure {
	struct tls tls;
	struct stream *stream;
	SSL *ssl;
	/* What is to leave before anything else: [held_sent, held_size) of `held`. NULL: nothing. */
	char *held;
	uint32_t held_size, held_sent, held_room;
	uint32_t fetched; /* from the socket, in this call */
	uint32_t unsent;  /* plain bytes of a record that the socket has not taken whole */
	int error;        /* errno of the socket, 0: none */
	uint8_t first;    /* the first byte that ever came */
	bool begun;       /* it has come */
	bool handshaking;
	bool reading;      /* in SSL_read: what it has to say is held, it must not fail for that */
	bool starved;      /* OpenSSL asked for more than the socket has */
	bool blocked;      /* or had more to say than the socket takes */
	bool ended;        /* the peer's FIN was read */
	bool broken;       /* nothing can be said or read any more */
	char *server_name; /* in lower case; NULL: as it came is fine */
};

static _Thread_local char failure_text[FAILURE_SIZE];
static _Thread_local bool failure_plain_text;

static struct secure *secure_of(const struct stream *stream)
{
	return (struct secure *)(void *)stream->tls;
}

/* What became of the socket. Never NET_TIMEOUT, which says that nothing has happened: a machine that the kernel has given up on
 * (ETIMEDOUT) is an end. */
static enum net_result socket_result(const struct secure *secure)
{
	return secure->error == ETIMEDOUT ? NET_UNREACHABLE : net_result_of_errno(secure->error);
}

/* ---- between OpenSSL and the socket --------------------------------------------------------------------------- */

static bool hold(struct secure *secure, const char *bytes, size_t size)
{
	if (size > HELD_MOST - secure->held_size)
		return false;
	if (secure->held_size + size > secure->held_room) {
		uint32_t room = secure->held_size + (uint32_t)size;
		char *grown = realloc(secure->held, room);
		if (grown == NULL)
			return false;
		secure->held = grown;
		secure->held_room = room;
	}
	memcpy(secure->held + secure->held_size, bytes, size);
	secure->held_size += (uint32_t)size;
	return true;
}

static void held_free(struct secure *secure)
{
	free(secure->held);
	secure->held = NULL;
	secure->held_size = secure->held_sent = secure->held_room = 0;
}

/* Sends what is held and then these bytes. Returns how many of these have left; -1: none, *wait tells whether to try again once
 * the socket is writable. */
static int send_held_and(struct secure *secure, const char *bytes, size_t size, bool *wait)
{
	struct watched *watched = &secure->stream->watched;

	*wait = false;
	for (;;) {
		size_t held = secure->held_size - secure->held_sent;
		if (held + size == 0)
			return 0;
		if (!watched->writable) {
			*wait = true;
			return -1;
		}
		struct iovec parts[2] = {{.iov_base = secure->held + secure->held_sent, .iov_len = held},
		                         {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size}};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		ssize_t sent = held == 0 ? send(watched->descriptor, bytes, size, MSG_NOSIGNAL)
		                         : sendmsg(watched->descriptor, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN) {
			watched->writable = false;
			continue;
		}
		if (sent < 0) {
			secure->error = errno;
			return -1;
		}
		if ((size_t)sent < held) {
			secure->held_sent += (uint32_t)sent;
			continue; /* the rest meets EAGAIN */
		}
		if (held > 0)
			held_free(secure);
		sent -= (ssize_t)held;
		if (sent > 0 || size == 0)
			return (int)sent;
	}
}

static int bio_read(BIO *bio, char *out, int size)
{
	struct secure *secure = BIO_get_data(bio);
	struct watched *watched = &secure->stream->watched;

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	/* OpenSSL goes on with whatever has no content (new keys, refused renegotiations) until there is nothing more. Who sends only
	 * that, as fast as he can, would have this thread for himself. */
	if (secure->reading && secure->fetched >= FETCHED_MOST) {
		secure->error = EPROTO;
		return -1;
	}
	while (watched->readable) {
		ssize_t got = recv(watched->descriptor, out, (size_t)size, 0);
		if (got > 0) {
			if (got < size && !watched->hangup)
				watched->readable = false;
			if (!secure->begun) {
				secure->first = (uint8_t)out[0];
				secure->begun = true;
			}
			secure->fetched += (uint32_t)got;
			return (int)got;
		}
		if (got == 0) {
			secure->ended = true;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			secure->error = errno;
			return -1;
		}
		watched->readable = false;
	}
	secure->starved = true;
	BIO_set_retry_read(bio);
	return -1;
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
	struct secure *secure = BIO_get_data(bio);
	bool wait;

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	if (secure->handshaking || secure->reading)
		return hold(secure, bytes, (size_t)size) ? size : -1;
	int sent = send_held_and(secure, bytes, (size_t)size, &wait);
	secure->blocked = wait;
	if (wait)
		BIO_set_retry_write(bio);
	return sent;
}

/* A ticket is worth no segment of its own. */
static bool is_sending_tickets(const struct secure *secure)
{
	return secure->handshaking && SSL_version(secure->ssl) == TLS1_3_VERSION &&
	       SSL_get_state(secure->ssl) == TLS_ST_SW_SESSION_TICKET;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	struct secure *secure = BIO_get_data(bio);
	bool wait;

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return secure->ended;
	if (command != BIO_CTRL_FLUSH)
		return 0;
	BIO_clear_retry_flags(bio);
	if (is_sending_tickets(secure))
		return 1;
	int sent = send_held_and(secure, NULL, 0, &wait);
	if (secure->reading)
		return 1;
	if (wait)
		BIO_set_retry_write(bio);
	return sent < 0 ? -1 : 1;
}

static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "noah stream");
	if (bio_method != NULL && BIO_meth_set_read(bio_method, bio_read) && BIO_meth_set_write(bio_method, bio_write) &&
	    BIO_meth_set_ctrl(bio_method, bio_control))
		return;
	BIO_meth_free(bio_method);
	bio_method = NULL;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Why SSL_read gave nothing. (SSL_want alone does not tell: OpenSSL leaves it as it was when something is wrong.) */
static enum net_result read_failed(struct secure *secure)
{
	if (secure->starved || (secure->error == 0 && SSL_want_read(secure->ssl) && ERR_peek_error() == 0))
		return NET_TIMEOUT;
	if ((SSL_get_shutdown(secure->ssl) & SSL_RECEIVED_SHUTDOWN) != 0 && secure->error == 0)
		return NET_CLOSED;
	ERR_clear_error();
	secure->broken = true;
	if (secure->error != 0)
		return socket_result(secure);
	return secure->ended ? NET_CLOSED : NET_FAILED; /* what it means that no close_notify came, HTTP's framing says */
}

static enum net_result secure_fill_now(struct stream *stream)
{
	struct secure *secure = secure_of(stream);
	struct buffer *input = &stream->input;
	size_t room = stream_input_room(stream), filled = 0;
	enum net_result result = NET_TIMEOUT;

	if (room == 0)
		return NET_NO_RESOURCES;
	if (secure->broken)
		return secure->error != 0 ? socket_result(secure) : secure->ended ? NET_CLOSED : NET_FAILED;
	secure->reading = true;
	secure->starved = false;
	secure->fetched = 0;
	for (unsigned round = 0; round < ROUNDS_MOST && room > 0; round++) {
		size_t got;
		if (SSL_read_ex(secure->ssl, input->memory + input->end, room, &got) == 1) {
			input->end += (uint32_t)got;
			room -= got;
			filled += got;
			/* Another read would only find out at greater cost that there is nothing more. */
			if (!SSL_has_pending(secure->ssl) || secure->fetched >= CONTENT_AT_ONCE)
				break;
			continue;
		}
		result = read_failed(secure);
		if (result != NET_TIMEOUT || secure->starved)
			break;
		/* It was a record without content. */
	}
	secure->reading = false;
	if (filled > 0) {
		stream->bytes_read += filled;
		/* The end, or what had no room, is for the next call. */
		if (result != NET_TIMEOUT || (!secure->starved && SSL_has_pending(secure->ssl)))
			stream->watched.readable = true;
		return NET_OK;
	}
	if (result != NET_TIMEOUT)
		stream->watched.readable = true; /* the end is there for every call from now on, as on a plain stream */
	if (result != NET_TIMEOUT || secure->starved)
		return result;
	secure->broken = true; /* nobody sends that many in a row but to keep us busy */
	return NET_FAILED;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* The first bytes of the parts, at most a record, in one piece. */
static size_t gather(const struct iovec *parts, unsigned count, const char **bytes)
{
	static _Thread_local char gathered[RECORD_MOST];
	size_t size = 0;

	while (count > 0 && parts->iov_len == 0) {
		parts++;
		count--;
	}
	*bytes = count == 0 ? NULL : parts->iov_base;
	if (count <= 1 || parts->iov_len >= RECORD_MOST)
		return count == 0 ? 0 : parts->iov_len < RECORD_MOST ? parts->iov_len : RECORD_MOST;
	*bytes = gathered;
	for (; count > 0 && size < RECORD_MOST; parts++, count--) {
		size_t some = parts->iov_len < RECORD_MOST - size ? parts->iov_len : RECORD_MOST - size;
		if (some > 0)
			memcpy(gathered + size, parts->iov_base, some);
		size += some;
	}
	return size;
}

static enum net_result secure_send_parts(struct stream *stream, struct iovec *parts, unsigned count, size_t *sent)
{
	struct secure *secure = secure_of(stream);
	const char *bytes;
	size_t written;

	*sent = 0;
	if (secure->broken)
		return NET_FAILED;
	size_t size = gather(parts, count, &bytes);
	if (size == 0)
		return NET_OK;
	if (size < secure->unsent)
		return NET_FAILED;
	if (secure->unsent > 0) /* enciphered already: these are the same bytes, and are not looked at again */
		size = secure->unsent;
	secure->blocked = false;
	if (SSL_write_ex(secure->ssl, bytes, size, &written) == 1) {
		secure->unsent = 0;
		*sent = size;
		stream->bytes_written += size;
		return NET_OK;
	}
	if (secure->blocked) {
		secure->unsent = (uint32_t)size;
		return NET_TIMEOUT;
	}
	ERR_clear_error();
	secure->broken = true;
	return secure->error != 0 ? socket_result(secure) : NET_FAILED;
}

/* ---- ending --------------------------------------------------------------------------------------------------- */

static void secure_end_writing(struct stream *stream)
{
	struct secure *secure = secure_of(stream);

	/* After half a record nothing that is sent would be understood. */
	if (secure->broken || secure->handshaking || secure->unsent > 0)
		return;
	if ((SSL_get_shutdown(secure->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	if (SSL_shutdown(secure->ssl) < 0)
		ERR_clear_error();
}

static void secure_end(struct stream *stream, bool orderly)
{
	struct secure *secure = secure_of(stream);

	if (orderly && !secure->ended && !stream->watched.hangup)
		secure_end_writing(stream);
	stream->tls = NULL;
	SSL_free(secure->ssl);
	free(secure->held);
	free(secure->server_name);
	free(secure);
}

/* ---- the handshake -------------------------------------------------------------------------------------------- */

static const struct tls_calls secure_calls = {
    .fill_now = secure_fill_now,
    .send_parts = secure_send_parts,
    .end_writing = secure_end_writing,
    .end = secure_end,
};

/* NULL: out of memory. */
static struct secure *secure_new(struct stream *stream, SSL_CTX *context)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, bio_method_make);
	struct secure *secure = bio_method == NULL ? NULL : calloc(1, sizeof *secure);
	BIO *bio = secure == NULL ? NULL : BIO_new(bio_method);
	SSL *ssl = bio == NULL ? NULL : SSL_new(context);

	if (ssl == NULL) {
		ERR_clear_error();
		BIO_free(bio);
		free(secure);
		return NULL;
	}
	secure->tls.calls = &secure_calls;
	secure->stream = stream;
	secure->ssl = ssl;
	secure->handshaking = true;
	BIO_set_data(bio, secure);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_clear_mode(ssl,
	               SSL_MODE_AUTO_RETRY); /* else one read could go on for as long as somebody sends records without content */
	SSL_set_accept_state(ssl);
	return secure;
}

/* A crowd that arrives at once is served a few in each turn, so that who is connected already does not wait for all of them. */
static bool wait_for_turn(const struct loop *loop)
{
	static _Thread_local uint64_t turn_us;
	static _Thread_local unsigned begun;

	for (;;) {
		if (turn_us != loop_now_us(loop)) {
			turn_us = loop_now_us(loop);
			begun = 0;
		}
		if (begun < HANDSHAKES_A_TURN) {
			begun++;
			return true;
		}
		if (task_yield() != WAIT_READY)
			return false;
	}
}

static enum net_result shake_hands(struct secure *secure, uint64_t until_us)
{
	struct watched *watched = &secure->stream->watched;
	int done;

	while ((done = SSL_do_handshake(secure->ssl)) != 1) {
		int error = SSL_get_error(secure->ssl, done);
		enum wait_result waited;
		uint64_t now_us = loop_now_us(watched->loop);
		int64_t left_ms = until_us > now_us ? (int64_t)((until_us - now_us) / 1000) : 0;
		if (error == SSL_ERROR_WANT_READ && left_ms > 0)
			waited = watched_wait_readable(watched, left_ms);
		else if (error == SSL_ERROR_WANT_WRITE && left_ms > 0)
			waited = watched_wait_writable(watched, left_ms);
		else if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
			return NET_TIMEOUT;
		else
			return secure->error != 0 ? socket_result(secure) : secure->ended ? NET_CLOSED : NET_FAILED;
		if (waited != WAIT_READY)
			return net_result_of_wait(waited);
	}
	return NET_OK;
}

static void note_failure(const struct secure *secure, enum net_result result)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);

	failure_plain_text = result == NET_FAILED && secure->begun && secure->first >= 'A' && secure->first <= 'Z';
	snprintf(failure_text, sizeof failure_text, "%s",
	         failure_plain_text     ? "not TLS but plain text came"
	         : result != NET_FAILED ? net_result_text(result)
	         : reason != NULL       ? reason
	                                : "the handshake failed");
	ERR_clear_error();
}

/* The name is compared with those of sites, which are in lower case. False: out of memory. */
static bool lower_server_name(struct secure *secure)
{
	const char *name = SSL_get_servername(secure->ssl, TLSEXT_NAMETYPE_host_name);
	bool upper = false;

	for (const char *c = name; c != NULL && *c != '\0'; c++)
		upper = upper || (*c >= 'A' && *c <= 'Z');
	if (!upper)
		return true;
	secure->server_name = strdup(name);
	if (secure->server_name == NULL)
		return false;
	for (char *c = secure->server_name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return true;
}

enum net_result stream_secure(struct stream *stream, struct ssl_ctx_st *context, int64_t timeout_ms)
{
	uint64_t until_us = timeout_ms < 0 ? INT64_MAX : loop_now_us(stream->watched.loop) + (uint64_t)timeout_ms * 1000;

	ASSERT(stream_is_open(stream) && stream->tls == NULL);
	failure_text[0] = '\0';
	failure_plain_text = false;
	if (!wait_for_turn(stream->watched.loop))
		return NET_CANCELLED;
	ERR_clear_error();
	struct secure *secure = secure_new(stream, context);
	if (secure == NULL)
		return NET_NO_RESOURCES;
	stream->tls = &secure->tls;
	enum net_result result = shake_hands(secure, until_us);
	if (result == NET_OK && !lower_server_name(secure))
		result = NET_NO_RESOURCES;
	if (result != NET_OK) {
		note_failure(secure, result);
		secure_end(stream, false);
		return result;
	}
	secure->handshaking = false;
	if (SSL_has_pending(secure->ssl)) /* the request came along with the handshake's end */
		stream->watched.readable = true;
	return NET_OK;
}

/* ---- what was agreed on --------------------------------------------------------------------------------------- */

const char *stream_secure_failure(bool *plain_text)
{
	*plain_text = failure_plain_text;
	return failure_text;
}

const char *stream_protocol(const struct stream *stream)
{
	const unsigned char *name = NULL;
	unsigned size = 0;

	if (stream->tls != NULL)
		SSL_get0_alpn_selected(secure_of(stream)->ssl, &name, &size);
	if (size == 2 && memcmp(name, "h2", 2) == 0)
		return "h2";
	return size == 8 && memcmp(name, "http/1.1", 8) == 0 ? "http/1.1" : "";
}

const char *stream_server_name(const struct stream *stream)
{
	if (stream->tls == NULL)
		return "";
	if (secure_of(stream)->server_name != NULL)
		return secure_of(stream)->server_name;
	const char *name = SSL_get_servername(secure_of(stream)->ssl, TLSEXT_NAMETYPE_host_name);
	return name != NULL ? name : "";
}

bool stream_is_resumed(const struct stream *stream)
{
	return stream->tls != NULL && SSL_session_reused(secure_of(stream)->ssl) == 1;
}

const char *stream_tls_version(const struct stream *stream)
{
	return stream->tls == NULL ? "" : SSL_get_version(secure_of(stream)->ssl);
}

struct ssl_st *stream_ssl(const struct stream *stream)
{
	return stream->tls == NULL ? NULL : secure_of(stream)->ssl;
}
