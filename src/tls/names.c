/* SPDX-License-Identifier: BSD-2-Clause
 *
 * names: finds the site that a name belongs to. A hash table of exact names and of wildcards' tails; a name of n labels costs at
 * most n + 1 looks. Used by core.c for each handshake.
 */
#include "tls/tls_private.h"

#include <stdlib.h>

struct named {
	struct span name; /* start NULL: free */
	unsigned value;
};

struct tls_names {
	unsigned most, count;
	size_t room; /* a power of two, at least twice as many as entries */
	struct named entries[];
};

struct tls_names *tls_names_new(unsigned most)
{
	size_t room = 4;
	while (room < (size_t)most * 2)
		room *= 2;
	struct tls_names *names = calloc(1, sizeof *names + room * sizeof names->entries[0]);
	if (names != NULL) {
		names->most = most;
		names->room = room;
	}
	return names;
}

void tls_names_free(struct tls_names *names)
{
	free(names);
}

/* Where it stands, or a free place. */
static size_t place_of(const struct tls_names *names, struct span name)
{
	size_t place = hash_bytes(name.start, name.size) & (names->room - 1);
	while (names->entries[place].name.start != NULL && !span_equal(names->entries[place].name, name))
		place = (place + 1) & (names->room - 1); /* ends: at least half of them are free */
	return place;
}

void tls_names_add(struct tls_names *names, const char *name, unsigned value)
{
	ASSERT(names->count < names->most);
	struct named *named = &names->entries[place_of(names, span_of_text(name))];
	if (named->name.start != NULL)
		return; /* the first one has it */
	*named = (struct named){.name = span_of_text(name), .value = value};
	names->count++;
}

static int exact(const struct tls_names *names, struct span name)
{
	const struct named *named = &names->entries[place_of(names, name)];
	return named->name.start != NULL ? (int)named->value : -1;
}

/* "a.b.c" as "*.b.c", then "*.c". */
static int by_wildcard(const struct tls_names *names, struct span name)
{
	char wildcard[CLUSTER_HOST_SIZE];
	while (name.start != NULL) {
		(void)span_cut(&name, '.');
		if (name.start == NULL || name.size == 0 || name.size + 2 > sizeof wildcard)
			continue;
		wildcard[0] = '*';
		wildcard[1] = '.';
		memcpy(wildcard + 2, name.start, name.size);
		int found = exact(names, span_of(wildcard, name.size + 2));
		if (found >= 0)
			return found;
	}
	return exact(names, SPAN("*"));
}

int tls_names_find(const struct tls_names *names, struct span name)
{
	/* What is no name of a host must not be found as one. */
	int found = name.size > 0 && name.start[0] != '*' ? exact(names, name) : -1;
	return found >= 0 ? found : by_wildcard(names, name);
}
