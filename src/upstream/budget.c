/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Retry budgets, one for each site and traffic thread: retrying must help when one server of several fails, and must not multiply
 * the load when all of them do. Counted in fifths of a retry.
 */
#include "upstream/upstream.h"

#define FIFTHS_OF_RETRY  5u
#define FIFTHS_A_SECOND  (10u * FIFTHS_OF_RETRY)
#define FIFTHS_MOST      (1000u * FIFTHS_OF_RETRY)
#define FIFTHS_AT_START  (100u * FIFTHS_OF_RETRY)
#define MICROS_PER_FIFTH (1000000u / FIFTHS_A_SECOND)

void upstream_budget_init(struct upstream_budget *budget, uint64_t now_us)
{
	*budget = (struct upstream_budget){.updated_us = now_us, .fifths = FIFTHS_AT_START};
}

void upstream_budget_earn(struct upstream_budget *budget)
{
	if (budget->fifths < FIFTHS_MOST)
		budget->fifths++;
}

bool upstream_budget_spend(struct upstream_budget *budget, uint64_t now_us)
{
	if (now_us > budget->updated_us) {
		uint64_t fifths = (now_us - budget->updated_us) / MICROS_PER_FIFTH;
		budget->updated_us += fifths * MICROS_PER_FIFTH;
		budget->fifths = fifths >= FIFTHS_MOST - budget->fifths ? FIFTHS_MOST : budget->fifths + (uint32_t)fifths;
	}
	if (budget->fifths < FIFTHS_OF_RETRY)
		return false;
	budget->fifths -= FIFTHS_OF_RETRY;
	return true;
}
