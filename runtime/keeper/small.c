/* SPDX-License-Identifier: Apache-2.0 */
/* How a fork of the keeper becomes small. */
#include "runtime/keeper/small.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool keep_fds(const int *fds, size_t n)
{
	const int end = SMALL_FD + (int)n;
	int high[SMALL_FDS_MAX];

	if (n > SMALL_FDS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, end);
		if (fds[i] >= 0 && high[i] < 0)
			return false;
	}
	for (int i = 0; i < (int)n; i++) {
		if (high[i] < 0)
			(void)close(SMALL_FD + i);
		else if (dup2(high[i], SMALL_FD + i) < 0)
			return false;
	}
	if (close_range((unsigned)end, ~0u, 0) < 0)
		return false;
	for (int fd = SMALL_FD; fd < end; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return false;
	}
	return true;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	return syscall(SYS_capset, &h, none) == 0;
}

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_AARCH64
#endif

#define ALLOW(nr)                                                                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static bool filter_calls(void)
{
#if defined(AUDIT_ARCH_HERE) && !defined(__SANITIZE_ADDRESS__)
	static const struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_HERE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_recvfrom),
		ALLOW(SYS_sendto),
		ALLOW(SYS_ppoll),
#ifdef SYS_poll
		ALLOW(SYS_poll),
#endif
		ALLOW(SYS_ioctl),
		ALLOW(SYS_clock_gettime), /* where the vDSO cannot */
		ALLOW(SYS_close),
		ALLOW(SYS_shutdown),
		ALLOW(SYS_restart_syscall),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	const struct sock_fprog prog = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = (struct sock_filter *)(uintptr_t)filter,
	};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) == 0;
#else
	return true;
#endif
}

bool small_become(const char *name, const int *fds, size_t n)
{
	sigset_t none;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NAME, name, 0, 0, 0) < 0)
		return false;
	(void)sigemptyset(&none);
	return keep_fds(fds, n) && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && drop_capabilities() && filter_calls();
}
