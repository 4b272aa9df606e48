/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share and nobody else sees. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "cgroups/devices.h"
#include "config/plan.h"
#include "runtime/instance/admission.h"
#include "runtime/instance/alloc.h"
#include "runtime/instance/events.h"
#include "runtime/instance/manager.h"
#include "runtime/instance/network.h"
#include "runtime/instance/policy.h"
#include "runtime/instance/store.h"
#include "runtime/instance/thrash.h"
#include "runtime/instance/usage_private.h"
#include "runtime/keeper/client.h"
#include "runtime/sandbox/sandbox.h"

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define SUPPORT_MAX 48
#define DEVICE_SETS 4 /* combinations of enum cg_device_features */

struct inst_wait {
	struct inst *inst;
	enum inst_state state;
	inst_wait_fn fn;
	void *arg;
	struct inst_wait *prev, *next;
};

/* A cgroup of an exec session that may still be there. */
struct inst_session {
	struct cg_session cg;
	uint64_t serial;
	bool is_pending; /* nobody may live in it yet */
	struct inst_session *next;
};

/* What a change puts in the place of what an instance has: before it is made the new values, then
 * the old ones, to be put back or freed. */
struct inst_change {
	const struct inst *inst; /* NULL = nothing was taken for it yet */
	struct inst_net net;
	struct inst_plan *plan;
	struct spec_instance spec;
	struct spec_plan effective;
	uint32_t file_fields;
	bool restart_needed;
};

/* What an operation replaces, to be put back when it cannot be written. */
struct inst_was {
	enum inst_phase phase;
	enum inst_desired desired;
	enum inst_state state;
	struct inst_suspension suspension;
	bool is_failed, restart_needed;
	uint32_t failures;
	uint64_t retry_at;
	char error[sizeof(((struct inst *)NULL)->error)];
};

/* A device of the plan, as the host has it. */
struct inst_device {
	char path[SBX_NODE_PATH]; /* below /dev */
	struct cg_device device;
};

struct inst_devices {
	struct inst_device items[SPEC_DEVICES_MAX];
	size_t n;
	char why[160]; /* why one of the plan's is not among them; "" = all are */
};

struct inst_private {
	struct cg_instance cg; /* open while a guest lives or is about to */
	struct cg_stats_reader reader;
	bool has_reader;
	bool change_waits; /* the last change takes effect at the next start */
	struct cg_stats stats;
	uint64_t stats_at; /* usec, monotonic; 0 = never */

	struct inst_wait *waits;
	struct inst_session *sessions;
	unsigned owed;		 /* bits of enum cg_limit: not in the kernel yet, reclaim.c */
	struct job *reclaim;	 /* writes one of them */
	enum cg_limit reclaimed; /* which */
	void (*after_reclaim)(struct inst *i, const struct err *err);
	cpu_set_t cpus;	      /* as its cgroup was told; none = those of all */
	bool has_own_cpus;    /* nobody else runs on them */
	int views;	      /* mount with the files that it is shown; -1 = none, or not known */
	cpu_set_t views_cpus; /* as they say; none = to be written */
	char views_why[160];  /* why what it is shown is not right; "" = it is */
	char hostname_done[256]; /* the name that stands in its files */

	/* One timer: time limit of a stop, a retry, waiting for a cgroup to be empty. */
	sd_event_source *timer;
	void (*on_timer)(struct inst *i);
	uint64_t cleanup_delay, cleanup_until; /* usec */
	uint64_t freeze_delay, freeze_until;   /* usec */

