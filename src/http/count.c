/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request that has ended adds to the counters on the board: this thread's, and those of its site. Called by exchange.c
 * once for each request, just before its line goes to the access log: lines and counters say the same.
 */
#include "http/route.h"

#define STATUS_TUNNEL 101

static void count_answer(struct board_lane *lane, int status)
{
	switch (status / 100) {
	case 2:
		BOARD_COUNT(lane, answers_2xx, 1);
		break;
	case 3:
		BOARD_COUNT(lane, answers_3xx, 1);
		break;
	case 4:
		BOARD_COUNT(lane, answers_4xx, 1);
		break;
	case 5:
		BOARD_COUNT(lane, answers_5xx, 1);
		break;
	}
}

/* NULL: no site, or the board had no row for it. */
static struct board_site_lane *site_lane(const struct http_exchange *exchange)
{
	if (exchange->site == NULL)
		return NULL;
	const struct http_routes *routes = exchange->routes;
	int row = routes->sites[exchange->site - routes->view->cluster->sites].board_row;
	return row < 0 ? NULL : &exchange->core->lane->sites[row];
}

static void count_site_answer(struct board_site_lane *site, int status)
{
	switch (status / 100) {
	case 1:
		BOARD_COUNT(site, answers_1xx, 1);
		break;
	case 2:
		BOARD_COUNT(site, answers_2xx, 1);
		break;
	case 3:
		BOARD_COUNT(site, answers_3xx, 1);
		break;
	case 4:
		BOARD_COUNT(site, answers_4xx, 1);
		break;
	case 5:
		BOARD_COUNT(site, answers_5xx, 1);
		break;
	}
}

/* Into the first bucket that it does not exceed. */
static void count_time(struct board_site_lane *site, uint64_t took_us)
{
	_Atomic uint64_t *bucket = &site->took_5ms;

	BOARD_COUNT(site, took_us, took_us);
	for (unsigned i = 0; i < BOARD_SITE_BUCKETS; i++) {
		if (took_us <= board_site_bucket_us[i]) {
			atomic_store_explicit(&bucket[i], atomic_load_explicit(&bucket[i], memory_order_relaxed) + 1, memory_order_relaxed);
			return;
		}
	}
}

static void count_site(struct board_site_lane *site, const struct http_exchange *exchange)
{
	uint64_t in, out;

	exchange->visitor->count_bytes(exchange, &in, &out);
	BOARD_COUNT(site, ended, 1);
	if (!exchange->answer_whole)
		BOARD_COUNT(site, failed, 1);
	count_site_answer(site, exchange->status);
	BOARD_COUNT(site, bytes_in, in);
	BOARD_COUNT(site, bytes_out, out);
	if (exchange->status != STATUS_TUNNEL) /* how long visitors talk is no measure of how fast they are answered */
		count_time(site, exchange_now_us(exchange) - exchange->started_us);
}

void http_count_exchange(const struct http_exchange *exchange)
{
	struct board_lane *lane = exchange->core->lane;
	struct board_site_lane *site = site_lane(exchange);

	if (exchange->answer_whole)
		BOARD_COUNT(lane, requests, 1);
	else
		BOARD_COUNT(lane, requests_failed, 1);
	count_answer(lane, exchange->status);
	if (site != NULL)
		count_site(site, exchange);
	if (site != NULL && exchange->maintenance)
		BOARD_COUNT(site, maintenance, 1);
}
