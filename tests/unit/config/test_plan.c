/* SPDX-License-Identifier: Apache-2.0 */
/* The plan document: good and bad ones, overrides, limits for the kernel. */
#include "doc.h"

#include "cgroups/limits.h"

#define MIN_PLAN                                                                                   \
	"\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": {\"limit\": "       \
	"\"1GiB\"}"

#define PLAN_OF_MEMORY(m)                                                                          \
	"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": {" m "}}"

/* The plan of the design, and a high mark. */
static const char full_plan[] =
	"{\"plan\": \"small\", \"version\": 1,"
	" \"cpu\":     {\"cores\": 1, \"guarantee\": 0.25, \"burst\": \"20ms\", \"dedicated\": "
	"false},"
	" \"memory\":  {\"limit\": \"1GiB\", \"high\": \"960MiB\", \"guarantee\": \"512MiB\", "
	"\"swap\": \"0\"},"
	" \"pids\":    512,"
	" \"disk\":    {\"size\": \"10GiB\", \"inodes\": 500000, \"read\": \"100MiB/s\", "
	"\"write\": \"50MiB/s\","
	"              \"read_iops\": 2000, \"write_iops\": 1000, \"weight\": 100},"
	" \"network\": {\"in\": \"200Mbit\", \"out\": \"100Mbit\", \"pps\": 50000, "
	"\"connections\": 16384,"
	"              \"new_connections\": \"500/s\", \"transfer\": {\"monthly\": \"1TiB\", "
	"\"count\": \"total\","
	"              \"reset\": \"anniversary\", \"over\": {\"throttle\": \"1Mbit\"}}},"
	" \"features\": {\"nesting\": false, \"tun\": false, \"fuse\": false}, \"devices\": [],"
	" \"snapshots\": 5, \"backups\": 3}";

static int parse(const char *text, struct spec_plan *ret)
{
	_cleanup_json_ json_t *doc = doc_json(text);
	_cleanup_problems_ struct problems *p = problems_new();
	struct json_where w = {"", "", p};

	return spec_plan_from_json(ret, doc, &w);
}

static void rows_are_complete(void **state)
{
	(void)state;
	doc_walk(&spec_plan_table, 0);
}

