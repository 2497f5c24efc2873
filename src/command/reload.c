/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah reload` and `noah stop`: ask the running noah on its control socket and show what it says.
 */
#include "command/command.h"
#include "process/process.h"

#include <errno.h>
#include <stdlib.h>

/* Why nobody answered, and what to do. */
int command_not_answered(const char *name, const char *control, int error)
{
	const char *mend = error == ENOENT || error == ECONNREFUSED ? "noah is not running, or has another --control"
	                   : error == EACCES || error == EPERM      ? "root may; try with sudo"
	                                                            : "see noah's log";
	fprintf(stderr, "noah %s: no answer at %s: %s; %s\n", name, control, strerror(error), mend);
	return COMMAND_FAILED;
}

int command_ask(const char *name, const char *control, const char *request)
{
	bool done;
	char *answer;
	int result = process_ask(control, request, &done, &answer);
	if (result < 0)
		return command_not_answered(name, control, -result);
	fputs(answer, done ? stdout : stderr);
	free(answer);
	return done ? COMMAND_OK : COMMAND_FAILED;
}

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
