/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts to elements. In a concatenated key each field begins at a multiple of 4 bytes; numbers of
 * the network are in its order, those of the host (classid) in the host's.
 */
#include "netns/filter_plan.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>

/* --- elements -------------------------------------------------------------------------------- */

void filter_plan_done(struct filter_plan *p)
{
	free(p->elems);
	*p = FILTER_PLAN_INIT;
}

/* The element that is built; the spare one when memory is short. */
static struct filter_elem *begin(struct filter_plan *p, enum filter_set set)
{
	struct filter_elem *e;

	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 64;

		e = reallocarray(p->elems, room, sizeof(*e));
		if (!e) {
			p->failed = true;
			p->spare = (struct filter_elem){.set = set};
			return &p->spare;
		}
		p->elems = e;
		p->room = room;
	}
	e = &p->elems[p->n++];
	*e = (struct filter_elem){.set = set};
	return e;
}

/* A further field of the key; 'width' is what it takes, 'len' what it has. */
static void key(struct filter_elem *e, const void *field, size_t len, size_t width)
{
	memcpy(e->key + e->key_len, field, len);
	e->key_len = (uint8_t)(e->key_len + width);
}

static void key_name(struct filter_elem *e, const struct net_filter_nic *nic)
{
	key(e, nic->name, strlen(nic->name), IFNAMSIZ);
}

static void key_u8(struct filter_elem *e, uint8_t v)
{
	key(e, &v, sizeof(v), 4);
}

static void key_u32(struct filter_elem *e, uint32_t v)
{
	key(e, &v, sizeof(v), 4);
}

static void key_port(struct filter_elem *e, uint16_t port)
{
	uint16_t v = htons(port);

	key(e, &v, sizeof(v), 4);
}

static void key_addr(struct filter_elem *e, const struct addr *a)
{
	key(e, a->bytes, addr_len(a), addr_len(a));
}

static struct filter_elem *begin_named(struct filter_plan *p, enum filter_set set,
				       const struct net_filter_nic *nic)
{
	struct filter_elem *e = begin(p, set);

	key_name(e, nic);
	return e;
}

/* --- what is wrong --------------------------------------------------------------------------- */

/* Addresses that no guest has. */
static bool is_odd(const struct addr *a)
{
	static const char *const odd[] = {
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
		"::/96",     "ff00::/8",    "::ffff:0:0/96",
	};
	struct addr net;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		if (addr_parse(odd[i], &net) == 0 && addr_overlaps(&net, a))
			return true;
	return false;
}

static int check_addr(const struct net_filter_nic *nic, const struct addr *a, struct err *err)
{
	char text[ADDR_TEXT];

	if (a->family != AF_INET && a->family != AF_INET6)
		return err_set(err, EINVAL, "'%s' has an address of no family", nic->name);
	addr_format(text, a);
	if (is_odd(a))
		return err_set(err, EINVAL, "'%s' is no address for a guest", text);
	if (!addr_is_single(a) && (a->family == AF_INET || !addr_is_network(a)))
		return err_set(err, EINVAL, "'%s' must be a single address, or a network of IPv6",
			       text);
	return 0;
}

static int check_ports(const struct net_ports *q, struct err *err)
{
	if (q->protocol != IPPROTO_TCP && q->protocol != IPPROTO_UDP)
		return err_set(err, EINVAL, "protocol %u has no ports", q->protocol);
	if (q->first == 0 || q->last < q->first)
		return err_set(err, EINVAL, "ports %u to %u are no range within 1 to 65535",
			       q->first, q->last);
	return 0;
}

static int check_forward(const struct net_filter_nic *nic, const struct net_forward *f,
			 struct err *err)
{
	const struct net_ports from = {f->protocol, f->port, f->port},
			       to = {f->protocol, f->to_port, f->to_port};
	char text[ADDR_TEXT] = "none";
	int r = check_ports(&from, err);

