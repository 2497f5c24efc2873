/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of a connection to a TCP service, top to bottom, on traffic's loops. A task finds a server and connects; from then on
 * the tunnel (net/tunnel.c) does the work and holds no stack. Started by core.c.
 *
 *    accepted -> admitted to a server (may wait in its queue) -> connected -> PROXY header -> tunnel -> concluded
 */
#include "tcp/tcp_private.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DETAIL_SIZE 512u

#define TCP_SESSION_MAGIC 0x74637073u
struct tcp_session {
	uint32_t magic;
	struct tcp_core *core;
	struct list link; /* core->sessions */
	struct stream client;
	struct address from;
	struct tcp_count *count; /* counted there; it has the service's name */
	struct upstream_connection *server;
	struct tunnel *tunnel; /* NULL until it stands */
	int row;               /* on the board, of the server that it stands with */
	char target[CLUSTER_NAME_SIZE + 8];
	/* until the tunnel stands, so that it keeps no old snapshot alive: */
	struct tcp_view *view;
	const struct tcp_service *service;
};

static void session_run(void *argument);
static enum tcp_outcome session_connect(struct tcp_session *session, char detail[DETAIL_SIZE]);
static void tunnel_ended(void *argument, const struct tunnel_result *result);

/* ---- how it ended, in one place ------------------------------------------------------------------------------------ */

static const struct {
	const char *text;
	bool failure;
} outcomes[] = {
#define X(name, text, failure) [name] = {text, failure},
    TCP_OUTCOMES(X)
#undef X
};

static void say_failure(const struct tcp_session *session, enum tcp_outcome outcome, const char *detail)
{
	char from[ADDRESS_TEXT_SIZE];

	LOG_LIMITED(LOG_WARNING, 100, "service %s: a connection from %s failed (%s): %s", session->count->name,
	            address_format(&session->from, from), outcomes[outcome].text, detail);
}

static void let_go_of_view(struct tcp_session *session)
{
	if (session->view == NULL)
		return;
	tcp_view_unref(session->view);
	session->view = NULL;
	session->service = NULL;
	session->core->connecting_count--;
}

static void session_conclude(struct tcp_session *session, enum tcp_outcome outcome, const char *detail)
{
	struct tcp_core *core = session->core;

	CHECK_MAGIC(session, TCP_SESSION_MAGIC);
	if (outcomes[outcome].failure) {
		BOARD_COUNT(core->lane, services_failed, 1);
		say_failure(session, outcome, detail);
	}
	stream_close(&session->client);
	if (session->server != NULL)
		upstream_close(session->server);
	let_go_of_view(session);
	atomic_fetch_sub(&session->count->open, 1);
	list_remove(&session->link);
	core->session_count--;
	BOARD_COUNT(core->lane, services_open, -1);
	session->magic = 0;
	free(session);
}

/* ---- beginning ------------------------------------------------------------------------------------------------------ */

void tcp_session_start(struct tcp_core *core, const struct tcp_service *service, int descriptor, const struct address *from)
{
	struct tcp_session *session = calloc(1, sizeof(*session));

	if (session == NULL || stream_adopt(&session->client, descriptor) != NET_OK) {
		LOG_LIMITED(LOG_ERROR, 1000, "service %s: a connection is refused: out of memory", service->service->name);
		if (session == NULL)
			close(descriptor);
		free(session);
		return;
	}
	session->magic = TCP_SESSION_MAGIC;
	session->core = core;
	session->from = *from;
	session->count = service->count;
	session->view = tcp_view_ref(core->view);
	session->service = service;
	core->connecting_count++;
	list_append(&core->sessions, &session->link);
	core->session_count++;
	BOARD_COUNT(core->lane, services_accepted, 1);
	BOARD_COUNT(core->lane, services_open, 1);
	if (atomic_fetch_add(&session->count->open, 1) >= service->service->connections_most)
		session_conclude(session, TCP_TOO_MANY, "as many connections are open as the service may have (`sessions`)");
	else if (task_start(core->loop, "tcp", session_run, session) == NULL)
		session_conclude(session, TCP_NO_RESOURCES, "no stack is left");
}

