/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP server on libmicrohttpd's external epoll mode: its epoll fd and its timeout are sources of
 * the daemon's loop, and MHD_run() is called from there only. Here: connections and their limits;
 * request.c has the requests.
 */
#include "runtime/daemon/server.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/daemon/server_private.h"

#define POOL_BYTES (32u << 10)
#define USEC_PER_SEC UINT64_C(1000000)
/* MHD_run() calls at the end: enough for small answers, no end for a client that reads slowly. */
#define LAST_RUNS 8

const struct server_limits server_limits_default = {
	.connections = 512,
	.users = 256,
	.idle_seconds = 300,
	.request_usec = 30 * USEC_PER_SEC,
	.kept_usec = 90 * USEC_PER_SEC,
	.interval_usec = 5 * USEC_PER_SEC,
};

uint64_t now_monotonic(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000u;
}

/* --- the loop ------------------------------------------------------------------------------ */

static void rearm(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;
	if (MHD_get_timeout(s->mhd, &ms) == MHD_YES) {
		(void)sd_event_source_set_time(s->timer, now_monotonic() + (uint64_t)ms * 1000u);
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
	} else {
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	}
}

/* MHD_get_timeout() knows nothing of connections that were resumed, upgraded or closed from within
 * MHD_run(), nor of clients that wait for a connection to become free: those need one run more. */
static void run(struct server *s)
{
	s->running = true;
	s->again = false;
	(void)MHD_run(s->mhd);
	s->running = false;
	rearm(s);
	if (s->again)
		server_run_soon(s);
}

void server_run_soon(struct server *s)
{
	s->again = true;
	if (s->running)
		return;
	(void)sd_event_source_set_time(s->timer, 0);
	(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	run(userdata);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	run(userdata);
	return 0;
}

/* A client that sends one byte a second never meets the library's idle timeout: cut it off. */
static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *s = userdata;
	uint64_t now = now_monotonic();
	for (struct connection *c = s->connections; c; c = c->next)
		if (c->deadline && now > c->deadline)
			(void)shutdown(c->fd, SHUT_RDWR);
	(void)sd_event_source_set_time(source, usec + s->limits.interval_usec);
	return 0;
}

/* --- connections --------------------------------------------------------------------------- */

void connection_limit(struct connection *c, uint64_t usec)
{
	c->deadline = usec ? now_monotonic() + usec : 0;
}

static int on_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct connection *c = userdata;
	(void)fd;
	(void)revents;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (c->parked)
		request_client_gone(c->parked);
	return 0;
}

/* A suspended connection is out of the library's epoll set, and a stream that has nothing to write
 * never learns that nobody reads. EPOLLHUP is reported unasked, and on a unix socket only when the
 * peer is closed: one that only shut its sending side down still wants its answer. */
void connection_park(struct connection *c, struct request *rq)
{
	int r = 0;
	c->parked = rq;
	if (rq && !c->gone)
		r = sd_event_add_io(c->server->event, &c->gone, c->fd, 0, on_gone, c);
	else if (c->gone)
		r = sd_event_source_set_enabled(c->gone, rq ? SD_EVENT_ON : SD_EVENT_OFF);
	if (r < 0)
		log_debug("http: cannot watch a connection: %s", strerrordesc_np(-r));
}

/* root, or a process of the socket's group: SO_PEERCRED and SO_PEERGROUPS, taken at connect(2) by
 * the kernel (socket(7), unix(7)). */
static bool peer_allowed(const struct server *s, int fd, uid_t *ret_uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	*ret_uid = cred.uid;
	if (cred.uid == 0)
		return true;
	if (!s->has_group)
		return false;
	if (cred.gid == s->group)
		return true;
	gid_t groups[256];
	len = sizeof(groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == s->group)
			return true;
	return false;
}

static void connection_started(struct server *s, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *c = info ? calloc(1, sizeof(*c)) : NULL;
	*context = c;
	if (!c) {
		if (info)
			(void)shutdown(info->connect_fd, SHUT_RDWR);
		return;
	}
	c->server = s;
	c->fd = info->connect_fd;
	c->uid = (uid_t)-1;
	connection_limit(c, s->limits.request_usec);
	c->allowed = peer_allowed(s, c->fd, &c->uid);
	c->next = s->connections;
	c->self = &s->connections;
	if (c->next)
		c->next->self = &c->next;
	s->connections = c;
	if (c->uid != 0) {
		c->counted = true;
		if (++s->users > s->limits.users)
			(void)shutdown(c->fd, SHUT_RDWR);
	}
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct server *s = cls;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		connection_started(s, mhd, context);
		return;
	}
	struct connection *c = *context;
	*context = NULL;
	if (!c)
		return;
	if (c->counted)
		s->users--;
	sd_event_source_disable_unref(c->gone); /* the library closes the fd after this call */
	*c->self = c->next;
	if (c->next)
		c->next->self = c->self;
	free(c);
	server_run_soon(s); /* somebody may wait for its place */
}

