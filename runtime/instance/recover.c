/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery: on each new connection to a keeper, what it knows is listed and compared with the
 * database and the kernel (recover_plan.c), and the difference is carried out (recover_act.c).
 */
#include "runtime/instance/recover.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/recover_private.h"

#define NAMED_MAX 32 /* guests of a refusal, which may come every other second */

/* --- the plan -------------------------------------------------------------------------------- */

struct input {
	struct recover_row *rows;
	struct recover_guest *guests;
	struct recover_state *states;
	struct recover_cgroup *cgroups;
	const char **dirs;
};

static void input_done(struct input *in)
{
	free(in->rows);
	free(in->guests);
	free(in->states);
	free(in->cgroups);
	free(in->dirs);
}

static bool has_dir(const struct recover_collect *c, const char *id)
{
	for (size_t i = 0; i < c->n_dirs; i++)
		if (str_eq(c->dirs[i], id))
			return true;
	return false;
}

static void fill_input(const struct inst_manager *m, const struct recover_collect *c,
		       struct input *in)
{
	for (size_t i = 0; i < m->n_insts; i++) {
		const struct inst *x = m->insts[i];

		in->rows[i] = (struct recover_row){
			.id = x->id,
			.phase = x->phase,
			.is_prepared = !m->is_ready && has_dir(c, x->id),
			.desired = x->desired,
			.is_failed = x->p->is_failed,
			.is_restarting = x->op && x->p->has_loaded_op && x->op->kind == OP_RESTART,
			.suspend = x->suspension.mode,
			.is_stopping = m->is_ready || (x->op && x->op->kind == OP_STOP),
			.autostart = x->spec.autostart.enabled,
			.priority = x->spec.autostart.priority,
			.boot = x->boot,
			.exit_boot = x->p->exit_boot};
	}
	for (size_t i = 0; i < c->n_guests; i++)
		in->guests[i] = (struct recover_guest){.id = c->guests[i].guest.id,
						       .boot = c->guests[i].guest.boot,
						       .has_ended = c->guests[i].guest.how !=
								    KEEPER_EXIT_NONE};
	for (size_t i = 0; i < c->n_states; i++)
		in->states[i] = (struct recover_state){c->states[i].id, c->states[i].boot};
	for (size_t i = 0; i < c->n_cgroups; i++)
		in->cgroups[i] = (struct recover_cgroup){c->cgroups[i].tenant_id, c->cgroups[i].id,
							 c->cgroups[i].populated};
	for (size_t i = 0; i < c->n_dirs; i++)
		in->dirs[i] = c->dirs[i];
}

static int make_plan(const struct inst_manager *m, const struct recover_collect *c,
		     struct recover_action **ret, size_t *ret_n, struct err *err)
{
	_cleanup_(input_done) struct input in = {
		.rows = calloc(m->n_insts + 1, sizeof(*in.rows)),
		.guests = calloc(c->n_guests + 1, sizeof(*in.guests)),
		.states = calloc(c->n_states + 1, sizeof(*in.states)),
		.cgroups = calloc(c->n_cgroups + 1, sizeof(*in.cgroups)),
		.dirs = calloc(c->n_dirs + 1, sizeof(*in.dirs)),
	};

	if (!in.rows || !in.guests || !in.states || !in.cgroups || !in.dirs)
		return err_set(err, ENOMEM, "cannot plan the recovery: out of memory");
	fill_input(m, c, &in);
	return recover_plan(&(struct recover_input){.rows = in.rows,
						    .n_rows = m->n_insts,
						    .guests = in.guests,
						    .n_guests = c->n_guests,
						    .states = in.states,
						    .n_states = c->n_states,
						    .cgroups = in.cgroups,
						    .n_cgroups = c->n_cgroups,
						    .dirs = in.dirs,
						    .n_dirs = c->n_dirs,
						    .is_new_boot = m->is_new_boot && !m->is_ready},
			    ret, ret_n, err);
}

/* What runs must be known before anything is done to it. */
static int claim(struct inst_manager *m, const struct recover_collect *c, struct err *err)
{
	size_t n_guests = 0, n_dirs = 0;

	for (size_t i = 0; i < c->n_cgroups; i++) {
		const struct recover_found_cgroup *g = &c->cgroups[i];
		char path[CG_PATH_MAX];

		if (!g->populated || inst_find_by_id(m, g->id))
			continue;
		if (n_guests++ >= NAMED_MAX)
			continue;
		cg_instance_path(&m->cg, g->tenant_id, g->id, path);
		log_error("the database does not know the guest %s, which runs in '%s'", g->id,
			  path);
	}
	for (size_t i = 0; i < c->n_dirs; i++)
		if (!inst_find_by_id(m, c->dirs[i]))
			n_dirs++;
	return claim_found(m, n_guests, n_dirs, err);
}

static int recover(struct inst_manager *m, struct err *err)
{
	_cleanup_free_ struct recover_action *actions = NULL;
	struct err sums = ERR_INIT;
	size_t n = 0;
	int r = recover_look(m, m->collect, err);

	if (r >= 0 && !m->is_ready)
		r = claim(m, m->collect, err);
	if (r >= 0)
		r = make_plan(m, m->collect, &actions, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		recover_act(m, &actions[i]);
	recover_settle(m);
	network_recovered(m);
	inst_cpus_respread(m);
	if (cg_root_recount(&m->cg, &sums) < 0)
		log_warning("cannot write the sums of the guarantees: %s", err_text(&sums));
	inst_tenants_to_kernel(m);
	if (!m->is_ready) {
		recover_sweep_dir(m, m->run_fd);
		if (!m->keeps_strays) {
			recover_sweep_dir(m, m->log_fd);
			inst_images_sweep(m);
		}
		recover_clean_tmp(m);
	}
	return 0;
}

static void on_listed(void *userdata, struct keeper_reply *reply, const struct err *list_err)
{
	struct inst_manager *m = userdata;
	struct err err = ERR_INIT;

	(void)reply;
	if (m->is_closing || !m->collect || (list_err && list_err->code == EPIPE))
		return;
	if (list_err)
		err = *list_err;
	else
		(void)recover(m, &err);
	recover_drop(m);
	if (!m->keeper.is_speaking)
		return;
	if (err.code)
		log_error("the recovery is not complete: %s", err_text(&err));
	/* Guests that no keeper was told of would live unwatched. */
	if (err.code && m->is_ready) {
		keeper_link_list_later(m);
		return;
	}
	m->keeper.is_listed = true;
	manager_start_step(m, err.code && !m->is_ready ? &err : NULL);
	inst_queue_next(m);
}

void recover_start(struct inst_manager *m)
{
	struct err err = ERR_INIT;

	if (m->collect || m->claim_timer || !claim_jobs(m))
		return;
	m->collect = calloc(1, sizeof(*m->collect));
	if (!m->collect) {
		log_error("cannot recover: out of memory");
		return;
	}
	if (keeper_client_list(m->keeper.client, recover_on_item,
			       (struct keeper_call){.done = on_listed, .userdata = m}, &err) < 0) {
		log_error("cannot list guests: %s", err_text(&err));
		recover_drop(m);
		keeper_link_list_later(m);
	}
	keeper_link_poke(m);
}
