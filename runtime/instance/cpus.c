/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUs of instances that run: chosen by placement.c, written here. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
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
	i->p->has_own_cpus = str_eq(i->p->cg.tenant_id, CG_DEDICATED);
	if (cg_cpus_get(i->p->cg.fd, &i->p->cpus, NULL) < 0)
		CPU_ZERO(&i->p->cpus);
}

/* --- those who share ------------------------------------------------------------------------- */

static void move(struct inst *i, const cpu_set_t *cpus)
{
	struct err err = ERR_INIT;

	if (CPU_EQUAL(&i->p->cpus, cpus))
		return;
	if (cg_cpus_set(i->p->cg.fd, cpus, &err) < 0)
		log_warning("%s: %s", i->full_name, err_text(&err));
	inst_cpus_found(i);
}

/* Those that have a cgroup and share CPUs, in the order of the registry. */
static size_t collect(const struct inst_manager *m, struct inst **at, struct placement_item *items)
{
	size_t n = 0;

	for (size_t k = 0; k < m->n_insts; k++) {
		struct inst *i = m->insts[k];

		if (i->p->cg.fd < 0 || i->p->has_own_cpus)
			continue;
		at[n] = i;
		items[n++] = (struct placement_item){.cores = i->effective.cpu.cores,
						     .guarantee = i->effective.cpu.guarantee,
						     .now = i->p->cpus};
	}
	return n;
}

static void spread(struct inst_manager *m, const cpu_set_t *pool)
{
	_cleanup_free_ struct placement_item *items = calloc(m->n_insts + 1, sizeof(*items));
	_cleanup_free_ struct inst **at = calloc(m->n_insts + 1, sizeof(struct inst *));
	size_t n;

	if (!items || !at) {
		log_warning("cannot spread instances over CPUs: out of memory");
		return;
	}
	n = collect(m, at, items);
	if (m->host->cpu_placement == SPEC_PLACEMENT_FLOAT)
		for (size_t k = 0; k < n; k++)
			items[k].cpus = *pool;
	else if (placement_spread(pool, items, n) < 0) {
		log_warning("cannot spread instances over CPUs: out of memory");
		return;
	}
	for (size_t k = 0; k < n; k++)
		move(at[k], &items[k].cpus);
}

/* --- those who have their own ---------------------------------------------------------------- */

/* The machine's CPUs but for the first ones, which the host keeps. */
static void machine_cpus(const struct inst_manager *m, cpu_set_t *ret)
{
	unsigned kept = admission_cpus_kept(&m->machine);

	*ret = m->machine.cpus;
	for (size_t c = 0; kept > 0 && c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, ret)) {
			CPU_CLR(c, ret);
			kept--;
		}
}

/* Which CPUs share a core with each of these; NULL when memory is short. */
static cpu_set_t *read_siblings(const char *cpu_dir, const cpu_set_t *cpus)
{
	cpu_set_t *all = calloc(CPU_SETSIZE, sizeof(*all));
	char path[256], text[CG_CPUS_TEXT];

	for (size_t c = 0; all && c < CPU_SETSIZE; c++) {
		if (!CPU_ISSET(c, cpus))
			continue;
		(void)str_fmt(path, sizeof(path), "%s/cpu%zu/topology/thread_siblings_list",
			      cpu_dir, c);
		if (file_read_short_at(AT_FDCWD, path, text, sizeof(text), NULL) < 0 ||
		    cg_cpus_parse(text, &all[c]) < 0)
			CPU_ZERO(&all[c]);
	}
	return all;
}

/* Of all that have their own, as long as a cgroup of theirs is there. */
static void used_cpus(const struct inst_manager *m, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (size_t k = 0; k < m->n_insts; k++)
		if (m->insts[k]->p->has_own_cpus)
			CPU_OR(ret, ret, &m->insts[k]->p->cpus);
}

