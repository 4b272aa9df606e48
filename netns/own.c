/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of all interfaces, by one dump. */
#include "netns/own.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "netns/netlink.h"

struct found {
	struct addr *items;
	size_t n, room;
};

static int add(struct found *f, const struct addr *a, struct err *err)
{
	size_t room = f->room ? f->room * 2 : 16;
	struct addr *grown;

	if (f->n == f->room) {
		grown = reallocarray(f->items, room, sizeof(*grown));
		if (!grown)
			return err_set(err, ENOMEM, "cannot list addresses: out of memory");
		f->items = grown;
		f->room = room;
	}
	f->items[f->n++] = *a;
	return 0;
}

/* Guests' links have the same two on each host end. */
static bool is_link_local(const struct addr *a)
{
	if (a->family == AF_INET)
		return a->bytes[0] == 169 && a->bytes[1] == 254;
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* IFA_LOCAL is the interface's own where the other end of a link has one as well. */
static int take_own(const struct nlattr *attr, void *arg)
{
	const struct nlattr **own = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type == IFA_LOCAL || (type == IFA_ADDRESS && !*own))
		*own = attr;
	return MNL_CB_OK;
}

static int visit(void *arg, const struct nlmsghdr *m, struct err *err)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(m);
	const struct nlattr *own = NULL;
	struct addr a;

	if (m->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(m) < sizeof(*header) ||
	    (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
		return 0;
	a = (struct addr){.family = header->ifa_family};
	if (mnl_attr_parse(m, sizeof(*header), take_own, &own) < 0 || !own ||
	    mnl_attr_get_payload_len(own) != addr_len(&a))
		return 0;
	memcpy(a.bytes, mnl_attr_get_payload(own), addr_len(&a));
	a.prefix = (uint8_t)addr_bits(&a);
	return is_link_local(&a) ? 0 : add(arg, &a, err);
}

static void begin_anew(void *arg)
{
	struct found *f = arg;

	f->n = 0;
}

int netns_own_addresses(struct addr **ret, size_t *ret_n, struct err *err)
{
	static const struct ifaddrmsg all = {.ifa_family = AF_UNSPEC};
	_cleanup_nl_sock_ struct nl_sock s = NL_SOCK_INIT;
	struct found f = {0};
	int r = nl_sock_open(NETLINK_ROUTE, &s, err);

	if (r >= 0)
		r = nl_dump(&s, RTM_GETADDR, &all, sizeof(all), visit, begin_anew, &f,
			    "list the addresses of the host", err);
	if (r < 0) {
		free(f.items);
		return r;
	}
	*ret = f.items;
	*ret_n = f.n;
	return 0;
}
