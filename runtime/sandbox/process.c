/* SPDX-License-Identifier: Apache-2.0 */
/* What a new process inherits from its parent: see process.h. */
#include "runtime/sandbox/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

static int fork_err(struct err *err, int code, uint64_t flags)
{
	switch (code) {
	case EBUSY:
		return err_set(err, code,
			       "cannot start a process: the cgroup has children with controllers "
			       "enabled (left over from an earlier boot?)");
	case EACCES:
		return err_set(err, code, "cannot start a process: not allowed into the cgroup");
	case EAGAIN:
		return err_set(err, code,
			       "cannot start a process: a limit on processes is reached (pids.max, "
			       "RLIMIT_NPROC, or kernel.pid_max)");
	case ENODEV:
		return err_set(err, code, "cannot start a process: the cgroup has been removed");
	case EOPNOTSUPP:
		return err_set(err, code, "cannot start a process: the cgroup is threaded");
	case ENOSPC:
		return err_set(
			err, code,
			"cannot start a process: %sthe cgroup has no CPUs (cpuset.cpus.effective)",
			flags & CLONE_NEWUSER
				? "the limit of namespaces is reached (user.max_*_namespaces), or "
				: "");
	case ENOSYS:
		return err_set(err, code, "cannot start a process: the kernel has no clone3");
	default:
		return err_set(err, code, "cannot start a process: %s", strerror(code));
	}
}

pid_t sbx_fork(uint64_t flags, int cgroup, int *ret_pidfd, struct err *err)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = flags,
		.exit_signal = 0,
	};

	if (ret_pidfd) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	}
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return fork_err(err, errno, flags);
	if (pid > 0 && ret_pidfd)
		*ret_pidfd = pidfd;
	return pid;
}

int sbx_close_others(int *keep, size_t n, struct err *err)
{
	unsigned from = 3;

	/* Insertion sort: a few fds, and most of them in order. */
	for (size_t i = 1; i < n; i++) {
		int fd = keep[i];
		size_t j = i;

		for (; j > 0 && keep[j - 1] > fd; j--)
			keep[j] = keep[j - 1];
		keep[j] = fd;
	}
	for (size_t i = 0; i <= n; i++) {
		unsigned to = i == n ? ~0u : (unsigned)keep[i] - 1;

		if (i < n && keep[i] < (int)from)
			continue;
		if (to >= from && close_range(from, to, 0) < 0)
			return err_sys(err, "cannot close file descriptors");
		from = to + 2;
	}
	return 0;
}

/* All signals at their defaults, ignored ones too, with nothing blocked. By the system call itself:
 * glibc refuses to touch its own two signals, which a parent may have ignored. */
static int reset_signals(struct err *err)
{
	const uint64_t none = 0;
	struct {
		uint64_t words[4]; /* struct sigaction as the kernel has it: all zero is SIG_DFL */
	} dfl = {0};

	for (int sig = 1; sig <= 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (syscall(SYS_rt_sigaction, sig, &dfl, NULL, sizeof(none)) < 0)
			return err_sys(err, "cannot reset signal %d", sig);
	}
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)) < 0)
		return err_sys(err, "cannot unblock signals");
	return 0;
}

int sbx_process_reset(struct err *err)
{
	static const struct sched_param normal = {0};
	static cpu_set_t all;
	int r;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "cannot become undumpable");
	r = reset_signals(err);
	if (r < 0)
		return r;
	if (sched_setscheduler(0, SCHED_OTHER, &normal) < 0 || setpriority(PRIO_PROCESS, 0, 0) < 0)
		return err_sys(err, "cannot take normal scheduling");
	/* IOPRIO_WHO_PROCESS, this process, IOPRIO_CLASS_NONE: derived from the nice value. */
	if (syscall(SYS_ioprio_set, 1, 0, 0) < 0)
		return err_sys(err, "cannot take the normal I/O priority");
	/* CPUs are the cpuset's matter; the parent may have been pinned. */
	memset(&all, 0xff, sizeof(all));
	if (sched_setaffinity(0, sizeof(all), &all) < 0)
		return err_sys(err, "cannot take all CPUs");
	if (personality(PER_LINUX) < 0)
		return err_sys(err, "cannot take the normal personality");
	/* Written even if it is 0 already: with CAP_SYS_RESOURCE this also lifts the lowest value
	 * that the guest could set again (proc(5), oom_score_adj). */
	return file_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "0", err);
}

/* prlimit(2): without CAP_SYS_RESOURCE a hard limit only goes down. */
static bool may_raise_limits(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{0}};

	return syscall(SYS_capget, &h, d) == 0 &&
	       (d[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective & CAP_TO_MASK(CAP_SYS_RESOURCE)) != 0;
}

static int limit_err(struct err *err, unsigned what, const struct rlimit *want)
{
	int r = err_sys(err, "cannot set resource limit %u to %llu:%llu", what,
			(unsigned long long)want->rlim_cur, (unsigned long long)want->rlim_max);

	if (what == RLIMIT_NOFILE)
		err_hint(err, "the sysctl fs.nr_open must be at least %llu",
			 (unsigned long long)want->rlim_max);
	return r;
}

int sbx_process_limits(const struct rlimit limits[RLIM_NLIMITS], struct err *err)
{
	const bool may_raise = may_raise_limits();

	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit want = limits[i], have;

		if (prlimit(0, (enum __rlimit_resource)i, &want, NULL) == 0)
			continue;
		if (errno != EPERM || may_raise)
			return limit_err(err, i, &want);
		if (prlimit(0, (enum __rlimit_resource)i, NULL, &have) < 0)
			return err_sys(err, "cannot read resource limit %u", i);
		want.rlim_max = have.rlim_max;
		if (want.rlim_cur > want.rlim_max)
			want.rlim_cur = want.rlim_max;
		if (prlimit(0, (enum __rlimit_resource)i, &want, NULL) < 0)
			return limit_err(err, i, &want);
	}
	return 0;
}

int sbx_process_identity(uid_t uid, gid_t gid, struct err *err)
{
	/* Without the fixup, leaving uid 0 drops no capabilities: clone3(CLONE_INTO_CGROUP), mounts
	 * and setns(2) need them (capabilities(7)). */
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
		return err_sys(err, "cannot keep capabilities over a change of user id");
	if (setgroups(0, NULL) < 0)
		return err_sys(err, "cannot drop supplementary groups");
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, "cannot take ids %u:%u", uid, gid);
	/* A change of ids sets dumpable to the sysctl fs.suid_dumpable. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "cannot become undumpable");
	return 0;
}

int sbx_process_keyring(struct err *err)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return err_sys(err, "cannot join a new session keyring");
	return 0;
}

void sbx_process_kill(int pidfd)
{
	/* It may be gone already. */
	if (pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}
