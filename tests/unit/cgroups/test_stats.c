/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of kernel text: statistics, events, the host's mounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/events.h"
#include "cgroups/names.h"
#include "cgroups/stats.h"
#include "cgroups/tree.h"

static void test_samples(void **state)
{
	struct cg_stats s = {0};

	(void)state;
	assert_int_equal(cg_stats_parse(CG_STATS_CPU,
					"usage_usec 20\nuser_usec 12\nsystem_usec 8\n"
					"core_sched.force_idle_usec 0\nnr_periods 5\n"
					"nr_throttled 2\nthrottled_usec 900\nnr_bursts 0\n",
					&s),
			 0);
	assert_int_equal(s.usage_usec, 20);
	assert_int_equal(s.user_usec, 12);
	assert_int_equal(s.system_usec, 8);
	assert_int_equal(s.nr_periods, 5);
	assert_int_equal(s.nr_throttled, 2);
	assert_int_equal(s.throttled_usec, 900);
	assert_int_equal(cg_stats_parse(CG_STATS_MEMORY_CURRENT, "4096\n", &s), 0);
	assert_int_equal(cg_stats_parse(CG_STATS_MEMORY_PEAK, "8192", &s), 0);
	assert_int_equal(cg_stats_parse(CG_STATS_SWAP, "0\n", &s), 0);
	assert_int_equal(cg_stats_parse(CG_STATS_PIDS, "17\n", &s), 0);
	assert_int_equal(s.memory_current, 4096);
	assert_int_equal(s.memory_peak, 8192);
	assert_int_equal(s.pids_current, 17);
	/* "anon" is no prefix of "anon_thp", "file" none of "file_mapped". */
	assert_int_equal(cg_stats_parse(CG_STATS_MEMORY,
					"anon_thp 9\nanon 1\nfile_mapped 8\nfile 2\nkernel 3\n"
					"kernel_stack 7\n",
					&s),
			 0);
	assert_int_equal(s.anon, 1);
	assert_int_equal(s.file, 2);
	assert_int_equal(s.kernel, 3);
	assert_int_equal(cg_stats_parse(CG_STATS_MEMORY_EVENTS,
					"low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\n"
					"oom_group_kill 1\n",
					&s),
			 0);
	assert_int_equal(s.oom_kill, 2);
	assert_int_equal(cg_stats_parse(CG_STATS_IO,
					"253:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"
					"7:0\n"
					"8:0 rbytes=10 wbytes=20 rios=30 wios=40 cost.usage=9\n",
					&s),
			 0);
	assert_int_equal(s.io_read_bytes, 11);
	assert_int_equal(s.io_write_bytes, 22);
	assert_int_equal(s.io_read_ops, 33);
	assert_int_equal(s.io_write_ops, 44);
	assert_int_equal(cg_stats_parse(CG_STATS_PSI_CPU,
					"some avg10=12.34 avg60=1.00 avg300=0.00 total=5\n"
					"full avg10=0.05 avg60=0.00 avg300=0.00 total=1\n",
					&s),
			 0);
	assert_int_equal(s.psi_cpu.some_avg10, 1234);
	assert_int_equal(s.psi_cpu.full_avg10, 5);
	/* Older kernels have no "full" for the processor. */
	assert_int_equal(cg_stats_parse(CG_STATS_PSI_IO, "some avg10=100.00 total=5\n", &s), 0);
	assert_int_equal(s.psi_io.some_avg10, 10000);
	assert_int_equal(cg_stats_parse(CG_STATS_EVENTS, "populated 1\nfrozen 0\n", &s), 0);
	assert_true(s.populated);
	assert_false(s.frozen);
	assert_false(cg_stats_has(&s, CG_STATS_PSI_MEMORY));
	assert_int_equal(s.present | 1u << CG_STATS_PSI_MEMORY, (1u << CG_STATS_MAX) - 1);
}

static void test_odd(void **state)
{
	static const struct {
		enum cg_stats_file file;
		const char *text;
	} bad[] = {
		{CG_STATS_CPU, "usage_usec -1\n"},
		{CG_STATS_CPU, "usage_usec\nusage_usec x\n"},
		{CG_STATS_CPU, "usage_usec 99999999999999999999999\n"},
		{CG_STATS_CPU, "usage_usec 1 2\n"},
		{CG_STATS_MEMORY_CURRENT, ""},
		{CG_STATS_MEMORY_CURRENT, "max\n"},
		{CG_STATS_PIDS, "1x"},
		{CG_STATS_IO, "8:0 rbytes=\n"},
		{CG_STATS_IO, "8:0 rbytes=1,wbytes=2\n"},
		{CG_STATS_IO, "8:0 rbytes=18446744073709551615\n8:1 rbytes=1\n"},
		{CG_STATS_PSI_CPU, "some avg10=1\n"},
		{CG_STATS_PSI_CPU, "some avg10=1.2\n"},
		{CG_STATS_PSI_CPU, "some avg10=nan\n"},
		{CG_STATS_PSI_CPU, "some avg10=99999999999.00\n"},
		{CG_STATS_EVENTS, ""},
		{CG_STATS_EVENTS, "populated 2\n"},
		{CG_STATS_EVENTS, "populated 1\nfrozen x\n"},
	};
	static const char *const harmless[] = {"", "\n\n\n", "a", " ", "=", "key value\nmore\n"};
	struct cg_stats zero = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cg_stats s = {0};

		if (cg_stats_parse(bad[i].file, bad[i].text, &s) != -EBADMSG)
			fail_msg("row %zu was accepted", i);
		assert_memory_equal(&s, &zero, sizeof(s));
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		struct cg_stats s = {0};

		assert_int_equal(cg_stats_parse(CG_STATS_CPU, harmless[i], &s), 0);
		assert_int_equal(cg_stats_parse(CG_STATS_MEMORY, harmless[i], &s), 0);
		assert_int_equal(cg_stats_parse(CG_STATS_IO, harmless[i], &s), 0);
		assert_int_equal(cg_stats_parse(CG_STATS_PSI_MEMORY, harmless[i], &s), 0);
	}
	assert_int_equal(cg_stats_parse(CG_STATS_MAX, "1", &zero), -EINVAL);
}

