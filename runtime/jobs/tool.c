/* SPDX-License-Identifier: Apache-2.0 */
/* One child in a process group of its own, no shell, fixed environment. */
#include "runtime/jobs/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "runtime/jobs/job.h"

#define EXIT_NO_PROGRAM 127
#define ENV_MAX 16
#define ENV_TEXT 1024
#define TOOL_KILL_AFTER_MSEC 3000u

static const char *const env_fixed[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"LC_ALL=C.UTF-8",
	"DEBIAN_FRONTEND=noninteractive",
};

static const char *const env_passed[] = {
	"http_proxy",
	"https_proxy",
	"no_proxy",
	"SOURCE_DATE_EPOCH",
};

/* Fills env with pointers to texts of ours. */
static int make_env(char texts[ENV_MAX][ENV_TEXT], char *env[ENV_MAX + 1], struct err *err)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < sizeof(env_fixed) / sizeof(env_fixed[0]); i++)
		r = r < 0 ? r : str_copy(texts[n++], ENV_TEXT, env_fixed[i]);
	for (size_t i = 0; i < sizeof(env_passed) / sizeof(env_passed[0]); i++) {
		const char *value = getenv(env_passed[i]);

		if (value)
			r = r < 0 ? r
				  : str_fmt(texts[n++], ENV_TEXT, "%s=%s", env_passed[i], value);
	}
	for (size_t i = 0; i < n; i++)
		env[i] = texts[i];
	env[n] = NULL;
	return r < 0 ? err_set(err, EINVAL, "a proxy variable of the environment is too long") : 0;
}

/* What the program mounts ends with its last process, and what it writes to /tmp lands in its
 * directory. unshare(2) takes the current directory along, so that "." is the copy's. The pool's
 * own mount may forbid what a root file system needs. */
static int own_mounts(struct err *err)
{
	const struct mount_attr private = {.propagation = MS_PRIVATE};
	const struct mount_attr plain = {
		.attr_clr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
	};
	_cleanup_close_ int tmp = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(err, "cannot make a mount namespace");
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof(private)) < 0)
		return err_sys(err, "cannot make the mounts private");
	tmp = (int)syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tmp < 0 ||
	    syscall(SYS_mount_setattr, tmp, "", AT_EMPTY_PATH, &plain, sizeof(plain)) < 0)
		return err_sys(err, "cannot make a mount of the directory");
	if (syscall(SYS_move_mount, tmp, "", AT_FDCWD, "/tmp",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0 ||
	    chdir("/tmp") < 0)
		return err_sys(err, "cannot attach the directory to '/tmp'");
	return 0;
}

/* The signals that cancel are blocked until the job's handler is gone: it would swallow them. */
static _Noreturn void exec_tool(const char *const argv[], int cwd_fd, enum tool_flags flags,
				char *const env[], const sigset_t *mask)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	int null = file_memfd("stdin", "", 0, NULL); /* nothing to read */
	struct err err = ERR_INIT;

	(void)sigaction(SIGPIPE, &dfl, NULL);
	(void)sigaction(SIGTERM, &dfl, NULL);
	(void)sigaction(SIGINT, &dfl, NULL);
	(void)umask(022);
	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || null < 0 ||
	    fchdir(cwd_fd) < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(126);
	if ((flags & TOOL_OWN_TMP) && own_mounts(&err) < 0) {
		(void)dprintf(STDERR_FILENO, "%s\n", err_text(&err));
		_exit(126);
	}
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	/* execvpe takes no const; it writes to none of it. */
	(void)execvpe(argv[0], (char *const *)(uintptr_t)argv, env);
	_exit(errno == ENOENT ? EXIT_NO_PROGRAM : 126);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* Until it has ended: 0 or a negative errno. When the job is cancelled: TERM, and KILL when that
 * has been in vain: mmdebstrap tidies up on TERM, but not always, and nothing depends on it. The
 * signals that cancel are blocked but while it waits, so that none falls between the question and
 * the wait; 'mask' is the one without them. */
static int watch(pid_t pid, int pidfd, const sigset_t *mask)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	uint64_t kill_at = 0;
	int r = 0;

	while (r == 0) {
		uint64_t now = now_ms(), left = kill_at > now ? kill_at - now : 0;
		const struct timespec limit = {.tv_sec = (time_t)(left / 1000),
					       .tv_nsec = (long)(left % 1000) * 1000000};

		if (!kill_at && job_check(NULL) < 0) {
			(void)kill(-pid, SIGTERM);
			kill_at = now + TOOL_KILL_AFTER_MSEC;
			continue;
		}
		if (kill_at && left == 0)
			(void)kill(-pid, SIGKILL);
		r = ppoll(&p, 1, left > 0 ? &limit : NULL, mask);
		if (r < 0)
			r = errno == EINTR ? 0 : -errno;
	}
	return r < 0 ? r : 0;
}

/* Its end, and that of all it leaves in its process group: until it is reaped the number of the
 * group is nobody else's. */
static int wait_for(pid_t pid, const sigset_t *mask, int *ret_status, struct err *err)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	int r = pidfd < 0 ? -errno : watch(pid, pidfd, mask);

	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for a process");
	return r < 0 ? err_set_errno(err, -r, "cannot watch a process") : 0;
}

static int run(const char *const argv[], int cwd_fd, enum tool_flags flags, char *const env[],
	       int *ret_status, struct err *err)
{
	sigset_t stop, mask;
	pid_t pid;
	int r;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &stop, &mask);
	pid = fork();
	if (pid == 0)
		exec_tool(argv, cwd_fd, flags, env, &mask);
	if (pid < 0) {
		r = err_sys(err, "cannot run '%s'", argv[0]);
	} else {
		(void)setpgid(pid, pid); /* both sides: whoever comes first */
		r = wait_for(pid, &mask, ret_status, err);
		if (r < 0)
			(void)err_ctx(err, "'%s'", argv[0]);
	}
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	return r;
}

int tool_run(const char *const argv[], int cwd_fd, enum tool_flags flags, struct err *err)
{
	_cleanup_free_ char(*texts)[ENV_TEXT] = calloc(ENV_MAX, ENV_TEXT);
	char *env[ENV_MAX + 1];
	int status = 0, r;

	if (!texts)
		return err_set(err, ENOMEM, "cannot run '%s': out of memory", argv[0]);
	r = make_env(texts, env, err);
	if (r < 0)
		return r;
	r = run(argv, cwd_fd, flags, env, &status, err);
	if (r < 0)
		return r;
	r = job_check(err);
	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PROGRAM)
		return err_set(err, EOPNOTSUPP, "'%s' is not installed", argv[0]);
	if (WIFEXITED(status))
		return err_set(err, ECHILD, "'%s' failed with status %d", argv[0],
			       WEXITSTATUS(status));
	return err_set(err, ECHILD, "'%s' was killed by signal %d", argv[0], WTERMSIG(status));
}
