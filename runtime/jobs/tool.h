/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that jobs run: ssh-keygen, mmdebstrap. */
#pragma once

#include "base/err.h"

enum tool_flags {
	/* In a mount namespace of its own, where /tmp is the directory cwd_fd: it leaves no mounts
	 * and nothing in the host's /tmp, however it ends. Needs root. */
	TOOL_OWN_TMP = 1u << 0,
};

/*
 * Runs a program found in the fixed PATH and waits for it. argv holds literals and validated values
 * only; no shell. Its directory is cwd_fd, stdin is empty, stdout and stderr go to our stderr,
 * the environment is fixed but for the proxy variables and SOURCE_DATE_EPOCH. It dies with us, a
 * cancelled job ends it by SIGTERM and 3 s later by SIGKILL, whatever it was doing then, and what
 * it leaves in its process group is killed. SIGTERM and SIGINT are blocked meanwhile but while it
 * waits.
 * -EOPNOTSUPP: not installed; -ECHILD: it failed; -ECANCELED.
 */
int tool_run(const char *const argv[], int cwd_fd, enum tool_flags flags, struct err *err);
