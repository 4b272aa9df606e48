/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as the kernel tells them, in any order, and those of the kernel itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netns/counters.h"

static void tell(struct net_counts *c, uint32_t link, size_t cut)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct if_stats_msg h = {.ifindex = link};
	const struct rtnl_link_stats64 stats = {.rx_bytes = link * 10ull,
						.rx_packets = 1,
						.rx_dropped = 2,
						.tx_bytes = link * 20ull + (1ull << 40),
						.tx_packets = 3,
						.tx_dropped = 4};
	struct nl_sock nowhere = NL_SOCK_INIT;
	size_t len;

	nl_batch_add(b, RTM_NEWSTATS, 0, &h, sizeof(h), "tell");
	nl_put_u32(b, IFLA_STATS_LINK_XSTATS, 4711);
	nl_put(b, IFLA_STATS_LINK_64, &stats, sizeof(stats) - cut);
	/* It has its length now. */
	assert_int_equal(nl_batch_run(&nowhere, b, NULL), -EBADF);
	assert_int_equal(net_counts_take(c, nl_batch_data(b, &len), NULL), 0);
}

static void told(void **state)
{
	_cleanup_net_counts_ struct net_counts c = NET_COUNTS_INIT;
	const struct nlmsghdr other = {.nlmsg_len = sizeof(other), .nlmsg_type = RTM_NEWSTATS};

	(void)state;
	assert_null(net_counts_find(&c, 7));
	assert_int_equal(net_counts_take(&c, &other, NULL), 0);
	tell(&c, 7, 160);
	assert_int_equal(c.n, 0);
	/* A kernel that has fewer fields behind those. */
	for (uint32_t k = 1; k <= 200; k++)
		tell(&c, k, 8);
	assert_int_equal(c.n, 200);
	assert_int_equal(net_counts_find(&c, 150)->out_bytes, 1500);
	assert_int_equal(net_counts_find(&c, 150)->in_bytes, 3000 + (1ull << 40));
	assert_int_equal(net_counts_find(&c, 150)->out_packets, 1);
	assert_int_equal(net_counts_find(&c, 150)->out_dropped, 2);
	assert_int_equal(net_counts_find(&c, 150)->in_packets, 3);
	assert_int_equal(net_counts_find(&c, 150)->in_dropped, 4);
	assert_null(net_counts_find(&c, 201));
}

static void read_twice(void **state)
{
	_cleanup_net_counts_ struct net_counts c = NET_COUNTS_INIT;
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	struct err err = ERR_INIT;
	size_t first;

	(void)state;
	/* The rooms of the socket need CAP_NET_ADMIN. */
	if (nl_sock_open(NETLINK_ROUTE, &s, &err) < 0)
		skip();
	assert_int_equal(net_counts_read(&s, &c, &err), 0);
	assert_non_null(net_counts_find(&c, 1));
	first = c.n;
	assert_int_equal(net_counts_read(&s, &c, &err), 0);
	assert_int_equal(c.n, first);
	for (size_t i = 1; i < c.n; i++)
		assert_true(c.of[i - 1].link < c.of[i].link);
	nl_sock_done(&s);
	assert_int_equal(net_counts_read(&s, &c, &err), -EBADF);
	assert_int_equal(c.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told),
		cmocka_unit_test(read_twice),
	};

	return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
