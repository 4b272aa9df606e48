/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles: what a guest writes goes to its log and to the customers attached, in small pieces and
 * within a budget. Where the budget is spent the master is not read, and the pty holds the guest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/keeper/client.h"
#include "runtime/keeper/keeper.h"

#define READ_COST 1024u /* least price of a read: a flood of single bytes costs us a call each */
#define INPUT_TURN 8	/* pieces of input per customer in one turn of the loop */
#define INPUT_PIECE 4096u

/* --- customers' sockets ---------------------------------------------------------------------- */

void customer_send(int sock, const void *data, size_t len)
{
	/* A customer who does not read loses it. */
	(void)!send(sock, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void customer_refuse(int sock, const struct err *why)
{
	uint8_t frame[FRAME_LAST_MAX];

	if (sock < 0)
		return;
	customer_send(sock, frame, frame_make_error(frame, why));
	(void)shutdown(sock, SHUT_RDWR);
	(void)close(sock);
}

int customer_take(struct msg *m, struct wire *w, int *ret_sock, uint8_t **ret_early,
		  size_t *ret_len, struct err *err)
{
	_cleanup_free_ uint8_t *early = NULL;
	socklen_t size = sizeof(int);
	int type = 0, fd;
	const uint8_t *p;
	size_t len;

	p = wire_get_bytes(w, &len);
	if (w->bad || len > KEEPER_EARLY_MAX)
		return err_set(err, EPROTO, "received malformed early bytes");
	if (len > 0) {
		early = malloc(len);
		if (!early)
			return err_set(err, ENOMEM, "out of memory");
		memcpy(early, p, len);
	}
	fd = msg_take_fd(m, 0);
	if (fd < 0)
		return err_set(err, EPROTO, "received no customer's socket");
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
		(void)close(fd);
		return err_set(err, EINVAL, "what came is not a stream socket");
	}
	*ret_sock = fd;
	*ret_early = take_ptr(early);
	*ret_len = len;
	return 0;
}

/* --- output to a customer -------------------------------------------------------------------- */

static void attach_want(struct keeper *k, struct attach *a)
{
	source_want(k, &a->sock,
		    (a->is_blocked ? 0u : (uint32_t)EPOLLIN) | (a->rest ? (uint32_t)EPOLLOUT : 0u));
}

/* Sends a frame, or keeps the rest of it; one that finds such a rest is lost. */
static void attach_send(struct keeper *k, struct attach *a, const void *data, size_t len)
{
	uint8_t header[FRAME_HEADER];
	struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)data, len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	size_t sent, total = sizeof(header) + len;
	ssize_t n;

	if (a->rest) {
		a->lost += len;
		return;
	}
	frame_put_header(header, FRAME_STDOUT, (uint32_t)len);
	n = sendmsg(a->sock.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* A broken socket is seen when it is read. */
	sent = n < 0 ? 0 : (size_t)n;
	if (sent == total || (n < 0 && errno != EAGAIN))
		return;
	if (sent == 0) {
		a->lost += len;
		return;
	}
	a->rest = malloc(total - sent);
	if (!a->rest) {
		/* The stream of frames cannot go on. */
		(void)shutdown(a->sock.fd, SHUT_RDWR);
		return;
	}
	a->rest_len = total - sent;
	a->rest_used = 0;
	if (sent < sizeof(header)) {
		memcpy(a->rest, header + sent, sizeof(header) - sent);
		memcpy(a->rest + sizeof(header) - sent, data, len);
	} else {
		memcpy(a->rest, (const uint8_t *)data + (sent - sizeof(header)), a->rest_len);
	}
	attach_want(k, a);
}

static void attach_say_lost(struct keeper *k, struct attach *a)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "\r\n[%llu bytes of output lost]\r\n",
			 (unsigned long long)a->lost);

	a->lost = 0;
	attach_send(k, a, text, (size_t)n);
}

