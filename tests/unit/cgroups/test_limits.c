/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: the table, its formats, and applying to a directory of plain files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/limits.h"
#include "tests/unit/cgroups/fake_tree.h"

#define MiB (UINT64_C(1) << 20)

/* A fake tree: <top>/tenant/instance. */
struct fake {
	char top[32];
	int top_fd, tenant, instance;
};

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)str_copy(f->top, sizeof(f->top), "/tmp/cg-limits-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->top_fd = path_open_dir(f->top, NULL);
	f->tenant = fake_dir(f->top_fd, "tenant");
	f->instance = fake_dir(f->tenant, "instance");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;
	_cleanup_close_ int tmp = path_open_dir("/tmp", NULL);

	close(f->instance);
	close(f->tenant);
	assert_int_equal(path_remove_tree(tmp, f->top + strlen("/tmp/"), NULL), 0);
	close(f->top_fd);
	free(f);
	return 0;
}

static void test_table(void **state)
{
	struct cg_limits l;
	char text[CG_LIMIT_TEXT];
	uint64_t v;

	(void)state;
	cg_limits_init(&l);
	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		assert_non_null(cg_limit_name((enum cg_limit)i));
		assert_non_null(cg_limit_file((enum cg_limit)i));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(cg_limit_name((enum cg_limit)i),
						cg_limit_name((enum cg_limit)k));
		/* The initial value goes through its own format. */
		assert_int_equal(cg_limit_format((enum cg_limit)i, l.value[i], text), 0);
		assert_int_equal(cg_limit_parse((enum cg_limit)i, text, &v), 0);
		assert_true(v == l.value[i]);
	}
	assert_null(cg_limit_name(CG_LIMIT_MAX));
	assert_null(cg_limit_file(CG_LIMIT_MAX));
	assert_int_equal(cg_limit_format(CG_LIMIT_MAX, 1, text), -EINVAL);
	assert_int_equal(cg_limit_parse(CG_LIMIT_MAX, "1", &v), -EINVAL);
}

