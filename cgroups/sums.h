/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ancestors of instances carry: the sum of the weights and of the guaranteed memory below
 * them, since a guarantee holds only as far as every ancestor has it (cgroup-v2.rst, memory.min).
 * Private to cgroups/. cg_root_recount() of tree.h is the same from the kernel's values.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "cgroups/tree.h"

/* What one instance counts for. */
struct cg_share {
	uint64_t weight;
	uint64_t memory_min; /* bytes */
};

/* As the kernel holds it; 0 where there is no controller. */
struct cg_share cg_share_read(int dirfd);

/* The sum of a tenant: NULL when it has none. */
struct cg_tenant_sum *cg_sum_find(const struct cg_root *r, const char *tenant_id);
/* The same, a new one when there is none; NULL when memory is short. */
struct cg_tenant_sum *cg_sum_get(struct cg_root *r, const char *tenant_id);
void cg_sum_drop(struct cg_root *r, const char *tenant_id);

void cg_sum_add(struct cg_tenant_sum *t, struct cg_share s);
void cg_sum_subtract(struct cg_tenant_sum *t, struct cg_share s);

/* Writes the sums of one tenant, whose directory this is, and of all. */
int cg_sums_write(const struct cg_root *r, int tenant, const char *tenant_id, struct err *err);
