/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the host's kernel that no limit of a guest replaces: what they count is one pool for
 * all guests, so a low value lets one guest take what the others need.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYSCTL_ROOT "/proc/sys"

enum sysctl_id {
	SYSCTL_PTY_MAX,
	SYSCTL_AIO_MAX_NR,
	SYSCTL_CORE_PIPE_LIMIT,
	SYSCTL_MAX,
};

struct sysctl_status {
	const char *name; /* "kernel.pty.max" */
	const char *why;  /* what a smaller value lets a guest do */
	uint64_t wanted;  /* at least */
	uint64_t value;
	bool is_known; /* value was read; false where this kernel has no such file */
	bool is_good;
};

/* Reads all below 'proc_sys', SYSCTL_ROOT or a directory like it. What this kernel does not have is
 * not known, and good: there is nothing to set. Never fails. */
void sysctls_read(const char *proc_sys, struct sysctl_status ret[SYSCTL_MAX]);
/* A warning in the log for each that is not good. */
void sysctls_warn(void);
