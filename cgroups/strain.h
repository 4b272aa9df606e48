/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a cgroup is stuck at its memory limit, by what the kernel counts: the time in which
 * nothing in it got on, the pages that it had to read again, how often its own limit was in the
 * way, and what is left for files. Counters since the cgroup was made: two readings make a rate.
 * All files are the cgroup's own, opened by name below its descriptor.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* Microseconds in which all tasks that had something to do waited: "full" of memory.pressure and
 * io.pressure (Documentation/accounting/psi.rst). Time may count in both. */
struct cg_stall {
	uint64_t memory;
	uint64_t io;
};

/* -ENOENT without pressure figures, -EOPNOTSUPP where they are switched off, -ENODEV when the
 * cgroup is gone. */
int cg_stall_get(int dirfd, struct cg_stall *ret, struct err *err);
/* One of the two, from the file's text; -EBADMSG. */
int cg_stall_parse(const char *text, uint64_t *ret_usec);

struct cg_refaults {
	uint64_t pages; /* read again after they were given up: files and swap */
	uint64_t hits;	/* times that a limit of the cgroup or below it was met */
	uint64_t cache; /* bytes of files that are in memory now, but for memory file systems */
};

/* From memory.stat and memory.events; reading the former costs the kernel some ten microseconds. */
int cg_refaults_get(int dirfd, struct cg_refaults *ret, struct err *err);
/* From the texts of both files; -EBADMSG where a figure is missing. */
int cg_refaults_parse(const char *stat, const char *events, struct cg_refaults *ret);

/* Why the figures cannot be had of cgroups like that of dirfd; NULL = they can. */
const char *cg_strain_why_not(int dirfd);
