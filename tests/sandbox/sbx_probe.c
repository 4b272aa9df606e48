/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox by itself, without keeper and daemon, for tests: launches a guest from a directory
 * and stays its parent, joins programs to it, measures launches. See usage().
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "runtime/sandbox/sandbox.h"
#include "tests/sandbox/gate_side.h"

struct options {
	const char *cgroup, *upper, *seccomp, *hostname, *cwd, *gate;
	const char *lower[SBX_LAYERS_MAX];
	unsigned n_lower;
	uint64_t base, features, uid, timeout_ms, fsize;
	bool tty;
	char *envp[SBX_ARGS_MAX + 1];
	unsigned n_env;
	struct sbx_file files[SBX_FILES_MAX];
	unsigned n_files;
};

static void usage(void)
{
	fputs("usage: sbx_probe [OPTIONS] run ROOT INIT [ARGUMENT...]\n"
	      "       sbx_probe [OPTIONS] exec PID PROGRAM [ARGUMENT...]\n"
	      "       sbx_probe [OPTIONS] bench COUNT ROOT INIT [ARGUMENT...]\n"
	      "  --cgroup DIR    cgroup v2 directory of the guest, or of the session\n"
	      "  --base ID       first id on the host (default 1000000)\n"
	      "  --upper DIR     ROOT is the image of an overlay; DIR holds 'upper' and 'work'\n"
	      "  --lower DIR     one more image layer below ROOT\n"
	      "  --features N    enum sbx_features\n"
	      "  --seccomp FILE  struct sock_filter[]\n"
	      "  --write PATH=TEXT, --remove PATH=TEXT  a file in the guest's root; \"\\n\" is a "
	      "new line\n" GATE_USAGE
	      "  --hostname NAME --env NAME=VALUE --cwd DIR --uid N --tty --timeout MS "
	      "--fsize BYTES\n",
	      stderr);
	exit(125);
}

static void die(const struct err *err)
{
	fprintf(stderr, "sbx_probe: %s (errno %d)\n", err_text(err), err->code);
	exit(err->code == ENOENT ? 127 : err->code == EACCES ? 126 : 125);
}

static void die_sys(const char *what)
{
	fprintf(stderr, "sbx_probe: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int clone_tree(const char *path)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		die_sys(path);
	return fd;
}

static int open_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die_sys(path);
	return fd;
}

static void describe(const struct options *o, const char *root, char **argv, struct sbx_launch *l)
{
	sbx_launch_init(l);
	snprintf(l->id, sizeof(l->id), "0123456789abcdef");
	l->base = (uint32_t)o->base;
	l->hostname = o->hostname ? o->hostname : "probe";
	l->argv = argv;
	l->envp = o->envp;
	l->features = (unsigned)o->features;
	l->cgroup = open_path(o->cgroup, O_RDONLY | O_DIRECTORY);
	if (o->seccomp)
		l->seccomp = open_path(o->seccomp, O_RDONLY);
	if (o->fsize)
		l->rlimits[RLIMIT_FSIZE] = (struct rlimit){o->fsize, o->fsize};
	memcpy(l->files, o->files, sizeof(l->files));
	l->n_files = o->n_files;
	if (!o->upper) {
		l->rootfs_plain = clone_tree(root);
		return;
	}
	l->upper = clone_tree(o->upper);
	l->layers[l->n_layers++] = clone_tree(root);
	for (unsigned i = 0; i < o->n_lower; i++)
		l->layers[l->n_layers++] = clone_tree(o->lower[i]);
}

/* Waits for the outcome; -ETIMEDOUT after the limit. finish is one of the two finish functions. */
static int await(struct sbx_pending *p, int timeout_ms, struct sbx_started *s, struct sbx_joined *j,
		 struct err *err)
{
	struct pollfd pfd = {.fd = p->sock, .events = POLLIN};
	int r;

	do {
		if (poll(&pfd, 1, timeout_ms) == 0)
			return err_set(err, ETIMEDOUT, "no report in time");
		r = s ? sbx_spawn_finish(p, s, err) : sbx_join_finish(p, j, err);
	} while (r == -EAGAIN);
	return r;
}

/* Reaps the helper and, after a failure, the child. */
static void settle(struct sbx_pending *p, bool failed)
{
	pid_t helper = p->helper, child = p->child;

	sbx_pending_done(p);
	(void)waitpid(helper, NULL, __WALL);
	if (failed && child > 0)
		(void)waitpid(child, NULL, __WALL);
}

