/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of a session. An exec session's data flows through descriptors that came over
 * the socket; the socket itself carries signals there and the exit code back. A console's data
 * flows as frames.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/frame.h"
#include "runtime/daemon/wire.h"

#define DETACH 0x1d /* Ctrl-] */
/* The most that a pipe holds for an unprivileged writer (pipe(7), pipe-max-size). */
#define PIPE_MOST (1u << 20)

/* One direction: what was read and could not be written yet. */
struct pump {
	int from, to; /* -1 = ended */
	char *buf;
	size_t at, len;
};

struct session {
	const struct cli *cli;
	struct client c;
	struct frame_reader frames;
	struct pump in, out, err;
	int signals;
	struct termios old;
	bool raw;
	bool ended;
	bool failed; /* the other side said so, and the user knows */
	int code;
};

static void restore_terminal(struct session *s)
{
	if (s->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->old);
	s->raw = false;
}

static void set_raw(struct session *s)
{
	struct termios t;
	if (tcgetattr(STDIN_FILENO, &s->old) < 0)
		return;
	t = s->old;
	cfmakeraw(&t);
	s->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &t) == 0;
}

static int open_signals(struct session *s, bool tty, struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (!tty) {
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGQUIT);
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGUSR2);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, "cannot block signals");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? err_sys(err, "cannot watch signals") : 0;
}

static void session_done(struct session *s)
{
	restore_terminal(s);
	client_done(&s->c);
	frame_reader_done(&s->frames);
	cleanup_close(&s->signals);
	free(s->in.buf);
	free(s->out.buf);
	free(s->err.buf);
}

/* Connects and gets the 101. */
static int open_session(struct session *s, const char *path, json_t *body, const char *header,
			struct err *err)
{
	const struct client_request rq = {
		.method = "POST",
		.path = path,
		.body = body,
		.upgrade = VPS_UPGRADE_PROTOCOL,
		.header = header,
	};
	int r = client_send(s->cli->socket, &rq, &s->c, err);
	if (r < 0 || s->c.status == 101)
		return r;
	_cleanup_json_ json_t *answer = NULL;
	r = client_json(&s->c, &answer, err);
	return r < 0 ? r : err_set(err, EPROTO, "vpsd did not open the session");
}

/* --- frames from the other side ------------------------------------------------------------ */

static void on_exit_frame(struct session *s, const struct frame *f)
{
	s->ended = true;
	/* exit(3) would make success of 256. */
	uint32_t code = f->len >= 4 ? frame_u32(f->payload) : CLI_FAILED;
	s->code = code <= 255 ? (int)code : CLI_FAILED;
}

static void on_error_frame(struct session *s, const struct frame *f)
{
	char text[512], clean[600];
	uint32_t code = f->len >= 4 ? frame_u32(f->payload) : EIO;
	size_t n = f->len > 4 ? f->len - 4 : 0;
	(void)str_fmt(text, sizeof(text), "%.*s", (int)(n < 500 ? n : 500),
		      (const char *)f->payload + 4);
	str_escape(clean, sizeof(clean), text);
	restore_terminal(s);
	fprintf(stderr, "vps: %s\n", *clean ? clean : "the session failed");
	s->ended = s->failed = true;
	/* As a shell would say it. */
	s->code = code == ENOENT ? 127 : code == EACCES || code == ENOEXEC ? 126 : CLI_FAILED;
}

/* Handles what has come. 0, or -EPIPE at the end of the connection. */
static int read_frames(struct session *s, void (*other)(struct session *s, const struct frame *f),
		       struct err *err)
{
	char buf[16384];
	ssize_t n = client_raw_read(&s->c, buf, sizeof(buf), err);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return s->ended
			       ? -EPIPE
			       : err_set(err, EPIPE, "the session's connection ended unexpectedly");
	int r = frame_reader_add(&s->frames, buf, (size_t)n, err);
	struct frame f;
	while (r == 0 && !s->ended && (r = frame_reader_next(&s->frames, &f, err)) > 0) {
		if (f.type == FRAME_EXIT)
			on_exit_frame(s, &f);
		else if (f.type == FRAME_ERROR)
			on_error_frame(s, &f);
		else
			other(s, &f);
		r = 0;
	}
	return r < 0 ? r : 0;
}

static void send_frame(struct session *s, uint8_t type, const void *payload, size_t len)
{
	char head[FRAME_HEAD];
	frame_head(head, type, len);
	/* Small records on a local socket; a connection that broke is seen by the reader. */
	if (send(s->c.fd, head, sizeof(head), MSG_NOSIGNAL | MSG_MORE) == (ssize_t)sizeof(head) &&
	    len)
		(void)!send(s->c.fd, payload, len, MSG_NOSIGNAL);
}

static void send_signal(struct session *s, uint32_t signo)
{
	uint8_t payload[4];
	frame_put_u32(payload, signo);
	send_frame(s, FRAME_SIGNAL, payload, sizeof(payload));
}

