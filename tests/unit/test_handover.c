/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one supervisor leaves to the next program: it arrives whole; what is newer is passed over, what is older or wrong is refused
 * with words.
 */
#include "unit.h"

#include "process/handover.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct handover *example(void)
{
	struct handover *handover = calloc(1, sizeof *handover);
	assert_non_null(handover);
	snprintf(handover->version, sizeof handover->version, "1.2.3");
	snprintf(handover->failure, sizeof handover->failure, "its \"processes\"\ndie");
	snprintf(handover->program, sizeof handover->program, "/usr/sbin/noah");
	snprintf(handover->former_program, sizeof handover->former_program, "/usr/sbin/noah.old");
	handover->former_descriptor = 17;
	handover->board = 4;
	handover->keyring = -1;
	handover->guard = 12;
	handover->snapshot = 5;
	handover->control = 6;
	handover->generation = 77;
	handover->threads = 3;
	handover->first_lane = 250;
	handover->next_listener_id = UINT32_MAX;
	handover->announced = true;
	handover->children[PROCESS_TRAFFIC] = (struct child){.pid = 100, .channel = 7, .taken_generation = 77, .last_end = "signal 9 (Killed)"};
	handover->children[PROCESS_WATCH] = (struct child){.pid = 0, .channel = -1, .crashes = 2};
	handover->listener_count = 2;
	handover->listeners[0] = (struct listener){.name.id = 1, .name.kind = LISTENER_HTTPS, .descriptor = 8};
	assert_true(address_parse(SPAN("[::]:443"), true, &handover->listeners[0].name.address));
	handover->listeners[1] = (struct listener){.name.id = 9, .name.kind = LISTENER_SQL, .descriptor = 9};
	assert_true(address_parse(SPAN("/run/noah/main.sock"), false, &handover->listeners[1].name.address));
	handover->retired_count = 1;
	handover->retired[0] = (struct retired){.child = {.pid = 90, .channel = 10}, .first_lane = 2, .threads = 2, .version = "1.2.2",
	                                        .generation = 70, .retired_wall_us = UINT64_C(1795000000000000)};
	handover->client_count = 1;
	handover->clients[0] = (struct control_client){.descriptor = 11, .waits = CLIENT_WAITS_UPGRADE, .request = "upgrade /x\n",
	                                               .request_size = 11};
	return handover;
}

