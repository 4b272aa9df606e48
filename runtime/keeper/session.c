/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec sessions. The keeper is the parent of the command and knows its end; the data flows past it:
 * through fds that the customer holds (PASS_FDS), or through a relay process (FRAMED).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/keeper/keeper.h"
#include "runtime/keeper/relay.h"

static void session_free(struct keeper *k, struct session *s)
{
	struct session **p = &k->sessions;

	while (*p && *p != s)
		p = &(*p)->next;
	if (*p) {
		*p = s->next;
		k->n_sessions--;
	}
	timer_clear(k, &s->limit);
	source_close(k, &s->sock);
	source_close(k, &s->relay);
	source_close(k, &s->pid);
	for (int i = 0; i < 3; i++)
		cleanup_close(&s->outer[i]);
	cleanup_close(&s->leaf);
	free(s->early);
	free(s);
}

/* --- start ----------------------------------------------------------------------------------- */

/* Pipes for a command without terminal: its ends go to j->stdio, ours to s->outer. They belong to
 * the command's user, who may open them again by /dev/stdout. */
static int make_pipes(struct session *s, struct sbx_join *j, struct err *err)
{
	for (int i = 0; i < 3; i++) {
		int pair[2], inner = i == 0 ? 0 : 1;

		cleanup_close(&j->stdio[i]);
		if (pipe2(pair, O_CLOEXEC) < 0)
			return err_sys(err, "cannot make pipes");
		j->stdio[i] = pair[inner];
		s->outer[i] = pair[!inner];
		if (fchown(pair[inner], j->base + j->uid, j->base + j->gid) < 0)
			return err_sys(err, "cannot give pipes to the command");
	}
	return 0;
}

static int join_begin(struct keeper *k, struct session *s, struct op *op, struct sbx_join *j,
		      struct err *err)
{
	struct sbx_pending pending = SBX_PENDING_INIT;
	int r = j->tty ? 0 : make_pipes(s, j, err);

	if (r < 0)
		return r;
	s->leaf = fcntl(j->cgroup, F_DUPFD_CLOEXEC, 3);
	if (s->leaf < 0)
		return err_sys(err, "cannot keep the cgroup of the session");
	r = sbx_join_begin(j, &pending, err);
	if (r < 0)
		return r;
	s->next = k->sessions;
	k->sessions = s;
	k->n_sessions++;
	op->session = s;
	op_begin(k, op, &pending);
	return 0;
}

static int exec_read(struct keeper *k, struct msg *m, struct wire *w, struct session *s,
		     struct op *op, struct err *err)
{
	struct guest *g = NULL;
	_cleanup_free_ void *mem = NULL;
	struct sbx_join j;
	int sock = -1, theirs, r;

	wire_get_str_to(w, op->id, sizeof(op->id));
	op->boot = wire_get_u64(w);
	s->mode = wire_get_u32(w);
	r = customer_take(m, w, &sock, &s->early, &s->early_len, err);
	if (r < 0)
		return r;
	s->sock.fd = sock; /* not watched before the command runs */
	memcpy(s->id, op->id, sizeof(s->id));
	if (s->mode != KEEPER_MODE_PASS_FDS && s->mode != KEEPER_MODE_FRAMED)
		return err_set(err, EINVAL, "unknown mode %u of a session", s->mode);
	if (k->n_ops >= OPS_MAX || k->n_sessions >= SESSIONS_MAX)
		return err_set(err, EBUSY, "%zu sessions are open", k->n_sessions);
	r = guest_get(k, op->id, op->boot, &g, err);
	if (r == 0)
		r = sbx_join_unpack(w, m, &j, &mem, err);
	if (r < 0)
		return r;
	/* Ours is known to be of this boot. */
	theirs = j.pidfd;
	j.pidfd = g->pid.fd;
	r = wire_done(w, err);
	if (r == 0)
		r = join_begin(k, s, op, &j, err);
	j.pidfd = theirs;
	sbx_join_close(&j);
	return r;
}

