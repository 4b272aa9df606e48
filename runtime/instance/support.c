/* SPDX-License-Identifier: Apache-2.0 */
/* What the host cannot keep of a plan: refused, or tolerated and shown; and what was sold before it
 * could not. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "runtime/instance/private.h"

/* The rest of a range is no item to be tolerated: a smaller weight does. Of one that is there
 * already as much is held as the scheduler takes, and shown. */
static int check_weight(const struct inst_manager *m, const struct spec_plan *plan,
			const struct spec_plan *old, struct err *err)
{
	const struct cg_disk *d = &m->disk;

	if (d->weight_max == 0 || plan->disk.weight <= d->weight_max ||
	    (old && old->disk.weight == plan->disk.weight))
		return 0;
	return err_set(err, ERANGE, "disk.weight %llu is more than the scheduler of %s takes, %u",
		       (unsigned long long)plan->disk.weight, d->name, d->weight_max);
}

/* memory.swap.max holds also where nothing is there to be swapped to, but then it promises what
 * nobody gets. */
void manager_unsupported(const struct inst_manager *m, const struct spec_plan *plan,
			 const struct spec_instance *spec, const struct spec_tenant *tenant,
			 struct spec_items *ret)
{
	static const char name[] = "memory.swap";
	struct spec_item *item = ret->items;

	spec_unsupported(plan, spec, tenant, m->host, m->support, ret);
	if (plan->memory.swap == 0 || admission_swap() > 0)
		return;
	for (size_t i = 0; i < ret->n; i++, item++)
		if (str_eq(item->name, name))
			return;
	if (ret->n == SPEC_ITEMS_MAX)
		return;
	ret->n++;
	*item = (struct spec_item){.is_tolerated = spec_host_tolerates(m->host, name)};
	(void)str_copy(item->name, sizeof(item->name), name);
	(void)str_copy(item->reason, sizeof(item->reason), "this host has no swap");
	ret->n_refused += !item->is_tolerated;
}

/* The value at a dotted path; NULL = none. */
static const json_t *value_at(const json_t *doc, const char *path)
{
	while (doc && *path) {
		const char *dot = strchrnul(path, '.');

		doc = json_object_getn(doc, path, (size_t)(dot - path));
		path = *dot ? dot + 1 : dot;
	}
	return doc;
}

/* Documents of an instance: as it is, and as it shall be. */
struct documents {
	json_t *plan[2], *spec[2];
};

static void documents_done(struct documents *d)
{
	for (size_t i = 0; i < 2; i++) {
		json_decref(d->plan[i]);
		json_decref(d->spec[i]);
	}
}

static bool is_same(json_t *const doc[2], const char *path)
{
	const json_t *a = value_at(doc[0], path), *b = value_at(doc[1], path);

	return a && b ? json_equal(a, b) : a == b;
}

/* What was sold when the host could hold it is not held against a change of something else. */
static int forgive_old(struct inst_manager *m, const struct inst *was, const struct spec_plan *plan,
		       const struct spec_instance *spec, struct spec_items *items)
{
	_cleanup_(documents_done) struct documents d = {
		{spec_plan_to_json(&was->effective), spec_plan_to_json(plan)},
		{spec_instance_to_json(&was->spec), spec_instance_to_json(spec)}};
	_cleanup_free_ struct spec_items *old = malloc(sizeof(*old));

	if (!old || !d.plan[0] || !d.plan[1] || !d.spec[0] || !d.spec[1])
		return -ENOMEM;
	manager_unsupported(m, &was->effective, &was->spec, &was->tenant->spec, old);
	for (size_t i = 0; i < items->n; i++) {
		struct spec_item *item = &items->items[i];
		bool is_old = false;

		for (size_t k = 0; k < old->n && !is_old; k++)
			is_old = str_eq(old->items[k].name, item->name);
		if (item->is_tolerated || !is_old || !is_same(d.plan, item->name) ||
		    !is_same(d.spec, item->name))
			continue;
		item->is_tolerated = true;
		items->n_refused--;
	}
	return 0;
}

int inst_check_support(struct inst_manager *m, const struct spec_plan *plan,
		       const struct spec_instance *spec, const struct spec_tenant *tenant,
		       const struct inst *was, struct err *err)
{
	_cleanup_free_ struct spec_items *items = malloc(sizeof(*items));
	int r = 0;

	if (items) {
		manager_probe_support(m);
		manager_unsupported(m, plan, spec, tenant, items);
		r = was && items->n_refused ? forgive_old(m, was, plan, spec, items) : 0;
	}
	if (!items || r < 0)
		return err_set(err, ENOMEM, "cannot check the plan: out of memory");
	r = spec_items_to_err(items, err);
	return r < 0 ? r : check_weight(m, plan, was ? &was->effective : NULL, err);
}
