/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP server on libmicrohttpd's external epoll mode: its epoll fd and its timeout are sources of
 * the daemon's loop, and MHD_run() is called from there only.
 */
#include "runtime/daemon/server.h"

#include <fcntl.h>
#include <grp.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "runtime/daemon/wire.h"

#define CONNECTIONS_MAX 512u
#define CONNECTIONS_USERS 256u /* of these, for others than root */
#define IDLE_TIMEOUT_S 300u
#define REQUEST_DEADLINE_US (30u * 1000000u) /* for a whole request, streamed bodies apart */
#define SWEEP_US (5u * 1000000u)
#define POOL_BYTES (32u << 10)

/* One client connection, known from accept to close. */
struct connection {
	struct connection *next, **self;
	struct server *server;
	int fd; /* MHD's */
	uid_t uid;
	bool allowed;
	bool busy;	/* a request is complete and being handled */
	bool streaming; /* its body may take as long as it takes */
	bool counted;	/* among the users' connections */
	uint64_t since; /* usec: when the present request's first byte may have come */
};

struct server {
	sd_event *event;
	struct MHD_Daemon *mhd;
	sd_event_source *io, *timer, *sweep;
	const struct route *routes;
	void *context;
	char *path;
	gid_t group;
	bool has_group;
	bool running; /* inside MHD_run() */
	unsigned users;
	struct connection *connections;
	struct request *requests;
};

struct request {
	struct request *next, **self;
	struct server *server;
	struct connection *connection;
	struct MHD_Connection *mhd;
	const struct route *route;
	char *params[ROUTE_PARAMS_MAX];
	struct sbuf body;
	json_t *json;
	struct MHD_Response *response; /* ready to be queued */
	unsigned status;
	bool handled, deferred, suspended, stream_waits;
	void *data;
	void (*release)(struct request *rq, void *data);
	ssize_t (*read)(void *data, char *buf, size_t max);
	void (*upgraded)(void *data, int sock, const void *early, size_t early_len);
};

