/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery, the acting half: one action of the plan after the other. Guests that run are never
 * touched for it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/recover_private.h"

#define REMOVE_LIMIT (3600 * USEC_PER_SEC)

/* --- guests -------------------------------------------------------------------------- */

/* The guest lives already, so what cannot be attached is said and shown. */
static void take_fence(struct inst *i, uint64_t boot)
{
	struct err err = ERR_INIT;

	inst_devices_found(i, boot);
	i->has_device_fence = cg_devices_is_attached(i->p->cg.fd, NULL) > 0;
	if (i->has_device_fence)
		return;
	if (inst_fence_devices(i, &err) < 0)
		log_error("%s: runs without its device program: %s", i->full_name, err_text(&err));
	else if (i->has_device_fence)
		log_warning("%s: ran without its device program, which is there again",
			    i->full_name);
}

/* The cgroup of a guest that was found running: opened, and its limits said again, since the kernel
 * may have a change that vpsd did not live to write down. What holds is what the database has. */
static void take_cgroup(struct inst *i, uint64_t boot)
{
	struct inst_manager *m = i->manager;
	struct err err = ERR_INIT;

	if (i->p->cg.fd >= 0)
		return;
	if (cg_instance_open(&m->cg, CG_DEDICATED, i->id, &i->p->cg, NULL) < 0 &&
	    cg_instance_open(&m->cg, i->tenant->id, i->id, &i->p->cg, &err) < 0) {
		log_error("%s: runs without its cgroup: %s", i->full_name, err_text(&err));
		return;
	}
	inst_sessions_found(i);
	inst_cpus_found(i);
	if (inst_change_kernel(i, &i->effective, CG_APPLY_FORCE, &err) < 0) {
		log_warning("%s: cannot renew its limits: %s", i->full_name, err_text(&err));
	} else {
		i->has_limits = true;
		inst_reclaim(i, NULL);
	}
	take_fence(i, boot);
	inst_freeze_as_wanted(i);
}

/* A keeper that adopted a guest did not hear what it said before. */
static bool was_ready(const struct recover_collect *c, const char *id, uint64_t boot)
{
	for (size_t i = 0; i < c->n_states; i++)
		if (c->states[i].boot == boot && str_eq(c->states[i].id, id))
			return c->states[i].ready;
	return false;
}

static void act_keep(struct inst *i, struct keeper_item *g)
{
	const struct recover_collect *c = i->manager->collect;

	take_cgroup(i, g->guest.boot);
	if (!inst_is_up(i))
		i->p->has_said_ready = g->guest.ready || was_ready(c, i->id, g->guest.boot);
	inst_is_running(i, g->guest.boot, (pid_t)g->guest.pid, g->guest.start, take_fd(&g->pidfd),
			take_fd(&g->console));
	inst_views_found(i);
	links_found(i);
	if (g->guest.ready)
		inst_said_ready(i);
}

static void on_adopted(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct inst *i = userdata;

	(void)reply;
	if (!err || i->manager->is_closing || err->code == EPIPE)
		return;
	if (err->code == ESRCH) {
		inst_exited(i, i->boot, KEEPER_EXIT_UNKNOWN, 0);
		return;
	}
	log_error("%s: the keeper cannot take it: %s", i->full_name, err_text(err));
	inst_watch_self(i);
}

static void act_adopt(struct inst *i, struct recover_found_state *s)
{
	struct inst_manager *m = i->manager;
	_cleanup_close_ int log_dir = -1;
	struct err err = ERR_INIT;
	struct keeper_adopt a = {.id = i->id,
				 .boot = s->boot,
				 .pid = (uint32_t)s->process.pid,
				 .start = s->process.start,
				 .log_max = m->host->console_log};

	take_cgroup(i, s->boot);
	if (!inst_is_up(i))
		i->p->has_said_ready = s->ready;
	inst_is_running(i, s->boot, s->process.pid, s->process.start, take_fd(&s->process.fd), -1);
	inst_views_found(i);
	links_found(i);
	log_info("%s: adopted, pid %d", i->full_name, (int)i->pid);
	log_dir = inst_open_log(i, true, &err);
	a.log_dir = log_dir;
	a.console = i->console;
	if (log_dir < 0 ||
	    keeper_client_adopt(m->keeper.client, &a,
				(struct keeper_call){.done = on_adopted, .userdata = i},
				&err) < 0) {
		log_error("%s: cannot be given to the keeper: %s", i->full_name, err_text(&err));
		inst_watch_self(i);
	}
	keeper_link_poke(m);
}

