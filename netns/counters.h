/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went through the links of a host, all of them by one dump. The kernel counts from the making
 * of a link and forgets with it: read once more before a veth goes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "netns/netlink.h"

/* Of the host end of a veth, as its guest sees it: "in" goes to the guest. Bytes are of whole
 * Ethernet frames without checksum. What comes from the guest is counted before it waits to be
 * shaped, what goes to it afterwards. */
struct net_count {
	int link; /* ifindex */
	uint64_t in_bytes, in_packets, in_dropped;
	uint64_t out_bytes, out_packets, out_dropped;
};

/* In the order of their indices; the memory is used again by the next reading. */
struct net_counts {
	struct net_count *of;
	size_t n, room;
};

#define NET_COUNTS_INIT ((struct net_counts){.n = 0})
#define _cleanup_net_counts_ _cleanup_(net_counts_done)
void net_counts_done(struct net_counts *c);
/* Reads those of all links of the namespace. After a failure there are none. */
int net_counts_read(struct nl_sock *s, struct net_counts *c, struct err *err);
/* Those of a link; NULL without it. Valid until the next reading. */
const struct net_count *net_counts_find(const struct net_counts *c, int link);

/* One message of the kernel. (nl_visit) */
int net_counts_take(void *counts, const struct nlmsghdr *m, struct err *err);
