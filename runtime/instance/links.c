/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The links of one guest. Before its launch the packet filter learns what may come from them; they
 * are made when the guest's network namespace comes through the gate, before its init runs; what
 * they have follows from addresses.h and the plan, so that it can be told again at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pidref.h"
#include "base/str.h"
#include "netns/own.h"
#include "netns/shape.h"
#include "runtime/instance/addresses_private.h"
#include "runtime/instance/firewall.h"
#include "runtime/instance/private.h"

#define ITEM "network"
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_MAX (64u << 10)

static void links_free(struct inst_links *l)
{
	if (!l)
		return;
	sd_event_source_disable_unref(l->on_gate);
	cleanup_close(&l->gate);
	free(l->addresses);
	free(l->sources);
	free(l->forwards);
	free(l->rules);
	free(l);
}

static void note(struct inst *i, struct inst_links *l, const struct err *why)
{
	if (str_copy(l->why, sizeof(l->why), err_text(why)) < 0)
		(void)str_copy(l->why, sizeof(l->why), "it cannot be set up");
	log_warning("%s: its network is not as it should be: %s", i->full_name, err_text(why));
}

void links_item(const struct inst *i, struct spec_items *ret)
{
	const struct inst_links *l = i->p->links;
	struct spec_item *item;

	if (!inst_is_up(i) || !l || !l->why[0] || ret->n >= SPEC_ITEMS_MAX)
		return;
	item = &ret->items[ret->n++];
	*item = (struct spec_item){.is_tolerated = true};
	(void)str_copy(item->name, sizeof(item->name), ITEM);
	(void)str_copy(item->reason, sizeof(item->reason), l->why);
}

/* --- what they are to be --------------------------------------------------------------------- */

int links_sources(struct addr *ret4, struct addr *ret6, struct err *err)
{
	_cleanup_free_ struct addr *own = NULL;
	size_t n = 0;
	int r = netns_own_addresses(&own, &n, err);

	*ret4 = *ret6 = ADDR_NONE;
	for (size_t k = 0; r >= 0 && k < n; k++) {
		struct addr *to = own[k].family == AF_INET ? ret4 : ret6;
		const uint8_t *b = own[k].bytes;
		bool is_loopback = own[k].family == AF_INET ? b[0] == 127 : b[0] == 0;

		if (!is_loopback && (to->family == 0 || addr_compare(&own[k], to) < 0))
			*to = own[k];
	}
	return r;
}

static bool nic_has(const struct net_nic *nic, const struct addr *a)
{
	for (size_t k = 0; k < nic->n_addresses; k++)
		if (addr_equal(&nic->addresses[k], a))
			return true;
	return false;
}

static uint32_t clamp(uint64_t v)
{
	if (v == JSON_UNLIMITED)
		return 0;
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* A number for as long as this vpsd lives: the table is its own. */
static uint32_t tenant_number(struct inst_tenant *t, struct network *n)
{
	if (t->filter_number == 0)
		t->filter_number = ++n->last_tenant;
	return t->filter_number;
}

static const struct addr *first_of(const struct inst_nic *nic, uint8_t family)
{
	for (size_t k = 0; k < nic->n_addresses; k++) {
		const struct addr *a = &nic->addresses[k].addr;

		if (a->family == family && addr_is_single(a))
			return a;
	}
	return NULL;
}

static void add_forwards(const struct inst_nic *nic, struct net_filter_nic *f,
			 struct net_forward *at)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	f->forwards = at;
	for (size_t k = 0; k < nic->n_forwards; k++)
		for (size_t m = 0; m < 2; m++) {
			const struct addr *to = first_of(nic, families[m]);

			if (to)
				at[f->n_forwards++] = (struct net_forward){
					.protocol = nic->forwards[k].protocol,
					.host = ADDR_NONE,
					.port = nic->forwards[k].port,
					.to = *to,
					.to_port = nic->forwards[k].guest_port};
		}
}

