/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan_visitors: files, answers, and who is let in how often, in sentences (`noah plan`). See plan.h.
 *
 * What is as it usually is, is not said; for a route neither what is as in its site.
 */
#include "cluster/plan.h"

/* The defaults of keys_group.h: were one of them another one here, every plan would say it. */
#define USUAL_RATE_LEAST   500u
#define USUAL_BUFFER_BYTES (1u << 20)

static const struct cluster_limits usual_limits = {
    .rate_least = USUAL_RATE_LEAST, .request_buffer_bytes = USUAL_BUFFER_BYTES, .answer_buffer_bytes = USUAL_BUFFER_BYTES};
static const struct cluster_answers usual_answers = {
    .compress = COMPRESS_SAFE, .hide_versions = true, .expires_s = CLUSTER_NO_EXPIRY};
static const struct cluster_access usual_access;

static void print_networks(const struct plan *plan, const struct cluster_networks *networks)
{
	char text[VALUE_TEXT_SIZE];
	for (uint32_t i = 0; i < networks->count; i++)
		fprintf(plan->out, "%s%s", plan_joint(i, networks->count, " and "), value_format_network(&networks->list[i], text));
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

void plan_print_files(const struct plan *plan, const struct cluster_static *files)
{
	FILE *out = plan->out;
	fprintf(out, "the files of %s", files->root);
	for (uint32_t i = 0; i < files->match_count; i++)
		fprintf(out, "%s*.%s", i == 0 ? " (" : plan_joint(i, files->match_count, " and "), files->match[i]);
	if (files->match_count > 0)
		fputc(')', out);
	bool any = false;
	for (uint32_t i = 0; i < files->index_count; i++) {
		const char *dot = strrchr(files->index[i], '.');
		if (!cluster_match_has(files, span_of_text(dot != NULL ? dot + 1 : "")))
			continue; /* the default, of a type that is not sent */
		fprintf(out, "%s%s", any ? " or " : ", for a directory its ", files->index[i]);
		any = true;
	}
}

static void print_tried(const struct plan *plan, const struct cluster_static *files)
{
	bool one = files->servers.app_count == 1;
	fputs(one ? "is asked of " : "is asked one after another of ", plan->out);
	plan_print_apps(plan, files->servers.apps, files->servers.app_count, " and ");
	fputs(one ? ".\n" : ", until one has it.\n", plan->out);
}

void plan_print_missing(const struct plan *plan, const struct cluster_static *files)
{
	fprintf(plan->out, "%sWhat is not among its files ", plan->indent);
	if (files->missing == MISSING_NOT_FOUND)
		fputs("is answered with 404.\n", plan->out);
	else if (files->missing == MISSING_APPS)
		fputs("is asked of the apps.\n", plan->out);
	else
		print_tried(plan, files);
}

/* ---- limits --------------------------------------------------------------------------------------------------- */

static void print_buffers(const struct plan *plan, const struct cluster_limits *limits, const struct cluster_limits *usual)
{
	char text[VALUE_TEXT_SIZE];
	if (limits->request_buffer_bytes != usual->request_buffer_bytes && limits->request_buffer_bytes == 0)
		fprintf(plan->out, "%sBodies go to an app as they come.\n", plan->indent);
	else if (limits->request_buffer_bytes != usual->request_buffer_bytes)
		fprintf(plan->out, "%s%s of a body are awaited before an app gets the request.\n", plan->indent,
		        value_format_size(limits->request_buffer_bytes, text));
	if (limits->answer_buffer_bytes != usual->answer_buffer_bytes && limits->answer_buffer_bytes == 0)
		fprintf(plan->out, "%sAn app waits for slow visitors to take its answer.\n", plan->indent);
	else if (limits->answer_buffer_bytes != usual->answer_buffer_bytes)
		fprintf(plan->out, "%s%s of an answer are taken from its app while the visitor is slow.\n", plan->indent,
		        value_format_size(limits->answer_buffer_bytes, text));
}

void plan_print_limits(const struct plan *plan, const struct cluster_limits *limits, const struct cluster_limits *of_site)
{
	const struct cluster_limits *usual = of_site != NULL ? of_site : &usual_limits;
	char text[VALUE_TEXT_SIZE];
	if (limits->rate_least != usual->rate_least && limits->rate_least == 0)
		fprintf(plan->out, "%sNo visitor is cut off because he is slow.\n", plan->indent);
	else if (limits->rate_least != usual->rate_least)
		fprintf(plan->out, "%sA visitor who is slower than %s bytes a second for more than 10s is cut off.\n", plan->indent,
		        value_format_size(limits->rate_least, text));
	print_buffers(plan, limits, usual);
	if (of_site != NULL && !limits->requests_own)
		return;
	if (limits->requests.most > 0)
		fprintf(plan->out, "%sAn address may send %u request%s in %s; more are answered with 429.\n", plan->indent,
		        limits->requests.most, limits->requests.most == 1 ? "" : "s",
		        value_format_duration(limits->requests.period_ms, text));
	else if (of_site != NULL && of_site->requests.most > 0)
		fprintf(plan->out, "%sAn address may send any number of requests.\n", plan->indent);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

void plan_print_answers(const struct plan *plan, const struct cluster_answers *answers, const struct cluster_answers *of_site)
{
	static const char *const compressions[] = {
	    [COMPRESS_NONE] = "Nothing is compressed",
	    [COMPRESS_SAFE] = "Texts are compressed for visitors who can read that, but not where cookies are set",
	    [COMPRESS_ALL] = "Texts are compressed for visitors who can read that, also where cookies are set",
	};
	const struct cluster_answers *usual = of_site != NULL ? of_site : &usual_answers;
	char text[VALUE_TEXT_SIZE];
	if (answers->compress != usual->compress)
		fprintf(plan->out, "%s%s.\n", plan->indent, compressions[answers->compress]);
	if (answers->hide_versions != usual->hide_versions)
		fprintf(plan->out, "%sWhat the apps say about themselves and their versions %s.\n", plan->indent,
		        answers->hide_versions ? "is left out" : "goes to the visitors");
	if (answers->expires_s == usual->expires_s)
		return;
	if (answers->expires_s == CLUSTER_NO_EXPIRY)
		fprintf(plan->out, "%sHow long browsers may keep them is left to the apps.\n", plan->indent);
	else
		fprintf(plan->out, "%sBrowsers may keep answers for %s, unless these say it themselves.\n", plan->indent,
		        value_format_duration(answers->expires_s * 1000ull, text));
}

/* ---- who is let in -------------------------------------------------------------------------------------------- */

static bool same_networks(const struct cluster_networks *a, const struct cluster_networks *b)
{
	return a->count == b->count && memcmp(a->list, b->list, a->count * sizeof(a->list[0])) == 0;
}

void plan_print_access(const struct plan *plan, const struct cluster_access *access, const struct cluster_access *of_site)
{
	const struct cluster_access *usual = of_site != NULL ? of_site : &usual_access;
	if (!same_networks(&access->allow, &usual->allow) || !same_networks(&access->deny, &usual->deny)) {
		bool has_allow = access->allow.count > 0;
		fprintf(plan->out, "%s%s", plan->indent, has_allow ? "Only visitors from " : "Visitors from ");
		print_networks(plan, has_allow ? &access->allow : &access->deny);
		fputs(has_allow ? " are let in" : " are not let in", plan->out);
		if (has_allow && access->deny.count > 0) {
			fputs(", but not those from ", plan->out);
			print_networks(plan, &access->deny);
		}
		fputs(".\n", plan->out);
	}
	if (strcmp(access->users_file, usual->users_file) == 0)
		return;
	if (access->users_file[0] == '\0')
		fprintf(plan->out, "%sNobody is asked for a password.\n", plan->indent);
	else
		fprintf(plan->out, "%sVisitors must give a name and password that are in %s (%s).\n", plan->indent, access->users_file,
		        access->realm);
}

void plan_print_errors(const struct plan *plan, const struct cluster_site *site)
{
	static const char *const whens[] = {
#define X(name, key, when) [name] = when " (" key ")",
	    CLUSTER_ERROR_PAGES(X)
#undef X
	};
	uint32_t count = 0, printed = 0;
	for (unsigned i = 0; i < ERROR_PAGE_COUNT; i++)
		count += site->error_pages[i] != 0;
	if (count == 0)
		return;
	fprintf(plan->out, "%sIts own pages: ", plan->indent);
	for (unsigned i = 0; i < ERROR_PAGE_COUNT; i++)
		if (site->error_pages[i] != 0)
			fprintf(plan->out, "%s%s when %s", plan_joint(printed++, count, " and "), site->error_page_files[i], whens[i]);
	fputs(".\n", plan->out);
}

/* ---- of all sites --------------------------------------------------------------------------------------------- */

static void print_exempt(const struct plan *plan, const struct cluster_networks *exempt)
{
	if (exempt->count == 0)
		return;
	fputs("Not counted are ", plan->out);
	print_networks(plan, exempt);
	fputs(".\n", plan->out);
}

void plan_print_visitors(const struct plan *plan)
{
	const struct cluster_visitors *visitors = &plan->cluster->visitors;
	char text[VALUE_TEXT_SIZE];
	bool has_requests = cluster_limits_requests(plan->cluster);
	if (visitors->requests.most > 0)
		fprintf(plan->out, "On each server, an address may send %u requests in %s; more are answered with 429.\n",
		        visitors->requests.most, value_format_duration(visitors->requests.period_ms, text));
	if (has_requests && visitors->ban_ms > 0)
		fprintf(plan->out, "Who asks too often gets 403 for %s.\n", value_format_duration(visitors->ban_ms, text));
	if (visitors->connections_most > 0)
		fprintf(plan->out, "On each server, an address may have %u connections at the same time.\n", visitors->connections_most);
	print_exempt(plan, &visitors->exempt);
}

void plan_print_front_ends(const struct plan *plan)
{
	const struct cluster_front_ends *front_ends = &plan->cluster->front_ends;
	if (front_ends->from.count == 0)
		return;
	fputs("Who the visitor is, is what the front ends at ", plan->out);
	print_networks(plan, &front_ends->from);
	fprintf(plan->out, " say, %s.%s\n",
	        front_ends->told_by == TOLD_BY_PROXY_PROTOCOL ? "by the PROXY protocol" : "in X-Forwarded-For",
	        front_ends->only ? " Nobody else is answered." : "");
}
