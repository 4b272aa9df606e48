/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: the growing buffer, checked formatting, the tests on names, suggestions, escaping. */
#include "base/str.h"

#include "tests/unit/base/util.h"

static void test_sbuf_grows(void **state)
{
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;

	(void)state;
	assert_string_equal(sbuf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		sbuf_addf(&b, "%04d", i);
	sbuf_addc(&b, '!');
	sbuf_adds(&b, "");
	assert_true(sbuf_ok(&b));
	assert_int_equal(b.len, 4001);
	assert_int_equal(strlen(sbuf_str(&b)), 4001);
	assert_memory_equal(sbuf_str(&b), "000000010002", 12);
}

static void test_sbuf_keeps_nul_bytes(void **state)
{
	_cleanup_sbuf_ struct sbuf b = SBUF_INIT;

	(void)state;
	sbuf_add(&b, "a\0b", 3);
	sbuf_add(&b, NULL, 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
}

static void test_sbuf_take_and_clear(void **state)
{
	struct sbuf b = SBUF_INIT;
	char *text;

	(void)state;
	text = sbuf_take(&b);
	assert_string_equal(text, "");
	free(text);
	sbuf_adds(&b, "one");
	sbuf_clear(&b);
	assert_string_equal(sbuf_str(&b), "");
	sbuf_adds(&b, "two");
	text = sbuf_take(&b);
	assert_string_equal(text, "two");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(text);
}

static void test_sbuf_failure_is_sticky(void **state)
{
	struct sbuf b = SBUF_INIT;

	(void)state;
	sbuf_adds(&b, "x");
	sbuf_add(&b, "y", SIZE_MAX - 4);
	assert_false(sbuf_ok(&b));
	sbuf_adds(&b, "z");
	assert_string_equal(sbuf_str(&b), "x");
	assert_null(sbuf_take(&b));
	assert_true(sbuf_ok(&b));
	assert_null(b.data);
}

static void test_comparisons(void **state)
{
	(void)state;
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_false(str_eq("", NULL));
	assert_true(str_eq("a", "a"));
	assert_true(str_has_prefix("abc", "ab"));
	assert_true(str_has_prefix("abc", ""));
	assert_false(str_has_prefix("a", "ab"));
	assert_true(str_has_suffix("abc", "bc"));
	assert_true(str_has_suffix("abc", ""));
	assert_false(str_has_suffix("c", "bc"));
}

static void test_fmt_and_copy(void **state)
{
	char dst[4] = "xxx";

	(void)state;
	assert_int_equal(str_fmt(dst, sizeof(dst), "%d", 123), 0);
	assert_string_equal(dst, "123");
	assert_int_equal(str_fmt(dst, sizeof(dst), "%d", 1234), -ENAMETOOLONG);
	assert_string_equal(dst, "");
	assert_int_equal(str_copy(dst, sizeof(dst), "abc"), 0);
	assert_string_equal(dst, "abc");
	assert_int_equal(str_copy(dst, sizeof(dst), "abcd"), -ENAMETOOLONG);
	assert_string_equal(dst, "");
	assert_int_equal(str_copy(dst, 0, "a"), -ENAMETOOLONG);
}

struct yes_no {
	const char *text;
	bool yes;
};

static void check(const char *what, bool (*test)(const char *), const struct yes_no *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (test(rows[i].text) != rows[i].yes)
			fail_msg("%s('%s') is not %d", what, rows[i].text, rows[i].yes);
}

#define CHECK(test, rows) check(#test, test, rows, sizeof(rows) / sizeof((rows)[0]))
#define CHARS_21 "abcdefghijklmnopqrstu"
#define CHARS_63 CHARS_21 CHARS_21 CHARS_21

static void test_names(void **state)
{
	static const struct yes_no rows[] = {
		{"a", true},	 {"web1", true},   {"debian-12", true},	  {"a.b", true},
		{"0", true},	 {CHARS_63, true}, {CHARS_63 "a", false}, {"", false},
		{"-a", false},	 {".a", false},	   {"a-", false},	  {"a.", false},
		{"a..b", false}, {"..", false},	   {"a/b", false},	  {"A", false},
		{"a_b", false},	 {"a b", false},   {"a\n", false},	  {"\xc3\xa9", false},
		{NULL, false},	 {"a-.b", true},   {"a@1", false},
	};

	(void)state;
	CHECK(str_is_name, rows);
}

static void test_hostnames(void **state)
{
	static const struct yes_no rows[] = {
		{"web1.acme.example", true},
		{"A", true},
		{"1.2", true},
		{CHARS_63 "." CHARS_63 "." CHARS_63
			  ".abcdefghijklmnopqrstuabcdefghijklmnopqrstuabcdefghijklmnopqrs",
		 true},
		{CHARS_63 "." CHARS_63 "." CHARS_63
			  ".abcdefghijklmnopqrstuabcdefghijklmnopqrstuabcdefghijklmnopqrst",
		 false},
		{CHARS_63 "a", false},
		{"", false},
		{".", false},
		{"a.", false},
		{".a", false},
		{"a..b", false},
		{"-a", false},
		{"a-.b", false},
		{"a_b", false},
		{"a b", false},
		{NULL, false},
	};

	(void)state;
	CHECK(str_is_hostname, rows);
}

static void test_clean_utf8(void **state)
{
	static const struct yes_no rows[] = {
		{"", true},
		{"plain ~", true},
		{"\xc3\xa9", true},
		{"\xe2\x82\xac", true},
		{"\xf0\x9f\x98\x80", true},
		{"tab\t", false},
		{"nl\n", false},
		{"\x7f", false},
		{"\x1b[0m", false},
		{"\xc2\x9b", false},	     /* CSI as one character */
		{"\xc0\xaf", false},	     /* overlong '/' */
		{"\xe0\x80\xaf", false},     /* overlong '/' */
		{"\xf0\x80\x80\xaf", false}, /* overlong '/' */
		{"\xed\xa0\x80", false},     /* a surrogate */
		{"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
		{"\xf5\x80\x80\x80", false},
		{"\x80", false},
		{"\xe2\x82", false}, /* cut */
		{"\xe2(\xa1", false},
		{NULL, false},
	};

	(void)state;
	CHECK(str_is_clean_utf8, rows);
}

static void test_digests(void **state)
{
	static const struct yes_no rows[] = {
		{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true},
		{"E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false},
		{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85", false},
		{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555", false},
		{"../b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false},
		{"", false},
		{NULL, false},
	};

	(void)state;
	CHECK(str_is_digest, rows);
}

static void test_hex(void **state)
{
	char text[9];

	(void)state;
	str_hex(text, "\x00\xff\x1a\xa1", 4);
	assert_string_equal(text, "00ff1aa1");
	str_hex(text, "", 0);
	assert_string_equal(text, "");
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"limit", "guarantee", "swap", "size", NULL};
	static const char *const none[] = {NULL};
	char huge[200];

	(void)state;
	assert_string_equal(str_nearest("limt", words), "limit");
	assert_string_equal(str_nearest("lmiit", words), "limit");
	assert_string_equal(str_nearest("garante", words), "guarantee");
	assert_string_equal(str_nearest("size", words), "size");
	assert_null(str_nearest("memory", words));
	assert_null(str_nearest("", words));
	assert_null(str_nearest("x", words));
	assert_null(str_nearest("limit", none));
	memset(huge, 'a', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_null(str_nearest(huge, words));
}

static void test_escape(void **state)
{
	char dst[32], small[6];

	(void)state;
	str_escape(dst, sizeof(dst), "a\n\x1b\xff\xc3\xa9");
	assert_string_equal(dst, "a\\x0a\\x1b\\xff\xc3\xa9");
	str_escape(small, sizeof(small), "abcdefgh");
	assert_string_equal(small, "abcde");
	/* Neither an escape nor a character is cut in the middle. */
	str_escape(small, sizeof(small), "abc\n");
	assert_string_equal(small, "abc");
	str_escape(small, sizeof(small), "abcd\xc3\xa9");
	assert_string_equal(small, "abcd");
	small[0] = 'x';
	str_escape(small, 0, "a");
	assert_int_equal(small[0], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sbuf_grows),
		cmocka_unit_test(test_sbuf_keeps_nul_bytes),
		cmocka_unit_test(test_sbuf_take_and_clear),
		cmocka_unit_test(test_sbuf_failure_is_sticky),
		cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_fmt_and_copy),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_clean_utf8),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
