/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One try of a request on one connection to a server: send it and wait for the answer, which relay.c passes on. Read http_forward
 * first.
 *
 * A small request costs two system calls here each way: one write of the head with what has come of the body, one read of the
 * answer's. What comes before and after, while a visitor is slow, is in hold.c and absorb.c.
 */
#include "http/http_private.h"

#include <netinet/tcp.h>
#include <stdio.h>

#define FIRST_BYTES_SHOWN 40u             /* of an answer that is none */
#define HELD_PARTS        8u              /* of a held body that go out with the head, */
#define HELD_WITH_HEAD    NET_BUFFER_SIZE /* and their size */

static enum http_outcome send_request(struct http_exchange *exchange);
static enum http_outcome await_answer(struct http_exchange *exchange);

/* The file is missing there too: the next one is asked (static_try.c). The connection can be used again when all of the answer
 * has come already. */
static enum http_outcome pass_over(struct http_exchange *exchange)
{
	const struct http_response *response = &exchange->response;
	struct buffer *input = &exchange->server->stream.input;
	size_t here = buffer_filled(input) - exchange->kept_answer_head;
	uint64_t length = response->framing == HTTP_BODY_LENGTH ? response->length : 0;

	exchange->download.done = (response->framing == HTTP_BODY_LENGTH || response->framing == HTTP_BODY_NONE) && length <= here;
	if (exchange->download.done)
		buffer_consume(input, exchange->kept_answer_head + (size_t)length);
	return OUTCOME_NOT_FOUND;
}

enum http_outcome http_forward(struct http_exchange *exchange)
{
	exchange->progress_us = exchange_now_us(exchange);
	enum http_outcome outcome = send_request(exchange);
	if (outcome == OUTCOME_OK)
		outcome = await_answer(exchange);
	if (outcome == OUTCOME_OK && exchange->trying && exchange->response.status == 404)
		return pass_over(exchange);
	if (outcome == OUTCOME_OK)
		outcome = http_relay(exchange);
	return outcome;
}

/* ---- the request's head -------------------------------------------------------------------------------------------- */

/* X-Forwarded-For says all that the visitor's own said, and then his address: a reader that trusts one proxy takes the last.
 * Where trusted front ends stand before noah, what they said behind his address is left out. */
static void write_forwarded_for(struct http_writer *writer, const struct http_exchange *exchange)
{
	const struct http_head *head = &exchange->request.head;

	http_write(writer, SPAN("X-Forwarded-For: "));
	if ((head->present & HTTP_SET(HTTP_FIELD_X_FORWARDED_FOR)) != 0) {
		for (unsigned i = head->first[HTTP_FIELD_X_FORWARDED_FOR]; i < head->field_count; i++) {
			const struct http_field *field = &head->fields[i];
			if (field->known != HTTP_FIELD_X_FORWARDED_FOR || (exchange->told && i > exchange->told_field))
				continue;
			struct span said =
			    exchange->told && i == exchange->told_field ? exchange->told_before : http_text(head, field->value);
			if (said.size == 0)
				continue;
			http_write_reference(writer, said);
			http_write(writer, SPAN(", "));
		}
	}
	http_write(writer, exchange->from);
	http_write(writer, SPAN("\r\n"));
}

