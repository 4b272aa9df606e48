/* SPDX-License-Identifier: Apache-2.0 */
/* The rig's keeper: the other end of its socket, in the event loop of the test. */
#pragma once

#include "tests/unit/instance/rig_world.h"

static inline struct rig_guest *guest_find(const char *id)
{
	for (size_t i = 0; i < rig->n_guests; i++)
		if (str_eq(rig->guests[i].id, id))
			return &rig->guests[i];
	return NULL;
}

static inline struct msg *begin(uint32_t type, uint32_t seq)
{
	msg_reset(rig->out, type, seq);
	return rig->out;
}

static inline void send_out(void)
{
	struct err err = ERR_INIT;

	if (rig->peer >= 0 && msg_send(rig->peer, rig->out, &err) < 0)
		assert_int_equal(err.code, EPIPE);
}

static inline void answer(uint32_t seq, int code)
{
	struct msg *m = begin(code ? KEEPER_FAILED : KEEPER_OK, seq);

	if (code) {
		wire_put_u32(m, (uint32_t)code);
		wire_put_str(m, "refused");
	}
	send_out();
}

static inline void tell_exit(const struct rig_guest *g)
{
	struct msg *m = begin(KEEPER_EV_EXITED, 0);

	wire_put_str(m, g->id);
	wire_put_u64(m, g->boot);
	wire_put_u32(m, g->status);
	wire_put_u8(m, (uint8_t)g->how);
	send_out();
}

static inline pid_t guest_pid(const char *id)
{
	const struct rig_guest *g = guest_find(id);

	return g ? g->pid : 0;
}

/* The init of a guest ends, and the keeper (if it is there) says so. */
static inline void guest_ends(const char *id, enum keeper_exit how, uint32_t status)
{
	struct rig_guest *g = guest_find(id);

	if (!g || g->how != KEEPER_EXIT_NONE)
		return;
	g->how = how;
	g->status = status;
	(void)kill(g->pid, SIGKILL);
	assert_int_equal(waitpid(g->pid, NULL, 0), g->pid);
	cleanup_close(&g->pidfd);
	g->pidfd = -1;
	tell_exit(g);
}

static inline void guest_ready(const char *id)
{
	struct rig_guest *g = guest_find(id);
	struct msg *m = begin(KEEPER_EV_READY, 0);

	if (!g)
		fail_msg("no guest %s", id);
	else
		g->ready = true;
	wire_put_str(m, id);
	wire_put_u64(m, g ? g->boot : 0);
	send_out();
}

static inline void guest_drop(struct rig_guest *g)
{
	if (g->pidfd >= 0) {
		(void)kill(g->pid, SIGKILL);
		(void)waitpid(g->pid, NULL, 0);
		cleanup_close(&g->pidfd);
	}
	*g = rig->guests[--rig->n_guests];
}

/* It vanishes, and the keeper never knew it. */
static inline void guest_lose(const char *id)
{
	for (size_t i = 0; i < rig->n_guests; i++)
		if (str_eq(rig->guests[i].id, id)) {
			guest_drop(&rig->guests[i]);
			return;
		}
	fail_msg("no guest %s", id);
}

static inline bool guest_lives(const char *id)
{
	const struct rig_guest *g = guest_find(id);

	return g && g->how == KEEPER_EXIT_NONE;
}

static inline struct rig_guest *guest_add(const char *id, uint64_t boot)
{
	struct rig_guest *g = &rig->guests[rig->n_guests++];

	assert_true(rig->n_guests <= GUESTS_MAX);
	*g = (struct rig_guest){.boot = boot, .pidfd = -1};
	(void)str_copy(g->id, sizeof(g->id), id);
	return g;
}

static inline void send_launched(const struct rig_guest *g, uint32_t seq)
{
	_cleanup_close_ int console = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct msg *m = begin(KEEPER_LAUNCHED, seq);

	wire_put_str(m, g->id);
	wire_put_u64(m, g->boot);
	wire_put_u32(m, (uint32_t)g->pid);
	wire_put_u64(m, g->start);
	wire_put_str(m, "");
	assert_int_equal(msg_add_fd(m, g->pidfd), 0);
	assert_int_equal(msg_add_fd(m, console), 0);
	send_out();
}

