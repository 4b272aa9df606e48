/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: one row per kernel file, one row per figure in it.
 */
#include "cgroups/stats.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"
#include "cgroups/events.h"

/* memory.stat of 6.x has 1.5 KiB; io.stat about 100 bytes for each disk. What is longer is cut at a
 * line: its lines are in the kernel's order, the figures below come early. */
#define TEXT_MAX 8192

static int parse_keyed(enum cg_stats_file file, const char *text, struct cg_stats *s);
static int parse_single(enum cg_stats_file file, const char *text, struct cg_stats *s);
static int parse_io(enum cg_stats_file file, const char *text, struct cg_stats *s);
static int parse_psi(enum cg_stats_file file, const char *text, struct cg_stats *s);
static int parse_events(enum cg_stats_file file, const char *text, struct cg_stats *s);

static const struct file_row {
	const char *name;
	int (*parse)(enum cg_stats_file file, const char *text, struct cg_stats *s);
	size_t offset; /* of the field, or of struct cg_psi */
} file_rows[] = {
	[CG_STATS_CPU] = {"cpu.stat", parse_keyed, 0},
	[CG_STATS_MEMORY_CURRENT] = {"memory.current", parse_single,
				     offsetof(struct cg_stats, memory_current)},
	[CG_STATS_MEMORY_PEAK] = {"memory.peak", parse_single,
				  offsetof(struct cg_stats, memory_peak)},
	[CG_STATS_SWAP] = {"memory.swap.current", parse_single,
			   offsetof(struct cg_stats, swap_current)},
	[CG_STATS_MEMORY] = {"memory.stat", parse_keyed, 0},
	[CG_STATS_MEMORY_EVENTS] = {"memory.events", parse_keyed, 0},
	[CG_STATS_PIDS] = {"pids.current", parse_single, offsetof(struct cg_stats, pids_current)},
	[CG_STATS_IO] = {"io.stat", parse_io, 0},
	[CG_STATS_PSI_CPU] = {"cpu.pressure", parse_psi, offsetof(struct cg_stats, psi_cpu)},
	[CG_STATS_PSI_MEMORY] = {"memory.pressure", parse_psi,
				 offsetof(struct cg_stats, psi_memory)},
	[CG_STATS_PSI_IO] = {"io.pressure", parse_psi, offsetof(struct cg_stats, psi_io)},
	[CG_STATS_EVENTS] = {"cgroup.events", parse_events, 0},
};

_Static_assert(sizeof(file_rows) / sizeof(file_rows[0]) == CG_STATS_MAX, "one row per file");

/* Lines "KEY VALUE". */
static const struct key_row {
	enum cg_stats_file file;
	const char *key;
	size_t offset;
} key_rows[] = {
	{CG_STATS_CPU, "usage_usec", offsetof(struct cg_stats, usage_usec)},
	{CG_STATS_CPU, "user_usec", offsetof(struct cg_stats, user_usec)},
	{CG_STATS_CPU, "system_usec", offsetof(struct cg_stats, system_usec)},
	{CG_STATS_CPU, "nr_periods", offsetof(struct cg_stats, nr_periods)},
	{CG_STATS_CPU, "nr_throttled", offsetof(struct cg_stats, nr_throttled)},
	{CG_STATS_CPU, "throttled_usec", offsetof(struct cg_stats, throttled_usec)},
	{CG_STATS_MEMORY, "anon", offsetof(struct cg_stats, anon)},
	{CG_STATS_MEMORY, "file", offsetof(struct cg_stats, file)},
	{CG_STATS_MEMORY, "kernel", offsetof(struct cg_stats, kernel)},
	{CG_STATS_MEMORY_EVENTS, "oom_kill", offsetof(struct cg_stats, oom_kill)},
};

/* Pairs "KEY=VALUE" of io.stat, summed over the disks. */
static const struct key_row io_rows[] = {
	{CG_STATS_IO, "rbytes", offsetof(struct cg_stats, io_read_bytes)},
	{CG_STATS_IO, "wbytes", offsetof(struct cg_stats, io_write_bytes)},
	{CG_STATS_IO, "rios", offsetof(struct cg_stats, io_read_ops)},
	{CG_STATS_IO, "wios", offsetof(struct cg_stats, io_write_ops)},
};

static uint64_t *field(struct cg_stats *s, size_t offset)
{
	return (uint64_t *)(void *)((char *)s + offset);
}

static const char *next_line(const char *p)
{
	p += strcspn(p, "\n");
	return *p ? p + 1 : p;
}

/* If the text starts with the key and the separator, the place behind them. */
static const char *behind(const char *text, const char *key, char separator)
{
	size_t len = strlen(key);

	return strncmp(text, key, len) == 0 && text[len] == separator ? text + len + 1 : NULL;
}

static int scan_number(const char *p, const char *stop, const char **ret_end, uint64_t *ret)
{
	const char *end;
	uint64_t v;

	if (num_scan_u64(p, &end, &v) < 0 || (*end != '\0' && !strchr(stop, *end)))
		return -EBADMSG;
	*ret_end = end;
	*ret = v;
	return 0;
}

