/* SPDX-License-Identifier: Apache-2.0 */
/* What there is of ours on the host, and putting it right. */
#include "netns/nic_private.h"

#include <linux/rtnetlink.h>

#include "base/cleanup.h"

int net_seen_read(struct nl_sock *host, struct net_seen *ret, struct err *err)
{
	struct net_seen s = NET_SEEN_INIT;
	int r = net_links_read(host, &s.links, err);

	if (r >= 0)
		r = net_routes_read(host, NET_PROTOCOL, &s.routes, err);
	if (r >= 0)
		r = net_proxies_read(host, NET_PROTOCOL, &s.proxies, err);
	if (r < 0)
		net_seen_done(&s);
	else
		*ret = s;
	return r;
}

void net_seen_done(struct net_seen *s)
{
	net_links_done(&s->links);
	net_routes_done(&s->routes);
	net_proxies_done(&s->proxies);
}

const struct net_link *net_seen_nic(const struct net_seen *s, const struct net_nic *nic)
{
	const struct net_link *l = net_links_get(&s->links, nic->host_name);

	return l && nic_is_link(nic, l) ? l : NULL;
}

const struct net_route *net_seen_routes(const struct net_seen *s, int link, size_t *ret_n)
{
	size_t low = 0, high = s->routes.n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->routes.items[middle].link < link)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < s->routes.n && s->routes.items[low + n].link == link)
		n++;
	*ret_n = n;
	return n > 0 ? &s->routes.items[low] : NULL;
}

static bool is_same(const struct net_route *x, const struct net_route *y)
{
	return addr_equal(&x->to, &y->to) && addr_equal(&x->from, &y->from) &&
	       addr_equal(&x->via, &y->via) && !x->is_unreachable;
}

static bool has_route(const struct net_route *there, size_t n, const struct net_route *want)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(&there[i], want))
			return true;
	return false;
}

static bool is_wanted(const struct net_nic *nic, const struct net_route *there)
{
	for (size_t i = 0; i < nic->n_addresses; i++) {
		struct net_route want = nic_host_route(nic, there->link, &nic->addresses[i]);

		if (is_same(there, &want))
			return true;
	}
	return false;
}

/* Routes of ours that lead to the link and are not to be, or not so. */
static unsigned remove_routes(struct nl_batch *b, const struct net_nic *nic, int link,
			      const struct net_seen *seen)
{
	size_t n;
	const struct net_route *there = net_seen_routes(seen, link, &n);
	unsigned removed = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_wanted(nic, &there[i]))
			continue;
		net_route_delete(b, &there[i]);
		removed++;
	}
	return removed;
}

static unsigned add_missing(struct nl_batch *b, const struct net_nic *nic, int link,
			    const struct net_seen *seen)
{
	size_t n;
	const struct net_route *there = net_seen_routes(seen, link, &n);
	unsigned added = 0;

	for (size_t i = 0; i < nic->n_addresses; i++) {
		const struct addr *a = &nic->addresses[i];
		struct net_route want = nic_host_route(nic, link, a);
		bool is_there = has_route(there, n, &want);
		bool is_answered = !nic->uplink || !addr_is_single(a) ||
				   net_proxies_has(&seen->proxies, nic->uplink, a);

		added += !is_there || !is_answered;
		/* Neighbours were not read: they are written again in any case. */
		nic_host_address(
			b, is_there ? NLM_F_CREATE | NLM_F_REPLACE : NLM_F_CREATE | NLM_F_EXCL, nic,
			link, a);
	}
	return added;
}

/* 'has_mtu': it has the right one, or another that its root has chosen. */
static int repair_guest(int netns, const struct net_nic *nic, int peer, bool has_mtu,
			struct err *err)
{
	_cleanup_nl_sock_ struct nl_sock guest = NL_SOCK_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	int r = nl_sock_open_in(netns, NETLINK_ROUTE, &guest, err);

	if (r < 0)
		return r;
	if (!has_mtu)
		net_link_set_mtu(b, peer, nic->guest_name, nic->mtu);
	nic_guest_base(b, nic, peer);
	for (size_t i = 0; i < nic->n_addresses; i++)
		nic_guest_address(b, NLM_F_CREATE | NLM_F_REPLACE, nic, peer, &nic->addresses[i]);
	nic_guest_defaults(b, nic, peer, NULL);
	return nl_batch_run(&guest, b, err);
}

int net_nic_repair(struct nl_sock *host, int netns, const struct net_nic *nic,
		   const struct net_seen *seen, unsigned *ret_repaired, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct net_link *l = net_seen_nic(seen, nic);
	unsigned repaired;
	int r = net_nic_check(nic, err);

	if (r < 0)
		return r;
	if (!l)
		return err_set(err, ENODEV, "there is no link '%s' of vpsd's", nic->host_name);
	repaired = nic->bridge ? 0 : remove_routes(b, nic, l->index, seen);
	if (l->mtu != nic->mtu)
		net_link_set_mtu(b, l->index, nic->host_name, nic->mtu);
	nic_host_base(b, nic, l->index);
	repaired += nic->bridge ? 0 : add_missing(b, nic, l->index, seen);
	r = nl_batch_run(host, b, err);
	if (r >= 0 && netns >= 0)
		r = repair_guest(netns, nic, l->peer, l->mtu == nic->mtu, err);
	if (r >= 0)
		*ret_repaired = repaired;
	return r;
}
