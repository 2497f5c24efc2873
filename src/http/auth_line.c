/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hashing a password takes as long as a hundred requests, on purpose. So each core remembers for a while which ones were right,
 * and only a few are hashed at the same time; the others wait in a line, first come, first served. Who sends wrong ones without
 * end fills his part of the line and nobody else's. In the traffic threads; auth.c calls it.
 *
 * Each core has a line of its own, for its own tasks; between the cores the one goes first whose first waits longest.
 *
 * Nothing here is a password: what is remembered is a hash under a key that only this process has.
 */
#include "http/auth.h"

#include <stdatomic.h>
#include <stdlib.h>

#define LOOK_EVERY_MS 5 /* whether another core's turn is over, which does not wake this one */
#define WAYS          4u

struct kept {
	struct auth_key key;
	uint64_t until_us; /* 0: free */
};

struct http_auth {
	_Atomic uint64_t *first_since_us; /* its place in first_since */
	struct list line;                 /* of struct turn */
	unsigned waiting;                 /* in it */
	struct kept kept[AUTH_KEPT_MOST]; /* in sets of WAYS, found by the key */
};

/* On the stack of the task that waits. */
struct turn {
	struct list link;
	struct wait_queue queue;
	const struct http_origin *origin;
	uint64_t since_us;
};

#define CORES_MOST 256u
static atomic_uint at_work;                      /* in the process, of AUTH_AT_ONCE */
static atomic_uint cores;                        /* that ever had a line */
static _Atomic uint64_t first_since[CORES_MOST]; /* since when the first of each line waits; 0: nobody waits */

/* ---- the core's ------------------------------------------------------------------------------------------------------ */

struct http_auth *auth_of(struct http_core *core)
{
	if (core->auth == NULL) {
		core->auth = calloc(1, sizeof(*core->auth));
		if (core->auth == NULL)
			return NULL;
		list_init(&core->auth->line);
		core->auth->first_since_us = &first_since[atomic_fetch_add(&cores, 1) % CORES_MOST];
	}
	return core->auth;
}

void http_auth_forget(struct http_core *core)
{
	if (core->auth != NULL)
		memset(core->auth->kept, 0, sizeof(core->auth->kept));
}

void http_auth_free(struct http_core *core)
{
	ASSERT(core->auth == NULL || list_is_empty(&core->auth->line));
	free(core->auth);
	core->auth = NULL;
}

/* ---- remembering ----------------------------------------------------------------------------------------------------- */

static bool is_key(const struct kept *kept, const struct auth_key *key)
{
	return kept->key.halves[0] == key->halves[0] && kept->key.halves[1] == key->halves[1];
}

static size_t set_of(const struct auth_key *key)
{
	return (size_t)(key->halves[0] % (AUTH_KEPT_MOST / WAYS)) * WAYS;
}

bool auth_is_kept(const struct http_auth *auth, const struct auth_key *key, uint64_t now_us)
{
	const struct kept *set = &auth->kept[set_of(key)];

	for (unsigned i = 0; i < WAYS; i++)
		if (is_key(&set[i], key))
			return now_us < set[i].until_us;
	return false;
}

/* In place of itself, or of the one that would be forgotten first. */
void auth_keep(struct http_auth *auth, const struct auth_key *key, uint64_t now_us)
{
	struct kept *set = &auth->kept[set_of(key)], *place = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (is_key(&set[i], key)) {
			place = &set[i];
			break;
		}
		if (set[i].until_us < place->until_us)
			place = &set[i];
	}
	*place = (struct kept){.key = *key, .until_us = now_us + AUTH_KEPT_MS * UINT64_C(1000)};
}

/* ---- waiting ----------------------------------------------------------------------------------------------------------- */

/* For who waits since then. Not before those of other cores who wait longer. */
static bool take_turn(uint64_t since_us)
{
	unsigned now = atomic_load(&at_work), count = atomic_load(&cores);

	for (unsigned i = 0; i < count && i < CORES_MOST; i++) {
		uint64_t other_us = atomic_load(&first_since[i]);
		if (other_us != 0 && other_us < since_us)
			return false;
	}
	while (now < AUTH_AT_ONCE)
		if (atomic_compare_exchange_weak(&at_work, &now, now + 1))
			return true;
	return false;
}

static bool are_neighbours(const struct http_origin *a, const struct http_origin *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, a->family == ADDRESS_IPV6 ? 8 : sizeof(a->ip)) == 0;
}

static unsigned count_of_one(const struct http_auth *auth, const struct http_origin *origin)
{
	unsigned count = 0;

	if (origin->family != ADDRESS_IPV4 && origin->family != ADDRESS_IPV6)
		return 0; /* a Unix socket: it may be anybody */
	LIST_EACH (item, &auth->line)
		count += are_neighbours(OWNER_OF(item, struct turn, link)->origin, origin);
	return count;
}

static struct turn *first_of(struct http_auth *auth)
{
	return list_is_empty(&auth->line) ? NULL : OWNER_OF(auth->line.next, struct turn, link);
}

static void wake_first(struct http_auth *auth)
{
	struct turn *first = first_of(auth);

	if (first != NULL)
		wait_queue_wake_all(&first->queue);
}

static void line_changed(struct http_auth *auth)
{
	struct turn *first = first_of(auth);

	atomic_store(auth->first_since_us, first != NULL ? first->since_us : 0);
	wake_first(auth);
}

enum http_outcome auth_enter(struct http_auth *auth, const struct http_origin *origin)
{
	struct loop *loop = loop_current();
	struct turn turn = {.origin = origin, .since_us = loop_now_us(loop)};
	uint64_t until_us = turn.since_us + AUTH_WAIT_MS * UINT64_C(1000);
	enum http_outcome outcome = OUTCOME_OK;

	if (auth->waiting == 0 && take_turn(turn.since_us))
		return OUTCOME_OK;
	if (count_of_one(auth, origin) >= AUTH_OF_ONE_MOST)
		return OUTCOME_TOO_MANY_PASSWORDS;
	if (auth->waiting == AUTH_WAITING_MOST)
		return OUTCOME_PASSWORDS_BUSY;
	wait_queue_init(&turn.queue);
	list_append(&auth->line, &turn.link);
	auth->waiting++;
	line_changed(auth);
	while (first_of(auth) != &turn || !take_turn(turn.since_us)) {
		uint64_t now_us = loop_now_us(loop);
		if (now_us >= until_us) {
			outcome = OUTCOME_PASSWORDS_BUSY;
			break;
		}
		int64_t wait_ms = first_of(auth) == &turn ? LOOK_EVERY_MS : (int64_t)((until_us - now_us) / 1000u + 1);
		if (task_wait(&turn.queue, wait_ms) == WAIT_CANCELLED) {
			outcome = OUTCOME_STOPPING;
			break;
		}
	}
	list_remove(&turn.link);
	auth->waiting--;
	line_changed(auth); /* there may be a second turn to take */
	return outcome;
}

void auth_leave(struct http_auth *auth)
{
	ASSERT(atomic_fetch_sub(&at_work, 1) > 0);
	wake_first(auth);
}
