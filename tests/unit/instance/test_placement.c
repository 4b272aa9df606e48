/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs instances get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cgroups/cpuset.h"
#include "runtime/instance/placement.h"

static cpu_set_t cpus(const char *list)
{
	cpu_set_t s;

	assert_int_equal(cg_cpus_parse(list, &s), 0);
	return s;
}

static struct placement_item item(uint64_t cores, uint64_t guarantee, const char *now)
{
	return (struct placement_item){.cores = cores, .guarantee = guarantee, .now = cpus(now)};
}

static void expect(const struct placement_item *i, const char *list)
{
	char text[CG_CPUS_TEXT];

	assert_int_equal(cg_cpus_format(&i->cpus, text, sizeof(text)), 0);
	assert_string_equal(text, list);
}

static void spread(const char *pool, struct placement_item *items, size_t n)
{
	cpu_set_t s = cpus(pool);

	assert_int_equal(placement_spread(&s, items, n), 0);
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(placement_width(0), 1);
	assert_int_equal(placement_width(10), 1);
	assert_int_equal(placement_width(1000), 1);
	assert_int_equal(placement_width(1001), 2);
	assert_int_equal(placement_width(4000), 4);
	assert_int_equal(placement_width(UINT64_MAX), CPU_SETSIZE);
}

static void test_from_nothing(void **state)
{
	struct placement_item items[] = {
		item(1000, 250, ""), item(1000, 250, ""),  item(1000, 250, ""),
		item(1000, 250, ""), item(2000, 1000, ""),
	};

	(void)state;
	spread("0-2", items, 5);
	/* The big one first, half a core on each of its two; then where there is most room. */
	expect(&items[4], "0-1");
	expect(&items[0], "2");
	expect(&items[1], "2");
	expect(&items[2], "0");
	expect(&items[3], "1");
}

/* More cores than there are CPUs: all of them. */
static void test_wide(void **state)
{
	struct placement_item items[] = {item(8000, 0, ""), item(1500, 0, "")};

	(void)state;
	spread("2,5", items, 2);
	expect(&items[0], "2,5");
	expect(&items[1], "2,5");
	spread("", items, 2);
	expect(&items[0], "");
}

/* Without a guarantee the ceilings are what is sold. */
static void test_ceilings(void **state)
{
	struct placement_item items[] = {item(1000, 0, ""), item(500, 0, ""), item(500, 0, "")};

	(void)state;
	spread("0-1", items, 3);
	expect(&items[0], "0");
	expect(&items[1], "1");
	expect(&items[2], "1");
}

/* Who runs well stays, whoever else comes. */
static void test_newcomer(void **state)
{
	struct placement_item items[] = {item(1000, 250, "3"), item(1000, 250, "1"),
					 item(1000, 250, "")};

	(void)state;
	spread("0-3", items, 3);
	expect(&items[0], "3");
	expect(&items[1], "1");
	expect(&items[2], "0");
}

/* After many have gone those that are left do not stay on one CPU. */
static void test_uneven(void **state)
{
	struct placement_item items[] = {item(1000, 500, "0"), item(1000, 500, "0"),
					 item(1000, 100, "1")};

	(void)state;
	spread("0-2", items, 3);
	expect(&items[0], "0");
	expect(&items[1], "1");
	expect(&items[2], "2");
}

/* Less than a tenth of a core is not worth a move. */
static void test_nearly_even(void **state)
{
	struct placement_item items[] = {item(100, 50, "0"), item(100, 50, "0")};

	(void)state;
	spread("0-1", items, 2);
	expect(&items[0], "0");
	expect(&items[1], "0");
}

