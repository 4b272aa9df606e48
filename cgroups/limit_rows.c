/* SPDX-License-Identifier: Apache-2.0 */
/* The table of limits: names, files, and the text that each file takes and gives. */
#include "cgroups/limit_rows.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define CPU_PERIOD_USEC UINT64_C(100000)
#define CPU_QUOTA_MIN_USEC UINT64_C(1000) /* the kernel refuses less */
#define WEIGHT_MIN UINT64_C(1)
#define WEIGHT_MAX UINT64_C(10000)
#define DEFAULT_WEIGHT "default " /* how the first line of io.weight begins */

/* ---- formats ---- */

static int format_cores(uint64_t v, char dst[CG_LIMIT_TEXT])
{
	uint64_t quota;

	if (v == CG_UNLIMITED)
		return str_fmt(dst, CG_LIMIT_TEXT, "max %" PRIu64, CPU_PERIOD_USEC);
	if (v > UINT64_C(1000000000))
		return -ERANGE;
	quota = v * CPU_PERIOD_USEC / 1000;
	if (quota < CPU_QUOTA_MIN_USEC)
		quota = CPU_QUOTA_MIN_USEC;
	return str_fmt(dst, CG_LIMIT_TEXT, "%" PRIu64 " %" PRIu64, quota, CPU_PERIOD_USEC);
}

static int format_weight(uint64_t v, char dst[CG_LIMIT_TEXT])
{
	if (v < WEIGHT_MIN || v > WEIGHT_MAX)
		return -ERANGE;
	return str_fmt(dst, CG_LIMIT_TEXT, "%" PRIu64, v);
}

/* The kernel rounds down to pages and takes what it cannot count for "max". */
static int format_bytes(uint64_t v, char dst[CG_LIMIT_TEXT])
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (v == CG_UNLIMITED)
		return str_copy(dst, CG_LIMIT_TEXT, "max");
	if (v > (uint64_t)INT64_MAX / 2)
		return -ERANGE;
	return str_fmt(dst, CG_LIMIT_TEXT, "%" PRIu64, v - v % page);
}

static int format_count(uint64_t v, char dst[CG_LIMIT_TEXT])
{
	if (v == CG_UNLIMITED)
		return str_copy(dst, CG_LIMIT_TEXT, "max");
	return str_fmt(dst, CG_LIMIT_TEXT, "%" PRIu64, v);
}

/* The kernel counts these in 32 bits, and takes the largest for "max". */
static int format_iops(uint64_t v, char dst[CG_LIMIT_TEXT])
{
	return v != CG_UNLIMITED && v >= UINT32_MAX ? -ERANGE : format_count(v, dst);
}

/* For all disks at once: what is set for a disk alone is lost with its scheduler. */
static int format_disk_weight(uint64_t v, char dst[CG_LIMIT_TEXT])
{
	if (v < WEIGHT_MIN || v > WEIGHT_MAX)
		return -ERANGE;
	return str_fmt(dst, CG_LIMIT_TEXT, DEFAULT_WEIGHT "%" PRIu64, v);
}

/* A number that ends at one of the given characters or at the end of the text. */
static int scan(const char **text, const char *stop, uint64_t *ret)
{
	const char *end;

	if (num_scan_u64(*text, &end, ret) < 0)
		return -EBADMSG;
	if (*end != '\0' && !strchr(stop, *end))
		return -EBADMSG;
	*text = *end == '\0' ? end : end + 1;
	return 0;
}

static int parse_cores(const char *text, uint64_t *ret)
{
	bool max = str_has_prefix(text, "max ");
	uint64_t quota = 0, period;

	if (max)
		text += strlen("max ");
	else if (scan(&text, " ", &quota) < 0)
		return -EBADMSG;
	if (scan(&text, "\n", &period) < 0 || period == 0)
		return -EBADMSG;
	/* Nearest, so that a quota of ours comes back as it went. */
	if (!max && quota > (UINT64_MAX - period) / 1000)
		return -EBADMSG;
	*ret = max ? CG_UNLIMITED : (quota * 1000 + period / 2) / period;
	return 0;
}

