/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The board's layout: during an upgrade two program versions read one board. What stands here was released once and never
 * changes; a new field or table gets a new line.
 */
#include "unit.h"

#include "board/board.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	size_t is, was;
} golden[] = {
#define AT(type, member, offset) {#type "." #member, offsetof(struct type, member), offset}
#define SIZE(type, size) {"size of " #type, sizeof(struct type), size}
    AT(board, magic, 0),
    AT(board, version, 4),
    AT(board, size, 8),
    AT(board, lane_count, 12),
    AT(board, generation, 16),
    AT(board, started_wall_us, 24),
    AT(board, watch_beat_us, 32),
    AT(board, restarts, 40),
    AT(board, target_rows, 104),
    AT(board, gate_rows, 108),
    AT(board, certificate_count, 112),
    AT(board, tickets, 192),
    AT(board, lane_beat_us, 2048),
    AT(board, databases, 4096),
    AT(board, servers, 36864),
    AT(board, targets, 53248),
    AT(board, lanes, 2150400),
    AT(board, gates, 18927616),
    AT(board, sites, 35704832),
    AT(board, certificates, 35737600),

    SIZE(board_text, 204),
    SIZE(board_database, 1024),
    AT(board_database, name, 0),
    AT(board_database, primary, 64),
    AT(board_database, reason, 72),
    AT(board_database, accounts_version, 280),
    AT(board_database, last_generation, 288),

    SIZE(board_server, 256),
    AT(board_server, name, 0),
    AT(board_server, last_generation, 64),
    AT(board_server, drained, 72),
    AT(board_server, weight_percent, 76),
    AT(board_server, changed_wall_us, 80),

    SIZE(board_target, 2048),
    AT(board_target, key, 0),
    AT(board_target, last_generation, 128),
    AT(board_target, health, 136),
    AT(board_target, streak, 140),
    AT(board_target, changed_wall_us, 144),
    AT(board_target, checked_wall_us, 152),
    AT(board_target, check_took_us, 160),
    AT(board_target, reason, 164),
    AT(board_target, role, 368),
    AT(board_target, lag_ms, 372),
    AT(board_target, position, 376),
    AT(board_target, version, 580),
    AT(board_target, failures, 784),
    AT(board_target, avoid_until_us, 792),
    AT(board_target, service, 800),
    AT(board_target, address, 808),
    AT(board_target, up_since_us, 920),
    AT(board_target, latency_us, 928),
    AT(board_target, latency_at_us, 936),
    AT(board_target, peaks, 944),

    SIZE(board_peak, 8),
    AT(board_peak, group, 0),
    AT(board_peak, most, 4),

    SIZE(board_lane, 65536),
    AT(board_lane, connections_accepted, 0),
    AT(board_lane, connections_open, 8),
    AT(board_lane, requests, 16),
    AT(board_lane, answers_1xx, 24),
    AT(board_lane, answers_2xx, 32),
    AT(board_lane, answers_3xx, 40),
    AT(board_lane, answers_4xx, 48),
    AT(board_lane, answers_5xx, 56),
    AT(board_lane, requests_failed, 64),
    AT(board_lane, retries, 72),
    AT(board_lane, server_connections_opened, 80),
    AT(board_lane, server_connections_reused, 88),
    AT(board_lane, sessions_accepted, 96),
    AT(board_lane, sessions_open, 104),
    AT(board_lane, sessions_refused, 112),
    AT(board_lane, statements, 120),
    AT(board_lane, statements_read, 128),
    AT(board_lane, reads_replica, 136),
    AT(board_lane, reads_waited, 144),
    AT(board_lane, reads_too_late, 152),
    AT(board_lane, reads_stale, 160),
    AT(board_lane, positions_asked, 168),
    AT(board_lane, statements_rerun, 176),
    AT(board_lane, statements_failed, 184),
    AT(board_lane, log_lines_lost, 192),
    AT(board_lane, queue_waited, 200),
    AT(board_lane, queue_refused, 208),
    AT(board_lane, queue_timeouts, 216),
    AT(board_lane, tunnels_open, 224),
    AT(board_lane, services_accepted, 232),
    AT(board_lane, services_open, 240),
    AT(board_lane, services_failed, 248),
    AT(board_lane, services_bytes_in, 256),
    AT(board_lane, services_bytes_out, 264),
    AT(board_lane, active, 2048),
    AT(board_lane, served, 6144),
    AT(board_lane, sites, 14336),

    SIZE(board_site_lane, 256),
    AT(board_site_lane, ended, 0),
    AT(board_site_lane, failed, 8),
    AT(board_site_lane, answers_1xx, 16),
    AT(board_site_lane, answers_2xx, 24),
    AT(board_site_lane, answers_3xx, 32),
    AT(board_site_lane, answers_4xx, 40),
    AT(board_site_lane, answers_5xx, 48),
    AT(board_site_lane, bytes_in, 56),
    AT(board_site_lane, bytes_out, 64),
    AT(board_site_lane, took_us, 72),
    AT(board_site_lane, took_5ms, 80),
    AT(board_site_lane, took_10s, 160),
    AT(board_site_lane, maintenance, 168),

    SIZE(board_certificate, 256),
    AT(board_certificate, what, 0),
    AT(board_certificate, not_after_s, 208),

    SIZE(board_site, 256),
    AT(board_site, name, 0),
    AT(board_site, last_generation, 64),
    AT(board_site, recent_ended, 72),
    AT(board_site, recent_errors, 76),
    AT(board_site, maintenance_until_us, 80),
    AT(board_site, maintenance_since_us, 88),

    SIZE(board_gate, 16384),
    AT(board_gate, address, 0),
    AT(board_gate, last_generation, 112),
    AT(board_gate, connections_most, 120),
    AT(board_gate, lock, 124),
    AT(board_gate, queued, 128),
    AT(board_gate, full_since_us, 136),
    AT(board_gate, held, 1024),
    AT(board_gate, idle, 2048),
    AT(board_gate, queue, 4096),
#undef AT
#undef SIZE
};

