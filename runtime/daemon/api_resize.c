/* SPDX-License-Identifier: Apache-2.0 */
/* Another plan, other overrides: one instance, or all of a plan. */
#include "runtime/daemon/api.h"
#include "runtime/instance/resize.h"

/* Carries out what was asked, or says what that would do. */
static int change_one(struct request *rq, struct inst_resize *req, bool dry_run, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	struct inst *i = NULL;
	struct op *op = NULL;
	json_t *changes = NULL;
	int r = problems ? api_find_instance(rq, &i, err)
			 : err_set(err, ENOMEM, "no memory for the request");

	if (r < 0)
		return r;
	req->problems = problems;
	r = dry_run ? inst_resize_preview(i, req, &changes, err) : inst_resize(i, req, &op, err);
	if (r == -EINVAL && problems_count(problems))
		return api_answer_problems(rq, problems);
	if (r < 0)
		return r;
	if (!dry_run)
		return api_answer_op(rq, op, err);
	request_json(rq, 200, changes);
	return 0;
}

int api_instance_resize(struct request *rq, struct err *err)
{
	bool dry_run = false;
	struct inst_resize req = {.plan = NULL};
	const struct api_arg args[] = {
		{"plan", 's', true, &req.plan},
		{"force", 'b', false, &req.force},
		{"dry_run", 'b', false, &dry_run},
	};
	int r = API_ARGS(rq, args, err);

	return r < 0 ? r : change_one(rq, &req, dry_run, err);
}

int api_instance_set(struct request *rq, struct err *err)
{
	bool dry_run = false;
	struct inst_resize req = {.plan = NULL};
	json_t *set = NULL, *unset = NULL;
	const struct api_arg args[] = {
		{"set", 'o', false, &set},
		{"unset", 'j', false, &unset},
		{"force", 'b', false, &req.force},
		{"dry_run", 'b', false, &dry_run},
	};
	int r = API_ARGS(rq, args, err);

	if (r < 0)
		return r;
	if (unset && !json_is_array(unset))
		return err_set(err, EINVAL, "\"unset\" must be a list of paths");
	if (json_object_size(set) + json_array_size(unset) == 0)
		return err_set(err, EINVAL,
			       "the request needs \"set\", {\"memory.limit\": \"2GiB\"}, "
			       "or \"unset\", [\"memory.limit\"]");
	req.set = set;
	req.unset = unset;
	return change_one(rq, &req, dry_run, err);
}

int api_plan_resize(struct request *rq, struct err *err)
{
	struct inst_manager *m = api_of(rq)->manager;
	bool dry_run = false;
	struct inst_resize_all req = {.from = request_param(rq, 0)};
	const struct api_arg args[] = {
		{"plan", 's', true, &req.to},
		{"force", 'b', false, &req.force},
		{"dry_run", 'b', false, &dry_run},
	};
	struct op *op = NULL;
	json_t *changes = NULL;
	int r = API_ARGS(rq, args, err);

	if (r < 0)
		return r;
	r = dry_run ? inst_resize_all_preview(m, &req, &changes, err)
		    : inst_resize_all(m, &req, &op, err);
	if (r < 0)
		return r;
	if (!dry_run)
		return api_answer_op(rq, op, err);
	request_json(rq, 200, changes);
	return 0;
}
