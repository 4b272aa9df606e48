/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of traffic control. */
#include "netns/tc.h"

#include <arpa/inet.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <string.h>

#include "base/str.h"

/* Handles of ours: unusual ones, as a queue of another kind with the same handle cannot be
 * replaced. */
#define SHAPER TC_H_MAKE(0x76500000u, 0)
#define SHAPER_CLASS TC_H_MAKE(0x76500000u, 1)
#define FAIR TC_H_MAKE(0x76510000u, 0)
#define INGRESS TC_H_MAKE(TC_H_INGRESS, 0)

/* Of a frame around a packet: Ethernet and two VLAN tags. */
#define FRAME (ETH_HLEN + 8u)
#define FAST (256u << 10)
#define FAIR_FLOWS 128u

/* Bytes in so many microseconds. The highest rate for a second is below 2^34. */
static uint64_t bytes_in(uint64_t rate, uint64_t us)
{
	return rate * us / 1000000u;
}

static uint32_t clamp(uint64_t v, uint32_t min, uint32_t max)
{
	return v < min ? min : v > max ? max : (uint32_t)v;
}

/* What a timer misses that is late by 10 ms, on fast links by 2 ms; and never less than two frames.
 */
static uint32_t burst(uint64_t rate, uint64_t frame)
{
	uint64_t slow = bytes_in(rate, 10000), fast = bytes_in(rate, 2000);
	uint64_t v = slow < FAST ? slow : fast > FAST ? fast : FAST;

	return clamp(v, (uint32_t)(2 * frame), 1u << 30);
}

/* CoDel's target is the time of some one and a half frames where those take long, and its interval
 * grows with it: else it would drop from queues that are as short as they can be. */
struct tc_sizes tc_sizes(uint64_t bits, uint32_t mtu)
{
	uint64_t rate = bits / 8, frame = mtu + FRAME, wait = bytes_in(rate, 50000);
	uint32_t target = clamp(frame * 3 / 2 * 1000000u / (rate ? rate : 1), 5000, 10000000);

	return (struct tc_sizes){
		.rate = rate,
		.burst = burst(rate, frame),
		.quantum = clamp(2 * frame, 1000, 200000),
		.packets = clamp(wait / frame, 1000, 10240),
		.memory = clamp(wait * 4, 1u << 20, 32u << 20),
		.target = target,
		.interval = 95000 + target,
	};
}

static struct tcmsg header(int link, uint32_t parent, uint32_t handle)
{
	return (struct tcmsg){
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = link,
		.tcm_parent = parent,
		.tcm_handle = handle,
	};
}

void tc_add_rate(struct nl_batch *b, int link, const struct tc_sizes *t)
{
	const struct tcmsg h = header(link, SHAPER, SHAPER_CLASS);
	/* With this link layer the kernel needs no tables of times. */
	const struct tc_ratespec rate = {.linklayer = TC_LINKLAYER_ETHERNET,
					 .rate = clamp(t->rate, 0, UINT32_MAX)};
	/* In ticks of 64 ns. */
	const uint32_t buffer = clamp(t->burst * 1000000000ull / t->rate / 64, 1, UINT32_MAX);
	const struct tc_htb_opt parms = {.rate = rate,
					 .ceil = rate,
					 .buffer = buffer,
					 .cbuffer = buffer,
					 .quantum = t->quantum};
	size_t options;

	nl_batch_add(b, RTM_NEWTCLASS, NLM_F_CREATE, &h, sizeof(h), "give link %d its rate", link);
	nl_put_string(b, TCA_KIND, "htb");
	options = nl_nest_start(b, TCA_OPTIONS);
	nl_put(b, TCA_HTB_PARMS, &parms, sizeof(parms));
	nl_put_u64(b, TCA_HTB_RATE64, t->rate);
	nl_put_u64(b, TCA_HTB_CEIL64, t->rate);
	nl_nest_end(b, options);
}

void tc_add_shaper(struct nl_batch *b, int link)
{
	const struct tcmsg h = header(link, TC_H_ROOT, SHAPER);
	/* All packets are of its one class. */
	const struct tc_htb_glob glob = {
		.version = 3, .rate2quantum = 10, .defcls = TC_H_MIN(SHAPER_CLASS)};
	size_t options;

	nl_batch_add(b, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &h, sizeof(h),
		     "make the queue of link %d", link);
	nl_put_string(b, TCA_KIND, "htb");
	options = nl_nest_start(b, TCA_OPTIONS);
	nl_put(b, TCA_HTB_INIT, &glob, sizeof(glob));
	nl_nest_end(b, options);
}

