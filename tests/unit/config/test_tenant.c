/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant document: good and bad ones, in the words of the design. */
#include "config/network.h"
#include "doc.h"

#define INST(rest)                                                                                 \
	"{\"tenant\": \"t\", \"instances\": [{\"name\": \"a\", \"plan\": \"small\", \"image\": "   \
	"\"debian-12\"" rest "}]}"

#define PORTS_16 "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,"
#define PORTS_32 PORTS_16 PORTS_16
#define PORTS_64 PORTS_32 PORTS_32

/* The tenant of the design, word for word. */
static const char full_tenant[] =
	"{\"tenant\": \"acme\", \"labels\": {\"billing\": \"C-1042\"},"
	" \"quota\": {\"instances\": 10, \"cores\": 16, \"memory\": \"32GiB\", \"disk\": "
	"\"400GiB\", \"ipv4\": 4, \"transfer\": \"20TiB\"},"
	" \"ssh_keys\": [\"ssh-ed25519 AAAA... ops@acme\"],"
	" \"instances\": ["
	"   {\"name\": \"web1\", \"plan\": \"small\", \"image\": \"debian-12\", \"hostname\": "
	"\"web1.acme.example\", \"labels\": {}, \"protected\": true,"
	"    \"network\": [{\"network\": \"nat0\", \"ipv4\": \"auto\", \"ipv6\": \"auto\", "
	"\"ports\": [\"8080:80/tcp\"]}],"
	"    \"firewall\": [{\"allow\": \"tcp\", \"ports\": \"22,80,443\"}],"
	"    \"autostart\": {\"enabled\": true, \"priority\": 10}, \"user_data\": null, "
	"\"password_hash\": null, \"timezone\": \"UTC\","
	"    \"overrides\": {\"memory\": {\"limit\": \"2GiB\"}}}]}";

static void rows_are_complete(void **state)
{
	(void)state;
	doc_walk(&spec_tenant_table, 0);
	doc_walk(&spec_instance_table, 0);
}

