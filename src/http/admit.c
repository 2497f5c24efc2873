/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is let in: asked once for each request, when its site and route are known and before anything is done for it. exchange.c
 * calls it.
 */
#include "http/http_private.h"

enum http_outcome http_admit(struct http_exchange *exchange)
{
	return http_maintenance_admit(exchange);
}
