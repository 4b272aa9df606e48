/* SPDX-License-Identifier: Apache-2.0 */
/* The host document: defaults without a file, bad documents, what is tolerated. */
#include "doc.h"

static void rows_are_complete(void **state)
{
	(void)state;
	doc_walk(&spec_host_table, 0);
}

static void defaults(void **state)
{
	_cleanup_spec_host_ struct spec_host h = {0};

	(void)state;
	assert_int_equal(spec_host_default(&h), 0);
	assert_int_equal(h.listen.n, 1);
	assert_string_equal(h.listen.items[0].unix_path, "/run/vpsd/vpsd.sock");
	assert_string_equal(h.listen.items[0].group, "vps");
	assert_string_equal(h.state, "/var/lib/vpsd");
	assert_string_equal(h.run, "/run/vpsd");
	assert_int_equal(h.reserve.cores, 1000);
	assert_int_equal(h.reserve.memory, 2ull << 30);
	assert_int_equal(h.overcommit.cpu, 4000);
	assert_int_equal(h.sharing, SPEC_SHARING_TENANT);
	assert_int_equal(h.cpu_placement, SPEC_PLACEMENT_SPREAD);
	assert_int_equal(h.idmap.base, 1000000);
	assert_int_equal(h.idmap.count, 10000);
	assert_int_equal(h.required_controllers.n, 5);
	assert_int_equal(h.tolerate_unsupported.n, 0);
	assert_int_equal(h.sample, 10000000);
	assert_int_equal(h.stop_timeout, 90000000);
	assert_int_equal(h.autostart.parallel, 0);
	assert_int_equal(h.autostart.settle, 5000000);
	assert_int_equal(h.console_log, 1 << 20);
	assert_int_equal(h.thrash.action, SPEC_THRASH_KILL);
	assert_int_equal(h.thrash.pressure, 50);
	assert_int_equal(h.thrash.cache, 10);
	assert_int_equal(h.thrash.refaults, 100);
	assert_int_equal(h.thrash.after, 60000000);
	assert_int_equal(h.thrash.read_iops, 50);
	assert_false(json_rows_has(&spec_host_table, &h, "state"));
	assert_false(spec_host_tolerates(&h, "disk.size"));
}

