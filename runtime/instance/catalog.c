/* SPDX-License-Identifier: Apache-2.0 */
/* Plans, tenants and images in memory: sorted arrays of pointers, found by bisection. */
#include "runtime/instance/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void inst_plan_free(struct inst_plan *p)
{
	if (!p)
		return;
	spec_plan_done(&p->spec);
	free(p);
}

void inst_tenant_free(struct inst_tenant *t)
{
	if (!t)
		return;
	spec_tenant_done(&t->spec);
	free(t);
}

void inst_image_free(struct inst_image *i)
{
	free(i);
}

void catalog_done(struct catalog *c)
{
	for (size_t i = 0; i < c->n_plans; i++)
		inst_plan_free(c->plans[i]);
	for (size_t i = 0; i < c->n_tenants; i++)
		inst_tenant_free(c->tenants[i]);
	for (size_t i = 0; i < c->n_images; i++)
		inst_image_free(c->images[i]);
	free(c->plans);
	free(c->tenants);
	free(c->images);
	*c = (struct catalog){0};
}

/* The arrays hold pointers of different types: they are moved as bytes, never through a pointer to
 * the wrong type. */
static void *item_at(const void *items, size_t i)
{
	void *p;

	memcpy(&p, (const char *)items + i * sizeof(p), sizeof(p));
	return p;
}

/* Position of the first item that does not sort before the key; *ret_found when it equals it. */
static size_t lower_bound(const void *items, size_t n, int (*cmp)(const void *, const void *),
			  const void *key, bool *ret_found)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cmp(item_at(items, mid), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = lo < n && cmp(item_at(items, lo), key) == 0;
	return lo;
}

/* The array with one more item in its place: the old one is gone. NULL: it is unchanged, and err
 * says why. */
static void *insert(void *items, size_t n, int (*cmp)(const void *, const void *), void *item,
		    const char *what, const char *name, struct err *err)
{
	bool found;
	size_t at = lower_bound(items, n, cmp, item, &found);
	char *grown, *slot;

	if (found) {
		(void)err_set(err, EEXIST, "%s '%s' exists already", what, name);
		return NULL;
	}
	grown = realloc(items, (n + 1) * sizeof(item));
	if (!grown) {
		(void)err_set(err, ENOMEM, "cannot add %s '%s': out of memory", what, name);
		return NULL;
	}
	slot = grown + at * sizeof(item);
	memmove(slot + sizeof(item), slot, (n - at) * sizeof(item));
	memcpy(slot, &item, sizeof(item));
	return grown;
}

static void drop(void *items, size_t *n, const void *item)
{
	for (size_t i = 0; i < *n; i++) {
		char *slot = (char *)items + i * sizeof(item);

		if (item_at(items, i) != item)
			continue;
		memmove(slot, slot + sizeof(item), (*n - i - 1) * sizeof(item));
		(*n)--;
		return;
	}
}

static int cmp_plan(const void *a, const void *b)
{
	const struct inst_plan *x = a, *y = b;
	int r = strcmp(x->spec.name, y->spec.name);

	return r ? r : (x->spec.version > y->spec.version) - (x->spec.version < y->spec.version);
}

static int cmp_tenant(const void *a, const void *b)
{
	const struct inst_tenant *x = a, *y = b;

	return strcmp(x->spec.name, y->spec.name);
}

static int cmp_image(const void *a, const void *b)
{
	const struct inst_image *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int cmp_tenant_name(const void *item, const void *name)
{
	return strcmp(((const struct inst_tenant *)item)->spec.name, name);
}

static int cmp_image_name(const void *item, const void *name)
{
	return strcmp(((const struct inst_image *)item)->name, name);
}

struct inst_plan *catalog_plan(const struct catalog *c, const char *name, uint64_t version)
{
	struct inst_plan *newest = NULL;

	for (size_t i = 0; i < c->n_plans; i++) {
		struct inst_plan *p = c->plans[i];

		if (!str_eq(p->spec.name, name))
			continue;
		if (p->spec.version == version)
			return p;
		newest = p; /* versions ascend */
	}
	return version == 0 ? newest : NULL;
}

struct inst_tenant *catalog_tenant(const struct catalog *c, const char *name)
{
	bool found;
	size_t i = lower_bound(c->tenants, c->n_tenants, cmp_tenant_name, name, &found);

	return found ? c->tenants[i] : NULL;
}

struct inst_tenant *catalog_tenant_by_id(const struct catalog *c, const char *id)
{
	for (size_t i = 0; i < c->n_tenants; i++)
		if (str_eq(c->tenants[i]->id, id))
			return c->tenants[i];
	return NULL;
}

struct inst_image *catalog_image(const struct catalog *c, const char *name)
{
	bool found;
	size_t i = lower_bound(c->images, c->n_images, cmp_image_name, name, &found);

	return found ? c->images[i] : NULL;
}

struct inst_image *catalog_image_by_digest(const struct catalog *c, const char *digest)
{
	for (size_t i = 0; i < c->n_images; i++)
		if (str_eq(c->images[i]->digest, digest))
			return c->images[i];
	return NULL;
}

int catalog_add_plan(struct catalog *c, struct inst_plan *p, struct err *err)
{
	struct inst_plan **grown =
		insert(c->plans, c->n_plans, cmp_plan, p, "plan", p->spec.name, err);

	if (!grown)
		return err ? -err->code : -EIO;
	c->plans = grown;
	c->n_plans++;
	return 0;
}

int catalog_add_tenant(struct catalog *c, struct inst_tenant *t, struct err *err)
{
	struct inst_tenant **grown =
		insert(c->tenants, c->n_tenants, cmp_tenant, t, "tenant", t->spec.name, err);

	if (!grown)
		return err ? -err->code : -EIO;
	c->tenants = grown;
	c->n_tenants++;
	return 0;
}

int catalog_add_image(struct catalog *c, struct inst_image *i, struct err *err)
{
	struct inst_image **grown =
		insert(c->images, c->n_images, cmp_image, i, "image", i->name, err);

	if (!grown)
		return err ? -err->code : -EIO;
	c->images = grown;
	c->n_images++;
	return 0;
}

void catalog_drop_plan(struct catalog *c, struct inst_plan *p)
{
	drop(c->plans, &c->n_plans, p);
	inst_plan_free(p);
}

void catalog_drop_tenant(struct catalog *c, struct inst_tenant *t)
{
	drop(c->tenants, &c->n_tenants, t);
	inst_tenant_free(t);
}

void catalog_drop_image(struct catalog *c, struct inst_image *i)
{
	drop(c->images, &c->n_images, i);
	inst_image_free(i);
}