static uint64_t now_usec(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* --- errors -------------------------------------------------------------------------------- */

static const struct {
	int code;
	unsigned status;
	const char *name;
} error_rows[] = {
	{EINVAL, 400, "bad-request"},	    {ENOENT, 404, "not-found"},
	{ESRCH, 409, "conflict"},	    {EEXIST, 409, "conflict"},
	{EBUSY, 409, "conflict"},	    {EPERM, 409, "conflict"},
	{EALREADY, 409, "conflict"},	    {ENOTEMPTY, 409, "conflict"},
	{EACCES, 403, "forbidden"},	    {ENOSPC, 409, "no-capacity"},
	{EDQUOT, 409, "no-capacity"},	    {ENOTSUP, 422, "unsupported"},
	{EBADMSG, 422, "invalid"},	    {EDOM, 422, "invalid"},
	{E2BIG, 413, "too-large"},	    {EFBIG, 413, "too-large"},
	{EMSGSIZE, 413, "too-large"},	    {EOPNOTSUPP, 405, "method-not-allowed"},
	{ETIMEDOUT, 408, "timeout"},	    {EPIPE, 503, "unavailable"},
	{ECONNREFUSED, 503, "unavailable"}, {EAGAIN, 503, "unavailable"},
	{ESHUTDOWN, 503, "unavailable"},    {ECANCELED, 409, "cancelled"},
};

static size_t error_row(const struct err *err)
{
	size_t i = 0;
	while (i < sizeof(error_rows) / sizeof(*error_rows) && error_rows[i].code != err->code)
		i++;
	return i;
}

unsigned error_status(const struct err *err)
{
	size_t i = error_row(err);
	return i < sizeof(error_rows) / sizeof(*error_rows) ? error_rows[i].status : 500;
}

json_t *error_to_json(const struct err *err)
{
	size_t i = error_row(err);
	const char *name =
		i < sizeof(error_rows) / sizeof(*error_rows) ? error_rows[i].name : "internal";
	json_t *o = json_pack("{s:s, s:s}", "code", name, "message", err_text(err));
	if (!o) /* the text quoted bytes that are no UTF-8 */
		o = json_pack("{s:s, s:s}", "code", name, "message",
			      "the error text is not printable");
	if (o && err->hint[0])
		(void)json_object_set_new(o, "hint", json_string(err->hint));
	return o;
}

/* --- the loop ------------------------------------------------------------------------------ */

static void rearm(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;
	if (MHD_get_timeout(s->mhd, &ms) == MHD_YES) {
		(void)sd_event_source_set_time(s->timer, now_usec() + (uint64_t)ms * 1000u);
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
	} else {
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	}
}

static void run(struct server *s)
{
	s->running = true;
	(void)MHD_run(s->mhd);
	s->running = false;
	rearm(s);
}

/* From outside MHD_run(): let the library look at what was resumed as soon as the loop turns. */
static void run_soon(struct server *s)
{
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
	uint64_t now = now_usec();
	for (struct connection *c = s->connections; c; c = c->next)
		if (!c->busy && !c->streaming && c->since && now - c->since > REQUEST_DEADLINE_US)
			(void)shutdown(c->fd, SHUT_RDWR);
	(void)sd_event_source_set_time(source, usec + SWEEP_US);
	return 0;
}

/* --- connections --------------------------------------------------------------------------- */

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
	struct connection *c = calloc(1, sizeof(*c));
	*context = c;
	if (!c || !info) {
		if (info)
			(void)shutdown(info->connect_fd, SHUT_RDWR);
		return;
	}
	c->server = s;
	c->fd = info->connect_fd;
	c->since = now_usec();
	c->allowed = peer_allowed(s, c->fd, &c->uid);
	c->next = s->connections;
	c->self = &s->connections;
	if (c->next)
		c->next->self = &c->next;
	s->connections = c;
	if (c->uid != 0) {
		c->counted = true;
		if (++s->users > CONNECTIONS_USERS)
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
	*c->self = c->next;
	if (c->next)
		c->next->self = c->self;
	free(c);
}

/* --- requests ------------------------------------------------------------------------------ */

static void request_free(struct request *rq)
{
	*rq->self = rq->next;
	if (rq->next)
		rq->next->self = rq->self;
	if (rq->release)
		rq->release(rq, rq->data);
	if (rq->response)
		MHD_destroy_response(rq->response);
	for (unsigned i = 0; i < ROUTE_PARAMS_MAX; i++)
		free(rq->params[i]);
	json_decref(rq->json);
	sbuf_done(&rq->body);
	free(rq);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode toe)
{
	(void)cls;
	(void)mhd;
	(void)toe;
	struct request *rq = *context;
	*context = NULL;
	if (!rq)
		return;
	if (rq->connection) {
		rq->connection->busy = false;
		rq->connection->streaming = false;
		rq->connection->since =
			0; /* an idle kept connection is the idle timeout's business */
	}
	request_free(rq);
}

/* Segments of 'path' against the row's; {x} takes one. Parameters are heap copies. */
static bool route_matches(const struct route *route, const char *path,
			  char *params[ROUTE_PARAMS_MAX])
{
	const char *want = route->path;
	unsigned n = 0;
	while (*want && *path) {
		if (*want == '{') {
			size_t len = strcspn(path, "/");
			if (!len || n == ROUTE_PARAMS_MAX)
				break;
			params[n++] = strndup(path, len);
			path += len;
			want += strcspn(want, "}") + 1;
		} else if (*want++ != *path++) {
			want--;
			path--;
			break;
		}
	}
	if (!*want && !*path)
		return true;
	while (n)
		free(take_ptr(params[--n]));
	return false;
}

static int find_route(struct request *rq, const char *method, const char *path, struct err *err)
{
	bool path_known = false;
	for (const struct route *r = rq->server->routes; r->method; r++) {
		char *params[ROUTE_PARAMS_MAX] = {NULL};
		if (!route_matches(r, path, params))
			continue;
		path_known = true;
		if (strcmp(r->method, method) == 0) {
			rq->route = r;
			memcpy(rq->params, params, sizeof(params));
			return 0;
		}
		for (unsigned i = 0; i < ROUTE_PARAMS_MAX; i++)
			free(params[i]);
	}
	if (path_known)
		return err_set(err, EOPNOTSUPP, "method %s is not offered for '%s'", method, path);
	return err_set(err, ENOENT, "there is no '%s' in this API", path);
}

static void set_response(struct request *rq, unsigned status, struct MHD_Response *response)
{
	if (rq->response) /* answered twice: the first answer stands */
		MHD_destroy_response(response);
	else if (response) {
		rq->response = response;
		rq->status = status;
	}
	rq->handled = true;
	if (rq->suspended) {
		rq->suspended = false;
		MHD_resume_connection(rq->mhd);
		run_soon(rq->server);
	}
}

static struct MHD_Response *json_response(json_t *body)
{
	char *text = body ? json_dumps(body, JSON_DUMP_FLAGS | JSON_COMPACT) : NULL;
	json_decref(body);
	if (!text)
		return NULL;
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	free(text);
	if (r)
		(void)MHD_add_response_header(r, "Content-Type", "application/json");
	return r;
}

void request_json(struct request *rq, unsigned status, json_t *body)
{
	struct MHD_Response *r = json_response(body);
	if (!r) {
		static char none[] = "{\"error\":{\"code\":\"internal\",\"message\":\"no memory "
				     "for the answer\"}}";
		r = MHD_create_response_from_buffer(sizeof(none) - 1, none, MHD_RESPMEM_PERSISTENT);
		status = 500;
	}
	set_response(rq, status, r);
}

void request_error_json(struct request *rq, unsigned status, json_t *error)
{
	request_json(rq, status, json_pack("{s:o}", "error", error));
}

void request_error(struct request *rq, const struct err *err)
{
	request_error_json(rq, error_status(err), error_to_json(err));
}

static ssize_t stream_reader(void *cls, uint64_t pos, char *buf, size_t max)
{
	(void)pos;
	struct request *rq = cls;
	ssize_t n = rq->read(rq->data, buf, max);
	if (n > 0)
		return n;
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	rq->stream_waits = true;
	MHD_suspend_connection(rq->mhd);
	return 0;
}

int request_stream(struct request *rq, const char *content_type,
		   ssize_t (*read)(void *data, char *buf, size_t max), struct err *err)
{
	rq->read = read;
	struct MHD_Response *r =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, stream_reader, rq, NULL);
	if (!r)
		return err_set(err, ENOMEM, "no memory for the answer");
	(void)MHD_add_response_header(r, "Content-Type", content_type);
	set_response(rq, 200, r);
	return 0;
}

