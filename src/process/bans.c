/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bans: the supervisor's half of the table in which traffic counts what each address asks for (guard/): it makes it, hands it to
 * traffic and to the program that takes over, and tells an administrator who is banned.
 *
 * Runs in the supervisor; called by supervisor.c, children.c, take_over.c, control.c and status.c. The answers are JSON, which
 * command/bans.c puts into words.
 */
#include "http/http.h"
#include "process/status.h"

#include <errno.h>
#include <stdlib.h>

#define LISTED_MOST 10000u /* bans; an answer on the control socket has a bound */

/* ---- making and handing on ------------------------------------------------------------------------------------ */

void bans_begin(struct supervisor *supervisor, int descriptor)
{
	ASSERT(supervisor->guard == NULL);
	if (descriptor >= 0)
		supervisor->guard = guard_map(descriptor);
	if (descriptor >= 0 && supervisor->guard == NULL)
		log_write(LOG_WARNING, "bans of before the upgrade are forgotten: the former program kept them in another way");
	if (supervisor->guard == NULL)
		supervisor->guard = guard_new();
	if (supervisor->guard == NULL)
		log_write(LOG_ERROR, "no address is limited or banned: cannot make the table of addresses in shared memory: %m");
}

void bans_tell(struct supervisor *supervisor)
{
	if (supervisor->guard != NULL)
		child_send(supervisor, PROCESS_TRAFFIC, &(struct message){.type = MESSAGE_GUARD}, guard_descriptor(supervisor->guard));
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

/* The site or route whose limit has this scope; null: it is that of all sites, or the file has it no more. */
static json_t *limit_json(const struct cluster *cluster, uint32_t scope)
{
	char text[CLUSTER_NAME_SIZE + CLUSTER_PATH_SIZE + 64];
	for (uint32_t i = 0; i < cluster->site_count && scope != 0; i++) {
		const struct cluster_site *site = &cluster->sites[i];
		if (site->limits.requests.most > 0 && scope == http_guard_scope(site, NULL))
			return status_text(site->name);
		for (uint32_t j = 0; j < site->route_count; j++) {
			const struct cluster_route *route = &site->routes[j];
			if (!route->limits.requests_own || scope != http_guard_scope(site, route))
				continue;
			snprintf(text, sizeof text, "%s%s%s%s%s", site->name, route->path, route->type_count > 0 ? " *." : "",
			         route->type_count > 0 ? route->types[0] : "", route->type_count > 1 ? " ..." : "");
			return status_text(text);
		}
	}
	return json_null();
}

/* By the file that is in force: a reload may have taken the limits out, or exempted who is banned. The ban lasts all the same,
 * and counts again when they are back. */
static bool are_refused(const struct cluster *cluster)
{
	return cluster->visitors.connections_most > 0 || cluster_limits_requests(cluster);
}

static bool is_refused(const struct cluster *cluster, uint64_t number)
{
	char text[ADDRESS_TEXT_SIZE];
	struct address address;
	struct span whole = span_of_text(guard_address_text(number, text)), ip = span_cut(&whole, '/');
	return are_refused(cluster) &&
	       !(address_parse(ip, false, &address) && cluster_networks_contain(&cluster->visitors.exempt, &address));
}

static json_t *ban_json(const struct cluster *cluster, const struct guard_ban *ban)
{
	char text[ADDRESS_TEXT_SIZE];
	uint64_t now_us = clock_wall_us();
	json_t *json = json_object();
	json_object_set_new(json, "address", status_text(guard_address_text(ban->address, text)));
	json_object_set_new(json, "since", status_time(now_us - ban->lasted_ms * 1000));
	json_object_set_new(json, "until", status_time(now_us + ban->left_ms * 1000));
	json_object_set_new(json, "left_s", json_integer((json_int_t)((ban->left_ms + 999) / 1000)));
	json_object_set_new(json, "refused", json_integer(ban->refused));
	json_object_set_new(json, "for_all_sites", json_boolean(ban->scope == 0));
	json_object_set_new(json, "limit_of", limit_json(cluster, ban->scope));
	json_object_set_new(json, "in_force", json_boolean(is_refused(cluster, ban->address)));
	return json;
}

/* Who has to wait longest stands first. */
static int by_time_left(const void *a, const void *b)
{
	const struct guard_ban *first = a, *second = b;
	return first->left_ms < second->left_ms ? 1 : first->left_ms > second->left_ms ? -1 : 0;
}

char *bans_list(const struct supervisor *supervisor)
{
	struct guard_numbers numbers = {0};
	unsigned count = 0;
	struct guard_ban *bans = calloc(LISTED_MOST, sizeof *bans);
	if (bans == NULL)
		return NULL;
	if (supervisor->guard != NULL)
		count = guard_look(supervisor->guard, clock_monotonic_us(), bans, LISTED_MOST, &numbers);
	qsort(bans, count, sizeof *bans, by_time_left);
	json_t *json = json_object(), *list = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, ban_json(supervisor->cluster, &bans[i]));
	free(bans);
	json_object_set_new(json, "banned", json_integer((json_int_t)numbers.banned));
	json_object_set_new(json, "bans", list);
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

/* ---- lifting ---------------------------------------------------------------------------------------------------- */

/* "192.0.2.7", "2001:db8::7", "2001:db8::/64". 0: none of these. */
static uint64_t read_address(const char *text)
{
	static const char behind[] = "/64";
	struct address address;
	struct span span = span_of_text(text);
	if (span.size > sizeof behind - 1 && strchr(text, ':') != NULL && strcmp(text + span.size - (sizeof behind - 1), behind) == 0)
		span.size -= sizeof behind - 1;
	return address_parse(span, false, &address) && address.port == 0 ? guard_address(&address) : 0;
}

static char *lifted(const char *who)
{
	char *text = NULL;
	log_write(LOG_NOTICE, "%s: banned no more, an administrator has said so", who);
	return asprintf(&text, "%s: banned no more\n", who) < 0 ? NULL : text;
}

char *bans_lift(struct supervisor *supervisor, const char *address, bool *done)
{
	char who[ADDRESS_TEXT_SIZE];
	uint64_t number = 0;
	*done = false;
	if (supervisor->guard == NULL)
		return strdup("no address is banned\n");
	if (strcmp(address, "--all") == 0) {
		guard_unban_all(supervisor->guard, clock_monotonic_us());
		*done = true;
		return lifted("all addresses");
	}
	number = read_address(address);
	if (number == 0)
		return strdup("that is no IPv4 or IPv6 address\n");
	guard_address_text(number, who);
	*done = guard_unban(supervisor->guard, GUARD_LANE_SUPERVISOR, number, clock_monotonic_us());
	if (*done)
		return lifted(who);
	char *text = NULL;
	return asprintf(&text, "%s is not banned\n", who) < 0 ? NULL : text;
}

/* ---- for the status ----------------------------------------------------------------------------------------------- */

json_t *status_visitors(const struct supervisor *supervisor)
{
	struct guard_numbers numbers = {0};
	if (supervisor->guard == NULL)
		return json_null();
	if (are_refused(supervisor->cluster))
		(void)!guard_look(supervisor->guard, clock_monotonic_us(), NULL, 0, &numbers);
	json_t *json = json_object();
	json_object_set_new(json, "banned", json_integer((json_int_t)numbers.banned));
	json_object_set_new(json, "limited", json_integer((json_int_t)numbers.limited));
	json_object_set_new(json, "remembered", json_integer((json_int_t)numbers.remembered));
	return json;
}