static void act_exited(struct inst *i, const struct keeper_item *g)
{
	if (!inst_is_up(i))
		i->boot = g->guest.boot;
	i->p->had_place = true;
	(void)inst_resume_down(i);
	inst_exited(i, g->guest.boot, (enum keeper_exit)g->guest.how, g->guest.status);
}

static void act_lost(struct inst *i)
{
	struct err err = ERR_INIT;

	if (i->p->is_unknown) {
		(void)err_set(&err, EPIPE, "the keeper was lost while '%s' was starting",
			      i->full_name);
		inst_boot_failed(i, &err);
		return;
	}
	if (inst_is_up(i)) {
		inst_exited(i, i->boot, KEEPER_EXIT_UNKNOWN, 0);
		return;
	}
	if (i->op && !i->p->has_loaded_op)
		return;
	i->p->exit_boot = i->boot;
	i->last_exit = KEEPER_EXIT_UNKNOWN;
	i->p->had_place |= !i->manager->is_new_boot;
	inst_save(i);
}

/* --- strays -------------------------------------------------------------------------- */

static void leftovers_cleaned(struct inst *i);

static void act_kill_cgroup(struct inst_manager *m, const char *tenant_id, const char *id)
{
	struct inst *i = inst_find_by_id(m, id);
	struct err err = ERR_INIT;

	/* A guest that is on its way up or down in this very vpsd cleans up by itself. */
	if (i && (inst_is_up(i) || i->p->is_unknown || i->p->after_clean ||
		  (i->op && !i->p->has_loaded_op)))
		return;
	log_warning("removing the cgroup %s/%s%s%s", tenant_id, id, i ? " of " : " of nobody",
		    i ? i->full_name : "");
	if (!i || (!str_eq(i->tenant->id, tenant_id) && !str_eq(tenant_id, CG_DEDICATED))) {
		stray_add(m, tenant_id, id);
		return;
	}
	if (cg_instance_remove(&m->cg, tenant_id, id, CG_REMOVE_KILL, 0, &err) >= 0)
		return;
	/* Nothing else is done with it until its processes are gone. */
	i->p->is_ending = true;
	inst_set_state(i, INST_STOPPING);
	inst_clean_later(i, leftovers_cleaned);
}

static void on_dir_removed(void *arg, const char *code, const struct err *err, json_t *result)
{
	(void)arg;
	(void)code;
	(void)result;
	if (err)
		log_error("cannot remove the directory of an instance: %s", err_text(err));
}

static void act_remove_dir(struct inst_manager *m, const char *id)
{
	const char *const argv[] = {"remove-instance", "--pool", m->host->pool, "--id", id, NULL};
	const struct job_spec job = {.argv = argv,
				     .flags = JOB_REMOVAL,
				     .timeout_usec = REMOVE_LIMIT,
				     .done = on_dir_removed};
	struct err err = ERR_INIT;

	if (m->is_ready || !m->drops_strays) {
		log_warning("keeping '%s/instances/%s', which the database does not know",
			    m->host->pool, id);
		return;
	}
	log_warning("removing the files of %s, which is no instance", id);
	if (job_start(m->jobs, &job, NULL, &err) < 0)
		on_dir_removed(NULL, NULL, &err, NULL);
}

void recover_sweep_dir(struct inst_manager *m, int dirfd)
{
	int fd = path_open_beneath(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, NULL);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		cleanup_close(&fd);
		return;
	}
	while ((e = readdir(d))) {
		if (!img_is_instance_id(e->d_name) || inst_find_by_id(m, e->d_name))
			continue;
		log_info("removing '%s', which belongs to no instance", e->d_name);
		(void)path_remove_tree(dirfd, e->d_name, NULL);
	}
	(void)closedir(d);
}

