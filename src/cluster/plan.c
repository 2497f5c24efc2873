/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan: what each server of a cluster would do, in sentences (`noah plan`).
 */
#include "cluster/plan.h"

static void print_database(const struct plan *plan, const struct cluster_database *database)
{
	char wait[VALUE_TEXT_SIZE];
	FILE *out = plan->out;
	fputs("  - listens on ", out);
	plan_print_listeners(plan, database->on, database->listen, NULL, database->listen_count);
	fprintf(out, " for the database %s: ", database->name);
	plan_print_apps(plan, database->servers, database->server_count, " and ");
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
	plan_print_timing(plan, &database->check);
}

static void print_service(const struct plan *plan, const struct cluster_service *service)
{
	char text[VALUE_TEXT_SIZE];
	fputs("  - listens on ", plan->out);
	plan_print_listeners(plan, service->on, service->listen, NULL, service->listen_count);
	fprintf(plan->out, " for the service %s, and passes %s on to ", service->name,
	        service->group.app_count == 1 ? "all connections" : "each connection");
	plan_print_choice(plan, &service->group);
	fputs(".\n", plan->out);
	if (service->proxy_protocol > 0)
		fprintf(plan->out, "    It tells the server who has connected (PROXY protocol, version %u).\n", service->proxy_protocol);
	fprintf(plan->out, "    At most %u are open at the same time; one on which nothing was sent for %s is closed.\n",
	        service->connections_most, value_format_duration(service->idle_timeout_ms, text));
	plan_print_load(plan, &service->group, "connection");
	plan_print_check(plan, &service->group);
}

/* ---- what others expect to find on a server: no noah needed for it -------------------------------------------------- */

static unsigned print_expected_app(const struct plan *plan, const struct cluster_walk *walk, const struct cluster_app *app)
{
	if (app->server != plan->server)
		return 0;
	if (walk->files != NULL)
		return fprintf(plan->out, "  - is asked for files of the site %s that are missing, on port %u.\n", walk->name,
		               app->address.port) > 0;
	if (walk->service != NULL)
		return fprintf(plan->out, "  - does the work of the service %s on port %u.\n", walk->name, app->address.port) > 0;
	return fprintf(plan->out, "  - runs %s%s on port %u (a web server that is not noah).\n",
	               walk->route != NULL ? "a part of the site " : "the site ", walk->name, app->address.port) > 0;
}

/* Returns how many lines. */
static unsigned print_expected(const struct plan *plan)
{
	const struct cluster *cluster = plan->cluster;
	struct cluster_walk walk = {0};
	unsigned lines = 0;
	if (cluster_networks_contain(&cluster->front_ends.from, &cluster->servers[plan->server].address))
		lines += fputs("  - is a front end: what it says of visitors' addresses is believed.\n", plan->out) >= 0;
	while (cluster_walk_groups(cluster, &walk))
		for (uint32_t i = 0; i < walk.group->app_count; i++)
			lines += print_expected_app(plan, &walk, &walk.group->apps[i]);
	for (uint32_t i = 0; i < cluster->database_count; i++)
		for (uint32_t j = 0; j < cluster->databases[i].server_count; j++)
			if (cluster->databases[i].servers[j].server == plan->server)
				lines += fprintf(plan->out, "  - runs a server of the database %s on port %u (MariaDB or MySQL).\n",
				                 cluster->databases[i].name, cluster->databases[i].servers[j].address.port) > 0;
	return lines;
}

/* ---- the servers ---------------------------------------------------------------------------------------------------- */

/* What noah does there; false: nothing. */
static bool print_work(const struct plan *plan)
{
	const struct cluster *cluster = plan->cluster;
	bool has_work = false;
	for (uint32_t i = 0; i < cluster->site_count; i++)
		if (cluster_is_on(cluster->sites[i].on, plan->server)) {
			plan_print_site(plan, &cluster->sites[i]);
			has_work = true;
		}
	for (uint32_t i = 0; i < cluster->service_count; i++)
		if (cluster_is_on(cluster->services[i].on, plan->server)) {
			print_service(plan, &cluster->services[i]);
			has_work = true;
		}
	for (uint32_t i = 0; i < cluster->database_count; i++)
		if (cluster_is_on(cluster->databases[i].on, plan->server)) {
			print_database(plan, &cluster->databases[i]);
			has_work = true;
		}
	if (has_work && cluster->admin.listen_count > 0) {
		fputs("  - listens on ", plan->out);
		plan_print_listeners(plan, UINT64_MAX, cluster->admin.listen, NULL, cluster->admin.listen_count);
		fputs(" for its own numbers (/metrics).\n", plan->out);
	}
	return has_work;
}

static void print_server(const struct plan *plan)
{
	const struct cluster_server *server = &plan->cluster->servers[plan->server];
	char text[ADDRESS_TEXT_SIZE];
	fprintf(plan->out, "%s (%s", server->name, address_format(&server->address, text));
	if (server->public_address.family != ADDRESS_NONE && !address_equal(&server->public_address, &server->address))
		fprintf(plan->out, ", for visitors %s", address_format(&server->public_address, text));
	fprintf(plan->out, ")%s\n", plan->cluster->self == plan->server ? ", this machine" : "");
	bool has_work = print_work(plan);
	unsigned expected = print_expected(plan);
	if (!has_work)
		fprintf(plan->out, "  - noah has nothing to do here%s.\n", expected == 0 ? ", and nothing refers to this server" : "");
}

static void print_log(const struct cluster_log *log, FILE *out)
{
	static const char *const places[] = {
	    [LOG_TO_NOTHING] = "", [LOG_TO_FILE] = "", [LOG_TO_SYSLOG] = "the system's log", [LOG_TO_JOURNAL] = "the journal"};
	if (log->access_to == LOG_TO_NOTHING)
		return;
	fprintf(out, "Each noah writes a line about each request to %s%s.\n",
	        log->access_to == LOG_TO_FILE ? log->access_file : places[log->access_to],
	        log->format == LOG_FORMAT_JSON ? ", as JSON" : "");
}

void cluster_print_plan(const struct cluster *cluster, FILE *out)
{
	CHECK_MAGIC(cluster, CLUSTER_MAGIC);
	fprintf(out, "The cluster %s has %u %s.\n", cluster->name, cluster->server_count,
	        cluster->server_count == 1 ? "server" : "servers");
	const struct plan whole = {.cluster = cluster, .server = CLUSTER_NO_SERVER, .out = out, .indent = ""};
	plan_print_front_ends(&whole);
	plan_print_visitors(&whole);
	print_log(&cluster->log, out);
	for (uint32_t i = 0; i < cluster->server_count; i++) {
		fputs("\n", out);
		print_server(&(struct plan){.cluster = cluster, .server = i, .out = out, .indent = "    "});
	}
}
