/* SPDX-License-Identifier: Apache-2.0 */
/* The rig's cgroups: a list. These definitions win over those of cgroups/ when the test is linked.
 */
#pragma once

#include "tests/unit/instance/rig_world.h"

static inline void guest_ends(const char *id, enum keeper_exit how, uint32_t status);

static inline struct rig_cgroup *cgroup_find(const char *id)
{
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (str_eq(rig->cgroups[i].id, id))
			return &rig->cgroups[i];
	return NULL;
}

static inline struct rig_cgroup *cgroup_add(const char *tenant, const char *id)
{
	struct rig_cgroup *c = &rig->cgroups[rig->n_cgroups++];

	assert_true(rig->n_cgroups <= GUESTS_MAX);
	*c = (struct rig_cgroup){.fd = -1};
	(void)str_copy(c->id, sizeof(c->id), id);
	(void)str_copy(c->tenant, sizeof(c->tenant), tenant);
	return c;
}

int cg_root_open(const char *path, const char *const *required, struct cg_root *ret,
		 struct err *err)
{
	(void)path;
	(void)required;
	(void)err;
	*ret = CG_ROOT_INIT;
	ret->host.memory_recursiveprot = true;
	return 0;
}

void cg_root_done(struct cg_root *r)
{
	*r = CG_ROOT_INIT;
}

bool cg_root_has(const struct cg_root *r, const char *controller)
{
	(void)r;
	(void)controller;
	return true;
}

void cg_instance_path(const struct cg_root *r, const char *tenant_id, const char *id,
		      char dst[CG_PATH_MAX])
{
	(void)r;
	(void)str_fmt(dst, CG_PATH_MAX, "/cg/%s/%s", tenant_id, id);
}

int cg_root_recount(struct cg_root *r, struct err *err)
{
	(void)r;
	(void)err;
	return 0;
}

/* As a new directory has them. */
static inline void take_cpus(struct rig_cgroup *c, const struct cg_instance_spec *spec)
{
	(void)str_copy(c->tenant, sizeof(c->tenant), spec->tenant_id);
	CPU_ZERO(&c->cpus);
	if (spec->cpus)
		c->cpus = *spec->cpus;
}

static inline void open_both(struct cg_instance *ret, const char *tenant_id, const char *id)
{
	*ret = CG_INSTANCE_INIT;
	(void)str_copy(ret->id, sizeof(ret->id), id);
	(void)str_copy(ret->tenant_id, sizeof(ret->tenant_id), tenant_id);
	ret->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ret->guest = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (str_eq(rig->cgroups[i].id, id))
			rig->cgroups[i].fd = ret->fd;
		else if (rig->cgroups[i].fd == ret->fd)
			rig->cgroups[i].fd = -1; /* that one was closed */
}

int cg_cpus_effective(int dirfd, cpu_set_t *ret, struct err *err)
{
	(void)dirfd;
	CPU_ZERO(ret);
	for (unsigned c = 0; c < rig->cpus; c++)
		CPU_SET(c, ret);
	if (CPU_COUNT(&rig->dedicated) > 0)
		CPU_XOR(ret, &rig->partition, &rig->dedicated);
	return rig->cpus ? 0 : err_set(err, EIO, "cannot read CPUs");
}

int cg_cpus_get(int dirfd, cpu_set_t *ret, struct err *err)
{
	CPU_ZERO(ret);
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (rig->cgroups[i].fd == dirfd)
			*ret = rig->cgroups[i].cpus;
	(void)err;
	return 0;
}

int cg_cpus_set(int dirfd, const cpu_set_t *cpus, struct err *err)
{
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (rig->cgroups[i].fd == dirfd)
			rig->cgroups[i].cpus = *cpus;
	(void)err;
	return 0;
}

const char *cg_dedicated_why_not(const struct cg_root *r)
{
	(void)r;
	return rig->has_no_partitions ? "no partitions" : NULL;
}

bool cg_dedicated_get(const struct cg_root *r, cpu_set_t *ret)
{
	(void)r;
	*ret = rig->dedicated;
	return !rig->is_half_dedicated;
}

