/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Visitors let in by their network (`allow` and `deny` of a site or route). In the traffic threads; admit.c asks once for each
 * request.
 */
#include "http/http_private.h"

#include <stdio.h>

static enum http_outcome refuse(struct http_exchange *exchange, const char *why)
{
	snprintf(exchange->detail, sizeof(exchange->detail), "%.*s is %s", (int)exchange->from.size, exchange->from.start, why);
	return OUTCOME_REFUSED_ADDRESS;
}

enum http_outcome http_access_admit(struct http_exchange *exchange)
{
	const struct cluster_access *access = exchange->access;

	if (access->deny.count > 0 && http_origin_is_in(exchange->origin, &access->deny))
		return refuse(exchange, "among those that are denied");
	if (access->allow.count > 0 && !http_origin_is_in(exchange->origin, &access->allow))
		return refuse(exchange, "not among those that are allowed");
	return OUTCOME_OK;
}
