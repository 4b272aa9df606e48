/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running jobs: turns, what they say, their end. That is watched by a pidfd, so no signal handling
 * of the program is involved.
 */
#include "runtime/instance/job.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/job_process.h"
#include "runtime/jobs/job.h"

#define STDERR_TAIL 2048u
#define KILL_AFTER_USEC (10 * UINT64_C(1000000))

enum job_class {
	JOB_CLASS_IMMEDIATE,
	JOB_CLASS_LONG,
	JOB_CLASS_REMOVAL,
	JOB_CLASS_ORDINARY,
	JOB_CLASS_MAX,
};

/* The first row whose flag a job has; the last one is for all others. */
static const struct {
	unsigned flag;
	unsigned max; /* that run side by side */
} classes[] = {
	[JOB_CLASS_IMMEDIATE] = {JOB_IMMEDIATE, UINT_MAX},
	[JOB_CLASS_LONG] = {JOB_LONG, INST_JOBS_LONG_MAX},
	[JOB_CLASS_REMOVAL] = {JOB_REMOVAL, INST_JOBS_REMOVAL_MAX},
	[JOB_CLASS_ORDINARY] = {0, INST_JOBS_MAX},
};
_Static_assert(sizeof(classes) / sizeof(classes[0]) == JOB_CLASS_MAX, "one row a class");

enum job_state {
	JOB_WAITING,
	JOB_RUNNING,
	JOB_ENDED, /* reaped; done() was called or is about to be */
};

struct job {
	struct job_pool *pool;
	struct job *prev, *next;
	struct job_spec spec;
	char *argv[INST_JOB_ARGS_MAX + 2]; /* program, words, NULL */
	enum job_state state;
	struct job_process process;
	sd_event_source *on_exit, *on_out, *on_errs, *on_time;
	bool is_held, is_gone;
	bool is_input_closed; /* before there was a process to read it */
	bool is_cancelled, is_late, has_end, is_broken, exited;
	int wstatus_code, wstatus_how; /* si_status, si_code */
	struct job_line end;
	struct err broken;
	char line[JOB_LINE_MAX];
	size_t line_len;
	char tail[STDERR_TAIL];
	size_t tail_len;
};

struct job_pool {
	sd_event *event;
	char *path;
	int lock; /* what jobs inherit; -1 = not claimed */
	struct job *first, *last;
	unsigned n_running[JOB_CLASS_MAX];
	sd_event_source *on_turn;
};

static enum job_class class_of(const struct job *j)
{
	enum job_class c = 0;

	while (classes[c].flag && !(j->spec.flags & classes[c].flag))
		c++;
	return c;
}

static bool may_run(const struct job *j)
{
	enum job_class c = class_of(j);

	return j->pool->n_running[c] < classes[c].max;
}

static void take_turn(struct job *j)
{
	j->pool->n_running[class_of(j)]++;
}

static void give_up_turn(struct job *j)
{
	j->pool->n_running[class_of(j)]--;
}

static void drop_source(sd_event_source **s)
{
	*s = sd_event_source_disable_unref(*s);
}

/* Out of the list, with nothing open; freed unless somebody still holds it. */
static void job_free(struct job *j)
{
	struct job_pool *p = j->pool;

	*(j->prev ? &j->prev->next : &p->first) = j->next;
	*(j->next ? &j->next->prev : &p->last) = j->prev;
	j->state = JOB_ENDED;
	drop_source(&j->on_exit);
	drop_source(&j->on_out);
	drop_source(&j->on_errs);
	drop_source(&j->on_time);
	job_process_done(&j->process);
	job_line_done(&j->end);
	for (size_t i = 0; j->argv[i]; i++)
		free(j->argv[i]);
	j->is_gone = true;
	if (!j->is_held)
		free(j);
}

void job_hold(struct job *j)
{
	j->is_held = true;
}

void job_release(struct job *j)
{
	j->is_held = false;
	if (j->is_gone)
		free(j);
}

static void job_signal(const struct job *j, int signo)
{
	if (j->process.pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, j->process.pidfd, signo, NULL, 0);
}

/* --- output ---------------------------------------------------------------------------------- */

static void job_settle(struct job *j);

