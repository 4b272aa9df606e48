/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a guest: count the boot in the database, make the cgroup with its limits, hand fds and a
 * plain description to the keeper. The boot is counted before the launch, so that a late report of
 * an earlier boot is never taken for this one.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "runtime/instance/private.h"

/* A keeper that was lost is back sooner, or something is wrong. */
#define KEEPER_WAIT (10 * USEC_PER_SEC)
#define KEEPER_POLL (100 * USEC_PER_MSEC)
/* As tolerate_unsupported and lists name the device program. */
#define FENCE_ITEM "device_program"

/* --- what a launch needs --------------------------------------------------------------------- */

void inst_limits_of_plan(struct inst_manager *m, const struct spec_plan *plan,
			 struct cg_limits *ret)
{
	cg_limits_init(ret);
	spec_plan_to_limits(plan, ret);
	manager_probe_support(m);
	ret->disk = &m->disk;
}

void inst_limits_of(const struct inst *i, struct cg_limits *ret)
{
	inst_limits_of_plan(i->manager, &i->effective, ret);
}

/* A second fence, behind the user namespace and nodev; like any limit it is there, or refused, or
 * tolerated by name and shown as missing. */
int inst_fence_devices(struct inst *i, struct err *err)
{
	struct inst_manager *m = i->manager;
	struct err why = ERR_INIT;

	i->has_device_fence = inst_devices_attach(i, &why) >= 0;
	if (i->has_device_fence)
		return 0;
	if (str_copy(m->device_why, sizeof(m->device_why), err_text(&why)) < 0)
		(void)str_copy(m->device_why, sizeof(m->device_why), "the kernel refuses it");
	if (!spec_host_tolerates(m->host, FENCE_ITEM)) {
		(void)err_set(err, EOPNOTSUPP, "this host cannot enforce " FENCE_ITEM ": %s",
			      err_text(&why));
		return err_hint(err,
				"%s%sor put \"tolerate_unsupported\": [\"" FENCE_ITEM
				"\"] into vpsd.json, to run guests without that fence",
				why.hint, *why.hint ? "; give it that, " : "make that work, ");
	}
	if (!m->has_device_error) {
		m->has_device_error = true;
		log_warning("guests run without a device program, which is tolerated: %s",
			    err_text(&why));
	}
	return 0;
}

void inst_fence_item(const struct inst *i, struct spec_items *ret)
{
	const struct inst_manager *m = i->manager;
	const char *why = m->device_why;
	struct spec_item *item;

	if (!inst_is_up(i) || i->has_device_fence || ret->n >= SPEC_ITEMS_MAX)
		return;
	if (i->p->cg.fd < 0 || !*why)
		why = "it runs without its cgroup";
	item = &ret->items[ret->n++];
	*item = (struct spec_item){.is_tolerated = spec_host_tolerates(m->host, FENCE_ITEM)};
	(void)str_copy(item->name, sizeof(item->name), FENCE_ITEM);
	(void)str_copy(item->reason, sizeof(item->reason), why);
	ret->n_refused += !item->is_tolerated;
}

static int make_cgroup(struct inst *i, struct err *err)
{
	struct cg_limits limits, tenant;
	struct cg_instance_spec spec = {
		.tenant_id = i->tenant->id,
		.id = i->id,
		.base = i->base,
		.limits = &limits,
		.tenant_limits = &tenant,
	};
	int r;

	inst_limits_of(i, &limits);
	inst_tenant_limits_of(i->tenant, &tenant);
	cg_instance_done(&i->p->cg);
	/* What a guest of another place has left: with the same ids there is never a second one. */
	r = cg_instance_remove(&i->manager->cg,
			       inst_cpus_wants_own(i) ? i->tenant->id : CG_DEDICATED, i->id, 0, 0,
			       err);
	if (r >= 0)
		r = inst_cpus_take(i, err);
	if (r < 0)
		return r;
	/* Outside its tenant's cgroup: what it uses of the quota is fixed. */
	if (i->p->has_own_cpus) {
		spec.tenant_id = CG_DEDICATED;
		spec.tenant_limits = NULL;
		spec.cpus = &i->p->cpus;
	}
	r = cg_instance_create(&i->manager->cg, &spec, &i->p->cg, i->limits, err);
	inst_cpus_respread(i->manager);
	if (r < 0)
		return r;
	i->has_limits = true;
	return inst_fence_devices(i, err);
}