int cg_dedicated_set(struct cg_root *r, const cpu_set_t *machine, const cpu_set_t *all,
		     const cpu_set_t *dedicated, struct err *err)
{
	(void)r;
	(void)machine;
	if (rig->refuses_partitions)
		return err_set(err, EIO, "the kernel says 'root invalid'");
	rig->dedicated = *dedicated;
	rig->partition = *all;
	rig->is_half_dedicated = false;
	return 0;
}

int cg_instance_create(struct cg_root *r, const struct cg_instance_spec *spec,
		       struct cg_instance *ret, struct cg_limit_status *status, struct err *err)
{
	struct rig_cgroup *c = cgroup_find(spec->id);

	(void)r;
	(void)status;
	if (c && str_eq(c->tenant, spec->tenant_id) && rig->busy)
		return err_set(err, EBUSY, "processes live there");
	if (!c)
		c = cgroup_add(spec->tenant_id, spec->id);
	c->limits = *spec->limits;
	take_cpus(c, spec);
	open_both(ret, spec->tenant_id, spec->id);
	return 0;
}

int cg_instance_open(const struct cg_root *r, const char *tenant_id, const char *id,
		     struct cg_instance *ret, struct err *err)
{
	(void)r;
	if (!cgroup_find(id) || !str_eq(cgroup_find(id)->tenant, tenant_id))
		return err_set(err, ENOENT, "no cgroup '%s'", id);
	open_both(ret, tenant_id, id);
	return 0;
}

void cg_instance_done(struct cg_instance *i)
{
	cleanup_close(&i->fd);
	cleanup_close(&i->guest);
	i->fd = i->guest = -1;
}

/* Limits of memory below its use wait for a job, as the kernel would reclaim. */
static inline void write_limits(struct rig_cgroup *c, const struct cg_limits *l, unsigned flags,
				struct cg_limit_status *status)
{
	const struct cg_limits old = c->limits;

	c->limits = *l;
	for (int n = 0; n < CG_LIMIT_MAX; n++) {
		bool is_low = (n == CG_LIMIT_MEMORY_MAX || n == CG_LIMIT_MEMORY_HIGH) &&
			      l->value[n] < rig->memory_used;

		status[n] = (struct cg_limit_status){.configured = l->value[n], .effective = true};
		if (!(flags & CG_APPLY_DEFER) || !is_low)
			continue;
		c->limits.value[n] = old.value[n];
		status[n].is_owed = l->value[n] != old.value[n];
	}
}

/* What the job has written, if it was the kernel's will. */
int cg_instance_get(const struct cg_instance *i, enum cg_limit limit, uint64_t *ret,
		    struct err *err)
{
	struct rig_cgroup *c = cgroup_find(i->id);
	char name[64], text[64] = "";

	assert_true(str_fmt(name, sizeof(name), "%s/wrote-%s", rig->dir, cg_limit_file(limit)) >=
		    0);
	if (!c)
		return err_set(err, ENOENT, "no cgroup '%s'", i->id);
	if (file_read_short_at(AT_FDCWD, name, text, sizeof(text), NULL) > 0) {
		assert_int_equal(cg_limit_parse(limit, text, &c->limits.value[limit]), 0);
		assert_int_equal(unlink(name), 0);
	}
	*ret = c->limits.value[limit];
	return 0;
}

int cg_instance_apply(struct cg_root *r, const struct cg_instance *i, const struct cg_limits *l,
		      unsigned flags, struct cg_limit_status *status, struct err *err)
{
	struct rig_cgroup *c = cgroup_find(i->id);

	(void)r;
	if (!c)
		return err_set(err, ENOENT, "no cgroup '%s'", i->id);
	if (!(flags & CG_APPLY_FORCE) && l->value[CG_LIMIT_MEMORY_MAX] < rig->memory_used)
		return err_set(err, EBUSY, "cannot lower 'memory.limit': in use");
	if (flags & CG_APPLY_CHECK)
		return 0;
	if (rig->limits_fail) {
		rig->limits_fail--;
		return err_set(err, EIO, "cannot set 'pids': the kernel holds another");
	}
	write_limits(c, l, flags, status);
	return 0;
}

int cg_tenant_apply(struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		    unsigned flags, struct cg_limit_status *status, struct err *err)
{
	(void)r;
	(void)tenant_id;
	(void)status;
	if (!(flags & CG_APPLY_FORCE) && l->value[CG_LIMIT_MEMORY_MAX] < rig->tenant_memory_used)
		return err_set(err, EBUSY, "cannot lower 'memory.limit': in use");
	rig->tenant_limits = *l;
	return 0;
}

