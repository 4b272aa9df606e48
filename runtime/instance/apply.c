/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying a difference out. Everything is begun at once: transactions commit in the order in which
 * they were handed in, so plans and tenants are there before the instances that need them, and
 * instances do not wait for each other. Only what is refused for want of room, or of an address
 * that another one has, waits until the deletions and changes have ended that may make some, and is
 * tried again. The end of the last one ends the operation.
 */
#include "runtime/instance/apply.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/addresses_private.h"
#include "runtime/instance/apply_diff.h"
#include "runtime/instance/private.h"

struct apply_wait;

struct apply {
	struct inst_manager *manager;
	struct op *op;
	json_t *changes; /* array */
	size_t pending;
	size_t failed;
	size_t n_making_room; /* deletions and changes under way */
	struct apply_wait *waits, **last_wait;
	bool is_last_try;
	char undeleted[130]; /* the first whose deletion failed; "" = none */
};

/* One change under way. */
struct apply_step {
	struct apply *apply;
	size_t index; /* in changes */
	enum diff_action action;
	bool makes_room; /* it counts in n_making_room */
};

/* One that waits for room. The documents may be gone by its turn. */
struct apply_wait {
	struct apply_wait *next;
	struct apply_step *step;
	struct diff_change change;
	struct spec_instance spec;
	struct spec_tenant tenant;
};

static int compute(struct inst_manager *m, const struct inst_apply *req, struct diff *ret,
		   struct err *err)
{
	struct diff_inst *insts = calloc(m->n_insts + 1, sizeof(*insts));
	struct diff_input in = {.set = req->set,
				.catalog = &m->catalog,
				.insts = insts,
				.prune = req->prune,
				.take_over = req->take_over};
	int r;

	if (!insts)
		return err_set(err, ENOMEM, "cannot compare documents: out of memory");
	for (size_t i = 0; i < m->n_insts; i++) {
		const struct inst *x = m->insts[i];

		if (x->phase == INST_PHASE_DELETING)
			continue;
		insts[in.n_insts++] = (struct diff_inst){.tenant = x->tenant->spec.name,
							 .spec = &x->spec,
							 .plan = x->plan->spec.name,
							 .plan_version = x->plan->spec.version,
							 .by_file = x->by_file,
							 .file_fields = x->file_fields};
	}
	r = diff_compute(&in, ret, err);
	free(insts);
	return r;
}

static json_t *list(const struct diff *d)
{
	json_t *changes = json_array();

	for (size_t i = 0; i < d->n; i++)
		if (json_array_append_new(changes, diff_to_json(&d->items[i])) < 0) {
			json_decref(changes);
			return NULL;
		}
	return changes;
}

/* --- addresses in a dry run ------------------------------------------------------------------ */

/* Takes the addresses of one change as if it were carried out. *ret_old is what it has already. */
static int try_addresses(struct inst_manager *m, const struct diff_change *c, struct inst_net *ret,
			 const struct inst_net **ret_old, struct err *err)
{
	const struct inst *i = inst_find(m, c->tenant, c->instance->name);
	_cleanup_spec_instance_ struct spec_instance merged = {0};
	struct inst_net_wish wish = {.id = i ? i->id : c->target,
				     .tenant = catalog_tenant(&m->catalog, c->tenant),
				     .old = i,
				     .spec = c->instance};
	int r = 0;

	if (i) {
		r = diff_merge(&i->spec, c->instance, c->fields, &merged, err);
		wish.spec = &merged;
		*ret_old = &i->net;
	}
	return r < 0 ? r : inst_net_build(m, &wish, ret, err);
}

static bool changes_addresses(const struct diff_change *c)
{
	return c->kind == DIFF_INSTANCE &&
	       (c->action == DIFF_CREATE ||
		(c->action == DIFF_CHANGE && (c->fields & 1u << INST_FIELD_NETWORK)));
}

/* What is refused for its addresses alone. They are taken one after the other, and given back when
 * all are judged. What may become free by the same documents is not held against them. */
