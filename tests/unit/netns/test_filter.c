/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter's elements: what facts become, what is refused, what a change touches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/filter_plan.h"

/* One interface with a bit of all; tests bend a copy. */
struct sample {
	struct net_filter_nic nic;
	struct addr addrs[4];
	struct net_filter_rule rules[NET_FILTER_RULES_MAX + 1];
	struct net_forward forwards[3];
	struct net_usage start;
};

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void sample(struct sample *s)
{
	*s = (struct sample){
		.nic = {.name = "vp0123456789ab0",
			.mac = {2, 0, 0, 1, 2, 3},
			.tenant = 7,
			.flags = NET_NIC_TRACKED | NET_NIC_CLOSED,
			.n_addrs = 4,
			.n_rules = 2,
			.n_forwards = 2,
			.packets_out = {1000, 0},
			.connections_out = 100},
		.addrs = {addr("10.0.0.7"), addr("fd77::7"), addr("fe80::7"), addr("fd88::/64")},
		.rules = {{true, IPPROTO_TCP, 80, 82, addr("10.0.0.0/9")},
			  {true, IPPROTO_ICMP, 0, 0, ADDR_NONE}},
		.forwards = {{IPPROTO_TCP, ADDR_NONE, 8080, addr("10.0.0.7"), 80},
			     {IPPROTO_UDP, addr("192.0.2.1"), 53, addr("10.0.0.7"), 5353}},
	};
	s->nic.addrs = s->addrs;
	s->nic.rules = s->rules;
	s->nic.forwards = s->forwards;
	s->nic.start = &s->start;
}

static unsigned count(const struct filter_plan *p, enum filter_set set)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->elems[i].set == set;
	return n;
}

static const struct filter_elem *first(const struct filter_plan *p, enum filter_set set)
{
	static const struct filter_elem none[4];

	for (size_t i = 0; i < p->n; i++)
		if (p->elems[i].set == set)
			return &p->elems[i];
	fail_msg("no element of '%s'", filter_sets[set].name);
	return none;
}

