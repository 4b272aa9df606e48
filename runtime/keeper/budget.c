/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket: how many bytes of a guest's output may be handled now. */
#include "runtime/keeper/budget.h"

#define USEC_PER_SEC 1000000u

void budget_init(struct budget *b, uint64_t rate, uint64_t burst, uint64_t now)
{
	*b = (struct budget){.rate = rate, .burst = burst, .left = burst, .at = now};
}

uint64_t budget_left(struct budget *b, uint64_t now)
{
	uint64_t missing = b->burst - b->left;
	uint64_t passed, fresh;

	if (now <= b->at)
		return b->left;
	passed = now - b->at;
	/* Compared first: after a long time the product would overflow. */
	if (missing == 0 || passed / USEC_PER_SEC > missing / b->rate) {
		b->left = b->burst;
		b->at = now;
		return b->left;
	}
	fresh = passed * b->rate / USEC_PER_SEC;
	if (fresh == 0)
		return b->left; /* the time stays on account */
	b->left = fresh > missing ? b->burst : b->left + fresh;
	b->at = now;
	return b->left;
}

void budget_spend(struct budget *b, uint64_t units)
{
	b->left -= units < b->left ? units : b->left;
}

uint64_t budget_when(const struct budget *b, uint64_t units)
{
	uint64_t missing;

	if (units > b->burst)
		units = b->burst;
	if (units <= b->left)
		return b->at;
	missing = units - b->left;
	return b->at + (missing * USEC_PER_SEC + b->rate - 1) / b->rate;
}
