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

/* How many bytes the whole, well-formed UTF-8 sequence at `text` has; 0 when it is none (cut off, for example). */
static size_t sequence_size(const unsigned char *text)
{
	size_t size = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool is_long = size == 3 && text[0] == 0xe0 && text[1] < 0xa0;
	bool is_surrogate = size == 3 && text[0] == 0xed && text[1] > 0x9f;
	bool is_outside = size == 4 && ((text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f));
	return is_long || is_surrogate || is_outside ? 0 : size;
}

/* Control bytes could move the cursor of the terminal that shows the message, or forge a second line in a log; half a letter,
 * left where a quotation was cut, would not be text. */
static void replace_unprintable(char *text)
{
	while (*text != '\0') {
		size_t size = sequence_size((const unsigned char *)text);
		if (size == 0 || (unsigned char)*text < 0x20 || *text == 0x7f) {
			*text++ = '?';
			continue;
		}
		text += size;
	}
}

/* Where a message of this place belongs: behind those of the same place, before those further down in the file. */
static unsigned find_position(const struct cluster_messages *messages, unsigned line, unsigned column)
{
	unsigned position = messages->count;
	while (position > 0 && (messages->line[position - 1] > line ||
	                        (messages->line[position - 1] == line && messages->column[position - 1] > column)))
		position--;
	return position;
}

static void insert(struct report *report, unsigned line, unsigned column, const char *text)
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
	unsigned position = find_position(messages, line, column);
	for (unsigned i = messages->count; i > position; i--) {
		memcpy(messages->text[i], messages->text[i - 1], sizeof(messages->text[0]));
		messages->line[i] = messages->line[i - 1];
		messages->column[i] = messages->column[i - 1];
	}
	memcpy(messages->text[position], text, sizeof(messages->text[0]));
	messages->line[position] = line;
	messages->column[position] = column;
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
	replace_unprintable(text);
	insert(report, line, column, text);
}

void report_add(struct report *report, unsigned line, unsigned column, const char *path, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	report_add_list(report, line, column, path, format, list);
	va_end(list);
}
