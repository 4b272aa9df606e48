/* SPDX-License-Identifier: Apache-2.0 */
/* The helper of one framed session: moves bytes between the client and the process, with no rights.
 */
#include "runtime/keeper/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "runtime/keeper/client.h"
#include "runtime/keeper/frame.h"
#include "runtime/keeper/small.h"

#define PIECE 16384u
#define PTY_MAX 131072u	 /* more than a terminal holds of what was written to it */
#define LINGER_MSEC 1000 /* for the customer to close first */

/* The relay's fds. */
enum {
	FD_SOCK = SMALL_FD,
	FD_CONTROL,
	FD_IN,
	FD_OUT,
	FD_ERR,
	FD_END,
};

struct relay {
	bool is_tty;
	int in, out, err;	   /* FD_*, -1 = closed */
	size_t out_left, err_left; /* bytes that are still to be moved */
	bool has_control;	   /* the keeper is there */
	bool has_ended;		   /* the command */
	bool has_code;
	uint32_t code;
	bool is_gone; /* the customer, or given up */
	unsigned last_msec;
	uint64_t progress_at; /* when the customer took something; or the command ended */
	struct frame_parser parser;
	struct frame_piece piece; /* input that the command did not take yet */
	const uint8_t *input;	  /* bytes not parsed yet */
	size_t input_len;
	uint8_t received[PIECE];
	uint8_t frame[FRAME_HEADER + PIECE]; /* output that the customer did not take yet */
	size_t frame_len, frame_used;
};

static uint64_t clock_msec(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* --- becoming small -------------------------------------------------------------------------- */

/* oom_score_adj is the keeper's, which this process does not deserve. */
static bool become_small(const struct relay_start *s)
{
	const int fds[FD_END - FD_SOCK] = {s->sock, s->control, s->stdio[0], s->stdio[1],
					   s->stdio[2]};

	(void)file_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "0", NULL);
	return small_become("vps-relay", fds, FD_END - FD_SOCK);
}

/* --- customer to command --------------------------------------------------------------------- */

/* Writes what it can of the piece. False: the command does not take it now. */
static bool write_piece(struct relay *r)
{
	while (r->piece.len > 0) {
		ssize_t n = r->in < 0 ? -1 : write(r->in, r->piece.data, r->piece.len);

		if (n < 0 && r->in >= 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			/* The command has closed its input: the rest has nowhere to go. */
			r->piece.len = 0;
			break;
		}
		r->piece.data += n;
		r->piece.len -= (size_t)n;
	}
	return true;
}

static void end_input(struct relay *r)
{
	static const uint8_t end_of_transmission[] = {4};

	if (!r->is_tty && r->in >= 0) {
		cleanup_close(&r->in);
	} else if (r->is_tty) {
		r->piece.data = end_of_transmission;
		r->piece.len = 1;
	}
}

static void do_piece(struct relay *r)
{
	struct winsize size = {.ws_row = r->piece.rows, .ws_col = r->piece.cols};
	uint32_t signo = r->piece.signo;

	if (r->piece.type == FRAME_STDIN && r->piece.len == 0)
		end_input(r);
	else if (r->piece.type == FRAME_WINSIZE && r->is_tty && r->in >= 0)
		(void)ioctl(r->in, TIOCSWINSZ, &size);
	else if (r->piece.type == FRAME_SIGNAL && r->has_control)
		(void)!send(FD_CONTROL, &signo, sizeof(signo), MSG_NOSIGNAL);
}

static void move_input(struct relay *r)
{
	const unsigned allowed =
		FRAME_BIT(FRAME_STDIN) | FRAME_BIT(FRAME_WINSIZE) | FRAME_BIT(FRAME_SIGNAL);

	for (int i = 0; i < 64 && write_piece(r); i++) {
		ssize_t n;
		int got =
			frame_next(&r->parser, allowed, &r->input, &r->input_len, &r->piece, NULL);

		if (got > 0) {
			do_piece(r);
			continue;
		}
		n = got < 0 ? 0 : recv(FD_SOCK, r->received, sizeof(r->received), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			r->is_gone = true;
			return;
		}
		r->input = r->received;
		r->input_len = (size_t)n;
	}
}

/* --- command to customer --------------------------------------------------------------------- */

static bool flush(struct relay *r)
{
	while (r->frame_used < r->frame_len) {
		ssize_t n = send(FD_SOCK, r->frame + r->frame_used, r->frame_len - r->frame_used,
				 MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				r->is_gone = true;
			return false;
		}
		r->frame_used += (size_t)n;
		r->progress_at = clock_msec();
	}
	r->frame_used = r->frame_len = 0;
	return true;
}

/* Moves one piece. False: nothing there, or it was the end. */
static bool move_output(struct relay *r, int *fd, size_t *left, enum keeper_frame type)
{
	ssize_t n;

	if (*fd < 0 || *left == 0 || !flush(r))
		return false;
	n = read(*fd, r->frame + FRAME_HEADER, *left < PIECE ? *left : PIECE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		/* End of file; EIO of a terminal that nobody has open. */
		*fd = -1;
		return false;
	}
	*left -= (size_t)n;
	frame_put_header(r->frame, type, (uint32_t)n);
	r->frame_len = FRAME_HEADER + (size_t)n;
	return flush(r);
}

