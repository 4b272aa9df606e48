/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others do to the host's network and what guests lose by it. The kernel forgets what the host
 * answers for on an uplink that goes down, and never knew it for one that was made anew; it drops
 * every route that speaks from an address which the host loses; somebody may flush routes. The
 * kernel tells of each, and the guests' links are put right, some guests at a time.
 */
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/str.h"
#include "config/network.h"
#include "netns/watch.h"
#include "runtime/instance/private.h"

#define GUESTS_AT_ONCE 16u
/* A network card that is set up goes up and down some times. */
#define SETTLE (100 * USEC_PER_MSEC)
/* What could not be put right is tried again. */
#define AGAIN (2 * USEC_PER_SEC)
#define AGAIN_MAX 5

struct uplink {
	const struct spec_network *network;
	int index; /* 0 = it is not there */
	bool is_up;
	bool is_back; /* its answers may be missing */
};

struct network_watch {
	struct inst_manager *m;
	struct nl_sock news;
	sd_event_source *on_news, *on_turn;
	struct uplink *uplinks;
	size_t n_uplinks;
	struct addr sources[2]; /* IPv4, IPv6: the host speaks to guests from them */
	bool is_due;		/* guests have to be looked at */
	bool is_again;		/* that came while they were: once more when this round ends */
	unsigned tries;
	bool has_failed;      /* in this round */
	struct net_seen seen; /* as it was at the first of the turns */
	bool has_seen;
	size_t left; /* instances to look at, from the last one: none is left out when others go */
};

/* --- news ------------------------------------------------------------------------------------ */

/* Whether it is the host end of a guest that has links. */
static bool is_guests(const struct inst_manager *m, const struct net_link *l)
{
	for (size_t k = 0; k < m->n_insts; k++) {
		const struct inst_links *links = m->insts[k]->p->links;

		for (size_t n = 0; links && n < links->n; n++)
			if (str_eq(links->nics[n].host_name, l->name))
				return true;
	}
	return false;
}

/* Without a carrier it is as if it were down: kernels before 6.17 forget answers then, too. */
static bool is_working(const struct net_link *l)
{
	return l->is_up && l->has_carrier;
}

static void on_link(void *arg, const struct net_link *l, bool is_gone)
{
	struct network_watch *w = arg;

	/* Its routes go with it being up. */
	if (l->group == NET_LINK_GROUP) {
		w->is_due |= !is_gone && !l->is_up && is_guests(w->m, l);
		return;
	}
	for (size_t k = 0; k < w->n_uplinks; k++) {
		struct uplink *up = &w->uplinks[k];

		if (up->index != l->index && !str_eq(l->name, up->network->uplink))
			continue;
		if (is_gone || !is_working(l)) {
			if (up->index == l->index)
				up->is_up = false;
			continue;
		}
		up->is_back |= !up->is_up || up->index != l->index;
		w->is_due |= up->is_back;
		up->index = l->index;
		up->is_up = true;
	}
}

/* Without the prefix of its network. */
static bool is_source(const struct network_watch *w, const struct addr *a)
{
	struct addr single = *a;

	single.prefix = (uint8_t)addr_bits(a);
	return addr_equal(&w->sources[a->family == AF_INET6], &single);
}

static void on_address(void *arg, const struct net_address *a, bool is_gone)
{
	struct network_watch *w = arg;
	bool has_source = w->sources[a->a.family == AF_INET6].family != 0;

	/* The gateways of guests come and go with each. */
	if (spec_why_no_guest(&a->a))
		return;
	w->is_due |= is_gone ? is_source(w, &a->a) : !has_source;
}

/* Whether a guest that runs is to be reached by it. */
static bool is_wanted(const struct inst_manager *m, const struct net_route *r)
{
	for (size_t k = 0; k < m->n_insts; k++) {
		const struct inst_links *l = m->insts[k]->p->links;

		for (size_t n = 0; l && n < l->n; n++)
			for (size_t x = 0; x < l->nics[n].n_addresses; x++)
				if (addr_equal(&l->nics[n].addresses[x], &r->to))
					return true;
	}
	return false;
}

static void on_route_gone(void *arg, const struct net_route *r)
{
	struct network_watch *w = arg;

	if (r->protocol == NET_PROTOCOL && !w->is_due)
		w->is_due = is_wanted(w->m, r);
}

