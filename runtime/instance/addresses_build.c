/* SPDX-License-Identifier: Apache-2.0 */
/* From the wishes of a document to addresses: what is there stays, what is missing is taken. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/addresses_private.h"

static const uint8_t families[] = {AF_INET, AF_INET6};

/* A place in the result that is to be filled. */
struct slot {
	size_t nic, position;
	struct spec_wish wish;
};

struct build {
	struct inst_manager *m;
	const struct inst_net_wish *wish;
	const struct inst_net *old;
	struct inst_net *net;
	const struct inst_nic *olds[SPEC_NICS_MAX]; /* whose place it takes; NULL = it is new */
};

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "cannot give out addresses: out of memory");
}

/* --- layout ---------------------------------------------------------------------------------- */

/* Each new interface takes the place of an old one of its network: of the same number, else of the
 * first that is left. */
static void match_nics(struct build *b)
{
	bool is_used[SPEC_NICS_MAX] = {false};

	for (size_t k = 0; k < b->net->n; k++)
		if (k < b->old->n && str_eq(b->old->nics[k].network, b->net->nics[k].network)) {
			b->olds[k] = &b->old->nics[k];
			is_used[k] = true;
		}
	for (size_t k = 0; k < b->net->n; k++)
		for (size_t n = 0; !b->olds[k] && n < b->old->n; n++)
			if (!is_used[n] &&
			    str_eq(b->old->nics[n].network, b->net->nics[k].network)) {
				b->olds[k] = &b->old->nics[n];
				is_used[n] = true;
			}
}

/* Wishes of an interface, those of a family that its network does not have left out: nobody wrote
 * them. */
static size_t wishes_of(const struct build *b, const struct spec_attach *a,
			struct spec_wish ret[2 * SPEC_WISHES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (!spec_attach_is_default(a, families[i]) ||
		    addresses_has_family(b->m, a->network, families[i]))
			n += spec_attach_wishes(a, families[i], ret + n);
	return n;
}

static int lay_out_nic(struct build *b, size_t k, struct slot *slots, size_t *n_slots)
{
	const struct spec_attach *a = &b->wish->spec->network.items[k];
	struct spec_wish wishes[2 * SPEC_WISHES_MAX];
	size_t n = wishes_of(b, a, wishes);
	struct inst_nic *nic = &b->net->nics[k];

	nic->addresses = calloc(n + 1, sizeof(*nic->addresses));
	nic->forwards = calloc(a->ports.n + 1, sizeof(*nic->forwards));
	if (!nic->addresses || !nic->forwards ||
	    str_copy(nic->network, sizeof(nic->network), a->network) < 0)
		return -ENOMEM;
	nic->n_addresses = n;
	for (size_t i = 0; i < n; i++)
		slots[(*n_slots)++] = (struct slot){k, i, wishes[i]};
	for (size_t i = 0; i < a->ports.n; i++)
		nic->forwards[nic->n_forwards++] = spec_forward_parse(a->ports.items[i]);
	return 0;
}

/* --- addresses ------------------------------------------------------------------------------- */

/* What it has already stays where it is, also where the network does not have it any more. */
static int fill_fixed(struct build *b, const struct slot *s, struct err *err)
{
	struct inst_nic *nic = &b->net->nics[s->nic];
	const struct inst_nic *old = NULL;
	const struct inst_address *have = inst_net_find(b->old, &s->wish.addr, &old);
	bool is_inside = addresses_has(b->m, nic->network, &s->wish.addr);

	if (!have || (!is_inside && !str_eq(old->network, nic->network)))
		return addresses_take(b->m, nic->network, &s->wish.addr,
				      &nic->addresses[s->position], err);
	nic->addresses[s->position] = *have;
	nic->addresses[s->position].is_auto = false;
	nic->addresses[s->position].is_outside = !is_inside;
	return 0;
}

/* One of its own that was chosen here and that nothing else of it has by now. */
static const struct inst_address *old_choice(const struct build *b, const struct slot *s)
{
	const struct inst_nic *old = b->olds[s->nic];

	for (size_t k = 0; old && k < old->n_addresses; k++) {
		const struct inst_address *a = &old->addresses[k];

		if (a->is_auto && a->addr.family == s->wish.addr.family &&
		    a->addr.prefix == s->wish.addr.prefix && !inst_net_find(b->net, &a->addr, NULL))
			return a;
	}
	return NULL;
}

/* FNV-1a of what tells this address from all others. */
static uint64_t seed_of(const char *id, size_t nic, size_t position)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *id; id++)
		h = (h ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
	h = (h ^ nic) * UINT64_C(0x100000001b3);
	return (h ^ position) * UINT64_C(0x100000001b3);
}

static int fill_any(struct build *b, const struct slot *s, struct err *err)
{
	struct inst_nic *nic = &b->net->nics[s->nic];
	const struct inst_address *have = old_choice(b, s);

	if (have) {
		nic->addresses[s->position] = *have;
		return 0;
	}
	return addresses_take_any(b->m, nic->network, &s->wish.addr,
				  seed_of(b->wish->id, s->nic, s->position),
				  &nic->addresses[s->position], err);
}

