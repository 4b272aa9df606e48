/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's part of networks. The packet filter is a table of nf_tables that belongs to a netlink
 * socket: vpsd has it, and the keeper a copy, so that the table outlives either. A new vpsd does
 * not guess what is in it: it loads a table of its own beside it, fills that with the guests that
 * it finds running, and removes the old one then. In between both must let a packet pass.
 */
#include "runtime/instance/network.h"

#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/str.h"
#include "netns/host.h"
#include "netns/shape.h"
#include "runtime/instance/private.h"

#define LOAD_LIMIT (60 * USEC_PER_SEC)
#define AGAIN (NETWORK_RETRY * USEC_PER_SEC)
#define PROC_SYS_NET "/proc/sys/net"
#define KEY "filter-"
#define KEY_TEXT 32

static const char *const tables[NETWORK_TABLES] = {"vpsd_a", "vpsd_b", "vpsd_c"};

static void key_of(unsigned table, char key[KEY_TEXT])
{
	(void)str_fmt(key, KEY_TEXT, KEY "%s", tables[table]);
}

const char *network_why_not(const struct inst_manager *m)
{
	const struct network *n = m->network;

	if (n->state == NETWORK_NONE)
		return "the host document has no networks";
	if (n->state == NETWORK_FAILED)
		return err_text(&n->why);
	return n->state == NETWORK_READY ? NULL
					 : "networks are being set up; try again in a second";
}

static void network_failed(struct inst_manager *m, const struct err *why);

/* --- the host's own settings ----------------------------------------------------------------- */

static void tell_settings(const struct net_settings *s)
{
	for (size_t i = 0; i < s->n; i++)
		log_info("networks: net.%s was %s and is %s now", s->items[i].path,
			 s->items[i].before, s->items[i].now);
}

int network_prepare(const struct spec_network *n, struct err *err)
{
	const struct net_host_wish wish = {.uplink = n->uplink_proxy ? n->uplink : NULL,
					   .has_ipv4 = n->ipv4.n > 0,
					   .has_ipv6 = n->ipv6.n > 0};
	struct net_settings changed = NET_SETTINGS_INIT;
	int r = net_host_prepare(PROC_SYS_NET, &wish, &changed, err);

	tell_settings(&changed);
	net_settings_done(&changed);
	return r < 0 ? err_ctx(err, "network '%s'", n->name) : 0;
}

static int prepare_host(const struct inst_manager *m, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->host->networks.n; i++)
		r = network_prepare(&m->host->networks.items[i], err);
	return r;
}

/* What holds for all guests. */
static int fill_host(struct inst_manager *m, struct err *err)
{
	size_t n = 0, most = 1;
	_cleanup_free_ struct addr *nat = NULL;
	struct net_filter_host h = {.n_nat = 0};
	int r = 0;

	for (size_t i = 0; i < m->host->networks.n; i++)
		most += m->host->networks.items[i].ipv4.n + m->host->networks.items[i].ipv6.n;
	nat = calloc(most, sizeof(*nat));
	if (!nat)
		return err_set(err, ENOMEM, "cannot set networks up: out of memory");
	for (size_t i = 0; r >= 0 && i < m->host->networks.n; i++) {
		const struct spec_network *s = &m->host->networks.items[i];

		if (s->mode != SPEC_NETWORK_NAT)
			continue;
		for (size_t k = 0; r >= 0 && k < s->ipv4.n; k++)
			r = addr_parse(s->ipv4.items[k], &nat[n++]);
		for (size_t k = 0; r >= 0 && k < s->ipv6.n; k++)
			r = addr_parse(s->ipv6.items[k], &nat[n++]);
	}
	if (r < 0)
		return err_set(err, -r, "cannot read the ranges of the networks");
	h.nat = nat;
	h.n_nat = n;
	return net_filter_set_host(&m->network->filter, &h, err);
}

/* --- the table ------------------------------------------------------------------------------- */

static void drop_old(struct inst_manager *m);
static void try_later(struct inst_manager *m);

