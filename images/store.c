/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool. All names that are used below it are digests, ids or words of ours, so a name can be no
 * path; guests write only below instances/<id>/fs/upper, which is never walked here.
 */
#include "images/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/str.h"

enum store_dir {
	STORE_POOL,
	STORE_IMAGES,
	STORE_INSTANCES,
	STORE_TMP,
	STORE_DIR_MAX,
};

static const char *const dir_names[STORE_DIR_MAX] = {
	[STORE_POOL] = ".",
	[STORE_IMAGES] = "images",
	[STORE_INSTANCES] = "instances",
	[STORE_TMP] = "tmp",
};

struct img_store {
	int fds[STORE_DIR_MAX];
};

void img_store_free(struct img_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < STORE_DIR_MAX; i++)
		cleanup_close(&s->fds[i]);
	free(s);
}

void img_store_freep(struct img_store **s)
{
	img_store_free(*s);
}

static int open_part(int pool, const char *name, struct err *err)
{
	if (mkdirat(pool, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make directory '%s'", name);
	return path_open_beneath(pool, name, O_RDONLY | O_DIRECTORY, 0, err);
}

int img_store_open(const char *path, struct img_store **ret, struct err *err)
{
	_cleanup_img_store_ struct img_store *s = malloc(sizeof(*s));

	if (!s)
		return err_set(err, ENOMEM, "cannot open pool: out of memory");
	for (size_t i = 0; i < STORE_DIR_MAX; i++)
		s->fds[i] = -1;
	s->fds[STORE_POOL] = path_make_dir(path, 0700, err);
	if (s->fds[STORE_POOL] < 0) {
		(void)(err && err_ctx(err, "cannot open pool"));
		return s->fds[STORE_POOL];
	}
	for (size_t i = STORE_IMAGES; i < STORE_DIR_MAX; i++) {
		s->fds[i] = open_part(s->fds[STORE_POOL], dir_names[i], err);
		if (s->fds[i] < 0) {
			(void)(err && err_ctx(err, "cannot open pool '%s'", path));
			return s->fds[i];
		}
	}
	*ret = take_ptr(s);
	return 0;
}

int img_store_fd(const struct img_store *s)
{
	return s->fds[STORE_POOL];
}

int img_store_images_fd(const struct img_store *s)
{
	return s->fds[STORE_IMAGES];
}

int img_store_instances_fd(const struct img_store *s)
{
	return s->fds[STORE_INSTANCES];
}

int img_store_tmp_fd(const struct img_store *s)
{
	return s->fds[STORE_TMP];
}

bool img_is_instance_id(const char *s)
{
	return strlen(s) == ID_TEXT - 1 && s[strspn(s, "0123456789abcdef")] == '\0';
}

/* A directory stream of its own: the store's fds keep their offset and stay open. */
static DIR *open_stream(int dirfd, struct err *err)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		(void)err_sys(err, "cannot list the pool");
		return NULL;
	}
	(void)take_fd(&fd);
	return d;
}

/*
 * Names in a directory that 'wanted' accepts. Heap array of heap strings behind one pointer, freed
 * by names_done(); other names but "." and ".." are counted.
 */
struct names {
	char **list;
	size_t n;
	size_t others;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct names){0};
}
#define _cleanup_names_ _cleanup_(names_done)

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_add(struct names *names, const char *name, struct err *err)
{
	char **list = reallocarray(names->list, names->n + 1, sizeof(*list));
	char *copy = strdup(name);

	if (list)
		names->list = list;
	if (!list || !copy) {
		free(copy);
		return err_set(err, ENOMEM, "cannot list the pool: out of memory");
	}
	names->list[names->n++] = copy;
	return 0;
}

/* Sorted. */
static int names_read(int dirfd, bool (*wanted)(const char *name), struct names *ret,
		      struct err *err)
{
	_cleanup_names_ struct names names = {0};
	_cleanup_closedir_ DIR *d = open_stream(dirfd, err);

