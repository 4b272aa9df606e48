/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/cpuinfo of a machine that has some of this one's CPUs online and all others offline. Pure:
 * from the text of the whole machine. The CPUs keep their numbers.
 */
#pragma once

#include <sched.h>

#include "base/str.h"

/* Appends to ret (empty before) what 'machine' says of these CPUs, and all that it says of none in
 * particular. -ENOENT: it says nothing of one of them; -EBADMSG: it names no CPU at all, so it is
 * in a form that is not known here; -ENOMEM. */
int cpuinfo_make(const char *machine, const cpu_set_t *cpus, struct sbuf *ret);