	if (r == 0)
		r = check_ports(&to, err);
	if (r < 0)
		return r;
	if (f->host.family && (f->host.family != f->to.family || !addr_is_single(&f->host)))
		return err_set(err, EINVAL,
			       "port %u is forwarded from no single address of the same family",
			       f->port);
	for (size_t i = 0; i < nic->n_addrs; i++)
		if (f->to.family && addr_contains(&nic->addrs[i], &f->to) && addr_is_single(&f->to))
			return 0;
	if (f->to.family)
		addr_format(text, &f->to);
	return err_set(err, EINVAL, "port %u is forwarded to '%s', which '%s' does not have",
		       f->port, text, nic->name);
}

static int check_nic(const struct net_filter_nic *nic, struct err *err)
{
	static const uint8_t none[6];
	int r = 0;

	if (nic->name[0] == '\0' || memchr(nic->name, '\0', IFNAMSIZ) == NULL)
		return err_set(err, EINVAL, "an interface has no name");
	if (nic->tenant == 0 || nic->tenant > NET_FILTER_TENANT_MAX)
		return err_set(err, EINVAL, "'%s' has tenant %u, which is none", nic->name,
			       nic->tenant);
	if ((nic->mac[0] & 1) || memcmp(nic->mac, none, sizeof(none)) == 0)
		return err_set(err, EINVAL, "the MAC address of '%s' is none of one interface",
			       nic->name);
	if (!(nic->flags & NET_NIC_TRACKED) &&
	    (filter_has_rules(nic) || nic->n_forwards > 0 || nic->new_out.per_second ||
	     nic->new_in.per_second || nic->connections_out || nic->connections_in))
		return err_set(err, EINVAL,
			       "'%s' needs connection tracking for its firewall, forwarded ports "
			       "or caps on connections",
			       nic->name);
	for (size_t i = 0; r == 0 && i < nic->n_addrs; i++)
		r = check_addr(nic, &nic->addrs[i], err);
	if (r == 0)
		r = filter_rules_check(nic, err);
	for (size_t i = 0; r == 0 && i < nic->n_forwards; i++)
		r = check_forward(nic, &nic->forwards[i], err);
	return r;
}

/* --- one interface --------------------------------------------------------------------------- */

static void plan_source(struct filter_plan *p, const struct net_filter_nic *nic,
			enum filter_set set, const struct addr *a)
{
	struct filter_elem *e = begin_named(p, set, nic);

	key(e, nic->mac, sizeof(nic->mac), 8);
	if (a)
		key_addr(e, a);
}

static void plan_addr(struct filter_plan *p, const struct net_filter_nic *nic, const struct addr *a)
{
	static const struct addr local = {AF_INET6, 10, {0xfe, 0x80}};
	bool is_tracked = nic->flags & NET_NIC_TRACKED;

	if (!addr_is_single(a)) {
		plan_source(p, nic, FILTER_PREFIX6, NULL);
		return;
	}
	if (a->family == AF_INET) {
		plan_source(p, nic, FILTER_SOURCE4, a);
		plan_source(p, nic, FILTER_ARP_SENDERS, a);
		key_addr(begin(p, is_tracked ? FILTER_TRACKED4 : FILTER_UNTRACKED4), a);
		return;
	}
	plan_source(p, nic, FILTER_SOURCE6, a);
	key_addr(begin_named(p, FILTER_TARGETS, nic), a);
	/* Those of the link are the same for many, and go nowhere. */
	if (!addr_contains(&local, a))
		key_addr(begin(p, is_tracked ? FILTER_TRACKED6 : FILTER_UNTRACKED6), a);
}

/* The address that kernels and network managers make of the MAC by themselves (RFC 4291, appendix
 * A), and may prefer to the one that was given. */
