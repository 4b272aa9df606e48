/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUs of instances that run: chosen by placement.c, written here. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cgroups/cpuset.h"
#include "runtime/instance/placement.h"
#include "runtime/instance/private.h"

int inst_cpus(const struct inst *i, cpu_set_t *ret, struct err *err)
{
	if (i->p->cg.fd < 0)
		return err_set(err, ENODATA, "'%s' does not run", i->full_name);
	return cg_cpus_effective(i->p->cg.fd, ret, err);
}

void inst_cpus_found(struct inst *i)
{
	if (cg_cpus_get(i->p->cg.fd, &i->p->cpus, NULL) < 0)
		CPU_ZERO(&i->p->cpus);
}

static void move(struct inst *i, const cpu_set_t *cpus)
{
	struct err err = ERR_INIT;

	if (CPU_EQUAL(&i->p->cpus, cpus))
		return;
	if (cg_cpus_set(i->p->cg.fd, cpus, &err) < 0)
		log_warning("%s: %s", i->full_name, err_text(&err));
	inst_cpus_found(i);
}

/* Those that have a cgroup, in the order of the registry. */
static size_t collect(const struct inst_manager *m, struct inst **at, struct placement_item *items)
{
	size_t n = 0;

	for (size_t k = 0; k < m->n_insts; k++) {
		struct inst *i = m->insts[k];

		if (i->p->cg.fd < 0)
			continue;
		at[n] = i;
		items[n++] = (struct placement_item){.cores = i->effective.cpu.cores,
						     .guarantee = i->effective.cpu.guarantee,
						     .now = i->p->cpus};
	}
	return n;
}

void inst_cpus_respread(struct inst_manager *m)
{
	_cleanup_free_ struct placement_item *items = calloc(m->n_insts + 1, sizeof(*items));
	_cleanup_free_ struct inst **at = calloc(m->n_insts + 1, sizeof(struct inst *));
	struct err err = ERR_INIT;
	cpu_set_t pool;
	size_t n;

	if (!cg_root_has(&m->cg, "cpuset"))
		return;
	CPU_ZERO(&pool);
	if (!items || !at) {
		log_warning("cannot spread instances over CPUs: out of memory");
		return;
	}
	n = collect(m, at, items);
	/* Floating: no CPU is asked for, which is all of them. */
	if (m->host->cpu_placement == SPEC_PLACEMENT_SPREAD &&
	    cg_cpus_effective(m->cg.shared, &pool, &err) < 0)
		log_warning("cannot spread instances over CPUs: %s", err_text(&err));
	else if (placement_spread(&pool, items, n) < 0)
		log_warning("cannot spread instances over CPUs: out of memory");
	else
		for (size_t k = 0; k < n; k++)
			move(at[k], &items[k].cpus);
}
