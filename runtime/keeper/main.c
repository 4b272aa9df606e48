/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vps-keeper: the parent of every guest's init and of every exec session on this host. It outlives
 * vpsd, which is its only client, and upgrades of it. See proto.h for what it is asked, keeper.h
 * for how it is built.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/keeper/keeper.h"

#define FDS_WANTED 1048576u
#define OOM_SCORE_ADJ "-900"
#define PROGRAM_MAX (64u << 20)

static const char usage[] = "usage: vps-keeper --socket PATH [--foreground] [--log-level LEVEL]\n"
			    "LEVEL is error, warning, info or debug.\n";

struct options {
	const char *socket;
	bool is_foreground;
	enum log_level level;
};

/* 0, or an exit code + 1. */
static int read_options(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"socket", required_argument, NULL, 's'},    {"foreground", no_argument, NULL, 'f'},
		{"log-level", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	     {NULL, 0, NULL, 0},
	};
	int c;

	*ret = (struct options){.level = LOG_LEVEL_INFO};
	while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		int level = c == 'l' ? log_level_from_string(optarg) : 0;

		if (c == 's') {
			ret->socket = optarg;
		} else if (c == 'f') {
			ret->is_foreground = true;
		} else if (c == 'l' && level >= 0) {
			ret->level = (enum log_level)level;
		} else if (c == 'h') {
			(void)fputs(usage, stdout);
			return 1;
		} else if (c == 'V') {
			(void)puts("vps-keeper " VPS_VERSION);
			return 1;
		} else {
			(void)fputs(usage, stderr);
			return 3;
		}
	}
	if (!ret->socket || optind < argc) {
		(void)fputs(usage, stderr);
		return 3;
	}
	return 0;
}

/* Whoever started this process may have blocked or ignored signals: both survive an exec. */
static int reset_signals(struct err *err)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) {
		const struct sigaction action = {
			.sa_handler = sig == SIGPIPE ? SIG_IGN : SIG_DFL,
		};

		/* SIGKILL, SIGSTOP and those of libc cannot be set. */
		(void)sigaction(sig, &action, NULL);
	}
	(void)sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_sys(err, "cannot reset signals");
	return 0;
}

static int watch_signals(struct keeper *k, struct err *err)
{
	_cleanup_close_ int fd = -1;
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, "cannot block signals");
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "cannot receive signals");
	r = source_add(k, &k->signals, SOURCE_SIGNALS, fd, EPOLLIN, err);
	if (r == 0)
		(void)take_fd(&fd);
	return r;
}

/* The lock tells a living keeper's socket from one that was left behind. It is held by this fd
 * until the process ends. */
static int take_lock(const char *socket_path, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];

	if (str_fmt(path, sizeof(path), "%s.lock", socket_path) < 0)
		return err_set(err, ENAMETOOLONG, "socket path '%s' is too long", socket_path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return err_set(err, EBUSY, "another vps-keeper runs at '%s'", socket_path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_sys(err, "cannot lock '%s'", path);
	return take_fd(&fd);
}

/* Whoever is in the background now is not this process's business; the lock is. */
static int listen_at(struct keeper *k, const char *path, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t before;
	int r;

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0)
		return err_set(err, ENAMETOOLONG, "socket path '%s' is too long", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove the old socket '%s'", path);
	before = umask(0177);
	r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
	(void)umask(before);
	if (r < 0)
		return err_sys(err, "cannot make the socket '%s'", path);
	if (listen(fd, 16) < 0)
		return err_sys(err, "cannot listen at '%s'", path);
	r = source_add(k, &k->listen, SOURCE_LISTEN, fd, EPOLLIN, err);
	if (r == 0)
		(void)take_fd(&fd);
	return r;
}

/* A terminal is given up for good; a log file or a journal stays. */
static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (null < 0)
		return;
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	if (isatty(STDERR_FILENO))
		(void)dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		(void)close(null);
}

static void settle(void)
{
	struct rlimit fds = {FDS_WANTED, FDS_WANTED};
	struct rlimit have;
	struct err e = ERR_INIT;

	if (setrlimit(RLIMIT_NOFILE, &fds) < 0 && getrlimit(RLIMIT_NOFILE, &have) == 0) {
		have.rlim_cur = have.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &have);
	}
	if (file_write_at(AT_FDCWD, "/proc/self/oom_score_adj", OOM_SCORE_ADJ, &e) < 0)
		log_warning("not protected from the OOM killer: %s", err_text(&e));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		log_warning("cannot become undumpable");
}

