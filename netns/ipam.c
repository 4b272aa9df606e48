/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as numbers: what is taken and what is reserved are runs (netns/runs.h), so the lowest
 * free address is behind the first run however many are taken.
 */
#include "netns/ipam.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/runs.h"

#define POOLS_SHOWN 3 /* in a message */

struct pool {
	struct addr net;
	struct run run;
};

/* What there is of a family. */
struct side {
	struct pool *pools;
	size_t n_pools;
	struct runs reserved, own, taken;
};

struct ipam {
	char *name;
	struct side sides[2];
	bool keeps_ends;
};

/* --- numbers --------------------------------------------------------------------------------- */

static size_t side_index(uint8_t family)
{
	return family == AF_INET6 ? 1 : 0;
}

static number number_of(const struct addr *a)
{
	number n = 0;

	for (unsigned k = 0; k < addr_len(a); k++)
		n = n << 8 | a->bytes[k];
	return n;
}

static struct addr address_of(uint8_t family, number n, unsigned prefix)
{
	struct addr a = {.family = family, .prefix = (uint8_t)prefix};

	for (unsigned k = addr_len(&a); k-- > 0; n >>= 8)
		a.bytes[k] = (uint8_t)n;
	return a;
}

static struct run run_of(const struct addr *net)
{
	const struct addr first = addr_first(net), last = addr_last(net);

	return (struct run){number_of(&first), number_of(&last)};
}

static uint64_t capped(number n)
{
	return n > UINT64_MAX ? UINT64_MAX : (uint64_t)n;
}

/* --- making ---------------------------------------------------------------------------------- */

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "cannot keep addresses: out of memory");
}

static int add_pool(struct ipam *p, const struct addr *net)
{
	struct side *s = &p->sides[side_index(net->family)];
	struct pool *grown = reallocarray(s->pools, s->n_pools + 1, sizeof(*grown));
	const struct run run = run_of(net);

	if (!grown)
		return -ENOMEM;
	s->pools = grown;
	grown[s->n_pools++] = (struct pool){.net = *net, .run = run};
	if (!p->keeps_ends || run.last - run.first < 2)
		return 0;
	if (runs_add(&s->reserved, (struct run){run.first, run.first + 1}) < 0)
		return -ENOMEM;
	return net->family == AF_INET ? runs_add(&s->reserved, (struct run){run.last, run.last})
				      : 0;
}

int ipam_new(const struct ipam_spec *spec, struct ipam **ret, struct err *err)
{
	struct ipam *p = calloc(1, sizeof(*p));
	int r = p && (p->name = strdup(spec->name)) ? 0 : -ENOMEM;

	if (p)
		p->keeps_ends = spec->keeps_ends;
	for (size_t i = 0; r >= 0 && i < spec->n_pools; i++)
		r = add_pool(p, &spec->pools[i]);
	for (size_t i = 0; r >= 0 && i < spec->n_reserved; i++) {
		const struct ipam_range *range = &spec->reserved[i];
		const struct run run = {number_of(&range->first), number_of(&range->last)};

		r = runs_add(&p->sides[side_index(range->first.family)].reserved, run);
	}
	if (r < 0) {
		ipam_free(p);
		return no_memory(err);
	}
	*ret = p;
	return 0;
}

void ipam_free(struct ipam *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < 2; i++) {
		struct side *s = &p->sides[i];

		free(s->pools);
		runs_done(&s->reserved);
		runs_done(&s->own);
		runs_done(&s->taken);
	}
	free(p->name);
	free(p);
}

const char *ipam_name(const struct ipam *p)
{
	return p->name;
}

static const struct pool *pool_of(const struct side *s, const struct run *one)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (run_has(&s->pools[i].run, one))
			return &s->pools[i];
	return NULL;
}

int ipam_set_own(struct ipam *p, const struct addr *own, size_t n, struct err *err)
{
	struct runs fresh[2] = {{0}, {0}};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		size_t side = side_index(own[i].family);
		const number at = number_of(&own[i]);
		const struct run run = {at, at};

		if (pool_of(&p->sides[side], &run))
			r = runs_add(&fresh[side], run);
	}
	for (size_t i = 0; i < 2; i++) {
		struct runs *done = r < 0 ? &fresh[i] : &p->sides[i].own;

		runs_done(done);
		if (r >= 0)
			p->sides[i].own = fresh[i];
	}
	return r < 0 ? no_memory(err) : 0;
}

/* --- words ----------------------------------------------------------------------------------- */

static const char *family_name(uint8_t family)
{
	return family == AF_INET6 ? "IPv6" : "IPv4";
}

