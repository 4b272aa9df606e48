/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from an id; what is refused by value; the requests, taken apart again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/fib_rules.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "base/cleanup.h"
#include "netns/nic_private.h"
#include "tests/unit/netns/batch.h"

#define ID "0123456789abcdef"
#define REPLACE (NLM_F_CREATE | NLM_F_REPLACE)

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct net_nic nic(unsigned n)
{
	struct net_nic v;

	assert_int_equal(net_nic_init(&v, ID, n, NULL), 0);
	return v;
}

/* --- by value -------------------------------------------------------------------------------- */

static void named(void **state)
{
	const uint8_t host[NET_MAC] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
	const uint8_t guest[NET_MAC] = {0x02, 0x01, 0x23, 0x45, 0x67, 0x83};
	struct net_nic v = nic(3), other;
	struct addr own = net_nic_link_local(&v), expected = addr("fe80::1:23ff:fe45:6783");
	struct err err = ERR_INIT;

	(void)state;
	assert_string_equal(v.host_name, "vp0123456789ab3");
	assert_int_equal(strlen(v.host_name), IFNAMSIZ - 1);
	assert_string_equal(v.guest_name, "eth3");
	assert_memory_equal(v.host_mac, host, NET_MAC);
	assert_memory_equal(v.guest_mac, guest, NET_MAC);
	assert_int_equal(v.mtu, 1500);
	assert_true(addr_equal(&own, &expected));
	/* Each NIC and each id has another. */
	assert_int_equal(net_nic_init(&other, "0123456709abcdef", 3, &err), 0);
	assert_memory_not_equal(v.guest_mac, other.guest_mac, NET_MAC);
	other = nic(4);
	assert_memory_not_equal(v.guest_mac, other.guest_mac, NET_MAC);
	net_nic_set_bridge(&v, 7, 30);
	assert_memory_equal(v.host_mac + 1, guest + 1, NET_MAC - 1);
	assert_int_equal(v.host_mac[0], 0xfe);

	assert_int_equal(net_nic_init(&v, ID, 10, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "0 to 9, not 10"));
	assert_int_equal(net_nic_init(&v, "0123456789ABCDEF", 0, &err), -EINVAL);
	assert_int_equal(net_nic_init(&v, "0123456789abcde", 0, &err), -EINVAL);
	assert_int_equal(net_nic_init(&v, ID "0", 0, &err), -EINVAL);
}

static void recognized(void **state)
{
	struct net_nic v = nic(0);
	struct net_link l = {.group = NET_LINK_GROUP};

	(void)state;
	assert_true(net_nic_is_host_name("vp0123456789ab0"));
	assert_false(net_nic_is_host_name("vp0123456789ab"));
	assert_false(net_nic_is_host_name("vp0123456789abc"));
	assert_false(net_nic_is_host_name("vpn123456789ab0"));
	assert_false(net_nic_is_host_name("eth0"));
	/* By its group, and its alias where it has one. */
	assert_true(nic_is_link(&v, &l));
	nic_alias(l.alias, &v);
	assert_string_equal(l.alias, "vpsd " ID " eth0");
	assert_true(nic_is_link(&v, &l));
	l.alias[5]++;
	assert_false(nic_is_link(&v, &l));
	l = (struct net_link){.group = 0};
	assert_false(nic_is_link(&v, &l));
}

