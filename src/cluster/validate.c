/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate: what must hold between keys. Called by load.c only; groups, sites, routes, what is checked
 * and listeners have their own files (validate_*.c).
 *
 * Runs also when single values were wrong, so a server's address may be missing here (ADDRESS_NONE).
 */
#include "cluster/load.h"

/* ---- servers -------------------------------------------------------------------------------------------------- */

/* The server before `end` that has this address as its own or its public one. */
static const struct cluster_server *find_holder(const struct cluster *cluster, uint32_t end, const struct address *address)
{
	for (uint32_t i = 0; i < end && address->family != ADDRESS_NONE; i++)
		if (address_equal(&cluster->servers[i].address, address) || address_equal(&cluster->servers[i].public_address, address))
			return &cluster->servers[i];
	return NULL;
}

static void validate_servers(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	char text[ADDRESS_TEXT_SIZE];
	for (uint32_t i = 1; i < cluster->server_count; i++) {
		const struct cluster_server *server = &cluster->servers[i];
		const struct cluster_server *holder = find_holder(cluster, i, &server->address);
		if (holder != NULL)
			load_report_at(load, AT("servers", server->name, "address"), "`%s` is an address of server %s already",
			               address_format(&server->address, text), holder->name);
		holder = find_holder(cluster, i, &server->public_address);
		if (holder != NULL)
			load_report_at(load, AT("servers", server->name, "public"), "`%s` is an address of server %s already",
			               address_format(&server->public_address, text), holder->name);
	}
}

/* ---- databases ------------------------------------------------------------------------------------------------ */

/* A database server belongs to one group: it has one primary and one account of noah's. */
static void validate_database_servers(struct load *load, const struct cluster_database *database)
{
	const struct cluster *cluster = load->cluster;
	for (const struct cluster_database *other = cluster->databases; other < database; other++)
		for (uint32_t i = 0; i < database->server_count; i++)
			for (uint32_t j = 0; j < other->server_count; j++)
				if (address_equal(&database->servers[i].address, &other->servers[j].address))
					load_report_element(
					    load, AT("databases", database->name, "servers"), i, "%s:%u belongs to databases.%s already",
					    cluster->servers[database->servers[i].server].name, database->servers[i].address.port, other->name);
}

/* ---- services and the rest ------------------------------------------------------------------------------------ */

static void validate_service(struct load *load, const struct cluster_service *service)
{
	struct place place;
	place_of_service(&place, service);
	load_validate_group(load, &service->group, &place);
}

static void validate_log(struct load *load)
{
	const char *const *format = AT("log", "format");
	if (load_has(load, format) && load->cluster->log.access_to == LOG_TO_NOTHING)
		load_report_at(load, format, "nothing is written down; say where, for example `access: /var/log/noah/access.log`");
}

static void validate_something(struct load *load)
{
	static const char *const parts[] = {"sites", "databases", "services"};
	for (unsigned i = 0; i < COUNT_OF(parts); i++)
		if (load_has(load, AT(parts[i])))
			return;
	if (load->root->kind == TREE_MAP)
		load_report_at(load, AT("cluster"),
		               "neither `sites` nor `databases` nor `services` are in the file; noah would have nothing to do");
}

void load_validate(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	validate_servers(load);
	validate_something(load);
	for (uint32_t i = 0; i < cluster->site_count; i++)
		load_validate_site(load, &cluster->sites[i]);
	for (uint32_t i = 0; i < cluster->service_count; i++)
		validate_service(load, &cluster->services[i]);
	for (uint32_t i = 0; i < cluster->database_count; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		load_validate_apps(load, database->servers, database->server_count, AT("databases", database->name, "servers"));
		load_validate_timing(load, &database->check, AT("databases", database->name, "check", "timeout"));
		validate_database_servers(load, database);
	}
	load_validate_visitors(load);
	validate_log(load);
	load_validate_targets(load);
}
