/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Maintenance: while an administrator says so (`noah maintenance on SITE`), a site's visitors get 503 and a page instead of what
 * they asked for. The supervisor writes on the board until when; here each request looks. admit.c calls it, in the traffic
 * threads.
 *
 * What has begun goes on: requests under way, tunnels (WebSocket) until they end. Health checks are not visitors.
 */
#include "http/route.h"

#define RETRY_FOR_EVER_S   300u /* where nobody has said when it ends */
#define RETRY_AFTER_MOST_S 86400u

/* Certificates are renewed meanwhile. Exactly one more part behind the prefix, of the letters that tokens are made of: nothing
 * else of the site is reached so. */
static bool is_acme_challenge(const struct http_exchange *exchange)
{
	struct span path = http_text(&exchange->request.head, exchange->request.path), prefix = SPAN(HTTP_ACME_PATH);

	if (!span_starts_with(path, prefix) || path.size == prefix.size)
		return false;
	for (size_t i = prefix.size; i < path.size; i++) {
		char c = path.start[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

enum http_outcome http_maintenance_admit(struct http_exchange *exchange)
{
	int row = exchange->entry->board_row;

	if (UNLIKELY(row < 0))
		return OUTCOME_OK;
	uint64_t until_us =
	    atomic_load_explicit(&exchange->core->upstream.board->sites[row].maintenance_until_us, memory_order_relaxed);
	if (LIKELY(until_us <= exchange_now_us(exchange)) || is_acme_challenge(exchange))
		return OUTCOME_OK;
	exchange->maintenance = true;
	exchange->retry_after_s = RETRY_FOR_EVER_S;
	if (until_us != BOARD_FOR_EVER) {
		uint64_t left_s = (until_us - exchange_now_us(exchange) + 999999u) / 1000000u;
		exchange->retry_after_s = left_s < RETRY_AFTER_MOST_S ? (uint32_t)left_s : RETRY_AFTER_MOST_S;
	}
	return OUTCOME_MAINTENANCE;
}
