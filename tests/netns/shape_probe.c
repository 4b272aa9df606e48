/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns/shape.h and netns/counters.h as commands, for tests/integration/shape.bats and
 * tests/bench/net: in the network namespace that it is started in. Errors go to stderr with their
 * errno name, exit status 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/str.h"
#include "netns/counters.h"
#include "netns/shape.h"

#define LINKS_FIRST 100000
#define LINKS_MAX 5000u
#define MTU 1500u

static uint64_t number(const char *s)
{
	uint64_t v = 0;

	if (str_eq(s, "none"))
		return NET_RATE_NONE;
	if (num_parse_u64(s, 0, UINT64_MAX, &v) < 0 && num_parse_bitrate(s, &v) < 0) {
		(void)fprintf(stderr, "'%s' is no number\n", s);
		exit(2);
	}
	return v;
}

static int link_of(const char *name)
{
	unsigned i = if_nametoindex(name);

	/* One that there is not, for what the kernel says then. */
	return i ? (int)i : 0x7ffffff0;
}

static void print_status(const char *what, const struct net_shape_status *s)
{
	if (s->rate == NET_RATE_NONE)
		(void)printf("%s rate=none", what);
	else
		(void)printf("%s rate=%" PRIu64, what, s->rate);
	(void)printf(" fair=%s broken=%s drops=%" PRIu64 "\n", s->is_fair ? "yes" : "no",
		     s->is_broken ? "yes" : "no", s->drops);
}

static struct net_shape wanted(const char *rate, const char *mtu)
{
	return (struct net_shape){.rate = number(rate), .mtu = mtu ? (uint32_t)number(mtu) : MTU};
}

/* The status is shown, and whether it is what was wanted. */
static int print_result(const char *what, const struct net_shape *want,
			const struct net_shape_status *has)
{
	print_status(what, has);
	(void)printf("%s\n", net_shape_is_effective(want, has) ? "effective" : "not effective");
	return 0;
}

static int do_in(struct nl_sock *s, char **argv, struct err *err)
{
	const struct net_shape want = wanted(argv[1], argv[2]);
	struct net_shape_status has;
	int r = net_shape_in(s, link_of(argv[0]), &want, &has, err);

	return r < 0 ? r : print_result("in", &want, &has);
}

static int do_out(struct nl_sock *s, char **argv, struct err *err)
{
	const struct net_shape want = wanted(argv[2], argv[3]);
	struct net_shape_status has;
	int r = net_shape_out(s, link_of(argv[0]), argv[1], &want, &has, err);

	return r < 0 ? r : print_result("out", &want, &has);
}

static int do_read(struct nl_sock *s, char **argv, struct err *err)
{
	struct net_shape_status in, out;
	int r = net_shape_read(s, link_of(argv[0]), &in, &out, err);

	if (r < 0)
		return r;
	print_status("in", &in);
	print_status("out", &out);
	return 0;
}

static int do_remove(struct nl_sock *s, char **argv, struct err *err)
{
	return net_shape_remove(s, argv[0], err);
}

static int do_list(struct nl_sock *s, char **argv, struct err *err)
{
	_cleanup_net_shape_list_ struct net_shape_list l = {.n = 0};
	int r = net_shape_list(s, &l, err);

	(void)argv;
	for (size_t i = 0; r >= 0 && i < l.n; i++)
		(void)printf("%s\n", l.names[i]);
	return r;
}

static int do_name(struct nl_sock *s, char **argv, struct err *err)
{
	char name[IFNAMSIZ];

	(void)s;
	(void)err;
	net_shape_name(name, argv[0], (unsigned)number(argv[1]));
	(void)printf("%s\n", name);
	return 0;
}

/* "LINK in BYTES PACKETS out BYTES PACKETS", LINK its index. */
static int do_counters(struct nl_sock *s, char **argv, struct err *err)
{
	_cleanup_net_counts_ struct net_counts c = NET_COUNTS_INIT;
	int r = net_counts_read(s, &c, err);

	(void)argv;
	for (size_t i = 0; r >= 0 && i < c.n; i++)
		(void)printf("%d in %" PRIu64 " %" PRIu64 " out %" PRIu64 " %" PRIu64 "\n",
			     c.of[i].link, c.of[i].in_bytes, c.of[i].in_packets, c.of[i].out_bytes,
			     c.of[i].out_packets);
	return r;
}

static int64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* A veth whose both ends are here. */
static int make_veth(struct nl_sock *s, unsigned k, struct err *err)
{
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	const struct ifinfomsg h = {.ifi_family = AF_UNSPEC,
				    .ifi_index = LINKS_FIRST + (int)k,
				    .ifi_flags = IFF_UP,
				    .ifi_change = IFF_UP};
	const struct ifinfomsg peer = {.ifi_family = AF_UNSPEC};
	char name[IFNAMSIZ], inside[IFNAMSIZ];
	size_t info, data, end;

	(void)str_fmt(name, sizeof(name), "vp%u", k);
	(void)str_fmt(inside, sizeof(inside), "in%u", k);
	nl_batch_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h, sizeof(h), "make '%s'", name);
	nl_put_string(b, IFLA_IFNAME, name);
	info = nl_nest_start(b, IFLA_LINKINFO);
	nl_put_string(b, IFLA_INFO_KIND, "veth");
	data = nl_nest_start(b, IFLA_INFO_DATA);
	end = nl_nest_start(b, VETH_INFO_PEER);
	nl_put_raw(b, &peer, sizeof(peer));
	nl_put_string(b, IFLA_IFNAME, inside);
	nl_nest_end(b, end);
	nl_nest_end(b, data);
	nl_nest_end(b, info);
	return nl_batch_run(s, b, err);
}