static void test_format(void **state)
{
	static const struct {
		enum cg_limit limit;
		uint64_t value;
		const char *text; /* NULL = refused */
		uint64_t back;
	} rows[] = {
		{CG_LIMIT_CPU_CORES, CG_UNLIMITED, "max 100000", CG_UNLIMITED},
		{CG_LIMIT_CPU_CORES, 1000, "100000 100000", 1000},
		{CG_LIMIT_CPU_CORES, 1, "1000 100000", 10}, /* 1 ms is the least */
		{CG_LIMIT_CPU_CORES, 11, "1100 100000", 11},
		{CG_LIMIT_CPU_CORES, 2500, "250000 100000", 2500},
		{CG_LIMIT_CPU_CORES, 256000, "25600000 100000", 256000},
		{CG_LIMIT_CPU_CORES, UINT64_MAX - 1, NULL, 0},
		{CG_LIMIT_CPU_BURST, 0, "0", 0},
		{CG_LIMIT_CPU_BURST, 20000, "20000", 20000},
		{CG_LIMIT_CPU_WEIGHT, 0, NULL, 0},
		{CG_LIMIT_CPU_WEIGHT, 1, "1", 1},
		{CG_LIMIT_CPU_WEIGHT, 10000, "10000", 10000},
		{CG_LIMIT_CPU_WEIGHT, 10001, NULL, 0},
		{CG_LIMIT_CPU_WEIGHT, CG_UNLIMITED, NULL, 0},
		{CG_LIMIT_MEMORY_MAX, 512 * MiB, "536870912", 512 * MiB},
		{CG_LIMIT_MEMORY_MAX, 512 * MiB + 1, "536870912", 512 * MiB},
		{CG_LIMIT_MEMORY_MAX, 0, "0", 0},
		{CG_LIMIT_MEMORY_MAX, CG_UNLIMITED, "max", CG_UNLIMITED},
		{CG_LIMIT_MEMORY_MAX, UINT64_MAX - 1, NULL, 0},
		{CG_LIMIT_MEMORY_MIN, 4096, "4096", 4096},
		{CG_LIMIT_SWAP_MAX, 0, "0", 0},
		{CG_LIMIT_PIDS_MAX, 512, "512", 512},
		{CG_LIMIT_PIDS_MAX, CG_UNLIMITED, "max", CG_UNLIMITED},
		{CG_LIMIT_MEMORY_HIGH, 512 * MiB + 1, "536870912", 512 * MiB},
		{CG_LIMIT_DISK_READ, 1 * MiB + 1, "1048577", 1 * MiB + 1},
		{CG_LIMIT_DISK_WRITE, CG_UNLIMITED, "max", CG_UNLIMITED},
		{CG_LIMIT_DISK_READ_IOPS, 4294967294, "4294967294", 4294967294},
		{CG_LIMIT_DISK_READ_IOPS, 4294967295, NULL, 0},
		{CG_LIMIT_DISK_WRITE_IOPS, CG_UNLIMITED, "max", CG_UNLIMITED},
		{CG_LIMIT_DISK_WEIGHT, 0, NULL, 0},
		{CG_LIMIT_DISK_WEIGHT, 10000, "default 10000", 10000},
		{CG_LIMIT_DISK_WEIGHT, 10001, NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[CG_LIMIT_TEXT] = "";
		uint64_t v = 7;

		if (!rows[i].text) {
			assert_int_equal(cg_limit_format(rows[i].limit, rows[i].value, text),
					 -ERANGE);
			continue;
		}
		assert_int_equal(cg_limit_format(rows[i].limit, rows[i].value, text), 0);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(cg_limit_parse(rows[i].limit, text, &v), 0);
		assert_true(v == rows[i].back);
	}
}

static void test_parse_odd(void **state)
{
	static const struct {
		enum cg_limit limit;
		const char *text;
	} bad[] = {
		{CG_LIMIT_CPU_CORES, ""},
		{CG_LIMIT_CPU_CORES, "max"},
		{CG_LIMIT_CPU_CORES, "100000"},
		{CG_LIMIT_CPU_CORES, "100000 0"},
		{CG_LIMIT_CPU_CORES, "100000 x"},
		{CG_LIMIT_CPU_CORES, "-1 100000"},
		{CG_LIMIT_CPU_CORES, "18446744073709551615 100000"},
		{CG_LIMIT_CPU_CORES, "100000 100000 1"},
		{CG_LIMIT_CPU_WEIGHT, "max"},
		{CG_LIMIT_CPU_WEIGHT, ""},
		{CG_LIMIT_MEMORY_MAX, "maximum"},
		{CG_LIMIT_MEMORY_MAX, "12k"},
		{CG_LIMIT_MEMORY_MAX, "99999999999999999999"},
		{CG_LIMIT_PIDS_MAX, " 1"},
		{CG_LIMIT_DISK_WEIGHT, "100"},
		{CG_LIMIT_DISK_WEIGHT, "default"},
		{CG_LIMIT_DISK_WEIGHT, "default max"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t v = 7;

		assert_int_equal(cg_limit_parse(bad[i].limit, bad[i].text, &v), -EBADMSG);
		assert_int_equal(v, 7);
	}
}

static void test_weight(void **state)
{
	(void)state;
	assert_int_equal(cg_weight_from_cores(250), 25);
	assert_int_equal(cg_weight_from_cores(1000), 100);
	assert_int_equal(cg_weight_from_cores(0), 1);
	assert_int_equal(cg_weight_from_cores(19), 1);
	assert_int_equal(cg_weight_from_cores(100000), 10000);
	assert_int_equal(cg_weight_from_cores(UINT64_MAX), 10000);
}

static const struct cg_disk vda = {
	.major = 254, .name = "vda", .weight_file = "io.weight", .weight_max = 10000};

static struct cg_limits sample(void)
{
	struct cg_limits l;

	cg_limits_init(&l);
	l.disk = &vda;
	l.value[CG_LIMIT_CPU_CORES] = 1500;
	l.value[CG_LIMIT_CPU_WEIGHT] = 25;
	l.value[CG_LIMIT_MEMORY_MAX] = 64 * MiB;
	l.value[CG_LIMIT_MEMORY_MIN] = 32 * MiB;
	l.value[CG_LIMIT_SWAP_MAX] = 0;
	l.value[CG_LIMIT_MEMORY_HIGH] = 60 * MiB;
	l.value[CG_LIMIT_PIDS_MAX] = 512;
	return l;
}

static void test_apply(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;

	/* The tenant is tighter in one, wider in another. */
	put(f->tenant, "cpu.max", "100000 100000\n");
	put(f->tenant, "pids.max", "1000\n");
	assert_int_equal(cg_limits_apply(f->instance, &l, st, &err), 0);
	assert_int_equal(err.code, 0);
	expect(f->instance, "cpu.max", "150000 100000");
	expect(f->instance, "cpu.weight", "25");
	expect(f->instance, "memory.max", "67108864");
	expect(f->instance, "memory.high", "62914560");
	expect(f->instance, "memory.min", "33554432");
	expect(f->instance, "memory.swap.max", "0");
	expect(f->instance, "pids.max", "512");
	/* A disk without a limit is not made to count its requests. */
	expect(f->instance, "io.max", "");
	expect(f->instance, "io.weight", "default 100");
	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		assert_true(st[i].effective);
		assert_string_equal(st[i].reason, "");
		assert_true(st[i].configured == l.value[i]);
		assert_true(st[i].actual == (i == CG_LIMIT_CPU_CORES ? 1000 : l.value[i]));
	}
	/* Reading gives the same, with as many levels as asked for. */
	assert_int_equal(cg_limits_read(f->instance, 1, &l, st, &err), 0);
	assert_int_equal(st[CG_LIMIT_CPU_CORES].actual, 1000);
	assert_int_equal(cg_limits_read(f->instance, 0, &l, st, &err), 0);
	assert_int_equal(st[CG_LIMIT_CPU_CORES].actual, 1500);
	/* The walk ends where no cgroup is any more. */
	assert_int_equal(cg_limits_read(f->instance, 30, NULL, st, &err), 0);
	assert_true(st[CG_LIMIT_PIDS_MAX].effective);
	/* Somebody else has changed one. */
	put(f->instance, "pids.max", "max\n");
	assert_int_equal(cg_limits_read(f->instance, 1, &l, st, &err), 0);
	assert_false(st[CG_LIMIT_PIDS_MAX].effective);
	assert_non_null(strstr(st[CG_LIMIT_PIDS_MAX].reason, "unlimited"));
	assert_int_equal(st[CG_LIMIT_PIDS_MAX].actual, 1000);
}

static void test_missing(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;

	put(f->instance, "cgroup.controllers", "cpuset memory\n");
	assert_int_equal(unlinkat(f->instance, "cpu.max", 0), 0);
	assert_int_equal(unlinkat(f->instance, "memory.swap.max", 0), 0);
	assert_int_equal(cg_limits_apply(f->instance, &l, st, &err), 0);
	assert_int_equal(err.code, 0);
	assert_false(st[CG_LIMIT_CPU_CORES].effective);
	assert_non_null(strstr(st[CG_LIMIT_CPU_CORES].reason, "'cpu' controller"));
	assert_int_equal(st[CG_LIMIT_CPU_CORES].configured, 1500);
	assert_true(st[CG_LIMIT_CPU_CORES].actual == CG_UNLIMITED);
	assert_non_null(strstr(st[CG_LIMIT_SWAP_MAX].reason, "memory.swap.max"));
	assert_true(st[CG_LIMIT_MEMORY_MAX].effective);
	assert_int_equal(cg_limits_read(f->instance, 1, &l, st, &err), 0);
	assert_int_equal(err.code, 0);
	assert_false(st[CG_LIMIT_CPU_CORES].effective);
}

static void test_restore(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;

	st[0].configured = 4711;
	l.value[CG_LIMIT_PIDS_MAX] = 100;
	put(f->instance, "pids.max", "77\n");
	put(f->instance, "cpu.max.burst", "5000\n");
	/* A value that the format refuses, late in the table. */
	l.value[CG_LIMIT_SWAP_MAX] = UINT64_MAX - 1;
	assert_int_equal(cg_limits_apply(f->instance, &l, st, &err), -ERANGE);
	assert_int_equal(err.code, ERANGE);
	assert_non_null(strstr(err.msg, "memory.swap"));
	expect(f->instance, "cpu.max", "max 100000");
	expect(f->instance, "cpu.max.burst", "5000");
	expect(f->instance, "cpu.weight", "100");
	expect(f->instance, "memory.max", "max");
	expect(f->instance, "memory.min", "0");
	expect(f->instance, "memory.swap.max", "max");
	expect(f->instance, "pids.max", "77");
	assert_int_equal(st[0].configured, 4711);
}

static void test_shrink(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct err err = ERR_INIT;

	put(f->instance, "memory.current", "209715200\n");
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "64MiB"));
	assert_non_null(strstr(err.msg, "200MiB"));
	expect(f->instance, "memory.max", "max");
	expect(f->instance, "cpu.weight", "100");
	/* Page cache is given back, but for what has to be written first. */
	put(f->instance, "memory.stat",
	    "inactive_file 100000000\nactive_file 50000000\nfile_dirty 8000000\n"
	    "file_writeback 2000000\n");
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), -EBUSY);
	err = ERR_INIT;
	put(f->instance, "memory.stat",
	    "anon 1\nfile 150000000\ninactive_file 100000000\nactive_file 50000000\n");
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), 0);
	put(f->instance, "memory.stat", "anon 1\nnonsense\ninactive_file x\nactive_file 50000000");
	err = ERR_INIT;
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), -EBUSY);
	assert_int_equal(cg_limits_apply_flags(f->instance, &l, CG_APPLY_FORCE, NULL, &err), 0);
	expect(f->instance, "memory.max", "67108864");
}

