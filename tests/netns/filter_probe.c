/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of netns/filter.h as commands, for tests/integration/filter.bats. HOLDER is the
 * unix socket of a process that keeps a copy of the netlink socket that owns the table:
 *
 *   filter_probe hold HOLDER                     in the background
 *   filter_probe load HOLDER TABLE JOB RULES     has the job load the rules, and the holder keep it
 *   filter_probe copy HOLDER TABLE OTHER         gives another holder a copy
 *   filter_probe host|add|remove|change|arm|check|drop|read|bench HOLDER TABLE [FACTS]
 *
 * Errors go to stderr with their errno name, exit status 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "base/num.h"
#include "base/str.h"
#include "netns/filter.h"

#define ASK 2u
#define MANY 16

struct facts {
	struct net_filter_nic nic;
	struct addr addrs[MANY];
	struct net_filter_rule rules[NET_FILTER_RULES_MAX + 1];
	struct net_forward forwards[MANY];
	struct net_usage start;
	struct net_filter_host host;
	struct addr nat[MANY];
	struct net_ports services[MANY];
};

static void die(const char *what, const char *which)
{
	(void)fprintf(stderr, "filter_probe: %s '%s'\n", what, which);
	exit(2);
}

static uint64_t number(const char *s)
{
	uint64_t v = 0;

	if (!s || num_parse_u64(s, 0, UINT64_MAX, &v) < 0)
		die("no number", s ? s : "");
	return v;
}

/* --- the holder ------------------------------------------------------------------------------ */

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (str_copy(a.sun_path, sizeof(a.sun_path), path) < 0)
		die("path too long", path);
	return a;
}

static int hold(const char *path, struct err *err)
{
	const struct sockaddr_un a = address(path);
	_cleanup_close_ int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), kept = -1;
	_cleanup_msg_ struct msg *m = msg_new(ASK, 0);

	if (!m || s < 0 || bind(s, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 8) < 0)
		return err_sys(err, "cannot listen at '%s'", path);
	for (;;) {
		_cleanup_close_ int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0 || msg_recv(c, m, NULL) != 1)
			continue;
		if (m->type == NET_FILTER_RECORD) {
			cleanup_close(&kept);
			kept = msg_take_fd(m, 0);
		}
		msg_reset(m, NET_FILTER_RECORD, 0);
		if (kept >= 0)
			(void)msg_add_fd(m, kept);
		(void)msg_send(c, m, NULL);
	}
}

static int reach(const char *path)
{
	const struct sockaddr_un a = address(path);
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (s < 0 || connect(s, (const struct sockaddr *)&a, sizeof(a)) < 0)
		die("no holder at", path);
	return s;
}

static int give(const char *path, const struct net_filter *f, struct err *err)
{
	_cleanup_close_ int s = reach(path);
	_cleanup_msg_ struct msg *m = msg_new(NET_FILTER_RECORD, 0);

	(void)msg_add_fd(m, f->sock.fd);
	return msg_send(s, m, err) < 0 ? -EIO : msg_recv(s, m, err) < 0 ? -EIO : 0;
}

static int get(const char *path, const char *table, struct net_filter *ret, struct err *err)
{
	_cleanup_close_ int s = reach(path);
	_cleanup_msg_ struct msg *m = msg_new(ASK, 0);

	if (msg_send(s, m, err) < 0)
		return -EIO;
	return net_filter_take(s, table, ret, err);
}

static int load(const char *holder, const char *table, char **argv, struct err *err)
{
	_cleanup_net_filter_ struct net_filter f = NET_FILTER_INIT;
	_cleanup_close_ int here = -1;
	int pair[2], status, r = msg_socketpair(pair, err);
	pid_t pid;

	if (r < 0)
		return r;
	here = pair[0];
	pid = fork();
	if (pid == 0) {
		(void)dup2(pair[1], STDIN_FILENO);
		(void)execl(argv[0], "vps-job", "filter", "--file", argv[1], "--table", table,
			    (char *)NULL);
		_exit(127);
	}
	cleanup_close(&pair[1]);
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		return err_set(err, ECHILD, "the job failed");
	r = net_filter_take(here, table, &f, err);
	return r < 0 ? r : give(holder, &f, err);
}

/* --- facts ----------------------------------------------------------------------------------- */

static struct addr addr_of(const char *s)
{
	struct addr a;

	if (addr_parse(s, &a) < 0)
		die("no address", s);
	return a;
}

static uint8_t protocol_of(const char *s)
{
	return str_eq(s, "udp") ? IPPROTO_UDP : str_eq(s, "tcp") ? IPPROTO_TCP : (uint8_t)number(s);
}

/* tcp/80 or tcp/80/90 */
static struct net_ports ports_of(char *s)
{
	struct net_ports p = {.protocol = protocol_of(strsep(&s, "/"))};
	const char *last;

	p.first = (uint16_t)number(strsep(&s, "/"));
	last = strsep(&s, "/");
	p.last = last ? (uint16_t)number(last) : p.first;
	return p;
}

