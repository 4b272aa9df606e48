/* SPDX-License-Identifier: Apache-2.0 */
/* The sets of the packet filter, and the order of what is put into them. */
#include "netns/filter_plan.h"

#include <stdlib.h>
#include <string.h>

const struct filter_set_row filter_sets[FILTER_SET_MAX] = {
	[FILTER_ARMED] = {.name = "armed", .what = "the guard", .may_overlap = true},
	[FILTER_SERVICES] = {.name = "services",
			     .what = "the services of the host",
			     .may_overlap = true},
	[FILTER_NAT4] = {.name = "nat4", .what = "the networks", .kind = FILTER_RANGE},
	[FILTER_NAT6] = {.name = "nat6", .what = "the networks", .kind = FILTER_RANGE},
	[FILTER_GUESTS] = {.name = "guests", .what = "the interfaces"},
	[FILTER_SOURCE4] = {.name = "source4", .what = "the addresses"},
	[FILTER_SOURCE6] = {.name = "source6", .what = "the addresses"},
	[FILTER_PREFIX6] = {.name = "prefix6", .what = "the prefixes", .may_overlap = true},
	[FILTER_MACS] = {.name = "macs", .what = "the MAC address"},
	[FILTER_TARGETS] = {.name = "targets", .what = "the addresses"},
	[FILTER_UNTRACKED4] = {.name = "untracked4", .what = "the address", .is_single = true},
	[FILTER_UNTRACKED6] = {.name = "untracked6", .what = "the address", .is_single = true},
	[FILTER_TRACKED4] = {.name = "tracked4", .what = "the address", .is_single = true},
	[FILTER_TRACKED6] = {.name = "tracked6", .what = "the address", .is_single = true},
	[FILTER_TENANTS] = {.name = "tenants", .what = "the tenant", .kind = FILTER_VALUE},
	[FILTER_MEMBERS] = {.name = "members", .what = "the tenant"},
	[FILTER_OPEN] = {.name = "open", .what = "the interface"},
	[FILTER_FIREWALLS] = {.name = "firewalls", .what = "the firewall", .kind = FILTER_RULES},
	[FILTER_NO_SMTP] = {.name = "no_smtp", .what = "the block of port 25"},
	[FILTER_FORWARD4] = {.name = "forward4",
			     .what = "the forwarded port",
			     .kind = FILTER_VALUE,
			     .is_single = true},
	[FILTER_FORWARD6] = {.name = "forward6",
			     .what = "the forwarded port",
			     .kind = FILTER_VALUE,
			     .is_single = true},
	[FILTER_FORWARD4_ANY] = {.name = "forward4_any",
				 .what = "the forwarded port",
				 .kind = FILTER_VALUE,
				 .is_single = true},
	[FILTER_FORWARD6_ANY] = {.name = "forward6_any",
				 .what = "the forwarded port",
				 .kind = FILTER_VALUE,
				 .is_single = true},
	[FILTER_HAIRPIN] = {.name = "hairpin", .what = "the forwarded ports"},
	[FILTER_PACKETS_OUT] = {.name = "packets_out",
				.what = "the cap on packets",
				.kind = FILTER_RATE},
	[FILTER_PACKETS_IN] = {.name = "packets_in",
			       .what = "the cap on packets",
			       .kind = FILTER_RATE},
	[FILTER_NEW_OUT] = {.name = "new_out",
			    .what = "the cap on new connections",
			    .kind = FILTER_RATE},
	[FILTER_NEW_IN] = {.name = "new_in",
			   .what = "the cap on new connections",
			   .kind = FILTER_RATE},
	[FILTER_CONNECTIONS_OUT] = {.name = "connections_out",
				    .what = "the cap on connections",
				    .kind = FILTER_COUNT},
	[FILTER_CONNECTIONS_IN] = {.name = "connections_in",
				   .what = "the cap on connections",
				   .kind = FILTER_COUNT},
	[FILTER_OUT_PUBLIC] = {.name = "out_public", .what = "counters", .kind = FILTER_COUNTER},
	[FILTER_OUT_PRIVATE] = {.name = "out_private", .what = "counters", .kind = FILTER_COUNTER},
	[FILTER_IN_PUBLIC] = {.name = "in_public", .what = "counters", .kind = FILTER_COUNTER},
	[FILTER_IN_PRIVATE] = {.name = "in_private", .what = "counters", .kind = FILTER_COUNTER},
	[FILTER_ARP_ARMED] = {.name = "armed",
			      .what = "the guard",
			      .is_arp = true,
			      .may_overlap = true},
	[FILTER_ARP_SENDERS] = {.name = "senders", .what = "the addresses", .is_arp = true},
};

/* --- order ----------------------------------------------------------------------------------- */

int filter_elem_compare(const struct filter_elem *a, const struct filter_elem *b)
{
	if (a->set != b->set)
		return a->set < b->set ? -1 : 1;
	if (a->key_len != b->key_len)
		return a->key_len < b->key_len ? -1 : 1;
	return memcmp(a->key, b->key, a->key_len);
}

bool filter_elem_same(const struct filter_elem *a, const struct filter_elem *b)
{
	if (filter_elem_compare(a, b) != 0)
		return false;
	if (filter_sets[a->set].kind == FILTER_COUNTER)
		return true;
	if (filter_sets[a->set].kind == FILTER_RULES)
		return filter_rules_same(a->nic, b->nic);
	return a->a == b->a && a->b == b->b && a->is_end == b->is_end &&
	       a->data_len == b->data_len && memcmp(a->data, b->data, a->data_len) == 0;
}

/* Ends before beginnings, where networks meet. */
static int by_key(const void *a, const void *b)
{
	const struct filter_elem *x = a, *y = b;
	int r = filter_elem_compare(x, y);

	return r != 0 ? r : y->is_end - x->is_end;
}

int filter_plan_finish(struct filter_plan *p, struct err *err)
{
	size_t n = 0;

	if (p->failed)
		return err_set(err, ENOMEM, "cannot build the packet filter: out of memory");
	if (p->n > 0)
		qsort(p->elems, p->n, sizeof(*p->elems), by_key);
	for (size_t i = 0; i < p->n; i++) {
		const struct filter_elem *e = &p->elems[i];

		if (n > 0 && filter_elem_compare(&p->elems[n - 1], e) == 0 &&
		    p->elems[n - 1].is_end == e->is_end) {
			if (filter_sets[e->set].may_overlap)
				continue;
			return err_set(err, EEXIST, "%s: one is given twice",
				       filter_sets[e->set].what);
		}
		p->elems[n++] = p->elems[i];
	}
	p->n = n;
	return 0;
}

void filter_plan_diff(struct filter_plan *a, struct filter_plan *b)
{
	size_t i = 0, k = 0, n_a = 0, n_b = 0;

	while (i < a->n || k < b->n) {
		int order = i == a->n	? 1
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
