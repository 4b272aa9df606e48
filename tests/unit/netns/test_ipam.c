/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of a network: what is given out, what never is, and nothing twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "netns/ipam.h"
#include "netns/runs.h"

static struct addr at(const char *text)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		fail_msg("%s", text);
	return a;
}

/* A network of these pools (NULL ends them); reserved as pairs. */
static struct ipam *make(bool keeps_ends, const char *const *pools, const char *const *reserved)
{
	struct addr nets[8];
	struct ipam_range ranges[8];
	struct ipam_spec spec = {
		.name = "n", .pools = nets, .reserved = ranges, .keeps_ends = keeps_ends};
	struct err err = ERR_INIT;
	struct ipam *p = NULL;

	for (; pools[spec.n_pools]; spec.n_pools++)
		nets[spec.n_pools] = at(pools[spec.n_pools]);
	for (; reserved && *reserved; reserved += 2, spec.n_reserved++)
		ranges[spec.n_reserved] = (struct ipam_range){at(reserved[0]), at(reserved[1])};
	assert_int_equal(ipam_new(&spec, &p, &err), 0);
	return p;
}

#define POOLS(...) ((const char *const[]){__VA_ARGS__, NULL, NULL})

static void takes(struct ipam *p, const char *text, int code, const char *part)
{
	const struct addr a = at(text);
	struct err err = ERR_INIT;

	assert_int_equal(ipam_take(p, &a, &err), code);
	if (part && !strstr(err_text(&err), part))
		fail_msg("'%s' is not in '%s'", part, err_text(&err));
}

/* Takes any single address, which is this one; NULL = none is free. */
static void gives(struct ipam *p, uint8_t family, uint64_t seed, const char *want)
{
	struct err err = ERR_INIT;
	char text[ADDR_TEXT];
	struct addr a;
	int r = ipam_take_any(p, family, family == AF_INET6 ? 128 : 32, seed, &a, &err);

	if (!want) {
		assert_int_equal(r, -ENOSPC);
		return;
	}
	if (r < 0)
		fail_msg("%s", err_text(&err));
	addr_format(text, &a);
	assert_string_equal(text, want);
}

static void gives_back(struct ipam *p, const char *text)
{
	const struct addr a = at(text);

	ipam_release(p, &a);
}

static void stands(const struct ipam *p, size_t i, uint64_t size, uint64_t used, uint64_t reserved,
		   uint64_t free_ones)
{
	struct ipam_status s;

	assert_true(ipam_status(p, i, &s));
	assert_int_equal(s.size, size);
	assert_int_equal(s.used, used);
	assert_int_equal(s.reserved, reserved);
	assert_int_equal(s.free, free_ones);
}

/* --- what is given out ----------------------------------------------------------------------- */

static void lowest_first(void **state)
{
	struct ipam *p = make(true, POOLS("10.77.0.0/29", "10.78.0.0/30"), NULL);

	(void)state;
	gives(p, AF_INET, 0, "10.77.0.2");
	gives(p, AF_INET, 0, "10.77.0.3");
	gives(p, AF_INET, 0, "10.77.0.4");
	gives_back(p, "10.77.0.3");
	gives(p, AF_INET, 0, "10.77.0.3");
	takes(p, "10.77.0.6", 0, NULL);
	gives(p, AF_INET, 0, "10.77.0.5");
	stands(p, 0, 8, 5, 3, 0);
	gives(p, AF_INET, 0, "10.78.0.2");
	gives(p, AF_INET, 0, NULL);
	stands(p, 1, 4, 1, 3, 0);
	ipam_free(p);
}

