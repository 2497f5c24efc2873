/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Looks up a name in a file of users (htpasswd: NAME:HASH lines, empty ones and comments). cluster/users.c has seen that each
 * line is right. Pure; auth.c calls it, in the traffic threads.
 */
#include "http/auth.h"

/* The next line that names somebody; false: there is none. */
static bool next_user(struct span *file, struct span *name, struct span *setting)
{
	while (file->size > 0) {
		struct span rest = span_cut(file, '\n');
		if (rest.size > 0 && rest.start[rest.size - 1] == '\r')
			rest.size--;
		if (rest.size == 0 || rest.start[0] == '#')
			continue;
		*name = span_cut(&rest, ':');
		*setting = rest;
		if (rest.start != NULL)
			return true;
	}
	return false;
}

bool auth_users_find(struct span file, struct span name, struct span *setting)
{
	struct span rest = file, user, hash, found = span_of(NULL, 0), other = span_of(NULL, 0);
	uint64_t count = 0, chosen = 0;

	while (next_user(&rest, &user, &hash)) { /* as many as the file has lines: CLUSTER_PAGE_MOST_BYTES */
		count++;
		if (span_equal(user, name))
			found = hash;
	}
	if (count > 0)
		chosen = hash_bytes(name.start, name.size) % count;
	rest = file;
	for (uint64_t i = 0; i <= chosen && next_user(&rest, &user, &hash); i++)
		other = hash;
	*setting = found.start != NULL ? found : other;
	return found.start != NULL;
}