/* Makes the tree keep these for them, and no others. */
static int dedicate(struct inst_manager *m, const cpu_set_t *cpus, struct err *err)
{
	cpu_set_t all;
	int r;

	if (CPU_EQUAL(cpus, &m->dedicated) && !m->dedicated_is_unsure)
		return 0;
	machine_cpus(m, &all);
	r = cg_dedicated_set(&m->cg, &m->machine.cpus, &all, cpus, err);
	m->dedicated_is_unsure = r < 0;
	if (r >= 0)
		m->dedicated = *cpus;
	return r;
}

static int choose(const struct inst *i, const cpu_set_t *used, cpu_set_t *ret, cpu_set_t *ret_left,
		  struct err *err)
{
	unsigned n = placement_width(i->effective.cpu.cores), left;
	_cleanup_free_ cpu_set_t *siblings = NULL;
	cpu_set_t all, both;
	int r;

	machine_cpus(i->manager, &all);
	CPU_AND(&both, &all, used);
	CPU_XOR(&all, &all, &both);
	/* One is for all that share. */
	left = (unsigned)CPU_COUNT(&all);
	left -= left > 0;
	if (left < n) {
		(void)err_set(err, ENOSPC, "not enough CPUs: %u of its own wanted, %u left", n,
			      left);
		return err_hint(err, "stop one that has CPUs of its own, or take another plan");
	}
	siblings = read_siblings(i->manager->cpu_dir, &all);
	r = placement_take(&all, siblings, n, ret);
	CPU_XOR(ret_left, &all, ret);
	return r < 0 ? err_set(err, -r, "cannot choose %u CPUs", n) : 0;
}

/* Where the host cannot, and that is tolerated, it shares. */
static bool has_own(const struct inst_manager *m, const struct spec_plan *plan)
{
	return plan->cpu.dedicated && !cg_dedicated_why_not(&m->cg);
}

bool inst_cpus_wants_own(const struct inst *i)
{
	return has_own(i->manager, &i->effective);
}

bool inst_cpus_wait(const struct inst *i, const struct spec_plan *plan)
{
	if (i->p->has_own_cpus != has_own(i->manager, plan))
		return true;
	return i->p->has_own_cpus &&
	       placement_width(plan->cpu.cores) != (unsigned)CPU_COUNT(&i->p->cpus);
}

uint64_t inst_cpus_kept(const struct inst *i)
{
	struct admission_load load = admission_of_plan(&i->effective);
	uint64_t has = i->p->has_own_cpus ? (uint64_t)CPU_COUNT(&i->p->cpus) * 1000 : 0;

	return has > load.cores_dedicated ? has - load.cores_dedicated : 0;
}

void inst_cpus_gone(struct inst *i)
{
	CPU_ZERO(&i->p->cpus);
	i->p->has_own_cpus = false;
}

int inst_cpus_take(struct inst *i, struct err *err)
{
	struct inst_manager *m = i->manager;
	cpu_set_t used, own, left;
	int r;

	inst_cpus_gone(i);
	if (!inst_cpus_wants_own(i))
		return 0;
	used_cpus(m, &used);
	r = choose(i, &used, &own, &left, err);
	if (r < 0)
		return r;
	/* The others leave first: a CPU that another one names cannot be taken. */
	spread(m, &left);
	CPU_OR(&used, &used, &own);
	r = dedicate(m, &used, err);
	if (r < 0) {
		inst_cpus_respread(m);
		return r;
	}
	i->p->cpus = own;
	i->p->has_own_cpus = true;
	return 0;
}

static void respread(struct inst_manager *m)
{
	struct err err = ERR_INIT;
	cpu_set_t pool, used;

	if (!cg_root_has(&m->cg, "cpuset"))
		return;
	used_cpus(m, &used);
	if (dedicate(m, &used, &err) < 0)
		log_warning("cannot give CPUs back: %s", err_text(&err));
	if (cg_cpus_effective(m->cg.shared, &pool, &err) < 0)
		log_warning("cannot spread instances over CPUs: %s", err_text(&err));
	else
		spread(m, &pool);
}

void inst_cpus_respread(struct inst_manager *m)
{
	respread(m);
	inst_views_refresh(m);
}
