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
		.pids = limited(plan->pids),
		.disk = limited(plan->disk.size),
		.disks_unlimited = plan->disk.size == JSON_UNLIMITED,
	};
}

/* Each number of a load. */
#define EACH(DO)                                                                                   \
	DO(instances)                                                                              \
	DO(cores)                                                                                  \
	DO(cores_guaranteed)                                                                       \
	DO(cores_dedicated)                                                                        \
	DO(memory)                                                                                 \
	DO(memory_guaranteed)                                                                      \
	DO(pids)                                                                                   \
	DO(disk)                                                                                   \
	DO(disks_unlimited)

void admission_add(struct admission_load *sum, const struct admission_load *one)
{
#define ADD(f) sum->f += one->f;
	EACH(ADD)
#undef ADD
}

void admission_sub(struct admission_load *sum, const struct admission_load *one)
{
#define SUB(f) sum->f -= one->f;
	EACH(SUB)
#undef SUB
}

struct admission_load admission_growth(const struct admission_load *new,
				       const struct admission_load *old)
{
	struct admission_load more = {0};

#define GROWTH(f) more.f = new->f > old->f ? new->f - old->f : 0;
	EACH(GROWTH)
#undef GROWTH
	return more;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

unsigned admission_cpus_kept(const struct admission_host *h)
{
	uint64_t n = (h->spec->reserve.cores + 999) / 1000;

	return n < 1 ? 1 : (unsigned)n;
}

static uint64_t times(uint64_t v, uint64_t thousandths)
{
	uint64_t r;

	if (__builtin_mul_overflow(v, thousandths, &r))
		return UINT64_MAX - 1;
	return r / 1000;
}

/* --- the resources --------------------------------------------------------------------------- */

static void measure_cores(const struct admission_host *h, struct admission_status *s)
{
	s->total = h->cores;
	s->reserve = h->spec->reserve.cores;
	s->overcommit = h->spec->overcommit.cpu;
}

/* One CPU stays for all that have none of their own. */
static void measure_dedicated(const struct admission_host *h, struct admission_status *s)
{
	s->total = h->shares_dedicated ? JSON_UNLIMITED : h->cores;
	s->reserve = (admission_cpus_kept(h) + 1) * UINT64_C(1000);
}

static void measure_memory(const struct admission_host *h, struct admission_status *s)
{
	s->total = h->memory;
	s->reserve = h->spec->reserve.memory;
	s->overcommit = h->spec->overcommit.memory;
}

static void measure_disk(const struct admission_host *h, struct admission_status *s)
{
	s->total = h->disk;
	s->reserve = h->spec->reserve.disk;
	s->overcommit = h->spec->overcommit.disk;
}

/* Nobody needs as many as he may have, and pids.max holds each: they are counted, not rationed. */
static void measure_pids(const struct admission_host *h, struct admission_status *s)
{
	s->total = h->pids;
	s->overcommit = JSON_UNLIMITED;
}

static void measure_instances(const struct admission_host *h, struct admission_status *s)
{
	s->total = h->id_ranges;
}

#define NONE SIZE_MAX
#define LOAD(f) offsetof(struct admission_load, f)

static const struct resource {
	const char *name;
	enum admission_unit unit;
	size_t sold, guaranteed; /* in struct admission_load */
	void (*measure)(const struct admission_host *h, struct admission_status *s);
	const char *hint, *guarantee_hint; /* where it is short */
} resources[ADMISSION_RESOURCE_MAX] = {
	[ADMISSION_CORES] = {"cores", ADMISSION_MILLI, LOAD(cores), LOAD(cores_guaranteed),
			     measure_cores,
			     "take a plan with fewer cores, or raise overcommit.cpu of the host",
			     "take a plan with a smaller cpu.guarantee, or lower reserve.cores of "
			     "the host"},
	[ADMISSION_DEDICATED] = {"dedicated cores", ADMISSION_MILLI, LOAD(cores_dedicated), NONE,
				 measure_dedicated,
				 "the host keeps the CPUs of reserve.cores, at least one, and one "
				 "is for all others; take a plan with fewer cores, or one that is "
				 "not dedicated",
				 NULL},
	[ADMISSION_MEMORY] = {"memory", ADMISSION_BYTES, LOAD(memory), LOAD(memory_guaranteed),
			      measure_memory,
			      "take a plan with a smaller memory.limit, or raise "
			      "overcommit.memory of the host",
			      "take a plan with a smaller memory.guarantee, or lower "
			      "reserve.memory of the host"},
	[ADMISSION_DISK] = {"disk", ADMISSION_BYTES, LOAD(disk), NONE, measure_disk,
			    "take a plan with a smaller disk.size, lower reserve.disk or raise "
			    "overcommit.disk of the host",
			    NULL},
	[ADMISSION_PIDS] = {"pids", ADMISSION_COUNT, LOAD(pids), NONE, measure_pids, "", NULL},
	[ADMISSION_INSTANCES] = {"instances", ADMISSION_COUNT, LOAD(instances), NONE,
				 measure_instances,
				 "delete an instance, or raise idmap.count of the host", NULL},
};

static uint64_t load_at(const struct admission_load *l, size_t offset)
{
	uint64_t v = 0;

	if (offset != NONE)
		memcpy(&v, (const char *)l + offset, sizeof(v));
	return v;
}

static uint64_t left(uint64_t has, uint64_t used)
{
	return has == JSON_UNLIMITED ? JSON_UNLIMITED : less(has, used);
}

void admission_status(const struct admission_host *h, const struct admission_load *used,
		      struct admission_status ret[ADMISSION_RESOURCE_MAX])
{
	for (size_t i = 0; i < ADMISSION_RESOURCE_MAX; i++) {
		const struct resource *r = &resources[i];
		struct admission_status s = {.name = r->name,
					     .unit = r->unit,
					     .overcommit = 1000,
					     .sellable = JSON_UNLIMITED,
					     .guaranteeable = JSON_UNLIMITED,
					     .sold = load_at(used, r->sold),
					     .guaranteed = load_at(used, r->guaranteed)};
		uint64_t rest;

		r->measure(h, &s);
		rest = left(s.total, s.reserve);
		if (rest != JSON_UNLIMITED && s.overcommit != JSON_UNLIMITED)
			s.sellable = times(rest, s.overcommit);
		if (r->guaranteed != NONE)
			s.guaranteeable = rest;
		s.free = left(s.sellable, s.sold);
		s.guarantee_free = left(s.guaranteeable, s.guaranteed);
		ret[i] = s;
	}
}

/* --- judging --------------------------------------------------------------------------------- */

static void format(char dst[NUM_TEXT], enum admission_unit unit, uint64_t v)
{
	switch (unit) {
	case ADMISSION_MILLI:
		(void)str_fmt(dst, NUM_TEXT, "%" PRIu64 ".%03u", v / 1000, (unsigned)(v % 1000));
		return;
	case ADMISSION_BYTES:
		num_format_size_short(dst, v);
		return;
	case ADMISSION_COUNT:
		break;
	}
	(void)str_fmt(dst, NUM_TEXT, "%" PRIu64, v);
}

/* What is wanted of a sum, and what is left of it. */
struct check {
	const char *kind; /* "guaranteed " or "" */
	const char *what; /* "memory" */
	enum admission_unit unit;
	uint64_t has, left, want;
	const char *hint;
};

static int check(const struct check *c, const char *whose, struct err *err)
{
	char want[NUM_TEXT], left_text[NUM_TEXT], has[NUM_TEXT];

	/* An instance that asks for nothing more is never refused, even on a host that is over. */
	if (c->want == 0 || c->has == JSON_UNLIMITED || c->want <= c->left)
		return 0;
	format(want, c->unit, c->want);
	format(left_text, c->unit, c->left);
	format(has, c->unit, c->has);
	(void)err_set(err, ENOSPC, "not enough %s%s: %s wanted, %s left of %s%s", c->kind, c->what,
		      want, left_text, has, whose);
	return err_hint(err, "%s", c->hint);
}

int admission_check_host(const struct admission_host *h, const struct admission_load *used,
			 const struct admission_load *want, struct err *err)
{
	static const char whose[] = " that this host gives away";
	struct admission_status all[ADMISSION_RESOURCE_MAX];
	int r = 0;

	admission_status(h, used, all);
	for (size_t i = 0; r >= 0 && i < ADMISSION_RESOURCE_MAX; i++)
		r = check(&(struct check){"guaranteed ", all[i].name, all[i].unit,
					  all[i].guaranteeable, all[i].guarantee_free,
					  load_at(want, resources[i].guaranteed),
					  resources[i].guarantee_hint},
			  whose, err);
	for (size_t i = 0; r >= 0 && i < ADMISSION_RESOURCE_MAX; i++)
		r = check(&(struct check){"", all[i].name, all[i].unit, all[i].sellable,
					  all[i].free, load_at(want, resources[i].sold),
					  resources[i].hint},
			  whose, err);
	return r;
}

int admission_check_size(const struct admission_host *h, const struct admission_load *one,
			 struct err *err)
{
	char want[NUM_TEXT], has[NUM_TEXT];

	if (one->cores <= h->cores)
		return 0;
	format(want, ADMISSION_MILLI, one->cores);
	format(has, ADMISSION_MILLI, h->cores);
	(void)err_set(err, ENOSPC, "cpu.cores of one instance, %s, are more than this host has, %s",
		      want, has);
	return err_hint(err, "take a plan with fewer cores; overcommit.cpu is for many instances");
}

int admission_check_quota(const struct spec_tenant *tenant, const struct admission_load *used,
			  const struct admission_load *want, struct err *err)
{
	const struct spec_quota *q = &tenant->quota;
	static const char whose[] = " in the tenant's quota";
	const struct {
		const char *what;
		enum admission_unit unit;
		uint64_t has, used, want;
		const char *hint;
	} rows[] = {
		{"instances", ADMISSION_COUNT, q->instances, used->instances, want->instances,
		 "raise quota.instances of the tenant"},
		{"cores", ADMISSION_MILLI, q->cores, used->cores, want->cores,
		 "raise quota.cores of the tenant"},
		{"memory", ADMISSION_BYTES, q->memory, used->memory, want->memory,
		 "raise quota.memory of the tenant"},
		{"pids", ADMISSION_COUNT, q->pids, used->pids, want->pids,
		 "take a plan with fewer pids, or raise quota.pids of the tenant"},
		{"disk", ADMISSION_BYTES, q->disk, used->disk, want->disk,
		 "raise quota.disk of the tenant"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct check c = {"",
					rows[i].what,
					rows[i].unit,
					rows[i].has,
					left(rows[i].has, rows[i].used),
					rows[i].want,
					rows[i].hint};
		int r = check(&c, whose, err);

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

/* What a file below /proc/sys holds; JSON_UNLIMITED where it cannot be read. */
static uint64_t read_sysctl(const char *path)
{
	char text[32];
	uint64_t v;

	if (file_read_short_at(AT_FDCWD, path, text, sizeof(text), NULL) < 0)
		return JSON_UNLIMITED;
	text[strcspn(text, "\n")] = '\0';
	return num_parse_u64(text, 0, UINT64_MAX - 1, &v) < 0 ? JSON_UNLIMITED : v;
}

/* Bytes of a line of /proc/meminfo. */
static int read_meminfo(const char *key, uint64_t *ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *line, *end;
	uint64_t kib;
	size_t len;
	int r = file_read_at(AT_FDCWD, "/proc/meminfo", 65536, &text, &len, err);

	if (r < 0)
		return r;
	line = strstr(text, key);
	if (!line)
		return err_set(err, EBADMSG, "/proc/meminfo has no '%s'", key);
	line += strlen(key);
	line += strspn(line, " ");
	if (num_scan_u64(line, &end, &kib) < 0)
		return err_set(err, EBADMSG, "cannot read '%s' of /proc/meminfo", key);
	*ret = kib * 1024;
	return 0;
}

uint64_t admission_swap(void)
{
	uint64_t bytes = 0;

	(void)read_meminfo("SwapTotal:", &bytes, NULL);
	return bytes;
}

int admission_probe(const char *cpu_dir, struct admission_host *ret, struct err *err)
{
	char path[256], online[CG_CPUS_TEXT];
	uint64_t pid_max, threads_max;
	ssize_t n;
	int r;

	if (str_fmt(path, sizeof(path), "%s/online", cpu_dir) < 0)
		return err_set(err, ENAMETOOLONG, "'%s' is too long", cpu_dir);
	n = file_read_short_at(AT_FDCWD, path, online, sizeof(online), err);
	if (n < 0)
		return (int)n;
	r = read_meminfo("MemTotal:", &ret->memory, err);
	if (r < 0)
		return r;
	if (cg_cpus_parse(online, &ret->cpus) < 0 || CPU_COUNT(&ret->cpus) < 1)
		return err_set(err, EBADMSG, "cannot find out the machine's size");
	ret->cores = (uint64_t)CPU_COUNT(&ret->cpus) * 1000;
	pid_max = read_sysctl("/proc/sys/kernel/pid_max");
	threads_max = read_sysctl("/proc/sys/kernel/threads-max");
	ret->pids = pid_max < threads_max ? pid_max : threads_max;
	return 0;
}