static void write_request_head(struct http_writer *writer, const struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	struct span host = http_text(&request->head, request->host);
	/* What a stranger says about itself that only a proxy in front of the app may say is replaced or left out. */
	uint64_t without = HTTP_SET(HTTP_FIELD_X_FORWARDED_FOR) | HTTP_SET(HTTP_FIELD_X_FORWARDED_PROTO) |
	                   HTTP_SET(HTTP_FIELD_X_FORWARDED_HOST) | HTTP_SET(HTTP_FIELD_X_FORWARDED_PORT) |
	                   HTTP_SET(HTTP_FIELD_X_REAL_IP) | HTTP_SET(HTTP_FIELD_FORWARDED);

	/* A password that noah asked for is for noah. Another noah asks for it too. */
	if (exchange->user.size > 0 && !exchange->trying)
		without |= HTTP_SET(HTTP_FIELD_AUTHORIZATION);
	if (!request->expect_continue || exchange->continued)
		without |= HTTP_SET(HTTP_FIELD_EXPECT); /* met here; or of HTTP/1.0: has no meaning (RFC 9110 10.1.1) */
	if (request->has_max_forwards)
		without |= HTTP_SET(HTTP_FIELD_MAX_FORWARDS);
	http_write_request(writer, request, without, span_of_text(exchange->site->name));
	write_forwarded_for(writer, exchange);
	http_write(writer, exchange->secure ? SPAN("X-Forwarded-Proto: https\r\nX-Real-IP: ")
	                                    : SPAN("X-Forwarded-Proto: http\r\nX-Real-IP: "));
	http_write(writer, exchange->from);
	http_write(writer, SPAN("\r\nVia: "));
	http_write(writer, exchange_version(exchange));
	http_write(writer, SPAN(" noah\r\n"));
	if (host.size > 0)
		http_write_field(writer, SPAN("X-Forwarded-Host"), host);
	if (exchange->user.size > 0)
		http_write_field(writer, SPAN("X-Forwarded-User"), exchange->user);
	if (exchange->trying)
		http_write(writer, SPAN("Noah-Try: 1\r\n"));
	if (request->has_max_forwards)
		http_write_field_number(writer, SPAN("Max-Forwards"), request->max_forwards - 1);
	if (request->upgrade && http_upgrade_is_asked(exchange))
		http_upgrade_write(writer, http_value(&request->head, HTTP_FIELD_UPGRADE));
	http_write_framing(writer, request->framing, request->length);
	http_write_head_end(writer);
}

bool http_head_room(struct http_writer *writer, size_t head_size)
{
	size_t room = head_size + HTTP_HEAD_OWN_BYTES;
	char *memory = arena_allocate(task_arena(), room);
	if (memory == NULL)
		return false;
	http_writer_init(writer, memory, room, NULL, 0);
	return true;
}

/* The beginning of what is held goes out with the head: a small body costs no call of its own. What follows does not wait for the
 * server to take it (upload.c). Returns its size. */
static size_t add_held(struct http_exchange *exchange, struct iovec *parts, unsigned *count)
{
	size_t size = 0;

	http_spool_rewind(&exchange->held);
	unsigned held = http_spool_parts(&exchange->held, parts + *count, HELD_PARTS);
	for (unsigned i = 0; i < held && size < HELD_WITH_HEAD; i++) {
		struct iovec *part = &parts[(*count)++];
		if (part->iov_len > HELD_WITH_HEAD - size)
			part->iov_len = HELD_WITH_HEAD - size;
		size += part->iov_len;
	}
	return size;
}

static enum http_outcome send_request(struct http_exchange *exchange)
{
	char own[HTTP_HEAD_OWN_BYTES];
	struct iovec parts[HTTP_HEAD_PARTS + HELD_PARTS];
	struct http_writer writer;
	struct stream *stream = &exchange->server->stream;
	uint64_t written_before = stream->bytes_written;

