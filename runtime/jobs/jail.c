/* SPDX-License-Identifier: Apache-2.0 */
/* Order matters; each step says what it waits for. The parent is host root, the child is nobody
 * from the first moment on: it is born in its user namespace. */
#include "runtime/jobs/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "runtime/jobs/jail_seccomp.h"

#define JAIL_NAMESPACES                                                                            \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP)

/* Parent and child talk twice before run(). */
enum jail_msg {
	JAIL_MSG_GO = 0x5001, /* to the child: ids are mapped; fd 0 is the root mount */
	JAIL_MSG_READY,	      /* to the parent: locked in */
	JAIL_MSG_FAILED,      /* to the parent: {u32 code, string text} */
};

/* Rights over the files of its own tree, and nothing else. */
#define JAIL_CAPS                                                                                  \
	((1u << CAP_CHOWN) | (1u << CAP_DAC_OVERRIDE) | (1u << CAP_FOWNER) | (1u << CAP_FSETID) |  \
	 (1u << CAP_SETFCAP))
_Static_assert(CAP_SETFCAP < 32 && CAP_FSETID < 32, "JAIL_CAPS is the lower word");

static int child_failed(int sock, const struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(JAIL_MSG_FAILED, 0);

	if (m) {
		wire_put_u32(m, (uint32_t)err->code);
		wire_put_str(m, err->msg);
		(void)msg_send(sock, m, NULL);
	}
	return -err->code;
}

/* Makes the mount the root directory and everything else unreachable. */
static int enter_root(int mount_fd, struct err *err)
{
	const struct mount_attr slave = {.propagation = MS_PRIVATE};

	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &slave, sizeof(slave)) < 0)
		return err_sys(err, "cannot make the mounts of the jail private");
	/* Any directory will do to attach it; proc(5) was there for the id maps. */
	if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "cannot attach the root mount of the jail");
	if (fchdir(mount_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "cannot change the root directory of the jail");
	/* pivot_root(2), "pivot_root(".", ".")": the old root lies on top of the new one. */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "cannot detach the old root directory of the jail");
	return 0;
}

static int set_limits(const struct jail_spec *spec, struct err *err)
{
	const struct {
		__rlimit_resource_t what;
		uint64_t value;
	} rows[] = {
		{RLIMIT_FSIZE, spec->max_file_bytes},
		{RLIMIT_AS, spec->max_memory},
		{RLIMIT_CPU, spec->max_cpu_seconds},
		{RLIMIT_NOFILE, 64},
		{RLIMIT_NPROC, 1}, /* the range's own count: this process */
		{RLIMIT_CORE, 0},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_SIGPENDING, 16},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct rlimit rl = {rows[i].value, rows[i].value};

		if (setrlimit(rows[i].what, &rl) < 0)
			return err_sys(err, "cannot set a resource limit of the jail");
	}
	return 0;
}

static int drop_caps(struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = JAIL_CAPS, .permitted = JAIL_CAPS}};

	if (syscall(SYS_capset, &header, data) < 0)
		return err_sys(err, "cannot drop the capabilities of the jail");
	return 0;
}

static int lock_in(const struct jail_spec *spec, int sock, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(JAIL_MSG_READY, 0);
	_cleanup_close_ int mount_fd = -1;
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot start the jail: out of memory");
	r = msg_expect(sock, m, JAIL_MSG_GO, 0, err);
	if (r < 0)
		return r;
	mount_fd = msg_take_fd(m, 0);
	if (mount_fd < 0)
		return err_set(err, EPROTO, "cannot start the jail: no root mount came");
	/* The maps are written: become root inside, which is the first id of the range outside. */
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, "cannot take the ids of the jail");
	r = enter_root(mount_fd, err);
	if (r < 0)
		return r;
	cleanup_close(&mount_fd);
	mount_fd = -1;
	(void)umask(022); /* for directories that the archive only implies */
	r = set_limits(spec, err);
	if (r == 0)
		r = drop_caps(err);
	if (r < 0)
		return r;
	/* After the change of ids, which would clear both. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "cannot fence the jail");
	msg_reset(m, JAIL_MSG_READY, 0);
	r = msg_send(sock, m, err);
	return r < 0 ? r : jail_seccomp_load(err);
}

/* Input and socket become 3 and 4, and 0 to 2 are /dev/null; nothing else of the parent stays. */
static int keep_fds(const struct jail_spec *spec, int *sock, int *ret_input, struct err *err)
{
	/* Through high numbers, for they may stand in each other's way. */
	int input = fcntl(spec->input_fd, F_DUPFD_CLOEXEC, 10);
	int s = fcntl(*sock, F_DUPFD_CLOEXEC, 10);
	int low = open("/dev/null", O_RDWR | O_CLOEXEC);
	int null = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 10);
	const struct {
		int from, to;
	} moves[] = {{null, 0}, {null, 1}, {null, 2}, {input, 3}, {s, 4}};

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].from < 0 || dup3(moves[i].from, moves[i].to, O_CLOEXEC) < 0)
			return err_sys(err, "cannot arrange the fds of the jail");
	*ret_input = 3;
	*sock = 4;
	if (close_range(5, ~0u, 0) < 0)
		return err_sys(err, "cannot close the fds of the jail");
	return 0;
}

