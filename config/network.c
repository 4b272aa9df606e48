/* SPDX-License-Identifier: Apache-2.0 */
/* Networks and interfaces: checks between fields, and between documents. */
#include "config/network.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"

#define PATH_TEXT 96
#define POOL4_PREFIX_MIN 8
#define POOL6_PREFIX_MIN 16
#define MTU6_MIN 1280 /* RFC 8200, 5 */

/* --- ranges that are no guest's -------------------------------------------------------------- */

static const struct {
	const char *net, *why;
} special_rows[] = {
	{"0.0.0.0/8", "means \"this network\""},
	{"127.0.0.0/8", "is loopback"},
	{"169.254.0.0/16", "is link-local; the gateways of guests are there"},
	{"224.0.0.0/4", "is multicast"},
	{"240.0.0.0/4", "is no range of hosts"},
	{"::/127", "is loopback, or no address"},
	{"::ffff:0:0/96", "is IPv4 in the form of IPv6"},
	{"fe80::/10", "is link-local; the gateways of guests are there"},
	{"ff00::/8", "is multicast"},
};

const char *spec_why_no_guest(const struct addr *a)
{
	struct addr net;

	for (size_t i = 0; i < sizeof(special_rows) / sizeof(special_rows[0]); i++)
		if (addr_parse(special_rows[i].net, &net) == 0 && addr_overlaps(&net, a))
			return special_rows[i].why;
	return NULL;
}

/* --- networks of the host -------------------------------------------------------------------- */

const struct spec_network *spec_network_find(const struct spec_host *h, const char *name)
{
	for (size_t i = 0; i < h->networks.n; i++)
		if (str_eq(h->networks.items[i].name, name))
			return &h->networks.items[i];
	return NULL;
}

/* Range k of a network, IPv4 first; false = there are no more. */
static bool pool_at(const struct spec_network *n, size_t k, struct addr *ret, const char **ret_key,
		    size_t *ret_index)
{
	bool is_4 = k < n->ipv4.n;
	size_t i = is_4 ? k : k - n->ipv4.n;

	if (!is_4 && i >= n->ipv6.n)
		return false;
	*ret_key = is_4 ? "ipv4" : "ipv6";
	*ret_index = i;
	return addr_parse(is_4 ? n->ipv4.items[i] : n->ipv6.items[i], ret) == 0;
}

/* The first range before range k of network i that has an address of it; false = none. */
static bool find_overlap(const struct spec_host *h, size_t i, size_t k, const struct addr *pool,
			 char ret_path[PATH_TEXT], char ret_text[ADDR_TEXT])
{
	const char *key;
	struct addr other;
	size_t at;

	for (size_t n = 0; n <= i; n++)
		for (size_t o = 0; n < i || o < k; o++) {
			if (!pool_at(&h->networks.items[n], o, &other, &key, &at))
				break;
			if (!addr_overlaps(pool, &other))
				continue;
			(void)snprintf(ret_path, PATH_TEXT, "networks[%zu].%s[%zu]", n, key, at);
			addr_format(ret_text, &other);
			return true;
		}
	return false;
}

static int check_pool(const struct spec_host *h, size_t i, size_t k, const struct addr *pool,
		      const char *path, const struct json_where *w)
{
	const unsigned min = pool->family == AF_INET ? POOL4_PREFIX_MIN : POOL6_PREFIX_MIN;
	const char *why = spec_why_no_guest(pool);
	char text[ADDR_TEXT], other[ADDR_TEXT], place[PATH_TEXT];

	addr_format(text, pool);
	if (addr_is_single(pool))
		(void)str_fmt(text + strlen(text), 5, "/%u", pool->prefix);
	if (why)
		return problems_add(w, path, NULL,
				    "\"%s\" has addresses that no guest can have: "
				    "it %s",
				    text, why);
	if (pool->prefix < min)
		return problems_add(w, path, NULL, "\"%s\" is too large; the largest is a /%u",
				    text, min);
	if (find_overlap(h, i, k, pool, place, other))
		return problems_add(w, path, NULL, "\"%s\" overlaps \"%s\" of %s", text, other,
				    place);
	return 0;
}

