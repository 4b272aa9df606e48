/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that cannot be mistaken for another: pid, start time (clock ticks since boot, field 22
 * of /proc/PID/stat, see proc(5)) and a pidfd where one is held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"

struct pidref {
	pid_t pid;	/* 0 = none */
	uint64_t start; /* clock ticks since boot */
	int fd;		/* pidfd, owned; -1 = not held */
};

#define PIDREF_INIT ((struct pidref){.pid = 0, .start = 0, .fd = -1})
#define _cleanup_pidref_ _cleanup_(pidref_done)

void pidref_done(struct pidref *p);
/* Opens a pidfd, reads the start time, checks that both belong to one process. -ESRCH if gone. */
int pidref_open(pid_t pid, struct pidref *ret, struct err *err);
/* As above, and -ESRCH unless the start time is 'start' (a recycled pid). */
int pidref_open_checked(pid_t pid, uint64_t start, struct pidref *ret, struct err *err);
/* pidfd_send_signal(2). */
int pidref_signal(const struct pidref *p, int signo, struct err *err);
/* Its network namespace, as an fd that the caller owns. -ESRCH, -ENOENT when it is gone. */
int pidref_open_netns(const struct pidref *p, struct err *err);
/* Start time of a pid from procfs. */
int pid_start_time(pid_t pid, uint64_t *ret, struct err *err);
/* The kernel's boot id (36 characters + NUL), random for each boot. */
int boot_id(char ret[37], struct err *err);
