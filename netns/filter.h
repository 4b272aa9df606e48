/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet filter of guests. Its rules are a text (config/defaults/filter.nft) that a job loads
 * once; here are the facts about one guest's interfaces, as elements of the sets and maps of those
 * rules. The table belongs to one netlink socket: nobody else can change or flush it, and it lives
 * as long as any copy of that socket does, whoever holds it. (nft(8), libnftnl)
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "netns/netlink.h"

#define NET_FILTER_TABLE_MAX 32u /* of a table's name, with NUL */
/* Type of the record (base/msg.h) by which the job that loads the rules hands the socket over. */
#define NET_FILTER_RECORD 1u
/* Ports of the host that guests may reach; ranges count with each port. */
#define NET_FILTER_PORTS_MAX 1024u
/* Rules of one interface's firewall: with ten interfaces they still fit into one transaction. */
#define NET_FILTER_RULES_MAX 128u
#define NET_FILTER_TENANT_MAX 0x7fffffffu
/* Connections are counted in so many parts, each up to its share of the cap: one that has many more
 * than its share is refused a little before the cap, and a cap is at least this. */
#define NET_FILTER_BUCKETS 16u

/* The socket that owns the table. */
struct net_filter {
	struct nl_sock sock;
	char table[NET_FILTER_TABLE_MAX];
};

#define NET_FILTER_INIT ((struct net_filter){.sock = {.fd = -1}})
#define _cleanup_net_filter_ _cleanup_(net_filter_done)

/* --- counters -------------------------------------------------------------------------------- */

/* Seen from the guest. Private is what goes to, or comes from, an address that the rules list as
 * private. */
enum net_way {
	NET_OUT_PUBLIC,
	NET_OUT_PRIVATE,
	NET_IN_PUBLIC,
	NET_IN_PRIVATE,
	NET_WAY_MAX,
};

struct net_counter {
	uint64_t bytes; /* of layer 3 */
	uint64_t packets;
};

struct net_usage {
	struct net_counter v4[NET_WAY_MAX], v6[NET_WAY_MAX];
};

/* --- facts ----------------------------------------------------------------------------------- */

enum net_nic_flags {
	/* Its connections are tracked: whoever has masquerade, forwards, a firewall or caps on
	 * connections needs it. Others take nothing from the host's table of connections. */
	NET_NIC_TRACKED = 1u << 0,
	NET_NIC_OPEN = 1u << 1,	   /* guests of other tenants reach it as the world does */
	NET_NIC_CLOSED = 1u << 2,  /* what no rule is about does not come in */
	NET_NIC_NO_SMTP = 1u << 3, /* nothing goes out to TCP port 25 */
	/* Its counters are none of its facts: they come with net_filter_count(), and stay when the
	 * facts go. */
	NET_NIC_COUNTED_APART = 1u << 15,
};

struct net_ports {
	uint8_t protocol;     /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t first, last; /* 1..65535 */
};

/* A rule of a firewall, about new connections to the guest. Answers, what is related to a
 * connection, and forwarded ports come in whatever the rules say. */
struct net_filter_rule {
	bool is_allowed;
	uint8_t protocol;     /* IPPROTO_TCP, _UDP, _ICMP (of IPv6 as well); 0 = all */
	uint16_t first, last; /* ports of the guest; 0 = all */
	struct addr from;     /* a network; ADDR_NONE = anywhere, in both families */
};

struct net_forward {
	uint8_t protocol;
	struct addr
		host; /* an address of the host; ADDR_NONE = any of them, in the family of 'to' */
	uint16_t port;
	struct addr to; /* of the guest */
	uint16_t to_port;
};

struct net_rate {
	uint32_t per_second; /* 0 = no cap */
	uint32_t burst;	     /* 0 = those of a tenth of a second, at least 5 */
};

