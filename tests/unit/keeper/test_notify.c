/* SPDX-License-Identifier: Apache-2.0 */
/* The notify socket, in the keeper's own loop, with what a hostile guest can put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/keeper/keeper.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#define LINGER_SEC 60
#define FDS_MAX 253 /* of one datagram (SCM_MAX_FD) */

struct fixture {
	struct keeper k;
	struct guest g;
	int sender;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* The keeper's loop for that long; it ends by a signal. Returns how long it took. */
static uint64_t run(struct fixture *f, unsigned msec)
{
	const struct itimerval in = {.it_value = {msec / 1000, (msec % 1000) * 1000}};
	uint64_t begin = now_ms();

	f->k.is_stopping = false;
	assert_int_equal(setitimer(ITIMER_REAL, &in, NULL), 0);
	assert_int_equal(keeper_run(&f->k, NULL), 0);
	return now_ms() - begin;
}

static int setup(void **state)
{
	static struct fixture f;
	const int on = 1;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	sigset_t alarm;
	int fd;

	memset(&f, 0, sizeof(f));
	if (keeper_init(&f.k, NULL) < 0)
		return -1;
	(void)sigemptyset(&alarm);
	(void)sigaddset(&alarm, SIGALRM);
	(void)sigprocmask(SIG_BLOCK, &alarm, NULL);
	fd = signalfd(-1, &alarm, SFD_CLOEXEC | SFD_NONBLOCK);
	if (source_add(&f.k, &f.k.signals, SOURCE_SIGNALS, fd, EPOLLIN, NULL) < 0)
		return -1;
	f.g.pid = f.g.console = SOURCE_INIT;
	notify_init(&f.k, &f.g.notify);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	f.sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Any free abstract name. */
	if (bind(fd, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) < 0 ||
	    connect(f.sender, (struct sockaddr *)&name, len) < 0)
		return -1;
	if (notify_watch(&f.k, &f.g.notify, &fd, NULL) < 0)
		return -1;
	/* Also here the kernel lets fds through, as older ones do. */
	(void)setsockopt(f.g.notify.sock.fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	notify_end(&f->k, &f->g.notify);
	(void)run(f, 1300);
	cleanup_close(&f->sender);
	source_close(&f->k, &f->k.signals);
	cleanup_close(&f->k.epoll);
	cleanup_close(&f->k.reserve);
	return 0;
}

static void say(const struct fixture *f, const char *text)
{
	assert_int_equal(send(f->sender, text, strlen(text), 0), strlen(text));
}

/* Sends and closes. */
static void say_with_fds(const struct fixture *f, const char *text, int fd, size_t n)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf};
	struct cmsghdr *c = (struct cmsghdr *)(void *)control.buf;

	mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(f->sender, &mh, 0), strlen(text));
	(void)close(fd);
}

