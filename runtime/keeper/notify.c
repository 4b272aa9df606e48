/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket at which a guest says that it is ready (sd_notify(3)). Any process inside may write
 * there, with any fds along: see drop.c for what they can do to who receives them. So the keeper
 * only sees that there is something, and a throwaway child reads it. While one is at work the
 * socket is not polled. It is given up once it has said READY=1, which a guest says once.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/keeper/keeper.h"
#include "runtime/keeper/small.h"

#define READER_TURN 64		   /* datagrams that one reader takes */
#define READER_LIMIT_USEC 5000000u /* for the answer; one that reads lingers nowhere */
#define RETRY_USEC 1000000u	   /* of a fork that failed */
#define DATAGRAM_MAX 4096u	   /* what is looked at of one */

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* --- the reader ------------------------------------------------------------------------------ */

/* Its fds. */
enum {
	FD_SOCK = SMALL_FD,
	FD_ANSWER,
	FD_END,
};

/* Whether a datagram has the line READY=1. */
static bool says_ready(const char *p, size_t len)
{
	static const char ready[] = "READY=1";
	const size_t n = sizeof(ready) - 1;

	while (len > 0) {
		const char *end = memchr(p, '\n', len);
		size_t line = end ? (size_t)(end - p) : len;

		if (line == n && memcmp(p, ready, n) == 0)
			return true;
		if (!end)
			break;
		p += line + 1;
		len -= line + 1;
	}
	return false;
}

/* READY=1 is a claim, and all else is thrown away. fds that come along are dropped by the kernel,
 * as there is no room for them, and that can take its time. */
static uint8_t read_queue(void)
{
	char buf[DATAGRAM_MAX];

	for (int i = 0; i < READER_TURN; i++) {
		ssize_t n = recv(FD_SOCK, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0)
			return 0;
		if (says_ready(buf, (size_t)n))
			return 1;
	}
	return 0;
}

static void reader_main(pid_t keeper, int sock, int answer) __attribute__((noreturn));
static void reader_main(pid_t keeper, int sock, int answer)
{
	const int fds[FD_END - FD_SOCK] = {sock, answer};
	uint8_t is_ready;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != keeper || !small_become("vps-notify", fds, FD_END - FD_SOCK))
		_exit(1);
	is_ready = read_queue();
	_exit(write(FD_ANSWER, &is_ready, 1) == 1 ? 0 : 1);
}

/* --- the keeper ------------------------------------------------------------------------------ */

void notify_init(struct keeper *k, struct notify *n)
{
	*n = (struct notify){.sock = SOURCE_INIT, .answer = SOURCE_INIT};
	budget_init(&n->budget, NOTIFY_RATE, NOTIFY_BURST, k->now);
}

int notify_watch(struct keeper *k, struct notify *n, int *fd, struct err *err)
{
	const int off = 0;
	int r;

	/* Where the kernel can, it lets no fds through. Not an error elsewhere. */
	(void)setsockopt(*fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	r = source_add(k, &n->sock, SOURCE_NOTIFY, *fd, EPOLLIN, err);
	if (r == 0)
		(void)take_fd(fd);
	return r;
}

/* It may hang, in a recv(2) that closes something or in its end: it is not waited for. */
static void reader_stop(struct keeper *k, struct notify *n)
{
	timer_clear(k, &n->timer);
	source_close(k, &n->answer);
	if (n->reader <= 0)
		return;
	/* Not reaped yet: the pid is its own. */
	(void)kill(n->reader, SIGKILL);
	child_watch(k, n->reader);
	n->reader = 0;
}

static int reader_start(struct keeper *k, struct notify *n, struct err *err)
{
	pid_t keeper = getpid();
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, "cannot make a pipe");
	_cleanup_close_ int ours = pair[0];
	_cleanup_close_ int theirs = pair[1];
	int r = source_add(k, &n->answer, SOURCE_READER, ours, EPOLLIN, err);
	if (r < 0)
		return r;
	(void)take_fd(&ours);
	n->reader = fork();
	if (n->reader == 0)
		reader_main(keeper, n->sock.fd, theirs);
	if (n->reader < 0) {
		r = err_sys(err, "cannot fork the reader of a notify socket");
		n->reader = 0;
		source_close(k, &n->answer);
		return r;
	}
	timer_set(k, &n->timer, TIMER_NOTIFY, k->now + READER_LIMIT_USEC);
	return 0;
}

void notify_event(struct keeper *k, struct notify *n)
{
	struct err e = ERR_INIT;
	uint64_t again = 0;

	if (n->reader > 0)
		return;
	if (budget_left(&n->budget, k->now) == 0) {
		again = budget_when(&n->budget, 1);
	} else {
		budget_spend(&n->budget, 1);
		if (reader_start(k, n, &e) < 0) {
			log_warning("%s", err_text(&e));
			again = k->now + RETRY_USEC;
		}
	}
	source_want(k, &n->sock, 0);
	if (again > 0)
		timer_set(k, &n->timer, TIMER_NOTIFY, again);
}

bool notify_answer(struct keeper *k, struct notify *n)
{
	uint8_t is_ready = 0;
	ssize_t got = read(n->answer.fd, &is_ready, 1);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* One that died without a word has read what killed it: on with the next. */
	reader_stop(k, n);
	if (got != 1 || !is_ready) {
		source_want(k, &n->sock, EPOLLIN);
		return false;
	}
	notify_end(k, n);
	return true;
}

bool notify_expired(struct keeper *k, struct notify *n)
{
	if (n->reader <= 0) {
		source_want(k, &n->sock, EPOLLIN);
		return true;
	}
	notify_end(k, n);
	return false;
}

void notify_end(struct keeper *k, struct notify *n)
{
	reader_stop(k, n);
	drop_fd(k, source_drop(k, &n->sock));
}
