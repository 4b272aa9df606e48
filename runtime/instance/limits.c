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
#include "runtime/instance/addresses_private.h"
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
		thrash_explain(i);
		return 0;
	}
	i->has_limits = false;
	for (int n = 0; n < CG_LIMIT_MAX; n++) {
		i->limits[n] = (struct cg_limit_status){.configured = limits.value[n]};
		(void)str_copy(i->limits[n].reason, sizeof(i->limits[n].reason), "not running");
	}
	return 0;
}

void inst_change_free(struct inst_change *c)
{
	if (!c)
		return;
	if (c->inst)
		inst_net_release(c->inst->manager, &c->net, &c->inst->net);
	spec_instance_done(&c->spec);
	spec_plan_done(&c->effective);
	free(c);
}

static void exchange(void *a, void *b, size_t size)
{
	unsigned char *x = a, *y = b;

	for (size_t n = 0; n < size; n++) {
		unsigned char kept = x[n];

		x[n] = y[n];
		y[n] = kept;
	}
}

/* Byte by byte and not by way of a struct on the stack: gcc 12 with -ftrivial-auto-var-init=zero
 * clears the padding of what an initialiser copies, and behind an array of structs (inst_net) at
 * the wrong place. */
void inst_change_swap(struct inst *i, struct inst_change *c)
{
	struct admission_load old = admission_of_plan(&i->effective);
	struct admission_load new = admission_of_plan(&c->effective);

	if (!inst_net_is_same(&i->net, &c->net))
		i->p->net_changed = true;
	i->plan->instances--;
	c->plan->instances++;
	c->inst = i;
	exchange(&i->net, &c->net, sizeof(i->net));
	exchange(&i->plan, &c->plan, sizeof(i->plan));
	exchange(&i->spec, &c->spec, sizeof(i->spec));
	exchange(&i->effective, &c->effective, sizeof(i->effective));
	exchange(&i->file_fields, &c->file_fields, sizeof(i->file_fields));
	exchange(&i->restart_needed, &c->restart_needed, sizeof(i->restart_needed));
	admission_sub(&i->manager->load, &old);
	admission_add(&i->manager->load, &new);
}

static int check_change(const struct inst *i, const struct inst_change *c, struct err *err)
{
	struct inst_manager *m = i->manager;
	int r = inst_check_support(m, &c->effective, &c->spec, &i->tenant->spec, i, err);

	/* One that went away meanwhile is no reason to refuse other changes. */
	if (r >= 0 && !inst_devices_are_same(&i->effective, &c->effective))
		r = inst_devices_check(m, &c->effective, err);
	return r < 0 ? r : inst_check_room(m, i->tenant, i, &c->effective, err);
}

/* Writes the plan with the overrides on top to c, with all that is wrong in it. */
static int lay_over(struct inst_change *c, struct problems *problems, struct err *err)
{
	const struct json_where w = {.file = "", .path = "overrides", .problems = problems};
	int r = spec_plan_override(&c->plan->spec, c->spec.overrides, &c->effective, &w);

	if (r == -EINVAL) {
		(void)problems_to_err(problems, err);
		(void)err_hint(err, "these are the overrides on top of plan '%s@%llu'",
			       c->plan->spec.name, (unsigned long long)c->plan->spec.version);
		return r;
	}
	return r < 0 ? err_set_errno(err, -r, "cannot read the overrides") : 0;
}

static int change_addresses(const struct inst *i, struct inst_change *c, struct err *err)
{
	const struct inst_net_wish wish = {
		.id = i->id, .tenant = i->tenant, .old = i, .spec = &c->spec};

	c->inst = i;
	return inst_net_build(i->manager, &wish, &c->net, err);
}

int inst_change_build(const struct inst *i, const struct inst_wish *wish, struct inst_change *ret,
		      struct err *err)
{
	_cleanup_problems_ struct problems *own = wish->problems ? NULL : problems_new();
	struct problems *problems = wish->problems ? wish->problems : own;
	const struct spec_instance *spec = wish->spec;
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
	ret->file_fields = wish->file_fields;
	r = lay_over(ret, problems, err);
	if (r >= 0)
		r = check_change(i, ret, err);
	if (r >= 0)
		r = change_addresses(i, ret, err);
	/* Its links keep what they have until it ends, so nobody else may get that before. */
	if (r >= 0 && i->p->links && ret->net.n != i->net.n)
		return err_set(err, EBUSY,
			       "'%s' runs with %zu interfaces: stop it to give it another number",
			       i->full_name, i->net.n);
	return r;
}

int inst_change_kernel(struct inst *i, const struct spec_plan *plan, unsigned flags,
		       struct err *err)
{
	struct cg_limits limits;
	int r;

