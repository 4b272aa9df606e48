/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults, and what is refused before anything starts. */
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/sandbox/caps.h"
#include "runtime/sandbox/check.h"
#include "runtime/sandbox/idmap.h"

static char word[] = "/sbin/init";
static char *argv[] = {word, NULL};
static char *envp[] = {NULL};

static struct sbx_launch good_launch(void)
{
	struct sbx_launch l;

	sbx_launch_init(&l);
	l.base = 1000000;
	l.hostname = "a.example";
	l.argv = argv;
	l.envp = envp;
	l.cgroup = 3;
	l.upper = 4;
	l.layers[0] = 5;
	l.n_layers = 1;
	return l;
}

static struct sbx_node node(const char *path)
{
	struct sbx_node n = {.major = 226, .minor = 128, .mode = 0660};

	assert_true(strlen(path) < sizeof(n.path));
	memcpy(n.path, path, strlen(path));
	return n;
}

static struct sbx_join good_join(void)
{
	struct sbx_launch l = good_launch();
	struct sbx_join j = {
		.pidfd = 3,
		.base = 1000000,
		.cgroup = 4,
		.argv = argv,
		.envp = envp,
		.seccomp = -1,
		.stdio = {0, 1, 2},
	};

	memcpy(j.rlimits, l.rlimits, sizeof(j.rlimits));
	return j;
}

static void defaults_are_safe(void **state)
{
	struct sbx_launch l;

	(void)state;
	memset(&l, 0x55, sizeof(l));
	sbx_launch_init(&l);
	assert_int_equal(l.cgroup, -1);
	assert_int_equal(l.upper, -1);
	assert_int_equal(l.seccomp, -1);
	assert_int_equal(l.rootfs_plain, -1);
	assert_int_equal(l.views, -1);
	assert_int_equal(l.gate, -1);
	assert_int_equal(l.n_files, 0);
	for (unsigned i = 0; i < SBX_LAYERS_MAX; i++)
		assert_int_equal(l.layers[i], -1);
	assert_int_equal(l.features, 0);
	assert_int_equal(l.rlimits[RLIMIT_NOFILE].rlim_max, 524288);
	assert_true(l.rlimits[RLIMIT_NPROC].rlim_max == RLIM_INFINITY);
	assert_int_equal(l.rlimits[RLIMIT_CORE].rlim_cur, 0);
	assert_int_equal(l.rlimits[RLIMIT_RTPRIO].rlim_max, 0);
	assert_int_equal(l.rlimits[RLIMIT_NICE].rlim_max, 0);
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		assert_true(l.rlimits[i].rlim_cur <= l.rlimits[i].rlim_max);
}

static void capabilities_are_the_reviewed_ones(void **state)
{
	static const unsigned dropped[] = {
		CAP_SYS_MODULE,		CAP_SYS_RAWIO,	CAP_SYS_TIME, CAP_MAC_ADMIN,
		CAP_MAC_OVERRIDE,	CAP_SYS_PACCT,	CAP_SYSLOG,   CAP_WAKE_ALARM,
		CAP_BLOCK_SUSPEND,	CAP_AUDIT_READ, CAP_BPF,      CAP_PERFMON,
		CAP_CHECKPOINT_RESTORE,
	};
	uint64_t caps = sbx_caps_default();

	(void)state;
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		assert_false(caps >> dropped[i] & 1);
	/* 41 known ones without those 13, and none that are not known. */
	assert_int_equal(__builtin_popcountll(caps), 28);
	assert_true(caps >> CAP_SYS_ADMIN & 1);
	assert_int_equal(caps >> 41, 0);
}

