/* SPDX-License-Identifier: Apache-2.0 */
/* Wishes of the API -> what an instance shall be. resize_all.c does it for all of a plan. */
#include "runtime/instance/resize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/override.h"
#include "runtime/instance/resize_private.h"

/* What a living guest takes on at its next start: the values behind inst_change_waits(). */
static const struct {
	const char *prefix;
	bool is_of_own_cpus; /* only where it has CPUs of its own */
} late_fields[] = {
	{"features.", false},
	{"devices", false},
	{"cpu.dedicated", false},
	{"cpu.cores", true},
};

void resize_plan_ref(char dst[PLAN_REF_TEXT], const struct inst_plan *p)
{
	(void)str_fmt(dst, PLAN_REF_TEXT, "%s@%" PRIu64, p->spec.name, p->spec.version);
}

int resize_no_memory(const struct inst *i, struct err *err)
{
	return err_set(err, ENOMEM, "cannot change '%s': out of memory", i->full_name);
}

int resize_find_plan(const struct inst_manager *m, const char *ref, struct inst_plan **ret,
		     struct err *err)
{
	char name[SPEC_NAME_TEXT];
	uint64_t version;

	if (spec_plan_ref_parse(ref, name, &version) < 0) {
		char shown[80];

		str_escape(shown, sizeof(shown), ref);
		return err_set(err, EINVAL,
			       "\"%s\" is not a plan; write it as PLAN or PLAN@VERSION", shown);
	}
	*ret = catalog_plan(&m->catalog, name, version);
	if (*ret)
		return 0;
	(void)err_set(err, ENOENT, "there is no plan '%s'", ref);
	return err_hint(err, "'vps plan ls' lists the plans");
}

/* --- the wish -------------------------------------------------------------------------------- */

static int change_overrides(const struct inst_resize *req, json_t *overrides)
{
	const struct json_where w = {.file = "", .path = "overrides", .problems = req->problems};
	const char *path;
	json_t *v;
	size_t n;
	int r = 0;

	json_array_foreach (req->unset, n, v) {
		int one = json_is_string(v)
				  ? spec_override_unset(overrides, json_string_value(v), &w)
				  : problems_add(&w, NULL, v, "is not the path of an override");

		r = one < 0 && r != -ENOMEM ? one : r;
	}
	json_object_foreach ((json_t *)(uintptr_t)req->set, path, v) {
		int one = spec_override_set(overrides, path, v, &w);

		r = one < 0 && r != -ENOMEM ? one : r;
	}
	return r;
}

/* The document of i with what the request wants of it. */
static int wanted_document(const struct inst *i, const struct inst_resize *req,
			   const struct inst_plan *plan, json_t **ret)
{
	/* Without defaults: one that is written out would be taken for a wish. */
	_cleanup_json_ json_t *doc = json_rows_encode(&spec_instance_table, &i->spec, 0);
	json_t *overrides;
	char ref[PLAN_REF_TEXT];
	int r;

	if (plan != i->plan) {
		resize_plan_ref(ref, plan);
		(void)json_object_set_new(doc, "plan", json_string(ref));
	}
	overrides = json_object_get(doc, "overrides");
	if (!json_is_object(overrides)) {
		overrides = json_object();
		if (json_object_set_new(doc, "overrides", overrides) < 0)
			return -ENOMEM;
	}
	r = change_overrides(req, overrides);
	if (r < 0)
		return r;
	if (json_object_size(overrides) == 0)
		(void)json_object_del(doc, "overrides");
	*ret = take_ptr(doc);
	return 0;
}

/* What the request writes is the API's. */
static uint32_t fields_of_files(const struct inst *i, const struct inst_plan *plan,
				const json_t *doc)
{
	const json_t *a = i->spec.overrides, *b = json_object_get(doc, "overrides");
	bool is_same = json_object_size(a) == 0 ? json_object_size(b) == 0 : json_equal(a, b);

	return i->file_fields & ~(plan != i->plan ? 1u << INST_FIELD_PLAN : 0u) &
	       ~(!is_same ? 1u << INST_FIELD_OVERRIDES : 0u);
}

/* ret_wish->spec is *ret_spec, for spec_instance_done() on success. */
static int make_wish(const struct inst *i, const struct inst_resize *req,
		     struct spec_instance *ret_spec, struct inst_wish *ret_wish, struct err *err)
{
	const struct json_where w = {.file = "", .path = "", .problems = req->problems};
	_cleanup_json_ json_t *doc = NULL;
	struct inst_plan *plan = i->plan;
	int r = req->plan ? resize_find_plan(i->manager, req->plan, &plan, err) : 0;

	if (r < 0)
		return r;
	r = wanted_document(i, req, plan, &doc);
	if (r >= 0)
		r = spec_instance_from_json(ret_spec, doc, &w);
	if (r == -EINVAL)
		return problems_to_err(req->problems, err);
	if (r < 0)
		return resize_no_memory(i, err);
	*ret_wish = (struct inst_wish){.spec = ret_spec,
				       .file_fields = fields_of_files(i, plan, doc),
				       .force = req->force,
				       .problems = req->problems};
	return 0;
}