/* A socket whose last close(2) takes a minute, unless the process ends. */
static int lingering(int *ret_peer)
{
	const struct linger l = {1, LINGER_SEC};
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(name);
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char data[65536];

	if (bind(listener, (struct sockaddr *)&name, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&name, &len) < 0 ||
	    connect(fd, (struct sockaddr *)&name, len) < 0)
		skip(); /* no loopback interface here */
	*ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static void assert_no_child(void)
{
	assert_true(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
}

/* --- tests ----------------------------------------------------------------------------------- */

/* Turns until it is said, or not. */
static bool becomes_ready(struct fixture *f)
{
	for (int i = 0; i < 30 && !f->g.info.ready; i++)
		assert_in_range(run(f, 100), 50, 500);
	return f->g.info.ready;
}

static void test_ready_counts_once(void **state)
{
	struct fixture *f = *state;

	say(f, "STATUS=x");
	say(f, "XREADY=1");
	say(f, "READY=12");
	say(f, "");
	(void)run(f, 200);
	assert_false(f->g.info.ready);
	assert_true(f->g.notify.sock.fd >= 0);
	say(f, "STATUS=up\nREADY=1\n");
	assert_true(becomes_ready(f));
	/* Nobody listens any more. */
	(void)run(f, 1200);
	assert_true(send(f->sender, "x", 1, 0) < 0 && errno == ECONNREFUSED);
	assert_no_child();
}

static void test_a_long_datagram_is_cut(void **state)
{
	struct fixture *f = *state;
	char text[9001];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	say(f, text);
	say(f, "READY=1");
	assert_true(becomes_ready(f));
}

/* As many as a booting systemd tells, one by one. */
static void test_a_boot_is_not_delayed(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 24; i++) {
		uint64_t left = f->g.notify.budget.left;

		say(f, "STATUS=Starting one thing after another");
		(void)run(f, 10);
		for (int j = 0; j < 20 && f->g.notify.reader > 0; j++)
			(void)run(f, 10);
		assert_int_equal(f->g.notify.sock.events, EPOLLIN);
		assert_true(left > 1);
	}
	say(f, "READY=1");
	assert_true(becomes_ready(f));
}

static void test_a_flood_costs_a_few_forks(void **state)
{
	struct fixture *f = *state;
	unsigned sent = 0;

	for (int i = 0; i < 300; i++) {
		while (send(f->sender, "x", 1, MSG_DONTWAIT) == 1)
			sent++;
		(void)run(f, 10);
	}
	/* The budget is used up and refilled at its rate. */
	assert_true(f->g.notify.budget.left <= 2);
	assert_true(sent > NOTIFY_BURST);
	assert_false(f->g.info.ready);
}

static void test_lingering_sockets_hold_nobody(void **state)
{
	static const char *const texts[] = {"STATUS=x", "READY=1"};
	struct fixture *f = *state;
	_cleanup_close_ int peer = -1, peer2 = -1;

	say_with_fds(f, texts[0], lingering(&peer), 1);
	say_with_fds(f, texts[1], lingering(&peer2), 1);
	assert_in_range(run(f, 500), 400, 900);
	assert_false(f->g.info.ready);
	assert_true(f->g.notify.reader > 0);
	/* The reader is given up after a while, and the socket with it. */
	assert_in_range(run(f, 5000), 4900, 5400);
	assert_int_equal(f->g.notify.reader, 0);
	assert_int_equal(f->g.notify.sock.fd, -1);
	assert_in_range(run(f, 1200), 1100, 1600);
	assert_no_child();
}

static void test_ready_with_lingering_behind(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int peer = -1;

	say(f, "READY=1");
	say_with_fds(f, "STATUS=x", lingering(&peer), 1);
	assert_true(becomes_ready(f));
	assert_int_equal(f->g.notify.sock.fd, -1);
	assert_in_range(run(f, 1200), 1100, 1600);
	assert_no_child();
}

static void test_end_with_lingering_queued(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int peer = -1, peer2 = -1;
	uint64_t begin;

	/* Not read before the guest ends, and while a reader is stuck. */
	say_with_fds(f, "READY=1", lingering(&peer), 1);
	say_with_fds(f, "READY=1", lingering(&peer2), 1);
	if (f->g.info.boot == 0)
		(void)run(f, 200);
	begin = now_ms();
	notify_end(&f->k, &f->g.notify);
	assert_in_range(now_ms() - begin, 0, 500);
	assert_int_equal(f->g.notify.sock.fd, -1);
	assert_in_range(run(f, 1500), 1400, 1900);
	assert_no_child();
	assert_null(f->k.drops);
}

static void test_end_unread(void **state)
{
	struct fixture *f = *state;

	f->g.info.boot = 1;
	test_end_with_lingering_queued(state);
}

static void test_many_fds(void **state)
{
	struct fixture *f = *state;

	say_with_fds(f, "STATUS=x", open("/dev/null", O_RDONLY | O_CLOEXEC), FDS_MAX);
	say_with_fds(f, "READY=1", open("/dev/null", O_RDONLY | O_CLOEXEC), FDS_MAX);
	assert_true(becomes_ready(f));
}

/* A reader that is killed by somebody has said nothing: the next one reads on. */
static void test_killed_reader(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int peer = -1;

	say_with_fds(f, "STATUS=x", lingering(&peer), 1);
	say(f, "READY=1");
	(void)run(f, 200);
	assert_true(f->g.notify.reader > 0);
	assert_int_equal(kill(f->g.notify.reader, SIGKILL), 0);
	assert_true(becomes_ready(f));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ready_counts_once),
		TEST(test_a_long_datagram_is_cut),
		TEST(test_a_boot_is_not_delayed),
		TEST(test_a_flood_costs_a_few_forks),
		TEST(test_lingering_sockets_hold_nobody),
		TEST(test_ready_with_lingering_behind),
		TEST(test_end_with_lingering_queued),
		TEST(test_end_unread),
		TEST(test_many_fds),
		TEST(test_killed_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
