/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "seccomp FILE": compiles a profile and writes the program (struct sock_filter[]) to stdout. It is
 * the one verb whose stdout is no JSON: warnings and errors are text on stderr, exit status 1.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "config/seccomp_profile.h"
#include "runtime/jobs/job.h"

static int complain(const char *text)
{
	(void)fprintf(stderr, "%s\n", text);
	return 1;
}

int job_seccomp(int argc, char **argv)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_seccomp_program_ struct seccomp_program program = SECCOMP_PROGRAM_INIT;
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	_cleanup_free_ char *profile = NULL;
	struct json_where w = {.path = "", .problems = problems};
	struct err err = ERR_INIT;
	size_t len = 0;
	int r;

	if (argc != 2)
		return complain("usage: seccomp FILE");
	if (!problems)
		return complain("out of memory");
	w.file = argv[1];
	if (file_read_at(AT_FDCWD, argv[1], JSON_TEXT_MAX, &profile, &len, &err) < 0)
		return complain(err_text(&err));
	r = seccomp_profile_compile(profile, len, &w, &program, &err);
	if (problems_count(problems) > 0) {
		problems_format(problems, &text);
		(void)fputs(sbuf_str(&text), stderr);
		return 1;
	}
	if (r < 0)
		return complain(err_text(&err));
	(void)fputs(sbuf_str(&program.warnings), stderr);
	if (file_write_all(STDOUT_FILENO, program.insns, program.n * sizeof(*program.insns), &err) <
	    0)
		return complain(err_text(&err));
	return 0;
}