static const struct doc_case good_and_bad_cases[] = {
	{"{}", ""},
	{"{\"required_controllers\": [], \"listen\": [{\"unix\": \"/run/x.sock\", "
	 "\"group\": null}]}",
	 ""},
	{"{\"listen\": [{\"unix\": \"/run/x.sock\"}, {\"tcp\": \"[::]:8443\", \"serve\": "
	 "\"metrics\", \"tls\": {\"cert\": \"/a\", \"key\": "
	 "\"/b\"}}],"
	 " \"tolerate_unsupported\": [\"listen.tcp\"]}",
	 ""},
	{"{\"networks\": [{\"network\": \"nat0\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.77.0.0/16\"], \"ipv6\": [\"fd77::/64\"]},"
	 " {\"network\": \"pub\", \"mode\": \"routed\", \"uplink\": \"eth0\", \"ipv4\": "
	 "[\"203.0.113.0/24\"],"
	 " \"ipv6\": [\"2001:db8::/48\"], \"uplink_proxy\": true, \"mtu\": 9000}]}",
	 ""},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.0.0.0/8\"], \"ipv6\": [\"fd00::/64\"], \"mtu\": 1279}, {\"network\": \"b\", "
	 "\"mode\": \"nat\", \"ipv4\": [\"11.0.0.0/8\"], \"mtu\": 576}]}",
	 "f.json: networks[0]: \"mtu\" 1279 is too small for IPv6; it needs 1280 at least\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.0.0.0/8\"], \"mtu\": 575}, {\"network\": \"b\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"11.0.0.0/8\"], \"mtu\": 65536}]}",
	 "f.json: networks[0].mtu: 575 is too small; the smallest is 576\n"
	 "f.json: networks[1].mtu: 65536 is too large; the largest is 65535\n"},
	{"{\"webhooks\": [{\"url\": \"https://a.example/x\"}], \"backup_targets\": "
	 "[{\"target\": \"nas\", \"path\": \"/mnt\"}]}",
	 ""},
	{"{\"listen\": [{\"tcp\": \"127.0.0.1:9180\"}]}",
	 "f.json: listen[0].tcp: \"127.0.0.1:9180\" cannot be served: vpsd " VPS_VERSION
	 " listens on unix sockets only; leave the entry out, or skip it with "
	 "\"tolerate_unsupported\": [\"listen.tcp\"]\n"},
	{"{\"listen\": [{\"tcp\": \"127.0.0.1:9180\"}], \"tolerate_unsupported\": "
	 "[\"listen.tcp\"]}",
	 "f.json: listen: has no unix socket, so nobody could reach vpsd; add {\"unix\": "
	 "\"/run/vpsd/vpsd.sock\"}\n"},
	/* One socket, as good as root: nothing else may be taken for it. */
	{"{\"listen\": [{\"unix\": \"/run/m.sock\", \"group\": \"prometheus\", \"serve\": "
	 "\"metrics\"}], \"tolerate_unsupported\": [\"*\"]}",
	 "f.json: listen[0].serve: \"metrics\" cannot be served: vpsd " VPS_VERSION
	 " serves the API only; leave the entry out\n"},
	{"{\"listen\": [{\"tcp\": \"127.0.0.1:9180\"}, {\"unix\": \"/run/a.sock\"}, "
	 "{\"unix\": \"/run/b.sock\", \"serve\": \"metrics\"}], "
	 "\"tolerate_unsupported\": [\"*\"]}",
	 "f.json: listen[2].serve: \"metrics\" cannot be served: vpsd " VPS_VERSION
	 " serves the API only; leave the entry out\n"
	 "f.json: listen[2].unix: \"/run/b.sock\" cannot be served: vpsd " VPS_VERSION
	 " listens on one unix socket, that of listen[1]; leave the entry out\n"},
	{"{\"listen\": []}", "f.json: listen: has 0 items; 1 to 16 are accepted\n"},
	{"{\"listen\": [{\"tcp\": \"127.0.0.1:1\", \"group\": \"vps\"}, {\"unix\": "
	 "\"/run/a.sock\", \"tls\": {\"cert\": \"/c\", \"key\": \"/k\"}}]}",
	 "f.json: listen[0]: only a unix socket has a group; leave \"group\" out\n"
	 "f.json: listen[1]: only a tcp listener has tls; leave \"tls\" out\n"},
	{"{\"listen\": [{\"serve\": \"metrics\"}]}",
	 "f.json: listen[0]: expected either \"unix\" with a path or \"tcp\" with "
	 "ADDRESS:PORT\n"},
	{"{\"listen\": [{\"tcp\": \"localhost:1\"}]}",
	 "f.json: listen[0].tcp: \"localhost:1\" is not ADDRESS:PORT; write it like "
	 "127.0.0.1:9180\n"},
	{"{\"state\": \"var/lib\", \"pool\": \"/a/../b\"}",
	 "f.json: state: \"var/lib\" is not an absolute path without . and ..; write it "
	 "like /var/lib/vpsd\n"
	 "f.json: pool: \"/a/../b\" is not an absolute path without . and ..; write it "
	 "like /var/lib/vpsd/pool\n"},
	{"{\"state\": null}", "f.json: state: null is not an absolute path without . and "
			      "..; leave the key out for the default\n"},
	{"{\"idmap\": {\"base\": 999999}}",
	 "f.json: idmap.base: 999999 is too small; the smallest is 1000000\n"},
	{"{\"idmap\": {\"count\": 1}}", "f.json: idmap.count: 1 is too small; the smallest is 2\n"},
	{"{\"idmap\": {\"base\": 4294836224, \"count\": 2}}",
	 "f.json: idmap.count: 2 ranges of 65536 ids from 4294836224 pass the end of the "
	 "32-bit ids; at most 1 fit\n"},
	{"{\"idmap\": {\"base\": 4294770688, \"count\": 2}}", ""},
	{"{\"overcommit\": {\"cpu\": \"4x\"}}",
	 "f.json: overcommit.cpu: \"4x\" is not a factor; write it like 4\n"},
	{"{\"autostart\": {\"parallel\": 1000, \"settle\": \"10min\"}}", ""},
	{"{\"autostart\": {\"parallel\": 1001, \"settle\": \"11min\"}}",
	 "f.json: autostart.parallel: 1001 is too large; the largest is 1000\n"
	 "f.json: autostart.settle: \"11min\" is too large; the largest is 10min\n"},
	{"{\"autostart\": {\"paralel\": 1}}",
	 "f.json: autostart.paralel: unknown key; did you mean \"parallel\"?\n"},
	{"{\"sharing\": \"all\"}",
	 "f.json: sharing: \"all\" is not one of \"none\", \"tenant\", \"host\"\n"},
	{"{\"cpu_placement\": \"pinned\"}",
	 "f.json: cpu_placement: \"pinned\" is not one of \"spread\", \"float\"\n"},
	{"{\"thrash\": {\"action\": \"throttle\", \"after\": \"5s\"}}", ""},
	{"{\"thrash\": {\"action\": \"murder\", \"pressure\": 101, \"refaults\": 0, "
	 "\"after\": \"0s\", \"read_iops\": \"50\", \"reads\": 1}}",
	 "f.json: thrash.action: \"murder\" is not one of \"none\", \"reclaim\", "
	 "\"throttle\", \"kill\"\n"
	 "f.json: thrash.pressure: 101 is too large; the largest is 100\n"
	 "f.json: thrash.refaults: 0 is too small; the smallest is 1\n"
	 "f.json: thrash.after: \"0s\" is too small; the smallest is 1s\n"
	 "f.json: thrash.read_iops: \"50\" is not reads a second; write it as 50 without "
	 "quotes\n"
	 "f.json: thrash.reads: unknown key; thrash has action, pressure, refaults, cache, "
	 "after, read_iops\n"},
	{"{\"required_controllers\": [\"cpus\"]}",
	 "f.json: required_controllers[0]: \"cpus\" is not a cgroup controller; write it "
	 "like memory\n"},
	{"{\"tolerate_unsupported\": [\"disc.*\"]}",
	 "f.json: tolerate_unsupported[0]: \"disc.*\" matches nothing that can be "
	 "unsupported; see vpsd.json(5)\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.0.0.1/8\"]}]}",
	 "f.json: networks[0].ipv4[0]: \"10.0.0.1/8\" is not an IPv4 range without host "
	 "bits; write it like 10.77.0.0/16\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\"}, {\"network\": \"a\", "
	 "\"mode\": \"nat\", \"ipv4\": [\"10.0.0.0/8\"], \"uplink_proxy\": true}]}",
	 "f.json: networks[0]: has no addresses; add \"ipv4\" or \"ipv6\" ranges\n"
	 "f.json: networks[1]: \"a\" is the name of networks[0] already\n"
	 "f.json: networks[1]: \"uplink_proxy\" needs the mode \"routed\"\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"routed\", \"ipv4\": "
	 "[\"203.0.113.0/24\"], \"uplink_proxy\": true}]}",
	 "f.json: networks[0]: the mode \"routed\" needs an \"uplink\", the interface to "
	 "the outside, such as \"eth0\"\n"},
	/* Within one network and between two; the second one is told of the first. */
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.0.0.0/16\", \"10.0.7.0/24\"], \"ipv6\": [\"fd00::/64\"]}, "
	 "{\"network\": \"b\", \"mode\": \"nat\", \"ipv4\": [\"10.1.0.0/16\", "
	 "\"10.0.0.0/8\"], \"ipv6\": [\"fd00::/48\", \"fd01::/64\"]}]}",
	 "f.json: networks[0].ipv4[1]: \"10.0.7.0/24\" overlaps \"10.0.0.0/16\" of "
	 "networks[0].ipv4[0]\n"
	 "f.json: networks[1].ipv4[1]: \"10.0.0.0/8\" overlaps \"10.0.0.0/16\" of "
	 "networks[0].ipv4[0]\n"
	 "f.json: networks[1].ipv6[0]: \"fd00::/48\" overlaps \"fd00::/64\" of "
	 "networks[0].ipv6[0]\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"127.0.0.0/24\", \"169.254.7.0/24\", \"224.0.0.0/8\", \"8.0.0.0/7\"], "
	 "\"ipv6\": [\"::1/128\", \"fe80::/64\", \"ff00::/16\", \"4000::/15\"]}]}",
	 "f.json: networks[0].ipv4[0]: \"127.0.0.0/24\" has addresses that no guest can "
	 "have: it is loopback\n"
	 "f.json: networks[0].ipv4[1]: \"169.254.7.0/24\" has addresses that no guest can "
	 "have: it is link-local; the gateways of guests are there\n"
	 "f.json: networks[0].ipv4[2]: \"224.0.0.0/8\" has addresses that no guest can "
	 "have: it is multicast\n"
	 "f.json: networks[0].ipv4[3]: \"8.0.0.0/7\" is too large; the largest is a /8\n"
	 "f.json: networks[0].ipv6[0]: \"::1/128\" has addresses that no guest can have: "
	 "it is loopback, or no address\n"
	 "f.json: networks[0].ipv6[1]: \"fe80::/64\" has addresses that no guest can "
	 "have: it is link-local; the gateways of guests are there\n"
	 "f.json: networks[0].ipv6[2]: \"ff00::/16\" has addresses that no guest can "
	 "have: it is multicast\n"
	 "f.json: networks[0].ipv6[3]: \"4000::/15\" is too large; the largest is a "
	 "/16\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.0.0.0/24\", \"10.0.1.0/24\"], \"reserved\": [\"10.0.0.9\", "
	 "\"10.0.0.20-10.0.0.29\", \"10.0.1.128/25\", \"10.0.2.1\", "
	 "\"10.0.0.200-10.0.1.5\"]}]}",
	 "f.json: networks[0].reserved[3]: \"10.0.2.1\" is in no range of this network\n"
	 "f.json: networks[0].reserved[4]: \"10.0.0.200-10.0.1.5\" is in no range of this "
	 "network\n"},
	{"{\"networks\": [{\"network\": \"a\", \"mode\": \"nat\", \"ipv4\": "
	 "[\"10.0.0.0/24\"], \"reserved\": [\"10.0.0.9-10.0.0.8\"]}]}",
	 "f.json: networks[0].reserved[0]: \"10.0.0.9-10.0.0.8\" is not an address, "
	 "FIRST-LAST or a range; write it like 203.0.113.1-203.0.113.9\n"},
	{"{\"sample\": \"10\", \"stop_timeout\": 90, \"console_log\": \"1 MB\", \"lisen\": "
	 "1}",
	 "f.json: sample: \"10\" is not a duration; write it as 10s\n"
	 "f.json: stop_timeout: 90 is not a duration; write it as \"90s\"\n"
	 "f.json: console_log: \"1 MB\" is not a size; write it as 1MiB\n"
	 "f.json: lisen: unknown key; did you mean \"listen\"?\n"},
};

