/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPUs an instance gets, as pure arithmetic. A shared one gets as many as its cores rounded
 * up, so that what it sees is what it has paid for; those of all together are spread so that no CPU
 * has sold more than another.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct placement_item {
	/* In. */
	uint64_t cores;	    /* ceiling, thousandths */
	uint64_t guarantee; /* thousandths */
	cpu_set_t now;	    /* where it is; none = nowhere yet */
	/* Out. */
	cpu_set_t cpus;
};

/* CPUs that an instance with this ceiling (thousandths of a core) sees; at least 1. */
unsigned placement_width(uint64_t cores);

/* Chooses CPUs of the pool for all items. Those that have the right number of CPUs of the pool stay
 * where they are, as long as that is nearly as even as a distribution from scratch. With no pool
 * nobody gets any. -ENOMEM. */
int placement_spread(const cpu_set_t *pool, struct placement_item *items, size_t n);

/* Takes n CPUs out of 'free' for one that has them to itself. siblings[c]: the CPUs that share a
 * core with CPU c, which are taken together where that is possible: what runs on the other half of
 * a core slows and can watch this one. NULL = each is alone. -ENOSPC when there are fewer. */
int placement_take(const cpu_set_t *free, const cpu_set_t *siblings, unsigned n, cpu_set_t *ret);
