/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A visitor who speaks HTTP/1.0 or 1.1: how answers are written to him, and how his request's body is read. The functions of
 * http1_visitor, called by forward.c, upload.c and answer.c in the task of his connection (connection.c).
 */
#include "http/http_private.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#define OWN_HEAD_MOST 6144u

enum http_outcome http1_outcome_of_write(enum net_result result)
{
	switch (result) {
	case NET_OK:
		return OUTCOME_OK;
	case NET_TIMEOUT:
		return OUTCOME_VISITOR_STALLED;
	case NET_CANCELLED:
		return OUTCOME_STOPPING;
	default:
		return OUTCOME_VISITOR_GONE;
	}
}

#define GIVEN_PARTS_MOST 64u

/* Over TLS a record that the socket has not taken whole begins the next call again, and that one is never shorter: what is
 * absorbed in between comes to the same bytes. */
static enum http_outcome give(struct http_exchange *exchange, struct iovec **parts, unsigned *count, bool last)
{
	struct stream *stream = &exchange->client->stream;
	struct iovec all[GIVEN_PARTS_MOST], *next;
	size_t sent;

	(void)last; /* the bytes tell */
	while (*count > 0 || exchange->absorbed.left > 0) {
		unsigned absorbed = exchange->absorbed.left > 0 ? http_spool_parts(&exchange->absorbed, all, GIVEN_PARTS_MOST) : 0;
		unsigned direct = *count < GIVEN_PARTS_MOST - absorbed ? *count : GIVEN_PARTS_MOST - absorbed;
		if (absorbed > 0) {
			if (direct > 0)
				memcpy(all + absorbed, *parts, direct * sizeof(**parts));
			next = all;
		} else {
			next = *parts;
		}
		enum net_result result = stream_write_parts_now(stream, next, absorbed + direct, &sent);
		if (result == NET_TIMEOUT)
			break;
		if (result != NET_OK)
			return http1_outcome_of_write(result);
		http_absorb_took(exchange, parts, count, sent);
	}
	return OUTCOME_OK;
}

static bool is_behind(const struct http_exchange *exchange)
{
	return exchange->absorbed.left > 0;
}

/* What the other side has acknowledged, more or less: over TLS the socket counts enciphered bytes. */
static uint64_t taken(struct http_exchange *exchange)
{
	const struct stream *stream = &exchange->client->stream;
	int waiting = 0;

	if (ioctl(stream->watched.descriptor, SIOCOUTQ, &waiting) != 0)
		waiting = 0;
	uint64_t now = stream->bytes_written > (uint64_t)waiting ? stream->bytes_written - (uint64_t)waiting : 0;
	uint64_t bytes = now > exchange->taken_seen ? now - exchange->taken_seen : 0;
	exchange->taken_seen += bytes;
	return bytes;
}

static enum http_outcome send_parts(struct http_exchange *exchange, struct iovec *parts, unsigned count)
{
	return http_absorb(exchange, parts, count, false);
}

static enum http_outcome send_continue(struct http_exchange *exchange)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t) "HTTP/1.1 100 Continue\r\n\r\n", .iov_len = 25};

	if (exchange->request.head.minor == 0)
		return OUTCOME_OK;
	BOARD_COUNT(exchange->core->lane, answers_1xx, 1);
	return send_parts(exchange, &part, 1);
}

/* ---- heads -------------------------------------------------------------------------------------------------------- */

/* 100, 103 and the like go on to visitors that know them (RFC 9110 15.2). */
static enum http_outcome send_interim(struct http_exchange *exchange)
{
	char own[HTTP_HEAD_MOST / 4];
	struct http_writer writer;

	if (exchange->request.head.minor == 0)
		return OUTCOME_OK;
	http_writer_init(&writer, own, sizeof(own), NULL, 0);
	http_write_response(&writer, &exchange->response, 0);
	http_write_head_end(&writer);
	if (!http_writer_finish(&writer))
		return OUTCOME_OK; /* too large to be worth it: it is only a hint */
	BOARD_COUNT(exchange->core->lane, answers_1xx, 1);
	struct iovec part = {.iov_base = own, .iov_len = writer.size};
	return send_parts(exchange, &part, 1);
}

