/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options: the arguments of every command, read and explained from one table each. See command.h.
 */
#include "cluster/suggest.h"
#include "command/command.h"

#include <stdlib.h>
#include <unistd.h>

static void print_help(const struct command_usage *usage)
{
	bool has_options = usage->options != NULL && usage->options->name != NULL;
	printf("usage: noah %s%s%s%s\n\n%s\n", usage->name, has_options ? " [OPTIONS]" : "", usage->arguments[0] == '\0' ? "" : " ",
	       usage->arguments, usage->about);
	printf("\nOptions:\n");
	for (const struct command_option *option = usage->options; option != NULL && option->name != NULL; option++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", option->name, option->value == NULL ? "" : " ",
		         option->value == NULL ? "" : option->value);
		printf("  %-20s %s\n", left, option->about);
	}
	printf("  %-20s %s\n", "--help", "print this");
}

static int refuse(const struct command_usage *usage, const char *sentence, const char *word)
{
	fprintf(stderr, "noah %s: ", usage->name);
	/* the sentence is one of the literals below, with one %s at most */
	for (const char *at = sentence; *at != '\0'; at++)
		if (*at == '%')
			fputs(word, stderr);
		else
			fputc(*at, stderr);
	fprintf(stderr, "; see `noah %s --help`\n", usage->name);
	return COMMAND_USAGE;
}

static int refuse_unknown(const struct command_usage *usage, const char *name)
{
	struct suggestion suggestion = {0};
	for (const struct command_option *option = usage->options; option != NULL && option->name != NULL; option++)
		suggest_consider(&suggestion, name, option->name);
	fprintf(stderr, "noah %s: unknown option --%s", usage->name, name);
	if (suggestion.word != NULL)
		fprintf(stderr, "; did you mean --%s?\n", suggestion.word);
	else
		fprintf(stderr, "; see `noah %s --help`\n", usage->name);
	return COMMAND_USAGE;
}

/* The option that `argument` ("--name" or "--name=value", without the dashes) names; *value points behind the `=`. */
static const struct command_option *find_option(const struct command_usage *usage, const char *argument, const char **value)
{
	size_t size = strcspn(argument, "=");
	*value = argument[size] == '=' ? argument + size + 1 : NULL;
	for (const struct command_option *option = usage->options; option != NULL && option->name != NULL; option++)
		if (strlen(option->name) == size && memcmp(option->name, argument, size) == 0)
			return option;
	return NULL;
}

/* Returns how many further arguments were used, or -1 after saying what is wrong. */
static int take_option(const struct command_usage *usage, const char *argument, const char *next)
{
	const char *value;
	const struct command_option *option = find_option(usage, argument, &value);
	if (option == NULL) {
		char name[64] = "";
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument, "="), argument);
		refuse_unknown(usage, name);
		return -1;
	}
	if (option->flag != NULL) {
		if (value != NULL) {
			refuse(usage, "--% takes no value", option->name);
			return -1;
		}
		*option->flag = true;
		return 0;
	}
	int used = value == NULL;
	value = value != NULL ? value : next;
	if (value == NULL) {
		refuse(usage, "--% needs a value", option->name);
		return -1;
	}
	*option->text = value;
	return used;
}

int command_options(const struct command_usage *usage, int argc, char **argv)
{
	const char **const places[] = {usage->file, usage->file != NULL ? usage->second : NULL};
	unsigned used_places = 0;
	bool only_files = false;
	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i];
		if (!only_files && strcmp(argument, "--") == 0) {
			only_files = true;
		} else if (!only_files && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)) {
			print_help(usage);
			return COMMAND_OK;
		} else if (!only_files && strncmp(argument, "--", 2) == 0) {
			int used = take_option(usage, argument + 2, i + 1 < argc ? argv[i + 1] : NULL);
			if (used < 0)
				return COMMAND_USAGE;
			i += used;
		} else if (!only_files && argument[0] == '-' && argument[1] != '\0') {
			return refuse(usage, "unknown option %", argument);
		} else if (used_places == COUNT_OF(places) || places[used_places] == NULL) {
			return refuse(usage, "`%` is one argument too many", argument);
		} else {
			*places[used_places++] = argument;
		}
	}
	return -1;
}

const char *command_colour(FILE *out, const char *name)
{
	static const struct {
		const char *name, *sequence;
	} colours[] = {
	    {"red", "\033[31m"}, {"green", "\033[32m"}, {"yellow", "\033[33m"}, {"bold", "\033[1m"}, {"off", "\033[0m"},
	};
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
	if (!isatty(fileno(out)) || (no_colour != NULL && no_colour[0] != '\0') ||
	    (terminal != NULL && strcmp(terminal, "dumb") == 0))
		return "";
	for (unsigned i = 0; i < COUNT_OF(colours); i++)
		if (strcmp(colours[i].name, name) == 0)
			return colours[i].sequence;
	ASSERT(!"unknown colour");
	return "";
}
