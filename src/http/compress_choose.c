/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which coding a visitor wants: Accept-Encoding (RFC 9110 12.5.3, 12.4.2). Pure; compress_decide.c asks it for answers that could
 * be compressed, static*.c for files that lie there compressed already.
 */
#include "http/compress.h"

#define UNSAID (HTTP_QUALITY_MOST + 1u)

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

/* Behind the coding's name: " ; q=0.5 ". Other parameters do not exist. */
static unsigned quality_of(struct span parameters)
{
	unsigned quality = HTTP_QUALITY_MOST;

	while (parameters.start != NULL) {
		struct span value = span_trim(span_cut(&parameters, ';'));
		struct span name = span_cut(&value, '=');
		if (!span_equal_nocase(name, SPAN("q")) || !http_quality_parse(value, &quality))
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
