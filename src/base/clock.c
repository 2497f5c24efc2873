/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The two clocks, in microseconds, and one way to print a time.
 */
#include "base/base.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_clock_us(clockid_t clock)
{
	struct timespec now;

	ASSERT(clock_gettime(clock, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t clock_monotonic_us(void)
{
	return read_clock_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
	return read_clock_us(CLOCK_REALTIME);
}

const char *clock_format(uint64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
	time_t seconds = (time_t)(wall_us / 1000000u);
	struct tm parts;

	ASSERT(gmtime_r(&seconds, &parts) != NULL);
	size_t size = strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(out + size, CLOCK_TEXT_SIZE - size, ".%03uZ", (unsigned)(wall_us / 1000u % 1000u));
	return out;
}
