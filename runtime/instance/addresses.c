/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses given out: the pools in memory are what the database has and what is on its way there.
 * What a change no longer wants is given back when the change is durable, so no address is ever
 * two instances', whenever vpsd dies.
 */
#include "runtime/instance/addresses.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "netns/ipam.h"
#include "netns/own.h"
#include "runtime/instance/addresses_private.h"

#define OWN_MAX_AGE USEC_PER_SEC
#define NAMES_SHOWN 5

struct inst_addresses {
	struct ipam **ipams; /* one for each network of the host document */
	size_t n;
	uint64_t own_at; /* usec: the host's own were read; 0 = never */
	size_t n_outside;
	struct sbuf outside; /* the first of them, for the log */
};

/* --- pools ----------------------------------------------------------------------------------- */

static int parse_pools(const struct spec_network *n, struct addr *pools,
		       struct ipam_range *reserved)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n->ipv4.n; i++)
		r = addr_parse(n->ipv4.items[i], pools++);
	for (size_t i = 0; r >= 0 && i < n->ipv6.n; i++)
		r = addr_parse(n->ipv6.items[i], pools++);
	for (size_t i = 0; r >= 0 && i < n->reserved.n; i++)
		r = addr_parse_range(n->reserved.items[i], &reserved[i].first, &reserved[i].last);
	return r;
}

static int open_network(const struct spec_network *n, struct ipam **ret, struct err *err)
{
	_cleanup_free_ struct addr *pools = calloc(n->ipv4.n + n->ipv6.n + 1, sizeof(*pools));
	_cleanup_free_ struct ipam_range *reserved = calloc(n->reserved.n + 1, sizeof(*reserved));
	const struct ipam_spec spec = {.name = n->name,
				       .pools = pools,
				       .n_pools = n->ipv4.n + n->ipv6.n,
				       .reserved = reserved,
				       .n_reserved = n->reserved.n,
				       .keeps_ends = n->mode == SPEC_NETWORK_NAT};

	if (!pools || !reserved)
		return err_set(err, ENOMEM, "cannot open networks: out of memory");
	if (parse_pools(n, pools, reserved) < 0)
		return err_set(err, EINVAL, "network '%s' has a range that is none", n->name);
	return ipam_new(&spec, ret, err);
}

int addresses_open(struct inst_manager *m, struct err *err)
{
	struct inst_addresses *a = calloc(1, sizeof(*a));
	size_t n = m->host->networks.n;
	int r = 0;

	m->addresses = a;
	if (!a || !(a->ipams = calloc(n + 1, sizeof(struct ipam *))))
		return err_set(err, ENOMEM, "cannot open networks: out of memory");
	for (; r >= 0 && a->n < n; a->n++)
		r = open_network(&m->host->networks.items[a->n], &a->ipams[a->n], err);
	return r;
}

void addresses_close(struct inst_manager *m)
{
	struct inst_addresses *a = m->addresses;

	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++)
		ipam_free(a->ipams[i]);
	free(a->ipams);
	sbuf_done(&a->outside);
	free(a);
	m->addresses = NULL;
}

const struct ipam *inst_ipam(const struct inst_manager *m, size_t i)
{
	return i < m->addresses->n ? m->addresses->ipams[i] : NULL;
}

bool inst_has_networks(const struct inst_manager *m)
{
	return m->host->networks.n > 0;
}

static struct ipam *ipam_by_name(const struct inst_manager *m, const char *network)
{
	for (size_t i = 0; i < m->addresses->n; i++)
		if (str_eq(ipam_name(m->addresses->ipams[i]), network))
			return m->addresses->ipams[i];
	return NULL;
}

/* Ranges do not overlap, so one network at most has it. */
static struct ipam *ipam_by_address(const struct inst_manager *m, const struct addr *a)
{
	for (size_t i = 0; i < m->addresses->n; i++)
		if (ipam_has(m->addresses->ipams[i], a))
			return m->addresses->ipams[i];
	return NULL;
}

/* What the host has itself is nobody's, and may be another address by now. */
static int read_own(struct inst_manager *m, struct err *err)
{
	struct inst_addresses *a = m->addresses;
	_cleanup_free_ struct addr *own = NULL;
	uint64_t now = now_usec();
	size_t n = 0;
	int r;

	if (a->own_at && now - a->own_at < OWN_MAX_AGE)
		return 0;
	r = netns_own_addresses(&own, &n, err);
	for (size_t i = 0; r >= 0 && i < a->n; i++)
		r = ipam_set_own(a->ipams[i], own, n, err);
	if (r >= 0)
		a->own_at = now;
	return r;
}

