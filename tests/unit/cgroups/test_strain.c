/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of a cgroup that is short of memory, and who would be killed for it. */
#include "tests/unit/base/util.h"

#include <signal.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "cgroups/relief.h"
#include "cgroups/strain.h"

#define SOME "some avg10=7.10 avg60=1.20 avg300=0.30 total=700\n"

static void test_stall(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t usec;
	} cases[] = {
		{SOME "full avg10=93.21 avg60=4.00 avg300=0.00 total=123456789012\n", 0,
		 123456789012},
		{"full avg10=0.00 avg60=0.00 avg300=0.00 total=0", 0, 0},
		{SOME, -EBADMSG, 0}, /* cpu.pressure of older kernels */
		{"full avg10=0.00 avg60=0.00\n" SOME, -EBADMSG, 0},
		{SOME "full avg10=0.00 total=12x\n", -EBADMSG, 0},
		{SOME "fuller avg10=0.00 total=12\n", -EBADMSG, 0},
		{"", -EBADMSG, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t usec = 0;

		assert_int_equal(cg_stall_parse(cases[i].text, &usec), cases[i].r);
		assert_int_equal(usec, cases[i].usec);
	}
}

static void test_refaults(void **state)
{
	static const char stat[] = "anon 1\nworkingset_refault_anon 20\nworkingset_refault_file "
				   "300\nworkingset_activate_file 7\ninactive_file "
				   "4096\nactive_file 8192\nfile 99999\n";
	static const char events[] = "low 1\nhigh 40\nmax 500\noom 6\noom_kill 6\n";
	struct cg_refaults r = {0};

	(void)state;
	assert_int_equal(cg_refaults_parse(stat, events, &r), 0);
	assert_int_equal(r.pages, 320);
	assert_int_equal(r.hits, 540);
	assert_int_equal(r.cache, 12288);
	/* Before 5.9 there was one figure: better none than a part. */
	assert_int_equal(cg_refaults_parse("workingset_refault 3\n", events, &r), -EBADMSG);
	assert_int_equal(cg_refaults_parse(stat, "low 1\nhigh 40\n", &r), -EBADMSG);
	assert_int_equal(cg_refaults_parse(stat, "max -1\nhigh 40\n", &r), -EBADMSG);
	assert_int_equal(r.pages, 320);
}

