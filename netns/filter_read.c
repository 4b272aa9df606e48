/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the packet filter's counters: the elements of four sets. */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netns/filter.h"
#include "netns/filter_plan.h"

#define KEY_LEN (IFNAMSIZ + 4u)

struct reading {
	net_filter_visit *visit;
	void *arg;
	enum net_way way;
};

/* The attribute of a type within a nest; NULL when it is not there or too short. */
static const struct nlattr *find(const struct nlattr *nest, uint16_t type, size_t len)
{
	struct nlattr *a;

	if (nest)
		mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == type &&
						      mnl_attr_get_payload_len(a) >= len) return a;
	return NULL;
}

static uint64_t be64_of(const struct nlattr *a)
{
	return be64toh(mnl_attr_get_u64(a));
}

static int visit_elem(const struct reading *q, const struct nlattr *elem)
{
	const struct nlattr *key = find(find(elem, NFTA_SET_ELEM_KEY, 0), NFTA_DATA_VALUE, KEY_LEN);
	const struct nlattr *data = find(find(elem, NFTA_SET_ELEM_EXPR, 0), NFTA_EXPR_DATA, 0);
	const struct nlattr *bytes = find(data, NFTA_COUNTER_BYTES, sizeof(uint64_t));
	const struct nlattr *packets = find(data, NFTA_COUNTER_PACKETS, sizeof(uint64_t));
	struct net_counter c;
	char name[IFNAMSIZ + 1];
	const uint8_t *k;

	if (!key || !bytes || !packets)
		return 0;
	k = mnl_attr_get_payload(key);
	memcpy(name, k, IFNAMSIZ);
	name[IFNAMSIZ] = '\0';
	c.bytes = be64_of(bytes);
	c.packets = be64_of(packets);
	return q->visit(q->arg, name, q->way, k[IFNAMSIZ] == NFPROTO_IPV4 ? AF_INET : AF_INET6, &c);
}

static int visit_set(void *arg, const struct nlmsghdr *m, struct err *err)
{
	struct nlattr *a, *elem;
	int r;

	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(elem, a)
		{
			r = visit_elem(arg, elem);
			if (r < 0)
				return err_set(err, -r, "cannot take in the counters");
		}
	}
	return 0;
}

int net_filter_read(struct net_filter *f, net_filter_visit *visit, void *arg, struct err *err)
{
	for (unsigned w = 0; w < NET_WAY_MAX; w++) {
		struct reading q = {.visit = visit, .arg = arg, .way = (enum net_way)w};
		struct nfgenmsg *g;
		char room[256] = {0};
		struct nlmsghdr *m = mnl_nlmsg_put_header(room);
		int r;

		g = mnl_nlmsg_put_extra_header(m, sizeof(*g));
		g->nfgen_family = NFPROTO_INET;
		g->version = NFNETLINK_V0;
		mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_TABLE, f->table);
		mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET,
				  filter_sets[FILTER_OUT_PUBLIC + w].name);
		r = nl_dump(&f->sock, filter_type(NFT_MSG_GETSETELEM), g,
			    mnl_nlmsg_get_payload_len(m), visit_set, NULL, &q, "read the counters",
			    err);
		if (r < 0)
			return r;
	}
	return 0;
}
