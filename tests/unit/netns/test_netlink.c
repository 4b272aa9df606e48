/* SPDX-License-Identifier: Apache-2.0 */
/* What is built is taken apart again with libmnl; what can be asked without privileges is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "netns/netlink.h"
#include "tests/unit/netns/batch.h"

static const struct ifinfomsg loopback = {.ifi_family = AF_UNSPEC, .ifi_index = 1};

static void built(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct nlattr *a, *inner;
	const struct nlmsghdr *m;
	size_t nest, deeper;

	(void)state;
	nl_batch_add(b, RTM_NEWLINK, NLM_F_CREATE, &loopback, sizeof(loopback), "make '%s'", "x");
	nl_put_string(b, IFLA_IFNAME, "abc");
	nest = nl_nest_start(b, IFLA_LINKINFO);
	nl_put_u8(b, 1, 7);
	deeper = nl_nest_start(b, 2);
	nl_put_raw(b, &loopback, sizeof(loopback));
	nl_put_u64(b, 3, 1ull << 40);
	nl_nest_end(b, deeper);
	nl_nest_end(b, nest);
	nl_put_u16(b, IFLA_LINK, 513);
	nl_batch_add(b, RTM_DELLINK, 0, &loopback, sizeof(loopback), "forget it");
	nl_put_u32(b, IFLA_MTU, 1500);
	assert_int_equal(nl_batch_size(b), 2);

	/* Lengths are known once the next one begins. */
	m = message(b, 0);
	assert_int_equal(m->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(m->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
	assert_memory_equal(mnl_nlmsg_get_payload(m), &loopback, sizeof(loopback));
	a = mnl_nlmsg_get_payload_offset(m, sizeof(loopback));
	assert_int_equal(mnl_attr_get_type(a), IFLA_IFNAME);
	assert_string_equal(mnl_attr_get_str(a), "abc");
	a = mnl_attr_next(a);
	assert_int_equal(mnl_attr_get_type(a), IFLA_LINKINFO);
	assert_int_equal(a->nla_type & NLA_F_NESTED, NLA_F_NESTED);
	inner = mnl_attr_get_payload(a);
	assert_int_equal(mnl_attr_get_u8(inner), 7);
	inner = mnl_attr_next(inner);
	assert_int_equal(mnl_attr_get_payload_len(inner), sizeof(loopback) + 12);
	assert_memory_equal(mnl_attr_get_payload(inner), &loopback, sizeof(loopback));
	a = mnl_attr_next(a);
	assert_int_equal(mnl_attr_get_u16(a), 513);
	assert_ptr_equal(mnl_attr_next(a), mnl_nlmsg_get_payload_tail(m));
}

static void silent(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	(void)state;
	nl_batch_add(b, 16, 0, &loopback, sizeof(loopback), "begin");
	nl_batch_silent(b);
	nl_batch_add(b, 17, 0, &loopback, sizeof(loopback), "end");
	assert_int_equal(message(b, 0)->nlmsg_flags, NLM_F_REQUEST);
}

/* What does not fit is an error of the run, and nothing is sent. */
static void too_long(void **state)
{
	static char big[70000];
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new(), *many = nl_batch_new(),
					   *deep = nl_batch_new();
	struct err err = ERR_INIT;
	size_t nest;

	(void)state;
	nl_batch_add(b, RTM_NEWLINK, 0, &loopback, sizeof(loopback), "one");
	nl_put(b, IFLA_IFNAME, big, sizeof(big));
	nl_put_u8(b, IFLA_MTU, 1);
	assert_int_equal(nl_batch_run(&s, b, &err), -EMSGSIZE);
	for (size_t i = 0; i < 40; i++) {
		nl_batch_add(many, RTM_NEWLINK, 0, &loopback, sizeof(loopback), "one");
		nl_put(many, IFLA_IFNAME, big, 60000);
	}
	assert_int_equal(nl_batch_run(&s, many, &err), -EMSGSIZE);
	nl_batch_add(deep, RTM_NEWLINK, 0, &loopback, sizeof(loopback), "one");
	nest = nl_nest_start(deep, IFLA_LINKINFO);
	nl_put(deep, 1, big, 40000);
	nl_put(deep, 2, big, 40000);
	nl_nest_end(deep, nest);
	assert_int_equal(nl_batch_run(&s, deep, &err), -EMSGSIZE);
	assert_int_equal(nl_batch_run(&s, NULL, &err), -ENOMEM);
	/* Attributes of no request go nowhere. */
	nl_put_u8(NULL, 1, 1);
	nl_nest_end(NULL, nl_nest_start(NULL, 1));
}

struct names {
	unsigned n, restarts;
	bool has_lo;
	int stop;
};

static int take_name(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct names *n = arg;
	struct nlattr *a;

	n->n++;
	nl_attr_for_each (a, m, sizeof(struct ifinfomsg))
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			n->has_lo |= strcmp(mnl_attr_get_str(a), "lo") == 0;
	return n->stop ? err_set(err, n->stop, "enough") : 0;
}

static void dumped(void **state)
{
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	const struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
	struct names n = {.n = 0};
	struct err err = ERR_INIT;

	(void)state;
	/* The rooms of the socket need CAP_NET_ADMIN. */
	if (nl_sock_open(NETLINK_ROUTE, &s, &err) < 0) {
		assert_int_equal(err.code, EPERM);
		skip();
	}
	assert_int_equal(nl_dump(&s, RTM_GETLINK, &all, sizeof(all), take_name, NULL, &n,
				 "list links", &err),
			 0);
	assert_true(n.n >= 1 && n.has_lo);
	n.stop = ECANCELED;
	n.n = 0;
	assert_int_equal(nl_dump(&s, RTM_GETLINK, &all, sizeof(all), take_name, NULL, &n,
				 "list links", &err),
			 -ECANCELED);
	assert_int_equal(n.n, 1);
	/* What was left of the one that was given up is not taken for the next one's. */
	n = (struct names){.n = 0};
	assert_int_equal(nl_dump(&s, RTM_GETLINK, &all, sizeof(all), take_name, NULL, &n,
				 "list links", &err),
			 0);
	assert_true(n.has_lo);
	assert_int_equal(nl_dump(&s, 9999, &all, sizeof(all), take_name, NULL, &n, "list x", &err),
			 -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "cannot list x"));
}

