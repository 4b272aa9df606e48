/* SPDX-License-Identifier: Apache-2.0 */
/* Records: round trips with fds, and every kind of record that a hostile peer can send. */
#include "base/msg.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/base/util.h"

#define TYPE 7u
#define FAILED 9u
#define HEADER_WORDS 5

static struct {
	int a, b;
	int fds; /* open ones with both ends */
	struct msg *out, *in;
} t;

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (msg_socketpair(pair, NULL) < 0)
		return -1;
	t.a = pair[0];
	t.b = pair[1];
	t.out = msg_new(TYPE, 3);
	t.in = msg_new(0, 0);
	t.fds = count_fds();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	msg_free(t.out);
	msg_free(t.in);
	if (t.a >= 0)
		close(t.a);
	if (t.b >= 0)
		close(t.b);
	return 0;
}

/* Sends raw bytes with n_fds copies of stdin's fd, past all checks. */
static void send_raw(const void *data, size_t len, size_t n_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 200)] = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > 0) {
		struct cmsghdr *c;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &t.a, sizeof(int));
	}
	assert_int_equal(sendmsg(t.a, &mh, MSG_NOSIGNAL), len);
}

/* The header of a real record, to be spoiled. */
static void good_header(uint32_t h[HEADER_WORDS])
{
	msg_reset(t.out, TYPE, 3);
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
	assert_int_equal(recv(t.b, h, HEADER_WORDS * 4, 0), HEADER_WORDS * 4);
}

static void expect_refused(void)
{
	struct err err = ERR_INIT;

	assert_int_equal(msg_recv(t.b, t.in, &err), -EPROTO);
	assert_int_equal(err.code, EPROTO);
	assert_int_equal(t.in->n_fds, 0);
	assert_int_equal(t.in->len, 0);
	assert_int_equal(count_fds(), t.fds);
}

static void test_round_trip(void **state)
{
	struct wire w;
	char copy[8];
	size_t len = 0;

	(void)state;
	wire_put_u8(t.out, 255);
	wire_put_u32(t.out, 0xfeedf00d);
	wire_put_u64(t.out, UINT64_MAX - 1);
	wire_put_str(t.out, "hello");
	wire_put_str(t.out, NULL);
	wire_put_bytes(t.out, "a\0b", 3);
	wire_put_bytes(t.out, NULL, 0);
	wire_put_str(t.out, "fits 7!");
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
	assert_int_equal(msg_recv(t.b, t.in, NULL), 1);
	assert_int_equal(t.in->type, TYPE);
	assert_int_equal(t.in->seq, 3);
	wire_init(&w, t.in);
	assert_int_equal(wire_get_u8(&w), 255);
	assert_int_equal(wire_get_u32(&w), 0xfeedf00d);
	assert_true(wire_get_u64(&w) == UINT64_MAX - 1);
	assert_string_equal(wire_get_str(&w), "hello");
	assert_string_equal(wire_get_str(&w), "");
	assert_memory_equal(wire_get_bytes(&w, &len), "a\0b", 3);
	assert_int_equal(len, 3);
	assert_non_null(wire_get_bytes(&w, &len));
	assert_int_equal(len, 0);
	wire_get_str_to(&w, copy, sizeof(copy));
	assert_string_equal(copy, "fits 7!");
	assert_int_equal(wire_done(&w, NULL), 0);
}

static void test_bytes_on_the_wire_are_little_endian(void **state)
{
	(void)state;
	wire_put_u32(t.out, 0x01020304);
	assert_memory_equal(t.out->payload, "\x04\x03\x02\x01", 4);
}

