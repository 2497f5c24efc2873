/* SPDX-License-Identifier: BSD-2-Clause
 *
 * position: see the header. Called by freshness.c with what servers answered, which is bad input like any other.
 */
#include "sql/position.h"

#include <stdio.h>

bool position_parse(struct span text, struct position *out)
{
	out->count = 0;
	struct span rest = text;
	while (rest.start != NULL && rest.size > 0) {
		struct span triple = span_cut(&rest, ',');
		struct span domain = span_cut(&triple, '-');
		struct span server = span_cut(&triple, '-');
		uint64_t numbers[3];
		if (triple.start == NULL || out->count == POSITION_DOMAINS_MOST || !span_to_number(domain, UINT32_MAX, &numbers[0]) ||
		    !span_to_number(server, UINT32_MAX, &numbers[1]) || !span_to_number(triple, UINT64_MAX, &numbers[2])) {
			out->count = 0;
			return false;
		}
		out->domains[out->count++] = (struct position_domain){(uint32_t)numbers[0], (uint32_t)numbers[1], numbers[2]};
	}
	return true;
}

static const struct position_domain *find_domain(const struct position *position, uint32_t domain)
{
	for (unsigned i = 0; i < position->count; i++)
		if (position->domains[i].domain == domain)
			return &position->domains[i];
	return NULL;
}

bool position_includes(const struct position *applied, const struct position *needed)
{
	for (unsigned i = 0; i < needed->count; i++) {
		const struct position_domain *has = find_domain(applied, needed->domains[i].domain);
		if (has == NULL || has->sequence < needed->domains[i].sequence)
			return false;
	}
	return true;
}

void position_merge(struct position *known, const struct position *news)
{
	for (unsigned i = 0; i < news->count; i++) {
		const struct position_domain *newer = &news->domains[i];
		bool found = false;
		for (unsigned j = 0; j < known->count && !found; j++) {
			found = known->domains[j].domain == newer->domain;
			if (found && known->domains[j].sequence < newer->sequence)
				known->domains[j] = *newer;
		}
		if (!found && known->count < POSITION_DOMAINS_MOST)
			known->domains[known->count++] = *newer;
	}
}

const char *position_format(const struct position *position, char out[POSITION_TEXT_SIZE])
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < position->count; i++) {
		const struct position_domain *domain = &position->domains[i];
		used += (size_t)snprintf(out + used, POSITION_TEXT_SIZE - used, "%s%u-%u-%lu", i > 0 ? "," : "", domain->domain,
		                         domain->server, (unsigned long)domain->sequence);
	}
	return out;
}
