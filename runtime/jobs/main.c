/* SPDX-License-Identifier: Apache-2.0 */
/* vps-job: the table of verbs. The protocol is in job.h. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/jobs/job.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"import", job_import},
	{"build", job_build},
	{"archive", job_archive},
	{"releases", job_releases},
	{"prepare", job_prepare},
	{"set-hostname", job_set_hostname},
	{"remove-instance", job_remove_instance},
	{"remove-image", job_remove_image},
	{"clean-tmp", job_clean_tmp},
	{"seccomp", job_seccomp},
	{"relieve", job_relieve},
	{"write-limit", job_write_limit},
	{"filter", job_filter},
};

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;

	/* A missing standard fd would be taken by the next file that is opened. */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return 1;
	/* Modes are given in full wherever something is made. */
	(void)umask(077);
	if (job_signals(&err) < 0)
		return job_error(&err);
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (str_eq(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	(void)err_set(&err, EINVAL, argc > 1 ? "unknown job '%s'" : "no job given%s",
		      argc > 1 ? argv[1] : "");
	return job_error(&err);
}
