/* SPDX-License-Identifier: BSD-2-Clause
 *
 * values: durations, sizes, status ranges, digests. See values.h. Names and addresses are in value_names.c.
 */
#include "cluster/values.h"

#include <ctype.h>
#include <stdio.h>

/* A unit, what it multiplies by, and what people write instead. */
struct unit {
	const char *name;
	uint64_t factor;
	const char *others[8];
};

struct quantity {
	const char *what; /* "duration" */
	const char *example;
	const char *no_unit; /* what a bare number probably means; "" = a bare number is good */
	const struct unit *units;
	unsigned unit_count;
	const char *unit_words;
};

#define SECOND 1000ull
#define KILO   1024ull

static const struct unit duration_units[] = {
    {"ms", 1, {"msec", "msecs", "millis", "millisecond", "milliseconds"}},
    {"s", SECOND, {"sec", "secs", "second", "seconds"}},
    {"m", 60 * SECOND, {"min", "mins", "minute", "minutes"}},
    {"h", 3600 * SECOND, {"hr", "hrs", "hour", "hours"}},
    {"d", 86400 * SECOND, {"day", "days"}},
};

static const struct unit size_units[] = {
    {"", 1, {"b", "byte", "bytes"}},
    {"k", KILO, {"kb", "kib", "kbyte", "kbytes", "kilobytes"}},
    {"m", KILO *KILO, {"mb", "mib", "mbyte", "mbytes", "megabytes"}},
    {"g", KILO *KILO *KILO, {"gb", "gib", "gbyte", "gbytes", "gigabytes"}},
    {"t", KILO *KILO *KILO *KILO, {"tb", "tib", "tbyte", "tbytes", "terabytes"}},
};

static const struct quantity duration = {
    "duration", "2s", "s", duration_units, COUNT_OF(duration_units), "ms, s, m, h or d",
};
static const struct quantity size = {
    "size", "8m", "", size_units, COUNT_OF(size_units), "k, m, g or t",
};

static const struct unit *find_unit(const struct quantity *quantity, struct span name)
{
	for (unsigned i = 0; i < quantity->unit_count; i++)
		if (span_equal(name, span_of_text(quantity->units[i].name)))
			return &quantity->units[i];
	return NULL;
}

/* The unit that somebody meant by "sec", "MB" or "S". */
static const struct unit *guess_unit(const struct quantity *quantity, struct span name)
{
	for (unsigned i = 0; i < quantity->unit_count; i++) {
		const struct unit *unit = &quantity->units[i];
		if (span_equal_nocase(name, span_of_text(unit->name)))
			return unit;
		for (unsigned j = 0; j < COUNT_OF(unit->others) && unit->others[j] != NULL; j++)
			if (span_equal_nocase(name, span_of_text(unit->others[j])))
				return unit;
	}
	return NULL;
}

static size_t count_digits(struct span text)
{
	size_t count = 0;
	while (count < text.size && isdigit((unsigned char)text.start[count]))
		count++;
	return count;
}

static struct span span_from(struct span text, size_t offset)
{
	return span_of(text.start + offset, text.size - offset);
}

#define QUOTED(text) (int)((text).size < 60 ? (text).size : 60), (text).start

static const char *format_quantity(const struct quantity *quantity, uint64_t value, char out[VALUE_TEXT_SIZE])
{
	const struct unit *best = &quantity->units[0];
	for (unsigned i = 0; i < quantity->unit_count; i++)
		if (value != 0 && value % quantity->units[i].factor == 0)
			best = &quantity->units[i];
	snprintf(out, VALUE_TEXT_SIZE, "%llu%s", (unsigned long long)(value / best->factor), value == 0 ? "" : best->name);
	return out;
}

/* "1.5s" -> "1500ms": when it comes out even, with at most three digits after the point. */
static bool guess_fraction(const struct quantity *quantity, struct span text, size_t digits, char out[VALUE_TEXT_SIZE])
{
	struct span rest = span_from(text, digits + 1);
	size_t places = count_digits(rest);
	const struct unit *unit = guess_unit(quantity, span_trim(span_from(rest, places)));
	uint64_t whole, part, scale = places == 1 ? 10 : places == 2 ? 100 : 1000;
	if (unit == NULL || places == 0 || places > 3 || !span_to_number(span_of(text.start, digits), 1000000, &whole) ||
	    !span_to_number(span_of(rest.start, places), 999, &part) || part * unit->factor % scale != 0)
		return false;
	format_quantity(quantity, whole * unit->factor + part * unit->factor / scale, out);
	return true;
}

