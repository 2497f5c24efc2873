/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines of Prometheus' text format. Called by metrics.c in the watch process.
 */
#include "watch/exposition.h"

#include <inttypes.h>

/* In help, a backslash and a line feed are escaped; in a label's value, quotes too. */
static void put_escaped(FILE *out, const char *text, bool quotes)
{
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;
		if (byte == '\\')
			fputs("\\\\", out);
		else if (byte == '\n')
			fputs("\\n", out);
		else if (byte == '"' && quotes)
			fputs("\\\"", out);
		else
			putc(byte < 0x80 ? byte : '?', out);
	}
}

void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help)
{
	exposition->family = name;
	fprintf(exposition->out, "# HELP %s ", name);
	put_escaped(exposition->out, help, false);
	fprintf(exposition->out, "\n# TYPE %s %s\n", name, type);
}

static void put_name_and_labels(const struct exposition *exposition, const char *suffix, const char *const *labels)
{
	FILE *out = exposition->out;

	fprintf(out, "%s%s", exposition->family, suffix);
	for (unsigned i = 0; labels[i] != NULL; i += 2) {
		fprintf(out, "%c%s=\"", i == 0 ? '{' : ',', labels[i]);
		put_escaped(out, labels[i + 1], true);
		putc('"', out);
	}
	if (labels[0] != NULL)
		putc('}', out);
	putc(' ', out);
}

void exposition_number(struct exposition *exposition, const char *suffix, const char *const *labels, uint64_t value)
{
	put_name_and_labels(exposition, suffix, labels);
	fprintf(exposition->out, "%" PRIu64 "\n", value);
}

void exposition_seconds(struct exposition *exposition, const char *suffix, const char *const *labels, uint64_t us)
{
	put_name_and_labels(exposition, suffix, labels);
	fprintf(exposition->out, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000u, us % 1000000u);
}
