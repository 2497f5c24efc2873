/* SPDX-License-Identifier: BSD-2-Clause
 *
 * position: MariaDB's GTID positions ("0-1-42,7-3-9"): read them, ask whether one includes another. Pure.
 */
#ifndef NOAH_SQL_POSITION_H
#define NOAH_SQL_POSITION_H

#include "base/base.h"

/* A position with more replication domains than this is not understood: the primary then answers all reads. */
#define POSITION_DOMAINS_MOST 16u
#define POSITION_TEXT_SIZE    (POSITION_DOMAINS_MOST * 44u) /* 10 + 10 + 20 digits, two dashes, a comma and room */

struct position {
	unsigned count;
	struct position_domain {
		uint32_t domain;
		uint32_t server;
		uint64_t sequence;
	} domains[POSITION_DOMAINS_MOST];
};

/* Reads @@gtid_binlog_pos, @@gtid_slave_pos or the like; "" is the position before the first write. False: not a position, or too
 * many domains; *out is then empty. */
bool position_parse(struct span text, struct position *out) MUST_CHECK;
/* True when whoever has applied `applied` has applied everything up to `needed`. Compares each domain's sequence number: that
 * grows along a domain's history whatever server wrote (MariaDB's gtid_strict_mode, and MASTER_GTID_WAIT, compare the same). */
bool position_includes(const struct position *applied, const struct position *needed);
/* Adds what `news` knows: each domain's larger number stays. Domains past the bound are left out, which only makes it include
 * less. */
void position_merge(struct position *known, const struct position *news);
/* As MASTER_GTID_WAIT takes it; returns out. */
const char *position_format(const struct position *position, char out[POSITION_TEXT_SIZE]);

#endif
