/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: reading, creating, starting, stopping, suspending, deleting, waiting. */
#include "runtime/daemon/api.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"

#define STOP_TIMEOUT_MAX_USEC (3600u * 1000000ull)
#define WAIT_DEFAULT_USEC (60u * 1000000ull)
#define WAIT_MAX_USEC (3600u * 1000000ull)

int api_instances_list(struct request *rq, struct err *err)
{
	const struct inst_manager *m = api_of(rq)->manager;
	const char *tenant = request_query(rq, "tenant");
	if (tenant && !catalog_tenant(inst_catalog(m), tenant))
		return err_set(err, ENOENT, "there is no tenant '%s'", tenant);
	json_t *a = json_array();
	struct inst *i;
	for (size_t n = 0; (i = inst_at(m, n)); n++)
		if (!tenant || str_eq(tenant, i->tenant->spec.name))
			(void)json_array_append_new(a, api_instance(i, false));
	request_json(rq, 200, json_pack("{s:o}", "instances", a));
	return 0;
}

int api_instance_get(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	int r = api_find_instance(rq, &i, err);
	if (r == 0)
		request_json(rq, 200, api_instance(i, true));
	return r;
}

/* The body is an instance of a tenant document with two keys more. */
int api_instance_create(struct request *rq, struct err *err)
{
	json_t *body = NULL;
	int r = request_body_json(rq, &body, err);
	if (r < 0)
		return r;
	_cleanup_json_ json_t *doc = json_copy(body);
	_cleanup_problems_ struct problems *problems = problems_new();
	if (!doc || !problems)
		return err_set(err, ENOMEM, "no memory for the request");
	json_t *tenant = json_object_get(body, "tenant"), *start = json_object_get(body, "start");
	if (!json_is_string(tenant))
		return err_set(err, EINVAL, "the request needs \"tenant\", a string");
	if (start && !json_is_boolean(start))
		return err_set(err, EINVAL, "\"start\" must be true or false");
	(void)json_object_del(doc, "tenant");
	(void)json_object_del(doc, "start");

	_cleanup_spec_instance_ struct spec_instance spec = {0};
	const struct json_where where = {.file = "", .path = "", .problems = problems};
	r = spec_instance_from_json(&spec, doc, &where);
	if (r == -EINVAL)
		return api_answer_problems(rq, problems);
	if (r < 0)
		return err_set(err, -r, "no memory for the request");
	const struct inst_create req = {
		.tenant = json_string_value(tenant),
		.spec = &spec,
		.start = !start || json_is_true(start),
	};
	struct op *op = NULL;
	r = inst_create(api_of(rq)->manager, &req, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

int api_instance_delete(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	struct op *op = NULL;
	int r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = inst_delete(i, request_query_bool(rq, "force"), &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

int api_instance_start(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	struct op *op = NULL;
	int r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = inst_start(i, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

static int stop_like(struct request *rq,
		     int (*act)(struct inst *, uint64_t, bool, struct op **, struct err *),
		     struct err *err)
{
	struct inst *i = NULL;
	struct op *op = NULL;
	const char *text = NULL;
	bool force = false;
	uint64_t timeout = 0;
	const struct api_arg args[] = {
		{"timeout", 's', false, &text},
		{"force", 'b', false, &force},
	};
	int r = API_ARGS(rq, args, err);
	if (r == 0)
		r = api_duration(text, 0, STOP_TIMEOUT_MAX_USEC, &timeout, err);
	if (r == 0)
		r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = act(i, timeout, force, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

int api_instance_stop(struct request *rq, struct err *err)
{
	return stop_like(rq, inst_stop, err);
}

int api_instance_restart(struct request *rq, struct err *err)
{
	return stop_like(rq, inst_restart, err);
}

int api_instance_suspend(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	struct op *op = NULL;
	const char *name = "freeze", *reason = NULL;
	const struct api_arg args[] = {
		{"mode", 's', false, &name},
		{"reason", 's', false, &reason},
	};
	int mode = 0, r = API_ARGS(rq, args, err);
	if (r == 0)
		mode = inst_suspend_from_name(name);
	if (mode < 0)
		return err_set(err, EINVAL,
			       "\"%.40s\" is not a mode; write one of freeze, stop, network", name);
	if (r == 0)
		r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = inst_suspend(i, (enum inst_suspend)mode, reason, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

int api_instance_resume(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	struct op *op = NULL;
	int r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = inst_resume(i, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

int api_instance_protect(struct request *rq, struct err *err)
{
	struct inst *i = NULL;
	struct op *op = NULL;
	bool protected = true;
	const struct api_arg args[] = {{"protected", 'b', false, &protected}};
	int r = API_ARGS(rq, args, err);
	if (r == 0)
		r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = inst_protect(i, protected, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

/* --- waiting for a state ------------------------------------------------------------------- */

struct waiter {
	struct request *rq;
	struct inst_wait *wait;
	sd_event_source *timer;
	char name[130];
	enum inst_state state;
};

static void waiter_release(struct request *rq, void *data)
{
	(void)rq;
	struct waiter *w = data;
	inst_wait_cancel(w->wait);
	sd_event_source_disable_unref(w->timer);
	free(w);
}

static void on_state(void *arg, struct inst *i, bool gone)
{
	struct waiter *w = arg;
	struct err err = ERR_INIT;
	w->wait = NULL;
	w->timer = sd_event_source_disable_unref(w->timer);
	if (gone) {
		(void)err_set(&err, ENOENT, "'%s' was deleted meanwhile", w->name);
		request_error(w->rq, &err);
	} else {
		request_json(w->rq, 200, api_instance(i, false));
	}
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	struct waiter *w = userdata;
	struct err err = ERR_INIT;
	inst_wait_cancel(w->wait);
	w->wait = NULL;
	(void)err_set(&err, ETIMEDOUT, "'%s' did not become %s in time", w->name,
		      inst_state_name(w->state));
	request_error(w->rq, &err);
	return 0;
}

int api_instance_wait(struct request *rq, struct err *err)
{
	struct api *api = api_of(rq);
	struct inst *i = NULL;
	uint64_t timeout = 0;
	const char *name = request_query(rq, "state");
	int r = api_find_instance(rq, &i, err);
	if (r == 0)
		r = api_duration(request_query(rq, "timeout"), WAIT_DEFAULT_USEC, WAIT_MAX_USEC,
				 &timeout, err);
	if (r < 0)
		return r;
	int state = inst_state_from_name(name ? name : "");
	if (state < 0)
		return err_set(err, EINVAL,
			       "\"%.40s\" is not a state; write one of stopped, starting, running, "
			       "ready, stopping, failed, suspended",
			       name ? name : "");
	struct waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "no memory to wait");
	w->rq = rq;
	w->state = (enum inst_state)state;
	(void)str_copy(w->name, sizeof(w->name), i->full_name);
	request_set_data(rq, w, waiter_release);
	r = sd_event_add_time_relative(api->event, &w->timer, CLOCK_MONOTONIC, timeout, 10000,
				       on_timeout, w);
	if (r < 0)
		return err_set(err, -r, "cannot set a timer");
	request_defer(rq);
	return inst_wait(i, w->state, on_state, w, &w->wait, err);
}
