/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper of a launch: a throwaway fork of the caller with the host's credentials.
 *
 * Why a helper: masks and mounts hold against a guest's root only if they were made in a mount
 * namespace that is owned by the host's user namespace and were then copied into the guest's (see
 * child.c). The helper owns that namespace, builds the whole tree in it while init waits, and ends.
 * proc, sysfs, mqueue and cgroup2 take their owner from the mounter's namespaces, and a pid
 * namespace counts for children only; so a fork of the helper inside the guest's namespaces, still
 * with the host's credentials, mounts those four. All of them run the phases of the table below.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/pidref.h"
#include "base/str.h"
#include "runtime/sandbox/check.h"
#include "runtime/sandbox/child.h"
#include "runtime/sandbox/files.h"
#include "runtime/sandbox/gate.h"
#include "runtime/sandbox/handshake.h"
#include "runtime/sandbox/idmap.h"
#include "runtime/sandbox/mount_table.h"
#include "runtime/sandbox/mounts.h"
#include "runtime/sandbox/pending.h"
#include "runtime/sandbox/process.h"
#include "runtime/sandbox/rootfs.h"
#include "runtime/sandbox/sandbox.h"

#define GUEST_NAMESPACES                                                                           \
	((uint64_t)(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) |   \
	 CLONE_NEWCGROUP)

struct helper {
	const struct sbx_launch *launch;
	int sock;  /* to the caller */
	int child; /* to init */
	pid_t pid; /* of init */
	int pidfd; /* of init, -1 = not born */
	int notify;
	char warning[SBX_WARNING_TEXT];
	struct sbx_tree tree;
};

static int prepare(struct helper *h, struct err *err)
{
	const struct sbx_launch *l = h->launch;
	int keep[SBX_LAYERS_MAX + 7] = {h->sock,	 l->cgroup, l->upper, l->seccomp,
					l->rootfs_plain, l->views,  l->gate};
	int r;

	memcpy(keep + 7, l->layers, l->n_layers * sizeof(keep[0]));
	/* The caller holds fds of all guests. */
	r = sbx_close_others(keep, 7 + l->n_layers, err);
	if (r < 0)
		return r;
	(void)umask(0); /* modes are as the tables say */
	return sbx_process_reset(err);
}

static int own_mounts(struct helper *h, struct err *err)
{
	(void)h;
	return sbx_mount_unshare(err);
}

/* The guest's monotonic and boot clocks start now. The namespace is entered by children born later;
 * CLONE_NEWTIME in clone3(2) would leave no moment for writing the offsets. */
static int own_clocks(struct helper *h, struct err *err)
{
	struct timespec mono, boot;
	char text[96];

	(void)h;
	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(err, "cannot create a time namespace");
	if (clock_gettime(CLOCK_MONOTONIC, &mono) < 0 || clock_gettime(CLOCK_BOOTTIME, &boot) < 0)
		return err_sys(err, "cannot read the clock");
	(void)str_fmt(text, sizeof(text), "monotonic -%lld 0\nboottime -%lld 0\n",
		      (long long)mono.tv_sec, (long long)boot.tv_sec);
	return file_write_at(AT_FDCWD, "/proc/self/timens_offsets", text, err);
}

static int set_limits(struct helper *h, struct err *err)
{
	return sbx_process_limits(h->launch->rlimits, err);
}

/* The creator of a user namespace is its owner, and the kernel's per-user counts (inotify,
 * namespaces, pending signals ...) are charged to it: so it must be this guest's own id. The notify
 * socket is made before as well: it lives in the host's network namespace. */
static int take_identity(struct helper *h, struct err *err)
{
	h->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->notify < 0)
		return err_sys(err, "cannot create the notify socket");
	return sbx_process_identity(h->launch->base, h->launch->base, err);
}

static int give_birth(struct helper *h, struct err *err)
{
	int pair[2];
	int r = msg_socketpair(pair, err);

	if (r < 0)
		return r;
	h->pid = sbx_fork(GUEST_NAMESPACES | CLONE_PARENT, h->launch->cgroup, &h->pidfd, err);
	if (h->pid == 0)
		sbx_child_main(h->launch, pair[1]);
	(void)close(pair[1]);
	h->child = pair[0];
	if (h->pid < 0)
		return h->pid;
	return sbx_send_born(h->sock, (uint32_t)h->pid, h->pidfd, err);
}

static int map_ids(struct helper *h, struct err *err)
{
	return sbx_idmap_write(h->pid, h->launch->base, err);
}

/* From here on whoever launches sets up the network, while the tree is built here. */
static int offer_network(struct helper *h, struct err *err)
{
	return h->launch->gate < 0 ? 0 : sbx_gate_offer(h->launch->gate, h->pidfd, err);
}

static int mount_root(struct helper *h, struct err *err)
{
	_cleanup_close_ int userns = sbx_idmap_open(h->pid, err);

	if (userns < 0)
		return userns;
	h->tree.place[SBX_PLACE_ROOT] = sbx_rootfs_mount(h->launch, userns, err);
	return h->tree.place[SBX_PLACE_ROOT] < 0 ? h->tree.place[SBX_PLACE_ROOT] : 0;
}

static int mount_host_stage(struct helper *h, struct err *err)
{
	return sbx_mount_table_apply(&h->tree, SBX_STAGE_HOST, err);
}