/* One interface. What it points to belongs to the caller. */
struct net_filter_nic {
	char name[IFNAMSIZ]; /* of the host end */
	uint8_t mac[6];	     /* of the guest's end */
	uint32_t tenant;     /* 1..NET_FILTER_TENANT_MAX; those of one tenant have the same */
	unsigned flags;	     /* enum net_nic_flags */
	/* Single addresses, those of the link (fe80::) as well, to which the one made of the MAC is
	 * added; of IPv6 also networks, of which the guest may use whatever is routed to this
	 * interface. */
	const struct addr *addrs;
	size_t n_addrs;
	/* Tried in this order, the first that is about a connection decides. */
	const struct net_filter_rule *rules;
	size_t n_rules;
	const struct net_forward *forwards;
	size_t n_forwards;
	struct net_rate packets_out, packets_in, new_out, new_in; /* "new": connections */
	uint32_t connections_out, connections_in;		  /* at a time; 0 = no cap */
	const struct net_usage *start; /* where counting begins; NULL = at 0 */
};

/* What holds for all guests. */
struct net_filter_host {
	const struct addr *nat; /* networks whose guests leave under the host's address */
	size_t n_nat;
	const struct net_ports *services; /* of the host, for guests */
	size_t n_services;
};

/* --- the table ------------------------------------------------------------------------------- */

/* Takes the owner's socket; the fd is owned on success. Whether it owns a table of that name is
 * what net_filter_check() says. */
int net_filter_adopt(int fd, const char *table, struct net_filter *ret, struct err *err);
/* The same with what the job "filter" sent over the other end of 'sock'. -EAGAIN: nothing yet. */
int net_filter_take(int sock, const char *table, struct net_filter *ret, struct err *err);
/* Closes this copy. */
void net_filter_done(struct net_filter *f);
/* -ENOENT when there is no such table, -EPERM when it belongs to another socket. */
int net_filter_check(struct net_filter *f, struct err *err);
/* From now on a guest's interface that is not listed is mute. A table that is to take over from
 * another is filled first. May be repeated. */
int net_filter_arm(struct net_filter *f, struct err *err);
/* Removes the table, however many copies of the socket there are. */
int net_filter_drop(struct net_filter *f, struct err *err);

/* Each of these is one transaction: all of it or, on an error, nothing. */

/* Replaces what holds for all. -EINVAL names what is wrong. */
int net_filter_set_host(struct net_filter *f, const struct net_filter_host *h, struct err *err);
/* The interfaces of one instance. -EEXIST: an address, a name or a forwarded port is taken.
 * -EINVAL, -E2BIG (rules) name what is wrong. */
int net_filter_add(struct net_filter *f, const struct net_filter_nic *nics, size_t n,
		   struct err *err);
/* With the facts that they were added with; 'start' is not looked at. -ENOENT when they are not
 * there. */
int net_filter_remove(struct net_filter *f, const struct net_filter_nic *nics, size_t n,
		      struct err *err);
/* From the facts that hold to others: only what differs is touched, so counters, rates and
 * connections of what stays go on. */
int net_filter_change(struct net_filter *f, const struct net_filter_nic *old, size_t n_old,
		      const struct net_filter_nic *now, size_t n_now, struct err *err);

/* Counters of interfaces with these names of their host ends (IFNAMSIZ each, padded with NULs),
 * with or without facts: those that are there already go on. */
int net_filter_count(struct net_filter *f, const char (*names)[IFNAMSIZ], size_t n,
		     struct err *err);
/* Removes them. -ENOENT when they are not there. */
int net_filter_uncount(struct net_filter *f, const char (*names)[IFNAMSIZ], size_t n,
		       struct err *err);
/* A number of the socket that owns the table: no other socket has it until the host is booted anew,
 * and all copies of this one have. (SO_COOKIE) */
int net_filter_cookie(const struct net_filter *f, uint64_t *ret, struct err *err);

/* For each counter that is there; a negative number ends it. */
typedef int net_filter_visit(void *arg, const char *nic, enum net_way way, int family,
			     const struct net_counter *c);
/* Reads the counters of all interfaces. When the table is changed meanwhile some are told again:
 * the last time counts. */
int net_filter_read(struct net_filter *f, net_filter_visit *visit, void *arg, struct err *err);