static void refused(void **state)
{
	static const struct {
		const char *address, *says;
	} rows[] = {
		{"0.0.0.0", "no address of a machine"},
		{"127.0.0.1", "the own machine's"},
		{"169.254.1.1", "link-local"},
		{"224.0.0.5", "multicast"},
		{"255.255.255.255", "multicast or reserved"},
		{"0.0.0.0/0", "cannot be"},
		{"::1", "the own machine's"},
		{"::ffff:10.0.0.1", "IPv4 address within"},
		{"fe80::7", "link-local"},
		{"ff02::1", "multicast"},
		{"2001:db8::7/64", "bits behind the prefix"},
		{"10.0.0.7/24", "bits behind the prefix"},
	};
	struct addr a[2];
	struct net_nic v = nic(0);
	struct err err;

	(void)state;
	v.addresses = a;
	v.n_addresses = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a[0] = addr(rows[i].address);
		assert_int_equal(net_nic_check(&v, &err), -EINVAL);
		assert_non_null(strstr(err.msg, rows[i].says));
		assert_non_null(strstr(err.msg, rows[i].address));
	}
	a[0] = addr("2001:db8::/64");
	a[1] = addr("2001:db8::1");
	v.n_addresses = 2;
	assert_int_equal(net_nic_check(&v, &err), 0);
	a[1] = a[0];
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "twice"));
	v.n_addresses = 1;
	v.mtu = 1279;
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "MTU of 1280, not 1279"));
	a[0] = addr("10.0.0.1");
	assert_int_equal(net_nic_check(&v, &err), 0);
	v.mtu = 575;
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	v.mtu = 65536;
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	v.mtu = 1500;
	v.source4 = addr("2001:db8::1");
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no source of"));
	v.source4 = ADDR_NONE;
	v.gateway6 = addr("2001:db8::/64");
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	v.gateway6 = ADDR_NONE;
	v.vlan = 4095;
	assert_int_equal(net_nic_check(&v, &err), -EINVAL);
	v.vlan = 4094;
	v.n_addresses = NET_NIC_ADDRESSES + 1;
	assert_int_equal(net_nic_check(&v, &err), -E2BIG);
	/* A bridge's network is the guest's, too. */
	v.n_addresses = 1;
	v.bridge = 7;
	a[0] = addr("10.0.0.7/24");
	assert_int_equal(net_nic_check(&v, &err), 0);
}

/* --- requests -------------------------------------------------------------------------------- */