	struct inst_links *links; /* of a guest that runs or is about to; NULL = none */
	uint64_t throttle;	  /* transfer_throttle() that all its links have; 0 = not known */
	struct usage_mark marks[NET_NICS]; /* usage.c */
	struct usage_lead leads[NET_NICS]; /* while a table takes over from another */
	bool is_counted;		   /* marks are to be written */
	struct inst_devices devices;	   /* while it is up: what it was started with */
	bool net_changed;		   /* its interfaces are to be written with it */
	bool is_frozen;			   /* its cgroup was told to be */
	bool had_place;			   /* it ran since the host was booted */
	bool is_asked;			   /* the end of this boot was asked for */
	bool is_ending; /* from the end of the guest until it is cleaned up and recorded */
	bool has_said_ready;
	bool is_failed;	    /* given up, as the database has it */
	bool is_own_start;  /* the start under way is ours, nobody asked for it */
	bool is_unknown;    /* the keeper was lost during the launch */
	bool has_loaded_op; /* i->op is of an earlier vpsd */
	/* Its files are being removed, or its rows: whoever ends that frees the instance, so
	 * nothing else may begin. With or without an operation, as one that recovery resumes has
	 * none. */
	bool is_removing;
	bool force;	  /* of the stop under way */
	uint64_t timeout; /* usec, of the stop under way */
	uint64_t exit_boot;
	uint64_t unforgotten;	/* boot whose end could not be recorded; 0 = none */
	uint64_t keeper_until;	/* usec: a start waits so long for a keeper */
	sd_event_source *watch; /* on its pidfd, when no keeper watches it */
	struct inst_was was;
	/* An end that came while an operation was being written. */
	bool has_exit;
	enum keeper_exit exit_how;
	uint32_t exit_status;
	struct policy_verdict verdict; /* on the end that is being recorded */
	void (*after_clean)(struct inst *i);
	bool has_processes;	    /* the last cleaning left some: its ids are not free */
	bool is_claimed;	    /* recovery goes on with the loaded operation */
	struct inst_change *change; /* what a change replaced, until it is written */
	bool is_waiting;	    /* in the queue of starts */
	bool has_slot;		    /* of the starts that go on at once */
	sd_event_source *slot_timer;

	/* What goes on when the guest is gone and that is recorded; NULL = policy decides. */
	void (*after_down)(struct inst *i);
	/* What goes on when the guest runs (err NULL) or did not start. */
	void (*after_up)(struct inst *i, const struct err *err);
	/* What failed, while the undoing goes on. */
	struct err why;
	char why_code[32];

	/* Whether it is stuck at its memory limit: thrash.c. */
	struct thrash_watch watched;
	uint64_t watched_boot;	/* whose readings these are */
	struct job *thrash_job; /* NULL = none under way */
	/* When it was acted on last: what was seen, and for how many seconds it had thrashed. */
	struct thrash_watch thrash_seen;
	uint64_t thrash_seconds;

	/* Events of its own doing: noted lately, since when, and how many were not. */
	unsigned notes_spent, notes_left_out;
	uint64_t notes_since; /* seconds */
};

/* Everything with a keeper: keeper_link.c. */
struct keeper_link {
	struct keeper_client *client; /* NULL = not connected */
	sd_event_source *io, *timer, *child;
	pid_t pid;	  /* as it said; 0 = not yet */
	pid_t spawned;	  /* our child, to be reaped */
	int spawned_fd;	  /* its pidfd; -1 = none */
	uint64_t delay;	  /* usec, of the next try */
	bool is_speaking; /* it said HELLO */
	bool is_listed;	  /* the recovery on this connection is done */
	bool was_started; /* spawned since the last success */
	unsigned tries;
};

/* CPU time of all guests up to a moment. */
struct capacity_sample {
	uint64_t at; /* usec, monotonic; 0 = none */
	uint64_t usage_usec;
};

/* What all guests use: capacity.c. */
struct capacity_usage {
	struct cg_stats_reader reader;
	bool has_reader;
	sd_event_source *timer;
	struct capacity_sample old, last; /* a rate is seen between the last but one and now */
};

struct start_item {
	char id[ID_TEXT];
	uint64_t priority;
};

/* Starts that wait for their turn: start_queue.c. */
struct start_queue {
	struct start_item *items; /* lowest priority first, then first come */
	size_t n;
	size_t n_slots; /* taken */
	bool is_under_way;
};

struct recover_collect;
struct stray;
struct image_flow;
struct image_removal;
struct inst_move;
struct event_log;