/* Copies what is there; false at the end of the stream. */
static bool copy(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		return errno == EAGAIN;
	return n > 0 && write(to, buf, (size_t)n) == n;
}

static int status_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(const struct options *o, char **argv)
{
	struct sbx_pending p;
	struct sbx_started s;
	struct sbx_launch l;
	struct err err = ERR_INIT;
	int status;

	describe(o, argv[0], argv + 1, &l);
	if (o->gate)
		gate_fork(o->gate, 1, &l.gate);
	if (sbx_enter_small_root(&err) < 0 || sbx_spawn_begin(&l, &p, &err) < 0)
		die(&err);
	sbx_launch_close(&l);
	int r = await(&p, (int)o->timeout_ms, &s, NULL, &err);
	settle(&p, r < 0);
	if (r < 0)
		die(&err);
	if (s.warning[0])
		dprintf(2, "warning: %s\n", s.warning);
	dprintf(2, "started %d\n", s.pid);
	for (;;) {
		struct pollfd fds[] = {
			{.fd = s.pidfd, .events = POLLIN},
			{.fd = s.console, .events = POLLIN},
			{.fd = s.notify, .events = POLLIN},
			{.fd = 0, .events = POLLIN},
		};
		static bool input = true;

		if (poll(fds, input ? 4 : 3, -1) < 0)
			die_sys("poll");
		if (fds[1].revents)
			(void)copy(s.console, 1);
		if (fds[2].revents) {
			dprintf(2, "notify ");
			(void)copy(s.notify, 2);
			dprintf(2, "\n");
		}
		if (input && fds[3].revents)
			input = copy(0, s.console);
		if (fds[0].revents && !(fds[1].revents & POLLIN))
			break;
	}
	if (waitpid(s.pid, &status, __WALL) != s.pid)
		die_sys("waitpid");
	dprintf(2, "ended %s %d\n", WIFSIGNALED(status) ? "signal" : "exit",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	sbx_started_done(&s);
	return status_code(status);
}

static int relay(const struct sbx_joined *j)
{
	bool input = true;
	int status;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = j->master, .events = POLLIN},
			{.fd = j->pidfd, .events = POLLIN},
			{.fd = 0, .events = POLLIN},
		};

		if (poll(fds, input ? 3 : 2, -1) < 0)
			die_sys("poll");
		if (fds[0].revents && !copy(j->master, 1))
			break;
		if (input && fds[2].revents)
			input = copy(0, j->master);
		if (!fds[0].revents && fds[1].revents)
			break;
	}
	return waitpid(j->pid, &status, __WALL) == j->pid ? status_code(status) : 125;
}

static int join_guest(const struct options *o, char **argv)
{
	struct sbx_launch defaults;
	struct sbx_pending p;
	struct sbx_joined j;
	struct err err = ERR_INIT;
	uint64_t pid;
	int status;

	if (num_parse_u64(argv[0], 1, INT32_MAX, &pid) < 0)
		usage();
	sbx_launch_init(&defaults);
	struct sbx_join d = {
		.pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0),
		.base = (uint32_t)o->base,
		.cgroup = open_path(o->cgroup, O_RDONLY | O_DIRECTORY),
		.argv = argv + 1,
		.envp = (char *const *)o->envp,
		.cwd = o->cwd,
		.uid = (uint32_t)o->uid,
		.gid = (uint32_t)o->uid,
		.capabilities = defaults.capabilities,
		.seccomp = o->seccomp ? open_path(o->seccomp, O_RDONLY) : -1,
		.tty = o->tty,
		.rows = 33,
		.cols = 77,
		.stdio = {0, 1, 2},
	};
	memcpy(d.rlimits, defaults.rlimits, sizeof(d.rlimits));
	if (d.pidfd < 0)
		die_sys(argv[0]);
	if (sbx_join_begin(&d, &p, &err) < 0)
		die(&err);
	int r = await(&p, (int)o->timeout_ms, NULL, &j, &err);
	settle(&p, r < 0);
	if (r < 0)
		die(&err);
	if (o->tty)
		return relay(&j);
	return waitpid(j.pid, &status, __WALL) == j.pid ? status_code(status) : 125;
}

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int bench(const struct options *o, char **argv)
{
	static struct sbx_launch l[1000];
	static uint64_t us[1000];
	static int gates[1000];
	struct err err = ERR_INIT;
	uint64_t n;

	if (num_parse_u64(argv[0], 1, 1000, &n) < 0 || !argv[1] || !argv[2])
		usage();
	for (unsigned i = 0; i < n; i++)
		describe(o, argv[1], argv + 2, &l[i]);
	if (o->gate)
		gate_fork(o->gate, (unsigned)n, gates);
	for (unsigned i = 0; o->gate && i < n; i++)
		l[i].gate = gates[i];
	if (sbx_enter_small_root(&err) < 0)
		die(&err);
	for (unsigned i = 0; i < n; i++) {
		struct sbx_pending p;
		struct sbx_started s;
		uint64_t begin = now_us();

		if (sbx_spawn_begin(&l[i], &p, &err) < 0)
			die(&err);
		int r = await(&p, 10000, &s, NULL, &err);
		us[i] = now_us() - begin;
		sbx_launch_close(&l[i]);
		settle(&p, r < 0);
		if (r < 0)
			die(&err);
		(void)syscall(SYS_pidfd_send_signal, s.pidfd, SIGKILL, NULL, 0);
		(void)waitpid(s.pid, NULL, __WALL);
		sbx_started_done(&s);
	}
	qsort(us, n, sizeof(us[0]), by_value);
	printf("launches %llu p50 %llu us p90 %llu us max %llu us\n", (unsigned long long)n,
	       (unsigned long long)us[n / 2], (unsigned long long)us[n * 9 / 10],
	       (unsigned long long)us[n - 1]);
	return 0;
}

