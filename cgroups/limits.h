/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits of one cgroup as plain numbers: written to the kernel and read back.
 * One row per limit in limit_rows.c says its name, controller, file and format.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cgroups/disk.h"

#define CG_UNLIMITED UINT64_MAX

/* Names of the limits as the plan documents call them; a status row exists for each. */
enum cg_limit {
	CG_LIMIT_CPU_CORES,	  /* "cpu.cores"        -> cpu.max */
	CG_LIMIT_CPU_BURST,	  /* "cpu.burst"        -> cpu.max.burst */
	CG_LIMIT_CPU_WEIGHT,	  /* "cpu.guarantee"    -> cpu.weight */
	CG_LIMIT_MEMORY_MAX,	  /* "memory.limit"     -> memory.max */
	CG_LIMIT_MEMORY_HIGH,	  /* "memory.high"      -> memory.high */
	CG_LIMIT_MEMORY_MIN,	  /* "memory.guarantee" -> memory.min */
	CG_LIMIT_SWAP_MAX,	  /* "memory.swap"      -> memory.swap.max */
	CG_LIMIT_PIDS_MAX,	  /* "pids"             -> pids.max */
	CG_LIMIT_DISK_READ,	  /* "disk.read"        -> io.max, rbps of the disk */
	CG_LIMIT_DISK_WRITE,	  /* "disk.write"       -> io.max, wbps */
	CG_LIMIT_DISK_READ_IOPS,  /* "disk.read_iops"   -> io.max, riops */
	CG_LIMIT_DISK_WRITE_IOPS, /* "disk.write_iops"  -> io.max, wiops */
	CG_LIMIT_DISK_WEIGHT,	  /* "disk.weight"      -> io.weight or io.bfq.weight */
	CG_LIMIT_MAX,
};

/* Indexed by enum cg_limit. Units: cpu.cores in thousandths of a core, cpu.burst in
 * microseconds and at most the quota, weights 1..10000, memory and swap in bytes, pids in tasks,
 * disks in bytes and operations per second. CG_UNLIMITED where the file takes "max". */
struct cg_limits {
	uint64_t value[CG_LIMIT_MAX];
	const struct cg_disk *disk; /* whose limits the disk.* are; not owned. NULL = of none: they
				       are left as they are */
};

/* All unlimited, weights 100, minimum 0, no disk. */
void cg_limits_init(struct cg_limits *l);

struct cg_limit_status {
	bool effective;	     /* the kernel holds it, read back */
	uint64_t configured; /* as asked, in the unit of struct cg_limits */
	uint64_t actual;     /* as read back from the whole chain of ancestors: the tightest */
	bool is_owed;	     /* not written yet: CG_APPLY_DEFER */
	char reason[160];    /* why not effective; "" otherwise */
};

/* CPU weight of a guarantee in thousandths of a core: 100 for each core, within 1..10000. */
uint64_t cg_weight_from_cores(uint64_t thousandths);

/* "cpu.cores", ...; NULL when out of range. */
const char *cg_limit_name(enum cg_limit limit);
/* "memory.max", ...; NULL when out of range. For disk.weight "io.weight", though a disk may heed
 * another: struct cg_disk. */
const char *cg_limit_file(enum cg_limit limit);
/* The text that the kernel takes, and back. format: -ERANGE for what the file cannot hold; parse:
 * -EBADMSG. */
#define CG_LIMIT_TEXT 48
int cg_limit_format(enum cg_limit limit, uint64_t value, char dst[CG_LIMIT_TEXT]);
int cg_limit_parse(enum cg_limit limit, const char *text, uint64_t *ret);

/* Writes all limits to the cgroup of dirfd and reads each back. A limit whose controller is not
 * there is marked not effective with the reason and is no error; a limit that the kernel refuses or
 * changes is: the old values are then restored. 'status' (CG_LIMIT_MAX rows) may be NULL. */
int cg_limits_apply(int dirfd, const struct cg_limits *l, struct cg_limit_status *status,
		    struct err *err);

enum cg_apply_flags {
	CG_APPLY_FORCE = 1u << 0,    /* go below use all the same: of memory the kernel reclaims,
					then kills inside; of pids it allows no more */
	CG_APPLY_CEILINGS = 1u << 1, /* leave cpu.weight and memory.min as they are */
	CG_APPLY_CHECK = 1u << 2,    /* only say whether use stands in the way: nothing is written,
					'status' is left alone */
	CG_APPLY_DEFER = 1u << 3,    /* leave memory.max and memory.high where the kernel would have
					to reclaim within the write, for as long as that takes: they
					are marked in 'status' as owed, for somebody who has time */
};

/* As cg_limits_apply(), which has no flags: -EBUSY, with both figures in the text and nothing
 * changed, when memory.max or pids.max would go down below use. Use of memory is memory.current
 * without the clean page cache of files, which the kernel gives back at once: a busy server always
 * fills its limit with that. */
int cg_limits_apply_flags(int dirfd, const struct cg_limits *l, unsigned flags,
			  struct cg_limit_status *status, struct err *err);

/* Reads all limits from the kernel: the cgroup itself and 'depth' levels above it (".." walks are
 * made through dirfds; CG_INSTANCE_DEPTH for an instance). A ceiling's actual value is the least of
 * the chain; cpu.guarantee and memory.guarantee are the cgroup's own. With 'configured' NULL the
 * cgroup's own values stand for it. */
int cg_limits_read(int dirfd, int depth, const struct cg_limits *configured,
		   struct cg_limit_status *status, struct err *err);

/* One limit of one cgroup; -ENOENT where the file is not there. None of disk.*: -EINVAL. */
int cg_limit_get(int dirfd, enum cg_limit limit, uint64_t *ret, struct err *err);
int cg_limit_set(int dirfd, enum cg_limit limit, uint64_t value, struct err *err);
