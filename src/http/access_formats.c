/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How one line of the access log is written: as Apache's combined format with noah's own fields behind it, as JSON, and what
 * syslog and the journal want around it. Pure: an entry in, bytes out; a test gives it every byte.
 *
 * Called by access_log.c, in traffic.
 */
#include "http/access_log.h"

#include <time.h>
#include <unistd.h>

/* The most that the texts of one entry can grow to: see LOG_RECORD_MOST. */
#define TEXTS_MOST (LOG_TARGET_MOST + 5 * LOG_TEXT_MOST + 9 * LOG_SHORT_MOST + 12 * 3)
#define FIXED_MOST 2048u /* names of members, numbers, times */
_Static_assert(6 * TEXTS_MOST + 4 * TEXTS_MOST + 2 * FIXED_MOST <= LOG_RECORD_MOST, "a record of the journal with JSON fits");

static const char hex[] = "0123456789abcdef";

/* ---- times ------------------------------------------------------------------------------------------------------ */

void log_clock_set(struct log_clock *clock, uint64_t wall_us)
{
	uint64_t second = wall_us / 1000000u;
	time_t when = (time_t)second;
	struct tm parts;

	if (second == clock->second)
		return;
	ASSERT(gmtime_r(&when, &parts) != NULL);
	ASSERT(strftime(clock->combined, sizeof clock->combined, "[%d/%b/%Y:%H:%M:%S +0000]", &parts) > 0);
	ASSERT(strftime(clock->iso, sizeof clock->iso, "%Y-%m-%dT%H:%M:%S", &parts) > 0);
	ASSERT(localtime_r(&when, &parts) != NULL);
	ASSERT(strftime(clock->syslog, sizeof clock->syslog, "%b %e %H:%M:%S", &parts) > 0);
	clock->second = second;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static char *put(char *out, struct span text)
{
	memcpy(out, text.start, text.size);
	return out + text.size;
}

static char *put_number(char *out, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	return put(out, span_of(digits + at, sizeof(digits) - at));
}

static bool is_plain(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Bytes with their highest bit set where `eight` has a zero byte, and perhaps above the first such. */
static uint64_t zero_bytes(uint64_t eight)
{
	return (eight - EACH_BYTE(1)) & ~eight;
}

/* Of eight bytes that begin at `at`, none needs an escape. */
static bool are_plain(const char *at)
{
	uint64_t eight;
	memcpy(&eight, at, sizeof eight);
	uint64_t odd = eight | (eight - EACH_BYTE(0x20)) | (eight + EACH_BYTE(1)) | zero_bytes(eight ^ EACH_BYTE('"')) |
	               zero_bytes(eight ^ EACH_BYTE('\\'));
	return (odd & EACH_BYTE(0x80)) == 0;
}

/* What a visitor or a server wrote: neither a line nor a field can be forged with it. */
static char *put_escaped(char *out, struct span text, size_t most)
{
	size_t size = text.size < most ? text.size : most;

	for (size_t i = 0; i < size; i++) {
		while (size - i >= 8 && are_plain(text.start + i)) {
			memcpy(out, text.start + i, 8);
			out += 8;
			i += 8;
		}
		if (i == size)
			break;
		unsigned char byte = (unsigned char)text.start[i];
		if (LIKELY(is_plain(byte))) {
			*out++ = (char)byte;
			continue;
		}
		*out++ = '\\';
		*out++ = 'x';
		*out++ = hex[byte >> 4];
		*out++ = hex[byte & 15];
	}
	return size < text.size ? put(out, SPAN("...")) : out;
}

static char *put_quoted(char *out, struct span text, size_t most)
{
	*out++ = '"';
	out = text.start == NULL ? put(out, SPAN("-")) : put_escaped(out, text, most);
	*out++ = '"';
	return out;
}

/* ---- combined ---------------------------------------------------------------------------------------------------- */

/* " name=text", "-" when there is none. */
static char *put_word(char *out, struct span name, struct span text)
{
	out = put(out, name);
	return text.start == NULL ? put(out, SPAN("-")) : put_escaped(out, text, LOG_SHORT_MOST);
}

/* Escaped, and no blank in it either: what reads the format cuts there. */
static char *put_user(char *out, struct span user)
{
	size_t size = user.size < LOG_SHORT_MOST ? user.size : LOG_SHORT_MOST;

	if (user.start == NULL)
		return put(out, SPAN("-"));
	for (size_t i = 0; i < size; i++)
		out = user.start[i] == ' ' ? put(out, SPAN("\\x20")) : put_escaped(out, span_of(user.start + i, 1), 1);
	return size < user.size ? put(out, SPAN("...")) : out;
}

static char *put_count(char *out, struct span name, uint64_t number)
{
	return put_number(put(out, name), number);
}

static char *put_phase(char *out, struct span name, uint64_t us)
{
	return us == LOG_NO_PHASE ? put(put(out, name), SPAN("-")) : put_count(out, name, us);
}

static char *put_request_line(char *out, const struct log_entry *entry)
{
	if (entry->method.start == NULL)
		return put_quoted(out, entry->line, LOG_TEXT_MOST);
	*out++ = '"';
	out = put_escaped(out, entry->method, LOG_SHORT_MOST);
	*out++ = ' ';
	out = put_escaped(out, entry->target, LOG_TARGET_MOST);
	out = put(out, SPAN(" HTTP/"));
	out = put(out, entry->version);
	*out++ = '"';
	return out;
}

/* "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\"" as Apache has it. A status has three digits, also when there is
 * none: programs that read logs take nothing else. */
static char *put_apache_part(char *out, const struct log_entry *entry, const struct log_clock *clock)
{
	out = put(out, entry->client);
	out = put_user(put(out, SPAN(" - ")), entry->user);
	*out++ = ' ';
	out = put(out, span_of_text(clock->combined));
	*out++ = ' ';
	out = put_request_line(out, entry);
	*out++ = ' ';
	out = entry->status == 0 ? put(out, SPAN("000")) : put_number(out, entry->status);
	*out++ = ' ';
	out = put_number(out, entry->bytes);
	*out++ = ' ';
	out = put_quoted(out, entry->referrer, LOG_TEXT_MOST);
	*out++ = ' ';
	return put_quoted(out, entry->agent, LOG_TEXT_MOST);
}

char *log_put_combined(char *out, const struct log_entry *entry, const struct log_clock *clock)
{
	out = put_apache_part(out, entry, clock);
	out = put_word(out, SPAN(" site="), entry->site);
	out = put_word(out, SPAN(" server="), entry->server);
	out = put_count(out, SPAN(" retries="), entry->retries);
	out = put_phase(out, SPAN(" read="), entry->read_us);
	out = put_phase(out, SPAN(" connect="), entry->connect_us);
	out = put_phase(out, SPAN(" first="), entry->first_us);
	out = put_phase(out, SPAN(" total="), entry->total_us);
	out = put_count(out, SPAN(" in="), entry->in);
	out = put_count(out, SPAN(" out="), entry->out);
	out = put_phase(out, SPAN(" queue="), entry->queue_us);
	out = put_word(out, SPAN(" tls="), entry->tls);
	out = put_word(out, SPAN(" ref="), entry->reference);
	out = put_word(out, SPAN(" end="), entry->end);
	if (UNLIKELY(entry->cause.start != NULL))
		out = put_quoted(put(out, SPAN(" cause=")), entry->cause, LOG_TEXT_MOST);
	return out;
}

/* ---- JSON (RFC 8259) ---------------------------------------------------------------------------------------------- */

/* The bytes of the character that `text` begins with; 0: it is not UTF-8 (RFC 3629, section 4), or the zero byte. */
static size_t character_size(struct span text)
{
	const unsigned char *at = (const unsigned char *)text.start;
	size_t size = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

	if (size == 1)
		return at[0] != 0; /* many a reader of JSON takes no \u0000 */
	if (at[0] < 0xc2 || at[0] > 0xf4 || size > text.size)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	bool too_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
	bool no_character = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
	return too_long || no_character ? 0 : size;
}

static char *put_json_byte(char *out, unsigned char byte)
{
	if (LIKELY(byte >= 0x20 && byte != 0x7f && byte != '"' && byte != '\\')) {
		*out++ = (char)byte;
	} else if (byte == '"' || byte == '\\') {
		*out++ = '\\';
		*out++ = (char)byte;
	} else {
		out = put(out, SPAN("\\u00"));
		*out++ = hex[byte >> 4];
		*out++ = hex[byte & 15];
	}
	return out;
}

/* A text or null. Zero bytes and those that are not UTF-8 become U+FFFD: JSON has no other place for them. */
static char *put_json_text(char *out, struct span text, size_t most)
{
	size_t size = text.size < most ? text.size : most;

	if (text.start == NULL)
		return put(out, SPAN("null"));
	*out++ = '"';
	for (size_t i = 0; i < size;) {
		if (size - i >= 8 && are_plain(text.start + i)) {
			memcpy(out, text.start + i, 8);
			out += 8;
			i += 8;
			continue;
		}
		struct span rest = span_of(text.start + i, size - i);
		size_t taken = character_size(rest);
		if (taken == 1)
			out = put_json_byte(out, (unsigned char)*rest.start);
		else
			out = taken == 0 ? put(out, SPAN("\xef\xbf\xbd")) : put(out, span_of(rest.start, taken));
		i += taken == 0 ? 1 : taken;
	}
	if (size < text.size)
		out = put(out, SPAN("..."));
	*out++ = '"';
	return out;
}

static char *put_member(char *out, struct span name, struct span text, size_t most)
{
	return put_json_text(put(out, name), text, most);
}

static char *put_member_phase(char *out, struct span name, uint64_t us)
{
	return us == LOG_NO_PHASE ? put(put(out, name), SPAN("null")) : put_count(out, name, us);
}

static char *put_json_time(char *out, uint64_t wall_us, const struct log_clock *clock)
{
	unsigned milliseconds = (unsigned)(wall_us / 1000u % 1000u);

	out = put(out, span_of_text(clock->iso));
	*out++ = '.';
	*out++ = (char)('0' + milliseconds / 100);
	*out++ = (char)('0' + milliseconds / 10 % 10);
	*out++ = (char)('0' + milliseconds % 10);
	return put(out, SPAN("Z\""));
}

/* Every member is always there. */
char *log_put_json(char *out, const struct log_entry *entry, const struct log_clock *clock)
{
	out = put_json_time(put(out, SPAN("{\"time\":\"")), entry->wall_us, clock);
	out = put_member(out, SPAN(",\"client\":"), entry->client, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"user\":"), entry->user, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"method\":"), entry->method, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"target\":"), entry->target, LOG_TARGET_MOST);
	out = put(out, SPAN(",\"protocol\":"));
	if (entry->version.start == NULL) {
		out = put(out, SPAN("null"));
	} else {
		out = put(put(out, SPAN("\"HTTP/")), entry->version);
		*out++ = '"';
	}
	out = put_member(out, SPAN(",\"line\":"), entry->line, LOG_TEXT_MOST);
	out = put_member(out, SPAN(",\"host\":"), entry->host, LOG_TEXT_MOST);
	out = put(out, SPAN(",\"status\":"));
	out = entry->status == 0 ? put(out, SPAN("null")) : put_number(out, entry->status);
	out = put_count(out, SPAN(",\"bytes\":"), entry->bytes);
	out = put_member(out, SPAN(",\"referrer\":"), entry->referrer, LOG_TEXT_MOST);
	out = put_member(out, SPAN(",\"agent\":"), entry->agent, LOG_TEXT_MOST);
	out = put_member(out, SPAN(",\"site\":"), entry->site, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"server\":"), entry->server, LOG_SHORT_MOST);
	out = put_count(out, SPAN(",\"retries\":"), entry->retries);
	out = put_member_phase(out, SPAN(",\"read_us\":"), entry->read_us);
	out = put_member_phase(out, SPAN(",\"queue_us\":"), entry->queue_us);
	out = put_member_phase(out, SPAN(",\"connect_us\":"), entry->connect_us);
	out = put_member_phase(out, SPAN(",\"first_us\":"), entry->first_us);
	out = put_member_phase(out, SPAN(",\"total_us\":"), entry->total_us);
	out = put_count(out, SPAN(",\"in\":"), entry->in);
	out = put_count(out, SPAN(",\"out\":"), entry->out);
	out = put_member(out, SPAN(",\"tls\":"), entry->tls, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"ref\":"), entry->reference, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"end\":"), entry->end, LOG_SHORT_MOST);
	out = put_member(out, SPAN(",\"cause\":"), entry->cause, LOG_TEXT_MOST);
	*out++ = '}';
	return out;
}

