/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of documents, and the checks of a set of documents against each other. */
#include "config/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "config/network.h"

const char *spec_kind_name(enum spec_kind kind)
{
	static const char *const names[SPEC_KIND_MAX] = {
		[SPEC_KIND_HOST] = "host",
		[SPEC_KIND_PLAN] = "plan",
		[SPEC_KIND_TENANT] = "tenant",
	};

	return (unsigned)kind < SPEC_KIND_MAX ? names[kind] : NULL;
}

enum spec_kind spec_kind_of(const json_t *doc)
{
	if (json_object_get(doc, "plan"))
		return SPEC_KIND_PLAN;
	if (json_object_get(doc, "tenant"))
		return SPEC_KIND_TENANT;
	return SPEC_KIND_HOST;
}

int spec_validate_text(enum spec_kind kind, const char *text, size_t len, const char *name,
		       struct problems *problems)
{
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;

	return spec_set_add_text(&set, kind, text, len, name, problems);
}

/* --- a set of documents -------------------------------------------------------------------- */

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void spec_set_done(struct spec_set *s)
{
	if (s->host)
		spec_host_done(s->host);
	free(s->host);
	free(s->host_file);
	for (size_t i = 0; i < s->plans.n; i++)
		spec_plan_done(&s->plans.items[i]);
	free(s->plans.items);
	free_names(s->plans.files, s->plans.n);
	for (size_t i = 0; i < s->tenants.n; i++)
		spec_tenant_done(&s->tenants.items[i]);
	free(s->tenants.items);
	free_names(s->tenants.files, s->tenants.n);
	*s = SPEC_SET_INIT;
}

static int add_host(struct spec_set *s, const json_t *doc, const struct json_where *w)
{
	_cleanup_free_ struct spec_host *host = calloc(1, sizeof(*host));
	_cleanup_free_ char *file = strdup(w->file);
	int r;

	if (!host || !file)
		return -ENOMEM;
	if (s->host)
		return problems_add(w, NULL, NULL, "is a second host document; %s is the first",
				    s->host_file);
	r = spec_host_from_json(host, doc, w);
	if (r < 0)
		return r;
	s->host = take_ptr(host);
	s->host_file = take_ptr(file);
	return 0;
}

static int add_plan(struct spec_set *s, const json_t *doc, const struct json_where *w)
{
	size_t n = s->plans.n;
	struct spec_plan *items = reallocarray(s->plans.items, n + 1, sizeof(*items));
	char **files = items ? reallocarray(s->plans.files, n + 1, sizeof(*files)) : NULL;
	int r;

	/* What was moved stays with the set, also when the second one failed. */
	s->plans.items = items ? items : s->plans.items;
	s->plans.files = files ? files : s->plans.files;
	if (!items || !files)
		return -ENOMEM;
	r = spec_plan_from_json(&items[n], doc, w);
	if (r < 0)
		return r;
	files[n] = strdup(w->file);
	if (!files[n]) {
		spec_plan_done(&items[n]);
		return -ENOMEM;
	}
	s->plans.n++;
	return 0;
}

static int add_tenant(struct spec_set *s, const json_t *doc, const struct json_where *w)
{
	size_t n = s->tenants.n;
	struct spec_tenant *items = reallocarray(s->tenants.items, n + 1, sizeof(*items));
	char **files = items ? reallocarray(s->tenants.files, n + 1, sizeof(*files)) : NULL;
	int r;

	s->tenants.items = items ? items : s->tenants.items;
	s->tenants.files = files ? files : s->tenants.files;
	if (!items || !files)
		return -ENOMEM;
	r = spec_tenant_from_json(&items[n], doc, w);
	if (r < 0)
		return r;
	files[n] = strdup(w->file);
	if (!files[n]) {
		spec_tenant_done(&items[n]);
		return -ENOMEM;
	}
	s->tenants.n++;
	return 0;
}