static int judge_addresses(struct inst_manager *m, struct diff *d, struct err *err)
{
	_cleanup_free_ struct inst_net *nets = calloc(d->n + 1, sizeof(*nets));
	_cleanup_free_ const struct inst_net **olds = calloc(d->n + 1, sizeof(*olds));
	bool makes_room = false;

	if (!nets || !olds)
		return err_set(err, ENOMEM, "cannot compare documents: out of memory");
	for (size_t k = 0; k < d->n; k++)
		makes_room = makes_room || d->items[k].action == DIFF_DELETE ||
			     (d->items[k].action == DIFF_CHANGE && changes_addresses(&d->items[k]));
	for (size_t k = 0; k < d->n; k++) {
		struct diff_change *c = &d->items[k];
		struct err why = ERR_INIT;
		int r = changes_addresses(c) ? try_addresses(m, c, &nets[k], &olds[k], &why) : 0;

		if (r >= 0 || (makes_room && (r == -ENOSPC || r == -EADDRINUSE)))
			continue;
		c->action = DIFF_REFUSED;
		(void)str_fmt(c->reason, sizeof(c->reason), "%.390s", err_text(&why));
	}
	for (size_t k = 0; k < d->n; k++)
		inst_net_release(m, &nets[k], olds[k]);
	return 0;
}

int inst_apply_preview(struct inst_manager *m, const struct inst_apply *req, json_t **ret,
		       struct err *err)
{
	_cleanup_diff_ struct diff d = {0};
	json_t *changes;
	int r = compute(m, req, &d, err);

	if (r >= 0)
		r = judge_addresses(m, &d, err);
	if (r < 0)
		return r;
	changes = list(&d);
	*ret = changes ? json_pack("{s:o}", "changes", changes) : NULL;
	return *ret ? 0 : err_set(err, ENOMEM, "cannot list the changes: out of memory");
}

/* --- outcomes -------------------------------------------------------------------------------- */

static void finish(struct apply *a)
{
	struct err err = ERR_INIT;
	json_t *result;

	if (a->pending > 0)
		return;
	result = json_pack("{s:o}", "changes", a->changes);
	if (a->failed)
		(void)err_set(&err, EIO, "%zu of %zu changes failed", a->failed,
			      json_array_size(json_object_get(result, "changes")));
	op_finish(a->manager, a->op, NULL, a->failed ? "apply-failed" : NULL,
		  a->failed ? &err : NULL, result);
	op_release(a->op);
	free(a);
}

static void set_outcome(struct apply *a, size_t index, const char *outcome, const char *code,
			const struct err *err)
{
	json_t *row = json_array_get(a->changes, index);

	(void)json_object_set_new(row, "outcome", json_string(outcome));
	if (!err)
		return;
	a->failed++;
	(void)json_object_set_new(row, "error",
				  json_pack("{s:s, s:s, s:s}", "code",
					    code ? code : op_error_code(err->code), "message",
					    err_text(err), "hint", err->hint));
}

static void note_undeleted(struct apply *a, size_t index)
{
	const json_t *row = json_array_get(a->changes, index);

	if (!*a->undeleted)
		(void)str_copy(a->undeleted, sizeof(a->undeleted),
			       json_string_value(json_object_get(row, "target")));
}

static void try_waiting(struct apply *a);

static void step_ended(struct apply_step *step, const char *code, const struct err *err)
{
	struct apply *a = step->apply;

	set_outcome(a, step->index, err ? "failed" : "done", code, err);
	if (err && step->action == DIFF_DELETE)
		note_undeleted(a, step->index);
	a->n_making_room -= step->makes_room;
	free(step);
	try_waiting(a);
	a->pending--;
	op_progress(a->op, "apply", json_array_size(a->changes) - a->pending,
		    json_array_size(a->changes));
	finish(a);
}

