/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of one network: which of its pools' are given out, which never are, which is next. Both
 * families; single addresses and prefixes alike. Pure: no kernel, no database. Whose an address is
 * the caller knows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

struct ipam;

/* Single addresses of one family, both included. */
struct ipam_range {
	struct addr first, last;
};

struct ipam_spec {
	const char *name;	  /* of the network, for messages; copied */
	const struct addr *pools; /* prefixes that have no address in common; copied */
	size_t n_pools;
	const struct ipam_range *reserved; /* never given out; may overlap; copied */
	size_t n_reserved;
	/* Of each pool the first address (the network's), the one behind it (the host's) and, of
	 * IPv4, the last one (broadcast) are not given out either. Pools of one or two addresses
	 * have none of these. */
	bool keeps_ends;
};

/* How a pool stands. Counts are of addresses; UINT64_MAX = that many or more. */
struct ipam_status {
	struct addr pool;
	uint64_t size;
	uint64_t used;	   /* given out */
	uint64_t reserved; /* never given out, and not in use */
	uint64_t free;
};

int ipam_new(const struct ipam_spec *spec, struct ipam **ret, struct err *err);
/* NULL is fine. */
void ipam_free(struct ipam *p);
const char *ipam_name(const struct ipam *p);

/* The addresses that the host has itself now, of whatever network: never given out, in the place of
 * those of the last call. What is given out already stays so. */
int ipam_set_own(struct ipam *p, const struct addr *own, size_t n, struct err *err);

/* Takes this address or prefix. -ERANGE: not within one pool; -EADDRNOTAVAIL: reserved, or the
 * host's; -EADDRINUSE: it, or an address of it, is taken. Nothing is taken then. */
int ipam_take(struct ipam *p, const struct addr *a, struct err *err);
/* The same for one that was given out before: reserved or not. */
int ipam_keep(struct ipam *p, const struct addr *a, struct err *err);
/* Takes a free one. IPv4: the lowest. IPv6: a place that follows from 'seed', or the next free one
 * behind it. 'prefix' is its length in bits, that of a single address for one. -ENOSPC says which
 * pools there are and how full they are; -ERANGE: the network has no pool of that family, or none
 * that large. */
int ipam_take_any(struct ipam *p, uint8_t family, unsigned prefix, uint64_t seed, struct addr *ret,
		  struct err *err);
/* Gives back what was taken, as it was taken. What is not taken is ignored. */
void ipam_release(struct ipam *p, const struct addr *a);

/* Whether all of it is taken. */
bool ipam_is_taken(const struct ipam *p, const struct addr *a);
/* Whether it lies in one of the pools. */
bool ipam_has(const struct ipam *p, const struct addr *a);
bool ipam_has_family(const struct ipam *p, uint8_t family);
/* Pool i from 0, IPv4 first, in the order given; false = there are no more. */
bool ipam_status(const struct ipam *p, size_t i, struct ipam_status *ret);
