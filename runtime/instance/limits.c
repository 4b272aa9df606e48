/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing what is wanted of an instance. Limits of a running one go to the kernel first: the
 * database says what holds, so a change that the kernel refuses has not happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/placement.h"
#include "runtime/instance/private.h"

int inst_limits_refresh(struct inst *i, struct err *err)
{
	struct cg_limits limits;
	int r;

	inst_limits_of(i, &limits);
	if (i->p->cg.fd >= 0) {
		r = cg_limits_read(i->p->cg.fd, CG_INSTANCE_DEPTH, &limits, i->limits, err);
		if (r < 0)
			return r;
		i->has_limits = true;
		return 0;
	}
	i->has_limits = false;
	for (int n = 0; n < CG_LIMIT_MAX; n++) {
		i->limits[n] = (struct cg_limit_status){.configured = limits.value[n]};
		(void)str_copy(i->limits[n].reason, sizeof(i->limits[n].reason), "not running");
	}
	return 0;
}

/* What a change replaces, to be put back or freed. */
struct inst_change {
	struct inst_plan *plan;
	struct spec_instance spec;
	struct spec_plan effective;
	uint32_t file_fields;
	bool restart_needed;
};

void inst_change_free(struct inst_change *c)
{
	if (!c)
		return;
	spec_instance_done(&c->spec);
	spec_plan_done(&c->effective);
	free(c);
}

/* Exchanges the instance's fields with those of c and keeps the sums right. */
static void swap(struct inst *i, struct inst_change *c)
{
	struct admission_load old = admission_of_plan(&i->effective);
	struct admission_load new = admission_of_plan(&c->effective);
	struct inst_change was = {.plan = i->plan,
				  .spec = i->spec,
				  .effective = i->effective,
				  .file_fields = i->file_fields,
				  .restart_needed = i->restart_needed};

	i->plan->instances--;
	i->plan = c->plan;
	i->plan->instances++;
	i->spec = c->spec;
	i->effective = c->effective;
	i->file_fields = c->file_fields;
	i->restart_needed = c->restart_needed;
	admission_sub(&i->manager->load, &old);
	admission_add(&i->manager->load, &new);
	*c = was;
}

/* Growth only: 'want' is what comes on top. */
static struct admission_load growth(const struct admission_load *new,
				    const struct admission_load *old)
{
#define GROWTH(f) (new->f > old->f ? new->f - old->f : 0)
	return (struct admission_load){
		.cores = GROWTH(cores),
		.cores_guaranteed = GROWTH(cores_guaranteed),
		.cores_dedicated = GROWTH(cores_dedicated),
		.memory = GROWTH(memory),
		.memory_guaranteed = GROWTH(memory_guaranteed),
		.disk = GROWTH(disk),
		.disks_unlimited = GROWTH(disks_unlimited),
	};
#undef GROWTH
}

static int check_change(const struct inst *i, const struct inst_change *c, struct err *err)
{
	struct inst_manager *m = i->manager;
	struct admission_load old = admission_of_plan(&i->effective);
	struct admission_load new = admission_of_plan(&c->effective);
	struct admission_load more = growth(&new, &old);
	struct admission_load used = inst_tenant_load(m, i->tenant);
	int r = inst_check_support(m, &c->effective, &c->spec, &i->tenant->spec, err);

	if (r >= 0)
		r = admission_check_quota(&i->tenant->spec, &used, &more, err);
	if (r >= 0)
		r = admission_check_host(&m->machine, &m->load, &more, err);
	return r;
}

