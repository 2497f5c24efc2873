/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an assertion does when it fails: one line on descriptor 2, then abort(), so that the supervisor sees the signal and a core
 * file has the stack. Any process, any thread, also inside a signal handler.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void assert_failed(const char *condition, const char *file, int line, const char *function)
{
	char text[512];
	int size = snprintf(text, sizeof(text), "noah: assertion failed: %s (%s:%d, %s)\n", condition, file, line, function);

	if (size > 0) {
		ssize_t ignored = write(STDERR_FILENO, text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1);
		(void)ignored;
	}
	abort();
}