/* --- what an instance has -------------------------------------------------------------------- */

void inst_net_done(struct inst_net *net)
{
	for (size_t i = 0; i < SPEC_NICS_MAX; i++) {
		free(net->nics[i].addresses);
		free(net->nics[i].forwards);
	}
	*net = (struct inst_net){.n = 0};
}

const struct inst_address *inst_net_find(const struct inst_net *net, const struct addr *a,
					 const struct inst_nic **ret_nic)
{
	for (size_t i = 0; i < net->n; i++)
		for (size_t k = 0; k < net->nics[i].n_addresses; k++) {
			if (!addr_equal(&net->nics[i].addresses[k].addr, a))
				continue;
			if (ret_nic)
				*ret_nic = &net->nics[i];
			return &net->nics[i].addresses[k];
		}
	return NULL;
}

void inst_net_release(struct inst_manager *m, struct inst_net *net, const struct inst_net *keep)
{
	for (size_t i = 0; i < net->n; i++)
		for (size_t k = 0; k < net->nics[i].n_addresses; k++) {
			const struct inst_address *a = &net->nics[i].addresses[k];
			struct ipam *ipam =
				a->is_held && m->addresses ? ipam_by_address(m, &a->addr) : NULL;

			if (ipam && !(keep && inst_net_find(keep, &a->addr, NULL)))
				ipam_release(ipam, &a->addr);
		}
	inst_net_done(net);
}

int inst_net_copy(struct inst_net *ret, const struct inst_net *from, struct err *err)
{
	*ret = (struct inst_net){.n = from->n};
	for (size_t i = 0; i < from->n; i++) {
		const struct inst_nic *a = &from->nics[i];
		struct inst_nic *b = &ret->nics[i];

		memcpy(b->network, a->network, sizeof(b->network));
		b->addresses = calloc(a->n_addresses + 1, sizeof(*b->addresses));
		b->forwards = calloc(a->n_forwards + 1, sizeof(*b->forwards));
		if (!b->addresses || !b->forwards) {
			inst_net_done(ret);
			return err_set(err, ENOMEM, "cannot keep addresses: out of memory");
		}
		for (size_t k = 0; k < a->n_addresses; k++)
			b->addresses[b->n_addresses++] = a->addresses[k];
		for (size_t k = 0; k < a->n_forwards; k++)
			b->forwards[b->n_forwards++] = a->forwards[k];
	}
	return 0;
}

static bool is_same_nic(const struct inst_nic *a, const struct inst_nic *b)
{
	if (!str_eq(a->network, b->network) || a->n_addresses != b->n_addresses ||
	    a->n_forwards != b->n_forwards)
		return false;
	for (size_t k = 0; k < a->n_addresses; k++)
		if (!addr_equal(&a->addresses[k].addr, &b->addresses[k].addr) ||
		    a->addresses[k].is_auto != b->addresses[k].is_auto)
			return false;
	for (size_t k = 0; k < a->n_forwards; k++)
		if (a->forwards[k].protocol != b->forwards[k].protocol ||
		    a->forwards[k].port != b->forwards[k].port ||
		    a->forwards[k].guest_port != b->forwards[k].guest_port)
			return false;
	return true;
}

bool inst_net_is_same(const struct inst_net *a, const struct inst_net *b)
{
	bool is_same = a->n == b->n;

	for (size_t i = 0; is_same && i < a->n; i++)
		is_same = is_same_nic(&a->nics[i], &b->nics[i]);
	return is_same;
}

void inst_net_place(struct inst *i)
{
	struct inst_manager *m = i->manager;
	struct inst_addresses *all = m->addresses;

	for (size_t k = 0; k < i->net.n; k++)
		for (size_t n = 0; n < i->net.nics[k].n_addresses; n++) {
			struct inst_address *a = &i->net.nics[k].addresses[n];
			struct ipam *ipam = ipam_by_address(m, &a->addr);
			char text[ADDR_TEXT];

			/* Held wherever it lies now, so that nobody else gets it. */
			a->is_held = ipam && ipam_keep(ipam, &a->addr, NULL) >= 0;
			a->is_outside = !ipam || !str_eq(ipam_name(ipam), i->net.nics[k].network);
			if (!a->is_outside || ++all->n_outside > NAMES_SHOWN)
				continue;
			addr_format(text, &a->addr);
			sbuf_addf(&all->outside, "%s%s has %s of '%s'",
				  all->n_outside > 1 ? ", " : "", i->full_name, text,
				  i->net.nics[k].network);
		}
}