	if (i->p->cg.fd < 0)
		return 0;
	inst_limits_of_plan(i->manager, plan, &limits);
	thrash_hold_back(i, &limits);
	r = cg_instance_apply(&i->manager->cg, &i->p->cg, &limits, flags | CG_APPLY_DEFER,
			      i->limits, err);
	if (r < 0 || (flags & CG_APPLY_CHECK))
		return r;
	i->p->owed = 0;
	for (unsigned n = 0; n < CG_LIMIT_MAX; n++)
		i->p->owed |= i->limits[n].is_owed ? 1u << n : 0u;
	return 0;
}

/* Back to the values that the change has replaced, whatever was taken of the new ones meanwhile. */
static void undo_change(struct inst *i, struct inst_change *old)
{
	struct err err = ERR_INIT;

	inst_change_swap(i, old);
	inst_cpus_respread(i->manager);
	if (inst_change_kernel(i, &i->effective, CG_APPLY_FORCE, &err) < 0)
		log_error("%s: cannot go back to its old limits: %s", i->full_name, err_text(&err));
	else
		inst_reclaim(i, NULL);
}

/* The end of a change that is written: the kernel has all of it, or (err) none. */
static void change_held(struct inst *i, const struct err *err)
{
	struct inst_change *old = i->p->change;
	json_t *result = NULL;
	const char *why;

	i->p->change = NULL;
	if (err && old)
		undo_change(i, old);
	inst_change_free(old);
	if (!err) {
		result = json_pack("{s:b}", "restart_needed", i->p->change_waits && inst_is_up(i));
		why = links_change(i);
		if (why)
			(void)json_object_set_new(result, "warning", json_string(why));
		inst_event(i, "changed");
	}
	inst_finish(i, NULL, err, result);
}

/* The values that a change replaced are kept until the new ones are written, and in the kernel. */
static void change_begun(struct inst *i, const struct err *err)
{
	struct inst_change *old = i->p->change;

	if (!err) {
		inst_reclaim(i, change_held);
		return;
	}
	i->p->change = NULL;
	if (old)
		undo_change(i, old);
	inst_change_free(old);
	inst_replay_exit(i);
}

bool inst_change_waits(const struct inst *i, const struct inst_change *c)
{
	const struct spec_features *a = &i->effective.features, *b = &c->effective.features;

	return inst_is_up(i) &&
	       (!str_eq(i->spec.hostname, c->spec.hostname) || a->nesting != b->nesting ||
		a->tun != b->tun || a->fuse != b->fuse ||
		!inst_devices_are_same(&i->effective, &c->effective) ||
		inst_cpus_wait(i, &c->effective));
}

int inst_change_check(const struct inst *i, struct err *err)
{
	const char *why = policy_refuses(i->state, POLICY_VERB_CHANGE);
	int r = inst_check_ready(i->manager, err);

	if (r >= 0)
		r = inst_check_idle(i, POLICY_VERB_CHANGE, err);
	if (r < 0)
		return r;
	if (i->p->reclaim)
		why = "the kernel is taking memory back from it";
	if (why || i->phase != INST_PHASE_PRESENT)
		return err_set(err, EBUSY, "cannot change '%s': %s", i->full_name,
			       why ? why : "it is being deleted");
	return 0;
}

int inst_change_to(struct inst *i, const struct inst_wish *wish, struct op **ret, struct err *err)
{
	struct inst_change *c;
	int r = inst_change_check(i, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
	r = inst_change_build(i, wish, c, err);
	if (r >= 0)
		r = inst_change_kernel(i, &c->effective, wish->force ? CG_APPLY_FORCE : 0, err);
	if (r < 0) {
		inst_change_free(c);
		return r;
	}
	i->p->change_waits = inst_change_waits(i, c);
	c->restart_needed = i->restart_needed || i->p->change_waits;
	inst_change_swap(i, c);
	inst_cpus_respread(i->manager);
	i->p->change = c;
	r = inst_begin(i, OP_CHANGE, change_begun, ret, err);
	if (r < 0) {
		i->p->change = NULL;
		undo_change(i, c);
		inst_change_free(c);
	}
	return r;
}

int inst_change(struct inst *i, const struct spec_instance *spec, uint32_t file_fields,
		struct op **ret, struct err *err)
{
	const struct inst_wish wish = {.spec = spec, .file_fields = file_fields};

	return inst_change_to(i, &wish, ret, err);
}

int inst_protect(struct inst *i, bool protected, struct op **ret, struct err *err)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	/* Written out, so that a document that says otherwise is shown as drift. */
	_cleanup_json_ json_t *doc = json_rows_encode(&spec_instance_table, &i->spec, 0);
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	int r;

	if (!doc || !problems || json_object_set_new(doc, "protected", json_boolean(protected)) < 0)
		return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
	r = spec_instance_from_json(&spec, doc, &w);
	if (r == -EINVAL)
		return problems_to_err(problems, err);
	if (r < 0)
		return err_set_errno(err, -r, "cannot change '%s'", i->full_name);
	return inst_change(i, &spec, i->file_fields & ~(1u << INST_FIELD_PROTECTED), ret, err);
}
