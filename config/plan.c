/* SPDX-License-Identifier: Apache-2.0 */
/* The plan document: rows, checks between fields, overrides, limits for the kernel. */
#include "config/plan.h"

#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "cgroups/limits.h"
#include "config/device.h"
#include "config/valid.h"

#define SIZE_LIMIT (1ull << 60)
#define CORES_MAX 4096000u
#define IOPS_MAX 1000000000u
#define WEIGHED_CORES_MAX 100000u /* 100 of weight for each core, and cpu.weight ends at 10000 */
#define QUOTA_USEC_PER_MILLI                                                                       \
	100u /* cpu.max has a period of 100 ms: a thousandth of a core is 100 us */
#define MILLI_FORMAT_ARGS(v) ((double)(v) / 1000)

static const char *const count_names[] = {"total", "in", "out", "max", NULL};
static const char *const reset_names[] = {"first", "anniversary", "never", NULL};

#define ROW(type, member, key_, kind_, ...)                                                        \
	{                                                                                          \
		.key = (key_), .kind = JSON_KIND_##kind_, .offset = offsetof(struct type, member), \
		__VA_ARGS__                                                                        \
	}

static const struct json_row cpu_rows[] = {
	ROW(spec_cpu, cores, "cores", MILLI, .flags = JSON_ROW_REQUIRED, .min = 10,
	    .max = CORES_MAX, .expect = "a number of cores with at most 3 decimals",
	    .example = "1.5"),
	ROW(spec_cpu, guarantee, "guarantee", MILLI, .def = "0", .max = CORES_MAX,
	    .expect = "a number of cores with at most 3 decimals", .example = "0.25"),
	ROW(spec_cpu, burst, "burst", DURATION, .def = "\"0\"", .max = 1000000000,
	    .expect = "a duration", .example = "20ms"),
	ROW(spec_cpu, dedicated, "dedicated", BOOL, .def = "false", .expect = "true or false"),
};
static const struct json_table cpu_table =
	JSON_TABLE("the cpu part of a plan", struct spec_cpu, cpu_rows);

static const struct json_row memory_rows[] = {
	ROW(spec_memory, limit, "limit", SIZE, .flags = JSON_ROW_REQUIRED, .min = 4u << 20,
	    .max = SIZE_LIMIT, .expect = "a size", .example = "2GiB"),
	ROW(spec_memory, high, "high", SIZE, .flags = JSON_ROW_LIMIT, .min = 4u << 20,
	    .max = SIZE_LIMIT, .expect = "a size", .example = "1800MiB"),
	ROW(spec_memory, guarantee, "guarantee", SIZE, .def = "\"0\"", .max = SIZE_LIMIT,
	    .expect = "a size", .example = "512MiB"),
	ROW(spec_memory, swap, "swap", SIZE, .def = "\"0\"", .max = SIZE_LIMIT, .expect = "a size",
	    .example = "512MiB"),
};
static const struct json_table memory_table =
	JSON_TABLE("the memory part of a plan", struct spec_memory, memory_rows);

static const struct json_row disk_rows[] = {
	ROW(spec_disk, size, "size", SIZE, .flags = JSON_ROW_LIMIT, .def = "\"10GiB\"",
	    .min = 16u << 20, .max = SIZE_LIMIT, .expect = "a size", .example = "10GiB"),
	ROW(spec_disk, inodes, "inodes", U64, .flags = JSON_ROW_LIMIT, .def = "500000", .min = 1000,
	    .expect = "a number of files", .example = "500000"),
	ROW(spec_disk, read, "read", BYTERATE, .flags = JSON_ROW_LIMIT, .min = 4096,
	    .max = SIZE_LIMIT, .expect = "a rate in bytes", .example = "100MiB/s"),
	ROW(spec_disk, write, "write", BYTERATE, .flags = JSON_ROW_LIMIT, .min = 4096,
	    .max = SIZE_LIMIT, .expect = "a rate in bytes", .example = "50MiB/s"),
	/* io.max refuses 1 and counts operations in 32 bits. */
	ROW(spec_disk, read_iops, "read_iops", U64, .flags = JSON_ROW_LIMIT, .min = 2,
	    .max = IOPS_MAX, .expect = "a number of reads per second", .example = "2000"),
	ROW(spec_disk, write_iops, "write_iops", U64, .flags = JSON_ROW_LIMIT, .min = 2,
	    .max = IOPS_MAX, .expect = "a number of writes per second", .example = "1000"),
	ROW(spec_disk, weight, "weight", U64, .def = "100", .min = 1, .max = 10000,
	    .expect = "a weight from 1 to 10000", .example = "100"),
};
static const struct json_table disk_table =
	JSON_TABLE("the disk part of a plan", struct spec_disk, disk_rows);

