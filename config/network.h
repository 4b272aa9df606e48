/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of the host document and interfaces of instances: what their rows cannot say of them by
 * themselves, and what their texts mean.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/host.h"
#include "config/tenant.h"

#define SPEC_NICS_MAX 10   /* of an instance: they are told apart by one digit */
#define SPEC_WISHES_MAX 64 /* of an interface, in each family */

/* An address that an interface asks for. */
struct spec_wish {
	bool is_auto;
	struct addr addr; /* of "auto" only the family, and the length of a prefix */
};

/* "8080:80/tcp" */
struct spec_forward {
	uint8_t protocol;    /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t port;	     /* of the host */
	uint16_t guest_port; /* of the guest */
};

/* Checks the networks of a host document: names, ranges that overlap or that no guest can have,
 * keys that need one another. 0, or -EINVAL with problems added. */
int spec_networks_check(const struct spec_host *h, const struct json_where *w);
/* NULL: none of that name. */
const struct spec_network *spec_network_find(const struct spec_host *h, const char *name);

/* Checks the interfaces of an instance by themselves. */
int spec_attach_check(const struct spec_instance *i, const struct json_where *w);
/* No two of them ask for the same address or port of the host. 'is_list': their paths begin with
 * instances[N]. -EINVAL with problems added, -ENOMEM. */
int spec_claims_check(const struct spec_instance *items, size_t n, bool is_list,
		      const struct json_where *w);
/* Whether the interfaces fit the networks of the host: each is there, and has what is asked for.
 * Needs a host with networks. */
int spec_attach_fits(const struct spec_instance *i, const struct spec_host *h,
		     const struct json_where *w);

/* What it asks for of a family (AF_INET, AF_INET6), in the order of the document; "none" is
 * nothing. Returns how many. */
size_t spec_attach_wishes(const struct spec_attach *a, uint8_t family,
			  struct spec_wish ret[SPEC_WISHES_MAX]);
/* Whether that is the default: "auto", where the network has addresses of the family. */
bool spec_attach_is_default(const struct spec_attach *a, uint8_t family);
/* 's' is known to be one. */
struct spec_forward spec_forward_parse(const char *s);
/* "tcp", "udp". */
const char *spec_forward_protocol(const struct spec_forward *f);
/* Why no guest can have any address of it; NULL = it can. */
const char *spec_why_no_guest(const struct addr *a);
