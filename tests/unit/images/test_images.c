/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of images/: manifest, os-release, entry names, ACLs, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "images/acl.h"
#include "images/archive_path.h"
#include "images/limits.h"
#include "images/manifest.h"
#include "images/os_release.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct img_manifest example(void)
{
	struct img_manifest m = {.created = 1700000000,
				 .archive_bytes = 10,
				 .size_bytes = 20,
				 .entries = 3,
				 .os = {"debian", "12", "Debian \"12\" \xc3\xa9"}};

	(void)str_copy(m.digest, sizeof(m.digest), DIGEST);
	(void)str_copy(m.format, sizeof(m.format), "tar.zst");
	img_manifest_warn(&m, "%d device nodes were skipped", 8);
	return m;
}

static void test_manifest_round_trip(void **state)
{
	struct img_manifest m = example(), back;
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(img_manifest_print(&m, &text, &err), 0);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(img_manifest_parse(text, strlen(text), &back, &err), 0);
	assert_memory_equal(&m, &back, sizeof(m));
}

/* Every key once deleted, once null, once of a wrong type, and one too many. */
static void test_manifest_damaged(void **state)
{
	static const char *const keys[] = {"digest",	 "format",  "created", "archive_bytes",
					   "size_bytes", "entries", "os",      "warnings"};
	static const char *const values[] = {"null", "-1",	    "1.5",	   "{}",    "[1]",
					     "true", "\"\\u0000\"", "\"\\u0007\"", "[null]"};
	struct img_manifest m = example(), back = {0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_int_equal(img_manifest_print(&m, &text, NULL), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char quoted[32];
		char *at;

		(void)str_fmt(quoted, sizeof(quoted), "\"%s\":", keys[i]);
		at = strstr(text, quoted);
		assert_non_null(at);
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			_cleanup_sbuf_ struct sbuf b = SBUF_INIT;

			/* The same key again in front: a duplicate; renamed: unknown and missing.
			 */
			sbuf_addf(&b, "{%s%s,%s", quoted, values[v], text + 1);
			assert_int_equal(img_manifest_parse(b.data, b.len, &back, NULL), -EBADMSG);
		}
		at[1] = 'X';
		assert_int_equal(img_manifest_parse(text, strlen(text), &back, NULL), -EBADMSG);
		at[1] = keys[i][0];
	}
	for (size_t n = 0; n < strlen(text) - 1; n++)
		assert_int_equal(img_manifest_parse(text, n, &back, NULL), -EBADMSG);
	assert_int_equal(back.entries, 0); /* untouched on failure */
}

static void test_manifest_refuses_values(void **state)
{
	static const char *const bad[] = {
		"{\"digest\":\"../../etc\",\"format\":\"tar\",\"created\":1,\"archive_bytes\":1,"
		"\"size_bytes\":1,\"entries\":1,\"os\":{\"id\":\"\",\"version\":\"\",\"name\":\"\"}"
		","
		"\"warnings\":[]}",
		"{\"digest\":\"" DIGEST "\",\"format\":\"tarrrrrrrrrrrrrrrrrrrr\",\"created\":1,"
		"\"archive_bytes\":1,\"size_bytes\":1,\"entries\":1,"
		"\"os\":{\"id\":\"\",\"version\":\"\",\"name\":\"\"},\"warnings\":[]}",
		"{\"digest\":\"" DIGEST "\",\"format\":\"tar\",\"created\":-1,\"archive_bytes\":1,"
		"\"size_bytes\":1,\"entries\":1,\"os\":{\"id\":\"\",\"version\":\"\",\"name\":\"\"}"
		","
		"\"warnings\":[]}",
		"[]",
		"null",
		"",
		"{}",
	};
	struct img_manifest back;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(img_manifest_parse(bad[i], strlen(bad[i]), &back, NULL), -EBADMSG);
}

static void test_warnings_are_clean_and_bounded(void **state)
{
	struct img_manifest m = {0};
	char longer[400];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	img_manifest_warn(&m, "bad\x1b[31m \xff %s", longer);
	assert_true(str_is_clean_utf8(m.warnings[0]));
	assert_true(strlen(m.warnings[0]) < IMG_WARNING_TEXT);
	for (int i = 0; i < 100; i++)
		img_manifest_warn(&m, "w");
	assert_int_equal(m.n_warnings, IMG_WARNINGS_MAX);
}

