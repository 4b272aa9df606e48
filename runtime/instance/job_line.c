/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a job's output. A job that unpacks a hostile archive is not trusted: its lines are
 * foreign bytes. */
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "runtime/instance/job.h"
#include "runtime/jobs/job.h"

static const char *get_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static bool is_code(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* Escapes and cuts. */
static void set_clean(char *dst, size_t size, const char *src)
{
	str_escape(dst, size, src);
}

static int get_count(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *j = json_object_get(object, key);

	if (json_is_null(j) || !j) {
		*ret = 0;
		return 0;
	}
	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return -EBADMSG;
	*ret = (uint64_t)json_integer_value(j);
	return 0;
}

static int parse_progress(const json_t *body, struct job_line *l)
{
	l->kind = JOB_LINE_PROGRESS;
	set_clean(l->what, sizeof(l->what), get_text(body, "what"));
	if (get_count(body, "done", &l->done) < 0 || get_count(body, "total", &l->total) < 0)
		return -EBADMSG;
	return 0;
}

/* errno of a job's code; EIO for one that is in no row. */
static int code_to_errno(const char *code)
{
#define ROW(value, name) {value, name},
	static const struct {
		int value;
		const char *name;
	} rows[] = {JOB_ERRORS(ROW)};
#undef ROW

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (str_eq(rows[i].name, code))
			return rows[i].value;
	return EIO;
}

static int parse_error(const json_t *body, struct job_line *l)
{
	const char *code = get_text(body, "code");
	char text[sizeof(l->err.msg)], hint[sizeof(l->err.hint)];

	l->kind = JOB_LINE_ERROR;
	if (!is_code(code) || str_copy(l->code, sizeof(l->code), code) < 0)
		(void)str_copy(l->code, sizeof(l->code), "internal");
	set_clean(text, sizeof(text), get_text(body, "message"));
	set_clean(hint, sizeof(hint), get_text(body, "hint"));
	(void)err_set(&l->err, code_to_errno(l->code), "%s",
		      *text ? text : "the job failed without a reason");
	if (*hint)
		(void)err_hint(&l->err, "%s", hint);
	return 0;
}

static int parse_object(json_t *root, struct job_line *l)
{
	json_t *body;

	if (!json_is_object(root) || json_object_size(root) != 1)
		return -EBADMSG;
	body = json_object_iter_value(json_object_iter(root));
	if (!json_is_object(body))
		return -EBADMSG;
	if (json_object_get(root, "progress"))
		return parse_progress(body, l);
	if (json_object_get(root, "error"))
		return parse_error(body, l);
	if (!json_object_get(root, "result"))
		return -EBADMSG;
	l->kind = JOB_LINE_RESULT;
	l->result = json_incref(body);
	return 0;
}

int job_line_parse(const char *line, size_t len, struct job_line *ret, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_json_ json_t *root = NULL;
	struct json_where where = {.file = "", .path = "", .problems = problems};
	struct job_line l = {0};

	if (!problems)
		return err_set(err, ENOMEM, "cannot read a job's output: out of memory");
	if (len >= JOB_LINE_MAX)
		return err_set(err, EBADMSG, "a line of the job is longer than %u bytes",
			       JOB_LINE_MAX);
	if (json_text_load(line, len, JOB_LINE_MAX, &where, &root) < 0 ||
	    parse_object(root, &l) < 0) {
		char shown[80];
		char start[41] = "";

		memcpy(start, line, len < 40 ? len : 40);
		str_escape(shown, sizeof(shown), start);
		return err_set(err, EBADMSG,
			       "the job wrote a line that is none of the protocol: '%s'", shown);
	}
	*ret = l;
	return 0;
}

void job_line_done(struct job_line *l)
{
	json_decref(l->result);
	*l = (struct job_line){0};
}
