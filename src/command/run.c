/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `noah run`: reads its options and becomes the supervisor (process/supervisor.c). `noah --upgrade-check run ...`: what a running
 * noah executes before it lets another program take its place, with its own arguments.
 */
#include "command/command.h"
#include "process/process.h"

#include "board/board.h"

static bool read_threads(const char *text, unsigned *threads)
{
	uint64_t number;
	if (!span_to_number(span_of_text(text), BOARD_LANES_MOST, &number) || number == 0)
		return false;
	*threads = (unsigned)number;
	return true;
}

static struct process_options options = {
    .file = COMMAND_DEFAULT_FILE, .user = PROCESS_DEFAULT_USER, .control = PROCESS_DEFAULT_CONTROL, .log_level = LOG_INFO};

/* -1 when the command should go on, otherwise its exit code. */
static int read_options(int argc, char **argv)
{
	const char *threads = NULL, *level = NULL;
	const struct command_option table[] = {
	    {"server", "NAME", "which server of the file this is (found by its addresses when left out)", NULL, &options.server},
	    {"user", "NAME", "user of the unprivileged processes, when started as root (default noah)", NULL, &options.user},
	    {"threads", "NUMBER", "threads for traffic (default: one for each processor)", NULL, &threads},
	    {"control", "PATH", "control socket (default " PROCESS_DEFAULT_CONTROL ")", NULL, &options.control},
	    {"log", "FILE", "log file (default: standard error); SIGUSR1 opens it again", NULL, &options.log_file},
	    {"log-level", "LEVEL", "error, warning, notice, info or debug (default info)", NULL, &level},
	    {NULL, NULL, NULL, NULL, NULL},
	};
	const struct command_usage usage = {
	    .name = "run",
	    .arguments = "[FILE]",
	    .about =
	        "Does this server's part of the cluster in FILE (default " COMMAND_DEFAULT_FILE "), in the foreground, until it is\n"
	        "stopped. SIGHUP (or \"noah reload\") reads the file again; a bad file changes nothing. SIGTERM, SIGINT and \"noah "
	        "stop\" let\n"
	        "requests finish for up to 30 s; a second one ends at once. SIGUSR1 opens the log files again.\n"
	        "Started as root, the processes that talk to the network run as the user of --user; otherwise everything runs as\n"
	        "the present user.\n"
	        "Exit code: 0 after an orderly stop, 1 when it could not start, 2 for wrong arguments or a bad file.",
	    .options = table,
	    .file = &options.file,
	};
	int code = command_options(&usage, argc, argv);
	if (code >= 0)
		return code;
	if (threads != NULL && !read_threads(threads, &options.threads)) {
		fprintf(stderr, "noah run: --threads %s: a number from 1 to %u is needed\n", threads, BOARD_LANES_MOST);
		return COMMAND_USAGE;
	}
	if (level != NULL && !log_level_parse(span_of_text(level), &options.log_level)) {
		fprintf(stderr, "noah run: --log-level %s: error, warning, notice, info or debug is needed\n", level);
		return COMMAND_USAGE;
	}
	options.arguments = argv;
	return -1;
}

int command_run(int argc, char **argv)
{
	int code = read_options(argc, argv);
	return code >= 0 ? code : process_supervise(&options);
}

int command_upgrade_check(int argc, char **argv)
{
	int code = argc > 1 ? read_options(argc - 1, argv + 1) : COMMAND_USAGE;
	return code >= 0 ? code : process_upgrade_check(&options);
}
