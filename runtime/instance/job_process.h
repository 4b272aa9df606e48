/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a job: its birth, and the pipes to it. What it says is job.c's. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct job_process {
	pid_t pid;
	int pidfd;
	int in;	       /* to its stdin; -1 = that is closed. Non-blocking, as the others */
	int out, errs; /* from its stdout and stderr */
};

#define JOB_PROCESS_INIT ((struct job_process){.pidfd = -1, .in = -1, .out = -1, .errs = -1})

/* Forks and executes 'path' with argv, in a session of its own with a small environment, at "/",
 * with three pipes and nothing else open but a copy of 'lock' (-1 = none). It is killed when the
 * caller's thread ends; with JOB_LONG (enum job_flags) asked to end. Of the flags JOB_STDIN counts
 * as well. A program that cannot be executed ends with status 127. 'given' is its stdin in the
 * place of a pipe; -1 = none is given. *ret is the caller's, who reaps.
 */
int job_process_start(const char *path, char *const *argv, unsigned flags, int given, int lock,
		      struct job_process *ret, struct err *err);

/* Closes what is open. Neither ends nor reaps it. */
void job_process_done(struct job_process *p);
