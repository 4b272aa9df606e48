/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, routes and proxy neighbours that are there. */
#include "netns/address.h"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* A list that grows. */
struct gather {
	void *items;
	size_t n, room, size;
	uint8_t protocol; /* 0 = any */
};

static void *next_item(struct gather *g, struct err *err)
{
	if (g->n == g->room) {
		size_t room = g->room ? g->room * 2 : 32;
		void *grown = reallocarray(g->items, room, g->size);

		if (!grown) {
			(void)err_set(err, ENOMEM, "cannot read the network: out of memory");
			return NULL;
		}
		g->items = grown;
		g->room = room;
	}
	return (char *)g->items + g->n++ * g->size;
}

static void begin_again(void *arg)
{
	((struct gather *)arg)->n = 0;
}

static int by_place(int link_a, const struct addr *a, int link_b, const struct addr *b)
{
	return link_a != link_b ? (link_a < link_b ? -1 : 1) : addr_compare(a, b);
}

/* Whether the attribute is an address of that family. */
static bool take_addr(struct addr *ret, const struct nlattr *a, uint8_t family)
{
	struct addr v = {.family = family};

	if (mnl_attr_get_payload_len(a) != addr_len(&v))
		return false;
	memcpy(v.bytes, mnl_attr_get_payload(a), addr_len(&v));
	v.prefix = (uint8_t)addr_bits(&v);
	*ret = v;
	return true;
}

static bool is_ours(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* --- addresses ------------------------------------------------------------------------------- */

bool net_address_take(const struct nlmsghdr *m, struct net_address *ret)
{
	const struct ifaddrmsg *h = mnl_nlmsg_get_payload(m);
	struct nlattr *a;
	struct addr local = ADDR_NONE;
	uint32_t flags = 0;

	if ((m->nlmsg_type != RTM_NEWADDR && m->nlmsg_type != RTM_DELADDR) ||
	    mnl_nlmsg_get_payload_len(m) < sizeof(*h) || !is_ours(h->ifa_family))
		return false;
	mnl_attr_for_each(a, m, sizeof(*h))
	{
		uint16_t type = mnl_attr_get_type(a);

		/* Of a point-to-point link IFA_ADDRESS is the peer's. */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local.family))
			(void)take_addr(&local, a, h->ifa_family);
		if (type == IFA_FLAGS && mnl_attr_get_payload_len(a) == sizeof(flags))
			flags = mnl_attr_get_u32(a);
	}
	local.prefix = h->ifa_prefixlen;
	*ret = (struct net_address){.link = (int)h->ifa_index,
				    .a = local,
				    .is_on_link = h->ifa_scope == RT_SCOPE_LINK,
				    .is_detached = (flags & IFA_F_NOPREFIXROUTE) != 0};
	return local.family != 0;
}

static int visit_address(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct net_address v, *item;

	if (!net_address_take(m, &v))
		return 0;
	item = next_item(arg, err);
	if (item)
		*item = v;
	return item ? 0 : -ENOMEM;
}

void net_addresses_done(struct net_addresses *l)
{
	free(l->items);
	*l = (struct net_addresses){.items = NULL};
}

int net_addresses_read(struct nl_sock *s, int link, struct net_addresses *ret, struct err *err)
{
	const struct ifaddrmsg all = {.ifa_family = AF_UNSPEC, .ifa_index = (uint32_t)link};
	struct gather g = {.size = sizeof(struct net_address)};
	int r = nl_dump(s, RTM_GETADDR, &all, sizeof(all), visit_address, begin_again, &g,
			"list addresses", err);

	if (r < 0) {
		free(g.items);
		return r;
	}
	*ret = (struct net_addresses){.items = g.items, .n = g.n};
	return 0;
}

/* --- routes ---------------------------------------------------------------------------------- */

static void take_via(struct net_route *r, const struct nlattr *a)
{
	const struct rtvia *v = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	if (len != sizeof(*v) + 16 || v->rtvia_family != AF_INET6)
		return;
	r->via = (struct addr){.family = AF_INET6, .prefix = 128};
	memcpy(r->via.bytes, v->rtvia_addr, 16);
}

bool net_route_take(const struct nlmsghdr *m, struct net_route *ret)
{
	const struct rtmsg *h = mnl_nlmsg_get_payload(m);
	struct net_route v = {.link = 0};
	struct nlattr *a;

	if ((m->nlmsg_type != RTM_NEWROUTE && m->nlmsg_type != RTM_DELROUTE) ||
	    mnl_nlmsg_get_payload_len(m) < sizeof(*h) || !is_ours(h->rtm_family) ||
	    h->rtm_table != RT_TABLE_MAIN || h->rtm_flags & RTM_F_CLONED)
		return false;
	v.to.family = h->rtm_family;
	v.protocol = h->rtm_protocol;
	v.is_unreachable = h->rtm_type == RTN_UNREACHABLE;
	mnl_attr_for_each(a, m, sizeof(*h))
	{
		bool is_number = mnl_attr_get_payload_len(a) == sizeof(uint32_t);

		switch (mnl_attr_get_type(a)) {
		case RTA_DST:
			(void)take_addr(&v.to, a, h->rtm_family);
			break;
		case RTA_GATEWAY:
			(void)take_addr(&v.via, a, h->rtm_family);
			break;
		case RTA_VIA:
			take_via(&v, a);
			break;
		case RTA_PREFSRC:
			(void)take_addr(&v.from, a, h->rtm_family);
			break;
		case RTA_OIF:
			v.link = is_number ? (int)mnl_attr_get_u32(a) : 0;
			break;
		case RTA_PRIORITY:
			v.metric = is_number ? mnl_attr_get_u32(a) : 0;
			break;
		default:
			break;
		}
	}
	v.to.prefix = h->rtm_dst_len;
	*ret = v;
	return true;
}

