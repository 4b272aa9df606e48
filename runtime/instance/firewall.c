/* SPDX-License-Identifier: Apache-2.0 */
/* From the document's rules to the packet filter's: one for each port or range. */
#include "runtime/instance/firewall.h"

#include <stdlib.h>

#include "config/firewall.h"

_Static_assert((unsigned)SPEC_FIREWALL_MAX <= NET_FILTER_RULES_MAX, "each rule has room");

static struct net_filter_rule describe(const struct spec_firewall_rule *rule)
{
	static const uint8_t protocols[SPEC_PROTOCOL_MAX] = {
		[SPEC_PROTOCOL_TCP] = IPPROTO_TCP,
		[SPEC_PROTOCOL_UDP] = IPPROTO_UDP,
		[SPEC_PROTOCOL_ICMP] = IPPROTO_ICMP,
	};
	struct net_filter_rule q = {.is_allowed = spec_rule_allows(rule),
				    .protocol = protocols[spec_rule_protocol(rule)],
				    .from = ADDR_NONE};

	/* It is known to be one. */
	if (rule->from)
		(void)addr_parse(rule->from, &q.from);
	return q;
}

int firewall_rules(const struct spec_instance *spec, struct net_filter_rule **ret, size_t *ret_n,
		   unsigned *ret_flags, struct err *err)
{
	struct net_filter_rule *rules;
	size_t n = 0;

	if (spec->firewall.n == 0) {
		*ret = NULL;
		*ret_n = 0;
		*ret_flags = 0;
		return 0;
	}
	rules = calloc(SPEC_FIREWALL_MAX, sizeof(*rules));
	if (!rules)
		return err_set(err, ENOMEM, "cannot describe the firewall: out of memory");
	for (size_t i = 0; i < spec->firewall.n && n < SPEC_FIREWALL_MAX; i++) {
		const struct spec_firewall_rule *rule = &spec->firewall.items[i];
		const struct net_filter_rule q = describe(rule);
		const char *list = rule->ports;

		rules[n] = q;
		if (!list)
			n++;
		for (; list && n < SPEC_FIREWALL_MAX; n++) {
			rules[n] = q;
			if (!spec_ports_next(&list, &rules[n].first, &rules[n].last))
				break;
		}
	}
	*ret = rules;
	*ret_n = n;
	*ret_flags = spec_firewall_is_closed(spec) ? NET_NIC_CLOSED : 0;
	return 0;
}
