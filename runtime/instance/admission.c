/* SPDX-License-Identifier: Apache-2.0 */
/* Capacity: sums, and one row per thing that can be short. */
#include "runtime/instance/admission.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "cgroups/cpuset.h"

static uint64_t limited(uint64_t v)
{
	return v == JSON_UNLIMITED ? 0 : v;
}

struct admission_load admission_of_plan(const struct spec_plan *plan)
{
	return (struct admission_load){
		.instances = 1,
		.cores = limited(plan->cpu.cores),
		.cores_guaranteed = limited(plan->cpu.guarantee),
		.cores_dedicated = plan->cpu.dedicated ? limited(plan->cpu.cores) : 0,
		.memory = limited(plan->memory.limit),
		.memory_guaranteed = limited(plan->memory.guarantee),
		.disk = limited(plan->disk.size),
		.disks_unlimited = plan->disk.size == JSON_UNLIMITED,
	};
}

void admission_add(struct admission_load *sum, const struct admission_load *one)
{
	sum->instances += one->instances;
	sum->cores += one->cores;
	sum->cores_guaranteed += one->cores_guaranteed;
	sum->cores_dedicated += one->cores_dedicated;
	sum->memory += one->memory;
	sum->memory_guaranteed += one->memory_guaranteed;
	sum->disk += one->disk;
	sum->disks_unlimited += one->disks_unlimited;
}

