/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One line of the access log: what it says, and how each format writes it. access_log.c fills the entry from an exchange, gathers
 * and sends; access_formats.c writes and knows nothing of requests or sockets.
 */
#ifndef NOAH_ACCESS_LOG_H
#define NOAH_ACCESS_LOG_H

#include "base/base.h"

#define LOG_TARGET_MOST 2048u /* of a target, before escaping */
#define LOG_TEXT_MOST   512u  /* of each other text that a visitor or a server chose */
#define LOG_SHORT_MOST  128u  /* of a name: method, site, server */
/* Any record with everything in it at its longest: JSON writes one byte as six at worst, and the journal gets the line and once
 * more its parts. */
#define LOG_RECORD_MOST 65536u
#define LOG_NO_PHASE    UINT64_MAX /* was not reached */

/* Texts that are not there have start == NULL. */
struct log_entry {
	uint64_t wall_us;
	struct span client;
	struct span method, target, version; /* "1.1"; all NULL: the request could not be parsed, then: */
	struct span line;                    /* what came of its first line */
	struct span host, referrer, agent;
	struct span site, server, tls; /* "TLSv1.3" */
	struct span user;              /* whose password he has shown */
	struct span reference;         /* what the page of noah's own that the visitor got calls the request */
	struct span end, cause;
	unsigned status; /* 0: the visitor got none */
	unsigned retries;
	uint64_t bytes; /* of the answer's content */
	uint64_t in, out;
	uint64_t read_us, queue_us, connect_us, first_us, total_us;
	bool failure; /* of a server or of noah */
};

/* Texts for the second that an entry falls in, made when it changes. One for each thread, zeroed at first. */
struct log_clock {
	uint64_t second;
	char combined[40]; /* "[21/Nov/2026:00:29:20 +0000]" */
	char iso[32];      /* "2026-11-21T00:29:20" */
	char syslog[24];   /* "Nov 21 00:29:20", local time as syslog's readers expect it */
};
void log_clock_set(struct log_clock *clock, uint64_t wall_us);

/* Each writes one record without a final line feed and returns its end; `out` has room for LOG_RECORD_MOST. The clock has been
 * set for the entry. */
char *log_put_combined(char *out, const struct log_entry *entry, const struct log_clock *clock);
char *log_put_json(char *out, const struct log_entry *entry, const struct log_clock *clock);
/* "<134>Nov 21 00:29:20 noah[812]: ", what syslog(3) puts before a line. */
char *log_put_syslog_prefix(char *out, const struct log_entry *entry, const struct log_clock *clock);
/* A whole record of the journal's native protocol: MESSAGE is the line in the format that was asked for, then its parts. */
char *log_put_journal(char *out, const struct log_entry *entry, const struct log_clock *clock, bool json);

#endif
