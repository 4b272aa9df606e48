/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <root>, and the directories of instances below it.
 */
#include "cgroups/tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/cpuset.h"
#include "cgroups/dirs.h"
#include "cgroups/events.h"
#include "cgroups/names.h"
#include "cgroups/sums.h"
#include "cgroups/zero.h"

#define DEFAULT_ROOT "vpsd"

/* What a guest may nest, and what stands on INSTANCE_ID around it:
 * `guest` itself and sessions beside it when the guest has used up its own share. */
#define GUEST_DESCENDANTS "512"
#define GUEST_DEPTH "16"
#define INSTANCE_DESCENDANTS "640"
#define INSTANCE_DEPTH "18"

/* ---- <root> ---- */

static int check_required(const char *const *required, const struct cg_root *r, struct err *err)
{
	_cleanup_sbuf_ struct sbuf missing = SBUF_INIT;

	for (; required && *required; required++) {
		if (cg_names_has(r->controllers, *required))
			continue;
		sbuf_addf(&missing, "%s%s%s", missing.len ? ", " : "", *required,
			  cg_host_has(&r->host, *required) ? " (offered, but refused below)" : "");
	}
	if (missing.len == 0)
		return 0;
	(void)err_set(err, EOPNOTSUPP,
		      "cannot use '%s': required cgroup v2 controllers are missing: %s", r->path,
		      sbuf_str(&missing));
	(void)err_hint(err, "version 1 holds them (boot with cgroup_no_v1=all), or take them out of"
			    " 'required_controllers' to run without these limits");
	return -EOPNOTSUPP;
}

/* Walks from the mount's root to <root>, enabling controllers on the way and below it. */
static int descend(struct cg_root *r, struct err *err)
{
	_cleanup_close_ int dir = path_open_dir(r->host.mount, err);
	char path[CG_PATH_MAX], *rest = path;
	int k;

	if (dir < 0)
		return dir;
	(void)str_copy(path, sizeof(path), r->path + strlen(r->host.mount) + 1);
	while (rest) {
		const char *name = strsep(&rest, "/");
		int next;

		k = cg_controllers_enable(dir, CG_FOR_SHARED, err);
		if (k < 0)
			return k;
		next = cg_dir_make(dir, name, err);
		if (next < 0)
			return next;
		cleanup_close(&dir);
		dir = next;
	}
	r->fd = take_fd(&dir);
	k = cg_controllers_enable(r->fd, CG_FOR_SHARED, err);
	if (k < 0)
		return k;
	r->shared = cg_dir_make(r->fd, CG_SHARED, err);
	if (r->shared < 0)
		return r->shared;
	k = cg_controllers_enable(r->shared, CG_FOR_GUESTS, err);
	return k < 0 ? k : cg_dir_names(r->shared, "cgroup.subtree_control", r->controllers, err);
}

static int choose_path(struct cg_root *r, const char *path, struct err *err)
{
	size_t len = strlen(r->host.mount);
	int k;

	if (!path || !*path)
		k = str_fmt(r->path, sizeof(r->path), "%s/%s", r->host.mount, DEFAULT_ROOT);
	else
		k = str_copy(r->path, sizeof(r->path), path);
	if (k < 0)
		return err_set(err, -k, "cannot use cgroup '%s': path too long", path);
	if (!str_has_prefix(r->path, r->host.mount) || r->path[len] != '/' ||
	    !path_is_plain_relative(r->path + len + 1))
		return err_set(err, EINVAL, "cannot use cgroup '%s': not a path below '%s'",
			       r->path, r->host.mount);
	return 0;
}

int cg_root_open(const char *path, const char *const *required, struct cg_root *ret,
		 struct err *err)
{
	_cleanup_cg_root_ struct cg_root r = CG_ROOT_INIT;
	int k = cg_host_probe(&r.host, err);

	if (k == 0)
		k = choose_path(&r, path, err);
	if (k == 0)
		k = descend(&r, err);
	if (k == 0)
		k = check_required(required, &r, err);
	/* Once, above all instances: these controllers give a guest nothing that a plan sells. */
	if (k == 0)
		k = cg_zero_controllers(r.shared, err);
	if (k == 0)
		k = cg_root_recount(&r, err);
	if (k < 0)
		return k;
	*ret = r;
	r = CG_ROOT_INIT;
	return 0;
}

int cg_root_find(const char *path, struct cg_root *ret, struct err *err)
{
	_cleanup_cg_root_ struct cg_root r = CG_ROOT_INIT;
	int k = cg_host_probe(&r.host, err);

	if (k == 0)
		k = choose_path(&r, path, err);
	if (k < 0)
		return k;
	r.fd = path_open_dir(r.path, err);
	if (r.fd < 0)
		return r.fd;
	r.shared = path_open_beneath(r.fd, CG_SHARED, O_RDONLY | O_DIRECTORY, 0, err);
	if (r.shared < 0)
		return r.shared;
	*ret = r;
	r = CG_ROOT_INIT;
	return 0;
}

