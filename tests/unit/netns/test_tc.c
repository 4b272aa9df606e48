/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of traffic control are taken apart again, and read as the kernel would tell them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

#include "netns/shape.h"
#include "netns/tc.h"
#include "tests/unit/netns/batch.h"

#define LINK 77

/* The last message of a batch has its length once the batch is sent: it goes to nobody here. */
static void finish(struct nl_batch *b)
{
	struct nl_sock nowhere = NL_SOCK_INIT;

	assert_int_equal(nl_batch_run(&nowhere, b, NULL), -EBADF);
}

static const struct nlattr *within(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	nl_attr_for_each_nested (a, nest)
		if (mnl_attr_get_type(a) == type)
			return a;
	fail_msg("no attribute %u", type);
	return NULL;
}

static const struct nlattr *top(const struct nlmsghdr *m, uint16_t type)
{
	const struct nlattr *a;

	nl_attr_for_each (a, m, sizeof(struct tcmsg))
		if (mnl_attr_get_type(a) == type)
			return a;
	fail_msg("no attribute %u", type);
	return NULL;
}

static void is_about(const struct nlmsghdr *m, uint16_t type, uint16_t flags, uint32_t parent,
		     const char *kind)
{
	const struct tcmsg *h = mnl_nlmsg_get_payload(m);

	assert_int_equal(m->nlmsg_type, type);
	assert_int_equal(m->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | flags);
	assert_int_equal(h->tcm_ifindex, LINK);
	assert_int_equal(h->tcm_parent, parent);
	if (kind)
		assert_string_equal(mnl_attr_get_str(top(m, TCA_KIND)), kind);
}

