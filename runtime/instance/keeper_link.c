/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to the keeper: made, kept, made again. When there is no keeper, one is started in
 * a session of its own; when one was lost, guests go on, and the next connection begins with a
 * recovery. At most one attempt is under way.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define DELAY_FIRST (50 * USEC_PER_MSEC)
#define DELAY_MOST (5 * USEC_PER_SEC)
#define HELLO_LIMIT (10 * USEC_PER_SEC)
#define LIST_AGAIN (2 * USEC_PER_SEC)
#define TRIES_AT_START 20u

static void link_try(struct inst_manager *m);

static void drop_source(sd_event_source **s)
{
	*s = sd_event_source_disable_unref(*s);
}

/* --- timer ----------------------------------------------------------------------------------- */

static void link_lost(struct inst_manager *m, const struct err *err);

static int on_timer(sd_event_source *s, uint64_t usec, void *arg)
{
	struct inst_manager *m = arg;
	struct err err = ERR_INIT;

	(void)s;
	(void)usec;
	drop_source(&m->keeper.timer);
	if (!m->keeper.client) {
		link_try(m);
	} else if (!m->keeper.is_speaking) {
		(void)err_set(&err, ETIMEDOUT, "the keeper does not answer");
		link_lost(m, &err);
	} else if (!m->keeper.is_listed) {
		recover_start(m);
	}
	return 0;
}

static void set_timer(struct inst_manager *m, uint64_t usec)
{
	drop_source(&m->keeper.timer);
	(void)sd_event_add_time_relative(m->event, &m->keeper.timer, CLOCK_MONOTONIC, usec,
					 USEC_PER_MSEC, on_timer, m);
}

static void try_later(struct inst_manager *m)
{
	struct keeper_link *k = &m->keeper;

	k->delay = k->delay ? k->delay * 2 : DELAY_FIRST;
	if (k->delay > DELAY_MOST)
		k->delay = DELAY_MOST;
	set_timer(m, k->delay);
}

/* --- starting one ---------------------------------------------------------------------------- */

/* Async-signal-safe calls only: the program has a thread. */
static _Noreturn void keeper_child(char *const *argv)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C.UTF-8";
	char *env[] = {path, locale, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	(void)setsid();
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0) {
		(void)dup2(null, 0);
		(void)dup2(null, 1);
	}
	if (chdir("/") < 0)
		_exit(1);
	(void)close_range(3, ~0u, 0);
	execve(argv[0], argv, env);
	_exit(127);
}

static int on_child(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct inst_manager *m = arg;
	struct keeper_link *k = &m->keeper;
	siginfo_t si = {0};

	(void)s;
	(void)revents;
	if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0)
		return 0;
	drop_source(&k->child);
	cleanup_close(&k->spawned_fd);
	k->spawned_fd = -1;
	k->spawned = 0;
	/* Its first process ends with success when the keeper listens. */
	if (si.si_code != CLD_EXITED || si.si_status != 0)
		log_error("%s could not start (status %d)", m->keeper_path, si.si_status);
	else if (!k->client)
		set_timer(m, 0);
	return 0;
}

static int spawn_keeper(struct inst_manager *m, struct err *err)
{
	static char opt[] = "--socket";
	char *argv[] = {m->keeper_path, opt, m->keeper_socket, NULL};
	struct keeper_link *k = &m->keeper;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "cannot start the keeper");
	if (pid == 0)
		keeper_child(argv);
	k->spawned = pid;
	k->spawned_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (k->spawned_fd < 0 ||
	    sd_event_add_io(m->event, &k->child, k->spawned_fd, EPOLLIN, on_child, m) < 0)
		log_warning("cannot watch the start of the keeper");
	log_info("starting %s", m->keeper_path);
	return 0;
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_connected(void *userdata, uint32_t pid, const char *version)
{
	struct inst_manager *m = userdata;
	struct keeper_link *k = &m->keeper;

	k->pid = (pid_t)pid;
	k->is_speaking = true;
	k->delay = 0;
	k->tries = 0;
	drop_source(&k->timer);
	log_info("connected to keeper %s, pid %u", version, pid);
	network_hold(m);
	manager_start_step(m, NULL);
}

static void on_exited(void *userdata, const char *id, uint64_t boot, uint32_t status,
		      enum keeper_exit how)
{
	struct inst_manager *m = userdata;
	struct inst *i;

