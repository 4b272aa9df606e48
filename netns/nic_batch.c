/* SPDX-License-Identifier: Apache-2.0 */
/* The requests that a NIC is made of. */
#include "netns/nic_private.h"

#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/str.h"

#define REPEATABLE (NLM_F_CREATE | NLM_F_REPLACE)
/* Behind whatever the guest has for a network that it got. */
#define UNREACHABLE_METRIC 65535u
/* In the guest, of a NIC without the default routes: its table and the place of its rules. */
#define TABLE_FIRST 1000u

void nic_alias(char dst[NET_ALIAS], const struct net_nic *nic)
{
	(void)str_fmt(dst, NET_ALIAS, "vpsd %s %s", nic->id, nic->guest_name);
}

bool nic_is_link(const struct net_nic *nic, const struct net_link *l)
{
	char alias[NET_ALIAS];

	nic_alias(alias, nic);
	/* One that was being made when vpsd died may have none yet. */
	return l->group == NET_LINK_GROUP && (!*l->alias || str_eq(l->alias, alias));
}

/* An IPv4 network is reached by the guest's link-local IPv6 address, as it may have no other. */
static bool needs_ipv6(const struct net_nic *nic)
{
	for (size_t i = 0; i < nic->n_addresses; i++)
		if (nic->addresses[i].family == AF_INET6 || !addr_is_single(&nic->addresses[i]))
			return true;
	return false;
}

/* --- the host's end -------------------------------------------------------------------------- */

struct net_route nic_host_route(const struct net_nic *nic, int link, const struct addr *a)
{
	return (struct net_route){
		.link = link,
		.to = *a,
		.via = addr_is_single(a) ? ADDR_NONE : net_nic_link_local(nic),
		.from = a->family == AF_INET ? nic->source4 : nic->source6,
		.protocol = NET_PROTOCOL,
	};
}

static void gateway_address(struct nl_batch *b, uint8_t family, int link)
{
	struct net_address a = {.link = link,
				.a = net_nic_gateway(family),
				.is_on_link = true,
				.is_detached = family == AF_INET};

	if (family == AF_INET6)
		a.a.prefix = 64;
	net_address_add(b, REPEATABLE, &a);
}

void nic_host_base(struct nl_batch *b, const struct net_nic *nic, int link)
{
	struct addr peer = net_nic_link_local(nic);
	char alias[NET_ALIAS];

	nic_alias(alias, nic);
	net_link_set_host_end(b, link, nic->host_name, alias);
	if (nic->bridge) {
		nic_port(b, nic, link);
		return;
	}
	gateway_address(b, AF_INET, link);
	if (!needs_ipv6(nic))
		return;
	gateway_address(b, AF_INET6, link);
	net_neighbour_add(b, REPEATABLE, link, &peer, nic->guest_mac);
}

void nic_host_address(struct nl_batch *b, uint16_t flags, const struct net_nic *nic, int link,
		      const struct addr *a)
{
	struct net_route route = nic_host_route(nic, link, a);
	struct net_proxy proxy = {.link = nic->uplink, .a = *a, .protocol = NET_PROTOCOL};

	if (nic->bridge)
		return;
	/* The neighbour first: no packet finds the route and has to ask. */
	if (addr_is_single(a))
		net_neighbour_add(b, REPEATABLE, link, a, nic->guest_mac);
	net_route_add(b, flags, &route);
	if (nic->uplink && addr_is_single(a))
		net_proxy_add(b, &proxy);
}

void nic_host_address_delete(struct nl_batch *b, const struct net_nic *nic, int link,
			     const struct addr *a)
{
	struct net_route route = nic_host_route(nic, link, a);
	struct net_proxy proxy = {.link = nic->uplink, .a = *a};

	if (nic->bridge)
		return;
	if (nic->uplink && addr_is_single(a))
		net_proxy_delete(b, &proxy);
	net_route_delete(b, &route);
	if (addr_is_single(a))
		net_neighbour_delete(b, link, a);
}

/* --- a port of a bridge ---------------------------------------------------------------------- */

static void port_vlan(struct nl_batch *b, const struct net_nic *nic, int link, uint16_t vlan,
		      bool is_member)
{
	const struct ifinfomsg h = {.ifi_family = AF_BRIDGE, .ifi_index = link};
	const struct bridge_vlan_info info = {
		.flags = is_member ? BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED : 0,
		.vid = vlan};
	size_t spec;

	nl_batch_add(b, is_member ? RTM_SETLINK : RTM_DELLINK, 0, &h, sizeof(h),
		     is_member ? "put '%s' into VLAN %u" : "take '%s' out of VLAN %u",
		     nic->host_name, vlan);
	spec = nl_nest_start(b, IFLA_AF_SPEC);
	nl_put(b, IFLA_BRIDGE_VLAN_INFO, &info, sizeof(info));
	nl_nest_end(b, spec);
}

