/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount API. No other file calls mount(2) and its relatives. Mounts are made detached, as fds,
 * and attached by move_mount(2) to a directory fd, so that no path is resolved twice. Fds are
 * O_CLOEXEC. Errors are translated into what an operator can act on.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* One option of a file system; a NULL value is a flag. */
struct sbx_mount_option {
	const char *key;
	const char *value;
};

#define SBX_MOUNT_OPTIONS_MAX 16

/* Makes a new mount of a new superblock; options end with a NULL key. attrs are MOUNT_ATTR_*.
 * Returns a detached mount. */
int sbx_mount_new(const char *type, const struct sbx_mount_option *options, uint64_t attrs,
		  struct err *err);
/* A detached copy of the mount at dirfd/path ("" = dirfd itself), without what is mounted below.
 * The source must be attached in the caller's mount namespace (Linux 6.1). */
int sbx_mount_clone(int dirfd, const char *path, struct err *err);
/* Adds attributes to a mount and makes it private; userns >= 0 also maps its ids by that user
 * namespace. */
int sbx_mount_set(int mnt, uint64_t attrs, int userns, struct err *err);
/* Attaches a detached mount at dirfd/path ("" = dirfd itself); symlinks at the end are not
 * followed. */
int sbx_mount_attach(int mnt, int dirfd, const char *path, struct err *err);
/* A mount namespace of its own for the caller, cut off from all propagation. */
int sbx_mount_unshare(struct err *err);
/* Makes the mount 'root' the root of the caller's mount namespace, and of every process that has
 * the same root, and drops the old root with everything below it. The caller's cwd becomes "/". */
int sbx_mount_pivot(int root, struct err *err);