struct inst_manager {
	sd_event *event;
	const struct spec_host *host;
	struct store *store;
	char *keeper_path, *keeper_socket, *seccomp_path, *filter_path, *cpu_dir, *cpuinfo_path;
	char *cpuinfo; /* what the machine said of its CPUs; NULL = not asked yet */
	struct cg_root cg;
	struct img_store *images;
	struct job_pool *jobs;
	struct op_ring *ops;
	unsigned n_ended; /* operations since the table of them was pruned */
	struct catalog catalog;
	struct alloc_ranges *ranges;
	struct inst_addresses *addresses; /* addresses.c */
	struct network *network;
	struct usage_book *book; /* traffic */
	struct inst **insts;	 /* sorted by full name */
	size_t n_insts;
	struct admission_host machine;
	struct admission_load load; /* of all instances, by their plans: inst_host_load() */
	struct capacity_usage usage;
	int run_fd; /* the run directory */
	int log_fd; /* "log" in the state directory */
	char boot_id[37];
	bool is_new_boot;
	int seccomp; /* memfd; -1 = not compiled yet */
	struct sbuf seccomp_text;
	int devices[DEVICE_SETS]; /* fds of programs without devices of a plan, by features; -1 =
				     not loaded */
	bool has_device_error;	  /* told once */
	char device_why[160];	  /* why the last guest without a device program has none */
	struct spec_support support[SUPPORT_MAX];
	cpu_set_t dedicated; /* CPUs that the cgroup tree keeps for those that have their own */
	bool dedicated_is_unsure; /* a change of it failed half-way */
	struct cg_disk disk;	  /* under the pool */
	struct keeper_link keeper;
	struct recover_collect *collect; /* a listing under way */
	sd_event_source *claim_timer;	 /* waits for jobs of an earlier vpsd */
	uint64_t claim_until;		 /* usec; 0 = none were met */
	struct stray *strays;
	sd_event_source *stray_timer;
	uint64_t stray_delay, stray_until; /* usec */
	struct inst_lock lock;
	uint64_t freeze_limit; /* usec */
	uint64_t start_limit;  /* usec: a start that hangs is waited for no longer */
	bool is_ready, is_closing;
	void (*ready)(void *arg, const struct err *err);
	void *ready_arg;
	inst_event_fn on_event;
	void *on_event_arg;
	uint64_t session_serial;
	struct image_flow *image_flows; /* imports, builds, deletions not durable yet */
	struct image_removal *removals;
	char pool_owner[64];	/* id of the database that the pool belongs to; "" = nobody's */
	bool keeps_strays;	/* unknown instances may need images and logs that nobody names */
	bool drops_strays;	/* directories of unknown instances were given up */
	struct inst_move *move; /* a resize of many under way; resize_all.c */
	struct start_queue starts;
	struct event_log *events;
	sd_event_source *thrash_timer; /* NULL = nobody is watched */
	size_t thrash_at;	       /* the next one of this round */
	const char *strain_why_not;    /* why that cannot be seen; NULL = it can */
	const char *support_no_io;     /* why limits of the disk cannot be set, as looked up last */
};

/* --- manager.c ----------------------------------------------------------------------------- */

