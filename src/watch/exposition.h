/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prometheus' text format 0.0.4: what metrics.c writes with, so that no line can be wrong.
 */
#ifndef NOAH_EXPOSITION_H
#define NOAH_EXPOSITION_H

#include "base/base.h"

#include <stdio.h>

struct exposition {
	FILE *out;
	const char *family; /* the one that is being written */
};

/* Begins a family: all its samples follow, one after the other. `type` is "counter", "gauge" or "histogram". */
void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help);
/* A sample of the family; `suffix` is "" or, of a histogram, "_bucket", "_sum", "_count". `labels`
 * are names and values in turn, with a NULL at the end: {"server", "web1:8080", NULL}; values are escaped, and bytes that are not
 * ASCII become '?'. */
void exposition_number(struct exposition *exposition, const char *suffix, const char *const *labels, uint64_t value);
/* The same in seconds. */
void exposition_seconds(struct exposition *exposition, const char *suffix, const char *const *labels, uint64_t us);

#endif