static void exhausted(void **state)
{
	struct ipam *p = make(true, POOLS("10.77.0.0/30", "fd77::/126"), NULL);
	struct err err = ERR_INIT;
	struct addr a = ADDR_NONE;

	(void)state;
	gives(p, AF_INET, 0, "10.77.0.2");
	assert_int_equal(ipam_take_any(p, AF_INET, 32, 0, &a, &err), -ENOSPC);
	assert_int_equal(a.family, 0);
	assert_string_equal(err_text(&err), "network 'n' has no free IPv4 address: 10.77.0.0/30 "
					    "has 1 taken of 1");
	assert_non_null(strstr(err.hint, "vpsd.json"));
	/* Of IPv6 all places are tried, wherever the first one was. */
	gives(p, AF_INET6, 3, "fd77::2");
	gives(p, AF_INET6, 3, "fd77::3");
	assert_int_equal(ipam_take_any(p, AF_INET6, 128, 7, &a, &err), -ENOSPC);
	assert_string_equal(err_text(&err),
			    "network 'n' has no free IPv6 address: fd77::/126 has 2 taken of 2");
	assert_int_equal(ipam_take_any(p, AF_INET6, 64, 7, &a, &err), -ERANGE);
	ipam_free(p);
}

static void refused(void **state)
{
	struct ipam *p = make(true, POOLS("10.77.0.0/24", "10.80.0.0/31"),
			      POOLS("10.77.0.10", "10.77.0.19"));
	const struct addr own[] = {at("10.77.0.77/24"), at("192.0.2.1"), at("::1")};

	(void)state;
	assert_int_equal(ipam_set_own(p, own, 3, NULL), 0);
	takes(p, "10.99.0.1", -ERANGE,
	      "10.99.0.1 is not within network 'n', which has 10.77.0.0/24, 10.80.0.0/31");
	takes(p, "10.77.1.0", -ERANGE, "is not within");
	takes(p, "fd00::1", -ERANGE, "network 'n' has no IPv6 addresses");
	takes(p, "10.77.0.0/23", -ERANGE, "10.77.0.0/23 is not within");
	takes(p, "10.77.0.0", -EADDRNOTAVAIL, "is not given out: it is the network's own");
	takes(p, "10.77.0.1", -EADDRNOTAVAIL, "it is kept for the host");
	takes(p, "10.77.0.255", -EADDRNOTAVAIL, "it is the broadcast address");
	takes(p, "10.77.0.10", -EADDRNOTAVAIL, "it is reserved by the host document");
	takes(p, "10.77.0.19", -EADDRNOTAVAIL, "reserved");
	takes(p, "10.77.0.77", -EADDRNOTAVAIL, "it is the host's own");
	takes(p, "10.77.0.20", 0, NULL);
	takes(p, "10.77.0.20", -EADDRINUSE, "10.77.0.20 of network 'n' is taken already");
	/* Pools of two have no ends. */
	takes(p, "10.80.0.0", 0, NULL);
	takes(p, "10.80.0.1", 0, NULL);
	stands(p, 0, 256, 1, 14, 241);
	stands(p, 1, 2, 2, 0, 0);
	/* The host has another address now. */
	assert_int_equal(ipam_set_own(p, own, 0, NULL), 0);
	takes(p, "10.77.0.77", 0, NULL);
	ipam_free(p);
}

/* What was given out before it was reserved stays, and does not come back into use. */
static void kept(void **state)
{
	struct ipam *p = make(true, POOLS("10.77.0.0/29"), POOLS("10.77.0.4", "10.77.0.5"));
	const struct addr old = at("10.77.0.4"), far = at("10.99.0.4");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(ipam_keep(p, &old, &err), 0);
	assert_int_equal(ipam_keep(p, &old, &err), -EADDRINUSE);
	assert_int_equal(ipam_keep(p, &far, &err), -ERANGE);
	stands(p, 0, 8, 1, 4, 3);
	assert_true(ipam_is_taken(p, &old));
	ipam_release(p, &old);
	ipam_release(p, &old);
	assert_false(ipam_is_taken(p, &old));
	stands(p, 0, 8, 0, 5, 3);
	takes(p, "10.77.0.4", -EADDRNOTAVAIL, "reserved");
	assert_true(ipam_has(p, &old));
	assert_false(ipam_has(p, &far));
	assert_true(ipam_has_family(p, AF_INET));
	assert_false(ipam_has_family(p, AF_INET6));
	ipam_free(p);
}