uint64_t now_usec(void);    /* monotonic */
uint64_t now_seconds(void); /* since the epoch */
/* A new instance without tenant and plan, not in the registry. */
struct inst *inst_new(struct inst_manager *m);
void inst_free(struct inst *i);
/* Puts it in: tenant, plan, spec, effective are filled. Counts it in the sums. */
int inst_register(struct inst *i, struct err *err);
/* Takes it out, frees its id range and itself, and tells waiters. */
void inst_unregister(struct inst *i);
/* What it has of the host, of all instances together: by their plans, and what is kept beyond. */
struct admission_load inst_load(const struct inst *i);
struct admission_load inst_host_load(const struct inst_manager *m);
struct admission_load inst_tenant_load(const struct inst_manager *m, const struct inst_tenant *t);
/* Changes the state: waiters, hook, log. */
void inst_set_state(struct inst *i, enum inst_state state);
void inst_event(struct inst *i, const char *what);
/* The state of one that nothing is being done with, by what is there. */
void inst_rest(struct inst *i);
/* -EAGAIN while the manager or its keeper is not ready; -EBUSY while an operation is pending. */
int inst_check_ready(const struct inst_manager *m, struct err *err);
/* -EPERM: the host is locked, nothing is created. */
int inst_check_lock(const struct inst_manager *m, struct err *err);
int inst_check_idle(const struct inst *i, enum policy_verb verb, struct err *err);
void inst_timer_set(struct inst *i, uint64_t usec, void (*fn)(struct inst *i));
void inst_timer_clear(struct inst *i);
/* Looks up what this build, the host's controllers and the disk under the pool can do. */
void manager_probe_support(struct inst_manager *m);

/* --- db.c: rows of this folder ------------------------------------------------------------- */

int db_load(struct inst_manager *m, struct err *err);
void db_add_op(struct store_txn *t, const struct op *op);
void db_end_op(struct store_txn *t, const char *id, const char *code, const struct err *err,
	       const json_t *result);
/* Forgets all ended operations but the last 1000. */
void db_prune_ops(struct store_txn *t);
void db_add_inst(struct store_txn *t, const struct inst *i);
void db_put_inst(struct store_txn *t, const struct inst *i);
void db_drop_inst(struct store_txn *t, const struct inst *i);
void db_add_plan(struct store_txn *t, const struct inst_plan *p);
void db_put_tenant(struct store_txn *t, const struct inst_tenant *tn);
void db_put_image(struct store_txn *t, const struct inst_image *img);
void db_drop_image(struct store_txn *t, const char *name);
void db_put_lock(struct store_txn *t, const struct inst_lock *l);
/* Writes it and drops what is too old. */
void db_add_event(struct store_txn *t, const struct event *e);

/* --- events.c ------------------------------------------------------------------------------ */

struct event_log *event_log_new(void);
/* NULL is fine. Commits that are under way keep it until they are done. */
void event_log_unref(struct event_log *l);
/* One of the database, in the order of cursors; copied but for details, which are taken. */
int event_log_load(struct event_log *l, const struct event *like, const char *message,
		   json_t *details, struct err *err);
/* Something happened to an instance: 'message' is one line or "", details (taken) may be NULL. What
 * cannot be written is logged. */
void inst_note(const struct inst *i, const char *kind, const char *message, json_t *details);
/* The same for a change of its state, which it has now. */
void inst_note_state(const struct inst *i, enum inst_state from);

/* --- thrash.c ------------------------------------------------------------------------------ */

/* Looks at all guests from now on, where the kernel has the figures. */
void thrash_start(struct inst_manager *m);
void thrash_stop(struct inst_manager *m);
/* Why guests are not watched, or what the host document asks for cannot be done; NULL = all is
 * well. 'no_io': why limits of the disk cannot be set; NULL = they can. */
const char *thrash_why_not(const struct inst_manager *m, const char *no_io);
/* Looks at one; what the timer does for each. */
void thrash_look(struct inst *i);
/* Lowers limits of an instance whose reads are held back. */
void thrash_hold_back(const struct inst *i, struct cg_limits *l);
/* Says in limits[] why a limit is lower than configured. */
void thrash_explain(struct inst *i);
/* Ends what is under way for it. */
void thrash_drop(struct inst *i);

/* --- flow.c: operations and their transactions --------------------------------------------- */

/* Submits t and calls next when it is durable (err NULL) or failed. Consumes t. A failure to
 * submit is reported to next as well, from within. */
void inst_commit(struct inst *i, struct store_txn *t,
		 void (*next)(struct inst *i, const struct err *err));
/* Starts an operation: its row and t are one transaction, then next. When that fails the operation
 * has ended, i->op is NULL, and next is called with the error. */