static void session_run(void *argument)
{
	struct tcp_session *session = argument;
	char detail[DETAIL_SIZE] = "";

	enum tcp_outcome outcome = session_connect(session, detail);
	if (outcome != TCP_OK) {
		session_conclude(session, outcome, detail);
		return;
	}
	int64_t idle_ms = session->service->service->idle_timeout_ms;
	let_go_of_view(session);
	session->tunnel = tunnel_start(&session->client, &session->server->stream, idle_ms, tunnel_ended, session);
	if (session->tunnel == NULL) {
		upstream_end_row(&session->core->upstream, session->row);
		session_conclude(session, TCP_NO_RESOURCES, "out of memory");
	} else if (session->core->draining) {
		tcp_session_hurry(&session->link);
	}
}

/* ---- getting a server ----------------------------------------------------------------------------------------------- */

/* An end of his stream alone is not the end of his interest: he may have sent all that he has to say. */
static bool client_is_gone(void *argument)
{
	struct tcp_session *session = argument;
	struct pollfd ask = {.fd = session->client.watched.descriptor, .events = POLLRDHUP};

	return session->client.watched.hangup && poll(&ask, 1, 0) == 1 && (ask.revents & (POLLHUP | POLLERR)) != 0;
}

static enum tcp_outcome outcome_of_admission(enum upstream_admission admission)
{
	switch (admission) {
	case UPSTREAM_ADMITTED:
		return TCP_OK;
	case UPSTREAM_NO_SERVER:
		return TCP_NO_SERVER;
	case UPSTREAM_QUEUE_FULL:
		return TCP_QUEUE_FULL;
	case UPSTREAM_QUEUE_TIMEOUT:
		return TCP_QUEUE_TIMEOUT;
	case UPSTREAM_GONE:
		return TCP_CLIENT_GONE;
	case UPSTREAM_CANCELLED:
		break;
	}
	return TCP_STOPPED;
}

static enum net_result send_proxy_header(struct tcp_session *session)
{
	char header[TCP_PROXY_HEADER_MOST];
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	struct address to = {.family = ADDRESS_NONE};

	if (session->service->service->proxy_protocol == 0)
		return NET_OK;
	if (getsockname(session->client.watched.descriptor, (struct sockaddr *)&name, &size) == 0)
		address_from_sockaddr((struct sockaddr *)&name, size, &to);
	size_t header_size = tcp_proxy_header(session->service->service->proxy_protocol, &session->from, &to, header);
	return stream_write_bytes(&session->server->stream, header, header_size, TCP_WRITE_MS);
}

/* One server: the connection and what it is told first. upstream_begin was called, and ends here when it comes to nothing. */
static enum tcp_outcome try_server(struct tcp_session *session, struct upstream_place *place, struct upstream_wish *wish,
                                   char detail[DETAIL_SIZE])
{
	struct upstream_core *upstream = &session->core->upstream;
	struct upstream_group *group = session->service->group;
	struct upstream_target *target = place->target;
	uint64_t began_us = loop_now_us(session->core->loop);

	upstream_begin(upstream, target);
	enum net_result result = upstream_open(upstream, place, group->group->connect_timeout_ms, &session->server);
	if (result == NET_OK && (result = send_proxy_header(session)) != NET_OK) {
		upstream_close(session->server);
		session->server = NULL;
	}
	if (result == NET_OK) {
		upstream_worked(target);
		/* What it says after that is not known to be an answer: how quickly it takes a connection must tell how busy it is. */
		upstream_note_latency(upstream, target, loop_now_us(session->core->loop) - began_us);
		session->row = target->row;
		memcpy(session->target, target->text, sizeof(session->target));
		return TCP_OK;
	}
	upstream_end(upstream, target);
	if (result == NET_CANCELLED)
		return TCP_STOPPED;
	snprintf(detail, DETAIL_SIZE, "%s: cannot connect: %s", target->text, net_result_text(result));
	if (result == NET_NO_RESOURCES)
		return TCP_NO_RESOURCES;
	wish->tried |= upstream_bit(group, target);
	upstream_failed(upstream, group, target);
	return TCP_CONNECT_FAILED;
}

