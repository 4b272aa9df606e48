/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <root> and the directories of instances, with the sums that their ancestors carry.
 */
#include "cgroups/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/cpuset.h"
#include "cgroups/events.h"
#include "cgroups/names.h"
#include "cgroups/zero.h"

#define DEFAULT_ROOT "vpsd"

/* What a guest may nest (security.md: nested cgroups), and what stands on INSTANCE_ID around it:
 * `guest` itself and sessions beside it when the guest has used up its own share. */
#define GUEST_DESCENDANTS "512"
#define GUEST_DEPTH "16"
#define INSTANCE_DESCENDANTS "640"
#define INSTANCE_DEPTH "18"

/* Weight of <root> among the host's other cgroups is never below the default. */
#define ROOT_WEIGHT_MIN 100u
#define WEIGHT_MAX 10000u

/* All that we make use of; the rest of what a kernel offers stays off. The last ones only have to
 * reach `shared`, where cg_zero_controllers() bounds them: below, each level would cost memory and
 * time for nothing. */
static const char *const controllers[] = {"cpu",  "cpuset",  "io",   "memory",
					  "pids", "hugetlb", "rdma", "misc"};

enum controllers_for {
	FOR_GUESTS = 5, /* leading ones in the list */
	FOR_SHARED = 8,
};

_Static_assert(sizeof(controllers) / sizeof(controllers[0]) == FOR_SHARED, "all are counted");

/* ---- directories ---- */

static int open_cgroup(int dirfd, const char *name, struct err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "cannot open cgroup '%s'", name);
	return fd;
}

/* Opens a cgroup, making it when absent. */
static int make_cgroup(int dirfd, const char *name, struct err *err)
{
	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make cgroup '%s'", name);
	return open_cgroup(dirfd, name, err);
}

/* The directory that holds the instances of a tenant. */
static int open_place(const struct cg_root *r, const char *tenant_id, struct err *err)
{
	return open_cgroup(str_eq(tenant_id, CG_DEDICATED) ? r->fd : r->shared, tenant_id, err);
}

static int make_place(const struct cg_root *r, const char *tenant_id, struct err *err)
{
	return make_cgroup(str_eq(tenant_id, CG_DEDICATED) ? r->fd : r->shared, tenant_id, err);
}

static int read_names(int dirfd, const char *file, char dst[CG_NAMES_MAX], struct err *err)
{
	ssize_t n = file_read_short_at(dirfd, file, dst, CG_NAMES_MAX, err);

	return n < 0 ? (int)n : 0;
}

/* Enables for the children of a cgroup what it has itself. A refusal is no error here: whether all
 * that is required got there is checked at the end, where all the missing ones can be named. */
static int enable_controllers(int dirfd, enum controllers_for n, struct err *err)
{
	char have[CG_NAMES_MAX] = "", on[CG_NAMES_MAX] = "", text[CG_NAMES_MAX] = "";
	size_t len = 0;
	int r = read_names(dirfd, "cgroup.controllers", have, err);

	if (r == 0)
		r = read_names(dirfd, "cgroup.subtree_control", on, err);
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

/* ---- sums ---- */

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : v > max ? max : v;
}

