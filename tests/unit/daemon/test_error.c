/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as the API words them. */
#include "base/json.h"
#include "runtime/daemon/server.h"
#include "runtime/instance/op.h"
#include "tests/unit/base/util.h"

static const char *name_of(int code)
{
	const struct err err = {.code = code};
	return error_name(&err);
}

static unsigned status_of(int code)
{
	const struct err err = {.code = code};
	return error_status(&err);
}

/* Every name that any number gets has a status of its own choice: 500 says "internal" and nothing
 * else. */
static void test_each_name_has_a_status(void **state)
{
	(void)state;
	for (int code = 0; code < 200; code++) {
		const char *name = name_of(code);
		assert_non_null(name);
		if ((status_of(code) == 500) != str_eq(name, "internal"))
			fail_msg("%d '%s' has status %u", code, name, status_of(code));
	}
}

/* What docs/api.md promises. */
static void test_promised(void **state)
{
	static const struct {
		int code;
		const char *name;
		unsigned status;
	} rows[] = {
		{EINVAL, "bad-request", 400},	  {EACCES, "forbidden", 403},
		{ENOENT, "not-found", 404},	  {EPROTONOSUPPORT, "method-not-allowed", 405},
		{ETIMEDOUT, "timeout", 408},	  {EEXIST, "conflict", 409},
		{EBUSY, "conflict", 409},	  {EPERM, "conflict", 409},
		{EALREADY, "conflict", 409},	  {ENODATA, "conflict", 409},
		{E2BIG, "too-large", 413},	  {EFBIG, "too-large", 413},
		{EBADMSG, "invalid", 422},	  {ENOTSUP, "unsupported", 422},
		{EOPNOTSUPP, "unsupported", 422}, {ENOSPC, "no-capacity", 409},
		{EIO, "internal", 500},		  {ENOMEM, "internal", 500},
		{EAGAIN, "unavailable", 503},	  {ESHUTDOWN, "unavailable", 503},
		{EPIPE, "unavailable", 503},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_string_equal(name_of(rows[i].code), rows[i].name);
		assert_int_equal(status_of(rows[i].code), rows[i].status);
	}
}

/* An operation that fails later says what the answer would have said, the request's own faults
 * apart. */
static void test_same_as_operations(void **state)
{
	(void)state;
	for (int code = 1; code < 200; code++)
		if (!str_eq(op_error_code(code), "internal") && code != EINVAL)
			assert_string_equal(name_of(code), op_error_code(code));
}

static void test_object(void **state)
{
	struct err err = ERR_INIT;
	(void)state;
	(void)err_set(&err, ENOENT, "there is no '%s'", "x\xff\x1b[2J");
	_cleanup_json_ json_t *o = error_to_json(&err);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "code")), "not-found");
	assert_string_equal(json_string_value(json_object_get(o, "message")),
			    "there is no 'x??[2J'");
	assert_null(json_object_get(o, "hint"));
	(void)err_hint(&err, "look");
	_cleanup_json_ json_t *h = error_to_json(&err);
	assert_string_equal(json_string_value(json_object_get(h, "hint")), "look");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_name_has_a_status),
		cmocka_unit_test(test_promised),
		cmocka_unit_test(test_same_as_operations),
		cmocka_unit_test(test_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
