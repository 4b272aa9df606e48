/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions over a socket and back, and hostile records. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "runtime/sandbox/sandbox.h"
#include "tests/unit/base/util.h"

#define TYPE 7u

static char w_init[] = "/sbin/init", w_arg[] = "--x y", w_env[] = "container=vpsd",
	    w_empty[] = "E=";
static char *argv[] = {w_init, w_arg, NULL};
static char *envp[] = {w_env, w_empty, NULL};

static int null_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct sbx_launch some_launch(int fd)
{
	struct sbx_launch l;

	sbx_launch_init(&l);
	memcpy(l.id, "0011223344556677", sizeof(l.id));
	l.base = 1234567;
	l.hostname = "h.example";
	l.argv = argv;
	l.envp = envp;
	l.capabilities = 0x123456789abcdef0;
	l.features = SBX_FEATURE_TUN | SBX_FEATURE_NESTING;
	l.shm_size = 1;
	l.run_size = UINT64_MAX;
	l.mem_limit = 3;
	l.cgroup = l.upper = l.views = l.gate = fd;
	l.layers[0] = l.layers[1] = fd;
	l.n_layers = 2;
	return l;
}

static struct sbx_launch with_nodes(struct sbx_launch l)
{
	l.nodes[0] = (struct sbx_node){"dri/renderD128", 226, 128, 0660};
	l.nodes[1] = (struct sbx_node){"kvm", 0xfff, 0xfffff, 0};
	l.n_nodes = 2;
	return l;
}

static struct sbx_launch with_files(struct sbx_launch l)
{
	l.files[0] = (struct sbx_file){"etc/hosts", "# mark\n127.0.0.1 x\n", 0644, SBX_FILE_WRITE};
	l.files[1] = (struct sbx_file){"etc/old", "# mark\n", 0, SBX_FILE_REMOVE};
	l.n_files = 2;
	return l;
}

static struct sbx_join some_join(int fd)
{
	struct sbx_launch l = some_launch(fd);
	struct sbx_join j = {
		.pidfd = fd,
		.base = 1234567,
		.cgroup = fd,
		.argv = argv,
		.envp = envp,
		.cwd = "/root",
		.uid = 65535,
		.gid = 3,
		.capabilities = 5,
		.seccomp = fd,
		.rows = 24,
		.cols = 80,
		.stdio = {fd, fd, fd},
	};

	memcpy(j.rlimits, l.rlimits, sizeof(j.rlimits));
	return j;
}

/* The same record as the receiver has it. */
static struct msg *pass(struct msg *m)
{
	struct msg *got = msg_new(TYPE, 0);
	int pair[2];

	assert_int_equal(msg_socketpair(pair, NULL), 0);
	assert_int_equal(msg_send(pair[0], m, NULL), 0);
	assert_int_equal(msg_recv(pair[1], got, NULL), 1);
	close(pair[0]);
	close(pair[1]);
	return got;
}

