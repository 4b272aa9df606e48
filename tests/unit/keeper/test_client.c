/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a keeper that is played here, at the other end of a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/keeper/client.h"

#define ID "0123456789abcdef"

struct fixture {
	int peer;
	struct keeper_client *client;
	struct msg *m;
	/* what was reported */
	int done, failed, items, connected, exited, ready;
	int code;
	struct keeper_reply reply;
	char warning[32];
	struct keeper_guest guest;
	int kept; /* an fd taken from a reply */
	enum keeper_exit how;
	bool asks_again;
};

static void done(void *userdata, struct keeper_reply *reply, const struct err *e)
{
	struct fixture *f = userdata;

	assert_true((reply == NULL) != (e == NULL));
	if (e) {
		f->failed++;
		f->code = e->code;
	} else {
		f->done++;
		f->reply = *reply;
		(void)snprintf(f->warning, sizeof(f->warning), "%s",
			       reply->warning ? reply->warning : "none");
		if (reply->fd >= 0)
			f->kept = take_fd(&reply->fd);
	}
	if (f->asks_again) {
		struct err err = ERR_INIT;
		int r = keeper_client_forget(f->client, ID, 1, (struct keeper_call){done, f}, &err);

		f->asks_again = false;
		assert_true(r == 0 || r == -EPIPE);
	}
}

static void item(void *userdata, struct keeper_item *i)
{
	struct fixture *f = userdata;

	f->items++;
	f->guest = i->guest;
	assert_int_equal(i->pidfd >= 0, i->guest.how == KEEPER_EXIT_NONE);
}

static void connected(void *userdata, uint32_t pid, const char *version)
{
	struct fixture *f = userdata;

	f->connected++;
	assert_int_equal(pid, 77);
	assert_string_equal(version, "9.9");
}

static void exited(void *userdata, const char *id, uint64_t boot, uint32_t status,
		   enum keeper_exit how)
{
	struct fixture *f = userdata;

	f->exited++;
	f->how = how;
	assert_string_equal(id, ID);
	assert_true(boot == 3 && status == 9);
}

static void ready(void *userdata, const char *id, uint64_t boot)
{
	struct fixture *f = userdata;

	f->ready++;
	assert_string_equal(id, ID);
	assert_int_equal(boot, 3);
}

static struct keeper_call call(struct fixture *f)
{
	return (struct keeper_call){done, f};
}

static void receive(struct fixture *f, uint32_t type)
{
	assert_int_equal(msg_recv(f->peer, f->m, NULL), 1);
	assert_int_equal(f->m->type, type);
}

static struct msg *answer(struct fixture *f, uint32_t type)
{
	msg_reset(f->m, type, f->m->seq);
	return f->m;
}

static void reply(struct fixture *f)
{
	assert_int_equal(msg_send(f->peer, f->m, NULL), 0);
}

static int process(struct fixture *f)
{
	return keeper_client_process(f->client, NULL);
}

static int setup(void **state)
{
	static const struct keeper_events events = {connected, exited, ready};
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	assert_non_null(f);
	f->kept = -1;
	f->m = msg_new(0, 0);
	assert_int_equal(msg_socketpair(pair, NULL), 0);
	f->peer = pair[0];
	assert_int_equal(keeper_client_attach(pair[1], &events, f, &f->client, NULL), 0);
	assert_int_equal(keeper_client_fd(f->client), pair[1]);
	receive(f, KEEPER_HELLO);
	wire_put_u32(answer(f, KEEPER_HELLO_ACK), KEEPER_PROTOCOL);
	wire_put_u32(f->m, 77);
	wire_put_str(f->m, "9.9");
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->connected, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	keeper_client_free(f->client);
	if (f->peer >= 0)
		(void)close(f->peer);
	cleanup_close(&f->kept);
	msg_free(f->m);
	free(f);
	return 0;
}

