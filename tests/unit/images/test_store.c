/* SPDX-License-Identifier: Apache-2.0 */
/* The pool on a temporary directory: what is listed, what is not, and what clean-up leaves. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "images/store.h"

#define DIGEST_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define DIGEST_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ID_A "0123456789abcdef"

struct fixture {
	char dir[64];
	struct img_store *store;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err = ERR_INIT;

	(void)str_copy(f->dir, sizeof(f->dir), "/tmp/store.XXXXXX");
	*state = f;
	if (!mkdtemp(f->dir) || img_store_open(f->dir, &f->store, &err) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int tmp = path_open_dir("/tmp", NULL);
	int r = path_remove_tree(tmp, strrchr(f->dir, '/') + 1, NULL);

	(void)close(tmp);
	img_store_free(f->store);
	free(f);
	return r;
}

static void add_image(const struct fixture *f, const char *digest, const char *text)
{
	int images = img_store_images_fd(f->store);
	char path[128];

	assert_int_equal(mkdirat(images, digest, 0700), 0);
	(void)str_fmt(path, sizeof(path), "%s/rootfs", digest);
	assert_int_equal(mkdirat(images, path, 0755), 0);
	if (text) {
		_cleanup_close_ int dir = openat(images, digest, O_RDONLY | O_DIRECTORY);

		assert_int_equal(file_replace_at(dir, "image.json", text, strlen(text), 0600, NULL),
				 0);
	}
}

static char *manifest_of(const char *digest)
{
	struct img_manifest m = {.entries = 7};
	char *text = NULL;

	(void)str_copy(m.digest, sizeof(m.digest), digest);
	(void)str_copy(m.format, sizeof(m.format), "tar");
	assert_int_equal(img_manifest_print(&m, &text, NULL), 0);
	return text;
}

static void test_layout(void **state)
{
	const struct fixture *f = *state;
	static const char *const names[] = {"images", "instances", "tmp"};
	_cleanup_img_store_ struct img_store *again = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat st;

		assert_int_equal(fstatat(img_store_fd(f->store), names[i], &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
	assert_int_equal(img_store_open(f->dir, &again, NULL), 0);
	assert_true(img_store_open("relative", &again, NULL) < 0);
}

static void test_layout_is_no_link(void **state)
{
	const struct fixture *f = *state;
	_cleanup_img_store_ struct img_store *again = NULL;

	assert_int_equal(unlinkat(img_store_fd(f->store), "tmp", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc", img_store_fd(f->store), "tmp"), 0);
	assert_true(img_store_open(f->dir, &again, NULL) < 0);
}

static void test_list(void **state)
{
	const struct fixture *f = *state;
	_cleanup_free_ struct img_manifest *list = NULL;
	_cleanup_free_ char *a = manifest_of(DIGEST_A);
	struct img_manifest m;
	size_t n, bad;

	add_image(f, DIGEST_A, a);
	add_image(f, DIGEST_B, a); /* the manifest of another */
	add_image(f, "not-a-digest", a);
	assert_int_equal(img_store_list(f->store, &list, &n, &bad, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(bad, 2);
	assert_string_equal(list[0].digest, DIGEST_A);
	assert_int_equal(list[0].entries, 7);
	assert_int_equal(img_store_manifest(f->store, DIGEST_A, &m, NULL), 0);
	assert_int_equal(img_store_manifest(f->store, DIGEST_B, &m, NULL), -EBADMSG);
	assert_true(img_store_has(f->store, DIGEST_B));
	assert_false(img_store_has(f->store, "../images"));
}

static void test_tree(void **state)
{
	const struct fixture *f = *state;
	_cleanup_close_ int fd = -1;

	add_image(f, DIGEST_A, NULL);
	fd = img_store_tree(f->store, DIGEST_A, NULL);
	assert_true(fd >= 0);
	assert_int_equal(img_store_tree(f->store, DIGEST_B, NULL), -ENOENT);
	assert_int_equal(img_store_tree(f->store, "../../etc", NULL), -EINVAL);
	assert_int_equal(img_store_tree(f->store, "", NULL), -EINVAL);
}

static void test_tree_is_no_link(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(symlinkat("/", img_store_images_fd(f->store), DIGEST_A), 0);
	assert_true(img_store_tree(f->store, DIGEST_A, NULL) < 0);
	assert_false(img_store_has(f->store, DIGEST_A));
}

static void test_instances(void **state)
{
	const struct fixture *f = *state;
	int dir = img_store_instances_fd(f->store);
	_cleanup_free_ char(*ids)[ID_TEXT] = NULL;
	_cleanup_close_ int fd = -1;
	size_t n;

	assert_int_equal(img_instance_open(f->store, ID_A, NULL), -ENOENT);
	assert_int_equal(img_instance_open(f->store, "../tmp/0123456789", NULL), -EINVAL);
	assert_int_equal(mkdirat(dir, ID_A, 0700), 0);
	assert_int_equal(mkdirat(dir, ID_A "/fs", 0700), 0);
	assert_int_equal(mkdirat(dir, "lost+found", 0700), 0);
	fd = img_instance_open(f->store, ID_A, NULL);
	assert_true(fd >= 0);
	assert_true(img_instance_has(f->store, ID_A));
	assert_int_equal(img_instance_list(f->store, &ids, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(ids[0], ID_A);
}

static void test_clean_tmp(void **state)
{
	const struct fixture *f = *state;
	int tmp = img_store_tmp_fd(f->store);
	char held[64], left[64];
	_cleanup_close_ int lock = img_store_tmp_make(f->store, "import", held, NULL);
	int other = img_store_tmp_make(f->store, "import", left, NULL);
	unsigned removed;
	struct stat st;

	assert_true(lock >= 0 && other >= 0);
	assert_string_not_equal(held, left);
	(void)close(other); /* its job died */
	assert_int_equal(symlinkat("/etc", tmp, "link"), 0);
	assert_int_equal(mkdirat(tmp, "stale", 0700), 0);
	assert_int_equal(img_store_clean_tmp(f->store, &removed, NULL), 0);
	assert_int_equal(removed, 3);
	assert_int_equal(fstatat(tmp, held, &st, 0), 0);
	assert_int_equal(fstatat(AT_FDCWD, "/etc", &st, 0), 0);
}

static void test_space(void **state)
{
	const struct fixture *f = *state;
	struct img_space s = {0};

	assert_int_equal(img_store_space(f->store, &s, NULL), 0);
	assert_true(s.total_bytes > 0 && s.free_bytes <= s.total_bytes);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_layout),
		TEST(test_layout_is_no_link),
		TEST(test_list),
		TEST(test_tree),
		TEST(test_tree_is_no_link),
		TEST(test_instances),
		TEST(test_clean_tmp),
		TEST(test_space),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