/* sd_notify(3), as far as it is needed: NOTIFY_SOCKET is a path, or abstract ("@"). Connected
 * before the host's paths are given up; -1 = nobody wants to know. */
static int notify_open(void)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;

	if (!path || (path[0] != '/' && path[0] != '@') ||
	    str_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0)
		return -1;
	len = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, (socklen_t)len) < 0)
		return -1;
	return take_fd(&fd);
}

static void notify_ready(int fd)
{
	char text[64];

	if (fd < 0)
		return;
	if (str_fmt(text, sizeof(text), "READY=1\nMAINPID=%d", (int)getpid()) == 0)
		(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
	(void)close(fd);
}

static int setup(struct keeper *k, const struct options *o, struct err *err)
{
	int r = keeper_init(k, err);

	if (r == 0)
		r = watch_signals(k, err);
	if (r == 0)
		r = listen_at(k, o->socket, err);
	if (r < 0)
		return r;
	settle();
	r = sbx_enter_small_root(err);
	if (r == 0 && chdir("/") < 0)
		r = err_sys(err, "cannot enter '/'");
	return r;
}

static int fail(const struct err *e)
{
	log_error("%s", err_text(e));
	return EXIT_FAILURE;
}

/* 'ready': the parent waits for a byte on it; -1 = none waits. */
static int serve(const struct options *o, int ready)
{
	struct err e = ERR_INIT;
	struct keeper k;
	int notify = notify_open();

	(void)unsetenv("NOTIFY_SOCKET");
	if (setup(&k, o, &e) < 0)
		return fail(&e);
	log_info("version %s listens at '%s'", VPS_VERSION, o->socket);
	notify_ready(notify);
	if (ready >= 0) {
		(void)!write(ready, "", 1);
		(void)close(ready);
	}
	return keeper_run(&k, &e) < 0 ? fail(&e) : EXIT_SUCCESS;
}

/* The parent ends when the child is ready or has failed, which it says itself. */
static int go_to_background(int *ret_ready, struct err *err)
{
	int pair[2];
	char byte;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0) {
		(void)close(pair[0]);
		(void)setsid();
		leave_terminal();
		*ret_ready = pair[1];
		return 0;
	}
	(void)close(pair[1]);
	_exit(read(pair[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/*
 * A guest's init may be "#!/proc/self/exe": executed by a process that was forked here, that is
 * this very program. What is not for others to execute is refused then; a file that is (mode 0755,
 * say) is left for a copy that only root can, and that nobody can change.
 */
static int leave_file(char **argv, struct err *err)
{
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = -1;
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;
	int r;

	(void)prctl(PR_SET_NAME, "vps-keeper", 0, 0, 0);
	if (file < 0 || fstat(file, &st) < 0)
		return err_sys(err, "cannot examine its own program");
	if ((st.st_mode & (S_IXGRP | S_IXOTH)) == 0)
		return 0;
	r = file_read_fd(file, PROGRAM_MAX, &data, &len, err);
	if (r < 0)
		return r;
	copy = file_memfd("vps-keeper", data, len, err);
	if (copy < 0)
		return copy;
	if (fchmod(copy, 0500) < 0)
		return err_sys(err, "cannot hide its own program");
	(void)fexecve(copy, argv, environ);
	return err_sys(err, "cannot execute a copy of its own program");
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct options o;
	int ready = -1;
	int r = read_options(argc, argv, &o);

	if (r > 0)
		return r - 1;
	log_init("vps-keeper", o.level);
	if (leave_file(argv, &e) < 0) {
		log_warning("guests can execute this program: %s; give its file mode 0700",
			    err_text(&e));
		e = ERR_INIT;
	}
	r = reset_signals(&e);
	if (r == 0)
		r = take_lock(o.socket, &e);
	if (r >= 0 && !o.is_foreground)
		r = go_to_background(&ready, &e);
	return r < 0 ? fail(&e) : serve(&o, ready);
}
