/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of cgroups: where it stands on this host, and the directories of one instance.
 *
 *	<root>/shared/TENANT_ID/INSTANCE_ID/guest
 *	<root>/dedicated/INSTANCE_ID/guest		with CPUs of its own
 *
 * Limits of the plan are on INSTANCE_ID, the tenant's aggregate above it; `guest` is delegated to
 * the instance's own user ids. A directory of an instance exists while it runs (or is about to):
 * it is made anew for each start and removed after each stop. Ids are 16 lower-case hex digits.
 *
 * Every ancestor carries at least the sum of the memory.min below it, and a tenant's cpu.weight is
 * the sum over its instances: struct cg_root keeps the sums, the functions here that make, change
 * or remove an instance write them. So all of these calls belong to one process, the daemon.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/rand.h"
#include "cgroups/limits.h"

#define CG_PATH_MAX 256
#define CG_NAMES_MAX 256    /* text of a list of controllers */
#define CG_INSTANCE_DEPTH 3 /* levels above INSTANCE_ID up to <root>, for cg_limits_read() */
#define CG_SHARED "shared"
#define CG_DEDICATED                                                                               \
	"dedicated" /* stands for the tenant's id of instances with CPUs of their own */
#define CG_GUEST "guest"

/* What the host's cgroup2 mount offers. */
struct cg_host {
	char mount[CG_PATH_MAX];	/* "/sys/fs/cgroup" or "/sys/fs/cgroup/unified" */
	char controllers[CG_NAMES_MAX]; /* of the mount's root, separated by spaces; "" = none */
	char options[CG_NAMES_MAX];	/* of the superblock, separated by commas */
	bool nsdelegate;		/* without it a guest can change limits of its own top */
	bool memory_recursiveprot; /* without it memory.min does not reach the guest's children */
	bool memory_localevents;   /* memory.events of an instance lacks what happens below it */
};

/* Finds the mount in /proc/self/mountinfo. -ENOENT when there is no cgroup2 mount. */
int cg_host_probe(struct cg_host *ret, struct err *err);
/* The same from the text of a mountinfo file; fills all but the controllers. */
int cg_host_parse(const char *mountinfo, struct cg_host *ret, struct err *err);
/* Turns nsdelegate and memory_recursiveprot on, and keeps the other options. It changes the host
 * for everybody: only on request of its operator. *h is brought up to date. */
int cg_host_set_options(struct cg_host *h, struct err *err);
bool cg_host_has(const struct cg_host *h, const char *controller);

struct cg_tenant_sum {
	char id[ID_TEXT];
	unsigned instances;
	uint64_t weight;     /* sum of cpu.weight */
	uint64_t memory_min; /* sum of memory.min, bytes */
};

struct cg_root {
	struct cg_host host;
	char path[CG_PATH_MAX];		/* of <root>, absolute; for people */
	char controllers[CG_NAMES_MAX]; /* enabled for the levels below <root> */
	int fd;				/* <root> */
	int shared;			/* <root>/shared */
	struct cg_tenant_sum *tenants;	/* sorted by id; private to tree.c */
	size_t n_tenants;
};

#define CG_ROOT_INIT ((struct cg_root){.fd = -1, .shared = -1})
#define _cleanup_cg_root_ _cleanup_(cg_root_done)

/* Opens <root>, making it when absent, and enables the controllers that are made use of from the
 * mount's root down to <root>/shared. 'path' is absolute, below the cgroup2 mount; NULL or "" =
 * "vpsd" at the top of the mount. Under systemd the daemon hands in the path of a delegated scope
 * that it has made (StartTransientUnit, Delegate=yes): this layer never talks to systemd.
 * 'required' is a NULL-terminated list of controllers (NULL = none); when some are missing the
 * error (-EOPNOTSUPP) names all of them. Existing instances are counted into the sums. */
int cg_root_open(const char *path, const char *const *required, struct cg_root *ret,
		 struct err *err);
/* The same directories where they are there, with nothing made, changed or counted: to look and to
 * end what lives below. -ENOENT: there are none. */
int cg_root_find(const char *path, struct cg_root *ret, struct err *err);
void cg_root_done(struct cg_root *r);
bool cg_root_has(const struct cg_root *r, const char *controller);
/* Counts all instances again and writes the sums to all ancestors: after a reconciliation. */
int cg_root_recount(struct cg_root *r, struct err *err);

struct cg_instance {
	char tenant_id[ID_TEXT];
	char id[ID_TEXT];
	int fd;	   /* INSTANCE_ID: limits, stats, events, kill, freeze, devices */
	int guest; /* INSTANCE_ID/guest: for CLONE_INTO_CGROUP; not O_PATH */
};

#define CG_INSTANCE_INIT ((struct cg_instance){.fd = -1, .guest = -1})
#define _cleanup_cg_instance_ _cleanup_(cg_instance_done)

/* Closes the fds; the cgroups stay. */
void cg_instance_done(struct cg_instance *i);

struct cg_instance_spec {
	const char *tenant_id;
	const char *id;
	uint32_t base; /* host id of the guest's root; owner of `guest` */
	const struct cg_limits *limits;
	const struct cg_limits *tenant_limits; /* aggregate ceilings; NULL = leave as they are.
						  Its cpu.weight and memory.min are not used: those
						  are the sums. */
	const cpu_set_t *cpus; /* with CG_DEDICATED: its CPUs, of those that cg_dedicated_set()
				  gave; else NULL */
};

/* Makes the directories of an instance anew: leftovers of an earlier run are removed, bottom up;
 * -EBUSY when processes still live there. On failure nothing is left. 'status' (CG_LIMIT_MAX rows)
 * may be NULL; see cg_limits_apply() for limits that this host cannot hold. */