static void test_all_arrives(void **state)
{
	(void)state;
	char why[256] = "";
	struct handover *sent = example();
	int file = handover_write(sent);
	assert_true(file >= 0);
	assert_int_equal(fcntl(file, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
	struct handover *got = handover_read(file, why, sizeof why);
	assert_string_equal(why, "");
	assert_non_null(got);
	assert_memory_equal(got, sent, sizeof *got);
	free(got);
	free(sent);
	close(file);
}

static struct handover *read_text(const char *text, char *why, size_t why_size)
{
	int file = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(write(file, text, strlen(text)), strlen(text));
	struct handover *handover = handover_read(file, why, why_size);
	close(file);
	return handover;
}

/* The record of example() with one text replaced. */
static struct handover *read_changed(const char *from, const char *to, char *why, size_t why_size)
{
	static char text[16384], changed[16384];
	struct handover *handover = example();
	int file = handover_write(handover);
	ssize_t size = pread(file, text, sizeof text - 1, 0);
	assert_true(size > 0);
	text[size] = '\0';
	const char *at = strstr(text, from);
	assert_non_null(at);
	snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	free(handover);
	close(file);
	return read_text(changed, why, why_size);
}

static void test_newer_members_are_passed_over(void **state)
{
	(void)state;
	char why[256] = "";
	struct handover *handover = read_changed("\"format\":1", "\"format\":2,\"later\":{\"a\":[1,2]}", why, sizeof why);
	assert_non_null(handover);
	assert_int_equal(handover->generation, 77);
	free(handover);
	handover = read_changed("{\"name\":\"watch\"", "{\"name\":\"names\",\"pid\":1},{\"name\":\"watch\"", why, sizeof why);
	assert_non_null(handover);
	assert_int_equal(handover->children[PROCESS_WATCH].crashes, 2);
	free(handover);
}

/* noah 0.2.0 had no table of addresses. */
static void test_members_of_later_may_be_missing(void **state)
{
	(void)state;
	char why[256] = "";
	struct handover *handover = read_changed("\"guard\":12,", "", why, sizeof why);
	assert_string_equal(why, "");
	assert_non_null(handover);
	assert_int_equal(handover->guard, -1);
	free(handover);
	assert_null(read_changed("\"guard\":12", "\"guard\":true", why, sizeof why));
	assert_non_null(strstr(why, "(guard)"));
}

static void test_older_is_refused_with_words(void **state)
{
	(void)state;
	char why[256] = "";
	assert_null(read_changed("\"format\":1", "\"format\":0", why, sizeof why));
	assert_non_null(strstr(why, "noah 1.2.3 cannot hand over"));
	assert_non_null(strstr(why, "restart"));
}

static void test_wrong_is_refused_with_the_member(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *member;
	} cases[] = {
	    {"\"board\":4", "\"board\":-1", "(board)"},
	    {"\"board\":4", "\"board\":\"4\"", "(board)"},
	    {"\"first_lane\":250", "\"first_lane\":257", "(first_lane)"},
	    {"\"threads\":3", "\"threads\":7", "(threads)"}, /* lanes beyond the board */
	    {"[::]:443", "nowhere", "(address)"},
	    {"\"waits\":2", "\"waits\":9", "(waits)"},
	    {"\"retired\":[", "\"retired\":{},\"other\":[", "(retired)"},
	    {"\"program\":", "\"programme\":", "(program)"},
	};
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		char why[256] = "";
		assert_null(read_changed(cases[i].from, cases[i].to, why, sizeof why));
		assert_non_null(strstr(why, cases[i].member));
	}
	char why[256] = "";
	assert_null(read_text("rubbish", why, sizeof why));
	assert_non_null(strstr(why, "cannot be read"));
	assert_null(handover_read(-1, why, sizeof why));
}

static void test_descriptors(void **state)
{
	(void)state;
	struct handover *handover = calloc(1, sizeof *handover);
	int pair[2];
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	handover->former_descriptor = handover->keyring = -1;
	handover->board = handover->snapshot = handover->control = pair[0];
	handover->children[PROCESS_TRAFFIC].channel = pair[1];
	handover->children[PROCESS_WATCH].channel = -1;
	assert_true(handover_keep_descriptors(handover, true));
	assert_int_equal(fcntl(pair[0], F_GETFD), 0);
	assert_int_equal(fcntl(pair[1], F_GETFD), 0);
	assert_true(handover_keep_descriptors(handover, false));
	assert_int_equal(fcntl(pair[1], F_GETFD), FD_CLOEXEC);
	close(pair[1]);
	assert_false(handover_keep_descriptors(handover, false));
	close(pair[0]);
	free(handover);
}

/* The lanes that traffic of `count` earlier generations has, [first, first + threads). */
static void test_lanes(void **state)
{
	(void)state;
	struct retired retired[3] = {
	    {.child.pid = 1, .first_lane = 0, .threads = 4},
	    {.child.pid = 0, .first_lane = 4, .threads = 4}, /* has ended */
	    {.child.pid = 3, .first_lane = 8, .threads = 200},
	};
	unsigned first;
	assert_true(lanes_find(retired, 0, BOARD_LANES_MOST, &first));
	assert_int_equal(first, 0);
	assert_true(lanes_find(retired, 3, 4, &first));
	assert_int_equal(first, 4);
	assert_true(lanes_find(retired, 3, 5, &first));
	assert_int_equal(first, 208);
	assert_true(lanes_find(retired, 3, BOARD_LANES_MOST - 208, &first));
	assert_int_equal(first, 208);
	assert_false(lanes_find(retired, 3, BOARD_LANES_MOST - 207, &first));
	assert_false(lanes_find(retired, 3, BOARD_LANES_MOST, &first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_arrives),
	    cmocka_unit_test(test_newer_members_are_passed_over),
	    cmocka_unit_test(test_members_of_later_may_be_missing),
	    cmocka_unit_test(test_older_is_refused_with_words),
	    cmocka_unit_test(test_wrong_is_refused_with_the_member),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_lanes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