/* How the answer's body is framed towards him, which is in general how it came. */
static enum http_framing framing_of(const struct http_exchange *exchange)
{
	const struct http_response *response = &exchange->response;

	switch ((enum http_framing)response->framing) {
	case HTTP_BODY_NONE:
		return response->has_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE; /* to HEAD, or 304: what GET would get */
	case HTTP_BODY_CHUNKED:
	case HTTP_BODY_UNTIL_CLOSE:
		return exchange->request.head.minor == 0 ? HTTP_BODY_UNTIL_CLOSE : HTTP_BODY_CHUNKED;
	default:
		return (enum http_framing)response->framing;
	}
}

static void choose_framing(struct http_exchange *exchange)
{
	const struct http_response *response = &exchange->response;
	bool old = exchange->request.head.minor == 0;
	enum http_passing passing = PASS_PLAIN;

	if (response->framing == HTTP_BODY_CHUNKED)
		passing = old ? PASS_DECODED : PASS_CHUNKED;
	else if (response->framing == HTTP_BODY_UNTIL_CLOSE && !old)
		passing = PASS_WRAPPED;
	http_body_init(&exchange->download, passing, response->framing, response->length);
	exchange->delimited = framing_of(exchange) != HTTP_BODY_UNTIL_CLOSE;
	/* What follows a refused Upgrade may have been meant for the far end of a tunnel. */
	exchange->keep = exchange->request.keep_alive && !exchange->request.upgrade && !exchange->core->draining &&
	                 exchange_is_read(exchange) && exchange->delimited;
}

static void write_own_fields(struct http_writer *writer, const struct http_exchange *exchange)
{
	for (unsigned i = 0; i < exchange->own_field_count; i++)
		http_write_field(writer, exchange->own_fields[i].name, exchange->own_fields[i].value);
	if (!exchange->keep)
		http_write(writer, SPAN("Connection: close\r\n"));
	else if (exchange->request.head.minor == 0)
		http_write(writer, SPAN("Connection: keep-alive\r\n"));
}

static void write_head(struct http_writer *writer, struct http_exchange *exchange)
{
	const struct http_response *response = &exchange->response;

	http_write_response(writer, response, 0);
	if (!exchange->served_here)
		http_write(writer, response->head.minor == 0 ? SPAN("Via: 1.0 noah\r\n") : SPAN("Via: 1.1 noah\r\n"));
	if ((response->head.present & HTTP_SET(HTTP_FIELD_DATE)) == 0)
		http_write_field(writer, SPAN("Date"), http_date_now(&exchange->core->date, http_core_wall_us(exchange->core)));
	write_own_fields(writer, exchange);
	http_write_framing(writer, framing_of(exchange), response->length);
	http_write_head_end(writer);
}

static enum http_outcome send_head(struct http_exchange *exchange, struct iovec *body, unsigned count, bool last)
{
	char own[HTTP_HEAD_OWN_BYTES];
	struct iovec parts[HTTP_HEAD_PARTS + HTTP_BODY_PARTS];
	struct http_writer writer;

	(void)last; /* an end that the head does not tell, and the chunks do not, is not known yet */
	http_writer_init(&writer, own, sizeof(own), parts, HTTP_HEAD_PARTS);
	write_head(&writer, exchange);
	if (!http_writer_finish(&writer)) {
		if (!http_head_room(&writer, exchange->response.head.size))
			return OUTCOME_NO_RESOURCES;
		write_head(&writer, exchange);
		if (!http_writer_finish(&writer))
			return OUTCOME_NO_RESOURCES;
		parts[0] = (struct iovec){.iov_base = writer.memory, .iov_len = writer.size};
		writer.part_count = 1;
	}
	/* A small body is cheaper to copy than to point to. */
	while (count > 0 && writer.part_count == 1 && (char *)parts[0].iov_base == own &&
	       body->iov_len <= sizeof(own) - parts[0].iov_len) {
		memcpy(own + parts[0].iov_len, body->iov_base, body->iov_len);
		parts[0].iov_len += body->iov_len;
		body++;
		count--;
	}
	for (unsigned i = 0; i < count; i++)
		parts[writer.part_count + i] = body[i];
	exchange->answer_begun = true;
	exchange->client->stream.more_follows = exchange->file_follows;
	enum http_outcome outcome = send_parts(exchange, parts, writer.part_count + count);
	exchange->client->stream.more_follows = false;
	return outcome;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------- */

static enum http_outcome send_body(struct http_exchange *exchange, struct iovec *parts, unsigned count, bool last)
{
	struct iovec end = {.iov_base = (void *)(uintptr_t) "0\r\n\r\n", .iov_len = 5};