void request_defer(struct request *rq)
{
	rq->deferred = true;
}

void request_wake(struct request *rq)
{
	if (!rq->suspended && !rq->stream_waits)
		return;
	rq->suspended = false;
	rq->stream_waits = false;
	MHD_resume_connection(rq->mhd);
	run_soon(rq->server);
}

static void on_upgrade(void *cls, struct MHD_Connection *mhd, void *con_cls, const char *extra,
		       size_t extra_len, MHD_socket sock, struct MHD_UpgradeResponseHandle *handle)
{
	(void)mhd;
	(void)con_cls;
	struct request *rq = cls;
	int copy = fcntl(sock, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		log_error("cannot hand a session's socket over: %s", strerrordesc_np(errno));
	else
		rq->upgraded(rq->data, copy, extra, extra_len);
	/* Closes the library's descriptor only, without shutdown(2). */
	(void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

int request_upgrade(struct request *rq,
		    void (*upgraded)(void *data, int sock, const void *early, size_t early_len),
		    struct err *err)
{
	rq->upgraded = upgraded;
	struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgrade, rq);
	if (!r)
		return err_set(err, ENOMEM, "no memory for the answer");
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_UPGRADE, VPS_UPGRADE_PROTOCOL);
	set_response(rq, MHD_HTTP_SWITCHING_PROTOCOLS, r);
	return 0;
}

/* Queues what is ready, or parks the connection until it is. */
static enum MHD_Result proceed(struct request *rq)
{
	if (rq->response) {
		enum MHD_Result r = MHD_queue_response(rq->mhd, rq->status, rq->response);
		MHD_destroy_response(rq->response);
		rq->response = NULL;
		return r;
	}
	rq->suspended = true;
	MHD_suspend_connection(rq->mhd);
	return MHD_YES;
}

static int check_first(struct request *rq, const char *method, const char *url, struct err *err)
{
	if (!rq->connection || !rq->connection->allowed)
		return err_set(err, EACCES,
			       "only root and the members of the socket's group may use this API");
	int r = find_route(rq, method, url, err);
	if (r < 0)
		return r;
	const char *length = request_header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH);
	if (length && !(rq->route->flags & ROUTE_STREAM)) {
		uint64_t n = 0;
		if (num_parse_u64(length, 0, UINT64_MAX, &n) < 0)
			return err_set(err, EINVAL, "the Content-Length '%s' is not a number",
				       length);
		if (n > VPS_BODY_MAX)
			return err_set(err, E2BIG, "the request's body is larger than %u bytes",
				       VPS_BODY_MAX);
	}
	const char *upgrade = request_header(rq, MHD_HTTP_HEADER_UPGRADE);
	if ((rq->route->flags & ROUTE_UPGRADE) && !str_eq(upgrade, VPS_UPGRADE_PROTOCOL))
		return err_set(err, EINVAL,
			       "this call needs the header 'Upgrade: " VPS_UPGRADE_PROTOCOL "'");
	if (rq->route->flags & ROUTE_STREAM) {
		rq->connection->streaming = true;
		return rq->route->begin(rq, err);
	}
	return 0;
}