int spec_set_add_text(struct spec_set *s, enum spec_kind kind, const char *text, size_t len,
		      const char *name, struct problems *problems)
{
	struct json_where w = {name, "", problems};
	_cleanup_json_ json_t *doc = NULL;
	int r = json_text_load(text, len, 0, &w, &doc);

	if (r < 0)
		return r;
	if (kind == SPEC_KIND_AUTO)
		kind = spec_kind_of(doc);
	if (kind == SPEC_KIND_PLAN)
		return add_plan(s, doc, &w);
	if (kind == SPEC_KIND_TENANT)
		return add_tenant(s, doc, &w);
	return add_host(s, doc, &w);
}

/* --- documents against each other ---------------------------------------------------------- */

const struct spec_plan *spec_set_find_plan(const struct spec_set *s, const char *name,
					   uint64_t version)
{
	const struct spec_plan *found = NULL;

	for (size_t i = 0; i < s->plans.n; i++) {
		const struct spec_plan *p = &s->plans.items[i];

		if (!str_eq(p->name, name) || (version != 0 && p->version != version))
			continue;
		if (!found || p->version > found->version)
			found = p;
	}
	return found;
}

static int same_plan(const struct spec_plan *a, const struct spec_plan *b, bool *ret)
{
	_cleanup_json_ json_t *x = spec_plan_to_json(a);
	_cleanup_json_ json_t *y = spec_plan_to_json(b);

	if (!x || !y)
		return -ENOMEM;
	*ret = json_equal(x, y);
	return 0;
}

static int check_plan_twice(const struct spec_set *s, size_t i, struct problems *problems)
{
	const struct spec_plan *p = &s->plans.items[i];
	struct json_where w = {s->plans.files[i], "", problems};
	bool same;
	int r;

	for (size_t k = 0; k < i; k++) {
		if (!str_eq(p->name, s->plans.items[k].name) ||
		    p->version != s->plans.items[k].version)
			continue;
		r = same_plan(p, &s->plans.items[k], &same);
		if (r < 0)
			return r;
		if (!same)
			return problems_add(&w, "version", NULL,
					    "%llu of plan \"%s\" has another content in %s; a "
					    "changed plan needs a new version",
					    (unsigned long long)p->version, p->name,
					    s->plans.files[k]);
	}
	return 0;
}

static int missing_plan(const struct spec_set *s, const char *ref, const char *name,
			const char *key, const struct json_where *w)
{
	_cleanup_sbuf_ struct sbuf known = SBUF_INIT;
	const struct spec_plan *newest = spec_set_find_plan(s, name, 0);

	if (newest)
		return problems_add(w, key, NULL,
				    "plan \"%s\" has no such version; the newest is %llu", ref,
				    (unsigned long long)newest->version);
	for (size_t i = 0; i < s->plans.n; i++)
		sbuf_addf(&known, "%s%s", i > 0 ? ", " : "", s->plans.items[i].name);
	return problems_add(w, key, NULL, "plan \"%s\" does not exist; there are %s", ref,
			    sbuf_str(&known));
}

static void add_capped(uint64_t *sum, uint64_t v)
{
	if (__builtin_add_overflow(*sum, v, sum))
		*sum = UINT64_MAX;
}

/* Plan of one instance with its overrides, added to the sums of the tenant. */
static int check_instance(const struct spec_set *s, const struct spec_instance *inst, size_t i,
			  const struct json_where *w, struct spec_quota *sums)
{
	_cleanup_spec_plan_ struct spec_plan effective = {0};
	char name[SPEC_NAME_TEXT], path[64];
	struct json_where below = {w->file, path, w->problems};
	const struct spec_plan *plan;
	uint64_t version;
	int r = spec_plan_ref_parse(inst->plan, name, &version);

	if (r < 0)
		return r;
	plan = spec_set_find_plan(s, name, version);
	if (!plan) {
		(void)snprintf(path, sizeof(path), "instances[%zu].plan", i);
		return missing_plan(s, inst->plan, name, path, w);
	}
	(void)snprintf(path, sizeof(path), "instances[%zu].overrides", i);
	r = spec_plan_override(plan, inst->overrides, &effective, &below);
	if (r < 0)
		return r;
	add_capped(&sums->cores, effective.cpu.cores);
	add_capped(&sums->memory, effective.memory.limit);
	add_capped(&sums->pids, effective.pids);
	add_capped(&sums->disk, effective.disk.size);
	return 0;
}