void addresses_loaded(struct inst_manager *m)
{
	struct inst_addresses *a = m->addresses;

	if (a->n_outside > 0)
		log_warning("addresses that are in no range of their network any more, and stay "
			    "where they are: %s%s",
			    sbuf_str(&a->outside), a->n_outside > NAMES_SHOWN ? ", ..." : "");
	sbuf_done(&a->outside);
}

/* --- whose ----------------------------------------------------------------------------------- */

static bool has_address(const struct inst_net *net, const struct addr *a)
{
	for (size_t i = 0; i < net->n; i++)
		for (size_t k = 0; k < net->nics[i].n_addresses; k++)
			if (addr_overlaps(&net->nics[i].addresses[k].addr, a))
				return true;
	return false;
}

static bool has_forward(const struct inst_net *net, const struct spec_forward *f)
{
	for (size_t i = 0; i < net->n; i++)
		for (size_t k = 0; k < net->nics[i].n_forwards; k++)
			if (net->nics[i].forwards[k].protocol == f->protocol &&
			    net->nics[i].forwards[k].port == f->port)
				return true;
	return false;
}

/* What it has, and what a change that is not durable takes from it. */
const struct inst *inst_by_address(const struct inst_manager *m, const struct addr *a)
{
	for (size_t i = 0; i < m->n_insts; i++) {
		const struct inst *x = m->insts[i];

		if (has_address(&x->net, a) || (x->p->change && has_address(&x->p->change->net, a)))
			return x;
	}
	return NULL;
}

const struct inst *addresses_forward_owner(const struct inst_manager *m,
					   const struct spec_forward *f)
{
	for (size_t i = 0; i < m->n_insts; i++) {
		const struct inst *x = m->insts[i];

		if (has_forward(&x->net, f) || (x->p->change && has_forward(&x->p->change->net, f)))
			return x;
	}
	return NULL;
}

uint64_t addresses_count_ipv4(const struct inst_manager *m, const struct inst_net *net)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < net->n; i++) {
		const struct spec_network *n = spec_network_find(m->host, net->nics[i].network);

		if (n && n->mode == SPEC_NETWORK_NAT)
			continue;
		for (size_t k = 0; k < net->nics[i].n_addresses; k++)
			sum += net->nics[i].addresses[k].addr.family == AF_INET;
	}
	return sum;
}

uint64_t inst_tenant_ipv4(const struct inst_manager *m, const struct inst_tenant *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_insts; i++)
		if (m->insts[i]->tenant == t)
			sum += addresses_count_ipv4(m, &m->insts[i]->net);
	return sum;
}

/* --- for the build --------------------------------------------------------------------------- */

int addresses_take(struct inst_manager *m, const char *network, const struct addr *a,
		   struct inst_address *ret, struct err *err)
{
	struct ipam *ipam = ipam_by_name(m, network);
	const struct inst *owner;
	int r = read_own(m, err);

	if (r >= 0)
		r = ipam_take(ipam, a, err);
	if (r == -EADDRINUSE && (owner = inst_by_address(m, a)))
		(void)err_hint(err, "'%s' has it", owner->full_name);
	if (r >= 0)
		*ret = (struct inst_address){.addr = *a, .is_held = true};
	return r;
}

int addresses_take_any(struct inst_manager *m, const char *network, const struct addr *like,
		       uint64_t seed, struct inst_address *ret, struct err *err)
{
	struct ipam *ipam = ipam_by_name(m, network);
	struct addr a;
	int r = read_own(m, err);

	if (r >= 0)
		r = ipam_take_any(ipam, like->family, like->prefix, seed, &a, err);
	if (r >= 0)
		*ret = (struct inst_address){.addr = a, .is_auto = true, .is_held = true};
	return r;
}

bool addresses_has(const struct inst_manager *m, const char *network, const struct addr *a)
{
	const struct ipam *ipam = ipam_by_name(m, network);

	return ipam && ipam_has(ipam, a);
}

bool addresses_has_family(const struct inst_manager *m, const char *network, uint8_t family)
{
	const struct ipam *ipam = ipam_by_name(m, network);

	return ipam && ipam_has_family(ipam, family);
}
