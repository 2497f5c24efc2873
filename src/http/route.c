/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Routes: from the listener and the Host of a request to its site, from its path to the site's route, and the refusals that need
 * no server. One table for each snapshot and thread, made by core.c when a snapshot comes; requests under way keep theirs.
 */
#include "http/route.h"
#include "tls/tls.h"

#include <stdio.h>
#include <stdlib.h>

struct name_entry {
	const char *name; /* in the snapshot; NULL: free */
	uint32_t size;
	uint32_t site;
};

_Static_assert(CLUSTER_SITES_MOST <= 64, "a mask has 64 bits");

/* ---- making ----------------------------------------------------------------------------------------------------- */

static bool is_fronted_here(const struct cluster *cluster, const struct cluster_site *site)
{
	return cluster->self == CLUSTER_NO_SERVER || cluster_is_on(site->on, cluster->self);
}

static uint64_t sites_at(const struct cluster *cluster, const struct address *listener)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < cluster->site_count; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		for (uint32_t listen = 0; listen < site->listen_count && is_fronted_here(cluster, site); listen++) {
			if (address_equal(&site->listen[listen].address, listener))
				mask |= UINT64_C(1) << i;
		}
	}
	return mask;
}

static void add_name(struct http_routes *routes, const char *name, uint32_t site)
{
	uint32_t size = (uint32_t)strlen(name);
	uint64_t slot = hash_stable(name, size);

	while (routes->slots[slot & (routes->slot_count - 1)].name != NULL)
		slot++;
	routes->slots[slot & (routes->slot_count - 1)] = (struct name_entry){.name = name, .size = size, .site = site};
	routes->has_wildcards |= size > 1 && name[0] == '*';
}

static bool fill_names(struct http_routes *routes, const struct cluster *cluster)
{
	uint32_t names = 0;

	for (uint32_t i = 0; i < cluster->site_count; i++)
		names += cluster->sites[i].name_count;
	for (routes->slot_count = 4; routes->slot_count < 2 * names;)
		routes->slot_count *= 2;
	routes->slots = calloc(routes->slot_count, sizeof(routes->slots[0]));
	if (routes->slots == NULL)
		return false;
	for (uint32_t i = 0; i < cluster->site_count; i++) {
		for (uint32_t name = 0; name < cluster->sites[i].name_count; name++)
			add_name(routes, cluster->sites[i].names[name], i);
	}
	return true;
}

static bool fill_site(struct site_entry *entry, const struct cluster_site *site, const struct upstream_view *view)
{
	entry->site = site;
	entry->group = site->page != 0 ? NULL : upstream_view_find(view, site, NULL, NULL);
	entry->canonical = span_of_text(site->canonical);
	for (uint32_t i = 0; i < site->name_count && entry->first_name.size == 0; i++) {
		if (site->names[i][0] != '*')
			entry->first_name = span_of_text(site->names[i]);
	}
	for (uint32_t i = 0; i < site->listen_count; i++) {
		if (site->listen[i].tls && (entry->https_port == 0 || site->listen[i].address.port == 443))
			entry->https_port = site->listen[i].address.port;
	}
	if (site->hsts_s > 0)
		entry->hsts_size = (uint8_t)snprintf(entry->hsts, sizeof(entry->hsts), "max-age=%u", site->hsts_s);
	entry->board_row = board_site_row(view->core->board, site->name);
	entry->needs_path = site->route_count > 0 || site->files.root[0] != '\0';
	return route_compile(entry, view);
}

static bool fill_sites(struct http_routes *routes, const struct upstream_view *view)
{
	const struct cluster *cluster = view->cluster;

	routes->sites = calloc(cluster->site_count > 0 ? cluster->site_count : 1, sizeof(routes->sites[0]));
	for (uint32_t i = 0; routes->sites != NULL && i < cluster->site_count; i++) {
		if (!fill_site(&routes->sites[i], &cluster->sites[i], view))
			return false;
	}
	return routes->sites != NULL;
}

struct http_routes *http_routes_new(struct http_core *core, struct snapshot *snapshot)
{
	struct http_routes *routes = calloc(1, sizeof(*routes));

	if (routes == NULL)
		return NULL;
	routes->references = 1;
	routes->view = upstream_view_new(&core->upstream, snapshot);
	if (routes->view == NULL || !fill_names(routes, routes->view->cluster) || !fill_sites(routes, routes->view) ||
	    !http_routes_add_listener(core, routes)) {
		http_routes_unref(routes);
		return NULL;
	}
	return routes;
}

