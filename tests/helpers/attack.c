/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A neighbour that takes all it can get of one thing, for tests/bench/neighbour:
 * attack SECONDS DIR CGROUP KIND...
 *
 * One process for each kind (as many as CPUs for cpu, four for fsync). Says "ready" when all are at
 * work, ends with its standard input or after SECONDS, kills all it started, and prints one line of
 * JSON: how often each kind did its worst. DIR is a directory on the disk to write to, CGROUP one
 * to make cgroups in. It takes what the limits around it leave, so it must run inside limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define CHUNK (64u << 10)
#define STREAM (1u << 30)    /* a file of holes: as good as any to fill the page cache */
#define ON_DISK (8u << 20)   /* and one that must be read */
#define FLOOD (128u << 20)   /* dirty pages, then from the beginning again */
#define FILES 2000	     /* made, then removed */
#define KEYRING_PROCESS (-2) /* linux/keyctl.h */
#define SETTLE_MS 500	     /* from the first deed to "ready" */
#define READY_MS 30000	     /* an emulated machine under such a load takes its time */

/* Shared by all processes of one attack. */
struct count {
	unsigned long deeds;
	unsigned long refused;
};

struct where {
	const char *dir;
	const char *cgroup;
	unsigned number; /* of the worker among those of its kind */
};

typedef void worker(const struct where *w, struct count *c);

static void deed(struct count *c, int result)
{
	__atomic_add_fetch(result < 0 ? &c->refused : &c->deeds, 1, __ATOMIC_RELAXED);
}

static void allow_all_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void attack_cpu(const struct where *w, struct count *c)
{
	volatile unsigned sink = 0;

	(void)w;
	for (;;) {
		for (unsigned i = 0; i < 1000000; i++)
			sink += i;
		(void)sink;
		deed(c, 0);
	}
}

/* Every process becomes two until that is refused; some end, so that there is always something to
 * do. */
static void attack_fork(const struct where *w, struct count *c)
{
	unsigned seed = 1;
	pid_t pid;

	(void)w;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		pid = fork();
		deed(c, pid);
		if (pid != 0)
			continue;
		seed = seed * 1103515245u + (unsigned)getpid();
		if ((seed >> 16) % 4 == 0)
			_exit(0);
	}
}

/* Dies of it, again and again. */
static void attack_memory(const struct where *w, struct count *c)
{
	unsigned char *p;

	(void)w;
	for (;;) {
		p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		deed(c, p == MAP_FAILED ? -1 : 0);
		for (unsigned i = 0; p != MAP_FAILED && i < CHUNK; i += PAGE)
			p[i] = 1;
	}
}

/* A file of its own without a name, SIZE of it written. Never returns without one. */
static int own_file(const struct where *w, struct count *c, unsigned size)
{
	static char data[CHUNK];
	char path[4096];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/attack.%d", w->dir, (int)getpid());
	while (fd < 0) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			deed(c, -1);
	}
	unlink(path);
	memset(data, 7, sizeof(data));
	for (unsigned i = 0; i < size; i += CHUNK)
		deed(c, write(fd, data, CHUNK) < 0 ? -1 : 0);
	return fd;
}

static void attack_cache(const struct where *w, struct count *c)
{
	static char data[CHUNK];
	int disk = own_file(w, c, ON_DISK), holes = own_file(w, c, 0);

	fsync(disk);
	deed(c, ftruncate(holes, STREAM));
	for (off_t at = 0;; at += CHUNK) {
		deed(c, pread(holes, data, CHUNK, at % STREAM) < 0 ? -1 : 0);
		if (at % ON_DISK == 0)
			posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED);
		deed(c, pread(disk, data, CHUNK, at % ON_DISK) < 0 ? -1 : 0);
	}
}

static void attack_dirty(const struct where *w, struct count *c)
{
	static char data[CHUNK];
	int fd = own_file(w, c, 0);

	for (off_t at = 0;; at += CHUNK)
		deed(c, pwrite(fd, data, CHUNK, at % FLOOD) < 0 ? -1 : 0);
}

static void attack_fsync(const struct where *w, struct count *c)
{
	static char data[PAGE];
	int fd = own_file(w, c, 0);

	for (off_t at = 0;; at = (at + PAGE) % ON_DISK)
		deed(c, pwrite(fd, data, PAGE, at) < 0 || fsync(fd) < 0 ? -1 : 0);
}

