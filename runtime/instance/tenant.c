/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants: their documents, and the ceilings of all their instances together. As with the limits of
 * an instance, the kernel takes a change first, then the database; so one that is refused by either
 * has not happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runtime/instance/private.h"

/* A document on its way to the database, and what it replaced. */
struct tenant_change {
	struct inst_manager *manager;
	struct inst_tenant *tenant;
	struct spec_tenant old;
	bool is_new, was_unwritten;
	struct tenant_change *older, *newer; /* of the same tenant, on their way as well */
	void (*done)(void *arg, const struct err *err);
	void *arg;
};

static void limits_of_spec(const struct spec_tenant *spec, struct cg_limits *ret)
{
	cg_limits_init(ret);
	ret->value[CG_LIMIT_CPU_CORES] = spec->quota.cores;
	ret->value[CG_LIMIT_MEMORY_MAX] = spec->quota.memory;
	ret->value[CG_LIMIT_PIDS_MAX] = spec->quota.pids;
}

void inst_tenant_limits_of(const struct inst_tenant *t, struct cg_limits *ret)
{
	limits_of_spec(&t->spec, ret);
}

int inst_tenant_limits(const struct inst_manager *m, const struct inst_tenant *t,
		       struct cg_limit_status ret[CG_LIMIT_MAX], struct err *err)
{
	struct cg_limits limits;

	inst_tenant_limits_of(t, &limits);
	return cg_tenant_read(&m->cg, t->id, &limits, ret, err);
}

static int to_kernel(struct inst_manager *m, const struct inst_tenant *t,
		     const struct spec_tenant *spec, unsigned flags, struct err *err)
{
	struct cg_limits limits;
	int r;

	limits_of_spec(spec, &limits);
	r = cg_tenant_apply(&m->cg, t->id, &limits, flags, NULL, err);
	if (r == -EBUSY)
		(void)err_hint(err, "all instances of the tenant share its quota: stop one, or "
				    "free what it uses, first");
	return r < 0 ? err_ctx(err, "quota of tenant '%s'", t->spec.name) : 0;
}

void inst_tenants_to_kernel(struct inst_manager *m)
{
	for (size_t i = 0; i < m->catalog.n_tenants; i++) {
		const struct inst_tenant *t = m->catalog.tenants[i];
		struct err err = ERR_INIT;

		if (to_kernel(m, t, &t->spec, CG_APPLY_FORCE, &err) < 0)
			log_warning("cannot set ceilings: %s", err_text(&err));
	}
}

/* --- documents ------------------------------------------------------------------------------- */

/* Takes over the tenant part of a document. */
static int copy_tenant(const struct spec_tenant *from, struct spec_tenant *ret, struct err *err)
{
	if (json_rows_copy(&spec_tenant_table, ret, from) < 0)
		return err_set(err, ENOMEM, "cannot write the tenant: out of memory");
	for (size_t i = 0; i < ret->instances.n; i++)
		spec_instance_done(&ret->instances.items[i]);
	free(ret->instances.items);
	ret->instances.items = NULL;
	ret->instances.n = 0;
	return 0;
}

static int new_tenant(struct inst_manager *m, const struct spec_tenant *spec,
		      struct inst_tenant **ret, struct err *err)
{
	struct inst_tenant *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(err, ENOMEM, "cannot add the tenant: out of memory");
	t->by_file = true;
	t->created = now_seconds();
	r = rand_id(t->id, err);
	if (r >= 0)
		r = copy_tenant(spec, &t->spec, err);
	if (r >= 0)
		r = catalog_add_tenant(&m->catalog, t, err);
	if (r < 0)
		inst_tenant_free(t);
	else
		*ret = t;
	return r;
}

/* Exchanges the tenant's document for the new one, in the kernel first. */
static int replace(struct tenant_change *c, const struct spec_tenant *spec, struct err *err)
{
	struct inst_tenant *t = c->tenant;
	struct spec_tenant new = {0};
	int r = copy_tenant(spec, &new, err);

	if (r >= 0)
		r = to_kernel(c->manager, t, &new, 0, err);
	if (r < 0) {
		spec_tenant_done(&new);
		return r;
	}
	c->old = t->spec;
	t->spec = new;
	return 0;
}

/* Back to what the database has. Where a later one is in force, that is what it goes back to, if it
 * is not written either. */
static void undo(struct tenant_change *c)
{
	struct inst_tenant *t = c->tenant;
	struct err err = ERR_INIT;

	if (c->is_new)
		return;
	if (c->newer) {
		spec_tenant_done(&c->newer->old);
		c->newer->old = c->old;
		c->newer->was_unwritten = c->was_unwritten;
		c->old = (struct spec_tenant){0};
		return;
	}
	spec_tenant_done(&t->spec);
	t->spec = c->old;
	c->old = (struct spec_tenant){0};
	t->is_unwritten = c->was_unwritten;
	if (to_kernel(c->manager, t, &t->spec, CG_APPLY_FORCE, &err) < 0)
		log_error("cannot go back to old ceilings: %s", err_text(&err));
}

static void change_link(struct tenant_change *c)
{
	struct inst_tenant *t = c->tenant;

	c->older = t->newest;
	if (c->older)
		c->older->newer = c;
	t->newest = c;
}

static void change_free(struct tenant_change *c)
{
	if (c->older)
		c->older->newer = c->newer;
	if (c->newer)
		c->newer->older = c->older;
	else
		c->tenant->newest = c->older;
	spec_tenant_done(&c->old);
	free(c);
}

static void on_written(void *arg, const struct err *err)
{
	struct tenant_change *c = arg;

	if (!c->manager->is_closing) {
		if (err)
			undo(c);
		else if (!c->newer)
			c->tenant->is_unwritten = false;
		c->done(c->arg, err);
		change_free(c);
		return;
	}
	spec_tenant_done(&c->old);
	free(c);
}

int inst_tenant_put(struct inst_manager *m, const struct spec_tenant *spec,
		    void (*done)(void *arg, const struct err *err), void *arg, struct err *err)
{
	struct tenant_change *c = calloc(1, sizeof(*c));
	struct store_txn *txn;
	int r;

	if (!c)
		return err_set(err, ENOMEM, "cannot write the tenant: out of memory");
	*c = (struct tenant_change){.manager = m, .done = done, .arg = arg};
	c->tenant = catalog_tenant(&m->catalog, spec->name);
	c->is_new = !c->tenant;
	r = c->is_new ? new_tenant(m, spec, &c->tenant, err) : replace(c, spec, err);
	if (r < 0) {
		free(c);
		return r;
	}
	c->was_unwritten = c->tenant->is_unwritten;
	c->tenant->is_unwritten = true;
	change_link(c);
	txn = store_txn_new(m->store);
	db_put_tenant(txn, c->tenant);
	r = store_submit(txn, on_written, c, err);
	if (r < 0) {
		undo(c);
		change_free(c);
	}
	return r;
}