/* A private copy of a directory's mount, attached nowhere. */
static int clone_mount(int dirfd, const char *what, struct err *err)
{
	int fd = open_tree(dirfd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return fd < 0 ? err_sys(err, "cannot clone the mount of %s", what) : fd;
}

static int open_layers(const struct inst *i, int *ret_image, int *ret_upper, struct err *err)
{
	const struct img_store *s = i->manager->images;
	_cleanup_close_ int tree = img_store_tree(s, i->digest, err);
	_cleanup_close_ int fs = -1, image = -1, upper = -1;

	if (tree < 0)
		return tree;
	fs = img_instance_open(s, i->id, err);
	if (fs < 0)
		return fs;
	image = clone_mount(tree, "the image", err);
	if (image < 0)
		return image;
	upper = clone_mount(fs, "the instance's files", err);
	if (upper < 0)
		return upper;
	*ret_image = take_fd(&image);
	*ret_upper = take_fd(&upper);
	return 0;
}

int inst_open_log(const struct inst *i, bool make, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (make) {
		fd = path_mkdirs_beneath(i->manager->log_fd, i->id, 0700, err);
		if (fd < 0)
			return fd;
	}
	/* mkdirs gives O_PATH; files are made through a real one. */
	r = path_open_beneath(i->manager->log_fd, i->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0,
			      err);
	return r;
}

int inst_log_dir(const struct inst *i, struct err *err)
{
	return inst_open_log(i, true, err);
}

static void on_launched(void *userdata, struct keeper_reply *reply, const struct err *err);

/* What the launch of an instance has open; the keeper gets copies. */
struct launch_fds {
	int image, upper, log_dir, gate;
};

static void launch_fds_done(struct launch_fds *f)
{
	cleanup_close(&f->image);
	cleanup_close(&f->upper);
	cleanup_close(&f->log_dir);
	cleanup_close(&f->gate);
}

_Static_assert(GUEST_FILES_MAX <= SBX_FILES_MAX, "a launch has room for all of them");

static void describe_files(const struct guest_files *files, struct sbx_launch *l)
{
	for (l->n_files = 0; l->n_files < files->n; l->n_files++) {
		const struct guest_file *f = &files->items[l->n_files];

		l->files[l->n_files] =
			(struct sbx_file){.path = f->path,
					  .text = f->text,
					  .mode = 0644,
					  .rule = f->remove ? SBX_FILE_REMOVE : SBX_FILE_WRITE};
	}
}

static int send_launch(struct inst *i, const struct launch_fds *fds, struct err *err)
{
	static char init[] = "/sbin/init";
	static char env_container[] = "container=vpsd", env_term[] = "TERM=linux",
		    env_notify[] = "NOTIFY_SOCKET=/run/host/notify",
		    env_path[] =
			    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char *argv[] = {init, NULL};
	char *envp[] = {env_container, env_term, env_notify, env_path, NULL};
	struct inst_manager *m = i->manager;
	_cleanup_(guest_files_done) struct guest_files files = {.n = 0};
	struct sbx_launch l;
	const struct keeper_launch launch = {
		.id = i->id,
		.boot = i->boot,
		.log_max = m->host->console_log,
		.log_dir = fds->log_dir,
		.launch = &l,
	};
	int r;

	sbx_launch_init(&l);
	r = str_copy(l.id, sizeof(l.id), i->id);
	if (r < 0)
		return err_set_errno(err, -r, "cannot describe the launch");
	r = links_files(i, &files, err);
	if (r < 0)
		return r;
	describe_files(&files, &l);
	l.gate = fds->gate;
	l.base = i->base;
	l.hostname = i->spec.hostname ? i->spec.hostname : i->spec.name;
	l.argv = argv;
	l.envp = envp;
	l.features = (i->effective.features.tun ? SBX_FEATURE_TUN : 0u) |
		     (i->effective.features.fuse ? SBX_FEATURE_FUSE : 0u) |
		     (i->effective.features.nesting ? SBX_FEATURE_NESTING : 0u);
	inst_devices_describe(i, &l);
	l.mem_limit = i->effective.memory.limit;
	l.cgroup = i->p->cg.guest;
	l.upper = fds->upper;
	l.layers[0] = fds->image;
	l.n_layers = 1;
	l.seccomp = m->seccomp;
	l.views = i->p->views;
	r = keeper_client_launch(m->keeper.client, &launch,
				 (struct keeper_call){.done = on_launched, .userdata = i}, err);
	keeper_link_poke(m);
	return r;
}

static int launch(struct inst *i, struct err *err)
{
	_cleanup_(launch_fds_done) struct launch_fds fds = {-1, -1, -1, -1};
	int r;

	if (!i->manager->keeper.is_speaking) {
		(void)err_set(err, EAGAIN, "there is no keeper to start guests with");
		return err_hint(err, "vpsd is starting a new one; try again in a few seconds");
	}
	r = inst_devices_take(i, err);
	if (r >= 0)
		r = make_cgroup(i, err);
	if (r < 0)
		return r;
	r = open_layers(i, &fds.image, &fds.upper, err);
	if (r < 0)
		return r;
	inst_views_make(i);
	fds.log_dir = inst_open_log(i, true, err);
	if (fds.log_dir < 0)
		return fds.log_dir;
	r = links_prepare(i, &fds.gate, err);
	return r < 0 ? r : send_launch(i, &fds, err);
}

/* --- the order of things --------------------------------------------------------------------- */

static void boot_launch(struct inst *i)
{
	struct err err = ERR_INIT;

	if (!i->manager->keeper.is_speaking && now_usec() < i->p->keeper_until) {
		inst_timer_set(i, KEEPER_POLL, boot_launch);
		return;
	}
	if (launch(i, &err) < 0) {
		(void)err_ctx(&err, "cannot start '%s'", i->full_name);
		inst_boot_failed(i, &err);
	}
}

static void on_hostname(void *arg, const char *code, const struct err *err, json_t *result)
{
	struct inst *i = arg;

	(void)code;
	(void)result;
	if (err) {
		inst_boot_failed(i, err);
		return;
	}
	(void)str_copy(i->p->hostname_done, sizeof(i->p->hostname_done), i->spec.hostname);
	boot_launch(i);
}

/* A name that was changed while the guest could not be touched is written first. */
static int write_hostname(struct inst *i, struct err *err)
{
	const char *const argv[] = {"set-hostname", "--pool",	  i->manager->host->pool, "--id",
				    i->id,	    "--hostname", i->spec.hostname,	  NULL};
	const struct job_spec job = {
		.argv = argv, .timeout_usec = 60 * USEC_PER_SEC, .done = on_hostname, .arg = i};

	return job_start(i->manager->jobs, &job, NULL, err);
}

static void boot_counted(struct inst *i, const struct err *commit_err)
{
	struct err err = ERR_INIT;

	if (commit_err) {
		inst_boot_failed(i, commit_err);
		return;
	}
	inst_forget_owed(i);
	if (!i->spec.hostname || str_eq(i->spec.hostname, i->p->hostname_done)) {
		boot_launch(i);
		return;
	}
	if (write_hostname(i, &err) < 0)
		inst_boot_failed(i, &err);
}

static void mark_boot(struct inst *i)
{
	inst_timer_clear(i);
	i->boot++;
	i->desired = INST_WANT_RUNNING;
	i->error[0] = '\0';
	i->retry_at = 0;
	i->restart_needed = false;
	i->p->is_failed = false;
	i->p->is_asked = false;
	i->p->is_unknown = false;
	i->p->keeper_until = now_usec() + KEEPER_WAIT;
}

void inst_boot(struct inst *i)
{
	struct store_txn *t;

	mark_boot(i);
	inst_set_state(i, INST_STARTING);
	t = store_txn_new(i->manager->store);
	db_put_inst(t, i);
	inst_commit(i, t, boot_counted);
}

static void on_launched(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct inst *i = userdata;

	if (i->manager->is_closing)
		return;
	if (!err) {
		if (reply->warning && *reply->warning)
			log_warning("%s: a file of its network was not written: %s", i->full_name,
				    reply->warning);
		inst_is_running(i, i->boot, (pid_t)reply->pid, reply->start, take_fd(&reply->pidfd),
				take_fd(&reply->console));
		return;
	}
	if (err->code == EPIPE) {
		/* Whether it runs is seen when a keeper is there again. */
		i->p->is_unknown = true;
		return;
	}
	inst_boot_failed(i, err);
}

int inst_open_run(const struct inst *i, struct err *err)
{
	_cleanup_close_ int fd = path_mkdirs_beneath(i->manager->run_fd, i->id, 0700, err);

	/* mkdirs gives O_PATH; files are made through a real one. */
	return fd < 0 ? fd
		      : path_open_beneath(i->manager->run_fd, i->id,
					  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, err);
}

/* What survives vpsd beside the database: enough to know the process again. */
static void write_state(const struct inst *i)
{
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	_cleanup_close_ int dir = -1;
	struct err err = ERR_INIT;

	sbuf_addf(&text,
		  "{\"boot\": %llu, \"pid\": %d, \"start\": %llu, \"boot_id\": \"%s\", "
		  "\"ready\": %s}\n",
		  (unsigned long long)i->boot, (int)i->pid, (unsigned long long)i->pid_start,
		  i->manager->boot_id, i->p->has_said_ready ? "true" : "false");
	dir = inst_open_run(i, &err);
	if (dir < 0 || !sbuf_ok(&text) ||
	    file_replace_at(dir, "state.json", text.data, text.len, 0600, &err) < 0)
		log_warning("%s: cannot note its process: %s", i->full_name, err_text(&err));
}

/* When a process was born, on the wall clock, from its start time in ticks since boot. */
static uint64_t born_at(uint64_t ticks)
{
	struct timespec wall, up;
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t booted;

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	(void)clock_gettime(CLOCK_BOOTTIME, &up);
	booted = (uint64_t)(wall.tv_sec - up.tv_sec);
	return booted + ticks / (hz > 0 ? (uint64_t)hz : 100);
}

void inst_is_running(struct inst *i, uint64_t boot, pid_t pid, uint64_t start, int pidfd,
		     int console)
{
	void (*after_up)(struct inst * inst, const struct err *err) = i->p->after_up;
	bool was_up = inst_is_up(i);

	i->p->watch = sd_event_source_disable_unref(i->p->watch);
	cleanup_close(&i->pidfd);
	i->pidfd = pidfd;
	if (console >= 0 || !was_up) {
		cleanup_close(&i->console);
		i->console = console;
	}
	i->boot = boot;
	i->pid = pid;
	i->pid_start = start;
	i->p->is_unknown = false;
	i->p->had_place = true;
	if (!was_up) {
		i->started = born_at(start);
		write_state(i);
	}
	if (i->state != INST_READY && i->state != INST_STOPPING)
		inst_set_state(i, i->p->has_said_ready ? INST_READY : INST_RUNNING);
	i->p->after_up = NULL;
	if (after_up)
		after_up(i, NULL);
}

void inst_said_ready(struct inst *i)
{
	if (!inst_is_up(i) || i->p->has_said_ready ||
	    (i->state != INST_RUNNING && i->state != INST_SUSPENDED))
		return;
	i->p->has_said_ready = true;
	write_state(i);
	inst_set_state(i, INST_READY);
	inst_slot_leave(i);
}

static void boot_cleaned(struct inst *i)
{
	void (*after_up)(struct inst * inst, const struct err *err) = i->p->after_up;

	i->has_limits = false;
	links_gone(i);
	inst_views_close(i);
	inst_views_drop(i->manager, i->id);
	/* This boot is over, whoever asks. */
	i->p->exit_boot = i->boot;
	i->p->after_up = NULL;
	if (after_up)
		after_up(i, &i->p->why);
}

void inst_boot_failed(struct inst *i, const struct err *err)
{
	i->p->is_unknown = false;
	i->p->why = *err;
	inst_clean_cgroup(i, boot_cleaned);
}

/* --- starts that somebody asked for ---------------------------------------------------------- */

static void set_error(struct inst *i, const struct err *err)
{
	if (str_copy(i->error, sizeof(i->error), err_text(err)) < 0)
		i->error[0] = '\0';
}

void inst_start_done(struct inst *i, const struct err *err)
{
	if (err) {
		set_error(i, err);
		i->p->is_failed = true;
		inst_set_state(i, INST_FAILED);
	}
	inst_finish(i, NULL, err, NULL);
}

/* A start that was not written has not happened. */
static void unmark_boot(struct inst *i)
{
	i->boot--;
	inst_restore(i);
}

static void start_begun(struct inst *i, const struct err *err)
{
	if (err) {
		log_error("%s: cannot start: %s", i->full_name, err_text(err));
		unmark_boot(i);
		inst_slot_leave(i);
		return;
	}
	boot_counted(i, NULL);
}

static int begin_start(struct inst *i, enum op_kind kind,
		       void (*after_up)(struct inst *i, const struct err *err), struct op **ret,
		       struct err *err)
{
	int r;

	inst_remember(i);
	mark_boot(i);
	i->p->after_up = after_up;
	i->failures = after_up == inst_start_done ? 0 : i->failures;
	r = inst_begin(i, kind, start_begun, ret, err);
	if (r < 0) {
		unmark_boot(i);
		return r;
	}
	inst_set_state(i, INST_STARTING);
	return 0;
}

static int check_start(const struct inst *i, enum policy_verb verb, struct err *err)
{
	const char *why = policy_refuses(i->state, verb);
	int r = inst_check_ready(i->manager, err);

	if (r >= 0)
		r = inst_check_idle(i, verb, err);
	if (r < 0)
		return r;
	if (i->phase != INST_PHASE_PRESENT)
		return err_set(err, EBUSY, "'%s' is being deleted", i->full_name);
	if (i->suspension.mode)
		return inst_refuse_suspended(i, verb, err);
	if (why)
		return err_set(err, EBUSY, "cannot %s '%s': %s", policy_verb_name(verb),
			       i->full_name, why);
	return 0;
}

int inst_start(struct inst *i, struct op **ret, struct err *err)
{
	int r = check_start(i, POLICY_VERB_START, err);

	if (r >= 0)
		r = inst_check_start_room(i, err);
	return r < 0 ? r : begin_start(i, OP_START, inst_start_done, ret, err);
}

/* --- starts of our own ----------------------------------------------------------------------- */

static void own_start_done(struct inst *i, const struct err *err)
{
	struct policy_verdict v;

	if (!err) {
		inst_finish(i, NULL, NULL, NULL);
		inst_slot_started(i);
		return;
	}
	v = policy_decide(&(struct policy_end){
		.desired = i->desired, .how = KEEPER_EXIT_NONE, .failures = i->failures});
	set_error(i, err);
	i->failures = v.failures;
	i->p->is_failed = v.action == POLICY_GIVE_UP;
	inst_set_state(i, i->p->is_failed ? INST_FAILED : INST_STOPPED);
	inst_finish(i, NULL, err, NULL);
	if (v.action == POLICY_RETRY)
		inst_retry_later(i, v.delay);
	inst_slot_leave(i);
}

void inst_start_own(struct inst *i)
{
	struct err err = ERR_INIT;

	i->retry_at = 0;
	if (i->phase != INST_PHASE_PRESENT || i->desired != INST_WANT_RUNNING || inst_is_up(i) ||
	    i->state == INST_STARTING || i->p->is_failed || i->suspension.mode)
		goto out;
	/* Without a keeper the recovery that follows its return starts what is missing. */
	if (!i->manager->keeper.is_speaking)
		goto out;
	if (i->op && i->p->has_loaded_op) {
		/* The very operation that was interrupted. */
		i->p->has_loaded_op = false;
		if (inst_waits_for_room(i)) {
			(void)err_set(&err, ENOSPC, "%s", i->error);
			inst_finish(i, NULL, &err, NULL);
			goto out;
		}
		i->p->after_up = own_start_done;
		inst_boot(i);
		return;
	}
	if (i->op) {
		inst_retry_later(i, 1);
		goto out;
	}
	if (inst_waits_for_room(i))
		goto out;
	/* That the host's networks are not there yet is no failure of the guest's. */
	if (i->net.n > 0 && inst_has_networks(i->manager) && network_why_not(i->manager)) {
		inst_retry_later(i, NETWORK_RETRY);
		goto out;
	}
	if (begin_start(i, OP_START, own_start_done, NULL, &err) >= 0)
		return;
	log_error("%s: cannot start: %s", i->full_name, err_text(&err));
out:
	inst_slot_leave(i);
}

static void retry_is_due(struct inst *i)
{
	/* It was put off for a moment; who reboots does not wait for others. */
	if (i->last_exit == KEEPER_EXIT_REBOOT) {
		inst_start_own(i);
		return;
	}
	inst_queue_start(i);
	inst_queue_next(i->manager);
}

void inst_retry_later(struct inst *i, uint32_t seconds)
{
	i->retry_at = now_seconds() + seconds;
	inst_timer_set(i, seconds * USEC_PER_SEC, retry_is_due);
}