/* "PATH=TEXT" */
static void add_file(struct options *o, char *text, enum sbx_file_rule rule)
{
	char *value = strchr(text, '='), *p;

	if (!value || o->n_files >= SBX_FILES_MAX)
		usage();
	*value++ = '\0';
	while ((p = strstr(value, "\\n"))) {
		*p = '\n';
		memmove(p + 1, p + 2, strlen(p + 2) + 1);
	}
	o->files[o->n_files++] = (struct sbx_file){text, value, 0644, rule};
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"cgroup", 1, NULL, 'c'},   {"base", 1, NULL, 'b'},	{"upper", 1, NULL, 'u'},
		{"lower", 1, NULL, 'l'},    {"features", 1, NULL, 'f'}, {"seccomp", 1, NULL, 's'},
		{"hostname", 1, NULL, 'h'}, {"env", 1, NULL, 'e'},	{"cwd", 1, NULL, 'd'},
		{"uid", 1, NULL, 'i'},	    {"tty", 0, NULL, 't'},	{"timeout", 1, NULL, 'w'},
		{"gate", 1, NULL, 'g'},	    {"write", 1, NULL, 'W'},	{"remove", 1, NULL, 'R'},
		{"fsize", 1, NULL, 'F'},    {NULL, 0, NULL, 0},
	};
	struct options o = {.base = 1000000, .timeout_ms = 10000};
	int c;

	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		uint64_t number = 0;

		if (strchr("bfiwF", c) && num_parse_u64(optarg, 0, UINT32_MAX, &number) < 0)
			usage();
		switch (c) {
		case 'c':
			o.cgroup = optarg;
			break;
		case 'b':
			o.base = number;
			break;
		case 'u':
			o.upper = optarg;
			break;
		case 'l':
			if (o.n_lower >= SBX_LAYERS_MAX - 1)
				usage();
			o.lower[o.n_lower++] = optarg;
			break;
		case 'f':
			o.features = number;
			break;
		case 's':
			o.seccomp = optarg;
			break;
		case 'h':
			o.hostname = optarg;
			break;
		case 'e':
			if (o.n_env >= SBX_ARGS_MAX)
				usage();
			o.envp[o.n_env++] = optarg;
			break;
		case 'd':
			o.cwd = optarg;
			break;
		case 'i':
			o.uid = number;
			break;
		case 't':
			o.tty = true;
			break;
		case 'w':
			o.timeout_ms = number;
			break;
		case 'F':
			o.fsize = number;
			break;
		case 'g':
			o.gate = optarg;
			break;
		case 'W':
			add_file(&o, optarg, SBX_FILE_WRITE);
			break;
		case 'R':
			add_file(&o, optarg, SBX_FILE_REMOVE);
			break;
		default:
			usage();
		}
	}
	argv += optind;
	if (argc - optind < 3 || !o.cgroup)
		usage();
	if (!strcmp(argv[0], "run"))
		return run(&o, argv + 1);
	if (!strcmp(argv[0], "exec"))
		return join_guest(&o, argv + 1);
	if (!strcmp(argv[0], "bench"))
		return bench(&o, argv + 1);
	usage();
	return 125;
}