static enum MHD_Result take_body(struct request *rq, const char *data, size_t *len)
{
	struct err err = ERR_INIT;
	if (rq->handled) { /* already failed: the rest of the body is read and dropped */
		*len = 0;
		return MHD_YES;
	}
	if (rq->route->flags & ROUTE_STREAM) {
		ssize_t n = rq->route->on_body(rq, data, *len, &err);
		if (n < 0) {
			request_error(rq, &err);
			*len = 0;
		} else if (n == 0) {
			rq->suspended = true;
			MHD_suspend_connection(rq->mhd);
		} else {
			*len -= (size_t)n;
		}
		return MHD_YES;
	}
	if (rq->body.len + *len > VPS_BODY_MAX) {
		(void)err_set(&err, E2BIG, "the request's body is larger than %u bytes",
			      VPS_BODY_MAX);
		request_error(rq, &err);
	} else {
		sbuf_add(&rq->body, data, *len);
	}
	*len = 0;
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **context)
{
	(void)version;
	struct server *s = cls;
	struct request *rq = *context;
	struct err err = ERR_INIT;

	if (!rq) {
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
		rq = calloc(1, sizeof(*rq));
		if (!rq)
			return MHD_NO;
		*context = rq;
		rq->server = s;
		rq->mhd = mhd;
		rq->next = s->requests;
		rq->self = &s->requests;
		if (rq->next)
			rq->next->self = &rq->next;
		s->requests = rq;
		rq->connection = info ? info->socket_context : NULL;
		if (rq->connection)
			rq->connection->since = now_usec();
		if (check_first(rq, method, url, &err) < 0) {
			request_error(rq, &err);
			return proceed(rq); /* before the body: the connection is closed after it */
		}
		return MHD_YES;
	}
	if (*len)
		return take_body(rq, data, len);
	if (!rq->handled && !rq->deferred) {
		if (rq->connection)
			rq->connection->busy = true;
		if (!sbuf_ok(&rq->body))
			(void)err_set(&err, ENOMEM, "no memory for the request");
		if (err.code || rq->route->handle(rq, &err) < 0)
			request_error(rq, &err);
	}
	return proceed(rq);
}

