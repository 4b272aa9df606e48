/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the limits of an instance, with the sums above it, on a tree of plain files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/tree.h"
#include "tests/unit/cgroups/fake_tree.h"

#define MiB (UINT64_C(1) << 20)
#define TENANT "1111111111111111"
#define INSTANCE "2222222222222222"
#define OTHER "3333333333333333"

struct fake {
	char top[32];
	int tenant;
	struct cg_root root;
	struct cg_instance i;
	int found;
};

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));
	int top;

	assert_non_null(f);
	(void)str_copy(f->top, sizeof(f->top), "/tmp/cg-tree-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	top = path_open_dir(f->top, NULL);
	f->root = CG_ROOT_INIT;
	f->root.fd = fake_dir(top, "");
	close(top);
	f->root.shared = fake_dir(f->root.fd, "shared");
	f->tenant = fake_dir(f->root.shared, TENANT);
	f->i = CG_INSTANCE_INIT;
	f->i.fd = fake_dir(f->tenant, INSTANCE);
	(void)str_copy(f->i.tenant_id, sizeof(f->i.tenant_id), TENANT);
	(void)str_copy(f->i.id, sizeof(f->i.id), INSTANCE);
	assert_int_equal(cg_root_recount(&f->root, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;
	_cleanup_close_ int tmp = path_open_dir("/tmp", NULL);

	close(f->tenant);
	cg_instance_done(&f->i);
	cg_root_done(&f->root);
	assert_int_equal(path_remove_tree(tmp, f->top + strlen("/tmp/"), NULL), 0);
	free(f);
	return 0;
}

static struct cg_limits limits(uint64_t max, uint64_t min, uint64_t pids)
{
	struct cg_limits l;

	cg_limits_init(&l);
	l.value[CG_LIMIT_MEMORY_MAX] = max;
	l.value[CG_LIMIT_MEMORY_MIN] = min;
	l.value[CG_LIMIT_PIDS_MAX] = pids;
	return l;
}

static void check(const struct fake *f, const char *max, const char *min, const char *pids)
{
	expect(f->i.fd, "memory.max", max);
	expect(f->i.fd, "memory.min", min);
	expect(f->i.fd, "pids.max", pids);
	expect(f->tenant, "memory.min", min);
	expect(f->root.shared, "memory.min", min);
}

static int count(void *arg, const struct cg_found *found, struct err *err)
{
	struct fake *f = arg;
	char path[CG_PATH_MAX], link[64], real[CG_PATH_MAX] = "";
	_cleanup_close_ int fd = -1;

	if (!found->id)
		return 0;
	assert_true(found->valid);
	fd = cg_instance_dir(&f->root, found->tenant_id, found->id, err);
	assert_true(fd >= 0);
	cg_instance_path(&f->root, found->tenant_id, found->id, path);
	(void)str_fmt(link, sizeof(link), "/proc/self/fd/%d", fd);
	assert_true(readlink(link, real, sizeof(real) - 1) > 0);
	assert_string_equal(real, path);
	f->found++;
	return 0;
}

/* Instances with CPUs of their own lie elsewhere, and are found, opened, counted and removed all
 * the same. */
static void test_both_places(void **state)
{
	struct fake *f = *state;
	int place = fake_dir(f->root.fd, CG_DEDICATED), fd = fake_dir(place, OTHER);
	struct err err = ERR_INIT;

	(void)str_copy(f->root.path, sizeof(f->root.path), f->top);
	put(fd, "memory.min", "4096\n");
	assert_int_equal(cg_walk(&f->root, count, f, &err), 0);
	assert_int_equal(f->found, 2);
	assert_int_equal(cg_root_recount(&f->root, &err), 0);
	expect(place, "memory.min", "4096");
	expect(f->root.shared, "memory.min", "0");
	expect(f->root.fd, "memory.min", "4096");
	assert_int_equal(cg_instance_dir(&f->root, CG_DEDICATED, INSTANCE, &err), -ENOENT);
	assert_int_equal(cg_instance_dir(&f->root, TENANT, OTHER, &err), -ENOENT);
	assert_int_equal(cg_instance_dir(&f->root, "..", OTHER, &err), -EINVAL);
	close(fd);
	close(place);
}

/* What is dedicated is read from two places, which a vpsd that was killed leaves different. */
static void test_dedicated_found(void **state)
{
	struct fake *f = *state;
	static const struct {
		const char *label, *root, *place, *cpus; /* place NULL: it is not there */
		bool is_sure;
		int n;
	} rows[] = {
		{"nothing was ever dedicated", "member\n", NULL, NULL, true, 0},
		{"ended before its directory was made", "root\n", NULL, NULL, false, 0},
		{"ended before the directory's own", "root\n", "member\n", "", false, 0},
		{"ended in giving back", "member\n", "root\n", "2-3\n", false, 2},
		{"ended in removing it", "member\n", "member\n", "0-3\n", false, 0},
		{"whole", "root\n", "root\n", "2-3\n", true, 2},
	};
	int place = -1;

	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		cpu_set_t cpus;
		bool is_sure;

		put(f->root.fd, "cpuset.cpus.partition", rows[n].root);
		if (rows[n].place && place < 0)
			place = fake_dir(f->root.fd, CG_DEDICATED);
		if (rows[n].place) {
			put(place, "cpuset.cpus.partition", rows[n].place);
			put(place, "cpuset.cpus", rows[n].cpus);
		}
		is_sure = cg_dedicated_get(&f->root, &cpus);
		if (is_sure != rows[n].is_sure || CPU_COUNT(&cpus) != rows[n].n)
			fail_msg("%s: %d, %d CPUs", rows[n].label, is_sure, CPU_COUNT(&cpus));
	}
	close(place);
}

static void test_sums(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = limits(64 * MiB, 16 * MiB, 64);

	assert_int_equal(cg_instance_apply(&f->root, &f->i, &l, 0, NULL, NULL), 0);
	check(f, "67108864", "16777216", "64");
	l = limits(32 * MiB, 8 * MiB, 32);
	assert_int_equal(cg_instance_apply(&f->root, &f->i, &l, CG_APPLY_CHECK, NULL, NULL), 0);
	check(f, "67108864", "16777216", "64");
	assert_int_equal(cg_instance_apply(&f->root, &f->i, &l, 0, NULL, NULL), 0);
	check(f, "33554432", "8388608", "32");
}

/* The instance takes its limits, and what is above it does not take the sum: all goes back, and the
 * next change counts right. */
static void test_sums_refused(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = limits(64 * MiB, 16 * MiB, 64);
	const struct cg_disk disk = {.major = 254, .name = "vda"};
	struct err err = ERR_INIT;

	l.disk = &disk;
	l.value[CG_LIMIT_DISK_WRITE_IOPS] = 500;
	assert_int_equal(cg_instance_apply(&f->root, &f->i, &l, 0, NULL, &err), 0);
	expect(f->i.fd, "io.max", "254:0 wiops=500");
	assert_int_equal(renameat(f->root.shared, "memory.min", f->root.shared, "was"), 0);
	assert_int_equal(mkdirat(f->root.shared, "memory.min", 0755), 0);
	l = limits(128 * MiB, 32 * MiB, 128);
	l.disk = &disk;
	l.value[CG_LIMIT_DISK_WRITE_IOPS] = 700;
	assert_true(cg_instance_apply(&f->root, &f->i, &l, 0, NULL, &err) < 0);
	assert_int_equal(unlinkat(f->root.shared, "memory.min", AT_REMOVEDIR), 0);
	assert_int_equal(renameat(f->root.shared, "was", f->root.shared, "memory.min"), 0);
	check(f, "67108864", "16777216", "64");
	expect(f->i.fd, "io.max", "254:0 wiops=500");
	assert_int_equal(cg_instance_apply(&f->root, &f->i, &l, 0, NULL, &err), 0);
	check(f, "134217728", "33554432", "128");
	expect(f->i.fd, "io.max", "254:0 wiops=700");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dedicated_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sums_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
