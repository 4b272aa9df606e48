/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe paths. The trees below are written by guests, also while we walk them: a component can
 * become a symlink, a FIFO, a mount or another directory between any two calls. So each step starts
 * from an fd, and what an fd is gets checked after it was opened, never before.
 */
#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

/* EAGAIN means that a rename happened anywhere on the system meanwhile (openat2(2)). */
#define OPEN_TRIES 64

#define RESOLVE_BENEATH_ALL                                                                        \
	(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

static int open_resolved(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve};

	/* openat2 refuses a mode that is not used, and flags beside O_PATH that open(2) ignores.
	 * O_NONBLOCK: a guest's FIFO, or its lease on a file, must not stop us. */
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode;
	if (!(flags & O_PATH))
		how.flags |= O_NOCTTY | O_NONBLOCK;
	for (int i = 0;; i++) {
		long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if ((errno != EINTR && errno != EAGAIN) || i >= OPEN_TRIES)
			return -errno;
	}
}

/* The kernel's surprises in words. */
static int open_failed(struct err *err, int code, const char *path)
{
	if (code == ELOOP)
		return err_set(err, code, "cannot open '%s': a symbolic link is in the way", path);
	if (code == EXDEV)
		return err_set(err, code,
			       "cannot open '%s': it leads out of its directory or mount", path);
	return err_set_errno(err, code, "cannot open '%s'", path);
}

int path_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *err)
{
	int fd = open_resolved(dirfd, path, flags, mode, RESOLVE_BENEATH_ALL);

	return fd < 0 ? open_failed(err, -fd, path) : fd;
}

