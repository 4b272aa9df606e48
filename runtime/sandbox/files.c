/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a launch: see sandbox.h. The tree is the guest's. None of its processes runs, but
 * all that it has left there is hostile: links, FIFOs, devices, directories, attributes, a full
 * disk. A file is never written in place, as another name of it may be anywhere in the tree.
 */
#include "runtime/sandbox/files.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"

/* One file on its way. */
struct place {
	const struct sbx_launch *launch;
	const struct sbx_file *file;
	int dir;	  /* that holds it */
	const char *name; /* in there */
};

/* What is in its place. */
enum found {
	FOUND_NOTHING,
	FOUND_SAME, /* ours, with the text that it should have */
	FOUND_OURS,
	FOUND_EMPTY, /* as a host leaves one that went down before the data was on its disk */
	FOUND_OTHER, /* a regular file that is not ours */
	FOUND_ALIEN, /* no regular file */
};

/* The directory, or -ENOENT. */
static int open_dir(int root, const struct sbx_file *f, const char **ret_name, struct err *err)
{
	const char *slash = strrchr(f->path, '/');
	char dir[SBX_FILE_PATH];
	int r = str_fmt(dir, sizeof(dir), "%.*s", slash ? (int)(slash - f->path) : 1,
			slash ? f->path : ".");

	if (r < 0)
		return err_set_errno(err, -r, "malformed path");
	*ret_name = slash ? slash + 1 : f->path;
	return path_open_beneath(root, dir, O_PATH | O_DIRECTORY, 0, err);
}

/* What a regular file is, by its first bytes. */
static int judge(const struct place *p, int fd, struct err *err)
{
	const char *text = p->file->text;
	size_t len = strlen(text), mark = strcspn(text, "\n") + 1, got = 0;
	char buf[SBX_FILE_TEXT + 1];

	while (got < len + 1) {
		ssize_t n = read(fd, buf + got, len + 1 - got);

		if (n < 0)
			return err_sys(err, "cannot read it");
		if (n == 0)
			break;
		got += (size_t)n;
	}
	if (got == len && memcmp(buf, text, len) == 0)
		return FOUND_SAME;
	if (got == 0)
		return FOUND_EMPTY;
	return got >= mark && memcmp(buf, text, mark) == 0 ? FOUND_OURS : FOUND_OTHER;
}

static int look(const struct place *p, struct err *err)
{
	struct stat st;

	if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? FOUND_NOTHING : err_sys(err, "cannot look at it");
	if (!S_ISREG(st.st_mode))
		return FOUND_ALIEN;
	_cleanup_close_ int fd = path_open_beneath(p->dir, p->name, O_RDONLY, 0, err);
	return fd < 0 ? fd : judge(p, fd, err);
}

/* Whether the guest never changed it: then the upper layer has none. */
static bool is_the_images(const struct place *p)
{
	char path[SBX_FILE_PATH + sizeof("upper/")];

	if (p->launch->rootfs_plain >= 0 || p->launch->upper < 0)
		return false;
	(void)str_fmt(path, sizeof(path), "upper/%s", p->file->path);
	_cleanup_close_ int fd =
		path_open_beneath(p->launch->upper, path, O_PATH | O_NOFOLLOW, 0, NULL);
	return fd == -ENOENT;
}

static int fill(const struct place *p, int fd, struct err *err)
{
	const uint32_t base = p->launch->base;
	struct stat st;
	int r = file_write_all(fd, p->file->text, strlen(p->file->text), err);

	if (r < 0)
		return r;
	/* A directory's set-group-ID bit and default ACL have their say at the creation. */
	if (fstat(fd, &st) < 0 ||
	    ((st.st_uid != base || st.st_gid != base) && fchown(fd, base, base) < 0) ||
	    fchmod(fd, p->file->mode) < 0)
		return err_sys(err, "cannot set its owner and mode");
	return 0;
}

/* The temporary name is always the same, so that one that was left behind is used again. */
static int replace(const struct place *p, struct err *err)
{
	char temporary[SBX_FILE_PATH + 16];
	int r;

	(void)str_fmt(temporary, sizeof(temporary), ".%s.vps-new", p->name);
	if (unlinkat(p->dir, temporary, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove '%s' beside it", temporary);
	_cleanup_close_ int fd = path_open_beneath(p->dir, temporary, O_WRONLY | O_CREAT | O_EXCL,
						   p->file->mode, err);
	if (fd < 0)
		return fd;
	r = fill(p, fd, err);
	if (r >= 0 && renameat(p->dir, temporary, p->dir, p->name) < 0)
		r = err_sys(err, "cannot put it into its place");
	if (r < 0)
		(void)unlinkat(p->dir, temporary, 0);
	return r;
}

static int apply(const struct place *p, struct err *err)
{
	int found = look(p, err);

	if (found < 0)
		return found;
	if (p->file->rule == SBX_FILE_REMOVE) {
		if (found != FOUND_SAME && found != FOUND_OURS)
			return 0;
		return unlinkat(p->dir, p->name, 0) < 0 ? err_sys(err, "cannot remove it") : 0;
	}
	if (found == FOUND_SAME || found == FOUND_ALIEN ||
	    (found == FOUND_OTHER && !is_the_images(p)))
		return 0;
	return replace(p, err);
}

static int write_one(const struct sbx_launch *l, int root, const struct sbx_file *f,
		     struct err *err)
{
	struct place p = {.launch = l, .file = f};
	_cleanup_close_ int dir = open_dir(root, f, &p.name, err);

	/* No directory, or a link or a file in its place: the guest does not want it. */
	if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP) {
		if (err)
			*err = ERR_INIT;
		return 0;
	}
	if (dir < 0)
		return dir;
	p.dir = dir;
	return apply(&p, err);
}

int sbx_files_write(const struct sbx_launch *l, int root, struct err *err)
{
	int first = 0;

	for (unsigned i = 0; i < l->n_files; i++) {
		int r = write_one(l, root, &l->files[i], first < 0 ? NULL : err);

		if (r < 0 && first == 0) {
			first = r;
			if (err)
				(void)err_ctx(err, "cannot write '/%s'", l->files[i].path);
		}
	}
	return first;
}
