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

/* What was there goes before what comes, as both may have the same key. */
static int run(struct net_filter *f, const struct filter_plan *gone, const struct filter_plan *come,
	       struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	if (gone->n + come->n == 0)
		return 0;
	filter_mark(b, NFNL_MSG_BATCH_BEGIN);
	filter_requests(b, f->table, false, gone);
	filter_requests(b, f->table, true, come);
	filter_mark(b, NFNL_MSG_BATCH_END);
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

int net_filter_change(struct net_filter *f, const struct net_filter_nic *old, size_t n_old,
		      const struct net_filter_nic *now, size_t n_now, struct err *err)
{
	_cleanup_filter_plan_ struct filter_plan gone = FILTER_PLAN_INIT, come = FILTER_PLAN_INIT;
	int r = filter_plan_nics(&gone, old, n_old, err);

	if (r == 0)
		r = filter_plan_nics(&come, now, n_now, err);
	if (r < 0)
		return r;
	filter_plan_diff(&gone, &come);
	return run(f, &gone, &come, err);
}

int net_filter_set_host(struct net_filter *f, const struct net_filter_host *h, struct err *err)
{
	static const enum filter_set sets[] = {FILTER_NAT4, FILTER_NAT6, FILTER_SERVICES};
	_cleanup_filter_plan_ struct filter_plan come = FILTER_PLAN_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct nfgenmsg inet = filter_header(NFPROTO_INET);
	int r = filter_plan_host(&come, h, err);

	if (r < 0)
		return r;
	filter_mark(b, NFNL_MSG_BATCH_BEGIN);
	/* Without elements it is about all of them. */
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		nl_batch_add(b, filter_type(NFT_MSG_DELSETELEM), 0, &inet, sizeof(inet),
			     "empty %s of the packet filter", filter_sets[sets[i]].what);
		nl_put_string(b, NFTA_SET_ELEM_LIST_TABLE, f->table);
		nl_put_string(b, NFTA_SET_ELEM_LIST_SET, filter_sets[sets[i]].name);
	}
	filter_requests(b, f->table, true, &come);
	filter_mark(b, NFNL_MSG_BATCH_END);
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
	struct nlattr *a;

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
		const struct nfgenmsg h = filter_header(families[i]);
		int r;

		search_again(&s);
		r = nl_dump(&f->sock, filter_type(NFT_MSG_GETTABLE), &h, sizeof(h), visit_table,
			    search_again, &s, "list the packet filter's tables", err);
		if (r < 0)
			return r;
		if (s.n_found == 0)
			return err_set(err, ENOENT, "there is no table '%s' of the packet filter",
				       f->table);
		own_tables += s.n_own;
	}
	return own_tables == want
		       ? 0
		       : err_set(err, EPERM, "table '%s' belongs to somebody else", f->table);
}

int net_filter_drop(struct net_filter *f, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	filter_mark(b, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; i < sizeof(families); i++) {
		const struct nfgenmsg h = filter_header(families[i]);

		nl_batch_add(b, filter_type(NFT_MSG_DELTABLE), 0, &h, sizeof(h),
			     "remove table '%s'", f->table);
		nl_put_string(b, NFTA_TABLE_NAME, f->table);
	}
	filter_mark(b, NFNL_MSG_BATCH_END);
	return nl_batch_run(&f->sock, b, err);
}
