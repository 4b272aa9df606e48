/* SPDX-License-Identifier: Apache-2.0 */
/* Stop, restart and delete: what is wanted is written first, then the guest is taken down. */
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define REMOVE_LIMIT (3600 * USEC_PER_SEC)

int inst_check_verb(const struct inst *i, enum policy_verb verb, struct err *err)
{
	const char *why = policy_refuses(i->state, verb);
	int r = inst_check_ready(i->manager, err);

	if (r >= 0)
		r = inst_check_idle(i, verb, err);
	if (r < 0)
		return r;
	if (i->p->is_removing) {
		(void)err_set(err, EBUSY, "'%s' is being deleted already", i->full_name);
		return err_hint(err, "wait for its end; an interrupted deletion goes on by itself");
	}
	if (i->phase == INST_PHASE_DELETING && verb != POLICY_VERB_DELETE &&
	    verb != POLICY_VERB_FORCE_DELETE)
		return err_set(err, EBUSY, "'%s' is being deleted", i->full_name);
	if (why && i->state == INST_SUSPENDED)
		return inst_refuse_suspended(i, verb, err);
	if (!why && verb == POLICY_VERB_DELETE && inst_is_up(i))
		why = "its guest is frozen";
	if (!why)
		return 0;
	(void)err_set(err, EBUSY, "cannot %s '%s': %s", policy_verb_name(verb), i->full_name, why);
	if (verb == POLICY_VERB_DELETE)
		(void)err_hint(err, "stop it first, or use --force");
	return -EBUSY;
}

/* --- stop ------------------------------------------------------------------------------------ */

void inst_down_done(struct inst *i)
{
	inst_finish(i, NULL, NULL, NULL);
}

/* Begins to take the guest down, unless its end came first: that goes on with after_down. */
static void go_down(struct inst *i)
{
	if (inst_is_up(i))
		inst_take_down(i);
}

static void stop_begun(struct inst *i, const struct err *err)
{
	if (err)
		inst_restore(i);
	else
		go_down(i);
}

static void nothing_begun(struct inst *i, const struct err *err)
{
	if (err)
		inst_restore(i);
	else
		inst_finish(i, NULL, NULL, NULL);
}

/* Nothing runs: what is wanted changes, and a retry that was planned is off. */
static int stop_down(struct inst *i, struct op **ret, struct err *err)
{
	int r;

	i->desired = INST_WANT_STOPPED;
	r = inst_begin(i, OP_STOP, nothing_begun, ret, err);
	if (r < 0) {
		inst_restore(i);
		return r;
	}
	inst_timer_clear(i);
	i->retry_at = 0;
	i->error[0] = '\0';
	i->p->is_failed = false;
	i->failures = 0;
	inst_set_state(i, INST_STOPPED);
	return 0;
}

int inst_begin_down(struct inst *i, enum op_kind kind, uint64_t timeout_usec, bool force,
		    void (*after_down)(struct inst *i), struct op **ret, struct err *err)
{
	int r;

	i->p->timeout = timeout_usec;
	i->p->force = force;
	i->p->is_asked = true;
	i->p->after_down = after_down;
	r = inst_begin(i, kind, stop_begun, ret, err);
	if (r < 0)
		inst_restore(i);
	return r;
}

int inst_stop(struct inst *i, uint64_t timeout_usec, bool force, struct op **ret, struct err *err)
{
	int r;

	/* Whoever loses patience need not wait for the time limit. */
	if (force && i->op && (i->op->kind == OP_STOP || i->op->kind == OP_SUSPEND) &&
	    i->state == INST_STOPPING) {
		i->p->force = true;
		go_down(i);
		*ret = i->op;
		return 0;
	}
	r = inst_check_verb(i, force ? POLICY_VERB_FORCE_STOP : POLICY_VERB_STOP, err);
	if (r < 0)
		return r;
	inst_remember(i);
	if (!inst_is_up(i) && !i->p->is_ending)
		return stop_down(i, ret, err);
	i->desired = INST_WANT_STOPPED;
	if (i->p->is_ending) {
		/* It ended by itself, and is done when that is recorded. */
		i->error[0] = '\0';
		i->p->is_failed = false;
		i->failures = 0;
	}
	return inst_begin_down(i, OP_STOP, timeout_usec, force, inst_down_done, ret, err);
}

void inst_stop_again(struct inst *i)
{
	i->p->has_loaded_op = false;
	i->p->timeout = 0;
	i->p->after_down = inst_down_done;
	inst_take_down(i);
}

/* --- restart --------------------------------------------------------------------------------- */

static void restart_up(struct inst *i)
{
	i->p->after_up = inst_start_done;
	inst_boot(i);
}

static void restart_begun(struct inst *i, const struct err *err)
{
	if (err)
		inst_restore(i);
	else
		restart_up(i);
}

int inst_restart(struct inst *i, uint64_t timeout_usec, bool force, struct op **ret,
		 struct err *err)
{
	int r = inst_check_verb(i, POLICY_VERB_RESTART, err);

