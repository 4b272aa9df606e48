/* SPDX-License-Identifier: Apache-2.0 */
/* Id ranges: taken in turn, given back, never twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/instance/alloc.h"

static void test_take_all(void **state)
{
	struct alloc_ranges *a = NULL;
	struct err err = ERR_INIT;
	uint64_t i = 0;

	(void)state;
	assert_int_equal(alloc_ranges_new(1000000, 4, &a, &err), 0);
	assert_int_equal(alloc_ranges_free_count(a), 3);
	for (uint64_t n = 1; n <= 3; n++) {
		assert_int_equal(alloc_ranges_take(a, &i, &err), 0);
		assert_int_equal(i, n);
	}
	assert_int_equal(alloc_ranges_take(a, &i, &err), -ENOSPC);
	assert_int_equal(i, 3);
	assert_non_null(strstr(err.msg, "all 3"));
	assert_non_null(strstr(err.hint, "idmap.count"));
	/* Index 0 is the jobs' and never comes back. */
	alloc_ranges_release(a, 0);
	assert_int_equal(alloc_ranges_free_count(a), 0);
	alloc_ranges_release(a, 2);
	alloc_ranges_release(a, 2);
	assert_int_equal(alloc_ranges_free_count(a), 1);
	assert_int_equal(alloc_ranges_take(a, &i, &err), 0);
	assert_int_equal(i, 2);
	alloc_ranges_free(a);
}

static void test_goes_round(void **state)
{
	struct alloc_ranges *a = NULL;
	struct err err = ERR_INIT;
	uint64_t i = 0;

	(void)state;
	assert_int_equal(alloc_ranges_new(1000000, 100, &a, &err), 0);
	assert_int_equal(alloc_ranges_mark(a, 7, &err), 0);
	assert_int_equal(alloc_ranges_mark(a, 7, &err), -EEXIST);
	assert_int_equal(alloc_ranges_mark(a, 0, &err), -ERANGE);
	assert_int_equal(alloc_ranges_mark(a, 100, &err), -ERANGE);
	/* A freed index is not the next one that is given. */
	assert_int_equal(alloc_ranges_take(a, &i, &err), 0);
	assert_int_equal(i, 8);
	alloc_ranges_release(a, 8);
	assert_int_equal(alloc_ranges_take(a, &i, &err), 0);
	assert_int_equal(i, 9);
	assert_int_equal(alloc_ranges_base(a, 9), 1000000 + 9 * 65536);
	alloc_ranges_free(a);
}

static void test_bounds(void **state)
{
	struct alloc_ranges *a = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(alloc_ranges_new(99999, 10, &a, &err), -EINVAL);
	assert_int_equal(alloc_ranges_new(1000000, 0, &a, &err), -ERANGE);
	assert_int_equal(alloc_ranges_new(1000000, 65536, &a, &err), -ERANGE);
	assert_int_equal(alloc_ranges_new(UINT64_MAX - 65536, 1, &a, &err), -ERANGE);
	assert_null(a);
	assert_int_equal(alloc_ranges_new(100000, 65000, &a, &err), 0);
	alloc_ranges_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_all),
		cmocka_unit_test(test_goes_round),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