	if (count > 0)
		return send_parts(exchange, parts, count);
	/* The server's connection has ended, and with it the body. */
	return last && exchange->download.passing == PASS_WRAPPED ? send_parts(exchange, &end, 1) : OUTCOME_OK;
}

static enum http_outcome send_file(struct http_exchange *exchange, int descriptor, uint64_t offset, size_t size, size_t *sent)
{
	exchange->taken_us = exchange_now_us(exchange);
	for (*sent = 0; *sent < size;) {
		size_t part;
		enum net_result result = stream_send_file_now(&exchange->client->stream, descriptor, offset + *sent, size - *sent, &part);
		enum http_outcome outcome = http1_outcome_of_write(result);
		*sent += part;
		if (part > 0)
			exchange->taken_us = exchange_now_us(exchange);
		if (result == NET_TIMEOUT)
			outcome = http_absorb_wait(exchange);
		if (outcome != OUTCOME_OK)
			return result == NET_CLOSED ? OUTCOME_FILE_FAILED : outcome;
	}
	return OUTCOME_OK;
}

static bool send_own(struct http_exchange *exchange, struct span page, uint64_t length)
{
	char head[OWN_HEAD_MOST];
	struct http_writer writer;

	http_writer_init(&writer, head, sizeof(head), NULL, 0);
	http_write_status(&writer, exchange->status);
	write_own_fields(&writer, exchange);
	http_write_framing(&writer, HTTP_BODY_LENGTH, length);
	http_write_head_end(&writer);
	if (!http_writer_finish(&writer))
		return false;
	struct iovec parts[2] = {{.iov_base = head, .iov_len = writer.size},
	                         {.iov_base = (void *)(uintptr_t)page.start, .iov_len = page.size}};
	exchange->delimited = true;
	return stream_write(&exchange->client->stream, parts, 2, HTTP_OWN_PAGE_MS) == NET_OK;
}

static enum net_result fill(struct http_exchange *exchange)
{
	struct stream *stream = &exchange->client->stream;
	enum net_result result = stream_fill_now(stream);

	if (result != NET_OK)
		buffer_release_if_empty(&stream->input);
	return result;
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

/* An end of the visitor's stream alone is not the end of his interest (he may have closed his half only, RFC 9112 9.6); a reset
 * is. */
static bool is_gone(struct http_exchange *exchange)
{
	const struct watched *watched = &exchange->client->stream.watched;
	struct pollfd ask = {.fd = watched->descriptor, .events = POLLRDHUP};

	return watched->hangup && poll(&ask, 1, 0) == 1 && (ask.revents & (POLLHUP | POLLERR)) != 0;
}

static void count_bytes(const struct http_exchange *exchange, uint64_t *in, uint64_t *out)
{
	const struct stream *stream = &exchange->client->stream;

	/* Bytes of the next request may already be in the buffer. */
	*in = stream->bytes_read - (buffer_filled(&stream->input) - exchange->kept_bytes) - exchange->read_before;
	*out = stream->bytes_written - exchange->written_before;
}

const struct http_visitor http1_visitor = {
    .version = {.start = "1.1", .size = 3},
    .send_interim = send_interim,
    .choose_framing = choose_framing,
    .send_head = send_head,
    .send_body = send_body,
    .send_file = send_file,
    .send_own = send_own,
    .send_continue = send_continue,
    .give = give,
    .is_behind = is_behind,
    .taken = taken,
    .fill = fill,
    .is_gone = is_gone,
    .count_bytes = count_bytes,
};
