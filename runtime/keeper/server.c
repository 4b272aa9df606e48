/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that vpsd speaks to. Nothing waits for it: answers are queued, and what happens to
 * guests is kept in their state and told from there when there is room, so that a slow or absent
 * peer costs no memory.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/keeper/keeper.h"

#define RECORDS_TURN 32
#define QUEUE_MAX 4096u /* records; more: the peer is dropped */
#define QUEUE_CALM 64u	/* with more, no requests are read and no events are told */

/* --- sending --------------------------------------------------------------------------------- */

struct msg *server_begin(struct keeper *k, uint32_t type, uint32_t seq)
{
	msg_reset(&k->buffers->out, type, seq);
	return &k->buffers->out;
}

void server_send(struct keeper *k, uint64_t generation)
{
	struct peer *p = &k->peer;
	struct err e = ERR_INIT;

	if (p->sock.fd < 0 || p->is_broken || (generation != 0 && generation != p->generation))
		return;
	if (outbox_send(&p->out, p->sock.fd, &k->buffers->out, &e) < 0) {
		log_warning("cannot answer vpsd: %s", err_text(&e));
		p->is_broken = true;
	}
}

void server_fail(struct keeper *k, uint64_t generation, uint32_t seq, const struct err *why)
{
	struct msg *m = server_begin(k, KEEPER_FAILED, seq);

	wire_put_u32(m, (uint32_t)why->code);
	wire_put_str(m, err_text(why));
	server_send(k, generation);
}

/* --- requests -------------------------------------------------------------------------------- */

static int hello(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	uint32_t protocol = wire_get_u32(w);
	int r = wire_done(w, err);
	struct msg *answer;

	if (r < 0)
		return r;
	if (protocol != KEEPER_PROTOCOL)
		return err_set(err, EPROTONOSUPPORT, "vps-keeper speaks protocol %u, not %u",
			       KEEPER_PROTOCOL, protocol);
	k->peer.is_greeted = true;
	answer = server_begin(k, KEEPER_HELLO_ACK, m->seq);
	wire_put_u32(answer, KEEPER_PROTOCOL);
	wire_put_u32(answer, (uint32_t)getpid());
	wire_put_str(answer, VPS_VERSION);
	server_send(k, 0);
	return 0;
}

static int list(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	int r = wire_done(w, err);

	if (r < 0)
		return r;
	if (k->peer.list_seq != 0)
		return err_set(err, EBUSY, "a listing is under way");
	if (m->seq == 0)
		return err_set(err, EPROTO, "received a listing without a sequence number");
	k->peer.list_seq = m->seq;
	k->peer.list_items = 0;
	for (struct guest *g = k->guests; g; g = g->next)
		g->is_listed = false;
	return 0;
}

/* run: 0 = it answers by itself, 1 = answer OK, negative = answer FAILED. */
static const struct request {
	uint32_t type;
	uint32_t min_fds, max_fds;
	int (*run)(struct keeper *k, struct msg *m, struct wire *w, struct err *err);
} requests[] = {
	{KEEPER_HELLO, 0, 0, hello},
	{KEEPER_LAUNCH, 1, MSG_FDS_MAX, guest_launch},
	{KEEPER_EXEC, 1, MSG_FDS_MAX, session_exec},
	{KEEPER_CONSOLE, 1, 1, console_attach},
	{KEEPER_ADOPT, 1, 2, guest_adopt},
	{KEEPER_LIST, 0, 0, list},
	{KEEPER_SIGNAL, 0, 0, guest_signal},
	{KEEPER_FORGET, 0, 0, guest_forget},
	{KEEPER_HOLD, 1, 1, held_hold},
	{KEEPER_UNHOLD, 0, 0, held_unhold},
	{KEEPER_HELD, 0, 0, held_get},
};

static const struct request *request_find(uint32_t type)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].type == type)
			return &requests[i];
	return NULL;
}

static void handle(struct keeper *k, struct msg *m)
{
	const struct request *q = request_find(m->type);
	uint64_t generation = k->peer.generation;
	struct err e = ERR_INIT;
	uint32_t seq = m->seq;
	struct wire w;
	int r;

	wire_init(&w, m);
	if (!q || (!k->peer.is_greeted && m->type != KEEPER_HELLO))
		r = err_set(&e, EPROTO, "received unexpected record %u", m->type);
	else if (m->n_fds < q->min_fds || m->n_fds > q->max_fds)
		r = err_set(&e, EPROTO, "received record %u with %zu fds", m->type, m->n_fds);
	else
		r = q->run(k, m, &w, &e);
	msg_reset(m, 0, 0);
	if (r < 0) {
		log_debug("record %u failed: %s", q ? q->type : 0, err_text(&e));
		server_fail(k, generation, seq, &e);
	} else if (r > 0) {
		(void)server_begin(k, KEEPER_OK, seq);
		server_send(k, generation);
	}
}

