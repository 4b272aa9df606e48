/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of jobs, hostile ones included, and running jobs: /bin/sh plays vps-job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "runtime/instance/job.h"
#include "runtime/jobs/job.h"

static int parse(const char *text, struct job_line *l, struct err *err)
{
	return job_line_parse(text, strlen(text), l, err);
}

static void test_good_lines(void **state)
{
	struct err err = ERR_INIT;
	struct job_line l;

	(void)state;
	assert_int_equal(
		parse("{\"progress\": {\"done\": 5, \"total\": null, \"what\": \"unpack\"}}", &l,
		      &err),
		0);
	assert_int_equal(l.kind, JOB_LINE_PROGRESS);
	assert_int_equal(l.done, 5);
	assert_int_equal(l.total, 0);
	assert_string_equal(l.what, "unpack");
	job_line_done(&l);
	assert_int_equal(parse("{\"result\": {\"id\": \"x\"}}", &l, &err), 0);
	assert_int_equal(l.kind, JOB_LINE_RESULT);
	assert_string_equal(json_string_value(json_object_get(l.result, "id")), "x");
	job_line_done(&l);
	assert_int_equal(
		parse("{\"error\": {\"code\": \"no-space\", \"message\": \"full\"}}", &l, &err), 0);
	assert_int_equal(l.kind, JOB_LINE_ERROR);
	assert_string_equal(l.code, "no-space");
	assert_int_equal(l.err.code, ENOSPC);
	assert_string_equal(l.err.msg, "full");
	job_line_done(&l);
	/* An unknown or odd code is ours to name; control characters do not pass. */
	assert_int_equal(
		parse("{\"error\": {\"code\": \"No Space\", \"message\": \"a\\u001b[2Jb\"}}", &l,
		      &err),
		0);
	assert_string_equal(l.code, "internal");
	assert_null(strchr(l.err.msg, 27));
	job_line_done(&l);
}

static void test_bad_lines(void **state)
{
	static const char *const lines[] = {
		"",
		"null",
		"[]",
		"\"result\"",
		"{}",
		"{\"result\": 1}",
		"{\"result\": null}",
		"{\"result\": {}, \"error\": {}}",
		"{\"other\": {}}",
		"{\"progress\": {\"done\": -1}}",
		"{\"progress\": {\"done\": \"1\"}}",
		"{\"progress\": {\"done\": 1.5}}",
		"{\"result\": {}} {\"result\": {}}",
		"{\"result\": {\"a\": 1, \"a\": 2}}",
		"{\"result\": {\"a\": \"\xff\"}}",
		"mount: permission denied",
	};
	char *big = malloc(JOB_LINE_MAX + 1);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct err err = ERR_INIT;
		struct job_line l;

		if (parse(lines[i], &l, &err) != -EBADMSG)
			fail_msg("accepted: %s", lines[i]);
		assert_int_equal(err.code, EBADMSG);
	}
	assert_non_null(big);
	memset(big, ' ', JOB_LINE_MAX);
	assert_int_equal(job_line_parse(big, JOB_LINE_MAX, &(struct job_line){0}, NULL), -EBADMSG);
	free(big);
}

/* --- processes ------------------------------------------------------------------------------- */

struct seen {
	sd_event *event;
	unsigned progress, done;
	char code[32];
	struct err err;
	char id[32];
	size_t raw;
};

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	(void)what;
	(void)done;
	(void)total;
	s->progress++;
}

static void on_raw(void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	(void)data;
	s->raw += len;
}

static void on_done(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct seen *s = arg;

	s->done++;
	(void)str_copy(s->code, sizeof(s->code), code ? code : "");
	s->err = err ? *err : ERR_INIT;
	(void)str_copy(s->id, sizeof(s->id),
		       result ? json_string_value(json_object_get(result, "id")) : "");
}