/* A change that the guest sees at its next start says so. */
static void on_op_ended(void *arg, struct op *op)
{
	const struct apply_step *step = arg;
	const struct inst *i = inst_find_by_id(step->apply->manager, op->instance_id);

	if (op->kind == OP_CHANGE && op->status == OP_DONE && i && i->p->change_waits &&
	    inst_is_up(i))
		(void)json_object_set_new(json_array_get(step->apply->changes, step->index),
					  "restart_needed", json_true());
	step_ended(arg, op->error_code, op->status == OP_FAILED ? &op->err : NULL);
}

static void on_written(void *arg, const struct err *err)
{
	struct apply_step *step = arg;

	if (step->apply->manager->is_closing)
		return;
	step_ended(step, NULL, err);
}

/* --- steps ----------------------------------------------------------------------------------- */

static int create(struct inst_manager *m, const struct diff_change *c, struct op **ret,
		  struct err *err)
{
	const struct inst_create req = {.tenant = c->tenant,
					.spec = c->instance,
					.start = c->instance->autostart.enabled,
					.by_file = true};

	return inst_create(m, &req, ret, err);
}

static int change(struct inst *i, const struct diff_change *c, struct op **ret, struct err *err)
{
	struct spec_instance merged = {0};
	int r = diff_merge(&i->spec, c->instance, c->fields, &merged, err);

	if (r >= 0)
		r = inst_change(i, &merged, i->file_fields | c->fields, ret, err);
	spec_instance_done(&merged);
	return r;
}

static int run_instance(struct inst_manager *m, const struct diff_change *c,
			struct apply_step *step, struct err *err)
{
	const char *name = strchr(c->target, '/') + 1;
	struct inst *i = inst_find(m, c->tenant, name);
	struct op *op = NULL;
	int r;

	if (c->action == DIFF_CREATE)
		r = create(m, c, &op, err);
	else if (!i)
		return err_set(err, ENOENT, "there is no instance '%s'", c->target);
	else if (c->action == DIFF_DELETE)
		r = inst_delete(i, true, &op, err);
	else
		r = change(i, c, &op, err);
	if (r < 0)
		return r;
	return op_watch(op, OP_WHEN_ENDED, on_op_ended, step, NULL, err);
}

/* Keeps a copy until there may be room. */
static bool wait_for_room(struct apply *a, const struct diff_change *c, struct apply_step *step)
{
	struct apply_wait *w = calloc(1, sizeof(*w));

	int r;

	if (!w)
		return false;
	r = c->kind == DIFF_TENANT ? json_rows_copy(&spec_tenant_table, &w->tenant, c->tenant_spec)
				   : json_rows_copy(&spec_instance_table, &w->spec, c->instance);
	if (r < 0) {
		free(w);
		return false;
	}
	w->step = step;
	w->change = *c;
	w->change.instance = &w->spec;
	w->change.tenant_spec = &w->tenant;
	w->change.json_fields = NULL;
	*a->last_wait = w;
	a->last_wait = &w->next;
	return true;
}

static void begin_instance(struct apply *a, const struct diff_change *c, struct apply_step *step)
{
	struct err err = ERR_INIT;
	int r;

	/* It may end from within. */
	step->makes_room = c->action != DIFF_CREATE;
	a->n_making_room += step->makes_room;
	r = run_instance(a->manager, c, step, &err);
	if (r >= 0)
		return;
	if ((r == -ENOSPC || r == -EADDRINUSE) && !a->is_last_try && c->action != DIFF_DELETE &&
	    wait_for_room(a, c, step)) {
		a->n_making_room -= step->makes_room;
		step->makes_room = false;
		return;
	}
	if ((r == -ENOSPC || r == -EADDRINUSE) && *a->undeleted)
		(void)err_ctx(&err, "'%s' could not be deleted", a->undeleted);
	step_ended(step, NULL, &err);
}