static void put_fair(struct nl_batch *b, const struct tc_sizes *t, bool is_new)
{
	size_t options;

	nl_put_string(b, TCA_KIND, "fq_codel");
	options = nl_nest_start(b, TCA_OPTIONS);
	nl_put_u32(b, TCA_FQ_CODEL_TARGET, t->target);
	nl_put_u32(b, TCA_FQ_CODEL_INTERVAL, t->interval);
	nl_put_u32(b, TCA_FQ_CODEL_LIMIT, t->packets);
	nl_put_u32(b, TCA_FQ_CODEL_MEMORY_LIMIT, t->memory);
	nl_put_u32(b, TCA_FQ_CODEL_ECN, 1);
	if (is_new)
		nl_put_u32(b, TCA_FQ_CODEL_FLOWS, FAIR_FLOWS);
	nl_nest_end(b, options);
}

void tc_add_fair(struct nl_batch *b, int link, const struct tc_sizes *t)
{
	const struct tcmsg h = header(link, SHAPER_CLASS, FAIR);

	nl_batch_add(b, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &h, sizeof(h),
		     "give link %d its fair queue", link);
	nl_batch_tolerate(b, EEXIST);
	put_fair(b, t, true);
	/* The number of flows stays as it was at the beginning. */
	nl_batch_add(b, RTM_NEWQDISC, 0, &h, sizeof(h), "change the fair queue of link %d", link);
	put_fair(b, t, false);
}

void tc_del_shaper(struct nl_batch *b, int link)
{
	const struct tcmsg h = header(link, TC_H_ROOT, 0);

	nl_batch_add(b, RTM_DELQDISC, 0, &h, sizeof(h), "take the rate from link %d", link);
	nl_batch_tolerate(b, ENOENT);
}

/* u32 with a key that all packets have; matchall is less common. */
void tc_add_redirect(struct nl_batch *b, int link, int to)
{
	const struct tc_u32_sel one = {.flags = TC_U32_TERMINAL, .nkeys = 1};
	char sel[sizeof(one) + sizeof(struct tc_u32_key)] = {0};
	const struct tc_mirred parms = {
		.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to};
	const struct tcmsg qdisc = header(link, TC_H_INGRESS, INGRESS);
	struct tcmsg filter = header(link, INGRESS, 0);
	size_t options, actions, action, inner;

	memcpy(sel, &one, sizeof(one));
	nl_batch_add(b, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &qdisc, sizeof(qdisc),
		     "look at what comes in by link %d", link);
	nl_batch_tolerate(b, EEXIST);
	nl_put_string(b, TCA_KIND, "ingress");

	filter.tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_ALL));
	nl_batch_add(b, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &filter, sizeof(filter),
		     "redirect what comes in by link %d", link);
	nl_put_string(b, TCA_KIND, "u32");
	options = nl_nest_start(b, TCA_OPTIONS);
	nl_put(b, TCA_U32_SEL, sel, sizeof(sel));
	actions = nl_nest_start(b, TCA_U32_ACT);
	action = nl_nest_start(b, 1);
	nl_put_string(b, TCA_ACT_KIND, "mirred");
	inner = nl_nest_start(b, TCA_ACT_OPTIONS);
	nl_put(b, TCA_MIRRED_PARMS, &parms, sizeof(parms));
	nl_nest_end(b, inner);
	nl_nest_end(b, action);
	nl_nest_end(b, actions);
	nl_nest_end(b, options);
}

void tc_del_redirect(struct nl_batch *b, int link)
{
	/* No handle: one that was there and is gone leaves a place where none is -EINVAL. */
	const struct tcmsg h = header(link, TC_H_INGRESS, 0);

	nl_batch_add(b, RTM_DELQDISC, 0, &h, sizeof(h), "let come in what comes by link %d", link);
	nl_batch_tolerate(b, ENOENT);
}

/* --- reading --------------------------------------------------------------------------------- */

/* An attribute of the type, within a nest, with at least 'len' bytes; NULL without. */
static const struct nlattr *within(const struct nlattr *nest, uint16_t type, size_t len)
{
	const struct nlattr *a;

	if (!nest)
		return NULL;
	nl_attr_for_each_nested (a, nest)
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= len)
			return a;
	return NULL;
}