static int parse_keyed(enum cg_stats_file file, const char *text, struct cg_stats *s)
{
	const char *end;

	for (const char *line = text; *line; line = next_line(line))
		for (size_t i = 0; i < sizeof(key_rows) / sizeof(key_rows[0]); i++) {
			const char *p = key_rows[i].file == file
						? behind(line, key_rows[i].key, ' ')
						: NULL;

			if (p && scan_number(p, "\n", &end, field(s, key_rows[i].offset)) < 0)
				return -EBADMSG;
		}
	return 0;
}

static int parse_single(enum cg_stats_file file, const char *text, struct cg_stats *s)
{
	const char *end;

	return scan_number(text, "\n", &end, field(s, file_rows[file].offset));
}

/* "MAJ:MIN rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6", more pairs possible; a disk that was
 * never used may have no pairs at all. */
static int parse_io(enum cg_stats_file file, const char *text, struct cg_stats *s)
{
	(void)file;
	for (size_t i = 0; i < sizeof(io_rows) / sizeof(io_rows[0]); i++)
		*field(s, io_rows[i].offset) = 0;
	for (const char *p = text; *p; p += *p != '\0') {
		for (size_t i = 0; i < sizeof(io_rows) / sizeof(io_rows[0]); i++) {
			const char *v = behind(p, io_rows[i].key, '=');
			uint64_t *sum = field(s, io_rows[i].offset), one;

			if (!v)
				continue;
			if (scan_number(v, " \n", &p, &one) < 0 ||
			    __builtin_add_overflow(*sum, one, sum))
				return -EBADMSG;
			break;
		}
		p += strcspn(p, " \n");
	}
	return 0;
}

/* "12.34" to 1234; at most 100.00 is meant, a bit more is rounding. */
static int parse_percent(const char *p, uint32_t *ret)
{
	const char *end;
	uint64_t whole, cents;

	if (num_scan_u64(p, &end, &whole) < 0 || *end != '.' || whole > 1000)
		return -EBADMSG;
	p = end + 1;
	if (scan_number(p, " \n", &end, &cents) < 0 || end != p + 2)
		return -EBADMSG;
	*ret = (uint32_t)(whole * 100 + cents);
	return 0;
}

static int parse_psi(enum cg_stats_file file, const char *text, struct cg_stats *s)
{
	struct cg_psi *psi = (struct cg_psi *)(void *)((char *)s + file_rows[file].offset);

	for (const char *line = text; *line; line = next_line(line)) {
		const char *some = behind(line, "some avg10", '=');
		const char *full = behind(line, "full avg10", '=');

		if ((some && parse_percent(some, &psi->some_avg10) < 0) ||
		    (full && parse_percent(full, &psi->full_avg10) < 0))
			return -EBADMSG;
	}
	return 0;
}

static int parse_events(enum cg_stats_file file, const char *text, struct cg_stats *s)
{
	struct cg_events e;

	(void)file;
	if (cg_events_parse(text, &e) < 0)
		return -EBADMSG;
	s->populated = e.populated;
	s->frozen = e.frozen;
	return 0;
}

int cg_stats_parse(enum cg_stats_file file, const char *text, struct cg_stats *s)
{
	struct cg_stats copy = *s;

	if ((unsigned)file >= CG_STATS_MAX)
		return -EINVAL;
	if (file_rows[file].parse(file, text, &copy) < 0)
		return -EBADMSG;
	copy.present |= 1u << file;
	*s = copy;
	return 0;
}

int cg_stats_reader_open(int dirfd, struct cg_stats_reader *ret, struct err *err)
{
	_cleanup_cg_stats_reader_ struct cg_stats_reader r = CG_STATS_READER_INIT;

	for (int i = 0; i < CG_STATS_MAX; i++) {
		r.fd[i] = openat(dirfd, file_rows[i].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (r.fd[i] < 0 && errno != ENOENT)
			return err_sys(err, "cannot open '%s'", file_rows[i].name);
	}
	*ret = r;
	r = CG_STATS_READER_INIT;
	return 0;
}

void cg_stats_reader_done(struct cg_stats_reader *r)
{
	for (int i = 0; i < CG_STATS_MAX; i++)
		cleanup_close(&r->fd[i]);
	*r = CG_STATS_READER_INIT;
}

/* The file's text, cut behind its last whole line when it is longer. */
static ssize_t read_text(int fd, char dst[TEXT_MAX])
{
	ssize_t n = pread(fd, dst, TEXT_MAX - 1, 0);

	if (n < 0)
		return -errno;
	if (n == TEXT_MAX - 1)
		while (n > 0 && dst[n - 1] != '\n')
			n--;
	dst[n] = '\0';
	return n;
}

int cg_stats_read(const struct cg_stats_reader *r, struct cg_stats *ret, struct err *err)
{
	struct cg_stats s = {0};
	char text[TEXT_MAX];

	for (int i = 0; i < CG_STATS_MAX; i++) {
		ssize_t n;

		if (r->fd[i] < 0)
			continue;
		n = read_text(r->fd[i], text);
		/* Pressure can be switched off for a cgroup, or by psi=0 at boot. */
		if (n == -EOPNOTSUPP)
			continue;
		if (n < 0)
			return err_set_errno(err, (int)-n, "cannot read '%s'", file_rows[i].name);
		if (cg_stats_parse((enum cg_stats_file)i, text, &s) < 0)
			return err_set(err, EBADMSG, "cannot understand '%s'", file_rows[i].name);
	}
	*ret = s;
	return 0;
}
