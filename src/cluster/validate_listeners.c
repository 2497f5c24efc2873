/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_listeners: on one server, one address and port is listened on once, and by one kind. Called by load.c only.
 */
#include "cluster/load.h"

#include <stdio.h>
#include <stdlib.h>

#define LISTENERS_MOST ((CLUSTER_SITES_MOST + CLUSTER_DATABASES_MOST) * CLUSTER_LISTEN_MOST)

/* One entry of a `listen`. Exactly one of site and database is set. */
struct listener {
	const struct cluster_site *site;
	const struct cluster_database *database;
	const struct address *address;
	uint64_t on; /* the servers on which it is really opened */
	unsigned index;
};

static const char *section_of(const struct listener *listener)
{
	return listener->site != NULL ? "sites" : "databases";
}

static const char *name_of(const struct listener *listener)
{
	return listener->site != NULL ? listener->site->name : listener->database->name;
}

static bool same_owner(const struct listener *a, const struct listener *b)
{
	return a->site == b->site && a->database == b->database;
}

static uint64_t opened_on(const struct cluster *cluster, uint64_t on, const struct address *address)
{
	uint64_t result = 0;
	for (uint32_t i = 0; i < cluster->server_count; i++)
		if (cluster_listens_on(cluster, on, address, i))
			result |= 1ull << i;
	return result;
}

static unsigned gather_listeners(const struct cluster *cluster, struct listener *out)
{
	unsigned count = 0;
	for (uint32_t i = 0; i < cluster->site_count; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		for (uint32_t j = 0; j < site->listen_count; j++)
			out[count++] = (struct listener){.site = site, .address = &site->listen[j].address, .index = j};
	}
	for (uint32_t i = 0; i < cluster->database_count; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		for (uint32_t j = 0; j < database->listen_count; j++)
			out[count++] = (struct listener){.database = database, .address = &database->listen[j], .index = j};
	}
	for (unsigned i = 0; i < count; i++)
		out[i].on = opened_on(cluster, out[i].site != NULL ? out[i].site->on : out[i].database->on, out[i].address);
	return count;
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
	char a_text[ADDRESS_TEXT_SIZE], b_text[ADDRESS_TEXT_SIZE];
	bool equal = address_equal(a->address, b->address);
	if (both == 0 || (!equal && !covers(a->address, b->address) && !covers(b->address, a->address)))
		return;
	const char *const parts[] = {section_of(b), name_of(b), "listen", NULL};
	address_format(a->address, a_text);
	address_format(b->address, b_text);
	if (equal && same_owner(a, b))
		load_report_element(load, parts, b->index, "`%s` stands here twice", b_text);
	else if (equal && a->site != NULL && b->site != NULL)
		compare_names(load, a, b, both);
	else if (equal)
		load_report_element(load, parts, b->index, "%s.%s listens on %s on server %s already; give one of them another port",
		                    section_of(a), name_of(a), a_text, first_server(load->cluster, both));
	else
		load_report_element(load, parts, b->index,
		                    "%s and %s (%s.%s) overlap on server %s; write the same for both, or give one another port", b_text,
		                    a_text, section_of(a), name_of(a), first_server(load->cluster, both));
}

/* noah in front of itself: the usual cause is an Apache that still has port 80 on a server where noah shall have it. */
static void compare_app(struct load *load, const struct listener *listeners, unsigned count, const struct cluster_app *app,
                        const char *const *parts, unsigned index)
{
	char text[ADDRESS_TEXT_SIZE];
	for (unsigned i = 0; i < count; i++)
		if (cluster_is_on(listeners[i].on, app->server) &&
		    (covers(listeners[i].address, &app->address) || address_equal(listeners[i].address, &app->address))) {
			load_report_element(load, parts, index,
			                    "on %s noah itself listens on %s (%s.%s.listen); give one of them another port",
			                    load->cluster->servers[app->server].name, address_format(listeners[i].address, text),
			                    section_of(&listeners[i]), name_of(&listeners[i]));
			return;
		}
}

void load_validate_listeners(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	struct listener *listeners = calloc(LISTENERS_MOST, sizeof(*listeners));
	if (listeners == NULL) {
		report_add(load->report, 0, 0, "", "out of memory");
		return;
	}
	unsigned count = gather_listeners(cluster, listeners);
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = 0; j < i; j++)
			compare_listeners(load, &listeners[j], &listeners[i]);
	for (uint32_t i = 0; i < cluster->site_count; i++)
		for (uint32_t j = 0; j < cluster->sites[i].group.app_count; j++)
			compare_app(load, listeners, count, &cluster->sites[i].group.apps[j], AT("sites", cluster->sites[i].name, "apps"), j);
	for (uint32_t i = 0; i < cluster->database_count; i++)
		for (uint32_t j = 0; j < cluster->databases[i].server_count; j++)
			compare_app(load, listeners, count, &cluster->databases[i].servers[j],
			            AT("databases", cluster->databases[i].name, "servers"), j);
	free(listeners);
}