static void got(void **state)
{
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	const struct ifinfomsg none = {.ifi_family = AF_UNSPEC, .ifi_index = 0x7ffffff0};
	struct names n = {.n = 0};
	struct err err = ERR_INIT;

	(void)state;
	if (nl_sock_open(NETLINK_ROUTE, &s, &err) < 0)
		skip();
	assert_int_equal(nl_get(&s, RTM_GETLINK, &loopback, sizeof(loopback), take_name, &n,
				"look at lo", &err),
			 0);
	assert_int_equal(n.n, 1);
	assert_true(n.has_lo);
	assert_int_equal(
		nl_get(&s, RTM_GETLINK, &none, sizeof(none), take_name, &n, "look at it", &err),
		-ENODEV);
	assert_non_null(strstr(err.msg, "cannot look at it"));
	assert_int_equal(n.n, 1);
	/* The acknowledgement was read, too. */
	n.stop = ECANCELED;
	err = ERR_INIT;
	assert_int_equal(nl_get(&s, RTM_GETLINK, &loopback, sizeof(loopback), take_name, &n,
				"look at lo", &err),
			 -ECANCELED);
	n.stop = 0;
	assert_int_equal(nl_get(&s, RTM_GETLINK, &loopback, sizeof(loopback), take_name, &n,
				"look at lo", &err),
			 0);
	assert_int_equal(n.n, 3);
}

static void answered(void **state)
{
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct ifinfomsg none = {.ifi_family = AF_UNSPEC, .ifi_index = 0x7ffffff0};
	struct err err = ERR_INIT;

	(void)state;
	if (nl_sock_open(NETLINK_ROUTE, &s, &err) < 0)
		skip();
	nl_batch_add(b, RTM_DELLINK, 0, &none, sizeof(none), "delete '%s'", "first");
	nl_batch_tolerate(b, ENODEV);
	assert_int_equal(nl_batch_run(&s, b, &err), 0);
	nl_batch_add(b, RTM_DELLINK, 0, &none, sizeof(none), "delete '%s'", "second");
	nl_batch_add(b, RTM_DELLINK, 0, &none, sizeof(none), "delete '%s'", "third");
	assert_int_equal(nl_batch_run(&s, b, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "cannot delete 'second'"));
	/* All answers were read: the next one's are its own. */
	err = ERR_INIT;
	assert_int_equal(nl_batch_run(&s, b, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "'second'"));
}

static int take_index(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct ifinfomsg *h = mnl_nlmsg_get_payload(m);

	if (h->ifi_index == 1)
		++*(int *)arg;
	return *(int *)arg > 1 ? err_set(err, ECANCELED, "twice") : 0;
}

/* Objects come beside acknowledgements; the errors of both are told. */
static void asked(void **state)
{
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new(), *none = nl_batch_new();
	const struct ifinfomsg missing = {.ifi_family = AF_UNSPEC, .ifi_index = 0x7ffffff0};
	struct err err = ERR_INIT;
	int found = 0;

	(void)state;
	if (nl_sock_open(NETLINK_ROUTE, &s, &err) < 0)
		skip();
	nl_batch_add(b, RTM_GETLINK, 0, &loopback, sizeof(loopback), "look");
	assert_int_equal(nl_batch_ask(&s, b, take_index, &found, &err), 0);
	assert_int_equal(found, 1);
	assert_int_equal(nl_batch_ask(&s, b, take_index, &found, &err), -ECANCELED);
	nl_batch_add(none, RTM_GETLINK, 0, &missing, sizeof(missing), "look up %d", 7);
	found = 0;
	assert_int_equal(nl_batch_ask(&s, none, take_index, &found, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "cannot look up 7"));
	assert_int_equal(found, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built),  cmocka_unit_test(silent),   cmocka_unit_test(too_long),
		cmocka_unit_test(dumped), cmocka_unit_test(answered), cmocka_unit_test(asked),
		cmocka_unit_test(got),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
