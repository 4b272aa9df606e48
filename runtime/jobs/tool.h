/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that jobs run: ssh-keygen, mmdebstrap. */
#pragma once

#include "base/err.h"

/*
 * Runs a program found in the fixed PATH and waits for it. argv holds literals and validated values
 * only; no shell. Its directory is cwd_fd, stdin is empty, stdout and stderr go to our stderr,
 * the environment is fixed but for the proxy variables. It dies with us, a cancelled job ends it
 * by SIGTERM and 3 s later by SIGKILL, and what it leaves in its process group is killed.
 * -EOPNOTSUPP: not installed; -ECHILD: it failed; -ECANCELED.
 */
int tool_run(const char *const argv[], int cwd_fd, struct err *err);
