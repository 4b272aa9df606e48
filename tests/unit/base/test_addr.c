/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and prefixes: texts, relations, counting, also over the ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"

static struct addr of(const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		fail_msg("'%s' is not taken", text);
	return a;
}

static const struct {
	const char *text, *again; /* NULL = the same */
} good[] = {
	{"10.0.0.7", NULL},
	{"10.0.0.7/32", "10.0.0.7"},
	{"0.0.0.0/0", NULL},
	{"255.255.255.255", NULL},
	{"10.0.0.7/24", NULL},
	{"::", NULL},
	{"::/0", NULL},
	{"fd77:0:0::1", "fd77::1"},
	{"FD77::1/64", "fd77::1/64"},
	{"2001:db8::/128", "2001:db8::"},
	{"::ffff:10.0.0.7", NULL},
};

static void texts(void **state)
{
	char text[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct addr a = of(good[i].text);

		addr_format(text, &a);
		assert_string_equal(text, good[i].again ? good[i].again : good[i].text);
	}
	addr_format(text, &ADDR_NONE);
	assert_string_equal(text, "none");
}

static void bad_texts(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"10",
		"10.0.0",
		"10.0.0.256",
		"10.0.0.01",
		"10.0.0.7/",
		"10.0.0.7/33",
		"10.0.0.7/-1",
		"10.0.0.7/08",
		"10.0.0.7/8/8",
		" 10.0.0.7",
		"10.0.0.7 ",
		"::1/129",
		":::",
		"g::",
		"fd77::1%eth0",
		"10.0.0.7/8 ",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct addr a = {.family = 99};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (addr_parse(bad[i], &a) == 0 || a.family != 99)
			fail_msg("'%s' is taken", bad[i]);
}

static void ranges(void **state)
{
	static const struct {
		const char *text, *first, *last;
	} rows[] = {
		{"10.0.0.7", "10.0.0.7", "10.0.0.7"},
		{"10.0.0.7-10.0.1.2", "10.0.0.7", "10.0.1.2"},
		{"10.0.0.7-10.0.0.7", "10.0.0.7", "10.0.0.7"},
		{"10.0.0.16/28", "10.0.0.16", "10.0.0.31"},
		{"fd00::-fd00::ff", "fd00::", "fd00::ff"},
		{"fd00::/64", "fd00::", "fd00::ffff:ffff:ffff:ffff"},
		{"10.0.0.7-10.0.0.6", NULL, NULL},
		{"10.0.0.17/28", NULL, NULL},
		{"10.0.0.0/24-10.0.0.9", NULL, NULL},
		{"10.0.0.0-10.0.0.0/24", NULL, NULL},
		{"10.0.0.0-fd00::", NULL, NULL},
		{"10.0.0.0-", NULL, NULL},
		{"-10.0.0.1", NULL, NULL},
		{"", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr first = ADDR_NONE, last = ADDR_NONE;
		char text[ADDR_TEXT];

		if (!rows[i].first) {
			assert_int_equal(addr_parse_range(rows[i].text, &first, &last), -EINVAL);
			assert_int_equal(first.family, 0);
			continue;
		}
		assert_int_equal(addr_parse_range(rows[i].text, &first, &last), 0);
		addr_format(text, &first);
		assert_string_equal(text, rows[i].first);
		addr_format(text, &last);
		assert_string_equal(text, rows[i].last);
	}
}

static void networks(void **state)
{
	static const struct {
		const char *net, *first, *last;
		bool is_network;
	} rows[] = {
		{"10.0.0.0/24", "10.0.0.0", "10.0.0.255", true},
		{"10.0.0.7/24", "10.0.0.0", "10.0.0.255", false},
		{"10.0.0.7", "10.0.0.7", "10.0.0.7", true},
		{"10.0.0.6/31", "10.0.0.6", "10.0.0.7", true},
		{"10.1.2.3/12", "10.0.0.0", "10.15.255.255", false},
		{"0.0.0.0/0", "0.0.0.0", "255.255.255.255", true},
		{"2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", true},
		{"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr net = of(rows[i].net), first = of(rows[i].first),
			    last = of(rows[i].last), a = addr_first(&net), z = addr_last(&net);

		assert_true(addr_equal(&a, &first));
		assert_true(addr_equal(&z, &last));
		assert_int_equal(addr_is_network(&net), rows[i].is_network);
		assert_true(addr_contains(&net, &a) && addr_contains(&net, &z));
	}
}

static void relations(void **state)
{
	static const struct {
		const char *a, *b;
		bool contains, overlaps;
		int order; /* of a and b */
	} rows[] = {
		{"10.0.0.0/8", "10.1.0.0/16", true, true, -1},
		{"10.1.0.0/16", "10.0.0.0/8", false, true, 1},
		{"10.0.0.0/24", "10.0.1.0/24", false, false, -1},
		{"10.0.0.0/24", "10.0.0.0/24", true, true, 0},
		{"10.0.0.0/24", "10.0.0.0/25", true, true, -1},
		{"10.0.0.5", "10.0.0.5", true, true, 0},
		{"0.0.0.0/0", "::/0", false, false, -1},
		{"::/0", "fd77::/16", true, true, -1},
		{"fd77::/63", "fd77:0:0:1::/64", true, true, -1},
		{"fd77::/64", "fd77:0:0:1::/64", false, false, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = of(rows[i].a), b = of(rows[i].b);
		int c = addr_compare(&a, &b);

		if (addr_contains(&a, &b) != rows[i].contains ||
		    addr_overlaps(&a, &b) != rows[i].overlaps ||
		    addr_overlaps(&b, &a) != rows[i].overlaps || (c > 0) - (c < 0) != rows[i].order)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
	}
}

static void counting(void **state)
{
	static const struct {
		const char *from;
		uint64_t n;
		const char *to; /* NULL = there is none */
	} rows[] = {
		{"10.0.0.255", 1, "10.0.1.0"},
		{"10.0.0.0", 65536, "10.1.0.0"},
		{"0.0.0.0", UINT32_MAX, "255.255.255.255"},
		{"255.255.255.255", 1, NULL},
		{"0.0.0.0", 1ull << 32, NULL},
		{"fd77::ffff:ffff:ffff:ffff", 1, "fd77:0:0:1::"},
		{"fd77::", UINT64_MAX - 1, "fd77::ffff:ffff:ffff:fffe"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, NULL},
	};
	struct addr to;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr from = of(rows[i].from), want = rows[i].to ? of(rows[i].to) : ADDR_NONE;
		int r = addr_add(&from, rows[i].n, &to);

		assert_int_equal(r, rows[i].to ? 0 : -ERANGE);
		if (!rows[i].to)
			continue;
		assert_true(addr_equal(&to, &want));
		assert_true(addr_distance(&from, &to) == rows[i].n);
		assert_true(addr_distance(&to, &from) == UINT64_MAX);
	}
	struct addr a = of("::"), b = of("1::"), c = of("0.0.0.0");

	assert_true(addr_distance(&a, &b) == UINT64_MAX);
	assert_true(addr_distance(&a, &c) == UINT64_MAX);
	assert_true(addr_distance(&a, &a) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),    cmocka_unit_test(bad_texts), cmocka_unit_test(ranges),
		cmocka_unit_test(networks), cmocka_unit_test(relations), cmocka_unit_test(counting),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
