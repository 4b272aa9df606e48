/* SPDX-License-Identifier: Apache-2.0 */
/* Documents against what is: one row per field of an instance, compared as normalised JSON. */
#include "runtime/instance/apply_diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

/* The key of each field in the document, by enum inst_field. */
static const char *const field_names[] = {
	[INST_FIELD_PLAN] = "plan",
	[INST_FIELD_IMAGE] = "image",
	[INST_FIELD_HOSTNAME] = "hostname",
	[INST_FIELD_LABELS] = "labels",
	[INST_FIELD_PROTECTED] = "protected",
	[INST_FIELD_NETWORK] = "network",
	[INST_FIELD_FIREWALL] = "firewall",
	[INST_FIELD_AUTOSTART] = "autostart",
	[INST_FIELD_SSH_KEYS] = "ssh_keys",
	[INST_FIELD_USER_DATA] = "user_data",
	[INST_FIELD_PASSWORD_HASH] = "password_hash",
	[INST_FIELD_TIMEZONE] = "timezone",
	[INST_FIELD_OVERRIDES] = "overrides",
};
_Static_assert(sizeof(field_names) / sizeof(field_names[0]) == INST_FIELD_MAX, "one name a field");

const char *diff_field_name(enum inst_field field)
{
	return (unsigned)field < INST_FIELD_MAX ? field_names[field] : NULL;
}

const char *diff_kind_name(enum diff_kind kind)
{
	static const char *const names[] = {"plan", "tenant", "instance"};
	_Static_assert(sizeof(names) / sizeof(names[0]) == DIFF_KIND_MAX, "one name a kind");

	return (unsigned)kind < DIFF_KIND_MAX ? names[kind] : NULL;
}

const char *diff_action_name(enum diff_action action)
{
	static const char *const names[] = {"create", "change", "delete", "drift", "refused"};
	_Static_assert(sizeof(names) / sizeof(names[0]) == DIFF_ACTION_MAX, "one name an action");

	return (unsigned)action < DIFF_ACTION_MAX ? names[action] : NULL;
}

void diff_done(struct diff *d)
{
	for (size_t i = 0; i < d->n; i++)
		json_decref(d->items[i].json_fields);
	free(d->items);
	*d = (struct diff){0};
}

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "cannot compare documents: out of memory");
}

/* One more change; NULL when memory is short. */
static struct diff_change *add(struct diff *d, enum diff_kind kind, enum diff_action action)
{
	struct diff_change *grown = realloc(d->items, (d->n + 1) * sizeof(*grown));

	if (!grown)
		return NULL;
	d->items = grown;
	grown[d->n] = (struct diff_change){.kind = kind, .action = action};
	return &grown[d->n++];
}

/* --- plans and tenants ----------------------------------------------------------------------- */

static int diff_plan(const struct diff_input *in, const struct spec_plan *plan, struct diff *d,
		     struct err *err)
{
	const struct inst_plan *known = catalog_plan(in->catalog, plan->name, plan->version);
	_cleanup_json_ json_t *have = known ? spec_plan_to_json(&known->spec) : NULL;
	_cleanup_json_ json_t *want = spec_plan_to_json(plan);
	struct diff_change *c;
	bool is_other;

	if (!want || (known && !have))
		return no_memory(err);
	is_other = known && !json_equal(have, want);
	/* What could not be written is not there yet. */
	if (known && !is_other && !known->is_unwritten)
		return 0;
	c = add(d, DIFF_PLAN, is_other ? DIFF_REFUSED : DIFF_CREATE);
	if (!c)
		return no_memory(err);
	c->plan = plan;
	(void)str_fmt(c->target, sizeof(c->target), "%s@%" PRIu64, plan->name, plan->version);
	if (is_other)
		(void)str_fmt(c->reason, sizeof(c->reason),
			      "a plan is never changed: give the new one \"version\": %" PRIu64,
			      catalog_plan(in->catalog, plan->name, 0)->spec.version + 1);
	return 0;
}

/* A tenant's document without its instances. */
static json_t *tenant_json(const struct spec_tenant *t)
{
	json_t *doc = spec_tenant_to_json(t);

	if (doc)
		(void)json_object_del(doc, "instances");
	return doc;
}

static int add_field(struct diff_change *c, const char *name, json_t *from, json_t *to)
{
	json_t *row;

	if (!c->json_fields)
		c->json_fields = json_array();
	row = json_pack("{s:s, s:O?, s:O?}", "field", name, "from", from, "to", to);
	return json_array_append_new(c->json_fields, row) < 0 ? -ENOMEM : 0;
}

static bool is_same(const json_t *a, const json_t *b)
{
	if (!a || json_is_null(a))
		return !b || json_is_null(b);
	return b && json_equal(a, b);
}

static int diff_tenant(const struct diff_input *in, const struct spec_tenant *tenant,
		       struct diff *d, struct err *err)
{
	const struct inst_tenant *known = catalog_tenant(in->catalog, tenant->name);
	_cleanup_json_ json_t *have = known ? tenant_json(&known->spec) : NULL;
	_cleanup_json_ json_t *want = tenant_json(tenant);
	struct diff_change *c;
	const char *key;
	json_t *value;

