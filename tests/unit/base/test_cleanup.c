/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup attributes: released at the end of scope, not after a take, errno untouched. */
#include "base/cleanup.h"

#include "tests/unit/base/util.h"

static void test_fd_is_closed_at_scope_end(void **state)
{
	int before = count_fds();

	(void)state;
	{
		_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_cleanup_close_ int none = -1;

		assert_true(fd >= 0);
		assert_int_equal(none, -1);
		assert_int_equal(count_fds(), before + 1);
	}
	assert_int_equal(count_fds(), before);
}

static void test_taken_fd_stays_open(void **state)
{
	int kept;

	(void)state;
	{
		_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		kept = take_fd(&fd);
		assert_int_equal(fd, -1);
	}
	assert_true(fcntl(kept, F_GETFD) >= 0);
	close(kept);
}

static void test_taken_pointer_stays(void **state)
{
	char *kept;

	(void)state;
	{
		_cleanup_free_ char *p = strdup("text");

		kept = take_ptr(p);
		assert_null(p);
	}
	assert_string_equal(kept, "text");
	free(kept);
}

static void test_errno_is_kept(void **state)
{
	int bad = 99999;
	FILE *none = NULL;
	DIR *no_dir = NULL;
	char *p = NULL;

	(void)state;
	errno = EXDEV;
	cleanup_close(&bad);
	assert_int_equal(errno, EXDEV);
	cleanup_fclose(&none);
	cleanup_closedir(&no_dir);
	cleanup_free(&p);
	assert_int_equal(errno, EXDEV);
}

/* A member of a struct is often closed twice: the second time must not hit somebody else's fd. */
static void test_closing_twice_is_harmless(void **state)
{
	(void)state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	int number = fd;
	cleanup_close(&fd);
	assert_int_equal(fd, -1);
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(other, number);
	cleanup_close(&fd);
	assert_true(fcntl(other, F_GETFD) >= 0);
	close(other);
}

static void test_streams_are_closed(void **state)
{
	int before = count_fds();

	(void)state;
	{
		_cleanup_fclose_ FILE *f = fopen("/dev/null", "re");

		_cleanup_closedir_ DIR *d = opendir("/");

		assert_non_null(f);
		assert_non_null(d);
	}
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fd_is_closed_at_scope_end),
		cmocka_unit_test(test_closing_twice_is_harmless),
		cmocka_unit_test(test_taken_fd_stays_open),
		cmocka_unit_test(test_taken_pointer_stays),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_streams_are_closed),
	};

	return cmocka_run_group_tests_name("cleanup", tests, NULL, NULL);
}
