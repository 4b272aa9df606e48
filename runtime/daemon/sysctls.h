/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the host's kernel that no limit of a guest replaces. What the first ones count is one
 * pool for all guests, so a low value lets one guest take what the others need. The others count
 * for each instance by itself, as its user namespace is its own base uid's: the host's value is the
 * ceiling of each, and root inside can only lower it for the users below (user_namespaces(7),
 * /proc/sys/user).
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
	SYSCTL_INOTIFY_INSTANCES,
	SYSCTL_INOTIFY_WATCHES,
	SYSCTL_FANOTIFY_GROUPS,
	SYSCTL_FANOTIFY_MARKS,
	SYSCTL_USER_NAMESPACES,
	SYSCTL_PID_NAMESPACES,
	SYSCTL_MNT_NAMESPACES,
	SYSCTL_NET_NAMESPACES,
	SYSCTL_IPC_NAMESPACES,
	SYSCTL_UTS_NAMESPACES,
	SYSCTL_CGROUP_NAMESPACES,
	SYSCTL_TIME_NAMESPACES,
	SYSCTL_MAX,
};

struct sysctl_status {
	const char *name; /* "kernel.pty.max" */
	const char *why;  /* what a smaller value lets a guest do */
	uint64_t wanted;  /* at least */
	uint64_t value;
	bool is_known; /* value was read; false where this kernel has no such file */
	bool is_good;
	bool per_instance; /* counted for each instance, not for all together */
};

/* Reads all below 'proc_sys', SYSCTL_ROOT or a directory like it. What this kernel does not have is
 * not known, and good: there is nothing to set. Never fails. */
void sysctls_read(const char *proc_sys, struct sysctl_status ret[SYSCTL_MAX]);
/* A warning in the log for each that is not good. */
void sysctls_warn(void);
