/* SPDX-License-Identifier: Apache-2.0 */
/* Values at and beyond the kernel's limits: each is the text that the kernel takes, or refused by
 * path and value. */
#include "tests/unit/config/doc.h"

#include "base/str.h"
#include "cgroups/limits.h"
#include "config/plan.h"
#include "config/tenant.h"

#define EIB "1152921504606846976"

/* A part of a plan of one core and 1 GiB. */
struct bound {
	const char *part;
	enum cg_limit limit;
	const char *text;    /* of the kernel; NULL = refused */
	const char *problem; /* "" where text is there */
};

static const struct bound bounds[] = {
	/* cpu.max: a quota of 1000 microseconds at least. */
	{"{\"cpu\": {\"cores\": 0.01}}", CG_LIMIT_CPU_CORES, "1000 100000", ""},
	{"{\"cpu\": {\"cores\": 0.009}}", CG_LIMIT_CPU_CORES, NULL,
	 "cpu.cores: 0.009 is too small; the smallest is 0.01"},
	{"{\"cpu\": {\"cores\": 0.0105}}", CG_LIMIT_CPU_CORES, NULL,
	 "cpu.cores: 0.0105 has more than 3 decimals"},
	{"{\"cpu\": {\"cores\": 0}}", CG_LIMIT_CPU_CORES, NULL,
	 "cpu.cores: 0 is too small; the smallest is 0.01"},
	{"{\"cpu\": {\"cores\": -1}}", CG_LIMIT_CPU_CORES, NULL, "cpu.cores: -1 "},
	{"{\"cpu\": {\"cores\": 512}}", CG_LIMIT_CPU_CORES, "51200000 100000", ""},
	{"{\"cpu\": {\"cores\": 4096}}", CG_LIMIT_CPU_CORES, "409600000 100000", ""},
	{"{\"cpu\": {\"cores\": 4096.001}}", CG_LIMIT_CPU_CORES, NULL,
	 "cpu.cores: 4096.001 is too large; the largest is 4096"},
	/* cpu.max.burst: at most the quota. */
	{"{\"cpu\": {\"burst\": \"100ms\"}}", CG_LIMIT_CPU_BURST, "100000", ""},
	{"{\"cpu\": {\"burst\": \"101ms\"}}", CG_LIMIT_CPU_BURST, NULL,
	 "cpu.burst: 101ms is more than 1 cores get in one period of 100ms, 100ms"},
	{"{\"cpu\": {\"cores\": 0.01, \"burst\": \"1ms\"}}", CG_LIMIT_CPU_BURST, "1000", ""},
	/* cpu.weight: 1 to 10000, 100 for each guaranteed core. */
	{"{\"cpu\": {\"guarantee\": 0}}", CG_LIMIT_CPU_WEIGHT, "1", ""},
	{"{\"cpu\": {\"guarantee\": 0.02}}", CG_LIMIT_CPU_WEIGHT, "2", ""},
	{"{\"cpu\": {\"cores\": 100, \"guarantee\": 100}}", CG_LIMIT_CPU_WEIGHT, "10000", ""},
	{"{\"cpu\": {\"cores\": 101, \"guarantee\": 100.001}}", CG_LIMIT_CPU_WEIGHT, NULL,
	 "cpu.guarantee: 100.001 cores are more than cpu.weight can tell apart, 100"},
	{"{\"cpu\": {\"cores\": 128, \"dedicated\": true}}", CG_LIMIT_CPU_WEIGHT, "10000", ""},
	{"{\"cpu\": {\"guarantee\": 1.001}}", CG_LIMIT_CPU_WEIGHT, NULL,
	 "cpu.guarantee: 1.001 cores are more than cpu.cores, 1"},
	{"{\"cpu\": {\"cores\": 1.5, \"dedicated\": true}}", CG_LIMIT_CPU_CORES, NULL,
	 "cpu.cores: 1.5 cores cannot be dedicated; a dedicated plan has whole cores"},
	{"{\"cpu\": {\"cores\": 2, \"guarantee\": 1, \"dedicated\": true}}", CG_LIMIT_CPU_CORES,
	 NULL, "cpu.guarantee: a dedicated plan guarantees all its cores, 2"},
	/* Sizes: in whole pages, and far below the 2^63 - 1 that the kernel takes for "max". */
	{"{\"memory\": {\"limit\": \"4MiB\"}}", CG_LIMIT_MEMORY_MAX, "4194304", ""},
	{"{\"memory\": {\"limit\": \"4095KiB\"}}", CG_LIMIT_MEMORY_MAX, NULL,
	 "memory.limit: \"4095KiB\" is too small; the smallest is 4MiB"},
	{"{\"memory\": {\"limit\": \"4097KiB\"}}", CG_LIMIT_MEMORY_MAX, "4194304", ""},
	{"{\"memory\": {\"limit\": \"1024PiB\"}}", CG_LIMIT_MEMORY_MAX, EIB, ""},
	{"{\"memory\": {\"limit\": \"1025PiB\"}}", CG_LIMIT_MEMORY_MAX, NULL,
	 "memory.limit: \"1025PiB\" is too large; the largest is 1024PiB"},
	{"{\"memory\": {\"limit\": \"8192PiB\"}}", CG_LIMIT_MEMORY_MAX, NULL, "memory.limit: "},
	{"{\"memory\": {\"limit\": \"99999999999999999999TiB\"}}", CG_LIMIT_MEMORY_MAX, NULL,
	 "memory.limit: "},
	{"{\"memory\": {\"guarantee\": \"1GiB\"}}", CG_LIMIT_MEMORY_MIN, "1073741824", ""},
	{"{\"memory\": {\"guarantee\": \"1025MiB\"}}", CG_LIMIT_MEMORY_MIN, NULL,
	 "memory.guarantee: 1025MiB is more than memory.limit, 1GiB"},
	{"{\"memory\": {\"high\": \"1GiB\"}}", CG_LIMIT_MEMORY_HIGH, "1073741824", ""},
	{"{\"memory\": {\"high\": null}}", CG_LIMIT_MEMORY_HIGH, "max", ""},
	{"{\"memory\": {\"high\": \"1025MiB\"}}", CG_LIMIT_MEMORY_HIGH, NULL,
	 "memory.high: 1025MiB is more than memory.limit, 1GiB"},
	{"{\"memory\": {\"swap\": \"0\"}}", CG_LIMIT_SWAP_MAX, "0", ""},
	{"{\"memory\": {\"swap\": \"1024PiB\"}}", CG_LIMIT_SWAP_MAX, EIB, ""},
	{"{\"memory\": {\"swap\": null}}", CG_LIMIT_SWAP_MAX, NULL, "memory.swap: null "},
	/* pids.max ends at PID_MAX_LIMIT. */
	{"{\"pids\": 16}", CG_LIMIT_PIDS_MAX, "16", ""},
	{"{\"pids\": 15}", CG_LIMIT_PIDS_MAX, NULL, "pids: 15 is too small; the smallest is 16"},
	{"{\"pids\": 4194304}", CG_LIMIT_PIDS_MAX, "4194304", ""},
	{"{\"pids\": 4194305}", CG_LIMIT_PIDS_MAX, NULL,
	 "pids: 4194305 is too large; the largest is 4194304"},
	/* io.max: bytes in 64 bits, operations in 32, of which 0 and 1 are none. */
	{"{\"disk\": {\"read\": \"4KiB/s\"}}", CG_LIMIT_DISK_READ, "4096", ""},
	{"{\"disk\": {\"read\": \"1KiB/s\"}}", CG_LIMIT_DISK_READ, NULL,
	 "disk.read: \"1KiB/s\" is too small"},
	{"{\"disk\": {\"write\": \"1024PiB/s\"}}", CG_LIMIT_DISK_WRITE, EIB, ""},
	{"{\"disk\": {\"write\": \"1025PiB/s\"}}", CG_LIMIT_DISK_WRITE, NULL,
	 "disk.write: \"1025PiB/s\" is too large"},
	{"{\"disk\": {\"write\": null}}", CG_LIMIT_DISK_WRITE, "max", ""},
	{"{\"disk\": {\"read_iops\": 2}}", CG_LIMIT_DISK_READ_IOPS, "2", ""},
	{"{\"disk\": {\"read_iops\": 1}}", CG_LIMIT_DISK_READ_IOPS, NULL,
	 "disk.read_iops: 1 is too small; the smallest is 2"},
	{"{\"disk\": {\"write_iops\": 1000000000}}", CG_LIMIT_DISK_WRITE_IOPS, "1000000000", ""},
	{"{\"disk\": {\"write_iops\": 4294967296}}", CG_LIMIT_DISK_WRITE_IOPS, NULL,
	 "disk.write_iops: 4294967296 is too large; the largest is 1000000000"},
	{"{\"disk\": {\"weight\": 1}}", CG_LIMIT_DISK_WEIGHT, "default 1", ""},
	{"{\"disk\": {\"weight\": 10000}}", CG_LIMIT_DISK_WEIGHT, "default 10000", ""},
	{"{\"disk\": {\"weight\": 0}}", CG_LIMIT_DISK_WEIGHT, NULL,
	 "disk.weight: 0 is too small; the smallest is 1"},
	{"{\"disk\": {\"weight\": 10001}}", CG_LIMIT_DISK_WEIGHT, NULL,
	 "disk.weight: 10001 is too large; the largest is 10000"},
};

