/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of netns/nic.h and netns/host.h as commands, for tests/integration/links.bats; run
 * in the namespace that plays the host. A NIC is said by words like addr=10.0.0.7.
 *   add|change|repair NETNS WORDS    delete|list|prepare-host WORDS    prepare NETNS    time COUNT
 * Errors go to stderr with their errno name, exit status 1. With LINK_PROBE_DIE=N in the
 * environment it is killed before it sends to the kernel for the Nth time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "base/str.h"
#include "netns/host.h"
#include "netns/nic.h"

struct call {
	struct nl_sock host;
	int netns;
	int argc;
	char **argv;
};

struct words {
	struct net_nic nic;
	struct addr addresses[NET_NIC_ADDRESSES];
};

/* Takes the place of the C library's. */
ssize_t sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG to,
	       socklen_t to_len)
{
	static int left = -1;
	const char *die = getenv("LINK_PROBE_DIE");
	uint64_t n;

	if (left < 0)
		left = die && num_parse_u64(die, 1, 1000, &n) == 0 ? (int)n : 0;
	if (left > 0 && --left == 0)
		(void)kill(getpid(), SIGKILL);
	return syscall(SYS_sendto, fd, data, len, flags, to.__sockaddr__, to_len);
}

static int bad_word(const char *word, struct err *err)
{
	return err_set(err, EINVAL, "'%s' is no word of a NIC", word);
}

static int take_addr(const char *text, struct addr *ret, struct err *err)
{
	return addr_parse(text, ret) < 0 ? bad_word(text, err) : 0;
}

static int take_link(struct call *c, const char *name, int *ret, struct err *err)
{
	struct net_link l;
	int r = net_link_find(&c->host, name, &l, err);

	if (r >= 0)
		*ret = l.index;
	return r;
}

static int take_word(struct call *c, struct words *w, const char *word, const char *value,
		     size_t len, struct err *err)
{
	struct net_nic *nic = &w->nic;
	uint64_t v = 0;
	int bridge = 0;
	int r;

	if (strncmp(word, "addr", len) == 0) {
		if (nic->n_addresses == NET_NIC_ADDRESSES)
			return bad_word(word, err);
		return take_addr(value, &w->addresses[nic->n_addresses++], err);
	}
	if (strncmp(word, "source", len) == 0 || strncmp(word, "gateway", len) == 0) {
		bool is_gateway = *word == 'g';
		struct addr a;

		r = take_addr(value, &a, err);
		if (r < 0)
			return r;
		if (a.family == AF_INET)
			*(is_gateway ? &nic->gateway4 : &nic->source4) = a;
		else
			*(is_gateway ? &nic->gateway6 : &nic->source6) = a;
		return 0;
	}
	if (strncmp(word, "uplink", len) == 0)
		return take_link(c, value, &nic->uplink, err);
	if (strncmp(word, "bridge", len) == 0) {
		r = take_link(c, value, &bridge, err);
		if (r >= 0)
			net_nic_set_bridge(nic, bridge, nic->vlan);
		return r;
	}
	if (num_parse_u64(value, 0, UINT32_MAX, &v) < 0)
		return bad_word(word, err);
	if (strncmp(word, "mtu", len) == 0)
		nic->mtu = (uint32_t)v;
	else if (strncmp(word, "vlan", len) == 0)
		nic->vlan = (uint16_t)v;
	else if (strncmp(word, "default", len) == 0)
		nic->has_default4 = nic->has_default6 = v != 0;
	else
		return bad_word(word, err);
	return 0;
}

/* "ID/N" first; up to the end or "--". */
static int take_nic(struct call *c, struct words *w, struct err *err)
{
	char id[64];
	uint64_t n = 0;
	const char *slash = c->argc > 0 ? strchr(c->argv[0], '/') : NULL;
	int r;

	if (!slash || num_parse_u64(slash + 1, 0, 1000, &n) < 0 ||
	    str_fmt(id, sizeof(id), "%.*s", (int)(slash - c->argv[0]), c->argv[0]) < 0)
		return bad_word(c->argc > 0 ? c->argv[0] : "", err);
	r = net_nic_init(&w->nic, id, (unsigned)n, err);
	w->nic.addresses = w->addresses;
	for (c->argc--, c->argv++; r >= 0 && c->argc > 0; c->argc--, c->argv++) {
		const char *word = c->argv[0], *value = strchr(word, '=');

		if (str_eq(word, "--")) {
			c->argc--;
			c->argv++;
			break;
		}
		if (!value)
			return bad_word(word, err);
		r = take_word(c, w, word, value + 1, (size_t)(value - word), err);
	}
	return r;
}

