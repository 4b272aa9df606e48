/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: short-lived processes of vps-job (protocol: runtime/jobs/job.h). Started with a fixed
 * environment, cwd "/", stdin closed or a pipe; their stdout is read line by line, with a bound on
 * everything. Of each class so many run at a time and the others wait their turn in the order of
 * arrival: what takes long never stands in the way of what is short.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"

#define INST_JOBS_MAX 4u
#define INST_JOBS_LONG_MAX 4u
#define INST_JOBS_REMOVAL_MAX 2u
#define INST_JOB_ARGS_MAX 24u

struct job;
struct job_pool;

/* One line of output. */
enum job_line_kind {
	JOB_LINE_PROGRESS,
	JOB_LINE_RESULT,
	JOB_LINE_ERROR,
};

struct job_line {
	enum job_line_kind kind;
	char what[48]; /* progress */
	uint64_t done;
	uint64_t total; /* 0 = not known */
	char code[32];	/* error */
	struct err err;
	json_t *result; /* owned; job_line_done() */
};

/* Parses one line (without its newline). -EBADMSG for anything that is not exactly one of the
 * three; texts are cleaned of control characters and cut. */
int job_line_parse(const char *line, size_t len, struct job_line *ret, struct err *err);
void job_line_done(struct job_line *l);

enum job_flags {
	JOB_STDIN = 1u << 0,	   /* a pipe to write to: job_stdin() */
	JOB_IMMEDIATE = 1u << 1,   /* does not wait its turn */
	JOB_STDOUT_RAW = 1u << 2,  /* output is no JSON: it goes to raw() */
	JOB_LONG = 1u << 3,	   /* as long as a client likes: INST_JOBS_LONG_MAX */
	JOB_REMOVAL = 1u << 4,	   /* as long as a tree is big: INST_JOBS_REMOVAL_MAX */
	JOB_GIVEN_STDIN = 1u << 5, /* given_stdin; with JOB_IMMEDIATE only */
};

struct job_spec {
	const char *const *argv; /* verb and options, NULL-terminated, copied */
	unsigned flags;		 /* enum job_flags */
	int given_stdin;	 /* with JOB_GIVEN_STDIN: borrowed until job_start() returns */
	uint64_t timeout_usec;	 /* from its start; SIGTERM then, SIGKILL 10 s later; 0 = none */
	void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total); /* or NULL */
	void (*raw)(void *arg, const void *data, size_t len); /* with JOB_STDOUT_RAW */
	/* Called once; the job is gone afterwards. err NULL: success, and 'result' is the object
	 * (borrowed). Else 'code' is the API's or the job's code ("no-space") and 'err' says what
	 * happened, with the end of stderr where the job itself said nothing. */
	void (*done)(void *arg, const char *code, const struct err *err, json_t *result);
	void *arg;
};

/* 'path' is the vps-job program. */
int job_pool_new(sd_event *event, const char *path, struct job_pool **ret, struct err *err);
/* Locks the pool's directory (flock(2)) for this vpsd and all jobs that it starts from now on: the
 * lock is free when the last of them is gone, whatever became of vpsd. -EAGAIN while somebody else
 * has it: jobs of an earlier vpsd, which may still make or remove files there. Until it is claimed,
 * nothing of the pool may be judged, and no job may work in it. Success when it has been claimed.
 */
int job_pool_claim(struct job_pool *p, int dirfd, struct err *err);
/* Kills what runs (SIGKILL); their done() is not called. */
void job_pool_free(struct job_pool *p);
/* done() is never called from within. ret_job may be NULL. */
int job_start(struct job_pool *p, const struct job_spec *spec, struct job **ret_job,
	      struct err *err);
/* Keeps the object (not the process) until job_release(), for a caller that asks it things after
 * done() was called: job_stdin() is -1 then and job_cancel() does nothing. One holder. */
void job_hold(struct job *j);
void job_release(struct job *j);
/* Asks it to end (SIGTERM, SIGKILL 10 s later); done() comes with ECANCELED. */
void job_cancel(struct job *j);
/* Forgets the callbacks and kills the job; its end is not waited for. */
void job_abandon(struct job *j);
/* Writing end of its stdin: non-blocking, owned by the job, a write to a job that ended gives
 * EPIPE (SIGPIPE is the program's to ignore). -1 without JOB_STDIN, while it waits its turn, or
 * after job_stdin_close(). */
int job_stdin(const struct job *j);
/* End of the input. */
void job_stdin_close(struct job *j);
