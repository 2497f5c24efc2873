/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_listeners: on one server, one address and port is listened on once, and by one kind. Called by load.c only.
 */
#include "cluster/load.h"

#include <stdio.h>
#include <stdlib.h>

#define LISTENERS_MOST ((CLUSTER_SITES_MOST + CLUSTER_DATABASES_MOST + CLUSTER_SERVICES_MOST + 1) * CLUSTER_LISTEN_MOST)

/* One entry of a `listen`. */
struct listener {
	const char *section, *name;      /* "sites" and the site's name; "admin" and NULL */
	const struct cluster_site *site; /* of a site; NULL: another thing */
	const struct address *address;
	bool tls;
	uint64_t on; /* the servers on which it is really opened */
	unsigned index;
};

struct listeners {
	struct listener *items;
	unsigned count;
};

static bool same_owner(const struct listener *a, const struct listener *b)
{
	return a->section == b->section && a->name == b->name;
}

/* "sites.example.com", "admin" */
static const char *owner_of(const struct listener *listener, char out[CLUSTER_NAME_SIZE + 16])
{
	snprintf(out, CLUSTER_NAME_SIZE + 16, "%s%s%s", listener->section, listener->name == NULL ? "" : ".",
	         listener->name == NULL ? "" : listener->name);
	return out;
}

static void report_listener(struct load *load, const struct listener *listener, const char *text)
{
	const char *const named[] = {listener->section, listener->name, "listen", NULL}, *const alone[] = {listener->section,
	                                                                                                   "listen", NULL};
	load_report_element(load, listener->name != NULL ? named : alone, listener->index, "%s", text);
}

static void add_listener(const struct cluster *cluster, struct listeners *listeners, struct listener listener, uint64_t on)
{
	for (uint32_t i = 0; i < cluster->server_count; i++)
		if (cluster_listens_on(cluster, on, listener.address, i))
			listener.on |= 1ull << i;
	ASSERT(listeners->count < LISTENERS_MOST);
	listeners->items[listeners->count++] = listener;
}

static void add_listeners(const struct cluster *cluster, struct listeners *listeners, const char *section, const char *name,
                          const struct address *list, uint32_t count, uint64_t on)
{
	for (uint32_t i = 0; i < count; i++)
		add_listener(cluster, listeners, (struct listener){.section = section, .name = name, .address = &list[i], .index = i},
		             on);
}

static void gather_listeners(const struct cluster *cluster, struct listeners *out)
{
	static const char sites[] = "sites", databases[] = "databases", services[] = "services", admin[] = "admin";
	for (const struct cluster_site *site = cluster->sites; site < cluster->sites + cluster->site_count; site++)
		for (uint32_t i = 0; i < site->listen_count; i++)
			add_listener(cluster, out,
			             (struct listener){.section = sites,
			                               .name = site->name,
			                               .site = site,
			                               .address = &site->listen[i].address,
			                               .tls = site->listen[i].tls,
			                               .index = i},
			             site->on);
	for (uint32_t i = 0; i < cluster->database_count; i++)
		add_listeners(cluster, out, databases, cluster->databases[i].name, cluster->databases[i].listen,
		              cluster->databases[i].listen_count, cluster->databases[i].on);
	for (uint32_t i = 0; i < cluster->service_count; i++)
		add_listeners(cluster, out, services, cluster->services[i].name, cluster->services[i].listen,
		              cluster->services[i].listen_count, cluster->services[i].on);
	add_listeners(cluster, out, admin, NULL, cluster->admin.listen, cluster->admin.listen_count,
	              (1ull << cluster->server_count) - 1);
}

/* [::] takes IPv4 and IPv6 (net_listen makes it dual-stack), 0.0.0.0 all of IPv4. */
static bool is_any(const struct address *address)
{
	static const uint8_t zero[16];
	return address->family != ADDRESS_UNIX && memcmp(address->ip, zero, address->family == ADDRESS_IPV4 ? 4 : 16) == 0;
}

static bool covers(const struct address *wide, const struct address *narrow)
{
	return wide->family != ADDRESS_UNIX && narrow->family != ADDRESS_UNIX && narrow->family != ADDRESS_NONE &&
	       wide->port == narrow->port && is_any(wide) && (wide->family == ADDRESS_IPV6 || narrow->family == ADDRESS_IPV4);
}

static const char *first_server(const struct cluster *cluster, uint64_t on)
{
	return cluster->servers[__builtin_ctzll(on)].name;
}