static void good_and_bad(void **state)
{
	static const struct doc_case cases[] = {
		{full_plan, ""},
		{"{" MIN_PLAN "}", ""},
		{"{\"plan\": \"p\"}",
		 "f.json: version: missing; expected a version from 1 such as 1\n"
		 "f.json: cpu: missing; expected an object such as {\"cores\": 1}\n"
		 "f.json: memory: missing; expected an object such as {\"limit\": \"1GiB\"}\n"},
		{"{" MIN_PLAN ", \"pids\": null}",
		 "f.json: pids: null is not a number of processes and threads; leave the key out "
		 "for the default\n"},
		{"{" MIN_PLAN ", \"pids\": 0}",
		 "f.json: pids: 0 is too small; the smallest is 16\n"},
		{"{" MIN_PLAN ", \"Pids\": 100}",
		 "f.json: Pids: unknown key; did you mean \"pids\"?\n"},
		{"{" MIN_PLAN ", \"disk\": {\"read\": \"100MB\"}}",
		 "f.json: disk.read: \"100MB\" is not a rate in bytes; write it as 100MiB/s\n"},
		{"{" MIN_PLAN ", \"disk\": {\"read\": null}, \"network\": {\"transfer\": null}}",
		 ""},
		{"{" MIN_PLAN ", \"disk\": {\"read_iops\": 1, \"write_iops\": 1000000001, "
		 "\"weight\": 10001}}",
		 "f.json: disk.read_iops: 1 is too small; the smallest is 2\n"
		 "f.json: disk.write_iops: 1000000001 is too large; the largest is 1000000000\n"
		 "f.json: disk.weight: 10001 is too large; the largest is 10000\n"},
		{PLAN_OF_MEMORY("\"limit\": \"1GiB\", \"high\": \"2GiB\""),
		 "f.json: memory.high: 2GiB is more than memory.limit, 1GiB\n"},
		{PLAN_OF_MEMORY("\"limit\": \"1GiB\", \"high\": \"1MiB\""),
		 "f.json: memory.high: \"1MiB\" is too small; the smallest is 4MiB\n"},
		{PLAN_OF_MEMORY("\"limit\": \"1GiB\", \"guarantee\": \"512MiB\", \"high\": "
				"\"511MiB\""),
		 "f.json: memory.high: 511MiB is less than memory.guarantee, 512MiB\n"},
		{PLAN_OF_MEMORY("\"limit\": \"1GiB\", \"guarantee\": \"1GiB\", \"high\": "
				"\"1GiB\""),
		 ""},
		{PLAN_OF_MEMORY("\"limit\": \"1GiB\", \"high\": null"), ""},
		{"{" MIN_PLAN ", \"network\": {\"in\": \"100M\", \"new_connections\": 5}}",
		 "f.json: network.in: \"100M\" is not a rate in bits; write it as 100Mbit\n"
		 "f.json: network.new_connections: 5 is not a rate per second; write it as "
		 "\"5/s\"\n"},
		{"{" MIN_PLAN
		 ", \"network\": {\"transfer\": {\"over\": {\"suspend\": true, \"bill\": true}}}}",
		 "f.json: network.transfer.over: expected exactly one of {\"throttle\": RATE}, "
		 "{\"suspend\": true}, {\"bill\": true}\n"},
		{"{" MIN_PLAN ", \"network\": {\"transfer\": {\"over\": {}}}}",
		 "f.json: network.transfer.over: expected exactly one of {\"throttle\": RATE}, "
		 "{\"suspend\": true}, {\"bill\": true}\n"},
		{"{" MIN_PLAN ", \"devices\": [\"/dev/../etc/shadow\"]}",
		 "f.json: devices[0]: \"/dev/../etc/shadow\" is not a path below /dev; write it "
		 "like /dev/dri/renderD128\n"},
		{"{" MIN_PLAN ", \"devices\": [\"/dev/dri/renderD128\", \"/dev/kvm\", "
		 "\"/dev/ttyUSB0\", \"/dev/net/tun\", \"/dev/fuse\", \"/dev/..x\"]}",
		 ""},
		{"{" MIN_PLAN ", \"devices\": [\"/dev\", \"/dev/\", \"dri\", \"/dev/a b\", "
		 "\"/dev/./x\"]}",
		 "f.json: devices[0]: \"/dev\" is not a path below /dev; write it like "
		 "/dev/dri/renderD128\n"
		 "f.json: devices[1]: \"/dev/\" is not a path below /dev; write it like "
		 "/dev/dri/renderD128\n"
		 "f.json: devices[2]: \"dri\" is not a path below /dev; write it like "
		 "/dev/dri/renderD128\n"
		 "f.json: devices[3]: \"/dev/a b\" is not a path below /dev; write it like "
		 "/dev/dri/renderD128\n"
		 "f.json: devices[4]: \"/dev/./x\" is not a path below /dev; write it like "
		 "/dev/dri/renderD128\n"},
		{"{" MIN_PLAN ", \"devices\": [\"/dev/null\", \"/dev/pts/0\", \"/dev/sda1\", "
		 "\"/dev/mapper/control\", \"/dev/kvm\", \"/dev/kvm\"]}",
		 "f.json: devices[0]: no guest gets \"/dev/null\": it is in every guest already\n"
		 "f.json: devices[1]: no guest gets \"/dev/pts/0\": it is in every guest already\n"
		 "f.json: devices[2]: no guest gets \"/dev/sda1\": it is a disk of the host\n"
		 "f.json: devices[3]: no guest gets \"/dev/mapper/control\": it makes devices of "
		 "the host\n"
		 "f.json: devices[5]: \"/dev/kvm\" is devices[4] already\n"},
		{"{\"plan\": \"Bad Name\", \"version\": 0, \"cpu\": {\"cores\": \"1\"}, "
		 "\"memory\": {\"limit\": 1073741824}}",
		 "f.json: plan: \"Bad Name\" is not a name (1 to 63 of a-z 0-9 - .); write it like "
		 "small\n"
		 "f.json: version: 0 is too small; the smallest is 1\n"
		 "f.json: cpu.cores: \"1\" is not a number of cores with at most 3 decimals; write "
		 "it as 1 without quotes\n"
		 "f.json: memory.limit: 1073741824 is not a size; write it as \"1GiB\"\n"},
		{"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1, \"guarantee\": 2, "
		 "\"burst\": \"1s\"},"
		 " \"memory\": {\"limit\": \"1GiB\", \"guarantee\": \"2GiB\"}}",
		 "f.json: cpu.guarantee: 2 cores are more than cpu.cores, 1\n"
		 "f.json: cpu.burst: 1s is more than 1 cores get in one period of 100ms, 100ms\n"
		 "f.json: memory.guarantee: 2GiB is more than memory.limit, 1GiB\n"},
		{"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1.5, \"guarantee\": 0.5, "
		 "\"dedicated\": true},"
		 " \"memory\": {\"limit\": \"1GiB\", \"guarantee\": \"512MiB\"}}",
		 "f.json: cpu.cores: 1.5 cores cannot be dedicated; a dedicated plan has whole "
		 "cores\n"
		 "f.json: cpu.guarantee: a dedicated plan guarantees all its cores, 1.5; leave the "
		 "key out\n"
		 "f.json: memory.guarantee: a dedicated plan guarantees all its memory, 1GiB; "
		 "leave the key out\n"},
	};

	(void)state;
	DOC_EXPECT_ALL(SPEC_KIND_PLAN, cases);
}

