/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which CPUs a cgroup has (Documentation/admin-guide/cgroup-v2.rst, "Cpuset"). Sets are cpu_set_t
 * (CPU_SET(3)); in text they are lists as the kernel writes them, "0-3,5".
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define CG_CPUS_TEXT 1024 /* what cg_cpus_format() needs at most for any set met in practice */

/* "0-3,5", "" for no CPU. -ERANGE when it does not fit. */
int cg_cpus_format(const cpu_set_t *cpus, char *dst, size_t size);
/* The same backwards; a newline may follow. -EBADMSG when it is no list, -ERANGE for a CPU that a
 * cpu_set_t does not hold. */
int cg_cpus_parse(const char *text, cpu_set_t *ret);

/* The CPUs that the cgroup of dirfd may use now (cpuset.cpus.effective). -ENOENT without the
 * controller. */
int cg_cpus_effective(int dirfd, cpu_set_t *ret, struct err *err);
/* What was asked for (cpuset.cpus); no CPU = it takes what its parent has. */
int cg_cpus_get(int dirfd, cpu_set_t *ret, struct err *err);
/* Gives it these CPUs; its processes move at once. Both files are read back: -EIO when the kernel
 * holds something else, or leaves it without one of them. No CPU = those of its parent, which the
 * kernel refuses (-ENOSPC) while processes live below it. */
int cg_cpus_set(int dirfd, const cpu_set_t *cpus, struct err *err);

/* Makes it a partition of these CPUs, or changes those of one: nobody else runs on them then
 * (cpuset.cpus.partition). Its parent must be a partition that has them, and no sibling may name
 * one of them. -EIO with the kernel's reason when that is not so; it is as before then. */
int cg_partition_set(int dirfd, const cpu_set_t *cpus, struct err *err);
/* Whether it is one, and a valid one. */
bool cg_partition_is(int dirfd);
/* Gives them back: an ordinary cgroup that may use these CPUs, as far as its parent has them. */
int cg_partition_clear(int dirfd, const cpu_set_t *cpus, struct err *err);
