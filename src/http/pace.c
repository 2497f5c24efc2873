/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether a visitor is too slow: only the time counts in which noah waited for him, never what an app or noah itself took. Pure:
 * the callers tell the time. Used by hold.c and forward.c for requests, by absorb.c for answers.
 *
 * He is looked at after ten seconds of waiting. Whoever has moved enough by then earns the time until the next look: as long as
 * his bytes are worth at the least rate, ten seconds at least and a minute at most. So neither a pause of some seconds nor a
 * burst at the beginning decides, and the usual, fast visitor is never looked at.
 */
#include "http/spool.h"

#include "loop/loop.h"

static void begin(struct http_pace *pace)
{
	if (pace->granted_us == 0)
		pace->granted_us = HTTP_PACE_GRACE_MS * UINT64_C(1000);
}

int64_t http_pace_left_ms(struct http_pace *pace, uint32_t rate_least)
{
	if (rate_least == 0)
		return NO_TIMEOUT;
	begin(pace);
	return pace->waited_us >= pace->granted_us ? 0 : (int64_t)((pace->granted_us - pace->waited_us + 999) / 1000);
}

bool http_pace_waited(struct http_pace *pace, uint32_t rate_least, uint64_t waited_us)
{
	if (rate_least == 0)
		return false;
	begin(pace);
	pace->waited_us += waited_us;
	return pace->waited_us >= pace->granted_us;
}

bool http_pace_look(struct http_pace *pace, uint32_t rate_least, uint64_t bytes)
{
	const uint64_t least_us = HTTP_PACE_GRACE_MS * UINT64_C(1000), most_us = HTTP_PACE_MOST_MS * UINT64_C(1000);
	uint64_t worth_us = bytes >= (uint64_t)rate_least * (HTTP_PACE_MOST_MS / 1000) ? most_us : bytes * 1000000u / rate_least;

	/* After a wait that was longer than granted (another limit was longer) he may have earned a minute at most. */
	if (worth_us < (pace->waited_us < most_us ? pace->waited_us : most_us))
		return false;
	pace->waited_us = 0;
	pace->granted_us = worth_us > least_us ? worth_us : least_us;
	return true;
}
