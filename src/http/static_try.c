/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is not here may be on another server already: an upload that has not been copied to this clone yet. The servers of `try`
 * are asked one after another until one does not answer 404. static.c calls it.
 *
 * A request that is tried says so (Noah-Try), and a noah that is asked in this way asks nobody: no circle, and at most as many
 * questions as the group has servers.
 */
#include "http/route.h"
#include "http/static.h"

static bool was_tried(const struct http_head *head)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (span_equal_nocase(http_text(head, head->fields[i].name), SPAN("Noah-Try")))
			return true;
	}
	return false;
}

static struct upstream_group *find_group(const struct http_exchange *exchange)
{
	const struct upstream_view *view = exchange->routes->view;
	struct upstream_group *group = upstream_view_find_missing(view, exchange->files);

	return group != NULL ? group : upstream_view_find_missing(view, &exchange->site->files);
}

/* Bits of those that are this server itself. */
static uint32_t find_self(const struct http_exchange *exchange, const struct upstream_group *group)
{
	uint32_t self = exchange->routes->view->cluster->self, bits = 0;

	for (uint32_t i = 0; i < group->target_count; i++) {
		if (group->targets[i].app->server == self)
			bits |= upstream_bit(group, &group->targets[i]);
	}
	return bits;
}

enum http_outcome static_try(struct http_exchange *exchange)
{
	struct upstream_group *group = find_group(exchange);

	if (group == NULL || was_tried(&exchange->request.head))
		return OUTCOME_NOT_FOUND;
	uint32_t asked = find_self(exchange, group);
	enum http_outcome outcome = OUTCOME_NOT_FOUND;
	exchange->group = group;
	exchange->trying = true;
	for (uint32_t i = 0; i < group->target_count && outcome == OUTCOME_NOT_FOUND; i++) {
		exchange->wish = (struct upstream_wish){.tried = asked};
		exchange->tries = 0;
		exchange->retry_paid = exchange->sent = exchange->sent_ever = exchange->impatient = false;
		outcome = http_attempt(exchange);
		if (exchange->upload_begun)
			return outcome; /* of a body a part is gone: the rest of it is no request's body */
		if (outcome == OUTCOME_NOT_FOUND)
			asked |= upstream_bit(group, exchange->target);
	}
	/* Those that are down are not part of the site now: what the others say counts. */
	return outcome == OUTCOME_NO_SERVER ? OUTCOME_NOT_FOUND : outcome;
}