/* Bound by a relative name: it shows in /proc/net/unix. */
static int bind_notify(struct helper *h, struct err *err)
{
	const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "notify"};
	int run = h->tree.place[SBX_PLACE_RUN];

	if (mkdirat(run, "host", 0755) < 0)
		return err_sys(err, "cannot create '/run/host'");
	_cleanup_close_ int dir =
		openat(run, "host", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fchdir(dir) < 0)
		return err_sys(err, "cannot enter '/run/host'");
	if (bind(h->notify, (const struct sockaddr *)&name, sizeof(name)) < 0)
		return err_sys(err, "cannot bind '/run/host/notify'");
	/* The guest's root only. */
	if (fchmodat(dir, "notify", 0600, 0) < 0)
		return err_sys(err, "cannot change the mode of '/run/host/notify'");
	if (fchownat(dir, "", 0, 0, AT_EMPTY_PATH) < 0)
		return err_sys(err, "cannot change the owner of '/run/host'");
	return chdir("/") < 0 ? err_sys(err, "cannot enter '/'") : 0;
}

/* What cannot be written is told, and nothing more: a guest with a broken /etc still starts. */
static int write_files(struct helper *h, struct err *err)
{
	struct err why = ERR_INIT;

	/* RLIMIT_FSIZE is the guest's already; beyond it the kernel would end us. */
	if (sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL) < 0)
		return err_sys(err, "cannot ignore a signal");
	if (sbx_files_write(h->launch, h->tree.place[SBX_PLACE_ROOT], &why) < 0)
		(void)snprintf(h->warning, sizeof(h->warning), "%s", err_text(&why));
	return 0;
}

/* In a process of its own (see the top); its error comes back through shared memory. */
static int mount_guest_stage(struct helper *h, struct err *err)
{
	struct err *shared;
	int status;

	if (setns(h->pidfd,
		  CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return err_sys(err, "cannot join the guest's namespaces");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return err_sys(err, "cannot map memory");
	pid_t pid = sbx_fork(0, -1, NULL, err);
	if (pid == 0)
		_exit(sbx_mount_table_apply(&h->tree, SBX_STAGE_GUEST, shared) < 0);
	if (pid < 0)
		return pid;
	if (waitpid(pid, &status, __WALL) < 0)
		return err_sys(err, "cannot wait for the mounts");
	if (status == 0)
		return 0;
	if (shared->code == 0)
		return err_set(err, EIO, "the process that mounts died");
	*err = *shared;
	return -err->code;
}

/* Init shares our mount namespace and our old root: its root moves too. */
static int change_root(struct helper *h, struct err *err)
{
	return sbx_mount_pivot(h->tree.place[SBX_PLACE_ROOT], err);
}

static int await_network(struct helper *h, struct err *err)
{
	return h->launch->gate < 0 ? 0 : sbx_gate_await(h->launch->gate, h->child, err);
}

static int start_init(struct helper *h, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(0, 0);
	int r;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	r = sbx_send(h->child, SBX_RECORD_GO, NULL, 0, err);
	return r < 0 ? r : sbx_await_exec(h->child, m, err);
}

static int report(struct helper *h, struct err *err)
{
	const int fds[] = {h->tree.console, h->tree.console_slave, h->notify};

	return sbx_send_started(h->sock, h->warning, fds, err);
}

static const struct {
	const char *name; /* context of an error */
	int (*run)(struct helper *h, struct err *err);
} phases[] = {
	{"preparing", prepare},
	{"isolating mounts", own_mounts},
	{"starting the guest's clocks", own_clocks},
	{"setting resource limits", set_limits},
	{"taking the guest's user id", take_identity},
	{"creating namespaces", give_birth},
	{"mapping ids", map_ids},
	{"opening the network", offer_network},
	{"mounting the root file system", mount_root},
	{"writing files", write_files},
	{"building /dev and /run", mount_host_stage},
	{"binding the notify socket", bind_notify},
	{"mounting /proc and /sys", mount_guest_stage},
	{"changing the root", change_root},
	{"setting up the network", await_network},
	{"starting init", start_init},
	{"reporting", report},
};

static void helper_main(const struct sbx_launch *l, int sock) __attribute__((noreturn));
static void helper_main(const struct sbx_launch *l, int sock)
{
	struct helper h = {.launch = l, .sock = sock, .child = -1, .pidfd = -1, .notify = -1};
	struct err err = ERR_INIT;

	h.tree = SBX_TREE_INIT;
	h.tree.launch = l;
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		if (phases[i].run(&h, &err) < 0) {
			(void)err_ctx(&err, "%s", phases[i].name);
			sbx_process_kill(h.pidfd);
			sbx_send_failed(sock, &err);
			_exit(1);
		}
	}
	/* The kernel cleans up faster than we could. */
	_exit(0);
}

int sbx_spawn_begin(const struct sbx_launch *l, struct sbx_pending *ret, struct err *err)
{
	int sock = -1, pidfd = -1;
	int r = sbx_launch_check(l, err);

	if (r < 0)
		return r;
	pid_t pid = sbx_helper_fork(-1, &sock, &pidfd, err);
	if (pid == 0)
		helper_main(l, sock);
	if (pid < 0)
		return pid;
	*ret = SBX_PENDING_INIT;
	ret->sock = sock;
	ret->helper = pid;
	ret->helper_pidfd = pidfd;
	return 0;
}