static _Noreturn void child(const struct jail_spec *spec, int sock)
{
	struct err err = ERR_INIT;
	int input = -1;
	/* A limit shall be an error of write(2). */
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	const struct sigaction dfl = {.sa_handler = SIG_DFL};

	(void)sigaction(SIGXFSZ, &ignore, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGTERM, &dfl, NULL);
	(void)sigaction(SIGINT, &ignore, NULL); /* the parent decides */
	if (keep_fds(spec, &sock, &input, &err) < 0 || lock_in(spec, sock, &err) < 0) {
		(void)child_failed(sock, &err);
		_exit(1);
	}
	spec->run(input, sock, spec->arg);
	_exit(0);
}

static int write_maps(pid_t pid, uint32_t base, struct err *err)
{
	static const char *const files[] = {"uid_map", "gid_map"};
	char map[64];

	(void)str_fmt(map, sizeof(map), "0 %" PRIu32 " %u\n", base, JAIL_IDS);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];
		int r;

		(void)str_fmt(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		r = file_write_at(AT_FDCWD, path, map, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *filesystem_name(int fd, char *buf, size_t size)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} rows[] = {
		{0x01021994, "tmpfs"}, {0x794c7630, "overlayfs"}, {0x6969, "NFS"},
		{0x2fc12fc1, "ZFS"},   {0x65735546, "FUSE"},	  {0x01021997, "9p"},
		{0x858458f6, "ramfs"},
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return "unknown";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((uint32_t)fs.f_type == rows[i].magic)
			return rows[i].name;
	(void)str_fmt(buf, size, "0x%" PRIx32, (uint32_t)fs.f_type);
	return buf;
}

/* The directory as a detached mount on which the child's ids are those on disk. */
static int make_root_mount(const struct jail_spec *spec, pid_t pid, struct err *err)
{
	struct mount_attr attr = {
		.attr_set =
			MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
	};
	_cleanup_close_ int userns = -1;
	_cleanup_close_ int fd = -1;
	char path[64], name[16];

	(void)str_fmt(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	userns = open(path, O_RDONLY | O_CLOEXEC);
	if (userns < 0)
		return err_sys(err, "cannot open the user namespace of the jail");
	fd = (int)syscall(SYS_open_tree, spec->root_fd, "",
			  AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot make the root mount of the jail");
	attr.userns_fd = (uint64_t)userns;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return take_fd(&fd);
	if (errno != EINVAL)
		return err_sys(err, "cannot map the ids of the jail's root mount");
	(void)err_set(err, EOPNOTSUPP,
		      "the pool's file system (%s) cannot have idmapped mounts on this kernel",
		      filesystem_name(spec->root_fd, name, sizeof(name)));
	return err ? err_hint(err, "put the pool on ext4 or XFS") : -EOPNOTSUPP;
}

static int release_child(const struct jail_spec *spec, struct jail *j, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(JAIL_MSG_GO, 0);
	_cleanup_close_ int mount_fd = -1;
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot start the jail: out of memory");
	r = write_maps(j->pid, spec->range_base, err);
	if (r < 0)
		return r;
	mount_fd = make_root_mount(spec, j->pid, err);
	if (mount_fd < 0)
		return mount_fd;
	r = msg_add_fd(m, mount_fd);
	if (r < 0)
		return err_set(err, -r, "cannot start the jail");
	r = msg_send(j->sock, m, err);
	if (r < 0)
		return r;
	return msg_expect(j->sock, m, JAIL_MSG_READY, JAIL_MSG_FAILED, err);
}

int jail_start(const struct jail_spec *spec, struct jail *ret, struct err *err)
{
	_cleanup_jail_ struct jail j = JAIL_INIT;
	_cleanup_close_ int other = -1;
	struct clone_args args = {
		.flags = JAIL_NAMESPACES | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&j.pidfd,
		.exit_signal = SIGCHLD,
	};
	int pair[2], r;
	long pid;

	r = msg_socketpair(pair, err);
	if (r < 0)
		return r;
	j.sock = pair[0];
	other = pair[1];
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_sys(err, "cannot start the jail");
	if (pid == 0)
		child(spec, other);
	j.pid = (pid_t)pid;
	/* Ours must be the last copy here: its end of file tells that the child is gone. */
	cleanup_close(&other);
	other = -1;
	r = release_child(spec, &j, err);
	if (r < 0)
		return r;
	*ret = j;
	j = JAIL_INIT;
	return 0;
}

int jail_wait(struct jail *j, struct err *err)
{
	siginfo_t si = {0};
	int r;

	do
		r = waitid(P_PIDFD, (id_t)j->pidfd, &si, WEXITED);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(err, "cannot wait for the jail");
	j->pid = 0;
	if (si.si_code == CLD_EXITED)
		return 0;
	if (si.si_status == SIGXCPU || si.si_status == SIGKILL)
		return err_set(err, EOVERFLOW, "the unpacking was killed: it used too much %s",
			       si.si_status == SIGXCPU ? "processor time" : "memory");
	return err_set(err, EIO, "the unpacking was killed by signal %d", si.si_status);
}

void jail_done(struct jail *j)
{
	if (j->pid > 0) {
		(void)syscall(SYS_pidfd_send_signal, j->pidfd, SIGKILL, NULL, 0);
		(void)jail_wait(j, NULL);
	}
	cleanup_close(&j->pidfd);
	cleanup_close(&j->sock);
	*j = JAIL_INIT;
}