int cg_tenant_read(const struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		   struct cg_limit_status *status, struct err *err)
{
	(void)r;
	(void)tenant_id;
	(void)err;
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		status[i] = (struct cg_limit_status){.effective = l->value[i] ==
								  rig->tenant_limits.value[i],
						     .configured = l->value[i],
						     .actual = rig->tenant_limits.value[i]};
	return 0;
}

int cg_instance_remove(struct cg_root *r, const char *tenant_id, const char *id, unsigned flags,
		       int timeout_ms, struct err *err)
{
	struct rig_cgroup *c = cgroup_find(id);

	(void)r;
	if (timeout_ms > rig->timeout_ms)
		rig->timeout_ms = timeout_ms;
	if (!c || !str_eq(c->tenant, tenant_id))
		return 0;
	if (flags & CG_REMOVE_KILL)
		guest_ends(id, KEEPER_EXIT_KILLED, SIGKILL);
	if (rig->busy) {
		rig->busy--;
		return err_set(err, EBUSY, "processes live there");
	}
	*c = rig->cgroups[--rig->n_cgroups];
	return 0;
}

int cg_walk(const struct cg_root *r,
	    int (*visit)(void *arg, const struct cg_found *f, struct err *err), void *arg,
	    struct err *err)
{
	(void)r;
	for (size_t i = 0; i < rig->n_cgroups; i++) {
		const struct cg_found f = {.tenant_id = rig->cgroups[i].tenant,
					   .id = rig->cgroups[i].id,
					   .valid = true,
					   .populated = !rig->cgroups[i].is_empty};
		int k = visit(arg, &f, err);

		if (k < 0)
			return k;
	}
	return 0;
}

/* Guests of the rig are no first processes of a namespace: nothing is found by its cgroup. */
int cg_instance_dir(const struct cg_root *r, const char *tenant_id, const char *id, struct err *err)
{
	(void)r;
	(void)tenant_id;
	return err_set(err, ENOENT, "no cgroup '%s'", id);
}

int cg_procs_walk(int dirfd, int (*visit)(void *arg, pid_t pid, struct err *err), void *arg,
		  struct err *err)
{
	(void)dirfd;
	(void)visit;
	(void)arg;
	(void)err;
	return 0;
}

int cg_session_walk(const struct cg_instance *i,
		    int (*visit)(void *arg, const struct cg_session *s), void *arg, struct err *err)
{
	(void)i;
	(void)visit;
	(void)arg;
	(void)err;
	return 0;
}

int cg_session_create(const struct cg_instance *i, struct cg_session *ret, struct err *err)
{
	(void)i;
	*ret = CG_SESSION_INIT;
	return err_set(err, EOPNOTSUPP, "not here");
}

int cg_session_remove(const struct cg_instance *i, const struct cg_session *s, struct err *err)
{
	(void)i;
	(void)s;
	(void)err;
	return 0;
}

void cg_session_done(struct cg_session *s)
{
	s->fd = -1;
}

int cg_kill(int dirfd, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (rig->cgroups[i].fd == dirfd)
			guest_ends(rig->cgroups[i].id, KEEPER_EXIT_KILLED, SIGKILL);
	return 0;
}

static inline struct rig_cgroup *cgroup_of_fd(int fd)
{
	for (size_t i = 0; i < rig->n_cgroups; i++)
		if (rig->cgroups[i].fd == fd)
			return &rig->cgroups[i];
	return NULL;
}

static inline int set_frozen(int dirfd, bool is_frozen, struct err *err)
{
	struct rig_cgroup *c = cgroup_of_fd(dirfd);

	if (!c)
		return err_set(err, ENODEV, "no such cgroup");
	c->is_frozen = is_frozen;
	return 0;
}

int cg_freeze(int dirfd, int timeout_ms, struct err *err)
{
	assert_int_equal(timeout_ms, 0);
	rig->freezes++;
	return set_frozen(dirfd, true, err);
}

int cg_thaw(int dirfd, int timeout_ms, struct err *err)
{
	assert_int_equal(timeout_ms, 0);
	rig->thaws++;
	return set_frozen(dirfd, false, err);
}

