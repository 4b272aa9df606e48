/* SPDX-License-Identifier: Apache-2.0 */
/* Ends all guests, at once and side by side; the keeper's listing has their pidfds. */
#include "runtime/instance/host_down.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define KEEPER_LIMIT (30 * USEC_PER_SEC)
#define KILL_LIMIT (10 * USEC_PER_SEC)

struct down {
	struct pollfd *guests; /* pidfds; -1 = ended */
	size_t n, size;
	size_t living;
	bool is_listed;
	struct err err; /* of the listing */
};

static void add(struct down *d, int *pidfd)
{
	if (d->n == d->size) {
		size_t size = d->size ? d->size * 2 : 64;
		struct pollfd *more = reallocarray(d->guests, size, sizeof(*more));

		if (!more) {
			(void)err_set(&d->err, ENOMEM, "no memory");
			return;
		}
		d->guests = more;
		d->size = size;
	}
	d->guests[d->n++] = (struct pollfd){.fd = take_fd(pidfd), .events = POLLIN};
	d->living++;
}

static void on_item(void *userdata, struct keeper_item *item)
{
	struct down *d = userdata;
	int signo;

	if (item->pidfd < 0 || item->guest.how != KEEPER_EXIT_NONE)
		return;
	signo = inst_stop_signal((pid_t)item->guest.pid);
	/* ESRCH: it has just ended, which the poll sees as well. */
	(void)syscall(SYS_pidfd_send_signal, item->pidfd, signo, NULL, 0);
	add(d, &item->pidfd);
}

static void on_listed(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct down *d = userdata;

	(void)reply;
	d->is_listed = true;
	if (err)
		d->err = *err;
}

/* Milliseconds until then, for poll(2). */
static int left(uint64_t until)
{
	uint64_t now = now_usec();

	return now >= until ? 0 : (int)((until - now) / USEC_PER_MSEC) + 1;
}

static int ask_keeper(struct down *d, struct keeper_client *c, struct err *err)
{
	const uint64_t until = now_usec() + KEEPER_LIMIT;
	int r = keeper_client_list(c, on_item, (struct keeper_call){on_listed, d}, err);

	while (r >= 0 && !d->is_listed) {
		struct pollfd p = {.fd = keeper_client_fd(c),
				   .events = keeper_client_poll_events(c)};
		int n = poll(&p, 1, left(until));

		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the keeper");
		if (n == 0)
			return err_set(err, ETIMEDOUT, "the keeper does not answer");
		r = keeper_client_process(c, err);
	}
	if (r >= 0 && d->err.code) {
		*err = d->err;
		r = -err->code;
	}
	return r;
}

static int wait_until(struct down *d, uint64_t until, struct err *err)
{
	while (d->living > 0) {
		int n = poll(d->guests, d->n, left(until));

		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the guests");
		if (n == 0)
			return 0;
		for (size_t i = 0; i < d->n && n > 0; i++) {
			if (d->guests[i].fd < 0 || !d->guests[i].revents)
				continue;
			cleanup_close(&d->guests[i].fd);
			d->guests[i].fd = -1;
			d->living--;
		}
	}
	return 0;
}

/* The init of a pid namespace takes all its processes with it. */
static int kill_rest(struct down *d, struct err *err)
{
	if (d->living == 0)
		return 0;
	log_warning("killing %zu guests that did not stop in time", d->living);
	for (size_t i = 0; i < d->n; i++)
		if (d->guests[i].fd >= 0)
			(void)syscall(SYS_pidfd_send_signal, d->guests[i].fd, SIGKILL, NULL, 0);
	int r = wait_until(d, now_usec() + KILL_LIMIT, err);

	if (r >= 0 && d->living > 0)
		return err_set(err, ETIMEDOUT, "%zu guests do not even end when killed", d->living);
	return r;
}

int inst_host_down(const struct spec_host *host, struct err *err)
{
	struct down d = {0};
	struct keeper_client *c = NULL;
	char path[108];
	int r = str_fmt(path, sizeof(path), "%s/keeper.sock", host->run);

	if (r < 0)
		return err_set(err, -r, "the run directory's path is too long");
	r = keeper_client_connect(path, &(struct keeper_events){0}, NULL, &c, err);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		*err = ERR_INIT;
		log_info("no keeper runs, so no guests are stopped");
		return 0;
	}
	if (r >= 0)
		r = ask_keeper(&d, c, err);
	keeper_client_free(c);
	if (r >= 0)
		log_info("stopping %zu guests", d.n);
	if (r >= 0)
		r = wait_until(&d, now_usec() + host->stop_timeout, err);
	if (r >= 0)
		r = kill_rest(&d, err);
	for (size_t i = 0; i < d.n; i++)
		if (d.guests[i].fd >= 0)
			cleanup_close(&d.guests[i].fd);
	free(d.guests);
	return r < 0 ? r : 0;
}