	if (!want || (known && !have))
		return no_memory(err);
	if (known && !known->is_unwritten && json_equal(have, want))
		return 0;
	c = add(d, DIFF_TENANT, known ? DIFF_CHANGE : DIFF_CREATE);
	if (!c)
		return no_memory(err);
	c->tenant_spec = tenant;
	(void)str_copy(c->target, sizeof(c->target), tenant->name);
	if (!known)
		return 0;
	json_object_foreach (want, key, value) {
		json_t *from = json_object_get(have, key);

		if (!is_same(from, value) && add_field(c, key, from, value) < 0)
			return no_memory(err);
	}
	return 0;
}

/* --- instances ------------------------------------------------------------------------------- */

static const struct diff_inst *find_inst(const struct diff_input *in, const char *tenant,
					 const char *name)
{
	for (size_t i = 0; i < in->n_insts; i++)
		if (str_eq(in->insts[i].tenant, tenant) && str_eq(in->insts[i].spec->name, name))
			return &in->insts[i];
	return NULL;
}

static bool has_plan(const struct diff_input *in, const char *ref)
{
	char name[SPEC_NAME_TEXT];
	uint64_t version;

	if (!ref || spec_plan_ref_parse(ref, name, &version) < 0)
		return false;
	return catalog_plan(in->catalog, name, version) ||
	       spec_set_find_plan(in->set, name, version);
}

/* "small" is satisfied by any version of it. */
static bool is_same_plan(const struct diff_inst *have, const char *ref)
{
	char name[SPEC_NAME_TEXT];
	uint64_t version;

	if (!ref || spec_plan_ref_parse(ref, name, &version) < 0)
		return false;
	return str_eq(name, have->plan) && (version == 0 || version == have->plan_version);
}

static int diff_new(const struct diff_input *in, const struct spec_tenant *tenant,
		    const struct spec_instance *spec, struct diff *d, struct err *err)
{
	const struct inst_image *image =
		spec->image ? catalog_image(in->catalog, spec->image) : NULL;
	struct diff_change *c = add(d, DIFF_INSTANCE, DIFF_CREATE);

	if (!c)
		return no_memory(err);
	c->instance = spec;
	(void)str_copy(c->tenant, sizeof(c->tenant), tenant->name);
	(void)str_fmt(c->target, sizeof(c->target), "%s/%s", tenant->name, spec->name);
	if (!has_plan(in, spec->plan)) {
		c->action = DIFF_REFUSED;
		(void)str_fmt(c->reason, sizeof(c->reason), "there is no plan '%s'",
			      spec->plan ? spec->plan : "");
	} else if (!image || image->is_missing) {
		c->action = DIFF_REFUSED;
		(void)str_fmt(c->reason, sizeof(c->reason),
			      "there is no image '%s'; import it first",
			      spec->image ? spec->image : "");
	}
	return 0;
}

/* Normalised, and with the host name that is in force. */
static json_t *instance_json(const struct spec_instance *spec)
{
	json_t *doc = spec_instance_to_json(spec);

	if (doc && !spec->hostname)
		(void)json_object_set_new(doc, "hostname", json_string(spec->name));
	return doc;
}

struct fields {
	uint32_t change, drift;
	bool image;
};

static struct fields compare(const struct diff_input *in, const struct diff_inst *have,
			     const struct spec_instance *want, const json_t *a, const json_t *b)
{
	struct fields f = {0};

	for (unsigned i = 0; i < INST_FIELD_MAX; i++) {
		const char *key = field_names[i];
		bool ours = have->file_fields & 1u << i;

		if (i == INST_FIELD_PLAN
			    ? is_same_plan(have, want->plan)
			    : is_same(json_object_get(a, key), json_object_get(b, key)))
			continue;
		/* What no document mentions and no document wrote is nobody's business here. */
		if (!ours && !json_rows_has(&spec_instance_table, want, key))
			continue;
		if (i == INST_FIELD_IMAGE)
			f.image = true;
		else if (ours || in->take_over)
			f.change |= 1u << i;
		else
			f.drift |= 1u << i;
	}
	return f;
}

static int add_inst_change(struct diff *d, enum diff_action action, uint32_t fields,
			   const struct spec_tenant *tenant, const struct spec_instance *want,
			   const json_t *docs[2], struct err *err)
{
	struct diff_change *c = add(d, DIFF_INSTANCE, action);

	if (!c)
		return no_memory(err);
	c->instance = want;
	c->fields = fields;
	(void)str_copy(c->tenant, sizeof(c->tenant), tenant->name);
	(void)str_fmt(c->target, sizeof(c->target), "%s/%s", tenant->name, want->name);
	for (unsigned i = 0; i < INST_FIELD_MAX; i++)
		if (fields & 1u << i &&
		    add_field(c, field_names[i], json_object_get(docs[0], field_names[i]),
			      json_object_get(docs[1], field_names[i])) < 0)
			return no_memory(err);
	return 0;
}

