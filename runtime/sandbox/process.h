/* SPDX-License-Identifier: Apache-2.0 */
/* What a new process inherits from its parent, and how it gets rid of it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"

/* clone3(2) as a fork: returns 0 in the child, the pid in the parent. The child's exit signal is 0.
 * flags are CLONE_*; cgroup >= 0 is the directory to be born in. With ret_pidfd the parent gets a
 * pidfd. Errors are translated into the operator's words. */
pid_t sbx_fork(uint64_t flags, int cgroup, int *ret_pidfd, struct err *err);
/* Closes all fds above 2 that are not in 'keep' (-1 entries are skipped; keep is reordered). */
int sbx_close_others(int *keep, size_t n, struct err *err);
/* Signals, scheduling, personality and OOM score as of a process that nobody has touched, and not
 * dumpable: a tracer would need CAP_SYS_PTRACE on the host, even after a user namespace is joined.
 */
int sbx_process_reset(struct err *err);
/* Sets all resource limits. A caller without CAP_SYS_RESOURCE (in a container, say) cannot raise a
 * hard limit, and keeps a lower one; with it each limit is set as given, or the call fails. */
int sbx_process_limits(const struct rlimit limits[RLIM_NLIMITS], struct err *err);
/* Takes the given host ids, without supplementary groups, and keeps the capabilities in effect. */
int sbx_process_identity(uid_t uid, gid_t gid, struct err *err);
/* A session keyring of its own: keyrings are not namespaced. */
int sbx_process_keyring(struct err *err);
void sbx_process_kill(int pidfd);