static void check_os(const char *text, size_t len, const char *id, const char *version,
		     const char *name)
{
	struct img_os os;

	img_os_release_parse(text, len, &os);
	assert_string_equal(os.id, id);
	assert_string_equal(os.version, version);
	assert_string_equal(os.name, name);
}

static void test_os_release(void **state)
{
	static const struct {
		const char *text, *id, *version, *name;
	} rows[] = {
		{"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		 "debian", "12", "Debian GNU/Linux 12 (bookworm)"},
		{"PRETTY_NAME='single \" quote'\nID='a'", "a", "", "single \" quote"},
		{"PRETTY_NAME=\"an \\\"inner\\\" \\$x\"", "", "", "an \"inner\" $x"},
		{"ID=one\nID=two\r\n", "two", "", ""},
		{"ID=UPPER\nVERSION_ID=1 2\n", "", "", ""},
		{"ID=../../etc/passwd\n", "", "", ""},
		{"ID=\"unclosed\nVERSION_ID='\nPRETTY_NAME=\"\n", "", "", ""},
		{"PRETTY_NAME=\"a\\\"", "", "", ""},
		{"PRETTY_NAME=\"x\x1b[2J\"\n", "", "", ""},
		{"PRETTY_NAME=\"\xff\xfe\"\n", "", "", ""},
		{"MYID=no\nIDX=no\n ID=no\n#ID=no\nID\n=\n\n", "", "", ""},
		{"ID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "", "", ""},
		{"", "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_os(rows[i].text, strlen(rows[i].text), rows[i].id, rows[i].version,
			 rows[i].name);
	check_os("ID=a\0b\nVERSION_ID=1", 19, "", "1", "");
}

static void test_archive_path(void **state)
{
	static const struct {
		const char *in, *out;
		int code;
	} rows[] = {
		{"a", "a", 0},
		{"a/b", "a/b", 0},
		{"/a/b", "a/b", 0},
		{"///a", "a", 0},
		{"./a", "a", 0},
		{"a/", "a", 0},
		{"a//b/./c/", "a/b/c", 0},
		{".", ".", 0},
		{"./", ".", 0},
		{"/", ".", 0},
		{"//.//", ".", 0},
		{"...", "...", 0},
		{"..a", "..a", 0},
		{"a..", "a..", 0},
		{".a/..b", ".a/..b", 0},
		{"..", NULL, -EXDEV},
		{"../a", NULL, -EXDEV},
		{"a/..", NULL, -EXDEV},
		{"a/../b", NULL, -EXDEV},
		{"/..", NULL, -EXDEV},
		{"./..//a", NULL, -EXDEV},
		{"", NULL, -EBADMSG},
		{"1/2/3/4/5", NULL, -EOVERFLOW},
		{"1/2/3/4", "1/2/3/4", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[IMG_PATH_MAX] = "untouched";

		assert_int_equal(img_archive_path(rows[i].in, 4, out, NULL), rows[i].code);
		assert_string_equal(out, rows[i].out ? rows[i].out : "untouched");
	}
}

static void test_archive_path_lengths(void **state)
{
	char in[2 * IMG_PATH_MAX], out[IMG_PATH_MAX];
	struct err err = ERR_INIT;

	(void)state;
	memset(in, 'n', sizeof(in));
	in[255] = '\0';
	assert_int_equal(img_archive_path(in, 100, out, NULL), 0);
	in[255] = 'n';
	in[256] = '\0';
	assert_int_equal(img_archive_path(in, 100, out, NULL), -EOVERFLOW);
	for (size_t total = 4000; total < 4200; total++) {
		memset(in, 'n', sizeof(in));
		for (size_t i = 200; i < total; i += 200)
			in[i] = '/';
		in[total] = '\0';
		if (img_archive_path(in, 100, out, NULL) == 0)
			assert_true(strlen(out) < IMG_PATH_MAX);
		else
			assert_true(total >= IMG_PATH_MAX - 1);
	}
	/* Foreign names do not reach messages as they are. */
	assert_int_equal(img_archive_path("\x1b[2J/..", 10, out, &err), -EXDEV);
	assert_null(strchr(err.msg, '\x1b'));
}

static void test_acl(void **state)
{
	static const unsigned char good[] = {2,	  0,   0, 0, 1, 0, 7,  0, 255, 255,
					     255, 255, 2, 0, 5, 0, 33, 0, 0,   0};
	struct img_acl_entry list[IMG_ACL_MAX];
	unsigned char bad[sizeof(good)];
	unsigned char many[4 + 8 * (IMG_ACL_MAX + 1)] = {2};

	(void)state;
	assert_int_equal(img_acl_parse(good, sizeof(good), list, NULL), 2);
	assert_int_equal(list[0].tag, IMG_ACL_USER_OBJ);
	assert_int_equal(list[0].perm, 7);
	assert_int_equal(list[1].tag, IMG_ACL_USER);
	assert_int_equal(list[1].id, 33);
	assert_int_equal(img_acl_parse(good, 4, list, NULL), 0);
	for (size_t n = 0; n < sizeof(good); n++)
		if (n != 4 && n != 12)
			assert_int_equal(img_acl_parse(good, n, list, NULL), -EBADMSG);
	/* Version, tag, permission, id out of range. */
	for (size_t i = 0; i < 4; i++) {
		static const size_t at[] = {0, 12, 14, 18};

		memcpy(bad, good, sizeof(bad));
		bad[at[i]] = 9;
		assert_int_equal(img_acl_parse(bad, sizeof(bad), list, NULL), -EBADMSG);
	}
	assert_int_equal(img_acl_parse(many, sizeof(many), list, NULL), -EBADMSG);
}

static void test_limits(void **state)
{
	const struct img_limits l = {.bytes = 100,
				     .entries = 2,
				     .file_bytes = 50,
				     .xattr_entry = 10,
				     .xattr_total = 15,
				     .ratio = 10};
	struct img_usage u = {0};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(img_usage_entry(&u, &l, NULL), 0);
	assert_int_equal(img_usage_entry(&u, &l, NULL), 0);
	assert_int_equal(img_usage_entry(&u, &l, &err), -EOVERFLOW);
	assert_non_null(strstr(err.msg, "2 entries"));
	assert_int_equal(img_usage_data(&u, &l, 100, NULL), 0);
	assert_int_equal(img_usage_data(&u, &l, 1, NULL), -EOVERFLOW);
	assert_int_equal(img_usage_data(&u, &l, UINT64_MAX, NULL), -EOVERFLOW);
	assert_int_equal(u.bytes, 100);
	assert_int_equal(img_usage_xattrs(&u, &l, 11, NULL), -EOVERFLOW);
	assert_int_equal(img_usage_xattrs(&u, &l, 10, NULL), 0);
	assert_int_equal(img_usage_xattrs(&u, &l, 6, NULL), -EOVERFLOW);
	assert_int_equal(img_usage_xattrs(&u, &l, 5, NULL), 0);
	assert_int_equal(img_limits_file(&l, 50, NULL), 0);
	assert_int_equal(img_limits_file(&l, 51, NULL), -EOVERFLOW);
	assert_int_equal(img_limits_file(&l, INT64_MAX, NULL), -EOVERFLOW);
	assert_int_equal(img_limits_file(&l, -1, NULL), -EBADMSG);
}

static void test_ratio(void **state)
{
	struct img_limits l = IMG_LIMITS_DEFAULT;
	struct img_usage u = {0};

	(void)state;
	/* Anything goes for the first 64 MiB. */
	assert_int_equal(img_usage_stream(&u, &l, IMG_RATIO_FREE, 1, NULL), 0);
	assert_int_equal(img_usage_stream(&u, &l, 1 << 20, 1 << 10, NULL), -EOVERFLOW);
	assert_int_equal(img_usage_stream(&u, &l, 1 << 20, 1 << 20, NULL), 0);
	assert_int_equal(img_usage_stream(&u, &l, UINT64_MAX, UINT64_MAX, NULL), -EOVERFLOW);
	l.bytes = UINT64_MAX;
	assert_int_equal(img_usage_stream(&u, &l, 1, 1 << 20, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_round_trip),
		cmocka_unit_test(test_manifest_damaged),
		cmocka_unit_test(test_manifest_refuses_values),
		cmocka_unit_test(test_warnings_are_clean_and_bounded),
		cmocka_unit_test(test_os_release),
		cmocka_unit_test(test_archive_path),
		cmocka_unit_test(test_archive_path_lengths),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ratio),
	};

	return cmocka_run_group_tests_name("images", tests, NULL, NULL);
}
