/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What `noah status` says of the most that a site, route or service had under way lately, and whether the rest of its servers
 * could carry it if one were lost. Runs in the supervisor; status_targets.c calls it.
 */
#include "process/status.h"

#include <limits.h>

static void warn(const struct supervisor *supervisor, const struct board_headroom *headroom, const char *what, json_t *warnings)
{
	char text[CLUSTER_NAME_SIZE * 2 + CLUSTER_PATH_SIZE + 256], rest[64] = "nobody else would be left";
	if (headroom->without_one > 0)
		snprintf(rest, sizeof rest, "the others may have %u", headroom->without_one);
	snprintf(text, sizeof text,
	         "%s: the loss of %s would overload the rest: up to %u requests were under way or in line at once in the last %u "
	         "minutes, %s",
	         what, supervisor->cluster->servers[headroom->loss].name, headroom->peak, BOARD_PEAK_MINUTES, rest);
	json_array_append_new(warnings, status_text(text));
}

static json_t *number_or_null(bool known, unsigned number)
{
	return known && number != UINT_MAX ? json_integer(number) : json_null();
}

json_t *status_headroom(const struct supervisor *supervisor, const struct cluster_group *group, const char *what,
                        json_t *warnings)
{
	struct board_headroom headroom;
	if (group->app_count == 0)
		return json_null();
	bool too_little = board_headroom_look(supervisor->board, supervisor->cluster, group, &headroom);
	bool known = headroom.known && headroom.loss != CLUSTER_NO_SERVER;
	json_t *json = json_object();
	json_object_set_new(json, "peak", json_integer(headroom.peak));
	json_object_set_new(json, "minutes", json_integer(BOARD_PEAK_MINUTES));
	json_object_set_new(json, "capacity", number_or_null(headroom.known, headroom.capacity));
	json_object_set_new(json, "loss", known ? status_text(supervisor->cluster->servers[headroom.loss].name) : json_null());
	json_object_set_new(json, "without_one", number_or_null(known, headroom.without_one));
	json_object_set_new(json, "enough", known ? json_boolean(!too_little) : json_null());
	if (too_little && supervisor->announced)
		warn(supervisor, &headroom, what, warnings);
	return json;
}