static void test_ok_and_failed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(keeper_client_signal(f->client, ID, 3, 15, call(f), NULL), 0);
	assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), 0);
	assert_int_equal(f->done + f->failed, 0);
	receive(f, KEEPER_SIGNAL);
	(void)answer(f, KEEPER_OK);
	reply(f);
	receive(f, KEEPER_FORGET);
	wire_put_u32(answer(f, KEEPER_FAILED), EBUSY);
	wire_put_str(f->m, "still runs");
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->failed, 1);
	assert_int_equal(f->code, EBUSY);
	/* Whatever broke in the keeper, it was not the connection. */
	assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), 0);
	receive(f, KEEPER_FORGET);
	wire_put_u32(answer(f, KEEPER_FAILED), EPIPE);
	wire_put_str(f->m, "the helper process was killed");
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->failed, 2);
	assert_int_equal(f->code, EIO);
}

static void test_answers_in_any_order(void **state)
{
	struct fixture *f = *state;
	uint32_t first, second;

	assert_int_equal(keeper_client_signal(f->client, ID, 3, 15, call(f), NULL), 0);
	assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), 0);
	receive(f, KEEPER_SIGNAL);
	first = f->m->seq;
	receive(f, KEEPER_FORGET);
	second = f->m->seq;
	assert_int_not_equal(first, second);
	(void)answer(f, KEEPER_OK);
	reply(f);
	msg_reset(f->m, KEEPER_OK, first);
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->done, 2);
}

static void test_arguments_are_checked(void **state)
{
	struct fixture *f = *state;
	char key[KEEPER_KEY_MAX + 2];
	struct keeper_stream stream = {.sock = 0, .early_len = KEEPER_EARLY_MAX + 1};

	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(keeper_client_signal(f->client, ID, 3, 0, call(f), NULL), -EINVAL);
	assert_int_equal(keeper_client_signal(f->client, ID, 3, 65, call(f), NULL), -EINVAL);
	assert_int_equal(keeper_client_held(f->client, "", call(f), NULL), -EINVAL);
	assert_int_equal(keeper_client_held(f->client, key, call(f), NULL), -EINVAL);
	assert_int_equal(keeper_client_hold(f->client, "k", -1, call(f), NULL), -EBADF);
	assert_int_equal(keeper_client_console(f->client, ID, 1, 0, &stream, call(f), NULL),
			 -EMSGSIZE);
	/* Nothing was sent and nothing completes. */
	assert_int_equal(fcntl(f->peer, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(msg_recv(f->peer, f->m, NULL), -EAGAIN);
	assert_int_equal(f->done + f->failed, 0);
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct keeper_guest g = {.id = ID, .boot = 3, .pid = 5, .start = 6};
	uint32_t seq;

	assert_int_equal(keeper_client_list(f->client, item, call(f), NULL), 0);
	receive(f, KEEPER_LIST);
	seq = f->m->seq;
	keeper_guest_put(answer(f, KEEPER_LIST_ITEM), &g);
	assert_int_equal(msg_add_fd(f->m, f->peer), 0);
	assert_int_equal(msg_add_fd(f->m, f->peer), 0);
	reply(f);
	g.how = KEEPER_EXIT_REBOOT;
	msg_reset(f->m, KEEPER_LIST_ITEM, seq);
	keeper_guest_put(f->m, &g);
	reply(f);
	msg_reset(f->m, KEEPER_LIST_END, seq);
	wire_put_u32(f->m, 2);
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->items, 2);
	assert_int_equal(f->guest.how, KEEPER_EXIT_REBOOT);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->reply.items, 2);
}

static void test_events(void **state)
{
	struct fixture *f = *state;

	msg_reset(f->m, KEEPER_EV_READY, 0);
	wire_put_str(f->m, ID);
	wire_put_u64(f->m, 3);
	reply(f);
	msg_reset(f->m, KEEPER_EV_EXITED, 0);
	wire_put_str(f->m, ID);
	wire_put_u64(f->m, 3);
	wire_put_u32(f->m, 9);
	wire_put_u8(f->m, KEEPER_EXIT_KILLED);
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->ready, 1);
	assert_int_equal(f->exited, 1);
	assert_int_equal(f->how, KEEPER_EXIT_KILLED);
}