void admission_sub(struct admission_load *sum, const struct admission_load *one)
{
	sum->instances -= one->instances;
	sum->cores -= one->cores;
	sum->cores_guaranteed -= one->cores_guaranteed;
	sum->cores_dedicated -= one->cores_dedicated;
	sum->memory -= one->memory;
	sum->memory_guaranteed -= one->memory_guaranteed;
	sum->disk -= one->disk;
	sum->disks_unlimited -= one->disks_unlimited;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

uint64_t admission_cores(const struct admission_host *h)
{
	return less(h->cores, h->spec->reserve.cores);
}

uint64_t admission_memory(const struct admission_host *h)
{
	return less(h->memory, h->spec->reserve.memory);
}

unsigned admission_cpus_kept(const struct admission_host *h)
{
	uint64_t n = (h->spec->reserve.cores + 999) / 1000;

	return n < 1 ? 1 : (unsigned)n;
}

/* One CPU stays for all that have none of their own. */
uint64_t admission_cores_dedicated(const struct admission_host *h)
{
	if (h->shares_dedicated)
		return JSON_UNLIMITED;
	return less(h->cores, (admission_cpus_kept(h) + 1) * UINT64_C(1000));
}

enum unit {
	UNIT_COUNT,
	UNIT_CORES,
	UNIT_BYTES,
};

static void format(char dst[NUM_TEXT], enum unit unit, uint64_t v)
{
	switch (unit) {
	case UNIT_CORES:
		(void)str_fmt(dst, NUM_TEXT, "%" PRIu64 ".%03u", v / 1000, (unsigned)(v % 1000));
		return;
	case UNIT_BYTES:
		num_format_size_short(dst, v);
		return;
	case UNIT_COUNT:
		break;
	}
	(void)str_fmt(dst, NUM_TEXT, "%" PRIu64, v);
}

struct check {
	const char *what; /* "guaranteed memory" */
	enum unit unit;
	uint64_t has, used, want;
	const char *hint;
};

/* Adds of sums that do not overflow in practice saturate all the same. */
static int check(const struct check *c, const char *whose, struct err *err)
{
	char want[NUM_TEXT], left[NUM_TEXT], has[NUM_TEXT];

	/* An instance that asks for nothing more is never refused, even on a host that is over. */
	if (c->want == 0 || c->has == JSON_UNLIMITED)
		return 0;
	if (c->used <= c->has && c->want <= c->has - c->used)
		return 0;
	format(want, c->unit, c->want);
	format(left, c->unit, less(c->has, c->used));
	format(has, c->unit, c->has);
	(void)err_set(err, ENOSPC, "not enough %s: %s wanted, %s left of %s%s", c->what, want, left,
		      has, whose);
	return err_hint(err, "%s", c->hint);
}

static uint64_t times(uint64_t v, uint64_t thousandths)
{
	uint64_t r;

	if (__builtin_mul_overflow(v, thousandths, &r))
		return UINT64_MAX - 1;
	return r / 1000;
}

int admission_check_host(const struct admission_host *h, const struct admission_load *used,
			 const struct admission_load *want, struct err *err)
{
	const struct spec_overcommit *over = &h->spec->overcommit;
	const struct check checks[] = {
		{"guaranteed cores", UNIT_CORES, admission_cores(h), used->cores_guaranteed,
		 want->cores_guaranteed,
		 "take a plan with a smaller cpu.guarantee, or lower reserve.cores of the host"},
		{"dedicated cores", UNIT_CORES, admission_cores_dedicated(h), used->cores_dedicated,
		 want->cores_dedicated,
		 "the host keeps the CPUs of reserve.cores, at least one, and one is for all "
		 "others; take a plan with fewer cores, or one that is not dedicated"},
		{"guaranteed memory", UNIT_BYTES, admission_memory(h), used->memory_guaranteed,
		 want->memory_guaranteed,
		 "take a plan with a smaller memory.guarantee, or lower reserve.memory of the "
		 "host"},
		{"cores", UNIT_CORES, times(admission_cores(h), over->cpu), used->cores,
		 want->cores, "take a plan with fewer cores, or raise overcommit.cpu of the host"},
		{"memory", UNIT_BYTES, times(admission_memory(h), over->memory), used->memory,
		 want->memory,
		 "take a plan with a smaller memory.limit, or raise overcommit.memory of the "
		 "host"},
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		int r = check(&checks[i], " that this host gives away", err);

		if (r < 0)
			return r;
	}
	return 0;
}

int admission_check_quota(const struct spec_tenant *tenant, const struct admission_load *used,
			  const struct admission_load *want, struct err *err)
{
	const struct spec_quota *q = &tenant->quota;
	const struct check checks[] = {
		{"instances", UNIT_COUNT, q->instances, used->instances, want->instances,
		 "raise quota.instances of the tenant"},
		{"cores", UNIT_CORES, q->cores, used->cores, want->cores,
		 "raise quota.cores of the tenant"},
		{"memory", UNIT_BYTES, q->memory, used->memory, want->memory,
		 "raise quota.memory of the tenant"},
		{"disk", UNIT_BYTES, q->disk, used->disk, want->disk,
		 "raise quota.disk of the tenant"},
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		int r = check(&checks[i], " in the tenant's quota", err);

		if (r < 0)
			return r;
	}
	if (want->disks_unlimited == 0 || q->disk == JSON_UNLIMITED)
		return 0;
	(void)err_set(err, ENOSPC,
		      "not enough disk: an instance without disk.size does not fit into quota.disk "
		      "of the tenant");
	return err_hint(err, "take a plan with disk.size, or take quota.disk away");
}

int admission_probe(const char *cpu_dir, struct admission_host *ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char path[256], online[CG_CPUS_TEXT];
	const char *line, *end;
	uint64_t kib;
	ssize_t n;
	size_t len;
	int r;

	if (str_fmt(path, sizeof(path), "%s/online", cpu_dir) < 0)
		return err_set(err, ENAMETOOLONG, "'%s' is too long", cpu_dir);
	n = file_read_short_at(AT_FDCWD, path, online, sizeof(online), err);
	if (n < 0)
		return (int)n;
	r = file_read_at(AT_FDCWD, "/proc/meminfo", 65536, &text, &len, err);
	if (r < 0)
		return r;
	line = strstr(text, "MemTotal:");
	if (!line || cg_cpus_parse(online, &ret->cpus) < 0 || CPU_COUNT(&ret->cpus) < 1)
		return err_set(err, EBADMSG, "cannot find out the machine's size");
	line += strlen("MemTotal:");
	line += strspn(line, " ");
	if (num_scan_u64(line, &end, &kib) < 0)
		return err_set(err, EBADMSG, "cannot read MemTotal of /proc/meminfo");
	ret->cores = (uint64_t)CPU_COUNT(&ret->cpus) * 1000;
	ret->memory = kib * 1024;
	return 0;
}
