/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan: what each server of a cluster would do, in sentences (`noah plan`).
 */
#include "cluster/words.h"

#include <stdio.h>

/* "a", "a and b", "a, b and c": what stands before element `index` of `count`. */
static const char *joint(uint32_t index, uint32_t count, const char *last)
{
	return index == 0 ? "" : index + 1 == count ? last : ", ";
}

static void print_place(const struct address *address, FILE *out)
{
	static const uint8_t any[16];
	char text[ADDRESS_TEXT_SIZE];
	if (address->family == ADDRESS_IPV6 && memcmp(address->ip, any, sizeof(any)) == 0)
		fprintf(out, "port %u of every address", address->port);
	else
		fputs(address_format(address, text), out);
}

static void print_listeners(const struct cluster *cluster, uint64_t on, const struct address *listen, uint32_t count,
                            uint32_t server, FILE *out)
{
	uint32_t mine = 0, printed = 0;
	for (uint32_t i = 0; i < count; i++)
		mine += cluster_listens_on(cluster, on, &listen[i], server);
	if (mine == 0)
		fputs("nothing (every `listen` is the address of another server)", out);
	for (uint32_t i = 0; i < count; i++)
		if (cluster_listens_on(cluster, on, &listen[i], server)) {
			fputs(joint(printed++, mine, " and "), out);
			print_place(&listen[i], out);
		}
}

static void print_apps(const struct cluster *cluster, const struct cluster_app *apps, uint32_t count, const char *last, FILE *out)
{
	char text[ADDRESS_TEXT_SIZE];
	for (uint32_t i = 0; i < count; i++) {
		fprintf(out, "%s%s (%s", joint(i, count, last), cluster->servers[apps[i].server].name,
		        address_format(&apps[i].address, text));
		if (apps[i].weight != 1)
			fprintf(out, ", weight %u", apps[i].weight);
		fputs(")", out);
	}
}

/* "every 2s; after 3 failures in a row …" */
static void print_timing(const struct cluster_check *check, const char *what, FILE *out)
{
	char every[VALUE_TEXT_SIZE], timeout[VALUE_TEXT_SIZE];
	fprintf(out, " every %s, for at most %s each time: %u %s in a row and it is not used, %u %s in a row and it is used again.\n",
	        value_format_duration(check->every_ms, every), value_format_duration(check->timeout_ms, timeout), check->fall,
	        check->fall == 1 ? "failure" : "failures", check->rise, what);
}

static void print_site_check(const struct cluster_site *site, FILE *out)
{
	const struct cluster_check *check = &site->group.check;
	const char *each = site->group.app_count == 1 ? "it" : "each of them";
	if (check->kind != CHECK_HTTP) {
		fprintf(out, "    It checks %s by connecting", each);
	} else {
		fprintf(out, "    It checks %s with GET http://%s%s (answer %u", each, check->host, check->path, check->status_least);
		if (check->status_most != check->status_least)
			fprintf(out, " to %u", check->status_most);
		fprintf(out, "%s)",
		        check->digest == DIGEST_NONE  ? ""
		        : check->digest == DIGEST_MD5 ? " and the right MD5 of the body"
		                                      : " and the right SHA-256 of the body");
	}
	print_timing(check, check->rise == 1 ? "success" : "successes", out);
}

static void print_site(const struct cluster *cluster, const struct cluster_site *site, uint32_t server, FILE *out)
{
	bool is_default = cluster->site_count == 1;
	fputs("  - listens on ", out);
	struct address listen[CLUSTER_LISTEN_MOST];
	for (uint32_t i = 0; i < site->listen_count; i++)
		listen[i] = site->listen[i].address;
	print_listeners(cluster, site->on, listen, site->listen_count, server, out);
	fputs(" for ", out);
	uint32_t printed = 0, names = 0;
	for (uint32_t i = 0; i < site->name_count; i++)
		if (strcmp(site->names[i], "*") == 0)
			is_default = true;
		else
			names++;
	for (uint32_t i = 0; i < site->name_count; i++)
		if (strcmp(site->names[i], "*") != 0)
			fprintf(out, "%s%s", joint(printed++, names, " and "), site->names[i]);
	fprintf(out, "%s, and sends %s to ", is_default ? " (and every other name)" : "",
	        site->group.app_count == 1 ? "all requests" : "each request");
	print_apps(cluster, site->group.apps, site->group.app_count, " or ", out);
	if (site->group.app_count > 1)
		fputs(site->group.balance == BALANCE_ROUND_ROBIN ? ", in turn" : ", whichever has the fewest under way", out);
	fputs(".\n", out);
	print_site_check(site, out);
}