static void planned(void **state)
{
	static const uint8_t source[40] = "vp0123456789ab0\0\2\0\0\1\2\3\0\0\12\0\0\7";
	_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT;
	const struct filter_elem *e;
	struct err err = ERR_INIT;
	struct sample s;
	uint32_t number = 7u | 1u << 31;

	(void)state;
	sample(&s);
	s.start.v6[NET_OUT_PRIVATE] = (struct net_counter){1000, 10};
	assert_int_equal(filter_plan_nics(&p, &s.nic, 1, &err), 0);
	e = first(&p, FILTER_SOURCE4);
	assert_int_equal(e->key_len, 28);
	assert_memory_equal(e->key, source, sizeof(source));
	assert_int_equal(first(&p, FILTER_SOURCE6)->key_len, 40);
	/* The one of the MAC comes by itself. */
	assert_int_equal(count(&p, FILTER_SOURCE6), 3);
	e = first(&p, FILTER_TARGETS);
	assert_memory_equal(e->key + 16, "\xfd\x77\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 16);
	assert_memory_equal(e[2].key + 16, "\xfe\x80\0\0\0\0\0\0\0\0\0\xff\xfe\1\2\3", 16);
	assert_int_equal(first(&p, FILTER_PREFIX6)->key_len, 24);
	assert_int_equal(first(&p, FILTER_MACS)->key_len, 24);
	assert_int_equal(count(&p, FILTER_TARGETS), 3);
	assert_int_equal(count(&p, FILTER_ARP_SENDERS), 1);
	/* Those of the link are the same on many interfaces. */
	assert_int_equal(count(&p, FILTER_TRACKED6), 1);
	assert_int_equal(count(&p, FILTER_UNTRACKED4), 0);
	assert_memory_equal(first(&p, FILTER_TENANTS)->data, &number, sizeof(number));
	assert_memory_equal(first(&p, FILTER_MEMBERS)->key + 16, &number, sizeof(number));
	assert_int_equal(count(&p, FILTER_FIREWALLS), 1);
	assert_ptr_equal(first(&p, FILTER_FIREWALLS)->nic, &s.nic);
	assert_memory_equal(first(&p, FILTER_FORWARD4_ANY)->key, "\6\0\0\0\x1f\x90\0", 8);
	assert_memory_equal(first(&p, FILTER_FORWARD4_ANY)->data, "\12\0\0\7\0\120\0", 8);
	assert_memory_equal(first(&p, FILTER_FORWARD4)->key, "\xc0\0\2\1\21\0\0\0\0\65\0", 12);
	assert_int_equal(count(&p, FILTER_HAIRPIN), 1);
	assert_int_equal(first(&p, FILTER_PACKETS_OUT)->a, 1000);
	assert_int_equal(first(&p, FILTER_PACKETS_OUT)->b, 100);
	assert_int_equal(count(&p, FILTER_CONNECTIONS_OUT), NET_FILTER_BUCKETS);
	assert_int_equal(first(&p, FILTER_CONNECTIONS_OUT)->a, 7);
	assert_int_equal(count(&p, FILTER_CONNECTIONS_IN), 0);
	assert_int_equal(count(&p, FILTER_OUT_PRIVATE), 2);
	e = first(&p, FILTER_OUT_PRIVATE);
	assert_int_equal(e->key[16], 2);
	assert_int_equal(e->a, 0);
	assert_int_equal(e[1].key[16], 10);
	assert_int_equal(e[1].a, 1000);
	assert_int_equal(e[1].b, 10);
}

/* Counters that are none of the facts. */
static void counted_apart(void **state)
{
	_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT;
	_cleanup_filter_plan_ struct filter_plan counters = FILTER_PLAN_INIT;
	struct net_filter f = NET_FILTER_INIT;
	char bad[1][IFNAMSIZ];
	struct err err = ERR_INIT;
	struct sample s;

	(void)state;
	sample(&s);
	s.nic.flags |= NET_NIC_COUNTED_APART;
	assert_int_equal(filter_plan_nics(&p, &s.nic, 1, &err), 0);
	for (unsigned w = 0; w < NET_WAY_MAX; w++)
		assert_int_equal(count(&p, (enum filter_set)(FILTER_OUT_PUBLIC + w)), 0);
	assert_int_equal(count(&p, FILTER_GUESTS), 1);
	filter_plan_counters(&counters, &s.nic);
	assert_int_equal(filter_plan_finish(&counters, &err), 0);
	assert_int_equal(counters.n, 2 * NET_WAY_MAX);
	assert_int_equal(net_filter_count(&f, NULL, 0, &err), 0);
	memset(bad, 'x', sizeof(bad));
	assert_int_equal(net_filter_count(&f, (const char(*)[IFNAMSIZ])bad, 1, &err), -EINVAL);
	bad[0][0] = '\0';
	assert_int_equal(net_filter_uncount(&f, (const char(*)[IFNAMSIZ])bad, 1, &err), -EINVAL);
}

static void no_tenant(struct sample *s)
{
	s->nic.tenant = 0;
}
static void no_name(struct sample *s)
{
	s->nic.name[0] = '\0';
}
static void group_mac(struct sample *s)
{
	s->nic.mac[0] = 3;
}
static void untracked(struct sample *s)
{
	s->nic.flags = 0;
}
static void loopback(struct sample *s)
{
	s->addrs[0] = addr("127.0.0.2");
}
static void mapped(struct sample *s)
{
	s->addrs[1] = addr("::ffff:10.0.0.1");
}
static void multicast(struct sample *s)
{
	s->addrs[1] = addr("ff02::1");
}
static void network(struct sample *s)
{
	s->addrs[0] = addr("10.0.0.0/24");
}
static void host_bits(struct sample *s)
{
	s->addrs[3] = addr("fd88::1/64");
}
static void twice(struct sample *s)
{
	s->addrs[1] = s->addrs[0];
}
static void no_range(struct sample *s)
{
	s->rules[0].last = 79;
}
static void no_port(struct sample *s)
{
	s->forwards[0].to_port = 0;
}
static void icmp(struct sample *s)
{
	s->rules[0].protocol = IPPROTO_ICMP;
}
static void protocol(struct sample *s)
{
	s->rules[1].protocol = IPPROTO_ICMPV6;
}
static void loose(struct sample *s)
{
	s->rules[0].from = addr("10.0.0.1/9");
}
static void too_many(struct sample *s)
{
	s->nic.n_rules = NET_FILTER_RULES_MAX + 1;
}
static void untracked_rules(struct sample *s)
{
	s->nic.flags = 0;
	s->nic.n_forwards = 0;
	s->nic.connections_out = 0;
}
static void foreign(struct sample *s)
{
	s->forwards[1].to = addr("10.0.0.8");
}
static void families(struct sample *s)
{
	s->forwards[1].host = addr("fd00::1");
}
static void same_port(struct sample *s)
{
	s->forwards[2] = s->forwards[0];
	s->forwards[2].to_port = 81;
	s->nic.n_forwards = 3;
}

static void refused(void **state)
{
	static const struct {
		void (*bend)(struct sample *s);
		int code;
		const char *text;
	} rows[] = {
		{no_tenant, EINVAL, "has tenant 0"},
		{no_name, EINVAL, "has no name"},
		{group_mac, EINVAL, "the MAC address of"},
		{untracked, EINVAL, "needs connection tracking"},
		{loopback, EINVAL, "'127.0.0.2' is no address for a guest"},
		{mapped, EINVAL, "is no address for a guest"},
		{multicast, EINVAL, "'ff02::1' is no address for a guest"},
		{network, EINVAL, "'10.0.0.0/24' must be a single address"},
		{host_bits, EINVAL, "'fd88::1/64' must be"},
		{twice, EEXIST, "one is given twice"},
		{no_range, EINVAL, "ports 80 to 79 are no range"},
		{no_port, EINVAL, "ports 0 to 0 are no range"},
		{icmp, EINVAL, "protocol 1 has no ports"},
		{protocol, EINVAL, "no rule is about protocol 58"},
		{loose, EINVAL, "'10.0.0.1/9' is no network"},
		{too_many, E2BIG, "has 129 rules; 128 are taken"},
		{untracked_rules, EINVAL, "needs connection tracking for its firewall"},
		{foreign, EINVAL, "port 53 is forwarded to '10.0.0.8', which"},
		{families, EINVAL, "no single address of the same family"},
		{same_port, EEXIST, "the forwarded port: one is given twice"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT;
		struct err err = ERR_INIT;
		struct sample s;

		sample(&s);
		rows[i].bend(&s);
		assert_int_equal(filter_plan_nics(&p, &s.nic, 1, &err), -rows[i].code);
		if (!strstr(err_text(&err), rows[i].text))
			fail_msg("'%s' lacks '%s'", err_text(&err), rows[i].text);
	}
}

static void changed(void **state)
{
	_cleanup_filter_plan_ struct filter_plan gone = FILTER_PLAN_INIT, come = FILTER_PLAN_INIT;
	struct err err = ERR_INIT;
	struct sample old, now;

	(void)state;
	sample(&old);
	sample(&now);
	now.start.v4[NET_OUT_PUBLIC].bytes = 99; /* counting goes on */
	now.nic.packets_out.per_second = 2000;
	now.rules[0].from.prefix = 10;
	now.nic.flags |= NET_NIC_NO_SMTP;
	now.forwards[0].to_port = 81;
	assert_int_equal(filter_plan_nics(&gone, &old.nic, 1, &err), 0);
	assert_int_equal(filter_plan_nics(&come, &now.nic, 1, &err), 0);
	filter_plan_diff(&gone, &come);
	assert_int_equal(gone.n, 3);
	assert_int_equal(count(&gone, FILTER_FIREWALLS), 1);
	assert_int_equal(count(&gone, FILTER_PACKETS_OUT), 1);
	assert_int_equal(count(&gone, FILTER_FORWARD4_ANY), 1);
	assert_int_equal(come.n, 4);
	assert_int_equal(count(&come, FILTER_FIREWALLS), 1);
	assert_int_equal(count(&come, FILTER_NO_SMTP), 1);
	assert_int_equal(count(&come, FILTER_PACKETS_OUT), 1);
	assert_int_equal(count(&come, FILTER_FORWARD4_ANY), 1);
}

static void hosts(void **state)
{
	const struct addr nets[] = {addr("10.0.1.0/24"), addr("10.0.0.0/24"), addr("fd77::/64")};
	const struct addr over[] = {addr("10.0.0.0/16"), addr("10.0.1.0/24")};
	const struct addr odd = addr("127.0.0.0/8"), bits = addr("10.0.0.1/24");
	const struct net_ports dns[] = {{IPPROTO_UDP, 53, 53}, {IPPROTO_TCP, 53, 53}};
	const struct net_filter_host good = {nets, 3, dns, 2}, overlap = {over, 2, NULL, 0},
				     strange = {&odd, 1, NULL, 0}, loose = {&bits, 1, NULL, 0};
	_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT, bad = FILTER_PLAN_INIT;
	const struct filter_elem *e;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(filter_plan_host(&p, &good, &err), 0);
	assert_int_equal(count(&p, FILTER_SERVICES), 2);
	assert_int_equal(count(&p, FILTER_NAT6), 2);
	/* Where two meet, the first ends before the second begins. */
	assert_int_equal(count(&p, FILTER_NAT4), 4);
	e = first(&p, FILTER_NAT4);
	assert_memory_equal(e[1].key, "\12\0\1\0", 4);
	assert_true(e[1].is_end);
	assert_memory_equal(e[2].key, "\12\0\1\0", 4);
	assert_false(e[2].is_end);
	assert_int_equal(filter_plan_host(&bad, &overlap, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "'10.0.0.0/16' and '10.0.1.0/24' overlap"));
	assert_int_equal(filter_plan_host(&bad, &strange, &err), -EINVAL);
	assert_int_equal(filter_plan_host(&bad, &loose, &err), -EINVAL);
}

static const struct nlmsghdr *first_request(struct nl_batch *b, int *ret_left)
{
	const struct nlmsghdr *m;
	size_t len;

	filter_mark(b, NFNL_MSG_BATCH_END);
	m = nl_batch_data(b, &len);
	*ret_left = (int)len;
	assert_int_equal(m->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	return mnl_nlmsg_next(m, ret_left);
}

/* The set of a request about elements, and how many they are. */
static const char *set_of(const struct nlmsghdr *m, unsigned *elems)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(m);
	struct nlattr *a, *e;
	const char *set = "";

	mnl_attr_for_each(a, m, sizeof(*g))
	{
		if (mnl_attr_get_type(a) == NFTA_SET_ELEM_LIST_SET)
			set = mnl_attr_get_str(a);
		if (mnl_attr_get_type(a) == NFTA_SET_ELEM_LIST_ELEMENTS)
			mnl_attr_for_each_nested(e, a)++ *elems;
	}
	assert_int_equal(g->nfgen_family, str_eq(set, "senders") ? 3 : 1);
	return set;
}

/* The requests of a plan, by type and set, are as few as errors allow. */
static void requested(void **state)
{
	_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new();
	unsigned forwards = 0, members = 0, elems = 0;
	_cleanup_free_ struct sample *many = calloc(300, sizeof(*many));
	_cleanup_free_ struct net_filter_nic *nics = calloc(300, sizeof(*nics));
	const struct nlmsghdr *m;
	struct err err = ERR_INIT;
	int left;

	(void)state;
	assert_true(many && nics);
	for (size_t i = 0; i < 300; i++) {
		sample(&many[i]);
		(void)str_fmt(many[i].nic.name, IFNAMSIZ, "vp%012zx0", i);
		many[i].nic.flags = NET_NIC_TRACKED;
		many[i].nic.n_addrs = many[i].nic.n_rules = 0;
		many[i].nic.n_forwards = 0;
		nics[i] = many[i].nic;
	}
	nics[0].n_addrs = 4;
	nics[0].n_forwards = 2;
	assert_int_equal(filter_plan_nics(&p, nics, 300, &err), 0);
	filter_mark(b, NFNL_MSG_BATCH_BEGIN);
	filter_requests(b, "t", true, &p);
	for (m = first_request(b, &left); m->nlmsg_type != NFNL_MSG_BATCH_END;
	     m = mnl_nlmsg_next(m, &left)) {
		const char *set;

		assert_true(mnl_nlmsg_ok(m, left));
		assert_int_equal(m->nlmsg_type, filter_type(NFT_MSG_NEWSETELEM));
		set = set_of(m, &elems);
		/* Counters that are there go on. */
		assert_int_equal(
			m->nlmsg_flags,
			NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE |
				(str_has_suffix(set, "_public") || str_has_suffix(set, "_private")
					 ? 0
					 : NLM_F_EXCL));
		forwards += str_has_prefix(set, "forward4");
		members += str_eq(set, "members");
	}
	assert_int_equal(elems, p.n);
	assert_int_equal(forwards, 2);
	assert_int_equal(members, 2);
}

/* The names of the expressions of a rule, and the last four bytes of each: "meta:0.0.0.1 cmp:..".
 */
static void read_rule(const struct nlmsghdr *m, struct sbuf *out)
{
	struct nlattr *a, *e, *x;

	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_RULE_EXPRESSIONS)
			continue;
		mnl_attr_for_each_nested(e, a) mnl_attr_for_each_nested(x, e)
		{
			const uint8_t *at = mnl_attr_get_payload(x);

			if (mnl_attr_get_type(x) == NFTA_EXPR_NAME) {
				sbuf_addf(out, "%s%s", sbuf_str(out)[0] ? " " : "",
					  mnl_attr_get_str(x));
				continue;
			}
			/* What stands last: the value of a comparison, the last port, the verdict.
			 */
			at += mnl_attr_get_payload_len(x) - 4;
			sbuf_addf(out, ":%x.%x.%x.%x", at[0], at[1], at[2], at[3]);
		}
	}
}

