/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing what guests may have queued something in. A file in flight (SCM_RIGHTS) whose last
 * reference goes is closed by the process that lets it go, and the guest chose the file: a socket
 * that lingers for hours, a huge file without a name, one of a file system whose server does not
 * answer. So the last reference is never the keeper's. A child that was forked while the keeper had
 * the fd holds it when the keeper closes it, and is killed: a process that ends does not linger,
 * and where it hangs all the same nobody waits for it.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/keeper/keeper.h"
#include "runtime/keeper/small.h"

/* For the holder's life: other forks of the keeper close what is not theirs within that, and their
 * copy shall not be the last either. */
#define HOLD_USEC 1000000u
#define RETRY_USEC 1000000u /* of a fork that failed */

static void holder_main(pid_t keeper, int fd) __attribute__((noreturn));
static void holder_main(pid_t keeper, int fd)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != keeper)
		_exit(0);
	/* With what fails in there it holds no less. Neither does it give up the keeper's
	 * protection from the OOM killer: it has to live while the keeper closes. */
	(void)small_become("vps-drop", &fd, 1);
	for (;;)
		(void)poll(NULL, 0, -1);
}

static void hold(struct keeper *k, struct drop *d)
{
	pid_t keeper = getpid();
	pid_t pid = fork();

	if (pid == 0)
		holder_main(keeper, d->fd);
	if (pid < 0) {
		timer_set(k, &d->timer, TIMER_DROP, k->now + RETRY_USEC);
		return;
	}
	cleanup_close(&d->fd);
	d->holder = pid;
	timer_set(k, &d->timer, TIMER_DROP, k->now + HOLD_USEC);
}

void drop_fd(struct keeper *k, int fd)
{
	struct drop *d;

	if (fd < 0)
		return;
	d = calloc(1, sizeof(*d));
	if (!d) {
		log_warning("fd %d stays open: out of memory", fd);
		return;
	}
	d->fd = fd;
	d->next = k->drops;
	k->drops = d;
	hold(k, d);
}

void drop_holder_ended(struct keeper *k, struct drop *d)
{
	struct drop **p = &k->drops;

	while (*p != d)
		p = &(*p)->next;
	*p = d->next;
	timer_clear(k, &d->timer);
	/* Not reaped yet: the pid is its own. */
	(void)kill(d->holder, SIGKILL);
	child_watch(k, d->holder);
	free(d);
}

void drop_expired(struct keeper *k, struct drop *d)
{
	if (d->holder > 0)
		drop_holder_ended(k, d);
	else
		hold(k, d);
}
