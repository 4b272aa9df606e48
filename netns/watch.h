/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells by itself: links that come, go up or down and go, addresses that the host
 * gets and loses, routes that go. */
#pragma once

#include <stdbool.h>

#include "netns/address.h"
#include "netns/link.h"
#include "netns/netlink.h"

/* Opens a socket that hears of the caller's network namespace from now on; to be waited for with
 * poll(2). (RTNLGRP_LINK ..., rtnetlink(7)) */
int net_watch_open(struct nl_sock *ret, struct err *err);

struct net_watch {
	void *arg;
	/* As it is now; of one that is gone index and name. */
	void (*link)(void *arg, const struct net_link *l, bool is_gone);
	void (*address)(void *arg, const struct net_address *a, bool is_gone);
	/* Of the main table. What goes with its link is not told. */
	void (*route_gone)(void *arg, const struct net_route *r);
};

/* Reads what there is, without waiting; of very much only a part. 1 = the kernel had no room for
 * some of it: what matters is to be looked up. */
int net_watch_read(struct nl_sock *s, const struct net_watch *w, struct err *err);
/* One message. */
void net_watch_take(const struct net_watch *w, const struct nlmsghdr *m);
