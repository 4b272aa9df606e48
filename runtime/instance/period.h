/* SPDX-License-Identifier: Apache-2.0 */
/* Months and billing periods, in UTC. Times are seconds since the epoch; a period is [start, end).
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "config/plan.h"

#define PERIOD_MONTH_TEXT 8 /* "2026-02" and a NUL */

/* Where the month of t begins, and the next one. */
uint64_t period_month(uint64_t t);
uint64_t period_month_after(uint64_t t);
/* "2026-02". */
void period_month_format(char dst[PERIOD_MONTH_TEXT], uint64_t t);
/* -EINVAL with what is expected: 1970-01 to 9999-12. */
int period_month_parse(const char *text, uint64_t *ret_start, struct err *err);
/* The billing period of t of an instance that was created then: of the first of a month, or of the
 * day of the month of its creation (in a shorter month its last day), at 00:00. The first one
 * begins with the creation. SPEC_RESET_NEVER: it has no end, which is 0. */
uint64_t period_start(enum spec_transfer_reset reset, uint64_t created, uint64_t t);
uint64_t period_end(enum spec_transfer_reset reset, uint64_t created, uint64_t t);
