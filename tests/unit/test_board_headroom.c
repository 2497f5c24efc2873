/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Headroom: what is under way to a group, where its peak is kept, and what is left if one server were lost.
 */
#include "unit.h"

#include "board/board.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char three_servers[] = "cluster: test\n"
                                    "servers:\n"
                                    "  front: { address: 10.0.0.1 }\n"
                                    "  web1: { address: 10.0.0.11 }\n"
                                    "  web2: { address: 10.0.0.12 }\n"
                                    "  web3: { address: 10.0.0.13 }\n"
                                    "sites:\n"
                                    "  example.com:\n"
                                    "    on: [front]\n";

struct world {
	struct board *board;
	struct cluster *cluster;
	int descriptor;
	struct cluster_group *group; /* the first site's */
};

/* `site` is the rest of the site, from `apps` on. */
static struct world make(const char *site)
{
	static struct cluster_messages messages;
	struct world world;
	char text[4096];
	memset(&messages, 0, sizeof messages);
	int size = snprintf(text, sizeof text, "%s%s", three_servers, site);
	assert_in_range(size, 1, sizeof text - 1);
	world.cluster = cluster_load_text("test.yaml", span_of_text(text), CLUSTER_WHOLE, &messages);
	if (world.cluster == NULL)
		fail_msg("%s", messages.text[0]);
	world.cluster->generation = 1;
	world.board = board_new(2, &world.descriptor);
	assert_non_null(world.board);
	assert_true(board_reserve(world.board, world.cluster));
	world.group = &world.cluster->sites[0].group;
	for (unsigned row = 0; row < BOARD_TARGETS_MOST; row++)
		if (world.board->targets[row].key[0] != '\0')
			atomic_store(&world.board->targets[row].health, HEALTH_UP);
	return world;
}

static void drop(struct world *world)
{
	board_unmap(world->board);
	close(world->descriptor);
	cluster_free(world->cluster);
}

static struct board_target *target(struct world *world, unsigned app)
{
	int row = board_target_row(world->board, &world->group->check, &world->group->apps[app].address);
	assert_in_range(row, 0, BOARD_TARGETS_MOST - 1);
	return &world->board->targets[row];
}

static void set_peak(struct world *world, unsigned most)
{
	struct board_group found;
	board_group_find(world->board, world->group, &found);
	struct board_peak *peak = board_group_peak(world->board, &found, true);
	assert_non_null(peak);
	atomic_store(&peak->most, most);
}

/* The verdict; *headroom what it is made of. */
static bool look(struct world *world, struct board_headroom *headroom)
{
	return board_headroom_look(world->board, world->cluster, world->group, headroom);
}

static const char *loss(const struct world *world, const struct board_headroom *headroom)
{
	return headroom->loss == CLUSTER_NO_SERVER ? "" : world->cluster->servers[headroom->loss].name;
}

static void test_the_rest(void **state)
{
	struct board_headroom headroom;
	struct world world = make("    apps: [{ server: web1:80, connections: 30 }, { server: web2:80, connections: 20 }, { server: "
	                          "web3:80, connections: 10 }]\n");
	(void)state;
	assert_false(look(&world, &headroom));
	assert_true(headroom.known);
	assert_int_equal(headroom.capacity, 60);
	assert_int_equal(headroom.without_one, 30);
	assert_string_equal(loss(&world, &headroom), "web1");
	set_peak(&world, 30);
	assert_false(look(&world, &headroom));
	set_peak(&world, 31);
	assert_true(look(&world, &headroom));
	assert_int_equal(headroom.peak, 31);
	/* With web1 gone the next one counts. */
	atomic_store(&target(&world, 0)->health, HEALTH_DOWN);
	set_peak(&world, 10);
	assert_false(look(&world, &headroom));
	assert_int_equal(headroom.capacity, 30);
	assert_int_equal(headroom.without_one, 10);
	assert_string_equal(loss(&world, &headroom), "web2");
	assert_true(board_server_drain(world.board, "web2", true));
	assert_true(look(&world, &headroom)); /* nobody is left besides web3 */
	assert_int_equal(headroom.capacity, 10);
	assert_int_equal(headroom.without_one, 0);
	assert_string_equal(loss(&world, &headroom), "web3");
	assert_true(board_server_drain(world.board, "web2", false));
	assert_true(board_server_weigh(world.board, "web2", 0));
	assert_true(look(&world, &headroom));
	assert_true(board_server_weigh(world.board, "web2", 5)); /* full servers are passed over: its whole cap counts */
	assert_false(look(&world, &headroom));
	/* A server that fails is avoided. */
	atomic_store(&target(&world, 1)->avoid_until_us, UINT64_MAX);
	assert_true(look(&world, &headroom));
	drop(&world);
}

static void test_nothing_is_said_without_caps(void **state)
{
	struct board_headroom headroom;
	struct world world = make("    apps: [{ server: web1:80, connections: 30 }, web2:80]\n");
	(void)state;
	set_peak(&world, 1000);
	assert_false(look(&world, &headroom));
	assert_false(headroom.known);
	assert_int_equal(headroom.peak, 1000);
	drop(&world);
	world = make("    apps: [{ server: web1:80, connections: 30 }]\n"); /* one server, and the file has no other */
	set_peak(&world, 1000);
	assert_false(look(&world, &headroom));
	assert_true(headroom.known);
	assert_int_equal(headroom.loss, CLUSTER_NO_SERVER);
	drop(&world);
	world = make("    apps: [{ server: web1:80, connections: 30 }, { server: web1:81, connections: 30 }]\n");
	set_peak(&world, 1000);
	assert_false(look(&world, &headroom)); /* two ports of one machine */
	drop(&world);
}

