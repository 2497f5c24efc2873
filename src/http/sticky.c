/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request says about the server that it should go to: the key by which it is hashed, and the sticky cookie, which noah
 * sets itself. Called by attempt.c before a server is chosen, and by answer.c for the fields of the answer's head.
 *
 * The cookie goes on to the app like every other: whoever does not want it there does not read it. It is a session cookie, so it
 * is forgotten with the browser. Its value is a word for the server (upstream_target.sticky) that is the same on every server of
 * the cluster and after a restart. A visitor whose server is down, drained or gone gets another one, and a new cookie.
 */
#include "http/http_private.h"

#include <stdio.h>

/* The next value of a cookie of this name; `field` and `rest` carry the place from one call to the next (zeroes to begin). */
struct cookie_walk {
	unsigned field;
	struct span rest;
};

static struct span without_quotes(struct span value)
{
	if (value.size >= 2 && value.start[0] == '"' && value.start[value.size - 1] == '"')
		return span_of(value.start + 1, value.size - 2);
	return value;
}

/* Several Cookie fields are as good as one (RFC 6265 5.4 forbids them to browsers, RFC 9113 8.2.3 allows them in HTTP/2). */
static bool next_cookie(const struct http_head *head, struct span name, struct cookie_walk *walk, struct span *value)
{
	for (;;) { /* at most HTTP_FIELDS_MOST fields */
		while (walk->rest.size > 0) {
			struct span pair = span_trim(span_cut(&walk->rest, ';')), its_name = span_trim(span_cut(&pair, '='));
			if (!span_equal(its_name, name))
				continue;
			*value = without_quotes(span_trim(pair));
			return true;
		}
		while (walk->field < head->field_count && head->fields[walk->field].known != HTTP_FIELD_COOKIE)
			walk->field++;
		if (walk->field == head->field_count)
			return false;
		walk->rest = http_text(head, head->fields[walk->field++].value);
	}
}

/* ---- the key of a hash ------------------------------------------------------------------------------------------- */

static bool find_field(const struct http_head *head, struct span name, struct span *value)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (!span_equal_nocase(http_text(head, head->fields[i].name), name))
			continue;
		*value = http_text(head, head->fields[i].value);
		return true;
	}
	return false;
}

/* False: the request has no such thing, and is not hashed. */
static bool find_key(const struct http_exchange *exchange, struct span *key)
{
	const struct http_request *request = &exchange->request;
	const struct cluster_group *group = exchange->group->group;
	struct span name = span_of_text(group->hash_name);
	struct cookie_walk walk = {0};

	switch ((enum cluster_hash)group->hash) {
	case HASH_ADDRESS:
		*key = exchange->from;
		return true;
	case HASH_PATH:
		*key = http_text(&request->head, request->path);
		return true;
	case HASH_HEADER:
		return find_field(&request->head, name, key);
	case HASH_COOKIE:
		return next_cookie(&request->head, name, &walk, key);
	}
	return false;
}

/* ---- the wish ---------------------------------------------------------------------------------------------------- */

void http_make_wish(struct http_exchange *exchange)
{
	const struct cluster_group *group = exchange->group->group;
	struct upstream_wish *wish = &exchange->wish;
	struct cookie_walk walk = {0};
	struct span value;

	if (group->balance == BALANCE_HASH && find_key(exchange, &value)) {
		wish->has_hash = true;
		wish->hash = hash_stable(value.start, value.size);
	}
	/* More than one of this name (an old one with another path): the first that names a server. */
	while (group->sticky[0] != '\0' && wish->sticky == 0 &&
	       next_cookie(&exchange->request.head, span_of_text(group->sticky), &walk, &value)) {
		const struct upstream_target *target = upstream_find_sticky(exchange->group, value);
		if (target != NULL)
			wish->sticky = upstream_bit(exchange->group, target);
	}
}

/* ---- the cookie -------------------------------------------------------------------------------------------------- */

void http_sticky_fields(struct http_exchange *exchange)
{
	static const char format[] = "%s=%s; Path=/; HttpOnly; SameSite=Lax%s";
	const size_t most = CLUSTER_NAME_SIZE + UPSTREAM_STICKY_SIZE + sizeof(format) + sizeof("; Secure");

	/* Only with an answer of the server itself; who has a file that is missing here says nothing about where a visitor belongs.
	 */
	if (exchange->trying || exchange->group == NULL || exchange->group->group->sticky[0] == '\0' || exchange->server == NULL ||
	    exchange->wish.sticky == upstream_bit(exchange->group, exchange->target))
		return;
	char *text = arena_allocate(task_arena(), most);
	if (text == NULL)
		return; /* he stays without: the next answer sets it */
	int size = snprintf(text, most, format, exchange->group->group->sticky, exchange->target->sticky,
	                    exchange->secure ? "; Secure" : "");
	exchange_add_field(exchange, SPAN("Set-Cookie"), span_of(text, (size_t)size));
}