static inline void serve_launch(const char *id, uint64_t boot, struct wire *w, uint32_t seq)
{
	struct rig_guest *g = guest_find(id);
	void *mem = NULL;

	(void)wire_get_u64(w);
	assert_int_equal(sbx_launch_unpack(w, rig->in, &rig->launch, &mem, NULL), 0);
	sbx_launch_close(&rig->launch);
	free(mem);
	rig->launches++;
	if (g) {
		answer(seq, EEXIST);
		return;
	}
	g = guest_add(id, boot);
	g->pid = fork();
	assert_true(g->pid >= 0);
	if (g->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close_range(3, ~0u, 0);
		for (;;)
			(void)pause();
	}
	g->pidfd = (int)syscall(SYS_pidfd_open, g->pid, 0);
	assert_int_equal(pid_start_time(g->pid, &g->start, NULL), 0);
	if (!rig->holds_launches)
		send_launched(g, seq);
}

static inline void serve_adopt(const char *id, uint64_t boot, struct wire *w, uint32_t seq)
{
	struct rig_guest *g;
	uint32_t pid = wire_get_u32(w);
	uint64_t start = wire_get_u64(w), now;

	rig->adopts++;
	if (rig->refuses_adoption || guest_find(id)) {
		answer(seq, rig->refuses_adoption ? EIO : EEXIST);
		return;
	}
	if (pid_start_time((pid_t)pid, &now, NULL) < 0 || now != start) {
		answer(seq, ESRCH);
		return;
	}
	g = guest_add(id, boot);
	g->pid = (pid_t)pid;
	g->start = start;
	g->pidfd = (int)syscall(SYS_pidfd_open, g->pid, 0);
	send_launched(g, seq);
}

static inline void serve_list(uint32_t seq)
{
	struct msg *m;

	rig->lists++;
	for (size_t i = 0; i < rig->n_guests; i++) {
		const struct rig_guest *g = &rig->guests[i];
		const struct keeper_guest info = {.boot = g->boot,
						  .pid = (uint32_t)g->pid,
						  .start = g->start,
						  .ready = g->ready,
						  .how = (uint8_t)g->how,
						  .status = g->status};
		struct keeper_guest copy = info;

		(void)str_copy(copy.id, sizeof(copy.id), g->id);
		m = begin(KEEPER_LIST_ITEM, seq);
		keeper_guest_put(m, &copy);
		if (g->how == KEEPER_EXIT_NONE)
			assert_int_equal(msg_add_fd(m, g->pidfd), 0);
		send_out();
	}
	if (rig->ends_while_listed)
		guest_ends(rig->guests[0].id, KEEPER_EXIT_POWEROFF, SIGINT);
	rig->ends_while_listed = false;
	m = begin(KEEPER_LIST_END, seq);
	wire_put_u32(m, (uint32_t)rig->n_guests);
	send_out();
}

static inline void serve_forget(const char *id, uint64_t boot, uint32_t seq)
{
	struct rig_guest *g = guest_find(id);

	rig->forgets++;
	if (!g || g->boot != boot) {
		answer(seq, ESRCH);
		return;
	}
	if (g->how == KEEPER_EXIT_NONE) {
		answer(seq, EBUSY);
		return;
	}
	guest_drop(g);
	answer(seq, 0);
}

static inline struct rig_held *held_find(const char *key)
{
	for (size_t i = 0; i < rig->n_held; i++)
		if (str_eq(rig->held[i].key, key))
			return &rig->held[i];
	return NULL;
}

static inline void held_drop(struct rig_held *h)
{
	cleanup_close(&h->fd);
	*h = rig->held[--rig->n_held];
}