int path_open_in_root(int dirfd, const char *path, int flags, mode_t mode, struct err *err)
{
	int fd = open_resolved(dirfd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

	return fd < 0 ? open_failed(err, -fd, path) : fd;
}

bool path_is_plain_relative(const char *path)
{
	size_t n = path ? strlen(path) : 0;

	if (n == 0 || n >= PATH_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len == 0 || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
	}
}

/* Makes one directory if it is missing, and enters it. */
static int make_and_enter(int dirfd, const char *name, int flags, mode_t mode, struct err *err)
{
	int fd;

	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make directory '%s'", name);
	fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
	if (fd < 0 && errno == ENOTDIR)
		return err_set(err, ENOTDIR, "cannot make directory '%s': something else is there",
			       name);
	return fd < 0 ? err_sys(err, "cannot enter directory '%s'", name) : fd;
}

/* Makes the directories of path one by one from 'at', which is consumed; flags are O_NOFOLLOW or 0.
 */
static int make_each(int at, const char *path, int flags, mode_t mode, struct err *err)
{
	_cleanup_close_ int fd = at;

	while (*path) {
		char name[NAME_MAX + 1];
		size_t len = strcspn(path, "/");
		int next;

		if (len > NAME_MAX)
			return err_set(err, ENAMETOOLONG, "cannot make directory: name too long");
		memcpy(name, path, len);
		name[len] = '\0';
		path += len + (path[len] == '/');
		if (len == 0 || str_eq(name, "."))
			continue;
		next = make_and_enter(fd, name, flags, mode, err);
		if (next < 0)
			return next;
		(void)close(fd);
		fd = next;
	}
	return take_fd(&fd);
}

int path_mkdirs_beneath(int dirfd, const char *path, mode_t mode, struct err *err)
{
	int start, r;

	if (!path_is_plain_relative(path))
		return err_set(err, EINVAL, "cannot make directory '%s': not a plain relative path",
			       path);
	start = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (start < 0)
		return err_sys(err, "cannot open the directory for '%s'", path);
	r = make_each(start, path, O_NOFOLLOW, mode, err);
	if (r < 0 && err)
		(void)err_ctx(err, "'%s'", path);
	return r;
}

int path_open_dir(const char *path, struct err *err)
{
	int fd;

	if (path[0] != '/')
		return err_set(err, EINVAL, "cannot open directory '%s': not an absolute path",
			       path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open directory '%s'", path) : fd;
}

int path_make_dir(const char *path, mode_t mode, struct err *err)
{
	_cleanup_close_ int last = -1;
	int root, fd;

	if (path[0] != '/' || strstr(path, "/../") || str_has_suffix(path, "/.."))
		return err_set(err, EINVAL, "cannot make directory '%s': not a plain absolute path",
			       path);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "cannot open directory '/'");
	last = make_each(root, path, 0, mode, err);
	if (last < 0) {
		if (err)
			(void)err_ctx(err, "'%s'", path);
		return last;
	}
	fd = openat(last, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open directory '%s'", path) : fd;
}

/*
 * Removal of a tree. A stack of levels on the heap, so that depth costs no C stack; only the
 * REMOVE_OPEN_MAX lowest levels hold an open directory, so that depth costs no fds. A level that
 * was closed is opened again through the ".." of its child, and is used only if device and inode
 * are those of the level: a directory that was moved meanwhile leads elsewhere. In that case the
 * walk starts anew from the top.
 */
#define REMOVE_OPEN_MAX 32
#define REMOVE_RESTARTS 16
#define REMOVE_PASSES 16

struct level {
	DIR *dir;   /* NULL = closed meanwhile */
	char *name; /* in the level above */
	dev_t dev;
	ino_t ino;
	int passes; /* full readings of the directory so far */
};

struct removal {
	int dirfd;	  /* borrowed: holds the top */
	const char *name; /* of the top in dirfd */
	struct level *levels;
	size_t n, cap;
	struct err *err;
};

static void level_done(struct level *l)
{
	if (l->dir)
		(void)closedir(l->dir);
	free(l->name);
	*l = (struct level){0};
}

static void removal_unwind(struct removal *rm)
{
	while (rm->n > 0)
		level_done(&rm->levels[--rm->n]);
}

static void removal_done(struct removal *rm)
{
	removal_unwind(rm);
	free(rm->levels);
	rm->levels = NULL;
}

static int remove_failed(struct removal *rm, int code, const char *name)
{
	if (code == EBUSY || code == EXDEV)
		return err_set(rm->err, EBUSY, "cannot remove '%s' of '%s': it is a mount point",
			       name, rm->name);
	return err_set_errno(rm->err, code, "cannot remove '%s' of '%s'", name, rm->name);
}

/* The fd of the level that is worked on; the directory that holds the top when there is none. */
static int removal_fd(const struct removal *rm)
{
	return rm->n > 0 ? dirfd(rm->levels[rm->n - 1].dir) : rm->dirfd;
}

/* Gives the owner (us, when we are not root) all rights on a directory that may not even be read.
 * An O_PATH fd needs no rights on the directory; fchmod(2) refuses one, its name in /proc does not.
 */
static void make_accessible(int at, const char *name)
{
	_cleanup_close_ int fd =
		open_resolved(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_BENEATH_ALL);
	char link[32];

	if (fd < 0)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	(void)chmod(link, 0700);
}

/* Removes one name if that needs no descent. 0 = gone, -ENOTEMPTY = a directory with content. */
static int remove_entry(struct removal *rm, const char *name, bool likely_dir)
{
	int at = removal_fd(rm);
	bool opened_up = false;

	for (int i = 0; i < REMOVE_PASSES; i++) {
		int code;

		/* Where the directory's own mode forbids us to change it; the retry tells. */
		if (opened_up)
			(void)fchmod(at, 0700);
		if (unlinkat(at, name, likely_dir ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
			return 0;
		code = errno;
		if (code == EISDIR)
			likely_dir = true;
		else if (code == ENOTDIR && likely_dir)
			likely_dir = false;
		else if (code == ENOTEMPTY || code == EEXIST)
			return -ENOTEMPTY;
		else if (code == EACCES && rm->n > 0 && !opened_up)
			opened_up = true;
		else
			return remove_failed(rm, code, name);
	}
	return remove_failed(rm, EAGAIN, name);
}

/* Goes down into a directory of the level that is worked on. 0 also when it is gone by now. */
static int descend(struct removal *rm, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	int at = removal_fd(rm);
	_cleanup_close_ int fd = open_resolved(at, name, flags, 0, RESOLVE_BENEATH_ALL);
	struct level *l;
	struct stat st;

	if (fd == -EACCES) {
		make_accessible(at, name);
		fd = open_resolved(at, name, flags, 0, RESOLVE_BENEATH_ALL);
	}
	/* Gone, or something else than a directory by now: the next pass sees to it. */
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return remove_failed(rm, -fd, name);
	if (fstat(fd, &st) < 0)
		return remove_failed(rm, errno, name);
	if (rm->n == rm->cap) {
		size_t cap = rm->cap ? rm->cap * 2 : 64;
		struct level *p = reallocarray(rm->levels, cap, sizeof(*p));

		if (!p)
			return remove_failed(rm, ENOMEM, name);
		rm->levels = p;
		rm->cap = cap;
	}
	l = &rm->levels[rm->n];
	*l = (struct level){.dev = st.st_dev, .ino = st.st_ino, .name = strdup(name)};
	if (l->name)
		l->dir = fdopendir(fd);
	if (!l->dir) {
		level_done(l);
		return remove_failed(rm, ENOMEM, name);
	}
	(void)take_fd(&fd);
	rm->n++;
	if (rm->n > REMOVE_OPEN_MAX) {
		struct level *far = &rm->levels[rm->n - 1 - REMOVE_OPEN_MAX];

		if (far->dir)
			(void)closedir(far->dir);
		far->dir = NULL;
	}
	return 0;
}

/* Opens the level above the lowest one again if it was closed. -ESTALE = it is not there any more.
 */
static int reopen_parent(struct removal *rm)
{
	struct level *parent = &rm->levels[rm->n - 2];
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (parent->dir)
		return 0;
	fd = openat(removal_fd(rm), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM
			       ? remove_failed(rm, errno, parent->name)
			       : -ESTALE;
	if (fstat(fd, &st) < 0 || st.st_dev != parent->dev || st.st_ino != parent->ino)
		return -ESTALE;
	parent->dir = fdopendir(fd);
	if (!parent->dir)
		return remove_failed(rm, ENOMEM, parent->name);
	(void)take_fd(&fd);
	return 0;
}

/* The lowest level was read to its end: removes it from the level above. */
static int ascend(struct removal *rm)
{
	_cleanup_free_ char *name = NULL;
	struct level *l = &rm->levels[rm->n - 1];
	int r;

	if (rm->n > 1) {
		r = reopen_parent(rm);
		if (r < 0)
			return r;
	}
	if (unlinkat(rm->n > 1 ? dirfd(rm->levels[rm->n - 2].dir) : rm->dirfd, l->name,
		     AT_REMOVEDIR) < 0 &&
	    errno == ENOTEMPTY) {
		/* Somebody added to it, or readdir(3) missed an entry while others vanished. */
		if (++l->passes >= REMOVE_PASSES)
			return remove_failed(rm, ENOTEMPTY, l->name);
		rewinddir(l->dir);
		return 0;
	}
	name = take_ptr(l->name);
	level_done(l);
	rm->n--;
	/* Any other result is judged here, with the level above as the place of work. */
	r = remove_entry(rm, name, true);
	return r == -ENOTEMPTY ? descend(rm, name) : r;
}

/* One step: the next entry of the lowest level, or the way up. */
static int remove_step(struct removal *rm)
{
	struct level *l = &rm->levels[rm->n - 1];
	struct dirent *e;
	int r;

	errno = 0;
	e = readdir(l->dir);
	if (!e && errno != 0 && errno != ENOENT)
		return remove_failed(rm, errno, l->name);
	if (!e)
		return ascend(rm);
	if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
		return 0;
	r = remove_entry(rm, e->d_name, e->d_type == DT_DIR);
	return r == -ENOTEMPTY ? descend(rm, e->d_name) : r;
}

int path_remove_tree(int dirfd, const char *name, struct err *err)
{
	_cleanup_(removal_done) struct removal rm = {.dirfd = dirfd, .name = name, .err = err};

	if (!path_is_plain_relative(name) || strchr(name, '/'))
		return err_set(err, EINVAL, "cannot remove '%s': not a plain name", name);
	for (int i = 0; i < REMOVE_RESTARTS; i++) {
		int r = remove_entry(&rm, name, false);

		if (r != -ENOTEMPTY)
			return r;
		r = descend(&rm, name);
		while (r == 0 && rm.n > 0)
			r = remove_step(&rm);
		if (r < 0 && r != -ESTALE)
			return r;
		removal_unwind(&rm);
	}
	return err_set(err, EBUSY, "cannot remove '%s': somebody keeps changing it", name);
}
