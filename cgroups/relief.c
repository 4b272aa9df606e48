/* SPDX-License-Identifier: Apache-2.0 */
/* Killing one process of a cgroup, and reclaiming from it. */
#include "cgroups/relief.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "base/pidref.h"
#include "base/str.h"
#include "cgroups/limits.h"
#include "cgroups/names.h"
#include "cgroups/tree.h"

#define TRIES 5			 /* victims that ended by themselves meanwhile */
#define RECLAIM_STEP (16u << 20) /* bytes; between two of them a signal is heard */
#define STATUS_TEXT 4096

/* "VmRSS:\t    1234 kB" in bytes; 0 when there is no such line. */
static uint64_t status_bytes(const char *status, const char *key)
{
	const char *line = strstr(status, key), *end;
	uint64_t kib;

	if (!line)
		return 0;
	line += strlen(key);
	line += strspn(line, "\t ");
	return num_scan_u64(line, &end, &kib) < 0 || kib > UINT64_MAX >> 12 ? 0 : kib << 10;
}

uint64_t cg_victim_points(const char *status, int64_t oom_score_adj, uint64_t limit,
			  uint64_t *ret_bytes)
{
	uint64_t bytes = status_bytes(status, "\nVmRSS:") + status_bytes(status, "\nVmSwap:") +
			 status_bytes(status, "\nVmPTE:");
	int64_t adjust, points;

	*ret_bytes = bytes;
	if (bytes == 0 || bytes > INT64_MAX / 2 || oom_score_adj <= -1000 || oom_score_adj > 1000)
		return 0;
	adjust = (int64_t)(limit < INT64_MAX / 2 ? limit : 0) / 1000 * oom_score_adj;
	points = (int64_t)bytes + adjust;
	return points > 0 ? (uint64_t)points : 1;
}

struct search {
	pid_t init;
	uint64_t limit;
	uint64_t points; /* of the best so far; 0 = none */
	struct cg_victim best;
};

static void read_name(const char *status, char dst[sizeof(((struct cg_victim *)NULL)->name)])
{
	static const char key[] = "Name:\t";
	char name[64] = "";

	if (str_has_prefix(status, key))
		(void)str_fmt(name, sizeof(name), "%.*s", (int)strcspn(status + 6, "\n"),
			      status + 6);
	str_escape(dst, sizeof(((struct cg_victim *)NULL)->name), name);
}

/* Processes that go meanwhile are no error, and no victims. */
static int look_at(void *arg, pid_t pid, struct err *err)
{
	struct search *s = arg;
	char path[48], status[STATUS_TEXT] = "", adj_text[NUM_TEXT] = "";
	struct cg_victim v = {.pid = pid};
	uint64_t points;
	int64_t adj;

	(void)err;
	if (pid == s->init || pid <= 1)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	if (file_read_short_at(AT_FDCWD, path, adj_text, sizeof(adj_text), NULL) < 0 ||
	    num_parse_i64(adj_text, -1000, 1000, &adj) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (file_read_short_at(AT_FDCWD, path, status, sizeof(status), NULL) < 0)
		return 0;
	points = cg_victim_points(status, adj, s->limit, &v.bytes);
	if (points <= s->points)
		return 0;
	read_name(status, v.name);
	s->points = points;
	s->best = v;
	return 0;
}

struct sighting {
	pid_t pid;
	bool is_there;
};

static int is_it(void *arg, pid_t pid, struct err *err)
{
	struct sighting *s = arg;

	(void)err;
	s->is_there |= pid == s->pid;
	return 0;
}

/* What was read by number may have been of a process that is gone. The pidfd pins one process: when
 * the cgroup lists its number afterwards, and it can still be signalled then, the number was its
 * own all the time, so it is this process that lives in the cgroup. */
static int kill_pinned(int dirfd, pid_t pid, struct err *err)
{
	_cleanup_pidref_ struct pidref p = PIDREF_INIT;
	struct sighting s = {.pid = pid};
	int r = pidref_open(pid, &p, err);

	if (r >= 0)
		r = cg_procs_walk(dirfd, is_it, &s, err);
	if (r < 0)
		return r;
	return s.is_there ? pidref_signal(&p, SIGKILL, err)
			  : err_set(err, ESRCH, "process %d has left", (int)pid);
}

int cg_victim_kill(int dirfd, pid_t init, struct cg_victim *ret, struct err *err)
{
	uint64_t limit = CG_UNLIMITED;
	int r = -ESRCH;

	(void)cg_limit_get(dirfd, CG_LIMIT_MEMORY_MAX, &limit, NULL);
	for (int i = 0; r == -ESRCH && i < TRIES; i++) {
		struct search s = {.init = init, .limit = limit};

		r = cg_procs_walk(dirfd, look_at, &s, err);
		if (r < 0)
			return r;
		if (s.points == 0)
			return err_set(err, ESRCH, "nothing but the init lives there");
		r = kill_pinned(dirfd, s.best.pid, err);
		*ret = s.best;
	}
	if (r >= 0)
		cg_err_clear(err);
	return r;
}

static int read_current(int dirfd, uint64_t *ret, struct err *err)
{
	char text[NUM_TEXT] = "";
	ssize_t n = file_read_short_at(dirfd, "memory.current", text, sizeof(text), err);

	if (n < 0)
		return (int)n;
	return num_parse_u64(text, 0, UINT64_MAX, ret) < 0
		       ? err_set(err, EBADMSG, "cannot understand 'memory.current'")
		       : 0;
}

int cg_reclaim(int dirfd, uint64_t bytes, bool (*is_over)(void), uint64_t *ret_bytes,
	       struct err *err)
{
	uint64_t before, after;
	int r = read_current(dirfd, &before, err);

	for (uint64_t done = 0; r >= 0 && done < bytes && !(is_over && is_over());
	     done += RECLAIM_STEP) {
		uint64_t step = bytes - done < RECLAIM_STEP ? bytes - done : RECLAIM_STEP;
		char text[NUM_TEXT];

		(void)str_fmt(text, sizeof(text), "%llu", (unsigned long long)step);
		r = file_write_at(dirfd, "memory.reclaim", text, err);
		/* Less than asked for: there is nothing more to have (mm/memcontrol.c). */
		if (r == -EAGAIN || r == -EINTR) {
			cg_err_clear(err);
			r = 0;
			break;
		}
		if (r == -ENOENT)
			return err_set(err, EOPNOTSUPP, "this kernel has no 'memory.reclaim'");
	}
	if (r >= 0)
		r = read_current(dirfd, &after, err);
	if (r < 0)
		return r;
	*ret_bytes = after < before ? before - after : 0;
	return 0;
}