static const struct doc_case good_and_bad_cases[] = {
	{full_tenant, ""},
	{"{\"tenant\": \"t\"}", ""},
	{INST(""), ""},
	{INST(", \"user_data\": \"#!/bin/sh\\n\\techo hi\\n\""), ""},
	{INST(", \"user_data\": \"\\u001b]0;x\""),
	 "f.json: instances[0].user_data: \"\\x1b]0;x\" contains control characters\n"},
	{INST(", \"hostname\": \"a b\""), "f.json: instances[0].hostname: \"a b\" is not a "
					  "host name; write it like web1.acme.example\n"},
	{INST(", \"hostname\": \"a\\nroot\""),
	 "f.json: instances[0].hostname: \"a\\x0aroot\" contains control characters\n"},
	{INST(", \"plan\": \"x\""), "f.json:1:89: duplicate object key near '\"plan\"'\n"},
	{INST(", \"overrides\": {\"memory\": {\"limit\": \"2 GB\"}, \"pidz\": 5}"),
	 "f.json: instances[0].overrides.memory.limit: \"2 GB\" is not a size; write it as "
	 "2GiB\n"
	 "f.json: instances[0].overrides.pidz: unknown key; did you mean \"pids\"?\n"},
	{"{\"tenant\": \"t\", \"instances\": [{\"name\": \"a-.b\", \"plan\": \"p\", "
	 "\"image\": \"i\"}]}",
	 "f.json: instances[0].name: \"a-.b\" is not a host name as well; add "
	 "\"hostname\"\n"},
	{INST(", \"firewall\": [{\"allow\": \"tcp\", \"deny\": \"tcp\"}, {\"allow\": "
	      "\"icmp\", \"ports\": \"1\"}, {}]"),
	 "f.json: instances[0].firewall[0]: expected either \"allow\" or \"deny\" with a "
	 "protocol, such as {\"allow\": \"tcp\"}\n"
	 "f.json: instances[0].firewall[1]: only tcp and udp have ports; leave \"ports\" "
	 "out\n"
	 "f.json: instances[0].firewall[2]: expected either \"allow\" or \"deny\" with a "
	 "protocol, such as {\"allow\": \"tcp\"}\n"},
	{INST(", \"firewall\": [{\"allow\": \"tcp\", \"ports\": \"80-22\"}]"),
	 "f.json: instances[0].firewall[0].ports: \"80-22\" is not a list of ports; write "
	 "it like 22,80,8000-8100\n"},
	{INST(", \"firewall\": [{\"allow\": \"tcp\", \"ports\": \"0\"}, {\"allow\": "
	      "\"tcp\", \"ports\": \"22,\"}, {\"allow\": \"tcp\", \"ports\": "
	      "\"22-65536\"}, {\"allow\": \"tcp\", \"from\": \"10.0.0.1/8\"}, {\"deny\": "
	      "\"sctp\"}]"),
	 "f.json: instances[0].firewall[0].ports: \"0\" is not a list of ports; write it "
	 "like 22,80,8000-8100\n"
	 "f.json: instances[0].firewall[1].ports: \"22,\" is not a list of ports; write it "
	 "like 22,80,8000-8100\n"
	 "f.json: instances[0].firewall[2].ports: \"22-65536\" is not a list of ports; write "
	 "it like 22,80,8000-8100\n"
	 "f.json: instances[0].firewall[3].from: \"10.0.0.1/8\" is not an address or a "
	 "range of them; write it like 203.0.113.0/24\n"
	 "f.json: instances[0].firewall[4].deny: \"sctp\" is not one of \"all\", \"tcp\", "
	 "\"udp\", \"icmp\"; did you mean \"tcp\"?\n"},
	{INST(", \"firewall\": [{\"allow\": \"tcp\", \"ports\": \"" PORTS_64 PORTS_64 "1\"}]"),
	 "f.json: instances[0].firewall: has 129 rules, where each port and range counts; at "
	 "most 128 are accepted\n"},
	{INST(", \"firewall\": [{\"allow\": \"tcp\", \"ports\": \"" PORTS_64 PORTS_32
	      "1\"}, {\"deny\": \"icmp\"}, {\"deny\": \"udp\", \"ports\": \"" PORTS_16 "1-2\"}]"),
	 ""},
	{INST(", \"firewall\": [{\"deny\": \"all\", \"from\": \"10.0.0.0/8\"}, {\"allow\": "
	      "\"udp\", \"ports\": \"1-65535,5\"}]"),
	 ""},
	{INST(", \"network\": [{\"ipv4\": \"1.2.3\", \"ports\": [\"80\"]}]"),
	 "f.json: instances[0].network[0].ipv4: \"1.2.3\" is not an IPv4 address, \"auto\" "
	 "or \"none\"; write it like auto\n"
	 "f.json: instances[0].network[0].ports[0]: \"80\" is not a port forward; write it "
	 "like 8080:80/tcp\n"
	 "f.json: instances[0].network[0].network: missing; expected the name of a network "
	 "such as nat0\n"},
	{INST(", \"network\": [{\"network\": \"a\", \"ipv4\": [\"10.0.0.7\", "
	      "\"auto\"], \"ipv6\": [\"auto\", \"auto/64\", "
	      "\"2001:db8:0:5::/64\", \"2001:db8::1\"]}, {\"network\": \"b\", "
	      "\"ipv4\": \"none\", \"ports\": [\"80:80/tcp\", \"80:80/udp\"]}]"),
	 ""},
	{INST(", \"network\": [{\"network\": \"a\", \"ipv4\": [], \"ipv6\": "
	      "[\"auto/47\", \"auto/064\", \"2001:db8::1/64\", \"10.0.0.1\"]}, "
	      "{\"network\": \"b\", \"ipv4\": {}}]"),
	 "f.json: instances[0].network[0].ipv4: has 0 items; 1 to 64 are accepted\n"
	 "f.json: instances[0].network[0].ipv6[0]: \"auto/47\" is not an IPv6 address or "
	 "prefix, \"auto\", \"auto/64\" or \"none\"; write it like auto\n"
	 "f.json: instances[0].network[0].ipv6[1]: \"auto/064\" is not an IPv6 address or "
	 "prefix, \"auto\", \"auto/64\" or \"none\"; write it like auto\n"
	 "f.json: instances[0].network[0].ipv6[2]: \"2001:db8::1/64\" is not an IPv6 "
	 "address or prefix, \"auto\", \"auto/64\" or \"none\"; write it like auto\n"
	 "f.json: instances[0].network[0].ipv6[3]: \"10.0.0.1\" is not an IPv6 address or "
	 "prefix, \"auto\", \"auto/64\" or \"none\"; write it like auto\n"
	 "f.json: instances[0].network[1].ipv4: {...} is not an IPv4 address, \"auto\" or "
	 "\"none\"; write it like auto\n"},
	{INST(", \"network\": [{\"network\": \"a\", \"ipv4\": [\"none\", \"auto\"], "
	      "\"ipv6\": \"fe80::1\"}, {\"network\": \"b\", \"ipv4\": \"none\", "
	      "\"ipv6\": \"none\", \"ports\": [\"80:80/tcp\"]}]"),
	 "f.json: instances[0].network[0].ipv4[0]: \"none\" stands by itself\n"
	 "f.json: instances[0].network[0].ipv6: no guest can have \"fe80::1\": it is "
	 "link-local; the gateways of guests are there\n"
	 "f.json: instances[0].network[1].ports: need an address; \"ipv4\" and \"ipv6\" "
	 "are \"none\"\n"},
	/* The same thing twice, of one instance and of two. */
	{INST(", \"network\": [{\"network\": \"a\", \"ipv4\": [\"10.0.0.7\", "
	      "\"10.0.0.8\"], \"ipv6\": \"fd00::7\", \"ports\": [\"80:80/tcp\"]}, "
	      "{\"network\": \"b\", \"ipv4\": \"10.0.0.8\", \"ports\": "
	      "[\"81:80/tcp\", \"080:81/tcp\"]}]}, {\"name\": \"b\", \"plan\": "
	      "\"p\", \"image\": \"i\", \"network\": [{\"network\": \"a\", \"ipv6\": "
	      "\"fd00:0::7\"}]"),
	 "f.json: instances[0].network[1].ipv4: 10.0.0.8 is asked for by "
	 "instances[0].network[0].ipv4[1] already\n"
	 "f.json: instances[0].network[1].ports[1]: port 80/tcp of the host is asked for "
	 "by "
	 "instances[0].network[0].ports[0] already\n"
	 "f.json: instances[1].network[0].ipv6: fd00::7 is asked for by "
	 "instances[0].network[0].ipv6 already\n"},
	{INST(", \"password_hash\": \"x:0:0\", \"timezone\": \"../etc\", \"ssh_keys\": "
	      "[\"command=\\\"id\\\" ssh-rsa AAAA\"]"),
	 "f.json: instances[0].password_hash: \"x:0:0\" is not a password hash of "
	 "crypt(5); write it like $y$j9T$...\n"
	 "f.json: instances[0].timezone: \"../etc\" is not a time zone; write it like "
	 "Europe/Berlin\n"
	 "f.json: instances[0].ssh_keys[0]: \"command=\"id\" ssh-rsa AAAA\" is not a "
	 "public ssh key without options; write it like \"ssh-ed25519 AAAA... "
	 "ops@acme\"\n"},
	{"{\"tenant\": \"t\", \"quota\": {\"instances\": 1, \"memory\": \"1 TB\"}}",
	 "f.json: quota.memory: \"1 TB\" is not a size; write it as 1TiB\n"},
	{"{\"tenant\": \"t\", \"instances\": [{}]}",
	 "f.json: instances[0].name: missing; expected a name (1 to 63 of a-z 0-9 - .) "
	 "such as web1\n"
	 "f.json: instances[0].plan: missing; expected a plan, PLAN or PLAN@VERSION such "
	 "as small@1\n"
	 "f.json: instances[0].image: missing; expected an image, a name or sha256:DIGEST "
	 "such as debian-12\n"},
	{"{\"tenant\": \"t\", \"quota\": {\"instances\": 1}, \"instances\": ["
	 "{\"name\": \"a\", \"plan\": \"p\", \"image\": \"i\"}, {\"name\": \"b\", "
	 "\"plan\": \"p\", \"image\": \"i\"}, {\"name\": \"a\", \"plan\": \"p\", "
	 "\"image\": \"i\"}]}",
	 "f.json: instances[2].name: \"a\" is the name of instances[0] already\n"
	 "f.json: quota.instances: the document has 3 instances; the quota is 1\n"},
	{"{\"tenant\": \"../x\", \"labels\": {\"a b\": \"1\"}}",
	 "f.json: tenant: \"../x\" is not a name (1 to 63 of a-z 0-9 - .); write it like "
	 "acme\n"
	 "f.json: labels.a b: the key is not a label; use 1 to 63 of a-z A-Z 0-9 . _ / "
	 "-\n"},
	{"{\"tenant\": null}", "f.json: tenant: null is not a name (1 to 63 of a-z 0-9 - "
			       ".); leave the key out\n"},
};