void *request_context(const struct request *rq)
{
	return rq->server->context;
}

uid_t request_uid(const struct request *rq)
{
	return rq->connection->uid;
}

const char *request_param(const struct request *rq, unsigned n)
{
	return n < ROUTE_PARAMS_MAX && rq->params[n] ? rq->params[n] : "";
}

const char *request_query(const struct request *rq, const char *key)
{
	return MHD_lookup_connection_value(rq->mhd, MHD_GET_ARGUMENT_KIND, key);
}

bool request_query_bool(const struct request *rq, const char *key)
{
	const char *v = request_query(rq, key);
	return v && (str_eq(v, "true") || str_eq(v, "1"));
}

const char *request_header(const struct request *rq, const char *key)
{
	return MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, key);
}

const char *request_body(const struct request *rq, size_t *ret_len)
{
	if (ret_len)
		*ret_len = rq->body.len;
	return sbuf_str(&rq->body);
}

int request_body_json(struct request *rq, json_t **ret, struct err *err)
{
	if (!rq->json) {
		json_error_t e;
		if (rq->body.len == 0)
			rq->json = json_object();
		else
			rq->json =
				json_loadb(rq->body.data, rq->body.len, JSON_REJECT_DUPLICATES, &e);
		if (!rq->json)
			return err_set(err, EINVAL,
				       "the request's body is not JSON: line %d, column %d: %s",
				       e.line, e.column, e.text);
		if (!json_is_object(rq->json))
			return err_set(err, EINVAL,
				       "the request's body must be a JSON object, {...}");
	}
	*ret = rq->json;
	return 0;
}

void request_set_data(struct request *rq, void *data,
		      void (*release)(struct request *rq, void *data))
{
	rq->data = data;
	rq->release = release;
}

void *request_data(const struct request *rq)
{
	return rq->data;
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
	if (g) {
		s->group = g->gr_gid;
		s->has_group = true;
		if (chown(path, 0, g->gr_gid) < 0 || chmod(path, 0660) < 0)
			return err_sys(err, "cannot give '%s' to group '%s'", path, group);
	}
	if (listen(fd, 128) < 0)
		return err_sys(err, "cannot listen on '%s'", path);
	return take_fd(&fd);
}

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
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
		NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_LIMIT,
		CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S,
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
		r = sd_event_add_time(s->event, &s->sweep, CLOCK_MONOTONIC, now_usec() + SWEEP_US,
				      100000, on_sweep, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->sweep, SD_EVENT_ON);
	return r < 0 ? err_set(err, -r, "cannot watch the HTTP server") : 0;
}

int server_new(sd_event *event, const char *socket_path, const char *group,
	       const struct route *routes, void *context, struct server **ret, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	if (!s || !(s->path = strdup(socket_path))) {
		server_free(s);
		return err_set(err, ENOMEM, "no memory for the HTTP server");
	}
	s->event = sd_event_ref(event);
	s->routes = routes;
	s->context = context;
	int fd = listen_unix(s, socket_path, group, err);
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

void server_free(struct server *s)
{
	if (!s)
		return;
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->sweep);
	if (s->mhd) {
		/* The library aborts when it is stopped with suspended connections. */
		for (struct request *rq = s->requests; rq; rq = rq->next)
			request_wake(rq);
		MHD_stop_daemon(s->mhd); /* closes the listening socket */
	}
	sd_event_unref(s->event);
	free(s->path);
	free(s);
}
