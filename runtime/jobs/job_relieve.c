/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vps-job relieve: gets memory back from a guest that is stuck at its limit. A job, because reading
 * about thousands of processes and reclaiming gigabytes take their time.
 */
#include <stddef.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/pidref.h"
#include "cgroups/relief.h"
#include "runtime/jobs/job.h"

struct options {
	const char *cgroup;
	uint64_t init, start, reclaim;
};

static const struct job_opt rows[] = {
	{"--cgroup", JOB_OPT_PATH, true, offsetof(struct options, cgroup), 0, 0},
	{"--init", JOB_OPT_U64, true, offsetof(struct options, init), 2, INT32_MAX},
	{"--start", JOB_OPT_U64, true, offsetof(struct options, start), 1, UINT64_MAX},
	{"--reclaim", JOB_OPT_U64, false, offsetof(struct options, reclaim), 1, INT64_MAX},
	{0},
};

static bool is_over(void)
{
	return job_check(NULL) < 0;
}

static int reclaim(int dirfd, uint64_t bytes, json_t **ret, struct err *err)
{
	uint64_t won;
	int r = cg_reclaim(dirfd, bytes, is_over, &won, err);

	if (r < 0)
		return r;
	*ret = json_pack("{s:I}", "reclaimed", (json_int_t)won);
	return 0;
}

static int kill_one(int dirfd, pid_t init, json_t **ret, struct err *err)
{
	struct cg_victim v = {0};
	int r = cg_victim_kill(dirfd, init, &v, err);

	if (r < 0)
		return r;
	*ret = json_pack("{s:{s:i, s:s, s:I}}", "killed", "pid", (int)v.pid, "command", v.name,
			 "memory", (json_int_t)v.bytes);
	return 0;
}

int job_relieve(int argc, char **argv)
{
	_cleanup_pidref_ struct pidref init = PIDREF_INIT;
	_cleanup_close_ int dirfd = -1;
	struct options o = {0};
	struct err err = ERR_INIT;
	json_t *result = NULL;
	int r = job_args(argc, argv, rows, &o, &err);

	if (r >= 0)
		r = dirfd = path_open_dir(o.cgroup, &err);
	/* Its cgroup is made anew for the next guest, and not while this one lives. */
	if (r >= 0)
		r = pidref_open_checked((pid_t)o.init, o.start, &init, &err);
	if (r >= 0)
		r = o.reclaim ? reclaim(dirfd, o.reclaim, &result, &err)
			      : kill_one(dirfd, init.pid, &result, &err);
	return r < 0 ? job_error(&err) : job_result(result);
}
