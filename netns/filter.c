/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter's table: elements in, elements out, counters. */
#include "netns/filter.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "base/str.h"
#include "netns/filter_plan.h"

/* Elements of one request: its list is an attribute, which ends at 64 KiB. */
#define ELEMS_MAX 200u

static uint16_t type_of(unsigned message)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message);
}

static struct nfgenmsg header_of(uint8_t family)
{
	return (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0};
}

/* --- requests -------------------------------------------------------------------------------- */

static void put_be32(struct nl_batch *b, uint16_t type, uint32_t v)
{
	nl_put_u32(b, type, htonl(v));
}

static void put_be64(struct nl_batch *b, uint16_t type, uint64_t v)
{
	nl_put_u64(b, type, htobe64(v));
}

/* What begins and ends a transaction. */
static void mark(struct nl_batch *b, uint16_t type)
{
	const struct nfgenmsg h = {.version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};

	nl_batch_add(b, type, 0, &h, sizeof(h), "change the packet filter");
	nl_batch_silent(b);
}

static void put_value(struct nl_batch *b, uint16_t type, const void *value, size_t len)
{
	size_t nest = nl_nest_start(b, type);

	nl_put(b, NFTA_DATA_VALUE, value, len);
	nl_nest_end(b, nest);
}

static void put_check(struct nl_batch *b)
{
	size_t data = nl_nest_start(b, NFTA_SET_ELEM_DATA);
	size_t verdict = nl_nest_start(b, NFTA_DATA_VERDICT);

	put_be32(b, NFTA_VERDICT_CODE, (uint32_t)NFT_GOTO);
	nl_put_string(b, NFTA_VERDICT_CHAIN, "check");
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
	put_be32(b, NFTA_LIMIT_BURST, (uint32_t)e->b);
	put_be32(b, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
	put_be32(b, NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
}

static void put_count(struct nl_batch *b, const struct filter_elem *e)
{
	put_be32(b, NFTA_CONNLIMIT_COUNT, (uint32_t)e->a);
	put_be32(b, NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
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

	put_value(b, NFTA_SET_ELEM_KEY, e->key, e->key_len);
	if (e->is_end)
		put_be32(b, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	if (is_new)
		switch (filter_sets[e->set].kind) {
		case FILTER_CHECK:
			put_check(b);
			break;
		case FILTER_VALUE:
			put_value(b, NFTA_SET_ELEM_DATA, e->data, e->data_len);
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
static size_t add_request(const struct net_filter *f, struct nl_batch *b, bool is_new,
			  const struct filter_elem *e, size_t n)
{
	const struct filter_set_row *row = &filter_sets[e->set];
	const struct nfgenmsg h = header_of(row->is_arp ? NFPROTO_ARP : NFPROTO_INET);
	/* What may be there already is no error. */
	uint16_t flags = (uint16_t)(NLM_F_CREATE | (e->set == FILTER_ARMED ||
						    e->set == FILTER_ARP_ARMED ?
							    0 : NLM_F_EXCL));
	size_t list, k = 0;
	char which[80];

	describe(which, sizeof(which), e);
	nl_batch_add(b, type_of(is_new ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM),
		     is_new ? flags : 0, &h, sizeof(h), "%s %s%s %s the packet filter",
		     is_new ? "add" : "remove", row->what, which, is_new ? "to" : "from");
	nl_put_string(b, NFTA_SET_ELEM_LIST_TABLE, f->table);
	nl_put_string(b, NFTA_SET_ELEM_LIST_SET, row->name);
	list = nl_nest_start(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	do
		put_elem(b, &e[k++], is_new);
	while (k < n && k < ELEMS_MAX && !row->is_single && e[k].set == e->set);
	nl_nest_end(b, list);
	return k;
}

static void add_requests(const struct net_filter *f, struct nl_batch *b, bool is_new,
			 const struct filter_plan *p)
{
	for (size_t i = 0; i < p->n;)
		i += add_request(f, b, is_new, &p->elems[i], p->n - i);
}

/* What was there goes before what comes, as both may have the same key. */
static int run(struct net_filter *f, const struct filter_plan *gone, const struct filter_plan *come,
	       struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	if (gone->n + come->n == 0)
		return 0;
	mark(b, NFNL_MSG_BATCH_BEGIN);
	add_requests(f, b, false, gone);
	add_requests(f, b, true, come);
	mark(b, NFNL_MSG_BATCH_END);
	return nl_batch_run(&f->sock, b, err);
}

/* --- facts ----------------------------------------------------------------------------------- */

int net_filter_add(struct net_filter *f, const struct net_filter_nic *nics, size_t n,
		   struct err *err)
{
	_cleanup_filter_plan_ struct filter_plan come = FILTER_PLAN_INIT;
	int r = filter_plan_nics(&come, nics, n, err);

	return r < 0 ? r : run(f, &FILTER_PLAN_INIT, &come, err);
}

int net_filter_remove(struct net_filter *f, const struct net_filter_nic *nics, size_t n,
		      struct err *err)
{
	_cleanup_filter_plan_ struct filter_plan gone = FILTER_PLAN_INIT;
	int r = filter_plan_nics(&gone, nics, n, err);

	return r < 0 ? r : run(f, &gone, &FILTER_PLAN_INIT, err);
}

/* Takes out of both what may stay as it is. */
static void drop_common(struct filter_plan *a, struct filter_plan *b)
{
	size_t i = 0, k = 0, n_a = 0, n_b = 0;

	while (i < a->n || k < b->n) {
		int order = i == a->n ? 1
			    : k == b->n ? -1
					: filter_elem_compare(&a->elems[i], &b->elems[k]);

		if (order == 0 && filter_elem_same(&a->elems[i], &b->elems[k])) {
			i++;
			k++;
			continue;
		}
		if (order <= 0)
			a->elems[n_a++] = a->elems[i++];
		if (order >= 0)
			b->elems[n_b++] = b->elems[k++];
	}
	a->n = n_a;
	b->n = n_b;
}

int net_filter_change(struct net_filter *f, const struct net_filter_nic *old, size_t n_old,
		      const struct net_filter_nic *now, size_t n_now, struct err *err)
{
	_cleanup_filter_plan_ struct filter_plan gone = FILTER_PLAN_INIT, come = FILTER_PLAN_INIT;
	int r = filter_plan_nics(&gone, old, n_old, err);

	if (r == 0)
		r = filter_plan_nics(&come, now, n_now, err);
	if (r < 0)
		return r;
	drop_common(&gone, &come);
	return run(f, &gone, &come, err);
}

int net_filter_set_host(struct net_filter *f, const struct net_filter_host *h, struct err *err)
{
	static const enum filter_set sets[] = {FILTER_NAT4, FILTER_NAT6, FILTER_SERVICES};
	_cleanup_filter_plan_ struct filter_plan come = FILTER_PLAN_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct nfgenmsg inet = header_of(NFPROTO_INET);
	int r = filter_plan_host(&come, h, err);

	if (r < 0)
		return r;
	mark(b, NFNL_MSG_BATCH_BEGIN);
	/* Without elements it is about all of them. */
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		nl_batch_add(b, type_of(NFT_MSG_DELSETELEM), 0, &inet, sizeof(inet),
			     "empty %s of the packet filter", filter_sets[sets[i]].what);
		nl_put_string(b, NFTA_SET_ELEM_LIST_TABLE, f->table);
		nl_put_string(b, NFTA_SET_ELEM_LIST_SET, filter_sets[sets[i]].name);
	}
	add_requests(f, b, true, &come);
	mark(b, NFNL_MSG_BATCH_END);
	return nl_batch_run(&f->sock, b, err);
}

int net_filter_arm(struct net_filter *f, struct err *err)
{
	_cleanup_filter_plan_ struct filter_plan come = FILTER_PLAN_INIT;
	int r;

	filter_plan_arm(&come);
	r = filter_plan_finish(&come, err);
	return r < 0 ? r : run(f, &FILTER_PLAN_INIT, &come, err);
}

/* --- the table ------------------------------------------------------------------------------- */

static const uint8_t families[] = {NFPROTO_INET, NFPROTO_ARP};

int net_filter_adopt(int fd, const char *table, struct net_filter *ret, struct err *err)
{
	struct net_filter f = NET_FILTER_INIT;
	int r = str_copy(f.table, sizeof(f.table), table);

	if (r < 0 || f.table[0] == '\0')
		return err_set(err, EINVAL, "'%s' is no name of a table", table);
	r = nl_sock_adopt(fd, NETLINK_NETFILTER, &f.sock, err);
	if (r < 0)
		return r;
	*ret = f;
	return 0;
}

int net_filter_take(int sock, const char *table, struct net_filter *ret, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(NET_FILTER_RECORD, 0);
	_cleanup_close_ int fd = -1;
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot take over the packet filter: out of memory");
	r = msg_recv(sock, m, err);
	if (r < 0)
		return r;
	if (r == 0 || m->type != NET_FILTER_RECORD || m->n_fds != 1)
		return err_set(err, EPROTO, "the packet filter was not handed over");
	fd = msg_take_fd(m, 0);
	r = net_filter_adopt(fd, table, ret, err);
	if (r == 0)
		(void)take_fd(&fd);
	return r;
}

void net_filter_done(struct net_filter *f)
{
	nl_sock_done(&f->sock);
}

struct search {
	const char *table;
	uint32_t owner; /* our port */
	unsigned n_found, n_own;
};

static int visit_table(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct search *s = arg;
	const char *name = NULL;
	uint32_t owner = 0;
	const struct nlattr *a;

	(void)err;
	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(a);
		if (mnl_attr_get_type(a) == NFTA_TABLE_OWNER &&
		    mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			owner = ntohl(mnl_attr_get_u32(a));
	}
	if (str_eq(name, s->table)) {
		s->n_found++;
		s->n_own += owner == s->owner;
	}
	return 0;
}

static void search_again(void *arg)
{
	struct search *s = arg;

	s->n_found = s->n_own = 0;
}

int net_filter_check(struct net_filter *f, struct err *err)
{
	struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	struct search s = {.table = f->table};
	socklen_t len = sizeof(own);
	unsigned want = 0, own_tables = 0;

	if (getsockname(f->sock.fd, (struct sockaddr *)&own, &len) < 0)
		return err_sys(err, "cannot tell whose the packet filter is");
	s.owner = own.nl_pid;
	for (size_t i = 0; i < sizeof(families); i++, want++) {
		const struct nfgenmsg h = header_of(families[i]);
		int r;

		search_again(&s);
		r = nl_dump(&f->sock, type_of(NFT_MSG_GETTABLE), &h, sizeof(h), visit_table,
			    search_again, &s, "list the packet filter's tables", err);
		if (r < 0)
			return r;
		if (s.n_found == 0)
			return err_set(err, ENOENT, "there is no table '%s' of the packet filter",
				       f->table);
		own_tables += s.n_own;
	}
	return own_tables == want ? 0
				  : err_set(err, EPERM, "table '%s' belongs to somebody else",
					    f->table);
}

int net_filter_drop(struct net_filter *f, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	mark(b, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; i < sizeof(families); i++) {
		const struct nfgenmsg h = header_of(families[i]);

		nl_batch_add(b, type_of(NFT_MSG_DELTABLE), 0, &h, sizeof(h), "remove table '%s'",
			     f->table);
		nl_put_string(b, NFTA_TABLE_NAME, f->table);
	}
	mark(b, NFNL_MSG_BATCH_END);
	return nl_batch_run(&f->sock, b, err);
}
