/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a cgroup is stuck at its memory limit, by what the kernel counts: the time in which
 * nothing in it got on for want of memory, the pages that it had to read again, and how often its
 * own limit was in the way. Counters since the cgroup was made: two readings make a rate. All files
 * are the cgroup's own, opened by name below its descriptor.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* Microseconds in which all tasks that had something to do waited for memory: "full" of
 * memory.pressure (Documentation/accounting/psi.rst). -ENOENT without the controller or pressure
 * figures, -EOPNOTSUPP where they are switched off, -ENODEV when the cgroup is gone. */
int cg_stall_get(int dirfd, uint64_t *ret_usec, struct err *err);
/* The same from the file's text; -EBADMSG. */
int cg_stall_parse(const char *text, uint64_t *ret_usec);

struct cg_refaults {
	uint64_t pages; /* read again soon after they were given up: files and swap */
	uint64_t hits;	/* times that a limit of the cgroup or below it was met */
};

/* From memory.stat and memory.events; reading the former costs the kernel some ten microseconds. */
int cg_refaults_get(int dirfd, struct cg_refaults *ret, struct err *err);
/* From the texts of both files; -EBADMSG where a figure is missing. */
int cg_refaults_parse(const char *stat, const char *events, struct cg_refaults *ret);

/* Why the figures cannot be had of cgroups like that of dirfd; NULL = they can. */
const char *cg_strain_why_not(int dirfd);
