/* SPDX-License-Identifier: Apache-2.0 */
/* All instances of a plan to another, one after the other. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "runtime/instance/resize_private.h"

/* Which instances, and where to. */
struct selection {
	char name[SPEC_NAME_TEXT];
	uint64_t version; /* 0 = any */
	struct inst_plan *to;
	char to_ref[PLAN_REF_TEXT];
};

static int select_plans(struct inst_manager *m, const struct inst_resize_all *req,
			struct selection *ret, struct err *err)
{
	struct inst_plan *from;
	int r = resize_find_plan(m, req->from, &from, err);

	if (r >= 0)
		r = resize_find_plan(m, req->to, &ret->to, err);
	if (r < 0)
		return r;
	(void)spec_plan_ref_parse(req->from, ret->name, &ret->version);
	resize_plan_ref(ret->to_ref, ret->to);
	return 0;
}

static bool is_selected(const struct selection *s, const struct inst *i)
{
	return i->phase != INST_PHASE_DELETING && i->plan != s->to &&
	       str_eq(i->plan->spec.name, s->name) &&
	       (s->version == 0 || s->version == i->plan->spec.version);
}

int inst_resize_all_preview(struct inst_manager *m, const struct inst_resize_all *req, json_t **ret,
			    struct err *err)
{
	_cleanup_json_ json_t *rows = json_array();
	struct inst_change **made = calloc(m->n_insts + 1, sizeof(struct inst_change *));
	struct selection s;
	int r = made ? select_plans(m, req, &s, err)
		     : err_set(err, ENOMEM, "cannot list the changes: out of memory");

	/* Each is made in memory, for the sums to be right for the next; nobody sees it before all
	 * are taken back. */
	for (size_t n = 0; r >= 0 && n < m->n_insts; n++) {
		_cleanup_problems_ struct problems *p = problems_new();
		const struct inst_resize one = {
			.plan = s.to_ref, .force = req->force, .problems = p};

		if (!is_selected(&s, m->insts[n]))
			continue;
		r = p ? resize_preview(m->insts[n], &one, rows, &made[n], err)
		      : resize_no_memory(m->insts[n], err);
		if (made[n])
			inst_change_swap(m->insts[n], made[n]);
	}
	for (size_t n = m->n_insts; made && n-- > 0;) {
		if (made[n])
			inst_change_swap(m->insts[n], made[n]);
		inst_change_free(made[n]);
	}
	free(made);
	return r < 0 ? r : resize_answer(&rows, ret, err);
}

struct inst_move {
	struct inst_manager *manager;
	struct op *op;
	struct selection selection;
	bool force;
	char (*ids)[ID_TEXT];
	size_t n, at, n_failed;
	json_t *rows;
};

static void move_free(struct inst_move *v)
{
	if (!v)
		return;
	json_decref(v->rows);
	free(v->ids);
	free(v);
}

void inst_move_drop(struct inst_manager *m)
{
	move_free(m->move);
	m->move = NULL;
}

static void move_end(struct inst_move *v)
{
	struct inst_manager *m = v->manager;
	struct op *op = v->op;
	struct err err = ERR_INIT;
	json_t *result = json_pack("{s:O}", "changes", v->rows);
	bool has_failed = v->n_failed > 0;

	if (has_failed) {
		(void)err_set(&err, EIO, "%zu of %zu instances failed", v->n_failed, v->n);
		(void)err_hint(&err, "the others are done; the same again takes up those that "
				     "failed");
	}
	inst_move_drop(m);
	op_finish(m, op, NULL, has_failed ? "resize-failed" : NULL, has_failed ? &err : NULL,
		  result);
	op_release(op);
}

static void note(struct inst_move *v, const char *outcome, const char *code, const struct err *err)
{
	json_t *row = json_array_get(v->rows, json_array_size(v->rows) - 1);

	(void)json_object_set_new(row, "outcome", json_string(outcome));
	v->at++;
	op_progress(v->op, "resize", v->at, v->n);
	if (!err)
		return;
	v->n_failed++;
	(void)json_object_set_new(row, "error",
				  json_pack("{s:s, s:s, s:s}", "code",
					    code ? code : op_error_code(err->code), "message",
					    err_text(err), "hint", err->hint));
}

static void move_on(struct inst_move *v);

