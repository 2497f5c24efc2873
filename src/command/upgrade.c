/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah upgrade`: asks the running noah to let another program take its place (process/upgrade.c).
 */
#include "command/command.h"
#include "process/process.h"

#include <errno.h>
#include <stdlib.h>

int command_upgrade(int argc, char **argv)
{
	const char *control = PROCESS_DEFAULT_CONTROL, *program = NULL;
	bool end_oldest = false;
	const struct command_option options[] = {
	    {"program", "PATH", "the new program (default: the file that the running one was started from)", NULL, &program},
	    {"end-oldest", NULL, "upgrade nothing: end the oldest generation that still has connections", &end_oldest, NULL},
	    {"control", "PATH", "control socket of the noah to ask (default " PROCESS_DEFAULT_CONTROL ")", NULL, &control},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "upgrade",
	    .arguments = "",
	    .about =
	        "Makes the running noah go on as another program: by default the file that it was started from, which a package has\n"
	        "replaced. The process, its sockets and its connections stay; the cluster file is read again. Connections that are\n"
	        "open are carried on by the former program's traffic until they end. When the new program cannot take over, or its\n"
	        "processes do not come up, the former one goes on, and this command says why.\n"
	        "Exit code: 0 when the new program serves, 1 when it does not or noah does not answer.",
	    .options = options,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	if (end_oldest && program != NULL) {
		fputs("noah upgrade: --end-oldest and --program do not go together\n", stderr);
		return COMMAND_USAGE;
	}
	if (end_oldest)
		return command_ask("upgrade", control, "end-oldest");
	char *request = NULL, *path = program != NULL ? realpath(program, NULL) : NULL;
	if (program != NULL && path == NULL) {
		fprintf(stderr, "noah upgrade: %s: %s\n", program, strerror(errno));
		return COMMAND_FAILED;
	}
	if (asprintf(&request, "upgrade%s%s", path != NULL ? " " : "", path != NULL ? path : "") < 0)
		request = NULL;
	code = request != NULL ? command_ask("upgrade", control, request) : COMMAND_FAILED;
	free(request);
	free(path);
	return code;
}