static void plan_own_link(struct filter_plan *p, const struct net_filter_nic *nic)
{
	const uint8_t *m = nic->mac;
	const struct addr a = {
		AF_INET6,
		128,
		{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}};

	for (size_t i = 0; i < nic->n_addrs; i++)
		if (addr_equal(&nic->addrs[i], &a))
			return;
	plan_addr(p, nic, &a);
}

static void plan_forward(struct filter_plan *p, const struct net_forward *f)
{
	bool is_any = f->host.family == 0;
	uint16_t port = htons(f->to_port);
	struct filter_elem *e;

	if (f->to.family == AF_INET)
		e = begin(p, is_any ? FILTER_FORWARD4_ANY : FILTER_FORWARD4);
	else
		e = begin(p, is_any ? FILTER_FORWARD6_ANY : FILTER_FORWARD6);
	if (!is_any)
		key_addr(e, &f->host);
	key_u8(e, f->protocol);
	key_port(e, f->port);
	memcpy(e->data, f->to.bytes, addr_len(&f->to));
	memcpy(e->data + addr_len(&f->to), &port, sizeof(port));
	e->data_len = (uint8_t)(addr_len(&f->to) + 4);
}

static void plan_flags(struct filter_plan *p, const struct net_filter_nic *nic)
{
	static const struct {
		unsigned flag;
		enum filter_set set;
	} rows[] = {
		{NET_NIC_OPEN, FILTER_OPEN},
		{NET_NIC_NO_SMTP, FILTER_NO_SMTP},
	};
	struct filter_elem *e;
	uint32_t number = nic->tenant | 1u << 31; /* never a priority that the kernel gives */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (nic->flags & rows[i].flag)
			(void)begin_named(p, rows[i].set, nic);
	e = begin_named(p, FILTER_TENANTS, nic);
	memcpy(e->data, &number, sizeof(number));
	e->data_len = sizeof(number);
	key_u32(begin_named(p, FILTER_MEMBERS, nic), number);
}

static void plan_caps(struct filter_plan *p, const struct net_filter_nic *nic)
{
	const struct {
		const struct net_rate *rate;
		enum filter_set set;
	} rates[] = {
		{&nic->packets_out, FILTER_PACKETS_OUT},
		{&nic->packets_in, FILTER_PACKETS_IN},
		{&nic->new_out, FILTER_NEW_OUT},
		{&nic->new_in, FILTER_NEW_IN},
	};
	const uint32_t counts[] = {nic->connections_out, nic->connections_in};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct net_rate *q = rates[i].rate;
		struct filter_elem *e;

		if (q->per_second == 0)
			continue;
		e = begin_named(p, rates[i].set, nic);
		e->a = q->per_second;
		e->b = q->burst ? q->burst : q->per_second / 10;
		if (e->b < 5)
			e->b = 5;
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (uint32_t k = 0; counts[i] > 0 && k < NET_FILTER_BUCKETS; k++) {
			struct filter_elem *e = begin_named(
				p, i ? FILTER_CONNECTIONS_IN : FILTER_CONNECTIONS_OUT, nic);

			key_u32(e, k);
			e->a = (counts[i] + NET_FILTER_BUCKETS - 1) / NET_FILTER_BUCKETS;
		}
}

void filter_plan_counters(struct filter_plan *p, const struct net_filter_nic *nic)
{
	static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};

	for (unsigned w = 0; w < NET_WAY_MAX; w++)
		for (size_t f = 0; f < sizeof(families); f++) {
			struct filter_elem *e =
				begin_named(p, (enum filter_set)(FILTER_OUT_PUBLIC + w), nic);

			key_u8(e, families[f]);
			if (!nic->start)
				continue;
			e->a = (f ? nic->start->v6 : nic->start->v4)[w].bytes;
			e->b = (f ? nic->start->v6 : nic->start->v4)[w].packets;
		}
}