enum step { LINK, IN, OUT, CHANGE_IN, CHANGE_OUT, READ, STEP_MAX };

/* Each step with one more NIC: how long it takes, us. */
static int shape_one(struct nl_sock *s, unsigned k, int64_t took[STEP_MAX], struct err *err)
{
	const struct net_shape first = {.rate = 10000000, .mtu = MTU},
			       then = {.rate = 20000000, .mtu = MTU};
	struct net_shape_status in, out;
	int link = LINKS_FIRST + (int)k, r = 0;
	char id[17], name[IFNAMSIZ];

	(void)str_fmt(id, sizeof(id), "%012x0000", k);
	net_shape_name(name, id, 0);
	for (int step = 0; step < STEP_MAX && r >= 0; step++) {
		int64_t start = now_us();

		if (step == LINK)
			r = make_veth(s, k, err);
		else if (step == IN)
			r = net_shape_in(s, link, &first, &in, err);
		else if (step == OUT)
			r = net_shape_out(s, link, name, &first, &out, err);
		else if (step == CHANGE_IN)
			r = net_shape_in(s, link, &then, &in, err);
		else if (step == CHANGE_OUT)
			r = net_shape_out(s, link, name, &then, &out, err);
		else
			r = net_shape_read(s, link, &in, &out, err);
		took[step] = now_us() - start;
	}
	if (r >= 0 && (!net_shape_is_effective(&then, &in) || !net_shape_is_effective(&then, &out)))
		return err_set(err, EIO, "NIC %u is not shaped", k);
	return r;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* N: shapes as many NICs; a line for each: "K veth in out change-in change-out read", us. The
 * kernel is given nothing back but with the namespace. At last "remove", the median of both
 * directions. */
static int do_many(struct nl_sock *s, char **argv, struct err *err)
{
	static int64_t removal[LINKS_MAX];
	const struct net_shape none = {.rate = NET_RATE_NONE, .mtu = MTU};
	unsigned n = (unsigned)number(argv[0]);
	_cleanup_net_counts_ struct net_counts counts = NET_COUNTS_INIT;
	int64_t took[STEP_MAX], start;
	int r;

	if (n == 0 || n > LINKS_MAX)
		return err_set(err, ERANGE, "1 to %u", LINKS_MAX);
	for (unsigned k = 1; k <= n; k++) {
		r = shape_one(s, k, took, err);
		if (r < 0)
			return r;
		(void)printf("%u", k);
		for (int step = 0; step < STEP_MAX; step++)
			(void)printf(" %" PRId64, took[step]);
		(void)printf("\n");
	}
	start = now_us();
	r = net_counts_read(s, &counts, err);
	if (r < 0)
		return r;
	(void)printf("counters %" PRId64 "\n", now_us() - start);
	for (unsigned k = 1; k <= n; k++) {
		struct net_shape_status has;
		char id[17], name[IFNAMSIZ];

		(void)str_fmt(id, sizeof(id), "%012x0000", k);
		net_shape_name(name, id, 0);
		start = now_us();
		r = net_shape_in(s, LINKS_FIRST + (int)k, &none, &has, err);
		if (r >= 0)
			r = net_shape_out(s, LINKS_FIRST + (int)k, name, &none, &has, err);
		if (r < 0)
			return r;
		removal[k - 1] = now_us() - start;
	}
	qsort(removal, n, sizeof(removal[0]), compare);
	(void)printf("remove %" PRId64 "\n", removal[n / 2]);
	return 0;
}

static const struct verb {
	const char *name;
	int (*run)(struct nl_sock *s, char **argv, struct err *err);
	int min_args;
	const char *args;
} verbs[] = {
	{"in", do_in, 2, "LINK RATE|none [MTU]"},
	{"out", do_out, 3, "LINK IFB RATE|none [MTU]"},
	{"read", do_read, 1, "LINK"},
	{"remove", do_remove, 1, "IFB"},
	{"list", do_list, 0, ""},
	{"name", do_name, 2, "ID N"},
	{"counters", do_counters, 0, ""},
	{"many", do_many, 1, "N"},
};

int main(int argc, char **argv)
{
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	struct err err = ERR_INIT;
	int r;

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!str_eq(verbs[i].name, argv[1]) || argc - 2 < verbs[i].min_args)
			continue;
		r = nl_sock_open(NETLINK_ROUTE, &s, &err);
		if (r >= 0)
			r = verbs[i].run(&s, argv + 2, &err);
		if (r < 0)
			(void)fprintf(stderr, "%s: %s\n", strerrorname_np(-r), err_text(&err));
		return r < 0;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		(void)fprintf(stderr, "shape_probe %s %s\n", verbs[i].name, verbs[i].args);
	return 2;
}
