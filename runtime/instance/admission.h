/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the host has room for one more instance, or for a bigger one. What plans guarantee must
 * fit in the machine less its reserve; the ceilings must fit in that times the overcommit factor.
 * Every instance that exists counts, running or not: it was sold. Pure.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/host.h"
#include "config/plan.h"
#include "config/tenant.h"

/* What one instance takes, or the sum over many. Ceilings that are unlimited count as nothing. */
struct admission_load {
	uint64_t instances;
	uint64_t cores; /* thousandths, ceiling */
	uint64_t cores_guaranteed;
	uint64_t cores_dedicated; /* thousandths, of whole CPUs that nobody else uses */
	uint64_t memory;	  /* bytes, ceiling */
	uint64_t memory_guaranteed;
	uint64_t disk;
	uint64_t disks_unlimited; /* instances without a limit of their disk */
};

struct admission_host {
	uint64_t cores; /* thousandths that the machine has */
	cpu_set_t cpus; /* the same one by one */
	/* No CPU can be dedicated here: who asks for that, and is let in all the same, shares. */
	bool shares_dedicated;
	uint64_t memory;
	const struct spec_host *spec;
};

struct admission_load admission_of_plan(const struct spec_plan *plan);
void admission_add(struct admission_load *sum, const struct admission_load *one);
void admission_sub(struct admission_load *sum, const struct admission_load *one);

/* What the machine has, less the reserve. */
uint64_t admission_cores(const struct admission_host *h);
uint64_t admission_memory(const struct admission_host *h);
/* CPUs that are the host's alone while instances have CPUs of their own: the first ones. */
unsigned admission_cpus_kept(const struct admission_host *h);
/* What can be dedicated, thousandths: whole CPUs, less those that the host keeps, less one;
 * JSON_UNLIMITED where it means nothing. */
uint64_t admission_cores_dedicated(const struct admission_host *h);

/* -ENOSPC: names what is short, how much is wanted and how much is left. 'used' is without 'want'.
 */
int admission_check_host(const struct admission_host *h, const struct admission_load *used,
			 const struct admission_load *want, struct err *err);
/* The same against the tenant's quota. */
int admission_check_quota(const struct spec_tenant *tenant, const struct admission_load *used,
			  const struct admission_load *want, struct err *err);
/* CPUs online and memory of this machine; cpu_dir is "/sys/devices/system/cpu". */
int admission_probe(const char *cpu_dir, struct admission_host *ret, struct err *err);