static int plan_nic(struct filter_plan *p, const struct net_filter_nic *nic, struct err *err)
{
	int r = check_nic(nic, err);

	if (r < 0)
		return r;
	(void)begin_named(p, FILTER_GUESTS, nic);
	key(begin_named(p, FILTER_MACS, nic), nic->mac, sizeof(nic->mac), 8);
	for (size_t i = 0; i < nic->n_addrs; i++)
		plan_addr(p, nic, &nic->addrs[i]);
	plan_own_link(p, nic);
	for (size_t i = 0; i < nic->n_forwards; i++)
		plan_forward(p, &nic->forwards[i]);
	if (nic->n_forwards > 0)
		key_name(begin_named(p, FILTER_HAIRPIN, nic), nic);
	if (filter_has_rules(nic))
		begin_named(p, FILTER_FIREWALLS, nic)->nic = nic;
	plan_flags(p, nic);
	plan_caps(p, nic);
	if (!(nic->flags & NET_NIC_COUNTED_APART))
		filter_plan_counters(p, nic);
	return 0;
}

int filter_plan_nics(struct filter_plan *p, const struct net_filter_nic *nics, size_t n,
		     struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = plan_nic(p, &nics[i], err);
	return r < 0 ? r : filter_plan_finish(p, err);
}

/* --- what holds for all ---------------------------------------------------------------------- */

static int plan_network(struct filter_plan *p, const struct addr *net, struct err *err)
{
	enum filter_set set = net->family == AF_INET ? FILTER_NAT4 : FILTER_NAT6;
	struct addr first, last;
	struct filter_elem *e;
	char text[ADDR_TEXT];

	if (net->family != AF_INET && net->family != AF_INET6)
		return err_set(err, EINVAL, "a network has no family");
	addr_format(text, net);
	if (is_odd(net) || !addr_is_network(net))
		return err_set(err, EINVAL, "'%s' is no network of guests", text);
	first = addr_first(net);
	last = addr_last(net);
	key_addr(begin(p, set), &first);
	/* is_odd() keeps it from being the last of all. */
	if (addr_add(&last, 1, &last) < 0)
		return err_set(err, EINVAL, "'%s' is no network of guests", text);
	e = begin(p, set);
	e->is_end = true;
	key_addr(e, &last);
	return 0;
}

int filter_plan_host(struct filter_plan *p, const struct net_filter_host *h, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < h->n_nat; i++)
		for (size_t k = 0; k < i; k++)
			if (addr_overlaps(&h->nat[i], &h->nat[k])) {
				char a[ADDR_TEXT], b[ADDR_TEXT];

				addr_format(a, &h->nat[k]);
				addr_format(b, &h->nat[i]);
				return err_set(err, EINVAL, "networks '%s' and '%s' overlap", a, b);
			}
	for (size_t i = 0; r == 0 && i < h->n_nat; i++)
		r = plan_network(p, &h->nat[i], err);
	for (size_t i = 0; r == 0 && i < h->n_services; i++) {
		const struct net_ports *q = &h->services[i];

		r = check_ports(q, err);
		p->n_ports += r < 0 ? 0 : (size_t)(q->last - q->first) + 1;
		if (r == 0 && p->n_ports > NET_FILTER_PORTS_MAX)
			r = err_set(err, E2BIG, "more than %u ports of the host are for guests",
				    NET_FILTER_PORTS_MAX);
		for (unsigned port = q->first; r == 0 && port <= q->last; port++) {
			struct filter_elem *e = begin(p, FILTER_SERVICES);

			key_u8(e, q->protocol);
			key_port(e, (uint16_t)port);
		}
	}
	return r < 0 ? r : filter_plan_finish(p, err);
}

void filter_plan_arm(struct filter_plan *p)
{
	static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};
	const uint16_t ip = htons(ETHERTYPE_IP);

	for (size_t i = 0; i < sizeof(families); i++)
		key(begin(p, FILTER_ARMED), &families[i], 1, 1);
	key(begin(p, FILTER_ARP_ARMED), &ip, sizeof(ip), sizeof(ip));
}
