/* SPDX-License-Identifier: Apache-2.0 */
/* What all verbs share: lines on stdout, error codes, options, cancelling. */
#include "runtime/jobs/job.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "images/store.h"

#define PROGRESS_INTERVAL_MS 200

/* Set by the handler; a job is one process with one task, so one flag is all there is. */
static volatile sig_atomic_t cancelled;

static void on_signal(int signo)
{
	(void)signo;
	cancelled = 1;
}

int job_signals(struct err *err)
{
	/* No SA_RESTART: a blocked read or poll shall return. */
	const struct sigaction sa = {.sa_handler = on_signal};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	if (sigaction(SIGTERM, &sa, NULL) < 0 || sigaction(SIGINT, &sa, NULL) < 0 ||
	    sigaction(SIGPIPE, &ignore, NULL) < 0)
		return err_sys(err, "cannot install signal handlers");
	return 0;
}

int job_check(struct err *err)
{
	return cancelled ? err_set(err, ECANCELED, "the job was cancelled") : 0;
}

const char *job_error_code(int code)
{
	static const struct {
		int code;
		const char *name;
	} rows[] = {
#define ROW(number, text) {number, text},
		JOB_ERRORS(ROW)
#undef ROW
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return rows[i].name;
	return "internal";
}

/* One line in one write, so that it arrives whole or not at all. 'object' is consumed. */
static int write_line(json_t *object)
{
	_cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	_cleanup_sbuf_ struct sbuf line = SBUF_INIT;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	sbuf_adds(&line, text);
	sbuf_addc(&line, '\n');
	if (!sbuf_ok(&line))
		return -ENOMEM;
	if (line.len > JOB_LINE_MAX)
		return -EMSGSIZE;
	return file_write_all(STDOUT_FILENO, line.data, line.len, NULL);
}

void job_progress(uint64_t done, uint64_t total, const char *what)
{
	static struct timespec last;
	struct timespec now;
	json_t *n;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (last.tv_sec != 0 &&
	    (now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 <
		    PROGRESS_INTERVAL_MS)
		return;
	last = now;
	n = total > 0 ? json_integer((json_int_t)total) : json_null();
	/* A reader that is gone is no reason to stop. */
	(void)write_line(json_pack("{s:{s:I,s:o,s:s}}", "progress", "done", (json_int_t)done,
				   "total", n, "what", what));
}

int job_result(json_t *result)
{
	if (result && write_line(json_pack("{s:o}", "result", result)) == 0)
		return 0;
	return job_error(&(struct err){.code = EIO, .msg = "cannot write the result"});
}

int job_error(const struct err *err)
{
	char msg[sizeof(err->msg)], hint[sizeof(err->hint)];
	json_t *body;

	/* Text may quote foreign names. */
	str_escape(msg, sizeof(msg), err_text(err));
	str_escape(hint, sizeof(hint), err->hint);
	body = json_pack("{s:s,s:s}", "code", job_error_code(err->code), "message", msg);
	if (body && hint[0] != '\0')
		(void)json_object_set_new(body, "hint", json_string(hint));
	(void)write_line(json_pack("{s:o}", "error", body));
	return 1;
}

json_t *job_image_json(const struct img_manifest *m, bool existed)
{
	json_t *j = img_manifest_json(m);

	if (json_object_set_new(j, "existed", json_boolean(existed)) == 0)
		return j;
	json_decref(j);
	return NULL;
}

static int store_text(const struct job_opt *o, char *value, void *at, struct err *err)
{
	static const struct {
		bool (*valid)(const char *s);
		const char *what;
	} kinds[JOB_OPT_TYPE_MAX] = {
		[JOB_OPT_STRING] = {str_is_clean_utf8, "a text"},
		[JOB_OPT_PATH] = {str_is_clean_utf8, "an absolute path"},
		[JOB_OPT_DIGEST] = {str_is_digest, "a digest of 64 hex digits"},
		[JOB_OPT_ID] = {img_is_instance_id, "an instance id of 16 hex digits"},
		[JOB_OPT_HOSTNAME] = {str_is_hostname, "a host name"},
	};

	if (value[0] == '\0' || !kinds[o->type].valid(value) ||
	    (o->type == JOB_OPT_PATH && value[0] != '/'))
		return err_set(err, EINVAL, "the value of '%s' is not %s", o->name,
			       kinds[o->type].what);
	*(const char **)at = value;
	return 0;
}

static int store_value(const struct job_opt *o, char *value, void *opts, struct err *err)
{
	void *at = (char *)opts + o->offset;

	if (o->type == JOB_OPT_FLAG) {
		*(bool *)at = true;
		return 0;
	}
	if (!value)
		return err_set(err, EINVAL, "'%s' needs a value", o->name);
	if (o->type != JOB_OPT_U64)
		return store_text(o, value, at, err);
	if (num_parse_u64(value, o->min, o->max, at) < 0)
		return err_set(err, EINVAL, "the value of '%s' is not a number that fits", o->name);
	return 0;
}

int job_args(int argc, char **argv, const struct job_opt *rows, void *opts, struct err *err)
{
	uint64_t seen = 0; /* a bit for each row */

	for (int i = 1; i < argc; i++) {
		size_t row = 0;
		int r;

		while (rows[row].name && !str_eq(rows[row].name, argv[i]))
			row++;
		if (!rows[row].name)
			return err_set(err, EINVAL, "unknown option '%s' of '%s'", argv[i],
				       argv[0]);
		if (seen & (1ull << row))
			return err_set(err, EINVAL, "'%s' is given twice", argv[i]);
		seen |= 1ull << row;
		if (rows[row].type != JOB_OPT_FLAG)
			i++;
		r = store_value(&rows[row], i < argc ? argv[i] : NULL, opts, err);
		if (r < 0)
			return r;
	}
	for (size_t row = 0; rows[row].name; row++)
		if (rows[row].required && !(seen & (1ull << row)))
			return err_set(err, EINVAL, "'%s' needs the option '%s'", argv[0],
				       rows[row].name);
	return 0;
}
