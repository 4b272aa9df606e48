/* SPDX-License-Identifier: Apache-2.0 */
/* The requests that a NIC is made of; for nic*.c and its tests. 'flags' as in address.h. */
#pragma once

#include "netns/nic.h"

/* The host end, without what is about single addresses of the guest. May be repeated. */
void nic_host_base(struct nl_batch *b, const struct net_nic *nic, int link);
/* Of a bridged one: its membership, its isolation, its VLAN, where the guest's MAC is. */
void nic_port(struct nl_batch *b, const struct net_nic *nic, int link);
void nic_host_address(struct nl_batch *b, uint16_t flags, const struct net_nic *nic, int link,
		      const struct addr *a);
void nic_host_address_delete(struct nl_batch *b, const struct net_nic *nic, int link,
			     const struct addr *a);
/* The route by which the host reaches an address or network of a routed guest. */
struct net_route nic_host_route(const struct net_nic *nic, int link, const struct addr *a);

/* The guest's end, without addresses and default routes. May be repeated. */
void nic_guest_base(struct nl_batch *b, const struct net_nic *nic, int link);
void nic_guest_address(struct nl_batch *b, uint16_t flags, const struct net_nic *nic, int link,
		       const struct addr *a);
void nic_guest_address_delete(struct nl_batch *b, const struct net_nic *nic, int link,
			      const struct addr *a);
/* Of a NIC without the guest's default routes: what is sent from the address goes out by it. */
struct net_rule nic_guest_rule(const struct net_nic *nic, const struct addr *a);
/* The default routes as they shall be; those of 'before' (NULL = none) that shall not be go. */
void nic_guest_defaults(struct nl_batch *b, const struct net_nic *nic, int link,
			const struct net_nic *before);

/* "vpsd ID ethN": tells two instances apart whose ids begin alike. */
void nic_alias(char dst[NET_ALIAS], const struct net_nic *nic);
/* Whether the link is this NIC's, by what it carries. */
bool nic_is_link(const struct net_nic *nic, const struct net_link *l);
/* -EADDRINUSE when the host itself has one of the addresses. */
int nic_check_free(struct nl_sock *host, const struct net_nic *nic, const struct addr *addresses,
		   size_t n, struct err *err);
