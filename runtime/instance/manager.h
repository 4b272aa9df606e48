/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The brain: all instances of this host, their life, and everything that acts on them. Single
 * threaded, lives in one sd-event loop and never blocks it. The database is the truth of what is
 * wanted, the kernel the truth of what runs; memory answers.
 *
 * Calls that act return an operation which is not in the database yet: watch it for
 * OP_WHEN_COMMITTED before telling its id to anybody. Errors found at once (bad names, wrong state,
 * no capacity) are returned instead and leave nothing behind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "config/check.h"
#include "config/host.h"
#include "images/store.h"
#include "runtime/instance/admission.h"
#include "runtime/instance/catalog.h"
#include "runtime/instance/instance.h"
#include "runtime/instance/job.h"
#include "runtime/instance/op.h"

struct cg_root;
struct store;

struct inst_config {
	sd_event *event;
	const struct spec_host *host; /* borrowed for the life of the manager */
	struct store *store;	      /* opened, not started; borrowed */
	const char *keeper_path;      /* program */
	const char *keeper_socket;    /* NULL = "keeper.sock" in the run directory */
	const char *job_path;	      /* program */
	const char *seccomp_profile;  /* file; NULL = the shipped default */
	const char *filter_rules;     /* file; NULL = the shipped ones */
	const char *cgroup_root;      /* NULL = "vpsd" at the top of the mount */
	const char *cpu_dir;	      /* what the machine has; NULL = "/sys/devices/system/cpu" */
	const char *cpuinfo_path;     /* what it says of them; NULL = "/proc/cpuinfo" */
};

/* Loads everything from the database, opens pool, cgroup root and run directory. Then the caller
 * starts the store (store_start) and the manager. */
int inst_manager_new(const struct inst_config *c, struct inst_manager **ret, struct err *err);
/* Connects to the keeper (starting one when there is none), compiles the seccomp profile,
 * reconciles, starts what is wanted. 'ready' is called once when operations are accepted: err NULL,
 * or why this host cannot run guests. Until then acting calls give -EAGAIN, reading ones answer. */
int inst_manager_start(struct inst_manager *m, void (*ready)(void *arg, const struct err *err),
		       void *arg, struct err *err);
/* Guests go on. Flush the store before. NULL is fine. */
void inst_manager_free(struct inst_manager *m);

/* --- reading ------------------------------------------------------------------------------- */

/* NULL: none. */
struct inst *inst_find(const struct inst_manager *m, const char *tenant, const char *name);
struct inst *inst_find_by_id(const struct inst_manager *m, const char *id);
/* In the order of full names: i from 0; NULL = end. */
struct inst *inst_at(const struct inst_manager *m, size_t i);
size_t inst_count(const struct inst_manager *m);
const struct catalog *inst_catalog(const struct inst_manager *m);
struct op_ring *inst_ops(const struct inst_manager *m);
const struct spec_host *inst_host(const struct inst_manager *m);
const struct cg_root *inst_cgroups(const struct inst_manager *m);
const struct img_store *inst_images(const struct inst_manager *m);
struct job_pool *inst_jobs(const struct inst_manager *m);
/* What this host can enforce, looked up anew; ends with a NULL name. */
const struct spec_support *inst_support(struct inst_manager *m);
/* Pid of the keeper, 0 while there is no connection. */
pid_t inst_keeper_pid(const struct inst_manager *m);
bool inst_is_ready(const struct inst_manager *m);

/* While a host is locked no instances are created on it; those that are there are not touched. */
struct inst_lock {
	bool is_locked;
	uint64_t since; /* seconds since the epoch */
	char reason[INST_REASON_TEXT];
};

const struct inst_lock *inst_host_lock(const struct inst_manager *m);

struct inst_capacity {
	struct admission_status resources[ADMISSION_RESOURCE_MAX];
	/* Now, in the resource's unit: of cores, memory and pids by all guests, of the disk by
	 * everything on the pool's file system. JSON_UNLIMITED = the kernel does not say. */
	uint64_t used[ADMISSION_RESOURCE_MAX];
	uint64_t ids_free; /* id ranges */
	struct img_space pool;
	unsigned instances;
	unsigned running;
};

/* The ceilings of a tenant's cgroup, as asked and as the kernel holds them. */
int inst_tenant_limits(const struct inst_manager *m, const struct inst_tenant *t,
		       struct cg_limit_status ret[CG_LIMIT_MAX], struct err *err);
/* What is sold of the host, and what is in use of it. */
int inst_capacity(const struct inst_manager *m, struct inst_capacity *ret, struct err *err);

/* fd (O_RDONLY|O_DIRECTORY|O_CLOEXEC, the caller's) of the directory with the console log of an
 * instance. See runtime/keeper/ for the names in it. */
int inst_log_dir(const struct inst *i, struct err *err);

/* --- acting -------------------------------------------------------------------------------- */

struct inst_create {
	const char *tenant;		  /* must exist */
	const struct spec_instance *spec; /* copied; spec_instance_from_json() has checked it */
	bool start;			  /* desired state "running" */
	bool by_file;			  /* for apply.c */
};

int inst_create(struct inst_manager *m, const struct inst_create *req, struct op **ret,
		struct err *err);
int inst_start(struct inst *i, struct op **ret, struct err *err);
/* timeout_usec 0 = the host's stop_timeout. 'force' kills at once; while an unforced stop is
 * pending it hastens that one and returns its operation. */
int inst_stop(struct inst *i, uint64_t timeout_usec, bool force, struct op **ret, struct err *err);
/* A stopped instance is started. */
int inst_restart(struct inst *i, uint64_t timeout_usec, bool force, struct op **ret,
		 struct err *err);
