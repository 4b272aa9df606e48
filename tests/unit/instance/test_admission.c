/* SPDX-License-Identifier: Apache-2.0 */
/* Whether there is room: what is shown as free is what is granted, for each resource. */
#include "runtime/instance/admission.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

static uint64_t dedicable(const struct admission_host *h)
{
	const struct admission_load none = {0};
	struct admission_status all[ADMISSION_RESOURCE_MAX];

	admission_status(h, &none, all);
	return all[ADMISSION_DEDICATED].sellable;
}

static void test_admission(void **state)
{
	struct spec_host spec = {.reserve = {.cores = 1000, .memory = 2 * GIB},
				 .overcommit = {.cpu = 4000, .memory = 1000, .disk = 1000}};
	struct admission_host host = {
		.cores = 4000, .memory = 10 * GIB, .id_ranges = 9, .spec = &spec};
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
	assert_int_equal(dedicable(&host), 2000);
	used = (struct admission_load){.cores_dedicated = 1000};
	want = (struct admission_load){.cores_dedicated = 1000};
	assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
	want.cores_dedicated = 2000;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "dedicated cores: 2.000 wanted, 1.000 left of 2.000"));
	spec.reserve.cores = 1001;
	assert_int_equal(dedicable(&host), 1000);
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
					  .pids = 1000,
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
	want.memory--;
	used.pids = 400;
	want.pids = 600;
	assert_int_equal(admission_check_quota(&t, &used, &want, &err), 0);
	want.pids++;
	assert_int_equal(admission_check_quota(&t, &used, &want, &err), -ENOSPC);
	assert_string_equal(err.msg,
			    "not enough pids: 601 wanted, 600 left of 1000 in the tenant's quota");
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
					   .pids = JSON_UNLIMITED,
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

/* A host of 8 CPUs, 32 GiB, 400 GB of disk. */
static struct spec_host spec_of_shop(void)
{
	return (struct spec_host){
		.reserve = {.cores = 1500, .memory = 2 * GIB, .disk = 20 * GIB},
		.overcommit = {.cpu = 4000, .memory = 1500, .disk = 2000},
	};
}

static struct admission_host shop(const struct spec_host *spec)
{
	return (struct admission_host){
		.cores = 8000,
		.memory = 32 * GIB,
		.disk = 400 * GIB,
		.pids = 4194304,
		.id_ranges = 100,
		.spec = spec,
	};
}

static void test_shown(void **state)
{
	static const struct {
		const char *name;
		uint64_t total, reserve, overcommit, sellable, guaranteeable;
	} rows[ADMISSION_RESOURCE_MAX] = {
		{"cores", 8000, 1500, 4000, 26000, 6500},
		{"dedicated cores", 8000, 3000, 1000, 5000, JSON_UNLIMITED},
		{"memory", 32 * GIB, 2 * GIB, 1500, 45 * GIB, 30 * GIB},
		{"disk", 400 * GIB, 20 * GIB, 2000, 760 * GIB, JSON_UNLIMITED},
		{"pids", 4194304, 0, JSON_UNLIMITED, JSON_UNLIMITED, JSON_UNLIMITED},
		{"instances", 100, 0, 1000, 100, JSON_UNLIMITED},
	};
	const struct spec_host spec = spec_of_shop();
	const struct admission_host host = shop(&spec);
	const struct admission_load used = {.instances = 3,
					    .cores = 27000,
					    .cores_guaranteed = 500,
					    .cores_dedicated = 2000,
					    .memory = 45 * GIB,
					    .memory_guaranteed = GIB,
					    .pids = 5000,
					    .disk = 60 * GIB};
	struct admission_status all[ADMISSION_RESOURCE_MAX];

	(void)state;
	admission_status(&host, &used, all);
	for (size_t i = 0; i < ADMISSION_RESOURCE_MAX; i++) {
		assert_string_equal(all[i].name, rows[i].name);
		assert_true(all[i].total == rows[i].total);
		assert_true(all[i].reserve == rows[i].reserve);
		assert_true(all[i].overcommit == rows[i].overcommit);
		assert_true(all[i].sellable == rows[i].sellable);
		assert_true(all[i].guaranteeable == rows[i].guaranteeable);
	}
	/* One that is oversold has nothing left. */
	assert_int_equal(all[ADMISSION_CORES].sold, 27000);
	assert_int_equal(all[ADMISSION_CORES].free, 0);
	assert_int_equal(all[ADMISSION_CORES].guarantee_free, 6000);
	assert_int_equal(all[ADMISSION_MEMORY].free, 0);
	assert_true(all[ADMISSION_MEMORY].guarantee_free == 29 * GIB);
	assert_true(all[ADMISSION_DISK].free == 700 * GIB);
	assert_true(all[ADMISSION_PIDS].free == JSON_UNLIMITED);
	assert_int_equal(all[ADMISSION_PIDS].sold, 5000);
	assert_int_equal(all[ADMISSION_INSTANCES].free, 97);
}

