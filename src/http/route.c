/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Routes: from the listener and the Host of a request to its site, and the refusals that need no server. One table for each
 * snapshot and thread, made by core.c when a snapshot comes; requests under way keep theirs.
 */
#include "http/http_private.h"

#include <stdio.h>
#include <stdlib.h>

struct name_entry {
	const char *name; /* in the snapshot; NULL: free */
	uint32_t size;
	uint32_t site;
};

struct http_routes {
	unsigned references;
	struct upstream_view *view;
	uint64_t *masks; /* for each of core->listeners: bits of the sites that answer there; CLUSTER_SITES_MOST bits */
	unsigned mask_count;
	uint32_t slot_count; /* a power of two, at least twice the names */
	struct name_entry *slots;
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

struct http_routes *http_routes_new(struct http_core *core, struct snapshot *snapshot)
{
	struct http_routes *routes = calloc(1, sizeof(*routes));

	if (routes == NULL)
		return NULL;
	routes->references = 1;
	routes->view = upstream_view_new(&core->upstream, snapshot);
	if (routes->view == NULL || !fill_names(routes, routes->view->cluster) || !http_routes_add_listener(core, routes)) {
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

static int find_site(const struct http_routes *routes, unsigned listener, struct span host)
{
	char name[CLUSTER_HOST_SIZE];
	int site = -1;

	ASSERT(listener < routes->mask_count);
	uint64_t mask = routes->masks[listener];
	if (host.size > 0 && host.size < sizeof(name)) {
		for (size_t i = 0; i < host.size; i++) {
			char c = host.start[i];
			name[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
		}
		site = find_name(routes, mask, span_of(name, host.size));
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

enum http_outcome http_route(struct http_exchange *exchange)
{
	const struct http_request *request = &exchange->request;
	int site = find_site(exchange->routes, exchange->client->listener, http_text(&request->head, request->host_name));

	if (request->method == HTTP_METHOD_CONNECT || request->method == HTTP_METHOD_TRACE) {
		snprintf(exchange->detail, sizeof(exchange->detail), "%.*s is not allowed here",
		         (int)http_method_text(request->method).size, http_method_text(request->method).start);
		return OUTCOME_REFUSED_METHOD;
	}
	if (site < 0)
		return OUTCOME_UNKNOWN_SITE;
	exchange->site = &exchange->routes->view->cluster->sites[site];
	exchange->limits = &exchange->site->limits;
	exchange->group = upstream_view_find(exchange->routes->view, exchange->site, NULL, NULL);
	if (request->has_max_forwards && request->max_forwards == 0)
		return OUTCOME_ANSWERED_HERE; /* RFC 9110 7.6.2 */
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
