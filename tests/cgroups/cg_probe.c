/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of cgroups/ as commands, for tests/integration/cgroups.bats.
 * Each command: cg_probe VERB ROOT [TENANT_ID INSTANCE_ID] [ARGS]; errors go to stderr with their
 * errno name, exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "cgroups/devices.h"
#include "cgroups/events.h"
#include "cgroups/stats.h"
#include "cgroups/tree.h"

struct call {
	struct cg_root root;
	struct cg_instance i;
	const char *tenant_id, *id;
	int argc; /* what is left */
	char **argv;
};

static uint64_t number(const struct call *c, int k, uint64_t fallback)
{
	uint64_t v = fallback;

	if (k < c->argc && str_eq(c->argv[k], "max"))
		return CG_UNLIMITED;
	if (k < c->argc && num_parse_u64(c->argv[k], 0, UINT64_MAX, &v) < 0) {
		(void)fprintf(stderr, "'%s' is no number\n", c->argv[k]);
		exit(2);
	}
	return v;
}

static void print_status(const struct cg_limit_status *s)
{
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		(void)printf("%s %s configured=%" PRId64 " actual=%" PRId64 " %s\n",
			     cg_limit_name((enum cg_limit)i), s[i].effective ? "effective" : "not",
			     (int64_t)s[i].configured, (int64_t)s[i].actual, s[i].reason);
}

/* Those of a disk are of the one under the directory $DISK. */
static void get_limits(const struct call *c, int first, struct cg_limits *l)
{
	static const enum cg_limit order[] = {
		CG_LIMIT_CPU_CORES,   CG_LIMIT_CPU_WEIGHT,     CG_LIMIT_MEMORY_MAX,
		CG_LIMIT_MEMORY_MIN,  CG_LIMIT_SWAP_MAX,       CG_LIMIT_PIDS_MAX,
		CG_LIMIT_CPU_BURST,   CG_LIMIT_MEMORY_HIGH,    CG_LIMIT_DISK_READ,
		CG_LIMIT_DISK_WRITE,  CG_LIMIT_DISK_READ_IOPS, CG_LIMIT_DISK_WRITE_IOPS,
		CG_LIMIT_DISK_WEIGHT,
	};
	static struct cg_disk disk;
	const char *dir = getenv("DISK");
	_cleanup_close_ int fd = -1;

	_Static_assert(sizeof(order) / sizeof(order[0]) == CG_LIMIT_MAX, "each once");
	cg_limits_init(l);
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		l->value[order[i]] = number(c, first + i, l->value[order[i]]);
	if (!dir)
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cg_disk_find(fd, CG_DISK_SYSFS, c->root.host.mount, &disk);
	l->disk = &disk;
}

static int do_root(struct call *c, struct err *err)
{
	(void)err;
	(void)printf("path %s\ncontrollers %s\nmount %s\noptions %s\n", c->root.path,
		     c->root.controllers, c->root.host.mount, c->root.host.options);
	return 0;
}

/* BASE LIMITS... */
static int do_create(struct call *c, struct err *err)
{
	struct cg_limit_status status[CG_LIMIT_MAX];
	struct cg_limits l;
	struct cg_instance_spec spec = {
		.tenant_id = c->tenant_id,
		.id = c->id,
		.base = (uint32_t)number(c, 0, 0),
		.limits = &l,
	};
	int r;

	get_limits(c, 1, &l);
	r = cg_instance_create(&c->root, &spec, &c->i, status, err);
	if (r == 0)
		print_status(status);
	return r;
}

/* FLAGS LIMITS... */
static int do_apply(struct call *c, struct err *err)
{
	struct cg_limit_status status[CG_LIMIT_MAX];
	struct cg_limits l;
	int r;

	get_limits(c, 1, &l);
	r = cg_instance_apply(&c->root, &c->i, &l, (unsigned)number(c, 0, 0), status, err);
	if (r == 0)
		print_status(status);
	return r;
}

static int do_tenant(struct call *c, struct err *err)
{
	struct cg_limits l;

	get_limits(c, 0, &l);
	return cg_tenant_apply(&c->root, c->tenant_id, &l, 0, NULL, err);
}

static int do_read(struct call *c, struct err *err)
{
	struct cg_limit_status status[CG_LIMIT_MAX];
	int r = cg_limits_read(c->i.fd, CG_INSTANCE_DEPTH, NULL, status, err);

	if (r == 0)
		print_status(status);
	return r;
}

