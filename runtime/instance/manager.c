/* SPDX-License-Identifier: Apache-2.0 */
/* The manager: what is opened once, the order in which it comes up, and the small questions. */
#include "runtime/instance/manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pidref.h"
#include "base/str.h"
#include "cgroups/strain.h"
#include "cgroups/tree.h"
#include "runtime/instance/addresses_private.h"
#include "runtime/instance/private.h"

#define BOOT_ID_FILE "boot-id"
/* A guest that waits for a slow disk stands still when that has answered. */
#define FREEZE_LIMIT (10 * USEC_PER_SEC)
/* More than what is bounded by itself takes: a name to write, a keeper to wait for, a launch. */
#define START_LIMIT (120 * USEC_PER_SEC)

/* --- small questions ------------------------------------------------------------------------- */

size_t inst_count(const struct inst_manager *m)
{
	return m->n_insts;
}

struct inst *inst_at(const struct inst_manager *m, size_t i)
{
	return i < m->n_insts ? m->insts[i] : NULL;
}

const struct catalog *inst_catalog(const struct inst_manager *m)
{
	return &m->catalog;
}

struct op_ring *inst_ops(const struct inst_manager *m)
{
	return m->ops;
}

const struct spec_host *inst_host(const struct inst_manager *m)
{
	return m->host;
}

const struct cg_root *inst_cgroups(const struct inst_manager *m)
{
	return &m->cg;
}

const struct img_store *inst_images(const struct inst_manager *m)
{
	return m->images;
}

struct job_pool *inst_jobs(const struct inst_manager *m)
{
	return m->jobs;
}

const struct spec_support *inst_support(struct inst_manager *m)
{
	manager_probe_support(m);
	return m->support;
}

pid_t inst_keeper_pid(const struct inst_manager *m)
{
	return m->keeper.is_speaking ? m->keeper.pid : 0;
}

bool inst_is_ready(const struct inst_manager *m)
{
	return m->is_ready;
}

int inst_check_ready(const struct inst_manager *m, struct err *err)
{
	if (!m->is_ready)
		return err_set(err, EAGAIN, "vpsd is starting and does not take orders yet");
	return 0;
}

/* --- coming up ------------------------------------------------------------------------------- */

/* Why no limit of io.max can be set; NULL = one can. */
static const char *why_no_io(const struct inst_manager *m)
{
	if (!cg_root_has(&m->cg, "io"))
		return "the host has no io controller";
	if (m->disk.why_not[0])
		return m->disk.why_not;
	return faccessat(m->cg.shared, "io.max", F_OK, 0) == 0 ? NULL
							       : "this kernel has no 'io.max'";
}

static const char *why_no_weight(const struct inst_manager *m)
{
	if (!cg_root_has(&m->cg, "io"))
		return "the host has no io controller";
	return m->disk.weight_file ? NULL : m->disk.why_no_weight;
}

void manager_probe_support(struct inst_manager *m)
{
	cg_disk_find(img_store_fd(m->images), CG_DISK_SYSFS, m->cg.host.mount, &m->disk);
	const struct cg_host *h = &m->cg.host;
	const char *cpu = cg_root_has(&m->cg, "cpu") ? NULL : "the host has no cpu controller";
	const char *memory =
		cg_root_has(&m->cg, "memory") ? NULL : "the host has no memory controller";
	const char *pids = cg_root_has(&m->cg, "pids") ? NULL : "the host has no pids controller";
	const char *min = memory		    ? memory
			  : h->memory_recursiveprot ? NULL
						    : "cgroup2 is mounted without "
						      "memory_recursiveprot";
	const char *cpuset =
		cg_root_has(&m->cg, "cpuset") || m->host->cpu_placement == SPEC_PLACEMENT_FLOAT
			? NULL
			: "the host has no cpuset controller: all instances use all CPUs";
	const char *io = m->support_no_io = why_no_io(m);
	const char *networks = inst_has_networks(m) ? NULL : "the host document has no networks";
	const struct spec_support rows[] = {
		{"cpu_placement", cpuset},
		{"cpu.dedicated", cg_dedicated_why_not(&m->cg)},
		{"cpu.cores", cpu},
		{"cpu.burst", cpu},
		{"cpu.guarantee", cpu},
		{"memory.limit", memory},
		{"memory.high", memory},
		{"memory.guarantee", min},
		{"memory.swap", memory},
		{"pids", pids},
		{"disk.read", io},
		{"disk.write", io},
		{"disk.read_iops", io},
		{"disk.write_iops", io},
		{"disk.weight", why_no_weight(m)},
		{"features.tun", NULL},
		{"features.fuse", NULL},
		{"devices", NULL},
		{"autostart", NULL},
		{"thrash", thrash_why_not(m, io)},
		{"quota.instances", NULL},
		{"quota.cores", NULL},
		{"quota.memory", NULL},
		{"quota.pids", NULL},
		{"quota.disk", NULL},
		{"quota.ipv4", networks},
		{"network", networks},
		{"network.in", networks},
		{"network.out", networks},
		{"network.pps", networks},
		{"network.connections", networks},
		{"network.new_connections", networks},
		{"network.block_smtp", networks},
		{"firewall", networks},
		{"network.transfer", networks},
		{NULL, NULL},
	};
	_Static_assert(sizeof(rows) / sizeof(rows[0]) <= SUPPORT_MAX, "room for every row");

	memcpy(m->support, rows, sizeof(rows));
}