/* What the kernel would have to reclaim for is left where it is, and said. */
static void test_defer(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;
	const unsigned flags = CG_APPLY_FORCE | CG_APPLY_DEFER;

	put(f->instance, "memory.current", "209715200\n");
	assert_int_equal(cg_limits_apply_flags(f->instance, &l, flags, st, &err), 0);
	expect(f->instance, "memory.max", "max");
	expect(f->instance, "cpu.weight", "25");
	assert_true(st[CG_LIMIT_MEMORY_MAX].is_owed);
	assert_false(st[CG_LIMIT_MEMORY_MAX].effective);
	assert_int_equal(st[CG_LIMIT_MEMORY_MAX].configured, 64 << 20);
	assert_int_equal(st[CG_LIMIT_MEMORY_MAX].actual, CG_UNLIMITED);
	assert_true(*st[CG_LIMIT_MEMORY_MAX].reason);
	assert_false(st[CG_LIMIT_CPU_WEIGHT].is_owed);
	/* The value that is there already would be reclaimed for as well, and is not owed. */
	put(f->instance, "memory.max", "67108864\n");
	assert_int_equal(cg_limits_apply_flags(f->instance, &l, flags, st, &err), 0);
	assert_false(st[CG_LIMIT_MEMORY_MAX].is_owed);
	assert_true(st[CG_LIMIT_MEMORY_MAX].effective);
	/* Above what is used it is one write like the others. */
	put(f->instance, "memory.current", "1048576\n");
	put(f->instance, "memory.max", "134217728\n");
	assert_int_equal(cg_limits_apply_flags(f->instance, &l, flags, st, &err), 0);
	expect(f->instance, "memory.max", "67108864");
	assert_false(st[CG_LIMIT_MEMORY_MAX].is_owed);
}

