/* SPDX-License-Identifier: Apache-2.0 */
/* Operations and transactions tied together: written first, told afterwards. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

/* Seconds until a start that could not be written is tried again: a full disk stays full. */
#define RESTORE_DELAY 10u
/* Operations that end between two looks at what is too old. */
#define PRUNE_EVERY 64u

struct commit {
	struct inst *inst;
	void (*next)(struct inst *i, const struct err *err);
};

static void on_commit(void *arg, const struct err *err)
{
	struct commit c = *(struct commit *)arg;

	free(arg);
	if (!c.inst->manager->is_closing)
		c.next(c.inst, err);
}

void inst_commit(struct inst *i, struct store_txn *t,
		 void (*next)(struct inst *i, const struct err *err))
{
	struct commit *c = malloc(sizeof(*c));
	struct err err = ERR_INIT;

	if (!c) {
		store_txn_free(t);
		(void)err_set(&err, ENOMEM, "cannot write to the database: out of memory");
		next(i, &err);
		return;
	}
	*c = (struct commit){.inst = i, .next = next};
	if (store_submit(t, on_commit, c, &err) < 0) {
		free(c);
		next(i, &err);
	}
}

struct begin {
	struct inst *inst;
	struct op *op;
	void (*next)(struct inst *i, const struct err *err);
};

static void on_begin(void *arg, const struct err *err)
{
	struct begin b = *(struct begin *)arg;

	free(arg);
	if (b.inst->manager->is_closing)
		return;
	if (err)
		b.inst->op = NULL;
	op_committed(b.op, err);
	b.next(b.inst, err);
}

int inst_begin(struct inst *i, enum op_kind kind, void (*next)(struct inst *i, const struct err *),
	       struct op **ret, struct err *err)
{
	struct begin *b = malloc(sizeof(*b));
	struct store_txn *t;
	struct op *op;
	int r;

	if (!b)
		return err_set(err, ENOMEM, "cannot start an operation: out of memory");
	r = op_new(i->manager->ops, kind, i->full_name, i->id, &op, err);
	if (r < 0) {
		free(b);
		return r;
	}
	*b = (struct begin){.inst = i, .op = op, .next = next};
	t = store_txn_new(i->manager->store);
	if (kind == OP_CREATE)
		db_add_inst(t, i);
	else
		db_put_inst(t, i);
	db_add_op(t, op);
	r = store_submit(t, on_begin, b, err);
	if (r < 0) {
		free(b);
		op_committed(op, err);
		return r;
	}
	i->op = op;
	if (ret)
		*ret = op;
	return 0;
}

struct finish {
	struct inst *inst; /* NULL = none */
	struct op *op;
	struct inst_manager *manager;
	char code[32];
	bool has_code, has_err;
	struct err err;
	json_t *result;
};

static void finish_now(struct finish *f, const struct err *db_err)
{
	struct inst *i = f->inst;
	const struct err *err = f->has_err ? &f->err : db_err;

	if (i && i->op == f->op) {
		i->op = NULL;
		i->p->has_loaded_op = false;
	}
	/* What failed to be written will be found by recovery; the truth is told now. */
	if (db_err && f->has_err)
		log_error("operation %s: cannot write its end: %s", f->op->id, err_text(db_err));
	op_end(f->op, f->has_code ? f->code : NULL, err, f->result);
	op_release(f->op);
	if (i)
		inst_replay_exit(i);
	free(f);
}

static void on_finish(void *arg, const struct err *err)
{
	struct finish *f = arg;

	if (f->manager->is_closing) {
		json_decref(f->result);
		free(f);
		return;
	}
	finish_now(f, err);
}

