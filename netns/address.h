/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, routes and neighbours: requests, and what is there. What we make on the host carries a
 * protocol number of ours, so that it can be told from what others made. (rtnetlink(7))
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "netns/link.h"
#include "netns/netlink.h"

/* Of routes and of proxy neighbours (/etc/iproute2/rt_protos has no name for it). */
#define NET_PROTOCOL 118

struct net_address {
	int link;
	struct addr a;	  /* with the prefix of its network */
	bool is_on_link;  /* scope link: never the source of what goes farther */
	bool is_detached; /* makes no route to its network */
};

struct net_route {
	int link;	  /* 0 = none: of an unreachable one */
	struct addr to;	  /* prefix 0 = default */
	struct addr via;  /* the router on that link, of either family; ADDR_NONE = on the link */
	struct addr from; /* an own address to speak from; ADDR_NONE = the kernel's choice */
	uint32_t metric;  /* 0 = the kernel's choice: 0 of IPv4, 1024 of IPv6 */
	uint32_t table;	  /* 0 = main */
	uint8_t protocol;
	bool is_unreachable;
};

/* What is sent from an address, or from any of a network, takes the routes of a table. */
struct net_rule {
	struct addr from;
	uint32_t table, priority;
};

/* Answers for an address on another link than the one where it is (proxy ARP, proxy NDP). */
struct net_proxy {
	int link;
	struct addr a;
	uint8_t protocol;
};

/* --- requests; 'flags' are NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE ---------------------------- */

/* Usable at once: no duplicate address detection. */
void net_address_add(struct nl_batch *b, uint16_t flags, const struct net_address *a);
/* -EADDRNOTAVAIL is success. */
void net_address_delete(struct nl_batch *b, const struct net_address *a);
void net_route_add(struct nl_batch *b, uint16_t flags, const struct net_route *r);
/* Only one of this protocol on this link; that there is none is success. */
void net_route_delete(struct nl_batch *b, const struct net_route *r);
/* That it is there already, or is there no longer, is success. */
void net_rule_add(struct nl_batch *b, const struct net_rule *r);
void net_rule_delete(struct nl_batch *b, const struct net_rule *r);
/* A permanent one: it is never asked for. */
void net_neighbour_add(struct nl_batch *b, uint16_t flags, int link, const struct addr *a,
		       const uint8_t mac[NET_MAC]);
void net_neighbour_delete(struct nl_batch *b, int link, const struct addr *a);
/* Takes over one that is there. IPv6 needs proxy_ndp of the link (net_host_prepare()). */
void net_proxy_add(struct nl_batch *b, const struct net_proxy *p);
/* That there is none, or no such link, is success. */
void net_proxy_delete(struct nl_batch *b, const struct net_proxy *p);

/* --- what is there --------------------------------------------------------------------------- */

struct net_addresses {
	struct net_address *items; /* heap, in the kernel's order */
	size_t n;
};
struct net_routes {
	struct net_route *items; /* heap, by link, then by addr_compare() */
	size_t n;
};
struct net_proxies {
	struct net_proxy *items; /* heap, by link, then by addr_compare() */
	size_t n;
};

void net_addresses_done(struct net_addresses *l);
void net_routes_done(struct net_routes *l);
void net_proxies_done(struct net_proxies *l);
/* Of one link, or of all (0). */
int net_addresses_read(struct nl_sock *s, int link, struct net_addresses *ret, struct err *err);
/* Both families, main table, of this protocol; 0 = of any. */
int net_routes_read(struct nl_sock *s, uint8_t protocol, struct net_routes *ret, struct err *err);
/* Those of this protocol; 0 = of any. */
int net_proxies_read(struct nl_sock *s, uint8_t protocol, struct net_proxies *ret, struct err *err);
bool net_proxies_has(const struct net_proxies *l, int link, const struct addr *a);
/* What one message tells, that it is there or that it is gone. False when it tells of none; routes:
 * of the main table only. */
bool net_address_take(const struct nlmsghdr *m, struct net_address *ret);
bool net_route_take(const struct nlmsghdr *m, struct net_route *ret);
/* Whether a single address is an own one of the host, or a broadcast address of its networks: 1, 0.
 * One question, whatever the host has. */
int net_address_is_own(struct nl_sock *s, const struct addr *a, struct err *err);
