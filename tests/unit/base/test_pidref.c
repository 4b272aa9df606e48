/* SPDX-License-Identifier: Apache-2.0 */
/* Process references: gone, recycled and oddly named processes. */
#include "base/pidref.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit/base/util.h"

/* A child that waits to be killed; its name is set before this returns. */
static pid_t spawn(const char *name)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (name)
			prctl(PR_SET_NAME, name);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_open_self(void **state)
{
	_cleanup_pidref_ struct pidref p = PIDREF_INIT;
	uint64_t start = 0;

	(void)state;
	assert_int_equal(pidref_open(getpid(), &p, NULL), 0);
	assert_int_equal(p.pid, getpid());
	assert_true(p.fd >= 0);
	assert_true(p.start > 0);
	assert_true(fcntl(p.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pid_start_time(getpid(), &start, NULL), 0);
	assert_true(start == p.start);
	assert_int_equal(pidref_signal(&p, 0, NULL), 0);
}

static void test_name_with_blanks_and_brackets(void **state)
{
	pid_t pid = spawn(") R 1 2 (x) 3");
	uint64_t plain = 0, odd = 0;

	(void)state;
	assert_int_equal(pid_start_time(pid, &odd, NULL), 0);
	assert_int_equal(pid_start_time(getpid(), &plain, NULL), 0);
	assert_in_range(odd, plain, plain + 100000);
	reap(pid);
}

static void test_gone_process(void **state)
{
	struct pidref p = PIDREF_INIT;
	struct err err = ERR_INIT;
	uint64_t start = 7;
	pid_t pid = spawn(NULL);
	int before;

	(void)state;
	reap(pid);
	before = count_fds();
	assert_int_equal(pidref_open(pid, &p, &err), -ESRCH);
	assert_int_equal(err.code, ESRCH);
	assert_int_equal(pid_start_time(pid, &start, &err), -ESRCH);
	assert_int_equal(start, 7);
	assert_int_equal(p.fd, -1);
	assert_int_equal(count_fds(), before);
}

static void test_impossible_pids(void **state)
{
	struct pidref p = PIDREF_INIT;

	(void)state;
	assert_int_equal(pidref_open(0, &p, NULL), -ESRCH);
	assert_int_equal(pidref_open(-1, &p, NULL), -ESRCH);
	assert_true(pidref_open(0x7fffffff, &p, NULL) < 0);
}

static void test_recycled_pid_is_refused(void **state)
{
	_cleanup_pidref_ struct pidref p = PIDREF_INIT;
	pid_t pid = spawn(NULL);
	uint64_t start = 0;
	int before = count_fds();

	(void)state;
	assert_int_equal(pid_start_time(pid, &start, NULL), 0);
	assert_int_equal(pidref_open_checked(pid, start + 1, &p, NULL), -ESRCH);
	assert_int_equal(p.fd, -1);
	assert_int_equal(count_fds(), before);
	assert_int_equal(pidref_open_checked(pid, start, &p, NULL), 0);
	assert_int_equal(p.pid, pid);
	reap(pid);
}

static void test_signal(void **state)
{
	struct pidref p = PIDREF_INIT;
	pid_t pid = spawn(NULL);
	int status = 0;

	(void)state;
	assert_int_equal(pidref_open(pid, &p, NULL), 0);
	assert_int_equal(pidref_signal(&p, SIGTERM, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_int_equal(pidref_signal(&p, SIGTERM, NULL), -ESRCH);
	pidref_done(&p);
	assert_int_equal(p.fd, -1);
	assert_int_equal(p.pid, 0);
	assert_int_equal(pidref_signal(&p, SIGTERM, NULL), -EBADF);
	pidref_done(&p);
}

static void test_boot_id(void **state)
{
	char a[37], b[37];

	(void)state;
	assert_int_equal(boot_id(a, NULL), 0);
	assert_int_equal(boot_id(b, NULL), 0);
	assert_int_equal(strlen(a), 36);
	assert_string_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_self),
		cmocka_unit_test(test_name_with_blanks_and_brackets),
		cmocka_unit_test(test_gone_process),
		cmocka_unit_test(test_impossible_pids),
		cmocka_unit_test(test_recycled_pid_is_refused),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_boot_id),
	};

	return cmocka_run_group_tests_name("pidref", tests, NULL, NULL);
}