static bool window(struct winsize *w)
{
	return ioctl(STDIN_FILENO, TIOCGWINSZ, w) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, w) == 0;
}

/* --- pumps --------------------------------------------------------------------------------- */

static short pump_events(const struct pump *p, bool reading)
{
	if (p->from < 0 && p->at == p->len)
		return 0;
	if (reading)
		return p->at == p->len ? POLLIN : 0;
	return p->at < p->len ? POLLOUT : 0;
}

/* Reads once; false at the end of the source. EIO is how a pty says that nobody is left. */
static bool pump_read(struct pump *p)
{
	if (!p->buf && !(p->buf = malloc(CLIENT_BUFFER)))
		return false;
	ssize_t n = read(p->from, p->buf, CLIENT_BUFFER);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	p->at = 0;
	p->len = (size_t)n;
	return true;
}

/* Writes what is there; false when the target takes no more. */
static bool pump_write(struct pump *p)
{
	ssize_t n = write(p->to, p->buf + p->at, p->len - p->at);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0)
		return false;
	p->at += (size_t)n;
	return true;
}

static void pump_stop(struct pump *p)
{
	p->from = -1;
	p->at = p->len = 0;
}

/* --- exec ---------------------------------------------------------------------------------- */

static void on_started(struct session *s, const struct frame *f)
{
	if (f->type != FRAME_STARTED || s->out.from >= 0)
		return;
	if (s->c.n_fds == 1) { /* pty master */
		s->in.to = s->c.fds[0];
		s->out.from = s->c.fds[0];
	} else if (s->c.n_fds == 3) {
		s->in.to = s->c.fds[0];
		s->out.from = s->c.fds[1];
		s->err.from = s->c.fds[2];
	} else { /* it would wait for output that never comes */
		restore_terminal(s);
		fputs("vps: vpsd passed no descriptors for the session\n", stderr);
		s->ended = s->failed = true;
	}
	for (unsigned i = 0; i < s->c.n_fds; i++)
		(void)fcntl(s->c.fds[i], F_SETFL, fcntl(s->c.fds[i], F_GETFL) | O_NONBLOCK);
}

static void end_input(struct session *s, bool tty)
{
	s->in.from = -1;
	if (!tty && s->c.n_fds == 3) {
		cleanup_close(&s->c.fds[0]); /* end of file for the command */
		s->in.to = -1;
	} else if (tty && s->in.to >= 0) {
		(void)!write(s->in.to, "\004", 1); /* VEOF */
	}
}

static void on_signals(struct session *s, bool tty)
{
	struct signalfd_siginfo si;
	struct winsize w;
	while (read(s->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo != SIGWINCH)
			send_signal(s, si.ssi_signo);
		else if (tty && s->in.to >= 0 && window(&w))
			(void)ioctl(s->in.to, TIOCSWINSZ, &w);
	}
}

/* What is left in the pipes after the command has ended; what its children write later is theirs,
 * and they may never stop. */
static void drain(struct pump *p)
{
	for (size_t done = 0; done <= PIPE_MOST && (p->from >= 0 || p->at < p->len);) {
		if (p->at < p->len) {
			struct err ignored;
			if (file_write_all(p->to, p->buf + p->at, p->len - p->at, &ignored) < 0)
				return;
			done += p->len - p->at;
			p->at = p->len;
		}
		struct pollfd f = {.fd = p->from, .events = POLLIN};
		if (p->from < 0 || poll(&f, 1, 0) <= 0 || !pump_read(p))
			return;
	}
}

/* False when it has ended now: at its source, or because nobody takes its data any more. */
static bool turn_pump(struct pump *p, short readable, short writable)
{
	if ((readable && p->at == p->len && !pump_read(p)) ||
	    (writable && p->at < p->len && !pump_write(p))) {
		pump_stop(p);
		return false;
	}
	return true;
}

/* Closes where the command's output came from: it meets EPIPE, or a hang-up, as behind any pipe. */
static void end_output(struct session *s, unsigned n)
{
	if (s->c.n_fds == 1) {
		n = 0;
		s->in.to = -1;
	}
	if (n < s->c.n_fds)
		cleanup_close(&s->c.fds[n]);
}