int inst_begin(struct inst *i, enum op_kind kind, void (*next)(struct inst *i, const struct err *),
	       struct op **ret, struct err *err);
/* The end of i->op, with the row of the instance: durable first, then told. Takes result. */
void inst_finish(struct inst *i, const char *code, const struct err *err, json_t *result);
/* The same for an operation without an instance. */
void op_finish(struct inst_manager *m, struct op *op, struct store_txn *t, const char *code,
	       const struct err *err, json_t *result);
/* Writes the row of the instance; a failure is logged. */
void inst_save(struct inst *i);
/* Before an operation changes what is wanted; and back, when it could not be written. */
void inst_remember(struct inst *i);
void inst_restore(struct inst *i);
/* Judges an end that came while an operation was being written. */
void inst_replay_exit(struct inst *i);

/* --- stop.c, suspend.c --------------------------------------------------------------------- */

/* Whether the verb may begin: the manager is ready, nothing is under way, the state allows it. */
int inst_check_verb(const struct inst *i, enum policy_verb verb, struct err *err);
/* Writes the operation, then takes the guest down as after_down has it. inst_remember() was called
 * before; what was changed is put back when it cannot be written. */
int inst_begin_down(struct inst *i, enum op_kind kind, uint64_t timeout_usec, bool force,
		    void (*after_down)(struct inst *i), struct op **ret, struct err *err);
/* after_down of what is done then. */
void inst_down_done(struct inst *i);
/* The refusal of what a suspended one may not do: why, and the way out. */
int inst_refuse_suspended(const struct inst *i, enum policy_verb verb, struct err *err);
/* Brings the cgroup of a guest that was found running into line with the database. */
void inst_freeze_as_wanted(struct inst *i);
/* Goes on with the suspension of an earlier vpsd: waits until all stands still. */
void inst_suspend_again(struct inst *i);
/* Thaws; false after having logged why not. */
bool inst_thaw(struct inst *i);
/* -EINVAL: too long, or no line of text. NULL is fine. */
int inst_check_reason(const char *reason, struct err *err);

/* inst_suspend() by somebody. */
int inst_suspend_by(struct inst *i, enum inst_suspend_by by, enum inst_suspend mode,
		    const char *reason, struct op **ret, struct err *err);

/* --- transfer.c ------------------------------------------------------------------------------ */

/* Whether the plan's transfer of this billing period is used up. */
bool transfer_is_over(const struct inst *i);
/* Bits per second that it has therefore, both ways; JSON_UNLIMITED = those of its plan. */
uint64_t transfer_throttle(const struct inst *i);
/* Warns, and slows down, cuts off or releases whoever it is time for. */
void transfer_judge(struct inst_manager *m);
/* -EBUSY: it is suspended for its transfer, which is still used up. */
int transfer_check_resume(const struct inst *i, struct err *err);

/* --- boot.c, down.c ------------------------------------------------------------------------ */

/* Counts the boot, writes it, launches. i->op is set and after_up says what comes then. */
void inst_boot(struct inst *i);
/* A guest runs: from a launch, a listing or an adoption. Takes the fds. */
void inst_is_running(struct inst *i, uint64_t boot, pid_t pid, uint64_t start, int pidfd,
		     int console);
/* The launch that was under way did not happen, or failed. */
void inst_boot_failed(struct inst *i, const struct err *err);
/* Starts it by itself, with an operation of its own. */
void inst_start_own(struct inst *i);
/* Through the queue, when the time has come. */
void inst_retry_later(struct inst *i, uint32_t seconds);

