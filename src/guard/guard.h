/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guard: how much each address asks for, and who is refused for a while because it was too much.
 *
 * One table in a memory file of its own, made by the supervisor and mapped by every traffic process: all cores and all program
 * generations count in it, and it outlives them (reload, crash, upgrade). 50 MB when it is full of addresses, nothing where none
 * has been: the file has holes there. IPv6 counts by /64. How it works, and what happens when it is full, is at the top of
 * table.c. Times are of CLOCK_MONOTONIC, the same for all processes.
 *
 * Every function may be called by any thread; `lane` is the caller's own on the board, or GUARD_LANE_SUPERVISOR.
 */
#ifndef NOAH_GUARD_H
#define NOAH_GUARD_H

#include "base/base.h"

#define GUARD_LANE_SUPERVISOR 0x10000u
#define GUARD_BAN_MOST_MS     UINT64_C(31536000000) /* a longer ban is one of a year */
#define GUARD_PERIOD_MOST_MS  86400000u             /* a longer period is one of a day */
#define GUARD_ANSWERS_MOST    100u /* so often a banned address reads why, where it costs a TLS handshake to tell */

struct guard; /* this process's view of the table */

/* An address as the table knows it: IPv4 whole, of IPv6 the first 64 bits. 0: not counted (a Unix socket's). */
uint64_t guard_address(const struct address *address) MUST_CHECK;
/* "192.0.2.7", "2001:db8:1:2::/64"; returns out. */
const char *guard_address_text(uint64_t address, char out[ADDRESS_TEXT_SIZE]);

/* ---- the table (table.c) -------------------------------------------------------------------------------------- */

/* A new one, empty. NULL with errno. */
struct guard *guard_new(void) MUST_CHECK;
/* The one in a memory file that was handed over, perhaps by another program version. Takes the descriptor over unless it returns
 * NULL: it is no table, or one of another layout. */
struct guard *guard_map(int descriptor) MUST_CHECK;
void guard_free(struct guard *guard); /* harmless with NULL; the table stays, as long as another process has it */
int guard_descriptor(const struct guard *guard);
/* Who only counts needs no descriptor. Afterwards guard_look and guard_lanes_ended find nothing. */
void guard_close_descriptor(struct guard *guard);

/* A traffic process begins: its connections are counted as its own, so that none stays counted when it is killed. `first_lane`:
 * of its threads. Before guard_connect. */
void guard_begin(struct guard *guard, unsigned first_lane);
/* Supervisor: the process with these lanes has ended. Its connections are not open any more, and no lock is left behind. */
void guard_lanes_ended(struct guard *guard, unsigned first_lane, unsigned count);

/* ---- requests (request.c) ------------------------------------------------------------------------------------- */

/* So many requests in so long, whenever one begins to look. */
struct guard_limit {
	uint32_t scope; /* what is counted together: 0 everything, otherwise guard_scope's */
	uint32_t most;  /* 0: no limit */
	uint32_t period_ms;
};
/* Of a site (path "", no types) or one of its routes, by what they are called: the same in every process and generation. Never 0.
 */
uint32_t guard_scope(const char *site, const char *path, struct span types);

enum guard_verdict {
	GUARD_LET_IN,
	GUARD_TOO_MANY, /* one more than a limit allows */
	GUARD_BANNED,   /* it was too many some time ago */
};
struct guard_answer {
	enum guard_verdict verdict;
	uint64_t wait_ms;    /* not let in: until when */
	bool banned_now;     /* with this request a ban of ban_ms has begun */
	bool uncounted;      /* there was no room to remember it, or the table was not to be had */
	unsigned over_limit; /* GUARD_TOO_MANY: which of the two */
};
/* One request of `address` (not 0): counts it towards both limits (either may be without limit) and says whether it is let in.
 * What is refused does not count. With `ban_ms` who is over a limit is banned, and all that was counted in that limit is
 * forgotten, so that he is free afterwards; asking meanwhile makes it no longer. */
void guard_request(struct guard *guard, unsigned lane, uint64_t address, const struct guard_limit limits[2], uint64_t ban_ms,
                   uint64_t now_us, struct guard_answer *answer);

/* ---- connections (connection.c) ------------------------------------------------------------------------------- */

/* A connection of `address` (not 0) begins; `most` may be open at once in all processes (0: any number, then nothing is counted).
 * GUARD_LET_IN: *counted says whether guard_disconnect is owed at its end. GUARD_BANNED: it `is_dear` to answer, and the address
 * is banned and has been told so GUARD_ANSWERS_MOST times. */
enum guard_verdict guard_connect(struct guard *guard, unsigned lane, uint64_t address, unsigned most, bool is_dear,
                                 uint64_t now_us, bool *counted) MUST_CHECK;
void guard_disconnect(struct guard *guard, unsigned lane, uint64_t address);

/* ---- for an administrator (list.c) ---------------------------------------------------------------------------- */

struct guard_ban {
	uint64_t address, left_ms, lasted_ms;
	uint32_t refused; /* requests since it began */
	uint32_t scope;   /* of the limit */
};
struct guard_numbers {
	uint64_t banned;
	uint64_t limited;    /* at the limit, and not banned: addresses, once for each limit */
	uint64_t remembered; /* entries of all kinds */
};
/* Counts, and copies the first `most` bans to `out`, in no order; returns how many. What changes meanwhile may or may not be
 * seen. Memory that holds nothing is not touched. */
unsigned guard_look(const struct guard *guard, uint64_t now_us, struct guard_ban *out, unsigned most,
                    struct guard_numbers *numbers);
/* False: it was not banned. */
bool guard_unban(struct guard *guard, unsigned lane, uint64_t address, uint64_t now_us);
void guard_unban_all(struct guard *guard, uint64_t now_us);

#endif
