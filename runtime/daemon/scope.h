/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guests' place in systemd's tree of cgroups: the transient scope vpsd-guests.scope, directly
 * below the top, delegated.
 *
 * Not vpsd.service's own cgroup: systemd cannot start a service again in a cgroup that has
 * controllers enabled for children, and stopping it would be stopping the guests. Below the top
 * (Slice=-.slice) because a cpuset partition needs every ancestor to be one. Not a directory of our
 * own at the top, because systemd takes controllers away from what it does not know.
 *
 * A scope lives as long as a process lives in it, and none may live in its inner cgroups. So it has
 * a leaf, <scope>/keeper, for two processes:
 * - the keeper, put there as soon as it has said its pid: it lives as long as the guests do, so it
 *   must not be in vpsd.service's cgroup either;
 * - a placeholder, a child of this process that only waits: a scope has to be made with a process
 *   before there is a keeper, and it stays when a keeper dies and no guest runs. The kernel ends it
 *   with its parent (PR_SET_PDEATHSIG). So the scope is there while vpsd, the keeper or a guest is.
 *
 * Stopping the scope would send SIGTERM to every process of every guest. RefuseManualStop=yes: only
 * the shutdown of the host stops it, after vps-guests.service (Before=) has stopped the guests.
 * What lives then is killed as any other scope's (KillMode=control-group): with "none" it would
 * live on below a cgroup that systemd takes for its own, and be killed all the same a moment later.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "cgroups/tree.h"

struct scope;

/* Finds the scope by its cgroup, or has systemd make it: over the system bus, within a time limit.
 * Success with *ret NULL: systemd does not run here, or there is no bus to speak to it (which is
 * logged). */
int scope_open(struct scope **ret, struct err *err);
/* Its cgroup, absolute; NULL for NULL. */
const char *scope_cgroup(const struct scope *s);
/* Where the scope's cgroup stands on this host, if there is one: to look below it. */
int scope_usual_cgroup(char ret[CG_PATH_MAX], struct err *err);
/* Puts the keeper into the leaf, once for each pid. For NULL, 0 and a pid that is there: nothing.
 */
void scope_put_keeper(struct scope *s, pid_t pid);
/* The scope stays. NULL is fine. */
void scope_free(struct scope *s);
