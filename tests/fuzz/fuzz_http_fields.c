/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of single fields: Range, entity tags, dates, Authorization. The first byte says how large the file is that Range asks
 * for, the rest is the value, at the edge of what may be read.
 */
#include "proto/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VALUE_MOST     8000u
#define PASSWORDS_ROOM 300u
#define NOW_S          1790000000u

static void check_ranges(struct span value, uint64_t size_bytes)
{
	struct http_range ranges[HTTP_RANGES_MOST];
	unsigned count = 0;

	if (http_ranges_parse(value, size_bytes, ranges, &count) != HTTP_RANGES_GOOD)
		return;
	ASSERT(count >= 1 && count <= HTTP_RANGES_MOST);
	for (unsigned i = 0; i < count; i++) {
		ASSERT(ranges[i].first <= ranges[i].last && ranges[i].last < size_bytes);
		for (unsigned j = 0; j < i; j++)
			ASSERT(ranges[i].last < ranges[j].first || ranges[j].last < ranges[i].first);
	}
}

/* What matches strongly matches weakly. */
static void check_tags(struct span value)
{
	const struct span tag = SPAN("\"65a1-1f\"");

	ASSERT(!http_tags_match(value, tag, false) || http_tags_match(value, tag, true));
}

/* A date that was understood is the one that it is when it is written in the usual form. */
static void check_date(struct span value)
{
	uint64_t seconds, again;
	struct tm parts;
	char text[64];

	if (!http_date_parse(value, NOW_S, &seconds))
		return;
	time_t moment = (time_t)seconds;
	ASSERT(gmtime_r(&moment, &parts) != NULL);
	size_t size = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	ASSERT(size > 0);
	ASSERT(http_date_parse((struct span){text, size}, NOW_S, &again) && again == seconds);
}

static void check_basic(struct span value)
{
	char *memory = malloc(PASSWORDS_ROOM);
	struct span name, password;

	if (memory != NULL && http_basic_read(value, memory, PASSWORDS_ROOM, &name, &password)) {
		ASSERT(name.size + password.size + 1 <= PASSWORDS_ROOM);
		ASSERT(memchr(name.start, ':', name.size) == NULL);
		for (size_t i = 0; i < name.size; i++)
			ASSERT((unsigned char)name.start[i] >= ' ' && name.start[i] != 0x7f);
		for (size_t i = 0; i < password.size; i++)
			ASSERT((unsigned char)password.start[i] >= ' ' && password.start[i] != 0x7f);
	}
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = {0, 1, 10, 1000, 100000, UINT64_C(1) << 40, INT64_MAX, UINT64_MAX};

	if (size < 1 || size > VALUE_MOST)
		return 0;
	char *copy = malloc(size > 1 ? size - 1 : 1);
	if (copy == NULL)
		return 0;
	memcpy(copy, data + 1, size - 1);
	struct span value = {copy, size - 1};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_ranges(value, sizes[i]);
	check_ranges(value, data[0]);
	check_tags(value);
	check_date(value);
	check_basic(value);
	free(copy);
	return 0;
}