static inline void serve_held(struct msg *in)
{
	char key[sizeof(rig->held[0].key)];
	struct rig_held *h;
	struct wire w;

	wire_init(&w, in);
	wire_get_str_to(&w, key, sizeof(key));
	assert_int_equal(wire_done(&w, NULL), 0);
	h = held_find(key);
	if (in->type == KEEPER_HOLD) {
		if (h)
			held_drop(h);
		assert_true(rig->n_held < GUESTS_MAX);
		h = &rig->held[rig->n_held++];
		(void)str_copy(h->key, sizeof(h->key), key);
		h->fd = msg_take_fd(in, 0);
		assert_true(h->fd >= 0);
		answer(in->seq, 0);
	} else if (!h) {
		answer(in->seq, ENOENT);
	} else if (in->type == KEEPER_UNHOLD) {
		held_drop(h);
		answer(in->seq, 0);
	} else {
		struct msg *m = begin(KEEPER_HELD_ACK, in->seq);

		assert_int_equal(msg_add_fd(m, h->fd), 0);
		send_out();
	}
}

static inline void serve(struct msg *in)
{
	char id[ID_TEXT] = "";
	uint64_t boot = 0;
	struct wire w;
	struct msg *m;

	wire_init(&w, in);
	if (in->type == KEEPER_HELLO) {
		m = begin(KEEPER_HELLO_ACK, in->seq);
		wire_put_u32(m, rig->protocol ? rig->protocol : KEEPER_PROTOCOL);
		wire_put_u32(m, (uint32_t)getpid());
		wire_put_str(m, "rig");
		send_out();
		return;
	}
	if (in->type == KEEPER_LIST) {
		serve_list(in->seq);
		return;
	}
	if (in->type == KEEPER_HOLD || in->type == KEEPER_UNHOLD || in->type == KEEPER_HELD) {
		serve_held(in);
		return;
	}
	wire_get_str_to(&w, id, sizeof(id));
	boot = wire_get_u64(&w);
	if (in->type == KEEPER_LAUNCH) {
		serve_launch(id, boot, &w, in->seq);
	} else if (in->type == KEEPER_ADOPT) {
		serve_adopt(id, boot, &w, in->seq);
	} else if (in->type == KEEPER_FORGET) {
		serve_forget(id, boot, in->seq);
	} else {
		assert_int_equal(in->type, KEEPER_SIGNAL);
		rig->signals++;
		rig->last_signal = (int)wire_get_u32(&w);
		answer(in->seq, 0);
	}
}

static inline void peer_drop(void)
{
	rig->on_peer = sd_event_source_disable_unref(rig->on_peer);
	cleanup_close(&rig->peer);
	rig->peer = -1;
}

static inline int on_peer(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	(void)s;
	(void)fd;
	(void)revents;
	(void)arg;
	if (msg_recv(rig->peer, rig->in, NULL) == 1)
		serve(rig->in);
	else
		peer_drop();
	return 0;
}

static inline int on_listener(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	(void)s;
	(void)revents;
	(void)arg;
	peer_drop();
	rig->peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(rig->peer >= 0);
	assert_true(sd_event_add_io(rig->event, &rig->on_peer, rig->peer, EPOLLIN, on_peer, NULL) >=
		    0);
	return 0;
}

static inline void keeper_up(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	assert_true(str_fmt(sa.sun_path, sizeof(sa.sun_path), "%s/keeper.sock", rig->dir) >= 0);
	(void)unlink(sa.sun_path);
	rig->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(rig->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(rig->listener, 4), 0);
	assert_true(sd_event_add_io(rig->event, &rig->on_listener, rig->listener, EPOLLIN,
				    on_listener, NULL) >= 0);
}

static inline void keeper_down(void)
{
	peer_drop();
	rig->on_listener = sd_event_source_disable_unref(rig->on_listener);
	cleanup_close(&rig->listener);
	rig->listener = -1;
}

/* Another keeper, which knows nobody: guests go on, and those that end have no one to tell it. */
static inline void keeper_forgets_all(void)
{
	for (size_t i = 0; i < rig->n_guests; i++)
		cleanup_close(&rig->guests[i].pidfd);
	rig->n_guests = 0;
	while (rig->n_held)
		held_drop(&rig->held[0]);
}
