/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: read with a limit, write to kernel files, replace atomically. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Reads dirfd/path whole (heap, NUL added behind, free(3)); -EFBIG when longer than max. Refuses
 * anything but a regular file (kernel files are regular). dirfd may be AT_FDCWD. */
int file_read_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len,
		 struct err *err);
/* As above from an open fd, from its beginning. */
int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len, struct err *err);
/* Reads a short kernel file into buf, NUL-terminated, trailing newline cut; returns its length. */
ssize_t file_read_short_at(int dirfd, const char *path, char *buf, size_t size, struct err *err);
/* One write(2) of text to an existing (kernel) file; never creates. */
int file_write_at(int dirfd, const char *path, const char *text, struct err *err);
/* Replaces dirfd/name atomically and durably: temporary file, fsync, rename, fsync of dirfd. On
 * failure the old file is untouched and nothing is left behind. */
int file_replace_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct err *err);
/* write(2) until all is out. */
int file_write_all(int fd, const void *data, size_t len, struct err *err);
/* A sealed memfd with the given content, read-only for all. */
int file_memfd(const char *name, const void *data, size_t len, struct err *err);