/* Keeps it from running until inst_resume(), over restarts of vpsd and of the host. A guest is
 * frozen where it is, or stopped in order; what was wanted of it is remembered. When it cannot be
 * frozen within a few seconds the operation fails and the guest goes on. 'reason' NULL: as it was.
 * One that is suspended gets the new mode and reason. -EOPNOTSUPP: a mode that is not there yet. */
int inst_suspend(struct inst *i, enum inst_suspend mode, const char *reason, struct op **ret,
		 struct err *err);
/* The end of it: a frozen guest goes on, one that is wanted running and is not is started. */
int inst_resume(struct inst *i, struct op **ret, struct err *err);
/* Sets or clears spec.protected, as the API's own field. */
int inst_protect(struct inst *i, bool protected, struct op **ret, struct err *err);
/* Refused with -EPERM when protected, with -EBUSY when it runs and not 'force'. */
int inst_delete(struct inst *i, bool force, struct op **ret, struct err *err);
/* Changes the wanted fields to those of 'spec' (name and image must be the same): live where the
 * kernel allows it. Limits of a running instance are committed after the kernel has them; when it
 * refuses them, nothing has changed. 'file_fields' are the new bits. */
int inst_change(struct inst *i, const struct spec_instance *spec, uint32_t file_fields,
		struct op **ret, struct err *err);

/* What an instance shall be. */
struct inst_wish {
	const struct spec_instance *spec;
	uint32_t file_fields;	   /* bits 1u << enum inst_field */
	bool force;		   /* limits may go below what is in use */
	struct problems *problems; /* all that is wrong, with -EINVAL; NULL = the first is enough */
};

/* As inst_change(). The operation's result is {"restart_needed": whether something of this change
 * waits for the next start}, with "warning" where something does not hold in the kernel. */
int inst_change_to(struct inst *i, const struct inst_wish *wish, struct op **ret, struct err *err);

struct inst_exec {
	char *const *argv; /* NULL-terminated, at least one word */
	char *const *envp; /* NULL-terminated "K=V" besides the fixed ones; NULL = none */
	const char *cwd;   /* absolute inside; NULL = "/" */
	const char *user;  /* "root", "UID" or "UID:GID"; NULL = "0:0" */
	bool tty;
	uint16_t rows, cols; /* 0 = 24 x 80 */
	bool pass_fds;	     /* enum keeper_session_mode */
};

/* Checks everything that can be checked before the client is told "101": state, words, user. */
int inst_exec_check(const struct inst *i, const struct inst_exec *req, struct err *err);
/* Hands the client's socket (consumed always; "101 Switching Protocols" has been sent on it) and
 * what was read behind the request to the keeper. What goes wrong later is told to the client as a
 * FRAME_ERROR. */
int inst_exec(struct inst *i, const struct inst_exec *req, int client, const void *early,
	      size_t early_len, struct err *err);
int inst_console_check(const struct inst *i, struct err *err);
int inst_console(struct inst *i, bool readonly, int client, const void *early, size_t early_len,
		 struct err *err);

/* Parses "root", "1000", "1000:100" (gid = uid's number where it is not given; "root" = 0:0).
 * -EINVAL: names are not resolved, as neither the host's nor the guest's files decide here. */
int inst_user_parse(const char *text, uint32_t *ret_uid, uint32_t *ret_gid, struct err *err);

/* Locks the host (reason NULL = none, again = a new reason) or unlocks it; 'done' is called when
 * that is committed (or could not be). */
typedef void (*inst_done_fn)(void *arg, const struct err *err);
int inst_lock_host(struct inst_manager *m, const char *reason, inst_done_fn done, void *arg,
		   struct err *err);
int inst_unlock_host(struct inst_manager *m, inst_done_fn done, void *arg, struct err *err);

/* --- catalogue ----------------------------------------------------------------------------- */

/* Adds a plan; the same content again is success, another one -EEXIST. 'spec' is copied; 'done' is
 * called when it is committed (or could not be). */
int inst_plan_add(struct inst_manager *m, const struct spec_plan *spec, inst_done_fn done,
		  void *arg, struct err *err);

/* Starts an import from a stream: write the archive to job_stdin(*ret_job), job_stdin_close() at
 * its end, job_cancel() when the client goes away. *ret_job is valid until the operation ends.
 * expect_digest may be NULL; size 0 = not known. Several run side by side, one for each name
 * (-EBUSY). The result of the operation is the manifest with "name" and "existed". */
int inst_image_import(struct inst_manager *m, const char *name, const char *expect_digest,
		      uint64_t size, struct op **ret, struct job **ret_job, struct err *err);
int inst_image_build(struct inst_manager *m, const char *name, const char *release, struct op **ret,
		     struct err *err);
/* -EBUSY while an instance uses it. */
int inst_image_delete(struct inst_manager *m, const char *name, struct op **ret, struct err *err);

/* --- waiting ------------------------------------------------------------------------------- */

struct inst_wait;

/* Calls fn once when the state is reached ("running" is reached by "ready" too), at once when it is
 * (*ret NULL then), or with gone = true when the instance was deleted. */
typedef void (*inst_wait_fn)(void *arg, struct inst *i, bool gone);
int inst_wait(struct inst *i, enum inst_state state, inst_wait_fn fn, void *arg,
	      struct inst_wait **ret, struct err *err);
/* NULL is fine. A wait that was called is gone already. */
void inst_wait_cancel(struct inst_wait *w);

/* Called after each change of state, of the wanted state, creation and deletion. One hook. */
typedef void (*inst_event_fn)(void *arg, const struct inst *i, const char *what);
void inst_on_event(struct inst_manager *m, inst_event_fn fn, void *arg);