static void test_a_machine_is_lost_with_all_its_ports(void **state)
{
	struct board_headroom headroom;
	struct world world = make("    connections: 10\n    apps: [web1:80, web1:81, web2:80]\n");
	(void)state;
	assert_false(look(&world, &headroom));
	assert_int_equal(headroom.capacity, 30);
	assert_int_equal(headroom.without_one, 10);
	assert_string_equal(loss(&world, &headroom), "web1");
	drop(&world);
}

static void test_backups(void **state)
{
	struct board_headroom headroom;
	struct world world = make("    apps: [{ server: web1:80, connections: 10 }, { server: web2:80, connections: 10 }, "
	                          "{ server: web3:80, connections: 4, backup: true }]\n");
	(void)state;
	assert_false(look(&world, &headroom));
	assert_int_equal(headroom.capacity, 20);
	assert_int_equal(headroom.without_one, 10);
	atomic_store(&target(&world, 0)->health, HEALTH_DOWN);
	assert_false(look(&world, &headroom));
	assert_int_equal(headroom.capacity, 10);
	assert_int_equal(headroom.without_one, 4); /* web2 lost: the backup serves */
	atomic_store(&target(&world, 1)->health, HEALTH_DOWN);
	assert_false(look(&world, &headroom));
	assert_int_equal(headroom.capacity, 4);
	assert_int_equal(headroom.without_one, 0);
	drop(&world);
	world = make("    apps: [{ server: web1:80, connections: 10 }, { server: web2:80, backup: true }]\n"); /* one without a cap */
	set_peak(&world, 1000);
	assert_false(look(&world, &headroom));
	assert_true(headroom.known);
	assert_int_equal(headroom.without_one, UINT_MAX);
	drop(&world);
}

static void test_under_way(void **state)
{
	struct board_group found;
	struct world world = make("    apps: [{ server: web1:80, connections: 10 }, web2:80]\n");
	(void)state;
	board_group_find(world.board, world.group, &found);
	assert_int_equal(board_group_under_way(world.board, &found), 0);
	assert_null(found.gates[1]);
	/* Where there is a cap, connections in use count, on all lanes; elsewhere what the target has under way. */
	struct board_gate *gate = board_find_gate(world.board, &world.group->apps[0].address);
	assert_non_null(gate);
	atomic_store(&gate->held[0], 5);
	atomic_store(&gate->idle[0], 2);
	atomic_store(&gate->held[1], 1);
	atomic_store(&gate->idle[1], 3); /* read a moment later */
	atomic_store(&world.board->lanes[0].active[found.rows[0]], 100);
	atomic_store(&world.board->lanes[0].active[found.rows[1]], 6);
	atomic_store(&world.board->lanes[1].active[found.rows[1]], 1);
	assert_int_equal(board_group_under_way(world.board, &found), 3 + 7);
	atomic_store(&world.board->lanes[1].active[found.rows[1]], -50);
	assert_int_equal(board_group_under_way(world.board, &found), 3);
	drop(&world);
}

/* Groups that begin with the same server are told apart, and what finds no place is not kept. */
static void test_places_of_peaks(void **state)
{
	struct world world = make("    apps: [web1:80, web2:80]\n");
	struct board_group found, others[BOARD_PEAKS];
	(void)state;
	board_group_find(world.board, world.group, &found);
	assert_null(board_group_peak(world.board, &found, false));
	set_peak(&world, 7);
	for (unsigned i = 0; i < BOARD_PEAKS; i++) {
		others[i] = found;
		others[i].hash = found.hash + 1 + i;
		struct board_peak *peak = board_group_peak(world.board, &others[i], true);
		if (i + 1 < BOARD_PEAKS) {
			assert_non_null(peak);
			assert_int_equal(atomic_load(&peak->most), 0);
		} else {
			assert_null(peak);
		}
	}
	assert_int_equal(atomic_load(&board_group_peak(world.board, &found, false)->most), 7);
	found.rows[0] = -1;
	assert_null(board_group_peak(world.board, &found, true));
	drop(&world);
	/* Order and check belong to a group's identity. */
	struct board_group again;
	world = make("    apps: [web1:80, web2:80]\n    check: { get: /a }\n");
	board_group_find(world.board, world.group, &found);
	drop(&world);
	world = make("    apps: [web1:80, web2:80]\n    check: { get: /b }\n");
	board_group_find(world.board, world.group, &again);
	assert_int_not_equal(found.hash, again.hash);
	drop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_rest),
	    cmocka_unit_test(test_nothing_is_said_without_caps),
	    cmocka_unit_test(test_a_machine_is_lost_with_all_its_ports),
	    cmocka_unit_test(test_backups),
	    cmocka_unit_test(test_under_way),
	    cmocka_unit_test(test_places_of_peaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