	if (r >= 0 && !inst_is_up(i) && !i->p->is_ending)
		r = inst_check_start_room(i, err);
	if (r < 0)
		return r;
	inst_remember(i);
	i->failures = 0;
	if (inst_is_up(i)) {
		i->desired = INST_WANT_RUNNING;
		return inst_begin_down(i, OP_RESTART, timeout_usec, force, restart_up, ret, err);
	}
	return inst_begin(i, OP_RESTART, restart_begun, ret, err);
}

void inst_restart_again(struct inst *i)
{
	i->p->has_loaded_op = false;
	i->p->timeout = 0;
	i->p->after_down = restart_up;
	inst_take_down(i);
}

/* The operation of an earlier vpsd whose guest ended meanwhile: what comes next. */
bool inst_resume_down(struct inst *i)
{
	if (!i->op || !i->p->has_loaded_op)
		return false;
	if (i->op->kind == OP_STOP || (i->op->kind == OP_SUSPEND && i->suspension.mode))
		i->p->after_down = inst_down_done;
	else if (i->op->kind == OP_RESTART)
		i->p->after_down = restart_up;
	else
		return false;
	i->p->has_loaded_op = false;
	i->p->is_asked = true;
	return true;
}

/* --- delete ---------------------------------------------------------------------------------- */

/* It can be asked for again. */
static void delete_failed(struct inst *i, const char *code, const struct err *err)
{
	i->p->is_removing = false;
	if (!i->op)
		log_error("%s: cannot finish its deletion: %s", i->full_name, err_text(err));
	if (str_copy(i->error, sizeof(i->error), err_text(err)) < 0)
		i->error[0] = '\0';
	inst_set_state(i, INST_FAILED);
	inst_finish(i, code, err, NULL);
}

static void delete_committed(struct inst *i, const struct err *err)
{
	struct op *op = i->op;

	if (err) {
		delete_failed(i, NULL, err);
		return;
	}
	log_info("%s: deleted", i->full_name);
	inst_forget_owed(i);
	i->op = NULL;
	links_drop(i);
	usage_drop(i);
	inst_unregister(i);
	if (op)
		op_end(op, NULL, NULL, NULL);
}

static void on_removed(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct inst *i = arg;
	struct store_txn *t;

	(void)result;
	if (err) {
		delete_failed(i, code, err);
		return;
	}
	(void)path_remove_tree(i->manager->log_fd, i->id, NULL);
	(void)path_remove_tree(i->manager->run_fd, i->id, NULL);
	usage_last(i);
	t = store_txn_new(i->manager->store);
	db_drop_inst(t, i);
	if (i->op)
		db_end_op(t, i->op->id, NULL, NULL, NULL);
	inst_commit(i, t, delete_committed);
}

static void delete_files(struct inst *i)
{
	const char *const argv[] = {
		"remove-instance", "--pool", i->manager->host->pool, "--id", i->id, NULL};
	const struct job_spec job = {.argv = argv,
				     .flags = JOB_REMOVAL,
				     .timeout_usec = REMOVE_LIMIT,
				     .done = on_removed,
				     .arg = i};
	struct err err = ERR_INIT;

	/* They have its ids, and nobody would know whose they are. */
	if (i->p->has_processes) {
		(void)err_set(&err, EBUSY, "its processes do not end, although they were killed");
		(void)err_hint(&err, "see what they wait for, and delete it again");
		delete_failed(i, NULL, &err);
		return;
	}
	if (i->op)
		op_progress(i->op, "remove files", 0, 0);
	if (job_start(i->manager->jobs, &job, NULL, &err) < 0)
		on_removed(i, NULL, &err, NULL);
}

void inst_delete_rest(struct inst *i)
{
	i->p->is_removing = true;
	inst_set_state(i, INST_STOPPING);
	inst_clean_cgroup(i, delete_files);
}

static void delete_begun(struct inst *i, const struct err *err)
{
	if (err) {
		inst_restore(i);
		return;
	}
	/* Its own end may have come first: that is recorded before. */
	if (!inst_is_up(i) && !i->p->is_ending) {
		inst_delete_rest(i);
		return;
	}
	i->p->after_down = inst_delete_rest;
	go_down(i);
}

int inst_delete(struct inst *i, bool force, struct op **ret, struct err *err)
{
	int r = inst_check_verb(i, force ? POLICY_VERB_FORCE_DELETE : POLICY_VERB_DELETE, err);

	if (r < 0)
		return r;
	if (i->spec.protected && i->phase == INST_PHASE_PRESENT) {
		(void)err_set(err, EPERM, "'%s' is protected", i->full_name);
		return err_hint(err, "take its protection away first: vps protect --off %s",
				i->full_name);
	}
	inst_remember(i);
	if (!i->p->is_ending)
		inst_timer_clear(i);
	i->retry_at = 0;
	i->phase = INST_PHASE_DELETING;
	i->desired = INST_WANT_STOPPED;
	i->p->force = true;
	i->p->is_asked = true;
	i->p->after_down = inst_is_up(i) ? inst_delete_rest : NULL;
	r = inst_begin(i, OP_DELETE, delete_begun, ret, err);
	if (r < 0)
		inst_restore(i);
	return r;
}