static void put(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), NULL), 0);
}

static void test_reader(void **state)
{
	_cleanup_cg_stats_reader_ struct cg_stats_reader r = CG_STATS_READER_INIT;
	char top[] = "/tmp/cg-stats-XXXXXX";
	_cleanup_close_ int dir = -1, tmp = path_open_dir("/tmp", NULL);
	struct sbuf big = SBUF_INIT;
	struct err err = ERR_INIT;
	struct cg_stats s;

	(void)state;
	for (int i = 0; i < CG_STATS_MAX; i++)
		assert_int_equal(r.fd[i], -1);
	assert_non_null(mkdtemp(top));
	dir = path_open_dir(top, NULL);
	put(dir, "cpu.stat", "usage_usec 5\n");
	put(dir, "cgroup.events", "populated 1\nfrozen 1\n");
	/* More disks than fit: cut at a line. */
	for (int i = 0; i < 1000; i++)
		sbuf_addf(&big, "%d:0 rbytes=1 wbytes=1 rios=1 wios=1\n", i);
	put(dir, "io.stat", sbuf_str(&big));
	sbuf_done(&big);
	assert_int_equal(cg_stats_reader_open(dir, &r, &err), 0);
	assert_int_equal(err.code, 0);
	assert_int_equal(cg_stats_read(&r, &s, &err), 0);
	assert_int_equal(s.usage_usec, 5);
	assert_true(s.frozen && s.populated);
	assert_true(s.io_read_bytes > 100 && s.io_read_bytes < 1000);
	assert_int_equal(s.present, 1u << CG_STATS_CPU | 1u << CG_STATS_EVENTS | 1u << CG_STATS_IO);
	/* The same fds give what is new. */
	put(dir, "cpu.stat", "usage_usec 6\n");
	assert_int_equal(cg_stats_read(&r, &s, &err), 0);
	assert_int_equal(s.usage_usec, 6);
	put(dir, "cpu.stat", "usage_usec six\n");
	assert_int_equal(cg_stats_read(&r, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "cpu.stat"));
	assert_int_equal(path_remove_tree(tmp, top + strlen("/tmp/"), NULL), 0);
}

static void test_host(void **state)
{
	static const char hybrid[] =
		"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
		"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
	static const char pure[] =
		"22 1 8:1 / / rw - ext4 /dev/root rw\n"
		"31 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		"31 23 0:28 / /sys/fs/cgroup rw,nosuid master:1 - cgroup2 cgroup2 "
		"rw,seclabel,nsdelegate,memory_recursiveprot\n";
	static const char local[] = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 "
				    "rw,nsdelegate,memory_recursiveprot,memory_localevents\n";
	static const char *const none[] = {
		"",
		"\n\n",
		"31 23 0:28 / /sys/fs/cgroup rw",
		"31 23 0:28 / /sys/fs/cgroup rw - cgroup2",
		/* Part of a hierarchy, and another place. */
		"31 23 0:28 /system.slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"31 23 0:28 / /mnt rw - cgroup2 cgroup2 rw\n",
		"31 23 0:28 / /sys/fs/cgroup rw - tmpfs cgroup2 rw\n",
	};
	struct cg_host h;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(cg_host_parse(hybrid, &h, &err), 0);
	assert_string_equal(h.mount, "/sys/fs/cgroup/unified");
	assert_false(h.nsdelegate || h.memory_recursiveprot);
	assert_int_equal(cg_host_parse(pure, &h, &err), 0);
	assert_string_equal(h.mount, "/sys/fs/cgroup");
	assert_true(h.nsdelegate && h.memory_recursiveprot && !h.memory_localevents);
	assert_int_equal(cg_host_parse(local, &h, &err), 0);
	assert_true(h.memory_localevents);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		err = ERR_INIT;
		assert_int_equal(cg_host_parse(none[i], &h, &err), -ENOENT);
		assert_int_equal(err.code, ENOENT);
	}
	assert_string_equal(h.mount, "/sys/fs/cgroup");
}

static void test_names(void **state)
{
	(void)state;
	assert_true(cg_names_has("cpuset cpu io", "cpu"));
	assert_true(cg_names_has("cpu", "cpu"));
	assert_false(cg_names_has("cpuset io", "cpu"));
	assert_false(cg_names_has("", "cpu"));
	assert_false(cg_names_has("cpu", ""));
	assert_true(cg_names_has("rw,nsdelegate", "nsdelegate"));
	assert_true(cg_is_id("0123456789abcdef"));
	assert_false(cg_is_id("0123456789abcdeF"));
	assert_false(cg_is_id("0123456789abcde"));
	assert_false(cg_is_id("../3456789abcdef"));
	assert_false(cg_is_id(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples), cmocka_unit_test(test_odd),
		cmocka_unit_test(test_reader),	cmocka_unit_test(test_host),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
