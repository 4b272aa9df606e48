/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of the catalogue: adding. One that is there is never changed. */
#include <stdlib.h>

#include "base/json.h"
#include "base/str.h"
#include "runtime/instance/private.h"

struct plan_flow {
	struct inst_manager *manager;
	char name[SPEC_NAME_TEXT];
	uint64_t version;
	inst_done_fn done;
	void *arg;
};

static void on_plan_added(void *arg, const struct err *err)
{
	struct plan_flow f = *(struct plan_flow *)arg;
	struct inst_plan *plan;

	free(arg);
	if (f.manager->is_closing)
		return;
	/* By its name: a writing of the same that failed may have taken it out. */
	plan = catalog_plan(&f.manager->catalog, f.name, f.version);
	if (plan && !err)
		plan->is_unwritten = false;
	/* An instance that was quick to use it fails for the same reason, a moment later. */
	if (plan && err && plan->is_unwritten && plan->instances == 0)
		catalog_drop_plan(&f.manager->catalog, plan);
	if (f.done)
		f.done(f.arg, err);
}

static int write_plan(struct inst_manager *m, const struct inst_plan *plan, inst_done_fn done,
		      void *arg, struct err *err)
{
	struct plan_flow *f = calloc(1, sizeof(*f));
	struct store_txn *t;
	int r;

	if (!f)
		return err_set(err, ENOMEM, "cannot add the plan: out of memory");
	*f = (struct plan_flow){
		.manager = m, .version = plan->spec.version, .done = done, .arg = arg};
	(void)str_copy(f->name, sizeof(f->name), plan->spec.name);
	t = store_txn_new(m->store);
	db_add_plan(t, plan);
	r = store_submit(t, on_plan_added, f, err);
	if (r < 0)
		free(f);
	return r;
}

/* 1 = the very same is there, 0 = new, -EEXIST = another of that name and version. */
static int compare_plan(const struct inst_manager *m, const struct spec_plan *spec, struct err *err)
{
	const struct inst_plan *known = catalog_plan(&m->catalog, spec->name, spec->version);
	_cleanup_json_ json_t *a = NULL;
	_cleanup_json_ json_t *b = NULL;

	if (!known)
		return 0;
	a = spec_plan_to_json(&known->spec);
	b = spec_plan_to_json(spec);
	if (!a || !b)
		return err_set(err, ENOMEM, "cannot compare plans: out of memory");
	if (json_equal(a, b))
		return 1;
	(void)err_set(err, EEXIST, "plan '%s@%llu' exists with other content", spec->name,
		      (unsigned long long)spec->version);
	return err_hint(err,
			"a plan is never changed: give the new one \"version\": %llu, then 'vps "
			"resize' moves instances to it",
			(unsigned long long)catalog_plan(&m->catalog, spec->name, 0)->spec.version +
				1);
}

int inst_plan_add(struct inst_manager *m, const struct spec_plan *spec, inst_done_fn done,
		  void *arg, struct err *err)
{
	struct inst_plan *plan;
	int r = compare_plan(m, spec, err);

	if (r < 0)
		return r;
	if (r == 1) {
		plan = catalog_plan(&m->catalog, spec->name, spec->version);
		/* Told when it is durable, whoever came first. */
		if (plan->is_unwritten)
			return write_plan(m, plan, done, arg, err);
		if (done)
			done(arg, NULL);
		return 0;
	}
	plan = calloc(1, sizeof(*plan));
	if (!plan || json_rows_copy(&spec_plan_table, &plan->spec, spec) < 0) {
		free(plan);
		return err_set(err, ENOMEM, "cannot add the plan: out of memory");
	}
	plan->created = now_seconds();
	plan->is_unwritten = true;
	r = catalog_add_plan(&m->catalog, plan, err);
	if (r < 0) {
		inst_plan_free(plan);
		return r;
	}
	r = write_plan(m, plan, done, arg, err);
	if (r < 0)
		catalog_drop_plan(&m->catalog, plan);
	return r;
}