static void test_shrink_pids(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct err err = ERR_INIT;

	l.value[CG_LIMIT_PIDS_MAX] = 40;
	put(f->instance, "pids.current", "41\n");
	put(f->instance, "pids.max", "77\n");
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), -EBUSY);
	assert_string_equal(err.msg, "cannot lower 'pids' to 40: 41 are in use");
	expect(f->instance, "pids.max", "77");
	expect(f->instance, "cpu.weight", "100");
	assert_int_equal(cg_limits_apply_flags(f->instance, &l, CG_APPLY_CHECK, NULL, &err),
			 -EBUSY);
	assert_int_equal(
		cg_limits_apply_flags(f->instance, &l, CG_APPLY_FORCE | CG_APPLY_CHECK, NULL, &err),
		0);
	expect(f->instance, "pids.max", "77");
	assert_int_equal(cg_limits_apply_flags(f->instance, &l, CG_APPLY_FORCE, NULL, &err), 0);
	expect(f->instance, "pids.max", "40");
	/* What was forced once stands in nobody's way. */
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), 0);
	l.value[CG_LIMIT_PIDS_MAX] = 41;
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), 0);
}

static void test_ceilings(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;

	put(f->tenant, "cpu.weight", "321\n");
	put(f->tenant, "memory.min", "40960\n");
	assert_int_equal(cg_limits_apply_flags(f->tenant, &l, CG_APPLY_CEILINGS, st, &err), 0);
	expect(f->tenant, "cpu.weight", "321");
	expect(f->tenant, "memory.min", "40960");
	expect(f->tenant, "memory.max", "67108864");
	assert_false(st[CG_LIMIT_CPU_WEIGHT].effective);
	assert_true(st[CG_LIMIT_MEMORY_MAX].effective);
}