/* At the start, and when the kernel had too much to tell: whatever is up may have been down. */
static void look(struct network_watch *w, bool is_due)
{
	for (size_t k = 0; k < w->n_uplinks; k++) {
		struct uplink *up = &w->uplinks[k];
		struct net_link l;

		if (net_link_by_name(&w->m->network->host, up->network->uplink, &l, NULL) <= 0)
			l = (struct net_link){.index = 0};
		up->index = l.index;
		up->is_up = is_working(&l);
		up->is_back |= is_due && up->is_up;
	}
	w->is_due |= is_due;
}

/* --- putting right --------------------------------------------------------------------------- */

static const struct uplink *uplink_of(const struct network_watch *w, const struct spec_network *n)
{
	for (size_t k = 0; k < w->n_uplinks; k++)
		if (w->uplinks[k].is_up && w->uplinks[k].network == n)
			return &w->uplinks[k];
	return NULL;
}

/* It is another one by now: on the one before, which may still be there, nobody is answered for. */
static void change_uplink(struct network_watch *w, struct net_nic *nic, int index, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();

	for (size_t k = 0; nic->uplink && k < nic->n_addresses; k++) {
		const struct net_proxy p = {.link = nic->uplink, .a = nic->addresses[k]};

		if (addr_is_single(&p.a))
			net_proxy_delete(b, &p);
	}
	if (nl_batch_size(b) > 0 && nl_batch_run(&w->m->network->host, b, err) < 0)
		log_warning("%s", err_text(err));
	nic->uplink = index;
}

static void put_right(struct network_watch *w, struct inst *i)
{
	struct inst_links *l = i->p->links;
	struct err err = ERR_INIT;
	unsigned repaired = 0, of_nic;

	/* They could not be described: perhaps now. */
	if (l && l->n == 0 && inst_is_up(i)) {
		links_forget(i);
		links_found(i);
		return;
	}
	for (size_t k = 0; l && k < l->n; k++) {
		const struct uplink *up = uplink_of(w, l->networks[k]);
		struct net_nic *nic = &l->nics[k];

		/* Not made yet, or removed by its guest's root: missing for good. */
		if (!net_seen_nic(&w->seen, nic))
			continue;
		if (up && up->index != nic->uplink)
			change_uplink(w, nic, up->index, &err);
		nic->source4 = w->sources[0];
		nic->source6 = w->sources[1];
		of_nic = 0;
		if (net_nic_repair(&w->m->network->host, -1, nic, &w->seen, &of_nic, &err) < 0) {
			log_warning("%s: the host's side of its eth%zu is not as it should be: %s",
				    i->full_name, k, err_text(&err));
			w->has_failed = true;
		}
		repaired += of_nic;
	}
	if (repaired > 0)
		log_info("%s: %u of its routes or answers were put right", i->full_name, repaired);
}

static void prepare_uplinks(struct network_watch *w)
{
	for (size_t k = 0; k < w->n_uplinks; k++) {
		struct uplink *up = &w->uplinks[k];
		struct err err = ERR_INIT;

		if (!up->is_back)
			continue;
		log_info("network '%s': the uplink '%s' is up again", up->network->name,
			 up->network->uplink);
		up->is_back = network_prepare(up->network, &err) < 0;
		if (!up->is_back)
			continue;
		log_warning("%s", err_text(&err));
		w->has_failed = true;
	}
}

/* Before the first of the guests. */
static int begin(struct network_watch *w, struct err *err)
{
	int r;

	w->has_failed = false;
	prepare_uplinks(w);
	r = links_sources(&w->sources[0], &w->sources[1], err);
	if (r >= 0)
		r = net_seen_read(&w->m->network->host, &w->seen, err);
	w->has_seen = r >= 0;
	w->left = w->m->n_insts;
	return r < 0 ? r : 0;
}

static void begin_later(struct network_watch *w, uint64_t usec);

static void round_ends(struct network_watch *w)
{
	net_seen_done(&w->seen);
	w->has_seen = false;
	w->on_turn = sd_event_source_disable_unref(w->on_turn);
	if (w->is_again)
		begin_later(w, SETTLE);
	else if (w->has_failed && ++w->tries < AGAIN_MAX)
		begin_later(w, AGAIN);
	else if (w->has_failed)
		log_error("the host's side of guests' links was not put right in %d tries",
			  AGAIN_MAX);
	w->is_again = false;
}

