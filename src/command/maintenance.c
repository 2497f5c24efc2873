/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah maintenance`: which sites' visitors are told to come again later, and until when (process/maintenance.c).
 */
#include "cluster/cluster.h"
#include "command/command.h"
#include "process/process.h"

#include <stdlib.h>
#include <time.h>

#define DEFAULT_TIME "1h"
#define MOST_MS      (UINT64_C(366) * 24 * 3600 * 1000)

/* "30m" or "ever" as the control socket wants it, in milliseconds; the same units as in the cluster file. False: it is neither.
 */
static bool read_time(const char *text, char *out, size_t size)
{
	uint64_t ms;
	if (strcmp(text, "ever") == 0) {
		snprintf(out, size, "ever");
		return true;
	}
	if (!cluster_duration_parse(span_of_text(text), &ms) || ms == 0 || ms > MOST_MS)
		return false;
	snprintf(out, size, "%ju", (uintmax_t)ms);
	return true;
}

/* ---- the answer in words ---------------------------------------------------------------------------------------- */

static void print_site(const json_t *site)
{
	const char *name = command_text(site, "site");
	const json_t *maintenance = json_object_get(site, "maintenance");
	const char *until = command_text(maintenance, "until");
	if (json_is_null(maintenance)) {
		printf("%s: not in maintenance\n", name);
		return;
	}
	printf("%s: in maintenance since %.19sZ, ", name, command_text(maintenance, "since"));
	if (until[0] != '\0') {
		printf("until %.19sZ (", until);
		command_print_time(command_number(maintenance, "left_s"));
		putchar(')');
	} else {
		printf("for ever, that is until \"noah maintenance off %s\"", name);
	}
	printf("; its visitors get 503 and %s; %lld so far\n",
	       json_is_true(json_object_get(site, "own_page")) ? "its own page" : "noah's page",
	       command_number(maintenance, "answered"));
}

static void warn_if_elsewhere(const json_t *site)
{
	if (!json_is_false(json_object_get(site, "here")))
		return;
	printf("%swarning:%s noah does not serve %s on this server: tell the noah of each server that does\n",
	       command_colour(stdout, "yellow"), command_colour(stdout, "off"), command_text(site, "site"));
}

static void print_list(const json_t *answer)
{
	size_t index;
	const json_t *site;
	json_array_foreach(json_object_get(answer, "sites"), index, site) print_site(site);
	if (json_array_size(json_object_get(answer, "sites")) == 0)
		puts("no site is in maintenance");
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int ask(const char *control, const char *request, bool as_json)
{
	int code;
	json_t *answer = command_ask_json("maintenance", control, request, &code);
	if (answer == NULL)
		return code;
	if (as_json) {
		command_print_json(answer);
	} else if (json_object_get(answer, "sites") != NULL) {
		print_list(answer);
	} else {
		print_site(answer);
		warn_if_elsewhere(answer);
	}
	json_decref(answer);
	return code;
}

static int refuse(const char *what)
{
	fprintf(stderr, "noah maintenance: %s; see `noah maintenance --help`\n", what);
	return COMMAND_USAGE;
}

int command_maintenance(int argc, char **argv)
{
	const char *control = PROCESS_DEFAULT_CONTROL, *verb = NULL, *site = NULL, *time = NULL;
	char request[512], when[32] = "";
	bool as_json = false;
	const struct command_option options[] = {
	    {"for", "TIME", "with `on`: 90s, 30m, 2h, 1d, or ever (default " DEFAULT_TIME ")", NULL, &time},
	    {"json", NULL, "print one JSON object instead of sentences", &as_json, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "maintenance",
	    .arguments = "[on SITE | off SITE]",
	    .about = "`on SITE` makes the running noah answer every new request for SITE (its key in the cluster file) with 503, a "
	             "page that\n"
	             "says so (the site's own: `errors: { maintenance: FILE }`) and Retry-After, until the time is over or `off "
	             "SITE`. What\n"
	             "is under way goes on, open WebSockets too; checks go on. It stays so over reloads and upgrades, not over a "
	             "restart.\n"
	             "Given again, the time begins anew. Each server's noah is told for itself. Without arguments: lists the sites "
	             "that are\n"
	             "in maintenance.\n"
	             "Exit code: 0, or 1 when there is no such site or noah does not answer, 2 for wrong arguments.",
	    .options = options,
	    .file = &verb,
	    .second = &site,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	bool on = verb != NULL && strcmp(verb, "on") == 0;
	if (verb != NULL && !on && strcmp(verb, "off") != 0)
		return refuse("on or off?");
	if (verb != NULL && site == NULL)
		return refuse("which site?");
	if (time != NULL && !on)
		return refuse("--for goes with on");
	if (on && !read_time(time != NULL ? time : DEFAULT_TIME, when, sizeof when))
		return refuse("--for needs a time such as 90s, 30m, 2h or 1d, at most 366d, or ever");
	if (site != NULL && (site[0] == '\0' || strpbrk(site, " \n") != NULL))
		return refuse("that is no site's name");
	int size = snprintf(request, sizeof request, "maintenance%s%s%s%s%s%s", verb != NULL ? " " : "", verb != NULL ? verb : "",
	                    site != NULL ? " " : "", site != NULL ? site : "", on ? " " : "", when);
	if (size >= (int)sizeof request)
		return refuse("that is no site's name");
	return ask(control, request, as_json);
}
