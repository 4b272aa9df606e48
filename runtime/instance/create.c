/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating: everything is checked, then instance, id range and operation are one transaction, then
 * a job makes the directories, which appear whole, then the instance is marked present. Whatever
 * interrupts that, the next vpsd marks an instance that has its directory, and undoes one without.
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/addresses_private.h"
#include "runtime/instance/private.h"

#define PREPARE_LIMIT (120 * USEC_PER_SEC)
#define UNDO_AGAIN (10 * USEC_PER_SEC)
#define REMOVE_LIMIT (3600 * USEC_PER_SEC)

/* --- undoing --------------------------------------------------------------------------------- */

static void undo_rows(struct inst *i);

/* As long as its rows stand, its name and its ids are taken. */
static void undo_later(struct inst *i, void (*step)(struct inst *i))
{
	i->phase = INST_PHASE_DELETING;
	i->desired = INST_WANT_STOPPED;
	i->p->is_removing = false;
	(void)str_copy(i->error, sizeof(i->error), err_text(&i->p->why));
	inst_set_state(i, INST_FAILED);
	inst_timer_set(i, UNDO_AGAIN, step);
}

/* The operation is over, whether its rows are gone or only told to go. */
static void undo_told(struct inst *i, bool is_gone)
{
	struct op *op = i->op;
	struct err why = i->p->why;
	char code[sizeof(i->p->why_code)];

	memcpy(code, i->p->why_code, sizeof(code));
	i->op = NULL;
	if (is_gone)
		inst_unregister(i);
	if (op)
		op_end(op, *code ? code : NULL, &why, NULL);
}

static void undo_committed(struct inst *i, const struct err *err)
{
	if (err) {
		log_error("%s: cannot remove its rows: %s", i->full_name, err_text(err));
		undo_later(i, undo_rows);
	}
	undo_told(i, !err);
}

static void undo_rows(struct inst *i)
{
	struct store_txn *t = store_txn_new(i->manager->store);

	i->p->is_removing = true;
	db_drop_inst(t, i);
	if (i->op)
		db_end_op(t, i->op->id, i->p->why_code[0] ? i->p->why_code : NULL, &i->p->why,
			  NULL);
	inst_commit(i, t, undo_committed);
}

static void undo_again(struct inst *i);

/* Its rows go last: without them its files would stay for ever, as customers' files do that no row
 * speaks for. */
static void on_removed(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct inst *i = arg;

	(void)code;
	(void)result;
	if (!err) {
		undo_rows(i);
		return;
	}
	log_error("%s: cannot remove its files: %s", i->full_name, err_text(err));
	undo_later(i, undo_again);
	undo_told(i, false);
}

static void undo_files(struct inst *i)
{
	const char *const argv[] = {
		"remove-instance", "--pool", i->manager->host->pool, "--id", i->id, NULL};
	const struct job_spec job = {
		.argv = argv, .timeout_usec = REMOVE_LIMIT, .done = on_removed, .arg = i};
	struct err err = ERR_INIT;

	(void)path_remove_tree(i->manager->log_fd, i->id, NULL);
	if (i->p->has_processes) {
		(void)err_set(&err, EBUSY, "its processes do not end");
		on_removed(i, NULL, &err, NULL);
		return;
	}
	if (job_start(i->manager->jobs, &job, NULL, &err) < 0)
		on_removed(i, NULL, &err, NULL);
}

static void undo_again(struct inst *i)
{
	i->p->is_removing = true;
	inst_clean_cgroup(i, undo_files);
}

void inst_create_undo(struct inst *i, const char *code, const struct err *err)
{
	i->p->why = *err;
	if (!code || str_copy(i->p->why_code, sizeof(i->p->why_code), code) < 0)
		i->p->why_code[0] = '\0';
	inst_set_state(i, INST_STOPPING);
	undo_again(i);
}

/* --- doing ----------------------------------------------------------------------------------- */

static json_t *make_result(const struct inst *i)
{
	return json_pack("{s:s, s:s}", "id", i->id, "instance", i->full_name);
}

static void create_started(struct inst *i, const struct err *err)
{
	if (err) {
		inst_start_done(i, err);
		return;
	}
	inst_finish(i, NULL, NULL, make_result(i));
}

static void prepared_committed(struct inst *i, const struct err *err)
{
	if (err) {
		i->phase = INST_PHASE_CREATING;
		inst_create_undo(i, NULL, err);
		return;
	}
	inst_event(i, "created");
	inst_note(i, "created", "", NULL);
	if (i->desired == INST_WANT_STOPPED) {
		inst_finish(i, NULL, NULL, make_result(i));
		return;
	}
	i->p->after_up = create_started;
	inst_boot(i);
}

void inst_prepared(struct inst *i)
{
	i->phase = INST_PHASE_PRESENT;
	(void)str_copy(i->p->hostname_done, sizeof(i->p->hostname_done), i->spec.hostname);
	inst_set_state(i, INST_STOPPED);
}

static void on_prepared(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct inst *i = arg;
	struct store_txn *t;

	(void)result;
	if (err) {
		inst_create_undo(i, code, err);
		return;
	}
	inst_prepared(i);
	t = store_txn_new(i->manager->store);
	db_put_inst(t, i);
	inst_commit(i, t, prepared_committed);
}

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct inst *i = arg;

	if (i->op)
		op_progress_bytes(i->op, what, done, total);
}

