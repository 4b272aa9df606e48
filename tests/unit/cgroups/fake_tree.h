/* SPDX-License-Identifier: Apache-2.0 */
/* Plain files in the place of a cgroup tree. After cmocka.h. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"

/* The whole text of a file. */
static inline void put(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), NULL), 0);
}

/* Its first line, without its end. */
static inline void expect(int dirfd, const char *name, const char *first_line)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(file_read_at(dirfd, name, 4096, &text, NULL, NULL), 0);
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, first_line);
}

/* A directory as the kernel makes it; name "" = dirfd itself. The fd is the caller's. */
static inline int fake_dir(int dirfd, const char *name)
{
	int fd;

	if (*name)
		assert_int_equal(mkdirat(dirfd, name, 0755), 0);
	fd = openat(dirfd, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	put(fd, "cgroup.controllers", "cpuset cpu io memory pids\n");
	put(fd, "cgroup.events", "populated 0\nfrozen 0\n");
	put(fd, "cpu.max", "max 100000\n");
	put(fd, "cpu.max.burst", "0\n");
	put(fd, "cpu.weight", "100\n");
	put(fd, "memory.max", "max\n");
	put(fd, "memory.high", "max\n");
	put(fd, "memory.min", "0\n");
	put(fd, "memory.swap.max", "max\n");
	put(fd, "memory.current", "1048576\n");
	put(fd, "pids.max", "max\n");
	put(fd, "io.max", "");
	put(fd, "io.weight", "default 100\n");
	return fd;
}
