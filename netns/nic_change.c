/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a NIC while its guest runs. */
#include "netns/nic_private.h"

#include <linux/rtnetlink.h>
#include <string.h>

#include "base/str.h"

struct change {
	struct nl_sock *host;
	struct nl_sock guest;
	const struct net_nic *from, *to;
	int link, peer;
	bool is_undo;
};

static bool has(const struct net_nic *nic, const struct addr *a)
{
	for (size_t i = 0; i < nic->n_addresses; i++)
		if (addr_equal(&nic->addresses[i], a))
			return true;
	return false;
}

static bool same_source(const struct net_nic *x, const struct net_nic *y, uint8_t family)
{
	return family == AF_INET ? addr_equal(&x->source4, &y->source4)
				 : addr_equal(&x->source6, &y->source6);
}

/* --- the host's side ------------------------------------------------------------------------- */

/* What is new, and of what stays the routes that have another source. */
static int host_more(const struct change *c, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct net_nic *to = c->to;

	if (c->from->mtu != to->mtu)
		net_link_set_mtu(b, c->link, to->host_name, to->mtu);
	if (!to->bridge)
		nic_host_base(b, to, c->link);
	for (size_t i = 0; i < to->n_addresses; i++) {
		const struct addr *a = &to->addresses[i];
		struct net_proxy proxy = {.link = to->uplink, .a = *a, .protocol = NET_PROTOCOL};

		if (!has(c->from, a) || c->is_undo)
			/* On the way back it may be there still. */
			nic_host_address(b,
					 NLM_F_CREATE | (c->is_undo ? NLM_F_REPLACE : NLM_F_EXCL),
					 to, c->link, a);
		else if (!to->bridge && !same_source(c->from, to, a->family))
			nic_host_address(b, NLM_F_CREATE | NLM_F_REPLACE, to, c->link, a);
		else if (!to->bridge && to->uplink && to->uplink != c->from->uplink &&
			 addr_is_single(a))
			net_proxy_add(b, &proxy);
	}
	return nl_batch_run(c->host, b, err);
}

static int host_less(const struct change *c, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct net_nic *from = c->from;

	for (size_t i = 0; i < from->n_addresses; i++) {
		const struct addr *a = &from->addresses[i];
		struct net_proxy proxy = {.link = from->uplink, .a = *a};

		if (!has(c->to, a))
			nic_host_address_delete(b, from, c->link, a);
		else if (!from->bridge && from->uplink && from->uplink != c->to->uplink &&
			 addr_is_single(a))
			net_proxy_delete(b, &proxy);
	}
	return nl_batch_run(c->host, b, err);
}

/* --- the guest's ------------------------------------------------------------------------------ */

/* What goes, goes last: the default route has its new source before the old one is gone. */
static int guest_side(struct change *c, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct net_nic *from = c->from, *to = c->to;
	/* Root inside may have added one by itself. */
	bool is_all_new = c->is_undo || from->has_default4 != to->has_default4 ||
			  from->has_default6 != to->has_default6;

	if (from->mtu != to->mtu)
		net_link_set_mtu(b, c->peer, to->guest_name, to->mtu);
	nic_guest_base(b, to, c->peer);
	for (size_t i = 0; i < to->n_addresses; i++)
		if (is_all_new || !has(from, &to->addresses[i]))
			nic_guest_address(b, NLM_F_CREATE | NLM_F_REPLACE, to, c->peer,
					  &to->addresses[i]);
	nic_guest_defaults(b, to, c->peer, from);
	for (size_t i = 0; i < from->n_addresses; i++) {
		struct net_rule rule = nic_guest_rule(from, &from->addresses[i]);

		if (!has(to, &from->addresses[i]))
			nic_guest_address_delete(b, from, c->peer, &from->addresses[i]);
		else if (!net_nic_table(to, rule.from.family) &&
			 net_nic_table(from, rule.from.family))
			net_rule_delete(b, &rule);
	}
	return nl_batch_run(&c->guest, b, err);
}

static int apply(struct change *c, struct err *err)
{
	int r = host_more(c, err);

	if (r >= 0)
		r = guest_side(c, err);
	return r < 0 ? r : host_less(c, err);
}

/* As far as it goes; what failed first is what is told. */
static void undo(struct change *c)
{
	const struct net_nic *from = c->from;

	c->from = c->to;
	c->to = from;
	c->is_undo = true;
	/* What was added goes first: a route of somebody else's was in its way, perhaps. */
	(void)host_less(c, NULL);
	(void)host_more(c, NULL);
	(void)guest_side(c, NULL);
}

/* --- all of it ------------------------------------------------------------------------------- */

static int check_change(struct nl_sock *host, const struct net_nic *from, const struct net_nic *to,
			struct err *err)
{
	int r = net_nic_check(to, err);

	if (r < 0)
		return r;
	if (!str_eq(from->host_name, to->host_name) || !str_eq(from->id, to->id) ||
	    memcmp(from->guest_mac, to->guest_mac, NET_MAC) != 0 || from->bridge != to->bridge ||
	    from->vlan != to->vlan)
		return err_set(
			err, EINVAL,
			"'%s' can change its addresses, MTU and routes; for anything else it "
			"is made anew",
			from->guest_name);
	for (size_t i = 0; r == 0 && i < to->n_addresses; i++)
		if (!has(from, &to->addresses[i]))
			r = nic_check_free(host, to, &to->addresses[i], 1, err);
	return r;
}

/* The ends, wherever the guest's has gone by name: a pair knows its other end. */
static int find_ends(struct change *c, struct err *err)
{
	struct net_link l = {.index = 0}, peer = {.index = 0};
	int r = net_link_by_name(c->host, c->to->host_name, &l, err);

	if (r > 0 && nic_is_link(c->to, &l))
		r = net_link_by_index(&c->guest, l.peer, &peer, err);
	else if (r >= 0)
		return err_set(err, ENODEV, "there is no link '%s' of vpsd's", c->to->host_name);
	if (r == 0 || (r > 0 && !str_eq(peer.kind, "veth")))
		return err_set(err, ENODEV, "the guest no longer has '%s' in its own network",
			       c->to->guest_name);
	c->link = l.index;
	c->peer = peer.index;
	return r < 0 ? r : 0;
}

int net_nic_change(struct nl_sock *host, int netns, const struct net_nic *from,
		   const struct net_nic *to, struct err *err)
{
	struct change c = {.host = host, .guest = NL_SOCK_INIT, .from = from, .to = to};
	struct err local = ERR_INIT;
	int r = check_change(host, from, to, &local);

	if (r >= 0)
		r = nl_sock_open_in(netns, NETLINK_ROUTE, &c.guest, &local);
	if (r >= 0)
		r = find_ends(&c, &local);
	if (r >= 0) {
		r = apply(&c, &local);
		if (r == -EEXIST)
			r = err_set(&local, EADDRINUSE,
				    "the host has another route to an address of '%s'",
				    to->host_name);
		if (r < 0)
			undo(&c);
	}
	nl_sock_done(&c.guest);
	if (r < 0 && err)
		*err = local;
	return r;
}