/* The same of a message of traffic control. */
static const struct nlattr *top(const struct nlmsghdr *m, uint16_t type, size_t len)
{
	const struct nlattr *a;

	nl_attr_for_each (a, m, sizeof(struct tcmsg))
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= len)
			return a;
	return NULL;
}

static bool is_kind(const struct nlattr *kind, const char *name)
{
	return kind && mnl_attr_validate(kind, MNL_TYPE_NUL_STRING) >= 0 &&
	       str_eq(mnl_attr_get_str(kind), name);
}

static uint64_t drops(const struct nlmsghdr *m)
{
	const struct nlattr *stats =
		within(top(m, TCA_STATS2, 0), TCA_STATS_QUEUE, sizeof(struct gnet_stats_queue));
	struct gnet_stats_queue queue = {.drops = 0};

	if (stats)
		memcpy(&queue, mnl_attr_get_payload(stats), sizeof(queue));
	return queue.drops;
}

int tc_take_rate(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct nlattr *options = top(m, TCA_OPTIONS, 0), *parms, *ceil64;
	struct tc_state *state = arg;
	struct tc_htb_opt opt;

	(void)err;
	if (m->nlmsg_type != RTM_NEWTCLASS || !is_kind(top(m, TCA_KIND, 1), "htb"))
		return 0;
	parms = within(options, TCA_HTB_PARMS, sizeof(opt));
	if (!parms)
		return 0;
	memcpy(&opt, mnl_attr_get_payload(parms), sizeof(opt));
	/* The ceiling is what holds. */
	state->rate = opt.ceil.rate;
	ceil64 = within(options, TCA_HTB_CEIL64, sizeof(uint64_t));
	if (ceil64)
		state->rate = mnl_attr_get_u64(ceil64);
	state->drops = drops(m);
	return 0;
}

int tc_take_fair(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct tc_state *state = arg;

	(void)err;
	if (m->nlmsg_type != RTM_NEWQDISC)
		return 0;
	state->is_fair = is_kind(top(m, TCA_KIND, 1), "fq_codel");
	/* What it drops later than at once is in its own count only. */
	state->drops = drops(m);
	return 0;
}

int tc_read_shaper(struct nl_sock *s, int link, struct tc_state *ret, struct err *err)
{
	const struct tcmsg class = header(link, TC_H_UNSPEC, SHAPER_CLASS);
	const struct tcmsg leaf = header(link, SHAPER_CLASS, 0);
	struct tc_state state = TC_STATE_INIT;
	struct err why = ERR_INIT;
	int r;

	r = nl_get(s, RTM_GETTCLASS, &class, sizeof(class), tc_take_rate, &state, "read a rate",
		   &why);
	if (r >= 0 && state.rate > 0)
		r = nl_get(s, RTM_GETQDISC, &leaf, sizeof(leaf), tc_take_fair, &state,
			   "read a fair queue", &why);
	/* There is no such queue. */
	if (r < 0 && r != -ENOENT) {
		if (err)
			*err = why;
		return r;
	}
	*ret = state;
	return 0;
}

int tc_take_redirect(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct nlattr *actions, *parms;
	struct tc_mirred mirred;
	int *to = arg;

	(void)err;
	if (m->nlmsg_type != RTM_NEWTFILTER || !is_kind(top(m, TCA_KIND, 1), "u32"))
		return 0;
	/* u32 tells of its table first, which does nothing. */
	actions = within(top(m, TCA_OPTIONS, 0), TCA_U32_ACT, 0);
	parms = within(within(within(actions, 1, 0), TCA_ACT_OPTIONS, 0), TCA_MIRRED_PARMS,
		       sizeof(mirred));
	if (!parms)
		return 0;
	memcpy(&mirred, mnl_attr_get_payload(parms), sizeof(mirred));
	if (mirred.eaction == TCA_EGRESS_REDIR)
		*to = (int)mirred.ifindex;
	return 0;
}

static void forget(void *arg)
{
	*(int *)arg = TC_REDIRECT_NONE;
}

int tc_read_redirect(struct nl_sock *s, int link, int *ret_to, struct err *err)
{
	const struct tcmsg h = header(link, INGRESS, 0);
	int to = TC_REDIRECT_NONE;
	int r = nl_dump(s, RTM_GETTFILTER, &h, sizeof(h), tc_take_redirect, forget, &to,
			"read what is redirected", err);

	if (r < 0)
		return r;
	*ret_to = to;
	return 0;
}
