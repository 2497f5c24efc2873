/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah drain`, `noah undrain` and `noah weight`: how much a server gets, while noah runs (process/servers.c).
 */
#include "command/command.h"
#include "process/process.h"

#include "board/board.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_AGAIN_US 200000u

struct wish {
	const char *name; /* of the command */
	const char *control;
	const char *server;
	bool as_json, wait;
};

static void print_under_way(const json_t *answer)
{
	long long count = command_number(answer, "under_way");
	if (count == 0)
		puts("nothing is under way there");
	else
		printf("%lld %s still under way there\n", count,
		       count == 1 ? "request or connection is" : "requests and connections are");
}

static void print_share(const json_t *answer)
{
	const char *server = json_string_value(json_object_get(answer, "server"));
	long long weight = command_number(answer, "weight");
	if (json_array_size(json_object_get(answer, "serves")) == 0)
		printf("%s: no site or TCP service of this server's front uses it\n", server);
	if (json_is_true(json_object_get(answer, "drained")))
		printf("%s is drained: it gets nothing new, also after a reload or an upgrade, until \"noah undrain %s\"; ", server,
		       server);
	else if (weight == 0)
		printf("%s gets only visitors who belong there (sticky), until \"noah weight %s 100\"; ", server, server);
	else if (weight != (long long)BOARD_WEIGHT_FULL)
		printf("%s gets %lld %% of its share, also after a reload or an upgrade; ", server, weight);
	else
		printf("%s gets its share; ", server);
	print_under_way(answer);
}

static void print_answer(const struct wish *wish, const json_t *answer)
{
	size_t index;
	const json_t *value;
	if (wish->as_json) {
		command_print_json(answer);
		return;
	}
	print_share(answer);
	json_array_foreach(json_object_get(answer, "warnings"), index, value)
	    printf("%swarning:%s %s\n", command_colour(stdout, "yellow"), command_colour(stdout, "off"), json_string_value(value));
}

/* Until nothing is under way; on a terminal the number is shown as it falls. */
static int wait_until_idle(const struct wish *wish, json_t *answer)
{
	char request[CLUSTER_NAME_SIZE + 16];
	int code = COMMAND_OK;
	bool terminal = isatty(STDOUT_FILENO) && !wish->as_json;
	long long shown = command_number(answer, "under_way");
	snprintf(request, sizeof request, "server %s", wish->server);
	while (answer != NULL && command_number(answer, "under_way") > 0) {
		if (!json_is_true(json_object_get(answer, "drained"))) {
			fprintf(stderr, "noah drain: %s is not drained any more\n", wish->server);
			json_decref(answer);
			return COMMAND_FAILED;
		}
		if (terminal && command_number(answer, "under_way") != shown) {
			shown = command_number(answer, "under_way");
			printf("\r%lld still under way \033[K", shown);
			fflush(stdout);
		}
		usleep(LOOK_AGAIN_US);
		json_decref(answer);
		answer = command_ask_json(wish->name, wish->control, request, &code);
	}
	if (answer == NULL)
		return code;
	if (wish->as_json)
		print_answer(wish, answer);
	else
		printf("%snothing is under way on %s any more\n", terminal ? "\r\033[K" : "", wish->server);
	json_decref(answer);
	return COMMAND_OK;
}

static int tell(const struct wish *wish, const char *more)
{
	char request[CLUSTER_NAME_SIZE * 4];
	int code;
	if (wish->server == NULL) {
		fprintf(stderr, "noah %s: which server? See `noah %s --help`\n", wish->name, wish->name);
		return COMMAND_USAGE;
	}
	if (strchr(wish->server, ' ') != NULL || strchr(wish->server, '\n') != NULL ||
	    (size_t)snprintf(request, sizeof request, "%s %s%s", wish->name, wish->server, more) >= sizeof request) {
		fprintf(stderr, "noah %s: that is no server's name\n", wish->name);
		return COMMAND_USAGE;
	}
	json_t *answer = command_ask_json(wish->name, wish->control, request, &code);
	if (answer == NULL)
		return code;
	if (!wish->wait || !wish->as_json)
		print_answer(wish, answer);
	fflush(stdout);
	if (wish->wait && (wish->as_json || command_number(answer, "under_way") > 0))
		return wait_until_idle(wish, answer);
	json_decref(answer);
	return COMMAND_OK;
}

int command_drain(int argc, char **argv)
{
	struct wish wish = {.name = "drain", .control = PROCESS_DEFAULT_CONTROL};
	const struct command_option options[] = {
	    {"wait", NULL, "wait until nothing is under way there any more", &wish.wait, NULL},
	    {"json", NULL, "print one JSON object instead of sentences", &wish.as_json, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &wish.control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "drain",
	    .arguments = "SERVER",
	    .about =
	        "Makes the running noah give SERVER (a name of the cluster file) no new request and no new connection of a site or "
	        "TCP\n"
	        "service; what is under way goes on, and databases are not touched. It stays so over reloads and upgrades, until\n"
	        "\"noah undrain SERVER\" or a restart. Each server's noah is told for itself.\n"
	        "Exit code: 0, or 1 when there is no such server or noah does not answer.",
	    .options = options,
	    .file = &wish.server,
	};
	int code = command_options(&usage, argc, argv);
	return code >= 0 ? code : tell(&wish, "");
}

int command_undrain(int argc, char **argv)
{
	struct wish wish = {.name = "undrain", .control = PROCESS_DEFAULT_CONTROL};
	const struct command_option options[] = {
	    {"json", NULL, "print one JSON object instead of sentences", &wish.as_json, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &wish.control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "undrain",
	    .arguments = "SERVER",
	    .about = "Makes the running noah give SERVER new requests and connections again.\n"
	             "Exit code: 0, or 1 when there is no such server or noah does not answer.",
	    .options = options,
	    .file = &wish.server,
	};
	int code = command_options(&usage, argc, argv);
	return code >= 0 ? code : tell(&wish, "");
}

int command_weight(int argc, char **argv)
{
	struct wish wish = {.name = "weight", .control = PROCESS_DEFAULT_CONTROL};
	const char *percent = NULL;
	char more[16];
	uint64_t number;
	const struct command_option options[] = {
	    {"json", NULL, "print one JSON object instead of sentences", &wish.as_json, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &wish.control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "weight",
	    .arguments = "SERVER PERCENT",
	    .about = "Makes the running noah give SERVER that much of the share that the cluster file gives it: 100 is all of it, 0 "
	             "leaves\n"
	             "only visitors who belong there (sticky), at most 1000. It stays so over reloads and upgrades, until it is set "
	             "again.\n"
	             "Exit code: 0, or 1 when there is no such server or noah does not answer.",
	    .options = options,
	    .file = &wish.server,
	    .second = &percent,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	if (wish.server != NULL && (percent == NULL || !span_to_number(span_of_text(percent), BOARD_WEIGHT_MOST, &number))) {
		fprintf(stderr, "noah weight: PERCENT is a number from 0 to %u, without a sign\n", BOARD_WEIGHT_MOST);
		return COMMAND_USAGE;
	}
	snprintf(more, sizeof more, " %s", percent != NULL ? percent : "");
	return tell(&wish, more);
}
