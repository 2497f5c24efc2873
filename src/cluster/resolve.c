/* SPDX-License-Identifier: BSD-2-Clause
 *
 * resolve: the defaults that depend on other keys. The table describes each in words (`otherwise`). Called by load.c only.
 */
#include "cluster/load.h"

static uint64_t all_servers(const struct cluster *cluster)
{
	return (1ull << cluster->server_count) - 1; /* CLUSTER_SERVERS_MOST < 64 */
}

static uint64_t public_servers(const struct cluster *cluster)
{
	uint64_t on = 0;
	for (uint32_t i = 0; i < cluster->server_count; i++)
		if (cluster->servers[i].public_address.family != ADDRESS_NONE)
			on |= 1ull << i;
	return on;
}

/* The programs that use a database are where the sites' apps are. */
static uint64_t app_servers(const struct cluster *cluster)
{
	uint64_t on = 0;
	for (uint32_t i = 0; i < cluster->site_count; i++)
		for (uint32_t j = 0; j < cluster->sites[i].group.app_count; j++)
			on |= 1ull << cluster->sites[i].group.apps[j].server;
	return on;
}

static void shorten_timeout(const struct load *load, struct cluster_check *check, const char *const *timeout)
{
	if (check->timeout_ms > check->every_ms && !load_has(load, timeout))
		check->timeout_ms = check->every_ms;
}

static void resolve_site(const struct load *load, struct cluster_site *site, uint64_t on)
{
	if (site->on == 0)
		site->on = on;
	if (site->group.check.kind == CHECK_HTTP && site->group.check.host[0] == '\0')
		memcpy(site->group.check.host, site->names[0], sizeof(site->group.check.host));
	shorten_timeout(load, &site->group.check, AT("sites", site->name, "check", "timeout"));
}

static void resolve_database(const struct load *load, struct cluster_database *database, uint64_t on)
{
	if (database->on == 0)
		database->on = on;
	database->check.kind = CHECK_MYSQL;
	shorten_timeout(load, &database->check, AT("databases", database->name, "check", "timeout"));
}

void load_resolve(struct load *load)
{
	struct cluster *cluster = load->cluster;
	uint64_t visitors = public_servers(cluster), programs = app_servers(cluster);
	for (uint32_t i = 0; i < cluster->site_count; i++)
		resolve_site(load, &cluster->sites[i], visitors != 0 ? visitors : all_servers(cluster));
	for (uint32_t i = 0; i < cluster->database_count; i++)
		resolve_database(load, &cluster->databases[i], programs != 0 ? programs : all_servers(cluster));
}
