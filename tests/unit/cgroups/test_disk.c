/* SPDX-License-Identifier: Apache-2.0 */
/* The disk under a file system, in a directory like /sys/dev/block; lines of files keyed by disks.
 */
#include "tests/unit/base/util.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "cgroups/disk.h"

static void make_dirs(int fd, const char *const *paths)
{
	for (; *paths; paths++)
		assert_int_equal(mkdirat(fd, *paths, 0755), 0);
}

/* vda with a partition, a volume of the device mapper, a disk whose sysfs says nothing. */
static int fake_sysfs(char dir[256])
{
	static const char *const dirs[] = {
		"block",	"devices",	    "devices/vda", "devices/vda/queue",
		"devices/dm-0", "devices/vda/vda1", "devices/sdx", NULL};
	int fd = scratch_dir(dir);

	make_dirs(fd, dirs);
	put_file(fd, "devices/vda/dev", "254:0\n");
	put_file(fd, "devices/vda/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n");
	put_file(fd, "devices/vda/queue/scheduler", "none [mq-deadline] bfq\n");
	put_file(fd, "devices/vda/vda1/dev", "254:1\n");
	put_file(fd, "devices/vda/vda1/partition", "1\n");
	put_file(fd, "devices/vda/vda1/uevent", "DEVNAME=vda1\n");
	put_file(fd, "devices/dm-0/uevent", "DEVNAME=dm-0\n");
	assert_int_equal(symlinkat("../devices/vda", fd, "block/254:0"), 0);
	assert_int_equal(symlinkat("../devices/vda/vda1", fd, "block/254:1"), 0);
	assert_int_equal(symlinkat("../devices/dm-0", fd, "block/253:0"), 0);
	assert_int_equal(symlinkat("../devices/sdx", fd, "block/8:0"), 0);
	return fd;
}

static void find(const char *dir, unsigned major, unsigned minor, struct cg_disk *ret)
{
	char sysfs[300];

	assert_int_equal(str_fmt(sysfs, sizeof(sysfs), "%s/block", dir), 0);
	cg_disk_find_dev(major, minor, NULL, sysfs, dir, ret);
}

static void test_find(void **state)
{
	char dir[256];
	_cleanup_close_ int fd = fake_sysfs(dir);
	struct cg_disk d;

	(void)state;
	for (unsigned minor = 0; minor < 2; minor++) {
		find(dir, 254, minor, &d);
		assert_int_equal(d.major, 254);
		assert_int_equal(d.minor, 0);
		assert_string_equal(d.name, "vda");
		assert_string_equal(d.why_not, "");
	}
	find(dir, 253, 0, &d);
	assert_int_equal(d.major, 253);
	assert_string_equal(d.name, "dm-0");
	find(dir, 8, 0, &d);
	assert_string_equal(d.name, "8:0");
	assert_string_equal(d.why_not, "");
	/* Not there; a partition whose disk does not say its number; no device at all. */
	find(dir, 8, 16, &d);
	assert_int_equal(d.major, 0);
	assert_non_null(strstr(d.why_not, "8:16, is not in"));
	assert_string_equal(d.why_no_weight, d.why_not);
	assert_int_equal(unlinkat(fd, "devices/vda/dev", 0), 0);
	find(dir, 254, 1, &d);
	assert_non_null(strstr(d.why_not, "254:1, is not in"));
	cg_disk_find_dev(0, 41, "btrfs", "/nowhere", "/nowhere", &d);
	assert_string_equal(d.why_not, "the file system of the instances, btrfs, names no disk");
	assert_null(d.weight_file);
	remove_scratch(dir);
}

static void test_weight(void **state)
{
	char dir[256];
	_cleanup_close_ int fd = fake_sysfs(dir);
	struct cg_disk d;

	(void)state;
	find(dir, 254, 1, &d);
	assert_null(d.weight_file);
	assert_int_equal(d.weight_max, 0);
	assert_string_equal(d.why_no_weight,
			    "nothing on vda heeds weights: its scheduler is mq-deadline, not bfq, "
			    "and io.cost.qos does not enable io.cost for it");
	/* Of another disk, and off. */
	put_file(fd, "io.cost.qos", "8:0 enable=1 ctrl=auto\n254:0 enable=0 ctrl=auto\n");
	find(dir, 254, 0, &d);
	assert_null(d.weight_file);
	find(dir, 8, 0, &d);
	assert_string_equal(d.weight_file, "io.weight");
	assert_int_equal(d.weight_max, 10000);
	put_file(fd, "io.cost.qos", "8:0 enable=0\n254:0 enable=1 ctrl=auto rpct=0.00\n");
	find(dir, 254, 0, &d);
	assert_string_equal(d.weight_file, "io.weight");
	assert_string_equal(d.why_no_weight, "");
	put_file(fd, "devices/vda/queue/scheduler", "none mq-deadline [bfq]\n");
	find(dir, 254, 0, &d);
	assert_string_equal(d.weight_file, "io.bfq.weight");
	assert_int_equal(d.weight_max, 1000);
	remove_scratch(dir);
}

static void test_value(void **state)
{
	static const struct {
		const char *text, *key;
		int r;
		const char *value;
	} rows[] = {
		{"254:0 rbps=1 wbps=max\n", "rbps", 0, "1"},
		{"254:0 rbps=1 wbps=max\n", "wbps", 0, "max"},
		{"254:0 rbps=1 wbps=max", "wbps", 0, "max"},
		{"254:16 rbps=2\n25:0 rbps=3\n254:0 rbps=1\n", "rbps", 0, "1"},
		{"254:0 rbps=1\n", "bps", -ENOENT, NULL},
		{"254:0 rbps=1\n", "rbps=1", -ENOENT, NULL},
		{"254:0 rbps=1\n8:0 wbps=5\n", "wbps", -ENOENT, NULL},
		{"254:0\n8:0 wbps=5\n", "wbps", -ENOENT, NULL},
		{"254:0 rbps=\n", "rbps", 0, ""},
		{"254:0 rbps\n", "rbps", -ENOENT, NULL},
		{"254:0 rbps=123456789\n", "rbps", -ERANGE, NULL},
		{"", "rbps", -ENOENT, NULL},
		{"\n\n", "rbps", -ENOENT, NULL},
	};
	const struct cg_disk d = {.major = 254};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char value[8] = "";

		assert_int_equal(cg_disk_value(&d, rows[i].text, rows[i].key, value, sizeof(value)),
				 rows[i].r);
		assert_string_equal(value, rows[i].value ? rows[i].value : "");
	}
}

/* Of a real file: a disk, or a reason. */
static void test_real(void **state)
{
	_cleanup_close_ int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct cg_disk d;

	(void)state;
	cg_disk_find(fd, CG_DISK_SYSFS, "/sys/fs/cgroup", &d);
	assert_string_equal(d.why_not, "the file system of the instances, of an unknown kind, "
				       "names no disk");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_weight),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_real),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