static void on_hold(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct inst_manager *m = userdata;

	(void)reply;
	/* Another keeper is asked again. */
	if (m->is_closing || (err && err->code == EPIPE))
		return;
	if (err) {
		log_error("the packet filter ends with this vpsd: %s", err_text(err));
		try_later(m);
		return;
	}
	m->network->is_held = true;
	/* Not before: the old ones are what holds when this vpsd dies now. */
	if (m->network->is_armed)
		drop_old(m);
}

void network_hold(struct inst_manager *m)
{
	struct network *n = m->network;
	struct err err = ERR_INIT;
	char key[KEY_TEXT];

	n->is_held = false;
	if (n->state != NETWORK_READY || !m->keeper.is_speaking)
		return;
	key_of(n->table, key);
	if (keeper_client_hold(m->keeper.client, key, n->filter.sock.fd,
			       (struct keeper_call){.done = on_hold, .userdata = m}, &err) < 0) {
		log_error("the packet filter ends with this vpsd: %s", err_text(&err));
		try_later(m);
	}
	keeper_link_poke(m);
}

static void network_done(struct inst_manager *m)
{
	m->network->state = NETWORK_READY;
	m->network->why = ERR_INIT;
	network_hold(m);
	if (!m->is_ready) {
		manager_start_step(m, NULL);
		return;
	}
	/* It had failed at the start: guests run by now. */
	for (size_t k = 0; k < m->n_insts; k++)
		if (inst_is_up(m->insts[k]))
			links_found(m->insts[k]);
	network_recovered(m);
}

static void job_sock_close(struct network *n)
{
	cleanup_close(&n->job_sock);
}

static void on_loaded(void *arg, const char *code, const struct err *job_err, json_t *result)
{
	struct inst_manager *m = arg;
	struct network *n = m->network;
	struct err err = ERR_INIT;
	int r;

	(void)code;
	(void)result;
	n->job = NULL;
	if (job_err) {
		err = *job_err;
		r = -err.code;
	} else {
		r = net_filter_take(n->job_sock, tables[n->table], &n->filter, &err);
	}
	job_sock_close(n);
	if (r >= 0)
		r = fill_host(m, &err);
	if (r < 0) {
		net_filter_done(&n->filter);
		network_failed(m, &err);
		return;
	}
	network_done(m);
}

/* The rules are loaded by a job, which sends the socket that owns them. */
static int load(struct inst_manager *m, struct err *err)
{
	struct network *n = m->network;
	const char *const argv[] = {"filter",  "--file",	 m->filter_path,
				    "--table", tables[n->table], NULL};
	struct job_spec job = {.argv = argv,
			       .flags = JOB_IMMEDIATE | JOB_GIVEN_STDIN,
			       .timeout_usec = LOAD_LIMIT,
			       .done = on_loaded,
			       .arg = m};
	int pair[2];
	int r = msg_socketpair(pair, err);

	if (r < 0)
		return r;
	n->job_sock = pair[0];
	job.given_stdin = pair[1];
	r = job_start(m->jobs, &job, &n->job, err);
	(void)close(pair[1]);
	if (r < 0)
		job_sock_close(n);
	return r;
}

/* The first name that no earlier vpsd has left a table of. */
static void choose_table(const struct inst_manager *m)
{
	struct network *n = m->network;

	n->table = 0;
	while (n->table < NETWORK_TABLES && n->old[n->table].sock.fd >= 0)
		n->table++;
	/* Three of them: vpsd was killed in the middle more than once. Two hold as well; not the
	 * one whose counters are those that count. */
	if (n->table == NETWORK_TABLES)
		do
			n->table--;
		while (n->table > 0 && usage_refers(m, &n->old[n->table]));
	if (n->old[n->table].sock.fd >= 0) {
		(void)net_filter_drop(&n->old[n->table], NULL);
		net_filter_done(&n->old[n->table]);
	}
}

static void begin_load(struct inst_manager *m)
{
	struct network *n = m->network;
	struct err err = ERR_INIT;

	n->state = NETWORK_LOADING;
	choose_table(m);
	if (n->host.fd < 0 && nl_sock_open(NETLINK_ROUTE, &n->host, &err) < 0)
		network_failed(m, &err);
	else if (network_watch_open(m, &err) < 0 || prepare_host(m, &err) < 0 || load(m, &err) < 0)
		network_failed(m, &err);
}

