/* SPDX-License-Identifier: Apache-2.0 */
/* The firewall of an instance in the words of the packet filter. */
#pragma once

#include "config/tenant.h"
#include "netns/filter.h"

/* Its rules, to be freed; *ret_flags: NET_NIC_CLOSED or 0. No rules are NULL. -ENOMEM. */
int firewall_rules(const struct spec_instance *spec, struct net_filter_rule **ret, size_t *ret_n,
		   unsigned *ret_flags, struct err *err);
