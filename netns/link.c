/* SPDX-License-Identifier: Apache-2.0 */
/* Links over rtnetlink. */
#include "netns/link.h"

#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static struct ifinfomsg header(int index)
{
	return (struct ifinfomsg){.ifi_family = AF_UNSPEC, .ifi_index = index};
}

/* --- requests -------------------------------------------------------------------------------- */

/* One queue: the kernel would make one for each processor, of which none is used more than the
 * other without XDP. */
static void put_end(struct nl_batch *b, const char *name, const uint8_t *mac, uint32_t mtu)
{
	nl_put_string(b, IFLA_IFNAME, name);
	nl_put(b, IFLA_ADDRESS, mac, NET_MAC);
	nl_put_u32(b, IFLA_MTU, mtu);
	nl_put_u32(b, IFLA_NUM_TX_QUEUES, 1);
	nl_put_u32(b, IFLA_NUM_RX_QUEUES, 1);
}

void net_link_add_veth(struct nl_batch *b, const struct net_veth *v)
{
	struct ifinfomsg here = header(v->index), peer = header(v->peer_index);
	size_t info, data, end;

	here.ifi_flags = IFF_UP;
	here.ifi_change = IFF_UP;
	/* Without EXCL the kernel would change the link that has this index. */
	nl_batch_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &here, sizeof(here),
		     "make the link '%s'", v->name);
	put_end(b, v->name, v->mac, v->mtu);
	nl_put_u32(b, IFLA_GROUP, NET_LINK_GROUP);
	info = nl_nest_start(b, IFLA_LINKINFO);
	nl_put_string(b, IFLA_INFO_KIND, "veth");
	data = nl_nest_start(b, IFLA_INFO_DATA);
	end = nl_nest_start(b, VETH_INFO_PEER);
	nl_put_raw(b, &peer, sizeof(peer));
	put_end(b, v->peer_name, v->peer_mac, v->mtu);
	nl_put_u32(b, IFLA_NET_NS_FD, (uint32_t)v->netns);
	nl_nest_end(b, end);
	nl_nest_end(b, data);
	nl_nest_end(b, info);
}

void net_link_delete(struct nl_batch *b, int index, const char *name)
{
	struct ifinfomsg h = header(index);

	nl_batch_add(b, RTM_DELLINK, 0, &h, sizeof(h), "delete the link '%s'", name);
}

void net_link_up(struct nl_batch *b, int index, const char *name)
{
	struct ifinfomsg h = header(index);

	h.ifi_flags = IFF_UP;
	h.ifi_change = IFF_UP;
	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "take the link '%s' up", name);
}

void net_link_set_mtu(struct nl_batch *b, int index, const char *name, uint32_t mtu)
{
	struct ifinfomsg h = header(index);

	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "set the MTU of '%s' to %u", name, mtu);
	nl_put_u32(b, IFLA_MTU, mtu);
}

struct setting {
	uint16_t id; /* IPV4_DEVCONF_* */
	uint32_t value;
};

static void put_ipv4(struct nl_batch *b, const struct setting *settings, size_t n)
{
	size_t spec = nl_nest_start(b, IFLA_AF_SPEC), family = nl_nest_start(b, AF_INET),
	       conf = nl_nest_start(b, IFLA_INET_CONF);

	for (size_t i = 0; i < n; i++)
		nl_put_u32(b, settings[i].id, settings[i].value);
	nl_nest_end(b, conf);
	nl_nest_end(b, family);
	nl_nest_end(b, spec);
}

void net_link_keep_secondaries(struct nl_batch *b, int index, const char *name)
{
	static const struct setting ipv4[] = {{IPV4_DEVCONF_PROMOTE_SECONDARIES, 1}};
	struct ifinfomsg h = header(index);

	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "set up the link '%s'", name);
	put_ipv4(b, ipv4, 1);
}