	if (!d)
		return err ? -err->code : -EIO;
	for (;;) {
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(d);
		if (!e && errno != 0)
			return err_sys(err, "cannot list the pool");
		if (!e)
			break;
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (!wanted(e->d_name)) {
			names.others++;
			continue;
		}
		r = names_add(&names, e->d_name, err);
		if (r < 0)
			return r;
	}
	if (names.n > 0)
		qsort(names.list, names.n, sizeof(*names.list), compare_names);
	*ret = names;
	names = (struct names){0};
	return 0;
}

/* Opens images/<digest>[/<below>]; -ENOENT with a text of its own. */
static int open_image(const struct img_store *s, const char *digest, const char *below, int flags,
		      struct err *err)
{
	char path[IMG_DIGEST_TEXT + 32];
	int fd;

	if (!str_is_digest(digest))
		return err_set(err, EINVAL, "'%s' is not an image digest", digest);
	if (str_fmt(path, sizeof(path), "%s/%s", digest, below) < 0)
		return err_set(err, EINVAL, "cannot open image '%s': name too long", digest);
	fd = path_open_beneath(s->fds[STORE_IMAGES], path, flags, 0, err);
	return fd == -ENOENT ? err_set(err, ENOENT, "there is no image '%s'", digest) : fd;
}

