/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Range (RFC 9110 14): which bytes of something a visitor wants. Pure, any thread.
 */
#include "proto/http_private.h"

/* Digits only; what is larger than any file is that. False: no digit, or something else. */
static bool read_number(struct span text, uint64_t *number)
{
	if (text.size == 0)
		return false;
	*number = 0;
	for (size_t i = 0; i < text.size; i++) {
		if (text.start[i] < '0' || text.start[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(text.start[i] - '0');
		*number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
	}
	return true;
}

enum spec { SPEC_WRONG, SPEC_OUTSIDE, SPEC_GOOD };

/* "0-99", "100-", "-100". */
static enum spec read_spec(struct span text, uint64_t size, struct http_range *range)
{
	struct span last = text, first = span_cut(&last, '-');
	uint64_t number;

	if (last.start == NULL)
		return SPEC_WRONG;
	if (first.size == 0) {
		if (!read_number(last, &number))
			return SPEC_WRONG;
		if (number == 0 || size == 0)
			return SPEC_OUTSIDE;
		*range = (struct http_range){.first = number < size ? size - number : 0, .last = size - 1};
		return SPEC_GOOD;
	}
	if (!read_number(first, &range->first))
		return SPEC_WRONG;
	range->last = UINT64_MAX;
	if (last.size > 0 && (!read_number(last, &range->last) || range->last < range->first))
		return SPEC_WRONG;
	if (range->first >= size)
		return SPEC_OUTSIDE;
	if (range->last >= size)
		range->last = size - 1;
	return SPEC_GOOD;
}

static bool overlap(const struct http_range *ranges, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (ranges[i].first <= ranges[j].last && ranges[j].first <= ranges[i].last)
				return true;
		}
	}
	return false;
}

enum http_ranges http_ranges_parse(struct span value, uint64_t size, struct http_range ranges[HTTP_RANGES_MOST], unsigned *count)
{
	bool any = false;

	*count = 0;
	const struct span unit = SPAN("bytes=");
	if (!span_starts_with_nocase(value, unit))
		return HTTP_RANGES_IGNORED;
	struct span rest = span_of(value.start + unit.size, value.size - unit.size);
	while (rest.start != NULL) {
		struct http_range range;
		struct span item = span_trim(span_cut(&rest, ','));
		if (item.size == 0)
			continue; /* an empty item of a list (RFC 9110 5.6.1.2) */
		any = true;
		switch (read_spec(item, size, &range)) {
		case SPEC_WRONG:
			return HTTP_RANGES_IGNORED;
		case SPEC_OUTSIDE:
			break;
		case SPEC_GOOD:
			if (*count == HTTP_RANGES_MOST)
				return HTTP_RANGES_IGNORED;
			ranges[(*count)++] = range;
			break;
		}
	}
	if (!any || overlap(ranges, *count))
		return HTTP_RANGES_IGNORED;
	return *count > 0 ? HTTP_RANGES_GOOD : HTTP_RANGES_OUTSIDE;
}