void cg_root_done(struct cg_root *r)
{
	cleanup_close(&r->fd);
	cleanup_close(&r->shared);
	free(r->tenants);
	*r = CG_ROOT_INIT;
}

bool cg_root_has(const struct cg_root *r, const char *controller)
{
	return cg_names_has(r->controllers, controller);
}

/* ---- instances ---- */

void cg_instance_done(struct cg_instance *i)
{
	cleanup_close(&i->fd);
	cleanup_close(&i->guest);
	i->fd = -1;
	i->guest = -1;
}

static int check_ids(const char *tenant_id, const char *id, struct err *err)
{
	if (!cg_is_id(tenant_id) && !str_eq(tenant_id, CG_DEDICATED))
		return err_set(err, EINVAL, "'%s' is not a tenant id", tenant_id ? tenant_id : "");
	if (id && !cg_is_id(id))
		return err_set(err, EINVAL, "'%s' is not an instance id", id);
	return 0;
}

/* Removes the place (CG_DEDICATED, or of a tenant) when nothing is left in it. Foreign directories
 * keep it. */
static void drop_empty_place(struct cg_root *r, int place, const char *tenant_id)
{
	const struct cg_tenant_sum *t = cg_sum_find(r, tenant_id);

	if (t && t->instances > 0)
		return;
	cg_sum_drop(r, tenant_id);
	if (!str_eq(tenant_id, CG_DEDICATED))
		(void)unlinkat(r->shared, tenant_id, AT_REMOVEDIR);
	else if (!cg_partition_is(place))
		/* While it has CPUs, cg_dedicated_set() removes it. */
		(void)unlinkat(r->fd, tenant_id, AT_REMOVEDIR);
}

/* Removes what there is of an instance below its tenant, and takes it out of the sums. 1 when it
 * was there. */
static int remove_instance(struct cg_root *r, int tenant, const char *tenant_id, const char *id,
			   struct err *err)
{
	_cleanup_close_ int fd = cg_dir_open(tenant, id, err);
	struct cg_tenant_sum *t = cg_sum_find(r, tenant_id);
	struct cg_share s;
	int k;

	if (fd == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (fd < 0)
		return fd;
	s = cg_share_read(fd);
	k = cg_remove_tree(tenant, id, err);
	if (k < 0)
		return k;
	if (t && t->instances > 0) {
		t->instances--;
		cg_sum_subtract(t, s);
	}
	return 1;
}

/* Files of `guest` that its owner may write: those of /sys/kernel/cgroup/delegate that move
 * processes and controllers, none that is a limit. */
static const char *const delegated[] = {"", "cgroup.procs", "cgroup.subtree_control",
					"cgroup.threads"};

static int delegate(int guest, uint32_t base, struct err *err)
{
	for (size_t i = 0; i < sizeof(delegated) / sizeof(delegated[0]); i++)
		if (fchownat(guest, delegated[i], base, base, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) <
		    0)
			return err_sys(err, "cannot give '%s/%s' to uid %u", CG_GUEST, delegated[i],
				       base);
	return 0;
}

static int set_bound(int dirfd, const char *file, const char *bound, struct err *err)
{
	char held[32] = "";
	ssize_t n;
	int k = file_write_at(dirfd, file, bound, err);

	if (k < 0)
		return k;
	n = file_read_short_at(dirfd, file, held, sizeof(held), err);
	if (n < 0)
		return (int)n;
	return str_eq(held, bound) ? 0
				   : err_set(err, EIO, "cannot set '%s' to %s: the kernel holds %s",
					     file, bound, held);
}

static int set_bounds(int dirfd, const char *descendants, const char *depth, struct err *err)
{
	int k = set_bound(dirfd, "cgroup.max.descendants", descendants, err);

	return k < 0 ? k : set_bound(dirfd, "cgroup.max.depth", depth, err);
}

/* Fills a fresh directory of an instance: limits first, then the delegated part. */
static int furnish(const struct cg_instance_spec *spec, struct cg_instance *i,
		   struct cg_limit_status *status, struct err *err)
{
	int k = cg_limits_apply_flags(i->fd, spec->limits, CG_APPLY_FORCE, status, err);

