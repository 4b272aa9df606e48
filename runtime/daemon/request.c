/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: its header is checked, its body taken, its handler called, its answer sent. While
 * nothing can be done for it, it is parked: the library suspends its connection and looks away.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "runtime/daemon/server_private.h"
#include "runtime/daemon/wire.h"

/* --- beginning and end --------------------------------------------------------------------- */

void *request_on_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct server *s = cls;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct request *rq = calloc(1, sizeof(*rq));
	if (!rq || !(rq->path = strndup(uri, strcspn(uri, "?")))) {
		free(rq);
		return NULL;
	}
	rq->server = s;
	rq->mhd = mhd;
	rq->connection = info ? info->socket_context : NULL;
	rq->next = s->requests;
	rq->self = &s->requests;
	if (rq->next)
		rq->next->self = &rq->next;
	s->requests = rq;
	return rq;
}

static void request_free(struct request *rq)
{
	*rq->self = rq->next;
	if (rq->next)
		rq->next->self = rq->self;
	if (rq->release)
		rq->release(rq, rq->data);
	if (rq->response)
		MHD_destroy_response(rq->response);
	route_match_done(&rq->match);
	free(rq->path);
	json_decref(rq->json);
	sbuf_done(&rq->body);
	free(rq);
}

void request_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
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
		connection_park(rq->connection, NULL);
		connection_limit(rq->connection, rq->server->limits.kept_usec);
	}
	request_free(rq);
}

/* --- parking ------------------------------------------------------------------------------- */

static void park(struct request *rq)
{
	rq->is_parked = true;
	MHD_suspend_connection(rq->mhd);
	if (rq->connection)
		connection_park(rq->connection, rq);
}

/* Nothing when it is not parked: then the library asks by itself. */
static void unpark(struct request *rq)
{
	if (!rq->is_parked)
		return;
	rq->is_parked = false;
	if (rq->connection)
		connection_park(rq->connection, NULL);
	MHD_resume_connection(rq->mhd);
	server_run_soon(rq->server);
}

void request_wake(struct request *rq)
{
	unpark(rq);
}

void request_client_gone(struct request *rq)
{
	rq->is_gone = true;
	unpark(rq);
}

void request_stop(struct request *rq)
{
	struct err err = ERR_INIT;
	rq->is_ending = true;
	if (rq->is_deferred && !rq->is_answered) {
		(void)err_set(&err, ESHUTDOWN, "vpsd stops");
		request_error(rq, &err);
	}
	unpark(rq);
}

/* --- answers ------------------------------------------------------------------------------- */

/* 'response' NULL: memory was short; proceed() closes the connection then. */
static void set_response(struct request *rq, unsigned status, struct MHD_Response *response)
{
	if (rq->is_answered && response) { /* the first answer stands */
		MHD_destroy_response(response);
	} else if (response) {
		if (rq->match.allow[0] && status == MHD_HTTP_METHOD_NOT_ALLOWED)
			(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
						      rq->match.allow);
		rq->response = response;
		rq->status = status;
	}
	rq->is_answered = true;
	unpark(rq);
}

static struct MHD_Response *json_response(json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_DUMP_FLAGS) : NULL;
	json_decref(body);
	if (!text)
		return NULL;
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!r)
		free(text);
	else
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return r;
}