/* Routed networks sell every address. */
static void without_ends(void **state)
{
	struct ipam *p = make(false, POOLS("203.0.113.4/30"), NULL);

	(void)state;
	gives(p, AF_INET, 9, "203.0.113.4");
	gives(p, AF_INET, 9, "203.0.113.5");
	gives(p, AF_INET, 9, "203.0.113.6");
	gives(p, AF_INET, 9, "203.0.113.7");
	gives(p, AF_INET, 9, NULL);
	ipam_free(p);
}

static void ipv6(void **state)
{
	struct ipam *p = make(false, POOLS("2001:db8::/48"), NULL);
	struct addr a, b, first, host = at("2001:db8::/64"), prefix;
	struct err err = ERR_INIT;

	(void)state;
	/* The same seed, the same place; the next one behind it when that is taken. */
	assert_int_equal(ipam_take_any(p, AF_INET6, 128, 42, &first, &err), 0);
	assert_int_equal(ipam_take_any(p, AF_INET6, 128, 42, &b, &err), 0);
	assert_int_equal(addr_distance(&first, &b), 1);
	assert_int_equal(ipam_take_any(p, AF_INET6, 128, 43, &a, &err), 0);
	assert_true(addr_contains(&host, &first) && addr_contains(&host, &a));
	assert_false(addr_equal(&first, &a));
	ipam_release(p, &first);
	assert_int_equal(ipam_take_any(p, AF_INET6, 128, 42, &a, &err), 0);
	assert_true(addr_equal(&first, &a));
	/* A prefix is nobody else's, in whole or in part. */
	assert_int_equal(ipam_take_any(p, AF_INET6, 64, 42, &prefix, &err), 0);
	assert_int_equal(prefix.prefix, 64);
	assert_true(addr_is_network(&prefix));
	assert_false(addr_contains(&prefix, &first));
	a = addr_last(&prefix);
	assert_int_equal(ipam_take(p, &a, &err), -EADDRINUSE);
	assert_int_equal(ipam_take(p, &prefix, &err), -EADDRINUSE);
	takes(p, "2001:db8::/64", -EADDRINUSE, "is taken");
	ipam_release(p, &prefix);
	assert_int_equal(ipam_take(p, &a, &err), 0);
	stands(p, 0, UINT64_MAX, 4, 0, UINT64_MAX);
	ipam_free(p);
	/* All of it, and with the numbers at their end. */
	p = make(false, POOLS("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"), NULL);
	gives(p, AF_INET6, 1, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	gives(p, AF_INET6, 1, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
	gives(p, AF_INET6, 1, NULL);
	gives_back(p, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	gives(p, AF_INET6, 2, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	ipam_free(p);
}

/* A sixteen-bit pool to its end, and any of it back. */
static void many(void **state)
{
	struct ipam *p = make(true, POOLS("10.77.0.0/16"), NULL);
	struct addr a, b = at("10.77.128.7");
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 65533; i++)
		assert_int_equal(ipam_take_any(p, AF_INET, 32, i, &a, &err), 0);
	stands(p, 0, 65536, 65533, 3, 0);
	assert_int_equal(ipam_take_any(p, AF_INET, 32, 0, &a, &err), -ENOSPC);
	ipam_release(p, &b);
	gives(p, AF_INET, 0, "10.77.128.7");
	ipam_free(p);
}

/* --- against a model ------------------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t dice(uint64_t sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % sides;
}

/* 64 addresses of each family: pools of 32, 8, 2 and 1 among them. */
#define MODEL_N 64
struct model {
	struct addr base;
	char state[MODEL_N];	 /* ' ' no pool, '.' free, 'r' reserved, 'T' taken */
	unsigned owner[MODEL_N]; /* of a taken one: the allocation it is of */
	struct addr allocs[2 * MODEL_N];
	size_t n;
};

static void model_init(struct model *m, const char *base)
{
	static const char form[] = "rr.............................r"
				   "........"
				   "  ..    "
				   ".               ";

	*m = (struct model){.base = at(base)};
	_Static_assert(sizeof(form) == MODEL_N + 1, "one letter an address");
	memcpy(m->state, form, MODEL_N);
}

/* Whether all 'n' from 'from' are in this state. */
static bool model_is(const struct model *m, size_t from, size_t n, char want)
{
	for (size_t i = from; i < from + n; i++)
		if (i >= MODEL_N || m->state[i] != want)
			return false;
	return true;
}

static void model_set(struct model *m, size_t from, size_t n, char to)
{
	memset(m->state + from, to, n);
}

static struct addr model_addr(const struct model *m, size_t from, size_t n)
{
	struct addr a;

	assert_int_equal(addr_add(&m->base, from, &a), 0);
	while (n > 1) {
		a.prefix--;
		n /= 2;
	}
	return a;
}

static size_t model_size(const struct addr *a)
{
	return (size_t)1 << (addr_bits(a) - a->prefix);
}

static size_t model_index(const struct model *m, const struct addr *a)
{
	const struct addr first = addr_first(a);

	return (size_t)addr_distance(&m->base, &first);
}

/* Which pool all of it is in; they are apart by their places. */
static int pool_at(size_t from, size_t n)
{
	static const struct {
		size_t from, n;
	} pools[] = {{0, 32}, {32, 8}, {42, 2}, {48, 1}};

	for (int i = 0; i < 4; i++)
		if (from >= pools[i].from && from + n <= pools[i].from + pools[i].n)
			return i;
	return -1;
}

static void note_taken(struct model *m, const struct addr *a)
{
	size_t from = model_index(m, a), n = model_size(a);

	assert_true(model_is(m, from, n, '.'));
	assert_true(pool_at(from, n) >= 0);
	assert_true(addr_is_network(a));
	model_set(m, from, n, 'T');
	m->allocs[m->n++] = *a;
}

static void one_take(struct ipam *p, struct model *m)
{
	size_t n = (size_t)1 << dice(3), from = dice(MODEL_N / n) * n;
	struct addr a = model_addr(m, from, n);
	struct err err = ERR_INIT;
	int r = ipam_take(p, &a, &err);
	bool has_reserved = false, has_taken = false;

	for (size_t i = from; i < from + n; i++) {
		has_reserved = has_reserved || m->state[i] == 'r';
		has_taken = has_taken || m->state[i] == 'T';
	}
	if (pool_at(from, n) < 0)
		assert_int_equal(r, -ERANGE);
	else if (has_reserved)
		assert_int_equal(r, -EADDRNOTAVAIL);
	else if (has_taken)
		assert_int_equal(r, -EADDRINUSE);
	else
		assert_int_equal(r, 0);
	assert_int_equal(err.code, -r);
	if (r == 0)
		note_taken(m, &a);
}

static void one_take_any(struct ipam *p, struct model *m)
{
	size_t n = (size_t)1 << dice(3), lowest = MODEL_N;
	struct addr a = model_addr(m, 0, n);
	struct err err = ERR_INIT;
	int r = ipam_take_any(p, m->base.family, a.prefix, dice(1000), &a, &err);

	for (size_t i = MODEL_N; i >= n; i -= n)
		if (model_is(m, i - n, n, '.') && pool_at(i - n, n) >= 0)
			lowest = i - n;
	assert_int_equal(r, lowest == MODEL_N ? -ENOSPC : 0);
	if (r < 0)
		return;
	assert_int_equal(model_size(&a), n);
	if (m->base.family == AF_INET)
		assert_int_equal(model_index(m, &a), lowest);
	note_taken(m, &a);
}

static void one_release(struct ipam *p, struct model *m)
{
	size_t k;

	if (m->n == 0)
		return;
	k = dice(m->n);
	ipam_release(p, &m->allocs[k]);
	model_set(m, model_index(m, &m->allocs[k]), model_size(&m->allocs[k]), '.');
	m->allocs[k] = m->allocs[--m->n];
}

static void agrees(const struct ipam *p, const struct model *m, size_t first_pool)
{
	uint64_t counts[128] = {0}, used = 0, reserved = 0, free_ones = 0;
	struct ipam_status s;

	for (size_t i = 0; i < MODEL_N; i++) {
		const struct addr a = model_addr(m, i, 1);

		counts[(unsigned char)m->state[i]]++;
		assert_int_equal(ipam_is_taken(p, &a), m->state[i] == 'T');
		assert_int_equal(ipam_has(p, &a), m->state[i] != ' ');
	}
	for (size_t i = first_pool; i < first_pool + 4; i++) {
		assert_true(ipam_status(p, i, &s));
		assert_int_equal(s.size, s.used + s.reserved + s.free);
		used += s.used;
		reserved += s.reserved;
		free_ones += s.free;
	}
	assert_int_equal(used, counts['T']);
	assert_int_equal(reserved, counts['r']);
	assert_int_equal(free_ones, counts['.']);
}

static void model_of_both(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct ipam *p =
			make(false,
			     POOLS("10.0.0.0/27", "10.0.0.32/29", "10.0.0.42/31", "10.0.0.48/32",
				   "fd00::/123", "fd00::20/125", "fd00::2a/127", "fd00::30/128"),
			     POOLS("10.0.0.0", "10.0.0.1", "10.0.0.31", "10.0.0.31",
				   "fd00::", "fd00::1", "fd00::1f", "fd00::1f"));
		struct model models[2];

		random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		model_init(&models[0], "10.0.0.0");
		model_init(&models[1], "fd00::");
		for (unsigned step = 0; step < 400; step++) {
			struct model *m = &models[dice(2)];
			uint64_t what = dice(5);

			/* Full and empty by turns. */
			if (what < (step / 50 % 2 ? 1u : 3u))
				one_take_any(p, m);
			else if (what == 3)
				one_take(p, m);
			else
				one_release(p, m);
			agrees(p, &models[0], 0);
			agrees(p, &models[1], 4);
		}
		ipam_free(p);
	}
}

/* What was not taken so is not given back; and memory stays whole whatever is asked. */
static void runs_are_whole(void **state)
{
	struct runs r = {0};
	const struct run all = {0, 1000};

	(void)state;
	assert_int_equal(runs_add(&r, all), 0);
	for (number i = 1; i < 1000; i += 2)
		runs_remove(&r, &(struct run){i, i});
	assert_true(r.n <= r.room);
	runs_done(&r);
	assert_int_equal(runs_add(&r, (struct run){5, 6}), 0);
	assert_int_equal(runs_add(&r, (struct run){~(number)0 - 1, ~(number)0}), 0);
	assert_int_equal(runs_add(&r, (struct run){0, 4}), 0);
	assert_int_equal(r.n, 2);
	assert_true(runs_have(&r, &(struct run){0, 6}));
	assert_false(runs_have(&r, &(struct run){0, 7}));
	assert_int_equal(runs_add(&r, (struct run){3, ~(number)0 - 3}), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal((int)runs_count(&r, &(struct run){~(number)0 - 4, ~(number)0}), 4);
	runs_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowest_first),	  cmocka_unit_test(exhausted),
		cmocka_unit_test(refused),	  cmocka_unit_test(kept),
		cmocka_unit_test(without_ends),	  cmocka_unit_test(ipv6),
		cmocka_unit_test(many),		  cmocka_unit_test(model_of_both),
		cmocka_unit_test(runs_are_whole),
	};

	return cmocka_run_group_tests_name("ipam", tests, NULL, NULL);
}
