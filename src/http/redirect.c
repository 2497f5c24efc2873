/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers that need no server: redirects (to https, to the canonical name, and those of routes) and the static page of a site. In
 * the traffic threads; route.c finds out that one is due, exchange.c has it sent.
 */
#include "http/route.h"

#include <stdio.h>

/* A Location in the making. */
struct place {
	char *text;
	size_t size, room;
};

static void add(struct place *place, struct span text)
{
	ASSERT(place->room - place->size >= text.size); /* the room is made for all that can be added */
	if (text.size > 0)
		memcpy(place->text + place->size, text.start, text.size);
	place->size += text.size;
}

static struct span path_of(const struct http_exchange *exchange)
{
	struct span path = http_text(&exchange->request.head, exchange->request.path);
	return path.size > 0 ? path : SPAN("/");
}

/* "https://www.example.com:8443". */
static void add_origin(struct place *place, const struct http_exchange *exchange, const struct site_entry *entry, bool secure,
                       struct span host)
{
	bool was_secure = exchange->secure;
	/* Who comes to the same scheme stays at the port that he named; the port of the other one is that of its listener. */
	unsigned port = secure == was_secure ? exchange->request.host_port : entry->https_port;
	char text[8];

	add(place, secure ? SPAN("https://") : SPAN("http://"));
	add(place, host);
	if (port != 0 && port != (secure ? 443u : 80u))
		add(place, span_of(text, (size_t)snprintf(text, sizeof(text), ":%u", port)));
}

static void add_query(struct place *place, const struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;

	if (!request->has_query)
		return;
	add(place, memchr(place->text, '?', place->size) != NULL ? SPAN("&") : SPAN("?"));
	add(place, http_text(&request->head, request->query));
}

static bool place_make(struct place *place, const struct http_exchange *exchange)
{
	place->size = 0;
	place->room = CLUSTER_URL_SIZE + CLUSTER_HOST_SIZE + 32u + exchange->request.head.size;
	place->text = arena_allocate(task_arena(), place->room);
	return place->text != NULL;
}

/* What the route says: an address, or a path on this site (below `origin`), and what followed its prefix if it ends in '/'. */
static void add_target(struct place *place, const struct cluster_route *route, struct span rest)
{
	struct span target = span_of_text(route->redirect);

	add(place, target);
	if (target.size > 0 && target.start[target.size - 1] == '/')
		add(place, rest);
}

enum http_outcome redirect_if_needed(struct http_exchange *exchange)
{
	const struct site_entry *entry = exchange->entry;
	const struct cluster_route *route = exchange->route;
	const struct http_request *request = &exchange->request;
	struct span host = http_text(&request->head, request->host_name);
	bool was_secure = exchange->secure;
	bool secure = was_secure || (entry->site->redirect_to_https && entry->https_port != 0);
	bool rename = entry->canonical.size > 0 && exchange->by_exact_name && !span_equal_nocase(host, entry->canonical);
	bool routed = route != NULL && route->redirect[0] != '\0';
	/* The challenge must be answered in plain HTTP, under each name. */
	bool moved = (secure != was_secure || rename) && !span_starts_with(path_of(exchange), SPAN(HTTP_ACME_PATH));
	struct place place;

	if (LIKELY(!moved && !routed))
		return OUTCOME_OK;
	if (rename || host.size == 0)
		host = entry->canonical.size > 0 ? entry->canonical : entry->first_name;
	if (moved && host.size == 0) {
		snprintf(exchange->detail, sizeof(exchange->detail), "it must go to https, and names no host");
		return OUTCOME_BAD_REQUEST;
	}
	if (!place_make(&place, exchange))
		return OUTCOME_NO_RESOURCES;
	if (moved && (!routed || route->redirect[0] == '/'))
		add_origin(&place, exchange, entry, secure, host);
	if (routed)
		add_target(&place, route, exchange->rest);
	else
		add(&place, path_of(exchange));
	add_query(&place, exchange);
	exchange->location = span_of(place.text, place.size);
	/* 308 keeps the method and the body of a POST; 301 is what the oldest programs know. */
	bool reading = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
	exchange->redirect_status = routed ? route->redirect_status : reading ? 301 : 308;
	return OUTCOME_REDIRECTED;
}

/* ---- sending them ------------------------------------------------------------------------------------------------- */

void http_answer_redirect(struct http_exchange *exchange)
{
	char page[64];
	int status = exchange->redirect_status;
	struct span reason = http_status_reason(status);
	int size = snprintf(page, sizeof(page), "%d %.*s\n", status, (int)reason.size, reason.start);

	exchange_add_field(exchange, SPAN("Location"), exchange->location);
	exchange_add_field(exchange, SPAN("Content-Type"), SPAN("text/plain; charset=utf-8"));
	http_answer_with(exchange, status, span_of(page, (size_t)size));
}

static struct span page_type(const struct cluster_site *site)
{
	struct span file = span_of_text(site->page_file);

	return span_ends_with_nocase(file, SPAN(".txt")) ? SPAN("text/plain; charset=utf-8") : SPAN("text/html; charset=utf-8");
}

void http_answer_page(struct http_exchange *exchange)
{
	exchange_add_field(exchange, SPAN("Content-Type"), page_type(exchange->site));
	exchange_add_field(exchange, SPAN("Cache-Control"), SPAN("no-cache")); /* a reload may bring another one */
	http_answer_with(exchange, 200, span_of(exchange->page->bytes, exchange->page->size));
}
