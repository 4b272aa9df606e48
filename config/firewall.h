/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firewall of an instance: what its rules mean. They are tried in the order of the document,
 * the first that is about a new connection decides. What none is about is denied as soon as one
 * rule allows something, and comes in where all rules deny.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/tenant.h"

/* Rules, where each port and each range of ports of a rule is one more. */
#define SPEC_FIREWALL_MAX 128

/* 0, or -EINVAL with problems added. */
int spec_firewall_check(const struct spec_instance *i, const struct json_where *w);
/* Whether what no rule is about is denied. */
bool spec_firewall_is_closed(const struct spec_instance *i);
bool spec_rule_allows(const struct spec_firewall_rule *rule);
enum spec_protocol spec_rule_protocol(const struct spec_firewall_rule *rule);
/* Takes the first port or range off a list that is known to be one: false = it is empty. */
bool spec_ports_next(const char **list, uint16_t *ret_first, uint16_t *ret_last);