static void describe_facts(struct inst *i, const struct spec_network *net,
			   const struct net_nic *nic, struct net_filter_nic *f)
{
	const struct spec_plan_network *plan = &i->effective.network;

	memcpy(f->name, nic->host_name, sizeof(f->name));
	memcpy(f->mac, nic->guest_mac, sizeof(f->mac));
	f->tenant = tenant_number(i->tenant, i->manager->network);
	f->packets_out.per_second = f->packets_in.per_second = clamp(plan->pps);
	f->new_out.per_second = f->new_in.per_second = clamp(plan->new_connections);
	f->connections_out = f->connections_in = clamp(plan->connections);
	if (net->mode == SPEC_NETWORK_NAT || f->n_forwards > 0 || f->connections_out > 0 ||
	    f->new_out.per_second > 0 || f->n_rules > 0)
		f->flags |= NET_NIC_TRACKED;
	if (plan->block_smtp)
		f->flags |= NET_NIC_NO_SMTP;
	if (net->mode == SPEC_NETWORK_ROUTED)
		f->flags |= NET_NIC_OPEN;
	/* What is counted is money: it does not go with the facts. */
	f->flags |= NET_NIC_COUNTED_APART;
}

static bool has_family(const struct inst_nic *nic, uint8_t family)
{
	bool has = false;

	for (size_t k = 0; k < nic->n_addresses; k++)
		has |= nic->addresses[k].addr.family == family;
	return has;
}

/* Whether interface n is the first one with addresses of the family; without any it is eth0. */
static bool is_first_of(const struct inst_net *net, size_t n, uint8_t family)
{
	for (size_t k = 0; k < net->n; k++)
		if (has_family(&net->nics[k], family))
			return k == n;
	return n == 0;
}

static int describe_nic(const struct inst *i, const struct inst_net *has, size_t n,
			struct inst_links *l, const struct addr *sources, struct err *err)
{
	const struct inst_nic *from = &has->nics[n];
	const struct spec_network *net = spec_network_find(i->manager->host, from->network);
	struct net_nic *nic = &l->nics[n];
	struct net_link uplink;
	int r = net_nic_init(nic, i->id, (unsigned)n, err);

	if (r < 0)
		return r;
	if (!net)
		return err_set(err, ENOENT, "the host has no network '%s' any more", from->network);
	l->networks[n] = net;
	nic->mtu = (uint32_t)net->mtu;
	nic->has_default4 = is_first_of(has, n, AF_INET);
	nic->has_default6 = is_first_of(has, n, AF_INET6);
	nic->source4 = sources[0];
	nic->source6 = sources[1];
	if (net->uplink_proxy) {
		r = net_link_find(&i->manager->network->host, net->uplink, &uplink, err);
		if (r < 0)
			return r;
		nic->uplink = uplink.index;
	}
	return net_nic_check(nic, err);
}

/* The arrays that NICs point to, of all of them. */
static int allocate(const struct inst_net *has, struct inst_links *l, struct err *err)
{
	size_t n_addresses = 0, n_forwards = 0;

	for (size_t n = 0; n < has->n; n++) {
		n_addresses += has->nics[n].n_addresses;
		n_forwards += 2 * has->nics[n].n_forwards;
	}
	l->addresses = calloc(n_addresses + 1, sizeof(*l->addresses));
	l->sources = calloc(n_addresses + has->n + 1, sizeof(*l->sources));
	l->forwards = calloc(n_forwards + 1, sizeof(*l->forwards));
	return l->addresses && l->sources && l->forwards
		       ? 0
		       : err_set(err, ENOMEM, "cannot describe links: out of memory");
}

/* All of it for an instance with these addresses; nothing is told to anybody. */
static int describe(struct inst *i, const struct inst_net *has, struct inst_links **ret,
		    struct err *err)
{
	struct inst_links *l = calloc(1, sizeof(*l));
	struct addr sources[2];
	size_t at = 0, forward_at = 0, n_rules = 0;
	unsigned flags = 0;
	int r = l ? links_sources(&sources[0], &sources[1], err)
		  : err_set(err, ENOMEM, "cannot describe links: out of memory");

	if (l)
		l->gate = -1;
	if (r >= 0)
		r = allocate(has, l, err);
	if (r >= 0)
		r = firewall_rules(&i->spec, &l->rules, &n_rules, &flags, err);
	for (size_t n = 0; r >= 0 && n < has->n; n++) {
		const struct inst_nic *from = &has->nics[n];
		struct net_nic *nic = &l->nics[n];
		struct net_filter_nic *f = &l->facts[n];

		/* One more for each NIC: its link-local one. */
		struct addr *own = &l->sources[at + n];

		r = describe_nic(i, has, n, l, sources, err);
		if (r < 0)
			break;
		nic->addresses = &l->addresses[at];
		for (size_t k = 0; k < from->n_addresses; k++)
			l->addresses[at + k] = own[k] = from->addresses[k].addr;
		nic->n_addresses = from->n_addresses;
		own[from->n_addresses] = net_nic_link_local(nic);
		f->addrs = own;
		f->n_addrs = from->n_addresses + 1;
		add_forwards(from, f, &l->forwards[forward_at]);
		f->rules = l->rules;
		f->n_rules = n_rules;
		f->flags = flags;
		describe_facts(i, l->networks[n], nic, f);
		at += from->n_addresses;
		forward_at += 2 * from->n_forwards;
		l->n++;
	}
	if (r < 0) {
		links_free(l);
		return err_ctx(err, "network of '%s'", i->full_name);
	}
	*ret = l;
	return 0;
}

