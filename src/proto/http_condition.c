/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What conditions (RFC 9110 13) and preferences (12) of requests are made of: entity tags, dates and qualities. Pure, any thread.
 */
#include "proto/http_private.h"

/* ---- entity tags -------------------------------------------------------------------------------------------------- */

static void skip_blanks(struct span *rest)
{
	while (rest->size > 0 && (*rest->start == ' ' || *rest->start == '\t')) {
		rest->start++;
		rest->size--;
	}
}

/* The tag at the front of *rest with its quotes; false: what stands there is none. */
static bool take_tag(struct span *rest, struct span *tag, bool *weak)
{
	*weak = span_starts_with(*rest, SPAN("W/"));
	if (*weak)
		*rest = span_of(rest->start + 2, rest->size - 2);
	if (rest->size < 2 || *rest->start != '"')
		return false;
	const char *end = memchr(rest->start + 1, '"', rest->size - 1);
	if (end == NULL)
		return false;
	*tag = span_of(rest->start, (size_t)(end - rest->start) + 1);
	*rest = span_of(end + 1, rest->size - tag->size);
	return true;
}

bool http_tags_match(struct span list, struct span tag, bool weakly)
{
	struct span item;
	bool weak;

	if (span_equal(span_trim(list), SPAN("*")))
		return true;
	for (;;) { /* a tag and a comma in each turn */
		skip_blanks(&list);
		if (list.size > 0 && *list.start == ',') {
			list = span_of(list.start + 1, list.size - 1);
			continue;
		}
		if (!take_tag(&list, &item, &weak))
			return false;
		if ((weakly || !weak) && span_equal(item, tag))
			return true;
		skip_blanks(&list);
		if (list.size == 0 || *list.start != ',')
			return false;
	}
}

/* ---- dates (RFC 9110 5.6.7) ----------------------------------------------------------------------------------------- */

struct moment {
	unsigned year, month, day, hour, minute, second; /* month 0 to 11 */
};

/* Reads what `form` says: '0' stands for a digit of the next number, 'b' for the month's name, 'w' for a letter of a day's name
 * that nobody needs, '_' for a blank or a digit, anything else for itself. Numbers come in the order of `into`. */
static bool read_form(struct span text, const char *form, unsigned *const *into, unsigned *month)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	bool in_number = false;

	for (size_t i = 0; form[i] != '\0'; i++) {
		char c = i < text.size ? text.start[i] : '\0';
		bool digit = form[i] == '0' || form[i] == '_';
		if (in_number && !digit)
			into++;
		in_number = digit;
		if (digit && c >= '0' && c <= '9') {
			**into = **into * 10 + (unsigned)(c - '0');
		} else if (form[i] == 'b') {
			for (*month = 0; *month < 12 && (text.size < i + 3 || memcmp(months + (size_t)*month * 3, text.start + i, 3) != 0);)
				++*month;
			if (*month == 12)
				return false;
			i += 2; /* the form has three */
		} else if (form[i] == 'w' ? (c | 0x20) < 'a' || (c | 0x20) > 'z' : form[i] == '_' ? c != ' ' : c != form[i]) {
			return false;
		}
	}
	return true;
}

/* Days since 1970 of a day in the Gregorian calendar. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day)
{
	static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	uint64_t past = year - 1; /* whole years since the year 1 */
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return past * 365 + past / 4 - past / 100 + past / 400 + before[month] + (month > 1 && leap ? 1 : 0) + day - 1 - 719162;
}

/* The length of a form is the length of its text, but for the name of the day in the oldest one, which may have 6 to 9 letters.
 */
static bool read_moment(struct span text, struct moment *moment)
{
	unsigned *const usual[] = {&moment->day, &moment->year, &moment->hour, &moment->minute, &moment->second, NULL};
	unsigned *const of_c[] = {&moment->day, &moment->hour, &moment->minute, &moment->second, &moment->year, NULL};
	const char *comma = memchr(text.start, ',', text.size);

	if (text.size == 29)
		return read_form(text, "www, 00 bbb 0000 00:00:00 GMT", usual, &moment->month);
	if (comma == NULL)
		return text.size == 24 && read_form(text, "www bbb _0 00:00:00 0000", of_c, &moment->month);
	size_t name = (size_t)(comma - text.start);
	return name >= 6 && name <= 9 && text.size == name + 24 &&
	       read_form(span_of(comma, text.size - name), ", 00-bbb-00 00:00:00 GMT", usual, &moment->month);
}

bool http_date_parse(struct span text, uint64_t now_s, uint64_t *seconds)
{
	struct moment moment = {0};
	const uint64_t year_s = 31556952;

	if (text.size < 24 || !read_moment(text, &moment))
		return false;
	if (text.size != 29 && text.size != 24) { /* two digits of a year: the last one with them that is not 50 years away */
		unsigned now = (unsigned)(1970 + now_s / year_s);
		moment.year += now - now % 100;
		if (moment.year > now + 50)
			moment.year -= 100;
	}
	if (moment.year < 1970 || moment.day < 1 || moment.day > 31 || moment.hour > 23 || moment.minute > 59 || moment.second > 60)
		return false;
	*seconds = ((days_of(moment.year, moment.month, moment.day) * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second;
	return true;
}

/* ---- qualities -------------------------------------------------------------------------------------------------- */

bool http_quality_parse(struct span text, unsigned *thousandths)
{
	unsigned scale = 100, value;

	if (text.size == 0 || text.size > 5 || (text.start[0] != '0' && text.start[0] != '1'))
		return false;
	value = text.start[0] == '1' ? HTTP_QUALITY_MOST : 0;
	if (text.size > 1 && text.start[1] != '.')
		return false;
	for (size_t i = 2; i < text.size; i++) {
		if (text.start[i] < '0' || text.start[i] > '9')
			return false;
		value += (unsigned)(text.start[i] - '0') * scale;
		scale /= 10;
	}
	if (value > HTTP_QUALITY_MOST)
		return false;
	*thousandths = value;
	return true;
}
