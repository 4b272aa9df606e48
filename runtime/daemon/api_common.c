/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers share: finding, reading arguments, answering when something has happened. */
#include "runtime/daemon/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"

struct api *api_of(const struct request *rq)
{
	return request_context(rq);
}

int api_find_instance(struct request *rq, struct inst **ret, struct err *err)
{
	const char *tenant = request_param(rq, 0), *name = request_param(rq, 1);
	struct inst *i = inst_find(api_of(rq)->manager, tenant, name);
	if (!i) {
		char shown[160];
		str_escape(shown, sizeof(shown), name);
		char owner[160];
		str_escape(owner, sizeof(owner), tenant);
		(void)err_set(err, ENOENT, "there is no instance '%s/%s'", owner, shown);
		return err_hint(err, "'vps ls' lists the instances");
	}
	*ret = i;
	return 0;
}

/* --- operations ---------------------------------------------------------------------------- */

struct op_waiter {
	struct request *rq;
	struct op_watch *watch;
};

static void op_waiter_release(struct request *rq, void *data)
{
	(void)rq;
	struct op_waiter *w = data;
	op_watch_cancel(w->watch);
	free(w);
}

static void on_op_committed(void *arg, struct op *op)
{
	struct op_waiter *w = arg;
	w->watch = NULL;
	if (op->is_committed)
		request_json(w->rq, 202, json_pack("{s:o}", "operation", api_op(op)));
	else
		request_error(w->rq, &op->err);
}

int api_answer_op(struct request *rq, struct op *op, struct err *err)
{
	struct op_waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "no memory for the request; the operation %s goes on",
			       op->id);
	w->rq = rq;
	request_set_data(rq, w, op_waiter_release);
	request_defer(rq);
	return op_watch(op, OP_WHEN_COMMITTED, on_op_committed, w, &w->watch, err);
}

/* --- arguments ----------------------------------------------------------------------------- */

int api_answer_problems(struct request *rq, const struct problems *p)
{
	struct err err = ERR_INIT;
	(void)problems_to_err(p, &err);
	err.code = EBADMSG; /* well-formed and wrong: 422 "invalid" */
	json_t *o = error_to_json(&err);
	_cleanup_sbuf_ struct sbuf lines = SBUF_INIT;
	problems_format(p, &lines);
	if (o) {
		(void)json_object_set_new(o, "problems", problems_to_json(p));
		(void)json_object_set_new(o, "text", json_string(sbuf_str(&lines)));
	}
	request_error_json(rq, 422, o);
	return 0;
}

int api_duration(const char *text, uint64_t def_usec, uint64_t max_usec, uint64_t *ret_usec,
		 struct err *err)
{
	uint64_t v = def_usec;
	if (text && num_parse_u64(text, 0, max_usec / 1000000u, &v) == 0)
		v *= 1000000u;
	else if (text && (num_parse_duration(text, &v) < 0 || v > max_usec)) {
		char shown[64], most[NUM_TEXT];
		str_escape(shown, sizeof(shown), text);
		num_format_duration(most, max_usec);
		return err_set(err, EINVAL,
			       "\"%s\" is not a duration up to %s; write it as 90s or 2min", shown,
			       most);
	}
	*ret_usec = v;
	return 0;
}

static int take_arg(const struct api_arg *a, json_t *v, struct err *err)
{
	bool fits = false;
	const char *want = "";
	switch (a->type) {
	case 's':
		fits = json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
		want = "a string";
		if (fits)
			*(const char **)a->ret = json_string_value(v);
		break;
	case 'b':
		fits = json_is_boolean(v);
		want = "true or false";
		if (fits)
			*(bool *)a->ret = json_is_true(v);
		break;
	case 'i':
		fits = json_is_integer(v);
		want = "a whole number";
		if (fits)
			*(int64_t *)a->ret = json_integer_value(v);
		break;
	case 'o':
		fits = json_is_object(v);
		want = "an object, {...}";
		if (fits)
			*(json_t **)a->ret = v;
		break;
	default:
		fits = true;
		*(json_t **)a->ret = v;
	}
	return fits ? 0 : err_set(err, EINVAL, "\"%s\" must be %s", a->key, want);
}

int api_args(struct request *rq, const struct api_arg *args, size_t n, struct err *err)
{
	json_t *body = NULL;
	int r = request_body_json(rq, &body, err);
	if (r < 0)
		return r;
	const char *key;
	json_t *v;
	json_object_foreach (body, key, v) {
		size_t i = 0;
		while (i < n && strcmp(args[i].key, key) != 0)
			i++;
		if (i == n) {
			char shown[80];
			str_escape(shown, sizeof(shown), key);
			return err_set(err, EINVAL, "unknown key \"%s\" in the request", shown);
		}
		if (!json_is_null(v) && (r = take_arg(&args[i], v, err)) < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++)
		if (args[i].required &&
		    (!(v = json_object_get(body, args[i].key)) || json_is_null(v)))
			return err_set(err, EINVAL, "the request needs \"%s\"", args[i].key);
	return 0;
}