void nic_port(struct nl_batch *b, const struct net_nic *nic, int link)
{
	static const struct {
		uint16_t type;
		uint8_t value;
	} flags[] = {
		{IFLA_BRPORT_ISOLATED, 1},
		{IFLA_BRPORT_LEARNING, 0},
		{IFLA_BRPORT_UNICAST_FLOOD, 0},
		{IFLA_BRPORT_GUARD, 1}, /* no spanning tree from a guest */
	};
	struct ifinfomsg h = {.ifi_family = AF_UNSPEC, .ifi_index = link};
	const struct ndmsg entry = {.ndm_family = AF_BRIDGE,
				    .ndm_ifindex = link,
				    .ndm_state = NUD_NOARP,
				    .ndm_flags = NTF_MASTER};
	size_t info;

	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "put '%s' into the bridge", nic->host_name);
	nl_put_u32(b, IFLA_MASTER, (uint32_t)nic->bridge);
	h.ifi_family = AF_BRIDGE;
	nl_batch_add(b, RTM_SETLINK, 0, &h, sizeof(h), "set up the bridge's port '%s'",
		     nic->host_name);
	info = nl_nest_start(b, IFLA_PROTINFO);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		nl_put_u8(b, flags[i].type, flags[i].value);
	nl_nest_end(b, info);
	if (nic->vlan) {
		port_vlan(b, nic, link, nic->vlan, true);
		if (nic->vlan != 1) {
			/* Where every port is a member at first. */
			port_vlan(b, nic, link, 1, false);
			nl_batch_tolerate(b, ENOENT);
		}
	}
	nl_batch_add(b, RTM_NEWNEIGH, REPEATABLE, &entry, sizeof(entry),
		     "tell the bridge the MAC of '%s'", nic->guest_name);
	nl_put(b, NDA_LLADDR, nic->guest_mac, NET_MAC);
	if (nic->vlan)
		nl_put_u16(b, NDA_VLAN, nic->vlan);
}

/* --- the guest's end ------------------------------------------------------------------------- */

void nic_guest_base(struct nl_batch *b, const struct net_nic *nic, int link)
{
	const uint8_t families[] = {AF_INET, AF_INET6};
	struct addr own = net_nic_link_local(nic);
	struct net_address a = {.link = link, .a = own, .is_on_link = true};

	net_link_up(b, 1, "lo");
	net_link_up(b, link, nic->guest_name);
	if (nic->bridge) {
		net_link_keep_secondaries(b, link, nic->guest_name);
		return;
	}
	if (needs_ipv6(nic)) {
		a.a.prefix = 64;
		net_address_add(b, REPEATABLE, &a);
	}
	for (size_t i = 0; i < sizeof(families); i++) {
		struct addr gateway = net_nic_gateway(families[i]);

		if (families[i] == AF_INET || needs_ipv6(nic))
			net_neighbour_add(b, REPEATABLE, link, &gateway, nic->host_mac);
	}
}

uint32_t net_nic_table(const struct net_nic *nic, uint8_t family)
{
	bool is_main = family == AF_INET ? nic->has_default4 : nic->has_default6;

	return is_main ? 0 : TABLE_FIRST + nic->n;
}

struct net_rule nic_guest_rule(const struct net_nic *nic, const struct addr *a)
{
	struct net_rule r = {
		.from = *a, .table = TABLE_FIRST + nic->n, .priority = TABLE_FIRST + nic->n};

	if (nic->bridge)
		r.from.prefix = (uint8_t)addr_bits(a);
	return r;
}

/* Without it what nobody in the network answers would go back to the host by the default route. */
static struct net_route unreachable(const struct addr *a)
{
	return (struct net_route){.to = *a,
				  .metric = UNREACHABLE_METRIC,
				  .protocol = RTPROT_STATIC,
				  .is_unreachable = true};
}

void nic_guest_address(struct nl_batch *b, uint16_t flags, const struct net_nic *nic, int link,
		       const struct addr *a)
{
	struct net_address address = {.link = link, .a = *a, .is_detached = !nic->bridge};
	struct net_route route = unreachable(a);
	struct net_rule rule = nic_guest_rule(nic, a);

	if (nic->bridge || addr_is_single(a))
		net_address_add(b, flags, &address);
	else
		net_route_add(b, flags, &route);
	if (net_nic_table(nic, a->family))
		net_rule_add(b, &rule);
}

void nic_guest_address_delete(struct nl_batch *b, const struct net_nic *nic, int link,
			      const struct addr *a)
{
	struct net_address address = {.link = link, .a = *a};
	struct net_route route = unreachable(a);
	struct net_rule rule = nic_guest_rule(nic, a);

	if (net_nic_table(nic, a->family))
		net_rule_delete(b, &rule);

	if (addr_is_single(a) || !addr_is_network(a))
		net_address_delete(b, &address);
	else
		net_route_delete(b, &route);
}

/* The default route of a family, in the main table or in the NIC's own; false = there is none to
 * be. */
static bool default_route(const struct net_nic *nic, int link, uint8_t family,
			  struct net_route *ret)
{
	struct net_route r = {.link = link,
			      .to = {.family = family},
			      .via = net_nic_gateway(family),
			      .table = net_nic_table(nic, family),
			      .protocol = RTPROT_STATIC};
	bool has_family = false;

	if (nic->bridge)
		r.via = family == AF_INET ? nic->gateway4 : nic->gateway6;
	for (size_t i = 0; i < nic->n_addresses; i++) {
		const struct addr *a = &nic->addresses[i];

		if (a->family != family)
			continue;
		has_family = true;
		/* The first one is what the guest speaks from, whatever else is added. */
		if (r.from.family || (!nic->bridge && !addr_is_single(a)))
			continue;
		r.from = *a;
		r.from.prefix = (uint8_t)addr_bits(a);
	}
	*ret = r;
	return has_family && r.via.family;
}

void nic_guest_defaults(struct nl_batch *b, const struct net_nic *nic, int link,
			const struct net_nic *before)
{
	const uint8_t families[] = {AF_INET, AF_INET6};
	struct net_route route, old;

	for (size_t i = 0; i < sizeof(families); i++) {
		bool is_wanted = default_route(nic, link, families[i], &route);

		if (is_wanted)
			net_route_add(b, REPEATABLE, &route);
		if (before && default_route(before, link, families[i], &old) &&
		    (!is_wanted || old.table != route.table))
			net_route_delete(b, &old);
	}
}
