/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new process on its way to the guest's init.
 *
 * It is born with the host's code and memory in the guest's namespaces, except for the mount
 * namespace, which it shares with the helper. No guest code runs before its execve(2), so there is
 * nobody inside yet who could look at it. All ids are 0 inside already: the helper had taken the
 * base ids before it made the user namespace.
 */
#include "runtime/sandbox/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "runtime/sandbox/caps.h"
#include "runtime/sandbox/console.h"
#include "runtime/sandbox/handshake.h"
#include "runtime/sandbox/process.h"
#include "runtime/sandbox/seccomp.h"

struct child {
	const struct sbx_launch *launch;
	int sock;
	struct sock_fprog filter;
};

/* Keeps nothing but the socket; the filter stays as a mapping. */
static int keep_little(struct child *c, struct err *err)
{
	int keep[] = {c->sock};
	int r = sbx_seccomp_map(c->launch->seccomp, &c->filter, err);

	return r < 0 ? r : sbx_close_others(keep, 1, err);
}

static int await_tree(struct child *c, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(0, 0);

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	return msg_expect(c->sock, m, SBX_RECORD_GO, SBX_RECORD_FAILED, err);
}

/*
 * The mount namespace that was shared so far is owned by the host's user namespace; this copy is
 * owned by the guest's. When a copy crosses that line the kernel locks all mounts and their flags
 * (mount_namespaces(7)): the guest can neither unmount, move nor reveal what is under any of them.
 */
static int own_mounts(struct child *c, struct err *err)
{
	(void)c;
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(err, "cannot create the guest's mount namespace");
	/* The root changed under us; our cwd is its old place. */
	if (chdir("/") < 0)
		return err_sys(err, "cannot enter '/'");
	return 0;
}

static int set_hostname(struct child *c, struct err *err)
{
	if (sethostname(c->launch->hostname, strlen(c->launch->hostname)) < 0)
		return err_sys(err, "cannot set the host name");
	return 0;
}

static int loopback_up(struct child *c, struct err *err)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)c;
	/* A unix socket: interface requests work on any family, also without IPv4. */
	if (fd < 0)
		return err_sys(err, "cannot open a socket");
	ifr.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return err_sys(err, "cannot bring up the loopback interface");
	return 0;
}

static int own_session(struct child *c, struct err *err)
{
	(void)c;
	if (setsid() < 0)
		return err_sys(err, "cannot start a session");
	return sbx_process_keyring(err);
}

/* Opened by its path: the tree is still untouched, and the guest sees the name in /proc/1/fd. */
static int take_console(struct child *c, struct err *err)
{
	_cleanup_close_ int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int fds[3] = {fd, fd, fd};

	(void)c;
	if (fd < 0)
		return err_sys(err, "cannot open '/dev/console'");
	return sbx_stdio(fds, true, err);
}

static int restrict_self(struct child *c, struct err *err)
{
	int r;

	(void)umask(022);
	/* Everything is close-on-exec by birth; a safety net for what was not. */
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(err, "cannot close file descriptors");
	r = sbx_caps_bound(c->launch->capabilities, err);
	return r < 0 ? r : sbx_send(c->sock, SBX_RECORD_READY, NULL, 0, err);
}

static int install_filter(struct child *c, struct err *err)
{
	return sbx_seccomp_load(&c->filter, err);
}

static int run_init(struct child *c, struct err *err)
{
	const struct sbx_launch *l = c->launch;

	(void)execve(l->argv[0], l->argv, l->envp);
	return err_sys(err, "cannot execute '%s' in the guest", l->argv[0]);
}

static const struct {
	const char *name; /* "while ..." of an error */
	int (*run)(struct child *c, struct err *err);
} phases[] = {
	{"closing files", keep_little},
	{"waiting for the tree", await_tree},
	{"locking mounts", own_mounts},
	{"setting the host name", set_hostname},
	{"starting the network", loopback_up},
	{"starting a session", own_session},
	{"opening the console", take_console},
	{"dropping privileges", restrict_self},
	{"filtering system calls", install_filter},
	{"starting init", run_init},
};

void sbx_child_main(const struct sbx_launch *l, int sock)
{
	struct child c = {.launch = l, .sock = sock};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		if (phases[i].run(&c, &err) < 0) {
			(void)err_ctx(&err, "%s", phases[i].name);
			break;
		}
	}
	sbx_send_failed(c.sock, &err);
	_exit(127);
}