/* Two sites may share a listener; then the Host header must decide. */
static void compare_names(struct load *load, const struct listener *a, const struct listener *b, uint64_t both)
{
	char text[ADDRESS_TEXT_SIZE];
	for (uint32_t i = 0; i < b->site->name_count; i++)
		for (uint32_t j = 0; j < a->site->name_count; j++) {
			const char *name = b->site->names[i];
			if (strcmp(name, a->site->names[j]) != 0)
				continue;
			if (strcmp(name, "*") == 0)
				load_report_element(load, AT("sites", b->site->name, "names"), i == 0 ? 0 : i - 1,
				                    "`*`: site %s is the default site of %s on server %s already; there can be one",
				                    a->site->name, address_format(a->address, text), first_server(load->cluster, both));
			else
				load_report_element(load, AT("sites", b->site->name, "names"), i == 0 ? 0 : i - 1,
				                    "`%s` is a name of site %s too, which listens on %s on server %s as well", name,
				                    a->site->name, address_format(a->address, text), first_server(load->cluster, both));
		}
}

static void compare_listeners(struct load *load, const struct listener *a, const struct listener *b)
{
	uint64_t both = a->on & b->on;
	char a_text[ADDRESS_TEXT_SIZE], b_text[ADDRESS_TEXT_SIZE], owner[CLUSTER_NAME_SIZE + 16], text[400] = "";
	bool equal = address_equal(a->address, b->address);
	if (both == 0 || (!equal && !covers(a->address, b->address) && !covers(b->address, a->address)))
		return;
	const char *server = first_server(load->cluster, both);
	address_format(a->address, a_text);
	address_format(b->address, b_text);
	if (equal && same_owner(a, b))
		snprintf(text, sizeof(text), "`%s` stands here twice", b_text);
	else if (equal && a->site != NULL && b->site != NULL && a->tls != b->tls)
		snprintf(text, sizeof(text),
		         "site %s listens on %s %s TLS on server %s already; a port is one or the other, for all sites", a->name, a_text,
		         a->tls ? "with" : "without", server);
	else if (equal && a->site != NULL && b->site != NULL)
		compare_names(load, a, b, both);
	else if (equal)
		snprintf(text, sizeof(text), "%s listens on %s on server %s already; give one of them another port", owner_of(a, owner),
		         a_text, server);
	else
		snprintf(text, sizeof(text), "%s and %s (%s) overlap on server %s; write the same for both, or give one another port",
		         b_text, a_text, owner_of(a, owner), server);
	if (text[0] != '\0')
		report_listener(load, b, text);
}

/* noah in front of itself: the usual cause is an Apache that still has port 80 on a server where noah shall have it. */
static void compare_app(struct load *load, const struct listeners *listeners, const struct cluster_app *app,
                        const char *const *parts, unsigned index)
{
	char text[ADDRESS_TEXT_SIZE], owner[CLUSTER_NAME_SIZE + 16];
	for (const struct listener *at = listeners->items; at < listeners->items + listeners->count; at++)
		if (cluster_is_on(at->on, app->server) &&
		    (covers(at->address, &app->address) || address_equal(at->address, &app->address))) {
			load_report_element(load, parts, index, "on %s noah itself listens on %s (%s.listen); give one of them another port",
			                    load->cluster->servers[app->server].name, address_format(at->address, text), owner_of(at, owner));
			return;
		}
}

static void compare_apps(struct load *load, const struct listeners *listeners)
{
	const struct cluster *cluster = load->cluster;
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(cluster, &walk)) {
		struct place place;
		/* Clones may ask each other for files that have not arrived yet: a noah that is asked so asks nobody. */
		if (walk.files != NULL)
			continue;
		place_of_walk(&place, &walk);
		for (uint32_t i = 0; i < walk.group->app_count; i++)
			compare_app(load, listeners, &walk.group->apps[i], place_at(&place, place_servers(&place), NULL), i);
	}
	for (uint32_t i = 0; i < cluster->database_count; i++)
		for (uint32_t j = 0; j < cluster->databases[i].server_count; j++)
			compare_app(load, listeners, &cluster->databases[i].servers[j],
			            AT("databases", cluster->databases[i].name, "servers"), j);
}

void load_validate_listeners(struct load *load)
{
	struct listeners listeners = {.items = calloc(LISTENERS_MOST, sizeof(*listeners.items))};
	if (listeners.items == NULL) {
		report_add(load->report, 0, 0, "", "out of memory");
		return;
	}
	gather_listeners(load->cluster, &listeners);
	for (unsigned i = 1; i < listeners.count; i++)
		for (unsigned j = 0; j < i; j++)
			compare_listeners(load, &listeners.items[j], &listeners.items[i]);
	compare_apps(load, &listeners);
	free(listeners.items);
}