static void create_begun(struct inst *i, const struct err *commit_err)
{
	const char *const argv[] = {
		"prepare",  "--pool",  i->manager->host->pool, "--id",		 i->id,
		"--digest", i->digest, "--hostname",	       i->spec.hostname, NULL};
	const struct job_spec job = {.argv = argv,
				     .timeout_usec = PREPARE_LIMIT,
				     .progress = on_progress,
				     .done = on_prepared,
				     .arg = i};
	struct err err = ERR_INIT;

	if (commit_err) {
		inst_unregister(i);
		return;
	}
	op_progress(i->op, "prepare", 0, 0);
	if (job_start(i->manager->jobs, &job, NULL, &err) < 0)
		inst_create_undo(i, NULL, &err);
}

/* --- checking -------------------------------------------------------------------------------- */

static int find_plan(const struct inst_manager *m, const char *ref, struct inst_plan **ret,
		     struct err *err)
{
	char name[SPEC_NAME_TEXT];
	uint64_t version;
	int r = ref ? spec_plan_ref_parse(ref, name, &version) : -EINVAL;

	if (r < 0)
		return err_set(err, EINVAL, "'%s' is no plan; write NAME or NAME@VERSION",
			       ref ? ref : "");
	*ret = catalog_plan(&m->catalog, name, version);
	if (*ret)
		return 0;
	(void)err_set(err, ENOENT, "there is no plan '%s'", ref);
	return err_hint(err, "vps plan ls lists the plans; vps apply adds them from a file");
}

static int find_image(const struct inst_manager *m, const char *name, struct inst_image **ret,
		      struct err *err)
{
	*ret = name ? catalog_image(&m->catalog, name) : NULL;
	if (!*ret) {
		(void)err_set(err, ENOENT, "there is no image '%s'", name ? name : "");
		return err_hint(err, "vps image ls lists the images; vps image import adds one");
	}
	if ((*ret)->is_missing)
		return err_set(err, ENOENT, "the files of image '%s' are not in the pool", name);
	return 0;
}

/* Fills tenant, plan, image, spec and the effective plan. */
static int resolve(struct inst *i, const struct inst_create *req, struct err *err)
{
	struct inst_manager *m = i->manager;
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "overrides", .problems = problems};
	struct inst_image *image;
	int r;

	if (!problems)
		return err_set(err, ENOMEM, "cannot create an instance: out of memory");
	i->tenant = catalog_tenant(&m->catalog, req->tenant);
	if (!i->tenant) {
		(void)err_set(err, ENOENT, "there is no tenant '%s'", req->tenant);
		return err_hint(err, "vps apply creates tenants from their files");
	}
	r = find_plan(m, req->spec->plan, &i->plan, err);
	if (r >= 0)
		r = find_image(m, req->spec->image, &image, err);
	if (r < 0)
		return r;
	if (json_rows_copy(&spec_instance_table, &i->spec, req->spec) < 0)
		return err_set(err, ENOMEM, "cannot create an instance: out of memory");
	if (!i->spec.hostname)
		i->spec.hostname = strdup(i->spec.name);
	if (!i->spec.hostname)
		return err_set(err, ENOMEM, "cannot create an instance: out of memory");
	r = spec_plan_override(&i->plan->spec, i->spec.overrides, &i->effective, &w);
	if (r == -EINVAL)
		return problems_to_err(problems, err);
	if (r < 0)
		return err_set_errno(err, -r, "cannot read the overrides");
	memcpy(i->digest, image->digest, sizeof(i->digest));
	return 0;
}

static int give_addresses(struct inst *i, struct err *err)
{
	const struct inst_net_wish wish = {.id = i->id, .tenant = i->tenant, .spec = &i->spec};

	return inst_net_build(i->manager, &wish, &i->net, err);
}

static int prepare(struct inst *i, const struct inst_create *req, struct err *err)
{
	struct inst_manager *m = i->manager;
	int r = resolve(i, req, err);

	if (r < 0)
		return r;
	if (inst_find(m, req->tenant, i->spec.name))
		return err_set(err, EEXIST, "instance '%s/%s' exists already", req->tenant,
			       i->spec.name);
	r = inst_check_support(m, &i->effective, &i->spec, &i->tenant->spec, NULL, err);
	if (r >= 0)
		r = inst_devices_check(m, &i->effective, err);
	if (r >= 0)
		r = inst_check_room(m, i->tenant, NULL, &i->effective, err);
	if (r >= 0)
		r = rand_id(i->id, err);
	if (r >= 0)
		r = give_addresses(i, err);
	if (r < 0)
		return r;
	i->phase = INST_PHASE_CREATING;
	i->desired = req->start ? INST_WANT_RUNNING : INST_WANT_STOPPED;
	i->by_file = req->by_file;
	i->file_fields = req->by_file ? (1u << INST_FIELD_MAX) - 1 : 0;
	i->created = now_seconds();
	return alloc_ranges_take(m->ranges, &i->range, err);
}

int inst_create(struct inst_manager *m, const struct inst_create *req, struct op **ret,
		struct err *err)
{
	struct inst *i;
	int r = inst_check_ready(m, err);

	if (r >= 0)
		r = inst_check_lock(m, err);
	if (r < 0)
		return r;
	i = inst_new(m);
	if (!i)
		return err_set(err, ENOMEM, "cannot create an instance: out of memory");
	r = prepare(i, req, err);
	if (r < 0) {
		inst_free(i);
		return r;
	}
	i->base = alloc_ranges_base(m->ranges, i->range);
	r = inst_register(i, err);
	if (r < 0) {
		alloc_ranges_release(m->ranges, i->range);
		inst_free(i);
		return r;
	}
	r = inst_begin(i, OP_CREATE, create_begun, ret, err);
	if (r < 0)
		inst_unregister(i);
	return r;
}
