/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What route.c, route_path.c and redirect.c share: the tables that one thread makes of a snapshot, so that a request looks up
 * little and allocates nothing.
 */
#ifndef NOAH_HTTP_ROUTE_H
#define NOAH_HTTP_ROUTE_H

#include "http/http_private.h"

/* A route of a site, ready for matching. */
struct route_entry {
	const struct cluster_route *route; /* in the snapshot */
	struct upstream_group *group;      /* its own or the site's; NULL: a page, or it only redirects */
	uint16_t path_size;
	char path[CLUSTER_PATH_SIZE]; /* normalised; "" = any */
	uint8_t type_sizes[CLUSTER_ROUTE_TYPES_MOST];
};

struct site_entry {
	const struct cluster_site *site;
	struct upstream_group *group; /* NULL: a page */
	struct span canonical;        /* in the snapshot; empty: none */
	struct span first_name;       /* the first that is no wildcard; empty: none */
	uint16_t https_port;          /* of a TLS listener, 443 if there is one; 0: none */
	uint8_t hsts_size;
	char hsts[24];   /* "max-age=15552000" */
	int board_row;   /* of its counters; -1: none */
	bool needs_path; /* a request's path is looked at */
	uint32_t route_count;
	struct route_entry *routes; /* NULL when there are none */
};

struct http_routes {
	unsigned references;
	struct upstream_view *view;
	uint64_t *masks; /* for each of core->listeners: bits of the sites that answer there; CLUSTER_SITES_MOST bits */
	unsigned mask_count;
	bool has_wildcards;  /* a name "*.something" */
	uint32_t slot_count; /* a power of two, at least twice the names */
	struct name_entry *slots;
	struct site_entry *sites; /* as in the snapshot */
};

/* ---- by path (route_path.c) ------------------------------------------------------------------------------------- */

/* Fills entry->routes. False: no memory. */
bool route_compile(struct site_entry *entry, const struct upstream_view *view) MUST_CHECK;
void route_free(struct site_entry *entry);

/* A request's path as routes see it: as it came, or normalised in the task's arena. */
struct route_path {
	struct span path;
	struct span merged; /* the same with "//" read as "/"; where there is none, as `path` */
};
/* OUTCOME_BAD_REQUEST (with a detail): servers could read it in different ways, so nobody could say which route it takes. */
enum http_outcome route_read_path(struct http_exchange *exchange, struct route_path *path) MUST_CHECK;
/* The first route that matches, NULL if none does. *rest: what follows its prefix, without a '/' in front, in the task's arena or
 * in the request. */
const struct route_entry *route_find(const struct site_entry *entry, const struct route_path *path, struct span *rest) MUST_CHECK;
/* The path takes that route. OUTCOME_BAD_REQUEST (with a detail): it has parameters ("/admin;x/"), and a server that leaves them
 * out would answer where others are let in, or less often. */
enum http_outcome route_check_parameters(struct http_exchange *exchange, const struct route_path *path,
                                         const struct route_entry *route) MUST_CHECK;

/* ---- elsewhere (redirect.c) ------------------------------------------------------------------------------------- */

/* Where this request must go instead, if it must: over https, to the canonical name, and where its route says, all in one hop.
 * Sets exchange->location and redirect_status and returns OUTCOME_REDIRECTED; OUTCOME_OK: it stays. */
enum http_outcome redirect_if_needed(struct http_exchange *exchange) MUST_CHECK;

#endif