/* Its plan was changed, or a CPU went. */
static void test_other_width(void **state)
{
	struct placement_item items[] = {item(2000, 0, "1"), item(1000, 0, "7"),
					 item(1000, 0, "0-1")};

	(void)state;
	spread("0-2", items, 3);
	assert_int_equal(CPU_COUNT(&items[0].cpus), 2);
	assert_int_equal(CPU_COUNT(&items[1].cpus), 1);
	assert_int_equal(CPU_COUNT(&items[2].cpus), 1);
	assert_false(CPU_ISSET(7, &items[1].cpus));
}

/* Whatever came before: nobody without CPUs, none outside, and asked again nobody moves. */
static void test_settles(void **state)
{
	struct placement_item items[60];
	cpu_set_t pool = cpus("0-6,9");
	uint64_t seed = 12345;

	(void)state;
	for (int round = 0; round < 200; round++) {
		size_t n = 1 + (size_t)round % 60;

		for (size_t i = 0; i < n; i++) {
			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			if ((seed >> 40) % 3 == 0)
				items[i] = item(100 + (seed >> 33) % 9000, (seed >> 35) % 2000, "");
		}
		if (round == 0)
			items[0] = item(1000, 0, "");
		for (size_t i = 0; round < 60 && i < n; i++)
			if (i == n - 1)
				items[i] = item(1000 + i * 100, i * 10, "");
		assert_int_equal(placement_spread(&pool, items, n), 0);
		for (size_t i = 0; i < n; i++) {
			unsigned width = placement_width(items[i].cores);
			cpu_set_t inside;

			CPU_AND(&inside, &items[i].cpus, &pool);
			assert_true(CPU_EQUAL(&inside, &items[i].cpus));
			assert_int_equal(CPU_COUNT(&inside), width < 8 ? width : 8);
			items[i].now = items[i].cpus;
		}
		assert_int_equal(placement_spread(&pool, items, n), 0);
		for (size_t i = 0; i < n; i++)
			assert_true(CPU_EQUAL(&items[i].now, &items[i].cpus));
	}
}

/* CPUs 0-3 and 8-11: 0 and 8 share a core, and so on. */
static void test_own(void **state)
{
	static const struct {
		const char *free;
		unsigned n;
		const char *taken; /* NULL = not enough */
	} rows[] = {
		{"0-3,8-11", 2, "3,11"},
		{"0-3,8-11", 4, "2-3,10-11"},
		{"0-3,8-11", 1, "11"},
		{"0-3,8-10", 1, "3"},	   /* beside somebody who has CPUs of his own */
		{"0-3,8-10", 3, "2-3,10"}, /* a whole core, and that one */
		{"1,2,11", 2, "2,11"},
		{"0-3,8-11", 8, "0-3,8-11"},
		{"0-3,8-11", 9, NULL},
		{"", 1, NULL},
	};
	cpu_set_t *siblings = calloc(CPU_SETSIZE, sizeof(*siblings));

	(void)state;
	assert_non_null(siblings);
	for (size_t c = 0; c < 4; c++) {
		CPU_SET(c, &siblings[c]);
		CPU_SET(c + 8, &siblings[c]);
		siblings[c + 8] = siblings[c];
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct placement_item got = {0};
		cpu_set_t free_cpus = cpus(rows[i].free);
		int r = placement_take(&free_cpus, siblings, rows[i].n, &got.cpus);

		assert_int_equal(r, rows[i].taken ? 0 : -ENOSPC);
		if (rows[i].taken)
			expect(&got, rows[i].taken);
		/* Without knowledge of cores: the last ones. */
		if (r == 0) {
			assert_int_equal(placement_take(&free_cpus, NULL, rows[i].n, &got.cpus), 0);
			assert_int_equal(CPU_COUNT(&got.cpus), rows[i].n);
		}
	}
	free(siblings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_width),	    cmocka_unit_test(test_from_nothing),
		cmocka_unit_test(test_wide),	    cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_newcomer),    cmocka_unit_test(test_uneven),
		cmocka_unit_test(test_nearly_even), cmocka_unit_test(test_other_width),
		cmocka_unit_test(test_settles),	    cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