static void expect_text(const struct spec_plan *p, const struct bound *b)
{
	char text[CG_LIMIT_TEXT] = "";
	struct cg_limits l;
	uint64_t back = 0;

	cg_limits_init(&l);
	spec_plan_to_limits(p, &l);
	assert_int_equal(cg_limit_format(b->limit, l.value[b->limit], text), 0);
	assert_string_equal(text, b->text);
	/* What is read back is taken for the same. */
	assert_int_equal(cg_limit_parse(b->limit, text, &back), 0);
	assert_true(cg_limit_format(b->limit, back, text) == 0);
	assert_string_equal(text, b->text);
}

static void plans(void **state)
{
	_cleanup_json_ json_t *base =
		doc_json("{\"plan\": \"p\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": "
			 "{\"limit\": \"1GiB\"}}");
	_cleanup_problems_ struct problems *none = problems_new();
	const struct json_where w = {"f.json", "", none};
	_cleanup_spec_plan_ struct spec_plan plan = {0};

	(void)state;
	assert_int_equal(spec_plan_from_json(&plan, base, &w), 0);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *b = &bounds[i];
		_cleanup_json_ json_t *part = doc_json(b->part);
		_cleanup_problems_ struct problems *p = problems_new();
		_cleanup_spec_plan_ struct spec_plan effective = {0};
		_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
		const struct json_where here = {"f.json", "", p};
		int r = spec_plan_override(&plan, part, &effective, &here);

		problems_format(p, &out);
		if (!strstr(sbuf_str(&out), b->problem) || (r < 0) == !*b->problem)
			fail_msg("%s: '%s' is not in '%s'", b->part, b->problem, sbuf_str(&out));
		if (r >= 0)
			expect_text(&effective, b);
	}
}