static bool is_in_pool(const struct spec_network *n, const struct addr *first,
		       const struct addr *last)
{
	const char *key;
	struct addr pool;
	size_t at;

	for (size_t k = 0; pool_at(n, k, &pool, &key, &at); k++)
		if (addr_contains(&pool, first) && addr_contains(&pool, last))
			return true;
	return false;
}

static int check_ranges(const struct spec_host *h, size_t i, const struct json_where *w)
{
	const struct spec_network *n = &h->networks.items[i];
	struct addr first, last, pool;
	char path[PATH_TEXT];
	const char *key;
	int bad = 0;
	size_t at;

	for (size_t k = 0; pool_at(n, k, &pool, &key, &at); k++) {
		(void)snprintf(path, sizeof(path), "networks[%zu].%s[%zu]", i, key, at);
		if (check_pool(h, i, k, &pool, path, w) < 0)
			bad = -EINVAL;
	}
	for (size_t k = 0; k < n->reserved.n; k++) {
		(void)snprintf(path, sizeof(path), "networks[%zu].reserved[%zu]", i, k);
		if (addr_parse_range(n->reserved.items[k], &first, &last) == 0 &&
		    !is_in_pool(n, &first, &last))
			bad = problems_add(w, path, NULL, "\"%s\" is in no range of this network",
					   n->reserved.items[k]);
	}
	return bad;
}

static int check_network(const struct spec_host *h, size_t i, const struct json_where *w)
{
	const struct spec_network *n = &h->networks.items[i];
	char key[PATH_TEXT];
	int bad = 0;

	(void)snprintf(key, sizeof(key), "networks[%zu]", i);
	for (size_t k = 0; k < i; k++)
		if (str_eq(n->name, h->networks.items[k].name))
			bad = problems_add(w, key, NULL,
					   "\"%s\" is the name of networks[%zu] already", n->name,
					   k);
	if (n->ipv4.n == 0 && n->ipv6.n == 0)
		bad = problems_add(w, key, NULL,
				   "has no addresses; add \"ipv4\" or \"ipv6\" ranges");
	if (n->mode == SPEC_NETWORK_ROUTED && !n->uplink)
		bad = problems_add(w, key, NULL,
				   "the mode \"routed\" needs an \"uplink\", the interface to the "
				   "outside, such as \"eth0\"");
	if (n->uplink_proxy && n->mode != SPEC_NETWORK_ROUTED)
		bad = problems_add(w, key, NULL, "\"uplink_proxy\" needs the mode \"routed\"");
	if (n->ipv6.n > 0 && n->mtu < MTU6_MIN)
		bad = problems_add(w, key, NULL,
				   "\"mtu\" %llu is too small for IPv6; it needs %d at least",
				   (unsigned long long)n->mtu, MTU6_MIN);
	return check_ranges(h, i, w) < 0 ? -EINVAL : bad;
}

int spec_networks_check(const struct spec_host *h, const struct json_where *w)
{
	int bad = 0;

	for (size_t i = 0; i < h->networks.n; i++)
		if (check_network(h, i, w) < 0)
			bad = -EINVAL;
	return bad;
}

/* --- interfaces ------------------------------------------------------------------------------ */

struct words {
	char *const *items;
	size_t n;
};

static struct words words_of(const struct spec_attach *a, uint8_t family)
{
	return family == AF_INET ? (struct words){a->ipv4.items, a->ipv4.n}
				 : (struct words){a->ipv6.items, a->ipv6.n};
}

static const char *family_key(uint8_t family)
{
	return family == AF_INET ? "ipv4" : "ipv6";
}

size_t spec_attach_wishes(const struct spec_attach *a, uint8_t family,
			  struct spec_wish ret[SPEC_WISHES_MAX])
{
	const struct words words = words_of(a, family);
	size_t n = 0;

	for (size_t i = 0; i < words.n && n < SPEC_WISHES_MAX; i++) {
		const char *s = words.items[i];
		struct spec_wish wish = {.addr = {.family = family}};
		uint64_t prefix = addr_bits(&wish.addr);

		if (str_eq(s, "none"))
			continue;
		wish.is_auto = str_has_prefix(s, "auto");
		if (wish.is_auto && s[4] == '/')
			(void)num_parse_u64(s + 5, 0, prefix, &prefix);
		wish.addr.prefix = (uint8_t)prefix;
		if (wish.is_auto || addr_parse(s, &wish.addr) == 0)
			ret[n++] = wish;
	}
	return n;
}