static void test_nothing_has_moved(void **state)
{
	(void)state;
	assert_int_equal(BOARD_VERSION, 2);
	for (size_t i = 0; i < COUNT_OF(golden); i++)
		if (golden[i].is != golden[i].was)
			fail_msg("%s is at %zu, was at %zu", golden[i].name, golden[i].is, golden[i].was);
}

static off_t resident_bytes(int descriptor)
{
	struct stat status;
	assert_int_equal(fstat(descriptor, &status), 0);
	return status.st_blocks * 512;
}

/* 35 MB of room, and a small site touches some pages of them. */
static void test_room_costs_no_memory(void **state)
{
	int descriptor;
	struct board *board = board_new(2, &descriptor);
	struct cluster *cluster = calloc(1, sizeof *cluster);

	(void)state;
	assert_non_null(board);
	assert_non_null(cluster);
	cluster->generation = 1;
	cluster->server_count = 2;
	strcpy(cluster->servers[0].name, "web1");
	strcpy(cluster->servers[1].name, "web2");
	cluster->site_count = 1;
	cluster->sites[0].group.app_count = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct cluster_app *app = &cluster->sites[0].group.apps[i];
		app->address = (struct address){.family = ADDRESS_IPV4, .port = 80, .ip = {10, 0, 0, (uint8_t)(i + 1)}};
		app->connections_most = 10;
	}
	assert_true(board_reserve(board, cluster));
	for (unsigned i = 0; i < 2; i++) {
		board_lane_restart(board, &board->lanes[i]);
		BOARD_COUNT(&board->lanes[i], requests, 1);
		assert_true(board_gate_try(board, &board->gates[i], i));
	}
	for (unsigned i = 0; i < board_counter_count; i++)
		assert_true(board_sum(board, i) <= 2);
	assert_int_equal(board_target_active(board, 0), 0);
	assert_int_equal(board_target_served(board, 1), 0);
	assert_null(board_find_server(board, "web3"));
	assert_in_range(resident_bytes(descriptor), 4096, 128 * 1024);
	free(cluster);
	board_unmap(board);
	close(descriptor);
}

static struct board *header_of(int *descriptor, off_t size)
{
	*descriptor = memfd_create("board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(*descriptor >= 0);
	assert_int_equal(ftruncate(*descriptor, size), 0);
	assert_int_equal(fcntl(*descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, *descriptor, 0);
	assert_ptr_not_equal(board, MAP_FAILED);
	board->magic = BOARD_MAGIC;
	board->version = BOARD_VERSION;
	board->size = (uint32_t)size;
	atomic_store(&board->lane_count, 1);
	return board;
}

/* A later program may have made the board, with a table more at its end; an earlier one's that is too short is refused. */
static void test_other_program_versions(void **state)
{
	int descriptor;
	struct board *made = header_of(&descriptor, (off_t)sizeof(struct board) + 65536), *mapped = board_map(descriptor);

	(void)state;
	assert_non_null(mapped);
	board_unmap(mapped);
	made->version = BOARD_VERSION + 1;
	assert_null(board_map(descriptor));
	made->version = BOARD_VERSION - 1;
	assert_null(board_map(descriptor));
	made->version = BOARD_VERSION;
	made->size += 1; /* longer than its file */
	assert_null(board_map(descriptor));
	board_unmap(made);
	close(descriptor);

	made = header_of(&descriptor, (off_t)sizeof(struct board));
	made->size -= 4096;
	assert_null(board_map(descriptor));
	board_unmap(made);
	close(descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_has_moved),
	    cmocka_unit_test(test_room_costs_no_memory),
	    cmocka_unit_test(test_other_program_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