static uint64_t *part(struct admission_load *l, enum admission_resource r)
{
	uint64_t *const parts[ADMISSION_RESOURCE_MAX] = {
		&l->cores, &l->cores_dedicated, &l->memory, &l->disk, &l->pids, &l->instances};

	return parts[r];
}

/* For every resource: what is shown as free is granted, and not one more. */
static void test_free_is_granted(void **state)
{
	const struct spec_host spec = spec_of_shop();
	const struct admission_host host = shop(&spec);
	const struct admission_load used = {.instances = 3,
					    .cores = 1700,
					    .cores_guaranteed = 500,
					    .cores_dedicated = 1000,
					    .memory = 3 * GIB + 1,
					    .memory_guaranteed = GIB,
					    .disk = 7 * GIB};
	struct admission_status all[ADMISSION_RESOURCE_MAX];
	struct err err = ERR_INIT;

	(void)state;
	admission_status(&host, &used, all);
	for (size_t i = 0; i < ADMISSION_RESOURCE_MAX; i++) {
		struct admission_load want = {0};
		char text[80];

		*part(&want, (enum admission_resource)i) = all[i].free;
		assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
		if (all[i].free == JSON_UNLIMITED)
			continue;
		++*part(&want, (enum admission_resource)i);
		assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
		assert_true(snprintf(text, sizeof(text), "not enough %s: ", all[i].name) > 0);
		assert_ptr_equal(strstr(err.msg, text), err.msg);
		assert_true(err.hint[0] != '\0');
	}
	for (int i = 0; i < 2; i++) {
		struct admission_load want = {0};
		uint64_t *p = i ? &want.memory_guaranteed : &want.cores_guaranteed;

		*p = all[i ? ADMISSION_MEMORY : ADMISSION_CORES].guarantee_free;
		assert_int_equal(admission_check_host(&host, &used, &want, &err), 0);
		++*p;
		assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
		assert_ptr_equal(strstr(err.msg, "not enough guaranteed "), err.msg);
	}
}

static void test_disk(void **state)
{
	struct spec_host spec = spec_of_shop();
	const struct admission_host host = shop(&spec);
	struct admission_load used = {.disk = 700 * GIB}, want = {.disk = 100 * GIB};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	assert_string_equal(err.msg, "not enough disk: 100GiB wanted, 60GiB left of 760GiB that "
				     "this host gives away");
	assert_non_null(strstr(err.hint, "overcommit.disk"));
	/* A reserve that is more than there is leaves nothing, also with a factor. */
	spec.reserve.disk = 500 * GIB;
	want.disk = 1;
	used.disk = 0;
	assert_int_equal(admission_check_host(&host, &used, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "0 left of 0"));
}

/* No factor makes more cores of one instance true. */
static void test_size(void **state)
{
	const struct spec_host spec = spec_of_shop();
	const struct admission_host host = shop(&spec);
	struct admission_load one = {.cores = 8000};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(admission_check_size(&host, &one, &err), 0);
	one.cores++;
	assert_int_equal(admission_check_size(&host, &one, &err), -ENOSPC);
	assert_string_equal(err.msg, "cpu.cores of one instance, 8.001, are more than this host "
				     "has, 8.000");
}

static void test_growth(void **state)
{
	const struct admission_load old = {.cores = 2000, .memory = 5, .disk = 7, .pids = 1},
				    new = {.cores = 1000, .memory = 9, .disk = 7, .pids = 4};
	const struct admission_load more = admission_growth(&new, &old);

	(void)state;
	assert_int_equal(more.cores, 0);
	assert_int_equal(more.memory, 4);
	assert_int_equal(more.disk, 0);
	assert_int_equal(more.pids, 3);
}

/* Factors and sizes at the end of their ranges neither wrap nor turn into "no limit". */
static void test_large(void **state)
{
	struct spec_host spec = {
		.overcommit = {.cpu = 1000000, .memory = 1000000, .disk = 1000000}};
	const struct admission_host host = {.cores = 4096000,
					    .memory = UINT64_C(1) << 60,
					    .disk = UINT64_C(1) << 60,
					    .id_ranges = 1,
					    .spec = &spec};
	const struct admission_load used = {.memory = UINT64_C(1) << 60};
	struct admission_status all[ADMISSION_RESOURCE_MAX];

	(void)state;
	admission_status(&host, &used, all);
	assert_true(all[ADMISSION_CORES].free == UINT64_C(4096000000));
	assert_true(all[ADMISSION_MEMORY].sellable > UINT64_C(1) << 53);
	assert_true(all[ADMISSION_MEMORY].free != JSON_UNLIMITED);
	assert_true(all[ADMISSION_DISK].free != JSON_UNLIMITED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_admission),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_unlimited_disk),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_free_is_granted),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
