/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parts of the status: status.c puts them together, status_targets.c says who is up. In the supervisor.
 */
#ifndef NOAH_STATUS_H
#define NOAH_STATUS_H

#include "process/supervisor_private.h"

#include <jansson.h>

json_t *status_text(const char *text); /* what is not UTF-8 is left out */
json_t *status_time(uint64_t wall_us); /* RFC 3339; null for 0 */

/* Lists, the caller's. Each target is also appended to `targets` (once, though several may name it), and what an administrator
 * should look at goes to `warnings`. */
json_t *status_sites(const struct supervisor *supervisor, json_t *targets, json_t *warnings);
json_t *status_services(const struct supervisor *supervisor, json_t *targets, json_t *warnings);
json_t *status_databases(const struct supervisor *supervisor, json_t *targets, json_t *warnings);
json_t *status_servers(const struct supervisor *supervisor);
json_t *status_certificates(const struct supervisor *supervisor, json_t *warnings);

/* How much was under way to the group `what` lately, and whether the rest could carry it (status_headroom.c); null: no servers.
 */
json_t *status_headroom(const struct supervisor *supervisor, const struct cluster_group *group, const char *what,
                        json_t *warnings);

/* An object while the site is in maintenance, null otherwise (maintenance.c). */
json_t *status_maintenance(const struct supervisor *supervisor, const char *site);

/* How many addresses are banned, at a limit, remembered at all (bans.c). */
json_t *status_visitors(const struct supervisor *supervisor);

/* Warnings that come from numbers (status_numbers.c). */
void status_warn_of_numbers(const struct supervisor *supervisor, json_t *warnings);

#endif