bool http_routes_add_listener(struct http_core *core, struct http_routes *routes)
{
	if (core->listener_count == 0)
		return true;
	uint64_t *masks = realloc(routes->masks, core->listener_count * sizeof(*masks));
	if (masks == NULL)
		return false;
	routes->masks = masks;
	for (; routes->mask_count < core->listener_count; routes->mask_count++)
		masks[routes->mask_count] = sites_at(routes->view->cluster, &core->listeners[routes->mask_count]);
	return true;
}

void http_routes_inherit(struct http_routes *routes, const struct http_routes *before)
{
	upstream_view_inherit(routes->view, before->view);
}

struct http_routes *http_routes_ref(struct http_routes *routes)
{
	routes->references++;
	return routes;
}

void http_routes_unref(struct http_routes *routes)
{
	ASSERT(routes->references > 0);
	if (--routes->references > 0)
		return;
	for (uint32_t i = 0; routes->sites != NULL && i < routes->view->cluster->site_count; i++)
		route_free(&routes->sites[i]);
	free(routes->sites);
	if (routes->view != NULL)
		upstream_view_free(routes->view);
	free(routes->masks);
	free(routes->slots);
	free(routes);
}

int64_t http_routes_request_timeout_ms(const struct http_routes *routes, unsigned listener)
{
	ASSERT(listener < routes->mask_count);
	uint64_t mask = routes->masks[listener];
	if (mask == 0)
		return HTTP_FIRST_REQUEST_MS; /* a reload has taken its last site away */
	return routes->view->cluster->sites[__builtin_ctzll(mask)].limits.request_timeout_ms;
}

/* ---- looking up ------------------------------------------------------------------------------------------------- */

/* Index of the site, -1 when none of the listener's has this name (in lower case). */
static int find_name(const struct http_routes *routes, uint64_t mask, struct span name)
{
	for (uint64_t slot = hash_stable(name.start, name.size);; slot++) { /* ends: at least half of the slots are free */
		const struct name_entry *entry = &routes->slots[slot & (routes->slot_count - 1)];
		if (entry->name == NULL)
			return -1;
		if (span_equal(span_of(entry->name, entry->size), name) && (mask >> entry->site & 1) != 0)
			return (int)entry->site;
	}
}

/* "*.example.com" stands for one or more labels before ".example.com"; the longest such name counts. At most 127 look-ups, as a
 * label has a byte at least; a usual name has two. */
static int find_wildcard(const struct http_routes *routes, uint64_t mask, struct span host)
{
	char name[CLUSTER_HOST_SIZE];

	memcpy(name, host.start, host.size);
	for (size_t dot = 1; dot < host.size; dot++) {
		if (name[dot] != '.')
			continue;
		name[dot - 1] = '*';
		int site = find_name(routes, mask, span_of(name + dot - 1, host.size - dot + 1));
		if (site >= 0)
			return site;
	}
	return -1;
}