static int visit_route(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct gather *g = arg;
	struct net_route v, *item;

	if (!net_route_take(m, &v) || (g->protocol && v.protocol != g->protocol))
		return 0;
	item = next_item(g, err);
	if (item)
		*item = v;
	return item ? 0 : -ENOMEM;
}

static int compare_routes(const void *a, const void *b)
{
	const struct net_route *x = a, *y = b;

	return by_place(x->link, &x->to, y->link, &y->to);
}

void net_routes_done(struct net_routes *l)
{
	free(l->items);
	*l = (struct net_routes){.items = NULL};
}

int net_routes_read(struct nl_sock *s, uint8_t protocol, struct net_routes *ret, struct err *err)
{
	/* Both families in one dump; the kernel leaves out what is of another protocol. */
	const struct rtmsg all = {.rtm_family = AF_UNSPEC, .rtm_protocol = protocol};
	struct gather g = {.size = sizeof(struct net_route), .protocol = protocol};
	int r = nl_dump(s, RTM_GETROUTE, &all, sizeof(all), visit_route, begin_again, &g,
			"list routes", err);

	if (r < 0) {
		free(g.items);
		return r;
	}
	if (g.n > 0)
		qsort(g.items, g.n, g.size, compare_routes);
	*ret = (struct net_routes){.items = g.items, .n = g.n};
	return 0;
}

/* --- proxies --------------------------------------------------------------------------------- */

static int visit_proxy(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct ndmsg *h = mnl_nlmsg_get_payload(m);
	struct gather *g = arg;
	struct net_proxy v = {.link = 0}, *item;
	struct nlattr *a;

	if (m->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(m) < sizeof(*h) ||
	    !is_ours(h->ndm_family) || !(h->ndm_flags & NTF_PROXY))
		return 0;
	v.link = h->ndm_ifindex;
	mnl_attr_for_each(a, m, sizeof(*h))
	{
		if (mnl_attr_get_type(a) == NDA_DST)
			(void)take_addr(&v.a, a, h->ndm_family);
		if (mnl_attr_get_type(a) == NDA_PROTOCOL && mnl_attr_get_payload_len(a) == 1)
			v.protocol = mnl_attr_get_u8(a);
	}
	if (!v.a.family || (g->protocol && v.protocol != g->protocol))
		return 0;
	item = next_item(g, err);
	if (item)
		*item = v;
	return item ? 0 : -ENOMEM;
}

static int compare_proxies(const void *a, const void *b)
{
	const struct net_proxy *x = a, *y = b;

	return by_place(x->link, &x->a, y->link, &y->a);
}

void net_proxies_done(struct net_proxies *l)
{
	free(l->items);
	*l = (struct net_proxies){.items = NULL};
}

int net_proxies_read(struct nl_sock *s, uint8_t protocol, struct net_proxies *ret, struct err *err)
{
	const struct ndmsg all = {.ndm_family = AF_UNSPEC, .ndm_flags = NTF_PROXY};
	struct gather g = {.size = sizeof(struct net_proxy), .protocol = protocol};
	int r = nl_dump(s, RTM_GETNEIGH, &all, sizeof(all), visit_proxy, begin_again, &g,
			"list the addresses that are answered for", err);

	if (r < 0) {
		free(g.items);
		return r;
	}
	if (g.n > 0)
		qsort(g.items, g.n, g.size, compare_proxies);
	*ret = (struct net_proxies){.items = g.items, .n = g.n};
	return 0;
}

bool net_proxies_has(const struct net_proxies *l, int link, const struct addr *a)
{
	const struct net_proxy key = {.link = link, .a = *a};

	return l->n > 0 && bsearch(&key, l->items, l->n, sizeof(key), compare_proxies);
}

/* --- one question ---------------------------------------------------------------------------- */

static int visit_type(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct rtmsg *h = mnl_nlmsg_get_payload(m);

	(void)err;
	if (m->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(m) >= sizeof(*h))
		*(uint8_t *)arg = h->rtm_type;
	return 0;
}

int net_address_is_own(struct nl_sock *s, const struct addr *a, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct rtmsg h = {.rtm_family = a->family, .rtm_dst_len = (uint8_t)addr_bits(a)};
	char text[ADDR_TEXT];
	uint8_t type = RTN_UNSPEC;
	struct err local = ERR_INIT;
	int r;

	addr_format(text, a);
	nl_batch_add(b, RTM_GETROUTE, 0, &h, sizeof(h), "look up '%s'", text);
	nl_put(b, RTA_DST, a->bytes, addr_len(a));
	r = nl_batch_ask(s, b, visit_type, &type, &local);
	/* The kernel has many words for "no route" (fib_props, ip6_null_entry). */
	if (r < 0 && r != -ENETUNREACH && r != -EHOSTUNREACH && r != -EACCES && r != -EINVAL) {
		if (err)
			*err = local;
		return r;
	}
	return type == RTN_LOCAL || type == RTN_BROADCAST || type == RTN_ANYCAST;
}