/* The keeper (or recovery) says that the guest of this boot ended. */
void inst_exited(struct inst *i, uint64_t boot, enum keeper_exit how, uint32_t status);
/* Ends the guest: state stopping, signal, time limit, kill. i->op and after_down are set. */
void inst_take_down(struct inst *i);
/* Removes the cgroup, waiting for its processes to be gone, then calls next. */
void inst_clean_cgroup(struct inst *i, void (*next)(struct inst *i));
/* The same, beginning a moment later: next is not called from within. */
void inst_clean_later(struct inst *i, void (*next)(struct inst *i));
void inst_close_guest(struct inst *i);
/* Tells the keeper of an end whose recording failed at first and has succeeded now. */
void inst_forget_owed(struct inst *i);
/* Sees the end of a guest that no keeper watches. */
void inst_watch_self(struct inst *i);
/* Its init says that the boot is complete. */
void inst_said_ready(struct inst *i);
/* Attaches the device program to its cgroup. -EOPNOTSUPP when that fails and the host document does
 * not tolerate it; has_device_fence is the truth either way. */
int inst_fence_devices(struct inst *i, struct err *err);
/* Adds the device program to what is unsupported, when it runs without. */
void inst_fence_item(const struct inst *i, struct spec_items *ret);
int inst_open_log(const struct inst *i, bool make, struct err *err);
/* Its directory below the run directory, which is made. */
int inst_open_run(const struct inst *i, struct err *err);
/* Go on with a stop or a restart that was interrupted: the guest still runs. */
void inst_restart_again(struct inst *i);
bool inst_resume_down(struct inst *i);
void inst_stop_again(struct inst *i);
/* after_up of starts that somebody asked for. */
void inst_start_done(struct inst *i, const struct err *err);
/* Deletion from the point where the guest is gone; also to finish an interrupted one. */
void inst_delete_rest(struct inst *i);
/* Its directory is made: in memory it is present and stopped. */
void inst_prepared(struct inst *i);
void inst_create_undo(struct inst *i, const char *code, const struct err *err);

/* --- support.c ----------------------------------------------------------------------------- */

/* What of these the host does not keep: limits without a mechanism, and swap where there is none.
 */
void manager_unsupported(const struct inst_manager *m, const struct spec_plan *plan,
			 const struct spec_instance *spec, const struct spec_tenant *tenant,
			 struct spec_items *ret);
/* Refuses what the host cannot enforce and does not tolerate, and a weight beyond what the disk
 * takes. 'was' = the instance that shall have this, NULL = a new one: what it has already stays. */
int inst_check_support(struct inst_manager *m, const struct spec_plan *plan,
		       const struct spec_instance *spec, const struct spec_tenant *tenant,
		       const struct inst *was, struct err *err);

/* --- capacity.c ---------------------------------------------------------------------------- */

int capacity_start(struct inst_manager *m, struct err *err);
void capacity_stop(struct inst_manager *m);
/* -ENOSPC: the tenant's quota or the host has no room for 'new' in the place of what i has; NULL =
 * for one more instance. */
int inst_check_room(const struct inst_manager *m, const struct inst_tenant *t, const struct inst *i,
		    const struct spec_plan *new, struct err *err);
/* -ENOSPC: beside those that run there is no room for it, as the host has become smaller than what
 * was sold. */
int inst_check_start_room(const struct inst *i, struct err *err);
/* Whether a start that comes by itself is put off for that: of one that has not run since the host
 * was booted. Who ran keeps its place. It is logged, shown as the instance's error, and tried again
 * later. */
bool inst_waits_for_room(struct inst *i);

/* --- tenant.c ------------------------------------------------------------------------------ */

/* Ceilings of a tenant's sum. */
void inst_tenant_limits_of(const struct inst_tenant *t, struct cg_limits *ret);
/* Writes the ceilings of all tenants that have instances running, whatever is in use: the database
 * is right. What fails is logged. */
void inst_tenants_to_kernel(struct inst_manager *m);
/* A new tenant, or another document for one that is there; 'done' when it is durable or has failed,
 * which leaves the old one in force. -EBUSY, with nothing changed: more is in use than the new
 * quota. */
int inst_tenant_put(struct inst_manager *m, const struct spec_tenant *spec,
		    void (*done)(void *arg, const struct err *err), void *arg, struct err *err);
/* --- reclaim.c ----------------------------------------------------------------------------- */

/* Writes what inst_change_kernel() has left, with the values that the instance has now, beside the
 * loop. Then next (NULL = a failure is logged): when the kernel holds it, or the guest has ended;
 * from within where nothing was left. */
