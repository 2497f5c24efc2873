/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which coding a visitor wants: Accept-Encoding (RFC 9110 12.5.3, 12.4.2). Pure; compress_decide.c asks it for answers that could
 * be compressed, static*.c for files that lie there compressed already.
 */
#include "http/compress.h"

#define UNSAID 1001u /* qualities are thousandths */

static const struct span tokens[] = {
#define X(name, token, level, memory, window) [name] = {token, sizeof(token) - 1},
    HTTP_CODINGS(X)
#undef X
};

struct span http_coding_token(enum http_coding coding)
{
	ASSERT((size_t)coding < COUNT_OF(tokens));
	return tokens[coding];
}

/* "0.85" is 850. False: it is no quality. */
static bool parse_quality(struct span text, unsigned *quality)
{
	unsigned scale = 100, value;

	if (text.size == 0 || text.size > 5 || (text.start[0] != '0' && text.start[0] != '1'))
		return false;
	value = text.start[0] == '1' ? 1000 : 0;
	if (text.size > 1 && text.start[1] != '.')
		return false;
	for (size_t i = 2; i < text.size; i++) {
		if (text.start[i] < '0' || text.start[i] > '9')
			return false;
		value += (unsigned)(text.start[i] - '0') * scale;
		scale /= 10;
	}
	*quality = value;
	return value <= 1000;
}

/* Behind the coding's name: " ; q=0.5 ". Other parameters do not exist. */
static unsigned quality_of(struct span parameters)
{
	unsigned quality = 1000;

	while (parameters.start != NULL) {
		struct span value = span_trim(span_cut(&parameters, ';'));
		struct span name = span_cut(&value, '=');
		if (!span_equal_nocase(name, SPAN("q")) || !parse_quality(value, &quality))
			return 0;
	}
	return quality;
}

struct wishes {
	unsigned quality[CODING_COUNT], others;
};

static void lower(unsigned *quality, unsigned to)
{
	if (to < *quality)
		*quality = to;
}

/* What is said twice counts as it is said worse. */
static void read_wishes(struct span value, struct wishes *wishes)
{
	while (value.start != NULL) {
		struct span parameters = span_cut(&value, ',');
		struct span name = span_trim(span_cut(&parameters, ';'));
		unsigned quality = quality_of(parameters);

		if (span_equal(name, SPAN("*")))
			lower(&wishes->others, quality);
		if (span_equal_nocase(name, SPAN("x-gzip"))) /* RFC 9110 8.4.1.3 */
			lower(&wishes->quality[CODING_GZIP], quality);
		for (unsigned coding = 0; coding < CODING_COUNT; coding++) {
			if (span_equal_nocase(name, tokens[coding]))
				lower(&wishes->quality[coding], quality);
		}
	}
}

enum http_coding http_coding_choose(const struct http_head *request, unsigned available)
{
	static const enum http_coding named[] = {CODING_ZSTD, CODING_BROTLI, CODING_GZIP};
	static const enum http_coding unnamed[] = {CODING_GZIP, CODING_BROTLI, CODING_ZSTD};
	struct wishes wishes = {.quality = {UNSAID, UNSAID, UNSAID, UNSAID}, .others = UNSAID};
	enum http_coding best = CODING_NONE;
	unsigned best_quality = 0;

	_Static_assert(CODING_COUNT == 4, "each has its wish");
	if ((request->present & HTTP_SET(HTTP_FIELD_ACCEPT_ENCODING)) == 0)
		return CODING_NONE; /* he may take anything, but who knows one says so */
	for (unsigned i = request->first[HTTP_FIELD_ACCEPT_ENCODING]; i < request->field_count; i++) {
		if (request->fields[i].known == HTTP_FIELD_ACCEPT_ENCODING)
			read_wishes(http_text(request, request->fields[i].value), &wishes);
	}
	for (size_t i = 0; i < COUNT_OF(named); i++) {
		unsigned quality = wishes.quality[named[i]];
		if ((available & CODING_SET(named[i])) != 0 && quality != UNSAID && quality > best_quality) {
			best = named[i];
			best_quality = quality;
		}
	}
	for (size_t i = 0; i < COUNT_OF(unnamed) && wishes.others != UNSAID; i++) {
		if ((available & CODING_SET(unnamed[i])) != 0 && wishes.quality[unnamed[i]] == UNSAID && wishes.others > best_quality) {
			best = unnamed[i];
			best_quality = wishes.others;
		}
	}
	bool rather_plain = wishes.quality[CODING_NONE] != UNSAID && wishes.quality[CODING_NONE] > best_quality;
	return rather_plain ? CODING_NONE : best;
}
