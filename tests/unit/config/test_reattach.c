/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ports added to, and taken away from, the document of an interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "config/reattach.h"

struct given_row {
	const char *addr;
	bool is_auto;
};

static const struct row {
	const char *doc;
	struct given_row given[4];
	const char *edit;
	const char *want; /* the document, or the problems */
} rows[] = {
	/* Nothing was written: the one that was chosen stays. */
	{"{'network': 'n'}",
	 {{"10.0.0.5", true}, {"fd00::5", true}},
	 "{'add': {'ipv4': ['auto', '10.0.0.9']}}",
	 "{'network': 'n', 'ipv4': ['auto', 'auto', '10.0.0.9']}"},
	{"{'network': 'n', 'ipv4': 'none'}",
	 {{"fd00::5", true}},
	 "{'add': {'ipv4': ['10.0.0.9']}}",
	 "{'network': 'n', 'ipv4': '10.0.0.9'}"},
	/* One of two that were chosen goes: the other one is named from then on. */
	{"{'network': 'n', 'ipv4': ['auto', '10.0.0.9', 'auto']}",
	 {{"10.0.0.5", true}, {"10.0.0.9", false}, {"10.0.0.6", true}},
	 "{'remove': {'ipv4': ['10.0.0.5']}}",
	 "{'network': 'n', 'ipv4': ['10.0.0.9', '10.0.0.6']}"},
	/* One that was named goes: what was chosen needs no name. */
	{"{'network': 'n', 'ipv4': ['auto', '10.0.0.9', 'auto']}",
	 {{"10.0.0.5", true}, {"10.0.0.9", false}, {"10.0.0.6", true}},
	 "{'remove': {'ipv4': ['10.0.0.9']}}",
	 "{'network': 'n', 'ipv4': ['auto', 'auto']}"},
	/* Two at once, and one that is new is chosen anew. */
	{"{'network': 'n', 'ipv4': ['auto', '10.0.0.9', 'auto']}",
	 {{"10.0.0.5", true}, {"10.0.0.9", false}, {"10.0.0.6", true}},
	 "{'remove': {'ipv4': ['10.0.0.9', '10.0.0.6']}, 'add': {'ipv4': ['auto']}}",
	 "{'network': 'n', 'ipv4': ['10.0.0.5', 'auto']}"},
	{"{'network': 'n'}",
	 {{"10.0.0.5", true}, {"fd00::5", true}},
	 "{'remove': {'ipv4': ['10.0.0.5']}}",
	 "{'network': 'n', 'ipv4': 'none'}"},
	{"{'network': 'n', 'ipv6': ['auto', 'auto/64', 'FD00:0::7']}",
	 {{"10.0.0.5", true}, {"fd00::5", true}, {"fd00:1::/64", true}, {"fd00::7", false}},
	 "{'remove': {'ipv6': ['fd00:1::/64', 'fd00::0:7']}}",
	 "{'network': 'n', 'ipv6': 'fd00::5'}"},
	/* Its addresses are not known: what stands there can go. */
	{"{'network': 'n', 'ipv4': ['auto', '10.0.0.9']}",
	 {{NULL, false}},
	 "{'remove': {'ipv4': ['10.0.0.9']}}",
	 "{'network': 'n', 'ipv4': 'auto'}"},
	{"{'network': 'n', 'ipv4': ['10.0.0.9'], 'ports': ['80:80/tcp', '80:80/udp']}",
	 {{"10.0.0.9", false}},
	 "{'remove': {'ports': ['80/udp']}, 'add': {'ports': ['8080:80/tcp']}}",
	 "{'network': 'n', 'ipv4': '10.0.0.9', 'ports': ['80:80/tcp', '8080:80/tcp']}"},
	{"{'network': 'n', 'ports': ['80:80/tcp']}",
	 {{"10.0.0.5", true}},
	 "{'remove': {'ports': ['80/tcp']}}",
	 "{'network': 'n'}"},

	{"{'network': 'n', 'ipv4': ['10.0.0.9'], 'ports': ['80:80/tcp']}",
	 {{"10.0.0.9", false}},
	 "{'add': {'ipv4': ['10.0.0.9', '10.0.0.8', '10.0.0.8'], 'ports': ['80:81/tcp']}, "
	 "'remove': {'ipv4': ['10.0.0.7'], 'ports': ['81/tcp']}}",
	 "remove.ipv4[0]: \"10.0.0.7\" is no address of this interface\n"
	 "add.ipv4[0]: \"10.0.0.9\" is an address of this interface already\n"
	 "add.ipv4[2]: \"10.0.0.8\" is an address of this interface already\n"
	 "remove.ports[0]: port \"81/tcp\" of the host is not forwarded to this interface\n"
	 "add.ports[0]: port 80/tcp of the host is forwarded to this interface already\n"},
};