static int open_cgroups(struct inst_manager *m, const char *path, struct err *err)
{
	size_t n = m->host->required_controllers.n;
	const char **required = calloc(n + 1, sizeof(*required));
	int r;

	if (!required)
		return err_set(err, ENOMEM, "cannot open the cgroup tree: out of memory");
	for (size_t i = 0; i < n; i++)
		required[i] = m->host->required_controllers.items[i];
	r = cg_root_open(path, required, &m->cg, err);
	free(required);
	return r;
}

static int open_dirs(struct inst_manager *m, struct err *err)
{
	_cleanup_sbuf_ struct sbuf log = SBUF_INIT;

	m->run_fd = path_make_dir(m->host->run, 0755, err);
	if (m->run_fd < 0)
		return m->run_fd;
	sbuf_addf(&log, "%s/log", m->host->state);
	if (!sbuf_ok(&log))
		return err_set(err, ENOMEM, "cannot open the log directory: out of memory");
	m->log_fd = path_make_dir(sbuf_str(&log), 0700, err);
	return m->log_fd < 0 ? m->log_fd : 0;
}

static int check_boot_id(struct inst_manager *m, struct err *err)
{
	char last[64] = "";
	int r = boot_id(m->boot_id, err);

	if (r < 0)
		return r;
	(void)file_read_short_at(m->run_fd, BOOT_ID_FILE, last, sizeof(last), NULL);
	m->is_new_boot = !str_eq(last, m->boot_id);
	return 0;
}

static int copy_paths(struct inst_manager *m, const struct inst_config *c, struct err *err)
{
	_cleanup_sbuf_ struct sbuf socket = SBUF_INIT;

	sbuf_addf(&socket, "%s/keeper.sock", c->host->run);
	m->keeper_path = strdup(c->keeper_path);
	m->keeper_socket = c->keeper_socket ? strdup(c->keeper_socket) : sbuf_take(&socket);
	m->seccomp_path =
		strdup(c->seccomp_profile ? c->seccomp_profile
					  : VPS_PREFIX "/share/vpsd/defaults/seccomp/default.json");
	m->cpu_dir = strdup(c->cpu_dir ? c->cpu_dir : "/sys/devices/system/cpu");
	m->cpuinfo_path = strdup(c->cpuinfo_path ? c->cpuinfo_path : "/proc/cpuinfo");
	m->filter_path = strdup(c->filter_rules ? c->filter_rules
						: VPS_PREFIX "/share/vpsd/defaults/filter.nft");
	if (!m->keeper_path || !m->keeper_socket || !m->seccomp_path || !m->filter_path ||
	    !m->cpu_dir || !m->cpuinfo_path)
		return err_set(err, ENOMEM, "cannot start the manager: out of memory");
	return 0;
}

static int open_all(struct inst_manager *m, const struct inst_config *c, struct err *err)
{
	int r = copy_paths(m, c, err);

	if (r >= 0)
		r = open_dirs(m, err);
	if (r >= 0)
		r = check_boot_id(m, err);
	if (r >= 0)
		r = img_store_open(m->host->pool, &m->images, err);
	if (r >= 0)
		r = claim_pool(m, err);
	if (r >= 0)
		r = open_cgroups(m, c->cgroup_root, err);
	if (r < 0)
		return r;
	m->strain_why_not = cg_strain_why_not(m->cg.shared);
	manager_probe_support(m);
	m->dedicated_is_unsure = !cg_dedicated_get(&m->cg, &m->dedicated);
	m->machine.shares_dedicated = cg_dedicated_why_not(&m->cg) != NULL;
	r = admission_probe(m->cpu_dir, &m->machine, err);
	if (r >= 0)
		r = alloc_ranges_new(m->host->idmap.base, m->host->idmap.count, &m->ranges, err);
	if (r >= 0)
		r = addresses_open(m, err);
	if (r >= 0)
		r = network_open(m, err);
	if (r >= 0)
		r = usage_open(m, err);
	if (r >= 0)
		r = job_pool_new(m->event, c->job_path, &m->jobs, err);
	if (r >= 0)
		r = capacity_start(m, err);
	return r;
}