/* A quota below what is in use is refused by the kernel's figures until those have gone. */
static void begin_tenant(struct apply *a, const struct diff_change *c, struct apply_step *step)
{
	struct err err = ERR_INIT;
	int r = inst_tenant_put(a->manager, c->tenant_spec, on_written, step, &err);

	if (r >= 0 || (r == -EBUSY && !a->is_last_try && wait_for_room(a, c, step)))
		return;
	step_ended(step, NULL, &err);
}

/* A turn of its own: whoever ended an operation is done with it by then. */
static void on_turn(void *arg, const struct err *err)
{
	struct apply *a = arg;
	struct apply_wait *w = a->waits;

	(void)err;
	if (a->manager->is_closing)
		return;
	a->waits = NULL;
	while (w) {
		struct apply_wait *next = w->next;

		if (w->change.kind == DIFF_TENANT)
			begin_tenant(a, &w->change, w->step);
		else
			begin_instance(a, &w->change, w->step);
		spec_instance_done(&w->spec);
		spec_tenant_done(&w->tenant);
		free(w);
		w = next;
	}
	a->pending--;
	finish(a);
}

static void try_waiting(struct apply *a)
{
	struct err err = ERR_INIT;

	/* Not before all have been begun, and once. */
	if (!a->waits || a->n_making_room > 0 || a->is_last_try)
		return;
	a->is_last_try = true;
	a->pending++;
	if (store_submit(store_txn_new(a->manager->store), on_turn, a, &err) < 0)
		on_turn(a, &err);
}

static void run(struct apply *a, const struct diff_change *c, size_t index)
{
	struct apply_step *step;
	struct err err = ERR_INIT;
	int r;

	if (c->action == DIFF_DRIFT) {
		set_outcome(a, index, "skipped", NULL, NULL);
		return;
	}
	if (c->action == DIFF_REFUSED) {
		(void)err_set(&err, EINVAL, "%s", c->reason);
		set_outcome(a, index, "failed", NULL, &err);
		return;
	}
	step = malloc(sizeof(*step));
	if (!step) {
		(void)err_set(&err, ENOMEM, "out of memory");
		set_outcome(a, index, "failed", NULL, &err);
		return;
	}
	*step = (struct apply_step){.apply = a, .index = index, .action = c->action};
	a->pending++;
	if (c->kind == DIFF_INSTANCE) {
		begin_instance(a, c, step);
		return;
	}
	if (c->kind == DIFF_TENANT) {
		begin_tenant(a, c, step);
		return;
	}
	r = inst_plan_add(a->manager, c->plan, on_written, step, &err);
	if (r < 0)
		step_ended(step, NULL, &err);
}

static void on_begun(void *arg, const struct err *err)
{
	op_committed(arg, err);
}

int inst_apply(struct inst_manager *m, const struct inst_apply *req, struct op **ret,
	       struct err *err)
{
	_cleanup_diff_ struct diff d = {0};
	struct apply *a = NULL;
	struct store_txn *t;
	int r = inst_check_ready(m, err);

	if (r >= 0)
		r = compute(m, req, &d, err);
	if (r < 0)
		return r;
	a = calloc(1, sizeof(*a));
	if (a)
		a->changes = list(&d);
	if (!a || !a->changes) {
		free(a);
		return err_set(err, ENOMEM, "cannot apply: out of memory");
	}
	a->manager = m;
	a->last_wait = &a->waits;
	r = op_new(m->ops, OP_APPLY, "documents", NULL, &a->op, err);
	if (r < 0) {
		json_decref(a->changes);
		free(a);
		return r;
	}
	t = store_txn_new(m->store);
	db_add_op(t, a->op);
	r = store_submit(t, on_begun, a->op, err);
	if (r < 0) {
		op_committed(a->op, err);
		json_decref(a->changes);
		free(a);
		return r;
	}
	*ret = a->op;
	op_hold(a->op);
	/* Held open until all have been begun. */
	a->pending = 1;
	a->n_making_room = 1;
	for (size_t i = 0; i < d.n; i++)
		run(a, &d.items[i], i);
	a->n_making_room--;
	try_waiting(a);
	a->pending--;
	finish(a);
	return 0;
}
