/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of a launch or join under way: see pending.h and sandbox.h. */
#include "runtime/sandbox/pending.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/pidref.h"
#include "runtime/sandbox/handshake.h"
#include "runtime/sandbox/process.h"

pid_t sbx_helper_fork(int cgroup, int *ret_sock, int *ret_pidfd, struct err *err)
{
	int pair[2];
	int r = msg_socketpair(pair, err);

	if (r < 0)
		return r;
	_cleanup_close_ int ours = pair[0];
	_cleanup_close_ int theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "cannot make a socket non-blocking");
	pid_t pid = sbx_fork(0, cgroup, ret_pidfd, err);
	if (pid < 0)
		return pid;
	/* In the helper our end closes here: only the caller holds it. */
	*ret_sock = pid == 0 ? take_fd(&theirs) : take_fd(&ours);
	return pid;
}

void sbx_pending_done(struct sbx_pending *p)
{
	if (p->child_pidfd >= 0) {
		sbx_process_kill(p->helper_pidfd);
		sbx_process_kill(p->child_pidfd);
	} else if (p->child == 0) {
		sbx_process_kill(p->helper_pidfd);
	}
	cleanup_close(&p->sock);
	cleanup_close(&p->helper_pidfd);
	cleanup_close(&p->child_pidfd);
	*p = SBX_PENDING_INIT;
}

/* The child is ours and not reaped, so its pid is no other's. */
static int born(struct sbx_pending *p, struct msg *m, struct err *err)
{
	struct wire w;
	int r;

	wire_init(&w, m);
	pid_t pid = (pid_t)wire_get_u32(&w);
	r = wire_done(&w, err);
	if (r < 0)
		return r;
	p->child_pidfd = msg_take_fd(m, 0);
	if (p->child_pidfd < 0)
		return err_set(err, EPROTO, "the helper sent no pidfd");
	p->child = pid;
	return pid_start_time(pid, &p->child_start, err);
}

static int receive(struct sbx_pending *p, struct msg *m, struct err *err)
{
	int r;

	if (p->child == 0) {
		r = msg_expect(p->sock, m, SBX_RECORD_BORN, SBX_RECORD_FAILED, err);
		if (r >= 0)
			r = born(p, m, err);
		if (r < 0)
			return r;
	}
	return msg_expect(p->sock, m, SBX_RECORD_STARTED, SBX_RECORD_FAILED, err);
}

int sbx_pending_receive(struct sbx_pending *p, struct msg *m, struct err *err)
{
	int r = receive(p, m, err);

	if (r == -EPIPE)
		r = err_set(err, EPIPE, "the helper process was killed (out of memory?)");
	if (r < 0 && r != -EAGAIN)
		sbx_process_kill(p->child_pidfd);
	return r;
}

void sbx_started_done(struct sbx_started *s)
{
	cleanup_close(&s->pidfd);
	cleanup_close(&s->console);
	cleanup_close(&s->console_slave);
	cleanup_close(&s->notify);
}

void sbx_joined_done(struct sbx_joined *j)
{
	cleanup_close(&j->pidfd);
	cleanup_close(&j->master);
}

int sbx_spawn_finish(struct sbx_pending *p, struct sbx_started *ret, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(0, 0);
	char warning[SBX_WARNING_TEXT];
	struct wire w;
	int r;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	r = sbx_pending_receive(p, m, err);
	if (r < 0)
		return r;
	wire_init(&w, m);
	wire_get_str_to(&w, warning, sizeof(warning));
	if (wire_done(&w, NULL) < 0 || m->n_fds != 3 ||
	    fcntl(m->fds[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		sbx_process_kill(p->child_pidfd);
		return err_set(err, EPROTO, "the helper's report is malformed");
	}
	ret->pid = p->child;
	ret->start = p->child_start;
	ret->pidfd = take_fd(&p->child_pidfd);
	ret->console = msg_take_fd(m, 0);
	ret->console_slave = msg_take_fd(m, 1);
	ret->notify = msg_take_fd(m, 2);
	memcpy(ret->warning, warning, sizeof(warning));
	return 0;
}

int sbx_join_finish(struct sbx_pending *p, struct sbx_joined *ret, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(0, 0);
	int r;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	r = sbx_pending_receive(p, m, err);
	if (r < 0)
		return r;
	ret->pid = p->child;
	ret->start = p->child_start;
	ret->pidfd = take_fd(&p->child_pidfd);
	ret->master = m->n_fds > 0 ? msg_take_fd(m, 0) : -1;
	return 0;
}
