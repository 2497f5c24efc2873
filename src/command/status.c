/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah status`: asks the running noah and shows what it says: as JSON, as text for people, or as one line.
 *
 * The running supervisor makes the JSON (process/status.c); here it is only put into words.
 */
#include "command/command.h"
#include "process/process.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static const char *colour_of(const json_t *target)
{
	const char *colour = is_true(target, "usable")                             ? "green"
	                     : strcmp(command_text(target, "health"), "down") == 0 ? "red"
	                                                                           : "yellow";
	return command_colour(stdout, is_true(target, "drained") && strcmp(colour, "green") == 0 ? "yellow" : colour);
}

/* The worst comes first: that a server is down is no less true because it is drained too. */
static const char *health_of(const json_t *target)
{
	if (is_true(target, "avoided"))
		return "avoided";
	return is_true(target, "drained") && is_true(target, "usable") ? "drained" : command_text(target, "health");
}

/* ---- for people ----------------------------------------------------------------------------------------------- */

/* Without its milliseconds: "2026-11-21T04:37:07Z". */
static void print_time(const char *when)
{
	printf("%.19sZ", when);
}

/* How long ago: people compare a time in UTC with the clock on their wall badly. */
static void print_age(const char *when)
{
	struct tm parts = {0};
	if (strptime(when, "%Y-%m-%dT%H:%M:%S", &parts) == NULL)
		return;
	long long age_s = (long long)(time(NULL) - timegm(&parts));
	if (age_s < 120)
		printf(" (%lld s)", age_s > 0 ? age_s : 0);
	else if (age_s < 2 * 3600)
		printf(" (%lld min)", age_s / 60);
	else if (age_s < 2 * 86400)
		printf(" (%lld h)", age_s / 3600);
	else
		printf(" (%lld days)", age_s / 86400);
}

static void print_lag(const json_t *target)
{
	const json_t *lag = json_object_get(target, "lag_ms");
	if (json_is_integer(lag) && strcmp(command_text(target, "role"), "replica") == 0)
		printf(", %.1f s behind", (double)json_integer_value(lag) / 1000.0);
}

/* What is not as usual: of the servers of sites and services. */
static void print_share(const json_t *target)
{
	long long percent = command_number(target, "weight_percent");
	const json_t *start = json_object_get(target, "slow_start_percent");
	if (is_true(target, "drained") && strcmp(health_of(target), "drained") != 0)
		printf(", drained");
	if (json_object_get(target, "weight_percent") != NULL && percent != 100)
		printf(", weight %lld %%", percent);
	if (is_true(target, "backup"))
		printf(", backup");
	if (json_is_integer(start))
		printf(", slow start at %lld %%", (long long)json_integer_value(start));
	if (json_object_get(target, "connections_most") != NULL)
		printf(", %lld of %lld connections, %lld waiting", command_number(target, "connections"),
		       command_number(target, "connections_most"), command_number(target, "waiting"));
}

/* Why it is up or not, and since when. */
static void print_reason(const json_t *target)
{
	const char *reason = command_text(target, "reason"), *checked = command_text(target, "checked"),
	           *since = command_text(target, "since");
	if (is_true(target, "avoided"))
		printf("connections to it fail; ");
	printf("%s", reason[0] != '\0' ? reason : "not checked yet");
	if (checked[0] != '\0') {
		printf(" (checked ");
		print_time(checked);
		putchar(')');
	}
	if (since[0] != '\0') {
		printf(", since ");
		print_time(since);
		print_age(since);
	}
}

static void print_target(const json_t *target, const char *what)
{
	printf("  %-22s %s%-9s%s ", command_text(target, "name"), colour_of(target), health_of(target),
	       command_colour(stdout, "off"));
	if (json_object_get(target, "role") != NULL && strcmp(command_text(target, "health"), "down") != 0) {
		printf("%s", command_text(target, "role"));
		print_lag(target);
		printf("; ");
	}
	print_reason(target);
	printf("; %lld %s, %lld under way", command_number(target, "served"), what, command_number(target, "active"));
	print_share(target);
	putchar('\n');
}

/* How much was under way lately, and whether the rest could carry it. */
static void print_headroom(const json_t *group)
{
	const json_t *headroom = json_object_get(group, "headroom");
	const char *loss = command_text(headroom, "loss");
	if (!json_is_object(headroom) ||
	    (command_number(headroom, "peak") == 0 && json_is_null(json_object_get(headroom, "capacity"))))
		return;
	printf("  at most %lld under way at once in the last %lld minutes", command_number(headroom, "peak"),
	       command_number(headroom, "minutes"));
	if (json_is_integer(json_object_get(headroom, "capacity")))
		printf(" of %lld that there is room for", command_number(headroom, "capacity"));
	if (loss[0] != '\0' && json_is_integer(json_object_get(headroom, "without_one")))
		printf("%s, %lld without %s%s",
		       json_is_false(json_object_get(headroom, "enough")) ? command_colour(stdout, "yellow") : "",
		       command_number(headroom, "without_one"), loss, command_colour(stdout, "off"));
	putchar('\n');
}

static void print_list(const json_t *list, const char *separator)
{
	size_t index;
	const json_t *value;
	json_array_foreach(list, index, value) printf("%s%s", index == 0 ? "" : separator, json_string_value(value));
}

static void print_targets(const json_t *list, const char *what)
{
	size_t index;
	const json_t *target;
	json_array_foreach(list, index, target) print_target(target, what);
}

static void print_heading(const char *what, const json_t *object)
{
	printf("\n%s%s %s%s  at ", command_colour(stdout, "bold"), what, command_text(object, "name"), command_colour(stdout, "off"));
	print_list(json_object_get(object, "listen"), ", ");
}

static void print_site(const json_t *status, const json_t *site)
{
	size_t index;
	const json_t *value;
	print_heading("site", site);
	putchar('\n');
	json_array_foreach(json_object_get(status, "certificates"), index, value)
	{
		if (strcmp(command_text(value, "site"), command_text(site, "name")) == 0)
			printf("  certificate %s of %s, %s, until %.10s%s\n", command_text(value, "names"),
			       is_true(value, "self_signed") ? "noah itself" : command_text(value, "issuer"), command_text(value, "key"),
			       command_text(value, "not_after"), is_true(value, "stapled") ? ", stapled" : "");
	}
	value = json_object_get(site, "maintenance");
	if (json_is_object(value)) {
		printf("  %sin maintenance%s since ", command_colour(stdout, "yellow"), command_colour(stdout, "off"));
		print_time(command_text(value, "since"));
		if (command_text(value, "until")[0] != '\0') {
			printf(" until ");
			print_time(command_text(value, "until"));
		} else {
			printf(", for ever");
		}
		printf("; %lld visitors were told to come again\n", command_number(value, "answered"));
	}
	if (command_text(site, "page")[0] != '\0')
		printf("  answers with the page %s\n", command_text(site, "page"));
	print_targets(json_object_get(site, "apps"), "requests");
	print_headroom(site);
	json_array_foreach(json_object_get(site, "routes"), index, value)
	{
		bool both = command_text(value, "path")[0] != '\0' && json_array_size(json_object_get(value, "types")) > 0;
		printf("  %s%s", command_text(value, "path"), both ? " " : "");
		print_list(json_object_get(value, "types"), " ");
		puts(":");
		print_targets(json_object_get(value, "apps"), "requests");
		print_headroom(value);
	}
	if (json_array_size(json_object_get(site, "tried")) > 0)
		puts("  asked for files that are not here:");
	print_targets(json_object_get(site, "tried"), "requests");
}

static void print_numbers(const json_t *status)
{
	const json_t *counters = json_object_get(status, "counters");
	printf("\nHTTP: %lld requests, %lld answers 5xx, %lld failed, %lld retries, %lld connections open\n",
	       command_number(counters, "requests"), command_number(counters, "answers_5xx"),
	       command_number(counters, "requests_failed"), command_number(counters, "retries"),
	       command_number(counters, "connections_open"));
	const json_t *visitors = json_object_get(status, "visitors");
	long long banned = command_number(visitors, "banned"), limited = command_number(visitors, "limited");
	if (banned + limited > 0)
		printf("too much: %lld %s banned%s, %lld at a limit\n", banned, banned == 1 ? "address" : "addresses",
		       banned > 0 ? " (noah bans)" : "", limited);
	if (json_array_size(json_object_get(status, "services")) > 0)
		printf("TCP:  %lld connections, %lld failed, %lld open\n", command_number(counters, "services_accepted"),
		       command_number(counters, "services_failed"), command_number(counters, "services_open"));
	printf("SQL:  %lld statements, %lld of %lld reads answered by replicas, %lld failed, %lld sessions open\n",
	       command_number(counters, "statements"), command_number(counters, "reads_replica"),
	       command_number(counters, "statements_read"), command_number(counters, "statements_failed"),
	       command_number(counters, "sessions_open"));
}

static void print_retired(const json_t *status)
{
	size_t index;
	const json_t *value;
	json_array_foreach(json_object_get(status, "retired"), index, value)
	    printf("before the upgrade: noah %s, process %lld, goes on with %lld connections, %lld of them tunnels%s%.19s\n",
	           command_text(value, "version"), command_number(value, "pid"), command_number(value, "open"),
	           command_number(value, "tunnels"), command_text(value, "retired")[0] != '\0' ? ", retired at " : "",
	           command_text(value, "retired"));
}

static void print_people(const json_t *status)
{
	size_t index;
	const json_t *value;
	const char *bold = command_colour(stdout, "bold"), *off = command_colour(stdout, "off");
	printf("%snoah %s%s  %s as %s, snapshot %lld, since %.19sZ%s\n", bold, command_text(status, "version"), off,
	       command_text(status, "cluster"), command_text(status, "server"), command_number(status, "generation"),
	       command_text(status, "started"),
	       is_true(status, "stopping") ? ", stopping"
	       : is_true(status, "ready")  ? ""
	                                   : ", starting");
	json_array_foreach(json_object_get(status, "sites"), index, value) print_site(status, value);
	json_array_foreach(json_object_get(status, "services"), index, value)
	{
		print_heading("service", value);
		putchar('\n');
		print_targets(json_object_get(value, "servers"), "connections");
		print_headroom(value);
	}
	json_array_foreach(json_object_get(status, "databases"), index, value)
	{
		print_heading("database", value);
		printf("  %s\n", command_text(value, "reason"));
		print_targets(json_object_get(value, "servers"), "statements");
	}
	print_numbers(status);
	print_retired(status);
	json_array_foreach(json_object_get(status, "warnings"), index, value)
	    printf("%swarning:%s %s\n", command_colour(stdout, "yellow"), off, json_string_value(value));
}

/* ---- one line ------------------------------------------------------------------------------------------------- */

/* What a target served since the line before: its own total when there was none. */
static long long served_since(const json_t *before, const json_t *target)
{
	size_t index;
	const json_t *other;
	json_array_foreach(json_object_get(before, "targets"), index, other)
	{
		if (strcmp(command_text(other, "key"), command_text(target, "key")) == 0)
			return command_number(target, "served") - command_number(other, "served");
	}
	return command_number(target, "served");
}

/* The servers of one site, route, service or database, behind those that the line already has. */
static void print_line_part(const json_t *before, const char *name, const char *path, const json_t *servers,
                            const char **separator)
{
	size_t index;
	const json_t *target;
	if (json_array_size(servers) == 0)
		return;
	printf("%s%s%s%s:", *separator, name, path[0] != '\0' ? " " : "", path);
	*separator = " | ";
	json_array_foreach(servers, index, target)
	{
		const char *role = command_text(target, "role");
		printf(" %s %s%s%s %lld", command_text(target, "name"), colour_of(target),
		       is_true(target, "usable") && role[0] != '\0' ? role : health_of(target), command_colour(stdout, "off"),
		       served_since(before, target));
	}
}

static void print_line(const json_t *before, const json_t *status)
{
	size_t index, route_index;
	const json_t *value, *route;
	const char *separator = "";
	json_array_foreach(json_object_get(status, "sites"), index, value)
	{
		const char *name = command_text(value, "name");
		print_line_part(before, name, "", json_object_get(value, "apps"), &separator);
		json_array_foreach(json_object_get(value, "routes"), route_index, route)
		{
			const char *type = json_string_value(json_array_get(json_object_get(route, "types"), 0));
			const char *path = command_text(route, "path");
			print_line_part(before, name, path[0] == '\0' && type != NULL ? type : path, json_object_get(route, "apps"),
			                &separator);
		}
	}
	json_array_foreach(json_object_get(status, "services"), index, value)
	    print_line_part(before, command_text(value, "name"), "", json_object_get(value, "servers"), &separator);
	json_array_foreach(json_object_get(status, "databases"), index, value)
	    print_line_part(before, command_text(value, "name"), "", json_object_get(value, "servers"), &separator);
	putchar('\n');
	fflush(stdout);
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

/* COMMAND_OK with *text and *status, to be freed. */
static int fetch(const char *control, char **text, json_t **status)
{
	bool done;
	json_error_t error;
	int result = process_ask(control, "status", &done, text);
	if (result < 0)
		return command_not_answered("status", control, -result);
	*status = done ? json_loads(*text, 0, &error) : NULL;
	if (*status != NULL)
		return COMMAND_OK;
	fprintf(stderr, "noah status: %s\n",
	        done ? "the answer is not JSON; are command and running noah of the same version?" : *text);
	free(*text);
	return COMMAND_FAILED;
}

/* A line every `every` seconds, with what was served since the one before, until interrupted or noah ends. */
static int print_lines(const char *control, unsigned every)
{
	json_t *before = NULL, *status = NULL;
	char *text = NULL;
	int code;
	while ((code = fetch(control, &text, &status)) == COMMAND_OK) {
		free(text);
		print_line(before, status);
		json_decref(before);
		before = status;
		sleep(every);
	}
	json_decref(before);
	return code;
}

int command_status(int argc, char **argv)
{
	const char *control = PROCESS_DEFAULT_CONTROL, *every = NULL;
	bool as_json = false, as_line = false;
	const struct command_option options[] = {
	    {"json", NULL, "everything, as JSON", &as_json, NULL},
	    {"line", NULL, "one line: who is up, and how many requests and statements each has served", &as_line, NULL},
	    {"every", "SECONDS", "such a line again and again, with what was served in between", NULL, &every},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "status",
	    .arguments = "",
	    .about = "Shows what the running noah on this server knows: sites and their servers and certificates, services, "
	             "databases and who\n"
	             "is primary, who is up and why not, where requests and statements go, and warnings (at the end).\n"
	             "Exit code: 0, or 1 when noah does not answer.",
	    .options = options,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	uint64_t seconds = 0;
	if (every != NULL && (!span_to_number(span_of_text(every), 3600, &seconds) || seconds == 0)) {
		fprintf(stderr, "noah status: --every %s: a number of seconds from 1 to 3600 is needed\n", every);
		return COMMAND_USAGE;
	}
	if (seconds > 0)
		return print_lines(control, (unsigned)seconds);
	char *text = NULL;
	json_t *status = NULL;
	code = fetch(control, &text, &status);
	if (code != COMMAND_OK)
		return code;
	if (as_json)
		puts(text);
	else if (as_line)
		print_line(NULL, status);
	else
		print_people(status);
	json_decref(status);
	free(text);
	return COMMAND_OK;
}