int session_exec(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	_cleanup_free_ struct op *op = calloc(1, sizeof(*op));
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!op || !s) {
		free(s);
		return err_set(err, ENOMEM, "cannot join: out of memory");
	}
	*op = (struct op){.seq = m->seq, .peer = k->peer.generation, .cgroup = -1, .log_dir = -1};
	s->sock = s->relay = s->pid = SOURCE_INIT;
	s->leaf = s->outer[0] = s->outer[1] = s->outer[2] = -1;
	r = exec_read(k, m, w, s, op, err);
	if (r < 0) {
		struct err why = ERR_INIT;

		(void)err_set(&why, -r, "%s", err_text(err));
		session_failed(k, s, &why);
		return r;
	}
	(void)take_ptr(op);
	return 0;
}

void session_failed(struct keeper *k, struct session *s, const struct err *why)
{
	customer_refuse(take_fd(&s->sock.fd), why);
	session_free(k, s);
}

/* --- signals and the end --------------------------------------------------------------------- */

/* To the process group of the session. Its leader was not reaped, so neither its pid nor a group of
 * that number can be anybody else's. */
static void session_signal(const struct session *s, int signo)
{
	if (s->leader <= 1)
		return;
	if (getpgid(s->leader) == s->leader && kill(-s->leader, signo) == 0)
		return;
	(void)pidfd_send_signal(s->pid.fd, signo, NULL, 0);
}

/* The customer has gone: the command gets a hangup as on a terminal, and then the end. */
static void session_hang_up(struct keeper *k, struct session *s)
{
	if (s->is_hung_up)
		return;
	s->is_hung_up = true;
	source_close(k, &s->sock);
	source_close(k, &s->relay);
	session_signal(s, SIGHUP);
	session_signal(s, SIGCONT);
	timer_set(k, &s->limit, TIMER_SESSION, k->now + HANGUP_LIMIT_USEC);
}

void session_expired(struct keeper *k, struct session *s)
{
	struct err e = ERR_INIT;

	(void)k;
	if (file_write_at(s->leaf, "cgroup.kill", "1", &e) < 0)
		log_debug("session of %s: %s", s->id, err_text(&e));
	/* Also where it has moved to another cgroup by itself. */
	session_signal(s, SIGKILL);
}

void session_pid_event(struct keeper *k, struct session *s)
{
	uint8_t frame[FRAME_HEADER + 4];
	uint32_t status = 0, code;
	int r = child_reap(s->leader, &status);

	if (r == 0)
		return;
	code = r > 0 ? keeper_exit_code(status) : 255;
	s->leader = 0;
	if (s->relay.fd >= 0)
		(void)!send(s->relay.fd, &code, sizeof(code), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (s->sock.fd >= 0) {
		customer_send(s->sock.fd, frame, frame_make_u32(frame, FRAME_EXIT, code));
		(void)shutdown(s->sock.fd, SHUT_RDWR);
	}
	session_free(k, s);
}

/* --- PASS_FDS -------------------------------------------------------------------------------- */

static int feed(struct session *s, const uint8_t *p, size_t n, struct err *err)
{
	struct frame_piece piece;
	int r;

	while ((r = frame_next(&s->parser, FRAME_BIT(FRAME_SIGNAL), &p, &n, &piece, err)) > 0)
		session_signal(s, (int)piece.signo);
	return r;
}

void session_event(struct keeper *k, struct session *s)
{
	uint8_t frame[FRAME_LAST_MAX], buf[256];
	struct err e = ERR_INIT;
	ssize_t n = recv(s->sock.fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && feed(s, buf, (size_t)n, &e) == 0)
		return;
	if (n > 0)
		customer_send(s->sock.fd, frame, frame_make_error(frame, &e));
	session_hang_up(k, s);
}

static int send_fds(int sock, const void *data, size_t len, const int *fds, size_t n_fds,
		    struct err *err)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 3)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf};
	struct cmsghdr *c = (struct cmsghdr *)(void *)control.buf;

	mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	if (sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		return err_sys(err, "cannot pass the fds of the session");
	return 0;
}