static void take_line(struct job *j, const char *line, size_t len)
{
	struct job_line l;
	int r;

	if (j->is_broken)
		return;
	if (j->has_end)
		r = err_set(&j->broken, EBADMSG, "the job wrote more after its last line");
	else
		r = job_line_parse(line, len, &l, &j->broken);
	if (r < 0) {
		j->is_broken = true;
		job_signal(j, SIGKILL);
		return;
	}
	if (l.kind != JOB_LINE_PROGRESS) {
		j->end = l;
		j->has_end = true;
		return;
	}
	if (j->spec.progress && !j->is_cancelled)
		j->spec.progress(j->spec.arg, l.what, l.done, l.total);
	job_line_done(&l);
}

static void take_output(struct job *j, const char *data, size_t len)
{
	if (j->spec.flags & JOB_STDOUT_RAW) {
		if (j->spec.raw)
			j->spec.raw(j->spec.arg, data, len);
		return;
	}
	while (len > 0) {
		const char *nl = memchr(data, '\n', len);
		size_t n = nl ? (size_t)(nl - data) : len;

		if (j->line_len + n >= sizeof(j->line)) {
			if (!j->is_broken) {
				j->is_broken = true;
				(void)err_set(&j->broken, EBADMSG,
					      "a line of the job is longer than %u bytes",
					      JOB_LINE_MAX);
				job_signal(j, SIGKILL);
			}
			j->line_len = 0;
		} else {
			memcpy(j->line + j->line_len, data, n);
			j->line_len += n;
			if (nl) {
				take_line(j, j->line, j->line_len);
				j->line_len = 0;
			}
		}
		data += nl ? n + 1 : n;
		len -= nl ? n + 1 : n;
	}
}

static int on_out(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct job *j = arg;
	char buf[16384];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)s;
	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0) {
		take_output(j, buf, (size_t)n);
		return 0;
	}
	drop_source(&j->on_out);
	job_settle(j);
	return 0;
}

static int on_errs(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct job *j = arg;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t keep;

	(void)s;
	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		drop_source(&j->on_errs);
		return 0;
	}
	/* The end is what explains a failure. */
	if ((size_t)n >= sizeof(j->tail)) {
		memcpy(j->tail, buf + (size_t)n - sizeof(j->tail), sizeof(j->tail));
		j->tail_len = sizeof(j->tail);
		return 0;
	}
	keep = sizeof(j->tail) - (size_t)n;
	if (j->tail_len > keep) {
		memmove(j->tail, j->tail + (j->tail_len - keep), keep);
		j->tail_len = keep;
	}
	memcpy(j->tail + j->tail_len, buf, (size_t)n);
	j->tail_len += (size_t)n;
	return 0;
}

/* The last line of stderr that says something, escaped and cut. */
static void last_words(const struct job *j, char *dst, size_t size)
{
	char line[200];
	size_t end = j->tail_len, start, n;

	while (end > 0 && (j->tail[end - 1] == '\n' || j->tail[end - 1] == ' '))
		end--;
	start = end;
	while (start > 0 && j->tail[start - 1] != '\n')
		start--;
	n = end - start < sizeof(line) - 1 ? end - start : sizeof(line) - 1;
	memcpy(line, j->tail + start, n);
	line[n] = '\0';
	str_escape(dst, size, line);
}

/* --- the end --------------------------------------------------------------------------------- */

static void describe_death(const struct job *j, struct err *err)
{
	char words[300];

	last_words(j, words, sizeof(words));
	if (j->wstatus_how == CLD_EXITED)
		(void)err_set(err, EIO, "the job '%s' ended with status %d and no result%s%s",
			      j->argv[1], j->wstatus_code, *words ? ": " : "", words);
	else
		(void)err_set(err, EIO, "the job '%s' was killed by signal %d%s%s", j->argv[1],
			      j->wstatus_code, *words ? ": " : "", words);
}

static void job_finish(struct job *j)
{
	struct job_spec spec = j->spec;
	struct err err = ERR_INIT;
	const char *code = NULL;

	if (j->is_cancelled)
		(void)err_set(&err, ECANCELED, "cancelled");
	else if (j->is_late)
		(void)err_set(&err, ETIMEDOUT, "the job '%s' took too long and was ended",
			      j->argv[1]);
	else if (j->is_broken)
		err = j->broken;
	else if (j->has_end && j->end.kind == JOB_LINE_ERROR) {
		code = j->end.code;
		err = j->end.err;
	} else if (j->wstatus_how != CLD_EXITED || j->wstatus_code != 0 ||
		   (!j->has_end && !(spec.flags & JOB_STDOUT_RAW)))
		describe_death(j, &err);
	if (err.code && !code)
		code = j->is_cancelled ? "cancelled" : j->is_late ? "timeout" : "internal";
	if (spec.done)
		spec.done(spec.arg, code, err.code ? &err : NULL, err.code ? NULL : j->end.result);
	job_free(j);
}