int inst_resize(struct inst *i, const struct inst_resize *req, struct op **ret, struct err *err)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	struct inst_wish wish;
	int r = make_wish(i, req, &spec, &wish, err);

	return r < 0 ? r : inst_change_to(i, &wish, ret, err);
}

/* --- dry runs -------------------------------------------------------------------------------- */

static bool is_late(const struct inst *i, const char *field)
{
	for (size_t n = 0; n < sizeof(late_fields) / sizeof(late_fields[0]); n++)
		if (str_has_prefix(field, late_fields[n].prefix))
			return !late_fields[n].is_of_own_cpus || i->p->has_own_cpus;
	return false;
}

static int add_fields(const struct inst *i, const struct inst_change *c, json_t *fields)
{
	_cleanup_json_ json_t *a = spec_plan_to_json(&i->effective);
	_cleanup_json_ json_t *b = spec_plan_to_json(&c->effective);
	char from[PLAN_REF_TEXT], to[PLAN_REF_TEXT];

	if (!a || !b)
		return -ENOMEM;
	if (c->plan != i->plan) {
		resize_plan_ref(from, i->plan);
		resize_plan_ref(to, c->plan);
		if (json_array_append_new(fields, json_pack("{s:s, s:s, s:s}", "field", "plan",
							    "from", from, "to", to)) < 0)
			return -ENOMEM;
	}
	(void)json_object_del(b, "plan");
	(void)json_object_del(b, "version");
	return spec_compare(a, b, fields);
}

/* What c changes of i, and why it cannot be (err may be NULL). NULL when memory is short. */
static json_t *describe(const struct inst *i, const struct inst_change *c, const struct err *err)
{
	_cleanup_json_ json_t *fields = json_array();
	bool has_plan = c->effective.name != NULL;
	bool waits = has_plan && inst_change_waits(i, c);
	json_t *f, *row;
	size_t n;

	/* Without a plan that holds together there is nothing to compare. */
	if (!fields || (has_plan && add_fields(i, c, fields) < 0))
		return NULL;
	json_array_foreach (fields, n, f)
		if (waits && is_late(i, json_string_value(json_object_get(f, "field"))))
			(void)json_object_set_new(f, "at_next_start", json_true());
	row = json_pack("{s:s, s:s, s:s, s:O, s:s, s:b}", "kind", "instance", "target",
			i->full_name, "action", err ? "refused" : "change", "fields", fields,
			"reason", err ? err_text(err) : "", "restart_needed", waits);
	if (row && err && err->hint[0])
		(void)json_object_set_new(row, "hint", json_string(err->hint));
	return row;
}

/* Whether it would be done, all but the writing. c is to be freed in every case. */
static int try_change(struct inst *i, const struct inst_wish *wish, struct inst_change *c,
		      struct err *err)
{
	struct err why = ERR_INIT;
	int busy = inst_change_check(i, err);
	int r = inst_change_build(i, wish, c, busy < 0 ? &why : err);

	if (busy < 0)
		return busy;
	if (r < 0)
		return r;
	c->restart_needed = i->restart_needed;
	return inst_change_kernel(i, &c->effective,
				  CG_APPLY_CHECK | (wish->force ? CG_APPLY_FORCE : 0u), err);
}

int resize_preview(struct inst *i, const struct inst_resize *req, json_t *rows,
		   struct inst_change **ret_change, struct err *err)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	struct inst_change *c = calloc(1, sizeof(*c));
	struct inst_wish wish;
	struct err why = ERR_INIT;
	json_t *row;
	int r;

	if (!c)
		return resize_no_memory(i, err);
	r = make_wish(i, req, &spec, &wish, err);
	if (r < 0) {
		inst_change_free(c);
		return r;
	}
	r = try_change(i, &wish, c, &why);
	row = describe(i, c, r < 0 ? &why : NULL);
	if (!row || ((r < 0 || json_array_size(json_object_get(row, "fields"))) &&
		     json_array_append(rows, row) < 0)) {
		json_decref(row);
		inst_change_free(c);
		return resize_no_memory(i, err);
	}
	json_decref(row);
	if (r >= 0 && ret_change)
		*ret_change = c;
	else
		inst_change_free(c);
	return 0;
}

int resize_answer(json_t **rows, json_t **ret, struct err *err)
{
	*ret = json_pack("{s:o}", "changes", take_ptr(*rows));
	return *ret ? 0 : err_set(err, ENOMEM, "cannot list the changes: out of memory");
}

int inst_resize_preview(struct inst *i, const struct inst_resize *req, json_t **ret,
			struct err *err)
{
	_cleanup_json_ json_t *rows = json_array();
	int r = resize_preview(i, req, rows, NULL, err);

	return r < 0 ? r : resize_answer(&rows, ret, err);
}
