/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One NIC of a guest: a veth pair, one end on the host, the other born inside the guest's network
 * namespace.
 *
 * Routed: the host is the guest's router, and there is no shared layer 2. The host end has the
 * gateways' addresses (169.254.1.1, fe80::1, the same on every host end) and a route to each of the
 * guest's addresses. Both sides know each other's MAC for good, so nothing is asked for and the
 * first packet goes through.
 * Bridged: the host end is a port of an existing bridge of the operator's, apart from the other
 * ports of that kind; the addresses lie in the bridge's network, whose routers the guest is told.
 *
 * Every function is bounded and waits for nobody, except for the deletion of a link, within which
 * the kernel waits for its other processors (some ms).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/rand.h"
#include "netns/address.h"
#include "netns/link.h"
#include "netns/netlink.h"

#define NET_NICS 10	      /* of one guest */
#define NET_NIC_ADDRESSES 256 /* of one NIC */
#define NET_MTU_MIN 576
#define NET_MTU_MIN_IPV6 1280
#define NET_MTU_MAX 65535

struct net_nic {
	char id[ID_TEXT]; /* of the instance */
	unsigned n;	  /* 0..9 */
	char host_name[IFNAMSIZ], guest_name[IFNAMSIZ];
	uint8_t host_mac[NET_MAC], guest_mac[NET_MAC];
	uint32_t mtu;
	/* Borrowed. Routed: single addresses, and networks that the guest gets as a whole, of which
	 * it has no address at first. Bridged: addresses within their network ("10.1.2.7/24"). */
	const struct addr *addresses;
	size_t n_addresses;
	/* The guest's default route of a family is by this one. By another one goes what is sent
	 * from its addresses: it has a table of routes of its own in the guest, and rules. */
	bool has_default4, has_default6;
	/* Routed. Own addresses of the host from which it speaks to the guest; may be ADDR_NONE:
	 * then the kernel chooses. */
	struct addr source4, source6;
	/* Index of a link on which the host answers for the single addresses; 0 = none. When that
	 * link goes down the kernel forgets it: net_nic_repair() is for when it comes up. */
	int uplink;
	/* Bridged. */
	int bridge;			/* index; 0 = routed */
	uint16_t vlan;			/* 0 = the bridge has none, or its default */
	struct addr gateway4, gateway6; /* may be ADDR_NONE */
};

/* --- what follows from the id ------------------------------------------------------------------
 */

/* Names and MACs of NIC n of the instance, MTU 1500; all else empty. The MACs follow from the id
 * alone, for ever. -EINVAL: no id, or n beyond 9. */
int net_nic_init(struct net_nic *ret, const char *id, unsigned n, struct err *err);
/* It becomes a port of that bridge: its host end has a MAC of its own. */
void net_nic_set_bridge(struct net_nic *nic, int bridge, uint16_t vlan);
/* Whether a link has such a name as our host ends have. */
bool net_nic_is_host_name(const char *name);
/* The guest's link-local address of this NIC, from its MAC (RFC 4291, appendix A). */
struct addr net_nic_link_local(const struct net_nic *nic);
/* The gateway of a family of a routed NIC. */
struct addr net_nic_gateway(uint8_t family);
/* The table in the guest that its default route of a family is in; 0 = main. */
uint32_t net_nic_table(const struct net_nic *nic, uint8_t family);
/* What is wrong with its MTU and addresses, by value; the kernel is not asked. */
int net_nic_check(const struct net_nic *nic, struct err *err);

/* --- doing; 'host' is a NETLINK_ROUTE socket of the host's namespace, 'netns' the guest's --------
 */

/* Makes both ends with all that belongs to them. A link of ours that has the name and is this
 * NIC's, left by a guest that is no more, is replaced.
 * -EEXIST: somebody else's link has the name, on either side; -EADDRINUSE: an address is the
 * host's own, or another route leads there. After a failure nothing of it is left.
 * The guest can send at once; what the host sends is dropped until the kernel's link watcher, which
 * waits for the lock of all network configuration, has taken note: as a rule within ms. */
int net_nic_add(struct nl_sock *host, int netns, const struct net_nic *nic, struct err *err);
/* Deletes the pair and what answers on the uplink for its addresses. That there is none is
 * success; -EEXIST: the link of that name is not ours, or another instance's. */
int net_nic_delete(struct nl_sock *host, const struct net_nic *nic, struct err *err);
/* The host no longer leads to some of its addresses nor answers for them on the uplink, whatever
 * the guest thinks it has; no link is no error. It waits for nothing. Of one whose pair goes with
 * the guest's namespace: all of them, so that others can have them at once. */
int net_nic_withdraw(struct nl_sock *host, const struct net_nic *nic, const struct addr *addresses,
		     size_t n, struct err *err);
/* From what is to what shall be: addresses, sources, MTU, default route, uplink; the rest must be
 * the same. What stays is not interrupted. After a failure all is as it was; -ENODEV: there is no
 * such link. */
int net_nic_change(struct nl_sock *host, int netns, const struct net_nic *from,
		   const struct net_nic *to, struct err *err);

/* --- after a death -----------------------------------------------------------------------------
 */

/* What there is of ours on the host, read at once for all NICs. */
struct net_seen {
	struct net_links links;	    /* all, ours or not */
	struct net_routes routes;   /* of our protocol */
	struct net_proxies proxies; /* of our protocol */
};

#define NET_SEEN_INIT ((struct net_seen){.links.items = NULL})
#define _cleanup_net_seen_ _cleanup_(net_seen_done)

int net_seen_read(struct nl_sock *host, struct net_seen *ret, struct err *err);
void net_seen_done(struct net_seen *s);
/* The NIC's link, by name, group and alias; NULL when there is none. */
const struct net_link *net_seen_nic(const struct net_seen *s, const struct net_nic *nic);
/* The routes of a link. */
const struct net_route *net_seen_routes(const struct net_seen *s, int link, size_t *ret_n);

/* Puts back what is missing on the host's side, and removes routes of ours that lead there and
 * should not; with a netns (-1 = none) also what is missing in the guest, for a NIC whose making
 * was interrupted. Says how many routes and answers were missing or too many. -ENODEV: the link
 * itself is missing. */
int net_nic_repair(struct nl_sock *host, int netns, const struct net_nic *nic,
		   const struct net_seen *seen, unsigned *ret_repaired, struct err *err);
/* Deletes a link of ours that no instance speaks for. -EPERM when it is not ours. */
int net_stray_delete(struct nl_sock *host, const struct net_link *link, struct err *err);
