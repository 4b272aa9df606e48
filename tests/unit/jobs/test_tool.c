/* SPDX-License-Identifier: Apache-2.0 */
/* A program that a job runs: its end, and the job's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "runtime/jobs/job.h"
#include "runtime/jobs/tool.h"

static void wait_a_moment(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* In the place of libc's, which the child calls before it becomes the program: here is where the
 * job is cancelled too early. */
static bool is_early;

int close_range(unsigned first, unsigned last, int flags)
{
	if (is_early) {
		(void)kill(getppid(), SIGTERM);
		(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	}
	return (int)syscall(SYS_close_range, first, last, flags);
}

/* A job that runs a script in 'dir' and ends with the errno of it. */
static pid_t job(int dir, enum tool_flags flags, const char *script)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(job_signals(NULL) < 0 ? 255 : -tool_run(argv, dir, flags, NULL));
	return pid;
}

static int end_of(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_ends(void **state)
{
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(end_of(job(dir, 0, "exit 0")), 0);
	assert_int_equal(end_of(job(dir, 0, "exit 3")), ECHILD);
	assert_int_equal(end_of(job(dir, 0, "kill -9 $$")), ECHILD);
	assert_int_equal(end_of(job(dir, 0, "kill -TERM -$$; sleep 1000")), ECHILD);
	assert_int_equal(tool_run((const char *const[]){"no-such-program", NULL}, dir, 0, NULL),
			 -EOPNOTSUPP);
}

/* Whether a process that left its number there has ended, or ends within 5 s. */
static bool is_gone(int dir)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t len;

	if (file_read_at(dir, "left", 64, &text, &len, NULL) < 0)
		return true;
	assert_int_equal(unlinkat(dir, "left", 0), 0);
	text[strcspn(text, "\n")] = '\0';
	assert_true(str_fmt(path, sizeof(path), "/proc/%s/stat", text) >= 0);
	for (int i = 0; i < 500; i++) {
		_cleanup_free_ char *stat = NULL;

		if (file_read_at(AT_FDCWD, path, 4096, &stat, &len, NULL) < 0 ||
		    strstr(stat, ") Z "))
			return true;
		wait_a_moment();
	}
	return false;
}

/* Also one that does not listen, with what it has started. */
static void test_cancelled(void **state)
{
	static const char *const scripts[] = {
		": >up; sleep 1000",
		"trap '' TERM; : >up; sleep 1000 & wait; sleep 1000",
		/* Tidying up is waited for. */
		"trap 'sleep 0.1; rm mess; exit' TERM; : >mess; : >up; sleep 1000 & wait",
		/* What the first process has left behind is ended as well. */
		"(trap '' TERM; exec sh -c 'echo $$ >left; : >up; exec sleep 1000') & wait",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		char name[] = "/tmp/tool.XXXXXX";
		_cleanup_close_ int dir = -1;
		pid_t pid;

		assert_non_null(mkdtemp(name));
		dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		pid = job(dir, 0, scripts[i]);
		while (faccessat(dir, "up", F_OK, 0) < 0)
			wait_a_moment();
		(void)alarm(60);
		assert_int_equal(kill(pid, SIGTERM), 0);
		assert_int_equal(end_of(pid), ECANCELED);
		(void)alarm(0);
		assert_int_equal(unlinkat(dir, "up", 0), 0);
		assert_true(is_gone(dir));
		assert_int_equal(rmdir(name), 0);
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* Between fork and exec the signal is not lost: 3 s later it would be KILL. */
static void test_cancelled_early(void **state)
{
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t start = now_ms();
	pid_t pid;

	(void)state;
	is_early = true;
	pid = job(dir, 0, "sleep 1000");
	is_early = false;
	(void)alarm(60);
	assert_int_equal(end_of(pid), ECANCELED);
	(void)alarm(0);
	assert_true(now_ms() - start < 2500);
}

/* The signals come through again afterwards, and the program does not have them blocked. */
static void test_signals(void **state)
{
	_cleanup_close_ int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *const argv[] = {"grep", "-q", "^SigBlk:.0*$", "/proc/self/status", NULL};
	sigset_t mask;

	(void)state;
	assert_int_equal(tool_run(argv, dir, 0, NULL), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	assert_false(sigismember(&mask, SIGTERM) || sigismember(&mask, SIGINT));
}

static bool may_mount(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWNS) < 0);
	return end_of(pid) == 0;
}

/* Also where the program and what it started are killed in the middle of it. */
static void test_own_tmp(void **state)
{
	static const char *const scripts[] = {
		"mkdir m; mount -t tmpfs none m && mkdir m/x && : >up; exec sleep 1000",
		"trap '' TERM; mkdir m; mount -t tmpfs none m && (cd m; : >../up; exec sleep 1000)",
	};
	char name[] = "/var/tmp/tool.XXXXXX";
	_cleanup_close_ int dir = -1;

	(void)state;
	if (!may_mount())
		skip(); /* needs root */
	assert_non_null(mkdtemp(name));
	dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Where it starts is its /tmp, and nobody else's. */
	assert_int_equal(end_of(job(dir, TOOL_OWN_TMP, "test $PWD = /tmp && : >/tmp/up")), 0);
	assert_int_equal(unlinkat(dir, "up", 0), 0);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		_cleanup_free_ char *mounts = NULL;
		pid_t pid = job(dir, TOOL_OWN_TMP, scripts[i]);
		size_t len;

		(void)alarm(60);
		while (faccessat(dir, "up", F_OK, 0) < 0)
			wait_a_moment();
		assert_int_equal(kill(pid, SIGTERM), 0);
		assert_int_equal(end_of(pid), ECANCELED);
		(void)alarm(0);
		assert_int_equal(file_read_at(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &mounts,
					      &len, NULL),
				 0);
		assert_null(strstr(mounts, name));
		assert_int_equal(unlinkat(dir, "up", 0), 0);
		assert_int_equal(unlinkat(dir, "m", AT_REMOVEDIR), 0);
	}
	assert_int_equal(rmdir(name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_cancelled_early),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_own_tmp),
	};

	return cmocka_run_group_tests_name("tool", tests, NULL, NULL);
}
