/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_group: what must hold between the keys of servers that do the same work, wherever they stand: in a site, a route, a
 * service. Called by validate.c and its parts.
 *
 * A key that is written and would have no effect is an error: whoever wrote it believes that it has one.
 */
#include "cluster/load.h"
#include "cluster/values.h"

void load_validate_timing(struct load *load, const struct cluster_check *check, const char *const *timeout)
{
	char every[VALUE_TEXT_SIZE], limit[VALUE_TEXT_SIZE];
	if (check->timeout_ms > check->every_ms)
		load_report_at(load, timeout, "a check may take %s, but the next begins after %s; make `timeout` at most `every`",
		               value_format_duration(check->timeout_ms, limit), value_format_duration(check->every_ms, every));
}

void load_validate_apps(struct load *load, const struct cluster_app *apps, uint32_t count, const char *const *parts)
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (apps[i].server == apps[j].server && apps[i].address.port == apps[j].address.port)
				load_report_element(load, parts, i, "%s:%u stands here twice", load->cluster->servers[apps[i].server].name,
				                    apps[i].address.port);
}

static void validate_check(struct load *load, const struct cluster_group *group, struct place *place)
{
	static const char *const need_get[] = {"status", "md5", "sha256", "host"};
	bool is_http = group->check.kind == CHECK_HTTP;
	for (unsigned i = 0; i < COUNT_OF(need_get); i++)
		if (!is_http && load_has(load, place_at(place, "check", need_get[i])))
			load_report_at(load, place_at(place, "check", need_get[i]),
			               "is only for a check by HTTP; add for example `get: /servercheck.txt`");
	if (load_has(load, place_at(place, "check", "get")) && load_has(load, place_at(place, "check", "tcp")))
		load_report_at(load, place_at(place, "check", "tcp"), "a check is either `get` or `tcp`; take one of them out");
	if (load_has(load, place_at(place, "check", "md5")) && load_has(load, place_at(place, "check", "sha256")))
		load_report_at(load, place_at(place, "check", "sha256"), "a check has either `md5` or `sha256`; take one of them out");
	load_validate_timing(load, &group->check, place_at(place, "check", "timeout"));
}

static void validate_balance(struct load *load, const struct cluster_group *group, struct place *place)
{
	if (group->balance != BALANCE_HASH && load_has(load, place_at(place, "hash", NULL)))
		load_report_at(load, place_at(place, "hash", NULL), "has an effect only with `balance: hash`; take one of them out");
}

static void validate_queue(struct load *load, const struct cluster_group *group, struct place *place)
{
	if (!load_has(load, place_at(place, "queue", NULL)))
		return;
	for (uint32_t i = 0; i < group->app_count; i++)
		if (group->apps[i].connections_most > 0)
			return;
	if (group->app_count > 0)
		load_report_at(load, place_at(place, "queue", NULL),
		               "nobody ever waits, because nothing is limited; add for example `connections: 10`");
}

static void validate_backups(struct load *load, const struct cluster_group *group, struct place *place)
{
	for (uint32_t i = 0; i < group->app_count; i++)
		if (!group->apps[i].backup)
			return;
	if (group->app_count > 0)
		load_report_at(load, place_at(place, place_servers(place), NULL),
		               "all of them are `backup`; those that do the work are not");
}

void load_validate_group(struct load *load, const struct cluster_group *group, struct place *place)
{
	load_validate_apps(load, group->apps, group->app_count, place_at(place, place_servers(place), NULL));
	validate_backups(load, group, place);
	validate_balance(load, group, place);
	validate_check(load, group, place);
	validate_queue(load, group, place);
}
