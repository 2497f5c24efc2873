/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah reload` and `noah stop`: ask the running noah on its control socket and show what it says.
 */
#include "command/command.h"
#include "process/process.h"

static int ask(const char *name, const char *about, int argc, char **argv)
{
	const char *control = PROCESS_DEFAULT_CONTROL;
	const struct command_option options[] = {
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {.name = name, .arguments = "", .about = about, .options = options};
	int code = command_options(&usage, argc, argv);
	return code >= 0 ? code : command_ask(name, control, name);
}

int command_reload(int argc, char **argv)
{
	return ask("reload",
	           "Makes the running noah read its cluster file again, waits until it works by it, and prints what changed. No\n"
	           "connection is dropped. A file with a mistake changes nothing; what is wrong is printed.\n"
	           "Exit code: 0 when the new file is in force, 1 when it was refused or noah does not answer.",
	           argc, argv);
}

int command_stop(int argc, char **argv)
{
	return ask(
	    "stop",
	    "Makes the running noah stop: it accepts no more, lets requests and statements finish for up to 30 s, and ends. Asked\n"
	    "again it ends at once.\n"
	    "Exit code: 0 when noah is stopping, 1 when it does not answer.",
	    argc, argv);
}
