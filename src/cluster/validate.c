/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate: what must hold between keys. Called by load.c only; listeners have their own file (validate_listeners.c).
 *
 * Runs also when single values were wrong, so a server's address may be missing here (ADDRESS_NONE).
 */
#include "cluster/load.h"
#include "cluster/values.h"

#include <stdlib.h>

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

/* ---- checks --------------------------------------------------------------------------------------------------- */

static void validate_timing(struct load *load, const struct cluster_check *check, const char *const *timeout)
{
	char every[VALUE_TEXT_SIZE], limit[VALUE_TEXT_SIZE];
	if (check->timeout_ms > check->every_ms)
		load_report_at(load, timeout, "a check may take %s, but the next begins after %s; make `timeout` at most `every`",
		               value_format_duration(check->timeout_ms, limit), value_format_duration(check->every_ms, every));
}

static void validate_site_check(struct load *load, const struct cluster_site *site)
{
	static const char *const need_get[] = {"status", "md5", "sha256", "host"};
	const char *name = site->name;
	bool has_get = load_has(load, AT("sites", name, "check", "get"));
	for (unsigned i = 0; i < COUNT_OF(need_get); i++)
		if (!has_get && load_has(load, AT("sites", name, "check", need_get[i])))
			load_report_at(load, AT("sites", name, "check", need_get[i]),
			               "is only for a check by HTTP; add for example `get: /servercheck.txt`");
	if (has_get && load_has(load, AT("sites", name, "check", "tcp")))
		load_report_at(load, AT("sites", name, "check", "tcp"), "a check is either `get` or `tcp`; take one of them out");
	if (load_has(load, AT("sites", name, "check", "md5")) && load_has(load, AT("sites", name, "check", "sha256")))
		load_report_at(load, AT("sites", name, "check", "sha256"), "a check has either `md5` or `sha256`; take one of them out");
	if (strcmp(site->group.check.host, "*") == 0)
		load_report_at(load, AT("sites", name, "check", "host"), "`*` is no host name; write the one that the app knows");
	validate_timing(load, &site->group.check, AT("sites", name, "check", "timeout"));
}

/* ---- sites and databases -------------------------------------------------------------------------------------- */

static void validate_names(struct load *load, const struct cluster_site *site)
{
	for (uint32_t i = 1; i < site->name_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(site->names[i], site->names[j]) == 0)
				load_report_element(load, AT("sites", site->name, "names"), i - 1, "`%s` %s", site->names[i],
				                    j == 0 ? "is the site's own name; it need not be said again" : "stands here twice");
}

static void validate_apps(struct load *load, const struct cluster_app *apps, uint32_t count, const char *const *parts)
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (apps[i].server == apps[j].server && apps[i].address.port == apps[j].address.port)
				load_report_element(load, parts, i, "%s:%u stands here twice", load->cluster->servers[apps[i].server].name,
				                    apps[i].address.port);
}

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

/* ---- what is checked as a whole ------------------------------------------------------------------------------- */

struct target {
	char key[CLUSTER_TARGET_KEY_SIZE];
	const struct cluster_site *site;
};

static bool same_timing(const struct cluster_check *a, const struct cluster_check *b)
{
	return a->every_ms == b->every_ms && a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

/* The target with this key; a new one behind the used ones when there is none. */
static struct target *find_target(struct target *targets, uint32_t used, const char *key)
{
	uint32_t at = 0;
	while (at < used && strcmp(targets[at].key, key) != 0)
		at++;
	return &targets[at];
}

/* Equal checks of one address are made once, for all sites: so they must agree how often. Also counts against the board's room.
 */
static void gather_targets(struct load *load, struct target *targets, uint32_t room)
{
	const struct cluster *cluster = load->cluster;
	uint32_t used = 0;
	for (const struct cluster_site *site = cluster->sites; site < cluster->sites + cluster->site_count; site++)
		for (uint32_t i = 0; i < site->group.app_count; i++) {
			char key[CLUSTER_TARGET_KEY_SIZE];
			const char *server = cluster->servers[site->group.apps[i].server].name;
			cluster_target_key(&site->group.check, &site->group.apps[i].address, key);
			struct target *target = find_target(targets, used, key);
			if (target < targets + used && !same_timing(&target->site->group.check, &site->group.check))
				load_report_at(load, AT("sites", site->name, "check"),
				               "%s:%u is checked in the same way by site %s, but with other every, timeout, rise or fall; "
				               "write the same there",
				               server, site->group.apps[i].address.port, target->site->name);
			if (target < targets + used)
				continue;
			if (used == room) {
				load_report_at(load, AT("sites", site->name, "apps"), "more than %u apps and databases are to be checked",
				               CLUSTER_TARGETS_MOST);
				return;
			}
			memcpy(target->key, key, sizeof(key));
			target->site = site;
			used++;
		}
}

static void validate_targets(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	uint32_t databases = 0; /* at most 16 times 32 */
	for (uint32_t i = 0; i < cluster->database_count; i++)
		databases += cluster->databases[i].server_count;
	struct target *targets = calloc(CLUSTER_TARGETS_MOST + 1, sizeof(*targets));
	if (targets == NULL) {
		report_add(load->report, 0, 0, "", "out of memory");
		return;
	}
	gather_targets(load, targets, databases < CLUSTER_TARGETS_MOST ? CLUSTER_TARGETS_MOST - databases : 0);
	free(targets);
}

void load_validate(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	validate_servers(load);
	if (load->root->kind == TREE_MAP && !load_has(load, AT("sites")) && !load_has(load, AT("databases")))
		load_report_at(load, AT("cluster"), "neither `sites` nor `databases` are in the file; noah would have nothing to do");
	for (uint32_t i = 0; i < cluster->site_count; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		validate_names(load, site);
		validate_apps(load, site->group.apps, site->group.app_count, AT("sites", site->name, "apps"));
		validate_site_check(load, site);
	}
	for (uint32_t i = 0; i < cluster->database_count; i++) {
		const struct cluster_database *database = &cluster->databases[i];
		validate_apps(load, database->servers, database->server_count, AT("databases", database->name, "servers"));
		validate_timing(load, &database->check, AT("databases", database->name, "check", "timeout"));
		validate_database_servers(load, database);
	}
	validate_targets(load);
}
