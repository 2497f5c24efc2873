/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The admin listener: answers GET and HEAD of /metrics (Prometheus) and / (what is here), nothing else. Its sockets are the
 * supervisor's; process/watch.c hands them over.
 *
 * It shares a loop with the checks and must not disturb them: one task for each connection, at most ADMIN_CONNECTIONS_MOST, each
 * ended after ADMIN_LIFE_MS whatever it does; one request each; the metrics are made at most once in ADMIN_TEXT_MS, and all who
 * ask meanwhile get the same.
 */
#include "cluster/snapshot.h"
#include "proto/http.h"
#include "watch/watch_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ADMIN_CONNECTIONS_MOST 16u
#define ADMIN_LIFE_MS          10000 /* of a connection, from accept to the end */
#define ADMIN_LINGER_MS        1000
#define ADMIN_TEXT_MS          200
#define HEAD_MOST              512u

/* A text that several answers may send at the same time. */
struct text {
	unsigned users;
	size_t size;
	uint64_t made_us;
	char *bytes;
};

#define ADMIN_MAGIC 0x61646d69u
struct admin {
	uint32_t magic;
	struct loop *loop;
	struct board *board;
	struct snapshot *snapshot; /* the one that watch works by; borrowed */
	const char *const *processes;
	unsigned process_count;
	struct list listeners;
	unsigned connection_count;
	struct text *metrics; /* made last; NULL: none */
};

struct admin_listener {
	struct list link;
	uint32_t id;
	int descriptor;
	struct net_listener *listener;
};

struct connection {
	struct admin *admin;
	struct stream stream;
	struct task *task;
	struct timer end; /* of its life */
};

/* ---- the texts ---------------------------------------------------------------------------------------------------- */

static void text_unref(void *argument)
{
	struct text *text = argument;
	if (text == NULL || --text->users > 0)
		return;
	free(text->bytes);
	free(text);
}

/* A reference for the caller; NULL: not now. */
static struct text *metrics_now(struct admin *admin)
{
	uint64_t now = clock_monotonic_us();
	if (admin->snapshot == NULL) /* this process has just started */
		return NULL;
	if (admin->metrics == NULL || now >= admin->metrics->made_us + ADMIN_TEXT_MS * 1000u) {
		struct text *text = calloc(1, sizeof *text);
		if (text == NULL)
			return NULL;
		text->made_us = now;
		text->bytes =
		    metrics_make(admin->board, snapshot_cluster(admin->snapshot), admin->processes, admin->process_count, &text->size);
		text->users = 1;
		if (text->bytes == NULL) {
			text_unref(text);
			return NULL;
		}
		text_unref(admin->metrics);
		admin->metrics = text;
	}
	admin->metrics->users++;
	return admin->metrics;
}

static const char welcome[] = "noah " NOAH_VERSION "\n\n"
                              "/metrics    numbers for Prometheus; noah's docs/operations.md says what each means\n\n"
                              "For people: noah status\n";

/* ---- one answer ----------------------------------------------------------------------------------------------------- */

static void answer(struct connection *connection, int status, const char *type, struct span body, bool head_only)
{
	char head[HEAD_MOST], date[HTTP_DATE_SIZE];
	struct http_writer writer;

	http_writer_init(&writer, head, sizeof head, NULL, 0);
	http_write_status(&writer, status);
	http_date_format(clock_wall_us(), date);
	http_write_field(&writer, SPAN("Date"), span_of(date, sizeof date));
	http_write_field(&writer, SPAN("Content-Type"), span_of_text(type));
	http_write(&writer, SPAN("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"));
	if (status == 405)
		http_write(&writer, SPAN("Allow: GET, HEAD\r\n"));
	http_write_framing(&writer, HTTP_BODY_LENGTH, body.size);
	http_write_head_end(&writer);
	ASSERT(http_writer_finish(&writer));
	struct iovec parts[2] = {{.iov_base = head, .iov_len = writer.size},
	                         {.iov_base = (void *)(uintptr_t)body.start, .iov_len = head_only ? 0 : body.size}};
	enum net_result result = stream_write(&connection->stream, parts, 2, ADMIN_LIFE_MS);
	if (result != NET_OK)
		log_write(LOG_DEBUG, "an answer of the admin listener was not taken: %s", net_result_text(result));
}

/* A page that only says its status. */
static void answer_status(struct connection *connection, int status, bool head_only)
{
	char page[64];
	struct span reason = http_status_reason(status);
	int size = snprintf(page, sizeof page, "%d %.*s\n", status, (int)reason.size, reason.start);
	ASSERT(size > 0 && (size_t)size < sizeof page);
	answer(connection, status, "text/plain; charset=utf-8", span_of(page, (size_t)size), head_only);
}

static void answer_metrics(struct connection *connection, bool head_only)
{
	struct text *text = metrics_now(connection->admin);
	if (text == NULL) {
		answer_status(connection, 503, head_only);
		return;
	}
	task_undo(text_unref, text);
	answer(connection, 200, "text/plain; version=0.0.4; charset=utf-8", span_of(text->bytes, text->size), head_only);
}

static void answer_request(struct connection *connection, const struct http_request *request)
{
	bool head_only = request->method == HTTP_METHOD_HEAD;
	struct span path = http_text(&request->head, request->path);

	if (request->method != HTTP_METHOD_GET && !head_only)
		answer_status(connection, 405, false);
	else if (span_equal(path, SPAN("/metrics")))
		answer_metrics(connection, head_only);
	else if (span_equal(path, SPAN("/")) || path.size == 0)
		answer(connection, 200, "text/plain; charset=utf-8", span_of(welcome, sizeof welcome - 1), head_only);
	else
		answer_status(connection, 404, head_only);
}

