/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the keeper that need no guest: frames, budgets, console logs, classification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "runtime/keeper/budget.h"
#include "runtime/keeper/console_log.h"
#include "runtime/keeper/frame.h"
#include "runtime/keeper/outbox.h"
#include "runtime/keeper/proto.h"

#define ALL (FRAME_BIT(FRAME_STDIN) | FRAME_BIT(FRAME_WINSIZE) | FRAME_BIT(FRAME_SIGNAL))

/* --- classification -------------------------------------------------------------------------- */

static void test_classify(void **state)
{
	static const struct {
		uint32_t status;
		enum keeper_exit how;
		uint32_t code;
	} rows[] = {
		{0, KEEPER_EXIT_CODE, 0},
		{3 << 8, KEEPER_EXIT_CODE, 3},
		{255 << 8, KEEPER_EXIT_CODE, 255},
		{SIGHUP, KEEPER_EXIT_REBOOT, 129},
		{SIGINT, KEEPER_EXIT_POWEROFF, 130},
		{SIGKILL, KEEPER_EXIT_KILLED, 137},
		{SIGSEGV | 0x80, KEEPER_EXIT_KILLED, 139},
		{0x137f, KEEPER_EXIT_UNKNOWN, 255}, /* stopped: never asked for */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(keeper_classify(rows[i].status), rows[i].how);
		assert_int_equal(keeper_exit_code(rows[i].status), rows[i].code);
	}
}

static void test_id(void **state)
{
	(void)state;
	assert_true(keeper_is_id("0123456789abcdef"));
	assert_false(keeper_is_id("0123456789abcde"));
	assert_false(keeper_is_id("0123456789abcdef0"));
	assert_false(keeper_is_id("0123456789ABCDEF"));
	assert_false(keeper_is_id("../../../../etc/"));
}

static void test_guest_record(void **state)
{
	struct keeper_guest g = {.id = "0123456789abcdef", .boot = 7, .pid = 42, .start = 99};
	struct keeper_guest got;
	struct msg *m = msg_new(1, 1);
	struct wire w;

	(void)state;
	assert_non_null(m);
	g.ready = true;
	g.how = KEEPER_EXIT_KILLED;
	g.status = 9;
	keeper_guest_put(m, &g);
	wire_init(&w, m);
	keeper_guest_get(&w, &got);
	assert_int_equal(wire_done(&w, NULL), 0);
	assert_string_equal(got.id, g.id);
	assert_true(got.boot == 7 && got.pid == 42 && got.start == 99 && got.ready);
	assert_true(got.how == KEEPER_EXIT_KILLED && got.status == 9);
	/* Any cut is malformed. */
	for (size_t len = 0; len < m->len; len++) {
		struct wire cut = {.p = m->payload, .left = len};

		keeper_guest_get(&cut, &got);
		assert_true(cut.bad);
	}
	g.how = KEEPER_EXIT_MAX;
	msg_reset(m, 1, 1);
	keeper_guest_put(m, &g);
	wire_init(&w, m);
	keeper_guest_get(&w, &got);
	assert_true(w.bad);
	msg_free(m);
}

/* --- frames ---------------------------------------------------------------------------------- */

static const uint8_t stream[] = {
	1, 0, 0, 0, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', /* stdin */
	4, 0, 0, 0, 0, 0, 0, 4, 0,   24,  0,   80,	 /* window size */
	5, 0, 0, 0, 0, 0, 0, 4, 0,   0,	  0,   15,	 /* signal */
	1, 0, 0, 0, 0, 0, 0, 0,				 /* end of file */
};

/* What a stream says, as text. */
static void describe(struct frame_parser *f, const uint8_t *p, size_t n, char *dst)
{
	struct frame_piece piece;

	while (frame_next(f, ALL, &p, &n, &piece, NULL) > 0) {
		char *end = dst + strlen(dst);

		if (piece.type == FRAME_STDIN && piece.len > 0) {
			memcpy(end, piece.data, piece.len);
			end[piece.len] = '\0';
		} else if (piece.type == FRAME_STDIN) {
			memcpy(end, "$", 2);
		} else if (piece.type == FRAME_WINSIZE) {
			assert_true(piece.rows == 24 && piece.cols == 80);
			memcpy(end, "W", 2);
		} else {
			assert_int_equal(piece.signo, 15);
			memcpy(end, "S", 2);
		}
	}
	assert_int_equal(n, 0);
}

static void test_frames_cut_anywhere(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= sizeof(stream); cut++) {
		for (size_t cut2 = cut; cut2 <= sizeof(stream); cut2++) {
			struct frame_parser f = {0};
			char said[64] = "";

			describe(&f, stream, cut, said);
			describe(&f, stream + cut, cut2 - cut, said);
			describe(&f, stream + cut2, sizeof(stream) - cut2, said);
			assert_string_equal(said, "helloWS$");
		}
	}
}