static void attach_flush(struct keeper *k, struct attach *a)
{
	ssize_t n;

	if (!a->rest)
		return;
	n = send(a->sock.fd, a->rest + a->rest_used, a->rest_len - a->rest_used,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		a->rest_used += (size_t)n;
	if (a->rest_used < a->rest_len)
		return;
	free(take_ptr(a->rest));
	attach_want(k, a);
	if (a->lost > 0)
		attach_say_lost(k, a);
}

static void attach_output(struct keeper *k, struct attach *a, const void *data, size_t len)
{
	if (a->lost > 0 && !a->rest)
		attach_say_lost(k, a);
	attach_send(k, a, data, len);
}

static void attach_free(struct keeper *k, struct attach *a)
{
	struct attach **p = &a->guest->attached;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	if (a->sock.fd >= 0)
		(void)shutdown(a->sock.fd, SHUT_RDWR);
	source_close(k, &a->sock);
	free(a->early);
	free(a->rest);
	free(a);
}

/* --- input from a customer ------------------------------------------------------------------- */

/* Does what one piece says. Returns how much of its data was taken: less = the console is full. */
static size_t input_piece(struct attach *a, const struct frame_piece *piece)
{
	int console = a->guest->console.fd;
	struct winsize size = {.ws_row = piece->rows, .ws_col = piece->cols};
	ssize_t n;

	if (a->is_readonly || console < 0)
		return piece->len;
	if (piece->type == FRAME_WINSIZE)
		(void)ioctl(console, TIOCSWINSZ, &size);
	if (piece->type != FRAME_STDIN || piece->len == 0)
		return piece->len;
	n = write(console, piece->data, piece->len);
	if (n < 0)
		return errno == EAGAIN ? 0 : piece->len;
	return (size_t)n;
}

/* Feeds bytes; returns how many were used, or -EPROTO. */
static ssize_t input_feed(struct attach *a, const uint8_t *data, size_t len, struct err *err)
{
	const unsigned allowed = FRAME_BIT(FRAME_STDIN) | FRAME_BIT(FRAME_WINSIZE);
	const uint8_t *p = data;
	size_t left = len;

	while (left > 0) {
		struct frame_parser before = a->parser;
		const uint8_t *start = p;
		struct frame_piece piece = {0};
		size_t taken;
		int r = frame_next(&a->parser, allowed, &p, &left, &piece, err);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		taken = input_piece(a, &piece);
		if (taken < piece.len) {
			/* Again, up to where the console took it. */
			size_t used = (size_t)(piece.data - start) + taken;

			a->parser = before;
			p = start;
			left = used;
			(void)frame_next(&a->parser, allowed, &p, &left, &piece, NULL);
			a->is_blocked = true;
			return (ssize_t)((size_t)(start - data) + used);
		}
	}
	return (ssize_t)(len - left);
}

static int input_early(struct attach *a, struct err *err)
{
	ssize_t n = input_feed(a, a->early + a->early_used, a->early_len - a->early_used, err);

	if (n < 0)
		return (int)n;
	a->early_used += (size_t)n;
	if (a->early_used == a->early_len)
		free(take_ptr(a->early));
	return 1;
}

/* Bytes are looked at in the socket and taken out only when used: nothing has to be kept here while
 * the console is full. */
static int input_socket(struct attach *a, uint8_t *buf, struct err *err)
{
	ssize_t n = recv(a->sock.fd, buf, INPUT_PIECE, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(err, EPIPE, "the customer has gone");
	n = input_feed(a, buf, (size_t)n, err);
	if (n > 0 && recv(a->sock.fd, buf, (size_t)n, MSG_DONTWAIT) != n)
		return err_set(err, EPIPE, "the customer has gone");
	return n < 0 ? (int)n : 1;
}

/* Moves input on. A failure ends the attachment. */
static int attach_input(struct keeper *k, struct attach *a, struct err *err)
{
	struct guest *g = a->guest;
	int r = 1;

	for (int i = 0; i < INPUT_TURN && r > 0 && !a->is_blocked; i++)
		r = a->early ? input_early(a, err) : input_socket(a, k->buffers->data, err);
	attach_want(k, a);
	if (a->is_blocked && !g->is_input_blocked) {
		g->is_input_blocked = true;
		source_want(k, &g->console, g->console.events | EPOLLOUT);
	}
	return r < 0 ? r : 0;
}

static void attach_refuse(struct keeper *k, struct attach *a, const struct err *why)
{
	uint8_t frame[FRAME_LAST_MAX];

	if (!a->rest && why->code != EPIPE)
		customer_send(a->sock.fd, frame, frame_make_error(frame, why));
	attach_free(k, a);
}

void attach_event(struct keeper *k, struct attach *a, uint32_t events)
{
	struct err e = ERR_INIT;
	int r = 0;

	if (events & EPOLLOUT)
		attach_flush(k, a);
	if ((events & (EPOLLHUP | EPOLLERR)) && a->is_blocked)
		r = err_set(&e, EPIPE, "the customer has gone");
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = attach_input(k, a, &e);
	if (r < 0)
		attach_refuse(k, a, &e);
}

int console_attach(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	char id[ID_TEXT] = "";
	struct guest *g = NULL;
	struct attach *a;
	uint64_t boot;
	uint32_t flags;
	int sock = -1, r;

	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(err, ENOMEM, "cannot attach: out of memory");
	wire_get_str_to(w, id, sizeof(id));
	boot = wire_get_u64(w);
	flags = wire_get_u32(w);
	r = customer_take(m, w, &sock, &a->early, &a->early_len, err);
	if (r == 0)
		r = wire_done(w, err);
	if (r == 0)
		r = guest_get(k, id, boot, &g, err);
	if (r == 0 && g->console.fd < 0)
		r = err_set(err, ENXIO, "the console of '%s' was lost", id);
	if (r == 0)
		r = source_add(k, &a->sock, SOURCE_ATTACH, sock, EPOLLIN, err);
	if (r < 0) {
		struct err why = ERR_INIT;

		(void)err_set(&why, -r, "%s", err_text(err));
		customer_refuse(sock, &why);
		free(a->early);
		free(a);
		return r;
	}
	a->guest = g;
	a->is_readonly = (flags & KEEPER_CONSOLE_READONLY) != 0;
	a->next = g->attached;
	g->attached = a;
	if (a->early)
		attach_event(k, a, EPOLLIN);
	return 1;
}

/* --- the console itself ---------------------------------------------------------------------- */

/* Reads and spreads one piece of at most 'max' bytes; 0 = nothing there. */
static size_t console_read(struct keeper *k, struct guest *g, size_t max)
{
	struct err e = ERR_INIT;
	uint8_t *buf = k->buffers->data;
	ssize_t n = read(g->console.fd, buf, max);

	if (n <= 0)
		return 0;
	if (console_log_write(&g->log, buf, (size_t)n, &e) < 0)
		log_warning("console log of guest %s: %s", g->info.id, err_text(&e));
	for (struct attach *a = g->attached; a; a = a->next)
		attach_output(k, a, buf, (size_t)n);
	return (size_t)n;
}

static void console_output(struct keeper *k, struct guest *g)
{
	size_t left = CONSOLE_TURN;

	while (left > 0) {
		uint64_t allowed = budget_left(&g->console_budget, k->now);
		size_t n;

		if (allowed == 0)
			break;
		n = console_read(k, g, allowed < left ? (size_t)allowed : left);
		if (n == 0)
			return;
		budget_spend(&g->console_budget, n > READ_COST ? n : READ_COST);
		left -= n;
	}
	if (left > 0) {
		g->is_throttled = true;
		source_want(k, &g->console, g->console.events & ~(uint32_t)EPOLLIN);
		timer_set(k, &g->console_timer, TIMER_CONSOLE,
			  budget_when(&g->console_budget, CONSOLE_BURST / 2));
	}
}

/* The master takes input again. */
static void console_unblock(struct keeper *k, struct guest *g)
{
	struct attach *next;

	g->is_input_blocked = false;
	source_want(k, &g->console, g->console.events & ~(uint32_t)EPOLLOUT);
	for (struct attach *a = g->attached; a; a = next) {
		next = a->next;
		if (!a->is_blocked)
			continue;
		a->is_blocked = false;
		attach_event(k, a, EPOLLIN);
	}
}

void console_event(struct keeper *k, struct guest *g, uint32_t events)
{
	if (events & EPOLLOUT)
		console_unblock(k, g);
	if (events & EPOLLIN)
		console_output(k, g);
	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN)) {
		/* Cannot be while a slave is held; if it is, a spin is worse than no console. */
		log_warning("console of guest %s has hung up", g->info.id);
		source_want(k, &g->console, 0);
		if (g->console.fd >= 0)
			source_close(k, &g->console);
	}
}

void console_resume(struct keeper *k, struct guest *g)
{
	g->is_throttled = false;
	source_want(k, &g->console, g->console.events | EPOLLIN);
}

void console_end(struct keeper *k, struct guest *g)
{
	uint8_t frame[FRAME_HEADER + 4];
	size_t size = frame_make_u32(frame, FRAME_EXIT, keeper_exit_code(g->info.status));

	timer_clear(k, &g->console_timer);
	/* At most what a pty holds; nobody writes any more. */
	for (size_t left = DATA_SIZE; g->console.fd >= 0 && left > 0;) {
		size_t n = console_read(k, g, left);

		if (n == 0)
			break;
		left -= n;
	}
	while (g->attached) {
		attach_flush(k, g->attached);
		if (!g->attached->rest)
			customer_send(g->attached->sock.fd, frame, size);
		attach_free(k, g->attached);
	}
	source_close(k, &g->console);
	cleanup_close(&g->console_slave);
	if (g->log.lost > 0)
		log_warning("console log of guest %s lost %llu bytes", g->info.id,
			    (unsigned long long)g->log.lost);
}
