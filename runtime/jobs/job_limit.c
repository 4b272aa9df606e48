/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "write-limit": one write of a value to a file of a cgroup. Lowering memory below what is used,
 * the kernel reclaims within write(2), which takes as long as the guest's disk does. The value
 * counts from the beginning of the write on; a signal ends the reclaiming.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
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
	_cleanup_close_ int fd = -1;

	if (job_args(argc, argv, rows, &o, &err) < 0)
		return job_error(&err);
	fd = open(o.file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(&err, "cannot open '%s'", o.file);
		return job_error(&err);
	}
	if (write(fd, o.value, strlen(o.value)) < 0) {
		(void)err_sys(&err, "cannot write '%s' to '%s'", o.value, o.file);
		return job_error(&err);
	}
	return job_result(json_object());
}