void inst_reclaim(struct inst *i, void (*next)(struct inst *i, const struct err *err));
/* Its guest ends: what goes on is of no use any more. */
void inst_reclaim_hasten(struct inst *i);

/* --- start_queue.c ------------------------------------------------------------------------- */

/* Puts it in the queue, once. Whether it is to start is looked at when its turn comes. */
void inst_queue_start(struct inst *i);
/* Starts the next ones, as many as there are slots. */
void inst_queue_next(struct inst_manager *m);
/* The guest of a start runs: its slot goes on until it is ready, for a while. */
void inst_slot_started(struct inst *i);
/* Its start is over, if it came from the queue: the next one's turn. */
void inst_slot_leave(struct inst *i);

/* --- cpus.c -------------------------------------------------------------------------------- */

/* Learns which CPUs a cgroup that was found has. */
void inst_cpus_found(struct inst *i);
/* Whether its next start gets it CPUs of its own: where the host cannot, it shares. */
bool inst_cpus_wants_own(const struct inst *i);
/* Before its cgroup is made: takes CPUs from all others for one that is to have its own. -ENOSPC
 * when too few are left. What is not made use of goes back with the next inst_cpus_respread(). */
int inst_cpus_take(struct inst *i, struct err *err);
/* Its cgroup is gone, and so are its CPUs. */
void inst_cpus_gone(struct inst *i);
/* What it has to itself beyond its plan, in thousandths of cores: a change of the plan takes CPUs
 * away at the next start only, and until then nobody else can have them. */
uint64_t inst_cpus_kept(const struct inst *i);
/* Whether a running one gets the CPUs of this plan at its next start only. */
bool inst_cpus_wait(const struct inst *i, const struct spec_plan *plan);
/* Chooses CPUs for all that have a cgroup, and moves those for whom that is another choice: when
 * one comes, goes or changes. What the kernel refuses is logged; that guest stays where it was. */
void inst_cpus_respread(struct inst_manager *m);

/* --- views.c: files that a guest is shown instead of the kernel's --------------------------- */

/* Before a launch, when its CPUs are known: makes i->p->views and has the keeper hold it. A guest
 * for whom that fails sees the kernel's files, which inst_views_item() says. */
void inst_views_make(struct inst *i);
/* A guest that was found running: asks the keeper for what an earlier vpsd has made, or has it hold
 * what there is. */
void inst_views_found(struct inst *i);
/* Writes the files of all for whom something has changed. */
void inst_views_refresh(struct inst_manager *m);
/* The guest is gone. */
void inst_views_close(struct inst *i);
/* And that is recorded, or its launch has failed: the keeper need not hold them. Those of a guest
 * that lives by now are kept. */
void inst_views_drop(struct inst_manager *m, const char *id);
/* Adds what is shown and not right to what is unsupported. */
void inst_views_item(const struct inst *i, struct spec_items *ret);

/* --- others -------------------------------------------------------------------------------- */

void inst_limits_of(const struct inst *i, struct cg_limits *ret);
/* Of a plan with overrides; what is of the disk is of the one under the pool, which is looked up
 * anew. Valid as long as the manager. */
void inst_limits_of_plan(struct inst_manager *m, const struct spec_plan *plan,
			 struct cg_limits *ret);
void inst_sessions_done(struct inst *i);
/* Takes over the leaves of an earlier vpsd's sessions, and removes those that are empty. */
void inst_sessions_found(struct inst *i);
/* -EBUSY, -EAGAIN: nothing of it can be changed now. */
int inst_change_check(const struct inst *i, struct err *err);
/* Fills a change (zero) and checks it against host and quota; to be freed in every case. Where only
 * that check failed, 'effective' is there. */
int inst_change_build(const struct inst *i, const struct inst_wish *wish, struct inst_change *ret,
		      struct err *err);
