/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves for exec sessions. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "cgroups/names.h"
#include "cgroups/tree.h"

#define SESSIONS_MAX 4096

/* Makes a leaf with a name that nobody uses. The guest owns the directory: a name that is there
 * already may be its own, and so may be one that we have just made and that it has replaced. */
static int make_leaf(int dirfd, struct cg_session *ret, struct err *err)
{
	for (int n = 1; n <= SESSIONS_MAX; n++) {
		_cleanup_close_ int fd = -1;
		struct stat st;
		int r = str_fmt(ret->name, sizeof(ret->name), "x-%d", n);

		if (r < 0)
			return err_set(err, -r, "cannot name a session");
		if (mkdirat(dirfd, ret->name, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return err_sys(err, "cannot make cgroup '%s'", ret->name);
		}
		fd = openat(dirfd, ret->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_sys(err, "cannot open cgroup '%s'", ret->name);
		if (st.st_uid != geteuid())
			continue;
		ret->fd = take_fd(&fd);
		return 0;
	}
	return err_set(err, EAGAIN, "cannot make a cgroup for a session: all %d names are used",
		       SESSIONS_MAX);
}

/* A guest that made one of its cgroups threaded has turned the new leaf into "domain invalid":
 * no process can be born there. */
static bool takes_processes(int fd)
{
	char type[32] = "";

	return file_read_short_at(fd, "cgroup.type", type, sizeof(type), NULL) < 0 ||
	       str_eq(type, "domain");
}

int cg_session_create(const struct cg_instance *i, struct cg_session *ret, struct err *err)
{
	struct cg_session s = CG_SESSION_INIT;
	int r = make_leaf(i->guest, &s, err);

	if (r == 0 && !takes_processes(s.fd)) {
		(void)cg_session_remove(i, &s, NULL);
		cg_session_done(&s);
		r = -EOPNOTSUPP;
	}
	/* EAGAIN: cgroup.max.descendants is used up, by the guest. It must not keep its operator
	 * out; the level above has room for some more. */
	if (r == -EAGAIN || r == -EOPNOTSUPP) {
		cg_err_clear(err);
		s.outside = true;
		r = make_leaf(i->fd, &s, err);
	}
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

int cg_session_remove(const struct cg_instance *i, const struct cg_session *s, struct err *err)
{
	if (unlinkat(s->outside ? i->fd : i->guest, s->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return err_sys(err, "cannot remove cgroup '%s'", s->name);
}

/* "x-12", and ours: the guest can make directories in its part, but none that root owns. */
static bool is_ours(int dirfd, const char *name)
{
	struct stat st;

	return strncmp(name, "x-", 2) == 0 && name[2] != '\0' &&
	       name[2 + strspn(name + 2, "0123456789")] == '\0' &&
	       fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid();
}

static int walk_leaves(int dirfd, bool outside, int (*visit)(void *arg, const struct cg_session *s),
		       void *arg, struct err *err)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_sys(err, "cannot list the cgroups of sessions");
	(void)take_fd(&fd);
	while (r >= 0 && (e = readdir(d))) {
		struct cg_session s = CG_SESSION_INIT;

		s.outside = outside;
		if (is_ours(dirfd, e->d_name) && str_copy(s.name, sizeof(s.name), e->d_name) >= 0)
			r = visit(arg, &s);
	}
	(void)closedir(d);
	return r < 0 ? r : 0;
}

int cg_session_walk(const struct cg_instance *i,
		    int (*visit)(void *arg, const struct cg_session *s), void *arg, struct err *err)
{
	int r = walk_leaves(i->guest, false, visit, arg, err);

	return r < 0 ? r : walk_leaves(i->fd, true, visit, arg, err);
}

void cg_session_done(struct cg_session *s)
{
	cleanup_close(&s->fd);
	s->fd = -1;
}
