/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is primary: the rules of watch/roles.c, one by one. tests/process/test_databases.py shows them on real servers.
 */
#include "unit.h"

#include "watch/watch_private.h"

#include <stdio.h>

static char reason[BOARD_TEXT_SIZE];

/* Server number 1, 2, ...: 10.0.0.N:3306, up and writable, replicating from nobody. */
static struct role_member server(unsigned number)
{
	static const char *const names[] = {"db0:3306", "db1:3306", "db2:3306", "db3:3306"};
	struct role_member member = {.name = names[number], .health = HEALTH_UP};
	char text[32];
	snprintf(text, sizeof text, "10.0.0.%u:3306", number);
	assert_true(address_parse(span_of_text(text), true, &member.address));
	member.view = (struct database_view){.known = true, .server_id = number, .lag_ms = UINT32_MAX};
	return member;
}

static struct role_member replica(unsigned number, unsigned source, bool read_only)
{
	struct role_member member = server(number);
	member.view.read_only = read_only;
	member.view.replicates = member.view.receives = member.view.connected = member.view.applies = true;
	member.view.source_id = source;
	member.view.source_port = 3306;
	snprintf(member.view.source_host, sizeof member.view.source_host, "10.0.0.%u", source);
	return member;
}

static void test_one_writable_server(void **state)
{
	(void)state;
	struct role_member members[] = {replica(1, 2, true), server(2), replica(3, 2, true)};
	assert_int_equal(roles_decide(members, 3, reason), 1);
	assert_int_equal(members[0].role, ROLE_REPLICA);
	assert_int_equal(members[1].role, ROLE_PRIMARY);
	assert_int_equal(members[2].role, ROLE_REPLICA);
}

static void test_replicas_need_not_be_read_only(void **state)
{
	(void)state;
	struct role_member members[] = {replica(1, 2, false), server(2)};
	assert_int_equal(roles_decide(members, 2, reason), 1);
	assert_int_equal(members[0].role, ROLE_REPLICA);
}

static void test_a_replica_is_never_promoted(void **state)
{
	(void)state;
	struct role_member members[] = {replica(1, 2, false), server(2)};
	members[1].present_primary = true;
	members[1].health = HEALTH_DOWN;
	assert_int_equal(roles_decide(members, 2, reason), ROLE_NO_PRIMARY);
	assert_non_null(strstr(reason, "db2:3306, which was it, does not answer"));
	assert_int_equal(members[0].role, ROLE_REPLICA);
	assert_int_equal(members[1].role, ROLE_UNKNOWN);
	/* Nor when it has never been connected, so that only the address tells whose replica it is. */
	members[0].view.source_id = 0;
	members[1].present_primary = false;
	members[1].was_primary = true;
	assert_int_equal(roles_decide(members, 2, reason), ROLE_NO_PRIMARY);
	assert_non_null(strstr(reason, "db2:3306, which was it"));
}

static void test_chain(void **state)
{
	(void)state;
	struct role_member members[] = {server(1), replica(2, 1, true), replica(3, 2, true)};
	assert_int_equal(roles_decide(members, 3, reason), 0);
	assert_int_equal(members[1].role, ROLE_REPLICA);
	assert_int_equal(members[2].role, ROLE_REPLICA);
}

static void test_ring_with_one_resting_half(void **state)
{
	(void)state;
	struct role_member members[] = {replica(1, 2, false), replica(2, 1, true)};
	assert_int_equal(roles_decide(members, 2, reason), 0);
	assert_int_equal(members[1].role, ROLE_REPLICA);
	/* The resting half dies: the primary stays. */
	members[0].present_primary = true;
	members[1].health = HEALTH_DOWN;
	assert_int_equal(roles_decide(members, 2, reason), 0);
	/* Both halves write: nobody knows which one. */
	struct role_member both[] = {replica(1, 2, false), replica(2, 1, false)};
	assert_int_equal(roles_decide(both, 2, reason), ROLE_NO_PRIMARY);
}

