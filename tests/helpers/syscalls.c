/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes system calls that a guest is refused, and some that it is not, and prints one line for each
 * whose errno is not the expected one. Arguments are such that a call does no harm where it is let
 * through. Runs inside a guest, as its root; static, so that it runs in any root file system.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_IOC_SETFLAGS_64 0x40086602ul
#define FS_IOC_FSSETXATTR_64 0x401c5820ul
#define TIOCSTI_NUMBER 0x5412ul
#define TIOCLINUX_NUMBER 0x541cul
#define TIOCSETD_NUMBER 0x5423ul
#define NO_SUCH_CALL 1999
#define NETLINK_AUDIT_NUMBER 9
#define SCHED_FIFO_RESET (SCHED_FIFO | SCHED_RESET_ON_FORK)

static const struct {
	const char *name;
	long number;
	long args[5];
	int want; /* errno; 0 = works */
} rows[] = {
	{"an unknown call", NO_SUCH_CALL, {0}, ENOSYS},
	{"file_setattr", 469, {-1}, ENOSYS},
	{"open_tree_attr", 467, {-1}, ENOSYS},
	{"setxattrat", 463, {-1}, ENOSYS},
	{"keyctl", SYS_keyctl, {0}, ENOSYS},
	{"add_key", SYS_add_key, {0}, ENOSYS},
	{"request_key", SYS_request_key, {0}, ENOSYS},
	{"io_uring_setup", SYS_io_uring_setup, {1}, ENOSYS},
	{"fsopen", SYS_fsopen, {0}, ENOSYS},
	{"fsconfig", SYS_fsconfig, {-1}, ENOSYS},
	{"bpf", SYS_bpf, {-1}, EPERM},
	{"perf_event_open", SYS_perf_event_open, {0}, EPERM},
	{"init_module", SYS_init_module, {0}, EPERM},
	{"finit_module", SYS_finit_module, {-1}, EPERM},
	{"delete_module", SYS_delete_module, {0}, EPERM},
	{"kexec_load", SYS_kexec_load, {0, 17}, EPERM},
	{"swapon", SYS_swapon, {0}, EPERM},
	{"syslog", SYS_syslog, {99}, EPERM},
	{"open_by_handle_at", SYS_open_by_handle_at, {-1}, EPERM},
	{"userfaultfd", SYS_userfaultfd, {-1}, EPERM},
	{"fanotify_init", SYS_fanotify_init, {-1}, EPERM},
	{"iopl", SYS_iopl, {3}, EPERM},
	{"modify_ldt", SYS_modify_ldt, {99}, EPERM},
	{"clock_settime", SYS_clock_settime, {0}, EPERM},
	{"settimeofday", SYS_settimeofday, {0}, EPERM},
	{"acct", SYS_acct, {0}, EPERM},
	{"quotactl", SYS_quotactl, {0}, EPERM},
	{"personality", SYS_personality, {0x0040000}, EPERM},
	{"ioctl FS_IOC_SETFLAGS", SYS_ioctl, {-1, FS_IOC_SETFLAGS_64}, EPERM},
	{"ioctl FS_IOC_SETFLAGS with high bits",
	 SYS_ioctl,
	 {-1, FS_IOC_SETFLAGS_64 | 1l << 40},
	 EPERM},
	{"ioctl FS_IOC_FSSETXATTR", SYS_ioctl, {-1, FS_IOC_FSSETXATTR_64}, EPERM},
	{"ioctl TIOCSTI", SYS_ioctl, {-1, TIOCSTI_NUMBER}, EPERM},
	{"ioctl TIOCLINUX", SYS_ioctl, {-1, TIOCLINUX_NUMBER}, EPERM},
	{"ioctl TIOCSETD", SYS_ioctl, {-1, TIOCSETD_NUMBER}, EPERM},
	{"umount2 MNT_FORCE", SYS_umount2, {(long)"/nowhere", MNT_FORCE}, EACCES},
	{"sched_setscheduler SCHED_FIFO", SYS_sched_setscheduler, {-1, SCHED_FIFO}, EPERM},
	{"sched_setscheduler with RESET_ON_FORK",
	 SYS_sched_setscheduler,
	 {-1, SCHED_FIFO_RESET},
	 EPERM},
	{"socket AF_ALG", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, EAFNOSUPPORT},
	{"socket AF_VSOCK", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, EAFNOSUPPORT},
	{"socket AF_KEY", SYS_socket, {AF_KEY, SOCK_RAW, 2}, EAFNOSUPPORT},
	{"socket AF_CAN", SYS_socket, {AF_CAN, SOCK_RAW, 1}, EAFNOSUPPORT},
	{"socket AF_TIPC", SYS_socket, {AF_TIPC, SOCK_STREAM, 0}, EAFNOSUPPORT},
	{"socket AF_RDS", SYS_socket, {AF_RDS, SOCK_SEQPACKET, 0}, EAFNOSUPPORT},
	{"socket SCTP", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, EPROTONOSUPPORT},
	{"socket SOCK_SEQPACKET", SYS_socket, {AF_INET6, SOCK_SEQPACKET, 0}, ESOCKTNOSUPPORT},
	{"socket NETLINK_AUDIT",
	 SYS_socket,
	 {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT_NUMBER},
	 EAFNOSUPPORT},
	/* What a server needs is there. */
	{"socket AF_UNIX", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0},
	{"socket AF_INET", SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0},
	{"socket AF_INET6", SYS_socket, {AF_INET6, SOCK_DGRAM, 0}, 0},
	{"socket NETLINK_ROUTE", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, 0},
	{"sethostname", SYS_sethostname, {(long)"renamed", 7}, 0},
	{"unshare", SYS_unshare, {CLONE_NEWNS | CLONE_NEWUTS}, 0},
};

int main(void)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const long *a = rows[i].args;

		errno = 0;
		long r = syscall(rows[i].number, a[0], a[1], a[2], a[3], a[4]);
		int e = r < 0 ? errno : 0;
		if (e == rows[i].want)
			continue;
		printf("%s: %s, expected %s\n", rows[i].name, strerrorname_np(e),
		       strerrorname_np(rows[i].want));
		wrong++;
	}
	/* The filter knows one architecture: the 32-bit table and x32 are others. */
	long r = syscall(SYS_getpid | 0x40000000);
	if (r >= 0) {
		printf("x32: works\n");
		wrong++;
	}
	if (wrong == 0)
		printf("all %zu as expected\n", sizeof(rows) / sizeof(rows[0]) + 1);
	return wrong != 0;
}