static void print_database(const struct cluster *cluster, const struct cluster_database *database, uint32_t server, FILE *out)
{
	char wait[VALUE_TEXT_SIZE];
	fputs("  - listens on ", out);
	print_listeners(cluster, database->on, database->listen, database->listen_count, server, out);
	fprintf(out, " for the database %s: ", database->name);
	print_apps(cluster, database->servers, database->server_count, " and ", out);
	if (database->server_count == 1) {
		fputs(".\n", out);
	} else {
		fputs(", whichever is primary.\n", out);
		fprintf(out,
		        "    Writes go to the primary, reads to a replica that has all acknowledged writes (or has them within %s), "
		        "otherwise to the primary.\n",
		        value_format_duration(database->fresh_wait_ms, wait));
		fprintf(out, "    While the primary cannot be asked, reads %s.\n",
		        database->stale_reads == STALE_ALLOW ? "go on from the replicas" : "are refused");
	}
	fprintf(out, "    It checks %s as %s", database->server_count == 1 ? "it" : "each of them", database->user);
	print_timing(&database->check, database->check.rise == 1 ? "success" : "successes", out);
}

/* What others expect to find on a server: no noah needed for it. Returns how many lines. */
static unsigned print_services(const struct cluster *cluster, uint32_t server, FILE *out)
{
	unsigned lines = 0;
	for (uint32_t i = 0; i < cluster->site_count; i++)
		for (uint32_t j = 0; j < cluster->sites[i].group.app_count; j++)
			if (cluster->sites[i].group.apps[j].server == server)
				lines += fprintf(out, "  - runs the site %s on port %u (a web server that is not noah).\n",
				                 cluster->sites[i].name, cluster->sites[i].group.apps[j].address.port) > 0;
	for (uint32_t i = 0; i < cluster->database_count; i++)
		for (uint32_t j = 0; j < cluster->databases[i].server_count; j++)
			if (cluster->databases[i].servers[j].server == server)
				lines += fprintf(out, "  - runs a server of the database %s on port %u (MariaDB or MySQL).\n",
				                 cluster->databases[i].name, cluster->databases[i].servers[j].address.port) > 0;
	return lines;
}

static void print_server(const struct cluster *cluster, uint32_t index, FILE *out)
{
	const struct cluster_server *server = &cluster->servers[index];
	char text[ADDRESS_TEXT_SIZE];
	bool needs_noah = false;
	fprintf(out, "%s (%s", server->name, address_format(&server->address, text));
	if (server->public_address.family != ADDRESS_NONE && !address_equal(&server->public_address, &server->address))
		fprintf(out, ", for visitors %s", address_format(&server->public_address, text));
	fprintf(out, ")%s\n", cluster->self == index ? ", this machine" : "");
	for (uint32_t i = 0; i < cluster->site_count; i++)
		if (cluster_is_on(cluster->sites[i].on, index)) {
			print_site(cluster, &cluster->sites[i], index, out);
			needs_noah = true;
		}
	for (uint32_t i = 0; i < cluster->database_count; i++)
		if (cluster_is_on(cluster->databases[i].on, index)) {
			print_database(cluster, &cluster->databases[i], index, out);
			needs_noah = true;
		}
	unsigned services = print_services(cluster, index, out);
	if (!needs_noah)
		fprintf(out, "  - noah has nothing to do here%s.\n", services == 0 ? ", and nothing refers to this server" : "");
}

void cluster_print_plan(const struct cluster *cluster, FILE *out)
{
	CHECK_MAGIC(cluster, CLUSTER_MAGIC);
	fprintf(out, "The cluster %s has %u %s.\n", cluster->name, cluster->server_count,
	        cluster->server_count == 1 ? "server" : "servers");
	for (uint32_t i = 0; i < cluster->server_count; i++) {
		fputs("\n", out);
		print_server(cluster, i, out);
	}
}
