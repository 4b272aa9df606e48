/* SPDX-License-Identifier: Apache-2.0 */
/* Launches and joins under way: each is a socket that will report, and a time limit. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/keeper/keeper.h"

bool op_find(const struct keeper *k, const char *id)
{
	for (const struct op *op = k->ops; op; op = op->next)
		if (!op->session && strcmp(op->id, id) == 0)
			return true;
	return false;
}

/* Frees. The helper is on its way out or killed here; a child that did not come up is killed. Both
 * are left to be reaped. */
static void op_end(struct keeper *k, struct op *op, bool has_failed)
{
	pid_t helper = op->pending.helper;
	pid_t child = has_failed ? op->pending.child : 0;
	struct op **p = &k->ops;

	while (*p != op)
		p = &(*p)->next;
	*p = op->next;
	k->n_ops--;
	timer_clear(k, &op->limit);
	(void)source_drop(k, &op->sock);
	/* A launch's report that was not read holds the notify socket of a guest that may run. */
	if (has_failed && !op->session)
		drop_fd(k, take_fd(&op->pending.sock));
	sbx_pending_done(&op->pending);
	/* Not reaped yet, so the pids are still theirs. */
	if (helper > 0)
		child_watch(k, helper);
	if (child > 0)
		child_watch(k, child);
	else if (has_failed)
		strays_look(k); /* the helper may have died before it could tell of one */
	cleanup_close(&op->cgroup);
	cleanup_close(&op->log_dir);
	free(op);
}

static void op_fail(struct keeper *k, struct op *op, const struct err *why)
{
	int cgroup = op->session ? op->session->leaf : op->cgroup;
	struct err e = ERR_INIT;

	server_fail(k, op->peer, op->seq, why);
	/* The cgroup was made for this alone: whatever is left there has to go. The child of a join
	 * that was told of is killed by its pidfd. */
	if (cgroup >= 0 && (!op->session || op->pending.child == 0) &&
	    file_write_at(cgroup, "cgroup.kill", "1", &e) < 0)
		log_debug("%s", err_text(&e));
	if (op->session)
		session_failed(k, op->session, why);
	op_end(k, op, true);
}

void op_begin(struct keeper *k, struct op *op, struct sbx_pending *pending)
{
	struct err e = ERR_INIT;

	op->pending = *pending;
	*pending = SBX_PENDING_INIT;
	op->sock = SOURCE_INIT;
	op->next = k->ops;
	k->ops = op;
	k->n_ops++;
	if (source_add(k, &op->sock, SOURCE_OP, op->pending.sock, EPOLLIN, &e) < 0)
		op_fail(k, op, &e);
	else
		timer_set(k, &op->limit, TIMER_OP, k->now + LAUNCH_LIMIT_USEC);
}

static void launch_report(struct keeper *k, struct op *op)
{
	struct sbx_started started = {
		.pidfd = -1, .console = -1, .console_slave = -1, .notify = -1};
	struct err e = ERR_INIT;
	int r = sbx_spawn_finish(&op->pending, &started, &e);

	if (r == -EAGAIN)
		return;
	if (r == 0) {
		r = guest_started(k, op, &started, &e);
		if (r < 0)
			(void)pidfd_send_signal(started.pidfd, SIGKILL, NULL, 0);
		/* Where it was not taken the guest runs already, and may have queued something. */
		drop_fd(k, take_fd(&started.notify));
		sbx_started_done(&started);
	}
	if (r < 0)
		op_fail(k, op, &e);
	else
		op_end(k, op, false);
}

static void join_report(struct keeper *k, struct op *op)
{
	struct sbx_joined joined = {.pidfd = -1, .master = -1};
	struct err e = ERR_INIT;
	int r = sbx_join_finish(&op->pending, &joined, &e);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		op_fail(k, op, &e);
		return;
	}
	session_started(k, op, &joined);
	sbx_joined_done(&joined);
	op_end(k, op, false);
}

void op_event(struct keeper *k, struct op *op)
{
	if (op->session)
		join_report(k, op);
	else
		launch_report(k, op);
}

void op_expired(struct keeper *k, struct op *op)
{
	struct err e = ERR_INIT;

	(void)err_set(&e, ETIMEDOUT, "%s of '%s' took longer than %u s",
		      op->session ? "a join" : "the launch", op->id, LAUNCH_LIMIT_USEC / 1000000u);
	log_warning("%s", err_text(&e));
	op_fail(k, op, &e);
}