/* TIMEOUT_MS [kill] */
static int do_remove(struct call *c, struct err *err)
{
	return cg_instance_remove(&c->root, c->tenant_id, c->id, c->argc > 1 ? CG_REMOVE_KILL : 0,
				  (int)number(c, 0, 0), err);
}

/* WHERE CMD...: starts a command in `guest`, or in a new leaf; prints its pid. */
static int do_spawn(struct call *c, struct err *err)
{
	_cleanup_(cg_session_done) struct cg_session s = CG_SESSION_INIT;
	int dirfd = c->i.guest, started[2];
	char byte;
	pid_t pid;

	if (str_eq(c->argv[0], "session")) {
		int r = cg_session_create(&c->i, &s, err);

		if (r < 0)
			return r;
		dirfd = s.fd;
		(void)printf("session %s %s\n", s.name, s.outside ? "outside" : "inside");
	}
	(void)fflush(stdout);
	if (pipe2(started, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0) {
		if (file_write_at(dirfd, "cgroup.procs", "0", err) < 0) {
			(void)fprintf(stderr, "%s\n", err_text(err));
			_exit(126);
		}
		for (int fd = 0; fd < 3; fd++)
			(void)dup2(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
		(void)execvp(c->argv[1], &c->argv[1]);
		_exit(127);
	}
	/* It ends with the exec: the command is where it belongs then. */
	(void)close(started[1]);
	(void)!read(started[0], &byte, 1);
	(void)close(started[0]);
	(void)printf("pid %d\n", pid);
	return 0;
}

/* NAME WHERE */
static int do_session_remove(struct call *c, struct err *err)
{
	struct cg_session s = {.outside = c->argc > 1, .fd = -1};

	(void)str_copy(s.name, sizeof(s.name), c->argv[0]);
	return cg_session_remove(&c->i, &s, err);
}

static int do_kill(struct call *c, struct err *err)
{
	int r = cg_kill(c->i.fd, err);

	return r < 0 ? r : cg_wait_empty(c->i.fd, (int)number(c, 0, 5000), err);
}

static int do_freeze(struct call *c, struct err *err)
{
	return cg_freeze(c->i.fd, (int)number(c, 0, 5000), err);
}

static int do_thaw(struct call *c, struct err *err)
{
	return cg_thaw(c->i.fd, (int)number(c, 0, 5000), err);
}

static int do_stats(struct call *c, struct err *err)
{
	_cleanup_cg_stats_reader_ struct cg_stats_reader reader = CG_STATS_READER_INIT;
	struct cg_stats s;
	int r = cg_stats_reader_open(c->i.fd, &reader, err);

	if (r == 0)
		r = cg_stats_read(&reader, &s, err);
	if (r < 0)
		return r;
	(void)printf("present %#x\nusage_usec %" PRIu64 "\nmemory %" PRIu64 "\npids %" PRIu64
		     "\noom_kill %" PRIu64 "\npopulated %d\nfrozen %d\n",
		     s.present, s.usage_usec, s.memory_current, s.pids_current, s.oom_kill,
		     s.populated, s.frozen);
	return 0;
}

static int print_found(void *arg, const struct cg_found *f, struct err *err)
{
	(void)arg;
	(void)err;
	(void)printf("%s/%s %s %s\n", f->tenant_id, f->id ? f->id : "",
		     f->valid ? "ours" : "foreign", f->populated ? "populated" : "empty");
	return 0;
}

static int do_walk(struct call *c, struct err *err)
{
	return cg_walk(&c->root, print_found, NULL, err);
}

/* FEATURES [MAJOR MINOR]... */
static int do_devices(struct call *c, struct err *err)
{
	struct cg_device_set set = {.features = (unsigned)number(c, 0, 0)};
	_cleanup_close_ int prog = -1;
	int r;

	for (int k = 1; k + 1 < c->argc && set.n < CG_DEVICES_MAX; k += 2)
		set.more[set.n++] = (struct cg_device){.major = (uint32_t)number(c, k, 0),
						       .minor = (uint32_t)number(c, k + 1, 0)};
	prog = cg_devices_load(&set, err);
	r = prog < 0 ? prog : cg_devices_attach(c->i.fd, prog, err);

	if (r < 0)
		return r;
	r = cg_devices_is_attached(c->i.fd, err);
	(void)printf("attached %d\n", r);
	return r < 0 ? r : 0;
}

/* N: creates and removes N times, prints the mean of each in microseconds. */
static int do_time(struct call *c, struct err *err)
{
	uint64_t n = number(c, 0, 100);
	int64_t spent[2] = {0, 0};
	struct timespec t[3];
	struct cg_limit_status status[CG_LIMIT_MAX];
	struct cg_limits l;
	struct cg_instance_spec spec = {
		.tenant_id = c->tenant_id, .id = c->id, .base = 1000000, .limits = &l};

	get_limits(c, 1, &l);
	for (uint64_t i = 0; i < n; i++) {
		_cleanup_cg_instance_ struct cg_instance one = CG_INSTANCE_INIT;
		int r;

		(void)clock_gettime(CLOCK_MONOTONIC, &t[0]);
		r = cg_instance_create(&c->root, &spec, &one, status, err);
		if (r < 0)
			return r;
		(void)clock_gettime(CLOCK_MONOTONIC, &t[1]);
		r = cg_instance_remove(&c->root, c->tenant_id, c->id, 0, 0, err);
		if (r < 0)
			return r;
		(void)clock_gettime(CLOCK_MONOTONIC, &t[2]);
		for (int k = 0; k < 2; k++)
			spent[k] += (t[k + 1].tv_sec - t[k].tv_sec) * 1000000 +
				    (t[k + 1].tv_nsec - t[k].tv_nsec) / 1000;
	}
	(void)printf("create %" PRId64 " us\nremove %" PRId64 " us\n", spent[0] / (int64_t)n,
		     spent[1] / (int64_t)n);
	return 0;
}

static int do_options(struct call *c, struct err *err)
{
	return cg_host_set_options(&c->root.host, err);
}

static const struct verb {
	const char *name;
	int (*run)(struct call *c, struct err *err);
	bool ids;     /* TENANT_ID INSTANCE_ID follow */
	bool running; /* the instance is opened */
	int min_args;
} verbs[] = {
	{"root", do_root, false, false, 0},
	{"options", do_options, false, false, 0},
	{"walk", do_walk, false, false, 0},
	{"create", do_create, true, false, 1},
	{"remove", do_remove, true, false, 1},
	{"tenant", do_tenant, true, false, 0},
	{"time", do_time, true, false, 1},
	{"apply", do_apply, true, true, 1},
	{"read", do_read, true, true, 0},
	{"spawn", do_spawn, true, true, 2},
	{"session-remove", do_session_remove, true, true, 1},
	{"kill", do_kill, true, true, 0},
	{"freeze", do_freeze, true, true, 0},
	{"thaw", do_thaw, true, true, 0},
	{"stats", do_stats, true, true, 0},
	{"devices", do_devices, true, true, 1},
};

static int run(const struct verb *v, struct call *c, struct err *err)
{
	/* "root ROOT REQUIRED..." */
	const char *const *required = v->run == do_root ? (const char *const *)c->argv : NULL;
	const char *path = c->tenant_id;
	int r = cg_root_open(path, required, &c->root, err);

	if (r < 0)
		return r;
	if (v->ids) {
		c->tenant_id = c->argv[0];
		c->id = c->argv[1];
		c->argv += 2;
		c->argc -= 2;
	}
	if (v->running)
		r = cg_instance_open(&c->root, c->tenant_id, c->id, &c->i, err);
	return r < 0 ? r : v->run(c, err);
}

int main(int argc, char **argv)
{
	struct call c = {.root = CG_ROOT_INIT, .i = CG_INSTANCE_INIT};
	struct err err = ERR_INIT;
	int r = -EINVAL;

	for (size_t i = 0; argc > 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!str_eq(verbs[i].name, argv[1]))
			continue;
		c.tenant_id = argv[2]; /* for the moment: ROOT */
		c.argc = argc - 3;
		c.argv = argv + 3;
		if (c.argc < verbs[i].min_args + (verbs[i].ids ? 2 : 0))
			break;
		r = run(&verbs[i], &c, &err);
		if (r < 0)
			(void)fprintf(stderr, "%s: %s\n", strerrorname_np(-r), err_text(&err));
		cg_instance_done(&c.i);
		cg_root_done(&c.root);
		return r < 0;
	}
	(void)fprintf(stderr, "usage: cg_probe VERB ROOT [TENANT_ID INSTANCE_ID] [ARGS]\n");
	return 2;
}