/* allow,tcp,80-90,10.0.0.0/8 or deny,all; "-" and what is left out is all */
static struct net_filter_rule rule_of(char *s)
{
	static const char *const any[] = {"all", "-"};
	struct net_filter_rule q = {.is_allowed = str_eq(strsep(&s, ","), "allow")};
	const char *protocol = strsep(&s, ",");
	char *ports = strsep(&s, ",");

	if (!protocol)
		die("no rule without a protocol", "");
	q.protocol = str_eq(protocol, any[0])	? 0
		     : str_eq(protocol, "icmp") ? IPPROTO_ICMP
						: protocol_of(protocol);
	if (ports && !str_eq(ports, any[1])) {
		q.first = (uint16_t)number(strsep(&ports, "-"));
		q.last = ports ? (uint16_t)number(ports) : q.first;
	}
	if (s)
		q.from = addr_of(s);
	return q;
}

/* tcp/any/8080/10.0.0.2/80 */
static struct net_forward forward_of(char *s)
{
	struct net_forward f = {.protocol = protocol_of(strsep(&s, "/"))};
	const char *host = strsep(&s, "/");

	if (!str_eq(host, "any"))
		f.host = addr_of(host);
	f.port = (uint16_t)number(strsep(&s, "/"));
	f.to = addr_of(strsep(&s, "/"));
	f.to_port = (uint16_t)number(strsep(&s, "/"));
	return f;
}

/* 100 or 100/20 */
static struct net_rate rate_of(char *s)
{
	struct net_rate q = {.per_second = (uint32_t)number(strsep(&s, "/"))};

	q.burst = s ? (uint32_t)number(s) : 0;
	return q;
}

static void flags_of(struct facts *f, char *s)
{
	static const struct {
		const char *name;
		unsigned flag;
	} rows[] = {
		{"tracked", NET_NIC_TRACKED},
		{"open", NET_NIC_OPEN},
		{"closed", NET_NIC_CLOSED},
		{"no-smtp", NET_NIC_NO_SMTP},
	};
	const char *word;

	while ((word = strsep(&s, ",")))
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (str_eq(word, rows[i].name))
				f->nic.flags |= rows[i].flag;
}

static void mac_of(struct facts *f, char *s)
{
	for (size_t i = 0; i < 6; i++) {
		const char *byte = strsep(&s, ":");

		f->nic.mac[i] = (uint8_t)(byte ? strtoul(byte, NULL, 16) : 0);
	}
}

static void take_fact(struct facts *f, const char *name, char *value)
{
	struct net_filter_nic *n = &f->nic;
	const struct {
		const char *name;
		struct net_rate *rate;
	} rates[] = {
		{"packets-out", &n->packets_out},
		{"packets-in", &n->packets_in},
		{"new-out", &n->new_out},
		{"new-in", &n->new_in},
	};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (str_eq(name, rates[i].name)) {
			*rates[i].rate = rate_of(value);
			return;
		}
	if (str_eq(name, "name"))
		(void)str_copy(n->name, sizeof(n->name), value);
	else if (str_eq(name, "mac"))
		mac_of(f, value);
	else if (str_eq(name, "tenant"))
		n->tenant = (uint32_t)number(value);
	else if (str_eq(name, "flags"))
		flags_of(f, value);
	else if (str_eq(name, "addr") && n->n_addrs < MANY)
		f->addrs[n->n_addrs++] = addr_of(value);
	else if (str_eq(name, "rule") && n->n_rules <= NET_FILTER_RULES_MAX)
		f->rules[n->n_rules++] = rule_of(value);
	else if (str_eq(name, "forward") && n->n_forwards < MANY)
		f->forwards[n->n_forwards++] = forward_of(value);
	else if (str_eq(name, "connections-out"))
		n->connections_out = (uint32_t)number(value);
	else if (str_eq(name, "connections-in"))
		n->connections_in = (uint32_t)number(value);
	else if (str_eq(name, "start")) /* bytes that it sent in public by IPv4 */
		f->start.v4[NET_OUT_PUBLIC].bytes = number(value);
	else if (str_eq(name, "nat") && f->host.n_nat < MANY)
		f->nat[f->host.n_nat++] = addr_of(value);
	else if (str_eq(name, "service") && f->host.n_services < MANY)
		f->services[f->host.n_services++] = ports_of(value);
	else
		die("unknown fact", name);
}

/* Up to the word "to"; returns what is behind it. */
static char **read_facts(struct facts *f, char **argv)
{
	*f = (struct facts){0};
	f->nic.addrs = f->addrs;
	f->nic.rules = f->rules;
	f->nic.forwards = f->forwards;
	f->nic.start = &f->start;
	f->host.nat = f->nat;
	f->host.services = f->services;
	for (; *argv && !str_eq(*argv, "to"); argv++) {
		char *value = *argv;
		const char *name = strsep(&value, "=");

		if (!value)
			die("no fact", name);
		take_fact(f, name, value);
	}
	return *argv ? argv + 1 : argv;
}

/* --- commands -------------------------------------------------------------------------------- */

