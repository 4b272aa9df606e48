/* SPDX-License-Identifier: Apache-2.0 */
/* Making, deleting and changing a NIC. */
#include "netns/nic_private.h"

#include <linux/rtnetlink.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define TRIES 4
/* Our indexes: far from those that the kernel gives out, one row for each try. */
#define INDEX_FIRST 0x40000000u
#define INDEX_ROW 0x10000000u

/* --- what stands in the way ------------------------------------------------------------------ */

static int own_address(const struct net_nic *nic, const struct addr *a, struct err *err)
{
	char text[ADDR_TEXT];

	addr_format(text, a);
	return err_set(err, EADDRINUSE, "'%s' cannot be an address of '%s': the host itself has it",
		       text, nic->guest_name);
}

/* A network of which the host has an address. */
static int check_network(struct nl_sock *host, const struct net_nic *nic, const struct addr *net,
			 struct err *err)
{
	struct net_addresses all;
	char text[ADDR_TEXT], own[ADDR_TEXT];
	int r = net_addresses_read(host, 0, &all, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		all.items[i].a.prefix = (uint8_t)addr_bits(&all.items[i].a);
		if (!addr_contains(net, &all.items[i].a))
			continue;
		addr_format(text, net);
		addr_format(own, &all.items[i].a);
		r = err_set(err, EADDRINUSE,
			    "'%s' cannot be a network of '%s': the host itself has '%s' of it",
			    text, nic->guest_name, own);
	}
	net_addresses_done(&all);
	return r;
}

int nic_check_free(struct nl_sock *host, const struct net_nic *nic, const struct addr *addresses,
		   size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct addr *a = &addresses[i];

		if (!nic->bridge && !addr_is_single(a))
			r = check_network(host, nic, a, err);
		else
			r = net_address_is_own(host, a, err);
		if (r > 0)
			r = own_address(nic, a, err);
	}
	return r;
}

static int not_ours(const struct net_nic *nic, const struct net_link *l, struct err *err)
{
	if (l->group != NET_LINK_GROUP)
		return err_set(err, EEXIST,
			       "the name '%s' is taken by an interface that is not vpsd's",
			       nic->host_name);
	return err_set(err, EEXIST,
		       "the name '%s' is taken by the interface '%s' of another instance",
		       nic->host_name, l->alias);
}

/* Its link on the host: 1, or 0 when there is none; -EEXIST when the name is somebody's. */
static int find_link(struct nl_sock *host, const struct net_nic *nic, struct net_link *ret,
		     struct err *err)
{
	int r = net_link_by_name(host, nic->host_name, ret, err);

	return r > 0 && !nic_is_link(nic, ret) ? not_ours(nic, ret, err) : r;
}

/* The bridge is one, and can do what is wanted. */
static int check_bridge(struct nl_sock *host, const struct net_nic *nic, struct err *err)
{
	struct net_link l;
	int r = nic->bridge ? net_link_by_index(host, nic->bridge, &l, err) : 1;

	if (r < 0 || !nic->bridge)
		return r < 0 ? r : 0;
	if (r == 0)
		return err_set(err, ENODEV, "the bridge of '%s' is gone", nic->guest_name);
	if (!str_eq(l.kind, "bridge"))
		return err_set(err, EINVAL, "'%s' is no bridge", l.name);
	if (nic->vlan && !l.is_filtering)
		return err_set(err, EINVAL,
			       "the bridge '%s' does not keep VLANs apart: vlan_filtering is off",
			       l.name);
	return 0;
}

/* --- making ---------------------------------------------------------------------------------- */

/* The ids' beginnings spread over the kernel's hash, which takes the low bits. */
static int host_index(const struct net_nic *nic, unsigned try)
{
	unsigned v = 0;

	for (size_t i = 0; i < 6; i++)
		v = v << 4 |
		    (unsigned)(nic->id[i] <= '9' ? nic->id[i] - '0' : nic->id[i] - 'a' + 10);
	return (int)(INDEX_FIRST + try * INDEX_ROW + (nic->n << 24 | v));
}

/* By itself, and not in one batch with the rest: the kernel goes on after a request that failed,
 * and what names the index of a link that could not be made would change the one that has it. */
static int make_pair(struct nl_sock *host, struct nl_sock *guest, int netns,
		     const struct net_nic *nic, int *ret_link, int *ret_peer, struct err *err)
{
	struct net_veth v = {
		.name = nic->host_name,
		.peer_name = nic->guest_name,
		.mac = nic->host_mac,
		.peer_mac = nic->guest_mac,
		.mtu = nic->mtu,
		.netns = netns,
	};
	struct net_link l;
	int r = 0;

	for (unsigned try = 0; try < TRIES; try++) {
		_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

		v.index = host_index(nic, try);
		/* Never the host end's: the kernel then takes the pair for a link of its own, and
		 * up to a second for the news that it is up; till then it drops what is sent. */
		v.peer_index = (int)(nic->n + 2 + try * 1000);
		net_link_add_veth(b, &v);
		r = nl_batch_run(host, b, err);
		if (r >= 0) {
			*ret_link = v.index;
			*ret_peer = v.peer_index;
			return 0;
		}
		if (r != -EEXIST && r != -EBUSY)
			return r;
		if (net_link_by_name(guest, nic->guest_name, &l, NULL) > 0)
			return err_set(err, EEXIST,
				       "the guest has an interface '%s' of its own already",
				       nic->guest_name);
	}
	return r;
}