/* Those that are named first: what is chosen goes around them. */
static int fill(struct build *b, const struct slot *slots, size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		if (!slots[i].wish.is_auto)
			r = fill_fixed(b, &slots[i], err);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (slots[i].wish.is_auto)
			r = fill_any(b, &slots[i], err);
	return r;
}

static int build_addresses(struct build *b, struct err *err)
{
	const size_t n_nics = b->wish->spec->network.n;
	_cleanup_free_ struct slot *slots =
		calloc(n_nics * 2 * SPEC_WISHES_MAX + 1, sizeof(*slots));
	size_t n = 0;

	if (!slots)
		return no_memory(err);
	for (b->net->n = 0; b->net->n < n_nics;)
		if (lay_out_nic(b, b->net->n++, slots, &n) < 0)
			return no_memory(err);
	match_nics(b);
	return fill(b, slots, n, err);
}

/* --- checks ---------------------------------------------------------------------------------- */

static int check_forwards(const struct build *b, struct err *err)
{
	for (size_t k = 0; k < b->net->n; k++)
		for (size_t i = 0; i < b->net->nics[k].n_forwards; i++) {
			const struct spec_forward *f = &b->net->nics[k].forwards[i];
			const struct inst *owner = addresses_forward_owner(b->m, f);

			if (owner && owner != b->wish->old)
				return err_set(err, EADDRINUSE,
					       "port %u/%s of the host is forwarded to '%s' "
					       "already",
					       f->port, spec_forward_protocol(f), owner->full_name);
		}
	return 0;
}

static int check_quota(const struct build *b, struct err *err)
{
	const struct inst_tenant *t = b->wish->tenant;
	uint64_t was = addresses_count_ipv4(b->m, b->old);
	uint64_t is = addresses_count_ipv4(b->m, b->net);
	uint64_t all = t ? inst_tenant_ipv4(b->m, t) : 0;

	if (!t || is <= was || all - was + is <= t->spec.quota.ipv4)
		return 0;
	(void)err_set(
		err, ENOSPC,
		"not enough IPv4 addresses in the tenant's quota: %llu more, and %llu of %llu "
		"are in use",
		(unsigned long long)(is - was), (unsigned long long)all,
		(unsigned long long)t->spec.quota.ipv4);
	return err_hint(err, "raise quota.ipv4 of the tenant; addresses of networks in the mode "
			     "\"nat\" do not count");
}

static int check_fits(const struct build *b, struct err *err)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = problems};

	if (!problems)
		return no_memory(err);
	return spec_attach_fits(b->wish->spec, b->m->host, &w) < 0 ? problems_to_err(problems, err)
								   : 0;
}

/* Whether both ask for the same interfaces. */
static bool has_same_wishes(const struct spec_instance *a, const struct spec_instance *b)
{
	bool is_same = a->network.n == b->network.n;

	for (size_t i = 0; is_same && i < a->network.n; i++) {
		_cleanup_json_ json_t *x =
			json_rows_encode(&spec_attach_table, &a->network.items[i], JSON_ENCODE_ALL);
		_cleanup_json_ json_t *y =
			json_rows_encode(&spec_attach_table, &b->network.items[i], JSON_ENCODE_ALL);

		is_same = x && y && json_equal(x, y);
	}
	return is_same;
}

int inst_net_build(struct inst_manager *m, const struct inst_net_wish *wish, struct inst_net *ret,
		   struct err *err)
{
	static const struct inst_net nothing;
	struct build b = {
		.m = m, .wish = wish, .old = wish->old ? &wish->old->net : &nothing, .net = ret};
	int r;

	*ret = (struct inst_net){.n = 0};
	if (wish->old && has_same_wishes(&wish->old->spec, wish->spec))
		return inst_net_copy(ret, b.old, err);
	if (!inst_has_networks(m) || wish->spec->network.n == 0)
		return wish->spec->network.n > 0 ? inst_net_copy(ret, b.old, err) : 0;
	r = check_fits(&b, err);
	if (r >= 0)
		r = build_addresses(&b, err);
	if (r >= 0)
		r = check_forwards(&b, err);
	if (r >= 0)
		r = check_quota(&b, err);
	if (r < 0)
		inst_net_release(m, ret, b.old);
	return r;
}

/* --- those without --------------------------------------------------------------------------- */

static void caught_up(struct inst *i, const struct err *err)
{
	if (!err)
		return;
	log_error("%s: cannot give it addresses: %s", i->full_name, err_text(err));
	inst_net_release(i->manager, &i->net, NULL);
}

static void catch_up(struct inst *i)
{
	const struct inst_net_wish wish = {.id = i->id, .tenant = i->tenant, .spec = &i->spec};
	struct inst_net net;
	struct store_txn *t;
	struct err err = ERR_INIT;

	if (inst_net_build(i->manager, &wish, &net, &err) < 0) {
		log_warning("%s: cannot give it addresses: %s", i->full_name, err_text(&err));
		return;
	}
	i->net = net;
	t = store_txn_new(i->manager->store);
	db_put_net(t, i);
	inst_commit(i, t, caught_up);
}

void addresses_catch_up(struct inst_manager *m)
{
	for (size_t n = 0; inst_has_networks(m) && n < m->n_insts; n++) {
		struct inst *i = m->insts[n];

		if (i->phase == INST_PHASE_PRESENT && i->net.n == 0 && i->spec.network.n > 0)
			catch_up(i);
	}
}