int cg_instance_create(struct cg_root *r, const struct cg_instance_spec *spec,
		       struct cg_instance *ret, struct cg_limit_status *status, struct err *err);
/* Opens the directories of a running instance; -ENOENT when there are none. */
int cg_instance_open(const struct cg_root *r, const char *tenant_id, const char *id,
		     struct cg_instance *ret, struct err *err);
/* Its directory alone, found by cg_walk(); the limits of it and what lives in it. -ENOENT. */
int cg_instance_dir(const struct cg_root *r, const char *tenant_id, const char *id,
		    struct err *err);
/* The same as an absolute path, for people. */
void cg_instance_path(const struct cg_root *r, const char *tenant_id, const char *id,
		      char dst[CG_PATH_MAX]);
/* Changes the limits of a running instance: cg_limits_apply_flags() and the sums above. On failure
 * all are as they were. */
int cg_instance_apply(struct cg_root *r, const struct cg_instance *i, const struct cg_limits *l,
		      unsigned flags, struct cg_limit_status *status, struct err *err);
/* What the kernel holds of one limit, as cg_limit_get(). */
int cg_instance_get(const struct cg_instance *i, enum cg_limit limit, uint64_t *ret,
		    struct err *err);
/* Changes the ceilings of a tenant; 0 when it has no directory, as nothing of it runs. */
int cg_tenant_apply(struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		    unsigned flags, struct cg_limit_status *status, struct err *err);

/* Reads the ceilings of a tenant from the kernel: cg_limits_read(). */
int cg_tenant_read(const struct cg_root *r, const char *tenant_id, const struct cg_limits *l,
		   struct cg_limit_status *status, struct err *err);
/* The status of one that has no directory. */
void cg_tenant_absent(const struct cg_limits *l, struct cg_limit_status *status);

/* Takes CPUs from everybody for instances below CG_DEDICATED: makes <root> a partition of 'all',
 * and <root>/dedicated one of 'dedicated', a part of it; what is left of 'all' is for
 * <root>/shared, and the host keeps the rest of the machine, at least one CPU. With no dedicated
 * CPU both end, and everybody may use the machine's CPUs. CPUs of an instance that lives must stay.
 * -EIO with the kernel's reason when it does not take it; call it again then, with what was before.
 * (cgroup-v2.rst, cpuset.cpus.partition) */
int cg_dedicated_set(struct cg_root *r, const cpu_set_t *machine, const cpu_set_t *all,
		     const cpu_set_t *dedicated, struct err *err);
/* What is dedicated now, by whatever daemon. False: not in order, cg_dedicated_set() must be
 * called, whatever *ret says. */
bool cg_dedicated_get(const struct cg_root *r, cpu_set_t *ret);
/* Whether the kernel has partitions and <root> lies where it can be one. Else why not, as text. */
const char *cg_dedicated_why_not(const struct cg_root *r);

enum cg_remove_flags {
	CG_REMOVE_KILL = 1u << 0, /* cg_kill() first */
};

/* Removes all directories of an instance, and the tenant's when it was the last. Waits at most
 * timeout_ms for the processes to be gone (0 = not at all: for an event loop, which watches
 * cg_events_open() instead); -EBUSY when some still live then. A missing instance is success. */
int cg_instance_remove(struct cg_root *r, const char *tenant_id, const char *id, unsigned flags,
		       int timeout_ms, struct err *err);

/* A cgroup for one exec session. */
struct cg_session {
	char name[24]; /* "x-<n>" */
	bool outside;  /* a sibling of `guest`, because the guest has used up its descendants: there
			  `systemd-run --scope` and moves to other cgroups fail */
	int fd;	       /* for CLONE_INTO_CGROUP */
};

#define CG_SESSION_INIT ((struct cg_session){.fd = -1})

/* Makes a fresh leaf, owned by the host's root, inside `guest`: `guest` itself refuses processes as
 * soon as systemd inside has enabled controllers. */
int cg_session_create(const struct cg_instance *i, struct cg_session *ret, struct err *err);
/* Removes the leaf; -EBUSY while processes live there, success when it is gone already (the guest
 * can remove an empty one). */
int cg_session_remove(const struct cg_instance *i, const struct cg_session *s, struct err *err);
void cg_session_done(struct cg_session *s);
/* Calls 'visit' for each leaf that cg_session_create() made and that is still there, whoever made
 * it: those of an earlier daemon. Without an fd; the visitor may remove it. What the guest named
 * like that itself is left out. */
int cg_session_walk(const struct cg_instance *i,
		    int (*visit)(void *arg, const struct cg_session *s), void *arg,
		    struct err *err);

/* One directory found by cg_walk(). */
struct cg_found {
	const char *tenant_id;
	const char *id; /* NULL = the tenant's own directory */
	bool valid;	/* false: not named by ids, so none of ours */
	bool populated; /* processes live below it */
};

/* Calls 'visit' for each instance's directory, then for its tenant's; stops on its first negative
 * number and returns that. The visitor may remove what it was called for. */
int cg_walk(const struct cg_root *r,
	    int (*visit)(void *arg, const struct cg_found *f, struct err *err), void *arg,
	    struct err *err);

/* Calls 'visit' for each process in the cgroup and below, in no order; stops on its first negative
 * number and returns that. What appears or goes meanwhile may be missed; below CG_TREE_DEPTH it is.
 */
int cg_procs_walk(int dirfd, int (*visit)(void *arg, pid_t pid, struct err *err), void *arg,
		  struct err *err);

/* Removes the cgroup name below dirfd and all below it, bottom up; directories are opened one by
 * one, never followed by path, at most CG_TREE_DEPTH deep. -EBUSY when processes live there. */
#define CG_TREE_DEPTH 40
int cg_remove_tree(int dirfd, const char *name, struct err *err);
