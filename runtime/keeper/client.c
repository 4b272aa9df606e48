/* SPDX-License-Identifier: Apache-2.0 */
/* The client of vps-keeper. */
#include "runtime/keeper/client.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/msg.h"
#include "base/str.h"
#include "runtime/keeper/outbox.h"

#define QUEUE_MAX 8192u
#define RECORDS_PER_CALL 256
#define ERRNO_MAX 4095u

/* A request under way. */
struct pending {
	struct pending *next;
	uint32_t seq;
	uint32_t answer; /* enum keeper_record */
	struct keeper_call call;
	keeper_item_fn item; /* LIST */
};

struct keeper_client {
	int sock;
	bool is_lost;
	uint32_t last_seq;
	struct keeper_events events;
	void *userdata;
	struct outbox out;
	struct pending *head, *tail;
	size_t n_pending;
	struct msg *in;	 /* shared by all receiving */
	struct msg *put; /* shared by all sending */
};

/* --- pending requests ---------------------------------------------------------------------- */

static void pending_append(struct keeper_client *c, struct pending *p)
{
	if (c->tail)
		c->tail->next = p;
	else
		c->head = p;
	c->tail = p;
	c->n_pending++;
}

static struct pending *pending_find(struct keeper_client *c, uint32_t seq)
{
	for (struct pending *p = c->head; p; p = p->next)
		if (p->seq == seq)
			return p;
	return NULL;
}

static void pending_unlink(struct keeper_client *c, struct pending *p)
{
	struct pending *before = NULL;

	for (struct pending *i = c->head; i != p; i = i->next)
		before = i;
	if (before)
		before->next = p->next;
	else
		c->head = p->next;
	if (c->tail == p)
		c->tail = before;
	c->n_pending--;
}

static void complete(struct keeper_client *c, struct pending *p, struct keeper_reply *reply,
		     const struct err *e)
{
	/* Unlinked first: the completion may make requests. */
	pending_unlink(c, p);
	if (p->call.done)
		p->call.done(p->call.userdata, reply, e);
	free(p);
}

/* The connection is of no more use: completes everything, once. */
static int lose(struct keeper_client *c, const struct err *why)
{
	c->is_lost = true;
	outbox_done(&c->out);
	while (c->head) {
		struct err e = ERR_INIT;

		(void)err_set(&e, EPIPE, "lost the connection to the keeper: %s", err_text(why));
		complete(c, c->head, NULL, &e);
	}
	return -why->code;
}

/* --- life ----------------------------------------------------------------------------------- */

/* Sends c->put as request number c->put->seq. */
static int request(struct keeper_client *c, uint32_t answer, keeper_item_fn item,
		   struct keeper_call call, struct err *err)
{
	struct pending *p;
	int r;

	if (c->is_lost)
		return err_set(err, EPIPE, "the connection to the keeper is lost");
	if (c->n_pending >= KEEPER_CLIENT_PENDING_MAX)
		return err_set(err, EBUSY, "%zu requests to the keeper are under way",
			       c->n_pending);
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "cannot ask the keeper: out of memory");
	*p = (struct pending){.seq = c->put->seq, .answer = answer, .call = call, .item = item};
	r = outbox_send(&c->out, c->sock, c->put, err);
	msg_reset(c->put, 0, 0);
	if (r < 0) {
		free(p);
		return err_ctx(err, "cannot ask the keeper");
	}
	pending_append(c, p);
	return 0;
}

/* Begins the request that the next request() sends. */
static struct msg *begin(struct keeper_client *c, enum keeper_record type)
{
	/* 0 is for events. */
	if (++c->last_seq == 0)
		c->last_seq = 1;
	msg_reset(c->put, type, c->last_seq);
	return c->put;
}

int keeper_client_attach(int sock, const struct keeper_events *events, void *userdata,
			 struct keeper_client **ret, struct err *err)
{
	struct keeper_client *c = calloc(1, sizeof(*c));
	struct msg *m;
	int flags, r;