/* ---- syslog and the journal ---------------------------------------------------------------------------------------- */

#define FACILITY_LOCAL0  16u
#define SEVERITY_WARNING 4u
#define SEVERITY_INFO    6u

static unsigned severity_of(const struct log_entry *entry)
{
	return entry->failure ? SEVERITY_WARNING : SEVERITY_INFO;
}

char *log_put_syslog_prefix(char *out, const struct log_entry *entry, const struct log_clock *clock)
{
	*out++ = '<';
	out = put_number(out, FACILITY_LOCAL0 * 8 + severity_of(entry));
	*out++ = '>';
	out = put(out, span_of_text(clock->syslog));
	out = put_count(out, SPAN(" noah["), (uint64_t)getpid());
	return put(out, SPAN("]: "));
}

/* "\nNAME=text"; nothing when there is none. Escaped as in the combined format, so that there is no line feed in it. */
static char *put_journal_text(char *out, struct span name, struct span text, size_t most)
{
	return text.start == NULL ? out : put_escaped(put(out, name), text, most);
}

static char *put_journal_phase(char *out, struct span name, uint64_t us)
{
	return us == LOG_NO_PHASE ? out : put_count(out, name, us);
}

/* https://systemd.io/JOURNAL_NATIVE_PROTOCOL: lines of NAME=VALUE. */
char *log_put_journal(char *out, const struct log_entry *entry, const struct log_clock *clock, bool json)
{
	out = put(out, SPAN("MESSAGE="));
	out = json ? log_put_json(out, entry, clock) : log_put_combined(out, entry, clock);
	out = put_count(out, SPAN("\nPRIORITY="), severity_of(entry));
	out = put(out, SPAN("\nSYSLOG_IDENTIFIER=noah\nSYSLOG_FACILITY=16"));
	out = put_journal_text(out, SPAN("\nNOAH_CLIENT="), entry->client, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_USER="), entry->user, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_METHOD="), entry->method, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_TARGET="), entry->target, LOG_TARGET_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_HOST="), entry->host, LOG_TEXT_MOST);
	if (entry->status != 0)
		out = put_count(out, SPAN("\nNOAH_STATUS="), entry->status);
	out = put_count(out, SPAN("\nNOAH_BYTES="), entry->bytes);
	out = put_journal_text(out, SPAN("\nNOAH_SITE="), entry->site, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_SERVER="), entry->server, LOG_SHORT_MOST);
	out = put_count(out, SPAN("\nNOAH_RETRIES="), entry->retries);
	out = put_journal_phase(out, SPAN("\nNOAH_TOTAL_US="), entry->total_us);
	out = put_journal_text(out, SPAN("\nNOAH_TLS="), entry->tls, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_REF="), entry->reference, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_END="), entry->end, LOG_SHORT_MOST);
	out = put_journal_text(out, SPAN("\nNOAH_CAUSE="), entry->cause, LOG_TEXT_MOST);
	*out++ = '\n';
	return out;
}