/* --- what an earlier vpsd has left ----------------------------------------------------------- */

static void ask_next(struct inst_manager *m);

/* What is had already stays unless there is something in its place. */
static void adopt(struct keeper_reply *reply, const char *table, struct net_filter *old)
{
	_cleanup_close_ int fd = take_fd(&reply->fd);
	struct err err = ERR_INIT;

	net_filter_done(old);
	if (net_filter_adopt(fd, table, old, &err) < 0) {
		log_warning("%s", err_text(&err));
		return;
	}
	fd = -1;
	if (net_filter_check(old, NULL) < 0)
		net_filter_done(old);
}

static void on_held(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct inst_manager *m = userdata;
	struct network *n = m->network;
	struct net_filter *old = &n->old[n->asked];

	if (m->is_closing)
		return;
	if (err && err->code == EPIPE) {
		/* From the beginning with the next keeper. */
		n->state = NETWORK_IDLE;
		return;
	}
	if (!err)
		adopt(reply, tables[n->asked], old);
	n->asked++;
	ask_next(m);
}

static void ask_next(struct inst_manager *m)
{
	struct network *n = m->network;
	struct err err = ERR_INIT;
	char key[KEY_TEXT];

	if (n->asked == NETWORK_TABLES) {
		begin_load(m);
		return;
	}
	n->state = NETWORK_ASKING;
	key_of(n->asked, key);
	if (keeper_client_held(m->keeper.client, key,
			       (struct keeper_call){.done = on_held, .userdata = m}, &err) < 0)
		network_failed(m, &err);
	keeper_link_poke(m);
}

/* --- from start to end ----------------------------------------------------------------------- */

static int on_again(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst_manager *m = arg;
	struct network *n = m->network;

	(void)s;
	(void)usec;
	n->again = sd_event_source_disable_unref(n->again);
	if (!m->keeper.is_speaking) {
		try_later(m);
	} else if (n->state == NETWORK_READY) {
		if (!n->is_held)
			network_hold(m);
		if (m->is_ready && !n->is_armed)
			network_recovered(m);
		else if (n->is_armed && n->is_held && !n->is_alone)
			drop_old(m);
	} else if (n->state == NETWORK_FAILED && n->asked < NETWORK_TABLES) {
		n->asked = 0;
		ask_next(m);
	} else if (n->state == NETWORK_FAILED) {
		begin_load(m);
	}
	return 0;
}

static void try_later(struct inst_manager *m)
{
	struct network *n = m->network;

	n->again = sd_event_source_disable_unref(n->again);
	if (sd_event_add_time_relative(m->event, &n->again, CLOCK_MONOTONIC, AGAIN, USEC_PER_SEC,
				       on_again, m) < 0)
		log_warning("networks: no timer to try again");
}

/* vpsd is ready without networks: who needs them is told why there are none. */
static void network_failed(struct inst_manager *m, const struct err *why)
{
	struct network *n = m->network;

	if (!str_eq(err_text(&n->why), err_text(why)))
		log_error("networks cannot be set up: %s", err_text(why));
	n->why = *why;
	n->state = NETWORK_FAILED;
	try_later(m);
	if (!m->is_ready)
		manager_start_step(m, NULL);
}

bool network_start(struct inst_manager *m)
{
	struct network *n = m->network;

	if (n->state == NETWORK_IDLE) {
		n->asked = 0;
		ask_next(m);
	}
	return n->state == NETWORK_NONE || n->state == NETWORK_READY || n->state == NETWORK_FAILED;
}

/* What they have counted is durable. */
static void drop_counted(struct inst_manager *m)
{
	struct network *n = m->network;
	struct err err = ERR_INIT;
	char key[KEY_TEXT];

	for (unsigned k = 0; k < NETWORK_TABLES; k++) {
		if (n->old[k].sock.fd < 0)
			continue;
		if (net_filter_drop(&n->old[k], &err) < 0)
			log_warning("cannot remove an earlier packet filter: %s", err_text(&err));
		net_filter_done(&n->old[k]);
		if (k == n->table)
			continue;
		key_of(k, key);
		(void)keeper_client_unhold(m->keeper.client, key, (struct keeper_call){0}, NULL);
	}
	keeper_link_poke(m);
}