/* Reads one request and answers it. */
static void serve(struct connection *connection)
{
	struct http_request *request = arena_allocate(task_arena(), sizeof *request); /* its fields are many */
	struct http_progress progress = {0};
	struct http_error error;
	size_t used;

	if (request == NULL)
		return;
	for (;;) { /* at most HTTP_HEAD_MOST bytes, for at most ADMIN_LIFE_MS */
		struct buffer *input = &connection->stream.input;
		if (buffer_filled(input) > 0) {
			struct span bytes = buffer_span(input);
			switch (http_request_parse(&progress, bytes.start, bytes.size, request, &used, &error)) {
			case HTTP_DONE:
				answer_request(connection, request);
				return;
			case HTTP_WRONG:
				answer_status(connection, http_fault_status(error.fault), false);
				return;
			case HTTP_MORE:
				break;
			}
		}
		if (stream_fill(&connection->stream, ADMIN_LIFE_MS) != NET_OK)
			return;
	}
}

/* ---- connections ------------------------------------------------------------------------------------------------------ */

static void connection_end(void *argument)
{
	struct connection *connection = argument;
	timer_clear(&connection->end);
	stream_close(&connection->stream);
	connection->admin->connection_count--;
	free(connection);
}

static void connection_run(void *argument)
{
	struct connection *connection = argument;
	task_undo(connection_end, connection);
	serve(connection);
	if (stream_is_open(&connection->stream))
		stream_close_gently(&connection->stream, ADMIN_LINGER_MS);
}

static void life_is_over(struct timer *timer)
{
	task_cancel(OWNER_OF(timer, struct connection, end)->task);
}

static void accepted(void *argument, int descriptor, const struct address *from)
{
	struct admin *admin = argument;
	char text[ADDRESS_TEXT_SIZE];

	CHECK_MAGIC(admin, ADMIN_MAGIC);
	struct connection *connection = NULL;
	if (admin->connection_count < ADMIN_CONNECTIONS_MOST)
		connection = calloc(1, sizeof *connection);
	if (connection == NULL) {
		LOG_LIMITED(LOG_WARNING, 10000, "admin listener: a connection of %s is closed: %u others are open, or memory is out",
		            address_format_ip(from, text), admin->connection_count);
		close(descriptor);
		return;
	}
	connection->admin = admin;
	if (stream_adopt(&connection->stream, descriptor) != NET_OK) {
		free(connection);
		return;
	}
	connection->task = task_start(admin->loop, "admin", connection_run, connection);
	if (connection->task == NULL) {
		LOG_LIMITED(LOG_WARNING, 10000, "admin listener: a connection is closed: %m");
		stream_close(&connection->stream);
		free(connection);
		return;
	}
	admin->connection_count++;
	timer_init(&connection->end, life_is_over);
	timer_set(&connection->end, ADMIN_LIFE_MS);
}

/* ---- listeners --------------------------------------------------------------------------------------------------------- */

struct admin *admin_new(struct loop *loop, struct board *board)
{
	struct admin *admin = calloc(1, sizeof *admin);
	if (admin == NULL)
		return NULL;
	admin->magic = ADMIN_MAGIC;
	admin->loop = loop;
	admin->board = board;
	list_init(&admin->listeners);
	return admin;
}

void admin_use(struct admin *admin, struct snapshot *snapshot)
{
	CHECK_MAGIC(admin, ADMIN_MAGIC);
	admin->snapshot = snapshot;
}

void admin_name_processes(struct admin *admin, const char *const *names, unsigned count)
{
	CHECK_MAGIC(admin, ADMIN_MAGIC);
	admin->processes = names;
	admin->process_count = count;
}

bool admin_listen(struct admin *admin, uint32_t id, int descriptor)
{
	CHECK_MAGIC(admin, ADMIN_MAGIC);
	struct admin_listener *listener = calloc(1, sizeof *listener);
	if (listener == NULL)
		return false;
	listener->id = id;
	listener->descriptor = descriptor;
	listener->listener = net_listener_new(descriptor, accepted, admin);
	if (listener->listener == NULL) {
		free(listener);
		return false;
	}
	list_append(&admin->listeners, &listener->link);
	return true;
}

static void listener_close(struct admin_listener *listener)
{
	list_remove(&listener->link);
	net_listener_free(listener->listener);
	close(listener->descriptor);
	free(listener);
}

void admin_listener_gone(struct admin *admin, uint32_t id)
{
	CHECK_MAGIC(admin, ADMIN_MAGIC);
	LIST_EACH_SAFE (link, &admin->listeners) {
		struct admin_listener *listener = OWNER_OF(link, struct admin_listener, link);
		if (listener->id == id)
			listener_close(listener);
	}
}

void admin_free(struct admin *admin)
{
	CHECK_MAGIC(admin, ADMIN_MAGIC);
	ASSERT(admin->connection_count == 0); /* their tasks ended with the loop */
	LIST_EACH_SAFE (link, &admin->listeners)
		listener_close(OWNER_OF(link, struct admin_listener, link));
	text_unref(admin->metrics);
	admin->magic = 0;
	free(admin);
}