void request_json(struct request *rq, unsigned status, json_t *body)
{
	struct MHD_Response *r = json_response(body);
	if (!r) {
		static char none[] = "{\"error\":{\"code\":\"internal\",\"message\":\"no memory "
				     "for the answer\"}}";
		r = MHD_create_response_from_buffer(sizeof(none) - 1, none, MHD_RESPMEM_PERSISTENT);
		if (r)
			(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
						      "application/json");
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
	if (rq->is_gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (rq->is_ending)
		return MHD_CONTENT_READER_END_OF_STREAM;
	ssize_t n = rq->read(rq->data, buf, max);
	if (n > 0)
		return n;
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	park(rq);
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
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	set_response(rq, 200, r);
	return 0;
}

void request_defer(struct request *rq)
{
	rq->is_deferred = true;
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
	server_run_soon(rq->server); /* which it does by itself at the next run */
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

/* --- steps --------------------------------------------------------------------------------- */

struct header_check {
	unsigned lengths, encodings;
	bool is_chunked;
	bool is_foul; /* a query argument that is no clean text */
};

static enum MHD_Result check_value(void *cls, enum MHD_ValueKind kind, const char *key,
				   size_t key_size, const char *value, size_t value_size)
{
	struct header_check *c = cls;
	if (kind == MHD_HEADER_KIND) {
		if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
			c->lengths++;
		if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
			c->encodings++;
			c->is_chunked = value && strcasecmp(value, "chunked") == 0;
		}
	} else if (strlen(key) != key_size || !str_is_clean_utf8(key) ||
		   (value && (strlen(value) != value_size || !str_is_clean_utf8(value)))) {
		c->is_foul = true;
	}
	return MHD_YES;
}

/* One length or one encoding, and nothing that two readers could read differently
 * (RFC 9112, 6.3). The library takes the first of several. */
static int check_header(struct request *rq, struct err *err)
{
	struct header_check c = {.lengths = 0};
	(void)MHD_get_connection_values_n(rq->mhd, MHD_HEADER_KIND, check_value, &c);
	(void)MHD_get_connection_values_n(rq->mhd, MHD_GET_ARGUMENT_KIND, check_value, &c);
	if (c.lengths + c.encodings > 1)
		return err_set(err, EINVAL, "the request's length is given more than once");
	if (c.encodings && !c.is_chunked)
		return err_set(err, EINVAL, "the request's Transfer-Encoding is not 'chunked'");
	if (c.is_foul)
		return err_set(err, EINVAL, "a query argument is no UTF-8 text without controls");
	return 0;
}

static int check_length(struct request *rq, struct err *err)
{
	const char *length = request_header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t n = 0;
	if (!length)
		return 0;
	if (num_parse_u64(length, 0, UINT64_MAX, &n) < 0)
		return err_set(err, EINVAL, "the Content-Length '%s' is not a number", length);
	if (n > VPS_BODY_MAX)
		return err_set(err, E2BIG, "the request's body is larger than %u bytes",
			       VPS_BODY_MAX);
	return 0;
}

/* All that can be said before the body. */
static int begin(struct request *rq, const char *method, const char *version, struct err *err)
{
	if (!rq->connection || !rq->connection->allowed)
		return err_set(err, EACCES,
			       "only root and the members of the socket's group may use this API");
	if (rq->server->stopping)
		return err_set(err, ESHUTDOWN, "vpsd stops");
	int r = route_find(rq->server->routes, method, rq->path, &rq->match, err);
	if (r == 0)
		r = check_header(rq, err);
	if (r < 0)
		return r;
	const struct route *route = rq->match.route;
	if (!(route->flags & ROUTE_STREAM) && (r = check_length(rq, err)) < 0)
		return r;
	if ((route->flags & ROUTE_UPGRADE) &&
	    (!str_eq(request_header(rq, MHD_HTTP_HEADER_UPGRADE), VPS_UPGRADE_PROTOCOL) ||
	     !str_eq(version, MHD_HTTP_VERSION_1_1)))
		return err_set(
			err, EINVAL,
			"this call needs HTTP/1.1 and the header 'Upgrade: " VPS_UPGRADE_PROTOCOL
			"'");
	connection_limit(rq->connection,
			 route->flags & ROUTE_STREAM ? 0 : rq->server->limits.request_usec);
	return route->flags & ROUTE_STREAM ? route->begin(rq, err) : 0;
}

/* The library does not ask again for bytes that were left, unless it was suspended between. */
static void take_stream(struct request *rq, const char *data, size_t *len)
{
	struct err err = ERR_INIT;
	while (*len) {
		ssize_t n = rq->match.route->on_body(rq, data, *len, &err);
		if (n < 0) {
			request_error(rq, &err);
			/* What is dropped from now on need not take all the time it likes. */
			if (rq->connection)
				connection_limit(rq->connection, rq->server->limits.request_usec);
			*len = 0;
		} else if (n == 0) {
			park(rq);
			return;
		} else {
			data += n;
			*len -= (size_t)n;
		}
	}
}

static void take_body(struct request *rq, const char *data, size_t *len)
{
	struct err err = ERR_INIT;
	if (rq->is_answered) { /* it has failed: the rest of the body is read and dropped */
		*len = 0;
	} else if (rq->match.route->flags & ROUTE_STREAM) {
		take_stream(rq, data, len);
	} else if (rq->body.len + *len > VPS_BODY_MAX) {
		(void)err_set(&err, E2BIG, "the request's body is larger than %u bytes",
			      VPS_BODY_MAX);
		request_error(rq, &err);
		sbuf_done(&rq->body);
		*len = 0;
	} else {
		sbuf_add(&rq->body, data, *len);
		*len = 0;
	}
}

static void call_handler(struct request *rq)
{
	struct err err = ERR_INIT;
	connection_limit(rq->connection, 0);
	if (!sbuf_ok(&rq->body))
		(void)err_set(&err, ENOMEM, "no memory for the request");
	if (err.code || rq->match.route->handle(rq, &err) < 0)
		request_error(rq, &err);
}

/* Queues what is ready, or parks the request until it is. */
static enum MHD_Result proceed(struct request *rq)
{
	if (rq->response) {
		enum MHD_Result r = MHD_queue_response(rq->mhd, rq->status, rq->response);
		MHD_destroy_response(rq->response);
		rq->response = NULL;
		return r;
	}
	if (rq->is_answered) /* and there was no memory for the answer */
		return MHD_NO;
	park(rq);
	return MHD_YES;
}

enum MHD_Result request_on_step(void *cls, struct MHD_Connection *mhd, const char *url,
				const char *method, const char *version, const char *data,
				size_t *len, void **context)
{
	(void)cls;
	(void)mhd;
	(void)url;
	struct request *rq = *context;
	struct err err = ERR_INIT;
	if (!rq || rq->is_gone)
		return MHD_NO;
	if (!rq->is_begun) {
		rq->is_begun = true;
		if (begin(rq, method, version, &err) == 0)
			return MHD_YES;
		request_error(rq, &err);
		return proceed(rq); /* before the body: the connection is closed after it */
	}
	if (*len) {
		take_body(rq, data, len);
		return MHD_YES;
	}
	if (!rq->is_answered && !rq->is_deferred)
		call_handler(rq);
	return proceed(rq);
}

/* --- what handlers ask --------------------------------------------------------------------- */

void *request_context(const struct request *rq)
{
	return rq->server->context;
}

uid_t request_uid(const struct request *rq)
{
	return rq->connection ? rq->connection->uid : (uid_t)-1;
}

const char *request_param(const struct request *rq, unsigned n)
{
	return n < ROUTE_PARAMS_MAX && rq->match.params[n] ? rq->match.params[n] : "";
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
	json_error_t e = {.text = "no memory"};
	if (!rq->json && rq->body.len == 0)
		rq->json = json_object();
	else if (!rq->json)
		rq->json = json_loadb(rq->body.data, rq->body.len, JSON_REJECT_DUPLICATES, &e);
	if (!rq->json)
		return err_set(err, EINVAL,
			       "the request's body is not JSON: line %d, column %d: %s", e.line,
			       e.column, e.text);
	if (!json_is_object(rq->json))
		return err_set(err, EINVAL, "the request's body must be a JSON object, {...}");
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
