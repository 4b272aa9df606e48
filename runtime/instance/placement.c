/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spreading: greedy, the heaviest first, each onto the CPUs that have sold least. What counts is
 * first what is guaranteed, then what is sold as ceiling.
 */
#include "runtime/instance/placement.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* Moving a running guest costs it its caches: not for less than this (millionths of a core). */
#define UNEVEN_GUARANTEE UINT64_C(100000)
#define UNEVEN_CEILING UINT64_C(500000)
#define SCALE UINT64_C(1000) /* from thousandths, so that a share of a share is not nothing */

struct load {
	uint64_t guarantee, ceiling; /* millionths of a core */
};

struct cpu {
	int number;
	struct load load;
};

struct pool {
	struct cpu *cpus;
	unsigned n;
};

unsigned placement_width(uint64_t cores)
{
	uint64_t n = cores / 1000 + (cores % 1000 > 0);

	return n < 1 ? 1 : n > CPU_SETSIZE ? CPU_SETSIZE : (unsigned)n;
}

static unsigned width_in(const struct pool *p, const struct placement_item *i)
{
	unsigned n = placement_width(i->cores);

	return n < p->n ? n : p->n;
}

/* What it puts on each of n CPUs. */
static struct load share(const struct placement_item *i, unsigned n)
{
	return (struct load){i->guarantee * SCALE / n, i->cores * SCALE / n};
}

static int compare_load(const struct load *a, const struct load *b)
{
	if (a->guarantee != b->guarantee)
		return a->guarantee < b->guarantee ? -1 : 1;
	return a->ceiling == b->ceiling ? 0 : a->ceiling < b->ceiling ? -1 : 1;
}

static void put(struct pool *p, const struct placement_item *i)
{
	unsigned n = (unsigned)CPU_COUNT(&i->cpus);
	struct load one;

	if (n == 0)
		return;
	one = share(i, n);
	for (unsigned c = 0; c < p->n; c++) {
		if (!CPU_ISSET((size_t)p->cpus[c].number, &i->cpus))
			continue;
		p->cpus[c].load.guarantee += one.guarantee;
		p->cpus[c].load.ceiling += one.ceiling;
	}
}

/* The CPU with the least load that it does not have; of equals one of 'kept', then the first. */
static int least(const struct pool *p, const cpu_set_t *has, const cpu_set_t *kept)
{
	int best = -1;

	for (unsigned c = 0; c < p->n; c++) {
		const struct cpu *a = &p->cpus[c];
		int order;

		if (CPU_ISSET((size_t)a->number, has))
			continue;
		order = best < 0 ? -1 : compare_load(&a->load, &p->cpus[best].load);
		if (order < 0 || (order == 0 && CPU_ISSET((size_t)a->number, kept) &&
				  !CPU_ISSET((size_t)p->cpus[best].number, kept)))
			best = (int)c;
	}
	return best;
}

static void choose(const struct pool *p, struct placement_item *i)
{
	CPU_ZERO(&i->cpus);
	for (unsigned n = width_in(p, i); n > 0; n--) {
		int c = least(p, &i->cpus, &i->now);

		CPU_SET((size_t)p->cpus[c].number, &i->cpus);
	}
}

/* The difference between the CPU that has sold most and the one that has sold least. */
static struct load unevenness(const struct pool *p)
{
	struct load low = {UINT64_MAX, UINT64_MAX}, high = {0, 0};

	for (unsigned c = 0; c < p->n; c++) {
		const struct load *l = &p->cpus[c].load;

		low.guarantee = l->guarantee < low.guarantee ? l->guarantee : low.guarantee;
		low.ceiling = l->ceiling < low.ceiling ? l->ceiling : low.ceiling;
		high.guarantee = l->guarantee > high.guarantee ? l->guarantee : high.guarantee;
		high.ceiling = l->ceiling > high.ceiling ? l->ceiling : high.ceiling;
	}
	return (struct load){high.guarantee - low.guarantee, high.ceiling - low.ceiling};
}

static void empty(struct pool *p)
{
	for (unsigned c = 0; c < p->n; c++)
		p->cpus[c].load = (struct load){0, 0};
}

static int by_weight(const void *a, const void *b)
{
	const struct placement_item *const *x = a, *const *y = b;
	struct load lx = share(*x, placement_width((*x)->cores));
	struct load ly = share(*y, placement_width((*y)->cores));
	int order = compare_load(&ly, &lx);

	/* Of equals the first: qsort(3) is not stable. */
	return order ? order : *x < *y ? -1 : *x > *y;
}