static int parse_number(const char *text, uint64_t *ret)
{
	uint64_t v;

	if (scan(&text, "\n", &v) < 0)
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int parse_or_max(const char *text, uint64_t *ret)
{
	if (strncmp(text, "max", 3) == 0 && (text[3] == '\0' || text[3] == '\n')) {
		*ret = CG_UNLIMITED;
		return 0;
	}
	return parse_number(text, ret);
}

static int parse_disk_weight(const char *text, uint64_t *ret)
{
	if (!str_has_prefix(text, DEFAULT_WEIGHT))
		return -EBADMSG;
	return parse_number(text + strlen(DEFAULT_WEIGHT), ret);
}

static void show_cores(char dst[NUM_TEXT], uint64_t v)
{
	(void)str_fmt(dst, NUM_TEXT, "%" PRIu64 ".%03" PRIu64 " cores", v / 1000, v % 1000);
}

static void show_number(char dst[NUM_TEXT], uint64_t v)
{
	(void)str_fmt(dst, NUM_TEXT, "%" PRIu64, v);
}

static void show_rate(char dst[NUM_TEXT], uint64_t v)
{
	char bytes[NUM_TEXT];

	num_format_size_short(bytes, v);
	(void)str_fmt(dst, NUM_TEXT, "%.20s/s", bytes);
}

/* ---- the table ---- */

const struct limit_row cg_limit_rows[] = {
	[CG_LIMIT_CPU_CORES] = {"cpu.cores", "cpu", "cpu.max", format_cores, parse_cores,
				show_cores, CG_UNLIMITED, true, NULL},
	[CG_LIMIT_CPU_BURST] = {"cpu.burst", "cpu", "cpu.max.burst", format_count, parse_number,
				num_format_duration, 0, false, NULL},
	[CG_LIMIT_CPU_WEIGHT] = {"cpu.guarantee", "cpu", "cpu.weight", format_weight, parse_number,
				 show_number, 100, false, NULL},
	[CG_LIMIT_MEMORY_MAX] = {"memory.limit", "memory", "memory.max", format_bytes, parse_or_max,
				 num_format_size_short, CG_UNLIMITED, true, NULL},
	[CG_LIMIT_MEMORY_HIGH] = {"memory.high", "memory", "memory.high", format_bytes,
				  parse_or_max, num_format_size_short, CG_UNLIMITED, true, NULL},
	[CG_LIMIT_MEMORY_MIN] = {"memory.guarantee", "memory", "memory.min", format_bytes,
				 parse_or_max, num_format_size_short, 0, false, NULL},
	[CG_LIMIT_SWAP_MAX] = {"memory.swap", "memory", "memory.swap.max", format_bytes,
			       parse_or_max, num_format_size_short, CG_UNLIMITED, true, NULL},
	[CG_LIMIT_PIDS_MAX] = {"pids", "pids", "pids.max", format_count, parse_or_max, show_number,
			       CG_UNLIMITED, true, NULL},
	[CG_LIMIT_DISK_READ] = {"disk.read", "io", "io.max", format_count, parse_or_max, show_rate,
				CG_UNLIMITED, true, "rbps"},
	[CG_LIMIT_DISK_WRITE] = {"disk.write", "io", "io.max", format_count, parse_or_max,
				 show_rate, CG_UNLIMITED, true, "wbps"},
	[CG_LIMIT_DISK_READ_IOPS] = {"disk.read_iops", "io", "io.max", format_iops, parse_or_max,
				     show_number, CG_UNLIMITED, true, "riops"},
	[CG_LIMIT_DISK_WRITE_IOPS] = {"disk.write_iops", "io", "io.max", format_iops, parse_or_max,
				      show_number, CG_UNLIMITED, true, "wiops"},
	[CG_LIMIT_DISK_WEIGHT] = {"disk.weight", "io", NULL, format_disk_weight, parse_disk_weight,
				  show_number, 100, false, NULL},
};

_Static_assert(sizeof(cg_limit_rows) / sizeof(cg_limit_rows[0]) == CG_LIMIT_MAX,
	       "one row per limit");

void cg_limits_init(struct cg_limits *l)
{
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		l->value[i] = cg_limit_rows[i].initial;
}

uint64_t cg_weight_from_cores(uint64_t thousandths)
{
	uint64_t weight = thousandths / 10;

	if (weight < WEIGHT_MIN)
		return WEIGHT_MIN;
	return weight > WEIGHT_MAX ? WEIGHT_MAX : weight;
}

const char *cg_limit_name(enum cg_limit limit)
{
	return (unsigned)limit < CG_LIMIT_MAX ? cg_limit_rows[limit].name : NULL;
}

const char *cg_limit_file(enum cg_limit limit)
{
	if ((unsigned)limit >= CG_LIMIT_MAX)
		return NULL;
	return cg_limit_rows[limit].file ? cg_limit_rows[limit].file : "io.weight";
}

int cg_limit_format(enum cg_limit limit, uint64_t value, char dst[CG_LIMIT_TEXT])
{
	return (unsigned)limit < CG_LIMIT_MAX ? cg_limit_rows[limit].format(value, dst) : -EINVAL;
}

int cg_limit_parse(enum cg_limit limit, const char *text, uint64_t *ret)
{
	return (unsigned)limit < CG_LIMIT_MAX ? cg_limit_rows[limit].parse(text, ret) : -EINVAL;
}

void cg_limit_show(char dst[NUM_TEXT], const struct limit_row *row, uint64_t value)
{
	if (value == CG_UNLIMITED)
		(void)str_copy(dst, NUM_TEXT, "unlimited");
	else
		row->show(dst, value);
}