	ASSERT(!exchange->upload_begun);
	http_writer_init(&writer, own, sizeof(own), parts, HTTP_HEAD_PARTS);
	write_request_head(&writer, exchange);
	if (!http_writer_finish(&writer)) {
		if (!http_head_room(&writer, exchange->request.head.size * 2u)) /* names and host may stand in it twice */
			return OUTCOME_NO_RESOURCES;
		write_request_head(&writer, exchange);
		if (!http_writer_finish(&writer))
			return OUTCOME_NO_RESOURCES;
		parts[0] = (struct iovec){.iov_base = writer.memory, .iov_len = writer.size};
		writer.part_count = 1;
	}
	size_t of_held = 0;
	if (exchange->kept_body.size > 0)
		parts[writer.part_count++] =
		    (struct iovec){.iov_base = (void *)(uintptr_t)exchange->kept_body.start, .iov_len = exchange->kept_body.size};
	else if (exchange->held.bytes > 0)
		of_held = add_held(exchange, parts, &writer.part_count);
	enum net_result result = stream_write(stream, parts, writer.part_count, exchange->limits->answer_timeout_ms);
	exchange->sent = stream->bytes_written != written_before;
	exchange->sent_ever |= exchange->sent;
	exchange->sent_us = exchange_now_us(exchange);
	switch (result) {
	case NET_OK:
		if (of_held > 0)
			http_upload_sent_held(exchange, of_held);
		return OUTCOME_OK;
	case NET_CANCELLED:
		return OUTCOME_STOPPING;
	case NET_TIMEOUT:
		return OUTCOME_ANSWER_TIMEOUT;
	default:
		snprintf(exchange->detail, sizeof(exchange->detail), "%s: %s while the request was sent", exchange->target->text,
		         net_result_text(result));
		return OUTCOME_SERVER_CLOSED;
	}
}

/* ---- waiting for the server ---------------------------------------------------------------------------------------- */

/* Everything that has come of the body is on its way to the server. */
static bool is_visitor_awaited(const struct http_exchange *exchange)
{
	return !exchange->upload.done && !exchange->upload_broken && exchange->upload_pending == 0 && exchange->held.left == 0;
}

/* How long the present silence may go on, and what it means then. */
static int64_t silence_left_ms(struct http_exchange *exchange, enum http_outcome *meaning)
{
	const struct cluster_limits *limits = exchange->limits;

	if (!is_visitor_awaited(exchange)) {
		*meaning = exchange->answer_begun ? OUTCOME_ANSWER_STALLED : OUTCOME_ANSWER_TIMEOUT;
		return (int64_t)limits->answer_timeout_ms - (int64_t)((exchange_now_us(exchange) - exchange->progress_us) / 1000u);
	}
	*meaning = OUTCOME_REQUEST_TIMEOUT;
	return http_hold_limit_ms(exchange);
}

/* A request that must not be sent twice waits on a server that checks found down. It may be alive (taken out of service, and
 * finishing its work) and then answers; if its machine is gone, the kernel finds out within seconds instead of a quarter of an
 * hour. */
static void give_up_soon_if_dead(struct http_exchange *exchange)
{
	const unsigned most_ms = 3000;

	if (exchange->impatient || !upstream_is_down(exchange->target))
		return;
	exchange->impatient = true;
	/* A Unix socket has no such option, and needs none. */
	(void)setsockopt(exchange->server->stream.watched.descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &most_ms, sizeof(most_ms));
}

/* He was waited for, for his body or to take his answer. */
static enum http_outcome visitor_waited(struct http_exchange *exchange, bool behind, bool awaited, uint64_t since_us)
{
	enum http_outcome outcome = OUTCOME_OK;

	if (awaited)
		outcome = http_hold_waited(exchange, since_us);
	if (outcome == OUTCOME_OK && behind)
		outcome = http_absorb_waited(exchange, since_us);
	return outcome;
}

/* Something may have happened to server or visitor: OUTCOME_OK means look again. */
static enum http_outcome wait_for_any(struct http_exchange *exchange)
{
	struct watched *server = &exchange->server->stream.watched;
	struct wait_queue *queues[WAIT_ANY_MOST] = {&server->readers, exchange->changed};
	unsigned count = 2;
	enum http_outcome meaning;
	uint64_t since_us = exchange_now_us(exchange);
	bool behind = exchange->answer_begun && exchange->visitor->is_behind(exchange);
	bool awaited = is_visitor_awaited(exchange);
	bool look = !exchange->answer_begun && exchange_is_uploaded(exchange); /* now and then, whether the server has died */
	int64_t left_ms = silence_left_ms(exchange, &meaning);