static void test_files(void **state)
{
	char dir[256];
	_cleanup_close_ int fd = scratch_dir(dir);
	struct cg_refaults r = {0};
	struct cg_stall stall = {0};

	(void)state;
	assert_string_equal(cg_strain_why_not(fd), "the host has no memory controller");
	put_file(fd, "memory.stat",
		 "workingset_refault_anon 1\nworkingset_refault_file 2\nactive_file 5\n"
		 "inactive_file 6\n");
	put_file(fd, "memory.events", "high 3\nmax 4\n");
	assert_string_equal(cg_strain_why_not(fd),
			    "this kernel has no pressure figures: boot it with psi=1");
	put_file(fd, "memory.pressure", SOME "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
	assert_non_null(cg_strain_why_not(fd));
	put_file(fd, "io.pressure", SOME "full avg10=0.00 avg60=0.00 avg300=0.00 total=6\n");
	assert_null(cg_strain_why_not(fd));
	assert_int_equal(cg_stall_get(fd, &stall, NULL), 0);
	assert_int_equal(stall.memory, 5);
	assert_int_equal(stall.io, 6);
	assert_int_equal(cg_refaults_get(fd, &r, NULL), 0);
	assert_int_equal(r.pages + r.hits, 10);
	assert_int_equal(r.cache, 11);
	put_file(fd, "memory.stat", "workingset_refault 1\n");
	assert_string_equal(cg_strain_why_not(fd), "this kernel does not count refaults");
	remove_scratch(dir);
}

#define STATUS(rss, swap)                                                                          \
	"Name:\tx\nVmPeak:\t   99999 kB\nVmRSS:\t    " rss " kB\nVmPTE:\t      12 kB\nVmSwap:"     \
	"\t       " swap " kB\n"

/* The numbers of oom_badness(): what is held, and thousandths of the limit on top. */
static void test_victim_points(void **state)
{
	static const struct {
		const char *status;
		int64_t adj;
		uint64_t limit, points, bytes;
	} cases[] = {
		{STATUS("1000", "0"), 0, 64 << 20, 1012 << 10, 1012 << 10},
		{STATUS("1000", "500"), 0, 64 << 20, 1512 << 10, 1512 << 10},
		{STATUS("1000", "0"), 500, 1000 << 20, (1012 << 10) + (500 << 20), 1012 << 10},
		{STATUS("1000", "0"), 500, UINT64_MAX, 1012 << 10, 1012 << 10},
		/* Never nobody: the least that can be. */
		{STATUS("1000", "0"), -999, 1000 << 20, 1, 1012 << 10},
		{STATUS("1000", "0"), -1000, 64 << 20, 0, 1012 << 10},
		/* Without memory of its own: a zombie, a thread of the kernel. */
		{"Name:\tx\nState:\tZ (zombie)\n", 0, 64 << 20, 0, 0},
		{STATUS("99999999999999999999", "0"), 0, 64 << 20, 12 << 10, 12 << 10},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;

		assert_int_equal(
			cg_victim_points(cases[i].status, cases[i].adj, cases[i].limit, &bytes),
			cases[i].points);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

/* Ends with the test, however that ends. */
static pid_t idle_child(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/* The largest in the list is killed, the init never, whatever it holds. */
static void test_victim(void **state)
{
	char dir[256], procs[64];
	_cleanup_close_ int fd = scratch_dir(dir);
	struct cg_victim v = {0};
	struct err err = ERR_INIT;
	pid_t child = idle_child(), other = idle_child();
	int status;

	(void)state;
	assert_true(child > 0 && other > 0);
	assert_true(str_fmt(procs, sizeof(procs), "%d\n%d\n", (int)other, (int)child) >= 0);
	put_file(fd, "cgroup.procs", procs);
	assert_int_equal(cg_victim_kill(fd, other, &v, &err), 0);
	assert_int_equal(v.pid, child);
	assert_true(v.bytes > 0);
	assert_true(v.name[0] != '\0');
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* It is in the list still, and nobody is left. */
	assert_int_equal(cg_victim_kill(fd, other, &v, &err), -ESRCH);
	assert_int_equal(waitpid(other, &status, WNOHANG), 0);
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, &status, 0), other);
	remove_scratch(dir);
}

static bool is_never_over(void)
{
	return false;
}

static bool is_over(void)
{
	return true;
}

static void test_reclaim(void **state)
{
	char dir[256], text[64] = "";
	_cleanup_close_ int fd = scratch_dir(dir);
	struct err err = ERR_INIT;
	uint64_t won = 7;

	(void)state;
	put_file(fd, "memory.current", "1000000\n");
	assert_int_equal(cg_reclaim(fd, 1 << 20, NULL, &won, &err), -EOPNOTSUPP);
	assert_string_equal(err_text(&err), "this kernel has no 'memory.reclaim'");
	put_file(fd, "memory.reclaim", "");
	/* The last step is the rest. */
	assert_int_equal(cg_reclaim(fd, (16 << 20) + 5, is_never_over, &won, &err), 0);
	assert_int_equal(won, 0);
	assert_true(file_read_short_at(fd, "memory.reclaim", text, sizeof(text), NULL) >= 0);
	assert_true(text[0] == '5');
	put_file(fd, "memory.reclaim", "");
	assert_int_equal(cg_reclaim(fd, 16 << 20, is_over, &won, &err), 0);
	assert_int_equal(file_read_short_at(fd, "memory.reclaim", text, sizeof(text), NULL), 0);
	remove_scratch(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stall),  cmocka_unit_test(test_refaults),
		cmocka_unit_test(test_files),  cmocka_unit_test(test_victim_points),
		cmocka_unit_test(test_victim), cmocka_unit_test(test_reclaim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