	if (k == 0 && spec->cpus)
		k = cg_partition_set(i->fd, spec->cpus, err);
	if (k == 0)
		k = set_bounds(i->fd, INSTANCE_DESCENDANTS, INSTANCE_DEPTH, err);
	if (k == 0)
		k = cg_controllers_enable(i->fd, CG_FOR_GUESTS, err);
	if (k < 0)
		return k;
	/* When memory runs out the hog dies alone, not the guest's init with it. */
	k = file_write_at(i->fd, "memory.oom.group", "0", err);
	if (k == -ENOENT)
		cg_err_clear(err);
	else if (k < 0)
		return k;
	i->guest = cg_dir_make(i->fd, CG_GUEST, err);
	if (i->guest < 0)
		return i->guest;
	k = set_bounds(i->guest, GUEST_DESCENDANTS, GUEST_DEPTH, err);
	return k < 0 ? k : delegate(i->guest, spec->base, err);
}

/* Makes INSTANCE_ID anew below its tenant. */
static int create_below(struct cg_root *r, int tenant, const struct cg_instance_spec *spec,
			struct cg_instance *ret, struct cg_limit_status *status, struct err *err)
{
	_cleanup_cg_instance_ struct cg_instance i = CG_INSTANCE_INIT;
	struct cg_tenant_sum *t;
	int k = 0;

	if (mkdirat(tenant, spec->id, 0755) < 0) {
		if (errno != EEXIST)
			return err_sys(err, "cannot make cgroup '%s'", spec->id);
		k = remove_instance(r, tenant, spec->tenant_id, spec->id, err);
		if (k < 0)
			return k;
		if (mkdirat(tenant, spec->id, 0755) < 0)
			return err_sys(err, "cannot make cgroup '%s'", spec->id);
	}
	(void)str_copy(i.tenant_id, sizeof(i.tenant_id), spec->tenant_id);
	(void)str_copy(i.id, sizeof(i.id), spec->id);
	i.fd = cg_dir_open(tenant, spec->id, err);
	k = i.fd < 0 ? i.fd : furnish(spec, &i, status, err);
	if (k < 0) {
		(void)cg_remove_tree(tenant, spec->id, NULL);
		return k;
	}
	t = cg_sum_get(r, spec->tenant_id);
	if (!t) {
		(void)cg_remove_tree(tenant, spec->id, NULL);
		return err_set(err, ENOMEM, "cannot count an instance: out of memory");
	}
	t->instances++;
	cg_sum_add(t, cg_share_read(i.fd));
	k = cg_sums_write(r, tenant, spec->tenant_id, err);
	if (k < 0) {
		(void)remove_instance(r, tenant, spec->tenant_id, spec->id, NULL);
		(void)cg_sums_write(r, tenant, spec->tenant_id, NULL);
		return k;
	}
	*ret = i;
	i = CG_INSTANCE_INIT;
	return 0;
}

int cg_instance_create(struct cg_root *r, const struct cg_instance_spec *spec,
		       struct cg_instance *ret, struct cg_limit_status *status, struct err *err)
{
	_cleanup_close_ int tenant = -1;
	int k = check_ids(spec->tenant_id, spec->id, err);

	if (k < 0)
		return k;
	tenant = cg_place_make(r, spec->tenant_id, err);
	if (tenant < 0)
		return tenant;
	k = cg_controllers_enable(tenant, CG_FOR_GUESTS, err);
	if (k == 0 && spec->tenant_limits)
		k = cg_limits_apply_flags(tenant, spec->tenant_limits, CG_APPLY_CEILINGS, NULL,
					  err);
	if (k == 0)
		k = create_below(r, tenant, spec, ret, status, err);
	if (k < 0) {
		drop_empty_place(r, tenant, spec->tenant_id);
		return err_ctx(err, "cannot make the cgroup of instance '%s'", spec->id);
	}
	return 0;
}

int cg_instance_dir(const struct cg_root *r, const char *tenant_id, const char *id, struct err *err)
{
	_cleanup_close_ int place = -1;
	int k = check_ids(tenant_id, id, err);

	if (k < 0)
		return k;
	place = cg_place_open(r, tenant_id, err);
	return place < 0 ? place : cg_dir_open(place, id, err);
}

void cg_instance_path(const struct cg_root *r, const char *tenant_id, const char *id,
		      char dst[CG_PATH_MAX])
{
	(void)str_fmt(dst, CG_PATH_MAX, "%s/%s%s/%s", r->path,
		      str_eq(tenant_id, CG_DEDICATED) ? "" : CG_SHARED "/", tenant_id, id);
}

int cg_instance_open(const struct cg_root *r, const char *tenant_id, const char *id,
		     struct cg_instance *ret, struct err *err)
{
	_cleanup_cg_instance_ struct cg_instance i = CG_INSTANCE_INIT;
	_cleanup_close_ int tenant = -1;
	int k = check_ids(tenant_id, id, err);