static int on_turn(sd_event_source *s, uint64_t usec, void *arg)
{
	struct network_watch *w = arg;
	struct err err = ERR_INIT;

	(void)usec;
	if (!w->has_seen && begin(w, &err) < 0) {
		log_error("the host's side of guests' links cannot be put right: %s",
			  err_text(&err));
		w->has_failed = true;
		round_ends(w);
		return 0;
	}
	for (size_t k = 0; k < GUESTS_AT_ONCE && w->left > 0; k++)
		if (--w->left < w->m->n_insts)
			put_right(w, w->m->insts[w->left]);
	if (w->left == 0) {
		round_ends(w);
		return 0;
	}
	if (sd_event_source_set_time_relative(s, 0) < 0 ||
	    sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) < 0)
		log_error("the host's side of guests' links is not looked at: no timer");
	return 0;
}

static void begin_later(struct network_watch *w, uint64_t usec)
{
	if (sd_event_add_time_relative(w->m->event, &w->on_turn, CLOCK_MONOTONIC, usec, 0, on_turn,
				       w) < 0)
		log_error("the host's side of guests' links is not looked at: no timer");
}

/* What is put right is news as well: a round that is under way ends first. */
static void begin_soon(struct network_watch *w)
{
	w->is_due = false;
	w->is_again = w->has_seen;
	if (w->has_seen || (w->on_turn && w->tries == 0))
		return;
	w->tries = 0;
	w->on_turn = sd_event_source_disable_unref(w->on_turn);
	begin_later(w, SETTLE);
}

static void hear_anew(struct network_watch *w);

static int on_news(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct network_watch *w = arg;
	const struct net_watch watch = {
		.arg = w, .link = on_link, .address = on_address, .route_gone = on_route_gone};
	struct err err = ERR_INIT;
	int r;

	(void)s;
	(void)fd;
	(void)revents;
	r = net_watch_read(&w->news, &watch, &err);
	if (r > 0)
		look(w, true);
	if (r < 0) {
		log_error("%s", err_text(&err));
		hear_anew(w);
	}
	if (w->is_due)
		begin_soon(w);
	return 0;
}

/* --- from start to end ----------------------------------------------------------------------- */

static int listen_to(struct network_watch *w, struct err *err)
{
	int r = net_watch_open(&w->news, err);

	if (r < 0)
		return r;
	look(w, false);
	r = links_sources(&w->sources[0], &w->sources[1], err);
	if (r < 0)
		return r;
	r = sd_event_add_io(w->m->event, &w->on_news, w->news.fd, EPOLLIN, on_news, w);
	return r < 0 ? err_set_errno(err, -r, "cannot watch the host's network") : 0;
}

/* By a new socket; whatever the old one did not tell may have happened. */
static void hear_anew(struct network_watch *w)
{
	struct err err = ERR_INIT;

	w->on_news = sd_event_source_disable_unref(w->on_news);
	nl_sock_done(&w->news);
	if (listen_to(w, &err) < 0)
		log_error("what others do to the host's network is no longer put right: %s",
			  err_text(&err));
	look(w, true);
}

int network_watch_open(struct inst_manager *m, struct err *err)
{
	const struct spec_host *h = m->host;
	struct network_watch *w;
	int r;

	if (m->network->watch)
		return 0;
	w = calloc(1, sizeof(*w));
	if (w)
		*w = (struct network_watch){.m = m, .news = NL_SOCK_INIT, .seen = NET_SEEN_INIT};
	if (w)
		w->uplinks = calloc(h->networks.n + 1, sizeof(*w->uplinks));
	m->network->watch = w;
	if (!w || !w->uplinks) {
		network_watch_close(m);
		return err_set(err, ENOMEM, "cannot watch the host's network: out of memory");
	}
	for (size_t k = 0; k < h->networks.n; k++)
		if (h->networks.items[k].uplink_proxy)
			w->uplinks[w->n_uplinks++].network = &h->networks.items[k];
	r = listen_to(w, err);
	if (r < 0)
		network_watch_close(m);
	return r;
}

void network_watch_close(struct inst_manager *m)
{
	struct network_watch *w = m->network->watch;

	if (!w)
		return;
	sd_event_source_disable_unref(w->on_news);
	sd_event_source_disable_unref(w->on_turn);
	net_seen_done(&w->seen);
	nl_sock_done(&w->news);
	free(w->uplinks);
	free(w);
	m->network->watch = NULL;
}
