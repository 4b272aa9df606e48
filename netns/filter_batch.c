/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of the packet filter's sets as requests of netlink. */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/str.h"
#include "netns/filter_plan.h"

/* Elements of one request: its list is an attribute, which ends at 64 KiB. */
#define ELEMS_MAX 200u

/* --- requests -------------------------------------------------------------------------------- */

void filter_put_be32(struct nl_batch *b, uint16_t type, uint32_t v)
{
	nl_put_u32(b, type, htonl(v));
}

static void put_be64(struct nl_batch *b, uint16_t type, uint64_t v)
{
	nl_put_u64(b, type, htobe64(v));
}

void filter_mark(struct nl_batch *b, uint16_t type)
{
	const struct nfgenmsg h = {.version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};

	nl_batch_add(b, type, 0, &h, sizeof(h), "change the packet filter");
	nl_batch_silent(b);
}

void filter_put_value(struct nl_batch *b, uint16_t type, const void *value, size_t len)
{
	size_t nest = nl_nest_start(b, type);

	nl_put(b, NFTA_DATA_VALUE, value, len);
	nl_nest_end(b, nest);
}

static void put_goto(struct nl_batch *b, const char *chain)
{
	size_t data = nl_nest_start(b, NFTA_SET_ELEM_DATA);
	size_t verdict = nl_nest_start(b, NFTA_DATA_VERDICT);

	filter_put_be32(b, NFTA_VERDICT_CODE, (uint32_t)NFT_GOTO);
	nl_put_string(b, NFTA_VERDICT_CHAIN, chain);
	nl_nest_end(b, verdict);
	nl_nest_end(b, data);
}

static void put_counter(struct nl_batch *b, const struct filter_elem *e)
{
	put_be64(b, NFTA_COUNTER_BYTES, e->a);
	put_be64(b, NFTA_COUNTER_PACKETS, e->b);
}

static void put_rate(struct nl_batch *b, const struct filter_elem *e)
{
	put_be64(b, NFTA_LIMIT_RATE, e->a);
	put_be64(b, NFTA_LIMIT_UNIT, 1);
	filter_put_be32(b, NFTA_LIMIT_BURST, (uint32_t)e->b);
	filter_put_be32(b, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
	filter_put_be32(b, NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
}

static void put_count(struct nl_batch *b, const struct filter_elem *e)
{
	filter_put_be32(b, NFTA_CONNLIMIT_COUNT, (uint32_t)e->a);
	filter_put_be32(b, NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
}

static void put_expression(struct nl_batch *b, const struct filter_elem *e)
{
	static const struct {
		const char *name;
		void (*put)(struct nl_batch *b, const struct filter_elem *e);
	} rows[] = {
		[FILTER_COUNTER] = {"counter", put_counter},
		[FILTER_RATE] = {"limit", put_rate},
		[FILTER_COUNT] = {"connlimit", put_count},
	};
	enum filter_kind kind = filter_sets[e->set].kind;
	size_t expression = nl_nest_start(b, NFTA_SET_ELEM_EXPR), data;

	nl_put_string(b, NFTA_EXPR_NAME, rows[kind].name);
	data = nl_nest_start(b, NFTA_EXPR_DATA);
	rows[kind].put(b, e);
	nl_nest_end(b, data);
	nl_nest_end(b, expression);
}

static void put_elem(struct nl_batch *b, const struct filter_elem *e, bool is_new)
{
	size_t nest = nl_nest_start(b, NFTA_LIST_ELEM);

	filter_put_value(b, NFTA_SET_ELEM_KEY, e->key, e->key_len);
	if (e->is_end)
		filter_put_be32(b, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	if (is_new)
		switch (filter_sets[e->set].kind) {
		case FILTER_RULES:
			put_goto(b, e->nic->name);
			break;
		case FILTER_VALUE:
			filter_put_value(b, NFTA_SET_ELEM_DATA, e->data, e->data_len);
			break;
		case FILTER_COUNTER:
		case FILTER_RATE:
		case FILTER_COUNT:
			put_expression(b, e);
			break;
		case FILTER_PLAIN:
		case FILTER_RANGE:
			break;
		}
	nl_nest_end(b, nest);
}

/* An element in words: what is single begins with an address, or is a protocol and a port. */
static void describe(char *dst, size_t size, const struct filter_elem *e)
{
	struct addr a = ADDR_NONE;
	char text[ADDR_TEXT] = "";
	size_t at = 0;

	dst[0] = '\0';
	if (!filter_sets[e->set].is_single)
		return;
	if (e->key_len % 8 == 4 || e->key_len >= 16) {
		at = e->key_len >= 16 ? 16 : 4;
		a.family = at == 16 ? AF_INET6 : AF_INET;
		a.prefix = (uint8_t)(at * 8);
		memcpy(a.bytes, e->key, at);
		addr_format(text, &a);
	}
	if (e->key_len > at)
		(void)str_fmt(dst, size, " %s %u%s%s", e->key[at] == IPPROTO_UDP ? "udp" : "tcp",
			      e->key[at + 4] << 8 | e->key[at + 5], at ? " of " : "", text);
	else
		(void)str_fmt(dst, size, " '%s'", text);
}

/* Requests about elements of one set: up to 'n' of them; returns how many. */
static size_t add_request(struct nl_batch *b, const char *table, bool is_new,
			  const struct filter_elem *e, size_t n)
{
	const struct filter_set_row *row = &filter_sets[e->set];
	const struct nfgenmsg h = filter_header(row->is_arp ? NFPROTO_ARP : NFPROTO_INET);
	/* What may be there already is no error. */
	uint16_t flags =
		(uint16_t)(NLM_F_CREATE | (e->set == FILTER_ARMED || e->set == FILTER_ARP_ARMED ||
							   row->kind == FILTER_COUNTER
						   ? 0
						   : NLM_F_EXCL));
	size_t list, k = 0;
	char which[80];

	describe(which, sizeof(which), e);
	nl_batch_add(b, filter_type(is_new ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM),
		     is_new ? flags : 0, &h, sizeof(h), "%s %s%s %s the packet filter",
		     is_new ? "add" : "remove", row->what, which, is_new ? "to" : "from");
	nl_put_string(b, NFTA_SET_ELEM_LIST_TABLE, table);
	nl_put_string(b, NFTA_SET_ELEM_LIST_SET, row->name);
	list = nl_nest_start(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	do
		put_elem(b, &e[k++], is_new);
	while (k < n && k < ELEMS_MAX && !row->is_single && e[k].set == e->set);
	nl_nest_end(b, list);
	return k;
}

void filter_requests(struct nl_batch *b, const char *table, bool is_new,
		     const struct filter_plan *p)
{
	for (size_t i = 0; is_new && i < p->n; i++)
		if (p->elems[i].nic)
			filter_chain_add(b, table, p->elems[i].nic);
	for (size_t i = 0; i < p->n;)
		i += add_request(b, table, is_new, &p->elems[i], p->n - i);
	for (size_t i = 0; !is_new && i < p->n; i++)
		if (p->elems[i].nic)
			filter_chain_remove(b, table, p->elems[i].nic);
}
