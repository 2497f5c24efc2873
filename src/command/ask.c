/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asking the running noah on its control socket, for the commands that do, and what they all do with its answers.
 */
#include "command/command.h"
#include "process/process.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

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

json_t *command_ask_json(const char *name, const char *control, const char *request, int *code)
{
	bool done;
	char *text = NULL;
	json_t *answer = NULL;
	int result = process_ask(control, request, &done, &text);
	if (result < 0) {
		*code = command_not_answered(name, control, -result);
		return NULL;
	}
	*code = COMMAND_FAILED;
	if (done)
		answer = json_loads(text, 0, NULL);
	if (!done)
		fprintf(stderr, "noah %s: %s", name, text);
	else if (answer == NULL)
		fprintf(stderr, "noah %s: the answer is not JSON; are command and running noah of the same version?\n", name);
	else
		*code = COMMAND_OK;
	free(text);
	return answer;
}

void command_print_json(const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2));
	puts(text != NULL ? text : "{}");
	free(text);
}

const char *command_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text != NULL ? text : "";
}

long long command_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

void command_print_time(long long s)
{
	if (s < 120)
		printf("%lld s", s);
	else if (s < 120 * 60)
		printf("%lld min", (s + 59) / 60);
	else
		printf("%lld h", (s + 3599) / 3600);
}