static int print_counter(void *arg, const char *nic, enum net_way way, int family,
			 const struct net_counter *c)
{
	static const char *const ways[] = {"out-public", "out-private", "in-public", "in-private"};

	(void)arg;
	(void)printf("%s %s %d %" PRIu64 " %" PRIu64 "\n", nic, ways[way],
		     family == AF_INET ? 4 : 6, c->bytes, c->packets);
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int count_one(void *arg, const char *nic, enum net_way way, int family,
		     const struct net_counter *c)
{
	(void)nic;
	(void)way;
	(void)family;
	(void)c;
	++*(unsigned *)arg;
	return 0;
}

static void number_facts(struct facts *f, unsigned k)
{
	(void)str_fmt(f->nic.name, sizeof(f->nic.name), "vpbe%010x0", k);
	f->nic.mac[4] = (uint8_t)(k >> 8);
	f->nic.mac[5] = (uint8_t)k;
	for (size_t i = 0; i < f->nic.n_addrs; i++) {
		uint8_t *end = f->addrs[i].bytes + addr_len(&f->addrs[i]);

		end[-2] = (uint8_t)(k >> 8);
		end[-1] = (uint8_t)k;
	}
}

/* N FACTS: adds, reads, changes and removes N interfaces; medians of ten, in microseconds. */
static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *t, unsigned n, unsigned at)
{
	unsigned first = at + 10 > n ? n - 10 : at;

	qsort(t + first, 10, sizeof(*t), by_value);
	return t[first + 5];
}

static int bench(struct net_filter *f, char **argv, struct err *err)
{
	unsigned n = (unsigned)number(argv[0]), seen = 0;
	_cleanup_free_ uint64_t *add = calloc(n, sizeof(*add)), *gone = calloc(n, sizeof(*gone));
	struct facts facts, wider;
	uint64_t t;
	int r = 0;

	if (!add || !gone || n < 30)
		die("too few", argv[0]);
	(void)read_facts(&facts, argv + 1);
	for (unsigned k = 0; r == 0 && k < n; k++) {
		number_facts(&facts, k + 1);
		t = now_us();
		r = net_filter_add(f, &facts.nic, 1, err);
		add[k] = now_us() - t;
	}
	if (r < 0)
		return r;
	(void)printf("add %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", median(add, n, 0),
		     median(add, n, n / 10), median(add, n, n));
	t = now_us();
	r = net_filter_read(f, count_one, &seen, err);
	(void)printf("read %u %" PRIu64 "\n", seen, now_us() - t);
	wider = facts;
	wider.nic.rules = wider.rules;
	wider.nic.flags |= NET_NIC_NO_SMTP;
	t = now_us();
	if (r == 0)
		r = net_filter_change(f, &facts.nic, 1, &wider.nic, 1, err);
	(void)printf("change %" PRIu64 "\n", now_us() - t);
	if (r == 0)
		r = net_filter_change(f, &wider.nic, 1, &facts.nic, 1, err);
	for (unsigned k = n; r == 0 && k-- > 0;) {
		number_facts(&facts, k + 1);
		t = now_us();
		r = net_filter_remove(f, &facts.nic, 1, err);
		gone[k] = now_us() - t;
	}
	if (r == 0)
		(void)printf("remove %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", median(gone, n, 0),
			     median(gone, n, n / 10), median(gone, n, n));
	return r;
}

static int run(const char *verb, struct net_filter *f, char **argv, struct err *err)
{
	struct facts a, b;

	if (str_eq(verb, "arm"))
		return net_filter_arm(f, err);
	if (str_eq(verb, "check"))
		return net_filter_check(f, err);
	if (str_eq(verb, "drop"))
		return net_filter_drop(f, err);
	if (str_eq(verb, "copy"))
		return give(argv[0], f, err);
	if (str_eq(verb, "read"))
		return net_filter_read(f, print_counter, NULL, err);
	if (str_eq(verb, "bench"))
		return bench(f, argv, err);
	(void)read_facts(&b, read_facts(&a, argv));
	if (str_eq(verb, "host"))
		return net_filter_set_host(f, &a.host, err);
	if (str_eq(verb, "add"))
		return net_filter_add(f, &a.nic, 1, err);
	if (str_eq(verb, "remove"))
		return net_filter_remove(f, &a.nic, 1, err);
	if (str_eq(verb, "change"))
		return net_filter_change(f, &a.nic, 1, &b.nic, 1, err);
	die("unknown verb", verb);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	_cleanup_net_filter_ struct net_filter f = NET_FILTER_INIT;
	struct err err = ERR_INIT;
	int r;

	if (argc < 3 || (!str_eq(argv[1], "hold") && argc < 4))
		die("what of", "hold load copy host add remove change arm check drop read bench");
	if (str_eq(argv[1], "hold"))
		r = hold(argv[2], &err);
	else if (str_eq(argv[1], "load") && argc == 6)
		r = load(argv[2], argv[3], argv + 4, &err);
	else {
		r = get(argv[2], argv[3], &f, &err);
		if (r == 0)
			r = run(argv[1], &f, argv + 4, &err);
	}
	if (r < 0)
		(void)fprintf(stderr, "%s: %s\n", strerrorname_np(-r), err_text(&err));
	return r < 0;
}