static void good_and_bad(void **state)
{
	(void)state;
	DOC_EXPECT_ALL(SPEC_KIND_TENANT, good_and_bad_cases);
}

/* The line that the design promises, to the letter. */
static void design_example(void **state)
{
	static const char doc[] = "{\"tenant\": \"acme\", \"instances\": ["
				  "{\"name\": \"a\", \"plan\": \"p\", \"image\": \"i\"}, "
				  "{\"name\": \"b\", \"plan\": \"p\", \"image\": \"i\"},"
				  "{\"name\": \"c\", \"plan\": \"p\", \"image\": \"i\", "
				  "\"overrides\": {\"memory\": {\"limit\": \"2 GB\"}}}]}";
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_sbuf_ struct sbuf out = SBUF_INIT;

	(void)state;
	assert_int_equal(
		spec_validate_text(SPEC_KIND_AUTO, doc, sizeof(doc) - 1, "tenants/acme.json", p),
		-EINVAL);
	problems_format(p, &out);
	assert_string_equal(sbuf_str(&out),
			    "tenants/acme.json: instances[2].overrides.memory.limit: "
			    "\"2 GB\" is not a size; write it as 2GiB\n");
	assert_string_equal(p->items[0].path, "instances[2].overrides.memory.limit");
	assert_string_equal(p->items[0].value, "\"2 GB\"");
}

