/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report: see report.h. Called by everything that loads a cluster file, in the supervisor and the commands.
 */
#include "cluster/report.h"

#include <stdio.h>

void report_init(struct report *report, const char *file, struct cluster_messages *messages)
{
	*report = (struct report){.file = file, .messages = messages};
	messages->count = 0;
	messages->left_out = 0;
}

/* Control bytes could move the cursor of the terminal that shows the message, or forge a second line in a log. */
static void replace_control_bytes(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

/* Where a message of this place belongs: behind those of the same place, before those further down in the file. */
static unsigned find_position(const struct report *report, uint64_t place)
{
	unsigned position = report->messages->count;
	while (position > 0 && report->places[position - 1] > place)
		position--;
	return position;
}

static void insert(struct report *report, uint64_t place, const char *text)
{
	struct cluster_messages *messages = report->messages;
	for (unsigned i = 0; i < messages->count; i++)
		if (strcmp(messages->text[i], text) == 0)
			return;
	report->total++;
	if (messages->count == CLUSTER_MESSAGES_MOST) {
		messages->left_out++;
		return;
	}
	unsigned position = find_position(report, place);
	unsigned behind = messages->count - position;
	memmove(&messages->text[position + 1], &messages->text[position], behind * sizeof(messages->text[0]));
	memmove(&report->places[position + 1], &report->places[position], behind * sizeof(report->places[0]));
	memcpy(messages->text[position], text, sizeof(messages->text[0]));
	report->places[position] = place;
	messages->count++;
}

void report_add_list(struct report *report, unsigned line, unsigned column, const char *path, const char *format, va_list list)
{
	char sentence[400];
	vsnprintf(sentence, sizeof(sentence), format, list);
	char place[48] = "";
	if (line > 0)
		snprintf(place, sizeof(place), "%u:%u:", line, column);
	char text[sizeof(report->messages->text[0])] = "";
	/* the bounds: a long file name or path may not push the sentence out of the message */
	const char *colon = path[0] == '\0' ? "" : ": ";
	int size = snprintf(text, sizeof(text), "%.120s:%s %.160s%s%s", report->file, place, path, colon, sentence);
	if (size >= (int)sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	replace_control_bytes(text);
	insert(report, (uint64_t)line << 32 | column, text);
}

void report_add(struct report *report, unsigned line, unsigned column, const char *path, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	report_add_list(report, line, column, path, format, list);
	va_end(list);
}