static int diff_instance(const struct diff_input *in, const struct spec_tenant *tenant,
			 const struct spec_instance *want, struct diff *d, struct err *err)
{
	const struct diff_inst *have = find_inst(in, tenant->name, want->name);
	_cleanup_json_ json_t *a = NULL;
	_cleanup_json_ json_t *b = NULL;
	const json_t *docs[2];
	struct fields f;
	int r = 0;

	if (!have)
		return diff_new(in, tenant, want, d, err);
	a = instance_json(have->spec);
	b = instance_json(want);
	if (!a || !b)
		return no_memory(err);
	docs[0] = a;
	docs[1] = b;
	f = compare(in, have, want, a, b);
	if (f.change)
		r = add_inst_change(d, DIFF_CHANGE, f.change, tenant, want, docs, err);
	if (r >= 0 && f.drift) {
		r = add_inst_change(d, DIFF_DRIFT, f.drift, tenant, want, docs, err);
		if (r >= 0)
			(void)str_copy(d->items[d->n - 1].reason, sizeof(d->items[0].reason),
				       "written by the API since; --take-over overwrites it");
	}
	if (r >= 0 && f.image) {
		r = add_inst_change(d, DIFF_REFUSED, 1u << INST_FIELD_IMAGE, tenant, want, docs,
				    err);
		if (r >= 0)
			(void)str_copy(d->items[d->n - 1].reason, sizeof(d->items[0].reason),
				       "another image needs a new instance");
	}
	return r;
}

static bool is_in_document(const struct spec_tenant *tenant, const char *name)
{
	for (size_t i = 0; i < tenant->instances.n; i++)
		if (str_eq(tenant->instances.items[i].name, name))
			return true;
	return false;
}

/* Only tenants that have a document here, and only what a file created. */
static int diff_prune(const struct diff_input *in, const struct spec_tenant *tenant, struct diff *d,
		      struct err *err)
{
	for (size_t i = 0; i < in->n_insts; i++) {
		const struct diff_inst *have = &in->insts[i];
		struct diff_change *c;

		if (!have->by_file || !str_eq(have->tenant, tenant->name) ||
		    is_in_document(tenant, have->spec->name))
			continue;
		c = add(d, DIFF_INSTANCE, have->spec->protected ? DIFF_REFUSED : DIFF_DELETE);
		if (!c)
			return no_memory(err);
		(void)str_copy(c->tenant, sizeof(c->tenant), tenant->name);
		(void)str_fmt(c->target, sizeof(c->target), "%s/%s", tenant->name,
			      have->spec->name);
		if (have->spec->protected)
			(void)str_copy(c->reason, sizeof(c->reason), "it is protected");
	}
	return 0;
}

int diff_compute(const struct diff_input *in, struct diff *ret, struct err *err)
{
	_cleanup_diff_ struct diff d = {0};
	const struct spec_set *set = in->set;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < set->plans.n; i++)
		r = diff_plan(in, &set->plans.items[i], &d, err);
	for (size_t i = 0; r >= 0 && i < set->tenants.n; i++)
		r = diff_tenant(in, &set->tenants.items[i], &d, err);
	for (size_t i = 0; r >= 0 && i < set->tenants.n; i++) {
		const struct spec_tenant *t = &set->tenants.items[i];

		/* Room first. */
		if (in->prune)
			r = diff_prune(in, t, &d, err);
		for (size_t n = 0; r >= 0 && n < t->instances.n; n++)
			r = diff_instance(in, t, &t->instances.items[n], &d, err);
	}
	if (r < 0)
		return r;
	*ret = d;
	d = (struct diff){0};
	return 0;
}

int diff_merge(const struct spec_instance *have, const struct spec_instance *want, uint32_t fields,
	       struct spec_instance *ret, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	/* Without defaults: one that is written out would be taken for a wish. */
	_cleanup_json_ json_t *a = json_rows_encode(&spec_instance_table, have, 0);
	_cleanup_json_ json_t *b = json_rows_encode(&spec_instance_table, want, 0);
	int r;

	if (!problems || !a || !b)
		return no_memory(err);
	for (unsigned i = 0; i < INST_FIELD_MAX; i++) {
		json_t *value = json_object_get(b, field_names[i]);

		if (!(fields & 1u << i))
			continue;
		if (value)
			(void)json_object_set(a, field_names[i], value);
		else
			(void)json_object_del(a, field_names[i]);
	}
	r = spec_instance_from_json(ret, a, &w);
	if (r == -EINVAL)
		return problems_to_err(problems, err);
	return r < 0 ? no_memory(err) : 0;
}

json_t *diff_to_json(const struct diff_change *c)
{
	json_t *row = json_pack("{s:s, s:s, s:s}", "kind", diff_kind_name(c->kind), "target",
				c->target, "action", diff_action_name(c->action));

	if (!row)
		return NULL;
	(void)json_object_set_new(row, "fields",
				  c->json_fields ? json_incref(c->json_fields) : json_array());
	(void)json_object_set_new(row, "reason", json_string(c->reason));
	return row;
}
