/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: limits, odd file types, atomic replacement that leaves nothing behind. */
#include "base/file.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "tests/unit/base/util.h"

static struct {
	char path[256];
	int fd;
} dir;

static int setup(void **state)
{
	(void)state;
	dir.fd = scratch_dir(dir.path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(dir.fd);
	remove_scratch(dir.path);
	return 0;
}

static void test_read_whole(void **state)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	(void)state;
	put_file(dir.fd, "f", "hello\n");
	assert_int_equal(file_read_at(dir.fd, "f", 100, &data, &len, NULL), 0);
	assert_int_equal(len, 6);
	assert_string_equal(data, "hello\n");
}

static void test_read_limit_is_inclusive(void **state)
{
	struct err err = ERR_INIT;
	char *data = NULL;
	size_t len = 77;

	(void)state;
	put_file(dir.fd, "f", "12345");
	assert_int_equal(file_read_at(dir.fd, "f", 4, &data, &len, &err), -EFBIG);
	assert_null(data);
	assert_int_equal(len, 77);
	assert_int_equal(file_read_at(dir.fd, "f", 0, &data, &len, &err), -EFBIG);
	assert_int_equal(file_read_at(dir.fd, "f", 5, &data, &len, &err), 0);
	assert_int_equal(len, 5);
	free(data);
	put_file(dir.fd, "f", "");
	assert_int_equal(file_read_at(dir.fd, "f", 0, &data, NULL, &err), 0);
	assert_string_equal(data, "");
	free(data);
}

static void test_read_large(void **state)
{
	static char big[300001];
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	put_file(dir.fd, "f", big);
	assert_int_equal(file_read_at(dir.fd, "f", SIZE_MAX, &data, &len, NULL), 0);
	assert_int_equal(len, sizeof(big) - 1);
	assert_memory_equal(data, big, sizeof(big));
}

static void test_read_kernel_file_of_size_0(void **state)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(file_read_at(AT_FDCWD, "/proc/self/maps", 1 << 24, &data, &len, NULL), 0);
	assert_true(len > 500);
	assert_int_equal(strlen(data), len);
}

static void test_read_refuses_other_types(void **state)
{
	struct err err = ERR_INIT;
	char *data = NULL, buf[16];
	int before = count_fds();

	(void)state;
	assert_int_equal(mkfifoat(dir.fd, "fifo", 0600), 0);
	assert_int_equal(file_read_at(dir.fd, "fifo", 100, &data, NULL, &err), -EINVAL);
	assert_int_equal(file_read_at(dir.fd, ".", 100, &data, NULL, &err), -EISDIR);
	assert_int_equal(file_read_at(AT_FDCWD, "/dev/zero", 100, &data, NULL, &err), -EINVAL);
	assert_int_equal(file_read_at(dir.fd, "none", 100, &data, NULL, &err), -ENOENT);
	assert_int_equal(file_read_short_at(dir.fd, "fifo", buf, sizeof(buf), &err), -EINVAL);
	assert_null(data);
	assert_int_equal(count_fds(), before);
}

static void test_read_fd_from_the_beginning(void **state)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *data = NULL;
	char c;

	(void)state;
	put_file(dir.fd, "f", "abc");
	fd = openat(dir.fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(file_read_fd(fd, 10, &data, NULL, NULL), 0);
	assert_string_equal(data, "abc");
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 1);
}

static void test_read_short(void **state)
{
	struct err err = ERR_INIT;
	char buf[6];

	(void)state;
	put_file(dir.fd, "f", "12345\n");
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), &err), 5);
	assert_string_equal(buf, "12345");
	put_file(dir.fd, "f", "123456\n");
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), &err), -EFBIG);
	put_file(dir.fd, "f", "\n");
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), &err), 0);
	assert_string_equal(buf, "");
	put_file(dir.fd, "f", "a\n\n");
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), &err), 2);
	assert_string_equal(buf, "a\n");
	assert_int_equal(file_read_short_at(dir.fd, "none", buf, sizeof(buf), &err), -ENOENT);
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, 0, &err), -EINVAL);
}

static void test_write_never_creates_or_follows(void **state)
{
	struct err err = ERR_INIT;
	char buf[16];

	(void)state;
	assert_int_equal(file_write_at(dir.fd, "none", "1", &err), -ENOENT);
	put_file(dir.fd, "f", "");
	assert_int_equal(file_write_at(dir.fd, "f", "max\n", &err), 0);
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), &err), 3);
	assert_int_equal(symlinkat("f", dir.fd, "link"), 0);
	assert_int_equal(file_write_at(dir.fd, "link", "1", &err), -ELOOP);
	assert_int_equal(faccessat(dir.fd, "none", F_OK, 0), -1);
}