/* "10.77.0.0/24, 10.78.0.0/24" */
static void list_pools(const struct side *s, struct sbuf *out)
{
	char text[ADDR_TEXT];

	for (size_t i = 0; i < s->n_pools && i < POOLS_SHOWN; i++) {
		addr_format(text, &s->pools[i].net);
		sbuf_addf(out, "%s%s", i ? ", " : "", text);
	}
	if (s->n_pools > POOLS_SHOWN)
		sbuf_addf(out, " and %zu more", s->n_pools - POOLS_SHOWN);
}

static int is_outside(const struct ipam *p, const struct addr *a, struct err *err)
{
	const struct side *s = &p->sides[side_index(a->family)];
	_cleanup_sbuf_ struct sbuf pools = SBUF_INIT;
	char text[ADDR_TEXT];

	addr_format(text, a);
	if (s->n_pools == 0)
		return err_set(err, ERANGE, "network '%s' has no %s addresses, so not %s either",
			       p->name, family_name(a->family), text);
	list_pools(s, &pools);
	return err_set(err, ERANGE, "%s is not within network '%s', which has %s", text, p->name,
		       sbuf_str(&pools));
}

/* Why an address of a pool is never given out. */
static int is_reserved(const struct ipam *p, const struct pool *in, const struct addr *a,
		       struct err *err)
{
	const struct side *s = &p->sides[side_index(a->family)];
	const struct run one = run_of(a), pool = in->run;
	const bool has_ends = p->keeps_ends && pool.last - pool.first >= 2;
	const char *why = "reserved by the host document";
	char text[ADDR_TEXT];

	addr_format(text, a);
	if (runs_meet(&s->own, &one))
		why = "the host's own";
	else if (has_ends && one.first == pool.first)
		why = "the network's own";
	else if (has_ends && one.first == pool.first + 1)
		why = "kept for the host";
	else if (has_ends && a->family == AF_INET && one.last == pool.last)
		why = "the broadcast address";
	return err_set(err, EADDRNOTAVAIL, "%s of network '%s' is not given out: it is %s", text,
		       p->name, why);
}

static int is_full(const struct ipam *p, uint8_t family, unsigned prefix, struct err *err)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	char what[16] = "address";
	struct ipam_status s;
	size_t n = 0;

	for (size_t i = 0; ipam_status(p, i, &s); i++) {
		char pool[ADDR_TEXT];

		if (s.pool.family != family || ++n > POOLS_SHOWN)
			continue;
		addr_format(pool, &s.pool);
		sbuf_addf(&text, "%s%s has ", n > 1 ? ", " : "", pool);
		if (s.size == UINT64_MAX)
			sbuf_adds(&text, "none left");
		else
			sbuf_addf(&text, "%" PRIu64 " taken of %" PRIu64, s.used,
				  s.size - s.reserved);
	}
	if (n > POOLS_SHOWN)
		sbuf_addf(&text, ", and %zu more", n - POOLS_SHOWN);
	if (prefix < (family == AF_INET6 ? 128u : 32u))
		(void)str_fmt(what, sizeof(what), "/%u", prefix);
	(void)err_set(err, ENOSPC, "network '%s' has no free %s %s: %s", p->name,
		      family_name(family), what, sbuf_str(&text));
	return err_hint(err, "add a range to the network in vpsd.json, or free addresses");
}

/* --- taking ---------------------------------------------------------------------------------- */

static int take(struct ipam *p, const struct addr *a, bool is_old, struct err *err)
{
	struct side *s = &p->sides[side_index(a->family)];
	const struct run one = run_of(a);
	const struct pool *pool = pool_of(s, &one);
	char text[ADDR_TEXT];

	addr_format(text, a);
	if (!pool)
		return is_outside(p, a, err);
	if (!is_old && (runs_meet(&s->reserved, &one) || runs_meet(&s->own, &one)))
		return is_reserved(p, pool, a, err);
	if (runs_meet(&s->taken, &one))
		return err_set(err, EADDRINUSE, "%s of network '%s' is taken already", text,
			       p->name);
	return runs_add(&s->taken, one) < 0 ? no_memory(err) : 0;
}

int ipam_take(struct ipam *p, const struct addr *a, struct err *err)
{
	return take(p, a, false, err);
}

int ipam_keep(struct ipam *p, const struct addr *a, struct err *err)
{
	return take(p, a, true, err);
}

/* What is in the way of 'one'; of several the one that ends last. */
static const struct run *in_the_way(const struct side *s, const struct run *one)
{
	const struct run *met[] = {runs_meet(&s->taken, one), runs_meet(&s->reserved, one),
				   runs_meet(&s->own, one)};
	const struct run *far = NULL;

	for (size_t i = 0; i < 3; i++)
		if (met[i] && (!far || met[i]->last > far->last))
			far = met[i];
	return far;
}

/* The first free place at or behind 'from', of so many addresses and aligned to them (a power of
 * two, less one), that ends by 'last'. */