static void pool_next(struct job_pool *p);

/* Done when the process is reaped and its output is read to the end. A grandchild that holds stdout
 * open is not waited for. */
static void job_settle(struct job *j)
{
	struct job_pool *p = j->pool;

	if (!j->exited)
		return;
	if (j->on_out) {
		char buf[16384];
		ssize_t n;

		while ((n = read(j->process.out, buf, sizeof(buf))) > 0)
			take_output(j, buf, (size_t)n);
		drop_source(&j->on_out);
	}
	if (j->on_errs)
		(void)on_errs(NULL, j->process.errs, 0, j);
	give_up_turn(j);
	j->state = JOB_ENDED;
	job_finish(j);
	pool_next(p);
}

static int on_exit_fd(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct job *j = arg;
	siginfo_t si = {0};

	(void)s;
	(void)revents;
	if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) < 0) {
		if (errno == EINTR)
			return 0;
		/* Somebody else reaped it: the status is lost, the end is not. */
		si.si_code = CLD_EXITED;
		si.si_status = j->has_end && j->end.kind == JOB_LINE_RESULT ? 0 : 1;
	} else if (si.si_pid == 0) {
		return 0;
	}
	j->exited = true;
	j->wstatus_how = si.si_code;
	j->wstatus_code = si.si_status;
	drop_source(&j->on_exit);
	job_settle(j);
	return 0;
}

static int on_time(sd_event_source *s, uint64_t usec, void *arg)
{
	struct job *j = arg;

	(void)usec;
	if (j->is_cancelled || j->is_late) {
		job_signal(j, SIGKILL);
		return 0;
	}
	j->is_late = true;
	job_signal(j, SIGTERM);
	(void)sd_event_source_set_time_relative(s, KILL_AFTER_USEC);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

/* --- the start ------------------------------------------------------------------------------- */

static int watch(struct job *j, struct err *err)
{
	sd_event *e = j->pool->event;
	int r;

	r = sd_event_add_io(e, &j->on_exit, j->process.pidfd, EPOLLIN, on_exit_fd, j);
	if (r >= 0)
		r = sd_event_add_io(e, &j->on_out, j->process.out, EPOLLIN, on_out, j);
	if (r >= 0)
		r = sd_event_add_io(e, &j->on_errs, j->process.errs, EPOLLIN, on_errs, j);
	/* Output first: the line that ends it comes before the exit. */
	if (r >= 0)
		r = sd_event_source_set_priority(j->on_exit, SD_EVENT_PRIORITY_NORMAL + 10);
	if (r >= 0)
		r = sd_event_add_time_relative(e, &j->on_time, CLOCK_MONOTONIC,
					       j->spec.timeout_usec ? j->spec.timeout_usec
								    : UINT64_MAX / 4,
					       0, on_time, j);
	return r < 0 ? err_set_errno(err, -r, "cannot watch a job") : 0;
}

static int spawn(struct job *j, struct err *err)
{
	int given = j->spec.flags & JOB_GIVEN_STDIN ? j->spec.given_stdin : -1;
	int r = job_process_start(j->pool->path, j->argv, j->spec.flags, given, j->pool->lock,
				  &j->process, err);

	if (r < 0)
		return r;
	if (j->is_input_closed)
		cleanup_close(&j->process.in);
	r = watch(j, err);
	if (r < 0) {
		job_signal(j, SIGKILL);
		(void)waitpid(j->process.pid, NULL, 0);
		return r;
	}
	j->state = JOB_RUNNING;
	return 0;
}

/* Starts those whose turn has come. */
static void pool_next(struct job_pool *p)
{
	struct job *j = p->first;

	while (j) {
		if (j->state != JOB_WAITING || (!j->is_cancelled && !may_run(j))) {
			j = j->next;
			continue;
		}
		take_turn(j);
		if (!j->is_cancelled && spawn(j, &j->broken) >= 0) {
			j = j->next;
			continue;
		}
		give_up_turn(j);
		j->is_broken = true;
		j->state = JOB_ENDED;
		job_finish(j);
		/* The list may have changed. */
		j = p->first;
	}
}

static int on_turn(sd_event_source *s, void *arg)
{
	struct job_pool *p = arg;

	(void)s;
	pool_next(p);
	return 0;
}

static void pool_wake(struct job_pool *p)
{
	(void)sd_event_source_set_enabled(p->on_turn, SD_EVENT_ONESHOT);
}

int job_pool_new(sd_event *event, const char *path, struct job_pool **ret, struct err *err)
{
	struct job_pool *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(err, ENOMEM, "cannot make a pool of jobs: out of memory");
	p->lock = -1;
	p->event = sd_event_ref(event);
	p->path = strdup(path);
	r = p->path ? sd_event_add_defer(event, &p->on_turn, on_turn, p) : -ENOMEM;
	if (r >= 0)
		r = sd_event_source_set_enabled(p->on_turn, SD_EVENT_OFF);
	if (r < 0) {
		job_pool_free(p);
		return err_set_errno(err, -r, "cannot make a pool of jobs");
	}
	*ret = p;
	return 0;
}

int job_pool_claim(struct job_pool *p, int dirfd, struct err *err)
{
	_cleanup_close_ int fd = -1;

	if (p->lock >= 0)
		return 0;
	/* Of its own, and not the caller's: a lock is of the open file, not of the directory. */
	fd = path_open_beneath(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, err);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, EAGAIN, "somebody else works in the pool")
			       : err_sys(err, "cannot lock the pool");
	p->lock = take_fd(&fd);
	return 0;
}

