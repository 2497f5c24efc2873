/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is let in: asked once for each request, when its site and route are known and before anything is done for it. exchange.c
 * calls it, after the guard (guard.c), which also counts requests for what is not here.
 */
#include "http/http_private.h"

enum http_outcome http_admit(struct http_exchange *exchange)
{
	enum http_outcome outcome = http_access_admit(exchange);
	if (outcome == OUTCOME_OK)
		outcome = http_maintenance_admit(exchange);
	if (outcome == OUTCOME_OK)
		outcome = http_auth_admit(exchange);
	return outcome;
}