static int exec_loop(struct session *s, bool tty, struct err *err)
{
	while (!s->ended) {
		struct pollfd f[] = {
			{.fd = s->c.fd, .events = POLLIN},
			{.fd = s->signals, .events = POLLIN},
			{.fd = s->in.to >= 0 && pump_events(&s->in, true) ? s->in.from : -1,
			 .events = POLLIN},
			{.fd = pump_events(&s->in, false) ? s->in.to : -1, .events = POLLOUT},
			{.fd = pump_events(&s->out, true) ? s->out.from : -1, .events = POLLIN},
			{.fd = pump_events(&s->out, false) ? s->out.to : -1, .events = POLLOUT},
			{.fd = pump_events(&s->err, true) ? s->err.from : -1, .events = POLLIN},
			{.fd = pump_events(&s->err, false) ? s->err.to : -1, .events = POLLOUT},
		};
		if (!client_raw_pending(&s->c) && poll(f, sizeof(f) / sizeof(*f), -1) < 0 &&
		    errno != EINTR)
			return err_sys(err, "cannot poll");
		if (f[1].revents)
			on_signals(s, tty);
		if (f[2].revents && !pump_read(&s->in))
			end_input(s, tty);
		if (f[3].revents && !pump_write(&s->in))
			pump_stop(&s->in);
		if (!turn_pump(&s->out, f[4].revents, f[5].revents))
			end_output(s, 1);
		if (!turn_pump(&s->err, f[6].revents, f[7].revents))
			end_output(s, 2);
		if (f[0].revents || client_raw_pending(&s->c)) {
			int r = read_frames(s, on_started, err);
			if (r < 0 && !s->ended)
				return r;
			if (s->in.from < 0 && s->c.n_fds == 3 && s->in.to >= 0)
				end_input(s, tty);
		}
	}
	drain(&s->out);
	drain(&s->err);
	return 0;
}

int session_exec(const struct cli *cli, const char *path, const struct session_exec *x)
{
	struct err err = ERR_INIT;
	struct session s = {
		.cli = cli,
		.c = CLIENT_INIT,
		.in = {.from = x->interactive ? STDIN_FILENO : -1, .to = -1},
		.out = {.from = -1, .to = STDOUT_FILENO},
		.err = {.from = -1, .to = STDERR_FILENO},
		.signals = -1,
		.code = CLI_FAILED,
	};
	int r = open_session(&s, path, x->body, VPS_SESSION_HEADER ": fds", &err);
	if (r == 0)
		r = open_signals(&s, x->tty, &err);
	if (r == 0 && x->tty && x->interactive)
		set_raw(&s);
	if (r == 0)
		r = exec_loop(&s, x->tty, &err);
	session_done(&s);
	return r < 0 ? cli_fail(cli, &err) : s.code;
}

/* --- console ------------------------------------------------------------------------------- */

static void on_output(struct session *s, const struct frame *f)
{
	struct err ignored;
	if (f->type == FRAME_STDOUT &&
	    file_write_all(STDOUT_FILENO, f->payload, f->len, &ignored) < 0)
		s->ended = true; /* nobody looks any more */
}

static void send_window(struct session *s)
{
	struct winsize w;
	if (!window(&w))
		return;
	const uint8_t payload[4] = {(uint8_t)(w.ws_row >> 8), (uint8_t)w.ws_row,
				    (uint8_t)(w.ws_col >> 8), (uint8_t)w.ws_col};
	send_frame(s, FRAME_WINSIZE, payload, sizeof(payload));
}

/* False when the user detaches or the input ends. */
static bool send_input(struct session *s)
{
	char buf[4096];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	const char *detach = s->raw ? memchr(buf, DETACH, (size_t)n) : NULL;
	if (detach)
		n = detach - buf;
	if (n)
		send_frame(s, FRAME_STDIN, buf, (size_t)n);
	return !detach;
}

static int console_loop(struct session *s, bool readonly, struct err *err)
{
	struct signalfd_siginfo si;
	bool input = true;
	while (!s->ended) {
		struct pollfd f[] = {
			{.fd = s->c.fd, .events = POLLIN},
			{.fd = s->signals, .events = POLLIN},
			{.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
		};
		if (!client_raw_pending(&s->c) && poll(f, 3, -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot poll");
		while (f[1].revents && read(s->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
			if (si.ssi_signo != SIGWINCH)
				return 0;
			if (!readonly)
				send_window(s);
		}
		if (f[2].revents && !send_input(s)) {
			if (s->raw)
				return 0;
			input = false; /* a pipe has ended: go on with the output */
		}
		if (f[0].revents || client_raw_pending(&s->c)) {
			int r = read_frames(s, on_output, err);
			if (r < 0 && !s->ended)
				return r;
		}
	}
	return 0;
}

int session_console(const struct cli *cli, const char *path, bool readonly)
{
	struct err err = ERR_INIT;
	struct session s = {.cli = cli, .c = CLIENT_INIT, .signals = -1};
	_cleanup_json_ json_t *body = json_pack("{s:b}", "readonly", readonly);
	int r = open_session(&s, path, body, NULL, &err);
	if (r == 0)
		r = open_signals(&s, isatty(STDIN_FILENO), &err);
	if (r == 0)
		set_raw(&s);
	/* Only now: a Ctrl-C that is typed on reading this goes inside. */
	if (r == 0 && !cli->quiet && isatty(STDERR_FILENO))
		fputs("vps: attached; Ctrl-] detaches\r\n", stderr);
	if (r == 0 && !readonly)
		send_window(&s);
	if (r == 0)
		r = console_loop(&s, readonly, &err);
	session_done(&s);
	if (r == 0 && !cli->quiet && isatty(STDERR_FILENO))
		fputs("\r\nvps: detached\n", stderr);
	if (r < 0)
		return cli_fail(cli, &err);
	return s.failed ? CLI_FAILED : CLI_OK;
}
