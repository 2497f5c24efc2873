/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The log of events: one line, one write(2). Access logs are in http/access_log.c. Any process, any thread.
 */
#include "base/base.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 2200u
#define TEXT_BYTES 2000u

static int log_descriptor = STDERR_FILENO;
static const char *log_process = "noah";
static enum log_level log_most = LOG_INFO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

void log_to(int descriptor)
{
	log_descriptor = descriptor;
}

void log_set_process(const char *name)
{
	log_process = name;
}

void log_set_level(enum log_level level)
{
	log_most = level;
}

bool log_level_parse(struct span text, enum log_level *out)
{
	for (unsigned i = 0; i < COUNT_OF(level_names); i++) {
		if (span_equal(text, span_of_text(level_names[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Copies text with control bytes as \xNN; returns bytes written, at most room. */
static size_t escape(char *out, size_t room, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (; *text != '\0' && used + 4 < room; text++) {
		unsigned char byte = (unsigned char)*text;
		if (byte >= 0x20 && byte != 0x7f) {
			out[used++] = *text;
			continue;
		}
		out[used++] = '\\';
		out[used++] = 'x';
		out[used++] = digits[byte >> 4];
		out[used++] = digits[byte & 15];
	}
	return used;
}

static PRINTF_LIKE(2, 0) void write_line(enum log_level level, const char *format, va_list arguments)
{
	char text[TEXT_BYTES], line[LINE_BYTES], when[CLOCK_TEXT_SIZE];
	int saved_errno = errno;

	errno = saved_errno; /* for %m */
	vsnprintf(text, sizeof(text), format, arguments);
	size_t used = (size_t)snprintf(line, sizeof(line), "%s %s %s: ", clock_format(clock_wall_us(), when), log_process,
	                               level_names[level]);
	used += escape(line + used, sizeof(line) - used - 1, text);
	line[used++] = '\n';
	ssize_t ignored = write(log_descriptor, line, used); /* a full disk must not stop the traffic */
	(void)ignored;
	errno = saved_errno;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (level > log_most)
		return;
	va_start(arguments, format);
	write_line(level, format, arguments);
	va_end(arguments);
}

void log_write_limited(struct log_limit *limit, enum log_level level, uint64_t every_ms, const char *format, ...)
{
	va_list arguments;
	uint64_t now_us = clock_monotonic_us();
	uint64_t next_us = __atomic_load_n(&limit->next_us, __ATOMIC_RELAXED);

	if (level > log_most)
		return;
	/* One thread wins the turn; the others only count. */
	if (now_us < next_us || !__atomic_compare_exchange_n(&limit->next_us, &next_us, now_us + every_ms * 1000u, false,
	                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&limit->left_out, 1, __ATOMIC_RELAXED);
		return;
	}
	uint64_t left_out = __atomic_exchange_n(&limit->left_out, 0, __ATOMIC_RELAXED);
	if (left_out > 0)
		log_write(level, "%llu lines like the next one were left out", (unsigned long long)left_out);
	va_start(arguments, format);
	write_line(level, format, arguments);
	va_end(arguments);
}
