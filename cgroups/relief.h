/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting memory back from a cgroup that does not get on by itself. Both calls may take long (many
 * processes, much to reclaim): they are for a job, never for an event loop.
 *
 * One process is killed as the kernel's own out-of-memory killer would choose it. Lowering
 * memory.max for a moment would make the kernel choose, but it takes the page cache first, kills on
 * until use is below the new limit, and does not spare the guest's init (mm/memcontrol.c,
 * memory_max_write()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct cg_victim {
	pid_t pid;	/* on the host */
	uint64_t bytes; /* what it held: resident, swapped out, page tables */
	char name[64];	/* its own choice: escaped */
};

/* How much is won by ending a process, as oom_badness() of mm/oom_kill.c counts within a limit of
 * 'limit' bytes: what it holds, and its oom_score_adj in thousandths of the limit on top. 'status'
 * is the text of /proc/PID/status. 0 = it must not or need not be killed: no memory of its own, or
 * oom_score_adj -1000. *ret_bytes gets what it holds. */
uint64_t cg_victim_points(const char *status, int64_t oom_score_adj, uint64_t limit,
			  uint64_t *ret_bytes);

/* Kills the one with the most points of all processes below dirfd, but never 'init' (the guest's,
 * a pid of the host). The process is held by a pidfd, and then seen in the cgroup again, so that it
 * cannot be another one of the same number. -ESRCH when there is nobody to kill. memory.oom.group
 * is the guest's own file and is not asked. */
int cg_victim_kill(int dirfd, pid_t init, struct cg_victim *ret, struct err *err);

/* Asks the kernel to reclaim so many bytes, in small steps; *ret_bytes is by how much use went down
 * (others go on using it meanwhile). 'is_over' (may be NULL) is asked between the steps.
 * -EOPNOTSUPP before Linux 5.19. */
int cg_reclaim(int dirfd, uint64_t bytes, bool (*is_over)(void), uint64_t *ret_bytes,
	       struct err *err);