bool spec_attach_is_default(const struct spec_attach *a, uint8_t family)
{
	return !json_rows_has(&spec_attach_table, a, family_key(family));
}

struct spec_forward spec_forward_parse(const char *s)
{
	struct spec_forward f = {.protocol = str_has_suffix(s, "/udp") ? IPPROTO_UDP : IPPROTO_TCP};
	uint64_t port = 0, guest_port = 0;

	if (num_scan_u64(s, &s, &port) == 0 && *s == ':')
		(void)num_scan_u64(s + 1, &s, &guest_port);
	f.port = (uint16_t)port;
	f.guest_port = (uint16_t)guest_port;
	return f;
}

const char *spec_forward_protocol(const struct spec_forward *f)
{
	return f->protocol == IPPROTO_UDP ? "udp" : "tcp";
}

/* Where word i of a family stands: the only one without its number. */
static void word_path(char dst[PATH_TEXT], size_t nic, uint8_t family, size_t i, size_t n)
{
	if (n == 1)
		(void)snprintf(dst, PATH_TEXT, "network[%zu].%s", nic, family_key(family));
	else
		(void)snprintf(dst, PATH_TEXT, "network[%zu].%s[%zu]", nic, family_key(family), i);
}

static int check_words(const struct spec_attach *a, size_t nic, uint8_t family,
		       const struct json_where *w)
{
	const struct words words = words_of(a, family);
	char path[PATH_TEXT];
	int bad = 0;

	for (size_t i = 0; i < words.n; i++) {
		struct addr addr;
		const char *why = NULL;

		word_path(path, nic, family, i, words.n);
		if (words.n > 1 && str_eq(words.items[i], "none"))
			bad = problems_add(w, path, NULL, "\"none\" stands by itself");
		if (addr_parse(words.items[i], &addr) == 0)
			why = spec_why_no_guest(&addr);
		if (why)
			bad = problems_add(w, path, NULL, "no guest can have \"%s\": it %s",
					   words.items[i], why);
	}
	return bad;
}

int spec_attach_check(const struct spec_instance *i, const struct json_where *w)
{
	struct spec_wish wishes[SPEC_WISHES_MAX];
	char path[PATH_TEXT];
	int bad = 0;

	for (size_t k = 0; k < i->network.n; k++) {
		const struct spec_attach *a = &i->network.items[k];

		if (check_words(a, k, AF_INET, w) < 0)
			bad = -EINVAL;
		if (check_words(a, k, AF_INET6, w) < 0)
			bad = -EINVAL;
		(void)snprintf(path, sizeof(path), "network[%zu].ports", k);
		if (a->ports.n > 0 && spec_attach_wishes(a, AF_INET, wishes) == 0 &&
		    spec_attach_wishes(a, AF_INET6, wishes) == 0)
			bad = problems_add(w, path, NULL,
					   "need an address; \"ipv4\" and \"ipv6\" are \"none\"");
	}
	return bad;
}

/* --- the same thing twice -------------------------------------------------------------------- */

/* Notes that 'what' is asked for at a path; the second to do so is told of the first. */
static int claim(json_t *claims, const char *what, const char *path, const struct json_where *w)
{
	const json_t *first = json_object_get(claims, what);

	if (first)
		return problems_add(w, path, NULL, "%s is asked for by %s already", what,
				    json_string_value(first));
	return json_object_set_new(claims, what, json_string(path)) < 0 ? -ENOMEM : 0;
}

static int claim_addresses(json_t *claims, const struct spec_attach *a, const char *nic,
			   uint8_t family, const struct json_where *w)
{
	const struct words words = words_of(a, family);
	char text[ADDR_TEXT], path[2 * PATH_TEXT];
	struct addr addr;
	int bad = 0, r;

	for (size_t i = 0; i < words.n; i++) {
		if (addr_parse(words.items[i], &addr) < 0)
			continue;
		addr_format(text, &addr);
		if (words.n == 1)
			(void)snprintf(path, sizeof(path), "%s.%s", nic, family_key(family));
		else
			(void)snprintf(path, sizeof(path), "%s.%s[%zu]", nic, family_key(family),
				       i);
		r = claim(claims, text, path, w);
		bad = r < 0 ? r : bad;
	}
	return bad;
}