	if (k < 0)
		return k;
	tenant = cg_place_open(r, tenant_id, err);
	if (tenant < 0)
		return tenant;
	i.fd = cg_dir_open(tenant, id, err);
	if (i.fd < 0)
		return i.fd;
	i.guest = cg_dir_open(i.fd, CG_GUEST, err);
	if (i.guest < 0)
		return i.guest;
	(void)str_copy(i.tenant_id, sizeof(i.tenant_id), tenant_id);
	(void)str_copy(i.id, sizeof(i.id), id);
	*ret = i;
	i = CG_INSTANCE_INIT;
	return 0;
}

/* The limits that a cgroup has now, to go back to: those of this disk. */
static int save_limits(int dirfd, const struct cg_disk *disk, struct cg_limits *ret,
		       struct err *err)
{
	struct cg_limit_status st[CG_LIMIT_MAX];
	int k;

	cg_limits_init(ret);
	ret->disk = disk;
	k = cg_limits_read(dirfd, 0, ret, st, err);
	for (int i = 0; k >= 0 && i < CG_LIMIT_MAX; i++)
		ret->value[i] = st[i].actual;
	return k;
}

int cg_instance_apply(struct cg_root *r, const struct cg_instance *i, const struct cg_limits *l,
		      unsigned flags, struct cg_limit_status *status, struct err *err)
{
	_cleanup_close_ int tenant = cg_place_open(r, i->tenant_id, err);
	struct cg_tenant_sum *t = cg_sum_find(r, i->tenant_id);
	struct cg_limits was;
	struct cg_share old, new;
	int k;

	if (tenant < 0)
		return tenant;
	if (!t)
		return err_set(err, ENOENT, "tenant '%s' has no instance running", i->tenant_id);
	if (flags & CG_APPLY_CHECK)
		return cg_limits_apply_flags(i->fd, l, flags, NULL, err);
	k = save_limits(i->fd, l->disk, &was, err);
	if (k < 0)
		return k;
	old = cg_share_read(i->fd);
	k = cg_limits_apply_flags(i->fd, l, flags, status, err);
	if (k < 0)
		return k;
	new = cg_share_read(i->fd);
	cg_sum_subtract(t, old);
	cg_sum_add(t, new);
	k = cg_sums_write(r, tenant, i->tenant_id, err);
	if (k >= 0)
		return k;
	(void)cg_limits_apply_flags(i->fd, &was, CG_APPLY_FORCE, NULL, NULL);
	cg_sum_subtract(t, new);
	cg_sum_add(t, old);
	(void)cg_sums_write(r, tenant, i->tenant_id, NULL);
	return k;
}

int cg_instance_get(const struct cg_instance *i, enum cg_limit limit, uint64_t *ret,
		    struct err *err)
{
	return cg_limit_get(i->fd, limit, ret, err);
}

int cg_tenant_apply(struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		    unsigned flags, struct cg_limit_status *status, struct err *err)
{
	_cleanup_close_ int tenant = -1;
	int k = check_ids(tenant_id, NULL, err);

	if (k < 0)
		return k;
	tenant = cg_place_open(r, tenant_id, err);
	if (tenant == -ENOENT) {
		cg_err_clear(err);
		if (status)
			cg_tenant_absent(l, status);
		return 0;
	}
	if (tenant < 0)
		return tenant;
	return cg_limits_apply_flags(tenant, l, flags | CG_APPLY_CEILINGS, status, err);
}

/* Ends what lives in an instance's cgroup, as far as asked for. */
static int empty_instance(int tenant, const char *id, unsigned flags, int timeout_ms,
			  struct err *err)
{
	_cleanup_close_ int fd = cg_dir_open(tenant, id, err);
	int k = fd;

	if (k >= 0 && (flags & CG_REMOVE_KILL))
		k = cg_kill(fd, err);
	if (k >= 0)
		k = cg_wait_empty(fd, timeout_ms, err);
	if (k == -ETIMEDOUT)
		return err_set(err, EBUSY, "processes live there");
	if (k == -ENOENT || k == -ENODEV) {
		cg_err_clear(err);
		return 0;
	}
	return k < 0 ? k : 0;
}

int cg_instance_remove(struct cg_root *r, const char *tenant_id, const char *id, unsigned flags,
		       int timeout_ms, struct err *err)
{
	_cleanup_close_ int tenant = -1;
	int k = check_ids(tenant_id, id, err);

	if (k < 0)
		return k;
	tenant = cg_place_open(r, tenant_id, err);
	if (tenant == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (tenant < 0)
		return tenant;
	k = empty_instance(tenant, id, flags, timeout_ms, err);
	if (k == 0)
		k = remove_instance(r, tenant, tenant_id, id, err);
	if (k < 0)
		return err_ctx(err, "cannot remove the cgroup of instance '%s'", id);
	k = cg_sums_write(r, tenant, tenant_id, err);
	drop_empty_place(r, tenant, tenant_id);
	return k;
}
