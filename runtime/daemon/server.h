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
#include <stdint.h>
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
	/* ROUTE_STREAM only: takes bytes; returns how many, 0 = none now (then request_wake() is
	 * called later), negative = failed: the rest of the body is dropped. */
	ssize_t (*on_body)(struct request *rq, const char *data, size_t len, struct err *err);
};

/* What one client can take, and for how long. */
struct server_limits {
	unsigned connections;
	unsigned users;		/* of these, for others than root */
	unsigned idle_seconds;	/* without a byte, in either direction */
	uint64_t request_usec;	/* for a request's header, and for its body (streamed ones apart) */
	uint64_t kept_usec;	/* from an answer to the end of the next request's header */
	uint64_t interval_usec; /* between looks at these two */
};

extern const struct server_limits server_limits_default;

struct server_options {
	sd_event *event;
	const char *socket_path;
	const char *group;	    /* NULL, or one that does not exist: root only */
	const struct route *routes; /* ends with a row without method */
	void *context;		    /* what request_context() gives */
	const struct server_limits *limits;
};

/* Makes the socket (mode 0660 with a group, else 0600) and starts to serve. */
int server_start(const struct server_options *o, struct server **ret, struct err *err);
/* The same with the default limits. */
int server_new(sd_event *event, const char *socket_path, const char *group,
	       const struct route *routes, void *context, struct server **ret, struct err *err);
/* Sends the answers that are ready, says "unavailable" to those who still wait, and closes all. */
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

/* Answers; consumes 'body'. May be called in the handler or, after request_defer(), later. The
 * first answer stands. */
void request_json(struct request *rq, unsigned status, json_t *body);
void request_error(struct request *rq, const struct err *err);
/* As request_error() with a status and an error object of the caller's ({"code", ...}; consumed).
 */
void request_error_json(struct request *rq, unsigned status, json_t *error);
/* Answers with bytes from 'read': how many, 0 = none now (then request_wake() is called later),
 * negative = end. 'data' is request_data(). */
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

/* Name of an error in the API ("not-found"), its HTTP status, and {"code", "message"[, "hint"]}. */
const char *error_name(const struct err *err);
json_t *error_to_json(const struct err *err);
unsigned error_status(const struct err *err);