	/* Before the wait: he may have left while there was something else to wait for. */
	if (exchange->visitor->is_gone(exchange))
		return OUTCOME_VISITOR_GONE;
	if (left_ms <= 0)
		return meaning;
	if (exchange->upload_pending > 0 || exchange->held.left > 0)
		queues[count++] = &server->writers;
	if (behind) {
		int64_t limit_ms = http_absorb_limit_ms(exchange);
		if (exchange->room != exchange->changed)
			queues[count++] = exchange->room;
		left_ms = limit_ms < left_ms ? limit_ms : left_ms;
	}
	switch (task_wait_any(queues, count, look && left_ms > HTTP_DOWN_SLICE_MS ? HTTP_DOWN_SLICE_MS : left_ms)) {
	case WAIT_READY:
		return visitor_waited(exchange, behind, awaited, since_us);
	case WAIT_TIMEOUT:
		if (look && http_attempt_may_move(exchange))
			return OUTCOME_SERVER_DOWN;
		if (look)
			give_up_soon_if_dead(exchange);
		return visitor_waited(exchange, behind, awaited, since_us);
	case WAIT_CANCELLED:
		break;
	}
	return OUTCOME_STOPPING;
}

enum http_outcome http_fill_from_server(struct http_exchange *exchange)
{
	struct stream *server = &exchange->server->stream;

	for (;;) {
		enum http_outcome outcome = OUTCOME_OK;
		if (!exchange_is_uploaded(exchange) && !exchange->upload_broken)
			outcome = http_upload_step(exchange);
		if (outcome == OUTCOME_OK && exchange->answer_begun && exchange->visitor->is_behind(exchange))
			outcome = http_absorb_push(exchange);
		if (outcome != OUTCOME_OK)
			return outcome;
		switch (stream_fill_now(server)) {
		case NET_OK:
			exchange->progress_us = exchange_now_us(exchange);
			return OUTCOME_OK;
		case NET_TIMEOUT:
			if (server->watched.readable)
				return OUTCOME_ANSWER_CUT; /* the kernel gives up on a dead machine: no end in order */
			break;
		case NET_CLOSED:
			return OUTCOME_SERVER_CLOSED;
		case NET_NO_RESOURCES:
			return OUTCOME_NO_RESOURCES;
		default:
			return OUTCOME_ANSWER_CUT;
		}
		if (exchange->upload_more && !exchange_is_uploaded(exchange) && !exchange->upload_broken)
			continue;
		outcome = wait_for_any(exchange);
		if (outcome != OUTCOME_OK)
			return outcome;
	}
}

/* ---- the answer's head --------------------------------------------------------------------------------------------- */

enum http_outcome http_bad_answer(struct http_exchange *exchange, const char *what)
{
	snprintf(exchange->detail, sizeof(exchange->detail), "%s: %s", exchange->target->text, what);
	return OUTCOME_BAD_ANSWER;
}

/* What is no status line may be anything: its first bytes tell whose fault it is. */
static enum http_outcome bad_head(struct http_exchange *exchange, enum http_fault fault)
{
	char text[3 * FIRST_BYTES_SHOWN + 1], *out = text;
	struct span came = buffer_span(&exchange->server->stream.input);

	if (fault != HTTP_FAULT_STATUS_LINE)
		return http_bad_answer(exchange, http_fault_text(fault));
	for (size_t i = 0; i < came.size && i < FIRST_BYTES_SHOWN; i++) {
		unsigned char byte = (unsigned char)came.start[i];
		if (byte >= 0x20 && byte < 0x7f && byte != '%')
			*out++ = (char)byte;
		else
			out += sprintf(out, "%%%02x", byte);
	}
	*out = '\0';
	snprintf(exchange->detail, sizeof(exchange->detail), "%s: %s (of %zu bytes: %s)", exchange->target->text,
	         http_fault_text(fault), came.size, text);
	return OUTCOME_BAD_ANSWER;
}