static int start_passing(struct keeper *k, struct session *s, bool is_tty, struct err *err)
{
	uint8_t frame[FRAME_HEADER + 4];
	size_t size = frame_make_u32(frame, FRAME_STARTED, (uint32_t)s->leader);
	int sock = take_fd(&s->sock.fd);
	int r = send_fds(sock, frame, size, s->outer, is_tty ? 1 : 3, err);

	if (r == 0)
		r = source_add(k, &s->sock, SOURCE_SESSION, sock, EPOLLIN, err);
	if (r < 0) {
		(void)close(sock);
		return r;
	}
	r = feed(s, s->early, s->early_len, err);
	free(take_ptr(s->early));
	return r;
}

/* --- FRAMED ---------------------------------------------------------------------------------- */

static int start_relay(struct keeper *k, struct session *s, bool is_tty, struct err *err)
{
	uint8_t frame[FRAME_HEADER + 4];
	int pair[2];
	int r = msg_socketpair(pair, err);

	if (r < 0)
		return r;
	_cleanup_close_ int ours = pair[0];
	_cleanup_close_ int theirs = pair[1];
	_cleanup_close_ int sock = take_fd(&s->sock.fd);
	const struct relay_start start = {
		.sock = sock,
		.control = theirs,
		.stdio = {s->outer[0], is_tty ? s->outer[0] : s->outer[1], s->outer[2]},
		.is_tty = is_tty,
		.early = s->early,
		.early_len = s->early_len,
		.last_msec = RELAY_LAST_MSEC,
	};
	customer_send(sock, frame, frame_make_u32(frame, FRAME_STARTED, (uint32_t)s->leader));
	pid_t pid = fork();
	if (pid == 0)
		relay_main(&start);
	if (pid < 0)
		return err_sys(err, "cannot fork the relay of a session");
	child_watch(k, pid);
	r = source_add(k, &s->relay, SOURCE_RELAY, ours, EPOLLIN, err);
	if (r == 0)
		(void)take_fd(&ours);
	return r;
}

void session_relay_event(struct keeper *k, struct session *s)
{
	uint32_t signo;
	ssize_t n = recv(s->relay.fd, &signo, sizeof(signo), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == (ssize_t)sizeof(signo) && signo >= 1 && signo <= 64)
		session_signal(s, (int)signo);
	else
		session_hang_up(k, s);
}

/* --- a join that came up --------------------------------------------------------------------- */

static void send_started(struct keeper *k, const struct op *op)
{
	struct msg *m = server_begin(k, KEEPER_EXEC_STARTED, op->seq);

	wire_put_str(m, op->id);
	wire_put_u32(m, (uint32_t)op->session->leader);
	server_send(k, op->peer);
}

void session_started(struct keeper *k, struct op *op, struct sbx_joined *joined)
{
	struct session *s = op->session;
	bool is_tty = joined->master >= 0;
	struct err e = ERR_INIT;
	int r;

	s->leader = joined->pid;
	if (is_tty)
		s->outer[0] = take_fd(&joined->master);
	r = source_add(k, &s->pid, SOURCE_SESSION_PID, joined->pidfd, PID_EVENTS, &e);
	if (r < 0) {
		/* Nobody would see its end. */
		server_fail(k, op->peer, op->seq, &e);
		(void)pidfd_send_signal(joined->pidfd, SIGKILL, NULL, 0);
		child_watch(k, joined->pid);
		session_failed(k, s, &e);
		return;
	}
	(void)take_fd(&joined->pidfd);
	send_started(k, op);
	r = s->mode == KEEPER_MODE_FRAMED ? start_relay(k, s, is_tty, &e)
					  : start_passing(k, s, is_tty, &e);
	/* From here on they are the customer's or the relay's: a copy here would keep them open. */
	for (int i = 0; i < 3; i++)
		cleanup_close(&s->outer[i]);
	free(take_ptr(s->early));
	if (r < 0) {
		log_debug("session of %s: %s", s->id, err_text(&e));
		session_hang_up(k, s);
	}
}
