/* SPDX-License-Identifier: Apache-2.0 */
/* The firewall of an instance: checks between its fields, and readings. */
#include "config/firewall.h"

#include <errno.h>
#include <stdio.h>

#include "base/num.h"

bool spec_rule_allows(const struct spec_firewall_rule *rule)
{
	return json_rows_has(&spec_rule_table, rule, "allow");
}

enum spec_protocol spec_rule_protocol(const struct spec_firewall_rule *rule)
{
	return spec_rule_allows(rule) ? rule->allow : rule->deny;
}

bool spec_firewall_is_closed(const struct spec_instance *i)
{
	for (size_t k = 0; k < i->firewall.n; k++)
		if (spec_rule_allows(&i->firewall.items[k]))
			return true;
	return false;
}

bool spec_ports_next(const char **list, uint16_t *ret_first, uint16_t *ret_last)
{
	const char *s = *list;
	uint64_t first, last;

	if (*s == ',')
		s++;
	if (num_scan_u64(s, &s, &first) < 0)
		return false;
	last = first;
	if (*s == '-' && num_scan_u64(s + 1, &s, &last) < 0)
		return false;
	*list = s;
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return true;
}

/* As how many it counts. */
static size_t count(const struct spec_firewall_rule *rule)
{
	const char *list = rule->ports;
	uint16_t first, last;
	size_t n = 0;

	while (list && spec_ports_next(&list, &first, &last))
		n++;
	return n ? n : 1;
}

static int check_rule(const struct spec_firewall_rule *rule, size_t i, const struct json_where *w)
{
	enum spec_protocol protocol = spec_rule_protocol(rule);
	char key[48];

	(void)snprintf(key, sizeof(key), "firewall[%zu]", i);
	if (spec_rule_allows(rule) == json_rows_has(&spec_rule_table, rule, "deny"))
		return problems_add(w, key, NULL,
				    "expected either \"allow\" or \"deny\" with a protocol, such "
				    "as {\"allow\": \"tcp\"}");
	if (rule->ports && protocol != SPEC_PROTOCOL_TCP && protocol != SPEC_PROTOCOL_UDP)
		return problems_add(w, key, NULL,
				    "only tcp and udp have ports; leave \"ports\" out");
	return 0;
}

int spec_firewall_check(const struct spec_instance *i, const struct json_where *w)
{
	size_t n = 0;
	int bad = 0;

	for (size_t k = 0; k < i->firewall.n; k++) {
		if (check_rule(&i->firewall.items[k], k, w) < 0)
			bad = -EINVAL;
		n += count(&i->firewall.items[k]);
	}
	if (n > SPEC_FIREWALL_MAX)
		bad = problems_add(w, "firewall", NULL,
				   "has %zu rules, where each port and range counts; at most %d "
				   "are accepted",
				   n, SPEC_FIREWALL_MAX);
	return bad;
}