/* A plain file keeps the last line written, the kernel's one for each disk: so one key only. */
static void test_disk(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;

	l.value[CG_LIMIT_DISK_WRITE_IOPS] = 500;
	l.value[CG_LIMIT_DISK_WEIGHT] = 300;
	assert_int_equal(cg_limits_apply(f->instance, &l, st, &err), 0);
	expect(f->instance, "io.max", "254:0 wiops=500");
	expect(f->instance, "io.weight", "default 300");
	assert_true(st[CG_LIMIT_DISK_WRITE_IOPS].effective);
	assert_int_equal(st[CG_LIMIT_DISK_WRITE_IOPS].actual, 500);
	assert_true(st[CG_LIMIT_DISK_READ].effective);
	assert_true(st[CG_LIMIT_DISK_READ].actual == CG_UNLIMITED);
	/* What the kernel shows, of other disks too; the tenant is tighter in one. */
	put(f->instance, "io.max",
	    "25:0 rbps=1 wbps=1 riops=1 wiops=1\n254:0 rbps=4096 wbps=max riops=max wiops=500\n"
	    "254:01 wiops=1\n");
	put(f->tenant, "io.max", "254:0 rbps=2048 wbps=max riops=max wiops=max\n");
	l.value[CG_LIMIT_DISK_READ] = 4096;
	assert_int_equal(cg_limits_read(f->instance, 1, &l, st, &err), 0);
	assert_true(st[CG_LIMIT_DISK_READ].effective);
	assert_int_equal(st[CG_LIMIT_DISK_READ].actual, 2048);
	assert_int_equal(st[CG_LIMIT_DISK_WRITE_IOPS].actual, 500);
	/* Somebody took one away. */
	put(f->instance, "io.max", "254:0 rbps=4096 wbps=max riops=max wiops=max\n");
	assert_int_equal(cg_limits_read(f->instance, 0, &l, st, &err), 0);
	assert_false(st[CG_LIMIT_DISK_WRITE_IOPS].effective);
	assert_string_equal(st[CG_LIMIT_DISK_WRITE_IOPS].reason,
			    "the kernel holds unlimited in 'io.max'");
	put(f->instance, "io.max", "254:0 wiops=many\n");
	assert_int_equal(cg_limits_read(f->instance, 0, &l, st, &err), -EBADMSG);
}

/* The old value goes back to the line of the disk. */
static void test_disk_restore(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct err err = ERR_INIT;

	put(f->instance, "io.max", "254:0 rbps=7777\n");
	l.value[CG_LIMIT_DISK_READ] = 4096;
	l.value[CG_LIMIT_DISK_WRITE_IOPS] = UINT32_MAX;
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, &err), -ERANGE);
	assert_non_null(strstr(err.msg, "disk.write_iops"));
	expect(f->instance, "io.max", "254:0 rbps=7777");
	expect(f->instance, "memory.max", "max");
	expect(f->instance, "memory.high", "max");
}

static void expect_reason(int dirfd, const struct cg_limits *l, enum cg_limit limit,
			  const char *reason)
{
	struct cg_limit_status st[CG_LIMIT_MAX];
	struct err err = ERR_INIT;

	assert_int_equal(cg_limits_apply(dirfd, l, st, &err), 0);
	assert_false(st[limit].effective);
	assert_string_equal(st[limit].reason, reason);
	assert_true(st[limit].configured == l->value[limit]);
	assert_int_equal(cg_limits_read(dirfd, 0, l, st, &err), 0);
	assert_string_equal(st[limit].reason, reason);
}