/* Whoever is well placed stays, the others go where there is most room. */
static void keep(struct pool *p, const cpu_set_t *cpus, struct placement_item **order, size_t n)
{
	empty(p);
	for (size_t i = 0; i < n; i++) {
		struct placement_item *x = order[i];

		CPU_AND(&x->cpus, &x->now, cpus);
		if ((unsigned)CPU_COUNT(&x->cpus) != width_in(p, x))
			CPU_ZERO(&x->cpus);
		put(p, x);
	}
	for (size_t i = 0; i < n; i++) {
		if (CPU_COUNT(&order[i]->cpus) > 0)
			continue;
		choose(p, order[i]);
		put(p, order[i]);
	}
}

static void spread_anew(struct pool *p, struct placement_item **order, size_t n)
{
	empty(p);
	for (size_t i = 0; i < n; i++) {
		choose(p, order[i]);
		put(p, order[i]);
	}
}

static int open_pool(const cpu_set_t *cpus, struct pool *p)
{
	p->cpus = calloc((size_t)CPU_COUNT(cpus) + 1, sizeof(*p->cpus));
	if (!p->cpus)
		return -ENOMEM;
	p->n = 0;
	for (int c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET((size_t)c, cpus))
			p->cpus[p->n++].number = c;
	return 0;
}

int placement_spread(const cpu_set_t *pool, struct placement_item *items, size_t n)
{
	_cleanup_free_ struct placement_item **order =
		calloc(n + 1, sizeof(struct placement_item *));
	_cleanup_free_ struct placement_item *kept = calloc(n + 1, sizeof(*kept));
	_cleanup_free_ struct cpu *cpus = NULL;
	struct load as_is, anew;
	struct pool p;

	if (!order || !kept || open_pool(pool, &p) < 0)
		return -ENOMEM;
	cpus = p.cpus;
	for (size_t i = 0; i < n; i++)
		order[i] = &items[i];
	qsort(order, n, sizeof(struct placement_item *), by_weight);
	keep(&p, pool, order, n);
	as_is = unevenness(&p);
	if (p.n == 0 || (as_is.guarantee <= UNEVEN_GUARANTEE && as_is.ceiling <= UNEVEN_CEILING))
		return 0;
	for (size_t i = 0; i < n; i++)
		kept[i] = items[i];
	spread_anew(&p, order, n);
	anew = unevenness(&p);
	if (as_is.guarantee <= anew.guarantee + UNEVEN_GUARANTEE &&
	    as_is.ceiling <= anew.ceiling + UNEVEN_CEILING)
		for (size_t i = 0; i < n; i++)
			items[i] = kept[i];
	return 0;
}

/* ---- for one alone ---- */

static void siblings_of(const cpu_set_t *siblings, int cpu, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	if (siblings)
		*ret = siblings[cpu];
	CPU_SET((size_t)cpu, ret);
}

static bool is_subset(const cpu_set_t *part, const cpu_set_t *whole)
{
	cpu_set_t both;

	CPU_AND(&both, part, whole);
	return CPU_EQUAL(&both, part);
}

/* The last CPU that is free: of a core that is free as a whole and small enough for n, or (whole
 * false) of one that is not free as a whole. -1 = there is none. */
static int last_of_core(const cpu_set_t *free, const cpu_set_t *siblings, bool whole, unsigned n)
{
	for (int c = CPU_SETSIZE - 1; c >= 0; c--) {
		cpu_set_t core;

		if (!CPU_ISSET((size_t)c, free))
			continue;
		siblings_of(siblings, c, &core);
		if (is_subset(&core, free) != whole)
			continue;
		if (!whole || (unsigned)CPU_COUNT(&core) <= n)
			return c;
	}
	return -1;
}

static int last(const cpu_set_t *free)
{
	int c = CPU_SETSIZE - 1;

	while (c >= 0 && !CPU_ISSET((size_t)c, free))
		c--;
	return c;
}

int placement_take(const cpu_set_t *free, const cpu_set_t *siblings, unsigned n, cpu_set_t *ret)
{
	cpu_set_t left = *free, core;

	CPU_ZERO(ret);
	if ((unsigned)CPU_COUNT(free) < n)
		return -ENOSPC;
	/* Whole cores; the odd one beside somebody who has CPUs of his own as well; any. */
	while (n > 0) {
		int c = last_of_core(&left, siblings, true, n);
		bool whole = c >= 0;

		if (!whole)
			c = last_of_core(&left, siblings, false, n);
		if (c < 0)
			c = last(&left);
		CPU_ZERO(&core);
		if (whole)
			siblings_of(siblings, c, &core);
		CPU_SET((size_t)c, &core);
		CPU_OR(ret, ret, &core);
		CPU_XOR(&left, &left, &core);
		n -= (unsigned)CPU_COUNT(&core);
	}
	return 0;
}
