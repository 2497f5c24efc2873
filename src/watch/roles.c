/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is primary, who is a replica, and why. A pure function over what the servers last said; watch.c calls it after each check.
 *
 *   A server can be primary when it is up, writable (read_only off), and replicates from no other server of its database. One
 * that does replicate from another one can be it only if that one is up and read-only (a pair in a ring, one half resting), or if
 * it is the primary already. Exactly one can: it is the primary. Several can: the present one stays; with no present one among
 * them there is none, because two writable copies may differ and nobody here can tell which is right. None can: there is none.
 *
 * The functions never promote: a replica becomes primary only because somebody made it writable and stopped its replication.
 */
#include "watch/watch_private.h"

#include <stdio.h>

static bool is_known(const struct role_member *member)
{
	return member->health == HEALTH_UP && member->view.known;
}

/* The index of the member that `member` replicates from; -1: from none of us. */
static int source_of(const struct role_member *members, unsigned count, const struct role_member *member)
{
	if (!member->view.replicates)
		return -1;
	for (unsigned i = 0; i < count; i++) {
		const struct role_member *other = &members[i];
		if (other == member)
			continue;
		char address[ADDRESS_TEXT_SIZE];
		if (member->view.source_id != 0 && other->view.known && other->view.server_id == member->view.source_id)
			return (int)i;
		if (member->view.source_port == other->address.port &&
		    strcmp(member->view.source_host, address_format_ip(&other->address, address)) == 0)
			return (int)i;
	}
	return -1;
}

static bool can_be_primary(const struct role_member *members, unsigned count, const struct role_member *member)
{
	if (!is_known(member) || member->view.read_only)
		return false;
	int source = source_of(members, count, member);
	return source < 0 || member->present_primary || (is_known(&members[source]) && members[source].view.read_only);
}

static void decide_replica(const struct role_member *members, unsigned count, struct role_member *member)
{
	const struct database_view *view = &member->view;
	char *reason = member->reason;
	int source = source_of(members, count, member);
	member->role = ROLE_BROKEN;
	if (source < 0 && !view->replicates)
		snprintf(reason, BOARD_TEXT_SIZE, "%s and replicates from nobody", view->read_only ? "read-only" : "writable");
	else if (source < 0)
		snprintf(reason, BOARD_TEXT_SIZE, "replicates from %.100s:%u, which is not in this database", view->source_host,
		         view->source_port);
	else if (!view->applies)
		snprintf(reason, BOARD_TEXT_SIZE, "applies nothing from %s%s%.120s", members[source].name,
		         view->trouble[0] != '\0' ? ": " : "", view->trouble);
	else if (!view->receives)
		snprintf(reason, BOARD_TEXT_SIZE, "does not receive from %s%s%.120s", members[source].name,
		         view->trouble[0] != '\0' ? ": " : "", view->trouble);
	else
		member->role = ROLE_REPLICA;
	if (member->role == ROLE_REPLICA && !view->connected)
		snprintf(reason, BOARD_TEXT_SIZE, "not connected to %s%s%.120s", members[source].name,
		         view->trouble[0] != '\0' ? ": " : "", view->trouble);
}

/* Why there is none. */
static void explain_none(const struct role_member *members, unsigned count, const struct role_member *before,
                         char reason[BOARD_TEXT_SIZE])
{
	unsigned up = 0;
	for (unsigned i = 0; i < count; i++)
		up += is_known(&members[i]);
	if (before != NULL && !is_known(before))
		snprintf(reason, BOARD_TEXT_SIZE, "no primary: %s, which was it, does not answer", before->name);
	else if (before != NULL && before->view.read_only)
		snprintf(reason, BOARD_TEXT_SIZE, "no primary: %s, which was it, is read-only now", before->name);
	else if (up == 0)
		snprintf(reason, BOARD_TEXT_SIZE, "no primary: none of its servers answers");
	else
		snprintf(reason, BOARD_TEXT_SIZE,
		         "no primary: no server that answers is writable and replicates from none of the others");
}

static void explain_several(const struct role_member *members, unsigned count, char reason[BOARD_TEXT_SIZE])
{
	size_t size =
	    (size_t)snprintf(reason, BOARD_TEXT_SIZE, "no primary: several servers are writable and replicate from nobody:");
	for (unsigned i = 0; i < count && size < BOARD_TEXT_SIZE - CLUSTER_NAME_SIZE; i++)
		if (can_be_primary(members, count, &members[i]))
			size += (size_t)snprintf(reason + size, BOARD_TEXT_SIZE - size, " %s", members[i].name);
}

int roles_decide(struct role_member *members, unsigned count, char reason[BOARD_TEXT_SIZE])
{
	int primary = ROLE_NO_PRIMARY;
	unsigned able = 0;
	const struct role_member *before = NULL;
	for (unsigned i = 0; i < count; i++) {
		if (members[i].present_primary || members[i].was_primary)
			before = &members[i];
		if (!can_be_primary(members, count, &members[i]))
			continue;
		if (able++ == 0 || members[i].present_primary)
			primary = (int)i;
	}
	if (able > 1 && !members[primary].present_primary)
		primary = ROLE_NO_PRIMARY;

	if (primary >= 0 && able == 1)
		snprintf(reason, BOARD_TEXT_SIZE, "%s is writable and replicates from none of the others", members[primary].name);
	else if (primary >= 0)
		snprintf(reason, BOARD_TEXT_SIZE, "%s stays primary though %u servers are writable; make the others read_only",
		         members[primary].name, able);
	else if (able > 1)
		explain_several(members, count, reason);
	else
		explain_none(members, count, before, reason);

	for (unsigned i = 0; i < count; i++) {
		members[i].reason[0] = '\0';
		if (!is_known(&members[i]))
			members[i].role = ROLE_UNKNOWN;
		else if ((int)i == primary)
			members[i].role = ROLE_PRIMARY;
		else
			decide_replica(members, count, &members[i]);
	}
	return primary;
}