static int check_quota(const struct spec_quota *sums, const struct spec_quota *quota,
		       const struct json_where *w)
{
	char need[NUM_TEXT], most[NUM_TEXT];
	int bad = 0;

	if (sums->cores > quota->cores)
		bad = problems_add(w, "quota.cores", NULL,
				   "the instances have %.10g cores; the quota is %.10g",
				   (double)sums->cores / 1000, (double)quota->cores / 1000);
	num_format_size(need, sums->memory);
	num_format_size(most, quota->memory);
	if (sums->memory > quota->memory)
		bad = problems_add(w, "quota.memory", NULL,
				   "the instances have %s; the quota is %s", need, most);
	if (sums->pids > quota->pids)
		bad = problems_add(w, "quota.pids", NULL,
				   "the instances have %llu pids; the quota is %llu",
				   (unsigned long long)sums->pids, (unsigned long long)quota->pids);
	num_format_size(need, sums->disk);
	num_format_size(most, quota->disk);
	if (sums->disk > quota->disk)
		bad = problems_add(w, "quota.disk", NULL, "the instances have %s; the quota is %s",
				   sums->disk == JSON_UNLIMITED ? "no limit" : need, most);
	return bad;
}

static int check_tenant(const struct spec_set *s, size_t i, struct problems *problems)
{
	const struct spec_tenant *t = &s->tenants.items[i];
	struct json_where w = {s->tenants.files[i], "", problems};
	struct spec_quota sums = {0};
	int bad = 0, r;

	for (size_t k = 0; k < i; k++)
		if (str_eq(t->name, s->tenants.items[k].name))
			bad = problems_add(&w, "tenant", NULL, "\"%s\" has a document already, %s",
					   t->name, s->tenants.files[k]);
	for (size_t k = 0; s->host && s->host->networks.n > 0 && k < t->instances.n; k++) {
		char path[48];
		const struct json_where below = {w.file, path, problems};

		(void)snprintf(path, sizeof(path), "instances[%zu]", k);
		if (spec_attach_fits(&t->instances.items[k], s->host, &below) < 0)
			bad = -EINVAL;
	}
	if (s->plans.n == 0)
		return bad;
	for (size_t k = 0; k < t->instances.n; k++) {
		r = check_instance(s, &t->instances.items[k], k, &w, &sums);
		if (r == -ENOMEM)
			return r;
		bad = r < 0 ? r : bad;
	}
	r = check_quota(&sums, &t->quota, &w);
	return r < 0 ? r : bad;
}

/* What a host document has and this build does not do: vpsd would not start with it. */
static int check_host(const struct spec_set *s, struct problems *problems)
{
	const struct json_where w = {s->host_file, "", problems};
	struct spec_items items;
	int bad = 0;

	spec_host_unsupported(s->host, &items);
	for (size_t i = 0; i < items.n; i++)
		if (!items.items[i].is_tolerated)
			bad = problems_add(&w, items.items[i].name, NULL,
					   "is not supported: %s; leave the key out, or tolerate "
					   "it with \"tolerate_unsupported\": [\"%s\"]",
					   items.items[i].reason, items.items[i].name);
	return bad;
}

int spec_set_check(const struct spec_set *s, struct problems *problems)
{
	int bad = s->host ? check_host(s, problems) : 0, r;

	for (size_t i = 0; i < s->plans.n; i++) {
		r = check_plan_twice(s, i, problems);
		if (r == -ENOMEM)
			return r;
		bad = r < 0 ? r : bad;
	}
	for (size_t i = 0; i < s->tenants.n; i++) {
		r = check_tenant(s, i, problems);
		if (r == -ENOMEM)
			return r;
		bad = r < 0 ? r : bad;
	}
	return bad;
}