static bool next_free(const struct side *s, number from, number less_one, number last,
		      struct run *ret)
{
	while (from <= last && last - from >= less_one) {
		const struct run one = {from, from + less_one};
		const struct run *far = in_the_way(s, &one);

		if (!far) {
			*ret = one;
			return true;
		}
		/* No place is left behind the end, nor where counting would begin anew. */
		if (far->last >= last || last - far->last <= less_one)
			return false;
		from = (far->last + 1 + less_one) & ~less_one;
	}
	return false;
}

/* Even where seeds are not: the finalizer of splitmix64. */
static uint64_t scatter(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Where in a pool of IPv6 to begin: single addresses in its first /64, never at the very first
 * address, which is every router's (RFC 4291, 2.6.1). */
static number begin_at(const struct run *pool, unsigned prefix, uint64_t seed)
{
	number less_one = ((number)1 << (128 - prefix)) - 1;
	number places = (pool->last - pool->first) >> (128 - prefix);
	number at = scatter(seed) & places;

	if (less_one == 0 && at == 0 && places > 0)
		at = 1;
	return pool->first + (at << (128 - prefix));
}

int ipam_take_any(struct ipam *p, uint8_t family, unsigned prefix, uint64_t seed, struct addr *ret,
		  struct err *err)
{
	struct side *s = &p->sides[side_index(family)];
	const unsigned bits = family == AF_INET6 ? 128 : 32;
	const number less_one = prefix && prefix <= bits ? ((number)1 << (bits - prefix)) - 1 : 0;
	bool is_large_enough = false, is_found = false;
	struct run one = {0, 0};

	for (size_t i = 0; i < s->n_pools && !is_found; i++) {
		const struct run *pool = &s->pools[i].run;
		number from = pool->first;

		if (s->pools[i].net.prefix > prefix || !prefix || prefix > bits)
			continue;
		is_large_enough = true;
		if (family == AF_INET6)
			from = begin_at(pool, prefix, seed);
		is_found = next_free(s, from, less_one, pool->last, &one) ||
			   next_free(s, pool->first, less_one, pool->last, &one);
	}
	if (s->n_pools == 0)
		return err_set(err, ERANGE, "network '%s' has no %s addresses", p->name,
			       family_name(family));
	if (!is_large_enough)
		return err_set(err, ERANGE, "network '%s' has no range of %s that a /%u fits into",
			       p->name, family_name(family), prefix);
	if (!is_found)
		return is_full(p, family, prefix, err);
	if (runs_add(&s->taken, one) < 0)
		return no_memory(err);
	*ret = address_of(family, one.first, prefix);
	return 0;
}

void ipam_release(struct ipam *p, const struct addr *a)
{
	struct side *s = &p->sides[side_index(a->family)];
	const struct run one = run_of(a);

	if (runs_have(&s->taken, &one))
		runs_remove(&s->taken, &one);
}

/* --- looking --------------------------------------------------------------------------------- */

bool ipam_is_taken(const struct ipam *p, const struct addr *a)
{
	const struct run one = run_of(a);

	return runs_have(&p->sides[side_index(a->family)].taken, &one);
}

bool ipam_has(const struct ipam *p, const struct addr *a)
{
	const struct run one = run_of(a);

	return pool_of(&p->sides[side_index(a->family)], &one) != NULL;
}

bool ipam_has_family(const struct ipam *p, uint8_t family)
{
	return p->sides[side_index(family)].n_pools > 0;
}

/* How many are in none of the three. */
static number count_free(const struct side *s, const struct run *pool)
{
	number sum = 0, from = pool->first;
	struct run one;

	while (next_free(s, from, 0, pool->last, &one)) {
		const struct run rest = {one.first, pool->last};
		const struct run *met[] = {runs_meet(&s->taken, &rest),
					   runs_meet(&s->reserved, &rest),
					   runs_meet(&s->own, &rest)};
		number end = pool->last;

		for (size_t i = 0; i < 3; i++)
			if (met[i] && met[i]->first <= end)
				end = met[i]->first - 1;
		sum += end - one.first + 1;
		if (end == pool->last)
			break;
		from = end + 1;
	}
	return sum;
}

bool ipam_status(const struct ipam *p, size_t i, struct ipam_status *ret)
{
	const struct side *s = &p->sides[i < p->sides[0].n_pools ? 0 : 1];
	const struct pool *pool;
	number size, used, free_ones;

	if (s == &p->sides[1])
		i -= p->sides[0].n_pools;
	if (i >= s->n_pools)
		return false;
	pool = &s->pools[i];
	/* All of IPv6 would be one more than a number holds. */
	size = pool->run.last - pool->run.first;
	size += size != ~(number)0;
	used = runs_count(&s->taken, &pool->run);
	free_ones = count_free(s, &pool->run);
	*ret = (struct ipam_status){.pool = pool->net,
				    .size = capped(size),
				    .used = capped(used),
				    .reserved = capped(size - used - free_ones),
				    .free = capped(free_ones)};
	return true;
}
