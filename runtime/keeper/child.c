/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children. Guests and sessions are born with exit signal 0 (CLONE_PARENT wants it): they need
 * __WALL and send no SIGCHLD, so every child is watched by pidfd.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "runtime/keeper/keeper.h"

#define STRAYS_FIRST_USEC 20000u
#define STRAYS_MOST_USEC 30000000u

int child_reap(pid_t pid, uint32_t *ret_status)
{
	int status = 0;
	pid_t r;

	do {
		r = waitpid(pid, &status, WNOHANG | __WALL);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (r == 0)
		return 0;
	*ret_status = (uint32_t)status;
	return 1;
}

void child_watch(struct keeper *k, pid_t pid)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	_cleanup_free_ struct child *c = calloc(1, sizeof(*c));

	if (!c || pidfd < 0 || source_add(k, &c->pid, SOURCE_CHILD, pidfd, PID_EVENTS, NULL) < 0) {
		/* Out of fds or memory: it will be found as a stray. */
		strays_look(k);
		return;
	}
	(void)take_fd(&pidfd);
	c->id = pid;
	c->next = k->children;
	k->children = take_ptr(c);
}

static void child_free(struct keeper *k, struct child *c)
{
	struct child **p = &k->children;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	source_close(k, &c->pid);
	free(c);
}

void child_event(struct keeper *k, struct child *c)
{
	uint32_t status;

	if (child_reap(c->id, &status) != 0)
		child_free(k, c);
}

/* Hands the end of a child to who knows it. False: nobody does. */
static bool child_known(struct keeper *k, pid_t pid)
{
	for (const struct op *op = k->ops; op; op = op->next)
		if (op->pending.helper == pid || op->pending.child == pid)
			return true;
	for (struct child *c = k->children; c; c = c->next) {
		if (c->id == pid) {
			child_event(k, c);
			return true;
		}
	}
	for (struct guest *g = k->guests; g; g = g->next) {
		if (g->info.how == KEEPER_EXIT_NONE && g->info.pid == (uint32_t)pid) {
			guest_event(k, g);
			return true;
		}
	}
	for (struct guest *g = k->guests; g; g = g->next) {
		if (g->notify.reader == pid) {
			guest_notify_answer(k, g);
			return true;
		}
	}
	for (struct drop *d = k->drops; d; d = d->next) {
		if (d->holder == pid) {
			drop_holder_ended(k, d);
			return true;
		}
	}
	for (struct session *s = k->sessions; s; s = s->next) {
		if (s->leader == pid) {
			session_pid_event(k, s);
			return true;
		}
	}
	return false;
}

/* Whether a helper is at work whose child may be born and not told of. */
static bool child_expected(const struct keeper *k)
{
	for (const struct op *op = k->ops; op; op = op->next)
		if (op->pending.child == 0)
			return true;
	return false;
}

void strays_reap(struct keeper *k)
{
	/* What looks like a stray may be such a child: soon again. */
	if (child_expected(k)) {
		timer_set(k, &k->strays, TIMER_STRAYS, k->now + STRAYS_FIRST_USEC);
		return;
	}
	for (int i = 0; i < 256; i++) {
		siginfo_t si = {0};
		uint32_t status;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
		    si.si_pid == 0)
			break;
		if (!child_known(k, si.si_pid))
			(void)child_reap(si.si_pid, &status);
		else if (k->ops)
			break; /* perhaps a helper whose report was not read yet: later */
	}
	/* For ever, now and then: nobody can tell when a stray ends, and a guest's pid namespace
	 * does not end before all that were in it are reaped. */
	k->strays_pause =
		k->strays_pause < STRAYS_MOST_USEC / 2 ? k->strays_pause * 2 : STRAYS_MOST_USEC;
	timer_set(k, &k->strays, TIMER_STRAYS, k->now + k->strays_pause);
}

void strays_look(struct keeper *k)
{
	k->strays_pause = STRAYS_FIRST_USEC;
	timer_set(k, &k->strays, TIMER_STRAYS, k->now + k->strays_pause);
}
