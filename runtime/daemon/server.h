/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over the unix socket: libmicrohttpd driven by the daemon's event loop, with the limits that
 * the library leaves to its user (absolute deadlines, body sizes, connections for each user).
 * A request is matched against the route table, its body collected, its handler called; the handler
 * answers at once or later. Nothing here knows what the routes mean.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "base/str.h"

struct server;
struct request;

#define ROUTE_PARAMS_MAX 3

enum route_flags {
	ROUTE_STREAM = 1u << 0,	 /* the body goes to on_body as it comes, not into memory */
	ROUTE_UPGRADE = 1u << 1, /* wants "Upgrade: vps-session" */
};

struct route {
	const char *method;
	const char *path; /* "/v1/instances/{tenant}/{name}/start"; {x} matches one segment */
	unsigned flags;	  /* enum route_flags */
	/* Called when the whole body is there (ROUTE_STREAM: when it has ended). Negative =
	 * answered with err; 0 = answered, or will be (request_defer). */
	int (*handle)(struct request *rq, struct err *err);
	/* ROUTE_STREAM only: called once before the body. */
	int (*begin)(struct request *rq, struct err *err);
	/* ROUTE_STREAM only: takes bytes; returns how many, 0 = none now (then request_body_ready()
	 * is called later), negative = failed. */
	ssize_t (*on_body)(struct request *rq, const char *data, size_t len, struct err *err);
};

/* 'routes' ends with a row without method. 'context' is what request_context() gives. Makes the
 * socket (mode 0660, the group if it exists) and starts to serve. */
int server_new(sd_event *event, const char *socket_path, const char *group,
	       const struct route *routes, void *context, struct server **ret, struct err *err);
void server_free(struct server *s);

void *request_context(const struct request *rq);
uid_t request_uid(const struct request *rq);
/* Value of the n-th {x} of the route, decoded; never NULL. */
const char *request_param(const struct request *rq, unsigned n);
/* Query argument or NULL; decoded. */
const char *request_query(const struct request *rq, const char *key);
bool request_query_bool(const struct request *rq, const char *key);
const char *request_header(const struct request *rq, const char *key);
/* The collected body. */
const char *request_body(const struct request *rq, size_t *ret_len);
/* The body parsed as one JSON object ({} when empty); owned by the request. */
int request_body_json(struct request *rq, json_t **ret, struct err *err);
/* The handler's own data; 'release' is called once when the request ends (client gone included). */
void request_set_data(struct request *rq, void *data,
		      void (*release)(struct request *rq, void *data));
void *request_data(const struct request *rq);

/* Answers; consumes 'body'. May be called in the handler or, after request_defer(), later. */
void request_json(struct request *rq, unsigned status, json_t *body);
void request_error(struct request *rq, const struct err *err);
/* As request_error() with a status and an error object of the caller's ({"code", ...}; consumed).
 */
void request_error_json(struct request *rq, unsigned status, json_t *error);
/* Answers with bytes from 'read' (>0 bytes, 0 = nothing now, -1 = end); see request_stream_ready().
 * 'data' is request_data(). */
int request_stream(struct request *rq, const char *content_type,
		   ssize_t (*read)(void *data, char *buf, size_t max), struct err *err);
/* The handler will answer later. */
void request_defer(struct request *rq);
/* on_body can take bytes again, or the stream's reader has some. */
void request_wake(struct request *rq);
/* Answers 101 and hands the raw socket (duplicate, owned by the callee, blocking mode unchanged)
 * with the bytes that the client sent early. */
int request_upgrade(struct request *rq,
		    void (*upgraded)(void *data, int sock, const void *early, size_t early_len),
		    struct err *err);

/* {"code", "message"[, "hint"]} of an error, and its HTTP status. */
json_t *error_to_json(const struct err *err);
unsigned error_status(const struct err *err);