static void values(void **state)
{
	_cleanup_json_ json_t *doc = doc_json(full_tenant);
	_cleanup_json_ json_t *back = NULL;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_tenant_ struct spec_tenant t = {0};
	struct json_where w = {"", "", p};
	const struct spec_instance *i;

	(void)state;
	assert_int_equal(spec_tenant_from_json(&t, doc, &w), 0);
	i = &t.instances.items[0];
	assert_string_equal(i->hostname, "web1.acme.example");
	assert_true(i->protected);
	assert_string_equal(i->network.items[0].ports.items[0], "8080:80/tcp");
	assert_int_equal(i->firewall.items[0].allow, SPEC_PROTOCOL_TCP);
	assert_int_equal(i->autostart.priority, 10);
	assert_null(i->user_data);
	assert_true(json_rows_is_null(&spec_instance_table, i, "user_data"));
	assert_int_equal(t.quota.cores, 16000);
	assert_true(json_is_object(i->overrides));
	/* What was written is written back unchanged. */
	back = json_rows_encode(&spec_tenant_table, &t, 0);
	assert_true(json_equal(doc, back));
}

/* One string is a list of it, in whatever form it was written. */
static void single_values(void **state)
{
	static const char doc[] =
		"{\"name\": \"a\", \"plan\": \"p\", \"image\": \"i\", \"network\": "
		"[{\"network\": \"n\", \"ipv4\": \"10.0.0.7\", \"ipv6\": [\"auto/64\"]}, "
		"{\"network\": \"n\", \"ipv4\": [\"auto\", \"10.0.0.8\"], \"ipv6\": "
		"\"none\"}, {\"network\": \"n\"}]}";
	_cleanup_json_ json_t *in = doc_json(doc);
	_cleanup_json_ json_t *all = NULL;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_instance_ struct spec_instance i = {0}, copy = {0};
	struct json_where w = {"", "", p};
	struct spec_wish wishes[SPEC_WISHES_MAX];
	const json_t *nics;

	(void)state;
	assert_int_equal(spec_instance_from_json(&i, in, &w), 0);
	assert_int_equal(json_rows_copy(&spec_instance_table, &copy, &i), 0);
	all = spec_instance_to_json(&copy);
	nics = json_object_get(all, "network");
	assert_string_equal(json_string_value(json_object_get(json_array_get(nics, 0), "ipv6")),
			    "auto/64");
	assert_int_equal(json_array_size(json_object_get(json_array_get(nics, 1), "ipv4")), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(nics, 2), "ipv4")),
			    "auto");
	assert_int_equal(spec_attach_wishes(&i.network.items[0], AF_INET, wishes), 1);
	assert_false(wishes[0].is_auto);
	assert_int_equal(wishes[0].addr.bytes[3], 7);
	assert_int_equal(spec_attach_wishes(&i.network.items[0], AF_INET6, wishes), 1);
	assert_true(wishes[0].is_auto);
	assert_int_equal(wishes[0].addr.prefix, 64);
	assert_int_equal(spec_attach_wishes(&i.network.items[1], AF_INET, wishes), 2);
	assert_true(wishes[0].is_auto && wishes[0].addr.prefix == 32 && !wishes[1].is_auto);
	assert_int_equal(spec_attach_wishes(&i.network.items[1], AF_INET6, wishes), 0);
	assert_true(spec_attach_is_default(&i.network.items[2], AF_INET6));
	assert_false(spec_attach_is_default(&i.network.items[1], AF_INET6));
}

static void one_instance(void **state)
{
	_cleanup_json_ json_t *doc =
		doc_json("{\"name\": \"a\", \"plan\": \"p@2\", \"image\": \"i\"}");
	_cleanup_json_ json_t *bad =
		doc_json("{\"name\": \"a-.b\", \"plan\": \"p\", \"image\": \"i\"}");
	_cleanup_json_ json_t *all = NULL;
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_instance_ struct spec_instance i = {0};
	struct json_where w = {"", "", p};

	(void)state;
	assert_int_equal(spec_instance_from_json(&i, bad, &w), -EINVAL);
	assert_null(i.name);
	assert_int_equal(spec_instance_from_json(&i, doc, &w), 0);
	assert_string_equal(i.hostname, "a");
	assert_true(i.autostart.enabled);
	assert_string_equal(i.timezone, "UTC");
	all = spec_instance_to_json(&i);
	assert_string_equal(json_string_value(json_object_get(all, "hostname")), "a");
	spec_instance_done(&i);
	assert_int_equal(spec_instance_from_json(&i, all, &w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_complete), cmocka_unit_test(good_and_bad),
		cmocka_unit_test(design_example),    cmocka_unit_test(values),
		cmocka_unit_test(one_instance),	     cmocka_unit_test(single_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
