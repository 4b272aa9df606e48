/* SPDX-License-Identifier: Apache-2.0 */
/* Safe paths: symlinks, FIFOs, "..", and trees that are deep, unreadable or changing while removed.
 */
#include "base/path.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "tests/unit/base/util.h"

static struct {
	char path[256];
	int fd;
	int fds;
} dir;

static int setup(void **state)
{
	(void)state;
	dir.fd = scratch_dir(dir.path);
	dir.fds = count_fds();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(dir.fd);
	remove_scratch(dir.path);
	return 0;
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdirat(dir.fd, name, 0755), 0);
}

static bool exists(const char *name)
{
	struct stat st;

	return fstatat(dir.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_open_beneath(void **state)
{
	_cleanup_close_ int fd = -1;

	(void)state;
	make_dir("d");
	put_file(dir.fd, "d/f", "x");
	fd = path_open_beneath(dir.fd, "d/f", O_RDONLY, 0, NULL);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_open_beneath_ignores_an_unused_mode(void **state)
{
	_cleanup_close_ int a = -1, b = -1;
	struct stat st;

	(void)state;
	/* openat2 itself answers EINVAL to this. */
	a = path_open_beneath(dir.fd, ".", O_PATH | O_DIRECTORY, 0755, NULL);
	assert_true(a >= 0);
	b = path_open_beneath(dir.fd, "new", O_CREAT | O_EXCL | O_WRONLY, 0600, NULL);
	assert_true(b >= 0);
	assert_int_equal(fstat(b, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_open_beneath_refuses(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_dir("d");
	put_file(dir.fd, "d/f", "x");
	assert_int_equal(symlinkat("d", dir.fd, "link"), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir.fd, "d/passwd"), 0);
	assert_int_equal(path_open_beneath(dir.fd, "link/f", O_RDONLY, 0, &err), -ELOOP);
	assert_string_equal(err.msg, "cannot open 'link/f': a symbolic link is in the way");
	assert_int_equal(path_open_beneath(dir.fd, "link", O_RDONLY, 0, &err), -ELOOP);
	assert_int_equal(path_open_beneath(dir.fd, "d/passwd", O_RDONLY, 0, &err), -ELOOP);
	assert_int_equal(path_open_beneath(dir.fd, "..", O_RDONLY, 0, &err), -EXDEV);
	assert_int_equal(path_open_beneath(dir.fd, "d/../../x", O_RDONLY, 0, &err), -EXDEV);
	assert_int_equal(path_open_beneath(dir.fd, "/etc/passwd", O_RDONLY, 0, &err), -EXDEV);
	assert_int_equal(path_open_beneath(dir.fd, "", O_RDONLY, 0, &err), -ENOENT);
	assert_int_equal(path_open_beneath(dir.fd, "none", O_RDONLY, 0, &err), -ENOENT);
	assert_int_equal(count_fds(), dir.fds);
}

static void test_open_beneath_stays_on_its_mount(void **state)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(path_open_beneath(root, "proc/self", O_PATH, 0, NULL), -EXDEV);
	assert_int_equal(path_open_beneath(root, "proc/version", O_RDONLY, 0, NULL), -EXDEV);
}

static void test_fifo_does_not_block(void **state)
{
	_cleanup_close_ int a = -1, b = -1;

	(void)state;
	assert_int_equal(mkfifoat(dir.fd, "fifo", 0600), 0);
	a = path_open_beneath(dir.fd, "fifo", O_RDONLY, 0, NULL);
	assert_true(a >= 0);
	b = path_open_in_root(dir.fd, "fifo", O_RDONLY, 0, NULL);
	assert_true(b >= 0);
}

static void test_open_in_root(void **state)
{
	_cleanup_close_ int a = -1, b = -1;

	(void)state;
	make_dir("etc");
	put_file(dir.fd, "etc/os", "inside");
	assert_int_equal(symlinkat("/etc/os", dir.fd, "abs"), 0);
	assert_int_equal(symlinkat("../../../../etc/os", dir.fd, "etc/up"), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir.fd, "out"), 0);
	assert_int_equal(symlinkat("loop", dir.fd, "loop"), 0);
	a = path_open_in_root(dir.fd, "abs", O_RDONLY, 0, NULL);
	assert_true(a >= 0);
	b = path_open_in_root(dir.fd, "/etc/up", O_RDONLY, 0, NULL);
	assert_true(b >= 0);
	assert_int_equal(path_open_in_root(dir.fd, "out", O_RDONLY, 0, NULL), -ENOENT);
	assert_int_equal(path_open_in_root(dir.fd, "loop", O_RDONLY, 0, NULL), -ELOOP);
}

static void test_magic_links_are_refused(void **state)
{
	_cleanup_close_ int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(path_open_in_root(proc, "exe", O_RDONLY, 0, NULL), -ELOOP);
	assert_int_equal(path_open_beneath(proc, "cwd", O_PATH, 0, NULL), -ELOOP);
}

static void test_plain_relative(void **state)
{
	static const char *const good[] = {"a", "a/b", "...", "a/.b", "..a/b..", " "};
	static const char *const bad[] = {"",	"/",	"/a",	"a/",	 "a//b", ".",
					  "..", "a/..", "../a", "a/./b", "./a"};
	char longest[PATH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(path_is_plain_relative(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(path_is_plain_relative(bad[i]));
	assert_false(path_is_plain_relative(NULL));
	memset(longest, 'a', PATH_MAX);
	longest[PATH_MAX] = '\0';
	assert_false(path_is_plain_relative(longest));
	longest[PATH_MAX - 1] = '\0';
	assert_true(path_is_plain_relative(longest));
}

static void test_mkdirs(void **state)
{
	_cleanup_close_ int a = path_mkdirs_beneath(dir.fd, "a/b/c", 0700, NULL);
	_cleanup_close_ int b = path_mkdirs_beneath(dir.fd, "a/b/c", 0700, NULL);
	struct stat st, named;

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_true(fcntl(a, F_GETFL) & O_PATH);
	assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(a, &st), 0);
	assert_int_equal(fstatat(dir.fd, "a/b/c", &named, 0), 0);
	assert_true(st.st_ino == named.st_ino);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_mkdirs_refuses(void **state)
{
	struct err err = ERR_INIT;
	char longer[300];

	(void)state;
	make_dir("real");
	put_file(dir.fd, "file", "");
	assert_int_equal(symlinkat("real", dir.fd, "link"), 0);
	assert_int_equal(symlinkat("nowhere", dir.fd, "dangling"), 0);
	assert_int_equal(path_mkdirs_beneath(dir.fd, "link/x", 0700, &err), -ENOTDIR);
	assert_int_equal(path_mkdirs_beneath(dir.fd, "link", 0700, &err), -ENOTDIR);
	assert_int_equal(path_mkdirs_beneath(dir.fd, "dangling", 0700, &err), -ENOTDIR);
	assert_int_equal(path_mkdirs_beneath(dir.fd, "file/x", 0700, &err), -ENOTDIR);
	assert_int_equal(path_mkdirs_beneath(dir.fd, "../x", 0700, &err), -EINVAL);
	assert_int_equal(path_mkdirs_beneath(dir.fd, "/x", 0700, &err), -EINVAL);
	assert_int_equal(path_mkdirs_beneath(-1, "x", 0700, &err), -EBADF);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(path_mkdirs_beneath(dir.fd, longer, 0700, &err), -ENAMETOOLONG);
	assert_int_equal(count_names(dir.path), 4);
	assert_false(exists("real/x"));
	assert_int_equal(count_fds(), dir.fds);
}

static void test_host_directories(void **state)
{
	_cleanup_close_ int made = -1, opened = -1, through_link = -1;
	char path[600];

	(void)state;
	snprintf(path, sizeof(path), "%s//x/./y/", dir.path);
	made = path_make_dir(path, 0755, NULL);
	assert_true(made >= 0);
	assert_int_equal(fsync(made), 0);
	opened = path_open_dir(path, NULL);
	assert_true(opened >= 0);
	assert_int_equal(symlinkat("x", dir.fd, "l"), 0);
	snprintf(path, sizeof(path), "%s/l/z", dir.path);
	through_link = path_make_dir(path, 0755, NULL);
	assert_true(through_link >= 0);
	assert_true(exists("x/z"));
	assert_int_equal(path_open_dir("relative", NULL), -EINVAL);
	assert_int_equal(path_make_dir("relative", 0755, NULL), -EINVAL);
	assert_int_equal(path_make_dir("/tmp/../x", 0755, NULL), -EINVAL);
	assert_int_equal(path_make_dir("/tmp/..", 0755, NULL), -EINVAL);
	assert_int_equal(path_open_dir("/proc/version", NULL), -ENOTDIR);
}

static void test_remove_simple_things(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	put_file(dir.fd, "f", "x");
	assert_int_equal(path_remove_tree(dir.fd, "f", &err), 0);
	assert_false(exists("f"));
	assert_int_equal(path_remove_tree(dir.fd, "f", &err), 0);
	make_dir("d");
	assert_int_equal(path_remove_tree(dir.fd, "d", &err), 0);
	assert_false(exists("d"));
	assert_int_equal(path_remove_tree(dir.fd, "..", &err), -EINVAL);
	assert_int_equal(path_remove_tree(dir.fd, ".", &err), -EINVAL);
	assert_int_equal(path_remove_tree(dir.fd, "a/b", &err), -EINVAL);
	assert_int_equal(path_remove_tree(dir.fd, "", &err), -EINVAL);
	assert_int_equal(path_remove_tree(-1, "a", &err), -EBADF);
}

static void test_remove_does_not_follow_symlinks(void **state)
{
	(void)state;
	make_dir("keep");
	put_file(dir.fd, "keep/f", "x");
	make_dir("t");
	assert_int_equal(symlinkat("../keep", dir.fd, "t/l"), 0);
	assert_int_equal(symlinkat("keep", dir.fd, "top"), 0);
	assert_int_equal(path_remove_tree(dir.fd, "t", NULL), 0);
	assert_int_equal(path_remove_tree(dir.fd, "top", NULL), 0);
	assert_true(exists("keep/f"));
	assert_false(exists("t"));
	assert_false(exists("top"));
}

static void test_remove_all_kinds(void **state)
{
	char name[300];

	(void)state;
	make_dir("t");
	make_dir("t/d");
	put_file(dir.fd, "t/d/f", "x");
	assert_int_equal(mkfifoat(dir.fd, "t/fifo", 0), 0);
	assert_int_equal(linkat(dir.fd, "t/d/f", dir.fd, "t/hard", 0), 0);
	put_file(dir.fd, "t/\n\xff", "x");
	snprintf(name, sizeof(name), "t/%0255d", 7);
	put_file(dir.fd, name, "x");
	assert_int_equal(path_remove_tree(dir.fd, "t", NULL), 0);
	assert_false(exists("t"));
	assert_int_equal(count_fds(), dir.fds);
}

static void test_remove_unreadable_directories(void **state)
{
	static const mode_t modes[] = {0, 0111, 0222, 0333, 0444, 0555, 0666};
	pid_t pid;
	int status = -1;

	(void)state;
	make_dir("t");
	/* Root is never refused, so the test gives its rights up where it has them. */
	assert_int_equal(fchmodat(dir.fd, "t", 0777, 0), 0);
	assert_int_equal(fchmod(dir.fd, 0777), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char name[64];

		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(1);
		if (mkdirat(dir.fd, "t/u", 0755) < 0)
			_exit(2);
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			snprintf(name, sizeof(name), "t/u/%zu", i);
			mkdirat(dir.fd, name, 0755);
			snprintf(name, sizeof(name), "t/u/%zu/f", i);
			if (mknodat(dir.fd, name, S_IFREG | 0600, 0) < 0)
				_exit(3);
			snprintf(name, sizeof(name), "t/u/%zu/d", i);
			mkdirat(dir.fd, name, 0755);
			snprintf(name, sizeof(name), "t/u/%zu/d/e", i);
			mkdirat(dir.fd, name, 0);
			snprintf(name, sizeof(name), "t/u/%zu/d", i);
			(void)!fchmodat(dir.fd, name, modes[i], 0);
			snprintf(name, sizeof(name), "t/u/%zu", i);
			(void)!fchmodat(dir.fd, name, modes[i], 0);
		}
		(void)!fchmodat(dir.fd, "t/u", 0, 0);
		int t_fd = openat(dir.fd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_exit(path_remove_tree(t_fd, "u", NULL) == 0 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(exists("t/u"));
}

/* Exit status of a child that meets a mount inside of the tree: 77 = it may make none here. */
static int remove_across_mount(void)
{
	struct err err = ERR_INIT;
	char from[300], to[300];

	snprintf(from, sizeof(from), "%s/keep", dir.path);
	snprintf(to, sizeof(to), "%s/t/d/mnt", dir.path);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
		return 77;
	if (path_remove_tree(dir.fd, "t", &err) != -EBUSY)
		return 1;
	if (strcmp(err.msg, "cannot remove 'mnt' of 't': it is a mount point") != 0)
		return 2;
	return exists("keep/f") ? 0 : 3;
}

static void test_remove_stops_at_a_mount(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	make_dir("keep");
	put_file(dir.fd, "keep/f", "x");
	make_dir("t");
	make_dir("t/d");
	make_dir("t/d/mnt");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(remove_across_mount());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("# this machine lets us make no mount namespace\n");
		skip();
	}
	assert_int_equal(status, 0);
	/* Over there the mount is gone with the child. */
	assert_int_equal(path_remove_tree(dir.fd, "t", NULL), 0);
}

static void make_chain(int at, int depth)
{
	int cur = fcntl(at, F_DUPFD_CLOEXEC, 3);

	for (int i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(cur, "d", 0755), 0);
		next = openat(cur, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		put_file(next, "f", "x");
		close(cur);
		cur = next;
	}
	close(cur);
}

static void test_remove_deep_tree_with_few_fds(void **state)
{
	struct rlimit old, low;
	int r;

	(void)state;
	make_dir("t");
	int t_fd = openat(dir.fd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_chain(t_fd, 4096);
	close(t_fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){64, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	r = path_remove_tree(dir.fd, "t", NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, 0);
	assert_false(exists("t"));
	assert_int_equal(count_fds(), dir.fds);
}

static void test_remove_wide_tree(void **state)
{
	char name[64];

	(void)state;
	make_dir("t");
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "t/%d", i);
		make_dir(name);
		for (int j = 0; j < 5; j++) {
			snprintf(name, sizeof(name), "t/%d/%d", i, j);
			put_file(dir.fd, name, "");
		}
	}
	assert_int_equal(path_remove_tree(dir.fd, "t", NULL), 0);
	assert_false(exists("t"));
}

static void test_remove_several_deep_branches(void **state)
{
	char name[64];

	(void)state;
	/* Levels that were closed are opened again, and go on with what is left of them. */
	make_dir("t");
	for (int i = 0; i < 20; i++) {
		int fd;

		snprintf(name, sizeof(name), "t/%d", i);
		make_dir(name);
		fd = openat(dir.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		make_chain(fd, 70);
		close(fd);
	}
	assert_int_equal(path_remove_tree(dir.fd, "t", NULL), 0);
	assert_false(exists("t"));
	assert_int_equal(count_fds(), dir.fds);
}

static atomic_bool stop;

/* Moves a deep part of the tree out of it and back again. */
static void *mover(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		(void)renameat(dir.fd, "t/d/d/d/d", dir.fd, "keep/moved");
		(void)renameat(dir.fd, "keep/moved", dir.fd, "t/d/d/d/d");
	}
	return NULL;
}

static void test_remove_while_moved_out(void **state)
{
	(void)state;
	make_dir("keep");
	for (int i = 0; i < 20; i++)
		put_file(dir.fd, (char[]){'k', 'e', 'e', 'p', '/', (char)('a' + i), 0}, "x");
	for (int round = 0; round < 10; round++) {
		pthread_t thread;
		int t_fd, r;

		make_dir("t");
		t_fd = openat(dir.fd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		make_chain(t_fd, 100);
		close(t_fd);
		atomic_store(&stop, false);
		assert_int_equal(pthread_create(&thread, NULL, mover, NULL), 0);
		r = path_remove_tree(dir.fd, "t", NULL);
		atomic_store(&stop, true);
		pthread_join(thread, NULL);
		/* It may give up; what it must not do is to remove the neighbours. */
		assert_true(r == 0 || r == -EBUSY || r == -ENOTEMPTY);
		for (int i = 0; i < 20; i++)
			assert_true(exists((char[]){'k', 'e', 'e', 'p', '/', (char)('a' + i), 0}));
		assert_int_equal(path_remove_tree(dir.fd, "t", NULL), 0);
		int keep = openat(dir.fd, "keep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(path_remove_tree(keep, "moved", NULL), 0);
		close(keep);
	}
	assert_int_equal(count_fds(), dir.fds);
}

static void *other_remover(void *arg)
{
	*(int *)arg = path_remove_tree(dir.fd, "t", NULL);
	return NULL;
}

static void test_two_removers_meet(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		pthread_t thread;
		char name[64];
		int r, other = -1;

		make_dir("t");
		for (int i = 0; i < 50; i++) {
			snprintf(name, sizeof(name), "t/%d", i);
			make_dir(name);
			snprintf(name, sizeof(name), "t/%d/f", i);
			put_file(dir.fd, name, "");
		}
		assert_int_equal(pthread_create(&thread, NULL, other_remover, &other), 0);
		r = path_remove_tree(dir.fd, "t", NULL);
		pthread_join(thread, NULL);
		assert_int_equal(r, 0);
		assert_int_equal(other, 0);
		assert_false(exists("t"));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_open_beneath),
		T(test_open_beneath_ignores_an_unused_mode),
		T(test_open_beneath_refuses),
		T(test_open_beneath_stays_on_its_mount),
		T(test_fifo_does_not_block),
		T(test_open_in_root),
		T(test_magic_links_are_refused),
		T(test_plain_relative),
		T(test_mkdirs),
		T(test_mkdirs_refuses),
		T(test_host_directories),
		T(test_remove_simple_things),
		T(test_remove_does_not_follow_symlinks),
		T(test_remove_all_kinds),
		T(test_remove_unreadable_directories),
		T(test_remove_stops_at_a_mount),
		T(test_remove_deep_tree_with_few_fds),
		T(test_remove_wide_tree),
		T(test_remove_several_deep_branches),
		T(test_remove_while_moved_out),
		T(test_two_removers_meet),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
