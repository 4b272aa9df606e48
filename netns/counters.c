/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of links by RTM_GETSTATS, which tells nothing else and costs a tenth of RTM_GETLINK. */
#include "netns/counters.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* Up to the last field that is used: kernels append to the struct. */
#define STATS_LEN (offsetof(struct rtnl_link_stats64, tx_dropped) + sizeof(uint64_t))

void net_counts_done(struct net_counts *c)
{
	free(c->of);
	*c = NET_COUNTS_INIT;
}

static struct net_count *add(struct net_counts *c)
{
	size_t room = c->room ? c->room * 2 : 64;
	struct net_count *grown;

	if (c->n == c->room) {
		grown = reallocarray(c->of, room, sizeof(*grown));
		if (!grown)
			return NULL;
		c->of = grown;
		c->room = room;
	}
	return &c->of[c->n++];
}

int net_counts_take(void *counts, const struct nlmsghdr *m, struct err *err)
{
	const struct if_stats_msg *h = mnl_nlmsg_get_payload(m);
	struct net_counts *c = counts;
	const struct nlattr *a;

	if (m->nlmsg_type != RTM_NEWSTATS || mnl_nlmsg_get_payload_len(m) < sizeof(*h))
		return 0;
	nl_attr_for_each (a, m, sizeof(*h)) {
		struct rtnl_link_stats64 s;
		struct net_count *k;

		if (mnl_attr_get_type(a) != IFLA_STATS_LINK_64 ||
		    mnl_attr_get_payload_len(a) < STATS_LEN)
			continue;
		k = add(c);
		if (!k)
			return err_set(err, ENOMEM, "cannot read the counters: out of memory");
		memcpy(&s, mnl_attr_get_payload(a), STATS_LEN);
		*k = (struct net_count){
			.link = (int)h->ifindex,
			.in_bytes = s.tx_bytes,
			.in_packets = s.tx_packets,
			.in_dropped = s.tx_dropped,
			.out_bytes = s.rx_bytes,
			.out_packets = s.rx_packets,
			.out_dropped = s.rx_dropped,
		};
	}
	return 0;
}

static void restart(void *arg)
{
	((struct net_counts *)arg)->n = 0;
}

static int compare(const void *a, const void *b)
{
	const struct net_count *x = a, *y = b;

	return x->link < y->link ? -1 : x->link > y->link;
}

int net_counts_read(struct nl_sock *s, struct net_counts *c, struct err *err)
{
	const struct if_stats_msg all = {.family = AF_UNSPEC,
					 .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)};
	int r;

	c->n = 0;
	r = nl_dump(s, RTM_GETSTATS, &all, sizeof(all), net_counts_take, restart, c,
		    "read the counters", err);
	if (r < 0) {
		c->n = 0;
		return r;
	}
	/* Before 6.6 they come in the order of a hash. */
	if (c->n > 1)
		qsort(c->of, c->n, sizeof(*c->of), compare);
	return 0;
}

const struct net_count *net_counts_find(const struct net_counts *c, int link)
{
	const struct net_count key = {.link = link};

	return c->n > 0 ? bsearch(&key, c->of, c->n, sizeof(*c->of), compare) : NULL;
}
