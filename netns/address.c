/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for addresses, routes and neighbours over rtnetlink. */
#include "netns/address.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

static void put_addr(struct nl_batch *b, uint16_t type, const struct addr *a)
{
	nl_put(b, type, a->bytes, addr_len(a));
}

static void begin_address(struct nl_batch *b, uint16_t type, uint16_t flags,
			  const struct net_address *a, const char *verb)
{
	struct ifaddrmsg h = {
		.ifa_family = a->a.family,
		.ifa_prefixlen = a->a.prefix,
		.ifa_scope = a->is_on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.ifa_index = (uint32_t)a->link,
	};
	char text[ADDR_TEXT];

	addr_format(text, &a->a);
	nl_batch_add(b, type, flags, &h, sizeof(h), "%s the address '%s'", verb, text);
	put_addr(b, IFA_LOCAL, &a->a);
	put_addr(b, IFA_ADDRESS, &a->a);
}

void net_address_add(struct nl_batch *b, uint16_t flags, const struct net_address *a)
{
	uint32_t how = a->a.family == AF_INET6 ? IFA_F_NODAD : 0;

	begin_address(b, RTM_NEWADDR, flags, a, "add");
	nl_put_u32(b, IFA_FLAGS, how | (a->is_detached ? IFA_F_NOPREFIXROUTE : 0));
}

void net_address_delete(struct nl_batch *b, const struct net_address *a)
{
	begin_address(b, RTM_DELADDR, 0, a, "delete");
	nl_batch_tolerate(b, EADDRNOTAVAIL);
}

static void put_via(struct nl_batch *b, const struct net_route *r)
{
	struct {
		uint16_t family;
		uint8_t bytes[16];
	} other = {.family = r->via.family};

	if (r->via.family == r->to.family) {
		put_addr(b, RTA_GATEWAY, &r->via);
		return;
	}
	memcpy(other.bytes, r->via.bytes, sizeof(other.bytes));
	nl_put(b, RTA_VIA, &other, sizeof(other.family) + addr_len(&r->via));
}

static void begin_route(struct nl_batch *b, uint16_t type, uint16_t flags,
			const struct net_route *r, const char *verb)
{
	bool is_far = r->via.family != 0 || r->is_unreachable || r->to.family == AF_INET6;
	struct rtmsg h = {
		.rtm_family = r->to.family,
		.rtm_dst_len = r->to.prefix,
		.rtm_table = r->table ? RT_TABLE_UNSPEC : RT_TABLE_MAIN,
		.rtm_protocol = r->protocol,
		.rtm_scope = is_far ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = r->is_unreachable ? RTN_UNREACHABLE : RTN_UNICAST,
		.rtm_flags = r->via.family ? RTNH_F_ONLINK : 0,
	};
	char text[ADDR_TEXT];

	addr_format(text, &r->to);
	nl_batch_add(b, type, flags, &h, sizeof(h), "%s the route to '%s'", verb, text);
	if (r->to.prefix > 0)
		put_addr(b, RTA_DST, &r->to);
	if (r->link)
		nl_put_u32(b, RTA_OIF, (uint32_t)r->link);
	if (r->via.family)
		put_via(b, r);
	if (r->metric)
		nl_put_u32(b, RTA_PRIORITY, r->metric);
	if (r->table)
		nl_put_u32(b, RTA_TABLE, r->table);
}

void net_route_add(struct nl_batch *b, uint16_t flags, const struct net_route *r)
{
	begin_route(b, RTM_NEWROUTE, flags, r, "add");
	if (r->from.family)
		put_addr(b, RTA_PREFSRC, &r->from);
}

void net_route_delete(struct nl_batch *b, const struct net_route *r)
{
	begin_route(b, RTM_DELROUTE, 0, r, "delete");
	nl_batch_tolerate(b, ESRCH);
}

static void begin_rule(struct nl_batch *b, uint16_t type, uint16_t flags, const struct net_rule *r,
		       const char *verb)
{
	const struct fib_rule_hdr h = {
		.family = r->from.family, .src_len = r->from.prefix, .action = FR_ACT_TO_TBL};
	char text[ADDR_TEXT];

	addr_format(text, &r->from);
	nl_batch_add(b, type, flags, &h, sizeof(h), "%s the rule for '%s'", verb, text);
	put_addr(b, FRA_SRC, &r->from);
	nl_put_u32(b, FRA_TABLE, r->table);
	nl_put_u32(b, FRA_PRIORITY, r->priority);
	/* systemd-networkd takes away what is of another protocol and not in its files. */
	nl_put_u8(b, FRA_PROTOCOL, RTPROT_KERNEL);
}

void net_rule_add(struct nl_batch *b, const struct net_rule *r)
{
	begin_rule(b, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r, "add");
	nl_batch_tolerate(b, EEXIST);
}

void net_rule_delete(struct nl_batch *b, const struct net_rule *r)
{
	begin_rule(b, RTM_DELRULE, 0, r, "delete");
	nl_batch_tolerate(b, ENOENT);
}

static void begin_neighbour(struct nl_batch *b, uint16_t type, uint16_t flags, struct ndmsg h,
			    const struct addr *a, const char *what)
{
	char text[ADDR_TEXT];

	addr_format(text, a);
	h.ndm_family = a->family;
	nl_batch_add(b, type, flags, &h, sizeof(h), "%s '%s'", what, text);
	put_addr(b, NDA_DST, a);
}

void net_neighbour_add(struct nl_batch *b, uint16_t flags, int link, const struct addr *a,
		       const uint8_t mac[NET_MAC])
{
	const struct ndmsg h = {.ndm_ifindex = link, .ndm_state = NUD_PERMANENT};

	begin_neighbour(b, RTM_NEWNEIGH, flags, h, a, "add the neighbour");
	nl_put(b, NDA_LLADDR, mac, NET_MAC);
}

void net_neighbour_delete(struct nl_batch *b, int link, const struct addr *a)
{
	begin_neighbour(b, RTM_DELNEIGH, 0, (struct ndmsg){.ndm_ifindex = link}, a,
			"delete the neighbour");
	nl_batch_tolerate(b, ENOENT);
}

void net_proxy_add(struct nl_batch *b, const struct net_proxy *p)
{
	const struct ndmsg h = {
		.ndm_ifindex = p->link, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_PROXY};

	begin_neighbour(b, RTM_NEWNEIGH, NLM_F_CREATE, h, &p->a, "answer on the uplink for");
	nl_put_u8(b, NDA_PROTOCOL, p->protocol);
}

void net_proxy_delete(struct nl_batch *b, const struct net_proxy *p)
{
	const struct ndmsg h = {.ndm_ifindex = p->link, .ndm_flags = NTF_PROXY};

	begin_neighbour(b, RTM_DELNEIGH, 0, h, &p->a, "no longer answer on the uplink for");
	nl_batch_tolerate(b, ENOENT);
	nl_batch_tolerate(b, ENODEV); /* the uplink is gone, and what was answered there with it */
}
