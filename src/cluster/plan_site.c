/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan_site: a site and its routes, in sentences (`noah plan`). See plan.h.
 */
#include "cluster/plan.h"

static void print_names(const struct plan *plan, const struct cluster_site *site)
{
	bool is_default = plan->cluster->site_count == 1;
	uint32_t printed = 0, names = 0;
	for (uint32_t i = 0; i < site->name_count; i++)
		if (strcmp(site->names[i], "*") == 0)
			is_default = true;
		else
			names++;
	for (uint32_t i = 0; i < site->name_count; i++)
		if (strcmp(site->names[i], "*") != 0)
			fprintf(plan->out, "%s%s", plan_joint(printed++, names, " and "), site->names[i]);
	if (is_default)
		fputs(" (and every other name)", plan->out);
}

/* ---- TLS and names -------------------------------------------------------------------------------------------- */

static void print_certificates(const struct plan *plan, const struct cluster_site *site)
{
	fprintf(plan->out, "    TLS is of version 1.%u or newer, with ", site->tls_least - 10u);
	for (uint32_t i = 0; i < site->certificate_count; i++) {
		const struct cluster_certificate *certificate = &site->certificates[i];
		fputs(plan_joint(i, site->certificate_count, " and "), plan->out);
		if (certificate->self_signed)
			fputs("a certificate that noah makes and signs itself, so browsers warn", plan->out);
		else
			fprintf(plan->out, "the certificate of %s", certificate->chain);
	}
	fputs(".\n", plan->out);
}

static void print_tls(const struct plan *plan, const struct cluster_site *site)
{
	uint32_t plain = 0, tls = 0;
	char text[VALUE_TEXT_SIZE];
	for (uint32_t i = 0; i < site->listen_count; i++)
		if (site->listen[i].tls)
			tls++;
		else
			plain++;
	if (tls == 0)
		return;
	print_certificates(plan, site);
	if (site->redirect_to_https && plain > 0)
		fputs("    Requests without TLS are redirected to it.\n", plan->out);
	if (site->hsts_s > 0)
		fprintf(plan->out, "    Browsers are told to come only with TLS for %s.\n",
		        value_format_duration(site->hsts_s * 1000ull, text));
}

static void print_canonical(const struct plan *plan, const struct cluster_site *site)
{
	uint32_t others = 0, printed = 0;
	if (site->canonical[0] == '\0')
		return;
	for (uint32_t i = 0; i < site->name_count; i++)
		others += site->names[i][0] != '*' && strcmp(site->names[i], site->canonical) != 0;
	fputs("    Requests for ", plan->out);
	for (uint32_t i = 0; i < site->name_count; i++)
		if (site->names[i][0] != '*' && strcmp(site->names[i], site->canonical) != 0)
			fprintf(plan->out, "%s%s", plan_joint(printed++, others, " and "), site->names[i]);
	fprintf(plan->out, " are redirected to %s.\n", site->canonical);
}

/* ---- routes --------------------------------------------------------------------------------------------------- */

/* "/api/...", "*.jpg or *.png in /images and all below" */
static void print_match(const struct plan *plan, const struct cluster_route *route)
{
	for (uint32_t i = 0; i < route->type_count; i++)
		fprintf(plan->out, "%s*.%s", plan_joint(i, route->type_count, " or "), route->types[i]);
	size_t size = strlen(route->path);
	if (size > 0)
		fprintf(plan->out, "%s%s%s", route->type_count > 0 ? " in " : "", route->path,
		        route->path[size - 1] == '/' ? "..." : " and all below");
}

/* What a request may take there, if that is something else than in the site. */
static void print_limits(const struct plan *plan, const struct cluster_limits *limits, const struct cluster_limits *usual)
{
	char text[VALUE_TEXT_SIZE];
	if (limits->body_most_bytes != usual->body_most_bytes) {
		if (limits->body_most_bytes == 0)
			fputs("      Their bodies may have any size.\n", plan->out);
		else
			fprintf(plan->out, "      Their bodies may have %s.\n", value_format_size(limits->body_most_bytes, text));
	}
	if (limits->answer_timeout_ms != usual->answer_timeout_ms)
		fprintf(plan->out, "      noah waits %s for an answer.\n", value_format_duration(limits->answer_timeout_ms, text));
	if (limits->request_timeout_ms != usual->request_timeout_ms)
		fprintf(plan->out, "      noah waits %s for the rest of a request.\n",
		        value_format_duration(limits->request_timeout_ms, text));
}