/* --- files ----------------------------------------------------------------------------------- */

/* The host's name servers, as far as a guest can reach them. */
static size_t read_dns(struct addr dns[GUEST_DNS_MAX])
{
	_cleanup_free_ char *text = NULL;
	size_t len, n = 0;
	char *line, *rest;

	if (file_read_at(AT_FDCWD, RESOLV_CONF, RESOLV_MAX, &text, &len, NULL) < 0)
		return 0;
	rest = text;
	while (n < GUEST_DNS_MAX && (line = strsep(&rest, "\n"))) {
		static const char word[] = "nameserver";
		struct addr a;

		if (!str_has_prefix(line, word))
			continue;
		line += strlen(word);
		line += strspn(line, " \t");
		line[strcspn(line, " \t#;")] = '\0';
		if (addr_parse(line, &a) == 0 && addr_is_single(&a) && !spec_why_no_guest(&a))
			dns[n++] = a;
	}
	return n;
}

int links_files(const struct inst *i, struct guest_files *ret, struct err *err)
{
	const struct inst_links *l = i->p->links;
	struct guest_nic nics[NET_NICS];
	struct addr dns[GUEST_DNS_MAX];
	const struct guest_net net = {.hostname =
					      i->spec.hostname ? i->spec.hostname : i->spec.name,
				      .nics = nics,
				      .n_nics = l ? l->n : 0,
				      .dns = dns,
				      .n_dns = l ? read_dns(dns) : 0};

	if (!l)
		return 0;
	for (size_t n = 0; n < l->n; n++)
		nics[n] = (struct guest_nic){.number = (unsigned)n,
					     .addrs = l->nics[n].addresses,
					     .n_addrs = l->nics[n].n_addresses,
					     .table4 = net_nic_table(&l->nics[n], AF_INET),
					     .table6 = net_nic_table(&l->nics[n], AF_INET6)};
	return guest_files_make(&net, ret, err);
}

/* --- making them ----------------------------------------------------------------------------- */

static int tell_filter(struct inst *i, struct inst_links *l, struct err *err)
{
	struct net_filter *f = &i->manager->network->filter;
	char names[NET_NICS][IFNAMSIZ];
	int r;

	for (size_t n = 0; n < l->n; n++)
		memcpy(names[n], l->facts[n].name, IFNAMSIZ);
	r = net_filter_count(f, (const char(*)[IFNAMSIZ])names, l->n, err);
	if (r >= 0)
		r = net_filter_add(f, l->facts, l->n, err);
	if (r >= 0)
		l->has_facts = true;
	return r;
}

static uint64_t rate_of(uint64_t plan, uint64_t throttle)
{
	uint64_t rate = plan < throttle ? plan : throttle;

	return rate == JSON_UNLIMITED ? NET_RATE_NONE : rate;
}

static int shape(struct inst *i, const struct net_nic *nic, struct err *err)
{
	const uint64_t throttle = transfer_throttle(i);
	const struct spec_plan_network *plan = &i->effective.network;
	struct nl_sock *host = &i->manager->network->host;
	const struct net_shape in = {.rate = rate_of(plan->in, throttle), .mtu = nic->mtu};
	const struct net_shape out = {.rate = rate_of(plan->out, throttle), .mtu = nic->mtu};
	struct net_shape_status status;
	struct net_link link;
	char ifb[IFNAMSIZ];
	int r = net_link_find(host, nic->host_name, &link, err);

	net_shape_name(ifb, i->id, nic->n);
	if (r >= 0)
		r = net_shape_in(host, link.index, &in, &status, err);
	if (r >= 0 && !net_shape_is_effective(&in, &status))
		r = err_set(err, EIO, "the kernel does not hold the rate \"in\"");
	if (r >= 0)
		r = net_shape_out(host, link.index, ifb, &out, &status, err);
	if (r >= 0 && !net_shape_is_effective(&out, &status))
		r = err_set(err, EIO, "the kernel does not hold the rate \"out\"");
	return r < 0 ? r : 0;
}