/* --- start and end ------------------------------------------------------------------------- */

static int listen_unix(struct server *s, const char *path, const char *group, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int r = str_copy(a.sun_path, sizeof(a.sun_path), path);
	if (r < 0)
		return err_set(err, ENAMETOOLONG, "the socket's path '%s' is longer than %zu bytes",
			       path, sizeof(a.sun_path) - 1);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	/* The caller holds the lock of this daemon, so a file in the way is a dead one's. */
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove the old socket '%s'", path);
	mode_t old = umask(0177);
	r = bind(fd, (struct sockaddr *)&a, sizeof(a));
	int e = errno;
	(void)umask(old);
	if (r < 0)
		return err_set_errno(err, e, "cannot bind '%s'", path);
	struct group *g = group && *group ? getgrnam(group) : NULL;
	if (group && *group && !g)
		log_warning("there is no group '%s', so only root may use '%s'", group, path);
	if (g) {
		s->group = g->gr_gid;
		s->has_group = true;
		if (chown(path, (uid_t)-1, g->gr_gid) < 0 || chmod(path, 0660) < 0)
			return err_sys(err, "cannot give '%s' to group '%s'", path, group);
	}
	if (listen(fd, 128) < 0)
		return err_sys(err, "cannot listen on '%s'", path);
	return take_fd(&fd);
}

static void __attribute__((format(printf, 2, 0))) on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	_cleanup_(sbuf_done) struct sbuf b = SBUF_INIT;
	sbuf_vaddf(&b, fmt, ap);
	if (b.len && b.data[b.len - 1] == '\n')
		b.data[b.len - 1] = '\0';
	log_debug("http: %s", sbuf_str(&b));
}

static int start_mhd(struct server *s, int fd, struct err *err)
{
	/* The logger must be the first option, else early messages go to stderr. */
	s->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG, 0,
		NULL, NULL, request_on_step, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, request_on_line, s,
		MHD_OPTION_NOTIFY_COMPLETED, request_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, s, MHD_OPTION_CONNECTION_LIMIT, s->limits.connections,
		MHD_OPTION_CONNECTION_TIMEOUT, s->limits.idle_seconds,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
	if (!s->mhd)
		return err_set(err, EIO, "cannot start the HTTP server");
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return err_set(err, EIO, "the HTTP server has no epoll descriptor");
	int r = sd_event_add_io(s->event, &s->io, info->epoll_fd, EPOLLIN, on_io, s);
	if (r >= 0)
		r = sd_event_add_time(s->event, &s->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, s);
	if (r >= 0)
		r = sd_event_add_time(s->event, &s->sweep, CLOCK_MONOTONIC,
				      now_monotonic() + s->limits.interval_usec,
				      s->limits.interval_usec / 50, on_sweep, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->sweep, SD_EVENT_ON);
	return r < 0 ? err_set(err, -r, "cannot watch the HTTP server") : 0;
}

int server_start(const struct server_options *o, struct server **ret, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "no memory for the HTTP server");
	s->event = sd_event_ref(o->event);
	s->routes = o->routes;
	s->context = o->context;
	s->limits = *o->limits;
	int fd = listen_unix(s, o->socket_path, o->group, err);
	int r = fd < 0 ? fd : start_mhd(s, fd, err);
	if (r < 0) {
		if (fd >= 0 && !s->mhd)
			(void)close(fd);
		server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int server_new(sd_event *event, const char *socket_path, const char *group,
	       const struct route *routes, void *context, struct server **ret, struct err *err)
{
	const struct server_options o = {
		.event = event,
		.socket_path = socket_path,
		.group = group,
		.routes = routes,
		.context = context,
		.limits = &server_limits_default,
	};
	return server_start(&o, ret, err);
}

/* The library aborts when it is stopped with suspended connections, and closes without sending what
 * is queued: so all are woken, and it runs a few times before. */
static void stop_mhd(struct server *s)
{
	s->stopping = true;
	for (int i = 0; i < LAST_RUNS; i++) {
		for (struct request *rq = s->requests; rq; rq = rq->next)
			request_stop(rq);
		(void)MHD_run(s->mhd);
	}
	for (struct request *rq = s->requests; rq; rq = rq->next)
		request_stop(rq);
	MHD_stop_daemon(s->mhd); /* closes the listening socket */
}

void server_free(struct server *s)
{
	if (!s)
		return;
	s->running = true; /* no timer for what is woken */
	if (s->mhd)
		stop_mhd(s);
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->sweep);
	sd_event_unref(s->event);
	free(s);
}
