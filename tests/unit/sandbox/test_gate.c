/* SPDX-License-Identifier: Apache-2.0 */
/* The gate of a launch, both ends in one process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "runtime/sandbox/gate.h"
#include "runtime/sandbox/handshake.h"
#include "runtime/sandbox/sandbox.h"
#include "tests/unit/base/util.h"

struct gate {
	int ours, theirs;
	int child[2]; /* of the helper, of the new process */
	int before;
};

static struct gate new_gate(void)
{
	struct gate g = {.before = count_fds()};

	assert_int_equal(sbx_gate_pair(&g.ours, &g.theirs, NULL), 0);
	assert_int_equal(msg_socketpair(g.child, NULL), 0);
	return g;
}

static void end(struct gate *g)
{
	cleanup_close(&g->ours);
	cleanup_close(&g->theirs);
	cleanup_close(&g->child[0]);
	cleanup_close(&g->child[1]);
	assert_int_equal(count_fds(), g->before);
}

static void offer(const struct gate *g, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(sbx_send(g->theirs, SBX_RECORD_NETWORK, &fd, 1, NULL), 0);
	(void)close(fd);
}

static int await(const struct gate *g, struct err *err)
{
	*err = ERR_INIT;
	int r = sbx_gate_await(g->theirs, g->child[0], err);

	assert_int_equal(r, -err->code);
	return r;
}

static int receive(const struct gate *g)
{
	struct err err = ERR_INIT;
	int r = sbx_gate_receive(g->ours, &err);

	assert_int_equal(err.code, r < 0 ? -r : 0);
	return r;
}

static void the_namespace_comes_and_go_is_heard(void **state)
{
	struct gate g = new_gate();
	struct stat ns, got;
	struct err err;

	(void)state;
	assert_true(fcntl(g.ours, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(g.theirs, F_GETFL) & O_NONBLOCK);
	assert_int_equal(receive(&g), -EAGAIN);
	offer(&g, "/proc/self/ns/net");
	_cleanup_close_ int fd = receive(&g);
	assert_true(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(stat("/proc/self/ns/net", &ns), 0);
	assert_true(got.st_ino == ns.st_ino && got.st_dev == ns.st_dev);
	cleanup_close(&fd);
	assert_int_equal(receive(&g), -EAGAIN);
	assert_int_equal(sbx_gate_go(g.ours, NULL), 0);
	assert_int_equal(await(&g, &err), 0);
	/* Started: the helper is gone, its end is closed. */
	cleanup_close(&g.theirs);
	assert_int_equal(receive(&g), -EPIPE);
	assert_int_equal(sbx_gate_go(g.ours, NULL), -EPIPE);
	end(&g);
}

static void something_else_is_no_namespace(void **state)
{
	static const char *const others[] = {"/dev/null", "/proc/self/ns/uts"};
	struct gate g = new_gate();

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		offer(&g, others[i]);
		assert_int_equal(receive(&g), -EPROTO);
	}
	assert_int_equal(sbx_send(g.theirs, SBX_RECORD_NETWORK, NULL, 0, NULL), 0);
	assert_int_equal(receive(&g), -EPROTO);
	assert_int_equal(sbx_send(g.theirs, SBX_RECORD_GO, NULL, 0, NULL), 0);
	assert_int_equal(receive(&g), -EPROTO);
	assert_int_equal(send(g.theirs, "garbage", 7, 0), 7);
	assert_int_equal(receive(&g), -EPROTO);
	end(&g);
}

static void a_failure_is_heard_with_its_text(void **state)
{
	const struct err why = {.code = EADDRINUSE, .msg = "no such bridge"};
	struct err err;

	(void)state;
	/* With the namespace received and not; where it was not, the socket tells of that first. */
	for (int received = 0; received < 2; received++) {
		struct gate g = new_gate();

		offer(&g, "/proc/self/ns/net");
		if (received)
			(void)close(receive(&g));
		sbx_gate_fail(g.ours, &why);
		cleanup_close(&g.ours);
		assert_int_equal(await(&g, &err), -EADDRINUSE);
		assert_string_equal(err.msg, "no such bridge");
		end(&g);
	}
}

static void nobody_there_any_more(void **state)
{
	struct err err;

	(void)state;
	for (int offered = 0; offered < 2; offered++) {
		struct gate g = new_gate();

		if (offered)
			offer(&g, "/proc/self/ns/net");
		cleanup_close(&g.ours);
		assert_int_equal(await(&g, &err), -ECONNABORTED);
		assert_non_null(strstr(err.msg, "nobody is there any more"));
		end(&g);
	}
}

static void garbage_is_no_go(void **state)
{
	struct gate g = new_gate();
	struct err err;

	(void)state;
	assert_int_equal(send(g.ours, "garbage", 7, 0), 7);
	assert_int_equal(await(&g, &err), -EPROTO);
	assert_int_equal(sbx_send(g.ours, SBX_RECORD_READY, NULL, 0, NULL), 0);
	assert_int_equal(await(&g, &err), -EPROTO);
	end(&g);
}

/* The new process may die while the network is set up, for lack of memory as much as by a kill. */
static void the_end_of_the_child_ends_the_wait(void **state)
{
	const struct err why = {.code = EACCES, .msg = "cannot map the filter"};
	struct gate g = new_gate();
	struct err err;

	(void)state;
	sbx_send_failed(g.child[1], &why);
	assert_int_equal(await(&g, &err), -EACCES);
	assert_string_equal(err.msg, "cannot map the filter");
	cleanup_close(&g.child[1]);
	assert_int_equal(await(&g, &err), -ECONNABORTED);
	/* Even when GO is there as well. */
	assert_int_equal(sbx_gate_go(g.ours, NULL), 0);
	assert_int_equal(await(&g, &err), -ECONNABORTED);
	assert_non_null(strstr(err.msg, "ended before it ran"));
	end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_namespace_comes_and_go_is_heard),
		cmocka_unit_test(something_else_is_no_namespace),
		cmocka_unit_test(a_failure_is_heard_with_its_text),
		cmocka_unit_test(nobody_there_any_more),
		cmocka_unit_test(garbage_is_no_go),
		cmocka_unit_test(the_end_of_the_child_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