/* By turns, so that neither starves. True: all that is there was moved. */
static bool move_outputs(struct relay *r)
{
	for (int i = 0; i < 16; i++) {
		bool out = move_output(r, &r->out, &r->out_left, FRAME_STDOUT);
		bool err = move_output(r, &r->err, &r->err_left, FRAME_STDERR);

		if (!out && !err)
			return r->frame_len == 0;
	}
	return false;
}

static size_t readable(int fd)
{
	int n = 0;

	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* What the command wrote before its end is there when its end is known; what daemons of it write
 * later is not waited for. Of a terminal FIONREAD does not tell all: its kernel worker may still
 * have some. */
static void command_ended(struct relay *r)
{
	r->has_ended = true;
	r->out_left = r->is_tty ? PTY_MAX : readable(r->out);
	r->err_left = readable(r->err);
	r->progress_at = clock_msec();
}

static void move_control(struct relay *r)
{
	uint32_t code;
	ssize_t n = recv(FD_CONTROL, &code, sizeof(code), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	r->has_control = false;
	if (n == (ssize_t)sizeof(code)) {
		r->has_code = true;
		r->code = code;
		command_ended(r);
	}
}

/* --- the loop -------------------------------------------------------------------------------- */

/* How long to wait: -1 = for ever, 0 = no longer. */
static int patience(const struct relay *r)
{
	uint64_t until = r->progress_at + r->last_msec, now;

	if (!r->has_ended)
		return -1;
	now = clock_msec();
	return now < until ? (int)(until - now) : 0;
}

static void wait_for_work(struct relay *r)
{
	const bool has_frame = r->frame_len > 0;
	const bool has_piece = r->piece.len > 0;
	const int msec = patience(r);
	struct pollfd p[] = {
		{.fd = FD_SOCK,
		 .events = (short)((has_piece ? 0 : POLLIN) | (has_frame ? POLLOUT : 0))},
		{.fd = r->has_control ? FD_CONTROL : -1, .events = POLLIN},
		{.fd = has_frame || r->out_left == 0 ? -1 : r->out, .events = POLLIN},
		{.fd = has_frame || r->err_left == 0 ? -1 : r->err, .events = POLLIN},
		{.fd = has_piece ? r->in : -1, .events = POLLOUT},
	};

	(void)poll(p, sizeof(p) / sizeof(p[0]), msec);
	/* A socket that is not read tells of its end in no other way, and goes on telling. */
	if (msec == 0 || (has_piece && (p[0].revents & (POLLHUP | POLLERR))))
		r->is_gone = true;
}

static void last_frame(struct relay *r)
{
	struct err e = ERR_INIT;

	if (r->has_code) {
		r->frame_len = frame_make_u32(r->frame, FRAME_EXIT, r->code);
	} else {
		(void)err_set(&e, EOWNERDEAD, "the exit code was lost: vps-keeper has ended");
		r->frame_len = frame_make_error(r->frame, &e);
	}
	/* What the customer says now is for nobody. */
	r->piece.len = 0;
	while (!flush(r)) {
		if (!r->is_gone)
			wait_for_work(r);
		if (r->is_gone || recv(FD_SOCK, r->received, sizeof(r->received), 0) == 0)
			return;
	}
	/* A close with unread input would reset a TCP connection and lose what was sent last. */
	(void)shutdown(FD_SOCK, SHUT_WR);
	for (int i = 0; i < 64; i++) {
		struct pollfd p = {.fd = FD_SOCK, .events = POLLIN};

		if (poll(&p, 1, LINGER_MSEC) <= 0 ||
		    recv(FD_SOCK, r->received, sizeof(r->received), 0) <= 0)
			return;
	}
}

static void relay_run(struct relay *r)
{
	for (;;) {
		bool had_ended = r->has_ended;
		bool is_drained;

		move_input(r);
		is_drained = move_outputs(r);
		if (r->is_gone)
			return;
		if (had_ended && is_drained) {
			last_frame(r);
			return;
		}
		/* Without a keeper the end is when nobody can write any more. */
		if (!r->has_ended && !r->has_control && r->out < 0 && r->err < 0) {
			command_ended(r);
			continue;
		}
		if (is_drained || r->frame_len > 0)
			wait_for_work(r);
		if (r->has_control)
			move_control(r);
	}
}

void relay_main(const struct relay_start *start)
{
	struct relay *r = calloc(1, sizeof(*r));
	uint8_t early[KEEPER_EARLY_MAX];

	if (!r || start->early_len > sizeof(early) || !become_small(start))
		_exit(1);
	if (start->early_len > 0)
		memcpy(early, start->early, start->early_len);
	r->input = early;
	r->input_len = start->early_len;
	r->is_tty = start->is_tty;
	r->in = FD_IN;
	r->out = FD_OUT;
	r->err = start->is_tty ? -1 : FD_ERR;
	r->out_left = r->err_left = SIZE_MAX;
	r->last_msec = start->last_msec;
	r->has_control = true;
	relay_run(r);
	_exit(0);
}