static void on_moved(void *arg, struct op *op)
{
	struct inst_move *v = arg;

	note(v, op->status == OP_FAILED ? "failed" : "done", op->error_code,
	     op->status == OP_FAILED ? &op->err : NULL);
	move_on(v);
}

/* The row of the next one, as it is now. */
static void add_row(struct inst_move *v, struct inst *i, const struct inst_resize *req)
{
	struct err err = ERR_INIT;
	size_t n = json_array_size(v->rows);

	if (resize_preview(i, req, v->rows, NULL, &err) < 0 || json_array_size(v->rows) == n)
		(void)json_array_append_new(v->rows,
					    json_pack("{s:s, s:s, s:[]}", "kind", "instance",
						      "target", i->full_name, "fields"));
	/* Whether it is refused is what follows. */
	(void)json_object_set_new(json_array_get(v->rows, n), "action", json_string("change"));
	(void)json_object_set_new(json_array_get(v->rows, n), "reason", json_string(""));
	(void)json_object_del(json_array_get(v->rows, n), "hint");
}

/* True: on_moved() goes on. */
static bool move_one(struct inst_move *v, struct inst *i)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_problems_ struct problems *unused = problems_new();
	struct inst_resize req = {
		.plan = v->selection.to_ref, .force = v->force, .problems = unused};
	struct err err = ERR_INIT;
	struct op *op = NULL;
	int r;

	if (!p || !unused) {
		v->n_failed++;
		v->at++;
		return false;
	}
	add_row(v, i, &req);
	req.problems = p;
	r = inst_resize(i, &req, &op, &err);
	if (r >= 0)
		r = op_watch(op, OP_WHEN_ENDED, on_moved, v, NULL, &err);
	if (r >= 0)
		return true;
	note(v, "failed", NULL, &err);
	return false;
}

static void move_on(struct inst_move *v)
{
	while (v->at < v->n) {
		struct inst *i = inst_find_by_id(v->manager, v->ids[v->at]);

		/* Deleted or resized by somebody else meanwhile. */
		if (!i || !is_selected(&v->selection, i))
			v->at++;
		else if (move_one(v, i))
			return;
	}
	move_end(v);
}

static void on_begun(void *arg, const struct err *err)
{
	struct inst_move *v = arg;
	struct op *op = v->op;

	if (v->manager->is_closing)
		return;
	if (err)
		inst_move_drop(v->manager);
	op_committed(op, err);
	if (err)
		op_release(op);
	else
		move_on(v);
}

static int move_new(struct inst_manager *m, const struct inst_resize_all *req,
		    struct inst_move **ret, struct err *err)
{
	struct inst_move *v = calloc(1, sizeof(*v));
	int r = v ? select_plans(m, req, &v->selection, err)
		  : err_set(err, ENOMEM, "cannot resize: out of memory");

	if (r >= 0) {
		v->manager = m;
		v->force = req->force;
		v->rows = json_array();
		v->ids = calloc(m->n_insts + 1, sizeof(*v->ids));
		if (!v->rows || !v->ids)
			r = err_set(err, ENOMEM, "cannot resize: out of memory");
	}
	for (size_t n = 0; r >= 0 && n < m->n_insts; n++)
		if (is_selected(&v->selection, m->insts[n]))
			memcpy(v->ids[v->n++], m->insts[n]->id, ID_TEXT);
	if (r < 0)
		move_free(v);
	else
		*ret = v;
	return r;
}

int inst_resize_all(struct inst_manager *m, const struct inst_resize_all *req, struct op **ret,
		    struct err *err)
{
	struct inst_move *v = NULL;
	struct store_txn *t;
	int r = inst_check_ready(m, err);

	if (r < 0)
		return r;
	if (m->move)
		return err_set(err, EBUSY, "instances are being resized already: operation %s",
			       m->move->op->id);
	r = move_new(m, req, &v, err);
	if (r < 0)
		return r;
	r = op_new(m->ops, OP_RESIZE_ALL, req->from, NULL, &v->op, err);
	if (r < 0) {
		move_free(v);
		return r;
	}
	t = store_txn_new(m->store);
	db_add_op(t, v->op);
	r = store_submit(t, on_begun, v, err);
	if (r < 0) {
		op_committed(v->op, err);
		move_free(v);
		return r;
	}
	op_hold(v->op);
	m->move = v;
	*ret = v->op;
	return 0;
}
