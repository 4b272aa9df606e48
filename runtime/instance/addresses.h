/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces of instances as facts: which network, which addresses, which ports of the host. They
 * are given out when an instance is created or its "network" changes, stand in the database in the
 * same transaction, and go with it. Whoever makes links reads them here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "config/network.h"
#include "config/plan.h"

struct inst;
struct inst_manager;
struct inst_tenant;
struct ipam;

struct inst_address {
	struct addr addr; /* one address; of IPv6 also a prefix, which is all the instance's */
	bool is_auto;	  /* it was chosen here */
	bool is_outside;  /* its network does not have it any more: it stays the instance's */
	bool is_held;	  /* a pool counts it as taken; addresses.c */
};

struct inst_nic {
	char network[SPEC_NAME_TEXT];
	struct inst_address *addresses; /* in the order of the document, IPv4 first */
	size_t n_addresses;
	struct spec_forward *forwards;
	size_t n_forwards;
};

/* All of an instance: nics[i] is its ethI. Empty where the host has no networks. */
struct inst_net {
	struct inst_nic nics[SPEC_NICS_MAX];
	size_t n;
};

/* What the networks of the host have: ipam i belongs to network i of the host document. NULL
 * behind the last. */
const struct ipam *inst_ipam(const struct inst_manager *m, size_t i);
/* Whether addresses are given out: the host document has networks. */
bool inst_has_networks(const struct inst_manager *m);

/* Who has this address, or one of this prefix; NULL = nobody. */
const struct inst *inst_by_address(const struct inst_manager *m, const struct addr *a);
/* Addresses that count for a tenant's quota.ipv4: IPv4 of networks in the mode "routed". */
uint64_t inst_tenant_ipv4(const struct inst_manager *m, const struct inst_tenant *t);