static int build_change(const struct inst *i, const struct spec_instance *spec,
			uint32_t file_fields, struct inst_change *ret, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "overrides", .problems = problems};
	char name[SPEC_NAME_TEXT];
	uint64_t version;
	int r;

	if (!problems || json_rows_copy(&spec_instance_table, &ret->spec, spec) < 0)
		return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
	if (!ret->spec.hostname)
		ret->spec.hostname = strdup(ret->spec.name);
	if (!ret->spec.hostname)
		return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
	if (!str_eq(spec->name, i->spec.name) || !str_eq(spec->image, i->spec.image))
		return err_set(err, EOPNOTSUPP, "'%s': name and image cannot be changed",
			       i->full_name);
	if (spec_plan_ref_parse(spec->plan, name, &version) < 0)
		return err_set(err, EINVAL, "'%s' is no plan", spec->plan);
	/* The plan without a version means the one that it has, if it is of that name. */
	ret->plan = version == 0 && str_eq(name, i->plan->spec.name)
			    ? i->plan
			    : catalog_plan(&i->manager->catalog, name, version);
	if (!ret->plan)
		return err_set(err, ENOENT, "there is no plan '%s'", spec->plan);
	ret->file_fields = file_fields;
	r = spec_plan_override(&ret->plan->spec, ret->spec.overrides, &ret->effective, &w);
	if (r == -EINVAL)
		return problems_to_err(problems, err);
	if (r < 0)
		return err_set_errno(err, -r, "cannot read the overrides");
	return check_change(i, ret, err);
}

static int apply_to_kernel(struct inst *i, const struct spec_plan *plan, struct err *err)
{
	struct cg_limits limits;

	if (i->p->cg.fd < 0)
		return 0;
	inst_limits_of_plan(i->manager, plan, &limits);
	return cg_instance_apply(&i->manager->cg, &i->p->cg, &limits, 0, i->limits, err);
}

/* The values that a change replaced are kept until the new ones are written. */
static void change_begun(struct inst *i, const struct err *err)
{
	struct inst_change *old = i->p->change;
	struct err why = ERR_INIT;

	i->p->change = NULL;
	if (err && old) {
		swap(i, old);
		inst_cpus_respread(i->manager);
		if (apply_to_kernel(i, &i->effective, &why) < 0)
			log_error("%s: cannot go back to its old limits: %s", i->full_name,
				  err_text(&why));
	}
	inst_change_free(old);
	if (err) {
		inst_replay_exit(i);
		return;
	}
	inst_event(i, "changed");
	inst_finish(i, NULL, NULL, NULL);
}

static bool needs_restart(const struct inst *i, const struct inst_change *c)
{
	const struct spec_features *a = &i->effective.features, *b = &c->effective.features;

	return inst_is_up(i) &&
	       (!str_eq(i->spec.hostname, c->spec.hostname) || a->nesting != b->nesting ||
		i->p->has_own_cpus != c->effective.cpu.dedicated ||
		(i->p->has_own_cpus &&
		 placement_width(c->effective.cpu.cores) != (unsigned)CPU_COUNT(&i->p->cpus)) ||
		a->tun != b->tun || a->fuse != b->fuse);
}

int inst_change(struct inst *i, const struct spec_instance *spec, uint32_t file_fields,
		struct op **ret, struct err *err)
{
	const char *why = policy_refuses(i->state, POLICY_VERB_CHANGE);
	struct inst_change *c;
	int r = inst_check_ready(i->manager, err);

	if (r >= 0)
		r = inst_check_idle(i, POLICY_VERB_CHANGE, err);
	if (r < 0)
		return r;
	if (why || i->phase != INST_PHASE_PRESENT)
		return err_set(err, EBUSY, "cannot change '%s': %s", i->full_name,
			       why ? why : "it is being deleted");
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
	r = build_change(i, spec, file_fields, c, err);
	if (r >= 0)
		r = apply_to_kernel(i, &c->effective, err);
	if (r < 0) {
		inst_change_free(c);
		return r;
	}
	i->p->change_waits = needs_restart(i, c);
	c->restart_needed = i->restart_needed || i->p->change_waits;
	swap(i, c);
	inst_cpus_respread(i->manager);
	i->p->change = c;
	r = inst_begin(i, OP_CHANGE, change_begun, ret, err);
	if (r < 0) {
		i->p->change = NULL;
		swap(i, c);
		inst_cpus_respread(i->manager);
		(void)apply_to_kernel(i, &i->effective, NULL);
		inst_change_free(c);
		return r;
	}
	return 0;
}
