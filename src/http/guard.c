/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Too much from one address (`visitors` and `requests` of the cluster file): counts connections and requests in the table that
 * all cores and program generations share (guard/), and refuses what is too much. In the traffic threads; core.c asks when a
 * connection is accepted, exchange.c for each request, also for what is not here. Where the file limits nothing, both cost the
 * look at one pointer.
 */
#include "guard/guard.h"
#include "http/route.h"

#include <stdio.h>
#include <unistd.h>

#define REFUSED_MOST 128u /* connections of one core that are being told why; further ones are just closed */
#define WORDS_SIZE   400u

/* ---- what is limited ---------------------------------------------------------------------------------------------- */

void http_guard_use_routes(struct http_core *core)
{
	const struct cluster *cluster = core->routes != NULL ? core->routes->view->cluster : NULL;
	bool limited = cluster != NULL && (cluster->visitors.connections_most > 0 || cluster_limits_requests(cluster));

	core->guard = limited ? core->guard_table : NULL;
}

void http_core_use_guard(struct http_core *core, struct guard *guard, unsigned lane)
{
	CHECK_MAGIC(core, HTTP_CORE_MAGIC);
	core->guard_table = guard;
	core->guard_lane = lane;
	http_guard_use_routes(core);
}

/* 0: he is not counted. Of a front end come its checks, and whatever it fails to say a visitor's address of; if those made it
 * banned, it would take this server for dead. */
static uint64_t counted_address(const struct http_origin *origin, const struct cluster *cluster)
{
	struct address address;
	http_origin_address(origin, &address);
	uint64_t number = guard_address(&address);
	if (number == 0 || http_origin_is_in(origin, &cluster->visitors.exempt) ||
	    http_origin_is_in(origin, &cluster->front_ends.from))
		return 0;
	return number;
}

/* ---- words -------------------------------------------------------------------------------------------------------- */

/* "192.0.2.7 asked more than 100 requests in 10s" and of what, if not of all sites. */
static void say_why(const struct http_exchange *exchange, uint64_t address, const struct guard_limit *limit, char out[WORDS_SIZE])
{
	char who[ADDRESS_TEXT_SIZE], period[CLUSTER_DURATION_SIZE];
	bool of_site = limit->scope != 0, of_route = of_site && exchange->limits->requests_own;
	snprintf(out, WORDS_SIZE, "%s sent more than %u requests in %s%s%s%s", guard_address_text(address, who), limit->most,
	         cluster_duration_format(limit->period_ms, period), of_site ? " to " : "", of_site ? exchange->site->name : "",
	         of_route ? exchange->route->path : "");
}