void server_event(struct keeper *k, uint32_t events)
{
	struct peer *p = &k->peer;
	struct err e = ERR_INIT;

	if (events & EPOLLOUT && !p->is_broken &&
	    outbox_flush(&p->out, p->sock.fd, &k->buffers->out, &e) < 0)
		p->is_broken = true;
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (int i = 0; i < RECORDS_TURN && !p->is_broken && p->out.n < QUEUE_CALM; i++) {
		struct msg *m = &k->buffers->in;
		int r = msg_recv(p->sock.fd, m, &e);

		if (r == -EAGAIN)
			return;
		if (r > 0) {
			handle(k, m);
			continue;
		}
		if (r < 0)
			log_warning("vpsd's connection ends: %s", err_text(&e));
		else
			log_info("vpsd has disconnected");
		p->is_broken = true;
	}
	if (events & (EPOLLHUP | EPOLLERR) && p->out.n >= QUEUE_CALM)
		p->is_broken = true;
}

/* --- connections ----------------------------------------------------------------------------- */

static void peer_drop(struct keeper *k)
{
	struct peer *p = &k->peer;

	source_close(k, &p->sock);
	outbox_done(&p->out);
	p->is_broken = p->is_greeted = false;
	p->list_seq = 0;
}

static bool is_root(int sock)
{
	struct ucred cred = {.uid = UINT32_MAX};
	socklen_t size = sizeof(cred);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 && cred.uid == 0;
}

void server_accept(struct keeper *k)
{
	_cleanup_close_ int sock = -1;
	struct err e = ERR_INIT;

	sock = accept4(k->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock < 0 && (errno == EMFILE || errno == ENFILE) && k->reserve >= 0) {
		/* Refused by hand: left alone, it would wake us again and again. */
		cleanup_close(&k->reserve);
		sock = accept4(k->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		log_error("refused a connection: out of file descriptors");
		return;
	}
	if (sock < 0)
		return;
	if (!is_root(sock)) {
		log_warning("refused a connection: not by root");
		return;
	}
	peer_drop(k);
	if (source_add(k, &k->peer.sock, SOURCE_PEER, sock, EPOLLIN, &e) < 0) {
		log_error("refused a connection: %s", err_text(&e));
		return;
	}
	(void)take_fd(&sock);
	k->peer.out = OUTBOX_INIT(QUEUE_MAX);
	k->peer.generation++;
	/* What happened before is found by a listing. */
	for (struct guest *g = k->guests; g; g = g->next) {
		g->is_exit_told = g->info.how != KEEPER_EXIT_NONE;
		g->is_ready_told = g->info.ready;
	}
}

/* --- what is told unasked -------------------------------------------------------------------- */

static bool has_room(const struct keeper *k)
{
	return !k->peer.is_broken && k->peer.out.n < QUEUE_CALM;
}

static void tell(struct keeper *k, struct guest *g)
{
	struct msg *m;

	if (g->info.ready && !g->is_ready_told) {
		m = server_begin(k, KEEPER_EV_READY, 0);
		wire_put_str(m, g->info.id);
		wire_put_u64(m, g->info.boot);
		server_send(k, 0);
		g->is_ready_told = true;
	}
	if (g->info.how != KEEPER_EXIT_NONE && !g->is_exit_told) {
		m = server_begin(k, KEEPER_EV_EXITED, 0);
		wire_put_str(m, g->info.id);
		wire_put_u64(m, g->info.boot);
		wire_put_u32(m, g->info.status);
		wire_put_u8(m, g->info.how);
		server_send(k, 0);
		g->is_exit_told = true;
	}
}

static void list_item(struct keeper *k, struct guest *g)
{
	struct msg *m = server_begin(k, KEEPER_LIST_ITEM, k->peer.list_seq);

	keeper_guest_put(m, &g->info);
	if (g->info.how == KEEPER_EXIT_NONE) {
		(void)msg_add_fd(m, g->pid.fd);
		if (g->console.fd >= 0)
			(void)msg_add_fd(m, g->console.fd);
	}
	server_send(k, 0);
	g->is_listed = true;
	k->peer.list_items++;
}

static void list_go_on(struct keeper *k)
{
	struct msg *m;

	for (struct guest *g = k->guests; g; g = g->next) {
		if (!has_room(k))
			return;
		if (!g->is_listed)
			list_item(k, g);
	}
	m = server_begin(k, KEEPER_LIST_END, k->peer.list_seq);
	wire_put_u32(m, k->peer.list_items);
	server_send(k, 0);
	k->peer.list_seq = 0;
}

void server_pump(struct keeper *k)
{
	struct peer *p = &k->peer;

	if (p->sock.fd >= 0 && p->is_greeted) {
		for (struct guest *g = k->guests; g && has_room(k); g = g->next)
			tell(k, g);
		if (p->list_seq != 0)
			list_go_on(k);
	}
	if (p->is_broken)
		peer_drop(k);
	source_want(k, &p->sock,
		    (p->out.n < QUEUE_CALM ? (uint32_t)EPOLLIN : 0u) |
			    (p->out.n > 0 ? (uint32_t)EPOLLOUT : 0u));
}