/* All its links were given what it is to have now, or (r < 0) perhaps not all. */
static void shaped(struct inst *i, int r)
{
	i->p->throttle = r < 0 ? 0 : transfer_throttle(i);
}

int links_shape(struct inst *i, struct err *err)
{
	const struct inst_links *l = i->p->links;
	int r = 0;

	if (!l || l->n == 0)
		return err_set(err, ENODEV, "it has no links");
	for (size_t n = 0; r >= 0 && n < l->n; n++)
		r = shape(i, &l->nics[n], err);
	shaped(i, r);
	return r;
}

static int make_links(struct inst *i, int netns, struct err *err)
{
	struct inst_links *l = i->p->links;
	struct nl_sock *host = &i->manager->network->host;
	int r = 0;

	for (size_t n = 0; r >= 0 && n < l->n; n++) {
		r = net_nic_add(host, netns, &l->nics[n], err);
		if (r >= 0)
			r = shape(i, &l->nics[n], err);
	}
	shaped(i, r);
	return r < 0 ? r : 0;
}

static void gate_close(struct inst_links *l)
{
	l->on_gate = sd_event_source_disable_unref(l->on_gate);
	cleanup_close(&l->gate);
}

static int on_gate(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct inst *i = arg;
	struct inst_links *l = i->p->links;
	struct err err = ERR_INIT;
	_cleanup_close_ int netns = sbx_gate_receive(fd, &err);
	int r;

	(void)s;
	(void)revents;
	if (netns == -EAGAIN)
		return 0;
	/* The launch has failed, as the keeper will say. */
	if (netns < 0) {
		gate_close(l);
		return 0;
	}
	r = make_links(i, netns, &err);
	if (r >= 0)
		r = sbx_gate_go(fd, &err);
	else
		sbx_gate_fail(fd, &err);
	gate_close(l);
	return 0;
}

static int watch_gate(struct inst *i, struct inst_links *l, int *ret_theirs, struct err *err)
{
	int r = sbx_gate_pair(&l->gate, ret_theirs, err);

	if (r < 0)
		return r;
	r = sd_event_add_io(i->manager->event, &l->on_gate, l->gate, EPOLLIN, on_gate, i);
	return r < 0 ? err_set_errno(err, -r, "cannot watch the gate of a launch") : 0;
}

int links_prepare(struct inst *i, int *ret_theirs, struct err *err)
{
	const char *why = network_why_not(i->manager);
	struct inst_links *l = NULL;
	int r;

	links_gone(i);
	*ret_theirs = -1;
	if (i->net.n == 0 || i->manager->network->state == NETWORK_NONE)
		return 0;
	if (why)
		return err_set(err, EAGAIN, "it cannot get its network: %s", why);
	r = describe(i, &i->net, &l, err);
	if (r < 0)
		return r;
	i->p->links = l;
	r = tell_filter(i, l, err);
	if (r >= 0)
		r = watch_gate(i, l, ret_theirs, err);
	if (r < 0)
		links_gone(i);
	return r < 0 ? r : 0;
}

/* --- of a guest that runs -------------------------------------------------------------------- */

static int open_netns(const struct inst *i, struct err *err)
{
	const struct pidref init = {.pid = i->pid, .start = i->pid_start, .fd = i->pidfd};

	return pidref_open_netns(&init, err);
}

static int repair(struct inst *i, struct inst_links *l, struct err *err)
{
	struct network *n = i->manager->network;
	_cleanup_close_ int netns = open_netns(i, NULL);
	int r = 0;

	if (!n->has_seen) {
		net_seen_done(&n->seen);
		r = net_seen_read(&n->host, &n->seen, err);
		n->has_seen = r >= 0;
	}
	for (size_t k = 0; r >= 0 && k < l->n; k++) {
		unsigned repaired = 0;

		r = net_nic_repair(&n->host, netns < 0 ? -1 : netns, &l->nics[k], &n->seen,
				   &repaired, err);
		if (r >= 0 && repaired > 0)
			log_warning("%s: %u of its routes were put right", i->full_name, repaired);
		if (r >= 0)
			r = shape(i, &l->nics[k], err);
	}
	shaped(i, r);
	return r < 0 ? r : 0;
}