#define SENDER "meta:0.0.0.1 cmp:2.0.0.0 payload:0.0.0.4 bitwise:0.0.0.0 cmp:a.0.0.0"
#define PORTS "meta:0.0.0.1 cmp:6.0.0.0 payload:0.0.0.2 range:0.52.0.0"
#define ECHO4 "meta:0.0.0.1 cmp:2.0.0.0 meta:0.0.0.1 cmp:1.0.0.0 immediate:0.0.0.1"
#define ECHO6 "meta:0.0.0.1 cmp:a.0.0.0 meta:0.0.0.1 cmp:3a.0.0.0 immediate:0.0.0.1"

/* First the chain, then what leads to it; in the other order when it goes. */
static void firewalled(void **state)
{
	static const char *const rules[] = {SENDER " " PORTS " immediate:0.0.0.1", ECHO4, ECHO6,
					    "immediate:0.0.0.0"};
	_cleanup_filter_plan_ struct filter_plan p = FILTER_PLAN_INIT;
	_cleanup_nl_batch_ struct nl_batch *b = nl_batch_new(), *gone = nl_batch_new();
	struct err err = ERR_INIT;
	const struct nlmsghdr *m;
	struct sample s;
	unsigned elems = 0, last = 0;
	size_t n = 0;
	int left;

	(void)state;
	sample(&s);
	assert_int_equal(filter_plan_nics(&p, &s.nic, 1, &err), 0);
	filter_mark(b, NFNL_MSG_BATCH_BEGIN);
	filter_requests(b, "t", true, &p);
	m = first_request(b, &left);
	assert_int_equal(m->nlmsg_type, filter_type(NFT_MSG_NEWCHAIN));
	for (m = mnl_nlmsg_next(m, &left); m->nlmsg_type == filter_type(NFT_MSG_NEWRULE);
	     m = mnl_nlmsg_next(m, &left)) {
		_cleanup_sbuf_ struct sbuf text = SBUF_INIT;

		assert_int_equal(m->nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND);
		assert_in_range(n, 0, 3);
		read_rule(m, &text);
		assert_string_equal(sbuf_str(&text), rules[n++]);
	}
	assert_int_equal(n, 4);
	(void)set_of(m, &elems);
	filter_mark(gone, NFNL_MSG_BATCH_BEGIN);
	filter_requests(gone, "t", false, &p);
	for (m = first_request(gone, &left); m->nlmsg_type != NFNL_MSG_BATCH_END;
	     m = mnl_nlmsg_next(m, &left))
		last = m->nlmsg_type;
	assert_int_equal(last, filter_type(NFT_MSG_DELCHAIN));
}

/* What is handed over must be a socket of netfilter. */
static void adopted(void **state)
{
	_cleanup_net_filter_ struct net_filter f = NET_FILTER_INIT;
	_cleanup_close_ int other = open("/dev/null", O_RDONLY | O_CLOEXEC),
			    route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(net_filter_adopt(other, "t", &f, &err), -ENOTSOCK);
	assert_int_equal(net_filter_adopt(route, "t", &f, &err), -EPROTOTYPE);
	assert_int_equal(net_filter_adopt(route, "", &f, &err), -EINVAL);
	assert_int_equal(f.sock.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planned),	 cmocka_unit_test(refused),
		cmocka_unit_test(changed),	 cmocka_unit_test(hosts),
		cmocka_unit_test(requested),	 cmocka_unit_test(firewalled),
		cmocka_unit_test(counted_apart), cmocka_unit_test(adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
