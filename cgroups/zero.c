/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huge pages, RDMA handles and misc resources are no part of a plan and not counted by the memory
 * controller: all guests together get none. The bound stands above all of them once; the kernel
 * charges every ancestor. What was written is read back.
 */
#include "cgroups/zero.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "cgroups/names.h"

#define FILE_MAX 65536

/* Whether the file holds a line that is exactly that. */
static int check_line(int dirfd, const char *file, const char *line, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *held;
	int r = file_read_at(dirfd, file, FILE_MAX, &text, NULL, err);

	if (r < 0)
		return r;
	rest = text;
	while ((held = strsep(&rest, "\n")))
		if (str_eq(held, line))
			return 0;
	return err_set(err, EIO, "cannot set '%s' to '%s': the kernel does not hold it", file,
		       line);
}

static int write_checked(int dirfd, const char *file, const char *line, struct err *err)
{
	int r = file_write_at(dirfd, file, line, err);

	return r < 0 ? r : check_line(dirfd, file, line, err);
}

/* One file for each size of page: hugetlb.2MB.max, hugetlb.2MB.rsvd.max. */
static int zero_hugetlb(int dirfd, struct err *err)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return err_sys(err, "cannot list a cgroup");
	(void)take_fd(&fd);
	while ((errno = 0, e = readdir(d))) {
		int r;

		if (!str_has_prefix(e->d_name, "hugetlb.") || !str_has_suffix(e->d_name, ".max"))
			continue;
		r = write_checked(dirfd, e->d_name, "0", err);
		if (r < 0)
			return r;
	}
	return errno ? err_sys(err, "cannot list a cgroup") : 0;
}

/* A file of lines "NAME VALUE...": one write for each name. */
static int zero_lines(int dirfd, const char *file, const char *zero, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;
	int r = file_read_at(dirfd, file, FILE_MAX, &text, NULL, err);

	if (r == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char value[128];

		line[strcspn(line, " ")] = '\0';
		if (!*line)
			continue;
		if (str_fmt(value, sizeof(value), "%s %s", line, zero) < 0)
			return err_set(err, ENAMETOOLONG, "cannot set '%s' of '%s'", file, line);
		r = write_checked(dirfd, file, value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int cg_zero_controllers(int dirfd, struct err *err)
{
	int r = zero_hugetlb(dirfd, err);

	if (r == 0)
		r = zero_lines(dirfd, "rdma.max", "hca_handle=0 hca_object=0", err);
	if (r == 0)
		r = zero_lines(dirfd, "misc.max", "0", err);
	return r;
}
