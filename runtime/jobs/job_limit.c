/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "write-limit": one write of a value to a file of a cgroup. Lowering memory below what is used,
 * the kernel reclaims within write(2), which takes as long as the guest's disk does. The value
 * counts from the beginning of the write on; a signal ends the reclaiming.
 */
#include <fcntl.h>
#include <stddef.h>

#include "base/file.h"
#include "runtime/jobs/job.h"

struct options {
	const char *file, *value;
};

static const struct job_opt rows[] = {
	{"--file", JOB_OPT_PATH, true, offsetof(struct options, file), 0, 0},
	{"--value", JOB_OPT_STRING, true, offsetof(struct options, value), 0, 0},
	{0},
};

int job_write_limit(int argc, char **argv)
{
	struct options o = {0};
	struct err err = ERR_INIT;

	if (job_args(argc, argv, rows, &o, &err) < 0)
		return job_error(&err);
	if (file_write_at(AT_FDCWD, o.file, o.value, &err) < 0)
		return job_error(&err);
	return job_result(json_object());
}