	/* Until the recovery has been through, its list is what counts. */
	if (!m->keeper.is_listed) {
		recover_note_exit(m, id, boot, status, how);
		return;
	}
	i = inst_find_by_id(m, id);
	if (i)
		inst_exited(i, boot, how, status);
	else
		(void)keeper_client_forget(m->keeper.client, id, boot, (struct keeper_call){0},
					   NULL);
}

static void on_ready(void *userdata, const char *id, uint64_t boot)
{
	struct inst_manager *m = userdata;
	struct inst *i = inst_find_by_id(m, id);

	recover_note_ready(m, id, boot);
	if (i && inst_is_up(i) && i->boot == boot)
		inst_said_ready(i);
}

/* --- the connection -------------------------------------------------------------------------- */

void keeper_link_poke(struct inst_manager *m)
{
	struct keeper_link *k = &m->keeper;

	if (k->io && k->client)
		(void)sd_event_source_set_io_events(k->io,
						    (uint32_t)keeper_client_poll_events(k->client));
}

/* It answered, and is not of our version: that does not pass by waiting. A start of vpsd ends; one
 * that runs already tries on, as the keeper may be replaced. */
static void link_refused(struct inst_manager *m, const struct err *why)
{
	struct err err = *why;

	(void)err_hint(&err,
		       "guests of this keeper are managed by the vpsd of its version; without "
		       "guests it ends at SIGTERM");
	if (m->ready)
		manager_start_step(m, &err);
	else if (m->keeper.tries++ == 0)
		log_error("cannot speak with the keeper: %s; %s", err_text(&err), err.hint);
}

static void link_lost(struct inst_manager *m, const struct err *err)
{
	struct keeper_link *k = &m->keeper;
	struct keeper_client *c = k->client;
	bool is_refused = !k->is_speaking && err->code == EPROTO && !m->is_closing;

	if (k->is_speaking)
		log_warning("the keeper is gone (%s); guests go on", err_text(err));
	k->is_speaking = false;
	k->is_listed = false;
	drop_source(&k->io);
	recover_drop(m);
	k->client = NULL;
	/* Completes what is pending with EPIPE. */
	keeper_client_free(c);
	if (!m->is_closing)
		try_later(m);
	if (is_refused)
		link_refused(m, err);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct inst_manager *m = arg;
	struct err err = ERR_INIT;

	(void)s;
	(void)fd;
	(void)revents;
	if (keeper_client_process(m->keeper.client, &err) < 0)
		link_lost(m, &err);
	else
		keeper_link_poke(m);
	return 0;
}

static void link_try(struct inst_manager *m)
{
	static const struct keeper_events events = {
		.connected = on_connected, .exited = on_exited, .ready = on_ready};
	struct keeper_link *k = &m->keeper;
	struct err err = ERR_INIT;
	int r;

	r = keeper_client_connect(m->keeper_socket, &events, m, &k->client, &err);
	if (r >= 0) {
		r = sd_event_add_io(m->event, &k->io, keeper_client_fd(k->client),
				    (uint32_t)keeper_client_poll_events(k->client), on_io, m);
		if (r >= 0) {
			set_timer(m, HELLO_LIMIT);
			return;
		}
		(void)err_set_errno(&err, -r, "cannot watch the keeper");
		link_lost(m, &err);
		return;
	}
	if ((r == -ECONNREFUSED || r == -ENOENT) && k->spawned == 0)
		(void)spawn_keeper(m, &err);
	if (++k->tries == TRIES_AT_START) {
		log_error("no keeper: %s", err_text(&err));
		manager_start_step(m, &err);
	}
	try_later(m);
}

void keeper_link_list_later(struct inst_manager *m)
{
	set_timer(m, LIST_AGAIN);
}

void keeper_link_start(struct inst_manager *m)
{
	link_try(m);
}

void keeper_link_stop(struct inst_manager *m)
{
	struct keeper_link *k = &m->keeper;

	drop_source(&k->timer);
	drop_source(&k->io);
	drop_source(&k->child);
	if (k->spawned_fd >= 0)
		cleanup_close(&k->spawned_fd);
	k->spawned_fd = -1;
	keeper_client_free(k->client);
	k->client = NULL;
	k->is_speaking = false;
}
