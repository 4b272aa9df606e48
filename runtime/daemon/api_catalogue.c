/* SPDX-License-Identifier: Apache-2.0 */
/* Plans, tenants, and the documents that make them. */
#include "runtime/daemon/api.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/instance/apply.h"

#define DOCUMENTS_MAX 10000u

int api_plans_list(struct request *rq, struct err *err)
{
	(void)err;
	const struct catalog *c = inst_catalog(api_of(rq)->manager);
	json_t *a = json_array();
	for (size_t i = 0; i < c->n_plans; i++)
		(void)json_array_append_new(a, api_plan(c->plans[i]));
	request_json(rq, 200, json_pack("{s:o}", "plans", a));
	return 0;
}

int api_plan_get(struct request *rq, struct err *err)
{
	char name[SPEC_NAME_TEXT];
	uint64_t version = 0;
	const struct inst_plan *p = NULL;
	if (spec_plan_ref_parse(request_param(rq, 0), name, &version) == 0)
		p = catalog_plan(inst_catalog(api_of(rq)->manager), name, version);
	if (!p) {
		(void)err_set(err, ENOENT, "there is no such plan");
		return err_hint(err, "'vps plan ls' lists the plans");
	}
	request_json(rq, 200,
		     request_query_bool(rq, "document") ? spec_plan_document(&p->spec)
							: api_plan(p));
	return 0;
}

/* Between a request and the commit of its plan; whichever of them ends last frees it. */
struct plan_waiter {
	struct request *rq; /* NULL: the client went away */
	bool is_done;	    /* on_plan_added() was called, or will not be */
	bool was_there;
};

static void plan_waiter_release(struct request *rq, void *data)
{
	(void)rq;
	struct plan_waiter *w = data;
	w->rq = NULL;
	if (w->is_done)
		free(w);
}

static void on_plan_added(void *arg, const struct err *err)
{
	struct plan_waiter *w = arg;
	w->is_done = true;
	if (!w->rq)
		free(w);
	else if (err)
		request_error(w->rq, err);
	else
		request_json(w->rq, w->was_there ? 200 : 201,
			     json_pack("{s:b}", "added", !w->was_there));
}

int api_plan_add(struct request *rq, struct err *err)
{
	json_t *body = NULL;
	int r = request_body_json(rq, &body, err);
	if (r < 0)
		return r;
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_spec_plan_ struct spec_plan plan = {0};
	if (!problems)
		return err_set(err, ENOMEM, "no memory for the request");
	const char *file = request_query(rq, "name"); /* the client's, to be shown */
	const struct json_where where = {
		.file = file ? file : "", .path = "", .problems = problems};
	r = spec_plan_from_json(&plan, body, &where);
	if (r == -EINVAL)
		return api_answer_problems(rq, problems);
	if (r < 0)
		return err_set(err, -r, "no memory for the request");
	struct plan_waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "no memory for the request");
	const struct inst_plan *known =
		catalog_plan(inst_catalog(api_of(rq)->manager), plan.name, plan.version);
	w->was_there = known && !known->is_unwritten;
	w->rq = rq;
	request_set_data(rq, w, plan_waiter_release);
	request_defer(rq);
	r = inst_plan_add(api_of(rq)->manager, &plan, on_plan_added, w, err);
	if (r < 0)
		w->is_done = true;
	return r;
}

int api_tenants_list(struct request *rq, struct err *err)
{
	(void)err;
	const struct catalog *c = inst_catalog(api_of(rq)->manager);
	json_t *a = json_array();
	for (size_t i = 0; i < c->n_tenants; i++)
		(void)json_array_append_new(a, api_tenant(c->tenants[i]));
	request_json(rq, 200, json_pack("{s:o}", "tenants", a));
	return 0;
}

int api_tenant_get(struct request *rq, struct err *err)
{
	const struct inst_tenant *t =
		catalog_tenant(inst_catalog(api_of(rq)->manager), request_param(rq, 0));
	if (!t) {
		(void)err_set(err, ENOENT, "there is no such tenant");
		return err_hint(err, "'vps tenant ls' lists the tenants");
	}
	json_t *o = api_tenant(t);
	if (o)
		(void)json_object_set_new(o, "limits", api_tenant_limits(api_of(rq)->manager, t));
	request_json(rq, 200, o);
	return 0;
}

/* --- documents ----------------------------------------------------------------------------- */

static int read_documents(const json_t *documents, struct spec_set *set, struct problems *problems,
			  struct err *err)
{
	size_t i;
	json_t *d;
	if (!json_is_array(documents) || json_array_size(documents) > DOCUMENTS_MAX)
		return err_set(err, EINVAL, "\"documents\" must be a list of {\"name\", \"text\"}");
	json_array_foreach (documents, i, d) {
		const json_t *text = json_object_get(d, "text");
		const char *name = json_string_value(json_object_get(d, "name"));
		if (!json_is_string(text) || !name || json_object_size(d) != 2)
			return err_set(
				err, EINVAL,
				"documents[%zu] must be {\"name\": STRING, \"text\": STRING}", i);
		int r = spec_set_add_text(set, SPEC_KIND_AUTO, json_string_value(text),
					  json_string_length(text), name, problems);
		if (r == -ENOMEM)
			return err_set(err, ENOMEM, "no memory for the documents");
	}
	if (problems_count(problems) == 0 && spec_set_check(set, problems) == -ENOMEM)
		return err_set(err, ENOMEM, "no memory for the documents");
	return 0;
}

int api_validate(struct request *rq, struct err *err)
{
	json_t *documents = NULL;
	const struct api_arg args[] = {{"documents", 'j', true, &documents}};
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	int r = problems ? API_ARGS(rq, args, err)
			 : err_set(err, ENOMEM, "no memory for the documents");
	if (r == 0)
		r = read_documents(documents, &set, problems, err);
	if (r < 0)
		return r;
	if (problems_count(problems))
		return api_answer_problems(rq, problems);
	request_json(rq, 200, json_pack("{s:b}", "valid", 1));
	return 0;
}

int api_apply(struct request *rq, struct err *err)
{
	json_t *documents = NULL, *changes = NULL;
	bool dry_run = false;
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	struct inst_apply req = {.set = &set};
	const struct api_arg args[] = {
		{"documents", 'j', true, &documents},
		{"dry_run", 'b', false, &dry_run},
		{"prune", 'b', false, &req.prune},
		{"take_over", 'b', false, &req.take_over},
	};
	_cleanup_problems_ struct problems *problems = problems_new();
	int r = problems ? API_ARGS(rq, args, err)
			 : err_set(err, ENOMEM, "no memory for the documents");
	if (r == 0)
		r = read_documents(documents, &set, problems, err);
	if (r == 0 && set.host)
		r = err_set(err, EINVAL,
			    "%s is a host document: it is read by vpsd at its start and cannot be "
			    "applied",
			    set.host_file ? set.host_file : "one");
	if (r < 0)
		return r;
	if (problems_count(problems))
		return api_answer_problems(rq, problems);
	if (dry_run) {
		r = inst_apply_preview(api_of(rq)->manager, &req, &changes, err);
		if (r == 0)
			request_json(rq, 200, changes);
		return r;
	}
	struct op *op = NULL;
	r = inst_apply(api_of(rq)->manager, &req, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}
