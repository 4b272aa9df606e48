/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a customer would notice of a neighbour, for tests/bench/neighbour: runs small operations of
 * one kind one after the other for a while and says how many there were and how long they took.
 *	probe MILLISECONDS DIR KIND...
 * For each kind one line of JSON on stdout. DIR is on the disk to be measured; the files made there
 * are removed. Exits with 0 only if no operation failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES (1u << 20)
#define PAGE 4096u
#define RESIDENT (4u << 20) /* pages in use all the time ... */
#define FRESH (128u << 10)  /* ... and those asked for by each operation */
#define FILE_SIZE (2u << 20)
#define SPIN 20000u
#define PERIOD_NS 1000000u

struct run {
	int file, direct;
	uint64_t seed;
	unsigned char *resident;
	unsigned char *block; /* one page, aligned */
	uint64_t due;	      /* next wake-up, ns */
};

/* Takes the time to report in *NS where it is not that of the whole operation. Negative errno. */
typedef int operation(struct run *r, uint64_t *ns);

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(struct run *r)
{
	r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
	return r->seed >> 33;
}

static int op_cpu(struct run *r, uint64_t *ns)
{
	volatile uint64_t sink;

	(void)ns;
	for (unsigned i = 0; i < SPIN; i++)
		sink = next_random(r);
	(void)sink;
	return 0;
}

static int op_memory(struct run *r, uint64_t *ns)
{
	unsigned char *fresh;

	(void)ns;
	fresh = mmap(NULL, FRESH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < FRESH; i += PAGE)
		fresh[i] = 1;
	munmap(fresh, FRESH);
	for (unsigned i = 0; i < 64; i++)
		r->resident[next_random(r) % RESIDENT]++;
	return 0;
}

static int op_fork(struct run *r, uint64_t *ns)
{
	int status = 0;
	pid_t pid = fork();

	(void)r;
	(void)ns;
	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(7);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : -ECHILD;
}

/* Written and synced, then read past the cache from another place. */
static int op_disk(struct run *r, uint64_t *ns)
{
	off_t at = (off_t)(next_random(r) % (FILE_SIZE / PAGE) * PAGE);
	ssize_t n;

	(void)ns;
	memset(r->block, (int)r->seed, PAGE);
	n = pwrite(r->file, r->block, PAGE, at);
	if (n != PAGE)
		return n < 0 ? -errno : -EIO;
	if (fsync(r->file) < 0)
		return -errno;
	at = (off_t)(next_random(r) % (FILE_SIZE / PAGE) * PAGE);
	n = pread(r->direct, r->block, PAGE, at);
	if (n != PAGE)
		return n < 0 ? -errno : -EIO;
	return 0;
}

/* How late the timer wakes it up. */
static int op_latency(struct run *r, uint64_t *ns)
{
	struct timespec t;
	uint64_t now = now_ns();
	int e;

	r->due += PERIOD_NS;
	if (r->due < now)
		r->due = now + PERIOD_NS;
	t.tv_sec = (time_t)(r->due / 1000000000u);
	t.tv_nsec = (long)(r->due % 1000000000u);
	do
		e = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	while (e == EINTR);
	now = now_ns();
	*ns = now > r->due ? now - r->due : 0;
	return -e;
}

static const struct {
	const char *name;
	operation *op;
} kinds[] = {
	{"cpu", op_cpu},   {"memory", op_memory},   {"fork", op_fork},
	{"disk", op_disk}, {"latency", op_latency},
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* In tenths of a microsecond. */
static uint32_t quantile(const uint32_t *sorted, unsigned n, unsigned percent)
{
	return n ? sorted[(uint64_t)(n - 1) * percent / 100] : 0;
}

static unsigned measure(struct run *r, const char *name, operation *op, uint64_t duration_ns)
{
	static uint32_t samples[MAX_SAMPLES];
	uint64_t start = now_ns(), end = start + duration_ns, before = start, after, ns;
	unsigned n = 0, errors = 0, first_error = 0;
	int e;

	r->due = start;
	do {
		ns = UINT64_MAX;
		e = op(r, &ns);
		after = now_ns();
		if (e < 0) {
			errors++;
			first_error = first_error ? first_error : (unsigned)-e;
		} else if (n < MAX_SAMPLES) {
			ns = ns == UINT64_MAX ? after - before : ns;
			samples[n++] = ns / 100 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 100);
		}
		before = after;
	} while (after < end);
	qsort(samples, n, sizeof(samples[0]), compare);
	printf("{\"probe\": \"%s\", \"ops\": %u, \"per_second\": %.2f, \"p50_usec\": %.1f, "
	       "\"p99_usec\": %.1f, \"max_usec\": %.1f, \"errors\": %u, \"error\": \"%s\"}\n",
	       name, n, n * 1e9 / (double)(after - start), quantile(samples, n, 50) / 10.0,
	       quantile(samples, n, 99) / 10.0, quantile(samples, n, 100) / 10.0, errors,
	       errors ? strerror((int)first_error) : "");
	fflush(stdout);
	return errors;
}

/* The files of the disk probe, without a name from the start. */
static int open_files(struct run *r, const char *dir)
{
	char path[4096], zeros[PAGE] = {0};

	if (snprintf(path, sizeof(path), "%s/probe.%d", dir, (int)getpid()) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->file < 0)
		return -errno;
	r->direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	unlink(path);
	if (r->direct < 0)
		return -errno;
	for (unsigned i = 0; i < FILE_SIZE; i += PAGE)
		if (write(r->file, zeros, PAGE) != PAGE)
			return -EIO;
	return fsync(r->file) < 0 ? -errno : 0;
}

static int prepare(struct run *r, const char *dir)
{
	int e;

	r->seed = (uint64_t)getpid();
	r->block = aligned_alloc(PAGE, PAGE);
	r->resident =
		mmap(NULL, RESIDENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!r->block || r->resident == MAP_FAILED)
		return -ENOMEM;
	memset(r->resident, 1, RESIDENT);
	e = open_files(r, dir);
	if (e < 0)
		fprintf(stderr, "probe: cannot make a file in '%s': %s\n", dir, strerror(-e));
	return e;
}

static operation *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].op;
	return NULL;
}

int main(int argc, char **argv)
{
	struct run r = {.file = -1, .direct = -1};
	unsigned long ms = argc > 3 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned errors = 0;

	for (int i = 3; i < argc; i++)
		if (!find_kind(argv[i]))
			ms = 0;
	if (ms == 0) {
		fprintf(stderr, "usage: probe MILLISECONDS DIR cpu|memory|fork|disk|latency...\n");
		return 2;
	}
	if (prepare(&r, argv[2]) < 0)
		return 1;
	for (int i = 3; i < argc; i++)
		errors += measure(&r, argv[i], find_kind(argv[i]), ms * 1000000);
	return errors ? 1 : 0;
}
