/* SPDX-License-Identifier: Apache-2.0 */
/* A budget of units per second (a token bucket), so that a guest's flood costs a bounded share. */
#pragma once

#include <stdint.h>

struct budget {
	uint64_t rate;	/* units per second */
	uint64_t burst; /* units that may be saved up */
	uint64_t left;
	uint64_t at; /* when 'left' was right, microseconds of any monotonic clock */
};

/* Full at 'now'. rate and burst are below 2^32 and not 0. */
void budget_init(struct budget *b, uint64_t rate, uint64_t burst, uint64_t now);
/* Units left at 'now'. */
uint64_t budget_left(struct budget *b, uint64_t now);
/* Spends; more than is left leaves nothing. */
void budget_spend(struct budget *b, uint64_t units);
/* When at least 'units' (at most burst) will be left. */
uint64_t budget_when(const struct budget *b, uint64_t units);