/* Text that is not "DIGITS UNIT": the sentence. */
static void explain_quantity(const struct quantity *quantity, struct span text, char why[VALUE_WHY_SIZE])
{
	char guess[VALUE_TEXT_SIZE];
	size_t digits = count_digits(text);
	struct span name = span_trim(span_from(text, digits));
	const struct unit *unit = digits == 0 ? NULL : guess_unit(quantity, name);
	if (digits > 0 && digits == text.size)
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` has no unit; did you mean `%.*s%s`? (%s)", QUOTED(text), QUOTED(text),
		         quantity->no_unit, quantity->unit_words);
	else if (unit != NULL)
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a %s; did you mean `%.*s%s`?", QUOTED(text), quantity->what,
		         (int)(digits < 60 ? digits : 60), text.start, unit->name);
	else if (digits > 0 && text.start[digits] == '.' && guess_fraction(quantity, text, digits, guess))
		snprintf(why, VALUE_WHY_SIZE, "`%.*s`: a %s is a whole number with a unit; did you mean `%.40s`?", QUOTED(text),
		         quantity->what, guess);
	else if (digits > 0 && text.start[digits] != '.')
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` has the unknown unit `%.*s`; known are %s", QUOTED(text), QUOTED(name),
		         quantity->unit_words);
	else
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a %s; write a whole number with %s, such as `%s`", QUOTED(text),
		         quantity->what, quantity->unit_words, quantity->example);
}

static bool parse_quantity(const struct quantity *quantity, struct span text, uint64_t *value, char why[VALUE_WHY_SIZE])
{
	size_t digits = count_digits(text);
	const struct unit *unit = digits == 0 ? NULL : find_unit(quantity, span_from(text, digits));
	bool is_zero = digits == 1 && text.size == 1 && text.start[0] == '0';
	if (unit == NULL && !is_zero) {
		explain_quantity(quantity, text, why);
		return false;
	}
	uint64_t number, factor = unit == NULL ? 1 : unit->factor;
	if (!span_to_number(span_of(text.start, digits), UINT64_MAX / factor, &number)) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is too large for a %s", QUOTED(text), quantity->what);
		return false;
	}
	*value = number * factor;
	return true;
}

bool value_parse_duration(struct span text, uint64_t *ms, char why[VALUE_WHY_SIZE])
{
	return parse_quantity(&duration, text, ms, why);
}

bool value_parse_size(struct span text, uint64_t *bytes, char why[VALUE_WHY_SIZE])
{
	/* nginx takes 8M as well as 8m */
	char small[24];
	if (text.size > 1 && text.size < sizeof(small) && strchr("KMGT", text.start[text.size - 1]) != NULL) {
		memcpy(small, text.start, text.size);
		small[text.size - 1] = (char)tolower((unsigned char)small[text.size - 1]);
		if (count_digits(text) == text.size - 1)
			return parse_quantity(&size, span_of(small, text.size), bytes, why);
	}
	return parse_quantity(&size, text, bytes, why);
}

const char *value_format_duration(uint64_t ms, char out[VALUE_TEXT_SIZE])
{
	return format_quantity(&duration, ms, out);
}

bool cluster_duration_parse(struct span text, uint64_t *ms)
{
	char why[VALUE_WHY_SIZE];
	return value_parse_duration(text, ms, why);
}

const char *cluster_duration_format(uint64_t ms, char out[CLUSTER_DURATION_SIZE])
{
	char text[VALUE_TEXT_SIZE];
	bool fits = span_copy(span_of_text(value_format_duration(ms, text)), out, CLUSTER_DURATION_SIZE);
	ASSERT(fits);
	return out;
}

const char *value_format_size(uint64_t bytes, char out[VALUE_TEXT_SIZE])
{
	return format_quantity(&size, bytes, out);
}

bool value_parse_status(struct span text, uint16_t *least, uint16_t *most, char why[VALUE_WHY_SIZE])
{
	struct span rest = text;
	struct span first = span_cut(&rest, '-');
	struct span second = rest.start == NULL ? first : rest;
	uint64_t from, to;
	if (first.size != 3 || second.size != 3 || !span_to_number(first, 599, &from) || !span_to_number(second, 599, &to) ||
	    from < 100 || to < 100) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a range of answer codes; write one code such as `200`, or `200-399`",
		         QUOTED(text));
		return false;
	}
	if (from > to) {
		snprintf(why, VALUE_WHY_SIZE, "`%.*s` ends before it begins; did you mean `%llu-%llu`?", QUOTED(text),
		         (unsigned long long)to, (unsigned long long)from);
		return false;
	}
	*least = (uint16_t)from;
	*most = (uint16_t)to;
	return true;
}

bool value_parse_hex(struct span text, uint8_t *out, size_t out_size, char why[VALUE_WHY_SIZE])
{
	for (size_t i = 0; i < text.size; i++)
		if (!isxdigit((unsigned char)text.start[i])) {
			snprintf(why, VALUE_WHY_SIZE, "`%.*s` is not a digest; only the digits 0-9 and a-f may stand in it", QUOTED(text));
			return false;
		}
	if (text.size != 2 * out_size) {
		snprintf(why, VALUE_WHY_SIZE, "the digest has %zu digits, it must have %zu; %s", text.size, 2 * out_size,
		         out_size == 16 ? "print one with `md5sum FILE`" : "print one with `sha256sum FILE`");
		return false;
	}
	for (size_t i = 0; i < out_size; i++) {
		uint64_t byte = 0;
		if (!span_to_hex_number(span_of(text.start + 2 * i, 2), 255, &byte))
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}