void net_link_set_host_end(struct nl_batch *b, int index, const char *name, const char *alias)
{
	static const struct setting ipv4[] = {
		/* Not FORWARDING: that is the host's, and the operator's to take away. */
		{IPV4_DEVCONF_RP_FILTER, 1},	       {IPV4_DEVCONF_ACCEPT_REDIRECTS, 0},
		{IPV4_DEVCONF_SECURE_REDIRECTS, 0},    {IPV4_DEVCONF_SEND_REDIRECTS, 0},
		{IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE, 0}, {IPV4_DEVCONF_PROXY_ARP, 0},
		{IPV4_DEVCONF_ARPFILTER, 0},	       {IPV4_DEVCONF_ARP_IGNORE, 1},
		{IPV4_DEVCONF_ROUTE_LOCALNET, 0},
	};
	struct ifinfomsg h = header(index);
	size_t spec, family;

	h.ifi_flags = IFF_UP;
	h.ifi_change = IFF_UP;
	/* Within the message that makes the link the kernel ignores all of this. */
	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "set up the link '%s'", name);
	nl_put_string(b, IFLA_IFALIAS, alias);
	put_ipv4(b, ipv4, sizeof(ipv4) / sizeof(ipv4[0]));

	h.ifi_change = 0;
	nl_batch_add(b, RTM_NEWLINK, 0, &h, sizeof(h), "set up IPv6 of the link '%s'", name);
	spec = nl_nest_start(b, IFLA_AF_SPEC);
	family = nl_nest_start(b, AF_INET6);
	nl_put_u8(b, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	nl_nest_end(b, family);
	nl_nest_end(b, spec);
	nl_batch_tolerate(b, EAFNOSUPPORT); /* a host without IPv6 */
}

/* --- what is there --------------------------------------------------------------------------- */

static void take_string(char *dst, size_t size, const struct nlattr *a)
{
	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
		(void)str_copy(dst, size, mnl_attr_get_str(a));
}

static void take_info(struct net_link *l, const struct nlattr *info)
{
	struct nlattr *a, *d;

	mnl_attr_for_each_nested(a, info)
	{
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			take_string(l->kind, sizeof(l->kind), a);
		if (mnl_attr_get_type(a) != IFLA_INFO_DATA || !str_eq(l->kind, "bridge"))
			continue;
		mnl_attr_for_each_nested(d, a) if (mnl_attr_get_type(d) == IFLA_BR_VLAN_FILTERING &&
						   mnl_attr_get_payload_len(d) >= 1)
			l->is_filtering = mnl_attr_get_u8(d) != 0;
	}
}

static void take_attribute(struct net_link *l, const struct nlattr *a)
{
	size_t len = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		take_string(l->name, sizeof(l->name), a);
		break;
	case IFLA_IFALIAS:
		take_string(l->alias, sizeof(l->alias), a);
		break;
	case IFLA_ADDRESS:
		if (len == NET_MAC)
			memcpy(l->mac, mnl_attr_get_payload(a), NET_MAC);
		break;
	case IFLA_MTU:
		l->mtu = len == 4 ? mnl_attr_get_u32(a) : 0;
		break;
	case IFLA_GROUP:
		l->group = len == 4 ? mnl_attr_get_u32(a) : 0;
		break;
	case IFLA_LINK:
		l->peer = len == 4 ? (int)mnl_attr_get_u32(a) : 0;
		break;
	case IFLA_MASTER:
		l->master = len == 4 ? (int)mnl_attr_get_u32(a) : 0;
		break;
	case IFLA_LINKINFO:
		take_info(l, a);
		break;
	default:
		break;
	}
}

bool net_link_take(const struct nlmsghdr *m, struct net_link *ret)
{
	const struct ifinfomsg *h = mnl_nlmsg_get_payload(m);
	struct nlattr *a;

	if ((m->nlmsg_type != RTM_NEWLINK && m->nlmsg_type != RTM_DELLINK) ||
	    mnl_nlmsg_get_payload_len(m) < sizeof(*h) || h->ifi_family != AF_UNSPEC)
		return false;
	*ret = (struct net_link){.index = h->ifi_index,
				 .is_up = (h->ifi_flags & IFF_UP) != 0,
				 .has_carrier = (h->ifi_flags & IFF_RUNNING) != 0};
	mnl_attr_for_each(a, m, sizeof(*h)) take_attribute(ret, a);
	return true;
}