struct fixture {
	sd_event *event;
	struct job_pool *pool;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(job_pool_new(f->event, "/bin/sh", &f->pool, NULL), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	job_pool_free(f->pool);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

static void run_until(struct fixture *f, const unsigned *counter, unsigned n)
{
	for (int i = 0; i < 1000 && *counter < n; i++)
		assert_true(sd_event_run(f->event, 1000000) >= 0);
	assert_int_equal(*counter, n);
}

static struct job *start(struct fixture *f, struct seen *s, const char *script, unsigned flags,
			 uint64_t timeout)
{
	const char *const argv[] = {"-c", script, NULL};
	struct job_spec spec = {.argv = argv,
				.flags = flags,
				.timeout_usec = timeout,
				.progress = on_progress,
				.raw = on_raw,
				.done = on_done,
				.arg = s};
	struct job *j = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(job_start(f->pool, &spec, &j, &err), 0);
	return j;
}

static void test_result(void **state)
{
	struct seen s = {0};

	(void)start(*state, &s,
		    "echo '{\"progress\": {\"done\": 1, \"total\": 2, \"what\": \"x\"}}'; pwd >&2; "
		    "[ \"$PWD\" = / ] || exit 1; echo '{\"result\": {\"id\": \"ok\"}}'",
		    0, 0);
	assert_int_equal(s.done, 0);
	run_until(*state, &s.done, 1);
	assert_int_equal(s.err.code, 0);
	assert_int_equal(s.progress, 1);
	assert_string_equal(s.id, "ok");
}

static void test_failures(void **state)
{
	static const struct {
		const char *script, *code, *text;
	} rows[] = {
		{"echo oops >&2; exit 3", "internal", "oops"},
		{"kill -9 $$", "internal", "signal 9"},
		{"exit 0", "internal", "no result"},
		{"echo hello", "internal", "protocol"},
		{"echo '{\"result\": {\"id\": \"x\"}}'; echo '{\"result\": {\"id\": \"y\"}}'; "
		 "sleep 60",
		 "internal", "after its last line"},
		{"echo '{\"result\": {\"id\": \"x\"}}'; exit 1", "internal", "status 1"},
		{"echo '{\"error\": {\"code\": \"no-space\", \"message\": \"full\"}}'; exit 1",
		 "no-space", "full"},
		{"head -c 20000 /dev/zero | tr '\\0' x; sleep 60", "internal", "longer"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seen s = {0};

		(void)start(*state, &s, rows[i].script, 0, 0);
		run_until(*state, &s.done, 1);
		assert_string_equal(s.code, rows[i].code);
		if (!strstr(s.err.msg, rows[i].text))
			fail_msg("row %zu: %s", i, s.err.msg);
	}
}

static void test_timeout_and_cancel(void **state)
{
	struct seen late = {0}, cancelled = {0}, waiting = {0};
	struct job *j;

	(void)start(*state, &late, "exec sleep 60", 0, 100000);
	j = start(*state, &cancelled, "exec sleep 60", JOB_IMMEDIATE, 0);
	job_cancel(j);
	run_until(*state, &late.done, 1);
	run_until(*state, &cancelled.done, 1);
	assert_int_equal(late.err.code, ETIMEDOUT);
	assert_int_equal(cancelled.err.code, ECANCELED);
	/* One that has not begun. */
	j = start(*state, &waiting, "exec sleep 60", 0, 0);
	job_cancel(j);
	run_until(*state, &waiting.done, 1);
	assert_string_equal(waiting.code, "cancelled");
}

/* Its end is not waited for: what a job of a guest hangs in may be the guest's disk. */
static void test_abandon(void **state)
{
	struct fixture *f = *state;
	const char *const argv[] = {"-c", "exec sleep 100", NULL};
	struct seen s = {.event = f->event};
	const struct job_spec spec = {
		.argv = argv, .done = on_done, .arg = &s, .flags = JOB_IMMEDIATE};
	siginfo_t si = {0};
	struct job *j = NULL;

	assert_int_equal(job_start(f->pool, &spec, &j, NULL), 0);
	job_abandon(j);
	/* Still ours to reap. */
	assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	assert_int_equal(si.si_status, SIGKILL);
	for (unsigned n = 0; n < 100 && waitid(P_ALL, 0, &si, WEXITED | WNOWAIT | WNOHANG) == 0;
	     n++)
		assert_true(sd_event_run(f->event, 100000) >= 0);
	assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT | WNOHANG), -1);
	assert_int_equal(s.done, 0);
}

static void test_stdin(void **state)
{
	struct seen s = {0};
	struct job *j = start(
		*state, &s,
		"read x; read y || y=end; printf '{\"result\": {\"id\": \"%s-%s\"}}\\n' \"$x\" "
		"\"$y\"",
		JOB_STDIN | JOB_IMMEDIATE, 0);

	job_hold(j);
	assert_true(job_stdin(j) >= 0);
	assert_int_equal(write(job_stdin(j), "abc\n", 4), 4);
	job_stdin_close(j);
	assert_int_equal(job_stdin(j), -1);
	run_until(*state, &s.done, 1);
	assert_string_equal(s.id, "abc-end");
	assert_int_equal(job_stdin(j), -1);
	job_cancel(j);
	job_release(j);
}

/* An empty upload ends its input before the job has had its turn. */
static void test_stdin_closed_while_waiting(void **state)
{
	struct seen busy[INST_JOBS_MAX] = {0}, s = {0};

	for (unsigned i = 0; i < INST_JOBS_MAX; i++)
		(void)start(*state, &busy[i], "echo '{\"result\": {\"id\": \"x\"}}'", 0, 0);
	struct job *j = start(*state, &s,
			      "read x || x=end; printf '{\"result\": {\"id\": \"%s\"}}\n' \"$x\"",
			      JOB_STDIN, 0);
	assert_int_equal(job_stdin(j), -1);
	job_stdin_close(j);
	run_until(*state, &s.done, 1);
	assert_string_equal(s.id, "end");
}

static void test_raw(void **state)
{
	struct seen s = {0};

	(void)start(*state, &s, "head -c 100000 /dev/zero", JOB_STDOUT_RAW, 0);
	run_until(*state, &s.done, 1);
	assert_int_equal(s.err.code, 0);
	assert_int_equal(s.raw, 100000);
}

/* How many jobs run: the test has no other children. */
static unsigned children(void)
{
	char path[64], text[4096];
	unsigned n = 0;
	ssize_t len;

	(void)str_fmt(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	len = file_read_short_at(AT_FDCWD, path, text, sizeof(text), NULL);
	assert_true(len >= 0);
	for (ssize_t i = 0; i < len; i++)
		n += text[i] == ' '; /* behind each pid */
	return n;
}

static void test_turns(void **state)
{
	struct seen s = {0};

	for (unsigned i = 0; i < 3 * INST_JOBS_MAX; i++)
		(void)start(*state, &s, "echo '{\"result\": {\"id\": \"x\"}}'", 0, 0);
	run_until(*state, &s.done, 3 * INST_JOBS_MAX);
	assert_int_equal(s.err.code, 0);
}

/* Removals of huge trees, an hour each, and imports: a creation does not wait for them, nor they
 * for one another. */
static void test_classes(void **state)
{
	static const char *const held = "exec sleep 60";
	static const char *const quick = "echo '{\"result\": {\"id\": \"x\"}}'";
	struct fixture *f = *state;
	struct seen removals = {0}, imports = {0}, s = {0}, last = {0};
	struct job *first = NULL;

	for (unsigned i = 0; i < 4 * INST_JOBS_MAX; i++) {
		struct job *j = start(f, &removals, held, JOB_REMOVAL, 0);

		first = first ? first : j;
	}
	for (unsigned i = 0; i < INST_JOBS_LONG_MAX; i++)
		(void)start(f, &imports, held, JOB_LONG, 0);
	for (unsigned i = 0; i < 2 * INST_JOBS_MAX; i++)
		(void)start(f, &s, quick, 0, 0);
	run_until(f, &s.done, 2 * INST_JOBS_MAX);
	assert_int_equal(s.err.code, 0);
	assert_int_equal(children(), INST_JOBS_REMOVAL_MAX + INST_JOBS_LONG_MAX);
	/* The turn of a removal is the next removal's. */
	(void)start(f, &last, quick, JOB_REMOVAL, 0);
	job_cancel(first);
	run_until(f, &removals.done, 1);
	(void)sd_event_run(f->event, 0);
	assert_int_equal(children(), INST_JOBS_REMOVAL_MAX + INST_JOBS_LONG_MAX);
	assert_int_equal(last.done, 0);
}

/* A vpsd that is killed while its job, which does not care for SIGTERM, works in the pool. */
static void die_with_job(int dirfd, const char *script, unsigned flags)
{
	struct fixture f = {0};
	const char *const argv[] = {"-c", script, NULL};
	const struct job_spec spec = {.argv = argv, .flags = flags};

	if (sd_event_new(&f.event) < 0 || job_pool_new(f.event, "/bin/sh", &f.pool, NULL) < 0 ||
	    job_pool_claim(f.pool, dirfd, NULL) < 0 || job_start(f.pool, &spec, NULL, NULL) < 0)
		_exit(1);
	while (faccessat(dirfd, "up", F_OK, 0) < 0)
		if (sd_event_run(f.event, 10000) < 0)
			_exit(1);
	(void)raise(SIGKILL);
	_exit(1);
}

/* The next vpsd has the pool when the last job of the one before is gone, and not earlier. */
static void test_claim(void **state)
{
	static const struct {
		unsigned flags;
		bool outlives;
	} rows[] = {{JOB_LONG, true}, {0, false}};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		char dir[] = "/tmp/claim.XXXXXX", script[200];
		_cleanup_close_ int dirfd = -1;
		struct err err = ERR_INIT;
		int status, turns = 0;
		pid_t pid;

		assert_non_null(mkdtemp(dir));
		dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(
			str_fmt(script, sizeof(script),
				"trap '' TERM; : >%s/up; while [ ! -e %s/go ]; do sleep 0.01; done",
				dir, dir) >= 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			die_with_job(dirfd, script, rows[i].flags);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		if (rows[i].outlives)
			assert_int_equal(job_pool_claim(f->pool, dirfd, &err), -EAGAIN);
		(void)close(openat(dirfd, "go", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		while (job_pool_claim(f->pool, dirfd, &err) < 0 && turns++ < 500)
			(void)usleep(10000);
		assert_true(turns < 500);
		/* Once is enough; and it is ours until the pool is freed. */
		assert_int_equal(job_pool_claim(f->pool, dirfd, &err), 0);
		job_pool_free(f->pool);
		assert_int_equal(job_pool_new(f->event, "/bin/sh", &f->pool, NULL), 0);
		(void)unlinkat(dirfd, "up", 0);
		(void)unlinkat(dirfd, "go", 0);
		assert_int_equal(rmdir(dir), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_lines),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test_setup_teardown(test_result, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout_and_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abandon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stdin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stdin_closed_while_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_classes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claim, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