/* Of a guest whose links cannot be described: it runs, is mute, and vps info says why. */
static void found_unknown(struct inst *i, const struct err *why)
{
	struct inst_links *l = calloc(1, sizeof(*l));

	if (!l) {
		log_error("%s", err_text(why));
		return;
	}
	l->gate = -1;
	i->p->links = l;
	note(i, l, why);
}

void links_found(struct inst *i)
{
	struct inst_manager *m = i->manager;
	struct inst_links *l = NULL;
	struct err err = ERR_INIT;

	if (i->p->links || i->net.n == 0 || m->network->state != NETWORK_READY)
		return;
	if (describe(i, &i->net, &l, &err) < 0) {
		found_unknown(i, &err);
		return;
	}
	i->p->links = l;
	if (links_cut_as_wanted(i, &err) < 0 || repair(i, l, &err) < 0)
		note(i, l, &err);
}

int links_cut_as_wanted(struct inst *i, struct err *err)
{
	struct network *n = i->manager->network;
	struct inst_links *l = i->p->links;
	bool is_cut = i->suspension.mode == INST_SUSPEND_NETWORK;
	int r;

	if (!l && is_cut && inst_is_up(i))
		return err_set(err, EAGAIN, "'%s' cannot be cut off: %s", i->full_name,
			       network_why_not(i->manager) ? network_why_not(i->manager)
							   : "its links are not known");
	if (!l || l->n == 0 || l->has_facts == !is_cut)
		return 0;
	if (!is_cut)
		return tell_filter(i, l, err);
	r = net_filter_remove(&n->filter, l->facts, l->n, err);
	if (r >= 0)
		l->has_facts = false;
	return r < 0 ? r : 0;
}

/* The new ones in the place of the old, each NIC changed where it is. On a failure the old ones
 * hold again, in the filter as well. */
static int change(struct inst *i, struct inst_links *now, struct err *err)
{
	struct network *n = i->manager->network;
	struct inst_links *old = i->p->links;
	_cleanup_close_ int netns = open_netns(i, err);
	size_t k = 0;
	int r = 0;

	if (netns < 0)
		return netns;
	if (old->n != now->n)
		return err_set(err, EBUSY,
			       "another number of interfaces comes with its next start");
	/* One that is cut off has no facts there. */
	if (old->has_facts)
		r = net_filter_change(&n->filter, old->facts, old->n, now->facts, now->n, err);
	if (r < 0)
		return r;
	while (r >= 0 && k < now->n) {
		r = net_nic_change(&n->host, netns, &old->nics[k], &now->nics[k], err);
		if (r >= 0)
			r = shape(i, &now->nics[k++], err);
	}
	shaped(i, r);
	if (r >= 0) {
		now->has_facts = old->has_facts;
		old->has_facts = false;
		return 0;
	}
	/* One that could not be changed has undone itself. */
	while (k-- > 0)
		if (net_nic_change(&n->host, netns, &now->nics[k], &old->nics[k], NULL) < 0)
			log_error("%s: its eth%zu has addresses that it should not have",
				  i->full_name, k);
	if (old->has_facts &&
	    net_filter_change(&n->filter, now->facts, now->n, old->facts, old->n, NULL) < 0)
		log_error("%s: the packet filter knows addresses that it does not have",
			  i->full_name);
	return r;
}

/* What it shall have, without what it has not got yet. */
static int without_new(const struct inst *i, const struct inst_links *old, struct inst_net *ret,
		       struct err *err)
{
	int r = inst_net_copy(ret, &i->net, err);

	for (size_t k = 0; r >= 0 && k < ret->n && k < old->n; k++) {
		struct inst_nic *nic = &ret->nics[k];
		size_t n = 0;

		for (size_t x = 0; x < nic->n_addresses; x++)
			if (nic_has(&old->nics[k], &nic->addresses[x].addr))
				nic->addresses[n++] = nic->addresses[x];
		nic->n_addresses = n;
	}
	return r;
}

/* Root inside can stand in the way of what is added, and of nothing else: what was taken away or
 * made smaller holds on the host's side, where addresses may be others' by now. */