static void id_ranges(void **state)
{
	static const struct {
		uint32_t base;
		int result;
	} cases[] = {
		{0, -EINVAL},
		{1, -EINVAL},
		{65536, -EINVAL},
		{99999, -EINVAL},
		{100000, 0},
		{1000000, 0},
		{4294901759u, 0},
		{4294901760u, -EINVAL},
		{4294967294u, -EINVAL},
		{4294967295u, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sbx_idmap_check(cases[i].base, NULL), cases[i].result);
}

static void launches_are_checked(void **state)
{
	struct err err = ERR_INIT;
	struct sbx_launch l = good_launch();

	(void)state;
	assert_int_equal(sbx_launch_check(&l, &err), 0);
#define REFUSED(change, want)                                                                      \
	do {                                                                                       \
		l = good_launch();                                                                 \
		err = ERR_INIT;                                                                    \
		change;                                                                            \
		assert_int_equal(sbx_launch_check(&l, &err), -(want));                             \
		assert_int_equal(err.code, want);                                                  \
	} while (0)
	REFUSED(l.base = 0, EINVAL);
	REFUSED(l.hostname = NULL, EINVAL);
	REFUSED(l.hostname = "", EINVAL);
	REFUSED(l.hostname = "a\nb", EINVAL);
	REFUSED(l.hostname = "a234567890.a234567890.a234567890.a234567890.a234567890.a234567890",
		EINVAL);
	REFUSED(l.argv = NULL, EINVAL);
	REFUSED(l.argv = envp, EINVAL);
	REFUSED(l.argv = ((char *[]){word + 1, NULL}), EINVAL);
	REFUSED(l.envp = NULL, EINVAL);
	REFUSED(l.features = 8, EINVAL);
	REFUSED(l.cgroup = -1, EINVAL);
	REFUSED(l.upper = -1, EINVAL);
	REFUSED(l.n_layers = 0, EINVAL);
	REFUSED(l.n_layers = SBX_LAYERS_MAX + 1, EINVAL);
	REFUSED(l.n_layers = 2, EINVAL);
	REFUSED(l.rlimits[RLIMIT_STACK].rlim_max = 1, EINVAL);
#undef REFUSED
	l = good_launch();
	l.upper = -1;
	l.n_layers = 0;
	l.rootfs_plain = 5;
	assert_int_equal(sbx_launch_check(&l, &err), 0);
}

static int check_node(struct sbx_node n)
{
	struct sbx_launch l = good_launch();
	struct err err = ERR_INIT;
	int r;

	l.n_nodes = 2;
	l.nodes[0] = node("dri/card0");
	l.nodes[1] = n;
	r = sbx_launch_check(&l, &err);
	assert_int_equal(r, -err.code);
	return r;
}

static void nodes_are_checked(void **state)
{
	static const char *const good[] = {
		"kvm",
		"dri/renderD128",
		"net/tun",
		"fuse",
		"ttyUSB0",
		"nullx",
		"a/b/c/d/e",
		"bus/usb/001/002",
		"mapper+x@1,2:3.4-5_6",
		"ptsx",
		"..x",
	};
	static const char *const bad[] = {
		"",	"/kvm",	  "kvm/",  "../x", "a/../b",	  "a//b",  ".",	     "a/.",
		"null", "null/x", "tty",   "pts",  "pts/0",	  "shm/x", "mqueue", "console",
		"ptmx", "fd",	  "stdin", ".vps", ".vps/proc/x", "a b",   "a\nb",   "dri/card0",
	};
	struct sbx_launch l = good_launch();
	struct sbx_node n;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (check_node(node(good[i])) != 0)
			fail_msg("'%s' is refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (check_node(node(bad[i])) != -EINVAL)
			fail_msg("'%s' is accepted", bad[i]);
	n = node("x");
	memset(n.path, 'x', sizeof(n.path)); /* it has no end */
	assert_int_equal(check_node(n), -EINVAL);
	n = node("x");
	n.mode = 04666;
	assert_int_equal(check_node(n), -EINVAL);
	n.mode = 0777;
	assert_int_equal(check_node(n), -EINVAL);
	n.mode = 0;
	assert_int_equal(check_node(n), 0);
	n.major = 0x1000;
	assert_int_equal(check_node(n), -EINVAL);
	n.major = 0xfff;
	n.minor = 0x100000;
	assert_int_equal(check_node(n), -EINVAL);
	l.n_nodes = SBX_NODES_MAX + 1;
	assert_int_equal(sbx_launch_check(&l, NULL), -E2BIG);
}

static int check_file(struct sbx_file f)
{
	struct sbx_launch l = good_launch();
	struct err err = ERR_INIT;
	int r;

	l.n_files = 2;
	l.files[0] = (struct sbx_file){"etc/hosts", "# mark\n", 0644, SBX_FILE_WRITE};
	l.files[1] = f;
	r = sbx_launch_check(&l, &err);
	assert_int_equal(r, -err.code);
	return r;
}

static void files_are_checked(void **state)
{
	static const char *const bad[] = {
		"",   "/etc/x", "etc/", "../x", "etc/../x", "etc//x", "./x",	   ".",
		"..", "a b",	"a\nb", "a*",	"etc/.",    NULL,     "etc/hosts",
	};
	static char text[SBX_FILE_TEXT + 2], path[SBX_FILE_PATH + 1];
	const struct sbx_file good = {"etc/resolv.conf", "#\n", 0777, SBX_FILE_REMOVE};
	struct sbx_launch l = good_launch();
	struct sbx_file f = good;

	(void)state;
	assert_int_equal(check_file(f), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f.path = bad[i];
		if (check_file(f) != -EINVAL)
			fail_msg("'%s' is accepted", bad[i] ? bad[i] : "NULL");
	}
	memset(path, 'x', SBX_FILE_PATH);
	f.path = path;
	assert_int_equal(check_file(f), -EINVAL);
	path[SBX_FILE_PATH - 1] = '\0';
	assert_int_equal(check_file(f), 0);
#define REFUSED(change, want)                                                                      \
	do {                                                                                       \
		f = good;                                                                          \
		change;                                                                            \
		assert_int_equal(check_file(f), -(want));                                          \
	} while (0)
	REFUSED(f.mode = 01000, EINVAL);
	REFUSED(f.mode = 04755, EINVAL);
	REFUSED(f.rule = SBX_FILE_RULE_MAX, EINVAL);
	/* Without a mark nothing would be known as ours. */
	REFUSED(f.text = NULL, EINVAL);
	REFUSED(f.text = "", EINVAL);
	REFUSED(f.text = "\n127.0.0.1", EINVAL);
	REFUSED(f.text = "# mark", EINVAL);
	memset(text, 'x', SBX_FILE_TEXT + 1);
	text[1] = '\n';
	REFUSED(f.text = text, E2BIG);
#undef REFUSED
	text[SBX_FILE_TEXT] = '\0';
	f = good;
	f.text = text;
	assert_int_equal(check_file(f), 0);
	l.n_files = SBX_FILES_MAX + 1;
	assert_int_equal(sbx_launch_check(&l, NULL), -E2BIG);
}

static void too_many_words(void **state)
{
	static char *many[SBX_ARGS_MAX + 2];
	struct sbx_launch l = good_launch();

	(void)state;
	for (unsigned i = 0; i < SBX_ARGS_MAX; i++)
		many[i] = word;
	assert_int_equal(sbx_words_count(many), SBX_ARGS_MAX);
	l.argv = many;
	assert_int_equal(sbx_launch_check(&l, NULL), 0);
	many[SBX_ARGS_MAX] = word;
	assert_int_equal(sbx_launch_check(&l, NULL), -E2BIG);
}

static void joins_are_checked(void **state)
{
	struct err err = ERR_INIT;
	struct sbx_join j = good_join();

	(void)state;
	assert_int_equal(sbx_join_check(&j, &err), 0);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		j = good_join();                                                                   \
		err = ERR_INIT;                                                                    \
		change;                                                                            \
		assert_int_equal(sbx_join_check(&j, &err), -EINVAL);                               \
		assert_int_equal(err.code, EINVAL);                                                \
	} while (0)
	REFUSED(j.base = 99999);
	REFUSED(j.uid = 65536);
	REFUSED(j.uid = 4294967295u);
	REFUSED(j.gid = 65536);
	REFUSED(j.argv = envp);
	REFUSED(j.cwd = "tmp");
	REFUSED(j.pidfd = -1);
	REFUSED(j.cgroup = -1);
	REFUSED(j.stdio[1] = -1);
#undef REFUSED
	j = good_join();
	j.tty = true;
	j.stdio[0] = j.stdio[1] = j.stdio[2] = -1;
	j.cwd = "";
	assert_int_equal(sbx_join_check(&j, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_safe),
		cmocka_unit_test(capabilities_are_the_reviewed_ones),
		cmocka_unit_test(id_ranges),
		cmocka_unit_test(launches_are_checked),
		cmocka_unit_test(nodes_are_checked),
		cmocka_unit_test(files_are_checked),
		cmocka_unit_test(too_many_words),
		cmocka_unit_test(joins_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
