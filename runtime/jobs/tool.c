/* SPDX-License-Identifier: Apache-2.0 */
/* One child in a process group of its own, no shell, fixed environment. */
#include "runtime/jobs/tool.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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
	"http_proxy", "https_proxy", "no_proxy", "TMPDIR", "SOURCE_DATE_EPOCH",
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

static _Noreturn void exec_tool(const char *const argv[], int cwd_fd, char *const env[])
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	int null = file_memfd("stdin", "", 0, NULL); /* nothing to read */

	(void)sigaction(SIGPIPE, &dfl, NULL);
	(void)umask(022);
	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || null < 0 ||
	    fchdir(cwd_fd) < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(126);
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

/* Until it has ended: 0 or a negative errno. When the job is cancelled: TERM, as mmdebstrap removes
 * its temporary directory then, and KILL when that has been in vain. The signals that cancel come
 * only while it waits, so that none falls between the question and the wait. */
static int watch(pid_t pid, int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	uint64_t kill_at = 0;
	sigset_t stop, old;
	int r = 0;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &stop, &old);
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
		r = ppoll(&p, 1, left > 0 ? &limit : NULL, &old);
		if (r < 0)
			r = errno == EINTR ? 0 : -errno;
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return r < 0 ? r : 0;
}

/* Its end, and that of all it leaves in its process group: until it is reaped the number of the
 * group is nobody else's. */
static int wait_for(pid_t pid, int *ret_status, struct err *err)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	int r = pidfd < 0 ? -errno : watch(pid, pidfd);

	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for a process");
	return r < 0 ? err_set_errno(err, -r, "cannot watch a process") : 0;
}

int tool_run(const char *const argv[], int cwd_fd, struct err *err)
{
	_cleanup_free_ char(*texts)[ENV_TEXT] = calloc(ENV_MAX, ENV_TEXT);
	char *env[ENV_MAX + 1];
	int status, r;
	pid_t pid;

	if (!texts)
		return err_set(err, ENOMEM, "cannot run '%s': out of memory", argv[0]);
	r = make_env(texts, env, err);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot run '%s'", argv[0]);
	if (pid == 0)
		exec_tool(argv, cwd_fd, env);
	(void)setpgid(pid, pid); /* both sides: whoever comes first */
	r = wait_for(pid, &status, err);
	if (r < 0)
		return err_ctx(err, "'%s'", argv[0]);
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