static const struct json_row over_rows[] = {
	ROW(spec_transfer_over, throttle, "throttle", BITRATE, .flags = JSON_ROW_LIMIT, .min = 8000,
	    .max = SIZE_LIMIT, .expect = "a rate in bits", .example = "1Mbit"),
	ROW(spec_transfer_over, suspend, "suspend", BOOL, .expect = "true or false"),
	ROW(spec_transfer_over, bill, "bill", BOOL, .expect = "true or false"),
};
static const struct json_table over_table =
	JSON_TABLE("what happens beyond the transfer", struct spec_transfer_over, over_rows);

static const struct json_row transfer_rows[] = {
	ROW(spec_transfer, monthly, "monthly", SIZE, .flags = JSON_ROW_LIMIT, .min = 1,
	    .max = SIZE_LIMIT, .expect = "a size", .example = "1TiB"),
	ROW(spec_transfer, count, "count", ENUM, .def = "\"total\"", .names = count_names,
	    .expect = "what is counted"),
	ROW(spec_transfer, reset, "reset", ENUM, .def = "\"first\"", .names = reset_names,
	    .expect = "when the count starts again"),
	ROW(spec_transfer, over, "over", OBJECT, .flags = JSON_ROW_WHOLE, .sub = &over_table,
	    .expect = "one of {\"throttle\": RATE}, {\"suspend\": true}, {\"bill\": true}"),
};
static const struct json_table transfer_table =
	JSON_TABLE("the transfer part of a plan", struct spec_transfer, transfer_rows);

static const struct json_row network_rows[] = {
	ROW(spec_plan_network, in, "in", BITRATE, .flags = JSON_ROW_LIMIT, .min = 8000,
	    .max = SIZE_LIMIT, .expect = "a rate in bits", .example = "200Mbit"),
	ROW(spec_plan_network, out, "out", BITRATE, .flags = JSON_ROW_LIMIT, .min = 8000,
	    .max = SIZE_LIMIT, .expect = "a rate in bits", .example = "100Mbit"),
	ROW(spec_plan_network, pps, "pps", U64, .flags = JSON_ROW_LIMIT, .min = 1,
	    .expect = "a number of packets per second", .example = "50000"),
	ROW(spec_plan_network, connections, "connections", U64, .flags = JSON_ROW_LIMIT,
	    .def = "16384", .min = 1, .expect = "a number of connections", .example = "16384"),
	ROW(spec_plan_network, new_connections, "new_connections", RATE, .flags = JSON_ROW_LIMIT,
	    .min = 1, .expect = "a rate per second", .example = "500/s"),
	ROW(spec_plan_network, block_smtp, "block_smtp", BOOL, .def = "false",
	    .expect = "true or false"),
	ROW(spec_plan_network, transfer, "transfer", OBJECT, .flags = JSON_ROW_NULL,
	    .sub = &transfer_table, .expect = "an object"),
};
static const struct json_table network_table =
	JSON_TABLE("the network part of a plan", struct spec_plan_network, network_rows);

