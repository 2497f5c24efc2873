/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fuzzes files of users: no byte outside the text is read, nothing but one printable line about it comes out, and each line of a
 * good file is a name with a hash in a form that crypt(3) knows.
 */
#include "cluster/load.h"
#include "cluster/report.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_good(struct span text)
{
	unsigned users = 0;
	while (text.size > 0) {
		struct span line = span_cut(&text, '\n'), name;
		if (line.size > 0 && line.start[line.size - 1] == '\r')
			line.size--;
		if (line.size == 0 || line.start[0] == '#')
			continue;
		name = span_cut(&line, ':');
		ASSERT(name.size > 0 && name.size < 256 && line.size > 40);
		ASSERT(line.start[0] == '$' && strchr("256y", line.start[1]) != NULL);
		ASSERT(memchr(line.start, '\0', line.size) == NULL && memchr(line.start, ':', line.size) == NULL);
		users++;
	}
	ASSERT(users > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cluster_messages messages;
	static struct tree_node root = {.kind = TREE_MAP, .line = 1, .column = 1};
	struct report report;
	struct load load = {.report = &report, .root = &root};
	if (size > CLUSTER_PAGE_MOST_BYTES)
		return 0;
	/* as large as the text, so that a sanitizer sees each byte too many */
	char *text = malloc(size > 0 ? size : 1);
	ASSERT(text != NULL);
	memcpy(text, data, size);
	report_init(&report, "fuzz.yaml", &messages);
	load_validate_users(&load, AT("sites", "s", "users"), "/users", span_of(text, size));
	ASSERT(messages.count == report.total && report.total <= 1);
	if (report.total == 0)
		check_good(span_of(text, size));
	for (unsigned i = 0; i < messages.count; i++)
		for (const char *at = messages.text[i]; *at != '\0'; at++)
			ASSERT((unsigned char)*at >= 0x20 && *at != 0x7f);
	free(text);
	return 0;
}
