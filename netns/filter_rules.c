/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firewalls: the rules of one interface are a chain of its own, which bears its name. What the
 * kernel evaluates is made here of what the rules say. (nf_tables; libnftnl shows the same)
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "netns/filter_plan.h"

/* Offsets in the headers of packets. */
#define SOURCE4 12u
#define SOURCE6 8u
#define DESTINATION_PORT 2u

bool filter_has_rules(const struct net_filter_nic *nic)
{
	return nic->n_rules > 0 || (nic->flags & NET_NIC_CLOSED);
}

static bool is_same(const struct net_filter_rule *a, const struct net_filter_rule *b)
{
	return a->is_allowed == b->is_allowed && a->protocol == b->protocol &&
	       a->first == b->first && a->last == b->last && addr_equal(&a->from, &b->from);
}

bool filter_rules_same(const struct net_filter_nic *a, const struct net_filter_nic *b)
{
	if (a->n_rules != b->n_rules || ((a->flags ^ b->flags) & NET_NIC_CLOSED))
		return false;
	for (size_t i = 0; i < a->n_rules; i++)
		if (!is_same(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

static int check_rule(const struct net_filter_rule *q, struct err *err)
{
	bool has_ports = q->first || q->last;
	char text[ADDR_TEXT];

	if (q->protocol && q->protocol != IPPROTO_TCP && q->protocol != IPPROTO_UDP &&
	    q->protocol != IPPROTO_ICMP)
		return err_set(err, EINVAL, "no rule is about protocol %u", q->protocol);
	if (has_ports && q->protocol != IPPROTO_TCP && q->protocol != IPPROTO_UDP)
		return err_set(err, EINVAL, "protocol %u has no ports", q->protocol);
	if (has_ports && (q->first == 0 || q->last < q->first))
		return err_set(err, EINVAL, "ports %u to %u are no range within 1 to 65535",
			       q->first, q->last);
	if (q->from.family == 0)
		return 0;
	if (q->from.family == AF_INET || q->from.family == AF_INET6) {
		if (addr_is_network(&q->from))
			return 0;
		addr_format(text, &q->from);
		return err_set(err, EINVAL, "'%s' is no network", text);
	}
	return err_set(err, EINVAL, "a network has no family");
}

int filter_rules_check(const struct net_filter_nic *nic, struct err *err)
{
	int r = 0;

	if (nic->n_rules > NET_FILTER_RULES_MAX)
		return err_set(err, E2BIG, "'%s' has %zu rules; %u are taken", nic->name,
			       nic->n_rules, NET_FILTER_RULES_MAX);
	for (size_t i = 0; r == 0 && i < nic->n_rules; i++)
		r = check_rule(&nic->rules[i], err);
	return r;
}

/* --- expressions ----------------------------------------------------------------------------- */

struct expression {
	size_t element, data; /* nests */
};

static struct expression begin(struct nl_batch *b, const char *name)
{
	struct expression x = {.element = nl_nest_start(b, NFTA_LIST_ELEM)};

	nl_put_string(b, NFTA_EXPR_NAME, name);
	x.data = nl_nest_start(b, NFTA_EXPR_DATA);
	return x;
}

static void end(struct nl_batch *b, struct expression x)
{
	nl_nest_end(b, x.data);
	nl_nest_end(b, x.element);
}

static void load_meta(struct nl_batch *b, uint32_t key)
{
	struct expression x = begin(b, "meta");

	filter_put_be32(b, NFTA_META_KEY, key);
	filter_put_be32(b, NFTA_META_DREG, NFT_REG_1);
	end(b, x);
}

static void load_packet(struct nl_batch *b, uint32_t base, uint32_t offset, uint32_t len)
{
	struct expression x = begin(b, "payload");

	filter_put_be32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	filter_put_be32(b, NFTA_PAYLOAD_BASE, base);
	filter_put_be32(b, NFTA_PAYLOAD_OFFSET, offset);
	filter_put_be32(b, NFTA_PAYLOAD_LEN, len);
	end(b, x);
}

/* Goes on to the next rule unless what was loaded is this. */
static void want(struct nl_batch *b, const void *value, size_t len)
{
	struct expression x = begin(b, "cmp");

	filter_put_be32(b, NFTA_CMP_SREG, NFT_REG_1);
	filter_put_be32(b, NFTA_CMP_OP, NFT_CMP_EQ);
	filter_put_value(b, NFTA_CMP_DATA, value, len);
	end(b, x);
}

static void want_u8(struct nl_batch *b, uint32_t meta, uint8_t v)
{
	load_meta(b, meta);
	want(b, &v, sizeof(v));
}

static void mask(struct nl_batch *b, const struct addr *net)
{
	static const uint8_t none[16];
	struct expression x = begin(b, "bitwise");
	uint8_t bits[16] = {0};

	for (unsigned i = 0; i < net->prefix; i++)
		bits[i / 8] |= (uint8_t)(0x80u >> i % 8);
	filter_put_be32(b, NFTA_BITWISE_SREG, NFT_REG_1);
	filter_put_be32(b, NFTA_BITWISE_DREG, NFT_REG_1);
	filter_put_be32(b, NFTA_BITWISE_LEN, addr_len(net));
	filter_put_value(b, NFTA_BITWISE_MASK, bits, addr_len(net));
	filter_put_value(b, NFTA_BITWISE_XOR, none, addr_len(net));
	end(b, x);
}

/* The family is known to be that of the packet. */
static void want_source(struct nl_batch *b, const struct addr *net)
{
	load_packet(b, NFT_PAYLOAD_NETWORK_HEADER, net->family == AF_INET ? SOURCE4 : SOURCE6,
		    addr_len(net));
	if (!addr_is_single(net))
		mask(b, net);
	want(b, net->bytes, addr_len(net));
}

static void want_ports(struct nl_batch *b, const struct net_filter_rule *q)
{
	const uint16_t first = htons(q->first), last = htons(q->last);
	struct expression x;

	load_packet(b, NFT_PAYLOAD_TRANSPORT_HEADER, DESTINATION_PORT, sizeof(first));
	if (first == last) {
		want(b, &first, sizeof(first));
		return;
	}
	x = begin(b, "range");
	filter_put_be32(b, NFTA_RANGE_SREG, NFT_REG_1);
	filter_put_be32(b, NFTA_RANGE_OP, NFT_RANGE_EQ);
	filter_put_value(b, NFTA_RANGE_FROM_DATA, &first, sizeof(first));
	filter_put_value(b, NFTA_RANGE_TO_DATA, &last, sizeof(last));
	end(b, x);
}

static void decide(struct nl_batch *b, bool is_allowed)
{
	struct expression x = begin(b, "immediate");
	size_t data, verdict;

	filter_put_be32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nl_nest_start(b, NFTA_IMMEDIATE_DATA);
	verdict = nl_nest_start(b, NFTA_DATA_VERDICT);
	filter_put_be32(b, NFTA_VERDICT_CODE, is_allowed ? NF_ACCEPT : NF_DROP);
	nl_nest_end(b, verdict);
	nl_nest_end(b, data);
	end(b, x);
}

/* --- chains ---------------------------------------------------------------------------------- */

/* One rule of the kernel's; 'family' 0 = both. */
static void add_rule(struct nl_batch *b, const char *table, const struct net_filter_nic *nic,
		     const struct net_filter_rule *q, uint8_t family)
{
	const struct nfgenmsg h = filter_header(NFPROTO_INET);
	uint8_t protocol = q->protocol;
	size_t list;

	if (protocol == IPPROTO_ICMP && family == AF_INET6)
		protocol = IPPROTO_ICMPV6;
	nl_batch_add(b, filter_type(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND, &h, sizeof(h),
		     "add the firewall's rules to the packet filter");
	nl_batch_silent(b);
	nl_put_string(b, NFTA_RULE_TABLE, table);
	nl_put_string(b, NFTA_RULE_CHAIN, nic->name);
	list = nl_nest_start(b, NFTA_RULE_EXPRESSIONS);
	if (family)
		want_u8(b, NFT_META_NFPROTO, family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
	if (q->from.prefix > 0)
		want_source(b, &q->from);
	if (protocol)
		want_u8(b, NFT_META_L4PROTO, protocol);
	if (q->first)
		want_ports(b, q);
	decide(b, q->is_allowed);
	nl_nest_end(b, list);
}

/* A family has its own ICMP, so a rule about it is two. */
static void add_rules_of(struct nl_batch *b, const char *table, const struct net_filter_nic *nic,
			 const struct net_filter_rule *q)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	if (q->protocol != IPPROTO_ICMP) {
		add_rule(b, table, nic, q, q->from.family);
		return;
	}
	for (size_t i = 0; i < sizeof(families); i++)
		if (q->from.family == 0 || q->from.family == families[i])
			add_rule(b, table, nic, q, families[i]);
}

static void add_chain(struct nl_batch *b, const char *table, const struct net_filter_nic *nic,
		      bool is_new)
{
	const struct nfgenmsg h = filter_header(NFPROTO_INET);

	nl_batch_add(b, filter_type(is_new ? NFT_MSG_NEWCHAIN : NFT_MSG_DELCHAIN),
		     is_new ? NLM_F_CREATE | NLM_F_EXCL : 0, &h, sizeof(h),
		     "%s the firewall %s the packet filter", is_new ? "add" : "remove",
		     is_new ? "to" : "from");
	nl_put_string(b, NFTA_CHAIN_TABLE, table);
	nl_put_string(b, NFTA_CHAIN_NAME, nic->name);
}

void filter_chain_add(struct nl_batch *b, const char *table, const struct net_filter_nic *nic)
{
	static const struct net_filter_rule rest = {.is_allowed = false};

	add_chain(b, table, nic, true);
	for (size_t i = 0; i < nic->n_rules; i++)
		add_rules_of(b, table, nic, &nic->rules[i]);
	if (nic->flags & NET_NIC_CLOSED)
		add_rule(b, table, nic, &rest, 0);
}

/* With its rules. */
void filter_chain_remove(struct nl_batch *b, const char *table, const struct net_filter_nic *nic)
{
	add_chain(b, table, nic, false);
}