static int do_add(struct call *c, struct err *err)
{
	struct words w = {.nic.n = 0};
	int r = take_nic(c, &w, err);

	return r < 0 ? r : net_nic_add(&c->host, c->netns, &w.nic, err);
}

static int do_delete(struct call *c, struct err *err)
{
	struct words w = {.nic.n = 0};
	int r = take_nic(c, &w, err);

	return r < 0 ? r : net_nic_delete(&c->host, &w.nic, err);
}

static int do_change(struct call *c, struct err *err)
{
	struct words from = {.nic.n = 0}, to = {.nic.n = 0};
	int r = take_nic(c, &from, err);

	if (r >= 0)
		r = take_nic(c, &to, err);
	return r < 0 ? r : net_nic_change(&c->host, c->netns, &from.nic, &to.nic, err);
}

static int do_repair(struct call *c, struct err *err)
{
	_cleanup_net_seen_ struct net_seen seen = NET_SEEN_INIT;
	struct words w = {.nic.n = 0};
	unsigned repaired = 0;
	int r = take_nic(c, &w, err);

	if (r >= 0)
		r = net_seen_read(&c->host, &seen, err);
	if (r >= 0)
		r = net_nic_repair(&c->host, c->netns, &w.nic, &seen, &repaired, err);
	if (r >= 0)
		(void)printf("repaired %u\n", repaired);
	return r;
}

static int do_list(struct call *c, struct err *err)
{
	_cleanup_net_seen_ struct net_seen seen = NET_SEEN_INIT;
	char text[ADDR_TEXT], from[ADDR_TEXT];
	int r = net_seen_read(&c->host, &seen, err);

	for (size_t i = 0; r >= 0 && i < seen.links.n; i++) {
		const struct net_link *l = &seen.links.items[i];
		size_t n;
		const struct net_route *routes = net_seen_routes(&seen, l->index, &n);

		if (l->group != NET_LINK_GROUP && !net_nic_is_host_name(l->name))
			continue;
		(void)printf("%s %s '%s' mtu %u\n", l->name,
			     l->group == NET_LINK_GROUP ? "ours" : "foreign", l->alias, l->mtu);
		for (size_t k = 0; k < n; k++) {
			addr_format(text, &routes[k].to);
			addr_format(from, &routes[k].from);
			(void)printf("  %s from %s\n", text, from);
		}
	}
	for (size_t i = 0; r >= 0 && i < seen.proxies.n; i++) {
		addr_format(text, &seen.proxies.items[i].a);
		(void)printf("answers for %s\n", text);
	}
	return r;
}

/* Deletes all of ours; what is not is an error. */
static int do_strays(struct call *c, struct err *err)
{
	_cleanup_net_seen_ struct net_seen seen = NET_SEEN_INIT;
	int r = net_seen_read(&c->host, &seen, err);

	for (size_t i = 0; r >= 0 && i < seen.links.n; i++)
		if (net_nic_is_host_name(seen.links.items[i].name))
			r = net_stray_delete(&c->host, &seen.links.items[i], err);
	return r;
}

static int do_prepare(struct call *c, struct err *err)
{
	return net_namespace_prepare(c->netns, err);
}

static int do_prepare_host(struct call *c, struct err *err)
{
	const struct net_host_wish wish = {
		.uplink = c->argc > 0 ? c->argv[0] : NULL, .has_ipv4 = true, .has_ipv6 = true};
	struct net_settings changed = NET_SETTINGS_INIT;
	int r = net_host_prepare("/proc/sys/net", &wish, &changed, err);

	for (size_t i = 0; i < changed.n; i++)
		(void)printf("%s: %s -> %s\n", changed.items[i].path, changed.items[i].before,
			     changed.items[i].now);
	net_settings_done(&changed);
	return r;
}

/* --- figures --------------------------------------------------------------------------------- */

static int64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int new_namespace(int home)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return setns(home, CLONE_NEWNET) < 0 ? -errno : fd;
}