static void values(void **state)
{
	_cleanup_spec_plan_ struct spec_plan p = {0};

	(void)state;
	assert_int_equal(parse("{" MIN_PLAN "}", &p), 0);
	assert_int_equal(p.pids, 512);
	assert_int_equal(p.memory.swap, 0);
	assert_true(p.memory.high == JSON_UNLIMITED);
	assert_int_equal(p.cpu.guarantee, 0);
	assert_int_equal(p.disk.size, 10ull << 30);
	assert_int_equal(p.network.connections, 16384);
	assert_true(p.disk.read == JSON_UNLIMITED);
	assert_true(p.network.transfer.monthly == JSON_UNLIMITED);
	assert_true(p.network.transfer.over.bill);
	spec_plan_done(&p);
	assert_int_equal(parse(full_plan, &p), 0);
	assert_int_equal(p.cpu.burst, 20000);
	assert_int_equal(p.network.in, 200000000);
	assert_int_equal(p.network.transfer.over.throttle, 1000000);
	assert_int_equal(p.network.transfer.reset, SPEC_RESET_ANNIVERSARY);
}

static void kernel_limits(void **state)
{
	static const struct {
		const char *doc;
		uint64_t cores, weight, min;
	} cases[] = {
		{"{" MIN_PLAN "}", 1000, 1, 0},
		{full_plan, 1000, 25, 512ull << 20},
		{"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 2, \"dedicated\": true}, "
		 "\"memory\": {\"limit\": \"1GiB\"}}",
		 2000, 200, 1ull << 30},
		{"{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 200, \"guarantee\": 100}, "
		 "\"memory\": {\"limit\": \"1GiB\"}}",
		 200000, 10000, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_spec_plan_ struct spec_plan p = {0};
		struct cg_limits l;

		assert_int_equal(parse(cases[i].doc, &p), 0);
		spec_plan_to_limits(&p, &l);
		assert_int_equal(l.value[CG_LIMIT_CPU_CORES], cases[i].cores);
		assert_int_equal(l.value[CG_LIMIT_CPU_BURST], p.cpu.burst);
		assert_int_equal(l.value[CG_LIMIT_CPU_WEIGHT], cases[i].weight);
		assert_int_equal(l.value[CG_LIMIT_MEMORY_MAX], 1ull << 30);
		assert_int_equal(l.value[CG_LIMIT_MEMORY_MIN], cases[i].min);
		assert_int_equal(l.value[CG_LIMIT_SWAP_MAX], 0);
		assert_int_equal(l.value[CG_LIMIT_PIDS_MAX], 512);
		assert_true(l.value[CG_LIMIT_MEMORY_HIGH] ==
			    (i == 1 ? 960ull << 20 : CG_UNLIMITED));
		assert_true(l.value[CG_LIMIT_DISK_READ] == (i == 1 ? 100ull << 20 : CG_UNLIMITED));
		assert_true(l.value[CG_LIMIT_DISK_WRITE] == (i == 1 ? 50ull << 20 : CG_UNLIMITED));
		assert_true(l.value[CG_LIMIT_DISK_READ_IOPS] == (i == 1 ? 2000 : CG_UNLIMITED));
		assert_true(l.value[CG_LIMIT_DISK_WRITE_IOPS] == (i == 1 ? 1000 : CG_UNLIMITED));
		assert_int_equal(l.value[CG_LIMIT_DISK_WEIGHT], 100);
	}
}

static void overrides(void **state)
{
	static const struct {
		const char *doc;
		const char *problems;
	} cases[] = {
		{"{\"memory\": {\"limit\": \"2GiB\"}}", ""},
		{"{\"network\": {\"transfer\": {\"over\": {\"suspend\": true}}}}", ""},
		{"{\"memory\": {\"limit\": \"256MiB\"}}",
		 "f.json: o.memory.high: 960MiB is more than memory.limit, 256MiB\n"
		 "f.json: o.memory.guarantee: 512MiB is more than memory.limit, 256MiB\n"},
		{"{\"plan\": \"x\", \"version\": 2}",
		 "f.json: o.plan: \"x\" cannot be changed here; it names a plan\n"
		 "f.json: o.version: 2 cannot be changed here; it names a plan\n"},
		{"{\"pids\": null}", "f.json: o.pids: null is not a number of processes and "
				     "threads; leave the key out for the default\n"},
		{"{\"cpu\": {\"cores\": null}}",
		 "f.json: o.cpu.cores: null is not a number of cores with at most 3 decimals; "
		 "leave the key out\n"},
	};
	_cleanup_spec_plan_ struct spec_plan plan = {0};

	(void)state;
	assert_int_equal(parse(full_plan, &plan), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *doc = doc_json(cases[i].doc);
		_cleanup_problems_ struct problems *p = problems_new();
		_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
		_cleanup_spec_plan_ struct spec_plan got = {0};
		struct json_where w = {"f.json", "o", p};
		int r = spec_plan_override(&plan, doc, &got, &w);

		problems_format(p, &out);
		assert_string_equal(sbuf_str(&out), cases[i].problems);
		assert_int_equal(r, cases[i].problems[0] ? -EINVAL : 0);
		if (i == 0) {
			assert_int_equal(got.memory.limit, 2ull << 30);
			assert_int_equal(got.memory.guarantee, 512ull << 20);
			assert_string_equal(got.name, "small");
		}
		if (i == 1)
			assert_true(got.network.transfer.over.throttle == JSON_UNLIMITED);
	}
	/* The plan itself is untouched. */
	assert_int_equal(plan.memory.limit, 1ull << 30);
}

static void dedicated_follows_overrides(void **state)
{
	_cleanup_json_ json_t *doc =
		doc_json("{\"cpu\": {\"cores\": 4}, \"memory\": {\"limit\": \"8GiB\"}}");
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_plan_ struct spec_plan plan = {0}, got = {0};
	struct json_where w = {"", "", p};

	(void)state;
	assert_int_equal(parse("{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 2, "
			       "\"dedicated\": true},"
			       " \"memory\": {\"limit\": \"1GiB\"}}",
			       &plan),
			 0);
	assert_int_equal(spec_plan_override(&plan, doc, &got, &w), 0);
	assert_int_equal(got.cpu.guarantee, 4000);
	assert_int_equal(got.memory.guarantee, 8ull << 30);
}

static void normalised(void **state)
{
	_cleanup_spec_plan_ struct spec_plan a = {0}, b = {0};
	_cleanup_json_ json_t *x = NULL;
	_cleanup_json_ json_t *y = NULL;

	(void)state;
	assert_int_equal(parse("{" MIN_PLAN ", \"pids\": 512}", &a), 0);
	assert_int_equal(parse("{\"memory\": {\"limit\": \"1024MiB\"}, \"version\": 1, \"plan\": "
			       "\"p\", \"cpu\": {\"cores\": 1.0}}",
			       &b),
			 0);
	x = spec_plan_to_json(&a);
	y = spec_plan_to_json(&b);
	assert_true(json_equal(x, y));
	/* And it can be read again. */
	{
		_cleanup_problems_ struct problems *p = problems_new();
		struct json_where w = {"", "", p};

		spec_plan_done(&a);
		assert_int_equal(spec_plan_from_json(&a, x, &w), 0);
	}
}

static void references(void **state)
{
	static const char *const bad[] = {"",	       "@1",	"small@",   "small@0",	"small@x",
					  "small@1@2", "Small", "small@-1", "small@1 ", "a/b"};
	char name[SPEC_NAME_TEXT] = "kept";
	uint64_t version = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(spec_plan_ref_parse(bad[i], name, &version), -EINVAL);
	assert_string_equal(name, "kept");
	assert_int_equal(version, 77);
	assert_int_equal(spec_plan_ref_parse("small", name, &version), 0);
	assert_string_equal(name, "small");
	assert_int_equal(version, 0);
	assert_int_equal(spec_plan_ref_parse("big.1@12", name, &version), 0);
	assert_string_equal(name, "big.1");
	assert_int_equal(version, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_complete),
		cmocka_unit_test(good_and_bad),
		cmocka_unit_test(values),
		cmocka_unit_test(kernel_limits),
		cmocka_unit_test(overrides),
		cmocka_unit_test(dedicated_follows_overrides),
		cmocka_unit_test(normalised),
		cmocka_unit_test(references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