int cg_events_get(int dirfd, struct cg_events *ret, struct err *err)
{
	const struct rig_cgroup *c = cgroup_of_fd(dirfd);

	if (!c)
		return err_set(err, ENODEV, "no such cgroup");
	*ret = (struct cg_events){.populated = true, .frozen = c->is_frozen && !rig->never_freezes};
	return 0;
}

const char *cg_strain_why_not(int dirfd)
{
	(void)dirfd;
	return rig->strain_why_not;
}

int cg_stall_get(int dirfd, struct cg_stall *ret, struct err *err)
{
	const struct rig_cgroup *c = cgroup_of_fd(dirfd);

	if (!c)
		return err_set(err, ENODEV, "no such cgroup");
	*ret = c->stall;
	return 0;
}

int cg_refaults_get(int dirfd, struct cg_refaults *ret, struct err *err)
{
	const struct rig_cgroup *c = cgroup_of_fd(dirfd);

	if (!c)
		return err_set(err, ENODEV, "no such cgroup");
	*ret = c->refaults;
	return 0;
}

int cg_stats_reader_open(int dirfd, struct cg_stats_reader *ret, struct err *err)
{
	(void)dirfd;
	(void)err;
	*ret = CG_STATS_READER_INIT;
	return 0;
}

void cg_stats_reader_done(struct cg_stats_reader *r)
{
	*r = CG_STATS_READER_INIT;
}

int cg_stats_read(const struct cg_stats_reader *r, struct cg_stats *ret, struct err *err)
{
	(void)r;
	(void)err;
	*ret = (struct cg_stats){0};
	return 0;
}

/* The host has what rig->devices names, "/dev/" left out. */
int cg_device_lists_read(struct cg_device_lists *ret, struct err *err)
{
	(void)err;
	*ret = (struct cg_device_lists){.devices = NULL};
	return 0;
}

void cg_device_lists_done(struct cg_device_lists *l)
{
	(void)l;
}

int cg_device_find(int dev, const struct cg_device_lists *lists, const char *name,
		   struct cg_device *ret, struct err *err)
{
	assert_true(dev >= 0 && lists);
	for (size_t i = 0; i < sizeof(rig->devices) / sizeof(rig->devices[0]); i++)
		if (rig->devices[i] && str_eq(rig->devices[i], name)) {
			*ret = (struct cg_device){226, 128 + (uint32_t)i, 0660};
			return 0;
		}
	return err_set(err, ENOENT, "/dev/%s: the host has no such device", name);
}

int cg_devices_load(const struct cg_device_set *set, struct err *err)
{
	if (rig->has_fences)
		rig->fence = *set;
	return rig->has_fences ? open("/dev/null", O_RDWR | O_CLOEXEC)
			       : err_set(err, EPERM, "cannot load the device program: not here");
}

int cg_devices_attach(int cgroup, int prog, struct err *err)
{
	struct rig_cgroup *c = cgroup_of_fd(cgroup);

	if (!rig->has_fences || prog < 0 || !c)
		return err_set(err, EPERM, "cannot attach the device program: not here");
	c->is_fenced = true;
	return 0;
}

int cg_devices_is_attached(int cgroup, struct err *err)
{
	const struct rig_cgroup *c = cgroup_of_fd(cgroup);

	(void)err;
	return c && c->is_fenced;
}

/* So does a tmpfs. A directory of the rig's has files as well. */
int sbx_mount_new(const char *type, const struct sbx_mount_option *options, uint64_t attrs,
		  struct err *err)
{
	char path[128];

	assert_string_equal(type, "tmpfs");
	assert_non_null(options);
	assert_int_equal(attrs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (rig->has_no_views)
		return err_set(err, EPERM, "cannot make a tmpfs");
	(void)str_fmt(path, sizeof(path), "%s/views-%u", rig->dir, rig->n_views++);
	assert_int_equal(mkdir(path, 0700), 0);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A detached mount needs privileges; a descriptor is a descriptor. */
int open_tree(int dfd, const char *filename, unsigned flags)
{
	(void)filename;
	(void)flags;
	return fcntl(dfd, F_DUPFD_CLOEXEC, 3);
}
