/* SPDX-License-Identifier: Apache-2.0 */
/* The multicast groups of rtnetlink, and what their messages mean. */
#include "netns/watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define ROOM 32768u
#define READS_MAX 64 /* at a time: others want the loop, too */

static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
			     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};

int net_watch_open(struct nl_sock *ret, struct err *err)
{
	struct nl_sock s = NL_SOCK_INIT;
	int r = nl_sock_open(NETLINK_ROUTE, &s, err);

	for (size_t i = 0; r >= 0 && i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(s.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			r = err_sys(err, "cannot watch the host's network");
	if (r < 0) {
		nl_sock_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void net_watch_take(const struct net_watch *w, const struct nlmsghdr *m)
{
	struct net_link l;
	struct net_address a;
	struct net_route r;

	if (net_link_take(m, &l))
		w->link(w->arg, &l, m->nlmsg_type == RTM_DELLINK);
	else if (net_address_take(m, &a))
		w->address(w->arg, &a, m->nlmsg_type == RTM_DELADDR);
	else if (m->nlmsg_type == RTM_DELROUTE && net_route_take(m, &r))
		w->route_gone(w->arg, &r);
}

int net_watch_read(struct nl_sock *s, const struct net_watch *w, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[ROOM];
	bool is_lost = false;

	for (int k = 0; k < READS_MAX; k++) {
		ssize_t n = recv(s->fd, data, sizeof(data), 0);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			is_lost = true;
			continue;
		}
		if (n < 0 && errno == EAGAIN)
			return is_lost;
		if (n < 0)
			return err_sys(err, "cannot hear of the host's network");
		for (const struct nlmsghdr *m = (const struct nlmsghdr *)data;
		     mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left))
			net_watch_take(w, m);
	}
	return is_lost;
}