	if (!c)
		return err_set(err, ENOMEM, "cannot make a client: out of memory");
	c->sock = -1;
	c->userdata = userdata;
	c->out = OUTBOX_INIT(QUEUE_MAX);
	if (events)
		c->events = *events;
	c->in = msg_new(0, 0);
	c->put = msg_new(0, 0);
	flags = fcntl(sock, F_GETFL);
	if (!c->in || !c->put)
		r = err_set(err, ENOMEM, "cannot make a client: out of memory");
	else if (flags < 0 || fcntl(sock, F_SETFL, flags | O_NONBLOCK) < 0)
		r = err_sys(err, "cannot use the keeper's socket");
	else {
		m = begin(c, KEEPER_HELLO);
		wire_put_u32(m, KEEPER_PROTOCOL);
		c->sock = sock;
		r = request(c, KEEPER_HELLO_ACK, NULL, (struct keeper_call){0}, err);
		if (r < 0)
			c->sock = -1;
	}
	if (r < 0) {
		keeper_client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int keeper_client_connect(const char *path, const struct keeper_events *events, void *userdata,
			  struct keeper_client **ret, struct err *err)
{
	_cleanup_close_ int sock = -1;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int r;

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0)
		return err_set(err, ENAMETOOLONG, "socket path '%s' is too long", path);
	/* Non-blocking from birth: a keeper with a full backlog is -EAGAIN, to be tried again. */
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return err_sys(err, "cannot make a socket");
	if (connect(sock, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_sys(err, "cannot connect to the keeper at '%s'", path);
	r = keeper_client_attach(sock, events, userdata, ret, err);
	if (r == 0)
		(void)take_fd(&sock);
	return r;
}

void keeper_client_free(struct keeper_client *c)
{
	struct err e = ERR_INIT;

	if (!c)
		return;
	(void)err_set(&e, EPIPE, "closed");
	(void)lose(c, &e);
	cleanup_close(&c->sock);
	msg_free(c->in);
	msg_free(c->put);
	free(c);
}

int keeper_client_fd(const struct keeper_client *c)
{
	return c->sock;
}

short keeper_client_poll_events(const struct keeper_client *c)
{
	return c->out.head ? POLLIN | POLLOUT : POLLIN;
}

/* --- what comes ----------------------------------------------------------------------------- */

static int got_failure(struct keeper_client *c, struct pending *p, struct wire *w, struct err *err)
{
	struct err e = ERR_INIT;
	uint32_t code = wire_get_u32(w);
	const char *text = wire_get_str(w);
	int r = wire_done(w, err);

	if (r < 0)
		return r;
	/* EPIPE would say that the connection is lost, and that nobody knows what became of it. */
	if (code == 0 || code > ERRNO_MAX || code == EPIPE)
		code = EIO;
	(void)err_set(&e, (int)code, "%s", text);
	complete(c, p, NULL, &e);
	return 0;
}

/* Takes the fd that must be there. */
static int take(struct msg *m, size_t i, int *ret, struct err *err)
{
	int fd = msg_take_fd(m, i);

	if (fd < 0)
		return err_set(err, EPROTO, "received record %u without its fds", m->type);
	*ret = fd;
	return 0;
}

static int got_item(struct pending *p, struct msg *m, struct wire *w, struct err *err)
{
	struct keeper_item item = {.pidfd = -1, .console = -1};
	int r;

	keeper_guest_get(w, &item.guest);
	r = wire_done(w, err);
	if (r == 0 && item.guest.how == KEEPER_EXIT_NONE)
		r = take(m, 0, &item.pidfd, err);
	if (r < 0)
		return r;
	if (m->n_fds > 1)
		item.console = msg_take_fd(m, 1);
	if (p->item)
		p->item(p->call.userdata, &item);
	cleanup_close(&item.pidfd);
	cleanup_close(&item.console);
	return 0;
}

static int read_launched(struct msg *m, struct wire *w, struct keeper_reply *ret, struct err *err)
{
	int r;

	(void)wire_get_str(w);
	(void)wire_get_u64(w);
	ret->pid = wire_get_u32(w);
	ret->start = wire_get_u64(w);
	ret->warning = wire_get_str(w);
	r = wire_done(w, err);
	if (r == 0)
		r = take(m, 0, &ret->pidfd, err);
	if (r == 0 && m->n_fds > 1)
		r = take(m, 1, &ret->console, err);
	return r;
}

/* A text of the peer, before the record is used for something else. */
static int got_hello(struct keeper_client *c, struct wire *w, struct err *err)
{
	uint32_t protocol = wire_get_u32(w);
	uint32_t pid = wire_get_u32(w);
	const char *version = wire_get_str(w);
	int r = wire_done(w, err);

	if (r < 0)
		return r;
	if (protocol != KEEPER_PROTOCOL)
		return err_set(err, EPROTO, "the keeper speaks protocol %u, not %u", protocol,
			       KEEPER_PROTOCOL);
	if (c->events.connected)
		c->events.connected(c->userdata, pid, version);
	return 0;
}

static int read_reply(struct msg *m, struct wire *w, struct keeper_reply *ret, struct err *err)
{
	int r;

	switch (m->type) {
	case KEEPER_LAUNCHED:
		return read_launched(m, w, ret, err);
	case KEEPER_EXEC_STARTED:
		(void)wire_get_str(w);
		ret->pid = wire_get_u32(w);
		return wire_done(w, err);
	case KEEPER_LIST_END:
		ret->items = wire_get_u32(w);
		return wire_done(w, err);
	case KEEPER_HELD_ACK:
		r = wire_done(w, err);
		return r < 0 ? r : take(m, 0, &ret->fd, err);
	default:
		return wire_done(w, err);
	}
}

static int got_answer(struct keeper_client *c, struct msg *m, struct err *err)
{
	struct keeper_reply reply = {.pidfd = -1, .console = -1, .fd = -1};
	struct pending *p = pending_find(c, m->seq);
	struct wire w;
	int r;

	wire_init(&w, m);
	if (!p)
		return err_set(err, EPROTO, "received an answer to nothing (record %u)", m->type);
	if (m->type == KEEPER_FAILED && p->answer == KEEPER_HELLO_ACK) {
		/* Refused altogether; the text says why. */
		(void)wire_get_u32(&w);
		return err_set(err, EPROTO, "%s", wire_get_str(&w));
	}
	if (m->type == KEEPER_FAILED)
		return got_failure(c, p, &w, err);
	if (m->type == KEEPER_LIST_ITEM && p->answer == KEEPER_LIST_END)
		return got_item(p, m, &w, err);
	if (m->type != p->answer)
		return err_set(err, EPROTO, "expected record %u, received %u", p->answer, m->type);
	r = m->type == KEEPER_HELLO_ACK ? got_hello(c, &w, err) : read_reply(m, &w, &reply, err);
	if (r == 0)
		complete(c, p, &reply, NULL);
	cleanup_close(&reply.pidfd);
	cleanup_close(&reply.console);
	cleanup_close(&reply.fd);
	return r;
}

static int got_event(struct keeper_client *c, const struct msg *m, struct err *err)
{
	char id[ID_TEXT];
	uint32_t status = 0;
	unsigned how = 0;
	uint64_t boot;
	struct wire w;
	int r;

	wire_init(&w, m);
	wire_get_str_to(&w, id, sizeof(id));
	boot = wire_get_u64(&w);
	if (m->type == KEEPER_EV_EXITED) {
		status = wire_get_u32(&w);
		how = wire_get_u8(&w);
	} else if (m->type != KEEPER_EV_READY) {
		return err_set(err, EPROTO, "received an unknown event (record %u)", m->type);
	}
	r = wire_done(&w, err);
	if (r < 0)
		return r;
	if (how >= KEEPER_EXIT_MAX)
		return err_set(err, EPROTO, "received an unknown kind of exit (%u)", how);
	if (m->type == KEEPER_EV_READY) {
		if (c->events.ready)
			c->events.ready(c->userdata, id, boot);
	} else if (c->events.exited) {
		c->events.exited(c->userdata, id, boot, status, (enum keeper_exit)how);
	}
	return 0;
}

static int receive(struct keeper_client *c, struct err *err)
{
	for (int i = 0; i < RECORDS_PER_CALL; i++) {
		int r = msg_recv(c->sock, c->in, err);

		if (r == -EAGAIN)
			return 0;
		if (r == 0)
			r = err_set(err, EPIPE, "the keeper closed the connection");
		else if (r > 0)
			r = c->in->seq ? got_answer(c, c->in, err) : got_event(c, c->in, err);
		msg_reset(c->in, 0, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

int keeper_client_process(struct keeper_client *c, struct err *err)
{
	struct err e = ERR_INIT;
	int r = c->is_lost ? err_set(&e, EPIPE, "lost before") : 0;

	/* What has come first, so that nothing said before the end is missed. */
	if (r == 0)
		r = receive(c, &e);
	if (r == 0)
		r = outbox_flush(&c->out, c->sock, c->put, &e);
	if (r == 0)
		return 0;
	if (e.code != EPROTO)
		e.code = EPIPE;
	r = lose(c, &e);
	if (err)
		*err = e;
	return r;
}

/* --- requests ------------------------------------------------------------------------------- */

/* Borrowed fds go into the record as they are; a queued record has duplicates. */
static int add_fd(struct msg *m, int fd, const char *what, struct err *err)
{
	int r = msg_add_fd(m, fd);

	return r < 0 ? err_set(err, -r, "cannot pass the %s", what) : 0;
}

int keeper_client_launch(struct keeper_client *c, const struct keeper_launch *l,
			 struct keeper_call call, struct err *err)
{
	struct msg *m = begin(c, KEEPER_LAUNCH);
	int r;

	wire_put_str(m, l->id);
	wire_put_u64(m, l->boot);
	wire_put_u64(m, l->log_max);
	r = add_fd(m, l->log_dir, "log directory", err);
	if (r == 0)
		r = sbx_launch_pack(l->launch, m, err);
	return r < 0 ? r : request(c, KEEPER_LAUNCHED, NULL, call, err);
}

static int put_stream(struct msg *m, const struct keeper_stream *s, struct err *err)
{
	if (s->early_len > KEEPER_EARLY_MAX)
		return err_set(err, EMSGSIZE, "%zu early bytes are too many", s->early_len);
	wire_put_bytes(m, s->early, s->early_len);
	return add_fd(m, s->sock, "customer's socket", err);
}

int keeper_client_exec(struct keeper_client *c, const char *id, uint64_t boot,
		       enum keeper_session_mode mode, const struct keeper_stream *stream,
		       const struct sbx_join *join, struct keeper_call call, struct err *err)
{
	struct msg *m = begin(c, KEEPER_EXEC);
	struct sbx_join j = *join;
	int r;

	/* The keeper has these itself; a description must be complete all the same. */
	j.pidfd = j.cgroup;
	for (int i = 0; i < 3; i++)
		j.stdio[i] = j.cgroup;

	wire_put_str(m, id);
	wire_put_u64(m, boot);
	wire_put_u32(m, mode);
	r = put_stream(m, stream, err);
	if (r == 0)
		r = sbx_join_pack(&j, m, err);
	return r < 0 ? r : request(c, KEEPER_EXEC_STARTED, NULL, call, err);
}

int keeper_client_console(struct keeper_client *c, const char *id, uint64_t boot, uint32_t flags,
			  const struct keeper_stream *stream, struct keeper_call call,
			  struct err *err)
{
	struct msg *m = begin(c, KEEPER_CONSOLE);
	int r;

	wire_put_str(m, id);
	wire_put_u64(m, boot);
	wire_put_u32(m, flags);
	r = put_stream(m, stream, err);
	return r < 0 ? r : request(c, KEEPER_OK, NULL, call, err);
}

int keeper_client_adopt(struct keeper_client *c, const struct keeper_adopt *a,
			struct keeper_call call, struct err *err)
{
	struct msg *m = begin(c, KEEPER_ADOPT);
	int r;

	wire_put_str(m, a->id);
	wire_put_u64(m, a->boot);
	wire_put_u32(m, a->pid);
	wire_put_u64(m, a->start);
	wire_put_u64(m, a->log_max);
	r = add_fd(m, a->log_dir, "log directory", err);
	if (r == 0 && a->console >= 0)
		r = add_fd(m, a->console, "console", err);
	return r < 0 ? r : request(c, KEEPER_LAUNCHED, NULL, call, err);
}

int keeper_client_list(struct keeper_client *c, keeper_item_fn item, struct keeper_call call,
		       struct err *err)
{
	(void)begin(c, KEEPER_LIST);
	return request(c, KEEPER_LIST_END, item, call, err);
}

int keeper_client_signal(struct keeper_client *c, const char *id, uint64_t boot, int signo,
			 struct keeper_call call, struct err *err)
{
	struct msg *m = begin(c, KEEPER_SIGNAL);

	if (signo < 1 || signo > 64)
		return err_set(err, EINVAL, "%d is not a signal number", signo);
	wire_put_str(m, id);
	wire_put_u64(m, boot);
	wire_put_u32(m, (uint32_t)signo);
	return request(c, KEEPER_OK, NULL, call, err);
}

int keeper_client_forget(struct keeper_client *c, const char *id, uint64_t boot,
			 struct keeper_call call, struct err *err)
{
	struct msg *m = begin(c, KEEPER_FORGET);

	wire_put_str(m, id);
	wire_put_u64(m, boot);
	return request(c, KEEPER_OK, NULL, call, err);
}

static struct msg *begin_key(struct keeper_client *c, enum keeper_record type, const char *key,
			     struct err *err)
{
	struct msg *m = begin(c, type);

	if (!*key || strlen(key) > KEEPER_KEY_MAX) {
		(void)err_set(err, EINVAL, "'%s' is not a key of 1 to %u bytes", key,
			      KEEPER_KEY_MAX);
		return NULL;
	}
	wire_put_str(m, key);
	return m;
}

int keeper_client_hold(struct keeper_client *c, const char *key, int fd, struct keeper_call call,
		       struct err *err)
{
	struct msg *m = begin_key(c, KEEPER_HOLD, key, err);
	int r;

	if (!m)
		return -EINVAL;
	r = add_fd(m, fd, "fd to hold", err);
	return r < 0 ? r : request(c, KEEPER_OK, NULL, call, err);
}

int keeper_client_unhold(struct keeper_client *c, const char *key, struct keeper_call call,
			 struct err *err)
{
	if (!begin_key(c, KEEPER_UNHOLD, key, err))
		return -EINVAL;
	return request(c, KEEPER_OK, NULL, call, err);
}

int keeper_client_held(struct keeper_client *c, const char *key, struct keeper_call call,
		       struct err *err)
{
	if (!begin_key(c, KEEPER_HELD, key, err))
		return -EINVAL;
	return request(c, KEEPER_HELD_ACK, NULL, call, err);
}