static int take_away(struct inst *i, const struct err *why, struct err *err)
{
	struct network *n = i->manager->network;
	struct inst_links *old = i->p->links, *less = NULL;
	struct inst_net net;
	int r = without_new(i, old, &net, err);

	if (r < 0)
		return r;
	r = describe(i, &net, &less, err);
	inst_net_done(&net);
	if (r >= 0 && less->n != old->n)
		r = err_set(err, EBUSY, "it has another number of interfaces");
	if (r >= 0 && old->has_facts)
		r = net_filter_change(&n->filter, old->facts, old->n, less->facts, less->n, err);
	if (r < 0) {
		links_free(less);
		return r;
	}
	less->has_facts = old->has_facts;
	i->p->links = less;
	for (size_t k = 0; k < less->n; k++) {
		const struct net_nic *was = &old->nics[k];

		less->nics[k].uplink = was->uplink;
		for (size_t x = 0; x < was->n_addresses; x++)
			if (!nic_has(&less->nics[k], &was->addresses[x]) &&
			    net_nic_withdraw(&n->host, was, &was->addresses[x], 1, err) < 0)
				log_error("%s: %s", i->full_name, err_text(err));
	}
	if (links_shape(i, err) < 0)
		log_error("%s: %s", i->full_name, err_text(err));
	links_free(old);
	note(i, less, why);
	return 0;
}

const char *links_change(struct inst *i)
{
	struct inst_links *old = i->p->links, *now = NULL;
	struct err err = ERR_INIT, again = ERR_INIT;

	if (!old || !inst_is_up(i) || i->manager->network->state != NETWORK_READY)
		return NULL;
	/* They could not be described. */
	if (old->n == 0) {
		links_forget(i);
		links_found(i);
		return i->p->links && i->p->links->why[0] ? i->p->links->why : NULL;
	}
	if (describe(i, &i->net, &now, &err) >= 0 && change(i, now, &err) >= 0) {
		i->p->links = now;
		links_free(old);
		return NULL;
	}
	links_free(now);
	if (take_away(i, &err, &again) < 0) {
		note(i, old, &err);
		log_error("%s: what was taken from it may still be its own: %s", i->full_name,
			  err_text(&again));
	}
	return i->p->links->why;
}

void links_gone(struct inst *i)
{
	struct inst_links *l = i->p->links;
	struct network *n = i->manager->network;
	struct err err = ERR_INIT;

	if (!l)
		return;
	/* The pair goes with the guest's namespace, some time after: by then its addresses may be
	 * others'. To remove the link that holds its upload takes the kernel some 20 ms: the next
	 * start has it. */
	for (size_t k = 0; k < l->n && n; k++)
		if (net_nic_withdraw(&n->host, &l->nics[k], l->nics[k].addresses,
				     l->nics[k].n_addresses, &err) < 0)
			log_warning("%s: %s", i->full_name, err_text(&err));
	if (n && l->has_facts && net_filter_remove(&n->filter, l->facts, l->n, &err) < 0)
		log_warning("%s: the packet filter keeps it: %s", i->full_name, err_text(&err));
	i->p->links = NULL;
	links_free(l);
}

void links_drop(struct inst *i)
{
	struct network *n = i->manager->network;
	struct err err = ERR_INIT;

	links_gone(i);
	for (unsigned k = 0; k < NET_NICS && i->net.n > 0 && n->state == NETWORK_READY; k++) {
		char ifb[IFNAMSIZ];

		net_shape_name(ifb, i->id, k);
		if (net_shape_remove(&n->host, ifb, &err) < 0)
			log_warning("%s: %s", i->full_name, err_text(&err));
	}
}

void links_forget(struct inst *i)
{
	links_free(i->p->links);
	i->p->links = NULL;
}

/* By the names that follow from the id: also those of a guest whose links could not be described.
 */
static bool has_name(const struct inst *i, const char *name)
{
	struct net_nic nic;
	char ifb[IFNAMSIZ];

	for (unsigned n = 0; n < NET_NICS; n++) {
		net_shape_name(ifb, i->id, n);
		if (str_eq(ifb, name) ||
		    ((inst_is_up(i) || i->p->links) && net_nic_init(&nic, i->id, n, NULL) >= 0 &&
		     str_eq(nic.host_name, name)))
			return true;
	}
	return false;
}

bool links_has(const struct inst_manager *m, const char *name)
{
	for (size_t k = 0; k < m->n_insts; k++)
		if (has_name(m->insts[k], name))
			return true;
	return false;
}

bool links_answer(const struct inst_manager *m, int uplink, const struct addr *a)
{
	for (size_t k = 0; k < m->n_insts; k++) {
		const struct inst_links *l = m->insts[k]->p->links;

		for (size_t n = 0; l && n < l->n; n++) {
			const struct net_nic *nic = &l->nics[n];

			if (nic->uplink == uplink && nic_has(nic, a))
				return true;
		}
	}
	return false;
}
