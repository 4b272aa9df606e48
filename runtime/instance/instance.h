/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instance as the registry holds it. Fields are read by the API and written by this folder
 * alone; pointers stay valid until the event loop goes on.
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"
#include "cgroups/limits.h"
#include "cgroups/stats.h"
#include "cgroups/tree.h"
#include "config/check.h"
#include "config/plan.h"
#include "config/tenant.h"
#include "images/manifest.h"
#include "runtime/instance/addresses.h"
#include "runtime/keeper/proto.h"

struct inst_manager;
struct inst_plan;
struct inst_tenant;
struct inst_private;
struct op;

enum inst_state {
	INST_STOPPED,
	INST_STARTING,
	INST_RUNNING,
	INST_READY, /* its init says that the boot is complete */
	INST_STOPPING,
	INST_FAILED,	/* given up after repeated failures; a start clears it */
	INST_SUSPENDED, /* see 'suspension'; its guest is frozen or cut off, or there is none */
	INST_STATE_MAX,
};

/* Numbers stand in the database: append only. */
enum inst_desired {
	INST_WANT_STOPPED,
	INST_WANT_RUNNING,
	INST_DESIRED_MAX,
};

/* Numbers stand in the database: append only. */
enum inst_phase {
	INST_PHASE_CREATING, /* finished or undone at the next start of vpsd */
	INST_PHASE_PRESENT,
	INST_PHASE_DELETING, /* finished at the next start of vpsd */
	INST_PHASE_MAX,
};

/* What a suspension does to the guest. Numbers stand in the database: append only. */
enum inst_suspend {
	INST_SUSPEND_NONE,
	INST_SUSPEND_FREEZE,  /* its processes stand still */
	INST_SUSPEND_STOP,    /* it is shut down in order */
	INST_SUSPEND_NETWORK, /* it is cut off, and goes on */
	INST_SUSPEND_MAX,
};

/* Whose it is. Numbers stand in the database: append only. */
enum inst_suspend_by {
	INST_SUSPEND_BY_OPERATOR,
	INST_SUSPEND_BY_TRANSFER, /* of the plan, which is used up: until it is not */
	INST_SUSPEND_BY_MAX,
};

#define INST_REASON_TEXT 256

/* While it is in force nothing starts the instance. */
struct inst_suspension {
	enum inst_suspend mode; /* INST_SUSPEND_NONE: not suspended, the rest means nothing */
	enum inst_suspend_by by;
	uint64_t since; /* seconds since the epoch: of the first, when the mode changed */
	char reason[INST_REASON_TEXT]; /* for people; "" = none was given */
};

/* Fields of an instance that a document and the API can write; bit numbers stand in the database:
 * append only. The rows are in apply_diff.c. */
enum inst_field {
	INST_FIELD_PLAN,
	INST_FIELD_IMAGE,
	INST_FIELD_HOSTNAME,
	INST_FIELD_LABELS,
	INST_FIELD_PROTECTED,
	INST_FIELD_NETWORK,
	INST_FIELD_FIREWALL,
	INST_FIELD_AUTOSTART,
	INST_FIELD_SSH_KEYS,
	INST_FIELD_USER_DATA,
	INST_FIELD_PASSWORD_HASH,
	INST_FIELD_TIMEZONE,
	INST_FIELD_OVERRIDES,
	INST_FIELD_MAX,
};

/* What is known of a guest that is or was stuck at its memory limit, since vpsd runs. */
struct inst_thrash {
	uint64_t since;	   /* seconds since the epoch: it thrashes and was acted on; 0 = no */
	bool is_throttled; /* its reads are held back */
	uint64_t last;	   /* seconds since the epoch of the last action; 0 = none */
	unsigned actions;
};

struct inst {
	char id[ID_TEXT];
	struct inst_manager *manager;
	struct inst_tenant *tenant; /* never NULL */
	struct inst_plan *plan;	    /* never NULL */
	char full_name[130];	    /* "acme/web1" */
	struct spec_instance spec;  /* name, image, hostname, labels, ... as wanted */
	struct spec_plan effective; /* the plan with the overrides on top */
	char digest[IMG_DIGEST_TEXT];
	struct inst_net net;  /* what was given out for spec.network */
	uint64_t range;	      /* index of its id range */
	uint32_t base;	      /* first host id */
	bool by_file;	      /* a file created it: prune may delete it */
	uint32_t file_fields; /* bits 1u << enum inst_field that a file wrote last */
	uint64_t created;     /* seconds since the epoch */

	enum inst_phase phase;
	enum inst_desired desired;
	enum inst_state state;
	struct inst_suspension suspension;
	struct op *op; /* the pending operation, NULL = none */

	uint64_t boot;	  /* number of the last start, 0 = never */
	uint64_t started; /* seconds since the epoch, of the present boot; 0 = does not run */
	pid_t pid;	  /* of its init on the host; 0 = does not run */
	uint64_t pid_start;
	int pidfd;   /* -1 = does not run */
	int console; /* duplicate of the console's master; -1 = none */
	enum keeper_exit last_exit;
	uint32_t failures;   /* quick ends in a row */
	uint64_t retry_at;   /* seconds since the epoch of the next try after a failure; 0 = none */
	char error[600];     /* why it failed or does not run though wanted; "" = nothing */
	bool restart_needed; /* while it is up: a changed field takes effect at the next start */

	struct inst_thrash thrash;
	struct cg_limit_status limits[CG_LIMIT_MAX]; /* as last applied or checked */
	bool has_limits;			     /* limits[] was read from the kernel */
	bool has_device_fence; /* while it is up: its device program is attached */

	struct inst_private *p;
};

/* "stopped", ...; NULL when out of range. */
const char *inst_state_name(enum inst_state state);
/* Negative: no such state. */
int inst_state_from_name(const char *name);
const char *inst_desired_name(enum inst_desired desired);
/* "freeze", ...; NULL for INST_SUSPEND_NONE and out of range. */
const char *inst_suspend_name(enum inst_suspend mode);
/* Negative: no such mode. */
int inst_suspend_from_name(const char *name);
/* "none", "reboot", "poweroff", "killed", "code", "unknown". */
const char *inst_exit_name(enum keeper_exit how);
/* True while a guest lives: running, ready or stopping. */
bool inst_is_up(const struct inst *i);

/* Usage from the kernel, read anew where what was read last is older than 'max_age' microseconds
 * (0: always). -ENODATA when it does not run. memory.events is left out where cgroup2 is mounted
 * with memory_localevents. */
int inst_usage(struct inst *i, uint64_t max_age, struct cg_stats *ret, struct err *err);
/* The CPUs that it may use now, as the kernel says. -ENODATA when it does not run, -ENOENT without
 * the cpuset controller. */
int inst_cpus(const struct inst *i, cpu_set_t *ret, struct err *err);
/* Reads limits[] anew from the kernel; without a cgroup they are "not running", with the
 * configured values. */
int inst_limits_refresh(struct inst *i, struct err *err);
/* What is configured and this host does not enforce, and what the guest runs without. */
void inst_unsupported(const struct inst *i, struct spec_items *ret);
