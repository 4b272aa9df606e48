/* SPDX-License-Identifier: Apache-2.0 */
/* Error objects: the returned value equals the stored one, and the text is always one clean line.
 */
#include "base/err.h"

#include "base/str.h"
#include "tests/unit/base/util.h"

static void test_set_returns_what_it_stores(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&err, ENOENT, "cannot find '%s'", "x"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.msg, "cannot find 'x'");
	assert_string_equal(err.hint, "");
}

static void test_code_0_and_below_are_eio(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&err, 0, "x"), -EIO);
	assert_int_equal(err.code, EIO);
	assert_int_equal(err_set(&err, -ENOENT, "x"), -EIO);
	assert_int_equal(err_set(NULL, 0, "x"), -EIO);
}

static void test_null_object_keeps_the_code(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, EPERM, "x"), -EPERM);
	errno = EACCES;
	assert_int_equal(err_sys(NULL, "x"), -EACCES);
	assert_int_equal(err_ctx(NULL, "x"), -EIO);
	assert_int_equal(err_hint(NULL, "x"), -EIO);
	assert_string_equal(err_text(NULL), "unknown error");
}

static void test_sys_appends_the_reason(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	errno = ENOSPC;
	assert_int_equal(err_sys(&err, "cannot write '%s'", "f"), -ENOSPC);
	assert_string_equal(err.msg, "cannot write 'f': No space left on device");
	err_set_errno(&err, 4000, "odd");
	assert_string_equal(err.msg, "odd: error 4000");
}

static int clobber_errno(void)
{
	errno = EDOM;
	return 7;
}

static void test_sys_takes_errno_first(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	errno = EBUSY;
	/* The order of evaluation of arguments is not fixed; a value made before is the safe form,
	 * and the setter itself must not change errno's meaning. */
	int seven = 7;
	assert_int_equal(err_sys(&err, "n %d", seven), -EBUSY);
	assert_int_equal(clobber_errno(), 7);
	assert_int_equal(err.code, EBUSY);
}

static void test_context_goes_in_front(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_set(&err, EINVAL, "bad value");
	assert_int_equal(err_ctx(&err, "in '%s'", "plan.json"), -EINVAL);
	assert_int_equal(err_ctx(&err, "cannot apply"), -EINVAL);
	assert_string_equal(err.msg, "cannot apply: in 'plan.json': bad value");
}

static void test_context_on_an_empty_object(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_ctx(&err, "cannot start"), -EIO);
	assert_string_equal(err.msg, "cannot start: unknown error");
}

static void test_hint_survives_context_but_not_a_new_error(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_set(&err, EINVAL, "x");
	assert_int_equal(err_hint(&err, "mount it with '%s'", "prjquota"), -EINVAL);
	err_ctx(&err, "ctx");
	assert_string_equal(err.hint, "mount it with 'prjquota'");
	err_set(&err, EIO, "new");
	assert_string_equal(err.hint, "");
}

static void test_own_text_as_argument(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_set(&err, EINVAL, "inner");
	err_set(&err, EPERM, "outer (%s)", err.msg);
	assert_string_equal(err.msg, "outer (inner)");
	err_ctx(&err, "%s", err.msg);
	assert_string_equal(err.msg, "outer (inner): outer (inner)");
}

static void test_control_bytes_become_question_marks(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_set(&err, EINVAL, "a\nb\033[31mc\xff");
	assert_string_equal(err.msg, "a?b?[31mc?");
	err_ctx(&err, "x\ry");
	assert_string_equal(err.msg, "x?y: a?b?[31mc?");
}

static void test_long_text_is_cut_to_clean_utf8(void **state)
{
	struct err err = ERR_INIT;
	char text[1201] = "";

	(void)state;
	/* Two bytes each, so that the cut falls inside of one: 599 is odd. */
	for (size_t i = 0; i < 600; i++)
		memcpy(text + 2 * i, "\xc3\xa9", 2);
	err_set(&err, EINVAL, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_true(str_is_clean_utf8(err.msg));
	err_hint(&err, "%s", text);
	assert_true(str_is_clean_utf8(err.hint));
	err_ctx(&err, "abc");
	assert_true(str_is_clean_utf8(err.msg));
	err_set_errno(&err, ENOENT, "%s", text);
	assert_true(strlen(err.msg) < sizeof(err.msg));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_returns_what_it_stores),
		cmocka_unit_test(test_code_0_and_below_are_eio),
		cmocka_unit_test(test_null_object_keeps_the_code),
		cmocka_unit_test(test_sys_appends_the_reason),
		cmocka_unit_test(test_sys_takes_errno_first),
		cmocka_unit_test(test_context_goes_in_front),
		cmocka_unit_test(test_context_on_an_empty_object),
		cmocka_unit_test(test_hint_survives_context_but_not_a_new_error),
		cmocka_unit_test(test_own_text_as_argument),
		cmocka_unit_test(test_control_bytes_become_question_marks),
		cmocka_unit_test(test_long_text_is_cut_to_clean_utf8),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
