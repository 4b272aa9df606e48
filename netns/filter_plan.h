/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about interfaces as elements of the packet filter's sets, before they are sent. */
#pragma once

#include <linux/netfilter/nfnetlink.h>

#include "netns/filter.h"

/* The sets and maps of the rules that change. */
enum filter_set {
	FILTER_ARMED,
	FILTER_SERVICES,
	FILTER_NAT4,
	FILTER_NAT6,
	FILTER_GUESTS,
	FILTER_SOURCE4,
	FILTER_SOURCE6,
	FILTER_PREFIX6,
	FILTER_MACS,
	FILTER_TARGETS,
	FILTER_UNTRACKED4,
	FILTER_UNTRACKED6,
	FILTER_TRACKED4,
	FILTER_TRACKED6,
	FILTER_TENANTS,
	FILTER_MEMBERS,
	FILTER_OPEN,
	FILTER_FIREWALLS,
	FILTER_NO_SMTP,
	FILTER_FORWARD4,
	FILTER_FORWARD6,
	FILTER_FORWARD4_ANY,
	FILTER_FORWARD6_ANY,
	FILTER_HAIRPIN,
	FILTER_PACKETS_OUT,
	FILTER_PACKETS_IN,
	FILTER_NEW_OUT,
	FILTER_NEW_IN,
	FILTER_CONNECTIONS_OUT,
	FILTER_CONNECTIONS_IN,
	FILTER_OUT_PUBLIC, /* in the order of enum net_way */
	FILTER_OUT_PRIVATE,
	FILTER_IN_PUBLIC,
	FILTER_IN_PRIVATE,
	FILTER_ARP_ARMED,
	FILTER_ARP_SENDERS,
	FILTER_SET_MAX,
};

/* What an element has besides its key. */
enum filter_kind {
	FILTER_PLAIN,
	FILTER_RULES, /* the verdict to go to the chain of the interface's rules */
	FILTER_VALUE, /* data */
	FILTER_COUNTER,
	FILTER_RATE,
	FILTER_COUNT, /* connections */
	FILTER_RANGE, /* of an interval: first, or behind the last */
};

struct filter_set_row {
	const char *name;
	const char *what; /* in errors: "the addresses" */
	enum filter_kind kind;
	bool is_arp;
	bool is_single;	  /* elements go one by one, so that an error is about one */
	bool may_overlap; /* the same element twice is one */
};

extern const struct filter_set_row filter_sets[FILTER_SET_MAX];

#define FILTER_KEY_MAX 40u
#define FILTER_DATA_MAX 20u

struct filter_elem {
	enum filter_set set;
	uint8_t key_len, data_len;
	bool is_end; /* FILTER_RANGE */
	uint8_t key[FILTER_KEY_MAX], data[FILTER_DATA_MAX];
	uint64_t a, b; /* counter: bytes, packets; rate: per second, burst; count: a */
	const struct net_filter_nic *nic; /* FILTER_RULES; the caller's */
};

struct filter_plan {
	struct filter_elem *elems;
	size_t n, room;
	size_t n_ports;
	bool failed; /* out of memory */
	struct filter_elem spare;
};

#define FILTER_PLAN_INIT ((struct filter_plan){0})
#define _cleanup_filter_plan_ _cleanup_(filter_plan_done)

void filter_plan_done(struct filter_plan *p);
/* The interfaces, and what they point to, have to live as long as the plan. */
int filter_plan_nics(struct filter_plan *p, const struct net_filter_nic *nics, size_t n,
		     struct err *err);
/* Only the counters of one. */
void filter_plan_counters(struct filter_plan *p, const struct net_filter_nic *nic);
int filter_plan_host(struct filter_plan *p, const struct net_filter_host *h, struct err *err);
void filter_plan_arm(struct filter_plan *p);
/* Sorts by set and key. -EEXIST when an element is there twice that may not, -ENOMEM when building
 * failed. */
int filter_plan_finish(struct filter_plan *p, struct err *err);
/* Order of elements by set and key. */
int filter_elem_compare(const struct filter_elem *a, const struct filter_elem *b);
/* Whether an element of the same key may stay as it is. What is counted is no difference. */
bool filter_elem_same(const struct filter_elem *a, const struct filter_elem *b);
/* Takes out of both what may stay as it is. */
void filter_plan_diff(struct filter_plan *gone, struct filter_plan *come);

/* --- requests -------------------------------------------------------------------------------- */

static inline uint16_t filter_type(unsigned message)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message);
}

static inline struct nfgenmsg filter_header(uint8_t family)
{
	return (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0};
}

/* What begins and ends a transaction: NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END. */
void filter_mark(struct nl_batch *b, uint16_t type);
void filter_put_be32(struct nl_batch *b, uint16_t type, uint32_t v);
void filter_put_value(struct nl_batch *b, uint16_t type, const void *value, size_t len);
/* Adds or removes elements, as few requests as errors allow, and the firewalls that
 * they lead to. The plan is finished. */
void filter_requests(struct nl_batch *b, const char *table, bool is_new,
		     const struct filter_plan *p);

/* --- firewalls ------------------------------------------------------------------------------- */

bool filter_has_rules(const struct net_filter_nic *nic);
bool filter_rules_same(const struct net_filter_nic *a, const struct net_filter_nic *b);
/* -EINVAL, -E2BIG name what is wrong. */
int filter_rules_check(const struct net_filter_nic *nic, struct err *err);
/* The chain of its rules, before an element leads to it and when none does any more. */
void filter_chain_add(struct nl_batch *b, const char *table, const struct net_filter_nic *nic);
void filter_chain_remove(struct nl_batch *b, const char *table, const struct net_filter_nic *nic);