/* Exchanges the instance's fields with those of c and keeps the sums right. */
void inst_change_swap(struct inst *i, struct inst_change *c);
/* Whether a living guest keeps something of what it has until its next start. */
bool inst_change_waits(const struct inst *i, const struct inst_change *c);
/* Writes the limits of a plan to the kernel, or checks them (enum cg_apply_flags). Nothing to do
 * where no guest lives. What the kernel has to reclaim memory for is left to inst_reclaim(). */
int inst_change_kernel(struct inst *i, const struct spec_plan *plan, unsigned flags,
		       struct err *err);
void inst_change_free(struct inst_change *c);
/* A resize of many goes on no more; at the end of the manager. */
void inst_move_drop(struct inst_manager *m);
/* At vpsd's start: removes images of the pool that have no name and no instance. */
void inst_images_sweep(struct inst_manager *m);
/* At its end, when no job runs any more. */
void inst_images_done(struct inst_manager *m);
int seccomp_start(struct inst_manager *m, struct err *err);
void keeper_link_start(struct inst_manager *m);
void keeper_link_stop(struct inst_manager *m);
/* Asks to be called when records can be sent; after each request. */
void keeper_link_poke(struct inst_manager *m);
/* Lists guests again after a moment: the recovery was not complete. */
void keeper_link_list_later(struct inst_manager *m);
void recover_start(struct inst_manager *m);
void recover_drop(struct inst_manager *m);
/* What the keeper says while it is listing: a guest's item may have been sent before. */
void recover_note_exit(struct inst_manager *m, const char *id, uint64_t boot, uint32_t status,
		       enum keeper_exit how);
void recover_note_ready(struct inst_manager *m, const char *id, uint64_t boot);
/* Reads whose the pool is, once it is open. */
int claim_pool(struct inst_manager *m, struct err *err);
/* True when no job of an earlier vpsd is left. False: not yet, or not at all; manager_start_step()
 * is called then. */
bool claim_jobs(struct inst_manager *m);
/* Waits no longer for them. */
void claim_drop(struct inst_manager *m);
/* What was found and the database does not know: guests that run, directories of instances. Sets
 * what is done with the latter. -EEXIST: there are guests, so nothing may be done here. */
int claim_found(struct inst_manager *m, size_t n_guests, size_t n_dirs, struct err *err);
/* Removes a cgroup of nobody as soon as its processes are gone. */
void stray_add(struct inst_manager *m, const char *tenant_id, const char *id);
void strays_done(struct inst_manager *m);
/* Called by the parts of the start that go side by side. */
void manager_start_step(struct inst_manager *m, const struct err *err);
/* The signal that asks an init to shut down, by the set of signals it handles (bit N - 1). */
int stop_signal_choose(uint64_t handled);
/* The same for a living init. */
int inst_stop_signal(pid_t pid);
/* False while an init has only just begun: what it is asked then is lost. */
bool inst_hears_signals(pid_t pid);
/* Whether it is the first process of a pid namespace that is a child of ours (NSpid of proc(5)):
 * of all that live in a guest's cgroup, its init. */
bool inst_is_init(pid_t pid);

/* --- devices.c: devices of the plan ---------------------------------------------------------- */

/* -EOPNOTSUPP with the first one that the host does not have or no guest gets, unless the host
 * document tolerates that. */
int inst_devices_check(const struct inst_manager *m, const struct spec_plan *plan, struct err *err);
/* The same for a start, which then goes on with those that are there; they are noted in the run
 * directory. */
int inst_devices_take(struct inst *i, struct err *err);
/* For a guest that was found running: what it was started with. */
void inst_devices_found(struct inst *i, uint64_t boot);
/* Adds "devices" to what is unsupported when one is missing. */
void inst_devices_item(const struct inst *i, struct spec_items *ret);
bool inst_devices_are_same(const struct spec_plan *a, const struct spec_plan *b);
/* Puts them into the description of a launch. */
void inst_devices_describe(const struct inst *i, struct sbx_launch *l);
/* Attaches the program that admits them and what the features allow. */
int inst_devices_attach(struct inst *i, struct err *err);