static void launch_survives(void **state)
{
	_cleanup_close_ int fd = null_fd();
	int before = count_fds();
	struct sbx_launch l = with_files(with_nodes(some_launch(fd))), back;
	struct msg *m = msg_new(TYPE, 0);
	struct wire w;
	void *mem = NULL;

	(void)state;
	/* Others may put fields and fds before and behind. */
	wire_put_u32(m, 42);
	assert_int_equal(msg_add_fd(m, fd), 0);
	assert_int_equal(sbx_launch_pack(&l, m, NULL), 0);
	wire_put_str(m, "behind");
	struct msg *got = pass(m);
	msg_free(m);
	wire_init(&w, got);
	assert_int_equal(wire_get_u32(&w), 42);
	assert_int_equal(sbx_launch_unpack(&w, got, &back, &mem, NULL), 0);
	assert_string_equal(wire_get_str(&w), "behind");
	assert_int_equal(wire_done(&w, NULL), 0);
	int first = msg_take_fd(got, 0);
	assert_true(first >= 0);
	close(first);
	msg_free(got); /* the description does not live in the record */
	assert_string_equal(back.id, l.id);
	assert_int_equal(back.base, l.base);
	assert_string_equal(back.hostname, l.hostname);
	assert_string_equal(back.argv[1], "--x y");
	assert_null(back.argv[2]);
	assert_string_equal(back.envp[0], w_env);
	assert_string_equal(back.envp[1], "E=");
	assert_null(back.envp[2]);
	assert_true(back.capabilities == l.capabilities && back.features == l.features);
	assert_true(back.shm_size == 1 && back.run_size == UINT64_MAX && back.mem_limit == 3);
	assert_memory_equal(back.rlimits, l.rlimits, sizeof(l.rlimits));
	assert_true(back.cgroup >= 0 && back.upper >= 0 && back.seccomp == -1);
	assert_true(back.n_layers == 2 && back.layers[0] >= 0 && back.layers[1] >= 0);
	assert_true(back.rootfs_plain == -1 && back.views >= 0 && back.gate >= 0);
	assert_true(back.gate != back.views);
	assert_int_equal(back.n_files, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(back.files[i].path, l.files[i].path);
		assert_string_equal(back.files[i].text, l.files[i].text);
		assert_int_equal(back.files[i].mode, l.files[i].mode);
		assert_int_equal(back.files[i].rule, l.files[i].rule);
	}
	assert_int_equal(back.n_nodes, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(back.nodes[i].path, l.nodes[i].path);
		assert_int_equal(back.nodes[i].major, l.nodes[i].major);
		assert_int_equal(back.nodes[i].minor, l.nodes[i].minor);
		assert_int_equal(back.nodes[i].mode, l.nodes[i].mode);
	}
	sbx_launch_close(&back);
	assert_true(back.views == -1 && back.gate == -1);
	free(mem);
	assert_int_equal(count_fds(), before);
}

static void join_survives(void **state)
{
	_cleanup_close_ int fd = null_fd();
	int before = count_fds();
	struct sbx_join j = some_join(fd), back;
	void *mem = NULL;
	struct wire w;

	(void)state;
	for (int tty = 0; tty < 2; tty++) {
		struct msg *m = msg_new(TYPE, 0);

		j.tty = tty;
		assert_int_equal(sbx_join_pack(&j, m, NULL), 0);
		struct msg *got = pass(m);
		msg_free(m);
		wire_init(&w, got);
		assert_int_equal(sbx_join_unpack(&w, got, &back, &mem, NULL), 0);
		assert_int_equal(wire_done(&w, NULL), 0);
		msg_free(got);
		assert_true(back.base == j.base && back.uid == 65535 && back.gid == 3);
		assert_true(back.rows == 24 && back.cols == 80 && back.tty == j.tty);
		assert_string_equal(back.cwd, "/root");
		assert_true(back.pidfd >= 0 && back.cgroup >= 0 && back.seccomp >= 0);
		for (int i = 0; i < 3; i++)
			assert_true(tty ? back.stdio[i] == -1 : back.stdio[i] >= 0);
		sbx_join_close(&back);
		free(mem);
	}
	assert_int_equal(count_fds(), before);
}

/* Unpacks a record that was tampered with; nothing may be lost or kept, whatever comes out. */
static int unpack(struct msg *m, bool launch)
{
	struct msg *got = pass(m);
	struct sbx_launch l;
	struct sbx_join j;
	void *mem = NULL;
	struct err err = ERR_INIT;
	struct wire w;
	int r;

	wire_init(&w, got);
	if (launch)
		r = sbx_launch_unpack(&w, got, &l, &mem, &err);
	else
		r = sbx_join_unpack(&w, got, &j, &mem, &err);
	assert_int_equal(err.code, r < 0 ? -r : 0);
	if (r == 0 && launch)
		sbx_launch_close(&l);
	if (r == 0 && !launch)
		sbx_join_close(&j);
	if (r < 0)
		assert_null(mem);
	free(mem);
	msg_free(got);
	return r;
}

