/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of a launch or join under way. */
#pragma once

#include "base/msg.h"
#include "runtime/sandbox/sandbox.h"

/* Forks a helper that is connected by a record socket: 0 in the helper, with its end in *ret_sock;
 * in the caller the pid, with a non-blocking end. The helper is born in 'cgroup' when >= 0. */
pid_t sbx_helper_fork(int cgroup, int *ret_sock, int *ret_pidfd, struct err *err);
/* Receives what is there: 0 = STARTED is in *m, -EAGAIN = not yet, other negative = failed and the
 * child killed. */
int sbx_pending_receive(struct sbx_pending *p, struct msg *m, struct err *err);