static void end_now(struct job *j)
{
	if (j->state == JOB_RUNNING) {
		job_signal(j, SIGKILL);
		(void)waitpid(j->process.pid, NULL, 0);
		give_up_turn(j);
	}
	job_free(j);
}

void job_pool_free(struct job_pool *p)
{
	if (!p)
		return;
	while (p->first)
		end_now(p->first);
	cleanup_close(&p->lock);
	drop_source(&p->on_turn);
	sd_event_unref(p->event);
	free(p->path);
	free(p);
}

static int copy_words(struct job *j, const struct job_spec *spec)
{
	size_t n = 0;

	j->argv[0] = strdup(j->pool->path);
	if (!j->argv[0])
		return -ENOMEM;
	for (; spec->argv[n]; n++) {
		if (n >= INST_JOB_ARGS_MAX)
			return -E2BIG;
		j->argv[n + 1] = strdup(spec->argv[n]);
		if (!j->argv[n + 1])
			return -ENOMEM;
	}
	return n > 0 ? 0 : -EINVAL;
}

int job_start(struct job_pool *p, const struct job_spec *spec, struct job **ret_job,
	      struct err *err)
{
	struct job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return err_set(err, ENOMEM, "cannot start a job: out of memory");
	j->pool = p;
	j->spec = *spec;
	j->spec.argv = NULL;
	j->process = JOB_PROCESS_INIT;
	j->prev = p->last;
	*(p->last ? &p->last->next : &p->first) = j;
	p->last = j;
	r = copy_words(j, spec);
	if (r < 0) {
		job_free(j);
		return err_set_errno(err, -r, "cannot start a job");
	}
	if (spec->flags & JOB_IMMEDIATE) {
		r = spawn(j, err);
		if (r < 0) {
			job_free(j);
			return r;
		}
		take_turn(j);
	} else {
		pool_wake(p);
	}
	if (ret_job)
		*ret_job = j;
	return 0;
}

void job_cancel(struct job *j)
{
	if (j->is_cancelled || j->state == JOB_ENDED)
		return;
	j->is_cancelled = true;
	if (j->state == JOB_WAITING) {
		pool_wake(j->pool);
		return;
	}
	job_signal(j, SIGTERM);
	(void)sd_event_source_set_time_relative(j->on_time, KILL_AFTER_USEC);
	(void)sd_event_source_set_enabled(j->on_time, SD_EVENT_ONESHOT);
}

void job_abandon(struct job *j)
{
	if (j->state != JOB_RUNNING) {
		job_free(j);
		return;
	}
	/* It ends when the call that it is in does, which may be the guest's disk: the pool reaps.
	 */
	j->spec.progress = NULL;
	j->spec.raw = NULL;
	j->spec.done = NULL;
	j->is_cancelled = true;
	job_signal(j, SIGKILL);
}

int job_stdin(const struct job *j)
{
	return j->process.in;
}

void job_stdin_close(struct job *j)
{
	j->is_input_closed = true;
	cleanup_close(&j->process.in);
}