static int set_host(struct nl_sock *host, const struct net_nic *nic, int link, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct err local = ERR_INIT;
	int r;

	nic_host_base(b, nic, link);
	for (size_t i = 0; i < nic->n_addresses; i++)
		nic_host_address(b, NLM_F_CREATE | NLM_F_EXCL, nic, link, &nic->addresses[i]);
	r = nl_batch_run(host, b, &local);
	if (r == -EEXIST)
		r = err_set(&local, EADDRINUSE, "the host has another route to an address of '%s'",
			    nic->host_name);
	if (r < 0 && err)
		*err = local;
	return r;
}

static int set_guest(struct nl_sock *guest, const struct net_nic *nic, int peer, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	nic_guest_base(b, nic, peer);
	for (size_t i = 0; i < nic->n_addresses; i++)
		nic_guest_address(b, NLM_F_CREATE | NLM_F_REPLACE, nic, peer, &nic->addresses[i]);
	nic_guest_defaults(b, nic, peer, NULL);
	return nl_batch_run(guest, b, err);
}

static int delete_link(struct nl_sock *host, const struct net_nic *nic, int link, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	/* What is not bound to the link: its routes and neighbours go with it. */
	for (size_t i = 0; nic->uplink && i < nic->n_addresses; i++) {
		struct net_proxy p = {.link = nic->uplink, .a = nic->addresses[i]};

		if (addr_is_single(&p.a))
			net_proxy_delete(b, &p);
	}
	if (link) {
		net_link_delete(b, link, nic->host_name);
		nl_batch_tolerate(b, ENODEV); /* the guest's namespace has just ended */
	}
	return nl_batch_run(host, b, err);
}

static int open_guest(int netns, const struct net_nic *nic, struct nl_sock *ret, struct err *err)
{
	int r = nl_sock_open_in(netns, NETLINK_ROUTE, ret, err);

	return r < 0 ? (err_ctx(err, "cannot set up '%s' of the guest", nic->guest_name), r) : 0;
}

int net_nic_add(struct nl_sock *host, int netns, const struct net_nic *nic, struct err *err)
{
	_cleanup_nl_sock_ struct nl_sock guest = NL_SOCK_INIT;
	struct net_link old = {.index = 0};
	int link = 0, peer = 0, r = net_nic_check(nic, err);

	if (r >= 0)
		r = check_bridge(host, nic, err);
	if (r >= 0)
		r = open_guest(netns, nic, &guest, err);
	if (r >= 0)
		r = nic_check_free(host, nic, nic->addresses, nic->n_addresses, err);
	if (r >= 0)
		r = find_link(host, nic, &old, err);
	if (r > 0)
		r = delete_link(host, nic, old.index, err);
	if (r >= 0)
		r = make_pair(host, &guest, netns, nic, &link, &peer, err);
	if (r < 0)
		return r;
	r = set_host(host, nic, link, err);
	if (r >= 0)
		r = set_guest(&guest, nic, peer, err);
	if (r < 0)
		(void)delete_link(host, nic, link, NULL); /* the first error is what is told */
	return r;
}

int net_nic_delete(struct nl_sock *host, const struct net_nic *nic, struct err *err)
{
	struct net_link l = {.index = 0};
	int r = find_link(host, nic, &l, err);

	return r < 0 ? r : delete_link(host, nic, l.index, err);
}

int net_nic_withdraw(struct nl_sock *host, const struct net_nic *nic, const struct addr *addresses,
		     size_t n, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct err local = ERR_INIT;
	struct net_link l = {.index = 0};
	int r = find_link(host, nic, &l, &local);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		const struct net_proxy p = {.link = nic->uplink, .a = addresses[i]};

		if (l.index)
			nic_host_address_delete(b, nic, l.index, &addresses[i]);
		else if (nic->uplink && addr_is_single(&p.a))
			net_proxy_delete(b, &p);
	}
	if (r >= 0 && nl_batch_size(b) > 0)
		r = nl_batch_run(host, b, &local);
	/* The link has gone meanwhile, and its routes with it. */
	if (r == -ENODEV)
		return 0;
	if (r < 0 && err)
		*err = local;
	return r < 0 ? r : 0;
}

int net_stray_delete(struct nl_sock *host, const struct net_link *link, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	if (link->group != NET_LINK_GROUP)
		return err_set(err, EPERM, "the interface '%s' is not vpsd's", link->name);
	net_link_delete(b, link->index, link->name);
	nl_batch_tolerate(b, ENODEV);
	return nl_batch_run(host, b, err);
}
