/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: requests that make, set and delete them, and what is there. The host ends of guests' NICs
 * carry a group of ours, which the kernel sets within their birth: that tells them from interfaces
 * of other people, whatever those are called. (rtnetlink(7))
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "netns/netlink.h"

#define NET_MAC 6
/* As the rules of the packet filter have it: by it they mute an interface that was renamed. */
#define NET_LINK_GROUP 30320u
#define NET_ALIAS 64

struct net_link {
	int index;
	int peer;   /* index of a veth's other end, in that one's namespace; else 0 */
	int master; /* index of the bridge it is a port of; 0 = none */
	uint32_t group, mtu;
	uint8_t mac[NET_MAC];
	bool is_up;	   /* by the operator's or our will; the peer may be down */
	bool has_carrier;  /* and something is at the other end */
	bool is_filtering; /* of a bridge: VLANs are kept apart */
	char name[IFNAMSIZ];
	char kind[IFNAMSIZ]; /* "veth", "bridge"; "" = a device */
	char alias[NET_ALIAS];
};

/* A pair: one end here, the other is born in another network namespace. */
struct net_veth {
	const char *name, *peer_name;
	int index, peer_index; /* chosen by the caller, so that a batch can go on with them */
	const uint8_t *mac, *peer_mac;
	uint32_t mtu; /* of both */
	int netns;    /* fd of the peer's */
};

/* --- requests -------------------------------------------------------------------------------- */

/* A veth pair, this end up and in the group. -EEXIST or -EBUSY: a name or an index is in use. No
 * request that names its index may be in the same batch: if that is in use, it is somebody's. */
void net_link_add_veth(struct nl_batch *b, const struct net_veth *v);
/* Deletes a link, and its peer with it. */
void net_link_delete(struct nl_batch *b, int index, const char *name);
void net_link_up(struct nl_batch *b, int index, const char *name);
void net_link_set_mtu(struct nl_batch *b, int index, const char *name, uint32_t mtu);
/* Of several IPv4 addresses within one network the kernel takes all away with the first one, unless
 * told so. */
void net_link_keep_secondaries(struct nl_batch *b, int index, const char *name);
/* What holds of a host end: believes no redirect and sends none, answers ARP for its own addresses
 * only, checks the sender's way back; makes no IPv6 address by itself. */
void net_link_set_host_end(struct nl_batch *b, int index, const char *name, const char *alias);

/* --- what is there --------------------------------------------------------------------------- */

/* 1 = found, 0 = there is none. */
int net_link_by_name(struct nl_sock *s, const char *name, struct net_link *ret, struct err *err);
int net_link_by_index(struct nl_sock *s, int index, struct net_link *ret, struct err *err);
/* The interface of a name that somebody gave; -ENODEV says which there are not. What is kept is its
 * index: names change. */
int net_link_find(struct nl_sock *s, const char *name, struct net_link *ret, struct err *err);

/* What a message tells of a link. False when it tells of none; of a bridge's port, as the bridge
 * sees it, neither. */
bool net_link_take(const struct nlmsghdr *m, struct net_link *ret);

struct net_links {
	struct net_link *items; /* heap; by name */
	size_t n;
};

#define NET_LINKS_INIT ((struct net_links){.items = NULL})

void net_links_done(struct net_links *l);
/* All links of the socket's namespace. */
int net_links_read(struct nl_sock *s, struct net_links *ret, struct err *err);
/* NULL when there is none. */
const struct net_link *net_links_get(const struct net_links *l, const char *name);