void recover_clean_tmp(struct inst_manager *m)
{
	const char *const argv[] = {"clean-tmp", "--pool", m->host->pool, NULL};
	const struct job_spec job = {.argv = argv,
				     .flags = JOB_REMOVAL,
				     .timeout_usec = REMOVE_LIMIT,
				     .done = on_dir_removed};

	(void)job_start(m->jobs, &job, NULL, NULL);
}

/* --- intents ------------------------------------------------------------------------- */

static void interrupted(struct err *err)
{
	(void)err_set(err, EINTR, "vpsd was interrupted");
	(void)err_hint(err, "what was half done has been undone; try again");
}

static void act_undo(struct inst *i)
{
	struct err err = ERR_INIT;

	if (i->p->is_removing || (i->op && !i->p->has_loaded_op))
		return;
	log_warning("%s: its creation was interrupted, undoing it", i->full_name);
	interrupted(&err);
	i->p->has_loaded_op = false;
	inst_create_undo(i, "interrupted", &err);
}

/* Its directory appeared whole, so all that was missing is this. Undoing it would cost files where
 * the database is an older copy, whose creations have long ended well. */
static void act_finish_create(struct inst *i)
{
	if (i->p->is_removing || (i->op && !i->p->has_loaded_op))
		return;
	log_info("%s: its creation was interrupted when all was made, finishing it", i->full_name);
	inst_prepared(i);
	inst_save(i);
}

static void act_delete(struct inst *i)
{
	if (i->p->is_removing)
		return;
	if (i->op && !i->p->has_loaded_op) {
		/* Under way; its guest's end was told to a connection that was lost. */
		if (inst_is_up(i) && i->state == INST_STOPPING)
			inst_exited(i, i->boot, KEEPER_EXIT_UNKNOWN, 0);
		return;
	}
	log_info("%s: finishing its deletion", i->full_name);
	i->p->has_loaded_op = false;
	i->p->exit_boot = i->boot;
	inst_delete_rest(i);
}

static void act_start(struct inst *i)
{
	const struct inst_manager *m = i->manager;

	if (m->is_new_boot && !m->is_ready) {
		i->failures = 0;
		i->p->is_failed = false;
		if (i->state == INST_FAILED)
			inst_set_state(i, INST_STOPPED);
	}
	if (inst_is_up(i) || i->state != INST_STOPPED || i->retry_at || i->p->after_clean ||
	    (i->op && !i->p->has_loaded_op))
		return;
	i->p->is_claimed = i->op && (i->op->kind == OP_CREATE || i->op->kind == OP_START ||
				     i->op->kind == OP_RESTART || i->op->kind == OP_RESUME);
	inst_queue_start(i);
}

static void act_on_intent(struct inst *i, enum recover_kind kind)
{
	if (kind == RECOVER_START) {
		act_start(i);
	} else if (kind == RECOVER_WANT_RUNNING) {
		log_warning("%s: runs, though the database has it stopped: it goes on",
			    i->full_name);
		i->desired = INST_WANT_RUNNING;
		inst_save(i);
	} else if (kind == RECOVER_WANT_STOPPED) {
		i->desired = INST_WANT_STOPPED;
		inst_save(i);
	} else if (i->state != INST_STOPPING && inst_is_up(i)) {
		if (i->op && !i->p->has_loaded_op)
			return;
		i->p->is_claimed = true;
		if (kind == RECOVER_STOP)
			inst_stop_again(i);
		else
			inst_restart_again(i);
	}
}

