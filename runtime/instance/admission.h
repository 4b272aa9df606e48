/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the host has room for one more instance, or for a bigger one. What plans guarantee must
 * fit in the machine less its reserve; the ceilings must fit in that times the overcommit factor.
 * Every instance that exists counts, running or not: it was sold. What is free is computed in one
 * place, from one row for each resource: what is shown is what is granted. Pure.
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
	uint64_t pids;
	uint64_t disk;
	uint64_t disks_unlimited; /* instances without a limit of their disk */
};

struct admission_host {
	uint64_t cores; /* thousandths that the machine has */
	cpu_set_t cpus; /* the same one by one */
	/* No CPU can be dedicated here: who asks for that, and is let in all the same, shares. */
	bool shares_dedicated;
	uint64_t memory;
	uint64_t disk;	    /* bytes of the pool's file system */
	uint64_t pids;	    /* what the kernel can count; of the whole machine */
	uint64_t id_ranges; /* of instances: those that have one, and those that are free */
	const struct spec_host *spec;
};

enum admission_resource {
	ADMISSION_CORES,
	ADMISSION_DEDICATED, /* cores that nobody else uses */
	ADMISSION_MEMORY,
	ADMISSION_DISK,
	ADMISSION_PIDS,
	ADMISSION_INSTANCES, /* ranges of user ids */
	ADMISSION_RESOURCE_MAX,
};

enum admission_unit {
	ADMISSION_COUNT,
	ADMISSION_MILLI, /* thousandths of a core */
	ADMISSION_BYTES,
};

/* One resource of the host. JSON_UNLIMITED: does not apply, or nothing bounds it. */
struct admission_status {
	const char *name; /* "cores" */
	enum admission_unit unit;
	uint64_t total;	     /* what the machine has */
	uint64_t reserve;    /* of it, for the host */
	uint64_t overcommit; /* thousandths */
	uint64_t sellable;   /* the rest times the factor: for the sum of ceilings */
	uint64_t sold;
	uint64_t free;		/* what a create may ask for */
	uint64_t guaranteeable; /* the rest: for the sum of guarantees */
	uint64_t guaranteed;
	uint64_t guarantee_free;
};

struct admission_load admission_of_plan(const struct spec_plan *plan);
void admission_add(struct admission_load *sum, const struct admission_load *one);
void admission_sub(struct admission_load *sum, const struct admission_load *one);

/* What comes on top when 'old' becomes 'new'; what gets smaller is 0. */
struct admission_load admission_growth(const struct admission_load *new,
				       const struct admission_load *old);

/* All resources of the host with what 'used' leaves of them. */
void admission_status(const struct admission_host *h, const struct admission_load *used,
		      struct admission_status ret[ADMISSION_RESOURCE_MAX]);
/* CPUs that are the host's alone while instances have CPUs of their own: the first ones. */
unsigned admission_cpus_kept(const struct admission_host *h);
/* -ENOSPC: names what is short, how much is wanted and how much is left. 'used' is without 'want'.
 * Nobody who asks for nothing is refused, even on a host that is over. */
int admission_check_host(const struct admission_host *h, const struct admission_load *used,
			 const struct admission_load *want, struct err *err);
/* -ENOSPC: more cores than the machine has are a ceiling that no factor makes true. */
int admission_check_size(const struct admission_host *h, const struct admission_load *one,
			 struct err *err);
/* The same as admission_check_host() against the tenant's quota. */
int admission_check_quota(const struct spec_tenant *tenant, const struct admission_load *used,
			  const struct admission_load *want, struct err *err);
/* Bytes of swap that this machine has; 0 where it cannot be found out. */
uint64_t admission_swap(void);
/* CPUs online, memory and processes of this machine; cpu_dir is "/sys/devices/system/cpu". */
int admission_probe(const char *cpu_dir, struct admission_host *ret, struct err *err);