static void test_fds_are_passed_and_owned(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(msg_add_fd(t.out, t.a), 0);
	assert_int_equal(msg_add_fd(t.out, t.b), 0);
	assert_int_equal(msg_add_fd(t.out, -1), -EBADF);
	assert_int_equal(msg_take_fd(t.out, 0), -EBADF);
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
	assert_int_equal(msg_recv(t.b, t.in, NULL), 1);
	assert_int_equal(t.in->n_fds, 2);
	assert_int_equal(count_fds(), t.fds + 2);
	fd = msg_take_fd(t.in, 1);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(msg_take_fd(t.in, 1), -EBADF);
	assert_int_equal(msg_take_fd(t.in, 2), -EBADF);
	/* A record that holds received fds is none to add to. */
	assert_int_equal(msg_add_fd(t.in, t.a), -EINVAL);
	msg_reset(t.in, TYPE, 0);
	assert_int_equal(count_fds(), t.fds + 1);
	assert_int_equal(msg_add_fd(t.in, t.a), 0);
	msg_reset(t.in, TYPE, 0);
	assert_true(fcntl(t.a, F_GETFD) >= 0);
	close(fd);
	/* Sending closed nothing, and neither does freeing the sender's record. */
	msg_reset(t.out, TYPE, 0);
	assert_int_equal(count_fds(), t.fds);
}

static void test_receiving_again_closes_what_was_not_taken(void **state)
{
	(void)state;
	msg_add_fd(t.out, t.a);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(msg_send(t.a, t.out, NULL), 0);
		assert_int_equal(msg_recv(t.b, t.in, NULL), 1);
	}
	assert_int_equal(count_fds(), t.fds + 1);
}

static void test_largest_record(void **state)
{
	static uint8_t big[MSG_PAYLOAD_MAX - 4];

	(void)state;
	big[sizeof(big) - 1] = 5;
	wire_put_bytes(t.out, big, sizeof(big));
	for (size_t i = 0; i < MSG_FDS_MAX; i++)
		assert_int_equal(msg_add_fd(t.out, t.a), 0);
	assert_int_equal(msg_add_fd(t.out, t.a), -E2BIG);
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
	assert_int_equal(msg_recv(t.b, t.in, NULL), 1);
	assert_int_equal(t.in->len, MSG_PAYLOAD_MAX);
	assert_int_equal(t.in->payload[MSG_PAYLOAD_MAX - 1], 5);
	assert_int_equal(t.in->n_fds, MSG_FDS_MAX);
	msg_reset(t.in, 0, 0);
	assert_int_equal(count_fds(), t.fds);
}

static void test_overfull_record_is_not_sent(void **state)
{
	static uint8_t big[MSG_PAYLOAD_MAX];
	struct wire w;

	(void)state;
	wire_put_bytes(t.out, big, sizeof(big));
	wire_put_u8(t.out, 1);
	assert_int_equal(msg_send(t.a, t.out, NULL), -EMSGSIZE);
	msg_reset(t.out, TYPE, 0);
	wire_put_bytes(t.out, big, SIZE_MAX);
	assert_int_equal(msg_send(t.a, t.out, NULL), -EMSGSIZE);
	wire_init(&w, t.out);
	assert_int_equal(wire_done(&w, NULL), -EPROTO);
	msg_reset(t.out, 0, 0);
	assert_int_equal(msg_send(t.a, t.out, NULL), -EINVAL);
}

static void test_end_of_file(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	close(t.a);
	t.a = -1;
	assert_int_equal(msg_recv(t.b, t.in, &err), 0);
	assert_int_equal(msg_expect(t.b, t.in, TYPE, FAILED, &err), -EPIPE);
	/* No SIGPIPE either. */
	assert_int_equal(msg_send(t.b, t.out, &err), -EPIPE);
}