static void finish(struct inst_manager *m, struct inst *i, struct op *op, struct store_txn *t,
		   const char *code, const struct err *err, json_t *result)
{
	struct finish *f = calloc(1, sizeof(*f));
	struct err db_err = ERR_INIT;

	if (!f) {
		store_txn_free(t);
		if (i)
			i->op = NULL;
		op_end(op, code, err, result);
		if (i)
			inst_replay_exit(i);
		return;
	}
	*f = (struct finish){.inst = i, .op = op, .manager = m, .result = result};
	if (err) {
		f->has_err = true;
		f->err = *err;
		f->has_code = code && str_copy(f->code, sizeof(f->code), code) >= 0;
	}
	op_hold(op);
	if (++m->n_ended >= PRUNE_EVERY) {
		m->n_ended = 0;
		db_prune_ops(t);
	}
	db_end_op(t, op->id, f->has_code ? f->code : NULL, err, result);
	if (store_submit(t, on_finish, f, &db_err) < 0)
		finish_now(f, &db_err);
}

void inst_finish(struct inst *i, const char *code, const struct err *err, json_t *result)
{
	struct store_txn *t;

	if (!i->op) {
		json_decref(result);
		inst_save(i);
		return;
	}
	if (err)
		log_warning("%s: %s failed: %s", i->full_name, op_kind_name(i->op->kind),
			    err_text(err));
	t = store_txn_new(i->manager->store);
	db_put_inst(t, i);
	finish(i->manager, i, i->op, t, code, err, result);
}

void op_finish(struct inst_manager *m, struct op *op, struct store_txn *t, const char *code,
	       const struct err *err, json_t *result)
{
	if (err)
		log_warning("%s %s failed: %s", op_kind_name(op->kind), op->target, err_text(err));
	finish(m, NULL, op, t ? t : store_txn_new(m->store), code, err, result);
}

static void on_saved(void *arg, const struct err *err)
{
	(void)arg;
	if (err)
		log_error("cannot write the state of an instance: %s", err_text(err));
}

void inst_save(struct inst *i)
{
	struct store_txn *t = store_txn_new(i->manager->store);
	struct err err = ERR_INIT;

	db_put_inst(t, i);
	if (store_submit(t, on_saved, NULL, &err) < 0)
		on_saved(NULL, &err);
}

void inst_remember(struct inst *i)
{
	i->p->was = (struct inst_was){.phase = i->phase,
				      .desired = i->desired,
				      .state = i->state,
				      .suspension = i->suspension,
				      .is_failed = i->p->is_failed,
				      .restart_needed = i->restart_needed,
				      .failures = i->failures,
				      .retry_at = i->retry_at};
	memcpy(i->p->was.error, i->error, sizeof(i->error));
}

void inst_restore(struct inst *i)
{
	const struct inst_was *was = &i->p->was;
	uint64_t now = now_seconds();
	bool is_wanted;

	i->phase = was->phase;
	i->desired = was->desired;
	i->failures = was->failures;
	i->restart_needed = was->restart_needed;
	i->suspension = was->suspension;
	i->p->is_failed = was->is_failed;
	i->p->after_up = NULL;
	i->p->after_down = NULL;
	i->p->is_asked = false;
	i->p->force = false;
	memcpy(i->error, was->error, sizeof(i->error));
	if (inst_is_up(i)) {
		inst_rest(i);
		return;
	}
	is_wanted = i->phase == INST_PHASE_PRESENT && i->desired == INST_WANT_RUNNING &&
		    !i->p->is_failed && !i->suspension.mode;
	if (i->p->is_ending) {
		/* It ended meanwhile, and was judged as one that is not wanted any more. */
		i->p->verdict.action = is_wanted ? POLICY_RETRY : POLICY_STAY;
		i->p->verdict.delay = RESTORE_DELAY;
		return;
	}
	inst_set_state(i, was->state == INST_FAILED ? INST_FAILED : INST_STOPPED);
	if (is_wanted)
		inst_retry_later(i, was->retry_at > now ? (uint32_t)(was->retry_at - now)
							: RESTORE_DELAY);
}

void inst_replay_exit(struct inst *i)
{
	if (!i->p->has_exit)
		return;
	i->p->has_exit = false;
	inst_exited(i, i->boot, i->p->exit_how, i->p->exit_status);
}
