/* SPDX-License-Identifier: BSD-2-Clause
 *
 * report: gathers what is wrong with a cluster file, sorted by place, up to the bound of struct cluster_messages.
 *
 * Private to cluster/. Everything a message quotes from the file is made harmless here (no control bytes reach a terminal).
 */
#ifndef NOAH_CLUSTER_REPORT_H
#define NOAH_CLUSTER_REPORT_H

#include "cluster/cluster.h"

#define REPORT_PATH_SIZE 256u

struct report {
	const char *file;
	struct cluster_messages *messages;
	unsigned total; /* kept or not */
};

void report_init(struct report *report, const char *file, struct cluster_messages *messages);

/* Adds "FILE:LINE:COLUMN: path: sentence". Line 0: the whole file is meant, and no place is printed. `path` may be "". A message
 * that is there already, word for word, is not added again. */
void report_add(struct report *report, unsigned line, unsigned column, const char *path, const char *format, ...)
    PRINTF_LIKE(5, 6);
void report_add_list(struct report *report, unsigned line, unsigned column, const char *path, const char *format, va_list list)
    PRINTF_LIKE(5, 0);

#endif