static void test_frames_refused(void **state)
{
	static const uint8_t rows[][FRAME_HEADER + 4] = {
		{0, 0, 0, 0, 0, 0, 0, 0},	       /* no type */
		{2, 0, 0, 0, 0, 0, 0, 1},	       /* stdout is ours to send */
		{7, 0, 0, 0, 0, 0, 0, 4},	       /* exit too */
		{33, 0, 0, 0, 0, 0, 0, 0},	       /* no such type; 33 % 32 is stdin */
		{255, 0, 0, 0, 0, 0, 0, 0},	       /* no such type */
		{1, 1, 0, 0, 0, 0, 0, 0},	       /* not zero */
		{1, 0, 0, 1, 0, 0, 0, 0},	       /* not zero */
		{1, 0, 0, 0, 0, 1, 0, 1},	       /* 65537 bytes */
		{1, 0, 0, 0, 255, 255, 255, 255},      /* 4 GiB */
		{4, 0, 0, 0, 0, 0, 0, 3},	       /* short */
		{4, 0, 0, 0, 0, 0, 0, 5},	       /* long */
		{5, 0, 0, 0, 0, 0, 0, 0},	       /* empty */
		{5, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0},  /* signal 0 */
		{5, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 65}, /* signal 65 */
		{5, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 9},  /* signal 16777225 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame_parser f = {0};
		const uint8_t *p = rows[i];
		size_t n = sizeof(rows[i]);
		struct frame_piece piece;
		struct err e = ERR_INIT;

		assert_int_equal(frame_next(&f, ALL, &p, &n, &piece, &e), -EPROTO);
		assert_int_equal(e.code, EPROTO);
	}
}

static void test_frames_not_allowed(void **state)
{
	struct frame_parser f = {0};
	const uint8_t *p = stream;
	size_t n = sizeof(stream);
	struct frame_piece piece;

	(void)state;
	assert_int_equal(frame_next(&f, FRAME_BIT(FRAME_SIGNAL), &p, &n, &piece, NULL), -EPROTO);
}

static void test_frame_error(void **state)
{
	uint8_t frame[FRAME_LAST_MAX];
	struct err e = ERR_INIT;
	char text[sizeof(e.msg)];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, ENOENT, "%s", text);
	assert_int_equal(frame_make_error(frame, &e), FRAME_LAST_MAX);
	assert_int_equal(frame[0], FRAME_ERROR);
	assert_int_equal(frame_get_u32(frame + 4), 4 + FRAME_ERROR_TEXT);
	assert_int_equal(frame_get_u32(frame + 8), ENOENT);
}

/* --- budgets --------------------------------------------------------------------------------- */

static void test_budget(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 100, 5000000);
	assert_int_equal(budget_left(&b, 5000000), 100);
	budget_spend(&b, 60);
	assert_int_equal(budget_left(&b, 5000000), 40);
	budget_spend(&b, 1000);
	assert_int_equal(budget_left(&b, 5000000), 0);
	assert_int_equal(budget_when(&b, 50), 5050000);
	assert_int_equal(budget_left(&b, 5049999), 49);
	assert_int_equal(budget_left(&b, 5050999), 50);
	/* Asked often, it still grows. */
	budget_spend(&b, 100);
	for (uint64_t t = 5051000; t <= 5061000; t += 100)
		(void)budget_left(&b, t);
	assert_in_range(budget_left(&b, 5061000), 9, 10);
	assert_int_equal(budget_left(&b, UINT64_MAX), 100);
	/* A clock that stands still or goes back gives nothing. */
	budget_spend(&b, 100);
	assert_int_equal(budget_left(&b, 0), 0);
}

/* --- console log ----------------------------------------------------------------------------- */

static int make_dir(char path[32])
{
	int fd;

	memcpy(path, "/tmp/keeper-test-XXXXXX", 24);
	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void remove_dir(const char *path)
{
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(path_remove_tree(tmp, path + 5, NULL), 0);
	(void)close(tmp);
}

static off_t size_at(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	assert_int_equal(st.st_mode & 07777, 0600);
	return st.st_size;
}

static void test_log_rotates(void **state)
{
	struct console_log l;
	char path[32], data[1000], *text;
	int dir = make_dir(path);
	size_t len;

	(void)state;
	console_log_init(&l, fcntl(dir, F_DUPFD_CLOEXEC, 3), 5000);
	for (int i = 0; i < 26; i++) {
		memset(data, 'a' + i, sizeof(data));
		assert_int_equal(console_log_write(&l, data, sizeof(data), NULL), 0);
		assert_true(size_at(dir, "console.log") <= 5000);
	}
	assert_int_equal(size_at(dir, "console.log"), 1000);
	assert_int_equal(size_at(dir, "console.log.1"), 5000);
	assert_int_equal(file_read_at(dir, "console.log", 10000, &text, &len, NULL), 0);
	assert_int_equal(text[0], 'z');
	free(text);
	/* A restart goes on where it was. */
	console_log_done(&l);
	console_log_init(&l, fcntl(dir, F_DUPFD_CLOEXEC, 3), 5000);
	assert_int_equal(console_log_write(&l, "tail", 4, NULL), 0);
	assert_int_equal(size_at(dir, "console.log"), 1004);
	console_log_done(&l);
	console_log_done(&l);
	(void)close(dir);
	remove_dir(path);
}

static void test_log_larger_than_limit(void **state)
{
	static char data[3 * CONSOLE_LOG_MIN + 7];
	struct console_log l;
	char path[32];
	int dir = make_dir(path);

	(void)state;
	console_log_init(&l, fcntl(dir, F_DUPFD_CLOEXEC, 3), 1);
	assert_int_equal(console_log_write(&l, data, sizeof(data), NULL), 0);
	assert_int_equal(size_at(dir, "console.log"), 7);
	assert_int_equal(size_at(dir, "console.log.1"), CONSOLE_LOG_MIN);
	console_log_done(&l);
	(void)close(dir);
	remove_dir(path);
}

static void test_log_failure_is_told_once(void **state)
{
	struct console_log l;
	struct err e = ERR_INIT;
	char path[32];
	int dir = make_dir(path);

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", dir, "console.log"), 0);
	console_log_init(&l, fcntl(dir, F_DUPFD_CLOEXEC, 3), 5000);
	assert_int_equal(console_log_write(&l, "abc", 3, &e), -ELOOP);
	assert_int_equal(console_log_write(&l, "abc", 3, NULL), 0);
	assert_int_equal(l.lost, 6);
	assert_int_equal(unlinkat(dir, "console.log", 0), 0);
	assert_int_equal(console_log_write(&l, "abc", 3, NULL), 0);
	assert_int_equal(size_at(dir, "console.log"), 3);
	assert_int_equal(l.lost, 6);
	console_log_done(&l);
	/* No log at all. */
	console_log_init(&l, fcntl(dir, F_DUPFD_CLOEXEC, 3), 0);
	assert_int_equal(l.dir, -1);
	assert_int_equal(console_log_write(&l, "abc", 3, NULL), 0);
	(void)close(dir);
	remove_dir(path);
}

/* --- outbox ---------------------------------------------------------------------------------- */

static void test_outbox(void **state)
{
	struct outbox o = OUTBOX_INIT(10);
	struct msg *m = msg_new(5, 1), *got = msg_new(0, 0);
	int pair[2], sent = 0, r, pipes[2];

	(void)state;
	assert_int_equal(msg_socketpair(pair, NULL), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (;;) {
		msg_reset(m, 5, (uint32_t)++sent);
		wire_put_u32(m, (uint32_t)sent);
		m->len = 30000;
		assert_int_equal(msg_add_fd(m, pipes[0]), 0);
		r = outbox_send(&o, pair[0], m, NULL);
		if (r < 0)
			break;
	}
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(o.n, 10);
	/* All come, in order, with their fds, though ours is closed. */
	(void)close(pipes[0]);
	for (int i = 1; i < sent; i++) {
		struct wire w;
		int fd;

		if (msg_recv(pair[1], got, NULL) == -EAGAIN) {
			assert_int_equal(outbox_flush(&o, pair[0], m, NULL), 0);
			assert_int_equal(msg_recv(pair[1], got, NULL), 1);
		}
		wire_init(&w, got);
		assert_int_equal(wire_get_u32(&w), i);
		assert_int_equal(got->seq, i);
		fd = msg_take_fd(got, 0);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	assert_int_equal(o.n, 0);
	assert_null(o.head);
	outbox_done(&o);
	(void)close(pipes[1]);
	(void)close(pair[0]);
	(void)close(pair[1]);
	msg_free(m);
	msg_free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classify),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_guest_record),
		cmocka_unit_test(test_frames_cut_anywhere),
		cmocka_unit_test(test_frames_refused),
		cmocka_unit_test(test_frames_not_allowed),
		cmocka_unit_test(test_frame_error),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_log_rotates),
		cmocka_unit_test(test_log_larger_than_limit),
		cmocka_unit_test(test_log_failure_is_told_once),
		cmocka_unit_test(test_outbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
