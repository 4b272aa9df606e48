/* SPDX-License-Identifier: Apache-2.0 */
/* Id ranges, and admission of instances to the host and to a tenant's quota. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/instance/admission.h"
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

#define GIB (UINT64_C(1) << 30)

static void test_admission(void **state)
{
	struct spec_host spec = {.reserve = {.cores = 1000, .memory = 2 * GIB},
				 .overcommit = {.cpu = 4000, .memory = 1000, .disk = 1000}};
	struct admission_host host = {.cores = 4000, .memory = 10 * GIB, .spec = &spec};
	struct admission_load used = {.cores_guaranteed = 2500, .memory_guaranteed = 7 * GIB};
	struct admission_load want = {.instances = 1, .memory_guaranteed = GIB};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
	want.memory_guaranteed++;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "guaranteed memory"));
	assert_true(err.hint[0] != '\0');
	want = (struct admission_load){.cores_guaranteed = 501};
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "0.501 wanted, 0.500 left of 3.000"));
	/* Ceilings: four times the cores, once the memory. */
	want = (struct admission_load){.cores = 12000, .memory = 8 * GIB};
	assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
	want.cores++;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	/* Four CPUs: one is the host's, one for all that share. */
	assert_int_equal(admission_cores_dedicated(&host), 2000);
	used = (struct admission_load){.cores_dedicated = 1000};
	want = (struct admission_load){.cores_dedicated = 1000};
	assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
	want.cores_dedicated = 2000;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "dedicated cores: 2.000 wanted, 1.000 left of 2.000"));
	spec.reserve.cores = 1001;
	assert_int_equal(admission_cores_dedicated(&host), 1000);
	spec.reserve.cores = 1000;
	/* A host that is over by itself still takes what asks for nothing. */
	host.memory = 0;
	want = (struct admission_load){.instances = 1};
	assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
}

static void test_quota(void **state)
{
	struct spec_tenant t = {.quota = {.instances = 2,
					  .cores = JSON_UNLIMITED,
					  .memory = GIB,
					  .disk = JSON_UNLIMITED,
					  .ipv4 = JSON_UNLIMITED,
					  .transfer = JSON_UNLIMITED}};
	struct admission_load used = {.instances = 1, .memory = GIB / 2};
	struct admission_load want = {.instances = 1, .memory = GIB / 2, .cores = 1000000};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(admission_check_quota(&t, &used, &want, &err), 0);
	admission_add(&used, &want);
	assert_int_equal(admission_check_quota(&t, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "instances"));
	admission_sub(&used, &want);
	want.memory++;
	assert_int_equal(admission_check_quota(&t, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.hint, "quota.memory"));
}

static void test_unlimited_disk(void **state)
{
	struct spec_tenant tenant = {0};
	struct spec_plan plan = {0};
	struct admission_load used = {0}, want;
	struct err err = ERR_INIT;

	(void)state;
	tenant.quota = (struct spec_quota){.instances = JSON_UNLIMITED,
					   .cores = JSON_UNLIMITED,
					   .memory = JSON_UNLIMITED,
					   .disk = 1 << 30};
	plan.disk.size = JSON_UNLIMITED;
	want = admission_of_plan(&plan);
	assert_int_equal(admission_check_quota(&tenant, &used, &want, &err), -ENOSPC);
	tenant.quota.disk = JSON_UNLIMITED;
	assert_int_equal(admission_check_quota(&tenant, &used, &want, &err), 0);
	tenant.quota.disk = 1 << 30;
	plan.disk.size = 1 << 30;
	want = admission_of_plan(&plan);
	assert_int_equal(admission_check_quota(&tenant, &used, &want, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_all), cmocka_unit_test(test_goes_round),
		cmocka_unit_test(test_bounds),	 cmocka_unit_test(test_admission),
		cmocka_unit_test(test_quota),	 cmocka_unit_test(test_unlimited_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
