/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage of one cgroup. A reader keeps the kernel files open, so that a sample is a handful of
 * pread(2); a file that is not there (controller missing, older kernel) leaves its fields at 0 and
 * their bit out of 'present'.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* One file each; bit N of struct cg_stats.present. */
enum cg_stats_file {
	CG_STATS_CPU, /* cpu.stat */
	CG_STATS_MEMORY_CURRENT,
	CG_STATS_MEMORY_PEAK, /* 5.19 and later */
	CG_STATS_SWAP,
	CG_STATS_MEMORY, /* memory.stat */
	CG_STATS_MEMORY_EVENTS,
	CG_STATS_PIDS,
	CG_STATS_IO, /* io.stat */
	CG_STATS_PSI_CPU,
	CG_STATS_PSI_MEMORY,
	CG_STATS_PSI_IO,
	CG_STATS_EVENTS, /* cgroup.events */
	CG_STATS_MAX,
};

struct cg_psi {
	uint32_t some_avg10; /* hundredths of a per cent */
	uint32_t full_avg10;
};

struct cg_stats {
	uint32_t present; /* bits 1u << enum cg_stats_file */
	uint64_t usage_usec, user_usec, system_usec;
	uint64_t nr_periods, nr_throttled,
		throttled_usec; /* present only with the cpu controller, else 0 */
	uint64_t memory_current, memory_peak, swap_current; /* bytes */
	uint64_t anon, file, kernel;			    /* bytes, of memory.stat */
	uint64_t oom_kill;
	uint64_t pids_current;
	uint64_t io_read_bytes, io_write_bytes, io_read_ops, io_write_ops; /* over all disks */
	struct cg_psi psi_cpu, psi_memory, psi_io;
	bool populated, frozen;
};

struct cg_stats_reader {
	int fd[CG_STATS_MAX]; /* -1 = not there */
};

#define CG_STATS_READER_INIT                                                                       \
	((struct cg_stats_reader){.fd = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}})
#define _cleanup_cg_stats_reader_ _cleanup_(cg_stats_reader_done)

/* Opens the files of the cgroup of dirfd; missing ones are no error. */
int cg_stats_reader_open(int dirfd, struct cg_stats_reader *ret, struct err *err);
void cg_stats_reader_done(struct cg_stats_reader *r);
/* Takes a sample. -ENODEV when the cgroup is gone. */
int cg_stats_read(const struct cg_stats_reader *r, struct cg_stats *ret, struct err *err);
/* Parses the text of one file into its fields. Unknown lines are skipped (kernels add some);
 * -EBADMSG when a known one is malformed, with s unchanged. */
int cg_stats_parse(enum cg_stats_file file, const char *text, struct cg_stats *s);
static inline bool cg_stats_has(const struct cg_stats *s, enum cg_stats_file file)
{
	return s->present & 1u << file;
}
