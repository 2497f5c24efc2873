/* SPDX-License-Identifier: BSD-2-Clause
 *
 * noah: one program; its first argument says what it shall do. The table below is the whole list.
 */
#include "cluster/suggest.h"
#include "command/command.h"
#include "process/process.h"

static int command_help(int argc, char **argv);

/* clang-format off */
static const struct command commands[] = {
	{ "run",     "do this server's part of the cluster (systemd starts it so)", command_run },
	{ "check",   "say whether a cluster file is good, or what is wrong where",  command_check },
	{ "plan",    "say in words what each server would do",                      command_plan },
	{ "status",  "show the cluster as this server sees it now",                 command_status },
	{ "reload",  "read the cluster file again, without dropping a connection",  command_reload },
	{ "drain",   "give a server nothing new; what is under way goes on",        command_drain },
	{ "undrain", "give a drained server its share again",                       command_undrain },
	{ "weight",  "give a server a part of its share, or more than that",        command_weight },
	{ "maintenance", "tell a site's visitors to come again later, for a while", command_maintenance },
	{ "bans",    "list the addresses that are refused because they asked too often", command_bans },
	{ "unban",   "let a banned address in again",                               command_unban },
	{ "advise",  "say how many connections this web server has memory for",      command_advise },
	{ "upgrade", "let another program file take over, without dropping a connection", command_upgrade },
	{ "stop",    "finish what is under way and stop",                           command_stop },
	{ "schema",  "print the JSON Schema of the cluster file, for editors",      command_schema },
	{ "help",    "print this, or the help of one command",                      command_help },
	{ "--child", NULL,                                                          process_child },
	{ "--upgrade-check", NULL,                                                  command_upgrade_check },
};
/* clang-format on */

static const struct command *find_command(const char *name)
{
	for (unsigned i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int refuse_command(const char *name)
{
	struct suggestion suggestion = {0};
	for (unsigned i = 0; i < COUNT_OF(commands); i++)
		if (commands[i].summary != NULL)
			suggest_consider(&suggestion, name, commands[i].name);
	fprintf(stderr, "noah: unknown command `%s`; ", name);
	if (suggestion.word != NULL)
		fprintf(stderr, "did you mean `%s`?\n", suggestion.word);
	else
		fputs("`noah help` lists them\n", stderr);
	return COMMAND_USAGE;
}

static void print_commands(void)
{
	puts("noah keeps a small site up when any one of its servers dies: one program, one file, the same on every server.\n"
	     "\n"
	     "usage: noah COMMAND [OPTIONS] [FILE]\n");
	for (unsigned i = 0; i < COUNT_OF(commands); i++)
		if (commands[i].summary != NULL)
			printf("  %-11s  %s\n", commands[i].name, commands[i].summary);
	puts("\n`noah COMMAND --help` explains one of them; `noah --version` prints the version.\n"
	     "The cluster file is " COMMAND_DEFAULT_FILE " when none is named.");
}

/* `noah help check` is `noah check --help`. */
static int command_help(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-' || strcmp(argv[1], "help") == 0) {
		print_commands();
		return COMMAND_OK;
	}
	const struct command *command = find_command(argv[1]);
	if (command == NULL)
		return refuse_command(argv[1]);
	char option[] = "--help";
	char *arguments[] = {argv[1], option, NULL};
	return command->run(2, arguments);
}

int main(int argc, char **argv)
{
	char help[] = "help";
	char *no_arguments[] = {help, NULL};
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return command_help(1, no_arguments);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("noah " NOAH_VERSION);
		return COMMAND_OK;
	}
	const struct command *command = find_command(argv[1]);
	if (command == NULL)
		return refuse_command(argv[1]);
	int code = command->run(argc - 1, argv + 1);
	/* a full disk or closed pipe must not look like an answer */
	if (fflush(stdout) != 0 && code == COMMAND_OK)
		code = COMMAND_FAILED;
	return code;
}
