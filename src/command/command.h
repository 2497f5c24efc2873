/* SPDX-License-Identifier: BSD-2-Clause
 *
 * command: what `noah WORD` does. One table in main.c names every command; each has its own file and its own --help.
 */
#ifndef NOAH_COMMAND_H
#define NOAH_COMMAND_H

#include "base/base.h"

#include <jansson.h>
#include <stdio.h>

#define COMMAND_DEFAULT_FILE "/etc/noah/noah.yaml"

/* Exit codes of every command. */
enum command_exit {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1, /* the answer is no, or it could not be done */
	COMMAND_USAGE = 2,  /* wrong arguments, or a bad cluster file */
};

struct command {
	const char *name;
	const char *summary;               /* half a sentence for `noah --help`; NULL: not listed (internal) */
	int (*run)(int argc, char **argv); /* argv[0] is the command's own name; returns the exit code */
};

int command_check(int argc, char **argv);
int command_plan(int argc, char **argv);
int command_schema(int argc, char **argv);
int command_run(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_status(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_drain(int argc, char **argv);
int command_undrain(int argc, char **argv);
int command_weight(int argc, char **argv);
int command_maintenance(int argc, char **argv);
int command_advise(int argc, char **argv);
int command_bans(int argc, char **argv);
int command_unban(int argc, char **argv);
int command_upgrade(int argc, char **argv);
int command_upgrade_check(int argc, char **argv);
/* Says why nobody answered at the control socket and what to do; returns COMMAND_FAILED. `error` is an errno value. */
int command_not_answered(const char *name, const char *control, int error);
/* Asks the running noah, prints what it says and returns the exit code. */
int command_ask(const char *name, const char *control, const char *request);
/* The same for an answer that is JSON, to be freed with json_decref; NULL: *code is the exit code and all has been said. */
json_t *command_ask_json(const char *name, const char *control, const char *request, int *code) MUST_CHECK;
void command_print_json(const json_t *json);
/* Members of such an answer: "" and 0 when they are not there. */
const char *command_text(const json_t *object, const char *key);
long long command_number(const json_t *object, const char *key);
/* How long something still takes, about: "90 s", "25 min", "3 h". */
void command_print_time(long long s);

/* ---- options (options.c) -------------------------------------------------------------------------------------- */

/* One `--name` of a command. A table of them ends with a row whose name is NULL. Exactly one of `flag` and `text` is set. */
struct command_option {
	const char *name;  /* without the dashes */
	const char *value; /* what the help calls the value: "NAME"; NULL for a switch */
	const char *about; /* half a sentence */
	bool *flag;        /* switch: set to true */
	const char **text; /* `--name VALUE` or `--name=VALUE`: set to the value */
};

struct command_usage {
	const char *name;      /* "check" */
	const char *arguments; /* "[FILE]", or "" */
	const char *about;     /* sentences for the help, may have several lines, ends without a line feed */
	const struct command_option *options;
	const char **file;   /* the first free argument; NULL when the command takes none */
	const char **second; /* and another one */
};

/* Reads the arguments. Returns -1 when the command should go on; otherwise it has printed the help (COMMAND_OK) or what is wrong
 * with a suggestion (COMMAND_USAGE), and the command returns that value. */
int command_options(const struct command_usage *usage, int argc, char **argv) MUST_CHECK;

/* The escape sequence for `name` ("red", "green", "yellow", "bold", "off") when `out` is a terminal and NO_COLOR is not set;
 * "" otherwise. */
const char *command_colour(FILE *out, const char *name);

#endif