static json_t *parse(const char *text)
{
	char copy[400];
	json_t *j;

	assert_int_equal(str_copy(copy, sizeof(copy), text), 0);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	j = json_loads(copy, 0, NULL);
	assert_non_null(j);
	return j;
}

static void check_row(const struct row *row)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = "", .path = "", .problems = problems};
	_cleanup_json_ json_t *doc = parse(row->doc), *edit = parse(row->edit), *got = NULL;
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	struct spec_attach a;
	struct spec_reattach e;
	struct spec_given given[4];
	size_t n = 0;

	for (; n < 4 && row->given[n].addr; n++) {
		assert_int_equal(addr_parse(row->given[n].addr, &given[n].addr), 0);
		given[n].is_auto = row->given[n].is_auto;
	}
	assert_int_equal(json_rows_decode(&spec_attach_table, doc, 0, &a, &w), 0);
	assert_int_equal(spec_reattach_from_json(&e, edit, &w), 0);
	if (spec_reattach(&a, &e, given, n, &got, &w) < 0) {
		problems_format(problems, &text);
		assert_string_equal(sbuf_str(&text), row->want);
	} else {
		_cleanup_json_ json_t *want = parse(row->want);
		struct spec_attach back;
		json_t *again;

		/* One word and a list of it are the same. */
		assert_int_equal(json_rows_decode(&spec_attach_table, got, 0, &back, &w), 0);
		again = json_rows_encode(&spec_attach_table, &back, 0);
		if (!json_equal(again, want))
			fail_msg("%s: %s", row->edit, json_dumps(again, 0));
		json_decref(again);
		json_rows_done(&spec_attach_table, &back);
	}
	json_rows_done(&spec_attach_table, &a);
	spec_reattach_done(&e);
}

static void edits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static const struct {
	const char *edit, *problems;
} bad_rows[] = {
	{"{}", "changes nothing; name addresses or ports in \"add\" or \"remove\"\n"},
	{"{'nic': 1, 'add': {'ipv4': []}}",
	 "changes nothing; name addresses or ports in \"add\" or \"remove\"\n"},
	{"{'nic': 10, 'add': {'ipv4': ['10.0.0.1']}}", "nic: 10 is too large; the largest is 9\n"},
	{"{'add': {'ipv4': ['none', '10.0.0.0/8', 'fd00::1']}}",
	 "add.ipv4[0]: \"none\" is not an IPv4 address or \"auto\"; write it like auto\n"
	 "add.ipv4[1]: \"10.0.0.0/8\" is not an IPv4 address or \"auto\"; write it like auto\n"
	 "add.ipv4[2]: \"fd00::1\" is not an IPv4 address or \"auto\"; write it like auto\n"},
	{"{'remove': {'ipv4': ['auto'], 'ipv6': ['auto/64'], 'ports': ['80:80/tcp', '0/tcp']}}",
	 "remove.ipv4[0]: \"auto\" is not an IPv4 address; write it like 203.0.113.7\n"
	 "remove.ipv6[0]: \"auto/64\" is not an IPv6 address or prefix; write it like "
	 "2001:db8::7\n"
	 "remove.ports[0]: \"80:80/tcp\" is not a port of the host; write it like 8080/tcp\n"
	 "remove.ports[1]: \"0/tcp\" is not a port of the host; write it like 8080/tcp\n"},
	{"{'add': {'address': ['10.0.0.1']}}",
	 "add.address: unknown key; what is added has ipv4, ipv6, ports\n"},
};

static void bad_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		_cleanup_problems_ struct problems *problems = problems_new();
		const struct json_where w = {.file = "", .path = "", .problems = problems};
		_cleanup_json_ json_t *edit = parse(bad_rows[i].edit);
		_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
		struct spec_reattach e;

		assert_int_equal(spec_reattach_from_json(&e, edit, &w), -EINVAL);
		problems_format(problems, &text);
		assert_string_equal(sbuf_str(&text), bad_rows[i].problems);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edits),
		cmocka_unit_test(bad_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