static void good_and_bad(void **state)
{
	(void)state;
	DOC_EXPECT_ALL(SPEC_KIND_HOST, good_and_bad_cases);
}

static void tolerated_names(void **state)
{
	_cleanup_json_ json_t *doc =
		doc_json("{\"tolerate_unsupported\": [\"disk.*\", \"pids\", \"*.burst\"]}");
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_host_ struct spec_host h = {0};
	struct json_where w = {"", "", p};

	(void)state;
	assert_int_equal(spec_host_from_json(&h, doc, &w), 0);
	assert_true(spec_host_tolerates(&h, "disk.size"));
	assert_true(spec_host_tolerates(&h, "disk"));
	assert_true(spec_host_tolerates(&h, "pids"));
	assert_true(spec_host_tolerates(&h, "cpu.burst"));
	assert_false(spec_host_tolerates(&h, "cpu.cores"));
	assert_false(spec_host_tolerates(&h, "disks"));
}

static void written_back(void **state)
{
	_cleanup_spec_host_ struct spec_host h = {0};
	_cleanup_problems_ struct problems *p = problems_new();
	struct json_where w = {"", "", p};
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_json_ json_t *again = NULL;

	(void)state;
	assert_int_equal(spec_host_default(&h), 0);
	doc = spec_host_to_json(&h);
	spec_host_done(&h);
	assert_int_equal(spec_host_from_json(&h, doc, &w), 0);
	again = spec_host_to_json(&h);
	assert_true(json_equal(doc, again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_complete), cmocka_unit_test(defaults),
		cmocka_unit_test(good_and_bad),	     cmocka_unit_test(tolerated_names),
		cmocka_unit_test(written_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
