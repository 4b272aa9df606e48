/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written into a guest's root, with all that a guest can have left there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "runtime/sandbox/files.h"

#define MARK "# ours\n"
#define TEXT MARK "nameserver 10.0.0.1\n"
#define OTHER "nameserver 9.9.9.9\n"

/* A directory that is "root", one beside it that must never change, and an instance's "fs". */
struct tree {
	char path[64];
	int top, root;
	struct sbx_launch launch;
};

static void put(const struct tree *t, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(t->top, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void assert_text(const struct tree *t, const char *path, const char *text)
{
	_cleanup_free_ char *got = NULL;

	assert_int_equal(file_read_at(t->top, path, 65536, &got, NULL, NULL), 0);
	assert_string_equal(got, text);
}

static void assert_missing(const struct tree *t, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(t->top, path, &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(errno, ENOENT);
}

static void make_dir(const struct tree *t, const char *path)
{
	assert_int_equal(mkdirat(t->top, path, 0755), 0);
}

static int setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	(void)snprintf(t->path, sizeof(t->path), "/tmp/test_files.XXXXXX");
	assert_non_null(mkdtemp(t->path));
	t->top = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->top >= 0);
	make_dir(t, "root");
	make_dir(t, "root/etc");
	make_dir(t, "outside");
	put(t, "outside/resolv.conf", OTHER);
	t->root = openat(t->top, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->root >= 0);
	sbx_launch_init(&t->launch);
	t->launch.base = geteuid();
	t->launch.n_files = 1;
	t->launch.files[0] = (struct sbx_file){"etc/resolv.conf", TEXT, 0664, SBX_FILE_WRITE};
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;
	_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_text(t, "outside/resolv.conf", OTHER);
	assert_int_equal(path_remove_tree(tmp, strrchr(t->path, '/') + 1, NULL), 0);
	(void)close(t->top);
	(void)close(t->root);
	cleanup_close(&t->launch.upper);
	free(t);
	return 0;
}

static int write_files(struct tree *t, struct err *err)
{
	*err = ERR_INIT;
	int r = sbx_files_write(&t->launch, t->root, err);

	assert_int_equal(r, -err->code);
	return r;
}

/* Written without a complaint, or left alone without one. */
static void write_quietly(struct tree *t)
{
	struct err err;

	if (write_files(t, &err) != 0)
		fail_msg("%s", err_text(&err));
}

static ino_t inode(const struct tree *t, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(t->top, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void written_where_there_is_none(void **state)
{
	struct tree *t = *state;
	struct stat st;
	ino_t first;

	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", TEXT);
	assert_int_equal(fstatat(t->top, "root/etc/resolv.conf", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0664);
	assert_int_equal(st.st_uid, t->launch.base);
	/* The same again writes nothing. */
	first = inode(t, "root/etc/resolv.conf");
	write_quietly(t);
	assert_int_equal(inode(t, "root/etc/resolv.conf"), first);
	/* A file at the top has no directory in its path. */
	t->launch.files[0].path = "vps";
	write_quietly(t);
	assert_text(t, "root/vps", TEXT);
}

static void ours_follows_and_the_guests_stays(void **state)
{
	static const struct {
		const char *there, *then;
	} rows[] = {
		{MARK "old\n", TEXT},
		{MARK, TEXT},
		{TEXT "and a line of the guest's\n", TEXT},
		{"", TEXT}, /* never reached the disk */
		{OTHER, OTHER},
		{"# our", "# our"},
		{"# ours", "# ours"},
		{"\n" TEXT, "\n" TEXT}, /* the mark is somewhere else */
	};
	struct tree *t = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(t, "root/etc/resolv.conf", rows[i].there);
		write_quietly(t);
		assert_text(t, "root/etc/resolv.conf", rows[i].then);
	}
}

static void nothing_is_made_without_its_directory(void **state)
{
	struct tree *t = *state;

	t->launch.files[0].path = "etc/systemd/network/10-vps.network";
	write_quietly(t);
	assert_missing(t, "root/etc/systemd");
	put(t, "root/etc/systemd", "a file");
	write_quietly(t);
	assert_text(t, "root/etc/systemd", "a file");
}

static void removed_only_with_the_mark(void **state)
{
	struct tree *t = *state;
	char target[128];

	t->launch.files[0].rule = SBX_FILE_REMOVE;
	t->launch.files[0].text = MARK;
	write_quietly(t);
	put(t, "root/etc/resolv.conf", OTHER);
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", OTHER);
	put(t, "root/etc/resolv.conf", "");
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", "");
	put(t, "root/etc/resolv.conf", TEXT);
	write_quietly(t);
	assert_missing(t, "root/etc/resolv.conf");
	(void)snprintf(target, sizeof(target), "%s/outside/resolv.conf", t->path);
	assert_int_equal(symlinkat(target, t->top, "root/etc/resolv.conf"), 0);
	put(t, "outside/resolv.conf", TEXT);
	write_quietly(t);
	assert_text(t, "outside/resolv.conf", TEXT);
	put(t, "outside/resolv.conf", OTHER);
}

/* At the end, in the middle, relative, absolute, to something inside, to nothing. */
static void links_are_never_followed(void **state)
{
	static const char *const ends[] = {"../../outside/resolv.conf", "../../outside/new",
					   "/etc/hosts", "../other", "resolv.conf"};
	struct tree *t = *state;
	char buf[64] = "";

	put(t, "root/other", MARK);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		assert_int_equal(symlinkat(ends[i], t->top, "root/etc/resolv.conf"), 0);
		write_quietly(t);
		memset(buf, 0, sizeof(buf));
		assert_true(readlinkat(t->top, "root/etc/resolv.conf", buf, sizeof(buf) - 1) > 0);
		assert_string_equal(buf, ends[i]);
		assert_int_equal(unlinkat(t->top, "root/etc/resolv.conf", 0), 0);
	}
	assert_text(t, "root/other", MARK);
	assert_missing(t, "outside/new");
	put(t, "outside/vps", MARK "target\n");
	t->launch.files[0].path = "etc/a/b/vps";
	make_dir(t, "root/etc/a");
	assert_int_equal(symlinkat("../../../outside", t->top, "root/etc/a/b"), 0);
	write_quietly(t);
	assert_int_equal(unlinkat(t->top, "root/etc/a/b", 0), 0);
	assert_int_equal(unlinkat(t->top, "root/etc/a", AT_REMOVEDIR), 0);
	make_dir(t, "outside/b");
	assert_int_equal(symlinkat("../../outside", t->top, "root/etc/a"), 0);
	write_quietly(t);
	assert_missing(t, "outside/b/vps");
	assert_text(t, "outside/vps", MARK "target\n");
	assert_int_equal(renameat(t->top, "root/etc", t->top, "root/etc2"), 0);
	assert_int_equal(symlinkat("etc2", t->top, "root/etc"), 0);
	t->launch.files[0].path = "etc/resolv.conf";
	write_quietly(t);
	assert_missing(t, "root/etc2/resolv.conf");
}

static void what_is_no_file_is_left_alone(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct tree *t = *state;
	ino_t before;

	(void)alarm(20);
	for (int kind = 0; kind < 4; kind++) {
		if (kind == 0)
			assert_int_equal(mkfifoat(t->top, "root/etc/resolv.conf", 0600), 0);
		if (kind == 1)
			make_dir(t, "root/etc/resolv.conf");
		if (kind == 2) {
			(void)snprintf(name.sun_path, sizeof(name.sun_path),
				       "%s/root/etc/resolv.conf", t->path);
			assert_int_equal(bind(sock, (struct sockaddr *)&name, sizeof(name)), 0);
		}
		/* As the zero device; only root makes one. */
		if (kind == 3 && mknodat(t->top, "root/etc/resolv.conf", S_IFCHR | 0666, 0x105))
			break;
		before = inode(t, "root/etc/resolv.conf");
		write_quietly(t);
		t->launch.files[0].rule = SBX_FILE_REMOVE;
		write_quietly(t);
		t->launch.files[0].rule = SBX_FILE_WRITE;
		assert_int_equal(inode(t, "root/etc/resolv.conf"), before);
		assert_int_equal(
			unlinkat(t->top, "root/etc/resolv.conf", kind == 1 ? AT_REMOVEDIR : 0), 0);
	}
	(void)alarm(0);
}

/* Another name of the same file, outside or inside, keeps what it had. */
static void another_name_keeps_its_text(void **state)
{
	struct tree *t = *state;

	put(t, "outside/linked", MARK "old\n");
	assert_int_equal(linkat(t->top, "outside/linked", t->top, "root/etc/resolv.conf", 0), 0);
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", TEXT);
	assert_text(t, "outside/linked", MARK "old\n");
}

/* Cut off half-way, the file is as it was, and what is left is used up by the next start. */
static void the_temporary_file_is_no_trap(void **state)
{
	struct tree *t = *state;
	struct err err;

	put(t, "outside/vps", OTHER);
	for (int kind = 0; kind < 3; kind++) {
		put(t, "root/etc/resolv.conf", MARK "old\n");
		if (kind == 0)
			put(t, "root/etc/.resolv.conf.vps-new", "half");
		if (kind == 1)
			assert_int_equal(symlinkat("../../outside/vps", t->top,
						   "root/etc/.resolv.conf.vps-new"),
					 0);
		if (kind == 2)
			assert_int_equal(linkat(t->top, "outside/vps", t->top,
						"root/etc/.resolv.conf.vps-new", 0),
					 0);
		write_quietly(t);
		assert_text(t, "root/etc/resolv.conf", TEXT);
		assert_missing(t, "root/etc/.resolv.conf.vps-new");
		assert_text(t, "outside/vps", OTHER);
	}
	make_dir(t, "root/etc/.resolv.conf.vps-new");
	put(t, "root/etc/resolv.conf", MARK "old\n");
	assert_true(write_files(t, &err) < 0);
	assert_non_null(strstr(err.msg, "cannot write '/etc/resolv.conf': "));
	assert_text(t, "root/etc/resolv.conf", MARK "old\n");
}

/* As a full disk: the write itself fails, part of the text is out. */
static void a_full_disk_changes_nothing(void **state)
{
	struct rlimit was, small;
	struct tree *t = *state;
	struct err err;
	int r;

	put(t, "root/etc/resolv.conf", MARK "old\n");
	t->launch.files[1] = (struct sbx_file){"etc/z", MARK, 0644, SBX_FILE_WRITE};
	t->launch.n_files = 2;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = (struct rlimit){sizeof(MARK) + 2, was.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = write_files(t, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.msg, "cannot write '/etc/resolv.conf': "));
	assert_text(t, "root/etc/resolv.conf", MARK "old\n");
	assert_missing(t, "root/etc/.resolv.conf.vps-new");
	/* One that fails keeps no other from being written. */
	assert_text(t, "root/etc/z", MARK);
}

static void the_first_error_is_the_one_that_is_told(void **state)
{
	struct tree *t = *state;
	struct err err;

	make_dir(t, "root/etc/.a.vps-new");
	make_dir(t, "root/etc/.b.vps-new");
	t->launch.files[0].path = "etc/a";
	t->launch.files[1] = (struct sbx_file){"etc/b", MARK, 0644, SBX_FILE_WRITE};
	t->launch.files[2] = (struct sbx_file){"etc/c", MARK, 0644, SBX_FILE_WRITE};
	t->launch.n_files = 3;
	assert_true(write_files(t, &err) < 0);
	assert_non_null(strstr(err.msg, "'/etc/a'"));
	assert_text(t, "root/etc/c", MARK);
	assert_true(sbx_files_write(&t->launch, t->root, NULL) < 0);
}

/* The upper layer tells what the guest has changed; of a plain root nobody knows. */
static void a_file_of_the_image_is_replaced_once(void **state)
{
	struct tree *t = *state;

	make_dir(t, "fs");
	make_dir(t, "fs/upper");
	t->launch.upper = openat(t->top, "fs", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->launch.upper >= 0);
	put(t, "root/etc/resolv.conf", OTHER);
	t->launch.rootfs_plain = t->root;
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", OTHER);
	t->launch.rootfs_plain = -1;
	/* Changed by the guest. */
	make_dir(t, "fs/upper/etc");
	put(t, "fs/upper/etc/resolv.conf", OTHER);
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", OTHER);
	/* What cannot be told counts as changed. */
	assert_int_equal(unlinkat(t->top, "fs/upper/etc/resolv.conf", 0), 0);
	assert_int_equal(unlinkat(t->top, "fs/upper/etc", AT_REMOVEDIR), 0);
	put(t, "fs/upper/etc", "a file");
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", OTHER);
	assert_int_equal(unlinkat(t->top, "fs/upper/etc", 0), 0);
	/* Of the image, but not to be removed. */
	t->launch.files[0].rule = SBX_FILE_REMOVE;
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", OTHER);
	t->launch.files[0].rule = SBX_FILE_WRITE;
	write_quietly(t);
	assert_text(t, "root/etc/resolv.conf", TEXT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(written_where_there_is_none),
		TEST(ours_follows_and_the_guests_stays),
		TEST(nothing_is_made_without_its_directory),
		TEST(removed_only_with_the_mark),
		TEST(links_are_never_followed),
		TEST(what_is_no_file_is_left_alone),
		TEST(another_name_keeps_its_text),
		TEST(the_temporary_file_is_no_trap),
		TEST(a_full_disk_changes_nothing),
		TEST(the_first_error_is_the_one_that_is_told),
		TEST(a_file_of_the_image_is_replaced_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
