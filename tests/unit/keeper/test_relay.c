/* SPDX-License-Identifier: Apache-2.0 */
/* A relay between a customer, a keeper and a command that are played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/keeper/frame.h"
#include "runtime/keeper/proto.h"
#include "runtime/keeper/relay.h"

#define LAST_MSEC 400u
#define PATIENCE_MSEC 10000u /* for what comes at once; the machine may be busy */

static unsigned last_msec = LAST_MSEC;

struct fixture {
	pid_t relay;
	int sock;	  /* the customer's */
	int control;	  /* the keeper's */
	int in, out, err; /* the command's */
	/* what the customer received */
	size_t out_len, err_len;
	int code; /* -1 = none */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void start_with(struct fixture *f, struct relay_start *s)
{
	int sock[2], control[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	f->sock = sock[0];
	f->control = control[0];
	f->code = -1;
	s->sock = sock[1];
	s->control = control[1];
	s->last_msec = last_msec;
	f->relay = fork();
	if (f->relay == 0)
		relay_main(s);
	assert_true(f->relay > 0);
	(void)close(sock[1]);
	(void)close(control[1]);
}

static void start(struct fixture *f)
{
	int pair[3][2];

	for (int i = 0; i < 3; i++)
		assert_int_equal(pipe2(pair[i], O_CLOEXEC), 0);
	start_with(f, &(struct relay_start){.stdio = {pair[0][1], pair[1][0], pair[2][0]}});
	f->in = pair[0][0];
	f->out = pair[1][1];
	f->err = pair[2][1];
	(void)close(pair[0][1]);
	(void)close(pair[1][0]);
	(void)close(pair[2][0]);
}

static void start_terminal(struct fixture *f)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios t;

	assert_true(master >= 0 && unlockpt(master) == 0);
	f->in = -1;
	f->err = -1;
	f->out = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(f->out >= 0 && tcgetattr(f->out, &t) == 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(f->out, TCSANOW, &t), 0);
	start_with(f, &(struct relay_start){.stdio = {master, master, -1}, .is_tty = true});
	(void)close(master);
}

/* Whether the relay ends within that long. */
static bool ends(struct fixture *f, unsigned msec)
{
	for (uint64_t until = now_ms() + msec; now_ms() < until;) {
		const struct timespec pause = {.tv_nsec = 5000000};

		if (waitpid(f->relay, NULL, WNOHANG) == f->relay) {
			f->relay = 0;
			return true;
		}
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

static void done(struct fixture *f)
{
	if (f->relay > 0) {
		(void)kill(f->relay, SIGKILL);
		(void)waitpid(f->relay, NULL, 0);
	}
	cleanup_close(&f->sock);
	cleanup_close(&f->control);
	cleanup_close(&f->in);
	cleanup_close(&f->out);
	cleanup_close(&f->err);
}

static void tell_code(const struct fixture *f, uint32_t code)
{
	assert_int_equal(send(f->control, &code, sizeof(code), 0), sizeof(code));
}

static bool get(const struct fixture *f, void *data, size_t len)
{
	return len == 0 || recv(f->sock, data, len, MSG_WAITALL) == (ssize_t)len;
}

/* Reads until the last frame. */
static void read_frames(struct fixture *f)
{
	const struct timeval most = {.tv_sec = 10};
	static uint8_t body[KEEPER_FRAME_MAX];
	uint8_t header[FRAME_HEADER];

	(void)setsockopt(f->sock, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	while (f->code < 0 && get(f, header, sizeof(header))) {
		uint32_t len = frame_get_u32(header + 4);

		assert_true(len <= sizeof(body) && get(f, body, len));
		if (header[0] == FRAME_STDOUT)
			f->out_len += len;
		else if (header[0] == FRAME_STDERR)
			f->err_len += len;
		else if (header[0] == FRAME_EXIT)
			f->code = (int)frame_get_u32(body);
	}
}

/* Writes as much as is taken at once. */
static size_t fill(int fd)
{
	static const char data[4096];
	size_t all = 0;
	ssize_t n;

	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((n = write(fd, data, sizeof(data))) > 0)
		all += (size_t)n;
	return all;
}

/* A process that the command left behind: it writes for ever. */
static pid_t writer(int fd)
{
	static const char data[65536];
	pid_t pid;

	(void)fcntl(fd, F_SETFL, 0);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		while (write(fd, data, sizeof(data)) > 0)
			;
		_exit(0);
	}
	return pid;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_all_that_was_written(void **state)
{
	struct fixture f = {0};
	size_t out, err;

	(void)state;
	start(&f);
	out = fill(f.out);
	err = fill(f.err);
	tell_code(&f, 7);
	read_frames(&f);
	assert_int_equal(f.code, 7);
	assert_true(out > 0 && f.out_len == out);
	assert_true(err > 0 && f.err_len == err);
	cleanup_close(&f.sock);
	assert_true(ends(&f, 1000));
	done(&f);
}

static void test_all_of_a_terminal(void **state)
{
	struct fixture f = {0};
	size_t out;

	(void)state;
	start_terminal(&f);
	out = fill(f.out);
	tell_code(&f, 7);
	read_frames(&f);
	assert_int_equal(f.code, 7);
	assert_true(out > 0 && f.out_len == out);
	done(&f);
}

static void endless(struct fixture *f)
{
	pid_t pid = writer(f->out);
	uint64_t begin = now_ms();

	assert_true(pid > 0);
	tell_code(f, 3);
	read_frames(f);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	assert_int_equal(f->code, 3);
	assert_in_range(now_ms() - begin, 0, 3000);
	cleanup_close(&f->sock);
	assert_true(ends(f, 1000));
	done(f);
}

static void test_others_write_on(void **state)
{
	struct fixture f = {0};

	(void)state;
	start(&f);
	endless(&f);
}

static void test_others_write_on_to_a_terminal(void **state)
{
	struct fixture f = {0};

	(void)state;
	start_terminal(&f);
	endless(&f);
}

static void test_customer_takes_nothing(void **state)
{
	struct fixture f = {0};
	pid_t pid;

	(void)state;
	start(&f);
	pid = writer(f.out);
	assert_false(ends(&f, 2 * LAST_MSEC));
	tell_code(&f, 3);
	assert_false(ends(&f, LAST_MSEC / 2));
	/* What it says does not count. */
	(void)send(f.sock, "\001\0\0\0\0\0\0\001x", 9, MSG_DONTWAIT);
	assert_true(ends(&f, PATIENCE_MSEC));
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	done(&f);
}

/* The socket is full with the last frame still to come. */
static void test_customer_takes_no_end(void **state)
{
	struct fixture f = {0};

	(void)state;
	start(&f);
	for (int i = 0; i < 100; i++) {
		const struct timespec pause = {.tv_nsec = 2000000};

		(void)fill(f.out);
		(void)nanosleep(&pause, NULL);
	}
	tell_code(&f, 3);
	assert_true(ends(&f, PATIENCE_MSEC));
	done(&f);
}

static void test_customer_goes_while_input_waits(void **state)
{
	static const uint8_t header[FRAME_HEADER] = {FRAME_STDIN, 0, 0, 0, 0, 0, 0x80, 0};
	static const char data[0x8000];
	struct fixture f = {0};
	uint32_t signo;

	(void)state;
	start(&f);
	/* More than the pipe and the relay hold, and the command reads nothing. */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(send(f.sock, header, sizeof(header), 0), sizeof(header));
		assert_int_equal(send(f.sock, data, sizeof(data), 0), sizeof(data));
	}
	assert_false(ends(&f, 300));
	cleanup_close(&f.sock);
	assert_true(ends(&f, 1000));
	/* So the keeper hangs up. */
	assert_int_equal(recv(f.control, &signo, sizeof(signo), 0), 0);
	done(&f);
}

static void test_keeper_goes(void **state)
{
	struct fixture f = {0};
	uint8_t header[FRAME_HEADER];

	(void)state;
	last_msec = 10 * PATIENCE_MSEC;
	start(&f);
	last_msec = LAST_MSEC;
	cleanup_close(&f.control);
	assert_false(ends(&f, 200));
	cleanup_close(&f.out);
	cleanup_close(&f.err);
	/* Told at once: there is nobody who could end now. */
	assert_true(get(&f, header, sizeof(header)));
	assert_int_equal(header[0], FRAME_ERROR);
	cleanup_close(&f.sock);
	assert_true(ends(&f, PATIENCE_MSEC));
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_that_was_written),
		cmocka_unit_test(test_all_of_a_terminal),
		cmocka_unit_test(test_others_write_on),
		cmocka_unit_test(test_others_write_on_to_a_terminal),
		cmocka_unit_test(test_customer_takes_nothing),
		cmocka_unit_test(test_customer_takes_no_end),
		cmocka_unit_test(test_customer_goes_while_input_waits),
		cmocka_unit_test(test_keeper_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