static int claim_ports(json_t *claims, const struct spec_attach *a, const char *nic,
		       const struct json_where *w)
{
	char what[48], path[2 * PATH_TEXT];
	int bad = 0, r;

	for (size_t i = 0; i < a->ports.n; i++) {
		const struct spec_forward f = spec_forward_parse(a->ports.items[i]);

		(void)snprintf(what, sizeof(what), "port %u/%s of the host", f.port,
			       spec_forward_protocol(&f));
		(void)snprintf(path, sizeof(path), "%s.ports[%zu]", nic, i);
		r = claim(claims, what, path, w);
		bad = r < 0 ? r : bad;
	}
	return bad;
}

int spec_claims_check(const struct spec_instance *items, size_t n, bool is_list,
		      const struct json_where *w)
{
	_cleanup_json_ json_t *claims = json_object();
	char nic[PATH_TEXT];
	int bad = 0;

	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < items[i].network.n; k++) {
			const struct spec_attach *a = &items[i].network.items[k];
			int r[3];

			if (is_list)
				(void)snprintf(nic, sizeof(nic), "instances[%zu].network[%zu]", i,
					       k);
			else
				(void)snprintf(nic, sizeof(nic), "network[%zu]", k);
			r[0] = claim_addresses(claims, a, nic, AF_INET, w);
			r[1] = claim_addresses(claims, a, nic, AF_INET6, w);
			r[2] = claim_ports(claims, a, nic, w);
			for (size_t x = 0; x < 3; x++)
				bad = r[x] < 0 && bad != -ENOMEM ? r[x] : bad;
		}
	return bad;
}

/* --- interfaces against networks ------------------------------------------------------------- */

static int no_such_network(const struct spec_host *h, const char *name, const char *path,
			   const struct json_where *w)
{
	_cleanup_sbuf_ struct sbuf known = SBUF_INIT;

	for (size_t i = 0; i < h->networks.n; i++)
		sbuf_addf(&known, "%s\"%s\"", i ? ", " : "", h->networks.items[i].name);
	return problems_add(w, path, NULL, "this host has no network \"%s\"; it has %s", name,
			    sbuf_str(&known));
}

static int fits_family(const struct spec_attach *a, size_t nic, const struct spec_network *n,
		       uint8_t family, const struct json_where *w)
{
	struct spec_wish wishes[SPEC_WISHES_MAX];
	size_t n_wishes = spec_attach_wishes(a, family, wishes);
	bool has_pools = family == AF_INET ? n->ipv4.n > 0 : n->ipv6.n > 0;
	char path[PATH_TEXT];

	(void)snprintf(path, sizeof(path), "network[%zu].%s", nic, family_key(family));
	if (n_wishes > 0 && !has_pools && !spec_attach_is_default(a, family))
		return problems_add(w, path, NULL,
				    "network \"%s\" has no %s addresses; leave the key out, or "
				    "write \"none\"",
				    n->name, family == AF_INET ? "IPv4" : "IPv6");
	for (size_t i = 0; i < n_wishes; i++)
		if (!addr_is_single(&wishes[i].addr) && n->mode != SPEC_NETWORK_ROUTED)
			return problems_add(w, path, NULL,
					    "network \"%s\" has no prefixes to give out: its mode "
					    "is not \"routed\"",
					    n->name);
	return 0;
}

int spec_attach_fits(const struct spec_instance *i, const struct spec_host *h,
		     const struct json_where *w)
{
	char path[PATH_TEXT];
	int bad = 0;

	for (size_t k = 0; k < i->network.n; k++) {
		const struct spec_attach *a = &i->network.items[k];
		const struct spec_network *n = spec_network_find(h, a->network);

		(void)snprintf(path, sizeof(path), "network[%zu].network", k);
		if (!n) {
			bad = no_such_network(h, a->network, path, w);
			continue;
		}
		(void)snprintf(path, sizeof(path), "network[%zu].ports", k);
		if (a->ports.n > 0 && n->mode != SPEC_NETWORK_NAT)
			bad = problems_add(w, path, NULL,
					   "network \"%s\" forwards no ports: its mode is not "
					   "\"nat\"",
					   n->name);
		if (fits_family(a, k, n, AF_INET, w) < 0)
			bad = -EINVAL;
		if (fits_family(a, k, n, AF_INET6, w) < 0)
			bad = -EINVAL;
	}
	return bad;
}