/* Nothing was sent to a server that could not be reached, so the next one is tried: each at most once, within the budget for
 * retries. */
static enum tcp_outcome session_connect(struct tcp_session *session, char detail[DETAIL_SIZE])
{
	struct upstream_core *upstream = &session->core->upstream;
	struct upstream_group *group = session->service->group;
	struct upstream_patience patience = {
	    .changed = &session->client.watched.readers, .is_gone = client_is_gone, .argument = session};
	struct upstream_wish wish = {.fresh = true,
	                             .has_hash = session->from.family != ADDRESS_NONE,
	                             .hash = hash_stable(session->from.ip, session->from.family == ADDRESS_IPV4 ? 4 : 16)};
	enum tcp_outcome outcome = TCP_NO_SERVER;

	upstream_budget_earn(&group->budget);
	for (uint32_t tries = 0; tries < group->target_count; tries++) {
		struct upstream_place place = {0};
		if (tries > 0 && (client_is_gone(session) || !upstream_budget_spend(&group->budget, loop_now_us(session->core->loop))))
			return outcome;
		enum upstream_admission admission = upstream_admit(upstream, group, &wish, &patience, &place);
		if (admission == UPSTREAM_NO_SERVER && tries > 0)
			return outcome; /* what the last one ended in says more */
		if (admission != UPSTREAM_ADMITTED) {
			upstream_describe(upstream, group, admission, detail, DETAIL_SIZE);
			return outcome_of_admission(admission);
		}
		if (tries > 0)
			BOARD_COUNT(session->core->lane, retries, 1);
		outcome = try_server(session, &place, &wish, detail);
		if (outcome != TCP_CONNECT_FAILED)
			return outcome;
	}
	return outcome;
}

/* ---- the tunnel and its end ------------------------------------------------------------------------------------------ */

void tcp_session_hurry(struct list *item)
{
	struct tcp_session *session = OWNER_OF(item, struct tcp_session, link);

	CHECK_MAGIC(session, TCP_SESSION_MAGIC);
	if (session->tunnel != NULL)
		tunnel_hurry(session->tunnel, TCP_DRAIN_SILENCE_MS);
}

static enum tcp_outcome outcome_of_tunnel(const struct tunnel_result *result)
{
	switch (result->how) {
	case NET_OK:
	case NET_CLOSED:
		return TCP_OK;
	case NET_TIMEOUT:
		return TCP_IDLE;
	case NET_CANCELLED:
		return TCP_STOPPED;
	case NET_NO_RESOURCES:
		return TCP_NO_RESOURCES;
	case NET_REFUSED:
	case NET_RESET:
	case NET_UNREACHABLE:
	case NET_FAILED:
		break;
	}
	return result->by_first ? TCP_CLIENT_BROKE : TCP_SERVER_BROKE;
}

static void tunnel_ended(void *argument, const struct tunnel_result *result)
{
	struct tcp_session *session = argument;
	char detail[DETAIL_SIZE];

	CHECK_MAGIC(session, TCP_SESSION_MAGIC);
	session->tunnel = NULL;
	upstream_end_row(&session->core->upstream, session->row);
	snprintf(detail, sizeof(detail), "%s: %s, after %llu bytes to it and %llu from it", session->target,
	         net_result_text(result->how), (unsigned long long)result->first_bytes, (unsigned long long)result->second_bytes);
	BOARD_COUNT(session->core->lane, services_bytes_in, result->first_bytes);
	BOARD_COUNT(session->core->lane, services_bytes_out, result->second_bytes);
	session_conclude(session, outcome_of_tunnel(result), detail);
}
