/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over directories of cgroups: reconciliation, and removal bottom up. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "cgroups/dirs.h"
#include "cgroups/events.h"
#include "cgroups/names.h"
#include "cgroups/tree.h"

#define PROCS_MAX (16u << 20) /* text of one cgroup.procs */

/* A stream over a directory, with an offset of its own. */
static int list_dir(int dirfd, DIR **ret, struct err *err)
{
	_cleanup_close_ int fd = cg_dir_open(dirfd, ".", err);

	if (fd < 0)
		return fd;
	*ret = fdopendir(fd);
	if (!*ret)
		return err_sys(err, "cannot list a cgroup");
	(void)take_fd(&fd);
	return 0;
}

/* The next directory in it: 1, 0 at the end. */
static int next_dir(DIR *d, const char **ret, struct err *err)
{
	for (;;) {
		struct dirent *e;

		errno = 0;
		e = readdir(d);
		if (!e)
			return errno ? err_sys(err, "cannot list a cgroup") : 0;
		if (e->d_type != DT_DIR || str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		*ret = e->d_name;
		return 1;
	}
}

/* Removes what is below dirfd. Directories that disappear meanwhile are fine. */
static int remove_below(int dirfd, int depth, struct err *err)
{
	_cleanup_closedir_ DIR *d = NULL;
	const char *name;
	int r = list_dir(dirfd, &d, err);

	if (r < 0)
		return r;
	while ((r = next_dir(d, &name, err)) > 0) {
		_cleanup_close_ int fd = -1;

		if (depth == 0)
			return err_set(err, ELOOP, "cannot remove cgroup '%s': nested too deep",
				       name);
		/* Most are leaves: no need to look inside. */
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			continue;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return err_sys(err, "cannot remove cgroup '%s'", name);
		fd = cg_dir_open(dirfd, name, err);
		if (fd == -ENOENT) {
			cg_err_clear(err);
			continue;
		}
		r = fd < 0 ? fd : remove_below(fd, depth - 1, err);
		if (r < 0)
			return r;
		if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return err_sys(err, "cannot remove cgroup '%s'", name);
	}
	return r;
}

int cg_remove_tree(int dirfd, const char *name, struct err *err)
{
	_cleanup_close_ int fd = cg_dir_open(dirfd, name, err);
	struct cg_events e;
	int r;

	if (fd == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (fd < 0)
		return fd;
	r = cg_events_get(fd, &e, err);
	if (r < 0 && r != -ENODEV)
		return r;
	if (r == 0 && e.populated)
		return err_set(err, EBUSY, "cannot remove cgroup '%s': processes live there", name);
	r = remove_below(fd, CG_TREE_DEPTH, err);
	if (r < 0)
		return err_ctx(err, "cannot remove cgroup '%s'", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove cgroup '%s'", name);
	return 0;
}

typedef int pid_visit(void *arg, pid_t pid, struct err *err);

/* Those of one cgroup. -EOPNOTSUPP: a threaded one, whose processes are listed above it. */
static int visit_procs(int dirfd, pid_visit *visit, void *arg, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;
	size_t len;
	int r = file_read_at(dirfd, "cgroup.procs", PROCS_MAX, &text, &len, err);

	if (r == -ENOENT || r == -ENODEV || r == -EOPNOTSUPP) {
		cg_err_clear(err);
		return 0;
	}
	for (rest = text; r >= 0 && (line = strsep(&rest, "\n"));) {
		uint64_t pid;

		/* 0: of a pid namespace that is not seen from here. */
		if (*line && num_parse_u64(line, 1, INT32_MAX, &pid) >= 0)
			r = visit(arg, (pid_t)pid, err);
	}
	return r < 0 ? r : 0;
}

static int procs_below(int dirfd, int depth, pid_visit *visit, void *arg, struct err *err)
{
	_cleanup_closedir_ DIR *d = NULL;
	const char *name;
	int r = visit_procs(dirfd, visit, arg, err);

	if (r >= 0)
		r = list_dir(dirfd, &d, err);
	/* Gone meanwhile. */
	if (r == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	while (depth > 0 && (r = next_dir(d, &name, err)) > 0) {
		_cleanup_close_ int fd = cg_dir_open(dirfd, name, err);

		if (fd == -ENOENT) {
			cg_err_clear(err);
			continue;
		}
		r = fd < 0 ? fd : procs_below(fd, depth - 1, visit, arg, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int cg_procs_walk(int dirfd, int (*visit)(void *arg, pid_t pid, struct err *err), void *arg,
		  struct err *err)
{
	return procs_below(dirfd, CG_TREE_DEPTH, visit, arg, err);
}

typedef int cg_visit(void *arg, const struct cg_found *f, struct err *err);

static int visit_one(int dirfd, struct cg_found f, cg_visit *visit, void *arg, struct err *err)
{
	const char *name = f.id ? f.id : f.tenant_id;
	_cleanup_close_ int fd = cg_dir_open(dirfd, name, err);
	struct cg_events e;
	int r;

	/* Gone meanwhile. */
	if (fd == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (fd < 0)
		return fd;
	r = cg_events_get(fd, &e, err);
	if (r == -ENODEV || r == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	f.valid = (cg_is_id(f.tenant_id) || strcmp(f.tenant_id, CG_DEDICATED) == 0) &&
		  (!f.id || cg_is_id(f.id));
	f.populated = e.populated;
	return visit(arg, &f, err);
}

static int walk_tenant(int shared, const char *tenant_id, cg_visit *visit, void *arg,
		       struct err *err)
{
	_cleanup_close_ int fd = cg_dir_open(shared, tenant_id, err);
	_cleanup_closedir_ DIR *d = NULL;
	const char *id;
	int r;

	if (fd == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (fd < 0)
		return fd;
	r = list_dir(fd, &d, err);
	if (r < 0)
		return r;
	while ((r = next_dir(d, &id, err)) > 0) {
		r = visit_one(fd, (struct cg_found){.tenant_id = tenant_id, .id = id}, visit, arg,
			      err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	return visit_one(shared, (struct cg_found){.tenant_id = tenant_id}, visit, arg, err);
}

int cg_walk(const struct cg_root *r,
	    int (*visit)(void *arg, const struct cg_found *f, struct err *err), void *arg,
	    struct err *err)
{
	_cleanup_closedir_ DIR *d = NULL;
	const char *tenant_id;
	int k = list_dir(r->shared, &d, err);

	if (k < 0)
		return k;
	while ((k = next_dir(d, &tenant_id, err)) > 0) {
		k = walk_tenant(r->shared, tenant_id, visit, arg, err);
		if (k < 0)
			return k;
	}
	return k < 0 ? k : walk_tenant(r->fd, CG_DEDICATED, visit, arg, err);
}
