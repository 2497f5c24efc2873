/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah bans` and `noah unban`: which addresses are refused because they asked too often, and lifting that (process/bans.c).
 */
#include "command/command.h"
#include "process/process.h"

#include <stdlib.h>

static void print_ban(const json_t *ban)
{
	const char *of = command_text(ban, "limit_of");
	printf("%-24s for another ", command_text(ban, "address"));
	command_print_time(command_number(ban, "left_s"));
	printf(", since %.19sZ; %lld requests refused; ", command_text(ban, "since"), command_number(ban, "refused"));
	if (json_is_true(json_object_get(ban, "for_all_sites")))
		fputs("too many to all sites together", stdout);
	else if (of[0] != '\0')
		printf("too many to %s", of);
	else
		fputs("too many to a site that is not in the file any more", stdout);
	puts(json_is_false(json_object_get(ban, "in_force")) ? "; but the file lets it in now" : "");
}

static void print_list(const json_t *answer)
{
	size_t index;
	const json_t *ban;
	long long banned = command_number(answer, "banned");
	long long listed = (long long)json_array_size(json_object_get(answer, "bans"));
	json_array_foreach(json_object_get(answer, "bans"), index, ban) print_ban(ban);
	if (banned == 0)
		puts("no address is banned");
	else if (banned > listed)
		printf("and %lld more\n", banned - listed);
}

int command_bans(int argc, char **argv)
{
	const char *control = PROCESS_DEFAULT_CONTROL;
	bool as_json = false;
	const struct command_option options[] = {
	    {"json", NULL, "print one JSON object instead of sentences", &as_json, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "bans",
	    .arguments = "",
	    .about =
	        "Lists the addresses (of IPv6: the /64) that get 403 from the running noah on this server because they asked too\n"
	        "often (`visitors` and `requests` of the cluster file): for how long yet, and how often they were refused. At\n"
	        "most 10000 are listed, those with the longest time left first. `noah unban` lifts a ban.\n"
	        "Exit code: 0, or 1 when noah does not answer.",
	    .options = options,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	json_t *answer = command_ask_json("bans", control, "bans", &code);
	if (answer == NULL)
		return code;
	if (as_json)
		command_print_json(answer);
	else
		print_list(answer);
	json_decref(answer);
	return code;
}

int command_unban(int argc, char **argv)
{
	const char *control = PROCESS_DEFAULT_CONTROL, *address = NULL;
	bool all = false;
	char request[256];
	const struct command_option options[] = {
	    {"all", NULL, "lift all bans", &all, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "unban",
	    .arguments = "ADDRESS | --all",
	    .about =
	        "Lifts the ban of ADDRESS (of IPv6: of its /64), or all bans. What was counted of it until then is forgotten;\n"
	        "who then asks too often again is banned again. Who shall never be limited belongs to `visitors: { exempt: [...] }`\n"
	        "in the cluster file. Each server's noah is told for itself.\n"
	        "Exit code: 0, or 1 when the address is not banned or noah does not answer, 2 for wrong arguments.",
	    .options = options,
	    .file = &address,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	int size = address != NULL ? snprintf(request, sizeof request, "unban %s", address)
	                           : snprintf(request, sizeof request, "unban --all");
	if ((address != NULL) == all || size >= (int)sizeof request || (address != NULL && strpbrk(address, " \n") != NULL)) {
		fputs("noah unban: name one address, or --all; see `noah unban --help`\n", stderr);
		return COMMAND_USAGE;
	}
	return command_ask("unban", control, request);
}
