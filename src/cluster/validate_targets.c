/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate_targets: addresses that several sites, routes and services use are checked and limited in one way. Called by
 * validate.c.
 */
#include "cluster/load.h"

#include <stdio.h>
#include <stdlib.h>

/* A checked address, with the one that named it first; or a limited one. */
struct target {
	char key[CLUSTER_TARGET_KEY_SIZE]; /* of a check; "" for a limit */
	const struct address *address;
	uint32_t connections_most;
	const struct cluster_check *check;
	const char *kind, *name; /* of the site or service */
};

struct targets {
	struct target *items;
	uint32_t used, room;
};

static bool same_timing(const struct cluster_check *a, const struct cluster_check *b)
{
	return a->every_ms == b->every_ms && a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

/* The target with this key; NULL when there is none. */
static struct target *find_check(const struct targets *targets, const char *key)
{
	for (uint32_t i = 0; i < targets->used; i++)
		if (strcmp(targets->items[i].key, key) == 0)
			return &targets->items[i];
	return NULL;
}

static struct target *find_address(const struct targets *targets, const struct address *address)
{
	for (uint32_t i = 0; i < targets->used; i++)
		if (address_equal(targets->items[i].address, address))
			return &targets->items[i];
	return NULL;
}

static struct target *add_target(struct targets *targets, const struct cluster_walk *walk, const struct cluster_app *app)
{
	if (targets->used == targets->room)
		return NULL;
	struct target *target = &targets->items[targets->used++];
	*target = (struct target){.address = &app->address,
	                          .connections_most = app->connections_most,
	                          .check = &walk->group->check,
	                          .kind = walk->service != NULL ? "service" : "site",
	                          .name = walk->name};
	return target;
}

/* Equal checks of one address are made once, for all: so they must agree how often. False when the board has no more room. */
static bool compare_check(struct load *load, struct targets *targets, const struct cluster_walk *walk, uint32_t index)
{
	const struct cluster_app *app = &walk->group->apps[index];
	char key[CLUSTER_TARGET_KEY_SIZE];
	struct place place;
	cluster_target_key(&walk->group->check, &app->address, key);
	const struct target *other = find_check(targets, key);
	place_of_walk(&place, walk);
	if (other == NULL) {
		struct target *target = add_target(targets, walk, app);
		if (target != NULL)
			memcpy(target->key, key, sizeof(key));
		else
			load_report_at(load, place_at(&place, place_servers(&place), NULL),
			               "more than %u apps and databases are to be checked", CLUSTER_TARGETS_MOST);
		return target != NULL;
	}
	if (!same_timing(other->check, &walk->group->check))
		load_report_at(
		    load, place_at(&place, "check", NULL),
		    "%s:%u is checked in the same way by %s %s, but with other every, timeout, rise or fall; write the same there",
		    load->cluster->servers[app->server].name, app->address.port, other->kind, other->name);
	return true;
}

/* A limit counts everything that goes to the address, so there is one. */
static void compare_cap(struct load *load, struct targets *targets, const struct cluster_walk *walk, uint32_t index)
{
	const struct cluster_app *app = &walk->group->apps[index];
	const struct target *other = find_address(targets, &app->address);
	struct place place;
	char text[32] = "no limit";
	if (other == NULL) {
		(void)add_target(targets, walk, app); /* no room: there were too many checks, too */
		return;
	}
	if (other->connections_most == app->connections_most)
		return;
	if (other->connections_most > 0)
		snprintf(text, sizeof(text), "at most %u", other->connections_most);
	place_of_walk(&place, walk);
	load_report_element(load, place_at(&place, place_servers(&place), NULL), index,
	                    "%s:%u has %s connections in %s %s; one address has one limit, so write the same `connections` there",
	                    load->cluster->servers[app->server].name, app->address.port, text, other->kind, other->name);
}

static void compare_all(struct load *load, struct targets *checks, struct targets *caps)
{
	struct cluster_walk walk = {0};
	while (cluster_walk_groups(load->cluster, &walk))
		for (uint32_t i = 0; i < walk.group->app_count; i++) {
			if (!compare_check(load, checks, &walk, i))
				return;
			compare_cap(load, caps, &walk, i);
		}
}

void load_validate_targets(struct load *load)
{
	const struct cluster *cluster = load->cluster;
	uint32_t databases = 0; /* at most 16 times 32 */
	for (uint32_t i = 0; i < cluster->database_count; i++)
		databases += cluster->databases[i].server_count;
	struct targets checks = {.items = calloc(CLUSTER_TARGETS_MOST, sizeof(*checks.items))};
	struct targets caps = {.items = calloc(CLUSTER_TARGETS_MOST, sizeof(*caps.items)), .room = CLUSTER_TARGETS_MOST};
	checks.room = databases < CLUSTER_TARGETS_MOST ? CLUSTER_TARGETS_MOST - databases : 0;
	if (checks.items != NULL && caps.items != NULL)
		compare_all(load, &checks, &caps);
	else
		report_add(load->report, 0, 0, "", "out of memory");
	free(checks.items);
	free(caps.items);
}
