/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Front ends that stand before noah (`front_ends` of the cluster file): from where a visitor came, and whether with TLS, when the
 * connection is somebody else's. In the traffic threads.
 *
 * Only who connects from a trusted address is believed. Either each of his connections begins with a PROXY header (core.c asks
 * when one is accepted, connection.c has the header read before anything else, TLS too), or each of his requests has
 * X-Forwarded-For and X-Forwarded-Proto (exchange.c asks before it looks for a site). What strangers say so is never believed.
 */
#include "http/route.h"
#include "proto/proxy_protocol.h"

#include <stdio.h>

static const struct cluster_front_ends *front_ends_of(const struct http_routes *routes)
{
	return &routes->view->cluster->front_ends;
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

bool http_front_end_accepts(struct http_client *client, bool secure)
{
	const struct cluster_front_ends *front_ends = front_ends_of(client->core->routes);
	bool by_header = front_ends->told_by == TOLD_BY_PROXY_PROTOCOL;

	if (LIKELY(front_ends->from.count == 0))
		return true;
	if (http_origin_is_in(&client->origin, &front_ends->from)) {
		client->announced = client->unannounced = by_header;
		return true;
	}
	/* Who can read an answer gets one (http_front_end_told). */
	if (!front_ends->only || (!by_header && !secure))
		return true;
	LOG_LIMITED(LOG_NOTICE, 10000, "connection of %s refused: it is not one of the front ends", client->origin.text);
	return false;
}

static void complain(const struct http_client *client, const char *what)
{
	LOG_LIMITED(LOG_WARNING, 1000, "connection of the front end %s refused: %s", client->origin.text, what);
}

/* A port that is for TLS, while what comes is plain: the front end has ended TLS, even if its words cannot say so. */
static bool came_with_tls(const struct http_client *client, const struct proxy_told *told)
{
	return told->secure || (!client->insecure && told->to.port == 443);
}

enum net_result http_front_end_hear(struct http_client *client)
{
	char bytes[PROXY_PROTOCOL_MOST + 1];
	int64_t timeout_ms = http_routes_request_timeout_ms(client->core->routes, client->listener); /* for all of it together */
	uint64_t until_us = loop_now_us(client->core->loop) + (uint64_t)timeout_ms * 1000u;
	struct proxy_told told;
	size_t size = 0, used = 0;
	const char *why = NULL;

	for (;;) {
		uint64_t now_us = loop_now_us(client->core->loop);
		enum net_result result = NET_TIMEOUT;
		if (now_us < until_us)
			result = stream_peek(&client->stream, bytes, sizeof(bytes), &size, (int64_t)((until_us - now_us) / 1000u + 1));
		if (result != NET_OK) {
			if (size > 0 || result == NET_TIMEOUT) /* some only look whether the port is open */
				complain(client, "its PROXY header did not come whole");
			return result;
		}
		enum proxy_answer answer = proxy_protocol_parse(bytes, size, &told, &used, &why);
		if (answer == PROXY_WRONG) {
			complain(client, why);
			return NET_FAILED;
		}
		if (answer == PROXY_DONE)
			break;
	}
	client->unannounced = false;
	if (told.known) {
		http_origin_set(&client->origin, &told.from);
		client->told_secure = came_with_tls(client, &told);
	}
	return stream_drop(&client->stream, used, size);
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

/* Cuts the last element of a list (RFC 9110 5.6.1) off; *list is what stood in front of its comma. */
static struct span cut_last(struct span *list)
{
	size_t at = list->size;

	while (at > 0 && list->start[at - 1] != ',')
		at--;
	struct span last = span_of(list->start + at, list->size - at);
	list->size = at > 0 ? at - 1 : 0;
	return span_trim(last);
}

/* Some write a port behind it. */
static bool read_address(struct span text, struct http_origin *origin)
{
	struct address address;

	if (text.start[0] == '/' || !address_parse(text, false, &address))
		return false;
	http_origin_set(origin, &address);
	return true;
}

static enum http_outcome bad_address(struct http_exchange *exchange, struct span text)
{
	snprintf(exchange->detail, sizeof(exchange->detail), "X-Forwarded-For of the front end %s does not end in an address: %.*s",
	         exchange->client->origin.text, (int)(text.size < 64 ? text.size : 64), text.start);
	return OUTCOME_BAD_REQUEST;
}

/* From the right: each element was said by the one behind it, and those that are trusted are believed. The first that is not is
 * the visitor; if all are, it is the farthest. */
static enum http_outcome read_forwarded_for(struct http_exchange *exchange, const struct cluster_networks *trusted)
{
	const struct http_head *head = &exchange->request.head;
	struct http_origin *origin = NULL;

	if ((head->present & HTTP_SET(HTTP_FIELD_X_FORWARDED_FOR)) == 0)
		return OUTCOME_OK;                           /* its own request: a health check */
	for (unsigned i = head->field_count; i-- > 0;) { /* elements: at most as many as the head has bytes */
		struct span list = http_text(head, head->fields[i].value);
		while (head->fields[i].known == HTTP_FIELD_X_FORWARDED_FOR && list.size > 0) {
			struct span element = cut_last(&list);
			if (element.size == 0)
				continue;
			if (origin == NULL && (origin = arena_allocate(task_arena(), sizeof(*origin))) == NULL)
				return OUTCOME_NO_RESOURCES;
			if (!read_address(element, origin))
				return bad_address(exchange, element);
			exchange->origin = origin;
			exchange->from = http_origin_text(origin);
			exchange->told_field = i;
			exchange->told_before = list;
			exchange->told = true;
			if (!http_origin_is_in(origin, trusted))
				return OUTCOME_OK;
		}
	}
	return OUTCOME_OK;
}

/* The last word counts: it is that of the front end which connects. */
static void read_forwarded_proto(struct http_exchange *exchange)
{
	const struct http_head *head = &exchange->request.head;
	struct span list = span_of(NULL, 0);

	for (unsigned i = 0; i < head->field_count; i++)
		if (head->fields[i].known == HTTP_FIELD_X_FORWARDED_PROTO)
			list = http_text(head, head->fields[i].value);
	struct span word = list.size > 0 ? cut_last(&list) : list;
	if (span_equal_nocase(word, SPAN("https")) || span_equal_nocase(word, SPAN("wss")))
		exchange->secure = true;
	else if (span_equal_nocase(word, SPAN("http")) || span_equal_nocase(word, SPAN("ws")))
		exchange->secure = false;
}

enum http_outcome http_front_end_told(struct http_exchange *exchange)
{
	const struct cluster_front_ends *front_ends = front_ends_of(exchange->routes);
	const struct http_client *client = exchange->client;

	if (LIKELY(front_ends->from.count == 0))
		return OUTCOME_OK;
	bool trusted =
	    front_ends->told_by == TOLD_BY_PROXY_PROTOCOL ? client->announced : http_origin_is_in(&client->origin, &front_ends->from);
	if (trusted && front_ends->told_by == TOLD_BY_FORWARDED_FOR) {
		read_forwarded_proto(exchange);
		return read_forwarded_for(exchange, &front_ends->from);
	}
	if (trusted || !front_ends->only)
		return OUTCOME_OK;
	snprintf(exchange->detail, sizeof(exchange->detail), "only front ends are answered, and %s is none", client->origin.text);
	return OUTCOME_REFUSED_ADDRESS;
}
