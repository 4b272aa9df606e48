/* SPDX-License-Identifier: Apache-2.0 */
/* Ends all guests, at once and side by side; the keeper's listing has their pidfds. */
#include "runtime/instance/host_down.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/events.h"
#include "runtime/instance/private.h"

#define KEEPER_LIMIT (30 * USEC_PER_SEC)
#define KILL_LIMIT (10 * USEC_PER_SEC)

struct down {
	struct pollfd *guests; /* pidfds; -1 = ended */
	size_t n, size;
	size_t living;
	bool is_listed;
	struct cg_host cgroups; /* mount "" = none */
	struct err err;		/* of the listing */
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

/* One that is suspended shuts down like the others, and stays suspended. Of the path only what is
 * above the guest's own part counts: down to the directory that is named by its id. */
static void thaw(const struct cg_host *cgroups, const struct keeper_guest *guest)
{
	char file[32], text[1024], want[ID_TEXT + 2], path[sizeof(text) + CG_PATH_MAX];
	_cleanup_close_ int dir = -1;
	char *line, *at;

	if (!*cgroups->mount || str_fmt(file, sizeof(file), "/proc/%u/cgroup", guest->pid) < 0 ||
	    str_fmt(want, sizeof(want), "/%s/", guest->id) < 0 ||
	    file_read_short_at(AT_FDCWD, file, text, sizeof(text), NULL) < 0)
		return;
	line = str_has_prefix(text, "0::") ? text : strstr(text, "\n0::");
	at = line ? strstr(line, want) : NULL;
	if (!at || memchr(line + 1, '\n', (size_t)(at - line - 1)))
		return;
	at[strlen(want) - 1] = '\0';
	if (str_fmt(path, sizeof(path), "%s%s", cgroups->mount, strstr(line, "0::") + 3) < 0)
		return;
	dir = path_open_dir(path, NULL);
	if (dir >= 0)
		(void)cg_thaw(dir, 0, NULL);
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
	thaw(&d->cgroups, &item->guest);
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
	if (r >= 0 && cg_host_probe(&d.cgroups, NULL) < 0)
		*d.cgroups.mount = '\0';
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