/* The server ended before its final head was complete. */
static enum http_outcome ended_early(struct http_exchange *exchange)
{
	const char *how = "closed the connection in the middle of its answer's head";

	if (exchange->impatient)
		how = "was found down and gave no sign of life any more";
	else if (buffer_filled(&exchange->server->stream.input) == 0)
		how = "closed the connection without an answer";
	snprintf(exchange->detail, sizeof(exchange->detail), "%s %s", exchange->target->text, how);
	return OUTCOME_SERVER_CLOSED; /* the visitor has seen nothing of it */
}

static enum http_outcome got_interim(struct http_exchange *exchange, unsigned count, size_t used)
{
	if (exchange->response.status == 101)
		return http_bad_answer(exchange, "101 Switching Protocols to a request that did not ask for it");
	if (count > HTTP_INTERIM_MOST)
		return http_bad_answer(exchange, "too many interim answers");
	enum http_outcome outcome = exchange->visitor->send_interim(exchange);
	buffer_consume(&exchange->server->stream.input, used);
	return outcome;
}

/* A server that ends a kept connection with 408 after its idle time means no request of ours: the two have crossed. On a new
 * connection, or from a server that goes on, it is an answer. */
static bool is_end_of_idle_time(const struct http_exchange *exchange)
{
	return exchange->response.status == 408 && !exchange->response.keep_alive && exchange->server->reused &&
	       exchange->tries < UPSTREAM_TRIES_MOST && http_attempt_may_repeat(exchange);
}

/* Until the final head is in exchange->response; it stays in the server's input buffer. OUTCOME_TUNNEL: there is none, the
 * connection has changed its protocol. */
static enum http_outcome await_answer(struct http_exchange *exchange)
{
	struct buffer *input = &exchange->server->stream.input;
	struct http_progress progress = {0};
	struct http_error error;
	bool continued = !exchange->request.expect_continue || exchange->continued;
	unsigned interims = 0;
	size_t used;

	for (;;) {
		enum http_outcome outcome = OUTCOME_OK;
		enum http_answer answer = HTTP_MORE;
		if (buffer_filled(input) > 0) {
			struct span bytes = buffer_span(input);
			answer = http_response_parse(&progress, bytes.start, bytes.size, exchange->request.method, &exchange->response, &used,
			                             &error);
		}
		if (answer == HTTP_WRONG)
			return bad_head(exchange, error.fault);
		if (answer == HTTP_DONE && is_end_of_idle_time(exchange)) {
			snprintf(exchange->detail, sizeof(exchange->detail), "%s ended a kept connection with 408", exchange->target->text);
			return OUTCOME_SERVER_CLOSED;
		}
		if (answer == HTTP_DONE && exchange->response.status == 101 && http_upgrade_is_granted(exchange)) {
			exchange->first_byte_us = exchange->progress_us;
			upstream_worked(exchange->target);
			return http_upgrade_answer(exchange, used);
		}
		if (answer == HTTP_DONE && exchange->response.status >= 200) {
			exchange->first_byte_us = exchange->progress_us;
			/* It may have decided without the body, and take that for its next request (RFC 9110 10.1.1, RFC 9112 9.3). */
			exchange->response.keep_alive &= continued && exchange_is_uploaded(exchange);
			exchange->kept_answer_head = used;
			upstream_worked(exchange->target);
			return OUTCOME_OK;
		}
		if (answer == HTTP_DONE) {
			continued |= exchange->response.status == 100;
			outcome = got_interim(exchange, ++interims, used);
			progress = (struct http_progress){0};
		} else {
			outcome = http_fill_from_server(exchange);
		}
		if (outcome == OUTCOME_SERVER_CLOSED || outcome == OUTCOME_ANSWER_CUT)
			return ended_early(exchange);
		if (outcome != OUTCOME_OK)
			return outcome;
	}
}