static const struct json_row features_rows[] = {
	ROW(spec_features, nesting, "nesting", BOOL, .def = "false", .expect = "true or false"),
	ROW(spec_features, tun, "tun", BOOL, .def = "false", .expect = "true or false"),
	ROW(spec_features, fuse, "fuse", BOOL, .def = "false", .expect = "true or false"),
};
static const struct json_table features_table =
	JSON_TABLE("the features of a plan", struct spec_features, features_rows);

static const struct json_row plan_rows[] = {
	ROW(spec_plan, name, "plan", STRING, .flags = JSON_ROW_REQUIRED | JSON_ROW_FIXED,
	    .is_valid = str_is_name, .expect = "a name (1 to 63 of a-z 0-9 - .)",
	    .example = "small"),
	ROW(spec_plan, version, "version", U64, .flags = JSON_ROW_REQUIRED | JSON_ROW_FIXED,
	    .min = 1, .max = 1000000000, .expect = "a version from 1", .example = "1"),
	ROW(spec_plan, cpu, "cpu", OBJECT, .flags = JSON_ROW_REQUIRED, .sub = &cpu_table,
	    .expect = "an object", .example = "{\"cores\": 1}"),
	ROW(spec_plan, memory, "memory", OBJECT, .flags = JSON_ROW_REQUIRED, .sub = &memory_table,
	    .expect = "an object", .example = "{\"limit\": \"1GiB\"}"),
	/* pids.max of the kernel ends at PID_MAX_LIMIT; below 16 no init gets up. */
	ROW(spec_plan, pids, "pids", U64, .def = "512", .min = 16, .max = 4194304,
	    .expect = "a number of processes and threads", .example = "512"),
	ROW(spec_plan, disk, "disk", OBJECT, .sub = &disk_table, .expect = "an object"),
	ROW(spec_plan, network, "network", OBJECT, .sub = &network_table, .expect = "an object"),
	ROW(spec_plan, features, "features", OBJECT, .sub = &features_table, .expect = "an object"),
	ROW(spec_plan, devices, "devices", STRINGS, .max = SPEC_DEVICES_MAX,
	    .is_valid = spec_is_device, .expect = "a path below /dev",
	    .example = "/dev/dri/renderD128"),
	ROW(spec_plan, snapshots, "snapshots", U64, .def = "0", .max = 10000,
	    .expect = "a number of snapshots", .example = "5"),
	ROW(spec_plan, backups, "backups", U64, .def = "0", .max = 10000,
	    .expect = "a number of backups", .example = "3"),
};
const struct json_table spec_plan_table =
	JSON_TABLE("a plan", struct spec_plan, plan_rows, .is_document = true);

static int check_cpu(const struct spec_cpu *c, const struct json_where *w)
{
	uint64_t quota = c->cores * QUOTA_USEC_PER_MILLI;
	char burst[NUM_TEXT], most[NUM_TEXT];
	int bad = 0;

	if (c->guarantee > c->cores)
		bad = problems_add(w, "cpu.guarantee", NULL, "%g cores are more than cpu.cores, %g",
				   MILLI_FORMAT_ARGS(c->guarantee), MILLI_FORMAT_ARGS(c->cores));
	else if (!c->dedicated && c->guarantee > WEIGHED_CORES_MAX)
		bad = problems_add(w, "cpu.guarantee", NULL,
				   "%g cores are more than cpu.weight can tell apart, %g; a "
				   "dedicated plan may have more",
				   MILLI_FORMAT_ARGS(c->guarantee),
				   MILLI_FORMAT_ARGS(WEIGHED_CORES_MAX));
	if (c->burst > quota) {
		num_format_duration(burst, c->burst);
		num_format_duration(most, quota);
		bad = problems_add(w, "cpu.burst", NULL,
				   "%s is more than %g cores get in one period of 100ms, %s", burst,
				   MILLI_FORMAT_ARGS(c->cores), most);
	}
	if (!c->dedicated)
		return bad;
	if (c->cores % 1000 != 0)
		bad = problems_add(w, "cpu.cores", NULL,
				   "%g cores cannot be dedicated; a dedicated plan has whole cores",
				   MILLI_FORMAT_ARGS(c->cores));
	if (c->guarantee < c->cores)
		bad = problems_add(
			w, "cpu.guarantee", NULL,
			"a dedicated plan guarantees all its cores, %g; leave the key out",
			MILLI_FORMAT_ARGS(c->cores));
	return bad;
}

