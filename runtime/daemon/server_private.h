/* SPDX-License-Identifier: Apache-2.0 */
/* What server.c (the loop, connections) and request.c (requests, answers) share. */
#pragma once

#include <microhttpd.h>

#include "runtime/daemon/route.h"
#include "runtime/daemon/server.h"

/* One client connection, known from accept to close. */
struct connection {
	struct connection *next, **self;
	struct server *server;
	int fd; /* MHD's */
	uid_t uid;
	bool allowed;
	bool counted;		/* among the users' connections */
	uint64_t deadline;	/* usec, monotonic: cut off then; 0 = none */
	struct request *parked; /* its request, while the library looks away */
	sd_event_source *gone;	/* tells meanwhile that the client closed; NULL until first used */
};

struct server {
	sd_event *event;
	struct MHD_Daemon *mhd;
	sd_event_source *io, *timer, *sweep;
	const struct route *routes;
	void *context;
	struct server_limits limits;
	gid_t group;
	bool has_group;
	bool running;  /* inside MHD_run() */
	bool again;    /* it must run once more, soon */
	bool stopping; /* nothing new is begun */
	unsigned users;
	struct connection *connections;
	struct request *requests;
};

struct request {
	struct request *next, **self;
	struct server *server;
	struct connection *connection; /* NULL when memory was short */
	struct MHD_Connection *mhd;
	char *path; /* as it was sent, without the query */
	struct route_match match;
	struct sbuf body;
	json_t *json;
	struct MHD_Response *response; /* ready to be queued */
	unsigned status;
	bool is_begun; /* its header was looked at */
	bool is_answered;
	bool is_deferred;
	bool is_parked; /* the library's word is "suspended" */
	bool is_gone;	/* the client closed while it was parked */
	bool is_ending; /* a stream: the server stops */
	void *data;
	void (*release)(struct request *rq, void *data);
	ssize_t (*read)(void *data, char *buf, size_t max);
	void (*upgraded)(void *data, int sock, const void *early, size_t early_len);
};

uint64_t now_monotonic(void); /* usec */

/* --- server.c ----------------------------------------------------------------------------------
 */

/* Sets when a connection is cut off: usec from now, 0 = never. */
void connection_limit(struct connection *c, uint64_t usec);
/* Watches for the end of a connection that the library does not look at; NULL = stop. */
void connection_park(struct connection *c, struct request *rq);
/* Lets the library look at what was resumed or closed as soon as the loop turns. */
void server_run_soon(struct server *s);

/* --- request.c ---------------------------------------------------------------------------------
 */

/* The library's three callbacks on a request: its first line has come, a step of it (begin, body,
 * end), all is over. */
void *request_on_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result request_on_step(void *cls, struct MHD_Connection *mhd, const char *url,
				const char *method, const char *version, const char *data,
				size_t *len, void **context);
void request_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_RequestTerminationCode toe);
/* The client of a parked request went away: ends the request. */
void request_client_gone(struct request *rq);
/* The server stops: answers if nobody has, ends streams. */
void request_stop(struct request *rq);