static int visit_one(void *arg, const struct nlmsghdr *m, struct err *err)
{
	(void)err;
	(void)net_link_take(m, arg);
	return 0;
}

static int get_link(struct nl_sock *s, int index, const char *name, struct net_link *ret,
		    struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct ifinfomsg h = header(index);
	struct net_link l = {.index = 0};
	int r;

	if (name)
		nl_batch_add(b, RTM_GETLINK, 0, &h, sizeof(h), "look up the link '%s'", name);
	else
		nl_batch_add(b, RTM_GETLINK, 0, &h, sizeof(h), "look up link %d", index);
	if (name)
		nl_put_string(b, IFLA_IFNAME, name);
	nl_put_u32(b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	nl_batch_tolerate(b, ENODEV);
	r = nl_batch_ask(s, b, visit_one, &l, err);
	if (r < 0)
		return r;
	if (l.index == 0)
		return 0;
	*ret = l;
	return 1;
}

int net_link_by_name(struct nl_sock *s, const char *name, struct net_link *ret, struct err *err)
{
	return get_link(s, 0, name, ret, err);
}

int net_link_by_index(struct nl_sock *s, int index, struct net_link *ret, struct err *err)
{
	return get_link(s, index, NULL, ret, err);
}

int net_link_find(struct nl_sock *s, const char *name, struct net_link *ret, struct err *err)
{
	int r;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return err_set(err, EINVAL,
			       "'%s' is no name of an interface: 1 to %d characters are", name,
			       IFNAMSIZ - 1);
	r = net_link_by_name(s, name, ret, err);
	if (r == 0)
		return err_set(err, ENODEV, "there is no interface '%s' on the host", name);
	return r < 0 ? r : 0;
}

struct gather {
	struct net_links links;
	size_t room;
};

static int visit_all(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct gather *g = arg;

	if (g->links.n == g->room) {
		size_t room = g->room ? g->room * 2 : 64;
		struct net_link *grown = reallocarray(g->links.items, room, sizeof(*grown));

		if (!grown)
			return err_set(err, ENOMEM, "cannot list links: out of memory");
		g->links.items = grown;
		g->room = room;
	}
	if (net_link_take(m, &g->links.items[g->links.n]))
		g->links.n++;
	return 0;
}

static void begin_again(void *arg)
{
	((struct gather *)arg)->links.n = 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct net_link *)a)->name, ((const struct net_link *)b)->name);
}

void net_links_done(struct net_links *l)
{
	free(l->items);
	*l = NET_LINKS_INIT;
}

int net_links_read(struct nl_sock *s, struct net_links *ret, struct err *err)
{
	const struct {
		struct ifinfomsg h;
		struct nlattr a;
		uint32_t mask;
	} all = {.h = header(0),
		 .a = {.nla_len = NLA_HDRLEN + sizeof(uint32_t), .nla_type = IFLA_EXT_MASK},
		 .mask = RTEXT_FILTER_SKIP_STATS};
	struct gather g = {.room = 0};
	int r = nl_dump(s, RTM_GETLINK, &all, sizeof(all), visit_all, begin_again, &g, "list links",
			err);

	if (r < 0) {
		net_links_done(&g.links);
		return r;
	}
	if (g.links.n > 0)
		qsort(g.links.items, g.links.n, sizeof(*g.links.items), by_name);
	*ret = g.links;
	return 0;
}

const struct net_link *net_links_get(const struct net_links *l, const char *name)
{
	struct net_link key = {.index = 0};

	if (l->n == 0 || str_copy(key.name, sizeof(key.name), name) < 0)
		return NULL;
	return bsearch(&key, l->items, l->n, sizeof(*l->items), by_name);
}