static void test_nonblocking(void **state)
{
	int sent = 0, got = 0, r;

	(void)state;
	fcntl(t.a, F_SETFL, O_NONBLOCK);
	fcntl(t.b, F_SETFL, O_NONBLOCK);
	assert_int_equal(msg_recv(t.b, t.in, NULL), -EAGAIN);
	while ((r = msg_send(t.a, t.out, NULL)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	while ((r = msg_recv(t.b, t.in, NULL)) == 1)
		got++;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(got, sent);
}

static void test_spoiled_headers(void **state)
{
	/* Which word of the header, and what it becomes. */
	static const struct {
		int word;
		uint32_t value;
	} rows[] = {
		{0, 0}, {0, 0x5453504d}, {1, 0},	  {1, 2},     {1, UINT32_MAX},
		{2, 0}, {4, 1},		 {4, UINT32_MAX}, {4, 65537},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t h[HEADER_WORDS];

		good_header(h);
		h[rows[i].word] = rows[i].value;
		send_raw(h, sizeof(h), i % 3);
		expect_refused();
	}
}

static void test_short_and_long_records(void **state)
{
	static uint8_t big[MSG_PAYLOAD_MAX + 100];
	uint32_t h[HEADER_WORDS];

	(void)state;
	good_header(h);
	for (size_t n = 1; n < sizeof(h); n += 3) {
		send_raw(h, n, 1);
		expect_refused();
	}
	/* Says 0 bytes of payload and has some. */
	memcpy(big, h, sizeof(h));
	send_raw(big, sizeof(h) + 1, 0);
	expect_refused();
	h[4] = sizeof(big) - sizeof(h);
	memcpy(big, h, sizeof(h));
	send_raw(big, sizeof(big), 2);
	expect_refused();
}

static void test_empty_record_with_fds(void **state)
{
	(void)state;
	send_raw("", 0, 3);
	expect_refused();
}

static void test_surplus_fds_are_closed(void **state)
{
	uint32_t h[HEADER_WORDS];

	(void)state;
	good_header(h);
	send_raw(h, sizeof(h), MSG_FDS_MAX + 1);
	expect_refused();
	send_raw(h, sizeof(h), 200);
	expect_refused();
}

static void test_fds_lost_to_the_fd_limit(void **state)
{
	struct rlimit old, low;
	int top = fcntl(t.a, F_DUPFD_CLOEXEC, 0);

	(void)state;
	close(top);
	for (size_t i = 0; i < 10; i++)
		msg_add_fd(t.out, t.a);
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){(rlim_t)top + 2, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(msg_recv(t.b, t.in, NULL), -EPROTO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(count_fds(), t.fds);
}

static void test_credentials_do_not_cost_fds(void **state)
{
	int on = 1;

	(void)state;
	assert_int_equal(setsockopt(t.b, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	for (size_t i = 0; i < MSG_FDS_MAX; i++)
		msg_add_fd(t.out, t.a);
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
	assert_int_equal(msg_recv(t.b, t.in, NULL), 1);
	assert_int_equal(t.in->n_fds, MSG_FDS_MAX);
}

static void test_expect(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	msg_send(t.a, t.out, NULL);
	assert_int_equal(msg_expect(t.b, t.in, TYPE, FAILED, &err), 0);
	assert_int_equal(err.code, 0);
	msg_add_fd(t.out, t.a);
	msg_send(t.a, t.out, NULL);
	assert_int_equal(msg_expect(t.b, t.in, TYPE + 1, FAILED, &err), -EPROTO);
	assert_int_equal(count_fds(), t.fds);
}

static void send_failure(uint32_t code, const char *text)
{
	msg_reset(t.out, FAILED, 0);
	wire_put_u32(t.out, code);
	wire_put_str(t.out, text);
	assert_int_equal(msg_send(t.a, t.out, NULL), 0);
}

static void test_expect_turns_failures_into_errors(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	send_failure(ENOSPC, "cannot do %s %n");
	assert_int_equal(msg_expect(t.b, t.in, TYPE, FAILED, &err), -ENOSPC);
	assert_string_equal(err.msg, "cannot do %s %n");
	send_failure(0, "x");
	assert_int_equal(msg_expect(t.b, t.in, TYPE, FAILED, &err), -EIO);
	send_failure(0x80000000, "x");
	assert_int_equal(msg_expect(t.b, t.in, TYPE, FAILED, &err), -EIO);
	msg_reset(t.out, FAILED, 0);
	wire_put_u8(t.out, 1);
	msg_send(t.a, t.out, NULL);
	assert_int_equal(msg_expect(t.b, t.in, TYPE, FAILED, &err), -EPROTO);
	/* 0 = there is no such type. */
	send_failure(ENOSPC, "x");
	assert_int_equal(msg_expect(t.b, t.in, TYPE, 0, &err), -EPROTO);
}

static void test_malformed_fields(void **state)
{
	/* Payloads in which the one string is malformed. */
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"", 0},
		{"\x01\x00\x00", 3},
		{"\x00\x00\x00\x00", 4}, /* no NUL */
		{"\x02\x00\x00\x00"
		 "ab",
		 6}, /* no NUL */
		{"\x03\x00\x00\x00"
		 "a\0",
		 6}, /* longer than there is */
		{"\xff\xff\xff\xff"
		 "a\0",
		 6}, /* much longer */
		{"\x03\x00\x00\x00"
		 "\0a\0",
		 7}, /* a NUL inside */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire w;

		memcpy(t.in->payload, rows[i].bytes, rows[i].len);
		t.in->len = rows[i].len;
		wire_init(&w, t.in);
		assert_string_equal(wire_get_str(&w), "");
		assert_true(w.bad);
		assert_int_equal(wire_get_u64(&w), 0);
		assert_int_equal(wire_done(&w, NULL), -EPROTO);
	}
}

static void test_sticky_and_surplus(void **state)
{
	struct wire w;
	char small[3] = "xx";
	size_t len = 9;

	(void)state;
	wire_put_u32(t.out, 1);
	wire_init(&w, t.out);
	assert_int_equal(wire_get_u64(&w), 0);
	/* Four bytes are there, but after the first failure nothing is read. */
	assert_int_equal(wire_get_u32(&w), 0);
	assert_non_null(wire_get_bytes(&w, &len));
	assert_int_equal(len, 0);
	wire_init(&w, t.out);
	assert_int_equal(wire_get_u8(&w), 1);
	assert_int_equal(wire_done(&w, NULL), -EPROTO);
	msg_reset(t.out, TYPE, 0);
	wire_put_str(t.out, "abc");
	wire_init(&w, t.out);
	wire_get_str_to(&w, small, sizeof(small));
	assert_string_equal(small, "");
	assert_int_equal(wire_done(&w, NULL), -EPROTO);
}

static void test_random_payloads_stay_inside(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 2000; round++) {
		struct wire w;
		size_t len;

		t.in->len = (size_t)rand() % 40;
		for (size_t i = 0; i < t.in->len; i++)
			t.in->payload[i] = rand() % 3 ? 0 : (uint8_t)rand();
		wire_init(&w, t.in);
		while (!w.bad && w.left > 0) {
			const char *s = wire_get_str(&w);
			const uint8_t *p = wire_get_bytes(&w, &len);

			assert_true(strlen(s) < 40 && len < 40);
			assert_non_null(p);
		}
	}
}

static void test_free_null(void **state)
{
	(void)state;
	msg_free(NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_bytes_on_the_wire_are_little_endian),
		T(test_fds_are_passed_and_owned),
		T(test_receiving_again_closes_what_was_not_taken),
		T(test_largest_record),
		T(test_overfull_record_is_not_sent),
		T(test_end_of_file),
		T(test_nonblocking),
		T(test_spoiled_headers),
		T(test_short_and_long_records),
		T(test_empty_record_with_fds),
		T(test_surplus_fds_are_closed),
		T(test_fds_lost_to_the_fd_limit),
		T(test_credentials_do_not_cost_fds),
		T(test_expect),
		T(test_expect_turns_failures_into_errors),
		T(test_malformed_fields),
		T(test_sticky_and_surplus),
		T(test_random_payloads_stay_inside),
		T(test_free_null),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
