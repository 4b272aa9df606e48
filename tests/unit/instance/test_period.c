/* SPDX-License-Identifier: Apache-2.0 */
/* Months and billing periods: their ends, leap years, days that a month does not have. */
#include "tests/unit/base/util.h"

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "runtime/instance/period.h"

static uint64_t at(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	assert_true(end && *end == '\0');
	return (uint64_t)timegm(&tm);
}

static void is_at(uint64_t t, const char *expected)
{
	char text[32];
	time_t when = (time_t)t;
	struct tm tm;

	assert_non_null(gmtime_r(&when, &tm));
	assert_true(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) > 0);
	assert_string_equal(text, expected);
}

static void test_months(void **state)
{
	static const char *const rows[][3] = {
		{"2026-01-31T23:59:59", "2026-01-01T00:00:00", "2026-02-01T00:00:00"},
		{"2026-02-01T00:00:00", "2026-02-01T00:00:00", "2026-03-01T00:00:00"},
		{"2024-02-29T12:00:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00"},
		{"2025-12-31T23:59:59", "2025-12-01T00:00:00", "2026-01-01T00:00:00"},
		{"2100-02-28T23:59:59", "2100-02-01T00:00:00", "2100-03-01T00:00:00"},
	};
	char text[PERIOD_MONTH_TEXT];

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		is_at(period_month(at(rows[k][0])), rows[k][1]);
		is_at(period_month_after(at(rows[k][0])), rows[k][2]);
	}
	period_month_format(text, at("2026-02-03T04:05:06"));
	assert_string_equal(text, "2026-02");
}

static void test_words(void **state)
{
	static const char *const wrong[] = {"",	       "2026",	     "2026-1",	"2026-00",
					    "2026-13", "1969-12",    "02-2026", "2026-0x",
					    "2026/02", "2026-02-01", " 026-02", "2026-+1"};
	struct err err = ERR_INIT;
	uint64_t t = 0;

	(void)state;
	assert_int_equal(period_month_parse("2024-02", &t, &err), 0);
	is_at(t, "2024-02-01T00:00:00");
	assert_int_equal(period_month_parse("1970-01", &t, &err), 0);
	assert_int_equal(t, 0);
	assert_int_equal(period_month_parse("9999-12", &t, &err), 0);
	for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++)
		assert_int_equal(period_month_parse(wrong[k], &t, &err), -EINVAL);
	assert_string_equal(err_text(&err), "month: \"2026-+1\" is not a month like \"2026-02\"");
}

struct row {
	enum spec_transfer_reset reset;
	const char *created, *now, *start, *end;
};

static const struct row periods[] = {
	{SPEC_RESET_FIRST, "2025-01-10T11:12:13", "2026-02-28T23:59:59", "2026-02-01T00:00:00",
	 "2026-03-01T00:00:00"},
	/* The first one begins with the creation. */
	{SPEC_RESET_FIRST, "2026-02-10T11:12:13", "2026-02-28T00:00:00", "2026-02-10T11:12:13",
	 "2026-03-01T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2026-02-10T11:12:13", "2026-02-28T00:00:00",
	 "2026-02-10T11:12:13", "2026-03-10T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2025-01-10T11:12:13", "2026-02-09T23:59:59",
	 "2026-01-10T00:00:00", "2026-02-10T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2025-01-10T11:12:13", "2026-02-10T00:00:00",
	 "2026-02-10T00:00:00", "2026-03-10T00:00:00"},
	/* The 31st: the last day of shorter months. */
	{SPEC_RESET_ANNIVERSARY, "2025-01-31T10:00:00", "2026-02-27T23:59:59",
	 "2026-01-31T00:00:00", "2026-02-28T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2025-01-31T10:00:00", "2026-02-28T00:00:00",
	 "2026-02-28T00:00:00", "2026-03-31T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2025-01-31T10:00:00", "2024-02-29T00:00:00",
	 "2024-02-29T00:00:00", "2024-03-31T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2025-01-31T10:00:00", "2026-04-30T00:00:00",
	 "2026-04-30T00:00:00", "2026-05-31T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2025-01-29T10:00:00", "2026-03-01T00:00:00",
	 "2026-02-28T00:00:00", "2026-03-29T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2024-02-29T10:00:00", "2026-01-29T00:00:00",
	 "2026-01-29T00:00:00", "2026-02-28T00:00:00"},
	{SPEC_RESET_ANNIVERSARY, "2024-12-30T10:00:00", "2026-01-05T00:00:00",
	 "2025-12-30T00:00:00", "2026-01-30T00:00:00"},
};

static void test_periods(void **state)
{
	uint64_t created = at("2026-02-10T11:12:13");

	(void)state;
	for (size_t k = 0; k < sizeof(periods) / sizeof(periods[0]); k++) {
		const struct row *r = &periods[k];

		is_at(period_start(r->reset, at(r->created), at(r->now)), r->start);
		is_at(period_end(r->reset, at(r->created), at(r->now)), r->end);
	}
	assert_int_equal(period_start(SPEC_RESET_NEVER, created, created + 1), created);
	assert_int_equal(period_end(SPEC_RESET_NEVER, created, created + 1), 0);
}

/* Whatever the day, periods follow each other without gap or overlap, each about a month. */
static void test_chain(void **state)
{
	(void)state;
	for (unsigned day = 1; day <= 31; day++) {
		uint64_t created = at("2023-12-31T05:00:00") - (31 - day) * 86400;
		uint64_t t = created, end;

		for (unsigned n = 0; n < 60; n++, t = end) {
			end = period_end(SPEC_RESET_ANNIVERSARY, created, t);
			assert_int_equal(period_start(SPEC_RESET_ANNIVERSARY, created, t), t);
			assert_int_equal(period_start(SPEC_RESET_ANNIVERSARY, created, end - 1), t);
			assert_true(end - t <= 31 * 86400 && (n == 0 || end - t >= 28 * 86400));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_periods),
		cmocka_unit_test(test_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