static void test_no_disk(void **state)
{
	struct fake *f = *state;
	struct cg_limits l = sample();
	struct cg_disk disk = vda;
	struct cg_limit_status st[CG_LIMIT_MAX];
	uint64_t v = 7;

	l.disk = &disk;
	l.value[CG_LIMIT_DISK_WEIGHT] = 2000;
	disk.weight_file = NULL;
	(void)str_copy(disk.why_no_weight, sizeof(disk.why_no_weight), "not heeded");
	expect_reason(f->instance, &l, CG_LIMIT_DISK_WEIGHT, "not heeded");
	/* A file of its own, with a range of its own. */
	disk.weight_file = "io.bfq.weight";
	disk.weight_max = CG_DISK_WEIGHT_MAX_BFQ;
	put(f->instance, "io.bfq.weight", "default 100\n");
	expect_reason(f->instance, &l, CG_LIMIT_DISK_WEIGHT,
		      "more than 'io.bfq.weight' of this disk takes: the kernel holds 1000");
	expect(f->instance, "io.bfq.weight", "default 1000");
	/* Whatever else changes goes on. */
	l.value[CG_LIMIT_PIDS_MAX] = 77;
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, NULL), 0);
	expect(f->instance, "pids.max", "77");
	/* Another value in the file is told before that. */
	put(f->instance, "io.bfq.weight", "default 500\n");
	assert_int_equal(cg_limits_read(f->instance, 0, &l, st, NULL), 0);
	assert_string_equal(st[CG_LIMIT_DISK_WEIGHT].reason,
			    "the kernel holds 500 in 'io.bfq.weight'");
	put(f->instance, "io.bfq.weight", "default 1000\n");
	l.value[CG_LIMIT_DISK_WEIGHT] = 1000;
	assert_int_equal(cg_limits_apply(f->instance, &l, NULL, NULL), 0);
	expect(f->instance, "io.bfq.weight", "default 1000");
	expect(f->instance, "io.weight", "default 100");
	(void)str_copy(disk.why_not, sizeof(disk.why_not), "names no disk");
	expect_reason(f->instance, &l, CG_LIMIT_DISK_READ, "names no disk");
	expect_reason(f->instance, &l, CG_LIMIT_DISK_WEIGHT, "names no disk");
	l.disk = NULL;
	expect_reason(f->instance, &l, CG_LIMIT_DISK_READ, "of no disk");
	l.disk = &vda;
	assert_int_equal(unlinkat(f->instance, "io.max", 0), 0);
	expect_reason(f->instance, &l, CG_LIMIT_DISK_READ, "this kernel has no 'io.max'");
	put(f->instance, "cgroup.controllers", "cpu memory pids\n");
	expect_reason(f->instance, &l, CG_LIMIT_DISK_READ,
		      "the 'io' controller is not available in cgroup v2 here");
	assert_int_equal(cg_limit_get(f->instance, CG_LIMIT_DISK_READ, &v, NULL), -EINVAL);
	assert_int_equal(cg_limit_set(f->instance, CG_LIMIT_DISK_WEIGHT, 1, NULL), -EINVAL);
	assert_int_equal(v, 7);
}

static void test_one(void **state)
{
	struct fake *f = *state;
	struct err err = ERR_INIT;
	uint64_t v = 0;

	assert_int_equal(cg_limit_set(f->instance, CG_LIMIT_MEMORY_MIN, 5 * MiB + 5, &err), 0);
	assert_int_equal(cg_limit_get(f->instance, CG_LIMIT_MEMORY_MIN, &v, &err), 0);
	assert_int_equal(v, 5 * MiB);
	put(f->instance, "memory.min", "what\n");
	assert_int_equal(cg_limit_get(f->instance, CG_LIMIT_MEMORY_MIN, &v, &err), -EBADMSG);
	assert_int_equal(unlinkat(f->instance, "memory.min", 0), 0);
	assert_int_equal(cg_limit_get(f->instance, CG_LIMIT_MEMORY_MIN, &v, &err), -ENOENT);
	/* A symlink is nothing of the kernel's. */
	assert_int_equal(symlinkat("cpu.weight", f->instance, "memory.min"), 0);
	assert_int_equal(cg_limit_get(f->instance, CG_LIMIT_MEMORY_MIN, &v, &err), -ELOOP);
	assert_int_equal(v, 5 * MiB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_parse_odd),
		cmocka_unit_test(test_weight),
		cmocka_unit_test_setup_teardown(test_apply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shrink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_defer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shrink_pids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ceilings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
