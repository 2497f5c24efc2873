/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load: what the steps of loading share: tree -> struct by the table of keys (load.c, load_value.c), then defaults that depend on
 * other keys (resolve.c), then what must hold between keys (validate*.c, secret.c, pages.c). Private to cluster/.
 */
#ifndef NOAH_CLUSTER_LOAD_H
#define NOAH_CLUSTER_LOAD_H

#include "cluster/keys.h"
#include "cluster/tree.h"

struct load {
	struct report *report;
	struct cluster *cluster;
	const struct tree_node *root;
	char path[REPORT_PATH_SIZE]; /* of the key that is being loaded */
};

/* Reports at the node, under the path of the key that is being loaded. */
void load_report(struct load *load, const struct tree_node *at, const char *format, ...) PRINTF_LIKE(3, 4);
/* Loads a map of the keys right under `parent` (a path of the table) into the struct at `base`, over the defaults. */
void load_map(struct load *load, const struct tree_node *node, const char *parent, void *base);
/* The defaults of all keys under `parent`. */
void load_defaults(struct load *load, const char *parent, void *base);

/* One value of the row's type into base + row->offset. False when it was wrong and has been reported. */
bool load_value(struct load *load, const struct key *key, const struct tree_node *node, void *base) MUST_CHECK;
/* One element of a list of networks: a server of the file adds both its addresses. False when it was wrong and has been reported.
 */
bool load_network(struct load *load, const struct tree_node *node, struct cluster_networks *networks) MUST_CHECK;
/* Before an element of a list is read: what it takes from the struct around it. */
void load_inherit(const struct key *element, void *item, const void *around);
/* The index of the server with this name; CLUSTER_NO_SERVER after reporting an unknown one. */
uint32_t load_find_server(struct load *load, const struct tree_node *node, struct span name) MUST_CHECK;

/* For the steps after load_map: reports at the place of a key named by its parts, `load_report_at(load, AT("sites", name,
 * "check"), …)`. When the file does not have it (a default), the nearest thing around it is the place. A part "[2]" is the third
 * element of a list (or the only one, when it stands without brackets); it is not printed. */
#define AT(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The same where the parts are found out: where the group of a site, a route or a service stands. */
struct place {
	const char *parts[10];
	unsigned count; /* at most 5; behind them is room for those of place_at */
	char index[12];
	bool is_files; /* of the servers that are tried for files */
};
void place_of_site(struct place *place, const struct cluster_site *site);
void place_of_route(struct place *place, const struct cluster_site *site, const struct cluster_route *route);
void place_of_service(struct place *place, const struct cluster_service *service);
void place_of_walk(struct place *place, const struct cluster_walk *walk);
/* The parts of one or two keys under it (NULL: fewer); good until the next call. */
const char *const *place_at(struct place *place, const char *key, const char *below);
/* What the servers of the group are called there. */
const char *place_servers(const struct place *place);
void load_report_at(struct load *load, const char *const *parts, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same at the element `index` of the list; the path is that of the list. */
void load_report_element(struct load *load, const char *const *parts, unsigned index, const char *format, ...) PRINTF_LIKE(4, 5);
/* True when the file has this key. */
bool load_has(const struct load *load, const char *const *parts);
/* True when the file has a map of keys there. */
bool load_has_map(const struct load *load, const char *const *parts);

void load_resolve(struct load *load);
void load_validate(struct load *load);
/* Parts of it that have their own files. */
void load_validate_group(struct load *load, const struct cluster_group *group, struct place *place);
void load_validate_timing(struct load *load, const struct cluster_check *check, const char *const *timeout);
void load_validate_apps(struct load *load, const struct cluster_app *apps, uint32_t count, const char *const *parts);
void load_validate_site(struct load *load, const struct cluster_site *site);
void load_validate_files(struct load *load, const struct cluster_static *files, bool has_apps, struct place *place);
void load_validate_types(struct load *load, const struct cluster_route *route, struct place *place);
/* Whether noah looks for files anywhere in the site. */
bool load_looks_for_files(const struct cluster_site *site);
/* Keys about apps have no effect in a site with a `page` or only `static`, unless they hold for servers of its routes. */
void load_validate_no_apps(struct load *load, const struct cluster_site *site, const char *instead);
/* `of_site`: what holds for the site of a route; NULL for the site itself. */
void load_validate_access(struct load *load, const struct cluster_access *access, const struct cluster_access *of_site,
                          struct place *place);
void load_validate_visitors(struct load *load);
void load_validate_routes(struct load *load, const struct cluster_site *site);
void load_validate_targets(struct load *load);
void load_validate_listeners(struct load *load);
/* Reads every password file. */
void load_secrets(struct load *load);
/* Gives the files of pages, errors and users their places among the pages, and reads them when the files may be opened. */
void load_pages(struct load *load, enum cluster_depth depth);
/* Reports the first line of a file of users that is no name with a good hash. */
void load_validate_users(struct load *load, const char *const *parts, const char *file, struct span text);

#endif