static int nth(struct words *w, unsigned k, struct err *err)
{
	char id[ID_TEXT], text[2][ADDR_TEXT];
	int r = str_fmt(id, sizeof(id), "%08x%08x", k * 2654435761u, k);

	if (r >= 0)
		r = net_nic_init(&w->nic, id, 0, err);
	(void)str_fmt(text[0], ADDR_TEXT, "10.77.%u.%u", k >> 8, k & 255);
	(void)str_fmt(text[1], ADDR_TEXT, "fd77::1:%x", k);
	w->nic.addresses = w->addresses;
	w->nic.n_addresses = 2;
	w->nic.has_default4 = w->nic.has_default6 = true;
	return r < 0 || addr_parse(text[0], &w->addresses[0]) < 0 ||
			       addr_parse(text[1], &w->addresses[1]) < 0
		       ? -EINVAL
		       : 0;
}

static int do_time(struct call *c, struct err *err)
{
	static int netns[2000];
	int64_t first[3] = {0}, last[3] = {0}, t;
	uint64_t n = 0;
	_cleanup_close_ int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_net_seen_ struct net_seen seen = NET_SEEN_INIT;
	struct words w = {.nic.n = 0};
	int r = 0;

	if (c->argc < 1 || num_parse_u64(c->argv[0], 10, 2000, &n) < 0)
		return err_set(err, EINVAL, "a number of NICs from 10 to 2000 is wanted");
	for (unsigned k = 0; r >= 0 && k < n; k++) {
		netns[k] = new_namespace(home);
		if (netns[k] < 0)
			return err_set(err, -netns[k], "cannot make a network namespace");
		r = nth(&w, k + 1, err);
		t = now();
		if (r >= 0)
			r = net_namespace_prepare(netns[k], err);
		/* Of the first and the last five. */
		*(k < 5 ? &first[0] : k + 5 >= n ? &last[0] : &first[2]) += now() - t;
		t = now();
		if (r >= 0)
			r = net_nic_add(&c->host, netns[k], &w.nic, err);
		*(k < 5 ? &first[1] : k + 5 >= n ? &last[1] : &first[2]) += now() - t;
	}
	if (r < 0)
		return r;
	t = now();
	r = net_seen_read(&c->host, &seen, err);
	(void)printf("read all: %" PRId64 " us\n", now() - t);
	for (unsigned k = 0; r >= 0 && k < n; k++) {
		r = nth(&w, k + 1, err);
		t = now();
		if (r >= 0)
			r = net_nic_delete(&c->host, &w.nic, err);
		*(k < 5 ? &last[2] : &first[2]) += now() - t;
		(void)close(netns[k]);
	}
	(void)printf("prepare: first %" PRId64 " us, last %" PRId64 " us\n", first[0] / 5,
		     last[0] / 5);
	(void)printf("add: first %" PRId64 " us, last %" PRId64 " us\n", first[1] / 5, last[1] / 5);
	(void)printf("delete: %" PRId64 " us\n", last[2] / 5);
	return r;
}

static const struct verb {
	const char *name;
	int (*run)(struct call *c, struct err *err);
	bool has_netns; /* its path comes first; "-" = none */
} verbs[] = {
	{"add", do_add, true},	       {"delete", do_delete, false},
	{"change", do_change, true},   {"repair", do_repair, true},
	{"list", do_list, false},      {"strays", do_strays, false},
	{"prepare", do_prepare, true}, {"prepare-host", do_prepare_host, false},
	{"time", do_time, false},
};

static int run(const struct verb *v, struct call *c, struct err *err)
{
	int r = nl_sock_open(NETLINK_ROUTE, &c->host, err);

	if (r < 0 || !v->has_netns)
		return r < 0 ? r : v->run(c, err);
	if (c->argc < 1)
		return bad_word("", err);
	if (!str_eq(c->argv[0], "-")) {
		c->netns = open(c->argv[0], O_RDONLY | O_CLOEXEC);
		if (c->netns < 0)
			return err_sys(err, "cannot open '%s'", c->argv[0]);
	}
	c->argc--;
	c->argv++;
	return v->run(c, err);
}

int main(int argc, char **argv)
{
	struct call c = {.host = NL_SOCK_INIT, .netns = -1, .argc = argc - 2, .argv = argv + 2};
	struct err err = ERR_INIT;
	int r;

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!str_eq(verbs[i].name, argv[1]))
			continue;
		r = run(&verbs[i], &c, &err);
		if (r < 0)
			(void)fprintf(stderr, "%s: %s\n", strerrorname_np(-r), err_text(&err));
		nl_sock_done(&c.host);
		cleanup_close(&c.netns);
		return r < 0;
	}
	(void)fprintf(stderr, "usage: link_probe VERB [NETNS] [ID/N WORD=VALUE...]\n");
	return 2;
}