static struct msg *packed(int fd, bool launch)
{
	struct msg *m = msg_new(TYPE, 0);
	struct sbx_launch l = with_files(with_nodes(some_launch(fd)));
	struct sbx_join j = some_join(fd);

	assert_int_equal(launch ? sbx_launch_pack(&l, m, NULL) : sbx_join_pack(&j, m, NULL), 0);
	return m;
}

static void truncated_records(void **state)
{
	_cleanup_close_ int fd = null_fd();
	int before = count_fds();

	(void)state;
	for (int launch = 0; launch < 2; launch++) {
		struct msg *m = packed(fd, launch);
		size_t len = m->len, n_fds = m->n_fds;

		for (m->len = 0; m->len < len; m->len++)
			assert_true(unpack(m, launch) < 0);
		m->len = len;
		for (m->n_fds = 0; m->n_fds < n_fds; m->n_fds++)
			assert_true(unpack(m, launch) < 0);
		msg_free(m);
	}
	assert_int_equal(count_fds(), before);
}

static void mutated_records(void **state)
{
	_cleanup_close_ int fd = null_fd();
	int before = count_fds(), refused = 0;
	uint32_t x = 2463534242u; /* xorshift, fixed seed */

	(void)state;
	for (int launch = 0; launch < 2; launch++) {
		struct msg *m = packed(fd, launch);

		for (int i = 0; i < 20000; i++) {
			uint8_t saved[3];
			size_t at[3];

			for (int k = 0; k < 3; k++) {
				x ^= x << 13, x ^= x >> 17, x ^= x << 5;
				at[k] = x % m->len;
				saved[k] = m->payload[at[k]];
				m->payload[at[k]] = (x >> 16) & 1 ? (uint8_t)(x >> 24) : 0xff;
			}
			refused += unpack(m, launch) < 0;
			for (int k = 2; k >= 0; k--)
				m->payload[at[k]] = saved[k];
		}
		assert_int_equal(unpack(m, launch), 0);
		msg_free(m);
	}
	assert_true(refused > 10000);
	assert_int_equal(count_fds(), before);
}

/* Nothing is shown instead of the kernel's files then, and nobody is waited for. */
static void a_launch_without_views_and_gate(void **state)
{
	_cleanup_close_ int fd = null_fd();
	struct sbx_launch l = some_launch(fd), back;
	struct msg *m = msg_new(TYPE, 0), *got;
	void *mem = NULL;
	struct wire w;

	(void)state;
	l.views = l.gate = -1;
	assert_int_equal(sbx_launch_pack(&l, m, NULL), 0);
	got = pass(m);
	wire_init(&w, got);
	assert_int_equal(sbx_launch_unpack(&w, got, &back, &mem, NULL), 0);
	assert_true(back.views == -1 && back.gate == -1);
	assert_true(back.upper >= 0 && back.layers[1] >= 0);
	sbx_launch_close(&back);
	free(mem);
	msg_free(got);
	msg_free(m);
}

/* One fd under two indices would be closed twice. */
static void an_fd_is_taken_once(void **state)
{
	_cleanup_close_ int fd = null_fd();
	struct sbx_launch l = some_launch(fd);
	struct msg *m = msg_new(TYPE, 0);
	const uint8_t one[4] = {1, 0, 0, 0}, four[4] = {4, 0, 0, 0};
	size_t last;

	(void)state;
	assert_int_equal(sbx_launch_pack(&l, m, NULL), 0);
	last = m->len - 16; /* the two layers come last, before no nodes and no files */
	assert_memory_equal(m->payload + last, four, 4);
	memcpy(m->payload + last, one, 4); /* the upper's */
	assert_int_equal(unpack(m, true), -EPROTO);
	msg_free(m);
}