static int check_memory(const struct spec_plan *p, const struct json_where *w)
{
	const struct spec_memory *m = &p->memory;
	char guarantee[NUM_TEXT], high[NUM_TEXT], limit[NUM_TEXT];
	int bad = 0;

	num_format_size(guarantee, m->guarantee);
	num_format_size(limit, m->limit);
	if (m->high != JSON_UNLIMITED) {
		num_format_size(high, m->high);
		if (m->high > m->limit)
			bad = problems_add(w, "memory.high", NULL,
					   "%s is more than memory.limit, %s", high, limit);
		else if (m->high < m->guarantee)
			bad = problems_add(w, "memory.high", NULL,
					   "%s is less than memory.guarantee, %s", high, guarantee);
	}
	if (m->guarantee > m->limit)
		return problems_add(w, "memory.guarantee", NULL, "%s is more than memory.limit, %s",
				    guarantee, limit);
	if (p->cpu.dedicated && m->guarantee < m->limit)
		return problems_add(
			w, "memory.guarantee", NULL,
			"a dedicated plan guarantees all its memory, %s; leave the key out", limit);
	return bad;
}

static int check_over(const struct spec_transfer *t, const struct json_where *w)
{
	int n = (t->over.throttle != JSON_UNLIMITED) + t->over.suspend + t->over.bill;

	if (n == 1)
		return 0;
	return problems_add(w, "network.transfer.over", NULL,
			    "expected exactly one of {\"throttle\": RATE}, {\"suspend\": true}, "
			    "{\"bill\": true}");
}

static int check_devices(const struct spec_plan *p, const struct json_where *w)
{
	int bad = 0;

	for (size_t i = 0; i < p->devices.n; i++) {
		const char *path = p->devices.items[i], *why = spec_device_why_not(path);
		char key[32];

		(void)str_fmt(key, sizeof(key), "devices[%zu]", i);
		if (why)
			bad = problems_add(w, key, NULL, "no guest gets \"%s\": %s", path, why);
		for (size_t k = 0; k < i; k++)
			if (str_eq(path, p->devices.items[k]))
				bad = problems_add(w, key, NULL, "\"%s\" is devices[%zu] already",
						   path, k);
	}
	return bad;
}

int spec_plan_check(const struct spec_plan *p, const struct json_where *w)
{
	int bad = check_cpu(&p->cpu, w);

	if (check_memory(p, w) < 0)
		bad = -EINVAL;
	if (check_over(&p->network.transfer, w) < 0)
		bad = -EINVAL;
	if (check_devices(p, w) < 0)
		bad = -EINVAL;
	return bad;
}

/* What follows from other keys, wherever no document said it: computed anew after every change. */
static void derive(struct spec_plan *p)
{
	struct spec_transfer *t = &p->network.transfer;

	if (!json_rows_has(&cpu_table, &p->cpu, "guarantee"))
		p->cpu.guarantee = p->cpu.dedicated ? p->cpu.cores : 0;
	if (!json_rows_has(&memory_table, &p->memory, "guarantee"))
		p->memory.guarantee = p->cpu.dedicated ? p->memory.limit : 0;
	if (!json_rows_has(&transfer_table, t, "over"))
		t->over.bill = true;
}

static int decode(struct spec_plan *p, const json_t *doc, unsigned flags,
		  const struct json_where *w)
{
	int r = json_rows_decode(&spec_plan_table, doc, flags, p, w);

	if (r == 0) {
		derive(p);
		r = spec_plan_check(p, w);
	}
	if (r < 0)
		spec_plan_done(p);
	return r < 0 && w->problems->oom ? -ENOMEM : r;
}

