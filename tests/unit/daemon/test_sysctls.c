/* SPDX-License-Identifier: Apache-2.0 */
/* Shared settings of the kernel, read from a directory like /proc/sys. */
#include "tests/unit/base/util.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "runtime/daemon/sysctls.h"

#define SHARED SYSCTL_INOTIFY_INSTANCES /* those before count for all guests together */

static void test_values(void **state)
{
	static const struct {
		const char *pty, *aio, *pipe, *pattern; /* NULL = this kernel has no such file */
		bool good[SHARED];
	} rows[] = {
		{"4096\n", "65536\n", "0\n", "|/lib/x %p\n", {false, false, false}},
		{"1048576\n", "134217728\n", "16\n", "|/lib/x %p\n", {true, true, true}},
		{"1048575\n", "134217727\n", "1\n", "|/lib/x\n", {false, false, true}},
		{"2147483647\n", "18446744073709551615\n", "0\n", "core\n", {true, true, true}},
		{"0\n", "0\n", "0\n", "/var/core/|x\n", {false, false, true}},
		{NULL, NULL, NULL, NULL, {true, true, true}},
		{"many\n", "\n", "0", "|", {true, true, false}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sysctl_status s[SYSCTL_MAX];
		char dir[256];
		_cleanup_close_ int fd = scratch_dir(dir);
		assert_int_equal(mkdirat(fd, "kernel", 0755), 0);
		assert_int_equal(mkdirat(fd, "kernel/pty", 0755), 0);
		assert_int_equal(mkdirat(fd, "fs", 0755), 0);
		if (rows[i].pty) {
			put_file(fd, "kernel/pty/max", rows[i].pty);
			put_file(fd, "fs/aio-max-nr", rows[i].aio);
			put_file(fd, "kernel/core_pipe_limit", rows[i].pipe);
			put_file(fd, "kernel/core_pattern", rows[i].pattern);
		}
		sysctls_read(dir, s);
		for (size_t k = 0; k < SHARED; k++) {
			assert_int_equal(s[k].is_good, rows[i].good[k]);
			assert_false(s[k].per_instance);
		}
		if (i == 0) {
			assert_string_equal(s[SYSCTL_PTY_MAX].name, "kernel.pty.max");
			assert_int_equal(s[SYSCTL_PTY_MAX].value, 4096);
			assert_int_equal(s[SYSCTL_AIO_MAX_NR].value, 65536);
		}
		assert_int_equal(s[SYSCTL_PTY_MAX].is_known, rows[i].pty && i != 6);
		remove_scratch(dir);
	}
}

static void test_ceilings(void **state)
{
	struct sysctl_status s[SYSCTL_MAX];
	char dir[256];
	_cleanup_close_ int fd = scratch_dir(dir);
	(void)state;
	assert_int_equal(mkdirat(fd, "fs", 0755), 0);
	assert_int_equal(mkdirat(fd, "fs/inotify", 0755), 0);
	assert_int_equal(mkdirat(fd, "user", 0755), 0);
	put_file(fd, "fs/inotify/max_user_instances", "128\n");
	put_file(fd, "fs/inotify/max_user_watches", "524288\n");
	put_file(fd, "user/max_fanotify_groups", "0\n");
	put_file(fd, "user/max_user_namespaces", "0\n");
	put_file(fd, "user/max_mnt_namespaces", "1\n");
	sysctls_read(dir, s);
	for (size_t k = SHARED; k < SYSCTL_MAX; k++)
		assert_true(s[k].per_instance);
	assert_string_equal(s[SYSCTL_INOTIFY_INSTANCES].name, "fs.inotify.max_user_instances");
	assert_int_equal(s[SYSCTL_INOTIFY_INSTANCES].value, 128);
	assert_false(s[SYSCTL_INOTIFY_INSTANCES].is_good);
	assert_true(s[SYSCTL_INOTIFY_WATCHES].is_good);
	assert_true(s[SYSCTL_FANOTIFY_GROUPS].is_known && s[SYSCTL_FANOTIFY_GROUPS].is_good);
	assert_false(s[SYSCTL_USER_NAMESPACES].is_good);
	assert_string_equal(s[SYSCTL_USER_NAMESPACES].name, "user.max_user_namespaces");
	assert_string_equal(s[SYSCTL_USER_NAMESPACES].why, "no guest can start");
	assert_true(s[SYSCTL_MNT_NAMESPACES].is_good);
	assert_false(s[SYSCTL_TIME_NAMESPACES].is_known);
	remove_scratch(dir);
}

/* A host with the shipped settings has nothing to be warned of. */
static void test_shipped_settings_are_enough(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct sysctl_status s[SYSCTL_MAX];
	size_t len;
	(void)state;
	if (access("packaging", R_OK) < 0) /* not run from the top of the tree */
		skip();
	assert_int_equal(
		file_read_at(AT_FDCWD, "packaging/sysctl.d/vpsd.conf", 1 << 16, &text, &len, NULL),
		0);
	sysctls_read(SYSCTL_ROOT, s);
	for (size_t i = 0; i < SYSCTL_MAX; i++) {
		char key[80];
		uint64_t value;
		const char *end;
		/* The kernel's defaults are far above what is wanted of these. */
		if (str_has_prefix(s[i].name, "user."))
			continue;
		assert_int_equal(str_fmt(key, sizeof(key), "%s = ", s[i].name), 0);
		const char *line = strstr(text, key);
		assert_non_null(line);
		assert_int_equal(num_scan_u64(line + strlen(key), &end, &value), 0);
		assert_true(value >= s[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_shipped_settings_are_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
