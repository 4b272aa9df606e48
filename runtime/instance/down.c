/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a guest, and what follows from its end: processes gone, cgroup removed, end recorded in
 * the database, then the keeper may forget, then whatever comes next.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/events.h"
#include "runtime/instance/private.h"

#define CLEAN_FIRST (5 * USEC_PER_MSEC)
#define CLEAN_MOST (500 * USEC_PER_MSEC)
#define CLEAN_LIMIT (30 * USEC_PER_SEC)
#define KILL_AGAIN (5 * USEC_PER_SEC)

/* --- making it end --------------------------------------------------------------------------- */

/* Which signal means "shut down" to an init, by what it handles: the first row that it does. */
int stop_signal_choose(uint64_t handled)
{
	static const int rows[] = {
		38,	 /* systemd: SIGRTMIN+4 of glibc */
		SIGPWR,	 /* SysV init, OpenRC, upstart, finit */
		SIGUSR2, /* busybox: power off */
		SIGTERM, /* a program or a script as init */
		SIGINT,
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (handled & UINT64_C(1) << (rows[i] - 1))
			return rows[i];
	return rows[0];
}

static uint64_t signal_set(const char *status, const char *key)
{
	const char *line = strstr(status, key);
	uint64_t v = 0;

	if (!line)
		return 0;
	for (const char *s = line + strlen(key) + strspn(line + strlen(key), "\t "); *s; s++) {
		if (*s >= '0' && *s <= '9')
			v = v << 4 | (uint64_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v << 4 | (uint64_t)(*s - 'a' + 10);
		else
			break;
	}
	return v;
}

/* Signals that the guest's init catches or waits for (systemd blocks them for its signalfd). */
static uint64_t handled_signals(pid_t pid)
{
	char path[32], status[4096];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	n = file_read_short_at(AT_FDCWD, path, status, sizeof(status), NULL);
	return n < 0 ? 0 : signal_set(status, "\nSigCgt:") | signal_set(status, "\nSigBlk:");
}

int inst_stop_signal(pid_t pid)
{
	return stop_signal_choose(handled_signals(pid));
}

bool inst_hears_signals(pid_t pid)
{
	return handled_signals(pid) != 0;
}

bool inst_is_init(pid_t pid)
{
	char path[32], status[4096];
	const char *line, *own;
	uint64_t n;

	(void)str_fmt(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (file_read_short_at(AT_FDCWD, path, status, sizeof(status), NULL) < 0)
		return false;
	line = strstr(status, "\nNSpid:\t");
	if (!line)
		return false;
	own = strpbrk(line + strlen("\nNSpid:\t"), "\t\n");
	return own && *own == '\t' && num_scan_u64(own + 1, &own, &n) >= 0 && n == 1 &&
	       *own == '\n';
}

static void kill_again(struct inst *i);

static void kill_guest(struct inst *i)
{
	struct err err = ERR_INIT;

	inst_timer_set(i, KILL_AGAIN, kill_again);
	if (i->p->cg.fd >= 0 && cg_kill(i->p->cg.fd, &err) >= 0)
		return;
	log_warning("%s: cannot kill its cgroup: %s", i->full_name, err_text(&err));
	if (i->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, i->pidfd, SIGKILL, NULL, 0);
}

/* Its end is the keeper's to tell; a keeper that does not is not waited for. */
static void kill_again(struct inst *i)
{
	struct pollfd p = {.fd = i->pidfd, .events = POLLIN};

	if (i->pidfd >= 0 && poll(&p, 1, 0) > 0)
		inst_exited(i, i->boot, KEEPER_EXIT_UNKNOWN, 0);
	else
		kill_guest(i);
}

static int on_pidfd(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct inst *i = arg;

	(void)s;
	(void)fd;
	(void)revents;
	i->p->watch = sd_event_source_disable_unref(i->p->watch);
	inst_exited(i, i->boot, KEEPER_EXIT_UNKNOWN, 0);
	return 0;
}

void inst_watch_self(struct inst *i)
{
	i->p->watch = sd_event_source_disable_unref(i->p->watch);
	if (i->pidfd < 0 ||
	    sd_event_add_io(i->manager->event, &i->p->watch, i->pidfd, POLLIN, on_pidfd, i) < 0)
		log_error("%s: nobody watches it", i->full_name);
}

static void on_stop_timeout(struct inst *i)
{
	log_info("%s: did not stop in time, killing it", i->full_name);
	kill_guest(i);
}

void inst_take_down(struct inst *i)
{
	struct inst_manager *m = i->manager;
	int signo = inst_stop_signal(i->pid);
	struct err err = ERR_INIT;

	i->p->is_asked = true;
	inst_set_state(i, INST_STOPPING);
	if (i->p->force) {
		kill_guest(i);
		return;
	}
	if (m->keeper.is_speaking && keeper_client_signal(m->keeper.client, i->id, i->boot, signo,
							  (struct keeper_call){0}, &err) >= 0)
		keeper_link_poke(m);
	else if (i->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, i->pidfd, signo, NULL, 0);
	/* One that was suspended shuts down like any other. */
	if (i->p->is_frozen)
		(void)inst_thaw(i);
	inst_timer_set(i, i->p->timeout ? i->p->timeout : m->host->stop_timeout, on_stop_timeout);
}

/* --- its end --------------------------------------------------------------------------------- */

static void forget(struct inst_manager *m, const char *id, uint64_t boot)
{
	struct err err = ERR_INIT;

	if (!m->keeper.is_speaking)
		return;
	/* First: as long as the keeper knows the guest, the next vpsd will tell it again. */
	inst_views_drop(m, id);
	if (keeper_client_forget(m->keeper.client, id, boot, (struct keeper_call){0}, &err) < 0)
		log_warning("cannot tell the keeper to forget a guest: %s", err_text(&err));
	keeper_link_poke(m);
}

void inst_forget_owed(struct inst *i)
{
	if (i->p->unforgotten)
		forget(i->manager, i->id, i->p->unforgotten);
	i->p->unforgotten = 0;
}

void inst_close_guest(struct inst *i)
{
	i->p->watch = sd_event_source_disable_unref(i->p->watch);
	i->p->has_said_ready = false;
	i->pid = 0;
	i->pid_start = 0;
	i->started = 0;
	cleanup_close(&i->pidfd);
	cleanup_close(&i->console);
	i->pidfd = i->console = -1;
	cg_stats_reader_done(&i->p->reader);
	i->p->reader = CG_STATS_READER_INIT;
	i->p->has_reader = false;
	i->p->stats_at = 0;
	i->has_limits = false;
	i->has_device_fence = false;
	i->p->is_frozen = false;
	inst_sessions_done(i);
	inst_views_close(i);
	links_gone(i);
	(void)path_remove_tree(i->manager->run_fd, i->id, NULL);
}

/* Wherever it was made: a change of its plan may have come between. The worse of two errors: -EBUSY
 * is that processes live. */
static int remove_cgroup(struct inst *i, struct err *err)
{
	struct cg_root *cg = &i->manager->cg;
	struct err why = ERR_INIT;
	int r = cg_instance_remove(cg, i->tenant->id, i->id, CG_REMOVE_KILL, 0, err);
	int own = cg_instance_remove(cg, CG_DEDICATED, i->id, CG_REMOVE_KILL, 0, &why);

	if (own >= 0 || r == -EBUSY || (r < 0 && own != -EBUSY))
		return r;
	*err = why;
	return own;
}

static void try_clean(struct inst *i)
{
	struct inst_manager *m = i->manager;
	void (*next)(struct inst * inst) = i->p->after_clean;
	struct err err = ERR_INIT;
	int r = remove_cgroup(i, &err);

	if (r == -EBUSY && now_usec() < i->p->cleanup_until) {
		inst_timer_set(i, i->p->cleanup_delay, try_clean);
		if (i->p->cleanup_delay < CLEAN_MOST)
			i->p->cleanup_delay *= 2;
		return;
	}
	/* Left for the next start, which makes it anew, or for recovery. */
	if (r < 0)
		log_error("%s: cannot remove its cgroup: %s", i->full_name, err_text(&err));
	i->p->has_processes = r == -EBUSY;
	if (!i->p->has_processes)
		inst_cpus_gone(i);
	inst_cpus_respread(m);
	i->p->after_clean = NULL;
	next(i);
}

void inst_clean_later(struct inst *i, void (*next)(struct inst *i))
{
	cg_instance_done(&i->p->cg);
	i->p->after_clean = next;
	i->p->cleanup_delay = CLEAN_FIRST;
	i->p->cleanup_until = now_usec() + CLEAN_LIMIT;
	inst_timer_set(i, i->p->cleanup_delay, try_clean);
}

void inst_clean_cgroup(struct inst *i, void (*next)(struct inst *i))
{
	inst_clean_later(i, next);
	inst_timer_clear(i);
	try_clean(i);
}

static void describe_end(struct inst *i)
{
	const struct policy_verdict *v = &i->p->verdict;
	char what[80], next[80] = "";

	i->error[0] = '\0';
	if (i->last_exit == KEEPER_EXIT_CODE)
		(void)str_fmt(what, sizeof(what), "its init ended with code %u",
			      (i->p->exit_status >> 8) & 0xffu);
	else if (i->last_exit == KEEPER_EXIT_KILLED)
		(void)str_fmt(what, sizeof(what), "its init was killed by signal %u",
			      i->p->exit_status & 0x7fu);
	else
		(void)str_fmt(what, sizeof(what), "it rebooted seconds after its start");
	if (v->action == POLICY_RETRY)
		(void)str_fmt(next, sizeof(next), "; next start in %u s", v->delay);
	else if (v->action == POLICY_GIVE_UP)
		(void)str_fmt(next, sizeof(next), ", %u times in a row; given up", v->failures);
	else
		return;
	(void)str_fmt(i->error, sizeof(i->error), "%s%s", what, next);
	log_warning("%s: %s", i->full_name, i->error);
}

static void end_recorded(struct inst *i, const struct err *err)
{
	void (*after_down)(struct inst * inst) = i->p->after_down;

	if (err) {
		/* The keeper keeps it until it is recorded, with the next start at the latest. */
		log_error("%s: cannot record its end: %s", i->full_name, err_text(err));
		i->p->unforgotten = i->p->exit_boot;
	} else {
		forget(i->manager, i->id, i->p->exit_boot);
	}
	i->p->after_down = NULL;
	i->p->is_ending = false;
	i->p->is_asked = false;
	i->p->force = false;
	inst_set_state(i, i->p->is_failed ? INST_FAILED : INST_STOPPED);
	if (after_down) {
		after_down(i);
		return;
	}
	/* A customer who reboots does not wait for others; what ended with its keeper may be many.
	 */
	if (i->p->verdict.action == POLICY_START && i->last_exit == KEEPER_EXIT_REBOOT) {
		inst_start_own(i);
	} else if (i->p->verdict.action == POLICY_START) {
		inst_queue_start(i);
		inst_queue_next(i->manager);
	} else if (i->p->verdict.action == POLICY_RETRY) {
		inst_retry_later(i, i->p->verdict.delay);
	}
}

static void end_cleaned(struct inst *i)
{
	struct store_txn *t = store_txn_new(i->manager->store);

	db_put_inst(t, i);
	inst_commit(i, t, end_recorded);
}

static bool is_late_report(const struct inst *i, uint64_t boot)
{
	return boot <= i->p->exit_boot || boot != i->boot;
}

/* The keeper was lost during the launch, and with the next connection comes the news that the guest
 * did start and has ended: first its start is done. */
static void seen_too_late(struct inst *i)
{
	void (*after_up)(struct inst * inst, const struct err *err) = i->p->after_up;

	i->p->is_unknown = false;
	i->p->has_exit = true;
	i->p->after_up = NULL;
	if (after_up)
		after_up(i, NULL);
	if (!i->op)
		inst_replay_exit(i);
}

void inst_exited(struct inst *i, uint64_t boot, enum keeper_exit how, uint32_t status)
{
	uint64_t now = now_seconds();

	if (is_late_report(i, boot)) {
		forget(i->manager, i->id, boot);
		return;
	}
	if (i->p->is_ending || i->p->after_clean)
		return;
	i->p->exit_how = how;
	i->p->exit_status = status;
	if (i->p->is_unknown) {
		seen_too_late(i);
		return;
	}
	/* The end of its start, or a change, is being written: one thing after the other. A file
	 * of the cgroup that is being written keeps its removal waiting. */
	if (i->p->reclaim) {
		i->p->has_exit = true;
		inst_reclaim_hasten(i);
		return;
	}
	if (i->op && !i->p->after_down && !i->p->has_loaded_op) {
		i->p->has_exit = true;
		return;
	}
	i->p->verdict = policy_decide(&(struct policy_end){
		.desired = i->desired,
		.how = how,
		.is_asked = i->p->is_asked,
		.is_suspended = i->suspension.mode != INST_SUSPEND_NONE,
		.uptime = i->started && now > i->started ? now - i->started : 0,
		.failures = i->failures,
	});
	i->p->is_ending = true;
	i->last_exit = how;
	i->p->exit_boot = boot;
	i->desired = i->p->verdict.desired;
	if (!i->p->is_asked)
		i->failures = i->p->verdict.failures;
	i->p->is_failed = i->p->verdict.action == POLICY_GIVE_UP;
	describe_end(i);
	inst_close_guest(i);
	inst_set_state(i, INST_STOPPING);
	inst_slot_leave(i);
	inst_clean_cgroup(i, end_cleaned);
}
