/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shaping of a guest's NIC at the host end of its veth, where root inside cannot reach it: packets
 * wait, they are not dropped. What goes to the guest waits in front of the veth. What comes from it
 * is led through a link of its own, an ifb, and waits there. Nothing else of the host is touched.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netns/netlink.h"

/* Rates are bits per second of whole Ethernet frames, without preamble and checksum: TCP over IPv4
 * with frames of 1514 bytes gets 95.6 % of it. The kernel counts bytes: a rate is rounded down to
 * 8 bits. */
#define NET_RATE_MIN 8000ull
#define NET_RATE_MAX 100000000000ull
#define NET_RATE_NONE UINT64_MAX /* not limited */

/* What one direction should have. */
struct net_shape {
	uint64_t rate; /* NET_RATE_MIN to NET_RATE_MAX, or NET_RATE_NONE */
	uint32_t mtu;  /* of the NIC */
};

/* What it has, by the kernel's word. */
struct net_shape_status {
	uint64_t rate;	/* NET_RATE_NONE = nothing holds it back */
	bool is_fair;	/* flows take turns and none makes another wait; not on kernels without
			   fq_codel */
	bool is_broken; /* upload only: what should hold it is not up or gone, so nothing gets
			   through */
	uint64_t drops; /* packets for which the queue had no room, since it was made */
};

/* Whether that is what was wanted. */
bool net_shape_is_effective(const struct net_shape *want, const struct net_shape_status *has);

/* Makes, changes or (NET_RATE_NONE) takes away the limit of what goes to the guest through the host
 * end of its veth. A change loses no packet; taking it away loses what waits. *ret is read from the
 * kernel afterwards.
 * -ERANGE: the rate; -EOPNOTSUPP: the kernel cannot, and the link is as before; -ENODEV: no link.
 */
int net_shape_in(struct nl_sock *s, int link, const struct net_shape *want,
		 struct net_shape_status *ret, struct err *err);
/* The same for what comes from the guest. The ifb has that name, and is made, changed and removed
 * here. One that was left behind by a death half-way is taken over. */
int net_shape_out(struct nl_sock *s, int link, const char *ifb, const struct net_shape *want,
		  struct net_shape_status *ret, struct err *err);

/* What the kernel has for the host end. -ENODEV: no such link. */
int net_shape_read(struct nl_sock *s, int link, struct net_shape_status *ret_in,
		   struct net_shape_status *ret_out, struct err *err);

/* Name of the ifb of NIC n (0 to 9) of the instance with that id (16 hex digits). */
void net_shape_name(char dst[IFNAMSIZ], const char *id, unsigned n);
/* Deletes an ifb of ours, for when the veth has gone already. None is no error. */
int net_shape_remove(struct nl_sock *s, const char *ifb, struct err *err);

/* Names of the ifbs of ours that there are, to be compared with the NICs that there should be. */
struct net_shape_list {
	char (*names)[IFNAMSIZ];
	size_t n;
};
void net_shape_list_done(struct net_shape_list *l);
#define _cleanup_net_shape_list_ _cleanup_(net_shape_list_done)
int net_shape_list(struct nl_sock *s, struct net_shape_list *ret, struct err *err);
