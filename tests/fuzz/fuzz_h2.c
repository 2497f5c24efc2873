/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP/2 requests: what becomes an HTTP/1.1 head is one whole head, says what the fields said, and what is written from it for an
 * app is strict. The first byte chooses: fields by themselves (0xff ends one, 0xfe stands between name and value), or frames as a
 * visitor sends them, through nghttp2.
 */
#include <stdlib.h>

#include "http_oracle.h"

#include "proto/http2.h"

#include <nghttp2/nghttp2.h>

static struct http_request request;
static char memory[16384], written[HTTP_HEAD_MOST * 2];

static unsigned count_lines(const char *text, size_t size, const char *start)
{
	unsigned count = 0;
	for (const char *at = text; (at = memmem(at, (size_t)(text + size - at), start, strlen(start))) != NULL; at++)
		count++;
	return count;
}

/* What an app would get. */
static void check_written(void)
{
	struct http_writer writer;
	http_writer_init(&writer, written, sizeof(written), NULL, 0);
	http_write_request(&writer, &request, 0, SPAN("fallback"));
	http_write_framing(&writer, request.framing, request.length);
	http_write_head_end(&writer);
	ASSERT(http_writer_finish(&writer));
	struct oracle oracle = oracle_read(written, writer.size);
	ASSERT(oracle.hosts == 1 && oracle.hops == 0 && oracle.codings == 0);
	ASSERT(oracle.lengths == (request.framing == HTTP_BODY_LENGTH));
}

static void check_head(const struct http2_head *head)
{
	struct http_progress progress = {0};
	struct http_error error = {0};
	struct http_writer writer;
	size_t room = http2_head_text_bytes(head), used = 0;
	char *text = malloc(room);

	ASSERT(text != NULL);
	http_writer_init(&writer, text, room, NULL, 0);
	enum http_fault fault = http2_head_write(head, &writer);
	if (head->fault != HTTP_FAULT_NONE)
		ASSERT(fault == head->fault);
	if (fault != HTTP_FAULT_NONE) {
		ASSERT(http_fault_status(fault) >= 400);
		free(text);
		return;
	}
	http_write_head_end(&writer);
	ASSERT(http_writer_finish(&writer));
	enum http_answer answer = http_request_parse(&progress, text, writer.size, &request, &used, &error);
	ASSERT(answer != HTTP_MORE); /* a whole head, or a wrong one */
	if (answer == HTTP_DONE) {
		ASSERT(used == writer.size && request.head.minor == 1 && request.framing != HTTP_BODY_CHUNKED);
		oracle_check_head(&request.head);
		struct oracle oracle = oracle_read(text, writer.size);
		ASSERT(oracle.hosts == 1 && oracle.codings == 0 && oracle.lengths <= 1 && oracle.fields == request.head.field_count);
		ASSERT(span_equal(http_text(&request.head, request.method_text), head->method));
		ASSERT(request.target_form != HTTP_TARGET_ABSOLUTE && !request.upgrade && request.keep_alive);
		if (request.method != HTTP_METHOD_CONNECT) {
			ASSERT(span_equal(http_text(&request.head, request.target), head->path));
			check_written();
		}
		if (head->authority.start != NULL)
			ASSERT(span_equal(http_text(&request.head, request.host), head->authority));
		ASSERT(count_lines(text, writer.size, "\r\ncookie: ") == (head->cookie_count > 0));
	}
	free(text);
}

/* ---- fields by themselves ---- */

static void try_fields(const char *bytes, size_t size)
{
	struct span rest = span_of(bytes, size);
	struct http2_head head;

	http2_head_begin(&head, memory, sizeof(memory));
	while (rest.start != NULL) {
		struct span value = span_cut(&rest, '\xff'), name = span_cut(&value, '\xfe');
		http2_head_add(&head, name, value);
	}
	check_head(&head);
}

/* ---- frames ---- */

struct visit {
	struct http2_head head;
	bool open;
};

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct visit *visit = argument;

	(void)session;
	visit->open = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
	http2_head_begin(&visit->head, memory, sizeof(memory));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags, void *argument)
{
	struct visit *visit = argument;

	(void)session;
	(void)frame;
	(void)flags;
	http2_head_add(&visit->head, span_of(name, name_size), span_of(value, value_size));
	return visit->head.decoded_bytes > sizeof(memory) * 4 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct visit *visit = argument;

	(void)session;
	if (frame->hd.type == NGHTTP2_HEADERS && visit->open)
		check_head(&visit->head);
	return 0;
}

static void try_frames(const uint8_t *bytes, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	struct visit visit = {.open = false};
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;
	const uint8_t *out;

	ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	ASSERT(nghttp2_session_server_new(&session, callbacks, &visit) == 0);
	nghttp2_session_callbacks_del(callbacks);
	ASSERT(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
	/* The string's own zero byte is the last of the empty SETTINGS frame. */
	ASSERT(nghttp2_session_mem_recv(session, (const uint8_t *)preface, sizeof(preface)) == (ssize_t)sizeof(preface));
	(void)nghttp2_session_mem_recv(session, bytes, size);
	while (nghttp2_session_mem_send(session, &out) > 0) {
	}
	nghttp2_session_del(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'f')
		try_frames(data + 1, size - 1);
	else
		try_fields((const char *)data + 1, size - 1);
	return 0;
}
