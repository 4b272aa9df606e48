/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins a process to a running guest.
 *
 * A pid namespace is entered by children only, so there are two processes. The middle one, outside
 * of the guest's sight, takes everything that the program shall have: ids, limits, namespaces,
 * bounding set. The last one is born in the guest complete, not dumpable and with next to no fds:
 * guest code can see its pid and signal it, but neither trace it nor look into it until execve(2).
 * The middle waits for that and reports; the caller sets the time limit, as guest code may stop the
 * last process, or hang its file system calls, for ever.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "base/str.h"
#include "runtime/sandbox/caps.h"
#include "runtime/sandbox/check.h"
#include "runtime/sandbox/console.h"
#include "runtime/sandbox/handshake.h"
#include "runtime/sandbox/pending.h"
#include "runtime/sandbox/process.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/seccomp.h"

#define ALL_NAMESPACES                                                                             \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
	 CLONE_NEWCGROUP | CLONE_NEWTIME)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct joiner {
	const struct sbx_join *join;
	int sock; /* middle: to the caller; last: to the middle */
	int last; /* middle: to the last process */
	int master;
	struct sock_fprog filter;
};

struct phase {
	const char *name; /* context of an error; NULL = needs none */
	int (*run)(struct joiner *j, struct err *err);
};

static int run_phases(const struct phase *phases, size_t n, struct joiner *j, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = phases[i].run(j, err);

		if (r < 0)
			return phases[i].name ? err_ctx(err, "%s", phases[i].name) : r;
	}
	return 0;
}

/* The middle process. */

static int prepare(struct joiner *j, struct err *err)
{
	const struct sbx_join *d = j->join;
	int keep[] = {j->sock, d->pidfd, d->seccomp, -1, -1, -1};
	int r;

	if (!d->tty)
		memcpy(keep + 3, d->stdio, sizeof(d->stdio));
	r = sbx_close_others(keep, sizeof(keep) / sizeof(keep[0]), err);
	if (r < 0)
		return r;
	/* It shows in the guest's process list for a moment. */
	if (prctl(PR_SET_NAME, "exec", 0, 0, 0) < 0)
		return err_sys(err, "cannot take a name");
	(void)umask(022);
	r = sbx_process_reset(err);
	return r < 0 ? r : sbx_seccomp_map(d->seccomp, &j->filter, err);
}

/* The ids are taken while still on the host: in the guest nothing has to change, so that there is
 * no moment in which the process belongs to a guest's user and holds more than it should. */
static int take_identity(struct joiner *j, struct err *err)
{
	const struct sbx_join *d = j->join;
	int r = sbx_process_limits(d->rlimits, err);

	return r < 0 ? r : sbx_process_identity(d->base + d->uid, d->base + d->gid, err);
}

static int enter_guest(struct joiner *j, struct err *err)
{
	int r;

	/* One call: the kernel checks all before it changes any. Root and cwd become the guest's.
	 */
	if (setns(j->join->pidfd, ALL_NAMESPACES) < 0) {
		if (errno == ESRCH)
			return err_set(err, ESRCH, "the guest has ended");
		return err_sys(err, "cannot join the guest's namespaces");
	}
	/* Credentials changed, and that may have set it to the sysctl fs.suid_dumpable. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "cannot become undumpable");
	r = sbx_process_keyring(err);
	return r < 0 ? r : sbx_caps_bound(j->join->capabilities, err);
}

static void last_main(struct joiner *j) __attribute__((noreturn));

static int give_birth(struct joiner *j, struct err *err)
{
	int pair[2], pidfd = -1;
	int r = msg_socketpair(pair, err);

	if (r < 0)
		return r;
	pid_t pid = sbx_fork(CLONE_PARENT, -1, &pidfd, err);
	if (pid == 0) {
		j->sock = pair[1];
		last_main(j);
	}
	(void)close(pair[1]);
	j->last = pair[0];
	return pid < 0 ? pid : sbx_send_born(j->sock, (uint32_t)pid, pidfd, err);
}

static int await_program(struct joiner *j, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(0, 0);
	int r;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	r = sbx_await_exec(j->last, m, err);
	if (r < 0)
		return r;
	return sbx_send(j->sock, SBX_RECORD_STARTED, m->fds, m->n_fds, err);
}

static const struct phase middle_phases[] = {
	{"preparing", prepare},
	{"taking ids", take_identity},
	{"entering the guest", enter_guest},
	{"starting a process", give_birth},
	{NULL, await_program}, /* the last process has named its phase */
};

/* The last process. */

static int keep_little(struct joiner *j, struct err *err)
{
	const struct sbx_join *d = j->join;
	int keep[] = {j->sock, -1, -1, -1};

	if (!d->tty)
		memcpy(keep + 1, d->stdio, sizeof(d->stdio));
	return sbx_close_others(keep, sizeof(keep) / sizeof(keep[0]), err);
}