/* Operations that were under way: those of an instance go on where recovery finds them. */
static void claim_operations(struct inst_manager *m)
{
	for (struct op *op = op_next(m->ops, NULL); op; op = op_next(m->ops, op)) {
		struct inst *i;

		if (op->status != OP_RUNNING)
			continue;
		i = inst_find_by_id(m, op->instance_id);
		if (i && !i->op) {
			i->op = op;
			i->p->has_loaded_op = true;
		}
	}
}

int inst_manager_new(const struct inst_config *c, struct inst_manager **ret, struct err *err)
{
	struct inst_manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot start the manager: out of memory");
	m->event = sd_event_ref(c->event);
	m->host = c->host;
	m->store = c->store;
	m->cg = CG_ROOT_INIT;
	m->run_fd = m->log_fd = m->seccomp = m->keeper.spawned_fd = -1;
	for (size_t i = 0; i < DEVICE_SETS; i++)
		m->devices[i] = -1;
	m->machine.spec = c->host;
	m->freeze_limit = FREEZE_LIMIT;
	m->start_limit = START_LIMIT;
	m->ops = op_ring_new();
	m->events = event_log_new();
	r = m->ops && m->events ? open_all(m, c, err)
				: err_set(err, ENOMEM, "cannot start the manager: out of memory");
	if (r >= 0)
		r = db_load(m, err);
	if (r < 0) {
		inst_manager_free(m);
		return r;
	}
	claim_operations(m);
	*ret = m;
	return 0;
}

int inst_manager_start(struct inst_manager *m, void (*ready)(void *arg, const struct err *err),
		       void *arg, struct err *err)
{
	struct store_txn *t = store_txn_new(m->store);
	int r;

	m->ready = ready;
	m->ready_arg = arg;
	db_prune_ops(t);
	r = store_submit(t, NULL, NULL, err);
	if (r < 0)
		return r;
	r = seccomp_start(m, err);
	if (r < 0)
		return r;
	addresses_catch_up(m);
	keeper_link_start(m);
	return 0;
}

static void note_boot(void *arg, const struct err *err)
{
	struct inst_manager *m = arg;
	struct err why = ERR_INIT;

	if (err || m->is_closing)
		return;
	if (file_replace_at(m->run_fd, BOOT_ID_FILE, m->boot_id, strlen(m->boot_id), 0600, &why) <
	    0)
		log_warning("%s", err_text(&why));
}

/* A boot is past when what it has changed is written: which instances are not wanted any more. */
static void boot_is_past(struct inst_manager *m)
{
	struct err err = ERR_INIT;

	if (m->is_new_boot && store_submit(store_txn_new(m->store), note_boot, m, &err) < 0)
		log_warning("cannot note the boot of the host: %s", err_text(&err));
}

/* One of the things that must be there: the program of system calls, the networks, the recovery. */
void manager_start_step(struct inst_manager *m, const struct err *err)
{
	void (*ready)(void *arg, const struct err *e) = m->ready;

	if (err) {
		m->ready = NULL;
		if (ready)
			ready(m->ready_arg, err);
		return;
	}
	/* Guests that should run are started with the filter or not at all. */
	if (m->seccomp >= 0 && m->keeper.is_speaking && !m->keeper.is_listed) {
		if (network_start(m))
			recover_start(m);
		return;
	}
	if (m->is_ready || m->seccomp < 0 || !m->keeper.is_listed)
		return;
	m->is_ready = true;
	boot_is_past(m);
	m->ready = NULL;
	if (ready)
		ready(m->ready_arg, NULL);
	inst_queue_next(m);
	thrash_start(m);
	usage_start(m);
}

void inst_manager_free(struct inst_manager *m)
{
	if (!m)
		return;
	m->is_closing = true;
	usage_close(m);
	capacity_stop(m);
	thrash_stop(m);
	keeper_link_stop(m);
	job_pool_free(m->jobs);
	inst_images_done(m);
	inst_move_drop(m);
	recover_drop(m);
	strays_done(m);
	while (m->n_insts > 0)
		inst_free(m->insts[--m->n_insts]);
	free(m->insts);
	free(m->starts.items);
	op_ring_free(m->ops);
	event_log_unref(m->events);
	catalog_done(&m->catalog);
	alloc_ranges_free(m->ranges);
	network_close(m);
	addresses_close(m);
	cg_root_done(&m->cg);
	img_store_free(m->images);
	sbuf_done(&m->seccomp_text);
	cleanup_close(&m->seccomp);
	cleanup_close(&m->run_fd);
	cleanup_close(&m->log_fd);
	for (size_t i = 0; i < DEVICE_SETS; i++)
		cleanup_close(&m->devices[i]);
	free(m->keeper_path);
	free(m->keeper_socket);
	free(m->seccomp_path);
	free(m->filter_path);
	free(m->cpu_dir);
	free(m->cpuinfo_path);
	free(m->cpuinfo);
	sd_event_unref(m->event);
	free(m);
}