static void test_fds_pass(void **state)
{
	struct fixture *f = *state;
	struct stat a, b;
	int fd;

	assert_int_equal(keeper_client_hold(f->client, "key", f->peer, call(f), NULL), 0);
	receive(f, KEEPER_HOLD);
	fd = msg_take_fd(f->m, 0);
	assert_true(fd >= 0 && fstat(fd, &a) == 0 && fstat(f->peer, &b) == 0);
	assert_true(a.st_ino == b.st_ino);
	(void)close(fd);
	(void)answer(f, KEEPER_OK);
	reply(f);
	assert_int_equal(keeper_client_held(f->client, "key", call(f), NULL), 0);
	receive(f, KEEPER_HELD);
	assert_int_equal(msg_add_fd(answer(f, KEEPER_HELD_ACK), f->peer), 0);
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->done, 2);
	assert_true(f->kept >= 0 && fstat(f->kept, &a) == 0 && a.st_ino == b.st_ino);
}

static void test_launched(void **state)
{
	struct fixture *f = *state;
	const struct keeper_adopt a = {
		.id = ID, .boot = 1, .pid = 5, .log_dir = f->peer, .console = -1};

	assert_int_equal(keeper_client_adopt(f->client, &a, call(f), NULL), 0);
	receive(f, KEEPER_ADOPT);
	assert_int_equal(f->m->n_fds, 1);
	wire_put_str(answer(f, KEEPER_LAUNCHED), ID);
	wire_put_u64(f->m, 1);
	wire_put_u32(f->m, 5);
	wire_put_u64(f->m, 1234);
	wire_put_str(f->m, "no room");
	assert_int_equal(msg_add_fd(f->m, f->peer), 0);
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->done, 1);
	assert_true(f->reply.pid == 5 && f->reply.start == 1234 && f->reply.console == -1);
	assert_string_equal(f->warning, "no room");
}

static void test_lost_completes_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), 0);
	f->asks_again = true;
	(void)close(f->peer);
	f->peer = -1;
	assert_int_equal(process(f), -EPIPE);
	assert_int_equal(f->failed, 3);
	assert_int_equal(f->code, EPIPE);
	assert_int_equal(process(f), -EPIPE);
	assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), -EPIPE);
	assert_int_equal(f->failed, 3);
}

static void test_free_completes_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), 0);
	keeper_client_free(f->client);
	f->client = NULL;
	assert_int_equal(f->failed, 1);
	assert_int_equal(f->code, EPIPE);
}

static void test_completion_asks_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(keeper_client_signal(f->client, ID, 3, 15, call(f), NULL), 0);
	receive(f, KEEPER_SIGNAL);
	(void)answer(f, KEEPER_OK);
	reply(f);
	f->asks_again = true;
	assert_int_equal(process(f), 0);
	assert_int_equal(f->done, 1);
	receive(f, KEEPER_FORGET);
	(void)answer(f, KEEPER_OK);
	reply(f);
	assert_int_equal(process(f), 0);
	assert_int_equal(f->done, 2);
}

/* What a keeper must not say ends the connection, and completes what was asked. */
static void test_nonsense(void **state)
{
	static const struct {
		uint32_t type, seq;
	} rows[] = {
		{KEEPER_OK, 99},       /* an answer to nothing */
		{KEEPER_LAUNCHED, 2},  /* another answer */
		{KEEPER_LIST_ITEM, 2}, /* another answer */
		{KEEPER_HELD_ACK, 2},  /* another answer */
		{KEEPER_EV_EXITED, 0}, /* without payload */
		{KEEPER_OK, 0},	       /* no event */
		{KEEPER_FAILED, 2},    /* without payload */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture *f;

		if (i > 0) {
			(void)teardown(state);
			(void)setup(state);
		}
		f = *state;
		assert_int_equal(keeper_client_forget(f->client, ID, 3, call(f), NULL), 0);
		msg_reset(f->m, rows[i].type, rows[i].seq);
		reply(f);
		assert_int_equal(process(f), -EPROTO);
		assert_int_equal(f->failed, 1);
		assert_int_equal(f->code, EPIPE);
	}
}

