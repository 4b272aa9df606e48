/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with routes of its own in the test's event loop, and clients of it that are plain
 * sockets of the same thread: what a client sends, when, and how much it reads is up to the test.
 */
#pragma once

#include "tests/unit/base/util.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "base/str.h"
#include "runtime/daemon/server.h"

#define PEERS_MAX 8

struct rig {
	char dir[256], path[300];
	sd_event *event;
	struct server *server;
	struct server_limits limits;
	int fds; /* held before the server came */

	/* What the handlers saw and are to do. */
	unsigned begun, released;
	struct request *waiting; /* deferred */
	int fail_in_handler;	 /* errno, 0 = none */
	/* Stream. */
	const char *feed; /* what the reader has; NULL = nothing */
	bool feed_ends;
	struct request *stream;
	unsigned reads;
	/* Upload. */
	struct request *upload;
	size_t quota; /* bytes it takes until told otherwise */
	size_t step;  /* at most so many a call; 0 = all */
	size_t taken, fail_at, calls;
	/* Upgrade. */
	int upgraded; /* socket */
	char early[256];
	size_t early_len;
};

/* A client. */
struct peer {
	int fd;
	struct sbuf in;
	bool eof;
};

static inline struct rig *rig_of(struct request *rq)
{
	return request_context(rq);
}

static inline void on_release(struct request *rq, void *data)
{
	struct rig *g = data;
	g->released++;
	if (g->waiting == rq)
		g->waiting = NULL;
	if (g->stream == rq)
		g->stream = NULL;
	if (g->upload == rq)
		g->upload = NULL;
}

static inline void own(struct request *rq)
{
	rig_of(rq)->begun++;
	request_set_data(rq, rig_of(rq), on_release);
}

static inline void rig_start(struct rig *g, const struct route *routes)
{
	struct err err = ERR_INIT;
	const struct group *gr = getgrgid(geteuid() == 0 ? 65534 : getegid());
	const struct server_options o = {
		.event = g->event,
		.socket_path = g->path,
		.group = gr ? gr->gr_name : NULL,
		.routes = routes,
		.context = g,
		.limits = &g->limits,
	};
	int r = server_start(&o, &g->server, &err);
	if (r < 0)
		fail_msg("%s", err_text(&err));
}

static inline struct rig *rig_new(void)
{
	struct rig *g = calloc(1, sizeof(*g));
	assert_non_null(g);
	g->fds = count_fds();
	g->upgraded = -1;
	g->limits = server_limits_default;
	int fd = scratch_dir(g->dir);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
	assert_int_equal(str_fmt(g->path, sizeof(g->path), "%s/sock", g->dir), 0);
	assert_true(sd_event_new(&g->event) >= 0);
	return g;
}

/* Everything must be given back: requests, descriptors. */
static inline void rig_free(struct rig *g)
{
	server_free(g->server);
	sd_event_unref(g->event);
	if (g->upgraded >= 0)
		close(g->upgraded);
	remove_scratch(g->dir);
	assert_int_equal(g->begun, g->released);
	assert_int_equal(count_fds(), g->fds);
	free(g);
}

static inline uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* One turn of the loop, not longer than 5 ms. */
static inline void turn(struct rig *g)
{
	assert_true(sd_event_run(g->event, 5000) >= 0);
}

static inline void turn_for(struct rig *g, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;)
		turn(g);
}

static inline int try_connect(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(str_copy(a.sun_path, sizeof(a.sun_path), path), 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline struct peer peer_new(struct rig *g)
{
	struct peer p = {.fd = try_connect(g->path)};
	assert_true(p.fd >= 0);
	return p;
}

static inline void peer_close(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	sbuf_done(&p->in);
}

static inline void peer_read(struct peer *p)
{
	char buf[65536];
	ssize_t n;
	while (!p->eof && (n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
		if (n == 0)
			p->eof = true;
		sbuf_add(&p->in, buf, (size_t)n);
	}
	if (!p->eof && errno == ECONNRESET)
		p->eof = true;
}

/* Sends all, turning the loop while the socket is full; false when the server closed. */
static inline bool peer_send_bytes(struct rig *g, struct peer *p, const void *data, size_t len)
{
	const char *at = data;
	uint64_t end = now_ms() + 10000;
	while (len) {
		ssize_t n = send(p->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			if (now_ms() > end)
				fail_msg("the server reads nothing");
			turn(g);
			continue;
		}
		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static inline void peer_send(struct rig *g, struct peer *p, const char *text)
{
	assert_true(peer_send_bytes(g, p, text, strlen(text)));
}

/* Until the text has come 'times' times. */
static inline void expect_times(struct rig *g, struct peer *p, const char *text, unsigned times)
{
	for (uint64_t end = now_ms() + 10000; now_ms() < end;) {
		unsigned n = 0;
		peer_read(p);
		for (const char *at = sbuf_str(&p->in); (at = strstr(at, text)); at++)
			n++;
		if (n == times)
			return;
		if (n > times || p->eof)
			break;
		turn(g);
	}
	fail_msg("expected %u times '%s'%s, have: %.2000s", times, text,
		 p->eof ? " before EOF" : "", sbuf_str(&p->in));
}

static inline void expect(struct rig *g, struct peer *p, const char *text)
{
	expect_times(g, p, text, 1);
}

static inline void expect_eof(struct rig *g, struct peer *p)
{
	for (uint64_t end = now_ms() + 10000; now_ms() < end && !p->eof;) {
		turn(g);
		peer_read(p);
	}
	if (!p->eof)
		fail_msg("not closed; have: %.2000s", sbuf_str(&p->in));
}

/* Turns the loop until the condition holds; it is evaluated once a turn. */
#define until(g, condition)                                                                        \
	do {                                                                                       \
		uint64_t end_ = now_ms() + 10000;                                                  \
		while (!(condition)) {                                                             \
			if (now_ms() > end_)                                                       \
				fail_msg("not in time: %s", #condition);                           \
			turn(g);                                                                   \
		}                                                                                  \
	} while (0)

/* One request on a connection of its own: the whole answer, until the server closes. */
static inline char *ask(struct rig *g, const char *request)
{
	struct peer p = peer_new(g);
	peer_send(g, &p, request);
	(void)shutdown(p.fd, SHUT_WR);
	expect_eof(g, &p);
	char *text = sbuf_take(&p.in);
	peer_close(&p);
	assert_non_null(text);
	return text;
}

static inline void assert_answer(struct rig *g, const char *request, const char *want)
{
	char *text = ask(g, request);
	if (!strstr(text, want))
		fail_msg("expected '%s', have: %.2000s", want, text);
	free(text);
}
