/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of the cgroup tree, and what their children can be given. */
#include "cgroups/dirs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "cgroups/names.h"

/* All that we make use of; the rest of what a kernel offers stays off. The last ones only have to
 * reach `shared`, where cg_zero_controllers() bounds them: below, each level would cost memory and
 * time for nothing. */
static const char *const controllers[] = {"cpu",  "cpuset",  "io",   "memory",
					  "pids", "hugetlb", "rdma", "misc"};

_Static_assert(sizeof(controllers) / sizeof(controllers[0]) == CG_FOR_SHARED, "all are counted");

int cg_dir_open(int dirfd, const char *name, struct err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "cannot open cgroup '%s'", name);
	return fd;
}

int cg_dir_make(int dirfd, const char *name, struct err *err)
{
	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make cgroup '%s'", name);
	return cg_dir_open(dirfd, name, err);
}

int cg_place_open(const struct cg_root *r, const char *tenant_id, struct err *err)
{
	return cg_dir_open(str_eq(tenant_id, CG_DEDICATED) ? r->fd : r->shared, tenant_id, err);
}

int cg_place_make(const struct cg_root *r, const char *tenant_id, struct err *err)
{
	return cg_dir_make(str_eq(tenant_id, CG_DEDICATED) ? r->fd : r->shared, tenant_id, err);
}

int cg_dir_names(int dirfd, const char *file, char dst[CG_NAMES_MAX], struct err *err)
{
	ssize_t n = file_read_short_at(dirfd, file, dst, CG_NAMES_MAX, err);

	return n < 0 ? (int)n : 0;
}

int cg_controllers_enable(int dirfd, enum cg_controllers_for n, struct err *err)
{
	char have[CG_NAMES_MAX] = "", on[CG_NAMES_MAX] = "", text[CG_NAMES_MAX] = "";
	size_t len = 0;
	int r = cg_dir_names(dirfd, "cgroup.controllers", have, err);

	if (r == 0)
		r = cg_dir_names(dirfd, "cgroup.subtree_control", on, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < (size_t)n; i++) {
		if (!cg_names_has(have, controllers[i]) || cg_names_has(on, controllers[i]))
			continue;
		(void)str_fmt(text + len, sizeof(text) - len, "+%s ", controllers[i]);
		len += strlen(text + len);
	}
	if (len == 0 || file_write_at(dirfd, "cgroup.subtree_control", text, NULL) == 0)
		return 0;
	/* One that is refused refuses them all: then each by itself. */
	for (size_t i = 0; i < (size_t)n; i++) {
		if (!cg_names_has(have, controllers[i]) || cg_names_has(on, controllers[i]))
			continue;
		(void)str_fmt(text, sizeof(text), "+%s", controllers[i]);
		(void)file_write_at(dirfd, "cgroup.subtree_control", text, NULL);
	}
	return 0;
}