static void attack_inode(const struct where *w, struct count *c)
{
	char path[4096];
	int fd;

	for (;;) {
		for (unsigned i = 0; i < 2 * FILES; i++) {
			snprintf(path, sizeof(path), "%s/inode.%u", w->dir, i % FILES);
			if (i >= FILES) {
				unlink(path);
				continue;
			}
			fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			deed(c, fd);
			if (fd >= 0)
				close(fd);
		}
	}
}

static int take_inotify(void)
{
	int fd = inotify_init1(IN_CLOEXEC);

	return fd < 0 ? fd : inotify_add_watch(fd, "/", IN_ALL_EVENTS);
}

static int take_aio(void)
{
	aio_context_t ctx = 0;

	return (int)syscall(SYS_io_setup, 128, &ctx);
}

static int take_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	return write(fds[1], fds, sizeof(fds)) < 0 ? -1 : 0;
}

static int take_pty(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int take_key(void)
{
	static unsigned n;
	char name[32];

	snprintf(name, sizeof(name), "attack%u", n++);
	return (int)syscall(SYS_add_key, "user", name, name, sizeof(name), KEYRING_PROCESS);
}

/* Objects of the kernel: each kind in a process of its own until it is refused for a while, then
 * anew. */
static void attack_objects(const struct where *w, struct count *c)
{
	static const struct {
		int (*one)(void);
		unsigned most;
	} take[] = {
		/* Each is closed after a grace period of its own: a thousand would take half a
		   minute. */
		{take_inotify, 256}, {take_aio, 20000}, {take_pipe, 20000},
		{take_pty, 20000},   {take_key, 20000},
	};
	unsigned kind = w->number % (sizeof(take) / sizeof(take[0])), refused = 0;
	int r;

	allow_all_files();
	for (unsigned i = 0; i < take[kind].most && refused < 500; i++) {
		r = take[kind].one();
		deed(c, r);
		refused += r < 0;
	}
}

static void attack_cgroup(const struct where *w, struct count *c)
{
	char path[4096];

	for (unsigned i = 0;; i++) {
		snprintf(path, sizeof(path), "%s/attack%u", w->cgroup, i % 100);
		deed(c, mkdir(path, 0755));
		if (i % 100 == 99)
			for (unsigned k = 0; k < 100; k++) {
				snprintf(path, sizeof(path), "%s/attack%u", w->cgroup, k);
				rmdir(path);
			}
	}
}

static void attack_namespace(const struct where *w, struct count *c)
{
	const int others =
		CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
	pid_t pid;
	int status;

	(void)w;
	for (;;) {
		pid = fork();
		if (pid == 0)
			_exit(unshare(others) == 0 || unshare(CLONE_NEWUSER | others) == 0 ? 0 : 1);
		status = 1;
		if (pid > 0)
			waitpid(pid, &status, 0);
		deed(c, status ? -1 : 0);
	}
}

/* PER_CPU: so many for each CPU, else so many in all. What ends or dies is started again. */
static const struct kind {
	const char *name;
	worker *work;
	unsigned workers;
	unsigned per_cpu;
} kinds[] = {
	{"cpu", attack_cpu, 0, 2},
	{"memory", attack_memory, 1, 0},
	{"cache", attack_cache, 1, 0},
	{"dirty", attack_dirty, 1, 0},
	{"fsync", attack_fsync, 4, 0},
	{"inode", attack_inode, 1, 0},
	{"objects", attack_objects, 5, 0},
	{"cgroup", attack_cgroup, 1, 0},
	{"namespace", attack_namespace, 1, 0},
	/* The last one: it takes the processes that are left. */
	{"fork", attack_fork, 1, 0},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define WORKERS 64

struct crew {
	const struct kind *kind[WORKERS];
	struct where where[WORKERS];
	pid_t pid[WORKERS];
	pid_t group; /* of all processes that do harm; 0 = none yet */
	unsigned n;
	struct count *counts; /* by kind, shared */
};

static unsigned cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

static bool hire(struct crew *crew, const char *name, const char *dir, const char *cgroup)
{
	for (size_t i = 0; i < KINDS; i++) {
		unsigned n = kinds[i].workers + kinds[i].per_cpu * cpus();

		if (strcmp(name, kinds[i].name) != 0)
			continue;
		for (unsigned k = 0; k < n && crew->n < WORKERS; k++) {
			crew->kind[crew->n] = &kinds[i];
			crew->where[crew->n++] = (struct where){dir, cgroup, k};
		}
		return true;
	}
	return false;
}

/* A worker dies with us, is the first to die of want of memory, and is in a group that can be
 * killed whole. */
static void start_worker(struct crew *crew, unsigned i)
{
	pid_t parent = getpid(), pid = fork();
	int fd;

	if (pid == 0) {
		setpgid(0, crew->group);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1000", 4) != 4)
			_exit(1);
		close(fd);
		crew->kind[i]->work(&crew->where[i], &crew->counts[crew->kind[i] - kinds]);
		_exit(0);
	}
	crew->pid[i] = pid;
	if (pid > 0) {
		setpgid(pid, crew->group);
		crew->group = crew->group ? crew->group : pid;
	}
}

/* Who died is started again; the group's leader is kept as a zombie, so that its number stays the
 * group's. */
static void start_again(struct crew *crew)
{
	siginfo_t info;

	for (unsigned i = 0; i < crew->n; i++) {
		if (crew->pid[i] > 0) {
			info.si_pid = 0;
			if (waitid(P_PID, (id_t)crew->pid[i], &info, WEXITED | WNOHANG | WNOWAIT) <
				    0 ||
			    info.si_pid == 0)
				continue;
			if (crew->pid[i] != crew->group)
				waitpid(crew->pid[i], NULL, 0);
		}
		start_worker(crew, i);
	}
}

/* Whether the kinds have all done something, or been refused. */
static bool at_work(const struct crew *crew)
{
	for (unsigned i = 0; i < crew->n; i++) {
		const struct count *c = &crew->counts[crew->kind[i] - kinds];

		if (c->deeds + c->refused == 0)
			return false;
	}
	return true;
}

static void remove_traces(const struct crew *crew)
{
	char path[4096];

	for (unsigned i = 0; i < crew->n; i++) {
		const struct where *w = &crew->where[i];

		for (unsigned k = 0; crew->kind[i]->work == attack_inode && k < FILES; k++) {
			snprintf(path, sizeof(path), "%s/inode.%u", w->dir, k);
			unlink(path);
		}
		for (unsigned k = 0; crew->kind[i]->work == attack_cgroup && k < 100; k++) {
			snprintf(path, sizeof(path), "%s/attack%u", w->cgroup, k);
			rmdir(path);
		}
	}
}

static void kill_all(const struct crew *crew)
{
	/* The kernel signals a whole group at once: no fork escapes it. */
	while (kill(-crew->group, SIGKILL) == 0) {
		while (waitpid(-crew->group, NULL, WNOHANG) > 0)
			;
		poll(NULL, 0, 20);
	}
	remove_traces(crew);
}

static void report(const struct crew *crew)
{
	const char *separator = "";

	printf("{");
	for (size_t i = 0; i < KINDS; i++) {
		if (crew->counts[i].deeds + crew->counts[i].refused == 0)
			continue;
		printf("%s\"%s\": {\"deeds\": %lu, \"refused\": %lu}", separator, kinds[i].name,
		       crew->counts[i].deeds, crew->counts[i].refused);
		separator = ", ";
	}
	printf("}\n");
}

/* Until standard input ends, or MS are over. */
static void attack(struct crew *crew, unsigned long ms)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned long since = 0, settled = 0;
	bool said = false;
	char byte;

	for (; since < ms; since += 50) {
		start_again(crew);
		if (!said && ((at_work(crew) && (settled += 50) > SETTLE_MS) || since > READY_MS)) {
			printf("ready\n");
			fflush(stdout);
			said = true;
		}
		if (poll(&in, 1, 50) > 0 && read(STDIN_FILENO, &byte, 1) <= 0)
			break;
	}
}

int main(int argc, char **argv)
{
	struct crew crew = {.n = 0};
	unsigned long seconds = argc > 4 ? strtoul(argv[1], NULL, 10) : 0;

	for (int i = 4; i < argc; i++)
		if (!hire(&crew, argv[i], argv[2], argv[3]))
			seconds = 0;
	if (seconds == 0) {
		fprintf(stderr, "usage: attack SECONDS DIR CGROUP KIND...\n");
		return 2;
	}
	crew.counts = mmap(NULL, sizeof(struct count[KINDS]), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew.counts == MAP_FAILED)
		return 1;
	attack(&crew, seconds * 1000);
	kill_all(&crew);
	report(&crew);
	return 0;
}