static void drop_old(struct inst_manager *m)
{
	struct network *n = m->network;
	struct err err = ERR_INIT;

	n->is_alone = usage_take_over(m, n->old, NETWORK_TABLES, drop_counted, &err) >= 0;
	if (!n->is_alone) {
		log_error("an earlier packet filter stays until it is counted: %s", err_text(&err));
		try_later(m);
	}
}

/* Answers on an uplink for addresses that nobody has here: the address may be another host's. */
static void drop_answers(struct inst_manager *m, const struct net_proxies *proxies)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	struct err err = ERR_INIT;

	for (size_t i = 0; i < proxies->n; i++) {
		const struct net_proxy *p = &proxies->items[i];

		if (!links_answer(m, p->link, &p->a))
			net_proxy_delete(b, p);
	}
	if (nl_batch_run(&m->network->host, b, &err) < 0)
		log_warning("cannot take answers on an uplink back: %s", err_text(&err));
}

/* Links that no guest speaks for: of one that ended while there was no vpsd, or whose launch it did
 * not live to see. */
static void drop_strays(struct inst_manager *m)
{
	struct network *n = m->network;
	_cleanup_net_seen_ struct net_seen seen = NET_SEEN_INIT;
	_cleanup_net_shape_list_ struct net_shape_list ifbs = {.names = NULL};
	struct err err = ERR_INIT;

	if (net_seen_read(&n->host, &seen, &err) < 0 || net_shape_list(&n->host, &ifbs, &err) < 0) {
		log_warning("cannot look for links of nobody: %s", err_text(&err));
		return;
	}
	for (size_t i = 0; i < seen.links.n; i++) {
		const struct net_link *l = &seen.links.items[i];

		if (l->group != NET_LINK_GROUP || !net_nic_is_host_name(l->name) ||
		    links_has(m, l->name))
			continue;
		log_warning("removing the link '%s' of nobody", l->name);
		if (net_stray_delete(&n->host, l, &err) < 0)
			log_warning("%s", err_text(&err));
	}
	for (size_t i = 0; i < ifbs.n; i++)
		if (!links_has(m, ifbs.names[i]))
			(void)net_shape_remove(&n->host, ifbs.names[i], NULL);
	drop_answers(m, &seen.proxies);
}

void network_recovered(struct inst_manager *m)
{
	struct network *n = m->network;
	struct err err = ERR_INIT;

	net_seen_done(&n->seen);
	n->has_seen = false;
	if (n->state != NETWORK_READY || n->is_armed)
		return;
	if (net_filter_arm(&n->filter, &err) < 0) {
		log_error("the packet filter cannot be closed: %s", err_text(&err));
		try_later(m);
		return;
	}
	n->is_armed = true;
	if (n->is_held)
		drop_old(m);
	drop_strays(m);
}

int network_open(struct inst_manager *m, struct err *err)
{
	struct network *n = calloc(1, sizeof(*n));

	m->network = n;
	if (!n)
		return err_set(err, ENOMEM, "cannot open networks: out of memory");
	n->state = inst_has_networks(m) ? NETWORK_IDLE : NETWORK_NONE;
	n->host = NL_SOCK_INIT;
	n->filter = NET_FILTER_INIT;
	for (unsigned k = 0; k < NETWORK_TABLES; k++)
		n->old[k] = NET_FILTER_INIT;
	n->seen = NET_SEEN_INIT;
	n->job_sock = -1;
	return 0;
}

void network_close(struct inst_manager *m)
{
	struct network *n = m->network;

	if (!n)
		return;
	network_watch_close(m);
	sd_event_source_disable_unref(n->again);
	net_seen_done(&n->seen);
	job_sock_close(n);
	for (unsigned k = 0; k < NETWORK_TABLES; k++)
		net_filter_done(&n->old[k]);
	net_filter_done(&n->filter);
	nl_sock_done(&n->host);
	free(n);
	m->network = NULL;
}
