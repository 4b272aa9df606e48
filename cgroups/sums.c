/* SPDX-License-Identifier: Apache-2.0 */
/* What the ancestors of instances carry. */
#include "cgroups/sums.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cgroups/dirs.h"

/* Weight of <root> among the host's other cgroups is never below the default. */
#define ROOT_WEIGHT_MIN 100u
#define WEIGHT_MAX 10000u

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : v > max ? max : v;
}

static size_t tenant_index(const struct cg_root *r, const char *id, bool *ret_found)
{
	size_t low = 0, high = r->n_tenants;

	*ret_found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(id, r->tenants[mid].id);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

struct cg_tenant_sum *cg_sum_find(const struct cg_root *r, const char *id)
{
	bool found;
	size_t i = tenant_index(r, id, &found);

	return found ? &r->tenants[i] : NULL;
}

struct cg_tenant_sum *cg_sum_get(struct cg_root *r, const char *id)
{
	struct cg_tenant_sum *grown;
	bool found;
	size_t i = tenant_index(r, id, &found);

	if (found)
		return &r->tenants[i];
	grown = reallocarray(r->tenants, r->n_tenants + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	r->tenants = grown;
	memmove(&grown[i + 1], &grown[i], (r->n_tenants - i) * sizeof(*grown));
	grown[i] = (struct cg_tenant_sum){0};
	(void)str_copy(grown[i].id, sizeof(grown[i].id), id);
	r->n_tenants++;
	return &grown[i];
}

void cg_sum_drop(struct cg_root *r, const char *id)
{
	bool found;
	size_t i = tenant_index(r, id, &found);

	if (!found)
		return;
	r->n_tenants--;
	memmove(&r->tenants[i], &r->tenants[i + 1], (r->n_tenants - i) * sizeof(r->tenants[0]));
}

struct cg_share cg_share_read(int dirfd)
{
	struct cg_share s = {0, 0};

	(void)cg_limit_get(dirfd, CG_LIMIT_CPU_WEIGHT, &s.weight, NULL);
	(void)cg_limit_get(dirfd, CG_LIMIT_MEMORY_MIN, &s.memory_min, NULL);
	return s;
}

void cg_sum_add(struct cg_tenant_sum *t, struct cg_share s)
{
	t->weight = add(t->weight, s.weight);
	t->memory_min = add(t->memory_min, s.memory_min);
}

void cg_sum_subtract(struct cg_tenant_sum *t, struct cg_share s)
{
	t->weight -= s.weight < t->weight ? s.weight : t->weight;
	t->memory_min -= s.memory_min < t->memory_min ? s.memory_min : t->memory_min;
}

/* Sets one limit where its file is there and holds something else. */
static int set_if_changed(int dirfd, enum cg_limit limit, uint64_t value, struct err *err)
{
	uint64_t now;
	int r = cg_limit_get(dirfd, limit, &now, err);

	if (r == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	return now == value ? 0 : cg_limit_set(dirfd, limit, value, err);
}

static int write_tenant_sum(int dirfd, const struct cg_tenant_sum *t, struct err *err)
{
	int r = set_if_changed(dirfd, CG_LIMIT_MEMORY_MIN, t->memory_min, err);

	if (r < 0)
		return r;
	return set_if_changed(dirfd, CG_LIMIT_CPU_WEIGHT, clamp(t->weight, 1, WEIGHT_MAX), err);
}

/* <root> carries the sum of all, shared that of what is below it. <root> gets the weight too: else
 * all guests together would weigh as much against the host's own services as one core does. */
static int write_root_sum(const struct cg_root *r, struct err *err)
{
	const struct cg_tenant_sum *dedicated = cg_sum_find(r, CG_DEDICATED);
	struct cg_share all = {0, 0};
	int k;

	for (size_t i = 0; i < r->n_tenants; i++) {
		all.weight = add(all.weight, r->tenants[i].weight);
		all.memory_min = add(all.memory_min, r->tenants[i].memory_min);
	}
	k = set_if_changed(r->fd, CG_LIMIT_MEMORY_MIN, all.memory_min, err);
	if (k == 0)
		k = set_if_changed(r->shared, CG_LIMIT_MEMORY_MIN,
				   all.memory_min - (dedicated ? dedicated->memory_min : 0), err);
	if (k == 0)
		k = set_if_changed(r->fd, CG_LIMIT_CPU_WEIGHT,
				   clamp(all.weight, ROOT_WEIGHT_MIN, WEIGHT_MAX), err);
	return k;
}

int cg_sums_write(const struct cg_root *r, int tenant, const char *tenant_id, struct err *err)
{
	const struct cg_tenant_sum *t = cg_sum_find(r, tenant_id);
	int k = t ? write_tenant_sum(tenant, t, err) : 0;

	return k < 0 ? k : write_root_sum(r, err);
}

static int count_instance(void *arg, const struct cg_found *f, struct err *err)
{
	struct cg_root *r = arg;
	_cleanup_close_ int tenant = -1, fd = -1;
	struct cg_tenant_sum *t;

	if (!f->id || !f->valid)
		return 0;
	tenant = cg_place_open(r, f->tenant_id, err);
	if (tenant < 0)
		return tenant;
	fd = cg_dir_open(tenant, f->id, err);
	if (fd < 0)
		return fd;
	t = cg_sum_get(r, f->tenant_id);
	if (!t)
		return err_set(err, ENOMEM, "cannot count instances: out of memory");
	cg_sum_add(t, cg_share_read(fd));
	t->instances++;
	return 0;
}

int cg_root_recount(struct cg_root *r, struct err *err)
{
	int k;

	r->n_tenants = 0;
	k = cg_walk(r, count_instance, r, err);
	for (size_t i = 0; i < r->n_tenants && k == 0; i++) {
		_cleanup_close_ int tenant = cg_place_open(r, r->tenants[i].id, err);

		k = tenant < 0 ? tenant : write_tenant_sum(tenant, &r->tenants[i], err);
	}
	return k < 0 ? k : write_root_sum(r, err);
}