/* As the site's in all that can be said of files; those that it took over have no servers of their own. */
static bool are_files_of_site(const struct cluster_static *files, const struct cluster_static *of_site)
{
	return strcmp(files->root, of_site->root) == 0 && files->match_count == of_site->match_count &&
	       memcmp(files->match, of_site->match, sizeof(files->match)) == 0 && files->index_count == of_site->index_count &&
	       memcmp(files->index, of_site->index, sizeof(files->index)) == 0 && files->missing == of_site->missing &&
	       files->servers.app_count == 0;
}

/* Those of its own, or that it has none where its site has some. */
static void print_route_files(const struct plan *plan, const struct cluster_site *site, const struct cluster_route *route)
{
	bool has_files = route->files.root[0] != '\0';
	if (!has_files && site->files.root[0] != '\0')
		fprintf(plan->out, "%sThe site's files are not looked at.\n", plan->indent);
	if (!has_files || (are_files_of_site(&route->files, &site->files) && route->group.app_count == 0))
		return;
	fprintf(plan->out, "%sBut it sends itself ", plan->indent);
	plan_print_files(plan, &route->files);
	fputs(".\n", plan->out);
	plan_print_missing(plan, &route->files);
}

static void print_route(const struct plan *plan, const struct cluster_site *site, const struct cluster_route *route)
{
	fputs("    Requests for ", plan->out);
	print_match(plan, route);
	if (route->redirect[0] != '\0') {
		size_t size = strlen(route->redirect);
		fprintf(plan->out, " are redirected to %s%s (%u).\n", route->redirect,
		        route->redirect[size - 1] == '/' ? " and what follows" : "", route->redirect_status);
		return;
	}
	if (route->group.app_count > 0) {
		fputs(" go to ", plan->out);
		plan_print_choice(plan, &route->group);
	} else {
		fputs(site->group.app_count > 0 ? " go to the same" : " are answered in the same way", plan->out);
	}
	fputs(".\n", plan->out);
	struct plan deeper = *plan;
	deeper.indent = "      ";
	print_route_files(&deeper, site, route);
	print_limits(plan, &route->limits, &site->limits);
	plan_print_limits(&deeper, &route->limits, &site->limits);
	plan_print_answers(&deeper, &route->answers, &site->answers);
	plan_print_access(&deeper, &route->access, &site->access);
	if (route->group.app_count == 0)
		return;
	plan_print_load(&deeper, &route->group, "request");
	plan_print_check(&deeper, &route->group);
}

/* ---- the site ------------------------------------------------------------------------------------------------- */

/* ", and sends each request to …": what it is there for. */
static void print_work(const struct plan *plan, const struct cluster_site *site)
{
	if (site->page > 0) {
		fprintf(plan->out, ", and answers each request with %s.\n", site->page_file);
		return;
	}
	fputs(", and sends ", plan->out);
	if (site->group.app_count > 0) {
		fputs(site->group.app_count == 1 ? "all requests to " : "each request to ", plan->out);
		plan_print_choice(plan, &site->group);
	} else {
		plan_print_files(plan, &site->files);
	}
	fputs(".\n", plan->out);
	if (site->files.root[0] != '\0' && site->group.app_count > 0) {
		fprintf(plan->out, "%sBut it sends itself ", plan->indent);
		plan_print_files(plan, &site->files);
		fputs(".\n", plan->out);
	}
	if (site->files.root[0] != '\0')
		plan_print_missing(plan, &site->files);
}

void plan_print_site(const struct plan *plan, const struct cluster_site *site)
{
	struct address listen[CLUSTER_LISTEN_MOST];
	bool tls[CLUSTER_LISTEN_MOST];
	for (uint32_t i = 0; i < site->listen_count; i++) {
		listen[i] = site->listen[i].address;
		tls[i] = site->listen[i].tls;
	}
	fputs("  - listens on ", plan->out);
	plan_print_listeners(plan, site->on, listen, tls, site->listen_count);
	fputs(" for ", plan->out);
	print_names(plan, site);
	print_work(plan, site);
	print_tls(plan, site);
	print_canonical(plan, site);
	if (site->group.app_count > 0) {
		plan_print_load(plan, &site->group, "request");
		plan_print_check(plan, &site->group);
	}
	plan_print_limits(plan, &site->limits, NULL);
	plan_print_answers(plan, &site->answers, NULL);
	plan_print_access(plan, &site->access, NULL);
	plan_print_errors(plan, site);
	for (uint32_t i = 0; i < site->route_count; i++)
		print_route(plan, site, &site->routes[i]);
}