static size_t tenant_index(const struct cg_root *r, const char *id, bool *ret_found)
{
	size_t low = 0, high = r->n_tenants;

	*ret_found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(id, r->tenants[mid].id);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static struct cg_tenant_sum *tenant_find(const struct cg_root *r, const char *id)
{
	bool found;
	size_t i = tenant_index(r, id, &found);

	return found ? &r->tenants[i] : NULL;
}

/* The tenant's sum, a new one when there is none; NULL when memory is short. */
static struct cg_tenant_sum *tenant_get(struct cg_root *r, const char *id)
{
	struct cg_tenant_sum *grown;
	bool found;
	size_t i = tenant_index(r, id, &found);

	if (found)
		return &r->tenants[i];
	grown = reallocarray(r->tenants, r->n_tenants + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	r->tenants = grown;
	memmove(&grown[i + 1], &grown[i], (r->n_tenants - i) * sizeof(*grown));
	grown[i] = (struct cg_tenant_sum){0};
	(void)str_copy(grown[i].id, sizeof(grown[i].id), id);
	r->n_tenants++;
	return &grown[i];
}

static void tenant_drop(struct cg_root *r, const char *id)
{
	bool found;
	size_t i = tenant_index(r, id, &found);

	if (!found)
		return;
	r->n_tenants--;
	memmove(&r->tenants[i], &r->tenants[i + 1], (r->n_tenants - i) * sizeof(r->tenants[0]));
}

/* What one instance counts for. */
struct share {
	uint64_t weight;
	uint64_t memory_min;
};

/* As the kernel holds it; 0 where there is no controller. */
static struct share read_share(int dirfd)
{
	struct share s = {0, 0};

	(void)cg_limit_get(dirfd, CG_LIMIT_CPU_WEIGHT, &s.weight, NULL);
	(void)cg_limit_get(dirfd, CG_LIMIT_MEMORY_MIN, &s.memory_min, NULL);
	return s;
}

static void sum_add(struct cg_tenant_sum *t, struct share s)
{
	t->weight = add(t->weight, s.weight);
	t->memory_min = add(t->memory_min, s.memory_min);
}

static void sum_subtract(struct cg_tenant_sum *t, struct share s)
{
	t->weight -= s.weight < t->weight ? s.weight : t->weight;
	t->memory_min -= s.memory_min < t->memory_min ? s.memory_min : t->memory_min;
}

/* Sets one limit where its file is there and holds something else. */
static int set_if_changed(int dirfd, enum cg_limit limit, uint64_t value, struct err *err)
{
	uint64_t now;
	int r = cg_limit_get(dirfd, limit, &now, err);

	if (r == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (r < 0)
		return r;
	return now == value ? 0 : cg_limit_set(dirfd, limit, value, err);
}

static int write_tenant_sum(int dirfd, const struct cg_tenant_sum *t, struct err *err)
{
	int r = set_if_changed(dirfd, CG_LIMIT_MEMORY_MIN, t->memory_min, err);

	if (r < 0)
		return r;
	return set_if_changed(dirfd, CG_LIMIT_CPU_WEIGHT, clamp(t->weight, 1, WEIGHT_MAX), err);
}

/* <root> carries the sum of all, shared that of what is below it. <root> gets the weight too: else
 * all guests together would weigh as much against the host's own services as one core does. */
static int write_root_sum(const struct cg_root *r, struct err *err)
{
	const struct cg_tenant_sum *dedicated = tenant_find(r, CG_DEDICATED);
	struct share all = {0, 0};
	int k;

	for (size_t i = 0; i < r->n_tenants; i++) {
		all.weight = add(all.weight, r->tenants[i].weight);
		all.memory_min = add(all.memory_min, r->tenants[i].memory_min);
	}
	k = set_if_changed(r->fd, CG_LIMIT_MEMORY_MIN, all.memory_min, err);
	if (k == 0)
		k = set_if_changed(r->shared, CG_LIMIT_MEMORY_MIN,
				   all.memory_min - (dedicated ? dedicated->memory_min : 0), err);
	if (k == 0)
		k = set_if_changed(r->fd, CG_LIMIT_CPU_WEIGHT,
				   clamp(all.weight, ROOT_WEIGHT_MIN, WEIGHT_MAX), err);
	return k;
}

/* Writes the sums of one tenant and of all. */
static int write_sums(const struct cg_root *r, int tenant, const char *tenant_id, struct err *err)
{
	const struct cg_tenant_sum *t = tenant_find(r, tenant_id);
	int k = t ? write_tenant_sum(tenant, t, err) : 0;

	return k < 0 ? k : write_root_sum(r, err);
}

static int count_instance(void *arg, const struct cg_found *f, struct err *err)
{
	struct cg_root *r = arg;
	_cleanup_close_ int tenant = -1, fd = -1;
	struct cg_tenant_sum *t;

	if (!f->id || !f->valid)
		return 0;
	tenant = open_place(r, f->tenant_id, err);
	if (tenant < 0)
		return tenant;
	fd = open_cgroup(tenant, f->id, err);
	if (fd < 0)
		return fd;
	t = tenant_get(r, f->tenant_id);
	if (!t)
		return err_set(err, ENOMEM, "cannot count instances: out of memory");
	sum_add(t, read_share(fd));
	t->instances++;
	return 0;
}

int cg_root_recount(struct cg_root *r, struct err *err)
{
	int k;

	r->n_tenants = 0;
	k = cg_walk(r, count_instance, r, err);
	for (size_t i = 0; i < r->n_tenants && k == 0; i++) {
		_cleanup_close_ int tenant = open_place(r, r->tenants[i].id, err);

		k = tenant < 0 ? tenant : write_tenant_sum(tenant, &r->tenants[i], err);
	}
	return k < 0 ? k : write_root_sum(r, err);
}

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

		k = enable_controllers(dir, FOR_SHARED, err);
		if (k < 0)
			return k;
		next = make_cgroup(dir, name, err);
		if (next < 0)
			return next;
		cleanup_close(&dir);
		dir = next;
	}
	r->fd = take_fd(&dir);
	k = enable_controllers(r->fd, FOR_SHARED, err);
	if (k < 0)
		return k;
	r->shared = make_cgroup(r->fd, CG_SHARED, err);
	if (r->shared < 0)
		return r->shared;
	k = enable_controllers(r->shared, FOR_GUESTS, err);
	return k < 0 ? k : read_names(r->shared, "cgroup.subtree_control", r->controllers, err);
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

/* Removes the tenant's directory when nothing is left in it. Foreign directories keep it. */
static void drop_empty_tenant(struct cg_root *r, const char *tenant_id)
{
	const struct cg_tenant_sum *t = tenant_find(r, tenant_id);

	if (t && t->instances > 0)
		return;
	tenant_drop(r, tenant_id);
	/* The other place keeps its CPUs until cg_dedicated_set() says otherwise. */
	if (!str_eq(tenant_id, CG_DEDICATED))
		(void)unlinkat(r->shared, tenant_id, AT_REMOVEDIR);
}

/* Removes what there is of an instance below its tenant, and takes it out of the sums. 1 when it
 * was there. */
static int remove_instance(struct cg_root *r, int tenant, const char *tenant_id, const char *id,
			   struct err *err)
{
	_cleanup_close_ int fd = open_cgroup(tenant, id, err);
	struct cg_tenant_sum *t = tenant_find(r, tenant_id);
	struct share s;
	int k;

	if (fd == -ENOENT) {
		cg_err_clear(err);
		return 0;
	}
	if (fd < 0)
		return fd;
	s = read_share(fd);
	k = cg_remove_tree(tenant, id, err);
	if (k < 0)
		return k;
	if (t && t->instances > 0) {
		t->instances--;
		sum_subtract(t, s);
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
		k = enable_controllers(i->fd, FOR_GUESTS, err);
	if (k < 0)
		return k;
	/* When memory runs out the hog dies alone, not the guest's init with it. */
	k = file_write_at(i->fd, "memory.oom.group", "0", err);
	if (k == -ENOENT)
		cg_err_clear(err);
	else if (k < 0)
		return k;
	i->guest = make_cgroup(i->fd, CG_GUEST, err);
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
	i.fd = open_cgroup(tenant, spec->id, err);
	k = i.fd < 0 ? i.fd : furnish(spec, &i, status, err);
	if (k < 0) {
		(void)cg_remove_tree(tenant, spec->id, NULL);
		return k;
	}
	t = tenant_get(r, spec->tenant_id);
	if (!t) {
		(void)cg_remove_tree(tenant, spec->id, NULL);
		return err_set(err, ENOMEM, "cannot count an instance: out of memory");
	}
	t->instances++;
	sum_add(t, read_share(i.fd));
	k = write_sums(r, tenant, spec->tenant_id, err);
	if (k < 0) {
		(void)remove_instance(r, tenant, spec->tenant_id, spec->id, NULL);
		(void)write_sums(r, tenant, spec->tenant_id, NULL);
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
	tenant = make_place(r, spec->tenant_id, err);
	if (tenant < 0)
		return tenant;
	k = enable_controllers(tenant, FOR_GUESTS, err);
	if (k == 0 && spec->tenant_limits)
		k = cg_limits_apply_flags(tenant, spec->tenant_limits, CG_APPLY_CEILINGS, NULL,
					  err);
	if (k == 0)
		k = create_below(r, tenant, spec, ret, status, err);
	if (k < 0) {
		drop_empty_tenant(r, spec->tenant_id);
		return err_ctx(err, "cannot make the cgroup of instance '%s'", spec->id);
	}
	return 0;
}

/* ---- CPUs of their own ---- */

const char *cg_dedicated_why_not(const struct cg_root *r)
{
	const char *below = r->path + strlen(r->host.mount) + 1;

	if (!cg_root_has(r, "cpuset"))
		return "the host has no cpuset controller";
	if (strchr(below, '/'))
		return "the root of all instances does not lie at the top of the cgroup tree";
	return faccessat(r->fd, "cpuset.cpus.partition", F_OK, 0) == 0
		       ? NULL
		       : "the kernel has no cpuset partitions";
}

/* Bottom up, as no partition may have another below it that it does not hold. */
static int dissolve(struct cg_root *r, const cpu_set_t *machine, struct err *err)
{
	_cleanup_close_ int place = open_place(r, CG_DEDICATED, err);
	int k;

	if (place == -ENOENT)
		cg_err_clear(err);
	else if (place < 0)
		return place;
	k = place < 0 ? 0 : cg_partition_clear(place, machine, err);
	if (k == 0)
		k = cg_partition_clear(r->fd, machine, err);
	/* Not while directories of instances are left in it. */
	if (k == 0 && place >= 0)
		(void)unlinkat(r->fd, CG_DEDICATED, AT_REMOVEDIR);
	return k;
}

bool cg_dedicated_get(const struct cg_root *r, cpu_set_t *ret)
{
	_cleanup_close_ int place = open_place(r, CG_DEDICATED, NULL);
	bool has_place = place >= 0 && cg_partition_is(place);

	CPU_ZERO(ret);
	if (has_place && cg_cpus_get(place, ret, NULL) < 0)
		return false;
	/* Both or none: else an earlier daemon ended half-way. */
	return has_place == cg_partition_is(r->fd);
}

int cg_dedicated_set(struct cg_root *r, const cpu_set_t *machine, const cpu_set_t *all,
		     const cpu_set_t *dedicated, struct err *err)
{
	_cleanup_close_ int place = -1;
	int k;

	if (CPU_COUNT(dedicated) == 0)
		return dissolve(r, machine, err);
	place = make_place(r, CG_DEDICATED, err);
	if (place < 0)
		return place;
	k = enable_controllers(place, FOR_GUESTS, err);
	if (k == 0)
		k = cg_zero_controllers(place, err);
	if (k == 0)
		k = cg_partition_set(r->fd, all, err);
	return k < 0 ? k : cg_partition_set(place, dedicated, err);
}

int cg_instance_dir(const struct cg_root *r, const char *tenant_id, const char *id, struct err *err)
{
	_cleanup_close_ int place = -1;
	int k = check_ids(tenant_id, id, err);

	if (k < 0)
		return k;
	place = open_place(r, tenant_id, err);
	return place < 0 ? place : open_cgroup(place, id, err);
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
	tenant = open_place(r, tenant_id, err);
	if (tenant < 0)
		return tenant;
	i.fd = open_cgroup(tenant, id, err);
	if (i.fd < 0)
		return i.fd;
	i.guest = open_cgroup(i.fd, CG_GUEST, err);
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
	_cleanup_close_ int tenant = open_place(r, i->tenant_id, err);
	struct cg_tenant_sum *t = tenant_find(r, i->tenant_id);
	struct cg_limits was;
	struct share old, new;
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
	old = read_share(i->fd);
	k = cg_limits_apply_flags(i->fd, l, flags, status, err);
	if (k < 0)
		return k;
	new = read_share(i->fd);
	sum_subtract(t, old);
	sum_add(t, new);
	k = write_sums(r, tenant, i->tenant_id, err);
	if (k >= 0)
		return k;
	(void)cg_limits_apply_flags(i->fd, &was, CG_APPLY_FORCE, NULL, NULL);
	sum_subtract(t, new);
	sum_add(t, old);
	(void)write_sums(r, tenant, i->tenant_id, NULL);
	return k;
}

int cg_tenant_apply(struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		    unsigned flags, struct cg_limit_status *status, struct err *err)
{
	_cleanup_close_ int tenant = -1;
	int k = check_ids(tenant_id, NULL, err);

	if (k < 0)
		return k;
	tenant = open_place(r, tenant_id, err);
	if (tenant == -ENOENT) {
		cg_err_clear(err);
		for (int i = 0; status && i < CG_LIMIT_MAX; i++)
			status[i] = (struct cg_limit_status){.configured = l->value[i],
							     .actual = l->value[i],
							     .reason = "nothing of it runs"};
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
	_cleanup_close_ int fd = open_cgroup(tenant, id, err);
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
	tenant = open_place(r, tenant_id, err);
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
	k = write_sums(r, tenant, tenant_id, err);
	drop_empty_tenant(r, tenant_id);
	return k;
}
