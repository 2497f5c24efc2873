/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which page goes with an answer of noah's own (pages.c); answer.c sends it.
 */
#ifndef NOAH_HTTP_PAGES_H
#define NOAH_HTTP_PAGES_H

#include "http/http_private.h"

#define HTTP_PAGE_MOST 3072u /* of noah's own; a site's own have CLUSTER_PAGE_MOST_BYTES */

struct http_own_page {
	struct span text;         /* in the caller's buffer, the snapshot or the task's arena */
	struct span content_type; /* a literal */
};

/* The page for this status (an error's): the site's own if there is one, and in the form that the visitor's Accept prefers. Gives
 * the exchange its reference. */
void http_page_choose(struct http_exchange *exchange, int status, char buffer[HTTP_PAGE_MOST], struct http_own_page *page);

#endif
