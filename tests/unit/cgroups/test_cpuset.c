/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of CPUs, and what is read back: plain files stand for the kernel's. */
#include "tests/unit/base/util.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/cpuset.h"

static void test_lists(void **state)
{
	static const struct {
		const char *text, *again; /* NULL = refused */
	} rows[] = {
		{"", ""},	  {"\n", ""},
		{"0", "0"},	  {"0-3,5\n", "0-3,5"},
		{"1,2,3", "1-3"}, {"5,0", "0,5"},
		{"1023", "1023"}, {"0-1023", "0-1023"},
		{"3-1", NULL},	  {"1-", NULL},
		{",1", NULL},	  {"1,", NULL},
		{"1,\n", NULL},	  {"a", NULL},
		{"1 2", NULL},	  {"1-2-3", NULL},
		{"1024", NULL},	  {"0-5000", NULL},
		{"-1", NULL},	  {"18446744073709551615", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[CG_CPUS_TEXT];
		cpu_set_t s;
		int r = cg_cpus_parse(rows[i].text, &s);

		if (!rows[i].again) {
			assert_true(r == -EBADMSG || r == -ERANGE);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(cg_cpus_format(&s, text, sizeof(text)), 0);
		assert_string_equal(text, rows[i].again);
	}
}

static void test_too_long(void **state)
{
	char text[8];
	cpu_set_t s;

	(void)state;
	assert_int_equal(cg_cpus_parse("1,3,5,7", &s), 0);
	assert_int_equal(cg_cpus_format(&s, text, sizeof(text)), 0);
	CPU_SET(9, &s);
	assert_int_equal(cg_cpus_format(&s, text, sizeof(text)), -ERANGE);
}

static void test_set(void **state)
{
	char path[256], held[64];
	_cleanup_close_ int fd = scratch_dir(path), tmp = -1;
	struct err err = ERR_INIT;
	cpu_set_t s, got;

	(void)state;
	assert_int_equal(cg_cpus_parse("1-2", &s), 0);
	assert_int_equal(cg_cpus_effective(fd, &got, &err), -ENOENT);
	assert_int_equal(file_replace_at(fd, "cpuset.cpus", "\n", 1, 0600, NULL), 0);
	assert_int_equal(file_replace_at(fd, "cpuset.cpus.effective", "1-2\n", 4, 0600, NULL), 0);
	assert_int_equal(cg_cpus_set(fd, &s, &err), 0);
	assert_true(file_read_short_at(fd, "cpuset.cpus", held, sizeof(held), NULL) > 0);
	assert_string_equal(held, "1-2");
	assert_int_equal(cg_cpus_get(fd, &got, &err), 0);
	assert_true(CPU_EQUAL(&got, &s));
	/* What was asked for is held, and is not what it may use. */
	assert_int_equal(file_replace_at(fd, "cpuset.cpus.effective", "0\n", 2, 0600, NULL), 0);
	assert_int_equal(cg_cpus_set(fd, &s, &err), -EIO);
	assert_non_null(strstr(err_text(&err), "the kernel holds '0' in 'cpuset.cpus.effective'"));
	tmp = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_remove_tree(tmp, strrchr(path, '/') + 1, &err), 0);
}

static void holds(int fd, const char *name, const char *text)
{
	char held[64];

	assert_true(file_read_short_at(fd, name, held, sizeof(held), NULL) >= 0);
	assert_string_equal(held, text);
}

static void test_partition(void **state)
{
	char path[256];
	_cleanup_close_ int fd = scratch_dir(path), tmp = -1;
	struct err err = ERR_INIT;
	cpu_set_t s;

	(void)state;
	assert_int_equal(cg_cpus_parse("1-2", &s), 0);
	put_file(fd, "cpuset.cpus", "\n");
	put_file(fd, "cpuset.cpus.partition", "-\n"); /* shorter: a file is not replaced */
	assert_int_equal(cg_partition_set(fd, &s, &err), 0);
	holds(fd, "cpuset.cpus", "1-2");
	/* More of them: it stays one meanwhile. */
	assert_int_equal(cg_cpus_parse("1-3", &s), 0);
	put_file(fd, "cpuset.cpus.partition", "root\n");
	assert_int_equal(cg_partition_set(fd, &s, &err), 0);
	holds(fd, "cpuset.cpus", "1-3");
	holds(fd, "cpuset.cpus.partition", "root");
	/* The kernel takes the write, and not the partition. */
	assert_int_equal(unlinkat(fd, "cpuset.cpus.partition", 0), 0);
	assert_int_equal(symlinkat("/proc/self/comm", fd, "cpuset.cpus.partition"), 0);
	assert_true(cg_partition_set(fd, &s, &err) < 0);
	holds(fd, "cpuset.cpus", "1-3");
	assert_int_equal(unlinkat(fd, "cpuset.cpus.partition", 0), 0);
	put_file(fd, "cpuset.cpus.partition", "root\n");
	assert_true(cg_partition_is(fd));
	assert_int_equal(cg_cpus_parse("0-3", &s), 0);
	assert_int_equal(cg_partition_clear(fd, &s, &err), 0);
	holds(fd, "cpuset.cpus.partition", "member");
	holds(fd, "cpuset.cpus", "0-3");
	assert_false(cg_partition_is(fd));
	tmp = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_remove_tree(tmp, strrchr(path, '/') + 1, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_partition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