/* NULL when it has none. */
static const struct nlattr *attribute(const struct nlmsghdr *m, size_t header, uint16_t type)
{
	struct nlattr *a;

	mnl_attr_for_each(a, m, (unsigned)header) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static const struct nlattr *within(const struct nlattr *nest, uint16_t type)
{
	struct nlattr *a;

	assert_non_null(nest);
	mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static bool holds(const struct nlattr *a, const char *text)
{
	struct addr v = addr(text);

	return a && mnl_attr_get_payload_len(a) == addr_len(&v) &&
	       memcmp(mnl_attr_get_payload(a), v.bytes, addr_len(&v)) == 0;
}

static void pair(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct net_nic v = nic(0);
	const struct net_veth veth = {.name = v.host_name,
				      .peer_name = v.guest_name,
				      .index = 77,
				      .peer_index = 2,
				      .mac = v.host_mac,
				      .peer_mac = v.guest_mac,
				      .mtu = 1400,
				      .netns = 9};
	const struct ifinfomsg *h, *peer;
	const struct nlmsghdr *m;
	const struct nlattr *info, *end, *a;

	(void)state;
	net_link_add_veth(b, &veth);
	/* Something behind it closes the request. */
	net_link_up(b, 2, v.guest_name);
	m = message(b, 0);
	/* Without EXCL the kernel would change whatever has that index. */
	assert_int_equal(m->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	h = mnl_nlmsg_get_payload(m);
	assert_int_equal(h->ifi_index, 77);
	assert_int_equal(h->ifi_flags, IFF_UP);
	assert_int_equal(mnl_attr_get_u32(attribute(m, sizeof(*h), IFLA_GROUP)), NET_LINK_GROUP);
	assert_string_equal(mnl_attr_get_str(attribute(m, sizeof(*h), IFLA_IFNAME)), v.host_name);
	info = attribute(m, sizeof(*h), IFLA_LINKINFO);
	assert_string_equal(mnl_attr_get_str(within(info, IFLA_INFO_KIND)), "veth");
	end = within(within(info, IFLA_INFO_DATA), VETH_INFO_PEER);
	peer = mnl_attr_get_payload(end);
	assert_int_equal(peer->ifi_index, 2);
	/* The kernel refuses a peer that is to be up. */
	assert_int_equal(peer->ifi_flags, 0);
	a = (const struct nlattr *)(const void *)(peer + 1);
	assert_int_equal(mnl_attr_get_type(a), IFLA_IFNAME);
	assert_string_equal(mnl_attr_get_str(a), "eth0");
	for (; mnl_attr_get_type(a) != IFLA_NET_NS_FD; a = mnl_attr_next(a))
		assert_true((const char *)a < (const char *)mnl_nlmsg_get_payload_tail(m));
	assert_int_equal(mnl_attr_get_u32(a), 9);
}

/* One address: neighbour before route, the host's source, the uplink's answer. */
static void host_side(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new(), *net = nl_batch_new();
	struct net_nic v = nic(0);
	struct addr a = addr("10.0.0.7"), whole = addr("10.0.8.0/29");
	const struct nlmsghdr *m;
	const struct rtmsg *route;
	const struct ndmsg *neighbour;

	(void)state;
	v.source4 = addr("192.0.2.1");
	v.uplink = 3;
	nic_host_address(b, NLM_F_CREATE | NLM_F_EXCL, &v, 77, &a);
	assert_int_equal(nl_batch_size(b), 3);
	m = message(b, 0);
	neighbour = mnl_nlmsg_get_payload(m);
	assert_int_equal(m->nlmsg_type, RTM_NEWNEIGH);
	assert_int_equal(neighbour->ndm_ifindex, 77);
	assert_int_equal(neighbour->ndm_state, NUD_PERMANENT);
	m = message(b, 1);
	route = mnl_nlmsg_get_payload(m);
	assert_int_equal(m->nlmsg_type, RTM_NEWROUTE);
	assert_int_equal(m->nlmsg_flags & (NLM_F_EXCL | NLM_F_REPLACE), NLM_F_EXCL);
	assert_int_equal(route->rtm_protocol, NET_PROTOCOL);
	assert_int_equal(route->rtm_scope, RT_SCOPE_LINK);
	assert_int_equal(route->rtm_dst_len, 32);
	assert_true(holds(attribute(m, sizeof(*route), RTA_PREFSRC), "192.0.2.1"));
	nl_batch_add(b, RTM_NEWROUTE, 0, route, sizeof(*route), "the end");
	neighbour = mnl_nlmsg_get_payload(message(b, 2));
	assert_int_equal(neighbour->ndm_flags, NTF_PROXY);
	assert_int_equal(neighbour->ndm_ifindex, 3);

	/* A network goes by the guest's link-local address, and nobody answers for all of it. */
	nic_host_address(net, NLM_F_CREATE | NLM_F_EXCL, &v, 77, &whole);
	assert_int_equal(nl_batch_size(net), 1);
	nl_batch_add(net, RTM_NEWROUTE, 0, route, sizeof(*route), "the end");
	m = message(net, 0);
	assert_null(attribute(m, sizeof(*route), RTA_GATEWAY));
	assert_non_null(attribute(m, sizeof(*route), RTA_VIA));
	assert_int_equal(mnl_attr_get_payload_len(attribute(m, sizeof(*route), RTA_VIA)), 18);
}

static void guest_side(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new(), *second = nl_batch_new(),
					   *change = nl_batch_new();
	struct addr all[] = {addr("10.0.8.0/29"), addr("10.0.0.7"), addr("10.0.0.6")};
	struct net_nic v = nic(1), before;
	const struct nlmsghdr *m;
	const struct rtmsg *route;

	(void)state;
	v.addresses = all;
	v.n_addresses = 3;
	v.has_default4 = v.has_default6 = true;
	nic_guest_defaults(b, &v, 5, NULL);
	nic_guest_address(b, REPLACE, &v, 5, &all[0]);
	/* Only IPv4; from the first single address, whatever comes before. */
	assert_int_equal(nl_batch_size(b), 2);
	m = message(b, 0);
	route = mnl_nlmsg_get_payload(m);
	assert_int_equal(route->rtm_table, RT_TABLE_MAIN);
	assert_int_equal(route->rtm_flags, RTNH_F_ONLINK);
	assert_true(holds(attribute(m, sizeof(*route), RTA_PREFSRC), "10.0.0.7"));
	assert_true(holds(attribute(m, sizeof(*route), RTA_GATEWAY), "169.254.1.1"));
	/* The network is unreachable at first. */
	nl_batch_add(b, RTM_NEWROUTE, 0, route, sizeof(*route), "the end");
	route = mnl_nlmsg_get_payload(message(b, 1));
	assert_int_equal(route->rtm_type, RTN_UNREACHABLE);

	/* Without the default route: a table of its own, and a rule for each address. */
	before = v;
	v.has_default4 = v.has_default6 = false;
	nic_guest_defaults(second, &v, 5, NULL);
	nic_guest_address(second, REPLACE, &v, 5, &all[1]);
	assert_int_equal(nl_batch_size(second), 3);
	m = message(second, 0);
	assert_int_equal(mnl_attr_get_u32(attribute(m, sizeof(*route), RTA_TABLE)), 1001);
	assert_int_equal(message(second, 1)->nlmsg_type, RTM_NEWADDR);
	nl_batch_add(second, RTM_NEWROUTE, 0, route, sizeof(*route), "the end");
	m = message(second, 2);
	assert_int_equal(m->nlmsg_type, RTM_NEWRULE);
	assert_int_equal(mnl_attr_get_u32(attribute(m, sizeof(struct fib_rule_hdr), FRA_TABLE)),
			 1001);

	/* It moves: the new one is there before the old one goes. */
	nic_guest_defaults(change, &v, 5, &before);
	assert_int_equal(nl_batch_size(change), 2);
	assert_int_equal(message(change, 0)->nlmsg_type, RTM_NEWROUTE);
	nl_batch_add(change, RTM_NEWROUTE, 0, route, sizeof(*route), "the end");
	assert_int_equal(message(change, 1)->nlmsg_type, RTM_DELROUTE);
}

static void port(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct bridge_vlan_info *info;
	struct net_nic v = nic(0);
	const struct nlmsghdr *m;
	const struct nlattr *flags;
	const struct ndmsg *entry;

	(void)state;
	net_nic_set_bridge(&v, 7, 30);
	nic_port(b, &v, 77);
	assert_int_equal(nl_batch_size(b), 5);
	m = message(b, 0);
	assert_int_equal(mnl_attr_get_u32(attribute(m, sizeof(struct ifinfomsg), IFLA_MASTER)), 7);
	flags = attribute(message(b, 1), sizeof(struct ifinfomsg), IFLA_PROTINFO);
	assert_int_equal(mnl_attr_get_u8(within(flags, IFLA_BRPORT_ISOLATED)), 1);
	assert_int_equal(mnl_attr_get_u8(within(flags, IFLA_BRPORT_LEARNING)), 0);
	assert_int_equal(mnl_attr_get_u8(within(flags, IFLA_BRPORT_UNICAST_FLOOD)), 0);
	/* Into its VLAN, and out of the one where every port is at first. */
	info = mnl_attr_get_payload(
		within(attribute(message(b, 2), sizeof(struct ifinfomsg), IFLA_AF_SPEC),
		       IFLA_BRIDGE_VLAN_INFO));
	assert_int_equal(info->vid, 30);
	assert_int_equal(info->flags, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED);
	m = message(b, 3);
	assert_int_equal(m->nlmsg_type, RTM_DELLINK);
	info = mnl_attr_get_payload(within(attribute(m, sizeof(struct ifinfomsg), IFLA_AF_SPEC),
					   IFLA_BRIDGE_VLAN_INFO));
	assert_int_equal(info->vid, 1);
	nl_batch_add(b, RTM_NEWNEIGH, 0, info, sizeof(*info), "the end");
	m = message(b, 4);
	entry = mnl_nlmsg_get_payload(m);
	assert_int_equal(entry->ndm_family, AF_BRIDGE);
	assert_int_equal(mnl_attr_get_u16(attribute(m, sizeof(*entry), NDA_VLAN)), 30);
}

/* Routes of a link among all. */
static void seen(void **state)
{
	struct net_route items[] = {{.link = 2}, {.link = 5}, {.link = 5}, {.link = 9}};
	struct net_seen s = {.routes = {.items = items, .n = 4}};
	size_t n;

	(void)state;
	assert_ptr_equal(net_seen_routes(&s, 5, &n), &items[1]);
	assert_int_equal(n, 2);
	assert_ptr_equal(net_seen_routes(&s, 9, &n), &items[3]);
	assert_int_equal(n, 1);
	assert_null(net_seen_routes(&s, 1, &n));
	assert_null(net_seen_routes(&s, 7, &n));
	assert_null(net_seen_routes(&s, 10, &n));
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(named), cmocka_unit_test(recognized), cmocka_unit_test(refused),
		cmocka_unit_test(pair),	 cmocka_unit_test(host_side),  cmocka_unit_test(guest_side),
		cmocka_unit_test(port),	 cmocka_unit_test(seen),
	};

	return cmocka_run_group_tests_name("nic", tests, NULL, NULL);
}
