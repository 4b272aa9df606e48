/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of links, addresses and routes reaches whom it concerns. The messages are
 * requests of ours: the kernel tells in the same words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netns/watch.h"
#include "tests/unit/netns/batch.h"

struct heard {
	unsigned links, addresses, routes, gone;
	struct net_link link;
	struct net_address address;
	struct net_route route;
};

static void on_link(void *arg, const struct net_link *l, bool is_gone)
{
	struct heard *h = arg;

	h->links++;
	h->gone += is_gone;
	h->link = *l;
}

static void on_address(void *arg, const struct net_address *a, bool is_gone)
{
	struct heard *h = arg;

	h->addresses++;
	h->gone += is_gone;
	h->address = *a;
}

static void on_route_gone(void *arg, const struct net_route *r)
{
	struct heard *h = arg;

	h->routes++;
	h->route = *r;
}

/* Each request of the batch is told as if it were news. */
static struct heard hear(struct nl_batch *b)
{
	struct heard h = {.links = 0};
	const struct net_watch w = {
		.arg = &h, .link = on_link, .address = on_address, .route_gone = on_route_gone};
	struct nl_sock nowhere = NL_SOCK_INIT;

	/* They have their length now. */
	assert_int_equal(nl_batch_run(&nowhere, b, NULL), -EBADF);
	for (size_t k = 0; k < nl_batch_size(b); k++)
		net_watch_take(&w, message(b, k));
	return h;
}

static struct addr addr_of(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, &a), 0);
	return a;
}

static void links(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	_cleanup_nl_batch_ struct nl_batch *gone = nl_batch_new();
	const struct ifinfomsg port = {.ifi_family = AF_BRIDGE, .ifi_index = 8};
	struct heard h;

	(void)state;
	net_link_up(b, 7, "up0");
	nl_batch_add(b, RTM_NEWLINK, 0, &port, sizeof(port), "tell of a bridge's port");
	h = hear(b);
	assert_int_equal(h.links, 1);
	assert_int_equal(h.gone, 0);
	assert_int_equal(h.link.index, 7);
	assert_true(h.link.is_up);
	net_link_delete(gone, 7, "up0");
	h = hear(gone);
	assert_int_equal(h.gone, 1);
	assert_int_equal(h.link.index, 7);
	assert_false(h.link.is_up);
}

static void addresses(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct net_address a = {.link = 7, .a = addr_of("192.0.2.1/24")};
	const struct net_address a6 = {.link = 7, .a = addr_of("2001:db8::1/64")};
	struct heard h;

	(void)state;
	net_address_add(b, 0, &a);
	net_address_delete(b, &a6);
	h = hear(b);
	assert_int_equal(h.addresses, 2);
	assert_int_equal(h.gone, 1);
	assert_int_equal(h.address.link, 7);
	assert_true(addr_equal(&h.address.a, &a6.a));
}

static void routes(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct net_route r = {.link = 9, .to = addr_of("198.51.100.5"), .protocol = 211};
	struct net_route elsewhere = r;
	struct heard h;

	(void)state;
	elsewhere.table = 1000;
	net_route_add(b, 0, &r);
	h = hear(b);
	assert_int_equal(h.routes, 0);
	net_route_delete(b, &r);
	h = hear(b);
	assert_int_equal(h.routes, 1);
	assert_int_equal(h.route.protocol, 211);
	assert_true(addr_equal(&h.route.to, &r.to));
	net_route_delete(b, &elsewhere);
	assert_int_equal(hear(b).routes, 1);
	assert_int_equal(h.links + h.addresses, 0);
}

static void others(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct addr a = addr_of("192.0.2.7");
	const uint8_t mac[NET_MAC] = {2};
	const struct rtmsg cut = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN};
	struct heard h;

	(void)state;
	net_neighbour_add(b, 0, 7, &a, mac);
	/* Too short to be one. */
	nl_batch_add(b, RTM_DELROUTE, 0, &cut, sizeof(cut) / 2, "cut");
	nl_batch_add(b, RTM_DELADDR, 0, &cut, 4, "cut");
	nl_batch_add(b, RTM_NEWLINK, 0, &cut, 4, "cut");
	h = hear(b);
	assert_int_equal(h.links + h.addresses + h.routes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(addresses),
		cmocka_unit_test(routes),
		cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