/* `host` is in lower case and shorter than CLUSTER_HOST_SIZE, or empty. */
static int find_site(const struct http_routes *routes, unsigned listener, struct span host, bool *by_exact_name)
{
	int site = -1;

	ASSERT(listener < routes->mask_count);
	uint64_t mask = routes->masks[listener];
	if (host.size > 0) {
		site = find_name(routes, mask, host);
		*by_exact_name = site >= 0;
		if (site < 0 && routes->has_wildcards)
			site = find_wildcard(routes, mask, host);
	}
	if (site < 0)
		site = find_name(routes, mask, SPAN("*")); /* cannot come from a Host: '*' is not valid there */
	if (site < 0 && mask != 0 && routes->view->cluster->site_count == 1)
		site = 0;
	return site;
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

static bool went_round(const struct http_head *head)
{
	unsigned count = 0;

	if ((head->present & HTTP_SET(HTTP_FIELD_VIA)) == 0)
		return false;
	for (unsigned i = 0; i < head->field_count; i++) {
		if (head->fields[i].known != HTTP_FIELD_VIA)
			continue;
		struct span value = http_text(head, head->fields[i].value);
		for (count++; value.size > 0; value.start++, value.size--)
			count += *value.start == ',';
	}
	return count > HTTP_VIA_MOST;
}

static enum http_outcome refuse_method(struct http_exchange *exchange, const char *where)
{
	const struct http_request *request = &exchange->request;
	struct span method = http_text(&request->head, request->method_text);

	snprintf(exchange->detail, sizeof(exchange->detail), "%.*s is not allowed %s", (int)method.size, method.start, where);
	return OUTCOME_REFUSED_METHOD;
}

static enum http_outcome check_limits(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	uint64_t most = exchange->limits->body_most_bytes;

	if (most > 0 && request->framing == HTTP_BODY_LENGTH && request->length > most) {
		snprintf(exchange->detail, sizeof(exchange->detail), "the body has %llu bytes, the site's limit is %llu",
		         (unsigned long long)request->length, (unsigned long long)most);
		return OUTCOME_BODY_TOO_LARGE;
	}
	if (went_round(&request->head)) {
		snprintf(exchange->detail, sizeof(exchange->detail), "the request has passed more than %u proxies: it goes in a circle",
		         HTTP_VIA_MOST);
		return OUTCOME_LOOP;
	}
	return OUTCOME_OK;
}

/* ---- finding ---------------------------------------------------------------------------------------------------- */

/* Which route of the site, and what holds there. */
static enum http_outcome take_route(struct http_exchange *exchange)
{
	const struct site_entry *entry = exchange->entry;
	const struct route_entry *route = NULL;
	struct route_path path;

	if (entry->needs_path) {
		enum http_outcome outcome = route_read_path(exchange, &path);
		if (outcome != OUTCOME_OK)
			return outcome;
		exchange->path = path.path;
		route = route_find(entry, &path, &exchange->rest);
		outcome = route_check_parameters(exchange, &path, route);
		if (outcome != OUTCOME_OK)
			return outcome;
	}
	if (route != NULL) {
		exchange->route = route->route;
		exchange->limits = &route->route->limits;
		exchange->access = &route->route->access;
		exchange->answers = &route->route->answers;
		exchange->files = route->route->files.root[0] != '\0' ? &route->route->files : NULL;
		exchange->group = route->group;
	}
	return OUTCOME_OK;
}

/* Names are compared in lower case; one that is too long is nobody's. */
static struct span lower_host(struct span host, char name[CLUSTER_HOST_SIZE])
{
	if (host.size >= CLUSTER_HOST_SIZE)
		return span_of(NULL, 0);
	for (size_t i = 0; i < host.size; i++) {
		char c = host.start[i];
		name[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
	}
	return span_of(name, host.size);
}

/* A browser asks for other sites too on a connection whose certificate is good for them; anything else is not meant for us (RFC
 * 9110 7.4). */
static bool is_misdirected(struct http_exchange *exchange, struct span host)
{
	const struct stream *stream = &exchange->client->stream;

	if (!stream_is_secure(stream) || tls_may_serve(stream, exchange->site->name, host))
		return false;
	snprintf(exchange->detail, sizeof(exchange->detail), "the connection was made for %s, with a certificate for that name only",
	         stream_server_name(stream));
	return true;
}

enum http_outcome http_route(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	char name[CLUSTER_HOST_SIZE];
	struct span host = lower_host(http_text(&request->head, request->host_name), name);
	int site = find_site(exchange->routes, exchange->client->listener, host, &exchange->by_exact_name);

	if (request->method == HTTP_METHOD_CONNECT || request->method == HTTP_METHOD_TRACE)
		return refuse_method(exchange, "here");
	if (site < 0)
		return OUTCOME_UNKNOWN_SITE;
	const struct site_entry *entry = &exchange->routes->sites[site];
	exchange->entry = entry;
	exchange->site = entry->site;
	exchange->limits = &entry->site->limits;
	exchange->access = &entry->site->access;
	exchange->answers = &entry->site->answers;
	exchange->files = entry->site->files.root[0] != '\0' ? &entry->site->files : NULL;
	exchange->group = entry->group;
	if (is_misdirected(exchange, host))
		return OUTCOME_MISDIRECTED;
	if (entry->hsts_size > 0 && exchange->secure)
		exchange->hsts = span_of(entry->hsts, entry->hsts_size);
	return take_route(exchange);
}

enum http_outcome http_direct(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	enum http_outcome outcome = redirect_if_needed(exchange);

	if (outcome != OUTCOME_OK)
		return outcome;
	if (request->has_max_forwards && request->max_forwards == 0)
		return OUTCOME_ANSWERED_HERE; /* RFC 9110 7.6.2 */
	return check_limits(exchange);
}

enum http_outcome http_page(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;

	if (request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_HEAD)
		return refuse_method(exchange, "for this page");
	exchange->page = &exchange->routes->view->cluster->pages[exchange->site->page - 1];
	return OUTCOME_PAGE;
}
