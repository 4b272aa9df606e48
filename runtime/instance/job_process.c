/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Birth of a job. A job dies with vpsd (parent death signal): what it was doing is then undone by
 * recovery. A signal is not the end, though: a job in a long system call ends when that returns. So
 * each job holds a descriptor of the pool's lock from its fork on, and the next vpsd begins when
 * the lock is free.
 */
#include "runtime/instance/job_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/instance/job.h"

#define STDIN_PIPE_SIZE (1024 * 1024)
#define LOCK_FD 3 /* of a job: behind the standard ones */

struct pipes {
	int in[2], out[2], errs[2];
};

static void pipes_done(struct pipes *p)
{
	int *const all[] = {p->in, p->out, p->errs};

	for (size_t i = 0; i < 3; i++) {
		cleanup_close(&all[i][0]);
		cleanup_close(&all[i][1]);
	}
}

/* pipe2() above fd 2, so that the child's dup2() never meets its own source. */
static int make_pipe(int fds[2], struct err *err)
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe for a job");
	for (size_t i = 0; i < 2; i++) {
		int high;

		if (fds[i] > 2)
			continue;
		high = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (high < 0)
			return err_sys(err, "cannot make a pipe for a job");
		cleanup_close(&fds[i]);
		fds[i] = high;
	}
	return 0;
}

static int make_pipes(struct pipes *p, unsigned flags, struct err *err)
{
	int r = make_pipe(p->out, err);

	if (r >= 0)
		r = make_pipe(p->errs, err);
	if (r >= 0)
		r = make_pipe(p->in, err);
	if (r < 0)
		return r;
	if (flags & JOB_STDIN) {
		/* A bigger pipe keeps a fast upload from waking the loop for each page. */
		(void)fcntl(p->in[1], F_SETPIPE_SZ, STDIN_PIPE_SIZE);
		(void)fcntl(p->in[1], F_SETFL, O_NONBLOCK);
	} else {
		cleanup_close(&p->in[1]);
	}
	(void)fcntl(p->out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(p->errs[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static int take_given(struct pipes *p, int given, struct err *err)
{
	cleanup_close(&p->in[0]);
	cleanup_close(&p->in[1]);
	p->in[0] = fcntl(given, F_DUPFD_CLOEXEC, 3);
	return p->in[0] < 0 ? err_sys(err, "cannot give a job its input") : 0;
}

/* --- the child: nothing but async-signal-safe calls, as the program has threads -------------- */

static _Noreturn void child(const char *path, char *const *argv, unsigned flags, int lock,
			    const struct pipes *p, pid_t parent)
{
	static char *const env[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
				    (char *)(uintptr_t) "LC_ALL=C.UTF-8",
				    (char *)(uintptr_t) "HOME=/root", NULL};
	sigset_t none;

	/* The long ones end what they have started (mmdebstrap and what that runs), for a KILL ends
	 * its first process only; nobody waits for the others to notice. */
	(void)prctl(PR_SET_PDEATHSIG, flags & JOB_LONG ? SIGTERM : SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	/* The three are above 2, see make_pipe(). */
	if (dup2(p->in[0], 0) < 0 || dup2(p->out[1], 1) < 0 || dup2(p->errs[1], 2) < 0 ||
	    chdir("/") < 0)
		_exit(1);
	if (lock >= 0 && (lock == LOCK_FD ? fcntl(lock, F_SETFD, 0) : dup2(lock, LOCK_FD)) < 0)
		_exit(1);
	(void)close_range(lock >= 0 ? LOCK_FD + 1 : LOCK_FD, ~0u, 0);
	execve(path, argv, env);
	_exit(127);
}

/* --- the parent ------------------------------------------------------------------------------ */

int job_process_start(const char *path, char *const *argv, unsigned flags, int given, int lock,
		      struct job_process *ret, struct err *err)
{
	_cleanup_(pipes_done) struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct job_process j = JOB_PROCESS_INIT;
	pid_t self = getpid();
	int r = make_pipes(&p, flags, err);

	if (r >= 0 && given >= 0)
		r = take_given(&p, given, err);
	if (r < 0)
		return r;
	j.pid = fork();
	if (j.pid < 0)
		return err_sys(err, "cannot start a job");
	if (j.pid == 0)
		child(path, argv, flags, lock, &p, self);
	j.pidfd = (int)syscall(SYS_pidfd_open, j.pid, 0);
	if (j.pidfd < 0) {
		r = err_sys(err, "cannot watch a job");
		(void)kill(j.pid, SIGKILL);
		(void)waitpid(j.pid, NULL, 0);
		return r;
	}
	j.in = take_fd(&p.in[1]);
	j.out = take_fd(&p.out[0]);
	j.errs = take_fd(&p.errs[0]);
	*ret = j;
	return 0;
}

void job_process_done(struct job_process *p)
{
	cleanup_close(&p->pidfd);
	cleanup_close(&p->in);
	cleanup_close(&p->out);
	cleanup_close(&p->errs);
}