/* Counts and what they count, as somebody else could send them. */
static void nodes_and_files_are_judged(void **state)
{
	_cleanup_close_ int fd = null_fd();
	struct sbx_launch l = some_launch(fd);
	struct msg *m = msg_new(TYPE, 0);
	const uint8_t two[4] = {2, 0, 0, 0};
	size_t nodes, files;

	(void)state;
	assert_int_equal(sbx_launch_pack(&l, m, NULL), 0);
	nodes = m->len - 8;
	msg_reset(m, TYPE, 0);
	l = with_nodes(l);
	assert_int_equal(sbx_launch_pack(&l, m, NULL), 0);
	files = m->len - 4;
	msg_free(m);
	m = packed(fd, true);
	assert_memory_equal(m->payload + nodes, two, 4);
	assert_memory_equal(m->payload + files, two, 4);
	m->payload[nodes] = SBX_NODES_MAX + 1;
	assert_int_equal(unpack(m, true), -EPROTO);
	m->payload[nodes] = 2;
	m->payload[files] = SBX_FILES_MAX + 1;
	assert_int_equal(unpack(m, true), -EPROTO);
	m->payload[files] = 2;
	assert_int_equal(unpack(m, true), 0);
	/* "dri/renderD128" behind its length: out of /dev, and over what is there. */
	assert_memory_equal(m->payload + nodes + 8, "dri/render", 10);
	memcpy(m->payload + nodes + 8, "../render", 9);
	assert_int_equal(unpack(m, true), -EINVAL);
	memcpy(m->payload + nodes + 8, "pts/render", 10);
	assert_int_equal(unpack(m, true), -EINVAL);
	memcpy(m->payload + nodes + 8, "dri/render", 10);
	/* "etc/hosts": out of the root; then its rule, behind path and mode. */
	assert_memory_equal(m->payload + files + 8, "etc/hosts", 10);
	memcpy(m->payload + files + 8, "../", 3);
	assert_int_equal(unpack(m, true), -EINVAL);
	memcpy(m->payload + files + 8, "etc", 3);
	m->payload[files + 22] = SBX_FILE_RULE_MAX;
	assert_int_equal(unpack(m, true), -EINVAL);
	m->payload[files + 22] = SBX_FILE_REMOVE;
	assert_int_equal(unpack(m, true), 0);
	msg_free(m);
}

static void too_much_is_refused(void **state)
{
	_cleanup_close_ int fd = null_fd();
	struct sbx_launch l = some_launch(fd);
	struct msg *m = msg_new(TYPE, 0);
	static char big[MSG_PAYLOAD_MAX + 1];
	char *words[] = {big, NULL};
	static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[0] = '/';
	l.argv = words;
	assert_int_equal(sbx_launch_pack(&l, m, NULL), -E2BIG);
	msg_reset(m, TYPE, 0);
	l = some_launch(fd);
	l.base = 5;
	assert_int_equal(sbx_launch_pack(&l, m, NULL), -EINVAL);
	msg_reset(m, TYPE, 0);
	l = some_launch(fd);
	/* Each may be that long, but not all of them. */
	big[SBX_FILE_TEXT - 1] = '\0';
	big[4] = '\n';
	for (l.n_files = 0; l.n_files < 10; l.n_files++)
		l.files[l.n_files] = (struct sbx_file){names[l.n_files], big, 0, SBX_FILE_WRITE};
	assert_int_equal(sbx_launch_pack(&l, m, NULL), -E2BIG);
	msg_reset(m, TYPE, 0);
	l = some_launch(fd);
	for (unsigned i = 0; i < MSG_FDS_MAX; i++)
		assert_int_equal(msg_add_fd(m, fd), 0);
	assert_int_equal(sbx_launch_pack(&l, m, NULL), -E2BIG);
	msg_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(launch_survives),
		cmocka_unit_test(join_survives),
		cmocka_unit_test(truncated_records),
		cmocka_unit_test(mutated_records),
		cmocka_unit_test(a_launch_without_views_and_gate),
		cmocka_unit_test(an_fd_is_taken_once),
		cmocka_unit_test(nodes_and_files_are_judged),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