/* A keeper that refuses our protocol, and one that would not and says its own: nobody is told of a
 * connection, and what was asked meanwhile fails. */
static void test_other_protocol(void **state)
{
	static const struct keeper_events events = {connected, exited, ready};

	(void)state;
	for (int refuses = 0; refuses < 2; refuses++) {
		struct fixture f = {.peer = -1};
		struct msg *m = msg_new(0, 0);
		struct err e = ERR_INIT;
		char said[64];
		int pair[2];

		(void)snprintf(said, sizeof(said), "speaks protocol %u, not %u",
			       KEEPER_PROTOCOL - 1, KEEPER_PROTOCOL);
		assert_int_equal(msg_socketpair(pair, NULL), 0);
		assert_int_equal(keeper_client_attach(pair[1], &events, &f, &f.client, NULL), 0);
		assert_int_equal(keeper_client_forget(f.client, ID, 3, call(&f), NULL), 0);
		assert_int_equal(msg_recv(pair[0], m, NULL), 1);
		msg_reset(m, refuses ? KEEPER_FAILED : KEEPER_HELLO_ACK, m->seq);
		wire_put_u32(m, refuses ? EPROTONOSUPPORT : KEEPER_PROTOCOL - 1);
		if (refuses) {
			wire_put_str(m, "speaks protocol 7");
		} else {
			wire_put_u32(m, 77);
			wire_put_str(m, "9.9");
		}
		assert_int_equal(msg_send(pair[0], m, NULL), 0);
		assert_int_equal(keeper_client_process(f.client, &e), -EPROTO);
		assert_non_null(strstr(e.msg, refuses ? "speaks protocol 7" : said));
		assert_int_equal(f.connected, 0);
		assert_int_equal(f.failed, 1);
		assert_int_equal(f.code, EPIPE);
		keeper_client_free(f.client);
		(void)close(pair[0]);
		msg_free(m);
	}
}

static void test_never_blocks(void **state)
{
	struct fixture *f = *state;
	unsigned asked = 0;

	while (keeper_client_forget(f->client, ID, 3, call(f), NULL) == 0)
		asked++;
	assert_int_equal(asked, KEEPER_CLIENT_PENDING_MAX);
	assert_true(keeper_client_poll_events(f->client) & POLLOUT);
	for (unsigned i = 0; i < asked; i++) {
		struct pollfd p = {.fd = f->peer, .events = POLLIN};

		if (poll(&p, 1, 0) == 0)
			assert_int_equal(process(f), 0);
		receive(f, KEEPER_FORGET);
		(void)answer(f, KEEPER_OK);
		reply(f);
		if (i % 50 == 0)
			assert_int_equal(process(f), 0);
	}
	for (int i = 0; i < 100 && f->done < (int)asked; i++)
		assert_int_equal(process(f), 0);
	assert_int_equal(f->done, asked);
	assert_int_equal(keeper_client_poll_events(f->client), POLLIN);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_ok_and_failed),
		TEST(test_answers_in_any_order),
		TEST(test_arguments_are_checked),
		TEST(test_list),
		TEST(test_events),
		TEST(test_fds_pass),
		TEST(test_launched),
		TEST(test_lost_completes_once),
		TEST(test_free_completes_once),
		TEST(test_completion_asks_again),
		TEST(test_nonsense),
		TEST(test_never_blocks),
		cmocka_unit_test(test_other_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
