/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reference: every key with its default and an example in Markdown, from the table of keys. docs/cluster-file.md contains this
 * text; a test keeps it up to date.
 */
#include "cluster/keys.h"
#include "cluster/values.h"

#include <stdio.h>

/* The words of the table use `*` and `[]`; people read NAME. */
static void print_path(const struct key *key, FILE *out)
{
	for (const char *at = key->path; *at != '\0'; at++)
		if (*at == '*')
			fputs("NAME", out);
		else
			fputc(*at, out);
}

static void print_cell(const char *text, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static const char *kind_of(const struct key *key)
{
	switch (key->type) {
	case KEY_SECTION:
		return "keys below";
	case KEY_NAMED_MAP:
	case KEY_HOST_MAP:
		return "names";
	case KEY_LIST:
		return "list";
	case KEY_NAME:
		return "name";
	case KEY_TEXT:
		return "text";
	case KEY_FILE:
		return "file";
	case KEY_URL_PATH:
	case KEY_CHECK_GET:
		return "path";
	case KEY_HOST:
	case KEY_HOST_PATTERN:
		return "host name";
	case KEY_FILE_TYPE:
		return "ending";
	case KEY_TOKEN:
		return "name";
	case KEY_REDIRECT:
		return "URL or path";
	case KEY_CERTIFICATE:
		return "file, keys below, or `self-signed`";
	case KEY_ROUTE:
		return "keys below";
	case KEY_BOOL:
		return "`true` or `false`";
	case KEY_IP:
		return "address";
	case KEY_LISTEN_HTTP:
	case KEY_LISTEN_DATABASE:
	case KEY_LISTEN_TCP:
	case KEY_LISTEN_ADMIN:
		return "place to listen";
	case KEY_ON:
		return "server";
	case KEY_APP:
	case KEY_APP_SERVER:
		return "server:port";
	case KEY_DURATION:
		return "duration";
	case KEY_SIZE:
		return "size";
	case KEY_NUMBER:
		return "number";
	case KEY_CHOICE:
	case KEY_HASH:
		return "word";
	case KEY_LOG_TARGET:
		return "file or word";
	case KEY_STATUS:
		return "codes";
	case KEY_FILE_NAME:
		return "name of a file";
	case KEY_REALM:
		return "text";
	case KEY_RATE:
		return "count/duration";
	case KEY_NETWORK:
		return "network";
	case KEY_TRY:
		return "word, or list of server:port";
	case KEY_CHECK_TCP:
		return "`true`";
	case KEY_CHECK_DIGEST:
		return "hex digits";
	}
	return "";
}

/* "duration, 10ms to 1h", "list of at most 16", "word: `allow`, `refuse`" */
static void print_kind(const struct key *key, FILE *out)
{
	char least[VALUE_TEXT_SIZE], most[VALUE_TEXT_SIZE];
	fputs(kind_of(key), out);
	switch (key->type) {
	case KEY_DURATION:
		fprintf(out, ", %s to %s", value_format_duration(key->least, least), value_format_duration(key->most, most));
		break;
	case KEY_SIZE:
		fprintf(out, ", %s to %s", value_format_size(key->least, least), value_format_size(key->most, most));
		break;
	case KEY_NUMBER:
		fprintf(out, ", %llu to %llu", (unsigned long long)key->least, (unsigned long long)key->most);
		break;
	case KEY_NAMED_MAP:
	case KEY_HOST_MAP:
	case KEY_LIST:
		fprintf(out, ", %llu to %llu", (unsigned long long)key->least, (unsigned long long)key->most);
		break;
	default:
		break;
	}
}

static void print_words(const struct key *key, FILE *out)
{
	bool only = key->type == KEY_CHOICE || key->type == KEY_HASH || key->type == KEY_LOG_TARGET || key->type == KEY_TRY;
	for (const struct key_word *word = key->words; word != NULL && word->word != NULL; word++)
		fprintf(out, "%s`%s`", word != key->words || !only ? " or " : ": ", word->word);
}

static void print_default(const struct key *key, FILE *out)
{
	if (key->required)
		fputs("**required**", out);
	else if (key->otherwise != NULL)
		print_cell(key->otherwise, out);
	else if (key->standard != NULL)
		fprintf(out, "`%s`", key->standard);
}

void cluster_print_reference(FILE *out)
{
	const char *part = "";
	for (const struct key *key = keys; key < keys + key_count; key++) {
		if (key->about == NULL)
			continue; /* the elements of a list are described by the list */
		size_t size = strcspn(key->path, ".");
		if (strncmp(part, key->path, size) != 0 || part[size] != '\0') {
			if (strchr(key->path, '.') == NULL)
				part = key->path;
			fprintf(out, "%s### `%s`\n\n| key | value | default | meaning | example |\n|---|---|---|---|---|\n",
			        key == keys ? "" : "\n", part);
		}
		fputs("| `", out);
		print_path(key, out);
		fputs("` | ", out);
		print_kind(key, out);
		print_words(key, out);
		fputs(" | ", out);
		print_default(key, out);
		fputs(" | ", out);
		print_cell(key->about, out);
		fprintf(out, " | `%s: ", key_word_of(key));
		print_cell(key->example, out);
		fputs("` |\n", out);
	}
}