/* What a tenant's cgroup is given. */
static void quotas(void **state)
{
	static const struct {
		const char *quota;
		const char *problem;
	} cases[] = {
		{"{\"cores\": 0.01, \"memory\": \"0\", \"pids\": 0}", ""},
		{"{\"cores\": 1000000, \"memory\": \"1024PiB\", \"pids\": 4194304}", ""},
		{"{\"cores\": null, \"memory\": null, \"pids\": null}", ""},
		{"{\"cores\": 0.009}", "quota.cores: 0.009 is too small; the smallest is 0.01"},
		{"{\"cores\": 1000001}", "quota.cores: 1000001 is too large"},
		{"{\"memory\": \"1025PiB\"}", "quota.memory: \"1025PiB\" is too large"},
		{"{\"pids\": 4194305}", "quota.pids: 4194305 is too large; the largest is 4194304"},
		{"{\"pids\": -1}", "quota.pids: -1 "},
		{"{\"pids\": \"1\"}", "quota.pids: \"1\" is not a number of processes and threads"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *doc =
			json_pack("{s:s, s:o}", "tenant", "t", "quota", doc_json(cases[i].quota));
		_cleanup_problems_ struct problems *p = problems_new();
		_cleanup_spec_tenant_ struct spec_tenant t = {0};
		_cleanup_sbuf_ struct sbuf out = SBUF_INIT;
		const struct json_where w = {"f.json", "", p};
		int r = spec_tenant_from_json(&t, doc, &w);
		char text[CG_LIMIT_TEXT];

		problems_format(p, &out);
		if (!strstr(sbuf_str(&out), cases[i].problem) || (r < 0) == !*cases[i].problem)
			fail_msg("%s: %s", cases[i].quota, sbuf_str(&out));
		if (r < 0)
			continue;
		assert_int_equal(cg_limit_format(CG_LIMIT_CPU_CORES, t.quota.cores, text), 0);
		assert_int_equal(cg_limit_format(CG_LIMIT_MEMORY_MAX, t.quota.memory, text), 0);
		assert_int_equal(cg_limit_format(CG_LIMIT_PIDS_MAX, t.quota.pids, text), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
		cmocka_unit_test(quotas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
