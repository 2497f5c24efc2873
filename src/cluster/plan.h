/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plan: what the files of `noah plan` share: plan.c (the whole, databases, TCP services), plan_site.c (sites and their routes),
 * plan_group.c (servers that do the same work), plan_visitors.c (files, answers, who is let in). Private to cluster/.
 */
#ifndef NOAH_CLUSTER_PLAN_H
#define NOAH_CLUSTER_PLAN_H

#include "cluster/words.h"

#include <stdio.h>

struct plan {
	const struct cluster *cluster;
	uint32_t server; /* whose part is being printed */
	FILE *out;
	const char *indent; /* of sentences about a group */
};

/* "a", "a and b", "a, b and c": what stands before element `index` of `count`. */
const char *plan_joint(uint32_t index, uint32_t count, const char *last);
/* "port 80 of every address and 192.0.2.10:8443 with TLS": those that this server opens. `tls` NULL: none has it. */
void plan_print_listeners(const struct plan *plan, uint64_t on, const struct address *listen, const bool *tls, uint32_t count);
/* "web1 (192.0.2.11:8080) or web2 (192.0.2.12:8080, weight 2)" */
void plan_print_apps(const struct plan *plan, const struct cluster_app *apps, uint32_t count, const char *last);
/* The same with how one is chosen: ", in turn". */
void plan_print_choice(const struct plan *plan, const struct cluster_group *group);
/* Whole sentences: limits, slow start, sticky sessions; the check. `what` waits in line: "requests". */
void plan_print_load(const struct plan *plan, const struct cluster_group *group, const char *what);
void plan_print_check(const struct plan *plan, const struct cluster_group *group);
/* " every 2s, for at most 1s each time: …" */
void plan_print_timing(const struct plan *plan, const struct cluster_check *check);

/* "the files of /var/www (*.jpg and *.png), for a directory its index.html" */
void plan_print_files(const struct plan *plan, const struct cluster_static *files);
/* Whole sentences. `of_site` NULL: of the site itself; otherwise only what is different in a route. */
void plan_print_missing(const struct plan *plan, const struct cluster_static *files);
void plan_print_limits(const struct plan *plan, const struct cluster_limits *limits, const struct cluster_limits *of_site);
void plan_print_answers(const struct plan *plan, const struct cluster_answers *answers, const struct cluster_answers *of_site);
void plan_print_access(const struct plan *plan, const struct cluster_access *access, const struct cluster_access *of_site);
void plan_print_errors(const struct plan *plan, const struct cluster_site *site);
/* What holds for all sites. */
void plan_print_visitors(const struct plan *plan);
void plan_print_front_ends(const struct plan *plan);

void plan_print_site(const struct plan *plan, const struct cluster_site *site);

#endif