int img_store_manifest(const struct img_store *s, const char *digest, struct img_manifest *ret,
		       struct err *err)
{
	_cleanup_close_ int fd = open_image(s, digest, "image.json", O_RDONLY, err);
	_cleanup_free_ struct img_manifest *m = malloc(sizeof(*m));
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (fd < 0)
		return fd;
	if (!m)
		return err_set(err, ENOMEM, "cannot read image manifest: out of memory");
	r = file_read_fd(fd, IMG_MANIFEST_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = img_manifest_parse(text, len, m, err);
	if (r == 0 && !str_eq(m->digest, digest))
		r = err_set(err, EBADMSG, "image manifest: it belongs to another image");
	if (r < 0) {
		(void)(err && err_ctx(err, "image '%s'", digest));
		return r;
	}
	*ret = *m;
	return 0;
}

int img_store_list(const struct img_store *s, struct img_manifest **ret, size_t *ret_n,
		   size_t *ret_bad, struct err *err)
{
	_cleanup_names_ struct names names = {0};
	_cleanup_free_ struct img_manifest *list = NULL;
	size_t n = 0, bad;
	int r;

	r = names_read(s->fds[STORE_IMAGES], str_is_digest, &names, err);
	if (r < 0)
		return r;
	bad = names.others;
	list = calloc(names.n + 1, sizeof(*list));
	if (!list)
		return err_set(err, ENOMEM, "cannot list images: out of memory");
	for (size_t i = 0; i < names.n; i++) {
		r = img_store_manifest(s, names.list[i], &list[n], NULL);
		if (r == 0)
			n++;
		else if (r != -ENOENT) /* removed meanwhile */
			bad++;
	}
	*ret = take_ptr(list);
	*ret_n = n;
	if (ret_bad)
		*ret_bad = bad;
	return 0;
}

bool img_store_has(const struct img_store *s, const char *digest)
{
	struct stat st;

	return str_is_digest(digest) &&
	       fstatat(s->fds[STORE_IMAGES], digest, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

int img_store_tree(const struct img_store *s, const char *digest, struct err *err)
{
	return open_image(s, digest, "rootfs", O_PATH | O_DIRECTORY, err);
}

int img_instance_open(const struct img_store *s, const char *id, struct err *err)
{
	char path[ID_TEXT + 4];
	int fd;

	if (!img_is_instance_id(id) || str_fmt(path, sizeof(path), "%s/fs", id) < 0)
		return err_set(err, EINVAL, "'%s' is not an instance id", id);
	fd = path_open_beneath(s->fds[STORE_INSTANCES], path, O_PATH | O_DIRECTORY, 0, err);
	return fd == -ENOENT ? err_set(err, ENOENT, "instance '%s' has no directory", id) : fd;
}

bool img_instance_has(const struct img_store *s, const char *id)
{
	struct stat st;

	return img_is_instance_id(id) &&
	       fstatat(s->fds[STORE_INSTANCES], id, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

int img_instance_list(const struct img_store *s, char (**ret)[ID_TEXT], size_t *ret_n,
		      struct err *err)
{
	_cleanup_names_ struct names names = {0};
	char(*list)[ID_TEXT];
	int r;

	r = names_read(s->fds[STORE_INSTANCES], img_is_instance_id, &names, err);
	if (r < 0)
		return r;
	list = calloc(names.n + 1, sizeof(*list));
	if (!list)
		return err_set(err, ENOMEM, "cannot list instances: out of memory");
	for (size_t i = 0; i < names.n; i++)
		(void)str_copy(list[i], ID_TEXT, names.list[i]); /* its length was checked */
	*ret = list;
	*ret_n = names.n;
	return 0;
}

static bool any_name(const char *name)
{
	(void)name;
	return true;
}

/* Locks a directory of tmp/. A job holds the lock of its own for life, and the kernel drops it with
 * the process. -EWOULDBLOCK: held; -ENOTDIR and the like: no directory, so nobody's. */
static int lock_dir(int tmp, const char *name)
{
	_cleanup_close_ int fd = path_open_beneath(tmp, name, O_RDONLY | O_DIRECTORY, 0, NULL);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return take_fd(&fd);
}

int img_store_clean_tmp(const struct img_store *s, unsigned *ret_removed, struct err *err)
{
	_cleanup_names_ struct names names = {0};
	int tmp = s->fds[STORE_TMP];
	unsigned removed = 0;
	int r;

	r = names_read(tmp, any_name, &names, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names.n; i++) {
		/* Locked while it is removed: a job that has just made it makes another. */
		_cleanup_close_ int lock = lock_dir(tmp, names.list[i]);

		if (lock == -EWOULDBLOCK || lock == -ENOENT)
			continue;
		/* Only what is no directory cannot be locked; else nobody knows whose it is. */
		if (lock < 0 && lock != -ENOTDIR && lock != -ELOOP)
			return err_set_errno(err, -lock, "cannot lock 'tmp/%s'", names.list[i]);
		r = path_remove_tree(tmp, names.list[i], err);
		if (r < 0)
			return r;
		removed++;
	}
	if (ret_removed)
		*ret_removed = removed;
	return 0;
}

int img_store_tmp_make(const struct img_store *s, const char *verb, char ret_name[64],
		       struct err *err)
{
	int tmp = s->fds[STORE_TMP];

	for (int i = 0; i < 16; i++) {
		_cleanup_close_ int fd = -1;
		char id[ID_TEXT], name[64];
		struct stat st;
		int r;

		r = rand_id(id, err);
		if (r < 0)
			return r;
		if (str_fmt(name, sizeof(name), "%s-%s", verb, id) < 0)
			return err_set(err, EINVAL, "cannot make a directory for '%s'", verb);
		if (mkdirat(tmp, name, 0700) < 0)
			return err_sys(err, "cannot make directory 'tmp/%s'", name);
		fd = path_open_beneath(tmp, name, O_RDONLY | O_DIRECTORY, 0, err);
		if (fd == -ENOENT)
			continue; /* a clean-up took it before it was locked */
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		/* The same between open and lock: the fd must still have that name. */
		if (fstat(fd, &st) < 0 || st.st_nlink == 0)
			continue;
		(void)str_copy(ret_name, 64, name);
		return take_fd(&fd);
	}
	return err_set(err, EBUSY, "cannot make a directory in 'tmp': it vanishes again and again");
}

int img_store_space(const struct img_store *s, struct img_space *ret, struct err *err)
{
	struct statvfs v;

	if (fstatvfs(s->fds[STORE_POOL], &v) < 0)
		return err_sys(err, "cannot read the free space of the pool");
	*ret = (struct img_space){
		.total_bytes = (uint64_t)v.f_blocks * v.f_frsize,
		.free_bytes = (uint64_t)v.f_bavail * v.f_frsize,
		.total_inodes = v.f_files,
		.free_inodes = v.f_favail,
		.used_bytes = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize,
	};
	return 0;
}