void recover_act(struct inst_manager *m, const struct recover_action *a)
{
	struct recover_collect *c = m->collect;
	struct inst *i = inst_find_by_id(m, a->id);

	if (!i && a->kind != RECOVER_FORGET && a->kind != RECOVER_KILL_CGROUP &&
	    a->kind != RECOVER_REMOVE_DIR)
		return;
	log_debug("recovery: %s %s", recover_kind_name(a->kind), i ? i->full_name : a->id);
	switch (a->kind) {
	case RECOVER_KEEP:
		act_keep(i, &c->guests[a->index]);
		return;
	case RECOVER_ADOPT:
		act_adopt(i, &c->states[a->index]);
		return;
	case RECOVER_EXITED:
		act_exited(i, &c->guests[a->index]);
		return;
	case RECOVER_LOST:
		act_lost(i);
		return;
	case RECOVER_FORGET:
		inst_views_drop(m, a->id);
		(void)keeper_client_forget(m->keeper.client, a->id, c->guests[a->index].guest.boot,
					   (struct keeper_call){0}, NULL);
		return;
	case RECOVER_KILL_CGROUP:
		act_kill_cgroup(m, a->tenant_id, a->id);
		return;
	case RECOVER_FINISH_CREATE:
		act_finish_create(i);
		return;
	case RECOVER_UNDO_CREATE:
		act_undo(i);
		return;
	case RECOVER_FINISH_DELETE:
		act_delete(i);
		return;
	case RECOVER_REMOVE_DIR:
		act_remove_dir(m, a->id);
		return;
	case RECOVER_STOP:
	case RECOVER_RESTART:
	case RECOVER_WANT_RUNNING:
	case RECOVER_WANT_STOPPED:
	case RECOVER_START:
		act_on_intent(i, a->kind);
		return;
	case RECOVER_KIND_MAX:
		return;
	}
}

/* Whether the operation of an earlier vpsd has reached what it was for. */
static bool is_operation_done(const struct inst *i)
{
	switch (i->op->kind) {
	case OP_CHANGE:
	case OP_RESUME:
		return true;
	case OP_SUSPEND:
		return i->suspension.mode != INST_SUSPEND_NONE;
	case OP_STOP:
		return !inst_is_up(i);
	case OP_DELETE:
		return false;
	case OP_CREATE:
		return i->desired == INST_WANT_STOPPED || inst_is_up(i);
	case OP_START:
	case OP_RESTART:
	case OP_APPLY:
	case OP_IMAGE_IMPORT:
	case OP_IMAGE_BUILD:
	case OP_IMAGE_DELETE:
	case OP_RESIZE_ALL:
	case OP_KIND_MAX:
		break;
	}
	return inst_is_up(i);
}

/* Operations of an earlier vpsd that nothing above goes on with. */
static void settle_operation(struct inst *i)
{
	struct err err = ERR_INIT;
	bool is_done;

	if (!i->op || !i->p->has_loaded_op || i->p->is_claimed || i->p->after_down ||
	    i->p->after_clean)
		return;
	if (i->op->kind == OP_SUSPEND && i->p->is_frozen) {
		i->p->has_loaded_op = false;
		inst_suspend_again(i);
		return;
	}
	is_done = is_operation_done(i);
	i->p->has_loaded_op = false;
	if (!is_done)
		interrupted(&err);
	inst_finish(i, is_done ? NULL : "interrupted", is_done ? NULL : &err, NULL);
}

/* What was decided about an instance while its leftovers were in the way. */
static void leftovers_cleaned(struct inst *i)
{
	void (*after_down)(struct inst * inst) = i->p->after_down;

	i->p->is_ending = false;
	i->p->is_asked = false;
	i->p->force = false;
	i->p->after_down = NULL;
	inst_set_state(i, i->p->is_failed ? INST_FAILED : INST_STOPPED);
	if (after_down) {
		after_down(i);
		return;
	}
	if (i->phase == INST_PHASE_PRESENT && i->desired == INST_WANT_RUNNING && !i->p->is_failed)
		act_start(i);
	settle_operation(i);
	inst_queue_next(i->manager);
}

void recover_settle(struct inst_manager *m)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < m->n_insts; i++)
		settle_operation(m->insts[i]);
	if (m->is_ready)
		return;
	interrupted(&err);
	for (struct op *op = op_next(m->ops, NULL); op; op = op_next(m->ops, op))
		if (op->status == OP_RUNNING && !inst_find_by_id(m, op->instance_id))
			op_finish(m, op, NULL, "interrupted", &err, NULL);
}