uint32_t http_guard_scope(const struct cluster_site *site, const struct cluster_route *route)
{
	if (route == NULL)
		return guard_scope(site->name, "", span_of(NULL, 0));
	return guard_scope(site->name, route->path, span_of(route->types, route->type_count * sizeof(route->types[0])));
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

static void site_limit(const struct http_exchange *exchange, struct guard_limit *limit)
{
	if (exchange->limits == NULL || exchange->limits->requests.most == 0)
		return;
	limit->most = exchange->limits->requests.most;
	limit->period_ms = exchange->limits->requests.period_ms;
	limit->scope = http_guard_scope(exchange->site, exchange->limits->requests_own ? exchange->route : NULL);
}

static enum http_outcome refuse(struct http_exchange *exchange, uint64_t address, const struct guard_limit *limits,
                                uint64_t ban_ms, const struct guard_answer *answer)
{
	char why[WORDS_SIZE], time[CLUSTER_DURATION_SIZE];

	if (answer->verdict == GUARD_BANNED) {
		BOARD_COUNT(exchange->core->lane, requests_banned, 1);
		snprintf(exchange->detail, sizeof(exchange->detail), "banned for another %ju s",
		         (uintmax_t)(answer->wait_ms + 999) / 1000);
		return OUTCOME_BANNED;
	}
	BOARD_COUNT(exchange->core->lane, requests_limited, 1);
	exchange->retry_after_s = (answer->wait_ms + 999) / 1000;
	say_why(exchange, address, &limits[answer->over_limit], why);
	snprintf(exchange->detail, sizeof(exchange->detail), "%s", why);
	if (answer->banned_now) {
		BOARD_COUNT(exchange->core->lane, bans, 1);
		LOG_LIMITED(LOG_NOTICE, 100, "%s: banned for %s", why, cluster_duration_format(ban_ms, time));
	}
	return OUTCOME_TOO_MANY;
}

static enum http_outcome ask(struct http_exchange *exchange, struct guard *guard)
{
	const struct cluster *cluster = exchange->routes->view->cluster;
	const struct cluster_visitors *visitors = &cluster->visitors;
	uint64_t address = counted_address(exchange->origin, cluster);
	struct guard_limit limits[2] = {{.most = visitors->requests.most, .period_ms = visitors->requests.period_ms}, {0}};
	struct guard_answer answer;

	if (address == 0)
		return OUTCOME_OK;
	site_limit(exchange, &limits[1]);
	guard_request(guard, exchange->core->guard_lane, address, limits, visitors->ban_ms, exchange_now_us(exchange), &answer);
	if (answer.uncounted)
		BOARD_COUNT(exchange->core->lane, visitors_uncounted, 1);
	return answer.verdict == GUARD_LET_IN ? OUTCOME_OK : refuse(exchange, address, limits, visitors->ban_ms, &answer);
}

enum http_outcome http_guard_admit(struct http_exchange *exchange)
{
	struct guard *guard = exchange->core->guard;
	return LIKELY(guard == NULL) ? OUTCOME_OK : ask(exchange, guard);
}

/* ---- connections ---------------------------------------------------------------------------------------------------- */

bool http_guard_accepts(struct http_client *client)
{
	struct http_core *core = client->core;
	bool is_dear = client->insecure; /* telling a banned one why costs a TLS handshake */

	if (LIKELY(core->guard == NULL))
		return true;
	const struct cluster *cluster = core->routes->view->cluster;
	uint64_t address = counted_address(&client->origin, cluster);
	if (address == 0) /* also a front end: its connections are other people's */
		return true;
	unsigned most = cluster->visitors.connections_most;
	enum guard_verdict verdict =
	    guard_connect(core->guard, core->guard_lane, address, most, is_dear, loop_now_us(core->loop), &client->counted);
	if (verdict == GUARD_LET_IN)
		return true;
	BOARD_COUNT(core->lane, connections_limited, 1);
	if (verdict == GUARD_TOO_MANY)
		LOG_LIMITED(LOG_NOTICE, 1000, "a connection of %s refused: it has %u already", client->origin.text, most);
	client->refused = verdict == GUARD_TOO_MANY && !is_dear && core->refused_count < REFUSED_MOST;
	return client->refused;
}

static void tell_why(void *argument)
{
	static const char head[] = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/html; charset=utf-8\r\n"
	                           "Cache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
	static const char page[] =
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>429 Too Many Requests</title></head>\n"
	    "<body>\n<h1>Too Many Requests</h1>\n<p>Too many connections of your address are open at once. Please close some, or try "
	    "again in a moment.</p>\n<p>429, noah</p>\n</body>\n</html>\n";
	struct http_client *client = argument;
	struct http_core *core = client->core;
	struct iovec parts[2] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = sizeof head - 1},
	                         {.iov_base = (void *)(uintptr_t)page, .iov_len = sizeof page - 1}};

	CHECK_MAGIC(client, HTTP_CLIENT_MAGIC);
	(void)!stream_write(&client->stream, parts, 2, HTTP_LINGER_MS); /* he may have left */
	http_client_close(client, FATE_GENTLE);
	core->refused_count--;
}

void http_guard_tell(struct http_client *client)
{
	struct http_core *core = client->core;

	ASSERT(client->refused);
	if (task_start(core->loop, "refused", tell_why, client) == NULL)
		http_client_close(client, FATE_CLOSE);
	else
		core->refused_count++;
}

void http_guard_left(struct http_client *client)
{
	struct address address;

	if (LIKELY(!client->counted))
		return;
	client->counted = false;
	http_origin_address(&client->origin, &address);
	guard_disconnect(client->core->guard_table, client->core->guard_lane, guard_address(&address));
}
