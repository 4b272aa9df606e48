/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of a document as the packet filter has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "runtime/instance/firewall.h"

/* The rules of a text in theirs: "+6 22-22 10.0.0.0/8;" is a TCP port that is allowed. */
static void expect(const char *firewall, unsigned want_flags, const char *want)
{
	_cleanup_spec_instance_ struct spec_instance spec = {0};
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT, doc = SBUF_INIT;
	_cleanup_free_ struct net_filter_rule *rules = NULL;
	const struct json_where w = {"", "", p};
	_cleanup_json_ json_t *json = NULL;
	struct err err = ERR_INIT;
	unsigned flags = 77;
	size_t n = 77;

	sbuf_addf(&doc, "{\"name\": \"a\", \"plan\": \"p\", \"image\": \"i\", \"firewall\": [%s]}",
		  firewall);
	assert_int_equal(json_text_load(sbuf_str(&doc), strlen(sbuf_str(&doc)), 0, &w, &json), 0);
	assert_int_equal(spec_instance_from_json(&spec, json, &w), 0);
	assert_int_equal(firewall_rules(&spec, &rules, &n, &flags, &err), 0);
	assert_int_equal(flags, want_flags);
	for (size_t i = 0; i < n; i++) {
		char from[ADDR_TEXT] = "*";

		if (rules[i].from.family)
			addr_format(from, &rules[i].from);
		sbuf_addf(&text, "%c%u %u-%u %s;", rules[i].is_allowed ? '+' : '-',
			  rules[i].protocol, rules[i].first, rules[i].last, from);
	}
	assert_string_equal(sbuf_str(&text), want);
}

static void described(void **state)
{
	(void)state;
	expect("", 0, "");
	expect("{\"allow\": \"tcp\", \"ports\": \"22,8000-8100\", \"from\": \"10.0.0.0/8\"}, "
	       "{\"deny\": \"all\", \"from\": \"2001:db8::/32\"}, {\"allow\": \"icmp\", "
	       "\"from\": \"2001:db8::1\"}, "
	       "{\"allow\": \"udp\", \"ports\": \"1-65535\"}, {\"allow\": \"tcp\", \"ports\": "
	       "null, \"from\": null}",
	       NET_NIC_CLOSED,
	       "+6 22-22 10.0.0.0/8;+6 8000-8100 10.0.0.0/8;-0 0-0 2001:db8::/32;+1 0-0 "
	       "2001:db8::1;+17 "
	       "1-65535 *;+6 0-0 *;");
	/* Where all rules deny the rest comes in. */
	expect("{\"deny\": \"tcp\", \"ports\": \"25\"}, {\"deny\": \"all\", \"from\": "
	       "\"0.0.0.0/0\"}",
	       0, "-6 25-25 *;-0 0-0 0.0.0.0/0;");
}

/* As many as are taken, in one rule and in many. */
static void full(void **state)
{
	_cleanup_sbuf_ struct sbuf ports = SBUF_INIT, many = SBUF_INIT, want = SBUF_INIT,
				   want_many = SBUF_INIT;

	(void)state;
	sbuf_adds(&ports, "{\"allow\": \"tcp\", \"ports\": \"");
	for (unsigned i = 1; i <= NET_FILTER_RULES_MAX; i++) {
		sbuf_addf(&ports, "%s%u", i > 1 ? "," : "", i);
		sbuf_addf(&want, "+6 %u-%u *;", i, i);
		sbuf_addf(&many, "%s{\"deny\": \"icmp\"}", i > 1 ? "," : "");
		sbuf_adds(&want_many, "-1 0-0 *;");
	}
	sbuf_adds(&ports, "\"}");
	expect(sbuf_str(&ports), NET_NIC_CLOSED, sbuf_str(&want));
	expect(sbuf_str(&many), 0, sbuf_str(&want_many));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(described),
		cmocka_unit_test(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