int spec_plan_from_json(struct spec_plan *p, const json_t *doc, const struct json_where *w)
{
	return decode(p, doc, 0, w);
}

void spec_plan_done(struct spec_plan *p)
{
	json_rows_done(&spec_plan_table, p);
}

json_t *spec_plan_to_json(const struct spec_plan *p)
{
	return json_rows_encode(&spec_plan_table, p, JSON_ENCODE_ALL);
}

json_t *spec_plan_document(const struct spec_plan *p)
{
	json_t *doc = spec_plan_to_json(p);

	if (!json_rows_has(&cpu_table, &p->cpu, "guarantee"))
		(void)json_object_del(json_object_get(doc, "cpu"), "guarantee");
	if (!json_rows_has(&memory_table, &p->memory, "guarantee"))
		(void)json_object_del(json_object_get(doc, "memory"), "guarantee");
	if (!json_rows_has(&transfer_table, &p->network.transfer, "over"))
		(void)json_object_del(json_object_get(json_object_get(doc, "network"), "transfer"),
				      "over");
	return doc;
}

int spec_plan_override(const struct spec_plan *plan, const json_t *overrides, struct spec_plan *ret,
		       const struct json_where *w)
{
	int r = json_rows_copy(&spec_plan_table, ret, plan);

	if (r < 0 || !overrides)
		return r;
	return decode(ret, overrides, JSON_DECODE_PARTIAL, w);
}

void spec_plan_to_limits(const struct spec_plan *p, struct cg_limits *ret)
{
	uint64_t weight = p->cpu.guarantee / 10; /* 100 per core of 1000 thousandths */

	/* Every limit is set here: config does not call into cgroups, it only fills its struct. */
	_Static_assert(CG_LIMIT_MAX == 13, "a new limit needs its line below");
	ret->value[CG_LIMIT_CPU_CORES] = p->cpu.cores;
	ret->value[CG_LIMIT_CPU_BURST] = p->cpu.burst;
	ret->value[CG_LIMIT_CPU_WEIGHT] = weight < 1 ? 1 : weight > 10000 ? 10000 : weight;
	ret->value[CG_LIMIT_MEMORY_MAX] = p->memory.limit;
	ret->value[CG_LIMIT_MEMORY_HIGH] = p->memory.high;
	ret->value[CG_LIMIT_MEMORY_MIN] = p->memory.guarantee;
	ret->value[CG_LIMIT_SWAP_MAX] = p->memory.swap;
	ret->value[CG_LIMIT_PIDS_MAX] = p->pids;
	ret->value[CG_LIMIT_DISK_READ] = p->disk.read;
	ret->value[CG_LIMIT_DISK_WRITE] = p->disk.write;
	ret->value[CG_LIMIT_DISK_READ_IOPS] = p->disk.read_iops;
	ret->value[CG_LIMIT_DISK_WRITE_IOPS] = p->disk.write_iops;
	ret->value[CG_LIMIT_DISK_WEIGHT] = p->disk.weight;
}

int spec_plan_ref_parse(const char *ref, char ret_name[SPEC_NAME_TEXT], uint64_t *ret_version)
{
	const char *at = strchr(ref, '@');
	size_t n = at ? (size_t)(at - ref) : strlen(ref);
	char name[SPEC_NAME_TEXT];
	uint64_t version = 0;

	if (n >= sizeof(name))
		return -EINVAL;
	memcpy(name, ref, n);
	name[n] = '\0';
	if (!str_is_name(name) || (at && num_parse_u64(at + 1, 1, 1000000000, &version) < 0))
		return -EINVAL;
	memcpy(ret_name, name, n + 1);
	*ret_version = version;
	return 0;
}

const char *spec_transfer_count_name(enum spec_transfer_count count)
{
	return (unsigned)count < SPEC_TRANSFER_COUNT_MAX ? count_names[count] : NULL;
}

const char *spec_transfer_reset_name(enum spec_transfer_reset reset)
{
	return (unsigned)reset < SPEC_RESET_MAX ? reset_names[reset] : NULL;
}
