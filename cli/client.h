/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 client of one kind of server: vpsd on a unix socket, one request a connection. Written
 * here because a session needs what no HTTP library gives: the descriptors that come beside the
 * bytes (SCM_RIGHTS), from the first byte on. It is also why `vps` starts in a millisecond.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define CLIENT_FDS_MAX 3
#define CLIENT_BUFFER 65536u

/* A connection after the headers of its answer. */
struct client {
	int fd; /* -1 = none */
	unsigned status;
	bool chunked;
	bool in_chunks; /* behind the first one's size */
	bool has_length;
	size_t length; /* bytes of the body still to come, or of the present chunk */
	bool ended;    /* of the body */
	char *buf;     /* bytes read and not used: [at, len) */
	size_t at, len;
	int fds[CLIENT_FDS_MAX]; /* received beside the bytes; owned; -1 = none */
	unsigned n_fds;
};

#define CLIENT_INIT ((struct client){.fd = -1, .fds = {-1, -1, -1}})
#define _cleanup_client_ _cleanup_(client_done)

void client_done(struct client *c);

/* What to send. */
struct client_request {
	const char *method;
	const char *path; /* with query, escaped */
	json_t *body;	  /* borrowed; NULL = none */
	int body_fd;	  /* body from this file instead, when 'has_fd' */
	bool has_fd;
	const char *upgrade; /* NULL, or the protocol asked for */
	const char *header;  /* one more header line without CRLF, or NULL */
	/* Called while the file is being sent; total 0 = not known. May be NULL. */
	void (*progress)(void *arg, size_t done, size_t total);
	void *arg;
};

/* Connects, sends, reads the headers of the answer. -ENOENT/-ECONNREFUSED/-EACCES with a hint when
 * there is nobody to talk to. */
int client_send(const char *socket_path, const struct client_request *rq, struct client *ret,
		struct err *err);
/* Next bytes of the body; 0 = its end. */
ssize_t client_read(struct client *c, char *buf, size_t size, struct err *err);
/* The whole body as JSON. An error answer (status >= 400) becomes *err (code EREMOTEIO, its message
 * and hint) and, when ret is not NULL and the body was JSON, *ret all the same. */
int client_json(struct client *c, json_t **ret, struct err *err);
/* send + json. */
int client_call(const char *socket_path, const char *method, const char *path, json_t *body,
		json_t **ret, struct err *err);
/* Raw bytes after a 101: from the buffer first, then recvmsg(2) collecting descriptors. 0 = end. */
ssize_t client_raw_read(struct client *c, void *buf, size_t size, struct err *err);
/* True when client_raw_read() has bytes without asking the socket. */
bool client_raw_pending(const struct client *c);

/* Escapes one path segment or query value into heap text. */
char *url_escape(const char *s);