static void test_write_failure_names_value_and_file(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	/* /dev/full takes nothing. */
	assert_int_equal(file_write_at(AT_FDCWD, "/dev/full", "42\n", &err), -ENOSPC);
	assert_string_equal(err.msg, "cannot write '42' to '/dev/full': No space left on device");
}

static void test_replace(void **state)
{
	struct stat st;
	char buf[16];

	(void)state;
	assert_int_equal(file_replace_at(dir.fd, "f", "one", 3, 0640, NULL), 0);
	assert_int_equal(file_replace_at(dir.fd, "f", "two", 3, 0604, NULL), 0);
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), NULL), 3);
	assert_string_equal(buf, "two");
	assert_int_equal(fstatat(dir.fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(count_names(dir.path), 1);
	assert_int_equal(file_replace_at(dir.fd, "empty", NULL, 0, 0600, NULL), 0);
}

static void test_replace_through_an_o_path_fd(void **state)
{
	_cleanup_close_ int at = open(dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(file_replace_at(at, "f", "x", 1, 0600, NULL), 0);
}

static void test_replace_does_not_write_through_a_symlink(void **state)
{
	char buf[16];
	struct stat st;

	(void)state;
	put_file(dir.fd, "victim", "safe");
	assert_int_equal(symlinkat("victim", dir.fd, "f"), 0);
	assert_int_equal(file_replace_at(dir.fd, "f", "x", 1, 0600, NULL), 0);
	assert_int_equal(file_read_short_at(dir.fd, "victim", buf, sizeof(buf), NULL), 4);
	assert_int_equal(fstatat(dir.fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void test_replace_longest_name(void **state)
{
	char name[256];

	(void)state;
	memset(name, 'n', 255);
	name[255] = '\0';
	assert_int_equal(file_replace_at(dir.fd, name, "x", 1, 0600, NULL), 0);
	assert_int_equal(count_names(dir.path), 1);
}

static void test_replace_failures_leave_nothing(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/f"};
	struct rlimit limit, none;
	struct err err = ERR_INIT;
	char big[8192] = {0}, buf[16];
	int before = count_fds();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(file_replace_at(dir.fd, bad[i], "x", 1, 0600, &err), -EINVAL);
	/* The rename fails: a directory is in the place. */
	assert_int_equal(mkdirat(dir.fd, "d", 0700), 0);
	assert_int_equal(file_replace_at(dir.fd, "d", "x", 1, 0600, &err), -EISDIR);
	assert_int_equal(file_replace_at(-1, "f", "x", 1, 0600, &err), -EBADF);
	/* The write fails half way: the file size limit. */
	put_file(dir.fd, "f", "old");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_IGN);
	none = (struct rlimit){4096, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(file_replace_at(dir.fd, "f", big, sizeof(big), 0600, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(file_read_short_at(dir.fd, "f", buf, sizeof(buf), NULL), 3);
	assert_string_equal(buf, "old");
	assert_int_equal(count_names(dir.path), 2);
	assert_int_equal(count_fds(), before);
}

static void test_write_all_through_a_pipe(void **state)
{
	int p[2];
	char buf[8];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(file_write_all(p[1], "abcdef", 6, NULL), 0);
	assert_int_equal(read(p[0], buf, sizeof(buf)), 6);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(file_write_all(p[1], "x", 1, NULL), -EPIPE);
	signal(SIGPIPE, SIG_DFL);
	close(p[1]);
	assert_int_equal(file_write_all(-1, "x", 0, NULL), 0);
}

static void test_memfd_is_sealed(void **state)
{
	_cleanup_close_ int fd = file_memfd("test", "data", 4, NULL);
	char buf[8];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 4);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), -1);
	assert_ptr_equal(mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_read_whole),
		T(test_read_limit_is_inclusive),
		T(test_read_large),
		T(test_read_kernel_file_of_size_0),
		T(test_read_refuses_other_types),
		T(test_read_fd_from_the_beginning),
		T(test_read_short),
		T(test_write_never_creates_or_follows),
		T(test_write_failure_names_value_and_file),
		T(test_replace),
		T(test_replace_through_an_o_path_fd),
		T(test_replace_does_not_write_through_a_symlink),
		T(test_replace_longest_name),
		T(test_replace_failures_leave_nothing),
		T(test_write_all_through_a_pipe),
		T(test_memfd_is_sealed),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