static int own_session(struct joiner *j, struct err *err)
{
	const struct sbx_join *d = j->join;
	struct winsize size = {.ws_row = d->rows, .ws_col = d->cols};
	_cleanup_close_ int slave = -1;
	int r;

	if (setsid() < 0)
		return err_sys(err, "cannot start a session");
	if (!d->tty)
		return sbx_stdio(d->stdio, false, err);
	r = sbx_pty_open(AT_FDCWD, "/dev/pts/ptmx", &j->master, &slave, err);
	if (r < 0)
		return r;
	/* Asked for non-blocking so that the open could not hang; the flag is not the client's
	 * wish. */
	if (fcntl(j->master, F_SETFL, O_RDWR) < 0)
		return err_sys(err, "cannot make the terminal blocking");
	if (ioctl(slave, TIOCSWINSZ, &size) < 0)
		return err_sys(err, "cannot set the window size");
	return sbx_stdio((int[]){slave, slave, slave}, true, err);
}

/* No directory of the host is open in this process, so nothing in the guest can lead out of it; the
 * kernel's own opinion is asked all the same (getcwd(2): "(unreachable)"). */
static int change_directory(struct joiner *j, struct err *err)
{
	const char *cwd = j->join->cwd && j->join->cwd[0] ? j->join->cwd : "/";
	char buf[PATH_MAX];

	if (chdir(cwd) < 0)
		return err_sys(err, "cannot enter directory '%s' of the guest", cwd);
	if (syscall(SYS_getcwd, buf, sizeof(buf)) < 0)
		return err_sys(err, "cannot tell where '%s' of the guest is", cwd);
	if (buf[0] != '/')
		return err_set(err, EACCES, "directory '%s' is outside the guest", cwd);
	return 0;
}

/* READY goes out before the filter, the fds it carries are gone before the program runs. */
static int restrict_self(struct joiner *j, struct err *err)
{
	int r = sbx_send(j->sock, SBX_RECORD_READY, &j->master, j->master >= 0 ? 1 : 0, err);

	return r < 0 ? r : sbx_seccomp_load(&j->filter, err);
}

static const char *search_path(char *const *envp)
{
	for (; *envp; envp++)
		if (str_has_prefix(*envp, "PATH="))
			return *envp + strlen("PATH=");
	return DEFAULT_PATH;
}

/* As execvpe(3) does, in the guest and with the given environment; a denied candidate is worth more
 * than a missing one. */
static int run_program(struct joiner *j, struct err *err)
{
	const struct sbx_join *d = j->join;
	const char *name = d->argv[0], *p = search_path(d->envp);
	int code = ENOENT;
	char path[PATH_MAX];

	if (strchr(name, '/')) {
		(void)execve(name, d->argv, d->envp);
		return err_sys(err, "cannot execute '%s' in the guest", name);
	}
	while (*p) {
		size_t len = strcspn(p, ":");

		if (str_fmt(path, sizeof(path), "%.*s/%s", (int)len, len ? p : ".", name) == 0) {
			(void)execve(path, d->argv, d->envp);
			if (errno != ENOENT && errno != ENOTDIR)
				code = errno;
		}
		p += len + (p[len] == ':');
	}
	return err_set_errno(err, code, "cannot execute '%s' in the guest", name);
}

static const struct phase last_phases[] = {
	{"closing files", keep_little},
	{"starting a session", own_session},
	{"changing the directory", change_directory},
	{"restricting the process", restrict_self},
	{NULL, run_program}, /* the text says it all */
};

static void last_main(struct joiner *j)
{
	struct err err = ERR_INIT;

	(void)run_phases(last_phases, sizeof(last_phases) / sizeof(last_phases[0]), j, &err);
	sbx_send_failed(j->sock, &err);
	_exit(127);
}

static void middle_main(const struct sbx_join *d, int sock) __attribute__((noreturn));
static void middle_main(const struct sbx_join *d, int sock)
{
	struct joiner j = {.join = d, .sock = sock, .last = -1, .master = -1};
	struct err err = ERR_INIT;
	int r = run_phases(middle_phases, sizeof(middle_phases) / sizeof(middle_phases[0]), &j,
			   &err);

	if (r < 0)
		sbx_send_failed(sock, &err);
	_exit(r < 0);
}

int sbx_join_begin(const struct sbx_join *d, struct sbx_pending *ret, struct err *err)
{
	int sock = -1, pidfd = -1;
	int r = sbx_join_check(d, err);

	if (r < 0)
		return r;
	pid_t pid = sbx_helper_fork(d->cgroup, &sock, &pidfd, err);
	if (pid == 0)
		middle_main(d, sock);
	if (pid < 0)
		return pid;
	*ret = SBX_PENDING_INIT;
	ret->sock = sock;
	ret->helper = pid;
	ret->helper_pidfd = pidfd;
	return 0;
}