/* Every rate gets sizes that the kernel takes, and with which no packet of the MTU is dropped. */
static void sizes(void **state)
{
	static const struct {
		uint64_t bits;
		uint32_t mtu, burst, packets, memory, target;
	} rows[] = {
		{NET_RATE_MIN, 1500, 3044, 1000, 1 << 20, 2283000},
		{1000000, 1500, 3044, 1000, 1 << 20, 18264},
		{10000000, 1500, 12500, 1000, 1 << 20, 5000},
		{10000000, 9000, 18044, 1000, 1 << 20, 10826},
		{100000000, 1500, 125000, 1000, 2500000, 5000},
		{1000000000, 1500, 262144, 4106, 25000000, 5000},
		{10000000000, 1500, 2500000, 10240, 32 << 20, 5000},
		{NET_RATE_MAX, 1500, 25000000, 10240, 32 << 20, 5000},
		{NET_RATE_MAX, 65535, 25000000, 9533, 32 << 20, 5000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct tc_sizes t = tc_sizes(rows[i].bits, rows[i].mtu);

		assert_int_equal(t.rate, rows[i].bits / 8);
		assert_int_equal(t.burst, rows[i].burst);
		assert_int_equal(t.packets, rows[i].packets);
		assert_int_equal(t.memory, rows[i].memory);
		assert_int_equal(t.target, rows[i].target);
		assert_true(t.interval >= 100000 && t.interval > t.target);
	}
	/* Nothing divides by a rate of none. */
	assert_int_equal(tc_sizes(0, 1500).target, 10000000);
}

static void shaper(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct tc_sizes t = tc_sizes(NET_RATE_MAX, 1500);
	struct tc_state read = TC_STATE_INIT;
	const struct nlattr *options;
	const struct tcmsg *root, *class;
	struct tc_htb_glob glob;
	struct tc_htb_opt opt;

	(void)state;
	tc_add_shaper(b, LINK);
	tc_add_rate(b, LINK, &t);
	tc_del_shaper(b, LINK);
	finish(b);
	is_about(message(b, 0), RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, TC_H_ROOT, "htb");
	root = mnl_nlmsg_get_payload(message(b, 0));
	memcpy(&glob, mnl_attr_get_payload(within(top(message(b, 0), TCA_OPTIONS), TCA_HTB_INIT)),
	       sizeof(glob));
	assert_int_equal(glob.version, 3);
	/* Made where there is none, changed where it is; every packet is of it. */
	is_about(message(b, 1), RTM_NEWTCLASS, NLM_F_CREATE, root->tcm_handle, "htb");
	class = mnl_nlmsg_get_payload(message(b, 1));
	assert_int_equal(class->tcm_handle, root->tcm_handle | glob.defcls);
	options = top(message(b, 1), TCA_OPTIONS);
	memcpy(&opt, mnl_attr_get_payload(within(options, TCA_HTB_PARMS)), sizeof(opt));
	assert_int_equal(opt.rate.rate, UINT32_MAX);
	assert_int_equal(opt.ceil.rate, UINT32_MAX);
	assert_int_equal(opt.rate.linklayer, TC_LINKLAYER_ETHERNET);
	assert_int_equal(opt.ceil.linklayer, TC_LINKLAYER_ETHERNET);
	assert_int_equal(opt.buffer, 2000000 / 64); /* 2 ms */
	assert_int_equal(opt.cbuffer, opt.buffer);
	assert_int_equal(mnl_attr_get_u64(within(options, TCA_HTB_RATE64)), 12500000000);
	assert_int_equal(mnl_attr_get_u64(within(options, TCA_HTB_CEIL64)), 12500000000);
	/* It is told in the same form. */
	assert_int_equal(tc_take_rate(&read, message(b, 1), NULL), 0);
	assert_int_equal(read.rate, 12500000000);
	/* Whatever the root is, it goes. */
	is_about(message(b, 2), RTM_DELQDISC, 0, TC_H_ROOT, NULL);
	assert_int_equal(((const struct tcmsg *)mnl_nlmsg_get_payload(message(b, 2)))->tcm_handle,
			 0);
}

/* As the kernel says a rate of less than 2^32 bytes per second, and what it dropped. */
static void told(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct tcmsg h = {.tcm_family = AF_UNSPEC, .tcm_ifindex = LINK};
	const struct tc_htb_opt opt = {.rate = {.rate = 4711}, .ceil = {.rate = 1250000}};
	const struct gnet_stats_queue queue = {.drops = 7};
	struct tc_state read = TC_STATE_INIT;
	size_t nest;

	(void)state;
	nl_batch_add(b, RTM_NEWTCLASS, 0, &h, sizeof(h), "1");
	nl_put_string(b, TCA_KIND, "htb");
	nest = nl_nest_start(b, TCA_OPTIONS);
	nl_put(b, TCA_HTB_PARMS, &opt, sizeof(opt));
	nl_nest_end(b, nest);
	nest = nl_nest_start(b, TCA_STATS2);
	nl_put(b, TCA_STATS_QUEUE, &queue, sizeof(queue));
	nl_nest_end(b, nest);
	/* Others are no limit of ours, nor is one that is cut short. */
	nl_batch_add(b, RTM_NEWTCLASS, 0, &h, sizeof(h), "2");
	nl_put_string(b, TCA_KIND, "tbf");
	nl_batch_add(b, RTM_NEWTCLASS, 0, &h, sizeof(h), "3");
	nl_put_string(b, TCA_KIND, "htb");
	nest = nl_nest_start(b, TCA_OPTIONS);
	nl_put(b, TCA_HTB_PARMS, &opt, 8);
	nl_nest_end(b, nest);
	nl_batch_add(b, RTM_NEWTCLASS, 0, &h, sizeof(h), "4");
	finish(b);
	for (size_t k = 1; k < 4; k++) {
		assert_int_equal(tc_take_rate(&read, message(b, k), NULL), 0);
		assert_int_equal(read.rate, 0);
	}
	assert_int_equal(tc_take_rate(&read, message(b, 0), NULL), 0);
	assert_int_equal(read.rate, 1250000);
	assert_int_equal(read.drops, 7);
}

static void fair(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct tc_sizes t = tc_sizes(1000000, 1500);
	struct tc_state read = TC_STATE_INIT;
	const struct nlattr *a, *options;
	uint32_t parent;

	(void)state;
	tc_add_rate(b, LINK, &t);
	tc_add_fair(b, LINK, &t);
	finish(b);
	/* It is in the one class of the shaper. */
	parent = ((const struct tcmsg *)mnl_nlmsg_get_payload(message(b, 0)))->tcm_handle;
	is_about(message(b, 1), RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, parent, "fq_codel");
	is_about(message(b, 2), RTM_NEWQDISC, 0, parent, "fq_codel");
	assert_int_equal(((const struct tcmsg *)mnl_nlmsg_get_payload(message(b, 1)))->tcm_handle,
			 ((const struct tcmsg *)mnl_nlmsg_get_payload(message(b, 2)))->tcm_handle);
	for (size_t k = 1; k < 3; k++) {
		options = top(message(b, k), TCA_OPTIONS);
		assert_int_equal(mnl_attr_get_u32(within(options, TCA_FQ_CODEL_TARGET)), t.target);
		assert_int_equal(mnl_attr_get_u32(within(options, TCA_FQ_CODEL_INTERVAL)),
				 t.interval);
		assert_int_equal(mnl_attr_get_u32(within(options, TCA_FQ_CODEL_LIMIT)), t.packets);
		assert_int_equal(mnl_attr_get_u32(within(options, TCA_FQ_CODEL_MEMORY_LIMIT)),
				 t.memory);
	}
	assert_int_equal(
		mnl_attr_get_u32(within(top(message(b, 1), TCA_OPTIONS), TCA_FQ_CODEL_FLOWS)), 128);
	/* The kernel refuses another number of flows, even the same one. */
	nl_attr_for_each_nested (a, top(message(b, 2), TCA_OPTIONS))
		assert_int_not_equal(mnl_attr_get_type(a), TCA_FQ_CODEL_FLOWS);
	assert_int_equal(tc_take_fair(&read, message(b, 1), NULL), 0);
	assert_true(read.is_fair);
}

static void redirect(void **state)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct nlattr *options, *action;
	const struct tc_u32_sel *sel;
	const struct tcmsg *h;
	struct tc_mirred parms;
	int to = TC_REDIRECT_NONE;

	(void)state;
	tc_add_redirect(b, LINK, 99);
	tc_del_redirect(b, LINK);
	finish(b);
	is_about(message(b, 0), RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, TC_H_INGRESS, "ingress");
	is_about(message(b, 1), RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, 0xffff0000, "u32");
	h = mnl_nlmsg_get_payload(message(b, 1));
	assert_int_equal(TC_H_MIN(h->tcm_info), htons(ETH_P_ALL));
	options = top(message(b, 1), TCA_OPTIONS);
	/* Every packet has it. */
	sel = mnl_attr_get_payload(within(options, TCA_U32_SEL));
	assert_int_equal(mnl_attr_get_payload_len(within(options, TCA_U32_SEL)),
			 sizeof(*sel) + sizeof(sel->keys[0]));
	assert_int_equal(sel->flags, TC_U32_TERMINAL);
	assert_int_equal(sel->nkeys, 1);
	assert_int_equal(sel->keys[0].mask | sel->keys[0].val, 0);
	action = within(within(options, TCA_U32_ACT), 1);
	assert_string_equal(mnl_attr_get_str(within(action, TCA_ACT_KIND)), "mirred");
	memcpy(&parms,
	       mnl_attr_get_payload(within(within(action, TCA_ACT_OPTIONS), TCA_MIRRED_PARMS)),
	       sizeof(parms));
	assert_int_equal(parms.ifindex, 99);
	assert_int_equal(parms.eaction, TCA_EGRESS_REDIR);
	/* Where it cannot be redirected it is not let through. */
	assert_int_equal(parms.action, TC_ACT_STOLEN);
	assert_int_equal(tc_take_redirect(&to, message(b, 0), NULL), 0);
	assert_int_equal(to, TC_REDIRECT_NONE);
	assert_int_equal(tc_take_redirect(&to, message(b, 1), NULL), 0);
	assert_int_equal(to, 99);
	is_about(message(b, 2), RTM_DELQDISC, 0, TC_H_INGRESS, NULL);
	assert_int_equal(((const struct tcmsg *)mnl_nlmsg_get_payload(message(b, 2)))->tcm_handle,
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(shaper),   cmocka_unit_test(told),
		cmocka_unit_test(fair),	 cmocka_unit_test(redirect),
	};

	return cmocka_run_group_tests_name("tc", tests, NULL, NULL);
}
