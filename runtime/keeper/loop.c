/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: fds, timers, and which part is called for what. */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/keeper/keeper.h"

static uint64_t clock_usec(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

int keeper_init(struct keeper *k, struct err *err)
{
	void *p;

	*k = (struct keeper){.epoll = -1, .reserve = -1};
	k->signals = k->listen = k->peer.sock = SOURCE_INIT;
	k->now = clock_usec();
	p = mmap(NULL, sizeof(*k->buffers), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		return err_sys(err, "cannot map buffers");
	k->buffers = p;
	if (madvise(p, sizeof(*k->buffers), MADV_WIPEONFORK) < 0)
		return err_sys(err, "cannot have buffers wiped on fork");
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll < 0)
		return err_sys(err, "cannot make an epoll set");
	k->reserve = fcntl(k->epoll, F_DUPFD_CLOEXEC, 3);
	if (k->reserve < 0)
		return err_sys(err, "cannot reserve an fd");
	return 0;
}

/* --- fds ------------------------------------------------------------------------------------- */

int source_add(struct keeper *k, struct source *s, enum source_kind kind, int fd, uint32_t events,
	       struct err *err)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	if (epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return err_sys(err, "cannot watch an fd");
	*s = (struct source){.fd = fd, .kind = kind, .events = events};
	return 0;
}

void source_want(struct keeper *k, struct source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	if (s->fd < 0 || s->events == events)
		return;
	if (epoll_ctl(k->epoll, EPOLL_CTL_MOD, s->fd, &e) < 0)
		log_error("cannot change what is watched of fd %d: error %d", s->fd, errno);
	else
		s->events = events;
}

int source_drop(struct keeper *k, struct source *s)
{
	if (s->fd < 0)
		return -1;
	/* Explicit: the set forgets a file only when its last duplicate is closed, and others hold
	 * some. */
	(void)epoll_ctl(k->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	/* Events of this turn that were not handled yet may be for it. */
	for (int i = 0; i < k->n_batch; i++)
		if (k->batch[i].data.ptr == s)
			k->batch[i].data.ptr = NULL;
	return take_fd(&s->fd);
}

void source_close(struct keeper *k, struct source *s)
{
	int fd = source_drop(k, s);

	if (fd >= 0)
		(void)close(fd);
}

/* --- timers ---------------------------------------------------------------------------------- */

void timer_clear(struct keeper *k, struct timer *t)
{
	struct timer **p = &k->timers;

	if (!t->is_set)
		return;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->is_set = false;
}

void timer_set(struct keeper *k, struct timer *t, enum timer_kind kind, uint64_t at)
{
	struct timer **p = &k->timers;

	timer_clear(k, t);
	while (*p && (*p)->at <= at)
		p = &(*p)->next;
	*t = (struct timer){.next = *p, .at = at, .kind = kind, .is_set = true};
	*p = t;
}

static void timer_dispatch(struct keeper *k, struct timer *t)
{
	switch (t->kind) {
	case TIMER_OP:
		op_expired(k, containing(t, struct op, limit));
		break;
	case TIMER_CONSOLE:
		console_resume(k, containing(t, struct guest, console_timer));
		break;
	case TIMER_NOTIFY:
		guest_notify_expired(k, containing(t, struct guest, notify.timer));
		break;
	case TIMER_SESSION:
		session_expired(k, containing(t, struct session, limit));
		break;
	case TIMER_DROP:
		drop_expired(k, containing(t, struct drop, timer));
		break;
	case TIMER_STRAYS:
		strays_reap(k);
		break;
	}
}

static void run_timers(struct keeper *k)
{
	/* Those set from now on wait for the next turn: none is due before it. */
	while (k->timers && k->timers->at <= k->now) {
		struct timer *t = k->timers;

		timer_clear(k, t);
		timer_dispatch(k, t);
	}
}

static int timeout_msec(const struct keeper *k)
{
	uint64_t now, msec;

	if (!k->timers)
		return -1;
	now = clock_usec();
	if (k->timers->at <= now)
		return 0;
	msec = (k->timers->at - now + 999) / 1000;
	return msec > 60000 ? 60000 : (int)msec;
}

/* --- the turn -------------------------------------------------------------------------------- */

static void got_signal(struct keeper *k)
{
	struct signalfd_siginfo si;
	size_t n = 0;

	if (read(k->signals.fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	for (const struct guest *g = k->guests; g; g = g->next)
		n++;
	if (n == 0 && !k->ops) {
		log_info("ends by signal %u", si.ssi_signo);
		k->is_stopping = true;
		return;
	}
	log_warning("signal %u ignored: %zu guests depend on this process", si.ssi_signo, n);
}

static void dispatch(struct keeper *k, struct source *s, uint32_t events)
{
	switch (s->kind) {
	case SOURCE_SIGNALS:
		got_signal(k);
		break;
	case SOURCE_LISTEN:
		server_accept(k);
		break;
	case SOURCE_PEER:
		server_event(k, events);
		break;
	case SOURCE_CHILD:
		child_event(k, containing(s, struct child, pid));
		break;
	case SOURCE_OP:
		op_event(k, containing(s, struct op, sock));
		break;
	case SOURCE_GUEST:
		guest_event(k, containing(s, struct guest, pid));
		break;
	case SOURCE_CONSOLE:
		console_event(k, containing(s, struct guest, console), events);
		break;
	case SOURCE_NOTIFY:
		notify_event(k, containing(s, struct notify, sock));
		break;
	case SOURCE_READER:
		guest_notify_answer(k, containing(s, struct guest, notify.answer));
		break;
	case SOURCE_ATTACH:
		attach_event(k, containing(s, struct attach, sock), events);
		break;
	case SOURCE_SESSION:
		session_event(k, containing(s, struct session, sock));
		break;
	case SOURCE_SESSION_PID:
		session_pid_event(k, containing(s, struct session, pid));
		break;
	case SOURCE_RELAY:
		session_relay_event(k, containing(s, struct session, relay));
		break;
	}
}

int keeper_run(struct keeper *k, struct err *err)
{
	while (!k->is_stopping) {
		int n = epoll_wait(k->epoll, k->batch, BATCH, timeout_msec(k));

		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for events");
		k->now = clock_usec();
		k->n_batch = n < 0 ? 0 : n;
		for (int i = 0; i < k->n_batch; i++)
			if (k->batch[i].data.ptr)
				dispatch(k, k->batch[i].data.ptr, k->batch[i].events);
		k->n_batch = 0;
		run_timers(k);
		server_pump(k);
		if (k->reserve < 0)
			k->reserve = fcntl(k->epoll, F_DUPFD_CLOEXEC, 3);
	}
	return 0;
}
