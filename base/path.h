/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe paths: the only way into a tree that somebody else can write. Everything is resolved with
 * openat2(2) below a directory fd. Fds are O_CLOEXEC.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* Opens 'path' below dirfd; no component may be a symlink, no magic links, no leaving dirfd, no
 * crossing of mounts (openat2: BENEATH|NO_SYMLINKS|NO_MAGICLINKS|NO_XDEV). Returns an fd. */
int path_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *err);
/* The same, with symlinks resolved as if dirfd were "/" (IN_ROOT|NO_MAGICLINKS). For reading from a
 * root filesystem that nobody changes meanwhile. */
int path_open_in_root(int dirfd, const char *path, int flags, mode_t mode, struct err *err);
/* Makes all missing directories of a relative path below dirfd and returns an O_PATH fd of the
 * last. Existing components must be real directories. */
int path_mkdirs_beneath(int dirfd, const char *path, mode_t mode, struct err *err);
/* Opens (O_DIRECTORY|O_RDONLY) an absolute directory of the host that is ours. */
int path_open_dir(const char *path, struct err *err);
/* mkdir -p of an absolute path of ours on the host; returns the fd of the last. */
int path_make_dir(const char *path, mode_t mode, struct err *err);
/* Removes dirfd/name and all below it: never follows a symlink, never crosses a mount, keeps at
 * most a bounded number of fds. A missing name is success. */
int path_remove_tree(int dirfd, const char *name, struct err *err);
/* True when path is relative, has no empty, "." or ".." component, and is shorter than PATH_MAX. */
bool path_is_plain_relative(const char *path);