static void test_several_writable_servers(void **state)
{
	(void)state;
	struct role_member members[] = {server(1), server(2)};
	assert_int_equal(roles_decide(members, 2, reason), ROLE_NO_PRIMARY);
	assert_non_null(strstr(reason, "several servers are writable"));
	assert_non_null(strstr(reason, "db1:3306 db2:3306"));
	assert_int_equal(members[0].role, ROLE_BROKEN);
	members[1].present_primary = true;
	assert_int_equal(roles_decide(members, 2, reason), 1);
	assert_non_null(strstr(reason, "db2:3306 stays primary though 2 servers are writable"));
	assert_int_equal(members[0].role, ROLE_BROKEN);
	assert_string_equal(members[0].reason, "writable and replicates from nobody");
}

static void test_read_only_everywhere(void **state)
{
	(void)state;
	struct role_member members[] = {server(1), replica(2, 1, true)};
	members[0].view.read_only = true;
	members[0].present_primary = true;
	assert_int_equal(roles_decide(members, 2, reason), ROLE_NO_PRIMARY);
	assert_non_null(strstr(reason, "db1:3306, which was it, is read-only now"));
	assert_int_equal(members[0].role, ROLE_BROKEN);
	assert_int_equal(members[1].role, ROLE_REPLICA);
}

static void test_replica_of_a_stranger(void **state)
{
	(void)state;
	/* A primary may itself replicate from outside; a read-only server that does is none of ours. */
	struct role_member members[] = {replica(1, 9, false), replica(2, 9, true)};
	assert_int_equal(roles_decide(members, 2, reason), 0);
	assert_int_equal(members[1].role, ROLE_BROKEN);
	assert_non_null(strstr(members[1].reason, "10.0.0.9:3306, which is not in this database"));
}

static void test_threads_of_a_replica(void **state)
{
	(void)state;
	struct role_member members[] = {server(1), replica(2, 1, true)};
	members[1].view.connected = false; /* trying to: still good for reads that need not be fresh */
	snprintf(members[1].view.trouble, BOARD_TEXT_SIZE, "error connecting");
	assert_int_equal(roles_decide(members, 2, reason), 0);
	assert_int_equal(members[1].role, ROLE_REPLICA);
	assert_string_equal(members[1].reason, "not connected to db1:3306: error connecting");
	members[1].view.receives = false;
	assert_int_equal(roles_decide(members, 2, reason), 0);
	assert_int_equal(members[1].role, ROLE_BROKEN);
	assert_string_equal(members[1].reason, "does not receive from db1:3306: error connecting");
	members[1].view.receives = members[1].view.connected = true;
	members[1].view.applies = false;
	snprintf(members[1].view.trouble, BOARD_TEXT_SIZE, "Duplicate entry");
	assert_int_equal(roles_decide(members, 2, reason), 0);
	assert_int_equal(members[1].role, ROLE_BROKEN);
	assert_string_equal(members[1].reason, "applies nothing from db1:3306: Duplicate entry");
}

static void test_single_server_and_none(void **state)
{
	(void)state;
	struct role_member members[] = {server(1)};
	assert_int_equal(roles_decide(members, 1, reason), 0);
	members[0].health = HEALTH_DOWN;
	assert_int_equal(roles_decide(members, 1, reason), ROLE_NO_PRIMARY);
	assert_non_null(strstr(reason, "none of its servers answers"));
	members[0].health = HEALTH_UP;
	members[0].view.known = false;
	assert_int_equal(roles_decide(members, 1, reason), ROLE_NO_PRIMARY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_writable_server),         cmocka_unit_test(test_replicas_need_not_be_read_only),
	    cmocka_unit_test(test_a_replica_is_never_promoted), cmocka_unit_test(test_chain),
	    cmocka_unit_test(test_ring_with_one_resting_half),  cmocka_unit_test(test_several_writable_servers),
	    cmocka_unit_test(test_read_only_everywhere),        cmocka_unit_test(test_replica_of_a_stranger),
	    cmocka_unit_test(test_threads_of_a_replica),        cmocka_unit_test(test_single_server_and_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
