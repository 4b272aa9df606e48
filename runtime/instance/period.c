/* SPDX-License-Identifier: Apache-2.0 */
/* Calendar arithmetic of what is billed by the month. */
#include "runtime/instance/period.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/str.h"

#define YEAR_MAX 9999

/* A day that the month of tm does not have is its last. Months may be 12 and above, or negative. */
static uint64_t day_of(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct tm tm = {.tm_year = year, .tm_mon = month, .tm_mday = 1};
	time_t first = timegm(&tm);
	int length;

	if (first < 0)
		return 0;
	length = days[tm.tm_mon] +
		 (tm.tm_mon == 1 && (tm.tm_year % 4 == 0 &&
				     (tm.tm_year % 100 != 0 || (tm.tm_year + 1900) % 400 == 0)));
	return (uint64_t)first + (uint64_t)((day < length ? day : length) - 1) * 86400;
}

static struct tm broken(uint64_t t)
{
	time_t at = (time_t)t;
	struct tm tm = {.tm_year = 70, .tm_mday = 1};

	(void)gmtime_r(&at, &tm);
	return tm;
}

uint64_t period_month(uint64_t t)
{
	struct tm tm = broken(t);

	return day_of(tm.tm_year, tm.tm_mon, 1);
}

uint64_t period_month_after(uint64_t t)
{
	struct tm tm = broken(t);

	return day_of(tm.tm_year, tm.tm_mon + 1, 1);
}

void period_month_format(char dst[PERIOD_MONTH_TEXT], uint64_t t)
{
	struct tm tm = broken(t);

	if (str_fmt(dst, PERIOD_MONTH_TEXT, "%04d-%02d", tm.tm_year + 1900, tm.tm_mon + 1) < 0)
		(void)str_copy(dst, PERIOD_MONTH_TEXT, "9999-12");
}

int period_month_parse(const char *text, uint64_t *ret_start, struct err *err)
{
	char year[5] = "", shown[64];
	uint64_t y = 0, m = 0;
	bool is_one = strlen(text) == 7 && text[4] == '-' && strspn(text, "0123456789") == 4 &&
		      strspn(text + 5, "0123456789") == 2;

	if (is_one) {
		memcpy(year, text, 4);
		is_one = num_parse_u64(year, 1970, YEAR_MAX, &y) == 0 &&
			 num_parse_u64(text + 5 + (text[5] == '0'), 1, 12, &m) == 0;
	}
	if (!is_one) {
		str_escape(shown, sizeof(shown), text);
		return err_set(err, EINVAL, "month: \"%s\" is not a month like \"2026-02\"", shown);
	}
	*ret_start = day_of((int)y - 1900, (int)m - 1, 1);
	return 0;
}

static int reset_day(enum spec_transfer_reset reset, uint64_t created)
{
	return reset == SPEC_RESET_ANNIVERSARY ? broken(created).tm_mday : 1;
}

uint64_t period_start(enum spec_transfer_reset reset, uint64_t created, uint64_t t)
{
	struct tm tm = broken(t);
	int day = reset_day(reset, created);
	uint64_t start = day_of(tm.tm_year, tm.tm_mon, day);

	if (start > t)
		start = day_of(tm.tm_year, tm.tm_mon - 1, day);
	return reset == SPEC_RESET_NEVER || (start < created && created <= t) ? created : start;
}

uint64_t period_end(enum spec_transfer_reset reset, uint64_t created, uint64_t t)
{
	struct tm tm = broken(t);
	int day = reset_day(reset, created);
	uint64_t end = day_of(tm.tm_year, tm.tm_mon, day);

	if (reset == SPEC_RESET_NEVER)
		return 0;
	return end > t ? end : day_of(tm.tm_year, tm.tm_mon + 1, day);
}
